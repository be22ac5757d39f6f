"""The pass `fuse`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from ..assumption import Assumption
from ..infer import RAISES, UNREORDERABLE, effects, operands, reads, same_lengths
from ..nodes import (
    Assign,
    Contract,
    Extent,
    For,
    Node,
    Operand,
    Pack,
    Scratch,
    SideEffect,
    Slice,
    Store,
    Unreorderable,
    View,
    postorder,
    substitute,
)
from ..program import Program
from ..regions import Access, Group, Meeting, Part, base, beneath, part_of
from .nests import untaken

#: Of a value that is computed again for each reader, the operations and the arrays read at the most.
_AGAIN, _ARRAYS = 100.0, 6
#: Clusters that a statement is tried in at the most.
_TRIED = 4
#: Parts of an operand that are told apart at the most.
_PARTS = 8
_LAST: Final = float("inf")


def fuse(program: Program, *, guarded: bool = False) -> Program:
    """Bring statements together that one nest computes, and values to what reads them, so that less goes to memory.

        t[...] = a + b                   r[...] = (a + b) * c
        x[...] = sqrt(y)           ->    s[...] = (a + b) - c          (t is a local)
        r[...] = t * c                   x[...] = sqrt(y)
        s[...] = t - c

    A statement goes to the earliest region (`regions`) that it may be part of, after all that it depends on. Within
    a region it reads what an earlier one of the region assigns as that one's value; a local that no one else reads is
    gone. A local that other regions read is computed again there where that costs less than to store and to load it,
    also at other places, as in `t[1:] - t[:-1]`. A region that would be too wide ends, and another one begins.
    The bodies of loops that stay are fused alike; the locals that no one else mentions are their own.

    Keeps every value bit for bit, and the order of effects, where operands share no memory. `Program.assumption` says
    what was taken for granted of memory and, if the program is `guarded`, of shapes, and has the program as it was:
    that is what is run where it does not hold.

    Requires: who runs the program asks `Program.assumption`.
    """
    original = program
    loops = _Loops(program, guarded)
    program = outer = loops.program
    if guarded:
        program = _parted(program)
    apart, alike, fused = set(loops.apart), list(loops.alike), outer
    if len(program.statements) > 1:
        statements, fresh = _renamed(program)
        fusion = _Fusion(program, statements, fresh, guarded)
        made = fusion.statements()
        if made != statements:
            new = {old: fusion.new.get(now, now) for old, now in zip(program.statements, statements, strict=True)}
            left = {name for statement in made for name in operands(statement)}
            apart |= fusion.seen_outside()
            alike += fusion.alike
            fused = program.rewritten(made, {k: v for k, v in new.items() if k is not v})
            fused = fused.replace(locals=tuple(o for o in (*program.locals, *fresh) if o.name in left))
    if fused is original:
        return original
    apart &= {operand.name for operand in program.operands + program.results}
    before = program.assumption
    if before is not None:
        apart |= set(before.apart)
        alike = [*before.alike, *alike]
    if not apart and not alike:
        return fused
    otherwise = original if before is None else before.otherwise
    lengths = () if before is None else before.lengths
    return fused.replace(assumption=Assumption(tuple(sorted(apart)), tuple(dict.fromkeys(alike)), otherwise, lengths))


class _Loops:
    """A program whose loops that stay have fused bodies.

    A body is what one iteration does: what holds for a program holds for it, and iterations keep their order. Locals
    that nothing around a loop mentions are its own, another one in each iteration.
    """

    def __init__(self, program: Program, guarded: bool):
        self.given = program
        self.guarded = guarded
        self.apart: set[str] = set()
        self.alike: list[tuple[Node, Node]] = []
        self.new: dict[Node, Node] = {}
        self.program = program
        if any(type(statement) is For for statement in program.statements):
            statements = self._block(program.statements, {operand.name for operand in program.locals})
            left = {name for statement in statements for name in operands(statement)}
            if statements != program.statements:
                kept = tuple(o for o in program.locals if o.name in left)
                self.program = program.rewritten(statements, self.new).replace(locals=kept)

    def _block(self, statements: Sequence[Node], locals_: Collection[str]) -> tuple[Node, ...]:
        """The statements, with the loops among them; of `locals_` nothing outside knows."""
        mentions = Counter(name for statement in statements for name in operands(statement))
        made = []
        for statement in statements:
            if type(statement) is For:
                own = {name for name in operands(statement) if mentions[name] == 1 and name in locals_}
                body = self._body(statement.body, own)
                if body != statement.body:
                    self.new[statement] = For(statement.index, statement.start, statement.stop, statement.step, body)
                made.append(self.new.get(statement, statement))
            else:
                made.append(statement)
        return tuple(made)

    def _body(self, statements: Sequence[Node], own: Collection[str]) -> tuple[Node, ...]:
        # A first result does not pay for what few programs have.
        from ..swaps import swapped

        statements = self._block(statements, own)
        # Where two arrays change places, the copy of one to the other stays by itself.
        last = len(statements) - (swapped(statements) is not None)
        given, rest = statements[:last], statements[last:]
        if len(given) < 2 or not any(isinstance(s, Assign) and s.target.type.rank for s in given):
            return statements
        kept = {name for statement in rest for name in operands(statement)}
        declared = {operand.name: operand for operand in self.given.declared}
        mine = [declared[name] for name in own if name not in kept]
        program = Program("body", self.given.operands, given, locals=mine)
        fusion = _Fusion(program, given, (), self.guarded, before=declared.keys() - own)
        made = fusion.statements()
        if made == given:
            return statements
        self.apart |= fusion.seen_outside()
        self.alike += fusion.alike
        self.new.update(fusion.new)
        return (*made, *rest)


def _parted(program: Program) -> Program:
    """The program with a local for each value of which a statement reads parts, so that it may be computed there."""
    taken = {operand.name for operand in program.declared}
    fresh: list[Operand] = []
    known: dict[Node, Operand] = {}
    statements: list[Node] = []
    new: dict[Node, Node] = {}
    for statement in program.statements:
        if not isinstance(statement, Assign) or effects(statement):
            known.clear()
            statements.append(statement)
            continue
        mapped: dict[Node, Node] = {}
        for node in postorder((statement.value,)):
            value = node
            while isinstance(value, View):
                value = value.arg
            if value is node or isinstance(value, Operand) or _whole(node):
                continue
            if any(isinstance(each, Contract) for each in postorder((value,))):
                continue
            if value not in known:
                local = Operand(untaken("t", taken), value.type.plain)
                taken.add(local.name)
                fresh.append(local)
                known[value] = local
                statements.append(Assign(local, substitute((value,), mapped.get)[0]))
            mapped[value] = known[value]
        name = base(statement.target).name
        for value in [value for value in known if name in operands(value)]:
            del known[value]
        if mapped:
            # The innermost are mapped already where they stand in others.
            new[statement] = Assign(statement.target, substitute((statement.value,), mapped.get)[0])
        statements.append(new.get(statement, statement))
    if not fresh:
        return program
    return program.rewritten(statements, new).replace(locals=(*program.locals, *fresh))


def _whole(node: Node) -> bool:
    """Whether a chain of views shows all of what it is of."""
    while isinstance(node, View):
        if beneath(node, tuple(range(node.type.rank))) is None:
            return False
        node = node.arg
    return True


def _renamed(program: Program) -> tuple[tuple[Node, ...], list[Operand]]:
    """The statements with another local for each time that one is assigned as a whole, in its first shape."""
    local = set(program.locals)
    first: dict[Node, Node] = {}
    again = False
    for statement in program.statements:
        if not isinstance(statement, Assign):
            return program.statements, []
        if statement.target in local:
            again = again or statement.target in first
            first.setdefault(statement.target, statement.value)
    if not again or any(effects(statement) for statement in program.statements):
        return program.statements, []
    taken = {operand.name for operand in program.declared}
    called: dict[Node, Node] = {}
    fresh: list[Operand] = []
    seen: set[Node] = set()
    result: list[Node] = []
    for statement in program.statements:
        assert isinstance(statement, Assign)
        target, value = statement.target, statement.value
        if called:
            (value,) = substitute((value,), called.get)
        if target in seen and same_lengths(first[target], statement.value):
            operand = Operand(untaken(base(target).name, taken), target.type)
            taken.add(operand.name)
            fresh.append(operand)
            called[target] = target = operand
        else:
            if target in local:
                seen.add(target)
            if called:
                (target,) = substitute((target,), called.get)
        result.append(Assign(target, value))
    return tuple(result), fresh


class _Value:
    """What an operand or a part of it holds after a statement: `value`, over what was there before its region.

    `at` is its place in the region's shape, `place` that of the region; `versions` tells how often what it reads had
    been assigned to, and `own` how often it had been itself.
    """

    def __init__(
        self, target: Node, at: tuple[int, ...], value: Node, place: int, own: int, way: _Way, full: bool, uses: int
    ):
        self.target = target
        self.at = at
        self.value = value
        self.place = place
        self.own = own
        self.reads = way.reads
        self.lengths = tuple(way.lengths)
        self.work = way.work
        self.reduces = way.reduces
        self.versions = way.versions
        self.full = full
        self.uses = uses
        #: Whether someone reads it from memory.
        self.stored = False


class _Entry:
    """A statement of a region; `rank` says where it stands among the others."""

    def __init__(self, statement: Node, rank: float, value: _Value | None = None):
        self.statement = statement
        self.rank = rank
        self.value = value
        #: Whether the same is assigned once more in the region.
        self.replaced = False


class _Cluster:
    """A region to be, or a statement that none computes, for which `group` is None."""

    def __init__(self, *entries: _Entry) -> None:
        self.group: Group | None = None
        self.entries = list(entries)
        #: By name, the statements that assign parts of it, by part; of each access, the last place of one that reads
        #: what was there before.
        self.writers: dict[str, dict[Node, _Entry]] = {}
        self.readers: dict[Access, float] = {}
        self.last = 0.0
        #: How many of its values are stored.
        self.outputs = 0


class _Way:
    """How a statement may join a cluster: what becomes of what it reads, and where it then stands."""

    def __init__(self, work: float, reduces: bool):
        self.work = work
        self.reduces = reduces
        self.rank = 0.0
        self.reads: dict[Access, None] = {}
        self.versions: dict[str, int] = {}
        self.new: dict[Node, Node] = {}
        self.stored: list[_Value] = []
        self.lengths: list[Extent] = []
        self.alike: list[tuple[Node, Node]] = []
        #: The region's axes that the statement's own are, where it has fewer.
        self.into: tuple[int, ...] | None = None

    def read(self, access: Access, version: int) -> None:
        self.reads[access] = None
        name = base(access[0]).name
        # What was read of two times is never the same again.
        self.versions[name] = version if self.versions.get(name, version) == version else -1

    def at(self, places: tuple[int, ...]) -> tuple[int, ...]:
        return places if self.into is None else tuple(self.into[k] for k in places)


class _History:
    """By name, the last place that touches it, and that of each of its parts that were touched lately."""

    def __init__(self, meet: Meeting):
        self.meet = meet
        self.last: dict[str, int] = {}
        #: None is all of it.
        self.parts: dict[str, dict[Node | None, int]] = {}

    def touch(self, node: Node, place: int) -> None:
        name = base(node).name
        self.last[name] = max(place, self.last.get(name, -1))
        parts = self.parts.setdefault(name, {})
        parts[node] = max(place, parts.get(node, -1))
        if len(parts) > _PARTS:
            self.whole(name, self.last[name])

    def whole(self, name: str, place: int) -> None:
        self.last[name] = max(place, self.last.get(name, -1))
        self.parts[name] = {None: self.last[name]}

    def after(self, node: Node, place: int) -> bool:
        """Whether something in common with a part was touched after a place."""
        name = base(node).name
        if self.last.get(name, -1) <= place:
            return False
        parts = self.parts[name].items()
        return any(where > place and (part is None or self.meet(node, part)) for part, where in parts)


def _bridged(given: Sequence[Node], parts: Sequence[Part | None]) -> tuple[list[Node], list[Part | None]]:
    """The statements with one that reads what two before it read, which have nothing in common, between those two.

        s[...] = x * x                   s[...] = x * x
        t[...] = y * y           ->      u[...] = x * y
        u[...] = x * y                   t[...] = y * y

    Each then shares something with those of its region so far.
    """
    given, parts = list(given), list(parts)
    for k in range(2, len(parts)):
        both, other = parts[k], parts[k - 1]
        if both is None or other is None or not _share(both, other):
            continue
        if _names(other) & {both.name} or _names(both) & {other.name}:
            continue
        before = [part for part in parts[max(0, k - 1 - _TRIED) : k - 1] if part is not None and _share(part, both)]
        if before and not any(_share(part, other) for part in before):
            given[k - 1], given[k] = given[k], given[k - 1]
            parts[k - 1], parts[k] = both, other
    return given, parts


def _share(one: Part, other: Part) -> bool:
    """Whether two statements of one rank read something in common."""
    return one.rank == other.rank and not one.reads.keys().isdisjoint(other.reads)


def _names(part: Part) -> set[str]:
    """The names of all that a statement reads and assigns."""
    return {part.name, *(base(node).name for node, _ in part.reads), *(length.operand.name for length in part.lengths)}


class _Fusion:
    """Places statements one after the other; of each operand it knows where it is read and assigned last."""

    def __init__(
        self,
        program: Program,
        given: Sequence[Node],
        fresh: Sequence[Operand],
        guarded: bool,
        before: Iterable[str] = (),
    ):
        self.guarded = guarded
        self.private = {operand.name for operand in (*program.locals, *fresh)}
        self.operands = {operand.name for operand in program.operands}
        self.names = {operand.name for operand in program.declared}
        self.meet = Meeting()
        parts = [part_of(statement, self.meet) for statement in given]
        # Where views move, values stay where they are.
        kept = [None if part is None or part.moves else part for part in parts]
        self.given, self.parts = _bridged(given, kept)
        self.clusters: list[_Cluster] = []
        #: The first cluster that a statement may be put in.
        self.floor = 0
        self.written = _History(self.meet)
        self.read = _History(self.meet)
        #: How often each was assigned; those of `before` have been elsewhere, and have their shape.
        self.version = dict.fromkeys(before, 1)
        #: What the parts of an operand hold, which have no elements in common.
        self.values: dict[str, list[_Value]] = {}
        self.latest: dict[Access, int] = {}
        self.alike: list[tuple[Node, Node]] = []
        #: What is assigned in ways that only its effects tell.
        self.touched: set[str] = set()
        self.new: dict[Node, Node] = {}

    def statements(self) -> tuple[Node, ...]:
        uses = self._uses()
        for k, (statement, part) in enumerate(zip(self.given, self.parts, strict=True)):
            if part is None:
                self._alone(statement)
            else:
                self._place(part, uses[k])
        result: list[Node] = []
        for cluster in self.clusters:
            for entry in sorted(cluster.entries, key=lambda entry: entry.rank):
                value = entry.value
                gone = value is not None and not value.stored and base(value.target).name in self.private
                if not gone and not entry.replaced:
                    result.append(entry.statement)
        return tuple(result)

    def seen_outside(self) -> set[str]:
        """What is assigned of the caller's memory; nothing where it is so once, at the end."""
        places = [
            k for k, (s, part) in enumerate(zip(self.given, self.parts, strict=True))
            if part is None and not (isinstance(s, Assign) and base(s.target).name in self.private)
            or part is not None and part.name not in self.private
        ]  # fmt: skip
        if places == [len(self.given) - 1] and self.parts[-1] is not None:
            return set()
        return {base(s.target).name for s in self.given if isinstance(s, Assign)} | self.touched

    def _uses(self) -> list[int]:
        """For each statement that assigns a local as a whole, how many read it until the next one does."""
        uses = [0] * len(self.parts)
        last: dict[str, int] = {}
        for k, (statement, part) in enumerate(zip(self.given, self.parts, strict=True)):
            names = operands(statement) if part is None else {base(node).name for node, _ in part.reads}
            for name in names:
                if name in last:
                    uses[last[name]] += 1
            if part is not None and part.name in self.private and isinstance(part.writes[0], Operand):
                last[part.name] = k
        return uses

    # -- statements that no region computes --

    def _alone(self, statement: Node) -> None:
        """Put a statement after all that there is; where it is not known what it touches, nothing passes it."""
        place = len(self.clusters)
        self.clusters.append(_Cluster(_Entry(statement, 0.0)))
        read, written = _touched(statement)
        fence = read is None or written is None or effects(statement) & (RAISES | UNREORDERABLE)
        if fence:
            self.floor = place + 1
        for name in self.values if fence else operands(statement) | (read or set()):
            for value in self.values.get(name, ()):
                self._store(value)
        for name in read or ():
            self.read.whole(name, place)
        for name in self.names if written is None else written:
            self.written.whole(name, place)
            self.version[name] = self.version.get(name, 0) + 1
            for value in self.values.pop(name, ()):
                self._store(value)
        self.touched |= self.names if written is None else written

    def _store(self, value: _Value) -> None:
        """Have a value in memory, since someone reads it there."""
        if not value.stored:
            value.stored = True
            if base(value.target).name in self.private:
                self.clusters[value.place].outputs += 1

    # -- statements of regions --

    def _place(self, part: Part, uses: int) -> None:
        """Put a statement into the cluster that it goes best with, or into a new one."""
        named: dict[str, list[Access]] = {}
        # Rather where a value is that it reads than where others read what it does.
        flows: set[int] = set()
        places: set[int] = set()
        for access in part.reads:
            name = base(access[0]).name
            named.setdefault(name, []).append(access)
            flows.update(value.place for value in self.values.get(name, ()))
            if len(access[1]) == part.rank > 0 and access in self.latest:
                places.add(self.latest[access])
        flows.update(value.place for value in self.values.get(part.name, ()))
        for place in (*sorted(flows, reverse=True)[:_TRIED], *sorted(places - flows, reverse=True)[:_TRIED]):
            cluster = self.clusters[place]
            if place >= self.floor and cluster.group is not None:
                way = self._way(cluster, place, part, named)
                if way is not None:
                    self._join(cluster, place, way, part, uses)
                    return
        place = len(self.clusters)
        way = self._way(None, place, part, named)
        assert way is not None
        self.clusters.append(_Cluster())
        self._join(self.clusters[place], place, way, part, uses)

    def _way(self, cluster: _Cluster | None, place: int, part: Part, named: dict[str, list[Access]]) -> _Way | None:
        """How a statement may be one of a cluster's, or of a new one; None where it may not."""
        way = _Way(part.work, bool(part.reduced))
        group = None if cluster is None else cluster.group
        if group is not None and group.space(part) is None:
            way.into = self._into(group, place, part, named)
            if way.into is None:
                return None
        substituted = []
        for accesses, values in self._by_value(named):
            value = values[0] if len(values) == 1 else None
            if value is not None and value.place == place:
                # What the region computes is read as the value itself.
                if not self._within(value, accesses, way, part):
                    return None
                way.new[value.target] = value.value
                way.reduces = way.reduces or value.reduces
                way.lengths.extend(value.lengths)
                for access in value.reads:
                    way.read(access, value.versions[base(access[0]).name])
                substituted.append(value)
            elif value is not None and self._again(value, accesses, place, way, part):
                for node, at in accesses:
                    for inner, axes in value.reads:
                        if node is value.target or not axes:
                            access = inner, way.at(tuple(at[k] for k in axes))
                        else:
                            # A part has the part's axes, which may be fewer.
                            access = _seen(inner, node), way.at(at)
                        way.read(access, value.versions[base(inner).name])
                way.lengths.extend(value.lengths)
            elif any(self.written.after(node, place - 1) for node, _ in accesses):
                return None
            else:
                way.stored.extend(values)
                for node, at in accesses:
                    way.read((node, way.at(at)), self.version.get(base(node).name, 0))
        if not self._lengths(way, part, place):
            return None
        if cluster is not None and not self._fits(cluster, place, way, part, substituted):
            return None
        return way

    def _by_value(self, named: dict[str, list[Access]]) -> list[tuple[list[Access], list[_Value]]]:
        """What is read, by the values that have something in common with it."""
        found: list[tuple[list[Access], list[_Value]]] = []
        for name, accesses in named.items():
            held = self.values.get(name, [])
            if len(held) < 2 and (not held or isinstance(held[0].target, Operand)):
                found.append((accesses, held))
                continue
            groups: dict[tuple[int, ...], list[Access]] = {}
            for access in accesses:
                touched = tuple(k for k, value in enumerate(held) if self.meet(access[0], value.target))
                groups.setdefault(touched, []).append(access)
            found.extend((group, [held[k] for k in touched]) for touched, group in groups.items())
        return found

    def _into(self, group: Group, place: int, part: Part, named: dict[str, list[Access]]) -> tuple[int, ...] | None:
        """The axes that a region keeps, for a statement over those alone, made of what the region reduces."""
        kept = tuple(k for k in range(group.rank) if k not in group.reduced)
        if part.reduced or not group.reduced or part.rank != len(kept) or part.turns or (group.alone and part.rank):
            return None
        return kept if any(value.place == place for n in named for value in self.values.get(n, ())) else None

    def _fits(self, cluster: _Cluster, place: int, way: _Way, part: Part, substituted: Sequence[_Value]) -> bool:
        """Whether a statement may be one of a cluster's, where; and whether that is worth something."""
        group = cluster.group
        assert group is not None
        whole = len(group.reduced) == group.rank > 0
        if whole and part.reduced and any(value.reduces for value in substituted):
            # Sums of sums over everything take turns.
            return False
        target = part.writes[0]
        if self.read.after(target, place) or self.written.after(target, place):
            return False
        if any(length.operand.name in cluster.writers for length in way.lengths):
            return False
        others = cluster.writers.get(part.name, {})
        again = target in others
        if any(other is not target and self.meet(other, target) for other in others):
            return False
        if not substituted and not again and not group.shares(way.reads):
            return False
        if group.wide(way.reads, way.work, cluster.outputs):
            return False
        writes = target, way.at(part.writes[1])
        low, high = -_LAST, _LAST
        for access in way.reads:
            node = access[0]
            name = base(node).name
            if name == part.name and self.meet(node, target):
                if access != writes:
                    return False
                continue
            for other, entry in cluster.writers.get(name, {}).items():
                if self.meet(node, other):
                    # It reads what was there before, and so comes before.
                    if (other, group.writes[name][other]) != access:
                        return False
                    high = min(high, entry.rank)
        if again and not (group.writes[part.name][target] == writes[1] and self._replaces(way, part)):
            return False
        for access in group.reads.get(part.name, ()):
            if self.meet(access[0], target):
                if access != writes:
                    return False
                low = max(low, cluster.readers[access])
        if high == _LAST:
            way.rank = cluster.last + 1.0
        else:
            way.rank = (low + high) / 2 if low > -_LAST else high - 1.0
        return low < way.rank < high

    def _replaces(self, way: _Way, part: Part) -> bool:
        """Whether the statement that a region has for an operand may go, since another one assigns all of that."""
        target = part.writes[0]
        before = next((value for value in self.values.get(part.name, ()) if value.target is target), None)
        if before is None or part.name in self.operands:
            return before is not None
        # The first assignment of what the program makes gives it its shape.
        return same_lengths(before.value, substitute((part.statement.value,), way.new.get)[0])

    def _within(self, value: _Value, accesses: Sequence[Access], way: _Way, part: Part) -> bool:
        """Whether a value of the same region is read at its own place, and has the shape of what it is assigned to."""
        if any(node is not value.target or way.at(at) != value.at for node, at in accesses):
            return False
        name = base(value.target).name
        if value.value.type.rank != value.target.type.rank:
            return False
        if name in self.private and value.target is base(value.target) and value.own == 1:
            return True
        # What an operand or a part of one is assigned is broadcast to it, unless what it had is part of it.
        if (value.target, value.at) in value.reads and not value.reduces:
            return True
        if same_lengths(value.target, value.value):
            return True
        known = name in self.operands or (
            name not in self.private and value.own == 1 and value.target is base(value.target)
        )
        if not self.guarded or not known or any(base(node).name not in self.operands for node, _ in value.reads):
            return False
        way.alike.append((value.value, value.target))
        return True

    def _again(self, value: _Value, accesses: Sequence[Access], place: int, way: _Way, part: Part) -> bool:
        """Whether to compute a value once more where it is read; `way.new` has it then."""
        name = base(value.target).name
        if name not in self.private or value.own != 1 or value.reduces or not value.full:
            return False
        if _like(value) is None and any(length.operand.name == name for length in part.lengths):
            return False
        if len(value.reads) > _ARRAYS or value.work > _AGAIN or self.version[name] != value.own:
            return False
        for each, version in value.versions.items():
            if self.version.get(each, 0) != version:
                return False
        if any(self.written.after(node, place - 1) for node, _ in value.reads):
            return False
        new: dict[Node, Node] = {}
        alike: list[tuple[Node, Node]] = []
        for node in dict.fromkeys(node for node, _ in accesses):
            moved = value.value if node is value.target else self._elsewhere(value, node, alike)
            if moved is None:
                return False
            new[node] = moved
        t = value.target.type
        if t.rank:
            from ..cost import OPERATION, STREAMED

            # Nanoseconds to bring a byte from memory, or back.
            byte = sum(STREAMED) / 64
            read = sum(node.type.element.itemsize for node, at in value.reads if at)
            others = 1 - 1 / max(1, value.uses)
            kept = byte * t.element.itemsize * (1 + 2 / max(1, value.uses))
            if OPERATION * value.work * (len(new) - 1 + others) + byte * read * others > kept:
                return False
        way.new.update(new)
        way.alike.extend(alike)
        way.work += value.work * len(new)
        return True

    def _elsewhere(self, value: _Value, view: Node, alike: list[tuple[Node, Node]]) -> Node | None:
        """A part of a value, as the value of parts: of operands that are as long as it is."""
        rank = value.target.type.rank
        arrays = list(dict.fromkeys(node for node, at in value.reads if at))
        if not arrays or value.lengths or any(node.type.rank != rank for node in arrays):
            return None
        if any(at != tuple(range(rank)) for _, at in value.reads if at):
            return None
        for other in arrays[1:]:
            if same_lengths(arrays[0], other):
                continue
            if not self.guarded or any(base(node).name not in self.operands for node in (arrays[0], other)):
                return None
            alike.append((arrays[0], other))
        # An element by its place, as b[1] beside b, is the same one everywhere.
        parts = {node: _seen(node, view) if at else node for node, at in value.reads}
        found = substitute((value.value,), parts.get)[0]
        return found if found.type.rank == view.type.rank else None

    def _lengths(self, way: _Way, part: Part, place: int) -> bool:
        """Whether every length that a statement reads is known before it, as that of something else if need be."""
        for length in part.lengths:
            name = length.operand.name
            values = self.values.get(name)
            if name not in self.private or not values:
                way.lengths.append(length)
                continue
            if length.operand in way.new:
                like = _like(next(value for value in values if value.target is length.operand))
                if like is None:
                    return False
                way.new[length] = Extent(like, length.axis)
                way.lengths.append(Extent(like, length.axis))
                continue
            if any(value.place >= place for value in values):
                return False
            way.stored.extend(values)
            way.lengths.append(length)
        return True

    def _join(self, cluster: _Cluster, place: int, way: _Way, part: Part, uses: int) -> None:
        """Make a statement one of a cluster's."""
        for value in way.stored:
            self._store(value)
        self.alike.extend(way.alike)
        statement = made = part.statement
        if way.new:
            made = Assign(statement.target, substitute((statement.value,), way.new.get)[0])
            self.new[statement] = made
        target, at = part.writes[0], way.at(part.writes[1])
        group = cluster.group
        rank, reduced = part.rank, part.reduced
        if way.into is not None:
            assert group is not None
            rank, reduced = group.rank, group.reduced
        joined = Part(
            made, rank, reduced, way.reads, tuple(way.lengths), part.name, (target, at), part.work, part.turns
        )
        if group is None:
            cluster.group = group = Group.of(joined, self.meet)
        else:
            group.add(joined)
        name = part.name
        self.version[name] = own = self.version.get(name, 0) + 1
        value = _Value(target, at, made.value, place, own, way, len(at) == group.rank, uses)
        before = self.values.get(name, [])
        entry = _Entry(made, way.rank, value)
        mine = cluster.writers.setdefault(name, {})
        again = target in mine
        if again:
            mine[target].replaced = True
            value.stored = next(each for each in before if each.target is target).stored
        elif before and (name not in self.private or not isinstance(target, Operand) or own > 1):
            # A part of it is new, and the rest is there.
            for each in before:
                self._store(each)
            self._store(value)
        cluster.entries.append(entry)
        cluster.outputs += name not in self.private and not again
        mine[target] = entry
        cluster.last = max(cluster.last, way.rank)
        for access in way.reads:
            self.read.touch(access[0], place)
            cluster.readers[access] = max(way.rank, cluster.readers.get(access, -_LAST))
            if len(access[1]) == group.rank > 0:
                self.latest[access] = place
        self.written.touch(target, place)
        apart = [each for each in before if not self.meet(each.target, target)]
        for each in apart[: 1 - _PARTS]:
            self._store(each)
        self.values[name] = [*apart[1 - _PARTS :], value]


