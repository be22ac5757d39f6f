"""Functions of complex numbers on devices: near NumPy's values in extended precision, and NumPy's special values."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pytest
from cuda_host import HostCuda
from gpu_support import need
from test_operators import sample

import arrayexpr
from arrayexpr._core.ops import operators
from arrayexpr._core.types import element

FUNCTIONS = [op.name for op in operators() if "c" in op.vector_math and "c" in op.kinds and op.arity == 1]
#: Units in the last place of the larger part by which a function may be off, where it is more than 4.
FURTHER = {"tan": 6, "tanh": 6}


@pytest.fixture(scope="module", params=["cuda", "opencl"])
def device(request: Any) -> Any:
    if request.param == "opencl":
        return need("portable computing")
    if shutil.which("g++") is None:
        pytest.skip("there is no g++ to run CUDA text on the host")
    return HostCuda()


def of_all(z: Any) -> Any:
    return tuple(getattr(np, name)(z) for name in FUNCTIONS)


@pytest.fixture(scope="module")
def kernel(device: Any) -> Any:
    """All functions at once, compiled for each element type once."""
    return arrayexpr.kernel(of_all, device=device)


def units_off(got: Any, want: Any) -> Any:
    """How far numbers are off in units of the last place of the larger part; 0 where both are not finite."""
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(want.real), np.abs(want.imag)).astype(got.real.dtype)
        off = np.maximum(np.abs(got.real - want.real), np.abs(got.imag - want.imag)) / np.spacing(size)
    return np.where(np.isfinite(got) & np.isfinite(size), off, 0)


def near_one(rng: np.random.Generator, count: int, t: str) -> Any:
    """Numbers of an absolute value near 1, and near real ones: where logarithms and arc sines are told apart."""
    angle = rng.uniform(-4, 4, count) * 10.0 ** rng.uniform(-9, 0, count)
    size = 1 + 10.0 ** rng.uniform(-16, 0, count) * rng.choice([-1, 1], count)
    return (size * np.exp(1j * angle)).astype(t)


@pytest.mark.parametrize("t", ["complex64", "complex128"])
def test_values(kernel: Any, t: str) -> None:
    rng = np.random.default_rng(0)
    z = np.concatenate([sample(element(t), 20000, rng), near_one(rng, 10000, t)])
    with np.errstate(all="ignore"):
        wide = of_all(z.astype("G"))
        plain = of_all(z)
    for name, got, exact, numpys in zip(FUNCTIONS, kernel(z), wide, plain, strict=True):
        assert np.array_equal(np.isfinite(got), np.isfinite(numpys)), name
        got, numpys = (np.where(np.isfinite(each), each, 0) for each in (got, numpys))
        off = units_off(got, exact)
        if name in ("exp2", "log1p", "expm1"):
            # As NumPy computes them they lose what the formula does: no more of it than there, and few units beside.
            off = np.minimum(off, units_off(got, numpys.astype("G")))
            if name == "log1p":
                off = np.minimum(off, np.abs(got - numpys) / np.finfo(got.real.dtype).eps)
        assert off.max() <= FURTHER.get(name, 4), (name, off.max(), z[off.argmax()])


@pytest.mark.parametrize("t", ["complex64", "complex128"])
def test_special_values(kernel: Any, t: str) -> None:
    """Every pair of zeros, infinities, NaN and extremes gives what NumPy makes of it, part by part.

    Of a number with a NaN in it C leaves the signs of the other part open.
    """
    info = np.finfo(t)
    few = [0.0, 1.0, 0.5, 2.0, np.inf, info.max, info.tiny, info.smallest_subnormal, 1e-20, 50.0, 700.0]
    real = np.array([*few, *(-x for x in few), np.nan], info.dtype)
    z = np.empty((len(real), len(real)), t)
    z.real, z.imag = real[:, None], real
    z = z.ravel()
    with np.errstate(all="ignore"):
        want = of_all(z)
    for name, got, exact in zip(FUNCTIONS, kernel(z), want, strict=True):
        nan = np.isnan(exact)
        for x, y in ((got.real, exact.real), (got.imag, exact.imag)):
            assert np.array_equal(np.isnan(x), np.isnan(y)), name
            assert np.array_equal(np.isinf(x), np.isinf(y)), name
            assert np.array_equal(np.signbit(x)[~nan], np.signbit(y)[~nan]), name
        assert units_off(got, exact.astype("G" if exact.dtype.kind == "c" else "g")).max() <= 8, name


@pytest.mark.parametrize("t", ["complex64", "complex128"])
def test_powers_and_parts(device: Any, t: str) -> None:
    rng = np.random.default_rng(1)
    x, y = (
        (rng.standard_normal(2000) + 1j * rng.standard_normal(2000)).astype(t) * np.dtype(t).type(4) for _ in range(2)
    )
    y[::4] = np.round(y[::4].real)
    kernel = arrayexpr.kernel(lambda x, y: (x**y, np.angle(x), np.conj(y), abs(x), x.real * y.imag), device=device)
    power, angle, conjugate, size, parts = kernel(x, y)
    exact = x.astype("G") ** y.astype("G")
    growth = 1 + np.abs(y.astype("G") * np.log(x.astype("G")))
    assert np.all(units_off(power, exact) <= 4 * growth)
    np.testing.assert_array_max_ulp(angle, np.angle(x), 4)
    np.testing.assert_array_max_ulp(size, np.abs(x), 4)
    assert np.array_equal(conjugate, y.conj()) and np.array_equal(parts, x.real * y.imag)
