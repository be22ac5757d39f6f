"""Tiles where operands are contiguous along different loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...target import Target
from ..affine import integer, least, plus
from ..nodes import Index, Load, Loop, Node, Store
from ..program import Program
from .nests import Nest, extents_known, independent, map_nests, movement, nest_of, untaken
from .tiles import LINE, conflicts, either, nearest, packed

#: Loops of a tile: the innermost one and those of operands that conflict. More than two of those have not been seen
#: to pay, and the tile would no longer fit the second cache.
MOST_AXES = 3


def block(
    program: Program,
    *,
    size: int | None = None,
    sides: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
) -> Program:
    """Cut the innermost loop and those that other operands are contiguous along into tiles.

        for i in serial(0, n, 1):              for i0 in block(0, n, 32):
            for j in serial(0, m, 1):              for j0 in block(0, m, 64):
                r[i, j] = a[j, i]         →            for i in serial(i0, minimum(i0 + 32, n), 1):
                                                           for j in serial(j0, minimum(j0 + 64, m), 1):
                                                               r[i, j] = a[j, i]

    Two loops are cut where one other loop conflicts, three where two do; the loop that the results are contiguous
    along is innermost within the tile. `sides` are the elements along each, in order of the loops cut, and `size`
    the same for all; where neither is given, the element types choose. `axes` are the places of the loops to cut,
    where the caller knows better than the operands' strides tell.
    Where layouts are known and none of these is given, the cost model has the last word.
    Loops that reduce are cut alike: the role of their blocks is `reduce`.

    Keeps: i0 + (i - i0) == i; each (i, j) is visited once.
    Requires: operand types or layouts that tell unit axes; runs after `order_axes`.
    """
    extents = extents_known(program)
    taken = {operand.name for operand in program.declared}

    def change(nest: Nest) -> Node:
        known = {**extents, **nest.facts}
        unchanged = nest.rebuilt(range(len(nest.loops)))
        if len(nest.loops) < 2 or any(loop.role not in ("serial", "reduce") for loop in nest.loops):
            return unchanged
        if not independent(nest):
            return unchanged
        cut = tile_loops(nest, program, known) if axes is None else [nest.loops[axis] for axis in axes]
        if not cut:
            return unchanged
        if sides is not None:
            lengths = list(sides)
        else:
            lengths = tile_sides(nest, cut, program.target) if size is None else [size] * len(cut)
        names = taken | {loop.index.name for loop in nest.loops}
        rest = [loop for loop in nest.loops if loop not in cut]
        blocks, within = [], []
        for loop, side in zip(cut, lengths, strict=True):
            first = Index(untaken(loop.index.name + "_0", names))
            end = least(plus(first, integer(side)), loop.stop)
            role = "block" if loop.role == "serial" else loop.role
            blocks.append(Loop(first, loop.start, loop.stop, integer(side), role, loop.body))
            within.append(Loop(loop.index, first, end, integer(1), loop.role, loop.body))
        loops = (*rest, *blocks, *within)
        tiled = Nest(loops, nest.body).rebuilt(range(len(loops)))
        if not (size or sides or axes) and not _gains(program, tiled, unchanged, known):
            return unchanged
        return tiled

    return map_nests(program, change)


def _gains(program: Program, tiled: Node, unchanged: Node, known: Mapping[Node, int]) -> bool:
    """Whether tiles pay, with those packed that conflict."""
    # A kernel for any layout does not pay for the import.
    from ..cost import gains

    assert isinstance(tiled, Loop)
    nest = nest_of(tiled)

    def wanted(load: Load, inner: Loop) -> bool:
        return (conflicts(load, nest.loops, inner, program, known) or either(load, nest.loops, known)) is not None

    made = packed(nest, wanted, {operand.name for operand in program.declared}, known)
    return gains(program, made or tiled, unchanged)


def tile_loops(nest: Nest, program: Program, known: Mapping[Node, int]) -> list[Loop]:
    """The loops to cut, the innermost of a tile last; none where no operand conflicts."""
    inner = nest.loops[-1]
    votes: dict[Loop, int] = {}
    results: Loop | None = None
    for access in nest.accesses:
        near = nearest(access, nest.loops, program, known) or either(access, nest.loops, known)
        if isinstance(access, Store) and near is not None:
            results = near
        step = movement(access, inner.index, program, known)
        if near is not None and near is not inner and (step is None or abs(step) >= LINE):
            votes[near] = votes.get(near, 0) + access.operand.type.element.itemsize
    chosen = sorted(votes, key=lambda loop: -votes[loop])[: MOST_AXES - 1]
    if not chosen:
        return []
    last = results if results in chosen else inner
    return [loop for loop in nest.loops if (loop in chosen or loop is inner) and loop is not last] + [last]


# Measured on a + b.T, rows of b (across the tile) by rows of the result (along it), b packed, in ms:
#
#     bytes of a row        128 x 1024   128 x 2048   256 x 1024   256 x 2048   512 x 1024   512 x 2048   256 x 4096
#     float64, 3200 x 5000         8.7          8.4          8.0          7.8          8.1          7.4         11.6
#     float64, 4096 x 4096                                   9.0          8.9          8.3          8.1
#     float64, 4001 x 4001                                  10.9         10.3         10.3          9.7
#
# Lines of b that follow one another come from memory in less time, and so do those of the other operands. A tile that
# is copied, of 128 KiB, stays in the second cache. Where two operands are, rows of 256 bytes are as good or better:
# a * b.T + c.T takes 12.0 ms, 13.0 with 512 bytes. Of small elements fewer are in a row: int8 is best at 128 x 1024.


def tile_sides(nest: Nest, cut: Sequence[Loop], target: Target | None) -> list[int]:
    """The elements of a tile along each of its loops.

    Copies of it are on the stack: all of them take half of the second cache, 512 KiB at most. Where three axes are cut
    rows of more than 64 elements keep them within 1 MiB.
    """
    size = max(access.operand.type.element.itemsize for access in nest.accesses)
    if len(cut) < MOST_AXES:
        if all(loop.role == "reduce" for loop in nest.loops):
            # Nothing is stored, and long rows suit the folds: sum(a * b.T), 4000 x 4000, at 32 x 64, 64 x 128,
            # 64 x 192, 64 x 384 and 64 x 512: 14.6, 13.5, 12.0, 11.2 and 16.0 ms.
            return [max(8, min(128, 512 // size)), min(512, max(64, 3072 // size))]
        across, along = 512 // size, min(2048 // size, 1024)
        # One that is read lies as the result does: else other loops would be innermost.
        copies = max(1, sum(isinstance(access, Load) for access in nest.accesses) - 1)
        while across * size * copies > 512 and across > max(8, LINE // size):
            across //= 2
        across = min(across, 128)
        room = min((target or Target()).l2, 1 << 20) // (2 * size * copies)
        while across * along > room and across > max(8, LINE // size):
            across //= 2
        while across * along > room and along > 64:
            along //= 2
        return [across, along]
    # a * b(kji) + c(jki), 250 x 200 x 320 doubles: 23.5 ms in tiles of 8 x 16 x 128, 19 at 32 x 16 x 64; a C loop takes
    # 22. Long rows cost nothing there, and suit smaller elements, and the block engine, which has work to do for each
    # row: floats at 32 x 16 x 64, 43 ms as C and 94 by the block engine; at 32 x 16 x 256, 42 and 64.
    copies = max(1, sum(isinstance(access, Load) for access in nest.accesses) - 1)
    sides = [max(8, min(32, 256 // size)), max(8, min(16, 128 // size))]
    along = min(512, max(64, 1024 // size))
    while sides[0] * sides[1] * along * size * copies > 1 << 20 and along > 64:
        along //= 2
    return [*sides, along]
