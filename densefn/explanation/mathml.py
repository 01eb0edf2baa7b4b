"""Converts the formulas of the text to MathML, so that page and text cannot differ.

A formula is parsed as Python, after notation that Python lacks is replaced: `z^2`, `|z|`, `x^T`, `dL/dx`, `tanh'(z)`.
Brackets hold a shape: `x[32, 100]` becomes an x with the subscript 32 x 100. Words after a formula remain words.
"""

import ast
import html
import re
from collections.abc import Iterable, Iterator

_OPENING = '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">'
_GREEK = {"Phi": "Φ", "tau": "τ"}
_MINUS, _TIMES, _PRIME = "\u2212", "\u00d7", "\u2032"
_SIGNS = {ast.Add: "+", ast.Sub: _MINUS, ast.Lt: "<", ast.LtE: "≤", ast.Gt: ">", ast.GtE: "≥"}
_PRODUCTS = {ast.Mult: "<mo>·</mo>", ast.MatMult: '<mspace width="0.2em"/>'}
# Precedence: an operand with a lower one than its operator needs parentheses.
_BINDING = {ast.Add: 1, ast.Sub: 1, ast.Mult: 2, ast.MatMult: 2, ast.Pow: 3}


def mathml(formula: str) -> str | None:
    """Converts a formula to MathML; None if the text is not a formula.

    Args:
      formula: such as `"y[N, 2] = x[N, 3] @ kernel[3, 2]"`.

    Returns:
      A `math` element.

    >>> mathml("z^2 / 4").partition(">")[2]
    '<mfrac><msup><mi>z</mi><mn>2</mn></msup><mn>4</mn></mfrac></math>'
    """
    try:
        return f"{_OPENING}{''.join(_statement(formula))}</math>"
    except SyntaxError:
        return None


def assigned(name: str, rows: Iterable[Iterable[float]]) -> str:
    """The MathML of `name = matrix`."""
    cells = ("".join(f"<mtd>{_number(entry)}</mtd>" for entry in row) for row in rows)
    table = f"<mtable>{''.join(f'<mtr>{row}</mtr>' for row in cells)}</mtable>"
    return f"{_OPENING}{_name(name)}{_operator('=')}<mrow>{_operator('[')}{table}{_operator(']')}</mrow></math>"


def _number(value: float) -> str:
    digits = f"<mn>{abs(value):.4g}</mn>"
    return f"<mrow>{_operator(_MINUS)}{digits}</mrow>" if value < 0 else digits


def _marked(formula: str) -> str:
    """The formula in Python's notation."""
    for found, python in (
        (r"\^T\b", ".T"),
        (r"\^", "**"),
        (r"\|(\w+)\|", r"abs(\1)"),
        (r"(\w+)'\(", r"prime_\1("),
        (r"\bdL/d(\w+)", r"gradient_\1"),
        # The first pattern is a sum inside an expression. Its parentheses become those of the call.
        (r"\(sum of (.+?) over ((?:the |axis |its )[\w ]+)\)", r"total(\1, '\2')"),
        (r"\bsum of (.+?) over ((?:the |axis |its )[\w* ]+)", r"total(\1, '\2')"),
    ):
        formula = re.sub(found, python, formula)
    return formula


def _statement(text: str) -> Iterator[str]:
    """The MathML of cases with their conditions, or of a formula and any words after it."""
    left, equals, right = text.partition(" = ")
    if text.endswith(" elsewhere"):
        yield from (*_expression(left), _operator("=")) if equals else ()
        yield _cases(_pieces(right if equals else text))
        return
    formula, *words = _pieces(text)
    sides = re.split(r" (=|~) ", formula)
    for side in sides:
        yield _operator(side) if side in "=~" else "".join(_expression(side))
    for each in words:
        yield '<mtext>,</mtext><mspace width="1em"/>'
        try:
            yield "".join(_statement(each))
        except SyntaxError:
            yield _text(each)


def _pieces(text: str) -> list[str]:
    """The text split at commas outside brackets."""
    pieces, depth = [""], 0
    for part in re.split(r"(, |[(\[\])])", text):
        depth += (part in ("(", "[")) - (part in (")", "]"))
        if part == ", " and not depth:
            pieces.append("")
        else:
            pieces[-1] += part
    return pieces


def _cases(cases: list[str]) -> str:
    rows = []
    for case in cases:
        value, _, condition = case.removesuffix(" elsewhere").partition(" where ")
        when = f"<mtext>where\u00a0</mtext>{''.join(_expression(condition))}" if condition else _text("elsewhere")
        rows.append(f"<mtr>{_cell(''.join(_expression(value)))}{_cell(when)}</mtr>")
    return f"<mrow>{_operator('{')}<mtable>{''.join(rows)}</mtable></mrow>"


def _cell(content: str) -> str:
    return f'<mtd style="text-align: left">{content}</mtd>'


def _expression(text: str) -> Iterator[str]:
    marked = _marked(text.strip())
    yield _written(ast.parse(marked, mode="eval").body, marked)


