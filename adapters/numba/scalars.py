"""Scalar statements of Numba's IR as rows of our table of operators: what a loop over elements computes.

Only what neither raises nor has an effect is a row: a loop is run in another order, and elements that it has stored
before an error would be others.
"""

from __future__ import annotations

import math
import operator as python
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numba.core import ir
from numba.core.errors import TypingError
from numba.core.typing import signature

from .kinds import mapped, types
from .operators import CHEAP, COSTLY, HostOperator, Meaning, is_cheap, row

_ARITHMETIC: Final = frozenset((
    python.add, python.sub, python.mul, python.neg, python.pos, python.invert, python.and_, python.or_, python.xor,
    python.lshift, python.rshift, python.lt, python.le, python.gt, python.ge, python.eq, python.ne, python.not_,
))  # fmt: skip
#: What raises ZeroDivisionError under the error model 'python'.
_DIVISIONS: Final = frozenset((python.truediv, python.floordiv, python.mod))
#: By name, functions of math and ufuncs of NumPy that never raise in code that Numba compiles.
_FUNCTIONS: Final = frozenset((
    "sqrt", "exp", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "hypot", "fabs", "copysign", "erf", "erfc",
    "arcsin", "arccos", "arctan", "arctan2", "arcsinh", "arccosh", "arctanh", "absolute", "square", "negative",
    "positive", "add", "subtract", "multiply", "minimum", "maximum", "fmin", "fmax", "sign", "floor", "ceil", "trunc",
    "rint", "exp2", "isnan", "isinf", "isfinite", "logical_and", "logical_or", "logical_not", "bitwise_and",
    "bitwise_or", "bitwise_xor", "conjugate", "less", "less_equal", "greater", "greater_equal", "equal", "not_equal",
))  # fmt: skip
#: Ufuncs that divide: of zeros too they give what NumPy gives, under either error model.
_DIVIDING: Final = frozenset(("divide", "true_divide", "floor_divide", "remainder"))
_BUILTINS: Final = (abs, min, max, float, int, complex, bool)


def harmless(function: Any, kinds: Sequence[Any], error_model: str, static: Any) -> bool:
    """Whether an operator on scalars of Numba types neither raises nor has an effect. `static` is the value of its
    second operand where that is known, or `ir.UNDEFINED`."""
    if function in _ARITHMETIC:
        return True
    known = isinstance(static, (int, float)) and not isinstance(static, bool)
    complex_ = any(isinstance(kind, types.Complex) for kind in kinds)
    if function in _DIVISIONS:
        return not complex_ and (error_model == "numpy" or (known and static != 0))
    if function is python.pow:
        # Of integers a negative power divides, and one that is not known may.
        return not complex_ and ((known and static >= 0) or any(isinstance(kind, types.Float) for kind in kinds))
    return False


def callable_(function: Any) -> bool:
    """Whether a function called on scalars neither raises nor has an effect."""
    if isinstance(function, np.ufunc):
        return function.__name__ in _FUNCTIONS | _DIVIDING and function.nout == 1
    if any(function is each for each in _BUILTINS) or isinstance(function, type) and issubclass(function, np.generic):
        return True
    name = getattr(function, "__name__", "")
    return name in _FUNCTIONS and function is getattr(math, name, None)


