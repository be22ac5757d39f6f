"""A program as the steps that run it: regions, and what NumPy does between them."""

from __future__ import annotations

import functools
from _thread import RLock
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ...target import Target
from ..affine import integer
from ..infer import reads, total_operations
from ..nodes import (
    EFFECTS,
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Contract,
    Disjoint,
    Extent,
    For,
    Function,
    Guard,
    Index,
    Loop,
    Node,
    Opaque,
    Operand,
    Reduce,
    Scratch,
    View,
    Walk,
    postorder,
    substitute,
)
from ..ops import operator
from ..passes.hoist import broadcast_matters
from ..primitives import EXTREME_AT
from ..program import Program, assigned_operand
from ..record import record, replace
from ..regions import regions
from ..types import INT64
from .dispatch import Code, Region
from .handover import Mode, later, make
from .reading import Cut, Reading, Source, has_fold, innermost, placed, reductions, source_of, source_or_none
from .specialise import NS, builder

if TYPE_CHECKING:
    from typing import TypeGuard

    from .guardstep import Branch, GuardStep
    from .host import HostStep
    from .loopstep import LoopStep
    from .serial import SerialStep
    from .windowstep import Number, WindowStep

#: What the steps know to run.
_KNOWN = (Constant, Operand, View, Apply, Cast, Reduce, Contract, Call, Function, Extent, Opaque)


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
    #: The places among the sources of what each statement reads.
    reads: tuple[tuple[int, ...], ...]
    #: The places of what together has to be as long as the region along its reduced axes: for each reduction what is
    #: under it, or all where it does not matter how often an element is taken in; and what statements read beside them.
    full: tuple[tuple[int, ...], ...]
    #: The steps that run its statements one by one, or of one its reductions: where arrays are not over one shape, or
    #: overlap.
    alone: Callable[[], Sequence[Step]]
    #: The temporary that the one target takes over as it is, where it is given no array.
    moves: str = ""
    #: The product that the one target may be written over, where it is given no array.
    reuses: str = ""

    @property
    def regions(self) -> tuple[Region, ...]:
        """The region, and those of its reductions in parts where some have been."""
        return (self.region, *self.region.divided[:2])


@record
class ArrayStep:
    """Sets a slot to what a NumPy function gives: a reduction or a contraction, of sources."""

    node: Node
    sources: tuple[Source, ...]
    slot: str


@record
class InterpretStep:
    """A program that only the interpreter runs; it sets the slots of its results."""

    program: Program


if TYPE_CHECKING:
    Step = RegionStep | ArrayStep | InterpretStep | HostStep | WindowStep | LoopStep | SerialStep | GuardStep


class Plan:
    """The steps of one program, over named slots: its operands, results, locals, and temporaries."""

    def __init__(self, program: Program, target: Target):
        self.program = program
        self.target = target
        self.steps: list[Step] = []
        #: Whether steps stand in an order that is right only where operands of different names share no memory, and the
        #: plan for where they do.
        self.moved = False
        self.careful: Callable[[], Plan] | None = None
        #: The plan of `Program.assumption.otherwise`, where there is one.
        self.otherwise: Callable[[], Plan] | None = None

    @property
    def single(self) -> RegionStep | None:
        """The step of a program that is one region."""
        if len(self.steps) == 1 and isinstance(self.steps[0], RegionStep):
            return self.steps[0]
        return None

    def early(self) -> set[str]:
        """The slots that are written before the last step: a later one may read what that overwrites."""
        return {
            target.slot
            for step in self.steps
            if isinstance(step, RegionStep) and (step is not self.steps[-1] or len(step.targets) > 1)
            for target in step.targets
        }

    def every_step(self) -> Iterator[Step]:
        """The steps, and those inside loops and guards."""
        stack = self.steps[::-1]
        while stack:
            step = stack.pop()
            yield step
            stack.extend(reversed(getattr(step, "inside", ())))

    def codes(self) -> list[Code]:
        """Every specialisation made so far."""
        regions = (each for step in self.every_step() if isinstance(step, RegionStep) for each in step.regions)
        codes = [code for region in regions for code in region.codes.values() if code is not None]
        for step in self.every_step():
            if hasattr(step, "code"):
                codes.append(step.code)
            elif hasattr(step, "codes"):
                codes += [code for code in step.codes.made.values() if code is not None]
        return list(dict.fromkeys(codes))


