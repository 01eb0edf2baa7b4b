"""The checks of fields, and the tables of them."""

import math
import pickle
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from densefn import L2, Dense, MaxNorm, _checks
from densefn._errors import LayerTypeError, LayerValueError
from densefn._values import Problem, TableError, Value, build, dotted


class Inner(Value):
    size: Annotated[int, _checks.whole(minimum=1)]
    name: Annotated[str, _checks.text] = "inner"


class Outer(Value):
    inner: Annotated[Inner, _checks.section(Inner)]
    rate: Annotated[float, _checks.number(above=0, below=1)] = 0.5
    on: Annotated[bool, _checks.flag] = True

    def check_together(self):
        if self.on and self.rate > 0.9:
            raise ValueError("a rate above 0.9 needs on = false")


def test_a_table_becomes_a_value_and_back():
    table = {"inner": {"size": 3, "name": "a"}, "rate": 0.25, "on": False}
    value = build(Outer, table)
    assert value == Outer(Inner(3, "a"), 0.25, on=False)
    assert value.to_table() == table


def test_all_mistakes_of_a_table_are_collected():
    with pytest.raises(TableError) as error:
        build(Outer, {"inner": {"sise": 3, "name": 4}, "rate": 1, "onn": True})
    paths = [dotted(problem.path) for problem in error.value.problems]
    assert paths == ["inner.sise", "inner.name", "inner", "rate", "onn"]
    assert "Did you mean 'size'?" in str(error.value)
    assert "inner: missing key 'size'" in str(error.value)


def test_fields_that_do_not_fit_together_are_one_mistake():
    with pytest.raises(TableError, match="needs on = false"):
        build(Outer, {"inner": {"size": 3}, "rate": 0.95})
    with pytest.raises(ValueError, match="needs on = false"):
        Outer(Inner(3), 0.95)


def test_a_value_cannot_be_changed():
    with pytest.raises(AttributeError):
        Inner(3).size = 4  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("given", [0.1, np.float32(0.1), jnp.float32(0.1), np.float64(0.1), 1, np.int32(1)])
def test_numbers_of_numpy_and_jax_are_numbers(given):
    assert L2(given) == L2(float(given))
    assert type(L2(given).l2) is float


@pytest.mark.parametrize("given", [-1, math.nan, math.inf, "0.1", True, None, jnp.ones(2), [1]])
def test_what_is_no_number_is_refused(given):
    with pytest.raises((TypeError, ValueError), match="l2: expected a finite number of at least 0"):
        L2(given)


def test_a_traced_number_is_refused():
    with pytest.raises(TypeError, match="expected a finite number"):
        jax.jit(lambda rate: L2(rate)(jnp.ones(3)))(0.1)


def test_axes_are_whole_numbers_or_several():
    assert MaxNorm(axis=[0, -1]).axis == (0, -1)
    for wrong in (0.5, True, [0.5], "0"):
        with pytest.raises(TypeError, match="axis: expected a whole number"):
            MaxNorm(axis=wrong)


@pytest.mark.parametrize(
    "error",
    [
        TableError([Problem(("a", 1), "wrong")]),
        LayerValueError(Dense(3), "wrong", ("0", "1")),
        LayerTypeError(Dense(3), "wrong"),
    ],
)
def test_errors_pickle(error):
    same = pickle.loads(pickle.dumps(error))
    assert (type(same), str(same)) == (type(error), str(error))


def test_paths_are_written_as_in_a_config():
    assert dotted(("model", "layers", 1, "units")) == "model.layers[1].units"
    assert dotted(()) == ""
