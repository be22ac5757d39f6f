"""Loops over elements in typed Numba IR to programs: nests of `for ... in range(...)` around loads and stores.

A nest is walked in the order of its text, and each variable has the value that it has there: an expression of elements
that were loaded, or a sum of indices. Whatever is not known to be that, and to raise nothing, makes the nest stay.
"""

from __future__ import annotations

import operator as python
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numba
from numba.core import ir
from numba.core.analysis import compute_cfg_from_blocks

from arrayexpr._core.affine import integer, minus, plus, times
from arrayexpr._core.nodes import (
    Apply,
    Constant,
    Extent,
    For,
    Guard,
    Index,
    Load,
    Node,
    Operand,
    Scratch,
    Store,
    postorder,
    substitute,
)
from arrayexpr._core.ops import operator
from arrayexpr._core.program import Program
from arrayexpr._core.types import INT64

from . import scalars
from .kinds import is_array, map_type, types
from .operators import convert
from .reader import Refused, effect

__all__ = ["Nest", "Nests", "Refused"]

_COMPARED: Final = {
    python.lt: operator("less"), python.le: operator("less_equal"), python.gt: operator("greater"),
    python.ge: operator("greater_equal"), python.eq: operator("equal"), python.ne: operator("not_equal"),
}  # fmt: skip
_AFFINE: Final = {python.add: plus, python.sub: minus, python.mul: times}
_IN_PLACE: Final = {python.iadd: python.add, python.isub: python.sub, python.imul: python.mul}
#: How names of temporaries begin.
_TEMPORARY: Final = "arrayexpr_t"
_RANGES: Final = (range, numba.prange)
_INDICES, _LENGTH, _SUM = "arrayexpr_i", "arrayexpr_n", "arrayexpr_s"
#: What a variable may be added up by, and the types that there is code for.
_SUMS: Final = {python.add: "sum", python.mul: "prod"}
_SUMMED: Final = (types.int64, types.float32, types.float64, types.complex64, types.complex128)


@dataclass(frozen=True)
class Value:
    """What a scalar variable is: a node of its Numba type, and where it is int64 or a test of such, the same in our own
    operators, which dependences are found of."""

    node: Node
    index: Node | None = None


@dataclass(frozen=True)
class Part:
    """An array, or what a subscript of fewer indices than axes shows of it."""

    operand: Operand
    subscripts: tuple[Node, ...]


@dataclass(frozen=True)
class Numbers:
    """A tuple, such as an index or a shape."""

    items: tuple[Any, ...]


@dataclass(frozen=True)
class Range:
    """What a loop goes through."""

    start: Node
    stop: Node
    step: Node


@dataclass(frozen=True)
class Gone:
    """What has no value that is known here, and why; `last` is what a loop left it at."""

    why: str
    last: Value | None = None


@dataclass(eq=False)
class Sum:
    """A variable that each iteration adds to or multiplies, and that nothing else in a nest reads.

    Elements of `operand`, over `loops` in their order, are what is added; `first` is the operand that it starts as.
    """

    operation: str
    kind: Any
    operand: Operand
    first: Operand
    loops: tuple[Index, ...]


@dataclass(eq=False)
class _Adding:
    """A sum as it is read. `names` are the variables that it goes through; `version` counts what was added in the text
    so far; `carried` are those that an iteration has from the one before it."""

    names: set[str]
    update: Any
    first: str | None = None
    version: int = 0
    carried: list[str] = field(default_factory=list)
    made: Sum | None = None


@dataclass(frozen=True)
class _Running:
    """What a variable is that holds a sum, as it was when so much had been added."""

    adding: _Adding
    version: int


@dataclass(repr=False)
class Nest:
    """A nest of loops, and the program that it is.

    `entry` is the block that jumps to it, `header` its first, `exit` where it ends. `variables` has for each operand
    its variable and Numba type; not for `indices`, of which element k is k, where an index is a value, nor for
    `lengths` that are values, nor for those of `sums`. `last` has what variables hold after it, where someone reads
    them there, if no loop of it is over nothing: sums of indices, which stand for their last values. `added` has those
    that hold a sum then. `loops` are all of it, `back` the jumps to the beginnings of those.
    """

    entry: int
    header: int
    exit: int
    loc: Any
    program: Program
    variables: dict[str, tuple[ir.Var, Any]]
    loops: list[For]
    last: dict[str, Node] = field(default_factory=dict)
    indices: Operand | None = None
    lengths: dict[str, Node] = field(default_factory=dict)
    sums: list[Sum] = field(default_factory=list)
    back: list[ir.Jump] = field(default_factory=list)
    added: dict[str, Sum] = field(default_factory=dict)

    @property
    def arrays(self) -> set[Operand]:
        """The arrays of the function that it touches."""
        return {each for each in self.program.operands if each.type.rank and each.name in self.variables}

    def __repr__(self) -> str:
        return f"<{' '.join(loop.index.name for loop in self.loops)}>"


