"""What a nest of loops becomes: kernels, in an order that its dependences allow, and loops around some of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from arrayexpr._core.affine import Linear, added, linear
from arrayexpr._core.dependence import Body, Dependence, Placed
from arrayexpr._core.infer import PURE, effects, kind_of
from arrayexpr._core.nodes import Apply, For, Index, Load, Node, Operand, Store, postorder, substitute
from arrayexpr._core.ops import Operator, operator
from arrayexpr._core.passes.raise_loops import components
from arrayexpr._core.passes.straight import NotStraight, accumulation, straightened
from arrayexpr._core.types import INT64

from .loops import Left, Range, Source

_NOT, _AND, _EQUAL = operator("logical_not"), operator("logical_and"), operator("equal")
#: The least value of y - x where a comparison of x to y holds, and of x - y.
_BELOW = {operator("less"): 1, operator("less_equal"): 0}
_ABOVE = {operator("greater"): 1, operator("greater_equal"): 0}


@dataclass(frozen=True, slots=True)
class Box:
    """The iterations of a statement: those of its loops in which forms are at least 0."""

    loops: tuple[Range, ...]
    narrowed: tuple[tuple[tuple[Node | None, int], ...], ...] = ()

    @property
    def forms(self) -> list[Linear]:
        return [dict(form) for form in self.narrowed]


@dataclass(slots=True)
class Leaf:
    """Statements that one kernel computes.

    `kind` is "each" where every iteration stores to a place of its own, "sum" where some add to one place, in order,
    and "whole" where all of them do, in any order. `box` is of the loops that the kernel runs; `outer` of those around.
    """

    kind: str
    box: Box
    outer: tuple[Range, ...]
    stores: list[Store]
    op: Operator | None = None
    part: Node | None = None
    #: Elements that are read before what is stored there is.
    copied: tuple[Load, ...] = ()
    members: tuple[int, ...] = ()


@dataclass(slots=True)
class Around:
    """A loop that stays around kernels."""

    loop: Range
    steps: list[Leaf | Around]


@dataclass(slots=True)
class Plan:
    """`locals` are arrays with an element for each iteration of some loops."""

    steps: list[Leaf | Around]
    locals: dict[Operand, tuple[Range, ...]]
    #: Every element that is touched, and in which iterations.
    touched: list[tuple[Box, Load | Store]] = field(default_factory=list)
    #: Memory that is stored to, with other memory that is touched, and whether both may be the very same view.
    pairs: list[tuple[Operand, Operand, bool]] = field(default_factory=list)
    written: list[Operand] = field(default_factory=list)


class _Refused(Exception):
    """Why a statement is no kernel over some loops."""


def planned(source: Source, loop: For, *, fast: bool) -> Plan:
    """The plan for a nest; raises Left."""
    return _Planner(source, loop, fast).run()


class _Planner:
    def __init__(self, source: Source, loop: For, fast: bool):
        self.source, self.fast = source, fast
        self.ranges = {each.index: each for each in source.ranges}
        operands = [*source.memories, *source.integers, *source.numbers, *source.counters]
        taken = {operand.name for operand in operands} | {f"t{k}" for k in range(99)} | {"found"}
        taken |= {each.index.name for each in source.ranges}
        try:
            straight = straightened(loop, taken)
        except NotStraight as reason:
            raise Left(self.named(str(reason))) from None
        self.loop = straight.loop
        self.locals = {array: tuple(self.ranges[i] for i in along) for array, along in straight.expanded.items()}
        for array, along in self.locals.items():
            if any(_changes(each) for each in along):
                raise Left(f"a number of each iteration, {array.name}, in a loop whose bounds change")
        self.body = Body.of((self.loop,), {})
        self.depends = self.body.dependences()
        self.reasons: list[str] = []

    def run(self) -> Plan:
        if not self.body.statements:
            raise Left("it stores nothing to a memoryview")
        steps = self.distributed(range(len(self.body.statements)), 0)
        if not _works(steps) or not all(_works(each.steps) for each in arounds(steps)):
            # A kernel for each iteration of all loops took 20 ns an element.
            raise Left(self.named(self.reasons[0]) if self.reasons else "no loop of it can be a kernel")
        plan = Plan(_fused(steps, self.depends), self.locals)
        self.touch(plan)
        return plan

    def named(self, text: str) -> str:
        """A reason with the source's names in the place of ours."""
        names = {o.name: m.name for o, m in self.source.memories.items()}
        names |= {o.name: str(getattr(n, "name", o.name)) for o, n in self.source.numbers.items()}
        names |= {each.index.name: each.name for each in self.source.ranges}
        names |= {
            o.name: text.replace("__pyx_v_", "") for o, text in self.source.integers.items() if isinstance(text, str)
        }
        import re

        return re.sub(r"\b[a-z]\d+\b", lambda found: names.get(found[0], found[0]), text.replace("[()]", ""))

    # -- order --

    def distributed(self, members: Iterable[int], level: int) -> list[Leaf | Around]:
        members = list(members)
        inside = set(members)
        edges = [
            d for d in self.depends if d.source in inside and d.sink in inside and (d.level == 0 or d.level > level)
        ]
        found: list[Leaf | Around] = []
        for group in components(members, edges):
            within = [d for d in edges if d.source in group and d.sink in group]
            found.extend(self.part(group, within, level))
        return found

    def part(self, group: list[int], edges: Sequence[Dependence], level: int) -> list[Leaf | Around]:
        placed = self.body.statements[group[0]]
        try:
            if len(group) > 1:
                self.refuse(edges, level)
            return [self.leaf(group[0], edges, level)]
        except _Refused as reason:
            self.reasons.append(str(reason))
            if len(placed.loops) <= level:
                raise Left(self.named(str(reason))) from None
        loop = self.ranges[self.body.loops[placed.loops[level]].index]
        return [Around(loop, self.distributed(group, level + 1))]

    def refuse(self, edges: Sequence[Dependence], level: int) -> None:
        carried = next((d for d in edges if d.level == level + 1), edges[0])
        raise _Refused(self.explained(carried))

    def explained(self, depends: Dependence) -> str:
        one, other = (self.body.statements[k].node for k in (depends.source, depends.sink))
        if one is other:
            return f"{one!r} needs what an earlier iteration stored to {depends.operand}"
        if depends.kind == "output":
            return f"{one!r} and {other!r} store to the same elements"
        first, second = (other, one) if depends.kind == "anti" else (one, other)
        return f"{second!r} reads what {first!r} stores to"

    # -- kernels --

    def leaf(self, number: int, edges: Sequence[Dependence], level: int) -> Leaf:
        placed = self.body.statements[number]
        store = placed.node
        if not isinstance(store, Store):
            raise Left(f"{store!r} is no store")
        loops = [self.ranges[self.body.loops[n].index] for n in placed.loops]
        box = Box(tuple(loops[level:]), self.narrowed(placed, loops[level:]))
        outer = tuple(loops[:level])
        inside = {each.index for each in box.loops}
        for each in box.loops[1:]:
            if any(node in inside for node in postorder((each.start, each.stop))):
                raise _Refused(f"the bounds of loop {each.name} change")
        store = self.counted(store)
        found = accumulation(store)
        target = self.forms(store)
        kept = [each for each in box.loops if any(form.get(each.index) for form in target)]
        over = [each for each in box.loops if each not in kept]
        forbidding = [d for d in edges if self.forbids(d, found is not None)]
        if forbidding:
            self.refuse(forbidding, level)
        if effects(store.value) != PURE:
            raise Left(f"{store.value!r} has an effect")
        if found is None or not over:
            if over:
                raise _Refused(f"{store!r} stores to one place in several iterations")
            if found is not None and any(d.kind != "anti" for d in edges):
                raise _Refused(f"{store!r} adds to one place in several iterations")
            copied = self.copied(store, edges)
            return Leaf("each", box, outer, [store], copied=copied, members=(number,))
        op, part = found
        if store.operand in {n.operand for n in postorder((part,)) if isinstance(n, Load)}:
            raise _Refused(f"{store!r} reads what it stores to")
        if kept:
            if not all(any(_alone(form, each, box.loops) for form in target) for each in kept):
                raise _Refused(f"{store!r} adds to one place in several iterations")
            if not any(isinstance(n, Load) for n in postorder((part,))):
                raise _Refused(f"{store!r} adds up what is no element")
            return Leaf("sum", box, outer, [store], op, part, members=(number,))
        if not op.associates.holds(kind_of(store.value), self.fast):
            raise _Refused(f"{store!r} adds up in order")
        if not any(isinstance(n, Load) for n in postorder((part,))):
            raise _Refused(f"{store!r} adds up what is no element")
        return Leaf("whole", box, outer, [store], op, part, members=(number,))

    def forbids(self, depends: Dependence, adds: bool) -> bool:
        if depends.kind == "anti":
            return False
        store = self.body.statements[depends.source].node
        if not adds or not isinstance(store, Store):
            return True
        current = Load(store.operand, store.subscripts)
        return depends.first not in (store, current) or depends.second not in (store, current)

    def copied(self, store: Store, edges: Sequence[Dependence]) -> tuple[Load, ...]:
        if not any(d.kind == "anti" and d.level for d in edges):
            return ()
        loads = [n for n in postorder((store.value,)) if isinstance(n, Load) and n.operand is store.operand]
        if store.operand in self.locals or not store.operand.type.rank:
            raise _Refused(f"{store!r} reads what it stores to")
        return tuple(load for load in loads if load.subscripts != store.subscripts)

    def forms(self, access: Load | Store) -> list[Linear]:
        found = []
        for subscript in access.subscripts:
            form = linear(subscript)
            if form is None:
                raise Left(f"the subscript {subscript!r} is no sum of loop variables and numbers")
            found.append(form)
        return found

    def counted(self, store: Store) -> Store:
        """The store with indices that are values as elements of an array of them."""
        bare: set[Index] = set()
        stack: list[Node] = [store.value]
        while stack:
            node = stack.pop()
            if isinstance(node, Index):
                bare.add(node)
            elif not isinstance(node, Load):
                stack.extend(node.args)
        if not bare:
            return store
        new: dict[Node, Node] = {}
        for index in bare:
            own = self.ranges[index]
            if _changes(own):
                raise Left(f"it has the value of {own.name}, whose bounds change")
            counter = next(
                (o for o, each in self.source.counters.items() if each is own and o.type.element is INT64), None
            )
            if counter is None:
                counter = Operand(f"x{len(self.source.counters)}", INT64.array(1))
                self.source.counters[counter] = own
            new[index] = Load(counter, (index,))

        def leaf(node: Node) -> Node | None:
            return node if isinstance(node, Load) else new.get(node)

        return Store(store.operand, store.subscripts, substitute((store.value,), leaf)[0])

    # -- conditions --

    def narrowed(self, placed: Placed, loops: Sequence[Range]) -> tuple[tuple[tuple[Node | None, int], ...], ...]:
        """What is at least 0 in the iterations in which a statement runs."""
        found = []
        for condition, truth in placed.conditions:
            for form in _told(condition, truth):
                moving = [each for each in loops if form.get(each.index)]
                if len(moving) > 1:
                    raise _Refused(f"the condition {condition!r} takes no range of one loop")
                if moving and (abs(form[moving[0].index]) != 1 or abs(moving[0].step) != 1):
                    raise Left("it has a condition on the variable of a loop with steps")
                found.append(tuple(form.items()))
        return tuple(found)

    # -- what may not be --

    def touch(self, plan: Plan) -> None:
        """What has to be tested before any of it runs."""
        memories = set(self.source.memories)
        seen: set[tuple[Box, Node]] = set()
        places: dict[Operand, set[tuple[Node, ...]]] = {}
        loaded: set[Operand] = set()
        for placed in self.body.statements:
            loops = tuple(self.ranges[self.body.loops[n].index] for n in placed.loops)
            box = Box(loops, tuple(tuple(f.items()) for c, t in placed.conditions for f in _told(c, t)))
            for node in postorder([placed.node]):
                if not isinstance(node, Load | Store) or node.operand not in memories:
                    continue
                places.setdefault(node.operand, set()).add(node.subscripts)
                loaded |= {node.operand} if isinstance(node, Load) else set()
                self.forms(node)
                access = Load(node.operand, node.subscripts)
                if (box, access) not in seen:
                    seen.add((box, access))
                    plan.touched.append((box, access))
        written = dict.fromkeys(p.node.operand for p in self.body.statements if isinstance(p.node, Store))
        plan.written = [operand for operand in written if operand in memories]
        alone = len(self.body.statements) == 1
        for one in plan.written:
            for other in places:
                if other is one or (other in plan.written and plan.written.index(other) < plan.written.index(one)):
                    continue
                same = alone and other in loaded and places[one] == places[other] and len(places[one]) == 1
                plan.pairs.append((one, other, same))