def _like(value: _Value) -> Operand | None:
    """An operand that has the shape of a value for sure."""
    return next((n for n, _ in value.reads if isinstance(n, Operand) and same_lengths(n, value.value)), None)


def _seen(node: Node, view: Node) -> Node:
    """What the chain of views `view` shows of another array."""
    chain = []
    while isinstance(view, View):
        chain.append(view)
        view = view.arg
    for link in reversed(chain):
        if isinstance(node, View) and _cuts(node.subscripts) and _cuts(link.subscripts):
            # a[1:][:-1] is a[1:-1]: one view for all ways to say so.
            node = View(node.arg, tuple(_cut(x, y) for x, y in zip(node.subscripts, link.subscripts, strict=True)))
        else:
            node = View(node, link.subscripts, link.order)
    return node


def _cuts(subscripts: tuple[object, ...] | None) -> bool:
    """Whether subscripts leave out a number of elements at the ends of axes, and nothing else."""
    return subscripts is not None and all(
        isinstance(x, Slice) and x.step in (None, 1) and (x.start or 0) >= 0 and (x.stop is None or x.stop < 0)
        for x in subscripts
    )


def _cut(one: Slice, other: Slice) -> Slice:
    start, stop = (one.start or 0) + (other.start or 0), (one.stop or 0) + (other.stop or 0)
    return Slice(start or None, stop or None)


def _touched(statement: Node) -> tuple[set[str] | None, set[str] | None]:
    """The names that a statement reads and those that it assigns; None where that may be any."""
    read: set[str] | None = set(reads(statement))
    written: set[str] | None = set()
    for node in postorder((statement,)):
        match node:
            case Assign():
                names = {base(node.target).name}
            case Store() | Scratch():
                names = {node.operand.name}
            case Pack():
                names = {node.target.name}
            case SideEffect():
                read = None if read is None or node.reads is None else read | set(node.reads)
                if node.writes is None:
                    written = None
                names = set(node.writes or ())
            case Unreorderable():
                return None, None
            case _:
                continue
        if written is not None:
            written |= names
    return read, written
