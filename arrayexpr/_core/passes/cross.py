"""Blocks that are transposed in registers, where an operand is contiguous across the rows of a vector loop."""

from __future__ import annotations

from collections.abc import Sequence

from ..affine import depends, integer, least, minus, plus, quotient, times
from ..nodes import (
    Apply,
    Constant,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Pack,
    Scratch,
    Store,
    postorder,
    substitute,
)
from ..ops import operator
from ..program import Program
from ..types import STRIDED, UNIT
from .nests import names_taken, untaken
from .tiles import LINE, PART, SIZES

#: Rows of a block where nothing else tells; of single bytes there are as many as a part of a vector has.
ROWS = 8
#: Elements of a strip of rows, where operands come from memory. So many rows are prefetched eight lines ahead: all of
#: these stay in the second cache.
STRIP = 128

_ADD = operator("add")


def cross(program: Program, *, far: bool = False) -> Program:
    """Copy blocks of what is contiguous across the rows of a vector loop, some rows by a line, to read them along it.

        for i in serial(0, n, 1):                  for i in serial(0, n // 8 * 8, 8):
            for j in vector(0, m, 1):                  for j_0 in serial(0, m // 8 * 8, 8):
                r[i, j] = a[i, j] + b[i, j]                b_t = scratch(float64[:, ::1], 8, 8)
                                                           pack(b_t, b, starts=(i, j_0), extents=(8, 8))
                                              →            for i_ in serial(0, 8, 1):
                                                               for j in vector(0, 8, 1):
                                                                   r[i + i_, j_0 + j] = a[i + i_, j_0 + j] + b_t[i_, j]
                                                       for i_ in serial(0, 8, 1): for j in vector(m // 8 * 8, m, 1): ...
                                                   for i_2 in serial(n // 8 * 8, n, 1): for j in vector(0, m, 1): ...

    Here b is `float64[::1, :]`. A loop that reads several such rows at once, as `jam` makes them, is cut along itself
    alone. Such a block stays in registers, or in a few lines of the first cache, so that it pays where `pack` of whole
    tiles does not: sum((a - b.T)**2, axis=0) of 125 x 200 doubles takes 3.2 us, 6.6 with tiles of 128 x 128 and 4.6 by
    loops; of 1000 x 1000 228, 333 and 661.

    `far` says that the operands come from memory: strips of the rows are walked one after the other, and loops over
    blocks of rows get the role `block`, of which emitted C prefetches the next rows and lines.

    Keeps: each (i, j) is visited once, and the order in which an accumulator takes in its rows.
    Requires: loops that `vectorize` marked, and operand types that tell unit axes.
    """
    taken = names_taken(program)
    new: dict[Node, Node] = {}

    def visit(statement: Node) -> tuple[Node, ...]:
        if isinstance(statement, Guard):
            then, otherwise = block(statement.then), block(statement.otherwise)
            if then == statement.then and otherwise == statement.otherwise:
                return (statement,)
            return (Guard(statement.condition, then, otherwise),)
        if type(statement) is not Loop:
            return (statement,)
        found = _rows(statement, taken) or _nest(statement, taken, far)
        if found is None:
            body = block(statement.body)
            if body == statement.body:
                return (statement,)
            stepped = far and statement.step is not integer(1) and statement.role == "serial"
            found = (_with(statement, body, "block" if stepped else statement.role),)
        new[statement] = found[-1]
        return found

    def block(statements: Sequence[Node]) -> tuple[Node, ...]:
        return tuple(s for statement in statements for s in visit(statement))

    statements = block(program.statements)
    return program.rewritten(statements, new) if new else program


def _with(loop: Loop, body: tuple[Node, ...], role: str) -> Loop:
    return Loop(loop.index, loop.start, loop.stop, loop.step, role, body)


def _cut(loop: Loop, length: int) -> Node:
    """Where the last whole block of a loop ends."""
    return plus(loop.start, times(quotient(minus(loop.stop, loop.start), length), integer(length)))


def _along(load: Load, loop: Loop) -> tuple[int, int] | None:
    """The axis that a load is contiguous along, and the one that a loop strides along; None where there is none."""
    layout = load.operand.type.layout
    moving = [axis for axis, subscript in enumerate(load.subscripts) if depends(subscript, loop.index)]
    if len(moving) != 1 or load.subscripts[moving[0]] is not loop.index or layout[moving[0]] != STRIDED:
        return None
    if UNIT not in layout or load.operand.type.element.itemsize not in SIZES:
        return None
    return layout.index(UNIT), moving[0]


def _crossing(loop: Loop) -> dict[Load, tuple[int, int]]:
    """What an innermost vector loop loads across: see `_along`."""
    if (
        loop.role not in ("vector", "stream")
        or loop.step is not integer(1)
        or not all(isinstance(s, Store) for s in loop.body)
    ):
        return {}
    stored = {store.operand for store in loop.body if isinstance(store, Store)}
    loads = (n for n in postorder(loop.body) if isinstance(n, Load) and n.operand not in stored)
    return {load: axes for load in loads if (axes := _along(load, loop)) is not None}


def _block(
    loads: Sequence[Load], axes: tuple[int, int], rows: int, starts: Sequence[Node], line: Index, taken: set[str]
) -> tuple[Scratch, Pack, dict[Node, Node]]:
    """Scratch for a block of an operand, the copy into it, and what replaces its loads, one a row."""
    operand = loads[0].operand
    across, along = axes
    element = operand.type.element
    length = LINE // element.itemsize
    name = untaken(operand.name + "_t", taken)
    taken.add(name)
    layout = [STRIDED] * operand.type.rank
    layout[along] = UNIT
    target = Operand(name, element.array(operand.type.rank, tuple(layout)))
    extents = [integer(rows if k == across else length if k == along else 1) for k in range(operand.type.rank)]
    new: dict[Node, Node] = {}
    for row, load in enumerate(loads):
        places = [integer(row) if k == across else line if k == along else integer(0) for k in range(operand.type.rank)]
        new[load] = Load(target, tuple(places))
    return Scratch(target, tuple(extents)), Pack(target, operand, tuple(starts), tuple(extents)), new


