"""Tiles where operands are contiguous along different loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..affine import integer, least, plus
from ..nodes import Index, Load, Loop, Node, Store
from ..program import Program
from .nests import Nest, either_unit, extents_known, independent, map_nests, movement, nest_of, untaken
from .tiles import LINE, conflicts, nearest, packed

#: Loops of a tile: the innermost one and those of operands that conflict. More than two of those have not been seen
#: to pay, and the tile would no longer fit the second cache.
MOST_AXES = 3


def block(
    program: Program,
    *,
    size: int | None = None,
    sides: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    whole: bool = False,
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
    where the caller knows better than the operands' strides tell. `whole` says that rows and tiles begin where
    lines of memory do.
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
            lengths = tile_sides(nest, cut, whole) if size is None else [size] * len(cut)
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
        return conflicts(load, nest.loops, inner, program, known) is not None

    made = packed(nest, wanted, {operand.name for operand in program.declared}, known)
    return gains(program, made or tiled, unchanged)


def tile_loops(nest: Nest, program: Program, known: Mapping[Node, int]) -> list[Loop]:
    """The loops to cut, the innermost of a tile last; none where no operand conflicts."""
    inner = nest.loops[-1]
    votes: dict[Loop, int] = {}
    results: Loop | None = None
    for access in nest.accesses:
        near = nearest(access, nest.loops, program, known) or _either(access, nest.loops, known)
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


def _either(access: Load | Store, loops: Sequence[Loop], known: Mapping[Node, int]) -> Loop | None:
    """The loop along which an access is contiguous where it is not along the innermost, if a guard tells of one."""
    for loop in loops[:-1]:
        test = either_unit(access, loops[-1].index, loop.index)
        if test is not None and test in known:
            return loop
    return None


# Measured on 4000 x 4000 doubles (rows of whole lines) and 4001 x 4001, each b packed, in ms:
#
#     tile                  8 x 64   8 x 128   16 x 64   16 x 128   32 x 64   32 x 128   64 x 64   NumPy
#     a + b.T, 4000            6.7       6.9       8.0        8.0       9.4       10.7      11.0    16.0
#     a * b.T + c.T, 4000     12.3      11.6      12.2       13.8      14.8       15.8      16.2    33.2
#     a + b.T, 4001           18.1      19.2      14.8       14.9      12.5       12.8      12.2    20.5
#     a * b.T + c.T, 4001     32.3      31.3      24.1       22.5      18.3       18.2      17.5    41.8
#
# A tile of whole lines needs one of them; one that shares its lines at both ends, as many as make the ends few.
# Bytes count across the tile, and elements along it: int8 is best at 64 x 512 and 128 x 256, float32 at 16 x 256.
# Where all loops reduce, nothing is stored, and long rows suit the folds: sum(a * b.T), 4000 x 4000, at 32 x 64,
# 64 x 128, 64 x 192, 64 x 384 and 64 x 512: 14.6, 13.5, 12.0, 11.2 and 16.0.
# Tiles of three axes are kept in the second cache: 8 x 16 x 128 on 256 ** 3, 16 x 32 x 64 on 252 ** 3.


def tile_sides(nest: Nest, cut: Sequence[Loop], whole: bool) -> list[int]:
    """The elements of a tile along each of its loops."""
    size = max(access.operand.type.element.itemsize for access in nest.accesses)
    if len(cut) < MOST_AXES:
        if all(loop.role == "reduce" for loop in nest.loops):
            return [max(8, min(128, 512 // size)), min(512, max(64, 3072 // size))]
        if whole:
            return [max(8, LINE // size), min(512, max(64, 1024 // size))]
        return [max(8, min(128, 256 // size)), min(256, max(64, 512 // size))]
    near, inner = (LINE, 128) if whole else (2 * LINE, 64)
    return [max(4, min(32, near // size)), max(8, min(32, 2 * near // size)), inner]
