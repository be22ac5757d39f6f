"""NumPy's functions on symbolic arrays: those that are no ufunc, and any by its name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ._core.errors import ShapeMismatch, TypeMismatch, UnsupportedError
from ._core.nodes import Apply, Constant, Node, Operand
from ._core.ops import Operator, is_operator, operator, operators
from ._core.types import BOOL, INT64, ElementType, element
from .contraction import FUNCTIONS as CONTRACTIONS
from .promotion import ROW_NAMES, SAMPLES, filled, integer_bounds, number, result_type, rule_of, rule_of_row, shortened
from .reductions import normal_axes, reduced
from .symbolic import (
    HANDLED_FUNCTIONS,
    SymbolicArray,
    as_element,
    as_symbolic,
    call_rule,
    call_ufunc,
    cast,
    computed,
    operand_of,
    stored,
    strong,
)


def _where(condition: Any, x: Any = np._NoValue, y: Any = np._NoValue) -> SymbolicArray:
    if x is np._NoValue or y is np._NoValue:
        raise UnsupportedError("np.where of one argument cannot be traced: its result's shape depends on the data")
    _, test = operand_of(condition, "where")
    test = as_element(test, BOOL) if isinstance(test, Node) else Constant(bool(test), BOOL)
    pairs = [operand_of(value, "where") for value in (x, y)]
    to = result_type([kind for kind, _ in pairs], "where")
    args = [as_element(value, to) if isinstance(value, Node) else _wrapped(value, to) for _, value in pairs]
    return strong(Apply(operator("where"), (test, *args)))


def _wrapped(value: Any, to: ElementType) -> Node:
    """A Python number converted as np.where does: through its default array, so that integers wrap."""
    if isinstance(value, int) and to.kind in "iu":
        if not -(1 << 63) <= value < 1 << 64:
            raise OverflowError(f"where: Python integer {shortened(value)} does not fit an integer type")
        low, _ = integer_bounds(to)
        value = (value - low) % (1 << to.bits) + low
    return number(value, to, "where")


def _clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *,
    min: Any = None, max: Any = None, **kwargs: Any
) -> SymbolicArray:  # fmt: skip
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise TypeMismatch("clip: got both a_min or a_max and min or max")
    return as_symbolic(a, "clip").clip(a_min if min is None else min, a_max if max is None else max, out, **kwargs)


def _moveaxis(a: Any, source: Any, destination: Any) -> SymbolicArray:
    x = as_symbolic(a, "moveaxis")
    old = normalize_axis_tuple(source, x.ndim, "source")
    new = normalize_axis_tuple(destination, x.ndim, "destination")
    if len(old) != len(new):
        raise ShapeMismatch(f"moveaxis of {len(old)} axes to {len(new)}: expected as many")
    order = [k for k in range(x.ndim) if k not in old]
    for place, axis in sorted(zip(new, old, strict=True)):
        order.insert(place, axis)
    return x.transpose(order)


def _expand_dims(a: Any, axis: Any) -> SymbolicArray:
    x = as_symbolic(a, "expand_dims")
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    new = normalize_axis_tuple(axis, x.ndim + count)
    return x[tuple(None if k in new else slice(None) for k in range(x.ndim + count))]


def _flip(m: Any, axis: Any = None) -> SymbolicArray:
    x = as_symbolic(m, "flip")
    flipped = normal_axes(x, axis)
    return x[tuple(slice(None, None, -1) if k in flipped else slice(None) for k in range(x.ndim))] if flipped else x


def _count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> SymbolicArray:
    x = as_symbolic(a, "count_nonzero")
    return reduced("add", strong(cast(x, BOOL)), normal_axes(x, axis), INT64, keepdims)


def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    if type(dst) is not SymbolicArray:
        raise TypeMismatch(f"copyto: the destination is {type(dst).__name__}: expected a symbolic array")
    kind, node = operand_of(src, "copyto")
    own = node.type.element.dtype if isinstance(node, Node) else np.result_type(SAMPLES[kind], dst.dtype)
    if not np.can_cast(own, dst.dtype, casting):  # type: ignore[arg-type]
        raise TypeMismatch(f"copyto from {own} to {dst.dtype}: not allowed by the casting rule {casting!r}")
    if where is not True:
        what = "copyto's where"
        mask, old = as_symbolic(where, what), dst.node
        if mask.type.element is not BOOL:
            raise TypeMismatch(f"{what} is {mask.type}: expected bool")
        src = strong(Apply(operator("where"), (mask.node, stored(old, src), old)))
    dst[...] = src


def _like(a: Any, value: Any, dtype: Any, shape: Any) -> SymbolicArray:
    if shape is not None:
        raise UnsupportedError("np.full_like with shape= cannot be traced")
    x = as_symbolic(a, "full_like")
    to = x.type.element if dtype is None else element(dtype)
    node = x.node
    if node.type.rank == 0:
        return computed(stored(Operand("_", to), value), to)
    if type(value) is int and value in (0, 1):
        return computed(as_element(filled(node, bool(value)), to), to)
    fill = stored(Operand("_", to.array(node.type.rank)), value)
    return strong(Apply(operator("where"), (filled(node, True), fill, fill)))


def _zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: Any = True, shape: Any = None, *, device: Any = None
) -> SymbolicArray:
    return _like(a, 0, dtype, shape)


def _ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: Any = True, shape: Any = None, *, device: Any = None
) -> SymbolicArray:
    return _like(a, 1, dtype, shape)


def _full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: Any = True, shape: Any = None, *,
    device: Any = None
) -> SymbolicArray:  # fmt: skip
    return _like(a, fill_value, dtype, shape)


def _method(name: str) -> Callable[..., Any]:
    def call(a: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(as_symbolic(a, name), name)(*args, **kwargs)

    call.__name__ = name
    return call


def _of_parts(name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        # Few functions need it, and no other's first result waits for its import.
        from . import assembled

        return getattr(assembled, name)(*args, **kwargs)

    return call


def _refused(name: str, hint: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise UnsupportedError(f"np.{name} cannot be traced: {hint}")

    return refuse


def _size(a: Any, axis: Any = None) -> Any:
    x = as_symbolic(a, "size")
    return math.prod(x.shape[k] for k in (range(x.ndim) if axis is None else normal_axes(x, axis)))


def _ndim(a: Any) -> int:
    return as_symbolic(a, "ndim").ndim


def _angle(z: Any, deg: Any = False) -> SymbolicArray:
    x = as_symbolic(z, "angle")
    parts: tuple[Any, Any] = (x.imag, x.real) if x.type.element.kind == "c" else (0, x)
    angle = as_symbolic(np.arctan2(*parts), "angle")
    return as_symbolic(angle * (180 / np.pi), "angle") if deg else angle


def _copy(a: Any, order: str = "K", subok: Any = False) -> SymbolicArray:
    return as_symbolic(a, "copy").copy()


_FUNCTIONS: Final[dict[Any, Callable[..., Any]]] = {
    np.where: _where,
    np.clip: _clip,
    np.transpose: lambda a, axes=None: as_symbolic(a, "transpose").transpose(axes),
    np.swapaxes: _method("swapaxes"),
    np.moveaxis: _moveaxis,
    np.expand_dims: _expand_dims,
    np.squeeze: _method("squeeze"),
    np.flip: _flip,
    np.fliplr: lambda m: _flip(m, 1),
    np.flipud: lambda m: _flip(m, 0),
    np.sum: _method("sum"),
    np.prod: _method("prod"),
    np.min: _method("min"),
    np.max: _method("max"),
    np.amin: _method("min"),
    np.amax: _method("max"),
    np.any: _method("any"),
    np.all: _method("all"),
    np.mean: _method("mean"),
    np.var: _method("var"),
    np.std: _method("std"),
    np.argmin: _method("argmin"),
    np.argmax: _method("argmax"),
    np.count_nonzero: _count_nonzero,
    **CONTRACTIONS,
    np.real: lambda val: as_symbolic(val, "real").real,
    np.imag: lambda val: as_symbolic(val, "imag").imag,
    np.angle: _angle,
    np.round: _method("round"),
    np.around: _method("round"),
    np.diff: _of_parts("diff"),
    np.roll: _of_parts("roll"),
    np.cumsum: _of_parts("cumsum"),
    np.cumprod: _of_parts("cumprod"),
    np.copy: _copy,
    np.copyto: _copyto,
    np.zeros_like: _zeros_like,
    np.empty_like: _zeros_like,
    np.ones_like: _ones_like,
    np.full_like: _full_like,
    np.ndim: _ndim,
    np.iscomplexobj: lambda x: x.type.element.kind == "c",
    np.isrealobj: lambda x: x.type.element.kind != "c",
    np.shape: lambda a: as_symbolic(a, "shape").shape,
    np.size: _size,
    np.reshape: _refused("reshape", "the shape of a symbolic array is unknown"),
    np.broadcast_to: _refused("broadcast_to", "operators broadcast by themselves"),
}
HANDLED_FUNCTIONS.update(_FUNCTIONS)

#: Names of functions that a text or a host may call: ufuncs with a row, rows without a ufunc, and the above.
_TEXT_FUNCTIONS: Final = (
    *("where", "clip", "transpose", "swapaxes", "moveaxis", "expand_dims", "squeeze", "flip", "sum", "prod", "min"),
    *("max", "amin", "amax", "any", "all", "mean", "var", "std", "argmin", "argmax", "count_nonzero", "dot", "real"),
    *("inner", "vdot", "outer"),
    *("imag", "round", "zeros_like", "ones_like", "full_like"),
)


# Ufuncs without a row of their name that are built of other nodes.
_MORE_UFUNCS: Final = frozenset({"divmod", "matmul", "positive"})


def function(name: str) -> Callable[..., Any] | None:
    """The function of that name on symbolic arrays and numbers: NumPy's names and those of the table's rows.

    None where there is no such name.

    >>> from arrayexpr.build import array
    >>> function("hypot")(array("x", "float32", 1), 2.0).dtype
    dtype('float32')
    """
    if name in _TEXT_FUNCTIONS:
        return _FUNCTIONS[getattr(np, name)]
    row = ROW_NAMES.get(name, name)
    if not is_operator(row) and name not in _MORE_UFUNCS:
        return None
    ufunc = getattr(np, name, None)
    if isinstance(ufunc, np.ufunc):
        return lambda *args, **kwargs: call_ufunc(ufunc, args, kwargs)
    return lambda *args: apply(row, *args)


def function_names() -> list[str]:
    """Every name that `function` knows."""
    names = set(_TEXT_FUNCTIONS) | set(ROW_NAMES) | {op.name for op in operators()} | _MORE_UFUNCS
    return sorted(name for name in names if function(name) is not None)


def apply(op: Operator | str, *args: Any) -> SymbolicArray:
    """An operator of the table on symbolic arrays and numbers, promoted as NumPy promotes.

    For the rows that are no function of NumPy's, as `fma`, and for those that a third party registered.
    Raises TypeMismatch where the row does not take the types.

    >>> from arrayexpr.build import array
    >>> apply("fma", array("x", "float32", 1), 2.0, array("y", "float32", 1)).dtype
    dtype('float32')
    """
    row = operator(op) if isinstance(op, str) else op
    ufunc = getattr(np, row.name, None)
    if isinstance(ufunc, np.ufunc) and ufunc.nin == row.arity and ufunc.nout == 1:
        return call_rule(rule_of(ufunc), args)
    if row.name in ("where", "clip"):
        made: SymbolicArray = (_where if row.name == "where" else _clip)(*args)
        return made
    return call_rule(rule_of_row(row), args)
