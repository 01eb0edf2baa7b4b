"""The ranges of the numbers that optax's optimizers and schedules take, by the name of the argument.

Names that mean different things in different functions, such as `alpha` and `beta`, are not listed. A schedule may
start, stay or end at 0. A number must be in its range in float32 too, where an `eps` of 1e-50 would be 0.
"""

from collections.abc import Callable
from typing import Any

from densefn import _checks


def _number(**bounds: float) -> Callable[[Any], float]:
    return _checks.in_float32(_checks.number(**bounds))


_RANGES = {
    "learning_rate max_learning_rate peak_value decay_rate power div_factor final_div_factor": _number(above=0),
    "clipping_threshold trust_coefficient scaling": _number(above=0),
    "value init_value end_value eps eps_root weight_decay weight_decay_rate": _number(minimum=0),
    "eta gamma initial_accumulator_value initial_scale min_norm min_step_size max_step_size": _number(minimum=0),
    "b1 b2 b3 rho decay momentum": _number(minimum=0, below=1),
    "pct_start pct_final": _number(minimum=0, maximum=1),
    "transition_steps decay_steps memory_size": _checks.whole(minimum=1),
    "warmup_steps transition_begin key seed": _checks.whole(minimum=0),
}
NUMBERS = {name: check for names, check in _RANGES.items() for name in names.split()}
