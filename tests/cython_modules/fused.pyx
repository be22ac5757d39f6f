# cython: language_level=3
"""Statements in a row that tests/test_cython_values.py compares with NumPy."""
import numpy as np


def two(double[:, :] a, double[:, :] b, double[:, :] c, double[:, :] out, double[:, :] total):
    t = a * b
    out[...] = t + c
    total[...] += out


def kept(double[:] a, double[:] b, double[:] out):
    t = a * b
    out[...] = t + 1
    return np.asarray(t)


def chain(double[:] a, double[:] b, double s):
    t = a * b
    u = t + s
    v = u * u
    b[...] = v - t


def order(double[:] a, double[:] b):
    a[...] = b * 2
    b[...] = a + 1


def twice(double[:] a, double[:] b):
    a[...] += 1
    a[...] *= b
    b[...] = a - b


def slices(double[:] a, double[:] out):
    out[1:-1] = a[2:] - a[:-2]
    out[1:-1] *= 2


def without_gil(float[:, :] a, float[:] b, float[:, :] out, float[:, :] other):
    cdef int n = 3
    with nogil:
        out[...] = a * n + b
        other[...] = a - b * out


def types(int[:] a, short[:] out, double[:] wide):
    out[...] = a * 2
    wide[...] = out + 0.5


cdef class Held:
    cdef double[:] x

    def __init__(self, x):
        self.x = x

    def go(self, double[:] y):
        cdef double[:] t = y * 2
        y[...] = t + y
        self.x[...] = y


def parts(double[:, :] a, double[:, :] out):
    t = a * 2
    out[...] = t.T + 1
    out[1:, :] = t[:-1, :] * 2


def again(double[:] a, double[:] out, int n):
    cdef int k
    t = a * 1
    for k in range(n):
        out[...] = t + k
        u = out * 2
        out[...] += u


def late(double[:] a, double[:] out, int n):
    cdef int k
    cdef double[:] t = a
    for k in range(n):
        u = t + 1
        t = a * k
        out[...] = u + t
