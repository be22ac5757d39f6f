"""Assignments of Cython's that take expressions on memoryviews: `out[...] = a * b`, `out[:, 0] += a`."""

from __future__ import annotations

from typing import Any

from Cython.Compiler import ExprNodes, Nodes
from Cython.Compiler.Errors import error

from . import directives, report
from .elements import element_of
from .reader import Reader, Unread
from .vector import Analysed, VectorNode, combined, is_number, leaf, takes_part, why_no_operand
from .writer import AssignmentNode

_SUBSCRIPTS = (ExprNodes.IndexNode, ExprNodes.SliceIndexNode)


class SingleAssignment(Nodes.SingleAssignmentNode):  # type: ignore[misc]
    lhs: Any
    rhs: Any

    def analyse_types(self, env: Any, use_temp: int = 0) -> Any:
        if not directives.is_on(env):
            return super().analyse_types(env, use_temp)
        rhs = self.rhs.analyse_types(env)
        if isinstance(rhs, VectorNode) and isinstance(self.lhs, _SUBSCRIPTS):
            lhs = self.lhs.analyse_target_types(env)
            lhs.gil_assignment_check(env)
            if is_slice(lhs):
                return assigned(self.pos, lhs, rhs, env)
            self.lhs = Analysed(lhs)
        self.rhs = Analysed(rhs)
        return super().analyse_types(env, use_temp)


class InPlaceAssignment(Nodes.InPlaceAssignmentNode):  # type: ignore[misc]
    lhs: Any
    rhs: Any

    def analyse_types(self, env: Any) -> Any:
        if not directives.is_on(env) or not isinstance(self.lhs, _SUBSCRIPTS):
            return super().analyse_types(env)
        rhs = self.rhs.analyse_types(env)
        lhs = self.lhs.analyse_target_types(env)
        if is_slice(lhs) and why_no_operand(lhs.type) is None and (takes_part(rhs) or is_number(rhs)):
            own = leaf(lhs, lhs.type.dtype, lhs.type.ndim)
            node = ExprNodes.binop_node(self.pos, self.operator, Analysed(own.element), rhs)
            value = combined(node, {"operand1": own, "operand2": rhs}, env)
            if value is not None:
                return assigned(self.pos, lhs, value, env)
        self.rhs, self.lhs = Analysed(rhs), Analysed(lhs)
        return super().analyse_types(env)


def is_slice(lhs: Any) -> bool:
    """Whether a typed target is a slice of a memoryview."""
    return bool(getattr(lhs, "is_memview_slice", False)) and lhs.type.is_memoryviewslice


def assigned(pos: Any, lhs: Any, value: VectorNode, env: Any) -> Any:
    """The statement that stores an expression in a slice."""
    refused = why_no_operand(lhs.type)
    to = element_of(lhs.type.dtype)
    if refused is None and value.rank > lhs.type.ndim:
        refused = f"{lhs.type.ndim} axes"
    if refused is not None or to is None:
        error(pos, f"Cannot assign an expression of type {value.type} to {lhs.type}: it has {refused}")
        return AssignmentNode.nothing(pos)
    reader = Reader(env.directives)
    try:
        read = reader.stored(value.element, to)
    except Unread as unread:
        error(pos, f"Cannot assign an expression on memoryviews: it has {unread}")
        return AssignmentNode.nothing(pos)
    own = [operand for node, operand in value.leaves if node is lhs]
    leaves = [each for each in value.leaves if each[0] is not lhs]
    report.raised(pos, "statement", f"a kernel over {len(value.leaves) + 1} operands of up to {lhs.type.ndim} axes")
    return AssignmentNode.of(pos, lhs, own, leaves, read, reader.checks, env)
