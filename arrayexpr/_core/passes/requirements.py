"""What must hold of lengths for the loops of an assignment to stay within its operands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from ..affine import integer, plus
from ..nodes import (
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Disjoint,
    Extent,
    Function,
    Load,
    Node,
    Operand,
    Reduce,
    Slice,
    View,
    postorder,
    substitute,
)
from ..ops import operator
from .elements import base_of, extents_of, reads_otherwise, single

_EQUAL, _LESS, _OR = operator("equal"), operator("less"), operator("logical_or")
_COMPUTED = (Apply, Cast, Reduce, Call)
_READ = (Operand, View)

#: The lengths that the value under a reduction is computed over, given those of the reduction itself.
Swept = Callable[[Reduce, tuple[Node, ...]], tuple[Node, ...]]


def requirements(statement: Assign, swept: Swept | None = None) -> Iterator[Node]:
    """That the operands of an assignment have the shape of its target, and that fixed subscripts lie within.

    What is read at other places than are assigned shares no memory with it. `swept` tells the lengths under the
    statement's reductions, where there are some.
    """
    # What goes through scratch, or to one element, is read before anything is assigned.
    base = base_of(statement.target) if statement.target.type.rank and not reads_otherwise(statement) else None
    for node in postorder((statement.target, statement.value)):
        if isinstance(node, Load):
            for axis, subscript in enumerate(node.subscripts):
                yield from _between(subscript, Extent(node.operand, axis))
            yield from unshared(base, node.operand)
    yield from _within(statement.target)
    for node, wanted, moved in _accesses(statement.value, extents_of(statement.target), swept):
        yield from _within(node)
        if moved or not _in_place(node, statement.target):
            yield from unshared(base, base_of(node))
        for axis, (length, needed) in enumerate(
            zip(extents_of(node), wanted[len(wanted) - node.type.rank :], strict=True)
        ):
            if length is needed or length is integer(1):
                continue
            same = Apply(_EQUAL, (length, needed))
            if isinstance(length, Extent) or _at_most_one(node, axis):
                same = Apply(_OR, (Apply(_EQUAL, (length, integer(1))), same))
            yield same


def of_scratch(conditions: Iterable[Node], lengths: Mapping[Node, Node]) -> Iterator[Node]:
    """Conditions with the lengths of scratch put in.

    One element of scratch stands for a whole axis where it is one for sure. Else the axis is walked by the size of an
    element, and so has to be as long.
    """
    for condition in conditions:
        match condition:
            case Apply(op, (Apply(_, (Extent() as length, _)), same)) if op is _OR and length in lengths:
                if lengths[length] is integer(1):
                    continue
                condition = same
        yield substitute((condition,), lengths.get)[0]


def unshared(base: Node | None, other: Node) -> Iterator[Node]:
    """That two operands of one rank share no memory: of others, emitters test that they are not partly the same."""
    if isinstance(base, Operand) and base is not other and base.type.rank == other.type.rank:
        yield Disjoint(base, other)


def _in_place(read: Node, target: Node) -> bool:
    """Whether views look at the same places of two operands."""
    while isinstance(read, View) and isinstance(target, View):
        if (read.subscripts, read.order) != (target.subscripts, target.order):
            return False
        read, target = read.arg, target.arg
    return isinstance(read, Operand) and isinstance(target, Operand)


def _accesses(
    value: Node, extents: tuple[Node, ...], swept: Swept | None
) -> Iterator[tuple[Node, tuple[Node, ...], bool]]:
    """What a value reads of operands, itself or through views, with the lengths it is read over.

    Then, whether views of computed values look at other places of it.
    """
    nodes = postorder((value,))
    views = [node for node in nodes if isinstance(node, View)]
    if swept is None and all(isinstance(base_of(view), Operand) for view in views):
        # A length, or an element by its place, is read of an operand of whatever shape.
        beneath = {view.arg for view in views} | {node.operand for node in nodes if isinstance(node, Extent | Load)}
        read = {child for node in nodes if isinstance(node, _COMPUTED) for child in node.args} if beneath else set()
        for node in nodes:
            if isinstance(node, _READ) and (node not in beneath or node in read or node is value):
                yield node, extents, False
        return
    # A view of a computed value: its parts are read over other lengths.
    seen: set[tuple[Node, tuple[Node, ...], bool]] = set()
    stack = [(value, extents, False)]
    while stack:
        node, wanted, moved = stack.pop()
        wanted = wanted[len(wanted) - node.type.rank :]
        if (node, wanted, moved) in seen:
            continue
        seen.add((node, wanted, moved))
        if isinstance(base_of(node), Operand):
            yield node, wanted, moved
        elif isinstance(node, Extent | Function | Load):
            continue
        elif isinstance(node, View):
            stack.append((node.arg, _beneath(node, wanted), moved or node.order is not None))
        elif isinstance(node, Reduce):
            assert swept is not None, "lower takes no reductions"
            stack.append((node.arg, swept(node, wanted), moved))
        else:
            stack.extend((child, wanted, moved) for child in reversed(node.args))


def _within(view: Node) -> Iterator[Node]:
    """That every fixed subscript of a chain of views lies within its axis.

    A subscript or a bound that is an expression is counted from the start of its axis.
    """
    while isinstance(view, View):
        if view.subscripts is not None:
            lengths = iter(extents_of(view.arg))
            for item in view.subscripts:
                if item is None:
                    continue
                length = next(lengths)
                if isinstance(item, Slice):
                    end = length if (item.step or 1) < 0 else plus(length, integer(1))
                    for bound in item:
                        if isinstance(bound, Node):
                            yield from _between(bound, end)
                elif isinstance(item, Node):
                    yield from _between(item, length)
                else:
                    yield Apply(_LESS, (integer(item if item >= 0 else -item - 1), length))
        view = view.arg


def _between(place: Node, end: Node) -> Iterator[Node]:
    """That a place is 0 at the least, and before `end`."""
    if not isinstance(place, Constant) or place.value < 0:
        yield Apply(_LESS, (integer(-1), place))
    yield Apply(_LESS, (place, end))


def _at_most_one(view: Node, axis: int) -> bool:
    """Whether an axis of a chain of views is a slice of one element, whatever the length of what it slices."""
    while isinstance(view, View):
        if view.order is not None:
            axis = view.order[axis]
        else:
            kept = [k for k, item in enumerate(view.subscripts) if item is None or isinstance(item, Slice)]
            item = view.subscripts[kept[axis]]
            if not isinstance(item, Slice) or single(item):
                return True
            axis = sum(other is not None for other in view.subscripts[: kept[axis]])
        view = view.arg
    return False


def _beneath(view: View, wanted: tuple[Node, ...]) -> tuple[Node, ...]:
    """The lengths of a computed value that a view of it is read over: the order of axes, or axes added."""
    if view.order is not None:
        return tuple(wanted[view.order.index(axis)] for axis in range(len(view.order)))
    return tuple(length for length, item in zip(wanted, view.subscripts, strict=True) if item is not None)
