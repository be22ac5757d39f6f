"""Direct construction: symbolic arrays with Python's operators and NumPy's protocols.

Construction is a host like any other: here NumPy's promotion rules (NEP 50) apply, and what NumPy
would convert becomes a `Cast` in the tree.

>>> a, b = array("a", "float32", 2), array("b", "float64", 1)
>>> (a * 2 + b).dtype, (a * 2 + b).ndim
(dtype('float64'), 2)
>>> [operand.name for operand in program(a * 2 + b).operands]
['a', 'b']

A function written for NumPy is traced as it is:

>>> import numpy as np
>>> def scaled(x, scale, out):
...     out[1:] = np.sqrt(x[:-1]) * scale
>>> traced = trace(scaled, ("float32", 1), Weak(float), ("float32", 1))
>>> len(traced.statements), [operand.name for operand in traced.operands]
(1, ['x', 'scale', 'out'])
"""

from __future__ import annotations

import cmath
import inspect
import itertools
import keyword
import math
import operator as python_operator
import re
import threading
import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar, Token
from typing import Any, Final, Self

import numpy as np
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from ._core.errors import ArrayExprError, ShapeMismatch, TypeMismatch, UnsupportedError
from ._core.nodes import (
    STATEMENTS,
    Apply,
    Assign,
    Cast,
    Constant,
    Contract,
    Extent,
    Node,
    Operand,
    Reduce,
    SideEffect,
    Slice,
    Unreorderable,
    View,
    postorder,
    rebuild,
    transform,
)
from ._core.ops import Operator, is_operator, operator, operators
from ._core.program import Program
from ._core.types import BOOL, FLOAT64, INT64, ArrayType, ElementType, element

__all__ = ["SymbolicArray", "Trace", "Weak", "apply", "array", "assign", "program", "scalar", "spec_of", "trace"]

_COMPLEX128: Final = element("complex128")
_FLOAT32: Final = element("float32")
_INT32: Final = element("int32")
_UINT64: Final = element("uint64")


class Weak:
    """A parameter that promotes as a Python `int`, `float` or `complex` does, and not as a NumPy scalar.

    The operand is an `int64`, `float64` or `complex128` of rank 0, and is cast where it is used.

    >>> Weak(float) is Weak("float"), Weak(int)
    (True, Weak(int))
    """

    __slots__ = ("element", "python")

    python: type
    element: ElementType

    def __new__(cls, python: Any) -> Weak:
        known = _weak.get(python)
        if known is None:
            raise TypeMismatch(f"Weak({python!r}): expected int, float or complex (a Python bool is a scalar bool)")
        return known

    def __repr__(self) -> str:
        return f"Weak({self.python.__name__})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Weak, (self.python.__name__,)


_weak: Final[dict[Any, Weak]] = {}
for _python, _element in ((int, INT64), (float, FLOAT64), (complex, _COMPLEX128)):
    _made = object.__new__(Weak)
    _made.python, _made.element = _python, _element
    _weak[_python] = _weak[_python.__name__] = _weak["weak " + _python.__name__] = _made
_WEAK_OF: Final = {w.element: w for w in _weak.values()}

#: What takes part in promotion: an element type, a Weak parameter, or the type of a Python constant.
Kind = Any


class _AttributeUnsupported(UnsupportedError, AttributeError):
    """So that `hasattr` answers for what cannot be traced."""


# -- Operators: NumPy's resolution of types, and what becomes of each ufunc ---------------------

# Ufuncs that are a row of the table under another name.
_ROWS: Final = {
    "divide": "true_divide",
    "fabs": "absolute",
    "float_power": "power",
    "degrees": "rad2deg",
    "radians": "deg2rad",
    "mod": "remainder",
    "abs": "absolute",
    "conj": "conjugate",
    "bitwise_not": "invert",
    "bitwise_invert": "invert",
    "bitwise_left_shift": "left_shift",
    "bitwise_right_shift": "right_shift",
    "pow": "power",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
}
_COMPARISONS: Final = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})

_LOGICAL_AND: Final = operator("logical_and")
_LOGICAL_OR: Final = operator("logical_or")
_TRUE: Final = Constant(True, BOOL)
_FALSE: Final = Constant(False, BOOL)
# Loops of bool that are a logical operator under an arithmetic name.
_ON_BOOL: Final = {
    "add": _LOGICAL_OR,
    "maximum": _LOGICAL_OR,
    "fmax": _LOGICAL_OR,
    "multiply": _LOGICAL_AND,
    "minimum": _LOGICAL_AND,
    "fmin": _LOGICAL_AND,
}


def _filled(node: Node, value: bool) -> Node:
    """A bool array of the shape of a node: the one way to say so where its extents are not operands'."""
    if node.type.rank == 0:
        return _TRUE if value else _FALSE
    if node.type.element is not BOOL:
        node = Cast(node, BOOL)
    return Apply(_LOGICAL_OR, (node, _TRUE)) if value else Apply(_LOGICAL_AND, (node, _FALSE))


def _identity(node: Node) -> Node:
    return node


def _all_true(node: Node) -> Node:
    return _filled(node, True)


def _all_false(node: Node) -> Node:
    return _filled(node, False)


def _trunc_reciprocal(node: Node) -> Node:
    return Apply(operator("trunc_divide"), (Constant(1, node.type.element), node))


def _clip_complex(node: Node, low: Node, high: Node) -> Node:
    return Apply(operator("minimum"), (Apply(operator("maximum"), (node, low)), high))


def _clip_bool(node: Node, low: Node, high: Node) -> Node:
    return Apply(_LOGICAL_AND, (Apply(_LOGICAL_OR, (node, low)), high))


def _ldexp(node: Node, exponent: Node) -> Node:
    if exponent.type.element is not _INT32:
        # NumPy's loop for longer exponents saturates them.
        bounds = tuple(Constant(bound, exponent.type.element) for bound in (-(1 << 31), (1 << 31) - 1))
        exponent = Cast(Apply(operator("clip"), (exponent, *bounds)), _INT32)
    return Apply(operator("ldexp"), (node, exponent))


def _contract(left: Node, right: Node) -> Node:
    if left.type.rank == 0 or right.type.rank == 0:
        raise ShapeMismatch(f"matmul of {left.type} and {right.type}: expected at least one axis each, use * to scale")
    return Contract(left, right)


def _compare_mixed(name: str, signed_first: bool) -> Callable[[Node, Node], Node]:
    """A comparison of int64 with uint64 by value: a negative one is below all unsigned ones."""
    op = operator(name)

    def compare(left: Node, right: Node) -> Node:
        signed = left if signed_first else right
        negative = Apply(operator("less"), (signed, Constant(0, INT64)))
        as_unsigned = (Cast(left, _UINT64), right) if signed_first else (left, Cast(right, _UINT64))
        same_sign = Apply(op, as_unsigned)
        if name == "not_equal" or (name.startswith("less") if signed_first else name.startswith("greater")):
            return Apply(_LOGICAL_OR, (negative, same_sign))
        return Apply(_LOGICAL_AND, (Apply(operator("logical_not"), (negative,)), same_sign))

    return compare


def _special(name: str, ins: tuple[ElementType, ...]) -> Operator | Callable[..., Node] | None:
    """What a ufunc's loop on these types is, where it is not the row of its name."""
    kind = ins[0].kind
    if kind == "b":
        if name in _ON_BOOL:
            return _ON_BOOL[name]
        if name == "clip":
            return _clip_bool
        if name == "absolute":
            return _identity
    if name == "matmul":
        return _contract
    if name == "ldexp":
        return _ldexp
    if name == "positive":
        return _identity
    if name in _COMPARISONS and ins[0] is not ins[1]:
        return _compare_mixed(name, kind == "i")
    if kind in "biuf" and name == "conjugate":
        return _identity
    if kind in "biu":
        if name in ("floor", "ceil", "trunc"):
            return _identity
        if name in ("isnan", "isinf"):
            return _all_false
        if name == "isfinite":
            return _all_true
        if name == "reciprocal":
            return _trunc_reciprocal
    if kind == "c" and name == "clip":
        return _clip_complex
    return None


class _Plan:
    """How to apply an operator to operands of given kinds: what they are cast to, and what is built."""

    __slots__ = ("build", "casts", "ins", "kind", "op")

    def __init__(self, op: Any, build: Any, kind: Kind, casts: Sequence[Any], ins: Sequence[ElementType]) -> None:
        self.op = op
        self.build = build
        self.kind = kind
        self.casts = casts
        self.ins = ins


