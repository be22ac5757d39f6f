/* The strips of vector_math.h for a program that was compiled for any processor and must choose at run time.

       arrayexpr_strip_function exp;
       if (arrayexpr_find_strip("exp", 64, 1, &exp)) exp.call(&exp, to, from, NULL, n);

   The choice is the one that vector_math.h makes when it is compiled for this processor (-march=native), so the bits are
   the same: libmvec's widest functions, found in the running system, and else the scalar library. */

#ifndef ARRAYEXPR_VECTOR_MATH_TABLE_H
#define ARRAYEXPR_VECTOR_MATH_TABLE_H

#define ARRAYEXPR_VECTOR_MATH 0
#include "vector_math.h"

#include <stdio.h>

#if defined __GLIBC__ && defined __x86_64__ && defined __LP64__ && defined __GNUC__
#define ARRAYEXPR_FINDS_MVEC 1
#define ARRAYEXPR_AVX512 __attribute__((target("avx512f")))
#include "vector_math_avx512.h"

#include <dlfcn.h>
#else
#define ARRAYEXPR_FINDS_MVEC 0
#endif

typedef struct arrayexpr_strip_function arrayexpr_strip_function;
struct arrayexpr_strip_function {
    /* Computes n elements; `other` is the second argument of functions that have two. `to` may be `from` or `other`. */
    void (*call)(const arrayexpr_strip_function *self, void *to, const void *from, const void *other, ptrdiff_t n);
    void *function;
    int arguments;
};

#define ARRAYEXPR_FUNCTIONS_1(X)                                                                                       \
    X(acos) X(acosh) X(asin) X(asinh) X(atan) X(atanh) X(cbrt) X(cos) X(cosh) X(exp) X(exp2) X(expm1) X(log) X(log10)  \
    X(log1p) X(log2) X(sin) X(sinh) X(tan) X(tanh)
#define ARRAYEXPR_FUNCTIONS_2(X) X(atan2) X(hypot) X(pow)

/* The scalar library, each under the name of its function over strips. */
#define ARRAYEXPR_SCALAR_1(F)                                                                                          \
    ARRAYEXPR_SCALAR_MATH_1(F, double, float64, F)                                                                     \
    ARRAYEXPR_SCALAR_MATH_1(F, float, float32, F##f)                                                                   \
    static void arrayexpr_call_##F##_64(const arrayexpr_strip_function *self, void *to, const void *from,              \
                                        const void *other, ptrdiff_t n) {                                              \
        (void)self, (void)other;                                                                                       \
        arrayexpr_##F##_float64((double *)to, (const double *)from, n);                                                \
    }                                                                                                                  \
    static void arrayexpr_call_##F##_32(const arrayexpr_strip_function *self, void *to, const void *from,              \
                                        const void *other, ptrdiff_t n) {                                              \
        (void)self, (void)other;                                                                                       \
        arrayexpr_##F##_float32((float *)to, (const float *)from, n);                                                  \
    }
#define ARRAYEXPR_SCALAR_2(F)                                                                                          \
    ARRAYEXPR_SCALAR_MATH_2(F, double, float64, F)                                                                     \
    ARRAYEXPR_SCALAR_MATH_2(F, float, float32, F##f)                                                                   \
    static void arrayexpr_call_##F##_64(const arrayexpr_strip_function *self, void *to, const void *from,              \
                                        const void *other, ptrdiff_t n) {                                              \
        (void)self;                                                                                                    \
        arrayexpr_##F##_float64((double *)to, (const double *)from, (const double *)other, n);                         \
    }                                                                                                                  \
    static void arrayexpr_call_##F##_32(const arrayexpr_strip_function *self, void *to, const void *from,              \
                                        const void *other, ptrdiff_t n) {                                              \
        (void)self;                                                                                                    \
        arrayexpr_##F##_float32((float *)to, (const float *)from, (const float *)other, n);                            \
    }
ARRAYEXPR_FUNCTIONS_1(ARRAYEXPR_SCALAR_1)
ARRAYEXPR_FUNCTIONS_2(ARRAYEXPR_SCALAR_2)

typedef void (*arrayexpr_strip_call)(const arrayexpr_strip_function *, void *, const void *, const void *, ptrdiff_t);

typedef struct {
    const char *name;
    int arguments;
    arrayexpr_strip_call call64, call32;
} arrayexpr_strip_row;

#define ARRAYEXPR_ROW_1(F) {#F, 1, arrayexpr_call_##F##_64, arrayexpr_call_##F##_32},
#define ARRAYEXPR_ROW_2(F) {#F, 2, arrayexpr_call_##F##_64, arrayexpr_call_##F##_32},
static const arrayexpr_strip_row arrayexpr_strip_rows[] = {
    ARRAYEXPR_FUNCTIONS_1(ARRAYEXPR_ROW_1) ARRAYEXPR_FUNCTIONS_2(ARRAYEXPR_ROW_2){NULL, 0, NULL, NULL}};

