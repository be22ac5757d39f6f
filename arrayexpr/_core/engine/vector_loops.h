/* The functions of primitives/vector_math.h, once for each width of vectors: the processor that runs chooses. It
   chooses as -march=native does for emitted kernels, so that both take the same functions. */

#include "../primitives/vector_math.h"

/* operator of ops.py is not the key, but the function of C's library: see vector_math.py */
#define ARRAYEXPR_EACH_1(DO)                                                                                           \
    DO(acos) DO(acosh) DO(asin) DO(asinh) DO(atan) DO(atanh) DO(cbrt) DO(cos) DO(cosh) DO(exp) DO(exp2) DO(expm1)      \
    DO(log) DO(log10) DO(log1p) DO(log2) DO(sin) DO(sinh) DO(tan) DO(tanh)
#define ARRAYEXPR_EACH_2(DO) DO(atan2) DO(hypot) DO(pow)

typedef struct { const char *name; int arity; void *wide, *middle, *narrow; } VectorRow;

#if ARRAYEXPR_VECTOR_MATH
#define WIDTHS 1
#define DEFINE_1(F)                                                                                                    \
    ARRAYEXPR_MATH_1(WITH(F), double, float64, F) ARRAYEXPR_MATH_1(WITH(F), float, float32, F##f)
#define DEFINE_2(F)                                                                                                    \
    ARRAYEXPR_MATH_2(WITH(F), double, float64, F) ARRAYEXPR_MATH_2(WITH(F), float, float32, F##f)
/* One more step, so that WITH(F) is expanded before it is pasted. */
#undef ARRAYEXPR_MATH_1
#undef ARRAYEXPR_MATH_2
#define ARRAYEXPR_MATH_1(NAME, T, N, F) ARRAYEXPR_WIDTH_1(NAME, T, N, F)
#define ARRAYEXPR_MATH_2(NAME, T, N, F) ARRAYEXPR_WIDTH_2(NAME, T, N, F)
#define ARRAYEXPR_WIDTH_1(NAME, T, N, F)                                                                               \
    extern VECTOR(N) SYMBOL(SET, LANES_OF(N), v, F)(VECTOR(N));                                                        \
    static void arrayexpr_##NAME##_##N(T *to, const T *from, ptrdiff_t n) {                                            \
        ARRAYEXPR_STRIP_1(T, VECTOR(N), SYMBOL(SET, LANES_OF(N), v, F), to, from, n);                                  \
    }
#define ARRAYEXPR_WIDTH_2(NAME, T, N, F)                                                                               \
    extern VECTOR(N) SYMBOL(SET, LANES_OF(N), vv, F)(VECTOR(N), VECTOR(N));                                            \
    static void arrayexpr_##NAME##_##N(T *to, const T *from, const T *other, ptrdiff_t n) {                            \
        ARRAYEXPR_STRIP_2(T, VECTOR(N), SYMBOL(SET, LANES_OF(N), vv, F), to, from, other, n);                          \
    }
#define SYMBOL_(SET, LANES, PARTS, F) _ZGV##SET##N##LANES##PARTS##_##F
#define SYMBOL(SET, LANES, PARTS, F) SYMBOL_(SET, LANES, PARTS, F)

#pragma GCC push_options
#pragma GCC target("avx512f")
typedef double v64_float64 __attribute__((vector_size(64)));
typedef float v64_float32 __attribute__((vector_size(64)));
#define SET e
#define VECTOR(N) v64_##N
#define LANES_OF(N) LANES_##N
#define LANES_float64 8
#define LANES_float32 16
#define WITH(F) F##_wide
ARRAYEXPR_EACH_1(DEFINE_1) ARRAYEXPR_EACH_2(DEFINE_2)
#pragma GCC pop_options
#undef SET
#undef VECTOR
#undef LANES_float64
#undef LANES_float32
#undef WITH

#pragma GCC push_options
#pragma GCC target("avx2")
typedef double v32_float64 __attribute__((vector_size(32)));
typedef float v32_float32 __attribute__((vector_size(32)));
#define SET d
#define VECTOR(N) v32_##N
#define LANES_float64 4
#define LANES_float32 8
#define WITH(F) F##_middle
ARRAYEXPR_EACH_1(DEFINE_1) ARRAYEXPR_EACH_2(DEFINE_2)
#pragma GCC pop_options
#undef SET
#undef VECTOR
#undef LANES_float64
#undef LANES_float32
#undef WITH

typedef double v16_float64 __attribute__((vector_size(16)));
typedef float v16_float32 __attribute__((vector_size(16)));
#define SET b
#define VECTOR(N) v16_##N
#define LANES_float64 2
#define LANES_float32 4
#define WITH(F) F##_narrow
ARRAYEXPR_EACH_1(DEFINE_1) ARRAYEXPR_EACH_2(DEFINE_2)

#define ROWS(F, ARITY, N)                                                                                              \
    {#F "_" #N, ARITY, (void *)arrayexpr_##F##_wide_##N, (void *)arrayexpr_##F##_middle_##N,                           \
     (void *)arrayexpr_##F##_narrow_##N},
#else
#define WIDTHS 0
#define DEFINE_1(F) ARRAYEXPR_MATH_1(F, double, float64, F) ARRAYEXPR_MATH_1(F, float, float32, F##f)
#define DEFINE_2(F) ARRAYEXPR_MATH_2(F, double, float64, F) ARRAYEXPR_MATH_2(F, float, float32, F##f)
ARRAYEXPR_EACH_1(DEFINE_1) ARRAYEXPR_EACH_2(DEFINE_2)
#define ROWS(F, ARITY, N)                                                                                              \
    {#F "_" #N, ARITY, (void *)arrayexpr_##F##_##N, (void *)arrayexpr_##F##_##N, (void *)arrayexpr_##F##_##N},
#endif

#define ROW_1(F) ROWS(F, 1, float64) ROWS(F, 1, float32)
#define ROW_2(F) ROWS(F, 2, float64) ROWS(F, 2, float32)
static const VectorRow vectors[] = {ARRAYEXPR_EACH_1(ROW_1) ARRAYEXPR_EACH_2(ROW_2)};
enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]) };

static void *vector_function(int k) {
#if WIDTHS
    if (__builtin_cpu_supports("avx512f")) return vectors[k].wide;
    if (__builtin_cpu_supports("avx2")) return vectors[k].middle;
#endif
    return vectors[k].narrow;
}
