"""What a schedule costs: bytes moved into each cache, and time, as properties of its statements.

A model, to choose between schedules of one nest; it is within a factor of two of what was measured, and orders the
schedules that it chooses between as they measure.

>>> from arrayexpr._core.parser import parse
>>> program = parse(
...     "@layouts(a=((1000, 1000), (8, 8000)), r=((1000, 1000), (8000, 8)))\\n"
...     "def f(a: float64[:, :], *, r: float64[:, :]):\\n"
...     "    for i in serial(0, 1000, 1):\\n        for j in serial(0, 1000, 1):\\n            r[i, j] = a[i, j]\\n"
... )
>>> moved = traffic(program.statements[0], program)
>>> moved.l1 // 10**6, moved.memory // 10**6
(80, 24)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..target import Target
from .affine import coefficients, integer
from .infer import Facts, Property, cost
from .nodes import (
    Apply,
    Constant,
    Extent,
    For,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Pack,
    Scratch,
    Store,
    Stride,
    postorder,
)
from .passes.nests import enclosed, values_under
from .program import Program
from .record import record, replace
from .types import BROADCAST, UNIT

#: What is taken for a length that is not known, in elements; a stride that is not known is so many of them.
UNKNOWN: Final = 1000
#: Bytes of a way of the first cache: lines that lie multiples of it apart share a set. Lines of a set.
WAY, WAYS = 4096, 8
#: Nanoseconds to bring one line nearer: into the first cache from the second, into that from the third, into that from
#: memory. Of lines that follow one another, which the machine prefetches; of scattered ones; of scattered ones that
#: share a set. From a + b (7.5 ms), a + b.T in plain loops (17 ms) and on 4096 x 4096 (1050 ms), 16M doubles.
STREAMED = (0.2, 0.25, 0.45)
SCATTERED = (0.7, 0.3, 0.9)
SHARED = (0.7, 4.0, 60.0)
#: Nanoseconds an operation takes where the loop is a vector loop, an element that is loaded or stored alone, and one
#: that is copied to a tile.
OPERATION, ALONE, COPIED = 0.05, 0.15, 0.08


@record
class Traffic:
    """Bytes that are moved into the first, second and third cache, and to and from memory."""

    l1: int = 0
    l2: int = 0
    l3: int = 0

    @property
    def memory(self) -> int:
        return self.l3

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(self.l1 + other.l1, self.l2 + other.l2, self.l3 + other.l3)


@record
class _Reference:
    """An access, as far as the loops seen so far go: distinct lines, lines moved into each cache, strides and trips."""

    access: Node
    operand: Operand
    stored: bool
    copied: bool
    lines: float
    moved: tuple[float, ...]
    walks: tuple[tuple[int, float], ...] = ()

    def shares(self, way: int, ways: int) -> bool:
        """Whether lines of one walk push one another out of a cache."""
        return any(n > ways * max(1, way // math.gcd(step, way) if step >= 64 else way // 64) for step, n in self.walks)


@record
class _Flow:
    """What a statement does once: its accesses, its operations, and elements that are not read side by side."""

    references: tuple[_Reference, ...] = ()
    operations: float = 0.0
    alone: float = 0.0
    copied: float = 0.0


def _steps(operand: Operand, facts: Facts) -> tuple[int | None, ...]:
    layout = dict(facts.layouts).get(operand.name)
    if layout is not None:
        return tuple(0 if n == 1 else s for n, s in zip(layout.shape, layout.strides, strict=True))
    size = operand.type.element.itemsize
    return tuple(size if a == UNIT else 0 if a == BROADCAST else None for a in operand.type.layout)


def _known(expression: Node, facts: Facts) -> Mapping[Node, int]:
    known: dict[Node, int] = {}
    layouts = dict(facts.layouts)
    for node in postorder((expression,)):
        if isinstance(node, Extent | Stride) and node.operand.name in layouts:
            layout = layouts[node.operand.name]
            known[node] = layout.shape[node.axis] if isinstance(node, Extent) else layout.strides[node.axis]
    return known


def _length(start: Node, stop: Node, facts: Facts) -> float:
    """stop - start, where it is known, or bounded by a block's side."""
    whole = _rows(stop)
    if whole is not None and whole[0] is start:
        return _length(start, whole[1], facts) // whole[2] * whole[2]
    rest = _rows(start)
    if rest is not None and rest[1] is stop:
        return _length(rest[0], stop, facts) % rest[2]
    match stop:
        case Apply(op, (Apply(add, (first, Constant(side))), _)) if op.name == "minimum" and add.name == "add":
            if first is start:
                return float(side)
    forms = [coefficients(bound, _known(bound, facts)) for bound in (start, stop)]
    if forms[0] is None or forms[1] is None or forms[0][1] != forms[1][1]:
        return float(UNKNOWN)
    return float(max(0, forms[1][0] - forms[0][0]))


