"""One store inside loops as an assignment of whole arrays: views for its subscripts, reductions for what it adds up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..affine import Linear, added, expression_of, integer, linear, quotient
from ..infer import PURE, effects, kind_of, reads
from ..integers import Form, feasible
from ..nodes import (
    Apply,
    Assign,
    Cast,
    Constant,
    Contract,
    Extent,
    For,
    Index,
    Load,
    Node,
    Opaque,
    Operand,
    Reduce,
    Slice,
    Store,
    Stride,
    View,
    postorder,
    substitute,
)
from ..ops import operator
from ..types import BOOL, BROADCAST
from .straight import accumulation

_WHERE, _MULTIPLY, _ADD = operator("where"), operator("multiply"), operator("add")
_AND, _OR, _NOT = operator("logical_and"), operator("logical_or"), operator("logical_not")
#: Operators that tell of y - x by comparing x to y: the least value of it where they hold, and of x - y where not.
_BELOW = {operator("less"): 1, operator("less_equal"): 0}
_ABOVE = {operator("greater"): 1, operator("greater_equal"): 0}
_EQUAL, _NOT_EQUAL = operator("equal"), operator("not_equal")
_COMPLEMENT = {
    operator(x): operator(y)
    for x, y in (("less", "greater_equal"), ("less_equal", "greater"), ("equal", "not_equal"))
    for x, y in ((x, y), (y, x))
}


class Refusal(Exception):
    """Why a store is no assignment of whole arrays."""


@dataclass(frozen=True)
class Span:
    """The values that an index takes: from `first` in steps of `step`, all between `low` and `high`."""

    index: Index
    step: int
    low: Linear
    high: Linear

    @property
    def first(self) -> Linear:
        return self.low if self.step > 0 else self.high

    @property
    def last(self) -> Linear:
        """The last value, where there is one; a division where the step is not 1."""
        if abs(self.step) == 1:
            return self.high if self.step > 0 else self.low
        distance = added(self.high, self.low, -1)
        if len(distance) == 1:
            return added(self.first, {None: distance[None] // abs(self.step) * self.step})
        steps = quotient(expression_of(distance), abs(self.step))
        return added(self.first, {steps: self.step, None: 0})

    @property
    def same(self) -> tuple[object, ...]:
        return self.index, self.step, tuple(self.low.items()), tuple(self.high.items())


def span_of(loop: For, known: Mapping[Node, int]) -> Span:
    """The values of a loop's index. Raises Refusal."""
    step, start, stop = (linear(node, known) for node in (loop.step, loop.start, loop.stop))
    name = loop.index.name
    if step is None or len(step) > 1 or not step[None]:
        raise Refusal(f"the step of loop {name} is {loop.step!r}, expected a constant")
    if start is None or stop is None:
        raise Refusal(f"a bound of loop {name} is not affine: {(loop.start if start is None else loop.stop)!r}")
    if step[None] > 0:
        return Span(loop.index, step[None], start, added(stop, {None: -1}))
    return Span(loop.index, step[None], added(stop, {None: 1}), start)


@dataclass
class Raised:
    """An assignment, with what must hold for it to mean the loops: forms that are at least 0."""

    statement: Assign
    requires: list[Linear]
    #: Conditions that hold or not for the statement as a whole.
    conditions: list[Node] = field(default_factory=list)


