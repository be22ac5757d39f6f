"""The table of operators: one row each, read by the parser, printer, simplifier, interpreter and emitters.

A signature says which element types an operator takes and gives, one letter a place:

| letter | element type |
|---|---|
| `T` | the operands' common type, of one of the row's `kinds` |
| `R` | the real type of T's parts (T itself unless complex) |
| `C` | the complex type whose parts are T |
| `B` | bool |
| `I` | int64 |
| `N` | int32 |
| `U` | uint8 |

`kinds` are NumPy's letters: `b` bool, `i` signed, `u` unsigned, `f` real, `c` complex. Nothing is
promoted here: operands must already agree, the host casts them.

A third party adds an operator by `register(Operator(...))`:

>>> cube = register(Operator("cube_doc", "T>T", "f", lambda x: x * x * x, c="({0}) * ({0}) * ({0})"))
>>> operator("cube_doc") is cube
True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from . import ops_c, ops_numpy
from .errors import ArrayExprError, TypeMismatch
from .record import made, record
from .types import BOOL, INT64, ElementType, complex_of, element, elements, real_of


@record
class Law:
    """The element kinds for which an identity holds bit for bit (`exact`), and up to rounding (`fast`)."""

    exact: str = ""
    fast: str = ""

    def holds(self, kind: str, fast: bool = False) -> bool:
        return kind in self.exact or (fast and kind in self.fast)


@record
class Element:
    """A special operand: `op(x, value)` is x for a unit and value for a zero, where `law` holds.

    `left` says that it is so from the left as well.
    """

    value: float
    law: Law
    left: bool = True


@record
class Operator:
    """One row of the table.

    `numpy` computes it on arrays of the right types. `c` is its spelling in the C family: the name
    of a libm function (its suffix for float and long double is added), or a template over `{0}`,
    `{1}`, ...; one for all kinds or one per kinds or type, as `{"iu": ..., "float16": ..., "f": ...}`.
    `source` is C that the spelling calls, with `$T` for the C type, `$R` for its parts' type, `$C` for that of complex
    numbers of such parts, `$N` for
    our name of the type and `$s` for libm's suffix; `spellings` are those of other languages where they
    differ. `only` names the element types where not all of the kinds will do. `vector_math` are the kinds
    for which a result may be off by up to 4 ulp. `cost` counts operations, an addition being one.
    `derivative` has a text per operand, over `x0`, `x1`, ... and the result `y`; None where it has none.
    Operands of the kinds in `may_raise` make it raise ValueError with the text `raises` where the C
    condition `raises_when` holds of an element. `reduction` is the name of the NumPy function that
    reduces by it; where NumPy has none of that name, `numpy.reduce` is, called as that of a ufunc.
    """

    name: str
    signature: str
    kinds: str
    numpy: Callable[..., Any]
    symbol: str | None = None
    precedence: int = 0
    c: str | Mapping[str, str] | None = None
    source: str | Mapping[str, str] = ""
    spellings: Mapping[str, str | Mapping[str, str]] = made(default_factory=dict)
    commutes: Law = Law()
    associates: Law = Law()
    idempotent: Law = Law()
    involution: Law = Law()
    units: tuple[Element, ...] = ()
    zeros: tuple[Element, ...] = ()
    derivative: tuple[str | None, ...] | None = None
    cost: float = 1.0
    may_raise: str = ""
    raises_when: str = ""
    raises: str = ""
    vector_math: str = ""
    reduction: str | None = None
    only: tuple[str, ...] = ()
    _results: dict[Any, Any] = made(default_factory=dict)

    # A row is itself and no other, as a node is.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def arity(self) -> int:
        return self.signature.index(">")

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Any, ...]:
        return operator, (self.name,)

    def result(self, types: tuple[ElementType, ...]) -> ElementType:
        """The element type of the result on operands of `types`.

        >>> operator("less").result((element("int8"), element("int8")))
        bool
        >>> operator("add").result((element("int8"), element("int16")))
        Traceback (most recent call last):
        arrayexpr._core.errors.TypeMismatch: add takes operands of one type: got int8, int16
        """
        known: ElementType | None = self._results.get(types)
        if known is None:
            known = self._results[types] = _result(self, types)
        return known

    def spelling(self, language: str, t: ElementType) -> str | None:
        """How `language` spells it for operands of a type; C's spelling where it has no own."""
        return _for_type(self.spellings.get(language, self.c), t)

    def source_for(self, t: ElementType) -> str:
        """The C that the spelling for operands of a type calls."""
        return _for_type(self.source, t) or ""


