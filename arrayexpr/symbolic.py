"""Symbolic arrays: Python's operators, NumPy's protocols and the methods of arrays build the tree."""

from __future__ import annotations

import math
import operator as python_operator
import weakref
from _thread import allocate_lock
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, Final, Protocol

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ._core.errors import ArrayExprError, ShapeMismatch, TypeMismatch, UnsupportedError
from ._core.nodes import (
    Apply,
    Assign,
    Cast,
    Constant,
    Extent,
    Node,
    Operand,
    Reduce,
    Slice,
    View,
    rebuild,
)
from ._core.ops import operator
from ._core.types import BOOL, FLOAT64, INT64, ArrayType, ElementType, element
from .promotion import (
    FALSE,
    TRUE,
    WEAK,
    Kind,
    Rule,
    Weak,
    assigned_number,
    filled,
    integer_bounds,
    number,
    rule_of,
)

_MULTIPLY: Final = rule_of(np.multiply)
_FLOOR_DIVIDE: Final = rule_of(np.floor_divide)
_REMAINDER: Final = rule_of(np.remainder)
_POWER: Final = rule_of(np.power)
_MATMUL: Final = rule_of(np.matmul)
_EQUAL: Final = rule_of(np.equal)
_NOT_EQUAL: Final = rule_of(np.not_equal)
_MINIMUM: Final = rule_of(np.minimum)
_MAXIMUM: Final = rule_of(np.maximum)
_NEGATIVE: Final = rule_of(np.negative)
_POSITIVE: Final = rule_of(np.positive)
_ABSOLUTE: Final = rule_of(np.absolute)
_INVERT: Final = rule_of(np.invert)
_SQUARE: Final = rule_of(np.square)
_SQRT: Final = rule_of(np.sqrt)
_RECIPROCAL: Final = rule_of(np.reciprocal)
_CONJUGATE: Final = rule_of(np.conjugate)
_RINT: Final = rule_of(np.rint)
# The ufunc that np.clip calls has no public name.
_CLIP: Final = rule_of(np._core.umath.clip)  # type: ignore[attr-defined]


class _AttributeUnsupported(UnsupportedError, AttributeError):
    """So that `hasattr` answers for what cannot be traced."""


# -- Recording, and what a value means when it is used --------------------------------------------


class Recorder(Protocol):
    """What keeps the assignments, in order, and what values meant before them: a `Trace`."""

    #: Of which value, and of which axis of it, a length is that was asked for.
    lengths: dict[Node, tuple[Node, int]]

    def record(self, target: Any, value: Node) -> None: ...

    def _settle(self, x: SymbolicArray) -> bool: ...

    def _local(self, t: ArrayType) -> Operand: ...

    def _localise(self, x: SymbolicArray) -> Operand: ...

    def shaped(self, node: Node) -> Node: ...


#: NumPy's functions that are no ufunc, by the function: `functions.py` fills it, `__array_function__` looks here.
HANDLED_FUNCTIONS: Final[dict[Any, Callable[..., Any]]] = {}

# How many assignments were ever recorded, in any trace. A value that was made at another count may
# have been overtaken by one; one integer comparison per use tells.
_now = 0
# `threading` gives the same lock, in 0.2 ms more.
_counting: Final = allocate_lock()
RECORDER: Final[ContextVar[Recorder | None]] = ContextVar("arrayexpr_recording", default=None)


def tick() -> int:
    """Count one assignment; the count that it has."""
    global _now
    # Traces of other threads count here too, and no count may be seen to go back.
    with _counting:
        _now += 1
        return _now


def _settle(x: SymbolicArray) -> None:
    """Make a value mean now what it meant when it was computed."""
    if not x._alias:
        recording = RECORDER.get()
        if recording is not None:
            base = x if x._base is None else x._base
            if not base._alias:
                if not recording._settle(base):
                    return
                base._time = _now
    x._time = _now


def computed(node: Node, kind: Kind) -> SymbolicArray:
    made: SymbolicArray = object.__new__(SymbolicArray)
    made._node = node
    made._kind = kind
    made._time = made._made = _now
    made._alias = False
    made._base = None
    made._views = None
    return made


def strong(node: Node) -> SymbolicArray:
    return computed(node, node.type.element)


def in_memory(node: Node) -> SymbolicArray:
    """An operand, or a view of one: it reads what is there when it is used."""
    made = computed(node, node.type.element)
    made._alias = True
    return made


# -- Operators ------------------------------------------------------------------------------------


def _binary(rule: Rule, x: SymbolicArray, y: Any) -> Any:
    if x._time != _now:
        _settle(x)
    if type(y) is not SymbolicArray:
        return _with_constant(rule, x, y, False)
    if y._time != _now:
        _settle(y)
    kinds = (x._kind, y._kind)
    pair = rule.pairs.get(kinds)
    if pair is None:
        pair = rule.pair(kinds)
    op, build, kind, cast0, cast1, _ = pair
    left, right = x._node, y._node
    if cast0 is not None:
        left = Cast(left, cast0)
    if cast1 is not None:
        right = Cast(right, cast1)
    return computed(Apply(op, (left, right)) if build is None else build(left, right), kind)


