"""Results larger than the caches stored past them."""

from __future__ import annotations

from collections.abc import Sequence

from ..affine import depends, integer, least, minus, plus
from ..nodes import Constant, Guard, Index, Load, Loop, Node, Operand, Scratch, Store, postorder
from ..program import Program
from ..types import UNIT
from .nests import enclosed, untaken

#: Elements of the rows that several results are computed in. Of two sums over three arrays, 16 million doubles: 22 ms
#: as gcc stores by itself, 9 past the caches.
SIZE = 512


def stream(program: Program, *, size: int = SIZE) -> Program:
    """Give vector loops that store a result the role `stream`: their stores go past the caches.

        for i in vector(0, n, 1):              for i in stream(0, n, 1):
            r[i] = a[i] + b[i]         →           r[i] = a[i] + b[i]

    That gains where a result would not stay in the last cache, so that nothing of it would be found there: the caller
    knows. Only a loop of stores to operands whose types say that they are contiguous along the loop is changed. Of
    several results a row each is computed in scratch, and then one row after the other stored:

        for i in vector(0, n, 1):              for i_0 in serial(0, n, 512):
            r[i] = a[i] + b[i]                     r_s = scratch(float64[::1], 512)
            s[i] = a[i] - b[i]                     s_s = scratch(float64[::1], 512)
                                         →         for i in vector(i_0, minimum(i_0 + 512, n), 1):
                                                       r_s[i - i_0] = a[i] + b[i]
                                                       s_s[i - i_0] = a[i] - b[i]
                                                   for i in stream(i_0, minimum(i_0 + 512, n), 1):
                                                       r[i] = r_s[i - i_0]
                                                   for i in stream(i_0, minimum(i_0 + 512, n), 1):
                                                       s[i] = s_s[i - i_0]

    Keeps: the loop's iterations; r_s[i - i_0] == r[i].
    Requires: `vectorize` has marked the loops; iterations read nothing that others store.
    """
    taken = {operand.name for operand in program.declared}
    for each in enclosed(program.statements):
        if isinstance(each, Loop):
            taken.add(each.index.name)
        elif isinstance(each, Scratch):
            taken.add(each.operand.name)
    scratch = {s.operand for s in enclosed(program.statements) if isinstance(s, Scratch)}
    new: dict[Node, Node] = {}

    def visit(statement: Node, steps: dict[Node, int]) -> tuple[Node, ...]:
        if isinstance(statement, Guard):
            then, otherwise = (
                tuple(s for t in block for s in visit(t, steps)) for block in (statement.then, statement.otherwise)
            )
            return (Guard(statement.condition, then, otherwise),)
        if type(statement) is not Loop:
            return (statement,)
        role, body = statement.role, statement.body
        made: tuple[Node, ...] = ()
        if any(isinstance(inner, Loop) for inner in enclosed(body)):
            if isinstance(statement.step, Constant):
                steps = {**steps, statement.index: statement.step.value}
            body = tuple(s for t in body for s in visit(t, steps))
        else:
            stores = _results(statement, scratch)
            if len(stores) == 1:
                role = "stream"
            elif stores:
                made = several(statement, stores, steps.get(statement.start, 1))
        changed = Loop(statement.index, statement.start, statement.stop, statement.step, role, body)
        made = made or (changed,)
        if made != (statement,):
            new[statement] = made[-1]
        return made

    def several(loop: Loop, stores: Sequence[Store], length: int) -> tuple[Node, ...]:
        if length > 1:
            # A loop over a block or strip of constant length is not cut again.
            return rows(loop, stores, loop.start, loop.stop, length)
        first = Index(untaken(loop.index.name + "_0", taken))
        taken.add(first.name)
        body = rows(loop, stores, first, least(plus(first, integer(size)), loop.stop), size)
        return (Loop(first, loop.start, loop.stop, integer(size), "serial", body),)

    def rows(loop: Loop, stores: Sequence[Store], start: Node, stop: Node, length: int) -> tuple[Node, ...]:
        place = (minus(loop.index, start),)
        declared: list[Node] = []
        computed: list[Node] = []
        copies: list[Node] = []
        for store in stores:
            name = untaken(store.operand.name + "_s", taken)
            taken.add(name)
            row = Operand(name, store.operand.type.element.array(1, (UNIT,)))
            declared.append(Scratch(row, (integer(length),)))
            computed.append(Store(row, place, store.value))
            copy = Store(store.operand, store.subscripts, Load(row, place))
            copies.append(Loop(loop.index, start, stop, loop.step, "stream", (copy,)))
        return (*declared, Loop(loop.index, start, stop, loop.step, "vector", tuple(computed)), *copies)

    return program.rewritten([s for t in program.statements for s in visit(t, {})], new)


def _results(loop: Loop, scratch: set[Operand]) -> list[Store]:
    """The stores of a vector loop, where all of them are to a result's elements side by side, and none is read."""
    if loop.role != "vector" or loop.step is not integer(1):
        return []
    stores: list[Store] = []
    for store in loop.body:
        if not isinstance(store, Store) or store.operand in scratch or UNIT not in store.operand.type.layout:
            return []
        axis = store.operand.type.layout.index(UNIT)
        if store.subscripts[axis] is not loop.index:
            return []
        if any(depends(s, loop.index) for k, s in enumerate(store.subscripts) if k != axis):
            return []
        stores.append(store)
    stored = {store.operand for store in stores}
    values = postorder([store.value for store in stores])
    if len(stored) < len(stores) or any(isinstance(n, Load) and n.operand in stored for n in values):
        # What is read and assigned in place is in the caches already.
        return []
    return stores
