"""Bodies of loops made straight: temporaries put in, and stores under a condition made stores of `where`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..affine import linear
from ..infer import PURE, effects, kind_of, reads
from ..nodes import (
    Apply,
    Assign,
    Constant,
    For,
    Guard,
    Index,
    Load,
    Node,
    Operand,
    Scratch,
    Store,
    postorder,
    substitute,
)
from ..ops import Operator, operator
from .nests import untaken

_WHERE, _NOT = operator("where"), operator("logical_not")
_LOGICAL = frozenset(operator(name) for name in ("logical_and", "logical_or", "logical_not"))
_COMPARISONS = frozenset(
    operator(name) for name in ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
)


class NotStraight(Exception):
    """Why a body stays as it is."""


@dataclass(frozen=True)
class Straight:
    """A loop made straight. `expanded` are temporaries that became arrays with an element for each iteration of some
    loops: their operand, and the indices of those."""

    loop: For
    expanded: Mapping[Operand, tuple[Index, ...]]


def straightened(loop: For, taken: set[str]) -> Straight:
    """The loop with its scalar scratch put into what reads it, and its conditions into what they guard.

        t = scratch(float64)
        t[()] = a[i] * 2.0               →     r[i] = a[i] * 2.0 + 1.0
        r[i] = t[()] + 1.0
        if a[i] > 0.0:                   →     s[i] = where(a[i] > 0.0, 1.0, s[i])
            s[i] = 1.0

    A temporary that is stored in a loop within, or whose value is gone when it is read, becomes an array, `t[i]`.
    Conditions on indices alone stay guards: they say where a loop begins and ends. Raises NotStraight.
    `taken` are names that are in use; those of arrays that are made are added.
    """
    expand: set[Node] = set()
    while True:
        block = _Block(expand, taken)
        try:
            body = block.run(loop.body, (loop.index,))
        except _Expand as found:
            expand.add(found.operand)
            continue
        taken.update(operand.name for operand in block.expanded)
        return Straight(For(loop.index, loop.start, loop.stop, loop.step, body), block.expanded)


def is_affine(condition: Node) -> bool:
    """Whether a condition compares affine expressions of indices, lengths and scalars."""
    match condition:
        case Apply(op, args) if op in _LOGICAL:
            return all(map(is_affine, args))
        case Apply(op, (x, y)) if op in _COMPARISONS:
            return linear(x) is not None and linear(y) is not None
    return False


def accumulation(store: Store) -> tuple[Operator, Node] | None:
    """The operator and what it takes in, of a store that adds to its own element: `s[i] = s[i] + x`."""
    value = store.value
    if not isinstance(value, Apply) or value.op.arity != 2 or value.op.reduction is None:
        return None
    op = value.op
    current = Load(store.operand, store.subscripts)
    parts: list[Node] = []
    while isinstance(value, Apply) and value.op is op:
        # s + x + y: the sum of x and y is what is taken in.
        left, right = value.args
        if right is current:
            left, right = right, left
        parts.append(right)
        if left is current:
            break
        value = left
    else:
        return None
    if any(store.operand.name in reads(part) for part in parts):
        return None
    total = parts.pop()
    while parts:
        total = Apply(op, (total, parts.pop()))
    return op, total


class _Expand(Exception):
    """That the value of a temporary is not at hand where it is read."""

    def __init__(self, operand: Node):
        self.operand = operand


_UNSET, _GONE = "unset", "gone"


class _Block:
    def __init__(self, expand: set[Node], taken: set[str]) -> None:
        self.expand = expand
        self.taken = set(taken)
        #: What each temporary holds: a value, or that it has none yet, or one that is gone.
        self.values: dict[Node, Node | str] = {}
        self.arrays: dict[Node, Load] = {}
        self.expanded: dict[Operand, tuple[Index, ...]] = {}

    def run(self, body: Sequence[Node], indices: tuple[Index, ...]) -> tuple[Node, ...]:
        found: list[Node] = []
        own: list[Node] = []
        for node in map(_as_store, body):
            match node:
                case Scratch(operand, ()) if operand in self.expand:
                    array = Operand(untaken(operand.name, self.taken), operand.type.element.array(len(indices)))
                    self.taken.add(array.name)
                    self.expanded[array] = indices
                    self.arrays[operand] = Load(array, indices)
                case Scratch(operand, ()):
                    self.values[operand] = _UNSET
                    own.append(operand)
                case Store(operand, (), value) if operand in self.arrays:
                    place = self.arrays[operand]
                    found.append(Store(place.operand, place.subscripts, self.put_in(value)))
                case Store(operand, (), value) if operand in self.values:
                    self.values[operand] = self.put_in(value)
                case Store(operand, subscripts, value):
                    store = Store(operand, tuple(map(self.put_in, subscripts)), self.put_in(value))
                    found.append(store)
                    self.outdate({operand.name})
                case For():
                    found.append(self.loop(node, indices))
                case Guard():
                    found.extend(self.guard(node, indices))
                case _:
                    if any(n in self.values or n in self.arrays for n in postorder((node,))):
                        raise NotStraight(f"{node!r} uses a temporary")
                    found.append(node)
        for temporary in own:
            del self.values[temporary]
        return tuple(found)

    def outdate(self, names: set[str]) -> None:
        """A value that was computed before a store is not what it would be after it."""
        for operand, value in self.values.items():
            if isinstance(value, Node) and not names.isdisjoint(reads(value)):
                self.values[operand] = _GONE

    def put_in(self, value: Node) -> Node:
        """A value with temporaries replaced by what they hold."""
        if not self.values and not self.arrays:
            return value
        for node in postorder((value,)):
            known = self.values.get(node)
            if known is _UNSET:
                raise NotStraight(f"{node.key} is read before it is stored in the same iteration")
            if known is _GONE:
                raise _Expand(node)

        def leaf(node: Node) -> Node | None:
            operand = node.operand if isinstance(node, Load) else node
            known = self.values.get(operand)
            return known if isinstance(known, Node) else self.arrays.get(operand)

        return substitute((value,), leaf)[0]

    def loop(self, node: For, indices: tuple[Index, ...]) -> Node:
        start, stop, step = (self.put_in(bound) for bound in (node.start, node.stop, node.step))
        stored = {s.operand for s in postorder(node.body) if isinstance(s, Store)}
        for each in stored:
            if each in self.values:
                # An accumulator of the loop.
                raise _Expand(each)
        self.outdate({operand.name for operand in stored})
        return For(node.index, start, stop, step, self.run(node.body, (*indices, node.index)))

    def guard(self, node: Guard, indices: tuple[Index, ...]) -> Iterator[Node]:
        condition = self.put_in(node.condition)
        before = dict(self.values)
        then = self.run(node.then, indices)
        after, self.values = self.values, before.copy()
        otherwise = self.run(node.otherwise, indices)
        for operand in before:
            one, other = after[operand], self.values[operand]
            if one is not other:
                if isinstance(one, Node) and isinstance(other, Node):
                    self.values[operand] = _pure(Apply(_WHERE, (condition, one, other)))
                else:
                    self.values[operand] = _GONE if _GONE in (one, other) else _UNSET
        if not then and not otherwise:
            return
        if is_affine(condition):
            yield Guard(condition, then, otherwise)
            return
        stores = [s for s in (*then, *otherwise) if isinstance(s, Store)]
        if len(stores) < len(then) + len(otherwise):
            raise NotStraight(f"{condition!r} guards more than stores")
        if len(then) == len(otherwise) == 1 and stores[0].args[:-1] == stores[1].args[:-1]:
            yield _conditional(condition, stores[0], stores[1].value)
            return
        if len(stores) > 1 and not reads(condition).isdisjoint(s.operand.name for s in stores):
            raise NotStraight(f"{condition!r} reads what is stored where it holds")
        for k, store in enumerate(stores):
            yield _conditional(condition if k < len(then) else Apply(_NOT, (condition,)), store, None)


def _as_store(node: Node) -> Node:
    """The store that an assignment to a scalar is: `s[...] = s + x` is `s[()] = s[()] + x`."""
    if not isinstance(node, Assign) or not isinstance(node.target, Operand) or node.target.type.rank:
        return node
    current = Load(node.target, ())
    new: dict[Node, Node] = {node.target: current, current: current}
    return Store(node.target, (), substitute((node.value,), new.get)[0])


def _conditional(condition: Node, store: Store, otherwise: Node | None) -> Node:
    """The store of one value where a condition holds, and of another, or the one that is there, where it does not."""
    current = Load(store.operand, store.subscripts)
    taken_in = accumulation(store)
    if otherwise is None and taken_in is not None:
        # An accumulation stays one: what is masked off changes nothing.
        op, part = taken_in
        kind = kind_of(store.value)
        unit = next((u for u in reversed(op.units) if u.law.holds(kind)), None)
        if unit is not None:
            neutral = Constant(part.type.element.dtype.type(unit.value), part.type.element)
            masked = _pure(Apply(_WHERE, (condition, part, neutral)))
            return Store(store.operand, store.subscripts, Apply(op, (current, masked)))
    value = _pure(Apply(_WHERE, (condition, store.value, current if otherwise is None else otherwise)))
    return Store(store.operand, store.subscripts, value)


def _pure(value: Node) -> Node:
    if effects(value) != PURE:
        raise NotStraight(f"{value!r} has an effect or may raise, and is not always computed")
    return value
