"""Tiles: the copies of `primitives/pack.h` on their own, and kernels that use them against the interpreter."""

from __future__ import annotations

import ctypes
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels import check
from layouts import WRITABLE, lay_out, same, values

import arrayexpr
from arrayexpr._core.engine import compiler
from arrayexpr._core.engine.dispatch import MAX_CODES
from arrayexpr._core.passes.tiles import SIZES
from arrayexpr._core.primitives import text
from arrayexpr._core.types import element

needs_compiler = pytest.mark.skipif(not compiler.compiler(), reason="no C compiler")

#: The bytes of a vector in the copies; None: what the compiler has for this machine.
VECTORS = (None, 0, 16)
TYPES = {1: "u1", 2: "u2", 4: "u4", 8: "u8", 16: "c16"}


@functools.cache
def copies(vector: int | None) -> ctypes.CDLL:
    """The copies compiled with vectors of so many bytes, as functions that a library exports."""
    lines = [] if vector is None else [f"#define ARRAYEXPR_PACK_VECTOR {vector}"]
    lines += [text("pack.h")]
    for size in SIZES:
        lines.append(f"ARRAYEXPR_PACK({size})")
        lines.append(
            f"void copy{size}(char *t, const ptrdiff_t *ts, const char *s, const ptrdiff_t *ss, const ptrdiff_t *n,"
            f" int rank) {{ arrayexpr_pack{size}(t, ts, s, ss, n, rank); }}"
        )
    return compiler.load("\n".join(lines) + "\n", "copy8")[1]


def _numbers(items: Sequence[int]) -> Any:
    return (ctypes.c_ssize_t * len(items))(*items)


def copied(library: ctypes.CDLL, source: np.ndarray, room: Sequence[int], order: Sequence[int]) -> None:
    """Copy into the front of a target of the extents `room`, its axes in memory in `order`, and compare every byte."""
    size, rank = source.itemsize, source.ndim
    memory = np.full(size * int(np.prod(room)) + 64, 0xA5, np.uint8)
    start = -memory.ctypes.data % 64
    inside = np.ndarray([room[k] for k in order], source.dtype, memory, start)
    target = inside.transpose(np.argsort(order))
    expected = memory.copy()
    whole = np.ndarray([room[k] for k in order], source.dtype, expected, start).transpose(np.argsort(order))
    whole[tuple(slice(0, n) for n in source.shape)] = source
    getattr(library, f"copy{size}")(
        ctypes.c_void_p(target.ctypes.data),
        _numbers(target.strides),
        ctypes.c_void_p(source.ctypes.data),
        _numbers(source.strides),
        _numbers(source.shape),
        rank,
    )
    assert np.array_equal(memory, expected), (source.shape, source.strides, target.strides)


def source_of(shape: Sequence[int], size: int, rng: np.random.Generator, offset: int) -> np.ndarray:
    """Elements of random bytes in an array whose axes lie in any order, fall, and skip; at any address."""
    rank = len(shape)
    order = rng.permutation(rank)
    steps = rng.integers(1, 4, rank) if rng.random() < 0.3 else np.ones(rank, int)
    lengths = [int(shape[k] * steps[k]) for k in order]
    # Of complex numbers the bytes are those of finite ones: a copy through NumPy keeps no others.
    raw = rng.integers(0, 64, int(np.prod(lengths)) * size + offset + 1, np.uint8)
    found: np.ndarray = np.ndarray(lengths, TYPES[size], raw, offset).transpose(np.argsort(order))
    return found[tuple(slice(None, None, int(-s if rng.random() < 0.3 else s)) for s in steps)]


@needs_compiler
@pytest.mark.parametrize("vector", VECTORS)
@pytest.mark.parametrize("size", SIZES)
def test_every_edge_of_a_transposed_tile(size: int, vector: int | None) -> None:
    rng = np.random.default_rng(size)
    lengths = [*range(6), 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65]
    for n, m in itertools.product(lengths, lengths):
        source = np.ndarray((m, n), TYPES[size], rng.integers(0, 64, m * n * size + 8, np.uint8), 3).T
        copied(copies(vector), source, (n, m), (0, 1))


@needs_compiler
@pytest.mark.parametrize("vector", VECTORS)
@pytest.mark.parametrize("size", SIZES)
def test_tiles_of_any_strides(size: int, vector: int | None) -> None:
    rng = np.random.default_rng(size)
    for _ in range(400):
        rank = int(rng.integers(1, 4))
        shape = [int(n) for n in rng.integers(0, 66 if rank < 3 else 20, rank)]
        room = [n + int(k) for n, k in zip(shape, rng.integers(0, 4, rank), strict=True)]
        source = source_of(shape, size, rng, int(rng.integers(0, 9)))
        copied(copies(vector), source, room, list(rng.permutation(rank)))


@needs_compiler
def test_a_broadcast_axis_is_copied_as_often_as_it_is_long() -> None:
    source = np.broadcast_to(np.arange(20.0).reshape(20, 1, 1), (20, 30, 7)).astype("u8")
    copied(copies(None), np.broadcast_to(source[:, :1], (20, 30, 7)), (20, 30, 8), (0, 1, 2))
    copied(copies(None), np.broadcast_to(source[:1, :1, :1], (4, 5, 6)), (4, 5, 6), (0, 1, 2))


# -- Kernels ------------------------------------------------------------------------------------


#: Tiles are for what leaves the first cache: this target's holds next to nothing.
SMALL = arrayexpr.Target(l1=256, l2=4096, l3=1 << 62)
#: And this one's results are always larger than its caches.
STREAMING = arrayexpr.Target(l1=256, l2=4096, l3=1)
DTYPES = ("int8", "uint16", "float32", "float64", "complex128")


