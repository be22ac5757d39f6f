"""Which accesses touch the same element, and in which order: dependences between statements, exactly.

An access is affine where each of its subscripts is: a sum of loop indices and lengths with constant factors. Whether
two of them meet is then a system in the integers: the subscripts are equal, and indices within their loops. Lengths
and scalars that are not known are unknowns of the system too, so that "never" holds whatever they are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd
from typing import Any, Final, Literal

from .affine import expression_of, linear
from .infer import reads
from .integers import ONE, Form, feasible
from .nodes import (
    Apply,
    Assign,
    Barrier,
    Extent,
    For,
    Guard,
    Index,
    Load,
    Node,
    Operand,
    Pack,
    Scratch,
    SideEffect,
    Slice,
    Store,
    Unreorderable,
    View,
)
from .ops import operator

_COMPARISONS: Final = {
    operator(name): name for name in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
}
_AND, _NOT = operator("logical_and"), operator("logical_not")
_OR, _LESS = operator("logical_or"), operator("less")

#: Loops for which direction vectors are told apart; of deeper nests only the outer ones' are.
_LEVELS: Final = 6

#: What stands for the operand of a dependence by an effect.
EVERYTHING: Final = "everything"

Answer = Literal["never", "same", "may"]


@dataclass(frozen=True, slots=True)
class Touch:
    """Whether two views of an operand have an element in common.

    `never`: none. `same`: both are the same elements in the same order. `may`: anything else, and then `apart`
    is a condition under which they have none, for a `Guard` to test, or None where none was found.
    """

    answer: Answer
    apart: Node | None = None


@dataclass(frozen=True, slots=True)
class Dependence:
    """That statement `sink` touches, after `source`, an element that `source` touches, and one of both writes it.

    `source` and `sink` are numbers of statements as `Body.statements` counts them. `directions` has for each of the
    loops around both `<` where the sink is further on in the loop's range, `=` at the same index, `>` before it, and
    `distances` how many steps further where that is always the same number, or None.
    """

    source: int
    sink: int
    kind: Literal["flow", "anti", "output"]
    operand: str
    directions: tuple[str, ...]
    distances: tuple[int | None, ...]
    first: Node
    second: Node

    @property
    def level(self) -> int:
        """The loop that carries it, 1 being the outermost; 0 where source and sink are in one iteration of all."""
        return next((k for k, d in enumerate(self.directions, 1) if d != "="), 0)


@dataclass(frozen=True, slots=True)
class Placed:
    """A statement that is no loop and no guard; `loops` around it by number, `conditions` with their truth."""

    node: Node
    loops: tuple[int, ...]
    conditions: tuple[tuple[Node, bool], ...]


@dataclass(frozen=True, slots=True)
class _Access:
    """Elements of an operand that a statement reads or writes: a form per axis, None for any; `operand` None: all."""

    operand: Operand | None
    node: Node
    write: bool
    axes: tuple[Form | None, ...] = ()
    bounds: tuple[Form, ...] = ()


@dataclass
class Body:
    """Statements taken apart: those that are no loops and no guards, in order, and the loops around them.

    `known` has values of lengths, as layouts tell.

    >>> from arrayexpr._core.parser import parse
    >>> program = parse('''
    ... def f(a: float64[:]):
    ...     for i in range(1, a.shape[0], 1):
    ...         a[i] = a[i - 1] * 2.0
    ... ''')
    >>> [carried] = Body.of(program.statements).dependences()
    >>> carried.kind, carried.operand, carried.directions, carried.distances
    ('flow', 'a', ('<',), (1,))
    """

    statements: list[Placed] = field(default_factory=list)
    loops: list[For] = field(default_factory=list)
    parents: list[tuple[int, ...]] = field(default_factory=list)
    known: Mapping[Node, int] = field(default_factory=dict)
    scratch: dict[Operand, tuple[int, ...]] = field(default_factory=dict)

    @staticmethod
    def of(statements: Iterable[Node], known: Mapping[Node, int] | None = None) -> Body:
        """The statements taken apart."""
        body = Body(known=known or {})
        body._add(statements, (), ())
        return body

    def _add(self, nodes: Iterable[Node], loops: tuple[int, ...], conditions: tuple[tuple[Node, bool], ...]) -> None:
        for node in nodes:
            match node:
                case For():
                    number = len(self.loops)
                    self.loops.append(node)
                    self.parents.append(loops)
                    self._add(node.body, (*loops, number), conditions)
                case Guard():
                    self._add(node.then, loops, (*conditions, (node.condition, True)))
                    self._add(node.otherwise, loops, (*conditions, (node.condition, False)))
                case _:
                    if isinstance(node, Scratch):
                        self.scratch[node.operand] = loops
                    self.statements.append(Placed(node, loops, conditions))

    # -- forms --

    def _written(self) -> frozenset[str]:
        names: set[str] = set()
        for placed in self.statements:
            names.update(a.operand.name for a in self.accesses_of(placed, ()) if a.write and a.operand is not None)
        return frozenset(names)

    def form(self, expression: Node, loops: Sequence[int], written: Iterable[str]) -> Form | None:
        """An affine expression over the numbers of the loops around it; None where it is not affine, or its parts
        are not the same throughout."""
        found = linear(expression, self.known)
        if found is None:
            return None
        numbers: dict[Node, Hashable] = {self.loops[n].index: n for n in loops}
        result: Form = {}
        for symbol, count in found.items():
            if symbol is not None and not isinstance(symbol, Index) and not reads(symbol).isdisjoint(written):
                return None
            key = symbol if symbol is None else numbers.get(symbol, symbol)
            result[key] = result.get(key, 0) + count
        return result

    def step(self, number: int) -> int | None:
        """The step of a loop, where it is a constant."""
        step = self.loops[number].step
        form = linear(step, self.known)
        return form[None] if form is not None and len(form) == 1 else None

    def domain(self, placed: Placed, written: Iterable[str]) -> tuple[list[Form], list[Form]]:
        """Equalities and bounds of the iterations in which a statement runs, over the numbers of its loops."""
        equalities: list[Form] = []
        bounds: list[Form] = []
        for place, number in enumerate(placed.loops):
            loop, outer, step = self.loops[number], placed.loops[:place], self.step(number)
            if not step:
                continue
            sign = 1 if step > 0 else -1
            start = self.form(loop.start, outer, written)
            stop = self.form(loop.stop, outer, written)
            if start is not None:
                bounds.append(_sum({number: sign}, start, -sign))
                if abs(step) > 1:
                    equalities.append(_sum({number: 1, ("count", number): -step}, start, -1))
            if stop is not None:
                bounds.append(_sum({number: -sign, ONE: -1}, stop, sign))
        for condition, truth in placed.conditions:
            self._conditions(condition, truth, placed.loops, written, equalities, bounds)
        return equalities, bounds

    def _conditions(
        self,
        condition: Node,
        truth: bool,
        loops: tuple[int, ...],
        written: Iterable[str],
        equalities: list[Form],
        bounds: list[Form],
    ) -> None:
        """Add what an affine condition says; what says nothing affine is left out."""
        match condition:
            case Apply(op, (x, y)) if (op is _AND and truth) or (op is _OR and not truth):
                self._conditions(x, truth, loops, written, equalities, bounds)
                self._conditions(y, truth, loops, written, equalities, bounds)
            case Apply(op, (x,)) if op is _NOT:
                self._conditions(x, not truth, loops, written, equalities, bounds)
            case Apply(op, (x, y)) if op in _COMPARISONS:
                left, right = self.form(x, loops, written), self.form(y, loops, written)
                if left is None or right is None:
                    return
                name = _COMPARISONS[op]
                difference = _sum(right, left, -1)
                opposite = _sum(left, right, -1)
                if name == ("equal" if truth else "not_equal"):
                    equalities.append(difference)
                elif name in ("less", "less_equal") or name in ("greater", "greater_equal"):
                    upward = (name in ("less", "less_equal")) == truth
                    strict = (name in ("less", "greater")) == truth
                    bounds.append(_sum(difference if upward else opposite, {ONE: -1 if strict else 0}))

    # -- accesses --

    def accesses_of(self, placed: Placed, written: Iterable[str]) -> list[_Access]:
        """What a statement reads and writes, with what its guards and the bounds of its loops read."""
        node = placed.node
        found: list[_Access] = []
        values: list[Node] = [condition for condition, _ in placed.conditions]
        for number in placed.loops:
            loop = self.loops[number]
            values.extend((loop.start, loop.stop, loop.step))
        match node:
            case Store(operand, subscripts, value):
                values.extend((*subscripts, value))
                found.append(self._element(operand, subscripts, node, True, placed, written))
            case Assign(target, value):
                values.append(value)
                base: Node = target
                while isinstance(base, View):
                    values.extend(base.args[1:])
                    base = base.arg
                found.append(self._window(target, True, placed, written))
            case Scratch(operand, extents):
                values.extend(extents)
                found.append(_Access(operand, node, True, (None,) * operand.type.rank))
            case Pack(target, source, starts, extents):
                values.extend((*starts, *extents))
                found.append(_Access(target, node, True, (None,) * target.type.rank))
                found.append(_Access(source, node, False, (None,) * source.type.rank))
            case SideEffect() | Unreorderable() | Barrier():
                found.append(_Access(None, node, True))
        seen: set[Node] = set()
        stack = values
        while stack:
            value = stack.pop()
            if value in seen:
                continue
            seen.add(value)
            match value:
                case Load(operand, subscripts):
                    found.append(self._element(operand, subscripts, value, False, placed, written))
                    stack.extend(subscripts)
                case Operand():
                    found.append(self._window(value, False, placed, written))
                case View() if isinstance(_base(value), Operand):
                    found.append(self._window(value, False, placed, written))
                    while isinstance(value, View):
                        stack.extend(value.args[1:])
                        value = value.arg
                case SideEffect() | Unreorderable():
                    found.append(_Access(None, value, True))
                case Extent():
                    pass
                case _:
                    stack.extend(value.args)
        return found

    def _element(
        self,
        operand: Operand,
        subscripts: Sequence[Node],
        node: Node,
        write: bool,
        placed: Placed,
        written: Iterable[str],
    ) -> _Access:
        return _Access(operand, node, write, tuple(self.form(s, placed.loops, written) for s in subscripts))

    def _window(self, node: Node, write: bool, placed: Placed, written: Iterable[str]) -> _Access:
        window = _Window.of(node, self.known, lambda e: self.form(e, placed.loops, written))
        return _Access(window.operand, node, write, tuple(window.places), tuple(window.bounds))

    # -- dependences --

    def dependences(self, which: Callable[[int, int], bool] | None = None) -> list[Dependence]:
        """Every dependence between the statements, with one direction vector each; where that takes too long to
        tell, one is assumed. `which(j, k)` says of which statements they are wanted.

        Requires: an operand that is written has its elements in memory of their own, and no two operands share any.
        """
        written = self._written()
        accesses = [self.accesses_of(placed, written) for placed in self.statements]
        domains = [self.domain(placed, written) for placed in self.statements]
        by_operand: dict[Operand, list[tuple[int, _Access]]] = {}
        fences: list[tuple[int, _Access]] = []
        for place, group in enumerate(accesses):
            for access in group:
                if access.operand is None:
                    fences.append((place, access))
                else:
                    by_operand.setdefault(access.operand, []).append((place, access))
        found: dict[Dependence, None] = {}
        for touching in by_operand.values():
            if not any(access.write for _, access in touching):
                continue
            for k, (place, one) in enumerate(touching):
                for other_place, other in touching[k if one.write else k + 1 :]:
                    if (one.write or other.write) and (which is None or which(place, other_place)):
                        pair = (place, one), (other_place, other)
                        (p, x), (q, y) = pair if place <= other_place else pair[::-1]
                        found.update(dict.fromkeys(self._between(p, x, domains[p], q, y, domains[q])))
        for place, fence in fences:
            for other_place in range(len(self.statements)):
                if which is None or which(place, other_place):
                    other = _Access(None, self.statements[other_place].node, True)
                    (p, x), (q, y) = sorted(((place, fence), (other_place, other)), key=lambda pair: pair[0])
                    found.update(dict.fromkeys(self._between(p, x, domains[p], q, y, domains[q])))
        return list(found)

    def _common(self, p: int, q: int) -> tuple[int, ...]:
        common = []
        for x, y in zip(self.statements[p].loops, self.statements[q].loops, strict=False):
            if x != y:
                break
            common.append(x)
        return tuple(common)

    def _between(
        self,
        p: int,
        x: _Access,
        x_domain: tuple[list[Form], list[Form]],
        q: int,
        y: _Access,
        y_domain: tuple[list[Form], list[Form]],
    ) -> Iterator[Dependence]:
        """The dependences between two accesses, `x` of a statement that does not come after `y`'s."""
        common = self._common(p, q)
        system = _System()
        if x.operand is not None:
            system.equal(x.axes, y.axes)
            for number in self.scratch.get(x.operand, ()):
                # Each iteration has scratch of its own.
                if number in common:
                    system.equalities.append({(0, number): 1, (1, number): -1})
        for side, (access, (equalities, bounds)) in enumerate(((x, x_domain), (y, y_domain))):
            system.equalities.extend(_sided(row, side) for row in equalities)
            system.bounds.extend(_sided(row, side) for row in (*bounds, *access.bounds))
        system.lengths()
        if system.impossible():
            return
        steps = [self.step(number) or 0 for number in common]
        for directions in system.directions(common[:_LEVELS], steps):
            distances = system.distances(common[:_LEVELS], steps, directions)
            full = directions + ("=",) * (len(common) - len(directions))
            lengths = distances + (None,) * (len(common) - len(distances))
            first = next((d for d in directions if d != "="), "=")
            if first == ">":
                yield _dependence(q, y, p, x, tuple(_OPPOSITE[d] for d in full), tuple(map(_negated, lengths)))
            elif first == "<" or p < q:
                yield _dependence(p, x, q, y, full, lengths)
            elif p == q and x.write != y.write and first == "=":
                # Within one statement all is read before anything is written.
                read, write = (y, x) if x.write else (x, y)
                yield _dependence(p, read, p, write, full, lengths)


