"""Elements of array expressions: where element `indices` of views and of values comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..affine import difference, greatest, integer, least, minus, plus, quotient, times
from ..errors import UnsupportedError
from ..nodes import (
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Contract,
    Extent,
    For,
    Function,
    Guard,
    Index,
    Load,
    Node,
    Operand,
    Reduce,
    Slice,
    Store,
    View,
    postorder,
    substitute,
    transform,
)
from ..ops import operator
from ..primitives import fold
from ..types import BROADCAST, INT64
from .nests import enclosed

_EQUAL, _WHERE = operator("equal"), operator("where")

#: What is computed element by element.
ELEMENTWISE = (Constant, Operand, Apply, Cast, Extent, Index, Call, Function)
#: What places in an axis are computed with.
_PLACES = ("add", "subtract", "multiply", "negative", "minimum", "maximum")
#: The same, by a number above 0.
_PLACES_BY = ("floor_divide", "right_shift", "left_shift")


def has_loops(statement: Node) -> bool:
    """Whether `sweep` and `lower` have loops for a statement, or for those inside it."""
    if isinstance(statement, Guard):
        return all(map(has_loops, (*statement.then, *statement.otherwise)))
    if type(statement) is For and any(isinstance(as_assign(s), Assign) for s in enclosed(statement.body)):
        return isinstance(statement.step, Constant) and all(map(has_loops, statement.body))
    statement = as_assign(statement)
    if not isinstance(statement, Assign):
        return not any(isinstance(node, Assign) for node in postorder((statement,)))
    for node in postorder((statement,)):
        if isinstance(node, View):
            if not are_places(node.args[1:]) or (node.order is None and not isinstance(base_of(node), Operand)):
                return False
        elif isinstance(node, Reduce):
            if not node.axes or fold(node.op, node.type.element) is None:
                return False
        elif node is not statement and not (isinstance(node, Contract) or is_elementwise(node)):
            return False
    return True


def as_assign(statement: Node) -> Node:
    """A store of what is computed of whole arrays, as an assignment of a view of the element; others as they are."""
    if isinstance(statement, Store) and any(isinstance(n, Reduce | View | Contract) for n in postorder((statement,))):
        return Assign(View(statement.operand, statement.subscripts), statement.value)
    return statement


def are_places(subscripts: Sequence[Node]) -> bool:
    """Whether expressions in subscripts are of numbers, lengths, indices and scalars that count."""
    for node in postorder(subscripts):
        match node:
            case Constant() | Index() | Extent() | Operand():
                continue
            case Apply(op) if op.name in _PLACES and node.type.element is INT64:
                continue
            case Apply(op, (_, Constant(by))) if op.name in _PLACES_BY and node.type.element is INT64 and by > 0:
                continue
            case Cast(arg) if node.type.element is INT64 and arg.type.element.kind in "iu":
                continue
        return False
    return True


def is_elementwise(node: Node) -> bool:
    """Whether a node is computed element by element, or is an element by itself."""
    return isinstance(node, ELEMENTWISE) or (isinstance(node, Load) and are_places(node.subscripts))


def base_of(node: Node) -> Node:
    """The operand or expression that a chain of views looks at."""
    while isinstance(node, View):
        node = node.arg
    return node


def extents_of(view: Node) -> tuple[Node, ...]:
    """The length of each axis of an operand or of views of one, as int64 expressions."""
    chain = []
    while isinstance(view, View):
        chain.append(view)
        view = view.arg
    extents: list[Node] = [Extent(view, axis) for axis in range(view.type.rank)]
    for link in reversed(chain):
        if link.order is not None:
            extents = [extents[axis] for axis in link.order]
            continue
        lengths = iter(extents)
        kept: list[Node] = []
        for item in link.subscripts:
            if item is None:
                kept.append(integer(1))
            elif item == Slice():
                kept.append(next(lengths))
            elif isinstance(item, Slice):
                start, stop, step = _bounds(item, next(lengths))
                if isinstance(item.start, Node) and isinstance(item.stop, Node):
                    distance = _distance(start, stop) if step > 0 else _distance(stop, start)
                else:
                    distance = minus(stop, start) if step > 0 else minus(start, stop)
                kept.append(greatest(quotient(plus(distance, integer(abs(step) - 1)), abs(step)), integer(0)))
            else:
                next(lengths)
        extents = kept
    return tuple(extents)


def _bounds(item: Slice, length: Node) -> tuple[Node, Node, int]:
    """Start, stop and step of a slice of an axis, as Python's `slice.indices` gives them."""
    step = 1 if item.step is None else item.step
    low, high = (integer(0), length) if step > 0 else (integer(-1), minus(length, integer(1)))

    def place(bound: Node | int | None, default: Node) -> Node:
        if isinstance(bound, Node):
            # It is within the axis: `requirements` says so.
            return bound
        if bound is None or (bound == 0 and step > 0):
            return default if bound is None else integer(0)
        if bound < 0:
            return greatest(plus(length, integer(bound)), low)
        return least(integer(bound), high)

    first, last = (low, high) if step > 0 else (high, low)
    return place(item.start, first), place(item.stop, last), step