def _for_type(spelling: str | Mapping[str, str] | None, t: ElementType) -> str | None:
    """The text under the type's own name, else under its kind."""
    if spelling is None or isinstance(spelling, str):
        return spelling
    if t.name in spelling:
        return spelling[t.name]
    return next((text for kinds, text in spelling.items() if t.kind in kinds and kinds not in _element_names), None)


_element_names = frozenset(t.name for t in elements())
_FIXED = {"B": BOOL, "I": INT64, "N": element("int32"), "U": element("uint8")}


def _result(op: Operator, types: tuple[ElementType, ...]) -> ElementType:
    shown = ", ".join(map(str, types))
    places, result = op.signature.split(">")
    if len(types) != len(places):
        raise TypeMismatch(f"{op.name} takes {len(places)} operands: got {len(types)} ({shown})")
    common: ElementType | None = None
    for place, t in zip(places, types, strict=True):
        if place == "T":
            if common is not None and t is not common:
                raise TypeMismatch(f"{op.name} takes operands of one type: got {shown}")
            common = t
        elif t is not _FIXED[place]:
            raise TypeMismatch(f"{op.name} takes {_FIXED[place]} as operand {places.index(place)}: got {shown}")
    assert common is not None, op.signature
    if op.only and common.name not in op.only:
        raise TypeMismatch(f"{op.name} is not defined on {common}: expected one of {', '.join(op.only)}")
    if common.kind not in op.kinds:
        raise TypeMismatch(f"{op.name} is not defined on {common}: expected one of the kinds {op.kinds}")
    if result == "T":
        return common
    if result in "RC":
        return real_of(common) if result == "R" else complex_of(common)
    return _FIXED[result]


_table: dict[str, Operator] = {}


def _is_signature(places: str, result: str) -> bool:
    return bool(places) and len(result) == 1 and set(places) <= set("TBINU") and result in "TRCBINU"


def register(op: Operator) -> Operator:
    """Add a row to the table. Raises where the name is taken or is not an identifier."""
    if op.name in _table:
        raise ArrayExprError(f"operator {op.name} is registered already")
    places, _, result = op.signature.partition(">")
    if not (op.name.isidentifier() and op.name[0] != "_" and _is_signature(places, result)):
        raise ArrayExprError(f"operator {op.name!r} with signature {op.signature!r}: expected a name and e.g. 'TT>T'")
    _table[op.name] = op
    return op


def operator(name: str) -> Operator:
    """The operator of that name."""
    try:
        return _table[name]
    except KeyError:
        raise ArrayExprError(f"no operator is named {name!r}") from None


def operators() -> tuple[Operator, ...]:
    """Every row of the table."""
    return tuple(_table.values())


def is_operator(name: str) -> bool:
    return name in _table


# -- The rows -----------------------------------------------------------------------------------
# Precedences are Python's, loosest first: or 1, and 2, not 3, comparison 4, | 5, ^ 6, & 7, shifts 8,
# + - 9, * / // % 10, unary 11, ** 12.

_ALL = Law("biufc")
_INTEGER = Law("biu")
# Sums and products of integers wrap, so they associate exactly; those of reals only up to rounding.
_WRAPS = Law("iu", "fc")


def _row(name: str, signature: str, kinds: str, c: Any = None, **more: Any) -> Operator:
    meaning = more.pop("numpy", None) or getattr(np, name)
    return register(Operator(name, signature, kinds, meaning, c=c, **more))


