"""Nodes of Cython's that take memoryviews as operands: expressions on arrays, before they are read.

A transform gives Cython's own operator nodes one of the classes below. They act where an operand is a memoryview, or
such an expression, and the other a C number; everything else is done by the class that they are derived from. Cython
itself types the expression of one element, in which a leaf stands for each memoryview and number.
"""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from Cython.Compiler import ExprNodes, PyrexTypes
from Cython.Compiler.Errors import error, local_errors

from arrayexpr._core.nodes import Operand

from . import directives
from .element_loops import check
from .elements import element_of, plain
from .reader import CONDITION, ElementNode, Reader, Unread

_numbers = itertools.count()


class Analysed(ExprNodes.ExprNode):  # type: ignore[misc]
    """Stands for a node whose types are known, where Cython is about to find them."""

    subexprs: list[str] = []

    def __init__(self, node: Any):
        super().__init__(node.pos)
        self.node = node
        self.constant_result = node.constant_result

    def analyse_types(self, env: Any) -> Any:
        return self.node

    analyse_expressions = analyse_target_types = analyse_types

    def analyse_temp_boolean_expression(self, env: Any) -> Any:
        return self.node.coerce_to_boolean(env).coerce_to_simple(env)


class VectorNode(ExprNodes.ExprNode):  # type: ignore[misc]
    """An expression on memoryviews.

    `leaves` are pairs of a node of Cython's, which is evaluated once, and our operand; `element` is the expression of
    one element over the operands. Where no statement takes it, it is a new memoryview, of `type`: `value`, which
    `values.settle` gives it once all types are known, computes it.
    """

    subexprs = ["operands"]
    child_attrs = ["operands", "elements"]
    is_vector = True
    is_temp = True

    def __init__(self, pos: Any, element: Any, leaves: list[tuple[Any, Operand]], truth: bool = False):
        super().__init__(pos)
        self.element = element
        self.leaves = leaves
        #: Whether elements are results of comparisons, or of `&`, `|` and `^` on such.
        self.truth = truth or element.type is PyrexTypes.c_bint_type and not isinstance(element, ElementNode)
        self.rank = max((operand.type.rank for _, operand in leaves), default=0)
        self.type = memoryview_of(self._stored_type(), self.rank) if self.rank else element.type
        self.value: Any = None

    @property
    def operands(self) -> list[Any]:
        return self.value.computation.nodes if self.value else [node for node, _ in self.leaves]

    @operands.setter
    def operands(self, nodes: list[Any]) -> None:
        if self.value:
            self.value.computation.nodes = nodes
        else:
            self.leaves = [(node, operand) for node, (_, operand) in zip(nodes, self.leaves, strict=True)]

    @property
    def elements(self) -> list[Any]:
        return self.value.computation.children if self.value else []

    @elements.setter
    def elements(self, nodes: list[Any]) -> None:
        if self.value:
            self.value.computation.adopt(nodes)

    def _stored_type(self) -> Any:
        """What elements are stored as: results of comparisons take a byte, as NumPy's do."""
        own = self.element.type
        if self.truth:
            return PyrexTypes.c_uchar_type
        return PyrexTypes.c_double_complex_type if own is PyrexTypes.soft_complex_type else own

    def analyse_types(self, env: Any) -> VectorNode:
        return self

    def infer_type(self, env: Any) -> Any:
        return self.type

    def may_be_none(self) -> bool:
        return False

    def coerce_to(self, dst_type: Any, env: Any) -> Any:
        """As a new memoryview of the type that is asked for: its elements are converted, and lie in its order."""
        if not dst_type.is_memoryviewslice or self.type == dst_type or why_no_operand(dst_type) is not None:
            return super().coerce_to(dst_type, env)
        if dst_type.ndim != self.rank:
            error(
                self.pos, f"Cannot assign an expression of type {self.type} to {dst_type}: it has {dst_type.ndim} axes"
            )
            return self
        made = VectorNode(self.pos, self.element, self.leaves, self.truth)
        made.type = memoryview_of(dst_type.dtype, self.rank, dst_type.is_f_contig and not dst_type.is_c_contig)
        return ExprNodes.ExprNode.coerce_to(made, dst_type, env)

    def coerce_to_boolean(self, env: Any) -> Any:
        error(
            self.pos,
            "An expression on memoryviews is neither true nor false: expected arrayexpr.any or arrayexpr.all of it",
        )
        return self

    def calculate_constant_result(self) -> None:
        pass

    def generate_result_code(self, code: Any) -> None:
        self.value.generate(code, self.result())


