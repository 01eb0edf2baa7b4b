"""Converts Keras's configs, `layer.get_config()`, to the fields of a layer and back.

A config is a dict; Keras itself is not needed.

Source: `Dense.get_config` and `keras/src/saving/serialization_lib.py` of Keras 3.15.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from densefn import _checks, constraints, forms, initializers, precision, regularizers
from densefn._values import Mistakes, Value, build, fields, shown
from densefn.activations import Activation

V = TypeVar("V", bound=Value)

# Our modules of named objects by the last word of a field's name. Keras's are `keras.initializers` and so on.
_KINDS: dict[str, Any] = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}
_NOT_IN_KERAS = (initializers.UniformFanIn, initializers.TruncatedFanIn)

# Keras writes an activation with arguments as one of these layers.
_LAYERS = {"ELU": "elu", "LeakyReLU": "leaky_relu", "ReLU": "relu", "Softmax": "softmax"}

# Keys of Keras that no field here expresses, each with the only accepted value, which has no effect.
_NEUTRAL = {"trainable": True, "quantization_config": None, "lora_rank": None, "lora_alpha": None}


def unwrapped(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The config of a layer, without the table that `keras.layers.serialize` and `.keras` files put around it.

    Raises:
      TypeError: if it is not a mapping.
      ValueError: if the layer is not of Keras's class `name`.
    """
    if not isinstance(config, Mapping):
        raise TypeError(f"expected a config as Keras's get_config() returns it, got {config!r}")
    if "class_name" not in config:
        return config
    _checks.refuse_user_classes(config)
    if config["class_name"] != name:
        raise ValueError(f"expected the config of Keras's {name}, got that of {config['class_name']!r}")
    return unwrapped(config.get("config", {}), name)


