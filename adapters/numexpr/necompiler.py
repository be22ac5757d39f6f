"""Text to compiled expressions, as numexpr's module of this name does it: `NumExpr` and its parts, `evaluate`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from arrayexpr._core.errors import TypeMismatch

from . import expressions, interpreter
from .assembler import ASTNode, disassembled, expressionToAST, typeCompileAst
from .expressions import double, int_, long_, node_of
from .kinds import CODES, KIND_OF_TYPE, KINDS, TYPES, kind_of
from .reader import names_in, read
from .translate import names_of, nodes_of
from .utils import CacheDict, ContextDict, use_vml

__all__ = [
    "ASTNode", "CacheDict", "ContextDict", "NumExpr", "disassemble", "double", "evaluate", "expressionToAST",
    "expressions", "getArguments", "getConstants", "getContext", "getExprNames", "getInputOrder", "getType", "int_",
    "interpreter", "isReduction", "long_", "precompile", "re_evaluate", "stringToExpression", "typeCompileAst",
    "use_vml", "validate",
]  # fmt: skip

is_cpu_amd_intel: Final = False
#: Letters and kinds. The kind of the letter `s` is `str` here, and `bytes` in trees.
typecode_to_kind: Final = {**KINDS, "s": "str"}
kind_to_typecode: Final = CODES
type_to_typecode: Final = {type_: CODES[kind] for type_, kind in KIND_OF_TYPE.items()}
type_to_kind: Final = KIND_OF_TYPE
kind_to_type: Final = TYPES
default_type: Final = TYPES[expressions.default_kind]
scalar_constant_kinds: Final = list(CODES)
#: Functions computed by VML, of which there is none here.
vml_functions: Final[list[str]] = []
#: The options of an expression: name, values, the one where nothing is said.
context_info: Final = [
    ("optimization", ("none", "moderate", "aggressive"), "aggressive"),
    ("truediv", (False, True, "auto"), "auto"),
]


#: Ours beside them, `types`: the kinds of numexpr, or the arrays' own element types under NumPy's promotion.
_TYPES: Final = ("numexpr", "numpy")


def getContext(kwargs: Mapping[str, Any], _frame_depth: int = 1) -> dict[str, Any]:
    """The options of an expression, all of them. ValueError for an unknown one or an unknown value.

    Division is true in either case: `truediv` and `_frame_depth` are numexpr's from the time of Python 2.

    >>> getContext({"optimization": "none"})
    {'optimization': 'none', 'truediv': False}
    """
    context: dict[str, Any] = {}
    for name, allowed, default in context_info:
        value = kwargs.get(name, default)
        if not isinstance(value, (str, bool)) or value not in allowed:
            raise ValueError(f"'{name}' must be one of {allowed}")
        context[name] = value
    for name, value in kwargs.items():
        if name == "types":
            if value not in _TYPES:
                raise ValueError(f"'types' must be one of {_TYPES}")
            if value != _TYPES[0]:
                context[name] = value
        elif name not in context:
            raise ValueError(f"Unknown keyword argument '{name}'")
    if context["truediv"] == "auto":
        context["truediv"] = False
    return context


def sanitizes(sanitize: bool | None) -> bool:
    """Whether text is checked: what is asked, else NUMEXPR_SANITIZE. Only the type of the error differs here."""
    return bool(int(os.environ.get("NUMEXPR_SANITIZE", "1"))) if sanitize is None else sanitize


def getType(a: Any) -> Any:
    """The type that a signature gives to an array.

    >>> getType(np.ones(3, "i2"))
    <class 'numpy.int32'>
    """
    return TYPES[kind_of(a.dtype)]


def stringToExpression(s: str, types: Mapping[str, Any], context: Mapping[str, Any], sanitize: bool = True) -> Any:
    """The tree of an expression as text, for variables of `types`. Errors are those of `reader.read`."""
    return read(s, types, context, sanitize)


def getExprNames(text: str, context: Mapping[str, Any], sanitize: bool | None = True) -> tuple[list[str], bool]:
    """The variables of an expression, and whether it uses VML, which it does not."""
    try:
        return names_of(read(text, {}, context, sanitizes(sanitize))), use_vml
    except TypeMismatch:
        # All are taken for doubles here, which one of NumPy's functions has no meaning for.
        return names_in(text), use_vml


def getInputOrder(ast: Any, input_order: Sequence[str] | None = None) -> list[Any]:
    """The variables of a tree, a node each, in the order of these names, else sorted. ValueError for other names."""
    variables = {node.value: node for node in nodes_of(ast) if node.astType == "variable"}
    if input_order and set(input_order) != set(variables):
        raise ValueError(f"input names ({input_order}) don't match those found in expression ({set(variables)})")
    return [variables[name] for name in input_order or sorted(variables)]


def getConstants(ast: Any) -> tuple[list[ASTNode], list[Any]]:
    """The constants of a typed tree, each once, in order: their nodes and their values."""
    nodes = sorted({(node.astKind, repr(node.value)): node for node in ast.allOf("constant")}.values())
    return nodes, [convertConstantToKind(node.value, node.astKind) for node in nodes]


def convertConstantToKind(x: Any, kind: str) -> Any:
    """A constant as a value of the type that stands for the kind."""
    if isinstance(x, str):
        return x.encode("ascii")
    return np.float32(x) if kind == "float" else TYPES[kind](x)


def isReduction(ast: Any) -> bool:
    """Whether a node of a typed tree is a reduction."""
    return any(ast.value.startswith(prefix) for prefix in (b"sum_", b"prod_", b"min_", b"max_"))


def precompile(
    ex: Any, signature: Sequence[tuple[str, Any]] = (), context: Mapping[str, Any] = {}, sanitize: bool = True
) -> tuple[list[tuple[Any, ...]], str, str, list[Any], tuple[str, ...]]:
    """The instructions of an expression, as `disassemble` writes them, and what a `NumExpr` is made of beside them.

    Those are the signature, that of the temporaries, the constants and the names of the inputs.
    """
    compiled = NumExpr(ex, signature, sanitize, **context)
    lines = [tuple(line) for line in disassemble(compiled)]
    return (
        lines,
        compiled.signature.decode(),
        compiled.tempsig.decode(),
        list(compiled.constants),
        compiled.input_names,
    )


def NumExpr(
    ex: Any, signature: Sequence[tuple[str, Any]] = (), sanitize: bool | None = True, **kwargs: Any
) -> interpreter.NumExpr:
    """The compiled expression of text or of a tree.

    `signature` has pairs of a name and a type, in the order of the operands; variables that it does not name are
    doubles. It is called with arrays in that order; see `interpreter.NumExpr`.

    >>> double = NumExpr("2*a", [("a", np.int32)])
    >>> double(np.arange(3, dtype="int8"))
    array([0, 2, 4], dtype=int32)
    """
    context = getContext(kwargs)
    if "types" in context:
        raise ValueError(
            "types='numpy' is an option of `evaluate`: a NumExpr is of numexpr's kinds, which bytecode has"
        )
    types = dict(signature)
    if isinstance(ex, str):
        ex = read(ex, types, context, sanitizes(sanitize))
    tree = node_of(ex)
    names = [node.value for node in getInputOrder(tree, [name for name, _ in signature])]
    return interpreter.NumExpr.of(tree, names, [KIND_OF_TYPE[types.get(name, default_type)] for name in names])


def disassemble(nex: Any) -> list[list[Any]]:
    """The bytecode of a compiled expression, a list for each instruction.

    That is its name with its kinds, and the registers of the result and the arguments: `r0` is the result, then come
    inputs, constants and temporaries. It is what numexpr would run; here kernels are made of the tree.

    >>> disassemble(NumExpr("x*x + 2", [("x", double)]))
    [[b'mul_ddd', b'r0', b'r1[x]', b'r1[x]'], [b'add_ddd', b'r0', b'r0', b'c2[2.0]']]

    Raises AttributeError for an expression that numexpr has no bytecode for.
    """
    return disassembled(nex.program, nex.input_names, nex.constants)


from .calls import evaluate, getArguments, re_evaluate, validate  # noqa: E402  (it needs what is above)