class _Rule:
    """A ufunc, or a row of the table that is none, with its plans by the kinds of its operands.

    `plans` is for Python's operators, where weak operands have weak results; `calls` for calls of
    the ufunc, where they have not.
    """

    __slots__ = ("arity", "calls", "comparison", "name", "pairs", "plans", "row", "ufunc")

    def __init__(self, ufunc: Any, name: str = "") -> None:
        self.ufunc = ufunc
        self.name = name or ufunc.__name__
        row = _ROWS.get(self.name, self.name)
        self.row = operator(row) if is_operator(row) else None
        self.comparison = row in _COMPARISONS
        self.arity = self.row.arity if ufunc is None and self.row is not None else ufunc.nin
        self.plans: dict[Any, _Plan] = {}
        self.pairs: dict[Any, tuple[Any, ...]] = {}
        self.calls: dict[Any, _Plan] = {}

    def plan(self, kinds: tuple[Kind, ...]) -> _Plan:
        known = self.plans.get(kinds)
        if known is None:
            known = self._resolve(kinds, None)
            # A Python scalar of a Python scalar: what NumPy never sees stays weak.
            if not any(isinstance(k, ElementType) for k in kinds) and any(isinstance(k, Weak) for k in kinds):
                kind = _WEAK_OF.get(known.kind, known.kind)
                known = _Plan(known.op, known.build, kind, known.casts, known.ins)
            self.plans[kinds] = known
        return known

    def pair(self, kinds: tuple[Kind, Kind]) -> tuple[Any, ...]:
        """The plan of two operands as a tuple, which is quicker to take apart."""
        plan = self.plan(kinds)
        pair = self.pairs[kinds] = (plan.op, plan.build, plan.kind, plan.casts[0], plan.casts[1], plan.ins)
        return pair

    def call(self, kinds: tuple[Kind, ...], dtype: Any = None) -> _Plan:
        known = self.calls.get((kinds, dtype))
        if known is None:
            known = self.calls[(kinds, dtype)] = self._resolve(kinds, dtype)
        return known

    def _resolve(self, kinds: tuple[Kind, ...], dtype: Any) -> _Plan:
        if len(kinds) != self.arity:
            raise TypeMismatch(f"{self.name} takes {self.arity} operands: got {len(kinds)}")
        own = tuple(k.element if isinstance(k, Weak) else _weak[k].element if isinstance(k, type) else k for k in kinds)
        for k in own:
            if k.dtype is None:
                raise TypeMismatch(f"{self.name} of {_shown(kinds)}: NumPy has no promotion for the foreign type {k}")
        strong = own if not any(isinstance(k, ElementType) for k in kinds) else kinds
        if self.comparison and any(k.kind in "iu" for k in strong if isinstance(k, ElementType)):
            # Constants are compared by value; a parameter's value is not known, but int64 holds it.
            strong = tuple(k.element if isinstance(k, Weak) and k.python is int else k for k in strong)
        if self.ufunc is None:
            ins = self._promote(strong)
            assert self.row is not None
            out = self.row.result(ins)
        else:
            ins, out = self._numpy(strong, dtype)
        build: Any = self.row
        if self.ufunc is not None:
            build = _special(self.name if self.row is None else self.row.name, ins) or self.row
        if isinstance(build, Operator):
            try:
                fits = build.result(ins) is out
            except TypeMismatch:
                fits = False
            if not fits:
                raise UnsupportedError(f"{self.name} of {', '.join(map(str, ins))}: no operator computes it")
        elif build is None:
            raise UnsupportedError(f"{self.name}: no operator of that name is in the table")
        casts = tuple(None if have is want else want for have, want in zip(own, ins, strict=True))
        op, build = (build, None) if isinstance(build, Operator) else (None, build)
        return _Plan(op, build, out, casts, ins)

    def _numpy(self, kinds: tuple[Kind, ...], dtype: Any) -> tuple[tuple[ElementType, ...], ElementType]:
        asked = tuple(k.python if isinstance(k, Weak) else k if isinstance(k, type) else k.dtype for k in kinds)
        forced = {} if dtype is None else {"signature": (None,) * self.arity + (dtype,)}
        try:
            resolved = self.ufunc.resolve_dtypes(asked + (None,) * self.ufunc.nout, **forced)
        except TypeError as error:
            reason = str(error).splitlines()[0]
            raise TypeMismatch(f"{self.name} of {_shown(kinds)}: {reason}") from None
        return tuple(map(element, resolved[: self.arity])), element(resolved[self.arity])

    def _promote(self, kinds: tuple[Kind, ...]) -> tuple[ElementType, ...]:
        """For a row without a ufunc: NumPy's common type where the row takes one, its own types elsewhere."""
        assert self.row is not None
        places = self.row.signature.split(">")[0]
        common = _result_type([k for k, place in zip(kinds, places, strict=True) if place == "T"], self.name)
        if common.kind not in self.row.kinds and common.kind in "biu" and "f" in self.row.kinds:
            common = FLOAT64
        fixed = {"T": common, "B": BOOL, "I": INT64, "N": _INT32, "U": element("uint8")}
        return tuple(fixed[place] for place in places)


def _shown(kinds: Iterable[Kind]) -> str:
    return " and ".join(k.__name__ if isinstance(k, type) else str(k) for k in kinds)


_SAMPLES: Final = {int: 0, float: 0.0, complex: 0j}


def _result_type(kinds: Sequence[Kind], what: str) -> ElementType:
    """NumPy's result_type of kinds."""
    samples = [
        _SAMPLES[k.python] if isinstance(k, Weak) else _SAMPLES[k] if isinstance(k, type) else k.dtype for k in kinds
    ]
    if any(sample is None for sample in samples):
        raise TypeMismatch(f"{what} of {_shown(kinds)}: NumPy has no promotion for a foreign type")
    return element(np.result_type(*samples))


_rules: Final[dict[Any, _Rule]] = {}


def _rule(ufunc: Any) -> _Rule:
    known = _rules.get(ufunc)
    if known is None:
        if ufunc.signature is not None and ufunc is not np.matmul:
            raise UnsupportedError(f"{ufunc.__name__} cannot be traced: expected a ufunc on elements, or matmul")
        if ufunc.nout != 1:
            raise UnsupportedError(f"{ufunc.__name__} cannot be traced: it has {ufunc.nout} results")
        known = _rules[ufunc] = _Rule(ufunc)
    return known


_ADD: Final = _rule(np.add)
_SUBTRACT: Final = _rule(np.subtract)
_MULTIPLY: Final = _rule(np.multiply)
_TRUE_DIVIDE: Final = _rule(np.true_divide)
_FLOOR_DIVIDE: Final = _rule(np.floor_divide)
_REMAINDER: Final = _rule(np.remainder)
_POWER: Final = _rule(np.power)
_MATMUL: Final = _rule(np.matmul)
_AND: Final = _rule(np.bitwise_and)
_OR: Final = _rule(np.bitwise_or)
_XOR: Final = _rule(np.bitwise_xor)
_LEFT: Final = _rule(np.left_shift)
_RIGHT: Final = _rule(np.right_shift)
_EQUAL: Final = _rule(np.equal)
_NOT_EQUAL: Final = _rule(np.not_equal)
_LESS: Final = _rule(np.less)
_LESS_EQUAL: Final = _rule(np.less_equal)
_GREATER: Final = _rule(np.greater)
_GREATER_EQUAL: Final = _rule(np.greater_equal)
_MINIMUM: Final = _rule(np.minimum)
_MAXIMUM: Final = _rule(np.maximum)
_NEGATIVE: Final = _rule(np.negative)
_POSITIVE: Final = _rule(np.positive)
_ABSOLUTE: Final = _rule(np.absolute)
_INVERT: Final = _rule(np.invert)
_SQUARE: Final = _rule(np.square)
_SQRT: Final = _rule(np.sqrt)
_RECIPROCAL: Final = _rule(np.reciprocal)
_CONJUGATE: Final = _rule(np.conjugate)
_RINT: Final = _rule(np.rint)
# The ufunc that np.clip calls has no public name.
_CLIP: Final = _rule(np._core.umath.clip)  # type: ignore[attr-defined]

# -- Constants ----------------------------------------------------------------------------------

_constants: Final[dict[Any, Node]] = {}


