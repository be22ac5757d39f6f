/* Written by adapters/loops.py: change that, or the table of operators, and make this anew. */

#define OPEN(name) static void name(char **p, const intptr_t *count, const intptr_t *s, void *data) { \
    const intptr_t n = *count; (void)data;
/* The plain loop is for the vectoriser: an input may be the very strip that the output is. */
#define LOOP1(A, R, ...) \
    if (s[0] == sizeof(A) && s[1] == sizeof(R)) { \
        _Pragma("GCC ivdep") for (intptr_t k = 0; k < n; ++k) { \
            const A a = ((const A *)p[0])[k]; R *const r = (R *)p[1] + k; __VA_ARGS__ } \
    } else for (intptr_t k = 0; k < n; ++k) { \
        const A a = *(const A *)(p[0] + k * s[0]); R *const r = (R *)(p[1] + k * s[1]); __VA_ARGS__ }
#define LOOP2(A, B, R, ...) \
    if (s[0] == sizeof(A) && s[1] == sizeof(B) && s[2] == sizeof(R)) { \
        _Pragma("GCC ivdep") for (intptr_t k = 0; k < n; ++k) { \
            const A a = ((const A *)p[0])[k]; const B b = ((const B *)p[1])[k]; R *const r = (R *)p[2] + k; \
            __VA_ARGS__ } \
    } else for (intptr_t k = 0; k < n; ++k) { \
        const A a = *(const A *)(p[0] + k * s[0]); const B b = *(const B *)(p[1] + k * s[1]); \
        R *const r = (R *)(p[2] + k * s[2]); __VA_ARGS__ }
#define LOOP3(A, B, C, R, ...) \
    if (s[0] == sizeof(A) && s[1] == sizeof(B) && s[2] == sizeof(C) && s[3] == sizeof(R)) { \
        _Pragma("GCC ivdep") for (intptr_t k = 0; k < n; ++k) { \
            const A a = ((const A *)p[0])[k]; const B b = ((const B *)p[1])[k]; const C c = ((const C *)p[2])[k]; \
            R *const r = (R *)p[3] + k; __VA_ARGS__ } \
    } else for (intptr_t k = 0; k < n; ++k) { \
        const A a = *(const A *)(p[0] + k * s[0]); const B b = *(const B *)(p[1] + k * s[1]); \
        const C c = *(const C *)(p[2] + k * s[2]); R *const r = (R *)(p[3] + k * s[3]); __VA_ARGS__ }

#ifdef __FLT16_MAX__
#define HALF(...) __VA_ARGS__
#else
#define HALF(...)
#endif

typedef struct { float re, im; } arrayexpr_complex64;
typedef struct { double re, im; } arrayexpr_complex128;
typedef struct { long double re, im; } arrayexpr_clongdouble;

