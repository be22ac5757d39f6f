"""Calls of composite functions become their bodies, where that gains."""

from __future__ import annotations

from typing import Any, TypeGuard

from ..infer import PURE, SIDE_EFFECT, UNREORDERABLE, effects
from ..nodes import Apply, Call, Cast, Constant, Function, Node, Operand, Walk, postorder, rebuild, substitute
from ..ops import operator
from ..program import Program
from ..types import BOOL
from ..vector_math import is_vector_math

_WHERE = operator("where")

#: Nodes of a body that a call of it costs itself: arguments, a return, values that go through memory.
SMALL = 8
#: Nodes that all bodies together may add to a program for calls to be expanded whatever they are. Within it, what
#: stands in bodies is fused, shared, hoisted and simplified with what stands around them; beyond it, the time to
#: optimise and to compile grows with calls times bodies: 1,000 calls of 1,000 nodes are a million.
GROWTH = 2000


def inline(program: Program, *, growth: int | None = None, small: int | None = None) -> Program:
    """Replace calls by their functions' bodies over the arguments, as far as that gains.

        y[...] = f(a)      with  f(x) = x * x
        →  y[...] = a * a

    That is where a body has no more than `small` nodes (SMALL), or is called once, or where all bodies together add
    no more than `growth` nodes (GROWTH).
    Other calls stay, and each of their functions is one to all later passes. A body that is more than arithmetic
    element by element (a reduction, a view, a function of the vector library) is always expanded.
    Arguments that an expanded body does not read keep their part in the shape: `where(True, body, argument)`.
    A call with an effect, in its arguments or its function, stays: arguments are evaluated once, and first.

    Keeps: f(args) == body[params := args].
    Requires: nothing.
    """
    functions = [node for node in postorder(program.statements, True) if isinstance(node, Function)]
    if not functions:
        return program
    kept = _kept(program, functions, GROWTH if growth is None else growth, SMALL if small is None else small)
    new: dict[Node, Node] = {}
    # Functions come after those that they call.
    for function in functions:
        (body,) = _expanded((function.body,), new, kept)
        new[function] = Function(function.name, function.params, body)
    statements = _expanded(program.statements, new, kept)
    return program.rewritten(statements, new)


def _kept(program: Program, functions: list[Any], growth: int, small: int) -> set[Node]:
    """The functions whose calls stay."""
    own = {f: Walk().fresh((f.body,), False) for f in functions}
    calls: dict[Node, int] = dict.fromkeys(functions, 0)
    for node in program.nodes():
        if isinstance(node, Call):
            calls[node.function] += 1
    # With all expanded: sizes of bodies, and how often each is called.
    size: dict[Node, int] = {}
    pure: dict[Node, bool] = {}
    for f in functions:
        called = [n.function for n in own[f] if isinstance(n, Call)]
        size[f] = sum(not isinstance(n, (Operand, Function)) for n in own[f]) + sum(size[c] for c in called)
        pure[f] = _is_arithmetic(f, own[f]) and all(pure[c] for c in called)
    times = dict.fromkeys(functions, 0)
    for node in Walk().fresh(program.statements, False):
        if isinstance(node, Call):
            times[node.function] += 1
    total = sum(n * size[f] for f, n in times.items())
    if total <= growth:
        return set()
    kept: set[Node] = set()
    for f in functions:
        # As it is when those that it calls are expanded or stay.
        called = [n.function for n in own[f] if isinstance(n, Call)]
        size[f] = sum(not isinstance(n, (Operand, Function)) for n in own[f])
        size[f] += sum(size[c] for c in called if c not in kept)
        if pure[f] and size[f] > small and calls[f] > 1:
            kept.add(f)
    return kept


def _is_arithmetic(function: Any, body: list[Node]) -> bool:
    """Whether a function is one of elements, of operators that both engines compute one element at a time."""
    if effects(function.body) != PURE or any(p.type.rank or p.type.element.kind == "V" for p in function.params):
        return False
    return all(
        isinstance(n, (Constant, Operand, Call, Function)) or (isinstance(n, (Apply, Cast)) and not _is_library(n))
        for n in body
    ) and not isinstance(function.body, (Constant, Operand))


def _is_library(node: Node) -> bool:
    """Whether an operator goes to the vector library, in single precision too where it is of half precision."""
    if not isinstance(node, Apply):
        return False
    return is_vector_math(node) or node.args[-1].type.element.kind in node.op.vector_math


def _expanded(roots: Any, new: dict[Node, Node], kept: set[Node]) -> list[Node]:
    """The roots with the calls expanded that do not stay; `new` tells what became of each node."""
    for node in Walk().fresh(roots, False):
        if node in new:
            continue
        if _expands(node) and node.function not in kept:
            arguments = [new[argument] for argument in node.arguments]
            new[node] = _body(node.function, new[node.function].body, arguments)  # type: ignore[attr-defined]
        else:
            new[node] = rebuild(node, tuple(new[child] for child in node.args)) if node.args else node
    return [new[root] for root in roots]


def _body(function: Function, body: Node, arguments: list[Node]) -> Node:
    """The body of a function over arguments."""
    params = dict(zip(function.params, arguments, strict=True))
    (expanded,) = substitute((body,), params.get)
    if any(param.type.rank for param in params):
        return expanded
    # A value has the shape that all arguments broadcast to, also those that the body does not read.
    used = set(postorder((body,)))
    for param, argument in params.items():
        if argument.type.rank and param not in used:
            expanded = Apply(_WHERE, (Constant(True, BOOL), expanded, _as(argument, body)))
    return expanded


def _expands(node: Node) -> TypeGuard[Call]:
    return isinstance(node, Call) and not effects(node) & (SIDE_EFFECT | UNREORDERABLE)


def _as(argument: Node, like: Node) -> Node:
    """The argument cast to the element type of another node."""
    element = like.type.element
    return argument if argument.type.element is element else Cast(argument, element)
