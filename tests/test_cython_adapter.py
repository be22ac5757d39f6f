"""The Cython adapter: statements on memoryviews against NumPy."""

from __future__ import annotations

import gc
import sys
import traceback
from typing import Any

import numpy as np
import pytest
from cython_build import SOURCES, build, errors_of
from layouts import lay_out

pytest.importorskip("Cython")

LAYOUTS = ("C", "F", "permuted", "reversed", "stepped")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(tmp_path_factory.mktemp("statements"), [SOURCES / "statements.pyx"])


@pytest.fixture(scope="module")
def m(built: Any) -> Any:
    return built[0]["statements"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def laid_out(rng: np.random.Generator, *shape: int, dtype: Any = float) -> np.ndarray:
    """Values from -9 to 9 without 0, in a random layout."""
    values = rng.integers(1, 10, shape) * rng.choice([-1, 1], shape)
    return lay_out(values.astype(dtype), rng.choice(LAYOUTS), rng)


@pytest.mark.parametrize("dtype", ["b", "B", "h", "H", "i", "I", "l", "L", "f", "d", "g"])
def test_every_element_type(m: Any, rng: np.random.Generator, dtype: str) -> None:
    for shape in [(3, 5), (40, 70), (1, 9), (9, 1), (0, 4)]:
        a, b, out = (laid_out(rng, *shape, dtype=dtype) for _ in range(3))
        # C computes narrow integers as int.
        wide = np.dtype(dtype) if np.dtype(dtype).kind == "f" or np.dtype(dtype).itemsize > 2 else np.dtype("i")
        expected = (a.astype(wide) * b.astype(wide) + a.astype(wide)).astype(dtype)
        m.fused_axpy(a, b, out)
        np.testing.assert_array_equal(out, expected)


def test_complex_elements(m: Any, rng: np.random.Generator) -> None:
    a = rng.standard_normal(50) + 1j * rng.standard_normal(50)
    b = (rng.standard_normal(100) + 1j * rng.standard_normal(100))[::-2]
    out = np.empty(50, complex)
    m.complex_axpy(a, b, 2 - 3j, out)
    np.testing.assert_allclose(out, a * b - (2 - 3j), rtol=1e-15)


def test_every_layout_gives_the_same_bits(m: Any, rng: np.random.Generator) -> None:
    for shape in [(1, 1), (2, 3), (16, 16), (65, 300), (300, 65), (500, 1), (1, 500)]:
        plain = [rng.standard_normal(shape) for _ in range(3)]
        expected = plain[0] * plain[1] + 2.5
        for _ in range(12):
            a, b, out = (lay_out(x, rng.choice(LAYOUTS), rng) for x in plain)
            m.axpy(a, b, 2.5, out)
            np.testing.assert_array_equal(out, expected)


def test_many_axes_in_any_order(m: Any, rng: np.random.Generator) -> None:
    for shape in [(2, 3, 4, 5, 6), (1, 7, 1, 3, 2), (3, 1, 1, 1, 40), (2, 2, 0, 2, 2)]:
        plain = [rng.standard_normal(shape) for _ in range(3)]
        for _ in range(10):
            a, b, out = (lay_out(x, rng.choice(LAYOUTS), rng) for x in plain)
            m.five(a, b, out)
            np.testing.assert_array_equal(out, plain[0] - 2 * plain[1])


def test_operands_of_lower_rank_and_other_types(m: Any, rng: np.random.Generator) -> None:
    a = rng.standard_normal((3, 20, 33))
    b, c = rng.standard_normal(33).astype("f4"), rng.integers(-9, 9, (20, 33)).astype("i4")
    for layout in LAYOUTS:
        out = lay_out(np.zeros((3, 20, 33)), layout, rng)
        m.lower_rank(lay_out(a, layout, rng), b, c, out)
        np.testing.assert_allclose(out, np.sin(a) * b + c / 2 - a**2, rtol=1e-14, atol=1e-14)


def test_views_of_operands_and_targets(m: Any, rng: np.random.Generator) -> None:
    a, x = rng.standard_normal((30, 30)), rng.standard_normal(30)
    out, expected = np.zeros((30, 30)), np.zeros((30, 30))
    m.views(a, x, out)
    expected[...] = a.T + x[:, None] * x[None, ::-1]
    expected[0] = x * 2
    expected[:, 0] = expected[:, 1] - x
    expected[::2, 1:] += 1
    np.testing.assert_array_equal(out, expected)


def test_lengths_of_one_stretch(m: Any, rng: np.random.Generator) -> None:
    for left, right in [((20, 1), (1, 30)), ((1, 30), (20, 30)), ((20, 1), (20, 1)), ((1, 1), (1, 30))]:
        x, y = rng.standard_normal(left), rng.standard_normal(right)
        out = np.zeros((20, 30))
        m.outer(x, y, out)
        np.testing.assert_array_equal(out, np.broadcast_to(x * y, out.shape))


@pytest.mark.parametrize(
    "shapes, said",
    [
        ([(4, 5), (4, 6), (4, 5)], "got differing extents in dimension 1 (got 5 and 6)"),
        ([(3, 5), (4, 5), (4, 5)], "got differing extents in dimension 0 (got 4 and 3)"),
        ([(4, 5), (4, 5), (1, 5)], "got differing extents in dimension 0 (got 1 and 4)"),
    ],
)
def test_lengths_that_do_not_fit(m: Any, shapes: Any, said: str) -> None:
    x, y, out = (np.ones(shape) for shape in shapes)
    with pytest.raises(ValueError) as raised:
        m.outer(x, y, out)
    assert str(raised.value) == said
    assert (out == 1).all()


def test_what_overlaps_is_read_before_it_is_written(m: Any, rng: np.random.Generator) -> None:
    for n in (2, 5, 1000):
        plain = rng.standard_normal(n)
        a, expected = plain.copy(), plain.copy()
        m.shift_up(a)
        expected[1:] = plain[:-1] * 2
        np.testing.assert_array_equal(a, expected)
        a, expected = plain.copy(), plain.copy()
        m.shift_down(a)
        expected[:-1] = plain[1:] * 2
        np.testing.assert_array_equal(a, expected)
        a = plain.copy()
        m.mirror(a)
        np.testing.assert_array_equal(a, plain[::-1] + plain)
        square = rng.standard_normal((n % 90, n % 90))
        b = square.copy()
        m.transpose_into_itself(b)
        np.testing.assert_array_equal(b, square.T - square)
    a = plain.copy()
    m.interleaved(a)
    np.testing.assert_array_equal(a[::2], plain[1::2] * 3)
    np.testing.assert_array_equal(a[1::2], plain[1::2])


def test_any_two_windows_of_one_array(m: Any, rng: np.random.Generator) -> None:
    """Every way that a target and an operand may share memory, which the test at run time has to find."""
    for _ in range(400):
        base = rng.standard_normal(60)
        views = []
        for _ in range(3):
            strides = rng.choice([-16, -8, 8, 16, 24, 40], 2)
            reach = 3 * strides
            first = -reach[reach < 0].sum()
            last = 59 * 8 - reach[reach > 0].sum()
            start = rng.integers(first // 8, last // 8 + 1)
            views.append((start, strides))
        made = [np.lib.stride_tricks.as_strided(base[start:], (4, 4), strides) for start, strides in views]
        addresses = made[2].__array_interface__["data"][0] + sum(np.ix_(*(np.arange(4) * s for s in made[2].strides)))
        if len(np.unique(addresses)) < 16:
            continue
        expected = made[0] * made[1] + 0.5
        m.axpy(made[0], made[1], 0.5, made[2])
        np.testing.assert_array_equal(made[2], expected)


def test_in_place(m: Any, rng: np.random.Generator) -> None:
    for layout in LAYOUTS:
        a = lay_out(rng.standard_normal((20, 30)), layout, rng)
        b, expected = rng.standard_normal(30), a.copy()
        m.in_place(a, b, 3)
        expected += b
        expected[1:] *= 3
        expected -= expected[:1].copy()
        expected /= 4
        np.testing.assert_array_equal(a, expected)


def test_in_place_on_integers(m: Any, rng: np.random.Generator) -> None:
    a, b = rng.integers(0, 1000, 100), rng.integers(0, 1000, 100)
    expected = a.copy()
    m.in_place_int(a, b)
    expected &= b
    expected |= 64
    expected ^= b
    expected <<= 2
    expected >>= 1
    np.testing.assert_array_equal(a, expected)


def line_of(error: BaseException, source: str) -> str | None:
    """The line of the module's source that a traceback ends in."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    assert last.filename.endswith("statements.pyx") and last.lineno is not None
    return (SOURCES / source).read_text().splitlines()[last.lineno - 1].strip()


def test_division_by_zero_raises_and_stores_nothing(m: Any) -> None:
    a, b, out = np.arange(1.0, 9), np.arange(1.0, 9), np.full(8, 7.0)
    m.divide(a, b, out)
    np.testing.assert_array_equal(out, a / b)
    b[5], out[:] = 0, 7
    with pytest.raises(ZeroDivisionError, match="^float division$") as raised:
        m.divide(a, b, out)
    assert line_of(raised.value, "statements.pyx") == "out[:] = a / b"
    assert (out == 7).all()
    with pytest.raises(ZeroDivisionError) as raised:
        m.two_divisions(a, b, out)
    assert line_of(raised.value, "statements.pyx") == "+ a / b"
    m.divide_where(a, b, out)
    np.testing.assert_array_equal(out, [1, 1, 1, 1, 1, -1, 1, 1])


def test_division_by_a_number(m: Any, rng: np.random.Generator) -> None:
    a = rng.standard_normal((7, 7))
    out = np.zeros_like(a)
    m.divide_by_number(a, 3, out)
    np.testing.assert_array_equal(out, a / 3)
    with pytest.raises(ZeroDivisionError):
        m.divide_by_number(a, 0, out)
    m.divide_by_number(a[:0], 0, out[:0])


def test_integer_division_is_pythons(m: Any) -> None:
    a, b = np.array([-7, 7, 5, -5, 0]), np.array([2, -2, 3, 3, 9])
    out = np.zeros_like(a)
    m.floor_divide(a, b, out)
    np.testing.assert_array_equal(out, a // b)
    m.remainder(a, b, out)
    np.testing.assert_array_equal(out, a % b)
    b[2] = 0
    for function in (m.floor_divide, m.remainder):
        with pytest.raises(ZeroDivisionError, match="integer division or modulo by zero"):
            function(a, b, out)
    with pytest.raises(OverflowError, match="value too large to perform division"):
        m.floor_divide(np.array([-(2**63)]), np.array([-1]), out[:1])


def test_integer_division_of_c(m: Any) -> None:
    a, b = np.array([-7, 7, 5, -5], "i4"), np.array([2, -2, 3, 3], "i4")
    q, r = np.zeros(4, "i4"), np.zeros(4, "i4")
    m.c_divide(a, b, q, r)
    np.testing.assert_array_equal(q, [-3, -3, 1, -1])
    np.testing.assert_array_equal(r, [-1, 1, 2, -2])


def test_integers_are_computed_in_cs_types(m: Any) -> None:
    a = np.array([100, -128, 127], "i1")
    wide, out = np.zeros(3, "i4"), np.zeros(3, "i1")
    m.narrow(a, a, wide, out)
    np.testing.assert_array_equal(wide, a.astype(int) ** 2)
    np.testing.assert_array_equal(out, a + a)
    b, long = np.array([1, 2, 4294967295], "u4"), np.zeros(3, "i8")
    m.mixed_sign(np.array([-1, -3, 1], "i4"), b, long)
    np.testing.assert_array_equal(long, [0, 4294967295, 0])
    m.literal(b, long)
    np.testing.assert_array_equal(long, [2, 4, 4294967294])


def test_unary_operators_functions_choices_and_casts(m: Any, rng: np.random.Generator) -> None:
    a, b, out = rng.standard_normal(40), rng.standard_normal(40), np.zeros(40)
    k = rng.integers(-9, 9, 40).astype("i4")
    m.unary(a, k, out)
    np.testing.assert_array_equal(out, (-a + ~k) + k)
    c = rng.random(40).astype("f4")
    m.functions(a, abs(b), c, out)
    np.testing.assert_allclose(out, np.exp(-abs(a)) + np.arctan2(a, abs(b)) + np.sqrt(c) + abs(b) ** 1.5, rtol=1e-15)
    m.choose(a, b, out)
    np.testing.assert_array_equal(out, np.where(a > b, a, -b))
    whole = np.zeros(40, int)
    m.casts(10 * a, k, whole)
    np.testing.assert_array_equal(whole, (10 * a).astype("i4") + k)


def test_without_the_gil(m: Any, rng: np.random.Generator) -> None:
    a, b, out = rng.random((9, 9)), rng.random((9, 9)), np.zeros((9, 9))
    m.without_gil(a, b, out)
    np.testing.assert_array_equal(out, a / b)
    b[3, 3] = 0
    with pytest.raises(ZeroDivisionError):
        m.without_gil(a, b, out)
    with pytest.raises(ValueError, match="differing extents"):
        m.without_gil(a[:5], b, out)
    with pytest.raises(ZeroDivisionError) as raised:
        m.through_cdef(a[3], b[3], out[3])
    assert [frame.name for frame in traceback.extract_tb(raised.value.__traceback__)][-1].endswith("inner")


def test_numbers_are_evaluated_once(m: Any) -> None:
    a, out = np.arange(100.0), np.zeros(100)
    assert m.numbers_once(a, 2.0, out) == 2
    np.testing.assert_array_equal(out, a * 2 + 2)


def test_memoryviews_of_modules_classes_and_closures(m: Any) -> None:
    a, out = np.arange(6.0), np.zeros(6)
    m.module_variable(a, out)
    np.testing.assert_array_equal(out, 3 * a)
    data = np.arange(12.0).reshape(3, 4)
    holder = m.Holder(data)
    holder.scale(2)
    np.testing.assert_array_equal(data.ravel(), 2 * np.arange(12.0))
    holder.column(1, out[:3])
    np.testing.assert_array_equal(out[:3], data[:, 1] + 1)
    m.closure(a, 5)(out)
    np.testing.assert_array_equal(out, 5 * a)
    m.of_objects(a, a, out)
    np.testing.assert_array_equal(out, a * a)
    a.setflags(write=False)
    m.read_only(a, out)
    np.testing.assert_array_equal(out, 3 * a)
    a.setflags(write=True)
    m.deep(a, out)
    np.testing.assert_array_equal(out, a + 2)


def test_none_is_refused(m: Any) -> None:
    a = np.ones((2, 2))
    for operands in [(None, a, a), (a, None, a)]:
        with pytest.raises(TypeError, match="Cannot read None memoryview slice"):
            m.outer(*operands)
    with pytest.raises(TypeError, match="Cannot assign to None memoryview slice"):
        m.outer(a, a, None)


def test_everything_else_is_cythons(m: Any) -> None:
    out = np.zeros(3)
    m.untouched(np.arange(3.0), out)
    np.testing.assert_array_equal(out, [7, 7, 2])
    assert m.plain_python(3, 4) == (13, -3, True, 3)


def test_nothing_is_leaked(m: Any) -> None:
    a, b, out = np.ones((4, 4)), np.ones((4, 4)), np.ones((4, 4))
    x = np.ones(4)

    def once() -> None:
        m.axpy(a, b, 1.0, out)
        m.views(a, x, out)
        m.mirror(x)
        for operands in [(a, np.zeros((4, 4)), out), (a[:3], b, out), (None, b, out)]:
            with pytest.raises((ZeroDivisionError, ValueError, TypeError)):
                m.without_gil(*operands)

    once()
    gc.collect()
    counts, blocks = [sys.getrefcount(y) for y in (a, b, out, x)], sys.getallocatedblocks()
    for _ in range(2000):
        once()
    gc.collect()
    assert [sys.getrefcount(y) for y in (a, b, out, x)] == counts
    assert sys.getallocatedblocks() < blocks + 200


@pytest.mark.parametrize(
    "text, said",
    [
        ("def f(double[:] a, double[:] out):\n    out[...] = a * a[:, None]\n", "it has 1 axes"),
        ("def f(double[:] a, list b, double[:] out):\n    out[...] = a * b\n", None),
        ("# cython: arrayexpr=False\ndef f(double[:] a):\n    a[...] = a * 2\n", "Invalid operand types for '*'"),
        ("def f(object[:] a, double[:] b):\n    b[...] = a * b\n", "Invalid operand types for '*'"),
        ("def f(double[:] a):\n    a += a\n", "Invalid operand types for '+'"),
    ],
)
def test_what_is_refused(tmp_path: Any, text: str, said: str | None) -> None:
    if said is None:
        # An object on one side makes it Python's operator, as ever.
        path = tmp_path / "taken.pyx"
        path.write_text("# cython: language_level=3\n" + text)
        from arrayexpr.adapters.cython import cythonize

        assert cythonize([str(path)], quiet=True, force=True)
    else:
        assert said in errors_of(tmp_path, text)


def test_the_hook_is_taken_out_again() -> None:
    from Cython.Build import Dependencies
    from Cython.Compiler import Options, Pipeline

    from arrayexpr.adapters.cython import enabled

    before = Pipeline.create_pipeline, Dependencies.cythonize_one_helper, dict(Options.directive_types)
    with enabled(), enabled(False):
        assert Options._directive_defaults["arrayexpr"] is False
        assert Pipeline.create_pipeline is not before[0]
    assert (Pipeline.create_pipeline, Dependencies.cythonize_one_helper, dict(Options.directive_types)) == before
    assert "arrayexpr" not in Options._directive_defaults


def test_an_unknown_version_of_cython_is_refused() -> None:
    from arrayexpr.adapters.cython import versions

    assert versions.check("3.3.1") == (3, 3)
    for version in ("0.29.37", "3.4.0", "4.0a1", "unknown"):
        with pytest.raises(ImportError, match="expected 3.0 to 3.3"):
            versions.check(version)
