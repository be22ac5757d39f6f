"""numexpr's bytecode of a tree: casts written out, one register for each value, registers taken again when free.

Nothing here runs it: kernels are made of the tree. It is for those who read it, as `disassemble` does, and for those
who ask of a tree whether numexpr has its operations, as PyTables does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from . import operations
from .kinds import CODES, KINDS, map_type
from .opcodes import funccodes, opcodes
from .translate import nodes_of

#: What stands for no register.
_NONE: Final = 255


class ASTNode:
    """A value: `astType` is op, constant, variable or raw; an operation with its types has its opcode's name for value.

    Nodes of equal meaning are equal.
    """

    def __init__(self, astType: str = "generic", astKind: str = "unknown", value: Any = None, children: Any = ()):
        self.astType = astType
        self.astKind = astKind
        self.value = value
        self.children = tuple(children)

    def key(self) -> tuple[Any, ...]:
        return (self.astType, self.astKind, self.value, self.children)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ASTNode) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())

    def __lt__(self, other: ASTNode) -> bool:
        if self.astType != "constant":
            raise TypeError(f"Sorting not implemented for astType: {self.astType}")
        if self.astKind == other.astKind:
            return bool(np.asarray(self.value) < np.asarray(other.value))
        return self.astKind < other.astKind

    def __repr__(self) -> str:
        return f"AST({self.astType}, {self.astKind}, {self.value}, {self.children})"

    def typecode(self) -> str:
        return CODES[self.astKind]

    def postorderWalk(self) -> Iterator[ASTNode]:
        """Each node of the tree once, children before parents."""
        return iter(nodes_of(self))

    def allOf(self, *astTypes: str) -> Iterator[ASTNode]:
        return (node for node in self.postorderWalk() if node.astType in astTypes)


def expressionToAST(ex: Any) -> ASTNode:
    """The tree of expression nodes as one of plain nodes, whose operators build nothing."""
    made: dict[int, ASTNode] = {}
    for node in nodes_of(ex):
        made[id(node)] = ASTNode(node.astType, node.astKind, node.value, [made[id(child)] for child in node.children])
    return made[id(ex)]


def typeCompileAst(ast: ASTNode) -> ASTNode:
    """The tree with opcodes' names for values and its casts written out. NotImplementedError for a missing opcode."""
    made: dict[int, ASTNode] = {}
    for node in nodes_of(ast):
        children = [made[id(child)] for child in node.children]
        if node.astType == "op":
            made[id(node)] = _typed(node.value, node.astKind, children)
        else:
            made[id(node)] = ASTNode(node.astType, node.astKind, node.value, children)
    return made[id(ast)]


def _typed(name: str, kind: str, children: Sequence[ASTNode]) -> ASTNode:
    codes = "".join(child.typecode() for child in children)
    signature = operations.signature(name, CODES[kind], codes)
    value = f"{name}_{signature}".encode()
    raw = [child.value for child in children if child.astType == "raw"]
    known = value in opcodes or value in funccodes
    if signature is None or not known or not all(isinstance(number, int) for number in raw):
        raise operations.missing(name, CODES[kind] + codes)
    args = [_as(child, KINDS[code]) for child, code in zip(children, signature[1:], strict=True)]
    if value not in opcodes:
        args.append(ASTNode("raw", "none", funccodes[value]))
        value = f"func_{signature}n".encode()
    return ASTNode("op", kind, value, args)


def _as(child: ASTNode, kind: str) -> ASTNode:
    if CODES[child.astKind] == CODES[kind]:
        return child
    if child.astType == "constant":
        return ASTNode("constant", kind, child.value)
    return _typed("cast", kind, [child])


class Assembled(NamedTuple):
    """numexpr's compiled form: `tempsig` has the kinds of temporaries, a letter each, as `constsig` of constants."""

    program: bytes
    tempsig: bytes
    constants: tuple[Any, ...]
    constsig: bytes


class _Value(NamedTuple):
    node: ASTNode
    args: tuple[int, ...]


def assembled(tree: Any, inputs: Sequence[str]) -> Assembled:
    """The bytecode of a tree of expression nodes for inputs in this order.

    Raises NotImplementedError for operations that numexpr has no opcode for, ValueError where there are more registers
    than its 255.
    """
    ast = expressionToAST(tree)
    if ast.astType != "op":
        ast = ASTNode("op", ast.astKind, "copy", [ast])
    values = _values(typeCompileAst(ast))
    constants = [k for k, value in enumerate(values) if value.node.astType == "constant"]
    constants.sort(key=lambda k: (values[k].node.astKind, np.asarray(values[k].node.value)))
    places = {values_of: 1 + k for values_of, k in _numbered(values, inputs, constants)}
    temporaries = _temporaries(values)
    tempsig: list[str] = []
    numbers: dict[int, int] = {temporaries[len(values) - 1]: 0}
    for k, register in temporaries.items():
        if register not in numbers:
            numbers[register] = 1 + len(inputs) + len(constants) + len(tempsig)
            tempsig.append(values[k].node.typecode())
        places[k] = numbers[register]
    program = b"".join(_instruction(values, k, places) for k in temporaries)
    nodes = [values[k].node for k in constants]
    return Assembled(
        program,
        "".join(tempsig).encode(),
        tuple(map(python_value, nodes)),
        "".join(node.typecode() for node in nodes).encode(),
    )


