"""Modules of statements on memoryviews, made from rows: an expression, and its operands' types, ranks and views.

Each row becomes three functions of one module: the statement `out[...] = expression`, the expression as a value, and
the same as loops written by hand, which the adapter leaves to Cython.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: C's types of elements, with the characters that NumPy knows them by.
TYPES = {
    "signed char": "b",
    "unsigned char": "B",
    "short": "h",
    "unsigned short": "H",
    "int": "i",
    "unsigned int": "I",
    "long": "l",
    "unsigned long": "L",
    "long long": "q",
    "unsigned long long": "Q",
    "Py_ssize_t": "n",
    "size_t": "N",
    "bint": "i",
    "float": "f",
    "double": "d",
    "long double": "g",
    "float complex": "F",
    "double complex": "D",
    "long double complex": "G",
}
INTEGERS = [name for name, char in TYPES.items() if char in "bBhHiIlLqQnN" and name != "bint"]
REALS = ["float", "double", "long double"]
COMPLEX = ["float complex", "double complex", "long double complex"]


@dataclass(frozen=True)
class Row:
    """`out[...] = expression`, where `operands` gives each name its type and rank, rank 0 for a number.

    `views` are what stands for an operand in the expression, as `a[:, ::-1]` for `a`. `lengths` are the shapes that
    operands of a rank may have, where they are not all equal. `special` asks for NaN, infinities and zeros too.
    """

    name: str
    operands: dict[str, tuple[str, int]]
    expression: str
    out: tuple[str, int]
    views: dict[str, tuple[str, int]] = field(default_factory=dict)
    stretched: bool = False
    special: bool = False
    #: Results of C's functions and of complex numbers: units in the last place that compilers may differ by.
    close: bool = False
    value: bool = True

    def source(self) -> str:
        """The three functions."""
        parameters = ", ".join(_declared(*self.operands[name], name) for name in self.operands)
        out = _declared(*self.out, "out")
        viewed = self._text({name: text for name, (text, _) in self.views.items()})
        lines = [f"def {self.name}({parameters}, {out}):", f"    out[...] = {viewed}", ""]
        if self.value:
            lines += [f"def {self.name}_value({parameters}):", f"    return {viewed}", ""]
        rank = self.out[1]
        lines += ["@cython.arrayexpr(False)", f"def {self.name}_loop({parameters}, {out}):"]
        lines.append(f"    cdef Py_ssize_t {', '.join(f'i{axis}' for axis in range(rank))}")
        elements = {}
        for name, (c_type, own) in self.operands.items():
            text, own = self.views.get(name, (name, own))
            if own == 0:
                continue
            lines.append(f"    cdef {c_type}[{', '.join(':' * own)}] {name}_ = {text}")
            index = [f"i{axis}" for axis in range(rank - own, rank)]
            if self.stretched:
                index = [f"i{rank - own + k} if {name}_.shape[{k}] > 1 else 0" for k in range(own)]
            elements[name] = f"{name}_[{', '.join(index)}]"
        for axis in range(rank):
            lines.append(f"{'    ' * (axis + 1)}for i{axis} in range(out.shape[{axis}]):")
        at = ", ".join(f"i{axis}" for axis in range(rank))
        element = self._text(elements)
        to = "" if self.out[0].endswith("complex") or self.out[0] == "bint" else f"<{self.out[0]}>"
        lines.append(f"{'    ' * (rank + 1)}out[{at}] = {to}({element})")
        return "\n".join([*lines, "", ""])

    def _text(self, places: dict[str, str]) -> str:
        import re

        return re.sub(r"\b[a-d]\b", lambda found: places.get(found[0], found[0]), self.expression)


def _declared(c_type: str, rank: int, name: str) -> str:
    axes = f"[{', '.join(':' * rank)}]" if rank else ""
    return f"{c_type}{axes} {name}"


HEAD = """\
# cython: language_level=3, boundscheck=False, wraparound=False
cimport cython
{imports}

