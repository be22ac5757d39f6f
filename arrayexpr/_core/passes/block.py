"""Tiles where operands are contiguous along different loops."""

from __future__ import annotations

from ..affine import integer, least, plus
from ..nodes import Loop, Node
from ..program import Program
from .nests import Nest, extents_known, map_nests, movement


def block(program: Program, *, size: int | None = None, axes: tuple[int, int] | None = None) -> Program:
    """Cut the innermost loop and the one that another operand is contiguous along into square tiles.

        for i in serial(0, n, 1):              for i0 in block(0, n, 32):
            for j in serial(0, m, 1):              for j0 in block(0, m, 32):
                r[i, j] = a[j, i]         →            for i in serial(i0, minimum(i0 + 32, n), 1):
                                                           for j in serial(j0, minimum(j0 + 32, m), 1):
                                                               r[i, j] = a[j, i]

    `size` is the side of a tile, in elements; from the target's first cache where not given. `axes` are the
    places of the two loops to cut, where the caller knows better than the operands' strides tell.

    Keeps: i0 + (i - i0) == i; each (i, j) is visited once.
    Requires: operand types or layouts that tell unit axes; runs after `order_axes`.
    """
    known = extents_known(program)
    taken = {operand.name for operand in program.declared}

    def change(nest: Nest) -> Node:
        unchanged = nest.rebuilt(range(len(nest.loops)))
        if len(nest.loops) < 2 or any(loop.role != "serial" for loop in nest.loops):
            return unchanged
        if axes is not None:
            other, inner = (nest.loops[axis] for axis in axes)
        else:
            inner = nest.loops[-1]
            found = _conflict(nest, program, known)
            if found is None:
                return unchanged
            other = found
        side = tile_side(nest, program) if size is None else size
        names = taken | {loop.index.name for loop in nest.loops}
        rest = [loop for loop in nest.loops if loop not in (inner, other)]
        blocks, within = [], []
        for loop in (other, inner):
            name = loop.index.name + "_0"
            while name in names:
                name += "_"
            first = type(loop.index)(name)
            end = least(plus(first, integer(side)), loop.stop)
            blocks.append(Loop(first, loop.start, loop.stop, integer(side), "block", loop.body))
            within.append(Loop(loop.index, first, end, integer(1), "serial", loop.body))
        loops = (*rest, *blocks, *within)
        return Nest(loops, nest.body).rebuilt(range(len(loops)))

    return map_nests(program, change)


def _conflict(nest: Nest, program: Program, known: dict[Node, int]) -> Loop | None:
    """The loop, not the innermost, along which most accesses that do not follow the innermost are contiguous."""
    inner = nest.loops[-1]
    votes: dict[Loop, int] = {}
    for access in nest.accesses:
        size = access.operand.type.element.itemsize
        if movement(access, inner.index, program, known) in (0, size, -size):
            continue
        for loop in nest.loops[:-1]:
            if movement(access, loop.index, program, known) in (size, -size):
                votes[loop] = votes.get(loop, 0) + size
    return max(votes, key=lambda loop: votes[loop], default=None)


def tile_side(nest: Nest, program: Program) -> int:
    """The largest power of two whose square tile of every access fits in half of the first cache."""
    l1 = program.target.l1 if program.target is not None else 32 << 10
    operands = {access.operand for access in nest.accesses}
    row = sum(operand.type.element.itemsize for operand in operands)
    side = 8
    while 4 * side * side * row <= l1 // 2 and side < 128:
        side *= 2
    return side