def _with_constant(rule: Rule, x: SymbolicArray, y: Any, swapped: bool) -> Any:
    """`x op y`, or `y op x`, where y is no symbolic array."""
    if x._time != _now:
        _settle(x)
    t = type(y)
    if t is bool and isinstance(x._kind, Weak):
        y, t = int(y), int
    if t is int or t is float or t is complex:
        other: Any = t
    elif isinstance(y, (int, float, complex, np.generic, np.ndarray, list, tuple)):
        other, y = operand_of(y, rule.name)
    else:
        return NotImplemented
    kinds = (other, x._kind) if swapped else (x._kind, other)
    pair = rule.pairs.get(kinds)
    if pair is None:
        pair = rule.pair(kinds)
    op, build, kind, cast0, cast1, ins = pair
    if swapped:
        cast0, cast1 = cast1, cast0
    node = x._node if cast0 is None else Cast(x._node, cast0)
    if isinstance(y, Node):
        constant = y if cast1 is None else Cast(y, cast1)
    else:
        to = ins[0] if swapped else ins[1]
        if rule.comparison and t is int and x._node.type.element.kind in "iu" and to.kind in "iu":
            low, high = integer_bounds(to)
            if not low <= y <= high:
                return strong(_beyond(rule.name, node, y > high, swapped))
        constant = number(y, to, rule.name)
    args = (constant, node) if swapped else (node, constant)
    return computed(Apply(op, args) if build is None else build(*args), kind)


def _beyond(name: str, node: Node, above: bool, swapped: bool) -> Node:
    """A comparison with an integer above, or below, all that the type holds."""
    if name in ("equal", "not_equal"):
        return filled(node, name == "not_equal")
    return filled(node, name.startswith("less") == (above != swapped))


def _unary(rule: Rule, x: SymbolicArray) -> SymbolicArray:
    if x._time != _now:
        _settle(x)
    plan = rule.plans.get((x._kind,)) or rule.plan((x._kind,))
    node = x._node if plan.casts[0] is None else Cast(x._node, plan.casts[0])
    return computed(Apply(plan.op, (node,)) if plan.build is None else plan.build(node), plan.kind)


def call_rule(rule: Rule, inputs: Sequence[Any], dtype: Any = None) -> SymbolicArray:
    """A call of a ufunc, or of a row: of any operands, Python numbers among them; its result is strong."""
    if len(inputs) != rule.arity:
        raise TypeMismatch(f"{rule.name} takes {rule.arity} operands: got {len(inputs)}")
    pairs = [operand_of(value, rule.name) for value in inputs]
    if rule.comparison:
        for k, (kind, value) in enumerate(pairs):
            other, node = pairs[1 - k]
            if kind is int and isinstance(node, Node) and isinstance(other, ElementType) and other.kind in "iu":
                low, high = integer_bounds(other)
                if not low <= value <= high:
                    return strong(_beyond(rule.name, node, value > high, k == 0))
    plan = rule.call(tuple(kind for kind, _ in pairs), dtype)
    args = []
    for (_, value), to, want in zip(pairs, plan.casts, plan.ins, strict=True):
        if not isinstance(value, Node):
            args.append(number(value, want, rule.name))
        else:
            args.append(value if value.type.element is want else Cast(value, to))
    node = Apply(plan.op, tuple(args)) if plan.build is None else plan.build(*args)
    return computed(node, plan.kind)


def _power(x: SymbolicArray, y: Any) -> Any:
    t = type(y)
    if t is int or t is float:
        kind = x._kind
        if isinstance(kind, Weak):
            if t is int and y < 0 and kind.python is int:
                # A Python int to a negative power is a float.
                return _binary(_POWER, computed(Cast(operand_of(x, "power")[1], FLOAT64), WEAK[float]), y)
        elif x._alias or x._node.type.rank:
            # NumPy's own short cuts, which arrays take and scalars do not.
            if t is int:
                if y == 2:
                    return _unary(_SQUARE, x)
                if y == -1 and kind.kind in "fc":
                    return _unary(_RECIPROCAL, x)
            elif y == 0.5 and kind.kind in "fc":
                return _unary(_SQRT, x)
        if t is int and y < 0 and not isinstance(kind, Weak):
            held = kind.kind == "b" or (kind.kind == "i" and y >= -(1 << (kind.bits - 1)))
            if held:
                raise ValueError(f"power: {kind} to the negative power {y}: expected a real type, cast it first")
    return _binary(_POWER, x, y)


def cast(x: SymbolicArray, to: ElementType) -> Node:
    """The node of a value as an element type."""
    if x._time != _now:
        _settle(x)
    node = x._node
    return node if node.type.element is to else Cast(node, to)


def as_symbolic(value: Any, what: str) -> SymbolicArray:
    """Any operand as a symbolic array: a Python number becomes a constant of its default type."""
    if type(value) is SymbolicArray:
        return value
    kind, node = operand_of(value, what)
    if isinstance(node, Node):
        return computed(node, kind)
    return strong(number(node, WEAK[kind].element, what))


