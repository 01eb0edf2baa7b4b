"""An explanation as sections of paragraphs, code, tables and pictures, which each writer writes in its own form."""

from collections.abc import Iterator
from dataclasses import dataclass

from densefn.explanation.facts import Example, Facts, Part, Product


@dataclass(frozen=True)
class Code:
    """Lines to be shown as they are."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header; the first column is text, the others are numbers or short."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = str | Code | Table | Product


@dataclass(frozen=True)
class Section:
    """A title, which may be code, and what stands under it."""

    title: str
    blocks: tuple[Block, ...]
    code: bool = False


def sections(explanation: Facts) -> Iterator[Section]:
    """The sections of an explanation, in the order in which they are read."""
    for part in explanation.parts:
        name = f"{part.path}: {part.layer}" if part.path else part.layer
        times = f", {part.times} times" if part.times > 1 else ""
        yield Section(name + times, tuple(_part(part)), code=True)
    yield Section("Counts", (_counts(explanation), _batch(explanation)))
    loops = ["The body of a loop is counted once."] if any(part.times > 1 for part in explanation.parts) else []
    yield Section("What XLA makes of it", (_compiled(explanation), *loops))


def _part(part: Part) -> Iterator[Block]:
    yield Code((part.equation,))
    if part.product is not None:
        yield part.product
    yield from part.remarks
    if part.parameters:
        yield Table(
            ("parameter", "shape", "count", "initial value"),
            tuple((p.name, str(list(p.shape)), f"{p.count:,}", p.initial) for p in part.parameters),
        )
    for p in part.parameters:
        if p.penalty:
            yield f"Penalty, to be added to the loss: {p.penalty}."
        if p.constraint:
            yield f"After each step of the optimizer: {p.name} = {p.constraint}."
    if part.gradients:
        yield "Gradients of a loss L:"
        yield Code(part.gradients)
    if part.example is not None:
        yield "By hand, for two rows of three inputs and two units:"
        yield Code(tuple(_by_hand(part.example)))


def _by_hand(example: Example) -> Iterator[str]:
    yield f"x = {_matrix(example.x)}"
    yield f"kernel = {_matrix(example.kernel)}"
    if example.bias is not None:
        yield f"bias = [{', '.join(f'{entry:g}' for entry in example.bias)}]"
    for i, row in enumerate(example.x):
        for j, z in enumerate(example.z[i]):
            terms = " + ".join(f"{_signed(a)}*{_signed(b[j])}" for a, b in zip(row, example.kernel, strict=True))
            bias = "" if example.bias is None else f" + {_signed(example.bias[j])}"
            yield f"z[{i}, {j}] = {terms}{bias} = {z:g}"
    yield f"y = {_matrix(example.y)}"


def _signed(number: float) -> str:
    return f"({number:g})" if number < 0 else f"{number:g}"


def _matrix(rows: tuple[tuple[float, ...], ...]) -> str:
    return "[" + ", ".join(f"[{', '.join(f'{entry:.4g}' for entry in row)}]" for row in rows) + "]"


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
    where = (
        "1 in the place of N, which is any number"
        if None in explanation.input_shape
        else f"an input of shape {explanation.input_shape}"
    )
    return (
        f"Operations and bytes are for {where}. An addition and a multiplication are one operation each, functions "
        "such as exp and tanh none. Bytes are those of a product and then a pass for bias and activation."
    )


def _compiled(explanation: Facts) -> Table:
    rows = (("forward", explanation.forward), ("forward and backward", explanation.training))
    return Table(
        (f"after optimization, on {explanation.forward.platform}", "dots", "fusions", "FLOPs", "bytes"),
        tuple((name, str(it.dots), str(it.fusions), f"{it.flops:,.0f}", f"{it.bytes:,.0f}") for name, it in rows),
    )
