/* What a statement on memoryviews does before its kernel runs: fits shapes, brings axes into one order, and copies
   what would be overwritten too early. Arrays come as element addresses and a `geometry`: for each array, the target
   first, its lengths and then its steps in bytes. No axis order of the host is left when a kernel is called. */

enum { ARRAYEXPR_ERROR = -1 };

/* How an operand lies where the target is contiguous along the last axis: 0 is any other way. */
enum { ARRAYEXPR_ALONG = 1, ARRAYEXPR_STRETCHED = 2 };

/* Of a function whose elements lie side by side in no array: vectors would be put together one by one. */
#if defined(__GNUC__) && !defined(__clang__)
#define ARRAYEXPR_SCALAR __attribute__((optimize("no-tree-vectorize")))
#else
#define ARRAYEXPR_SCALAR
#endif

/* Moves the arrays from `first` on to the next place of the outer `axes` axes; 0 after the last one, and all are back. */
static CYTHON_INLINE int arrayexpr_next(int axes, int rank, int first, int count, const ptrdiff_t *shape,
                                        const ptrdiff_t *steps, ptrdiff_t *at, arrayexpr_array *arrays) {
    for (int axis = axes - 1; axis >= 0; --axis) {
        for (int k = first; k < count; ++k) arrays[k].data = (char *)arrays[k].data + steps[k * rank + axis];
        if (++at[axis] < shape[axis]) return 1;
        for (int k = first; k < count; ++k)
            arrays[k].data = (char *)arrays[k].data - shape[axis] * steps[k * rank + axis];
        at[axis] = 0;
    }
    return 0;
}

/* The arrays of the inner axes, at the first place of the outer ones; numbers are those from `count` on. */
static CYTHON_INLINE void arrayexpr_open(int rank, int inner, int count, int all, char **data, ptrdiff_t *shape,
                                         ptrdiff_t *steps, arrayexpr_array *arrays, ptrdiff_t *at) {
    for (int k = 0; k < all; ++k) {
        char *own = data[k];
#if defined(__GNUC__)
        /* One by one: loaded in pairs, they waited for what had just stored each, 8 ns of the 40 of a small stencil. */
        __asm__("" : "+r"(own));
#endif
        arrays[k].data = own;
        arrays[k].shape = shape + rank - inner;
        arrays[k].strides = k < count ? steps + k * rank + rank - inner : NULL;
    }
    for (int axis = 0; axis < rank; ++axis) at[axis] = 0;
}

static ARRAYEXPR_UNUSED void arrayexpr_raise_extents(int axis, ptrdiff_t wanted, ptrdiff_t got) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyErr_Format(PyExc_ValueError, "got differing extents in dimension %d (got %zd and %zd)", axis,
                 (Py_ssize_t)wanted, (Py_ssize_t)got);
    PyGILState_Release(state);
}

static ARRAYEXPR_UNUSED void arrayexpr_raise_memory(void) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyErr_NoMemory();
    PyGILState_Release(state);
}

/* So many bytes of scratch on a line of the cache, and what is to be freed; ARRAYEXPR_ERROR without memory. */
static CYTHON_INLINE int arrayexpr_scratch(ptrdiff_t needed, void **held, void **aligned) {
    *held = *aligned = NULL;
    if (needed <= 0) return 0;
    *held = malloc((size_t)needed + 63);
    if (*held == NULL) {
        arrayexpr_raise_memory();
        return ARRAYEXPR_ERROR;
    }
    *aligned = (void *)(((uintptr_t)*held + 63) & ~(uintptr_t)63);
    return 0;
}

static ARRAYEXPR_UNUSED void arrayexpr_raise_empty(const char *operation) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyErr_Format(PyExc_ValueError, "zero-size array to reduction operation %s which has no identity", operation);
    PyGILState_Release(state);
}

static CYTHON_INLINE ptrdiff_t arrayexpr_magnitude(ptrdiff_t x) { return x < 0 ? -x : x; }

/* The steps of each array along the target's axes, 0 where it is stretched. Returns 1 where there is work, 0 where an
   axis is empty, ARRAYEXPR_ERROR where lengths do not fit. */
