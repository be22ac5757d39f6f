"""Whole programs in emitted C: both ways under a test, one nest for each region, and random programs."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import loop_programs
import numpy as np
import pytest
from layouts import clone
from loop_programs import loop_program, time_loop
from statements import MOTION, SIBLINGS, Case, case
from test_emit_c import CC, OK, OVERLAP, SHAPE, STRICT, build
from test_emit_c import call as called

import arrayexpr
from arrayexpr._core.driver import run
from arrayexpr._core.errors import ArrayExprError, UnsupportedError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.parser import parse
from arrayexpr._core.program import Program

pytestmark = pytest.mark.skipif(CC is None, reason="needs a C compiler")


NORM = """
def f(x: int64[:, :], *, mean: int64[:], r: int64[:, :]):
    m = local(int64[:])
    m[...] = reduce(add, x, (1,))
    mean[...] = m
    r[...] = x * 2 - m[:, None]
"""
ROLLED = """
def f(a: float64[:], r: float64[:]):
    for i in range(1, a.shape[0] - 1, 1):
        r[i] = a[i - 1] + a[i + 1]
"""


def call(binary: Path, program: Program, arrays: dict[str, Any]) -> tuple[int, int]:
    """Run C on arrays, for operands and results alone. Returns its code, and the bytes of scratch."""
    return called(binary, Program("f", program.operands, (), program.results), arrays)


def compare(binary: Path, program: Program, arrays: dict[str, Any]) -> tuple[int, int]:
    """Run C, and see that it leaves what the program means."""
    expected = clone(arrays)
    interpret(program, expected)
    answer = call(binary, program, arrays)
    for name, value in expected.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=f"{name} of\n{program}")
    return answer


def first_branch(program: Program) -> str:
    """The C that runs where the test of a program holds."""
    text = arrayexpr.emit(program)
    # Tests of lengths may come before it under the same one.
    text = text[text.rindex("\n    if (apart) {") :]
    return text[: text.index("\n    } else {")]


# -- One nest for each region -----------------------------------------------------------------------


def test_a_region_is_one_nest_and_its_locals_are_gone(tmp_path: Path) -> None:
    program = parse(SIBLINGS)
    loops = re.findall(r"for \(ptrdiff_t (\w+) = 0; (.*?);", first_branch(program))
    # Of what is in any layout; that of what is contiguous is in two parts.
    assert loops == [("i0", "i0 < r_n0")]
    assert "scratch" not in first_branch(program)
    binary = build(program, tmp_path)
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=17) for name in "abcrs"}
    assert compare(binary, program, arrays) == (OK, 0)


def test_what_reduces_shares_its_sweep(tmp_path: Path) -> None:
    program = parse(NORM)
    text = first_branch(program)
    # A row is swept, and what is made of it stored, within one loop over rows; down the columns within one of strips.
    assert len(re.findall(r"i0 < (mean|r)__n0; ", text)) == 2
    binary = build(program, tmp_path)
    for shape in ((5, 700), (5, 1), (1, 9), (3, 0)):
        x = np.random.default_rng(0).integers(-9, 9, shape)
        for layout in (x, np.asfortranarray(x)):
            arrays = {"x": layout, "mean": np.zeros(shape[0], np.int64), "r": np.zeros(shape, np.int64)}
            assert compare(binary, program, arrays)[0] == OK


def test_statements_over_other_shapes_have_a_nest_each(tmp_path: Path) -> None:
    program = parse(
        "def f(a: float64[:], b: float64[:], *, r: float64[:], s: float64[:]):\n"
        "    r[...] = a * b\n    s[...] = a + 1.0\n"
    )
    binary = build(program, tmp_path)
    for a, b, r, s, code in ((5, 5, 5, 5, OK), (1, 5, 5, 1, OK), (1, 5, 5, 3, OK), (5, 5, 5, 4, SHAPE)):
        arrays = {"a": np.ones(a), "b": np.arange(b * 1.0), "r": np.zeros(r), "s": np.zeros(s)}
        if code == OK:
            assert compare(binary, program, arrays)[0] == OK
        else:
            assert call(binary, program, arrays)[0] == code
            assert not arrays["r"].any() and not arrays["s"].any()


# -- Both ways ----------------------------------------------------------------------------------------


def test_memory_that_is_shared_runs_as_written(tmp_path: Path) -> None:
    for k, text in enumerate((SIBLINGS, MOTION)):
        program = parse(text)
        folder = tmp_path / str(k)
        folder.mkdir()
        binary = build(program, folder)
        names = [operand.name for operand in (*program.operands, *program.results)]
        for one in names:
            for other in names:
                arrays = {name: np.random.default_rng(k).normal(size=9) for k, name in enumerate(names)}
                arrays[one] = arrays[other]
                assert compare(binary, program, arrays)[0] == OK
                memory = np.arange(10.0)
                arrays = {name: np.ones(9) for name in names} | {one: memory[:9], other: memory[1:]}
                stored = {"r", "s"} if k == 0 else {"x", "v", "e"}
                wanted = OVERLAP if one != other and {one, other} & stored else OK
                assert call(binary, program, arrays)[0] == wanted, (one, other)


def test_scratch_is_asked_for_where_it_is_needed(tmp_path: Path) -> None:
    program = parse(SIBLINGS)
    binary = build(program, tmp_path)
    a = np.arange(17.0)
    apart = {"a": a, "b": a + 1, "c": a * 2, "r": np.zeros(17), "s": np.zeros(17)}
    assert call(binary, program, apart) == (OK, 0)
    assert call(binary, program, apart | {"r": apart["c"]}) == (OK, 3 * ((17 * 8 + 63) // 64 * 64))


def test_a_loop_is_raised_under_its_test(tmp_path: Path) -> None:
    program = parse(ROLLED)
    binary = build(program, tmp_path)
    memory = np.arange(40.0)
    for a, r in (
        (memory[:9], np.zeros(9)),
        (memory[:9], np.zeros(12)),
        (memory[:9], memory[:9]),
        (memory[:9], memory[1:10]),
        (memory[1:10], memory[:9]),
        (memory[:9:1], memory[20:38:2]),
        (memory[:1], np.zeros(3)),
    ):
        assert compare(binary, program, {"a": a, "r": r})[0] == OK
    scheduled = arrayexpr.optimize(program)
    expected, got = ({"a": np.arange(9.0), "r": np.zeros(9)} for _ in range(2))
    interpret(program, expected)
    interpret(scheduled, got)
    np.testing.assert_array_equal(got["r"], expected["r"])


@pytest.mark.parametrize(
    "body",
    [
        "for i in range(0, n, 1):\n        r[i] = a[i] * 2.0",
        "for i in range(0, a.shape[0], 1):\n        r[i] = a[i] * 2.0\n        a[i] = r[i] + 1.0",
        "for i in range(1, a.shape[0], 1):\n        a[i] = a[i - 1] + r[i]\n        r[i] = a[i] * 2.0",
        "for i in range(0, a.shape[0], 1):\n        if a[i] > 3.0:\n            r[i] = a[i]",
        "for i in range(0, a.shape[0], 1):\n        t = scratch(float64)\n        t[()] = a[i] * a[i]\n"
        "        r[i] = t[()] + a[i]",
    ],
)
def test_loops_of_every_kind(body: str, tmp_path: Path) -> None:
    program = parse(f"def f(a: float64[:], n: int64, r: float64[:]):\n    {body}\n")
    binary = build(program, tmp_path)
    memory = np.arange(30.0)
    for a, r in ((memory[:9], np.zeros(9)), (memory[:9], memory[:9]), (memory[:9], memory[2:11])):
        assert compare(binary, program, {"a": a, "n": np.array(9), "r": r})[0] == OK


def test_a_guard_of_the_host_has_both_branches(tmp_path: Path) -> None:
    program = parse("""
