"""The one inference mechanism: a property of nodes is inferred by functions registered per operator and class.

A property that is *composed* has, for each kind of node, a function from the values of the children to
the value of the node: given q(x) and r(y), infer p(f(x, y)). One that is *collected* has a function from
the node alone to its share, and counts each node under the one asked about once, however often it is used.

>>> from arrayexpr._core.nodes import Apply, Operand
>>> from arrayexpr._core.ops import operator
>>> from arrayexpr._core.types import FLOAT64
>>> width = Property("width", default=lambda node, args, facts: max(args, default=0))
>>> @width.of(Operand)
... def _(node, args, facts):
...     return node.type.element.bits
>>> @width.of("sqrt")
... def _(node, args, facts):
...     return 2 * args[0]
>>> a = Operand("a", FLOAT64.array(1))
>>> width(Apply(operator("sqrt"), (Apply(operator("add"), (a, a)),)))
128

Values are remembered per node for as long as the node lives, and per facts (`Facts`) where the property
depends on them, so asking again after a rewrite infers the new nodes only. Nothing recurses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from .errors import ArrayExprError, ShapeMismatch
from .layout import Layout
from .nodes import (
    Apply,
    Assign,
    Barrier,
    Call,
    Cast,
    Constant,
    Contract,
    Disjoint,
    Extent,
    For,
    Function,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Opaque,
    Operand,
    Pack,
    Reduce,
    Scratch,
    SideEffect,
    Slice,
    Store,
    Stride,
    Unreorderable,
    View,
    postorder,
)
from .ops import Operator, operator
from .record import record
from .windows import is_full, trimmed

if TYPE_CHECKING:
    from .program import Program

_CLASSES: Final = (
    Constant, Operand, Index, Extent, Stride, View, Apply, Cast, Reduce, Contract, Function, Call, Opaque, SideEffect,
    Unreorderable, Assign, For, Loop, Load, Store, Scratch, Pack, Guard, Barrier, Disjoint,
)  # fmt: skip


@record
class Facts:
    """What a program knows beside its tree, for properties that depend on it: equal facts share their values."""

    layouts: tuple[tuple[str, Layout], ...] = ()
    target: Any = None

    @staticmethod
    def of(known: Program | Facts | Mapping[str, Layout] | None) -> Facts:
        """The facts of a program, or of a mapping of names to layouts."""
        if isinstance(known, Facts):
            return known
        if known is None:
            return NO_FACTS
        if isinstance(known, Mapping):
            return Facts(tuple(sorted(known.items())))
        return Facts(tuple(sorted(known.layouts.items())), known.target)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of an operand, where its layout is known."""
        return self.shapes.get(name)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        known: dict[str, tuple[int, ...]] | None = self.__dict__.get("_shapes")
        if known is None:
            known = {name: layout.shape for name, layout in self.layouts}
            object.__setattr__(self, "_shapes", known)
        return known


NO_FACTS: Final = Facts()

Infer = Callable[[Any, tuple[Any, ...], Facts], Any]


