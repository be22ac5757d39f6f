"""Reductions by name, of `cimport arrayexpr`: `arrayexpr.sum(a * b, axis=0)`.

A call is replaced once its arguments' types are known: over all axes it is a C number, else a new memoryview.
"""

from __future__ import annotations

from typing import Any

from Cython.Compiler import ExprNodes, PyrexTypes
from Cython.Compiler.Errors import CompileError, error

from arrayexpr._core.nodes import Node, Operand

from . import directives, report, values, vector
from .elements import element_of
from .kernels import Kernel
from .reader import Unread
from .reduction_kernels import OPERATORS, reduction
from .vector import VectorNode, as_vector, memoryview_of, takes_part
from .writer import Computation, listed


class ReductionNode(ExprNodes.ExprNode):  # type: ignore[misc]
    """A reduction of an expression on memoryviews: a C number, or a new memoryview in C order."""

    subexprs = ["operands"]
    is_temp = True

    def __init__(
        self, pos: Any, name: str, value: VectorNode, axes: tuple[int, ...], keepdims: bool, c_type: Any, env: Any
    ):
        super().__init__(pos)
        self.rank, self.axes, self.keepdims, self.c_type = value.rank, axes, keepdims, c_type
        left = value.rank if keepdims else value.rank - len(axes)
        self.truth = name in ("any", "all")
        self.stored = PyrexTypes.c_uchar_type if self.truth else c_type
        self.type = memoryview_of(self.stored, left) if left else c_type
        to = element_of(self.stored)
        assert to is not None

        def make(read: Node, _: Operand, arrays: list[Operand], numbers: list[Operand]) -> Kernel:
            return reduction(name, read, axes, to, value.rank, arrays, numbers)

        try:
            self.computation = Computation(pos, value, c_type, value.rank, [], value.leaves, env, make)
        except Unread:
            # Elements that only loops in the function compute are memory first.
            value = vector.leaf(value, value.type.dtype, value.rank)
            self.computation = Computation(pos, value, c_type, value.rank, [], value.leaves, env, make)
        self.computation.kernels.stretches = True

    @property
    def operands(self) -> list[Any]:
        return self.computation.nodes

    @operands.setter
    def operands(self, nodes: list[Any]) -> None:
        self.computation.nodes = nodes

    def analyse_types(self, env: Any) -> ReductionNode:
        return self

    def infer_type(self, env: Any) -> Any:
        return self.type

    def may_be_none(self) -> bool:
        return False

    def calculate_constant_result(self) -> None:
        pass

    def generate_result_code(self, code: Any) -> None:
        computation, result = self.computation, self.result()
        results = values.opened(computation, code, self.pos, self.rank)
        # Kernels ask the target for a shape: a result has another one.
        code.putln(f"{values.SLICE} arrayexpr_whole;")
        code.putln("memset(&arrayexpr_whole, 0, sizeof arrayexpr_whole);")
        for axis in range(self.rank):
            code.putln(f"arrayexpr_whole.shape[{axis}] = arrayexpr_lengths[{axis}];")
        if self.type.is_memoryviewslice:
            lengths = [
                "1" if axis in self.axes else f"arrayexpr_lengths[{axis}]"
                for axis in range(self.rank)
                if self.keepdims or axis not in self.axes
            ]
            values.allocate(
                code, self.pos, result, self.stored, self.type.ndim,
                listed("const ptrdiff_t", lengths), truth=self.truth,
            )  # fmt: skip
            code.putln(f"arrayexpr_whole.data = {result}.data;")
        else:
            code.putln(f"{self.stored.declaration_code('arrayexpr_result')};")
            code.putln("arrayexpr_whole.data = (char *)&arrayexpr_result;")
        results[computation.stored] = "arrayexpr_whole"
        computation.generate(code, results, fresh=True)
        if not self.type.is_memoryviewslice:
            code.putln(f"{result} = arrayexpr_result;")
        code.end_block()


def name_of(function: Any, env: Any) -> str | None:
    """The reduction that a call's function is; None where it is none."""
    entry = vector.entry_of(function, env)
    if entry is None or not entry.is_cfunction or entry.scope is None:
        return None
    known = entry.scope.qualified_name in ("arrayexpr", "cython.arrayexpr") and entry.name in OPERATORS
    return str(entry.name) if known else None


def result_type(name: str, own: Any) -> Any:
    """The C type of a reduction's elements: NumPy's, where integers are summed as such of 64 bits at least."""
    t = element_of(own)
    assert t is not None
    if name in ("any", "all"):
        return PyrexTypes.c_bint_type
    if name == "mean" and t.kind in "iu":
        return PyrexTypes.c_double_type
    if name in ("sum", "prod") and t.kind in "iu" and (t.bits < 64 or own is PyrexTypes.c_bint_type):
        long = element_of(PyrexTypes.c_long_type)
        wide = long is not None and long.bits == 64
        if t.kind == "u":
            return PyrexTypes.c_ulong_type if wide else PyrexTypes.c_ulonglong_type
        return PyrexTypes.c_long_type if wide else PyrexTypes.c_longlong_type
    return PyrexTypes.c_uchar_type if own is PyrexTypes.c_bint_type else own


