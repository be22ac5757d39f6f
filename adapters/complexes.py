"""Functions of complex numbers, for languages whose libraries have none: what C's `<complex.h>` gives, by real ones.

Where real functions are within an ulp each is within 4 of its larger part, tangents within 6, `cpow` within 4 times
1 + |y log x|. Special values (zeros of either sign, infinities, NaN) give what Annex G of C says, as they do for NumPy.
Arc sine and cosine are those of Hull, Fairgrieve and Tang (1997), who keep both parts precise near the cuts; logarithms
near 1 are of the exact |z|^2 - 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from arrayexpr._core.types import ElementType

#: By C's name of a function: `$T` is the complex type, `$R` that of its parts, `$N` our name of the type, `$s` the
#: suffix of real functions; other marks are the numbers of `_numbers`.
FUNCTIONS = {
    # exp(x) * (cos y + i sin y), where exp(x) alone may leave the range; there times a factor.
    "cgrown": """
static inline $T cgrown_$N($R x, $R y, $R factor) {
    $R re = cos$s(y), im = sin$s(y);
    for (int k = 0; k < 2 && x > $LOG_MAX; ++k) {
        const $R most = exp$s($LOG_MAX) * (k == 0 ? factor : 1);
        x -= $LOG_MAX;
        re *= most;
        im *= most;
    }
    const $R e = exp$s(x);
    return ($T){e * re, e * im};
}
""",
    "cexp": """
static inline $T cexp_$N($T z) {
    if (z.im == 0) return ($T){exp$s(z.re), z.im};
    if (isinf(z.re) && !isfinite(z.im)) return z.re < 0 ? ($T){0, copysign$s(0, z.im)} : ($T){z.re, ($R)NAN};
    return cgrown_$N(z.re, z.im, 1);
}
""",
    # Half the logarithm of |z|^2, whose distance from 1 is taken exactly where it is near.
    "clog": """
static inline $T clog_$N($T z) {
    const $R x = fabs$s(z.re), y = fabs$s(z.im), angle = atan2$s(z.im, z.re);
    if (isinf(x) || isinf(y)) return ($T){($R)INFINITY, angle};
    if (isnan(x) || isnan(y)) return ($T){($R)NAN, ($R)NAN};
    $R most = x > y ? x : y, least = x > y ? y : x, shift = 0;
    if (most == 0) return ($T){-($R)INFINITY, angle};
    if (most > $FAR) {
        most *= 1 / $BEYOND;
        least *= 1 / $BEYOND;
        shift = $LOG_BEYOND;
    } else if (most < 1 / $FAR) {
        most *= $BEYOND;
        least *= $BEYOND;
        shift = -$LOG_BEYOND;
    }
    const $R p = most * most, q = least * least, sum = p + q;
    if (shift != 0 || sum < ($R)0.5 || sum > 3) return ($T){log$s(sum) / 2 + shift, angle};
    const $R d = p - 1, s = d + q, t = s - d, rest = (d - (s - t)) + (q - t);
    const $R exact = s + (rest + (fma$s(most, most, -p) + fma$s(least, least, -q)));
    return ($T){log1p$s(exact) / 2, angle};
}
""",
    "cpow": """
static inline $T cpow_$N($T a, $T b) {
    const $T w = clog_$N(a);
    return cexp_$N(($T){b.re * w.re - b.im * w.im, b.re * w.im + b.im * w.re});
}
""",
    "csqrt": """
static inline $T csqrt_$N($T z) {
    $R x = z.re, y = z.im;
    if (x == 0 && y == 0) return ($T){0, y};
    if (isinf(y)) return ($T){($R)INFINITY, y};
    if (isnan(x)) return ($T){($R)NAN, ($R)NAN};
    if (isinf(x)) {
        const $R other = isnan(y) ? ($R)NAN : 0;
        return x > 0 ? ($T){x, isnan(y) ? ($R)NAN : copysign$s(other, y)} : ($T){other, copysign$s(($R)INFINITY, y)};
    }
    $R back = 1;
    const $R most = fabs$s(x) > fabs$s(y) ? fabs$s(x) : fabs$s(y);
    if (most > $MAX / 4) {
        x /= 4;
        y /= 4;
        back = 2;
    } else if (most < $TINY * 4 / $EPS) {
        x *= $RAISE * $RAISE;
        y *= $RAISE * $RAISE;
        back = 1 / $RAISE;
    }
    const $R t = sqrt$s((fabs$s(x) + hypot$s(x, y)) / 2), other = fabs$s(y) / (2 * t);
    return x >= 0 ? ($T){t * back, copysign$s(other * back, y)} : ($T){other * back, copysign$s(t * back, y)};
}
""",
    "csinh": """
