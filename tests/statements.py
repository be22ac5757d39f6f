"""Programs of statements: two that are fused into one region, and random ones over views of the same few buffers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from arrayexpr._core.affine import integer, plus
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Constant,
    For,
    Index,
    Node,
    Operand,
    Reduce,
    SideEffect,
    Slice,
    View,
    postorder,
)
from arrayexpr._core.ops import operator
from arrayexpr._core.program import Program, assigned_operand
from arrayexpr._core.types import INT64

BINARY = [operator(name) for name in ("add", "subtract", "multiply", "maximum")]
UNARY = [operator(name) for name in ("negative", "square")]
FOLDS = [operator(name) for name in ("add", "maximum", "minimum")]
ROW, MATRIX = INT64.array(1), INT64.array(2)
#: Parts that all have one length: all rows but one, or two rows, of which some have none in common.
EDGES = (Slice(1, None), Slice(None, -1))
PAIRS = (Slice(0, 2), Slice(2, 4), Slice(1, 3), Slice(0, 3, 2), Slice(1, 4, 2), Slice(-2, None))
Parts = tuple[Slice, ...] | None

#: Statements that share what they read, and an update in place: each is one region.
SIBLINGS = """
def f(a: float64[:], b: float64[:], c: float64[:], *, r: float64[:], s: float64[:]):
    t = local(float64[:])
    u = local(float64[:])
    v = local(float64[:])
    t[...] = a + b
    u[...] = t * c
    v[...] = t - c
    r[...] = u + v
    s[...] = u * v
"""
MOTION = """
def f(x: float64[:], v: float64[:], a: float64[:], e: float64[:]):
    v[...] = v + a
    x[...] = x + v
    e[...] = v * v