def _written(node: ast.AST, text: str) -> str:  # noqa: PLR0911
    """The MathML of a node of the syntax tree.

    Args:
      node: the node.
      text: the formula, from which numbers are copied as they are written.
    """
    match node:
        case ast.Constant():
            return f"<mn>{html.escape(ast.get_source_segment(text, node) or '')}</mn>"
        case ast.Name(id=name):
            return _name(name)
        case ast.Attribute(value=value, attr="T"):
            return f"<msup>{_written(value, text)}<mi>T</mi></msup>"
        case ast.Subscript(value=ast.Attribute(value=value, attr="T"), slice=shape):
            return f"<msubsup>{_written(value, text)}{_sizes(shape, text)}<mi>T</mi></msubsup>"
        case ast.Subscript(value=value, slice=shape):
            return f"<msub>{_written(value, text)}{_sizes(shape, text)}</msub>"
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return f"<mrow>{_operator(_MINUS)}{_inside(operand, 2, text)}</mrow>"
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return f"<mfrac>{_written(left, text)}{_written(right, text)}</mfrac>"
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"<msup>{_inside(left, 4, text)}{_written(right, text)}</msup>"
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _BINDING:
            binding = _BINDING[type(operator)]
            sign = _PRODUCTS.get(type(operator)) or _operator(_SIGNS[type(operator)])
            return f"<mrow>{_inside(left, binding, text)}{sign}{_inside(right, binding + 0.5, text)}</mrow>"
        case ast.Compare(left=left, ops=[operator], comparators=[right]) if type(operator) in _SIGNS:
            return f"<mrow>{_written(left, text)}{_operator(_SIGNS[type(operator)])}{_written(right, text)}</mrow>"
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=keywords):
            return _call(name, [*arguments, *keywords], text)
    raise SyntaxError(text)


def _sizes(shape: ast.AST, text: str) -> str:
    entries = shape.elts if isinstance(shape, ast.Tuple) else [shape]
    return f"<mrow>{_operator(_TIMES).join(_written(entry, text) for entry in entries)}</mrow>"


def _inside(node: ast.AST, binding: float, text: str) -> str:
    """An operand, in parentheses if its precedence is lower than that of the operator around it."""
    loose = isinstance(node, ast.UnaryOp) and binding > 1
    if loose or (isinstance(node, ast.BinOp) and _BINDING.get(type(node.op), 3) < binding):
        return _fenced("(", _written(node, text), ")")
    return _written(node, text)


def _fenced(left: str, content: str, right: str) -> str:
    """The content in brackets, which stretch around fractions, sums and matrices only."""
    tall = "" if re.search("<(mfrac|munder|mtable)", content) else ' stretchy="false"'
    return f"<mrow><mo{tall}>{left}</mo>{content}<mo{tall}>{right}</mo></mrow>"


def _call(name: str, arguments: list[ast.AST], text: str) -> str:  # noqa: PLR0911
    if name == "einsum":
        return _einsum(arguments, text)
    first = _written(arguments[0], text)
    if name == "entry":
        index = _operator(",").join(_written(argument, text) for argument in arguments[1:])
        return f"<msub>{first}<mrow>{index}</mrow></msub>"
    if name == "sqrt":
        return f"<msqrt>{first}</msqrt>"
    if name == "abs":
        return _fenced("|", first, "|")
    if name in ("total", "sum"):
        over = "".join(_over(argument) for argument in arguments[1:])
        sign = f"<munder>{_operator('∑')}{over}</munder>" if over else _operator("∑")
        return f"<mrow>{sign}{_inside(arguments[0], 2, text)}</mrow>"
    if name == "exp":
        return f"<msup><mi>e</mi>{first}</msup>"
    listed = _operator(",").join(_written(argument, text) for argument in arguments)
    return f"<mrow>{_name(name)}{_fenced('(', listed, ')')}</mrow>"


def _over(argument: ast.AST) -> str:
    """The text below the sign of a sum: words, or an axis."""
    if isinstance(argument, ast.keyword):
        return _text(f"{argument.arg} {ast.unparse(argument.value)}")
    return _text(ast.literal_eval(argument))


def _einsum(arguments: list[ast.AST], text: str) -> str:
    """An einsum as a sum over the contracted axes, with the letters of the equation as indices."""
    equation = ast.literal_eval(arguments[0])
    operands, result = equation.split("->")
    summed = dict.fromkeys(axis for axis in operands.replace(",", "").replace(".", "") if axis not in result)
    factors = []
    for array, axes in zip(arguments[1:], operands.split(","), strict=True):
        letters = f"<mrow>{''.join(f'<mi>{axis}</mi>' for axis in axes.replace('...', '…'))}</mrow>"
        if isinstance(array, ast.Subscript):
            shape = _sizes(array.slice, text)
            factors.append(f"<msubsup>{_written(array.value, text)}{letters}{shape}</msubsup>")
        else:
            factors.append(f"<msub>{_written(array, text)}{letters}</msub>")
    under = "".join(f"<mi>{axis}</mi>" for axis in summed)
    sign = f"<munder>{_operator('∑')}<mrow>{under}</mrow></munder>" if under else ""
    return f"<mrow>{sign}{''.join(factors)}</mrow>"


def _name(name: str) -> str:
    if name.startswith("gradient_"):
        partial = f"<mrow><mi>∂</mi>{_name(name.removeprefix('gradient_'))}</mrow>"
        return f"<mfrac><mrow><mi>∂</mi><mi>L</mi></mrow>{partial}</mfrac>"
    if name.startswith("prime_"):
        return f"<mrow>{_name(name.removeprefix('prime_'))}{_operator(_PRIME)}</mrow>"
    return f"<mi>{html.escape(_GREEK.get(name, name))}</mi>"


def _operator(sign: str) -> str:
    return f"<mo>{html.escape(sign)}</mo>"


def _text(words: str) -> str:
    return f"<mtext>{html.escape(words)}</mtext>"
