"""jax.export calls what is written for it."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from densefn import Dense, Sequential
from densefn.export import Affine
from densefn.export.stablehlo import write
from tests.export.cases import LAYERS, NARROW, model, rows


def exported(made, tmp_path):
    write(made, tmp_path / "model.stablehlo")
    return jax.export.deserialize(bytearray((tmp_path / "model.stablehlo").read_bytes()))


@pytest.mark.parametrize("name", [*LAYERS, *NARROW, "a function"])
def test_jax_gives_the_same_outputs(name, tmp_path):
    layer, shape = (LAYERS | NARROW | {"a function": (Sequential(Dense(3), jnp.sin), (None, 4))})[name]
    made = model(layer, shape)
    program = exported(made, tmp_path)
    assert program.platforms == ("cpu", "cuda", "rocm", "tpu")
    for batch in (1, 7):
        x = rows(shape, batch)
        np.testing.assert_array_equal(program.call(x), jax.jit(made.apply)(made.params, x))


def test_an_empty_batch_is_refused_by_jax(tmp_path):
    with pytest.raises(ValueError, match="Expected value >= 1 for dimension variable 'batch'"):
        exported(model(Dense(3), (None, 4)), tmp_path).call(rows((None, 4), 0))


def test_rows_are_in_their_own_units_and_so_are_targets(tmp_path):
    made = model(Dense(2), (None, 3), inputs=Affine((5, -1, 0), (2, 0.5, 1)), outputs=Affine((100, -7), (10, 0.1)))
    x = rows((None, 3), 7)
    kernel, bias = (np.asarray(made.params[name], np.float64) for name in ("kernel", "bias"))
    expected = ((x - [5.0, -1, 0]) / [2, 0.5, 1] @ kernel + bias) * [10, 0.1] + [100, -7]
    np.testing.assert_allclose(exported(made, tmp_path).call(x), expected, rtol=1e-6, atol=1e-5)
