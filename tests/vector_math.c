/* Measures the strips of vector_math.h: `./vector_math ROUNDS` over samples, `./vector_math all` over every float32.

   Prints a line a function and element type: name, type, largest error in ulp, where, how many special values differ
   from the scalar library's, how many elements depend on their neighbours. */

#include "vector_math.h"
#include "vector_math_avx512.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUNCTIONS_1(X)                                                                                                 \
    X(exp2) X(expm1) X(log) X(log2) X(log10) X(log1p) X(tan) X(asin) X(acos) X(atan) X(sinh) X(cosh) X(tanh) X(asinh)  \
    X(acosh) X(atanh) X(cbrt)
#define FUNCTIONS_OWN(X) X(exp) X(sin) X(cos)
#define FUNCTIONS_2(X) X(pow) X(atan2) X(hypot)

#define MAKE_1(F) ARRAYEXPR_MATH_1(F, double, float64, F) ARRAYEXPR_MATH_1(F, float, float32, F##f)
#define MAKE_2(F) ARRAYEXPR_MATH_2(F, double, float64, F) ARRAYEXPR_MATH_2(F, float, float32, F##f)
#define MAKE_OWN(F) ARRAYEXPR_OWN_MATH_1(F, double, float64, F) ARRAYEXPR_MATH_1(F, float, float32, F##f)
FUNCTIONS_1(MAKE_1)
FUNCTIONS_OWN(MAKE_OWN)
FUNCTIONS_2(MAKE_2)

enum { N = 512, KINDS = 11, SPECIAL = 10 };

static uint64_t state = 88172645463325252u;
static uint64_t bits(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * UINT64_C(0x2545F4914F6CDD1D);
}
static double uniform(void) { return (double)(bits() >> 11) * 0x1p-53; }
static double from_bits64(uint64_t raw) {
    double x;
    memcpy(&x, &raw, sizeof x);
    return x;
}
static float from_bits32(uint32_t raw) {
    float x;
    memcpy(&x, &raw, sizeof x);
    return x;
}

static const double special64[] = {
    0.0,  -0.0, 1,    -1,   0.5,       -0.5,       INFINITY,   -INFINITY,   NAN,     0x1p-1074, -0x1p-1074, 0x1p-1022,
    2,    -2,   3,    -3,   709.78,    710,        -745.13,    -746,        -708.4,  -709,      1023.99,    -0x1p-1022,
    1024, 0.25, 10,   100,  1000,      1e22,       1e300,      -1e300,      1e-300,  -1074,     -1075,      -1022.5,
    4,    -4,   0.1,  1e6,  0x1.fffffffffffffp1023, -0x1.fffffffffffffp1023, 1 - 0x1p-53, -1 + 0x1p-53, 1 + 0x1p-52};
static const float special32[] = {
    0.0f,  -0.0f, 1,    -1,    0.5f, -0.5f, INFINITY, -INFINITY, NAN,   0x1p-149f, -0x1p-149f, 0x1p-126f,
    2,     -2,    3,    -3,    88.7f, 88.8f, -103.9f, -104,      -87.3f, -87.4f,   127.99f,    -0x1p-126f,
    128,   0.25f, 10,   100,   1000, 1e22f, 1e30f,    -1e30f,    1e-30f, -149,     -150,       -126.5f,
    4,     -4,    0.1f, 1e6f,  0x1.fffffep127f, -0x1.fffffep127f, 1 - 0x1p-24f, -1 + 0x1p-24f, 1 + 0x1p-23f};
#define ANY(TABLE) TABLE[bits() % (sizeof TABLE / sizeof TABLE[0])]

