"""The block engine beside compiled C, bit for bit, and beside the interpreter: layouts, reductions, schedules.

Operators and casts are in `test_operators.py`, beside the C that they are compiled to.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import check, comparable
from layouts import LAYOUTS, clone, lay_out, same, values
from strategies import elementwise_programs, operand_arrays, overlapping_arrays
from test_operators import BUILTIN

import arrayexpr
from arrayexpr._core.engine.block import find_loop, translate
from arrayexpr._core.errors import UnsupportedError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Apply, Assign, Operand
from arrayexpr._core.ops import Operator, register
from arrayexpr._core.parser import parse
from arrayexpr._core.program import Program
from arrayexpr._core.types import FLOAT64, element, elements
from arrayexpr.adapters import loops


def both(program: Program) -> tuple[Any, Any]:
    """The kernels of a program in the block engine and in compiled C."""
    block, c = (arrayexpr.compile(program, engine=engine) for engine in ("block", "c"))
    return block, c


def compiled(kernel: Any) -> list[bool]:
    return [code.compiled for code in kernel.compiled.codes()]


# -- The same bits as compiled C ----------------------------------------------------------------


@settings(max_examples=150)
@given(st.data(), elementwise_programs(max_nodes=8, max_statements=2, calls=True))
def test_random_programs(data: Any, case: Any) -> None:
    """Beside the interpreter; and compiled C gives the same."""
    block, c = both(case.program)
    if comparable(case.program):
        for _ in range(2):
            check(case.program, block, data.draw(operand_arrays(case)), give=data.draw(st.booleans()))
        check(case.program, block, data.draw(overlapping_arrays(case)))
    arrays = data.draw(operand_arrays(case))
    theirs = clone(arrays)
    for kernel, memory in ((block, arrays), (c, theirs)):
        outs = tuple(memory[r.name] for r in case.program.results)
        kernel(
            *[memory[o.name] for o in case.program.operands], out=outs if len(outs) > 1 else outs[0] if outs else None
        )
    for operand in case.program.declared:
        assert same(arrays[operand.name], theirs[operand.name]), f"{operand.name} of\n{case.program}"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout: str) -> None:
    """Beyond the length of a strip, and over several axes, with a broadcast one."""
    rng = np.random.default_rng(0)
    t = element("float64")

    def f(a: Any, b: Any, c: Any) -> Any:
        return np.where(a > b, a * b - c, np.minimum(b, c)).astype("f4") + np.exp(-np.abs(c))

    block, c = (arrayexpr.kernel(f, engine=engine) for engine in ("block", "c"))
    for shape in ((1,), (513,), (5000,), (3, 700), (700, 3), (4, 5, 600), (2, 3, 4, 5)):
        arrays = [lay_out(values(t, shape, rng), layout, rng) for _ in range(2)]
        arrays.append(values(t, (*shape[:-1], 1), rng))
        assert same(block(*arrays), c(*arrays))
        assert same(block(*arrays).T, c(*(a.T for a in arrays)))


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2), 2])
def test_reductions(axis: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 6, 40, 1100))
    for f in (
        lambda x, y: np.sum(x, axis=axis),
        lambda x, y: np.sum(x * y, axis=axis),
        lambda x, y: np.sum(np.exp(x) - y, axis=axis),
        lambda x, y: np.max(x, axis=axis) + np.min(y, axis=axis),
        lambda x, y: np.any(x > 3, axis=axis),
        lambda x, y: x - np.mean(x, axis=axis, keepdims=True),
    ):
        block, c = (arrayexpr.kernel(f, engine=engine) for engine in ("block", "c"))
        for a, b in ((x, y), (x[:, ::2, ::-1], y[:, ::2, ::3][..., :1]), (x.transpose(2, 0, 1), y.transpose(2, 0, 1))):
            if axis == 2 and a.shape[2] == 40:
                continue
            assert same(block(a, b), c(a, b))
            assert np.allclose(block(a, b), f(a, b))


def test_in_place_and_through_views() -> None:
    """An operation may write where it reads; a strip sees old values throughout."""
    program = parse("def f(a: float64[:], b: float64[:]):\n    a[...] = (a + b) * (a - b)\n    b[...] = b - a\n")
    a, b = np.random.default_rng(0).normal(size=(2, 3000))
    expected = {"a": (a + b) * (a - b)}
    expected["b"] = b - expected["a"]
    arrayexpr.compile(program, engine="block")(a, b)
    assert same(a, expected["a"]) and same(b, expected["b"])


def test_negative_powers_of_integers_raise() -> None:
    kernel = arrayexpr.kernel(lambda x, y: x**y, engine="block")
    x = np.full(2000, 3)
    assert same(kernel(x, x % 5), x ** (x % 5))
    y = np.zeros(2000, int)
    y[1700] = -1
    with pytest.raises(ValueError, match="negative integer powers"):
        kernel(x, y)


# -- Schedules ----------------------------------------------------------------------------------

SCHEDULES = {
    "a serial loop, each iteration of which reads the one before": """
