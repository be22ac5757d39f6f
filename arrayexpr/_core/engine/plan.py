"""A program as the steps that run it: regions, and what NumPy does between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...target import Target
from ..infer import lengths, reads, total_operations
from ..nodes import (
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Contract,
    Extent,
    Function,
    Node,
    Operand,
    Reduce,
    Slice,
    View,
    postorder,
    substitute,
)
from ..passes.hoist import broadcast_matters
from ..program import Program, assigned_operand
from ..record import record, replace
from .dispatch import Code, Region
from .handover import Mode
from .reading import Cut, Reading, Source, has_fold, innermost, placed, reductions, source_of, source_or_none
from .specialise import NS, builder

#: What the steps know to run.
_KNOWN = (Constant, Operand, View, Apply, Cast, Reduce, Contract, Assign, Call, Function, Extent)


@record
class RegionStep:
    """Computes `region` of the sources into the targets; a slot with no array yet gets a new one.

    The sources broadcast to a shape of rank `rank`. `assigns` are the statements that it runs, one a target;
    the views of the targets that are in `kept` have length 1 along the region's reduced axes. `folds` are the sources
    under each reduction that is not over all of them: as long as those, it is one of the region.
    """

    region: Region
    sources: tuple[Source, ...]
    targets: tuple[Source, ...]
    assigns: tuple[Assign, ...]
    kept: tuple[bool, ...]
    rank: int
    folds: tuple[tuple[int, ...], ...] = ()
    #: The temporary that the one target takes over as it is, where it is given no array.
    moves: str = ""
    #: The product that the one target may be written over, where it is given no array.
    reuses: str = ""


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


class Plan:
    """The steps of one program, over named slots: its operands, results, locals, and temporaries."""

    def __init__(self, program: Program):
        self.program = program
        self.steps: list[RegionStep | ArrayStep | InterpretStep] = []

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
    if not all(isinstance(s, Assign) for s in program.statements) or any(
        not isinstance(n, _KNOWN) for n in program.nodes()
    ):
        result.steps.append(InterpretStep(program))
        return result
    cutter = _Cutter(result, emit, target, mode, threads)
    statements = [s for s in program.statements if isinstance(s, Assign)]
    for group in _groups(statements):
        cutter.assign(group)
        cutter.forget(group)
    _reuse_products(result)
    return result


def _reuse_products(plan: Plan) -> None:
    """Have element-wise work that follows a product as the last to read it be done in the product's memory."""
    last: dict[str, int] = {}
    for place, step in enumerate(plan.steps):
        for source in step.sources if isinstance(step, (RegionStep, ArrayStep)) else ():
            last[source.slot] = place
    made = {step.slot for step in plan.steps if isinstance(step, ArrayStep) and is_product(step.node)}
    for place, step in enumerate(plan.steps):
        if isinstance(step, RegionStep) and not step.region.reduced and len(step.targets) == 1 and not step.moves:
            whole = [s.slot for s in step.sources if s.slot in made and not s.views and s.length is None]
            mine = [slot for slot in whole if last[slot] == place]
            if mine and not step.targets[0].views:
                plan.steps[place] = replace(step, reuses=mine[0])


def is_product(node: Node) -> bool:
    """Whether a node is a matrix product, or a sum of such over axes before the matrices' own."""
    if isinstance(node, Reduce) and node.op.name == "add" and not node.keepdims and isinstance(node.arg, Contract):
        return bool(max(node.axes, default=0) < node.arg.type.rank - 2 and node.arg.type.rank > 2)
    return isinstance(node, Contract)


def _groups(statements: Sequence[Assign]) -> list[list[Assign]]:
    """Neighbouring statements that one region computes: over the same arrays, and reducing the same axes.

    None reads what another one assigns.
    """
    groups: list[list[Assign]] = []
    shared: object = None
    written: set[Node] = set()
    read: set[Node] = set()
    for statement in statements:
        over = _space(statement)
        base = assigned_operand(statement.target)
        reads = {n for n in postorder((statement.value,)) if isinstance(n, Operand)}
        if over is None or over != shared or base in written or base in read or reads & written:
            groups.append([])
            written, read = set(), set()
        groups[-1].append(statement)
        shared = over
        written.add(base)
        read |= reads
    return groups


def _space(statement: Assign) -> object:
    """What says that two statements are over one shape: ranks, reduced axes and arrays. None where nothing does."""
    axes = set()
    for reduction in reductions(statement.value):
        if not has_fold(reduction):
            return None
        axes.add((reduction.arg.type.rank, tuple(sorted(reduction.axes))))
    arrays = set()
    stack = [statement.value]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if source_or_none(node) is not None:
            if node.type.rank:
                arrays.add(node)
            continue
        if isinstance(node, Contract):
            return None
        if isinstance(node, View) and node.subscripts and not all(x is None or x == Slice() for x in node.subscripts):
            # A part of a computed value has a shape of its own.
            return None
        fresh = [child for child in node.args if child not in seen]
        seen.update(fresh)
        stack.extend(fresh)
    if len(axes) > 1:
        return None
    return axes.pop() if axes else statement.target.type.rank, frozenset(arrays)