static CYTHON_INLINE int arrayexpr_fit(int rank, int count, const int *ranks, const ptrdiff_t *geometry,
                                       ptrdiff_t *shape, ptrdiff_t *steps) {
    int work = 1;
    for (int axis = 0; axis < rank; ++axis) {
        shape[axis] = geometry[axis];
        work = work && shape[axis] > 0;
        steps[axis] = shape[axis] == 1 ? 0 : geometry[rank + axis];
    }
    geometry += 2 * rank;
    for (int k = 1; k < count; ++k) {
        const int own = ranks[k], missing = rank - own;
        ptrdiff_t *row = steps + k * rank;
        for (int axis = 0; axis < missing; ++axis) row[axis] = 0;
        for (int axis = 0; axis < own; ++axis) {
            const ptrdiff_t length = geometry[axis];
            if (length != shape[missing + axis] && length != 1) {
                arrayexpr_raise_extents(missing + axis, shape[missing + axis], length);
                return ARRAYEXPR_ERROR;
            }
            row[missing + axis] = length == 1 ? 0 : geometry[own + axis];
        }
        geometry += 2 * own;
    }
    return work;
}

/* Whether targets are of one shape, to which all other arrays are stretched. */
static ARRAYEXPR_UNUSED int arrayexpr_matches(int rank, int count, int targets, const int *ranks,
                                           const ptrdiff_t *geometry) {
    const ptrdiff_t *own = geometry;
    for (int k = 0; k < count; ++k) {
        const int missing = rank - ranks[k];
        for (int axis = 0; axis < ranks[k]; ++axis)
            if (own[axis] != geometry[missing + axis] && (k < targets || own[axis] != 1)) return 0;
        own += 2 * ranks[k];
    }
    return 1;
}

/* Axes in the order of the target's steps, falling ones flipped, those that all arrays walk as one joined. What is
   left stands last; the axes before have length 1. Returns how many are left. */
static CYTHON_INLINE int arrayexpr_canonical(int rank, int count, char **data, ptrdiff_t *shape, ptrdiff_t *steps) {
    for (int axis = 0; axis < rank; ++axis) {
        int falls = 0, rises = 0;
        for (int k = 0; k < count; ++k) {
            falls |= steps[k * rank + axis] < 0;
            rises |= steps[k * rank + axis] > 0;
        }
        if (!falls || rises) continue;
        for (int k = 0; k < count; ++k) {
            data[k] += (shape[axis] - 1) * steps[k * rank + axis];
            steps[k * rank + axis] = -steps[k * rank + axis];
        }
    }
    for (int last = 1; last < rank; ++last)
        for (int axis = last; axis > 0; --axis) {
            const ptrdiff_t outer = arrayexpr_magnitude(steps[axis - 1]), inner = arrayexpr_magnitude(steps[axis]);
            if (shape[axis] != 1 && (shape[axis - 1] == 1 || outer >= inner)) break;
            if (shape[axis] == 1 && shape[axis - 1] == 1) break;
            for (int k = 0; k < count; ++k) {
                const ptrdiff_t step = steps[k * rank + axis];
                steps[k * rank + axis] = steps[k * rank + axis - 1];
                steps[k * rank + axis - 1] = step;
            }
            const ptrdiff_t length = shape[axis];
            shape[axis] = shape[axis - 1];
            shape[axis - 1] = length;
        }
    int left = 1;
    for (int axis = rank - 2; axis >= 0; --axis) {
        const int into = rank - left;
        int joins = 1;
        if (shape[axis] == 1) continue;
        for (int k = 0; k < count; ++k)
            joins = joins && steps[k * rank + axis] == shape[into] * steps[k * rank + into];
        if (joins) {
            shape[into] *= shape[axis];
        } else {
            ++left;
            if (axis != rank - left) {
                shape[rank - left] = shape[axis];
                for (int k = 0; k < count; ++k) steps[k * rank + rank - left] = steps[k * rank + axis];
            }
        }
    }
    for (int axis = 0; axis < rank - left; ++axis) {
        shape[axis] = 1;
        for (int k = 0; k < count; ++k) steps[k * rank + axis] = 0;
    }
    return left;
}

/* Of three axes or more: the one along which an array is contiguous that is not so along the last comes next to it. */
static CYTHON_INLINE void arrayexpr_cross(int rank, int left, int count, const int *sizes, ptrdiff_t *shape,
                                          ptrdiff_t *steps) {
    for (int k = 1; k < count; ++k) {
        if (arrayexpr_magnitude(steps[k * rank + rank - 1]) <= sizes[k]) continue;
        for (int axis = rank - left; axis < rank - 2; ++axis) {
            if (arrayexpr_magnitude(steps[k * rank + axis]) != sizes[k]) continue;
            for (int other = 0; other < count; ++other) {
                const ptrdiff_t step = steps[other * rank + axis];
                steps[other * rank + axis] = steps[other * rank + rank - 2];
                steps[other * rank + rank - 2] = step;
            }
            const ptrdiff_t length = shape[axis];
            shape[axis] = shape[rank - 2];
            shape[rank - 2] = length;
            return;
        }
    }
}

