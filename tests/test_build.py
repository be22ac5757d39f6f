"""Direct construction: types and values are NumPy's, and what cannot be traced says so."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from evaluator import run

from arrayexpr._core.errors import ShapeMismatch, TypeMismatch, UnsupportedError
from arrayexpr._core.nodes import Apply, Assign, Constant, Extent, postorder
from arrayexpr._core.ops import Operator, operators, register
from arrayexpr._core.program import Program
from arrayexpr._core.types import FLOAT64, elements
from arrayexpr.build import (
    SymbolicArray,
    Trace,
    Weak,
    apply,
    array,
    assign,
    program,
    scalar,
    spec_of,
    trace,
)
from arrayexpr.functions import function, function_names

try:
    from arrayexpr._core.interpret import interpret
except ImportError:
    interpret = None

DTYPES = [t.dtype for t in elements()]
NUMBERS = [0, 1, 2, 3, -1, -2, 100, 300, -300, 2**40, 2**63, 2**70, -(2**63), True, 0.5, 2.0, -1.0, 1e300, 1j, 2 - 0.5j]

UFUNCS = sorted(
    {
        ufunc
        for name in dir(np)
        if isinstance(ufunc := getattr(np, name), np.ufunc)
        and (function(name) is not None or name == "positive")
        and name not in ("divmod", "matmul", "isnat")
    },
    key=lambda ufunc: ufunc.__name__,
)


def sample(dtype: Any, shape: tuple[int, ...] = (2, 3), seed: int = 0) -> Any:
    """Values of a type: small, negative, zero and special ones."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -5, 7, shape).astype(dtype)
    values = rng.normal(size=shape) * 3
    if dtype.kind == "c":
        values = values + 1j * rng.normal(size=shape)
    values.flat[0] = 0.0
    values.flat[-1] = np.nan
    return values.astype(dtype)


def same(ours: Any, numpys: Any) -> None:
    """Equal type, shape and values; vector math and reductions may differ in the last places."""
    numpys = np.asarray(numpys)
    assert ours.dtype == numpys.dtype and ours.shape == numpys.shape, (
        ours.dtype,
        numpys.dtype,
        ours.shape,
        numpys.shape,
    )
    if ours.dtype.kind in "fc":
        eps = float(np.finfo(ours.dtype).eps)
        np.testing.assert_allclose(ours, numpys, rtol=8 * eps, atol=0 if ours.dtype.kind == "f" else 8 * eps)
    else:
        np.testing.assert_array_equal(ours, numpys)


def outcome(function: Any, *args: Any) -> Any:
    """What a function gives, or the class of error that it raises."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*args)
        except (TypeError, OverflowError, ValueError) as error:
            for kind in (OverflowError, TypeError, ValueError):
                if isinstance(error, kind):
                    return kind
            raise


def check(function: Any, *args: Any, specs: Any = None) -> None:
    """A function traced and run gives what it gives on the arrays themselves, in place as well."""
    theirs, ours = ([a.copy() if isinstance(a, np.ndarray) else a for a in args] for _ in range(2))
    expected = outcome(function, *theirs)
    if specs is None:
        specs = [spec_of(a) for a in args]
    traced = outcome(lambda: trace(function, *specs))
    if isinstance(expected, type) or isinstance(traced, type):
        assert expected is traced, (expected, traced)
        return
    again = [a.copy() if isinstance(a, np.ndarray) else a for a in ours]
    got = run(traced, *ours)
    if interpret is not None:
        interpreted(traced, again, got, ours)
    if isinstance(expected, tuple):
        for one, other in zip(got, expected, strict=True):
            same(one, other)
    elif expected is None:
        assert got is None
    else:
        same(got, expected)
    for one, other in zip(ours, theirs, strict=True):
        if isinstance(one, np.ndarray):
            same(one, other)


def interpreted(traced: Program, arguments: list[Any], got: Any, after: list[Any]) -> None:
    """The oracle of the other tests agrees with this one's, in place as well."""
    given = {
        operand.name: np.asarray(value, operand.type.element.dtype)
        for operand, value in zip(traced.operands, arguments, strict=True)
    }
    results = interpret(traced, given)
    for operand, value in zip(traced.results, got if isinstance(got, tuple) else (got,), strict=False):
        same(np.asarray(results[operand.name]), value)
    for operand, value in zip(traced.operands, after, strict=True):
        if isinstance(value, np.ndarray):
            same(given[operand.name], value)


