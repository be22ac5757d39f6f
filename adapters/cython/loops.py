"""Nests of range loops over memoryviews, as they stand in Cython's tree once types are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from Cython.Compiler import ExprNodes, Nodes, UtilNodes

from arrayexpr._core.nodes import Node, Operand, postorder, substitute
from arrayexpr._core.types import ElementType

from .elements import element_of
from .reader import Reader, Unread
from .vector import why_no_operand


class Left(Exception):
    """A loop stays as it is written; the message says why."""


@dataclass(frozen=True, slots=True)
class Range:
    """`for target in range(start, stop)`: texts of C that have no effect, and C's name of the target."""

    entry: Any
    target: str
    start: str
    stop: str


@dataclass(frozen=True, slots=True)
class Access:
    """An element `base[subscripts]`: per axis the loop that moves along it, if any, and where it starts from."""

    base: str
    axes: tuple[tuple[int | None, str], ...]


@dataclass(slots=True)
class Nest:
    """A nest that a kernel may run: its loops from the outermost, and what its body stores."""

    loops: list[Range]
    stores: list[tuple[Operand, Node]] = field(default_factory=list)
    #: The elements that operands of the nest's rank stand for, and the numbers, as C, that others do.
    accesses: dict[Access, Operand] = field(default_factory=dict)
    numbers: dict[str, tuple[Any, Operand]] = field(default_factory=dict)
    #: Local numbers that an iteration sets for itself: nothing after the nest may read them.
    temporaries: dict[Any, Node] = field(default_factory=dict)
    #: Each memoryview, once, by the C that it is.
    bases: dict[str, Any] = field(default_factory=dict)
    #: Every variable that the body assigns, and those that bounds read.
    assigned: set[Any] = field(default_factory=set)
    bounds: set[Any] = field(default_factory=set)


def read(loop: Any, directives: Any) -> Nest:
    """The nest that a loop is the outermost of; raises Left where it is none that a kernel may run."""
    nest = Nest([])
    body = _descend(loop, nest)
    nest.assigned = {each.lhs.entry for each in body if _assigns_name(each)}
    for entry in nest.assigned & nest.bounds:
        raise Left(f"it assigns {entry.name}, which a bound reads")
    reader = LoopReader(directives, nest)
    for statement in body:
        _statement(statement, nest, reader)
    if not nest.stores:
        raise Left("it stores nothing to a memoryview")
    if reader.checks:
        raise Left(f"it may raise {reader.checks[0].message!r}: cdivision is off")
    _check_order(nest)
    return nest


def _assigns_name(statement: Any) -> bool:
    return isinstance(statement, Nodes.SingleAssignmentNode) and bool(statement.lhs.is_name)


def _descend(loop: Any, nest: Nest) -> list[Any]:
    """Add a loop, and those that are its whole body, and give the statements of the innermost."""
    if loop.is_py_target or not loop.from_range:
        raise Left("it is no loop of a C number over range")
    if loop.else_clause is not None:
        raise Left("it has an else")
    entry = loop.target.entry if loop.target.is_name else None
    if entry is None or not _local(entry) or element_of(loop.target.type) is None or not loop.target.type.is_int:
        raise Left("its variable is no local C integer")
    step = 1 if loop.step is None else loop.step.constant_result
    if (loop.relation1, loop.relation2, step) != ("<=", "<", 1):
        raise Left(f"its step is {step if loop.relation2 == '<' else -step}: expected 1")
    if any(entry is each.entry for each in nest.loops):
        raise Left(f"{loop.target.name} is the variable of two of its loops")
    set_here = {each.entry for each in nest.loops}
    start = _text(loop.bound1, set_here, nest.bounds)
    bound = unwrapped(loop.bound2)
    if isinstance(bound, UtilNodes.LetRefNode) and not nest.loops:
        # Evaluated before the outermost loop begins, whatever it is.
        stop_text = None
    else:
        stop_text = _text(bound, set_here, nest.bounds)
    nest.loops.append(Range(entry, str(entry.cname), start, stop_text or ""))
    body = _statements(loop.body)
    if len(body) == 1:
        inner = body[0]
        if isinstance(inner, UtilNodes.LetNode) and isinstance(inner.body, Nodes.ForFromStatNode):
            inner = inner.body
        if isinstance(inner, Nodes.ForFromStatNode):
            return _descend(inner, nest)
    return body


def _statements(body: Any) -> list[Any]:
    """The statements of a body, nested lists of them taken apart."""
    if isinstance(body, Nodes.StatListNode):
        return [each for stat in body.stats for each in _statements(stat)]
    if isinstance(body, Nodes.PassStatNode):
        return []
    return [body]


