/* Tiles copied into contiguous rows, with transposition in registers where the source's rows run the other way.

   arrayexpr_packN(target, target_steps, source, source_steps, extents, rank), once ARRAYEXPR_PACK(N) has defined it,
   copies target[k...] = source[k...] of elements of N bytes: 1, 2, 4, 8 or 16. Steps are in bytes. The target is
   aligned to 64 and contiguous along one axis; of the source nothing is asked: its steps are of any sign, and need be
   no multiple of N.

   The source is read along the axis along which it is nearest to contiguous. Its rows ahead of those at work are
   prefetched, each from end to end, some between any two blocks: they are the next tile's where the tile ends, since
   tiles follow one another along the target's rows. Measured on b.T, 3200 x 5000 floats, of which 64 columns a tile:
   3.9 ms without prefetch, 2.1 with that of all rows of a block at once, 1.4 so. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef ARRAYEXPR_PACK_VECTOR
/* The bytes of a vector; 0 where the compiler has no shuffles. */
#if !defined(__has_builtin)
#define ARRAYEXPR_PACK_VECTOR 0
#elif !__has_builtin(__builtin_shufflevector)
#define ARRAYEXPR_PACK_VECTOR 0
#elif defined(__AVX512BW__)
#define ARRAYEXPR_PACK_VECTOR 64
#elif defined(__AVX2__)
#define ARRAYEXPR_PACK_VECTOR 32
#elif defined(__SSE2__) || defined(__ARM_NEON)
#define ARRAYEXPR_PACK_VECTOR 16
#else
#define ARRAYEXPR_PACK_VECTOR 0
#endif
#endif

#if defined(__GNUC__)
#define ARRAYEXPR_PREFETCH(p) __builtin_prefetch(p)
#else
#define ARRAYEXPR_PREFETCH(p) ((void)0)
#endif

#if ARRAYEXPR_PACK_VECTOR
#define ARRAYEXPR_LANES (ARRAYEXPR_PACK_VECTOR / 16)
typedef int64_t arrayexpr_v16 __attribute__((vector_size(16)));
typedef int64_t arrayexpr_v __attribute__((vector_size(ARRAYEXPR_PACK_VECTOR)));

static inline arrayexpr_v16 arrayexpr_lane(const char *p) {
    arrayexpr_v16 x;
    memcpy(&x, p, 16);
    return x;
}

/* 16 bytes from each of as many rows as a vector has lanes. */
static inline arrayexpr_v arrayexpr_lanes(const char *p, ptrdiff_t step) {
#if ARRAYEXPR_LANES == 4
    typedef int64_t half __attribute__((vector_size(32)));
    half x = __builtin_shufflevector(arrayexpr_lane(p), arrayexpr_lane(p + step), 0, 1, 2, 3);
    half y = __builtin_shufflevector(arrayexpr_lane(p + 2 * step), arrayexpr_lane(p + 3 * step), 0, 1, 2, 3);
    return __builtin_shufflevector(x, y, 0, 1, 2, 3, 4, 5, 6, 7);
#elif ARRAYEXPR_LANES == 2
    return __builtin_shufflevector(arrayexpr_lane(p), arrayexpr_lane(p + step), 0, 1, 2, 3);
#else
    (void)step;
    return arrayexpr_lane(p);
#endif
}

/* The indices that interleave the lower halves of each lane of two vectors of n elements, from element b on. */
#define ARRAYEXPR_ZIP1(b, n) (b), (b) + (n)
#define ARRAYEXPR_ZIP2(b, n) ARRAYEXPR_ZIP1(b, n), ARRAYEXPR_ZIP1((b) + 1, n)
#define ARRAYEXPR_ZIP4(b, n) ARRAYEXPR_ZIP2(b, n), ARRAYEXPR_ZIP2((b) + 2, n)
#define ARRAYEXPR_ZIP8(b, n) ARRAYEXPR_ZIP4(b, n), ARRAYEXPR_ZIP4((b) + 4, n)
#if ARRAYEXPR_LANES == 4
#define ARRAYEXPR_EACH_LANE(zip, b, n) zip(b, n), zip((b) + (n) / 4, n), zip((b) + (n) / 2, n), zip((b) + 3 * (n) / 4, n)
#elif ARRAYEXPR_LANES == 2
#define ARRAYEXPR_EACH_LANE(zip, b, n) zip(b, n), zip((b) + (n) / 2, n)
#else
#define ARRAYEXPR_EACH_LANE(zip, b, n) zip(b, n)
#endif

