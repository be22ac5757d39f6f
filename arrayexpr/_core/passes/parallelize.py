"""Marks the loops that may run in many threads."""

from __future__ import annotations

from ..affine import integer, least, plus
from ..nodes import EFFECTS, For, Guard, Index, Loop, Node, Opaque, Scratch, postorder
from ..program import Program
from .nests import enclosed, is_constant, shared_out, untaken, with_body

#: Elements that one thread takes at a time of a loop over contiguous memory: half a megabyte of doubles, some
#: 50 us of work, beside which handing it out costs nothing.
CHUNK = 65536


def parallelize(program: Program, *, cores: int | None = None) -> Program:
    """Give the outermost loop of each nest the role `parallel` where the target has cores to use.

        for i in serial(0, n, 1): ...     →    for i in parallel(0, n, 1): ...

    A vector loop with none around it is cut into chunks, which run in parallel:

        for i in vector(0, n, 1): ...     →    for i0 in parallel(0, n, 65536):
                                                   for i in vector(i0, minimum(i0 + 65536, n), 1): ...

    `cores` is how many there are to use, the target's where not given. A loop whose iterations touch what
    others store stays in one thread: a remark says so.

    Keeps: the loop's iterations, which are independent.
    Requires: a target with more than one core.
    """
    if cores is None:
        cores = program.target.cores if program.target is not None else 1
    if cores < 2:
        return program
    remarks: list[str] = []
    loops = (s for s in enclosed(program.statements) if isinstance(s, For))
    taken = {o.name for o in program.declared} | {loop.index.name for loop in loops}
    new: dict[Node, Node] = {}

    def visit(statement: Node) -> Node:
        if isinstance(statement, Guard):
            return Guard(statement.condition, tuple(map(visit, statement.then)), tuple(map(visit, statement.otherwise)))
        if type(statement) is For:
            return with_body(statement, map(visit, statement.body))
        if type(statement) is not Loop:
            return statement
        if statement.role == "vector" and statement.step is integer(1) and not _pinned(statement):
            new[statement] = _chunked(statement, taken)
            return new[statement]
        if statement.role not in ("serial", "block"):
            remarks.append(f"loop {statement.index.name} is a {statement.role} loop and stays in one thread")
            return statement
        if _pinned(statement):
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


def _pinned(loop: Loop) -> bool:
    """Whether a loop has an effect, or scratch that its iterations share: of constant extents each has its own."""
    return any(
        isinstance(n, (*EFFECTS, Opaque)) or (isinstance(n, Scratch) and not is_constant(n)) for n in postorder((loop,))
    )


def _chunked(loop: Loop, taken: set[str]) -> Loop:
    first = Index(untaken(loop.index.name + "_0", taken))
    taken.add(first.name)
    end = least(plus(first, integer(CHUNK)), loop.stop)
    inner = Loop(loop.index, first, end, loop.step, "vector", loop.body)
    return Loop(first, loop.start, loop.stop, integer(CHUNK), "parallel", (inner,))
