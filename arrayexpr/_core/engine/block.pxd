from libc.stdint cimport int32_t, intptr_t

# `arrays` are a kernel's: see adapters/c.py. Scratch may be NULL: a tape finds its own.
ctypedef int (*tape_function)(const void *tape, const void *arrays, void *scratch) noexcept nogil

cdef class Tape:
    cdef void *tape                 # TapeData of block.h
    cdef tape_function run          # for many threads at once
    cdef object pool                # constants, where the code points
    cdef list plans                 # of packs, likewise
    cdef int fill(self, object made, list code) except -1