static inline $T csinh_$N($T z) {
    const $R x = z.re, y = z.im;
    if (y == 0) return ($T){sinh$s(x), y};
    if (!isfinite(y)) {
        if (x == 0) return ($T){x, ($R)NAN};
        return isinf(x) ? ($T){($R)INFINITY, ($R)NAN} : ($T){($R)NAN, ($R)NAN};
    }
    if (fabs$s(x) > $LOG_MAX) {
        const $T w = cgrown_$N(fabs$s(x), y, ($R)0.5);
        return ($T){x < 0 ? -w.re : w.re, w.im};
    }
    return ($T){sinh$s(x) * cos$s(y), cosh$s(x) * sin$s(y)};
}
""",
    "ccosh": """
static inline $T ccosh_$N($T z) {
    const $R x = z.re, y = z.im;
    if (y == 0) return ($T){cosh$s(x), isnan(x) ? y : y * copysign$s(1, x)};
    if (!isfinite(y)) {
        if (x == 0) return ($T){($R)NAN, x};
        return isinf(x) ? ($T){($R)INFINITY, ($R)NAN} : ($T){($R)NAN, ($R)NAN};
    }
    if (fabs$s(x) > $LOG_MAX) {
        const $T w = cgrown_$N(fabs$s(x), y, ($R)0.5);
        return ($T){w.re, x < 0 ? -w.im : w.im};
    }
    return ($T){cosh$s(x) * cos$s(y), sinh$s(x) * sin$s(y)};
}
""",
    "ctanh": """
static inline $T ctanh_$N($T z) {
    const $R x = z.re, y = z.im;
    if (isinf(x)) return ($T){copysign$s(1, x), isfinite(y) ? copysign$s(0, sin$s(y) * cos$s(y)) : copysign$s(0, y)};
    if (isnan(x)) return ($T){x, y == 0 ? y : x};
    if (!isfinite(y)) return ($T){x == 0 ? x : ($R)NAN, ($R)NAN};
    const $R s = sin$s(y), c = cos$s(y);
    if (fabs$s(x) > $SATURATED) {
        const $R e = exp$s(-fabs$s(x));
        return ($T){copysign$s(1, x), 4 * s * c * e * e};
    }
    const $R h = sinh$s(x), size = h * h + c * c;
    return ($T){h * cosh$s(x) / size, y == 0 ? y : s * c / size};
}
""",
    "csin": """
static inline $T csin_$N($T z) {
    const $T w = csinh_$N(($T){-z.im, z.re});
    return ($T){w.im, -w.re};
}
""",
    "ccos": """
static inline $T ccos_$N($T z) { return ccosh_$N(($T){-z.im, z.re}); }
""",
    "ctan": """
static inline $T ctan_$N($T z) {
    const $T w = ctanh_$N(($T){-z.im, z.re});
    return ($T){w.im, -w.re};
}
""",
    # Of x, y >= 0: the real part of arc sine or arc cosine, and the imaginary one of arc sine.
    "carc": """
static inline $T carc_$N($R x, $R y, int cosine) {
    if (x <= $FAR && x >= 1 / $FAR && y <= $FAR && y >= 1 / $FAR) {
        const $R r = hypot$s(x + 1, y), s = hypot$s(x - 1, y), a = (r + s) / 2, b = x / a, more = a + x;
        const $R right = y * y / (r + (x + 1));
        $R re, im;
        if (b <= ($R)0.6417) {
            re = cosine ? acos$s(b) : asin$s(b);
        } else {
            const $R other = x <= 1 ? sqrt$s(more / 2 * (right + (s + (1 - x))))
                : y * sqrt$s((more / (r + (x + 1)) + more / (s + (x - 1))) / 2);
            re = cosine ? atan$s(other / x) : atan$s(x / other);
        }
        if (a <= ($R)1.5) {
            const $R above = x < 1 ? (right + y * y / (s + (1 - x))) / 2 : (right + (s + (x - 1))) / 2;
            im = log1p$s(above + sqrt$s(above * (a + 1)));
        } else {
            im = log$s(a + sqrt$s(a * a - 1));
        }
        return ($T){re, im};
    }
    if (x != 1 && y <= $EPS * fabs$s(x - 1)) {
        if (x < 1) return ($T){cosine ? acos$s(x) : asin$s(x), y / sqrt$s((1 - x) * (1 + x))};
        const $R root = x > 2 / $EPS ? x : sqrt$s((x - 1) * (x + 1));
        return ($T){cosine ? y / root : $HALF_PI, x > 2 / $EPS ? $LN2 + log$s(x) : log1p$s((x - 1) + root)};
    }
    if (y < 1 / $FAR && x > ($R)0.5) {
        const $R root = sqrt$s(y);
        return ($T){cosine ? root : $HALF_PI - root, root};
    }
    if (y >= 1 / $EPS && x <= $EPS * y) return ($T){cosine ? $HALF_PI : x / y, $LN2 + log$s(y)};
    if (x > 1) {
        const $R ratio = x / y;
        return ($T){cosine ? atan2$s(y, x) : atan2$s(x, y), $LN2 + log$s(y) + log1p$s(ratio * ratio) / 2};
    }
    const $R a = sqrt$s(1 + y * y);
    return ($T){cosine ? $HALF_PI : x / a, log1p$s(2 * y * (y + a)) / 2};
}
""",
    "casinh": """