def _told(condition: Node, truth: bool) -> list[Linear]:
    """Forms that are at least 0 where a condition holds, or where it does not; raises Left where there are none."""
    match condition:
        case Apply(op, (x,)) if op is _NOT:
            return _told(x, not truth)
        case Apply(op, (x, y)) if op is _AND and truth:
            return _told(x, True) + _told(y, True)
        case Apply(op, (x, y)):
            one, other = linear(x), linear(y)
            if one is not None and other is not None:
                upward, downward = added(other, one, -1), added(one, other, -1)
                if op is _EQUAL and truth:
                    return [upward, downward]
                if op in _BELOW or op in _ABOVE:
                    up = (op in _BELOW) == truth
                    least = {**_BELOW, **_ABOVE}[op]
                    return [added(upward if up else downward, {None: -(least if truth else 1 - least)})]
    raise Left(f"it has the condition {condition!r}")


def _alone(form: Linear, own: Range, loops: Sequence[Range]) -> bool:
    """Whether a subscript moves with one loop only."""
    return [each for each in loops if form.get(each.index)] == [own]


def _changes(own: Range) -> bool:
    return any(isinstance(node, Index) for node in postorder((own.start, own.stop)))


def _works(steps: Iterable[Leaf | Around]) -> bool:
    """Whether there is a kernel with a loop."""
    return any(step.box.loops if isinstance(step, Leaf) else _works(step.steps) for step in steps)


