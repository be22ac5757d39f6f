"""Kernels on real arrays: every layout, given outputs, overlaps, what is assigned in place, and bad input."""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernels import check, comparable
from layouts import LAYOUTS, WRITABLE, clone, lay_out, same, values
from strategies import elementwise_programs, operand_arrays, overlapping_arrays

import arrayexpr
from arrayexpr._core.errors import ArrayExprError, ShapeMismatch, TypeMismatch
from arrayexpr._core.parser import parse
from arrayexpr._core.types import element, elements

# -- Random programs in random layouts ----------------------------------------------------------


def _run_random(data: Any, case: Any, layouts: int) -> None:
    assume(comparable(case.program))
    kernel = arrayexpr.compile(case.program)
    for _ in range(layouts):
        check(case.program, kernel, data.draw(operand_arrays(case)), give=data.draw(st.booleans()))
    check(case.program, kernel, data.draw(overlapping_arrays(case)))


@settings(max_examples=100)
@given(st.data(), elementwise_programs(max_nodes=8, max_statements=2, calls=True))
def test_random_programs(data: Any, case: Any) -> None:
    _run_random(data, case, 3)


@settings(max_examples=60)
@given(st.data(), elementwise_programs(max_nodes=8, max_statements=2, calls=True, reductions=True, kinds="biu"))
def test_random_programs_that_reduce(data: Any, case: Any) -> None:
    _run_random(data, case, 3)


@pytest.mark.slow
@settings(max_examples=2000)
@given(st.data(), elementwise_programs(max_nodes=16, max_statements=3, calls=True))
def test_many_random_programs(data: Any, case: Any) -> None:
    _run_random(data, case, 3)


@pytest.mark.slow
@settings(max_examples=1000)
@given(st.data(), elementwise_programs(max_nodes=16, calls=True, reductions=True, kinds="biu"))
def test_many_random_programs_that_reduce(data: Any, case: Any) -> None:
    _run_random(data, case, 3)


# -- Functions written for NumPy ----------------------------------------------------------------


def axpy(a: Any, x: Any, y: Any) -> Any:
    return a * x + y


def distance(x: Any, y: Any) -> Any:
    dx = x - y
    return np.sqrt(dx * dx + y * y) / (1 + abs(x))


def choose(x: Any, y: Any) -> Any:
    return np.where(x > y, x - y, -y) + (x == y)


def stencil(x: Any) -> Any:
    return (x[1:-1, 1:] - 2 * x[1:-1, :-1]) * 0.5 + x[:-2, 1:] + x[2:, ::-1][:, :-1]


def outer(x: Any, y: Any) -> Any:
    return x[:, None] * y[None, :] - y


def transposed(x: Any, y: Any) -> Any:
    return x + y.T


def several(x: Any, y: Any) -> Any:
    t = x * y
    return t + 1, t - x, (t > y) & (x < 1)


def rounds(x: Any, y: Any) -> Any:
    return np.floor(x) // np.maximum(np.abs(y), 0.25) + np.rint(x * 8) % 3 - np.trunc(y)


def bits(x: Any, y: Any) -> Any:
    n, m = x.astype(np.int32), y.astype(np.int32)
    return (n & 0xFF) ^ (m | 3), ~n + (m << 2), n >> 1


def complexes(x: Any, y: Any) -> Any:
    z = x + 1j * y
    return z * z.conj() - z / (2 + 1j), abs(z.real), z.imag