static inline $T casinh_$N($T z) {
    const $R x = fabs$s(z.re), y = fabs$s(z.im);
    if (isnan(x) || isnan(y)) {
        if (isinf(x)) return ($T){z.re, ($R)NAN};
        if (isinf(y)) return ($T){y, ($R)NAN};
        return ($T){($R)NAN, y == 0 ? z.im : ($R)NAN};
    }
    if (isinf(x) || isinf(y)) return ($T){copysign$s(($R)INFINITY, z.re), atan2$s(z.im, x)};
    const $T w = carc_$N(y, x, 0);
    return ($T){copysign$s(w.im, z.re), copysign$s(w.re, z.im)};
}
""",
    "casin": """
static inline $T casin_$N($T z) {
    const $T w = casinh_$N(($T){-z.im, z.re});
    return ($T){w.im, -w.re};
}
""",
    "cacos": """
static inline $T cacos_$N($T z) {
    const $R x = fabs$s(z.re), y = fabs$s(z.im);
    if (isnan(x) || isnan(y)) {
        if (isinf(x)) return ($T){($R)NAN, x};
        if (isinf(y)) return ($T){($R)NAN, -z.im};
        return ($T){x == 0 ? $HALF_PI : ($R)NAN, ($R)NAN};
    }
    if (isinf(x) || isinf(y)) return ($T){atan2$s(y, z.re), -copysign$s(($R)INFINITY, z.im)};
    const $T w = carc_$N(x, y, 1);
    return ($T){signbit(z.re) ? $PI - w.re : w.re, -copysign$s(w.im, z.im)};
}
""",
    "cacosh": """
static inline $T cacosh_$N($T z) {
    const $T w = cacos_$N(z);
    if (isnan(w.re) && isnan(w.im)) return ($T){w.im, w.re};
    if (isnan(w.re)) return ($T){fabs$s(w.im), w.re};
    if (isnan(w.im)) return ($T){w.im, z.re == 0 ? w.re : w.im};
    return ($T){fabs$s(w.im), copysign$s(w.re, z.im)};
}
""",
    "catanh": """
static inline $T catanh_$N($T z) {
    const $R x = fabs$s(z.re), y = fabs$s(z.im);
    if (isnan(x) || isnan(y)) {
        if (isinf(x) || x == 0) return ($T){copysign$s(0, z.re), ($R)NAN};
        return isinf(y) ? ($T){copysign$s(0, z.re), copysign$s($HALF_PI, z.im)} : ($T){($R)NAN, ($R)NAN};
    }
    $R re, im = $HALF_PI;
    if (isinf(x) || isinf(y)) {
        re = 0;
    } else if (x > 1 / $EPS || y > 1 / $EPS) {
        const $R size = hypot$s(x / 2, y / 2);
        re = x / size / size / 4;
    } else {
        re = x == 1 && y < $EPS ? ($LN2 - log$s(y)) / 2 : log1p$s(4 * x / ((1 - x) * (1 - x) + y * y)) / 4;
        im = atan2$s(2 * y, (1 - x) * (1 + x) - y * y) / 2;
    }
    return ($T){copysign$s(re, z.re), copysign$s(im, z.im)};
}
""",
    "catan": """
static inline $T catan_$N($T z) {
    const $T w = catanh_$N(($T){-z.im, z.re});
    return ($T){w.im, -w.re};
}
""",
}


def functions(name: str, part: ElementType) -> Iterator[str]:
    """The text of a function, those that it calls before it, with the numbers of real parts of a type filled in."""
    text = FUNCTIONS[name].strip("\n")
    for called in re.findall(r"\b(c[a-z]+)_\$N\(", text):
        if called != name:
            yield from functions(called, part)
    for mark, value in _numbers(part).items():
        text = re.sub(rf"\${mark}\b", f"($R){value!r}", text)
    yield text


def _numbers(part: ElementType) -> dict[str, float]:
    """What functions have to know of a real type; powers of two where they scale."""
    info = np.finfo(part.dtype)
    single = part.bits == 32
    beyond = 90 if single else 600
    return {
        "MAX": float(info.max),
        "TINY": float(info.tiny),
        "EPS": float(info.eps),
        # Squares of what is no larger stay in the range, and those of what is no smaller.
        "FAR": 2.0 ** (60 if single else 500),
        "BEYOND": 2.0**beyond,
        "LOG_BEYOND": beyond * math.log(2),
        "RAISE": 2.0 ** (30 if single else 60),
        "LOG_MAX": math.floor(math.log(float(info.max))),
        # tanh is 1 to the last place beyond.
        "SATURATED": 11.0 if single else 22.0,
        "LN2": math.log(2),
        "PI": math.pi,
        "HALF_PI": math.pi / 2,
    }