_OPPOSITE: Final = {"<": ">", ">": "<", "=": "="}


def _negated(distance: int | None) -> int | None:
    return None if distance is None else -distance


def _dependence(
    p: int, x: _Access, q: int, y: _Access, directions: tuple[str, ...], distances: tuple[int | None, ...]
) -> Dependence:
    kind: Literal["flow", "anti", "output"] = "output" if y.write else "flow"
    if not x.write:
        kind = "anti"
    operand = x.operand or y.operand
    return Dependence(p, q, kind, operand.name if operand else EVERYTHING, directions, distances, x.node, y.node)


class _System:
    """Equalities and bounds over two iterations: the indices of the one are (0, loop), of the other (1, loop)."""

    def __init__(self) -> None:
        self.equalities: list[Form] = []
        self.bounds: list[Form] = []

    def equal(self, x: Sequence[Form | None], y: Sequence[Form | None]) -> None:
        for one, other in zip(x, y, strict=True):
            if one is not None and other is not None:
                self.equalities.append(_sum(_sided(one, 0), _sided(other, 1), -1))

    def lengths(self) -> None:
        """Lengths are at least 0."""
        symbols = {v for row in (*self.equalities, *self.bounds) for v in row if isinstance(v, Extent)}
        self.bounds.extend({symbol: 1} for symbol in symbols)

    def impossible(self) -> bool:
        """Whether a cheap test already tells that there is no solution: divisors, then the range of each equality."""
        ranges: dict[Hashable, list[int | None]] | None = None
        for row in self.equalities:
            factors = [c for v, c in row.items() if c and v is not ONE]
            constant = row.get(ONE, 0)
            if not factors:
                if constant:
                    return True
                continue
            if constant % gcd(*factors):
                return True
            if ranges is None:
                ranges = self._ranges()
            if not _holds_zero(row, ranges):
                return True
        return False

    def _ranges(self) -> dict[Hashable, list[int | None]]:
        """Bounds of single variables by numbers."""
        ranges: dict[Hashable, list[int | None]] = {}
        for row in self.bounds:
            terms = [(v, c) for v, c in row.items() if c and v is not ONE]
            if len(terms) != 1:
                continue
            (variable, count), constant = terms[0], row.get(ONE, 0)
            place = ranges.setdefault(variable, [None, None])
            if count > 0:
                low = -(constant // count)
                place[0] = low if place[0] is None else max(place[0], low)
            else:
                high = constant // -count
                place[1] = high if place[1] is None else min(place[1], high)
        return ranges

    def directions(self, common: Sequence[int], steps: Sequence[int]) -> list[tuple[str, ...]]:
        """Every direction vector over the common loops for which there is a solution, or too much to tell."""
        found: list[tuple[str, ...]] = []
        stack: list[tuple[tuple[str, ...], list[Form], list[Form]]] = [((), [], [])]
        while stack:
            prefix, equal, bounds = stack.pop()
            if feasible(self.equalities + equal, self.bounds + bounds) is False:
                continue
            if len(prefix) == len(common):
                found.append(prefix)
                continue
            number, step = common[len(prefix)], steps[len(prefix)]
            later: Form = {(1, number): 1, (0, number): -1} if step >= 0 else {(1, number): -1, (0, number): 1}
            earlier: Form = {v: -c for v, c in later.items()}
            stack.append(((*prefix, ">"), equal, [*bounds, {**earlier, ONE: -1}]))
            stack.append(((*prefix, "="), [*equal, later], bounds))
            stack.append(((*prefix, "<"), equal, [*bounds, {**later, ONE: -1}]))
        return found

    def distances(
        self, common: Sequence[int], steps: Sequence[int], directions: Sequence[str]
    ) -> tuple[int | None, ...]:
        """For each common loop the iterations between the two, where the equalities leave one number only."""
        rows = list(self.equalities)
        rows += [{(1, n): 1, (0, n): -1} for n, direction in zip(common, directions, strict=True) if direction == "="]
        solved = _eliminated(rows)
        found: list[int | None] = []
        for number, step in zip(common, steps, strict=True):
            left = _reduced({(1, number): Fraction(1), (0, number): Fraction(-1)}, solved)
            distance = left.pop(ONE, Fraction(0))
            whole = not left and step != 0 and distance.denominator == 1 and distance % step == 0
            found.append(int(distance) // step if whole else None)
        return tuple(found)


def _eliminated(rows: Iterable[Mapping[Hashable, int]]) -> list[tuple[Hashable, dict[Hashable, Fraction]]]:
    """Equalities in echelon form: each with the variable that it defines, of factor 1."""
    solved: list[tuple[Hashable, dict[Hashable, Fraction]]] = []
    for row in rows:
        left = _reduced({v: Fraction(c) for v, c in row.items()}, solved)
        pivot = next((v for v in left if v is not ONE), None)
        if pivot is not None:
            factor = left[pivot]
            solved.append((pivot, {v: c / factor for v, c in left.items()}))
    return solved


def _reduced(
    row: dict[Hashable, Fraction], solved: Iterable[tuple[Hashable, dict[Hashable, Fraction]]]
) -> dict[Hashable, Fraction]:
    for pivot, other in solved:
        factor = row.get(pivot)
        if factor:
            for v, c in other.items():
                row[v] = row.get(v, Fraction(0)) - factor * c
        row = {v: c for v, c in row.items() if c}
    return {v: c for v, c in row.items() if c}


def _holds_zero(row: Mapping[Hashable, int], ranges: Mapping[Hashable, Sequence[int | None]]) -> bool:
    """Whether a sum may be 0 with each variable anywhere in its range (Banerjee's test)."""
    low: int | None = row.get(ONE, 0)
    high = low
    for variable, count in row.items():
        if variable is ONE or not count:
            continue
        least, most = ranges.get(variable, (None, None))
        if count < 0:
            least, most = most, least
        low = None if low is None or least is None else low + count * least
        high = None if high is None or most is None else high + count * most
    return (low is None or low <= 0) and (high is None or high >= 0)


def _sum(x: Mapping[Any, int], y: Mapping[Any, int], factor: int = 1) -> Form:
    total: Form = dict(x)
    for v, c in y.items():
        total[v] = total.get(v, 0) + factor * c
    return total


def _sided(row: Mapping[Any, int], side: int) -> Form:
    """A form of one of two iterations: its indices and own variables apart from the other's; lengths are shared."""
    return {v if v is ONE or isinstance(v, Node) else (side, v): c for v, c in row.items()}


def _base(node: Node) -> Node:
    while isinstance(node, View):
        node = node.arg
    return node


def dependences(statements: Iterable[Node], known: Mapping[Node, int] | None = None) -> list[Dependence]:
    """The dependences between statements, loops and guards among them: see `Body`, which numbers the statements.

    >>> from arrayexpr._core.parser import parse
    >>> program = parse('''
    ... def f(a: float64[:], b: float64[:]):
    ...     for i in range(0, 10, 1):
    ...         a[2 * i] = b[i]
    ...         b[i + 3] = a[2 * i + 1]
    ... ''')
    >>> [(each.source, each.sink, each.kind, each.distances) for each in dependences(program.statements)]
    [(1, 0, 'flow', (3,))]
    """
    return Body.of(statements, known).dependences()


# -- Views ----------------------------------------------------------------------------------------


class _Step:
    """The variable that runs along one axis of a view."""

    __slots__ = ()


@dataclass
class _Axis:
    """One axis of a view: position `start + step * count` of an operand's axis, count below `length`.

    `start` and `length` are None where they are not affine. An axis that is not `exact` may have fewer elements, and
    one that is not `anchored` need not begin at `start`, as `a[-3:]` does not where a is shorter.
    """

    axis: int | None
    start: Form | None
    step: int
    length: Form | None
    exact: bool = True
    anchored: bool = True


@dataclass
class _Window:
    """The elements of an operand that views of it look at."""

    operand: Operand
    places: list[Form | None]
    bounds: list[Form]
    axes: list[_Axis]

    @staticmethod
    def of(node: Node, known: Mapping[Node, int], form: Callable[[Node], Form | None]) -> _Window:
        chain = []
        while isinstance(node, View):
            chain.append(node)
            node = node.arg
        assert isinstance(node, Operand), node
        places: list[Form | None] = [None] * node.type.rank
        axes = [_Axis(k, {}, 1, form(Extent(node, k))) for k in range(node.type.rank)]
        for view in reversed(chain):
            if view.order is not None:
                axes = [axes[k] for k in view.order]
                continue
            left, axes = iter(axes), []
            for item in view.subscripts:
                if item is None:
                    axes.append(_Axis(None, {}, 1, {ONE: 1}))
                    continue
                axis = next(left)
                if isinstance(item, Slice):
                    axes.append(_sliced(axis, item, form))
                elif axis.axis is not None:
                    places[axis.axis] = _fixed(axis, item, form)
        bounds: list[Form] = []
        for axis in axes:
            count = _Step()
            if axis.axis is not None and axis.start is not None:
                places[axis.axis] = _sum(axis.start, {count: axis.step})
            bounds.append({count: 1})
            if axis.length is not None:
                bounds.append(_sum(axis.length, {count: -1, ONE: -1}))
        return _Window(node, places, bounds, axes)


def _number(form: Form | None) -> int | None:
    return None if form is None or any(c and v is not ONE for v, c in form.items()) else form.get(ONE, 0)


def _fixed(axis: _Axis, item: Any, form: Callable[[Node], Form | None]) -> Form | None:
    """Where a whole number along an axis lies."""
    count = form(item) if isinstance(item, Node) else {ONE: item}
    if count is None or axis.start is None or not axis.anchored:
        return None
    if not isinstance(item, Node) and item < 0:
        if axis.length is None or not axis.exact:
            return None
        count = _sum(axis.length, count)
    return _sum(axis.start, count, axis.step)


def _sliced(axis: _Axis, item: Slice, form: Callable[[Node], Form | None]) -> _Axis:
    """A slice of an axis."""
    if item == Slice():
        return axis
    step = 1 if item.step is None else item.step
    length = _number(axis.length) if axis.exact else None
    bounds = (item.start, item.stop)
    if length is not None and not any(isinstance(bound, Node) for bound in bounds):
        taken = range(*slice(*item).indices(length))
        start = None if axis.start is None else _sum(axis.start, {ONE: taken.start}, axis.step)
        return _Axis(axis.axis, start, axis.step * step, {ONE: len(taken)})

    def place(bound: Any) -> Form | None:
        if isinstance(bound, Node):
            return form(bound)
        if bound >= 0:
            return {ONE: bound}
        return None if axis.length is None or not axis.exact else _sum(axis.length, {ONE: bound})

    last = None if axis.length is None else _sum(axis.length, {ONE: -1})
    if step > 0:
        start = {} if item.start is None else place(item.start)
        stop = axis.length if item.stop is None else place(item.stop)
    else:
        start = (last if axis.exact else None) if item.start is None else place(item.start)
        stop = {ONE: -1} if item.stop is None else place(item.stop)
    clipped = not (item.start is None or (item.start == 0 and step > 0))
    if (
        start is None
        or axis.start is None
        or not axis.anchored
        or (clipped and abs(step) > 1 and not _counts_up(item.start))
    ):
        # Where it begins is not known, nor which of every so many it takes.
        return _Axis(axis.axis, None, axis.step, None, False)
    if step < 0 and clipped:
        # A start beyond the end is moved to the end: with a step of -1 all that lies before is taken.
        if step != -1:
            return _Axis(axis.axis, None, axis.step, None, False)
    size: Form | None = None
    exact = False
    anchored = not clipped or (step > 0 and _counts_up(item.start))
    if stop is not None and abs(step) == 1:
        size = _sum(stop, start, -1) if step > 0 else _sum(start, stop, -1)
        exact = item.start is None and item.stop is None
    if size is None and axis.length is not None and step > 0:
        size = _sum(axis.length, start, -1)
    return _Axis(axis.axis, _sum(axis.start, start, axis.step), axis.step * step, size, exact, anchored)


def _counts_up(start: Any) -> bool:
    """Whether a slice begins at that very place, or is empty."""
    return isinstance(start, int) and start >= 0


def may_touch(x: Node, y: Node, known: Mapping[Node, int] | None = None) -> Touch:
    """Whether two views of one operand have elements in common.

    `x` and `y` are an operand or views of it; views of two operands have none, as far as their names tell.
    `known` has values of lengths and scalars: `{Extent(a, 0): 100}`.

    >>> from arrayexpr._core.parser import parse
    >>> def pair(text):
    ...     program = parse(f"def f(a: float64[:], *, r: float64[:]):\\n    r[...] = {text}\\n")
    ...     return program.statements[0].value.args
    >>> may_touch(*pair("a[::2] + a[1::2]")), may_touch(*pair("a[1:] + a[1:]")).answer
    (Touch(answer='never', apart=None), 'same')
    >>> may_touch(*pair("a[:3] + a[-3:]"))
    Touch(answer='may', apart=2 < a.shape[0] - 3)
    >>> may_touch(*pair("a[:3] + a[-3:]"), {Extent(Operand("a", pair("a + a")[0].type), 0): 6}).answer
    'never'
    """
    if x is y:
        return Touch("same")
    known = known or {}
    if _base(x) is not _base(y):
        return Touch("never")

    def form(expression: Node) -> Form | None:
        found = linear(expression, known)
        return None if found is None else dict[Hashable, int](found.items())

    one, other = (_Window.of(node, known, form) for node in (x, y))
    system = _System()
    system.equal(one.places, other.places)
    system.bounds.extend(_sided(row, 0) for row in one.bounds)
    system.bounds.extend(_sided(row, 1) for row in other.bounds)
    system.lengths()
    if system.impossible() or feasible(system.equalities, system.bounds) is False:
        return Touch("never")
    if _same(one, other):
        return Touch("same")
    tests: list[Node] = []
    for k in range(one.operand.type.rank):
        (low, high), (other_low, other_high) = (_span(window, k) for window in (one, other))
        for above, below in ((high, other_low), (other_high, low)):
            if above is not None and below is not None:
                gap = _number(_sum(below, above, -1))
                if gap is None and _possible(_sum(below, above, -1)):
                    tests.append(Apply(_LESS, (expression_of(above), expression_of(below))))
    condition: Node | None = None
    for test in dict.fromkeys(tests):
        condition = test if condition is None else Apply(_OR, (condition, test))
    return Touch("may", condition)


def _possible(form: Form) -> bool:
    """Whether a form may be above 0 where no length is 0."""
    lengths: list[Form] = [{v: 1, ONE: -1} for v in form if isinstance(v, Extent)]
    return feasible([], [*lengths, _sum(form, {ONE: -1})]) is not False


def _same(one: _Window, other: _Window) -> bool:
    """Whether two windows are the same elements in the same order."""
    if len(one.axes) != len(other.axes):
        return False
    for x, y in zip(one.axes, other.axes, strict=True):
        known = None not in (x.start, x.length, y.start, y.length) and x.exact and y.exact
        if not known or (x.axis, x.step) != (y.axis, y.step):
            return False
        for a, b in ((x.start, y.start), (x.length, y.length)):
            if a is None or b is None or any(_sum(a, b, -1).values()):
                return False
    running = {axis.axis for axis in one.axes}
    return all(
        k in running or (a is not None and b is not None and not any(_sum(a, b, -1).values()))
        for k, (a, b) in enumerate(zip(one.places, other.places, strict=True))
    )


def _span(window: _Window, k: int) -> tuple[Any, Any]:
    """The first and last position along an axis of the operand; None where it is not known or no expression."""
    for axis in window.axes:
        if axis.axis == k:
            if axis.start is None or axis.length is None:
                return None, None
            last = _sum(axis.start, _sum(axis.length, {ONE: -1}), axis.step)
            return (axis.start, last) if axis.step > 0 else (last, axis.start)
    return window.places[k], window.places[k]