# -- Types --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_ufunc_types_and_values_are_numpys(ufunc: Any) -> None:
    if ufunc.nin == 1:
        for dtype in DTYPES:
            x = sample(dtype)
            if ufunc is np.reciprocal and x.dtype.kind in "iu":
                x = np.where(x == 0, np.ones((), x.dtype), x)
            check(ufunc, x)
    elif ufunc.nin == 2:
        for left in DTYPES:
            for right in DTYPES:
                x, y = sample(left), sample(right, (3,), 1)
                if ufunc.__name__ == "power" and np.result_type(x, y).kind in "biu":
                    y = np.abs(y) if y.dtype.kind in "iu" else y
                check(ufunc, x, y)


OPERATORS = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "//": lambda x, y: x // y,
    "%": lambda x, y: x % y,
    "**": lambda x, y: x**y,
    "&": lambda x, y: x & y,
    "|": lambda x, y: x | y,
    "^": lambda x, y: x ^ y,
    "<<": lambda x, y: x << y,
    ">>": lambda x, y: x >> y,
    "==": lambda x, y: x == y,
    "!=": lambda x, y: x != y,
    "<": lambda x, y: x < y,
    "<=": lambda x, y: x <= y,
    ">": lambda x, y: x > y,
    ">=": lambda x, y: x >= y,
    "divmod": divmod,
}


@pytest.mark.parametrize("symbol", OPERATORS)
def test_operators_with_python_numbers_promote_as_numpy(symbol: str) -> None:
    compute = OPERATORS[symbol]
    for dtype in DTYPES:
        x = sample(dtype)
        for number in NUMBERS:
            if dtype.kind in "biu" and symbol == "**" and type(number) is int and abs(number) > 300:
                continue
            check(lambda a: compute(a, number), x)  # noqa: B023
            if symbol != "**" or x.dtype.kind in "fcu":
                check(lambda a: compute(number, a), x)  # noqa: B023


@pytest.mark.parametrize(
    "ufunc", [np.less, np.equal, np.not_equal, np.greater_equal, np.add, np.maximum, np.logical_and]
)
def test_ufunc_calls_with_python_numbers(ufunc: Any) -> None:
    for dtype in DTYPES:
        x = sample(dtype)
        for number in NUMBERS:
            check(lambda a: ufunc(a, number), x)  # noqa: B023
            check(lambda a: ufunc(number, a), x)  # noqa: B023


@pytest.mark.parametrize("symbol", ["+", "/", "//", "**", "<", "==", "&"])
def test_numpy_scalars_and_arrays_of_rank_0_are_strong(symbol: str) -> None:
    compute = OPERATORS[symbol]
    for dtype in DTYPES:
        x = sample(dtype)
        for constant in (np.int8(2), np.uint64(3), np.float32(2.5), np.float64(0.5), np.complex64(1j), np.bool_(True)):
            check(lambda a: compute(a, constant), x)  # noqa: B023
            if symbol != "**" or np.result_type(constant, x).kind not in "iu":
                check(lambda a: compute(constant, a), x)  # noqa: B023
            check(lambda a: compute(a, np.array(constant)), x)  # noqa: B023


def test_int64_compares_with_uint64_by_value() -> None:
    x = np.array([-1, 0, 5, -(2**63), 2**63 - 1])
    y = np.array([2**64 - 1, 0, 5, 2**63, 2**63 - 1], "uint64")
    for symbol in ("==", "!=", "<", "<=", ">", ">="):
        check(OPERATORS[symbol], x, y)
        check(OPERATORS[symbol], y, x)
        check(OPERATORS[symbol], x, y[:, None])


