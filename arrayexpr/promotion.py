"""NumPy's promotion rules (NEP 50): what a ufunc's operands are cast to, and which node its loop on them is.

>>> rule_of(np.add).plan((element("float32"), float)).kind, rule_of(np.add).plan((element("int8"), float)).kind
(float32, float64)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from ._core.errors import ShapeMismatch, TypeMismatch, UnsupportedError
from ._core.nodes import Apply, Cast, Constant, Contract, Node
from ._core.ops import Operator, is_operator, operator
from ._core.types import BOOL, FLOAT64, INT64, ElementType, element

_COMPLEX128: Final = element("complex128")
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
        known = WEAK.get(python)
        if known is None:
            raise TypeMismatch(f"Weak({python!r}): expected int, float or complex (a Python bool is a scalar bool)")
        return known

    def __repr__(self) -> str:
        return f"Weak({self.python.__name__})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Weak, (self.python.__name__,)


WEAK: Final[dict[Any, Weak]] = {}
for _python, _element in ((int, INT64), (float, FLOAT64), (complex, _COMPLEX128)):
    _made = object.__new__(Weak)
    _made.python, _made.element = _python, _element
    WEAK[_python] = WEAK[_python.__name__] = WEAK["weak " + _python.__name__] = _made
_WEAK_OF: Final = {w.element: w for w in WEAK.values()}

#: What takes part in promotion: an element type, a Weak parameter, or the type of a Python constant.
Kind = Any

# -- What becomes of each ufunc -------------------------------------------------------------------

# Ufuncs that are a row of the table under another name.
ROW_NAMES: Final = {
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
TRUE: Final = Constant(True, BOOL)
FALSE: Final = Constant(False, BOOL)
# Loops of bool that are a logical operator under an arithmetic name.
ON_BOOL: Final = {
    "add": _LOGICAL_OR,
    "maximum": _LOGICAL_OR,
    "fmax": _LOGICAL_OR,
    "multiply": _LOGICAL_AND,
    "minimum": _LOGICAL_AND,
    "fmin": _LOGICAL_AND,
}


def filled(node: Node, value: bool) -> Node:
    """A bool array of the shape of a node: the one way to say so where its extents are not operands'."""
    if node.type.rank == 0:
        return TRUE if value else FALSE
    if node.type.element is not BOOL:
        node = Cast(node, BOOL)
    return Apply(_LOGICAL_OR, (node, TRUE)) if value else Apply(_LOGICAL_AND, (node, FALSE))


def _identity(node: Node) -> Node:
    return node


def _all_true(node: Node) -> Node:
    return filled(node, True)


def _all_false(node: Node) -> Node:
    return filled(node, False)


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
        if name in ON_BOOL:
            return ON_BOOL[name]
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


# -- What operands are cast to --------------------------------------------------------------------


class Plan:
    """How to apply an operator to operands of given kinds: what they are cast to, and what is built."""

    __slots__ = ("build", "casts", "ins", "kind", "op")

    def __init__(self, op: Any, build: Any, kind: Kind, casts: Sequence[Any], ins: Sequence[ElementType]) -> None:
        self.op = op
        self.build = build
        self.kind = kind
        self.casts = casts
        self.ins = ins


