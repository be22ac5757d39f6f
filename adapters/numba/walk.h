/* Walks element-wise kernels over strided arrays: the order of axes, tiles and overlap, all found from run-time strides.
 *
 * A kernel computes `rows` rows of `n` elements. `at` has the address of each array's first element, then those of
 * scalars; `rows_step` the bytes from row to row, `step` those from element to element. `unit` takes every element next
 * to the one before it and ignores `step`; `any` takes any steps. Both return Numba's status, 0 for none.
 *
 * An array that is folded is one of accumulators, which stand still along the axes that are reduced: what a kernel
 * computes for it goes to a buffer, and from there, tile by tile, into the accumulators. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "in_order.h"
#include "pack.h"

ARRAYEXPR_PACK(1)
ARRAYEXPR_PACK(2)
ARRAYEXPR_PACK(4)
ARRAYEXPR_PACK(8)
ARRAYEXPR_PACK(16)

typedef int32_t (*ae_kernel)(void *, void **, intptr_t rows, intptr_t n, char **at, const intptr_t *rows_step,
                             const intptr_t *step);

enum {
    AE_ARRAYS = 24,      /* arrays of a kernel at the most */
    AE_SCALARS = 40,     /* and scalars */
    AE_RANK = 16,
    AE_STILL = 6,        /* arrays for which, if one alone stands still along a row, kernels have a loop, or none */
    AE_ALWAYS = 1 << 6,  /* in the bits of those: that is the only loop, and where no array does nothing is done */
    AE_WRITTEN = 256,    /* in `kind`, beside the size of an element: assigned */
    AE_READ = 512,       /* and read */
    AE_FOLDED = 1024,    /* accumulators, by the fold whose number is `kind` from AE_FOLD_AT on */
    AE_ORDERED = 2048,   /* in the order of the elements */
    AE_FORTRAN = 4096,   /* where all axes are reduced, with the first axis innermost */
    AE_FOLD_AT = 48,     /* beyond the bits from AE_APART on */
    AE_APART = 16,       /* the bit from which on there is one for each array that is known to be apart from this one */
    AE_NOT = -1,         /* for a status: nothing was done */
    AE_INDICES = 1 << 24, /* elements of a table of indices at the most: it is never let go of */
    AE_NEAR = 1 << 19,   /* bytes of all arrays that stay in the second cache, from which nothing has to be asked for, */
    AE_SOON = 1 << 24,   /* and of those from which a tile ahead is soon enough */
    AE_LINE = 64,        /* bytes of a cache line */
    AE_TILE = 64,        /* rows and columns of a tile where layouts conflict */
    AE_FEW = 1 << 18,    /* elements of all arrays that are staged, up to which rows in order are taken as they lie */
    AE_STRIP = 512,      /* elements of a tile where they do not */
    AE_PART = 256,       /* columns of a tile that is folded by rows, */
    AE_AREA = 2048,      /* and its elements */
    AE_ROOM = 1 << 18    /* bytes of all tiles together, on the stack and in the second cache: beyond, half as wide */
};

typedef struct {
    int rank, count;
    intptr_t shape[AE_RANK + 1];
    intptr_t stride[AE_ARRAYS][AE_RANK + 1];
    char *at[AE_ARRAYS];
} ae_nest;

static inline intptr_t ae_abs(intptr_t x) { return x < 0 ? -x : x; }

/* The first byte of an array and the one after its last. */
static void ae_bounds(int rank, const intptr_t *shape, const intptr_t *stride, const char *at, intptr_t size,
                      const char **low, const char **high) {
    *low = at;
    *high = at + size;
    for (int k = 0; k < rank; k++) {
        const intptr_t reach = (shape[k] - 1) * stride[k];
        if (reach < 0) *low += reach; else *high += reach;
    }
}

/* Whether no array that is assigned shares memory with another one; `same` allows for the very same elements. */
static int32_t ae_apart(intptr_t rank, const intptr_t *shape, intptr_t count, char **at, const intptr_t *stride,
                        const intptr_t *kind, intptr_t same) {
    for (int k = 0; k < rank; k++)
        if (shape[k] == 0) return 1;
    for (int w = 0; w < count; w++) {
        if (!(kind[w] & AE_WRITTEN)) continue;
        const char *low, *high;
        ae_bounds((int)rank, shape, stride + w * rank, at[w], kind[w] & 255, &low, &high);
        for (int x = 0; x < count; x++) {
            if (x == w || (x < w && (kind[x] & AE_WRITTEN))) continue;
            const char *first, *last;
            ae_bounds((int)rank, shape, stride + x * rank, at[x], kind[x] & 255, &first, &last);
            if (last <= low || high <= first) continue;
            if (!same || at[w] != at[x] || (kind[w] & 255) != (kind[x] & 255)) return 0;
            for (int k = 0; k < rank; k++)
                if (shape[k] > 1 && stride[w * rank + k] != stride[x * rank + k]) return 0;
        }
    }
    return 1;
}

