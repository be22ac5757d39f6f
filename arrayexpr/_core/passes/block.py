"""Tiles where operands are contiguous along different loops."""

from __future__ import annotations

from ..affine import integer, least, plus
from ..nodes import Apply, Index, Load, Loop, Node, Store, Stride, postorder
from ..ops import operator
from ..program import Program
from .nests import Nest, either_unit, extents_known, independent, map_nests, movement, untaken

_EQUAL = operator("equal")
_REMAINDER = operator("remainder")
_WHERE = operator("where")


def block(program: Program, *, size: int | None = None, axes: tuple[int, int] | None = None) -> Program:
    """Cut the innermost loop and the one that another operand is contiguous along into square tiles.

        for i in serial(0, n, 1):              for i0 in block(0, n, 32):
            for j in serial(0, m, 1):              for j0 in block(0, m, 32):
                r[i, j] = a[j, i]         →            for i in serial(i0, minimum(i0 + 32, n), 1):
                                                           for j in serial(j0, minimum(j0 + 32, m), 1):
                                                               r[i, j] = a[j, i]

    `size` is the side of a tile, in elements; where not given, `tile_side` chooses it. `axes` are the
    places of the two loops to cut, where the caller knows better than the operands' strides tell.

    Keeps: i0 + (i - i0) == i; each (i, j) is visited once.
    Requires: operand types or layouts that tell unit axes; runs after `order_axes`.
    """
    extents = extents_known(program)
    taken = {operand.name for operand in program.declared}

    def change(nest: Nest) -> Node:
        known = {**extents, **nest.facts}
        unchanged = nest.rebuilt(range(len(nest.loops)))
        if len(nest.loops) < 2 or any(loop.role != "serial" for loop in nest.loops) or not independent(nest):
            return unchanged
        if axes is not None:
            other, inner = (nest.loops[axis] for axis in axes)
        else:
            inner = nest.loops[-1]
            found = _conflict(nest, program, known)
            if found is None:
                return unchanged
            other = found
        side = tile_side(nest, inner.index, other.index, program, known) if size is None else integer(size)
        names = taken | {loop.index.name for loop in nest.loops}
        rest = [loop for loop in nest.loops if loop not in (inner, other)]
        blocks, within = [], []
        for loop in (other, inner):
            first = Index(untaken(loop.index.name + "_0", names))
            end = least(plus(first, side), loop.stop)
            blocks.append(Loop(first, loop.start, loop.stop, side, "block", loop.body))
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
            if movement(access, loop.index, program, known) in (size, -size) or _either(
                access, inner.index, loop.index, known
            ):
                votes[loop] = votes.get(loop, 0) + size
    return max(votes, key=lambda loop: votes[loop], default=None)


def _either(access: Load | Store, inner: Index, other: Index, known: dict[Node, int]) -> bool:
    """Whether a guard tells that an access is contiguous along one of two loops."""
    test = either_unit(access, inner, other)
    return test is not None and test in known


#: Bytes along one side of a tile. Measured on `a + b.T`, 4000 x 4000 doubles, in ms: sides of 16, 32, 64, 128 and
#: 256 elements 24, 16, 13, 13 and 15; not blocked 17.
TILE_BYTES = 512
#: Strides that are a multiple of this many bytes put the rows of a tile into the same few lines of the first
#: cache. On 4096 x 4096: sides of 8, 16, 32 and 64 elements 49, 36, 144 and 759 ms; not blocked 1088.
ALIASING_BYTES = 2048
ALIASING_SIDE = 16


def tile_side(nest: Nest, inner: Index, other: Index, program: Program, known: dict[Node, int]) -> Node:
    """The side of a tile, in elements: a number, or a choice at run time by strides that are not known."""
    sizes = [access.operand.type.element.itemsize for access in nest.accesses]
    side = integer(max(ALIASING_SIDE, min(128, TILE_BYTES // max(sizes))))
    for access in nest.accesses:
        size = access.operand.type.element.itemsize
        along = movement(access, inner, program, known)
        across = movement(access, other, program, known)
        if along in (0, size, -size) or (across not in (size, -size) and not _either(access, inner, other, known)):
            continue
        if along is not None:
            if along % ALIASING_BYTES == 0:
                return integer(ALIASING_SIDE)
            continue
        axis = next((k for k, s in enumerate(access.subscripts) if inner in postorder((s,))), None)
        if axis is not None:
            rest = Apply(_REMAINDER, (Stride(access.operand, axis), integer(ALIASING_BYTES)))
            side = Apply(_WHERE, (Apply(_EQUAL, (rest, integer(0))), integer(ALIASING_SIDE), side))
    return side
