"""numexpr's operations: the kinds that each takes and gives, and what it is in our table of operators.

A signature is a letter for the result and one for each argument (see `kinds`); numexpr takes the first whose
arguments the given ones can be cast up to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from arrayexpr._core.nodes import Apply, Cast, Constant, Node, Reduce
from arrayexpr._core.ops import operator

from .kinds import map_type

_UP: Final = "bilfdc"
_UNARY: Final = "ff dd cc"
_COMPARED: Final = "bii bll bff bdd bss"

SIGNATURES: Final[dict[str, str]] = {
    "copy": "bb ii ll ff dd cc ss",
    "cast": "ib li fi fl di dl df ci cl cf cd",
    "invert": "bb ii ll",
    **dict.fromkeys(("and", "or", "xor"), "bbb iii lll"),
    **dict.fromkeys(("eq", "ne"), "bbb bii bll bff bdd bss bcc"),
    **dict.fromkeys(("gt", "ge"), _COMPARED),
    **dict.fromkeys(("ones_like", "neg"), "ii ll ff dd cc"),
    **dict.fromkeys(("add", "sub", "mul", "div"), "iii lll fff ddd ccc"),
    "pow": "iii lll fff ddd ccc",
    **dict.fromkeys(("mod", "floordiv"), "iii lll fff ddd"),
    **dict.fromkeys(("lshift", "rshift"), "iii lll"),
    "where": "ibii lbll fbff dbdd cbcc bbbb",
    **dict.fromkeys(("real", "imag"), "dc"),
    "complex": "cdd",
    "contains": "bss",
    **dict.fromkeys(("sum", "prod"), "iin lln ffn ddn ccn"),
    **dict.fromkeys(("min", "max"), "iin lln ffn ddn"),
    **dict.fromkeys(
        (
            "sqrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh log log1p log10 log2 exp "
            "expm1"
        ).split(),
        _UNARY,
    ),
    **dict.fromkeys(("absolute", "sign", "round"), "ff dd cc ii ll"),
    "conjugate": _UNARY,
    **dict.fromkeys(("ceil", "floor", "trunc"), "ff dd"),
    **dict.fromkeys("fmod arctan2 hypot nextafter copysign maximum minimum".split(), "fff ddd"),
    **dict.fromkeys(("isnan", "isfinite", "isinf"), "bd bf bc"),
    "signbit": "bd bf",
}  # fmt: skip

#: Where an operation of numexpr and one of ours differ in name alone.
_NAMES: Final = {
    "invert": "invert", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "eq": "equal",
    "ne": "not_equal", "gt": "greater", "ge": "greater_equal", "neg": "negative", "add": "add", "sub": "subtract",
    "mul": "multiply",
    "mod": "remainder", "floordiv": "floor_divide", "lshift": "left_shift", "rshift": "right_shift", "where": "where",
    "real": "real", "imag": "imag", "complex": "complex", "sqrt": "sqrt",
    **{name: name for name in SIGNATURES if SIGNATURES[name] == _UNARY},
    **{name: name for name in "sign ceil floor trunc fmod arctan2 hypot nextafter copysign maximum minimum".split()},
    **{name: name for name in ("isnan", "isfinite", "isinf", "signbit")},
}  # fmt: skip
#: ... and how ours are called there.
THEIRS: Final = {ours: theirs for theirs, ours in _NAMES.items()} | {
    "true_divide": "div", "power": "pow", "absolute": "absolute", "rint": "round", "trunc_divide": "div",
}  # fmt: skip

#: min and max pass over NaN.
REDUCTIONS: Final = {"sum": "add", "prod": "multiply", "min": "fmin", "max": "fmax"}


def signature(name: str, result: str, arguments: str) -> str | None:
    """The signature of an operation for the letters of its result and arguments, or None where it has none.

    >>> signature("add", "d", "id"), signature("gt", "b", "if"), signature("invert", "d", "d")
    ('ddd', 'bff', None)
    """
    fits = [
        each
        for each in SIGNATURES.get(name, "").split()
        if each[0] == result and len(each) == len(arguments) + 1 and all(map(_holds, each[1:], arguments))
    ]
    return min(fits, key=lambda each: [_UP.find(code) for code in each[1:]], default=None)


def missing(name: str, codes: str) -> NotImplementedError:
    """What is said, in numexpr's words, of an operation without a signature for such a result and arguments."""
    return NotImplementedError(f"couldn't find matching opcode for '{name}_{codes}'")