def memoryview_of(c_type: Any, rank: int, fortran: bool = False) -> Any:
    """The type of a new memoryview, in C order or Fortran's."""
    axes = [("direct", "follow")] * rank
    axes[0 if fortran else -1] = ("direct", "contig")
    return PyrexTypes.MemoryViewSliceType(plain(c_type), axes)


def takes_part(node: Any) -> bool:
    """Whether a typed node is a memoryview that kernels take, or an expression on such."""
    return isinstance(node, VectorNode) or why_no_operand(node.type) is None


def why_no_operand(c_type: Any) -> str | None:
    """Why a type is none of a memoryview that kernels take; None where it is one."""
    if not c_type.is_memoryviewslice:
        return "no memoryview"
    if any(access != "direct" for access, _ in c_type.axes):
        return "a memoryview with pointers along an axis"
    if element_of(c_type.dtype) is None:
        return f"elements of type {c_type.dtype}"
    return None


def is_number(node: Any) -> bool:
    """Whether a typed node is a C number."""
    return not isinstance(node, VectorNode) and element_of(node.type) is not None


def as_vector(node: Any) -> VectorNode:
    """A typed memoryview or C number as an expression of its own."""
    if isinstance(node, VectorNode):
        return node
    if isinstance(node, Typed) and node.truth:
        made = leaf(node, PyrexTypes.c_bint_type, node.type.ndim)
        made.truth = True
        return made
    if node.type.is_memoryviewslice:
        return leaf(node, node.type.dtype, node.type.ndim)
    if isinstance(node, ExprNodes.IntNode | ExprNodes.FloatNode | ExprNodes.BoolNode) and node.has_constant_result():
        return VectorNode(node.pos, node, [])
    return leaf(node, node.type, 0)


def leaf(node: Any, c_type: Any, rank: int) -> VectorNode:
    t = element_of(c_type)
    assert t is not None
    operand = Operand(f"x{next(_numbers)}", t.array(rank))
    return VectorNode(node.pos, ElementNode(node.pos, c_type, operand), [(node, operand)])


def combined(node: Any, attributes: dict[str, Any], env: Any) -> VectorNode | None:
    """The expression that an operator makes of typed operands; None where the adapter leaves it to Cython.

    `attributes` gives the operands by the names of the node's attributes.
    """
    vectors = {name: as_vector(value) for name, value in attributes.items()}
    element = _plain_copy(node)
    for name, vector in vectors.items():
        setattr(element, name, Analysed(vector.element))
    return _typed(element, list(vectors.values()), env)


def _plain_copy(node: Any) -> Any:
    element = copy.copy(node)
    element.__class__ = plain_class(type(node))
    return element


def _typed(element: Any, vectors: list[VectorNode], env: Any) -> VectorNode | None:
    """An element expression over typed operands: Cython finds its type."""
    pos = element.pos
    with local_errors(ignore=True) as errors:
        element = element.analyse_types(env)
    if errors or element.type.is_error:
        return None
    try:
        Reader(env.directives).read(element)
    except Unread:
        try:
            check(element)
        except Unread:
            return None
    truth = isinstance(element, _LOGICAL) and element.operator in "&|^" and all(vector.truth for vector in vectors)
    return VectorNode(pos, element, [each for vector in vectors for each in vector.leaves], truth)


_LOGICAL = ExprNodes.IntBinopNode


def plain_class(own: type[Any]) -> type[Any]:
    """Cython's class for one of ours."""
    made: type[Any] = next(base for base in own.__mro__ if base.__module__.startswith("Cython."))
    return made