def _statement(statement: Any, nest: Nest, reader: LoopReader) -> None:
    if isinstance(statement, Nodes.ForFromStatNode | UtilNodes.LetNode):
        raise Left("there are statements beside its inner loop")
    if not isinstance(statement, Nodes.SingleAssignmentNode | Nodes.InPlaceAssignmentNode):
        raise Left(f"it has a {_called(statement)}")
    lhs = statement.lhs
    try:
        if lhs.is_name and isinstance(statement, Nodes.SingleAssignmentNode):
            t = element_of(lhs.type)
            if t is None or not _local(lhs.entry) or lhs.entry in {each.entry for each in nest.loops}:
                raise Left(f"it assigns {lhs.name}, which is no local C number")
            nest.temporaries[lhs.entry] = reader.stored(statement.rhs, t)
            return
        if not getattr(lhs, "is_memview_index", False) or not lhs.type or element_of(lhs.type) is None:
            raise Left("it assigns what is no element of a memoryview")
        target = reader.element(lhs)
        to = target.type.element
        if isinstance(statement, Nodes.InPlaceAssignmentNode):
            if statement.operator in ("/", "//", "%", "**"):
                raise Left(f"it assigns by {statement.operator}=")
            node = ExprNodes.binop_node(statement.pos, statement.operator, lhs, statement.rhs)
            node.type = lhs.type
            value = reader.stored(node, to)
        else:
            value = reader.stored(statement.rhs, to)
    except Unread as unread:
        raise Left(f"it has {unread}") from None
    if any(target is stored for stored, _ in nest.stores):
        raise Left("it stores twice to one element")
    access = next(access for access, operand in nest.accesses.items() if operand is target)
    if sorted(loop for loop, _ in access.axes if loop is not None) != list(range(len(nest.loops))):
        raise Left("it stores to the same element in several iterations")
    # What an earlier statement of the iteration stored is read as the value that it was.
    nest.stores.append((target, substitute((value,), dict(nest.stores).get)[0]))


def _check_order(nest: Nest) -> None:
    """That every value may be computed from what memory held before the nest."""
    targets = [target for target, _ in nest.stores]
    for target, value in nest.stores:
        for node in postorder((value,)):
            if node in targets and node is not target:
                raise Left("a statement reads what another one stores to")
    by_base: dict[str, set[tuple[Any, ...]]] = {}
    for access in nest.accesses:
        by_base.setdefault(access.base, set()).add(access.axes)
    for access, operand in nest.accesses.items():
        if operand in targets and len(by_base[access.base]) > 1 and _shifted(by_base[access.base]):
            raise Left(f"it reads other elements of {nest.bases[access.base].name or 'what it stores to'}")


def _shifted(places: set[tuple[Any, ...]]) -> bool:
    """Whether accesses of one memoryview differ by where they start alone: an iteration reads what another stores."""
    return (
        len({tuple(loop for loop, _ in axes) for axes in places}) == 1
        and any(loop is not None for axes in places for loop, _ in axes)
        and not _apart_by_invariants(places)
    )


def _apart_by_invariants(places: set[tuple[Any, ...]]) -> bool:
    """Whether axes that no loop moves along differ: then a test at run time may tell accesses apart."""
    fixed = {tuple(start for loop, start in axes if loop is None) for axes in places}
    return len(fixed) == len(places)


class LoopReader(Reader):
    """Reads the expressions of a nest's body: elements of memoryviews, numbers, and temporaries of the iteration."""

    def __init__(self, directives: Any, nest: Nest):
        super().__init__(directives)
        self.nest = nest
        self._variables = {loop.entry: k for k, loop in enumerate(nest.loops)}

    def read(self, node: Any) -> Node:
        if getattr(node, "is_memview_index", False):
            return self.element(node)
        if isinstance(node, ExprNodes.NameNode):
            if node.entry in self._variables:
                raise Unread(f"the value of {node.name}, the variable of a loop")
            known = self.nest.temporaries.get(node.entry)
            if known is not None:
                return known
            if node.entry in self.nest.assigned:
                raise Unread(f"{node.name}, which an iteration hands to the next")
        if isinstance(node, ExprNodes.NameNode | ExprNodes.AttributeNode):
            return self._number(node)
        return super().read(node)

    def _number(self, node: Any) -> Node:
        t = element_of(node.type)
        if t is None or node.is_temp or (node.is_name and not _readable(node.entry)):
            raise Unread(f"{getattr(node, 'name', None) or node.attribute}, which is no C number")
        if node.is_attribute and not _plain_attribute(node):
            raise Unread(f"the attribute {node.attribute}")
        text = str(node.result())
        if text not in self.nest.numbers:
            self.nest.numbers[text] = (node, Operand(f"s{len(self.nest.numbers)}", t.array(0)))
        return self.nest.numbers[text][1]

    def element(self, node: Any) -> Operand:
        """The operand that an element is one of, walked by the loops."""
        base = node.base
        refused = why_no_operand(base.type)
        if refused is not None:
            raise Unread(refused)
        if base.is_temp or not (base.is_name and _readable(base.entry) or base.is_attribute and _plain_attribute(base)):
            raise Unread("a memoryview that is no variable")
        axes = tuple(self._subscript(index) for index in node.indices)
        text = str(base.result())
        self.nest.bases.setdefault(text, base)
        access = Access(text, axes)
        if access not in self.nest.accesses:
            t = element_of(base.type.dtype)
            assert isinstance(t, ElementType)
            name = f"e{len(self.nest.accesses)}"
            self.nest.accesses[access] = Operand(name, t.array(len(self.nest.loops)))
        return self.nest.accesses[access]

    def _subscript(self, index: Any) -> tuple[int | None, str]:
        """The loop that a subscript moves with, by 1, and where it starts from, as C."""
        index = unwrapped(index)
        if index.is_name and index.entry in self._variables:
            return self._variables[index.entry], "0"
        if isinstance(index, ExprNodes.AddNode | ExprNodes.SubNode) and not index.overflow_check:
            for own, other in ((index.operand1, index.operand2), (index.operand2, index.operand1)):
                own = unwrapped(own)
                if not (own.is_name and own.entry in self._variables):
                    continue
                if isinstance(index, ExprNodes.SubNode) and other is index.operand1:
                    continue
                sign = "-" if isinstance(index, ExprNodes.SubNode) else ""
                return self._variables[own.entry], f"{sign}{self._invariant(other)}"
        return None, self._invariant(index)

    def _invariant(self, node: Any) -> str:
        taken = set(self._variables) | self.nest.assigned
        try:
            return _text(node, taken)
        except Left:
            raise Unread("a subscript that is no loop variable plus a number") from None


