"""Assignments of whole arrays become loops over their elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..affine import greatest, integer, least, minus, plus, quotient, times
from ..errors import UnsupportedError
from ..nodes import (
    Apply,
    Assign,
    Cast,
    Constant,
    Extent,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Scratch,
    Slice,
    Store,
    View,
    postorder,
    substitute,
    transform,
)
from ..ops import operator
from ..program import Program
from .nests import untaken

_EQUAL, _LESS, _OR = operator("equal"), operator("less"), operator("logical_or")
_ELEMENTWISE = (Constant, Operand, Apply, Cast)
_COMPUTED = (Apply, Cast)
_READ = (Operand, View)


def lower(program: Program) -> Program:
    """Give every element-wise assignment a nest of serial loops, in the order of its axes.

        r[...] = a * b
        →  for i0 in serial(0, r.shape[0], 1):
               for i1 in serial(0, r.shape[1], 1):
                   r[i0, i1] = a[i0, i1] * b[i0, i1]

    Keeps: r[i0, i1] == (a * b)[i0, i1]. Where a statement reads the operand that it assigns, other than
    element by element in place, the whole right side goes to scratch first.
    A value that is not element-wise, such as a reduction, is left as it is.
    Requires: operands overlap only where they are the same view; shapes fit, and a slice of an axis has the
    length of the loop, or visibly 1, but does not turn out to be 1: `Program.requires` says so in numbers.
    """
    taken = {operand.name for operand in program.declared}
    statements: list[Node] = []
    # What became of each node is only for origins to follow: without any, a third of the time is saved.
    new: dict[Node, Node] | None = {} if program.origins else None
    requires = dict.fromkeys(program.requires)
    for statement in program.statements:
        if isinstance(statement, Assign) and _elementwise(statement.value):
            statements.extend(_nest(statement, taken, new))
            requires.update(dict.fromkeys(_requirements(statement)))
        else:
            statements.append(statement)
    return program.rewritten(statements, new or {}).replace(requires=tuple(requires))


def _requirements(statement: Assign) -> Iterator[Node]:
    """That the operands of an assignment have the shape of its target, and that fixed subscripts lie within."""
    yield from _within(statement.target)
    for node, wanted in _accesses(statement.value, extents_of(statement.target)):
        yield from _within(node)
        for axis, (length, needed) in enumerate(
            zip(extents_of(node), wanted[len(wanted) - node.type.rank :], strict=True)
        ):
            if length is needed or length is integer(1):
                continue
            same = Apply(_EQUAL, (length, needed))
            if isinstance(length, Extent) or _at_most_one(node, axis):
                same = Apply(_OR, (Apply(_EQUAL, (length, integer(1))), same))
            yield same


def _accesses(value: Node, extents: tuple[Node, ...]) -> Iterator[tuple[Node, tuple[Node, ...]]]:
    """What an element-wise value reads of operands, itself or through views, with the lengths it is read over."""
    nodes = postorder((value,))
    views = [node for node in nodes if isinstance(node, View)]
    if all(isinstance(base_of(view), Operand) for view in views):
        beneath = {view.arg for view in views}
        read = {child for node in nodes if isinstance(node, _COMPUTED) for child in node.args} if beneath else set()
        for node in nodes:
            if isinstance(node, _READ) and (node not in beneath or node in read or node is value):
                yield node, extents
        return
    # A view of a computed value: its parts are read over other lengths.
    seen: set[tuple[Node, tuple[Node, ...]]] = set()
    stack = [(value, extents)]
    while stack:
        node, wanted = stack.pop()
        wanted = wanted[len(wanted) - node.type.rank :]
        if (node, wanted) in seen:
            continue
        seen.add((node, wanted))
        if isinstance(base_of(node), Operand):
            yield node, wanted
        elif isinstance(node, View):
            assert node.order is not None, "lower takes no subscripts of computed values"
            stack.append((node.arg, tuple(wanted[node.order.index(axis)] for axis in range(len(node.order)))))
        else:
            stack.extend((child, wanted) for child in reversed(node.args))


def _within(view: Node) -> Iterator[Node]:
    """That every fixed subscript of a chain of views lies within its axis."""
    while isinstance(view, View):
        if view.subscripts is not None:
            lengths = iter(extents_of(view.arg))
            for item in view.subscripts:
                if item is None:
                    continue
                length = next(lengths)
                if not isinstance(item, Slice):
                    yield Apply(_LESS, (integer(item if item >= 0 else -item - 1), length))
        view = view.arg


def _at_most_one(view: Node, axis: int) -> bool:
    """Whether an axis of a chain of views is a slice of one element, whatever the length of what it slices."""
    while isinstance(view, View):
        if view.order is not None:
            axis = view.order[axis]
        else:
            kept = [k for k, item in enumerate(view.subscripts) if item is None or isinstance(item, Slice)]
            item = view.subscripts[kept[axis]]
            if not isinstance(item, Slice) or _single(item):
                return True
            axis = sum(other is not None for other in view.subscripts[: kept[axis]])
        view = view.arg
    return False


def _single(item: Slice) -> bool:
    """Whether a slice has at most one element by its own numbers: `1:2`, `-1:`, `:1`."""
    start, stop, step = item
    step = 1 if step is None else step
    if step > 0:
        start = 0 if start is None else start
        if stop is None:
            return -step <= start < 0
        return (start < 0) == (stop < 0) and stop - start <= step
    if stop is None:
        return start is not None and 0 <= start < -step
    start = -1 if start is None else start
    return (start < 0) == (stop < 0) and start - stop <= -step


def _elementwise(value: Node) -> bool:
    return all(
        isinstance(node, _ELEMENTWISE)
        or (isinstance(node, View) and (node.order is not None or isinstance(base_of(node), Operand)))
        for node in postorder((value,))
    )


def _nest(statement: Assign, taken: set[str], new: dict[Node, Node] | None) -> Iterator[Node]:
    target = statement.target
    names = [untaken(f"i{axis}", taken) for axis in range(target.type.rank)]
    indices: tuple[Node, ...] = tuple(Index(name) for name in names)
    extents = extents_of(target)
    if _reads_otherwise(statement):
        name = untaken("t", taken)
        taken.add(name)
        temporary = Operand(name, target.type.element.array(target.type.rank, order="C"))
        yield Scratch(temporary, extents)
        yield _loops(indices, extents, Store(temporary, indices, element(statement.value, indices, new)))
        value: Node = Load(temporary, indices)
    else:
        value = element(statement.value, indices, new)
    nest = _loops(indices, extents, Store(base_of(target), subscripts_of(target, indices), value))
    if new is not None:
        new[statement] = nest
    yield nest


def _loops(indices: Sequence[Node], extents: Sequence[Node], body: Node) -> Node:
    for index, extent in zip(reversed(indices), reversed(extents), strict=True):
        body = Loop(index, integer(0), extent, integer(1), "serial", (body,))
    return body


def _reads_otherwise(statement: Assign) -> bool:
    """Whether the value reads the assigned operand through anything but the very view assigned to."""
    chain = {statement.target}
    node = statement.target
    while isinstance(node, View):
        node = node.arg
        chain.add(node)
    target, value = statement.target, statement.value
    return (value in chain and value is not target) or any(
        child in chain and (child is not target or isinstance(parent, View))
        for parent in postorder((value,))
        if parent not in chain
        for child in parent.args
    )


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
            elif isinstance(item, Slice):
                start, stop, step = _bounds(item, next(lengths))
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

    def place(bound: int | None, default: Node) -> Node:
        if bound is None or (bound == 0 and step > 0):
            return default if bound is None else integer(0)
        if bound < 0:
            return greatest(plus(length, integer(bound)), low)
        return least(integer(bound), high)

    first, last = (low, high) if step > 0 else (high, low)
    return place(item.start, first), place(item.stop, last), step


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
            raise UnsupportedError(f"a subscript of a computed value, {view!r}: expected a view of an operand")
        length = next(lengths)
        if isinstance(item, Slice):
            start, _, step = _bounds(item, length)
            index = next(places)
            # A slice of one element broadcasts.
            result.append(start if _single(item) else plus(times(index, integer(step)), start))
        else:
            result.append(integer(item) if item >= 0 else plus(length, integer(item)))
    return tuple(result)


def element(value: Node, indices: tuple[Node, ...], new: dict[Node, Node] | None) -> Node:
    """The scalar expression for element `indices` of an element-wise value, by a worklist."""
    # One map per vector of indices: a view of a computed value is looked at through other indices.
    maps: dict[tuple[Node, ...], dict[Node, Node]] = {indices: {}}
    waiting: list[tuple[Node, tuple[Node, ...]]] = [(value, indices)]
    while waiting:
        root, at = waiting[-1]
        wanted: list[tuple[Node, tuple[Node, ...]]] = []

        def leaf(node: Node, at: tuple[Node, ...] = at, wanted: list[Any] = wanted) -> Node | None:
            if isinstance(node, Operand):
                return Load(node, at[len(at) - node.type.rank :])
            if isinstance(node, View):
                inner = _step(node, at[len(at) - node.type.rank :])
                known = maps.setdefault(inner, {}).get(node.arg)
                if known is None:
                    wanted.append((node.arg, inner))
                return known or node
            if not isinstance(node, _ELEMENTWISE):
                raise UnsupportedError(f"{type(node).__name__} has no loop form: {node!r}")
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
