"""Marks the loops that may run in many threads."""

from __future__ import annotations

from ..nodes import EFFECTS, Guard, Loop, Node, Opaque, Scratch, postorder
from ..program import Program
from .nests import shared_out


def parallelize(program: Program, *, cores: int | None = None) -> Program:
    """Give the outermost loop of each nest the role `parallel` where the target has cores to use.

        for i in serial(0, n, 1): ...     →    for i in parallel(0, n, 1): ...

    A loop that is blocked or the only one (then a vector loop) is left: a remark says so. `cores` is how
    many there are to use, the target's where not given.

    Keeps: the loop's iterations, which are independent.
    Requires: a target with more than one core; nests that `lower` made.
    """
    if cores is None:
        cores = program.target.cores if program.target is not None else 1
    if cores < 2:
        return program
    remarks: list[str] = []
    new: dict[Node, Node] = {}

    def visit(statement: Node) -> Node:
        if isinstance(statement, Guard):
            return Guard(statement.condition, tuple(map(visit, statement.then)), tuple(map(visit, statement.otherwise)))
        if type(statement) is not Loop:
            return statement
        if statement.role not in ("serial", "block"):
            remarks.append(f"loop {statement.index.name} is a {statement.role} loop and stays in one thread")
            return statement
        if any(isinstance(n, (*EFFECTS, Opaque, Scratch)) for n in postorder((statement,))):
            remarks.append(f"loop {statement.index.name} stays in one thread: its body has an effect or scratch")
            return statement
        if not shared_out(statement):
            remarks.append(f"loop {statement.index.name} stays in one thread: iterations touch what others store")
            return statement
        new[statement] = Loop(
            statement.index, statement.start, statement.stop, statement.step, "parallel", statement.body
        )
        return new[statement]

    return program.rewritten(map(visit, program.statements), new).remarked(remarks)
