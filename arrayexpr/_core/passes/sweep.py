"""Assignments that reduce become loops that sweep over their elements."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..affine import integer, least, minus, plus
from ..errors import UnsupportedError
from ..infer import cost
from ..nodes import (
    EFFECTS,
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    For,
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
    Slice,
    Store,
    Stride,
    View,
    postorder,
    substitute,
)
from ..ops import Operator, operator
from ..primitives import EXTREME_AT, reduces
from ..program import Program
from ..types import FALLING, INT64, UNIT, ElementType
from .elements import (
    are_places,
    as_assign,
    base_of,
    element,
    extents_along,
    extents_of,
    is_elementwise,
    longest,
    reads_otherwise,
    subscripts_of,
)
from .joint import Path, equal_lengths, joined, places
from .nests import (
    Names,
    add_scratch_lengths,
    byte_strides,
    enclosed,
    names_lasting,
    scratch_lengths,
    scratch_type,
    untaken,
    with_body,
)
from .neutral import neutral
from .requirements import of_scratch, requirements

#: Elements of a strip of accumulators: what a sweep down the columns keeps in the first cache. Measured on
#: sum((a - b)**2, axis=0), 4000 x 4000 doubles, eight rows at a time, in ms: strips of 512, 1024, 2048 and 4096
#: elements 4.89, 4.60, 4.62 and 4.43; on var(a, axis=0) 3.16, 2.64, 2.45 and 2.33.
STRIP = 4096
#: The same, and how many rows are packed at a time, where operands are: 128 KB of doubles a packed operand, for the
#: second cache. Measured on sum(a + b.T, axis=0), 4000 x 4000 doubles, in ms: 256 elements of 32 rows 10.6, of 64 rows
#: 9.3 and of 128 rows 10.8; 128 elements of 64 rows 9.1 and of 128 rows 8.5; 64 elements of 128 rows 8.9.
PACKED_STRIP, PACKED_ROWS = 128, 128
#: Rows after which the mean of a strip and the squared distances from it are brought up to date. Measured on
#: var(a, axis=0), 4000 x 4000 doubles, in ms: 16 rows 2.45, 32 rows 2.33.
ROWS = 32
#: From this many operations on a value that two sweeps need is stored by the first: a store and a load cost
#: about as much as four additions.
COSTLY = 4.0

_ABSOLUTE = operator("absolute")
_EQUAL, _LESS, _WHERE = operator("equal"), operator("less"), operator("where")
_ADD, _SUBTRACT, _MULTIPLY = operator("add"), operator("subtract"), operator("multiply")
_DIVIDE, _SQUARE, _MINIMUM = operator("true_divide"), operator("square"), operator("minimum")
#: The largest finite number of so many bits.
_LARGEST = {32: (2 - 2.0**-23) * 2.0**127, 64: (2 - 2.0**-52) * 2.0**1023}
#: Of no elements these have no value.
_EXTREMES = ("minimum", "maximum", "fmin", "fmax", *EXTREME_AT)
_NOT_EQUAL, _OR, _AND, _NOT = (
    operator(f"{name}") for name in ("not_equal", "logical_or", "logical_and", "logical_not")
)
#: Of what finds a place, the comparison under which an element does not come before the one found so far.
_NOT_BEFORE = {"argmin": operator("greater_equal"), "argmax": operator("less_equal")}


def sweep(
    program: Program, *, together: bool = False, packed: Collection[str] = (), strip: int | None = None
) -> Program:
    """Give every assignment that reduces its loops: a sweep for each reduction that waits for another one.

        r[...] = sum(a * b, axis=1)
        →  for i0 in serial(0, r.shape[0], 1):
               s: float64 = scratch
               s[()] = 0.0
               for i1 in reduce(0, a.shape[1], 1):
                   s[()] = s[()] + a[i0, i1] * b[i0, i1]
               r[i0] = s[()]

    Where the last axis is kept, the accumulators are a strip along it, and rows are added to the strip.
    Reductions that cannot share the sweeps of their statement, such as those over other axes, are assigned to
    scratch first, and so is a value that reads what is assigned through another view. Statements without
    reductions, or with one that has no fold, are left as they are. `together` says that all operands have one
    shape, if with strides of 0, and that no statement reads what another one assigns: they share their sweeps.
    `packed` names operands that are contiguous along the reduced axis where the last one is kept: some rows of a
    strip of them are copied to scratch, with the axes in order, before they are added. `strip` is the length of
    strips, where the caller knows better.

    Keeps: s == sum of what the loop adds, in any grouping.
    Requires: operands overlap only where they are the same view; shapes fit: `Program.requires` says so in
    numbers, but for statements that are swept together.
    """
    taken = Names(names_lasting(program))
    new: dict[Node, Node] = {}
    if together:
        assigns = [statement for statement in program.statements if isinstance(statement, Assign)]
        axes = _axes(assigns) if len(assigns) == len(program.statements) else None
        if axes is None:
            return program
        sweeps = _Sweeps(program, assigns, axes, taken, alike=True, packed=packed, strip=strip)
        nest = sweeps.statements()
        statements = [*sweeps.rows, *nest]
        new.update(dict.fromkeys(program.statements, statements[-1]))
        return program.rewritten(statements, new)
    place = places(program)
    requires = dict.fromkeys(program.requires)
    lengths = scratch_lengths(enclosed(program.statements))

    def require(conditions: Iterable[Node], made: Sequence[Node], path: Path) -> None:
        add_scratch_lengths(lengths, made)
        requires.update(dict.fromkeys(map(path.required, of_scratch(conditions, lengths))))

    def block(statements: Sequence[Node], path: Path) -> list[Node]:
        result: list[Node] = []
        for group in joined(list(map(as_assign, statements)), path.facts, place):
            if len(group) > 1 and not any(isinstance(s, Assign) and base_of(s.target) in program.locals for s in group):
                found: dict[Node, None] = {}
                swept = _swept_together(program, group, taken, found)
                if swept is not None:
                    result.extend(substitute(swept, equal_lengths(group, place).get))
                    require(found, swept, path)
                    continue
            for statement in group:
                if isinstance(statement, Guard):
                    then, otherwise = path.branches(statement.condition)
                    branches = block(statement.then, then), block(statement.otherwise, otherwise)
                    result.append(Guard(statement.condition, *map(tuple, branches)))
                elif type(statement) is For:
                    result.append(with_body(statement, block(statement.body, path.within(statement))))
                elif not isinstance(statement, Assign) or base_of(statement.target) in program.locals:
                    # A local that has no scratch is assigned as a whole.
                    result.append(statement)
                elif _reduces(statement.value):
                    found = {}
                    swept = _apart(program, statement, taken, found)
                    require(found, swept, path)
                    new[statement] = swept[-1]
                    result.extend(swept)
                else:
                    result.append(statement)
        return result

    return program.rewritten(block(program.statements, Path()), new).replace(requires=tuple(requires))


def _swept_together(
    program: Program, group: Sequence[Node], taken: Names, requires: dict[Node, None]
) -> list[Node] | None:
    """The sweeps that statements of one region share; None where they have no reductions, or none that share them."""
    assigns = [statement for statement in group if isinstance(statement, Assign)]
    axes = _axes(assigns)
    if axes is None or any(reads_otherwise(statement) for statement in assigns):
        return None
    try:
        sweeps = _Sweeps(program, assigns, axes, Names(taken), alike=False)
        made = sweeps.statements()
        across = sweeps.turns()
        if across is None:
            taken.update(sweeps.taken.own)
            requires.update(dict.fromkeys(sweeps.requirements()))
            return [*sweeps.rows, *made]
        taken.update(row.operand.name for row in sweeps.rows)
        turned = _Sweeps(program, assigns, axes, Names(taken), alike=False, turned=True)
        other = turned.statements()
    except (_Apart, UnsupportedError):
        return None
    # Names within one version are free in the other, but for the scratch of both.
    taken.update(sweeps.taken.own | turned.taken.own)
    requires.update(dict.fromkeys(sweeps.requirements()))
    return [*sweeps.rows, *turned.rows, Guard(across, tuple(other), tuple(made))]


class _Apart(Exception):
    """A statement has reductions that do not share its loops."""


def _reduces(value: Node) -> bool:
    """Whether a value has reductions, all of which have a fold, and nothing that keeps an order of its own."""
    nodes = postorder((value,))
    found = [node for node in nodes if isinstance(node, Reduce)]
    if any(isinstance(n, (Opaque, *EFFECTS)) or (isinstance(n, View) and not are_places(n.args[1:])) for n in nodes):
        return False
    return bool(found) and all(map(_has_sweep, found))


def _has_sweep(node: Reduce) -> bool:
    return reduces(node.op, node.arg.type.element, node.type.element, len(node.axes))


def _apart(program: Program, statement: Assign, taken: Names, requires: dict[Node, None]) -> list[Node]:
    """The sweeps of one statement; what does not share them is assigned to scratch before."""
    if reads_otherwise(statement):
        whole = _scratch_of(statement.target.type.element, extents_of(statement.target), taken)
        first = _apart(program, Assign(whole.operand, statement.value), taken, requires)
        return [whole, *first, Assign(statement.target, whole.operand)]
    shared = _swept_together(program, (statement,), taken, requires)
    if shared is not None:
        return shared
    if isinstance(statement.value, Reduce) and not any(
        isinstance(n, Reduce) for n in postorder((statement.value.arg,))
    ):
        return [statement]
    nodes = postorder((statement.value,))
    holding: set[Node] = set()
    inner: dict[Node, Node] = {}
    before: list[Node] = []
    for node in nodes:
        if isinstance(node, Reduce) and not any(child in holding for child in node.args):
            scratch = _scratch_of(node.type.element, _lengths(node), taken)
            alone = Reduce(node.op, node.arg, node.axes)
            before += [scratch, *_apart(program, Assign(scratch.operand, alone), taken, requires)]
            inner[node] = scratch.operand
            if node.keepdims:
                places = range(node.arg.type.rank)
                inner[node] = View(scratch.operand, tuple(None if k in node.axes else Slice() for k in places))
        if isinstance(node, Reduce) or any(child in holding for child in node.args):
            holding.add(node)
    value = substitute((statement.value,), inner.get)[0]
    rest = Assign(statement.target, value)
    return [*before, *(_apart(program, rest, taken, requires) if _reduces(value) else [rest])]


def _scratch_of(t: ElementType, extents: tuple[Node, ...], taken: Names) -> Scratch:
    name = untaken("t", taken)
    taken.add(name)
    return Scratch(Operand(name, scratch_type(t, extents)), extents)


def _lengths(node: Reduce) -> tuple[Node, ...]:
    """The length of each axis that a reduction keeps."""
    return tuple(longest(extents_along(node.arg, k)) for k in range(node.arg.type.rank) if k not in node.axes)


def _axes(group: Sequence[Assign]) -> tuple[int, tuple[int, ...]] | None:
    """The rank and the axes that all reductions of statements share; None where they share none, or are none."""
    found: set[tuple[int, tuple[int, ...]]] = set()
    for statement in group:
        for node in postorder((statement.value,)):
            if isinstance(node, Reduce):
                if not _has_sweep(node):
                    return None
                found.add((node.arg.type.rank, tuple(sorted(node.axes))))
            elif not isinstance(node, View) and not is_elementwise(node):
                return None
            elif isinstance(node, View) and not isinstance(base_of(node), Operand):
                if node.subscripts is not None and any(isinstance(item, int | Node) for item in node.subscripts):
                    return None
    return found.pop() if len(found) == 1 else None


@dataclass(frozen=True)
class _Moments:
    """The mean of a value along the reduced axis, and the squared distances from it, of the rows so far.

    Of the next few rows the sum of their distances from that mean, and of their squares. All is of the distance of
    the value from its first element: the sums of values far from 0 would lose digits.
    """

    value: Node
    first: Operand
    mean: Operand
    squares: Operand
    few: Operand
    few_squares: Operand


@dataclass(frozen=True)
class _Place:
    """The place of the first extreme of a value along the reduced axis, beside the extreme itself."""

    op: Operator
    extreme: Operand
    value: Node


@dataclass
class _Stage:
    """One sweep: the accumulators that it fills, each with its operator and the value that it takes in.

    `stored` are values that it keeps in rows for later sweeps, `kept` what it needs that does not vary along it,
    `places` are places of extremes that it finds with them, `moments` what it finds of means, and `joined` the
    accumulators that need no sweep but earlier moments.
    """

    accumulators: dict[Operand, tuple[Operator, Node]] = field(default_factory=dict)
    places: dict[Operand, _Place] = field(default_factory=dict)
    stored: dict[Node, Load] = field(default_factory=dict)
    kept: dict[Node, Load] = field(default_factory=dict)
    moments: list[_Moments] = field(default_factory=list)
    joined: dict[Operand, Node] = field(default_factory=dict)


#: An assignment, the indices of what it assigns, and the element there.
_Final = tuple[Assign, tuple[Node, ...], Node]


class _Sweeps:
    """The loops for statements whose reductions are all over `reduced` of `rank` axes."""

    def __init__(
        self,
        program: Program,
        group: Sequence[Assign],
        axes: tuple[int, tuple[int, ...]],
        taken: Names,
        *,
        alike: bool,
        turned: bool = False,
        packed: Collection[str] = (),
        strip: int | None = None,
    ) -> None:
        self.program = program
        self.group = group
        self.rank, self.reduced = axes
        self.kept = tuple(k for k in range(self.rank) if k not in self.reduced)
        self.taken = taken
        self.indices = tuple(Index(untaken(f"i{k}", taken)) for k in range(self.rank))
        self.alike = alike
        if not alike and any(each.target.type.rank not in (self.rank, len(self.kept)) for each in group):
            raise _Apart
        self.extents = [self._extent(k) for k in range(self.rank)]
        order = self._order(turned)
        inner = order[-1]
        #: The axis along which accumulators lie in a strip; None where the innermost axis is reduced.
        self.along = inner if inner not in self.reduced else None
        self.outer = [k for k in order if k not in self.reduced and k != self.along]
        self.inner = [k for k in order if k in self.reduced]
        self.first = Index(untaken(f"i{self.along}_0", taken)) if self.along is not None else None
        self.packed = frozenset(packed) if self.along is not None and len(self.inner) == 1 else frozenset()
        self.strip = strip or (PACKED_STRIP if self.packed else STRIP)
        self.stages: list[_Stage] = []
        #: What reductions read.
        self.read: list[Load] = []
        #: What the sweep that assigns needs.
        self.last = _Stage()
        self.places: dict[Reduce, tuple[int, Load]] = {}
        self.rows: list[Scratch] = []

    def _extent(self, axis: int) -> Node:
        """The length of an axis: what is assigned along it, or of what is reduced along it the one not stretched.

        Where all are `alike` none is shorter than another one.
        """
        if not self.alike and axis not in self.reduced:
            lengths = extents_of(self.group[0].target)
            return lengths[axis if len(lengths) == self.rank else self.kept.index(axis)]
        reduces = [n for s in self.group for n in postorder((s.value,)) if isinstance(n, Reduce)]
        known = [extents_along(node.arg, axis) for node in reduces]
        if self.alike:
            return next((extent for extents in known for extent in extents), integer(1))
        # What is of length 1 by its own numbers is stretched where another one is longer, and so no common length.
        known = [[extent for extent in extents if extent is not integer(1)] for extents in known]
        if not any(known):
            return integer(1)
        if not set.intersection(*map(set, known)):
            raise _Apart
        return longest(list(dict.fromkeys(extent for extents in known for extent in extents)))

    def requirements(self) -> list[Node]:
        """That operands have the lengths that the loops run over; no extreme is taken of nothing."""

        def swept(node: Reduce, wanted: tuple[Node, ...]) -> tuple[Node, ...]:
            return tuple(self.extents)

        found = dict.fromkeys(each for statement in self.group for each in requirements(statement, swept))
        for node in postorder([statement.value for statement in self.group]):
            if isinstance(node, Reduce):
                for axis in self.reduced:
                    own = longest(extents_along(node.arg, axis))
                    if own is not self.extents[axis]:
                        found[Apply(_EQUAL, (own, self.extents[axis]))] = None
                    if node.op.name in _EXTREMES:
                        found[Apply(_LESS, (integer(0), self.extents[axis]))] = None
        return list(found)

    def _order(self, turned: bool) -> list[int]:
        """The axes, outermost first: by the bytes that they move where layouts tell, else as they are, or turned."""
        weights = [0] * self.rank
        for statement in self.group:
            for node in postorder((statement.value,)):
                if isinstance(node, Operand) and node.type.rank == self.rank and node.name in self.program.layouts:
                    for k, stride in enumerate(byte_strides(node, self.program)):
                        weights[k] += abs(stride or 0)
        order = sorted(range(self.rank), key=lambda k: -weights[k])
        return order[::-1] if turned else order

    def turns(self) -> Node | None:
        """The test that the first axis moves less far than the last, by the first operand that has both.

        None where layouts or types tell, or no operand does.
        """
        if self.rank < 2 or any(operand.name in self.program.layouts for operand in self.program.declared):
            return None
        first, last = self.indices[0], self.indices[-1]
        for access in self.read:
            places = [[k for k, s in enumerate(access.subscripts) if i in postorder((s,))] for i in (first, last)]
            if [len(found) for found in places] != [1, 1]:
                continue
            if UNIT in access.operand.type.layout or FALLING in access.operand.type.layout:
                return None
            near, far = (Apply(_ABSOLUTE, (Stride(access.operand, found[0]),)) for found in places)
            return Apply(_LESS, (near, far))
        return None

    # -- what each sweep computes --

    def statements(self) -> list[Node]:
        """The one nest; `rows` is then the scratch that lasts, to be declared before."""
        finals: list[_Final] = []
        for statement in self.group:
            target = statement.target
            full = target.type.rank == self.rank
            at: tuple[Node, ...] = self.indices if full else tuple(self.indices[k] for k in self.kept)
            finals.append((statement, at, element(statement.value, at, None, self._reduction)))
        self._join_moments(finals)
        finals = self._keep_invariant(self._store_costly(finals))
        body: list[Node] = []
        for stage in self.stages:
            body.extend(self._stage(stage))
        body.extend(self._finals(finals))
        nest: Sequence[Node] = body
        if self.along is not None:
            assert self.first is not None
            nest = (Loop(self.first, integer(0), self.extents[self.along], integer(self.strip), "block", tuple(nest)),)
        for k in reversed(self.outer):
            nest = (Loop(self.indices[k], integer(0), self.extents[k], integer(1), "serial", tuple(nest)),)
        return list(nest)

    def _reduction(self, node: Node, at: tuple[Node, ...]) -> Node:
        """The element of a reduction: a load of its accumulator, filled by a stage of its own or a shared one."""
        assert isinstance(node, Reduce)
        wanted = [at[k] for k in self.kept] if node.keepdims else list(at)
        if wanted != [self.indices[k] for k in self.kept]:
            raise _Apart
        if node not in self.places and node.op.name in EXTREME_AT:
            self._place(node, at)
        elif node not in self.places:
            value = element(node.arg, self.indices, None, self._reduction)
            self.read += [n for n in postorder((value,)) if isinstance(n, Load)]
            waits = [s for s, place in self.places.values() if place in postorder((value,))]
            number = max(waits, default=-1) + 1
            while len(self.stages) <= number:
                self.stages.append(_Stage())
            accumulator = self._scratch("s", node.type.element, 0 if self.along is None else 1)
            self.places[node] = number, Load(accumulator, self._lane())
            if value.type.element is not node.type.element:
                # As a truth value, of whatever type.
                value = Cast(value, node.type.element)
            self.stages[number].accumulators[accumulator] = node.op, value
        return self.places[node][1]

    def _place(self, node: Reduce, at: tuple[Node, ...]) -> None:
        """Find where the first extreme is: not a number is one, and of equal ones the first counts.

        Along the reduced axis a sweep finds the extreme, and the next one the least index of those like it; down the
        columns one sweep finds both.
        """
        value = element(node.arg, self.indices, None, self._reduction)
        index = self.indices[self.reduced[0]]
        place = self._scratch("s", INT64, 0 if self.along is None else 1)
        if self.along is not None:
            self.read += [n for n in postorder((value,)) if isinstance(n, Load)]
            waits = [s for s, known in self.places.values() if known in postorder((value,))]
            number = max(waits, default=-1) + 1
            extreme = self._scratch("best", value.type.element, 1)
        else:
            found = self._reduction(Reduce(operator(EXTREME_AT[node.op.name]), node.arg, node.axes, node.keepdims), at)
            known = Reduce(operator(EXTREME_AT[node.op.name]), node.arg, node.axes, node.keepdims)
            number = self.places[known][0] + 1
            like: Node = Apply(_EQUAL, (value, found))
            if value.type.element.kind == "f":
                like = Apply(_OR, (like, Apply(_NOT_EQUAL, (value, value))))
        while len(self.stages) <= number:
            self.stages.append(_Stage())
        if self.along is not None:
            self.stages[number].places[place] = _Place(node.op, extreme, value)
        else:
            last = Constant((1 << 63) - 1, INT64)
            self.stages[number].accumulators[place] = _MINIMUM, Apply(_WHERE, (like, index, last))
        self.places[node] = number, Load(place, self._lane())

    def _lane(self) -> tuple[Node, ...]:
        if self.along is None or self.first is None:
            return ()
        return (minus(self.indices[self.along], self.first),)

    def _scratch(self, name: str, t: ElementType, rank: int) -> Operand:
        name = untaken(name, self.taken)
        self.taken.add(name)
        return Operand(name, t.array(rank, order="C") if rank else t)

    def _store_costly(self, finals: list[_Final]) -> list[_Final]:
        """Have the first sweep that computes a costly value keep it in a row for the others.

        Down the columns a row is a whole strip of them, more than the cache holds: there it is computed again.
        """
        if self.along is not None or not self.stages:
            return finals
        moving = {self.indices[k] for k in self.reduced}
        seen: dict[Node, int] = {}
        shared: dict[Node, int] = {}
        values = [[value for _, value in stage.accumulators.values()] for stage in self.stages]
        values.append([value for _, _, value in finals])
        for number, roots in enumerate(values):
            for node in postorder(roots):
                if isinstance(node, Apply | Call) and _cost(node) >= COSTLY and seen.setdefault(node, number) != number:
                    shared.setdefault(node, seen[node])
        # Of shared values within one another the outermost is enough, where all that share it are its users.
        loads: dict[Node, Load] = {}
        for node, number in shared.items():
            if not any(index in moving for index in postorder((node,)) if isinstance(index, Index)):
                continue
            row = self._scratch("row", node.type.element, len(self.inner))
            self.rows.append(Scratch(row, tuple(self.extents[k] for k in self.inner)))
            load = Load(row, tuple(self.indices[k] for k in self.inner))
            loads[node] = load
            self.stages[number].stored[node] = load
        if not loads:
            return finals
        for number, stage in enumerate(self.stages):
            early = {node: load for node, load in loads.items() if shared[node] < number}
            for accumulator, (op, value) in stage.accumulators.items():
                stage.accumulators[accumulator] = op, substitute((value,), early.get)[0]
        return [(s, at, substitute((value,), loads.get)[0]) for s, at, value in finals]

    def _join_moments(self, finals: Sequence[_Final]) -> None:
        """Find squared distances from what needs an earlier sweep in that sweep: memory is read once.

        sum((x - k)**2) == sum((x - mean)**2) + n * (mean - k)**2, and the mean and the first sum on the right are
        brought up to date every few rows (Chan, Golub and LeVeque, 1979). A sum of x that only k is made of is
        n * mean.
        """
        if self.along is None or len(self.reduced) != 1 or self.packed:
            return
        moving = {self.indices[k] for k in self.reduced}
        count = self.extents[self.reduced[0]]
        lane = self._lane()
        for stage in self.stages[1:]:
            for accumulator, (op, value) in list(stage.accumulators.items()):
                match value:
                    case Apply(squares, (Apply(less, (x, k)),)) if (op, squares, less) == (_ADD, _SQUARE, _SUBTRACT):
                        t = value.type.element
                        known = t.kind == "f" and t.bits in _LARGEST
                        if not known or any(n in moving for n in postorder((k,))) or self._waits(x):
                            continue
                        made = _Moments(x, *(self._scratch(n, t, 1) for n in ("first", "mean", "squares", "m", "q")))
                        self.stages[0].moments.append(made)
                        k = Apply(_SUBTRACT, (k, Load(made.first, lane)))
                        off = Apply(_SQUARE, (Apply(_SUBTRACT, (Load(made.mean, lane), k)),))
                        far = Apply(_MULTIPLY, (Cast(count, t), off))
                        del stage.accumulators[accumulator]
                        stage.joined[accumulator] = Apply(_ADD, (Load(made.squares, lane), far))
        others = [value for stage in self.stages for _, value in stage.accumulators.values()]
        others += [found.value for stage in self.stages for found in stage.places.values()]
        others += [value for _, _, value in finals]
        used = {node for node in postorder(others) if isinstance(node, Load)}
        sums: dict[Node, Node] = {}
        for m in self.stages[0].moments:
            for accumulator, step in list(self.stages[0].accumulators.items()):
                if step == (_ADD, m.value) and Load(accumulator, lane) not in used:
                    del self.stages[0].accumulators[accumulator]
                    mean = Apply(_ADD, (Load(m.first, lane), Load(m.mean, lane)))
                    sums[Load(accumulator, lane)] = Apply(_MULTIPLY, (Cast(count, mean.type.element), mean))
        for stage in self.stages if sums else ():
            for accumulator, value in stage.joined.items():
                stage.joined[accumulator] = substitute((value,), sums.get)[0]

    def _waits(self, value: Node) -> bool:
        """Whether a value needs an accumulator."""
        accumulators = {a for stage in self.stages for a in (*stage.accumulators, *stage.places, *stage.joined)}
        return any(isinstance(n, Load) and n.operand in accumulators for n in postorder((value,)))

    def _moments(self, stage: _Stage, steps: Sequence[Node]) -> list[Node]:
        """The sweep of a stage that finds means, a few rows at a time; the steps of other accumulators go with it."""
        assert self.along is not None
        axis = self.reduced[0]
        index, extent = self.indices[axis], self.extents[axis]
        first = Index(untaken(f"i{axis}_0", self.taken))
        stop = least(plus(first, integer(ROWS)), extent)
        lane = self._lane()
        statements: list[Node] = []
        before: list[Node] = []
        sums: list[Node] = list(steps)
        joined: list[Node] = []
        for m in stage.moments:
            t = m.value.type.element
            zero = Constant(0, t)
            for operand in (m.first, m.mean, m.squares, m.few, m.few_squares):
                statements.append(Scratch(operand, (integer(self.strip),)))
            begin = self._strip([Store(m.first, lane, m.value)])
            statements.append(Loop(index, integer(0), least(integer(1), extent), integer(1), "serial", begin))
            statements.extend(self._strip([Store(o, lane, zero) for o in (m.mean, m.squares)]))
            before.extend(Store(o, lane, zero) for o in (m.few, m.few_squares))
            few, few_squares, mean = (Load(o, lane) for o in (m.few, m.few_squares, m.mean))
            distance = Apply(_SUBTRACT, (Apply(_SUBTRACT, (m.value, Load(m.first, lane))), mean))
            sums.append(Store(m.few, lane, Apply(_ADD, (few, distance))))
            sums.append(Store(m.few_squares, lane, Apply(_ADD, (few_squares, Apply(_SQUARE, (distance,))))))
            step = Apply(_DIVIDE, (few, Cast(stop, t)))
            # Squares beyond the largest number are infinite, not infinity less infinity.
            largest = Constant(_LARGEST[t.bits], t)
            found = Apply(_SUBTRACT, (few_squares, Apply(_MINIMUM, (Apply(_MULTIPLY, (few, step)), largest))))
            joined.append(Store(m.squares, lane, Apply(_ADD, (Load(m.squares, lane), found))))
            joined.append(Store(m.mean, lane, Apply(_ADD, (mean, step))))
        rows = Loop(index, first, stop, integer(1), "serial", self._strip(sums))
        body = (*self._strip(before), rows, *self._strip(joined))
        statements.append(Loop(first, integer(0), extent, integer(ROWS), "block", body))
        return statements

    def _keep_invariant(self, finals: list[_Final]) -> list[_Final]:
        """Compute what does not vary along the reduced axes before each sweep, not at each of its elements."""
        moving = {self.indices[k] for k in self.reduced}
        for stage in self.stages:
            for accumulator, (op, value) in stage.accumulators.items():
                stage.accumulators[accumulator] = op, self._invariant(value, stage, moving)
            for place, found in stage.places.items():
                stage.places[place] = replace(found, value=self._invariant(found.value, stage, moving))
            stage.stored = {self._invariant(node, stage, moving): load for node, load in stage.stored.items()}
        return [(s, at, self._invariant(v, self.last, moving) if self._full(s) else v) for s, at, v in finals]

    def _invariant(self, value: Node, stage: _Stage, moving: set[Index]) -> Node:
        """The value, with loads for its largest parts that are computed from what does not vary."""
        nodes = postorder((value,))
        varies: set[Node] = set()
        for node in nodes:
            if node in moving or any(child in varies for child in node.args):
                varies.add(node)
        if value not in varies:
            return value
        for node in nodes:
            if node not in varies or isinstance(node, Load):
                continue
            for child in node.args:
                if child in varies or child in stage.kept or not isinstance(child, Apply | Call | Cast):
                    continue
                if any(isinstance(n, Load) for n in postorder((child,))):
                    stage.kept[child] = Load(
                        self._scratch("k", child.type.element, 0 if self.along is None else 1), self._lane()
                    )
        return substitute((value,), stage.kept.get)[0]

    def _full(self, statement: Assign) -> bool:
        """Whether a statement assigns along the reduced axes."""
        if statement.target.type.rank != self.rank:
            return False
        moving = {self.indices[k] for k in self.reduced}
        return any(n in moving for n in postorder(subscripts_of(statement.target, self.indices)))

    # -- its loops --

    def _swept(self, body: Sequence[Node], role: str) -> list[Node]:
        """Loops over the reduced axes, and over the strip within them."""
        if self.along is not None:
            role = "serial"
            if self.packed:
                return [self._packing(body)]
            body = self._strip(body)
        for k in reversed(self.inner):
            body = (Loop(self.indices[k], integer(0), self.extents[k], integer(1), role, tuple(body)),)
        return list(body)

    def _packing(self, body: Sequence[Node]) -> Node:
        """The loop over the reduced axis, some rows at a time, which are packed first."""
        assert self.along is not None and self.first is not None
        (k,) = self.inner
        first = Index(untaken(f"i{k}_0", self.taken))
        stop = least(plus(first, integer(PACKED_ROWS)), self.extents[k])
        end = least(plus(self.first, integer(self.strip)), self.extents[self.along])
        sides = {k: PACKED_ROWS, self.along: self.strip}
        starts = tuple(first if n == k else self.first if n == self.along else i for n, i in enumerate(self.indices))
        spans = {k: minus(stop, first), self.along: minus(end, self.first)}
        extents = tuple(spans.get(n, integer(1)) for n in range(self.rank))
        new: dict[Node, Node] = {}
        statements: list[Node] = []
        for load in postorder(body):
            if not isinstance(load, Load) or load.operand.name not in self.packed or load.subscripts != self.indices:
                continue
            copy = self._scratch(f"{load.operand.name}_t", load.operand.type.element, self.rank)
            statements.append(Scratch(copy, tuple(integer(sides.get(n, 1)) for n in range(self.rank))))
            statements.append(Pack(copy, load.operand, starts, extents))
            new[load] = Load(copy, tuple(minus(i, s) for i, s in zip(self.indices, starts, strict=True)))
        body = [
            Store(s.operand, s.subscripts, substitute((s.value,), new.get)[0]) for s in body if isinstance(s, Store)
        ]
        statements.append(Loop(self.indices[k], first, stop, integer(1), "serial", self._strip(body)))
        return Loop(first, integer(0), self.extents[k], integer(PACKED_ROWS), "block", tuple(statements))

    def _strip(self, body: Sequence[Node]) -> tuple[Node, ...]:
        assert self.along is not None and self.first is not None
        end = least(plus(self.first, integer(self.strip)), self.extents[self.along])
        return (Loop(self.indices[self.along], self.first, end, integer(1), "serial", tuple(body)),)

    def _stage(self, stage: _Stage) -> list[Node]:
        lane = self._lane()
        statements = self._kept(stage)
        for accumulator, value in stage.joined.items():
            statements.append(Scratch(accumulator, (integer(self.strip),)))
            statements.extend(self._strip([Store(accumulator, lane, value)]))
        starts: list[Node] = []
        steps: list[Store] = []
        for accumulator, (op, value) in stage.accumulators.items():
            extents = () if self.along is None else (integer(self.strip),)
            statements.append(Scratch(accumulator, extents))
            starts.append(Store(accumulator, lane, neutral(op, accumulator.type.element)))
            steps.append(Store(accumulator, lane, Apply(op, (Load(accumulator, lane), value))))
        index = self.indices[self.reduced[0]]
        for place, found in stage.places.items():
            t = found.extreme.type.element
            statements += [Scratch(operand, (integer(self.strip),)) for operand in (place, found.extreme)]
            starts.append(Store(place, lane, integer(0)))
            starts.append(Store(found.extreme, lane, neutral(operator(EXTREME_AT[found.op.name]), t)))
            best = Load(found.extreme, lane)
            better: Node = Apply(_NOT, (Apply(_NOT_BEFORE[found.op.name], (found.value, best)),))
            if t.kind == "f":
                better = Apply(_AND, (better, Apply(_EQUAL, (best, best))))
            # The place first: both read the extreme as it was.
            steps.append(Store(place, lane, Apply(_WHERE, (better, index, Load(place, lane)))))
            steps.append(Store(found.extreme, lane, Apply(_WHERE, (better, found.value, best))))
        if starts:
            statements.extend(starts if self.along is None else self._strip(starts))
        # What is stored for later sweeps is computed in a sweep of its own, of which vector code can be made.
        for node, load in stage.stored.items():
            statements.extend(self._swept((Store(load.operand, load.subscripts, node),), "serial"))
        steps = [Store(s.operand, s.subscripts, substitute((s.value,), stage.stored.get)[0]) for s in steps]
        if stage.moments:
            statements.extend(self._moments(stage, steps))
        elif steps:
            statements.extend(self._swept(steps, "reduce"))
        return statements

    def _kept(self, stage: _Stage) -> list[Node]:
        extents = () if self.along is None else (integer(self.strip),)
        statements: list[Node] = [Scratch(load.operand, extents) for load in stage.kept.values()]
        stores = [Store(load.operand, load.subscripts, node) for node, load in stage.kept.items()]
        if stores:
            statements.extend(stores if self.along is None else self._strip(stores))
        return statements

    def _finals(self, finals: Sequence[_Final]) -> list[Node]:
        statements = self._kept(self.last)
        stores: dict[tuple[Node, ...], list[Node]] = {}
        for statement, at, value in finals:
            operand = base_of(statement.target)
            assert isinstance(operand, Operand)
            full = self._full(statement)
            lengths = extents_of(statement.target)
            # What only the kept axes decide is assigned along the others as far as the target goes.
            along = tuple(lengths[k] for k in self.inner) if full else ()
            if full and self.alike and self._varies(value):
                along = tuple(self.extents[k] for k in self.inner)
            store = Store(operand, subscripts_of(statement.target, at), value)
            stores.setdefault(along, []).append(store)
        # What the kept axes decide comes last: others may read what it assigns as it was.
        for along, group in sorted(stores.items(), key=lambda item: not item[0]):
            body: Sequence[Node] = group if self.along is None else self._strip(group)
            for k, extent in reversed(list(zip(self.inner, along, strict=False))):
                body = (Loop(self.indices[k], integer(0), extent, integer(1), "serial", tuple(body)),)
            statements.extend(body)
        return statements

    def _varies(self, value: Node) -> bool:
        moving = {self.indices[k] for k in self.reduced}
        return any(node in moving for node in postorder((value,)))


def _cost(node: Any) -> float:
    """Operations of a value by itself."""
    return float(node.op.cost if isinstance(node, Apply) else cost(node))