_row(
    "add", "TT>T", "iufc", {"iuf": "{0} + {1}", "c": "($T){{0}.re + {1}.re, {0}.im + {1}.im}"}, symbol="+", precedence=9,
    commutes=_ALL, associates=_WRAPS, derivative=("1", "1"), reduction="add",
    # x + 0.0 is not x where x is -0.0; x + -0.0 always is.
    units=(Element(0, Law("iu", "fc")), Element(-0.0, Law("f"))),
)  # fmt: skip
_row(
    "subtract", "TT>T", "iufc", {"iuf": "{0} - {1}", "c": "($T){{0}.re - {1}.re, {0}.im - {1}.im}"}, symbol="-",
    precedence=9, derivative=("1", "-1"), units=(Element(0, Law("iuf", "c"), left=False),),
)  # fmt: skip
_row(
    "multiply", "TT>T", "iufc", {"iuf": "{0} * {1}", "c": "multiply_$N({0}, {1})"}, source=ops_c.MULTIPLY_COMPLEX,
    # NumPy multiplies complex numbers with fused products where the processor has them: x * y and y * x
    # then differ in the last bit.
    symbol="*", precedence=10, commutes=Law("biuf", "c"), associates=_WRAPS, derivative=("x1", "x0"),
    reduction="multiply",
    units=(Element(1, Law("iuf", "c")),), zeros=(Element(0, Law("iu", "fc")),),
)  # fmt: skip
_row(
    "true_divide", "TT>T", "fc", {"f": "{0} / {1}", "c": "true_divide_$N({0}, {1})"}, source={"c": ops_c.DIVIDE_COMPLEX},
    symbol="/", precedence=10, cost=8, derivative=("1 / x1", "-x0 / (x1 * x1)"),
    units=(Element(1, Law("f", "c"), left=False),),
)  # fmt: skip
_row(
    "floor_divide", "TT>T", "iuf", {"if": "floor_divide_$N({0}, {1})", "u": "({1} == 0 ? 0 : {0} / {1})"},
    source={"f": ops_c.FLOOR_REAL, "i": ops_c.FLOOR_INT}, symbol="//", precedence=10, cost=20, derivative=("0", "0"),
    units=(Element(1, _INTEGER, left=False),),
)  # fmt: skip
_row(
    "remainder", "TT>T", "iuf", {"if": "remainder_$N({0}, {1})", "u": "({1} == 0 ? 0 : {0} % {1})"},
    source={"f": ops_c.REMAINDER_REAL, "i": ops_c.REMAINDER_INT}, symbol="%", precedence=10, cost=20,
)  # fmt: skip
_row(
    "trunc_divide", "TT>T", "iu", {"i": "trunc_divide_$N({0}, {1})", "u": "({1} == 0 ? 0 : {0} / {1})"},
    source={"i": ops_c.TRUNC_INT}, numpy=ops_numpy.trunc_divide, cost=20, units=(Element(1, _INTEGER, left=False),),
)  # fmt: skip
_row(
    "fmod", "TT>T", "iuf", {"f": "fmod", "i": "fmod_$N({0}, {1})", "u": "({1} == 0 ? 0 : {0} % {1})"},
    source={"i": ops_c.FMOD_INT}, cost=20,
)  # fmt: skip
_row(
    "power", "TT>T", "iufc", {"iu": "power_$N({0}, {1})", "f": "pow", "c": "power_$N({0}, {1})"},
    source={"iu": ops_c.POWER_INT, "c": ops_c.DIVIDE_COMPLEX + ops_c.POWER_COMPLEX}, symbol="**", precedence=12, cost=40, vector_math="fc",
    may_raise="i", raises_when="{1} < 0", raises="Integers to negative integer powers are not allowed.",
    units=(Element(1, Law("iuf", "c"), left=False),),
    derivative=("x1 * x0 ** (x1 - 1)", "y * log(x0)"),
)  # fmt: skip
_row(
    "negative", "T>T", "iufc", {"iuf": "-{0}", "c": "($T){-{0}.re, -{0}.im}"}, symbol="-", precedence=11,
    involution=Law("iufc"), derivative=("-1",),
)  # fmt: skip
_row(
    "absolute", "T>R", "iufc", {"f": "fabs", "i": "({0} < 0 ? -{0} : {0})", "u": "{0}",
     "clongdouble": "hypot$s({0}.re, {0}.im)", "c": "absolute_$N({0})"},
    source={"clongdouble": "", "c": ops_c.ABSOLUTE_COMPLEX},
    idempotent=Law("iuf"), vector_math="c", derivative=("sign(x0)",),
)  # fmt: skip
_row(
    "sign", "T>T", "iufc",
    {"i": "(({0} > 0) - ({0} < 0))", "u": "({0} > 0)", "f": "({0} > 0 ? 1 : {0} < 0 ? -1 : {0} == 0 ? 0 : {0})",
     "c": "sign_$N({0})"},
    source={"c": ops_c.SIGN_COMPLEX}, idempotent=Law("iuf"), derivative=("0",),
)  # fmt: skip
_row("square", "T>T", "iufc", {"iuf": "{0} * {0}", "c": "multiply_$N({0}, {0})"}, source=ops_c.MULTIPLY_COMPLEX, derivative=("2 * x0",))  # fmt: skip
_row("reciprocal", "T>T", "fc", {"f": "1 / {0}", "c": "reciprocal_$N({0})"}, source={"c": ops_c.RECIPROCAL_COMPLEX}, cost=8, derivative=("-y * y",))  # fmt: skip
_row("fma", "TTT>T", "f", "fma", numpy=ops_numpy.fma, only=("float32", "float64"), derivative=("x1", "x0", "1"))