class _Cutter:
    def __init__(self, result: Plan, emit: Callable[[Program], str], target: Target, mode: Mode, threads: int):
        self.plan = result
        self.emit = emit
        self.target = target
        self.mode = mode
        self.threads = threads
        self.count = 0
        #: What temporaries hold.
        self.held: dict[Node, Node] = {}
        assigned = [assigned_operand(s.target) for s in result.program.statements if isinstance(s, Assign)]
        self.once = {o for o in result.program.results if assigned.count(o) == 1}

    def forget(self, statements: Sequence[Assign]) -> None:
        """Statements were run: what was computed from what they assign is no longer what it was."""
        written = {assigned_operand(s.target).name for s in statements}
        for node in [node for node in self.held if not written.isdisjoint(reads(node))]:
            del self.held[node]

    def assign(self, statements: Sequence[Assign]) -> None:
        """The steps for statements that share their sweeps, or for one."""
        if self.held:
            values = substitute([s.value for s in statements], self.held.get)
            statements = [Assign(s.target, value) for s, value in zip(statements, values, strict=True)]
        products = [n for n in postorder([s.value for s in statements]) if isinstance(n, Reduce) and is_product(n)]
        if products:
            new = self._temporaries(products)
            values = substitute([s.value for s in statements], new.get)
            statements = [Assign(s.target, value) for s, value in zip(statements, values, strict=True)]
        while True:
            try:
                self._region(statements)
                return
            except Cut as cut:
                new = self._temporaries(cut.nodes)
            statements = [
                Assign(s.target, value)
                for s, value in zip(statements, substitute([s.value for s in statements], new.get), strict=True)
            ]

    def _temporaries(self, nodes: Sequence[Node]) -> dict[Node, Node]:
        """Steps that compute nodes before what needs them, and the operands that hold them."""
        new: dict[Node, Node] = {}
        together: dict[object, list[Assign]] = {}
        for node in nodes:
            if node in self.held:
                new[node] = self.held[node]
                continue
            match node:
                case Reduce(op, arg) if not node.axes and op.arity == 2:
                    # Of no axes: the operand itself, as what the operator gives.
                    element = node.type.element
                    new[node] = arg if arg.type.element is element else Cast(arg, element)
                case Reduce(_, Contract(left, right)) if is_product(node):
                    new[node] = self._array_step(node, [self._materialised(left), self._materialised(right)])
                case Reduce(_, arg) if not has_fold(node):
                    new[node] = self._array_step(node, [self._materialised(arg)])
                case Contract(left, right):
                    new[node] = self._array_step(node, [self._materialised(left), self._materialised(right)])
                case _:
                    new[node] = temporary = self._temporary(node.type)
                    assign = Assign(temporary, node)
                    # What has one shape for sure, and reads no other of them, is one sweep.
                    shared = _space(assign) if isinstance(node, Reduce) else lengths(node)
                    together.setdefault(shared or assign, []).append(assign)
        for group in together.values():
            self.assign(group)
        self.held.update(new)
        return new

    def _materialised(self, value: Node) -> Node:
        """The value, where it is a view of an array; else a temporary that holds it."""
        if source_or_none(value) is not None:
            return value
        if value not in self.held:
            temporary = self._temporary(value.type)
            self.assign([Assign(temporary, value)])
            self.held[value] = temporary
        return self.held[value]

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
                _folds(values, inputs),
                self._moved(statements),
            )
        )

    def _moved(self, statements: Sequence[Assign]) -> str:
        """The temporary that a statement makes a result of, if it does nothing else; it is that of one result only."""
        (first, *rest) = statements
        value = first.value
        own = {step.moves for step in self.plan.steps if isinstance(step, RegionStep)}
        if rest or not isinstance(value, Operand) or value in self.plan.program.declared or value.name in own:
            return ""
        return value.name if first.target in self.once else ""

    def _space(self, statements: Sequence[Assign]) -> tuple[int, tuple[int, ...]]:
        """The rank of the shape that statements are computed over, and the axes that they reduce. Raises Cut."""
        found = [r for s in statements for r in reductions(s.value)]
        if not found:
            return statements[0].target.type.rank, ()
        first = [r for s in statements for r in innermost(s.value)]
        spaces = {(r.arg.type.rank, tuple(sorted(r.axes))) for r in found}
        rank, reduced = next(iter(spaces))
        ranks = {s.target.type.rank for s in statements}
        if len(spaces) > 1 or not all(map(has_fold, found)) or not ranks <= {rank, rank - len(reduced)}:
            raise Cut(first)
        if len(reduced) == rank:
            reading = Reading(rank, reduced, _no_stream)
            if len(first) < len(found) or any(reading.spans(s.value, s.target.type.rank) for s in statements):
                # Of sweeps over all there is nothing lasts in a cache from one to the next: each is a step.
                raise Cut(first)
        return rank, reduced


def _folds(values: Sequence[Node], inputs: Sequence[Operand]) -> tuple[tuple[int, ...], ...]:
    """The places of the inputs under each reduction of scalar values, of those that are not over all inputs."""
    found: dict[tuple[int, ...], None] = {}
    for reduction in (node for node in postorder(values) if isinstance(node, Reduce)):
        seen: set[Node] = {reduction.arg}
        stack: list[Node] = [reduction.arg]
        while stack:
            node = stack.pop()
            # What another reduction gives has length 1.
            if not isinstance(node, Reduce):
                fresh = [part for part in node.args if part not in seen and not isinstance(node, Function)]
                seen.update(fresh)
                stack.extend(fresh)
        under = tuple(k for k, each in enumerate(inputs) if each in seen)
        if len(under) < len(inputs):
            found[under] = None
    return tuple(found)


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
