"""The schedules for GPUs mean what the program does, by the interpreter; and what is known and chosen of devices."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from layouts import same

import arrayexpr
from arrayexpr import target
from arrayexpr._core.engine.launches import Problem, choose, problem_of
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Barrier, Loop, Scratch, postorder
from arrayexpr._core.offload import device_seconds, transfer_seconds
from arrayexpr._core.parser import parse
from arrayexpr._core.passes.banks import arranged, conflicts, padded
from arrayexpr._core.passes.contract import contract
from arrayexpr._core.passes.grid import grid
from arrayexpr._core.passes.lower import lower
from arrayexpr._core.passes.nests import enclosed
from arrayexpr._core.passes.stage import stage
from arrayexpr._core.passes.teams import teams
from arrayexpr._core.verify import verify

TRIAD = parse("""
def f(a: float32[:, ::1], b: float32[:, :], *, r: float32[:, ::1], s: float32[:, ::1]):
    r[...] = a * b + a
    s[...] = a - b
""")
TRANSPOSED = parse("""
def f(a: float32[:, ::1], b: float32[::1, :], *, r: float32[:, ::1]):
    r[...] = a + b * a
""")


def run(program: Any, arrays: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    verify(program)
    return interpret(program, {**arrays, **results})


@pytest.mark.parametrize("lanes, vector, unroll", [((1, 4), 1, 1), ((2, 4), 4, 2), ((4, 1), 2, 1), ((1, 1), 1, 1)])
def test_grid(lanes: tuple[int, int], vector: int, unroll: int) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((5, 37)).astype("f4") for _ in range(2))
    found = grid(lower(TRIAD, together=True), lanes=lanes, vector=vector, unroll=unroll)
    roles = {n.role for n in enclosed(found.statements) if isinstance(n, Loop)}
    assert "grid" in roles and "serial" not in roles
    got = run(found, {"a": a, "b": b}, {"r": np.zeros_like(a), "s": np.zeros_like(a)})
    assert same(got["r"], a * b + a) and same(got["s"], a - b)


def test_grid_leaves_what_depends() -> None:
    """A nest whose iterations depend on one another stays serial."""
    program = parse("""
def f(x: float64[:]):
    for i in serial(0, x.shape[0] - 1, 1):
        x[i + 1] = x[i]
""")
    assert grid(program, lanes=(32,)) is program


@pytest.mark.parametrize("shape", [(16, 16), (18, 21), (33, 16)])
def test_stage(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal(shape).astype("f4")
    b = np.asfortranarray(rng.standard_normal(shape).astype("f4"))
    found = stage(lower(TRANSPOSED), sides=(16, 16), vectors={0: 1, 1: 1})
    nodes = list(enclosed(found.statements))
    assert any(isinstance(n, Scratch) for n in nodes) and any(isinstance(n, Barrier) for n in nodes)
    assert same(run(found, {"a": a, "b": b}, {"r": np.zeros_like(a)})["r"], a + b * a)


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("shape", [(3, 40), (7, 5), (2, 1), (4, 64)])
def test_teams(rows: bool, shape: tuple[int, int]) -> None:
    """Rows and columns, whole turns and parts of them, chunks, and what goes over a row again."""
    rng = np.random.default_rng(0)
    a = rng.integers(-9, 9, shape).astype("f4")
    program = parse("""
def f(a: float32[:, :], *, r: float32[:, :], s: float32[:, :]):
    r[...][:, 0:1] = reduce(add, a * a, (1,), keepdims=True) + reduce(maximum, a, (1,), keepdims=True)
    s[...] = a - reduce(add, a, (1,), keepdims=True)
""")
    single = parse("""
def f(a: float32[:, :], *, r: float32[:, :]):
    r[...][:, 0:1] = reduce(add, a, (1,), keepdims=True)