for _name, _symbol, _reduction in (("logical_and", "and", "logical_and"), ("logical_or", "or", "logical_or"), ("logical_xor", None, None)):  # fmt: skip
    _sign = {"logical_and": "&&", "logical_or": "||", "logical_xor": "!="}[_name]
    _row(
        _name, "TT>B", "biufc",
        # Our bools are 0 or 1, and a bitwise operation vectorises where && branches.
        {"b": f"({{0}} {_sign[0] if _symbol else '^'} {{1}})",
         "iuf": f"(({{0}} != 0) {_sign} ({{1}} != 0))",
         "c": f"(({{0}}.re != 0 || {{0}}.im != 0) {_sign} ({{1}}.re != 0 || {{1}}.im != 0))"},
        symbol=_symbol, precedence={"and": 2, "or": 1}.get(_symbol or "", 0), commutes=_ALL, associates=Law("b"),
        idempotent=Law("b" if _symbol else ""), reduction=_reduction,
        units=(Element(_symbol == "and", Law("b")),), zeros=(Element(_symbol != "and", Law("b")),) if _symbol else (),
    )  # fmt: skip
_row("logical_not", "T>B", "biufc", {"biuf": "({0} == 0)", "c": "({0}.re == 0 && {0}.im == 0)"}, symbol="not ", precedence=3, involution=Law("b"))  # fmt: skip

for _name, _symbol in (("equal", "=="), ("not_equal", "!="), ("less", "<"), ("less_equal", "<="), ("greater", ">"), ("greater_equal", ">=")):  # fmt: skip
    if _symbol in ("==", "!="):
        _join = "&&" if _symbol == "==" else "||"
        _c = {
            "biuf": f"{{0}} {_symbol} {{1}}",
            "c": f"({{0}}.re {_symbol} {{1}}.re {_join} {{0}}.im {_symbol} {{1}}.im)",
        }
        _source: Any = ""
    else:
        _c = {"biuf": f"{{0}} {_symbol} {{1}}", "c": f"{_name}_$N({{0}}, {{1}})"}
        _source = {"c": ops_c.ORDER_COMPLEX % {"name": _name, "strict": _symbol[0], "op": _symbol}}
    _row(_name, "TT>B", "biufc", _c, source=_source, symbol=_symbol, precedence=4, commutes=_ALL if _symbol in ("==", "!=") else Law())  # fmt: skip

_row("bitwise_or", "TT>T", "biu", "{0} | {1}", symbol="|", precedence=5, commutes=_ALL, associates=_INTEGER, idempotent=_INTEGER, units=(Element(0, _INTEGER),), reduction="bitwise_or")  # fmt: skip
_row("bitwise_xor", "TT>T", "biu", "{0} ^ {1}", symbol="^", precedence=6, commutes=_ALL, associates=_INTEGER, units=(Element(0, _INTEGER),), reduction="bitwise_xor")  # fmt: skip
_row("bitwise_and", "TT>T", "biu", "{0} & {1}", symbol="&", precedence=7, commutes=_ALL, associates=_INTEGER, idempotent=_INTEGER, zeros=(Element(0, _INTEGER),), reduction="bitwise_and")  # fmt: skip
_row("invert", "T>T", "biu", {"b": "({0} == 0)", "iu": "~{0}"}, symbol="~", precedence=11, involution=_INTEGER)
_row("left_shift", "TT>T", "iu", "left_shift_$N({0}, {1})", source=ops_c.SHIFT_LEFT, symbol="<<", precedence=8, units=(Element(0, _INTEGER, left=False),))  # fmt: skip
_row("right_shift", "TT>T", "iu", "right_shift_$N({0}, {1})", source={"i": ops_c.SHIFT_RIGHT_SIGNED, "u": ops_c.SHIFT_RIGHT_UNSIGNED}, symbol=">>", precedence=8, units=(Element(0, _INTEGER, left=False),))  # fmt: skip
_row("bitwise_count", "T>U", "iu", {"i": "__builtin_popcountll((uint64_t)($T)({0} < 0 ? -{0} : {0}) & (~(uint64_t)0 >> (64 - 8 * sizeof($T))))", "u": "__builtin_popcountll({0})"}, cost=2)  # fmt: skip
_row("gcd", "TT>T", "iu", "gcd_$N({0}, {1})", source={"i": ops_c.GCD_SIGNED, "u": ops_c.GCD_UNSIGNED}, commutes=_ALL, cost=50)  # fmt: skip