class Nests:
    """The loops of a function, outermost ones first. `blocks` are its own, or those of a part of it; `before` others
    that define what those read."""

    def __init__(self, state: Any, blocks: dict[int, Any] | None = None, before: Iterable[Any] = ()):
        self.state = state
        self.blocks: dict[int, Any] = state.func_ir.blocks if blocks is None else blocks
        self.cfg = compute_cfg_from_blocks(self.blocks)
        self.loops = {loop.header: loop for loop in self.cfg.loops().values()}
        self.definitions: dict[str, list[Any]] = {}
        self.reads: dict[str, set[int]] = {}
        if blocks is None and not self.loops:
            return
        for label, block in [*self.blocks.items(), *((-1, block) for block in before)]:
            for inst in block.body:
                if isinstance(inst, ir.Assign):
                    self.definitions.setdefault(inst.target.name, []).append(inst.value)
                for var in inst.list_vars():
                    if not isinstance(inst, ir.Assign) or var is not inst.target:
                        self.reads.setdefault(var.name, set()).add(label)

    def outermost(self) -> list[Any]:
        return [loop for loop in self.loops.values() if not any(self.inside(loop, other) for other in self.all())]

    def within(self, loop: Any) -> list[Any]:
        """The loops that stand in a loop and in no other one in it."""
        inner = [other for other in self.all() if self.inside(other, loop)]
        return [one for one in inner if not any(self.inside(one, other) for other in inner)]

    def all(self) -> list[Any]:
        return sorted(self.loops.values(), key=lambda loop: loop.header)

    @staticmethod
    def inside(loop: Any, other: Any) -> bool:
        return loop.header != other.header and loop.header in other.body

    def where(self, loop: Any) -> Any:
        return self.blocks[loop.header].loc

    def nest(self, loop: Any) -> Nest:
        """The nest that begins with a loop. Raises Refused."""
        return _Reader(self, loop.body).nest(loop)

    def single(self, name: str) -> Any:
        """What a variable is where it is assigned once in the function, else None."""
        found = self.definitions.get(name, ())
        return found[0] if len(found) == 1 else None

    def source(self, var: ir.Var) -> ir.Var:
        """The variable that one is a copy of."""
        while isinstance(value := self.single(var.name), ir.Var):
            var = value
        return var


