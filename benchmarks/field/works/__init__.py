"""The works, a family a file, in the order in which they are shown."""

from ..work import Work
from . import broadcast, conflicting, linear, overlap, pointwise, reductions, statements, strided

_FAMILIES = (linear, conflicting, strided, broadcast, pointwise, reductions, statements, overlap)

WORKS: dict[str, Work] = {work.name: work for family in _FAMILIES for work in family.WORKS}

#: What runs where no work is named: one or two of each family.
QUICK = (
    "a_b_c", "a_b_c_fortran", "a_bT", "abT_cT", "mixed_3d", "sum_abT", "sin_cos", "exp_sin", "polynomial",
    "squares_axis0", "softmax", "stencil",
)  # fmt: skip
