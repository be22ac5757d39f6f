"""From arrays in numbers to a schedule for a GPU: their canonical form, what is chosen for it, and the program."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...target import Gpu
from ..nodes import Apply, Assign, Node, Operand, Reduce, Slice, View, postorder
from ..passes.banks import LINE, arranged
from ..passes.contract import contract
from ..passes.grid import grid
from ..passes.lower import lower
from ..passes.stage import stage
from ..passes.teams import teams
from ..program import Program
from ..record import record
from ..types import BROADCAST, STRIDED, UNIT, ElementType
from .specialise import over_streams

#: Lanes of a block, where an axis is long enough; and of those that lie along one axis at the least, if it is.
LANES, WARP = 256, 32
#: Bytes of the widest load, and bytes that a lane asks for before it waits.
WIDEST, AHEAD = 16, 64
#: The bytes that memory gives at the least; elements of an axis that tiles are worth; bytes of local memory that leave
#: room for several blocks at a time; and sides of tiles, of two axes and of three, the first that fits.
SECTOR, SHORT, LOCAL = 32, 16, 46 << 10
#: Bytes of an operand from which a copy in another order costs less than to read it across.
COPIED = 1 << 18
_SIDES, _SIDES_OF_3, _LONGEST_ROW = (64, 32, 16), (16, 8), 256
#: Blocks that a reduction is cut into where it has fewer; turns of a lane, at the most and at the least, in a chunk.
BLOCKS, TURNS, MIN_TURNS = 512, 64, 4
#: Bytes of a row that a lane keeps for itself, and the most lanes of a block that does.
HELD, _MOST_LANES = 128, 1024
#: Of sums of products: lanes along each side of a block's tile; the tile's side along the reduced axis; the length of a
#: sum that is long for a few blocks; and the elements that a lane has along each side, by the largest element's size,
#: the first that gives every multiprocessor a block.
_SQUARE, _DEPTH, _DEEP = 16, 16, 4096
_OWN_TILES = {4: ((8, 8), (4, 4), (2, 2)), 8: ((8, 4), (4, 4), (2, 2)), 16: ((4, 4), (2, 2))}
#: What fits an int, with room for blocks that go on beyond the end of an axis.
_INT = (1 << 31) - (1 << 16)


@record
class Stream:
    """One array of a problem: the address of its first element, its byte strides along the problem's axes."""

    address: int
    strides: tuple[int, ...]
    itemsize: int


