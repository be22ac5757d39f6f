"""The Cython adapter: loops over memoryviews that run as kernels, against the same loops as they were written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cython_build import SOURCES, build
from layouts import lay_out

pytest.importorskip("Cython")

LAYOUTS = ("C", "F", "permuted", "reversed", "stepped")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(tmp_path_factory.mktemp("loops"), [SOURCES / "loops.pyx"])


@pytest.fixture(scope="module")
def m(built: Any) -> Any:
    return built[0]["loops"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_the_report_says_what_was_done_and_why_not(built: Any) -> None:
    lines = (SOURCES / "loops.pyx").read_text().splitlines()
    functions = {}
    for entry in built[1]:
        if entry.kind == "module":
            continue
        name = next(line for line in lines[entry.line - 1 :: -1] if line.lstrip().startswith("def "))
        functions.setdefault(name.split()[1].partition("(")[0], []).append(entry)
    done = {name for name, entries in functions.items() if any(entry.done for entry in entries)}
    assert done == {
        *("axpy", "three", "stencil", "two", "in_place", "columns", "diagonal", "rows", "checked", "wraps"),
        *("without_gil", "integers", "step", "repeated", "crosswise", "may_raise", "uses_index"),
    }
    why = {name: entries[0].text for name, entries in functions.items() if not entries[0].done}
    assert why == {
        "shift": "a[i] = a[i - 1] + 1.0 needs what an earlier iteration stored to a",
        "total": "s = s + a[i] adds up in order",
        "last_seen": "t = a[i] * 2.0 needs what an earlier iteration stored to t",
        "running": "s = 0.0 stores to one place in several iterations",
        "delayed": "out[i] = t reads what t = a[i] stores to",
        "moved": "it has a subscript that is no sum of loop variables and numbers",
        "breaks": "it has a break",
    }


def test_layouts_lengths_and_final_values(m: Any, rng: np.random.Generator) -> None:
    for shape in [(17, 19), (3, 4), (1, 300), (300, 1), (70, 300), (300, 70)]:
        plain = [rng.standard_normal(shape) for _ in range(3)]
        for _ in range(10):
            a, b, out = (lay_out(x, rng.choice(LAYOUTS), rng) for x in plain)
            assert m.axpy(a, b, 2.5, out) == (shape[0] - 1, shape[1] - 1)
            np.testing.assert_array_equal(out, plain[0] * plain[1] + 2.5)


def test_variables_of_loops_that_do_not_run(m: Any) -> None:
    for shape, last in [((0, 5), (-7, -7)), ((5, 0), (4, -7)), ((200, 0), (199, -7))]:
        a = np.zeros(shape)
        assert m.axpy(a, a, 1.0, a) == last


def test_three_loops_that_permute(m: Any, rng: np.random.Generator) -> None:
    a = rng.standard_normal((9, 20, 30)).astype("f4")
    for layout in LAYOUTS:
        out = lay_out(np.zeros((20, 9, 30), "f4"), layout, rng)
        assert m.three(lay_out(a, layout, rng), out, 30) == (8, 19, 29)
        np.testing.assert_array_equal(out, 2 * a.transpose(1, 0, 2))


def test_shifted_reads_and_numbers_of_an_iteration(m: Any, rng: np.random.Generator) -> None:
    for layout in LAYOUTS:
        u, v = lay_out(rng.standard_normal((40, 50)), layout, rng), np.zeros((40, 50))
        assert m.stencil(u, v) == (38, 48)
        expected = np.zeros((40, 50))
        expected[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
        np.testing.assert_array_equal(v, expected)
    # Over itself, an iteration reads what earlier ones stored.
    expected = u.copy(order="C")
    for i in range(1, 39):
        for j in range(1, 49):
            t = expected[i - 1, j] + expected[i + 1, j]
            expected[i, j] = 0.25 * (t + expected[i, j - 1] + expected[i, j + 1])
    m.stencil(u, u)
    np.testing.assert_array_equal(u, expected)


def test_several_stores(m: Any, rng: np.random.Generator) -> None:
    a, b = rng.random(1000), rng.random(1000)
    x, y = np.zeros(1000), np.zeros(1000)
    m.two(a, b, x, y)
    np.testing.assert_array_equal(x, a + b)
    np.testing.assert_array_equal(y, x * np.sqrt(a))
    m.crosswise(x, y)
    # Where the targets are one another, or an operand, the order of the statements shows.
    for which in range(4):
        arrays = [rng.random(1000) for _ in range(4)]
        given = [arrays[0], arrays[1], arrays[2], arrays[2 if which == 0 else 3]]
        if which in (1, 2):
            given[which + 1] = given[which - 1]
        if which == 3:
            given[2], given[1] = arrays[2][1:], arrays[2][:-1]
            given[0], given[3] = arrays[0][1:], arrays[3][1:]
        bases = {id(g if g.base is None else g.base): (g if g.base is None else g.base).copy() for g in given}
        plain = [lay(g, bases) for g in given]
        for i in range(len(plain[0])):
            plain[2][i] = plain[0][i] + plain[1][i]
            plain[3][i] = plain[2][i] * np.sqrt(plain[0][i])
        m.two(*given)
        for g, p in zip(given, plain, strict=True):
            np.testing.assert_array_equal(g, p)


def lay(array: np.ndarray, bases: dict[int, np.ndarray]) -> np.ndarray:
    """The same window on the copy of what an array is a window on."""
    base = array if array.base is None else array.base
    assert isinstance(base, np.ndarray)
    start = (array.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // array.itemsize
    return bases[id(base)][start : start + len(array)]


def test_what_an_iteration_hands_to_the_next(m: Any, rng: np.random.Generator) -> None:
    a = np.zeros(1000)
    m.shift(a)
    np.testing.assert_array_equal(a, np.arange(1000))
    for offset in (1, 3):
        base = rng.random(1000)
        expected = base.copy()
        for i in range(1000 - offset):
            expected[i + offset] = expected[i] * 2 + expected[i + offset]
        m.in_place(base[offset:], base[:-offset])
        np.testing.assert_array_equal(base, expected)
    base = rng.random(1000)
    expected = 3 * base
    m.in_place(base, base)
    np.testing.assert_allclose(base, expected, rtol=1e-15)


def test_numbers_that_an_iteration_hands_to_the_next(m: Any, rng: np.random.Generator) -> None:
    a, out = rng.integers(0, 9, 500).astype(float), np.zeros(500)
    m.running(a, out)
    np.testing.assert_array_equal(out, a.cumsum())
    m.delayed(a, out)
    np.testing.assert_array_equal(out, [5, *a[:-1]])
    m.moved(a, out)
    np.testing.assert_array_equal(out, a)


def test_a_target_whose_elements_share_memory(m: Any) -> None:
    for steps in [(8, 8), (0, 8), (-8, 16)]:
        base, expected = np.zeros(800), np.zeros(800)
        first = 400
        m.repeated(np.lib.stride_tricks.as_strided(base[first:], (30, 40), steps))
        for i in range(30):
            for j in range(40):
                expected[first + (i * steps[0] + j * steps[1]) // 8] += 1
        np.testing.assert_array_equal(base, expected)


def test_columns_diagonals_and_rows(m: Any, rng: np.random.Generator) -> None:
    a = rng.random((200, 300))
    expected = a.copy()
    m.columns(a)
    expected[:, 0] = expected[:, 1] * 2
    np.testing.assert_array_equal(a, expected)
    out = np.zeros(200)
    m.diagonal(a, out)
    np.testing.assert_array_equal(out, a.diagonal())
    w = rng.random(200)
    m.rows(a, w)
    np.testing.assert_allclose(a, expected * np.sin(w)[:, None], rtol=1e-15)
    assert m.total(np.arange(500.0)) == 499 * 250
    assert m.last_seen(np.arange(500.0), np.zeros(500)) == 998


def test_bounds_that_are_checked(m: Any) -> None:
    a, b = np.zeros(1000), np.arange(1000.0)
    m.checked(a, b, 1000)
    np.testing.assert_array_equal(a, b + 1)
    a[:] = 0
    with pytest.raises(IndexError, match="Out of bounds on buffer access"):
        m.checked(a, b[:500], 1000)
    # As the loop leaves it: what came before the error is stored.
    np.testing.assert_array_equal(a, np.where(np.arange(1000) < 500, b + 1, 0))
    m.wraps(a, b)
    np.testing.assert_array_equal(a, np.roll(b, 1) + 1)


def test_the_gil_integers_fields_and_what_is_left(m: Any, rng: np.random.Generator) -> None:
    a, out = rng.random((60, 60)), np.zeros((60, 60))
    m.without_gil(a, out)
    np.testing.assert_array_equal(out, a.T + 1)
    i, b, long = rng.integers(-99, 99, 500).astype("i4"), rng.integers(0, 255, 500).astype("u1"), np.zeros(500, int)
    m.integers(i, b, long)
    np.testing.assert_array_equal(long, (i << 2) + b.astype(int) * 3 - (i & 7))
    m.Grid(a, 3.5).step(out)
    np.testing.assert_array_equal(out, a * 3.5)
    x, y, z = rng.random(300), rng.random(300), np.zeros(300)
    m.may_raise(x, y, z)
    np.testing.assert_array_equal(z, x / y)
    y[100] = 0
    with pytest.raises(ZeroDivisionError):
        m.may_raise(x, y, z)
    m.uses_index(z)
    np.testing.assert_array_equal(z, np.arange(300))
    y[50] = 6
    assert m.breaks(z, y) == 50
