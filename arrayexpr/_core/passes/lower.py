"""Assignments of whole arrays become loops over their elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..affine import integer
from ..nodes import (
    Apply,
    Assign,
    Cast,
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
)
from ..ops import operator
from ..program import Program
from .elements import ELEMENTWISE, base_of, element, extents_of, single, subscripts_of
from .nests import untaken

_EQUAL, _LESS, _OR = operator("equal"), operator("less"), operator("logical_or")
_COMPUTED = (Apply, Cast)
_READ = (Operand, View)


def lower(program: Program, *, together: bool = False) -> Program:
    """Give every element-wise assignment a nest of serial loops, in the order of its axes.

        r[...] = a * b
        →  for i0 in serial(0, r.shape[0], 1):
               for i1 in serial(0, r.shape[1], 1):
                   r[i0, i1] = a[i0, i1] * b[i0, i1]

    Keeps: r[i0, i1] == (a * b)[i0, i1]. Where a statement reads the operand that it assigns, other than
    element by element in place, the whole right side goes to scratch first.
    A value that is not element-wise, such as a reduction, is left as it is. `together` says that all
    statements are over one shape, and that none reads what another one assigns: they share one nest.
    Requires: operands overlap only where they are the same view; shapes fit, and a slice of an axis has the
    length of the loop, or visibly 1, but does not turn out to be 1: `Program.requires` says so in numbers.
    """
    taken = {operand.name for operand in program.declared}
    statements: list[Node] = []
    # What became of each node is only for origins to follow: without any, a third of the time is saved.
    new: dict[Node, Node] | None = {} if program.origins else None
    requires = dict.fromkeys(program.requires)
    assigns = [s for s in program.statements if isinstance(s, Assign) and _elementwise(s.value)]
    if together and len(assigns) == len(program.statements):
        statements.extend(_shared_nest(assigns, taken, new))
        for assign in assigns:
            requires.update(dict.fromkeys(_requirements(assign)))
        return program.rewritten(statements, new or {}).replace(requires=tuple(requires))
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
            if not isinstance(item, Slice) or single(item):
                return True
            axis = sum(other is not None for other in view.subscripts[: kept[axis]])
        view = view.arg
    return False


def _elementwise(value: Node) -> bool:
    return all(
        isinstance(node, ELEMENTWISE)
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
        yield from _loops(indices, extents, (Store(temporary, indices, element(statement.value, indices, new)),))
        value: Node = Load(temporary, indices)
    else:
        value = element(statement.value, indices, new)
    nest = _loops(indices, extents, (Store(base_of(target), subscripts_of(target, indices), value),))
    if new is not None:
        new[statement] = nest[0]
    yield from nest


def _shared_nest(assigns: Sequence[Assign], taken: set[str], new: dict[Node, Node] | None) -> Sequence[Node]:
    """One nest for assignments over one shape."""
    first = assigns[0].target
    indices: tuple[Node, ...] = tuple(Index(untaken(f"i{axis}", taken)) for axis in range(first.type.rank))
    stores = []
    for statement in assigns:
        value = element(statement.value, indices, new)
        stores.append(Store(base_of(statement.target), subscripts_of(statement.target, indices), value))
    nest = _loops(indices, extents_of(first), stores)
    if new is not None:
        new.update(dict.fromkeys(assigns, nest[0]))
    return nest


def _loops(indices: Sequence[Node], extents: Sequence[Node], body: Sequence[Node]) -> Sequence[Node]:
    for index, extent in zip(reversed(indices), reversed(extents), strict=True):
        body = (Loop(index, integer(0), extent, integer(1), "serial", tuple(body)),)
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
