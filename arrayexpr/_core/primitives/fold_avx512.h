/* Folds of strips that are computed in registers, for processors with AVX-512: the order is that of fold.h, and so are
   the bits. After ARRAYEXPR_FOLD(add_float64, ...), ARRAYEXPR_FOLD_512(add_float64, float64, add) makes

       V arrayexpr_fold_add_float64_wide(V a, V b)                   lane by lane
       V arrayexpr_fold_add_float64_rows(V a, V b, V c, V d)         a strip's vectors of lanes, folded into one
       void arrayexpr_fold_add_float64_join(fold *f, V a)            which joins those of earlier strips,
       double arrayexpr_fold_add_float64_only(V a, double first)     or, where there is no other, is joined to `first`

   of which V is __m512d or __m512. */
#if defined __AVX512F__
#include <immintrin.h>

#define ARRAYEXPR_V_float64 __m512d
#define ARRAYEXPR_V_float32 __m512
#define ARRAYEXPR_T_float64 double
#define ARRAYEXPR_T_float32 float
#define ARRAYEXPR_S_float64(F) _mm512_##F##_pd
#define ARRAYEXPR_S_float32(F) _mm512_##F##_ps
#define ARRAYEXPR_COMPARE_float64 _mm512_cmp_pd_mask
#define ARRAYEXPR_COMPARE_float32 _mm512_cmp_ps_mask
#define ARRAYEXPR_ACROSS_float64(a, k) _mm512_shuffle_f64x2(a, a, k)
#define ARRAYEXPR_ACROSS_float32(a, k) _mm512_shuffle_f32x4(a, a, k)
/* Within 16 bytes: of two doubles, of four floats. */
#define ARRAYEXPR_WITHIN_float64(NAME, a) arrayexpr_fold_##NAME##_wide(a, _mm512_permute_pd(a, 0x55))
#define ARRAYEXPR_WITHIN_float32(NAME, a) \
    arrayexpr_fold_##NAME##_wide(arrayexpr_fold_##NAME##_wide(a, _mm512_permute_ps(a, 0x4e)), \
                                 _mm512_permute_ps(arrayexpr_fold_##NAME##_wide(a, _mm512_permute_ps(a, 0x4e)), 0xb1))

/* The instructions give b where one of both is not a number. */
#define ARRAYEXPR_UNLESS_NAN(N, F, which) \
    ARRAYEXPR_S_##N(mask_mov)(ARRAYEXPR_S_##N(F)(a, b), ARRAYEXPR_COMPARE_##N(which, which, _CMP_UNORD_Q), a)
#define ARRAYEXPR_WIDE_add(N) a + b
#define ARRAYEXPR_WIDE_multiply(N) a * b
#define ARRAYEXPR_WIDE_minimum(N) ARRAYEXPR_UNLESS_NAN(N, min, a)
#define ARRAYEXPR_WIDE_maximum(N) ARRAYEXPR_UNLESS_NAN(N, max, a)
#define ARRAYEXPR_WIDE_fmin(N) ARRAYEXPR_UNLESS_NAN(N, min, b)
#define ARRAYEXPR_WIDE_fmax(N) ARRAYEXPR_UNLESS_NAN(N, max, b)

#define ARRAYEXPR_FOLD_512(NAME, N, OP)                                                                               \
    static inline ARRAYEXPR_V_##N arrayexpr_fold_##NAME##_wide(ARRAYEXPR_V_##N a, ARRAYEXPR_V_##N b) {                \
        return ARRAYEXPR_WIDE_##OP(N);                                                                                \
    }                                                                                                                 \
    static inline ARRAYEXPR_V_##N arrayexpr_fold_##NAME##_rows(ARRAYEXPR_V_##N a, ARRAYEXPR_V_##N b,                  \
                                                               ARRAYEXPR_V_##N c, ARRAYEXPR_V_##N d) {                \
        return arrayexpr_fold_##NAME##_wide(arrayexpr_fold_##NAME##_wide(a, c), arrayexpr_fold_##NAME##_wide(b, d));  \
    }                                                                                                                 \
    static __attribute__((noinline)) void arrayexpr_fold_##NAME##_join(arrayexpr_fold_##NAME *f, ARRAYEXPR_V_##N a) {  \
        for (unsigned long long carry = f->strips++; carry & 1; carry >>= 1)                                          \
            a = arrayexpr_fold_##NAME##_wide(ARRAYEXPR_S_##N(loadu)(f->lanes[--f->top]), a);                          \
        ARRAYEXPR_S_##N(storeu)(f->lanes[f->top++], a);                                                               \
    }                                                                                                                 \
    static inline ARRAYEXPR_T_##N arrayexpr_fold_##NAME##_only(ARRAYEXPR_V_##N a, ARRAYEXPR_T_##N first) {            \
        a = arrayexpr_fold_##NAME##_wide(a, ARRAYEXPR_ACROSS_##N(a, 0x4e));                                           \
        a = arrayexpr_fold_##NAME##_wide(a, ARRAYEXPR_ACROSS_##N(a, 0xb1));                                           \
        return arrayexpr_fold_##NAME##_of(first, ARRAYEXPR_WITHIN_##N(NAME, a)[0]);                                   \
    }
#endif