""")
    vector = (1, 2) if rows else (2, 1)
    # What lanes keep of a row is of rows that lie along their lanes.
    for held in (0, 10) if rows else (0,):
        found = teams(program, lanes=(2, 4), vector=vector, unroll=2, rows=rows, held=held)
        got = run(found, {"a": a}, {"r": np.zeros((shape[0], 1), "f4"), "s": np.zeros_like(a)})
        assert same(got["r"], (a * a).sum(1, keepdims=True) + a.max(1, keepdims=True))
        assert same(got["s"], a - a.sum(1, keepdims=True))
    with pytest.raises(arrayexpr.ArrayExprError, match="keeps rows of columns"):
        teams(program, lanes=(2, 4), vector=(2, 1), unroll=2, rows=False, held=1)
    found = teams(single, lanes=(2, 4), vector=vector, unroll=1, rows=rows, chunk=16)
    parts = run(found, {"a": a}, {"r": np.zeros((shape[0], -(-shape[1] // 16)), "f4")})["r"]
    assert same(parts.sum(1), a.sum(1))


@pytest.mark.parametrize("chunk", [0, 16])
@pytest.mark.parametrize("shape", [(7, 33), (16, 64), (5, 8)])
def test_teams_through_local_memory(shape: tuple[int, int], chunk: int) -> None:
    """Columns of what lies along them and of what lies across, with whole tiles and parts of them."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(-9, 9, shape).astype("f4"), rng.integers(-9, 9, shape[::-1]).astype("f4").T
    program = parse("""
def f(a: float32[:, ::1], b: float32[::1, :], *, r: float32[:, :]):
    r[...][0:1, :] = reduce(add, a * b, (0,), keepdims=True)
""")
    # The reduced axis is the last: here the arrays are turned.
    turned = parse("""
def f(a: float32[::1, :], b: float32[:, ::1], *, r: float32[:, :]):
    r[...][:, 0:1] = reduce(add, a * b, (1,), keepdims=True)
""")
    found = teams(turned, lanes=(4, 8), vector=(2, 1), unroll=2, rows=False, chunk=chunk, staged=2)
    assert sum(isinstance(s, Scratch) and s.operand.name == "b_t" for s in enclosed(found.statements)) == 1
    results = -(-shape[0] // chunk) if chunk else 1
    got = run(found, {"a": a.T, "b": b.T}, {"r": np.zeros((shape[1], results), "f4")})["r"]
    assert same(got.sum(1), interpret(program, {"a": a, "b": b, "r": np.zeros((1, shape[1]), "f4")})["r"][0])
    with pytest.raises(arrayexpr.ArrayExprError, match="expected `staged` of columns alone"):
        teams(turned, lanes=(4, 8), vector=(1, 2), unroll=1, rows=True, staged=1)


@pytest.mark.parametrize("shape", [(8, 8, 8), (9, 5, 7), (3, 17, 1)])
@pytest.mark.parametrize("fused", [False, True])
def test_contract(shape: tuple[int, int, int], fused: bool) -> None:
    """Whole tiles and parts of them, of factors that lie along either axis; a scalar beside them."""
    n, m, p = shape
    rng = np.random.default_rng(0)
    for left, right, order in ((":, ::0, ::1", "::0, :, ::1", "C"), ("::1, ::0, :", "::0, ::1, :", "F")):
        a, b = (np.asarray(rng.integers(-9, 9, (k, p)), "f8", order=order) for k in (n, m))
        program = parse(f"""
def f(a: float64[{left}], b: float64[{right}], s: float64, *, r: float64[:, :, :]):
    r[...][:, :, 0:1] = reduce(add, a * b * s, (2,), keepdims=True)
""")
        found = contract(program, axes=(0, 1), lanes=(2, 4), turns=(2, 2), depth=4, wide=(2, 2, 1), fused=fused)
        given = {"a": np.broadcast_to(a[:, None], shape), "b": np.broadcast_to(b, shape), "s": np.float64(2)}
        got = run(found, given, {"r": np.zeros((n, m, 1))})["r"]
        assert same(got[..., 0], 2 * a @ b.T)
        assert sum(isinstance(s, Barrier) for s in enclosed(found.statements)) == 2


def test_products_are_by_tiles() -> None:
    """Of what lies how: matrices alone, large ones by larger tiles, long sums of few blocks by chunks."""
    value = arrayexpr.parse("def f(x: float32, y: float32, *, r: float32):\n    r[...] = reduce(add, x * y, ())\n")
    gpu = target.gpu("h200")

    def chosen(n: int, m: int, k: int, product: bool = True) -> Any:
        a, b = np.empty((n, 1, k), "f4"), np.empty((k, m), "f4").T[None]
        streams = [np.broadcast_to(a, (n, m, k)), np.broadcast_to(b, (n, m, k)), np.empty((n, m, 1), "f4")]
        problem = problem_of(streams, (n, m, k), (2,), 1)
        return choose(problem, [value.statements[0].value], gpu, product)

    large = chosen(4096, 4096, 4096)
    assert large.schedule == "contract" and dict(large.options)["turns"] == (8, 8)
    assert dict(large.options)["wide"] == (4, 4) and large.units[:2] == (2, 1)
    assert dict(chosen(512, 512, 512).options)["turns"] == (2, 2)
    assert chosen(4096, 8, 4096).schedule == chosen(32, 32, 1 << 20).schedule == "teams"
    # Sums that are asked for as such are no further off than those by pairs.
    assert chosen(4096, 4096, 4096, False).schedule == "teams"


def test_banks() -> None:
    """Rows are lengthened as little as keeps banks apart, and every arrangement of a tile covers it once."""
    assert padded((32, 32), 4, [[(0, 32, 1)]]) == ((32, 33), 1)
    assert padded((32, 32), 8, [[(0, 32, 1)]]) == ((32, 33), 1)
    assert conflicts([k * 32 for k in range(32)], 8) == 16
    for sides, size in (((64, 64), 4), ((32, 32), 8), ((16, 16, 16), 4)):
        axes = tuple(range(len(sides)))
        vectors = tuple((k, 16 // size) for k in axes)
        main, copies = arranged(sides, axes[-1], vectors, tuple((k, axes, size) for k in axes[:-1]), size, 256)
        for way in (main, *(copy.way for copy in copies)):
            assert {axis: lanes * turns * vector for axis, lanes, turns, vector in way.axes} == dict(
                zip(axes, sides, strict=True)
            )
            assert np.prod([lanes for _, lanes, _, _ in way.axes]) == 256
        for copy in copies:
            assert padded([sides[k] for k in copy.order], size, [w.over(copy.order) for w in (copy.way, main)])[1] == 1


def test_problems() -> None:
    """Arrays that walk the same memory are one problem; lengths do not show in what is chosen."""
    a = np.zeros((6, 8, 10), "f4")
    for other in (a, a.T, a[::-1], a[:, None], a.transpose(1, 0, 2)):
        problem = problem_of([other, other], other.shape, (), 1)
        assert problem.lengths == (480,) and problem.streams[0].strides == (4,)
        assert problem.streams[0].address == a.ctypes.data
    sums = problem_of([a, a[:, :1]], a.shape, (1,), 1)
    assert sums.lengths == (6, 10, 8) and sums.reduced == (2,)
    gpu = target.gpu("h200")
    longer = [problem_of([x, x], x.shape, (), 1) for x in (np.zeros(1 << 20, "f4"), np.zeros((1 << 20) + 4096, "f4"))]
    assert len({choose(p, (), gpu).options for p in longer}) == 1


def test_places_of_64_bits() -> None:
    """Where a span needs them, and there alone."""
    from arrayexpr._core.engine.launches import Stream

    small, large = (Problem((n,), (), (Stream(0, (4,), 4),), 1) for n in (1 << 20, 1 << 30))
    assert not small.wide() and large.wide()


def test_targets() -> None:
    assert target.gpu("A100").architecture == "sm_80"
    with pytest.raises(arrayexpr.ArrayExprError, match="no GPU is named 'g80': there are a100, h100, h200"):
        target.gpu("g80")
    with pytest.raises(arrayexpr.ArrayExprError, match="target h200 is a GPU: expected device="):
        arrayexpr.compile(TRIAD, target=target.gpu("h200"))


def test_time_on_a_device() -> None:
    a = np.zeros((1 << 10, 1 << 10), "f4")
    program = parse("def f(a: float32[:, :], *, r: float32[:, :]):\n    r[...] = a + a\n")
    assert device_seconds(program.replace(target=target.gpu("h200"))) is None
    from arrayexpr._core.layout import Layout

    known = program.replace(target=target.gpu("h200"), layouts={"a": Layout.of(a), "r": Layout.of(a)})
    there, moved = device_seconds(known)  # type: ignore[misc]
    assert there == pytest.approx(5e-6 + 2 * a.nbytes / 4.3e12) and moved == pytest.approx(2 * a.nbytes / 5e10)
    with pytest.raises(arrayexpr.ArrayExprError, match="expected a Gpu"):
        transfer_seconds(known.statements[0], known.replace(target=target.Target()))


def test_ahead_of_time() -> None:
    """One text for both languages but for the pointers and the words of the preamble."""
    texts = [arrayexpr.emit(TRIAD, language) for language in ("opencl", "cuda")]
    bodies = [re.findall(r"    int64_t b1 = BLOCK.*?\n}\n", text, re.DOTALL) for text in texts]
    assert bodies[0] == bodies[1] and len(bodies[0]) == 2
    assert all("KERNEL(256)" in text for text in texts)
    with pytest.raises(arrayexpr.UnsupportedError, match="ahead of time: expected element-wise work and reductions"):
        arrayexpr.emit(parse("def f(a: float64[:, :], b: float64[:], *, r: float64[:]):\n    r[...] = a @ b\n"), "cuda")
    assert not any(isinstance(n, Barrier) for n in postorder(TRIAD.statements))
