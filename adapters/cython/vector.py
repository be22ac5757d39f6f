"""Nodes of Cython's that take memoryviews as operands: expressions on arrays, before they are read.

A transform gives Cython's own operator nodes one of the classes below. They act where an operand is a memoryview, or
such an expression, and the other a C number; everything else is done by the class that they are derived from. Cython
itself types the expression of one element, in which a leaf stands for each memoryview and number.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

from Cython.Compiler import ExprNodes, PyrexTypes
from Cython.Compiler.Errors import error, local_errors

from arrayexpr._core.nodes import Operand

from . import directives
from .elements import element_of
from .reader import CONDITION, ElementNode, Reader, Unread, function_of

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
    one element over the operands.
    """

    subexprs: list[str] = []
    is_vector = True

    def __init__(self, pos: Any, element: Any, leaves: list[tuple[Any, Operand]]):
        super().__init__(pos)
        self.element = element
        self.leaves = leaves
        self.rank = max((operand.type.rank for _, operand in leaves), default=0)
        axes = [("direct", "follow")] * (self.rank - 1) + [("direct", "contig")]
        self.type = PyrexTypes.MemoryViewSliceType(element.type, axes) if self.rank else element.type

    def analyse_types(self, env: Any) -> VectorNode:
        return self

    def coerce_to(self, dst_type: Any, env: Any) -> Any:
        error(
            self.pos,
            f"An expression on memoryviews has no place of its own to be stored: expected an assignment to a slice, "
            f"as in 'out[...] = ...', not to {dst_type}",
        )
        return self

    def coerce_to_boolean(self, env: Any) -> Any:
        return self.coerce_to(PyrexTypes.c_bint_type, env)

    def generate_evaluation_code(self, code: Any) -> None:
        raise AssertionError("an expression on memoryviews that no statement has taken")


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
        return None
    return VectorNode(pos, element, [each for vector in vectors for each in vector.leaves])


def plain_class(own: type[Any]) -> type[Any]:
    """Cython's class for one of ours."""
    made: type[Any] = next(base for base in own.__mro__ if base.__module__.startswith("Cython."))
    return made


def _among(nodes: list[Any], env: Any) -> bool:
    """Whether operands make an expression on memoryviews."""
    return (
        directives.is_on(env)
        and any(map(takes_part, nodes))
        and all(takes_part(node) or is_number(node) for node in nodes)
    )


class _Binary:
    """A binary operator: `+`, `-`, `*`, `/`, `//`, `%`, `**`, `&`, `|`, `^`, `<<`, `>>`."""

    def analyse_types(self: Any, env: Any) -> Any:
        if not directives.is_on(env):
            return super().analyse_types(env)  # type: ignore[misc]
        operand1, operand2 = self.operand1.analyse_types(env), self.operand2.analyse_types(env)
        if _among([operand1, operand2], env):
            made = combined(self, {"operand1": operand1, "operand2": operand2}, env)
            if made is not None:
                return made
        self.operand1, self.operand2 = Analysed(operand1), Analysed(operand2)
        return super().analyse_types(env)  # type: ignore[misc]


class _Unary:
    """`-x`, `+x`, `~x`."""

    def analyse_types(self: Any, env: Any) -> Any:
        operand = self.operand.analyse_types(env)
        if _among([operand], env):
            made = combined(self, {"operand": operand}, env)
            if made is not None:
                return made
        self.operand = Analysed(operand)
        return super().analyse_types(env)  # type: ignore[misc]


class _Comparison:
    """`a < b` and its like, as the test of a conditional expression or on what is an expression already.

    Elsewhere bare memoryviews are Cython's to compare or refuse, and everywhere by `==` and `!=`.
    """

    #: Whether the comparison is the test of a conditional expression.
    chooses = False

    def analyse_types(self: Any, env: Any) -> Any:
        if not directives.is_on(env) or self.cascade is not None or self.operator not in _COMPARISONS:
            return super().analyse_types(env)  # type: ignore[misc]
        operand1, operand2 = self.operand1.analyse_types(env), self.operand2.analyse_types(env)
        operands = [operand1, operand2]
        bare = not any(isinstance(operand, VectorNode) for operand in operands)
        cythons = bare and (not self.chooses or (self.operator in ("==", "!=") and all(map(takes_part, operands))))
        if not cythons and _among(operands, env):
            made = combined(self, {"operand1": operand1, "operand2": operand2}, env)
            if made is not None:
                return made
        self.operand1, self.operand2 = Analysed(operand1), Analysed(operand2)
        return super().analyse_types(env)  # type: ignore[misc]


_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


class _Choice:
    """`a if condition else b`, element by element where the condition is on memoryviews."""

    def analyse_types(self: Any, env: Any) -> Any:
        if not directives.is_on(env) or not isinstance(getattr(self, CONDITION), _Comparison):
            return super().analyse_types(env)  # type: ignore[misc]
        getattr(self, CONDITION).chooses = True
        condition = getattr(self, CONDITION).analyse_types(env)
        if isinstance(condition, VectorNode):
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
    """A call of a function of C's math.h."""

    def analyse_types(self: Any, env: Any) -> Any:
        function = self.function
        named = function.is_name and not self.analysed and directives.is_on(env)
        if not named or function_of(function.entry or env.lookup(function.name)) is None:
            return super().analyse_types(env)  # type: ignore[misc]
        args = [arg.analyse_types(env) for arg in self.args]
        if _among(args, env):
            made = _called(self, args, env)
            if made is not None:
                return made
        self.args = [Analysed(arg) for arg in args]
        return super().analyse_types(env)  # type: ignore[misc]


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
    **_derived(_Unary, "UnaryMinusNode UnaryPlusNode TildeNode"),
    **_derived(_Comparison, "PrimaryCmpNode"),
    **_derived(_Choice, "CondExprNode"),
    **_derived(_Cast, "TypecastNode"),
    **_derived(_Call, "SimpleCallNode"),
}
#: What a cast may have as operand that is on memoryviews.
_OPERANDS = (
    *(_Binary, _Unary, _Comparison, _Choice, _Cast, _Call),
    *(ExprNodes.NameNode, ExprNodes.AttributeNode, ExprNodes.IndexNode, ExprNodes.SliceIndexNode),
)