FUNCTIONS: list[tuple[Callable[..., Any], list[tuple[int, ...]]]] = [
    (axpy, [(), (7, 5), (7, 5)]),
    (axpy, [(7, 1), (1, 5), (7, 5)]),
    (distance, [(4, 3, 5), (4, 3, 5)]),
    (distance, [(4, 3, 5), (3, 1)]),
    (choose, [(33,), (33,)]),
    (choose, [(2, 1, 3, 1, 2, 3), (2, 2, 3, 2, 1, 3)]),
    (stencil, [(9, 8)]),
    (outer, [(6,), (5,)]),
    (transposed, [(6, 5), (5, 6)]),
    (several, [(4, 6), (6,)]),
    (rounds, [(13, 3), (13, 3)]),
    (bits, [(10, 4), (10, 4)]),
    (complexes, [(5, 7), (5, 7)]),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("function, shapes", FUNCTIONS, ids=lambda x: getattr(x, "__name__", None))
def test_functions_give_what_numpy_gives(function: Any, shapes: Any, dtype: str) -> None:
    kernel = arrayexpr.kernel(function)
    rng = np.random.default_rng(1)
    for attempt in range(12):
        arrays = [rng.integers(-9, 9, shape).astype(dtype) / 4 for shape in shapes]
        expected = function(*arrays)
        laid = [lay_out(a, WRITABLE[rng.integers(len(WRITABLE))] if attempt else "C", rng) for a in arrays]
        got = kernel(*laid)
        many = isinstance(expected, tuple)
        for one, other in zip(got if many else (got,), expected if many else (expected,), strict=True):
            assert type(one) is type(other)
            assert same(one, other)
        outs = tuple(lay_out(np.zeros_like(e), WRITABLE[attempt % 7], rng) for e in (expected if many else (expected,)))
        given_out = outs if many else outs[0]
        assert kernel(*laid, out=given_out) is given_out if not many else True
        kernel(*laid, out=given_out)
        for one, other in zip(outs, expected if many else (expected,), strict=True):
            assert same(one, other)


def test_a_scalar_result_is_a_numpy_scalar() -> None:
    kernel = arrayexpr.kernel(axpy)
    for _ in range(3):
        got = kernel(2.0, 3.0, 4.0)
        assert type(got) is np.float64 and got == 10
    out = np.zeros(())
    assert kernel(2.0, 3.0, 4.0, out=out) is out and out == 10
    zero = kernel(np.array(2.0), np.array(3.0), np.array(4.0))
    assert type(zero) is np.float64 and zero == 10


def test_keyword_only_parameters_are_refused() -> None:
    def scaled(x: Any, *, factor: Any = 2.0) -> Any:
        return x * factor

    with pytest.raises(TypeError, match="kernel scaled has the parameter factor.*: expected positional ones only"):
        arrayexpr.kernel(scaled)


def test_arguments_by_name_and_default() -> None:
    def f(x: Any, y: Any = 2.0) -> Any:
        return x * y

    kernel = arrayexpr.kernel(f)
    x = np.arange(3.0)
    assert same(kernel(x), f(x)) and same(kernel(x, y=3.0), f(x, y=3.0)) and same(kernel(y=4.0, x=x), f(x, 4.0))
    with pytest.raises(TypeError, match="no parameter 'z'"):
        kernel(x, z=1)
    with pytest.raises(TypeError, match="'x' twice"):
        kernel(x, x=x)
    with pytest.raises(TypeError, match="misses the argument 'x'"):
        kernel(y=1.0)
    with pytest.raises(TypeError, match="takes 2 arguments: got 3"):
        kernel(x, x, x)


# -- One expression, every layout ---------------------------------------------------------------

_SUM = [
    arrayexpr.compile(
        arrayexpr.program(
            arrayexpr.array("a", "float64", rank) * arrayexpr.array("b", "float64", rank)
            + arrayexpr.array("c", "float64", rank)
        )
    )
    for rank in range(7)
]


@settings(max_examples=250)
@given(st.data(), st.lists(st.sampled_from([0, 1, 2, 3, 4, 9]), max_size=6))
def test_any_layout_and_rank(data: Any, shape: list[int]) -> None:
    """a * b + c bit-equal in every layout, with broadcast operands, and outputs given or not."""
    assume(np.prod(shape) <= 3000)
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    arrays = []
    for _ in range(3):
        its = [1 if rng.random() < 0.2 else n for n in shape]
        arrays.append(lay_out(values(element("float64"), tuple(its), rng), data.draw(st.sampled_from(LAYOUTS)), rng))
    a, b, c = arrays
    with np.errstate(all="ignore"):
        expected = np.asarray(a * b + c)
    kernel = _SUM[len(shape)]
    got = np.asarray(kernel(a, b, c))
    assert same(got, expected)
    out = lay_out(np.zeros(expected.shape), data.draw(st.sampled_from(WRITABLE)), rng)
    for _ in range(2):
        kernel(a, b, c, out=out)
        assert same(out, expected)


@pytest.mark.parametrize("t", elements(), ids=str)
def test_conversion_of_foreign_memory(t: Any) -> None:
    """Byte-swapped and unaligned operands and outputs are converted, and read-only ones are left alone."""
    rng = np.random.default_rng(0)
    x = arrayexpr.array("x", t.dtype, 2)
    kernel = arrayexpr.compile(arrayexpr.program(arrayexpr.array("c", bool, 2).astype(bool) & (x == x)))
    a = values(t, (4, 5), rng)
    c = np.ones((4, 5), bool)
    for kind in LAYOUTS:
        given_a = lay_out(a, kind, rng)
        given_a.flags.writeable = False
        before = given_a.copy()
        assert same(kernel(c, given_a), given_a == given_a)
        assert same(given_a, before)


def test_rank_32() -> None:
    shape = (2, 1) * 8 + (1,) * 13 + (2, 1, 3)
    kernel = arrayexpr.kernel(axpy)
    rng = np.random.default_rng(3)
    for kind in ("C", "F", "permuted", "reversed", "record"):
        a, x, y = (lay_out(rng.normal(size=shape), kind, rng) for _ in range(3))
        assert same(kernel(a, x, y), a * x + y)


def test_many_small_axes_of_which_none_join() -> None:
    rng = np.random.default_rng(4)
    base = [rng.normal(size=(2,) * 12) for _ in range(3)]
    kernel = arrayexpr.kernel(axpy)
    for _ in range(6):
        orders = [rng.permutation(12) for _ in range(3)]
        a, x, y = (b.transpose(order) for b, order in zip(base, orders, strict=True))
        assert same(kernel(a, x, y), a * x + y)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4), (0, 0)])
