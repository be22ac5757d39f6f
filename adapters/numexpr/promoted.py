"""Expressions under NumPy's promotion: element types are taken as they are, and so complex64 and uint8 stay."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from arrayexpr._core.nodes import Assign, Cast, Operand
from arrayexpr._core.program import Program
from arrayexpr._core.types import element, elements
from arrayexpr.expression import expression
from arrayexpr.kernel import compile as compile_program

from . import utils
from .interpreter import delivered
from .reader import names_in


class Promoted:
    """A text whose kernels are made for the arrays' own element types and ranks, each on first use.

    >>> import numpy as np
    >>> Promoted("a * 2").on([np.arange(3, dtype="uint8")], None, "K", "safe")
    array([0, 2, 4], dtype=uint8)
    """

    #: The operands of its kernels are its inputs, in their order.
    simple = True

    def __init__(self, text: str):
        self.text = text
        types = {t.name for t in elements()}
        self.input_names = [name for name in names_in(text) if name not in types]
        self._kernels: dict[Any, Any] = {}
        self._lock = threading.Lock()

    def on(self, arrays: Sequence[Any], out: Any, order: str, casting: str) -> Any:
        return delivered(self.kernel, arrays, out, order, casting)

    def kernel(self, operands: Sequence[Any], out: Any) -> Any:
        key = (out, utils.num_threads, *[(array.dtype, array.ndim) for array in operands])
        with self._lock:
            made = self._kernels.get(key)
            if made is None:
                made = self._kernels[key] = compile_program(self._program(operands, out), threads=utils.num_threads)
        return made

    def _program(self, operands: Sequence[Any], out: Any) -> Program:
        types = {name: (array.dtype, array.ndim) for name, array in zip(self.input_names, operands, strict=True)}
        program = expression(self.text, types, name="numexpr")
        if out is None or program.results[0].type.element is element(out):
            return program
        (statement,) = program.statements
        assert isinstance(statement, Assign)
        result: Operand = Operand(program.results[0].name, element(out).array(program.results[0].type.rank))
        return program.replace(statements=(Assign(result, Cast(statement.value, element(out))),), results=(result,))