class _Reader:
    """Reads one nest, of the blocks in `body`."""

    def __init__(self, nests: Nests, body: Iterable[int]):
        self.nests, self.body = nests, set(body)
        self.error_model = nests.state.flags.error_model
        self.state = nests.state
        self.typemap, self.calltypes = self.state.typemap, self.state.calltypes
        self.env: dict[str, Any] = {}
        self.operands: dict[str, Operand] = {}
        self.variables: dict[str, tuple[ir.Var, Any]] = {}
        self.found: list[For] = []
        self.back: list[ir.Jump] = []
        self.shown: set[str] = set()
        self.temporaries = 0
        self.origins: dict[Node, tuple[Any, ...]] = {}
        self.assigned = {
            inst.target.name for label in self.body for inst in nests.blocks[label].body if isinstance(inst, ir.Assign)
        }
        self.indices: Operand | None = None
        self.lengths: dict[str, Node] = {}
        self.open: list[tuple[Index, int]] = []
        #: How many tests the statement that is read stands under.
        self.tests = 0
        self.adding = self.sums()

    def sums(self) -> dict[str, _Adding]:
        """By variable, the sum that it holds: of variables that are copied to one another, one addition is all that
        makes anything else of them, and all that reads them."""
        classes = _Classes()
        made: dict[str, list[Any]] = {}
        read: dict[str, list[Any]] = {}
        for label in self.body:
            for inst in self.nests.blocks[label].body:
                if isinstance(inst, ir.Assign) and isinstance(inst.value, ir.Var):
                    if self.typemap[inst.target.name] == self.typemap[inst.value.name]:
                        classes.join(inst.target.name, inst.value.name)
                        continue
                if isinstance(inst, ir.Assign):
                    made.setdefault(inst.target.name, []).append(inst)
                for var in inst.list_vars():
                    if not isinstance(inst, ir.Assign) or var is not inst.target:
                        read.setdefault(var.name, []).append(inst)
        found: dict[str, _Adding] = {}
        for inst in [inst for group in made.values() for inst in group if _adds(inst.value)]:
            names = classes.of(inst.target.name)
            makers = [each for name in names for each in made.get(name, ())]
            readers = [each for name in names for each in read.get(name, ())]
            if inst.value.lhs.name in names and makers == [inst] and readers == [inst]:
                found.update(dict.fromkeys(names & self.assigned, _Adding(names, inst)))
        return found

    def nest(self, loop: Any) -> Nest:
        nests = self.nests
        entries = {getattr(entry, "label", entry) for entry in loop.entries}
        if len(entries) != 1:
            raise Refused("it is entered from several places")
        (entry,) = entries
        if not isinstance(nests.blocks[entry].terminator, ir.Jump):
            raise Refused("it is entered under a condition")
        node, exit_ = self.loop(loop)
        outside = {name for name in self.assigned if any(label not in loop.body for label in nests.reads.get(name, ()))}
        added = {name: self.total(self.env[name]) for name in sorted(outside) if self.is_current(self.env.get(name))}
        last = {name: self.last(name) for name in sorted(outside - added.keys())}
        made = self.made(node, entry, loop.header, exit_, nests.where(loop), last)
        made.added = added
        return made

    @staticmethod
    def is_current(value: Any) -> bool:
        """Whether a value is a sum with all that was added to it."""
        return isinstance(value, _Running) and value.version == value.adding.version

    @staticmethod
    def total(value: Any) -> Sum:
        if value.adding.made is None:
            raise Refused("a variable in it stays as it is")
        found: Sum = value.adding.made
        return found

    def made(self, node: Node, entry: int, header: int, exit_: int, loc: Any, last: dict[str, Node]) -> Nest:
        sums = [each.made for each in dict.fromkeys(self.adding.values()) if each.made is not None]
        operands = [*self.operands.values(), *(each.operand for each in sums)]
        operands += [Operand(name, INT64.array(0)) for name in self.lengths]
        if self.indices is not None:
            operands.append(self.indices)
        program = Program(self.state.func_id.func_name, operands, [node], origins=self.origins)
        return Nest(
            entry, header, exit_, loc, program, self.variables, self.found, last, self.indices, self.lengths, sums,
            self.back,
        )  # fmt: skip

    def last(self, name: str) -> Node:
        value = self.env.get(name)
        if isinstance(value, Gone):
            value = value.last
        if not isinstance(value, Value) or value.index is None or value.index.type is not INT64.array(0):
            raise Refused(f"{_shown(name)} is used after it")
        return value.index

    # -- control flow --

    def loop(self, loop: Any) -> tuple[For, int]:
        """A loop, and the block that follows it."""
        nests = self.nests
        body = list(nests.blocks[loop.header].body)
        shape = [type(inst) for inst in body]
        if len(body) < 4 or shape[-1] is not ir.Branch or len(loop.exits) != 1:
            left = [nests.blocks[label].terminator.loc.line for label in sorted(loop.body) if self.leaves(label, loop)]
            where = f": it is left in line {', '.join(map(str, left))}" if left else ""
            raise Refused(f"it is no loop over a range that runs to its end{where}")
        iterates: Any = None
        names: set[str] = set()
        chosen = None
        for inst in body[:-1]:
            value = inst.value if isinstance(inst, ir.Assign) else None
            if isinstance(value, ir.Expr) and value.op == "iternext":
                iterates, pair = value.value, inst.target.name
            elif isinstance(value, ir.Expr) and value.op == "pair_first" and iterates and value.value.name == pair:
                names.add(inst.target.name)
            elif isinstance(value, ir.Expr) and value.op == "pair_second" and iterates and value.value.name == pair:
                chosen = inst.target.name
            elif isinstance(value, ir.Var) and value.name in names:
                names.add(inst.target.name)
            else:
                raise Refused("it is no loop over a range")
        branch = body[-1]
        if iterates is None or branch.cond.name != chosen or branch.truebr not in loop.body:
            raise Refused("it is no loop over a range")
        over = self.range_of(iterates)
        ends = [nests.blocks[label].terminator for label in sorted(loop.body)]
        self.back.extend(end for end in ends if isinstance(end, ir.Jump) and end.target == loop.header)
        name = self.named(branch.truebr, names)
        index = Index(name)
        if self.typemap[next(iter(names))] is not types.int64:
            raise Refused(f"its index is {self.typemap[next(iter(names))]}: expected int64")
        before = {adding: len(adding.carried) for adding in set(self.adding.values())}
        self.carried(loop)
        kept = dict(self.env)
        for each in names:
            self.env[each] = Value(index, index)
        place = len(self.found)
        # Bounds of loops within come after.
        self.found.append(None)  # type: ignore[arg-type]
        assert isinstance(over.step, Constant)
        self.open.append((index, over.step.value))
        statements = self.region(branch.truebr, loop.header)
        self.open.pop()
        self.carried_on(before)
        made = For(index, over.start, over.stop, over.step, tuple(statements))
        self.found[place] = made
        self.leave(kept)
        return made, branch.falsebr

    def leaves(self, label: int, loop: Any) -> bool:
        """Whether a loop may be left in a block that is not its first."""
        return label != loop.header and any(to not in loop.body for to, _ in self.nests.cfg.successors(label))

    def named(self, label: int, names: set[str]) -> str:
        """What the text calls an index."""
        shown = "i"
        for inst in self.nests.blocks[label].body:
            if isinstance(inst, ir.Assign) and isinstance(inst.value, ir.Var) and inst.value.name in names:
                if not inst.target.name.startswith("$"):
                    shown = inst.target.unversioned_name or inst.target.name
                    break
        name = shown if shown.isidentifier() and shown not in self.shown else f"{shown}{len(self.shown)}"
        self.shown.add(name)
        return name

    def leave(self, before: Mapping[str, Any]) -> None:
        """After a loop what it assigns is gone, but for who asks what it was left at."""
        for name, value in self.env.items():
            if isinstance(value, _Running):
                continue
            if before.get(name) is not value and name in self.assigned and not isinstance(value, Gone):
                why = f"{_shown(name)} is what the last iteration of a loop left"
                self.env[name] = Gone(why, value if isinstance(value, Value) else None)

    def region(self, label: int, stop: int) -> list[Node]:
        """The statements from a block on, up to another one."""
        found: list[Node] = []
        while label != stop:
            if label not in self.body:
                raise Refused("it is left before its end")
            if label in self.nests.loops:
                found.extend(self.settled())
                node, label = self.loop(self.nests.loops[label])
                found.append(node)
                continue
            block = self.nests.blocks[label]
            for inst in block.body[:-1]:
                try:
                    found.extend(self.statement(inst))
                except Refused as why:
                    where = "" if " line " in str(why) else f", in line {inst.loc.line}"
                    raise Refused(f"{why}{where}") from None
            match block.terminator:
                case ir.Jump() as jump:
                    label = jump.target
                case ir.Branch() as branch:
                    join = self.join(label)
                    if self.stores(label, join):
                        found.extend(self.settled())
                    found.extend(self.branch(branch, join))
                    label = join
                case _:
                    raise Refused("it is left before its end")
        return found

    def join(self, label: int) -> int:
        """Where the ways that part in a block meet again."""
        after = self.nests.cfg.post_dominators()
        candidates = [each for each in after[label] if each != label]
        if not candidates:
            raise Refused("it is left before its end")
        return int(max(candidates, key=lambda each: len(after[each])))

    def stores(self, label: int, join: int) -> bool:
        """Whether there is a store or a loop on the ways that part in a block, before they meet again."""
        seen: set[int] = set()
        waiting = [each for each, _ in self.nests.cfg.successors(label)]
        while waiting:
            label = waiting.pop()
            if label == join or label in seen:
                continue
            seen.add(label)
            body = self.nests.blocks[label].body
            if label in self.nests.loops or any(isinstance(inst, (ir.SetItem, ir.StaticSetItem)) for inst in body):
                return True
            waiting.extend(each for each, _ in self.nests.cfg.successors(label))
        return False

    def branch(self, branch: Any, join: int) -> list[Node]:
        condition = self.scalar(branch.cond)
        test = condition.index if condition.index is not None else condition.node
        if test.type.element.kind != "b":
            raise Refused(f"it tests a value of type {self.typemap[branch.cond.name]}")
        before, first = dict(self.env), self.temporaries
        self.tests += 1
        then = self.region(branch.truebr, join)
        after, self.env = self.env, dict(before)
        otherwise = self.region(branch.falsebr, join)
        self.tests -= 1
        for name in {*after, *self.env}:
            one, other = after.get(name), self.env.get(name)
            if one is not other and not (isinstance(one, _Running) and one == other):
                self.env[name] = self.either(condition, one, other, name, first)
        if not then and not otherwise:
            return []
        if condition.index is None and not _stores_alike(then, otherwise):
            raise Refused(f"it stores only where a value says so, in line {branch.loc.line}")
        return [Guard(self.valued(test) if condition.index is None else test, tuple(then), tuple(otherwise))]

    def either(self, condition: Value, one: Any, other: Any, name: str, first: int) -> Any:
        """What a variable is after two ways on which it became one thing or another; `first` is the number of the first
        temporary that is of one of them alone."""
        kind = self.typemap[name]
        if not isinstance(one, Value) or not isinstance(other, Value) or map_type(kind) is None:
            return Gone(f"{_shown(name)} is one thing or another")
        inside = {f"{_TEMPORARY}{number}" for number in range(first, self.temporaries)}
        if any(isinstance(n, Operand) and n.name in inside for n in postorder((one.node, other.node))):
            return Gone(f"{_shown(name)} is an element that was assigned since")
        return Value(Apply(scalars.select(types.unliteral(kind)), (condition.node, one.node, other.node)))

    # -- statements --

    def statement(self, inst: Any) -> list[Node]:
        match inst:
            case ir.Assign() if inst.target.name in self.adding and inst is self.adding[inst.target.name].update:
                return [self.add(inst, self.adding[inst.target.name])]
            case ir.Assign():
                self.env[inst.target.name] = self.value(inst)
                return []
            case ir.SetItem() | ir.StaticSetItem():
                return self.store(inst)
        raise Refused(f"{effect(inst)}, in line {inst.loc.line}")

    def store(self, inst: Any) -> list[Node]:
        part = self.part(inst.target)
        index = inst.index_var if isinstance(inst, ir.StaticSetItem) else inst.index
        if index is None:
            raise Refused(f"it assigns to a part of {_shown(inst.target.name)}")
        subscripts = (*part.subscripts, *self.subscripts(index, part))
        if len(subscripts) != part.operand.type.rank:
            raise Refused(f"it assigns to a row of {_shown(inst.target.name)}")
        kind = self.typemap[inst.target.name]
        if not kind.mutable:
            raise Refused(f"{_shown(inst.target.name)} is read-only")
        value = self.scalar(inst.value).node
        node = self.valued(self.as_type(value, self.typemap[inst.value.name], kind.dtype))
        made = Store(part.operand, subscripts, node)
        self.origins[made] = (inst,)
        return [*self.settled(part.operand), made]

    def valued(self, node: Node) -> Node:
        """A value in which indices that are no subscripts are elements of `indices`, and lengths are scalars."""

        def leaf(each: Node) -> Node | None:
            match each:
                case Load():
                    return each
                case Index():
                    if self.indices is None:
                        self.indices = Operand(_INDICES, INT64.array(1))
                    return Load(self.indices, (each,))
                case Extent():
                    known = [name for name, node in self.lengths.items() if node is each]
                    name = known[0] if known else f"{_LENGTH}{len(self.lengths)}"
                    self.lengths[name] = each
                    return Operand(name, INT64.array(0))
            return None

        return substitute((node,), leaf)[0]

    def add(self, inst: Any, adding: _Adding) -> Node:
        """What is added to a sum, as an element of its own."""
        value, kind = inst.value, self.typemap[inst.target.name]
        sig, name = self.calltypes[value], _shown(value.lhs.name)
        before = self.of(value.lhs)
        if not self.is_current(before) or adding.made is not None or adding.first is None:
            raise Refused(f"{name} goes from one iteration to the next, which keeps them in order")
        if self.tests:
            raise Refused(f"it adds to {name} only where a test says so")
        if any(step < 0 for _, step in self.open):
            raise Refused(f"it adds to {name} in a loop that goes down")
        if kind not in _SUMMED or tuple(sig.args) != (kind, kind) or sig.return_type != kind:
            raise Refused(f"it adds {sig.args[-1]} to {name}, which is {kind}")
        element = map_type(kind)
        assert element is not None
        node = self.valued(self.as_type(self.scalar(value.rhs).node, self.typemap[value.rhs.name], kind))
        number = sum(each.made is not None for each in set(self.adding.values()))
        operand = Operand(f"{_SUM}{number}", element.array(len(self.open)))
        first = self.operand(ir.Var(inst.target.scope, adding.first, inst.loc), kind)
        loops = tuple(index for index, _ in self.open)
        adding.made = Sum(_SUMS[_function(value)], kind, operand, first, loops)
        adding.version += 1
        self.env[inst.target.name] = _Running(adding, adding.version)
        made = Store(operand, loops, node)
        self.origins[made] = (inst,)
        return made

    def carried(self, loop: Any) -> None:
        """In a loop within, what it assigns is not what it was before."""
        for label in loop.body:
            for inst in self.nests.blocks[label].body:
                if isinstance(inst, ir.Assign) and inst.target.name in self.env:
                    name, value = inst.target.name, self.env[inst.target.name]
                    if self.is_current(value):
                        value.adding.carried.append(name)
                    else:
                        self.env[name] = _carried(name)

    def carried_on(self, before: Mapping[_Adding, int]) -> None:
        """At the end of a loop: what an iteration took for a sum has to hold all of it there. `before` is how many
        variables there were of each sum before the loop."""
        for adding, count in before.items():
            for name in adding.carried[count:]:
                if not self.is_current(self.env.get(name)):
                    raise Refused(f"{_shown(name)} goes from one iteration to the next, which keeps them in order")

    def settled(self, stored: Operand | None = None) -> list[Node]:
        """Values of elements are kept in temporaries: those that a store may change, or all."""
        found: list[Node] = []
        held: dict[Node, Value] = {}
        for name, value in list(self.env.items()):
            if not isinstance(value, Value) or value.index is not None:
                continue
            loads = [node for node in postorder((value.node,)) if isinstance(node, Load) and node.subscripts]
            if not loads or (stored is not None and all(node.operand is not stored for node in loads)):
                continue
            if value.node not in held:
                local = Operand(f"{_TEMPORARY}{self.temporaries}", value.node.type.element.array(0))
                self.temporaries += 1
                found += [Scratch(local, ()), Store(local, (), self.valued(value.node))]
                held[value.node] = Value(Load(local, ()))
            self.env[name] = held[value.node]
        return found

    def as_type(self, node: Node, given: Any, wanted: Any) -> Node:
        given = types.unliteral(given)
        if given == wanted:
            return node
        if map_type(given) is None or map_type(wanted) is None:
            raise Refused(f"it converts {given} to {wanted}")
        return Apply(convert(given, wanted), (node,))

    # -- values --

    def value(self, inst: Any) -> Any:
        value, kind = inst.value, self.typemap[inst.target.name]
        match value:
            case ir.Const() | ir.Global() | ir.FreeVar():
                return self.constant(value.value, kind)
            case ir.Var():
                found = self.of(value)
                if isinstance(found, Value) and self.typemap[value.name] != kind:
                    return self.typed(found, self.typemap[value.name], kind)
                return found
            case ir.Expr():
                return self.expression(value, inst, kind)
        raise Refused(f"line {inst.loc.line} has {value}")

    def typed(self, value: Value, given: Any, wanted: Any) -> Value:
        same = types.unliteral(given) == types.unliteral(wanted)
        # The index of a parfor is a uint64, and never so large that it is another number as an int64.
        same |= isinstance(value.index, Index) and {given, wanted} == {types.int64, types.uint64}
        index = value.index if same else None
        return Value(self.as_type(value.node, given, types.unliteral(wanted)), index)

    def constant(self, value: Any, kind: Any) -> Any:
        kind = types.unliteral(kind)
        element = map_type(kind)
        if element is None:
            return value
        made = element.dtype.type(value)
        if made != value and made == made:
            raise Refused(f"the constant {value!r} as {kind}")
        node = Constant(made.item(), element)
        return Value(node, node if element is INT64 else None)

    def expression(self, value: Any, inst: Any, kind: Any) -> Any:
        match value.op:
            case "build_tuple":
                return Numbers(tuple(map(self.of, value.items)))
            case "getitem" | "static_getitem" | "typed_getitem":
                return self.load(value, inst)
            case "getattr":
                return self.attribute(value)
            case "exhaust_iter":
                return self.of(value.value)
            case "cast":
                return self.typed(self.scalar(value.value), self.typemap[value.value.name], kind)
            case "getiter":
                return self.of(value.value)
            case "binop" | "inplace_binop" | "unary":
                return self.operator(value, kind, inst)
            case "call":
                return self.call(value, kind, inst)
        raise Refused(f"line {inst.loc.line} has {value.op}")

    def operator(self, value: Any, kind: Any, inst: Any) -> Any:
        names = [value.value] if value.op == "unary" else [value.lhs, value.rhs]
        function = value.immutable_fn if value.op == "inplace_binop" else value.fn
        given = tuple(self.typemap[var.name] for var in names)
        sig = self.calltypes[value]
        if any(map_type(each) is None for each in (*given, *sig.args, sig.return_type, kind)):
            raise Refused(f"line {inst.loc.line} has {function.__name__} of {', '.join(map(str, given))}")
        args = [self.scalar(var) for var in names]
        static = (ir.UNDEFINED,) * len(names)
        if value.op != "unary":
            static = value.static_lhs, value.static_rhs
        known = static[-1]
        if known is ir.UNDEFINED and isinstance(args[-1].node, Constant):
            known = args[-1].node.value
        if not scalars.harmless(function, given, self.error_model, known):
            raise Refused(f"{function.__name__} in line {inst.loc.line} may raise")
        plain = tuple(map(types.unliteral, given))
        node = Apply(
            scalars.operation(function, plain, static, sig, types.unliteral(kind)), tuple(arg.node for arg in args)
        )
        return Value(node, self.affine(function, args, plain, types.unliteral(kind)))

    def affine(self, function: Any, args: Sequence[Value], given: Sequence[Any], kind: Any) -> Node | None:
        """The same in our own operators, of int64."""
        parts = [arg.index for arg in args]
        if any(part is None for part in parts) or any(each != types.int64 for each in given):
            return self.logical(function, args)
        if kind == types.int64 and function in _AFFINE and len(parts) == 2:
            return _AFFINE[function](*parts)  # type: ignore[arg-type]
        if kind == types.int64 and function is python.neg:
            return minus(integer(0), parts[0])  # type: ignore[arg-type]
        if function in _COMPARED:
            return Apply(_COMPARED[function], tuple(parts))  # type: ignore[arg-type]
        return None

    @staticmethod
    def logical(function: Any, args: Sequence[Value]) -> Node | None:
        if function is python.not_ and args[0].index is not None and args[0].index.type.element.kind == "b":
            return Apply(operator("logical_not"), (args[0].index,))
        return None

    def call(self, value: Any, kind: Any, inst: Any) -> Any:
        host = self.typemap[value.func.name]
        function = getattr(host, "typing_key", None)
        if isinstance(host, types.NumberClass):
            function = host.key[0] if isinstance(host.key, tuple) else host.key
            function = map_type(types.unliteral(self.calltypes[value].return_type))
            function = None if function is None else function.dtype.type
        if value.kws or value.vararg is not None:
            raise Refused(f"a call with keywords or * in line {inst.loc.line}")
        if any(function is each for each in _RANGES):
            return self.range(value)
        if function is len and isinstance(self.typemap[value.args[0].name], types.Array):
            part = self.part(value.args[0])
            return _number(Extent(part.operand, len(part.subscripts)))
        sig = self.calltypes[value]
        given = tuple(self.typemap[var.name] for var in value.args)
        if function is bool and types.unliteral(given[0]) == types.boolean:
            return self.scalar(value.args[0])
        name = getattr(function, "__name__", None) or str(host)
        if isinstance(host, types.Dispatcher):
            name = host.dispatcher.__name__
        if function is None or not scalars.callable_(function):
            raise Refused(f"a call of {name} in line {inst.loc.line}")
        if any(map_type(each) is None for each in (*given, *sig.args, sig.return_type)) or len(sig.args) != len(given):
            raise Refused(f"a call of {name} in line {inst.loc.line}")
        args = tuple(self.scalar(var).node for var in value.args)
        node = Apply(scalars.call(function, host, tuple(map(types.unliteral, given)), sig), args)
        return self.typed(Value(node), sig.return_type, kind)

    def range(self, value: Any) -> Range:
        given = [self.scalar(var).index for var in value.args]
        kinds = {types.unliteral(self.typemap[var.name]) for var in value.args}
        if kinds != {types.int64} or any(each is None for each in given):
            raise Refused(f"a range of {', '.join(sorted(map(str, kinds)))}")
        start, stop, step = integer(0), given[0], integer(1)
        if len(given) > 1:
            start, stop = given[:2]  # type: ignore[assignment]
        if len(given) > 2:
            step = given[2]  # type: ignore[assignment]
        if not isinstance(step, Constant) or not step.value:
            raise Refused("a range whose step is not known")
        assert start is not None and stop is not None
        return Range(start, stop, step)

    def range_of(self, var: ir.Var) -> Range:
        found = self.known(var)
        if not isinstance(found, Range):
            raise Refused("it is no loop over a range")
        return found

    def attribute(self, value: Any) -> Any:
        if isinstance(self.typemap[value.value.name], types.Array) and value.attr in ("shape", "ndim", "size"):
            part = self.part(value.value)
            rank = part.operand.type.rank
            lengths = tuple(_number(Extent(part.operand, axis)) for axis in range(len(part.subscripts), rank))
            if value.attr == "shape":
                return Numbers(lengths)
            if value.attr == "ndim":
                return _number(integer(len(lengths)))
        if isinstance(self.typemap[value.value.name], types.Module):
            return getattr(self.typemap[value.value.name].pymod, value.attr)
        raise Refused(f"it reads .{value.attr} of {_shown(value.value.name)}")

    def load(self, value: Any, inst: Any) -> Any:
        base = self.known(value.value)
        index = value.index_var if value.op == "static_getitem" else value.index
        if isinstance(base, Numbers):
            place = value.index if value.op == "static_getitem" else None
            if not isinstance(place, int) or not -len(base.items) <= place < len(base.items):
                raise Refused(f"an index in line {inst.loc.line}")
            return base.items[place]
        if not isinstance(base, Part) or index is None:
            raise Refused(f"an index in line {inst.loc.line}")
        subscripts = (*base.subscripts, *self.subscripts(index, base))
        if len(subscripts) < base.operand.type.rank:
            return Part(base.operand, subscripts)
        return Value(Load(base.operand, subscripts))

    def subscripts(self, index: ir.Var, part: Part) -> tuple[Node, ...]:
        found = self.known(index)
        items = found.items if isinstance(found, Numbers) else (found,)
        if len(part.subscripts) + len(items) > part.operand.type.rank:
            raise Refused(f"an index of {_shown(index.name)}")
        made: list[Node] = []
        for axis, item in enumerate(items, len(part.subscripts)):
            if isinstance(item, Gone):
                raise Refused(item.why)
            if not isinstance(item, Value) or item.index is None or item.index.type is not INT64.array(0):
                raise Refused(f"a subscript of {part.operand.name} is no sum of indices")
            if isinstance(item.index, Constant) and item.index.value < 0:
                made.append(plus(Extent(part.operand, axis), item.index))
            else:
                made.append(item.index)
        return tuple(made)

    # -- variables --

    def of(self, var: ir.Var) -> Any:
        """What a variable is here."""
        name = var.name
        if name not in self.env:
            if name in self.adding and self.adding[name].first in (None, name):
                adding = self.adding[name]
                adding.first = name
                adding.carried.append(name)
                return _Running(adding, adding.version)
            if name in self.assigned:
                # Not kept: where it is assigned later on, it was not read.
                return _carried(name)
            self.env[name] = self.outside(var)
        return self.env[name]

    def known(self, var: ir.Var) -> Any:
        """What a variable is whose value counts. Raises Refused."""
        found = self.of(var)
        if isinstance(found, Gone):
            raise Refused(found.why)
        return found

    def outside(self, var: ir.Var) -> Any:
        """What a variable is that was there before the nest."""
        var = self.nests.source(var)
        kind = self.typemap[var.name]
        definition = self.nests.single(var.name)
        if isinstance(definition, (ir.Const, ir.Global, ir.FreeVar)):
            return self.constant(definition.value, kind)
        if isinstance(kind, types.Array):
            if not is_array(kind):
                raise Refused(f"{_shown(var.name)} is {kind}")
            return Part(self.operand(var, kind), ())
        if isinstance(definition, ir.Expr):
            match definition.op:
                case "call" if any(
                    getattr(self.typemap[definition.func.name], "typing_key", None) is r for r in _RANGES
                ):
                    return self.range(definition)
                case "getiter" | "exhaust_iter":
                    return self.of(definition.value)
                case "getattr" if isinstance(self.typemap[definition.value.name], types.Array):
                    if definition.attr == "shape" and self.lasting(definition.value):
                        return self.attribute(definition)
                case "static_getitem" if isinstance(definition.index, int):
                    if isinstance(self.typemap[definition.value.name], types.BaseTuple):
                        items = self.of(definition.value)
                        if isinstance(items, Numbers):
                            return items.items[definition.index]
                case "call" if getattr(self.typemap[definition.func.name], "typing_key", None) is len:
                    if isinstance(self.typemap[definition.args[0].name], types.Array) and self.lasting(
                        definition.args[0]
                    ):
                        return _number(Extent(self.part(definition.args[0]).operand, 0))
        if map_type(kind) is None:
            return var
        node = self.operand(var, types.unliteral(kind))
        return Value(node, node if node.type.element is INT64 else None)

    def lasting(self, var: ir.Var) -> bool:
        """Whether an array's variable is the same one all through the function."""
        return len(self.nests.definitions.get(self.nests.source(var).name, ())) == 1

    def operand(self, var: ir.Var, kind: Any) -> Operand:
        if var.name not in self.operands:
            element = map_type(kind.dtype if isinstance(kind, types.Array) else kind)
            assert element is not None
            shown = _shown(var.name)
            taken = {operand.name for operand in self.operands.values()}
            name = shown if shown.isidentifier() and shown not in taken else f"v{len(taken)}"
            made = Operand(name, element.array(getattr(kind, "ndim", 0)))
            self.operands[var.name] = made
            self.variables[name] = var, kind
        return self.operands[var.name]

    def part(self, var: ir.Var) -> Part:
        found = self.known(var)
        if not isinstance(found, Part):
            raise Refused(f"{_shown(var.name)} is no array of numbers")
        return found

    def scalar(self, var: ir.Var) -> Value:
        found = self.known(var)
        if isinstance(found, _Running):
            raise Refused(f"{_shown(var.name)} goes from one iteration to the next, which keeps them in order")
        if not isinstance(found, Value):
            raise Refused(f"{_shown(var.name)} is no number")
        return found