/* A value of one kind: the whole range, near zero, near one, large, near multiples of pi/2, subnormal, special. */
static double sample64(int kind) {
    switch (kind) {
    case 0: return from_bits64(bits());
    case 1: return (uniform() - 0.5) * 2;
    case 2: return (uniform() - 0.5) * 40;
    case 3: return (uniform() - 0.5) * 1600;
    case 4: return (uniform() - 0.5) * 2e-5;
    case 5: return 1 + (uniform() - 0.5) * 1e-3;
    case 6: return from_bits64(bits() & UINT64_C(0x800fffffffffffff));
    case 7: return (bits() & 1 ? -1 : 1) * exp2(uniform() * 2097 - 1074);
    case 8: return (uniform() - 0.5) * 1e6;
    case 9: return (double)(int64_t)(bits() % 2000001 - 1000000) * M_PI_2 * (1 + ((double)(bits() % 3) - 1) * 0x1p-52);
    default: return ANY(special64);
    }
}
static float sample32(int kind) {
    switch (kind) {
    case 0: return from_bits32((uint32_t)bits());
    case 3: return (float)((uniform() - 0.5) * 220);
    case 6: return from_bits32((uint32_t)bits() & 0x807fffff);
    case 7: return (float)((bits() & 1 ? -1 : 1) * exp2(uniform() * 276 - 149));
    case SPECIAL: return ANY(special32);
    default: return (float)sample64(kind);
    }
}

/* The error in units of the last place of the exact result; infinite where a special value is another. */
static double ulps64(double got, long double exact) {
    const double near = (double)exact, most = 0x1.fffffffffffffp1023;
    if (isnan(near) || isnan(got)) return isnan(near) && isnan(got) ? 0 : INFINITY;
    if (isinf(near) || isinf(got))
        return got == near || (fabs(near) >= most && fabs(got) >= most && (got > 0) == (near > 0)) ? 0 : INFINITY;
    if (near == 0 && got == 0) return signbit(near) == signbit(got) ? 0 : INFINITY;
    int e;
    frexp(near, &e);
    return (double)(fabsl((long double)got - exact) / ldexp(1, near == 0 || e < -1021 ? -1074 : e - 53));
}
static double ulps32(float got, double exact) {
    const float near = (float)exact, most = 0x1.fffffep127f;
    if (isnan(near) || isnan(got)) return isnan(near) && isnan(got) ? 0 : INFINITY;
    if (isinf(near) || isinf(got))
        return got == near || (fabsf(near) >= most && fabsf(got) >= most && (got > 0) == (near > 0)) ? 0 : INFINITY;
    if (near == 0 && got == 0) return signbit(near) == signbit(got) ? 0 : INFINITY;
    int e;
    frexpf(near, &e);
    return fabs((double)got - exact) / ldexp(1, near == 0 || e < -125 ? -149 : e - 24);
}

typedef struct {
    double worst, x, y;
    long special, lanes;
} Found;

static void report(const char *name, const char *type, Found f) {
    printf("%s %s %.3f %.17g %.17g %ld %ld\n", name, type, f.worst, f.x, f.y, f.special, f.lanes);
    fflush(stdout);
}
static int same(const void *a, const void *b, size_t size, int nan) { return nan || memcmp(a, b, size) == 0; }

/* EXACT is the reference. Where even that and the scalar library differ, as over a NaN that signals, the scalar library
   is right. */
#define NOTE(T, ULPS, EXACT, SCALAR, got, vx, vy)                                                                      \
    do {                                                                                                               \
        const double e = ULPS(got, EXACT);                                                                             \
        if (isinf(e)) {                                                                                                \
            const T s = SCALAR;                                                                                        \
            found.special += !same(&s, &got, sizeof s, isnan(s) && isnan(got));                                        \
        } else if (e > found.worst) {                                                                                  \
            found.worst = e, found.x = vx, found.y = vy;                                                               \
        }                                                                                                              \
    } while (0)

