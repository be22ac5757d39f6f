/* Folds rows of elements that lie next to one another into accumulators, each in the order of the elements.
 *
 * fold(acc, acc_row, acc_step, from, rows, n): the accumulator of element j of row i is at acc + i*acc_row + j*acc_step,
 * steps in bytes. Accumulators are of the elements' type. Rounding is Numba's: no sum is reassociated, but by those
 * that are called loose. */

#include <stdint.h>

typedef struct { float re, im; } ae_c8;
typedef struct { double re, im; } ae_c16;
typedef void (*ae_fold)(char *, intptr_t, intptr_t, const char *, intptr_t, intptr_t);

#define AE_SUM(a, v) a += (v)
#define AE_PROD(a, v) a *= (v)
#define AE_SUM_C(a, v) ((a).re += (v).re, (a).im += (v).im)
#define AE_PROD_C(a, v)                                                                                               \
    do {                                                                                                              \
        const __typeof__(a) x_ = a, y_ = (v);                                                                         \
        (a).re = x_.re * y_.re - x_.im * y_.im;                                                                         \
        (a).im = x_.re * y_.im + x_.im * y_.re;                                                                         \
    } while (0)
#define AE_MIN(a, v) a = (v) < a ? (v) : a
#define AE_MAX(a, v) a = (v) > a ? (v) : a
/* The first NaN stays, and the first of equals. */
#define AE_MIN_F(a, v) a = (a == a) & !((v) >= a) ? (v) : a
#define AE_MAX_F(a, v) a = (a == a) & !((v) <= a) ? (v) : a
#define AE_ANY(a, v) a |= (v)
#define AE_ALL(a, v) a &= (v)

/* All elements into one accumulator. */
#define AE_ONE(T, STEP)                                                                                               \
    do {                                                                                                              \
        T a = *(T *)acc;                                                                                              \
        for (intptr_t k = 0; k < rows * n; k++) STEP(a, p[k]);                                                        \
        *(T *)acc = a;                                                                                                \
    } while (0)

/* The same in eight turns, which the compiler makes vectors of. */
#define AE_LANES(T, STEP)                                                                                             \
    do {                                                                                                              \
        const intptr_t count = rows * n, whole = count / 8 * 8;                                                       \
        T a = *(T *)acc;                                                                                              \
        if (whole) {                                                                                                  \
            T lane[8];                                                                                                \
            for (int l = 0; l < 8; l++) lane[l] = p[l];                                                               \
            for (intptr_t k = 8; k < whole; k += 8)                                                                   \
                for (int l = 0; l < 8; l++) STEP(lane[l], p[k + l]);                                                  \
            for (int l = 0; l < 8; l++) STEP(a, lane[l]);                                                             \
        }                                                                                                             \
        for (intptr_t k = whole; k < count; k++) STEP(a, p[k]);                                                       \
        *(T *)acc = a;                                                                                                \
    } while (0)

/* In turns too, unless a NaN or a zero is the result: which of several comes first then shows. */
#define AE_EXTREME(T, STEP, LESS)                                                                                     \
    do {                                                                                                              \
        const intptr_t count = rows * n;                                                                              \
        T a = *(T *)acc;                                                                                              \
        for (intptr_t k = 0; k < count;) {                                                                            \
            intptr_t end = k + 256 < count ? k + 256 : count;                                                         \
            if (end - k == 256) {                                                                                     \
                T lane[8];                                                                                            \
                int8_t odd[8] = {0};                                                                                  \
                for (int l = 0; l < 8; l++) lane[l] = p[k + l];                                                       \
                for (intptr_t i = k; i < end; i += 8)                                                                 \
                    for (int l = 0; l < 8; l++) {                                                                     \
                        const T v = p[i + l];                                                                         \
                        odd[l] |= v != v;                                                                             \
                        lane[l] = v LESS lane[l] ? v : lane[l];                                                       \
                    }                                                                                                 \
                T best = lane[0];                                                                                     \
                int strange = odd[0];                                                                                 \
                for (int l = 1; l < 8; l++) {                                                                         \
                    strange |= odd[l];                                                                                \
                    best = lane[l] LESS best ? lane[l] : best;                                                        \
                }                                                                                                     \
                if (!strange && best != 0) {                                                                          \
                    STEP(a, best);                                                                                    \
                    k = end;                                                                                          \
                    continue;                                                                                         \
                }                                                                                                     \
            }                                                                                                         \
            for (; k < end; k++) STEP(a, p[k]);                                                                       \
        }                                                                                                             \
        *(T *)acc = a;                                                                                                \
    } while (0)
