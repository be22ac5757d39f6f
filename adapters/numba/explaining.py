"""What the pass did with a function, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from arrayexpr._core.nodes import Apply, Assign, Operand, Reduce, postorder
from arrayexpr._core.regions import STREAMS

from .fusing import Plan
from .kinds import types
from .raising import Raised
from .reader import Block, Group, Taken, shown
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
        nests = _nests(group, plan)
        for taken, among in zip(group.statements, nests, strict=True):
            reduction = taken_apart(taken.assign.value)
            named = "" if taken.label.startswith("$") else f" {taken.label.split('.')[0]!r}"
            if reduction is not None:
                what = f"{fold_of(reduction[0]).operation} to{named or ' a temporary'}"
            elif taken.new is not None:
                what = f"makes{named or ' a temporary'}"
            else:
                what = f"assigns to{named or ' a view'}"
            if not plan.regions:
                how = f"a nest of its own{': ' * bool(plan.why)}{plan.why}"
            else:
                how = self.together(group, plan, taken, among, nests)
            if reduction is None:
                how += "; axes ordered, joined and tiled by strides at run time"
            else:
                how += f"; of elements as they are made, {self.order(reduction[0])}"
            self.found.append((taken.loc.line, f"{what}: {how}"))
        hoisted = {operand.name for operand in plan.hoisted}
        for statement in plan.single:
            if _name(statement) in hoisted:
                read = [each.name for each in postorder((statement.value,)) if isinstance(each, Operand)]
                assert isinstance(statement.value, Apply)
                of = " and ".join(shown(group.variables[name][0].name) for name in read if name in group.variables)
                what = f"{statement.value.op.name.removeprefix('numba.')} of {of or 'a temporary'}"
                self.found.append((group.lines()[-1], f"{what} is computed once where it broadcasts"))

    def together(
        self, group: Group, plan: Plan, taken: Taken, among: Collection[int], nests: Sequence[Collection[int]]
    ) -> str:
        """With what a statement of a group that has regions is fused; `among` are the numbers of those."""
        if not among:
            return "not computed, since no one reads it"
        beside = [
            other.loc.line
            for other, numbers in zip(group.statements, nests, strict=True)
            if other is not taken and not set(numbers).isdisjoint(among)
        ]
        lines = sorted({line for line in beside if line != taken.loc.line})
        apart = sorted({
            other.loc.line
            for other, numbers in zip(group.statements, nests, strict=True)
            if set(numbers).isdisjoint(among) and numbers
        })  # fmt: skip
        count = "one nest" if len(among) == 1 else f"{len(among)} nests, in each of which it is computed"
        if lines:
            how = f"fused with line {', '.join(map(str, lines))} into {count}"
        else:
            how = f"fused into {count}" if beside else "a nest of its own"
        stored = any(taken.assign.target is each.target for region in plan.regions for each in region)
        how += "" if stored or taken_apart(taken.assign.value) is not None else ", kept in registers"
        if apart:
            other = next(numbers for numbers in nests if set(numbers).isdisjoint(among) and numbers)
            why = _apart(group, *(plan.regions[min(numbers)] for numbers in (among, other)))
            how += f"; not with line {', '.join(map(str, apart))}: {why}"
        assigned = [name for name in plan.stored if name in group.variables]
        if not assigned:
            return f"{how}; one by one where shapes differ"
        named = " or ".join(dict.fromkeys(shown(group.variables[name][0].name) for name in assigned))
        return f"{how}; one by one where shapes differ or {named} shares memory with another array"

    def order(self, reduce: Reduce) -> str:
        """The order in which a reduction takes elements."""
        if not fold_of(reduce).ordered:
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
    """What the pass did with each compiled signature of a function, or of a ufunc, a line for each statement and loop.

    Raises TypeError for what is no function of Numba's.
    """
    # A ufunc has the dispatcher of its body.
    overloads = getattr(getattr(function, "_dispatcher", function), "overloads", None)
    if overloads is None:
        raise TypeError(f"{function!r} is no function that Numba compiles: expected what `njit` gives")
    parts = []
    for signature, compiled in overloads.items():
        found = (compiled.metadata or {}).get("arrayexpr")
        kinds = getattr(signature, "args", signature)
        parts.append(f"{function.__name__}({', '.join(map(str, kinds))})")
        if compiled.metadata is None:
            parts.append("  loaded from Numba's cache, which keeps no report: clear it, or ask with cache=False")
        elif found is None:
            parts.append("  compiled without the pass")
        elif not found:
            parts.append("  nothing to take: no array statements")
        parts.extend(f"  line {line}: {text}" for line, text in found or ())
    return "\n".join(parts) if parts else f"{function.__name__} is not compiled yet: call it, then ask"


def _nests(group: Group, plan: Plan) -> list[set[int]]:
    """For each statement of a group the numbers of the plan's regions that compute it."""
    stored: dict[str, list[int]] = {}
    for number, region in enumerate(plan.regions):
        for statement in region:
            name = _name(statement)
            stored.setdefault(plan.folds[name].target.name if name in plan.folds else name, []).append(number)
    often = Counter(_name(taken.assign) for taken in group.statements)
    read: dict[str, set[int]] = {}
    found: list[set[int]] = []
    for taken in reversed(group.statements):
        name = _name(taken.assign)
        places = stored.get(name, ())
        # One for each time that it is assigned, or one for all. What is not stored is computed where it is read.
        here = {stored[name].pop()} if len(places) == often[name] else {*places, *read.pop(name, ())}
        often[name] -= 1
        found.append(here)
        for node in postorder((taken.assign.value,)):
            if isinstance(node, Operand) and node.type.rank and node.name not in plan.stored:
                read.setdefault(node.name, set()).update(here)
    return found[::-1]


def _name(statement: Assign) -> str:
    assert isinstance(statement.target, Operand)
    return statement.target.name


def _apart(group: Group, one: Sequence[Assign], other: Sequence[Assign]) -> str:
    """Why two regions of a group are not one."""
    arrays = [
        {node.name for each in region for node in postorder((each.value, each.target)) if isinstance(node, Operand)}
        for region in (one, other)
    ]
    common = arrays[0] & arrays[1]
    if not common:
        return "they have no array in common"
    if len(arrays[0] | arrays[1]) > STREAMS:
        return f"one nest has {STREAMS} arrays at the most"
    labels = {_name(taken.assign): shown(taken.label) for taken in group.statements}
    labels |= {name: shown(var.name) for name, (var, _) in group.variables.items()}
    assigned = sorted({labels[_name(each)] for each in (*one, *other) if _name(each) in common & labels.keys()})
    if assigned:
        return f"{' and '.join(assigned)} would be assigned too early or too late"
    return "it would not be less that is loaded and stored"
