"""The tree of a `NumExpr`: of ours, which keeps it, or of numexpr's, whose bytecode says it.

numexpr's program is a string of quadruples: opcode, register of the result, two registers of arguments; an instruction
of more arguments goes on in the next one, whose opcode is `noop`. Register 0 is the result; then come inputs,
constants, temporaries. `numexpr.interpreter` has the codes by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arrayexpr._core.errors import TypeMismatch

from .expressions import ConstantNode, ExpressionNode, FuncNode, OpNode, RawNode, VariableNode
from .kinds import KINDS


def tree_of(compiled: Any) -> ExpressionNode:
    """The tree of a compiled expression. TypeMismatch for what is none."""
    own = getattr(compiled, "tree", None)
    if isinstance(own, ExpressionNode):
        return own
    if not isinstance(getattr(compiled, "program", None), bytes):
        raise TypeMismatch(f"{type(compiled).__name__}: expected text, a numexpr tree or a NumExpr")
    from numexpr import interpreter  # type: ignore[import-untyped]

    opcodes = {code: name.decode() for name, code in interpreter.opcodes.items()}
    # Functions of other kinds are numbered anew.
    functions = {
        (name.decode().rpartition("_")[2], code): name.decode() for name, code in interpreter.funccodes.items()
    }
    values: dict[int, Any] = {}
    for name, code in zip(compiled.input_names, _letters(compiled.signature), strict=True):
        values[len(values) + 1] = VariableNode(name, KINDS[code])
    for value, code in zip(compiled.constants, _letters(compiled.fullsig[len(values) + 1 :]), strict=False):
        constant = ConstantNode(value)
        constant.astKind = KINDS[code]
        values[len(values) + 1] = constant
    for opcode, *registers in _instructions(compiled.program, opcodes):
        values[registers[0]] = _node(opcodes[opcode], registers[1:], values, functions)
    tree: ExpressionNode = values[0]
    return tree


def _letters(codes: Any) -> str:
    return codes.decode() if isinstance(codes, bytes) else codes


def _instructions(program: bytes, opcodes: Mapping[int, str]) -> list[list[int]]:
    """Each instruction whole: its code, then registers."""
    found: list[list[int]] = []
    for at in range(0, len(program), 4):
        code, *registers = program[at : at + 4]
        if opcodes[code] == "noop":
            found[-1].extend(registers)
        else:
            found.append([code, *registers])
    return found


def _node(
    opcode: str, registers: list[int], values: Mapping[int, Any], functions: Mapping[tuple[str, int], str]
) -> Any:
    name, _, codes = opcode.rpartition("_")
    kinds = [KINDS[code] for code in codes]
    # The last argument of a function is which one, that of a reduction its axis: numbers, no registers.
    numbers = [k for k, code in enumerate(codes[1:]) if code == "n"]
    raw = [registers[k] for k in numbers]
    args = [values[register] for k, register in enumerate(registers[: len(codes) - 1]) if k not in numbers]
    if name == "func":
        return FuncNode(functions[codes[:-1], raw[0]].rpartition("_")[0], args, kinds[0])
    return OpNode(name, [*args, *map(RawNode, raw)], kinds[0])
