from __future__ import annotations
from .inline import inline
from .lower import lower
from .order_axes import order_axes
from .collapse import collapse
from .block import block
from .vectorize import vectorize
from .parallelize import parallelize
T={f.__name__:f for f in (inline,lower,order_axes,collapse,block,vectorize,parallelize)}
ARRAY_PASSES=("inline",)
PASSES=tuple(T)
def run(program, names, options=None):
    from ..verify import verify
    for n in names:
        program=T[n](program, **({} if not options else options.get(n,{}))); verify(program)
    return program