def arounds(steps: Iterable[Leaf | Around]) -> Iterator[Around]:
    """The loops that stay, those within others too."""
    for step in steps:
        if isinstance(step, Around):
            yield step
            yield from arounds(step.steps)


def _fused(steps: Sequence[Leaf | Around], depends: Sequence[Dependence]) -> list[Leaf | Around]:
    """Neighbours over the same iterations as one kernel, where one iteration needs nothing of another."""
    found: list[Leaf | Around] = []
    for step in steps:
        last = found[-1] if found else None
        if isinstance(step, Around):
            step = Around(step.loop, _fused(step.steps, depends))
        elif isinstance(last, Leaf) and _together(last, step, depends):
            last.stores.extend(step.stores)
            last.members += step.members
            continue
        found.append(step)
    return found


def _together(one: Leaf, other: Leaf, depends: Sequence[Dependence]) -> bool:
    if (
        not one.box.loops
        or one.kind != "each"
        or other.kind != "each"
        or one.box != other.box
        or one.copied
        or other.copied
    ):
        return False
    if any(store.operand is later.operand for store in one.stores for later in other.stores):
        return False
    targets = {store.operand: store.subscripts for store in (*one.stores, *other.stores)}
    for node in postorder([store.value for store in (*one.stores, *other.stores)]):
        if isinstance(node, Load) and targets.get(node.operand, node.subscripts) != node.subscripts:
            return False
    between = [d for d in depends if {d.source, d.sink} <= {*one.members, *other.members} and d.source != d.sink]
    return all(d.level == 0 or d.level <= len(one.outer) for d in between)