# NaN wins in minimum and maximum and loses in fmin and fmax. Where both are zeros of different
# sign either may come out: NumPy's own vector and scalar loops differ there.
for _name, _op in (("minimum", "<"), ("maximum", ">"), ("fmin", "<"), ("fmax", ">")):
    _nan = "{0} != {0}" if _name in ("minimum", "maximum") else "{1} != {1}"
    _row(
        _name, "TT>T", "iufc",
        {"iu": f"({{0}} {_op} {{1}} ? {{0}} : {{1}})", "f": f"({{0}} {_op}= {{1}} || {_nan} ? {{0}} : {{1}})",
         "c": f"{_name}_$N({{0}}, {{1}})"},
        source={"c": ops_c.CHOOSE_COMPLEX % {"name": _name, "strict": _op, "op": _op + "=", "keep": "a" if _name[0] == "m" else "b"}},
        commutes=Law("iu"), associates=Law("iu", "f"), idempotent=Law("iuf"), reduction=_name,
        derivative=(f"where(x0 {_op}= x1, 1, 0)", f"where(x0 {_op}= x1, 0, 1)"),
    )  # fmt: skip
_row("where", "BTT>T", "biufc", "({0} ? {1} : {2})", numpy=ops_numpy.where, derivative=(None, "where(x0, 1, 0)", "where(x0, 0, 1)"))  # fmt: skip
_row("clip", "TTT>T", "iuf", {"iu": "clip_$N({0}, {1}, {2})", "f": "clip_$N({0}, {1}, {2})"}, numpy=ops_numpy.clip, source={
    "iu": "\nstatic inline $T clip_$N($T x, $T low, $T high) { $T t = x > low ? x : low; return t < high ? t : high; }\n",
    "f": "\nstatic inline $T clip_$N($T x, $T low, $T high) {\n"
         "    $T t = x >= low || x != x ? x : low;\n    return t <= high || t != t ? t : high;\n}\n",
}, cost=2, derivative=("where(logical_and(x0 > x1, x0 < x2), 1, 0)", "where(x0 < x1, 1, 0)", "where(x0 > x2, 1, 0)"))  # fmt: skip

_row("real", "T>R", "c", "{0}.re", numpy=ops_numpy.real)
_row("imag", "T>R", "c", "{0}.im", numpy=ops_numpy.imag)
# NumPy has no function for it: `x + 1j * y` is another number where y is infinite or NaN.
_row("complex", "TT>C", "f", "($C){{0}, {1}}", numpy=ops_numpy.complex_of_parts, only=("float32", "float64", "longdouble"))  # fmt: skip
_row("conjugate", "T>T", "c", "($T){{0}.re, -{0}.im}", involution=Law("c"))
_row("copysign", "TT>T", "f", "copysign")
_row("nextafter", "TT>T", "f", {"float16": "nextafter_$N({0}, {1})", "f": "nextafter"}, source={"float16": ops_c.NEXTAFTER_HALF}, cost=4)  # fmt: skip
_row("spacing", "T>T", "f", {"float16": "spacing_$N({0})", "f": "spacing_$N({0})"}, source={
    "float16": ops_c.SPACING_HALF,
    "f": ops_c.SPACING,
}, cost=4)  # fmt: skip
_row("ldexp", "TN>T", "f", "ldexp", cost=4)
_row("isnan", "T>B", "fc", {"f": "({0} != {0})", "c": "({0}.re != {0}.re || {0}.im != {0}.im)"})
_row("isinf", "T>B", "fc", {"f": "(isinf({0}) != 0)", "c": "(isinf({0}.re) || isinf({0}.im))"})
_row("isfinite", "T>B", "fc", {"f": "(isfinite({0}) != 0)", "c": "(isfinite({0}.re) && isfinite({0}.im))"})
_row("signbit", "T>B", "f", "(signbit({0}) != 0)")
_row("heaviside", "TT>T", "f", "heaviside_$N({0}, {1})", source=ops_c.HEAVISIDE, derivative=("0", None))
for _name in ("floor", "ceil", "trunc"):
    _row(_name, "T>T", "f", _name, idempotent=Law("f"), derivative=("0",))