def _constant(value: Any, to: ElementType, what: str = "constant") -> Node:
    """A Python number as a constant of the type that it was resolved to, converted as NumPy converts it."""
    # 0.0 and -0.0 are equal keys, and so are True and 1: the type is part of the key, zeros are not kept.
    t = type(value)
    key = (t, value, to)
    known = _constants.get(key)
    if known is not None:
        return known
    kind = to.kind
    try:
        if kind == "b":
            if t is int and not -(1 << 63) <= value < 1 << 63:
                # NumPy goes through its default integer.
                raise OverflowError(f"{what}: Python integer {_short(value)} does not fit int64")
            made = Constant(bool(value), to)
        elif kind in "iu":
            whole = int(value)
            low, high = _bounds(to)
            if not low <= whole <= high:
                raise OverflowError(
                    f"{what}: Python integer {_short(whole)} does not fit {to}: expected {low} to {high}"
                )
            made = Constant(whole, to)
        elif to.bits in (80, 160):
            made = Constant(np.asarray(value, to.dtype)[()], to)
        elif kind == "f":
            made = Constant(float(value), to)
        else:
            made = Constant(complex(value), to)
    except OverflowError as error:
        if "does not fit" in str(error):
            raise
        raise OverflowError(f"{what}: Python integer {_short(value)} is too large for {to}") from None
    if value and (t is int or not cmath.isnan(value)):
        if len(_constants) > 1000:
            _constants.clear()
        _constants[key] = made
    return made


def _bounds(t: ElementType) -> tuple[int, int]:
    return (-(1 << (t.bits - 1)), (1 << (t.bits - 1)) - 1) if t.kind == "i" else (0, (1 << t.bits) - 1)


def _short(value: int) -> str:
    return str(value) if abs(value) < 10**30 else f"of {value.bit_length()} bits"


def _assigned(value: Any, to: ElementType, what: str) -> Node:
    """A Python number as a constant of what it is assigned to: as for operands, but reals are truncated."""
    if isinstance(value, complex) and to.kind in "biuf" and to is not BOOL:
        raise TypeMismatch(f"{what}: the complex {value!r} is assigned to {to}")
    if isinstance(value, float) and to.kind in "iu":
        if not math.isfinite(value):
            raise ValueError(f"{what}: {value!r} is assigned to {to}, which has no such value")
        value = int(value)
    return _constant(value, to, what)


def _operand(value: Any, what: str) -> tuple[Kind, Any]:
    """The kind of an operand with its node, or with its value where that is a Python number."""
    if type(value) is SymbolicArray:
        if value._time != _now:
            _settle(value)
        return value._kind, value._node
    t = type(value)
    if t is int or t is float or t is complex:
        return t, value
    if t is bool:
        return BOOL, _TRUE if value else _FALSE
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


# -- Symbolic arrays ----------------------------------------------------------------------------

# How many assignments were ever recorded, in any trace. A value that was made at another count may
# have been overtaken by one; one integer comparison per use tells.
_now = 0
_counting: Final = threading.Lock()
_recording: Final[ContextVar[Trace | None]] = ContextVar("arrayexpr_recording", default=None)


def _settle(x: SymbolicArray) -> None:
    """Make a value mean now what it meant when it was computed."""
    if not x._alias:
        recording = _recording.get()
        if recording is not None:
            base = x._base
            if base is None:
                recording._settle(x)
            elif not base._alias:
                recording._settle(base)
                base._time = _now
    x._time = _now


def _value(node: Node, kind: Kind) -> SymbolicArray:
    made: SymbolicArray = object.__new__(SymbolicArray)
    made._node = node
    made._kind = kind
    made._time = _now
    made._alias = False
    made._base = None
    made._views = None
    return made


def _strong(node: Node) -> SymbolicArray:
    return _value(node, node.type.element)


def _memory(node: Node) -> SymbolicArray:
    """An operand, or a view of one: it reads what is there when it is used."""
    made = _value(node, node.type.element)
    made._alias = True
    return made


def _binary(rule: _Rule, x: SymbolicArray, y: Any) -> Any:
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
    return _value(Apply(op, (left, right)) if build is None else build(left, right), kind)


def _with_constant(rule: _Rule, x: SymbolicArray, y: Any, swapped: bool) -> Any:
    """`x op y`, or `y op x`, where y is no symbolic array."""
    if x._time != _now:
        _settle(x)
    t = type(y)
    if t is bool and isinstance(x._kind, Weak):
        y, t = int(y), int
    if t is int or t is float or t is complex:
        other: Any = t
    elif isinstance(y, (int, float, complex, np.generic, np.ndarray, list, tuple)):
        other, y = _operand(y, rule.name)
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
            low, high = _bounds(to)
            if not low <= y <= high:
                return _strong(_beyond(rule.name, node, y > high, swapped))
        constant = _constant(y, to, rule.name)
    args = (constant, node) if swapped else (node, constant)
    return _value(Apply(op, args) if build is None else build(*args), kind)


def _beyond(name: str, node: Node, above: bool, swapped: bool) -> Node:
    """A comparison with an integer above, or below, all that the type holds."""
    if name in ("equal", "not_equal"):
        return _filled(node, name == "not_equal")
    return _filled(node, name.startswith("less") == (above != swapped))


def _unary(rule: _Rule, x: SymbolicArray) -> SymbolicArray:
    if x._time != _now:
        _settle(x)
    plan = rule.plans.get((x._kind,)) or rule.plan((x._kind,))
    node = x._node if plan.casts[0] is None else Cast(x._node, plan.casts[0])
    return _value(Apply(plan.op, (node,)) if plan.build is None else plan.build(node), plan.kind)


def _call(rule: _Rule, inputs: Sequence[Any], dtype: Any = None) -> SymbolicArray:
    """A call of a ufunc, or of a row: of any operands, Python numbers among them; its result is strong."""
    if len(inputs) != rule.arity:
        raise TypeMismatch(f"{rule.name} takes {rule.arity} operands: got {len(inputs)}")
    pairs = [_operand(value, rule.name) for value in inputs]
    if rule.comparison:
        for k, (kind, value) in enumerate(pairs):
            other, node = pairs[1 - k]
            if kind is int and isinstance(node, Node) and isinstance(other, ElementType) and other.kind in "iu":
                low, high = _bounds(other)
                if not low <= value <= high:
                    return _strong(_beyond(rule.name, node, value > high, k == 0))
    plan = rule.call(tuple(kind for kind, _ in pairs), dtype)
    args = []
    for (_, value), to, want in zip(pairs, plan.casts, plan.ins, strict=True):
        if not isinstance(value, Node):
            args.append(_constant(value, want, rule.name))
        else:
            args.append(value if value.type.element is want else Cast(value, to))
    node = Apply(plan.op, tuple(args)) if plan.build is None else plan.build(*args)
    return _value(node, plan.kind)


def _power(x: SymbolicArray, y: Any) -> Any:
    t = type(y)
    if t is int or t is float:
        kind = x._kind
        if isinstance(kind, Weak):
            if t is int and y < 0 and kind.python is int:
                # A Python int to a negative power is a float.
                return _binary(_POWER, _value(Cast(_operand(x, "power")[1], FLOAT64), _weak[float]), y)
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


def _cast(x: SymbolicArray, to: ElementType) -> Node:
    """The node of a value as an element type."""
    if x._time != _now:
        _settle(x)
    node = x._node
    return node if node.type.element is to else Cast(node, to)


def _symbolic(value: Any, what: str) -> SymbolicArray:
    """Any operand as a symbolic array: a Python number becomes a constant of its default type."""
    if type(value) is SymbolicArray:
        return value
    kind, node = _operand(value, what)
    if isinstance(node, Node):
        return _value(node, kind)
    return _strong(_constant(node, _weak[kind].element, what))


