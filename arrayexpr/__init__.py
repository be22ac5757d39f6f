"""arrayexpr: the array-expression optimiser that compilers share."""

from ._core.errors import (
    ArrayExprError,
    CompilerWarning,
    OutOfRange,
    ParseError,
    ShapeMismatch,
    TypeMismatch,
    UnsupportedError,
    VerifyError,
)
from ._core.interpret import interpret
from ._core.layout import Layout
from ._core.parser import parse
from ._core.program import Program
from .build import array, program, scalar
from .composite import function
from .kernel import compile, emit, evaluate, explain, kernel, optimize
from .target import Target, get_num_threads, set_num_threads

__version__ = "0.1.0"

__all__ = [
    "ArrayExprError", "CompilerWarning", "Layout", "OutOfRange", "ParseError", "Program",
    "ShapeMismatch", "Target", "TypeMismatch", "UnsupportedError", "VerifyError", "array", "compile", "emit",
    "evaluate", "explain", "function", "get_num_threads", "interpret", "kernel", "optimize", "parse", "program",
    "scalar", "set_num_threads",
]  # fmt: skip
