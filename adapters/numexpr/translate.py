"""numexpr's trees to programs and back.

A program of a numexpr expression has one statement, whose value is of the kind that numexpr gives. What numexpr
casts in secret the tree shows as `Cast`. Strings have no place in a program: see `strings`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from arrayexpr._core.errors import TypeMismatch, UnsupportedError
from arrayexpr._core.nodes import Apply, Assign, Cast, Constant, Node, Operand, Reduce, postorder
from arrayexpr._core.program import Program
from arrayexpr._core.types import element

from . import expressions, extensions, operations
from .bytecode import tree_of
from .expressions import ConstantNode, ExpressionNode, FuncNode, OpNode, RawNode, VariableNode
from .kinds import CODES, KINDS, TYPES, kind_of, map_type

__all__ = ["from_host", "map_type", "origin_of", "to_host"]

#: Our operators that numexpr says with several.
_SQUARE: Final = "square"


def from_host(
    tree: Any, operands: Mapping[str, tuple[Any, int]] | None = None, order: Sequence[str] | None = None, *,
    out: Any = None, name: str = "numexpr"
) -> Program:  # fmt: skip
    """The program of a numexpr expression: of its text, of a tree of nodes (numexpr's or ours), of a `NumExpr`.

    `operands` gives variables a dtype and a rank, else they are of their kind's element type and of rank 1. `order`
    is the order of the program's operands, else that of their names. `out` is the dtype of the result where it is
    not that of the tree's kind. Each of our nodes has the node that it came from for its origin.

    Raises NotImplementedError, with numexpr's words, for an operation that numexpr has no opcode for.

    >>> from_host("2*a + b", {"a": ("int8", 2), "b": (float, 1)}).statements[0].value
    cast(cast(a, int32) * int32(2), float64) + b
    """
    if isinstance(tree, str):
        from .reader import read

        types = {each: TYPES[kind_of(dtype)] for each, (dtype, _) in (operands or {}).items()}
        tree = read(tree, types, {"optimization": "aggressive"})
    elif not hasattr(tree, "astType"):
        tree = tree_of(tree)
    made = _Program(operands or {})
    value = made.node(tree)
    if out is not None and element(out) is not value.type.element:
        value = Cast(value, element(out))
    names = sorted(made.operands) if order is None else list(order)
    given = [made.operands[each] if each in made.operands else made.operand(each, "double") for each in names]
    result = Operand("r" if "r" not in names else _free(names), value.type.element.array(value.type.rank))
    return Program(name, given, [Assign(result, value)], [result], origins=made.origins)


def check(tree: Any) -> None:
    """Raise for a tree that no program can be of, whatever the ranks: NotImplementedError for a missing operation."""
    variables = {node.value: node.astKind for node in nodes_of(tree) if node.astType == "variable"}
    # Of so many axes any reduction or subscript finds its own.
    from_host(tree, {name: (map_type(kind), 16) for name, kind in variables.items()})


def _free(names: Sequence[str]) -> str:
    return next(name for name in (f"r{k}" for k in range(len(names) + 1)) if name not in names)


def nodes_of(tree: Any) -> Iterator[Any]:
    """Every node of a tree once, children before parents. Trees may be deep: no recursion."""
    seen: set[int] = set()
    stack = [(tree, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(node.children))


def names_of(tree: Any) -> list[str]:
    """The variables of a tree, sorted."""
    return sorted({node.value for node in nodes_of(tree) if node.astType == "variable"})


class _Program:
    """The nodes of one program, by the host's nodes."""

    def __init__(self, given: Mapping[str, tuple[Any, int]]):
        self.given = given
        self.operands: dict[str, Operand] = {}
        self.origins: dict[Node, tuple[Any, ...]] = {}

    def operand(self, name: str, kind: str) -> Operand:
        dtype, rank = self.given.get(name, (map_type(kind), 1))
        made: Operand = Operand(name, element(dtype).array(rank))
        return self.operands.setdefault(name, made)

    def node(self, tree: Any) -> Node:
        made: dict[int, Node] = {}
        for host in nodes_of(tree):
            if host.astType == "raw":
                continue
            try:
                node = self.made(host, made)
            except OverflowError:
                # The operation that it is in may take it as a real.
                if host is tree or host.astType != "constant":
                    raise
                continue
            made[id(host)] = node
            self.origins[node] = (*self.origins.get(node, ()), host)
        return made[id(tree)]

    @staticmethod
    def argument(host: Any, made: Mapping[int, Node]) -> Node:
        return made[id(host)] if id(host) in made else operations.constant(host.value, host.astKind)

    def made(self, host: Any, made: Mapping[int, Node]) -> Node:
        match host.astType:
            case "variable":
                operand = self.operand(host.value, host.astKind)
                return _cast(operand, host.astKind)
            case "constant":
                return operations.constant(host.value, host.astKind)
            case "op":
                return self.operation(host, made)
        raise TypeMismatch(f"numexpr node of type {host.astType!r}: expected op, variable or constant")

    def operation(self, host: Any, made: Mapping[int, Node]) -> Node:
        children = [child for child in host.children if child.astType != "raw"]
        if host.value == extensions.NUMPY:
            return extensions.computed(host, [self.argument(child, made) for child in children])
        raw = [child.value for child in host.children if child.astType == "raw"]
        if host.value == "cast":
            return _cast(self.argument(children[0], made), host.astKind)
        if host.value in operations.REDUCTIONS:
            return self.reduction(host, self.argument(children[0], made), raw)
        codes = "".join(CODES[child.astKind] for child in children)
        signature = operations.signature(host.value, CODES[host.astKind], codes)
        if signature is None:
            raise operations.missing(host.value, CODES[host.astKind] + codes)
        args = []
        for child, code in zip(children, signature[1:], strict=True):
            if child.astType == "constant":
                args.append(operations.constant(child.value, KINDS[code]))
            else:
                args.append(_cast(made[id(child)], KINDS[code]))
        return operations.build(host.value, host.astKind, args)

    def reduction(self, host: Any, arg: Node, raw: Sequence[Any]) -> Node:
        axis = raw[0] if raw else expressions.ALL_AXES
        axes = None if axis == expressions.ALL_AXES else axis if isinstance(axis, tuple) else (axis,)
        if host.value not in ("sum", "prod") and arg.type.element.kind in "bc":
            codes = CODES[host.astKind] + CODES[host.children[0].astKind]
            raise operations.missing(host.value, codes + "n")
        return _cast(operations.reduce(host.value, arg, axes, len(raw) > 1 and bool(raw[1])), host.astKind)


def _cast(node: Node, kind: str) -> Node:
    to = map_type(kind)
    return node if node.type.element is to else Cast(node, to)


# -- Back ---------------------------------------------------------------------------------------


def to_host(program: Program) -> ExpressionNode:
    """The tree of a program's only statement, which numexpr's `NumExpr` compiles as it does its own.

    Raises UnsupportedError, naming the node, for what numexpr has no operation for: views, other element types.

    >>> to_host(from_host("2*a + b", {"a": ("float64", 1), "b": ("float64", 1)}))
    OpNode(add, double, (OpNode(mul, double, (VariableNode(a, double, ()), ConstantNode(2, int, ()))), \
VariableNode(b, double, ())))
    """
    if len(program.statements) != 1 or not isinstance(program.statements[0], Assign):
        raise UnsupportedError(f"program {program.name} has {len(program.statements)} statements: numexpr takes one")
    value = program.statements[0].value
    hosts = {id(host): node for node, attached in program.origins.items() for host in attached}
    again = _Program({operand.name: (operand.type.element, operand.type.rank) for operand in program.operands})
    made: dict[Node, Any] = {}
    for node in postorder((value,)):
        for host in program.origin(node):
            kept = _kept(node, host, hosts, made, again)
            if kept is not None:
                made[node] = kept
        if node not in made:
            made[node] = _host_node(node, made)
    host_value: ExpressionNode = made[value]
    return host_value


def origin_of(program: Program, node: Node) -> Any:
    """The numexpr node that a node came from, or None; the outermost where several became one."""
    attached = program.origin(node)
    return attached[-1] if attached else None


def _kept(node: Node, host: Any, hosts: Mapping[int, Node], made: Mapping[Node, Any], again: _Program) -> Any:
    """The host's node where it still says what ours does, over the children as they are now; else None."""
    children = [child for child in host.children if child.astType != "raw"]
    ours: dict[int, Node] = {}
    now: dict[int, Any] = {id(child): child for child in host.children}
    for child in children:
        if child.astType == "constant":
            # It has become a constant of the kind that the operation takes, if any.
            ours[id(child)] = operations.constant(child.value, child.astKind)
            continue
        at = hosts.get(id(child))
        if at is None or at not in made:
            return None
        ours[id(child)], now[id(child)] = at, made[at]
    try:
        if again.made(host, ours) is not node:
            return None
    except (NotImplementedError, ValueError, TypeMismatch):
        # Children of other types than those it was made for.
        return None
    if all(now[id(child)] is child for child in host.children):
        return host
    return OpNode(host.value, [now[id(child)] for child in host.children], host.astKind)


def _host_node(node: Node, made: Mapping[Node, ExpressionNode]) -> ExpressionNode:
    match node:
        case Operand(name):
            return VariableNode(name, _kind(node))
        case Constant(value):
            return _constant(value, _kind(node))
        case Cast(arg):
            # numexpr casts by itself where an operation is of another kind than its argument.
            child = made[arg]
            return child if child.astType == "constant" else OpNode("cast", (child,), _kind(node))
        case Reduce(op, arg, axes):
            reduction = {ours: theirs for theirs, ours in operations.REDUCTIONS.items()}.get(op.name)
            if reduction is None or node.keepdims or (len(axes) > 1 and len(axes) != arg.type.rank):
                raise UnsupportedError(f"numexpr has no {node!r}")
            axis = expressions.ALL_AXES if len(axes) == arg.type.rank else axes[0]
            return FuncNode(reduction, (made[arg], RawNode(axis)), _kind(node))
        case Apply(op, args) if op.name == _SQUARE:
            return OpNode("mul", (made[args[0]],) * 2, _kind(node))
        case Apply(op, args) if op.name == "reciprocal":
            return OpNode("div", (_constant(1, _kind(node)), made[args[0]]), _kind(node))
        case Apply(op, args) if op.name in ("less", "less_equal"):
            return OpNode("gt" if op.name == "less" else "ge", (made[args[1]], made[args[0]]), "bool")
        case Apply(op, args) if op.name in operations.THEIRS:
            name = operations.THEIRS[op.name]
            if not operations.signature(name, CODES[_kind(node)], "".join(CODES[_kind(arg)] for arg in args)):
                raise UnsupportedError(
                    f"numexpr has no {op.name} of {', '.join(str(arg.type.element) for arg in args)}"
                )
            return OpNode(name, tuple(made[arg] for arg in args), _kind(node))
    raise UnsupportedError(f"numexpr has no {type(node).__name__}: {node!r}")


def _kind(node: Node) -> str:
    t = node.type.element
    try:
        return kind_of(t.dtype)
    except ValueError as error:
        raise UnsupportedError(f"numexpr has no values of type {t}: {node!r}") from error


def _constant(value: Any, kind: str) -> ConstantNode:
    made = ConstantNode(map_type(kind).dtype.type(value) if kind in ("float", "long") else np.asarray(value).item())
    made.astKind = kind
    return made
