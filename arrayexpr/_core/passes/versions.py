"""Several versions of a nest, chosen by strides when it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..affine import integer, plus, times
from ..nodes import Apply, Constant, Extent, For, Guard, Index, Load, Loop, Node, Store, Stride, postorder
from ..ops import operator
from ..program import Program
from .nests import (
    Nest,
    byte_strides,
    conjunction,
    either_unit,
    enclosed,
    extents_known,
    factor_of,
    facts_of,
    independent,
    map_nests,
    movement,
    unit_condition,
)

_ABSOLUTE, _AND = operator("absolute"), operator("logical_and")
_EQUAL, _LESS, _WHERE = operator("equal"), operator("less"), operator("where")

#: Nodes that the versions of all nests of a program may have together. Of a node gcc 12 made some 90 bytes of code
#: with -O3 -march=native: a program that has all versions stays below 150 kB. Where it would pass that, each nest has
#: a version for unit strides, and one for all others.
SIZE = 1500
#: A nest's versions, where its size allows.
_MOST = 6


def versions(program: Program, *, size: int = SIZE) -> Program:
    """Give nests whose strides are unknown a version for each way that they commonly lie in memory.

        for i in serial(0, n, 1):           all contiguous along j: the nest
            for j in serial(0, m, 1):   →   else all along i: j around i
                r[i, j] = a[i, j]           else r along j, others along i or j: the nest, for `block` to tile
                                            else r along i, others along i or j: j around i, to tile
                                            else r moves less far along i than along j: j around i
                                            else: the nest

    In the versions that are not tiled, loops that turn out to walk memory as one do so: their bounds are chosen
    by strides, `for i in serial(0, where(a.strides[0] == m * 8 and ..., 1, n), 1)`. The loops of a nest that is
    not perfect, or has iterations that depend on one another, keep their order: they have a version for unit
    strides along the innermost, and one for all others. A guard tells the passes that follow, and emitters, the
    strides that it tests. `size` bounds the nodes of all versions together.

    Keeps: the set of (i, j) visited.
    Requires: nests that `lower` or `sweep` made, in which operands overlap only where they are the same view.
    """
    # In several threads the outermost loop is shared out: it keeps its length.
    extents = extents_known(program)
    cores = program.target.cores if program.target is not None else 1
    large = weight(program, size) > size

    def change(nest: Nest) -> Node:
        known = {**extents, **nest.facts}
        whole = nest.rebuilt(range(len(nest.loops)))
        if any(loop.role != "serial" for loop in nest.loops) or not independent(nest):
            return _by_innermost(whole, program, known)
        leaves = _leaves(nest, program, known, outermost=1 if cores > 1 else 0)
        if large:
            del leaves[1:-1]
        (_, made) = leaves.pop()
        for condition, leaf in reversed(leaves):
            assert condition is not None
            made = Guard(condition, (leaf,), (made,))
        return made

    return map_nests(program, change)


def weight(program: Program, enough: int = SIZE) -> int:
    """The nodes of all versions of a program's nests, or more than enough of them."""
    nodes = 0
    stack = list(program.statements)
    while stack and nodes <= enough:
        statement = stack.pop()
        if type(statement) is Loop:
            nodes += _MOST * len(postorder((statement,)))
        elif type(statement) is For:
            stack.extend(statement.body)
        elif isinstance(statement, Guard):
            stack.extend((*statement.then, *statement.otherwise))
    return nodes


def _by_innermost(statement: Node, program: Program, known: Mapping[Node, int]) -> Node:
    """Loops of any shape, with a version for unit strides along the innermost, where those are over one index."""
    loops = [s for s in (statement, *enclosed((statement,))) if type(s) is Loop]
    inner = [loop for loop in loops if not any(type(s) is Loop for s in enclosed(loop.body))]
    # A loop that only folds elements tests their stride itself.
    inner = [loop for loop in inner if loop.role == "serial" or not all(map(_folds_element, loop.body))]
    if not inner:
        return statement
    index = inner[0].index
    accesses = [n for loop in inner if loop.index is index for n in postorder(loop.body) if isinstance(n, Load | Store)]
    condition = unit_condition(accesses, index, program, known)
    return statement if condition is None else Guard(condition, (statement,), (statement,))


def _folds_element(statement: Node) -> bool:
    match statement:
        case Store(_, _, Apply(_, (Load(), Load()))):
            return True
    return False


def _leaves(nest: Nest, program: Program, known: Mapping[Node, int], outermost: int) -> list[tuple[Node | None, Node]]:
    """The versions of a nest, each with its condition; the last has none."""
    loops, rank = nest.loops, len(nest.loops)
    straight, turned = tuple(range(rank)), tuple(reversed(range(rank)))

    def version(order: Sequence[int], condition: Node | None) -> tuple[Node | None, Node]:
        facts = {**known, **(facts_of(condition) if condition is not None else {})}
        ordered = [loops[k] for k in order]
        return condition, _merging(ordered, nest, program, facts, outermost)

    leaves = []
    unit = unit_condition(nest.accesses, loops[-1].index, program, known)
    if unit is not None:
        leaves.append(version(straight, unit))
    if rank > 1:
        first = loops[0].index
        if not _contiguous_elsewhere(nest, first, program, known):
            unit = unit_condition(nest.accesses, first, program, known)
            if unit is not None:
                leaves.append(version(turned, unit))
        last, crossing = loops[-1].index, _crossing(nest)
        # What is stored is contiguous along the innermost loop: with strides unknown there too, `a + b.T` of
        # 1000 x 1000 doubles took 1.4 times as long as specialised, exp(a) * b with b in Fortran order 1.7 times.
        mixed = [(straight, _mixed(nest, last, crossing, program, known))]
        if crossing is first:
            mixed.append((turned, _mixed(nest, first, last, program, known)))
        for order, condition in mixed:
            if condition is not None and condition not in [before for before, _ in leaves]:
                leaves.append((condition, nest.rebuilt(order)))
        falling = _falling(nest, program, known)
        if falling is not None:
            leaves.append(version(turned, falling))
    leaves.append(version(straight, None) if leaves else (None, nest.rebuilt(straight)))
    return leaves


