"""Schedules by name beside optax's own."""

import tomllib
from typing import Any

import optax
import pytest
import tomli_w

from densefn._values import TableError
from densefn.training.optax_calls import SCHEDULES
from densefn.training.optimizer import as_optimizer

TABLES: list[dict[str, Any]] = [
    {"name": "constant_schedule", "value": 0.3},
    {"name": "cosine_decay_schedule", "init_value": 1.0, "decay_steps": 10, "alpha": 0.1},
    {"name": "cosine_onecycle_schedule", "transition_steps": 10, "peak_value": 2.0, "pct_start": 0.4},
    {"name": "exponential_decay", "init_value": 1.0, "transition_steps": 4, "decay_rate": 0.5, "staircase": True},
    {
        "name": "join_schedules",
        "schedules": [
            {"name": "linear_schedule", "init_value": 0.0, "end_value": 1.0, "transition_steps": 4},
            {"name": "constant_schedule", "value": 0.5},
            {"name": "cosine_decay_schedule", "init_value": 1.0, "decay_steps": 10},
        ],
        "boundaries": [4, 9],
    },
    {"name": "linear_onecycle_schedule", "transition_steps": 10, "peak_value": 2.0},
    {"name": "linear_schedule", "init_value": 0.0, "end_value": 1.0, "transition_steps": 10},
    {"name": "piecewise_constant_schedule", "init_value": 1.0, "boundaries_and_scales": {"3": 0.1, "10": 0.5}},
    {
        "name": "piecewise_interpolate_schedule",
        "interpolate_type": "cosine",
        "init_value": 1.0,
        "boundaries_and_scales": {"3": 0.1, "10": 0.5},
    },
    {"name": "polynomial_schedule", "init_value": 1.0, "end_value": 0.1, "power": 2, "transition_steps": 10},
    {
        "name": "sgdr_schedule",
        "cosine_kwargs": [
            {"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": 6},
            {"init_value": 0.1, "peak_value": 0.5, "warmup_steps": 1, "decay_steps": 12, "end_value": 0.2},
        ],
    },
    {"name": "warmup_constant_schedule", "init_value": 0.0, "peak_value": 1.0, "warmup_steps": 6},
    {
        "name": "warmup_cosine_decay_schedule",
        "init_value": 0.0,
        "peak_value": 1.0,
        "warmup_steps": 3,
        "decay_steps": 12,
    },
    {
        "name": "warmup_exponential_decay_schedule",
        "init_value": 0.0,
        "peak_value": 1.0,
        "warmup_steps": 3,
        "transition_steps": 5,
        "decay_rate": 0.5,
    },
]


def made_by_optax(table):
    arguments = {key: item for key, item in table.items() if key != "name"}
    if "schedules" in arguments:
        arguments["schedules"] = [made_by_optax(part) for part in arguments["schedules"]]
    if "boundaries_and_scales" in arguments:
        arguments["boundaries_and_scales"] = {int(k): v for k, v in arguments["boundaries_and_scales"].items()}
    return getattr(optax, table["name"])(**arguments)


def adam(table):
    return as_optimizer({"name": "adam", "learning_rate": table})


def test_all_are_here():
    assert {table["name"] for table in TABLES} == SCHEDULES.keys()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["name"])
def test_is_optax_s_own_and_reads_back(table):
    given = adam(table)
    schedule, expected = dict(given.call.arguments)["learning_rate"].make(), made_by_optax(table)
    for step in (0, 1, 4, 9, 15, 99):
        assert float(schedule(step)) == float(expected(step))
    assert as_optimizer(tomllib.loads(tomli_w.dumps(given.to_table()))) == given


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"name": "join_schedules", "schedules": [{"name": "linear", "value": 1}], "boundaries": [-1]},
            r"schedules\[0\].name: unknown schedule 'linear'.*boundaries\[0\]: expected a whole number",
        ),
        (
            {"name": "join_schedules", "schedules": [{"name": "constant_schedule", "value": 1}], "boundaries": [5]},
            "boundaries: expected a step for each schedule but the first, 0, got 1",
        ),
        ({"name": "join_schedules", "schedules": 3, "boundaries": [5]}, "schedules: expected a list, got 3"),
        (
            {"name": "sgdr_schedule", "cosine_kwargs": [{"init_value": 1, "peek_value": 1}]},
            r"cosine_kwargs\[0\].peek_value: unknown argument 'peek_value'.*Did you mean 'peak_value'",
        ),
        ({"name": "sgdr_schedule", "cosine_kwargs": [1]}, r"cosine_kwargs\[0\]: expected a table of the arguments"),
        (
            {
                "name": "warmup_cosine_decay_schedule",
                "init_value": 0,
                "peak_value": 1,
                "warmup_steps": 9,
                "decay_steps": 9,
            },
            "optax.warmup_cosine_decay_schedule refuses these arguments: .*positive",
        ),
    ],
)
def test_mistakes(table, message):
    with pytest.raises(TableError, match=f"^learning_rate.*{message}"):
        adam(table)


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("exponential_decay", {"transition_steps": 0}, "whole number of at least 1, got 0"),
        ("exponential_decay", {"decay_rate": 0}, "finite number above 0, got 0"),
        ("exponential_decay", {"end_value": -1.0}, "finite number of at least 0, got -1.0"),
        ("linear_schedule", {"transition_steps": -10}, "whole number of at least 1, got -10"),
        ("linear_schedule", {"transition_begin": -1}, "whole number of at least 0, got -1"),
        ("polynomial_schedule", {"transition_steps": 2**31}, "whole number .* at most 2147483647, got 2147483648"),
        ("polynomial_schedule", {"power": -1}, "finite number above 0, got -1"),
        ("cosine_decay_schedule", {"decay_steps": 2.5}, "whole number of at least 1, got 2.5"),
        ("warmup_constant_schedule", {"warmup_steps": -1}, "whole number of at least 0, got -1"),
        ("warmup_constant_schedule", {"peak_value": 0}, "finite number above 0, got 0"),
        ("constant_schedule", {"value": -0.1}, "finite number of at least 0, got -0.1"),
        ("cosine_onecycle_schedule", {"div_factor": 0}, "finite number above 0, got 0"),
        ("linear_onecycle_schedule", {"pct_start": 1.5}, "finite number of at least 0 of at most 1, got 1.5"),
        ("join_schedules", {"boundaries": [9, 4]}, r"steps that increase, got \[9, 4\]"),
    ],
)
def test_arguments_out_of_range(name, changed, message):
    table = next(table for table in TABLES if table["name"] == name)
    with pytest.raises(TableError, match=rf"^learning_rate\.{next(iter(changed))}: expected (a )?{message}$"):
        adam(table | changed)


def test_a_rate_of_zero_is_one_where_a_schedule_rests():
    table = {"name": "constant_schedule", "value": 0}
    assert dict(adam(table).call.arguments)["learning_rate"].make()(3) == 0
