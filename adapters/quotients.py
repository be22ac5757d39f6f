"""Emission of rows divided by one number, as calls of `primitives/divide.h`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrayexpr._core.affine import depends
from arrayexpr._core.nodes import Apply, Constant, For, Load, Loop, Store, postorder
from arrayexpr._core.ops import operator
from arrayexpr._core.primitives import text

from .addresses import address

if TYPE_CHECKING:
    from .clike import Writer

_DIVIDE = operator("true_divide")


def call(writer: Writer, loop: For) -> bool:
    """Write a loop as a call, where it divides doubles side by side by one number, into doubles side by side."""
    if not isinstance(loop, Loop) or loop.role != "vector" or len(loop.body) != 1:
        return False
    if not writer.dialect.vector_math or not isinstance(loop.step, Constant) or loop.step.value != 1:
        return False
    match loop.body[0]:
        case Store(_, _, Apply(op, (Load() as x, by))) as store if op is _DIVIDE and by.type.element.name == "float64":
            pass
        case _:
            return False
    # What is stored in the loop is not the divisor of the next element.
    if depends(by, loop.index) or any(n.operand is store.operand for n in postorder((by,)) if isinstance(n, Load)):
        return False
    to, source = (address(writer, access, loop) for access in (store, x))
    if to is None or source is None:
        return False
    start, stop = writer.bound(loop.start), writer.bound(loop.stop)
    writer.helpers.setdefault(text("divide.h").strip())
    count = stop if start == "0" else f"{stop} - {start}"
    # The divisor is there where the loop runs at all.
    writer.line(f"if ({start} < {stop}) {{")
    with writer.inner():
        divisor = writer.expression(by)
        writer.line(f"arrayexpr_divide_float64((double *)({to}), (const double *)({source}), {divisor}, {count});")
    writer.line("}")
    return True
