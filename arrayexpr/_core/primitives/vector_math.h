/* Functions of C's library over strips of contiguous memory, by glibc's vector library (libmvec) where there is one.

   ARRAYEXPR_MATH_1(exp, double, float64, exp) makes two functions:

       void arrayexpr_exp_float64(double *to, const double *from, ptrdiff_t n)    to[k] = exp(from[k])
       double arrayexpr_exp_float64_1(double x)                                   exp(x)

   ARRAYEXPR_MATH_2 makes those of functions of two arguments. `to` may be `from`. What is left over of a strip, and
   a single value, go through the same vector function: the bits of an element depend on its value alone, not on its
   place, on n, or on its neighbours.

   ARRAYEXPR_OWN_MATH_1 makes them of a function of vector_math_avx512.h, where vectors have 64 bytes.
   ARRAYEXPR_SCALAR_MATH_1 and _2 make the same of the scalar library. Where there is no libmvec (another C library,
   another processor), or ARRAYEXPR_VECTOR_MATH is defined as 0, all are of the scalar library. */

#ifndef ARRAYEXPR_VECTOR_MATH_H
#define ARRAYEXPR_VECTOR_MATH_H

#include <math.h>
#include <stddef.h>
#include <string.h>

/* The width of libmvec's vectors in bytes; 0 is the scalar library. Since glibc 2.35 it has all functions used here,
   and -lm links it. */
#ifndef ARRAYEXPR_VECTOR_MATH
#define ARRAYEXPR_VECTOR_MATH 0
#if defined __GLIBC__ && defined __x86_64__ && defined __LP64__ && defined __GNUC__
#if __GLIBC_PREREQ(2, 35)
#undef ARRAYEXPR_VECTOR_MATH
#if defined __AVX512F__
#define ARRAYEXPR_VECTOR_MATH 64
#elif defined __AVX2__
#define ARRAYEXPR_VECTOR_MATH 32
#else
#define ARRAYEXPR_VECTOR_MATH 16
#endif
#endif
#endif
#endif

#define ARRAYEXPR_SCALAR_MATH_1(NAME, T, N, F)                                                                         \
    static inline T arrayexpr_##NAME##_##N##_1(T x) { return F(x); }                                                   \
    static inline void arrayexpr_##NAME##_##N(T *to, const T *from, ptrdiff_t n) {                                            \
        for (ptrdiff_t k = 0; k < n; ++k) to[k] = F(from[k]);                                                          \
    }
#define ARRAYEXPR_SCALAR_MATH_2(NAME, T, N, F)                                                                         \
    static inline T arrayexpr_##NAME##_##N##_1(T x, T y) { return F(x, y); }                                           \
    static inline void arrayexpr_##NAME##_##N(T *to, const T *from, const T *other, ptrdiff_t n) {                                   \
        for (ptrdiff_t k = 0; k < n; ++k) to[k] = F(from[k], other[k]);                                                       \
    }

/* Applies F to whole vectors of V, and to what is left over filled up with its first element. */
#define ARRAYEXPR_STRIP_1(T, V, F, to, from, n)                                                                        \
    do {                                                                                                               \
        enum { LANES = sizeof(V) / sizeof(T) };                                                                        \
        ptrdiff_t k = 0;                                                                                               \
        V x;                                                                                                           \
        for (; k <= n - LANES; k += LANES) {                                                                           \
            memcpy(&x, from + k, sizeof x);                                                                            \
            x = F(x);                                                                                                  \
            memcpy(to + k, &x, sizeof x);                                                                              \
        }                                                                                                              \
        if (k < n) {                                                                                                   \
            T rest[LANES];                                                                                             \
            for (int lane = 0; lane < LANES; ++lane) rest[lane] = from[k + lane < n ? k + lane : k];                   \
            memcpy(&x, rest, sizeof x);                                                                                \
            x = F(x);                                                                                                  \
            memcpy(rest, &x, sizeof x);                                                                                \
            for (int lane = 0; k + lane < n; ++lane) to[k + lane] = rest[lane];                                        \
        }                                                                                                              \
    } while (0)
#define ARRAYEXPR_STRIP_2(T, V, F, to, from, other, n)                                                                 \
    do {                                                                                                               \
        enum { LANES = sizeof(V) / sizeof(T) };                                                                        \
        ptrdiff_t k = 0;                                                                                               \
        V x, y;                                                                                                        \
        for (; k <= n - LANES; k += LANES) {                                                                           \
            memcpy(&x, from + k, sizeof x);                                                                            \
            memcpy(&y, other + k, sizeof y);                                                                           \
            x = F(x, y);                                                                                               \
            memcpy(to + k, &x, sizeof x);                                                                              \
        }                                                                                                              \
        if (k < n) {                                                                                                   \
            T rest[LANES], rest_y[LANES];                                                                              \
            for (int lane = 0; lane < LANES; ++lane) {                                                                 \
                rest[lane] = from[k + lane < n ? k + lane : k];                                                        \
                rest_y[lane] = other[k + lane < n ? k + lane : k];                                                     \
            }                                                                                                          \
            memcpy(&x, rest, sizeof x);                                                                                \
            memcpy(&y, rest_y, sizeof y);                                                                              \
            x = F(x, y);                                                                                               \
            memcpy(rest, &x, sizeof x);                                                                                \
            for (int lane = 0; k + lane < n; ++lane) to[k + lane] = rest[lane];                                        \
        }                                                                                                              \
    } while (0)

