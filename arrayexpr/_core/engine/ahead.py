"""A program for a GPU ahead of time: a kernel for each step that holds for any strides, and a note on the launches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import UnsupportedError
from ..nodes import Apply, Assign, Contract, Extent, Loop, Node, Operand, Reduce, Slice, View, postorder
from ..ops import operator
from ..passes.grid import grid
from ..passes.lower import lower
from ..passes.nests import untaken
from ..program import Program
from ..record import record
from ..types import BOOL, BROADCAST, STRIDED, ArrayType
from .launches import LANES, Choice, scheduled
from .plan import ArrayStep, Plan, RegionStep
from .reading import Source
from .specialise import over_streams

#: Elements of a sum over everything for a block; what the blocks give is summed by one more.
CHUNK = 1 << 14
#: Lanes along each side of a tile of a matrix product, and how deep tiles are.
_SIDE = 16


@record
class Ahead:
    """A scheduled program whose operands are what its kernels read and write, and what their caller has to know.

    `values` are the scalars among them.
    """

    program: Program
    values: tuple[str, ...]
    #: What each launch computes, and what operands are that the program has none of; empty where it is one for each.
    launches: tuple[str, ...] = ()
    operands: tuple[tuple[str, str], ...] = ()

    def note(self, source: Any) -> str:
        """A comment on the launches of a text's kernels, for who makes them; empty where each statement is one."""
        if not self.launches:
            return ""
        lines = [
            "/* Launches, in this order, each once the one before has ended. `x_n0` is a length and `x_0` a stride in",
            "   bytes, 0 where an axis has one element; axes are those that are kept, then those that are reduced.",
        ]
        for number, (kernel, what) in enumerate(zip(source.kernels, self.launches, strict=True), 1):
            blocks = " * ".join(_blocks(source.names, length, step) for length, step in kernel.blocks) or "1"
            lines.append(f"   {number}. {kernel.name}, {blocks} blocks of {kernel.lanes} lanes: {what}")
        lines += [f"   {source.names[name]}: {what}" for name, what in self.operands]
        return "\n".join(lines) + " */\n"


def _blocks(names: Mapping[str, str], length: Node, step: int) -> str:
    text = f"{names[length.operand.name]}_n{length.axis}" if isinstance(length, Extent) else repr(length)
    return text if step == 1 else f"ceil({text} / {step})"


def ahead(program: Program, planned: Callable[[Program], Plan]) -> Ahead:
    """A program scheduled for any layouts, a kernel for each of its steps.

    Raises UnsupportedError, naming the statement, for what no kernel of one step computes.
    """
    statements: list[Node] = []
    for statement in program.statements:
        rank = statement.target.type.rank if isinstance(statement, Assign) else 0
        reduces = any(isinstance(n, Reduce) for n in program.nodes())
        if not rank or reduces:
            break
        one = lower(program.replace(statements=(statement,)))
        found = grid(one, lanes=(1,) * (rank - 1) + (LANES,))
        if not all(isinstance(s, Loop) and s.role == "grid" for s in found.statements):
            break
        statements += found.statements
    else:
        return Ahead(program.replace(statements=tuple(statements)), ())
    return _Writer(program).of(planned(program))


