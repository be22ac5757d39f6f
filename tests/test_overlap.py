"""Results that share memory with operands: the meaning against `interpret`, and what scratch it took."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import same, values

import arrayexpr
from arrayexpr._core.engine.dispatch import last_overlap
from arrayexpr._core.interpret import interpret
from arrayexpr._core.parser import parse
from arrayexpr._core.types import element

#: Bytes that a tile or some rows may take, whatever the size of the operands.
TILE = 300_000

_DTYPES = ("float64", "int8", "float32", "complex128", "int16", "bool")
_MADE: dict[Any, Any] = {}


def kernel(rank: int, dtypes: tuple[str, ...], out: str) -> Any:
    """A kernel that combines operands of one rank, each used twice, into one element type."""
    key = rank, dtypes, out
    if key not in _MADE:
        operands = [arrayexpr.array("abc"[k], dtype, rank) for k, dtype in enumerate(dtypes)]
        total = operands[0]
        for operand in operands[1:]:
            total = np.where(operand != operand.dtype.type(0), total * operand, total + operand)
        total = (total + operands[0]).astype(out)
        program = arrayexpr.program(total)
        _MADE[key] = program, arrayexpr.compile(program)
    return _MADE[key]


@st.composite
def views(draw: Any, base: Any, shape: tuple[int, ...]) -> Any:
    """A view of an array, of a shape that is no longer than the array along any axis, or broadcast to it."""
    order = draw(st.permutations(range(base.ndim)))
    view = base.transpose(order) if all(n <= base.shape[k] for n, k in zip(shape, order, strict=True)) else base
    items = []
    for n, m in zip(shape, view.shape, strict=True):
        step = draw(st.integers(1, max(1, (m - 1) // max(n - 1, 1)))) if n > 1 else 1
        start = draw(st.integers(0, m - (n - 1) * step - 1))
        items.append(slice(start, start + (n - 1) * step + 1, step))
    view = view[tuple(items)]
    flips = draw(st.lists(st.sampled_from([1, 1, 1, -1]), min_size=base.ndim, max_size=base.ndim))
    return view[tuple(slice(None, None, flip) for flip in flips)]


def check(program: Any, run: Any, base: Any, inputs: list[Any], out: Any) -> None:
    """Twice: as a new call, and as one that is remembered."""
    given_values = {operand.name: x.copy() for operand, x in zip(program.operands, inputs, strict=True)}
    expected = np.broadcast_to(interpret(program, given_values)[program.results[0].name], out.shape)
    before = base.copy()
    out[...] = expected
    want = base.copy()
    for _ in range(2):
        base[...] = before
        assert run(*inputs, out=out) is out
        assert same(base, want), last_overlap()


@settings(max_examples=500)
@given(st.data())
def test_any_views_of_one_array(data: Any) -> None:
    rank = data.draw(st.integers(1, 4))
    longest = {1: 3000, 2: 50, 3: 14, 4: 6}[rank]
    if data.draw(st.booleans()):
        room = (data.draw(st.integers(1, longest)),) * rank
    else:
        room = tuple(data.draw(st.integers(1, longest)) for _ in range(rank))
    dtype = data.draw(st.sampled_from(_DTYPES))
    count = data.draw(st.integers(1, 3))
    program, run = kernel(rank, (dtype,) * count, dtype)
    base = values(element(dtype), room, np.random.default_rng(data.draw(st.integers(0, 99))))
    shape = room if data.draw(st.booleans()) else tuple(data.draw(st.integers(max(1, n // 2), n)) for n in room)
    out = data.draw(views(base, shape))
    inputs = [
        data.draw(views(base, tuple(1 if data.draw(st.integers(0, 9)) == 0 else n for n in shape)))
        for _ in range(count)
    ]
    check(program, run, base, inputs, out)


@settings(max_examples=150)
@given(st.data())
def test_shifts_shorter_than_a_vector_and_longer_than_a_strip(data: Any) -> None:
    """Along one axis of contiguous memory, for every element type, and steps of a few elements."""
    dtype = data.draw(st.sampled_from(_DTYPES))
    count = data.draw(st.integers(1, 3))
    program, run = kernel(1, (dtype,) * count, dtype)
    step = data.draw(st.sampled_from([1, 1, 1, -1, 2, 3]))
    n = data.draw(st.integers(1, 4000))
    base = values(element(dtype), (abs(step) * (n + 1400),), np.random.default_rng(0))
    shifts = st.one_of(st.integers(0, 40), st.sampled_from([63, 64, 511, 512, 513, 700, 1399]))
    walk = base[::step]
    cut = [walk[s : s + n] for s in (data.draw(shifts) for _ in range(count + 1))]
    check(program, run, base, cut[1:], cut[0])
    way, scratch = last_overlap()
    assert "copies" not in way or n < 3 * 1400 + 2048
    assert scratch <= 3 * 2 * (2048 + 1400) * base.itemsize + 4096


@settings(max_examples=100)
@given(st.data())
def test_element_types_that_share_memory(data: Any) -> None:
    """Views of the same bytes as another element type, of the same width or another one."""
    room = np.random.default_rng(0).integers(0, 50, 6000).astype("u1")
    types = st.sampled_from(["float64", "float32", "int64", "int16", "uint8", "complex64"])
    out_type = data.draw(types)
    dtypes = tuple(data.draw(types) for _ in range(data.draw(st.integers(1, 2))))
    n = data.draw(st.integers(1, 300))

    def view(dtype: str) -> Any:
        size = np.dtype(dtype).itemsize
        step = data.draw(st.sampled_from([1, 1, 2]))
        start = data.draw(st.integers(0, 6000 // size - (n - 1) * step - 1))
        return room[: 6000 // size * size].view(dtype)[start : start + (n - 1) * step + 1 : step]

    names = [arrayexpr.array("ab"[k], dtype, 1) for k, dtype in enumerate(dtypes)]
    program = arrayexpr.program((names[0] + names[-1]).astype(out_type))
    key = dtypes, out_type
    run = _MADE.setdefault(key, arrayexpr.compile(program))
    inputs, out = [view(dtype) for dtype in dtypes], view(out_type)
    with np.errstate(all="ignore"):
        check(program, run, room, inputs, out)


@arrayexpr.kernel
def with_vector_math(x: Any, y: Any, z: Any) -> Any:
    return np.where(z > 0, np.exp(x) * y + x, np.sin(y) - z * x)


@settings(max_examples=60)
@given(st.data())
def test_strips_of_vector_math(data: Any) -> None:
    """An expression in strips of several loops has the bits of the same kernel on operands of their own."""
    n = data.draw(st.integers(1, 3000))
    rows = data.draw(st.sampled_from([1, 1, 7]))
    base = np.random.default_rng(0).normal(size=(rows + 3, n + 1400))
    shifts = st.one_of(st.integers(0, 12), st.sampled_from([511, 512, 513, 1399]))

    def view() -> Any:
        top, left = data.draw(st.integers(0, 3)), data.draw(shifts)
        part = base[top : top + rows, left : left + n]
        return part[:, ::-1] if data.draw(st.integers(0, 4)) == 0 else part

    out, inputs = view(), [view() for _ in range(3)]
    expected = with_vector_math(*(x.copy() for x in inputs))
    before = base.copy()
    for _ in range(2):
        base[...] = before
        with_vector_math(*inputs, out=out)
        assert same(out, expected), last_overlap()


# -- The way, and the scratch that it takes -----------------------------------------------------


@arrayexpr.kernel
def add(x: Any, y: Any) -> Any:
    return x + y


def solved(out: Any, *inputs: Any) -> tuple[str, int]:
    """How a sum into memory that it reads is solved, once it is sure to be right."""
    expected = sum(np.broadcast_to(x, out.shape).astype(out.dtype) for x in inputs)
    for _ in range(2):
        root = out
        while root.base is not None:
            root = root.base
        before = root.copy()
        add(*inputs, out=out)
        assert same(out, expected)
        way = last_overlap()
        root[...] = before
    return way


def test_a_direction_takes_no_scratch() -> None:
    x = np.arange(100_000.0)
    assert solved(x[:-1], x[1:], x[:-1]) == ("forward", 0)
    assert solved(x[1:], x[1:], x[:-1]) == ("backward", 0)
    assert solved(x[:-3], x[1:-2], x[3:]) == ("forward", 0)
    assert solved(x[::-1][1:], x[::-1][1:], x[::-1][:-1]) == ("forward", 0)
    # One that goes faster through memory, and starts no later.
    assert solved(x[:50_000], x[::2], x[:50_000]) == ("forward", 0)
    y = np.random.default_rng(0).normal(size=(300, 400))
    assert solved(y[1:], y[:-1], y[1:]) == ("backward", 0)
    assert solved(y[1:, :-1], y[:-1, 1:], y[1:, :-1]) == ("backward", 0)
    assert solved(y[:-1, 1:], y[1:, :-1], y[:-1, 1:]) == ("forward", 0)
    assert solved(y.T[1:], y.T[:-1], y.T[1:]) == ("backward", 0)
    other = np.random.default_rng(1).normal(size=(400, 300))
    # The other operand's walk gives way.
    assert solved(y[1:], y[:-1], other.T[1:]) == ("backward", 0)
    z = np.random.default_rng(0).normal(size=(3, 4, 5, 6, 70))
    assert solved(z[1:], z[:-1], z[1:]) == ("backward", 0)
    assert solved(z[:, :, 1:], z[:, :, :-1], z[:, :, 1:]) == ("backward", 0)


def test_views_that_only_interleave_do_not_overlap() -> None:
    x = np.arange(10_000.0)
    assert solved(x[::2], x[1::2], x[1::2]) == ("disjoint", 0)
    y = np.arange(10_000.0).reshape(100, 100)
    assert solved(y[::2], y[1::2], y[1::2]) == ("disjoint", 0)
    assert solved(y[:, :50], y[:, 50:], y[:, 50:]) == ("disjoint", 0)
    assert solved(y[:50, :50], y[50:, 50:], y[:50, 50:]) == ("disjoint", 0)


def test_tiles_that_exchange_their_data() -> None:
    rng = np.random.default_rng(0)
    for shape in ((700, 700), (33, 33), (65, 65), (1000, 1000)):
        x = rng.normal(size=shape)
        b = rng.normal(size=shape)
        for turned in (x.T, x[::-1], x[:, ::-1], x[::-1, ::-1], np.rot90(x), x.T[::-1, ::-1]):
            way, scratch = solved(x, turned, b)
            assert way == "tiles" and scratch <= TILE
        assert solved(x, x.T, x[::-1])[0] == "tiles"
        assert solved(x, np.rot90(x), x.T)[0] == "tiles"
        way, scratch = solved(x, x.T, b)
        # A pair of tiles, of at most 64 by 64.
        assert scratch <= 2 * 64 * 64 * 8
    line = rng.normal(size=50_000)
    way, scratch = solved(line, line[::-1], line)
    assert way == "tiles" and scratch <= 2 * 4096 * 8
    cube = rng.normal(size=(40, 40, 40))
    for order in ((1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0)):
        way, scratch = solved(cube, cube.transpose(order), cube[::-1])
        # Two operands, and up to 48 images of a tile of 8 by 8 by 8.
        assert way == "tiles" and scratch <= 2 * 48 * 512 * 8
    image = rng.normal(size=(120, 120, 3))
    assert solved(image, image.transpose(1, 0, 2), image)[0] == "tiles"


@pytest.mark.parametrize("engine", ["auto", "block"])
@pytest.mark.parametrize("dtype", _DTYPES)
def test_a_square_and_its_transpose(dtype: str, engine: str) -> None:
    """Pairs of tiles, one of which is copied: of rows that lie apart, and beside an operand that is the result."""
    rng = np.random.default_rng(0)
    a, b = (arrayexpr.array(name, dtype, 2) for name in "ab")
    total = arrayexpr.program(np.where(b != b.dtype.type(0), a, b))
    run = arrayexpr.compile(total, engine=engine, wait=True)
    size = np.dtype(dtype).itemsize
    for n in (1, 2, 7, 8, 9, 31, 32, 63, 64, 65, 130, 512, 520):
        if n * n * size > 1 << 21:
            continue
        base = values(element(dtype), (n, n + 5), rng)
        square = base[:, 3 : n + 3]
        for other in (values(element(dtype), (n, n), rng), square):
            want = np.where(other != other.dtype.type(0), square.T, other)
            # Operands are in the order in which the expression meets them.
            assert run(other, square.T, out=square) is square
            assert same(square, want), n
            if n * size > 128:
                way, scratch = last_overlap()
                assert way == "tiles" and scratch <= (512 + 64) * 512


def test_slabs_that_read_ahead() -> None:
    x = np.arange(100_000.0)
    way, scratch = solved(x[1:-1], x[2:], x[:-2])
    assert way == "slabs" and scratch <= 40_000
    y = np.random.default_rng(0).normal(size=(500, 600))
    way, scratch = solved(y[1:-1, 1:-1], y[2:, 1:-1], y[:-2, 1:-1])
    assert way == "slabs" and scratch <= 50_000
    way, scratch = solved(y[1:-1, 1:-1], y[1:-1, 2:], y[1:-1, :-2])
    assert way == "slabs" and scratch <= 50_000
    z = np.random.default_rng(0).normal(size=(30, 40, 50))
    way, scratch = solved(z[1:-1], z[2:], z[:-2])
    assert way == "slabs" and scratch <= 2 * 8 * 2 * 40 * 50


def test_rows_and_numbers_are_copied() -> None:
    y = np.random.default_rng(0).normal(size=(300, 400))
    assert solved(y, y[0], y) == ("disjoint", 400 * 8)
    assert solved(y, y[:, 7:8], y) == ("disjoint", 300 * 8)
    assert solved(y, y[5:6, 5:6], y) == ("disjoint", 8)


def test_copies_of_what_no_order_serves_and_of_nothing_else() -> None:
    y = np.random.default_rng(0).normal(size=(300, 400))
    # Not square: copied; the other operand is read in place, in its direction.
    part = y[1:, :299]
    assert part.shape == (299, 299)
    way, scratch = solved(part, y[:-1, 100:399].T, y[:-1, :299])
    assert way == "backward and copies" and scratch == 299 * 299 * 8


def test_five_points_in_place() -> None:
    @arrayexpr.kernel
    def relax(u: Any) -> Any:
        u[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])

    u = np.random.default_rng(0).normal(size=(200, 300))
    for _ in range(3):
        expected = u.copy()
        expected[1:-1, 1:-1] = 0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
        relax(u)
        assert same(u, expected)
        way, scratch = last_overlap()
        assert way == "slabs" and scratch <= 2 * 2 * 2 * 8 * 2400


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_no_memory_for_a_copy_is_an_error() -> None:
    script = """
