"""Kernels through OpenCL: bit for bit beside the interpreter, on Oclgrind under its checks and on PoCL."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from gpu_support import LACKING, agrees_by_opencl, oclgrind, opencl, pocl, supported  # noqa: F401
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kernels import check, comparable
from layouts import LAYOUTS, lay_out, same, ulps, values
from strategies import applicable, elementwise_programs, operand_arrays, overlapping_arrays
from test_gpu_complex import units_off
from test_operators import operand_types, sample

import arrayexpr
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Apply, Assign, Cast, Operand
from arrayexpr._core.program import Program
from arrayexpr._core.types import element, elements

pytest.importorskip("pyopencl", reason="the test extra brings pyopencl and Oclgrind")

TYPES = [t for t in elements() if t.name not in LACKING]


@pytest.fixture(params=["oclgrind", "portable computing"])
def device(request: Any) -> Any:
    found = opencl(request.param)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.mark.parametrize("t", TYPES, ids=str)
def test_operators(oclgrind: Any, t: Any) -> None:  # noqa: F811
    """Every operator; of functions of complex numbers there is more in `test_gpu_complex`."""
    rng = np.random.default_rng(3)
    for op in applicable(t):
        types = operand_types(op, t)
        operands = [Operand(f"x{k}", u.array(1)) for k, u in enumerate(types)]
        result = Operand("r", op.result(types).array(1))
        program = Program("kernel", operands, [Assign(result, Apply(op, tuple(operands)))], [result])
        arrays = {o.name: sample(o.type.element, 150, rng) for o in operands}
        if op.name == "ldexp":
            arrays["x1"] = rng.integers(-200, 200, 150).astype("i4")
        got = arrayexpr.compile(program, device=oclgrind)(*arrays.values())
        want = interpret(program, arrays)["r"]
        if t.kind == "c" and t.kind in op.vector_math:
            assert np.array_equal(np.isfinite(got), np.isfinite(want)), op.name
            assert op.name == "power" or units_off(got, want).max() <= 8, op.name
        else:
            assert ulps(got, want) <= (4 if t.kind in op.vector_math else 0), op.name


@pytest.mark.parametrize("to", TYPES, ids=str)
def test_casts(oclgrind: Any, to: Any) -> None:  # noqa: F811
    rng = np.random.default_rng(0)
    for of in TYPES:
        x, r = Operand("x", of.array(1)), Operand("r", to.array(1))
        program = Program("kernel", [x], [Assign(r, Cast(x, to) if of is not to else x)], [r])
        a = sample(of, 203, rng)
        if of.kind in "fc" and to.kind in "iu":
            # Beyond an integer's range the result is the processor's own.
            a = rng.uniform(0, 100, 203).astype(of.dtype)
        assert same(arrayexpr.compile(program, device=oclgrind)(a), interpret(program, {"x": a})["r"]), of


@settings(max_examples=60)
@given(st.data(), elementwise_programs(max_nodes=8, max_statements=2, calls=True))
def test_random_programs(data: Any, case: Any) -> None:
    found = opencl("oclgrind")
    assume(not isinstance(found, str) and supported(case.program) and comparable(case.program))
    kernel = arrayexpr.compile(case.program, device=found)
    for _ in range(2):
        check(case.program, kernel, data.draw(operand_arrays(case)), give=data.draw(st.booleans()))
    check(case.program, kernel, data.draw(overlapping_arrays(case)))


@settings(max_examples=25)
@given(st.data(), elementwise_programs(max_nodes=8, max_statements=2, calls=True))
def test_random_programs_compiled(data: Any, case: Any) -> None:
    agrees_by_opencl(data, case)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(device: Any, layout: str) -> None:
    """Whole blocks and their edges, vectors and none, over several axes, with a broadcast one."""
    rng = np.random.default_rng(0)
    t = element("float32")

    def f(a: Any, b: Any, c: Any) -> Any:
        return np.where(a > b, a * 2 - c, b + c)

    kernel = arrayexpr.kernel(f, device=device)
    for shape in ((1,), (2100,), (3, 700), (700, 3), (4, 5, 60)):
        arrays = [lay_out(values(t, shape, rng), layout, rng) for _ in range(2)]
        arrays.append(values(t, (*shape[:-1], 1), rng))
        with np.errstate(all="ignore"):
            want = f(*arrays)
        assert same(kernel(*arrays), want), shape


def test_in_place_and_overlapping(device: Any) -> None:
    shift = arrayexpr.parse("def f(x: float64[:], s: float64):\n    x[1:] = x[:-1] * s\n")
    kernel = arrayexpr.compile(shift, device=device)
    x = np.arange(1000.0)
    want = x.copy()
    want[1:] = want[:-1] * 2
    kernel(x, 2.0)
    assert same(x, want)


def test_arrays_of_the_device(oclgrind: Any) -> None:  # noqa: F811
    """Results are arrays of the caller's library; a kernel runs where its arguments live."""
    from pyopencl import array as cl_array

    a, b = np.arange(12.0).reshape(3, 4), np.ones((3, 4))
    x, y = (cl_array.to_device(oclgrind.queue, each) for each in (a, b))
    kernel = arrayexpr.kernel(lambda a, b, s: (a * b + s)[::-1])
    got = kernel(x, y, 2.0)
    assert isinstance(got, cl_array.Array) and same(got.get(), (a * b + 2.0)[::-1])
    out = cl_array.zeros(oclgrind.queue, (3, 4), np.float64)
    assert kernel(x, y, 2.0, out=out) is out and same(out.get(), (a * b + 2.0)[::-1])
    assert same(kernel(x[1:, ::2], y[:2, 1::2], 2.0).get(), (a[1:, ::2] + 2.0)[::-1])
    # A scalar that lies on the device is read there.
    assert same(kernel(x, y, x[1, 1]).get(), (a + 5.0)[::-1])
    assert same(kernel(a, b, 2.0), (a * b + 2.0)[::-1])