def test_zero_size(shape: tuple[int, ...]) -> None:
    kernel = arrayexpr.kernel(axpy)
    for _ in range(2):
        assert kernel(2.0, np.ones(shape), np.ones(shape)).shape == shape
        out = np.ones(shape)
        assert kernel(2.0, np.ones(shape), np.ones(shape), out=out) is out
        assert kernel(2.0, np.ones((1,) * len(shape)), np.ones(shape)).shape == shape


def test_large_arrays_in_tiles_and_threads() -> None:
    """Sizes that leave the caches: tiles of conflicting operands, ends of tiles, threads."""
    rng = np.random.default_rng(5)
    for threads in (1, 3):
        kernel = arrayexpr.compile(arrayexpr.program(_transposed_sum()), threads=threads)
        for shape in ((257, 129), (1030, 333), (8, 5000), (3000, 9), (7, 4000)):
            a, b = rng.normal(size=shape), rng.normal(size=shape[::-1])
            assert same(kernel(a, b), a + b.T)
            assert same(kernel(a[::-1], b[:, ::-1]), a[::-1] + b[:, ::-1].T)


def _transposed_sum() -> Any:
    a, b = arrayexpr.array("a", "float64", 2), arrayexpr.array("b", "float64", 2)
    return a + b.T


# -- Overlaps -----------------------------------------------------------------------------------


