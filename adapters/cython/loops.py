"""Reads nests of range loops over memoryviews, as they stand in Cython's tree once types are known, as our loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from Cython.Compiler import ExprNodes, Nodes, PyrexTypes, UtilNodes

from arrayexpr._core.affine import integer, minus, plus, times
from arrayexpr._core.nodes import (
    Apply,
    Cast,
    Constant,
    For,
    Guard,
    Index,
    Load,
    Node,
    Operand,
    Scratch,
    Store,
    postorder,
)
from arrayexpr._core.ops import operator
from arrayexpr._core.types import INT64, ElementType, element

from . import directives
from .elements import common, element_of
from .flow import Flow
from .places import Memory, loop_text, memory_of, plain_attribute, readable
from .reader import Reader, Unread

_COMPARED = {"<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal", "==": "equal"}
_NOT, _AND, _OR = operator("logical_not"), operator("logical_and"), operator("logical_or")
_POWER = operator("power")
#: Exponents for which a power may become products. Squares are C's own to the bit.
_EXPONENTS = (0.5, 1, 3, 4)
_REALS = {element_of(t): t for t in (PyrexTypes.c_float_type, PyrexTypes.c_double_type, PyrexTypes.c_longdouble_type)}


class Left(Exception):
    """A loop stays as it is written; the message says why."""


@dataclass(frozen=True, slots=True)
class Range:
    """A loop of the source: Cython's variable, and our loop without its body."""

    entry: Any
    name: str
    c_type: Any
    index: Index
    start: Node
    stop: Node
    step: int


@dataclass(slots=True)
class Source:
    """A nest as our loops, and what Cython has for each operand in it."""

    loop: For
    ranges: list[Range]
    #: Memoryviews and buffers.
    memories: dict[Operand, Memory] = field(default_factory=dict)
    #: int64 scalars of bounds and subscripts: C, or a node that has its C when it is written.
    integers: dict[Operand, Any] = field(default_factory=dict)
    #: C numbers that elements are computed from: a node.
    numbers: dict[Operand, Any] = field(default_factory=dict)
    #: Those of them that the nest stores to.
    carried: set[Operand] = field(default_factory=set)
    #: Arrays that hold the values of a loop's variable.
    counters: dict[Operand, Range] = field(default_factory=dict)
    #: Conditions under which the loops raise: `found = found or condition` in the place of what they store.
    raising: For | None = None
    found: Operand | None = None

    def store_names(self) -> set[str]:
        return {node.operand.name for node in postorder((self.loop,)) if isinstance(node, Store)}