def _holds(wanted: str, given: str) -> bool:
    if given in _UP and wanted in _UP:
        return _UP.index(wanted) >= _UP.index(given)
    return wanted == given


def build(name: str, result: str, args: Sequence[Node]) -> Node:
    """Our tree for an operation on arguments that are of its signature's kinds; `result` is the kind of its value."""
    special = _SPECIAL.get(name)
    if special is not None:
        return special(result, *args)
    return Apply(operator(_NAMES[name]), tuple(args))


def _copy(result: str, x: Node) -> Node:
    return x


def _ones_like(result: str, x: Node) -> Node:
    one = Constant(1, x.type.element)
    # Keeps the shape, which a constant has not; `simplify` knows no law of it.
    return Apply(operator("where"), (_is_itself(x), one, one))


def _is_itself(x: Node) -> Node:
    return Apply(operator("equal"), (x, x))


def _div(result: str, x: Node, y: Node) -> Node:
    return Apply(operator("trunc_divide" if x.type.element.kind == "i" else "true_divide"), (x, y))


def _pow(result: str, x: Node, y: Node) -> Node:
    if x.type.element.kind != "i":
        return Apply(operator("power"), (x, y))
    # Of a negative power of an integer the integer part is left: something of 1 and -1 alone.
    t = x.type.element
    zero, one = Constant(0, t), Constant(1, t)
    negative = _apply("less", y, zero)
    if isinstance(y, Constant):
        return _apply("power", x, y) if y.value >= 0 else _inverse_power(x, y, zero, one)
    power = _apply("power", x, _apply("maximum", y, zero))
    return _apply("where", negative, _inverse_power(x, y, zero, one), power)


def _inverse_power(x: Node, y: Node, zero: Node, one: Node) -> Node:
    odd = _apply("equal", _apply("bitwise_and", y, one), one)
    of_minus_one = _apply("where", odd, x, one)
    is_one = _apply("equal", x, one)
    is_minus_one = _apply("equal", x, Constant(-1, x.type.element))
    return _apply("where", is_one, one, _apply("where", is_minus_one, of_minus_one, zero))


def _absolute(result: str, x: Node) -> Node:
    value = _apply("absolute", x)
    return value if result != "complex" else Cast(value, map_type("complex"))


def _conjugate(result: str, x: Node) -> Node:
    return _apply("conjugate", x) if x.type.element.kind == "c" else x


def _round(result: str, x: Node) -> Node:
    return x if x.type.element.kind == "i" else _apply("rint", x)


def _apply(name: str, *args: Node) -> Node:
    return Apply(operator(name), args)


_SPECIAL: Final[dict[str, Callable[..., Node]]] = {
    "copy": _copy, "ones_like": _ones_like, "div": _div, "pow": _pow, "absolute": _absolute,
    "conjugate": _conjugate, "round": _round,
}  # fmt: skip


def reduce(name: str, x: Node, axes: Sequence[int] | None, keepdims: bool = False) -> Node:
    """Our tree for a reduction over axes, of a value; over all for None. ValueError for one out of bounds."""
    rank = x.type.rank
    if axes is None:
        axes = range(rank)
    for axis in axes:
        if axis >= rank:
            raise ValueError("reduction axis is out of bounds")
    if x.type.element.kind == "b":
        x = Cast(x, map_type("long"))
    return Reduce(operator(REDUCTIONS[name]), x, tuple(axes), keepdims)


def constant(value: Any, kind: str) -> Node:
    """A constant as a value of a kind. OverflowError for an integer that the kind does not hold."""
    t = map_type(kind)
    if type(value) is int:
        return Constant(t.dtype.type(value), t)
    with np.errstate(all="ignore"):
        return Constant(np.asarray(value).astype(t.dtype)[()], t)
