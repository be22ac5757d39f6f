"""Loops around regions as code of their own: one call runs all iterations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..affine import integer
from ..nodes import Extent, Index, Load, Loop, Node, Operand, Pack, Scratch, Store, Stride, postorder, substitute
from ..program import Program
from ..types import INT64, STRIDED
from .dispatch import Code

if TYPE_CHECKING:
    from .iterate import Moving

#: Per region its program, and for each of its operands and results whether it moves.
_Part = tuple[Program, Sequence[bool]]

#: Regions of all phases that one function has; and how many functions a loop has.
_MOST_REGIONS, _MOST_CODES = 16, 8


class LoopCodes:
    """The code of a loop, for each combination of its regions' codes; `make` gives it for a program."""

    def __init__(self, make: Callable[[Program], Code | None]):
        self._make = make
        self.made: dict[tuple[tuple[Code, tuple[bool, ...]], ...], Code | None] = {}

    def of(self, phases: Sequence[Sequence[Moving]]) -> Code | None:
        """The code that runs phases of regions in turn; None where calls of each region's code are to do that."""
        parts = [moving.looped() for phase in phases for moving in phase]
        key = tuple(part for part in parts if part is not None)
        if not key or len(key) < len(parts) or len(key) > _MOST_REGIONS:
            return None
        if key not in self.made:
            if len(self.made) == _MOST_CODES:
                return None
            program = looped([(code.program, moves) for code, moves in key])
            self.made[key] = None if program is None else self._make(program)
        return self.made[key]


def looped(parts: Sequence[_Part]) -> Program | None:
    """One program that runs scheduled ones in turn in a loop: what moves has an axis before the others, for it.

        def kernel(a: float64[::1], *, r: float64[::1]):          def loop(a: float64[:, ::1], r: float64[::1], ...):
            for i0 in vector(0, r.shape[0], 1):             →         for k in serial(first, last, 1):
                r[i0] = a[i0] * 2.0                                       for i0 in vector(0, r.shape[0], 1):
                                                                              r[i0] = a[k, i0] * 2.0

    None where a part has what this has no form for.
    """
    k = Index("k_")
    operands: list[Operand] = []
    before: list[Node] = []
    body: list[Node] = []
    for number, (program, moves) in enumerate(parts):
        own = _renamed(program, moves, k, f"_{number}")
        if own is None:
            return None
        given, statements = own
        operands += given
        # Scratch of arrays is the same in each iteration.
        arrays = [s for s in statements if isinstance(s, Scratch) and s.extents]
        before += arrays
        body += [s for s in statements if s not in arrays]
    first, last = (Operand(name, INT64.array(0)) for name in ("first_", "last_"))
    loop = Loop(k, Load(first, ()), Load(last, ()), integer(1), "serial", tuple(body))
    return Program("loop", [*operands, first, last], [*before, loop], target=parts[0][0].target)


def _renamed(
    program: Program, moves: Sequence[bool], k: Index, suffix: str
) -> tuple[list[Operand], Sequence[Node]] | None:
    """A program's operands and statements under names of their own, in iteration `k` of a loop."""
    new: dict[Node, Operand] = {}
    moving: set[Node] = set()
    declared = (*program.operands, *program.results)
    for operand, moved in zip(declared, moves, strict=True):
        element, layout = operand.type.element, operand.type.layout
        rank = operand.type.rank + moved
        new[operand] = Operand(operand.name + suffix, element.array(rank, (STRIDED, *layout) if moved else layout))
        if moved:
            moving.add(operand)
    for node in postorder(program.statements):
        if isinstance(node, Pack):
            return None
        if isinstance(node, Scratch):
            new[node.operand] = Operand(node.operand.name + suffix, node.operand.type)

    def renamed(node: Node) -> Node | None:
        match node:
            case Operand():
                return new.get(node)
            case Load(operand, _) if operand in new:
                return Load(new[operand], _within(node, operand))
            case Store(operand, _, value) if operand in new:
                return Store(new[operand], _within(node, operand), substitute((value,), renamed)[0])
            case Extent(operand, axis) if operand in new:
                return Extent(new[operand], axis + (operand in moving))
            case Stride(operand, axis) if operand in new:
                return Stride(new[operand], axis + (operand in moving))
        return None

    def _within(node: Load | Store, operand: Operand) -> tuple[Node, ...]:
        subscripts = tuple(substitute(node.subscripts, renamed))
        return (k, *subscripts) if operand in moving else subscripts

    return [new[operand] for operand in declared], substitute(program.statements, renamed)