class NestReader:
    """Reads one nest."""

    def __init__(self, loop: Any, directives: Any):
        self.loop = loop
        self.flow = Flow(loop)
        self.ranges: list[Range] = []
        self.source = Source(None, self.ranges)  # type: ignore[arg-type]
        #: Numbers that iterations set, and what stands for each.
        self.variables: dict[Any, Operand] = {}
        self.texts: dict[str, Operand] = {}
        self.made = 0
        #: Indices of loops that stand under a condition.
        self.conditional: set[Index] = set()
        self.depth = 0
        self.active: dict[Any, Range] = {}
        self.reader = _ElementReader(directives, self)
        self.directives = directives

    def run(self) -> Source:
        """The nest; raises Left where it is none that can be read as ours."""
        homes = self._homes()
        for entry in homes:
            if not _number(entry):
                raise Left(f"it assigns {entry.name}, which is no local C number")
        self.homes = homes
        made = self._loop(self.loop, outermost=True)
        assert isinstance(made, For)
        self.source.loop = made
        if not any(isinstance(node, Store) and not _is_scratch(node) for node in postorder((made,))):
            raise Left("it stores nothing to a memoryview")
        self._checks()
        return self.source

    def _homes(self) -> dict[Any, int | None]:
        """For each number that the nest sets the loop whose iterations each have one of their own; None where what it
        holds is handed on to the next iteration, or to what follows."""
        targets = {each.target.entry for each in _loops_in(self.loop) if each.target.is_name}
        places: dict[Any, list[tuple[int, ...]]] = {}
        for entry, path in _uses(self.loop, ()):
            places.setdefault(entry, []).append(path)
        homes: dict[Any, int | None] = {}
        for entry in self.flow.assigned:
            if entry in targets:
                continue
            if self.flow.handed_in(entry) or self.flow.handed_on(entry):
                homes[entry] = None
                continue
            path = _common(places[entry])
            if not path:
                raise Left(f"it assigns {entry.name}, which a bound reads")
            homes[entry] = path[-1]
        return homes

    # -- statements --

    def _loop(self, loop: Any, outermost: bool = False) -> For:
        if not is_loop(loop):
            raise Left("it is no loop over range")
        parallel = isinstance(loop, Nodes.ParallelRangeNode)
        if loop.else_clause is not None:
            raise Left("it has an else")
        entry = loop.target.entry if loop.target.is_name else None
        kind = element_of(loop.target.type) if entry is not None else None
        if entry is None or not local(entry) or kind is None or kind.kind not in "iu" or kind.bits < 32:
            raise Left("its variable is no local C integer")
        if any(entry is each.entry for each in self.active.values()):
            raise Left(f"{loop.target.name} is the variable of two of its loops")
        if parallel:
            start, stop, step = self._parallel_range(loop)
        else:
            if not loop.from_range:
                raise Left("it is no loop of a C number over range")
            step = 1 if loop.step is None else loop.step.constant_result
            if not isinstance(step, int):
                raise Left("its step is no constant")
            step = step if loop.relation2 == "<" else -step
            if (loop.relation1, loop.relation2) not in (("<=", "<"), (">=", ">")):
                raise Left("it is no loop over range")
            start = self._bound(loop.bound1)
            stop = self._bound(loop.bound2, outermost)
        number = len(self.ranges)
        index = Index(f"i{number}")
        made = Range(entry, loop.target.name, loop.target.type, index, start, stop, step)
        self.ranges.append(made)
        if self.depth:
            self.conditional.add(index)
        self.active[entry] = made
        body = self._block(_statements(loop.body))
        own = [each for each, home in self.homes.items() if home == id(loop) and each in self.variables]
        scratch = [Scratch(self.variables[each], ()) for each in own]
        for each in own:
            del self.variables[each]
        del self.active[entry]
        return For(index, start, stop, integer(step), (*scratch, *body))

    def _parallel_range(self, loop: Any) -> tuple[Node, Node, int]:
        step = 1 if loop.step is None else loop.step.constant_result
        if not isinstance(step, int) or step == 0:
            raise Left("its step is no constant")
        start = integer(0) if loop.start is None else self._bound(loop.start)
        return start, self._bound(loop.stop), step

    def _bound(self, node: Any, outermost: bool = False) -> Node:
        plain = unwrapped(node)
        if outermost and isinstance(plain, UtilNodes.LetRefNode):
            # Evaluated before the outermost loop begins, whatever it is.
            operand = Operand(f"n{len(self.source.integers)}", INT64.array(0))
            self.source.integers[operand] = plain
            return operand
        try:
            found = self.affine(node)
        except Unread:
            raise Left("a bound is no plain integer") from None
        if any(isinstance(each, Operand) and each in self.source.numbers for each in postorder((found,))):
            raise Left("a bound is no plain integer")
        return found

    def _block(self, statements: Sequence[Any]) -> tuple[Node, ...]:
        found: list[Node] = []
        for k, statement in enumerate(statements):
            if isinstance(statement, Nodes.IfStatNode) and _continues(statement):
                condition = _denied(self._condition(statement.if_clauses[0].condition, True))
                found.append(Guard(condition, self._under(condition, statements[k + 1 :])))
                return tuple(found)
            found.extend(self._statement(statement))
        return tuple(found)

    def _statement(self, statement: Any) -> Iterator[Node]:
        if isinstance(statement, UtilNodes.LetNode) and is_loop(statement.body):
            statement = statement.body
        if is_loop(statement):
            yield self._loop(statement)
        elif isinstance(statement, Nodes.IfStatNode):
            yield from self._if(statement.if_clauses, statement.else_clause)
        elif isinstance(statement, Nodes.SingleAssignmentNode | Nodes.InPlaceAssignmentNode):
            try:
                yield self._assignment(statement)
            except Unread as unread:
                raise Left(f"it has {unread}") from None
        else:
            raise Left(f"it has a {_called(statement)}")

    def _if(self, clauses: Sequence[Any], otherwise: Any) -> Iterator[Node]:
        clause, rest = clauses[0], clauses[1:]
        has_else = bool(rest) or otherwise is not None
        condition = self._condition(clause.condition, has_else)
        then = self._under(condition, _statements(clause.body))
        if rest:
            self._enter(_denied(condition))
            other = tuple(self._if(rest, otherwise))
            self._leave()
        else:
            other = self._under(_denied(condition), _statements(otherwise)) if otherwise is not None else ()
        if then or other:
            yield Guard(condition, then, other)

    def _under(self, condition: Node, statements: Sequence[Any]) -> tuple[Node, ...]:
        self._enter(condition)
        made = self._block(statements)
        self._leave()
        return made

    def _enter(self, condition: Node) -> None:
        self.reader.path.append(condition)
        self.depth += 1

    def _leave(self) -> None:
        self.reader.path.pop()
        self.depth -= 1

    def _assignment(self, statement: Any) -> Node:
        lhs, rhs = statement.lhs, statement.rhs
        in_place = isinstance(statement, Nodes.InPlaceAssignmentNode)
        if lhs.is_name and not in_place:
            t = element_of(lhs.type)
            if t is None or lhs.entry not in self.homes:
                raise Left(f"it assigns {lhs.name}, which is no local C number")
            value = self.reader.stored(rhs, t)
            return Store(self._variable(lhs, t), (), value)
        place = self.element(lhs, "it assigns what is no element of a memoryview")
        to = place.type.element
        if in_place:
            if statement.operator in ("//", "%", "**") or (statement.operator == "/" and to.kind != "f"):
                raise Left(f"it assigns by {statement.operator}=")
            if statement.operator == "/":
                value = self._divided(place, self.reader.read(rhs), to)
            else:
                node = ExprNodes.binop_node(statement.pos, statement.operator, lhs, rhs)
                node.type = lhs.type
                value = self.reader.stored(node, to)
        else:
            value = self.reader.stored(rhs, to)
        return Store(place.operand, place.subscripts, value)

    @staticmethod
    def _divided(place: Load, by: Node, to: ElementType) -> Node:
        """C's `/=` of reals."""
        t = common(to, by.type.element)
        a, b = (value if value.type.element is t else Cast(value, t) for value in (place, by))
        made = Apply(operator("true_divide"), (a, b))
        return made if t is to else Cast(made, to)

    def _variable(self, node: Any, t: ElementType) -> Operand:
        """What stands for a number that iterations set."""
        entry = node.entry
        known = self.variables.get(entry)
        if known is None:
            if self.homes[entry] is None:
                known = self.number(node, t)
                self.source.carried.add(known)
            else:
                known = Operand(f"t{self.made}", t.array(0))
                self.made += 1
            self.variables[entry] = known
        return known

    # -- what expressions are made of --

    def name(self, node: Any) -> Node:
        """A name as a value."""
        entry = node.entry
        t = element_of(node.type)
        if entry in self.active:
            return self._counted(self.active[entry])
        if entry in self.homes:
            assert t is not None
            return Load(self._variable(node, t), ())
        if any(entry is each.entry for each in self.ranges):
            raise Unread(f"the value of {node.name}, the variable of a loop that has ended")
        if t is None or node.is_temp or not readable(entry):
            raise Unread(f"{node.name}, which is no C number")
        return self.number(node, t)

    def constant(self, pos: Any, value: Constant) -> Operand:
        """A constant as a number that no law is known of."""
        node = ExprNodes.RawCNameExprNode(pos, _REALS[value.type.element], repr(float(value.value)))
        return self.number(node, value.type.element)

    def number(self, node: Any, t: ElementType) -> Operand:
        text = str(node.result())
        if text not in self.texts:
            self.texts[text] = Operand(f"s{len(self.source.numbers)}", t.array(0))
            self.source.numbers[self.texts[text]] = node
        return self.texts[text]

    def _counted(self, own: Range) -> Node:
        """The value of a loop's variable, as an element of an array that holds those."""
        for operand, each in self.source.counters.items():
            if each is own:
                return Load(operand, (own.index,))
        if any(isinstance(n, Index) for n in postorder((own.start, own.stop))):
            raise Unread(f"the value of {own.name}, whose bounds change")
        t = element_of(own.c_type)
        assert t is not None
        operand = Operand(f"x{len(self.source.counters)}", t.array(1))
        self.source.counters[operand] = own
        return Load(operand, (own.index,))

    def element(self, node: Any, otherwise: str) -> Load:
        """An element of a memoryview or buffer."""
        memory = memory_of(node)
        if memory is None:
            raise Left(otherwise)
        if isinstance(memory, str):
            raise Unread(memory)
        operand = next((known for known, each in self.source.memories.items() if each.text == memory.text), None)
        if operand is None:
            operand = Operand(f"m{len(self.source.memories)}", memory.element.array(memory.rank))
            self.source.memories[operand] = memory
        subscripts = []
        for index in node.indices:
            try:
                subscripts.append(self.affine(index))
            except Unread:
                raise Unread("a subscript that is no sum of loop variables and numbers") from None
        return Load(operand, tuple(subscripts))

    def affine(self, node: Any) -> Node:
        """A C integer as a sum of loop variables and numbers that the nest does not change; raises Unread."""
        node = unwrapped(node)
        if isinstance(node, UtilNodes.LetRefNode):
            return self.affine(node.expression)
        if isinstance(node, ExprNodes.IntNode) and isinstance(node.constant_result, int):
            return integer(node.constant_result)
        if node.type is None or not node.type.is_int:
            raise Unread("a subscript")
        if node.has_constant_result() and isinstance(node.constant_result, int):
            return integer(node.constant_result)
        if node.is_name:
            if node.entry in self.active:
                return self.active[node.entry].index
            taken = node.entry in self.homes or any(node.entry is each.entry for each in self.ranges)
            if taken or not readable(node.entry) or node.is_temp:
                raise Unread("a subscript")
            return self._integer(str(node.result()))
        if isinstance(node, ExprNodes.UnaryMinusNode):
            return minus(integer(0), self.affine(node.operand))
        if isinstance(node, ExprNodes.AddNode | ExprNodes.SubNode | ExprNodes.MulNode) and not node.overflow_check:
            one, other = self.affine(node.operand1), self.affine(node.operand2)
            if node.operator == "*":
                if not isinstance(one, Constant) and not isinstance(other, Constant):
                    if any(isinstance(n, Index) for n in postorder((one, other))):
                        raise Unread("a subscript")
                    return self._integer(f"({self._c(one)} * {self._c(other)})")
                return times(other, one) if isinstance(one, Constant) else times(one, other)
            return plus(one, other) if node.operator == "+" else minus(one, other)
        text = loop_text(node)
        if text is not None:
            return self._integer(text)
        raise Unread("a subscript")

    def _c(self, value: Node) -> str:
        from .geometry import text_of

        return text_of(value, {operand: f"(ptrdiff_t){text}" for operand, text in self.source.integers.items()})

    def _integer(self, text: str) -> Operand:
        for operand, known in self.source.integers.items():
            if known == text:
                return operand
        operand = Operand(f"n{len(self.source.integers)}", INT64.array(0))
        self.source.integers[operand] = text
        return operand

    # -- conditions --

    def _condition(self, node: Any, has_else: bool) -> Node:
        """The condition of a branch: of indices where it says where a loop begins and ends, of elements else."""
        try:
            found = self._affine_condition(node)
        except Unread:
            found = None
        if found is not None and _is_range(found, has_else):
            return found
        try:
            return self.reader.condition(node)
        except Unread as unread:
            raise Left(f"it has {unread}") from None

    def _affine_condition(self, node: Any) -> Node | None:
        node = _bare(node)
        if isinstance(node, ExprNodes.BoolBinopNode) and node.operator in ("and", "or"):
            one, other = (self._affine_condition(_operand(each)) for each in (node.operand1, node.operand2))
            if one is None or other is None:
                return None
            return Apply(_AND if node.operator == "and" else _OR, (one, other))
        if isinstance(node, ExprNodes.NotNode):
            inner = self._affine_condition(node.operand)
            return None if inner is None else _denied(inner)
        if not isinstance(node, ExprNodes.PrimaryCmpNode) or node.cascade is not None:
            return None
        if node.operator not in _COMPARED or not (node.operand1.type.is_int and node.operand2.type.is_int):
            return None
        signed = [element_of(each.type) for each in (node.operand1, node.operand2)]
        if any(t is None or (t.kind == "u" and t.bits < 64) for t in signed):
            return None
        one, other = self.affine(node.operand1), self.affine(node.operand2)
        return Apply(operator(_COMPARED[node.operator]), (one, other))

    # -- errors --

    def _checks(self) -> None:
        """What tells whether the loops raise an error: they run as written then, and raise it."""
        if not self.reader.checks:
            return
        stored = self.source.store_names()
        condition: Node | None = None
        for check in self.reader.checks:
            read = {n.name for n in postorder((check.condition,)) if isinstance(n, Operand)}
            if not read.isdisjoint(stored):
                raise Left(f"it may raise {check.message!r}, by a number that it stores")
            if _bare_index(check.condition):
                raise Left(f"it may raise {check.message!r}, under a condition on a loop variable")
            condition = check.condition if condition is None else Apply(_OR, (condition, check.condition))
        assert condition is not None
        found = Operand("found", element("bool").array(0))
        moving = {n for n in postorder((condition,)) if isinstance(n, Index)}
        value = Apply(_OR, (Load(found, ()), condition))
        made: Node = Store(found, (), value)
        for each in reversed(self.ranges):
            if each.index in moving:
                outer = {n for n in postorder((each.start, each.stop)) if isinstance(n, Index)}
                moving |= outer
                made = For(each.index, each.start, each.stop, integer(each.step), (made,))
        if isinstance(made, Store):
            first = self.ranges[0]
            made = For(first.index, first.start, first.stop, integer(first.step), (made,))
        assert isinstance(made, For)
        self.source.raising, self.source.found = made, found


