"""Which functions are computed over strips by a vector library, and how far they are from the exact result."""

from __future__ import annotations

from functools import cache
from typing import Final

from .nodes import Apply, Node
from .ops import Operator
from .primitives import text
from .types import ElementType

#: Functions of C's library that strips use, with a bound on the largest error seen, in ulp, of float64 and of float32:
#: over glibc 2.36's libmvec for AVX-512, AVX2 and SSE2, millions of values a function: random bits, subnormals, values
#: near zero, near one and near multiples of pi/2; for AVX-512 every value of float32. All give the scalar library's
#: special values, and an element's bits depend on no other. A function that fails any of this has no place here.
MEASURED_ULP: Final[dict[str, tuple[float, float]]] = {
    "acos": (2.2, 2.2),
    "acosh": (3.0, 2.2),
    "asin": (2.6, 3.2),
    "asinh": (2.1, 2.1),
    "atan": (2.7, 2.6),
    "atan2": (3.1, 3.4),
    "atanh": (2.1, 2.1),
    "cbrt": (3.2, 3.0),
    "cos": (3.6, 2.0),
    "cosh": (2.1, 2.6),
    "exp": (3.1, 2.8),
    "exp2": (1.8, 1.2),
    "expm1": (2.9, 2.4),
    "hypot": (1.9, 1.4),
    "log": (1.7, 4.0),
    "log10": (2.2, 3.5),
    "log1p": (2.0, 2.1),
    "log2": (2.2, 2.2),
    "pow": (1.4, 0.7),
    "sin": (3.4, 2.0),
    "sinh": (2.0, 2.0),
    "tan": (3.5, 4.0),
    "tanh": (2.3, 2.0),
}

#: The functions of `primitives/vector_math_avx512.h`, by name and element type.
OWN: Final = frozenset({("cos", "float64"), ("exp", "float64"), ("sin", "float64")})

#: Exact functions of `primitives/remainder.h`, by operator: NumPy's bits, whatever computes them.
EXACT: Final = frozenset({"floor_divide", "fmod", "remainder"})

#: C types of the element types that have vector functions.
C_TYPES: Final = {"float64": "double", "float32": "float"}


def function_of(op: Operator, t: ElementType) -> str | None:
    """The function by which strips compute an operator on a type: of C's library, without its suffix, or exact.

    None where there is none.

    >>> from .ops import operator
    >>> from .types import FLOAT64
    >>> function_of(operator("arcsin"), FLOAT64), function_of(operator("add"), FLOAT64)
    ('asin', None)
    """
    if t.name not in C_TYPES:
        return None
    if op.name in EXACT:
        return op.name
    if t.kind not in op.vector_math:
        return None
    spelling = op.spelling("c", t)
    return spelling if spelling in MEASURED_ULP else None


def is_vector_math(node: Node) -> bool:
    """Whether a node is a function that a vector library computes."""
    return isinstance(node, Apply) and function_of(node.op, node.args[0].type.element) is not None


@cache
def header(name: str = "vector_math.h") -> str:
    """The C of a file of `primitives`."""
    return text(name)
