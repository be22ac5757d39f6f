"""Costly values that do not vary along some of a nest's loops are computed once for the loops that they vary along."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from math import inf

from ..affine import integer, least, minus, plus
from ..infer import PURE, cost, effects
from ..nodes import (
    Apply,
    Call,
    Cast,
    Constant,
    Extent,
    Function,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Scratch,
    Store,
    Stride,
    postorder,
    rebuild,
    substitute,
)
from ..program import Program
from ..record import record
from .nests import enclosed, extents_known, independent, movement, names_taken, nest_of, parts, untaken, values_under

#: Operations of one operator from which on its value may be hoisted: those of a division.
COSTLY = 8.0
#: Operations that a store and a load of a hoisted value cost.
STORE, LOAD = 2.0, 1.0
#: The most elements of a strip of hoisted values. Strips are of constant extent and in the second cache, but rows in
#: memory are walked in pieces: of rows of 4,000 doubles, exp(col)*a+sqrt(row) took 1.33 times as long as whole ones
#: in strips of 512 to 2,048; of rows of 32,000, 1.18 times in strips of 1,024, 1.11 of 4,096, 1.03 of 8,192.
STRIP = 8192
#: Bytes of all strips of a nest, which lie on the stack.
STRIP_BYTES = 256 * 1024


def hoist(program: Program, *, strips: bool = False, length: int = STRIP) -> Program:
    """Compute costly values that do not vary along a loop before it, into scratch, which the nest loads.

                                                 h0 = scratch(float64['C', :], n)
                                                 for j in serial(0, n, 1):
                                                     h0[j] = exp(row[j])
        for i in serial(0, m, 1):                for i in serial(0, m, 1):
            for j in serial(0, n, 1):        →       for j in serial(0, n, 1):
                r[i, j] = a[i, j] * exp(row[j])          r[i, j] = a[i, j] * h0[j]

    A value that varies along no loop goes to a single element of scratch. With `strips`, which takes a nest of
    independent iterations apart, scratch is of constant extent: the loop that a value varies along is cut into
    strips of `length` elements outside of those that it does not vary along, and a value that varies along several
    loops is hoisted out of the others. Without, the nest stays as it is, and only values of one loop are hoisted.

    Keeps: each value, computed from the same elements by the same operators.
    Requires: nests that `lower` or `sweep` made: operands overlap only where they are the same view.
    """
    known = extents_known(program)
    taken = names_taken(program)
    statements: list[Node] = []
    new: dict[Node, Node] = {}
    remarks: list[str] = []
    for statement in program.statements:
        if type(statement) is not Loop:
            statements.append(statement)
            continue
        found = _Hoisting(statement, program, known, taken, length if strips else 0)
        made = found.statements()
        statements.extend(made)
        new[statement] = made[-1]
        remarks.extend(found.remarks)
    return program.rewritten(statements, new).remarked(remarks)


def broadcast_matters(values: Sequence[Node], streams: Sequence[Operand], varying: Collection[Operand]) -> list[bool]:
    """Of each stream, whether `hoist` gains by being told which axes it is broadcast along.

    That is where a costly value is computed from it, and not from all of the streams that are `varying` along any.
    """
    under: dict[Node, frozenset[Node]] = {}
    every = frozenset(varying)
    found: set[Node] = set()
    for node in postorder(values):
        # A function's parameters are no streams.
        if isinstance(node, Function):
            continue
        if node in every:
            under[node] = frozenset((node,))
            continue
        under[node] = frozenset[Node]().union(*(under[child] for child in node.args if child in under))
        if _is_costly(node) and under[node] < every:
            found |= under[node]
    return [stream in found for stream in streams]


def _is_costly(node: Node) -> bool:
    return node.op.cost >= COSTLY if isinstance(node, Apply) else isinstance(node, Call) and cost(node) >= COSTLY


def _named(node: Node) -> str:
    return str(node.function.name if isinstance(node, Call) else node.op.name)  # type: ignore[attr-defined]


@record
class _Value:
    """A value to hoist: the indices that it varies along, outermost first, what each runs over, and its scratch."""

    node: Node
    along: tuple[Index, ...]
    ranges: tuple[Node, ...]
    scratch: Operand

    @property
    def depends(self) -> frozenset[Index]:
        return frozenset(self.along)


class _Hoisting:
    """One outermost loop, being relieved of what does not vary along its loops."""

    def __init__(self, loop: Loop, program: Program, known: dict[Node, int], taken: set[str], length: int):
        self.loop = loop
        self.program = program
        self.known = known
        self.taken = taken
        self.loops = {s.index: s for s in (loop, *enclosed(loop.body)) if type(s) is Loop}
        self.nest = nest_of(loop)
        self.most = length
        self.strips = length > 0 and self._may_be_taken_apart()
        self.stored = {s.operand for s in enclosed(loop.body) if isinstance(s, Store | Scratch)}
        self.varies: dict[Node, frozenset[Index] | None] = {}
        self.values: dict[Node, _Value] = {}
        #: What the indices of a value run over, where it is used; those used over other ranges are refused.
        self.ranges: dict[Node, dict[Index, Node | None]] = {}
        self.refused: set[Node] = set()
        self.remarks: list[str] = []

    def _may_be_taken_apart(self) -> bool:
        simple = all(
            loop.role == "serial" and loop.start is integer(0) and loop.step is integer(1) and not _moves(loop.stop)
            for loop in self.nest.loops
        )
        return simple and all(isinstance(s, Store) for s in self.nest.body) and independent(self.nest)

    def statements(self) -> list[Node]:
        every = list(enclosed((self.loop,)))
        if not all(type(s) is Loop or isinstance(s, Store | Scratch) for s in every):
            return [self.loop]
        for store, around in _stores(self.loop):
            self._find(store, around)
        for node in self.refused:
            self.values.pop(node, None)
        order = list(self.loops)
        kept = self._placed(order) if self.strips else {v.node: v for v in self.values.values() if len(v.along) < 2}
        # One store may hoist a value, and a later one a part of it: parts are computed first.
        self.values = kept = {node: kept[node] for node in values_under(kept) if node in kept}
        if not kept:
            return [self.loop]
        before: list[Node] = []
        for value in kept.values():
            if not value.along:
                before += [Scratch(value.scratch, ()), Store(value.scratch, (), self._computed(value))]
            self._say(value, order)
        if self.strips:
            return [*before, *self._taken_apart()]
        for value in kept.values():
            if value.along:
                before.append(Scratch(value.scratch, value.ranges))
                store = Store(value.scratch, value.along, self._computed(value))
                before.append(Loop(value.along[0], integer(0), value.ranges[0], integer(1), "serial", (store,)))
        return [*before, self._relieved(self.loop)]

    # -- what to hoist --

    def _find(self, store: Store, around: Sequence[Loop]) -> None:
        """Note the largest values under a store that are worth hoisting."""
        axes = [loop for loop in around if loop.role != "block"]
        order = values_under((store.value,))
        for node in order:
            if node not in self.varies:
                self.varies[node] = self._varying(node)
        full = frozenset(loop.index for loop in axes)
        # Operations that a value takes itself, beside those of values that vary less.
        work: dict[Node, float] = {}
        costly: set[Node] = set()
        users: dict[Node, list[Node | None]] = {store.value: [None]}
        for node in order:
            along = self.varies[node]
            own = float(cost(node)) if isinstance(node, Apply | Cast | Call) else 0.0
            alike = [child for child in parts(node) if self.varies[child] == along]
            work[node] = own + sum(work[child] for child in dict.fromkeys(alike))
            if _is_costly(node) or any(child in costly for child in alike):
                costly.add(node)
            for child in parts(node):
                users.setdefault(child, []).append(node)
        for node in order:
            along = self.varies[node]
            if along is None or node not in costly:
                continue
            found = {loop.index: _range(loop, around) for loop in axes if loop.index in along}
            if self.ranges.setdefault(node, found) != found:
                # Loops of one index over other lengths.
                self.refused.add(node)
            if not along < full or node in self.values or effects(node) != PURE or None in found.values():
                continue
            if all(user is not None and self.varies[user] == along for user in users[node]):
                continue
            times = self._times([loop for loop in axes if loop.index not in along])
            if work[node] * (1 - 1 / times) <= LOAD + STORE / times:
                continue
            indices = tuple(found)
            ranges = tuple(stop for stop in found.values() if stop is not None)
            name = untaken(f"h{len(self.values)}", self.taken)
            self.taken.add(name)
            element = node.type.element
            scratch = Operand(name, element.array(1, order="C") if indices else element)
            self.values[node] = _Value(node, indices, ranges, scratch)

    def _varying(self, node: Node) -> frozenset[Index] | None:
        """The loops along which a value varies; None of one that cannot be computed elsewhere."""
        match node:
            case Index():
                return frozenset((node,))
            case Load():
                nodes = list(postorder(node.subscripts))
                indices = {n for n in nodes if isinstance(n, Index)}
                if not indices <= self.loops.keys():
                    return None
                if any(n.operand in self.stored for n in (node, *nodes) if isinstance(n, Load)):
                    return None
                return frozenset(i for i in indices if movement(node, i, self.program, self.known) != 0)
            case Constant() | Extent() | Stride():
                return frozenset()
            case Apply() | Cast() | Call():
                children = [self.varies[child] for child in parts(node)]
                found = [along for along in children if along is not None]
                return frozenset[Index]().union(*found) if len(found) == len(children) else None
        return None

    def _times(self, loops: Iterable[Loop]) -> float:
        """How often a value is computed at the least, as far as the layouts tell."""
        times = 1.0
        for loop in loops:
            stop = self.known.get(loop.stop)
            if isinstance(loop.stop, Constant):
                stop = int(loop.stop.value)
            if stop is None:
                return inf
            times *= max(1, stop)
        return times

    def _say(self, value: _Value, order: Sequence[Index]) -> None:
        out = [i.name for i in order if i not in value.along and self.loops[i].role != "block"]
        once = f"once for each {', '.join(i.name for i in value.along)}" if value.along else "once"
        costly = {_named(n) for n in values_under((value.node,)) if _is_costly(n)}
        what = f"{value.scratch.name}, with {', '.join(sorted(costly))}"
        self.remarks.append(f"hoisted out of loop {', '.join(out)}: {what}, is computed {once}")

    # -- where it is computed --

    def _leaf(self, within: _Value | None) -> object:
        """What stands for a node: the load of what is hoisted, and of what does not vary its first element."""

        def leaf(node: Node) -> Node | None:
            value = self.values.get(node)
            if value is not None and value is not within:
                return Load(value.scratch, self._place(value))
            if isinstance(node, Load):
                return self._at_first(node, within.depends) if within is not None else node
            return None

        return leaf

    def _computed(self, value: _Value) -> Node:
        """The value itself, over what is hoisted before it."""
        return rebuild(value.node, tuple(substitute(value.node.args, self._leaf(value))))  # type: ignore[arg-type]

    def _at_first(self, load: Load, along: frozenset[Index]) -> Node:
        def leaf(node: Node) -> Node | None:
            return integer(0) if isinstance(node, Index) and node not in along else None

        return Load(load.operand, tuple(substitute(load.subscripts, leaf)))

    def _place(self, value: _Value) -> tuple[Node, ...]:
        if not value.along:
            return ()
        if not self.strips:
            return value.along
        index = self.strip_of[value.node]
        return (minus(index, self.first[index]),)

    def _relieved(self, statement: Node) -> Node:
        """The statement with loads for what is hoisted."""
        if isinstance(statement, Loop):
            body = tuple(map(self._relieved, statement.body))
            return Loop(statement.index, statement.start, statement.stop, statement.step, statement.role, body)
        if isinstance(statement, Store):
            (value,) = substitute((statement.value,), self._leaf(None))  # type: ignore[arg-type]
            return Store(statement.operand, statement.subscripts, value)
        return statement

    # -- strips --

    def _placed(self, order: Sequence[Index]) -> dict[Node, _Value]:
        """The values that can be hoisted together, those of most work first, and the loops that go outside for them.

        A value of several loops is computed over a strip of one of them, within the others, which are the outermost.
        """
        self.outside: list[Index] = []
        self.strip_of: dict[Node, Index] = {}
        self.first: dict[Index, Index] = {}
        kept: set[Node] = set()
        size = 0
        for value in sorted(self.values.values(), key=lambda v: -float(sum(map(cost, values_under((v.node,)))))):
            for strip in reversed(value.along):
                rest = value.depends - {strip}
                if rest == set(self.outside[: len(rest)]):
                    break
                if set(self.outside) < rest and strip not in self.outside:
                    self.outside += [i for i in order if i in rest and i not in self.outside]
                    break
            else:
                if value.along:
                    continue
            kept.add(value.node)
            if value.along:
                size += value.scratch.type.element.itemsize
                self.strip_of[value.node] = strip
                if strip not in self.first:
                    self.first[strip] = Index(untaken(f"{strip.name}_0", self.taken))
                    self.taken.add(self.first[strip].name)
        # Whole lines of all that is hoisted.
        self.length = integer(max(1, min(self.most, STRIP_BYTES // max(size, 1) // 64 * 64)))
        return {node: value for node, value in self.values.items() if node in kept}

    def _taken_apart(self) -> tuple[Node, ...]:
        inner = [loop for loop in self.nest.loops if loop.index not in self.outside]
        body: tuple[Node, ...] = tuple(map(self._relieved, self.nest.body))
        opened: list[list[Index]] = []
        done: set[Index] = set()
        for depth in range(len(self.outside) + 1):
            here = [self.strip_of[v.node] for v in self.values.values() if len(v.along) == depth + 1]
            opened.append([loop.index for loop in self.nest.loops if loop.index in here and loop.index not in done])
            done.update(opened[-1])
        for loop in reversed(inner):
            body = (self._over(loop.index, body),)
        for depth in reversed(range(len(self.outside) + 1)):
            # Values over strips that are open already come first: those of other strips may be computed from them.
            mine = [v for v in self.values.values() if len(v.along) == depth + 1]
            for index in [None, *opened[depth]][::-1]:
                ready = [
                    v
                    for v in mine
                    if self.strip_of[v.node] is index or (index is None and self.strip_of[v.node] not in opened[depth])
                ]
                body = (*self._filled(ready), *body)
                if index is not None:
                    stop = self.loops[index].stop
                    body = (Loop(self.first[index], integer(0), stop, self.length, "block", body),)
            if depth:
                body = (self._over(self.outside[depth - 1], body),)
        return body

    def _filled(self, values: Sequence[_Value]) -> Iterator[Node]:
        """Scratch for values, and a loop over each strip."""
        groups: dict[Index, list[_Value]] = {}
        for value in values:
            yield Scratch(value.scratch, (self.length,))
            groups.setdefault(self.strip_of[value.node], []).append(value)
        for index, group in groups.items():
            stores = [Store(v.scratch, self._place(v), self._computed(v)) for v in group]
            yield self._over(index, stores)

    def _over(self, index: Index, body: Sequence[Node]) -> Loop:
        """The loop over an index, over its strip where it is cut."""
        loop = self.loops[index]
        first = self.first.get(index)
        if first is None:
            return Loop(index, loop.start, loop.stop, loop.step, loop.role, tuple(body))
        end = least(plus(first, self.length), loop.stop)
        return Loop(index, first, end, integer(1), "serial", tuple(body))


def _range(loop: Loop, around: Sequence[Loop]) -> Node | None:
    """Where the values of a loop's index, which start from 0, stop, over all strips; None where that is not known."""
    if loop.step is not integer(1):
        return None
    loop = next((outer for outer in around if outer.role == "block" and outer.index is loop.start), loop)
    return loop.stop if loop.start is integer(0) and not _moves(loop.stop) else None


def _moves(bound: Node) -> bool:
    return any(isinstance(node, Index) for node in postorder((bound,)))


def _stores(loop: Loop) -> Iterator[tuple[Store, list[Loop]]]:
    """Every store within a loop, with the loops around it, outermost first."""
    stack: list[tuple[Node, list[Loop]]] = [(loop, [])]
    while stack:
        statement, around = stack.pop()
        if isinstance(statement, Store):
            yield statement, around
        elif type(statement) is Loop:
            stack.extend((s, [*around, statement]) for s in reversed(statement.body))
