"""Loops over functions that a vector library computes become loops over strips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

from ..affine import depends, integer, least, minus, plus
from ..infer import cost as cost_of
from ..nodes import (
    EFFECTS,
    Apply,
    Call,
    Cast,
    Constant,
    For,
    Function,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Opaque,
    Operand,
    Scratch,
    Store,
    postorder,
    rebuild,
    substitute,
)
from ..ops import operator
from ..program import Program
from ..types import INT64, ArrayType, element
from ..vector_math import function_of, is_vector_math
from .nests import (
    Names,
    enclosed,
    extents_known,
    facts_of,
    movement,
    names_taken,
    parts,
    refusal,
    untaken,
    values_under,
    with_body,
)

_ADD = operator("add")
_SUBTRACT = operator("subtract")
_MINIMUM = operator("minimum")
_LESS = operator("less")
_GREATER = operator("greater")
_WHERE = operator("where")
_EQUAL, _MULTIPLY, _NEGATIVE, _ABSOLUTE = map(operator, ("equal", "multiply", "negative", "absolute"))
_EXP, _EXP2, _LOG1P, _LOGADDEXP, _LOGADDEXP2 = map(operator, ("exp", "exp2", "log1p", "logaddexp", "logaddexp2"))
_LOG2_E = 1.4426950408889634

#: Elements of a strip. Measured: see benchmarks/vector_math.py.
SIZE = 512
#: Operations per element from which on a branch of `where` is worth a test: those of one transcendental function.
#: Mask, count and choice cost some 0.15 ns an element, the cheapest such function twice that.
COSTLY = 20.0
#: Operations up to which a value that two loops use is computed in both: writing and reading a strip costs as much.
CHEAP = 2.0

# The places of `where`'s values among its operands.
_BRANCHES = (1, 2)
#: Where a value is computed: the chosen branches of `where` around it, outermost first.
_Region = tuple[tuple[Node, int], ...]
_FLOAT16, _FLOAT32 = element("float16"), element("float32")


def strip(program: Program, *, size: int = SIZE) -> Program:
    """Cut innermost loops with vector math into strips, in which every such function has a loop of its own.

        for i in serial(0, n, 1):              for i_0 in serial(0, n, 512):
            r[i] = exp(-a[i]) + 1.0                t: float64[512] = scratch
                                         →         for i in serial(i_0, minimum(i_0 + 512, n), 1):
                                                       t[i - i_0] = -a[i]
                                                   for i in serial(i_0, minimum(i_0 + 512, n), 1):
                                                       t[i - i_0] = exp(t[i - i_0])
                                                   for i in serial(i_0, minimum(i_0 + 512, n), 1):
                                                       r[i] = t[i - i_0] + 1.0

    Arithmetic between functions shares loops; what does not vary along the loop is computed once a strip. A loop
    whose role is `reduce` gets its values from a strip, where they are more than a load. A branch of `where` that is
    costly, and needed for nothing else, stands under a Guard that some element of the strip takes it.

    Keeps: i_0 + (i - i_0) == i; each element's value, computed in one of the loops.
    Requires: nests that `lower` made: operands overlap only where they are the same view.
    """
    vector_math = program.target is None or program.target.vector_math
    taken = names_taken(program)
    new: dict[Node, Node] = {}

    def visit(statement: Node, known: Mapping[Node, int]) -> tuple[Node, ...]:
        if isinstance(statement, Guard):
            told = {**known, **facts_of(statement.condition)}
            return (Guard(statement.condition, block(statement.then, told), block(statement.otherwise, known)),)
        if type(statement) is For:
            return (with_body(statement, block(statement.body, known)),)
        if type(statement) is not Loop:
            return (statement,)
        if any(isinstance(inner, For) for inner in enclosed(statement.body)):
            body = block(statement.body, known)
            if body == statement.body:
                return (statement,)
            changed = Loop(statement.index, statement.start, statement.stop, statement.step, statement.role, body)
        elif statement.role != "reduce" and not any(is_cut(node) for node in postorder(statement.body)):
            return (statement,)
        else:
            found = _Strips(statement, program, known, taken, size, vector_math).statements()
            if found is None:
                return (statement,)
            new[statement] = found[-1]
            return found
        new[statement] = changed
        return (changed,)

    def is_cut(node: Node) -> bool:
        """Whether a node may be a reason to have strips: a function, or a choice of which a branch may be costly."""
        return isinstance(node, Apply) and (node.op is _WHERE or (vector_math and is_vector_math(node)))

    def block(statements: Iterable[Node], known: Mapping[Node, int]) -> tuple[Node, ...]:
        return tuple(s for statement in statements for s in visit(statement, known))

    statements = _in_vector_functions(program.statements) if vector_math else program.statements
    new.update((old, s) for old, s in zip(program.statements, statements, strict=True) if old is not s)
    return program.rewritten(block(statements, extents_known(program)), new)


def _in_vector_functions(statements: tuple[Node, ...]) -> tuple[Node, ...]:
    """Functions that the vector library lacks, written in those that it has.

    Wherever they stand, in a strip or not: the bits of a value depend on its operands alone.
    """
    nodes = postorder(statements)
    if all(_in_vector_function(node) is node for node in nodes):
        return statements
    done: dict[Node, Node] = {}
    for node in nodes:
        if isinstance(node, Function):
            done[node] = node
            continue
        args = tuple(done[part] for part in node.args)
        done[node] = _in_vector_function(node if args == node.args else rebuild(node, args))
    return tuple(done[statement] for statement in statements)


def _in_vector_function(node: Node) -> Node:
    if not isinstance(node, Apply) or node.type.element.kind != "f":
        return node
    op, t = node.op, node.type.element
    if t is _FLOAT16 and (_is_softplus(node) or function_of(op, _FLOAT32) is not None):
        # As C computes half precision: in single.
        return Cast(_in_vector_function(Apply(op, tuple(Cast(part, _FLOAT32) for part in node.args))), t)
    if _is_softplus(node) and t.bits <= 64:
        # d = 0 where x and y are equal, infinite too, else x - y; where(d > 0, x, y) + log1p(exp(-abs(d)))
        x, y = node.args
        zero = Constant(0.0, t)
        apart = Apply(_WHERE, (Apply(_EQUAL, (x, y)), zero, Apply(_SUBTRACT, (x, y))))
        larger = Apply(_WHERE, (Apply(_GREATER, (apart, zero)), x, y))
        below = Apply(_NEGATIVE, (Apply(_ABSOLUTE, (apart,)),))
        rest: Node = Apply(_LOG1P, (Apply(_EXP if op is _LOGADDEXP else _EXP2, (below,)),))
        if op is _LOGADDEXP2:
            rest = Apply(_MULTIPLY, (rest, Constant(_LOG2_E, t)))
        return Apply(_ADD, (larger, rest))
    return node


def _cost(node: Node) -> float:
    """Operations of a value by itself; none of a cast, which mostly is a part of what is done with it."""
    if isinstance(node, Call):
        return float(cost_of(node))
    return float(node.op.cost) if isinstance(node, Apply) else 0.0


def _is_softplus(node: Apply) -> bool:
    """Whether a node is a logaddexp of a number from 0 on: a sum of what is not negative, which loses no places."""
    if node.op not in (_LOGADDEXP, _LOGADDEXP2):
        return False
    numbers = (x.arg if isinstance(x, Cast) else x for x in node.args)
    return any(isinstance(x, Constant) and x.value >= 0 for x in numbers)


class _Strips:
    """One innermost loop, being cut."""

    def __init__(
        self, loop: Loop, program: Program, known: Mapping[Node, int], taken: set[str], size: int, vector_math: bool
    ):
        self.loop = loop
        self.program = program
        self.known = known
        self.vector_math = vector_math
        self.taken = taken
        most = _most(loop)
        self.size = size if most is None else min(size, most)
        self.first: Node = loop.start
        self.end: Node = loop.stop
        # The row of a tile is a strip by itself.
        self.whole = most is not None and most <= size and isinstance(loop.start, Index)
        if not self.whole:
            self.first = Index(untaken(loop.index.name + "_0", taken))
            self.end = least(plus(self.first, integer(self.size)), loop.stop)
        self.stored = {node.operand for node in postorder(loop.body) if isinstance(node, Store)}
        self.values: list[Operand] = []

    def value(self, t: ArrayType) -> Operand:
        """Scratch for one value: `_reused` lets values share scratch, and names it."""
        self.values.append(Operand(untaken(f"value{len(self.values)}", self.taken), t))
        return self.values[-1]

    def statements(self) -> tuple[Node, ...] | None:
        """The loop over strips; None where there is nothing to gain."""
        loop = self.loop
        if loop.role not in ("serial", "reduce") or loop.step is not integer(1):
            return None
        if not all(isinstance(statement, Store) for statement in loop.body):
            return None
        if any(isinstance(node, (*EFFECTS, Opaque)) for node in postorder(loop.body)):
            return None
        if loop.role == "serial" and refusal(loop) is not None:
            return None
        stores: list[Store] = list(loop.body)  # type: ignore[arg-type]
        if loop.role == "reduce":
            if not all(map(_accumulates, stores)):
                return None
            groups = [stores]
        else:
            groups = list(_groups(stores))
        stages = [_Stages(self, group) for group in groups]
        if not any(stage.needed for stage in stages):
            return None
        statements = [statement for stage in stages for statement in stage.statements()]
        names = Names(self.taken)
        names.add(self.first.key)
        body = _reused(statements, self.values, integer(self.size), names)
        if self.whole:
            return body
        assert isinstance(self.first, Index)
        return (Loop(self.first, loop.start, loop.stop, integer(self.size), loop.role, body),)

    def over(self, stores: Sequence[Node], role: str = "serial") -> Loop:
        """A loop over the elements of a strip."""
        return Loop(self.loop.index, self.first, self.end, integer(1), role, tuple(stores))


def _groups(stores: Sequence[Store]) -> Iterator[list[Store]]:
    """Stores whose values may all be computed before any is stored."""
    group: list[Store] = []
    for store in stores:
        stored = {earlier.operand for earlier in group}
        if any(isinstance(n, Load) and n.operand in stored for n in postorder((store.value,))):
            yield group
            group = []
        group.append(store)
    yield group


def _accumulates(store: Store) -> bool:
    """Whether a store is `x[...] = op(x[...], value)`, of a value that does not read x."""
    value = store.value
    if not isinstance(value, Apply) or len(value.args) != 2:
        return False
    own = Load(store.operand, store.subscripts)
    return value.args[0] is own and own not in postorder((value.args[1],))


class _Stages:
    """Stores of one loop whose values are computed together, divided into the loops over a strip.

    A value is *kept* where it goes to a strip (or, where it does not vary, to a scalar); others are computed where
    they are used. A value's *level* is the number of functions and branches that must be done before it, in its
    region.
    """

    def __init__(self, strips: _Strips, stores: list[Store]):
        self.strips = strips
        self.stores = stores
        self.reduces = strips.loop.role == "reduce"
        self.roots = [store.value.args[1] if self.reduces else store.value for store in stores]
        self.order = values_under(self.roots)
        self.varying = self._varying()
        functions = {n for n in self.order if strips.vector_math and is_vector_math(n)}
        self.function = functions & self.varying
        still = functions - self.varying
        if self.reduces:
            # A fold takes in elements of memory, even where they are one.
            still.update(n for n in self.roots if n not in self.varying and not isinstance(n, Load))
        #: What does not vary along the loop, and is a function or is reduced: computed once a strip.
        self.scalar = {n: strips.value(n.type) for n in self.order if n in still}
        self.region, self.lazy = self._regions()
        self.kept: dict[Node, Operand] = {}
        self.direct: set[Node] = set()
        self._keep()
        computed = self.reduces and any(not isinstance(root, Load) for root in self.roots)
        self.needed = bool(functions or self.lazy or computed)

    # -- what is where --

    def _varying(self) -> set[Node]:
        """The values that differ along the loop."""
        index = self.strips.loop.index
        found: set[Node] = set()
        for node in self.order:
            if isinstance(node, Load):
                if node.operand in self.strips.stored:
                    found.add(node)
                elif any(depends(s, index) for s in node.subscripts) and self._movement(node) != 0:
                    found.add(node)
            elif node is index or any(part in found for part in parts(node)):
                found.add(node)
        return found

    def _movement(self, access: Load | Store) -> int | None:
        return movement(access, self.strips.loop.index, self.strips.program, self.strips.known)

    def _regions(self) -> tuple[dict[Node, _Region], set[_Region]]:
        """The region of each value, which is the innermost that holds all its uses; and the branches to guard."""
        uses: dict[Node, list[_Region]] = {root: [()] for root in self.roots}
        region: dict[Node, _Region] = {}
        cost: dict[_Region, float] = {}
        for node in reversed(self.order):
            mine = region[node] = _common(uses[node])
            if isinstance(node, Apply | Call):
                for depth in range(1, len(mine) + 1):
                    cost[mine[:depth]] = cost.get(mine[:depth], 0.0) + _cost(node)
            choice = isinstance(node, Apply) and node.op is _WHERE and node.args[0] in self.varying
            for place, part in enumerate(parts(node)):
                inner = (*mine, (node, place)) if choice and place in _BRANCHES else mine
                uses.setdefault(part, []).append(inner)
        lazy = {branch for branch, total in cost.items() if total >= COSTLY}
        # A branch within one that is not worth a test is not either: it costs less.
        for node, mine in region.items():
            while mine and mine not in lazy:
                mine = mine[:-1]
            region[node] = mine
        return region, lazy

    def _branch(self, node: Node, place: int) -> _Region | None:
        """The guarded branch that an operand of a node is, if it is one."""
        branch = (*self.region[node], (node, place))
        return branch if branch in self.lazy else None

    def _keep(self) -> None:
        """Choose what goes to strips, and find every value's level and what each branch waits for."""
        alone = (
            len(self.roots) == 1 and not self.reduces and self._movement(self.stores[0]) == self._size(self.stores[0])
        )
        if alone and self.roots[0] in self.function:
            # The function writes the result itself.
            self.direct.add(self.roots[0])
        keep: set[Node] = self.function - self.direct
        for node in self.order:
            if node in self.function:
                keep.update(part for part in node.args if not self._passed(part))
            if isinstance(node, Apply) and any(self._branch(node, place) for place in _BRANCHES):
                if not self._passed(node.args[0]):
                    keep.add(node.args[0])
                keep.update(node.args[place] for place in _BRANCHES if self._branch(node, place))
        if self.reduces:
            # Not what does not vary: it goes to no strip, and two that no one reads would share one.
            keep.update(root for root in self.roots if root in self.varying and not isinstance(root, Load))
        self._levels(keep)
        keep.update(self._shared(keep))
        for node in self.order:
            if node in keep:
                self.kept[node] = self.strips.value(node.type.element.array(1, order="C"))

    def _size(self, access: Load | Store) -> int:
        return int(access.operand.type.element.itemsize)

    def _passed(self, node: Node) -> bool:
        """Whether a function can read an operand where it lies: elements side by side, which no store here changes."""
        if not isinstance(node, Load) or self._movement(node) != self._size(node):
            return False
        return node.operand not in self.strips.stored or len(self.strips.loop.body) == 1

    def _levels(self, keep: set[Node]) -> None:
        self.level: dict[Node, int] = {}
        self.waits: dict[_Region, int] = dict.fromkeys(self.lazy, 0)
        for node in self.order:
            mine = self.region[node]
            level = 0
            for place, part in enumerate(parts(node)):
                branch = self._branch(node, place) if isinstance(node, Apply) else None
                if branch is not None:
                    mask = node.args[0]
                    if self.region[mask] == mine:
                        self.waits[branch] = max(self.waits[branch], self.level[mask])
                    level = max(level, self.waits[branch] + 1)
                elif self.region[part] == mine:
                    level = max(level, self.level[part])
                else:
                    # The branch that this stands in waits for what it reads from outside.
                    outer = self.region[part]
                    entered = mine[: len(outer) + 1]
                    self.waits[entered] = max(self.waits[entered], self.level[part])
            if node in self.function:
                level += 1
            self.level[node] = level

    def _shared(self, keep: set[Node]) -> Iterator[Node]:
        """Values that several loops use, and that cost more than a strip does."""
        final: tuple[_Region, int] = ((), -1)
        loops: dict[Node, set[tuple[_Region, int]]] = {root: {final} for root in self.roots}
        price: dict[Node, float] = {}
        for node in self.order:
            own = _cost(node)
            price[node] = 0.0 if node in keep else own + sum(price[part] for part in parts(node))
        for node in reversed(self.order):
            within = loops.get(node, set())
            if node in keep and node not in self.function:
                within = {(self.region[node], self.level[node])}
            elif node in self.function:
                continue
            elif len(within) > 1 and price[node] > CHEAP and node in self.varying and parts(node):
                yield node
                within = {(self.region[node], self.level[node])}
            for part in parts(node):
                loops.setdefault(part, set()).update(within)

    # -- the loops --

    def statements(self) -> Iterator[Node]:
        """The loops over a strip, in order, each kept value in scratch of its own."""
        self.ready: dict[Node, Node] = {}
        self.counts: dict[Node, Operand] = {}
        # What does not vary comes first: loops find it done.
        for node, scalar in self.scalar.items():
            yield Store(scalar, (), substitute((node,), self._at_first)[0])
            self.ready[node] = Load(scalar, ())
        yield from self._within(())
        if self.direct:
            (store,) = self.stores
            yield self.strips.over([Store(store.operand, store.subscripts, self._call(self.roots[0]))])
            return
        values = self._computed(self.roots)
        if self.reduces:
            sums = [store.value for store in self.stores]
            values = [Apply(s.op, (s.args[0], v)) for s, v in zip(sums, values, strict=True) if isinstance(s, Apply)]
        stores = [Store(s.operand, s.subscripts, v) for s, v in zip(self.stores, values, strict=True)]
        yield self.strips.over(stores, self.strips.loop.role)

    def _within(self, region: _Region) -> Iterator[Node]:
        """The loops that compute the kept values of a region, level by level."""
        mine = [node for node in self.kept if self.region[node] == region]
        branches = [b for b in self._lazy_in_order() if b[:-1] == region]
        last = max([*(self.level[n] for n in mine), *(self.waits[b] + 1 for b in branches)], default=-1)
        for level in range(last + 1):
            plain = [n for n in mine if self.level[n] == level and n not in self.function]
            if plain:
                values = self._computed(plain)
                yield self.strips.over(
                    [Store(self.kept[n], self._place(), v) for n, v in zip(plain, values, strict=True)]
                )
                for node in plain:
                    # Loops over arithmetic have what does not vary at hand: only functions need it in a strip.
                    if node in self.varying:
                        self.ready[node] = Load(self.kept[node], self._place())
            for node in mine:
                if node in self.function and self.level[node] == level + 1:
                    yield self.strips.over([Store(self.kept[node], self._place(), self._call(node))])
                    self.ready[node] = Load(self.kept[node], self._place())
            for branch in branches:
                if self.waits[branch] == level:
                    yield from self._guarded(branch)

    def _lazy_in_order(self) -> list[_Region]:
        found = []
        for node in self.order:
            for place in _BRANCHES if isinstance(node, Apply) and node.op is _WHERE else ():
                branch = self._branch(node, place)
                if branch is not None:
                    found.append(branch)
        return found

    def _guarded(self, branch: _Region) -> Iterator[Node]:
        """A branch under the condition that an element of the strip takes it."""
        node, place = branch[-1]
        mask = node.args[0]
        count = self.counts.get(mask)
        if count is None:
            count = self.counts[mask] = self.strips.value(INT64.array(0))
            yield Store(count, (), integer(0))
            true = Cast(self.ready.get(mask, mask), INT64)
            yield self.strips.over([Store(count, (), Apply(_ADD, (Load(count, ()), true)))], "reduce")
        if place == 1:
            condition = Apply(_GREATER, (Load(count, ()), integer(0)))
        else:
            condition = Apply(_LESS, (Load(count, ()), minus(self.strips.end, self.strips.first)))
        # What becomes ready in a branch is ready there only, but for its value, which `where` takes or leaves.
        outside = dict(self.ready)
        counts = dict(self.counts)
        yield Guard(condition, tuple(self._within(branch)))
        value = node.args[place]
        self.ready = outside
        self.counts = counts
        self.ready[value] = Load(self.kept[value], self._place())

    def _place(self) -> tuple[Node]:
        return (minus(self.strips.loop.index, self.strips.first),)

    def _call(self, node: Node) -> Node:
        """A function over what lies side by side."""
        args = [part if self._passed(part) else Load(self.kept[part], self._place()) for part in node.args]
        return Apply(node.op, tuple(args))  # type: ignore[attr-defined]

    def _computed(self, roots: Sequence[Node]) -> list[Node]:
        return substitute(roots, lambda node: self.ready.get(node, node if isinstance(node, Load) else None))

    def _at_first(self, node: Node) -> Node | None:
        """What does not vary along the loop, at the first element of the strip."""
        if isinstance(node, Load):
            index = self.strips.loop.index
            at = substitute(node.subscripts, lambda n: self.strips.first if n is index else None)
            return Load(node.operand, tuple(at))
        return self.ready.get(node)