"""


@dataclass
class Case:
    """A program, and how to make arrays for it: the same each time, in new buffers."""

    program: Program
    seed: int
    rows: int
    columns: int
    aliased: bool

    def arrays(self) -> dict[str, Any]:
        """Arrays for the operands: of their own, or windows on one of three buffers."""
        choice = random.Random(self.seed)
        rng = np.random.default_rng(self.seed)
        n, m = self.rows, self.columns
        buffers = [rng.integers(-50, 50, (4 * n + 4, 2 * m + 4)) for _ in range(3)]
        lines = [rng.integers(-50, 50, 6 * n + 6) for _ in range(2)]
        found = {}
        for operand in self.program.operands:
            if operand.type.rank == 0:
                found[operand.name] = np.asarray(choice.randint(-9, 9))
                continue
            own = not self.aliased and choice.random() < 0.95
            if operand.type.rank == 1:
                line = rng.integers(-50, 50, 6 * n + 6) if own else choice.choice(lines)
                first, step = choice.randint(0, n), choice.choice([1, 1, 2])
                found[operand.name] = line[first : first + step * n : step]
                continue
            buffer = rng.integers(-50, 50, (4 * n + 4, 2 * m + 4)) if own else choice.choice(buffers)
            row, column = choice.choice([0, 0, 1, n]), choice.choice([0, 0, 1])
            step, along = choice.choice([1, 1, 2]), choice.choice([1, 1, 2])
            window = buffer[row : row + step * n : step, column : column + along * m : along]
            if choice.random() < 0.1 and not self._assigned(operand):
                window = window[:1]
            if choice.random() < 0.1:
                window = window[::-1]
            found[operand.name] = window
        return found

    def storage(self) -> dict[str, Any]:
        """Storage for the results, which schedules want."""
        shapes = {1: (self.rows,), 2: (self.rows, self.columns)}
        return {result.name: np.zeros(shapes[result.type.rank], np.int64) for result in self.program.results}

    def _assigned(self, operand: Operand) -> bool:
        found = postorder(self.program.statements)
        return any(isinstance(node, Assign) and assigned_operand(node.target) is operand for node in found)


def case(choice: random.Random, *, length: int = 30, effects: bool = False, loops: bool = False) -> Case:
    """A case of up to so many statements, those inside loops counted."""
    matrices = [Operand(f"a{k}", MATRIX) for k in range(choice.randint(2, 5))]
    rows = [Operand(f"b{k}", ROW) for k in range(choice.randint(1, 2))]
    scalar = Operand("c", INT64)
    results = [Operand(f"r{k}", choice.choice([MATRIX, MATRIX, ROW])) for k in range(choice.randint(0, 3))]
    locals_ = [Operand(f"t{k}", choice.choice([MATRIX, MATRIX, MATRIX, ROW])) for k in range(choice.randint(1, 6))]
    given = [*matrices, *rows, scalar]
    known: list[Operand] = [*matrices, *rows]
    # Results and locals are of the shape of the first thing that is assigned to them: as wide as a0.
    pending = [*results, *locals_]
    indices: list[Index] = []

    def parts() -> Parts:
        draw = choice.random()
        if indices and draw < 0.4:
            # Two rows that move with a loop.
            start = choice.choice([indices[-1], plus(indices[-1], integer(1))])
            return (Slice(start, plus(start, integer(2))), *PAIRS)
        return EDGES if draw < 0.7 else PAIRS

    def window(operand: Operand, part: Parts) -> Node:
        if part is None:
            return operand
        return View(operand, (choice.choice(part), *[Slice()] * (operand.type.rank - 1)))

    def leaf(rank: int, part: Parts) -> Node:
        if choice.random() < 0.1:
            return Constant(choice.randint(-3, 3), INT64) if choice.random() < 0.5 else scalar
        operand = choice.choice([o for o in known if 0 < o.type.rank <= max(rank, 1)])
        node = window(operand, part)
        return View(node, (Slice(), None)) if operand.type.rank < rank else node

    def value(rank: int, part: Parts, depth: int) -> Node:
        draw = choice.random()
        if depth == 0 or draw < 0.15:
            return leaf(rank, part)
        if draw < 0.3:
            return Apply(choice.choice(UNARY), (value(rank, part, depth - 1),))
        if draw < 0.4 and rank == 1:
            inner = value(2, part, depth - 1)
            if inner.type.rank == 2:
                return Reduce(choice.choice(FOLDS), inner, (1,))
        if draw < 0.5 and rank == 2:
            inner = value(2, part, depth - 1)
            if inner.type.rank == 2:
                return Reduce(choice.choice(FOLDS), inner, (1,), True)
        if draw < 0.53 and rank == 2 and part is None:
            return View(View(value_of(2, depth - 1), None, (1, 0)), None, (1, 0))
        fixed = part and tuple(item for item in part if not isinstance(item.start, Node))
        if draw < 0.62 and fixed and rank == 2:
            return View(value_of(2, depth - 1), (choice.choice(fixed), Slice()))
        args = (value(rank, part, depth - 1), value(rank, part, depth - 1))
        return Apply(choice.choice(BINARY), args)

    def value_of(rank: int, depth: int) -> Node:
        # Broadcast to the shape of the first operand, which is whole.
        whole: Node = matrices[0] if rank == 2 else rows[0]
        return Apply(BINARY[0], (whole, value(rank, None, depth)))

    def statement() -> Node:
        draw = choice.random()
        if effects and draw < 0.1:
            target = choice.choice([o for o in known if o.type.rank == 2])
            inner = Assign(target, Apply(BINARY[0], (target, Constant(1, INT64))))
            sets = choice.choice([None, (target.name,)])
            return SideEffect(inner, sets, sets)
        if pending and draw < 0.4 and not indices:
            target = pending.pop(choice.randrange(len(pending)))
            made = Assign(target, value_of(target.type.rank, 2))
            known.append(target)
            return made
        target = choice.choice(known)
        part = parts() if choice.random() < 0.3 else None
        whole = choice.random() < 0.5 and part is None
        made = value_of(target.type.rank, 2) if whole else value(target.type.rank, part, 3)
        return Assign(window(target, part), made)

    def loop() -> Node:
        index = Index(f"k{len(indices)}")
        indices.append(index)
        count = choice.randint(1, 4)
        body = [loop() if len(indices) < 2 and choice.random() < 0.1 else statement() for _ in range(count)]
        indices.pop()
        bounds = choice.choice([(0, 2, 1), (1, -1, -1), (0, 1, 1), (1, 1, 1), (0, 3, 2)])
        return For(index, *(Constant(bound, INT64) for bound in bounds), tuple(body))

    statements: list[Node] = []
    left = choice.randint(2, length)
    while left > 0:
        made = loop() if loops and choice.random() < 0.15 else statement()
        left -= sum(isinstance(node, Assign) for node in postorder((made,)))
        statements.append(made)
    for target in results:
        if target in pending:
            statements.append(Assign(target, value_of(target.type.rank, 1)))
    used = [o for o in locals_ if o not in pending]
    program = Program("f", given, statements, results, locals=used, hosts={"note": lambda *args: 0})
    rows_, columns = choice.choice([(4, 5), (4, 4), (6, 8), (5, 3)])
    return Case(program, choice.randrange(1 << 30), rows_, columns, choice.random() < 0.5)
