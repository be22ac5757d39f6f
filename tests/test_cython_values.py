"""The Cython adapter: new memoryviews, masks, reductions by name, functions called on elements, fused statements."""

from __future__ import annotations

import gc
import sys
import traceback
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cython_build import SOURCES, build, errors_of
from layouts import lay_out

NAMES = ["values.pyx", "reductions.pyx", "fused.pyx", "pure.py"]
LAYOUTS = ("C", "F", "permuted", "reversed", "stepped")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(tmp_path_factory.mktemp("values"), [SOURCES / name for name in NAMES], ["-O0"])


@pytest.fixture(scope="module")
def m(built: Any) -> Any:
    return built[0]["values"]


@pytest.fixture(scope="module")
def r(built: Any) -> Any:
    return built[0]["reductions"]


@pytest.fixture(scope="module")
def f(built: Any) -> Any:
    return built[0]["fused"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def same(got: Any, expected: np.ndarray) -> None:
    """A memoryview holds an array: its values, type and shape."""
    got = np.asarray(got)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def lines_of(error: BaseException, source: str) -> list[str]:
    """The lines of the module's source that a traceback goes through."""
    text = (SOURCES / source).read_text().splitlines()
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(source)]
    return [text[(frame.lineno or 1) - 1].strip() for frame in frames]


# -- values --


def test_a_value_is_a_new_memoryview_in_c_order(m: Any, rng: np.random.Generator) -> None:
    for layout in LAYOUTS:
        a, b = (lay_out(rng.standard_normal((5, 70)), layout, rng) for _ in range(2))
        made = m.product(a, b)
        same(made, a * b)
        assert np.asarray(made).flags.c_contiguous and np.asarray(made).flags.writeable
        assert not np.shares_memory(np.asarray(made), a)
        u, t, n = m.chained(a, b[0])
        same(t, a * b[0] + 1)
        same(u, (a * b[0] + 1) - a)
        assert n == 5
    same(m.product(np.ones((3, 1)), np.ones((1, 4))), np.ones((3, 4)))
    same(m.product(np.ones((0, 4)), np.ones((1, 4))), np.ones((0, 4)))


def test_declared_targets_convert_and_order(m: Any) -> None:
    k = np.arange(4, dtype="i4")
    t, u = m.declared(k, k)
    same(t, (k * k).astype(float))
    same(u, (k * k / 2).astype("f4"))
    made = np.asarray(m.fortran(np.arange(6.0).reshape(2, 3)))
    assert made.flags.f_contiguous
    same(made, np.arange(6.0).reshape(2, 3) + 1)


def test_values_are_arguments_and_results(m: Any) -> None:
    a = np.arange(5.0)
    assert m.argument(a) == 10
    same(m.without_gil(a), a * 3 + 1)
    x, n, tail, y, z = m.temporaries(a)
    assert (x, n) == (1, 5)
    same(tail, (a * a)[1:])
    same(y, a * 2)
    assert np.shares_memory(np.asarray(y), np.asarray(z))


def test_types_of_values_are_cs(m: Any) -> None:
    a, b = np.ones(3, "f4"), np.arange(3, dtype="i2")
    made = [np.asarray(each) for each in m.narrow(a, b)]
    assert [each.dtype.char for each in made] == ["f", made[1].dtype.char, "f", "d", made[4].dtype.char]
    np.testing.assert_array_equal(made[1], b * b)
    np.testing.assert_array_equal(made[4], b << 1)
    for dtype in "fd":
        c = np.arange(4, dtype=dtype)
        assert np.asarray(m.fused_value(c, c)).dtype.char in "fd"
        np.testing.assert_array_equal(np.asarray(m.fused_value(c, c)), c * c + 1)


def test_closures_generators_classes_and_lambdas(m: Any) -> None:
    a = np.arange(4.0)
    same(m.closure(a)(3), a * 3)
    for k, each in enumerate(m.generated(a, 3)):
        same(each, a * k)
    holder = m.Holder(a)
    one, two, (three,) = holder.doubled()
    same(one, a + 1)
    same(two["x"], a - 1)
    same(three, a * 3)
    same(holder.b, a * 2)
    same((m.Field(np.ones((2, 2))) * 5).data, np.full((2, 2), 5.0))
    same(m.chooses(a, a, True), a * 2)
    same(m.chooses(a, a, False), a * 3)
    same(m.lambdas(a), (a + 1) * a)


