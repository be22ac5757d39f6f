"""What accumulators start from."""

from __future__ import annotations

from ..nodes import Constant
from ..ops import Operator
from ..primitives import identity
from ..types import ElementType


def neutral(op: Operator, t: ElementType) -> Constant:
    """What an accumulator starts from: the value that changes no other."""
    text = identity(op, t)
    if text in ("INFINITY", "-INFINITY", "NAN"):
        return Constant(float(text.lower().replace("infinity", "inf")), t)
    if text.endswith(("_MAX", "_MIN")):
        low, high = (0, (1 << t.bits) - 1) if t.kind == "u" else (-(1 << (t.bits - 1)), (1 << (t.bits - 1)) - 1)
        return Constant(high if text.endswith("_MAX") else low, t)
    value = int(text.rpartition(")")[2] or 0) if t.kind != "c" else 0
    if t.kind == "b":
        return Constant(bool(value), t)
    return Constant(value if value >= 0 or t.kind != "u" else (1 << t.bits) - 1, t)