def _contiguous_elsewhere(nest: Nest, index: Index, program: Program, known: Mapping[Node, int]) -> bool:
    """Whether an operand that moves along a loop is known to be contiguous along another one."""
    for access in nest.accesses:
        size = access.operand.type.element.itemsize
        if movement(access, index, program, known) is None and size in map(abs, _known_strides(access, program)):
            return True
    return False


def _known_strides(access: Load | Store, program: Program) -> list[int]:
    return [stride for stride in byte_strides(access.operand, program) if stride is not None]


def _mixed(nest: Nest, inner: Index, other: Index, program: Program, known: Mapping[Node, int]) -> Node | None:
    """That what is stored is contiguous along one loop, and what is loaded along it or another one.

    None where strides leave no choice.
    """
    tests: dict[Node, None] = {}
    for access in nest.accesses:
        size = access.operand.type.element.itemsize
        steps = [movement(access, index, program, known) for index in (inner, other)]
        if 0 in steps or size in steps or -size in steps:
            continue
        stored = isinstance(access, Store)
        test = unit_condition([access], inner, program, known) if stored else either_unit(access, inner, other)
        if test is None:
            return None
        tests[test] = None
    if len({access.operand for access in nest.accesses if access.operand.type.rank > 1}) < 2:
        return None
    return conjunction(tests)


def _crossing(nest: Nest) -> Index:
    """The loop that most operands in C order are contiguous along but for the last; the first where all follow that."""
    votes = {loop.index: 0 for loop in nest.loops[:-1]}
    for access in nest.accesses:
        if access.subscripts:
            for index in votes:
                votes[index] += index in postorder((access.subscripts[-1],))
    return max(votes, key=lambda index: votes[index])


def _falling(nest: Nest, program: Program, known: Mapping[Node, int]) -> Node | None:
    """That what is stored moves less far along the first loop than along the last."""
    first, last = nest.loops[0].index, nest.loops[-1].index
    for access in nest.accesses:
        if not isinstance(access, Store):
            continue
        steps = [_step(access, index, program, known) for index in (first, last)]
        if None in steps or any(isinstance(step, Constant) for step in steps):
            return None
        near, far = (Apply(_ABSOLUTE, (step,)) for step in steps if step is not None)
        return Apply(_LESS, (near, far))
    return None


def _step(access: Load | Store, index: Index, program: Program, known: Mapping[Node, int]) -> Node | None:
    """How many bytes an access moves with an index, as an expression over strides; None where that is none."""
    moved = movement(access, index, program, known)
    if moved is not None:
        return integer(moved)
    total: Node = integer(0)
    for axis, subscript in enumerate(access.subscripts):
        if index not in postorder((subscript,)):
            continue
        # Lengths in a subscript, as in a[1:], do not move it.
        told: dict[Node, int] = {**known, **{n: 0 for n in postorder((subscript,)) if isinstance(n, Extent)}}
        factor = factor_of(subscript, index, told)
        if factor is None:
            return None
        stride = byte_strides(access.operand, program)[axis]
        if stride is None:
            stride = known.get(Stride(access.operand, axis))
        step = Stride(access.operand, axis) if stride is None else integer(stride)
        total = plus(total, times(step, integer(factor)))
    return total


def _merging(loops: Sequence[Loop], nest: Nest, program: Program, known: Mapping[Node, int], outermost: int) -> Node:
    """The nest, its bounds so chosen that the innermost loop goes on over those around it where memory does."""
    stops = [loop.stop for loop in loops]
    merged = list(stops)
    holds: Node | None = None
    length = stops[-1]
    inner = [length]
    chain: list[Node] = []
    for k in range(len(loops) - 1, outermost, -1):
        goes_on = _goes_on(loops[k - 1], loops[k], nest, program, known)
        if goes_on is None:
            break
        holds = goes_on if holds is None else Apply(_AND, (holds, goes_on))
        chain.append(holds)
        length = times(stops[k - 1], length)
        inner.append(length)
        merged[k - 1] = Apply(_WHERE, (holds, integer(1), stops[k - 1]))
    bound = inner.pop()
    while chain:
        bound = Apply(_WHERE, (chain.pop(), bound, inner.pop()))
    merged[-1] = bound
    body = nest.body
    for loop, stop in zip(reversed(loops), reversed(merged), strict=True):
        body = (Loop(loop.index, loop.start, stop, loop.step, loop.role, body),)
    return body[0]


def _goes_on(outer: Loop, inner: Loop, nest: Nest, program: Program, known: Mapping[Node, int]) -> Node | None:
    """That every access moves by a step of the outer loop as far as by all of the inner; None where none can."""
    if any(loop.start is not integer(0) or loop.step is not integer(1) for loop in (outer, inner)):
        return None
    tests: dict[Node, None] = {}
    for access in nest.accesses:
        row, step = (_step(access, loop.index, program, known) for loop in (outer, inner))
        if row is None or step is None:
            return None
        if row is step is integer(0):
            continue
        if isinstance(row, Constant) and isinstance(step, Constant) and not isinstance(inner.stop, Constant):
            return None
        # What stands still along one does along the other.
        tests[Apply(_EQUAL, (step, row) if row is integer(0) else (row, times(inner.stop, step)))] = None
    return conjunction(tests)