def test_errors_of_values(m: Any) -> None:
    a, b = np.arange(4.0), np.zeros(4)
    with pytest.raises(ZeroDivisionError, match="^float division$") as raised:
        m.quotient(a, b)
    assert lines_of(raised.value, "values.pyx") == ["a / b"]
    with pytest.raises(ValueError, match=r"^got differing extents in dimension 1 \(got 3 and 2\)$") as wrong:
        m.shapes(np.ones((4, 3)), np.ones((4, 2)))
    assert lines_of(wrong.value, "values.pyx") == ["return a + b"]
    with pytest.raises(TypeError, match="Cannot read None memoryview slice") as none:
        m.shapes(np.ones((4, 3)), None)
    assert lines_of(none.value, "values.pyx") == ["return a + b"]
    with pytest.raises((MemoryError, ValueError)):
        m.shapes(
            np.lib.stride_tricks.as_strided(a, (2**40, 1), (0, 0)), np.broadcast_to(a, (1, 4))[:, :1].repeat(2**10, 1)
        )


def test_masks_are_bytes_that_python_sees_as_bool(m: Any) -> None:
    a, b = np.arange(4.0), np.array([3.0, 1, 2, 0])
    less, zero, both, equal, first = m.masks(a, b)
    same(less, a < b)
    same(zero, a == 0)
    same(both, (a < b) & (a > 0))
    same(equal, (a == b).astype("i4"))
    assert first == 1
    mask, wide = np.zeros(4, bool), np.zeros(4, "i4")
    same(m.masked(a, b, mask, wide), np.where(a < b, a, b))
    same(mask, a < b)
    same(wide, (a == b).astype("i4"))
    nan = np.array([np.nan, 1.0])
    same(m.masks(nan, nan)[0], nan < nan)
    assert m.against_none(a) == (False, True)


# -- functions --


def test_functions_that_raise_store_nothing(m: Any) -> None:
    a, out = np.arange(4.0), np.full(4, -7.0)
    m.calls(a, out)
    same(out, a * 2 + a + 1)
    out[:] = -7
    with pytest.raises(KeyError) as raised:
        m.calls(a * 3, out)
    assert raised.value.args == (6.0,)
    assert lines_of(raised.value, "values.pyx") == ["out[...] = limited(a) \\", "raise KeyError(x)"]
    assert (out == -7).all()
    with pytest.raises(KeyError):
        m.calls_value(a * 3)
    same(m.calls_value(a), a * 2)
    k = np.arange(8, dtype="i4").reshape(2, 4)
    whole = np.zeros((2, 4), "i4")
    m.calls_int(k + 4, whole)
    same(whole, k + 5)
    with pytest.raises(ValueError, match="three"):
        m.calls_int(k, whole)
    same(whole, k + 5)
    with pytest.raises(ArithmeticError, match="negative") as inside:
        m.calls_without_gil(a - 1, out)
    assert lines_of(inside.value, "values.pyx")[0] == "out[...] = careful(a)"
    m.calls_without_gil(a, out)
    same(out, a)


def test_functions_see_memory_as_it_was(m: Any) -> None:
    a = np.arange(4.0)
    m.calls_shifted(a)
    same(a, np.array([0.0, 0, 1, 2]))
    a = np.arange(1.0, 5)
    m.reads_target(a)
    same(a, np.arange(1.0, 5) + 1)


def test_functions_are_called_in_c_order_once(m: Any, rng: np.random.Generator) -> None:
    for layout in LAYOUTS:
        a, out = lay_out(np.arange(6.0).reshape(2, 3), layout, rng), np.zeros((2, 3))
        assert m.in_order(a, lay_out(out, layout, rng)) == [0, 1, 2, 3, 4, 5]
    same(m.through_pointer(np.arange(3.0)), np.arange(3.0) + 2)


def test_overflow_is_checked(m: Any) -> None:
    a, out = np.full(3, 2**20, "i4"), np.zeros(3, "i4")
    with pytest.raises(OverflowError) as raised:
        m.checked(a, a, out)
    assert lines_of(raised.value, "values.pyx") == ["out[...] = a * b + 1"]
    assert not out.any()
    m.checked(a, a * 0 + 3, out)
    same(out, a * 3 + 1)
    with pytest.raises(OverflowError):
        m.checked_value(np.array([1, 2**63 - 1]))