/* Whether the elements of an array are surely no two of them in the same memory. */
static int32_t ae_simple(int rank, const intptr_t *shape, const intptr_t *stride, intptr_t size) {
    intptr_t reach = size;
    int done[AE_RANK] = {0};
    for (int n = 0; n < rank; n++) {
        int next = -1;
        for (int k = 0; k < rank; k++)
            if (!done[k] && (next < 0 || ae_abs(stride[k]) < ae_abs(stride[next]))) next = k;
        done[next] = 1;
        if (shape[next] < 2) continue;
        if (ae_abs(stride[next]) < reach) return 0;
        reach += (shape[next] - 1) * ae_abs(stride[next]);
    }
    return 1;
}

/* As `ae_apart` for arrays each of its own shape, and whether none that is assigned has an element twice. */
static int32_t ae_alone(intptr_t rank, const intptr_t *shape, intptr_t count, char **at, const intptr_t *stride,
                        const intptr_t *kind, intptr_t same) {
    const char *low[AE_ARRAYS], *high[AE_ARRAYS];
    for (int j = 0; j < count; j++) {
        const intptr_t *own = shape + j * rank;
        for (int k = 0; k < rank; k++)
            if (own[k] == 0) goto empty;
        ae_bounds((int)rank, own, stride + j * rank, at[j], kind[j] & 255, low + j, high + j);
        continue;
    empty:
        low[j] = high[j] = at[j];
    }
    for (int w = 0; w < count; w++) {
        if (!(kind[w] & AE_WRITTEN)) continue;
        if (!ae_simple((int)rank, shape + w * rank, stride + w * rank, kind[w] & 255)) return 0;
        for (int x = 0; x < count; x++) {
            if (x == w || (x < w && (kind[x] & AE_WRITTEN)) || kind[w] >> (AE_APART + x) & 1) continue;
            if (high[x] <= low[w] || high[w] <= low[x]) continue;
            if (!same || at[w] != at[x] || (kind[w] & 255) != (kind[x] & 255)) return 0;
            for (int k = 0; k < rank; k++) {
                if (shape[w * rank + k] != shape[x * rank + k]) return 0;
                if (shape[w * rank + k] > 1 && stride[w * rank + k] != stride[x * rank + k]) return 0;
            }
        }
    }
    return 1;
}

/* What a step along an axis costs: bytes that have to come, a whole line at the most; assigned arrays count twice. */
static intptr_t ae_step_cost(const ae_nest *nest, const intptr_t *kind, int axis) {
    intptr_t cost = 0;
    for (int j = 0; j < nest->count; j++) {
        const intptr_t step = ae_abs(nest->stride[j][axis]);
        cost += (step < AE_LINE ? step : AE_LINE) * (kind[j] & AE_WRITTEN ? 2 : 1);
    }
    return cost;
}

static intptr_t ae_reach(const ae_nest *nest, const intptr_t *kind, int axis) {
    intptr_t cost = 0;
    for (int j = 0; j < nest->count; j++)
        cost += ae_abs(nest->stride[j][axis]) * (kind[j] & AE_WRITTEN ? 2 : 1);
    return cost;
}

static void ae_move_axis(ae_nest *nest, int from, int to) {
    const int by = from < to ? 1 : -1;
    const intptr_t length = nest->shape[from];
    for (int k = from; k != to; k += by) nest->shape[k] = nest->shape[k + by];
    nest->shape[to] = length;
    for (int j = 0; j < nest->count; j++) {
        const intptr_t step = nest->stride[j][from];
        for (int k = from; k != to; k += by) nest->stride[j][k] = nest->stride[j][k + by];
        nest->stride[j][to] = step;
    }
}

/* Drops axes of length 1, turns falling ones, orders them by what they move, and joins those that go on as one. Axes stay
   in order where something is folded over all of them in order: then this returns 1. */