def f(a: float64[:], *, r: float64[:]):
    r[0] = a[0]
    for i in serial(1, r.shape[0], 1):
        r[i] = r[i - 1] * 0.5 + a[i]
""",
    "a loop down, with a step": """
def f(a: float64[:], *, r: float64[:]):
    for i in serial(0, r.shape[0], 1):
        r[i] = 0.0
    for i in serial(r.shape[0] - 1, -1, -3):
        r[i] = a[i] + 1.0
""",
    "a vector loop with a step and an offset": """
def f(a: float64[:], *, r: float64[:]):
    for i in serial(0, r.shape[0], 1):
        r[i] = 1.0
    for i in vector(3, r.shape[0], 2):
        r[i] = a[r.shape[0] - 1 - i] + cast(i, float64)
""",
    "subscripts that no stride walks": """
def f(a: float64[:], *, r: float64[:]):
    for i in vector(0, r.shape[0], 1):
        r[i] = a[i * i % a.shape[0]] + a[minimum(i, 5)]
""",
    "tiles, packed": """
def f(a: float64[:, :], *, r: float64[:, :]):
    for i0 in block(0, r.shape[0], 16):
        for j0 in block(0, r.shape[1], 16):
            t = scratch(float64['C', :, :], 16, 16)
            pack(t, a, starts=(i0, j0), extents=(minimum(16, r.shape[0] - i0), minimum(16, r.shape[1] - j0)))
            for i in serial(i0, minimum(i0 + 16, r.shape[0]), 1):
                for j in vector(j0, minimum(j0 + 16, r.shape[1]), 1):
                    r[i, j] = t[i - i0, j - j0] * 2.0
""",
    "scratch whose size a call decides": """
def f(a: float64[:, :], *, r: float64[:, :]):
    t = scratch(float64['C', :, :], r.shape[0], r.shape[1])
    for i in serial(0, r.shape[0], 1):
        for j in vector(0, r.shape[1], 1):
            t[i, j] = a[r.shape[0] - 1 - i, j] + a[i, j]
    for i in serial(0, r.shape[0], 1):
        for j in vector(0, r.shape[1], 1):
            r[i, j] = t[i, j] * t[r.shape[0] - 1 - i, j]
""",
    "guards on strides, on values, and with two branches": """
def f(a: float64[:], *, r: float64[:]):
    if a.strides[0] == 8 and r.strides[0] == 8:
        for i in vector(0, r.shape[0], 1):
            r[i] = a[i]
    else:
        for i in vector(0, r.shape[0], 1):
            r[i] = a[i] * 1.0
    for i in serial(0, r.shape[0], 1):
        if r[i] > 0.5:
            r[i] = -r[i]
        else:
            r[i] = r[i] + 3.0
""",
    "a count that decides": """
def f(a: float64[:], *, r: float64[:]):
    for i0 in serial(0, r.shape[0], 512):
        t = scratch(bool['C', :], 512)
        n = scratch(int64)
        for i in vector(i0, minimum(i0 + 512, r.shape[0]), 1):
            t[i - i0] = a[i] > 1.5
        n[()] = 0
        for i in reduce(i0, minimum(i0 + 512, r.shape[0]), 1):
            n[()] = n[()] + cast(t[i - i0], int64)
        for i in vector(i0, minimum(i0 + 512, r.shape[0]), 1):
            r[i] = a[i]
        if n[()] > 0:
            for i in vector(i0, minimum(i0 + 512, r.shape[0]), 1):
                r[i] = where(t[i - i0], a[i] * 100.0, r[i])
""",
    "lengths and coordinates as values": """
def f(a: float64[:, :], *, r: float64[:, :]):
    for i in serial(0, r.shape[0], 1):
        for j in vector(0, r.shape[1], 1):
            r[i, j] = cast(i * 100 + j, float64) / cast(r.shape[1], float64) + cast(i, float64) * 2.0
""",
}


@pytest.mark.parametrize("text", SCHEDULES.values(), ids=SCHEDULES)
def test_schedule(text: str) -> None:
    program = parse(text.lstrip())
    tape = translate(program)
    rng = np.random.default_rng(0)
    # In two axes the interpreter takes long; more rows than a tile has.
    rows = (18,) * (program.operands[0].type.rank - 1)
    for length in (1, 7, 512, 520 if rows else 1300):
        shape = (*rows, length)
        a = rng.normal(size=shape)
        ahead, back = (interpret(program, {"a": x, "r": np.zeros(shape)})["r"] for x in (a, a[..., ::-1]))
        same_values = (a, np.asfortranarray(a), np.repeat(a, 2, -1)[..., ::2])
        for given_array, want in (*((x, ahead) for x in same_values), (a[..., ::-1], back)):
            for out in (np.zeros(shape), np.zeros(shape[::-1]).T, np.zeros((*shape[:-1], 2 * shape[-1]))[..., ::2]):
                assert tape(given_array, out) == 0
                assert same(out, want)


def test_several_stores_read_before_any_is_stored() -> None:
    text = """
def f(a: float64[:], b: float64[:]):
    for i in vector(0, a.shape[0], 1):
        a[i] = b[i]
        b[i] = b[i] + 1.0
