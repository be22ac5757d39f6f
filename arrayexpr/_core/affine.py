"""Integer expressions over loop indices: building them folded, and reading them as affine forms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from .nodes import Apply, Constant, Index, Node, Operand, postorder
from .ops import operator
from .types import INT64

_ADD = operator("add")
_SUBTRACT = operator("subtract")
_MULTIPLY = operator("multiply")
_NEGATIVE = operator("negative")
_MINIMUM = operator("minimum")
_MAXIMUM = operator("maximum")
_FLOOR_DIVIDE = operator("floor_divide")
_SCALAR = INT64.array(0)


@lru_cache(1024)
def integer(value: int) -> Node:
    """The int64 constant."""
    return Constant(value, INT64)


def plus(x: Node, y: Node) -> Node:
    """x + y, folded.

    >>> plus(integer(2), integer(3)) is integer(5)
    True
    """
    match x, y:
        case Constant(a), Constant(b):
            return integer(a + b)
        case _, Constant(0):
            return x
        case Constant(0), _:
            return y
        case _, Constant(b) if b < 0:
            return Apply(_SUBTRACT, (x, integer(-b)))
    return Apply(_ADD, (x, y))


def minus(x: Node, y: Node) -> Node:
    """x - y, folded."""
    match x, y:
        case Constant(a), Constant(b):
            return integer(a - b)
        case _, Constant(b):
            return plus(x, integer(-b))
    return integer(0) if x is y else Apply(_SUBTRACT, (x, y))


def times(x: Node, y: Node) -> Node:
    """x * y, folded."""
    match x, y:
        case Constant(a), Constant(b):
            return integer(a * b)
        case (Constant(0), _) | (_, Constant(0)):
            return integer(0)
        case _, Constant(1):
            return x
        case Constant(1), _:
            return y
    return Apply(_MULTIPLY, (x, y))


def least(x: Node, y: Node) -> Node:
    """The smaller of x and y, folded."""
    match x, y:
        case Constant(a), Constant(b):
            return integer(min(a, b))
    return x if x is y else Apply(_MINIMUM, (x, y))


def greatest(x: Node, y: Node) -> Node:
    """The larger of x and y, folded."""
    match x, y:
        case Constant(a), Constant(b):
            return integer(max(a, b))
    return x if x is y else Apply(_MAXIMUM, (x, y))


def quotient(x: Node, y: int) -> Node:
    """x // y for y > 0, folded."""
    match x:
        case Constant(a):
            return integer(a // y)
    return x if y == 1 else Apply(_FLOOR_DIVIDE, (x, integer(y)))


def depends(expression: Node, index: Index) -> bool:
    """Whether an integer expression reads a loop's index."""
    return expression is index or (bool(expression.args) and index in postorder((expression,)))


def injective(expression: Node, index: Index) -> bool:
    """Whether other values of an index give other values of an expression, all else being the same.

    >>> i, j = Index("i"), Index("j")
    >>> injective(minus(j, times(i, integer(2))), i), injective(least(i, j), i)
    (True, False)
    """
    while expression is not index:
        match expression:
            case Apply(op, (x, y)) if op in (_ADD, _SUBTRACT) and depends(x, index) != depends(y, index):
                expression = x if depends(x, index) else y
            case Apply(op, (x, Constant(factor))) if op is _MULTIPLY and factor:
                expression = x
            case _:
                return False
    return True


def coefficients(expression: Node, known: Mapping[Node, int]) -> tuple[int, dict[Index, int]] | None:
    """The constant and the factor of each index of an affine expression; None where it is not affine.

    `known` gives the values of leaves that are known, such as an `Extent`.

    >>> i = Index("i")
    >>> coefficients(plus(times(i, integer(3)), integer(1)), {})
    (1, {i: 3})
    """
    forms: dict[Node, tuple[int, dict[Index, int]]] = {}
    for node in postorder((expression,)):
        if node in known:
            forms[node] = (known[node], {})
            continue
        match node:
            case Constant(value):
                forms[node] = (value, {})
            case Index():
                forms[node] = (0, {node: 1})
            case Operand():
                # Of a length or stride that is known.
                continue
            case Apply(op, (x, y)) if op in (_ADD, _SUBTRACT) and x in forms and y in forms:
                sign = 1 if op is _ADD else -1
                (c, f), (d, g) = forms[x], forms[y]
                total = {i: f.get(i, 0) + sign * g.get(i, 0) for i in {**f, **g}}
                forms[node] = (c + sign * d, {i: n for i, n in total.items() if n})
            case Apply(op, (x, y)) if op is _MULTIPLY and x in forms and y in forms:
                (c, f), (d, g) = forms[x], forms[y]
                if f and g:
                    return None
                forms[node] = (c * d, {i: n * (d if f else c) for i, n in (f or g).items() if n * (d if f else c)})
            case Apply(op, (x, y)) if op in (_MINIMUM, _MAXIMUM, _FLOOR_DIVIDE) and x in forms and y in forms:
                (c, f), (d, g) = forms[x], forms[y]
                if f or g or (op is _FLOOR_DIVIDE and d == 0):
                    return None
                forms[node] = (min(c, d) if op is _MINIMUM else max(c, d) if op is _MAXIMUM else c // d, {})
            case _:
                return None
    return forms.get(expression)


#: An affine expression: the factor of each symbol, and under None the constant.
Linear = dict[Node | None, int]


def linear(expression: Node, known: Mapping[Node, int] | None = None) -> Linear | None:
    """The factor of each symbol of an affine expression, and under None the constant; None where it is not affine.

    Symbols are indices, and what reads none: lengths, scalars, and whatever integers are computed of those.
    `known` gives the values of some.

    >>> i, n = Index("i"), Operand("n", INT64)
    >>> linear(minus(plus(times(i, integer(3)), n), integer(1))) == {i: 3, n: 1, None: -1}
    True
    >>> linear(times(i, n)) is None
    True
    """
    known = known or {}
    forms: dict[Node, Linear | None] = {}
    varying: set[Node] = set()
    for node in postorder((expression,)):
        if isinstance(node, Index) or any(child in varying for child in node.args):
            varying.add(node)
        if node in known:
            forms[node] = {None: known[node]}
        else:
            form = _combined(node, forms)
            forms[node] = {node: 1, None: 0} if form is None and _is_symbol(node, varying) else form
    return forms[expression]


def _is_symbol(node: Node, varying: set[Node]) -> bool:
    return isinstance(node, Index) or (node not in varying and node.type is not None and node.type is _SCALAR)


def _combined(node: Node, forms: Mapping[Node, Linear | None]) -> Linear | None:
    """The affine form of a constant, and of a sum or product of affine forms."""
    if isinstance(node, Constant):
        return {None: node.value} if node.type is _SCALAR else None
    if not isinstance(node, Apply) or node.type is not _SCALAR:
        return None
    args = [forms.get(arg) for arg in node.args]
    match node.op, args:
        case op, [dict() as x, dict() as y] if op in (_ADD, _SUBTRACT):
            return added(x, y, 1 if op is _ADD else -1)
        case op, [dict() as x, dict() as y] if op is _MULTIPLY and (len(x) == 1 or len(y) == 1):
            x, y = (x, y) if len(y) == 1 else (y, x)
            return added({None: 0}, x, y[None])
        case op, [dict() as x] if op is _NEGATIVE:
            return added({None: 0}, x, -1)
    return None


def added(x: Mapping[Node | None, int], y: Mapping[Node | None, int], factor: int = 1) -> Linear:
    """x + factor * y."""
    total = dict(x)
    for symbol, count in y.items():
        total[symbol] = total.get(symbol, 0) + factor * count
    return {symbol: count for symbol, count in total.items() if count or symbol is None}


def difference(x: Node, y: Node) -> int | None:
    """x - y where that is a number, whatever the symbols stand for.

    >>> k = Index("k")
    >>> difference(plus(k, integer(1)), minus(k, integer(1))), difference(k, integer(1))
    (2, None)
    """
    one, other = linear(x), linear(y)
    if one is None or other is None:
        return None
    form = added(one, other, -1)
    return form[None] if len(form) == 1 else None


def expression_of(form: Mapping[Node | None, int]) -> Node:
    """An int64 expression of an affine form, symbols with factors above 0 first.

    >>> n = Operand("n", INT64)
    >>> expression_of({n: -2, None: 3}), expression_of({n: 1, None: -1})
    (3 - n * 2, n - 1)
    """
    total: Node | None = None
    for symbol, count in form.items():
        if symbol is not None and count > 0:
            part = times(symbol, integer(count))
            total = part if total is None else plus(total, part)
    constant = form.get(None, 0)
    negative = [(symbol, -count) for symbol, count in form.items() if symbol is not None and count < 0]
    if total is None:
        total, constant = integer(constant), 0
    for symbol, count in negative:
        total = minus(total, times(symbol, integer(count)))
    return plus(total, integer(constant))