"""


def module(rows: list[Row], imports: str = "") -> str:
    """The text of a module of rows; `imports` is what stands before them."""
    return HEAD.format(imports=imports) + "\n".join(row.source() for row in rows)


def _two(c_type: str, rank: int = 2) -> dict[str, tuple[str, int]]:
    return {"a": (c_type, rank), "b": (c_type, rank)}


def _of_type(c_type: str) -> list[Row]:
    """The operators on one element type."""
    two, to = _two(c_type), (c_type, 2)
    signed = c_type in ("signed char", "short", "int", "long", "long long", "Py_ssize_t", *REALS)
    part = " complex" if "complex" in c_type else ""
    rows = [
        Row("arithmetic", two, "a * b + a - 3", to),
        Row("narrowed", {"a": (c_type, 1), "b": ("short", 1)}, "a + b", (f"float{part}", 1)),
        Row("numbers", {"a": (c_type, 2), "c": ("double", 0), "d": ("int", 0)}, "a * c + d", (f"double{part}", 2)),
        Row("unary", {"a": (c_type, 1)}, "-(+a)", (c_type, 1)),
        Row("squares", {"a": (c_type, 1)}, "a ** 2", (c_type, 1), close="complex" in c_type),
        Row("lines", {"a": (c_type, 2), "b": (c_type, 1)}, "a + b", to),
    ]
    if "complex" in c_type:
        rows.append(Row("quotient", two, "a / b", to, close=True))
        return rows
    rows += [
        Row("compared", two, "a < b", ("bint", 2)),
        Row("equals", two, "(a + 1) == b", ("unsigned char", 2)),
        Row("chosen", two, "a if a > b else b + 1", to),
        Row("cast", {"a": (c_type, 1)}, "<double> a / 4", ("double", 1)),
    ]
    if c_type in REALS:
        rows += [
            Row("quotient", two, "a / b", to),
            Row("floor", two, "a // b", to),
            Row("remainder", two, "a % b", to),
            Row("special", two, "a * b - a", to, special=True),
            Row("special_compared", two, "(a < b) | (a >= b)", ("unsigned char", 2), special=True),
        ]
    else:
        rows += [
            Row("bits", two, "(a & b) | (a ^ 5)", to),
            Row("inverted", {"a": (c_type, 1)}, "~a", (c_type, 1)),
            Row("shifted", {"a": (c_type, 1)}, "(a & 7) << 2 >> 1", (c_type, 1)),
            Row("quotient", two, "a / b", ("double", 2)),
            Row("floor", two, "a // b", to),
            Row("remainder", two, "a % b", to),
        ]
        if signed:
            rows.append(Row("power", {"a": (c_type, 1), "b": ("unsigned char", 1)}, "a ** (b & 3)", ("double", 1)))
    return rows


_PAIRS = [
    ("signed char", "unsigned short"),
    ("unsigned char", "float"),
    ("int", "unsigned int"),
    ("long", "unsigned long"),
    ("unsigned int", "long long"),
    ("short", "long double"),
    ("long long", "float"),
    ("float", "double"),
    ("int", "double complex"),
    ("float complex", "double"),
]


def _of_pair(left: str, right: str) -> list[Row]:
    """The operators on two element types."""
    both = {"a": (left, 2), "b": (right, 2)}
    complex_ = "complex" in left + right
    widest = ("double complex" if complex_ else "double", 2)
    rows = [
        Row("added", both, "a + b", widest),
        Row("product", both, "a * b - 2", widest),
        Row("stored", both, "a * b", (right if complex_ and "complex" in right else left, 2)),
        Row("broadcast", {"a": (left, 3), "b": (right, 1)}, "a - b", (widest[0], 3)),
        Row("with_number", {"a": (left, 1), "b": (right, 0)}, "a * b", (widest[0], 1)),
    ]
    if not complex_:
        rows += [
            Row("less", both, "a < b", ("unsigned char", 2)),
            Row("chosen", both, "a if a >= b else b", widest),
            Row("quotient", both, "a / b", widest),
        ]
    return rows


def _of_rank(rank: int) -> list[Row]:
    two = _two("double", rank)
    rows = [
        Row("axpy", two, "a * b + 2", ("double", rank)),
        Row("three", {**two, "c": ("int", rank)}, "a - b * c", ("double", rank)),
        Row("lower", {"a": ("double", rank), "b": ("float", max(rank - 1, 1))}, "a * b", ("double", rank)),
        Row("four", {**two, "c": ("float", rank), "d": ("double", rank)}, "(a + b) * (c - d)", ("double", rank)),
        Row("stretched", two, "a * b - a", ("double", rank), stretched=True),
    ]
    if rank > 1:
        rows.append(Row("transposed", two, "a + b", ("double", rank), views={"a": ("a.T", rank), "b": ("b.T", rank)}))
    return rows


_MATH = {
    "double": "sin cos tan sinh cosh tanh asinh atan exp expm1 cbrt floor ceil trunc rint fabs",
    "double_positive": "sqrt log log2 log10 log1p acosh",
}


def _functions(c_type: str, suffix: str) -> list[Row]:
    """The functions of C's math.h, with the suffix of their type."""
    rows = [
        Row(f"f_{name}", {"a": (c_type, 1)}, f"{name}{suffix}(a)", (c_type, 1), close=True)
        for name in _MATH["double"].split()
    ]
    rows += [
        Row(f"f_{name}", {"a": (c_type, 1)}, f"{name}{suffix}(fabs{suffix}(a) + 1)", (c_type, 1), close=True)
        for name in _MATH["double_positive"].split()
    ]
    two = {"a": (c_type, 1), "b": (c_type, 1)}
    rows += [
        Row(f"f_{name}", two, f"{name}{suffix}(a, b)", (c_type, 1), close=True)
        for name in ("atan2", "hypot", "copysign", "fmin", "fmax", "fmod", "nextafter")
    ]
    rows.append(Row("f_pow", two, f"pow{suffix}(fabs{suffix}(a), b)", (c_type, 1), close=True))
    rows.append(Row("nested", two, f"exp{suffix}(-fabs{suffix}(a)) * sin{suffix}(b) + a", (c_type, 1), close=True))
    return rows