def _rows(bound: Node) -> tuple[Node, Node, int] | None:
    """Of `first + (last - first) // side * side`, where so many rows at a time end: first, last and side."""
    first: Node = integer(0)
    match bound:
        case Apply(add, (x, rest)) if add.name == "add":
            first, bound = x, rest
    match bound:
        case Apply(op, (Apply(divide, (span, Constant(side))), Constant(same))) if (
            op.name == "multiply" and divide.name == "floor_divide" and same == side
        ):
            match span:
                case Apply(subtract, (last, x)) if subtract.name == "subtract" and x is first:
                    return first, last, side
            return (first, span, side) if first is integer(0) else None
    return None


def _movement(access: Load | Store, indices: Sequence[Index], facts: Facts) -> int:
    """Bytes that an access moves by when these indices rise by one."""
    total = 0
    for subscript, step in zip(access.subscripts, _steps(access.operand, facts), strict=True):
        form = coefficients(subscript, _known(subscript, facts))
        if form is None:
            factor = sum(node in indices for node in postorder((subscript,)))
        else:
            factor = sum(form[1].get(index, 0) for index in indices)
        if factor:
            total += factor * (UNKNOWN * access.operand.type.element.itemsize if step is None else step)
    return total


def _nothing(node: Node, args: tuple[Any, ...], facts: Facts) -> _Flow | None:
    return None


#: What a statement does once, as far as caches matter. None of an expression.
_flow: Final = Property("flow", default=_nothing, depends=True)


@_flow.of(Store)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> _Flow:
    found = [n for n in postorder((node.value,)) if isinstance(n, Load)]
    loads = tuple(_Reference(n, n.operand, False, False, 1.0, (1.0, 1.0, 1.0)) for n in found)
    # A store reads its line first, unless the line is there.
    store = _Reference(node, node.operand, True, False, 1.0, (1.0, 1.0, 1.0))
    return _Flow((*loads, store), sum(map(cost, values_under((node.value,)))))


@_flow.of(Pack)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> _Flow:
    lengths = [
        min((_length(integer(0), extent, facts)), float(UNKNOWN)) if isinstance(extent, Constant) else _side(extent)
        for extent in node.extents
    ]
    steps = [UNKNOWN * 8 if s is None else abs(s) for s in _steps(node.source, facts)]
    near = min((s for s, n in zip(steps, lengths, strict=True) if s and n > 1), default=64)
    lines = math.prod(
        math.ceil(n * near / 64) if s == near and near < 64 else n for s, n in zip(steps, lengths, strict=True) if s
    )
    size = node.target.type.element.itemsize
    count = math.prod(lengths)
    whole = count * size / 64
    source = _Reference(Load(node.source, node.starts), node.source, False, True, lines, (lines,) * 3)
    target = _Reference(node, node.target, True, True, whole, (whole, whole, whole))
    return _Flow((source, target), 0.0, 0.0, count)


def _side(extent: Node) -> float:
    """The side of a block, of its length `minimum(first + side, n) - first`."""
    match extent:
        case Apply(op, (Apply(least, (Apply(add, (first, Constant(side))), _)), start)) if (
            op.name == "subtract" and least.name == "minimum" and add.name == "add" and first is start
        ):
            return float(side)
    return float(UNKNOWN)


def _together(flows: Iterable[_Flow | None]) -> _Flow:
    references: dict[Node, _Reference] = {}
    total = _Flow()
    for flow in flows:
        if flow is None:
            continue
        for reference in flow.references:
            references.setdefault(reference.access, reference)
        total = replace(
            total,
            operations=total.operations + flow.operations,
            alone=total.alone + flow.alone,
            copied=total.copied + flow.copied,
        )
    return replace(total, references=tuple(references.values()))