def test_weak_parameters_promote_as_python_numbers() -> None:
    for dtype in DTYPES:
        x = sample(dtype)
        for number in (2, 2.5, 1 + 2j):
            for symbol in ("+", "*", "/", "<=", "=="):
                compute = OPERATORS[symbol]
                check(lambda a, s: compute(a, s * 2 + 1), x, number)  # noqa: B023
                check(lambda a, s: compute(s, a), x, number)  # noqa: B023
    check(lambda n, a: a * (n / 2), 3, sample("float32"))
    check(lambda n, a: a * n**-1, 4, sample("float32"))
    check(lambda n, a: a * (n // 2 + n % 2 - abs(-n)), 3, sample("int8"))
    check(lambda n, a: np.sqrt(n) * a, 3, sample("float32"))
    check(lambda n, a: a > n, -3, sample("uint8"))
    check(lambda n, a: a == n, 2**24 + 1, np.array([2.0**24], "float32"))
    check(lambda n, a: a > n, -3, sample("uint64"))
    check(lambda n, a: (n + True) * a, 3, sample("int8"))
    assert trace(lambda n: n + 1, Weak(int)).results[0].type.element.name == "int64"


def test_weak_refuses_what_is_not_a_python_number() -> None:
    with pytest.raises(TypeMismatch, match="Weak\\(<class 'bool'>\\)"):
        Weak(bool)


def test_power_takes_numpys_short_cuts() -> None:
    x, z = array("x", "float32", 1), array("z", "complex64", 2)
    names = [(value**2).node.op.name for value in (x, z)] + [(x**0.5).node.op.name, (z**-1).node.op.name]
    assert names == ["square", "square", "sqrt", "reciprocal"]
    assert (x**3).node.op.name == "power" and (x**2.0).node.op.name == "power"
    assert (x.sum() ** 2).node.op.name == "power"
    with pytest.raises(ValueError, match="negative power -1"):
        array("n", "int64", 1) ** -1


def test_constants_are_bit_exact() -> None:
    x = array("x", "float64", 1)
    assert (x * np.float64(0.1)).node.args[1] is (x * 0.1).node.args[1]
    zeros = [(x + 0.0).node.args[1], (x + -0.0).node.args[1], (x + 0).node.args[1]]
    assert [np.signbit(c.value) for c in zeros] == [False, True, False]
    assert np.isnan((x + float("nan")).node.args[1].value)


def test_third_party_operators_apply() -> None:
    cube = register(Operator("cube_of_test_build", "T>T", "f", lambda x: x * x * x))
    assert apply(cube, array("x", "int32", 1)).dtype == np.float64
    assert function("cube_of_test_build")(array("x", "float32", 1)).node.op is cube
    x = np.arange(6, dtype="float32")
    same(run(trace(lambda a: apply("fma", a, 2.0, a), spec_of(x)), x), x * 3)
    check(lambda x: np.where(x > 0, x, 0), sample("float32"))
    with pytest.raises(TypeMismatch, match="fma"):
        apply("fma", array("z", "complex64", 1), 1, 2)
    with pytest.raises(TypeMismatch, match="fma takes 3 operands: got 1"):
        apply("fma", array("z", "float32", 1))


def test_every_row_has_a_function() -> None:
    names = set(function_names())
    assert {op.name for op in operators()} - names == set()
    assert function("no_such_function") is None and function("frexp") is None


# -- Functions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sum", "prod", "min", "max", "any", "all", "mean", "var", "std", "argmin", "argmax"])
def test_reductions(name: str) -> None:
    call = getattr(np, name)
    for dtype in DTYPES:
        x = sample(dtype, (3, 4))
        x = np.where(np.isnan(x), np.ones((), dtype), x) if name in ("argmin", "argmax") else x
        for axis in (None, 0, -1, (0, 1), ()):
            if name in ("argmin", "argmax") and isinstance(axis, tuple):
                continue
            check(lambda a: call(a, axis=axis), x)  # noqa: B023
            check(lambda a: getattr(a, name)(axis=axis, keepdims=True), x)  # noqa: B023
        check(lambda a: call(a + a[0], axis=1), x)
        check(lambda a: call(a.T, axis=1), x)
        check(lambda a: call(a[..., None][1:], axis=1), x)


def test_reductions_with_options() -> None:
    x = sample("float32", (4, 3), 5)
    x[-1, -1] = 2
    check(lambda a: a.var(ddof=1), x)
    check(lambda a: a.std(axis=0, ddof=1), x)
    check(lambda a: a.sum(dtype=np.float64), x)
    check(lambda a: a.mean(axis=1, dtype=np.float64), x)
    check(lambda a: (a + 1).mean(axis=0), x)
    check(lambda a: (a * a[:, :1]).var(axis=1, keepdims=True), x)
    check(lambda a: np.count_nonzero(a > 0, axis=1), x)
    check(lambda a: np.count_nonzero(a), x)
    check(lambda a: np.add.reduce(a), x)
    check(lambda a: np.minimum.reduce(a, axis=1, keepdims=True), x)
    check(lambda a: np.bitwise_xor.reduce(a.astype(np.int8), axis=0), x)
    check(lambda a: a[0, 0].sum(), x)
    check(lambda a: np.argmax(a[0, 0]), x)
    with pytest.raises(np.exceptions.AxisError, match="axis 2"):
        array("x", "float32", 2).sum(axis=2)
    for refused in (
        lambda a: a.sum(where=a > 0),
        lambda a: a.min(initial=0),
        lambda a: np.cumsum(a),
        lambda a: np.subtract.reduce(a),
    ):
        with pytest.raises(UnsupportedError):
            trace(refused, ("float32", 2))


def test_mean_of_an_operand_counts_by_its_extents() -> None:
    def has(node: Any, kind: type) -> bool:
        return any(isinstance(n, kind) for n in postorder([node]))

    x = array("x", "float32", 2)
    assert has(x.T.mean(axis=0).node, Extent)
    assert not has((x + 1).mean(axis=0).node, Extent)


def test_functions_of_numpy() -> None:
    x, y = sample("float32"), sample("int16", (3,), 2)
    z = sample("complex64")
    for f in (
        lambda a, b: np.where(a > 0, a, b),
        lambda a, b: np.where(b, a, 1.5),
        lambda a, b: np.where(a, 1, 2.5),
        lambda a, b: np.where(a > b, b.astype("u1"), 300),
        lambda a, b: np.clip(a, -1, 1),
        lambda a, b: np.clip(a, b, None),
        lambda a, b: np.clip(a, None, b),
        lambda a, b: a.clip(-0.5, 2),
        lambda a, b: np.clip(b, -(10**9), 10**9),
        lambda a, b: np.clip(b, 0.5, 2),
        lambda a, b: np.clip(b.astype("u1"), -1, 300),
        lambda a, b: np.clip(a, min=0, max=b),
        lambda a, b: np.transpose(a),
        lambda a, b: np.transpose(a[None], (2, 0, 1)),
        lambda a, b: a[None].transpose(1, 2, 0),
        lambda a, b: np.swapaxes(a, 0, -1),
        lambda a, b: np.moveaxis(a[None, None], (0, 1), (-1, 0)),
        lambda a, b: np.expand_dims(b, (0, -1)),
        lambda a, b: np.squeeze(a[None], axis=0),
        lambda a, b: np.flip(a),
        lambda a, b: np.flip(a, 1) + np.flipud(a),
        lambda a, b: np.dot(a, b),
        lambda a, b: np.dot(a, 2),
        lambda a, b: np.dot(a, a.T),
        lambda a, b: b.dot(b),
        lambda a, b: a @ b,
        lambda a, b: np.matmul(a, a.T[None]),
        lambda a, b: (b > 2) @ (b > 1),
        lambda a, b: np.real(a) + np.imag(a) + a.real + a.imag,
        lambda a, b: np.angle(a) + np.angle(b, deg=True),
        lambda a, b: np.round(a) + np.round(b),
        lambda a, b: a.conj() + np.conj(a),
        lambda a, b: np.zeros_like(a) + np.ones_like(a, dtype=np.int8),
        lambda a, b: np.full_like(b, 2.7),
        lambda a, b: np.degrees(a) + np.radians(a) + np.fabs(b),
        lambda a, b: np.add(a, b, dtype=np.float64),
        lambda a, b: np.positive(a) + +a,
        lambda a, b: np.copy(a) if np.ndim(a) == 2 else b,
        lambda a, b: divmod(b, 3),
        lambda a, b: np.divmod(7, b),
        lambda a, b: b.astype("f8"),
        lambda a, b: b.astype("i2", copy=False) + 1,
        lambda a, b: 3,
        lambda a, b: (a, 2.5, b),
    ):
        check(f, x, y)
    check(lambda a: a.real * 2 + a.imag, z)
    check(lambda a: np.angle(a) + np.angle(a, True), z)
    check(lambda a: np.conj(a) * a.conj() + a.T.T.real, z)
    check(lambda a: np.clip(a, 0, 1 + 1j), sample("complex64", (2, 2), 3)[:, :1])
    check(lambda a: np.clip(a, False, True), sample("bool"))
    check(lambda a: np.ldexp(a, 2**20), x)
    check(lambda a, n: np.ldexp(a, n * 2**40), x, np.int64(1))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a: np.linalg.norm(a), "norm"),
        (lambda a: np.concatenate([a, a]), "numpy.concatenate cannot be traced"),
        (lambda a: np.broadcast_to(a, (3, 3)), "broadcast_to"),
        (lambda a: np.reshape(a, -1), "reshape"),
        (lambda a: a.reshape(-1), "ndarray.reshape cannot be traced"),
        (lambda a: np.squeeze(a), "squeeze"),
        (lambda a: a[a > 0], "use np.where"),
        (lambda a: a[[0, 1]], "subscripted by list"),
        (lambda a: np.where(a > 0), "one argument"),
        (lambda a: np.sum(a, where=a > 0), "where="),
        (lambda a: np.add(a, a, where=a > 0), "where="),
        (lambda a: np.modf(a), "modf"),
        (lambda a: np.lcm(a.astype(int), 2), "lcm"),
        (lambda a: np.multiply.outer(a, a), "multiply.outer"),
        (lambda a: a.round(2), "2 decimals"),
        (lambda a: np.outer(a, a), "np.outer of float64\\[:, :\\] and"),
        (lambda a: np.vecdot(a, a), "vecdot"),
    ],
)
def test_what_cannot_be_traced_is_named(function: Any, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        trace(function, ("float64", 2))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a: 1 if a > 0 else 2, "np.where"),
        (lambda a: 0 < a < 1, "np.where"),
        (lambda a: [x for x in a], "cannot be iterated"),
        (lambda a: len(a), "len\\(\\) of a symbolic array float64\\[:, :\\] is unknown"),
        (lambda a: float(a), "no value while tracing"),
        (lambda a: int(a), "no value"),
        (lambda a: range(a), "no value"),
        (lambda a: np.asarray(a), "no elements"),
        (lambda a: a + np.zeros((2, 2)), "shape \\(2, 2\\).*passed as an argument"),
        (lambda a: np.zeros((2, 2)) + a, "passed as an argument"),
        (lambda a: a + [1, 2], "passed as an argument"),
        (lambda a: a == "x", "str"),
        (lambda a: 3 in a, "`in`"),
        (lambda a: hash(a), "unhashable"),
        (lambda a: "text", "returns str"),
        (lambda a: (a, {}), "returns dict as result 1"),
        (lambda a: a & 1, "bitwise_and of float64 and int"),
        (lambda a: -(a > 0), "negative of bool"),
        (lambda a: (a > 0) - (a > 0), "subtract of bool and bool"),
        (lambda a: np.hypot(a, 1j), "hypot of float64 and complex"),
        (lambda a: a.astype(object), "object"),
        (lambda a: a.astype(int, casting="safe"), "'safe'"),
    ],
)
def test_errors_name_the_culprit(function: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        trace(function, ("float64", 2))


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda a: a[0, 0, 0], IndexError, "2 axes: got 3 subscripts"),
        (lambda a: a[..., ...], IndexError, "2 ellipses"),
        (lambda a: a["x"], IndexError, "subscripted by str"),
        (lambda a: a[::0], ValueError, "step 0"),
        (lambda a: a @ 2, ShapeMismatch, "at least one axis"),
        (lambda a: a.transpose(0, 0), ValueError, "repeated"),
        (lambda a: a.transpose(0), ShapeMismatch, "expected 2 axes"),
        (lambda a: a[0].mT, ShapeMismatch, "two axes"),
        (lambda a: a.__setitem__(0, a), ShapeMismatch, "assignment of float64\\[:, :\\] to float64\\[:\\]"),
        (lambda a: a.__setitem__(0, 1j), TypeMismatch, "complex"),
        (lambda a: a.astype("i1").__iadd__(1.5), TypeMismatch, "same_kind"),
        (lambda a: a[0].__iadd__(a), ShapeMismatch, "at most 1 axes"),
        (lambda a: a.astype("i1").__setitem__(0, float("nan")), ValueError, "nan"),
        (lambda a: a.astype("i1").__setitem__(0, 300), OverflowError, "300 does not fit int8"),
        (lambda a: a + 10**400, OverflowError, "bits is too large for float64"),
        (lambda a: setattr(a, "real", 1), UnsupportedError, "real part"),
        (lambda a: a.sum().__setitem__(..., 1), TypeError, "item assignment"),
        (lambda a: np.add(a, 1, out=a.sum()), TypeMismatch, "into a scalar"),
        (lambda a: np.add(a, 1, out=np.zeros(3)), TypeMismatch, "out is ndarray"),
        (lambda a: np.copyto(a.astype("i1"), 2.5), TypeMismatch, "same_kind"),
        (lambda a: np.copyto(a, 2.5, where=a), TypeMismatch, "where is float64.*: expected bool"),
        (lambda a: a.__setitem__(a[0] > 0, 1), UnsupportedError, "whose lengths may be others"),
        (lambda a: a.__setitem__(a > 0, a[0]), UnsupportedError, "assigned an array of 1 axes"),
    ],
)
def test_errors_of_shape_and_place(function: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        trace(function, ("float64", 2))


# -- Views --------------------------------------------------------------------------------------


def test_subscripts_are_numpys() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    for index in (
        np.s_[0],
        np.s_[-1],
        np.s_[0, 1, 2],
        np.s_[...],
        np.s_[1:],
        np.s_[::-1],
        np.s_[..., 0],
        np.s_[:, None, 1:3],
        np.s_[None],
        np.s_[0, ..., None],
        np.s_[:, ::2, -3:-1],
        np.s_[np.int64(1)],
        np.s_[()],
        np.s_[5:],
        np.s_[0, 1, 2, ...],
        np.s_[0, 1, 2, None],
        np.s_[None, ..., None],
        np.s_[-1:0:-1],
    ):
        check(lambda a: a[index] * 2, x)  # noqa: B023
        check(lambda a: (a + 1)[index], x)  # noqa: B023
        check(lambda a: a[index], x)  # noqa: B023
    check(lambda a: (a * 2).T[1:].swapaxes(0, 1), x)
    check(lambda a: a[()], np.array(3.0))
    check(lambda a: a[None, ...], np.array(3.0))


# -- Assignments --------------------------------------------------------------------------------


def test_assignments_are_recorded_in_order() -> None:
    def update(out: Any, a: Any) -> None:
        out[...] = a + 1
        out[1:-1] = a[:-2] * out[1:-1]
        out[0] += 2
        out[-1:] -= a[-1]
        out *= 2

    check(update, np.zeros(5), np.arange(5.0))
    traced = trace(update, ("float64", 1), ("float64", 1))
    assert len(traced.statements) == 5 and traced.results == () and traced.locals == ()


def test_computed_values_keep_what_they_had() -> None:
    def f(a: Any, b: Any) -> Any:
        t = a + 1
        u = t * 2
        a[...] = 0
        b[...] = t
        b += u
        return u + a

    check(f, np.arange(4.0), np.zeros(4))
    traced = trace(f, ("float64", 1), ("float64", 1))
    assert len(traced.locals) == 2
    assert [s.target.name for s in traced.statements] == ["t0", "t1", "a", "b", "b", "r"]


def test_values_survive_several_assignments() -> None:
    def f(a: Any, b: Any, c: Any) -> Any:
        old = [a * 1]
        for k in range(4):
            a += k + 1
            b[...] = old[-1] + a
            old.append(a * b)
            c[1:] = c[:-1] + old[k][1:]
        return tuple(old)

    check(f, np.arange(4.0), np.zeros(4), np.ones(4))


def test_views_of_operands_see_new_data_and_scalars_do_not() -> None:
    def f(a: Any, z: Any) -> Any:
        v, w, s, t = a[1:], a.T, a[0], a[0, ...]
        r = z.real
        kept = a[1:].copy()
        plus = +a
        a[...] = a * 10
        z[...] = 5
        return v, w + 0, s * 1, t * 1, kept, plus, r + 1, v[::-1] + s

    check(f, np.arange(4.0), np.arange(3) + 1j)


def test_swap() -> None:
    def swap(a: Any, b: Any) -> None:
        t = a.copy()
        a[...] = b
        b[...] = t

    check(swap, np.arange(3.0), np.ones(3))


def test_assignment_where_a_mask_holds() -> None:
    def life(a: Any) -> None:
        n = a[:-2, :-2] + a[:-2, 1:-1] + a[:-2, 2:] + a[1:-1, :-2] + a[1:-1, 2:] + a[2:, :-2] + a[2:, 1:-1] + a[2:, 2:]
        inner = a[1:-1, 1:-1]
        born, stays = (n == 3) & (inner == 0), ((n == 2) | (n == 3)) & (inner == 1)
        a[...] = 0
        inner[born | stays] = 1

    def clipped(a: Any) -> Any:
        b = a * 3
        b[b > 10] = 7.9
        a[::-1][b == 6] = b[0]
        a[~(a < 4) & (a % 2 == 0)] = True
        return b

    check(life, np.random.default_rng(0).integers(0, 2, (9, 8)))
    check(clipped, np.arange(8))
    check(clipped, np.arange(8.0)[::-1])


def test_in_place_on_computed_arrays() -> None:
    def f(a: Any, b: Any) -> Any:
        t = a + 1
        u = t
        t += b
        t **= 2
        return u, t

    check(f, np.arange(4.0), np.ones(4))
    assert trace(f, ("float64", 1), ("float64", 1)).locals == ()
    # Outside of a trace as well: nothing is recorded.
    x = array("x", "float64", 1)
    y = x * 2
    y += 1
    assert len(program(y).statements) == 1


def test_parts_of_computed_arrays_are_assigned_in_a_local() -> None:
    def f(a: Any) -> Any:
        t = np.zeros_like(a)
        before = t + a
        v = t[1:]
        w = v[::-1]
        t[1:-1] = a[2:] - a[:-2]
        v += 1
        w[0] = 7
        u = t * 2
        t[0] = -1
        return t, u, v, w, before

    check(f, np.arange(6.0))
    assert len(trace(f, ("float64", 1)).locals) == 2


def test_views_of_computed_arrays_follow_them() -> None:
    def f(a: Any, b: Any) -> Any:
        t = a * 2
        v = t[1:]
        a[...] = 0
        b[...] = v.sum()
        t += 1
        w = v * 3
        t[...] = 9
        return v, w, t

    check(f, np.arange(4.0), np.zeros(4))

    def g(z: Any) -> Any:
        t = z * 1j
        part = t.imag
        t *= 2
        return part + 0

    check(g, np.arange(3) + 1j)


def test_scalars_are_rebound() -> None:
    def f(a: Any, s: Any, n: Any) -> Any:
        before = s
        s += 1
        n *= 2
        total = a.sum()
        kept = total
        total += s
        x = a[0]
        x += 1
        return before * 1, s * 1, a * n, kept, total, x, a

    check(f, np.arange(4.0), np.float32(3), 2)


def test_arrays_of_rank_0_are_assigned() -> None:
    def f(s: Any) -> Any:
        t = s * 2
        s += 1
        s[...] = s * t
        s[()] = s - 1
        return s * 1

    check(f, np.array(3.0))


def test_assignment_casts_as_numpy() -> None:
    def f(a: Any, b: Any) -> None:
        a[...] = b * 1.5
        a[0] = 2.7
        a[1] = True
        a[2:] += b[2:].astype(np.int8)

    check(f, np.zeros(5, "int16"), np.arange(5.0))
    check(lambda a, b: np.copyto(a, b), np.zeros(3), np.arange(3))
    check(lambda a, b: np.copyto(a, b, where=b > 1), np.zeros((2, 3)), np.arange(3))
    check(lambda a: np.copyto(a, 7, where=True), np.zeros(3))
    check(lambda a, b: a.fill(b[1]), np.zeros(3), np.arange(3))
    check(lambda a, b: np.add(b, 1, out=a), np.zeros(3), np.arange(3))
    check(lambda a, b: np.sum(b, axis=0, out=a), np.zeros(3), np.ones((2, 3)))
    check(lambda a, b: np.divmod(b, 2, out=(a, b)), np.zeros(3, int), np.arange(3))

    def product(a: Any, b: Any) -> None:
        a @= b

    check(product, np.eye(2), np.ones((2, 2)))

    def into_computed(a: Any, b: Any) -> Any:
        t = a * 1
        np.add(b, 1, out=t)
        return t

    check(into_computed, np.zeros((2, 3)), np.arange(3))


def random_steps(seed: int, count: int) -> Any:
    """A function of three arrays of six elements that computes, views and assigns at random."""

    def f(a: Any, b: Any, c: Any) -> Any:
        rng = np.random.default_rng(seed)
        values = [a, b, c]
        for _ in range(count):
            x, y = (values[rng.integers(len(values))] for _ in range(2))
            short = rng.integers(2)
            match rng.integers(9):
                case 0:
                    values.append(x + y * 2)
                case 1:
                    values.append(x[::-1])
                case 2:
                    x[...] = y - 1
                case 3:
                    x += y
                case 4:
                    x[: 3 + short] = y[3 - short :]
                case 5:
                    v = x[1::2]
                    v *= y[:3] - 1
                case 6:
                    x[rng.integers(6)] = y.sum()
                case 7:
                    values.append(np.minimum(x, y[0]))
                    s = x[2]
                    x[0] = 3
                    values.append(values[-1] - s)
                case 8:
                    np.subtract(x, y, out=x)
                    values.append(x.copy() if short else +y)
            values = values[:3] + values[3:][-8:]
        return tuple(values)

    return f


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_keep_numpys_order(seed: int) -> None:
    start = [np.arange(6), np.arange(6)[::-1] * 3, np.ones(6, int)]
    check(random_steps(seed, 5 + seed), *start)


def test_out_of_a_trace_assignment_says_so() -> None:
    x = array("x", "float64", 1)
    with pytest.raises(UnsupportedError, match="assignment to x is outside of a trace"):
        x[...] = 1
    with pytest.raises(UnsupportedError, match="outside of a trace"):
        x += 1
    y = x * 2
    with pytest.raises(UnsupportedError, match="assignment into a computed float64.*outside"):
        y[0] = 1


def test_trace_as_a_context() -> None:
    a, b, t0 = array("a", "float64", 1), array("b", "float64", 1), array("t0", "float64", 1)
    with Trace() as recording:
        total = a + t0
        a[...] = 0
        b[1:] = total[1:]
        rest = total - b
    made = recording.program(rest, name="steps")
    assert [o.name for o in made.operands] == ["a", "t0", "b"] and made.name == "steps"
    assert [o.name for o in made.locals] == ["t0_0"]
    x, y, z = np.ones(3), np.arange(3.0), np.zeros(3)
    np.testing.assert_array_equal(run(made, x, y, z), [1, 0, 0])
    assert recording.program(rest) == recording.program(rest)
    a2 = a + 1  # the trace has ended
    assert program(a2).locals == ()


def test_results_used_after_the_end_of_a_trace_keep_their_meaning() -> None:
    a = array("a", "float64", 1)
    with Trace() as recording:
        t = a + 1
        a[...] = 0
    made = recording.program(t)
    np.testing.assert_array_equal(run(made, np.arange(3.0)), [1, 2, 3])


# -- Programs -----------------------------------------------------------------------------------


def test_programs() -> None:
    x, y, r = array("x", "float32", 2), array("y", "float64", 1), array("r", "float64", 2)
    made = program(x * y)
    assert made.name == "kernel" and [o.name for o in made.operands] == ["x", "y"]
    assert [(o.name, repr(o.type)) for o in made.results] == [("r", "float64[:, :]")]
    made = program(r.assign(x), assign(r, y, np.s_[0]), x + 1, r * 2, name="several")
    assert [o.name for o in made.operands] == ["x", "r", "y"]
    assert [o.name for o in made.results] == ["r0", "r1"]
    a, b, c = np.ones((2, 3), "f4"), np.zeros((2, 3)), np.arange(3.0)
    run(made, a, b, c)
    np.testing.assert_array_equal(b, [[0, 1, 2], [1, 1, 1]])
    assert [o.name for o in program(r + 1).results] == ["r_0"]
    assert program(1).results[0].type is program(x.sum(dtype=int)).results[0].type
    assert program(x.node).statements == program(x).statements


def test_programs_refuse_what_they_cannot_hold() -> None:
    x = array("x", "float32", 2)
    with pytest.raises(TypeMismatch, match="two operands named 'x', float32\\[:, :\\] and float64"):
        program(x + scalar("x", "float64"))
    with pytest.raises(TypeMismatch, match="program: got str"):
        program("x")
    with pytest.raises(TypeMismatch, match="expected an operand or a view of one"):
        (x + 1).assign(2)
    with pytest.raises(TypeMismatch, match="expected an operand"):
        scalar("s", Weak(int)).assign(2)
    with pytest.raises(TypeMismatch, match="assign to int"):
        assign(1, 2)  # type: ignore[arg-type]
    with pytest.raises(TypeMismatch, match="reads y of type float64.*passed as an argument"):
        trace(lambda x: x + array("y", "float64", 1), ("float64", 1))


def test_specs() -> None:
    def f(a: Any, s: Any, n: Any, m: Any, *rest: Any, scale: float = 2.0) -> Any:
        return a * s + n * m + sum(rest) * scale

    made = trace(f, "float32['C', :, :]", "float32", Weak(int), array("z", "int8", 1), FLOAT64.array(1), "weak float")
    assert [f"{o.name}: {o.type}" for o in made.operands] == [
        "a: float32['C', :, :]",
        "s: float32",
        "n: int64",
        "m: int8[:]",
        "rest0: float64[:]",
        "rest1: float64",
    ]
    assert trace(np.hypot, ("float32", 1), "float32").operands[1].name == "x1"
    assert trace(lambda a: a, "float64[:, ::1]").operands[0].type.layout == ("strided", "unit")
    assert trace(lambda a: a, ("float64", 1), name="named").name == "named"
    with pytest.raises(TypeMismatch, match="no spec for its parameter 'm'"):
        trace(f, "float32", "float32", "int8")
    with pytest.raises(TypeMismatch, match="takes 1 parameters: got 2 specs"):
        trace(lambda a: a, "float32", "float32")
    with pytest.raises(TypeMismatch, match="'float64\\[x\\]'"):
        trace(lambda a: a, "float64[x]")
    with pytest.raises(TypeMismatch, match="argument of type str"):
        spec_of("x")


def test_nodes_become_symbolic_arrays() -> None:
    x = array("x", "float64", 1)
    wrapped = SymbolicArray(x.node)
    assert (wrapped + 1).node is (x + 1).node
    with Trace() as recording:
        wrapped[0] = 1
    assert isinstance(recording.statements[0], Assign)
    with pytest.raises(TypeMismatch, match="expected an expression node"):
        SymbolicArray(3)  # type: ignore[arg-type]


def test_deep_chains_and_speed_of_construction() -> None:
    x = first = array("x", "float64", 1)
    for _ in range(50_000):
        x = x * 0.5 + first
    assert len(program(x).nodes()) == 100_000 + 2 + 2
    # A value that 2,000 assignments did not touch stays what it is; the last one is kept in a local.
    with Trace() as recording:
        y = array("y", "float64", 1)
        for _ in range(2_000):
            y[...] = x
        first[...] = 0
        y[...] = x
    assert len(recording.locals) == 1


def test_threads_trace_at_once() -> None:
    def work(seed: int) -> bool:
        f = random_steps(seed, 80)
        return all(trace(f, *[("int64", 1)] * 3) == alone[seed] for _ in range(5))

    alone = [trace(random_steps(seed, 80), *[("int64", 1)] * 3) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def test_equal_expressions_are_one_node() -> None:
    x = array("x", "float32", 1)
    assert (x + 1).node is (x + 1.0).node is np.add(x, np.float32(1)).node
    assert isinstance((x + 1).node, Apply) and isinstance((x + 1).node.args[1], Constant)