class _ElementReader(Reader):
    """Reads the expressions of a nest's body: elements of memoryviews, numbers, and those that iterations set."""

    def __init__(self, directives: Any, nest: NestReader):
        super().__init__(directives)
        self.nest = nest

    @property
    def path(self) -> list[Node]:
        """The conditions under which what is read is computed."""
        return self._path

    def condition(self, node: Any) -> Node:
        """A truth value."""
        return self._condition(node)

    def read(self, node: Any) -> Node:
        made = self._read(node)
        match made:
            case Apply(op, (x, Constant() as exponent)) if op is _POWER and made.type.element.kind == "f":
                if abs(exponent.value) in _EXPONENTS and not self.directives.get(directives.FAST):
                    # Products round otherwise than C's pow, which the loops call where they run as they were written.
                    return Apply(op, (x, self.nest.constant(node.pos, exponent)))
        return made

    def _read(self, node: Any) -> Node:
        if isinstance(node, ExprNodes.BufferIndexNode):
            return self.nest.element(node, "it reads what is no element of a memoryview")
        if isinstance(node, ExprNodes.NameNode):
            return self.nest.name(node)
        if isinstance(node, UtilNodes.EvalWithTempExprNode):
            return self.read(node.subexpression)
        if isinstance(node, UtilNodes.ResultRefNode) and node.expression is not None:
            # What it stands for has no effect, or is not read.
            return self.read(node.expression)
        if isinstance(node, ExprNodes.BoolBinopNode):
            one, other = (self._condition(_operand(each)) for each in (node.operand1, node.operand2))
            made: Node = Apply(_AND if node.operator == "and" else _OR, (one, other))
            return made
        if isinstance(node, ExprNodes.AttributeNode):
            t = element_of(node.type)
            if t is None or node.is_temp:
                raise Unread(f"{node.attribute}, which is no C number")
            if not plain_attribute(node):
                raise Unread(f"the attribute {node.attribute}")
            return self.nest.number(node, t)
        return super().read(node)