def with_form(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a Dense with `kernel_form` instead of Keras's `lora_rank` and `lora_alpha`."""
    rank, alpha = config.get("lora_rank"), config.get("lora_alpha")
    rest = {key: item for key, item in config.items() if key not in ("lora_rank", "lora_alpha")}
    if rank is None:
        return rest
    return {**rest, "kernel_form": {"name": "LowRank", "rank": rank, "alpha": None if alpha == rank else alpha}}


def read(cls: type[V], config: Mapping[str, Any]) -> V:
    """Makes a layer from a config. An object with the defaults of its class becomes a name.

    The name of the layer is left out: it does not affect the output.

    Raises:
      TableError: lists all mistakes. Quantization, a frozen layer and LoRA without `with_form` are mistakes too.
    """
    quantized = _quantized(config.get("dtype"))
    mistakes, table = Mistakes(), {}
    for key, item in config.items():
        if key == "quantization_config" and quantized:
            continue  # the error of the policy reports it
        if key in _NEUTRAL and item != _NEUTRAL[key]:
            mistakes.add(f"expected {_NEUTRAL[key]}, got {item!r}, which this layer cannot express", key)
        elif key not in {"name", *_NEUTRAL}:
            with mistakes.at(key):
                table[key] = _read(key, item, config.get("dtype"))
    stored: dict[str, Any] = {}
    with mistakes.at():
        stored = vars(build(cls, table))
    mistakes.raise_any()
    return cls(**{field.name: _named(_kind(field.name), stored[field.name]) for field in fields(cls)})


def _read(key: str, item: Any, dtype: Any) -> Any:
    if key == "dtype":
        return _policy(item)
    if key == "activation":
        return _activation(item, dtype)
    if isinstance(item, Mapping) and isinstance(item.get("config"), Mapping):
        return {**item, "config": {name: _shortest(value) for name, value in item["config"].items()}}
    return item


def _quantized(dtype: Any) -> bool:
    return isinstance(dtype, Mapping) and "Quantized" in str(dtype.get("class_name"))


def _policy(item: Any) -> Any:
    if _quantized(item):
        raise ValueError(f"expected a policy without quantization, got {item['class_name']} of {item.get('config')!r}")
    if (
        isinstance(item, Mapping)
        and item.get("class_name") == "DTypePolicy"
        and isinstance(item.get("config"), Mapping)
    ):
        return item["config"].get("name")
    return item


def _activation(item: Any, dtype: Any) -> Any:
    if not isinstance(item, Mapping):
        return None if item == "linear" else item
    name, config = item.get("class_name"), item.get("config")
    if not isinstance(config, Mapping) or name not in {"Activation", *_LAYERS}:
        raise ValueError(f"expected a name or a config of one of {', '.join(_LAYERS)}, got {item!r}")
    _checks.refuse_user_classes(item)
    _same_policy(config.get("dtype"), dtype)
    if name == "Activation":
        return _activation(config.get("activation", {}), dtype)
    arguments = {key: value for key, value in config.items() if key not in {"name", "trainable", "dtype"}}
    return {"name": _LAYERS[name], **arguments}


def _same_policy(inner: Any, outer: Any) -> None:
    """Refuses an activation whose precision is not its layer's. As in Keras, None is float32."""
    if _quantized(outer):  # the error of the layer's policy reports it
        return
    own, layer_s = (_policy("float32" if policy is None else policy) for policy in (inner, outer))
    if own != layer_s:
        raise ValueError(f"expected an activation with its layer's dtype {layer_s!r}, got one with {own!r}")


def _shortest(value: Any) -> Any:
    """The shortest decimal of a number that Keras stored in float32: 0.009999999776482582 becomes 0.01."""
    if isinstance(value, float) and float(np.float32(value)) == value:
        return float(str(np.float32(value)))
    return value


def _kind(key: str) -> str:
    return key.rpartition("_")[2]


def _named(kind: str, item: Any) -> Any:
    names = _KINDS[kind].NAMES if kind in _KINDS and not isinstance(item, initializers.Constant) else {}
    return next((name for name, cls in names.items() if type(item) is cls and item == cls.from_fields()), item)


def write(layer: Value) -> dict[str, Any]:
    """Converts a layer's fields to a config for Keras's `from_config`.

    Raises:
      ValueError, TypeError: if Keras cannot express a field, such as a function or a policy without a name.
    """
    config: dict[str, Any] = {"trainable": True}
    for field in fields(type(layer)):
        try:
            config |= _write_form(layer) if field.name == "kernel_form" else {field.name: _write(layer, field.name)}
        except (TypeError, ValueError) as error:
            raise type(error)(f"{type(layer).__name__}: {field.name}: {error}") from None
    return config


def _write(layer: Value, key: str) -> Any:
    item = getattr(layer, key)
    if key == "dtype":
        return _object("keras", "DTypePolicy", {"name": _policy_name(item)})
    if key == "activation":
        return _write_activation(item, layer)
    if item is None or _kind(key) not in _KINDS:
        return item
    value = _KINDS[_kind(key)].get(item)
    if not isinstance(value, Value) or isinstance(value, initializers.FromFunction):
        raise TypeError(f"expected a name or a value, which can be written down, got the function {shown(item)}")
    if type(value) in _NOT_IN_KERAS:
        raise ValueError(f"Keras has no {type(value).__name__}; for a kernel, VarianceScaling can express it")
    return _object(f"keras.{_kind(key)}s", type(value).__name__, vars(value))


def _write_form(layer: Any) -> dict[str, Any]:
    form = forms.get(layer.kernel_form)
    if form == forms.PLAIN:
        return {}
    if not isinstance(form, forms.LowRank) or forms.get(form.base) != forms.PLAIN or type(layer).__name__ != "Dense":
        raise ValueError(f"Keras has no {form!r} of {type(layer).__name__}")
    return {"lora_rank": form.rank, "lora_alpha": form.rank if form.alpha is None else form.alpha}


def _object(module: str, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": dict(config), "registered_name": None}


def _policy_name(policy: precision.AnyPolicy) -> str:
    name = next((name for name, known in precision.NAMES.items() if policy in (name, known)), None)
    if name is None:
        raise ValueError(f"Keras has no name for {policy!r}; use one of {', '.join(precision.NAMES)}")
    return name


def _write_activation(item: Any, outer: Value) -> Any:
    if item is None or isinstance(item, str):
        return item or "linear"
    if not isinstance(item, Activation):
        raise TypeError(f"expected a name or an Activation, which can be written down, got the function {shown(item)}")
    if not item.arguments:
        return item.name
    layer = next((layer for layer, name in _LAYERS.items() if name == item.name), None)
    if layer is None:
        raise ValueError(f"Keras has no form for {item!r}: it has layers for {', '.join(_LAYERS.values())} alone")
    return _object("keras.layers", layer, {"dtype": _write(outer, "dtype"), **dict(item.arguments)})