"""
    program = parse(text.lstrip())
    a, b = np.zeros(1000), np.arange(1000.0)
    assert translate(program)(a, b) == 0
    assert same(a, np.arange(1000.0)) and same(b, np.arange(1000.0) + 1)


def test_strips_are_taken_over_by_later_values() -> None:
    """A chain of a thousand operations works in a few strips."""
    value = parse("def f(a: float64[:], *, r: float64[:]):\n    r[...] = a\n").operands[0]
    x: Any = value
    one = Operand("b", FLOAT64.array(1))
    from arrayexpr._core.ops import operator

    for _ in range(1000):
        x = Apply(operator("add"), (Apply(operator("multiply"), (x, one)), one))
    r = Operand("r", FLOAT64.array(1))
    scheduled = arrayexpr.optimize(Program("f", [value, one], [Assign(r, x)], [r]))
    tape = translate(scheduled)
    assert tape.arena < 100_000
    a, b, out = np.ones(2000), np.full(2000, 0.5), np.zeros(2000)
    assert tape(a, b, out) == 0
    want = a
    for _ in range(1000):
        want = want * b + b
    assert same(out, want)


def test_one_tape_in_many_threads() -> None:
    kernel = arrayexpr.kernel(lambda a, b: np.exp(a) * b - np.where(a > b, a, b) / 3, engine="block")
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(2, 20_000)) for _ in range(8)]
    expected = [kernel(*pair).copy() for pair in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(30):
            if not same(kernel(*inputs[k]), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# -- What it has no loop for --------------------------------------------------------------------


def test_an_operator_without_a_loop_is_compiled_at_once() -> None:
    cube = register(Operator("cube_here", "T>T", "f", lambda x: x * x * x, c="({0}) * ({0}) * ({0})"))
    with pytest.raises(UnsupportedError, match="cube_here on float64 has no loop"):
        find_loop(cube, FLOAT64)
    a, r = Operand("a", FLOAT64.array(1)), Operand("r", FLOAT64.array(1))
    program = Program("f", [a], [Assign(r, Apply(cube, (a,)))], [r])
    x = np.arange(5.0)
    kernel = arrayexpr.compile(program, wait=False)
    assert same(kernel(x), x**3) and compiled(kernel) == [True]
    # By the interpreter, where it may not be compiled.
    kernel = arrayexpr.compile(program, engine="block")
    assert same(kernel(x), x**3) and compiled(kernel) == []


def test_loops_never_take_objects_or_other_types() -> None:
    for op in BUILTIN:
        for t in elements():
            if t.kind not in op.kinds or (op.only and t.name not in op.only):
                continue
            _, function, _ = find_loop(op, t)
            assert function


def test_the_header_of_loops_is_fresh() -> None:
    from pathlib import Path

    import arrayexpr._core.engine as engine

    header = Path(engine.__path__[0]) / "loops.h"
    assert header.read_text() == loops.header()


def test_a_term_that_is_kept_where_another_was_is_no_accumulator() -> None:
    """In a strip `t = t + x` adds two arrays: no value goes on from one element to the next."""
    text = (
        "def f(a: float64[:], b: int64[:], *, r: float64):\n"
        "    r[...] = reduce(multiply, tanh(a) + cast(b % b >= 1, float64), (0,))\n"
    )
    a, b = np.linspace(0.5, 2, 700), np.arange(1, 701)
    program = parse(text)
    got = arrayexpr.compile(program, engine="block")(a, b)
    assert np.isclose(got, np.prod(np.tanh(a)), rtol=1e-12)
    assert got == arrayexpr.compile(program, engine="c", wait=True)(a, b)


@pytest.mark.parametrize("axes", ["(0,)", "(1,)", "(0, 1)"])
@pytest.mark.parametrize("op", ["add", "fmax", "multiply"])
def test_a_branch_is_guarded_within_a_sum(op: str, axes: str) -> None:
    """Whether a strip takes a branch is counted anew in each: that count is no sum of the loop around the strips."""
    result = "float64" if axes == "(0, 1)" else "float64[:]"
    program = parse(
        f"def f(a: float64[:, :], b: float64[:, :], *, r: {result}):\n"
        f"    r[...] = reduce({op}, where(a > 0.0, log1p(b), a + a), {axes})\n"
    )
    rng = np.random.default_rng(7)
    for shape in ((4, 5), (3, 1300), (1300, 3)):
        a, b = rng.normal(size=shape), rng.random(shape) + 0.5
        # Strips that take the branch everywhere, somewhere and nowhere.
        for shift in (-9.0, 0.0, 9.0):
            x = a[:, ::-1] + shift
            value = np.where(x > 0, np.log1p(b), x + x)
            axis = tuple(int(k) for k in axes if k.isdigit())
            want = {"add": np.sum, "fmax": np.max, "multiply": np.prod}[op](value, axis=axis)
            got = arrayexpr.compile(program, engine="block")(x, b)
            assert np.allclose(got, want, rtol=1e-12, atol=0)
            assert np.array_equal(got, arrayexpr.compile(program, engine="c", wait=True)(x, b))