static int ae_canonical(ae_nest *nest, const intptr_t *kind, intptr_t rank, const intptr_t *shape,
                        const intptr_t *stride) {
    int fixed = 0, fortran = 0;
    for (int j = 0; j < nest->count; j++) {
        if (!(kind[j] & AE_ORDERED)) continue;
        int moves = 0;
        for (int k = 0; k < rank; k++) moves |= shape[k] != 1 && stride[j * rank + k] != 0;
        fixed |= !moves;
        fortran |= !moves && kind[j] & AE_FORTRAN;
    }
    nest->rank = 0;
    for (int i = 0; i < rank; i++) {
        const int k = fortran ? (int)rank - 1 - i : i;
        if (shape[k] == 1) continue;
        const int axis = nest->rank++;
        int rising = 0, falling = 0;
        nest->shape[axis] = shape[k];
        for (int j = 0; j < nest->count; j++) {
            const intptr_t step = stride[j * rank + k];
            nest->stride[j][axis] = step;
            rising |= step > 0 || (step == 0 && kind[j] & AE_ORDERED);
            falling |= step < 0;
        }
        if (falling && !rising)
            for (int j = 0; j < nest->count; j++) {
                nest->at[j] += (shape[k] - 1) * nest->stride[j][axis];
                nest->stride[j][axis] = -nest->stride[j][axis];
            }
    }
    /* Insertion keeps the order of axes that move alike. */
    for (int k = 1; k < nest->rank && !fixed; k++)
        for (int i = k; i > 0 && ae_reach(nest, kind, i - 1) < ae_reach(nest, kind, i); i--)
            ae_move_axis(nest, i - 1, i);
    int inner = nest->rank - 1;
    for (int k = nest->rank - 2; k >= 0; k--)
        if (ae_step_cost(nest, kind, k) < ae_step_cost(nest, kind, inner)) inner = k;
    if (nest->rank > 1 && !fixed) ae_move_axis(nest, inner, nest->rank - 1);
    for (int k = nest->rank - 2; k >= 0; k--) {
        int joined = 1;
        for (int j = 0; j < nest->count && joined; j++)
            joined = nest->stride[j][k] == nest->shape[k + 1] * nest->stride[j][k + 1];
        if (!joined) continue;
        nest->shape[k] *= nest->shape[k + 1];
        for (int j = 0; j < nest->count; j++) nest->stride[j][k] = nest->stride[j][k + 1];
        for (int i = k + 1; i < nest->rank - 1; i++) {
            nest->shape[i] = nest->shape[i + 1];
            for (int j = 0; j < nest->count; j++) nest->stride[j][i] = nest->stride[j][i + 1];
        }
        nest->rank--;
    }
    while (nest->rank < 2) {
        for (int k = nest->rank; k > 0; k--) {
            nest->shape[k] = nest->shape[k - 1];
            for (int j = 0; j < nest->count; j++) nest->stride[j][k] = nest->stride[j][k - 1];
        }
        nest->shape[0] = 1;
        for (int j = 0; j < nest->count; j++) nest->stride[j][0] = nest->rank ? 0 : kind[j] & 255;
        nest->rank++;
    }
    return fixed;
}

#define AE_FILL(T, N)                                                                                                 \
    static void ae_fill##N(char *to, const char *from, intptr_t from_row, intptr_t rows, intptr_t n) {                \
        T *next = (T *)to;                                                                                            \
        for (intptr_t i = 0; i < rows; i++, next += n) {                                                              \
            const T value = *(const T *)(from + i * from_row);                                                        \
            for (intptr_t j = 0; j < n; j++) next[j] = value;                                                         \
        }                                                                                                             \
    }
typedef struct { uint64_t part[2]; } ae_wide;
AE_FILL(uint8_t, 1)
AE_FILL(uint16_t, 2)
AE_FILL(uint32_t, 4)
AE_FILL(uint64_t, 8)
AE_FILL(ae_wide, 16)

/* Stores rows of n contiguous elements where columns are contiguous: each is stored as a whole, since lines of several
   would meet in one set of the cache where a row is a power of two long. */
#define AE_TURN(N, T)                                                                                                  \
    case N:                                                                                                           \
        for (intptr_t j = 0; j < n; j++)                                                                              \
            for (intptr_t i = 0; i < rows; i++)                                                                       \
                *(T *)(to + j * to_step + i * N) = *(const T *)(from + (i * n + j) * N);                              \
        return;

static void ae_turn(char *to, intptr_t to_step, const char *from, intptr_t rows, intptr_t n, intptr_t size) {
    switch (size) {
    AE_TURN(1, uint8_t)
    AE_TURN(2, uint16_t)
    AE_TURN(4, uint32_t)
    AE_TURN(8, uint64_t)
    AE_TURN(16, ae_wide)
    }
}

/* Copies rows of n elements of 8 bytes that follow one another in the target, from where columns are contiguous, all of it
   in the caches: eight by eight in registers, with the lines so many bytes `ahead` asked for, if any. `pack.h` asks for rows
   in the order of the source, which is better from memory, and has vectors of 16 bytes where this module is not compiled
   for one processor: 64 x 64 elements took it 0.75 us, this 0.25. 0 where there are no such vectors. */