# -- nodes of Cython's --


def is_loop(node: Any) -> bool:
    return isinstance(node, Nodes.ForFromStatNode | Nodes.ParallelRangeNode)


def _statements(body: Any) -> list[Any]:
    """The statements of a body, nested lists of them taken apart."""
    if isinstance(body, Nodes.StatListNode):
        return [each for stat in body.stats for each in _statements(stat)]
    if isinstance(body, Nodes.PassStatNode):
        return []
    return [body]


def _continues(statement: Any) -> bool:
    """Whether a statement is `if condition: continue`."""
    if len(statement.if_clauses) != 1 or statement.else_clause is not None:
        return False
    body = _statements(statement.if_clauses[0].body)
    return len(body) == 1 and isinstance(body[0], Nodes.ContinueStatNode)


def _bare(node: Any) -> Any:
    while isinstance(node, ExprNodes.CoerceToBooleanNode | ExprNodes.CoerceToTempNode):
        node = node.arg
    return node


def _operand(node: Any) -> Any:
    """An operand of `and` and `or`, without what makes it their value."""
    while isinstance(node, ExprNodes.BoolBinopResultNode | ExprNodes.ProxyNode):
        node = node.arg
    return node


def unwrapped(node: Any) -> Any:
    while (
        isinstance(node, ExprNodes.CoerceToTempNode | ExprNodes.CoercionNode)
        and node.type.is_int
        and node.arg.type.is_int
    ):
        node = node.arg
    return node