class Property:
    """Something inferred of nodes. Call it with a node (and facts) for the value.

    `default(node, args, facts)` serves nodes for which no function is registered; without one they are an
    error. `depends` says that values depend on the facts. `needs` names properties that the functions ask
    of the node's children: they are inferred first, so that asking is a look-up. With `combine` the
    property is collected: functions get no children's values, and their shares over all distinct nodes
    are combined, `start` first; nodes in the bodies of functions count too with `bodies`, else a Call stands for them.
    """

    def __init__(
        self,
        name: str,
        *,
        default: Infer | None = None,
        depends: bool = False,
        needs: Iterable[Property] = (),
        combine: Callable[[Any, Any], Any] | None = None,
        start: Any = None,
        bodies: bool = False,
    ):
        self.name = name
        self.default = default
        self.depends = depends
        self.needs = tuple(needs)
        self.combine = combine
        self.start = start
        self.bodies = bodies
        self._by_operator: dict[Operator, Infer] = {}
        self._by_class: dict[type, Infer] = {}
        # Keyed by weak references to nodes: a value goes when its node does.
        self._known: dict[Any, dict[Any, Any]] = {}
        self._functions: dict[type, Infer] = {}

    def __repr__(self) -> str:
        return f"<Property {self.name}>"

    def of(self, *what: str | Operator | type) -> Callable[[Infer], Infer]:
        """Register a function for operators (for Apply of them) and node classes; a later one replaces an earlier."""

        def registered(function: Infer) -> Infer:
            for each in what:
                if isinstance(each, type):
                    if each not in _CLASSES:
                        raise ArrayExprError(f"property {self.name} of {each.__name__}: expected a class of nodes")
                    self._by_class[each] = function
                else:
                    self._by_operator[operator(each) if isinstance(each, str) else each] = function
            self.forget()
            return function

        return registered

    def forget(self) -> None:
        """Drop all that was inferred."""
        self._known = {}

    def function(self, node: Node) -> Infer:
        """The function that serves a node."""
        if self._by_operator and type(node) is Apply:
            found = self._by_operator.get(node.op)
            if found is not None:
                return found
        found = self._by_class.get(type(node)) or self.default
        if found is None:
            what = f"operator {node.op.name}" if isinstance(node, Apply) else type(node).__name__
            raise ArrayExprError(f"property {self.name} is not known of {what}: register a function for it")
        return found

    def __call__(self, node: Node, facts: Program | Facts | Mapping[str, Layout] | None = None) -> Any:
        facts = Facts.of(facts)
        known = self._cache(facts)
        value = known.get(ref(node), _UNKNOWN)
        if value is not _UNKNOWN:
            return value
        for need in self.needs:
            need(node, facts)
        if self.combine is not None:
            value = self.start
            for each in postorder((node,), self.bodies):
                value = self.combine(value, self.function(each)(each, (), facts))
            known[ref(node, known.pop)] = value
            return value
        return self._infer(node, known, facts)

    def _cache(self, facts: Facts) -> dict[Any, Any]:
        if not self.depends:
            facts = NO_FACTS
        known = self._known.get(facts)
        if known is None:
            # A kernel called on ever new shapes must not collect the facts of all of them.
            if len(self._known) >= 64:
                self._known.pop(next(iter(self._known)))
            known = self._known[facts] = {}
        return known

    def _infer(self, root: Node, known: dict[Any, Any], facts: Facts) -> Any:
        forget = known.pop
        stack = [root]
        while stack:
            node = stack[-1]
            if ref(node) in known:
                stack.pop()
                continue
            values: list[Any] = []
            ready = True
            # What is known of a program's operands says nothing of a function's parameters.
            for child in () if self.depends and type(node) is Function else node.args:
                value = known.get(ref(child), _UNKNOWN)
                if value is _UNKNOWN:
                    stack.append(child)
                    ready = False
                else:
                    values.append(value)
            if ready:
                stack.pop()
                known[ref(node, forget)] = self.function(node)(node, tuple(values), facts)
        return known[ref(root)]


_UNKNOWN: Final = object()

# -- effects ------------------------------------------------------------------------------------

#: The values of `effects`: a sum of the other three.
PURE: Final = 0
RAISES: Final = 1
SIDE_EFFECT: Final = 2
UNREORDERABLE: Final = 4


def _any_of(node: Node, args: tuple[int, ...], facts: Facts) -> int:
    found = 0
    for value in args:
        found |= value
    return found


#: What may be observed of a node beside its value: PURE, or a sum of RAISES (an operator that may raise),
#: SIDE_EFFECT and UNREORDERABLE. An expression that is not PURE is never dropped, duplicated or merged.
effects: Final = Property("effects", default=_any_of)


@effects.of(Apply)
def _(node: Any, args: tuple[int, ...], facts: Facts) -> int:
    found = _any_of(node, args, facts)
    op = node.op
    if op.may_raise and kind_of(node) in op.may_raise:
        # Integers to a constant power that is not negative: the only one of our rows that may raise cannot.
        last = node.args[-1]
        if not (op.name == "power" and isinstance(last, Constant) and last.value >= 0):
            found |= RAISES
    return found


@effects.of(SideEffect)
def _(node: Any, args: tuple[int, ...], facts: Facts) -> int:
    return int(args[0] | SIDE_EFFECT)


