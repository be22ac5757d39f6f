"""Rejects trees that break a rule of the grammar, before a pass or an emitter trusts them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NoReturn

from .errors import ArrayExprError, VerifyError
from .infer import RAISES, effects
from .layout import Layout
from .nodes import (
    Apply,
    Assign,
    Barrier,
    Call,
    Cast,
    Constant,
    Contract,
    Disjoint,
    Extent,
    For,
    Function,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Opaque,
    Operand,
    Pack,
    Reduce,
    Scratch,
    SideEffect,
    Store,
    Stride,
    Unreorderable,
    View,
    Walk,
    is_verified,
    set_verified,
)
from .printer import MAX_NESTING, is_name, is_word, show
from .types import ArrayType

if TYPE_CHECKING:
    from .program import Program


def verify(program: Program) -> None:
    """Raise VerifyError, naming the node and what was expected, unless the program keeps every rule.

    The rules: nodes are as their constructors make them; operands, indices and scratch are declared
    where they are read; statements stand where statements do; every result is assigned; names can be
    written as text, and mean one thing.

    >>> from arrayexpr._core.parser import parse
    >>> verify(parse("def f(a: float64[:], *, r: float64[:]):\\n    pass\\n"))
    Traceback (most recent call last):
    arrayexpr._core.errors.VerifyError: program f never assigns its result r
    """
    _Verifier(program).run()


# What a node is made of, given to its constructor again: a valid node is what it returns. A constructor
# looks an equal node up, so this checks every rule it has without a second copy of them here.
_REMAKE: Final[dict[type, Callable[[Any], Node]]] = {
    Apply: lambda n: Apply(n.op, n.args),
    Cast: lambda n: Cast(n.arg, n.type),
    View: lambda n: View(n.arg, n.subscripts, n.order),
    Reduce: lambda n: Reduce(n.op, n.arg, n.axes, n.keepdims),
    Contract: lambda n: Contract(*n.args),
    Function: lambda n: Function(n.name, n.params, n.body),
    Call: lambda n: Call(n.function, n.arguments),
    Opaque: lambda n: Opaque(n.name, n.args, n.type),
    SideEffect: lambda n: SideEffect(n.inner, n.reads, n.writes),
    Unreorderable: lambda n: Unreorderable(n.inner),
    Assign: lambda n: Assign(*n.args),
    For: lambda n: For(n.index, n.start, n.stop, n.step, n.body),
    Loop: lambda n: Loop(n.index, n.start, n.stop, n.step, n.role, n.body),
    Load: lambda n: Load(n.operand, n.subscripts),
    Store: lambda n: Store(n.operand, n.subscripts, n.value),
    Scratch: lambda n: Scratch(n.operand, n.extents),
    Pack: lambda n: Pack(n.target, n.source, n.starts, n.extents),
    Guard: lambda n: Guard(n.condition, n.then, n.otherwise),
    Barrier: lambda n: Barrier(),
    Extent: lambda n: Extent(n.operand, n.axis),
    Stride: lambda n: Stride(n.operand, n.axis),
    Disjoint: lambda n: Disjoint(n.one, n.other, n.same),
    Operand: lambda n: Operand(n.name, n.type),
    Index: lambda n: Index(n.name),
}

_END: Final = object()
_ELEMENTWISE: Final = frozenset({Constant, Operand, Apply, Cast, Call, SideEffect, Unreorderable})


def _fail(message: str) -> NoReturn:
    raise VerifyError(message)


def check_node(node: Node) -> None:
    """The rules of one node over its children: what holds of it in whatever program it stands."""
    kind = type(node)
    if kind is Constant:
        if node.args or not isinstance(node.type, ArrayType) or node.type.rank or node.type.element.dtype is None:
            _fail(f"Constant {show(node)} of type {node.type}: expected a scalar of a known element type")
        return
    remake = _REMAKE.get(kind)
    if remake is None:
        _fail(f"{node!r} is no node: expected one of the classes of the grammar")
    try:
        same = remake(node)
    except (ArrayExprError, TypeError, ValueError, AttributeError) as error:
        raise VerifyError(f"{kind.__name__} breaks a rule: {error}") from None
    if same is not node:
        _fail(f"{kind.__name__} {show(node)} of type {node.type}: expected {same.type}, and what its fields say")
    if isinstance(node, (Operand, Index)):
        if not is_name(node.name):
            _fail(f"{kind.__name__} {node.name!r}: expected a name that is no keyword, in Unicode's form NFKC")
    elif isinstance(node, Function):
        if not is_name(node.name) or is_word(node.name):
            _fail(f"Function {node.name!r}: expected a name that is no keyword and no word of the text form")
    elif isinstance(node, (SideEffect, Unreorderable)):
        if isinstance(node.inner, Function):
            _fail(f"{kind.__name__} holds Function {node.inner.name}: expected an expression or a statement")
    elif isinstance(node, View) and len(node.args) > 1:
        for subscript in node.args[1:]:
            if effects(subscript) & ~RAISES:
                _fail(f"subscript {show(subscript)} of a view has an effect: expected a statement before it")
    elif isinstance(node, For):
        step = node.step
        if isinstance(step, Constant) and step.value == 0:
            _fail(f"{show(node)}: the step is 0, expected another")


class _Verifier:
    def __init__(self, program: Program):
        self.program = program
        self.names: dict[str, Node] = {}
        self.visible: set[Node] = set()
        self.walk = Walk()
        self.functions: dict[Function, bool] = {}
        self.written: set[str] = set()
        self.everything = False

    def run(self) -> None:
        program = self.program
        if not is_name(program.name):
            _fail(f"program name {program.name!r}: expected an identifier that is no keyword")
        for operand in program.declared:
            if not isinstance(operand, Operand):
                _fail(f"program {program.name} declares {type(operand).__name__}: expected an Operand")
            if not is_verified(operand):
                check_node(operand)
            self.declare(operand, f"program {program.name}")
        for name, layout in program.layouts.items():
            known = self.names.get(name)
            if known is None:
                _fail(f"layout of {name!r}: program {program.name} has no such operand")
            if not isinstance(layout, Layout) or len(layout.shape) != known.type.rank:
                _fail(f"layout of {name}, {layout}: expected the shape and strides of {known.type}")
        outside = frozenset(self.names)
        self.statements(program.statements)
        if not self.everything:
            for result in program.results:
                if result.name not in self.written:
                    _fail(f"program {program.name} never assigns its result {result.name}")
        self.check_functions(outside)
        self.check_locals(program)

    def check_locals(self, program: Program) -> None:
        """The first statement that touches a local assigns it as a whole: so it has a shape.

        A local that is first assigned in a loop or a guard is its own: each iteration has a new one.
        """
        blocks: list[tuple[Iterable[Node], set[Node]]] = [(program.statements, set(program.locals))]
        while blocks:
            block, pending = blocks.pop()
            ended: set[Node] = set()
            walk = Walk()
            for statement in block:
                if ended:
                    for local in ended.intersection(Walk().fresh((statement,))):
                        _fail(
                            f"{show(statement)} touches local {local.key} after the loop or guard whose own it is: "
                            f"expected {local.key}[...] = ... before it"
                        )
                elif not pending:
                    break
                touched = pending.intersection(walk.fresh((statement,)))
                pending -= touched
                if not touched:
                    continue
                inner = statement
                while isinstance(inner, (SideEffect, Unreorderable)):
                    inner = inner.inner
                branches: tuple[tuple[Node, ...], ...] = ()
                if isinstance(inner, For) and not touched.intersection(Walk().fresh(inner.args[1:4])):
                    branches = (inner.body,)
                elif isinstance(inner, Guard) and not touched.intersection(Walk().fresh((inner.condition,))):
                    branches = (inner.then, inner.otherwise)
                if branches:
                    blocks.extend((branch, set(touched)) for branch in branches)
                    ended |= touched
                    continue
                for local in touched:
                    if isinstance(inner, Assign) and inner.target is local:
                        if local not in Walk().fresh((inner.value,)):
                            continue
                    _fail(f"local {local.key} is first touched by {show(statement)}: expected {local.key}[...] = ...")

    def declare(self, node: Node, where: str) -> None:
        name: str = node.key
        if name in self.names:
            _fail(f"{where} declares {name} again: expected a name of its own")
        self.names[name] = node
        self.visible.add(node)

    # -- statements --

    def statements(self, body: Iterable[Node]) -> None:
        # Per open block: what is left of it, what was seen and declared in it, how deep it stands.
        frames: list[tuple[Iterator[Any], list[Node], list[str], int]] = [(iter(tuple(body)), [], [], 0)]
        while frames:
            rest, log, declared, depth = frames[-1]
            node: Any = next(rest, _END)
            if node is _END:
                frames.pop()
                # What was valid in a block need not be outside it: its names end with it.
                self.walk.forget(log)
                for name in declared:
                    self.visible.discard(self.names.pop(name))
                continue
            for block, index in reversed(self.statement(node, log if depth else None, declared)):
                if depth >= MAX_NESTING:
                    _fail(f"{show(node)}: statements stand more than {MAX_NESTING} deep, expected fewer")
                names: list[str] = []
                if index is not None:
                    self.declare_index(index, node)
                    names.append(index.name)
                frames.append((iter(block), [], names, depth + 1))

    def declare_index(self, index: Index, loop: Node) -> None:
        if index.name in self.names:
            _fail(f"{show(loop)}: {index.name} is declared already, expected an index of its own")
        self.names[index.name] = index
        self.visible.add(index)

    def statement(
        self, node: Node, log: list[Node] | None, declared: list[str]
    ) -> list[tuple[tuple[Node, ...], Index | None]]:
        """Check a statement's own part; returns the blocks inside it, with the index each declares."""
        if not isinstance(node, Node):
            _fail(f"a block holds {type(node).__name__}: expected a statement")
        if node.type is not None or isinstance(node, Function):
            if not isinstance(node, (SideEffect, Unreorderable)):
                _fail(f"{show(node)} is {type(node).__name__}: expected a statement, or SideEffect around it")
            self.expressions([node], log, node)
            return []
        if not is_verified(node):
            check_node(node)
            set_verified(node)
        if isinstance(node, Assign):
            self.expressions([node.value, node.target], log, node)
            base = node.target
            while isinstance(base, View):
                base = base.arg
            self.written.add(base.key)
        elif isinstance(node, (Store, Pack)):
            self.expressions(list(node.args), log, node)
            self.written.add(node.args[0].key)
        elif isinstance(node, For):
            self.expressions([node.start, node.stop, node.step], log, node)
            if not is_verified(node.index):
                check_node(node.index)
            return [(node.body, node.index)]
        elif isinstance(node, Guard):
            self.expressions([node.condition], log, node)
            return [(node.then, None), (node.otherwise, None)]
        elif isinstance(node, Scratch):
            self.expressions(list(node.extents), log, node)
            if not is_verified(node.operand):
                check_node(node.operand)
            if node.operand.name in self.names:
                _fail(f"{show(node)}: {node.operand.name} is declared already, expected a name of its own")
            self.names[node.operand.name] = node.operand
            self.visible.add(node.operand)
            declared.append(node.operand.name)
        elif isinstance(node, (SideEffect, Unreorderable)):
            self.effect(node, self.names)
            return [((node.inner,), None)]
        return []

    # -- expressions --

    def expressions(self, roots: list[Node], log: list[Node] | None, statement: Node) -> None:
        """Check all that is under some roots and was not seen in this scope."""
        for root in roots:
            if not isinstance(root, Node):
                _fail(f"{show(statement)} holds {type(root).__name__}: expected an expression")
        visible = self.visible
        fresh = self.walk.fresh(roots, False)
        if log is not None:
            log.extend(fresh)
        # Parents first: the node that breaks a rule is named, not what it was given.
        for node in reversed(fresh):
            kind = type(node)
            if kind is Apply and is_verified(node):
                continue
            if not is_verified(node) and kind is not Function:
                self.check(node, statement)
                set_verified(node)
            if kind is Operand or kind is Index:
                if node not in visible:
                    self.undeclared(node, statement)
            elif kind is Call:
                self.call(node, False)
            elif kind is SideEffect or kind is Unreorderable:
                self.effect(node, self.names)

    def check(self, node: Any, statement: Node) -> None:
        if not isinstance(node, Node):
            _fail(f"{show(statement)} holds {type(node).__name__}: expected an expression")
        check_node(node)
        if node.type is None:
            _fail(f"{show(node)} is a statement inside {show(statement)}: expected an expression")
        if isinstance(node, Function):
            _fail(f"Function {node.name} is read as a value in {show(statement)}: expected a Call of it")

    def undeclared(self, node: Node, where: Node | Function) -> NoReturn:
        known = self.names.get(node.key)
        if isinstance(node, Index):
            _fail(f"index {node.name} in {show(where)} is bound by no loop around it: expected For over {node.name}")
        if isinstance(known, Operand):
            _fail(f"operand {node.key} in {show(where)} is {node.type}: expected {known.type}, as declared")
        _fail(f"operand {node.key} in {show(where)} is not declared: expected one of {', '.join(self.names) or 'none'}")

    def effect(self, node: Node, names: Iterable[str]) -> None:
        if isinstance(node, SideEffect):
            known = set(names)
            for what, touched in (("reads", node.reads), ("writes", node.writes)):
                unknown = sorted(set(touched or ()) - known)
                if unknown:
                    _fail(f"{show(node)} {what} {unknown[0]!r}: expected names of operands")
            if node.writes is None:
                self.everything = self.everything or node.type is not None
            else:
                self.written.update(node.writes)
        elif node.type is not None:
            self.everything = True

    # -- functions: their bodies read their parameters and nothing else --

    def call(self, node: Node, elementwise: bool) -> None:
        function: Function = node.args[0]  # type: ignore[assignment]
        if not elementwise and not any(p.type.rank for p in function.params):
            elementwise = any(a.type.rank for a in node.args[1:])
        if not self.functions.get(function, False):
            self.functions[function] = elementwise

    def check_functions(self, names: frozenset[str]) -> None:
        named: dict[str, Function] = {}
        checked: dict[Function, bool] = {}
        while self.functions:
            function, elementwise = self.functions.popitem()
            if checked.get(function) in (True, elementwise):
                continue
            checked[function] = elementwise
            if named.setdefault(function.name, function) is not function:
                _fail(f"two functions are named {function.name}: expected one of that name")
            self.function(function, elementwise, names)

    def function(self, function: Function, elementwise: bool, names: frozenset[str]) -> None:
        if not is_verified(function):
            check_node(function)
            for parameter in function.params:
                check_node(parameter)
            set_verified(function)
        parameters = set(function.params)
        seen: set[Node] = set()
        stack: list[Node] = [function.body]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if not is_verified(node):
                self.check(node, function)
                set_verified(node)
            kind = type(node)
            if elementwise and kind not in _ELEMENTWISE:
                message = f"function {function.name} holds {show(node)}, but is called element by element"
                _fail(f"{message}: expected parameters that are arrays")
            if kind is Operand or kind is Index:
                if node not in parameters:
                    expected = ", ".join(p.name for p in function.params) or "none"
                    _fail(f"function {function.name} reads {node.key}: expected one of its parameters, {expected}")
            elif kind is Call:
                self.call(node, elementwise)
                stack.extend(node.args[1:])
            else:
                if kind is SideEffect or kind is Unreorderable:
                    self.effect(node, names)
                stack.extend(node.args)
