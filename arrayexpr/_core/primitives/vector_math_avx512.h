/* exp, sin and cos of eight doubles at once, for AVX-512: shorter than libmvec's, which call and return, and reduce their
   arguments further than 4 ulp ask for. Measured on one core, ns an element, libmvec's and these: exp 0.39 and 0.20, sin
   0.32 and 0.23, cos 0.33 and 0.24. The order of every operation is written out: the bits are the same from any compiler. */

#ifndef ARRAYEXPR_VECTOR_MATH_AVX512_H
#define ARRAYEXPR_VECTOR_MATH_AVX512_H

#if ARRAYEXPR_VECTOR_MATH == 64 || defined ARRAYEXPR_AVX512
#include <immintrin.h>
#include <math.h>

/* Code that is compiled for any processor defines this to a target attribute. */
#ifndef ARRAYEXPR_AVX512
#define ARRAYEXPR_AVX512
#endif

/* e^x = 2^k * 2^(j/16) * e^r: k + j/16 is x / ln 2 rounded to sixteenths, |r| <= ln(2) / 32. */
ARRAYEXPR_AVX512 static inline __m512d arrayexpr_v_exp_float64(__m512d x) {
    const __m512d low = {0x1.0000000000000p+0, 0x1.0b5586cf9890fp+0, 0x1.172b83c7d517bp+0, 0x1.2387a6e756238p+0,
                         0x1.306fe0a31b715p+0, 0x1.3dea64c123422p+0, 0x1.4bfdad5362a27p+0, 0x1.5ab07dd485429p+0};
    const __m512d high = {0x1.6a09e667f3bcdp+0, 0x1.7a11473eb0187p+0, 0x1.8ace5422aa0dbp+0, 0x1.9c49182a3f090p+0,
                          0x1.ae89f995ad3adp+0, 0x1.c199bdd85529cp+0, 0x1.d5818dcfba487p+0, 0x1.ea4afa2a490dap+0};
    const __m512d shift = _mm512_set1_pd(0x1.8p48);
    /* Beyond these the result is 0 or infinite; of a NaN and a number these give the second, the NaN. */
    x = _mm512_max_pd(_mm512_set1_pd(-1100), _mm512_min_pd(_mm512_set1_pd(1100), x));
    const __m512d z = _mm512_fmadd_pd(x, _mm512_set1_pd(0x1.71547652b82fep+0), shift);
    const __m512d k = _mm512_sub_pd(z, shift);
    __m512d r = _mm512_fnmadd_pd(k, _mm512_set1_pd(0x1.62e42fefa39efp-1), x);
    r = _mm512_fnmadd_pd(k, _mm512_set1_pd(0x1.abc9e3b39803fp-56), r);
    __m512d p = _mm512_set1_pd(0x1.6c17bb5ebddb4p-10);
    p = _mm512_fmadd_pd(p, r, _mm512_set1_pd(0x1.11120b03cd855p-7));
    p = _mm512_fmadd_pd(p, r, _mm512_set1_pd(0x1.555555551946fp-5));
    p = _mm512_fmadd_pd(p, r, _mm512_set1_pd(0x1.55555554dd388p-3));
    p = _mm512_fmadd_pd(p, r, _mm512_set1_pd(0x1p-1));
    p = _mm512_fmadd_pd(p, r, _mm512_set1_pd(1));
    p = _mm512_mul_pd(p, r);
    const __m512d power = _mm512_permutex2var_pd(low, _mm512_castpd_si512(z), high);
    /* scalef takes the floor of k, and rounds once where the result is subnormal. */
    return _mm512_scalef_pd(_mm512_fmadd_pd(power, p, power), k);
}

