# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, arrayexpr_fast=True
"""Functions of C's library, which tests/test_cython_fast.py compares with NumPy's."""
cimport cython
from libc.math cimport exp, expf, log, sin


def statement(double[:, :] a, double[:, :] b, double s, double[:, :] out):
    out[...] = exp(-a * a) * sin(b) + log(a * a + s)


def loop(double[:, :] a, double[:, :] b, double s, double[:, :] out):
    cdef Py_ssize_t i, j
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = exp(-a[i, j] * a[i, j]) * sin(b[i, j]) + log(a[i, j] * a[i, j] + s)


def in_a_row(double[:, :] a, double[:, :] b, double s, double[:, :] out):
    t = exp(-a * a)
    u = t * sin(b)
    out[...] = u + log(a * a + s)


def of_floats(float[:] a, float[:] out):
    out[...] = expf(a) + 1


@cython.arrayexpr_fast(False)
def as_written(double[:, :] a, double[:, :] out):
    out[...] = exp(a)
