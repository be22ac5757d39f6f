# cython: language_level=3
"""Reductions by name that tests/test_cython_values.py compares with NumPy."""
cimport arrayexpr
from arrayexpr cimport sum as total
import numpy as np


def full(double[:, :] a, double[:] b):
    s = arrayexpr.sum(a * b)
    return (s, arrayexpr.prod(a + b), arrayexpr.min(a), arrayexpr.max(a - b), arrayexpr.mean(a),
            arrayexpr.any(a > 1), arrayexpr.all(a > 1))


def along(double[:, :, :] a, float[:] b):
    t = arrayexpr.sum(a * b, axis=0)
    u = arrayexpr.max(a, axis=(0, -1))
    w = arrayexpr.mean(a * 2, 1, keepdims=True)
    return np.asarray(t), np.asarray(u), np.asarray(w), np.asarray(arrayexpr.any(a > b, axis=2))


def normal(double[:, :] a):
    return np.asarray((a - arrayexpr.mean(a, axis=0)) / total(a))


def integers(short[:, :] a, unsigned char[:] b):
    return (arrayexpr.sum(a), np.asarray(arrayexpr.prod(b, axis=0, keepdims=True)), arrayexpr.sum(a > 0),
            arrayexpr.mean(a), arrayexpr.min(a), np.asarray(total(a == a, axis=1)))


def into(double[:, :] a, double[:] out):
    with nogil:
        out[...] = arrayexpr.sum(a, axis=1)
        out[0] = arrayexpr.max(a)
        out[1:] = out[1:] * arrayexpr.min(a)


cdef double square(double x) except? -1:
    if x == 3:
        raise KeyError(x)
    return x * x


def through_calls(double[:] a):
    return arrayexpr.sum(square(a))


def of_complex(double complex[:] a):
    return arrayexpr.sum(a * a), arrayexpr.mean(a)


def of_float(float[:, :] a):
    t = arrayexpr.mean(a, axis=1)
    return arrayexpr.sum(a), np.asarray(t)


def of_quotient(double[:] a, double[:] b):
    return arrayexpr.sum(a / b)


def used(double[:] a):
    if arrayexpr.any(a > 3) and not arrayexpr.all(a == a):
        return "nan"
    return arrayexpr.max(a) - arrayexpr.min(a)
