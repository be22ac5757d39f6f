"""The next row prefetched, in C, while strips compute on a row that a sweep has brought into the cache.

The memory is at rest while functions are computed. Measured over the rows of 4000 x 4000 doubles, in ms: softmax 10.4
without and 7.8 with; layer norm, where strips have no functions and none is prefetched, 6.5 and 7.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrayexpr._core.affine import depends, integer, plus
from arrayexpr._core.nodes import Constant, For, Load, Loop, Node, postorder
from arrayexpr._core.vector_math import is_vector_math

if TYPE_CHECKING:
    from .clike import Writer

_LINE = 64
_MACRO = """#ifndef ARRAYEXPR_PREFETCH
#if defined(__GNUC__)
#define ARRAYEXPR_PREFETCH(p) __builtin_prefetch(p)
#else
#define ARRAYEXPR_PREFETCH(p) ((void)0)
#endif
#endif"""


def strips_of(loop: For) -> dict[For, list[Load]]:
    """The loops over strips with functions in a loop over rows, and what they load that an earlier sweep has."""
    found: dict[For, list[Load]] = {}
    if not isinstance(loop, Loop) or loop.role != "serial" or loop.step is not integer(1):
        return found
    swept: set[Node] = set()
    for sweep in loop.body:
        if not isinstance(sweep, Loop):
            continue
        if sweep.role == "reduce":
            swept.update(n for n in postorder(sweep.body) if isinstance(n, Load) and sweep.index in n.subscripts)
        elif sweep.role == "serial" and isinstance(sweep.step, Constant) and sweep.step.value > 1:
            inner = [s for s in sweep.body if isinstance(s, Loop) and s.start is sweep.index]
            loads = dict.fromkeys(n for s in inner for n in postorder(s.body) if isinstance(n, Load) and n in swept)
            if not any(is_vector_math(n) for n in postorder(sweep.body)):
                continue
            rows = [n for n in loads if loop.index in n.subscripts and any(s.index in n.subscripts for s in inner)]
            if rows:
                found[sweep] = rows
    return found


def write(writer: Writer, strip: For, row: For, loads: list[Load], count: int, stop: str) -> None:
    """Prefetch, at the start of a strip of so many elements, or fewer at the stop, the same of the next row."""
    if not writer.dialect.vector_math:
        return
    for load in loads:
        operand = load.operand
        size = operand.type.element.itemsize
        subscripts: list[Node] = []
        along = None
        for axis, subscript in enumerate(load.subscripts):
            if subscript is row.index:
                subscripts.append(plus(subscript, integer(1)))
            elif any(isinstance(s, Loop) and s.index is subscript and s.start is strip.index for s in strip.body):
                subscripts.append(strip.index)
                along = axis
            elif depends(subscript, row.index):
                break
            else:
                subscripts.append(subscript)
        if along is None or len(subscripts) < len(load.subscripts) or writer.stride(operand, along) != str(size):
            continue
        writer.helpers.setdefault(_MACRO)
        address = f"{writer.names.of('operand', operand.name)}{writer.offset(operand, list(enumerate(subscripts)))}"
        if count * size <= _LINE:
            writer.line(f"ARRAYEXPR_PREFETCH({address});")
            continue
        k = writer.local("k")
        left = f"({stop} - {writer.names.of('index', strip.index.name)}) * {size}"
        writer.line(f"for ({writer.dialect.index} {k} = 0; {k} < {count * size} && {k} < {left}; {k} += {_LINE}) {{")
        writer.line(f"    ARRAYEXPR_PREFETCH({address} + {k});")
        writer.line("}")