import resource
import numpy as np, arrayexpr
add = arrayexpr.kernel(lambda x, y: x + y)
x = np.zeros((4000, 2000))
args, out = (x[:-1, 1:].T[:1000, :1000], x[1:, 1:][:1000, :1000]), x[:1000, :1000]
add(*args, out=out)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), resource.RLIM_INFINITY))
try:
    add(*args, out=out)
except MemoryError as error:
    assert "copy of 8000000 bytes" in str(error), error
else:
    raise AssertionError("there was memory")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
add(*args, out=out)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


# -- Contiguous from its end --------------------------------------------------------------------


def test_falling_operands_are_a_class_of_their_own() -> None:
    a, b, c = (arrayexpr.array(name, "float64", 1) for name in "abc")
    run = arrayexpr.compile(arrayexpr.program(a * b + c))
    x, y, z = np.random.default_rng(0).normal(size=(3, 1000))
    assert same(run(x[::-1], y, z), x[::-1] * y + z)
    (step,) = run.compiled.plan.steps
    (code,) = step.region.codes.values()
    assert "a: float64[::-1]" in str(code.program) and "strides" not in str(code.program)
    assert same(run(x[::-1], y[::-1], z[::-1]), (x * y + z)[::-1])


@pytest.mark.parametrize("offset", [0, 1, 3])
def test_what_a_temporary_holds_is_computed_again_once_its_operand_may_have_been_assigned(offset):
    program = parse(
        "def f(a: float64[:], b: float64[:], *, r: float64[:]):\n"
        "    b[...] = a - reduce(add, a, (0,))\n    r[...] = a * reduce(add, a, (0,))\n"
    )
    memory, expected = np.arange(12.0), np.arange(12.0)
    found = arrayexpr.compile(program)(memory[:8], memory[offset : offset + 8])
    result = interpret(program, {"a": expected[:8], "b": expected[offset : offset + 8]})["r"]
    np.testing.assert_array_equal(found, result)
    np.testing.assert_array_equal(memory, expected)
