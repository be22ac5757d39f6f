"""Kernels against the interpreter, bit for bit: an oracle that shares their library of vector math, and little else."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from layouts import clone, same

import arrayexpr
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Constant,
    Contract,
    Node,
    Opaque,
    Operand,
    Reduce,
    postorder,
    transform,
)
from arrayexpr._core.ops import Operator
from arrayexpr._core.passes.inline import inline
from arrayexpr._core.program import Program
from arrayexpr._core.types import BOOL, ElementType

_ORDERED = {
    "minimum": lambda x, y: (x <= y) | np.isnan(x),
    "maximum": lambda x, y: (x >= y) | np.isnan(x),
    "fmin": lambda x, y: (x <= y) | np.isnan(y),
    "fmax": lambda x, y: (x >= y) | np.isnan(y),
}


@functools.cache
def alone(op: Operator, types: tuple[ElementType, ...]) -> Any:
    """One operator on its own, as a kernel over arrays of one axis."""
    operands = [Operand(f"x{k}", t.array(1)) for k, t in enumerate(types)]
    result = Operand("r", op.result(types).array(1))
    return arrayexpr.compile(Program("kernel", operands, [Assign(result, Apply(op, tuple(operands)))], [result]))


def _host(node: Apply) -> Any:
    op, t = node.op, node.args[0].type.element

    def ordered(x: Any, y: Any) -> Any:
        return np.where(_ORDERED[op.name](x, y), x, y)

    def library(*args: Any) -> Any:
        full = np.broadcast_arrays(*args)
        return alone(op, tuple(a.type.element for a in node.args))(*(a.ravel() for a in full)).reshape(full[0].shape)

    return ordered if op.name in _ORDERED and t.kind == "f" else library


def oracle(program: Program) -> Program:
    """The program with what may differ from NumPy in the last places, or in the sign of a zero, made exact.

    Vector math comes from the library that kernels call: that it is within 4 ulp of NumPy is another
    test's business, and here every bit counts. Of zeros of different sign the extremes of reals give the
    first, where NumPy's vector and scalar loops disagree.
    """
    program = inline(program)
    hosts: dict[str, Any] = {}

    def leaf(node: Node) -> Node | None:
        # What is constant is NumPy's to compute: `simplify` folds it.
        if not isinstance(node, Apply) or all(isinstance(arg, Constant) for arg in node.args):
            return None
        t = node.args[0].type.element
        if t.kind not in node.op.vector_math and not (node.op.name in _ORDERED and t.kind == "f"):
            return None
        name = f"{node.op.name}_{t}"
        hosts[name] = _host(node)
        # Its operands are looked into by the next round.
        return Opaque(name, node.args, node.type)

    statements = program.statements
    while True:
        new = transform(statements, leaf)
        changed = tuple(new[s] for s in statements)
        if changed == statements:
            return program.replace(statements=statements, hosts={**program.hosts, **hosts})
        statements = changed


def comparable(program: Program) -> bool:
    """Whether every bit of a program's results follows from its meaning.

    Not so for the sign of a NaN, the order of a sum of reals, what NumPy makes of the spacing of the
    lowest long double, and a vector function of a constant: a compiler that knows the value rounds it right,
    where the library may be an ulp off.
    """
    for node in program.nodes():
        if isinstance(node, Apply):
            t = node.args[0].type.element
            if node.op.name in ("copysign", "signbit") or (node.op.name == "spacing" and t.bits == 80):
                return False
            if t.kind in node.op.vector_math and any(map(_may_be_known, postorder(node.args))):
                return False
        if isinstance(node, Contract) and node.type.element.kind in "fc":
            return False
        if isinstance(node, Reduce) and node.op.name in ("add", "multiply", *_ORDERED):
            if node.arg.type.element.kind in "fc":
                return False
    return True


def _may_be_known(node: Node) -> bool:
    """Whether a compiler may find out that a value is one of a few."""
    if isinstance(node, Apply) and node.op.name in ("heaviside", "sign"):
        return True
    return isinstance(node, Constant) or node.type.element is BOOL


def check(program: Program, kernel: Any, arrays: Mapping[str, Any], give: bool = True) -> None:
    """Run a kernel and the interpreter on equal arrays, and compare results and what was assigned in place.

    `arrays` are the operands' and, where `give`, the results' too, which are passed as `out`. The interpreter
    gets arrays over memory of its own, with the same overlaps.
    """
    theirs = clone(arrays)
    memory = {name: a for name, a in theirs.items() if name not in {r.name for r in program.results}}
    expected = interpret(oracle(program), memory)
    outs = tuple(arrays[r.name] for r in program.results) if give else None
    if outs is not None and len(outs) == 1:
        outs = outs[0]
    got = kernel(*[arrays[o.name] for o in program.operands], out=outs)
    got = got if isinstance(got, tuple) else (got,)
    if not program.results:
        got = ()
    for operand, value in zip(program.results, got, strict=True):
        shown = {name: (a.shape, a.strides, a.dtype.str) for name, a in arrays.items()}
        assert same(value, expected[operand.name]), (
            f"{operand.name} of {shown}: expected\n{expected[operand.name]}\ngot\n{value}\nof\n{program}"
        )
    outputs = [arrays[r.name] for r in program.results] if give else []
    for operand in program.operands:
        if any(np.may_share_memory(arrays[operand.name], out) for out in outputs):
            continue
        assert same(arrays[operand.name], memory[operand.name]), f"operand {operand.name} differs, of\n{program}"
