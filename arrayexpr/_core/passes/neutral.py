"""What accumulators start from."""

from __future__ import annotations

from ..nodes import Constant
from ..ops import Operator, operator
from ..primitives import fold, identity
from ..types import ElementType

_FAR, _NAN = float("inf"), float("nan")
#: Of operators and kinds that the host has no folds of.
_OWN = {
    **{("bitwise_and", "b"): True, ("bitwise_or", "b"): False, ("bitwise_xor", "b"): False},
    **{("multiply", "c"): 1 + 0j, ("minimum", "c"): complex(_FAR, _FAR), ("maximum", "c"): complex(-_FAR, -_FAR)},
    **{("fmin", "c"): complex(_NAN, _NAN), ("fmax", "c"): complex(_NAN, _NAN)},
}


def neutral(op: Operator, t: ElementType) -> Constant:
    """What an accumulator starts from: the value that changes no other."""
    if op.name in ("fmin", "fmax") and t.kind in "iu":
        op = operator(op.name.replace("f", "") + "imum")
    if fold(op, t) is None and (op.name, t.kind) in _OWN:
        return Constant(_OWN[op.name, t.kind], t)
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
