"""Loops of element assignments become assignments of whole arrays."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..affine import Linear, expression_of, linear
from ..dependence import EVERYTHING, Body, Dependence, Placed
from ..infer import kind_of
from ..nodes import (
    EFFECTS,
    Apply,
    Assign,
    Constant,
    Disjoint,
    Extent,
    For,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Scratch,
    Store,
    Stride,
    View,
    postorder,
)
from ..ops import operator
from ..program import Program
from ..types import INT64
from .elements import has_loops
from .joint import scalars_of
from .nests import conjunction, extents_known, untaken
from .straight import NotStraight, accumulation, straightened
from .whole import Raiser, Refusal, follows, span_of

_EQUAL, _AT_MOST, _WHERE = operator("equal"), operator("less_equal"), operator("where")


def raise_loops(program: Program, *, contract: str = "exact", lowered: bool = False, guess: bool = True) -> Program:
    """Give loops over elements the form of whole-array assignments, where that is what they compute.

        for i in range(1, a.shape[0] - 1, 1):
            r[i] = a[i - 1] + a[i + 1]
        →  if r.shape[0] == a.shape[0] and disjoint(r, a):
               r[1:-1] = a[:-2] + a[2:]
           else:
               for i in range(1, a.shape[0] - 1, 1): ...

    A nest is distributed over its statements as their dependences allow (Allen and Kennedy, 1987): what is in no cycle
    of them becomes an assignment, what is stays in a loop around the rest. A store that adds to its own element
    becomes a `Reduce`, or a `Contract` where it adds up products over rows and columns; under `exact` of integers
    only, as sums of reals change with their order. Where subscripts lie within their axes, or operands share memory,
    is tested at run time if it is not known. What is refused stays as it is, and a remark says why; `lowered` asks for
    what `lower` and `sweep` have loops for: not `r[:n] = a[:n]`. Lengths that are likely to be equal have a version of
    their own, before the one for any; without `guess` that is so only where there is none for any.

    Keeps: the elements that are stored, and the order of all that have an effect.
    Requires: an operand that is stored has no two elements in the same memory.
    """
    return _Raising(program, contract == "fast", lowered, guess).run()


class _Raising:
    def __init__(self, program: Program, fast: bool, lowered: bool, guess: bool):
        self.program = program
        self.lowered = lowered
        self.guess = guess
        self.fast = fast
        self.known = extents_known(program)
        self.names = {operand.name for operand in program.declared}
        self.names.update(n.name for n in program.nodes() if isinstance(n, Operand | Index))
        self.locals: list[Operand] = []
        self.remarks: list[str] = []

    def run(self) -> Program:
        statements: list[Node] = []
        new: dict[Node, Node] = {}
        for statement in self.program.statements:
            if type(statement) is not For:
                statements.append(statement)
                continue
            raised = self.nest(statement)
            statements.extend(raised)
            if len(raised) == 1:
                new[statement] = raised[0]
        found = self.program.rewritten(statements, new).remarked(dict.fromkeys(self.remarks))
        return found.replace(locals=tuple(dict.fromkeys((*found.locals, *self.locals)))) if self.locals else found

    def nest(self, loop: For) -> list[Node]:
        """What becomes of one nest of loops."""
        nodes = postorder((loop,))
        if any(isinstance(n, Loop | Scratch) and not _is_temporary(n) for n in nodes):
            return [loop]
        if not any(isinstance(n, Store) or (isinstance(n, Assign) and not n.target.type.rank) for n in nodes):
            # A loop over arrays already.
            return [loop]
        versions: list[tuple[list[Node], list[Node]]] = []
        try:
            straight = straightened(loop, self.names)
            body = Body.of((straight.loop,), self.known)
            if not body.statements:
                raise Refusal("it stores nothing")
            equal = _guesses(body, straight.expanded, self.known)
            depends = body.dependences()
            versions_of = [equal, {}] if equal else [{}]
            for assumed in versions_of if self.guess else reversed(versions_of):
                nest = _Nest(self, loop, body, straight.expanded, assumed, depends)
                raised = nest.run()
                self.remarks.extend(nest.remarks)
                if raised is None:
                    if self.guess:
                        break
                    continue
                conditions = nest.conditions()
                refused = self._without_loops(conditions, raised) if self.lowered else None
                if refused is not None:
                    self.remarks.append(f"loop {loop.index.name} stays: {refused!r} has no loops ahead of time")
                    continue
                versions.append((conditions, raised))
                self.locals.extend(nest.locals)
                if not conditions or not self.guess:
                    break
        except (NotStraight, Refusal) as reason:
            self.remarks.append(f"loop {loop.index.name} stays: {reason}")
        result: list[Node] = [loop]
        for conditions, raised in reversed(versions):
            condition = conjunction(dict.fromkeys(conditions))
            result = raised if condition is None else [Guard(condition, tuple(raised), tuple(result))]
        return result

    def _without_loops(self, conditions: Sequence[Node], raised: Sequence[Node]) -> Node | None:
        """What has no loops ahead of time: a statement, or a test of what the program changes."""
        for condition in conditions:
            for scalar in scalars_of(condition):
                if scalar.name in self.assigned or scalar.type.element is not INT64:
                    return condition
        return next((statement for statement in raised if not has_loops(statement)), None)

    @functools.cached_property
    def assigned(self) -> set[str]:
        """The names of what the program stores."""
        stored = [node for node in self.program.nodes() if isinstance(node, Store | Assign)]
        return {n.operand.name if isinstance(n, Store) else _base(n.target).name for n in stored}


def _is_temporary(node: Node) -> bool:
    return isinstance(node, Scratch) and not node.extents


def _guesses(body: Body, arrays: Mapping[Operand, tuple[Index, ...]], known: Mapping[Node, int]) -> dict[Node, Linear]:
    """What lengths are worth testing for being equal to a bound of a loop: those of what is walked along it.

    `r[i] = a[i + 1]` for i up to n: that r is of length n, and a of n + 1.
    """
    reach: dict[Node, dict[Node, int]] = {}
    ends: set[Node] = set()
    for placed in body.statements:
        high: dict[Node, tuple[Node, int]] = {}
        low: dict[Node, int] = {}
        for number in placed.loops:
            try:
                span = span_of(body.loops[number], known)
            except Refusal:
                continue
            if len(span.low) == 1:
                low[span.index] = span.low[None]
            symbols = [s for s in span.high if s is not None]
            if len(symbols) == 1 and span.high[symbols[0]] == 1 and not isinstance(symbols[0], Index):
                high[span.index] = symbols[0], span.high[None]
                ends.add(symbols[0])
        for access in postorder((placed.node,)):
            if not isinstance(access, Load | Store) or access.operand in arrays:
                continue
            for axis, subscript in enumerate(access.subscripts):
                form = linear(subscript, known)
                length = Extent(access.operand, axis)
                moving = [s for s in form or () if isinstance(s, Index)]
                if form is None or length in known or len(moving) != 1:
                    continue
                index = moving[0]
                match [s for s in form if s is not None and s is not index]:
                    case [] if form[index] == 1 and index in high:
                        end, last = high[index]
                    case [end] if form[index] == -1 and form[end] == 1 and index in low:
                        # Mirrored: n - 1 - i.
                        last = -low[index]
                    case _:
                        continue
                found = reach.setdefault(length, {})
                found[end] = max(found.get(end, 0), last + form[None] + 1)
    return {
        length: {end: 1, None: beyond}
        for length, found in reach.items()
        if length not in ends and len(found) == 1
        for end, beyond in found.items()
    }


class _Nest:
    """One nest, distributed over its statements. `equal` is what lengths are taken to be equal to."""

    def __init__(
        self,
        around: _Raising,
        original: For,
        body: Body,
        arrays: Mapping[Operand, tuple[Index, ...]],
        equal: Mapping[Node, Linear],
        depends: Sequence[Dependence],
    ):
        self.original = Body.of((original,), around.known)
        self.program = around.program
        self.names = around.names
        self.body = body
        self.arrays = arrays
        self.equal = equal
        self.known = around.known
        self.fast = around.fast
        self.remarks: dict[str, None] = {}
        #: What must be at least 0, by the condition that says so.
        self.requires: dict[Node, Linear] = {}
        self.locals: list[Operand] = []
        #: Those of another version of the nest.
        self.taken = around.locals
        self.made: dict[Operand, tuple[tuple[Index, ...], Operand]] = {}
        self.accesses = [n for n in postorder([p.node for p in body.statements]) if isinstance(n, Load | Store)]
        self.written = frozenset(
            n.operand.name if isinstance(n, Store) else _base(n.target).name
            for n in postorder([p.node for p in body.statements])
            if isinstance(n, Store | Assign)
        )
        self.depends = depends

    def run(self) -> list[Node] | None:
        """The statements that the nest becomes; None where none of it is raised. Raises Refusal."""
        parts = self.distributed(list(range(len(self.body.statements))), 0)
        if not any(part.nodes for part in parts):
            return None
        statements = self.assembled(parts, 0)
        if any(n.operand in self.arrays for n in postorder(statements) if isinstance(n, Load | Store)):
            raise Refusal("a temporary is stored in a loop that stays")
        for local in self.locals:
            if not _well_placed(statements, local):
                raise Refusal(f"{local.name} is used in several loops that stay")
        self.within()
        self.requires = _independent(self.requires)
        return statements

    def within(self) -> None:
        """Require that all that the nest touches lies within its axes, also what stays in loops: else what has been
        stored when an error is raised would be something else, and elements beyond an axis would be others."""
        for placed in self.original.statements:
            loops = [self.original.loops[number] for number in placed.loops]
            raiser = Raiser(self.known, self.equal, loops, {}, self.local, self.written, self.fast)
            conditions = [condition for condition, _ in placed.conditions]
            bounds = [bound for loop in loops for bound in loop.args[1:4]]
            accesses = [n for n in postorder([placed.node, *conditions, *bounds]) if isinstance(n, Load | Store)]
            self.require(raiser.within(accesses, placed.conditions))

    def distributed(self, members: Sequence[int], level: int) -> list[_Part]:
        """The statements in parts, in order, within `level` loops that are around all of them."""
        inside = set(members)
        edges = [
            d for d in self.depends if d.source in inside and d.sink in inside and (d.level == 0 or d.level > level)
        ]
        parts = []
        for group in components(members, edges):
            within = [d for d in edges if d.source in group and d.sink in group]
            parts.append(self.part(group, within, level))
        return parts

    def part(self, group: list[int], edges: Sequence[Dependence], level: int) -> _Part:
        placed = self.body.statements[group[0]]
        if len(placed.loops) <= level:
            return _Part(group)
        name = self.body.loops[placed.loops[level]].index.name
        forbidding = [d for d in edges if len(group) > 1 or self.forbids(d)]
        if forbidding:
            carried = next((d for d in forbidding if d.level == level + 1), forbidding[0])
            self.remarks[f"loop {name} stays: {self.explained(carried)}"] = None
        else:
            try:
                return _Part(group, self.whole(placed, level))
            except Refusal as reason:
                self.remarks[f"loop {name} stays: {reason}"] = None
        inner = self.distributed(group, level + 1)
        if not any(part.nodes for part in inner):
            return _Part(group)
        loop = self.body.loops[placed.loops[level]]
        around = For(loop.index, loop.start, loop.stop, loop.step, tuple(self.assembled(inner, level + 1)))
        return _Part(group, [around])

    def forbids(self, depends: Dependence) -> bool:
        """Whether a dependence of a statement on itself keeps it from being one assignment, which reads before it
        stores, and may add up."""
        if depends.kind == "anti":
            return False
        store = self.body.statements[depends.source].node
        if not isinstance(store, Store) or accumulation(store) is None:
            return True
        current = Load(store.operand, store.subscripts)
        return depends.first not in (store, current) or depends.second not in (store, current)

    def explained(self, depends: Dependence) -> str:
        one, other = (self.body.statements[k].node for k in (depends.source, depends.sink))
        if depends.operand == EVERYTHING:
            effect = next((n for n in (one, other) if any(isinstance(e, EFFECTS) for e in postorder((n,)))), one)
            return f"{effect!r} has an effect, which keeps its place"
        distances = [
            direction if distance is None else str(distance)
            for direction, distance in zip(depends.directions, depends.distances, strict=True)
        ]
        where = f"distance ({', '.join(distances)})"
        if all(distance is None for distance in depends.distances):
            where = f"direction ({', '.join(depends.directions)})"
        what = f"{depends.kind} dependence by {depends.operand}, {where}"
        return f"{one!r} depends on itself: {what}" if one is other else f"{other!r} depends on {one!r}: {what}"

    def whole(self, placed: Placed, level: int) -> list[Node]:
        """The assignment that a statement within the loops from `level` on is. Raises Refusal."""
        if not isinstance(placed.node, Store):
            raise Refusal(f"{placed.node!r} is no store of an element")
        loops = [self.body.loops[number] for number in placed.loops]
        raiser = Raiser(self.known, self.equal, loops[:level], self.arrays, self.local, self.written, self.fast)
        carriers = [Load(access.operand, access.subscripts) for access in self.accesses]
        raised = raiser.raised(placed.node, loops[level:], placed.conditions, carriers)
        statement: Node = raised.statement
        made = {operand for _, operand in self.made.values()}
        touched = [n for n in postorder((statement,)) if isinstance(n, Operand) and n in made]
        if touched and placed.conditions:
            raise Refusal(f"{touched[0].name} is used under a condition")
        for operand in touched:
            if operand not in self.locals:
                if operand is not raised.statement.target or operand in postorder((raised.statement.value,)):
                    raise Refusal(f"{operand.name} is read before it is stored")
                self.locals.append(operand)
        self.require(raised.requires)
        condition = conjunction(raised.conditions)
        return [statement if condition is None else Guard(condition, (statement,))]

    def require(self, forms: Iterable[Linear]) -> None:
        self.requires.update({_at_least_zero(form): form for form in forms})

    def local(self, operand: Operand, along: tuple[Index, ...]) -> Operand:
        """The local that stands for a temporary over the loops that it is raised from."""
        known = self.made.get(operand)
        if known is None:
            made = Operand(operand.name, operand.type.element.array(len(along)))
            if any(other.name == made.name and other is not made for other in self.taken):
                made = Operand(untaken(operand.name, self.names), made.type)
                self.names.add(made.name)
            known = self.made[operand] = along, made
        if known[0] != along:
            raise Refusal(f"{operand.name} is used in loops that stay and in others")
        return known[1]

    # -- what is left of loops --

    def assembled(self, parts: Sequence[_Part], level: int) -> list[Node]:
        """The statements of parts in order; what is not raised stays together in its loops, those from `level` on."""
        found: list[Node] = []
        left: list[int] = []
        for part in [*parts, None]:
            if part is not None and part.nodes is None:
                left.extend(part.members)
                continue
            if left:
                found.extend(_inside(self.kept(set(left)), level))
                left = []
            if part is not None and part.nodes is not None:
                for node in part.nodes:
                    merged = _merged(found[-1], node, self.fast) if found else None
                    if merged is not None:
                        found.pop()
                    found.append(merged or node)
        return found

    def kept(self, members: set[int]) -> list[Node]:
        """The nest with these of its statements only."""
        count = iter(range(len(self.body.statements)))

        def pruned(nodes: Iterable[Node]) -> tuple[Node, ...]:
            found: list[Node] = []
            for node in nodes:
                match node:
                    case For():
                        body = pruned(node.body)
                        if body:
                            found.append(For(node.index, node.start, node.stop, node.step, body))
                    case Guard():
                        then, otherwise = pruned(node.then), pruned(node.otherwise)
                        if then or otherwise:
                            found.append(Guard(node.condition, then, otherwise))
                    case _:
                        if next(count) in members:
                            found.append(node)
            return tuple(found)

        return list(pruned([self.body.loops[0]]))

    def conditions(self) -> list[Node]:
        """What has to hold for the statements to mean the nest."""
        equal = [Apply(_EQUAL, (length, expression_of(form))) for length, form in self.equal.items()]
        return [*equal, *self.requires, *self.disjoint()]

    def disjoint(self) -> Iterator[Node]:
        """That what is stored shares no memory with what is touched."""
        own = {*self.program.locals, *self.arrays}
        touched = [o for o in self.program.declared if o in _operands(self.body) and o not in own]
        alone = len(self.body.statements) == 1
        for one in touched:
            if one.name not in self.written:
                continue
            for other in touched:
                if other is one or (other.name in self.written and touched.index(other) < touched.index(one)):
                    continue
                places = {n.subscripts for n in self.accesses if n.operand in (one, other)}
                loaded = any(n.operand is other for n in self.accesses)
                yield Disjoint(one, other, alone and loaded and len(places) == 1)


@dataclass
class _Part:
    """Statements that stay together: what they become, or None where they stay as they are."""

    members: list[int]
    nodes: list[Node] | None = None


def components(members: Sequence[int], edges: Iterable[Dependence]) -> list[list[int]]:
    """The cycles of dependences, and the statements in none, each after what it depends on and else in order."""
    after: dict[int, set[int]] = {member: set() for member in members}
    for edge in edges:
        after[edge.source].add(edge.sink)
    component = _cycles(after)
    groups: dict[int, list[int]] = {}
    for member in members:
        groups.setdefault(component[member], []).append(member)
    waiting = {
        key: {component[s] for s in members for t in after[s] if component[t] == key and component[s] != key}
        for key in groups
    }
    found = []
    while waiting:
        key = min((key for key, before in waiting.items() if not before), key=lambda key: groups[key][0])
        del waiting[key]
        for before in waiting.values():
            before.discard(key)
        found.append(groups[key])
    return found


def _cycles(after: Mapping[int, set[int]]) -> dict[int, int]:
    """For each node of a graph one that stands for its strongly connected component (Tarjan, 1972)."""
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    found: dict[int, int] = {}
    path: list[int] = []
    for root in after:
        if root in number:
            continue
        stack = [(root, iter(sorted(after[root])))]
        number[root] = low[root] = len(number)
        path.append(root)
        while stack:
            node, rest = stack[-1]
            for other in rest:
                if other not in number:
                    number[other] = low[other] = len(number)
                    path.append(other)
                    stack.append((other, iter(sorted(after[other]))))
                    break
                if other not in found:
                    low[node] = min(low[node], number[other])
            else:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[node])
                if low[node] == number[node]:
                    while True:
                        member = path.pop()
                        found[member] = node
                        if member == node:
                            break
    return found


def _merged(before: Node, node: Node, fast: bool) -> Node | None:
    """One assignment for `s[...] = 0` and `s[...] = s + x` after it; None of any other two."""
    match before, node:
        case Assign(target, start), Assign(same, Apply(op, (current, part)) as total) if target is same is current:
            # The constant may have been given a shape: where(True, 0, a).
            shaped = start.args if isinstance(start, Apply) and start.op is _WHERE else ()
            value = shaped[1] if shaped and isinstance(shaped[0], Constant) else start
            kind = kind_of(total)
            if isinstance(value, Constant) and any(
                unit.value == value.value and unit.left and unit.law.holds(kind, fast) for unit in op.units
            ):
                return Assign(target, Apply(_WHERE, (shaped[0], part, shaped[2])) if shaped else part)
    return None


def _inside(nodes: Iterable[Node], level: int) -> list[Node]:
    """What is within the outermost `level` loops, with the guards on the way."""
    if level == 0:
        return list(nodes)
    found: list[Node] = []
    for node in nodes:
        match node:
            case For():
                found.extend(_inside(node.body, level - 1))
            case Guard():
                then, otherwise = (tuple(_inside(branch, level)) for branch in (node.then, node.otherwise))
                found.append(Guard(node.condition, then, otherwise))
    return found


def _well_placed(block: Iterable[Node], local: Operand) -> bool:
    """Whether what touches a local first in a block, or in the one loop or guard that does, assigns it as a whole."""
    touching = [statement for statement in block if local in postorder((statement,))]
    if len(touching) == 1 and isinstance(touching[0], For):
        return _well_placed(touching[0].body, local)
    if len(touching) == 1 and isinstance(touching[0], Guard):
        return all(_well_placed(branch, local) for branch in (touching[0].then, touching[0].otherwise))
    first = touching[0] if touching else None
    return first is None or (
        isinstance(first, Assign) and first.target is local and local not in postorder((first.value,))
    )


def _operands(body: Body) -> set[Operand]:
    """The operands whose elements a body touches."""
    names = {n for placed in body.statements for n in (placed.node, *(c for c, _ in placed.conditions))}
    names.update(bound for loop in body.loops for bound in loop.args[1:4])
    lengths = {n.operand for n in postorder(names) if isinstance(n, Extent | Stride)}
    read = {child for n in postorder(names) if not isinstance(n, Extent | Stride) for child in n.args}
    return {n for n in read if isinstance(n, Operand)} | {n for n in names if isinstance(n, Operand)} - lengths


def _base(target: Node) -> Operand:
    while isinstance(target, View):
        target = target.arg
    assert isinstance(target, Operand)
    return target


def _independent(requires: Mapping[Node, Linear]) -> dict[Node, Linear]:
    """The conditions without those that follow from others."""
    kept = dict(requires)
    for condition, form in requires.items():
        others = [other for each, other in kept.items() if each is not condition]
        if follows(form, others):
            del kept[condition]
    return kept


def _at_least_zero(form: Linear) -> Node:
    """The condition that a form is at least 0, with nothing subtracted."""
    above = {symbol: count for symbol, count in form.items() if count > 0}
    below = {symbol: -count for symbol, count in form.items() if count < 0}
    return Apply(_AT_MOST, (expression_of({None: 0, **below}), expression_of({None: 0, **above})))
