"""Results larger than the caches stored past them."""

from __future__ import annotations

from ..affine import depends, integer
from ..nodes import Guard, Load, Loop, Node, Operand, Scratch, Store, postorder
from ..program import Program
from ..types import UNIT
from .nests import enclosed

#: Results that a loop stores past the caches at the most: a line of each is under way at a time.
RESULTS = 8


def stream(program: Program) -> Program:
    """Give vector loops that store results the role `stream`: their stores go past the caches.

        for i in vector(0, n, 1):              for i in stream(0, n, 1):
            r[i] = a[i] + b[i]         →           r[i] = a[i] + b[i]
            s[i] = a[i] - b[i]                     s[i] = a[i] - b[i]

    That gains where a result would not stay in the last cache, so that nothing of it would be found there: the caller
    knows. Only a loop of stores to operands whose types say that they are contiguous along the loop is changed, of
    elements of one size.

    Keeps: the loop's iterations.
    Requires: `vectorize` has marked the loops; iterations read nothing that others store.
    """
    scratch = {s.operand for s in enclosed(program.statements) if isinstance(s, Scratch)}
    new: dict[Node, Node] = {}

    def visit(statement: Node) -> Node:
        if isinstance(statement, Guard):
            return Guard(statement.condition, tuple(map(visit, statement.then)), tuple(map(visit, statement.otherwise)))
        if type(statement) is not Loop:
            return statement
        role, body = statement.role, statement.body
        if any(isinstance(inner, Loop) for inner in enclosed(body)):
            body = tuple(map(visit, body))
        elif _results(statement, scratch):
            role = "stream"
        made = Loop(statement.index, statement.start, statement.stop, statement.step, role, body)
        if made is not statement:
            new[statement] = made
        return made

    return program.rewritten([visit(statement) for statement in program.statements], new)


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
    sizes = {store.operand.type.element.itemsize for store in stores}
    return stores if len(sizes) == 1 and len(stores) <= RESULTS else []
