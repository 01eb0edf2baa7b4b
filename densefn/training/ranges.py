"""The ranges of the numbers that optax's optimizers and schedules take, by the name of the argument.

Names that mean different things in different functions, such as `alpha` and `beta`, are not listed. A schedule may
start, rest or end at 0.
"""

from densefn import checks

MOST_STEPS = 2**31 - 1
"""The largest count of updates: optax counts them in int32."""

_RANGES = {
    "learning_rate max_learning_rate peak_value decay_rate power div_factor final_div_factor": checks.number(above=0),
    "clipping_threshold trust_coefficient scaling": checks.number(above=0),
    "value init_value end_value eps eps_root weight_decay weight_decay_rate": checks.number(minimum=0),
    "eta gamma initial_accumulator_value initial_scale min_norm min_step_size max_step_size": checks.number(minimum=0),
    "b1 b2 b3 rho decay momentum": checks.number(minimum=0, below=1),
    "pct_start pct_final": checks.number(minimum=0, maximum=1),
    "transition_steps decay_steps memory_size": checks.whole(minimum=1, maximum=MOST_STEPS),
    "warmup_steps transition_begin key seed": checks.whole(minimum=0, maximum=MOST_STEPS),
}
NUMBERS = {name: check for names, check in _RANGES.items() for name in names.split()}
