"""Lengths of symbolic arrays: numbers that a traced function computes with, and the shapes of arrays that it makes."""

from __future__ import annotations

import operator as python_operator
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from ._core.affine import integer
from ._core.errors import UnsupportedError
from ._core.nodes import Apply, Cast, Constant, Extent, Node, Operand, Reduce, Slice, View, postorder, substitute
from ._core.ops import operator
from ._core.passes.elements import extents_of
from .promotion import WEAK, filled
from .symbolic import RECORDER, SymbolicArray, computed, strong


def lengths_of(x: SymbolicArray) -> tuple[SymbolicArray, ...]:
    """The length of each axis, as Python's integers are promoted."""
    recorder = RECORDER.get()
    node = x.node if recorder is None else recorder.shaped(x.node)
    found = _lengths(node)
    if recorder is not None:
        recorder.lengths.update((length, (node, axis)) for axis, length in enumerate(found))
    return tuple(computed(length, WEAK[int]) for length in found)


def _lengths(node: Node) -> tuple[Node, ...]:
    known: dict[Node, tuple[Node, ...]] = {}
    for each in postorder((node,)):
        match each:
            case Operand():
                known[each] = tuple(Extent(each, axis) for axis in range(each.type.rank))
            case View():
                known[each] = _of_part(each, known[each.args[0]])
            case Apply() | Cast():
                known[each] = _joined([known[arg] for arg in each.args], each.type.rank)
            case Reduce(keepdims=True):
                known[each] = tuple(_ONE if k in each.axes else n for k, n in enumerate(known[each.arg]))
            case Reduce():
                known[each] = tuple(n for k, n in enumerate(known[each.arg]) if k not in each.axes)
            case _ if not each.type.rank:
                known[each] = ()
            case _:
                raise UnsupportedError(
                    f"the lengths of a computed {each.type} are unknown while tracing: expected those of an argument"
                )
    return known[node]


_ONE: Final = integer(1)
_SUBTRACT: Final = operator("subtract")


def _of_part(view: View, lengths: tuple[Node, ...]) -> tuple[Node, ...]:
    for item in view.subscripts or ():
        if isinstance(item, Slice) and any(isinstance(bound, Node) for bound in item):
            raise UnsupportedError(
                f"the lengths of {view.type}, a slice to a place that is computed, are unknown while tracing: "
                "expected those of an argument"
            )
    whole = Operand("_", view.arg.type.plain)
    known = {Extent(whole, axis): length for axis, length in enumerate(lengths)}
    return tuple(substitute(extents_of(substitute((view,), {view.arg: whole}.get)[0]), known.get))


def _joined(shapes: Sequence[tuple[Node, ...]], rank: int) -> tuple[Node, ...]:
    """The lengths that arrays broadcast to."""
    joined: list[Node] = [_ONE] * rank
    for shape in shapes:
        for k, length in enumerate(shape, rank - len(shape)):
            if joined[k] is _ONE:
                joined[k] = length
            elif length is not _ONE and length is not joined[k]:
                is_one = Apply(operator("equal"), (joined[k], _ONE))
                joined[k] = Apply(operator("where"), (is_one, length, joined[k]))
    return tuple(joined)


def _length(x: Any) -> Any:
    """`len`."""
    if not isinstance(x, SymbolicArray):
        return len(x)
    if not x.ndim:
        raise TypeError(f"len() of a scalar {x.type}: expected an array")
    return lengths_of(x)[0]


def _creator(function: Callable[..., Any], value: Any) -> Callable[..., Any]:
    """`np.zeros` and its like: what they make of a shape that has symbolic lengths."""

    def created(shape: Any, dtype: Any = None, order: str = "C", **kwargs: Any) -> Any:
        if not _is_symbolic(shape):
            return function(shape, dtype or float, order, **kwargs)
        return _full(function.__name__, shape, value, dtype or float, kwargs)

    return created


def _np_full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C", **kwargs: Any) -> Any:
    if not _is_symbolic(shape) and not isinstance(fill_value, SymbolicArray):
        return np.full(shape, fill_value, dtype, order, **kwargs)  # type: ignore[call-overload]
    if dtype is None:
        dtype = fill_value.dtype if isinstance(fill_value, SymbolicArray) else np.asarray(fill_value).dtype
    return _full("full", shape, fill_value, dtype, kwargs)


def _is_symbolic(shape: Any) -> bool:
    return any(isinstance(n, SymbolicArray) for n in (shape if isinstance(shape, (tuple, list)) else (shape,)))


def _full(name: str, shape: Any, value: Any, dtype: Any, other: dict[str, Any]) -> SymbolicArray:
    if other:
        raise UnsupportedError(f"np.{name} of symbolic lengths with {', '.join(other)} cannot be traced")
    items = shape if isinstance(shape, (tuple, list)) else (shape,)
    made: Any = np.full_like
    return made(strong(_of_shape(name, items)), value, dtype=dtype)  # type: ignore[no-any-return]


def _of_shape(name: str, shape: Sequence[Any]) -> Node:
    """A value of a shape. Its lengths are those of arrays, as a program has no others."""
    parts = [_axis_of(name, n) for n in shape]
    values = {part[0] for part in parts if part is not None}
    if len(values) == 1:
        (value,) = values
        if [part and part[1] for part in parts] == list(range(value.type.rank)):
            subscripts = tuple(Slice(part[2] or None) for part in parts if part is not None)
            return View(value, subscripts=subscripts) if any(item.start for item in subscripts) else value
    made: Node | None = None
    for k, part in enumerate(parts):
        if part is None:
            continue
        value, axis, without = part
        # Along the others one element is enough, and there may be none.
        one = tuple(Slice(without or None) if j == axis else Slice(None, 1) for j in range(value.type.rank))
        others = tuple(j for j in range(value.type.rank) if j != axis)
        line = filled(View(value, subscripts=one), False)
        if others:
            line = Reduce(operator("logical_or"), line, others)
        placed = View(line, subscripts=tuple(Slice() if j == k else None for j in range(len(parts))))
        made = placed if made is None else Apply(operator("logical_or"), (made, placed))
    assert made is not None
    return made


def _axis_of(name: str, n: Any) -> tuple[Node, int, int] | None:
    """Of which value a length is, along which axis, and how many less; None of the length 1."""
    if not isinstance(n, SymbolicArray):
        if python_operator.index(n) == 1:
            return None
        raise UnsupportedError(f"np.{name} of symbolic lengths and {n}: expected lengths of arrays and ones")
    recorder = RECORDER.get()
    known = {} if recorder is None else recorder.lengths
    if n.node in known:
        return (*known[n.node], 0)
    match n.node:
        case Apply(op, (length, Constant(less))) if op is _SUBTRACT and length in known and less >= 0:
            return (*known[length], int(less))
    raise UnsupportedError(
        f"np.{name} of the length {n.node!r}: expected lengths of arrays, or fewer by a constant (a.shape[0] - 2)"
    )


#: What stands for functions that take or give lengths, in a function that is traced.
OF_SHAPES: Final[dict[Any, Callable[..., Any]]] = {
    len: _length,
    np.zeros: _creator(np.zeros, 0),
    np.ones: _creator(np.ones, 1),
    np.empty: _creator(np.empty, 0),
    np.full: _np_full,
}
