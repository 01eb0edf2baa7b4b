"""An explanation as sections of paragraphs, formulas, tables and pictures, which `text` and `page` render."""

from collections.abc import Iterator
from dataclasses import dataclass

from densefn.explanation.density import Density
from densefn.explanation.facts import Contraction, Example, Facts, Part, Product
from densefn.explanation.machines import Roofline
from densefn.summary import Summary


@dataclass(frozen=True)
class Formulas:
    """One formula per line."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header. The first cell of a row is its heading."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Flow:
    """The flow of values and gradients through a layer. Only pages draw it; the formulas beside it say the same."""

    product: Product


@dataclass(frozen=True)
class Rooflines:
    """The rooflines of machines. Only pages draw them; the table beside them says the same."""

    machines: tuple[Roofline, ...]
    intensity: float


Block = str | Formulas | Table | Product | Contraction | Density | Flow | Example | Summary | Rooflines


@dataclass(frozen=True)
class Section:
    """A title and its blocks; `code` is whether the title is code."""

    title: str
    blocks: tuple[Block, ...]
    code: bool = False


def sections(explanation: Facts) -> Iterator[Section]:
    """The sections of an explanation, in reading order."""
    if len(explanation.model.rows) > 1:
        yield Section("Layers", (explanation.model,))
    for part in explanation.parts:
        name = f"{part.path}: {part.layer}" if part.path else part.layer
        times = f", {part.times} times" if part.times > 1 else ""
        yield Section(name + times, tuple(_part(part)), code=True)
    yield Section("Counts", (_counts(explanation), _batch(explanation)))
    loops = ["XLA counts the body of a loop once."] if any(part.times > 1 for part in explanation.parts) else []
    yield Section("After compilation by XLA", (_compiled(explanation), *loops))
    if explanation.cost.forward_bytes:
        yield Section("Roofline", tuple(_roofline(explanation)))


def _part(part: Part) -> Iterator[Block]:
    yield Formulas((part.equation,))
    if part.product is not None:
        yield part.product
    if part.contraction is not None:
        yield part.contraction
    yield from part.remarks
    if part.activation is not None:
        yield Formulas((part.activation,))
    if part.parameters:
        yield Table(
            ("parameter", "shape", "count", "initial value"),
            tuple((p.name, str(list(p.shape)), f"{p.count:,}", p.initial) for p in part.parameters),
        )
        yield from (p.density for p in part.parameters if p.density is not None)
    penalties = [p.penalty for p in part.parameters if p.penalty] + ([part.activity] if part.activity else [])
    if penalties:
        yield "Penalties to add to the loss:"
        yield Formulas(tuple(penalties))
    constraints = [f"{p.name} = {p.constraint}" for p in part.parameters if p.constraint]
    if constraints:
        yield "Constraints to apply after each step of the optimizer:"
        yield Formulas(tuple(constraints))
    if part.gradients:
        yield "Gradients of a loss L, with g = dL/dz before the activation:"
        if part.product is not None:
            yield Flow(part.product)
        yield Formulas(part.gradients)
    if part.example is not None:
        yield "A small example to check by hand, with two rows, three inputs and two units:"
        yield part.example


def _whose(frozen: int) -> str:
    return f"parameters, {frozen:,} of them frozen" if frozen else "parameters, all trainable"


def _counts(explanation: Facts) -> Table:
    cost, memory = explanation.cost, explanation.memory
    return Table(
        ("", "figure"),
        (
            (_whose(explanation.frozen), f"{explanation.count:,}"),
            ("operations (FLOPs) forward", f"{cost.forward_flops:,.0f}"),
            ("operations (FLOPs) backward", f"{cost.backward_flops:,.0f}"),
            ("bytes moved forward", f"{cost.forward_bytes:,.0f}"),
            ("bytes moved backward", f"{cost.backward_bytes:,.0f}"),
            ("arithmetic intensity, FLOPs/byte forward", f"{explanation.intensity:.1f}"),
            ("bytes of parameters", f"{memory.parameters:,}"),
            ("bytes of gradients", f"{memory.gradients:,}"),
            ("bytes of Adam's state", f"{memory.adam:,}"),
            ("bytes of activations: input and outputs", f"{memory.activations:,}"),
        ),
    )


def _batch(explanation: Facts) -> str:
    shape = explanation.input_shape
    where = "one example (N = 1)" if None in shape else f"an input of shape {shape}"
    return (
        f"Operations and bytes are for {where}. An addition is one operation, and so is a multiplication. "
        "Functions such as exp and tanh are not counted. The bytes assume two passes over memory: one for the product, "
        "and one for bias and activation."
    )


def _compiled(explanation: Facts) -> Table:
    rows = (("forward", explanation.forward), ("forward and backward", explanation.training))
    return Table(
        (f"on {explanation.forward.platform}", "dots", "fusions", "FLOPs", "bytes"),
        tuple((name, str(it.dots), str(it.fusions), f"{it.flops:,.0f}", f"{it.bytes:,.0f}") for name, it in rows),
    )


def _roofline(explanation: Facts) -> Iterator[Block]:
    yield (
        "A pass takes at least FLOPs / (FLOP/s) and at least bytes / (bytes/s). The larger of the two bounds its time. "
        "FLOP/s and bytes/s are the manufacturers' figures, or those that you gave. Nothing was measured."
    )
    yield Rooflines(explanation.rooflines, explanation.intensity)
    yield Table(
        ("machine", "FLOP/s", "bytes/s", "compute-bound above", "bound", "forward", "with backward"),
        tuple(
            (
                it.machine.name,
                f"{it.ridge * it.machine.bandwidth:.4g}",
                f"{it.machine.bandwidth:.4g}",
                f"{it.ridge:.4g} FLOPs/byte",
                it.bound,
                f"{1e6 * it.forward_seconds:.3g} µs",
                f"{1e6 * it.training_seconds:.3g} µs",
            )
            for it in explanation.rooflines
        ),
    )