@_flow.of(Guard)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> _Flow:
    # The branch that is taken where the condition holds stands for both.
    return _together(args[1 : 1 + len(node.then)])


@_flow.of(For, Loop)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> _Flow:
    body = _together(args[3:])
    step = node.step.value if isinstance(node.step, Constant) else 1
    trips = math.ceil(_length(node.start, node.stop, facts) / max(1, abs(step)))
    private = {s.operand for s in node.body if isinstance(s, Scratch)}
    target = facts.target or Target()
    sizes = (target.l1, target.l2, target.l3)
    footprint = 64 * sum(r.lines for r in body.references)
    innermost = not any(isinstance(s, For) for s in node.body)
    alone = body.alone * trips
    # A loop over blocks moves what the loops over a block walk.
    indices = [node.index, *(s.index for s in enclosed(node.body) if isinstance(s, For) and s.start is node.index)]
    references = []
    for reference in body.references:
        access = reference.access
        if reference.operand in private:
            # What every iteration writes anew stays in the first cache.
            continue
        if not isinstance(access, Load | Store):
            references.append(reference)
            continue
        move = abs(_movement(access, indices, facts) * step)
        if innermost and move > reference.operand.type.element.itemsize:
            alone += trips
        grown = 1.0 if move == 0 else float(trips) if move >= 64 else max(1.0, trips * move / 64)
        moved = []
        for level, (lines, size) in enumerate(zip(reference.moved, sizes, strict=True)):
            way = WAY if level == 0 else max(WAY, size // 16)
            # What one iteration touches is there for the next one, unless there is too much of it.
            kept = footprint <= size and not reference.shares(way, WAYS if level == 0 else 16)
            moved.append(lines * (grown if kept else trips))
        walks = (*reference.walks, (move, float(trips))) if move else reference.walks
        if isinstance(node, Loop) and node.role == "stream":
            # Stored past the caches, a line is not read first.
            reference = replace(reference, stored=False)
        references.append(replace(reference, lines=reference.lines * grown, moved=tuple(moved), walks=walks))
    return _Flow(tuple(references), body.operations * trips, alone, body.copied * trips)


def _sum(flow: _Flow | None) -> Traffic:
    if flow is None:
        return Traffic()
    moved = [0.0, 0.0, 0.0]
    for reference in flow.references:
        for level, lines in enumerate(reference.moved):
            moved[level] += 64 * lines * (2 if reference.stored else 1)
    return Traffic(*(round(x) for x in moved))


#: Bytes that a statement moves into each cache: a `Traffic`. A line that is stored is read and written.
traffic: Final = Property(
    "traffic", default=lambda node, args, facts: _sum(_flow(node, facts)), depends=True, needs=(_flow,)
)


def _time(node: Node, args: tuple[Any, ...], facts: Facts) -> float:
    flow = _flow(node, facts)
    if flow is None:
        return 0.0
    total: float = OPERATION * flow.operations + ALONE * flow.alone + COPIED * flow.copied
    for reference in flow.references:
        inner = reference.walks[0][0] if reference.walks else 0
        scattered = inner >= 64 and not reference.copied
        for level, lines in enumerate(reference.moved):
            each = (SCATTERED if scattered else STREAMED)[level]
            if scattered and any(step % WAY == 0 and n > WAYS for step, n in reference.walks):
                each = SHARED[level]
            total += each * lines * (2 if reference.stored else 1)
    return total


#: Nanoseconds that a statement takes on one core, by the model.
time: Final = Property("time", default=_time, depends=True, needs=(_flow,))


def gains(program: Program, changed: Node, unchanged: Node) -> bool:
    """Whether a statement takes less time than another one; True where layouts do not tell."""
    names = {n.name for n in postorder((unchanged,)) if isinstance(n, Operand) and n.type.rank}
    if not all(name in program.layouts for name in names):
        return True
    return bool(time(changed, program) < time(unchanged, program))


def estimate(program: Program) -> tuple[Traffic, float, float]:
    """The traffic, the operations and the nanoseconds of a scheduled program."""
    moved, count, spent = Traffic(), 0.0, 0.0
    for statement in program.statements:
        moved = moved + traffic(statement, program)
        flow = _flow(statement, program)
        count += flow.operations if flow is not None else 0.0
        spent += time(statement, program)
    return moved, count, spent