@effects.of(Unreorderable)
def _(node: Any, args: tuple[int, ...], facts: Facts) -> int:
    return int(args[0] | UNREORDERABLE)


def kind_of(node: Node) -> str:
    """The kind of the element type that an Apply's row calls T; of another node, of its own."""
    if isinstance(node, Apply):
        return str(node.args[node.op.signature.index("T")].type.element.kind)
    return str(node.type.element.kind)


# -- operations ---------------------------------------------------------------------------------


def _own_cost(node: Node, args: tuple[Any, ...], facts: Facts) -> float:
    match node:
        case Apply():
            # A complex operation is a handful of real ones.
            return float(node.op.cost) * (4.0 if kind_of(node) == "c" else 1.0)
        case Reduce():
            return float(node.op.cost) if node.axes else 0.0
        case Cast():
            return 1.0
        case Contract():
            return 2.0
        case Call():
            # What stands in the body, which walks over a program do not enter: asked of each function once.
            return float(_body(node.function))
    return 0.0


#: Operations per element of a node by itself, an addition being one.
cost: Final = Property("cost", default=_own_cost)

#: Operations per element of all distinct nodes under a node: what is left to do when common
#: sub-expressions are computed once.
operations: Final = Property("operations", default=_own_cost, combine=lambda a, b: a + b, start=0.0)


#: Operations per element of all distinct nodes of a function's body.
_body: Final = Property("body", default=lambda node, args, facts: 0.0)


@_body.of(Function)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> float:
    return math.fsum(_own_cost(each, (), facts) for each in postorder((node.body,)))


def total_operations(roots: Iterable[Node]) -> float:
    """Operations per element of all distinct nodes under `roots`: the cost of a program's statements."""
    return math.fsum(_own_cost(node, (), NO_FACTS) for node in postorder(roots))


# -- depth and reads ----------------------------------------------------------------------------

#: The longest way from a node to a leaf: 0 for a leaf.
depth: Final = Property("depth", default=lambda node, args, facts: 1 + max(args, default=-1))


def _nothing(node: Node, args: tuple[Any, ...], facts: Facts) -> frozenset[str]:
    return frozenset()


#: The names of the operands under a node; of a statement, of those it writes too.
operands: Final = Property(
    "operands", default=_nothing, combine=lambda a, b: a | b if b else a, start=frozenset(), bodies=True
)


@operands.of(Operand)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> frozenset[str]:
    return frozenset((node.name,))


class _Reads(Property):
    """Reads differ from operands in that a target, and a function's parameters, are not read."""

    def __call__(self, node: Node, facts: Program | Facts | Mapping[str, Layout] | None = None) -> frozenset[str]:
        known = self._cache(NO_FACTS)
        value = known.get(ref(node))
        if value is None:
            value = known[ref(node, known.pop)] = _reads(node)
        return value


def _reads(root: Node) -> frozenset[str]:
    found: set[str] = set()
    seen: set[Node] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        match node:
            case Operand():
                found.add(node.name)
            case Function() | Extent() | Stride() | Disjoint():
                pass
            case Assign():
                stack.append(node.value)
                # The target is not read, but for what its subscripts are computed from.
                view: Any = node.target
                while isinstance(view, View):
                    stack.extend(view.args[1:])
                    view = view.arg
            case Store():
                stack.extend(node.args[1:])
            case Scratch():
                stack.extend(node.args[1:])
            case Pack():
                stack.extend(node.args[1:])
            case _:
                stack.extend(node.args)
    return frozenset(found)


#: The names of the operands whose elements a node reads. Extents and strides are no elements; what an effect
#: reads beyond its inner node is in its `reads`.
reads: Final = _Reads("reads")

# -- lengths and shape --------------------------------------------------------------------------
# Two ways to know a shape. `shape` gives numbers, from layouts. `lengths` needs no layouts: per axis, the
# set of things whose lengths broadcast together there. Equal sets mean equal lengths, so a rewrite that
# drops an operand can be checked without knowing any number.

# Beyond this many the set becomes one name of its own, so that a chain of n operands costs O(n).
_MOST: Final = 64

Lengths = tuple[frozenset[Any], ...]