class Raiser:
    """Makes assignments of stores.

    `known` has values of lengths, `equal` what lengths are taken to be equal to, `outer` the loops that stay around,
    `arrays` the loops of temporaries that became arrays, `local` gives what holds one along some of them, `written` the
    names of what the loops store, `fast` whether reals may be added in another order.
    """

    def __init__(
        self,
        known: Mapping[Node, int],
        equal: Mapping[Node, Linear],
        outer: Sequence[For],
        arrays: Mapping[Operand, tuple[Index, ...]],
        local: Callable[[Operand, tuple[Index, ...]], Operand],
        written: frozenset[str],
        fast: bool,
    ):
        self.known = known
        self.equal = equal
        self.outer = outer
        self.arrays = arrays
        self.local = local
        self.written = written
        self.fast = fast
        self.spans: dict[Index, Span] = {}
        self.requires: dict[tuple[tuple[Any, int], ...], Linear] = {}
        self.facts: list[Linear] = []

    def raised(
        self, store: Store, loops: Sequence[For], conditions: Iterable[tuple[Node, bool]], carriers: Sequence[Load]
    ) -> Raised:
        """The assignment that a store within `loops` is. `carriers` are accesses that have a length for each loop.

        Raises Refusal.
        """
        self.requires, self.facts = {}, self._outer_facts()
        self.spans = {}
        for loop in loops:
            span = span_of(loop, self.known)
            for bound in (loop.start, loop.stop):
                if self.form(bound) is None:
                    raise Refusal(f"bound {bound!r} of loop {loop.index.name} is stored in it")
                moving = next((n for n in postorder((bound,)) if n in self.spans), None)
                if moving is not None:
                    message = f"loop {loop.index.name} is triangular: its bound {bound!r} changes with {moving.key}"
                    raise Refusal(message)
            low, high = (self.canonical(form) for form in (span.low, span.high))
            self.spans[loop.index] = Span(loop.index, span.step, low, high)
        left: list[Node] = []
        for condition, truth in conditions:
            self._narrow(condition, truth, left)
        # In the order of the target's axes, so that it is no transposed view.
        kept = [index for axis in self._axes(store) if (index := axis[1]) is not None]
        summed = [index for index in self.spans if index not in kept]
        value, target = store.value, self._target(store, kept)
        found = accumulation(store) if summed else None
        if summed and found is None:
            names = " and ".join(index.name for index in summed)
            raise Refusal(f"{store!r} stores the same element in every iteration of loop {names}")
        if found is not None:
            op, part = found
            kind = kind_of(store.value)
            if not op.associates.holds(kind, self.fast):
                raise Refusal(f"{store!r} adds up in order: contract 'fast' would allow another")
            if not any(unit.law.holds(kind, True) for unit in op.units):
                # Of nothing there is no minimum.
                for index in summed:
                    self.need(added(self.spans[index].high, self.spans[index].low, -1))
            total = self._contracted(op, part, kept, summed)
            if total is None:
                array, axes = self.array(part, kept + summed)
                for index in summed:
                    if index not in axes:
                        array = self._carried(array, index, kept + summed, carriers)
                rank = array.type.rank
                total = Reduce(op, array, tuple(range(rank - len(summed), rank)))
            result: Node = Apply(op, (target, total))
        else:
            result, axes = self.array(value, kept)
            if store.operand in self.arrays:
                # It gets its shape here.
                for index in kept:
                    if index not in axes:
                        result = self._carried(result, index, kept, carriers)
        return Raised(Assign(target, result), list(self.requires.values()), left)

    def within(self, accesses: Iterable[Load | Store], conditions: Iterable[tuple[Node, bool]]) -> list[Linear]:
        """What must be at least 0 for accesses to lie within their axes, in whatever iteration the conditions hold.

        A subscript that is not affine is not looked at. Raises Refusal.
        """
        self.requires, self.spans = {}, {}
        self.facts = self._outer_facts()
        for condition, truth in conditions:
            self.facts.extend(self._told(condition, truth))
        for access in accesses:
            for axis, subscript in enumerate(access.subscripts):
                form, length = self.form(subscript), self.form(Extent(access.operand, axis))
                if form is not None and length is not None:
                    self.need(form)
                    self.need(added(added(length, form, -1), {None: -1}))
        return list(self.requires.values())

    def _told(self, condition: Node, truth: bool) -> list[Linear]:
        """Forms that are at least 0 where a condition holds, or where it does not."""
        match condition:
            case Apply(op, (x,)) if op is _NOT:
                return self._told(x, not truth)
            case Apply(op, (x, y)) if (op is _AND and truth) or (op is _OR and not truth):
                return self._told(x, truth) + self._told(y, truth)
            case Apply(op, (x, y)) if op in _COMPLEMENT:
                op = op if truth else _COMPLEMENT[op]
                one, other = self.form(x), self.form(y)
                if one is not None and other is not None and op is not _NOT_EQUAL:
                    upward, downward = added(other, one, -1), added(one, other, -1)
                    if op is _EQUAL:
                        return [upward, downward]
                    least = {**_BELOW, **_ABOVE}[op]
                    return [added(upward if op in _BELOW else downward, {None: -least})]
        return []

    # -- conditions --

    def canonical(self, form: Linear) -> Linear:
        """A form with lengths that are taken to be equal replaced by one of them."""
        result: Linear = {None: form.get(None, 0)}
        for symbol, count in form.items():
            if symbol is not None:
                result = added(result, self.equal.get(symbol, {symbol: 1, None: 0}), count)
        return result

    def form(self, expression: Node) -> Linear | None:
        found = linear(expression, self.known)
        if found is None or not self.written.isdisjoint(reads(expression)):
            return None
        return self.canonical(found)

    def _outer_facts(self) -> list[Linear]:
        facts: list[Linear] = []
        for loop in self.outer:
            try:
                span = span_of(loop, self.known)
            except Refusal:
                continue
            facts.append(added({loop.index: 1, None: 0}, self.canonical(span.low), -1))
            facts.append(added(self.canonical(span.high), {loop.index: 1, None: 0}, -1))
        return facts

    def holds(self, form: Linear, span: Span | None = None) -> bool:
        """Whether a form is at least 0 whatever the lengths; with `span`, where that has a value."""
        # No more than its own: where another one has none, lengths along this one must fit all the same.
        return follows(form, self.facts if span is None else [*self.facts, added(span.high, span.low, -1)])

    def need(self, form: Linear, span: Span | None = None) -> None:
        """Require that a form is at least 0, of whatever iteration of the loops around. Raises Refusal."""
        if self.holds(form, span):
            return
        for loop in reversed(self.outer):
            count = form.get(loop.index, 0)
            if count:
                span = span_of(loop, self.known)
                end = self.canonical(span.low if count > 0 else span.high)
                form = added({s: c for s, c in form.items() if s is not loop.index}, end, count)
        if len(form) == 1:
            if form[None] < 0:
                raise Refusal("a subscript lies outside of its axis")
            return
        for symbol in form:
            if symbol is not None and any(isinstance(n, Index) for n in postorder((symbol,))):
                raise Refusal(f"whether a subscript lies within its axis changes with {symbol!r}")
        self.requires.setdefault(tuple(sorted(form.items(), key=repr)), form)

    def _narrow(self, condition: Node, truth: bool, left: list[Node]) -> None:
        """Narrow the spans to where an affine condition holds; what reads no index of theirs is put to `left`."""
        if not any(node in self.spans for node in postorder((condition,))):
            left.append(condition if truth else Apply(_NOT, (condition,)))
            return
        told = self._told(condition, truth)
        if not told:
            raise Refusal(f"the condition {condition!r} takes no range of one index")
        for form in told:
            self._bound(form, condition)

    def _bound(self, form: Linear, condition: Node) -> None:
        """Narrow a span to where a form is at least 0."""
        moving = [index for index in self.spans if form.get(index)]
        if len(moving) != 1 or abs(form[moving[0]]) != 1 or abs(self.spans[moving[0]].step) != 1:
            raise Refusal(f"the condition {condition!r} takes no range of one index")
        index = moving[0]
        span = self.spans[index]
        rest = {s: c for s, c in form.items() if s is not index}
        if form[index] > 0:
            # index >= -rest
            bound = added({None: 0}, rest, -1)
            low = self._tighter(span.low, bound, 1)
            self.spans[index] = Span(index, span.step, low, span.high)
        else:
            high = self._tighter(span.high, rest, -1)
            self.spans[index] = Span(index, span.step, span.low, high)

    def _tighter(self, x: Linear, y: Linear, sign: int) -> Linear:
        """The larger of two bounds, or the smaller; where no one knows, the second, and that it is so is required."""
        difference = added(y, x, -1) if sign > 0 else added(x, y, -1)
        if self.holds(difference):
            return y
        if self.holds(added({None: 0}, difference, -1)):
            return x
        self.need(difference)
        return y

    # -- subscripts --

    def _axes(self, access: Load | Store) -> list[tuple[Linear, Index | None]]:
        """Per axis of an access its affine subscript, and the index of the loops that it moves with. Raises Refusal."""
        if access.operand in self.arrays:
            return [
                ({index: 1, None: 0}, index if index in self.spans else None) for index in self.arrays[access.operand]
            ]
        found: list[tuple[Linear, Index | None]] = []
        for subscript in access.subscripts:
            form = self.form(subscript)
            name = access.operand.name
            if form is None:
                raise Refusal(f"subscript {subscript!r} of {name} is not affine")
            moving = [index for index in self.spans if form.get(index)]
            if len(moving) > 1:
                names = " and ".join(index.name for index in moving)
                raise Refusal(f"subscript {subscript!r} of {name} moves with {names}")
            if moving and any(moving[0] is index for _, index in found):
                raise Refusal(f"two subscripts of {name} move with {moving[0].name}: it walks along a diagonal")
            found.append((form, moving[0] if moving else None))
        return found

    def _view(self, access: Load | Store) -> tuple[Node, list[Index]]:
        """The view of the elements that an access touches, and the index along each axis of it."""
        operand = access.operand
        axes = self._axes(access)
        if operand in self.arrays:
            held = [index for _, index in axes if index is not None]
            return self.local(operand, tuple(held)), held
        items: list[Any] = []
        turned: list[Any] = []
        along: list[Index] = []
        for axis, (form, index) in enumerate(axes):
            extent = Extent(operand, axis)
            length = self.form(extent)
            assert length is not None
            if index is None:
                self.need(form)
                self.need(added(added(length, form, -1), {None: -1}))
                items.append(self._place(form, length))
                continue
            item, reverse = self._slice(form, self.spans[index], length)
            items.append(item)
            turned.append(Slice(None, None, -1) if reverse else Slice())
            along.append(index)
        node: Node = operand
        if any(item != Slice() for item in items):
            node = View(node, items)
        if any(item != Slice() for item in turned):
            node = View(node, turned)
        return node, along

    def _slice(self, form: Linear, span: Span, length: Linear) -> tuple[Slice, bool]:
        """The elements of an axis that a subscript takes, in rising order, and whether it takes them falling."""
        count = form[span.index]
        rest = {s: c for s, c in form.items() if s is not span.index}
        step = count * span.step
        first, last = (added(rest, end, count) for end in (span.first, span.last))
        low, high = (first, last) if step > 0 else (last, first)
        # A bound that the last one does not pass will do where it is known to lie within.
        bound = added(rest, span.high if count > 0 else span.low, count)
        room = added(added(length, high, -1), {None: -1})
        if step > 0 and self.holds(added(added(length, bound, -1), {None: -1}), span):
            room = {None: 0}
        least = added(rest, span.low if count > 0 else span.high, count)
        self.need({None: 0} if self.holds(least, span) else low, span)
        self.need(room, span)
        stop = added(bound if step > 0 else high, {None: 1})
        start = self._start(low, length)
        return Slice(start, self._stop(stop, length), None if abs(step) == 1 else abs(step)), step < 0

    def _start(self, form: Linear, length: Linear) -> Any:
        if len(form) == 1:
            return max(form[None], 0) or None
        return self._place(form, length)

    def _stop(self, form: Linear, length: Linear) -> Any:
        beyond = added(form, length, -1)
        if len(beyond) == 1 and beyond[None] >= 0:
            return None
        return self._place(form, length)

    def _place(self, form: Linear, length: Linear) -> Any:
        """A subscript or a bound of a slice: from the start or from the end by a number, or an expression."""
        if len(form) == 1:
            return max(form[None], 0)
        from_end = added(form, length, -1)
        if len(from_end) == 1 and from_end[None] < 0:
            return from_end[None]
        # One below 0 would count from the end.
        self.need(form)
        return expression_of(form)

    def _target(self, store: Store, kept: Sequence[Index]) -> Node:
        node, along = self._view(store)
        assert along == list(kept)
        for axis, (_, index) in enumerate(self._axes(store)):
            fixed = store.operand.type.layout[axis] == BROADCAST or self.known.get(Stride(store.operand, axis)) == 0
            if index is not None and fixed and self.known.get(Extent(store.operand, axis)) != 1:
                raise Refusal(f"all elements of {store.operand.name} along axis {axis} are one")
        return node

    # -- values --

    def array(self, value: Node, order: Sequence[Index]) -> tuple[Node, set[Index]]:
        """A value over all iterations, its axes in `order`, and the indices that it has axes for."""
        if effects(value) != PURE:
            raise Refusal(f"{value!r} has an effect or may raise")
        found: set[Index] = set()
        new: dict[Node, Node] = {}
        stack, seen = [value], set()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if isinstance(node, Load):
                new[node] = self._placed(node, order, found)
            elif isinstance(node, Index) and node in self.spans:
                raise Refusal(f"the index {node.name} is read as a number")
            elif isinstance(node, Opaque):
                raise Refusal(f"the host's function {node.name} is called for each element")
            elif isinstance(node, Operand) and node.type.rank:
                raise Refusal(f"{node.name} is read as a whole in each iteration")
            elif not isinstance(node, Extent | Stride):
                stack.extend(node.args)
        return substitute((value,), new.get)[0], found

    def _placed(self, load: Load, order: Sequence[Index], found: set[Index]) -> Node:
        node, along = self._view(load)
        found.update(along)
        sorted_axes = sorted(range(len(along)), key=lambda k: order.index(along[k]))
        if sorted_axes != list(range(len(along))):
            node = View(node, order=tuple(sorted_axes))
        present = set(along)
        first = min((order.index(index) for index in along), default=len(order))
        if len(order) - first != len(along):
            node = View(node, [Slice() if index in present else None for index in order[first:]])
        return node

    def _carried(self, array: Node, index: Index, order: Sequence[Index], carriers: Sequence[Load]) -> Node:
        """The array with the length of a loop along its axis, which no part of it has."""
        for carrier in carriers:
            try:
                axes = self._axes(carrier)
            except Refusal:
                continue
            if index not in (along for _, along in axes) or carrier.operand in self.arrays:
                continue
            part = self._placed(self._along(carrier, index), order, set())
            return Apply(_WHERE, (Constant(True, BOOL), array, _as(part, array)))
        raise Refusal(f"no array has the length of loop {index.name}")

    def _along(self, access: Load, index: Index) -> Load:
        """The access with its other axes at 0."""
        subscripts: list[Node] = []
        for subscript, (_, moving) in zip(access.subscripts, self._axes(access), strict=True):
            subscripts.append(subscript if moving is index else integer(0))
        return Load(access.operand, tuple(subscripts))

    def _contracted(self, op: Any, part: Node, kept: Sequence[Index], summed: Sequence[Index]) -> Node | None:
        """The matrix product that a sum of products is, if it is one."""
        if (
            op is not _ADD
            or len(kept) != 2
            or len(summed) != 1
            or not isinstance(part, Apply)
            or part.op is not _MULTIPLY
        ):
            return None
        if part.type.element.kind == "b" or not all(isinstance(arg, Load) for arg in part.args):
            return None
        rows, columns = kept
        inner = summed[0]
        for left, right in (part.args, part.args[::-1]):
            assert isinstance(left, Load) and isinstance(right, Load)
            sides = [{along for _, along in self._axes(side) if along is not None} for side in (left, right)]
            if sides == [{rows, inner}, {inner, columns}]:
                return Contract(self._placed(left, (rows, inner), set()), self._placed(right, (inner, columns), set()))
        return None


def _as(value: Node, like: Node) -> Node:
    """The value in the element type of another."""
    element = like.type.element
    return value if value.type.element is element else Cast(value, element)


def follows(form: Linear, facts: Iterable[Linear]) -> bool:
    """Whether a form is at least 0 wherever all of some facts are, and lengths.

    >>> n, i = Extent(Operand("a", BOOL.array(1)), 0), Index("i")
    >>> follows({n: 2, None: -1}, [{n: 1, i: -1, None: 0}, {i: 1, None: -1}])
    True
    """
    rows = [_row(added({None: -1}, form, -1)), *map(_row, facts)]
    lengths: list[Form] = [{symbol: 1} for row in rows for symbol in row if isinstance(symbol, Extent)]
    return feasible([], [*rows, *lengths]) is False


def _row(form: Linear) -> Form:
    return dict[Any, int](form.items())
