"""Assignments of whole arrays become loops over their elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..affine import integer
from ..nodes import (
    Assign,
    For,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Scratch,
    Store,
    View,
    postorder,
    substitute,
)
from ..program import Program
from .elements import (
    are_places,
    as_assign,
    base_of,
    element,
    extents_of,
    is_elementwise,
    reads_otherwise,
    subscripts_of,
)
from .joint import Path, equal_lengths, joined, places
from .nests import enclosed, names_lasting, scratch_lengths, untaken, with_body
from .requirements import of_scratch, requirements


def lower(program: Program, *, together: bool = False) -> Program:
    """Give every element-wise assignment a nest of serial loops, in the order of its axes.

        r[...] = a * b
        →  for i0 in serial(0, r.shape[0], 1):
               for i1 in serial(0, r.shape[1], 1):
                   r[i0, i1] = a[i0, i1] * b[i0, i1]

    Keeps: r[i0, i1] == (a * b)[i0, i1]. Where a statement reads the operand that it assigns, other than
    element by element in place, the whole right side goes to scratch first.
    A value that is not element-wise, such as a reduction, is left as it is: `sweep`, before, has seen to those.
    `together` says that all statements are over one shape, and that none reads what another one assigns: they
    share one nest.
    Requires: operands overlap only where they are the same view; shapes fit, and a slice of an axis has the
    length of the loop, or visibly 1, but does not turn out to be 1: `Program.requires` says so in numbers.
    """
    taken = names_lasting(program)
    # What became of each node is only for origins to follow: without any, a third of the time is saved.
    new: dict[Node, Node] | None = {} if program.origins else None
    requires = dict.fromkeys(program.requires)
    assigns = [s for s in program.statements if isinstance(s, Assign) and _elementwise(s)]
    if together and len(assigns) == len(program.statements):
        nest = _shared_nest(assigns, taken, new)
        for assign in assigns:
            requires.update(dict.fromkeys(requirements(assign)))
        return program.rewritten(nest, new or {}).replace(requires=tuple(requires))
    place = places(program)

    def loops(assign: Assign) -> bool:
        # A local that has no scratch is assigned as a whole.
        return base_of(assign.target) not in program.locals and _elementwise(assign)

    def require(assign: Assign, path: Path) -> None:
        requires.update(dict.fromkeys(map(path.required, of_scratch(requirements(assign), lengths))))

    def block(statements: Sequence[Node], path: Path) -> list[Node]:
        result: list[Node] = []
        for group in joined(list(map(as_assign, statements)), path.facts, place):
            assigns = [s for s in group if isinstance(s, Assign) and loops(s)]
            if len(assigns) == len(group) > 1:
                result.extend(substitute(_shared_nest(assigns, taken, new), equal_lengths(group, place).get))
            for statement in group:
                if isinstance(statement, Assign) and loops(statement):
                    require(statement, path)
                    if not len(assigns) == len(group) > 1:
                        result.extend(_nest(statement, taken, new))
                elif isinstance(statement, Guard):
                    then, otherwise = path.branches(statement.condition)
                    branches = block(statement.then, then), block(statement.otherwise, otherwise)
                    result.append(Guard(statement.condition, *map(tuple, branches)))
                elif type(statement) is For:
                    result.append(with_body(statement, block(statement.body, path.within(statement))))
                else:
                    result.append(statement)
        return result

    lengths = scratch_lengths(enclosed(program.statements))
    statements = block(program.statements, Path())
    if lengths:
        statements = substitute(statements, lengths.get)
    return program.rewritten(statements, new or {}).replace(requires=tuple(requires))


def _elementwise(statement: Assign) -> bool:
    return all(
        is_elementwise(node)
        or node is statement
        or (
            isinstance(node, View)
            and are_places(node.args[1:])
            and (node.order is not None or isinstance(base_of(node), Operand))
        )
        for node in postorder((statement,))
    )


def _nest(statement: Assign, taken: set[str], new: dict[Node, Node] | None) -> Iterator[Node]:
    target = statement.target
    names = [untaken(f"i{axis}", taken) for axis in range(target.type.rank)]
    indices: tuple[Node, ...] = tuple(Index(name) for name in names)
    extents = extents_of(target)
    if reads_otherwise(statement):
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
