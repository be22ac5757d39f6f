"""Random programs of statements over arrays that may be views of the same few buffers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from arrayexpr._core.nodes import Apply, Assign, Constant, Node, Operand, Reduce, SideEffect, Slice, View
from arrayexpr._core.ops import operator
from arrayexpr._core.program import Program
from arrayexpr._core.types import INT64

BINARY = [operator(name) for name in ("add", "subtract", "multiply", "maximum")]
UNARY = [operator(name) for name in ("negative", "square")]
FOLDS = [operator(name) for name in ("add", "maximum", "minimum")]
ROW, MATRIX = INT64.array(1), INT64.array(2)


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

    def _assigned(self, operand: Operand) -> bool:
        return any(operand in _bases(s) for s in self.program.statements)


def _bases(statement: Node) -> list[Node]:
    while isinstance(statement, SideEffect):
        statement = statement.inner
    if not isinstance(statement, Assign):
        return []
    target = statement.target
    while isinstance(target, View):
        target = target.arg
    return [target]


def case(choice: random.Random, *, length: int = 30, effects: bool = False) -> Case:
    """A case of up to so many statements."""
    matrices = [Operand(f"a{k}", MATRIX) for k in range(choice.randint(2, 5))]
    rows = [Operand(f"b{k}", ROW) for k in range(choice.randint(1, 2))]
    scalar = Operand("c", INT64)
    results = [Operand(f"r{k}", choice.choice([MATRIX, MATRIX, ROW])) for k in range(choice.randint(0, 3))]
    locals_ = [Operand(f"t{k}", choice.choice([MATRIX, MATRIX, MATRIX, ROW])) for k in range(choice.randint(1, 6))]
    given = [*matrices, *rows, scalar]
    known: list[Operand] = [*matrices, *rows]
    # Results and locals are of the shape of the first thing that is assigned to them: as wide as a0.
    pending = [*results, *locals_]
    statements: list[Node] = []

    def leaf(rank: int, part: bool) -> Node:
        if choice.random() < 0.1:
            return Constant(choice.randint(-3, 3), INT64) if choice.random() < 0.5 else scalar
        operand = choice.choice([o for o in known if 0 < o.type.rank <= max(rank, 1)])
        node: Node = operand
        if operand.type.rank == 2:
            if part:
                node = View(operand, choice.choice([(Slice(1, None), Slice()), (Slice(None, -1), Slice())]))
        elif rank == 2:
            if part:
                node = View(operand, choice.choice([(Slice(1, None),), (Slice(None, -1),)]))
            node = View(node, (Slice(), None))
        elif part:
            node = View(operand, choice.choice([(Slice(1, None),), (Slice(None, -1),)]))
        return node

    def value(rank: int, part: bool, depth: int) -> Node:
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
        if draw < 0.53 and rank == 2 and not part and pending is not None:
            return View(View(value_of(2, depth - 1), None, (1, 0)), None, (1, 0))
        if draw < 0.62 and part and rank == 2:
            return View(value_of(2, depth - 1), choice.choice([(Slice(1, None), Slice()), (Slice(None, -1), Slice())]))
        args = (value(rank, part, depth - 1), value(rank, part, depth - 1))
        return Apply(choice.choice(BINARY), args)

    def value_of(rank: int, depth: int) -> Node:
        # Broadcast to the shape of the first operand, which is whole.
        whole: Node = matrices[0] if rank == 2 else rows[0]
        return Apply(BINARY[0], (whole, value(rank, False, depth)))

    for _ in range(choice.randint(2, length)):
        draw = choice.random()
        if effects and draw < 0.1:
            target = choice.choice([o for o in known if o.type.rank == 2])
            statement: Node = Assign(target, Apply(BINARY[0], (target, Constant(1, INT64))))
            sets = choice.choice([None, (target.name,)])
            statement = SideEffect(statement, sets, sets)
        elif pending and draw < 0.4:
            target = pending.pop(choice.randrange(len(pending)))
            statement = Assign(target, value_of(target.type.rank, 2))
            known.append(target)
        else:
            target = choice.choice(known)
            part = choice.random() < 0.25
            goal: Node = target
            if part:
                goal = View(
                    target, (choice.choice([Slice(1, None), Slice(None, -1)]), *[Slice()] * (target.type.rank - 1))
                )
            whole = choice.random() < 0.5 and not part
            made = value_of(target.type.rank, 2) if whole else value(target.type.rank, part, 3)
            statement = Assign(goal, made)
        statements.append(statement)
    for target in results:
        if target in pending:
            statements.append(Assign(target, value_of(target.type.rank, 1)))
    used = [o for o in locals_ if o not in pending]
    program = Program("f", given, statements, results, locals=used, hosts={"note": lambda *args: 0})
    rows_, columns = choice.choice([(4, 5), (4, 4), (3, 8), (5, 3)])
    return Case(program, choice.randrange(1 << 30), rows_, columns, choice.random() < 0.5)