def local(entry: Any) -> bool:
    """Whether a variable is one of the function's own C variables."""
    return bool((entry.is_local or entry.is_arg) and not entry.in_closure and not entry.from_closure)


def _number(entry: Any) -> bool:
    return local(entry) and element_of(entry.type) is not None


def _is_scratch(store: Store) -> bool:
    return not store.operand.type.rank and store.operand.name.startswith("t")


def _called(statement: Any) -> str:
    names = {"ExprStatNode": "call", "WhileStatNode": "while loop", "BreakStatNode": "break"}
    return names.get(type(statement).__name__, type(statement).__name__)


def _loops_in(node: Any) -> Iterator[Any]:
    if is_loop(node):
        yield node
    for child in children(node):
        yield from _loops_in(child)


def children(node: Any) -> Iterator[Any]:
    for attribute in node.child_attrs or ():
        child = getattr(node, attribute, None)
        for each in child if isinstance(child, list) else [child]:
            if isinstance(each, Nodes.Node):
                yield each


def _uses(node: Any, path: tuple[int, ...]) -> Iterator[tuple[Any, tuple[int, ...]]]:
    """Every variable that a nest names, with the loops around it by identity."""
    if isinstance(node, ExprNodes.NameNode):
        yield node.entry, path
    if is_loop(node):
        for child in children(node):
            yield from _uses(child, (*path, id(node)) if child is node.body else path)
        return
    for child in children(node):
        yield from _uses(child, path)


