"""A program as the steps that run it: regions, and what NumPy does between them."""

from __future__ import annotations

import functools
from _thread import RLock
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ...target import Target
from ..infer import total_operations
from ..nodes import (
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Contract,
    Extent,
    Node,
    Operand,
    Reduce,
    View,
    postorder,
    substitute,
)
from ..passes.hoist import broadcast_matters
from ..program import Program, assigned_operand
from ..record import record
from ..regions import regions
from .dispatch import Code, Region
from .handover import Mode
from .reading import Cut, Reading, Source, has_fold, innermost, placed, reductions, source_of, source_or_none
from .specialise import NS, builder

#: What the steps know to run.
_KNOWN = (Constant, Operand, View, Apply, Cast, Reduce, Contract, Assign, Call, Extent)


@record
class RegionStep:
    """Computes `region` of the sources into the targets; a slot with no array yet gets a new one.

    The sources broadcast to a shape of rank `rank`. `assigns` are the statements that it runs, one a target;
    the views of the targets that are in `kept` have length 1 along the region's reduced axes.
    """

    region: Region
    sources: tuple[Source, ...]
    targets: tuple[Source, ...]
    assigns: tuple[Assign, ...]
    kept: tuple[bool, ...]
    rank: int
    #: The places among the sources of what each statement reads, and of what is under each reduction for which it
    #: matters how often the same element is taken in.
    reads: tuple[tuple[int, ...], ...]
    reduces: tuple[tuple[int, ...], ...]
    #: The steps that run its statements one by one, or of one its reductions: where arrays are not over one shape, or
    #: overlap.
    alone: Callable[[], Sequence[Step]]


@record
class ArrayStep:
    """Sets a slot to what a NumPy function gives: a reduction or a contraction, of sources."""

    node: Node
    sources: tuple[Source, ...]
    slot: str


@record
class InterpretStep:
    """A program that only the interpreter runs: effects, loops of the host, functions of the host."""

    program: Program


Step: TypeAlias = "RegionStep | ArrayStep | InterpretStep"


class Plan:
    """The steps of one program, over named slots: its operands, results, locals, and temporaries."""

    def __init__(self, program: Program):
        self.program = program
        self.steps: list[Step] = []
        #: The plan of `Program.assumption.otherwise`, where there is one.
        self.otherwise: Callable[[], Plan] | None = None

    @property
    def single(self) -> RegionStep | None:
        """The step of a program that is one region."""
        if len(self.steps) == 1 and isinstance(self.steps[0], RegionStep):
            return self.steps[0]
        return None

    def codes(self) -> list[Code]:
        """Every specialisation made so far."""
        regions = (step.region for step in self.steps if isinstance(step, RegionStep))
        return list(dict.fromkeys(code for region in regions for code in region.codes.values() if code is not None))


def plan(
    program: Program, emit: Callable[[Program], str], target: Target, mode: Mode = Mode(), *, threads: int = 0
) -> Plan:
    """Cut a program, after its array-level passes, into steps that use `threads`: 0 for the process's setting."""
    result = Plan(program)
    if program.assumption is not None:
        otherwise = program.assumption.otherwise
        result.otherwise = functools.cache(lambda: plan(otherwise, emit, target, mode, threads=threads))
    if not all(isinstance(s, Assign) for s in program.statements) or any(
        not isinstance(n, _KNOWN) for n in program.nodes()
    ):
        result.steps.append(InterpretStep(program))
        return result
    cutter = _Cutter(result, emit, target, mode, threads)
    statements = [s for s in program.statements if isinstance(s, Assign)]
    for group in regions(statements):
        cutter.assign([statement for statement in group if isinstance(statement, Assign)])
    return result