/* Transposes a block: as many columns of the source as fill 16 bytes, by as many rows as fill a vector. Vector k
   holds in lane l the row k + l * columns; each stage interleaves it with the one `columns / 2` on. */
#define ARRAYEXPR_PACK_BLOCK(NAME, TYPE, ZIP)                                                                     \
    static inline void NAME(char *t, ptrdiff_t t_step, const char *s, ptrdiff_t s_step) {                         \
        enum { COLUMNS = 16 / sizeof(TYPE), N = ARRAYEXPR_PACK_VECTOR / sizeof(TYPE) };                           \
        typedef TYPE v __attribute__((vector_size(ARRAYEXPR_PACK_VECTOR)));                                       \
        v x[COLUMNS], y[COLUMNS];                                                                                 \
        for (int k = 0; k < COLUMNS; ++k) x[k] = (v)arrayexpr_lanes(s + k * s_step, COLUMNS * s_step);            \
        for (int stage = 1; stage < COLUMNS; stage *= 2) {                                                        \
            for (int k = 0; k < COLUMNS / 2; ++k) {                                                               \
                y[2 * k] = __builtin_shufflevector(x[k], x[k + COLUMNS / 2], ARRAYEXPR_EACH_LANE(ZIP, 0, N));     \
                y[2 * k + 1] = __builtin_shufflevector(                                                           \
                    x[k], x[k + COLUMNS / 2], ARRAYEXPR_EACH_LANE(ZIP, COLUMNS / 2, N));                          \
            }                                                                                                     \
            for (int k = 0; k < COLUMNS; ++k) x[k] = y[k];                                                        \
        }                                                                                                         \
        for (int k = 0; k < COLUMNS; ++k) memcpy(t + k * t_step, &x[k], ARRAYEXPR_PACK_VECTOR);                   \
    }
ARRAYEXPR_PACK_BLOCK(arrayexpr_block1, uint8_t, ARRAYEXPR_ZIP8)
ARRAYEXPR_PACK_BLOCK(arrayexpr_block2, uint16_t, ARRAYEXPR_ZIP4)
ARRAYEXPR_PACK_BLOCK(arrayexpr_block4, uint32_t, ARRAYEXPR_ZIP2)
ARRAYEXPR_PACK_BLOCK(arrayexpr_block8, uint64_t, ARRAYEXPR_ZIP1)
static inline void arrayexpr_block16(char *t, ptrdiff_t t_step, const char *s, ptrdiff_t s_step) {
    arrayexpr_v x = arrayexpr_lanes(s, s_step);
    (void)t_step;
    memcpy(t, &x, ARRAYEXPR_PACK_VECTOR);
}
#endif

#define ARRAYEXPR_PACK_AXES 32

static inline ptrdiff_t arrayexpr_distance(ptrdiff_t x) { return x < 0 ? -x : x; }

/* The axis along which the source is nearest to contiguous; `unit` where no other is nearer. */
static inline int arrayexpr_nearest(const ptrdiff_t *s_steps, const ptrdiff_t *extents, int rank, int unit) {
    int near = unit;
    for (int k = 0; k < rank; ++k) {
        if (extents[k] < 2 || s_steps[k] == 0) continue;
        if (extents[near] < 2 || s_steps[near] == 0
            || arrayexpr_distance(s_steps[k]) < arrayexpr_distance(s_steps[near])) near = k;
    }
    return near;
}

/* Prefetches the lines of a piece of a row; of rows that run backwards or broadcast, the line that it starts in. */
static inline void arrayexpr_fetch(const char *p, ptrdiff_t bytes) {
    ARRAYEXPR_PREFETCH(p);
    for (ptrdiff_t k = 64; k < bytes; k += 64) ARRAYEXPR_PREFETCH(p + k);
}