def _views(base: np.ndarray, n: int) -> dict[str, np.ndarray]:
    """Windows of n x n elements on one buffer, that overlap in every way there is."""
    full = base[: (2 * n + 3) * (2 * n + 3)].reshape(2 * n + 3, 2 * n + 3)
    return {
        "itself": full[1 : n + 1, 1 : n + 1],
        "right": full[1 : n + 1, 2 : n + 2],
        "left": full[1 : n + 1, :n],
        "down": full[2 : n + 2, 1 : n + 1],
        "up": full[:n, 1 : n + 1],
        "reversed": full[1 : n + 1, 1 : n + 1][::-1],
        "reversed inner": full[1 : n + 1, 1 : n + 1][:, ::-1],
        "rotated": full[1 : n + 1, 1 : n + 1][::-1, ::-1],
        "transposed": full[1 : n + 1, 1 : n + 1].T,
        "stepped": full[1 : 2 * n + 1 : 2, 1 : 2 * n + 1 : 2],
        "between": full[1 : 2 * n + 1 : 2, 2 : 2 * n + 2 : 2],
        "stepped shifted": full[2 : 2 * n + 2 : 2, 1 : 2 * n + 1 : 2],
        "interleaved rows": full[: 2 * n : 2, :n],
        "row": np.broadcast_to(full[1, 1 : n + 1], (n, n)),
        "column": np.broadcast_to(full[1 : n + 1, 1:2], (n, n)),
        "element": np.broadcast_to(full[1, 1], (n, n)),
        "flat": base[5 : 5 + n * n].reshape(n, n),
        "flat shifted": base[6 : 6 + n * n].reshape(n, n),
        "flat reversed": base[5 : 5 + n * n][::-1].reshape(n, n),
    }


@pytest.mark.parametrize("n", [1, 2, 3, 8, 65])
@pytest.mark.parametrize("dtype", ["float64", "int8"])
def test_outputs_that_overlap_inputs(n: int, dtype: str) -> None:
    """The whole right side is computed, then stored, however operands and output overlap."""
    kernel = arrayexpr.kernel(lambda x, y: x - y - y)
    names = list(_views(np.zeros((2 * n + 3) ** 2, dtype), n))
    outs = [name for name in names if name not in ("row", "column", "element")]
    rng = np.random.default_rng(n)
    for out in outs:
        for first in names:
            second = names[rng.integers(len(names))]
            start = rng.integers(-50, 50, (2 * n + 3) ** 2).astype(dtype)
            theirs = start.copy()
            views = _views(theirs, n)
            views[out][...] = (views[first] - views[second] - views[second]).copy()
            for _ in range(2):
                ours = start.copy()
                views = _views(ours, n)
                kernel(views[first], views[second], out=views[out])
                assert np.array_equal(ours, theirs), f"{out} = {first} - 2 * {second}"


@pytest.mark.parametrize("shift", [-9, -8, -7, -4, -1, 0, 1, 3, 8, 16])
def test_outputs_that_overlap_by_part_of_an_element(shift: int) -> None:
    kernel = arrayexpr.kernel(lambda x: x + 1)
    raw = np.random.default_rng(0).integers(0, 9, 400).astype("u1")
    theirs, ours = raw.copy(), raw.copy()

    def window(buffer: np.ndarray, start: int) -> np.ndarray:
        return np.ndarray((20,), "i4", buffer, start)

    window(theirs, 100 + shift)[...] = window(theirs, 100) + 1
    kernel(window(ours, 100), out=window(ours, 100 + shift))
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    "dtype, out", [("int64", "float64"), ("float32", "int32"), ("int8", "bool"), ("int32", "int64")]
)
def test_output_over_the_memory_of_another_type(dtype: str, out: str) -> None:
    """In place over an operand of the same or of another size of element."""
    program = arrayexpr.program((arrayexpr.array("a", dtype, 1) * 3).astype(out))
    kernel = arrayexpr.compile(program)
    raw = np.arange(64, dtype="u1") % 5
    for _ in range(2):
        ours = raw.copy()
        x = ours.view(dtype)[:6]
        target = ours.view(out)[:6]
        with np.errstate(all="ignore"):
            expected = (x * np.dtype(dtype).type(3)).astype(out)
        kernel(x, out=target)
        assert same(target, expected)


ASSIGNMENTS = [
    "a[1:] = a[:-1] + b[1:]",
    "a[:-1] = a[1:] - b[:-1]",
    "a[...] = a[::-1] * b",
    "a[::2] = a[::-2] + b[::2]",
    "a[...] = a + b\n    a[1:] = a[:-1] * a[1:]\n    b[...] = a[::-1] - b",
    "a[2:5] = a[1:4]\n    a[3:6] = a[2:5] + a[4:7]\n    a[...] = -a",
    "a[...] = b\n    b[...] = a + a[::-1]",
    "a[-3:] = b[:3] * 2.0\n    a[:3] = b[-3:] - a[-3:]",
]


