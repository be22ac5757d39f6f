# cython: language_level=3
"""A compiler written in Cython: builds a tree through the declarations that the package installs."""

from arrayexpr._core.nodes cimport (
    Apply, Assign, Node, Operand, apply, assign, constant, operand, postorder, rebuild, transform, view,
)

from arrayexpr._core.ops import operator
from arrayexpr._core.program import Program
from arrayexpr._core.types import FLOAT64


cdef Node distance(Node x, Node y):
    cdef Node x2 = apply(operator("square"), (x,))
    cdef Node y2 = apply(operator("square"), (view(y, None, (1, 0)),))
    return apply(operator("sqrt"), (apply(operator("add"), (x2, y2)),))


def build():
    """r[...] = sqrt(square(a) + square(b.transpose(1, 0))) / 2.0"""
    cdef Operand a = <Operand>operand("a", FLOAT64.array(2))
    cdef Operand b = <Operand>operand("b", FLOAT64.array(2))
    cdef Operand r = <Operand>operand("r", FLOAT64.array(2))
    cdef Node half = apply(operator("true_divide"), (distance(a, b), constant(2.0, FLOAT64)))
    return Program("distance", [a, b], [assign(r, half)], [r])


def operators_of(program):
    """The names of the operators of a program, by fields of the nodes that C reads."""
    cdef Node node
    cdef list names = []
    for node in postorder(program.statements):
        if isinstance(node, Apply):
            names.append((<Apply>node).op.name)
    return names


def renamed(program):
    """The value of the one statement, with the operand a in place of b."""
    cdef Assign statement = <Assign>program.statements[0]
    cdef dict new = transform((statement.value,), leaf)
    assert rebuild(statement, statement.args) is statement
    return new[statement.value]


def leaf(Node node):
    if isinstance(node, Operand) and (<Operand>node).name == "b":
        return operand("a", node.type)
    return None