def _math_imports(suffix: str) -> str:
    names = " ".join(_MATH.values()).split() + "atan2 hypot copysign fmin fmax fmod nextafter pow".split()
    return f"from libc.math cimport {', '.join(f'{name}{suffix}' for name in names)}"


_CALLED = """
cdef extern from "math.h":
    double lgamma(double x) nogil
    double ldexp(double x, int e) noexcept nogil

cdef double plain(double x) noexcept nogil:
    return x * 2 + 1

cdef double with_value(double x) except -1e300 nogil:
    return x * x

cdef double perhaps(double x) except? -1:
    return x - 1

cdef int always(int x) except *:
    return x + 1

cdef double two(double x, float y) noexcept:
    return x / (y * y + 1)

cdef inline float narrow(float x) noexcept nogil:
    return x * <float>0.1

cdef cython.floating fused(cython.floating x) noexcept nogil:
    return x * x * x

cpdef double public(double x) noexcept:
    return x + 5

cdef double complex turned(double complex z) noexcept nogil:
    return z * 1j

cdef bint positive(double x) noexcept nogil:
    return x > 0
"""


def _calls() -> list[Row]:
    a, b, out = {"a": ("double", 2)}, {"b": ("float", 1)}, ("double", 2)
    return [
        Row("c_plain", a, "plain(a)", out),
        Row("c_value", a, "with_value(a) + plain(a)", out),
        Row("c_perhaps", a, "perhaps(a * 2)", out),
        Row("c_always", {"a": ("int", 2)}, "always(a)", ("int", 2)),
        Row("c_two", {**a, **b}, "two(a, b)", out),
        Row("c_narrow", b, "narrow(b)", ("float", 1)),
        Row("c_narrowed", a, "narrow(a)", out),
        Row("c_fused", {**a, **b}, "fused(a) + fused(b)", out),
        Row("c_public", a, "public(a) / 3", out),
        Row("c_complex", {"a": ("double complex", 1)}, "turned(a) + 1", ("double complex", 1)),
        Row("c_condition", a, "a if positive(a) else -a", out),
        Row("c_external", a, "lgamma(a * a + 1) + ldexp(a, 2)", out, close=True),
        Row("c_number", {**a, "c": ("double", 0)}, "two(a, c)", out),
        Row("c_stretched", {**a, **b}, "two(a, b) + a", out, stretched=True),
        Row("c_nested", a, "plain(plain(a) if a > 0 else perhaps(a))", out),
    ]