def plan(
    program: Program,
    emit: Callable[[Program], str],
    target: Target,
    mode: Mode = Mode(),
    *,
    threads: int = 0,
    shared: bool = False,
) -> Plan:
    """Cut a program, after its array-level passes, into steps that use `threads`: 0 for the process's setting.

    `shared` makes a plan for operands that share memory: nothing passes an effect.
    """
    result = Plan(program, target)
    again = functools.partial(plan, emit=emit, target=target, mode=mode, threads=threads)
    if program.assumption is not None:
        otherwise = program.assumption.otherwise
        result.otherwise = functools.cache(lambda: again(otherwise))
    if not shared:
        result.careful = functools.cache(lambda: again(program, shared=True))
    if not all(_stands_alone(s) for s in program.statements):
        result.steps.append(InterpretStep(program))
        _Cutter(result, emit, target, mode, threads, shared).elements(program.statements)
        return result
    _Cutter(result, emit, target, mode, threads, shared).block(program.statements)
    _reuse_products(result)
    return result


def _is_element(node: Node) -> bool:
    """Whether a scalar is an element of an operand, its place given by expressions that are evaluated one by one."""
    while isinstance(node, View):
        if not all(isinstance(n, Constant | Operand | Extent | Apply | Cast) for n in postorder(node.args[1:])):
            return False
        node = node.arg
    return isinstance(node, Operand)


def _stands_alone(statement: Node) -> bool:
    """Whether a statement is one of arrays as a whole, which no other one declares anything for."""
    while isinstance(statement, EFFECTS):
        statement = statement.inner
    if isinstance(statement, Guard):
        # Under a condition arrays may be assigned that are there already, and those of its own.
        return all(
            isinstance(s, Guard | Assign | For) and _stands_alone(s) for s in statement.then + statement.otherwise
        )
    return statement.type is not None or isinstance(statement, Assign | For)


def _is_region(statement: Node) -> TypeGuard[Assign]:
    """Whether a statement is to be computed by regions and NumPy."""
    return isinstance(statement, Assign) and all(
        isinstance(n, _KNOWN) or n is statement for n in postorder((statement,))
    )


def _reuse_products(plan: Plan) -> None:
    """Have element-wise work that follows a product as the last to read it be done in the product's memory."""
    if not all(isinstance(step, RegionStep | ArrayStep) for step in plan.steps):
        # Loops, branches and functions of the host read by names.
        return
    last = {source.slot: place for place, step in enumerate(plan.steps) for source in _sources(step)}
    made = {step.slot for step in plan.steps if isinstance(step, ArrayStep) and is_contraction(step.node)}
    for place, step in enumerate(plan.steps):
        if isinstance(step, RegionStep) and not step.region.reduced and len(step.targets) == 1 and not step.moves:
            whole = [s.slot for s in step.sources if s.slot in made and not s.views and s.length is None]
            mine = [slot for slot in whole if last[slot] == place]
            if mine and not step.targets[0].views:
                plan.steps[place] = replace(step, reuses=mine[0])


def _sources(step: Step) -> tuple[Source, ...]:
    return step.sources if isinstance(step, RegionStep | ArrayStep) else ()


def is_contraction(node: Node) -> bool:
    """Whether a node is a matrix product, or a sum of such over axes before the matrices' own."""
    if isinstance(node, Reduce) and node.op.name == "add" and not node.keepdims and isinstance(node.arg, Contract):
        return bool(max(node.axes, default=0) < node.arg.type.rank - 2 and node.arg.type.rank > 2)
    return isinstance(node, Contract)


