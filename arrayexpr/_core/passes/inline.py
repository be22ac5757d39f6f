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
#: Of the nodes of a body that is divided, as many as its parts may have together at the most.
_TWICE = 1.5


def inline(program: Program, *, growth: int | None = None, small: int | None = None) -> Program:
    """Replace calls by their functions' bodies over the arguments, as far as that gains.

        y[...] = f(a)      with  f(x) = x * x
        →  y[...] = a * a

    That is where a body has no more than `small` nodes (SMALL), or is called once, or where all bodies together add
    no more than `growth` nodes (GROWTH).
    Other calls stay, and each of their functions is one to all later passes. Functions of the vector library run on
    strips, between loops of other work: a body that has some is expanded to those, and to calls of what lies between.
    A body that is not element by element (a reduction, a view) is always expanded.
    Arguments that an expanded body does not read keep their part in the shape: `where(True, body, argument)`.
    A call with an effect, in its arguments or its function, stays: arguments are evaluated once, and first.

    Keeps: f(args) == body[params := args].
    Requires: nothing.
    """
    functions = [node for node in postorder(program.statements, True) if isinstance(node, Function)]
    if not functions:
        return program
    small = SMALL if small is None else small
    kept, divided = _kept(program, functions, GROWTH if growth is None else growth, small)
    new: dict[Node, Node] = {}
    # Functions come after those that they call.
    for function in functions:
        (body,) = _expanded((function.body,), new, kept)
        if function in divided:
            body = _divided(function, body, small)
        new[function] = Function(function.name, function.params, body)
    statements = _expanded(program.statements, new, kept)
    return program.rewritten(statements, new)


def _kept(program: Program, functions: list[Any], growth: int, small: int) -> tuple[set[Node], set[Node]]:
    """The functions whose calls stay, and those that are divided where functions of the vector library stand."""
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
        return set(), set()
    kept: set[Node] = set()
    divided: set[Node] = set()
    for f in functions:
        # As it is when those that it calls are expanded or stay.
        called = [n.function for n in own[f] if isinstance(n, Call)]
        size[f] = sum(not isinstance(n, (Operand, Function)) for n in own[f])
        size[f] += sum(size[c] for c in called if c not in kept)
        if size[f] > small and calls[f] > 1 and _is_of_elements(f, own[f]):
            (kept if pure[f] else divided).add(f)
    return kept, divided


def _is_arithmetic(function: Any, body: list[Node]) -> bool:
    """Whether a function is one of elements, of operators that both engines compute one element at a time."""
    return _is_of_elements(function, body) and not any(_is_library(n) for n in body)


def _is_of_elements(function: Any, body: list[Node]) -> bool:
    """Whether a function is one of elements."""
    if effects(function.body) != PURE or any(p.type.rank or p.type.element.kind == "V" for p in function.params):
        return False
    return all(isinstance(n, (Constant, Operand, Call, Function, Apply, Cast)) for n in body) and not isinstance(
        function.body, (Constant, Operand)
    )


def _divided(function: Any, body: Node, small: int) -> Node:
    """A body as functions of the vector library, and calls of functions of what lies between them.

        exp(x * x + ... ) * y - ...   →   g_1(exp(g_0(x, y)), x, y)

    What lies between and is small, or would mostly be computed twice since several parts need it, is as it was.
    """
    nodes = [n for n in Walk().fresh((body,), False) if not isinstance(n, Function)]
    library = [n for n in nodes if _is_library(n)]
    roots = dict.fromkeys([*(arg for n in library for arg in n.args), body])
    # What stands for a result of the library, as the parameter of what reads it.
    stands: dict[Node, Node] = {n: Operand(f"library_{k}", n.type.element) for k, n in enumerate(library)}
    parts: dict[Node, Node] = {}
    for root in roots:
        others = {n: stand for n, stand in stands.items() if n is not root}
        (parts[root],) = substitute((root,), others.get)
    sizes = {
        root: sum(isinstance(n, (Apply, Cast, Call)) for n in Walk().fresh((part,), False))
        for root, part in parts.items()
        if not _is_library(root)
    }
    if sum(sizes.values()) > _TWICE * len(nodes):
        return body
    new: dict[Node, Node] = {}
    back = {stand: node for node, stand in stands.items()}
    for node in nodes:
        if node in sizes and sizes[node] > small:
            params = [n for n in postorder((parts[node],)) if isinstance(n, Operand)]
            name = f"{function.name}_{len(new)}"
            arguments = [new.get(back.get(p, p), back.get(p, p)) for p in params]
            new[node] = Call(Function(name, tuple(params), parts[node]), tuple(arguments))
        elif node.args:
            new[node] = rebuild(node, tuple(new.get(child, child) for child in node.args))
    return new.get(body, body)


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
