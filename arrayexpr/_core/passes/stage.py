"""Tiles of operands that lie along other axes than the result, through the local memory of a GPU's blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..affine import integer
from ..nodes import Barrier, Index, Load, Loop, Node, Operand, Scratch, Store, transform
from ..program import Program
from ..types import UNIT
from .banks import IDLE, Way, arranged
from .blocks import Axis, Places, guarded, inside, over_edge, over_lanes, over_parts, whole
from .nests import Nest, independent, map_nests, names_taken, untaken

#: Lanes of a block.
LANES = 256


def stage(program: Program, *, sides: Sequence[int], vectors: Mapping[int, int]) -> Program:
    """Bring operands that are contiguous along another axis than the innermost through local memory, tile by tile.

        for i in serial(0, n, 1):            for i_b in grid(0, n, 64):
            for j in serial(0, m, 1):   →        for j_b in grid(0, m, 64):
                r[i, j] = a[j, i]                    a_t = scratch(64, 65)
                                                     lanes along i: a_t[j', i'] = a[j_b + j', i_b + i']
                                                     barrier
                                                     lanes along j: r[i_b + i', j_b + j'] = a_t[j', i']

    `sides` has the side of the tile along each loop, 1 along those that have none; `vectors`, by loop, how many
    neighbours a lane takes at once along it. Rows of the copy are lengthened so that no bank is asked twice at a time
    (`banks`). Tiles that lie within all axes are done with no test between loads; others test each element.

    Keeps: a_t[j - j_b, i - i_b] == a[j, i] over the tile; every element of r is stored by one lane.
    Requires: as `grid`; and that the type of what is to be staged says along which axis it is contiguous.
    """
    taken = names_taken(program)

    def change(nest: Nest) -> Node:
        loops = nest.loops
        if len(loops) != len(sides) or not independent(nest):
            return nest.rebuilt(range(len(loops)))
        return _staged(nest, sides, vectors, taken)

    return map_nests(program, change)


def _staged(nest: Nest, sides: Sequence[int], vectors: Mapping[int, int], taken: set[str]) -> Node:
    loops, last = nest.loops, len(nest.loops) - 1
    places_of = {loop.index: k for k, loop in enumerate(loops)}
    stored = {access.operand for access in nest.accesses if isinstance(access, Store)}
    starts = []
    for loop in loops:
        name = untaken(f"{loop.index.name}_b", taken)
        taken.add(name)
        starts.append(Index(name))
    ends = [loop.stop for loop in loops]
    tile = [k for k, side in enumerate(sides) if side > 1]
    wanted: dict[Load, tuple[int, tuple[int, ...], int]] = {}
    for load in nest.accesses:
        if not isinstance(load, Load) or load.operand in stored:
            continue
        along = _unit_axis(load, places_of)
        own = tuple(k for k in tile if loops[k].index in load.subscripts)
        # What does not vary along the innermost loop is one element for all of its lanes.
        if along is not None and along != last and along in own and last in own:
            wanted[load] = along, own, load.operand.type.element.itemsize
    size = min(operand.type.element.itemsize for operand in stored)
    main, copies = arranged(tuple(sides), last, tuple(sorted(vectors.items())), tuple(wanted.values()), size, LANES)
    before: list[Node] = []
    full: list[Node] = []
    edge: list[Node] = []
    staged: dict[Load, tuple[Operand, tuple[int, ...]]] = {}
    for load, made in zip(wanted, copies, strict=True):
        name = untaken(f"{load.operand.name}_t", taken)
        taken.add(name)
        copy = Operand(name, load.operand.type.element.array(len(made.order), order="C"))
        staged[load] = copy, made.order
        before.append(Scratch(copy, tuple(map(integer, made.extents))))
        places = _places(made.way, starts, ends, loops, taken)
        new = transform((load,), {loop.index: _place(places, starts, k) for k, loop in enumerate(loops)}.get)[load]
        body: tuple[Node, ...] = (Store(copy, tuple(places[k].within for k in made.order), new),)
        ordered = list(places.values())
        idle = [place for k, place in places.items() if k == IDLE]
        full += over_lanes(ordered, over_parts(ordered, guarded(inside(idle), body)))
        edge += over_lanes(ordered, over_edge(ordered, body))
    places = _places(main, starts, ends, loops, taken)
    moved: dict[Node, Node] = {loop.index: _place(places, starts, k) for k, loop in enumerate(loops)}
    read: dict[Node, Node] = {
        load: Load(copy, tuple(places[k].within for k in order)) for load, (copy, order) in staged.items()
    }
    replaced = transform(nest.body, {**moved, **read}.get)
    body = tuple(replaced[statement] for statement in nest.body)
    ordered = list(places.values())
    full = [*full, Barrier(), *over_lanes(ordered, over_parts(ordered, body))]
    edge = [*edge, Barrier(), *over_lanes(ordered, over_edge(ordered, body))]
    test = whole(Axis(starts[k], ends[k], sides[k]) for k in tile)
    inner: tuple[Node, ...] = (*before, *guarded(test, full, edge))
    for start, end, side in zip(reversed(starts), reversed(ends), reversed(sides), strict=True):
        inner = (Loop(start, integer(0), end, integer(side), "grid", inner),)
    return inner[0]


def _unit_axis(load: Load, loops: Mapping[Index, int]) -> int | None:
    """The loop along which the type of what is loaded says that it is contiguous."""
    for subscript, layout in zip(load.subscripts, load.operand.type.layout, strict=True):
        if layout == UNIT:
            return loops.get(subscript) if isinstance(subscript, Index) else None
    return None


def _places(
    way: Way, starts: Sequence[Index], ends: Sequence[Node], loops: Sequence[Loop], taken: set[str]
) -> dict[int, Places]:
    found = {}
    for k, lanes, turns, vector in way.axes:
        axis = Axis(integer(0), integer(1), lanes) if k == IDLE else Axis(starts[k], ends[k], lanes, turns, vector)
        found[k] = axis.named("idle" if k == IDLE else loops[k].index.name, taken)
    return found


def _place(places: Mapping[int, Places], starts: Sequence[Index], axis: int) -> Node:
    return places[axis].index if axis in places else starts[axis]