class _Cutter:
    def __init__(
        self, result: Plan, emit: Callable[[Program], str], target: Target, mode: Mode, threads: int, shared: bool
    ):
        self.shared = shared
        self.plan = result
        self.emit = emit
        self.target = target
        self.mode = mode
        self.threads = threads
        self.count = 0
        self.given = frozenset(result.program.operands)
        # What is planned while the plan runs is planned by one thread at a time.
        self.lock = RLock()
        #: Whether every reduction is a step of its own.
        self.apart = False
        #: Where steps go: the plan's own, or those of the loop that is being planned.
        self.steps = result.steps
        #: The names of what has an array: operands, and what has been assigned.
        self.known = {operand.name for operand in result.program.operands}
        self.taken = {n.name for n in result.program.nodes() if isinstance(n, Operand | Index)}
        self.taken.update(operand.name for operand in result.program.declared)
        #: What temporaries hold.
        self.held: dict[Node, Node] = {}
        assigned = [assigned_operand(s.target) for s in result.program.statements if isinstance(s, Assign)]
        self.once = {o for o in result.program.results if assigned.count(o) == 1}

    def block(self, statements: Sequence[Node]) -> None:
        """The steps for statements in order."""
        order = list(range(len(statements)))
        if not self.shared and not all(map(_is_region, statements)):
            from ..touches import together

            order = together(statements, [not _is_region(s) for s in statements])
            self.plan.moved |= order != sorted(order)
        run: list[Assign] = []
        for statement in (statements[place] for place in order):
            if _is_region(statement):
                run.append(statement)
                continue
            self._groups(run)
            run = []
            self.statement(statement)
            # It may have assigned anything.
            self.held.clear()
        self._groups(run)

    def _groups(self, statements: Sequence[Assign]) -> None:
        for group in [[s] for s in statements] if self.shared else _regions(statements):
            self.assign(group)
            self.forget(group)

    def forget(self, statements: Sequence[Assign]) -> None:
        """Statements were run: what was computed from what they assign is no longer what it was."""
        written = self._written(statements)
        for node in [node for node in self.held if not written.isdisjoint(reads(node))]:
            del self.held[node]

    def _written(self, statements: Sequence[Assign]) -> set[str]:
        """The names of what statements assign, and of what may lie in the same memory."""
        written = {assigned_operand(s.target).name for s in statements}
        given = {operand.name for operand in self.given}
        return written | given if written & given else written

    def _with_held(self, statements: Sequence[Assign]) -> list[Assign]:
        """Statements over the temporaries that hold what they compute, each as far as those before it leave that."""
        found = []
        for k, statement in enumerate(statements):
            written = self._written(statements[:k])
            held = {node: made for node, made in self.held.items() if written.isdisjoint(reads(node))}
            found.append(Assign(statement.target, substitute((statement.value,), held.get)[0]))
        return found

    def statement(self, statement: Node) -> None:
        """The steps for a statement that has an effect, or is more than an assignment."""
        # Few programs need it, and no other's first result waits for its import.
        from .host import OutOfOrder, is_ordered, taken_out

        inner = statement
        while isinstance(inner, EFFECTS):
            if inner.type is not None:
                self._effect(inner, None)
                return
            inner = inner.inner
        if isinstance(inner, For):
            self._loop(inner)
            return
        if isinstance(inner, Guard):
            self._guard(inner)
            return
        if isinstance(inner, Assign):
            found: list[tuple[Operand, Node]] = []
            value = inner.value
            try:
                if is_ordered(inner.value):
                    if self.shared:
                        raise OutOfOrder
                    found, value = taken_out(inner.value, self._temporary)
                    self.plan.moved = True
                left = Assign(inner.target, value)
                if _is_region(left):
                    for temporary, node in found:
                        self._effect(node, temporary)
                    self.assign([left])
                    return
            except OutOfOrder:
                pass
        self._interpret(inner)

    def _effect(self, node: Node, temporary: Operand | None) -> None:
        """The steps for an effect whose value a temporary is to hold, or nothing."""
        from .host import called

        call = called(node)
        if call is None or not all(_is_region(Assign(Operand("_", arg.type.plain), arg)) for arg in call[0].args):
            self._interpret(node if temporary is None else Assign(temporary, node))
        else:
            self._host_step(*call, temporary, self.plan.program.hosts.get(call[0].name))

    def _host_step(
        self, node: Opaque, written: frozenset[str] | None, temporary: Operand | None, function: Any
    ) -> None:
        import numpy as np

        from .host import HostStep, is_live

        live = tuple(is_live(arg, written) for arg in node.args)
        args: list[Any] = []
        for arg in node.args:
            if isinstance(arg, Constant):
                args.append(np.asarray(arg.value, arg.type.element.dtype))
            else:
                args.append(source_of(self._still(self._materialised(arg))))
        touched = {assigned_operand(arg).name for arg, own in zip(node.args, live, strict=True) if own}
        slot = None if temporary is None else temporary.name
        self.steps.append(HostStep(node, tuple(args), live, slot, function, frozenset(touched | (written or set()))))
        self.held.clear()

    def _interpret(self, statement: Node) -> None:
        """A step for one statement that only the interpreter runs."""
        # Without the parameters of functions.
        nodes = Walk().fresh((statement,), False)
        first = {assigned_operand(n.target): None for n in nodes if isinstance(n, Assign) if n.target.type is not None}
        given = {o.name for o in self.plan.program.operands}
        # What is assigned may have no array yet; an operand has, and is assigned in place.
        program = self.plan.program
        own = [o for o in program.locals if o.name not in self.known] if isinstance(statement, For) else []
        results = [o for o in first if o.name not in given and o not in own]
        made = {*results, *own, *(n.operand for n in nodes if isinstance(n, Scratch))}
        inputs = [n for n in nodes if isinstance(n, Operand) and n not in made]
        inside = Program(program.name, dict.fromkeys(inputs), [statement], results, locals=own, hosts=program.hosts)
        self.known.update(o.name for o in results)
        self.steps.append(InterpretStep(inside))
        self.held.clear()

    def _still(self, node: Node) -> Node:
        """The node over operands where views of it have subscripts that are expressions, and the steps for those."""
        return self._all_still([node])[0]

    def _all_still(self, nodes: Sequence[Node]) -> list[Node]:
        new: dict[Node, Node] = {}
        stack = list(nodes)
        seen = set(stack)
        while stack:
            node = stack.pop()
            if isinstance(node, View) and len(node.args) > 1 and source_or_none(node) is not None:
                from .windowstep import WindowStep

                new[node] = window = self._temporary(node.type)
                self.steps.append(WindowStep.of(window.name, node))
                continue
            fresh = [child for child in node.args if child not in seen]
            seen.update(fresh)
            stack.extend(fresh)
        return substitute(nodes, new.get) if new else list(nodes)

    def _loop(self, node: For) -> None:
        """The step for a loop around statements of arrays."""
        from ..invariants import invariant_values
        from .looped import LoopCodes
        from .loopstep import LoopStep
        from .serial import serial_step

        if isinstance(node, Loop) or not all(_stands_alone(s) for s in node.body):
            self._interpret(node)
            self._in_code(node)
            return
        index = Operand(node.index.name, INT64.array(0))
        bounds = [self._number(bound) for bound in (node.start, node.stop, node.step)]
        body = substitute(node.body, {node.index: index}.get)
        outside, known = self.steps, set(self.known)
        before: list[Step] = []
        self.steps = before
        try:
            constant = [] if self.shared else invariant_values(body, index)
            if constant:
                self.plan.moved = True
                body = substitute(body, self._temporaries(constant).get)
            kept = self.known - known
            inside: list[Step] = []
            self.steps = inside
            # What is computed before the loop is not what an iteration computes.
            self.held.clear()
            self.block(body)
        finally:
            self.steps = outside
        own = self.known - known - {result.name for result in self.plan.program.results}
        self.known = known
        step = LoopStep.of(node, bounds, before, inside, own, kept, LoopCodes(self._loop_code))
        self.steps.append(serial_step(node, step, self._serial_code) or step)

    def elements(self, statements: Sequence[Node]) -> None:
        """Have statements that the last step interprets run by code, where they are of single elements."""
        name = "once"
        while name in self.taken:
            name += "_"
        self._in_code(For(Index(name), integer(0), integer(1), integer(1), tuple(statements)))

    def _in_code(self, loop: For) -> None:
        """Have a loop that the last step interprets run by code, where it is one over elements."""
        from .serial import element_step

        step = self.steps[-1]
        if isinstance(step, InterpretStep) and not isinstance(loop, Loop):
            own = {local.name for local in step.program.locals if not local.type.rank}
            self.steps[-1] = element_step(loop, step, self._serial_code, own) or step

    def _guard(self, node: Guard) -> None:
        """The step for a condition around statements of arrays."""
        from ..infer import PURE, effects
        from .guardstep import Branch, GuardStep, test

        known = set(self.known)
        results = {result.name for result in self.plan.program.results}

        def branch(statements: Sequence[Node], late: bool = False) -> Branch:
            with self.lock:
                outside, before, careful = self.steps, self.known, self.shared
                # Planned late, it is for operands that share memory too: whether they do has been asked by then.
                self.steps, self.known, self.shared = [], set(known), careful or late
                self.held.clear()
                try:
                    self.block(statements)
                    return Branch(tuple(self.steps), frozenset(self.known - known - results))
                finally:
                    self.steps, self.known, self.shared = outside, before, careful

        holds = test(self._scalar(node.condition))
        then = branch(node.then)
        step = GuardStep(node, holds, then, lambda: branch(node.otherwise, True))
        if effects(node) != PURE:
            # What may be written has to be known before anything runs.
            step.other = branch(node.otherwise)
        self.known |= results
        self.steps.append(step)

    def _serial_code(self, program: Program) -> Code | None:
        return make(program.replace(target=self.target), 0, 0, self.emit, self.mode)

    def _loop_code(self, program: Program) -> Code | None:
        return later(program.replace(target=self.target), self.emit, self.mode)

    def _number(self, node: Node) -> Number:
        """A scalar of the host's integers, as a function of the slots."""
        from .windowstep import number

        return number(self._scalar(node))

    def _scalar(self, node: Node) -> Node:
        """A scalar expression of scalars, lengths and elements of operands, and the steps for all else in it."""
        if isinstance(node, Constant | Operand | Extent | Disjoint) or _is_element(node):
            return node
        if isinstance(node, Apply | Cast):
            return substitute((node,), {arg: self._scalar(arg) for arg in node.args}.get)[0]
        made = self._temporary(node.type)
        self.statement(Assign(made, node))
        return made

    def alone(self, statements: Sequence[Assign]) -> Sequence[Step]:
        """Steps that run statements one by one; of one statement, its reductions."""
        with self.lock:
            before = self.steps, self.known, self.held, self.apart
            self.steps, self.known, self.apart = [], set(self.known), len(statements) == 1
            try:
                for statement in statements:
                    # Of arrays that overlap, any may be another's by now.
                    self.held = {}
                    self.assign([statement])
                return self.steps
            finally:
                self.steps, self.known, self.held, self.apart = before

    def assign(self, statements: Sequence[Assign]) -> None:
        """The steps for statements that share their sweeps, or for one."""
        self.known.update(assigned_operand(s.target).name for s in statements)
        if self.held:
            statements = self._with_held(statements)
            groups = _regions(statements)
            if len(groups) > 1:
                # What temporaries hold was what made them one.
                self._in_turn(groups)
                return
        products = [n for n in postorder([s.value for s in statements]) if isinstance(n, Reduce) and is_contraction(n)]
        if products:
            new = self._temporaries(products)
            values = substitute([s.value for s in statements], new.get)
            statements = [Assign(s.target, value) for s, value in zip(statements, values, strict=True)]
        while True:
            statements = [s for s in self._all_still(statements) if isinstance(s, Assign)]
            try:
                self._region(statements)
                return
            except Cut as cut:
                if len(statements) > 1 and any(assigned_operand(s.target) in self.given for s in statements):
                    # What is computed before the first might be from memory that the first assigns.
                    self._in_turn([[statement] for statement in statements])
                    return
                new = self._temporaries(cut.nodes)
            statements = [
                Assign(s.target, value)
                for s, value in zip(statements, substitute([s.value for s in statements], new.get), strict=True)
            ]
            if len(groups := _regions(statements)) > 1:
                self._in_turn(groups)
                return

    def _in_turn(self, groups: Sequence[Sequence[Assign]]) -> None:
        for group in groups:
            self.assign(group)
            self.forget(group)

    def _temporaries(self, nodes: Sequence[Node]) -> dict[Node, Node]:
        """Steps that compute nodes before what needs them, and the operands that hold them."""
        new: dict[Node, Node] = {}
        together: list[Assign] = []
        numbers: dict[Node, Reduce] = {}
        for node in nodes:
            if isinstance(node, Reduce) and node.keepdims and len(node.axes) == node.arg.type.rank and has_fold(node):
                # One number, by the sweep that finds others: the axes are put back where it is read.
                numbers[node] = Reduce(node.op, node.arg, node.axes)
        for node in dict.fromkeys(numbers.get(node, node) for node in nodes):
            if node in self.held:
                new[node] = self.held[node]
                continue
            match node:
                case Reduce(op, arg) if not node.axes and op.arity == 2:
                    # Of no axes: the operand itself, as what the operator gives.
                    element = node.type.element
                    new[node] = arg if arg.type.element is element else Cast(arg, element)
                case Reduce(_, Contract(left, right)) if is_contraction(node):
                    new[node] = self._array_step(node, [self._materialised(left), self._materialised(right)])
                case Reduce(_, arg) if not has_fold(node):
                    new[node] = self._array_step(node, [self._materialised(arg)])
                case Contract(left, right):
                    new[node] = self._array_step(node, [self._materialised(left), self._materialised(right)])
                case Opaque(name, _):
                    new[node] = temporary = self._temporary(node.type)
                    self._host_step(node, frozenset(), temporary, self.plan.program.hosts.get(name))
                case _:
                    new[node] = temporary = self._temporary(node.type)
                    together.append(Assign(temporary, node))
        for group in [[statement] for statement in together] if self.apart else _regions(together):
            self.assign(group)
        self.held.update(new)
        for node, number in numbers.items():
            new[node] = View(new[number], (None,) * node.type.rank)
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
        while True:
            self.count += 1
            if f"t{self.count}" not in self.taken:
                return Operand(f"t{self.count}", type_.plain)

    def _array_step(self, node: Node, args: list[Node]) -> Operand:
        temporary = self._temporary(node.type)
        self.steps.append(ArrayStep(node, tuple(map(source_of, args)), temporary.name))
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
        outputs: list[Operand] = []
        for t, s in zip(targets, statements, strict=True):
            # Of one slot there may be several parts.
            twice = any(output.name == t.slot for output in outputs)
            outputs.append(Operand(_fresh(t.slot, names) if twice else t.slot, s.target.type.element))
        outline = [*varies, *((True, not k) for k in kept)]
        divide = None
        if reduced and all(kept) and all(reductions(r.arg) == [] for r in postorder(values) if isinstance(r, Reduce)):
            divide = functools.partial(self._divided, values, inputs, outputs, outline, reduced)
        region = self._made(values, inputs, outputs, outline, reduced, divide)
        self.steps.append(
            RegionStep(
                region,
                tuple(sources[node] for node in ordered),
                tuple(targets),
                tuple(statements),
                kept,
                rank,
                tuple(tuple(k for k, each in enumerate(inputs) if each in own) for own in read),
                # A reduction by itself is over the shape of what it walks.
                () if self.apart else _full(values, kept, inputs),
                functools.cache(lambda: self.alone(statements)),
                self._moved(statements),
            )
        )

    def _made(
        self,
        values: Sequence[Node],
        inputs: Sequence[Operand],
        outputs: Sequence[Operand],
        varies: Sequence[tuple[bool, bool]],
        reduced: tuple[int, ...],
        divide: Callable[[], tuple[Region, Region, tuple[int, ...], tuple[int, ...]]] | None = None,
    ) -> Region:
        """The region of scalar expressions over streams, which vary along kept and along reduced axes."""
        spread = [s for s, v in zip(inputs, varies, strict=False) if any(v)]
        applied = [n for n in postorder(values) if isinstance(n, Apply)]
        return Region(
            tuple(values),
            [o.type.element.itemsize for o in (*inputs, *outputs)],
            builder(values, inputs, outputs, varies, self.target, self.emit, self.mode),
            tile_bytes=self.target.l1,
            stream_bytes=self.target.l3,
            threads=self.threads,
            work=NS * total_operations(values),
            raises=next((n.op.raises for n in applied if n.op.may_raise), ""),
            outputs=len(outputs),
            reduced=reduced,
            hoisted=bytes(broadcast_matters(values, inputs, spread)),
            divide=divide,
            places=bytes(_has_places(value) for value in values),
        )

    def _divided(
        self,
        values: Sequence[Node],
        inputs: Sequence[Operand],
        outputs: Sequence[Operand],
        varies: Sequence[tuple[bool, bool]],
        reduced: tuple[int, ...],
    ) -> tuple[Region, Region, tuple[int, ...], tuple[int, ...]]:
        """The region that reduces a part to numbers, the one that reduces those of all, and the inputs of each.

        r = sqrt(sum(x * y)) / w    →    p = sum(x * y),    r = sqrt(sum(p)) / w
        """
        found: list[Reduce] = []
        for node in postorder(values):
            if isinstance(node, Reduce):
                # Of places in the parts the one counts that has the extreme of all.
                found += [node] if node.op.name not in EXTREME_AT else [_extreme(node), node]
        found = list(dict.fromkeys(found))
        names = {operand.name for operand in (*inputs, *outputs)}
        numbers = [Operand(_fresh("part", names), node.type.element) for node in found]
        part = dict(zip(found, numbers, strict=True))
        again = {
            node: _first_place(node, part[_extreme(node)], number)
            if node.op.name in EXTREME_AT
            else Reduce(node.op, number, (), True)
            for node, number in part.items()
        }
        last = substitute(values, again.get)
        first_reads, last_reads = (
            tuple(k for k, each in enumerate(inputs) if each in postorder(roots)) for roots in (found, last)
        )
        kept = [(True, False)] * len(found)
        return (
            self._made(
                found,
                [inputs[k] for k in first_reads],
                numbers,
                [*(varies[k] for k in first_reads), *kept],
                reduced,
            ),
            self._made(
                last,
                [*numbers, *(inputs[k] for k in last_reads)],
                outputs,
                [*[(True, True)] * len(found), *(varies[k] for k in last_reads), *varies[len(inputs) :]],
                reduced,
            ),
            first_reads,
            last_reads,
        )

    def _moved(self, statements: Sequence[Assign]) -> str:
        """The temporary that a statement makes a result of, if it does nothing else; it is that of one result only."""
        (first, *rest) = statements
        value = first.value
        own = {step.moves for step in self.plan.steps if isinstance(step, RegionStep)}
        if rest or not isinstance(value, Operand) or value in self.plan.program.declared or value.name in own:
            return ""
        if self.steps is not self.plan.steps:
            # Another iteration, or branch, assigns to the temporary again.
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


