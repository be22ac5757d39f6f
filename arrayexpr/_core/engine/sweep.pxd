from numpy cimport npy_intp

from .abi cimport kernel_function, scratch_function
from .block cimport tape_function

# A nest to walk: what `Problem` and `Code` say, and where the streams start.
cdef struct Nest:
    kernel_function function        # compiled; NULL: the block engine runs the tape
    tape_function run
    const void *tape
    scratch_function scratch        # NULL where it wants none
    int inner                       # axes that the function walks
    int rank                        # axes of the problem
    int count                       # streams
    const int *itemsize             # count
    int tiled                       # how many of the last axes are tiled
    int tile                        # their cuts are at multiples of this; 0 where none is
    unsigned long long whole        # bit k: axis k of the right-aligned axes is not to be cut
    const npy_intp *shape           # AXES, right-aligned
    const npy_intp *strides         # count * AXES, right-aligned
    char **data                     # count

cdef enum:
    NO_MEMORY = 1 << 30             # among the codes that kernels return

# Call the function on all of the nest, in order; or in `threads` threads, where iterations are independent.
cdef int sweep(const Nest *nest, int threads) noexcept nogil

# Call the function on each of the `count` parts of a reduction: `pieces` of an axis, at multiples of `grain`, for each
# place on the reduced axes outside of the nest. Stream s of part p begins p * steps[s] further on.
cdef int sweep_parts(
    const Nest *nest, int axis, npy_intp pieces, npy_intp grain, npy_intp count, const npy_intp *steps, int threads
) noexcept nogil
