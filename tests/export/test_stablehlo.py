"""jax.export calls what is written for it."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from densefn import Dense, Sequential
from densefn.export import Affine, Model
from densefn.export.stablehlo import write
from tests.export.cases import LAYERS, NARROW, model, rows


def drawn(layer, shape):
    """A model with parameters that NumPy draws, as JAX would compile each draw."""
    normal = np.random.default_rng(1).normal
    draw = lambda w: jnp.asarray(normal(size=w.shape) / np.sqrt(w.shape[-1]), w.dtype)
    declared = jax.eval_shape(lambda key: layer.init(key, shape), jax.random.key(1))
    return Model(layer, jax.tree.map(draw, declared), shape)


def exported(made, tmp_path):
    write(made, tmp_path / "model.stablehlo")
    return jax.export.deserialize(bytearray((tmp_path / "model.stablehlo").read_bytes()))


@pytest.mark.parametrize("name", [*LAYERS, *NARROW, "a function"])
def test_jax_gives_the_same_outputs(name, tmp_path):
    layer, shape = (LAYERS | NARROW | {"a function": (Sequential(Dense(3), jnp.sin), (None, 4))})[name]
    made = drawn(layer, shape)
    program = exported(made, tmp_path)
    assert program.platforms == ("cpu", "cuda", "rocm", "tpu")
    batches = [rows(shape, batch) for batch in (1, 7)]
    exports = jax.jit(lambda *batches: [program.call(x) for x in batches])(*batches)
    ours = jax.jit(lambda params, *batches: [made.apply(params, x) for x in batches])(made.params, *batches)
    jax.tree.map(np.testing.assert_array_equal, exports, ours)


def test_an_empty_batch_is_refused_by_jax(tmp_path):
    with pytest.raises(ValueError, match="Expected value >= 1 for dimension variable 'batch'"):
        exported(model(Dense(3), (None, 4)), tmp_path).call(rows((None, 4), 0))


def test_rows_are_in_their_own_units_and_so_are_targets(tmp_path):
    made = model(Dense(2), (None, 3), inputs=Affine((5, -1, 0), (2, 0.5, 1)), outputs=Affine((100, -7), (10, 0.1)))
    x = rows((None, 3), 7)
    kernel, bias = (np.asarray(made.params[name], np.float64) for name in ("kernel", "bias"))
    expected = ((x - [5.0, -1, 0]) / [2, 0.5, 1] @ kernel + bias) * [10, 0.1] + [100, -7]
    np.testing.assert_allclose(exported(made, tmp_path).call(x), expected, rtol=1e-6, atol=1e-5)