@pytest.mark.parametrize("body", ASSIGNMENTS)
@pytest.mark.parametrize("n", [9, 200])
def test_assigned_operands(body: str, n: int) -> None:
    program = parse(f"def f(a: float64[:], b: float64[:]):\n    {body}\n")
    kernel = arrayexpr.compile(program)
    rng = np.random.default_rng(0)
    n += (n + 1) % 2
    for kind in WRITABLE:
        arrays = {x: lay_out(rng.integers(-5, 5, n).astype(float), kind, rng) for x in "ab"}
        check(program, kernel, arrays)
        overlapping = rng.normal(size=n + 3)
        if "b[" not in body:
            check(program, kernel, {"a": overlapping[:n], "b": overlapping[3:]})


def test_assigned_and_returned() -> None:
    program = parse(
        "def f(a: float64[:, :], s: float64, *, r: float64[:, :], q: bool[:]):\n"
        "    a[...] = a.transpose(1, 0) + s\n    r[...] = a * a\n    q[...] = a[0, :] < r[:, 1]\n"
        "    a[0, :] = r[:, 0]\n"
    )
    kernel = arrayexpr.compile(program)
    rng = np.random.default_rng(1)
    for kind in WRITABLE:
        a = lay_out(rng.normal(size=(7, 7)), kind, rng)
        arrays = {"a": a, "s": np.array(2.5), "r": lay_out(np.zeros((7, 7)), kind, rng), "q": np.zeros(7, bool)}
        check(program, kernel, clone(arrays))
        check(program, kernel, arrays, give=False)


def test_local_temporaries() -> None:
    program = parse("def f(a: int32[:, :], *, r: int32[:, :]):\n    r[...] = a\n    r[::-1, :] = r + a\n")
    kernel = arrayexpr.compile(program)
    a = np.arange(12, dtype="i4").reshape(4, 3)
    check(program, kernel, {"a": a.copy()}, give=False)

    @arrayexpr.kernel
    def f(x: Any) -> Any:
        t = np.empty_like(x)
        t[...] = x * 2
        t[::2] = -t[::2]
        t += x[0]
        return t

    x = np.arange(20.0).reshape(5, 4)
    expected = x * 2
    expected[::2] = -expected[::2]
    expected += x[0]
    assert same(f(x), expected) and same(f(x.T), _local(x.T))


def _local(x: Any) -> Any:
    t = x * 2
    t[::2] = -t[::2]
    return t + x[0]


def test_an_output_given_for_several_results() -> None:
    kernel = arrayexpr.kernel(lambda x, y: (x + y, x - y))
    x, y = np.arange(5.0), np.ones(5)
    first = np.zeros(5)
    got = kernel(x, y, out=(first, None))
    assert got[0] is first and same(got[0], x + y) and same(got[1], x - y)
    # Swapped in place: both are computed before either is stored.
    ours = [x.copy(), y.copy()]
    kernel(*ours, out=tuple(ours))
    assert same(ours[0], x + y) and same(ours[1], x - y)
    # Over one another: the last one stays, as where NumPy's assignments follow one another.
    base = np.zeros(6)
    kernel(x, y, out=(base[:5], base[1:]))
    assert same(base, np.concatenate([(x + y)[:1], x - y]))
    twice = np.zeros(5)
    kernel(x, y, out=(twice, twice))
    assert same(twice, x - y)


# -- Reductions and products --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "int16"])
def test_reductions(dtype: str) -> None:
    rng = np.random.default_rng(0)

    def f(x: Any, y: Any) -> Any:
        return (x * y).sum(axis=0) + x.max(axis=1), (x - y).sum(), np.prod(x, axis=(0, 1), keepdims=True), x @ y

    kernel = arrayexpr.kernel(f)
    for kind in WRITABLE:
        x, y = (lay_out(rng.integers(1, 5, (6, 6)).astype(dtype), kind, rng) for _ in range(2))
        for one, other in zip(kernel(x, y), f(x, y), strict=True):
            assert one.dtype == other.dtype and np.allclose(one, other, rtol=1e-5)


