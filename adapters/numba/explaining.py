"""What the pass did with a function, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from arrayexpr._core.nodes import Reduce

from .fusing import Plan
from .kinds import types
from .raising import Raised
from .reader import Block, Group
from .reductions import fold_of, taken_apart

#: How a remark begins that a statement is none on whole arrays.
LEFT_ELEMENTS: Final = "left to Numba: assignment to elements of"


class Report:
    """Collects, while a function is compiled, a line for each statement: (line, text)."""

    def __init__(self, fastmath: bool = False) -> None:
        self.fastmath = fastmath
        self.found: list[tuple[int, str]] = []
        #: Lines of statements in nests that are taken.
        self.taken: set[int] = set()

    def read(self, block: Block) -> None:
        for loc, remark in block.remarks:
            self.found.append((loc.line, remark))

    def group(self, group: Group, plan: Plan) -> None:
        statements = group.statements
        where = sorted({taken.loc.line for taken in statements})
        for taken in statements:
            reduction = taken_apart(taken.assign.value)
            named = "" if taken.label.startswith("$") else f" {taken.label!r}"
            if reduction is not None:
                what = f"{fold_of(reduction[0]).operation} to{named or ' a temporary'}"
            elif taken.new is not None:
                what = f"makes{named or ' a temporary'}"
            else:
                what = f"assigns to{named or ' a view'}"
            if plan.regions:
                stored = any(taken.assign.target is each.target for region in plan.regions for each in region)
                nests = "one nest" if len(plan.regions) == 1 else f"{len(plan.regions)} nests"
                others = [str(line) for line in where if line != taken.loc.line]
                how = f"fused with line {', '.join(others)} into {nests}" if others else f"fused into {nests}"
                how += "" if stored or reduction is not None else ", kept in registers"
                how += "; one by one where shapes differ or memory is shared"
            else:
                how = "a nest of its own"
            if reduction is None:
                how += "; axes ordered, joined and tiled by strides at run time"
            else:
                how += f"; of elements as they are made, {self.order(reduction[0])}"
            self.found.append((taken.loc.line, f"{what}: {how}"))
        for operand in plan.hoisted:
            self.found.append((where[-1], f"part {operand.name!r} is computed once where it broadcasts"))

    def order(self, reduce: Reduce) -> str:
        """The order in which a reduction takes elements."""
        if reduce.type.element.kind not in "fc":
            return "in the order of memory"
        if self.fastmath and fold_of(reduce).loose:
            return "in several sums at a time: fastmath"
        if len(reduce.axes) < reduce.arg.type.rank:
            return "in order along its axis, many at a time"
        return "in Numba's order, so that it rounds as Numba does"

    def nest(self, line: int, raised: Raised) -> None:
        names = ", ".join(loop.index.name for loop in raised.nest.loops)
        count = len(raised.regions)
        how = "one nest" if count == 1 else f"{count} nests"
        self.found.append((
            line,
            f"loops over {names}: {how}; axes ordered, joined and tiled by strides at run time; as written where a "
            "subscript may lie outside of its axis, memory is shared or there is little to do",
        ))  # fmt: skip
        for each in raised.sums.values():
            how = "in the order of the text, so that it rounds as written"
            if each.kind not in (types.float32, types.float64, types.complex64, types.complex128):
                how = "in the order of memory"
            elif self.fastmath and not isinstance(each.kind, types.Complex):
                how = "in several sums at a time: fastmath"
            self.found.append((line, f"{each.first.name!r} is added up {how}"))
        self.taken.update(inst.loc.line for origins in raised.nest.program.origins.values() for inst in origins)

    def after(self, found: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
        """All lines, with those of a pass before but for what it left that is taken now."""
        return sorted([
            *((line, text) for line, text in found if line not in self.taken or not text.startswith(LEFT_ELEMENTS)),
            *self.found,
        ])  # fmt: skip

    def lines(self) -> list[tuple[int, str]]:
        return sorted(self.found)


def explain(function: Any) -> str:
    """What the pass did with each compiled signature of a function, a line for each statement.

    Raises TypeError for what is no function of Numba's.
    """
    overloads = getattr(function, "overloads", None)
    if overloads is None:
        raise TypeError(f"{function!r} is no function that Numba compiles: expected what `njit` gives")
    parts = []
    for signature, compiled in overloads.items():
        found = (compiled.metadata or {}).get("arrayexpr")
        parts.append(f"{function.__name__}({', '.join(map(str, signature))})")
        if compiled.metadata is None:
            parts.append("  loaded from Numba's cache, which keeps no report: clear it, or ask with cache=False")
        elif found is None:
            parts.append("  compiled without the pass")
        elif not found:
            parts.append("  nothing to take: no array statements")
        parts.extend(f"  line {line}: {text}" for line, text in found or ())
    return "\n".join(parts) if parts else f"{function.__name__} is not compiled yet: call it, then ask"
