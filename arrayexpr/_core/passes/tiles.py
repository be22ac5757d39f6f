"""Tiles of a nest: which accesses conflict, and copies of what they read of a tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..affine import coefficients, integer, minus
from ..nodes import Constant, Index, Load, Loop, Node, Operand, Pack, Scratch, Store, postorder, transform
from ..program import Program
from ..types import STRIDED, UNIT
from .nests import Nest, either_unit, movement, untaken

#: Bytes of the elements that `primitives/pack.h` copies.
SIZES = (1, 2, 4, 8, 16)
#: A stride is near if it stays within a line, and far if it leaves it at every step.
LINE = 64
#: Bytes of a part of a vector within which `primitives/pack.h` transposes: rows of a block fill some.
PART = 16
#: Rows of a multiple of so many bytes share few sets of a first cache, which has 4096 bytes of each way.
SETS = 512


def nearest(access: Load | Store, loops: Sequence[Loop], program: Program, known: Mapping[Node, int]) -> Loop | None:
    """The loop along which an access moves least, if within a line; the innermost of equal ones."""
    found, least_step = None, LINE
    for loop in reversed(loops):
        step = movement(access, loop.index, program, known)
        if step is not None and 0 < abs(step) < least_step:
            found, least_step = loop, abs(step)
    return found


def conflicts(
    access: Load | Store, loops: Sequence[Loop], inner: Loop, program: Program, known: Mapping[Node, int]
) -> Loop | None:
    """The loop along which an access is nearly contiguous, where that is not the innermost, which it leaps along."""
    near = nearest(access, loops, program, known)
    if near is None or near is inner:
        return None
    step = movement(access, inner.index, program, known)
    return near if step is None or abs(step) >= LINE else None


def either(access: Load | Store, loops: Sequence[Loop], known: Mapping[Node, int]) -> Loop | None:
    """The loop along which an access is contiguous where it is not along the innermost, if a guard tells of one."""
    for loop in loops[:-1]:
        test = either_unit(access, loops[-1].index, loop.index)
        if test is not None and test in known:
            return loop
    return None


def packed(nest: Nest, wanted: Callable[[Load, Loop], bool], taken: set[str], known: Mapping[Node, int]) -> Node | None:
    """A nest of tiles that reads copies of what is wanted of each; None where nothing is copied.

    An operand that is stored too is not copied, nor one that is read at a subscript which does not rise by one with
    its loop: its tile is no window.
    """
    sides = _tile(nest)
    if not sides:
        return None
    outer, within = nest.loops[: -len(sides)], nest.loops[-len(sides) :]
    stored = {access.operand for access in nest.accesses if isinstance(access, Store)}
    before: list[Node] = []
    new: dict[Node, Node] = {}
    for load in nest.accesses:
        if not isinstance(load, Load) or load.operand in stored or load in new:
            continue
        if load.operand.type.element.itemsize not in SIZES or not wanted(load, within[-1]):
            continue
        made = _packed(load, within, sides, untaken(load.operand.name + "_t", taken), known)
        if made is not None:
            scratch, copy, new[load] = made
            taken.add(scratch.operand.name)
            before += (scratch, copy)
    if not new:
        return None
    moved = transform(nest.body, new.get)
    inner = Nest(within, tuple(moved[s] for s in nest.body)).rebuilt(range(len(within)))
    return Nest(outer, (*before, inner)).rebuilt(range(len(outer)))


def _tile(nest: Nest) -> dict[Index, int]:
    """The side of the tile along each of the innermost loops that run over a block of constant length."""
    blocks = {loop.index: loop.step for loop in nest.loops if isinstance(loop.step, Constant)}
    sides: dict[Index, int] = {}
    for loop in reversed(nest.loops):
        side = blocks.get(loop.start) if isinstance(loop.start, Index) else None
        if side is None:
            break
        sides[loop.index] = side.value
    return sides


def _packed(
    load: Load, within: tuple[Loop, ...], sides: Mapping[Index, int], name: str, known: Mapping[Node, int]
) -> tuple[Scratch, Pack, Load] | None:
    """Scratch for what a load reads of a tile, the copy into it, and the load from it; None for no plain window."""
    loops = {loop.index: loop for loop in within}
    starts: list[Node] = []
    extents: list[Node] = []
    lengths: list[Node] = []
    places: list[Node] = []
    layout = [STRIDED] * len(load.subscripts)
    for axis, subscript in enumerate(load.subscripts):
        moving = [n for n in postorder((subscript,)) if n in loops]
        if not moving:
            starts.append(subscript)
            extents.append(integer(1))
            lengths.append(integer(1))
            places.append(integer(0))
            continue
        index = moving[0]
        assert isinstance(index, Index)
        loop = loops[index]
        form = coefficients(subscript, known) if subscript is not index else (0, {index: 1})
        if len(moving) > 1 or form is None or form[1].get(index) != 1:
            return None
        starts.append(transform((subscript,), {index: loop.start}.get)[subscript])
        extents.append(minus(loop.stop, loop.start))
        length = sides[index]
        if loop is within[-1] and len(load.subscripts) > 1 and length * load.operand.type.element.itemsize % SETS == 0:
            # Elements of a column would fall into a few sets of the first cache: 5.2 ms without this, 4.1 with, of
            # a + b.T, 3200 x 5000 floats, in tiles of 64 x 512.
            length += LINE // load.operand.type.element.itemsize
        lengths.append(integer(length))
        places.append(minus(index, loop.start))
        if loop is within[-1]:
            layout[axis] = UNIT
    target = Operand(name, load.operand.type.element.array(len(places), tuple(layout)))
    return (
        Scratch(target, tuple(lengths)),
        Pack(target, load.operand, tuple(starts), tuple(extents)),
        Load(target, tuple(places)),
    )
