"""Which functions are computed over strips by a vector library, and how far they are from the exact result."""

from __future__ import annotations

from typing import Final

from .nodes import Apply, Node
from .ops import Operator
from .primitives import text
from .types import ElementType

#: Functions of C's library that strips use, with the largest error seen, in ulp, of float64 and of float32: over
#: glibc 2.36's libmvec for AVX-512, AVX2 and SSE2, all values of float32, and for float64 a billion of them, random
#: bits, subnormals, values near zero, near one and near multiples of pi/2. All give the scalar library's special values,
#: and an element's bits depend on no other. A function that fails any of this has no place here.
MEASURED_ULP: Final[dict[str, tuple[float, float]]] = {
    "acos": (2.0, 2.2),
    "acosh": (3.0, 2.0),
    "asin": (2.5, 2.9),
    "asinh": (2.0, 2.0),
    "atan": (1.9, 2.6),
    "atan2": (2.5, 3.3),
    "atanh": (1.9, 2.0),
    "cbrt": (3.1, 3.0),
    "cos": (3.5, 1.9),
    "cosh": (1.9, 2.4),
    "exp": (2.8, 2.8),
    "exp2": (1.7, 1.1),
    "expm1": (2.5, 2.2),
    "hypot": (1.9, 1.4),
    "log": (1.6, 3.9),
    "log10": (2.1, 2.2),
    "log1p": (1.8, 2.0),
    "log2": (2.1, 1.8),
    "pow": (1.2, 0.7),
    "sin": (3.3, 1.8),
    "sinh": (1.9, 1.9),
    "tan": (3.1, 3.2),
    "tanh": (2.2, 1.4),
}

#: C types of the element types that have vector functions.
C_TYPES: Final = {"float64": "double", "float32": "float"}


def function_of(op: Operator, t: ElementType) -> str | None:
    """The function of C's library, without its suffix, by which strips compute an operator on a type; None if none.

    >>> from .ops import operator
    >>> from .types import FLOAT64
    >>> function_of(operator("arcsin"), FLOAT64), function_of(operator("add"), FLOAT64)
    ('asin', None)
    """
    if t.name not in C_TYPES or t.kind not in op.vector_math:
        return None
    spelling = op.spelling("c", t)
    return spelling if spelling in MEASURED_ULP else None


def is_vector_math(node: Node) -> bool:
    """Whether a node is a function that a vector library computes."""
    return isinstance(node, Apply) and function_of(node.op, node.args[0].type.element) is not None


def header() -> str:
    """The C of `primitives/vector_math.h`."""
    return text("vector_math.h")
