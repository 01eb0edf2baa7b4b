"""Machines with stated peaks, and the least time of a pass on them.

A pass takes at least operations / peak, and at least bytes / bandwidth. This is the roofline model of Williams,
Waterman and Patterson, "Roofline: an insightful visual performance model for multicore architectures", 2009.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from densefn.explanation.cost import Cost


@dataclass(frozen=True)
class Machine:
    """The stated peaks of a processor. Nothing is measured.

    Args:
      name: the name to show.
      flops: the peak for products of float32 arrays, in operations per second.
      bandwidth: the peak between processor and memory, in bytes per second.
      narrow_flops: the peak for products of bfloat16 and float16 arrays; None for the same as float32.
    """

    name: str
    flops: float
    bandwidth: float
    narrow_flops: float | None = None

    def peak(self, operands: str) -> float:
        """The peak for operands of a dtype, in operations per second."""
        is_narrow = operands in ("bfloat16", "float16")
        return (self.narrow_flops if is_narrow else None) or self.flops

    def ridge(self, operands: str) -> float:
        """The FLOPs per byte above which compute is the bound."""
        return self.peak(operands) / self.bandwidth

    def roofline(self, parts: Sequence[tuple[Cost, str]]) -> "Roofline":
        """The bounds of a model on this machine.

        Args:
          parts: the cost of each part, and the dtype of its operands.
        """
        costs = [(cost, self.peak(operands)) for cost, operands in parts]
        computing = [cost.forward_flops / peak for cost, peak in costs]
        moving = [cost.forward_bytes / self.bandwidth for cost, _ in costs]
        forward = sum(map(max, computing, moving))
        backward = sum(max(cost.backward_flops / peak, cost.backward_bytes / self.bandwidth) for cost, peak in costs)
        _, largest = max(parts, key=lambda part: part[0].forward_flops, default=(None, "float32"))
        bound = "compute" if sum(computing) > sum(moving) else "memory"
        return Roofline(self, self.ridge(largest), bound, forward, forward + backward)


@dataclass(frozen=True)
class Roofline:
    """The bounds of a model on a machine.

    Attributes:
      machine: the machine.
      ridge: the FLOPs per byte above which compute is the bound, for the dtype of the largest product.
      bound: "memory" or "compute", the bound of the forward pass.
      forward_seconds: the least time of a forward pass.
      training_seconds: the least time of a forward and a backward pass.
    """

    machine: Machine
    ridge: float
    bound: str
    forward_seconds: float
    training_seconds: float


# From the manufacturers' data sheets, without sparsity. By default, XLA multiplies float32 arrays as TensorFloat-32 on
# these GPUs and as bfloat16 on TPUs, so `flops` is the peak for these formats.
MACHINES = {
    "a100": Machine("NVIDIA A100 SXM 80 GB", 156e12, 2.039e12, 312e12),
    "h100": Machine("NVIDIA H100 SXM", 494.7e12, 3.35e12, 989.4e12),
    "tpu-v5e": Machine("TPU v5e", 197e12, 819e9, 197e12),
}


def find(given: "str | Machine | None") -> tuple[Machine, ...]:
    """Finds the machines that an argument names.

    Args:
      given: a machine; a name; FLOP/s and bytes/s such as `"2e12,50e9"`; or None for all machines with a name.

    Raises:
      ValueError: for any other text.

    >>> find("2e12,50e9")[0].ridge("float32")
    40.0
    """
    if given is None:
        return tuple(MACHINES.values())
    if isinstance(given, Machine):
        return (given,)
    if given in MACHINES:
        return (MACHINES[given],)
    try:
        flops, bandwidth = map(float, given.split(","))
        if not (0 < flops < float("inf") and 0 < bandwidth < float("inf")):
            raise ValueError
    except ValueError:
        names = ", ".join(MACHINES)
        raise ValueError(
            f"expected a machine: one of {names}, or FLOP/s and bytes/s such as 2e12,50e9; got {given!r}"
        ) from None
    return (Machine("yours", flops, bandwidth),)
