"""Programs of whole-array statements computed by NumPy, node by node: the meaning that tests compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Cast,
    Constant,
    Contract,
    Extent,
    Node,
    Operand,
    Reduce,
    Slice,
    View,
    postorder,
)
from arrayexpr._core.program import Program


def window(value: Any, node: View) -> Any:
    """NumPy's view of a value, always an array."""
    if node.order is not None:
        return value.transpose(node.order)
    items = tuple(slice(*item) if isinstance(item, Slice) else item for item in node.subscripts)
    return value[(*items, ...)]


def compute(root: Node, memory: Mapping[str, Any]) -> Any:
    """The value of an expression, as an array of the node's type."""
    values: dict[Node, Any] = {}
    for node in postorder([root]):
        args = [values[child] for child in node.args]
        match node:
            case Constant():
                value = np.asarray(np.frombuffer(node.key, node.type.element.dtype)[0])
            case Operand():
                value = memory[node.name]
            case Extent():
                value = np.asarray(args[0].shape[node.axis])
            case View():
                value = window(args[0], node)
            case Cast():
                value = np.asarray(args[0]).astype(node.type.element.dtype)
            case Apply():
                value = np.asarray(node.op.numpy(*args))
            case Contract():
                value = np.asarray(np.matmul(*args))
            case Reduce():
                if node.op.reduction in ("argmin", "argmax"):
                    axis = None if len(node.axes) == args[0].ndim else node.axes[0]
                    value = np.asarray(node.op.numpy(args[0], axis=axis, keepdims=node.keepdims))
                else:
                    dtype = node.type.element.dtype
                    value = np.asarray(
                        node.op.numpy.reduce(args[0], axis=node.axes, dtype=dtype, keepdims=node.keepdims)
                    )
            case _:
                raise AssertionError(type(node))
        assert value.dtype == node.type.element.dtype, (type(node), value.dtype, node.type)
        assert value.ndim == node.type.rank, (type(node), value.shape, node.type)
        values[node] = value
    return values[root]


def run(program: Program, *arguments: Any) -> Any:
    """Run a program on arrays, which it may assign to: None, the result, or a tuple of results."""
    assert len(arguments) == len(program.operands)
    memory: dict[str, Any] = {}
    for operand, value in zip(program.operands, arguments, strict=True):
        memory[operand.name] = np.asarray(value, operand.type.element.dtype)
        assert memory[operand.name].ndim == operand.type.rank
    made = {operand.name for operand in program.results + program.locals}
    with np.errstate(all="ignore"):
        for statement in program.statements:
            assert isinstance(statement, Assign)
            value = compute(statement.value, memory)
            target, chain = statement.target, []
            while isinstance(target, View):
                chain.append(target)
                target = target.arg
            if target.name in made and target.name not in memory:
                assert not chain, f"{target.name} is assigned in part first"
                memory[target.name] = np.array(value)
                continue
            place = memory[target.name]
            for view in reversed(chain):
                place = window(place, view)
            place[...] = np.array(value)
    results = tuple(memory[operand.name] for operand in program.results)
    return None if not results else results[0] if len(results) == 1 else results