def operand_of(value: Any, what: str) -> tuple[Kind, Any]:
    """The kind of an operand with its node, or with its value where that is a Python number."""
    if type(value) is SymbolicArray:
        if value._time != _now:
            _settle(value)
        return value._kind, value._node
    t = type(value)
    if t is int or t is float or t is complex:
        return t, value
    if t is bool:
        return BOOL, TRUE if value else FALSE
    if isinstance(value, np.generic):
        return element(value.dtype), Constant(value, element(value.dtype))
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return element(value.dtype), Constant(value[()], element(value.dtype))
        raise TypeMismatch(
            f"{what}: an array of shape {value.shape} and type {value.dtype} is captured while tracing: "
            "expected it to be passed as an argument"
        )
    for python in (int, float, complex):
        if isinstance(value, python):
            return python, python(value)  # type: ignore[arg-type]
    if isinstance(value, (list, tuple)):
        raise TypeMismatch(f"{what}: got a {t.__name__}: expected an array to be passed as an argument")
    raise TypeMismatch(f"{what}: got {t.__name__}: expected a symbolic array or a number")


_Operator = Callable[["SymbolicArray", Any], Any]


def _arithmetic(ufunc: Any, symbol: str) -> tuple[_Operator, _Operator, _Operator]:
    """`x op y`, `y op x` where y is no symbolic array, and `x op= y`."""
    rule = rule_of(ufunc)

    def forward(x: SymbolicArray, y: Any) -> Any:
        return _binary(rule, x, y)

    def reflected(x: SymbolicArray, y: Any) -> Any:
        return _with_constant(rule, x, y, True)

    def in_place(x: SymbolicArray, y: Any) -> Any:
        return _in_place(x, _binary(rule, x, y), symbol)

    return forward, reflected, in_place


def _comparison(ufunc: Any) -> _Operator:
    rule = rule_of(ufunc)
    return lambda x, y: _binary(rule, x, y)


# -- The class ------------------------------------------------------------------------------------


