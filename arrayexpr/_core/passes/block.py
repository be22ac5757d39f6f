"""Tiles where operands are contiguous along different loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..affine import integer, least, plus
from ..nodes import Index, Load, Loop, Node, Store
from ..program import Program
from .nests import Nest, either_unit, extents_known, independent, map_nests, movement, untaken

#: Bytes of a tile along a loop that a conflicting operand is contiguous along: two lines. Elements of a tile along
#: its innermost loop. Measured on `a + b.T`, 4000 x 4000 doubles, b packed and the result stored past the caches,
#: in ms: 16 x 64 elements 8.0, 16 x 128 8.0, 32 x 64 9.7, 32 x 128 11.0, 64 x 64 12.9; plain loops 17.
NEAR_BYTES = 128
INNER_SIDE = 128
#: A stride is near if a line holds two elements of it.
LINE = 64
#: Loops of a tile: the innermost one and those of operands that conflict. More than two of those have not been seen
#: to pay, and the tile would no longer fit the second cache.
MOST_AXES = 3


def block(
    program: Program, *, size: int | None = None, sides: Sequence[int] | None = None, axes: Sequence[int] | None = None
) -> Program:
    """Cut the innermost loop and those that other operands are contiguous along into tiles.

        for i in serial(0, n, 1):              for i0 in block(0, n, 16):
            for j in serial(0, m, 1):              for j0 in block(0, m, 128):
                r[i, j] = a[j, i]         →            for i in serial(i0, minimum(i0 + 16, n), 1):
                                                           for j in serial(j0, minimum(j0 + 128, m), 1):
                                                               r[i, j] = a[j, i]

    Two loops are cut where one other loop conflicts, three where two do; the loop that the results are contiguous
    along is innermost within the tile. `sides` are the elements along each, in order of the loops cut, and `size`
    the same for all; where neither is given, the element types choose. `axes` are the places of the loops to cut,
    where the caller knows better than the operands' strides tell.
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
            lengths = tile_sides(nest, cut, program, known) if size is None else [size] * len(cut)
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
        return Nest(loops, nest.body).rebuilt(range(len(loops)))

    return map_nests(program, change)


def tile_loops(nest: Nest, program: Program, known: Mapping[Node, int]) -> list[Loop]:
    """The loops to cut, the innermost of a tile last; none where no operand conflicts."""
    inner = nest.loops[-1]
    votes: dict[Loop, int] = {}
    results: Loop | None = None
    for access in nest.accesses:
        near = nearest(access, nest.loops, program, known) or _either(access, nest.loops, known)
        if isinstance(access, Store) and near is not None:
            results = near
        if near is not None and near is not inner and _far(movement(access, inner.index, program, known)):
            votes[near] = votes.get(near, 0) + access.operand.type.element.itemsize
    chosen = sorted(votes, key=lambda loop: -votes[loop])[: MOST_AXES - 1]
    if not chosen:
        return []
    last = results if results in chosen else inner
    return [loop for loop in nest.loops if (loop in chosen or loop is inner) and loop is not last] + [last]


def nearest(access: Load | Store, loops: Sequence[Loop], program: Program, known: Mapping[Node, int]) -> Loop | None:
    """The loop along which an access moves least, if within a line; the innermost of equal ones."""
    found, least_step = None, LINE
    for loop in reversed(loops):
        step = movement(access, loop.index, program, known)
        if step is not None and 0 < abs(step) < least_step:
            found, least_step = loop, abs(step)
    return found


def _either(access: Load | Store, loops: Sequence[Loop], known: Mapping[Node, int]) -> Loop | None:
    """The loop along which an access is contiguous where it is not along the innermost, if a guard tells of one."""
    for loop in loops[:-1]:
        test = either_unit(access, loops[-1].index, loop.index)
        if test is not None and test in known:
            return loop
    return None


def _far(step: int | None) -> bool:
    return step is None or abs(step) >= LINE


def tile_sides(nest: Nest, cut: Sequence[Loop], program: Program, known: Mapping[Node, int]) -> list[int]:
    """The elements of a tile along each of its loops."""
    largest = max(access.operand.type.element.itemsize for access in nest.accesses)
    near = max(4, NEAR_BYTES // largest)
    return [near] * (len(cut) - 1) + [INNER_SIDE if len(cut) < MOST_AXES else INNER_SIDE // 2]
