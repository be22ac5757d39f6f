#ifdef _OPENMP
#include <omp.h>
#endif

/* What a nest of loops does before its kernels run. */

/* How often a loop over range runs. */
static CYTHON_INLINE ptrdiff_t arrayexpr_count(ptrdiff_t start, ptrdiff_t stop, ptrdiff_t step) {
    if (step > 0) return stop > start ? (stop - start + step - 1) / step : 0;
    return stop < start ? (start - stop - step - 1) / -step : 0;
}

/* The part of a loop by 1 or -1 whose variable is at least a bound, or at most. */
static ARRAYEXPR_UNUSED void arrayexpr_above(ptrdiff_t *first, ptrdiff_t *count, ptrdiff_t step, ptrdiff_t bound) {
    if (step > 0 && *first < bound) {
        *count -= bound - *first;
        *first = bound;
    } else if (step < 0 && *first - *count + 1 < bound) {
        *count = *first - bound + 1;
    }
}

static ARRAYEXPR_UNUSED void arrayexpr_below(ptrdiff_t *first, ptrdiff_t *count, ptrdiff_t step, ptrdiff_t bound) {
    if (step > 0 && *first + *count - 1 > bound) {
        *count = bound - *first + 1;
    } else if (step < 0 && *first > bound) {
        *count -= *first - bound;
        *first = bound;
    }
}

static ARRAYEXPR_UNUSED int arrayexpr_same(const arrayexpr_array *a, const arrayexpr_array *b, int rank) {
    int same = a->data == b->data;
    for (int axis = 0; axis < rank; ++axis)
        same = same && a->strides[axis] == b->strides[axis] && a->shape[axis] == b->shape[axis];
    return same;
}

static CYTHON_INLINE int arrayexpr_reach(const arrayexpr_array *a, int rank, ptrdiff_t *low, ptrdiff_t *high) {
    *low = *high = 0;
    for (int axis = 0; axis < rank; ++axis) {
        const ptrdiff_t reach = (a->shape[axis] - 1) * a->strides[axis];
        if (a->shape[axis] <= 0) return 0;
        if (reach < 0) *low += reach; else *high += reach;
    }
    return 1;
}

/* Whether no element of one array shares a byte with one of another. */
static ARRAYEXPR_UNUSED int arrayexpr_disjoint(const arrayexpr_array *a, int rank_a, int size_a, const arrayexpr_array *b,
                                            int rank_b, int size_b) {
    ptrdiff_t low_a, high_a, low_b, high_b;
    if (!arrayexpr_reach(a, rank_a, &low_a, &high_a) || !arrayexpr_reach(b, rank_b, &low_b, &high_b)) return 1;
    const intptr_t start_a = (intptr_t)a->data + low_a, start_b = (intptr_t)b->data + low_b;
    if (start_a >= (intptr_t)b->data + high_b + size_b || start_b >= (intptr_t)a->data + high_a + size_a) return 1;
    /* The search is for arrays of one shape: the axes of one, then those of the other. */
    const int rank = rank_a + rank_b;
    ptrdiff_t shape[2 * 8], steps_a[2 * 8], steps_b[2 * 8];
    for (int axis = 0; axis < rank; ++axis) {
        const int own = axis < rank_a;
        shape[axis] = own ? a->shape[axis] : b->shape[axis - rank_a];
        steps_a[axis] = own ? a->strides[axis] : 0;
        steps_b[axis] = own ? 0 : b->strides[axis - rank_a];
    }
    return !arrayexpr_shares(rank, shape, (const char *)a->data, steps_a, size_a, (const char *)b->data, steps_b, size_b);
}
