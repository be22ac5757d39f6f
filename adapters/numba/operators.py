"""Numba's scalar operations as rows of our table of operators: what each is, and how Numba itself lowers it.

Numba's operators differ from ours: an inner `uint8 + uint8` is a `uint64`, `operator.add` and `np.add` are typed
differently, a division by zero follows an error model. So a row names Numba's function and its types, and no law: what
passes may do with it is to move it, to share it, and not to compute it.
"""

from __future__ import annotations

import operator as python
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numba.core.imputils import force_error_model
from numba.core.typing import signature
from numba.np import npyimpl

from arrayexpr._core.nodes import Apply, Node
from arrayexpr._core.ops import Operator
from arrayexpr._core.types import ElementType

from .kinds import host_type, mapped, types

#: The ufuncs of the operators that assign in place.
INPLACE: Final = {
    python.iadd: np.add, python.isub: np.subtract, python.imul: np.multiply, python.itruediv: np.true_divide,
    python.ifloordiv: np.floor_divide, python.imod: np.remainder, python.ipow: np.power,
    python.ilshift: np.left_shift, python.irshift: np.right_shift, python.iand: np.bitwise_and,
    python.ior: np.bitwise_or, python.ixor: np.bitwise_xor,
}  # fmt: skip

#: Operations that cost about as much as an addition; what is not here is taken to cost as much as a division or more.
_CHEAP: Final = frozenset(
    f.__name__
    for f in (
        python.add, python.sub, python.mul, python.neg, python.pos, python.invert, python.and_, python.or_, python.xor,
        python.lt, python.le, python.gt, python.ge, python.eq, python.ne, python.lshift, python.rshift,
        np.add, np.subtract, np.multiply, np.negative, np.positive, np.square, np.absolute, np.abs, np.minimum,
        np.maximum, np.fmin, np.fmax, np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
        np.logical_and, np.logical_or, np.logical_not, np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert,
        np.floor, np.ceil, np.trunc, np.rint, np.sign, np.conjugate, np.isnan, np.isfinite, np.isinf,
    )
)  # fmt: skip
CHEAP, COSTLY = 1.0, 12.0


def is_cheap(function: Any) -> bool:
    """Whether an operator or function costs about as much as an addition."""
    return function.__name__ in _CHEAP


class HostOperator(Operator):
    """A row for one of Numba's operations at given types; `numpy` is the `Scalar`, `Convert` or `Loop` that it is."""

    @property
    def meaning(self) -> Meaning:
        """What the row computes."""
        assert isinstance(self.numpy, Meaning)
        return self.numpy

    def result(self, types: tuple[ElementType, ...]) -> ElementType:
        return self.meaning.kind

    def __reduce__(self) -> tuple[Any, ...]:
        return row, (type(self.numpy), self.meaning.key)


class Meaning:
    """What a row computes; `key` tells it from others, `kind` is the element type of its result."""

    key: tuple[Any, ...]
    name: str
    kind: ElementType
    arity: int
    cost: float
    #: Of what reduces: its name. `reduce` then computes it.
    reduction: str | None = None

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        """The LLVM value of the operation on LLVM values."""
        raise NotImplementedError

    def lowers(self, context: Any) -> bool:
        """Whether Numba has code for it."""
        return True

    def python(self) -> Any:
        """The operation on scalars, for Numba to compile."""
        raise NotImplementedError

    def __call__(self, *args: Any) -> Any:
        """What Numba's scalar code computes of arrays, element by element: for the interpreter."""
        from numba import njit

        compiled = njit(error_model="numpy")(self.python())
        arrays = np.broadcast_arrays(*args)
        made = np.empty(arrays[0].shape, self.kind.dtype)
        for place in np.ndindex(made.shape):
            made[place] = compiled(*(array[place] for array in arrays))
        return made


