"""From a signature to the scheduled program and the code for it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence, Set

from ...target import Target
from ..infer import cost
from ..nodes import (
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Function,
    Guard,
    Loop,
    Node,
    Operand,
    Reduce,
    Slice,
    Store,
    View,
    postorder,
    rebuild,
    transform,
)
from ..passes.hoist import hoist
from ..passes.lower import lower
from ..passes.nests import enclosed, values_under
from ..passes.strip import strip
from ..passes.vectorize import vectorize
from ..primitives import EXTREME_AT
from ..program import Program
from ..types import BROADCAST, FALLING, FOUR, STRIDED, THREE, TWO, UNIT
from .dispatch import LARGE, MAX_TILE, Code
from .handover import Mode, make

#: Nanoseconds of an operation on one element, at the least, for the choice of threads: exp(-a * a) * sin(b), 43
#: operations, takes 0.48 where functions are inline vectors. Of the C library's functions one element takes more.
NS = 0.012

#: What a stream's code in a key says of it along the innermost axis.
_CLASSES = (UNIT, BROADCAST, STRIDED, FALLING, STRIDED, TWO, THREE, FOUR, STRIDED, STRIDED)
#: The code of a stream whose tiles are packed: nothing more need be known of it.
_PACKED = 4
#: The codes of a stream that is contiguous along the axis before the innermost one: read by blocks, or packed as well.
_ACROSS, _PACKED_ACROSS = 8, 9
#: The bits of a code beyond which are those of the axes that the stream is broadcast along.
_CLASS = 15


def stream_program(
    values: Sequence[Node],
    streams: Sequence[Operand],
    outputs: Sequence[Operand],
    varies: Sequence[tuple[bool, bool]],
    key: bytes,
    target: Target,
    *,
    far: bool = False,
) -> Program:
    """The program of one region for a signature: streams of the nest's rank, typed by their stride classes.

    `values` are over the scalar operands `streams`, one for each of `outputs`. `varies` says of streams and
    outputs whether they have more than one element along the axes that are kept, and along those that are
    reduced; of an output without, the first along those is assigned. `key` is a `Problem`'s: the rank, how many of
    the last axes are tiled with what `dispatch` adds to it, a code per stream, a bit for each of the nest's axes that
    is reduced. The low four bits of a code are the stream's class, the others say which axes it is broadcast along.
    `far` asks for blocks in registers where the key says tiles, if they serve all that is packed.
    """
    rank = key[0]
    count = len(streams) + len(outputs)
    bits = key[2 + count] if len(key) > 2 + count else 0
    reduced = tuple(k for k in range(rank) if bits >> (rank - 1 - k) & 1)
    new: dict[Node, Node] = {}
    for place, (stream, code) in enumerate(zip([*streams, *outputs], key[2:], strict=False)):
        layout = [STRIDED] * (rank - 1) + [_CLASSES[code & _CLASS]]
        if code & _CLASS in (_ACROSS, _PACKED_ACROSS):
            layout[rank - 2] = UNIT
        for axis in range(rank):
            if not varies[place][axis in reduced] or code >> (4 + rank - 1 - axis) & 1:
                layout[axis] = BROADCAST
        # A stream that walks in no known way has nothing but its rank.
        new[stream] = Operand(stream.name, stream.type.element.array(rank, tuple(layout)))

    mapped = over_streams(values, new, reduced)
    assigns = []
    for value, output, (_, whole) in zip(values, outputs, varies[len(streams) :], strict=True):
        goal = new[output]
        if not whole and reduced:
            goal = View(goal, tuple(Slice(0, 1) if axis in reduced else Slice() for axis in range(rank)))
        assigns.append(Assign(goal, mapped[value]))
    program = Program(
        "kernel",
        [_operand(new[s]) for s in streams],
        assigns,
        [_operand(new[o]) for o in outputs],
        target=target,
    )
    classes = [code & _CLASS for code in key[2 : 2 + count]]
    any_strides = all(_CLASSES[c] == STRIDED and c < _ACROSS for c in classes)
    packed = {
        stream.name for stream, c in zip(streams, classes, strict=False) if c in (_PACKED, _ACROSS, _PACKED_ACROSS)
    }
    if far and _PACKED not in classes:
        from ..passes.cross import STRIP, cross

        scheduled = _scheduled(program, key, frozenset(), len(outputs) > 1, any_strides, across=True, length=STRIP)
        crossed = cross(scheduled, far=True)
        if crossed is not scheduled:
            return crossed
    across = _ACROSS in classes
    scheduled = _scheduled(
        program, key, frozenset() if across else packed, len(outputs) > 1, any_strides, across=across
    )
    if across:
        from ..passes.cross import cross

        if cross(scheduled) is scheduled:
            # Where rows cost much, or more than rows are in the nest, tiles are copied.
            scheduled = _scheduled(program, key, packed, len(outputs) > 1, any_strides)
    return scheduled


def _scheduled(
    program: Program,
    key: bytes,
    packed: Set[str],
    together: bool,
    any_strides: bool,
    *,
    across: bool = False,
    length: int | None = None,
) -> Program:
    """The schedule of a region's program, with tiles of some operands copied; loops alone for blocks `across` rows.

    `length` is that of strips of accumulators, where it is not the usual one.
    """
    rank, tiled = key[0], 0 if across else key[1] & MAX_TILE
    # Passes that few programs need are imported where one does: the others' first result does not pay for them.
    reduces = any(isinstance(node, Reduce) for node in program.nodes())
    if reduces:
        from ..passes.sweep import sweep

        program = sweep(program, together=True, packed=packed if not tiled else frozenset(), strip=length)
    if packed and not reduces:
        tiled = max(tiled, 2)
    # Tiles and blocks want a perfect nest: what is hoisted stands before it.
    perfect = tiled or (across and not reduces)
    scheduled = hoist(lower(program, together=together), strips=not perfect)
    if tiled:
        from ..passes.block import block
        from ..passes.pack import pack

        # The signature says which conflict, whatever their classes here tell.
        scheduled = block(scheduled, axes=range(rank - tiled, rank))
        scheduled = pack(scheduled, operands=packed)
    if reduces:
        from ..passes.jam import jam

        scheduled = jam(scheduled)
    # The generic signature stands for any strides: it tests for unit ones.
    scheduled = vectorize(strip(scheduled), versions=any_strides)
    if key[1] & LARGE:
        from ..passes.stream import stream as past_the_caches

        scheduled = past_the_caches(scheduled)
    return scheduled


def over_streams(values: Sequence[Node], new: dict[Node, Node], reduced: tuple[int, ...]) -> dict[Node, Node]:
    """The values over other streams; reductions, over no axes as a region has them, over those that are reduced."""
    if not any(isinstance(node, Reduce) for node in postorder(values)):
        return transform(values, new.get)
    mapped: dict[Node, Node] = {}
    for node in postorder(values):
        args = () if isinstance(node, Function) else tuple(mapped[child] for child in node.args)
        match node:
            case Operand():
                mapped[node] = new[node]
            case Function():
                mapped[node] = node
            case Reduce(op, _) if op.name in EXTREME_AT and not reduced:
                mapped[node] = Constant(0, node.type.element)
            case Reduce(op, _) if reduced:
                mapped[node] = Reduce(op, args[0], reduced, True)
            case Reduce():
                element = node.type.element
                mapped[node] = args[0] if args[0].type.element is element else Cast(args[0], element)
            case _:
                mapped[node] = rebuild(node, args)
    return mapped


def builder(
    values: Sequence[Node],
    streams: Sequence[Operand],
    outputs: Sequence[Operand],
    varies: Sequence[tuple[bool, bool]],
    target: Target,
    emit: Callable[[Program], str],
    mode: Mode = Mode(),
) -> Callable[[bytes], Code | None]:
    """The function that a `Region` asks for the code of a signature; None where only the interpreter runs it."""

    def build(key: bytes) -> Code | None:
        program = stream_program(values, streams, outputs, varies, key, target)
        printed = emit
        classes = [code & _CLASS for code in key[2 : 2 + len(streams)]]
        # The block engine walks rows, which blocks in registers would cut: they are made where C is printed.
        # From memory that is measured to gain for sums alone: sum((a - b.T)**2, axis=0), 4000 x 4000 doubles, took
        # 13.2 ms by blocks in hand-written loops and 16.7 by tiles; of a + b.T neither was the faster one every time.
        sums = any(isinstance(node, Reduce) for node in postorder(values))
        if sums and _PACKED_ACROSS in classes and _PACKED not in classes:

            def printed(_: Program) -> str:
                return emit(stream_program(values, streams, outputs, varies, key, target, far=True))

        elif _ACROSS in classes:
            printed = _crossed(emit)
        code = make(program, key[0], key[1] & MAX_TILE, printed, mode)
        if code is not None:
            code.element_ns = NS * _operations(program)
        return code

    # For `explain`, which compares with schedules that were not chosen.
    build.schedule = functools.partial(stream_program, values, streams, outputs, varies, target=target)  # type: ignore[attr-defined]
    return build


def _crossed(emit: Callable[[Program], str]) -> Callable[[Program], str]:
    def emit_crossed(program: Program) -> str:
        from ..passes.cross import cross

        return emit(cross(program))

    return emit_crossed


def _operations(program: Program) -> float:
    """Operations for each element: those within all of the nest's loops."""
    loops = [loop for loop in enclosed(program.statements) if isinstance(loop, Loop)]
    rows: dict[Node, int] = {loop.index: loop.step.value for loop in loops if isinstance(loop.step, Constant)}
    starts = {loop.start for loop in loops}
    within: dict[frozenset[Node], dict[Node, None]] = {}
    stack: list[tuple[Node, frozenset[Node]]] = [(statement, frozenset()) for statement in program.statements]
    while stack:
        statement, around = stack.pop()
        if isinstance(statement, Loop):
            # A loop over blocks or strips is no axis of its own.
            inner = around if statement.index in starts else around | {statement.index}
            stack.extend((each, inner) for each in statement.body)
        elif isinstance(statement, Guard):
            stack.extend((each, around) for each in (*statement.then, *statement.otherwise))
        elif isinstance(statement, Store):
            within.setdefault(around, {}).update(dict.fromkeys(values_under((statement.value,))))
    if not within:
        return 0.0
    around, found = max(within.items(), key=lambda item: len(item[0]))
    # A loop may take in several rows at a time.
    count = math.prod(rows.get(index, 1) for index in around)
    return math.fsum(cost(node) for node in found if isinstance(node, Apply | Cast | Call)) / count


def _operand(node: Node) -> Operand:
    assert isinstance(node, Operand)
    return node
