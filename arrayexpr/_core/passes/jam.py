"""Several rows at a time in sweeps that add rows to a strip of accumulators (unroll and jam)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..affine import depends, integer, minus, plus, quotient, times
from ..infer import cost
from ..nodes import Apply, For, Guard, Index, Load, Loop, Node, Store, postorder, substitute
from ..ops import Operator
from ..program import Program
from ..vector_math import is_vector_math
from .nests import names_taken, refusal, untaken, values_under, with_body

#: Rows at a time, and the most streams of memory that a loop then reads. Measured on 4000 x 4000 doubles, in ms:
#: sum((a - b)**2, axis=0) by 1, 2, 4 and 8 rows 4.65, 4.24, 4.31 and 4.28; var(a, axis=0) by 1, 4 and 8 rows 4.81,
#: 2.66 and 2.45.
ROWS, STREAMS = 8, 16
#: Operations on an element from which on loads and stores of the accumulators no longer count.
COSTLY = 16.0


def jam(program: Program) -> Program:
    """Have loops that combine rows with a strip of accumulators take in several rows at a time.

        for i in serial(0, n, 1):            for i in serial(0, n // 2 * 2, 2):
            for j in serial(0, m, 1):            for j in serial(0, m, 1):
                s[j] = s[j] + a[i, j]    →           s[j] = s[j] + a[i, j] + a[i + 1, j]
                                             for i_ in serial(n // 2 * 2, n, 1):
                                                 for j in serial(0, m, 1):
                                                     s[j] = s[j] + a[i_, j]

    An accumulator is then loaded and stored once for them. Rows that cost much to compute are left as they are.

    Keeps: the order in which each accumulator takes in its rows, and so its bits.
    Requires: nests that `lower` made: operands overlap only where they are the same view.
    """
    taken = names_taken(program)
    new: dict[Node, Node] = {}

    def visit(statement: Node) -> tuple[Node, ...]:
        if isinstance(statement, Guard):
            then, otherwise = (block(branch) for branch in (statement.then, statement.otherwise))
            if then == statement.then and otherwise == statement.otherwise:
                return (statement,)
            return (Guard(statement.condition, then, otherwise),)
        if type(statement) is For:
            return (with_body(statement, block(statement.body)),)
        if type(statement) is not Loop:
            return (statement,)
        found = _jammed(statement, taken)
        if found is None:
            body = block(statement.body)
            if body == statement.body:
                return (statement,)
            found = (_with(statement, body),)
        new[statement] = found[-1]
        return found

    def block(statements: Sequence[Node]) -> tuple[Node, ...]:
        return tuple(s for statement in statements for s in visit(statement))

    return program.rewritten(block(program.statements), new)


def _with(loop: Loop, body: tuple[Node, ...]) -> Loop:
    return Loop(loop.index, loop.start, loop.stop, loop.step, loop.role, body)


def _jammed(loop: Loop, taken: set[str]) -> tuple[Node, ...] | None:
    """A loop over several rows and one over those that are left; None where it adds no rows to accumulators."""
    if loop.role != "serial" or loop.step is not integer(1) or len(loop.body) != 1:
        return None
    (inner,) = loop.body
    if type(inner) is not Loop or inner.role != "serial" or refusal(inner) is not None:
        return None
    if any(depends(bound, loop.index) for bound in (inner.start, inner.stop, inner.step)):
        return None
    steps = _steps(loop, inner.body)
    if steps is None:
        return None
    values = [value for _, _, value in steps]
    if any(isinstance(n, Apply) and is_vector_math(n) for n in values_under(values)):
        return None
    if math.fsum(cost(node) for node in values_under(values)) >= COSTLY:
        return None
    streams = sum(any(depends(s, loop.index) for s in n.subscripts) for n in postorder(values) if isinstance(n, Load))
    rows = ROWS
    while rows > 1 and rows * streams > STREAMS:
        rows //= 2
    if rows == 1 or not streams:
        return None
    body: list[Node] = []
    for store, op, value in steps:
        taken_in: Node = Load(store.operand, store.subscripts)
        for row in range(rows):
            there = substitute((value,), {loop.index: plus(loop.index, integer(row))}.get)[0]
            taken_in = Apply(op, (taken_in, there))
        body.append(Store(store.operand, store.subscripts, taken_in))
    last = Index(untaken(f"{loop.index.name}_", taken))
    taken.add(last.name)
    middle = plus(loop.start, times(quotient(minus(loop.stop, loop.start), rows), integer(rows)))
    rest = substitute((inner,), {loop.index: last}.get)[0]
    return (
        Loop(loop.index, loop.start, middle, integer(rows), "serial", (_with(inner, tuple(body)),)),
        Loop(last, middle, loop.stop, integer(1), "serial", (rest,)),
    )


def _steps(loop: Loop, body: Sequence[Node]) -> list[tuple[Store, Operator, Node]] | None:
    """The stores `s[j] = op(s[j], value)` of a body, their operators and values; None where there are others."""
    steps: list[tuple[Store, Operator, Node]] = []
    for statement in body:
        match statement:
            case Store(operand, subscripts, Apply(op, (Load(accumulator, places), value))) if (
                accumulator is operand
                and places == subscripts
                and not any(depends(place, loop.index) for place in subscripts)
            ):
                steps.append((statement, op, value))
            case _:
                return None
    stored = {store.operand for store, _, _ in steps}
    if len(stored) < len(steps) or any(
        isinstance(n, Load) and n.operand in stored for _, _, value in steps for n in postorder((value,))
    ):
        return None
    return steps or None
