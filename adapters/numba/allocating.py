"""New arrays in memory that is kept when they are freed, for the next ones: see `engine/caching_allocator.h`.

Numba asks an array's class where its memory is from. Of 4096 x 4096 doubles the pages take longer to clear than the
array to compute: returning `a*b + c` takes 37 ms in new small pages, 12 ms so.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.core.typing import signature
from numba.extending import intrinsic, overload_classmethod
from numba.np import arrayobj

from . import walk
from .kinds import types


class Kept(types.Array):  # type: ignore[misc]
    """An array for whoever allocates it, who alone sees this type."""


register_default(Kept)(models.ArrayModel)


@intrinsic  # type: ignore[untyped-decorator]
def _memory(typing: Any, size: Any, align: Any) -> Any:
    """Memory as Numba's runtime counts its references: of our own where it is large."""
    pointer = types.MemInfoPointer(types.voidptr)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        size, align = args
        slot = cgutils.alloca_once_value(builder, ir.Constant(cgutils.voidptr_t, None))
        with cgutils.if_unlikely(builder, builder.icmp_unsigned(">=", size, size.type(walk.LARGE))):
            kind = ir.FunctionType(cgutils.voidptr_t, [size.type])
            call = cgutils.get_or_insert_function(builder.module, kind, "arrayexpr_memory_1")
            builder.store(builder.call(call, [size]), slot)
        with cgutils.if_likely(builder, cgutils.is_null(builder, builder.load(slot))):
            builder.store(context.nrt.meminfo_alloc_aligned(builder, size, align), slot)
        return builder.load(slot)

    return signature(pointer, size, align), codegen


@overload_classmethod(Kept, "_allocate", target="CPU")
def _allocate(cls, size, align):  # type: ignore[no-untyped-def]
    return lambda cls, size, align: _memory(size, align)


def empty(context: Any, builder: Any, kind: Any, shape: tuple[Any, ...]) -> Any:
    """The LLVM value of a new array of a Numba type; ValueError where its size is no number."""
    kept = Kept(kind.dtype, kind.ndim, kind.layout, aligned=kind.aligned)
    return arrayobj._empty_nd_impl(context, builder, kept, shape)._getvalue()