def _distance(start: Node, stop: Node) -> Node:
    """stop - start: a number where the same is added in both, as in `a[k:k + 2]`."""
    known = difference(stop, start)
    return minus(stop, start) if known is None else integer(known)


def extents_along(value: Node, axis: int) -> list[Node]:
    """The lengths, in the operands of an element-wise value, of what an axis of the value walks."""
    found: dict[Node, None] = {}
    stack = [(value, axis)]
    seen = set()
    while stack:
        node, k = stack.pop()
        if (node, k) in seen or k < 0:
            continue
        seen.add((node, k))
        if isinstance(base_of(node), Operand):
            found[extents_of(node)[k]] = None
        elif isinstance(node, View):
            if node.order is not None:
                stack.append((node.arg, node.order[k]))
            else:
                kept = [n for n, item in enumerate(node.subscripts) if item is None or isinstance(item, Slice)]
                place = kept[k]
                if node.subscripts[place] is not None:
                    stack.append((node.arg, sum(item is not None for item in node.subscripts[:place])))
        elif isinstance(node, Reduce):
            if node.keepdims and k not in node.axes:
                stack.append((node.arg, k))
            elif not node.keepdims:
                stack.append((node.arg, [n for n in range(node.arg.type.rank) if n not in node.axes][k]))
        else:
            values = node.arguments if isinstance(node, Call) else node.args
            stack.extend((child, k - (node.type.rank - child.type.rank)) for child in reversed(values))
    return list(found)


def longest(extents: Sequence[Node]) -> Node:
    """Of lengths that broadcast together, the one that is not stretched."""
    result: Node | None = None
    for extent in extents:
        if result is None or result is integer(1):
            result = extent
        elif extent is not integer(1) and extent is not result:
            result = Apply(_WHERE, (Apply(_EQUAL, (result, integer(1))), extent, result))
    return result or integer(1)


def single(item: Slice) -> bool:
    """Whether a slice has at most one element by its own numbers: `1:2`, `-1:`, `:1`, `k:k + 1`."""
    start, stop, step = item
    step = 1 if step is None else step
    if isinstance(start, Node) or isinstance(stop, Node):
        if not isinstance(start, Node) or not isinstance(stop, Node):
            return False
        distance = _distance(start, stop)
        return isinstance(distance, Constant) and bool(distance.value * (1 if step > 0 else -1) <= abs(step))
    if step > 0:
        start = 0 if start is None else start
        if stop is None:
            return bool(-step <= start < 0)
        return bool((start < 0) == (stop < 0) and stop - start <= step)
    if stop is None:
        return bool(start is not None and 0 <= start < -step)
    start = -1 if start is None else start
    return bool((start < 0) == (stop < 0) and start - stop <= -step)


def subscripts_of(view: Node, indices: Sequence[Node]) -> tuple[Node, ...]:
    """Where element `indices` of a chain of views lies in what they look at."""
    while isinstance(view, View):
        indices = _step(view, indices)
        view = view.arg
    return tuple(indices)


