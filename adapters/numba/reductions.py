"""NumPy's reductions as rows of our table of operators, and as Numba reduces.

Numba goes through an array element by element, in the order of its indices or, of an array typed Fortran, with the
first axis innermost (but for sums in 0.67). Sums and products round in that order; a minimum is the first of equals, or
the first NaN. A variance is the sum of the squared distances from the mean, which is found before. The place of a
minimum counts elements in the order of their indices, however the array is typed.
"""

from __future__ import annotations

import operator as python
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numba.core import ir

from arrayexpr._core.nodes import Apply, Node, Reduce

from . import operators, versions, walk
from .calls import Known
from .kinds import host_type, map_type, mapped, types
from .refusal import Refused

_PARAMETERS: Final = {"sum": ("a", "axis", "dtype"), "argmin": ("a", "axis"), "argmax": ("a", "axis")}
_KNOWN: Final = {
    name: Known(name, _PARAMETERS.get(name, ("a",)))
    for name in ("sum", "prod", "mean", "min", "max", "any", "all", "argmin", "argmax", "var", "std")
}
FUNCTIONS: Final[Mapping[Any, Known]] = {
    **{getattr(np, name): known for name, known in _KNOWN.items()},
    np.amin: _KNOWN["min"],
    np.amax: _KNOWN["max"],
}
METHODS: Final[Mapping[str, Known]] = _KNOWN

#: What an accumulator starts as, and NumPy's function of two elements.
_STARTS: Final[Mapping[str, Any]] = {
    "sum": 0, "mean": 0, "var": 0, "std": 0, "prod": 1, "any": False, "all": True,
    "min": lambda dtype: np.inf if dtype.kind == "f" else np.iinfo(dtype).max,
    "max": lambda dtype: -np.inf if dtype.kind == "f" else np.iinfo(dtype).min,
}  # fmt: skip


class Fold(operators.Meaning):
    """One reduction: `key` is its name, the Numba type that it accumulates in, and `C` or `F` for the order."""

    arity, cost = 2, operators.CHEAP

    def __init__(self, operation: str, element: Any, order: str):
        self.key = (operation, element, order)
        self.operation, self.element, self.order = operation, element, order
        self.kind = mapped(types.intp if self.counts else element)
        self.name = self.reduction = f"numba.{operation}"

    @property
    def start(self) -> Any:
        """What an accumulator starts as."""
        found = _STARTS[self.operation]
        return self.kind.dtype.type(found(self.kind.dtype) if callable(found) else found)

    @property
    def code(self) -> str:
        """What in_order.h calls it."""
        operation = "sum" if self.operation in ("mean", "var", "std") else self.operation
        kind = map_type(self.element)
        assert kind is not None
        letters = kind.dtype.str[1:]
        return f"{operation}_{'i8' if letters == 'u8' and operation in ('sum', 'prod') else letters}"

    @property
    def loose(self) -> bool:
        """Whether fast math may take it in another order, to another result."""
        return self.operation in ("sum", "mean", "var", "std", "prod") and self.kind.kind == "f"

    @property
    def counts(self) -> bool:
        """Whether the result is the place of an element, for which it counts them."""
        return self.operation in ("argmin", "argmax")

    @property
    def ordered(self) -> bool:
        """Whether the result hangs on the order in which elements come."""
        return self.counts or self.kind.kind in "fc"

    @property
    def refused(self) -> str | None:
        """What is said of no elements, where there is no result for them."""
        if self.counts:
            return f"attempt to get {self.operation} of an empty sequence"
        if self.operation not in ("min", "max"):
            return None
        what = "minimum" if self.operation == "min" else "maximum"
        return f"zero-size array to reduction operation {what} which has no identity"

    def reduce(self, value: Any, axis: tuple[int, ...], dtype: Any = None, keepdims: bool = False) -> Any:
        """What Numba computes: for the interpreter."""
        moved = np.moveaxis(value, axis, range(len(axis)))
        kept = moved.shape[len(axis) :]
        if self.refused is not None and not value.size:
            raise ValueError(self.refused)
        if self.counts:
            place = np.asarray(getattr(np, self.operation)(value))
            return place.reshape((1,) * value.ndim) if keepdims else place
        made = np.full(kept, self.start)
        with np.errstate(all="ignore"):
            for each in np.reshape(moved, (-1, *kept), order="F" if self.order == "F" else "C"):
                made = self.step(made, each)
            if self.operation == "mean":
                made = (made / value.size).astype(made.dtype) if value.size else made * np.nan
            if self.operation in ("var", "std"):
                made = made / value.size
            if self.operation == "std":
                made = made**0.5
        return np.expand_dims(made, axis) if keepdims else made

    def step(self, made: Any, value: Any) -> Any:
        match self.operation:
            case "sum" | "mean" | "var" | "std":
                return made + value
            case "prod":
                return made * value
            case "any":
                return made | value
            case "all":
                return made & value
            case "min":
                return np.where((made == made) & ~(value >= made), value, made)
        return np.where((made == made) & ~(value <= made), value, made)


