"""Tiles of conflicting operands copied to where they are contiguous."""

from __future__ import annotations

from collections.abc import Collection

from ..nodes import Load, Loop, Node, Scratch
from ..program import Program
from .nests import Nest, enclosed, extents_known, map_nests
from .tiles import conflicts, either, packed


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
    Under a guard that tells only that an operand is contiguous along one loop or another, it is copied as well.
    `operands` names those to copy, where the caller knows better than their strides tell; else, where
    layouts are known, the cost model has the last word. One that is stored too
    stays as it is, and so does one that is read at a subscript which does not rise by one with its loop.

    Keeps: a_t[j - j0, i - i0] == a[j, i] within the tile.
    Requires: tiles that `block` made, of constant sides.
    """
    extents = extents_known(program)
    taken = {operand.name for operand in program.declared}
    taken.update(s.operand.name for s in enclosed(program.statements) if isinstance(s, Scratch))

    def change(nest: Nest) -> Node:
        known = {**extents, **nest.facts}
        unchanged = nest.rebuilt(range(len(nest.loops)))

        def wanted(load: Load, inner: Loop) -> bool:
            if operands is not None:
                return load.operand.name in operands
            return (conflicts(load, nest.loops, inner, program, known) or either(load, nest.loops, known)) is not None

        made = packed(nest, wanted, taken, known)
        if made is None or (operands is None and not _gains(program, made, unchanged)):
            return unchanged
        return made

    return map_nests(program, change)


def _gains(program: Program, made: Node, unchanged: Node) -> bool:
    # A kernel for any layout does not pay for the import.
    from ..cost import gains

    return gains(program, made, unchanged)
