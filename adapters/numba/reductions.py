"""NumPy's reductions as rows of our table of operators, and as Numba reduces.

Numba goes through an array element by element, in the order of its indices or, of an array typed Fortran, with the
first axis innermost (but for sums in 0.67). Sums and products round in that order; a minimum is the first of equals, or
the first NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numba.core import ir

from arrayexpr._core.nodes import Apply, Node, Reduce

from . import operators, versions, walk
from .calls import Known
from .kinds import map_type, mapped, types
from .refusal import Refused

_PLAIN: Final = ("a",)
_KNOWN: Final = {
    name: Known(name, ("a", "axis", "dtype") if name == "sum" else _PLAIN)
    for name in ("sum", "prod", "mean", "min", "max", "any", "all")
}
FUNCTIONS: Final[Mapping[Any, Known]] = {
    **{getattr(np, name): known for name, known in _KNOWN.items()},
    np.amin: _KNOWN["min"],
    np.amax: _KNOWN["max"],
}
METHODS: Final[Mapping[str, Known]] = _KNOWN

#: What an accumulator starts as, and NumPy's function of two elements.
_STARTS: Final[Mapping[str, Any]] = {
    "sum": 0, "mean": 0, "prod": 1, "any": False, "all": True,
    "min": lambda dtype: np.inf if dtype.kind == "f" else np.iinfo(dtype).max,
    "max": lambda dtype: -np.inf if dtype.kind == "f" else np.iinfo(dtype).min,
}  # fmt: skip


class Fold(operators.Meaning):
    """One reduction: `key` is its name, the Numba type that it accumulates in, and `C` or `F` for the order."""

    arity, cost = 2, operators.CHEAP

    def __init__(self, operation: str, element: Any, order: str):
        self.key = (operation, element, order)
        self.operation, self.element, self.order = operation, element, order
        self.kind = mapped(element)
        self.name = self.reduction = f"numba.{operation}"

    @property
    def start(self) -> Any:
        """What an accumulator starts as."""
        found = _STARTS[self.operation]
        return self.kind.dtype.type(found(self.kind.dtype) if callable(found) else found)

    @property
    def code(self) -> str:
        """What in_order.h calls it."""
        operation = "sum" if self.operation == "mean" else self.operation
        letters = self.kind.dtype.str[1:]
        return f"{operation}_{'i8' if letters == 'u8' and operation in ('sum', 'prod') else letters}"

    @property
    def loose(self) -> bool:
        """Whether fast math may take it in another order, to another result."""
        return self.operation in ("sum", "mean", "prod") and self.kind.kind == "f"

    @property
    def refuses_none(self) -> bool:
        """Whether there is no result for no elements."""
        return self.operation in ("min", "max")

    def reduce(self, value: Any, axis: tuple[int, ...], dtype: Any = None, keepdims: bool = False) -> Any:
        """What Numba computes: for the interpreter."""
        moved = np.moveaxis(value, axis, range(len(axis)))
        kept = moved.shape[len(axis) :]
        if self.refuses_none and not value.size:
            raise ValueError("zero-size array to reduction operation which has no identity")
        made = np.full(kept, self.start)
        with np.errstate(all="ignore"):
            for each in np.reshape(moved, (-1, *kept), order="F" if self.order == "F" else "C"):
                made = self.step(made, each)
            if self.operation == "mean":
                made = (made / value.size).astype(made.dtype) if value.size else made * np.nan
        return np.expand_dims(made, axis) if keepdims else made

    def step(self, made: Any, value: Any) -> Any:
        match self.operation:
            case "sum" | "mean":
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
    elif operation in ("min", "max"):
        if isinstance(element, types.Complex):
            raise Refused(f"{operation} of complex numbers")
        if not isinstance(element, types.Float):
            kind = types.int64 if isinstance(element, types.Integer) and element.signed else types.uint64
    elif operation == "mean" and not isinstance(element, (types.Float, types.Complex)):
        kind = types.float64
    fortran = len(over) == given.ndim > 1 and given.layout == "F" and (operation != "sum" or versions.FORTRAN_SUMS)
    order = "F" if fortran else "C"
    made = Reduce(operators.row(Fold, (operation, kind, order)), operators.converted(value, kind), over)
    if fold_of(made).code not in walk.FOLDS:
        raise Refused(f"{operation} in {kind}")
    return operators.converted(made, result)


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