class _Writer:
    def __init__(self, program: Program):
        self.program = program
        self.taken = {operand.name for operand in program.declared}
        self.operands: dict[str, Operand] = {}
        self.values: list[str] = []
        self.statements: list[Node] = []
        self.lines: list[str] = []
        self.sources: dict[str, str] = {}

    def of(self, plan: Plan) -> Ahead:
        goals = {step.moves: step.targets[0].slot for step in plan.steps if isinstance(step, RegionStep) and step.moves}
        products: set[str] = set()
        for step in plan.steps:
            if isinstance(step, ArrayStep) and isinstance(step.node, Contract) and _are_matrices(step.node):
                self._product(step, goals.get(step.slot, step.slot))
                products.add(step.slot)
                continue
            if isinstance(step, RegionStep) and step.moves in products:
                # What it would move was made where it belongs.
                continue
            if not isinstance(step, RegionStep):
                what = getattr(step, "node", step)
                raise UnsupportedError(f"{what!r} for a GPU ahead of time: expected element-wise work and reductions")
            self._step(step)
        results = [o for name, o in self.operands.items() if name not in self.values]
        inputs = [o for name, o in self.operands.items() if name in self.values]
        made = Program(self.program.name, [*inputs, *results], self.statements, ())
        return Ahead(made, tuple(self.values), tuple(self.lines), tuple(self.sources.items()))

    def _step(self, step: RegionStep) -> None:
        values, inputs, outputs = step.region.build.schedule.args[:3]
        reduced = tuple(step.region.reduced)
        order = [*(k for k in range(step.rank) if k not in reduced), *reduced]
        chunk = CHUNK if len(reduced) == step.rank and isinstance(values[0], Reduce) and len(values) == 1 else 0
        new: dict[Node, Node] = {}
        for operand, source in zip(inputs, step.sources, strict=True):
            new[operand] = self._stream(operand, source, step.rank, order)
        goals: list[Node] = []
        for operand, source in zip(outputs, step.targets, strict=True):
            found = self._stream(operand, source, step.rank, order)
            assert isinstance(found, Operand)
            goals.append(found)
        last = tuple(range(len(order) - len(reduced), len(order)))
        if not reduced:
            mapped = over_streams(values, new, ())
            assigns = [Assign(goal, mapped[value]) for value, goal in zip(values, goals, strict=True)]
            lanes = (1,) * (step.rank - 1) + (LANES,) if step.rank else (1,)
            self._add(assigns, Choice("grid", (("lanes", lanes), ("unroll", 1), ("vector", 1)), ()), step)
            return
        mapped = over_streams(values, new, last)
        if chunk:
            (value,), (goal,) = values, goals
            name = self._named("partial")
            partial = Operand(name, value.type.element.array(step.rank, (STRIDED,) * step.rank))
            self.operands[name] = partial
            self.sources[name] = (
                f"room for what each block of the first launch gives, along its last axis of {step.rank}"
            )
            first = Assign(_first(partial, last), mapped[value])
            self._add([first], _teams(step.rank, chunk), step)
            again = Reduce(value.op, partial, last, True)
            self._add([Assign(_first(goal, last), again)], _teams(step.rank), step)
            return
        assigns = []
        for value, goal, kept in zip(values, goals, step.kept, strict=True):
            assigns.append(Assign(_first(goal, last) if kept else goal, mapped[value]))
        self._add(assigns, _teams(step.rank), step)

    def _product(self, step: ArrayStep, goal: str) -> None:
        """A product of matrices, or of stacks of them, by tiles."""
        t = step.node.type.element
        rank = step.node.type.rank + 1
        i, j, r = rank - 3, rank - 2, rank - 1
        streams = []
        for source, node, own in zip(step.sources, step.node.args, ((i, r), (r, j)), strict=True):
            axes = (*range(rank - 1 - node.type.rank, rank - 3), *own)
            order = ", ".join(map(str, axes))
            layout = tuple(STRIDED if k in axes else BROADCAST for k in range(rank))
            seen = "".join(f" seen as {view!r}" for view in source.views[-1:])
            what = f"{source.slot}{seen}, its axes being {order} of {rank}"
            streams.append(self._operand(source.slot, node.type.element.array(rank, layout), what))
        places = ", ".join(str(k) for k in range(rank - 1))
        out = self._operand(goal, t.array(rank, (STRIDED,) * rank), f"{goal}, its axes being {places} of {rank}")
        multiply, add = ("logical_and", "logical_or") if t is BOOL else ("multiply", "add")
        value = Reduce(operator(add), Apply(operator(multiply), tuple(streams)), (r,), True)
        options = {
            "axes": (i, j),
            "lanes": (_SIDE, _SIDE),
            "turns": (4, 4) if t.itemsize <= 8 else (2, 2),
            "depth": _SIDE,
            "wide": (1, 1, 1),
            "fused": True,
        }
        choice = Choice("contract", tuple(sorted(options.items())), (None,) * 3)
        self._scheduled([Assign(_first(out, (r,)), value)], choice, f"{goal} = {step.node!r}")

    def _operand(self, slot: str, type_: ArrayType, what: str) -> Operand:
        """An operand of kernels that sees an array of the program in a way of its own."""
        name = self._named(f"{slot}_v{len(self.operands)}")
        self.operands[name] = Operand(name, type_)
        self.sources[name] = what
        return self.operands[name]

    def _add(self, assigns: Sequence[Assign], choice: Choice, step: RegionStep) -> None:
        self._scheduled(assigns, choice, "; ".join(map(repr, step.assigns)))

    def _scheduled(self, assigns: Sequence[Assign], choice: Choice, what: str) -> None:
        read = set(postorder(assigns))
        operands = [o for o in self.operands.values() if o in read]
        found = scheduled(Program(self.program.name, operands, assigns, ()), choice)
        for statement in found.statements:
            if not (isinstance(statement, Loop) and statement.role == "grid"):
                raise UnsupportedError(f"{what} for a GPU ahead of time: expected work on arrays")
            self.statements.append(statement)
            self.lines.append(what)

    def _named(self, name: str) -> str:
        fresh = untaken(name, self.taken)
        self.taken.add(fresh)
        return fresh

    def _stream(self, operand: Operand, source: Source, rank: int, order: Sequence[int]) -> Node:
        """The operand of kernels for a stream: the program's own where it is read as it is."""
        element = operand.type.element
        slot = next((o for o in self.program.declared if o.name == source.slot), None)
        if source.length is not None or (slot is not None and slot.type.rank == 0 and slot in self.program.operands):
            name = source.slot if source.length is None else self._named(f"{source.slot}_length{source.length}")
            if name not in self.values:
                self.values.append(name)
                self.operands[name] = Operand(name, element)
                if source.length is not None:
                    self.sources[name] = f"the length of axis {source.length} of {source.slot}, as a number"
            return self.operands[name]
        own = rank
        axes = list(range(rank))
        if source.views:
            own = source.views[-1].type.rank
        elif slot is not None:
            own = slot.type.rank
        missing = set(range(rank - own))
        last = source.views[-1] if source.views else None
        if last is not None and last.order is None:
            missing |= {rank - own + k for k, item in enumerate(last.subscripts) if item is None}
        layout = tuple(BROADCAST if k in missing else STRIDED for k in order)
        plain = not source.views and list(order) == axes and own == rank
        known = self.operands.get(source.slot)
        wanted = element.array(rank, layout)
        if plain and (known is None or known.type is wanted):
            name = source.slot
        else:
            name = self._named(f"{source.slot}_v{len(self.operands)}")
            what = "".join(f", seen as {view!r}" for view in source.views[-1:])
            self.sources[name] = f"{source.slot}{what}, with axes in the order {tuple(order)} of {rank}"
        if slot is None and plain:
            self.sources.setdefault(name, f"room for a value of {element} between launches")
        self.operands.setdefault(name, Operand(name, wanted))
        return self.operands[name]


def _are_matrices(node: Contract) -> bool:
    """Whether a product is one of matrices, or of stacks of them, of numbers that are computed as they are."""
    return all(arg.type.rank >= 2 and not arg.type.order for arg in node.args) and node.type.element.name != "float16"


def _first(goal: Node, last: Sequence[int]) -> Node:
    rank = goal.type.rank
    return View(goal, tuple(Slice(0, 1) if k in last else Slice() for k in range(rank)))


def _teams(rank: int, chunk: int = 0) -> Choice:
    """A block a row, whatever the strides."""
    options = {
        "lanes": (1, LANES),
        "vector": (1, 1),
        "unroll": 1,
        "rows": True,
        "held": 0,
        "chunk": chunk,
        "staged": 0,
    }
    return Choice("teams", tuple(sorted(options.items())), (None,) * rank)