def test_errors(oclgrind: Any) -> None:  # noqa: F811
    from pyopencl import array as cl_array

    kernel = arrayexpr.kernel(lambda a, b: a + b)
    x = cl_array.to_device(oclgrind.queue, np.ones(3))
    with pytest.raises(arrayexpr.TypeMismatch, match="operand b lies in the host's memory and others on Oclgrind"):
        kernel(x, np.ones(3))
    with pytest.raises(arrayexpr.ShapeMismatch, match="does not broadcast with"):
        kernel(x, x[:2])
    longer = arrayexpr.kernel(lambda a: a + a, device=oclgrind)
    with pytest.raises(arrayexpr.UnsupportedError, match="longdouble.*lacks arithmetic of longdouble"):
        longer(np.ones(3, "g"))
    with pytest.raises(ValueError, match="negative integer powers"):
        arrayexpr.kernel(lambda a, b: a**b, device=oclgrind)(np.arange(3), -np.arange(3))
    with pytest.raises(arrayexpr.ArrayExprError, match="no OpenCL device is named 'no such'"):
        arrayexpr.kernel(lambda a: a + a, device="opencl:no such")(np.ones(3))


def test_binaries_are_kept_by_content(pocl: Any, tmp_path: Any, monkeypatch: Any) -> None:  # noqa: F811
    """A text is compiled once; what cannot be read of the cache is made anew."""
    from arrayexpr.adapters import opencl_device

    monkeypatch.setattr(opencl_device, "cache_dir", lambda: tmp_path)
    a = np.ones(100)

    def kept() -> dict[Any, bytes]:
        assert same(arrayexpr.kernel(lambda a: a * 3 + 1, device=pocl)(a), a * 3 + 1)
        return {path: path.read_bytes() for path in tmp_path.rglob("opencl-*")}

    first = kept()
    (path,) = first
    assert kept() == first
    path.write_bytes(b"no program")
    assert kept()[path] != b"no program"


#: Functions that reduce or transpose, with their shapes: every schedule but the flat one.
SHAPES = ((5,), (3000,), (40, 36), (3, 700), (700, 3), (65, 130), (9, 20, 33))


def doubled_sum(axis: Any) -> Any:
    return lambda a: a.sum(axis, dtype="i4") * 2


def span(axis: Any) -> Any:
    return lambda a: a.max(axis) - a.min(axis)


def reduced(function: Any, axis: int) -> Any:
    return lambda a: function(a, axis=axis)