#define AE_LOWEST(T, STEP) AE_EXTREME(T, STEP, <)
#define AE_HIGHEST(T, STEP) AE_EXTREME(T, STEP, >)

/* Each row into one of its own, eight at a time: a sum waits for the one before it, but eight rows wait together.
   Elements into accumulators next to one another, four rows at a time where rows share them. */
#define AE_FOLD(NAME, T, STEP, ONE)                                                                                   \
    static void NAME(char *acc, intptr_t acc_row, intptr_t acc_step, const char *from, intptr_t rows, intptr_t n) {   \
        const T *restrict p = (const T *)from;                                                                        \
        if (acc_row == 0 && acc_step == 0) {                                                                          \
            ONE(T, STEP);                                                                                             \
            return;                                                                                                   \
        }                                                                                                             \
        intptr_t i = 0;                                                                                               \
        if (acc_step == 0) {                                                                                          \
            for (; i + 8 <= rows; i += 8, p += 8 * n) {                                                               \
                char *at = acc + i * acc_row;                                                                         \
                T a0 = *(T *)at, a1 = *(T *)(at + acc_row), a2 = *(T *)(at + 2 * acc_row),                            \
                  a3 = *(T *)(at + 3 * acc_row), a4 = *(T *)(at + 4 * acc_row), a5 = *(T *)(at + 5 * acc_row),        \
                  a6 = *(T *)(at + 6 * acc_row), a7 = *(T *)(at + 7 * acc_row);                                       \
                for (intptr_t j = 0; j < n; j++) {                                                                    \
                    STEP(a0, p[j]);                                                                                   \
                    STEP(a1, p[n + j]);                                                                               \
                    STEP(a2, p[2 * n + j]);                                                                           \
                    STEP(a3, p[3 * n + j]);                                                                           \
                    STEP(a4, p[4 * n + j]);                                                                           \
                    STEP(a5, p[5 * n + j]);                                                                           \
                    STEP(a6, p[6 * n + j]);                                                                           \
                    STEP(a7, p[7 * n + j]);                                                                           \
                }                                                                                                     \
                *(T *)at = a0, *(T *)(at + acc_row) = a1, *(T *)(at + 2 * acc_row) = a2;                              \
                *(T *)(at + 3 * acc_row) = a3, *(T *)(at + 4 * acc_row) = a4, *(T *)(at + 5 * acc_row) = a5;          \
                *(T *)(at + 6 * acc_row) = a6, *(T *)(at + 7 * acc_row) = a7;                                         \
            }                                                                                                         \
            for (; i < rows; i++, p += n) {                                                                           \
                T a = *(T *)(acc + i * acc_row);                                                                      \
                for (intptr_t j = 0; j < n; j++) STEP(a, p[j]);                                                       \
                *(T *)(acc + i * acc_row) = a;                                                                        \
            }                                                                                                         \
            return;                                                                                                   \
        }                                                                                                             \
        if (acc_step == (intptr_t)sizeof(T)) {                                                                        \
            if (acc_row == 0)                                                                                         \
                for (; i + 4 <= rows; i += 4, p += 4 * n) {                                                           \
                    T *restrict to = (T *)acc;                                                                        \
                    for (intptr_t j = 0; j < n; j++) {                                                                \
                        T a = to[j];                                                                                  \
                        STEP(a, p[j]);                                                                                \
                        STEP(a, p[n + j]);                                                                            \
                        STEP(a, p[2 * n + j]);                                                                        \
                        STEP(a, p[3 * n + j]);                                                                        \
                        to[j] = a;                                                                                    \
                    }                                                                                                 \
                }                                                                                                     \
            for (; i < rows; i++, p += n) {                                                                           \
                T *restrict to = (T *)(acc + i * acc_row);                                                            \
                for (intptr_t j = 0; j < n; j++) STEP(to[j], p[j]);                                                   \
            }                                                                                                         \
            return;                                                                                                   \
        }                                                                                                             \
        for (; i < rows; i++, p += n)                                                                                 \
            for (intptr_t j = 0; j < n; j++) STEP(*(T *)(acc + i * acc_row + j * acc_step), p[j]);                    \
    }