class _Named:
    """The length of one axis of one node, about which nothing is known; equal to itself only."""

    __slots__ = ("__weakref__", "key")

    def __init__(self, key: Any):
        self.key = key


def _unknown(node: Node, rank: int) -> Lengths:
    return tuple(frozenset((_Named(k),)) for k in range(rank))


def _joined(values: Iterable[Lengths], rank: int) -> Lengths:
    result: Lengths = ()
    for value in values:
        if result is value or not value:
            continue
        if not result:
            result = value
            continue
        if len(value) > len(result):
            result, value = value, result
        lead = len(result) - len(value)
        merged = []
        for k, mine in enumerate(result):
            if k >= lead:
                other = value[k - lead]
                if not other <= mine:
                    mine = other if mine <= other else mine | other
                    if len(mine) > _MOST:
                        mine = frozenset((_Named(k),))
            merged.append(mine)
        if any(a is not b for a, b in zip(merged, result, strict=True)):
            result = tuple(merged)
    return result if len(result) == rank else (frozenset(),) * (rank - len(result)) + result


def _lengths_default(node: Node, args: tuple[Lengths, ...], facts: Facts) -> Lengths:
    return () if node.type is None else _unknown(node, node.type.rank)


#: Per axis of a value, the set of things whose lengths broadcast together to its length; empty for length 1.
lengths: Final = Property("lengths", default=_lengths_default)


@lengths.of(Operand)
def _(node: Any, args: tuple[Lengths, ...], facts: Facts) -> Lengths:
    return tuple(frozenset(((node.name, k),)) for k in range(node.type.rank))


@lengths.of(Apply)
def _(node: Any, args: tuple[Lengths, ...], facts: Facts) -> Lengths:
    return _joined(args, node.type.rank)


@lengths.of(Cast, SideEffect, Unreorderable)
def _(node: Any, args: tuple[Lengths, ...], facts: Facts) -> Lengths:
    return args[0]


@lengths.of(Reduce)
def _(node: Any, args: tuple[Lengths, ...], facts: Facts) -> Lengths:
    if node.keepdims:
        return tuple(frozenset() if k in node.axes else x for k, x in enumerate(args[0]))
    return tuple(x for k, x in enumerate(args[0]) if k not in node.axes)


def _part(item: Slice, of: frozenset[Any]) -> frozenset[Any]:
    """The length of a slice: of the same lengths, the same for all slices that leave out as many elements."""
    without = trimmed(item)
    if without is None:
        return frozenset((("part", tuple(item), of),))
    if len(of) == 1:
        (only,) = of
        if isinstance(only, tuple) and only[0] == "without":
            without, of = without + only[1], only[2]
    return frozenset((("without", without, of),))


@lengths.of(View)
def _(node: Any, args: tuple[Lengths, ...], facts: Facts) -> Lengths:
    mine = args[0]
    if node.order is not None:
        return tuple(mine[k] for k in node.order)
    result: list[frozenset[Any]] = []
    axis = 0
    for item in node.subscripts:
        if item is None:
            result.append(frozenset())
            continue
        if isinstance(item, Slice):
            if is_full(item) or (item.start is None and item.stop is None and item.step == -1):
                result.append(mine[axis])
            else:
                result.append(_part(item, mine[axis]))
        axis += 1
    return tuple(result)


@lengths.of(Call)
def _(node: Any, args: tuple[Lengths, ...], facts: Facts) -> Lengths:
    if any(p.type.rank for p in node.function.params) or node.function.body.type.rank:
        return _unknown(node, node.type.rank)
    return _joined(args[1:], node.type.rank)


def same_lengths(a: Node, b: Node) -> bool:
    """Whether two values certainly have one shape, whatever the shapes of the operands."""
    if a.type.rank != b.type.rank:
        return False
    return bool(a.type.rank == 0 or lengths(a) == lengths(b))


def _shape_default(node: Node, args: tuple[Any, ...], facts: Facts) -> tuple[int, ...] | None:
    return () if node.type is not None and node.type.rank == 0 else None


#: The shape of a value, from the layouts; None where it is not known. Raises ShapeMismatch where operands
#: do not broadcast together.
shape: Final = Property("shape", default=_shape_default, depends=True)


