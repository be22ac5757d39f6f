"""Adjacent loops that walk memory as one become one."""

from __future__ import annotations

from ..affine import integer
from ..nodes import Constant, Index, Loop, Node, transform
from ..program import Program
from .nests import Nest, extents_known, map_nests, movement


def collapse(program: Program) -> Program:
    """Merge a loop with the one inside it where every access goes on in memory from row to row.

        for i in serial(0, 3, 1):
            for j in serial(0, 4, 1):     →    for j in serial(0, 12, 1):
                r[i, j] = a[i, j]                  r[0, j] = a[0, j]

    A subscript beyond its axis walks on by the axis' stride, which is why the merged access is right:
    Keeps: i * stride_i + j * stride_j == (i * m + j) * stride_j.
    Requires: layouts (the lengths must be numbers); nests that `lower` made.
    """
    known = extents_known(program)

    def length(loop: Loop) -> int | None:
        if loop.start is not integer(0) or loop.step is not integer(1) or loop.role != "serial":
            return None
        return loop.stop.value if isinstance(loop.stop, Constant) else known.get(loop.stop)

    def change(nest: Nest) -> Node:
        loops, body = list(nest.loops), nest.body
        k = len(loops) - 1
        while k > 0:
            outer, inner = loops[k - 1], loops[k]
            n, m = length(outer), length(inner)
            if n is not None and m is not None and _goes_on(Nest(tuple(loops), body), outer.index, inner.index, m):
                new = transform(body, {outer.index: integer(0)}.get)
                body = tuple(new[s] for s in body)
                loops[k - 1 : k + 1] = [
                    Loop(inner.index, integer(0), integer(n * m), integer(1), "serial", body),
                ]
            k -= 1
        return Nest(tuple(loops), body).rebuilt(range(len(loops)))

    def _goes_on(nest: Nest, outer: Index, inner: Index, m: int) -> bool:
        for access in nest.accesses:
            step, row = movement(access, inner, program, known), movement(access, outer, program, known)
            if step is None or row is None or row != step * m:
                return False
        return True

    return map_nests(program, change)