#if defined(__x86_64__) && defined(__GNUC__) && ARRAYEXPR_PACK_VECTOR
typedef int64_t ae_line __attribute__((vector_size(64)));
#define AE_LOW(x, y) __builtin_shufflevector(x, y, 0, 8, 2, 10, 4, 12, 6, 14)
#define AE_HIGH(x, y) __builtin_shufflevector(x, y, 1, 9, 3, 11, 5, 13, 7, 15)
#define AE_EVEN(x, y) __builtin_shufflevector(x, y, 0, 1, 4, 5, 8, 9, 12, 13)
#define AE_ODD(x, y) __builtin_shufflevector(x, y, 2, 3, 6, 7, 10, 11, 14, 15)
__attribute__((target("avx512f"))) static void ae_turn_lines(char *to, intptr_t to_row, const char *from,
                                                              intptr_t from_step, intptr_t rows, intptr_t n,
                                                              intptr_t ahead) {
    for (intptr_t c = 0; c < n; c += 8)
        for (intptr_t r = 0; r < rows; r += 8) {
            /* The last ones begin earlier, and do some again. */
            const intptr_t i = r + 8 < rows ? r : rows - 8, j = c + 8 < n ? c : n - 8;
            ae_line x[8], y[8];
            for (int k = 0; k < 8; k++) memcpy(x + k, from + (j + k) * from_step + i * 8, 64);
            for (int k = 0; k < 8 && ahead; k++) __builtin_prefetch(from + ahead + (j + k) * from_step + i * 8);
            for (int k = 0; k < 4; k++) {
                y[k] = AE_LOW(x[2 * k], x[2 * k + 1]);
                y[k + 4] = AE_HIGH(x[2 * k], x[2 * k + 1]);
            }
            /* Of columns 0, 2, 4 and 6, then of 1, 3, 5 and 7: 16 bytes of two rows each. */
            for (int k = 0; k < 8; k += 4) {
                const ae_line p = AE_EVEN(y[k], y[k + 1]), q = AE_EVEN(y[k + 2], y[k + 3]);
                const ae_line s = AE_ODD(y[k], y[k + 1]), t = AE_ODD(y[k + 2], y[k + 3]);
                x[k / 4] = AE_EVEN(p, q);
                x[k / 4 + 2] = AE_EVEN(s, t);
                x[k / 4 + 4] = AE_ODD(p, q);
                x[k / 4 + 6] = AE_ODD(s, t);
            }
            for (int k = 0; k < 8; k++) memcpy(to + (i + k) * to_row + j * 8, x + k, 64);
        }
}
static int ae_turn_near(char *to, intptr_t to_row, const char *from, intptr_t from_step, intptr_t rows, intptr_t n,
                        intptr_t ahead) {
    static int known;
    if (!known) known = __builtin_cpu_supports("avx512f") ? 1 : -1;
    if (known < 0 || rows < 8 || n < 8) return 0;
    ae_turn_lines(to, to_row, from, from_step, rows, n, ahead);
    return 1;
}
#else
#define ae_turn_near(...) 0
#endif

/* Copies rows of n elements, of which either side is contiguous along one of both axes. */
#define AE_SIZE(N)                                                                                                    \
    case N:                                                                                                           \
        if (from_step == 0 && to_step == N && to_row == n * N) ae_fill##N(to, from, from_row, rows, n);               \
        else arrayexpr_pack##N(to, to_steps, from, from_steps, extents, 2);                                           \
        break;

static void ae_copy(char *to, intptr_t to_row, intptr_t to_step, const char *from, intptr_t from_row,
                    intptr_t from_step, intptr_t rows, intptr_t n, intptr_t size, int near) {
    if (near && size == 8 && to_step == 8 && from_row == 8 && from_step != 8 &&
        ae_turn_near(to, to_row, from, from_step, rows, n, near == 2 ? 0 : n * from_step))
        return;
    const ptrdiff_t to_steps[2] = {to_row, to_step}, from_steps[2] = {from_row, from_step}, extents[2] = {rows, n};
    if (to_row == size && to_step != size && from_step == size && from_row == n * size) {
        ae_turn(to, to_step, from, rows, n, size);
        return;
    }
    if (to_step != size && to_row != size) {
        for (intptr_t i = 0; i < rows; i++)
            for (intptr_t j = 0; j < n; j++)
                memcpy(to + i * to_row + j * to_step, from + i * from_row + j * from_step, (size_t)size);
        return;
    }
    switch (size) {
    AE_SIZE(1)
    AE_SIZE(2)
    AE_SIZE(4)
    AE_SIZE(8)
    AE_SIZE(16)
    }
}