static inline arrayexpr_complex64 multiply_complex64(arrayexpr_complex64 a, arrayexpr_complex64 b) {
#if defined(__FMA__) || defined(__FP_FAST_FMA)
    return (arrayexpr_complex64){fmaf(a.re, b.re, -(a.im * b.im)), fmaf(a.re, b.im, a.im * b.re)};
#else
    return (arrayexpr_complex64){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
#endif
}
static inline arrayexpr_complex128 multiply_complex128(arrayexpr_complex128 a, arrayexpr_complex128 b) {
#if defined(__FMA__) || defined(__FP_FAST_FMA)
    return (arrayexpr_complex128){fma(a.re, b.re, -(a.im * b.im)), fma(a.re, b.im, a.im * b.re)};
#else
    return (arrayexpr_complex128){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
#endif
}
static inline arrayexpr_clongdouble multiply_clongdouble(arrayexpr_clongdouble a, arrayexpr_clongdouble b) {
    return (arrayexpr_clongdouble){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}
static inline int8_t trunc_divide_int8(int8_t a, int8_t b) {
    return b == 0 ? 0 : b == -1 ? (int8_t)-a : (int8_t)(a / b);
}
static inline int16_t trunc_divide_int16(int16_t a, int16_t b) {
    return b == 0 ? 0 : b == -1 ? (int16_t)-a : (int16_t)(a / b);
}
static inline int32_t trunc_divide_int32(int32_t a, int32_t b) {
    return b == 0 ? 0 : b == -1 ? (int32_t)-a : (int32_t)(a / b);
}
static inline int64_t trunc_divide_int64(int64_t a, int64_t b) {
    return b == 0 ? 0 : b == -1 ? (int64_t)-a : (int64_t)(a / b);
}
static inline int8_t power_int8(int8_t a, int8_t b) {
    int8_t result = 1;
    for (; b > 0; b >>= 1) {
        if (b & 1) result = (int8_t)(result * a);
        a = (int8_t)(a * a);
    }
    return result;
}
static inline int16_t power_int16(int16_t a, int16_t b) {
    int16_t result = 1;
    for (; b > 0; b >>= 1) {
        if (b & 1) result = (int16_t)(result * a);
        a = (int16_t)(a * a);
    }
    return result;
}
static inline int32_t power_int32(int32_t a, int32_t b) {
    int32_t result = 1;
    for (; b > 0; b >>= 1) {
        if (b & 1) result = (int32_t)(result * a);
        a = (int32_t)(a * a);
    }
    return result;
}
static inline int64_t power_int64(int64_t a, int64_t b) {
    int64_t result = 1;
    for (; b > 0; b >>= 1) {
        if (b & 1) result = (int64_t)(result * a);
        a = (int64_t)(a * a);
    }
    return result;
}
static inline uint8_t power_uint8(uint8_t a, uint8_t b) {
    uint8_t result = 1;
    for (; b > 0; b >>= 1) {
        if (b & 1) result = (uint8_t)(result * a);
        a = (uint8_t)(a * a);
    }
    return result;
}
static inline uint16_t power_uint16(uint16_t a, uint16_t b) {
    uint16_t result = 1;
    for (; b > 0; b >>= 1) {
        if (b & 1) result = (uint16_t)(result * a);
        a = (uint16_t)(a * a);
    }
    return result;
}
static inline uint32_t power_uint32(uint32_t a, uint32_t b) {
    uint32_t result = 1;
    for (; b > 0; b >>= 1) {
        if (b & 1) result = (uint32_t)(result * a);
        a = (uint32_t)(a * a);
    }
    return result;
}
static inline uint64_t power_uint64(uint64_t a, uint64_t b) {
    uint64_t result = 1;
    for (; b > 0; b >>= 1) {
        if (b & 1) result = (uint64_t)(result * a);
        a = (uint64_t)(a * a);
    }
    return result;
}
#define CMPLX_complex64(re, im) ((union { float p[2]; float _Complex z; }){{re, im}}.z)
static inline arrayexpr_complex64 cpow_complex64(arrayexpr_complex64 x, arrayexpr_complex64 y) {
    float _Complex z = cpowf(CMPLX_complex64(x.re, x.im), CMPLX_complex64(y.re, y.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex64 true_divide_complex64(arrayexpr_complex64 a, arrayexpr_complex64 b) {
    const float br = fabsf(b.re), bi = fabsf(b.im);
    if (br >= bi) {
        if (br == 0 && bi == 0) return (arrayexpr_complex64){a.re / br, a.im / br};
        const float ratio = b.im / b.re, scale = 1 / (b.re + b.im * ratio);
        volatile float re = a.im * ratio, im = a.re * ratio;
        return (arrayexpr_complex64){(a.re + re) * scale, (a.im - im) * scale};
    }
    const float ratio = b.re / b.im, scale = 1 / (b.im + b.re * ratio);
    volatile float re = a.re * ratio, im = a.im * ratio;
    return (arrayexpr_complex64){(re + a.im) * scale, (im - a.re) * scale};
}
static inline arrayexpr_complex64 power_complex64(arrayexpr_complex64 a, arrayexpr_complex64 b) {
    if (b.re == 0 && b.im == 0) return (arrayexpr_complex64){1, 0};
    if (a.re == 0 && a.im == 0) return b.re > 0 ? (arrayexpr_complex64){0, 0} : (arrayexpr_complex64){NAN, NAN};
    if (b.im == 0 && b.re == floorf(b.re) && b.re > -100 && b.re < 100) {
        int n = (int)b.re, m = n < 0 ? -n : n;
        arrayexpr_complex64 result = {1, 0}, p = a;
        for (;;) {
            if (m & 1) result = (arrayexpr_complex64){result.re * p.re - result.im * p.im, result.re * p.im + result.im * p.re};
            if (!(m >>= 1)) break;
            p = (arrayexpr_complex64){p.re * p.re - p.im * p.im, p.re * p.im + p.im * p.re};
        }
        return n < 0 ? true_divide_complex64((arrayexpr_complex64){1, 0}, result) : result;
    }
    return cpow_complex64(a, b);
}
#define CMPLX_complex128(re, im) ((union { double p[2]; double _Complex z; }){{re, im}}.z)
static inline arrayexpr_complex128 cpow_complex128(arrayexpr_complex128 x, arrayexpr_complex128 y) {
    double _Complex z = cpow(CMPLX_complex128(x.re, x.im), CMPLX_complex128(y.re, y.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_complex128 true_divide_complex128(arrayexpr_complex128 a, arrayexpr_complex128 b) {
    const double br = fabs(b.re), bi = fabs(b.im);
    if (br >= bi) {
        if (br == 0 && bi == 0) return (arrayexpr_complex128){a.re / br, a.im / br};
        const double ratio = b.im / b.re, scale = 1 / (b.re + b.im * ratio);
        volatile double re = a.im * ratio, im = a.re * ratio;
        return (arrayexpr_complex128){(a.re + re) * scale, (a.im - im) * scale};
    }
    const double ratio = b.re / b.im, scale = 1 / (b.im + b.re * ratio);
    volatile double re = a.re * ratio, im = a.im * ratio;
    return (arrayexpr_complex128){(re + a.im) * scale, (im - a.re) * scale};
}
static inline arrayexpr_complex128 power_complex128(arrayexpr_complex128 a, arrayexpr_complex128 b) {
    if (b.re == 0 && b.im == 0) return (arrayexpr_complex128){1, 0};
    if (a.re == 0 && a.im == 0) return b.re > 0 ? (arrayexpr_complex128){0, 0} : (arrayexpr_complex128){NAN, NAN};
    if (b.im == 0 && b.re == floor(b.re) && b.re > -100 && b.re < 100) {
        int n = (int)b.re, m = n < 0 ? -n : n;
        arrayexpr_complex128 result = {1, 0}, p = a;
        for (;;) {
            if (m & 1) result = (arrayexpr_complex128){result.re * p.re - result.im * p.im, result.re * p.im + result.im * p.re};
            if (!(m >>= 1)) break;
            p = (arrayexpr_complex128){p.re * p.re - p.im * p.im, p.re * p.im + p.im * p.re};
        }
        return n < 0 ? true_divide_complex128((arrayexpr_complex128){1, 0}, result) : result;
    }
    return cpow_complex128(a, b);
}
#define CMPLX_clongdouble(re, im) ((union { long double p[2]; long double _Complex z; }){{re, im}}.z)
static inline arrayexpr_clongdouble cpow_clongdouble(arrayexpr_clongdouble x, arrayexpr_clongdouble y) {
    long double _Complex z = cpowl(CMPLX_clongdouble(x.re, x.im), CMPLX_clongdouble(y.re, y.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_clongdouble true_divide_clongdouble(arrayexpr_clongdouble a, arrayexpr_clongdouble b) {
    const long double br = fabsl(b.re), bi = fabsl(b.im);
    if (br >= bi) {
        if (br == 0 && bi == 0) return (arrayexpr_clongdouble){a.re / br, a.im / br};
        const long double ratio = b.im / b.re, scale = 1 / (b.re + b.im * ratio);
        volatile long double re = a.im * ratio, im = a.re * ratio;
        return (arrayexpr_clongdouble){(a.re + re) * scale, (a.im - im) * scale};
    }
    const long double ratio = b.re / b.im, scale = 1 / (b.im + b.re * ratio);
    volatile long double re = a.re * ratio, im = a.im * ratio;
    return (arrayexpr_clongdouble){(re + a.im) * scale, (im - a.re) * scale};
}
static inline arrayexpr_clongdouble power_clongdouble(arrayexpr_clongdouble a, arrayexpr_clongdouble b) {
    if (b.re == 0 && b.im == 0) return (arrayexpr_clongdouble){1, 0};
    if (a.re == 0 && a.im == 0) return b.re > 0 ? (arrayexpr_clongdouble){0, 0} : (arrayexpr_clongdouble){NAN, NAN};
    if (b.im == 0 && b.re == floorl(b.re) && b.re > -100 && b.re < 100) {
        int n = (int)b.re, m = n < 0 ? -n : n;
        arrayexpr_clongdouble result = {1, 0}, p = a;
        for (;;) {
            if (m & 1) result = (arrayexpr_clongdouble){result.re * p.re - result.im * p.im, result.re * p.im + result.im * p.re};
            if (!(m >>= 1)) break;
            p = (arrayexpr_clongdouble){p.re * p.re - p.im * p.im, p.re * p.im + p.im * p.re};
        }
        return n < 0 ? true_divide_clongdouble((arrayexpr_clongdouble){1, 0}, result) : result;
    }
    return cpow_clongdouble(a, b);
}
static inline float absolute_complex64(arrayexpr_complex64 a) {
    const float re = fabsf(a.re), im = fabsf(a.im), most = re > im ? re : im;
    const float far = sizeof(float) == 4 ? 0x1p60 : 0x1p500, beyond = sizeof(float) == 4 ? 0x1p90 : 0x1p600;
    const float scale = most > far ? 1 / beyond : most < 1 / far ? beyond : 1;
    const float back = most > far ? beyond : most < 1 / far ? 1 / beyond : 1;
    const float x = re * scale, y = im * scale, size = sqrtf(x * x + y * y) * back;
    return re == (float)INFINITY || im == (float)INFINITY ? (float)INFINITY : size;
}
static inline double absolute_complex128(arrayexpr_complex128 a) {
    const double re = fabs(a.re), im = fabs(a.im), most = re > im ? re : im;
    const double far = sizeof(double) == 4 ? 0x1p60 : 0x1p500, beyond = sizeof(double) == 4 ? 0x1p90 : 0x1p600;
    const double scale = most > far ? 1 / beyond : most < 1 / far ? beyond : 1;
    const double back = most > far ? beyond : most < 1 / far ? 1 / beyond : 1;
    const double x = re * scale, y = im * scale, size = sqrt(x * x + y * y) * back;
    return re == (double)INFINITY || im == (double)INFINITY ? (double)INFINITY : size;
}
static inline int8_t clip_int8(int8_t x, int8_t low, int8_t high) { int8_t t = x > low ? x : low; return t < high ? t : high; }
static inline int16_t clip_int16(int16_t x, int16_t low, int16_t high) { int16_t t = x > low ? x : low; return t < high ? t : high; }
static inline int32_t clip_int32(int32_t x, int32_t low, int32_t high) { int32_t t = x > low ? x : low; return t < high ? t : high; }
static inline int64_t clip_int64(int64_t x, int64_t low, int64_t high) { int64_t t = x > low ? x : low; return t < high ? t : high; }
static inline uint8_t clip_uint8(uint8_t x, uint8_t low, uint8_t high) { uint8_t t = x > low ? x : low; return t < high ? t : high; }
static inline uint16_t clip_uint16(uint16_t x, uint16_t low, uint16_t high) { uint16_t t = x > low ? x : low; return t < high ? t : high; }
static inline uint32_t clip_uint32(uint32_t x, uint32_t low, uint32_t high) { uint32_t t = x > low ? x : low; return t < high ? t : high; }
static inline uint64_t clip_uint64(uint64_t x, uint64_t low, uint64_t high) { uint64_t t = x > low ? x : low; return t < high ? t : high; }
static inline float clip_float32(float x, float low, float high) {
    float t = x >= low || x != x ? x : low;
    return t <= high || t != t ? t : high;
}
static inline double clip_float64(double x, double low, double high) {
    double t = x >= low || x != x ? x : low;
    return t <= high || t != t ? t : high;
}
static inline long double clip_longdouble(long double x, long double low, long double high) {
    long double t = x >= low || x != x ? x : low;
    return t <= high || t != t ? t : high;
}
static inline arrayexpr_complex64 csqrt_complex64(arrayexpr_complex64 x) {
    float _Complex z = csqrtf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 csqrt_complex128(arrayexpr_complex128 x) {
    double _Complex z = csqrt(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble csqrt_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = csqrtl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 cexp_complex64(arrayexpr_complex64 x) {
    float _Complex z = cexpf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 cexp_complex128(arrayexpr_complex128 x) {
    double _Complex z = cexp(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble cexp_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = cexpl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 exp2_complex64(arrayexpr_complex64 x) { x = (arrayexpr_complex64){x.re * (float)0.693147180559945309417232121458176568L, x.im * (float)0.693147180559945309417232121458176568L}; return cexp_complex64(x); }
static inline arrayexpr_complex128 exp2_complex128(arrayexpr_complex128 x) { x = (arrayexpr_complex128){x.re * (double)0.693147180559945309417232121458176568L, x.im * (double)0.693147180559945309417232121458176568L}; return cexp_complex128(x); }
static inline arrayexpr_clongdouble exp2_clongdouble(arrayexpr_clongdouble x) { x = (arrayexpr_clongdouble){x.re * (long double)0.693147180559945309417232121458176568L, x.im * (long double)0.693147180559945309417232121458176568L}; return cexp_clongdouble(x); }
static inline arrayexpr_complex64 expm1_complex64(arrayexpr_complex64 x) {
    const float half = sinf(x.im / 2);
    return (arrayexpr_complex64){expm1f(x.re) * cosf(x.im) - 2 * half * half, expf(x.re) * sinf(x.im)};
}
static inline arrayexpr_complex128 expm1_complex128(arrayexpr_complex128 x) {
    const double half = sin(x.im / 2);
    return (arrayexpr_complex128){expm1(x.re) * cos(x.im) - 2 * half * half, exp(x.re) * sin(x.im)};
}
static inline arrayexpr_clongdouble expm1_clongdouble(arrayexpr_clongdouble x) {
    const long double half = sinl(x.im / 2);
    return (arrayexpr_clongdouble){expm1l(x.re) * cosl(x.im) - 2 * half * half, expl(x.re) * sinl(x.im)};
}
static inline arrayexpr_complex64 clog_complex64(arrayexpr_complex64 x) {
    float _Complex z = clogf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 clog_complex128(arrayexpr_complex128 x) {
    double _Complex z = clog(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble clog_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = clogl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 log2_complex64(arrayexpr_complex64 x) { x = clog_complex64(x); return (arrayexpr_complex64){x.re * (float)1.442695040888963407359924681001892137L, x.im * (float)1.442695040888963407359924681001892137L}; }
static inline arrayexpr_complex128 log2_complex128(arrayexpr_complex128 x) { x = clog_complex128(x); return (arrayexpr_complex128){x.re * (double)1.442695040888963407359924681001892137L, x.im * (double)1.442695040888963407359924681001892137L}; }
static inline arrayexpr_clongdouble log2_clongdouble(arrayexpr_clongdouble x) { x = clog_clongdouble(x); return (arrayexpr_clongdouble){x.re * (long double)1.442695040888963407359924681001892137L, x.im * (long double)1.442695040888963407359924681001892137L}; }
static inline arrayexpr_complex64 log10_complex64(arrayexpr_complex64 x) { x = clog_complex64(x); return (arrayexpr_complex64){x.re * (float)0.434294481903251827651128918916605082L, x.im * (float)0.434294481903251827651128918916605082L}; }
static inline arrayexpr_complex128 log10_complex128(arrayexpr_complex128 x) { x = clog_complex128(x); return (arrayexpr_complex128){x.re * (double)0.434294481903251827651128918916605082L, x.im * (double)0.434294481903251827651128918916605082L}; }
static inline arrayexpr_clongdouble log10_clongdouble(arrayexpr_clongdouble x) { x = clog_clongdouble(x); return (arrayexpr_clongdouble){x.re * (long double)0.434294481903251827651128918916605082L, x.im * (long double)0.434294481903251827651128918916605082L}; }
static inline arrayexpr_complex64 log1p_complex64(arrayexpr_complex64 x) {
    return (arrayexpr_complex64){logf(hypotf(x.re + 1, x.im)), atan2f(x.im, x.re + 1)};
}
static inline arrayexpr_complex128 log1p_complex128(arrayexpr_complex128 x) {
    return (arrayexpr_complex128){log(hypot(x.re + 1, x.im)), atan2(x.im, x.re + 1)};
}
static inline arrayexpr_clongdouble log1p_clongdouble(arrayexpr_clongdouble x) {
    return (arrayexpr_clongdouble){logl(hypotl(x.re + 1, x.im)), atan2l(x.im, x.re + 1)};
}
static inline arrayexpr_complex64 csin_complex64(arrayexpr_complex64 x) {
    float _Complex z = csinf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 csin_complex128(arrayexpr_complex128 x) {
    double _Complex z = csin(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble csin_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = csinl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 ccos_complex64(arrayexpr_complex64 x) {
    float _Complex z = ccosf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 ccos_complex128(arrayexpr_complex128 x) {
    double _Complex z = ccos(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble ccos_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = ccosl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 ctan_complex64(arrayexpr_complex64 x) {
    float _Complex z = ctanf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 ctan_complex128(arrayexpr_complex128 x) {
    double _Complex z = ctan(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble ctan_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = ctanl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 casin_complex64(arrayexpr_complex64 x) {
    float _Complex z = casinf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 casin_complex128(arrayexpr_complex128 x) {
    double _Complex z = casin(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble casin_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = casinl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 cacos_complex64(arrayexpr_complex64 x) {
    float _Complex z = cacosf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 cacos_complex128(arrayexpr_complex128 x) {
    double _Complex z = cacos(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble cacos_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = cacosl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 catan_complex64(arrayexpr_complex64 x) {
    float _Complex z = catanf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 catan_complex128(arrayexpr_complex128 x) {
    double _Complex z = catan(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble catan_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = catanl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 csinh_complex64(arrayexpr_complex64 x) {
    float _Complex z = csinhf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 csinh_complex128(arrayexpr_complex128 x) {
    double _Complex z = csinh(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble csinh_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = csinhl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 ccosh_complex64(arrayexpr_complex64 x) {
    float _Complex z = ccoshf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 ccosh_complex128(arrayexpr_complex128 x) {
    double _Complex z = ccosh(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble ccosh_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = ccoshl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 ctanh_complex64(arrayexpr_complex64 x) {
    float _Complex z = ctanhf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 ctanh_complex128(arrayexpr_complex128 x) {
    double _Complex z = ctanh(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble ctanh_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = ctanhl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 casinh_complex64(arrayexpr_complex64 x) {
    float _Complex z = casinhf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 casinh_complex128(arrayexpr_complex128 x) {
    double _Complex z = casinh(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble casinh_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = casinhl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 cacosh_complex64(arrayexpr_complex64 x) {
    float _Complex z = cacoshf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 cacosh_complex128(arrayexpr_complex128 x) {
    double _Complex z = cacosh(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble cacosh_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = cacoshl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline arrayexpr_complex64 catanh_complex64(arrayexpr_complex64 x) {
    float _Complex z = catanhf(CMPLX_complex64(x.re, x.im));
    return (arrayexpr_complex64){crealf(z), cimagf(z)};
}
static inline arrayexpr_complex128 catanh_complex128(arrayexpr_complex128 x) {
    double _Complex z = catanh(CMPLX_complex128(x.re, x.im));
    return (arrayexpr_complex128){creal(z), cimag(z)};
}
static inline arrayexpr_clongdouble catanh_clongdouble(arrayexpr_clongdouble x) {
    long double _Complex z = catanhl(CMPLX_clongdouble(x.re, x.im));
    return (arrayexpr_clongdouble){creall(z), cimagl(z)};
}
static inline float logaddexp_float32(float x, float y) {
    if (x == y) return x + (float)0.693147180559945309417232121458176568L;
    float d = x - y;
    return d > 0 ? x + log1pf(expf(-d)) : d <= 0 ? y + log1pf(expf(d)) : d;
}
static inline double logaddexp_float64(double x, double y) {
    if (x == y) return x + (double)0.693147180559945309417232121458176568L;
    double d = x - y;
    return d > 0 ? x + log1p(exp(-d)) : d <= 0 ? y + log1p(exp(d)) : d;
}
static inline long double logaddexp_longdouble(long double x, long double y) {
    if (x == y) return x + (long double)0.693147180559945309417232121458176568L;
    long double d = x - y;
    return d > 0 ? x + log1pl(expl(-d)) : d <= 0 ? y + log1pl(expl(d)) : d;
}
static inline float logaddexp2_float32(float x, float y) {
    if (x == y) return x + 1;
    float d = x - y;
    const float log2e = (float)1.442695040888963407359924681001892137L;
    return d > 0 ? x + log2e * log1pf(exp2f(-d)) : d <= 0 ? y + log2e * log1pf(exp2f(d)) : d;
}
static inline double logaddexp2_float64(double x, double y) {
    if (x == y) return x + 1;
    double d = x - y;
    const double log2e = (double)1.442695040888963407359924681001892137L;
    return d > 0 ? x + log2e * log1p(exp2(-d)) : d <= 0 ? y + log2e * log1p(exp2(d)) : d;
}
static inline long double logaddexp2_longdouble(long double x, long double y) {
    if (x == y) return x + 1;
    long double d = x - y;
    const long double log2e = (long double)1.442695040888963407359924681001892137L;
    return d > 0 ? x + log2e * log1pl(exp2l(-d)) : d <= 0 ? y + log2e * log1pl(exp2l(d)) : d;
}
#ifdef __FLT16_MAX__
static inline uint64_t cast_float16_uint64(_Float16 x) {
    return x >= (_Float16)9223372036854775808.0L ? (uint64_t)(int64_t)(x - (_Float16)9223372036854775808.0L) ^ (uint64_t)1 << 63
        : (uint64_t)(int64_t)x;
}
#endif
static inline uint32_t cast_float32_uint32(float x) {
    return x >= (float)2147483648.0L ? (uint32_t)(int32_t)(x - (float)2147483648.0L) ^ (uint32_t)1 << 31
        : (uint32_t)(int32_t)x;
}
static inline uint64_t cast_float32_uint64(float x) {
    return x >= (float)9223372036854775808.0L ? (uint64_t)(int64_t)(x - (float)9223372036854775808.0L) ^ (uint64_t)1 << 63
        : (uint64_t)(int64_t)x;
}
static inline uint32_t cast_float64_uint32(double x) {
    return x >= (double)2147483648.0L ? (uint32_t)(int32_t)(x - (double)2147483648.0L) ^ (uint32_t)1 << 31
        : (uint32_t)(int32_t)x;
}
static inline uint64_t cast_float64_uint64(double x) {
    return x >= (double)9223372036854775808.0L ? (uint64_t)(int64_t)(x - (double)9223372036854775808.0L) ^ (uint64_t)1 << 63
        : (uint64_t)(int64_t)x;
}
static inline uint8_t cast_complex64_bool(arrayexpr_complex64 x) { return x.re != 0 || x.im != 0; }
static inline arrayexpr_complex128 cast_complex64_complex128(arrayexpr_complex64 x) { return (arrayexpr_complex128){(double)x.re, (double)x.im}; }
static inline arrayexpr_clongdouble cast_complex64_clongdouble(arrayexpr_complex64 x) { return (arrayexpr_clongdouble){(long double)x.re, (long double)x.im}; }
static inline uint8_t cast_complex128_bool(arrayexpr_complex128 x) { return x.re != 0 || x.im != 0; }
static inline arrayexpr_complex64 cast_complex128_complex64(arrayexpr_complex128 x) { return (arrayexpr_complex64){(float)x.re, (float)x.im}; }
static inline arrayexpr_clongdouble cast_complex128_clongdouble(arrayexpr_complex128 x) { return (arrayexpr_clongdouble){(long double)x.re, (long double)x.im}; }
static inline uint64_t cast_longdouble_uint64(long double x) {
    return x >= (long double)9223372036854775808.0L ? (uint64_t)(int64_t)(x - (long double)9223372036854775808.0L) ^ (uint64_t)1 << 63
        : (uint64_t)(int64_t)x;
}
static inline uint8_t cast_clongdouble_bool(arrayexpr_clongdouble x) { return x.re != 0 || x.im != 0; }
static inline arrayexpr_complex64 cast_clongdouble_complex64(arrayexpr_clongdouble x) { return (arrayexpr_complex64){(float)x.re, (float)x.im}; }
static inline arrayexpr_complex128 cast_clongdouble_complex128(arrayexpr_clongdouble x) { return (arrayexpr_complex128){(double)x.re, (double)x.im}; }

OPEN(loop_multiply_complex64) LOOP2(arrayexpr_complex64, arrayexpr_complex64, arrayexpr_complex64, *r = multiply_complex64(a, b);) }
OPEN(loop_multiply_complex128) LOOP2(arrayexpr_complex128, arrayexpr_complex128, arrayexpr_complex128, *r = multiply_complex128(a, b);) }
OPEN(loop_multiply_clongdouble) LOOP2(arrayexpr_clongdouble, arrayexpr_clongdouble, arrayexpr_clongdouble, *r = multiply_clongdouble(a, b);) }
OPEN(loop_trunc_divide_int8) LOOP2(int8_t, int8_t, int8_t, *r = (int8_t)trunc_divide_int8(a, b);) }
OPEN(loop_trunc_divide_int16) LOOP2(int16_t, int16_t, int16_t, *r = (int16_t)trunc_divide_int16(a, b);) }
OPEN(loop_trunc_divide_int32) LOOP2(int32_t, int32_t, int32_t, *r = trunc_divide_int32(a, b);) }
OPEN(loop_trunc_divide_int64) LOOP2(int64_t, int64_t, int64_t, *r = trunc_divide_int64(a, b);) }
OPEN(loop_trunc_divide_uint8) LOOP2(uint8_t, uint8_t, uint8_t, *r = (uint8_t)(b == 0 ? 0 : a / b);) }
OPEN(loop_trunc_divide_uint16) LOOP2(uint16_t, uint16_t, uint16_t, *r = (uint16_t)(b == 0 ? 0 : a / b);) }
OPEN(loop_trunc_divide_uint32) LOOP2(uint32_t, uint32_t, uint32_t, *r = (b == 0 ? 0 : a / b);) }
OPEN(loop_trunc_divide_uint64) LOOP2(uint64_t, uint64_t, uint64_t, *r = (b == 0 ? 0 : a / b);) }
OPEN(loop_power_int8) int raised = 0; LOOP2(int8_t, int8_t, int8_t, raised |= b < 0; *r = (int8_t)power_int8(a, b);) if (raised) *(int *)data = 1; }
OPEN(loop_power_int16) int raised = 0; LOOP2(int16_t, int16_t, int16_t, raised |= b < 0; *r = (int16_t)power_int16(a, b);) if (raised) *(int *)data = 1; }
OPEN(loop_power_int32) int raised = 0; LOOP2(int32_t, int32_t, int32_t, raised |= b < 0; *r = power_int32(a, b);) if (raised) *(int *)data = 1; }
OPEN(loop_power_int64) int raised = 0; LOOP2(int64_t, int64_t, int64_t, raised |= b < 0; *r = power_int64(a, b);) if (raised) *(int *)data = 1; }
OPEN(loop_power_uint8) LOOP2(uint8_t, uint8_t, uint8_t, *r = (uint8_t)power_uint8(a, b);) }
OPEN(loop_power_uint16) LOOP2(uint16_t, uint16_t, uint16_t, *r = (uint16_t)power_uint16(a, b);) }
OPEN(loop_power_uint32) LOOP2(uint32_t, uint32_t, uint32_t, *r = power_uint32(a, b);) }
OPEN(loop_power_uint64) LOOP2(uint64_t, uint64_t, uint64_t, *r = power_uint64(a, b);) }
#ifdef __FLT16_MAX__
OPEN(loop_power_float16) LOOP2(_Float16, _Float16, _Float16, *r = (_Float16)powf((float)a, (float)b);) }
#endif
OPEN(loop_power_float32) LOOP2(float, float, float, *r = powf(a, b);) }
OPEN(loop_power_float64) LOOP2(double, double, double, *r = pow(a, b);) }
OPEN(loop_power_complex64) LOOP2(arrayexpr_complex64, arrayexpr_complex64, arrayexpr_complex64, *r = power_complex64(a, b);) }
OPEN(loop_power_complex128) LOOP2(arrayexpr_complex128, arrayexpr_complex128, arrayexpr_complex128, *r = power_complex128(a, b);) }
OPEN(loop_power_longdouble) LOOP2(long double, long double, long double, *r = powl(a, b);) }
OPEN(loop_power_clongdouble) LOOP2(arrayexpr_clongdouble, arrayexpr_clongdouble, arrayexpr_clongdouble, *r = power_clongdouble(a, b);) }
OPEN(loop_absolute_complex64) LOOP1(arrayexpr_complex64, float, *r = absolute_complex64(a);) }
OPEN(loop_absolute_complex128) LOOP1(arrayexpr_complex128, double, *r = absolute_complex128(a);) }
OPEN(loop_absolute_clongdouble) LOOP1(arrayexpr_clongdouble, long double, *r = hypotl(a.re, a.im);) }
OPEN(loop_square_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = multiply_complex64(a, a);) }
OPEN(loop_square_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = multiply_complex128(a, a);) }
OPEN(loop_square_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = multiply_clongdouble(a, a);) }
OPEN(loop_fma_float32) LOOP3(float, float, float, float, *r = fmaf(a, b, c);) }
OPEN(loop_fma_float64) LOOP3(double, double, double, double, *r = fma(a, b, c);) }
#ifdef __FLT16_MAX__
OPEN(loop_minimum_float16) LOOP2(_Float16, _Float16, _Float16, const float t1 = (float)a; const float t2 = (float)b; *r = (_Float16)(t1 <= t2 || t1 != t1 ? t1 : t2);) }
#endif
OPEN(loop_minimum_float32) LOOP2(float, float, float, *r = (a <= b || a != a ? a : b);) }
OPEN(loop_minimum_float64) LOOP2(double, double, double, *r = (a <= b || a != a ? a : b);) }
OPEN(loop_minimum_longdouble) LOOP2(long double, long double, long double, *r = (a <= b || a != a ? a : b);) }
#ifdef __FLT16_MAX__
OPEN(loop_maximum_float16) LOOP2(_Float16, _Float16, _Float16, const float t3 = (float)a; const float t4 = (float)b; *r = (_Float16)(t3 >= t4 || t3 != t3 ? t3 : t4);) }
#endif
OPEN(loop_maximum_float32) LOOP2(float, float, float, *r = (a >= b || a != a ? a : b);) }
OPEN(loop_maximum_float64) LOOP2(double, double, double, *r = (a >= b || a != a ? a : b);) }
OPEN(loop_maximum_longdouble) LOOP2(long double, long double, long double, *r = (a >= b || a != a ? a : b);) }
#ifdef __FLT16_MAX__
OPEN(loop_fmin_float16) LOOP2(_Float16, _Float16, _Float16, const float t5 = (float)a; const float t6 = (float)b; *r = (_Float16)(t5 <= t6 || t6 != t6 ? t5 : t6);) }
#endif
OPEN(loop_fmin_float32) LOOP2(float, float, float, *r = (a <= b || b != b ? a : b);) }
OPEN(loop_fmin_float64) LOOP2(double, double, double, *r = (a <= b || b != b ? a : b);) }
OPEN(loop_fmin_longdouble) LOOP2(long double, long double, long double, *r = (a <= b || b != b ? a : b);) }
#ifdef __FLT16_MAX__
OPEN(loop_fmax_float16) LOOP2(_Float16, _Float16, _Float16, const float t7 = (float)a; const float t8 = (float)b; *r = (_Float16)(t7 >= t8 || t8 != t8 ? t7 : t8);) }
#endif
OPEN(loop_fmax_float32) LOOP2(float, float, float, *r = (a >= b || b != b ? a : b);) }
OPEN(loop_fmax_float64) LOOP2(double, double, double, *r = (a >= b || b != b ? a : b);) }
OPEN(loop_fmax_longdouble) LOOP2(long double, long double, long double, *r = (a >= b || b != b ? a : b);) }
OPEN(loop_where_bool) LOOP3(uint8_t, uint8_t, uint8_t, uint8_t, *r = (a ? b : c);) }
OPEN(loop_where_int8) LOOP3(uint8_t, int8_t, int8_t, int8_t, *r = (int8_t)(a ? b : c);) }
OPEN(loop_where_int16) LOOP3(uint8_t, int16_t, int16_t, int16_t, *r = (int16_t)(a ? b : c);) }
OPEN(loop_where_int32) LOOP3(uint8_t, int32_t, int32_t, int32_t, *r = (a ? b : c);) }
OPEN(loop_where_int64) LOOP3(uint8_t, int64_t, int64_t, int64_t, *r = (a ? b : c);) }
OPEN(loop_where_uint8) LOOP3(uint8_t, uint8_t, uint8_t, uint8_t, *r = (uint8_t)(a ? b : c);) }
OPEN(loop_where_uint16) LOOP3(uint8_t, uint16_t, uint16_t, uint16_t, *r = (uint16_t)(a ? b : c);) }
OPEN(loop_where_uint32) LOOP3(uint8_t, uint32_t, uint32_t, uint32_t, *r = (a ? b : c);) }
OPEN(loop_where_uint64) LOOP3(uint8_t, uint64_t, uint64_t, uint64_t, *r = (a ? b : c);) }
#ifdef __FLT16_MAX__
OPEN(loop_where_float16) LOOP3(uint8_t, _Float16, _Float16, _Float16, *r = (_Float16)(a ? ((float)b) : ((float)c));) }
#endif
OPEN(loop_where_float32) LOOP3(uint8_t, float, float, float, *r = (a ? b : c);) }
OPEN(loop_where_float64) LOOP3(uint8_t, double, double, double, *r = (a ? b : c);) }
OPEN(loop_where_complex64) LOOP3(uint8_t, arrayexpr_complex64, arrayexpr_complex64, arrayexpr_complex64, *r = (a ? b : c);) }
OPEN(loop_where_complex128) LOOP3(uint8_t, arrayexpr_complex128, arrayexpr_complex128, arrayexpr_complex128, *r = (a ? b : c);) }
OPEN(loop_where_longdouble) LOOP3(uint8_t, long double, long double, long double, *r = (a ? b : c);) }
OPEN(loop_where_clongdouble) LOOP3(uint8_t, arrayexpr_clongdouble, arrayexpr_clongdouble, arrayexpr_clongdouble, *r = (a ? b : c);) }
OPEN(loop_clip_int8) LOOP3(int8_t, int8_t, int8_t, int8_t, *r = (int8_t)clip_int8(a, b, c);) }
OPEN(loop_clip_int16) LOOP3(int16_t, int16_t, int16_t, int16_t, *r = (int16_t)clip_int16(a, b, c);) }
OPEN(loop_clip_int32) LOOP3(int32_t, int32_t, int32_t, int32_t, *r = clip_int32(a, b, c);) }
OPEN(loop_clip_int64) LOOP3(int64_t, int64_t, int64_t, int64_t, *r = clip_int64(a, b, c);) }
OPEN(loop_clip_uint8) LOOP3(uint8_t, uint8_t, uint8_t, uint8_t, *r = (uint8_t)clip_uint8(a, b, c);) }
OPEN(loop_clip_uint16) LOOP3(uint16_t, uint16_t, uint16_t, uint16_t, *r = (uint16_t)clip_uint16(a, b, c);) }
OPEN(loop_clip_uint32) LOOP3(uint32_t, uint32_t, uint32_t, uint32_t, *r = clip_uint32(a, b, c);) }
OPEN(loop_clip_uint64) LOOP3(uint64_t, uint64_t, uint64_t, uint64_t, *r = clip_uint64(a, b, c);) }
#ifdef __FLT16_MAX__
OPEN(loop_clip_float16) LOOP3(_Float16, _Float16, _Float16, _Float16, *r = (_Float16)clip_float32(((float)a), ((float)b), ((float)c));) }
#endif
OPEN(loop_clip_float32) LOOP3(float, float, float, float, *r = clip_float32(a, b, c);) }
OPEN(loop_clip_float64) LOOP3(double, double, double, double, *r = clip_float64(a, b, c);) }
OPEN(loop_clip_longdouble) LOOP3(long double, long double, long double, long double, *r = clip_longdouble(a, b, c);) }
OPEN(loop_real_complex64) LOOP1(arrayexpr_complex64, float, *r = a.re;) }
OPEN(loop_real_complex128) LOOP1(arrayexpr_complex128, double, *r = a.re;) }
OPEN(loop_real_clongdouble) LOOP1(arrayexpr_clongdouble, long double, *r = a.re;) }
OPEN(loop_imag_complex64) LOOP1(arrayexpr_complex64, float, *r = a.im;) }
OPEN(loop_imag_complex128) LOOP1(arrayexpr_complex128, double, *r = a.im;) }
OPEN(loop_imag_clongdouble) LOOP1(arrayexpr_clongdouble, long double, *r = a.im;) }
OPEN(loop_complex_float32) LOOP2(float, float, arrayexpr_complex64, *r = (arrayexpr_complex64){a, b};) }
OPEN(loop_complex_float64) LOOP2(double, double, arrayexpr_complex128, *r = (arrayexpr_complex128){a, b};) }
OPEN(loop_complex_longdouble) LOOP2(long double, long double, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){a, b};) }
OPEN(loop_sqrt_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = csqrt_complex64(a);) }
OPEN(loop_sqrt_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = csqrt_complex128(a);) }
OPEN(loop_sqrt_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = csqrt_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_exp_float16) LOOP1(_Float16, _Float16, *r = (_Float16)expf((float)a);) }
#endif
OPEN(loop_exp_float32) LOOP1(float, float, *r = expf(a);) }
OPEN(loop_exp_float64) LOOP1(double, double, *r = exp(a);) }
OPEN(loop_exp_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = cexp_complex64(a);) }
OPEN(loop_exp_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = cexp_complex128(a);) }
OPEN(loop_exp_longdouble) LOOP1(long double, long double, *r = expl(a);) }
OPEN(loop_exp_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = cexp_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_exp2_float16) LOOP1(_Float16, _Float16, *r = (_Float16)exp2f((float)a);) }
#endif
OPEN(loop_exp2_float32) LOOP1(float, float, *r = exp2f(a);) }
OPEN(loop_exp2_float64) LOOP1(double, double, *r = exp2(a);) }
OPEN(loop_exp2_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = exp2_complex64(a);) }
OPEN(loop_exp2_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = exp2_complex128(a);) }
OPEN(loop_exp2_longdouble) LOOP1(long double, long double, *r = exp2l(a);) }
OPEN(loop_exp2_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = exp2_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_expm1_float16) LOOP1(_Float16, _Float16, *r = (_Float16)expm1f((float)a);) }
#endif
OPEN(loop_expm1_float32) LOOP1(float, float, *r = expm1f(a);) }
OPEN(loop_expm1_float64) LOOP1(double, double, *r = expm1(a);) }
OPEN(loop_expm1_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = expm1_complex64(a);) }
OPEN(loop_expm1_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = expm1_complex128(a);) }
OPEN(loop_expm1_longdouble) LOOP1(long double, long double, *r = expm1l(a);) }
OPEN(loop_expm1_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = expm1_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_log_float16) LOOP1(_Float16, _Float16, *r = (_Float16)logf((float)a);) }
#endif
OPEN(loop_log_float32) LOOP1(float, float, *r = logf(a);) }
OPEN(loop_log_float64) LOOP1(double, double, *r = log(a);) }
OPEN(loop_log_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = clog_complex64(a);) }
OPEN(loop_log_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = clog_complex128(a);) }
OPEN(loop_log_longdouble) LOOP1(long double, long double, *r = logl(a);) }
OPEN(loop_log_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = clog_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_log2_float16) LOOP1(_Float16, _Float16, *r = (_Float16)log2f((float)a);) }
#endif
OPEN(loop_log2_float32) LOOP1(float, float, *r = log2f(a);) }
OPEN(loop_log2_float64) LOOP1(double, double, *r = log2(a);) }
OPEN(loop_log2_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = log2_complex64(a);) }
OPEN(loop_log2_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = log2_complex128(a);) }
OPEN(loop_log2_longdouble) LOOP1(long double, long double, *r = log2l(a);) }
OPEN(loop_log2_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = log2_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_log10_float16) LOOP1(_Float16, _Float16, *r = (_Float16)log10f((float)a);) }
#endif
OPEN(loop_log10_float32) LOOP1(float, float, *r = log10f(a);) }
OPEN(loop_log10_float64) LOOP1(double, double, *r = log10(a);) }
OPEN(loop_log10_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = log10_complex64(a);) }
OPEN(loop_log10_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = log10_complex128(a);) }
OPEN(loop_log10_longdouble) LOOP1(long double, long double, *r = log10l(a);) }
OPEN(loop_log10_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = log10_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_log1p_float16) LOOP1(_Float16, _Float16, *r = (_Float16)log1pf((float)a);) }
#endif
OPEN(loop_log1p_float32) LOOP1(float, float, *r = log1pf(a);) }
OPEN(loop_log1p_float64) LOOP1(double, double, *r = log1p(a);) }
OPEN(loop_log1p_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = log1p_complex64(a);) }
OPEN(loop_log1p_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = log1p_complex128(a);) }
OPEN(loop_log1p_longdouble) LOOP1(long double, long double, *r = log1pl(a);) }
OPEN(loop_log1p_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = log1p_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_sin_float16) LOOP1(_Float16, _Float16, *r = (_Float16)sinf((float)a);) }
#endif
OPEN(loop_sin_float32) LOOP1(float, float, *r = sinf(a);) }
OPEN(loop_sin_float64) LOOP1(double, double, *r = sin(a);) }
OPEN(loop_sin_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = csin_complex64(a);) }
OPEN(loop_sin_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = csin_complex128(a);) }
OPEN(loop_sin_longdouble) LOOP1(long double, long double, *r = sinl(a);) }
OPEN(loop_sin_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = csin_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_cos_float16) LOOP1(_Float16, _Float16, *r = (_Float16)cosf((float)a);) }
#endif
OPEN(loop_cos_float32) LOOP1(float, float, *r = cosf(a);) }
OPEN(loop_cos_float64) LOOP1(double, double, *r = cos(a);) }
OPEN(loop_cos_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = ccos_complex64(a);) }
OPEN(loop_cos_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = ccos_complex128(a);) }
OPEN(loop_cos_longdouble) LOOP1(long double, long double, *r = cosl(a);) }
OPEN(loop_cos_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = ccos_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_tan_float16) LOOP1(_Float16, _Float16, *r = (_Float16)tanf((float)a);) }
#endif
OPEN(loop_tan_float32) LOOP1(float, float, *r = tanf(a);) }
OPEN(loop_tan_float64) LOOP1(double, double, *r = tan(a);) }
OPEN(loop_tan_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = ctan_complex64(a);) }
OPEN(loop_tan_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = ctan_complex128(a);) }
OPEN(loop_tan_longdouble) LOOP1(long double, long double, *r = tanl(a);) }
OPEN(loop_tan_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = ctan_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_arcsin_float16) LOOP1(_Float16, _Float16, *r = (_Float16)asinf((float)a);) }
#endif
OPEN(loop_arcsin_float32) LOOP1(float, float, *r = asinf(a);) }
OPEN(loop_arcsin_float64) LOOP1(double, double, *r = asin(a);) }
OPEN(loop_arcsin_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = casin_complex64(a);) }
OPEN(loop_arcsin_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = casin_complex128(a);) }
OPEN(loop_arcsin_longdouble) LOOP1(long double, long double, *r = asinl(a);) }
OPEN(loop_arcsin_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = casin_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_arccos_float16) LOOP1(_Float16, _Float16, *r = (_Float16)acosf((float)a);) }
#endif
OPEN(loop_arccos_float32) LOOP1(float, float, *r = acosf(a);) }
OPEN(loop_arccos_float64) LOOP1(double, double, *r = acos(a);) }
OPEN(loop_arccos_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = cacos_complex64(a);) }
OPEN(loop_arccos_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = cacos_complex128(a);) }
OPEN(loop_arccos_longdouble) LOOP1(long double, long double, *r = acosl(a);) }
OPEN(loop_arccos_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = cacos_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_arctan_float16) LOOP1(_Float16, _Float16, *r = (_Float16)atanf((float)a);) }
#endif
OPEN(loop_arctan_float32) LOOP1(float, float, *r = atanf(a);) }
OPEN(loop_arctan_float64) LOOP1(double, double, *r = atan(a);) }
OPEN(loop_arctan_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = catan_complex64(a);) }
OPEN(loop_arctan_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = catan_complex128(a);) }
OPEN(loop_arctan_longdouble) LOOP1(long double, long double, *r = atanl(a);) }
OPEN(loop_arctan_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = catan_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_sinh_float16) LOOP1(_Float16, _Float16, *r = (_Float16)sinhf((float)a);) }
#endif
OPEN(loop_sinh_float32) LOOP1(float, float, *r = sinhf(a);) }
OPEN(loop_sinh_float64) LOOP1(double, double, *r = sinh(a);) }
OPEN(loop_sinh_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = csinh_complex64(a);) }
OPEN(loop_sinh_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = csinh_complex128(a);) }
OPEN(loop_sinh_longdouble) LOOP1(long double, long double, *r = sinhl(a);) }
OPEN(loop_sinh_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = csinh_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_cosh_float16) LOOP1(_Float16, _Float16, *r = (_Float16)coshf((float)a);) }
#endif
OPEN(loop_cosh_float32) LOOP1(float, float, *r = coshf(a);) }
OPEN(loop_cosh_float64) LOOP1(double, double, *r = cosh(a);) }
OPEN(loop_cosh_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = ccosh_complex64(a);) }
OPEN(loop_cosh_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = ccosh_complex128(a);) }
OPEN(loop_cosh_longdouble) LOOP1(long double, long double, *r = coshl(a);) }
OPEN(loop_cosh_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = ccosh_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_tanh_float16) LOOP1(_Float16, _Float16, *r = (_Float16)tanhf((float)a);) }
#endif
OPEN(loop_tanh_float32) LOOP1(float, float, *r = tanhf(a);) }
OPEN(loop_tanh_float64) LOOP1(double, double, *r = tanh(a);) }
OPEN(loop_tanh_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = ctanh_complex64(a);) }
OPEN(loop_tanh_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = ctanh_complex128(a);) }
OPEN(loop_tanh_longdouble) LOOP1(long double, long double, *r = tanhl(a);) }
OPEN(loop_tanh_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = ctanh_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_arcsinh_float16) LOOP1(_Float16, _Float16, *r = (_Float16)asinhf((float)a);) }
#endif
OPEN(loop_arcsinh_float32) LOOP1(float, float, *r = asinhf(a);) }
OPEN(loop_arcsinh_float64) LOOP1(double, double, *r = asinh(a);) }
OPEN(loop_arcsinh_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = casinh_complex64(a);) }
OPEN(loop_arcsinh_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = casinh_complex128(a);) }
OPEN(loop_arcsinh_longdouble) LOOP1(long double, long double, *r = asinhl(a);) }
OPEN(loop_arcsinh_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = casinh_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_arccosh_float16) LOOP1(_Float16, _Float16, *r = (_Float16)acoshf((float)a);) }
#endif
OPEN(loop_arccosh_float32) LOOP1(float, float, *r = acoshf(a);) }
OPEN(loop_arccosh_float64) LOOP1(double, double, *r = acosh(a);) }
OPEN(loop_arccosh_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = cacosh_complex64(a);) }
OPEN(loop_arccosh_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = cacosh_complex128(a);) }
OPEN(loop_arccosh_longdouble) LOOP1(long double, long double, *r = acoshl(a);) }
OPEN(loop_arccosh_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = cacosh_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_arctanh_float16) LOOP1(_Float16, _Float16, *r = (_Float16)atanhf((float)a);) }
#endif
OPEN(loop_arctanh_float32) LOOP1(float, float, *r = atanhf(a);) }
OPEN(loop_arctanh_float64) LOOP1(double, double, *r = atanh(a);) }
OPEN(loop_arctanh_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = catanh_complex64(a);) }
OPEN(loop_arctanh_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = catanh_complex128(a);) }
OPEN(loop_arctanh_longdouble) LOOP1(long double, long double, *r = atanhl(a);) }
OPEN(loop_arctanh_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = catanh_clongdouble(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_cbrt_float16) LOOP1(_Float16, _Float16, *r = (_Float16)cbrtf((float)a);) }
#endif
OPEN(loop_cbrt_float32) LOOP1(float, float, *r = cbrtf(a);) }
OPEN(loop_cbrt_float64) LOOP1(double, double, *r = cbrt(a);) }
OPEN(loop_cbrt_longdouble) LOOP1(long double, long double, *r = cbrtl(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_arctan2_float16) LOOP2(_Float16, _Float16, _Float16, *r = (_Float16)atan2f((float)a, (float)b);) }
#endif
OPEN(loop_arctan2_float32) LOOP2(float, float, float, *r = atan2f(a, b);) }
OPEN(loop_arctan2_float64) LOOP2(double, double, double, *r = atan2(a, b);) }
OPEN(loop_arctan2_longdouble) LOOP2(long double, long double, long double, *r = atan2l(a, b);) }
#ifdef __FLT16_MAX__
OPEN(loop_hypot_float16) LOOP2(_Float16, _Float16, _Float16, *r = (_Float16)hypotf((float)a, (float)b);) }
#endif
OPEN(loop_hypot_float32) LOOP2(float, float, float, *r = hypotf(a, b);) }
OPEN(loop_hypot_float64) LOOP2(double, double, double, *r = hypot(a, b);) }
OPEN(loop_hypot_longdouble) LOOP2(long double, long double, long double, *r = hypotl(a, b);) }
#ifdef __FLT16_MAX__
OPEN(loop_logaddexp_float16) LOOP2(_Float16, _Float16, _Float16, *r = (_Float16)logaddexp_float32(((float)a), ((float)b));) }
#endif
OPEN(loop_logaddexp_float32) LOOP2(float, float, float, *r = logaddexp_float32(a, b);) }
OPEN(loop_logaddexp_float64) LOOP2(double, double, double, *r = logaddexp_float64(a, b);) }
OPEN(loop_logaddexp_longdouble) LOOP2(long double, long double, long double, *r = logaddexp_longdouble(a, b);) }
#ifdef __FLT16_MAX__
OPEN(loop_logaddexp2_float16) LOOP2(_Float16, _Float16, _Float16, *r = (_Float16)logaddexp2_float32(((float)a), ((float)b));) }
#endif
OPEN(loop_logaddexp2_float32) LOOP2(float, float, float, *r = logaddexp2_float32(a, b);) }
OPEN(loop_logaddexp2_float64) LOOP2(double, double, double, *r = logaddexp2_float64(a, b);) }
OPEN(loop_logaddexp2_longdouble) LOOP2(long double, long double, long double, *r = logaddexp2_longdouble(a, b);) }
OPEN(loop_cast_bool_bool) LOOP1(uint8_t, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_bool_int8) LOOP1(uint8_t, int8_t, *r = (int8_t)a;) }
OPEN(loop_cast_bool_int16) LOOP1(uint8_t, int16_t, *r = (int16_t)a;) }
OPEN(loop_cast_bool_int32) LOOP1(uint8_t, int32_t, *r = (int32_t)a;) }
OPEN(loop_cast_bool_int64) LOOP1(uint8_t, int64_t, *r = (int64_t)a;) }
OPEN(loop_cast_bool_uint8) LOOP1(uint8_t, uint8_t, *r = (uint8_t)a;) }
OPEN(loop_cast_bool_uint16) LOOP1(uint8_t, uint16_t, *r = (uint16_t)a;) }
OPEN(loop_cast_bool_uint32) LOOP1(uint8_t, uint32_t, *r = (uint32_t)a;) }
OPEN(loop_cast_bool_uint64) LOOP1(uint8_t, uint64_t, *r = (uint64_t)a;) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_bool_float16) LOOP1(uint8_t, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_bool_float32) LOOP1(uint8_t, float, *r = (float)a;) }
OPEN(loop_cast_bool_float64) LOOP1(uint8_t, double, *r = (double)a;) }
OPEN(loop_cast_bool_complex64) LOOP1(uint8_t, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
OPEN(loop_cast_bool_complex128) LOOP1(uint8_t, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
OPEN(loop_cast_bool_longdouble) LOOP1(uint8_t, long double, *r = (long double)a;) }
OPEN(loop_cast_bool_clongdouble) LOOP1(uint8_t, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
OPEN(loop_cast_int8_bool) LOOP1(int8_t, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_int8_int8) LOOP1(int8_t, int8_t, *r = a;) }
OPEN(loop_cast_int8_int16) LOOP1(int8_t, int16_t, *r = (int16_t)a;) }
OPEN(loop_cast_int8_int32) LOOP1(int8_t, int32_t, *r = (int32_t)a;) }
OPEN(loop_cast_int8_int64) LOOP1(int8_t, int64_t, *r = (int64_t)a;) }
OPEN(loop_cast_int8_uint8) LOOP1(int8_t, uint8_t, *r = (uint8_t)a;) }
OPEN(loop_cast_int8_uint16) LOOP1(int8_t, uint16_t, *r = (uint16_t)a;) }
OPEN(loop_cast_int8_uint32) LOOP1(int8_t, uint32_t, *r = (uint32_t)a;) }
OPEN(loop_cast_int8_uint64) LOOP1(int8_t, uint64_t, *r = (uint64_t)a;) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_int8_float16) LOOP1(int8_t, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_int8_float32) LOOP1(int8_t, float, *r = (float)a;) }
OPEN(loop_cast_int8_float64) LOOP1(int8_t, double, *r = (double)a;) }
OPEN(loop_cast_int8_complex64) LOOP1(int8_t, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
OPEN(loop_cast_int8_complex128) LOOP1(int8_t, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
OPEN(loop_cast_int8_longdouble) LOOP1(int8_t, long double, *r = (long double)a;) }
OPEN(loop_cast_int8_clongdouble) LOOP1(int8_t, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
OPEN(loop_cast_int16_bool) LOOP1(int16_t, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_int16_int8) LOOP1(int16_t, int8_t, *r = (int8_t)a;) }
OPEN(loop_cast_int16_int16) LOOP1(int16_t, int16_t, *r = a;) }
OPEN(loop_cast_int16_int32) LOOP1(int16_t, int32_t, *r = (int32_t)a;) }
OPEN(loop_cast_int16_int64) LOOP1(int16_t, int64_t, *r = (int64_t)a;) }
OPEN(loop_cast_int16_uint8) LOOP1(int16_t, uint8_t, *r = (uint8_t)a;) }
OPEN(loop_cast_int16_uint16) LOOP1(int16_t, uint16_t, *r = (uint16_t)a;) }
OPEN(loop_cast_int16_uint32) LOOP1(int16_t, uint32_t, *r = (uint32_t)a;) }
OPEN(loop_cast_int16_uint64) LOOP1(int16_t, uint64_t, *r = (uint64_t)a;) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_int16_float16) LOOP1(int16_t, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_int16_float32) LOOP1(int16_t, float, *r = (float)a;) }
OPEN(loop_cast_int16_float64) LOOP1(int16_t, double, *r = (double)a;) }
OPEN(loop_cast_int16_complex64) LOOP1(int16_t, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
OPEN(loop_cast_int16_complex128) LOOP1(int16_t, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
OPEN(loop_cast_int16_longdouble) LOOP1(int16_t, long double, *r = (long double)a;) }
OPEN(loop_cast_int16_clongdouble) LOOP1(int16_t, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
OPEN(loop_cast_int32_bool) LOOP1(int32_t, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_int32_int8) LOOP1(int32_t, int8_t, *r = (int8_t)a;) }
OPEN(loop_cast_int32_int16) LOOP1(int32_t, int16_t, *r = (int16_t)a;) }
OPEN(loop_cast_int32_int32) LOOP1(int32_t, int32_t, *r = a;) }
OPEN(loop_cast_int32_int64) LOOP1(int32_t, int64_t, *r = (int64_t)a;) }
OPEN(loop_cast_int32_uint8) LOOP1(int32_t, uint8_t, *r = (uint8_t)a;) }
OPEN(loop_cast_int32_uint16) LOOP1(int32_t, uint16_t, *r = (uint16_t)a;) }
OPEN(loop_cast_int32_uint32) LOOP1(int32_t, uint32_t, *r = (uint32_t)a;) }
OPEN(loop_cast_int32_uint64) LOOP1(int32_t, uint64_t, *r = (uint64_t)a;) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_int32_float16) LOOP1(int32_t, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_int32_float32) LOOP1(int32_t, float, *r = (float)a;) }
OPEN(loop_cast_int32_float64) LOOP1(int32_t, double, *r = (double)a;) }
OPEN(loop_cast_int32_complex64) LOOP1(int32_t, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
OPEN(loop_cast_int32_complex128) LOOP1(int32_t, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
OPEN(loop_cast_int32_longdouble) LOOP1(int32_t, long double, *r = (long double)a;) }
OPEN(loop_cast_int32_clongdouble) LOOP1(int32_t, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
OPEN(loop_cast_int64_bool) LOOP1(int64_t, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_int64_int8) LOOP1(int64_t, int8_t, *r = (int8_t)a;) }
OPEN(loop_cast_int64_int16) LOOP1(int64_t, int16_t, *r = (int16_t)a;) }
OPEN(loop_cast_int64_int32) LOOP1(int64_t, int32_t, *r = (int32_t)a;) }
OPEN(loop_cast_int64_int64) LOOP1(int64_t, int64_t, *r = a;) }
OPEN(loop_cast_int64_uint8) LOOP1(int64_t, uint8_t, *r = (uint8_t)a;) }
OPEN(loop_cast_int64_uint16) LOOP1(int64_t, uint16_t, *r = (uint16_t)a;) }
OPEN(loop_cast_int64_uint32) LOOP1(int64_t, uint32_t, *r = (uint32_t)a;) }
OPEN(loop_cast_int64_uint64) LOOP1(int64_t, uint64_t, *r = (uint64_t)a;) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_int64_float16) LOOP1(int64_t, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_int64_float32) LOOP1(int64_t, float, *r = (float)a;) }
OPEN(loop_cast_int64_float64) LOOP1(int64_t, double, *r = (double)a;) }
OPEN(loop_cast_int64_complex64) LOOP1(int64_t, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
OPEN(loop_cast_int64_complex128) LOOP1(int64_t, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
OPEN(loop_cast_int64_longdouble) LOOP1(int64_t, long double, *r = (long double)a;) }
OPEN(loop_cast_int64_clongdouble) LOOP1(int64_t, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
OPEN(loop_cast_uint8_bool) LOOP1(uint8_t, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_uint8_int8) LOOP1(uint8_t, int8_t, *r = (int8_t)a;) }
OPEN(loop_cast_uint8_int16) LOOP1(uint8_t, int16_t, *r = (int16_t)a;) }
OPEN(loop_cast_uint8_int32) LOOP1(uint8_t, int32_t, *r = (int32_t)a;) }
OPEN(loop_cast_uint8_int64) LOOP1(uint8_t, int64_t, *r = (int64_t)a;) }
OPEN(loop_cast_uint8_uint8) LOOP1(uint8_t, uint8_t, *r = a;) }
OPEN(loop_cast_uint8_uint16) LOOP1(uint8_t, uint16_t, *r = (uint16_t)a;) }
OPEN(loop_cast_uint8_uint32) LOOP1(uint8_t, uint32_t, *r = (uint32_t)a;) }
OPEN(loop_cast_uint8_uint64) LOOP1(uint8_t, uint64_t, *r = (uint64_t)a;) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_uint8_float16) LOOP1(uint8_t, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_uint8_float32) LOOP1(uint8_t, float, *r = (float)a;) }
OPEN(loop_cast_uint8_float64) LOOP1(uint8_t, double, *r = (double)a;) }
OPEN(loop_cast_uint8_complex64) LOOP1(uint8_t, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
OPEN(loop_cast_uint8_complex128) LOOP1(uint8_t, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
OPEN(loop_cast_uint8_longdouble) LOOP1(uint8_t, long double, *r = (long double)a;) }
OPEN(loop_cast_uint8_clongdouble) LOOP1(uint8_t, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
OPEN(loop_cast_uint16_bool) LOOP1(uint16_t, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_uint16_int8) LOOP1(uint16_t, int8_t, *r = (int8_t)a;) }
OPEN(loop_cast_uint16_int16) LOOP1(uint16_t, int16_t, *r = (int16_t)a;) }
OPEN(loop_cast_uint16_int32) LOOP1(uint16_t, int32_t, *r = (int32_t)a;) }
OPEN(loop_cast_uint16_int64) LOOP1(uint16_t, int64_t, *r = (int64_t)a;) }
OPEN(loop_cast_uint16_uint8) LOOP1(uint16_t, uint8_t, *r = (uint8_t)a;) }
OPEN(loop_cast_uint16_uint16) LOOP1(uint16_t, uint16_t, *r = a;) }
OPEN(loop_cast_uint16_uint32) LOOP1(uint16_t, uint32_t, *r = (uint32_t)a;) }
OPEN(loop_cast_uint16_uint64) LOOP1(uint16_t, uint64_t, *r = (uint64_t)a;) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_uint16_float16) LOOP1(uint16_t, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_uint16_float32) LOOP1(uint16_t, float, *r = (float)a;) }
OPEN(loop_cast_uint16_float64) LOOP1(uint16_t, double, *r = (double)a;) }
OPEN(loop_cast_uint16_complex64) LOOP1(uint16_t, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
OPEN(loop_cast_uint16_complex128) LOOP1(uint16_t, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
OPEN(loop_cast_uint16_longdouble) LOOP1(uint16_t, long double, *r = (long double)a;) }
OPEN(loop_cast_uint16_clongdouble) LOOP1(uint16_t, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
OPEN(loop_cast_uint32_bool) LOOP1(uint32_t, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_uint32_int8) LOOP1(uint32_t, int8_t, *r = (int8_t)a;) }
OPEN(loop_cast_uint32_int16) LOOP1(uint32_t, int16_t, *r = (int16_t)a;) }
OPEN(loop_cast_uint32_int32) LOOP1(uint32_t, int32_t, *r = (int32_t)a;) }
OPEN(loop_cast_uint32_int64) LOOP1(uint32_t, int64_t, *r = (int64_t)a;) }
OPEN(loop_cast_uint32_uint8) LOOP1(uint32_t, uint8_t, *r = (uint8_t)a;) }
OPEN(loop_cast_uint32_uint16) LOOP1(uint32_t, uint16_t, *r = (uint16_t)a;) }
OPEN(loop_cast_uint32_uint32) LOOP1(uint32_t, uint32_t, *r = a;) }
OPEN(loop_cast_uint32_uint64) LOOP1(uint32_t, uint64_t, *r = (uint64_t)a;) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_uint32_float16) LOOP1(uint32_t, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_uint32_float32) LOOP1(uint32_t, float, *r = (float)a;) }
OPEN(loop_cast_uint32_float64) LOOP1(uint32_t, double, *r = (double)a;) }
OPEN(loop_cast_uint32_complex64) LOOP1(uint32_t, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
OPEN(loop_cast_uint32_complex128) LOOP1(uint32_t, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
OPEN(loop_cast_uint32_longdouble) LOOP1(uint32_t, long double, *r = (long double)a;) }
OPEN(loop_cast_uint32_clongdouble) LOOP1(uint32_t, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
OPEN(loop_cast_uint64_bool) LOOP1(uint64_t, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_uint64_int8) LOOP1(uint64_t, int8_t, *r = (int8_t)a;) }
OPEN(loop_cast_uint64_int16) LOOP1(uint64_t, int16_t, *r = (int16_t)a;) }
OPEN(loop_cast_uint64_int32) LOOP1(uint64_t, int32_t, *r = (int32_t)a;) }
OPEN(loop_cast_uint64_int64) LOOP1(uint64_t, int64_t, *r = (int64_t)a;) }
OPEN(loop_cast_uint64_uint8) LOOP1(uint64_t, uint8_t, *r = (uint8_t)a;) }
OPEN(loop_cast_uint64_uint16) LOOP1(uint64_t, uint16_t, *r = (uint16_t)a;) }
OPEN(loop_cast_uint64_uint32) LOOP1(uint64_t, uint32_t, *r = (uint32_t)a;) }
OPEN(loop_cast_uint64_uint64) LOOP1(uint64_t, uint64_t, *r = a;) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_uint64_float16) LOOP1(uint64_t, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_uint64_float32) LOOP1(uint64_t, float, *r = (float)a;) }
OPEN(loop_cast_uint64_float64) LOOP1(uint64_t, double, *r = (double)a;) }
OPEN(loop_cast_uint64_complex64) LOOP1(uint64_t, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
OPEN(loop_cast_uint64_complex128) LOOP1(uint64_t, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
OPEN(loop_cast_uint64_longdouble) LOOP1(uint64_t, long double, *r = (long double)a;) }
OPEN(loop_cast_uint64_clongdouble) LOOP1(uint64_t, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_bool) LOOP1(_Float16, uint8_t, *r = (a != 0);) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_int8) LOOP1(_Float16, int8_t, *r = (int8_t)(int32_t)a;) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_int16) LOOP1(_Float16, int16_t, *r = (int16_t)(int32_t)a;) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_int32) LOOP1(_Float16, int32_t, *r = (int32_t)a;) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_int64) LOOP1(_Float16, int64_t, *r = (int64_t)a;) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_uint8) LOOP1(_Float16, uint8_t, *r = (uint8_t)(int32_t)a;) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_uint16) LOOP1(_Float16, uint16_t, *r = (uint16_t)(int32_t)a;) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_uint32) LOOP1(_Float16, uint32_t, *r = (uint32_t)(int64_t)a;) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_uint64) LOOP1(_Float16, uint64_t, *r = cast_float16_uint64(a);) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_float16) LOOP1(_Float16, _Float16, *r = a;) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_float32) LOOP1(_Float16, float, *r = (float)a;) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_float64) LOOP1(_Float16, double, *r = (double)a;) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_complex64) LOOP1(_Float16, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_complex128) LOOP1(_Float16, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_longdouble) LOOP1(_Float16, long double, *r = (long double)a;) }
#endif
#ifdef __FLT16_MAX__
OPEN(loop_cast_float16_clongdouble) LOOP1(_Float16, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
#endif
OPEN(loop_cast_float32_bool) LOOP1(float, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_float32_int8) LOOP1(float, int8_t, *r = (int8_t)(int32_t)a;) }
OPEN(loop_cast_float32_int16) LOOP1(float, int16_t, *r = (int16_t)(int32_t)a;) }
OPEN(loop_cast_float32_int32) LOOP1(float, int32_t, *r = (int32_t)a;) }
OPEN(loop_cast_float32_int64) LOOP1(float, int64_t, *r = (int64_t)a;) }
OPEN(loop_cast_float32_uint8) LOOP1(float, uint8_t, *r = (uint8_t)(int32_t)a;) }
OPEN(loop_cast_float32_uint16) LOOP1(float, uint16_t, *r = (uint16_t)(int32_t)a;) }
OPEN(loop_cast_float32_uint32) LOOP1(float, uint32_t, *r = cast_float32_uint32(a);) }
OPEN(loop_cast_float32_uint64) LOOP1(float, uint64_t, *r = cast_float32_uint64(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_float32_float16) LOOP1(float, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_float32_float32) LOOP1(float, float, *r = a;) }
OPEN(loop_cast_float32_float64) LOOP1(float, double, *r = (double)a;) }
OPEN(loop_cast_float32_complex64) LOOP1(float, arrayexpr_complex64, *r = (arrayexpr_complex64){a, 0};) }
OPEN(loop_cast_float32_complex128) LOOP1(float, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
OPEN(loop_cast_float32_longdouble) LOOP1(float, long double, *r = (long double)a;) }
OPEN(loop_cast_float32_clongdouble) LOOP1(float, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
OPEN(loop_cast_float64_bool) LOOP1(double, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_float64_int8) LOOP1(double, int8_t, *r = (int8_t)(int32_t)a;) }
OPEN(loop_cast_float64_int16) LOOP1(double, int16_t, *r = (int16_t)(int32_t)a;) }
OPEN(loop_cast_float64_int32) LOOP1(double, int32_t, *r = (int32_t)a;) }
OPEN(loop_cast_float64_int64) LOOP1(double, int64_t, *r = (int64_t)a;) }
OPEN(loop_cast_float64_uint8) LOOP1(double, uint8_t, *r = (uint8_t)(int32_t)a;) }
OPEN(loop_cast_float64_uint16) LOOP1(double, uint16_t, *r = (uint16_t)(int32_t)a;) }
OPEN(loop_cast_float64_uint32) LOOP1(double, uint32_t, *r = cast_float64_uint32(a);) }
OPEN(loop_cast_float64_uint64) LOOP1(double, uint64_t, *r = cast_float64_uint64(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_float64_float16) LOOP1(double, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_float64_float32) LOOP1(double, float, *r = (float)a;) }
OPEN(loop_cast_float64_float64) LOOP1(double, double, *r = a;) }
OPEN(loop_cast_float64_complex64) LOOP1(double, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
OPEN(loop_cast_float64_complex128) LOOP1(double, arrayexpr_complex128, *r = (arrayexpr_complex128){a, 0};) }
OPEN(loop_cast_float64_longdouble) LOOP1(double, long double, *r = (long double)a;) }
OPEN(loop_cast_float64_clongdouble) LOOP1(double, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){(long double)a, 0};) }
OPEN(loop_cast_complex64_bool) LOOP1(arrayexpr_complex64, uint8_t, *r = cast_complex64_bool(a);) }
OPEN(loop_cast_complex64_int8) LOOP1(arrayexpr_complex64, int8_t, *r = (int8_t)(int32_t)a.re;) }
OPEN(loop_cast_complex64_int16) LOOP1(arrayexpr_complex64, int16_t, *r = (int16_t)(int32_t)a.re;) }
OPEN(loop_cast_complex64_int32) LOOP1(arrayexpr_complex64, int32_t, *r = (int32_t)a.re;) }
OPEN(loop_cast_complex64_int64) LOOP1(arrayexpr_complex64, int64_t, *r = (int64_t)a.re;) }
OPEN(loop_cast_complex64_uint8) LOOP1(arrayexpr_complex64, uint8_t, *r = (uint8_t)(int32_t)a.re;) }
OPEN(loop_cast_complex64_uint16) LOOP1(arrayexpr_complex64, uint16_t, *r = (uint16_t)(int32_t)a.re;) }
OPEN(loop_cast_complex64_uint32) LOOP1(arrayexpr_complex64, uint32_t, *r = (uint32_t)(int64_t)a.re;) }
OPEN(loop_cast_complex64_uint64) LOOP1(arrayexpr_complex64, uint64_t, *r = cast_float32_uint64(a.re);) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_complex64_float16) LOOP1(arrayexpr_complex64, _Float16, *r = (_Float16)a.re;) }
#endif
OPEN(loop_cast_complex64_float32) LOOP1(arrayexpr_complex64, float, *r = a.re;) }
OPEN(loop_cast_complex64_float64) LOOP1(arrayexpr_complex64, double, *r = (double)a.re;) }
OPEN(loop_cast_complex64_complex64) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = a;) }
OPEN(loop_cast_complex64_complex128) LOOP1(arrayexpr_complex64, arrayexpr_complex128, *r = cast_complex64_complex128(a);) }
OPEN(loop_cast_complex64_longdouble) LOOP1(arrayexpr_complex64, long double, *r = (long double)a.re;) }
OPEN(loop_cast_complex64_clongdouble) LOOP1(arrayexpr_complex64, arrayexpr_clongdouble, *r = cast_complex64_clongdouble(a);) }
OPEN(loop_cast_complex128_bool) LOOP1(arrayexpr_complex128, uint8_t, *r = cast_complex128_bool(a);) }
OPEN(loop_cast_complex128_int8) LOOP1(arrayexpr_complex128, int8_t, *r = (int8_t)(int32_t)a.re;) }
OPEN(loop_cast_complex128_int16) LOOP1(arrayexpr_complex128, int16_t, *r = (int16_t)(int32_t)a.re;) }
OPEN(loop_cast_complex128_int32) LOOP1(arrayexpr_complex128, int32_t, *r = (int32_t)a.re;) }
OPEN(loop_cast_complex128_int64) LOOP1(arrayexpr_complex128, int64_t, *r = (int64_t)a.re;) }
OPEN(loop_cast_complex128_uint8) LOOP1(arrayexpr_complex128, uint8_t, *r = (uint8_t)(int32_t)a.re;) }
OPEN(loop_cast_complex128_uint16) LOOP1(arrayexpr_complex128, uint16_t, *r = (uint16_t)(int32_t)a.re;) }
OPEN(loop_cast_complex128_uint32) LOOP1(arrayexpr_complex128, uint32_t, *r = (uint32_t)(int64_t)a.re;) }
OPEN(loop_cast_complex128_uint64) LOOP1(arrayexpr_complex128, uint64_t, *r = cast_float64_uint64(a.re);) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_complex128_float16) LOOP1(arrayexpr_complex128, _Float16, *r = (_Float16)a.re;) }
#endif
OPEN(loop_cast_complex128_float32) LOOP1(arrayexpr_complex128, float, *r = (float)a.re;) }
OPEN(loop_cast_complex128_float64) LOOP1(arrayexpr_complex128, double, *r = a.re;) }
OPEN(loop_cast_complex128_complex64) LOOP1(arrayexpr_complex128, arrayexpr_complex64, *r = cast_complex128_complex64(a);) }
OPEN(loop_cast_complex128_complex128) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = a;) }
OPEN(loop_cast_complex128_longdouble) LOOP1(arrayexpr_complex128, long double, *r = (long double)a.re;) }
OPEN(loop_cast_complex128_clongdouble) LOOP1(arrayexpr_complex128, arrayexpr_clongdouble, *r = cast_complex128_clongdouble(a);) }
OPEN(loop_cast_longdouble_bool) LOOP1(long double, uint8_t, *r = (a != 0);) }
OPEN(loop_cast_longdouble_int8) LOOP1(long double, int8_t, *r = (int8_t)(int16_t)a;) }
OPEN(loop_cast_longdouble_int16) LOOP1(long double, int16_t, *r = (int16_t)(int16_t)a;) }
OPEN(loop_cast_longdouble_int32) LOOP1(long double, int32_t, *r = (int32_t)a;) }
OPEN(loop_cast_longdouble_int64) LOOP1(long double, int64_t, *r = (int64_t)a;) }
OPEN(loop_cast_longdouble_uint8) LOOP1(long double, uint8_t, *r = (uint8_t)(int16_t)a;) }
OPEN(loop_cast_longdouble_uint16) LOOP1(long double, uint16_t, *r = (uint16_t)(int32_t)a;) }
OPEN(loop_cast_longdouble_uint32) LOOP1(long double, uint32_t, *r = (uint32_t)(int64_t)a;) }
OPEN(loop_cast_longdouble_uint64) LOOP1(long double, uint64_t, *r = cast_longdouble_uint64(a);) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_longdouble_float16) LOOP1(long double, _Float16, *r = (_Float16)a;) }
#endif
OPEN(loop_cast_longdouble_float32) LOOP1(long double, float, *r = (float)a;) }
OPEN(loop_cast_longdouble_float64) LOOP1(long double, double, *r = (double)a;) }
OPEN(loop_cast_longdouble_complex64) LOOP1(long double, arrayexpr_complex64, *r = (arrayexpr_complex64){(float)a, 0};) }
OPEN(loop_cast_longdouble_complex128) LOOP1(long double, arrayexpr_complex128, *r = (arrayexpr_complex128){(double)a, 0};) }
OPEN(loop_cast_longdouble_longdouble) LOOP1(long double, long double, *r = a;) }
OPEN(loop_cast_longdouble_clongdouble) LOOP1(long double, arrayexpr_clongdouble, *r = (arrayexpr_clongdouble){a, 0};) }
OPEN(loop_cast_clongdouble_bool) LOOP1(arrayexpr_clongdouble, uint8_t, *r = cast_clongdouble_bool(a);) }
OPEN(loop_cast_clongdouble_int8) LOOP1(arrayexpr_clongdouble, int8_t, *r = (int8_t)(int16_t)a.re;) }
OPEN(loop_cast_clongdouble_int16) LOOP1(arrayexpr_clongdouble, int16_t, *r = (int16_t)(int16_t)a.re;) }
OPEN(loop_cast_clongdouble_int32) LOOP1(arrayexpr_clongdouble, int32_t, *r = (int32_t)a.re;) }
OPEN(loop_cast_clongdouble_int64) LOOP1(arrayexpr_clongdouble, int64_t, *r = (int64_t)a.re;) }
OPEN(loop_cast_clongdouble_uint8) LOOP1(arrayexpr_clongdouble, uint8_t, *r = (uint8_t)(int16_t)a.re;) }
OPEN(loop_cast_clongdouble_uint16) LOOP1(arrayexpr_clongdouble, uint16_t, *r = (uint16_t)(int32_t)a.re;) }
OPEN(loop_cast_clongdouble_uint32) LOOP1(arrayexpr_clongdouble, uint32_t, *r = (uint32_t)(int64_t)a.re;) }
OPEN(loop_cast_clongdouble_uint64) LOOP1(arrayexpr_clongdouble, uint64_t, *r = cast_longdouble_uint64(a.re);) }
#ifdef __FLT16_MAX__
OPEN(loop_cast_clongdouble_float16) LOOP1(arrayexpr_clongdouble, _Float16, *r = (_Float16)a.re;) }
#endif
OPEN(loop_cast_clongdouble_float32) LOOP1(arrayexpr_clongdouble, float, *r = (float)a.re;) }
OPEN(loop_cast_clongdouble_float64) LOOP1(arrayexpr_clongdouble, double, *r = (double)a.re;) }
OPEN(loop_cast_clongdouble_complex64) LOOP1(arrayexpr_clongdouble, arrayexpr_complex64, *r = cast_clongdouble_complex64(a);) }
OPEN(loop_cast_clongdouble_complex128) LOOP1(arrayexpr_clongdouble, arrayexpr_complex128, *r = cast_clongdouble_complex128(a);) }
OPEN(loop_cast_clongdouble_longdouble) LOOP1(arrayexpr_clongdouble, long double, *r = a.re;) }
OPEN(loop_cast_clongdouble_clongdouble) LOOP1(arrayexpr_clongdouble, arrayexpr_clongdouble, *r = a;) }
#ifdef __x86_64__
__attribute__((target("avx2,fma"))) static inline arrayexpr_complex64 multiply_complex64_fused(arrayexpr_complex64 a, arrayexpr_complex64 b) {
    return (arrayexpr_complex64){fmaf(a.re, b.re, -(a.im * b.im)), fmaf(a.re, b.im, a.im * b.re)};
}
__attribute__((target("avx2,fma"))) OPEN(loop_multiply_complex64_fused) LOOP2(arrayexpr_complex64, arrayexpr_complex64, arrayexpr_complex64, *r = multiply_complex64_fused(a, b);) }
__attribute__((target("avx2,fma"))) OPEN(loop_square_complex64_fused) LOOP1(arrayexpr_complex64, arrayexpr_complex64, *r = multiply_complex64_fused(a, a);) }
__attribute__((target("avx2,fma"))) static inline arrayexpr_complex128 multiply_complex128_fused(arrayexpr_complex128 a, arrayexpr_complex128 b) {
    return (arrayexpr_complex128){fma(a.re, b.re, -(a.im * b.im)), fma(a.re, b.im, a.im * b.re)};
}
__attribute__((target("avx2,fma"))) OPEN(loop_multiply_complex128_fused) LOOP2(arrayexpr_complex128, arrayexpr_complex128, arrayexpr_complex128, *r = multiply_complex128_fused(a, b);) }
__attribute__((target("avx2,fma"))) OPEN(loop_square_complex128_fused) LOOP1(arrayexpr_complex128, arrayexpr_complex128, *r = multiply_complex128_fused(a, a);) }
#define FUSED(...) __VA_ARGS__
#else
#define FUSED(...)
#endif

