# Functions of C's library over strips, with the bits that compiled kernels give: see primitives/vector_math_table.h.

cdef extern from "vector_math_table.h" nogil:
    ctypedef struct arrayexpr_strip_function:
        void (*call)(const arrayexpr_strip_function *self, void *to, const void *x, const void *y, Py_ssize_t n) noexcept nogil
        int arguments
    int arrayexpr_find_strip(const char *name, int bits, int vector, arrayexpr_strip_function *found)