@shape.of(Operand)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> tuple[int, ...] | None:
    return () if node.type.rank == 0 else facts.shape(node.name)


def broadcast(shapes: Iterable[tuple[int, ...]], what: str) -> tuple[int, ...]:
    """The shape that shapes broadcast to, right-aligned as in NumPy; `what` names the culprit."""
    shapes = list(shapes)
    result = [1] * max(map(len, shapes), default=0)
    for each in shapes:
        for k in range(1, len(each) + 1):
            n = each[-k]
            if n != 1 and result[-k] not in (1, n):
                raise ShapeMismatch(f"{what}: shapes {', '.join(map(str, shapes))} do not broadcast together")
            if n != 1:
                result[-k] = n
    return tuple(result)


@shape.of(Apply)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> tuple[int, ...] | None:
    first = args[0]
    if all(value is first for value in args):
        return first  # type: ignore[no-any-return]
    return None if None in args else broadcast(args, node.op.name)


@shape.of(Cast, SideEffect, Unreorderable)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> tuple[int, ...] | None:
    return args[0]  # type: ignore[no-any-return]


@shape.of(Reduce)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> tuple[int, ...] | None:
    if args[0] is None:
        return None
    if node.keepdims:
        return tuple(1 if k in node.axes else n for k, n in enumerate(args[0]))
    return tuple(n for k, n in enumerate(args[0]) if k not in node.axes)


@shape.of(View)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> tuple[int, ...] | None:
    if args[0] is None:
        return None
    if node.order is not None:
        return tuple(args[0][k] for k in node.order)
    result: list[int] = []
    axis = 0
    for item in node.subscripts:
        if item is None:
            result.append(1)
            continue
        if isinstance(item, Slice):
            if isinstance(item.start, Node) or isinstance(item.stop, Node):
                return None
            result.append(len(range(*slice(*item).indices(args[0][axis]))))
        axis += 1
    return tuple(result)


@shape.of(Contract)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> tuple[int, ...] | None:
    left, right = args
    if left is None or right is None:
        return None
    rows = left[-2:-1]
    columns = right[-1:] if len(right) > 1 else ()
    inner = right[-2] if len(right) > 1 else right[0]
    if left[-1] != inner:
        raise ShapeMismatch(f"matmul of shapes {left} and {right}: {left[-1]} columns against {inner} rows")
    result: tuple[int, ...] = broadcast((left[:-2], right[:-2]), "matmul") + rows + columns
    return result


@shape.of(Call)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> tuple[int, ...] | None:
    if None in args[1:]:
        return () if node.type.rank == 0 else None
    function = node.function
    if any(p.type.rank for p in function.params) or function.body.type.rank:
        given = zip(function.params, args[1:], strict=True)
        # Strides play no part in shapes.
        return shape(function.body, {p.name: Layout(x, (0,) * len(x)) for p, x in given if x})  # type: ignore[no-any-return]
    return broadcast(args[1:], function.name)


@shape.of(Function)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> tuple[int, ...] | None:
    return None


# -- bytes moved --------------------------------------------------------------------------------


def _no_bytes(node: Node, args: tuple[Any, ...], facts: Facts) -> int | None:
    return 0


def _bytes_of(node: Node, facts: Facts) -> int | None:
    known = shape(node, facts)
    return None if known is None else math.prod(known) * int(node.type.element.itemsize)


def _sum_or_none(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b


#: Bytes that a node must read from and write to memory if each operand is moved once and nothing between is
#: stored: distinct operands read, and the targets of assignments written. None where a layout is not known.
bytes_moved: Final = Property(
    "bytes_moved", default=_no_bytes, depends=True, combine=_sum_or_none, start=0, needs=(shape,)
)


@bytes_moved.of(Operand)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> int | None:
    return _bytes_of(node, facts)


@bytes_moved.of(Assign)
def _(node: Any, args: tuple[Any, ...], facts: Facts) -> int | None:
    # The target is under the statement as well, and is counted there; what is read and written counts twice.
    base = node.target
    while isinstance(base, View):
        base = base.arg
    return _bytes_of(node.target, facts) if base.name in reads(node) else 0