def test_quotients_of_complex_numbers_and_remainders(m: Any, rng: np.random.Generator) -> None:
    a, b = rng.standard_normal(6) + 2j, rng.standard_normal(6) - 1j
    np.testing.assert_allclose(np.asarray(m.complex_quotient(a, b)), a / b, rtol=1e-15)
    with pytest.raises(ZeroDivisionError, match="float division") as raised:
        m.complex_quotient(a, b * 0)
    assert lines_of(raised.value, "values.pyx") == ["return a / b"]
    out = np.empty(6, complex)
    m.complex_quotient_of_c(a, b, out)
    np.testing.assert_allclose(out, a / b, rtol=1e-15)
    x = rng.standard_normal(20) * 10
    np.testing.assert_allclose(np.asarray(m.modulo(x, 2.5)), x % 2.5, atol=1e-14)
    with pytest.raises(ZeroDivisionError):
        m.modulo(x, 0)


def test_powers_are_cythons(m: Any) -> None:
    a, out = np.array([4.0, 9.0]), np.zeros(2)
    m.roots(a, out)
    same(out, np.array([2.0, 3.0]))
    m.roots(-a, out)
    assert np.isnan(out).all()
    same(m.roots_of_c(a), np.array([2.0, 3.0]))


def test_any_function_takes_values(m: Any) -> None:
    a = np.arange(1.0, 5)
    np.testing.assert_array_equal(m.of_bytes(np.array([250], "u1"), np.array([9], "i1")), [259])
    a.setflags(write=False)
    twice, sums = m.constant(a, np.ones((2, 4), "f4"))
    same(twice, a * 2)
    same(sums, 1 + np.stack([a, a]))
    a = a.copy()
    same(m.Watch().all(a)[0], a * 2)
    coroutine = m.later(a)
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    same(done.value.value, a * 2 + 1)
    b = np.zeros(4)
    same(m.in_try(a, b), a * 0)
    same(m.in_try(a, b), a / (a + 1))
    for k, each in enumerate(m.comprehended(np.stack([a, a]))):
        same(each, a * k)
    same(m.with_defaults(a, 1, x=2), a * 2)


# -- reductions --


def test_reductions_of_everything(r: Any, rng: np.random.Generator) -> None:
    for shape in [(3, 4), (40, 300), (1, 1)]:
        for layout in LAYOUTS:
            a, b = lay_out(rng.standard_normal(shape), layout, rng), rng.standard_normal(shape[1])
            got = r.full(a, b)
            expected = ((a * b).sum(), (a + b).prod(), a.min(), (a - b).max(), a.mean(), (a > 1).any(), (a > 1).all())
            np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)
            assert got[2:4] == (a.min(), (a - b).max())
            assert [type(each) for each in got] == [float] * 5 + [bool] * 2


def test_reductions_along_axes(r: Any, rng: np.random.Generator) -> None:
    for shape in [(3, 4, 5), (2, 30, 70), (5, 1, 5)]:
        for layout in LAYOUTS:
            a, b = lay_out(rng.standard_normal(shape), layout, rng), rng.random(shape[2]).astype("f4")
            got = r.along(a, b)
            expected = (a * b).sum(0), a.max((0, -1)), (a * 2).mean(1, keepdims=True), (a > b).any(2)
            for one, other in zip(got, expected, strict=True):
                assert one.dtype == other.dtype and one.shape == other.shape
                np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def test_types_of_reductions(r: Any, rng: np.random.Generator) -> None:
    s, u = rng.integers(-30000, 30000, (4, 5)).astype("i2"), rng.integers(1, 255, 6).astype("u1")
    total, product, positive, mean, low, rows = r.integers(s, u)
    assert (total, positive, mean, low) == (s.sum(), (s > 0).sum(), s.mean(), s.min())
    assert product.dtype == u.prod(keepdims=True).dtype and product[0] == u.prod()
    same(rows, np.full(4, 5))
    z = rng.standard_normal(50) + 1j
    np.testing.assert_allclose(r.of_complex(z), ((z * z).sum(), z.mean()), rtol=1e-13)
    x = rng.random((30, 40)).astype("f4")
    total, means = r.of_float(x)
    assert means.dtype == np.float32
    np.testing.assert_allclose(means, x.mean(1), rtol=1e-6)


