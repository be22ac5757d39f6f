"""Results larger than the caches stored past them."""

from __future__ import annotations

from collections.abc import Sequence

from ..affine import depends, integer, least, minus, plus
from ..nodes import Constant, Guard, Index, Load, Loop, Node, Operand, Scratch, Store, postorder
from ..program import Program
from ..types import UNIT
from .nests import enclosed, untaken

#: Elements of a row that is stored at once, where no tile says how many.
SIZE = 512


def stream(program: Program, *, size: int = SIZE) -> Program:
    """Have vector loops compute rows in scratch, from which they are stored past the caches.

        for i in vector(0, n, 1):              for i_0 in serial(0, n, 512):
            r[i] = a[i] + b[i]         →           r_s = scratch(float64[::1], 512)
                                                   for i in vector(i_0, minimum(i_0 + 512, n), 1):
                                                       r_s[i - i_0] = a[i] + b[i]
                                                   for i in stream(i_0, minimum(i_0 + 512, n), 1):
                                                       r[i] = r_s[i - i_0]

    That gains where a result is larger than the last cache, so that nothing of it would be found there: the caller
    knows. A loop over a block or strip of constant length is not cut again. Only a loop of stores
    to operands whose types say that they are contiguous along the loop is changed.

    Keeps: r_s[i - i_0] == r[i].
    Requires: `vectorize` has marked the loops; iterations read nothing that others store.
    """
    taken = {operand.name for operand in program.declared}
    for statement in enclosed(program.statements):
        if isinstance(statement, Loop):
            taken.add(statement.index.name)
        elif isinstance(statement, Scratch):
            taken.add(statement.operand.name)
    scratch = {s.operand for s in enclosed(program.statements) if isinstance(s, Scratch)}
    new: dict[Node, Node] = {}

    def visit(statement: Node, steps: dict[Node, int]) -> tuple[Node, ...]:
        if isinstance(statement, Guard):
            then = tuple(s for t in statement.then for s in visit(t, steps))
            otherwise = tuple(s for t in statement.otherwise for s in visit(t, steps))
            return (Guard(statement.condition, then, otherwise),)
        if type(statement) is not Loop:
            return (statement,)
        if any(isinstance(inner, Loop) for inner in enclosed(statement.body)):
            if isinstance(statement.step, Constant):
                steps = {**steps, statement.index: statement.step.value}
            body = tuple(s for t in statement.body for s in visit(t, steps))
            changed = Loop(statement.index, statement.start, statement.stop, statement.step, statement.role, body)
            if changed is not statement:
                new[statement] = changed
            return (changed,)
        results = _results(statement, scratch)
        if not results:
            return (statement,)
        length = steps.get(statement.start, 1)
        if length > 1:
            made = _rows(statement, results, statement.start, statement.stop, length)
        else:
            first = Index(untaken(statement.index.name + "_0", taken))
            taken.add(first.name)
            end = least(plus(first, integer(size)), statement.stop)
            rows = _rows(statement, results, first, end, size)
            made = (Loop(first, statement.start, statement.stop, integer(size), "serial", rows),)
        new[statement] = made[-1]
        return made

    def _rows(loop: Loop, stores: Sequence[Store], start: Node, stop: Node, length: int) -> tuple[Node, ...]:
        place = (minus(loop.index, start),)
        scratches, computed, copies = [], [], []
        for store in stores:
            name = untaken(store.operand.name + "_s", taken)
            taken.add(name)
            row = Operand(name, store.operand.type.element.array(1, (UNIT,)))
            scratches.append(Scratch(row, (integer(length),)))
            computed.append(Store(row, place, store.value))
            copy = Store(store.operand, store.subscripts, Load(row, place))
            copies.append(Loop(loop.index, start, stop, loop.step, "stream", (copy,)))
        return *scratches, Loop(loop.index, start, stop, loop.step, "vector", tuple(computed)), *copies

    return program.rewritten([s for t in program.statements for s in visit(t, {})], new)


def _results(loop: Loop, scratch: set[Operand]) -> list[Store]:
    """The stores of a vector loop, where each is into a result's elements side by side; else none."""
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
    values = postorder(store.value for store in stores)
    if len(stored) < len(stores) or any(isinstance(n, Load) and n.operand in stored for n in values):
        # What is read and assigned in place is in the caches already.
        return []
    return stores