class Operation(Meaning):
    """An operator as it stands in a statement on scalars: lowered as Numba lowers the statement, which has other code
    for operands whose values it knows (`static`, or UNDEFINED)."""

    def __init__(self, function: Any, given: tuple[Any, ...], static: tuple[Any, ...], sig: Any, wanted: Any):
        self.key = (function, given, static, sig, wanted)
        self.function, self.given, self.static, self.sig, self.wanted = self.key
        self.kind = mapped(wanted)
        self.name = f"numba.{function.__name__}"
        self.arity = len(given)
        self.cost = CHEAP if is_cheap(function) else COSTLY

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        function = context.typing_context.resolve_value_type(self.function)
        args = [
            context.cast(builder, value, given, types.unliteral(wanted))
            for value, given, wanted in zip(values, self.given, self.sig.args, strict=True)
        ]
        if len(args) == 1:
            made = context.get_function(function, self.sig)(builder, args)
            return context.cast(builder, made, self.sig.return_type, self.wanted)
        for known in ((True, True), (True, False), (False, True)):
            made = self.static_code(context, builder, function, args, known)
            if made is not None:
                return context.cast(builder, made, self.sig.return_type, self.wanted)
        sig = function.get_call_type(context.typing_context, self.sig.args, {})
        made = context.get_function(function, sig)(builder, args)
        return context.cast(builder, made, self.sig.return_type, self.wanted)

    def static_code(self, context: Any, builder: Any, function: Any, args: Any, known: tuple[bool, ...]) -> Any:
        kinds, given = [], []
        for is_known, kind, static, value in zip(known, self.given, self.static, args, strict=True):
            if is_known and static is ir.UNDEFINED:
                return None
            kinds.append(_literal(static) if is_known else kind)
            given.append(static if is_known else value)
        try:
            if isinstance(function, types.Function):
                sig = function.get_call_type(context.typing_context, tuple(kinds), {})
            else:
                sig = signature(self.sig.return_type, *kinds)
        except TypingError:
            return None
        try:
            return context.get_function(function, sig)(builder, given)
        except NotImplementedError:
            return None

    def python(self) -> Any:
        return self.function


def _literal(value: Any) -> Any:
    from numba.core.errors import LiteralTypingError

    try:
        return types.literal(value)
    except LiteralTypingError:
        return types.Omitted(value)


class Call(Meaning):
    """A function called on scalars."""

    def __init__(self, function: Any, host: Any, given: tuple[Any, ...], sig: Any):
        self.key = (function, host, given, sig)
        self.function, self.host, self.given, self.sig = self.key
        self.kind = mapped(sig.return_type)
        self.name = f"numba.{function.__name__}"
        self.arity = len(given)
        self.cost = CHEAP if is_cheap(function) or function in _BUILTINS else COSTLY

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        args = [
            context.cast(builder, value, given, types.unliteral(wanted))
            for value, given, wanted in zip(values, self.given, self.sig.args, strict=True)
        ]
        return context.get_function(self.host, self.sig)(builder, args)

    def python(self) -> Any:
        return self.function


class Select(Meaning):
    """One of two values of a type: the first where a bool is true."""

    name, arity, cost = "numba.select", 3, CHEAP

    def __init__(self, wanted: Any):
        self.key = (wanted,)
        self.kind = mapped(wanted)

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        return builder.select(*values)

    def python(self) -> Any:
        return lambda condition, x, y: x if condition else y


class Not(Meaning):
    """A bool turned."""

    name, arity, cost, key = "numba.not", 1, CHEAP, ()
    kind = mapped(types.boolean)

    def emit(self, context: Any, builder: Any, values: Sequence[Any]) -> Any:
        return builder.not_(values[0])

    def python(self) -> Any:
        return lambda condition: not condition


def operation(function: Any, given: tuple[Any, ...], static: tuple[Any, ...], sig: Any, wanted: Any) -> HostOperator:
    """The row of an operator in a statement on scalars of Numba types `given`, with a result of type `wanted`."""
    return row(Operation, (function, given, static, sig, wanted))


def call(function: Any, host: Any, given: tuple[Any, ...], sig: Any) -> HostOperator:
    """The row of a call of a function; `host` is Numba's type of it."""
    return row(Call, (function, host, given, sig))


def select(wanted: Any) -> HostOperator:
    """The row that takes one of two values of a Numba type."""
    return row(Select, (wanted,))


def negation() -> HostOperator:
    """The row that turns a bool."""
    return row(Not, ())