def _numbered(values: Sequence[_Value], inputs: Sequence[str], constants: Sequence[int]) -> Iterator[tuple[int, int]]:
    at = {name: k for k, name in enumerate(inputs)}
    for k, value in enumerate(values):
        if value.node.astType == "variable":
            yield k, at[value.node.value]
    for k, constant in enumerate(constants):
        yield constant, len(inputs) + k


def _values(ast: ASTNode) -> list[_Value]:
    """The values of a tree, equal ones once, operands before what is computed of them."""
    number: dict[int, int] = {}
    seen: dict[Any, int] = {}
    values: list[_Value] = []
    for node in nodes_of(ast):
        args = tuple(number[id(child)] for child in node.children)
        key = (node.astType, node.astKind, repr(node.value), args)
        if key not in seen:
            seen[key] = len(values)
            values.append(_Value(node, args))
        number[id(node)] = seen[key]
    return values


def _temporaries(values: Sequence[_Value]) -> dict[int, int]:
    """The register of each operation: one of its kind that nothing is going to read, else a new one."""
    users: dict[int, set[int]] = {k: set() for k, value in enumerate(values) if value.node.astType == "op"}
    for k in users:
        for arg in values[k].args:
            if arg in users:
                users[arg].add(k)
    registers: dict[int, int] = {}
    free: dict[str, list[int]] = {}
    last = len(values) - 1
    # A reduction adds up in the result's own register while it reads its argument's.
    reduces = values[last].node.value.split(b"_")[0].decode() in operations.REDUCTIONS
    for k in users:
        kind = values[k].node.astKind
        for arg in dict.fromkeys(values[k].args):
            if arg in users:
                users[arg].discard(k)
                if not users[arg]:
                    free.setdefault(values[arg].node.astKind, []).append(registers[arg])
        if free.get(kind) and not (k == last and reduces):
            registers[k] = free[kind].pop()
        else:
            registers[k] = k
    return registers


def _instruction(values: Sequence[_Value], k: int, places: dict[int, int]) -> bytes:
    """Quadruples of a code and three registers; what does not fit in the first goes on in others, named `noop`."""
    value = values[k]
    registers = [places[k]]
    for arg in value.args:
        node = values[arg].node
        registers.append(node.value if node.astType == "raw" else places[arg])
    codes = [opcodes[value.node.value]]
    codes.extend(registers[:3] + [_NONE] * (3 - len(registers)))
    for at in range(3, len(registers), 3):
        rest = registers[at : at + 3]
        codes.extend([opcodes[b"noop"], *rest, *[_NONE] * (3 - len(rest))])
    return bytes(codes)


def python_value(node: Any) -> Any:
    """A constant as `NumExpr.constants` has it: a Python value of its kind, NumPy's where Python has none."""
    if node.astKind == "bytes":
        return node.value.encode("ascii") if isinstance(node.value, str) else node.value
    value = map_type(node.astKind).dtype.type(node.value)
    return value.item() if node.astKind in ("bool", "complex") else value


def disassembled(program: bytes, input_names: Sequence[str], constants: Sequence[Any]) -> list[list[Any]]:
    """The instructions: of each its name with its kinds, the result's register, those of its arguments."""
    names = {code: name for name, code in opcodes.items()}
    first = 1 + len(input_names)

    def shown(register: int) -> bytes | None:
        if register == _NONE:
            return None
        if register == 0:
            return b"r0"
        if register < first:
            return f"r{register}[{input_names[register - 1]}]".encode()
        if register < first + len(constants):
            return f"c{register}[{constants[register - first]}]".encode()
        return f"t{register}".encode()

    source = []
    for pc in range(0, len(program), 4):
        name = names[program[pc]]
        kinds = name.rpartition(b"_")[2].decode() if b"_" in name else ""
        line: list[Any] = [name]
        for k, kind in enumerate(kinds, 1):
            # The fourth is in the next quadruple, behind its code.
            register = program[pc + (k if k < 4 else k + 1)]
            line.append((register if register != _NONE else None) if kind == "n" else shown(register))
        source.append(line + [None] * (4 - len(line)))
    return source