class SymbolicArray:
    """An array or scalar whose value is not known yet: operators and NumPy's functions on it build the tree.

    Made by `array`, `scalar`, `trace`, or from a node. Its element type and rank are known, its shape is not.
    As in NumPy, a view of an operand reads what the operand holds when the view is used, and a
    computed array keeps the value it had when it was computed.

    >>> from arrayexpr.build import array
    >>> x = array("x", "int8", 2)
    >>> (x + 1).dtype, (x[1:, None].T / 2).dtype, (x > 300).dtype, x.sum(axis=0).dtype
    (dtype('int8'), dtype('float64'), dtype('bool'), dtype('int64'))
    >>> x + 300
    Traceback (most recent call last):
    OverflowError: add: Python integer 300 does not fit int8: expected -128 to 127
    """

    __slots__ = ("__weakref__", "_alias", "_base", "_kind", "_made", "_node", "_time", "_views")

    _node: Node
    _kind: Kind
    # The count of assignments at which it was made, and at which it was last looked at.
    _made: int
    _time: Any
    _alias: Any
    _base: SymbolicArray | None
    _views: Any

    def __init__(self, node: Node) -> None:
        if not isinstance(node, Node) or node.type is None:
            raise TypeMismatch(f"SymbolicArray of {type(node).__name__}: expected an expression node")
        base = node
        while isinstance(base, View):
            base = base.arg
        self._node = node
        self._kind = node.type.element
        self._time = _now
        self._alias = isinstance(base, Operand)
        self._base = None
        self._views = None

    # What is known.

    @property
    def node(self) -> Node:
        """The tree of the value."""
        if self._time != _now:
            _settle(self)
        return self._node

    @property
    def type(self) -> ArrayType:
        """Element type and rank."""
        own: ArrayType = self._node.type
        return own

    @property
    def dtype(self) -> Any:
        return self._node.type.element.dtype

    @property
    def ndim(self) -> int:
        rank: int = self._node.type.rank
        return rank

    @property
    def shape(self) -> tuple[SymbolicArray, ...]:
        """The lengths of the axes: numbers that the program has when it runs."""
        from .shapes import lengths_of

        return lengths_of(self)

    @property
    def size(self) -> Any:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> Any:
        return self.size * self.itemsize

    @property
    def itemsize(self) -> int:
        return self._node.type.element.itemsize  # type: ignore[no-any-return]

    def __len__(self) -> int:
        raise TypeError(f"len() of a symbolic array {self.type} is unknown while tracing: expected its shape[0]")

    def __repr__(self) -> str:
        return f"<SymbolicArray {self._node.type}: {self._node!r}>"

    def __iter__(self) -> Any:
        raise TypeError(f"a symbolic array {self.type} cannot be iterated over: its length is unknown while tracing")

    def __bool__(self) -> bool:
        raise TypeError(
            f"the truth of a symbolic array {self.type} is unknown while tracing: "
            "expected np.where (or &, |, ~) in place of `if`, `and`, `or`, `not`, and of chained comparisons"
        )

    def __float__(self) -> float:
        raise _unknown_value("float", self)

    def __int__(self) -> int:
        raise _unknown_value("int", self)

    def __complex__(self) -> complex:
        raise _unknown_value("complex", self)

    def __index__(self) -> int:
        raise _unknown_value("index", self)

    def __contains__(self, item: Any) -> bool:
        raise TypeError(f"`in` a symbolic array {self.type} is unknown while tracing: expected (x == value).any()")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"a symbolic array {self.type} has no elements to make a NumPy array of: "
            "expected operators and NumPy's functions on it, which are traced"
        )

    def __getattr__(self, name: str) -> Any:
        if hasattr(np.ndarray, name) and not name.startswith("_"):
            raise _AttributeUnsupported(f"ndarray.{name} cannot be traced")
        raise AttributeError(f"a symbolic array has no attribute {name!r}")

    def __copy__(self) -> SymbolicArray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> SymbolicArray:
        return self.copy()

    __hash__ = None  # type: ignore[assignment]

    # Python's operators.

    __add__, __radd__, __iadd__ = _arithmetic(np.add, "+=")
    __sub__, __rsub__, __isub__ = _arithmetic(np.subtract, "-=")
    __mul__, __rmul__, __imul__ = _arithmetic(np.multiply, "*=")
    __truediv__, __rtruediv__, __itruediv__ = _arithmetic(np.true_divide, "/=")
    __floordiv__, __rfloordiv__, __ifloordiv__ = _arithmetic(np.floor_divide, "//=")
    __mod__, __rmod__, __imod__ = _arithmetic(np.remainder, "%=")
    __and__, __rand__, __iand__ = _arithmetic(np.bitwise_and, "&=")
    __or__, __ror__, __ior__ = _arithmetic(np.bitwise_or, "|=")
    __xor__, __rxor__, __ixor__ = _arithmetic(np.bitwise_xor, "^=")
    __lshift__, __rlshift__, __ilshift__ = _arithmetic(np.left_shift, "<<=")
    __rshift__, __rrshift__, __irshift__ = _arithmetic(np.right_shift, ">>=")
    __matmul__, __rmatmul__ = _arithmetic(np.matmul, "@=")[:2]

    def __imatmul__(self, other: Any) -> Any:
        product = self @ other
        if self.ndim == 0 or product.ndim < self.ndim:
            raise ShapeMismatch(f"@= on {self.type}: expected a product of as many axes")
        return _in_place(self, product, "@=", False)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __pow__(self, other: Any, modulo: None = None) -> Any:
        return NotImplemented if modulo is not None else _power(self, other)

    def __rpow__(self, other: Any, modulo: None = None) -> Any:
        return NotImplemented if modulo is not None else _with_constant(_POWER, self, other, True)

    def __ipow__(self, other: Any) -> Any:  # type: ignore[misc]
        return _in_place(self, _power(self, other), "**=")

    __lt__, __le__, __gt__, __ge__ = map(_comparison, (np.less, np.less_equal, np.greater, np.greater_equal))

    def __eq__(self, other: object) -> Any:
        return _compared(_binary(_EQUAL, self, other), "==", other)

    def __ne__(self, other: object) -> Any:
        return _compared(_binary(_NOT_EQUAL, self, other), "!=", other)

    def __neg__(self) -> SymbolicArray:
        return _unary(_NEGATIVE, self)

    def __pos__(self) -> SymbolicArray:
        return _unary(_POSITIVE, self)

    def __abs__(self) -> SymbolicArray:
        return _unary(_ABSOLUTE, self)

    def __invert__(self) -> SymbolicArray:
        return _unary(_INVERT, self)

    # Views and assignments.

    def __getitem__(self, index: Any) -> SymbolicArray:
        subscripts, whole = _subscripts(self, index)
        if whole:
            node = self.node
            return computed(node if not subscripts else View(node, subscripts=subscripts), self._kind)
        if subscripts is None:
            return _view(self, self.node)
        return _view(self, View(self.node, subscripts=subscripts))

    def __setitem__(self, index: Any, value: Any) -> None:
        if type(index) is SymbolicArray and index.ndim and index.type.element is BOOL:
            _assign_where(self, index, value)
            return
        subscripts, _ = _subscripts(self, index)
        if _is_scalar(self):
            raise TypeError(f"a scalar {self.type} does not support item assignment: expected an array of rank 0")
        if not self._alias:
            localise(self)
        target = self.node if not subscripts else View(self.node, subscripts=subscripts)
        # `a[1:] += b` has assigned already, and now hands back the view.
        if type(value) is SymbolicArray and value._alias and value._node is target:
            return
        _record(target, stored(target, value))

    def assign(self, value: Any, subscripts: Any = ...) -> Node:
        """The statement `self[subscripts] = value`, for `program`: nothing is recorded.

        >>> from arrayexpr.build import array, program
        >>> x, y = array("x", "float64", 1), array("y", "float64", 1)
        >>> statement = y.assign(x[:-1] * 2, np.s_[1:])
        >>> program(statement).statements == (statement,)
        True
        """
        items, _ = _subscripts(self, subscripts)
        base = self.node
        while isinstance(base, View):
            base = base.arg
        if not isinstance(base, Operand) or isinstance(self._kind, Weak):
            raise TypeMismatch(f"assign to a value of type {self.type}: expected an operand or a view of one")
        target = self.node if not items else View(self.node, subscripts=items)
        return Assign(target, stored(target, value))

    @property
    def T(self) -> SymbolicArray:
        return self.transpose()

    @property
    def mT(self) -> SymbolicArray:
        if self.ndim < 2:
            raise ShapeMismatch(f"mT of {self.type}: expected at least two axes")
        return self.swapaxes(-1, -2)

    @property
    def real(self) -> SymbolicArray:
        return _part(self, "real")

    @real.setter
    def real(self, value: Any) -> None:
        raise UnsupportedError("assignment to the real part cannot be traced: expected one to the whole")

    @property
    def imag(self) -> SymbolicArray:
        return _part(self, "imag")

    @imag.setter
    def imag(self, value: Any) -> None:
        raise UnsupportedError("assignment to the imaginary part cannot be traced: expected one to the whole")

    def transpose(self, *axes: Any) -> SymbolicArray:
        if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
            axes = () if axes[0] is None else tuple(axes[0])
        rank = self.ndim
        if not axes:
            order = tuple(range(rank - 1, -1, -1))
        else:
            if len(axes) != rank:
                raise ShapeMismatch(f"transpose of {self.type} by {axes}: expected {rank} axes")
            order = normalize_axis_tuple(axes, rank, "axes")
        return _view(self, self.node if rank < 2 else View(self.node, order=order))

    def swapaxes(self, axis1: Any, axis2: Any) -> SymbolicArray:
        order = list(range(self.ndim))
        first, second = (normalize_axis_index(axis, self.ndim) for axis in (axis1, axis2))
        order[first], order[second] = second, first
        return _view(self, View(self.node, order=tuple(order)))

    def squeeze(self, axis: Any = None) -> SymbolicArray:
        """The array without the axes, which must be given: which have extent 1 is not known."""
        if axis is None:
            raise UnsupportedError(f"squeeze of {self.type} without an axis cannot be traced: its shape is unknown")
        dropped = normalize_axis_tuple(axis, self.ndim)
        return _view(self, View(self.node, subscripts=tuple(0 if k in dropped else Slice() for k in range(self.ndim))))

    def copy(self, order: str = "C") -> SymbolicArray:
        return computed(self.node, self._kind)

    def astype(
        self, dtype: Any, order: str = "K", casting: str = "unsafe", subok: Any = True, copy: Any = True
    ) -> SymbolicArray:
        if isinstance(dtype, SymbolicArray):
            raise TypeMismatch(f"astype to a symbolic array {dtype.type}: expected an element type")
        to = element(dtype)
        own = self._node.type.element
        if own.dtype is None or not np.can_cast(own.dtype, to.dtype, casting):  # type: ignore[arg-type]
            raise TypeMismatch(f"astype from {own} to {to}: not allowed by the casting rule {casting!r}")
        if not copy and to is own and not isinstance(self._kind, Weak):
            return self
        return computed(cast(self, to), to)

    def conj(self) -> SymbolicArray:
        # The method gives a real array itself, where the function copies it.
        return _unary(_CONJUGATE, self) if self.type.element.kind == "c" else self

    conjugate = conj

    def fill(self, value: Any) -> None:
        self[...] = value

    # Reductions.

    def sum(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
        initial: Any = np._NoValue, where: Any = np._NoValue
    ) -> SymbolicArray:  # fmt: skip
        return _reduction("add", self, axis, dtype, out, keepdims, initial, where)

    def prod(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *,
        initial: Any = np._NoValue, where: Any = np._NoValue
    ) -> SymbolicArray:  # fmt: skip
        return _reduction("multiply", self, axis, dtype, out, keepdims, initial, where)

    def min(
        self, axis: Any = None, out: Any = None, keepdims: Any = False, *,
        initial: Any = np._NoValue, where: Any = np._NoValue
    ) -> SymbolicArray:  # fmt: skip
        return _reduction("minimum", self, axis, None, out, keepdims, initial, where)

    def max(
        self, axis: Any = None, out: Any = None, keepdims: Any = False, *,
        initial: Any = np._NoValue, where: Any = np._NoValue
    ) -> SymbolicArray:  # fmt: skip
        return _reduction("maximum", self, axis, None, out, keepdims, initial, where)

    def any(
        self, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = np._NoValue
    ) -> SymbolicArray:
        return _reduction("logical_or", self, axis, None, out, keepdims, where=where)

    def all(
        self, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = np._NoValue
    ) -> SymbolicArray:
        return _reduction("logical_and", self, axis, None, out, keepdims, where=where)

    def argmin(self, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> SymbolicArray:
        return _extreme_at("argmin", self, axis, out, keepdims)

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> SymbolicArray:
        return _extreme_at("argmax", self, axis, out, keepdims)

    def mean(
        self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = np._NoValue
    ) -> SymbolicArray:
        from .reductions import mean

        return mean(self, axis, dtype, out, keepdims, where)

    def var(
        self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
        where: Any = np._NoValue, mean: Any = np._NoValue, correction: Any = np._NoValue
    ) -> SymbolicArray:  # fmt: skip
        from .reductions import variance

        given = ddof if correction is np._NoValue else correction
        return into(out, variance(self, axis, dtype, given, keepdims, where, mean))

    def std(
        self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
        where: Any = np._NoValue, mean: Any = np._NoValue, correction: Any = np._NoValue
    ) -> SymbolicArray:  # fmt: skip
        variance = self.var(axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction)
        root = call_rule(_SQRT, (variance,))
        return into(out, strong(cast(root, variance.type.element)))

    def clip(
        self, min: Any = None, max: Any = None, out: Any = None, *,
        dtype: Any = None, casting: str = "same_kind"
    ) -> SymbolicArray:  # fmt: skip
        kind = self.type.element
        if kind.kind in "iu":
            # Bounds that no value can pass are none, however large.
            low, high = integer_bounds(kind)
            min = None if type(min) is int and min <= low else min
            max = None if type(max) is int and max >= high else max
        if min is None and max is None:
            # On bool NumPy has no loop for this.
            clipped = call_rule(_POSITIVE, (self,), dtype)
        elif min is None:
            clipped = call_rule(_MINIMUM, (self, max), dtype)
        elif max is None:
            clipped = call_rule(_MAXIMUM, (self, min), dtype)
        else:
            clipped = call_rule(_CLIP, (self, min, max), dtype)
        return into(out, clipped)

    def round(self, decimals: Any = 0, out: Any = None) -> SymbolicArray:
        if decimals != 0:
            raise UnsupportedError(f"round to {decimals} decimals cannot be traced: expected 0")
        if self.type.element.kind in "iu":
            return into(out, self.copy())
        return into(out, call_rule(_RINT, (self,)))

    def dot(self, other: Any, out: Any = None) -> SymbolicArray:
        return into(out, dot(self, other))

    # NumPy's protocols.

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__":
            return call_ufunc(ufunc, inputs, kwargs)
        if method == "reduce":
            return _ufunc_reduce(ufunc, *inputs, **kwargs)
        if method == "accumulate" and ufunc.nin == 2:
            return _ufunc_accumulate(ufunc, *inputs, **kwargs)
        raise UnsupportedError(
            f"np.{ufunc.__name__}.{method} cannot be traced: expected the ufunc itself or its reduce"
        )

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        handler = HANDLED_FUNCTIONS.get(function)
        if handler is None:
            module = getattr(function, "__module__", "numpy")
            raise UnsupportedError(f"{module}.{function.__name__} cannot be traced")
        try:
            return handler(*args, **kwargs)
        except TypeError as error:
            # An argument of NumPy's that the handler has no name for.
            if isinstance(error, ArrayExprError) or "argument" not in str(error):
                raise
            raise UnsupportedError(f"np.{function.__name__} cannot be traced with these arguments: {error}") from None


def _unknown_value(what: str, x: SymbolicArray) -> TypeError:
    return TypeError(f"a symbolic array {x.type} has no value while tracing, to be converted to {what}")


def _compared(result: Any, symbol: str, other: Any) -> Any:
    # Python would fall back to identity and answer False.
    if result is NotImplemented:
        raise TypeMismatch(f"{symbol} of a symbolic array and {type(other).__name__}: expected an array or a number")
    return result


# -- Views, and writing into memory ---------------------------------------------------------------


def _is_scalar(x: SymbolicArray) -> bool:
    """Whether NumPy has a scalar here, which is never written into: `s += 1` binds another one."""
    return not x._alias and x._node.type.rank == 0


def _view(x: SymbolicArray, node: Node) -> SymbolicArray:
    made = computed(node, x._kind)
    if x._alias:
        made._alias = True
    elif x._node.type.rank:
        base = x if x._base is None else x._base
        made._base = base
        if base._views is None:
            base._views = weakref.WeakValueDictionary()
        base._views[id(made)] = made
    return made


def _part(x: SymbolicArray, name: str) -> SymbolicArray:
    kind = x.type.element.kind
    if kind == "c":
        op = operator(name)
        return _view_as(x, Apply(op, (x.node,)))
    if name == "real":
        return x if not isinstance(x._kind, Weak) else computed(x.node, x._kind)
    if isinstance(x._kind, Weak):
        return computed(number(0, x._kind.element), x._kind)
    # Zeros, which for reals is not x * 0.
    return strong(_zeros(x.node, x.type.element))


def _view_as(x: SymbolicArray, node: Node) -> SymbolicArray:
    made = _view(x, node)
    made._kind = node.type.element if not isinstance(x._kind, Weak) else WEAK[float]
    return made


def _zeros(node: Node, to: ElementType) -> Node:
    return number(0, to) if node.type.rank == 0 else as_element(filled(node, False), to)


def as_element(node: Node, to: ElementType) -> Node:
    return node if node.type.element is to else Cast(node, to)


def _subscripts(x: SymbolicArray, index: Any) -> tuple[tuple[Any, ...] | None, bool]:
    """The subscripts of a View, None where it is x itself; and whether one element is taken out as a scalar."""
    items = index if isinstance(index, tuple) else (index,)
    rank = x._node.type.rank
    taken, dots = 0, 0
    for item in items:
        if item is Ellipsis:
            dots += 1
        elif item is not None:
            taken += 1
    if dots > 1:
        raise IndexError(f"subscripts of {x.type} have {dots} ellipses: expected one at most")
    if taken > rank:
        raise IndexError(f"{x.type} has {rank} axes: got {taken} subscripts")
    made: list[Any] = []
    trivial, whole = True, not dots and taken == rank
    for item in items:
        if item is Ellipsis:
            made.extend([Slice()] * (rank - taken))
        elif item is None:
            made.append(None)
            trivial = whole = False
        elif isinstance(item, slice):
            bounds = [_bound(part, x) for part in (item.start, item.stop, item.step)]
            if isinstance(bounds[2], Node):
                raise UnsupportedError(f"a slice of {x.type} has a symbolic step: expected a number")
            if bounds[2] == 0:
                raise ValueError(f"a slice of {x.type} has step 0")
            made.append(Slice(*bounds))
            whole = False
            trivial = trivial and item.start is None and item.stop is None and item.step in (None, 1)
        else:
            made.append(_bound(item, x))
            trivial = False
    if not dots:
        made.extend([Slice()] * (rank - taken))
    return None if trivial else tuple(made), whole


def _place(item: SymbolicArray) -> Node:
    """A subscript that is a scalar: of indices and lengths it is an expression, and else a local holds it."""
    node = as_element(item.node, INT64)
    stack = [node]
    while stack:
        each = stack.pop()
        if isinstance(each, (Reduce, View)) or each.type.rank:
            break
        stack.extend(() if isinstance(each, Extent) else each.args)
    else:
        return node
    recording = _current(f"a subscript {item.type} that is read from an array")
    local = recording._local(node.type)
    recording.record(local, node)
    return local


def _bound(item: Any, x: SymbolicArray) -> Any:
    if item is None or type(item) is int:
        return item
    if isinstance(item, SymbolicArray):
        if item.ndim == 0 and item.type.element.kind in "iu":
            return _place(item)
        raise UnsupportedError(f"{x.type} subscripted by a symbolic array {item.type} cannot be traced: use np.where")
    if isinstance(item, (bool, np.bool_, list, np.ndarray)):
        raise UnsupportedError(
            f"{x.type} subscripted by {type(item).__name__} cannot be traced: expected ints and slices"
        )
    try:
        return python_operator.index(item)
    except TypeError:
        raise IndexError(
            f"{x.type} subscripted by {type(item).__name__}: expected ints, slices, ... and None"
        ) from None


def stored(target: Node, value: Any) -> Node:
    """A value as the node that an assignment to target stores, cast as NumPy's assignment casts it."""
    to = target.type.element
    what = f"assignment to {to}"
    _, node = operand_of(value, what)
    if not isinstance(node, Node):
        return assigned_number(node, to, what)
    if node.type.rank > target.type.rank:
        raise ShapeMismatch(f"assignment of {node.type} to {target.type}: expected at most {target.type.rank} axes")
    if (node.type.element.dtype is None or to.dtype is None) and node.type.element is not to:
        raise TypeMismatch(f"assignment of {node.type} to {target.type}: foreign types are the host's to convert")
    return as_element(node, to)


def _current(what: str) -> Recorder:
    recording = RECORDER.get()
    if recording is None:
        raise UnsupportedError(
            f"{what} is outside of a trace, where nothing records it: "
            "expected a function given to trace, a `with Trace()` block, or program(out.assign(value), ...)"
        )
    return recording


def _record(target: Node, value: Node) -> None:
    base = target
    while isinstance(base, View):
        base = base.arg
    if not isinstance(base, Operand):
        raise UnsupportedError(
            f"assignment to {target.type}, which is one of several arrays after a loop in which names change places, "
            "cannot be traced: expected an assignment to an argument, or to a copy"
        )
    _current(f"an assignment to {base.name}").record(target, value)


def _assign_where(x: SymbolicArray, mask: SymbolicArray, value: Any) -> None:
    """`x[mask] = value`, of one value for all elements; the lengths of the mask have to be known for those of x."""
    what = f"{x.type} subscripted by a symbolic array {mask.type}"
    if isinstance(value, (SymbolicArray, np.ndarray)) and value.ndim:
        raise UnsupportedError(f"{what} is assigned an array of {value.ndim} axes: expected a number, or np.where")
    from ._core.infer import same_lengths

    shaped = _current(what).shaped
    if not same_lengths(shaped(x.node), shaped(mask.node)):
        raise UnsupportedError(
            f"{what}, whose lengths may be others, cannot be traced: expected a mask that is computed of the array, "
            "or np.copyto(array, value, where=mask)"
        )
    np.copyto(x, value, casting="unsafe", where=mask)  # type: ignore[arg-type]


def localise(x: SymbolicArray) -> None:
    """Give a computed array memory of its own, because it is about to be written into."""
    base = x if x._base is None else x._base
    if base._alias:
        return
    recording = _current(f"an assignment into a computed {x.type}")
    local = recording._localise(base)
    rebase(base, local)
    base._alias = True
    for view in list((base._views or {}).values()):
        view._alias = True
    base._time = x._time = _now


def rebase(base: SymbolicArray, node: Node) -> None:
    """Another node for a value and for the views of it."""
    old = base._node
    base._node = node
    for view in list((base._views or {}).values()):
        chain = []
        top = view._node
        while top is not old:
            chain.append(top)
            top = top.args[0]
        top = node
        for step in reversed(chain):
            top = rebuild(step, (top,))
        view._node = top


def _in_place(x: SymbolicArray, value: Any, symbol: str, elementwise: bool = True) -> Any:
    if value is NotImplemented or _is_scalar(x):
        return value
    return _write(x, value, symbol, elementwise)


def _write(x: SymbolicArray, value: SymbolicArray, what: str, elementwise: bool) -> SymbolicArray:
    """Write a computed value into an array as a ufunc's `out` does; elementwise ones are functions of x itself."""
    to, own = x.type, value.type
    if to.element.dtype is None or not np.can_cast(own.element.dtype, to.element.dtype, "same_kind"):
        raise TypeMismatch(f"{what} of {own.element} into {to.element}: not allowed by the casting rule 'same_kind'")
    if _is_scalar(x):
        raise TypeMismatch(f"{what} into a scalar {to}: expected an array")
    if own.rank > to.rank:
        raise ShapeMismatch(f"{what} of {own} into {to}: expected at most {to.rank} axes")
    node = cast(value, to.element)
    if elementwise and not x._alias and x._base is None and not x._views:
        x._node = node
        x._time = _now
        return x
    if not x._alias:
        localise(x)
    _record(x.node, node)
    return x


def into(out: Any, value: SymbolicArray) -> SymbolicArray:
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    if out is None or out is Ellipsis:
        return value
    if type(out) is not SymbolicArray:
        raise TypeMismatch(f"out is {type(out).__name__}: expected a symbolic array")
    return _write(out, value, "out", False)


# -- Ufuncs, and reductions, whose module needs this one -------------------------------------------


def call_ufunc(ufunc: Any, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    name = ufunc.__name__
    out = kwargs.pop("out", None)
    dtype = kwargs.pop("dtype", None)
    if kwargs.pop("where", True) is not True:
        raise UnsupportedError(f"np.{name} with where= cannot be traced: expected np.where around it")
    if kwargs.pop("casting", "same_kind") != "same_kind":
        raise UnsupportedError(f"np.{name} with casting= cannot be traced: expected astype of its operands")
    for ignored in ("order", "subok"):
        kwargs.pop(ignored, None)
    if kwargs:
        raise UnsupportedError(f"np.{name} with {next(iter(kwargs))}= cannot be traced")
    if ufunc is np.divmod:
        outs = out or (None, None)
        quotient = call_rule(_FLOOR_DIVIDE, inputs, dtype)
        rest = call_rule(_REMAINDER, inputs, dtype)
        return into(outs[0], quotient), into(outs[1], rest)
    return into(out, call_rule(rule_of(ufunc), inputs, None if dtype is None else element(dtype).dtype))


def _ufunc_reduce(ufunc: Any, array: Any, *args: Any, **kwargs: Any) -> SymbolicArray:
    from .reductions import ufunc_reduce

    return ufunc_reduce(ufunc, array, *args, **kwargs)


def _reduction(
    name: str, x: SymbolicArray, axis: Any, dtype: Any, out: Any, keepdims: Any,
    initial: Any = np._NoValue, where: Any = np._NoValue
) -> SymbolicArray:  # fmt: skip
    from .reductions import reduction

    return reduction(name, x, axis, dtype, out, keepdims, initial, where)


def _extreme_at(name: str, x: SymbolicArray, axis: Any, out: Any, keepdims: Any) -> SymbolicArray:
    from .reductions import extreme_at

    return extreme_at(name, x, axis, out, keepdims)


def _ufunc_accumulate(ufunc: Any, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None) -> SymbolicArray:
    from .assembled import accumulated

    return accumulated(f"np.{ufunc.__name__}.accumulate", ufunc, ufunc.accumulate, array, axis, dtype, out)


def dot(x: Any, y: Any, out: Any = None) -> SymbolicArray:
    left, right = as_symbolic(x, "dot"), as_symbolic(y, "dot")
    if left.ndim == 0 or right.ndim == 0:
        # Unlike a ufunc, dot makes arrays of Python numbers first.
        return into(out, call_rule(_MULTIPLY, (strong(left.node), strong(right.node))))
    if left.ndim > 1 and right.ndim > 2:
        raise UnsupportedError(f"np.dot of {left.type} and {right.type} cannot be traced: expected np.matmul")
    return into(out, call_rule(_MATMUL, (x, y)))