#if ARRAYEXPR_FINDS_MVEC
/* Strips by a function of libmvec that is known at run time, for one instruction set and element type. */
#define ARRAYEXPR_MVEC_CALLS(SET, TARGET, SIZE, T, BITS)                                                              \
    TARGET static void arrayexpr_mvec_##SET##_1_##BITS(const arrayexpr_strip_function *self, void *to_,                \
                                                       const void *from_, const void *other_, ptrdiff_t n) {           \
        typedef T V __attribute__((vector_size(SIZE) ));                                                               \
        V (*const f)(V) = (V(*)(V))self->function;                                                                     \
        T *to = (T *)to_;                                                                                              \
        const T *from = (const T *)from_;                                                                              \
        (void)other_;                                                                                                  \
        ARRAYEXPR_STRIP_1(T, V, f, to, from, n);                                                                       \
    }                                                                                                                  \
    TARGET static void arrayexpr_mvec_##SET##_2_##BITS(const arrayexpr_strip_function *self, void *to_,                \
                                                       const void *from_, const void *other_, ptrdiff_t n) {           \
        typedef T V __attribute__((vector_size(SIZE) ));                                                               \
        V (*const f)(V, V) = (V(*)(V, V))self->function;                                                               \
        T *to = (T *)to_;                                                                                              \
        const T *from = (const T *)from_, *other = (const T *)other_;                                                  \
        ARRAYEXPR_STRIP_2(T, V, f, to, from, other, n);                                                                \
    }
ARRAYEXPR_MVEC_CALLS(e, __attribute__((target("avx512f"))), 64, double, 64)
ARRAYEXPR_MVEC_CALLS(e, __attribute__((target("avx512f"))), 64, float, 32)
ARRAYEXPR_MVEC_CALLS(d, __attribute__((target("avx2"))), 32, double, 64)
ARRAYEXPR_MVEC_CALLS(d, __attribute__((target("avx2"))), 32, float, 32)
ARRAYEXPR_MVEC_CALLS(b, , 16, double, 64)
ARRAYEXPR_MVEC_CALLS(b, , 16, float, 32)

/* Strips of the functions of vector_math_avx512.h. */
#define ARRAYEXPR_OWN_CALL(F)                                                                                          \
    ARRAYEXPR_AVX512 static void arrayexpr_own_##F(const arrayexpr_strip_function *self, void *to_, const void *from_, \
                                                   const void *other_, ptrdiff_t n) {                                  \
        double *to = (double *)to_;                                                                                    \
        const double *from = (const double *)from_;                                                                    \
        (void)self, (void)other_;                                                                                      \
        ARRAYEXPR_STRIP_1(double, __m512d, arrayexpr_v_##F##_float64, to, from, n);                                    \
    }
ARRAYEXPR_OWN_CALL(cos)
ARRAYEXPR_OWN_CALL(exp)
ARRAYEXPR_OWN_CALL(sin)

/* Put libmvec's function and the call for its vectors into a row's; 0 where there is none. */
static int arrayexpr_find_mvec(const char *name, int bits, arrayexpr_strip_function *found) {
    const arrayexpr_strip_call scalar = found->call;
    static const struct {
        char set;
        int bytes;
        arrayexpr_strip_call calls[2][2];
    } sets[] = {
        {'e', 64, {{arrayexpr_mvec_e_1_64, arrayexpr_mvec_e_2_64}, {arrayexpr_mvec_e_1_32, arrayexpr_mvec_e_2_32}}},
        {'d', 32, {{arrayexpr_mvec_d_1_64, arrayexpr_mvec_d_2_64}, {arrayexpr_mvec_d_1_32, arrayexpr_mvec_d_2_32}}},
        {'b', 16, {{arrayexpr_mvec_b_1_64, arrayexpr_mvec_b_2_64}, {arrayexpr_mvec_b_1_32, arrayexpr_mvec_b_2_32}}},
    };
    /* Kept open: functions of it may be called until the process ends. */
    void *const library = dlopen("libmvec.so.1", RTLD_NOW | RTLD_GLOBAL);
    char symbol[64];
    if (library == NULL) return 0;
    __builtin_cpu_init();
    const int k = __builtin_cpu_supports("avx512f") ? 0 : __builtin_cpu_supports("avx2") ? 1 : 2;
    if (k == 0 && bits == 64) {
        found->call = strcmp(name, "cos") == 0   ? arrayexpr_own_cos
                      : strcmp(name, "exp") == 0 ? arrayexpr_own_exp
                      : strcmp(name, "sin") == 0 ? arrayexpr_own_sin
                                                 : NULL;
        if (found->call != NULL) return 1;
    }
    snprintf(symbol, sizeof symbol, "_ZGV%cN%dv%s_%s%s", sets[k].set, sets[k].bytes * 8 / bits,
             found->arguments == 2 ? "v" : "", name, bits == 32 ? "f" : "");
    void *const function = dlsym(library, symbol);
    found->call = scalar;
    if (function == NULL) return 0;
    found->function = function;
    found->call = sets[k].calls[bits == 32][found->arguments - 1];
    return 1;
}
#endif

/* Find the function of C's library by its name without a suffix, for reals of 64 or 32 bits; `vector` is 0 for the scalar
   library's bits. Returns 0 where it is none of ours. */
static int arrayexpr_find_strip(const char *name, int bits, int vector, arrayexpr_strip_function *found) {
    for (const arrayexpr_strip_row *row = arrayexpr_strip_rows; row->name != NULL; ++row) {
        if (strcmp(row->name, name) != 0) continue;
        found->arguments = row->arguments;
        found->function = NULL;
        found->call = bits == 64 ? row->call64 : row->call32;
#if ARRAYEXPR_FINDS_MVEC
        if (vector) arrayexpr_find_mvec(name, bits, found);
#else
        (void)vector;
#endif
        return 1;
    }
    return 0;
}

#endif
