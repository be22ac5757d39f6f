"""Tiles of conflicting operands copied to where they are contiguous."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..affine import coefficients, integer, minus
from ..nodes import Constant, Index, Load, Loop, Node, Operand, Pack, Scratch, Store, postorder, transform
from ..program import Program
from ..types import STRIDED, UNIT
from .nests import Nest, extents_known, map_nests, movement, untaken

#: Bytes of the elements that `primitives/pack.h` copies.
SIZES = (1, 2, 4, 8, 16)
#: A stride of so many bytes leaves the line at every step.
LINE = 64


def pack(program: Program, *, operands: Collection[str] | None = None) -> Program:
    """Copy the tile of each operand that conflicts with the innermost loop into contiguous scratch.

        for i0 in block(0, n, 32):                      for i0 in block(0, n, 32):
            for j0 in block(0, m, 64):                      for j0 in block(0, m, 64):
                for i in serial(i0, e, 1):                      a_t = scratch(float64[::1, :], 64, 32)
                    for j in serial(j0, f, 1):      →           pack(a_t, a, starts=(j0, i0), extents=(f - j0, e - i0))
                        r[i, j] = a[j, i]                       for i in serial(i0, e, 1):
                                                                    for j in serial(j0, f, 1):
                                                                        r[i, j] = a_t[j - j0, i - i0]

    The scratch is contiguous along the innermost loop, whatever the source is, so that the inner loop reads rows.
    `operands` names those to copy, where the caller knows better than their strides tell. One that is stored too
    stays as it is, and so does one that is read at a subscript which does not rise by one with its loop.

    Keeps: a_t[j - j0, i - i0] == a[j, i] within the tile.
    Requires: tiles that `block` made, of constant sides.
    """
    extents = extents_known(program)
    taken = {operand.name for operand in program.declared}
    taken.update(node.operand.name for node in program.nodes() if isinstance(node, Scratch))

    def change(nest: Nest) -> Node:
        known = {**extents, **nest.facts}
        unchanged = nest.rebuilt(range(len(nest.loops)))
        sides = _tile(nest)
        if not sides:
            return unchanged
        outer, within = nest.loops[: -len(sides)], nest.loops[-len(sides) :]
        stored = {access.operand for access in nest.accesses if isinstance(access, Store)}
        before: list[Node] = []
        new: dict[Node, Node] = {}
        for load in nest.accesses:
            if not isinstance(load, Load) or load.operand in stored or load in new:
                continue
            if load.operand.type.element.itemsize not in SIZES or not _wanted(load, within[-1].index, known):
                continue
            made = _packed(load, within, sides, untaken(load.operand.name + "_t", taken), known)
            if made is not None:
                scratch, copy, new[load] = made
                taken.add(scratch.operand.name)
                before += (scratch, copy)
        if not new:
            return unchanged
        moved = transform(nest.body, new.get)
        inner = Nest(within, tuple(moved[s] for s in nest.body)).rebuilt(range(len(within)))
        return Nest(outer, (*before, inner)).rebuilt(range(len(outer)))

    def _wanted(load: Load, inner: Index, known: Mapping[Node, int]) -> bool:
        if operands is not None:
            return load.operand.name in operands
        step = movement(load, inner, program, known)
        return inner in postorder(load.subscripts) and (step is None or abs(step) >= LINE) and _near(load, inner, known)

    def _near(load: Load, inner: Index, known: Mapping[Node, int]) -> bool:
        """Whether the operand is contiguous, or nearly so, along another loop: else a copy gains nothing."""
        indices = [n for n in postorder(load.subscripts) if isinstance(n, Index) and n is not inner]
        steps = [movement(load, index, program, known) for index in indices]
        return any(step is not None and 0 < abs(step) < LINE for step in steps)

    return map_nests(program, change)


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
        lengths.append(integer(sides[index]))
        places.append(minus(index, loop.start))
        if loop is within[-1]:
            layout[axis] = UNIT
    target = Operand(name, load.operand.type.element.array(len(places), tuple(layout)))
    return (
        Scratch(target, tuple(lengths)),
        Pack(target, load.operand, tuple(starts), tuple(extents)),
        Load(target, tuple(places)),
    )