/* One pass over the arrays: `return` of a kernel that is not 0 ends it. */
static int32_t ae_sweep(ae_nest *nest, ae_kernel unit, ae_kernel any, void **exc, char *const *scalars,
                        intptr_t scalar_count, const intptr_t *kind, intptr_t stills_taken, int fixed) {
    const int count = nest->count, rank = nest->rank, x = rank - 1;
    intptr_t step[AE_ARRAYS], row[AE_ARRAYS], given[AE_ARRAYS];
    char *at[AE_ARRAYS + AE_SCALARS];
    int staged[AE_ARRAYS], staging = 0, conflicts = 0, across = x - 1, others = 0, still = -1, stills = 0, folds = 0;

    for (int j = 0; j < scalar_count; j++) at[count + j] = scalars[j];
    for (int j = 0; j < count; j++) {
        const intptr_t size = kind[j] & 255;
        step[j] = nest->stride[j][x];
        if (kind[j] & AE_FOLDED) {
            staged[j] = 0;
            folds++;
            continue;
        }
        staged[j] = step[j] != size;
        staging += staged[j];
        if (staged[j] && step[j] == 0) {
            stills++;
            if (!(kind[j] & AE_WRITTEN) && still < 0) still = j;
        }
        if (!staged[j] || step[j] == 0) continue;
        int crossing = -1;
        if (ae_abs(step[j]) >= AE_LINE)
            for (int k = x - 1; k >= 0; k--)
                if (ae_abs(nest->stride[j][k]) == size && (k == x - 1 || !fixed)) { crossing = k; break; }
        if (crossing >= 0 && (!conflicts || crossing == across)) { across = crossing; conflicts = 1; }
        else others = 1;
    }
    /* One array that stands still along a row: `unit` has a loop for each that `stills_taken` has a bit for. */
    if (stills == 1 && still >= 0 && stills_taken >> still & 1) {
        staged[still] = 0;
        staging--;
    }
    if (conflicts && across != x - 1) ae_move_axis(nest, across, x - 1);
    for (int j = 0; j < count; j++) row[j] = nest->stride[j][x - 1];

    const intptr_t n = nest->shape[x], rows = nest->shape[x - 1];
    intptr_t bytes = 0;
    for (int j = 0; j < count; j++) bytes += kind[j] & 255;
    for (int k = 0; k < rank; k++) bytes *= nest->shape[k];
    const int near = bytes <= AE_NEAR ? 2 : bytes <= AE_SOON;
    intptr_t tile_rows = rows, tile = n;
    ae_kernel kernel = unit;
    /* Rows in order have small tiles, which are staged for longer than elements take that are a line apart in the second
       cache: sums of 64 x 64 to 200 x 200 took 1.5 to 1.8 times what they take now. */
    if (staging && any && (conflicts ? fixed && rows * n * staging <= AE_FEW : others)) {
        conflicts = 0;
        kernel = any;
        staging = 0;
        for (int j = 0; j < count; j++) staged[j] = 0;
    } else if (stills_taken & AE_ALWAYS && !(stills == 1 && still >= 0 && stills_taken >> still & 1)) {
        return AE_NOT;
    } else if (conflicts) {
        /* Of what stays in the second cache, tiles that stay in the first, of rows as alike as can be. */
        const intptr_t most = near < 2 ? AE_TILE : rows * n <= AE_AREA ? rows : AE_TILE / 4;
        const intptr_t pieces = (rows + most - 1) / most;
        tile_rows = (rows + pieces - 1) / pieces;
        tile = n < AE_TILE ? n : AE_TILE;
    }
    if (fixed) {
        /* Rows are done before the next begin: a tile has whole rows, or one. */
        tile_rows = conflicts ? AE_LINE / 8 : n < AE_STRIP ? AE_STRIP / n : 1;
        if (tile_rows > rows) tile_rows = rows;
        tile = tile_rows > 1 || n < AE_STRIP ? n : AE_STRIP;
    } else if (folds && !conflicts) {
        tile = n < AE_PART ? n : AE_PART;
        tile_rows = AE_AREA / tile;
        if (tile_rows > rows) tile_rows = rows;
    } else if (staging && !conflicts) {
        tile = n < AE_STRIP ? n : AE_STRIP;
        tile_rows = AE_STRIP / tile;
    }
    for (int j = 0; j < count; j++) {
        if (kind[j] & AE_FOLDED) staged[j] = 1;
        given[j] = staged[j] ? kind[j] & 255 : step[j];
    }
    intptr_t element = 0;
    for (int j = 0; j < count; j++)
        if (staged[j]) element += kind[j] & 255;
    while (conflicts && tile_rows * tile * element > AE_ROOM) {
        const int one_row = tile_rows == 1;
        tile_rows = (tile_rows + 1) / 2;
        if (!fixed || one_row) tile = (tile + 1) / 2;
    }
    char room[(staging || folds ? tile_rows * tile * element : 0) + AE_LINE];
    char *buffer[AE_ARRAYS];
    char *next = (char *)(((uintptr_t)room + AE_LINE - 1) / AE_LINE * AE_LINE);
    for (int j = 0; j < count; j++) {
        buffer[j] = next;
        if (staged[j]) next += tile_rows * tile * (kind[j] & 255);
    }

    intptr_t index[AE_RANK] = {0};
    char *base[AE_ARRAYS];
    for (int j = 0; j < count; j++) base[j] = nest->at[j];
    for (;;) {
        for (intptr_t i = 0; i < rows; i += tile_rows) {
            const intptr_t height = rows - i < tile_rows ? rows - i : tile_rows;
            for (intptr_t c = 0; c < n; c += tile) {
                const intptr_t width = n - c < tile ? n - c : tile;
                intptr_t rows_step[AE_ARRAYS];
                for (int j = 0; j < count; j++) {
                    const intptr_t size = kind[j] & 255;
                    char *from = base[j] + i * row[j] + c * step[j];
                    at[j] = from;
                    rows_step[j] = row[j];
                    if (!staged[j]) continue;
                    at[j] = buffer[j];
                    rows_step[j] = width * size;
                    if (kind[j] & AE_READ)
                        ae_copy(buffer[j], width * size, size, from, row[j], step[j], height, width, size, near);
                }
                /* Rows that go on as one are one. */
                int joined = 1;
                for (int j = 0; j < count; j++) joined &= rows_step[j] == width * given[j];
                const int32_t status = joined ? kernel(0, exc, 1, height * width, at, rows_step, given)
                                              : kernel(0, exc, height, width, at, rows_step, given);
                if (status) return status;
                for (int j = 0; j < count && (staging || folds); j++) {
                    const intptr_t size = kind[j] & 255;
                    if (kind[j] & AE_FOLDED)
                        ae_folds[kind[j] >> AE_FOLD_AT](base[j] + i * row[j] + c * step[j], row[j], step[j], buffer[j],
                                                        height, width);
                    else if (staged[j] && kind[j] & AE_WRITTEN)
                        ae_copy(base[j] + i * row[j] + c * step[j], row[j], step[j], buffer[j], width * size, size,
                                height, width, size, near);
                }
            }
        }
        int k = x - 2;
        for (; k >= 0; k--) {
            if (++index[k] < nest->shape[k]) {
                for (int j = 0; j < count; j++) base[j] += nest->stride[j][k];
                break;
            }
            for (int j = 0; j < count; j++) base[j] -= (nest->shape[k] - 1) * nest->stride[j][k];
            index[k] = 0;
        }
        if (k < 0) return 0;
    }
}