def _regions(statements: Sequence[Assign]) -> list[list[Assign]]:
    """Neighbouring statements by the region that computes them."""
    return [[s for s in group if isinstance(s, Assign)] for group in regions(statements)]


def _has_places(value: Node) -> bool:
    return any(isinstance(node, Reduce) and node.op.name in EXTREME_AT for node in postorder((value,)))


def _extreme(node: Reduce) -> Reduce:
    """The reduction that finds what the place is of."""
    return Reduce(operator(EXTREME_AT[node.op.name]), node.arg, node.axes, node.keepdims)


def _first_place(node: Reduce, extreme: Operand, place: Operand) -> Node:
    """The place of the first extreme, from those of parts and what is there."""
    best = Reduce(operator(EXTREME_AT[node.op.name]), extreme, (), True)
    like: Node = Apply(operator("equal"), (extreme, best))
    if extreme.type.element.kind == "f":
        like = Apply(operator("logical_or"), (like, Apply(operator("not_equal"), (extreme, extreme))))
    last = Constant((1 << 63) - 1, INT64)
    return Reduce(operator("minimum"), Apply(operator("where"), (like, place, last)), (), True)


def _full(values: Sequence[Node], kept: Sequence[bool], inputs: Sequence[Operand]) -> tuple[tuple[int, ...], ...]:
    """What `RegionStep.full` says of statements' values; `kept` are those that do not vary along the reduced axes."""
    every = tuple(range(len(inputs)))
    found: list[tuple[int, ...]] = []
    for node in postorder(values):
        if isinstance(node, Reduce):
            # It does not matter how often a maximum takes in an element.
            any_length = node.op.idempotent.holds(node.type.element.kind)
            found.append(every if any_length else _beside(node.arg, inputs))
    if found:
        found += [_beside(value, inputs) for value, each in zip(values, kept, strict=True) if not each]
    return tuple(found)


def _beside(node: Node, inputs: Sequence[Operand]) -> tuple[int, ...]:
    """The places of the inputs that a node reads beside its reductions."""
    found: set[Node] = set()
    stack = [node]
    while stack:
        each = stack.pop()
        if each not in found and not isinstance(each, Reduce | Function):
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
