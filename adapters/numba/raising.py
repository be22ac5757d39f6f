"""What a nest of loops is as assignments of whole arrays: asked of `raise_loops`, and put as one region of a kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from arrayexpr._core.affine import linear
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Constant,
    Disjoint,
    For,
    Guard,
    Index,
    Load,
    Node,
    Operand,
    Store,
    View,
    postorder,
    substitute,
)
from arrayexpr._core.ops import operator
from arrayexpr._core.passes.fuse import fuse
from arrayexpr._core.passes.raise_loops import raise_loops
from arrayexpr._core.program import Program
from arrayexpr._core.regions import regions

from . import scalars, walk
from .fusing import hoist
from .interchange import carrying_outside
from .kinds import host_type, types
from .loops import Nest, Sum, last_values, step_of
from .reader import Refused

IN_ORDER: Final = "its innermost loop goes along memory already"
ONE_LOOP: Final = "it is one loop, which has one order"

_WHERE, _NOT = operator("where"), operator("logical_not")


@dataclass(repr=False)
class Raised:
    """A nest as regions. `regions` are what one walk each computes, in order; `views` has for each array of theirs the
    part of an operand that it is; `made` are arrays that are made for a region after them.

    `ordered` are indices of loops that stay around the regions, with their first and last values and steps.
    `conditions` must hold, of lengths and scalars; and what is assigned must share no memory with the rest, but for
    the very same elements where `alone`. `counts` has start, stop and step of each loop. `last` has what variables hold
    after it; `sums` the variables that are added to, by the view that has what is. `along`: as they are written, the
    innermost loops go along memory, as types of arrays tell.
    """

    nest: Nest
    regions: list[list[Assign]]
    views: dict[str, Node]
    made: tuple[Operand, ...]
    conditions: list[Node]
    alone: bool
    counts: list[tuple[Node, Node, int]]
    last: dict[str, Node]
    ordered: list[tuple[Index, Node, Node, int]]
    sums: dict[str, Sum]
    along: bool


def raised(nest: Nest, gains: bool = True) -> Raised:
    """The regions that a nest is. Raises Refused where `raise_loops` finds that its order counts, with its reason, and
    if it `gains` by its order alone, where that is as good as written."""
    turned = carrying_outside(nest.program) if _adds_again(nest) else None
    made = None if turned is None else _inside(turned)
    if made is None:
        found = raise_loops(nest.program, guess=False)
        conditions, statements = _version(found, *nest.program.statements)
        made = found, conditions, statements, []
        if not _are_assigns(statements):
            why = _placed("; ".join(dict.fromkeys(map(_reason, found.remarks))) or "a test stays in it", nest.program)
            turned = carrying_outside(nest.program) if turned is None else None
            made = None if turned is None else _inside(turned)
            if made is None:
                raise Refused(why)
    found, conditions, statements, ordered = made
    assert statements is not None
    if ordered and nest.sums:
        raise Refused("a loop in it adds up to elements, and one to a variable")
    if nest.sums and any(
        kind.layout not in "CF" for _, kind in nest.variables.values() if isinstance(kind, types.Array)
    ):
        # Rows of these are seldom a power of two apart, and plain Numba took a fifth to a third of the time.
        raise Refused("it adds to a variable from arrays that may lie in any way")
    if gains and _in_order(nest, ordered):
        raise Refused(IN_ORDER)
    if any(isinstance(node, Apply) and node.op is _WHERE for s in statements for node in postorder((s,))):
        statements = [_own(statement) for statement in statements]
    return _regions(nest, found, conditions, [s for s in statements if isinstance(s, Assign)], ordered)


def _adds_again(nest: Nest) -> bool:
    """Whether each iteration of some loop adds to the same element: that loop stays in order, which is known without
    asking `raise_loops`."""
    for loop in nest.loops:
        read = {(n.operand, n.subscripts) for n in postorder((loop,)) if isinstance(n, Load)}
        stored = [n for n in postorder((loop,)) if isinstance(n, Store) and n.subscripts]
        for store in stored:
            again = loop.index not in postorder(store.subscripts)
            if again and (store.operand, store.subscripts) in read:
                return True
    return False


def _inside(
    turned: tuple[Program, int],
) -> tuple[Program, list[Node], list[Node] | None, list[For]] | None:
    """What loops become within those that stay around them, which are the first so many; None where that is no
    assignments of arrays."""
    program, count = turned
    found = raise_loops(program, guess=False)
    conditions, statements = _version(found, *program.statements)
    ordered: list[For] = []
    for _ in range(count):
        if statements is None or len(statements) != 1 or not isinstance(statements[0], For):
            return None
        ordered.append(statements[0])
        statements = list(statements[0].body)
    return (found, conditions, statements, ordered) if _are_assigns(statements) else None


def _in_order(nest: Nest, ordered: Sequence[For]) -> bool:
    """Whether Numba's own code for the loops as written is as good: the types of arrays say that elements that follow
    one another are next to one another, and no subscript is such that it has to be looked at whether it is below 0."""
    if len(nest.loops) > 2 and any(loop.index is nest.loops[0].index for loop in ordered):
        # What is added to would go through the caches each time.
        return False
    return _goes_along(nest, _from_zero)


def _goes_along(nest: Nest, holds: Callable[[Node, For], bool] = lambda subscript, loop: True) -> bool:
    """Whether the innermost loops go along memory, as the types of arrays tell, and something holds of subscripts."""
    if any(kind.layout not in "CF" for _, kind in nest.variables.values() if isinstance(kind, types.Array)):
        return False
    for loop in nest.loops:
        if any(isinstance(node, For) for node in postorder(loop.body)):
            continue
        if step_of(loop) != 1:
            return False
        for access in postorder(loop.body):
            if not isinstance(access, Load | Store) or not access.subscripts:
                continue
            if access.operand not in nest.arrays:
                continue
            moving = [axis for axis, each in enumerate(access.subscripts) if loop.index in postorder((each,))]
            layout = nest.variables[access.operand.name][1].layout
            along = 0 if layout == "F" else len(access.subscripts) - 1
            if moving and (moving != [along] or not holds(access.subscripts[along], loop)):
                return False
    return True


def _from_zero(subscript: Node, loop: For) -> bool:
    """Whether a subscript is a loop's index, and maybe a number, and never below 0: LLVM then knows that, too."""
    found = linear(subscript)
    if found is None or not isinstance(loop.start, Constant) or found.get(loop.index) != 1:
        return False
    return found.keys() <= {loop.index, None} and loop.start.value + found.get(None, 0) >= 0


