"""What a device does beside regions: matrix products, places of extremes, loops, half precision; and calls again."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
from cuda_host import HostCuda
from layouts import same

import arrayexpr

if shutil.which("g++") is None:
    pytest.skip("there is no g++ to run CUDA text on the host", allow_module_level=True)


@pytest.fixture(scope="module")
def host() -> Any:
    return HostCuda()


@pytest.mark.parametrize("t", ["f8", "i4", "f2"])
def test_matrix_products(host: Any, t: str) -> None:
    """Of small whole numbers, so that no order of the sum shows; matrices, stacks of them, vectors."""
    rng = np.random.default_rng(0)

    def some(*shape: int) -> Any:
        return rng.integers(-4, 5, shape).astype(t)

    kernel = arrayexpr.kernel(lambda a, b: a @ b, device=host)
    shapes = (((5, 40), (40, 7)), ((3, 5, 40), (40, 7)), ((2, 1, 4, 6), (3, 6, 5)), ((40,), (40, 7)), ((5, 40), (40,)))
    # Each compiles kernels of its own: all of them for one element type.
    for x, y in shapes if t == "f8" else shapes[:1]:
        a, b = some(*x), some(*y)
        assert same(kernel(a, b), a @ b), (x, y)
    a, b = some(6, 40), some(7, 40)
    after = arrayexpr.kernel(lambda a, b: (a + a) @ b.T * 2 + 1, device=host)
    assert same(after(a, b), (a + a) @ b.T * np.asarray(2, t) + np.asarray(1, t))


def test_products_that_do_not_fit(host: Any) -> None:
    with pytest.raises(arrayexpr.ShapeMismatch, match="do not contract"):
        arrayexpr.kernel(lambda a, b: a @ b, device=host)(np.ones((2, 3)), np.ones((2, 3)))


@pytest.mark.parametrize("shape", [(7,), (5, 300), (3, 4, 20)])
def test_places_of_extremes(host: Any, shape: tuple[int, ...]) -> None:
    """The first of those that are alike, or the first NaN; over the last axis, and over all."""
    a = np.random.default_rng(1).integers(0, 9, shape).astype("f8")
    b = a.copy()
    b.flat[a.size // 2] = np.nan
    last = len(shape) - 1

    def along(a: Any) -> Any:
        return np.argmax(a, last)

    def of_all(a: Any) -> Any:
        return np.argmin(a) * 2

    for function in (along, of_all):
        kernel = arrayexpr.kernel(function, device=host)
        for each in (a, b):
            assert same(kernel(each), function(each))


def test_loops(host: Any) -> None:
    """The host loops over launches, by its own numbers."""

    def relax(a: Any, n: Any) -> Any:
        b = a * 1.0
        for k in range(n):
            b = b * 0.5 + a[k]
        return b

    a = np.random.default_rng(2).standard_normal((6, 40))
    kernel = arrayexpr.kernel(relax, device=host)
    for n in (0, 3):
        assert same(kernel(a, n), relax(a, n)), n
    stepped = arrayexpr.parse("""
def f(x: float64[:, :], n: int64):
    for i in range(1, n, 1):
        x[i, :] = x[i - 1, :] + x[i, :]
""")
    x = a.copy()
    arrayexpr.compile(stepped, device=host)(x, 4)
    want = a.copy()
    for i in range(1, 4):
        want[i] = want[i - 1] + want[i]
    assert same(x, want)


def test_a_row_s_value_in_place(host: Any) -> None:
    """What is stored once a row may lie where the rest of the row is computed from."""
    program = arrayexpr.parse("""
def f(a: float64[:, :], b: float64[:], *, r: float64[:, :]):
    r[...] = a + (b + reduce(add, a, (1,)))[:, None]
    b[...] = b + reduce(add, a, (1,))