@pytest.mark.parametrize("layout", ["C", "F", "permuted", "stepped", "broadcast"])
def test_reductions(oclgrind: Any, layout: str, capfd: Any) -> None:  # noqa: F811
    """Of whole numbers bit for bit, over every set of axes; and no lanes race."""
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        a = lay_out(rng.integers(-99, 99, shape, "i4"), layout, rng)
        axes = [None, *range(a.ndim), *([(0, a.ndim - 1)] if a.ndim > 2 else [])]
        for axis in axes:
            sums = arrayexpr.kernel(doubled_sum(axis), device=oclgrind)
            most = arrayexpr.kernel(span(axis), device=oclgrind)
            assert same(sums(a), a.sum(axis, dtype="i4") * np.int32(2)), (shape, axis)
            assert same(most(a), a.max(axis) - a.min(axis)), (shape, axis)
    assert "race" not in capfd.readouterr().err


def test_extremes_and_nan(oclgrind: Any) -> None:  # noqa: F811
    rng = np.random.default_rng(1)
    a = values(element("float64"), (20, 70), rng)
    for f in (np.max, np.min, np.fmax.reduce, np.fmin.reduce):
        for axis in (0, 1):
            got = arrayexpr.kernel(reduced(f, axis), device=oclgrind)(a)
            want = f(a, axis=axis)
            assert np.array_equal(got, want, equal_nan=True)
    with pytest.raises(arrayexpr.ShapeMismatch, match="no value for no elements"):
        arrayexpr.kernel(lambda a: a.max(0), device=oclgrind)(np.ones((0, 3)))
    assert same(arrayexpr.kernel(lambda a: a.sum(0), device=oclgrind)(np.ones((0, 3))), np.zeros(3))