class Squared(operators.Meaning):
    """The square of what a value is off a mean: `key` is the Numba types of both, and of their difference as Numba has
    it. Of complex numbers it is that of the absolute value."""

    arity, cost = 2, operators.CHEAP

    def __init__(self, element: Any, mean: Any, sig: Any):
        self.key = (element, mean, sig)
        self.element, self.mean, self.sig = self.key
        off = sig.return_type
        kind = map_type(off.underlying_float if isinstance(off, types.Complex) else off)
        assert kind is not None
        self.kind = kind
        self.name = "numba.squared_off"

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        function = context.typing_context.resolve_value_type(python.sub)
        given = [
            context.cast(builder, value, of, to)
            for value, of, to in zip(values, (self.element, self.mean), self.sig.args, strict=True)
        ]
        off = context.get_function(function, self.sig)(builder, given)
        if not isinstance(self.sig.return_type, types.Complex):
            return builder.fmul(off, off)
        parts = context.make_complex(builder, self.sig.return_type, off)
        return builder.fadd(builder.fmul(parts.real, parts.real), builder.fmul(parts.imag, parts.imag))

    def python(self) -> Any:
        return lambda value, mean: np.real((value - mean) * np.conj(value - mean))


class Truth(operators.Meaning):
    """Whether a value counts as true; `key` is its Numba type."""

    arity, cost = 1, 0.0

    def __init__(self, given: Any):
        self.key = (given,)
        self.given = given
        self.kind = mapped(types.boolean)
        self.name = "numba.truth"

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        return context.is_true(builder, self.given, values[0])

    def python(self) -> Any:
        return bool


def axes(args: Mapping[str, ir.Var], typemap: Mapping[str, Any], rank: int) -> tuple[int, ...]:
    """The axes that a call reduces; raises Refused for those that are not known, or are none of the array's."""
    every = tuple(range(rank))
    if "axis" not in args or isinstance(typemap[args["axis"].name], (types.NoneType, types.Omitted)):
        return every
    kind = typemap[args["axis"].name]
    if isinstance(kind, types.BaseTuple):
        raise Refused("a reduction over several axes at a time")
    if not isinstance(kind, types.IntegerLiteral):
        raise Refused("a reduction over an axis that is known at run time only")
    axis = kind.literal_value
    if not -rank <= axis < rank:
        raise Refused(f"a reduction over axis {axis} of {rank}")
    return (axis % rank,)


def reduction(known: Known, value: Node, given: Any, over: tuple[int, ...], result: Any) -> Node:
    """The reduction of a value, of an array of the Numba type `given`, to elements of the Numba type `result`."""
    element = given.dtype
    operation = known.name
    if map_type(result) is None or (operation in ("sum", "prod") and result == types.boolean):
        raise Refused(f"{operation} to {result}")
    kind: Any = result
    if operation in ("any", "all"):
        kind = types.boolean
        if element != kind:
            value = Apply(operators.row(Truth, (element,)), (value,))
    elif operation in ("min", "max", "argmin", "argmax"):
        if len(over) < given.ndim:
            raise Refused(f"{operation} along an axis")
        if operation in ("argmin", "argmax") and given.layout == "F" and given.ndim > 1:
            # One array against the grain is less than all that it is computed from: 0.5 to 0.9 of Numba's speed.
            raise Refused(f"{operation} of {given}, whose elements Numba counts in the order of C")
        if isinstance(element, types.Complex):
            raise Refused(f"{operation} of complex numbers")
        kind = element
        if not isinstance(element, types.Float):
            kind = types.int64 if isinstance(element, types.Integer) and element.signed else types.uint64
    elif operation == "mean" and not isinstance(element, (types.Float, types.Complex)):
        kind = types.float64
    order = "C" if operation in ("argmin", "argmax") else _order(operation, given, over)
    made = Reduce(operators.row(Fold, (operation, kind, order)), operators.converted(value, kind), over)
    if fold_of(made).code not in walk.FOLDS:
        raise Refused(f"{operation} in {kind}")
    return operators.converted(made, result)


def mean_type(given: Any, typing: Any) -> Any:
    """The Numba type of the mean of an array of a Numba type."""
    sig = typing.resolve_function_type(np.mean, (given,), {})
    if sig is None or map_type(sig.return_type) is None:
        raise Refused(f"the mean of {given}")
    return sig.return_type


def variance(known: Known, value: Node, mean: Node, given: Any, result: Any, typing: Any) -> Node:
    """The variance of a value, or its root, of an array of the Numba type `given` with a mean, to the type `result`."""
    kinds = given.dtype, host_type(mean.type.element)
    sig = typing.resolve_function_type(python.sub, kinds, {})
    if sig is None or not isinstance(sig.return_type, (types.Float, types.Complex)) or result != types.float64:
        raise Refused(f"{known.name} of {given} to {result}")
    squared = operators.converted(Apply(operators.row(Squared, (*kinds, sig)), (value, mean)), types.float64)
    every = tuple(range(given.ndim))
    return Reduce(operators.row(Fold, (known.name, types.float64, _order(known.name, given, every))), squared, every)


def _order(operation: str, given: Any, over: Sequence[int]) -> str:
    """Whether Numba reduces an array of a Numba type in the order of C or of Fortran."""
    fortran = len(over) == given.ndim > 1 and given.layout == "F" and (operation != "sum" or versions.FORTRAN_SUMS)
    return "F" if fortran else "C"


def taken_apart(value: Node) -> tuple[Reduce, Apply | None] | None:
    """A reduction, and the conversion of its result if there is one; None of a value that is none."""
    if isinstance(value, Reduce):
        return value, None
    if isinstance(value, Apply) and value.args and isinstance(value.args[0], Reduce):
        return value.args[0], value
    return None


def fold_of(reduce: Reduce) -> Fold:
    """How a reduction of a host's program reduces."""
    assert isinstance(reduce.op, operators.HostOperator) and isinstance(reduce.op.meaning, Fold)
    return reduce.op.meaning