@functools.cache
def small(dtype: str, rank: int, target: Any, engine: str) -> Any:
    a, b, c = (arrayexpr.array(name, dtype, rank) for name in "abc")
    program = arrayexpr.program(a * b + c)
    return program, arrayexpr.compile(program, target=target, engine=engine, wait=True)


@pytest.mark.parametrize("engine", ["c", "block"])
@pytest.mark.parametrize("target", [SMALL, STREAMING], ids=["cached", "streamed"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_tiles_give_what_the_interpreter_gives(engine: str, target: Any, data: st.DataObject) -> None:
    if engine == "c" and not compiler.compiler():
        pytest.skip("no C compiler")
    dtype = data.draw(st.sampled_from(DTYPES))
    rank = data.draw(st.sampled_from((2, 2, 3)))
    longest = 70 if rank == 2 else 24
    shape = tuple(data.draw(st.lists(st.integers(0, longest), min_size=rank, max_size=rank)))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    program, kernel = small(dtype, rank, target, engine)
    arrays = {}
    for name in "abc":
        its = tuple(1 if data.draw(st.integers(0, 9)) == 0 else n for n in shape)
        layout = data.draw(st.sampled_from(("C", "F", "permuted", "reversed", "stepped", "record", "broadcast")))
        arrays[name] = lay_out(values(element(dtype), its, rng), layout, rng)
    full = np.broadcast_shapes(*(x.shape for x in arrays.values()))
    arrays["r"] = lay_out(np.zeros(full, dtype), data.draw(st.sampled_from(WRITABLE)), rng)
    with np.errstate(all="ignore"):
        check(program, kernel, arrays)
    (step,) = kernel.compiled.plan.steps
    assert len(set(step.region.codes.values())) <= MAX_CODES


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES)
def test_large_results_of_every_alignment(dtype: str) -> None:
    """Rows of whole lines are tiled from where lines begin, and stored past the caches; others are not."""
    rng = np.random.default_rng(0)
    kernel = arrayexpr.compile(small(dtype, 2, STREAMING, "c")[0], target=STREAMING, engine="c")
    n, m, size = 160, 192, np.dtype(dtype).itemsize
    for starts in itertools.product((0, size, 3 * size), repeat=3):
        memory = [np.zeros(n * m * size + 256, np.uint8) for _ in range(4)]
        arrays = []
        for k, raw in enumerate(memory):
            start = -raw.ctypes.data % 64 + (starts[k] if k < 3 else starts[0])
            arrays.append(np.ndarray((n, m) if k in (0, 3) else (m, n), dtype, raw, start))
        a, b, c, r = arrays
        for x in (a, b, c):
            x[...] = rng.integers(0, 9, x.shape)
        assert kernel(a, b.T, c.T, out=r) is r
        assert same(r, a * b.T + c.T)
    sources = [code.source for code in kernel.compiled.plan.steps[0].region.codes.values()]
    assert any("arrayexpr_stream(" in s and f"arrayexpr_pack{size}(" in s for s in sources)


@needs_compiler
def test_the_shapes_that_get_tiles() -> None:
    """Tiles where data leave the last cache; blocks in registers where they do not; loops alone for a few rows."""
    shapes = (((30, 30), 0, 8), ((200, 200), 0, 8), ((600, 600), 2, 9), ((512, 512), 0, 8), ((4, 100000), 0, 7))
    for shape, tiled, read in shapes:
        a, b = arrayexpr.array("a", "float64", 2), arrayexpr.array("b", "float64", 2)
        kernel = arrayexpr.compile(arrayexpr.program(a + b.T), target=arrayexpr.Target(), engine="c")
        x, y = np.ones(shape), np.ones(shape[::-1])
        assert same(kernel(x, y), x + y.T)
        ((key, code),) = kernel.compiled.plan.steps[0].region.codes.items()
        assert (code.tiled, key[3]) == (tiled, read), shape
        assert ("arrayexpr_turn8(b_t" in code.source) == (read == 8)
        assert ("arrayexpr_pack8(b_t" in code.source) == (read == 9)


@needs_compiler
@pytest.mark.parametrize(("target", "tiles"), [(SMALL, {0, 3}), (STREAMING, {2, 3})], ids=["cached", "streamed"])
def test_no_more_kernels_than_the_budget_for_layouts_that_all_conflict(target: Any, tiles: set[int]) -> None:
    rng = np.random.default_rng(1)
    kernel = arrayexpr.compile(small("float64", 3, target, "c")[0], target=target, engine="c")
    for _ in range(60):
        shape = tuple(int(n) for n in rng.integers(8, 20, 3))
        arrays = [lay_out(rng.random(shape), "permuted", rng) for _ in range(4)]
        assert same(kernel(*arrays[:3], out=arrays[3]), arrays[0] * arrays[1] + arrays[2])
    codes = set(kernel.compiled.plan.steps[0].region.codes.values())
    assert {code.tiled for code in codes} >= tiles and len(codes) <= MAX_CODES


@needs_compiler
@pytest.mark.parametrize("dtype", DTYPES)
def test_emitted_for_known_layouts(dtype: str) -> None:
    """Ahead of time the copy is pasted with the sizes that are used, and no scratch of the caller is needed."""
    a, b = arrayexpr.array("a", dtype, 2), arrayexpr.array("b", dtype, 2)
    program = arrayexpr.program(a + b.T)
    x = np.ones((700, 900), dtype)
    layouts = {"a": x, "b": np.ones((900, 700), dtype), "r": x}
    source = arrayexpr.emit(arrayexpr.optimize(program, layouts, arrayexpr.Target()))
    size = x.itemsize
    assert f"ARRAYEXPR_PACK({size})\n" in source and f"arrayexpr_pack{size}(b_t" in source
    assert "(void)arrays;\n    return 0;" in source