def _common(paths: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    shared = paths[0]
    for path in paths[1:]:
        count = 0
        while count < min(len(shared), len(path)) and shared[count] == path[count]:
            count += 1
        shared = shared[:count]
    return shared


def _bare_index(value: Node) -> bool:
    """Whether an index is read as a number."""
    return not isinstance(value, Load) and (isinstance(value, Index) or any(map(_bare_index, value.args)))


# -- conditions --


def _denied(condition: Node) -> Node:
    """Its contrary, without `not` where there is an operator for it."""
    match condition:
        case Apply(op, (x,)) if op is _NOT:
            return x
        case Apply(op, (x, y)) if op in _CONTRARY and x.type.element is INT64:
            return Apply(_CONTRARY[op], (x, y))
        case Apply(op, (x, y)) if op is _OR and _comparisons(condition):
            return Apply(_AND, (_denied(x), _denied(y)))
    return Apply(_NOT, (condition,))


_CONTRARY = {
    operator(one): operator(other)
    for one, other in (
        *(("less", "greater_equal"), ("greater_equal", "less")),
        *(("greater", "less_equal"), ("less_equal", "greater")),
    )
}


def _comparisons(condition: Node) -> bool:
    match condition:
        case Apply(op, (x, y)) if op in (_AND, _OR):
            return _comparisons(x) and _comparisons(y)
        case Apply(op, (x, _)):
            return op in _CONTRARY and x.type.element is INT64
    return False


def _is_range(condition: Node, has_else: bool) -> bool:
    """Whether a condition of indices holds, and where there is an else is false, for a range of each."""
    match condition:
        case Apply(op, (x, y)) if op is _AND:
            return not has_else and _is_range(x, False) and _is_range(y, False)
        case Apply(op, (x, y)) if op in _CONTRARY or (op is operator("equal") and not has_else):
            return _one_index(x, y)
    return False


def _one_index(x: Node, y: Node) -> bool:
    from arrayexpr._core.affine import linear

    form = linear(minus(x, y))
    moving = [] if form is None else [count for symbol, count in form.items() if isinstance(symbol, Index) and count]
    return form is not None and (not moving or (len(moving) == 1 and abs(moving[0]) == 1))