def _step(view: View, indices: Sequence[Node]) -> tuple[Node, ...]:
    if view.order is not None:
        inner: list[Node | None] = [None] * len(view.order)
        for place, axis in enumerate(view.order):
            inner[axis] = indices[place]
        return tuple(i for i in inner if i is not None)
    lengths = iter(extents_of(view.arg)) if isinstance(base_of(view.arg), Operand) else None
    places = iter(indices)
    result: list[Node] = []
    for item in view.subscripts:
        if item is None:
            next(places)
            continue
        if lengths is None:
            # Of a computed value the lengths are not at hand: what needs none of them will do.
            if item == Slice():
                result.append(next(places))
            elif isinstance(item, int) and item >= 0:
                result.append(integer(item))
            else:
                raise UnsupportedError(f"a subscript of a computed value, {view!r}: expected a view of an operand")
            continue
        length = next(lengths)
        if isinstance(item, Slice):
            start, _, step = _bounds(item, length)
            index = next(places)
            # A slice of one element broadcasts.
            result.append(start if single(item) else plus(times(index, integer(step)), start))
        elif isinstance(item, Node):
            result.append(item)
        else:
            result.append(integer(item) if item >= 0 else plus(length, integer(item)))
    return tuple(result)


def element(
    value: Node,
    indices: tuple[Node, ...],
    new: dict[Node, Node] | None,
    other: Callable[[Node, tuple[Node, ...]], Node] | None = None,
) -> Node:
    """The scalar expression for element `indices` of a value, by a worklist.

    `other(node, indices)` gives it for a node that is not element-wise; without, there is none such.
    """
    # One map per vector of indices: a view of a computed value is looked at through other indices.
    maps: dict[tuple[Node, ...], dict[Node, Node]] = {indices: {}}
    waiting: list[tuple[Node, tuple[Node, ...]]] = [(value, indices)]
    while waiting:
        root, at = waiting[-1]
        wanted: list[tuple[Node, tuple[Node, ...]]] = []

        def leaf(node: Node, at: tuple[Node, ...] = at, wanted: list[Any] = wanted) -> Node | None:
            if isinstance(node, Operand):
                places = zip(at[len(at) - node.type.rank :], node.type.layout, strict=True)
                return Load(node, tuple(integer(0) if mark == BROADCAST else place for place, mark in places))
            if isinstance(node, Extent | Load):
                return node
            if isinstance(node, View):
                inner = _step(node, at[len(at) - node.type.rank :])
                known = maps.setdefault(inner, {}).get(node.arg)
                if known is None:
                    wanted.append((node.arg, inner))
                return known or node
            if not isinstance(node, ELEMENTWISE):
                if other is None:
                    raise UnsupportedError(f"{type(node).__name__} has no loop form: {node!r}")
                return other(node, at[len(at) - node.type.rank :])
            return None

        done = {} if new is None else transform((root,), leaf)
        result = substitute((root,), leaf)[0] if new is None else done[root]
        if wanted:
            waiting.extend(wanted)
            continue
        maps[at][root] = result
        if new is not None:
            new.update(done)
        waiting.pop()
    return maps[indices][value]


def reads_otherwise(statement: Assign) -> bool:
    """Whether the value reads what is assigned through anything but the very view assigned to."""
    chain = {statement.target}
    node = statement.target
    while isinstance(node, View):
        node = node.arg
        chain.add(node)
    target, value = statement.target, statement.value
    return (value in chain and value is not target) or any(
        child in chain and (child is not target or isinstance(parent, View | Load))
        for parent in postorder((value,))
        if parent not in chain and not _elsewhere(parent, target)
        for child in parent.args
    )


def _elsewhere(read: Node, target: Node) -> bool:
    """Whether an element, or a part, of what is assigned has none of that in common: by one place along an axis."""
    if not isinstance(read, View | Load) or not isinstance(target, View) or read.args[0] is not target.arg:
        return False
    for one, other in zip(read.subscripts or (), target.subscripts or (), strict=False):
        if one is None or other is None:
            return False
        places = [integer(x) if isinstance(x, int) and x >= 0 else x for x in (one, other)]
        if all(isinstance(place, Node) for place in places) and difference(*places):
            return True
    return False