def f(a: float64[:], b: float64[:], r: float64[:]):
    t = local(float64[:])
    u = local(float64[:])
    t[...] = a[::-1] * a
    if a.shape[0] < 5:
        r[...] = t[::-1] + b
        b[...] = t * 2.0
    else:
        u[...] = b[::-1] + t
        r[...] = u[::-1] * u
""")
    binary = build(program, tmp_path)
    for n in (3, 9):
        rng = np.random.default_rng(n)
        code, scratch = compare(binary, program, {name: rng.normal(size=n) for name in "abr"})
        assert code == OK and scratch == (64 if n == 3 else 2 * 128)


# -- Loops that stay ----------------------------------------------------------------------------------

JACOBI = """
def f(u: float64[:, :], v: float64[:, :], n: int64):
    for k in range(0, n, 1):
        v[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
        u[...] = v
"""
DECAY = """
def f(u: float64[:, :], a: float64[:]):
    for k in range(1, u.shape[0], 1):
        u[k, :] = u[k - 1, :] * 0.5 + a
"""
ROWS = """
def f(a: float64[:, :], n: int64, r: float64[:], s: float64[:]):
    t = local(float64[:])
    b = local(float64[:])
    b[...] = s * 2.0
    for k in range(n - 1, -1, -1):
        t[...] = a[k, :] * 2.0
        r[k] = reduce(add, t * a[k, :], (0,))
        s[...] = s + t[::-1] * b[::-1]
"""
TURNS = """
def f(u: float64[:, :], v: float64[:, :], e: float64[:], n: int64):
    t = local(float64[:])
    for k in range(n - 1, -1, -1):
        t[...] = u[1, :] + e
        v[1:, ::-1] = u[:-1, :] * 0.5 + u[1:, :] * t
        e[...] = t - v[2, :]
        u[...] = v
"""
TRIANGLE = """
def f(a: float64[:, :], n: int64):
    for i in range(0, n, 1):
        for j in range(0, i, 1):
            a[i, j:i] = a[i, j:i] * 0.5 + a[j, j:i]
"""


def walks(shape: tuple[int, ...], seed: int) -> list[np.ndarray]:
    """One array in several layouts."""
    value = np.random.default_rng(seed).integers(0, 9, shape).astype(float)
    wide = np.zeros(tuple(2 * n for n in shape))
    every = wide[tuple(slice(None, None, 2) for _ in shape)]
    every[...] = value
    return [value, np.asfortranarray(value), np.ascontiguousarray(value[::-1])[::-1], every]


@pytest.mark.parametrize("text", [JACOBI, DECAY, ROWS, TRIANGLE])
def test_loops_around_statements_of_arrays(text: str, tmp_path: Path) -> None:
    program = parse(text)
    binary = build(program, tmp_path)
    for shape in ((8, 8), (5, 1), (1, 5)):
        for layout in range(4):
            arrays: dict[str, Any] = {}
            for seed, operand in enumerate(program.operands):
                rank = operand.type.rank
                lengths = shape if rank == 2 else shape[:1] if operand.name == "r" else shape[1:]
                arrays[operand.name] = walks(lengths, seed)[layout] if rank else np.array(min(shape))
            assert compare(binary, program, arrays)[0] == OK


@pytest.mark.parametrize("text", [JACOBI, TURNS])
def test_operands_of_a_time_loop_change_places(text: str, tmp_path: Path) -> None:
    """Whether they do or not: of an even and an odd number of steps, and of none; and where they share memory."""
    program = parse(text)
    binary = build(program, tmp_path)
    assert "if (apart) {" in (tmp_path / "kernel.c").read_text()
    for steps in range(5):
        for layout in range(4):
            arrays = {"u": walks((6, 7), 0)[layout], "v": walks((6, 7), 1)[layout], "n": np.array(steps)}
            arrays |= {"e": np.arange(7.0)} if text is TURNS else {}
            assert compare(binary, program, arrays)[0] == OK
            # Shapes that do not fit matter where the loop has an iteration.
            arrays["v"] = walks((1, 7), 1)[layout]
            assert call(binary, program, arrays)[0] == (SHAPE if steps else OK)
    if text is TURNS:
        # What the loop assigns besides is a row of one of the two.
        for name, code in (("u", OVERLAP), ("v", OVERLAP)):
            arrays = {"u": walks((6, 7), 0)[0], "v": walks((6, 7), 1)[0], "n": np.array(3)}
            arrays["e"] = arrays[name][2]
            assert call(binary, program, arrays)[0] == code
    one = walks((6, 7), 0)[0]
    arrays = {"u": one, "v": one, "e": np.arange(7.0), "n": np.array(3)}
    # In place the stencil would read what it has assigned.
    assert call(binary, program, arrays)[0] == OVERLAP


def test_statements_within_a_loop_share_a_nest_under_a_test(tmp_path: Path) -> None:
    program = parse("""
def f(a: float64[:], b: float64[:], r: float64[:], s: float64[:], n: int64):
    for k in range(0, n, 1):
        r[...] = a * 2.0 + r
        s[...] = a * 3.0 + s * b
""")
    binary = build(program, tmp_path)
    assert "if (apart) {" in (tmp_path / "kernel.c").read_text()
    for shared in (None, "ar", "br", "as", "bs", "rs", "ab"):
        arrays: dict[str, Any] = {name: np.arange(9.0) + k for k, name in enumerate("abrs")} | {"n": np.array(3)}
        if shared is not None:
            arrays[shared[1]] = arrays[shared[0]]
        assert compare(binary, program, arrays)[0] == OK
    for length in (5, 9):
        arrays = {"a": np.ones(1), "b": np.ones(length), "r": np.ones(9), "s": np.ones(length), "n": np.array(2)}
        assert compare(binary, program, arrays)[0] == OK


def test_loops_as_written_store_one_element_after_the_other(tmp_path: Path) -> None:
    """In memory that operands share, what is read is what was stored before."""
    program = parse("""
def f(a: float64[:], b: float64[:], r: float64[:], s: float64[:]):
    for i in range(0, a.shape[0], 1):
        r[i] = a[i] * 2.0 + b[0]
        s[i] = b[i] + 1.0
        if i < 3:
            r[i] = s[i] - 1.0
            s[i] = a[i]
""")
    binary = build(program, tmp_path)
    names = "abrs"
    for one in names:
        for other in names:
            for first in (0, 1):
                memory = np.arange(8.0)
                arrays = {name: np.arange(7.0) * 3 for name in names} | {one: memory[first:][:7], other: memory[:7]}
                assert compare(binary, program, arrays)[0] == OK


def test_memory_that_is_read_elsewhere_than_it_is_assigned_is_refused(tmp_path: Path) -> None:
    """The very same view is fine where each element is read in place, and only there."""
    for k, (value, code) in enumerate(
        [("a * 2.0 + b", OK), ("a[::-1] + b", OVERLAP), ("a[1:2] + b", OVERLAP), ("a[2] + b", OVERLAP)]
    ):
        program = parse(f"def f(a: float64[:], b: float64[:], r: float64[:]):\n    r[...] = {value}\n")
        folder = tmp_path / str(k)
        folder.mkdir()
        binary = build(program, folder)
        a = np.arange(5.0)
        assert call(binary, program, {"a": a, "b": np.ones(5), "r": a})[0] == code
        assert compare(binary, program, {"a": np.arange(5.0), "b": a, "r": a})[0] == OK


def test_a_product_of_matrices_is_not_made_in_one_of_them(tmp_path: Path) -> None:
    program = parse("def f(a: int64[:, :], b: int64[:, :], r: int64[:, :]):\n    r[...] = a @ b\n")
    binary = build(program, tmp_path)
    for shared, code in ((None, OK), ("a", OVERLAP), ("b", OVERLAP)):
        arrays = {name: np.random.default_rng(k).integers(-9, 9, (5, 5)) for k, name in enumerate("abr")}
        if shared is None:
            assert compare(binary, program, arrays)[0] == OK
        else:
            arrays["r"] = arrays[shared]
            before = clone(arrays)
            assert call(binary, program, arrays)[0] == code
            np.testing.assert_array_equal(arrays["r"], before["r"])


def test_scratch_of_one_element(tmp_path: Path) -> None:
    """It stands for a whole axis where it is one element for sure; else the axis has to be as long."""
    program = parse("""
def f(a: int64[:, :], b: int64[:], r: int64[:, :], n: int64):
    t = local(int64[:, :])
    for k in range(0, n, 1):
        t[...] = (b * 2)[:, None]
        r[...] = t[::-1, :] * a + k
""")
    binary = build(program, tmp_path)
    for shape in ((4, 5), (4, 1), (1, 5)):
        a = np.random.default_rng(0).integers(-9, 9, shape)
        arrays: dict[str, Any] = {"a": a, "b": np.arange(shape[0]), "r": np.zeros(shape, np.int64), "n": np.array(3)}
        assert compare(binary, program, arrays)[0] == OK
    arrays = {"a": np.ones((4, 5), np.int64), "b": np.ones(1, np.int64), "r": np.zeros((4, 5), np.int64)}
    assert call(binary, program, arrays | {"n": np.array(1)})[0] == SHAPE
    assert call(binary, program, arrays | {"n": np.array(0)})[0] == OK


def test_scratch_of_a_loop_is_the_most_that_an_iteration_takes(tmp_path: Path) -> None:
    program = parse("""
def f(a: float64[:], n: int64, m: int64):
    s = local(float64[:])
    t = local(float64[:])
    u = local(float64[:])
    for i in range(0, n, 1):
        s[...] = a[:4] * a[4:8]
        for j in range(i, m, 2):
            t[...] = a[j:i + j] * 2.0
            a[:i] = t[::-1]
            if j < 1:
                u[...] = a[i:] + a[i]
                a[i:] = u[::-1]
        a[4:8] = s[::-1]
""")
    binary = build(program, tmp_path)

    def rounded(elements: int) -> int:
        return (8 * elements + 63) // 64 * 64

    for n, m in ((0, 9), (3, 0), (5, 7), (20, 20), (9, 2)):
        rooms = [
            rounded(4) + max((rounded(i) + (rounded(40 - i) if j < 1 else 0) for j in range(i, m, 2)), default=0)
            for i in range(n)
        ]
        arrays = {"a": np.arange(40.0), "n": np.array(n), "m": np.array(m)}
        assert compare(binary, program, arrays) == (OK, max(rooms, default=0))


def test_what_is_the_same_in_every_iteration_is_computed_before_it(tmp_path: Path) -> None:
    program = parse("""
def f(u: float64[:, :], a: float64[:], s: float64[:], n: int64):
    for k in range(0, n, 1):
        u[...] = u * 0.5 + sqrt(a) * sqrt(a + 1.0)
        s[k] = reduce(add, a * a, (0,)) + u[k, 0]
""")
    binary = build(program, tmp_path)
    text = first_branch(program)
    assert text.index("sqrt") < text.index("for (ptrdiff_t k = 0;")
    assert text.rindex("sqrt") < text.index("for (ptrdiff_t k = 0;")
    a = np.arange(5.0)
    for n in range(4):
        arrays: dict[str, Any] = {"u": np.ones((4, 5)), "a": a, "s": np.zeros(4), "n": np.array(n)}
        room = compare(binary, program, arrays)
        # Room for what is kept is only asked for where there is an iteration, and the arrays share no memory.
        assert room == (OK, 64 if n else 0)
    shared = np.arange(5.0)
    arrays = {"u": np.ones((4, 5)), "a": shared, "s": shared, "n": np.array(3)}
    assert compare(binary, program, arrays) == (OK, 0)


def test_products_of_matrices_within_a_loop(tmp_path: Path) -> None:
    program = parse("""
def f(a: int64[:, :], x: int64[:], y: int64[:], n: int64):
    for k in range(0, n, 1):
        y[...] = a @ x + k
        x[...] = y * 2 - x
""")
    binary = build(program, tmp_path)
    for n in range(3):
        rng = np.random.default_rng(n)
        arrays = {"a": rng.integers(-3, 3, (6, 6)), "x": rng.integers(-3, 3, 6), "y": np.zeros(6, np.int64)}
        assert compare(binary, program, arrays | {"n": np.array(n)})[0] == OK


REFUSED = {
    "m[...] = m - 1\n    r[:m] = a[:m]": "where views or loops end depends on m, which the program assigns: expected "
    "what stays, for C",
    "m[...] = m - 1\n    for k in range(0, m, 1):\n        r[...] = r + b[k, :]": "where views or loops end depends on "
    "m, which the program assigns: expected what stays, for C",
    "for k in range(0, 3, m):\n        r[...] = r + a": "the step of loop k is m: expected a number, for C",
    "for k in range(0, 3, 1):\n        r[...] = r + b[p[k], :]": "Assign has no c form: r[...] = r + b[p[k], :]",
    "for k in range(0, 3, 1):\n        p[k] = reduce(argmax, b[k:, :], (0, 1))": "Assign has no c form: p[k, ...] = "
    "reduce(argmax, b[k:, :], (0, 1))",
    'for k in range(0, 3, 1):\n        r[...] = a\n        side_effect(opaque("log", a, type=float64), reads=("a",), '
    "writes=())": 'SideEffect has no c form: side_effect(opaque("log", a, type=float64), reads=("a",), writes=())',
}


@pytest.mark.parametrize("body", REFUSED)
def test_what_has_no_c_says_so(body: str) -> None:
    program = parse(f"def f(a: float64[:], b: float64[:, :], p: int64[:], m: int64, r: float64[:]):\n    {body}\n")
    with pytest.raises(UnsupportedError) as caught:
        arrayexpr.emit(program)
    assert str(caught.value) == REFUSED[body]


def test_what_a_loop_would_reach_outside_of_its_arrays_is_refused(tmp_path: Path) -> None:
    program = parse(ROWS)
    binary = build(program, tmp_path)
    arrays = {"a": np.ones((3, 4)), "n": np.array(4), "r": np.zeros(9), "s": np.zeros(4)}
    before = clone(arrays)
    assert call(binary, program, arrays)[0] == SHAPE
    for name, value in before.items():
        np.testing.assert_array_equal(arrays[name], value)


@pytest.mark.parametrize("step", [1, 2, 3, -1, -2])
def test_places_of_every_iteration_are_tested(step: int, tmp_path: Path) -> None:
    program = parse(f"""
def f(u: float64[:, :], start: int64, stop: int64, r: float64[:]):
    for k in range(start, stop, {step}):
        r[...] = r + u[k + 1, :] * u[6 - k, :]
""")
    binary = build(program, tmp_path)
    u = np.arange(14.0).reshape(7, 2)
    for start in range(-2, 9):
        for stop in range(-2, 9, 2):
            arrays = {"u": u, "start": np.array(start), "stop": np.array(stop), "r": np.zeros(2)}
            within = all(0 <= k + 1 < 7 and 0 <= 6 - k < 7 for k in range(start, stop, step))
            if within:
                assert compare(binary, program, arrays)[0] == OK
            else:
                assert call(binary, program, arrays)[0] == SHAPE


@pytest.mark.parametrize("bounds", [(3, 10), (0, 0), (4, 4), (0, 30), (5, 3), (-1, 4), (3, 31)])
def test_views_between_scalars(bounds: tuple[int, int], tmp_path: Path) -> None:
    program = parse("def f(a: float64[:], n: int64, m: int64, *, r: float64[:]):\n    r[...] = a[n:m] * 2.0 + a[n]\n")
    binary = build(program, tmp_path)
    n, m = bounds
    for layout in range(3):
        a = walks((30,), 0)[layout]
        arrays = {"a": a, "n": np.array(n), "m": np.array(m), "r": np.zeros(max(m - n, 0))}
        if 0 <= n < 30 and 0 <= m <= 30:
            assert compare(binary, program, arrays)[0] == OK
        else:
            # What is counted from the end, or cut off there, is a matter of the run time.
            assert call(binary, program, arrays)[0] == SHAPE


def test_reductions_over_everything(tmp_path: Path) -> None:
    program = parse("""
def f(a: int64[:, :], *, s: int64, m: int64, r: int64[:, :]):
    s[...] = reduce(add, a * a, (0, 1))
    m[...] = reduce(maximum, a, (0, 1))
    r[...] = a - reduce(minimum, a, (0, 1))
""")
    binary = build(program, tmp_path)
    for a in (*(x.astype(np.int64) for x in walks((7, 30), 0)), np.ones((1, 1), np.int64)):
        arrays = {"a": a, "s": np.zeros((), np.int64), "m": np.zeros((), np.int64), "r": np.zeros(a.shape, np.int64)}
        assert compare(binary, program, arrays)[0] == OK


# -- Random programs ----------------------------------------------------------------------------------

counted = {"ok": 0, "joined": 0, "refused": 0, "no form": 0}


def check(drawn: Case, folder: Path, level: str = "-O1") -> None:
    """The C of a program gives what it means, on arrays that may share memory, or refuses before it did anything."""
    program = drawn.program.replace(hosts={})
    try:
        expected = drawn.arrays() | drawn.storage()
        interpret(program, expected)
        binary = build(program, folder, flags=["-std=gnu99", "-w", level, *STRICT[6:]])
    except UnsupportedError:
        counted["no form"] += 1
        return
    except ArrayExprError:
        return
    got = drawn.arrays() | drawn.storage()
    before = clone(got)
    code, _ = call(binary, program, got)
    if code != OK:
        counted["refused"] += 1
        assert code in (SHAPE, OVERLAP)
        expected = before
        if code == OVERLAP:
            arrays = list(before.values())
            assert any(np.may_share_memory(x, y) for k, x in enumerate(arrays) for y in arrays[:k]), str(program)
    else:
        counted["ok"] += 1
        counted["joined"] += "if (apart)" in (folder / "kernel.c").read_text()
    for name, value in expected.items():
        np.testing.assert_array_equal(got[name], value, err_msg=f"{name} of\n{program}")


def test_random_programs(tmp_path: Path) -> None:
    counted.update(dict.fromkeys(counted, 0))
    for seed in range(12):
        check(case(random.Random(seed), length=8), tmp_path)
    assert counted["ok"] > 3, counted
    assert counted["joined"] > 2, counted


def windows(seed: int) -> dict[str, Any]:
    """Arrays for a program of loops: in some layout each, and now and then one of another one's memory."""
    choice = random.Random(seed)
    rng = np.random.default_rng(seed)
    rows, columns = loop_programs.ROWS, loop_programs.COLUMNS
    shapes = {"u": (rows, columns), "v": (rows, columns), "a": (columns,), "b": (rows,)}
    arrays: dict[str, Any] = {}
    for name, shape in shapes.items():
        wide = rng.integers(-9, 9, tuple(2 * n for n in shape))
        layout = choice.choice(["C", "F", "falling", "every second"])
        if layout == "every second":
            arrays[name] = wide[tuple(slice(None, None, 2) for _ in shape)]
        elif layout == "falling":
            arrays[name] = np.ascontiguousarray(wide[tuple(slice(0, n) for n in shape)][::-1])[::-1]
        else:
            arrays[name] = np.array(wide[tuple(slice(0, n) for n in shape)], order=layout)
    shared = choice.random()
    if shared < 0.08:
        arrays["v"] = arrays["u"]
    elif shared < 0.16:
        arrays["a"] = arrays[choice.choice("uv")][choice.randrange(rows)]
    elif shared < 0.2:
        arrays["b"] = arrays["v"][:, choice.randrange(columns)]
    return arrays | {"n": np.array(choice.choice([3, 3, 3, 2, 1, 0]))}


def check_loops(seed: int, folder: Path, length: int) -> None:
    """The C of a program of loops gives what it means, or refuses before it did anything."""
    text = loop_program(random.Random(seed), length=length)
    program = parse(text)
    expected, got = windows(seed), windows(seed)
    try:
        interpret(program, expected)
    except ArrayExprError:
        return
    binary = build(program, folder, flags=["-std=gnu99", "-w", "-O1", *STRICT[6:]])
    before = clone(got)
    code, _ = call(binary, program, got)
    if code == OVERLAP:
        arrays = list(before.values())
        assert any(np.may_share_memory(x, y) for k, x in enumerate(arrays) for y in arrays[:k]), text
    elif code == SHAPE:
        # A place that counts from the end.
        assert "n - 1" in text, text
    counted["ok" if code == OK else "refused"] += 1
    for name, value in (expected if code == OK else before).items():
        np.testing.assert_array_equal(got[name], value, err_msg=f"{name} of\n{text}")


@pytest.mark.parametrize("seed", range(6))
def test_random_time_loops(seed: int, tmp_path: Path) -> None:
    program = parse(time_loop(random.Random(seed)))
    binary = build(program, tmp_path, flags=["-std=gnu99", "-w", "-O1", *STRICT[6:]])
    rng = np.random.default_rng(seed)
    for n in (0, 1, 4):
        arrays = {name: rng.integers(-3, 4, 7) for name in "uvw"} | {"n": np.array(n)}
        assert compare(binary, program, arrays)[0] == OK


def test_random_programs_of_loops(tmp_path: Path) -> None:
    counted.update(dict.fromkeys(counted, 0))
    for seed in range(8):
        check(case(random.Random(seed), length=8, loops=True), tmp_path)
    assert counted["ok"] > 4 and not counted["no form"], counted
    for seed in range(16):
        check_loops(seed, tmp_path, 5)
    assert counted["ok"] > 14, counted


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_many_random_programs_of_loops(part: int, tmp_path: Path) -> None:
    for seed in range(400_000 + 20 * part, 400_000 + 20 * (part + 1)):
        check_loops(seed, tmp_path, 3 + seed % 6)
        check(case(random.Random(seed), length=8 if seed % 2 else 20, loops=True), tmp_path, "-O2")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_many_random_programs(part: int, tmp_path: Path) -> None:
    for seed in range(300_000 + 20 * part, 300_000 + 20 * (part + 1)):
        check(case(random.Random(seed), length=8 if seed % 2 else 30), tmp_path, "-O2")


def test_every_pass_keeps_the_meaning_of_random_programs() -> None:
    """Through the schedule, in the interpreter, on arrays that may share memory."""
    done = 0
    for seed in range(60):
        drawn = case(random.Random(seed), length=10, loops=seed % 2 == 0)
        program = drawn.program
        expected: dict[str, Any] = drawn.arrays() | drawn.storage()
        try:
            interpret(program, expected)
        except ArrayExprError:
            continue
        scheduled = run(program)
        got = drawn.arrays() | drawn.storage()
        if any(np.may_share_memory(x, y) for k, x in enumerate(got.values()) for y in list(got.values())[:k]):
            # A nest takes it for granted that memory which it stores is not partly another operand's.
            continue
        try:
            interpret(scheduled, got)
        except ArrayExprError:
            # What turns out to have length 1 does not broadcast in a schedule.
            continue
        done += 1
        for name, value in expected.items():
            np.testing.assert_array_equal(got[name], value, err_msg=f"{name} of\n{program}")
    assert done > 15