def _are_assigns(statements: Sequence[Node] | None) -> bool:
    return statements is not None and all(isinstance(statement, Assign) for statement in statements)


def _version(program: Program, original: Node) -> tuple[list[Node], list[Node] | None]:
    """The conditions and statements of the version that takes least for granted."""
    conditions: list[Node] = []
    statements: Sequence[Node] = program.statements
    best: list[Node] | None = None
    while True:
        match list(statements):
            case [For() as loop] if loop is original:
                return conditions, best
            case [Guard() as guard] if guard.otherwise:
                conditions, best, statements = [guard.condition], list(guard.then), guard.otherwise
            case found:
                return [], list(found)


def _reason(remark: str) -> str:
    before, _, after = remark.partition(" stays: ")
    return f"{before}: {after}" if after else remark


def _placed(text: str, program: Program) -> str:
    """A text with the lines of statements in the place of what they store: a value in our operators is long."""
    for node, origins in program.origins.items():
        if isinstance(node, Store) and origins:
            element, _, _ = repr(node).partition(" = ")
            text = text.replace(repr(node), f"{element} in line {origins[0].loc.line}")
    return text


def _own(statement: Node) -> Node:
    """A statement with our choices and negations replaced by Numba's."""

    def leaf(node: Node) -> Node | None:
        match node:
            case Apply(op, (condition, x, y)) if op is _WHERE:
                x, y, condition = (_own(each) for each in (x, y, condition))
                if isinstance(condition, Constant):
                    return x if condition.value else y
                return Apply(scalars.select(host_type(x.type.element)), (condition, x, y))
            case Apply(op, (x,)) if op is _NOT:
                return Apply(scalars.negation(), (_own(x),))
        return None

    return substitute((statement,), leaf)[0]


