"""Direct construction: symbolic arrays with Python's operators and NumPy's protocols.

Construction is a host like any other: here NumPy's promotion rules (NEP 50) apply, and what NumPy
would convert becomes a `Cast` in the tree.

>>> a, b = array("a", "float32", 2), array("b", "float64", 1)
>>> (a * 2 + b).dtype, (a * 2 + b).ndim
(dtype('float64'), 2)
>>> [operand.name for operand in program(a * 2 + b).operands]
['a', 'b']

A function written for NumPy is traced as it is:

>>> import numpy as np
>>> def scaled(x, scale, out):
...     out[1:] = np.sqrt(x[:-1]) * scale
>>> traced = trace(scaled, ("float32", 1), Weak(float), ("float32", 1))
>>> len(traced.statements), [operand.name for operand in traced.operands]
(1, ['x', 'scale', 'out'])
"""

from __future__ import annotations

from typing import Any

from ._core.errors import TypeMismatch
from ._core.nodes import STATEMENTS, Node, Operand, SideEffect, Unreorderable
from ._core.program import Program
from ._core.types import element
from .functions import apply
from .promotion import Weak
from .symbolic import SymbolicArray, as_symbolic, in_memory
from .tracing import Trace, assemble, spec_of, symbol, trace

__all__ = ["SymbolicArray", "Trace", "Weak", "apply", "array", "assign", "program", "scalar", "spec_of", "trace"]


def array(name: str, dtype: Any, ndim: int) -> SymbolicArray:
    """An operand of the program: an array of `ndim` axes whose shape is not known yet.

    >>> array("a", "float32", 2).type
    float32[:, :]
    """
    return in_memory(Operand(name, element(dtype).array(ndim)))


def scalar(name: str, dtype: Any) -> SymbolicArray:
    """An operand of rank 0, which promotes as a NumPy scalar of the type does; or as a Python number.

    >>> x = array("x", "float32", 1)
    >>> (x * scalar("s", "float64")).dtype, (x * scalar("s", Weak(float))).dtype
    (dtype('float64'), dtype('float32'))
    """
    if isinstance(dtype, str) and dtype.startswith("weak "):
        dtype = Weak(dtype)
    return symbol(name, dtype if isinstance(dtype, Weak) else element(dtype))


def assign(target: SymbolicArray, value: Any, subscripts: Any = ...) -> Node:
    """The statement `target[subscripts] = value`, for `program`; see `SymbolicArray.assign`."""
    if type(target) is not SymbolicArray:
        raise TypeMismatch(f"assign to {type(target).__name__}: expected a symbolic array")
    return target.assign(value, subscripts)


def program(*results_or_assignments: Any, name: str = "kernel") -> Program:
    """A program of statements, made by `assign`, and of expressions, whose values become its results.

    One result is called `r`, several `r0`, `r1`, ... The operands are all that is read or assigned,
    in the order in which they are met. Statements run in the order given.

    Raises TypeMismatch for what is neither, and where one name is used for two operands.

    >>> x, y = array("x", "float64", 1), array("y", "float64", 1)
    >>> made = program(y.assign(x + y), x * y)
    >>> [o.name for o in made.operands], [o.name for o in made.results]
    (['x', 'y'], ['r'])
    """
    items: list[Any] = []
    for item in results_or_assignments:
        if isinstance(item, Node) and (item.type is None or not isinstance(item, Node)):
            if not isinstance(item, (*STATEMENTS, SideEffect, Unreorderable)):
                raise TypeMismatch(f"program of {type(item).__name__}: expected expressions and assignments")
            items.append(item)
        elif isinstance(item, Node):
            items.append((item,))
        else:
            items.append((as_symbolic(item, "program").node,))
    return assemble(name, items, [], None, ())
