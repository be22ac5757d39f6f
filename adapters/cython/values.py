"""New memoryviews: what an expression on memoryviews is where no slice takes it, as in `t = a * b`."""

from __future__ import annotations

from importlib import resources
from typing import Any

from Cython.Compiler import Buffer, MemoryView, Naming
from Cython.Compiler.Code import UtilityCode
from Cython.Compiler.Errors import error

from arrayexpr._core.nodes import Operand
from arrayexpr._core.types import ElementType

from . import report
from .elements import element_of
from .reader import Unread
from .vector import VectorNode
from .writer import Computation, geometry


def _named(name: str) -> str:
    # They moved from one module to the other in Cython 3.2.
    return str(getattr(Naming, name, None) or getattr(MemoryView, name))


#: C's names of a memoryview and of the object that it is a slice of.
SLICE, _OBJECT = _named("memviewslice_cname"), _named("memview_objstruct_cname")

_PROTOTYPE = """\
#include <stddef.h>
static int arrayexpr_new(SLICE *made, int rank, const ptrdiff_t *shape, size_t itemsize, const char *format,
                         int fortran, const void *typeinfo);
"""


def prepare(env: Any) -> None:
    """Ask Cython for the code of its arrays, before it writes any."""
    MemoryView.use_cython_array_utility_code(env.global_scope())


def allocator() -> UtilityCode:
    """The C that makes a memoryview of a new array of Cython's."""
    text = resources.files(__package__).joinpath("values.h").read_text(encoding="utf-8")
    names = {"SLICE": SLICE, "OBJECT": _OBJECT}
    prototype = _PROTOTYPE
    for name, cname in names.items():
        text, prototype = text.replace(name, cname), prototype.replace(name, cname)
    return UtilityCode(proto=prototype, impl=text, name="arrayexpr_values")


def allocate(
    code: Any, pos: Any, result: str, c_type: Any, rank: int, shape: str, *, truth: bool = False, fortran: bool = False
) -> None:
    """The C that makes `result` a new memoryview of C's `shape`; `truth` asks for elements that Python sees as bool."""
    t = element_of(c_type)
    assert t is not None
    code.globalstate.use_utility_code(allocator())
    info = Buffer.get_type_information_cname(code, c_type)
    made = (
        f"arrayexpr_new(&{result}, {rank}, {shape}, sizeof({c_type.empty_declaration_code()}), "
        f'"{"?" if truth else format_of(t)}", {int(fortran)}, &{info})'
    )
    code.putln(code.error_goto_if_neg(made, pos))


def format_of(t: ElementType) -> str:
    """The format by which Python's buffers know an element type.

    >>> from arrayexpr._core.types import element
    >>> format_of(element("uint16")), format_of(element("complex64"))
    ('H', 'Zf')
    """
    if t.kind == "c":
        return "Z" + {"complex64": "f", "complex128": "d"}.get(t.name, "g")
    if t.kind == "f":
        return {32: "f", 64: "d"}.get(t.bits, "g")
    return str(t.dtype.char)


class Value:
    """What computes an expression as a new memoryview: memory for it, then its elements."""

    def __init__(self, node: VectorNode, computation: Computation):
        self.type, self.pos = node.type, node.pos
        self.truth = node.truth and node.type.dtype.empty_declaration_code() == "unsigned char"
        self.computation = computation

    def generate(self, code: Any, result: str) -> None:
        computation = self.computation
        results = opened(computation, code, self.pos, self.type.ndim)
        fortran = bool(self.type.is_f_contig and not self.type.is_c_contig)
        allocate(
            code,
            self.pos,
            result,
            self.type.dtype,
            self.type.ndim,
            "arrayexpr_lengths",
            truth=self.truth,
            fortran=fortran,
        )
        results[computation.stored] = result
        computation.generate(code, results, fresh=True)
        code.end_block()


def opened(computation: Any, code: Any, pos: Any, rank: int) -> dict[Operand, str]:
    """The operands of an expression in a block of C that begins, where `arrayexpr_lengths` is the shape they have."""
    computation.kernels.use(code)
    computation.check_none(code)
    code.begin_block()
    results: dict[Operand, str] = computation.declare(code)
    arrays = [operand for operand in computation.places if operand.type.rank]
    code.putln(f"ptrdiff_t arrayexpr_lengths[{rank}];")
    ranks = ", ".join(str(operand.type.rank) for operand in arrays)
    call = (
        f"arrayexpr_stretch({rank}, {len(arrays)}, ARRAYEXPR_LIST(const int, {ranks}), {geometry(arrays, results)}, "
        "arrayexpr_lengths)"
    )
    code.putln(code.error_goto_if_neg(call, pos))
    return results


def settle(node: VectorNode, env: Any) -> None:
    """Give an expression that no statement has taken what computes it."""
    if node.value is not None:
        return
    try:
        computation = Computation(node.pos, node, node.type.dtype, node.type.ndim, [], node.leaves, env)
    except Unread as unread:
        error(node.pos, f"Cannot compute an expression on memoryviews: it has {unread}")
        return
    computation.kernels.stretches = True
    prepare(env)
    node.value = Value(node, computation)
    how = "loops" if computation.loops else "a kernel"
    report.raised(node.pos, "value", f"{how} over {len(node.leaves)} operands, into a new memoryview")