/* The plain loops of one element size: rows that both sides walk alike, and rows that cross. */
#define ARRAYEXPR_PACK_LOOPS(SIZE)                                                                                \
    static inline void arrayexpr_row##SIZE(char *t, const char *s, ptrdiff_t step, ptrdiff_t n) {                 \
        if (step == SIZE) memcpy(t, s, (size_t)n * SIZE);                                                         \
        else if (step == -SIZE)                                                                                   \
            for (ptrdiff_t j = 0; j < n; ++j) memcpy(t + j * SIZE, s - j * SIZE, SIZE);                           \
        else                                                                                                      \
            for (ptrdiff_t j = 0; j < n; ++j) memcpy(t + j * SIZE, s + j * step, SIZE);                           \
    }                                                                                                             \
    static inline void arrayexpr_cross##SIZE(char *t, ptrdiff_t t_step, const char *s, ptrdiff_t near,            \
                                             ptrdiff_t far, ptrdiff_t rows, ptrdiff_t n) {                        \
        for (ptrdiff_t j = 0; j < n; ++j)                                                                         \
            for (ptrdiff_t i = 0; i < rows; ++i) memcpy(t + i * t_step + j * SIZE, s + i * near + j * far, SIZE); \
    }

/* Some rows of the source, as many as a block has or fewer, of one plane: t[i][j] = s[i * near + j * far] over `rows`
   target rows of n elements. As many rows are prefetched from `next` on, some between any two blocks. */
#if ARRAYEXPR_PACK_VECTOR
#define ARRAYEXPR_PACK_ROWS(SIZE) (ARRAYEXPR_PACK_VECTOR / SIZE)
#define ARRAYEXPR_PACK_PLANE(SIZE)                                                                                \
    static inline void arrayexpr_plane##SIZE(char *t, ptrdiff_t t_step, const char *s, ptrdiff_t near,            \
                                             ptrdiff_t far, ptrdiff_t rows, ptrdiff_t n, const char *next) {      \
        enum { COLUMNS = 16 / SIZE, N = ARRAYEXPR_PACK_ROWS(SIZE), LINE = 64 / SIZE };                            \
        if (near == -SIZE) {                                                                                      \
            s += (rows - 1) * near;                                                                               \
            next += (rows - 1) * near;                                                                            \
            t += (rows - 1) * t_step;                                                                             \
            near = SIZE;                                                                                          \
            t_step = -t_step;                                                                                     \
        }                                                                                                         \
        const ptrdiff_t whole = near == SIZE && n == N ? rows - rows % COLUMNS : 0;                               \
        const ptrdiff_t lines = whole / LINE, each = lines ? (N + lines - 1) / lines : 0;                         \
        ptrdiff_t i = 0, row = 0;                                                                                 \
        for (; i + LINE <= whole; i += LINE) {                                                                    \
            for (ptrdiff_t k = 0; k < each && row < N; ++k, ++row) arrayexpr_fetch(next + row * far, rows * SIZE);\
            for (int k = 0; k < LINE; k += COLUMNS)                                                               \
                arrayexpr_block##SIZE(t + (i + k) * t_step, t_step, s + (i + k) * SIZE, far);                     \
        }                                                                                                         \
        for (; i < whole; i += COLUMNS) arrayexpr_block##SIZE(t + i * t_step, t_step, s + i * near, far);         \
        arrayexpr_cross##SIZE(t + whole * t_step, t_step, s + whole * near, near, far, rows - whole, n);          \
    }
#else
#define ARRAYEXPR_PACK_ROWS(SIZE) 8
#define ARRAYEXPR_PACK_PLANE(SIZE)                                                                                \
    static inline void arrayexpr_plane##SIZE(char *t, ptrdiff_t t_step, const char *s, ptrdiff_t near,            \
                                             ptrdiff_t far, ptrdiff_t rows, ptrdiff_t n, const char *next) {      \
        for (ptrdiff_t j = 0; j < n; ++j) {                                                                       \
            for (ptrdiff_t i = 0; i < rows; i += 64 / SIZE) ARRAYEXPR_PREFETCH(next + i * near + j * far);        \
            arrayexpr_cross##SIZE(t + j * SIZE, t_step, s + j * far, near, far, rows, 1);                         \
        }                                                                                                         \
    }
#endif

/* Moves to the next place along all axes but two; 0 after the last one, which leaves all at the first. */
static inline int arrayexpr_onward(ptrdiff_t *place, char **t, const ptrdiff_t *t_steps, const char **s,
                                   const ptrdiff_t *s_steps, const ptrdiff_t *extents, int rank, int one, int other) {
    for (int k = rank - 1; k >= 0; --k) {
        if (k == one || k == other) continue;
        *t += t_steps[k];
        *s += s_steps[k];
        if (++place[k] < extents[k]) return 1;
        *t -= extents[k] * t_steps[k];
        *s -= extents[k] * s_steps[k];
        place[k] = 0;
    }
    return 0;
}