/* The bytes that an array lies within: from `low` to before `high`. */
static CYTHON_INLINE void arrayexpr_reaches(int rank, const ptrdiff_t *shape, const ptrdiff_t *steps, char *data, int size,
                                            char **low, char **high) {
    *low = data;
    *high = data + size;
    for (int axis = 0; axis < rank; ++axis) {
        const ptrdiff_t reach = (shape[axis] - 1) * steps[axis];
        if (reach < 0) *low += reach; else *high += reach;
    }
}

/* Whether two arrays of one shape share a byte: bounds first, then a search for two elements that meet, axes with
   long steps first. What the search does not settle in some steps is taken to be shared. */
typedef struct {
    ptrdiff_t step[2 * 32], last[2 * 32], reach[2 * 32 + 1];
    int count, budget;
} arrayexpr_search;

static int arrayexpr_meet(arrayexpr_search *s, int depth, ptrdiff_t distance, int size_a, int size_b) {
    /* Elements meet where -size_b < distance - sum < size_a. */
    if (--s->budget < 0) return 1;
    if (depth == s->count) return -size_b < distance && distance < size_a;
    const ptrdiff_t step = s->step[depth], reach = s->reach[depth + 1];
    ptrdiff_t low = distance - reach - size_a + 1, high = distance + size_b - 1;
    low = low <= 0 ? 0 : (low + step - 1) / step;
    if (high < 0) return 0;
    high = high / step < s->last[depth] ? high / step : s->last[depth];
    for (ptrdiff_t k = low; k <= high; ++k)
        if (arrayexpr_meet(s, depth + 1, distance - k * step, size_a, size_b)) return 1;
    return 0;
}

static ARRAYEXPR_UNUSED int arrayexpr_shares(int rank, const ptrdiff_t *shape, const char *a, const ptrdiff_t *steps_a,
                                          int size_a, const char *b, const ptrdiff_t *steps_b, int size_b) {
    ptrdiff_t low_a = 0, high_a = 0, low_b = 0, high_b = 0;
    for (int axis = 0; axis < rank; ++axis) {
        const ptrdiff_t reach_a = (shape[axis] - 1) * steps_a[axis], reach_b = (shape[axis] - 1) * steps_b[axis];
        if (reach_a < 0) low_a += reach_a; else high_a += reach_a;
        if (reach_b < 0) low_b += reach_b; else high_b += reach_b;
    }
    const intptr_t start_a = (intptr_t)a + low_a, start_b = (intptr_t)b + low_b;
    if (start_a >= (intptr_t)b + high_b + size_b || start_b >= (intptr_t)a + high_a + size_a) return 0;
    /* a + sum(i * |step_a|) meets b + sum(j * |step_b|), with j counted down from the other end: all terms rise. */
    arrayexpr_search s;
    s.count = 0;
    s.budget = 2000;
    for (int axis = 0; axis < 2 * rank; ++axis) {
        const ptrdiff_t step = arrayexpr_magnitude(axis < rank ? steps_a[axis] : steps_b[axis - rank]);
        const ptrdiff_t last = shape[axis % rank] - 1;
        if (step == 0 || last == 0) continue;
        int place = s.count++;
        for (; place > 0 && s.step[place - 1] < step; --place) {
            s.step[place] = s.step[place - 1];
            s.last[place] = s.last[place - 1];
        }
        s.step[place] = step;
        s.last[place] = last;
    }
    s.reach[s.count] = 0;
    for (int depth = s.count - 1; depth >= 0; --depth) s.reach[depth] = s.reach[depth + 1] + s.step[depth] * s.last[depth];
    return arrayexpr_meet(&s, 0, ((intptr_t)b + high_b) - start_a, size_a, size_b);
}

/* Whether no two elements of an array share memory, as far as steps that contain one another tell. */
static CYTHON_INLINE int arrayexpr_single(int rank, const ptrdiff_t *shape, const ptrdiff_t *steps, int size) {
    for (int axis = 0; axis < rank; ++axis) {
        const ptrdiff_t own = arrayexpr_magnitude(steps[axis]);
        ptrdiff_t within = size;
        if (shape[axis] == 1) continue;
        for (int other = 0; other < rank; ++other) {
            const ptrdiff_t step = arrayexpr_magnitude(steps[other]);
            if (other != axis && (step < own || (step == own && other > axis))) within += step * (shape[other] - 1);
        }
        if (own < within) return 0;
    }
    return 1;
}