_row("rint", "T>T", "fc", {"f": "rint", "c": "($T){rint$s({0}.re), rint$s({0}.im)}"}, idempotent=Law("f"), derivative=("0",))  # fmt: skip
_row("sqrt", "T>T", "fc", {"f": "sqrt", "c": "csqrt"}, cost=10, vector_math="c", derivative=("0.5 / y",))

for _name, _libm, _c_source, _derivative in (
    ("exp", "exp", "cexp", "y"),
    ("exp2", "exp2", ops_c.scaled("exp2", "cexp", "0.693147180559945309417232121458176568L", True), "y * 0.6931471805599453"),
    ("expm1", "expm1", ops_c.EXPM1_COMPLEX, "y + 1"),
    ("log", "log", "clog", "1 / x0"),
    ("log2", "log2", ops_c.scaled("log2", "clog", "1.442695040888963407359924681001892137L", False), "1.4426950408889634 / x0"),
    ("log10", "log10", ops_c.scaled("log10", "clog", "0.434294481903251827651128918916605082L", False), "0.4342944819032518 / x0"),
    ("log1p", "log1p", ops_c.LOG1P_COMPLEX, "1 / (1 + x0)"),
    ("sin", "sin", "csin", "cos(x0)"),
    ("cos", "cos", "ccos", "-sin(x0)"),
    ("tan", "tan", "ctan", "1 + y * y"),
    ("arcsin", "asin", "casin", "1 / sqrt(1 - x0 * x0)"),
    ("arccos", "acos", "cacos", "-1 / sqrt(1 - x0 * x0)"),
    ("arctan", "atan", "catan", "1 / (1 + x0 * x0)"),
    ("sinh", "sinh", "csinh", "cosh(x0)"),
    ("cosh", "cosh", "ccosh", "sinh(x0)"),
    ("tanh", "tanh", "ctanh", "1 - y * y"),
    ("arcsinh", "asinh", "casinh", "1 / sqrt(x0 * x0 + 1)"),
    ("arccosh", "acosh", "cacosh", "1 / sqrt(x0 * x0 - 1)"),
    ("arctanh", "atanh", "catanh", "1 / (1 - x0 * x0)"),
):  # fmt: skip
    _own = _c_source.startswith("\n")
    _row(
        _name, "T>T", "fc", {"f": _libm, "c": f"{_name}_$N({{0}})" if _own else _c_source},
        source={"c": _c_source} if _own else "", cost=20, vector_math="fc", derivative=(_derivative,),
    )  # fmt: skip
_row("cbrt", "T>T", "f", "cbrt", cost=20, vector_math="fc", derivative=("1 / (3 * y * y)",))
_row("arctan2", "TT>T", "f", "atan2", cost=40, vector_math="fc", derivative=("x1 / (x0 * x0 + x1 * x1)", "-x0 / (x0 * x0 + x1 * x1)"))  # fmt: skip
_row("hypot", "TT>T", "f", "hypot", cost=15, vector_math="fc", commutes=_ALL, derivative=("x0 / y", "x1 / y"))
_row("logaddexp", "TT>T", "f", "logaddexp_$N({0}, {1})", source=ops_c.LOGADDEXP, cost=50, vector_math="fc", commutes=_ALL, derivative=("exp(x0 - y)", "exp(x1 - y)"))  # fmt: skip
_row("logaddexp2", "TT>T", "f", "logaddexp2_$N({0}, {1})", source=ops_c.LOGADDEXP2, cost=50, vector_math="fc", commutes=_ALL, derivative=("exp2(x0 - y)", "exp2(x1 - y)"))  # fmt: skip
_row(
    "deg2rad",
    "T>T",
    "f",
    "({0} * (($T)3.14159265358979323846264338327950288L / ($T)180))",
    derivative=("0.017453292519943295",),
)
_row(
    "rad2deg",
    "T>T",
    "f",
    "({0} * (($T)180 / ($T)3.14159265358979323846264338327950288L))",
    derivative=("57.29577951308232",),
)

# Operators that only reduce: over an axis they give the place of the first extreme.
_row("argmin", "T>I", "biufc", None, reduction="argmin")
_row("argmax", "T>I", "biufc", None, reduction="argmax")