def _text(node: Any, taken: set[Any], names: set[Any] | None = None) -> str:
    """C for an integer that has no effect, and that nothing in the nest changes; raises Left for any other.

    `taken` are variables that it may not read; those that it reads are put among `names`.
    """
    node = unwrapped(node)
    if isinstance(node, UtilNodes.LetRefNode):
        return _text(node.expression, taken, names)
    if isinstance(node, ExprNodes.IntNode) and isinstance(node.constant_result, int):
        return f"(({node.constant_result}))" if node.constant_result < 0 else str(node.constant_result)
    if node.type is not None and node.type.is_int:
        if node.is_name and _readable(node.entry) and node.entry not in taken:
            if names is not None:
                names.add(node.entry)
            return f"(ptrdiff_t){node.result()}"
        if isinstance(node, ExprNodes.AddNode | ExprNodes.SubNode) and not node.overflow_check:
            one, other = (_text(each, taken, names) for each in (node.operand1, node.operand2))
            return f"({one} {node.operator} {other})"
        if isinstance(node, ExprNodes.IndexNode) and _shape_of(node.base) is not None:
            return f"{_shape_of(node.base)}.shape[{_text(node.index, taken, names)}]"
    raise Left("a bound is no plain integer")


def _shape_of(node: Any) -> str | None:
    """The memoryview, as C, whose `shape` a node is."""
    if not (
        isinstance(node, ExprNodes.AttributeNode) and node.attribute == "shape" and node.obj.type.is_memoryviewslice
    ):
        return None
    own = node.obj
    plain = own.is_name and _readable(own.entry) or own.is_attribute and _plain_attribute(own)
    return str(own.result()) if plain and not own.is_temp else None


def unwrapped(node: Any) -> Any:
    while (
        isinstance(node, ExprNodes.CoerceToTempNode | ExprNodes.CoercionNode)
        and node.type.is_int
        and node.arg.type.is_int
    ):
        node = node.arg
    return node


def _local(entry: Any) -> bool:
    """Whether a variable is one of the function's own C variables."""
    return bool((entry.is_local or entry.is_arg) and not entry.in_closure and not entry.from_closure)


def _readable(entry: Any) -> bool:
    """Whether reading a variable is reading a C variable, and has no effect."""
    return entry is not None and bool(_local(entry) or entry.is_cglobal) and not entry.type.is_pyobject


def _plain_attribute(node: Any) -> bool:
    """Whether an attribute is a C field of an extension type's instance that a local variable holds."""
    entry = node.entry
    return bool(
        not node.is_temp
        and entry is not None
        and not node.is_py_attr
        and node.obj.is_name
        and node.obj.type.is_extension_type
        and _local(node.obj.entry)
        and (node.obj.entry.is_self_arg or not node.obj.may_be_none())
    )


def _called(statement: Any) -> str:
    names = {"IfStatNode": "if", "ExprStatNode": "call", "WhileStatNode": "while loop", "BreakStatNode": "break"}
    return names.get(type(statement).__name__, type(statement).__name__)


def names_in(node: Any) -> Iterator[Any]:
    """Every variable that a tree names, as often as it does."""
    if isinstance(node, ExprNodes.NameNode):
        yield node.entry
    for attribute in node.child_attrs or ():
        child = getattr(node, attribute, None)
        for each in child if isinstance(child, list) else [child]:
            if isinstance(each, Nodes.Node):
                yield from names_in(each)
