"""The Cython adapter: nests with branches, sums, steps and threads give the bits of the loops as they were written."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cython_build import SOURCES, build
from layouts import lay_out

pytest.importorskip("Cython")

LAYOUTS = ("C", "F", "permuted", "reversed", "stepped")
#: Arguments by function: a shape is an array of reals, and what is called is given a generator.
CASES: dict[str, list[Any]] = {
    "row_sums": ["nm", "n"],
    "row_sums_in_place": ["nm", "n"],
    "product": ["nk", "km", "nm"],
    "masked": ["nm", "nm", 0.3],
    "borders": ["nm", "nm"],
    "skipped": ["n", "n"],
    "stepped": ["n", "n"],
    "falling": ["n", "n"],
    "coordinates": ["nm", 0.25],
    "imperfect": ["nm", "nm", "n"],
    "recurrence": ["nm", "nm"],
    "triangle": ["nn", "nn"],
    "shifted": ["n"],
    "moments": ["nm", "n", "n"],
    "parallel": ["nm", "nm"],
    "parallel_sums": ["nn", "nm", "n", "m"],
    "within_parallel": ["knn", "knn"],
    "quotients": ["nm", "nm", 3.0, "nm"],
    "used_again": ["n", "n"],
    "chosen": ["n", "n", "n"],
    "sum_beside": ["nm", "nm"],
    "clipped": ["n", "n"],
    "powers": ["nm", "nm"],
}
SIZES = [(40, 33, 5), (3, 70, 2), (200, 9, 40), (0, 5, 3), (1, 300, 1), (257, 130, 7)]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("nests")
    plain = Path(shutil.copy(SOURCES / "nests.pyx", folder / "nests_plain.pyx"))
    other = tmp_path_factory.mktemp("plain")
    modules, _ = build(other, [plain], compiler_directives={"arrayexpr": False})
    raised, entries = build(folder, [SOURCES / "nests.pyx"], ["-fopenmp"] if sys.platform == "linux" else [])
    return raised["nests"], modules["nests_plain"], entries


def names_of(entries: Any) -> dict[str, str]:
    """What was left, by function."""
    lines = (SOURCES / "nests.pyx").read_text().splitlines()
    found = {}
    for entry in entries:
        if entry.kind == "module":
            continue
        name = next(line for line in lines[entry.line - 1 :: -1] if line.startswith("def "))
        if not entry.done:
            found[name.split()[1].partition("(")[0]] = entry.text
    return found


def test_what_is_left(built: Any) -> None:
    assert names_of(built[2]) == {
        "sum_beside": "s = s + out[i, j] adds up in order",
        "histogram": "it has a subscript that is no sum of loop variables and numbers",
        "within_parallel": "it has a CompilerDirectivesNode",
    }


def arguments(name: str, size: tuple[int, int, int], rng: np.random.Generator) -> list[Any]:
    lengths = dict(zip("nmk", size, strict=True))
    made = []
    for argument in CASES[name]:
        if not isinstance(argument, str):
            made.append(argument)
            continue
        values = rng.standard_normal([lengths[letter] for letter in argument])
        made.append(lay_out(values, rng.choice(LAYOUTS), rng))
    return made


@pytest.mark.parametrize("name", CASES)
def test_the_bits_of_the_loops(built: Any, name: str) -> None:
    raised, plain, _ = built
    rng = np.random.default_rng(len(name))
    for size in SIZES:
        for _ in range(4):
            given = arguments(name, size, rng)
            expected = [x.copy() if isinstance(x, np.ndarray) else x for x in given]
            assert getattr(plain, name)(*expected) == getattr(raised, name)(*given)
            for x, y in zip(given, expected, strict=True):
                np.testing.assert_array_equal(x, y)


# What iterations of `prange` that depend on one another leave, threads decide.
@pytest.mark.parametrize("name", [name for name in CASES if "parallel" not in name])
def test_arrays_that_share_memory(built: Any, name: str) -> None:
    raised, plain, _ = built
    rng = np.random.default_rng(3 * len(name))
    size = (23, 23, 23)
    for _ in range(12):
        base = rng.standard_normal(2 * 23**3 + 200)
        copy = base.copy()
        windows: list[list[Any]] = [[], []]
        for argument in CASES[name]:
            if not isinstance(argument, str):
                windows[0].append(argument)
                windows[1].append(argument)
                continue
            first = int(rng.choice([0, 0, 1, 23, 150]))
            axes = rng.permutation(len(argument))
            for which, memory in zip(windows, (base, copy), strict=True):
                shape = size[: len(argument)]
                which.append(memory[first : first + 23 ** len(argument)].reshape(shape).transpose(axes))
        assert getattr(plain, name)(*windows[1]) == getattr(raised, name)(*windows[0])
        np.testing.assert_array_equal(base, copy)


def test_sums_of_integers_and_in_any_order(built: Any) -> None:
    raised = built[0]
    rng = np.random.default_rng(5)
    a = rng.integers(-1000, 1000, (70, 90), dtype="i4")
    for layout in LAYOUTS:
        assert raised.integers(lay_out(a, layout, rng)) == a.sum() + 5
    x, y = rng.random(10_000), rng.random(20_000)[::2]
    np.testing.assert_allclose(raised.fast_dot(x, y), x @ y, rtol=1e-13)


def test_errors_come_from_the_loops(built: Any) -> None:
    raised, plain, _ = built
    rng = np.random.default_rng(6)
    a, b = rng.random((30, 40)), rng.random((30, 40))
    b[11, 7] = 0
    one, other = np.zeros((30, 40)), np.zeros((30, 40))
    for module, out in ((raised, one), (plain, other)):
        with pytest.raises(ZeroDivisionError):
            module.quotients(a, b, 2.0, out)
        with pytest.raises(ZeroDivisionError):
            module.quotients(a, a + 1, 0.0, out)
    np.testing.assert_array_equal(one, other)


def test_four_axes_and_subscripts_that_no_loop_walks(built: Any) -> None:
    raised = built[0]
    rng = np.random.default_rng(7)
    a = rng.random((5, 6, 7, 8)).astype("f4")
    for layout in LAYOUTS:
        out = lay_out(np.zeros((8, 7, 6, 5), "f4"), layout, rng)
        raised.four(lay_out(a, layout, rng), out, 2.0)
        np.testing.assert_array_equal(out, 2 * a.T)
    counts = np.zeros(10)
    raised.histogram(rng.integers(0, 10, 1000), counts)
    assert counts.sum() == 1000


def test_buffers(tmp_path: Path) -> None:
    modules, entries = build(tmp_path, [SOURCES / "buffers.pyx"])
    assert all(entry.done for entry in entries)
    rng = np.random.default_rng(8)
    plain = rng.standard_normal((40, 30))
    for layout in LAYOUTS:
        a, out, sums = lay_out(plain, layout, rng), lay_out(np.zeros((40, 30)), layout, rng), np.zeros(40)
        modules["buffers"].scaled(a, out, 40, 30)
        np.testing.assert_array_equal(out, plain * 2 + 1)
        modules["buffers"].summed(a, sums, 40, 30)
        np.testing.assert_array_equal(sums, plain.cumsum(axis=1)[:, -1])
    with pytest.raises(ValueError, match="Buffer has wrong number of dimensions"):
        modules["buffers"].scaled(plain[0], plain, 40, 30)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc/self/statm")
def test_a_million_calls_leak_nothing(built: Any) -> None:
    raised = built[0]
    a, b, out = np.ones((12, 12)), np.ones((12, 12)), np.zeros((12, 12))
    row = np.ones(12)
    long = np.ones(200)
    calls = [
        lambda: raised.row_sums(a, row),
        lambda: raised.coordinates(out, 0.5),
        lambda: raised.quotients(a, b, 2.0, out),
        lambda: raised.recurrence(a, b),
        lambda: raised.shifted(long),
    ]

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    for _ in range(2000):
        for call in calls:
            call()
    counts = [sys.getrefcount(x) for x in (a, b, out, row, long)]
    before = resident()
    for _ in range(200_000):
        for call in calls:
            call()
    # A byte a call would be a megabyte.
    assert resident() - before < 1_000_000
    assert [sys.getrefcount(x) for x in (a, b, out, row, long)] == counts


def test_the_report_as_a_page(tmp_path: Path) -> None:
    from arrayexpr.adapters.cython.__main__ import main

    path = tmp_path / "page.pyx"
    path.write_text(
        "# cython: language_level=3, boundscheck=False, wraparound=False\n"
        "def f(double[:] a, double[:] out):\n"
        "    cdef Py_ssize_t i\n"
        "    for i in range(a.shape[0]):  # <script>\n"
        "        out[i] = a[i] * 2\n"
        "    for i in range(1, a.shape[0]):\n"
        "        out[i] = out[i - 1] * 2\n"
    )
    main(["--html", "-q", str(path)])
    page = (tmp_path / "page.arrayexpr.html").read_text()
    assert "# &lt;script&gt;" in page
    assert "<script" not in page
    assert "http" not in page
    assert "1 of 2 statements and loops run as kernels" in page
    assert re.search(r"<p>\d kernels, \d+ kB of C, which gcc -O3 takes some \d\.\d s for</p>", page)
    assert "raised: a loop over 2 arrays, where" in page
    assert "left: out[i] = out[i - 1] * 2.0 needs what an earlier iteration stored to out" in page


def test_a_limit_of_what_kernels_may_take(tmp_path: Path) -> None:
    path = tmp_path / "limited.pyx"
    path.write_text(
        "# cython: language_level=3, arrayexpr_limit=1000\n"
        "def f(double[:] a, double[:] out):\n"
        "    cdef Py_ssize_t i\n"
        "    for i in range(a.shape[0]):\n"
        "        out[i] = a[i] * 2\n"
    )
    from arrayexpr.adapters.cython import cythonize, report

    with report.collected() as entries:
        cythonize([str(path)], quiet=True)
    assert [entry.done for entry in entries] == [False]
    assert "kB of C: expected 1 kB, arrayexpr_limit" in entries[0].text


def test_statements_past_the_limit_have_few_versions(tmp_path: Path) -> None:
    from arrayexpr.adapters.cython import cythonize, report

    lines = "".join(f"    out[...] = a * {k}.5 + b\n" for k in range(12))
    sizes = {}
    for limit in (0, 1_000_000):
        path = tmp_path / f"limit_{limit}.pyx"
        path.write_text(
            f"# cython: language_level=3, arrayexpr_limit={limit}\n"
            f"def f(double[:, :] a, double[:, :] b, double[:, :] out):\n{lines}"
        )
        with report.collected() as entries:
            cythonize([str(path)], quiet=True)
        assert all(entry.done for entry in entries)
        (sizes[limit],) = (int(entry.text.split()[2]) for entry in entries if entry.kind == "module")
    assert sizes[0] < 0.6 * sizes[1_000_000]
