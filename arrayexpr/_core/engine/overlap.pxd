from numpy cimport npy_intp

# Streams over one shape of `rank` axes: an input and the output, by strides and first elements.
cdef bint conflict(int rank, const npy_intp *shape, const npy_intp *input, const npy_intp *output, npy_intp start,
                   npy_intp input_size, npy_intp output_size) noexcept nogil
cdef void displacement(int rank, const npy_intp *shape, const npy_intp *input, const npy_intp *output, npy_intp start,
                       npy_intp *least, npy_intp *most) noexcept nogil
cdef bint nested(int rank, const npy_intp *shape, const npy_intp *strides, npy_intp size) noexcept nogil
cdef bint mirrored(int rank, const npy_intp *shape, const npy_intp *input, const npy_intp *output, npy_intp start,
                   int *axes, bint *flips) noexcept nogil
cdef npy_intp bound(npy_intp length, npy_intp pieces, npy_intp k) noexcept nogil
cdef npy_intp pack_strides(int rank, const npy_intp *shape, const npy_intp *source, npy_intp size,
                           npy_intp *strides) noexcept nogil
cdef void copy(int rank, const npy_intp *shape, char *target, const npy_intp *to, const char *source,
               const npy_intp *of, npy_intp size) noexcept nogil