def test_sums_are_as_exact_as_numpys() -> None:
    rng = np.random.default_rng(0)
    kernel = arrayexpr.kernel(lambda x: np.sum(x * 1))
    x = rng.random(1 << 18).astype("f4")
    true = x.astype("f8").sum()
    assert abs(kernel(x) - true) <= max(abs(x.sum() - true), 1e-6 * true)


@pytest.mark.parametrize(
    "left, right", [((3, 4), (4,)), ((4,), (4, 3)), ((4,), (4,)), ((2, 3, 4), (4, 5)), ((0, 4), (4, 2))]
)
def test_products_between_statements(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """Shapes are known before anything runs: what is assigned early stays as it was where a product does not fit."""

    def f(x: Any, y: Any, z: Any) -> None:
        z += 1
        z[...] = (x @ y) * 2 + z

    kernel = arrayexpr.kernel(f)
    x, y = np.ones(left), np.ones(right)
    z = np.zeros(np.matmul(x, y).shape)
    kernel(x, y, z)
    assert (z == 2 * np.matmul(x, y) + 1).all()
    before = z.copy()
    with pytest.raises(ShapeMismatch, match="x .* and y .* do not contract"):
        kernel(x, np.ones((7,) * y.ndim), z)
    assert same(z, before)


# -- Bad input ----------------------------------------------------------------------------------

_ADD2 = arrayexpr.compile(
    arrayexpr.program(arrayexpr.array("left", "float64", 2) + arrayexpr.array("right", "float64", 2))
)


def _unchanged(out: np.ndarray) -> None:
    assert (out == 7).all()


@pytest.mark.parametrize(
    "args, error, match",
    [
        ((np.ones((2, 3)),), TypeError, r"takes 2 operands \(left, right\): got 1"),
        ((np.ones((2, 3)),) * 3, TypeError, r"takes 2 operands \(left, right\): got 3"),
        (
            (np.ones((2, 3)), np.ones((3, 2))),
            ShapeMismatch,
            r"right has shape \(3, 2\), which does not broadcast with \(2, 3\) of left",
        ),
        ((np.ones((4, 3)), np.ones((4, 3))), ShapeMismatch, r"r has shape \(2, 3\): expected \(4, 3\)"),
        ((np.ones(3), np.ones((2, 3))), ShapeMismatch, r"left has 1 axes \(shape \(3,\)\): expected 2"),
        ((np.ones((2, 3), "f4"), np.ones((2, 3))), TypeMismatch, "left has element type float32: expected float64"),
        ((np.ones((2, 3)), np.ones((2, 3), int)), TypeMismatch, "right has element type int64: expected float64"),
        ((np.ones((2, 3)), np.ones((2, 3), object)), TypeMismatch, "right has element type object"),
        ((np.ones((2, 3)), np.ones((2, 3), "M8[s]")), TypeMismatch, "right has element type datetime64"),
        ((np.ones((2, 3)), np.ones((2, 3), "S3")), TypeMismatch, r"right has element type \|S3"),
        ((np.ones((2, 3)), np.zeros((2, 3), "f8,i4")), TypeMismatch, "right has element type"),
        ((np.ones((2, 3)), "text"), TypeMismatch, "right is str"),
        ((np.ones((2, 3)), None), TypeMismatch, "right is NoneType"),
        ((np.ones((2, 3)), 1.0), ShapeMismatch, "right is a scalar"),
        ((np.ones((2, 3)), object()), TypeMismatch, "right is object"),
        ((np.ones((2, 3)), [[1.0, 2.0], [3.0]]), (ValueError, ArrayExprError), "inhomogeneous"),
        ((np.ones((2, 3)), np.ones((1,) * 31 + (2, 3))), (ShapeMismatch,), "right has 33 axes"),
    ],
)
def test_bad_operands(args: tuple[Any, ...], error: Any, match: str) -> None:
    out = np.full((2, 3), 7.0)
    with pytest.raises(error, match=match):
        _ADD2(*args, out=out)
    _unchanged(out)


@pytest.mark.parametrize(
    "out, error, match",
    [
        (np.full((2, 2), 7.0), ShapeMismatch, r"r has shape \(2, 2\): expected \(2, 3\)"),
        (np.full((1, 3), 7.0), ShapeMismatch, r"r has shape \(1, 3\): expected \(2, 3\)"),
        (np.full(3, 7.0), ShapeMismatch, "out for r has 1 axes: expected 2"),
        (np.full((2, 3), 7), TypeMismatch, "out for r has element type int64: expected float64"),
        ([[7.0] * 3] * 2, TypeError, "out for r is list: expected a NumPy array"),
        ((np.full((2, 3), 7.0),) * 2, TypeError, "has 1 results: out has 2"),
        ((), TypeError, "has 1 results: out has 0"),
    ],
)
def test_bad_outputs(out: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        _ADD2(np.ones((2, 3)), np.ones((2, 3)), out=out)
    if isinstance(out, np.ndarray):
        _unchanged(out)


def test_outputs_of_another_type_are_cast_as_numpy_does() -> None:
    a = np.ones((2, 3)) / 3
    for dtype in ("f4", "c16", "f8", ">f8", "g"):
        out = np.zeros((2, 3), dtype)
        _ADD2(a, a, out=out)
        assert same(out, (a + a).astype(dtype))


def test_read_only_outputs() -> None:
    a = np.ones((2, 3))
    out = np.full((2, 3), 7.0)
    _ADD2(a, a, out=out.copy())
    out.flags.writeable = False
    # On the path of calls that are remembered as well.
    for _ in range(2):
        with pytest.raises(ValueError, match="out for r is read-only"):
            _ADD2(a, a, out=out)
    _unchanged(out)
    assign = arrayexpr.compile(parse("def f(a: float64[:, :], b: float64[:, :]):\n    a[...] = a + b\n"))
    assign(a.copy(), a)
    for _ in range(2):
        with pytest.raises(ValueError, match="operand a is assigned to and its array is read-only"):
            assign(out, a)
    _unchanged(out)


def test_outputs_that_overlap_themselves() -> None:
    """An output whose elements share memory gets each of its values, in some order; operands assigned are refused."""
    base = np.zeros(6)
    out = np.lib.stride_tricks.as_strided(base, (2, 3), (8, 8))
    a = np.arange(6.0).reshape(2, 3)
    _ADD2(a, a, out=out)
    expected = np.zeros(6)
    np.lib.stride_tricks.as_strided(expected, (2, 3), (8, 8))[...] = a + a
    assert same(base, expected)
    assign = arrayexpr.compile(parse("def f(a: float64[:, :], b: float64[:, :]):\n    a[...] = a + b\n"))
    repeated = np.lib.stride_tricks.as_strided(np.zeros(3), (2, 3), (0, 8))
    for _ in range(2):
        with pytest.raises(ValueError, match="operand a is assigned to and its array overlaps itself"):
            assign(repeated, a)
    assert not repeated.any()


def test_nothing_is_changed_by_a_shape_error_in_a_later_statement() -> None:
    program = parse(
        "def f(a: float64[:], b: float64[:], c: float64[:], *, r: float64[:]):\n"
        "    a[...] = a + b\n    r[...] = a + c\n"
    )
    kernel = arrayexpr.compile(program)
    a = np.full(3, 7.0)
    with pytest.raises(ShapeMismatch, match="c has shape"):
        kernel(a, np.ones(3), np.ones(4))
    _unchanged(a)


def test_scalars() -> None:
    kernel = arrayexpr.compile(arrayexpr.program(arrayexpr.array("x", "int8", 1) + arrayexpr.scalar("s", "int8")))
    x = np.arange(3, dtype="i1")
    assert same(kernel(x, 5), x + np.int8(5)) and same(kernel(x, np.int8(-5)), x - np.int8(5))
    for value, match in ((300, "300"), (2.5, "s is a Python float"), (1j, "s is a Python complex"), (2**70, "")):
        with pytest.raises(ArrayExprError, match=match):
            kernel(x, value)
    with pytest.raises(TypeMismatch, match="operand s"):
        kernel(x, np.int64(5))
    with pytest.raises(ShapeMismatch, match="operand s has 1 axes"):
        kernel(x, np.ones(3, "i1"))


def test_subclasses_of_arrays_are_taken_as_plain_arrays() -> None:
    """`np.asarray`'s rule: a matrix is its elements, results are plain arrays, and `*` is element by element."""
    matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    for _ in range(2):
        got = _ADD2(matrix, matrix)
        assert type(got) is np.ndarray and same(got, np.asarray(matrix) + np.asarray(matrix))


def test_masked_arrays_are_refused() -> None:
    """A mask would be lost without a word."""
    masked = np.ma.masked_array(np.ones((2, 3)), mask=[[True, False, True], [False] * 3])
    for _ in range(2):
        with pytest.raises(TypeMismatch, match="left is a masked array"):
            _ADD2(masked, np.ones((2, 3)))
        with pytest.raises(TypeMismatch, match="out for .* is a masked array"):
            _ADD2(np.ones((2, 3)), np.ones((2, 3)), out=masked)
    with pytest.raises(TypeMismatch, match="x is a masked array"):
        arrayexpr.kernel(lambda x: x + 1)(masked)


def test_lists_and_array_likes() -> None:
    class Like:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return np.ones((2, 2))

    assert same(_ADD2([[1.0, 2.0], [3.0, 4.0]], Like()), np.array([[2.0, 3.0], [4.0, 5.0]]))
    assert same(arrayexpr.kernel(axpy)(2.0, [1.0, 2.0], (3.0, 4.0)), np.array([5.0, 8.0]))


def test_an_array_like_that_fails_says_why() -> None:
    class Broken:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            raise RuntimeError("the file is gone")

    with pytest.raises(RuntimeError, match="the file is gone"):
        _ADD2(np.ones((2, 2)), Broken())


def test_negative_integer_powers() -> None:
    kernel = arrayexpr.kernel(lambda x, y: x**y)
    x = np.arange(5)
    assert same(kernel(x, x), x**x)
    for _ in range(2):
        with pytest.raises(ValueError, match="Integers to negative integer powers are not allowed"):
            kernel(x, -x)


def test_warnings_of_numpy_do_not_show() -> None:
    kernel = arrayexpr.kernel(lambda x: np.log(x) / x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kernel(np.array([0.0, -1.0]))


def test_evaluate_and_explain() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.ones((3, 2))
    assert same(arrayexpr.evaluate("a + b.T * 2", {"a": a, "b": b}), a + b.T * 2)
    out = np.zeros((2, 3))
    assert arrayexpr.evaluate("a * 2", {"a": a}, out=out) is out and same(out, a * 2)
    with pytest.raises(ArrayExprError, match="c"):
        arrayexpr.evaluate("a + c", {"a": a})
    text = arrayexpr.explain(arrayexpr.kernel(transposed), a, b)
    assert "As written" in text and "Step 1" in text and "vector" in text
    assert same(a, np.arange(6.0).reshape(2, 3))
    with pytest.raises(TypeError, match="explain of int"):
        arrayexpr.explain(3)
    with pytest.raises(TypeError, match="needs its arguments"):
        arrayexpr.explain(arrayexpr.kernel(transposed))


def test_a_kernel_looks_like_its_function() -> None:
    def scaled(x: Any, y: Any) -> Any:
        """Doc."""
        return x * y

    kernel = arrayexpr.kernel(scaled)
    assert kernel.__name__ == "scaled" and kernel.__doc__ == "Doc." and kernel.__wrapped__ is scaled
    assert list(inspect.signature(kernel).parameters) == ["x", "y"]
    assert "scaled" in repr(kernel)


def test_one_trace_when_many_threads_come_first() -> None:
    traced = []

    @arrayexpr.kernel
    def f(x: Any) -> Any:
        traced.append(1)
        return x * 3 + 1

    x = np.arange(1000.0)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                assert same(f(x), x * 3 + 1)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and len(traced) == 1
