"""The loops of a nest in the order of the strides."""

from __future__ import annotations

from ..affine import integer, minus
from ..nodes import Constant, Index, Loop, Node, Store, transform
from ..program import Program
from .nests import Nest, extents_known, independent, map_nests, movement


def order_axes(program: Program) -> Program:
    """Sort the loops of each nest by the bytes that all accesses move a step, fewest innermost; flip falling ones.

        for i in serial(0, n, 1):              for j in serial(0, m, 1):
            for j in serial(0, m, 1):     →        for i in serial(0, n, 1):
                r[i, j] = a[i, j]                      r[i, j] = a[i, j]        (a and r in Fortran order)

    A store counts twice, since its line is read and written. Equal loops keep their order, and a loop
    that the layouts say nothing of keeps its place relative to all. An axis that no access walks up
    and one walks down is flipped: i becomes n - 1 - i.

    A nest whose iterations read or store what others store is left as it is.

    Keeps: the set of (i, j) visited.
    Requires: layouts, or operand types that tell of them.
    """
    extents = extents_known(program)

    def change(nest: Nest) -> Node:
        known = {**extents, **nest.facts}
        if not all(loop.role == "serial" for loop in nest.loops) or not independent(nest):
            return nest.rebuilt(range(len(nest.loops)))
        nest = _flipped(nest, program, known)
        if len(nest.loops) == 1:
            return nest.rebuilt((0,))
        weights = [_weight(nest, loop.index, program, known) for loop in nest.loops]
        if any(w is None for w in weights):
            return nest.rebuilt(range(len(nest.loops)))
        order = sorted(range(len(nest.loops)), key=lambda k: -(weights[k] or 0))
        return nest.rebuilt(order)

    return map_nests(program, change)


def _weight(nest: Nest, index: Index, program: Program, known: dict[Node, int]) -> int | None:
    total = 0
    for access in nest.accesses:
        step = movement(access, index, program, known)
        if step is None:
            return None
        total += abs(step) * (2 if isinstance(access, Store) else 1)
    return total


def _flipped(nest: Nest, program: Program, known: dict[Node, int]) -> Nest:
    loops, body = list(nest.loops), nest.body
    for k, loop in enumerate(loops):
        falling = False
        for access in nest.accesses:
            step = movement(access, loop.index, program, known)
            if step is None or step > 0:
                falling = False
                break
            falling = falling or step < 0
        if falling and isinstance(loop.start, Constant) and loop.start.value == 0 and loop.step is integer(1):
            last = minus(loop.stop, integer(1))
            mirrored = minus(last, loop.index)
            new = transform(body, {loop.index: mirrored}.get)
            body = tuple(new[s] for s in body)
            loops[k] = Loop(loop.index, loop.start, loop.stop, loop.step, loop.role, body)
    return Nest(tuple(loops), body)
