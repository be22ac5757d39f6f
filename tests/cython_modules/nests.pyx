# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Nests with branches, sums, steps, imperfect bodies and threads, which tests/test_cython_nests.py compares."""
cimport cython
from cython.parallel import prange
from libc.math cimport pow, sqrt


def row_sums(double[:, :] a, double[:] out):
    cdef Py_ssize_t i, j
    cdef double s
    for i in range(a.shape[0]):
        s = 0
        for j in range(a.shape[1]):
            s += a[i, j]
        out[i] = s


def row_sums_in_place(double[:, :] a, double[:] out):
    cdef Py_ssize_t i, j
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i] += a[i, j] * a[i, j]


def product(double[:, :] a, double[:, :] b, double[:, :] c):
    cdef Py_ssize_t i, j, k
    cdef double s
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            s = 0
            for k in range(a.shape[1]):
                s += a[i, k] * b[k, j]
            c[i, j] = s


def masked(double[:, :] a, double[:, :] out, double low):
    cdef int i, j
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            if a[i, j] > low and a[i, j] < 2 * low:
                out[i, j] = sqrt(a[i, j])
            elif a[i, j] <= low:
                out[i, j] = -1
            else:
                out[i, j] += a[i, j]


def borders(double[:, :] a, double[:, :] out):
    cdef int i, j, n = a.shape[0], m = a.shape[1]
    for i in range(n):
        for j in range(m):
            if i > 0 and i < n - 1 and j > 0 and j < m - 1:
                out[i, j] = a[i - 1, j] + a[i + 1, j] - a[i, j - 1] * a[i, j + 1]


def skipped(double[:] a, double[:] out):
    cdef int i
    for i in range(a.shape[0]):
        if a[i] < 0:
            continue
        out[i] = a[i] * 2


def stepped(double[:] a, double[:] out):
    cdef int i = -5
    for i in range(1, out.shape[0], 3):
        out[i] = a[i] * 2
    return i


def falling(double[:] a, double[:] out):
    cdef int i = -5
    for i in range(a.shape[0] - 1, -1, -1):
        out[i] = a[i] + i
    return i


def coordinates(double[:, :] out, double h):
    cdef int i, j
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = i * h + j / 2 if i != j else -h


def imperfect(double[:, :] a, double[:, :] out, double[:] w):
    cdef Py_ssize_t i, j
    cdef double f
    for i in range(a.shape[0]):
        f = w[i] * 2 + 1
        w[i] = sqrt(f * f)
        for j in range(a.shape[1]):
            out[i, j] = a[i, j] * f
            a[i, j] = 0


def recurrence(double[:, :] a, double[:, :] b):
    cdef Py_ssize_t i, j
    for i in range(1, a.shape[0]):
        for j in range(a.shape[1]):
            a[i, j] = a[i - 1, j] * 0.5 + b[i, j]


def triangle(double[:, :] a, double[:, :] out):
    cdef Py_ssize_t i, j
    for i in range(a.shape[0]):
        for j in range(i + 1):
            out[i, j] = a[i, j] * 2


def shifted(double[:] a):
    cdef Py_ssize_t i
    for i in range(a.shape[0] - 1):
        a[i] = a[i + 1] * 2


def integers(int[:, :] a):
    cdef Py_ssize_t i, j
    cdef long s = 5
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            s += a[i, j]
    return s


@cython.arrayexpr_fast(True)
def fast_dot(double[:] a, double[:] b):
    cdef Py_ssize_t i
    cdef double s = 0
    for i in range(a.shape[0]):
        s += a[i] * b[i]
    return s


def moments(double[:, :] a, double[:] mean, double[:] var):
    cdef Py_ssize_t i, j
    cdef Py_ssize_t n = a.shape[1]
    cdef double s, t
    for i in range(a.shape[0]):
        s = 0
        t = 0
        for j in range(n):
            s += a[i, j]
            t += a[i, j] * a[i, j]
        mean[i] = s / n
        var[i] = t / n - mean[i] * mean[i]


def parallel(double[:, :] a, double[:, :] out):
    cdef Py_ssize_t i, j
    for i in prange(a.shape[0], nogil=True, num_threads=2):
        for j in range(a.shape[1]):
            out[i, j] = a[i, j] * 2 + 1


def parallel_sums(double[:, :] m, double[:, :] v, double[:] c, double[:] out):
    cdef int i, j, k
    cdef double s
    for k in prange(v.shape[1], nogil=True):
        for i in range(m.shape[0]):
            s = 0.0
            for j in range(m.shape[1]):
                s = s + m[i, j] * v[j, k]
            out[k] += c[i] * s


def within_parallel(double[:, :, :] a, double[:, :, :] out):
    cdef int i, j, k
    for i in prange(a.shape[0], nogil=True):
        with cython.boundscheck(False):
            for j in range(a.shape[1]):
                for k in range(a.shape[2]):
                    out[i, j, k] = a[i, k, j] - 1


@cython.cdivision(False)
def quotients(double[:, :] a, double[:, :] b, double n, double[:, :] out):
    cdef int i, j
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = a[i, j] / b[i, j] / n


def used_again(double[:] a, double[:] out):
    cdef Py_ssize_t i = -5
    cdef double t
    for i in range(a.shape[0]):
        t = a[i] * 2
        out[i] = t + 1
    for i in range(a.shape[0]):
        t = a[i] * 3
        out[i] += t
    return i


def chosen(double[:] a, double[:] b, double[:] out):
    cdef Py_ssize_t i
    cdef double t
    for i in range(a.shape[0]):
        if i > 0:
            t = a[i - 1]
        else:
            t = 7
        out[i] = t + b[i]


def histogram(long[:] at, double[:] out):
    cdef Py_ssize_t i
    for i in range(at.shape[0]):
        out[at[i]] += 1


def four(float[:, :, :, :] a, float[:, :, :, :] out, float s):
    cdef int i, j, k, l
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            for k in range(a.shape[2]):
                for l in range(a.shape[3]):
                    out[l, k, j, i] = a[i, j, k, l] * s


def sum_beside(double[:, :] a, double[:, :] out):
    cdef Py_ssize_t i, j
    cdef double s = 0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = a[i, j] * 2
            s += out[i, j]
    return s


def clipped(double[:] a, double[:] out):
    cdef Py_ssize_t i
    for i in range(a.shape[0]):
        out[i] = max(a[i] * 2, 0.5) + min(a[i], -0.5)


def powers(double[:, :] a, double[:, :] out):
    cdef Py_ssize_t i, j
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[i, j] = a[i, j] ** 3 + pow(a[i, j] ** 2, 0.5) - <float> a[i, j] ** 4


@cython.arrayexpr_fast(True)
def products_of_powers(double[:] a, double[:] out):
    cdef Py_ssize_t i
    for i in range(a.shape[0]):
        out[i] = a[i] ** 4