def test_reductions_in_expressions(r: Any, rng: np.random.Generator) -> None:
    a = rng.standard_normal((6, 8))
    np.testing.assert_allclose(r.normal(a), (a - a.mean(0)) / a.sum(), rtol=1e-12)
    out = np.zeros(6)
    r.into(a, out)
    np.testing.assert_allclose(out, [a.max(), *(a.sum(1) * a.min())[1:]], rtol=1e-13)
    assert r.through_calls(np.arange(3.0)) == 5
    with pytest.raises(KeyError):
        r.through_calls(np.arange(5.0))
    assert r.used(np.array([1.0, 2, 4])) == 3
    assert r.used(np.array([1.0, np.nan, 4])) == "nan"


def test_reductions_over_nothing(r: Any) -> None:
    with pytest.raises(ValueError, match="zero-size array to reduction operation minimum which has no identity"):
        r.full(np.zeros((0, 3)), np.zeros(3))
    sums, highest, _, anything = r.along(np.zeros((2, 0, 3)), np.zeros(3, "f4"))
    assert sums.shape == (0, 3) and highest.shape == (0,) and anything.shape == (2, 0)
    with pytest.raises(ZeroDivisionError):
        r.of_quotient(np.ones(3), np.zeros(3))
    assert r.of_quotient(np.ones(0), np.zeros(0)) == 0


@pytest.mark.parametrize(
    "call, said",
    [
        ("arrayexpr.sum(a, axis=2)", "axis 2 is out of bounds for 2 axes"),
        ("arrayexpr.sum(a, axis=(0, 0))", "names an axis twice"),
        ("arrayexpr.sum(a, axis=n)", "is not known here: expected a constant"),
        ("arrayexpr.sum(n)", "expected memoryviews of numbers"),
        ("arrayexpr.sum(a, where=a)", "takes an expression on memoryviews, then axis= and keepdims="),
        ("1\n    if a * 2:\n        r = 2", "neither true nor false"),
    ],
)
def test_calls_that_are_refused(tmp_path: Any, call: str, said: str) -> None:
    text = f"cimport arrayexpr\ndef f(double[:, :] a, int n):\n    r = {call}\n    return r\n"
    assert said in errors_of(tmp_path, text)


# -- statements in a row --


def test_statements_in_a_row_are_one_kernel(built: Any) -> None:
    said = [str(entry) for entry in built[1] if entry.kind == "statements"]
    assert len([text for text in said if "fused.pyx" in text]) >= 5
    assert any("one kernel for 3 statements, without 1 of their memoryviews" in text for text in said)
    assert any("one kernel for 4 statements, without 3 of their memoryviews" in text for text in said)


def test_fused_statements_compute_what_they_say(f: Any, rng: np.random.Generator) -> None:
    for order in "CF":
        a, b, c, out, total = (np.array(rng.standard_normal((30, 40)), order=order) for _ in range(5))
        expected = a * b + c
        whole = total + expected
        f.two(a, b, c, out, total)
        same(out, expected)
        same(total, whole)
    x, y, z = (rng.standard_normal(300) for _ in range(3))
    same(f.kept(x, y, z), x * y)
    same(z, x * y + 1)
    b, product = y.copy(), x * y
    f.chain(x, b, 2.0)
    same(b, (product + 2) * (product + 2) - product)
    a, b = x.copy(), y.copy()
    f.twice(a, b)
    same(a, (x + 1) * y)
    same(b, a - y)
    k, short, wide = np.arange(30000, 30100, dtype="i4"), np.zeros(100, "i2"), np.zeros(100)
    f.types(k, short, wide)
    same(short, (k * 2).astype("i2"))
    same(wide, short + 0.5)
    held, y2 = f.Held(np.zeros(300)), y.copy()
    held.go(y2)
    same(y2, y * 2 + y)


def test_new_memoryviews_that_are_read_in_part_or_later(f: Any, rng: np.random.Generator) -> None:
    a, out = rng.standard_normal((30, 30)), np.zeros((30, 30))
    f.parts(a, out)
    expected = (a * 2).T + 1
    expected[1:] = (a * 2)[:-1] * 2
    same(out, expected)
    x, y = rng.standard_normal(300), np.zeros(300)
    f.again(x, y, 3)
    same(y, (x + 2) + (x + 2) * 2)
    f.late(x, y, 3)
    same(y, (x * 1 + 1) + x * 2)