#if ARRAYEXPR_VECTOR_MATH
typedef double arrayexpr_v_float64 __attribute__((vector_size(ARRAYEXPR_VECTOR_MATH)));
typedef float arrayexpr_v_float32 __attribute__((vector_size(ARRAYEXPR_VECTOR_MATH)));

/* The x86-64 vector ABI: _ZGV, the instruction set, lanes, an argument a v. */
#define ARRAYEXPR_MVEC_(SET, LANES, PARTS, F) _ZGV##SET##N##LANES##PARTS##_##F
#define ARRAYEXPR_MVEC(SET, LANES, PARTS, F) ARRAYEXPR_MVEC_(SET, LANES, PARTS, F)
#if ARRAYEXPR_VECTOR_MATH == 64
#define ARRAYEXPR_SET e
#define ARRAYEXPR_LANES_float64 8
#define ARRAYEXPR_LANES_float32 16
#elif ARRAYEXPR_VECTOR_MATH == 32
#define ARRAYEXPR_SET d
#define ARRAYEXPR_LANES_float64 4
#define ARRAYEXPR_LANES_float32 8
#else
#define ARRAYEXPR_SET b
#define ARRAYEXPR_LANES_float64 2
#define ARRAYEXPR_LANES_float32 4
#endif

#define ARRAYEXPR_MATH_1(NAME, T, N, F)                                                                                \
    extern arrayexpr_v_##N ARRAYEXPR_MVEC(ARRAYEXPR_SET, ARRAYEXPR_LANES_##N, v, F)(arrayexpr_v_##N);                  \
    static inline T arrayexpr_##NAME##_##N##_1(T x) {                                                                  \
        return ARRAYEXPR_MVEC(ARRAYEXPR_SET, ARRAYEXPR_LANES_##N, v, F)(x - (arrayexpr_v_##N){0})[0];                  \
    }                                                                                                                  \
    static inline void arrayexpr_##NAME##_##N(T *to, const T *from, ptrdiff_t n) {                                            \
        ARRAYEXPR_STRIP_1(T, arrayexpr_v_##N, ARRAYEXPR_MVEC(ARRAYEXPR_SET, ARRAYEXPR_LANES_##N, v, F), to, from, n);  \
    }
#define ARRAYEXPR_MATH_2(NAME, T, N, F)                                                                                \
    extern arrayexpr_v_##N ARRAYEXPR_MVEC(ARRAYEXPR_SET, ARRAYEXPR_LANES_##N, vv, F)(arrayexpr_v_##N,                  \
                                                                                     arrayexpr_v_##N);                 \
    static inline T arrayexpr_##NAME##_##N##_1(T x, T y) {                                                             \
        const arrayexpr_v_##N zero = {0};                                                                              \
        return ARRAYEXPR_MVEC(ARRAYEXPR_SET, ARRAYEXPR_LANES_##N, vv, F)(x - zero, y - zero)[0];                       \
    }                                                                                                                  \
    static inline void arrayexpr_##NAME##_##N(T *to, const T *from, const T *other, ptrdiff_t n) {                                   \
        ARRAYEXPR_STRIP_2(T, arrayexpr_v_##N, ARRAYEXPR_MVEC(ARRAYEXPR_SET, ARRAYEXPR_LANES_##N, vv, F), to, from, other, n); \
    }
/* Functions that vector_math_avx512.h has of its own. */
#if ARRAYEXPR_VECTOR_MATH == 64
#define ARRAYEXPR_OWN_MATH_1(NAME, T, N, F)                                                                            \
    static inline T arrayexpr_##NAME##_##N##_1(T x) { return arrayexpr_v_##NAME##_##N(x - (arrayexpr_v_##N){0})[0]; }  \
    static inline void arrayexpr_##NAME##_##N(T *to, const T *from, ptrdiff_t n) {                                     \
        ARRAYEXPR_STRIP_1(T, arrayexpr_v_##N, arrayexpr_v_##NAME##_##N, to, from, n);                                  \
    }
#else
#define ARRAYEXPR_OWN_MATH_1 ARRAYEXPR_MATH_1
#endif
#else
#define ARRAYEXPR_MATH_1 ARRAYEXPR_SCALAR_MATH_1
#define ARRAYEXPR_MATH_2 ARRAYEXPR_SCALAR_MATH_2
#define ARRAYEXPR_OWN_MATH_1 ARRAYEXPR_SCALAR_MATH_1
#endif

#endif