def _rows(loop: Loop, taken: set[str]) -> tuple[Node, ...] | None:
    """A loop that loads several rows at once, cut along itself; None where it loads nothing so."""
    groups: dict[tuple[Node, ...], dict[int, Load]] = {}
    crossing = _crossing(loop)
    for load, (across, _) in crossing.items():
        base, row = _row(load.subscripts[across])
        rest = tuple(base if k == across else s for k, s in enumerate(load.subscripts))
        groups.setdefault((load.operand, *rest), {})[row] = load
    chosen: list[list[Load]] = []
    for rows in groups.values():
        size = next(iter(rows.values())).operand.type.element.itemsize
        whole = len(rows) * size % PART == 0 and sorted(rows) == list(range(len(rows)))
        if len(rows) > 1 and whole and (not chosen or size == chosen[0][0].operand.type.element.itemsize):
            chosen.append([rows[row] for row in range(len(rows))])
    if not chosen:
        return None
    length = LINE // chosen[0][0].operand.type.element.itemsize
    first = _index(loop.index.name + "_0", taken)
    before: list[Node] = []
    new: dict[Node, Node] = {}
    for loads in chosen:
        axes = crossing[loads[0]]
        starts = [first if k == axes[1] else s for k, s in enumerate(loads[0].subscripts)]
        scratch, copy, found = _block(loads, axes, len(loads), starts, loop.index, taken)
        before += (scratch, copy)
        new.update(found)
    body = tuple(substitute(loop.body, {**new, loop.index: plus(loop.index, first)}.get))
    end = _cut(loop, length)
    within = Loop(loop.index, integer(0), integer(length), integer(1), loop.role, body)
    return (
        Loop(first, loop.start, end, integer(length), "serial", (*before, within)),
        Loop(loop.index, end, loop.stop, loop.step, loop.role, loop.body),
    )


def _nest(loop: Loop, taken: set[str], far: bool) -> tuple[Node, ...] | None:
    """A loop over rows and the one within it, cut along both; None where nothing is loaded across."""
    if loop.role != "serial" or loop.step is not integer(1) or len(loop.body) != 1:
        return None
    (inner,) = loop.body
    if type(inner) is not Loop or any(depends(bound, loop.index) for bound in (inner.start, inner.stop)):
        return None
    crossing = {
        load: axes for load, axes in _crossing(inner).items() if load.subscripts[axes[0]] is loop.index
        and not any(depends(s, loop.index) for k, s in enumerate(load.subscripts) if k != axes[0])
    }  # fmt: skip
    sizes = {load.operand.type.element.itemsize for load in crossing}
    # Of accumulators there is a row, which `jam` has had some rows added to at once: those left over are few.
    stores = [store for store in inner.body if isinstance(store, Store)]
    if len(sizes) != 1 or not all(any(depends(s, loop.index) for s in store.subscripts) for store in stores):
        return None
    (size,) = sizes
    rows, length = max(ROWS, PART // size), LINE // size
    first, row, last, rest = (
        _index(name, taken)
        for name in (inner.index.name + "_0", *(loop.index.name + mark for mark in ("_", "_1", "_2")))
    )
    whole = inner
    if far:
        strip = _index(inner.index.name + "_s", taken)
        end = least(plus(strip, integer(STRIP)), inner.stop)
        inner = Loop(inner.index, strip, end, inner.step, inner.role, inner.body)
    before: list[Node] = []
    new: dict[Node, Node] = {}
    for load, axes in crossing.items():
        starts = [first if k == axes[1] else s for k, s in enumerate(load.subscripts)]
        scratch, copy, _ = _block((load,), axes, rows, starts, inner.index, taken)
        before += (scratch, copy)
        places = [row if k == axes[0] else inner.index if k == axes[1] else integer(0) for k in range(len(starts))]
        new[load] = Load(scratch.operand, tuple(places))
    body = tuple(
        substitute(inner.body, {**new, loop.index: plus(loop.index, row), inner.index: plus(inner.index, first)}.get)
    )
    row_end, end = _cut(loop, rows), _cut(inner, length)
    line = Loop(inner.index, integer(0), integer(length), integer(1), inner.role, body)
    short = substitute(inner.body, {loop.index: plus(loop.index, last)}.get)
    made = (
        Loop(loop.index, loop.start, row_end, integer(rows), "block" if far else "serial", (
            Loop(first, inner.start, end, integer(length), "serial", (
                *before, Loop(row, integer(0), integer(rows), integer(1), "serial", (line,)),
            )),
            Loop(last, integer(0), integer(rows), integer(1), "serial", (
                Loop(inner.index, end, inner.stop, integer(1), "vector", tuple(short)),
            )),
        )),
        Loop(rest, row_end, loop.stop, integer(1), "serial", tuple(substitute((inner,), {loop.index: rest}.get))),
    )  # fmt: skip
    return (Loop(strip, whole.start, whole.stop, integer(STRIP), "block", made),) if far else made


def _index(name: str, taken: set[str]) -> Index:
    made = Index(untaken(name, taken))
    taken.add(made.name)
    return made


def _row(subscript: Node) -> tuple[Node, int]:
    match subscript:
        case Apply(op, (base, Constant(value))) if op is _ADD:
            return base, value
    return subscript, 0