#define SAMPLE_1(F, T, TYPE, SUFFIX, BITS, WIDE, WIDER)                                                                \
    {                                                                                                                  \
        T x[N], r[N];                                                                                                  \
        Found found = {0};                                                                                             \
        for (int kind = 0; kind < KINDS; ++kind)                                                                       \
            for (int round = 0; round < rounds; ++round) {                                                             \
                /* Every other strip has special values among its elements: neighbours must not notice. */            \
                for (int k = 0; k < N; ++k) x[k] = sample##BITS(round % 2 && bits() % 8 == 0 ? SPECIAL : kind);        \
                arrayexpr_##F##_##TYPE(r, x, N);                                                                       \
                for (int k = 0; k < N; ++k) {                                                                          \
                    const T one = arrayexpr_##F##_##TYPE##_1(x[k]);                                                    \
                    found.lanes += !same(&one, &r[k], sizeof one, isnan(one) && isnan(r[k]));                          \
                    NOTE(T, ulps##BITS, F##WIDER((WIDE)x[k]), F##SUFFIX(x[k]), r[k], x[k], 0);                         \
                }                                                                                                      \
            }                                                                                                          \
        report(#F, #TYPE, found);                                                                                      \
    }
#define SAMPLE_2(F, T, TYPE, SUFFIX, BITS, WIDE, WIDER)                                                                \
    {                                                                                                                  \
        T x[N], y[N], r[N];                                                                                            \
        Found found = {0};                                                                                             \
        for (int kind = 0; kind < KINDS * KINDS; ++kind)                                                               \
            for (int round = 0; round < (rounds + 3) / 4; ++round) {                                                   \
                for (int k = 0; k < N; ++k) {                                                                          \
                    x[k] = sample##BITS(kind % KINDS);                                                                 \
                    y[k] = sample##BITS(round % 2 && bits() % 8 == 0 ? SPECIAL : kind / KINDS);                        \
                }                                                                                                      \
                arrayexpr_##F##_##TYPE(r, x, y, N);                                                                    \
                for (int k = 0; k < N; ++k) {                                                                          \
                    const T one = arrayexpr_##F##_##TYPE##_1(x[k], y[k]);                                              \
                    found.lanes += !same(&one, &r[k], sizeof one, isnan(one) && isnan(r[k]));                          \
                    NOTE(T, ulps##BITS, F##WIDER((WIDE)x[k], (WIDE)y[k]), F##SUFFIX(x[k], y[k]), r[k], x[k], y[k]);    \
                }                                                                                                      \
            }                                                                                                          \
        report(#F, #TYPE, found);                                                                                      \
    }

/* Every float32, against the float64 strip, whose own error is a 2^-27th of what counts here. */
#define EVERY(F)                                                                                                       \
    {                                                                                                                  \
        float x[N], r[N];                                                                                              \
        double wide[N];                                                                                                \
        Found found = {0};                                                                                             \
        for (uint64_t raw = 0; raw < UINT64_C(1) << 32; raw += N) {                                                    \
            for (int k = 0; k < N; ++k) x[k] = from_bits32((uint32_t)raw + k);                                         \
            for (int k = 0; k < N; ++k) wide[k] = x[k];                                                                \
            arrayexpr_##F##_float32(r, x, N);                                                                          \
            arrayexpr_##F##_float64(wide, wide, N);                                                                    \
            for (int k = 0; k < N; ++k) NOTE(float, ulps32, wide[k], F##f(x[k]), r[k], x[k], 0);                       \
        }                                                                                                              \
        report(#F, "float32", found);                                                                                  \
    }

#define BOTH_1(F) SAMPLE_1(F, double, float64, , 64, long double, l) SAMPLE_1(F, float, float32, f, 32, double, )
#define BOTH_2(F) SAMPLE_2(F, double, float64, , 64, long double, l) SAMPLE_2(F, float, float32, f, 32, double, )

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "all") == 0) {
        FUNCTIONS_1(EVERY)
        FUNCTIONS_OWN(EVERY)
        return 0;
    }
    const int rounds = count > 1 ? atoi(arguments[1]) : 20;
    FUNCTIONS_1(BOTH_1)
    FUNCTIONS_OWN(BOTH_1)
    FUNCTIONS_2(BOTH_2)
    return 0;
}