def test_rows_again(device: Any) -> None:
    """Several reductions that wait for one another, and results along the row: kept by lanes, and walked again."""

    def softmax(a: Any) -> Any:
        e = np.exp(a - a.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def normal(a: Any) -> Any:
        return (a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 1)

    rng = np.random.default_rng(2)
    for function in (softmax, normal):
        kernel = arrayexpr.kernel(function, device=device)
        for shape in ((3, 50), (40, 132), (2, 3001)):
            a = rng.standard_normal(shape)
            np.testing.assert_allclose(kernel(a), function(a), rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(kernel(a.T), function(a.T), rtol=1e-12, atol=1e-14)


def mixed(x: Any, y: Any, z: Any) -> Any:
    return x + y.transpose(1, 2, 0) * z.transpose(2, 0, 1)


def test_tiles(device: Any, capfd: Any) -> None:
    """Operands along other axes, in whole tiles and their edges, of every size of element."""
    rng = np.random.default_rng(3)
    for t in ("u1", "i2", "f4", "f8", "c16"):
        for n, m in ((64, 64), (70, 33), (17, 129)):
            a, b = rng.integers(0, 9, (n, m)).astype(t), rng.integers(0, 9, (m, n)).astype(t)
            kernel = arrayexpr.kernel(lambda a, b: a + b.T, device=device)
            assert same(kernel(a, b), a + b.T)
            assert same(kernel(a[1:, 1:], b[1:, 1:]), a[1:, 1:] + b[1:, 1:].T)
        x = rng.integers(0, 9, (18, 21, 35)).astype(t)
        y, z = (np.ascontiguousarray(x.transpose(order)) for order in ((2, 0, 1), (1, 2, 0)))
        assert same(arrayexpr.kernel(mixed, device=device)(x, y, z), mixed(x, y, z))
    square = rng.standard_normal((50, 50))
    kernel = arrayexpr.kernel(lambda a, b: a + b.T, device=device)
    want = square + square.T
    kernel(square, square, out=square)
    assert same(square, want)
    assert "race" not in capfd.readouterr().err


def planted(monkeypatch: Any, change: Any) -> None:
    """Have every kernel from here on be of a text that was changed."""
    from arrayexpr._core.record import replace
    from arrayexpr.adapters import opencl

    source = opencl.source

    def changed(*args: Any, **named: Any) -> Any:
        made = source(*args, **named)
        text = change(made.text)
        assert text != made.text
        return replace(made, text=text)

    monkeypatch.setattr(opencl, "source", changed)


def test_reductions_of_operands_along_other_axes(device: Any, capfd: Any) -> None:
    """Tiles of them through local memory, whole and in part; a copy where no schedule has them; and no lanes race."""
    rng = np.random.default_rng(6)
    works = (
        lambda a, b: (a * b.T).sum(dtype="i4"),
        lambda a, b: (a + b.T).sum(0, dtype="i4"),
        lambda a, b: np.maximum(a, b.T).max(1),
    )
    for n, m in ((64, 96), (70, 33), (17, 129)):
        a, b = rng.integers(0, 9, (n, m), "i4"), rng.integers(0, 9, (m, n), "i4")
        for function in works:
            assert same(arrayexpr.kernel(function, device=device)(a, b), function(a, b)), (n, m)
    x, y = rng.integers(0, 9, (20, 6, 300), "i4"), rng.integers(0, 9, (300, 6, 20), "i4")
    kept = arrayexpr.kernel(lambda x, y: (x + y.transpose(2, 1, 0)).sum(1, dtype="i4"), device=device)
    assert same(kept(x, y), (x + y.transpose(2, 1, 0)).sum(1, dtype="i4"))
    assert "race" not in capfd.readouterr().err


def test_products(oclgrind: Any, capfd: Any) -> None:  # noqa: F811
    """Tiles of both factors, whole and in part, however they lie; and no lanes race."""
    rng = np.random.default_rng(7)
    for t in ("i4", "f2", "c8"):
        kernel = arrayexpr.kernel(lambda a, b: a @ b, device=oclgrind)
        for n, k, m in ((32, 32, 32), (37, 50, 18)):
            a, b = rng.integers(-4, 5, (n, k)).astype(t), rng.integers(-4, 5, (k, m)).astype(t)
            assert same(kernel(a, b), a @ b)
            assert same(kernel(a.T.copy().T, b[:, ::-1]), a @ b[:, ::-1])
    assert "race" not in capfd.readouterr().err


@pytest.mark.parametrize("work", ["tile", "rows", "crossing", "product"])
def test_a_missing_barrier_is_found(oclgrind: Any, monkeypatch: Any, capfd: Any, work: str) -> None:  # noqa: F811
    planted(monkeypatch, lambda text: text.replace("BARRIER;", ";"))
    a = np.ones((64, 64))
    works: dict[str, Any] = {
        "tile": lambda a: a + a.T,
        "rows": lambda a: a.sum(1),
        "crossing": lambda a: (a + a.T).sum(0),
    }
    works["product"] = lambda a: a @ a
    function = works[work]
    arrayexpr.kernel(function, device=oclgrind)(a)
    assert "data race" in capfd.readouterr().err


def test_an_access_out_of_bounds_is_found(oclgrind: Any, monkeypatch: Any, capfd: Any) -> None:  # noqa: F811
    # 64 lanes of two elements each, of which 100 are the array's.
    planted(monkeypatch, lambda text: text.replace("< r_n0", "< r_n0 + 64"))
    arrayexpr.kernel(lambda a: a + a, device=oclgrind)(np.ones(100))
    assert "Invalid" in capfd.readouterr().err


def test_a_racing_store_is_found(oclgrind: Any, monkeypatch: Any, capfd: Any) -> None:  # noqa: F811
    # Every lane of a row stores its sum, where one is to.
    planted(monkeypatch, lambda text: re.sub(r"if \(\w+ == 0\) \{", "if (1) {", text))
    arrayexpr.kernel(lambda a: a.sum(1), device=oclgrind)(np.ones((3, 64)))
    assert "data race" in capfd.readouterr().err


def test_sums_are_those_of_cuda(oclgrind: Any) -> None:  # noqa: F811
    """Lanes join what they have in one order, in local memory here and by shuffles there: the bits are the same."""
    from cuda_host import HostCuda

    rng = np.random.default_rng(5)
    for shape in ((3, 700), (2, 3001), (40, 36), (9, 20, 33)):
        a = rng.standard_normal(shape).astype("f4")
        for axis in (None, 0, len(shape) - 1):
            here = arrayexpr.kernel(lambda a: (a * a).sum(axis), device=oclgrind)  # noqa: B023
            there = arrayexpr.kernel(lambda a: (a * a).sum(axis), device=HostCuda())  # noqa: B023
            assert same(here(a), there(a)), (shape, axis)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.data(), elementwise_programs(max_nodes=12, max_statements=3, calls=True))
def test_more_random_programs(data: Any, case: Any) -> None:
    agrees_by_opencl(data, case, "oclgrind")
