/* Reductions of strips, in an order that the lengths of the strips alone decide.
 *
 * A strip is folded into 4 V lanes, element k into lane k % (4 V), those into V, and these join the earlier
 * strips' as the digits of a binary counter carry: pairwise, so that the error of a sum of n elements in
 * strips of 512 is at most 12 + log2(n) roundings, NumPy's bound for its pairwise sum.
 */
#define ARRAYEXPR_FOLD(NAME, T, V, IDENTITY, COMBINE)                                                                 \
    static inline T arrayexpr_fold_##NAME##_of(T a, T b) { COMBINE }                                                  \
    typedef struct {                                                                                                  \
        T lanes[48][V];                                                                                               \
        unsigned long long strips;                                                                                    \
        int top;                                                                                                      \
    } arrayexpr_fold_##NAME;                                                                                          \
    static inline void arrayexpr_fold_##NAME##_start(arrayexpr_fold_##NAME *f) {                                      \
        f->strips = 0;                                                                                                \
        f->top = 0;                                                                                                   \
    }                                                                                                                 \
    static inline void arrayexpr_fold_##NAME##_strip(arrayexpr_fold_##NAME *f, const T *x, ptrdiff_t n) {             \
        T lanes[4 * V], *a = lanes;                                                                                   \
        ptrdiff_t i = 0;                                                                                              \
        for (int k = 0; k < 4 * V; ++k) lanes[k] = IDENTITY;                                                          \
        for (; i + 4 * V <= n; i += 4 * V)                                                                            \
            for (int k = 0; k < 4 * V; ++k) lanes[k] = arrayexpr_fold_##NAME##_of(lanes[k], x[i + k]);                \
        for (int k = 0; i + k < n; ++k) lanes[k] = arrayexpr_fold_##NAME##_of(lanes[k], x[i + k]);                    \
        for (int h = 2 * V; h >= V; h /= 2)                                                                           \
            for (int k = 0; k < h; ++k) lanes[k] = arrayexpr_fold_##NAME##_of(lanes[k], lanes[k + h]);                \
        for (unsigned long long carry = f->strips++; carry & 1; carry >>= 1) {                                        \
            --f->top;                                                                                                 \
            for (int k = 0; k < V; ++k) a[k] = arrayexpr_fold_##NAME##_of(f->lanes[f->top][k], a[k]);                 \
        }                                                                                                             \
        for (int k = 0; k < V; ++k) f->lanes[f->top][k] = a[k];                                                       \
        ++f->top;                                                                                                     \
    }                                                                                                                 \
    static inline void arrayexpr_fold_##NAME##_add(arrayexpr_fold_##NAME *f, const char *from, ptrdiff_t stride,      \
                                                   ptrdiff_t n) {                                                     \
        T gathered[512];                                                                                              \
        for (ptrdiff_t i = 0; i < n; i += 512, from += 512 * stride) {                                                \
            const ptrdiff_t m = n - i < 512 ? n - i : 512;                                                            \
            if (stride == (ptrdiff_t)sizeof(T)) {                                                                     \
                arrayexpr_fold_##NAME##_strip(f, (const T *)from, m);                                                 \
            } else {                                                                                                  \
                for (ptrdiff_t k = 0; k < m; ++k) gathered[k] = *(const T *)(from + k * stride);                      \
                arrayexpr_fold_##NAME##_strip(f, gathered, m);                                                        \
            }                                                                                                         \
        }                                                                                                             \
    }                                                                                                                 \
    static inline T arrayexpr_fold_##NAME##_end(arrayexpr_fold_##NAME *f, T first) {                                  \
        if (f->top == 0) return first;                                                                                \
        T *a = f->lanes[--f->top];                                                                                    \
        while (f->top > 0) {                                                                                          \
            --f->top;                                                                                                 \
            for (int k = 0; k < V; ++k) a[k] = arrayexpr_fold_##NAME##_of(f->lanes[f->top][k], a[k]);                 \
        }                                                                                                             \
        for (int h = V / 2; h > 0; h /= 2)                                                                            \
            for (int k = 0; k < h; ++k) a[k] = arrayexpr_fold_##NAME##_of(a[k], a[k + h]);                            \
        return arrayexpr_fold_##NAME##_of(first, a[0]);                                                               \
    }

#define ARRAYEXPR_ADD return a + b;
#define ARRAYEXPR_MULTIPLY return a * b;
#define ARRAYEXPR_AND return a & b;
#define ARRAYEXPR_OR return a | b;
#define ARRAYEXPR_XOR return a ^ b;
/* Any byte but 0 is true. */
#define ARRAYEXPR_BOTH return (a != 0) & (b != 0);
#define ARRAYEXPR_EITHER return (a != 0) | (b != 0);
/* Not a number wins in minimum and maximum, and loses in fmin and fmax. In two steps: of one selection under a
   condition of two parts gcc 12 makes no vector code, 20 times slower. */
#define ARRAYEXPR_MINIMUM const __typeof__(a) m = a < b ? a : b; return a != a ? a : m;
#define ARRAYEXPR_MAXIMUM const __typeof__(a) m = a > b ? a : b; return a != a ? a : m;
#define ARRAYEXPR_FMIN const __typeof__(a) m = a < b ? a : b; return b != b ? a : m;
#define ARRAYEXPR_FMAX const __typeof__(a) m = a > b ? a : b; return b != b ? a : m;
#define ARRAYEXPR_ADD_COMPLEX a.re += b.re; a.im += b.im; return a;
