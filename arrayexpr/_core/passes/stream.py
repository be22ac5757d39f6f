"""Results larger than the caches stored past them."""

from __future__ import annotations

from ..affine import depends, integer
from ..nodes import Guard, Load, Loop, Node, Operand, Scratch, Store, postorder
from ..program import Program
from ..types import UNIT
from .nests import enclosed


def stream(program: Program) -> Program:
    """Give vector loops that store a result the role `stream`: their stores go past the caches.

        for i in vector(0, n, 1):              for i in stream(0, n, 1):
            r[i] = a[i] + b[i]         →           r[i] = a[i] + b[i]

    That gains where a result would not stay in the last cache, so that nothing of it would be found there: the caller
    knows. Only a loop of one store, to an operand whose type says that it is contiguous along the loop, is changed.

    Keeps: the loop's iterations.
    Requires: `vectorize` has marked the loops; iterations read nothing that others store.
    """
    scratch = {s.operand for s in enclosed(program.statements) if isinstance(s, Scratch)}
    new: dict[Node, Node] = {}

    def visit(statement: Node) -> Node:
        if isinstance(statement, Guard):
            then, otherwise = (tuple(map(visit, block)) for block in (statement.then, statement.otherwise))
            return Guard(statement.condition, then, otherwise)
        if type(statement) is not Loop:
            return statement
        role, body = statement.role, statement.body
        if any(isinstance(inner, Loop) for inner in enclosed(body)):
            body = tuple(map(visit, body))
        elif _streams(statement, scratch):
            role = "stream"
        changed = Loop(statement.index, statement.start, statement.stop, statement.step, role, body)
        if changed is not statement:
            new[statement] = changed
        return changed

    return program.rewritten([visit(statement) for statement in program.statements], new)


def _streams(loop: Loop, scratch: set[Operand]) -> bool:
    """Whether all that a vector loop stores is a result's elements side by side, none of which it reads."""
    if loop.role != "vector" or loop.step is not integer(1) or len(loop.body) != 1:
        return False
    (store,) = loop.body
    if not isinstance(store, Store) or store.operand in scratch or UNIT not in store.operand.type.layout:
        return False
    axis = store.operand.type.layout.index(UNIT)
    if store.subscripts[axis] is not loop.index:
        return False
    if any(depends(s, loop.index) for k, s in enumerate(store.subscripts) if k != axis):
        return False
    # What is read and assigned in place is in the caches already.
    return not any(isinstance(n, Load) and n.operand is store.operand for n in postorder((store.value,)))