class SymbolicArray:
    """An array or scalar whose value is not known yet: operators and NumPy's functions on it build the tree.

    Made by `array`, `scalar`, `trace`, or from a node. Its element type and rank are known, its shape is not.
    As in NumPy, a view of an operand reads what the operand holds when the view is used, and a
    computed array keeps the value it had when it was computed.

    >>> x = array("x", "int8", 2)
    >>> (x + 1).dtype, (x[1:, None].T / 2).dtype, (x > 300).dtype, x.sum(axis=0).dtype
    (dtype('int8'), dtype('float64'), dtype('bool'), dtype('int64'))
    >>> x + 300
    Traceback (most recent call last):
    OverflowError: add: Python integer 300 does not fit int8: expected -128 to 127
    """

    __slots__ = ("__weakref__", "_alias", "_base", "_kind", "_node", "_time", "_views")

    _node: Node
    _kind: Kind
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
    def shape(self) -> Any:
        raise _unknown_shape("shape", self)

    @property
    def size(self) -> Any:
        raise _unknown_shape("size", self)

    @property
    def nbytes(self) -> Any:
        raise _unknown_shape("nbytes", self)

    @property
    def itemsize(self) -> int:
        return self._node.type.element.itemsize  # type: ignore[no-any-return]

    def __len__(self) -> int:
        raise _unknown_shape("len()", self)

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

    def __add__(self, other: Any) -> Any:
        return _binary(_ADD, self, other)

    def __radd__(self, other: Any) -> Any:
        return _with_constant(_ADD, self, other, True)

    def __sub__(self, other: Any) -> Any:
        return _binary(_SUBTRACT, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _with_constant(_SUBTRACT, self, other, True)

    def __mul__(self, other: Any) -> Any:
        return _binary(_MULTIPLY, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _with_constant(_MULTIPLY, self, other, True)

    def __truediv__(self, other: Any) -> Any:
        return _binary(_TRUE_DIVIDE, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _with_constant(_TRUE_DIVIDE, self, other, True)

    def __floordiv__(self, other: Any) -> Any:
        return _binary(_FLOOR_DIVIDE, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _with_constant(_FLOOR_DIVIDE, self, other, True)

    def __mod__(self, other: Any) -> Any:
        return _binary(_REMAINDER, self, other)

    def __rmod__(self, other: Any) -> Any:
        return _with_constant(_REMAINDER, self, other, True)

    def __divmod__(self, other: Any) -> Any:
        quotient, rest = _binary(_FLOOR_DIVIDE, self, other), _binary(_REMAINDER, self, other)
        return NotImplemented if quotient is NotImplemented else (quotient, rest)

    def __rdivmod__(self, other: Any) -> Any:
        quotient = _with_constant(_FLOOR_DIVIDE, self, other, True)
        rest = _with_constant(_REMAINDER, self, other, True)
        return NotImplemented if quotient is NotImplemented else (quotient, rest)

    def __pow__(self, other: Any, modulo: None = None) -> Any:
        return NotImplemented if modulo is not None else _power(self, other)

    def __rpow__(self, other: Any, modulo: None = None) -> Any:
        return NotImplemented if modulo is not None else _with_constant(_POWER, self, other, True)

    def __matmul__(self, other: Any) -> Any:
        return _binary(_MATMUL, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _with_constant(_MATMUL, self, other, True)

    def __and__(self, other: Any) -> Any:
        return _binary(_AND, self, other)

    def __rand__(self, other: Any) -> Any:
        return _with_constant(_AND, self, other, True)

    def __or__(self, other: Any) -> Any:
        return _binary(_OR, self, other)

    def __ror__(self, other: Any) -> Any:
        return _with_constant(_OR, self, other, True)

    def __xor__(self, other: Any) -> Any:
        return _binary(_XOR, self, other)

    def __rxor__(self, other: Any) -> Any:
        return _with_constant(_XOR, self, other, True)

    def __lshift__(self, other: Any) -> Any:
        return _binary(_LEFT, self, other)

    def __rlshift__(self, other: Any) -> Any:
        return _with_constant(_LEFT, self, other, True)

    def __rshift__(self, other: Any) -> Any:
        return _binary(_RIGHT, self, other)

    def __rrshift__(self, other: Any) -> Any:
        return _with_constant(_RIGHT, self, other, True)

    def __eq__(self, other: object) -> Any:
        return _compared(_binary(_EQUAL, self, other), "==", other)

    def __ne__(self, other: object) -> Any:
        return _compared(_binary(_NOT_EQUAL, self, other), "!=", other)

    def __lt__(self, other: Any) -> Any:
        return _binary(_LESS, self, other)

    def __le__(self, other: Any) -> Any:
        return _binary(_LESS_EQUAL, self, other)

    def __gt__(self, other: Any) -> Any:
        return _binary(_GREATER, self, other)

    def __ge__(self, other: Any) -> Any:
        return _binary(_GREATER_EQUAL, self, other)

    def __neg__(self) -> SymbolicArray:
        return _unary(_NEGATIVE, self)

    def __pos__(self) -> SymbolicArray:
        return _unary(_POSITIVE, self)

    def __abs__(self) -> SymbolicArray:
        return _unary(_ABSOLUTE, self)

    def __invert__(self) -> SymbolicArray:
        return _unary(_INVERT, self)

    def __iadd__(self, other: Any) -> Any:
        return _in_place(self, _binary(_ADD, self, other), "+=")

    def __isub__(self, other: Any) -> Any:
        return _in_place(self, _binary(_SUBTRACT, self, other), "-=")

    def __imul__(self, other: Any) -> Any:
        return _in_place(self, _binary(_MULTIPLY, self, other), "*=")

    def __itruediv__(self, other: Any) -> Any:
        return _in_place(self, _binary(_TRUE_DIVIDE, self, other), "/=")

    def __ifloordiv__(self, other: Any) -> Any:
        return _in_place(self, _binary(_FLOOR_DIVIDE, self, other), "//=")

    def __imod__(self, other: Any) -> Any:
        return _in_place(self, _binary(_REMAINDER, self, other), "%=")

    def __ipow__(self, other: Any) -> Any:  # type: ignore[misc]
        return _in_place(self, _power(self, other), "**=")

    def __imatmul__(self, other: Any) -> Any:
        product = _binary(_MATMUL, self, other)
        if self.ndim == 0 or (product is not NotImplemented and product.ndim < self.ndim):
            raise ShapeMismatch(f"@= on {self.type}: expected a product of as many axes")
        return _in_place(self, product, "@=", False)

    def __iand__(self, other: Any) -> Any:
        return _in_place(self, _binary(_AND, self, other), "&=")

    def __ior__(self, other: Any) -> Any:
        return _in_place(self, _binary(_OR, self, other), "|=")

    def __ixor__(self, other: Any) -> Any:
        return _in_place(self, _binary(_XOR, self, other), "^=")

    def __ilshift__(self, other: Any) -> Any:
        return _in_place(self, _binary(_LEFT, self, other), "<<=")

    def __irshift__(self, other: Any) -> Any:
        return _in_place(self, _binary(_RIGHT, self, other), ">>=")

    # Views and assignments.

    def __getitem__(self, index: Any) -> SymbolicArray:
        subscripts, whole = _subscripts(self, index)
        if whole:
            node = self.node
            return _value(node if not subscripts else View(node, subscripts=subscripts), self._kind)
        if subscripts is None:
            return _view(self, self.node)
        return _view(self, View(self.node, subscripts=subscripts))

    def __setitem__(self, index: Any, value: Any) -> None:
        subscripts, _ = _subscripts(self, index)
        if _is_scalar(self):
            raise TypeError(f"a scalar {self.type} does not support item assignment: expected an array of rank 0")
        if not self._alias:
            _localise(self)
        target = self.node if not subscripts else View(self.node, subscripts=subscripts)
        # `a[1:] += b` has assigned already, and now hands back the view.
        if type(value) is SymbolicArray and value._alias and value._node is target:
            return
        _record(target, _stored(target, value))

    def assign(self, value: Any, subscripts: Any = ...) -> Node:
        """The statement `self[subscripts] = value`, for `program`: nothing is recorded.

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
        return Assign(target, _stored(target, value))

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
        return _value(self.node, self._kind)

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
        return _value(_cast(self, to), to)

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
        _no_where("mean", where)
        kind = self.type.element.kind
        half = dtype is None and self.type.element is element("float16")
        if dtype is None:
            dtype = FLOAT64 if kind in "biu" else _FLOAT32 if half else None
        axes = _axes(self, axis)
        total = _reduced("add", self, axes, dtype, keepdims)
        mean = _divided(total, _count(self, axes, keepdims))
        return _into(out, _strong(_cast(mean, self.type.element)) if half and out is None else mean)

    def var(
        self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
        where: Any = np._NoValue, mean: Any = np._NoValue, correction: Any = np._NoValue
    ) -> SymbolicArray:  # fmt: skip
        _no_where("var", where)
        if correction is not np._NoValue:
            ddof = correction
        element_in = self.type.element
        if dtype is None and element_in.kind in "biu":
            dtype = FLOAT64
        axes = _axes(self, axis)
        if mean is np._NoValue:
            mean = _divided(_reduced("add", self, axes, dtype, True), _count(self, axes, True))
        distance = _call(_SUBTRACT, (self, mean))
        if distance.type.element.kind == "c":
            parts = [_call(_SQUARE, (part,)) for part in (distance.real, distance.imag)]
            distance = _call(_ADD, parts)
        else:
            distance = _call(_SQUARE, (distance,))
        if dtype is not None and element(dtype).kind == "c":
            dtype = None
        total = _reduced("add", distance, axes, dtype, keepdims)
        count: Any = _count(self, axes, keepdims)
        if ddof:
            count = _call(_MAXIMUM, (_call(_SUBTRACT, (count, ddof)), 0))
        return _into(out, _divided(total, count))

    def std(
        self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, keepdims: Any = False, *,
        where: Any = np._NoValue, mean: Any = np._NoValue, correction: Any = np._NoValue
    ) -> SymbolicArray:  # fmt: skip
        variance = self.var(axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction)
        root = _call(_SQRT, (variance,))
        return _into(out, _strong(_cast(root, variance.type.element)))

    def clip(
        self, min: Any = None, max: Any = None, out: Any = None, *,
        dtype: Any = None, casting: str = "same_kind"
    ) -> SymbolicArray:  # fmt: skip
        kind = self.type.element
        if kind.kind in "iu":
            # Bounds that no value can pass are none, however large.
            low, high = _bounds(kind)
            min = None if type(min) is int and min <= low else min
            max = None if type(max) is int and max >= high else max
        if min is None and max is None:
            # On bool NumPy has no loop for this.
            clipped = _call(_POSITIVE, (self,), dtype)
        elif min is None:
            clipped = _call(_MINIMUM, (self, max), dtype)
        elif max is None:
            clipped = _call(_MAXIMUM, (self, min), dtype)
        else:
            clipped = _call(_CLIP, (self, min, max), dtype)
        return _into(out, clipped)

    def round(self, decimals: Any = 0, out: Any = None) -> SymbolicArray:
        if decimals != 0:
            raise UnsupportedError(f"round to {decimals} decimals cannot be traced: expected 0")
        if self.type.element.kind in "iu":
            return _into(out, self.copy())
        return _into(out, _call(_RINT, (self,)))

    def dot(self, other: Any, out: Any = None) -> SymbolicArray:
        return _into(out, _dot(self, other))

    # NumPy's protocols.

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "__call__":
            return _ufunc(ufunc, inputs, kwargs)
        if method == "reduce":
            return _ufunc_reduce(ufunc, *inputs, **kwargs)
        raise UnsupportedError(
            f"np.{ufunc.__name__}.{method} cannot be traced: expected the ufunc itself or its reduce"
        )

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        handler = _FUNCTIONS.get(function)
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


def _unknown_shape(what: str, x: SymbolicArray) -> TypeError:
    return TypeError(f"{what} of a symbolic array {x.type} is unknown while tracing: only its rank and type are known")


def _unknown_value(what: str, x: SymbolicArray) -> TypeError:
    return TypeError(f"a symbolic array {x.type} has no value while tracing, to be converted to {what}")


def _compared(result: Any, symbol: str, other: Any) -> Any:
    # Python would fall back to identity and answer False.
    if result is NotImplemented:
        raise TypeMismatch(f"{symbol} of a symbolic array and {type(other).__name__}: expected an array or a number")
    return result


# -- Views, and writing into memory -------------------------------------------------------------


def _is_scalar(x: SymbolicArray) -> bool:
    """Whether NumPy has a scalar here, which is never written into: `s += 1` binds another one."""
    return not x._alias and x._node.type.rank == 0


def _view(x: SymbolicArray, node: Node) -> SymbolicArray:
    made = _value(node, x._kind)
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
        return x if not isinstance(x._kind, Weak) else _value(x.node, x._kind)
    if isinstance(x._kind, Weak):
        return _value(_constant(0, x._kind.element), x._kind)
    # Zeros, which for reals is not x * 0.
    return _strong(_zeros(x.node, x.type.element))


def _view_as(x: SymbolicArray, node: Node) -> SymbolicArray:
    made = _view(x, node)
    made._kind = node.type.element if not isinstance(x._kind, Weak) else _weak[float]
    return made


def _zeros(node: Node, to: ElementType) -> Node:
    return _constant(0, to) if node.type.rank == 0 else _as(_filled(node, False), to)


def _as(node: Node, to: ElementType) -> Node:
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


def _bound(item: Any, x: SymbolicArray) -> int | None:
    if item is None or type(item) is int:
        return item
    if isinstance(item, SymbolicArray):
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


def _stored(target: Node, value: Any) -> Node:
    """A value as the node that an assignment to target stores, cast as NumPy's assignment casts it."""
    to = target.type.element
    what = f"assignment to {to}"
    _, node = _operand(value, what)
    if not isinstance(node, Node):
        return _assigned(node, to, what)
    if node.type.rank > target.type.rank:
        raise ShapeMismatch(f"assignment of {node.type} to {target.type}: expected at most {target.type.rank} axes")
    if (node.type.element.dtype is None or to.dtype is None) and node.type.element is not to:
        raise TypeMismatch(f"assignment of {node.type} to {target.type}: foreign types are the host's to convert")
    return _as(node, to)


def _current(what: str) -> Trace:
    recording = _recording.get()
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
        raise UnsupportedError(f"assignment to a part of {target.type} cannot be traced: expected a view of an operand")
    _current(f"an assignment to {base.name}").record(target, value)


def _localise(x: SymbolicArray) -> None:
    """Give a computed array memory of its own, because it is about to be written into."""
    base = x if x._base is None else x._base
    if base._alias:
        return
    recording = _current(f"an assignment into a computed {x.type}")
    node = base.node
    local = recording._local(node.type)
    recording.record(local, node)
    _rebase(base, local)
    base._alias = True
    for view in list((base._views or {}).values()):
        view._alias = True
    base._time = x._time = _now


def _rebase(base: SymbolicArray, node: Node) -> None:
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
    node = _cast(value, to.element)
    if elementwise and not x._alias and x._base is None and not x._views:
        x._node = node
        x._time = _now
        return x
    if not x._alias:
        _localise(x)
    _record(x.node, node)
    return x


def _into(out: Any, value: SymbolicArray) -> SymbolicArray:
    if isinstance(out, tuple) and len(out) == 1:
        out = out[0]
    if out is None or out is Ellipsis:
        return value
    if type(out) is not SymbolicArray:
        raise TypeMismatch(f"out is {type(out).__name__}: expected a symbolic array")
    return _write(out, value, "out", False)


# -- Ufuncs, reductions and functions -----------------------------------------------------------


def _ufunc(ufunc: Any, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
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
        quotient = _call(_FLOOR_DIVIDE, inputs, dtype)
        rest = _call(_REMAINDER, inputs, dtype)
        return _into(outs[0], quotient), _into(outs[1], rest)
    return _into(out, _call(_rule(ufunc), inputs, None if dtype is None else element(dtype).dtype))


_REDUCTIONS: Final = frozenset(
    {"add", "multiply", "minimum", "maximum", "fmin", "fmax", "logical_and", "logical_or"}
    | {"bitwise_and", "bitwise_or", "bitwise_xor"}
)


def _ufunc_reduce(
    ufunc: Any, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: Any = False,
    initial: Any = np._NoValue, where: Any = np._NoValue
) -> SymbolicArray:  # fmt: skip
    if ufunc.__name__ not in _REDUCTIONS:
        raise UnsupportedError(f"np.{ufunc.__name__}.reduce cannot be traced: no operator reduces by it")
    x = _symbolic(array, f"np.{ufunc.__name__}.reduce")
    return _reduction(ufunc.__name__, x, axis, dtype, out, keepdims, initial, where)


def _no_where(name: str, where: Any) -> None:
    if where is not np._NoValue and where is not True:
        raise UnsupportedError(f"{name} with where= cannot be traced: expected np.where inside it")


def _axes(x: SymbolicArray, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    if x.ndim == 0 and axis in (0, -1):
        return ()
    axes: tuple[int, ...] = normalize_axis_tuple(axis, x.ndim)
    return axes


def _reduction(
    name: str, x: SymbolicArray, axis: Any, dtype: Any, out: Any, keepdims: Any,
    initial: Any = np._NoValue, where: Any = np._NoValue
) -> SymbolicArray:  # fmt: skip
    _no_where(f"{name}.reduce", where)
    if initial is not np._NoValue and not (initial is None and name in ("add", "multiply")):
        raise UnsupportedError(f"{name}.reduce with initial= cannot be traced: expected the operator on the result")
    return _into(out, _reduced(name, x, _axes(x, axis), dtype, bool(keepdims)))


def _reduced(name: str, x: SymbolicArray, axes: tuple[int, ...], dtype: Any, keepdims: bool) -> SymbolicArray:
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
    op = _ON_BOOL.get(name, operator(name)) if to is BOOL else operator(name)
    if to.kind not in op.kinds:
        raise TypeMismatch(f"{name}.reduce of {to}: NumPy has no such loop")
    node = _cast(x, to)
    if not axes:
        return _value(node, to)
    return _strong(Reduce(op, node, axes, keepdims))


def _extreme_at(name: str, x: SymbolicArray, axis: Any, out: Any, keepdims: Any) -> SymbolicArray:
    if axis is None:
        axes = tuple(range(x.ndim))
    else:
        axes = (normalize_axis_index(axis, x.ndim),) if x.ndim else ()
    if x.type.element.kind == "V":
        raise TypeMismatch(f"{name} of {x.type.element}: NumPy has no such loop")
    if not axes:
        return _into(out, _strong(Constant(0, INT64)))
    return _into(out, _strong(Reduce(operator(name), x.node, axes, bool(keepdims))))


def _count(x: SymbolicArray, axes: tuple[int, ...], keepdims: bool) -> SymbolicArray:
    """How many elements a reduction over the axes takes, as int64."""
    if not axes:
        return _strong(Constant(1, INT64))
    node = x.node
    places = list(axes)
    while isinstance(node, View) and node.order is not None:
        places = [node.order[k] for k in places]
        node = node.arg
    if isinstance(node, Operand):
        count: Node = Extent(node, places[0])
        for k in places[1:]:
            count = Apply(operator("multiply"), (count, Extent(node, k)))
        return _strong(count)
    # The extents of an expression are those of all that is broadcast in it: count its elements.
    return _strong(Reduce(operator("add"), Cast(_filled(x.node, True), INT64), axes, keepdims))


def _divided(total: SymbolicArray, count: SymbolicArray) -> SymbolicArray:
    """A sum over a count, computed in NumPy's common type and brought back to the sum's."""
    return _strong(_cast(_call(_TRUE_DIVIDE, (total, count)), total.type.element))


def _where(condition: Any, x: Any = np._NoValue, y: Any = np._NoValue) -> SymbolicArray:
    if x is np._NoValue or y is np._NoValue:
        raise UnsupportedError("np.where of one argument cannot be traced: its result's shape depends on the data")
    _, test = _operand(condition, "where")
    test = _as(test, BOOL) if isinstance(test, Node) else Constant(bool(test), BOOL)
    pairs = [_operand(value, "where") for value in (x, y)]
    to = _result_type([kind for kind, _ in pairs], "where")
    args = [_as(value, to) if isinstance(value, Node) else _wrapped(value, to) for _, value in pairs]
    return _strong(Apply(operator("where"), (test, *args)))


def _wrapped(value: Any, to: ElementType) -> Node:
    """A Python number converted as np.where does: through its default array, so that integers wrap."""
    if isinstance(value, int) and to.kind in "iu":
        if not -(1 << 63) <= value < 1 << 64:
            raise OverflowError(f"where: Python integer {_short(value)} does not fit an integer type")
        low, _ = _bounds(to)
        value = (value - low) % (1 << to.bits) + low
    return _constant(value, to, "where")


def _dot(x: Any, y: Any, out: Any = None) -> SymbolicArray:
    left, right = _symbolic(x, "dot"), _symbolic(y, "dot")
    if left.ndim == 0 or right.ndim == 0:
        # Unlike a ufunc, dot makes arrays of Python numbers first.
        return _into(out, _call(_MULTIPLY, (_strong(left.node), _strong(right.node))))
    if left.ndim > 1 and right.ndim > 2:
        raise UnsupportedError(f"np.dot of {left.type} and {right.type} cannot be traced: expected np.matmul")
    return _into(out, _call(_MATMUL, (x, y)))


def _clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *,
    min: Any = None, max: Any = None, **kwargs: Any
) -> SymbolicArray:  # fmt: skip
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise TypeMismatch("clip: got both a_min or a_max and min or max")
    return _symbolic(a, "clip").clip(a_min if min is None else min, a_max if max is None else max, out, **kwargs)


def _moveaxis(a: Any, source: Any, destination: Any) -> SymbolicArray:
    x = _symbolic(a, "moveaxis")
    old = normalize_axis_tuple(source, x.ndim, "source")
    new = normalize_axis_tuple(destination, x.ndim, "destination")
    if len(old) != len(new):
        raise ShapeMismatch(f"moveaxis of {len(old)} axes to {len(new)}: expected as many")
    order = [k for k in range(x.ndim) if k not in old]
    for place, axis in sorted(zip(new, old, strict=True)):
        order.insert(place, axis)
    return x.transpose(order)


def _expand_dims(a: Any, axis: Any) -> SymbolicArray:
    x = _symbolic(a, "expand_dims")
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    new = normalize_axis_tuple(axis, x.ndim + count)
    return x[tuple(None if k in new else slice(None) for k in range(x.ndim + count))]


def _flip(m: Any, axis: Any = None) -> SymbolicArray:
    x = _symbolic(m, "flip")
    flipped = _axes(x, axis)
    return x[tuple(slice(None, None, -1) if k in flipped else slice(None) for k in range(x.ndim))] if flipped else x


def _count_nonzero(a: Any, axis: Any = None, *, keepdims: Any = False) -> SymbolicArray:
    x = _symbolic(a, "count_nonzero")
    return _reduced("add", _strong(_cast(x, BOOL)), _axes(x, axis), INT64, keepdims)


def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    if where is not True:
        raise UnsupportedError("np.copyto with where= cannot be traced: expected np.where")
    if type(dst) is not SymbolicArray:
        raise TypeMismatch(f"copyto: the destination is {type(dst).__name__}: expected a symbolic array")
    kind, node = _operand(src, "copyto")
    own = node.type.element.dtype if isinstance(node, Node) else np.result_type(_SAMPLES[kind], dst.dtype)
    if not np.can_cast(own, dst.dtype, casting):  # type: ignore[arg-type]
        raise TypeMismatch(f"copyto from {own} to {dst.dtype}: not allowed by the casting rule {casting!r}")
    dst[...] = src


def _like(a: Any, value: Any, dtype: Any, shape: Any) -> SymbolicArray:
    if shape is not None:
        raise UnsupportedError("np.full_like with shape= cannot be traced")
    x = _symbolic(a, "full_like")
    to = x.type.element if dtype is None else element(dtype)
    node = x.node
    if node.type.rank == 0:
        return _value(_stored(Operand("_", to), value), to)
    if value in (0, 1) and type(value) is int:
        return _value(_as(_filled(node, bool(value)), to), to)
    fill = _stored(Operand("_", to.array(node.type.rank)), value)
    return _strong(Apply(operator("where"), (_filled(node, True), fill, fill)))


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
        return getattr(_symbolic(a, name), name)(*args, **kwargs)

    call.__name__ = name
    return call


def _refused(name: str, hint: str) -> Callable[..., Any]:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise UnsupportedError(f"np.{name} cannot be traced: {hint}")

    return refuse


def _ndim(a: Any) -> int:
    return _symbolic(a, "ndim").ndim


def _copy(a: Any, order: str = "K", subok: Any = False) -> SymbolicArray:
    return _symbolic(a, "copy").copy()


#: NumPy's functions that are no ufunc, by the function; `__array_function__` looks here.
_FUNCTIONS: Final[dict[Any, Callable[..., Any]]] = {
    np.where: _where,
    np.clip: _clip,
    np.transpose: lambda a, axes=None: _symbolic(a, "transpose").transpose(axes),
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
    np.dot: _dot,
    np.real: lambda val: _symbolic(val, "real").real,
    np.imag: lambda val: _symbolic(val, "imag").imag,
    np.round: _method("round"),
    np.around: _method("round"),
    np.copy: _copy,
    np.copyto: _copyto,
    np.zeros_like: _zeros_like,
    np.empty_like: _zeros_like,
    np.ones_like: _ones_like,
    np.full_like: _full_like,
    np.ndim: _ndim,
    np.iscomplexobj: lambda x: x.type.element.kind == "c",
    np.isrealobj: lambda x: x.type.element.kind != "c",
    np.shape: _refused("shape", "the shape of a symbolic array is unknown"),
    np.size: _refused("size", "the shape of a symbolic array is unknown"),
    np.reshape: _refused("reshape", "the shape of a symbolic array is unknown"),
    np.broadcast_to: _refused("broadcast_to", "operators broadcast by themselves"),
}

#: Names of functions that a text or a host may call: ufuncs with a row, rows without a ufunc, and the above.
_TEXT_FUNCTIONS: Final = (
    *("where", "clip", "transpose", "swapaxes", "moveaxis", "expand_dims", "squeeze", "flip", "sum", "prod", "min"),
    *("max", "amin", "amax", "any", "all", "mean", "var", "std", "argmin", "argmax", "count_nonzero", "dot", "real"),
    *("imag", "round", "zeros_like", "ones_like", "full_like"),
)


# Ufuncs without a row of their name that are built of other nodes.
_MORE_UFUNCS: Final = frozenset({"divmod", "matmul", "positive"})


def function(name: str) -> Callable[..., Any] | None:
    """The function of that name on symbolic arrays and numbers: NumPy's names and those of the table's rows.

    None where there is no such name.

    >>> function("hypot")(array("x", "float32", 1), 2.0).dtype
    dtype('float32')
    """
    if name in _TEXT_FUNCTIONS:
        return _FUNCTIONS[getattr(np, name)]
    row = _ROWS.get(name, name)
    if not is_operator(row) and name not in _MORE_UFUNCS:
        return None
    ufunc = getattr(np, name, None)
    if isinstance(ufunc, np.ufunc):
        return lambda *args, **kwargs: _ufunc(ufunc, args, kwargs)
    return lambda *args: apply(row, *args)


def function_names() -> list[str]:
    """Every name that `function` knows."""
    names = set(_TEXT_FUNCTIONS) | set(_ROWS) | {op.name for op in operators()} | _MORE_UFUNCS
    return sorted(name for name in names if function(name) is not None)


def apply(op: Operator | str, *args: Any) -> SymbolicArray:
    """An operator of the table on symbolic arrays and numbers, promoted as NumPy promotes.

    For the rows that are no function of NumPy's, as `fma`, and for those that a third party registered.
    Raises TypeMismatch where the row does not take the types.

    >>> apply("fma", array("x", "float32", 1), 2.0, array("y", "float32", 1)).dtype
    dtype('float32')
    """
    row = operator(op) if isinstance(op, str) else op
    ufunc = getattr(np, row.name, None)
    if isinstance(ufunc, np.ufunc) and ufunc.nin == row.arity and ufunc.nout == 1:
        return _call(_rule(ufunc), args)
    if row.name in ("where", "clip"):
        made: SymbolicArray = (_where if row.name == "where" else _clip)(*args)
        return made
    rule = _rules.get(row)
    if rule is None:
        rule = _rules[row] = _Rule(None, row.name)
    return _call(rule, args)


# -- Recording ----------------------------------------------------------------------------------


_LOCAL: Final = "_arrayexpr_local_"
_local_numbers: Final = itertools.count()


class Trace:
    """Records assignments to symbolic arrays, in order, while it is entered.

    Values computed before an assignment keep what they had: one that is used after an operand it reads
    was assigned to is stored in a local of the program, just before that assignment.

    >>> a, b = array("a", "float64", 1), array("b", "float64", 1)
    >>> with Trace() as recording:
    ...     total = a + 1
    ...     a[...] = 0
    ...     b[...] = total
    >>> [s.target.name for s in recording.program().statements]
    ['t0', 'a', 'b']
    """

    def __init__(self) -> None:
        # In step: a statement, and the count of assignments at which it was recorded. A local that is
        # filled before a statement has that one's count too.
        self._statements: list[Node] = []
        self._stamps: list[int] = []
        self._writes: dict[Operand, list[int]] = {}
        self._reads: dict[Node, frozenset[Operand]] = {}
        self._locals: list[Operand] = []
        self._kept: dict[Any, Operand] = {}
        self._token: Token[Trace | None] | None = None

    def __enter__(self) -> Self:
        if self._token is not None:
            raise ArrayExprError("this trace is entered already")
        self._token = _recording.set(self)
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._token is not None
        _recording.reset(self._token)
        self._token = None

    @property
    def statements(self) -> tuple[Node, ...]:
        """The assignments so far, in order."""
        return tuple(self._statements)

    @property
    def locals(self) -> tuple[Operand, ...]:
        """The operands that the program needs to keep values in."""
        return tuple(self._locals)

    def record(self, target: Any, value: Node) -> None:
        """Append `target = value`; target is an operand or a view of one, value of its element type."""
        global _now
        base = target
        while isinstance(base, View):
            base = base.arg
        statement = Assign(target, value)
        # Traces of other threads count here too, and no count may be seen to go back.
        with _counting:
            _now += 1
            stamp = _now
        self._statements.append(statement)
        self._stamps.append(stamp)
        self._writes.setdefault(base, []).append(stamp)

    def program(self, *results: Any, name: str = "kernel") -> Program:
        """The program of what was recorded, and then of the results."""
        token = _recording.set(self)
        try:
            # Settling a result may add a local before statements that are here already.
            values = [_symbolic(result, "result").node for result in results]
        finally:
            _recording.reset(token)
        return assemble(name, self._statements, values, None, self._locals)

    def _local(self, t: ArrayType) -> Operand:
        # Programs call it otherwise; here it must be no operand of the same name and type.
        local = Operand(f"{_LOCAL}{next(_local_numbers)}", t.plain)
        self._locals.append(local)
        return local

    def _settle(self, x: SymbolicArray) -> None:
        overtaken = 0
        for operand in self._read(x._node):
            stamps = self._writes.get(operand)
            if stamps is not None:
                k = bisect_right(stamps, x._time)
                if k < len(stamps) and (not overtaken or stamps[k] < overtaken):
                    overtaken = stamps[k]
        if not overtaken:
            return
        key = (x._node, overtaken)
        local = self._kept.get(key)
        if local is None:
            local = self._kept[key] = self._local(x._node.type)
            place = bisect_right(self._stamps, overtaken) - 1
            self._statements.insert(place, Assign(local, x._node))
            self._stamps.insert(place, overtaken)
        _rebase(x, local)

    def _read(self, node: Node) -> frozenset[Operand]:
        """The operands whose elements a node reads."""
        known = self._reads.get(node)
        if known is not None:
            return known
        reads = self._reads
        stack = [node]
        while stack:
            top = stack[-1]
            if top in reads:
                stack.pop()
                continue
            if isinstance(top, Operand):
                reads[top] = frozenset((top,))
                continue
            if isinstance(top, Extent):
                reads[top] = frozenset()
                continue
            missing = [child for child in top.args if child not in reads]
            if missing:
                stack.extend(missing)
                continue
            union: frozenset[Operand] = frozenset()
            for child in top.args:
                own = reads[child]
                if not own <= union:
                    union = own if union <= own else union | own
            reads[top] = union
        return reads[node]


def trace(function: Callable[..., Any], *specs: Any, name: str | None = None) -> Program:
    """Run a function written for NumPy on symbolic arrays, and give the program of what it did.

    Its parameters become operands of their names, what it returns (None, one value, or a tuple) the
    results `r`, or `r0`, `r1`, ...; assignments into parameters are recorded in order. A spec is

    - `(dtype, rank)`, an `ArrayType`, or its text `"float64[:, :]"`: an array;
    - a dtype, its name or an `ElementType`: a scalar, which promotes as NumPy's scalars do;
    - `Weak(float)` or `"weak float"`: a Python number;
    - a SymbolicArray: as that one.

    Parameters with defaults need no spec. Raises UnsupportedError, TypeMismatch, ShapeMismatch or
    TypeError for what cannot be traced, naming it.

    >>> def step(u, rate):
    ...     u[1:-1] += rate * (u[2:] - 2 * u[1:-1] + u[:-2])
    >>> program = trace(step, ("float32", 1), Weak(float))
    >>> program.name, len(program.statements), program.results
    ('step', 1, ())
    """
    called = str(name or getattr(function, "__name__", "kernel"))
    if name is None and (not called.isidentifier() or keyword.iskeyword(called)):
        called = "kernel"
    parameters = _parameters(function, called, specs)
    with Trace() as recording:
        returned = function(*[x for _, x, kind in parameters if kind != "keyword"],
                            **{n: x for n, x, kind in parameters if kind == "keyword"})  # fmt: skip
        if returned is None:
            results: list[Any] = []
        elif isinstance(returned, (tuple, list)):
            results = list(returned)
        else:
            results = [returned]
        values = []
        for k, result in enumerate(results):
            try:
                values.append(_symbolic(result, "result").node)
            except TypeMismatch:
                place = f" as result {k}" if isinstance(returned, (tuple, list)) else ""
                got = type(result).__name__
                raise TypeMismatch(f"{called} returns {got}{place}: expected arrays, numbers or None") from None
    operands: list[Any] = [x._node for _, x, _ in parameters]
    return assemble(called, recording._statements, values, operands, recording._locals)


def _parameters(function: Any, called: str, specs: Sequence[Any]) -> list[tuple[str, SymbolicArray, str]]:
    try:
        declared = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        declared = []
    if isinstance(function, np.ufunc) or not declared:
        return [(f"x{k}", symbol(f"x{k}", spec), "positional") for k, spec in enumerate(specs)]
    made: list[tuple[str, SymbolicArray, str]] = []
    given = list(specs)
    for parameter in declared:
        if parameter.kind is parameter.VAR_POSITIONAL:
            made += [
                (f"{parameter.name}{k}", symbol(f"{parameter.name}{k}", spec), "positional")
                for k, spec in enumerate(given)
            ]
            given = []
        elif parameter.kind is parameter.VAR_KEYWORD:
            continue
        elif given:
            kind = "keyword" if parameter.kind is parameter.KEYWORD_ONLY else "positional"
            made.append((parameter.name, symbol(parameter.name, given.pop(0)), kind))
        elif parameter.default is parameter.empty:
            raise TypeMismatch(f"{called} has no spec for its parameter {parameter.name!r}: got {len(specs)}")
    if given:
        raise TypeMismatch(f"{called} takes {len(made)} parameters: got {len(specs)} specs")
    return made


_TEXT_TYPE: Final = re.compile(r"(\w+)\s*(?:\[\s*(?:'([CF])'\s*,\s*)?(:[01]?:?[01]?(?:\s*,\s*::?[01]?)*)\s*\])?")


def symbol(name: str, spec: Any) -> SymbolicArray:
    """The symbolic array of a name and a spec: see `trace`."""
    if isinstance(spec, SymbolicArray):
        made = _value(Operand(name, spec.type), spec._kind)
        made._alias = spec._alias or spec.ndim > 0
        return made
    if isinstance(spec, str) and spec.startswith("weak "):
        spec = Weak(spec)
    if isinstance(spec, Weak):
        return _value(Operand(name, spec.element), spec)
    if isinstance(spec, str) and "[" in spec:
        spec = _parsed_type(spec)
    if isinstance(spec, tuple) and len(spec) == 2:
        spec = element(spec[0]).array(python_operator.index(spec[1]))
    if isinstance(spec, ArrayType):
        return _memory(Operand(name, spec))
    return _strong(Operand(name, element(spec)))


def _parsed_type(text: str) -> ArrayType:
    match = _TEXT_TYPE.fullmatch(text.strip())
    if match is None or match[3] is None:
        raise TypeMismatch(f"type {text!r}: expected e.g. 'float64[:, ::1]'")
    marks = {":": "strided", "::": "strided", "::1": "unit", "::0": "broadcast", "::-1": "falling"}
    axes = [axis.strip() for axis in match[3].split(",")]
    if any(axis not in marks for axis in axes):
        raise TypeMismatch(f"type {text!r}: expected ':', '::1', '::-1' or '::0' for each axis")
    order = match[2]
    return element(match[1]).array(len(axes), None if order else tuple(marks[axis] for axis in axes), order)


def spec_of(value: Any) -> Any:
    """The spec of an argument, for `trace`: what NumPy's promotion sees of it.

    >>> spec_of(2.5), spec_of(np.float32(1)), spec_of(np.zeros((2, 3), "int16"))
    (Weak(float), float32, int16[:, :])
    """
    t = type(value)
    if t is bool or isinstance(value, np.generic):
        return element(np.dtype(bool) if t is bool else value.dtype)
    if isinstance(value, np.ndarray):
        return element(value.dtype).array(value.ndim)
    for python in (int, float, complex):
        if isinstance(value, python):
            return Weak(python)
    if isinstance(value, SymbolicArray):
        return value
    raise TypeMismatch(f"argument of type {t.__name__}: expected an array or a number")


# -- Programs -----------------------------------------------------------------------------------


def array(name: str, dtype: Any, ndim: int) -> SymbolicArray:
    """An operand of the program: an array of `ndim` axes whose shape is not known yet.

    >>> array("a", "float32", 2).type
    float32[:, :]
    """
    return _memory(Operand(name, element(dtype).array(ndim)))


def scalar(name: str, dtype: Any) -> SymbolicArray:
    """An operand of rank 0, which promotes as a NumPy scalar of the type does; or as a Python number.

    >>> x = array("x", "float32", 1)
    >>> (x * scalar("s", "float64")).dtype, (x * scalar("s", Weak(float))).dtype
    (dtype('float64'), dtype('float32'))
    """
    if isinstance(dtype, str) and dtype.startswith("weak "):
        dtype = Weak(dtype)
    return symbol(name, dtype if isinstance(dtype, Weak) else element(dtype))


def assign(target: SymbolicArray, value: Any, subscripts: Any = ...) -> Node:
    """The statement `target[subscripts] = value`, for `program`; see `SymbolicArray.assign`."""
    if type(target) is not SymbolicArray:
        raise TypeMismatch(f"assign to {type(target).__name__}: expected a symbolic array")
    return target.assign(value, subscripts)


def program(*results_or_assignments: Any, name: str = "kernel") -> Program:
    """A program of statements, made by `assign`, and of expressions, whose values become its results.

    One result is called `r`, several `r0`, `r1`, ... The operands are all that is read or assigned,
    in the order in which they are met. Statements run in the order given.

    Raises TypeMismatch for what is neither, and where one name is used for two operands.

    >>> x, y = array("x", "float64", 1), array("y", "float64", 1)
    >>> made = program(y.assign(x + y), x * y)
    >>> [o.name for o in made.operands], [o.name for o in made.results]
    (['x', 'y'], ['r'])
    """
    items: list[Any] = []
    for item in results_or_assignments:
        if isinstance(item, Node) and (item.type is None or not isinstance(item, Node)):
            if not isinstance(item, (*STATEMENTS, SideEffect, Unreorderable)):
                raise TypeMismatch(f"program of {type(item).__name__}: expected expressions and assignments")
            items.append(item)
        elif isinstance(item, Node):
            items.append((item,))
        else:
            items.append((_symbolic(item, "program").node,))
    return assemble(name, items, [], None, ())


def assemble(
    name: str,
    items: Iterable[Any],
    values: Sequence[Node],
    operands: Sequence[Operand] | None,
    locals: Sequence[Operand],
) -> Program:
    """A program of statements and results; a result among the items is a tuple of its node."""
    order: list[Any] = [*items, *((value,) for value in values)]
    roots = [node for item in order for node in (item if isinstance(item, tuple) else _read_first(item))]
    met: dict[str, Operand] = {}
    own = set(locals)
    for node in postorder(roots):
        if isinstance(node, Operand) and node not in own:
            if node.name.startswith(_LOCAL):
                raise TypeMismatch(
                    f"{name} reads a value that was computed in another trace: expected it to be passed on"
                )
            before = met.setdefault(node.name, node)
            if before is not node:
                raise TypeMismatch(f"{name} has two operands named {node.name!r}, {before.type} and {node.type}")
    if operands is None:
        operands = list(met.values())
    else:
        declared = {operand.name: operand for operand in operands}
        for operand in met.values():
            if declared.get(operand.name) is not operand:
                raise TypeMismatch(
                    f"{name} reads {operand.name} of type {operand.type}, which is none of its parameters: "
                    "expected it to be passed as an argument"
                )
    taken = {operand.name for operand in operands}
    kept = [Operand(_fresh(f"t{k}", taken), local.type) for k, local in enumerate(locals)]
    if kept:
        names: dict[Node, Node] = dict(zip(locals, kept, strict=True))
        new = transform(roots, lambda node: names.get(node))
        for k, item in enumerate(order):
            order[k] = (new[item[0]],) if isinstance(item, tuple) else rebuild(item, tuple(new[x] for x in item.args))
    count = sum(isinstance(item, tuple) for item in order)
    results: list[Operand] = []
    statements: list[Node] = []
    for item in order:
        if not isinstance(item, tuple):
            statements.append(item)
            continue
        value = item[0]
        result = Operand(_fresh("r" if count == 1 else f"r{len(results)}", taken), value.type.plain)
        results.append(result)
        statements.append(Assign(result, value))
    return Program(name, operands, statements, results, locals=kept)


def _read_first(statement: Node) -> tuple[Node, ...]:
    """The children of a statement, what is read before what is assigned: operands are declared in that order."""
    return (statement.value, statement.target) if isinstance(statement, Assign) else statement.args


def _fresh(name: str, taken: set[str]) -> str:
    fresh, k = name, 0
    while fresh in taken:
        fresh, k = f"{name}_{k}", k + 1
    taken.add(fresh)
    return fresh
