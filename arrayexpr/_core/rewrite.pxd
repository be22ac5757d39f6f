# cython: language_level=3
# What Cython code may use of the rewriting engine.

from cpython.object cimport PyObject

from .nodes cimport Node


cdef class NodeMap:                   # node -> node, for old to new; open addressing, owns both
    cdef PyObject **_table            # key, value, key, value, ...
    cdef size_t _size, _used
    cdef PyObject *find(self, Node key) noexcept
    cdef int put(self, Node key, Node value) except -1
    cdef int _grow(self) except -1