/* Whether an array may be read while a target is written: they share no memory, or, if `same`, are the very same view. */
static CYTHON_INLINE int arrayexpr_apart(int rank, int target, int k, int same, const int *sizes, char *const *data,
                                         const ptrdiff_t *shape, const ptrdiff_t *steps) {
    same = same && data[k] == data[target] && sizes[k] == sizes[target];
    for (int axis = 0; axis < rank; ++axis)
        same = same && steps[k * rank + axis] == steps[target * rank + axis];
    return same || !arrayexpr_shares(rank, shape, data[target], steps + target * rank, sizes[target], data[k],
                                     steps + k * rank, sizes[k]);
}

/* A copy of what an array holds along the axes that it moves along; its steps become the copy's. NULL without memory. */
static ARRAYEXPR_UNUSED char *arrayexpr_copied(int rank, const ptrdiff_t *shape, const char *from, ptrdiff_t *steps,
                                            int size) {
    ptrdiff_t own[32], at[32], total = size;
    for (int axis = rank - 1; axis >= 0; --axis) {
        at[axis] = 0;
        own[axis] = steps[axis] == 0 ? 0 : total;
        if (steps[axis] != 0) total *= shape[axis];
    }
    char *copy = (char *)malloc((size_t)total);
    if (copy == NULL) return NULL;
    for (char *to = copy; to != copy + total; to += size) {
        const char *p = from;
        for (int axis = 0; axis < rank; ++axis) p += at[axis] * steps[axis];
        memcpy(to, p, (size_t)size);
        for (int axis = rank - 1; axis >= 0; --axis) {
            if (own[axis] == 0) continue;
            if (++at[axis] < shape[axis]) break;
            at[axis] = 0;
        }
    }
    for (int axis = 0; axis < rank; ++axis) steps[axis] = own[axis];
    return copy;
}

/* Memory for all elements of an array, at least one, with the steps of C order. NULL with MemoryError without memory. */
static ARRAYEXPR_UNUSED void *arrayexpr_buffer(int rank, const ptrdiff_t *shape, ptrdiff_t *steps, int size) {
    ptrdiff_t total = size;
    for (int axis = rank - 1; axis >= 0; --axis) {
        steps[axis] = total;
        total *= shape[axis];
    }
    void *made = malloc((size_t)total);
    if (made == NULL) arrayexpr_raise_memory();
    return made;
}

/* Elements in C order to where they belong. */
static ARRAYEXPR_UNUSED void arrayexpr_store(int rank, const ptrdiff_t *shape, char *to, const ptrdiff_t *steps,
                                          const char *from, int size) {
    ptrdiff_t at[32];
    for (int axis = 0; axis < rank; ++axis) at[axis] = 0;
    for (;;) {
        const ptrdiff_t length = shape[rank - 1], step = steps[rank - 1];
        for (ptrdiff_t k = 0; k < length; ++k, from += size) memcpy(to + k * step, from, (size_t)size);
        int axis = rank - 2;
        for (; axis >= 0; --axis) {
            to += steps[axis];
            if (++at[axis] < shape[axis]) break;
            to -= shape[axis] * steps[axis];
            at[axis] = 0;
        }
        if (axis < 0) return;
    }
}

/* The shape that arrays are stretched to, the first of `geometry` included; ARRAYEXPR_ERROR where they do not fit. */
static ARRAYEXPR_UNUSED int arrayexpr_stretch(int rank, int count, const int *ranks, const ptrdiff_t *geometry,
                                           ptrdiff_t *shape) {
    for (int axis = 0; axis < rank; ++axis) shape[axis] = 1;
    for (int k = 0; k < count; ++k) {
        const int own = ranks[k], missing = rank - own;
        for (int axis = 0; axis < own; ++axis) {
            ptrdiff_t *const length = shape + missing + axis;
            if (geometry[axis] == *length || geometry[axis] == 1) continue;
            if (*length != 1) {
                arrayexpr_raise_extents(missing + axis, *length, geometry[axis]);
                return ARRAYEXPR_ERROR;
            }
            *length = geometry[axis];
        }
        geometry += 2 * own;
    }
    return 0;
}
