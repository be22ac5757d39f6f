# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Loops over memoryviews that tests/test_cython_adapter.py compares with NumPy."""
cimport cython
from libc.math cimport sin, sqrt


def axpy(double[:, :] a, double[:, :] b, double s, double[:, :] out):
    cdef Py_ssize_t i = -7, j = -7
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = a[i, j] * b[i, j] + s
    return i, j


def three(float[:, :, :] a, float[:, :, :] out, int n):
    cdef int i, j, k
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            for k in range(n):
                out[j, i, k] = a[i, j, k] * 2
    return i, j, k


def stencil(double[:, :] u, double[:, :] v):
    cdef int i = 0, j = 0
    cdef int n = u.shape[0], m = u.shape[1]
    cdef double t
    for i in range(1, n - 1):
        for j in range(1, m - 1):
            t = u[i - 1, j] + u[i + 1, j]
            t = t + u[i, j - 1] + u[i, j + 1]
            v[i, j] = 0.25 * t
    return i, j


def two(double[:] a, double[:] b, double[:] x, double[:] y):
    cdef Py_ssize_t i
    for i in range(a.shape[0]):
        x[i] = a[i] + b[i]
        y[i] = x[i] * sqrt(a[i])


def crosswise(double[:] x, double[:] y):
    cdef Py_ssize_t i
    for i in range(x.shape[0]):
        x[i] = x[i] + y[i]
        y[i] = x[i] - 2 * y[i]


def shift(double[:] a):
    cdef Py_ssize_t i
    for i in range(1, a.shape[0]):
        a[i] = a[i - 1] + 1


def in_place(double[:] a, double[:] b):
    cdef Py_ssize_t i
    for i in range(a.shape[0]):
        a[i] = b[i] * 2 + a[i]


def columns(double[:, :] a):
    cdef Py_ssize_t i
    for i in range(a.shape[0]):
        a[i, 0] = a[i, 1] * 2


def diagonal(double[:, :] a, double[:] out):
    cdef Py_ssize_t i
    for i in range(out.shape[0]):
        out[i] = a[i, i]


def total(double[:] a):
    cdef Py_ssize_t i
    cdef double s = 0
    for i in range(a.shape[0]):
        s += a[i]
    return s


def rows(double[:, :] a, double[:] w):
    cdef Py_ssize_t i, j
    cdef double f
    for i in range(a.shape[0]):
        f = sin(w[i])
        for j in range(a.shape[1]):
            a[i, j] *= f


def last_seen(double[:] a, double[:] out):
    cdef Py_ssize_t i
    cdef double t = 0
    for i in range(a.shape[0]):
        t = a[i] * 2
        out[i] = t
    return t


@cython.boundscheck(True)
@cython.wraparound(True)
def checked(double[:] a, double[:] b, int n):
    cdef int i
    for i in range(n):
        a[i] = b[i] + 1


@cython.wraparound(True)
def wraps(double[:] a, double[:] b):
    cdef int i
    for i in range(a.shape[0]):
        a[i] = b[i - 1] + 1


def without_gil(double[:, :] a, double[:, :] out) :
    cdef int i, j
    with nogil:
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                out[i, j] = a[j, i] + 1


def integers(int[:] a, unsigned char[:] b, long[:] out):
    cdef int i
    for i in range(a.shape[0]):
        out[i] = (a[i] << 2) + b[i] * 3 - (a[i] & 7)


@cython.cdivision(False)
def may_raise(double[:] a, double[:] b, double[:] out):
    cdef int i
    for i in range(a.shape[0]):
        out[i] = a[i] / b[i]


cdef class Grid:
    cdef double[:, :] field
    cdef double factor

    def __init__(self, field, factor):
        self.field = field
        self.factor = factor

    def step(self, double[:, :] out):
        cdef Py_ssize_t i, j
        for i in range(self.field.shape[0]):
            for j in range(self.field.shape[1]):
                out[i, j] = self.field[i, j] * self.factor


def uses_index(double[:] a):
    cdef int i
    for i in range(a.shape[0]):
        a[i] = i


def running(double[:] a, double[:] out):
    cdef int i
    cdef double s
    for i in range(a.shape[0]):
        if i == 0:
            s = 0
    for i in range(a.shape[0]):
        s = s + a[i]
        out[i] = s


def delayed(double[:] a, double[:] out):
    cdef int i
    cdef double t = 5
    for i in range(a.shape[0]):
        out[i] = t
        t = a[i]


def moved(double[:] a, double[:] out):
    cdef int i, k = 0
    for i in range(out.shape[0]):
        out[i] = a[k]
        k = k + 1


def repeated(double[:, :] windows):
    cdef int i, j
    for i in range(windows.shape[0]):
        for j in range(windows.shape[1]):
            windows[i, j] = windows[i, j] + 1


def breaks(double[:] a, double[:] b):
    cdef int i
    for i in range(a.shape[0]):
        if b[i] > 5:
            break
        a[i] = b[i]
    return i


@cython.arrayexpr(False)
def switched_off(double[:] a, double[:] b):
    cdef int i
    for i in range(a.shape[0]):
        a[i] = b[i] * 2
