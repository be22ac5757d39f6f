"""Random programs with effects and loops, and a host that takes down what is asked of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from arrayexpr._core.affine import integer, minus, plus
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Constant,
    For,
    Index,
    Node,
    Opaque,
    Operand,
    Reduce,
    SideEffect,
    Slice,
    Unreorderable,
    View,
)
from arrayexpr._core.ops import operator
from arrayexpr._core.program import Program
from arrayexpr._core.types import INT64

LENGTH = 6
ROWS = 4
# Integers wrap: sums of them are the same in any order.
VECTOR, MATRIX, SCALAR = INT64.array(1), INT64.array(2), INT64.array(0)

#: The operands of every program, by name: some may be views of one buffer when it runs.
OPERANDS = {name: Operand(name, VECTOR) for name in ("a", "b", "c")} | {
    "m": Operand("m", MATRIX),
    "s": Operand("s", SCALAR),
    "n": Operand("n", INT64.array(0)),
}
BUFFERS = ("a", "b", "c", "m")


@dataclass
class Host:
    """Functions of the host that take down their names and what they are given, bit for bit."""

    trace: list[Any] = field(default_factory=list)

    def functions(self) -> dict[str, Any]:
        return {"log": self.log, "bump": self.bump, "value": self.value, "make": self.make, "pure": self.pure}

    def note(self, name: str, args: Any) -> None:
        self.trace.append((name, *((np.shape(a), np.asarray(a, order="C").tobytes()) for a in args)))

    def log(self, *args: Any) -> None:
        """Reads what it is given."""
        self.note("log", args)

    def bump(self, first: Any, *args: Any) -> int:
        """Writes its first argument."""
        self.note("bump", (first, *args))
        first[...] = first * 3 + 1
        return len(self.trace)

    def value(self, *args: Any) -> int:
        """A number that differs at each call."""
        self.note("value", args)
        return len(self.trace)

    def make(self, first: Any) -> Any:
        """An array that differs at each call."""
        self.note("make", (first,))
        return first * 2 + len(self.trace)

    @staticmethod
    def pure(first: Any) -> Any:
        return first - 3


class Maker:
    """Grows the statements of one program."""

    def __init__(self, draw: Any, loops: bool):
        self.draw = draw
        self.loops = loops
        self.locals: list[Operand] = []
        self.indices: list[Node] = []
        self.usable: list[Operand] = []
        self.count = 0

    def choose(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    # -- operands and views, all of one length --

    def window(self, bases: tuple[str, ...] = BUFFERS) -> Node:
        """A view of LENGTH - 1 elements."""
        base = OPERANDS[self.choose(bases)]
        node: Node = base
        if base.type.rank == 2:
            row: Any = self.choose([0, 1, -1])
            if self.indices and self.draw(st.booleans()):
                # Rows 0 to ROWS - 2 are those of a loop.
                row = plus(self.choose(self.indices), integer(self.choose([0, 1])))
            node = View(base, (row,))
        start = self.choose([0, 1])
        kinds = [Slice(start, start - 1 or None), Slice(None, 0, -1)]
        if self.indices:
            # Below 0 a start counts from the end, in which case the view is shorter: keep it in.
            here = self.choose(self.indices)
            bit = Apply(operator("remainder"), (here, integer(2)))
            kinds.append(Slice(bit, plus(bit, integer(LENGTH - 1))))
        return View(node, (self.choose(kinds),))

    def leaf(self) -> Node:
        kind = self.choose(["window"] * 4 + ["constant", "scalar", "local", "element"])
        if kind == "constant":
            return Constant(self.choose([5, 2, -1]), INT64)
        if kind == "scalar":
            return OPERANDS["s"]
        if kind == "local" and self.usable:
            return self.choose(self.usable)
        if kind == "element":
            where: Any = self.choose(self.indices) if self.indices else self.choose([0, 3])
            return View(OPERANDS[self.choose("abc")], (where,))
        return self.window()

    def expression(self, depth: int = 2, effects: bool = False) -> Node:
        kind = self.choose(["leaf", "apply", "apply", "sum"] + ["effect", "opaque"] * effects) if depth else "leaf"
        if kind == "leaf":
            return self.leaf()
        if kind == "sum":
            inner = self.expression(depth - 1, effects)
            return Reduce(operator("add"), inner, tuple(range(inner.type.rank)), False)
        if kind == "effect":
            return self.effect(True)
        if kind == "opaque":
            arg = self.expression(depth - 1, effects)
            return Opaque("pure", (arg,), arg.type.plain)
        op = operator(self.choose(["add", "multiply", "subtract", "maximum"]))
        return Apply(op, (self.expression(depth - 1, effects), self.expression(depth - 1, effects)))

    # -- effects --

    def effect(self, value: bool) -> Node:
        """A call of the host in an effect; of a value, or for a statement."""
        name = self.choose(["bump", "value", "make"] if value else ["log", "bump", "value"])
        nested = self.draw(st.integers(0, 5)) == 0
        reads: Any
        writes: Any = frozenset()
        if name == "bump":
            target = self.window()
            base = target
            while isinstance(base, View):
                base = base.arg
            args: list[Node] = [target] + ([self.expression(1)] if self.draw(st.booleans()) else [])
            writes = frozenset((base.key,))
        else:
            args = [self.expression(1, nested)]
        call = Opaque(name, tuple(args), args[0].type.plain if name == "make" else SCALAR)
        reads = self.choose([frozenset(BUFFERS + ("s",)), None])
        if self.draw(st.integers(0, 4)) == 0:
            return Unreorderable(call)
        if self.draw(st.integers(0, 4)) == 0:
            writes = None
        return SideEffect(call, reads, writes)

    # -- statements --

    def statement(self, depth: int) -> list[Node]:
        kinds = ["assign"] * 4 + ["effect"] * 2 + ["mixed"] * 3 + ["local", "wrapped"] + ["loop"] * (2 * (depth > 0))
        kind = self.choose(kinds)
        if kind == "effect":
            return [self.effect(False)]
        if kind == "local":
            local = Operand(f"l{len(self.locals)}", VECTOR)
            value = self.expression(2)
            if value.type.rank != 1:
                value = Apply(operator("add"), (value, self.window()))
            self.locals.append(local)
            self.usable.append(local)
            return [Assign(local, value)]
        if kind == "loop":
            return [self.loop(depth)]
        target = self.window()
        statement: Node = Assign(target, self.expression(2, kind == "mixed"))
        if kind == "wrapped":
            base = target
            while isinstance(base, View):
                base = base.arg
            wrap = self.choose([0, 1, 2])
            if wrap == 0:
                return [Unreorderable(statement)]
            return [SideEffect(statement, None, frozenset((base.key,)) if wrap == 1 else None)]
        return [statement]

    def loop(self, depth: int) -> Node:
        self.count += 1
        index = Index(f"k{self.count}")
        usable = list(self.usable)
        self.indices.append(index)
        body: list[Node] = []
        for _ in range(self.draw(st.integers(1, 3))):
            body.extend(self.statement(depth - 1))
        self.indices.pop()
        self.usable = usable
        bounds = self.choose(
            [
                (integer(0), integer(ROWS - 1), integer(1)),
                (integer(ROWS - 2), integer(-1), integer(-1)),
                (integer(0), OPERANDS["n"], integer(1)),
                (integer(1), minus(OPERANDS["n"], integer(1)), integer(2)),
                (integer(2), integer(2), integer(1)),
            ]
        )
        return For(index, *bounds, tuple(body))


@st.composite
def effect_programs(draw: Any, statements: int = 8, loops: bool = True) -> Program:
    """Programs of up to `statements` statements with effects, over views of a few buffers; and loops of them."""
    maker = Maker(draw, loops)
    body: list[Node] = []
    for _ in range(draw(st.integers(1, statements))):
        body.extend(maker.statement(2 if loops else 0))
    result = Operand("r", VECTOR)
    body.append(Assign(result, maker.window()))
    return Program("program", OPERANDS.values(), body, [result], locals=maker.locals)


def arrays(seed: int, share: bool = False) -> dict[str, Any]:
    """Values for the operands of every program, in some layout; they may be views of one buffer."""
    if share:
        memory = np.random.default_rng(seed).integers(-8, 9, 5 * LENGTH)
        starts = [seed % 3, seed % 5, seed % 7]
        made = {name: memory[start : start + LENGTH] for name, start in zip("abc", starts, strict=True)}
        return made | {"m": memory[: ROWS * LENGTH].reshape(ROWS, LENGTH), "s": np.asarray(7), "n": np.asarray(3)}
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {name: rng.integers(-8, 9, 2 * LENGTH) for name in "abc"}
    made = {name: array[::2] if rng.integers(2) else array[:LENGTH] for name, array in made.items()}
    made["m"] = rng.integers(-8, 9, (LENGTH, ROWS)).T if rng.integers(2) else rng.integers(-8, 9, (4, 6))
    return made | {"s": np.asarray(7), "n": np.asarray(3)}
