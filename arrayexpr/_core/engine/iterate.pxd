from numpy cimport npy_intp

from .abi cimport kernel_function
from .dispatch cimport Code, Problem, Region

cdef class Moving:
    cdef Region region
    cdef Problem problem
    cdef Code code
    cdef char **data
    cdef npy_intp *moves
    cdef object arrays              # keeps the memory alive
    cdef readonly bint usable

cdef class Serial:
    cdef readonly list arrays       # until they are taken down
    cdef readonly int streams
    cdef Code code
    cdef npy_intp *layouts
    cdef npy_intp first, step, count
    cdef int run(self, char **starts) except -1

cdef class Repeat:
    cdef readonly list regions      # of all phases
    cdef readonly int streams       # of all regions
    cdef Code code
    cdef int phases, steps
    cdef int *first                 # steps: where its streams begin
    cdef char **starts
    cdef npy_intp *moves            # bytes each time that its region has run
    cdef npy_intp *layouts
    cdef npy_intp elements          # of all regions
    cdef int run(self, char **starts, npy_intp count) except -1
    cdef npy_intp _block(self, char **data, npy_intp rounds) noexcept
    cdef void _row(self, int step, int stream, char **data, npy_intp rounds, npy_intp *low, npy_intp *high) noexcept
    cdef bint _rows_apart(self, npy_intp low, npy_intp high, npy_intp step,
                          npy_intp low_t, npy_intp high_t, npy_intp step_t, npy_intp length) noexcept
    cdef int _by_rows(self, kernel_function function, char **data, npy_intp rounds) except -1
    cdef int _compiled(self, kernel_function function, char **data, npy_intp *layouts, npy_intp rounds) except -1
