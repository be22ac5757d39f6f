# cython: language_level=3, boundscheck=False, wraparound=False
"""Memory of large arrays: kept when they are freed, for the next ones; the blocks themselves are in caching_allocator.h.

A result of 33 MB costs 1.4 ms in new pages, Harris' corners of 2048 x 2048 altogether 5.1 ms without. NumPy's arrays
take and free such memory as NEP 49 has it, by a handler that each brings along: they own it, and may be resized.
"""

from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_INCREF
from libc cimport stdlib
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy, memset, strcpy
from numpy cimport import_array, npy_intp

import os

import numpy as np

from ..errors import ArrayExprError
from .arrays cimport PyArray_ITEMSIZE_OF, PyArray_New

import_array()

cdef extern from "caching_allocator.h" nogil:
    bint ARRAYEXPR_CACHES
    size_t ARRAYEXPR_LARGE, arrayexpr_total, arrayexpr_limit
    void *arrayexpr_take(size_t size) noexcept
    size_t arrayexpr_size_of(void *data) noexcept
    void arrayexpr_give(void *data) noexcept

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

LARGE = ARRAYEXPR_LARGE if ARRAYEXPR_CACHES else 0
_BYTES = np.dtype(np.uint8)


cdef void *_malloc(void *context, size_t size) noexcept:
    return arrayexpr_take(size)


cdef void *_calloc(void *context, size_t number, size_t size) noexcept:
    cdef void *data = NULL if size and number > <size_t>-1 // size else arrayexpr_take(number * size)
    return NULL if data == NULL else memset(data, 0, number * size)


cdef void *_realloc(void *context, void *data, size_t size) noexcept:
    cdef void *moved = arrayexpr_take(size)
    if moved != NULL and data != NULL:
        memcpy(moved, data, min(size, arrayexpr_size_of(data)))
        arrayexpr_give(data)
    return moved


cdef void _free(void *context, void *data, size_t size) noexcept:
    arrayexpr_give(data)


cdef PyDataMem_Handler handler
strcpy(handler.name, b"arrayexpr_caching_allocator")
handler.version = 1
handler.allocator.malloc, handler.allocator.calloc = _malloc, _calloc
handler.allocator.realloc, handler.allocator.free = _realloc, _free
cdef object _handler = PyCapsule_New(&handler, b"mem_handler", NULL)
cdef bint _configured = False


cdef int configure() except -1:
    """Take the limit that the environment sets."""
    global _configured, arrayexpr_limit
    text = os.environ.get("ARRAYEXPR_KEPT_BYTES", "").strip()
    if text:
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            raise ArrayExprError(f"ARRAYEXPR_KEPT_BYTES is {text!r}: expected a number of bytes from 0 on")
        arrayexpr_limit = int(text)
    _configured = True
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
    return arrayexpr_total


cdef void *take(size_t size) noexcept nogil:
    return arrayexpr_take(size)


cdef void give(void *data) noexcept nogil:
    arrayexpr_give(data)


cdef object new_array(PyObject *descr, int rank, const npy_intp *shape, const npy_intp *strides):
    cdef npy_intp size = PyArray_ITEMSIZE_OF(descr)
    cdef int k
    for k in range(rank):
        size *= shape[k]
    if LARGE == 0 or size < <npy_intp>LARGE:
        return PyArray_New(descr, rank, shape, strides)
    if not _configured:
        configure()
    before = PyDataMem_SetHandler(_handler)
    try:
        return PyArray_New(descr, rank, shape, strides)
    finally:
        PyDataMem_SetHandler(before)


cdef void *allocate(size_t size) noexcept:
    return arrayexpr_take(size) if LARGE and size >= LARGE else stdlib.malloc(size)


cdef void free(void *data, size_t size) noexcept:
    if LARGE and size >= LARGE:
        arrayexpr_give(data)
    else:
        stdlib.free(data)