class _Cutter:
    def __init__(self, result: Plan, emit: Callable[[Program], str], target: Target, mode: Mode, threads: int):
        self.plan = result
        self.emit = emit
        self.target = target
        self.mode = mode
        self.threads = threads
        self.count = 0
        self.given = frozenset(result.program.operands)
        self.lock = RLock()
        # Whether every reduction is a step of its own.
        self.apart = False

    def alone(self, statements: Sequence[Assign]) -> Sequence[Step]:
        """Steps that run statements one by one; of one statement, its reductions."""
        with self.lock:
            own, self.plan = self.plan, Plan(self.plan.program)
            self.apart = len(statements) == 1
            try:
                for statement in statements:
                    self.assign([statement])
                return self.plan.steps
            finally:
                self.plan, self.apart = own, False

    def assign(self, statements: Sequence[Assign]) -> None:
        """The steps for statements that share their sweeps, or for one."""
        while True:
            try:
                self._region(statements)
                return
            except Cut as cut:
                if len(statements) > 1 and any(assigned_operand(s.target) in self.given for s in statements):
                    # What is computed before the first might be from memory that the first assigns.
                    for statement in statements:
                        self.assign([statement])
                    return
                new = self._temporaries(cut.nodes)
            statements = [
                Assign(s.target, value)
                for s, value in zip(statements, substitute([s.value for s in statements], new.get), strict=True)
            ]

    def _temporaries(self, nodes: Sequence[Node]) -> dict[Node, Node]:
        """Steps that compute nodes before what needs them, and the operands that hold them."""
        new: dict[Node, Node] = {}
        together: list[Node] = []
        for node in nodes:
            match node:
                case Reduce(op, arg) if not node.axes and op.arity == 2:
                    # Of no axes: the operand itself, as what the operator gives.
                    element = node.type.element
                    new[node] = arg if arg.type.element is element else Cast(arg, element)
                case Reduce(_, arg) if not has_fold(node):
                    new[node] = self._array_step(node, [self._materialised(arg)])
                case Contract(left, right):
                    new[node] = self._array_step(node, [self._materialised(left), self._materialised(right)])
                case _:
                    new[node] = temporary = self._temporary(node.type)
                    together.append(Assign(temporary, node))
        for group in [[statement] for statement in together] if self.apart else regions(together):
            self.assign([statement for statement in group if isinstance(statement, Assign)])
        return new

    def _materialised(self, value: Node) -> Node:
        """The value, where it is a view of an array; else a temporary that holds it."""
        if source_or_none(value) is not None:
            return value
        temporary = self._temporary(value.type)
        self.assign([Assign(temporary, value)])
        return temporary

    def _temporary(self, type_: Any) -> Operand:
        taken = {operand.name for operand in self.plan.program.declared}
        while True:
            self.count += 1
            if f"t{self.count}" not in taken:
                return Operand(f"t{self.count}", type_.plain)

    def _array_step(self, node: Node, args: list[Node]) -> Operand:
        temporary = self._temporary(node.type)
        self.plan.steps.append(ArrayStep(node, tuple(map(source_of, args)), temporary.name))
        return temporary

    def _region(self, statements: Sequence[Assign]) -> None:
        """One step for statements over one shape. Raises Cut for what has to be computed before."""
        rank, reduced = self._space(statements)
        streams: dict[Node, Operand] = {}
        names: set[str] = {source_of(s.target).slot for s in statements}

        axes: dict[Node, tuple[int, ...]] = {}

        def stream(node: Node, at: tuple[int, ...]) -> Operand:
            if node not in streams:
                slot = node.operand.name if isinstance(node, Extent) else source_of(node).slot
                streams[node] = Operand(_fresh(slot, names), node.type.element)
                axes[node] = at
            return streams[node]

        # Streams are scalars here: the nest's rank is the signature's to say.
        reading = Reading(rank, reduced, stream)
        values = [reading.scalar(s.value, s.target.type.rank) for s in statements]
        read = [{n for n in postorder((value,)) if isinstance(n, Operand)} for value in values]
        # In the order of the operands, which is the one that a reader of messages and of C expects.
        place = {operand.name: k for k, operand in enumerate(self.plan.program.declared)}
        sources = {node: _stream_source(node) for node in streams}
        ordered = sorted(streams, key=lambda node: place.get(sources[node].slot, len(place)))
        inputs = [streams[node] for node in ordered]
        varies = [
            (any(a not in reduced for a in axes[node]), any(a in reduced for a in axes[node])) for node in ordered
        ]
        kept = tuple(bool(reduced) and not reading.spans(s.value, s.target.type.rank) for s in statements)
        targets = []
        for s in statements:
            at = tuple(range(rank)) if s.target.type.rank == rank else reading.kept
            targets.append(source_of(placed(s.target, at, rank)))
        outputs = [Operand(t.slot, s.target.type.element) for t, s in zip(targets, statements, strict=True)]
        spread = [s for s, v in zip(inputs, varies, strict=True) if any(v)]
        applied = [n for n in postorder(values) if isinstance(n, Apply)]
        region = Region(
            tuple(values),
            [o.type.element.itemsize for o in (*inputs, *outputs)],
            builder(
                values, inputs, outputs, [*varies, *((True, not k) for k in kept)], self.target, self.emit, self.mode
            ),
            tile_bytes=self.target.l1,
            stream_bytes=self.target.l3,
            threads=self.threads,
            work=NS * total_operations(values),
            raises=next((n.op.raises for n in applied if n.op.may_raise), ""),
            outputs=len(outputs),
            reduced=reduced,
            hoisted=bytes(broadcast_matters(values, inputs, spread)),
        )
        self.plan.steps.append(
            RegionStep(
                region,
                tuple(sources[node] for node in ordered),
                tuple(targets),
                tuple(statements),
                kept,
                rank,
                tuple(tuple(k for k, each in enumerate(inputs) if each in own) for own in read),
                # A reduction by itself is over the shape of what it walks.
                tuple(_spanned(n, inputs) for n in postorder(values) if isinstance(n, Reduce) and not self.apart),
                functools.cache(lambda: self.alone(statements)),
            )
        )

    def _space(self, statements: Sequence[Assign]) -> tuple[int, tuple[int, ...]]:
        """The rank of the shape that statements are computed over, and the axes that they reduce. Raises Cut."""
        found = [r for s in statements for r in reductions(s.value)]
        if not found:
            return statements[0].target.type.rank, ()
        first = [r for s in statements for r in innermost(s.value)]
        spaces = {(r.arg.type.rank, tuple(sorted(r.axes))) for r in found}
        rank, reduced = next(iter(spaces))
        ranks = {s.target.type.rank for s in statements}
        if self.apart and (len(found) > 1 or statements[0].value is not found[0]):
            raise Cut(first)
        if len(spaces) > 1 or not all(map(has_fold, found)) or not ranks <= {rank, rank - len(reduced)}:
            raise Cut(first)
        if len(reduced) == rank:
            reading = Reading(rank, reduced, _no_stream)
            if len(first) < len(found) or any(reading.spans(s.value, s.target.type.rank) for s in statements):
                # Of sweeps over all there is nothing lasts in a cache from one to the next: each is a step.
                raise Cut(first)
        return rank, reduced


def _spanned(node: Reduce, inputs: Sequence[Operand]) -> tuple[int, ...]:
    """The places of the inputs that a reduction walks; all of them where it does not matter how long they are."""
    if node.op.idempotent.holds(node.type.element.kind):
        return tuple(range(len(inputs)))
    found: set[Node] = set()
    stack: list[Node] = [node.arg]
    while stack:
        each = stack.pop()
        if each not in found and not isinstance(each, Reduce):
            found.add(each)
            stack.extend(each.args)
    return tuple(k for k, each in enumerate(inputs) if each in found)


def _no_stream(node: Node, at: tuple[int, ...]) -> Operand:
    raise AssertionError(node)


def _stream_source(node: Node) -> Source:
    if isinstance(node, Extent):
        return Source(node.operand.name, length=node.axis)
    return source_of(node)


def _fresh(name: str, taken: set[str]) -> str:
    """The name, numbered where it is taken; it is taken then."""
    fresh, count = name, 2
    while fresh in taken:
        fresh, count = f"{name}_{count}", count + 1
    taken.add(fresh)
    return fresh