/* The place of the first extreme, or of the first NaN, in the order in which elements come. */
#define AE_PLACED(NAME, T, LESS)                                                                                      \
    static void NAME(char *acc, intptr_t acc_row, intptr_t acc_step, const char *from, intptr_t rows, intptr_t n) {   \
        struct { T best; _Alignas(8) int64_t at, count; } *const to = (void *)acc;                                    \
        const T *restrict p = (const T *)from;                                                                        \
        const intptr_t count = rows * n;                                                                              \
        (void)acc_row, (void)acc_step;                                                                                \
        if (to->count == 0 && count) to->best = p[0];                                                                 \
        for (intptr_t k = 0; k < count && to->best == to->best; k += 256) {                                           \
            const intptr_t end = k + 256 < count ? k + 256 : count;                                                   \
            T best = to->best;                                                                                        \
            int odd = 0;                                                                                              \
            for (intptr_t i = k; i < end; i++) {                                                                      \
                const T v = p[i];                                                                                     \
                odd |= v != v;                                                                                        \
                best = v LESS best ? v : best;                                                                        \
            }                                                                                                         \
            if (!odd && !(best LESS to->best)) continue;                                                              \
            intptr_t i = k;                                                                                           \
            while (odd ? p[i] == p[i] : p[i] != best) i++;                                                            \
            to->best = p[i], to->at = to->count + i;                                                                  \
        }                                                                                                             \
        to->count += count;                                                                                           \
    }

AE_FOLD(ae_sum_i8, uint64_t, AE_SUM, AE_ONE)
AE_FOLD(ae_sum_f4, float, AE_SUM, AE_ONE)
AE_FOLD(ae_sum_f8, double, AE_SUM, AE_ONE)
AE_FOLD(ae_sum_c8, ae_c8, AE_SUM_C, AE_ONE)
AE_FOLD(ae_sum_c16, ae_c16, AE_SUM_C, AE_ONE)
AE_FOLD(ae_loose_sum_f4, float, AE_SUM, AE_LANES)
AE_FOLD(ae_loose_sum_f8, double, AE_SUM, AE_LANES)
AE_FOLD(ae_prod_i8, uint64_t, AE_PROD, AE_ONE)
AE_FOLD(ae_prod_f4, float, AE_PROD, AE_ONE)
AE_FOLD(ae_prod_f8, double, AE_PROD, AE_ONE)
AE_FOLD(ae_prod_c8, ae_c8, AE_PROD_C, AE_ONE)
AE_FOLD(ae_prod_c16, ae_c16, AE_PROD_C, AE_ONE)
AE_FOLD(ae_loose_prod_f4, float, AE_PROD, AE_LANES)
AE_FOLD(ae_loose_prod_f8, double, AE_PROD, AE_LANES)
AE_FOLD(ae_min_i8, int64_t, AE_MIN, AE_LANES)
AE_FOLD(ae_min_u8, uint64_t, AE_MIN, AE_LANES)
AE_FOLD(ae_min_f4, float, AE_MIN_F, AE_LOWEST)
AE_FOLD(ae_min_f8, double, AE_MIN_F, AE_LOWEST)
AE_FOLD(ae_max_i8, int64_t, AE_MAX, AE_LANES)
AE_FOLD(ae_max_u8, uint64_t, AE_MAX, AE_LANES)
AE_FOLD(ae_max_f4, float, AE_MAX_F, AE_HIGHEST)
AE_FOLD(ae_max_f8, double, AE_MAX_F, AE_HIGHEST)
AE_FOLD(ae_any_b1, uint8_t, AE_ANY, AE_ONE)
AE_FOLD(ae_all_b1, uint8_t, AE_ALL, AE_ONE)
AE_PLACED(ae_argmin_i8, int64_t, <)
AE_PLACED(ae_argmin_u8, uint64_t, <)
AE_PLACED(ae_argmin_f4, float, <)
AE_PLACED(ae_argmin_f8, double, <)
AE_PLACED(ae_argmax_i8, int64_t, >)
AE_PLACED(ae_argmax_u8, uint64_t, >)
AE_PLACED(ae_argmax_f4, float, >)
AE_PLACED(ae_argmax_f8, double, >)

/* By number; walk.pyx has the names. */
static const ae_fold ae_folds[] = {
    ae_sum_i8, ae_sum_f4, ae_sum_f8, ae_sum_c8, ae_sum_c16, ae_loose_sum_f4, ae_loose_sum_f8,
    ae_prod_i8, ae_prod_f4, ae_prod_f8, ae_prod_c8, ae_prod_c16, ae_loose_prod_f4, ae_loose_prod_f8,
    ae_min_i8, ae_min_u8, ae_min_f4, ae_min_f8, ae_max_i8, ae_max_u8, ae_max_f4, ae_max_f8, ae_any_b1, ae_all_b1,
    ae_argmin_i8, ae_argmin_u8, ae_argmin_f4, ae_argmin_f8, ae_argmax_i8, ae_argmax_u8, ae_argmax_f4, ae_argmax_f8,
};
