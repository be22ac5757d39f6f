from numpy cimport npy_intp

from .dispatch cimport Code, Problem

# Whether a region may be run by rows.
cdef bint takes(Problem problem, Code code)

# A region as a wavefront needs to know it: the outermost axis of its nest, and where its streams lie.
cdef struct Stage:
    npy_intp length                 # rows: places on the outermost axis
    npy_intp grain                  # it is cut at multiples of this
    int first, last                 # its streams

# What two regions have in common, of which one at least writes it: rows of the later one wait for rows of the earlier.
cdef struct Tie:
    int before, after
    npy_intp step, pace             # bytes from one row of `before` to the next, and of `after`; 0: all of `before`
    npy_intp distance               # from the end of the first row of `after` to the beginning of the first of `before`

# Rows of a stage to run, or, where `stage` is below 0, a temporary to move down in its window.
cdef struct Turn:
    int stage                       # -1 - slot of a temporary
    npy_intp row                    # the first one; of a temporary the bytes that it moves by
    npy_intp rows                   # ... and the bytes that are kept

cdef class Wavefront:
    cdef readonly int count         # stages
    cdef readonly npy_intp held     # bytes between the first and the last stage, at the most
    cdef readonly dict windows      # by slot of a temporary, the bytes that it takes
    cdef list regions, codes, problems
    cdef int streams, slots
    cdef Stage *stages
    cdef int *slot                  # per stream: -1 where it is always the same
    cdef npy_intp *starts           # per stream: bytes from the slot's first element, or its address
    cdef npy_intp *strides          # per stream: bytes from one row to the next
    cdef npy_intp *low              # per stream: bytes from its start to the lowest of the first row
    cdef npy_intp *high             # ... and to one past the highest
    cdef npy_intp *bottom           # per slot: bytes from its first element to the lowest
    cdef Tie *ties
    cdef int tied
    cdef Turn *turns
    cdef npy_intp turned, room
    cdef int _tie(self, object meets) except -1
    cdef npy_intp _allowed(self, int stage, npy_intp *done) noexcept
    cdef npy_intp _needed(self, int slot, npy_intp *done) noexcept
    cdef int _turn(self, int stage, npy_intp row, npy_intp rows) except -1
    cdef npy_intp _plan(self, npy_intp block, bint count_only, list temporaries) except -1
    cdef int run(self, char **base) except -1
