# cython: language_level=3, boundscheck=False, wraparound=False
"""Memory of large arrays: kept when they are freed, for the next ones.

The system gives large arrays page by page, each cleared, which takes longer than to compute what they are for. A result
of 33 MB costs 1.4 ms so, Harris' corners of 2048 x 2048 5.1 ms without. So blocks are kept here, up to a number of
bytes in all, in pages of 2 MB as far as they fill those. The system may have what lies here back when it runs short
(MADV_FREE).

NumPy's arrays take and free such memory as NEP 49 has it, by a handler that each brings along: they own it, and may be
resized. All this runs under the GIL.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.pycapsule cimport PyCapsule_New
from libc cimport stdlib
from libc.string cimport memcpy, memset, strcpy
from numpy cimport import_array, npy_intp

import os

import numpy as np

from ..errors import ArrayExprError
from .arrays cimport PyArray_ITEMSIZE_OF, PyArray_New

import_array()

cdef extern from "caching_allocator.h":
    void *arrayexpr_map(size_t size) noexcept
    void arrayexpr_unmap(void *start, size_t size) noexcept
    void arrayexpr_lend(void *start, size_t size) noexcept
    bint ARRAYEXPR_MAPS

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyDataMemAllocator:
        void *ctx
        void *(*malloc)(void *, size_t) noexcept
        void *(*calloc)(void *, size_t, size_t) noexcept
        void *(*realloc)(void *, void *, size_t) noexcept
        void (*free)(void *, void *, size_t) noexcept

    ctypedef struct PyDataMem_Handler:
        char name[127]
        unsigned char version
        PyDataMemAllocator allocator

    object PyDataMem_SetHandler(object)

cdef enum:
    # Bytes from which memory is kept: of less, the C library keeps enough.
    LARGE = 1 << 22
    LINE = 64
    BLOCKS = 16

cdef struct Block:
    char *start
    size_t size

_BYTES = np.dtype(np.uint8)

# What is kept, the last one freed at the end.
cdef Block blocks[BLOCKS]
cdef int count = 0
cdef size_t total = 0
# Bytes that are kept at the most; below 0 before anybody has asked.
cdef Py_ssize_t most = -1
cdef size_t MOST = 1 << 28


cdef void _evict(size_t limit) noexcept:
    """Give the system the blocks that lie here longest, until there are so many bytes."""
    global count, total
    cdef int k, first = 0
    while first < count and (total > limit or count - first == BLOCKS):
        total -= blocks[first].size
        arrayexpr_unmap(blocks[first].start, blocks[first].size)
        first += 1
    if first:
        count -= first
        for k in range(count):
            blocks[k] = blocks[k + first]


cdef char *_take(size_t size) noexcept:
    """The start of a block, whose first line says its size: the smallest one that is kept and not much too large."""
    global count, total
    cdef int k, best = -1
    cdef char *start
    cdef size_t held
    for k in range(count):
        if size <= blocks[k].size <= size + size // 4 and (best < 0 or blocks[k].size < blocks[best].size):
            best = k
    if best >= 0:
        start, held = blocks[best].start, blocks[best].size
        total -= held
        count -= 1
        for k in range(best, count):
            blocks[k] = blocks[k + 1]
        (<size_t *>start)[0] = held
        return start
    start = <char *>arrayexpr_map(size)
    if start == NULL and count:
        # What lies here may be what is missing.
        _evict(0)
        start = <char *>arrayexpr_map(size)
    if start != NULL:
        (<size_t *>start)[0] = size
    return start


cdef void _put(char *start) noexcept:
    global count, total
    cdef size_t size = (<size_t *>start)[0], limit = MOST if most < 0 else most
    if size > limit:
        arrayexpr_unmap(start, size)
        return
    _evict(limit - size)
    arrayexpr_lend(start, size)
    blocks[count].start, blocks[count].size = start, size
    count += 1
    total += size


cdef void *_malloc(void *context, size_t size) noexcept:
    cdef char *start = NULL if size > <size_t>-1 - LINE else _take(size + LINE)
    return NULL if start == NULL else start + LINE


cdef void *_calloc(void *context, size_t number, size_t size) noexcept:
    cdef void *data = NULL if size and number > <size_t>-1 // size else _malloc(context, number * size)
    return NULL if data == NULL else memset(data, 0, number * size)


cdef void *_realloc(void *context, void *data, size_t size) noexcept:
    cdef void *moved = _malloc(context, size)
    if moved == NULL or data == NULL:
        return moved
    memcpy(moved, data, min(size, (<size_t *>(<char *>data - LINE))[0] - LINE))
    _put(<char *>data - LINE)
    return moved


cdef void _free(void *context, void *data, size_t size) noexcept:
    if data != NULL:
        _put(<char *>data - LINE)


cdef PyDataMem_Handler handler
strcpy(handler.name, b"arrayexpr_caching_allocator")
handler.version = 1
handler.allocator.malloc, handler.allocator.calloc = _malloc, _calloc
handler.allocator.realloc, handler.allocator.free = _realloc, _free
cdef object _handler = PyCapsule_New(&handler, b"mem_handler", NULL)


cdef int _configure() except -1:
    """Read the limit that the environment sets."""
    global most
    text = os.environ.get("ARRAYEXPR_KEPT_BYTES", "").strip() or str(MOST)
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise ArrayExprError(f"ARRAYEXPR_KEPT_BYTES is {text!r}: expected a number of bytes from 0 on")
    most = int(text)
    return 0


def empty(Py_ssize_t size):
    """So many bytes as an array, whatever they are.

    >>> empty(3).shape
    (3,)
    """
    cdef npy_intp length = size
    cdef object descr = _BYTES
    Py_INCREF(descr)
    return new_array(<PyObject *>descr, 1, &length, NULL)


def kept():
    """How many bytes are kept for the next arrays."""
    return total


cdef object new_array(PyObject *descr, int rank, const npy_intp *shape, const npy_intp *strides):
    cdef npy_intp size = PyArray_ITEMSIZE_OF(descr)
    cdef int k
    for k in range(rank):
        size *= shape[k]
    if not ARRAYEXPR_MAPS or size < LARGE:
        return PyArray_New(descr, rank, shape, strides)
    if most < 0:
        _configure()
    before = PyDataMem_SetHandler(_handler)
    try:
        return PyArray_New(descr, rank, shape, strides)
    finally:
        PyDataMem_SetHandler(before)


cdef void *allocate(size_t size) noexcept:
    return _malloc(NULL, size) if ARRAYEXPR_MAPS and size >= LARGE else stdlib.malloc(size)


cdef void free(void *data, size_t size) noexcept:
    if ARRAYEXPR_MAPS and size >= LARGE:
        _free(NULL, data, size)
    else:
        stdlib.free(data)