def test_fused_statements_on_shared_memory_run_one_by_one(f: Any, rng: np.random.Generator) -> None:
    base = rng.standard_normal(200)
    for _ in range(200):
        data, expected = base.copy(), base.copy()
        starts = rng.integers(0, 150, 2)
        views = [array[starts[0] : starts[0] + 50] for array in (data, expected)]
        others = [array[starts[1] : starts[1] + 50] for array in (data, expected)]
        f.order(views[0], others[0])
        views[1][...] = others[1] * 2
        others[1][...] = views[1] + 1
        same(data, expected)
        f.slices(views[0], others[0])
        others[1][1:-1] = views[1][2:] - views[1][:-2]
        others[1][1:-1] *= 2
        same(data, expected)
        f.chain(views[0], others[0], 0.5)
        product = views[1] * others[1]
        others[1][...] = (product + 0.5) * (product + 0.5) - product
        same(data, expected)


def test_fused_statements_raise_where_they_stand(f: Any) -> None:
    one, other = np.ones((2, 2)), np.ones((2, 3))
    with pytest.raises(ValueError, match="dimension 1") as raised:
        f.two(one, other, one, one, one)
    assert lines_of(raised.value, "fused.pyx") == ["t = a * b"]
    out = np.zeros((2, 2))
    with pytest.raises(TypeError) as none:
        f.two(one, one, one, out, None)
    assert lines_of(none.value, "fused.pyx") == ["total[...] += out"]
    # What stood before has been done.
    assert (out == 2).all()


def test_fused_statements_without_the_gil(f: Any, rng: np.random.Generator) -> None:
    a, b = rng.standard_normal((20, 30)).astype("f4"), rng.standard_normal(30).astype("f4")
    out, other = np.zeros_like(a), np.zeros_like(a)
    f.without_gil(a, b, out, other)
    same(out, a * np.float32(3) + b)
    same(other, a - b * out)


# -- ways of writing Cython --


def test_pure_python_mode(built: Any, rng: np.random.Generator) -> None:
    pure = built[0]["pure"]
    a, b, out = rng.standard_normal((4, 5)), rng.standard_normal(5), np.zeros((4, 5))
    pure.statement(a, b, out)
    np.testing.assert_allclose(out, a * b + np.sin(b), rtol=1e-15)
    same(pure.value(b, 3.0), 2 * b * 3)
    total, mask = pure.reduced(b)
    np.testing.assert_allclose(total, (b * b).sum(), rtol=1e-14)
    same(mask, b > 1)


def test_inline_functions_of_declarations(tmp_path: Any) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "shared.pxd").write_text(
        "cdef inline double half(double x) noexcept nogil:\n    return x / 2\n\n"
        "cdef inline double[:] halves(double[:] a):\n    a[...] *= 1\n    return a / 2\n"
    )
    (tmp_path / "user_of.pyx").write_text(
        "# cython: language_level=3\nfrom shared cimport half, halves\n"
        "def f(double[:] a, double[:] out):\n    out[...] = half(a) + 1\n    return halves(a)\n"
    )
    modules, _ = build(tmp_path / "made", [tmp_path / "user_of.pyx"], include_path=[str(tmp_path / "made")])
    a, out = np.arange(4.0), np.zeros(4)
    same(modules["user_of"].f(a, out), a / 2)
    same(out, a / 2 + 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["values.pyx", "reductions.pyx", "fused.pyx", "statements.pyx", "loops.pyx", "nests.pyx"]
)
def test_modules_in_cplusplus(tmp_path: Any, name: str, rng: np.random.Generator) -> None:
    text = "# distutils: language = c++\n" + (SOURCES / name).read_text()
    path = tmp_path / f"plus_{name}"
    path.write_text(text)
    (tmp_path / "made").mkdir()
    modules, entries = build(tmp_path / "made", [path], ["-O0"])
    assert any(entry.done for entry in entries)
    (made,) = modules.values()
    a, b = rng.standard_normal((30, 40)), rng.standard_normal((30, 40)).T.copy().T
    if name == "values.pyx":
        same(made.product(a, b), a * b)
        with pytest.raises(KeyError):
            made.calls_value(np.full(3, 9.0))
    elif name == "reductions.pyx":
        np.testing.assert_allclose(made.full(a, b[0])[0], (a * b[0]).sum(), rtol=1e-12)
    elif name == "fused.pyx":
        out, total = np.zeros((30, 40)), np.zeros((30, 40))
        made.two(a, b, a, out, total)
        same(total, a * b + a)
    elif name == "nests.pyx":
        out = np.zeros(30)
        made.row_sums(b, out)
        same(out, np.array([sum(row) for row in b]))
    else:
        out = np.zeros((30, 40))
        made.axpy(a, b, 2.5, out)
        same(out, a * b + 2.5)


