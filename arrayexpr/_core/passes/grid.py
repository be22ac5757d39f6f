"""Nests of loops over the blocks of a GPU and their lanes."""

from __future__ import annotations

from collections.abc import Sequence

from ..affine import integer
from ..nodes import Index, Loop, Node, transform
from ..program import Program
from .blocks import Axis, guarded, over_edge, over_lanes, over_parts, whole
from .nests import Nest, independent, map_nests, names_taken, untaken


def grid(program: Program, *, lanes: Sequence[int], vector: int = 1, unroll: int = 1) -> Program:
    """Share each nest out to blocks, and a block's part to its lanes, vectors of neighbours and several of them each.

        for i in serial(0, n, 1):            for i_b in grid(0, n, 1):
            for j in serial(0, m, 1):   →        for j_b in grid(0, m, 2048):
                r[i, j] = a[i, j]                    guard(j_b + 2047 < m):
                                                         for j_l in lane(0, 256, 1):
                                                             for j_u in unroll(0, 2, 1):
                                                                 for j_v in vector(0, 4, 1):
                                                                     r[i_b, j_b + j_u * 1024 + j_l * 4 + j_v] = ...
                                                     otherwise: the same, each element under its own guard

    `lanes` has how many lanes walk each of the loops, a power of two; vectors and turns are of the innermost. A nest
    whose iterations depend on one another is left as it is.

    Keeps: the set of (i, j) visited; in whole blocks no test stands between loads.
    Requires: nests of serial loops from 0 by 1, as `lower` makes; that accesses whose type says that they are
    contiguous along the innermost axis are aligned to a vector.
    """
    taken = names_taken(program)

    def change(nest: Nest) -> Node:
        loops = nest.loops
        plain = all(loop.role == "serial" and loop.start is integer(0) and loop.step is integer(1) for loop in loops)
        if len(loops) != len(lanes) or not plain or not independent(nest):
            return nest.rebuilt(range(len(loops)))
        axes = []
        for k, loop in enumerate(loops):
            name = untaken(f"{loop.index.name}_b", taken)
            taken.add(name)
            last = k == len(loops) - 1
            axes.append(Axis(Index(name), loop.stop, lanes[k], unroll if last else 1, vector if last else 1))
        places = [axis.named(loop.index.name, taken) for axis, loop in zip(axes, loops, strict=True)]
        new = transform(nest.body, {loop.index: p.index for loop, p in zip(loops, places, strict=True)}.get)
        body = [new[statement] for statement in nest.body]
        test = whole(axes)
        full = over_lanes(places, over_parts(places, body))
        edge = over_lanes(places, over_edge(places, body))
        inner = guarded(test, full, edge)
        for axis in reversed(axes):
            assert isinstance(axis.start, Index)
            inner = (Loop(axis.start, integer(0), axis.stop, integer(axis.span), "grid", inner),)
        return inner[0]

    return map_nests(program, change)