def _arguments(name: str, pos: Any, positional: list[Any], keywords: dict[str, Any]) -> tuple[Any, Any, bool]:
    """The value, the axes as a number, a tuple or None, and `keepdims`."""
    given = dict(zip(("value", "axis"), positional, strict=False))
    if len(positional) > 2 or not positional or set(keywords) & set(given) or set(keywords) - {"axis", "keepdims"}:
        raise CompileError(pos, f"arrayexpr.{name} takes an expression on memoryviews, then axis= and keepdims=")
    given |= keywords
    constants: list[Any] = []
    for key in ("axis", "keepdims"):
        node = given.get(key)
        if node is None:
            constants.append(None)
            continue
        if node.is_none:
            constants.append(None)
            continue
        found = node.constant_result if node.has_constant_result() else _constant(node)
        if not isinstance(found, int | tuple):
            raise CompileError(node.pos, f"{key} of arrayexpr.{name} is not known here: expected a constant")
        constants.append(found)
    return given["value"], constants[0], bool(constants[1])


def _constant(node: Any) -> Any:
    try:
        node.calculate_constant_result()
    except Exception:
        return None
    return node.constant_result if node.has_constant_result() else None


def _axes(axis: Any, rank: int, pos: Any) -> tuple[int, ...]:
    """The axes, none twice, from 0."""
    given = tuple(range(rank)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    made = []
    for each in given:
        if not -rank <= each < rank:
            raise CompileError(pos, f"axis {each} is out of bounds for {rank} axes")
        made.append(each % rank)
    if len(set(made)) < len(made):
        raise CompileError(pos, f"axis {axis} names an axis twice")
    return tuple(sorted(made))


class _Reducing:
    """A call that may be of a reduction."""

    def _parts(self: Any) -> tuple[list[Any], dict[str, Any]]:
        if isinstance(self, ExprNodes.GeneralCallNode):
            args, keywords = self.explicit_args_kwds()
            pairs = keywords.key_value_pairs if keywords else []
            return args, {str(pair.key.value): pair.value for pair in pairs}
        return self.args, {}

    @vector.once
    def infer_type(self: Any, env: Any) -> Any:
        name = name_of(self.function, env) if directives.is_on(env) else None
        if name is None:
            return super().infer_type(env)  # type: ignore[misc]
        given, axis, keepdims = _arguments(name, self.pos, *self._parts())
        own = given.infer_type(env)
        if not own.is_memoryviewslice or vector.why_no_operand(own) is not None:
            return PyrexTypes.py_object_type
        c_type = result_type(name, own.dtype)
        left = own.ndim if keepdims else own.ndim - len(_axes(axis, own.ndim, self.pos))
        stored = PyrexTypes.c_uchar_type if name in ("any", "all") else c_type
        return memoryview_of(stored, left) if left else c_type

    def type_dependencies(self: Any, env: Any) -> Any:
        if directives.is_on(env) and name_of(self.function, env) is not None:
            return self._parts()[0][0].type_dependencies(env)
        return super().type_dependencies(env)  # type: ignore[misc]

    def analyse_types(self: Any, env: Any) -> Any:
        name = name_of(self.function, env) if directives.is_on(env) else None
        if name is None:
            return super().analyse_types(env)  # type: ignore[misc]
        try:
            given, axis, keepdims = _arguments(name, self.pos, *self._parts())
            typed = given.analyse_types(env)
            if not takes_part(typed):
                raise CompileError(self.pos, f"arrayexpr.{name} of type {typed.type}: expected memoryviews of numbers")
            value = as_vector(typed)
            axes = _axes(axis, value.rank, self.pos)
            c_type = result_type(name, value.type.dtype if not value.truth else PyrexTypes.c_bint_type)
            made = ReductionNode(self.pos, name, value, axes, keepdims, c_type, env)
        except CompileError as failed:
            error(self.pos, failed.message_only)
            self.type = PyrexTypes.error_type
            return self
        values.prepare(env)
        report.raised(self.pos, "reduction", f"a kernel over {len(value.leaves)} operands of up to {value.rank} axes")
        return made


#: Which class a call gets before its types are found, by the one that it has.
CLASSES: dict[type[Any], type[Any]] = {
    own: type(f"Reducing{own.__name__}", (_Reducing, vector.CLASSES.get(own, own)), {})
    for own in (ExprNodes.SimpleCallNode, ExprNodes.GeneralCallNode)
}
