# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Loops over buffers, which tests/test_cython_nests.py compares with NumPy."""


def scaled(object[double, ndim=2, mode="strided"] a, object[double, ndim=2, mode="strided"] out, int n, int m):
    cdef int i, j
    for i in range(n):
        for j in range(m):
            out[i, j] = a[i, j] * 2 + 1


def summed(object[double, ndim=2, mode="strided"] a, object[double, ndim=1, mode="c"] out, int n, int m):
    cdef int i, j
    for i in range(n):
        for j in range(m):
            out[i] += a[i, j]
