/* Exact divisions over strips: fmod, and the remainder and floor division that NumPy has.

   ARRAYEXPR_REMAINDER(double, float64, ) makes

       void arrayexpr_remainder_float64(double *to, const double *from, const double *other, ptrdiff_t n)

   of remainder_float64(x, y), which is the same for one element. `to` may be `from` or `other`.

   fmod divides bit by bit: 10 ns an element. As long as the quotient is a whole number that the type holds, a fused product
   leaves the exact remainder, in vectors: 0.5 ns. That quotient may have been rounded up to the next whole number; then
   what is left has the other sign, is still exact, and is one divisor off. Blocks with another quotient among them (too
   large, infinite, not a number) are computed one by one. */

#ifndef ARRAYEXPR_REMAINDER_H
#define ARRAYEXPR_REMAINDER_H

#include <math.h>
#include <stddef.h>
#include <string.h>

#ifdef __FMA__
#define ARRAYEXPR_EXACT_2(NAME, T, N, S, ONE, VALUE)                                                                  \
    static inline void arrayexpr_##NAME##_##N(T *to, const T *from, const T *other, ptrdiff_t n) {                     \
        enum { BLOCK = 64 };                                                                                           \
        const T most = sizeof(T) == 4 ? 16777216 : 9007199254740992;                                                   \
        for (ptrdiff_t start = 0; start < n; start += BLOCK) {                                                         \
            const ptrdiff_t count = n - start < BLOCK ? n - start : BLOCK;                                             \
            T result[BLOCK];                                                                                           \
            int far = 0;                                                                                               \
            for (ptrdiff_t k = 0; k < count; ++k) {                                                                    \
                const T a = from[start + k], b = other[start + k], ratio = a / b, whole = trunc##S(ratio);             \
                const T rest = whole != 0 ? fma##S(-whole, b, a) : a;                                                  \
                const T over = (rest < 0) != (a < 0) && rest != 0 ? copysign##S(b, a) : 0;                             \
                const T mod = copysign##S(rest + over, a);                                                             \
                far |= !(fabs##S(whole) < most);                                                                       \
                result[k] = VALUE;                                                                                     \
                (void)ratio;                                                                                           \
            }                                                                                                          \
            if (far)                                                                                                   \
                for (ptrdiff_t k = 0; k < count; ++k) result[k] = ONE(from[start + k], other[start + k]);              \
            memcpy(to + start, result, (size_t)count * sizeof(T));                                                     \
        }                                                                                                              \
    }
#else
#define ARRAYEXPR_EXACT_2(NAME, T, N, S, ONE, VALUE)                                                                  \
    static inline void arrayexpr_##NAME##_##N(T *to, const T *from, const T *other, ptrdiff_t n) {                     \
        for (ptrdiff_t k = 0; k < n; ++k) to[k] = ONE(from[k], other[k]);                                              \
    }
#endif

#define ARRAYEXPR_FMOD(T, N, S) ARRAYEXPR_EXACT_2(fmod, T, N, S, fmod##S, mod)
#define ARRAYEXPR_REMAINDER(T, N, S)                                                                                   \
    ARRAYEXPR_EXACT_2(remainder, T, N, S, remainder_##N,                                                              \
                       mod == 0 ? copysign##S(0, b) : (b < 0) != (mod < 0) ? mod + b : mod)
/* What is left without the remainder is a multiple of the divisor, rounded to the nearest whole. */
#define ARRAYEXPR_FLOOR_DIVIDE(T, N, S)                                                                                \
    static inline T arrayexpr_whole_##N(T ratio, T quotient) {                                                         \
        const T whole = floor##S(quotient), near = quotient - whole > (T)0.5 ? whole + 1 : whole;                      \
        return quotient == 0 ? copysign##S(0, ratio) : near;                                                           \
    }                                                                                                                  \
    ARRAYEXPR_EXACT_2(floor_divide, T, N, S, floor_divide_##N,                                                        \
                       arrayexpr_whole_##N(ratio, (a - mod) / b - (mod != 0 && (b < 0) != (mod < 0) ? 1 : 0)))

#endif