class Scalar(Meaning):
    """An operator or ufunc on scalars, as it stands inside an array expression: `key` is the function, the Numba types
    of its arguments, and for each that is a constant its value in a tuple of one."""

    def __init__(self, function: Any, given: tuple[Any, ...], constants: tuple[Any, ...], sig: Any):
        self.key = (function, given, constants, sig)
        self.function, self.given, self.constants, self.sig = self.key
        self.kind = mapped(sig.return_type)
        self.name = f"numba.{function.__name__}"
        self.arity = constants.count(None)
        self.cost = CHEAP if is_cheap(function) else COSTLY

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        left = iter(values)
        args = []
        for given, constant, wanted in zip(self.given, self.constants, self.sig.args, strict=True):
            plain = types.unliteral(given)
            value = next(left) if constant is None else context.get_constant_generic(builder, plain, constant[0])
            args.append(context.cast(builder, value, plain, wanted))
        function = context.typing_context.resolve_value_type(self.function)
        # Array expressions follow NumPy's error model whatever the function's is.
        with force_error_model(context, "numpy"):
            return context.get_function(function, self.sig)(builder, args)

    def python(self) -> Any:
        names = [f"x{k}" for k in range(self.arity)]
        left = iter(names)
        args = ", ".join(next(left) if c is None else repr(c[0]) for c in self.constants)
        space = {"function": self.function}
        exec(f"def scalar({', '.join(names)}): return function({args})", space)
        return space["scalar"]


class Convert(Meaning):
    """A conversion as Numba stores a value of one type in an array of another."""

    arity, cost = 1, 0.0

    def __init__(self, given: Any, wanted: Any):
        self.key = (given, wanted)
        self.given, self.wanted = self.key
        self.kind = mapped(wanted)
        self.name = f"numba.to_{wanted}"

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        return context.cast(builder, values[0], self.given, self.wanted)

    def python(self) -> Any:
        wanted = self.kind.dtype.type
        return lambda x: wanted(x)


class Loop(Meaning):
    """A ufunc's loop from given element types into an array of another: what `out=` and `+=` compute."""

    def __init__(self, ufunc: Any, given: tuple[Any, ...], wanted: Any):
        self.key = (ufunc, given, wanted)
        self.ufunc, self.given, self.wanted = self.key
        self.kind = mapped(wanted)
        self.name = f"numba.{ufunc.__name__}_into"
        self.arity = len(given)
        self.cost = CHEAP if is_cheap(ufunc) else COSTLY

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        kernel = npyimpl._ufunc_db_function(self.ufunc)
        return kernel(context, builder, signature(self.wanted, *self.given)).generate(*values)

    def lowers(self, context: Any) -> bool:
        """Whether Numba has a loop for these types, and code for it."""
        try:
            npyimpl._ufunc_db_function(self.ufunc)(context, None, signature(self.wanted, *self.given))
        except (NotImplementedError, KeyError, TypeError, AttributeError):
            return False
        return True

    def python(self) -> Any:
        ufunc, wanted = self.ufunc, self.kind.dtype.type
        names = ", ".join(f"x{k}" for k in range(self.arity))
        space = {"ufunc": ufunc, "wanted": wanted}
        exec(f"def scalar({names}): return wanted(ufunc({names}))", space)
        return space["scalar"]


_rows: dict[Any, HostOperator] = {}


def row(what: type[Meaning], key: tuple[Any, ...]) -> HostOperator:
    """The one row of a meaning of the class `what`, which `key` tells from others."""
    # A constant's type is part of it: True, 1 and 1.0 are equal; so are the two zeros.
    named = (what, key, repr(key))
    if named not in _rows:
        meaning = what(*key)
        _rows[named] = HostOperator(
            meaning.name, "T" * meaning.arity + ">T", "biufc", meaning, cost=meaning.cost, reduction=meaning.reduction
        )
    return _rows[named]


def scalar(function: Any, given: tuple[Any, ...], constants: tuple[Any, ...], sig: Any) -> HostOperator:
    """The row of an operator or ufunc on scalars of Numba types `given`; `constants` has (value,) for constants."""
    return row(Scalar, (function, given, constants, sig))


def convert(given: Any, wanted: Any) -> HostOperator:
    """The row of a conversion between Numba types."""
    return row(Convert, (given, wanted))


def loop(ufunc: Any, given: tuple[Any, ...], wanted: Any) -> HostOperator:
    """The row of a ufunc that assigns to elements of the Numba type `wanted`."""
    return row(Loop, (ufunc, given, wanted))


def converted(node: Any, wanted: Any) -> Node:
    """A node's value as an element of a Numba type."""
    given = host_type(node.type.element)
    same: Node = node
    return same if given == wanted else Apply(convert(given, wanted), (node,))


def meaning_of(node: Apply) -> Meaning:
    """What an operation of a host's program computes."""
    assert isinstance(node.op, HostOperator), node
    return node.op.meaning