def test_types_of_numpys_declarations(tmp_path: Any) -> None:
    from arrayexpr.adapters.cython import cythonize, report

    path = tmp_path / "named.pyx"
    path.write_text(
        "# cython: language_level=3\ncimport numpy as cnp\n"
        "def f(cnp.float32_t[:] b, cnp.uint8_t[:] m, cnp.npy_bool[:] q, cnp.intp_t[:] k):\n"
        "    m[...] = b < 1\n    q[...] = b > 2\n    k[...] += q\n    return b * 2 + k\n"
    )
    with report.collected() as entries:
        assert cythonize([str(path)], quiet=True, force=True)
    assert [entry.line for entry in entries if entry.done and entry.kind in ("statement", "value", "reduction")] == [
        4,
        5,
        6,
        7,
    ]


def test_long_expressions_are_typed_in_linear_time(tmp_path: Any) -> None:
    from arrayexpr.adapters.cython import cythonize

    # Twice as long for each operator would take hours.
    chains = ["a * 2" + " + a" * 60, "b" + " + b" * 200, "x" + " and not x" * 60, "a < 1" + " and a > 2" * 40]
    lines = [f"    v{k} = {chain}\n    print(v{k})\n" for k, chain in enumerate(chains)]
    path = tmp_path / "long.pyx"
    path.write_text("# cython: language_level=3\ndef f(double[:] a, b, x):\n" + "".join(lines))
    assert cythonize([str(path)], quiet=True, force=True)


# -- memory --


def check_leaks(calls: list[Callable[[], Any]], arrays: list[np.ndarray], times: int) -> None:
    """Calls, many times over, leave the counts of references and blocks of memory as they were."""
    for call in calls * 3:
        call()
    gc.collect()
    counts, blocks = [sys.getrefcount(each) for each in arrays], sys.getallocatedblocks()
    for _ in range(times):
        for call in calls:
            call()
    gc.collect()
    assert [sys.getrefcount(each) for each in arrays] == counts
    assert sys.getallocatedblocks() < blocks + 200


def caught(kind: type[BaseException], function: Any, *args: Any) -> Callable[[], None]:
    def call() -> None:
        with pytest.raises(kind):
            function(*args)

    return call


def every_call(m: Any, r: Any, f: Any) -> tuple[list[Callable[[], Any]], list[Callable[[], Any]], list[np.ndarray]]:
    """Calls that return, calls that raise, and the arrays that they are of."""
    a, x, y = np.ones((4, 4)), np.ones(4), np.zeros(4)
    out, total, deep = np.ones((4, 4)), np.ones((4, 4)), np.ones((2, 3, 4))
    good = [
        lambda: m.product(a, a),
        lambda: m.chained(a, x),
        lambda: m.without_gil(x),
        lambda: m.masks(x, x),
        lambda: m.temporaries(x),
        lambda: m.calls(x, x.copy()),
        lambda: r.full(a, x),
        lambda: r.along(deep, x.astype("f4")),
        lambda: r.normal(a),
        lambda: f.two(a, a, a, out, total),
        lambda: f.kept(x, x, y),
    ]
    bad = [
        caught(ZeroDivisionError, m.quotient, x, np.zeros(4)),
        caught(ValueError, m.shapes, a, deep[0]),
        caught(TypeError, m.shapes, a, None),
        caught(KeyError, m.calls_value, x * 9),
        caught(KeyError, r.through_calls, x * 3),
        caught(ValueError, r.full, a[:0], x),
        caught(TypeError, f.two, a, a, a, out, None),
    ]
    return good, bad, [a, x, y, out, total, deep]


def test_nothing_is_leaked(m: Any, r: Any, f: Any) -> None:
    good, bad, arrays = every_call(m, r, f)
    check_leaks([*good, *bad], arrays, 300)


def test_memory_of_values_is_freed(m: Any) -> None:
    a = np.ones((200, 200))
    tracemalloc.start()
    try:
        import resource

        m.product(a, a)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(2000):
            m.product(a, a)
            m.calls_value(a[0])
        # 320 kB each: 640 MB in all.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_nothing_is_leaked_over_a_million_calls(m: Any, r: Any, f: Any) -> None:
    good, bad, arrays = every_call(m, r, f)
    check_leaks(good, arrays, 1_000_000 // len(good))
    check_leaks(bad, arrays, 3000)