class _Classes:
    """Names that are joined, by any of them."""

    def __init__(self) -> None:
        self.found: dict[str, set[str]] = {}

    def of(self, name: str) -> set[str]:
        return self.found.setdefault(name, {name})

    def join(self, one: str, other: str) -> None:
        whole = self.of(one) | self.of(other)
        self.found.update(dict.fromkeys(whole, whole))


def _function(value: Any) -> Any:
    return value.immutable_fn if value.op == "inplace_binop" else value.fn


def _adds(value: Any) -> bool:
    """Whether an expression may be what is added to a variable."""
    return isinstance(value, ir.Expr) and value.op in ("binop", "inplace_binop") and _function(value) in _SUMS


def _carried(name: str) -> Gone:
    return Gone(f"{_shown(name)} goes from one iteration to the next, which keeps them in order")


def _number(node: Node) -> Value:
    return Value(node, node)


def _shown(name: str) -> str:
    """What the text calls a variable."""
    return name.split(".")[0].lstrip("$") or name


def _stores_alike(then: Iterable[Node], otherwise: Iterable[Node]) -> bool:
    """Whether two branches store to the same elements: nothing is stored then that was not."""
    places = [
        [(node.operand, node.subscripts) for node in branch if isinstance(node, Store) and node.subscripts]
        for branch in (then, otherwise)
    ]
    plain = all(isinstance(node, Store) for node in (*then, *otherwise))
    return plain and len(places[0]) == len(places[1]) == 1 and places[0] == places[1]


def step_of(loop: For) -> int:
    """The step of a loop that was read: a constant."""
    assert isinstance(loop.step, Constant)
    return int(loop.step.value)


def last_values(nodes: Sequence[Node], loops: Iterable[For]) -> list[Node]:
    """Integer expressions with each index at its last value, for loops that go through at least one."""
    found = list(nodes)
    for loop in reversed(list(loops)):
        step = step_of(loop)
        distance = minus(loop.stop, loop.start) if step > 0 else minus(loop.start, loop.stop)
        steps = minus(distance, integer(1))
        if abs(step) != 1:
            steps = Apply(operator("floor_divide"), (steps, integer(abs(step))))
        found = substitute(found, {loop.index: plus(loop.start, times(steps, integer(step)))}.get)
    return found
