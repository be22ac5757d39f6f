# cython: language_level=3, boundscheck=False, wraparound=False
"""The iterations of a loop that stays: calls of regions whose arrays only move from one to the next.

What a call of a region has to find out first, its problem and its code, is found out once. An iteration then is a
call of each region's code, and an addition for each of their arrays.
"""

cimport numpy as cnp
from libc.stdlib cimport calloc, free
from numpy cimport npy_intp

from . cimport pool
from .abi cimport Array, kernel_function
from .dispatch cimport Code, Problem, Region

cnp.import_array()

cdef extern from *:
    """
    #define ARRAYEXPR_DATA(a) PyArray_DATA((PyArrayObject *)(a))
    #define ARRAYEXPR_DIMS(a) PyArray_DIMS((PyArrayObject *)(a))
    #define ARRAYEXPR_STRIDES(a) PyArray_STRIDES((PyArrayObject *)(a))
    #if defined __GNUC__
    #define ARRAYEXPR_GET(place) __atomic_load_n(&(place), __ATOMIC_ACQUIRE)
    #else
    #define ARRAYEXPR_GET(place) (place)
    #endif
    """
    void *data_of "ARRAYEXPR_DATA" (object)
    const npy_intp *dims_of "ARRAYEXPR_DIMS" (object)
    const npy_intp *strides_of "ARRAYEXPR_STRIDES" (object)
    kernel_function get_function "ARRAYEXPR_GET" (kernel_function) noexcept nogil

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1


cdef bint _same_walk(object a, object b):
    """Whether two arrays are of one shape and strides."""
    cdef int k, rank = cnp.PyArray_NDIM(<cnp.ndarray>a)
    if rank != cnp.PyArray_NDIM(<cnp.ndarray>b):
        return False
    for k in range(rank):
        if dims_of(a)[k] != dims_of(b)[k] or strides_of(a)[k] != strides_of(b)[k]:
            return False
    return True


cdef void _bytes_of(object a, npy_intp *low, npy_intp *high):
    """The first byte of an array, and one past the last."""
    cdef int k
    cdef npy_intp reach
    low[0] = high[0] = <npy_intp>data_of(a)
    for k in range(cnp.PyArray_NDIM(<cnp.ndarray>a)):
        reach = (dims_of(a)[k] - 1) * strides_of(a)[k]
        if reach < 0:
            low[0] += reach
        else:
            high[0] += reach
    high[0] += cnp.PyArray_ITEMSIZE(<cnp.ndarray>a)


cdef bint _apart(object a, object b, object a_last, object b_last):
    """Whether two arrays that move evenly are the same view, or share no bytes, all the way."""
    cdef npy_intp low, high, low_b, high_b, low_last, high_last, low_b_last, high_b_last
    if data_of(a) == data_of(b) and data_of(a_last) == data_of(b_last) and _same_walk(a, b):
        if cnp.PyArray_ITEMSIZE(<cnp.ndarray>a) == cnp.PyArray_ITEMSIZE(<cnp.ndarray>b):
            return True
    if not cnp.PyArray_SIZE(<cnp.ndarray>a):
        return True
    _bytes_of(a, &low, &high)
    _bytes_of(b, &low_b, &high_b)
    _bytes_of(a_last, &low_last, &high_last)
    _bytes_of(b_last, &low_b_last, &high_b_last)
    return (high <= low_b and high_last <= low_b_last) or (high_b <= low and high_b_last <= low_last)


def moves(list first not None, list last not None, int outputs, npy_intp count):
    """The bytes that arrays, the outputs last, move each time of `count` from where they are first to the last place.

    None where they do not only move, or where an array partly overlaps an output on the way.
    """
    cdef int k, j, n = len(first)
    cdef list found = []
    cdef npy_intp distance
    for k in range(n):
        if not _same_walk(first[k], last[k]):
            return None
        distance = <char *>data_of(last[k]) - <char *>data_of(first[k])
        found.append(distance // count if count else 0)
    for k in range(n):
        for j in range(max(n - outputs, k + 1), n):
            if not _apart(first[k], first[j], last[k], last[j]):
                return None
    return found


cdef class Moving:
    """A region on arrays that move by so many bytes each time it has run.

    The arrays neither change shape or strides, nor does an input partly overlap an output, wherever they move to.
    `usable` is False where no code runs the region.
    """

    cdef Region region
    cdef Problem problem
    cdef Code code
    cdef char **data
    cdef npy_intp *moves
    cdef object arrays           # keeps the memory alive
    cdef readonly bint usable

    def __cinit__(self, Region region not None, list arrays not None, tuple shape not None, list starts, list moves):
        cdef int s, n = region.count
        self.region = region
        self.arrays = arrays
        self.data = <char **>calloc(n, sizeof(char *))
        self.moves = <npy_intp *>calloc(n, sizeof(npy_intp))
        if self.data == NULL or self.moves == NULL:
            raise MemoryError()
        self.problem = region.problem(arrays, shape)
        self.code = region.decide_problem(self.problem) if self.problem.elements else None
        self.usable = self.code is not None
        for s in range(n):
            self.data[s] = <char *>cnp.PyArray_DATA(<cnp.ndarray>arrays[s]) + self.problem.offsets[s]
            self.data[s] += <npy_intp>starts[s]
            self.moves[s] = moves[s]

    def __dealloc__(self):
        free(self.data)
        free(self.moves)

    cdef int step(self) except -1:
        cdef int s
        self.region.run(self.code, self.problem, self.data)
        for s in range(self.region.count):
            self.data[s] += self.moves[s]
        return 0

    def run(self):
        """Run once, and move on."""
        self.step()


def iterate(list phases not None, npy_intp count, cnp.ndarray index not None, npy_intp step):
    """Run phases of `Moving` regions in turn, `count` of them all together; the index, an int64, goes on by `step`."""
    cdef npy_intp k, place = 0
    cdef npy_intp *at = <npy_intp *>cnp.PyArray_DATA(index)
    cdef int m
    cdef list phase
    for k in range(count):
        phase = <list>phases[place]
        for m in range(len(phase)):
            (<Moving>phase[m]).step()
        at[0] += step
        place += 1
        if place == len(phases):
            place = 0
        PyErr_CheckSignals()


def call(Code code not None, list arrays not None, npy_intp elements):
    """Call the code on arrays as they are: nothing is looked at. Returns its status."""
    cdef int k, status, n = len(arrays)
    cdef npy_intp size
    cdef void *scratch = NULL
    cdef kernel_function function
    cdef Array *given
    if code.request is not None:
        code.work(elements)
    given = <Array *>pool.push(n * sizeof(Array))
    if given == NULL:
        raise MemoryError()
    try:
        for k in range(n):
            given[k].data = data_of(arrays[k])
            given[k].shape = dims_of(arrays[k])
            given[k].strides = strides_of(arrays[k])
        function = get_function(code.function)
        if function == NULL:
            with nogil:
                status = code.tape.run(code.tape.tape, given, NULL)
            return status
        size = code.scratch(given) if code.scratch != NULL else 0
        if size:
            scratch = pool.push(size)
            if scratch == NULL:
                raise MemoryError()
        with nogil:
            status = function(given, scratch, 1)
        if scratch != NULL:
            pool.pop(scratch)
        return status
    finally:
        pool.pop(given)
