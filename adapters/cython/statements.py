"""Assignments of Cython's that take expressions on memoryviews: `out[...] = a * b`, `out[:, 0] += a`."""

from __future__ import annotations

from typing import Any

from Cython.Compiler import ExprNodes, Nodes
from Cython.Compiler.Errors import error

from . import directives, report
from .reader import Unread
from .reductions import ReductionNode
from .vector import Analysed, VectorNode, as_vector, combined, is_number, leaf, takes_part, why_no_operand
from .writer import AssignmentNode

_SUBSCRIPTS = (ExprNodes.IndexNode, ExprNodes.SliceIndexNode)


class SingleAssignment(Nodes.SingleAssignmentNode):  # type: ignore[misc]
    lhs: Any
    rhs: Any

    def analyse_types(self, env: Any, use_temp: int = 0) -> Any:
        if not directives.is_on(env):
            return super().analyse_types(env, use_temp)
        rhs = self.rhs.analyse_types(env)
        reduced = isinstance(rhs, ReductionNode) and rhs.type.is_memoryviewslice
        if (reduced or isinstance(rhs, VectorNode)) and isinstance(self.lhs, _SUBSCRIPTS):
            lhs = self.lhs.analyse_target_types(env)
            lhs.gil_assignment_check(env)
            if is_slice(lhs):
                return assigned(self.pos, lhs, as_vector(rhs), env)
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
    if refused is None and value.rank > lhs.type.ndim:
        refused = f"{lhs.type.ndim} axes"
    if refused is not None:
        error(pos, f"Cannot assign an expression of type {value.type} to {lhs.type}: it has {refused}")
        return AssignmentNode.nothing(pos)
    own = [operand for node, operand in value.leaves if node is lhs]
    leaves = [each for each in value.leaves if each[0] is not lhs]
    try:
        made = AssignmentNode.of(pos, lhs, own, leaves, value, env)
    except Unread as unread:
        error(pos, f"Cannot assign an expression on memoryviews: it has {unread}")
        return AssignmentNode.nothing(pos)
    how = "loops" if made.computation.loops else "a kernel"
    report.raised(pos, "statement", f"{how} over {len(value.leaves) + 1} operands of up to {lhs.type.ndim} axes")
    return made