static const struct { const char *name; loop_function function; } loops[] = {
    {"multiply_complex64", loop_multiply_complex64},
    {"multiply_complex128", loop_multiply_complex128},
    {"multiply_clongdouble", loop_multiply_clongdouble},
    {"trunc_divide_int8", loop_trunc_divide_int8},
    {"trunc_divide_int16", loop_trunc_divide_int16},
    {"trunc_divide_int32", loop_trunc_divide_int32},
    {"trunc_divide_int64", loop_trunc_divide_int64},
    {"trunc_divide_uint8", loop_trunc_divide_uint8},
    {"trunc_divide_uint16", loop_trunc_divide_uint16},
    {"trunc_divide_uint32", loop_trunc_divide_uint32},
    {"trunc_divide_uint64", loop_trunc_divide_uint64},
    {"power_int8", loop_power_int8},
    {"power_int16", loop_power_int16},
    {"power_int32", loop_power_int32},
    {"power_int64", loop_power_int64},
    {"power_uint8", loop_power_uint8},
    {"power_uint16", loop_power_uint16},
    {"power_uint32", loop_power_uint32},
    {"power_uint64", loop_power_uint64},
    HALF({"power_float16", loop_power_float16},)
    {"power_float32", loop_power_float32},
    {"power_float64", loop_power_float64},
    {"power_complex64", loop_power_complex64},
    {"power_complex128", loop_power_complex128},
    {"power_longdouble", loop_power_longdouble},
    {"power_clongdouble", loop_power_clongdouble},
    {"absolute_complex64", loop_absolute_complex64},
    {"absolute_complex128", loop_absolute_complex128},
    {"absolute_clongdouble", loop_absolute_clongdouble},
    {"square_complex64", loop_square_complex64},
    {"square_complex128", loop_square_complex128},
    {"square_clongdouble", loop_square_clongdouble},
    {"fma_float32", loop_fma_float32},
    {"fma_float64", loop_fma_float64},
    HALF({"minimum_float16", loop_minimum_float16},)
    {"minimum_float32", loop_minimum_float32},
    {"minimum_float64", loop_minimum_float64},
    {"minimum_longdouble", loop_minimum_longdouble},
    HALF({"maximum_float16", loop_maximum_float16},)
    {"maximum_float32", loop_maximum_float32},
    {"maximum_float64", loop_maximum_float64},
    {"maximum_longdouble", loop_maximum_longdouble},
    HALF({"fmin_float16", loop_fmin_float16},)
    {"fmin_float32", loop_fmin_float32},
    {"fmin_float64", loop_fmin_float64},
    {"fmin_longdouble", loop_fmin_longdouble},
    HALF({"fmax_float16", loop_fmax_float16},)
    {"fmax_float32", loop_fmax_float32},
    {"fmax_float64", loop_fmax_float64},
    {"fmax_longdouble", loop_fmax_longdouble},
    {"where_bool", loop_where_bool},
    {"where_int8", loop_where_int8},
    {"where_int16", loop_where_int16},
    {"where_int32", loop_where_int32},
    {"where_int64", loop_where_int64},
    {"where_uint8", loop_where_uint8},
    {"where_uint16", loop_where_uint16},
    {"where_uint32", loop_where_uint32},
    {"where_uint64", loop_where_uint64},
    HALF({"where_float16", loop_where_float16},)
    {"where_float32", loop_where_float32},
    {"where_float64", loop_where_float64},
    {"where_complex64", loop_where_complex64},
    {"where_complex128", loop_where_complex128},
    {"where_longdouble", loop_where_longdouble},
    {"where_clongdouble", loop_where_clongdouble},
    {"clip_int8", loop_clip_int8},
    {"clip_int16", loop_clip_int16},
    {"clip_int32", loop_clip_int32},
    {"clip_int64", loop_clip_int64},
    {"clip_uint8", loop_clip_uint8},
    {"clip_uint16", loop_clip_uint16},
    {"clip_uint32", loop_clip_uint32},
    {"clip_uint64", loop_clip_uint64},
    HALF({"clip_float16", loop_clip_float16},)
    {"clip_float32", loop_clip_float32},
    {"clip_float64", loop_clip_float64},
    {"clip_longdouble", loop_clip_longdouble},
    {"real_complex64", loop_real_complex64},
    {"real_complex128", loop_real_complex128},
    {"real_clongdouble", loop_real_clongdouble},
    {"imag_complex64", loop_imag_complex64},
    {"imag_complex128", loop_imag_complex128},
    {"imag_clongdouble", loop_imag_clongdouble},
    {"complex_float32", loop_complex_float32},
    {"complex_float64", loop_complex_float64},
    {"complex_longdouble", loop_complex_longdouble},
    {"sqrt_complex64", loop_sqrt_complex64},
    {"sqrt_complex128", loop_sqrt_complex128},
    {"sqrt_clongdouble", loop_sqrt_clongdouble},
    HALF({"exp_float16", loop_exp_float16},)
    {"exp_float32", loop_exp_float32},
    {"exp_float64", loop_exp_float64},
    {"exp_complex64", loop_exp_complex64},
    {"exp_complex128", loop_exp_complex128},
    {"exp_longdouble", loop_exp_longdouble},
    {"exp_clongdouble", loop_exp_clongdouble},
    HALF({"exp2_float16", loop_exp2_float16},)
    {"exp2_float32", loop_exp2_float32},
    {"exp2_float64", loop_exp2_float64},
    {"exp2_complex64", loop_exp2_complex64},
    {"exp2_complex128", loop_exp2_complex128},
    {"exp2_longdouble", loop_exp2_longdouble},
    {"exp2_clongdouble", loop_exp2_clongdouble},
    HALF({"expm1_float16", loop_expm1_float16},)
    {"expm1_float32", loop_expm1_float32},
    {"expm1_float64", loop_expm1_float64},
    {"expm1_complex64", loop_expm1_complex64},
    {"expm1_complex128", loop_expm1_complex128},
    {"expm1_longdouble", loop_expm1_longdouble},
    {"expm1_clongdouble", loop_expm1_clongdouble},
    HALF({"log_float16", loop_log_float16},)
    {"log_float32", loop_log_float32},
    {"log_float64", loop_log_float64},
    {"log_complex64", loop_log_complex64},
    {"log_complex128", loop_log_complex128},
    {"log_longdouble", loop_log_longdouble},
    {"log_clongdouble", loop_log_clongdouble},
    HALF({"log2_float16", loop_log2_float16},)
    {"log2_float32", loop_log2_float32},
    {"log2_float64", loop_log2_float64},
    {"log2_complex64", loop_log2_complex64},
    {"log2_complex128", loop_log2_complex128},
    {"log2_longdouble", loop_log2_longdouble},
    {"log2_clongdouble", loop_log2_clongdouble},
    HALF({"log10_float16", loop_log10_float16},)
    {"log10_float32", loop_log10_float32},
    {"log10_float64", loop_log10_float64},
    {"log10_complex64", loop_log10_complex64},
    {"log10_complex128", loop_log10_complex128},
    {"log10_longdouble", loop_log10_longdouble},
    {"log10_clongdouble", loop_log10_clongdouble},
    HALF({"log1p_float16", loop_log1p_float16},)
    {"log1p_float32", loop_log1p_float32},
    {"log1p_float64", loop_log1p_float64},
    {"log1p_complex64", loop_log1p_complex64},
    {"log1p_complex128", loop_log1p_complex128},
    {"log1p_longdouble", loop_log1p_longdouble},
    {"log1p_clongdouble", loop_log1p_clongdouble},
    HALF({"sin_float16", loop_sin_float16},)
    {"sin_float32", loop_sin_float32},
    {"sin_float64", loop_sin_float64},
    {"sin_complex64", loop_sin_complex64},
    {"sin_complex128", loop_sin_complex128},
    {"sin_longdouble", loop_sin_longdouble},
    {"sin_clongdouble", loop_sin_clongdouble},
    HALF({"cos_float16", loop_cos_float16},)
    {"cos_float32", loop_cos_float32},
    {"cos_float64", loop_cos_float64},
    {"cos_complex64", loop_cos_complex64},
    {"cos_complex128", loop_cos_complex128},
    {"cos_longdouble", loop_cos_longdouble},
    {"cos_clongdouble", loop_cos_clongdouble},
    HALF({"tan_float16", loop_tan_float16},)
    {"tan_float32", loop_tan_float32},
    {"tan_float64", loop_tan_float64},
    {"tan_complex64", loop_tan_complex64},
    {"tan_complex128", loop_tan_complex128},
    {"tan_longdouble", loop_tan_longdouble},
    {"tan_clongdouble", loop_tan_clongdouble},
    HALF({"arcsin_float16", loop_arcsin_float16},)
    {"arcsin_float32", loop_arcsin_float32},
    {"arcsin_float64", loop_arcsin_float64},
    {"arcsin_complex64", loop_arcsin_complex64},
    {"arcsin_complex128", loop_arcsin_complex128},
    {"arcsin_longdouble", loop_arcsin_longdouble},
    {"arcsin_clongdouble", loop_arcsin_clongdouble},
    HALF({"arccos_float16", loop_arccos_float16},)
    {"arccos_float32", loop_arccos_float32},
    {"arccos_float64", loop_arccos_float64},
    {"arccos_complex64", loop_arccos_complex64},
    {"arccos_complex128", loop_arccos_complex128},
    {"arccos_longdouble", loop_arccos_longdouble},
    {"arccos_clongdouble", loop_arccos_clongdouble},
    HALF({"arctan_float16", loop_arctan_float16},)
    {"arctan_float32", loop_arctan_float32},
    {"arctan_float64", loop_arctan_float64},
    {"arctan_complex64", loop_arctan_complex64},
    {"arctan_complex128", loop_arctan_complex128},
    {"arctan_longdouble", loop_arctan_longdouble},
    {"arctan_clongdouble", loop_arctan_clongdouble},
    HALF({"sinh_float16", loop_sinh_float16},)
    {"sinh_float32", loop_sinh_float32},
    {"sinh_float64", loop_sinh_float64},
    {"sinh_complex64", loop_sinh_complex64},
    {"sinh_complex128", loop_sinh_complex128},
    {"sinh_longdouble", loop_sinh_longdouble},
    {"sinh_clongdouble", loop_sinh_clongdouble},
    HALF({"cosh_float16", loop_cosh_float16},)
    {"cosh_float32", loop_cosh_float32},
    {"cosh_float64", loop_cosh_float64},
    {"cosh_complex64", loop_cosh_complex64},
    {"cosh_complex128", loop_cosh_complex128},
    {"cosh_longdouble", loop_cosh_longdouble},
    {"cosh_clongdouble", loop_cosh_clongdouble},
    HALF({"tanh_float16", loop_tanh_float16},)
    {"tanh_float32", loop_tanh_float32},
    {"tanh_float64", loop_tanh_float64},
    {"tanh_complex64", loop_tanh_complex64},
    {"tanh_complex128", loop_tanh_complex128},
    {"tanh_longdouble", loop_tanh_longdouble},
    {"tanh_clongdouble", loop_tanh_clongdouble},
    HALF({"arcsinh_float16", loop_arcsinh_float16},)
    {"arcsinh_float32", loop_arcsinh_float32},
    {"arcsinh_float64", loop_arcsinh_float64},
    {"arcsinh_complex64", loop_arcsinh_complex64},
    {"arcsinh_complex128", loop_arcsinh_complex128},
    {"arcsinh_longdouble", loop_arcsinh_longdouble},
    {"arcsinh_clongdouble", loop_arcsinh_clongdouble},
    HALF({"arccosh_float16", loop_arccosh_float16},)
    {"arccosh_float32", loop_arccosh_float32},
    {"arccosh_float64", loop_arccosh_float64},
    {"arccosh_complex64", loop_arccosh_complex64},
    {"arccosh_complex128", loop_arccosh_complex128},
    {"arccosh_longdouble", loop_arccosh_longdouble},
    {"arccosh_clongdouble", loop_arccosh_clongdouble},
    HALF({"arctanh_float16", loop_arctanh_float16},)
    {"arctanh_float32", loop_arctanh_float32},
    {"arctanh_float64", loop_arctanh_float64},
    {"arctanh_complex64", loop_arctanh_complex64},
    {"arctanh_complex128", loop_arctanh_complex128},
    {"arctanh_longdouble", loop_arctanh_longdouble},
    {"arctanh_clongdouble", loop_arctanh_clongdouble},
    HALF({"cbrt_float16", loop_cbrt_float16},)
    {"cbrt_float32", loop_cbrt_float32},
    {"cbrt_float64", loop_cbrt_float64},
    {"cbrt_longdouble", loop_cbrt_longdouble},
    HALF({"arctan2_float16", loop_arctan2_float16},)
    {"arctan2_float32", loop_arctan2_float32},
    {"arctan2_float64", loop_arctan2_float64},
    {"arctan2_longdouble", loop_arctan2_longdouble},
    HALF({"hypot_float16", loop_hypot_float16},)
    {"hypot_float32", loop_hypot_float32},
    {"hypot_float64", loop_hypot_float64},
    {"hypot_longdouble", loop_hypot_longdouble},
    HALF({"logaddexp_float16", loop_logaddexp_float16},)
    {"logaddexp_float32", loop_logaddexp_float32},
    {"logaddexp_float64", loop_logaddexp_float64},
    {"logaddexp_longdouble", loop_logaddexp_longdouble},
    HALF({"logaddexp2_float16", loop_logaddexp2_float16},)
    {"logaddexp2_float32", loop_logaddexp2_float32},
    {"logaddexp2_float64", loop_logaddexp2_float64},
    {"logaddexp2_longdouble", loop_logaddexp2_longdouble},
    {"cast_bool_bool", loop_cast_bool_bool},
    {"cast_bool_int8", loop_cast_bool_int8},
    {"cast_bool_int16", loop_cast_bool_int16},
    {"cast_bool_int32", loop_cast_bool_int32},
    {"cast_bool_int64", loop_cast_bool_int64},
    {"cast_bool_uint8", loop_cast_bool_uint8},
    {"cast_bool_uint16", loop_cast_bool_uint16},
    {"cast_bool_uint32", loop_cast_bool_uint32},
    {"cast_bool_uint64", loop_cast_bool_uint64},
    HALF({"cast_bool_float16", loop_cast_bool_float16},)
    {"cast_bool_float32", loop_cast_bool_float32},
    {"cast_bool_float64", loop_cast_bool_float64},
    {"cast_bool_complex64", loop_cast_bool_complex64},
    {"cast_bool_complex128", loop_cast_bool_complex128},
    {"cast_bool_longdouble", loop_cast_bool_longdouble},
    {"cast_bool_clongdouble", loop_cast_bool_clongdouble},
    {"cast_int8_bool", loop_cast_int8_bool},
    {"cast_int8_int8", loop_cast_int8_int8},
    {"cast_int8_int16", loop_cast_int8_int16},
    {"cast_int8_int32", loop_cast_int8_int32},
    {"cast_int8_int64", loop_cast_int8_int64},
    {"cast_int8_uint8", loop_cast_int8_uint8},
    {"cast_int8_uint16", loop_cast_int8_uint16},
    {"cast_int8_uint32", loop_cast_int8_uint32},
    {"cast_int8_uint64", loop_cast_int8_uint64},
    HALF({"cast_int8_float16", loop_cast_int8_float16},)
    {"cast_int8_float32", loop_cast_int8_float32},
    {"cast_int8_float64", loop_cast_int8_float64},
    {"cast_int8_complex64", loop_cast_int8_complex64},
    {"cast_int8_complex128", loop_cast_int8_complex128},
    {"cast_int8_longdouble", loop_cast_int8_longdouble},
    {"cast_int8_clongdouble", loop_cast_int8_clongdouble},
    {"cast_int16_bool", loop_cast_int16_bool},
    {"cast_int16_int8", loop_cast_int16_int8},
    {"cast_int16_int16", loop_cast_int16_int16},
    {"cast_int16_int32", loop_cast_int16_int32},
    {"cast_int16_int64", loop_cast_int16_int64},
    {"cast_int16_uint8", loop_cast_int16_uint8},
    {"cast_int16_uint16", loop_cast_int16_uint16},
    {"cast_int16_uint32", loop_cast_int16_uint32},
    {"cast_int16_uint64", loop_cast_int16_uint64},
    HALF({"cast_int16_float16", loop_cast_int16_float16},)
    {"cast_int16_float32", loop_cast_int16_float32},
    {"cast_int16_float64", loop_cast_int16_float64},
    {"cast_int16_complex64", loop_cast_int16_complex64},
    {"cast_int16_complex128", loop_cast_int16_complex128},
    {"cast_int16_longdouble", loop_cast_int16_longdouble},
    {"cast_int16_clongdouble", loop_cast_int16_clongdouble},
    {"cast_int32_bool", loop_cast_int32_bool},
    {"cast_int32_int8", loop_cast_int32_int8},
    {"cast_int32_int16", loop_cast_int32_int16},
    {"cast_int32_int32", loop_cast_int32_int32},
    {"cast_int32_int64", loop_cast_int32_int64},
    {"cast_int32_uint8", loop_cast_int32_uint8},
    {"cast_int32_uint16", loop_cast_int32_uint16},
    {"cast_int32_uint32", loop_cast_int32_uint32},
    {"cast_int32_uint64", loop_cast_int32_uint64},
    HALF({"cast_int32_float16", loop_cast_int32_float16},)
    {"cast_int32_float32", loop_cast_int32_float32},
    {"cast_int32_float64", loop_cast_int32_float64},
    {"cast_int32_complex64", loop_cast_int32_complex64},
    {"cast_int32_complex128", loop_cast_int32_complex128},
    {"cast_int32_longdouble", loop_cast_int32_longdouble},
    {"cast_int32_clongdouble", loop_cast_int32_clongdouble},
    {"cast_int64_bool", loop_cast_int64_bool},
    {"cast_int64_int8", loop_cast_int64_int8},
    {"cast_int64_int16", loop_cast_int64_int16},
    {"cast_int64_int32", loop_cast_int64_int32},
    {"cast_int64_int64", loop_cast_int64_int64},
    {"cast_int64_uint8", loop_cast_int64_uint8},
    {"cast_int64_uint16", loop_cast_int64_uint16},
    {"cast_int64_uint32", loop_cast_int64_uint32},
    {"cast_int64_uint64", loop_cast_int64_uint64},
    HALF({"cast_int64_float16", loop_cast_int64_float16},)
    {"cast_int64_float32", loop_cast_int64_float32},
    {"cast_int64_float64", loop_cast_int64_float64},
    {"cast_int64_complex64", loop_cast_int64_complex64},
    {"cast_int64_complex128", loop_cast_int64_complex128},
    {"cast_int64_longdouble", loop_cast_int64_longdouble},
    {"cast_int64_clongdouble", loop_cast_int64_clongdouble},
    {"cast_uint8_bool", loop_cast_uint8_bool},
    {"cast_uint8_int8", loop_cast_uint8_int8},
    {"cast_uint8_int16", loop_cast_uint8_int16},
    {"cast_uint8_int32", loop_cast_uint8_int32},
    {"cast_uint8_int64", loop_cast_uint8_int64},
    {"cast_uint8_uint8", loop_cast_uint8_uint8},
    {"cast_uint8_uint16", loop_cast_uint8_uint16},
    {"cast_uint8_uint32", loop_cast_uint8_uint32},
    {"cast_uint8_uint64", loop_cast_uint8_uint64},
    HALF({"cast_uint8_float16", loop_cast_uint8_float16},)
    {"cast_uint8_float32", loop_cast_uint8_float32},
    {"cast_uint8_float64", loop_cast_uint8_float64},
    {"cast_uint8_complex64", loop_cast_uint8_complex64},
    {"cast_uint8_complex128", loop_cast_uint8_complex128},
    {"cast_uint8_longdouble", loop_cast_uint8_longdouble},
    {"cast_uint8_clongdouble", loop_cast_uint8_clongdouble},
    {"cast_uint16_bool", loop_cast_uint16_bool},
    {"cast_uint16_int8", loop_cast_uint16_int8},
    {"cast_uint16_int16", loop_cast_uint16_int16},
    {"cast_uint16_int32", loop_cast_uint16_int32},
    {"cast_uint16_int64", loop_cast_uint16_int64},
    {"cast_uint16_uint8", loop_cast_uint16_uint8},
    {"cast_uint16_uint16", loop_cast_uint16_uint16},
    {"cast_uint16_uint32", loop_cast_uint16_uint32},
    {"cast_uint16_uint64", loop_cast_uint16_uint64},
    HALF({"cast_uint16_float16", loop_cast_uint16_float16},)
    {"cast_uint16_float32", loop_cast_uint16_float32},
    {"cast_uint16_float64", loop_cast_uint16_float64},
    {"cast_uint16_complex64", loop_cast_uint16_complex64},
    {"cast_uint16_complex128", loop_cast_uint16_complex128},
    {"cast_uint16_longdouble", loop_cast_uint16_longdouble},
    {"cast_uint16_clongdouble", loop_cast_uint16_clongdouble},
    {"cast_uint32_bool", loop_cast_uint32_bool},
    {"cast_uint32_int8", loop_cast_uint32_int8},
    {"cast_uint32_int16", loop_cast_uint32_int16},
    {"cast_uint32_int32", loop_cast_uint32_int32},
    {"cast_uint32_int64", loop_cast_uint32_int64},
    {"cast_uint32_uint8", loop_cast_uint32_uint8},
    {"cast_uint32_uint16", loop_cast_uint32_uint16},
    {"cast_uint32_uint32", loop_cast_uint32_uint32},
    {"cast_uint32_uint64", loop_cast_uint32_uint64},
    HALF({"cast_uint32_float16", loop_cast_uint32_float16},)
    {"cast_uint32_float32", loop_cast_uint32_float32},
    {"cast_uint32_float64", loop_cast_uint32_float64},
    {"cast_uint32_complex64", loop_cast_uint32_complex64},
    {"cast_uint32_complex128", loop_cast_uint32_complex128},
    {"cast_uint32_longdouble", loop_cast_uint32_longdouble},
    {"cast_uint32_clongdouble", loop_cast_uint32_clongdouble},
    {"cast_uint64_bool", loop_cast_uint64_bool},
    {"cast_uint64_int8", loop_cast_uint64_int8},
    {"cast_uint64_int16", loop_cast_uint64_int16},
    {"cast_uint64_int32", loop_cast_uint64_int32},
    {"cast_uint64_int64", loop_cast_uint64_int64},
    {"cast_uint64_uint8", loop_cast_uint64_uint8},
    {"cast_uint64_uint16", loop_cast_uint64_uint16},
    {"cast_uint64_uint32", loop_cast_uint64_uint32},
    {"cast_uint64_uint64", loop_cast_uint64_uint64},
    HALF({"cast_uint64_float16", loop_cast_uint64_float16},)
    {"cast_uint64_float32", loop_cast_uint64_float32},
    {"cast_uint64_float64", loop_cast_uint64_float64},
    {"cast_uint64_complex64", loop_cast_uint64_complex64},
    {"cast_uint64_complex128", loop_cast_uint64_complex128},
    {"cast_uint64_longdouble", loop_cast_uint64_longdouble},
    {"cast_uint64_clongdouble", loop_cast_uint64_clongdouble},
    HALF({"cast_float16_bool", loop_cast_float16_bool},)
    HALF({"cast_float16_int8", loop_cast_float16_int8},)
    HALF({"cast_float16_int16", loop_cast_float16_int16},)
    HALF({"cast_float16_int32", loop_cast_float16_int32},)
    HALF({"cast_float16_int64", loop_cast_float16_int64},)
    HALF({"cast_float16_uint8", loop_cast_float16_uint8},)
    HALF({"cast_float16_uint16", loop_cast_float16_uint16},)
    HALF({"cast_float16_uint32", loop_cast_float16_uint32},)
    HALF({"cast_float16_uint64", loop_cast_float16_uint64},)
    HALF({"cast_float16_float16", loop_cast_float16_float16},)
    HALF({"cast_float16_float32", loop_cast_float16_float32},)
    HALF({"cast_float16_float64", loop_cast_float16_float64},)
    HALF({"cast_float16_complex64", loop_cast_float16_complex64},)
    HALF({"cast_float16_complex128", loop_cast_float16_complex128},)
    HALF({"cast_float16_longdouble", loop_cast_float16_longdouble},)
    HALF({"cast_float16_clongdouble", loop_cast_float16_clongdouble},)
    {"cast_float32_bool", loop_cast_float32_bool},
    {"cast_float32_int8", loop_cast_float32_int8},
    {"cast_float32_int16", loop_cast_float32_int16},
    {"cast_float32_int32", loop_cast_float32_int32},
    {"cast_float32_int64", loop_cast_float32_int64},
    {"cast_float32_uint8", loop_cast_float32_uint8},
    {"cast_float32_uint16", loop_cast_float32_uint16},
    {"cast_float32_uint32", loop_cast_float32_uint32},
    {"cast_float32_uint64", loop_cast_float32_uint64},
    HALF({"cast_float32_float16", loop_cast_float32_float16},)
    {"cast_float32_float32", loop_cast_float32_float32},
    {"cast_float32_float64", loop_cast_float32_float64},
    {"cast_float32_complex64", loop_cast_float32_complex64},
    {"cast_float32_complex128", loop_cast_float32_complex128},
    {"cast_float32_longdouble", loop_cast_float32_longdouble},
    {"cast_float32_clongdouble", loop_cast_float32_clongdouble},
    {"cast_float64_bool", loop_cast_float64_bool},
    {"cast_float64_int8", loop_cast_float64_int8},
    {"cast_float64_int16", loop_cast_float64_int16},
    {"cast_float64_int32", loop_cast_float64_int32},
    {"cast_float64_int64", loop_cast_float64_int64},
    {"cast_float64_uint8", loop_cast_float64_uint8},
    {"cast_float64_uint16", loop_cast_float64_uint16},
    {"cast_float64_uint32", loop_cast_float64_uint32},
    {"cast_float64_uint64", loop_cast_float64_uint64},
    HALF({"cast_float64_float16", loop_cast_float64_float16},)
    {"cast_float64_float32", loop_cast_float64_float32},
    {"cast_float64_float64", loop_cast_float64_float64},
    {"cast_float64_complex64", loop_cast_float64_complex64},
    {"cast_float64_complex128", loop_cast_float64_complex128},
    {"cast_float64_longdouble", loop_cast_float64_longdouble},
    {"cast_float64_clongdouble", loop_cast_float64_clongdouble},
    {"cast_complex64_bool", loop_cast_complex64_bool},
    {"cast_complex64_int8", loop_cast_complex64_int8},
    {"cast_complex64_int16", loop_cast_complex64_int16},
    {"cast_complex64_int32", loop_cast_complex64_int32},
    {"cast_complex64_int64", loop_cast_complex64_int64},
    {"cast_complex64_uint8", loop_cast_complex64_uint8},
    {"cast_complex64_uint16", loop_cast_complex64_uint16},
    {"cast_complex64_uint32", loop_cast_complex64_uint32},
    {"cast_complex64_uint64", loop_cast_complex64_uint64},
    HALF({"cast_complex64_float16", loop_cast_complex64_float16},)
    {"cast_complex64_float32", loop_cast_complex64_float32},
    {"cast_complex64_float64", loop_cast_complex64_float64},
    {"cast_complex64_complex64", loop_cast_complex64_complex64},
    {"cast_complex64_complex128", loop_cast_complex64_complex128},
    {"cast_complex64_longdouble", loop_cast_complex64_longdouble},
    {"cast_complex64_clongdouble", loop_cast_complex64_clongdouble},
    {"cast_complex128_bool", loop_cast_complex128_bool},
    {"cast_complex128_int8", loop_cast_complex128_int8},
    {"cast_complex128_int16", loop_cast_complex128_int16},
    {"cast_complex128_int32", loop_cast_complex128_int32},
    {"cast_complex128_int64", loop_cast_complex128_int64},
    {"cast_complex128_uint8", loop_cast_complex128_uint8},
    {"cast_complex128_uint16", loop_cast_complex128_uint16},
    {"cast_complex128_uint32", loop_cast_complex128_uint32},
    {"cast_complex128_uint64", loop_cast_complex128_uint64},
    HALF({"cast_complex128_float16", loop_cast_complex128_float16},)
    {"cast_complex128_float32", loop_cast_complex128_float32},
    {"cast_complex128_float64", loop_cast_complex128_float64},
    {"cast_complex128_complex64", loop_cast_complex128_complex64},
    {"cast_complex128_complex128", loop_cast_complex128_complex128},
    {"cast_complex128_longdouble", loop_cast_complex128_longdouble},
    {"cast_complex128_clongdouble", loop_cast_complex128_clongdouble},
    {"cast_longdouble_bool", loop_cast_longdouble_bool},
    {"cast_longdouble_int8", loop_cast_longdouble_int8},
    {"cast_longdouble_int16", loop_cast_longdouble_int16},
    {"cast_longdouble_int32", loop_cast_longdouble_int32},
    {"cast_longdouble_int64", loop_cast_longdouble_int64},
    {"cast_longdouble_uint8", loop_cast_longdouble_uint8},
    {"cast_longdouble_uint16", loop_cast_longdouble_uint16},
    {"cast_longdouble_uint32", loop_cast_longdouble_uint32},
    {"cast_longdouble_uint64", loop_cast_longdouble_uint64},
    HALF({"cast_longdouble_float16", loop_cast_longdouble_float16},)
    {"cast_longdouble_float32", loop_cast_longdouble_float32},
    {"cast_longdouble_float64", loop_cast_longdouble_float64},
    {"cast_longdouble_complex64", loop_cast_longdouble_complex64},
    {"cast_longdouble_complex128", loop_cast_longdouble_complex128},
    {"cast_longdouble_longdouble", loop_cast_longdouble_longdouble},
    {"cast_longdouble_clongdouble", loop_cast_longdouble_clongdouble},
    {"cast_clongdouble_bool", loop_cast_clongdouble_bool},
    {"cast_clongdouble_int8", loop_cast_clongdouble_int8},
    {"cast_clongdouble_int16", loop_cast_clongdouble_int16},
    {"cast_clongdouble_int32", loop_cast_clongdouble_int32},
    {"cast_clongdouble_int64", loop_cast_clongdouble_int64},
    {"cast_clongdouble_uint8", loop_cast_clongdouble_uint8},
    {"cast_clongdouble_uint16", loop_cast_clongdouble_uint16},
    {"cast_clongdouble_uint32", loop_cast_clongdouble_uint32},
    {"cast_clongdouble_uint64", loop_cast_clongdouble_uint64},
    HALF({"cast_clongdouble_float16", loop_cast_clongdouble_float16},)
    {"cast_clongdouble_float32", loop_cast_clongdouble_float32},
    {"cast_clongdouble_float64", loop_cast_clongdouble_float64},
    {"cast_clongdouble_complex64", loop_cast_clongdouble_complex64},
    {"cast_clongdouble_complex128", loop_cast_clongdouble_complex128},
    {"cast_clongdouble_longdouble", loop_cast_clongdouble_longdouble},
    {"cast_clongdouble_clongdouble", loop_cast_clongdouble_clongdouble},
    FUSED({"multiply_complex64_fused", loop_multiply_complex64_fused},)
    FUSED({"square_complex64_fused", loop_square_complex64_fused},)
    FUSED({"multiply_complex128_fused", loop_multiply_complex128_fused},)
    FUSED({"square_complex128_fused", loop_square_complex128_fused},)
};
