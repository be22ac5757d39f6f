"""Loops in which elements are added to, one iteration after the other: those that carry that go outside.

    for i in range(n):                              for k in range(m):
        for j in range(p):                →             for i in range(n):
            for k in range(m):                              for j in range(p):
                c[i, j] += a[i, k] * b[k, j]                    c[i, j] += a[i, k] * b[k, j]

An element is touched by the same iterations in the same order, since loops that carry nothing may go anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from arrayexpr._core.dependence import Body
from arrayexpr._core.nodes import For, Index, Node, postorder
from arrayexpr._core.passes.straight import NotStraight, straightened
from arrayexpr._core.program import Program


def carrying_outside(program: Program) -> tuple[Program, int] | None:
    """The program with the loops of its one nest that carry a dependence outside, and how many those are; None where
    loops are not each directly in another, or all or none of them carry."""
    (loop,) = program.statements
    assert isinstance(loop, For)
    try:
        straight = straightened(loop, {operand.name for operand in program.declared})
    except NotStraight:
        return None
    if straight.expanded:
        return None
    chain = _chain(straight.loop)
    if any(isinstance(n, For | Index) for each in chain for bound in each.args[1:4] for n in postorder((bound,))):
        return None
    if any(isinstance(n, For) for n in postorder(chain[-1].body)):
        return None
    carried: set[int] = set()
    for depends in Body.of((straight.loop,)).dependences():
        carried.update(k for k, direction in enumerate(depends.directions) if direction != "=")
    if not carried or len(carried) == len(chain):
        return None
    order = [*sorted(carried), *(k for k in range(len(chain)) if k not in carried)]
    body: Sequence[Node] = chain[-1].body
    for k in reversed(order):
        each = chain[k]
        body = (For(each.index, each.start, each.stop, each.step, tuple(body)),)
    return program.replace(statements=tuple(body)), len(carried)


def _chain(loop: For) -> list[For]:
    found = [loop]
    while len(found[-1].body) == 1 and isinstance(inner := found[-1].body[0], For):
        found.append(inner)
    return found