def _regions(
    nest: Nest, found: Program, conditions: list[Node], statements: list[Assign], ordered: list[For]
) -> Raised:
    views, put = _named(found, statements)
    operands = {name: Operand(name, view.type.plain) for name, view in views.items()}
    new = {view: operands[name] for name, view in put.items()}
    assigns: list[Assign] = []
    for statement in statements:
        (value,) = substitute((statement.value,), new.get)
        target = new.get(statement.target, statement.target)
        assigns.append(Assign(target, value))
    if not assigns or any(statement.target.type.rank == 0 for statement in statements):
        raise Refused("it stores one element")
    if max(statement.target.type.rank for statement in assigns) + len(ordered) < 2:
        raise Refused(ONE_LOOP)
    program = Program(
        found.name,
        [*operands.values(), *(each for each in found.operands if not each.type.rank)],
        assigns,
        locals=found.locals,
    )
    made: tuple[Operand, ...] = ()
    if ordered:
        groups = [assigns] if len(assigns) == 1 else _fused(program)
        if len(groups) > 1:
            raise Refused("several statements in it are one after the other")
    elif len(assigns) == 1:
        split = hoist(program)
        made = tuple(each for each in split.locals if each not in program.locals)
        groups = [[each] for each in split.statements if isinstance(each, Assign)]
    else:
        groups = _fused(program)
    if any(each.name in _names(groups) for each in program.locals):
        raise Refused(f"it needs an array for {program.locals[0].name!r}")
    innermost = sum(not any(isinstance(n, For) for n in postorder(loop.body)) for loop in nest.loops)
    # What is done where a test of indices holds and what is done where not are over different elements.
    parted = sum(isinstance(n, Guard) and bool(n.otherwise) for n in postorder(nest.program.statements))
    if len(groups) - len(made) > innermost + parted:
        raise Refused(f"it would be {len(groups)} nests")
    if any(len(_names([group])) > walk.ARRAYS for group in groups):
        raise Refused(f"more than {walk.ARRAYS} arrays")
    needed = _names(groups)
    sums = {name: each for each in nest.sums for name, view in views.items() if _whole(view, each.operand)}
    if len(sums) != len(nest.sums) or not sums.keys() <= needed:
        raise Refused("it adds up in another order than it goes through elements")
    counts = last_values([n for loop in nest.loops for n in (loop.start, loop.stop)], nest.loops)
    last = dict(zip(nest.last, last_values(list(nest.last.values()), nest.loops), strict=True))
    return Raised(
        nest,
        groups,
        {name: view for name, view in views.items() if name in needed},
        made,
        [each for condition in conditions for each in _tests(condition)],
        len(assigns) == 1,
        [(counts[2 * k], counts[2 * k + 1], step_of(loop)) for k, loop in enumerate(nest.loops)],
        last,
        [(loop.index, loop.start, last_values([loop.index], [loop])[0], step_of(loop)) for loop in ordered],
        sums,
        _goes_along(nest),
    )


def _whole(view: Node, operand: Operand) -> bool:
    """Whether a view is of an operand, with its axes as they are."""
    while isinstance(view, View):
        if view.order is not None or any(item is None or isinstance(item, Node | int) for item in view.subscripts):
            return False
        view = view.arg
    return view is operand


def _fused(program: Program) -> list[list[Assign]]:
    if len({statement.target.type.rank for statement in program.statements if isinstance(statement, Assign)}) > 1:
        return [[each] for each in program.statements if isinstance(each, Assign)]
    fused = fuse(program, guarded=True)
    return [[each for each in group if isinstance(each, Assign)] for group in regions(fused.statements)]


def _named(program: Program, statements: Iterable[Assign]) -> tuple[dict[str, Node], dict[str, Node]]:
    """By name the parts of operands that are read or assigned, as arrays, and as they stand in the statements."""
    views: dict[str, Node] = {}
    put: dict[str, Node] = {}
    known = {operand for operand in program.operands if operand.type.rank}
    stack: list[Node] = [each for statement in statements for each in (statement.target, statement.value)]
    seen: set[Node] = set()
    while stack:
        node = stack.pop(0)
        if node in seen:
            continue
        seen.add(node)
        base = node
        while isinstance(base, View):
            base = base.arg
        if base in known:
            name = f"{base.name}_{len(views)}"
            put[name] = node
            # One element for all iterations has an axis too, which broadcasts.
            views[name] = node if node.type.rank else View(node, [None])
            continue
        if isinstance(node, View):
            raise Refused("a part of what is computed is read")
        stack.extend(node.args)
    return views, put


def _tests(condition: Node) -> Iterator[Node]:
    """What a condition has between its `and`s, but for shared memory: that is asked of the parts that are touched."""
    match condition:
        case Apply(op, (x, y)) if op is operator("logical_and"):
            yield from _tests(x)
            yield from _tests(y)
        case Disjoint():
            pass
        case _:
            yield condition


def _names(groups: Iterable[Iterable[Assign]]) -> set[str]:
    return {
        node.name
        for group in groups
        for statement in group
        for node in postorder((statement.value, statement.target))
        if isinstance(node, Operand) and node.type.rank
    }