def _views() -> list[Row]:
    def of(name: str, expression: str, views: dict[str, tuple[str, int]], rank: int = 2) -> Row:
        operands = {"a": ("double", 2), "b": ("double", 2)}
        return Row(
            name,
            {k: v for k, v in operands.items() if k in expression},
            expression,
            ("double", rank),
            views=views,
            stretched=True,
        )

    return [
        of("reversed", "a + b", {"a": ("a[::-1]", 2), "b": ("b[:, ::-1]", 2)}),
        of("both", "a * 2", {"a": ("a[::-1, ::-1]", 2)}),
        of("transposed", "a - b", {"a": ("a.T", 2)}),
        of("first", "a + b", {"a": ("a[0]", 1)}),
        of("last", "a + b", {"a": ("a[a.shape[0] - 1]", 1), "b": ("b[:, 1:2]", 2)}),
        of("column", "a * b", {"a": ("a[:, 0][:, None]", 2)}),
        of("new", "a * b", {"a": ("a[0][None, :]", 2)}),
        of("deep", "a * b", {"a": ("a[:, None, :]", 3), "b": ("b[None]", 3)}, 3),
        of("clipped", "a + 1", {"a": ("a[0:100, :1000]", 2)}),
    ]


def _conditions() -> list[Row]:
    two, out, m = _two("double"), ("double", 2), ("unsigned char", 2)
    return [
        Row("less", two, "a < b", m, special=True),
        Row("less_equal", two, "a <= b", m, special=True),
        Row("greater", two, "a > b", m, special=True),
        Row("greater_equal", two, "a >= b", m, special=True),
        Row("equal", two, "(a + 0) == b", m, special=True),
        Row("different", two, "(a + 0) != b", m, special=True),
        Row("zero", {"a": ("double", 2)}, "a == 0", m, special=True),
        Row("masks", two, "(a < b) & (a > 0) | (b == 1)", m),
        Row("to_bint", two, "(a < b) ^ (a < 1)", ("bint", 2)),
        Row("to_double", two, "(a < b) * a", out),
        Row("by_mask", {**two, "c": ("unsigned char", 2)}, "a if c > 1 else b", out),
        Row("by_bint", {**two, "c": ("bint", 2)}, "a if c else b", out),
        Row("chained", two, "a if a < 0 else b if b < 0 else 0", out),
        Row("of_masks", two, "a if (a < b) & (a > 0) else b", out),
        Row("both", two, "a < b and a > 0", m),
        Row("either", two, "a if a < b or b == 1 or not (a > 0) else b", out),
        Row("not_mask", {**two, "c": ("bint", 2)}, "a if not c else b", out),
        Row("decides", two, "1 if b != 0 and a / b > 1 else 0", ("int", 2), special=True),
        Row("guarded", {"a": ("double", 2), "b": ("double", 2)}, "a / b if b != 0 else 0", out, special=True),
    ]


def _wide() -> list[Row]:
    """Operators whose elements only Cython's own code computes."""
    z = ("double complex", 1)
    return [
        Row("modulo", _two("double"), "a % b", ("double", 2)),
        Row("modulo_f", _two("float"), "a % b", ("float", 2)),
        Row("power_of_ints", _two("int", 1), "a ** (b & 3)", ("double", 1)),
        Row("complex_power", {"a": ("double complex", 1)}, "a ** 2", ("double complex", 1), close=True),
        Row("complex_equal", _two("double complex"), "(a + 0) == b", ("unsigned char", 2)),
        Row("complex_real", {"a": z, "b": ("double", 1)}, "a / b + a", z, close=True),
    ]


#: The modules: for each name its imports and rows.
MODULES: dict[str, tuple[str, list[Row]]] = {
    **{f"type_{name.replace(' ', '_')}": ("", _of_type(name)) for name in TYPES if name != "bint"},
    **{f"pair_{TYPES[a]}_{TYPES[b]}": ("", _of_pair(a, b)) for a, b in _PAIRS},
    **{f"rank_{rank}": ("", _of_rank(rank)) for rank in range(1, 6)},
    "math_double": (_math_imports(""), _functions("double", "")),
    "math_float": (_math_imports("f"), _functions("float", "f")),
    "math_long_double": (_math_imports("l"), _functions("long double", "l")),
    "calls": (_CALLED, _calls()),
    "views": ("", _views()),
    "conditions": ("", _conditions()),
    "wide": ("", _wide()),
}
