"""Reductions of symbolic arrays: sums, extremes and their places, means, variances."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ._core.errors import TypeMismatch, UnsupportedError
from ._core.nodes import Apply, Cast, Constant, Extent, Node, Operand, Reduce, View
from ._core.ops import operator
from ._core.types import BOOL, FLOAT64, INT64, element
from .promotion import ON_BOOL, filled, rule_of
from .symbolic import SymbolicArray, as_symbolic, call_rule, cast, computed, into, strong

_FLOAT16: Final = element("float16")
_FLOAT32: Final = element("float32")
_UINT64: Final = element("uint64")

_ADD: Final = rule_of(np.add)
_SUBTRACT: Final = rule_of(np.subtract)
_TRUE_DIVIDE: Final = rule_of(np.true_divide)
_MAXIMUM: Final = rule_of(np.maximum)
_SQUARE: Final = rule_of(np.square)

_REDUCING: Final = frozenset(
    {"add", "multiply", "minimum", "maximum", "fmin", "fmax", "logical_and", "logical_or"}
    | {"bitwise_and", "bitwise_or", "bitwise_xor"}
)


def ufunc_reduce(
    ufunc: Any, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False,
    initial: Any = np._NoValue, where: Any = np._NoValue
) -> SymbolicArray:  # fmt: skip
    """`ufunc.reduce(array)`."""
    if ufunc.__name__ not in _REDUCING:
        raise UnsupportedError(f"np.{ufunc.__name__}.reduce cannot be traced: no operator reduces by it")
    x = as_symbolic(array, f"np.{ufunc.__name__}.reduce")
    return reduction(ufunc.__name__, x, axis, dtype, out, keepdims, initial, where)


def _no_where(name: str, where: Any) -> None:
    if where is not np._NoValue and where is not True:
        raise UnsupportedError(f"{name} with where= cannot be traced: expected np.where inside it")


def normal_axes(x: SymbolicArray, axis: Any) -> tuple[int, ...]:
    """The axes that an argument `axis` names, none of them negative."""
    if axis is None:
        return tuple(range(x.ndim))
    if x.ndim == 0 and axis in (0, -1):
        return ()
    axes: tuple[int, ...] = normalize_axis_tuple(axis, x.ndim)
    return axes


def reduction(
    name: str, x: SymbolicArray, axis: Any, dtype: Any, out: Any, keepdims: Any,
    initial: Any = np._NoValue, where: Any = np._NoValue
) -> SymbolicArray:  # fmt: skip
    """A reduction by an operator, as a method of arrays gives it."""
    _no_where(f"{name}.reduce", where)
    if initial is not np._NoValue and not (initial is None and name in ("add", "multiply")):
        raise UnsupportedError(f"{name}.reduce with initial= cannot be traced: expected the operator on the result")
    return into(out, reduced(name, x, normal_axes(x, axis), dtype, bool(keepdims)))


def reduced(name: str, x: SymbolicArray, axes: tuple[int, ...], dtype: Any, keepdims: bool) -> SymbolicArray:
    """The reduction of an array by an operator, in the type that NumPy computes it in."""
    own = x.type.element
    kind = own.kind
    if kind == "V":
        raise TypeMismatch(f"{name}.reduce of {own}: NumPy has no such loop")
    to = own
    if dtype is not None:
        to = element(dtype)
    elif name in ("add", "multiply") and (kind == "b" or (kind in "iu" and own.bits < 64)):
        # NumPy sums short integers in its default ones.
        to = _UINT64 if kind == "u" else INT64
    if name in ("logical_and", "logical_or"):
        to = BOOL
    op = ON_BOOL.get(name, operator(name)) if to is BOOL else operator(name)
    if to.kind not in op.kinds:
        raise TypeMismatch(f"{name}.reduce of {to}: NumPy has no such loop")
    node = cast(x, to)
    if not axes:
        return computed(node, to)
    return strong(Reduce(op, node, axes, keepdims))


def extreme_at(name: str, x: SymbolicArray, axis: Any, out: Any, keepdims: Any) -> SymbolicArray:
    """`argmin` or `argmax`."""
    if axis is None:
        axes = tuple(range(x.ndim))
    else:
        axes = (normalize_axis_index(axis, x.ndim),) if x.ndim else ()
    if x.type.element.kind == "V":
        raise TypeMismatch(f"{name} of {x.type.element}: NumPy has no such loop")
    if not axes:
        return into(out, strong(Constant(0, INT64)))
    return into(out, strong(Reduce(operator(name), x.node, axes, bool(keepdims))))


def _count(x: SymbolicArray, axes: tuple[int, ...], keepdims: bool) -> SymbolicArray:
    """How many elements a reduction over the axes takes, as int64."""
    if not axes:
        return strong(Constant(1, INT64))
    node = x.node
    places = list(axes)
    while isinstance(node, View) and node.order is not None:
        places = [node.order[k] for k in places]
        node = node.arg
    if isinstance(node, Operand):
        count: Node = Extent(node, places[0])
        for k in places[1:]:
            count = Apply(operator("multiply"), (count, Extent(node, k)))
        return strong(count)
    # The extents of an expression are those of all that is broadcast in it: count its elements.
    return strong(Reduce(operator("add"), Cast(filled(x.node, True), INT64), axes, keepdims))


def _divided(total: SymbolicArray, count: SymbolicArray) -> SymbolicArray:
    """A sum over a count, computed in NumPy's common type and brought back to the sum's."""
    return strong(cast(call_rule(_TRUE_DIVIDE, (total, count)), total.type.element))


def mean(x: SymbolicArray, axis: Any, dtype: Any, out: Any, keepdims: Any, where: Any) -> SymbolicArray:
    """`x.mean`."""
    _no_where("mean", where)
    own = x.type.element
    half = dtype is None and own is _FLOAT16
    if dtype is None:
        dtype = FLOAT64 if own.kind in "biu" else _FLOAT32 if half else None
    axes = normal_axes(x, axis)
    found = _divided(reduced("add", x, axes, dtype, keepdims), _count(x, axes, keepdims))
    return into(out, strong(cast(found, own)) if half and out is None else found)


def variance(
    x: SymbolicArray, axis: Any, dtype: Any, ddof: Any, keepdims: Any, where: Any, mean: Any
) -> SymbolicArray:  # fmt: skip
    """`x.var`, of which the mean may be given."""
    _no_where("var", where)
    if dtype is None and x.type.element.kind in "biu":
        dtype = FLOAT64
    axes = normal_axes(x, axis)
    if mean is np._NoValue:
        mean = _divided(reduced("add", x, axes, dtype, True), _count(x, axes, True))
    distance = call_rule(_SUBTRACT, (x, mean))
    if distance.type.element.kind == "c":
        squares = call_rule(_ADD, [call_rule(_SQUARE, (part,)) for part in (distance.real, distance.imag)])
    else:
        squares = call_rule(_SQUARE, (distance,))
    if dtype is not None and element(dtype).kind == "c":
        dtype = None
    total = reduced("add", squares, axes, dtype, keepdims)
    count = _count(x, axes, keepdims)
    if ddof:
        count = call_rule(_MAXIMUM, (call_rule(_SUBTRACT, (count, ddof)), 0))
    return _divided(total, count)