#define ARRAYEXPR_PACK(SIZE)                                                                                      \
    ARRAYEXPR_PACK_LOOPS(SIZE)                                                                                    \
    ARRAYEXPR_PACK_PLANE(SIZE)                                                                                    \
    static inline void arrayexpr_pack##SIZE(char *t, const ptrdiff_t *t_steps, const char *s,                     \
                                            const ptrdiff_t *s_steps, const ptrdiff_t *extents, int rank) {       \
        enum { N = ARRAYEXPR_PACK_ROWS(SIZE), AHEAD = N < 16 ? 16 / N : 1 };                                      \
        int unit = rank - 1, across = -1;                                                                         \
        for (int k = 0; k < rank; ++k) {                                                                          \
            if (extents[k] < 1) return;                                                                           \
            if (t_steps[k] == SIZE) unit = k;                                                                     \
        }                                                                                                         \
        const int near = arrayexpr_nearest(s_steps, extents, rank, unit);                                         \
        for (int k = 0; k < rank; ++k)                                                                            \
            if (k != unit && k != near && extents[k] > 1) across = k;                                             \
        ptrdiff_t place[ARRAYEXPR_PACK_AXES] = {0};                                                               \
        if (near == unit) {                                                                                       \
            const ptrdiff_t ahead = across >= 0 && s_steps[unit] == SIZE ? 4 * s_steps[across] : 0;               \
            do {                                                                                                  \
                if (ahead) arrayexpr_fetch(s + ahead, extents[unit] * SIZE);                                      \
                arrayexpr_row##SIZE(t, s, s_steps[unit], extents[unit]);                                          \
            } while (arrayexpr_onward(place, &t, t_steps, &s, s_steps, extents, rank, unit, unit));               \
            return;                                                                                               \
        }                                                                                                         \
        const ptrdiff_t n = extents[unit], far = s_steps[unit];                                                   \
        for (ptrdiff_t j = 0; j < n; j += N, t += N * SIZE, s += N * far) {                                       \
            do {                                                                                                  \
                const char *next = s + AHEAD * N * far;                                                           \
                if (across >= 0 && extents[across] > AHEAD) {                                                     \
                    next = s + AHEAD * s_steps[across];                                                           \
                    if (place[across] + AHEAD >= extents[across]) next += N * far - extents[across] * s_steps[across];\
                }                                                                                                 \
                arrayexpr_plane##SIZE(t, t_steps[near], s, s_steps[near], far, extents[near], n - j < N ? n - j : N,\
                                      next);                                                                      \
            } while (arrayexpr_onward(place, &t, t_steps, &s, s_steps, extents, rank, unit, near));               \
        }                                                                                                         \
    }

/* Prefetches the lines at p and so many steps from there: what a block reads next of some rows. */
static inline void arrayexpr_rows_ahead(const char *p, ptrdiff_t step, int rows) {
    for (int k = 0; k < rows; ++k) ARRAYEXPR_PREFETCH(p + k * step);
}

/* arrayexpr_turnN, once ARRAYEXPR_TURN(N) has defined it: t[k][l] = s[k * N + l * far], of `rows` rows of 64 bytes each,
   a constant number that fills 16 bytes or a multiple of them. The whole stays in registers, or in the first cache. */
#if ARRAYEXPR_PACK_VECTOR
#define ARRAYEXPR_TURN(SIZE)                                                                                      \
    static inline void arrayexpr_turn##SIZE(char *t, ptrdiff_t t_step, const char *s, ptrdiff_t far, int rows) {  \
        for (int k = 0; k < rows; k += 16 / SIZE)                                                                 \
            for (int l = 0; l < 64; l += ARRAYEXPR_PACK_VECTOR)                                                   \
                arrayexpr_block##SIZE(t + k * t_step + l, t_step, s + k * SIZE + l / SIZE * far, far);            \
    }
#else
#define ARRAYEXPR_TURN(SIZE)                                                                                      \
    static inline void arrayexpr_turn##SIZE(char *t, ptrdiff_t t_step, const char *s, ptrdiff_t far, int rows) {  \
        for (int l = 0; l < 64 / SIZE; ++l)                                                                       \
            for (int k = 0; k < rows; ++k) memcpy(t + k * t_step + l * SIZE, s + k * SIZE + l * far, SIZE);       \
    }
#endif
