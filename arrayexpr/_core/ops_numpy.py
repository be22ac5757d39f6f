"""What the operators that are no ufunc compute, on NumPy arrays of the right types."""

from __future__ import annotations

from typing import Any

import numpy as np


def trunc_divide(x: Any, y: Any) -> Any:
    quotient = np.floor_divide(x, y)
    inexact = np.multiply(quotient, y) != x
    # Floor and truncation differ where the exact quotient is negative; division by zero gives 0.
    return np.where((y != 0) & inexact & ((x < 0) != (y < 0)), quotient + x.dtype.type(1), quotient).astype(x.dtype)


def fma(x: Any, y: Any, z: Any) -> Any:
    # Looking for a library starts processes, and importing what does takes as long as tracing a kernel.
    import ctypes
    import ctypes.util

    libm = ctypes.CDLL(ctypes.util.find_library("m") or None)
    name, ctype = ("fmaf", ctypes.c_float) if x.dtype == np.float32 else ("fma", ctypes.c_double)
    function = getattr(libm, name)
    function.restype, function.argtypes = ctype, [ctype] * 3
    return np.asarray(np.frompyfunc(function, 3, 1)(x, y, z)).astype(x.dtype)


def where(c: Any, x: Any, y: Any) -> Any:
    return np.where(c, x, y)


def clip(x: Any, low: Any, high: Any) -> Any:
    return np.minimum(np.maximum(x, low), high)


def real(x: Any) -> Any:
    return np.real(x).copy()


def imag(x: Any) -> Any:
    return np.imag(x).copy()


def complex_of_parts(x: Any, y: Any) -> Any:
    """The complex numbers of these real and imaginary parts, in the bits given."""
    x, y = np.broadcast_arrays(x, y)
    z = np.empty(x.shape, np.result_type(x.dtype, np.complex64))
    z.real, z.imag = x, y
    return z
