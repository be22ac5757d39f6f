"""What of a group is computed together: the pass `fuse`, and the regions that come of it.

Numba's statements mean what they mean one by one. Together they are computed where, at run time, all are over one shape
and what they assign is apart from all else: then the plan's `regions` hold, else its `single` statements, in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from arrayexpr._core.nodes import Apply, Assign, Node, Operand, Reduce, postorder, substitute
from arrayexpr._core.passes.fuse import fuse
from arrayexpr._core.program import Program
from arrayexpr._core.regions import regions

from . import operators, walk
from .reductions import fold_of, taken_apart


@dataclass
class Folded:
    """What becomes of elements: reduced to `target`; `finish` is the conversion of that, if there is one."""

    target: Operand
    reduce: Reduce
    finish: Apply | None


@dataclass(repr=False)
class Plan:
    """How a group runs. `regions` are what one nest each computes together, or none where nothing is gained; `single`
    the statements one by one, those that `hoisted` makes among them; `stored` what the regions assign. `folds` has for
    what a statement assigns that is never there as a whole how it is reduced. `why` says why several statements are
    not together, where they are not."""

    regions: list[list[Assign]]
    single: list[Assign]
    hoisted: tuple[Operand, ...]
    stored: tuple[str, ...]
    folds: dict[str, Folded]
    why: str = ""

    def __repr__(self) -> str:
        return f"<{len(self.regions) or len(self.single)} nests>"


def plan(program: Program) -> Plan:
    """How a program runs: fused where that holds, and one statement after the other.

    Keeps: every value bit for bit, since Numba's roundings are nodes of the program.
    """
    elements, folds = unfolded(program)
    split = hoist(elements)
    single = list(_assigns(split.statements))
    alone = Plan([], single, _locals(split, elements), (), folds)
    if len(single) == 1:
        return alone
    if len({statement.target.type.rank for statement in single}) > 1:
        return replace(alone, why="parts that broadcast have fewer axes")
    fused = fuse(split, guarded=True)
    found = [list(_assigns(group)) for group in regions(fused.statements)]
    if len(found) >= len(single):
        return replace(alone, why="no two have an array in common, in an order in which one nest may compute them")
    if any(_too_wide(region) for region in found):
        return replace(alone, why=f"one nest would have more than {walk.ARRAYS} arrays or {walk.SCALARS} scalars")
    if any(_in_two_orders(region, folds) for region in found):
        return replace(alone, why="Numba reduces some in the order of C and others in that of Fortran")
    stored = tuple(dict.fromkeys(_target(statement) for region in found for statement in region))
    return Plan(found, single, alone.hoisted, stored, folds)


def as_written(program: Program) -> Plan:
    """How a program runs that nobody optimises: one statement after the other.

    Keeps: every value bit for bit, and the order of statements.
    """
    elements, folds = unfolded(program)
    return Plan([], list(_assigns(elements.statements)), (), (), folds)


def unfolded(program: Program) -> tuple[Program, dict[str, Folded]]:
    """A result of elements for each reduction, and how those are reduced.

        s[...] = sum(x * y)    ->    f[...] = x * y          f: sum to s

    Whoever runs the program reduces the elements as they come.
    """
    folds: dict[str, Folded] = {}
    made: list[Operand] = []
    statements: list[Node] = []
    new: dict[Node, Node] = {}
    for statement in _assigns(program.statements):
        found = taken_apart(statement.value)
        if found is not None:
            reduce, finish = found
            elements = Operand(f"f{len(folds)}", reduce.arg.type.plain)
            assert isinstance(statement.target, Operand)
            folds[elements.name] = Folded(statement.target, reduce, finish)
            made.append(elements)
            new[statement] = Assign(elements, reduce.arg)
        statements.append(new.get(statement, statement))
    if not made:
        return program, folds
    gone = {fold.target for fold in folds.values()}
    return program.rewritten(statements, new).replace(
        results=(*(each for each in program.results if each not in gone), *made),
        locals=tuple(each for each in program.locals if each not in gone),
    ), folds


def _too_wide(region: Sequence[Assign]) -> bool:
    arrays = _names(region)
    operands = {each.name for s in region for each in postorder((s.value,)) if isinstance(each, Operand)}
    return len(arrays) > walk.ARRAYS or len(operands - arrays.keys()) > walk.SCALARS


def _in_two_orders(region: Sequence[Assign], folds: Mapping[str, Folded]) -> bool:
    """Whether a region has reductions in the order of C and others in that of Fortran: a walk has one of them."""
    orders = set()
    for statement in region:
        fold = folds.get(_target(statement))
        if fold is not None and not fold.target.type.rank:
            meaning = fold_of(fold.reduce)
            # A minimum too is the first of equals, and 0.0 equals -0.0.
            if meaning.ordered:
                orders.add(meaning.order)
    return len(orders) > 1


def hoist(program: Program) -> Program:
    """A local for each costly part of a statement that not all of its arrays go into: where those broadcast, it is over
    fewer elements than the statement.

        r[...] = sin(x) + y    ->    h[...] = sin(x)
                                     r[...] = h + y
    """
    made: list[Operand] = []
    statements: list[Node] = []
    new: dict[Node, Node] = {}
    for statement in _assigns(program.statements):
        names = {name for name in _names([statement], targets=False)}
        value = statement.value
        if len(names) > 1:
            for part in _parts(value, names):
                local = Operand(f"h{len(made)}", part.type.plain)
                made.append(local)
                statements.append(Assign(local, part))
                (value,) = substitute((value,), {part: local}.get)
        if value is not statement.value:
            new[statement] = Assign(statement.target, value)
        statements.append(new.get(statement, statement))
    if not made:
        return program
    return program.rewritten(statements, new).replace(locals=(*program.locals, *made))


def _parts(value: Node, names: set[str]) -> list[Node]:
    """The largest costly parts of a value that read some arrays, but not all of those in `names`."""
    found: list[Node] = []
    stack, seen = [value], {value}
    while stack:
        node = stack.pop()
        if not isinstance(node, Apply) or not node.type.rank:
            continue
        beneath = postorder((node,))
        reads = {each.name for each in beneath if isinstance(each, Operand) and each.type.rank}
        if reads < names and sum(each.op.cost for each in beneath if isinstance(each, Apply)) >= operators.COSTLY:
            found.append(node)
            continue
        for arg in node.args:
            if arg not in seen:
                seen.add(arg)
                stack.append(arg)
    return found


def _assigns(statements: Sequence[Node]) -> list[Assign]:
    assert all(isinstance(statement, Assign) for statement in statements)
    return list(statements)  # type: ignore[arg-type]


def _locals(split: Program, program: Program) -> tuple[Operand, ...]:
    known = set(program.locals)
    return tuple(operand for operand in split.locals if operand not in known)


def _target(statement: Assign) -> str:
    assert isinstance(statement.target, Operand)
    return statement.target.name


def _names(statements: Sequence[Assign], targets: bool = True) -> dict[str, None]:
    """The arrays that statements read, and with `targets` those that they assign."""
    values: list[Node] = [statement.value for statement in statements]
    if targets:
        values += [statement.target for statement in statements]
    return {each.name: None for each in postorder(values) if isinstance(each, Operand) and each.type.rank}