class Rule:
    """A ufunc, or a row of the table that is none, with its plans by the kinds of its operands.

    `plans` is for Python's operators, where weak operands have weak results; `calls` for calls of
    the ufunc, where they have not.
    """

    __slots__ = ("arity", "calls", "comparison", "name", "pairs", "plans", "row", "ufunc")

    def __init__(self, ufunc: Any, name: str = "") -> None:
        self.ufunc = ufunc
        self.name = name or ufunc.__name__
        row = ROW_NAMES.get(self.name, self.name)
        self.row = operator(row) if is_operator(row) else None
        self.comparison = row in _COMPARISONS
        self.arity = self.row.arity if ufunc is None and self.row is not None else ufunc.nin
        self.plans: dict[Any, Plan] = {}
        self.pairs: dict[Any, tuple[Any, ...]] = {}
        self.calls: dict[Any, Plan] = {}

    def plan(self, kinds: tuple[Kind, ...]) -> Plan:
        known = self.plans.get(kinds)
        if known is None:
            known = self._resolve(kinds, None)
            # A Python scalar of a Python scalar: what NumPy never sees stays weak.
            if not any(isinstance(k, ElementType) for k in kinds) and any(isinstance(k, Weak) for k in kinds):
                kind = _WEAK_OF.get(known.kind, known.kind)
                known = Plan(known.op, known.build, kind, known.casts, known.ins)
            self.plans[kinds] = known
        return known

    def pair(self, kinds: tuple[Kind, Kind]) -> tuple[Any, ...]:
        """The plan of two operands as a tuple, which is quicker to take apart."""
        plan = self.plan(kinds)
        pair = self.pairs[kinds] = (plan.op, plan.build, plan.kind, plan.casts[0], plan.casts[1], plan.ins)
        return pair

    def call(self, kinds: tuple[Kind, ...], dtype: Any = None) -> Plan:
        known = self.calls.get((kinds, dtype))
        if known is None:
            known = self.calls[(kinds, dtype)] = self._resolve(kinds, dtype)
        return known

    def _resolve(self, kinds: tuple[Kind, ...], dtype: Any) -> Plan:
        if len(kinds) != self.arity:
            raise TypeMismatch(f"{self.name} takes {self.arity} operands: got {len(kinds)}")
        own = tuple(k.element if isinstance(k, Weak) else WEAK[k].element if isinstance(k, type) else k for k in kinds)
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
        return Plan(op, build, out, casts, ins)

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
        common = result_type([k for k, place in zip(kinds, places, strict=True) if place == "T"], self.name)
        if common.kind not in self.row.kinds and common.kind in "biu" and "f" in self.row.kinds:
            common = FLOAT64
        fixed = {"T": common, "B": BOOL, "I": INT64, "N": _INT32, "U": element("uint8")}
        return tuple(fixed[place] for place in places)


def _shown(kinds: Iterable[Kind]) -> str:
    return " and ".join(k.__name__ if isinstance(k, type) else str(k) for k in kinds)


SAMPLES: Final = {int: 0, float: 0.0, complex: 0j}


def result_type(kinds: Sequence[Kind], what: str) -> ElementType:
    """NumPy's result_type of kinds."""
    samples = [
        SAMPLES[k.python] if isinstance(k, Weak) else SAMPLES[k] if isinstance(k, type) else k.dtype for k in kinds
    ]
    if any(sample is None for sample in samples):
        raise TypeMismatch(f"{what} of {_shown(kinds)}: NumPy has no promotion for a foreign type")
    return element(np.result_type(*samples))


_rules: Final[dict[Any, Rule]] = {}


def rule_of(ufunc: Any) -> Rule:
    known = _rules.get(ufunc)
    if known is None:
        if ufunc.signature is not None and ufunc is not np.matmul:
            raise UnsupportedError(f"{ufunc.__name__} cannot be traced: expected a ufunc on elements, or matmul")
        if ufunc.nout != 1:
            raise UnsupportedError(f"{ufunc.__name__} cannot be traced: it has {ufunc.nout} results")
        known = _rules[ufunc] = Rule(ufunc)
    return known


def rule_of_row(row: Operator) -> Rule:
    """The rule of a row of the table that is no ufunc."""
    known = _rules.get(row)
    if known is None:
        known = _rules[row] = Rule(None, row.name)
    return known


# -- Python numbers as constants ------------------------------------------------------------------

_constants: Final[dict[Any, Node]] = {}


def number(value: Any, to: ElementType, what: str = "constant") -> Node:
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
                raise OverflowError(f"{what}: Python integer {shortened(value)} does not fit int64")
            made = Constant(bool(value), to)
        elif kind in "iu":
            whole = int(value)
            low, high = integer_bounds(to)
            if not low <= whole <= high:
                raise OverflowError(
                    f"{what}: Python integer {shortened(whole)} does not fit {to}: expected {low} to {high}"
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
        raise OverflowError(f"{what}: Python integer {shortened(value)} is too large for {to}") from None
    if value and value == value:
        if len(_constants) > 1000:
            _constants.clear()
        _constants[key] = made
    return made


def integer_bounds(t: ElementType) -> tuple[int, int]:
    return (-(1 << (t.bits - 1)), (1 << (t.bits - 1)) - 1) if t.kind == "i" else (0, (1 << t.bits) - 1)


def shortened(value: int) -> str:
    return str(value) if abs(value) < 10**30 else f"of {value.bit_length()} bits"


def assigned_number(value: Any, to: ElementType, what: str) -> Node:
    """A Python number as a constant of what it is assigned to: as for operands, but reals are truncated."""
    if isinstance(value, complex) and to.kind in "biuf" and to is not BOOL:
        raise TypeMismatch(f"{what}: the complex {value!r} is assigned to {to}")
    if isinstance(value, float) and to.kind in "iu":
        if not math.isfinite(value):
            raise ValueError(f"{what}: {value!r} is assigned to {to}, which has no such value")
        value = int(value)
    return number(value, to, what)