@record
class Problem:
    """Arrays in canonical form: axes of length 1 gone, falling ones flipped, sorted, adjacent ones joined.

    The axes that are kept come first, then those that are reduced, the last of each group walked innermost. The
    streams that are stored are the last `outputs`.
    """

    lengths: tuple[int, ...]
    reduced: tuple[int, ...]
    streams: tuple[Stream, ...]
    outputs: int

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(k for k in range(len(self.lengths)) if k not in self.reduced)

    def wide(self) -> bool:
        """Whether places need more than 32 bits."""
        spans = [
            sum((n - 1) * abs(s) for n, s in zip(self.lengths, stream.strides, strict=True)) for stream in self.streams
        ]
        return max([*spans, *(n * WIDEST for n in self.lengths), math.prod(self.lengths) // WARP]) >= _INT


def problem_of(arrays: Sequence[Any], shape: tuple[int, ...], reduced: Sequence[int], outputs: int) -> Problem:
    """The problem of arrays (of which only address, shape and strides are looked at) that broadcast to a shape.

    >>> import numpy as np
    >>> a = np.zeros((4, 1, 6)); b = a[::-1].T
    >>> problem_of([a.T, a.T], (6, 1, 4), (), 1).lengths
    (24,)
    """
    rank = len(shape)
    strides = [_strides(array, shape) for array in arrays]
    addresses = [int(array.__array_interface__["data"][0]) for array in arrays]
    axes = [k for k in range(rank) if shape[k] != 1]
    for k in axes:
        steps = [s[k] for s in strides]
        if min(steps) < 0 and max(steps) <= 0 and shape[k]:
            for n, step in enumerate(steps):
                addresses[n] += (shape[k] - 1) * step
                strides[n][k] = -step

    def weight(axis: int) -> int:
        return sum(abs(s[axis]) * (2 if n >= len(arrays) - outputs else 1) for n, s in enumerate(strides))

    stored = strides[len(arrays) - outputs] if outputs else []
    inputs = arrays[: len(arrays) - outputs]
    groups = []
    for group in ([k for k in axes if k not in reduced], [k for k in axes if k in reduced]):
        order = sorted(group, key=weight, reverse=True)
        if reduced:
            # What most bytes lie along is walked innermost: the others are staged, or copied.
            order.sort(
                key=lambda k: sum(a.itemsize for a, s in zip(inputs, strides, strict=False) if s[k] == a.itemsize)
            )
        # Lanes lie along what is stored: other operands go through local memory, or have to be read as they are.
        order.sort(key=lambda k: not reduced and stored[k] == arrays[-outputs].itemsize)
        groups.append(_joined(order, shape, strides))
    lengths = [n for group in groups for n, _ in group]
    steps_of = [steps for group in groups for _, steps in group]
    return Problem(
        tuple(lengths),
        tuple(range(len(groups[0]), len(lengths))),
        tuple(
            Stream(address, tuple(steps[n] for steps in steps_of), array.itemsize)
            for n, (address, array) in enumerate(zip(addresses, arrays, strict=True))
        ),
        outputs,
    )


def _strides(array: Any, shape: tuple[int, ...]) -> list[int]:
    missing = len(shape) - array.ndim
    own = [0 if n == 1 else s for n, s in zip(array.shape, array.strides, strict=True)]
    return [0] * missing + own


def _joined(order: Sequence[int], shape: tuple[int, ...], strides: Sequence[Sequence[int]]) -> list[Any]:
    """Lengths and strides of axes in their order, where adjacent ones that all arrays walk as one are one."""
    found: list[tuple[int, tuple[int, ...]]] = []
    for axis in order:
        length, steps = shape[axis], tuple(s[axis] for s in strides)
        if found and all(outer == inner * length for outer, inner in zip(found[-1][1], steps, strict=True)):
            found[-1] = (found[-1][0] * length, steps)
        else:
            found.append((length, steps))
    return found


@record
class Choice:
    """A schedule: the pass that makes it and its options, sorted by name; and the axes that are contiguous.

    `units` has, for each stream, the axis along which its type says it is contiguous, and aligned to a vector; or None.
    """

    schedule: str
    options: tuple[tuple[str, Any], ...]
    units: tuple[int | None, ...]


def choose(problem: Problem, values: Sequence[Node], gpu: Gpu, product: bool = False) -> Choice:
    """The schedule for a problem: tiles where operands lie along other axes than the result, else a flat one.

    A `product` is of matrices: no sum's order is promised.
    """
    if problem.reduced:
        return _contracted(problem, values, gpu, product) or _teams(problem, _phases(values, problem) > 1)
    return _tiles(problem, gpu) or _flat(problem, gpu)


def _teams(problem: Problem, again: bool) -> Choice:
    """Rows that lanes reduce together. Only lengths and strides decide, so that sums are the same on every device."""
    inputs = problem.streams[: -problem.outputs]
    r = problem.reduced[-1]
    x = problem.kept[-1] if problem.kept else None
    crossing = _crossing(problem) if not again else []
    if crossing:
        return _crossed(problem, crossing)

    def weight(axis: int) -> int:
        return sum(min(abs(s.strides[axis]), 4 * SECTOR) for s in inputs)

    rows = x is None or weight(r) <= weight(x)
    wanted = [k for k, s in enumerate(problem.streams) if s.strides[r if rows or x is None else x]]
    near = r if rows or x is None else x
    vector = vector_of(problem, near, wanted) if wanted else 1
    units = contiguous(problem, near, vector)
    n_r, n_x = problem.lengths[r], 1 if x is None else problem.lengths[x]
    if rows:
        across = min(LANES, _power(-(-n_r // vector)))
        along = min(LANES // across, _power(n_x))
        vectors = 1, vector
    else:
        along = min(WARP, _power(-(-n_x // vector)))
        across = min(LANES // along, _power(n_r))
        vectors = vector, 1
    held = 0
    if again and rows and len(problem.reduced) == 1:
        size = max((s.itemsize for s in inputs if s.strides[r]), default=1)
        wider = across
        # Functions of doubles take registers, of which a lane has fewer the more lanes there are.
        most = _MOST_LANES * 4 // max(4, size)
        while wider < most and -(-n_r // wider) * size > HELD:
            wider *= 2
        if -(-n_r // wider) * size <= HELD:
            held, across, along = 1, wider, min(along, max(1, LANES // wider))
    unroll = 1
    while unroll < 4 and across * vectors[1] * unroll * 2 <= n_r:
        unroll *= 2
    span = across * vectors[1] * unroll
    options = {
        "lanes": (along, across),
        "vector": vectors,
        "unroll": unroll,
        "rows": rows,
        "held": -(-n_r // span) if held else 0,
        "chunk": 0 if held else _chunk(problem, span, along * vectors[0]),
        "staged": 0,
    }
    return Choice("teams", tuple(sorted(options.items())), units)


def _contracted(problem: Problem, values: Sequence[Node], gpu: Gpu, product: bool) -> Choice | None:
    """Tiles of operands that vary along one of two kept axes each, as of matrices; None where they do not."""
    (value, *more) = values
    if more or not isinstance(value, Reduce) or any(isinstance(n, Reduce) for n in postorder(value.args)):
        return None
    # Elements are taken in one after the other: further off than sums by pairs.
    if not product and value.op.name in ("add", "multiply") and value.type.element.kind in "fc":
        return None
    r = problem.reduced[-1]
    inputs = problem.streams[: -problem.outputs]
    varying = [s for s in inputs if any(s.strides)]
    stored = problem.streams[-1]

    def divided(i: int, j: int) -> bool:
        apart = all(bool(s.strides[i]) != bool(s.strides[j]) and s.strides[r] for s in varying)
        return apart and any(s.strides[i] for s in varying) and any(s.strides[j] for s in varying)

    pairs = [(i, j) for j in problem.kept for i in problem.kept if i != j and divided(i, j)]
    pairs = [(i, j) for i, j in pairs if min(problem.lengths[i], problem.lengths[j]) >= SHORT]
    if not pairs:
        return None
    i, j = max(
        pairs,
        key=lambda p: (stored.strides[p[1]] == stored.itemsize, problem.lengths[p[0]] * problem.lengths[p[1]], p[1]),
    )
    size = max(s.itemsize for s in problem.streams)
    least_size = min(s.itemsize for s in varying)
    rest = math.prod(problem.lengths[k] for k in problem.kept if k not in (i, j))
    # A sector of memory at the least, and rows enough for the lanes of wide loads to lie apart.
    depth = max(_DEPTH if size > 4 else 2 * _DEPTH, SECTOR // least_size)
    # What lanes store side by side fills a sector.
    lanes = (_SQUARE, _SQUARE) if stored.itemsize > 1 else (_SQUARE // 2, _SQUARE * 2)
    for turns in _OWN_TILES[min(16, max(4, size))]:
        sides = lanes[0] * turns[0], lanes[1] * turns[1]
        room = sum(sides[bool(s.strides[j])] * depth * s.itemsize * 5 // 4 for s in varying)
        blocks = rest * -(-problem.lengths[i] // sides[0]) * -(-problem.lengths[j] // sides[1])
        if room <= min(gpu.local, LOCAL) and blocks >= gpu.multiprocessors:
            break
    if room > min(gpu.local, LOCAL) or (blocks < gpu.multiprocessors // 4 and problem.lengths[r] > _DEEP):
        # Long sums for few blocks are cut into chunks.
        return None
    wide, units = [], []
    for stream in inputs:
        own = i if stream.strides[i] else j
        along = next((k for k in (r, own) if stream.strides[k] == stream.itemsize), None)
        width = WIDEST // stream.itemsize if along is not None else 1
        while width > 1 and along is not None and not is_aligned(stream, along, width):
            width //= 2
        wide.append(width)
        units.append(along)
    options = {
        "axes": (i, j),
        "lanes": lanes,
        "turns": turns,
        "depth": depth,
        "wide": tuple(wide),
        "fused": product,
    }
    return Choice("contract", tuple(sorted(options.items())), (*units, None))


def _chunk(problem: Problem, span: int, along: int) -> int:
    """The elements of the last reduced axis for a block, where it has more than one block's; else 0.

    A block has `span` of them a turn, and `along` elements of the last kept axis.
    """
    n_r, n_x = problem.lengths[problem.reduced[-1]], problem.lengths[problem.kept[-1]] if problem.kept else 1
    blocks = math.prod(problem.lengths[k] for k in problem.kept[:-1]) * -(-n_x // along)
    # Blocks for every multiprocessor of a large device, and sums of few elements after one another.
    chunk = min(-(-n_r * blocks // BLOCKS) if blocks < BLOCKS else n_r, TURNS * span)
    chunk = max(-(-chunk // span) * span, MIN_TURNS * span)
    return chunk if chunk < n_r else 0


def _crossing(problem: Problem) -> list[int]:
    """The streams that lie along the last reduced axis, where others lie along the last kept one; as many as fit."""
    if not problem.kept:
        return []
    r, x = problem.reduced[-1], problem.kept[-1]
    if min(problem.lengths[r], problem.lengths[x]) < SHORT:
        return []
    found = []
    straight = False
    for k, stream in enumerate(problem.streams[: -problem.outputs]):
        if stream.strides[r] == stream.itemsize and abs(stream.strides[x]) >= SECTOR:
            found.append(k)
        straight = straight or (stream.strides[x] == stream.itemsize and abs(stream.strides[r]) >= SECTOR)
    sides = _crossed_sides(problem)
    most = LOCAL // max([math.prod(sides) * problem.streams[k].itemsize * 5 // 4 for k in found], default=1)
    return found[:most] if straight else []


def _crossed_sides(problem: Problem) -> tuple[int, int]:
    """The sides of the tile of a turn, of the last reduced and the last kept axis: those at which loads of 16 bytes ask
    no bank twice at a time, for elements of 1 to 4 bytes along both, for larger ones along the latter."""
    size = max(s.itemsize for s in problem.streams[: -problem.outputs])
    return 128 if size < 4 else 64, min(32, LINE // size)


def _crossed(problem: Problem, staged: Sequence[int]) -> Choice:
    """Columns that lanes reduce together, with operands that lie along the reduced axis through local memory."""
    r, x = problem.reduced[-1], problem.kept[-1]
    sides = _crossed_sides(problem)
    size = max(s.itemsize for s in problem.streams[: -problem.outputs])
    vector = vector_of(problem, x, [k for k, s in enumerate(problem.streams) if s.strides[x] == s.itemsize])
    wide = WIDEST // max(problem.streams[k].itemsize for k in staged)
    while wide > 1 and not all(is_aligned(problem.streams[k], r, wide) for k in staged):
        wide //= 2
    copies = tuple((0, (0, 1), problem.streams[k].itemsize) for k in staged)
    main, _ = arranged(sides, 1, ((0, wide), (1, vector)), copies, size, LANES)
    (_, across, turns, _), (_, along, _, vector) = main.axes
    units = list(contiguous(problem, x, vector))
    for k in staged:
        units[k] = r
    options = {
        "lanes": (along, across),
        "vector": (vector, 1),
        "unroll": turns,
        "rows": False,
        "held": 0,
        "chunk": _chunk(problem, across * turns, along * vector),
        "staged": wide,
    }
    return Choice("teams", tuple(sorted(options.items())), tuple(units))


def astray(problem: Problem, choice: Choice) -> list[int]:
    """The streams of a reduction that its lanes leap along, and that are long enough for a copy of them to pay."""
    if choice.schedule != "teams":
        return []
    options = dict(choice.options)
    near = problem.reduced[-1] if options["rows"] or not problem.kept else problem.kept[-1]
    found, straight = [], False
    for k, stream in enumerate(problem.streams[: -problem.outputs]):
        along = next((a for a, step in enumerate(stream.strides) if step == stream.itemsize), None)
        straight = straight or along == near
        count = math.prod(n for n, step in zip(problem.lengths, stream.strides, strict=True) if step)
        if along not in (None, near, choice.units[k]) and abs(stream.strides[near]) >= SECTOR:
            if problem.lengths[along] >= SHORT and count * stream.itemsize >= COPIED:
                found.append(k)
    return found if straight else []


def kept_first(arrays: Sequence[Any], shape: tuple[int, ...], reduced: Sequence[int]) -> int | None:
    """The reduced axis that is best kept at first, where arrays lie along two of them: tiles of both go through local
    memory in that reduction, and a second one takes in what it gave. None where all lie along one.

    >>> import numpy as np
    >>> a = np.zeros((64, 128)); b = np.zeros((128, 64))
    >>> kept_first([a, a], a.shape, (0, 1)), kept_first([a, b.T], a.shape, (0, 1)), kept_first([a, b.T], a.shape, (0,))
    (None, 1, None)
    """
    weights: dict[int, int] = {}
    for array in arrays:
        strides = _strides(array, shape)
        along = next((k for k, step in enumerate(strides) if shape[k] > 1 and step == array.itemsize), None)
        if along is not None:
            weights[along] = weights.get(along, 0) + array.itemsize
    crossing = [k for k in weights if k in reduced and shape[k] >= SHORT]
    return max(crossing, key=lambda k: weights[k]) if len(crossing) > 1 else None


def _phases(values: Sequence[Node], problem: Problem) -> int:
    """How often a row is walked: once for each reduction that needs another one before it, and for what varies."""
    levels: dict[Node, int] = {}
    for node in postorder(values):
        levels[node] = max((levels[child] for child in node.args), default=0) + isinstance(node, Reduce)
    stored = problem.streams[-problem.outputs :]
    return max(levels[v] + (not _is_single(s, problem)) for v, s in zip(values, stored, strict=True))


def _power(n: int) -> int:
    """The least power of two that is not less."""
    return 1 << max(0, n - 1).bit_length()


def _tiles(problem: Problem, gpu: Gpu) -> Choice | None:
    """Tiles through local memory, where axes are long and streams leap along the last one; None where not."""
    last = len(problem.lengths) - 1
    if last < 1 or problem.lengths[last] < SHORT:
        return None
    inputs = range(len(problem.streams) - problem.outputs)
    lying: dict[int, list[int]] = {}
    for k in inputs:
        stream = problem.streams[k]
        along = next((a for a, step in enumerate(stream.strides) if step == stream.itemsize), None)
        if along is not None and along != last and abs(stream.strides[last]) >= SECTOR:
            if problem.lengths[along] >= SHORT:
                lying.setdefault(along, []).append(k)
    # The axes that most bytes lie along, where there are more than tiles have.
    axes = sorted(lying, key=lambda a: -sum(problem.streams[k].itemsize for k in lying[a]))[:2]
    while axes:
        staged = [k for a in axes for k in lying[a]]
        sizes = [problem.streams[k].itemsize for k in staged]
        for side in _SIDES if len(axes) == 1 else _SIDES_OF_3:
            sides = [side if k in axes or k == last else 1 for k in range(last + 1)]
            room = sum(-(-math.prod(sides) * size * 5 // 4) for size in sizes)
            if room <= min(gpu.local, LOCAL) and side * max(sizes) <= _LONGEST_ROW:
                return _tiled(problem, axes, lying, sides)
        axes.pop()
    return None


def _tiled(problem: Problem, axes: Sequence[int], lying: Mapping[int, Sequence[int]], sides: Sequence[int]) -> Choice:
    last = len(problem.lengths) - 1
    straight = [k for k, s in enumerate(problem.streams) if s.strides[last] == s.itemsize]
    vectors = {last: min(vector_of(problem, last, straight), max(1, sides[last] // 4))}
    units = list(contiguous(problem, last, vectors[last]))
    for axis in axes:
        width = WIDEST // max(problem.streams[k].itemsize for k in lying[axis])
        while width > 1 and not all(is_aligned(problem.streams[k], axis, width) for k in lying[axis]):
            width //= 2
        vectors[axis] = width
        for k in lying[axis]:
            units[k] = axis
    return Choice("stage", (("sides", tuple(sides)), ("vectors", tuple(sorted(vectors.items())))), tuple(units))


def _flat(problem: Problem, gpu: Gpu) -> Choice:
    last = len(problem.lengths) - 1
    if last < 0:
        return Choice("grid", (("lanes", (1,)), ("unroll", 1), ("vector", 1)), (None,) * len(problem.streams))
    vector = vector_of(problem, last, range(len(problem.streams)))
    units = contiguous(problem, last, vector)
    lanes = lanes_of([-(-n // (vector if k == last else 1)) for k, n in enumerate(problem.lengths)])
    loaded = sum(s.itemsize * vector for s in problem.streams[: -problem.outputs] if s.strides[last])
    unroll = 1
    while unroll < 4 and loaded * unroll < AHEAD:
        more = lanes[last] * vector * unroll * 2
        blocks = math.prod(
            -(-n // (more if k == last else m)) for k, (n, m) in enumerate(zip(problem.lengths, lanes, strict=True))
        )
        if blocks < 8 * gpu.multiprocessors:
            break
        unroll *= 2
    return Choice("grid", (("lanes", lanes), ("unroll", unroll), ("vector", vector)), units)


def vector_of(problem: Problem, axis: int, wanted: Sequence[int]) -> int:
    """Neighbours along an axis that a lane takes at once: 1 where what is stored could not be stored at once.

    Streams that lie along the axis are in `wanted`; one that is not aligned is read element by element, and where that
    would be most of them so is everything.
    """
    streams = [problem.streams[k] for k in wanted]
    along = [s for s in streams if s.strides[axis] == s.itemsize]
    if not along:
        return 1
    width = WIDEST // min(s.itemsize for s in along)
    while width > 1:
        stored = [s for s in along if any(s is o for o in problem.streams[-problem.outputs :])]
        aligned = [s for s in along if is_aligned(s, axis, width)]
        if problem.lengths[axis] >= width * 2 and 2 * len(aligned) >= len(along):
            if all(is_aligned(s, axis, width) for s in stored):
                return width
        width //= 2
    return 1


def is_aligned(stream: Stream, axis: int, width: int) -> bool:
    """Whether every run of so many elements along an axis begins where a load of all of them may."""
    unit = min(WIDEST, width * stream.itemsize)
    rest = [s for k, s in enumerate(stream.strides) if k != axis]
    return stream.address % unit == 0 and all(s % unit == 0 for s in rest)


def contiguous(problem: Problem, axis: int, width: int) -> tuple[int | None, ...]:
    """For each stream the axis, where it lies along that one and is aligned to a vector of it."""
    return tuple(
        axis if s.strides[axis] == s.itemsize and is_aligned(s, axis, width) else None for s in problem.streams
    )


def lanes_of(lengths: Sequence[int], lanes: int = LANES) -> tuple[int, ...]:
    """How the lanes of a block lie along axes, the last one first: powers of two, with few beyond the ends."""
    found = [1] * len(lengths)
    rest = lanes
    for k in reversed(range(len(lengths))):
        best = 1
        for count in (1 << bits for bits in range(rest.bit_length())):
            # More lanes where no more of them idle, and up to a warp where a quarter does.
            waste = -(-lengths[k] // count) * count
            if count <= 1 or waste <= max(1.25 * lengths[k], -(-lengths[k] // best) * best):
                best = count
            elif count <= WARP and count < 2 * lengths[k]:
                best = count
        found[k] = best
        rest //= best
    return tuple(found)


def program_of(
    values: Sequence[Node],
    streams: Sequence[Operand],
    outputs: Sequence[Operand],
    problem: Problem,
    choice: Choice,
    given: frozenset[str],
    gpu: Gpu,
) -> Program:
    """The scheduled program of a region for a problem of its signature: see `key_of`.

    `values` are over the scalar operands `streams`, one for each of `outputs`; those in `given` stay scalars.
    """
    if not problem.reduced and any(isinstance(n, Reduce) for n in postorder(values)):
        # Of axes of one element: what is reduced is that.
        mapped = over_streams(values, {stream: stream for stream in streams}, ())
        values = [mapped[v] for v in values]
    rank = max(1, len(problem.lengths))
    new: dict[Node, Node] = {}
    for place, stream in enumerate((*streams, *outputs)):
        if stream.name in given:
            new[stream] = stream
            continue
        layout = [BROADCAST if not step else STRIDED for step in problem.streams[place].strides] or [BROADCAST]
        unit = choice.units[place]
        if unit is not None:
            layout[unit] = UNIT
        element: ElementType = stream.type.element
        new[stream] = Operand(stream.name, element.array(rank, tuple(layout)))
    given_values = over_streams(values, new, problem.reduced)
    assigns = []
    for value, output, stored in zip(values, outputs, problem.streams[-problem.outputs :], strict=True):
        goal: Node = new[output]
        if problem.reduced and (dict(choice.options).get("chunk") or _is_single(stored, problem)):
            goal = View(goal, tuple(Slice(0, 1) if k in problem.reduced else Slice() for k in range(rank)))
        assigns.append(Assign(goal, given_values[value]))
    program = Program("kernel", _operands(new, streams), assigns, _operands(new, outputs))
    return scheduled(program, choice)


def _is_single(stored: Stream, problem: Problem) -> bool:
    """Whether what is stored has one element along the reduced axes."""
    return not any(stored.strides[k] for k in problem.reduced)


def _operands(new: dict[Node, Node], old: Sequence[Operand]) -> list[Operand]:
    return [o for o in (new[each] for each in old) if isinstance(o, Operand)]


def scheduled(program: Program, choice: Choice) -> Program:
    """A program of element-wise assignments over one shape, scheduled."""
    options = dict(choice.options)
    if choice.schedule == "teams":
        return teams(program, **options)
    if choice.schedule == "contract":
        return contract(program, **options)
    if choice.schedule == "stage":
        lowered = lower(program, together=len(program.statements) > 1)
        return stage(lowered, sides=options["sides"], vectors=dict(options["vectors"]))
    return grid(lower(program, together=len(program.statements) > 1), **options)


def key_of(problem: Problem, choice: Choice, given: frozenset[str]) -> Any:
    """What the code for a problem depends on: no lengths, and of strides only which are 0."""
    classes = tuple(tuple(step != 0 for step in stream.strides) for stream in problem.streams)
    return len(problem.lengths), problem.reduced, classes, choice, given, problem.wide()


def raises(values: Sequence[Node]) -> str:
    """What an operator that may raise has to say; empty where there is none."""
    return next((n.op.raises for n in postorder(values) if isinstance(n, Apply) and n.op.may_raise), "")


def reductions(values: Sequence[Node]) -> list[Reduce]:
    return [node for node in postorder(values) if isinstance(node, Reduce)]
