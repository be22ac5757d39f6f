"""Expressions as text: what is allowed means what NumPy means, everything else is refused by name and place."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from evaluator import run
from test_build import same, sample

from arrayexpr._core.errors import ParseError, ShapeMismatch, TypeMismatch, UnsupportedError
from arrayexpr._core.nodes import Constant
from arrayexpr.build import Weak, spec_of
from arrayexpr.expression import expression

ARRAYS: dict[str, Any] = {
    "a": sample("float32"),
    "b": sample("int16", (3,), 1),
    "c": sample("complex64", (2, 3), 2),
    "k": sample("bool", (2, 3), 3),
    "u": sample("uint8", (2, 1), 4),
    "s": np.float64(1.5),
    "n": 3,
    "x": 0.25,
}
SPECS = {name: spec_of(value) for name, value in ARRAYS.items()}


def constant(text: str) -> Any:
    """The value of an expression of constants."""
    node = expression(text, {}).statements[0].value
    assert isinstance(node, Constant)
    return node.value


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "a + b",
        "a - b * 2 / 3",
        "a // 2 + b % 3",
        "b ** 2",
        "a ** 0.5",
        "-a + +b",
        "~b & 7 | b ^ 1",
        "b << 2 >> 1",
        "a < b",
        "0 < a",
        "(a > 0) & (b > 1) | ~k",
        "a == a",
        "u > -1",
        "u < 300",
        "k + k",
        "k * u",
        "sqrt(a * a) + hypot(a, b)",
        "where(a > 0, a, b)",
        "where(k, 1, 2.5)",
        "clip(a, -1, 1)",
        "clip(b, 0, None)",
        "abs(a)",
        "absolute(c)",
        "conj(c) * c.conj()",
        "c.real + c.imag",
        "a.T @ a",
        "a @ b",
        "a.sum()",
        "sum(a, axis=0)",
        "sum(a, 1, keepdims=True)",
        "mean(a, axis=(0, 1))",
        "a.max(axis=-1)",
        "argmax(b)",
        "std(b, ddof=1)",
        "any(a > 0, axis=1)",
        "b.mean(dtype=float32)",
        "a.astype(int8)",
        "b.astype('float64')",
        "a[0]",
        "a[-1, ::2]",
        "a[..., None] * b[None, :, None]",
        "a[:, 1:] - a[:, :-1]",
        "(a + 1)[0, 1]",
        "b[::-1]",
        "transpose(a)",
        "transpose(a, (1, 0))",
        "swapaxes(a, 0, 1)",
        "expand_dims(b, (0, 2))",
        "flip(a, axis=1)",
        "moveaxis(a, 0, -1)",
        "squeeze(a[None], axis=0)",
        "a * s",
        "a * x",
        "b * n",
        "n * n + x",
        "a * 2j",
        "a * True",
        "maximum(minimum(a, b), u)",
        "arctan2(a, b)",
        "logical_and(a, b)",
        "isnan(a)",
        "floor(a) + ceil(b)",
        "degrees(a)",
        "dot(a, b)",
        "round(a)",
        "zeros_like(a) + u",
        "full_like(a, fill_value=2)",
        "divide(a, b)",
        "power(b, 2)",
        "mod(a, 2)",
        "(a\n + b)",
        "  a + 1  ",
        "a + (2 ** 10 - 3 * 4 // 5 % 7)",
        "1 - a",
        "2 ** a",
        "a.clip(max=1)",
        "prod(b, dtype=int64)",
        "a + 0x10 + 1_000 + 1e-3",
        "fmax(a, 0)",
        "count_nonzero(a, axis=0)",
        "sign(b) * signbit(a)",
        "matmul(a, b)",
    ],
)
def test_expressions_mean_what_numpy_means(text: str) -> None:
    made = expression(text, SPECS)
    names = {name: getattr(np, name) for name in dir(np) if not name.startswith("_")}
    with np.errstate(all="ignore"):
        # The text is ours, from above; arrays hide the names of NumPy.
        expected = eval(text.strip(), names | ARRAYS)
    same(run(made, *[ARRAYS[operand.name] for operand in made.operands]), expected)


def test_operands_are_those_used_in_the_order_of_the_names() -> None:
    made = expression("b + a", {"a": "float64", "unused": "int8", "b": ("float32", 1)}, name="sum_of_two")
    assert [o.name for o in made.operands] == ["a", "b"] and made.name == "sum_of_two"
    assert [o.name for o in made.results] == ["r"]
    assert [o.name for o in expression("r + 1", {"r": "float64"}).results] == ["r_0"]
    # An operand may have the name of a function, or of an element type.
    made = expression("sin(sin) + where(int8 > 0, int8, 0)", {"sin": ("float32", 1), "int8": "float32"})
    assert [o.name for o in made.operands] == ["sin", "int8"]


def test_constants_are_folded_as_python() -> None:
    assert constant("2 ** 10 - 1") == 1023 and constant("7 // 2 * 1.5") == 4.5
    assert constant("1 < 2 < 3") is True and constant("1 < 2 > 3") is False
    assert constant("~5") == -6 and constant("(1 + 2j) * 2") == 2 + 4j and constant("-0.0 * 1") == 0
    assert constant("2 ** 1000 // 2 ** 999") == 2 and constant("True + 1") == 2
    assert constant("2 ** -1") == 0.5 and constant("1 << 3") == 8
    assert expression("3", {}).results[0].type.element.name == "int64"


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        ("__import__('os')", "unknown function '__import__'", 1),
        ("a + __import__('os').system('ls')", "unknown method 'system'", 5),
        ("a.__class__", "attribute '__class__' is not allowed", 1),
        ("a.sum", "it is a method, call it as .sum\\(\\)", 1),
        ("().__class__.__bases__[0]", "attribute '__bases__'", 1),
        ("a.tofile(1)", "unknown method 'tofile'", 1),
        ("eval(a)", "unknown function 'eval'", 1),
        ("sqr(a)", "unknown function 'sqr': expected one of sqrt", 1),
        ("a + zeta", "unknown name 'zeta': expected one of a, b, c, k, u, s, n, x", 5),
        ("a + sqrt", "function 'sqrt' is not called", 5),
        ("a if k else b", "use where\\(condition, x, y\\)", 1),
        ("a > 0 and b > 0", "`and` is not for arrays: use &", 1),
        ("a > 0 or b > 0", "use |", 1),
        ("not k", "use ~", 1),
        ("a is b", "`is` and `in`", 1),
        ("a in b", "`is` and `in`", 1),
        ("lambda: a", "a lambda is not allowed", 1),
        ("[x for x in a]", "a comprehension", 1),
        ("[a, b]", "a list", 1),
        ("{a}", "a set", 1),
        ("{'a': a}", "a dictionary", 1),
        ("f'{a}'", "a string", 1),
        ("'text'", "a string", 1),
        ("a + 'text'", "a string", 5),
        ("a, b", "a tuple is no operand", 1),
        ("None", "None is no operand", 1),
        ("a + ...", "'...' is no operand", 1),
        ("(a := b)", "an assignment", 2),
        ("a = b", "invalid syntax", 3),
        ("a +", "invalid syntax", 4),
        ("a b", "invalid syntax", 3),
        ("(a", "'\\(' was never closed", 1),
        ("", "the expression is empty", 1),
        ("   ", "the expression is empty", 1),
        ("sqrt(*a)", "a starred argument", 6),
        ("sqrt(**a)", "a starred argument", 6),
        ("sqrt(a, out=b)", "argument 'out' is not allowed", 9),
        ("sqrt(a, where=k)", "argument 'where'", 9),
        ("sum(a, axis=b)", "'axis' of sum is an operand", 1),
        ("a.astype(k)", "'dtype' of astype is an operand", 1),
        ("a.astype(axis=1)", "astype does not take", 1),
        ("sum(a, 0, 0, 0, 0, 0)", "sum does not take these arguments", 1),
        ("where(a, b, c, k)", "where does not take these arguments", 1),
        ("clip(a, low=1)", "'low' is not allowed", 9),
        ("transpose(a, ddof=1)", "transpose does not take", 1),
        ("sqrt(1:2)", "invalid syntax", 7),
        ("sqrt(...)", "sqrt of a subscript", 1),
        ("(lambda: a)()", "a call of what is no name", 1),
        ("sqrt(a)(b)", "a call of what is no name", 1),
        ("a[1.5]", "a subscript of 1.5", 1),
        ("a[True]", "a subscript of True", 1),
        ("a['x']", "a string", 3),
        ("a[1.5:]", "a subscript of 1.5", 3),
        ("a[b:]", "a subscript of int16\\[:\\]", 3),
        ("a[(0, 1), 0]", "a subscript of \\(0, 1\\)", 1),
        ("3[0]", "a constant has no subscripts", 1),
        ("9**9**9", "a constant of about 1.55e\\+09 bits from \\*\\*", 1),
        ("9**9**9**9", "bits from", 4),
        ("a + (1 << 10**9)", "bits from <<", 6),
        ("2**2000 * 2**2000", "bits from \\*", 1),
        ("1" * 4000, "a constant of 13285 bits", 1),
        ("1" * 5000, "4300 digits", 1),
        ("a + 1 / 0", "a division of constants by zero", 5),
        ("1e308 ** 2", "overflows", 1),
        ("1 << -1", "negative shift count", 1),
        ("1.5 << 1", "<< of constants of types float and int", 1),
        ("1 @ 2", "@ of constants", 1),
        ("~1.5", "~ of the constant 1.5", 1),
        ("1j < 2", "complex constants have no order", 1),
        ("divmod(a, 2)", "unknown function 'divmod'", 1),
        ("fft(a)", "unknown function 'fft'", 1),
        ("f2py(a)", "unknown function 'f2py'", 1),
        ("a\x00b", "null character", 2),
        ("a + \ud800", "no source text", 1),
        ("äö + y", "unknown name 'äö'", 1),
        ("'äö' + y", "a string", 1),
        ("a * (b +\n  zeta)", "unknown name 'zeta'", 3),
        ("await a", "await|invalid syntax", None),
        ("yield a", "yield|invalid syntax", None),
        ("a; b", "invalid syntax", 2),
        ("import os", "invalid syntax", 1),
        ("sqrt(äöü, zeta)", "unknown name 'äöü'", 6),
        ("sqrt('äöü' + zeta)", "a string", 6),
        ("hypot(a, zeta)", "unknown name 'zeta'", 10),
    ],
)
def test_everything_else_is_refused_with_its_place(text: str, message: str, column: int | None) -> None:
    with pytest.raises(ParseError, match=message) as caught:
        expression(text, SPECS)
    assert column is None or caught.value.offset == column
    assert caught.value.lineno == 1 + ("\n" in text)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_places_are_right_whatever_ends_a_line(end: str) -> None:
    with pytest.raises(ParseError, match="unknown name 'zeta'") as caught:
        expression(f"(a +{end}äöü * zeta)", {"a": ("float32", 1), "äöü": "float64"})
    error = caught.value
    assert (error.lineno, error.offset, error.end_lineno, error.end_offset) == (2, 7, 2, 11)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("a & b", TypeMismatch, "bitwise_and of float32 and int16"),
        ("-k", TypeMismatch, "negative of bool"),
        ("hypot(a, c)", TypeMismatch, "hypot"),
        ("a[0, 0, 0]", IndexError, "2 axes: got 3"),
        ("b + 70000", OverflowError, "70000 does not fit int16"),
        ("b ** -1", ValueError, "negative power"),
        ("sum(a, axis=5)", ValueError, "axis 5"),
        ("a @ s", ShapeMismatch, "at least one axis"),
        ("a[k]", UnsupportedError, "use np.where"),
        ("sum(2, 5)", ValueError, "axis 5"),
    ],
)
def test_types_and_ranks_that_do_not_fit(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        expression(text, SPECS)
    if not isinstance(caught.value, ParseError):
        assert any("line 1, column" in note for note in caught.value.__notes__)


def test_chained_comparisons() -> None:
    made = expression("0 < a <= 2 != b", SPECS)
    a, b = ARRAYS["a"], ARRAYS["b"]
    same(run(made, a, b), (a > 0) & (a <= 2) & (b != 2))


def test_names_and_text_are_checked() -> None:
    with pytest.raises(TypeMismatch, match="expression of type bytes"):
        expression(b"a", {})  # type: ignore[arg-type]
    with pytest.raises(ParseError, match="unknown name 'a': there are none"):
        expression("a", {})
    with pytest.raises(TypeMismatch, match="object"):
        expression("a", {"a": (object, 1)})
    assert expression("w * a", {"w": Weak(float), "a": ("float32", 1)}).results[0].type.element.name == "float32"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 100_000 + "a" + ")" * 100_000,
        "-" * 100_000 + "a",
        "~" * 100_000 + "a",
        "not " * 100_000 + "a",
        "a**" * 100_000 + "a",
        "a" + ".T" * 100_000,
        "a" + "[0]" * 100_000,
        "a" + "()" * 100_000,
        "sqrt(" * 100_000 + "a",
        "lambda:" * 50_000 + "a",
        "a if k else " * 20_000 + "a",
        "[" * 100_000,
        "{" * 100_000,
        "a+" * 500_000 + "a",
        "a," * 200_000,
        "a" * 1_000_000,
        " " * 500_000 + "+" + "\n" * 500_000,
        "f'" * 100_000,
        "*" * 100_000,
        "sqrt(" * 90 + "a b" + ")" * 90,
        "-(" * 199 + "a" + ")" * 199 + ")",
        "0x" + "f" * 400_000,
        "a" + "\n" * 1000 + "b",
        "a.b" * 100_000,
        "1" + "+1j" * 100_000,
    ],
)
def test_hostile_texts_are_refused_soon(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ParseError) as caught:
        expression(text, SPECS)
    assert time.process_time() - start < 5
    assert len(str(caught.value)) < 1000


def test_long_flat_texts_work() -> None:
    made = expression("+".join(["a"] * 1_500), SPECS)
    assert len(made.nodes()) > 1_400
    made = expression("a" + " < a" * 20_000, SPECS)
    assert made.results[0].type.element.name == "bool"
    assert expression("-(" * 150 + "a" + ")" * 150, SPECS).results[0].type.rank == 2
    assert expression("maximum(" * 150 + "a" + ", 1)" * 150, SPECS).results[0].type.rank == 2