""")
    rng = np.random.default_rng(4)
    a, b = rng.integers(-9, 9, (5, 300)).astype("f8"), rng.integers(-9, 9, 5).astype("f8")
    want = b + a.sum(1)
    assert same(arrayexpr.compile(program, device=host)(a, b), a + want[:, None])
    assert same(b, want)


def test_reductions_of_few_types(host: Any) -> None:
    """Those that the host leaves to NumPy: complex products and extremes, bits of bools, `fmin` of integers."""
    rng = np.random.default_rng(5)
    z = (rng.integers(1, 3, (6, 5)) + 1j * rng.integers(0, 2, (6, 5))).astype("c16")
    n = z.copy()
    n[2, 3] = np.nan
    i, b = rng.integers(-9, 9, (6, 5)), rng.random((6, 5)) < 0.5
    for reduce, arrays in (
        (np.multiply.reduce, (z,)),
        (np.minimum.reduce, (z, n, i)),
        (np.maximum.reduce, (z, n)),
        (np.fmin.reduce, (z, n, i)),
        (np.fmax.reduce, (n, i)),
        (np.bitwise_xor.reduce, (b, i)),
        (np.bitwise_and.reduce, (b, b | True)),
        (np.bitwise_or.reduce, (b,)),
    ):
        for axis in (0, 1):
            kernel = arrayexpr.kernel(lambda a: reduce(a, axis=axis), device=host)  # noqa: B023
            for each in arrays:
                assert same(kernel(each), reduce(each, axis=axis)), (reduce, each.dtype, axis)


def test_half_precision(host: Any) -> None:
    """Each operation is rounded as NumPy does; sums are of single precision."""
    rng = np.random.default_rng(3)
    a, b = (rng.uniform(-4, 4, (33, 70)).astype("f2") for _ in range(2))
    kernel = arrayexpr.kernel(lambda a, b: np.where(a > b, a * b - a, b / a + np.float16(0.1)), device=host)
    assert same(kernel(a, b), np.where(a > b, a * b - a, b / a + np.float16(0.1)))
    wide = rng.standard_normal(500) * 10.0 ** rng.integers(-8, 5, 500)
    assert same(arrayexpr.kernel(lambda x: x.astype("f2"), device=host)(wide), wide.astype("f2"))
    turned = arrayexpr.kernel(lambda a, b: a + b.T, device=host)
    assert same(turned(a, b.T.copy()), a + b)
    for axis in (None, 0, 1):
        got = arrayexpr.kernel(lambda a: a.sum(axis), device=host)(a)  # noqa: B023
        want = a.astype("f8").sum(axis).astype("f2")
        assert got.dtype == np.float16
        assert np.all(np.abs(got.astype("f8") - want) <= np.spacing(np.abs(want)).astype("f8"))


def test_products_by_the_caller_s_library(monkeypatch: Any) -> None:
    """Where CuPy has been imported it computes products of real and complex matrices, on the stream followed."""
    import contextlib
    import sys
    import types

    from arrayexpr.adapters.cuda_device import CudaDevice, DeviceArray

    asked: list[Any] = []

    def asarray(array: DeviceArray) -> Any:
        class Seen:
            __array_interface__ = {k: v for k, v in array.__cuda_array_interface__.items() if k != "stream"}

        return np.asarray(Seen())

    def stream(handle: int) -> Any:
        asked.append(handle)
        return contextlib.nullcontext()

    cuda = types.SimpleNamespace(Device=lambda number: contextlib.nullcontext(), ExternalStream=stream)
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(asarray=asarray, matmul=np.matmul, cuda=cuda))
    host = HostCuda()
    device = CudaDevice(types.SimpleNamespace(ordinal=0, gpu=lambda: host.gpu))
    device.follow(9)
    a, b, out = np.ones((3, 4)), np.arange(20.0).reshape(5, 4), np.zeros((3, 5))
    assert device.product(a, b.T, out) and asked == [9] and same(out, a @ b.T)
    assert not device.product(a.astype("i8"), b.T.astype("i8"), out.astype("i8"))