def _common(regions: Sequence[_Region]) -> _Region:
    """The innermost region that holds all of some."""
    shared = regions[0]
    for other in regions[1:]:
        depth = 0
        while depth < min(len(shared), len(other)) and shared[depth] == other[depth]:
            depth += 1
        shared = shared[:depth]
    return shared


# -- Strips that are used again -----------------------------------------------------------------


def _reused(statements: Sequence[Node], values: Sequence[Operand], extent: Node, names: Names) -> tuple[Node, ...]:
    """The statements under declarations of their scratch, as little as the lifetimes of the values allow.

    `names` are those that are taken.
    """
    stores: list[Store] = []
    last = dict.fromkeys(values, 0)
    for statement in enclosed(statements):
        read: Node | None = None
        if isinstance(statement, Store):
            stores.append(statement)
            read = statement.value
        elif isinstance(statement, Guard):
            read = statement.condition
        for node in postorder((read,)) if read is not None else ():
            if isinstance(node, Load) and node.operand in last:
                last[node.operand] = len(stores)
    new: dict[Operand, Operand] = {}
    living: dict[Operand, None] = {}
    free: dict[ArrayType, list[Operand]] = {}
    declared: list[Node] = []
    for now, store in enumerate(stores, 1):
        # A strip that is read for the last time here may be written here: all is read before it is stored.
        for value in [value for value in living if last[value] <= now]:
            free.setdefault(value.type, []).append(new[value])
            del living[value]
        value = store.operand
        if value not in last or value in new:
            continue
        waiting = free.get(value.type)
        if waiting:
            new[value] = waiting.pop()
        else:
            letter = "t" if value.type.rank else "s"
            name = next(n for k in count() if (n := f"{letter}{k}") not in names)
            names.add(name)
            new[value] = Operand(name, value.type)
            declared.append(Scratch(new[value], (extent,) * value.type.rank))
        living[value] = None
    return (*declared, *substitute(statements, new.get))


def _most(loop: Loop) -> int | None:
    """The most iterations that a loop can have, where its bounds tell: `range(i, minimum(i + 64, n))` has 64."""
    length = minus(loop.stop, loop.start)
    if isinstance(length, Constant):
        return max(1, int(length.value))
    match loop.stop:
        case Apply(op, (Apply(inner, (start, Constant(value))), _)):
            if op is _MINIMUM and inner is _ADD and start is loop.start and value > 0:
                return int(value)
    return None
