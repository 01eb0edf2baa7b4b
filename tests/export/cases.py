"""The models that every format is tried with."""

import jax
import numpy as np

from densefn import (
    Activation,
    Dense,
    Einsum,
    Frozen,
    Group,
    Layer,
    Remat,
    Repeat,
    Residual,
    Sequential,
    activations,
)
from densefn.export import Model

WITH_ARGUMENTS = [
    Activation("celu", alpha=0.3),
    Activation("elu", alpha=0.3),
    Activation("gelu", approximate=True),
    Activation("glu", axis=-1),
    Activation("hard_shrink", threshold=0.1),
    Activation("leaky_relu", negative_slope=0.1),
    Activation("log_softmax", axis=-1),
    Activation("relu", negative_slope=0.1, max_value=1.0, threshold=0.2),
    Activation("soft_shrink", threshold=0.1),
    Activation("softmax", axis=0),
    Activation("squareplus", b=2.0),
    Activation("threshold", threshold=0.3, default_value=-1.0),
]

LAYERS = {
    **{name: (Dense(6, name), (None, 4)) for name in activations.NAMES if name != "threshold"},
    **{repr(activation): (Dense(6, activation), (None, 4)) for activation in WITH_ARGUMENTS},
    "without bias": (Dense(3, use_bias=False), (None, 4)),
    "two": (Sequential(Dense(8, "relu", kernel_regularizer="l2", activity_regularizer="l1"), Dense(3)), (None, 4)),
    "rank 3": (Sequential(Dense(8, "relu"), Dense(3, "softmax")), (None, None, 4)),
    "a fixed axis": (Dense(3), (None, 5, 4)),
    "heads": (Einsum("...i,ihd->...hd", (2, 3), "tanh"), (None, 4)),
    "heads of rank 3": (Einsum("...i,ihd->...hd", (2, 3), bias_axes="h"), (None, None, 4)),
    "heads and back": (Sequential(Einsum("bi,ihd->bhd", (2, 3)), Einsum("bhd,hdo->bo", 4, use_bias=False)), (None, 4)),
    "experts": (Einsum("ebi,eio->ebo", 3, "relu"), (2, None, 4)),
    "a sum": (Einsum("bji,io->bo", 3), (None, 5, 4)),
    "repeat": (Repeat(Residual(Dense(4, "tanh")), 3), (None, 4)),
    "repeat in repeat": (Repeat(Sequential(Dense(4), Repeat(Dense(4, "tanh"), 2)), 3), (None, 4)),
    "repeated function": (Repeat("tanh", 3), (None, 4)),
    "residual": (Residual(Sequential(Dense(8, "relu"), Residual(Dense(8)), Dense(4))), (None, 4)),
    "functions": (
        Sequential("relu", Dense(4), "glu", Activation("leaky_relu", negative_slope=0.5), Dense(3)),
        (None, 4),
    ),
    "remat and frozen": (Sequential(Remat(Dense(4, "tanh")), Frozen(Repeat(Remat(Dense(4)), 2))), (None, 4)),
    "nothing": (Sequential("linear"), (None, 4)),
}


class ActorCritic(Group):
    """Two outputs of one torso, which is applied twice."""

    torso: Layer
    actor: Layer
    critic: Layer

    def run(self, parts, x):
        hidden = parts.torso(parts.torso(x))
        return {"logits": parts.actor(hidden), "value": parts.critic(hidden)[..., 0]}


GROUP = ActorCritic(Repeat(Residual(Dense(4, "tanh")), 2), Dense(3, "softmax"), Sequential(Dense(5, "relu"), Dense(1)))

NARROW = {
    name: (Sequential(Dense(64, "gelu", dtype=name), Repeat(Residual(Dense(64, dtype=name)), 2), "tanh"), (None, 4))
    for name in ("bfloat16", "float16", "mixed_bfloat16", "mixed_float16")
}


def model(layer, shape, **affine):
    return Model(layer, layer.init(jax.random.key(1), shape), shape, **affine)


def rows(shape, batch):
    sizes = iter((batch, 3))
    return np.random.default_rng(batch).normal(size=[next(sizes) if n is None else n for n in shape]).astype("float32")