/* Runs a kernel over all elements. `at` has `count` arrays and then scalars; `stride` is of `count` rows. */
static int32_t ae_walk(ae_kernel unit, ae_kernel any, void **exc, intptr_t rank, const intptr_t *shape,
                       intptr_t count, char **at, const intptr_t *stride, const intptr_t *kind,
                       intptr_t scalar_count, intptr_t stills_taken) {
    ae_nest nest;
    for (int k = 0; k < rank; k++)
        if (shape[k] == 0) return 0;
    nest.count = (int)count;
    for (int j = 0; j < count; j++) nest.at[j] = at[j];
    const int fixed = ae_canonical(&nest, kind, rank, shape, stride);
    return ae_sweep(&nest, unit, any, exc, at + count, scalar_count, kind, stills_taken, fixed);
}

/* A table of which element k is k, of at least `length` elements; 0 where there is none. It is one for all of a process,
   and grows: others may have the one before it, which stays. */
typedef struct { intptr_t length; int64_t value[]; } ae_table;

static const int64_t *ae_indices(intptr_t length) {
    static ae_table *known;
    ae_table *found = __atomic_load_n(&known, __ATOMIC_ACQUIRE), *made;
    intptr_t room = 1024;
    if (length > AE_INDICES) return 0;
    while (room < length) room *= 2;
    if (found && found->length >= length) return found->value;
    made = malloc(sizeof(ae_table) + (size_t)room * sizeof(int64_t));
    if (!made) return 0;
    made->length = room;
    for (intptr_t k = 0; k < room; k++) made->value[k] = k;
    while (!__atomic_compare_exchange_n(&known, &found, made, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        if (found && found->length >= length) {
            free(made);
            return found->value;
        }
    return made->value;
}

enum {
    AE_WIDE = 1024,      /* elements of a strip that stays in the first cache while others are added to it */
    AE_DEEP = 64         /* rows that are added to all strips before the next ones, so that they stay in the second */
};

/* Runs a kernel over all elements, for each iteration of `ordered` loops around them, which no element sees in another
 * order. `steps` are bytes from iteration to iteration, of `count` arrays for each of those loops. AE_NOT where no axis has all arrays next to one another or still. */
static int32_t ae_walk_ordered(ae_kernel unit, ae_kernel any, void **exc, intptr_t rank, const intptr_t *shape,
                               intptr_t count, char **at, const intptr_t *stride, const intptr_t *kind,
                               intptr_t scalar_count, intptr_t stills_taken, intptr_t ordered, const intptr_t *lengths,
                               const intptr_t *steps) {
    ae_nest nest;
    char *given[AE_ARRAYS + AE_SCALARS], *base[AE_ARRAYS];
    intptr_t step[AE_ARRAYS], turn[AE_RANK] = {0};
    for (int k = 0; k < rank; k++)
        if (shape[k] == 0) return 0;
    nest.count = (int)count;
    for (int j = 0; j < count; j++) nest.at[j] = at[j];
    ae_canonical(&nest, kind, rank, shape, stride);
    const int x = nest.rank - 1, last = (int)ordered - 1;
    ae_kernel kernel = unit;
    int stills = 0;
    for (int j = 0; j < count; j++) {
        step[j] = nest.stride[j][x];
        if (step[j] == (kind[j] & 255)) continue;
        if (step[j] != 0 || kind[j] & AE_WRITTEN) return AE_NOT;
        if (++stills > 1 || !(stills_taken >> j & 1)) kernel = any;
    }
    if (!kernel || (kernel == unit && stills_taken & AE_ALWAYS && !stills)) return AE_NOT;
    for (int j = 0; j < scalar_count; j++) given[count + j] = at[count + j];
    for (intptr_t c = 0; c < nest.shape[x]; c += AE_WIDE) {
        const intptr_t n = nest.shape[x] - c < AE_WIDE ? nest.shape[x] - c : AE_WIDE;
        for (int j = 0; j < count; j++) base[j] = nest.at[j] + c * step[j];
        for (;;) {
            for (intptr_t i = 0; i < lengths[last]; i += AE_DEEP) {
                const intptr_t rows = lengths[last] - i < AE_DEEP ? lengths[last] - i : AE_DEEP;
                intptr_t index[AE_RANK] = {0};
                for (int j = 0; j < count; j++) given[j] = base[j] + i * steps[last * count + j];
                for (;;) {
                    const int32_t status = kernel(0, exc, rows, n, given, steps + last * count, step);
                    if (status) return status;
                    int k = x - 1;
                    for (; k >= 0; k--) {
                        if (++index[k] < nest.shape[k]) {
                            for (int j = 0; j < count; j++) given[j] += nest.stride[j][k];
                            break;
                        }
                        for (int j = 0; j < count; j++) given[j] -= (nest.shape[k] - 1) * nest.stride[j][k];
                        index[k] = 0;
                    }
                    if (k < 0) break;
                }
            }
            int k = last - 1;
            for (; k >= 0; k--) {
                if (++turn[k] < lengths[k]) {
                    for (int j = 0; j < count; j++) base[j] += steps[k * count + j];
                    break;
                }
                for (int j = 0; j < count; j++) base[j] -= (lengths[k] - 1) * steps[k * count + j];
                turn[k] = 0;
            }
            if (k < 0) break;
        }
    }
    return 0;
}

/* A nest of loops, if what it assigns is apart from the rest, as `ae_alone` has it: whether it was run. What it computes
   raises nothing, so that there is no status. `head` is what is known when it is compiled: how many loops are ordered,
   the rank within them, how many arrays and scalars there are, for which arrays `unit` has a loop, whether the very same
   elements are apart, then the kind of each array, and along which axes it moves, a bit for each. `given` are the lengths
   of ordered loops and axes, then of each array its place and its steps, for each ordered loop and each axis along which
   it moves, then the places of scalars. Sums in the order of the text are left to the loops as they were written, too,
   where that goes along memory. */
static int32_t ae_walk_nest(ae_kernel unit, ae_kernel any, const intptr_t *head, const intptr_t *given) {
    const intptr_t ordered = head[0], rank = head[1], count = head[2], scalar_count = head[3], whole = ordered + rank;
    const intptr_t *kind = head + 6, *moves = kind + count, *lengths = given;
    intptr_t shape[AE_ARRAYS * AE_RANK], stride[AE_ARRAYS * AE_RANK], inner[AE_ARRAYS * AE_RANK];
    intptr_t steps[AE_ARRAYS * AE_RANK];
    char *at[AE_ARRAYS + AE_SCALARS];
    int summed = 0, along = 1;
    given += whole;
    for (int j = 0; j < count; j++) {
        intptr_t *own = shape + j * whole, *step = stride + j * whole;
        at[j] = (char *)*given++;
        for (int k = 0; k < whole; k++) {
            const int moving = k < ordered || moves[j] >> (k - ordered) & 1;
            step[k] = moving ? *given++ : 0;
            /* What is added to again is one element. */
            own[k] = moving && (k >= ordered || step[k]) ? lengths[k] : 1;
            if (k < ordered) steps[k * count + j] = step[k];
            else inner[j * rank + k - ordered] = step[k];
        }
        summed |= (kind[j] & AE_ORDERED) != 0;
        for (int k = 0; k < whole - 1; k++) along &= step[k] == 0 || ae_abs(step[k]) >= ae_abs(step[whole - 1]);
    }
    for (int j = 0; j < scalar_count; j++) at[count + j] = (char *)*given++;
    if ((summed && along) || !ae_alone(whole, shape, count, at, stride, kind, head[5])) return 0;
    if (ordered)
        return ae_walk_ordered(unit, any, 0, rank, lengths + ordered, count, at, inner, kind, scalar_count, head[4],
                               ordered, lengths, steps) == 0;
    return ae_walk(unit, any, 0, rank, lengths, count, at, inner, kind, scalar_count, head[4]) == 0;
}

/* Runs a function on pieces in threads, as Numba's threading layers do. */
typedef void (*ae_parallel)(void *, char **, intptr_t *, intptr_t *, void *, intptr_t, intptr_t, intptr_t);

/* What threads share, and the part of it that is one's. */
typedef struct {
    const ae_nest *nest;
    ae_kernel unit, any;
    char **scalars;
    const intptr_t *kind;
    intptr_t scalar_count, stills_taken;
    int axis;
} ae_job;
typedef struct {
    const ae_job *job;
    intptr_t first, last;
    int32_t status;
    void *exc;
} ae_part;

enum {
    AE_SHARED = 1 << 15, /* elements of a walk that is worth being shared */
    AE_THREADS = 256
};

static void ae_run_parts(char **args, intptr_t *dimensions, intptr_t *steps, void *data) {
    (void)data;
    for (intptr_t i = 0; i < dimensions[0]; i++) {
        ae_part *part = (ae_part *)(args[0] + i * steps[0]);
        const ae_job *job = part->job;
        ae_nest nest = *job->nest;
        nest.shape[job->axis] = part->last - part->first;
        if (nest.shape[job->axis] <= 0) continue;
        for (int j = 0; j < nest.count; j++) nest.at[j] += part->first * nest.stride[j][job->axis];
        part->status = ae_sweep(&nest, job->unit, job->any, &part->exc, job->scalars, job->scalar_count, job->kind,
                                job->stills_taken, 0);
    }
}

/* As `ae_walk` of arrays of which none is folded, in `threads` threads: each takes a part of one axis, so that the
   elements are computed as by one. */
static int32_t ae_walk_shared(ae_kernel unit, ae_kernel any, void **exc, intptr_t rank, const intptr_t *shape,
                              intptr_t count, char **at, const intptr_t *stride, const intptr_t *kind,
                              intptr_t scalar_count, intptr_t stills_taken, ae_parallel parallel, intptr_t threads) {
    ae_nest nest;
    intptr_t total = 1;
    for (int k = 0; k < rank; k++) {
        if (shape[k] == 0) return 0;
        total *= shape[k];
    }
    nest.count = (int)count;
    for (int j = 0; j < count; j++) nest.at[j] = at[j];
    ae_canonical(&nest, kind, rank, shape, stride);
    if (threads > AE_THREADS) threads = AE_THREADS;
    /* The outermost axis that gives each thread some; rows of tiles stay whole where they can. */
    int axis = 0;
    while (axis < nest.rank - 1 && nest.shape[axis] < 4 * threads) axis++;
    if (total < AE_SHARED || threads < 2 || nest.shape[axis] < threads)
        return ae_sweep(&nest, unit, any, exc, at + count, scalar_count, kind, stills_taken, 0);
    const ae_job job = {&nest, unit, any, at + count, kind, scalar_count, stills_taken, axis};
    ae_part parts[AE_THREADS];
    const intptr_t length = nest.shape[axis];
    const intptr_t grain = length >= threads * AE_TILE ? AE_TILE : 1, pieces = (length + grain - 1) / grain;
    for (intptr_t t = 0; t < threads; t++) {
        const intptr_t last = pieces * (t + 1) / threads * grain;
        parts[t] = (ae_part){&job, pieces * t / threads * grain, last < length ? last : length, 0, 0};
    }
    char *args[1] = {(char *)parts};
    intptr_t dimensions[1] = {threads}, steps[1] = {sizeof(ae_part)};
    parallel((void *)ae_run_parts, args, dimensions, steps, 0, 0, 1, threads);
    for (intptr_t t = 0; t < threads; t++)
        if (parts[t].status) {
            if (exc) *exc = parts[t].exc;
            return parts[t].status;
        }
    return 0;
}

/* Kernels that copy their second array to the first: elements of `*scalars[0]` bytes. */
static int32_t ae_copy_kernel(void *ret, void **exc, intptr_t rows, intptr_t n, char **at, const intptr_t *rows_step,
                              const intptr_t *step) {
    const intptr_t size = *(const intptr_t *)at[2];
    (void)ret, (void)exc;
    ae_copy(at[0], rows_step[0], step[0], at[1], rows_step[1], step[1], rows, n, size, 0);
    return 0;
}

/* Copies an array to another one that is apart from it. */
static int32_t ae_move(intptr_t rank, const intptr_t *shape, char *to, const intptr_t *to_stride, char *from,
                       const intptr_t *from_stride, intptr_t size) {
    char *at[3] = {to, from, (char *)&size};
    const intptr_t kind[2] = {size | AE_WRITTEN, size | AE_READ};
    intptr_t stride[2 * AE_RANK];
    for (int k = 0; k < rank; k++) {
        stride[k] = to_stride[k];
        stride[rank + k] = from_stride[k];
    }
    return ae_walk(ae_copy_kernel, ae_copy_kernel, 0, rank, shape, 2, at, stride, kind, 1, 0);
}
