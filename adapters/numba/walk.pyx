"""The address of the compiled walk over strided arrays, for code that Numba compiles; see `walk.h`."""

from libc.stdint cimport int32_t, int64_t, intptr_t, uintptr_t

from arrayexpr._core.engine cimport caching_allocator

cdef extern from "walk.h":
    ctypedef int32_t (*ae_kernel)(void *, void **, intptr_t, intptr_t, char **, const intptr_t *, const intptr_t *)
    int AE_ARRAYS, AE_SCALARS, AE_RANK, AE_STILL, AE_WRITTEN, AE_READ, AE_FOLDED, AE_ORDERED, AE_FORTRAN, AE_FOLD_AT
    int AE_APART, AE_ALWAYS
    int32_t ae_walk(ae_kernel, ae_kernel, void **, intptr_t, const intptr_t *, intptr_t, char **, const intptr_t *,
                    const intptr_t *, intptr_t, intptr_t)
    int32_t ae_walk_nest(ae_kernel, ae_kernel, const intptr_t *, const intptr_t *)
    const int64_t *ae_indices(intptr_t)
    ctypedef void (*ae_parallel)(void *, char **, intptr_t *, intptr_t *, void *, intptr_t, intptr_t, intptr_t)
    int32_t ae_walk_shared(ae_kernel, ae_kernel, void **, intptr_t, const intptr_t *, intptr_t, char **,
                           const intptr_t *, const intptr_t *, intptr_t, intptr_t, ae_parallel, intptr_t)
    int32_t ae_move(intptr_t, const intptr_t *, char *, const intptr_t *, char *, const intptr_t *, intptr_t)
    int32_t ae_apart(intptr_t, const intptr_t *, intptr_t, char **, const intptr_t *, const intptr_t *, intptr_t)
    int32_t ae_alone(intptr_t, const intptr_t *, intptr_t, char **, const intptr_t *, const intptr_t *, intptr_t)

ARRAYS: int = AE_ARRAYS
SCALARS: int = AE_SCALARS
RANK: int = AE_RANK
STILL: int = AE_STILL
WRITTEN: int = AE_WRITTEN
READ: int = AE_READ
APART: int = AE_APART
ALWAYS: int = AE_ALWAYS
FOLDED: int = AE_FOLDED
ORDERED: int = AE_ORDERED
FORTRAN: int = AE_FORTRAN
FOLD_AT: int = AE_FOLD_AT
#: The folds of in_order.h in their order: what they do, and NumPy's letters for the type that they do it in.
FOLDS = (
    "sum_i8", "sum_f4", "sum_f8", "sum_c8", "sum_c16", "loose_sum_f4", "loose_sum_f8",
    "prod_i8", "prod_f4", "prod_f8", "prod_c8", "prod_c16", "loose_prod_f4", "loose_prod_f8",
    "min_i8", "min_u8", "min_f4", "min_f8", "max_i8", "max_u8", "max_f4", "max_f8", "any_b1", "all_b1",
    "argmin_i8", "argmin_u8", "argmin_f4", "argmin_f8", "argmax_i8", "argmax_u8", "argmax_f4", "argmax_f8",
)


#: Bytes from which on arrays have memory of the caching allocator; more than there can be where it has none.
LARGE: int = caching_allocator.LARGE if caching_allocator.LARGE else (<size_t>-1) >> 1

# What makes memory that Numba's runtime frees by a function, from its table for other libraries.
ctypedef void (*_Give)(void *) noexcept nogil
ctypedef void *(*_Manage)(void *, _Give) noexcept nogil
ctypedef void **(*_Table)() noexcept nogil
cdef _Manage _manage = NULL


def use_runtime(uintptr_t table):
    """Take Numba's table of what its runtime does for others, by the address of the function that gives it."""
    global _manage
    caching_allocator.configure()
    _manage = <_Manage>(<_Table>table)()[2]


cdef void *_memory(size_t size) noexcept nogil:
    """Memory of the caching allocator under Numba's count of references; NULL where there is none."""
    cdef void *data = caching_allocator.take(size)
    cdef void *made = NULL
    if data != NULL:
        made = _manage(data, caching_allocator.give)
        if made == NULL:
            caching_allocator.give(data)
    return made


def addresses() -> dict:
    """By the name that compiled code calls it by, where each function is in this process."""
    return {
        "arrayexpr_walk_2": <uintptr_t>&ae_walk,
        "arrayexpr_walk_nest_1": <uintptr_t>&ae_walk_nest,
        "arrayexpr_indices_1": <uintptr_t>&ae_indices,
        "arrayexpr_memory_1": <uintptr_t>&_memory,
        "arrayexpr_walk_shared_1": <uintptr_t>&ae_walk_shared,
        "arrayexpr_apart_1": <uintptr_t>&ae_apart,
        "arrayexpr_alone_1": <uintptr_t>&ae_alone,
        "arrayexpr_move_1": <uintptr_t>&ae_move,
    }
