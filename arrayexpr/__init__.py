"""arrayexpr: the array-expression optimiser that compilers share."""

import gc as _gc
from typing import TYPE_CHECKING, Any

# Its walks over what NumPy has made took 1 of the 10 ms that the imports take. What is made here is to stay anyway.
_collecting = _gc.isenabled()
_gc.disable()
try:
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
    from ._core.layout import Layout
    from ._core.program import Program
    from .build import array, program, scalar
    from .composite import function
    from .kernel import compile, emit, evaluate, explain, kernel, optimize
    from .target import Target, get_num_threads, set_num_threads
finally:
    if _collecting:
        _gc.enable()

if TYPE_CHECKING:
    from ._core.interpret import interpret
    from ._core.parser import parse

__version__ = "0.1.0"

__all__ = [
    "ArrayExprError", "CompilerWarning", "Layout", "OutOfRange", "ParseError", "Program",
    "ShapeMismatch", "Target", "TypeMismatch", "UnsupportedError", "VerifyError", "array", "compile", "emit",
    "evaluate", "explain", "function", "get_num_threads", "interpret", "kernel", "optimize", "parse", "program",
    "scalar", "set_num_threads",
]  # fmt: skip

# The first result of a kernel does not wait for what few processes use.
_LATER = {"interpret": "_core.interpret", "parse": "_core.parser"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
