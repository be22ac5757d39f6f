"""The tree of a `NumExpr`: of ours, which keeps it, or of numexpr's, whose bytecode says it.

numexpr's program is a string of quadruples: opcode, register of the result, two registers of arguments; an instruction
of more arguments goes on in the next one, whose opcode is `noop`. Register 0 is the result; then come inputs,
constants, temporaries. `numexpr.interpreter` has the codes by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    constants = list(zip(compiled.constants, compiled.constsig.decode(), strict=True))
    inputs = list(zip(compiled.input_names, compiled.signature.decode(), strict=True))
    return decoded(compiled.program, inputs, constants, interpreter.opcodes, interpreter.funccodes)


def decoded(
    program: bytes, inputs: Sequence[tuple[str, str]], constants: Sequence[tuple[Any, str]],
    opcodes: Mapping[bytes, int], funccodes: Mapping[bytes, int],
) -> ExpressionNode:  # fmt: skip
    """The tree of bytecode, of inputs and of constants with the letters of their kinds, by tables of codes.

    RuntimeError, naming the place, for what is no program.
    """
    if not program or len(program) % 4:
        raise RuntimeError(f"invalid program: {len(program)} bytes: expected quadruples")
    names = {code: name.decode() for name, code in opcodes.items()}
    # Functions of other kinds are numbered anew.
    functions = {(name.decode().rpartition("_")[2], code): name.decode() for name, code in funccodes.items()}
    values: dict[int, Any] = {}
    for name, letter in inputs:
        values[len(values) + 1] = VariableNode(name, KINDS[letter])
    for value, letter in constants:
        constant = ConstantNode(value)
        constant.astKind = KINDS[letter]
        values[len(values) + 1] = constant
    for k, (opcode, *registers) in enumerate(_instructions(program, names)):
        try:
            values[registers[0]] = _node(names[opcode], registers[1:], values, functions)
        except (KeyError, IndexError) as error:
            raise RuntimeError(f"invalid program: instruction {k} reads or calls {error}, which is not there") from None
    tree: ExpressionNode = values.get(0)  # type: ignore[assignment]
    if tree is None:
        raise RuntimeError("invalid program: nothing is written to register 0, the result")
    return tree


def _instructions(program: bytes, opcodes: Mapping[int, str]) -> list[list[int]]:
    """Each instruction whole: its code, then registers."""
    found: list[list[int]] = []
    for at in range(0, len(program), 4):
        code, *registers = program[at : at + 4]
        if code not in opcodes or opcodes[code] == "noop" and not found:
            raise RuntimeError(f"invalid program: no operation has the code {code}, at byte {at}")
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