class Typed(ExprNodes.ExprNode):  # type: ignore[misc]
    """Stands for a node whose type is all that is known yet."""

    subexprs: list[str] = []

    def __init__(self, pos: Any, c_type: Any, truth: bool = False):
        super().__init__(pos)
        self.type = c_type
        self.truth = truth


_types: dict[int, Any] | None = None


def once(infer_type: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The method, which asks each part of an expression for its type once: ours and Cython's own both ask for it."""

    @functools.wraps(infer_type)
    def asked_once(self: Any, env: Any) -> Any:
        global _types
        if _types is not None:
            if id(self) not in _types:
                _types[id(self)] = infer_type(self, env)
            return _types[id(self)]
        _types = {}
        try:
            return infer_type(self, env)
        finally:
            _types = None

    return asked_once


def inferred(node: Any, names: list[str], env: Any) -> Any:
    """The type that an operator has on operands, the attributes `names`; None where it is none on memoryviews.

    It is asked for before types are known: nothing of the node is changed.
    """
    if not directives.is_on(env) or not _may_touch(node, env):
        return None
    parts = []
    for name in names:
        parts.append(_known(getattr(node, name), env))
    if not _among(parts, env):
        return None
    made = combined(node, dict(zip(names, parts, strict=True)), env)
    if made is None:
        return None
    node.found_truth = made.truth
    return made.type


def _may_touch(node: Any, env: Any) -> bool:
    """Whether an expression may have a memoryview in it: others are typed as deep as Cython alone can."""
    left = [node]
    while left:
        each = left.pop()
        if each.is_name:
            entry = each.entry or env.lookup(each.name)
            if entry is not None and (entry.type.is_memoryviewslice or entry.type is PyrexTypes.unspecified_type):
                return True
        elif each.is_attribute or isinstance(each, ExprNodes.CallNode):
            return True
        for name in each.child_attrs or ():
            child = getattr(each, name, None)
            left += [part for part in (child if isinstance(child, list) else [child]) if part is not None]
    return False


def _known(node: Any, env: Any) -> Any:
    """What stands for a node whose types are not known yet."""
    if isinstance(node, ExprNodes.IntNode | ExprNodes.FloatNode | ExprNodes.BoolNode):
        return copy.copy(node).analyse_types(env)
    c_type = node.infer_type(env) or PyrexTypes.py_object_type
    return Typed(node.pos, c_type, getattr(node, "found_truth", False))


def _among(nodes: list[Any], env: Any) -> bool:
    """Whether operands make an expression on memoryviews."""
    return (
        directives.is_on(env)
        and any(map(takes_part, nodes))
        and all(takes_part(node) or is_number(node) for node in nodes)
    )


def _analysed(node: Any, names: Sequence[str], env: Any) -> Any:
    """What an operator becomes whose operands make an expression on memoryviews; None of others."""
    operands = {name: getattr(node, name).analyse_types(env) for name in names}
    if _among(list(operands.values()), env):
        made = combined(node, operands, env)
        if made is not None:
            return made
    for name, operand in operands.items():
        setattr(node, name, Analysed(operand))
    return None


class _Binary:
    """A binary operator: `+`, `-`, `*`, `/`, `//`, `%`, `**`, `&`, `|`, `^`, `<<`, `>>`."""

    @once
    def infer_type(self: Any, env: Any) -> Any:
        found = inferred(self, ["operand1", "operand2"], env)
        return super().infer_type(env) if found is None else found  # type: ignore[misc]

    def analyse_types(self: Any, env: Any) -> Any:
        if not directives.is_on(env):
            return super().analyse_types(env)  # type: ignore[misc]
        made = _analysed(self, ("operand1", "operand2"), env)
        return super().analyse_types(env) if made is None else made  # type: ignore[misc]


class _Unary:
    """`-x`, `+x`, `~x`, `not x`."""

    @once
    def infer_type(self: Any, env: Any) -> Any:
        found = inferred(self, ["operand"], env)
        return super().infer_type(env) if found is None else found  # type: ignore[misc]

    def analyse_types(self: Any, env: Any) -> Any:
        made = _analysed(self, ("operand",), env)
        return super().analyse_types(env) if made is None else made  # type: ignore[misc]


class _Comparison:
    """`a < b` and its like, element by element: of bare memoryviews Cython's own C does not compile."""

    def type_dependencies(self: Any, env: Any) -> Any:
        return self.operand1.type_dependencies(env) + self.operand2.type_dependencies(env)

    @once
    def infer_type(self: Any, env: Any) -> Any:
        if self.cascade is None and self.operator in _COMPARISONS:
            found = inferred(self, ["operand1", "operand2"], env)
            if found is not None:
                return found
        return super().infer_type(env)  # type: ignore[misc]

    def analyse_types(self: Any, env: Any) -> Any:
        if not directives.is_on(env) or self.cascade is not None or self.operator not in _COMPARISONS:
            return super().analyse_types(env)  # type: ignore[misc]
        made = _analysed(self, ("operand1", "operand2"), env)
        return super().analyse_types(env) if made is None else made  # type: ignore[misc]


_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


class _Logical:
    """`a < b and c`, element by element where either is a comparison or made of such; an element decides on its own."""

    def type_dependencies(self: Any, env: Any) -> Any:
        return self.operand1.type_dependencies(env) + self.operand2.type_dependencies(env)

    @once
    def infer_type(self: Any, env: Any) -> Any:
        if directives.is_on(env) and _may_touch(self, env) and self._is_of_truths(env):
            found = inferred(self, ["operand1", "operand2"], env)
            if found is not None:
                return found
        return super().infer_type(env)  # type: ignore[misc]

    def analyse_types(self: Any, env: Any) -> Any:
        if not directives.is_on(env):
            return super().analyse_types(env)  # type: ignore[misc]
        operands = [each.analyse_types(env) for each in _operands(self)]
        if any(isinstance(each, VectorNode) and each.truth for each in operands) and _among(operands, env):
            made = combined(self, dict(zip(("operand1", "operand2"), operands, strict=True)), env)
            if made is not None:
                return made
        self.operand1, self.operand2 = map(Analysed, operands)
        return super().analyse_types(env)  # type: ignore[misc]

    def _is_of_truths(self: Any, env: Any) -> bool:
        return any(getattr(_known(each, env), "truth", False) for each in _operands(self))


def _operands(node: Any) -> list[Any]:
    return [node.operand1, node.operand2]


class _Choice:
    """`a if condition else b`, element by element where the condition is on memoryviews."""

    def type_dependencies(self: Any, env: Any) -> Any:
        return super().type_dependencies(env) + getattr(self, CONDITION).type_dependencies(env)  # type: ignore[misc]

    @once
    def infer_type(self: Any, env: Any) -> Any:
        if directives.is_on(env) and isinstance(getattr(self, CONDITION), _CONDITIONS):
            if takes_part(_known(getattr(self, CONDITION), env)):
                found = inferred(self, [CONDITION, "true_val", "false_val"], env)
                if found is not None:
                    return found
        return super().infer_type(env)  # type: ignore[misc]

    def analyse_types(self: Any, env: Any) -> Any:
        if not directives.is_on(env) or not isinstance(getattr(self, CONDITION), _CONDITIONS):
            return super().analyse_types(env)  # type: ignore[misc]
        condition = getattr(self, CONDITION).analyse_types(env)
        if takes_part(condition):
            parts = {CONDITION: condition}
            parts |= {name: getattr(self, name).analyse_types(env) for name in ("true_val", "false_val")}
            made = combined(self, parts, env) if _among(list(parts.values()), env) else None
            if made is not None:
                return made
            self.true_val, self.false_val = Analysed(parts["true_val"]), Analysed(parts["false_val"])
        setattr(self, CONDITION, Analysed(condition))
        return super().analyse_types(env)  # type: ignore[misc]


class _Cast:
    """`<double> x` of each element."""

    @once
    def infer_type(self: Any, env: Any) -> Any:
        if not self.typecheck and isinstance(self.operand, _OPERANDS) and takes_part(_known(self.operand, env)):
            found = inferred(self, ["operand"], env)
            if found is not None:
                return found
        return super().infer_type(env)  # type: ignore[misc]

    def analyse_types(self: Any, env: Any) -> Any:
        if not directives.is_on(env) or self.typecheck or not isinstance(self.operand, _OPERANDS):
            return super().analyse_types(env)  # type: ignore[misc]
        operand = self.operand.analyse_types(env)
        if takes_part(operand):
            made = combined(self, {"operand": operand}, env)
            if made is not None:
                return made
        self.operand = Analysed(operand)
        return super().analyse_types(env)  # type: ignore[misc]


class _Call:
    """A call of a function of C numbers: of C's math.h, or any other that Cython knows by its C types."""

    @once
    def infer_type(self: Any, env: Any) -> Any:
        if directives.is_on(env) and not self.analysed and is_of_numbers(self.function, env):
            args = [_known(arg, env) for arg in self.args]
            made = _called(self, args, env) if _among(args, env) else None
            if made is not None:
                return made.type
        return super().infer_type(env)  # type: ignore[misc]

    def analyse_types(self: Any, env: Any) -> Any:
        if not directives.is_on(env) or self.analysed or not is_of_numbers(self.function, env):
            return super().analyse_types(env)  # type: ignore[misc]
        args = [arg.analyse_types(env) for arg in self.args]
        if _among(args, env):
            made = _called(self, args, env)
            if made is not None:
                return made
        self.args = [Analysed(arg) for arg in args]
        return super().analyse_types(env)  # type: ignore[misc]


def is_of_numbers(function: Any, env: Any) -> bool:
    """Whether what a call names is a C function, or a pointer to one, whose parameters are all numbers."""
    entry = entry_of(function, env)
    c_type = entry.type if entry is not None else None
    if c_type is not None and c_type.is_ptr:
        c_type = c_type.base_type
    if c_type is None or not c_type.is_cfunction or not c_type.args:
        return False
    return all(arg.type.is_fused or element_of(arg.type) is not None for arg in c_type.args)


def entry_of(function: Any, env: Any) -> Any:
    """What a name, or the name of something in a cimported module, stands for; None where it is not known yet."""
    if function.is_name:
        return function.entry or env.lookup(function.name)
    if function.is_attribute:
        module = function.obj.analyse_as_module(env)
        return module.lookup_here(function.attribute) if module is not None else None
    return None


def _called(node: Any, args: list[Any], env: Any) -> VectorNode | None:
    """As `combined`, of a call: its operands are a list."""
    vectors = [as_vector(arg) for arg in args]
    element = _plain_copy(node)
    element.args = [Analysed(vector.element) for vector in vectors]
    return _typed(element, vectors, env)


def _derived(mixin: type[Any], names: str) -> dict[type[Any], type[Any]]:
    """Classes of ours, by Cython's that they are derived from."""
    made = {}
    for name in names.split():
        own = getattr(ExprNodes, name, None)
        if own is not None:
            made[own] = type(f"Vector{name}", (mixin, own), {})
    return made


#: Which class a node gets before its types are found, by the one that it has.
CLASSES: dict[type[Any], type[Any]] = {
    **_derived(_Binary, "AddNode SubNode MulNode DivNode ModNode PowNode BitwiseOrNode IntBinopNode"),
    **_derived(_Unary, "UnaryMinusNode UnaryPlusNode TildeNode NotNode"),
    **_derived(_Comparison, "PrimaryCmpNode"),
    **_derived(_Logical, "BoolBinopNode"),
    **_derived(_Choice, "CondExprNode"),
    **_derived(_Cast, "TypecastNode"),
    **_derived(_Call, "SimpleCallNode"),
}
#: What a conditional expression may have as its test that is on memoryviews.
_CONDITIONS = (_Binary, _Unary, _Comparison, _Logical, _Choice, _Cast, _Call, ExprNodes.NameNode)
#: What a cast may have as operand that is on memoryviews.
_OPERANDS = (
    *(_Binary, _Unary, _Comparison, _Logical, _Choice, _Cast, _Call),
    *(ExprNodes.NameNode, ExprNodes.AttributeNode, ExprNodes.IndexNode, ExprNodes.SliceIndexNode),
    ExprNodes.GeneralCallNode,
)