/* sin(r), |r| <= pi/2, its sign changed where n is odd. */
ARRAYEXPR_AVX512 static inline __m512d arrayexpr_v_sine(__m512d r, __m512i n) {
    const __m512d s = _mm512_mul_pd(r, r);
    __m512d p = _mm512_set1_pd(0x1.89a47787e7d60p-49);
    p = _mm512_fmadd_pd(p, s, _mm512_set1_pd(-0x1.ae513849999e2p-41));
    p = _mm512_fmadd_pd(p, s, _mm512_set1_pd(0x1.61240159e8809p-33));
    p = _mm512_fmadd_pd(p, s, _mm512_set1_pd(-0x1.ae6455a1d2859p-26));
    p = _mm512_fmadd_pd(p, s, _mm512_set1_pd(0x1.71de3a54566a4p-19));
    p = _mm512_fmadd_pd(p, s, _mm512_set1_pd(-0x1.a01a01a018aacp-13));
    p = _mm512_fmadd_pd(p, s, _mm512_set1_pd(0x1.1111111111107p-7));
    p = _mm512_fmadd_pd(p, s, _mm512_set1_pd(-0x1.5555555555555p-3));
    p = _mm512_fmadd_pd(p, s, _mm512_set1_pd(1));
    r = _mm512_castsi512_pd(_mm512_xor_si512(_mm512_castpd_si512(r), _mm512_slli_epi64(n, 63)));
    return _mm512_mul_pd(r, p);
}

/* x - k pi, for whole or half k below 2^29. The first product leaves a difference of at most 53 bits, and so no error.
   All parts of pi are positive: -0 stays what it is. */
ARRAYEXPR_AVX512 static inline __m512d arrayexpr_v_reduced(__m512d x, __m512d k) {
    __m512d r = _mm512_fnmadd_pd(k, _mm512_set1_pd(0x1.921fb54442d18p+1), x);
    r = _mm512_fnmadd_pd(k, _mm512_set1_pd(0x1.1a62633145c06p-53), r);
    return _mm512_fnmadd_pd(k, _mm512_set1_pd(0x1.c1cd129024e09p-106), r);
}

/* The elements beyond what was reduced, by the scalar library. */
ARRAYEXPR_AVX512 __attribute__((noinline, cold, unused)) static __m512d
arrayexpr_v_large(__m512d x, __m512d result, __mmask8 large, double (*function)(double)) {
    for (int lane = 0; lane < 8; ++lane)
        if (large >> lane & 1) result[lane] = function(x[lane]);
    return result;
}
#define ARRAYEXPR_LARGE(x) _mm512_cmp_pd_mask(_mm512_abs_pd(x), _mm512_set1_pd(0x1p30), _CMP_GT_OQ)

ARRAYEXPR_AVX512 static inline __m512d arrayexpr_v_sin_float64(__m512d x) {
    const __m512d shift = _mm512_set1_pd(0x1.8p52);
    const __m512d z = _mm512_fmadd_pd(x, _mm512_set1_pd(0x1.45f306dc9c883p-2), shift);
    const __m512d r = arrayexpr_v_reduced(x, _mm512_sub_pd(z, shift));
    const __m512d result = arrayexpr_v_sine(r, _mm512_castpd_si512(z));
    const __mmask8 large = ARRAYEXPR_LARGE(x);
    return __builtin_expect(large != 0, 0) ? arrayexpr_v_large(x, result, large, sin) : result;
}

/* cos(x) = sin(x + pi/2): x lies around the middles between the multiples of pi. */
ARRAYEXPR_AVX512 static inline __m512d arrayexpr_v_cos_float64(__m512d x) {
    const __m512d shift = _mm512_set1_pd(0x1.8p52), half = _mm512_set1_pd(0.5);
    const __m512d z = _mm512_add_pd(_mm512_fmadd_pd(x, _mm512_set1_pd(0x1.45f306dc9c883p-2), half), shift);
    const __m512d r = arrayexpr_v_reduced(x, _mm512_sub_pd(_mm512_sub_pd(z, shift), half));
    const __m512d result = arrayexpr_v_sine(r, _mm512_castpd_si512(z));
    const __mmask8 large = ARRAYEXPR_LARGE(x);
    return __builtin_expect(large != 0, 0) ? arrayexpr_v_large(x, result, large, cos) : result;
}
#endif

#endif
