"""C functions that the spellings of operators call: `source` of the rows in `ops.py`, with the marks explained there.

`$T` is the C type, `$R` its parts' type, `$N` our name of the type, `$s` libm's suffix. Those of complex numbers may
call `cexp_$N`, `clog_$N` and `cpow_$N`, which are the library's.
"""

from __future__ import annotations

# Python's floor division and remainder, of reals: the remainder is exact (fmod) and takes the
# divisor's sign; the quotient is what is left, rounded to the nearest whole.
FLOOR_REAL = """
static inline $T floor_divide_$N($T a, $T b) {
    if (b == 0) return a / b;
    $T mod = fmod$s(a, b), div = (a - mod) / b;
    if (mod != 0 && (b < 0) != (mod < 0)) div -= 1;
    if (div == 0) return copysign$s(0, a / b);
    $T whole = floor$s(div);
    return div - whole > ($T)0.5 ? whole + 1 : whole;
}
"""
REMAINDER_REAL = """
static inline $T remainder_$N($T a, $T b) {
    $T mod = fmod$s(a, b);
    if (b == 0) return mod;
    if (mod == 0) return copysign$s(0, b);
    return (b < 0) != (mod < 0) ? mod + b : mod;
}
"""
# The absolute value of a complex number, within two ulp: scaled by a power of two where squares would leave the range,
# and without a branch, so that loops of it are vector loops (hypot: 12 ns an element).
ABSOLUTE_COMPLEX = """
static inline $R absolute_$N($T a) {
    const $R re = fabs$s(a.re), im = fabs$s(a.im), most = re > im ? re : im;
    const $R far = sizeof($R) == 4 ? 0x1p60 : 0x1p500, beyond = sizeof($R) == 4 ? 0x1p90 : 0x1p600;
    const $R scale = most > far ? 1 / beyond : most < 1 / far ? beyond : 1;
    const $R back = most > far ? beyond : most < 1 / far ? 1 / beyond : 1;
    const $R x = re * scale, y = im * scale, size = sqrt$s(x * x + y * y) * back;
    return re == ($R)INFINITY || im == ($R)INFINITY ? ($R)INFINITY : size;
}
"""
# Division by zero gives 0, and the lowest value over -1 wraps, as in NumPy.
FLOOR_INT = """
static inline $T floor_divide_$N($T a, $T b) {
    if (b == 0) return 0;
    if (b == -1) return ($T)-a;
    return ($T)(a / b - ((a % b != 0) & ((a < 0) != (b < 0))));
}
"""
REMAINDER_INT = """
static inline $T remainder_$N($T a, $T b) {
    if (b == 0 || b == -1) return 0;
    $T mod = ($T)(a % b);
    return mod != 0 && (a < 0) != (b < 0) ? ($T)(mod + b) : mod;
}
"""
TRUNC_INT = """
static inline $T trunc_divide_$N($T a, $T b) {
    return b == 0 ? 0 : b == -1 ? ($T)-a : ($T)(a / b);
}
"""
FMOD_INT = """
static inline $T fmod_$N($T a, $T b) { return b == 0 || b == -1 ? 0 : ($T)(a % b); }
"""
POWER_INT = """
static inline $T power_$N($T a, $T b) {
    $T result = 1;
    for (; b > 0; b >>= 1) {
        if (b & 1) result = ($T)(result * a);
        a = ($T)(a * a);
    }
    return result;
}
"""
SHIFT_LEFT = """
static inline $T left_shift_$N($T a, $T b) {
    return (uint64_t)b < 8 * sizeof($T) ? ($T)((uint64_t)a << b) : 0;
}
"""
SHIFT_RIGHT_SIGNED = """
static inline $T right_shift_$N($T a, $T b) {
    return ($T)(a >> ((uint64_t)b < 8 * sizeof($T) ? (int)b : (int)(8 * sizeof($T)) - 1));
}
"""
SHIFT_RIGHT_UNSIGNED = """
static inline $T right_shift_$N($T a, $T b) {
    return (uint64_t)b < 8 * sizeof($T) ? ($T)(a >> b) : 0;
}
"""
# Of half precision by its bits, which every language has.
NEXTAFTER_HALF = """
static inline $T nextafter_$N($T x, $T y) {
    union { $T value; uint16_t bits; } a = {x}, b = {y};
    const int from = a.bits & 0x7fff, to = b.bits & 0x7fff;
    if (from > 0x7c00 || to > 0x7c00) a.bits = 0x7e00;
    else if (a.bits == b.bits || (from | to) == 0) return x;
    else if (from == 0) a.bits = (b.bits & 0x8000) | 1;
    else {
        const int less = (a.bits & 0x8000 ? -from : from) < (b.bits & 0x8000 ? -to : to);
        a.bits += less == !(a.bits & 0x8000) ? 1 : -1;
    }
    return a.value;
}
"""
SPACING = """
static inline $T spacing_$N($T x) {
    const $T away = x < 0 ? -($T)INFINITY : ($T)INFINITY;
    return ($T)(nextafter$s(x, away) - x);
}
"""
# NumPy's spacing of half precision is upward for either sign, and infinite for the largest.
SPACING_HALF = """
static inline $T spacing_$N($T x) {
    union { $T value; uint16_t bits; } a = {x};
    const int power = a.bits & 0x7c00, down = (a.bits & 0x8000) && (a.bits & 0x3ff) == 0;
    const int far = down ? 0x2c00 : 0x2800, least = down ? 2 : 1;
    if (power == 0x7c00) a.bits = 0x7e00;
    else if (a.bits == 0x7bff) a.bits = 0x7c00;
    else a.bits = power > far ? power - far : power > 0x400 ? 1 << ((power >> 10) - least) : 1;
    return a.value;
}
"""
GCD_UNSIGNED = """
static inline $T gcd_$N($T a, $T b) {
    while (b != 0) { $T next = ($T)(a % b); a = b; b = next; }
    return a;
}
"""
GCD_SIGNED = """
static inline $T gcd_$N($T a, $T b) {
    a = a < 0 ? ($T)-a : a;
    b = b < 0 ? ($T)-b : b;
    while (b != 0) { $T next = ($T)(a % b); a = b; b = next; }
    return a < 0 ? ($T)-a : a;
}
"""
HEAVISIDE = """
static inline $T heaviside_$N($T x, $T at_zero) {
    return x != x ? x : x == 0 ? at_zero : x < 0 ? ($T)0 : ($T)1;
}
"""
LOGADDEXP = """
static inline $T logaddexp_$N($T x, $T y) {
    if (x == y) return x + ($T)0.693147180559945309417232121458176568L;
    $T d = x - y;
    return d > 0 ? x + log1p$s(exp$s(-d)) : d <= 0 ? y + log1p$s(exp$s(d)) : d;
}
"""
LOGADDEXP2 = """
static inline $T logaddexp2_$N($T x, $T y) {
    if (x == y) return x + 1;
    $T d = x - y;
    const $T log2e = ($T)1.442695040888963407359924681001892137L;
    return d > 0 ? x + log2e * log1p$s(exp2$s(-d)) : d <= 0 ? y + log2e * log1p$s(exp2$s(d)) : d;
}
"""
# Quotient after scaling by the larger part of the divisor (R. L. Smith, 1962), as NumPy computes it.
# gcc 12 fuses products into alternating sums even under -ffp-contract=off: volatile keeps them rounded.
DIVIDE_COMPLEX = """
static inline $T true_divide_$N($T a, $T b) {
    const $R br = fabs$s(b.re), bi = fabs$s(b.im);
    if (br >= bi) {
        if (br == 0 && bi == 0) return ($T){a.re / br, a.im / br};
        const $R ratio = b.im / b.re, scale = 1 / (b.re + b.im * ratio);
        volatile $R re = a.im * ratio, im = a.re * ratio;
        return ($T){(a.re + re) * scale, (a.im - im) * scale};
    }
    const $R ratio = b.re / b.im, scale = 1 / (b.im + b.re * ratio);
    volatile $R re = a.re * ratio, im = a.im * ratio;
    return ($T){(re + a.im) * scale, (im - a.re) * scale};
}
"""
RECIPROCAL_COMPLEX = """
static inline $T reciprocal_$N($T a) {
    if (fabs$s(a.im) <= fabs$s(a.re)) {
        const $R ratio = a.im / a.re, d = a.re + a.im * ratio;
        return ($T){1 / d, -ratio / d};
    }
    const $R ratio = a.re / a.im, d = a.re * ratio + a.im;
    return ($T){ratio / d, -1 / d};
}
"""
MULTIPLY_PLAIN = "    return ($T){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};\n"
# Where the processor has fused multiply-add NumPy rounds once here; never so in long double.
MULTIPLY_FUSED = (
    "#if defined(__FMA__) || defined(__FP_FAST_FMA)\n"
    "    return ($T){fma$s(a.re, b.re, -(a.im * b.im)), fma$s(a.re, b.im, a.im * b.re)};\n"
    "#else\n" + MULTIPLY_PLAIN + "#endif\n"
)
MULTIPLY_COMPLEX = {
    kinds: "\nstatic inline $T multiply_$N($T a, $T b) {\n" + body + "}\n"
    for kinds, body in (("clongdouble", MULTIPLY_PLAIN), ("c", MULTIPLY_FUSED))
}
SIGN_COMPLEX = """
static inline $T sign_$N($T a) {
    const $R size = hypot$s(a.re, a.im);
    if (isnan(size)) return ($T){NAN, NAN};
    if (isinf(size)) {
        if (isinf(a.re) && isinf(a.im)) return ($T){NAN, NAN};
        return isinf(a.re) ? ($T){copysign$s(1, a.re), 0} : ($T){0, copysign$s(1, a.im)};
    }
    return size == 0 ? ($T){0, 0} : ($T){a.re / size, a.im / size};
}
"""
# Small whole powers by repeated products, the others by the library.
POWER_COMPLEX = """
static inline $T power_$N($T a, $T b) {
    if (b.re == 0 && b.im == 0) return ($T){1, 0};
    if (a.re == 0 && a.im == 0) return b.re > 0 ? ($T){0, 0} : ($T){NAN, NAN};
    if (b.im == 0 && b.re == floor$s(b.re) && b.re > -100 && b.re < 100) {
        int n = (int)b.re, m = n < 0 ? -n : n;
        $T result = {1, 0}, p = a;
        for (;;) {
            if (m & 1) result = ($T){result.re * p.re - result.im * p.im, result.re * p.im + result.im * p.re};
            if (!(m >>= 1)) break;
            p = ($T){p.re * p.re - p.im * p.im, p.re * p.im + p.im * p.re};
        }
        return n < 0 ? true_divide_$N(($T){1, 0}, result) : result;
    }
    return cpow_$N(a, b);
}
"""
ORDER_COMPLEX = """
static inline uint8_t %(name)s_$N($T a, $T b) {
    return (a.re %(strict)s b.re && !isnan(a.im) && !isnan(b.im)) || (a.re == b.re && a.im %(op)s b.im);
}
"""
CHOOSE_COMPLEX = """
static inline $T %(name)s_$N($T a, $T b) {
    const int before = (a.re %(strict)s b.re && !isnan(a.im) && !isnan(b.im)) || (a.re == b.re && a.im %(op)s b.im);
    return before || isnan(%(keep)s.re) || isnan(%(keep)s.im) ? a : b;
}
"""


def scaled(name: str, inner: str, factor: str, before: bool) -> str:
    """A complex logarithm or exponential to another base, scaled as NumPy scales it."""
    product = f"($T){{x.re * ($R){factor}, x.im * ($R){factor}}}"
    if before:
        body = f"x = {product}; return {inner}_$N(x);"
    else:
        body = f"x = {inner}_$N(x); return {product};"
    return f"\nstatic inline $T {name}_$N($T x) {{ {body} }}\n"


LOG1P_COMPLEX = """
static inline $T log1p_$N($T x) {
    return ($T){log$s(hypot$s(x.re + 1, x.im)), atan2$s(x.im, x.re + 1)};
}
"""
EXPM1_COMPLEX = """
static inline $T expm1_$N($T x) {
    const $R half = sin$s(x.im / 2);
    return ($T){expm1$s(x.re) * cos$s(x.im) - 2 * half * half, exp$s(x.re) * sin$s(x.im)};
}
"""
