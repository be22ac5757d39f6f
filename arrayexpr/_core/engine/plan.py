"""A program as the steps that run it: element-wise regions, and what NumPy does between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...target import Target
from ..errors import ShapeMismatch
from ..nodes import (
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Contract,
    Node,
    Operand,
    Reduce,
    View,
    postorder,
    rebuild,
    transform,
)
from ..program import Program
from .dispatch import Code, Region
from .handover import Mode
from .specialise import builder

#: What a region may hold.
_ELEMENTWISE = (Constant, Operand, View, Apply, Cast)


@dataclass(frozen=True, slots=True)
class Source:
    """An array to read: a slot, and the views on it, innermost last."""

    slot: str
    views: tuple[View, ...] = ()

    def array(self, slots: dict[str, Any]) -> Any:
        """The array that the views give of the slot's."""
        array = slots[self.slot]
        for view in self.views:
            if view.order is not None:
                array = array.transpose(view.order)
            else:
                items = tuple(x if x is None or isinstance(x, int) else slice(*x) for x in view.subscripts)
                try:
                    array = array[(*items, ...)]
                except IndexError as error:
                    raise ShapeMismatch(f"view of {self.slot}, of shape {slots[self.slot].shape}: {error}") from None
        return array


@dataclass(frozen=True, slots=True)
class RegionStep:
    """Computes `region` of the sources into the target; a slot with no array yet gets a new one."""

    region: Region
    sources: tuple[Source, ...]
    target: Source
    assign: Assign


@dataclass(frozen=True, slots=True)
class ArrayStep:
    """Sets a slot to what a NumPy function gives: a reduction or a contraction, of sources."""

    node: Node
    sources: tuple[Source, ...]
    slot: str


@dataclass(frozen=True, slots=True)
class InterpretStep:
    """A program that only the interpreter runs: effects, loops of the host, functions of the host."""

    program: Program


@dataclass(slots=True)
class Plan:
    """The steps of one program, over named slots: its operands, results, locals, and temporaries."""

    program: Program
    steps: list[RegionStep | ArrayStep | InterpretStep] = field(default_factory=list)

    @property
    def single(self) -> RegionStep | None:
        """The step of a program that is one region and one result."""
        if len(self.steps) == 1 and isinstance(self.steps[0], RegionStep):
            return self.steps[0]
        return None

    def codes(self) -> list[Code]:
        """Every specialisation made so far."""
        regions = (step.region for step in self.steps if isinstance(step, RegionStep))
        return list(dict.fromkeys(code for region in regions for code in region.codes.values() if code is not None))


def plan(program: Program, emit: Callable[[Program], str], target: Target, mode: Mode = Mode()) -> Plan:
    """Cut a program, after its array-level passes, into steps."""
    result = Plan(program)
    if not all(isinstance(s, Assign) for s in program.statements) or any(
        not isinstance(n, (*_ELEMENTWISE, Reduce, Contract, Assign, Call)) for n in program.nodes()
    ):
        result.steps.append(InterpretStep(program))
        return result
    cutter = _Cutter(result, emit, target, mode)
    for statement in program.statements:
        assert isinstance(statement, Assign)
        cutter.assign(statement)
    return result


class _Cutter:
    def __init__(self, result: Plan, emit: Callable[[Program], str], target: Target, mode: Mode):
        self.plan = result
        self.emit = emit
        self.target = target
        self.mode = mode
        self.count = 0

    def assign(self, statement: Assign) -> None:
        value = self._cut(statement.value)
        self._region(value, _source(statement.target), Assign(statement.target, value))

    def _cut(self, value: Node) -> Node:
        """The value with every part that no loop over elements computes put into a temporary before."""
        new: dict[Node, Node] = {}
        for node in postorder((value,)):
            args = tuple(new[child] for child in node.args)
            match node:
                case Reduce(op, arg) if node.axes or op.arity == 1:
                    new[node] = self._array_step(node, [self._materialised(new[arg])])
                case Reduce(_, arg):
                    # Of no axes: the operand itself, as what the operator gives.
                    element = node.type.element
                    new[node] = new[arg] if arg.type.element is element else Cast(new[arg], element)
                case Contract(left, right):
                    new[node] = self._array_step(node, [self._materialised(new[left]), self._materialised(new[right])])
                case View(arg) if _source_or_none(new[arg]) is None:
                    new[node] = View(self._materialised(new[arg]), node.subscripts, node.order)
                case _:
                    new[node] = rebuild(node, args)
        return new[value]

    def _materialised(self, value: Node) -> Node:
        """The value, where it is a view of an array; else a temporary that holds it."""
        if _source_or_none(value) is not None:
            return value
        temporary = self._temporary(value.type)
        self._region(value, Source(temporary.name), Assign(temporary, value))
        return temporary

    def _temporary(self, type_: Any) -> Operand:
        taken = {operand.name for operand in self.plan.program.declared}
        while True:
            self.count += 1
            if f"t{self.count}" not in taken:
                return Operand(f"t{self.count}", type_.plain)

    def _array_step(self, node: Node, args: list[Node]) -> Operand:
        temporary = self._temporary(node.type)
        self.plan.steps.append(ArrayStep(node, tuple(_source(a) for a in args), temporary.name))
        return temporary

    def _region(self, value: Node, target: Source, statement: Assign) -> None:
        streams: dict[Node, Operand] = {}
        names: set[str] = {target.slot}

        def stream(node: Node) -> Node | None:
            if _source_or_none(node) is None:
                return None
            if node not in streams:
                streams[node] = Operand(_fresh(_source(node).slot, names), node.type.element)
            return streams[node]

        # Streams are scalars here: the nest's rank is the signature's to say.
        scalar = transform((value,), stream)[value]
        # In the order of the operands, which is the one that a reader of messages and of C expects.
        place = {operand.name: k for k, operand in enumerate(self.plan.program.declared)}
        streams = dict(sorted(streams.items(), key=lambda item: place.get(_source(item[0]).slot, len(place))))
        output = Operand(target.slot, statement.target.type.element)
        inputs = list(streams.values())
        region = Region(
            scalar,
            [o.type.element.itemsize for o in (*inputs, output)],
            builder(scalar, inputs, output, self.target, self.emit, self.mode),
            tile_bytes=self.target.l1,
            threads=self.target.cores,
            raises=next((n.op.raises for n in postorder((scalar,)) if isinstance(n, Apply) and n.op.may_raise), ""),
        )
        self.plan.steps.append(RegionStep(region, tuple(map(_source, streams)), target, statement))


def _fresh(name: str, taken: set[str]) -> str:
    """The name, numbered where it is taken; it is taken then."""
    fresh, count = name, 2
    while fresh in taken:
        fresh, count = f"{name}_{count}", count + 1
    taken.add(fresh)
    return fresh


def _source_or_none(node: Node) -> Source | None:
    views = []
    while isinstance(node, View):
        views.append(node)
        node = node.arg
    return Source(node.name, tuple(reversed(views))) if isinstance(node, Operand) else None


def _source(node: Node) -> Source:
    source = _source_or_none(node)
    assert source is not None, node
    return source
