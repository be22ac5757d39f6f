"""Loops over single elements that depend on one another, such as recurrences, as serial code."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..affine import coefficients, depends, integer, plus
from ..errors import UnsupportedError
from ..infer import PURE, effects
from ..nodes import (
    Apply,
    Assign,
    Cast,
    Constant,
    Extent,
    For,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Operand,
    Scratch,
    Slice,
    Store,
    View,
    Walk,
    postorder,
    substitute,
)
from ..ops import operator
from ..program import Program
from ..types import INT64
from ..windows import is_full
from .dispatch import Code
from .loopstep import LoopStep, Run, index_range, run_loop
from .windowstep import Number, number

if TYPE_CHECKING:
    from .memory import Slots as Bound
    from .plan import InterpretStep

Slots = dict[str, Any]

_LESS = operator("less")

#: Bytes of scratch that an iteration has for itself, at the most: it lies on the stack.
SCRATCH_BYTES = 1 << 16
#: Steps of NumPy's exact test of whether two arrays share memory: some 0.1 ms.
_WORK = 10_000


@dataclass(frozen=True, slots=True)
class SerialStep:
    """Runs a loop over elements by one call of `code`, or, where that does not do, by `otherwise`: its steps, or the
    interpreter.

    The code takes the arrays of `operands`, then the bounds of the outermost loop. It does not do where operands of
    different names share memory, or a subscript may be outside of its axis, as one that counts from the end. `asked`
    are the scalars that tell; `looked` are arrays of which elements are subscripts or bounds.
    """

    node: For
    bounds: tuple[Number, ...]
    otherwise: LoopStep | InterpretStep
    code: Code
    operands: tuple[str, ...]
    stored: frozenset[str]
    accesses: tuple[_Access, ...]
    asked: tuple[Operand, ...]
    looked: frozenset[str]
    records: ClassVar[bool] = True

    @property
    def inside(self) -> tuple[LoopStep | InterpretStep]:
        """What it may run instead."""
        return (self.otherwise,)

    def run(self, slots: Bound, run: Run, streams: Any) -> None:
        """Run it."""
        run_serial(self, slots, run, streams)


@dataclass(frozen=True, slots=True)
class _Test:
    """A condition under which a branch is taken, or not."""

    condition: Node
    held: bool


@dataclass(frozen=True, slots=True)
class _Access:
    """The subscripts of an operand, within loops and branches that are given outermost first.

    `lengths` are those of scratch; an operand's are its array's.
    """

    operand: str
    subscripts: tuple[Node, ...]
    around: tuple[For | _Test, ...]
    lengths: tuple[int, ...] | None = None


class _NotSerial(Exception):
    """A loop is of other things than elements."""


def serial_step(loop: For, step: LoopStep, make: Callable[[Program], Code | None]) -> SerialStep | None:
    """The step for a loop, for what `make` makes of its program; None where the loop is none over elements."""
    return _step(loop, step.bounds, step, step.own, make)


def element_step(
    loop: For, otherwise: InterpretStep, make: Callable[[Program], Code | None], own: Collection[str] = ()
) -> SerialStep | None:
    """The step for a loop of stores to single elements, in which scalars of `own` are local; None where it has none."""
    try:
        plain = [_plain(bound) for bound in (loop.start, loop.stop, loop.step)]
    except _NotSerial:
        return None
    return _step(loop, list(map(number, plain)), otherwise, own, make, plain)


def _plain(bound: Node) -> Node:
    """A bound over scalar operands instead of loads of them."""
    plain: dict[Node, Node] = {n: n.operand for n in postorder((bound,)) if isinstance(n, Load) and not n.subscripts}
    (bound,) = substitute((bound,), plain.get)
    if not all(isinstance(n, Constant | Operand | Extent | Apply | Cast) for n in postorder((bound,))):
        raise _NotSerial
    return bound


def _step(
    loop: For,
    bounds: Sequence[Number],
    otherwise: LoopStep | InterpretStep,
    own: Collection[str],
    make: Callable[[Program], Code | None],
    asked: Sequence[Node] = (),
) -> SerialStep | None:
    if effects(loop) != PURE or not isinstance(loop.step, Constant) or loop.step.value == 0:
        return None
    builder = _Builder(own)
    try:
        program = builder.program(loop)
        code = make(program)
    except (_NotSerial, UnsupportedError):
        return None
    if code is None:
        return None
    told = [n for access in builder.accesses for n in _told(access)]
    given = {name: operand for name, operand in builder.names.items() if name not in builder.stored}
    loads = {n.operand for n in postorder(told) if isinstance(n, Load) and n.type.element.kind in "iu"}
    scalars = [n for n in postorder(asked) if isinstance(n, Operand)]
    return SerialStep(
        loop,
        tuple(bounds),
        otherwise,
        code,
        tuple(builder.names),
        frozenset(builder.stored),
        tuple(builder.accesses),
        tuple(dict.fromkeys([*scalars, *(o for o in given.values() if o in loads and not o.type.rank)])),
        frozenset(o.name for o in given.values() if o in loads and o.type.rank),
    )


def _told(access: _Access) -> Iterator[Node]:
    """What tells whether an access is within its operand."""
    yield from access.subscripts
    for each in access.around[1:]:
        if isinstance(each, _Test):
            yield from _limits(each.condition)
        else:
            yield from (each.start, each.stop)


def _limits(condition: Node) -> Iterator[Node]:
    """What a test compares indices with."""
    if isinstance(condition, Apply) and condition.op.name in ("logical_not", "logical_and", "logical_or"):
        for each in condition.args:
            yield from _limits(each)
    elif isinstance(condition, Apply) and condition.op.name in (*_BELOW, *_ABOVE):
        for one, other in (condition.args, condition.args[::-1]):
            if isinstance(one, Index):
                yield other


class _Builder:
    """The program of loads and stores for a loop."""

    def __init__(self, own: Collection[str]):
        self.own = own
        self.names: dict[str, Operand] = {}
        self.stored: set[str] = set()
        self.accesses: list[_Access] = []
        self.around: list[For | _Test] = []
        # Scalars that are assigned: the loop keeps them in scratch, which is a register.
        self.scalars: dict[Operand, Operand] = {}
        #: The lengths of scratch that is declared.
        self.scratch: dict[Operand, tuple[int, ...]] = {}

    def program(self, loop: For) -> Program:
        for node in Walk().fresh(loop.body, False):
            if isinstance(node, Assign) and isinstance(node.target, Operand) and not node.target.type.rank:
                self.scalars[node.target] = node.target
            elif isinstance(node, Store) and not node.subscripts:
                self.scalars[node.operand] = node.operand
            elif isinstance(node, Scratch):
                self.declare(node)
        for operand in self.scratch:
            self.scalars.pop(operand, None)
        taken = {n.key for n in postorder((loop,)) if isinstance(n, (Operand, Index))}
        first, last = (Operand(_fresh(name, taken), INT64.array(0)) for name in ("first", "last"))
        for scalar in self.scalars:
            self.scalars[scalar] = Operand(_fresh(f"{scalar.name}_", taken), scalar.type.plain)
        self.taken = taken
        self.around.append(loop)
        body = self.block(loop.body)
        statements: list[Node] = []
        after: list[Node] = []
        for scalar, register in self.scalars.items():
            statements.append(Scratch(register, ()))
            if scalar.name not in self.own:
                self.names[scalar.name] = scalar
                self.stored.add(scalar.name)
                statements.append(Store(register, (), Load(scalar, ())))
                after.append(Store(scalar, (), Load(register, ())))
        statements += self.forwarded(Loop(loop.index, Load(first, ()), Load(last, ()), loop.step, "serial", body))
        return Program("kernel", [*self.names.values(), first, last], [*statements, *after])

    def declare(self, node: Scratch) -> None:
        extents = tuple(n.value for n in node.extents if isinstance(n, Constant))
        operand = node.operand
        bytes_ = math.prod(extents) * operand.type.element.itemsize
        known = len(extents) == len(node.extents) and bytes_ <= SCRATCH_BYTES
        if not known or self.scratch.setdefault(operand, extents) != extents:
            raise _NotSerial

    def block(self, body: Sequence[Node]) -> tuple[Node, ...]:
        return tuple(made for node in body for made in self.statement(node))

    def statement(self, node: Node) -> Sequence[Node]:
        match node:
            case For() if not isinstance(node, Loop) and isinstance(node.step, Constant) and node.step.value:
                start, stop = self.value(node.start), self.value(node.stop)
                self.around.append(For(node.index, start, stop, node.step, node.body))
                body = self.block(node.body)
                self.around.pop()
                return self.forwarded(Loop(node.index, start, stop, node.step, "serial", body))
            case Assign() if not node.target.type.rank:
                value = self.value(node.value)
                operand, subscripts = self.place(node.target)
                if operand.type.rank:
                    self.stored.add(operand.name)
                return (Store(operand, subscripts, value),)
            case Store():
                value = self.value(node.value)
                operand, subscripts = self.element(node)
                if operand.type.rank and operand not in self.scratch:
                    self.stored.add(operand.name)
                return (Store(operand, subscripts, value),)
            case Guard():
                condition = self.value(node.condition)
                branches = []
                for held, branch in ((True, node.then), (False, node.otherwise)):
                    self.around.append(_Test(condition, held))
                    branches.append(self.block(branch))
                    self.around.pop()
                return (Guard(condition, *branches),)
            case Scratch():
                return (node,)
        raise _NotSerial

    def element(self, node: Load | Store) -> tuple[Operand, tuple[Node, ...]]:
        """The operand, and the subscripts, of one element that is loaded or stored."""
        operand = node.operand
        if operand in self.scalars:
            return self.scalars[operand], ()
        subscripts = tuple(self.value(x) for x in node.subscripts)
        self.access(operand, subscripts)
        return operand, subscripts

    def access(self, operand: Operand, subscripts: tuple[Node, ...]) -> None:
        lengths = self.scratch.get(operand)
        if lengths is None:
            self.names[operand.name] = operand
        if subscripts:
            self.accesses.append(_Access(operand.name, subscripts, tuple(self.around), lengths))

    def forwarded(self, loop: Loop) -> Sequence[Node]:
        """An innermost loop in which what an iteration stores for the next one to load stays in a register.

            for i: a[i] = a[i - 1] * b[i]     →     w = a[0]
                                                    for i: w = w * b[i]; a[i] = w

        A store that is loaded at once takes some five cycles more: 2.4 ns an iteration without, 1.1 with this.
        """
        before: list[Node] = []
        body = list(loop.body)
        if not all(isinstance(node, Store | Scratch) for node in body):
            return (loop,)
        for place, store in enumerate(loop.body):
            if not isinstance(store, Store) or store.operand in self.scratch:
                continue
            operand = store.operand
            if not operand.type.rank or sum(s.operand is operand for s in loop.body if isinstance(s, Store)) > 1:
                continue
            loads = [
                n
                for n in postorder(body[: place + 1])
                if isinstance(n, Load) and n.operand is operand and _is_next(n.subscripts, store.subscripts, loop)
            ]
            if not loads:
                continue
            register = Operand(_fresh(f"{operand.name}_", self.taken), operand.type.element.array(0))
            known = dict.fromkeys(loads, Load(register, ()))
            body[: place + 1] = substitute(body[: place + 1], known.get)
            changed = body[place]
            assert isinstance(changed, Store)
            before.append(Scratch(register, ()))
            first = tuple(substitute(loads[0].subscripts, {loop.index: loop.start}.get))
            falls = isinstance(loop.step, Constant) and loop.step.value < 0
            runs = Apply(_LESS, (loop.stop, loop.start) if falls else (loop.start, loop.stop))
            before.append(Guard(runs, (Store(register, (), Load(operand, first)),)))
            body[place : place + 1] = [
                Store(register, (), changed.value),
                Store(operand, changed.subscripts, Load(register, ())),
            ]
            made = Loop(loop.index, loop.start, loop.stop, loop.step, "serial", tuple(body))
            # Its other operands, in their turn: of this one no load is left that was stored just before.
            return (*before, *self.forwarded(made))
        return (loop,)

    def value(self, root: Node) -> Node:
        def leaf(node: Node) -> Node | None:
            if isinstance(node, Load):
                return Load(*self.element(node))
            if isinstance(node, (View, Operand)):
                if node.type.rank:
                    raise _NotSerial
                return Load(*self.place(node))
            if isinstance(node, Extent):
                self.names[node.operand.name] = node.operand
                return node
            if not isinstance(node, (Constant, Index, Apply, Cast)):
                raise _NotSerial
            return None

        return substitute((root,), leaf)[0]

    def place(self, view: Node) -> tuple[Operand, tuple[Node, ...]]:
        """The operand, and where in it the one element of a chain of views is."""
        indices: list[Node] = []
        while isinstance(view, View):
            if view.order is not None:
                inner: list[Any] = [None] * len(indices)
                for place, axis in enumerate(view.order):
                    inner[axis] = indices[place]
                indices = inner
                view = view.arg
                continue
            left = iter(indices)
            found: list[Node] = []
            for item in view.subscripts:
                if item is None:
                    next(left)
                elif isinstance(item, Slice):
                    # A place in a part counts from the part's ends.
                    if not is_full(item):
                        raise _NotSerial
                    found.append(next(left))
                else:
                    found.append(self.value(item) if isinstance(item, Node) else integer(item))
            indices = found
            view = view.arg
        if not isinstance(view, Operand):
            raise _NotSerial
        if view in self.scalars:
            return self.scalars[view], ()
        subscripts = tuple(
            plus(Extent(view, axis), index) if isinstance(index, Constant) and index.value < 0 else index
            for axis, index in enumerate(indices)
        )
        self.access(view, subscripts)
        return view, subscripts


def _is_next(loaded: Sequence[Node], stored: Sequence[Node], loop: Loop) -> bool:
    """Whether an iteration of a loop loads, at these subscripts, what the one before it has stored."""
    assert isinstance(loop.step, Constant)
    for load, store in zip(loaded, stored, strict=True):
        if load is store and not depends(load, loop.index):
            continue
        one, two = coefficients(load, {}), coefficients(store, {})
        if one is None or two is None or one[1] != two[1]:
            return False
        if one[0] != two[0] - two[1].get(loop.index, 0) * loop.step.value:
            return False
    return True


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


# -- Running ------------------------------------------------------------------------------------


def run_serial(step: SerialStep, slots: Bound, run: Run, streams: Any) -> None:
    """Run a loop over elements on the slots."""
    from .iterate import Serial

    values = index_range(step.node, step.bounds, slots)
    if not values:
        # What only the loop makes may not be there.
        return
    loop = step.otherwise
    if not _does(step, slots, values):
        slots.recording.otherwise = True
        if not isinstance(loop, LoopStep):
            run(loop, slots)
            return
        if not _does(step, slots, values[1:]):
            run_loop(loop, slots, run, streams, values)
            return
        # Such as a[k - 1] where k begins at 0.
        run_loop(loop, slots, run, streams, values[:1])
        values = values[1:]
    serial = Serial(step.code, [slots[name] for name in step.operands], values)
    stored = [name in step.stored for name in step.operands]
    slots.recording.serial(serial, step.operands, serial.start(), stored)
    if step.looked:
        # Another call may have other elements in them.
        slots.recording.stop()


def _does(step: SerialStep, slots: Slots, values: range) -> bool:
    """Whether the code may run the loop over these values."""
    arrays = {name: slots.get(name) for name in step.operands}
    if not values or any(array is None for array in arrays.values()):
        return False
    for name in step.stored:
        if any(_share_memory(arrays[name], other) for key, other in arrays.items() if key != name):
            return False
    known = _Known(arrays, step.stored)
    return all(known.inside(access, values) for access in step.accesses)


def _share_memory(one: Any, other: Any) -> bool:
    """Whether two arrays have an element in common, as even and odd places have not; or it takes long to tell."""
    if not np.may_share_memory(one, other):
        return False
    try:
        return bool(np.shares_memory(one, other, max_work=_WORK))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


_Interval = tuple[int, int]
#: What each comparison says of its first operand, where that is an index: from the second one plus so much, up to it
#: plus so much.
_BELOW, _ABOVE, _MIRRORED, _DENIED = (
    {"less": -1, "less_equal": 0, "equal": 0},
    {"greater": 1, "greater_equal": 0, "equal": 0},
    {"less": "greater", "less_equal": "greater_equal", "greater": "less", "greater_equal": "less_equal"},
    {"less": "greater_equal", "less_equal": "greater", "greater": "less_equal", "greater_equal": "less"},
)


class _Known:
    """The intervals that integers are in, by arrays, and by what loops and tests say of indices."""

    def __init__(self, arrays: dict[str, Any], stored: Collection[str]):
        self.arrays = arrays
        self.stored = stored
        self.elements: dict[str, _Interval | None] = {}
        self.at: dict[Node, _Interval] = {}

    def inside(self, access: _Access, values: range) -> bool:
        """Whether subscripts are within their axes, or nothing is ever looked at."""
        outer, *inner = access.around
        assert isinstance(outer, For)
        self.at = {outer.index: (min(values[0], values[-1]), max(values[0], values[-1]))}
        for each in inner:
            if isinstance(each, _Test):
                self.narrow(each.condition, each.held)
            else:
                start, stop = self.interval(each.start), self.interval(each.stop)
                if start is None or stop is None:
                    return False
                rising = each.step.value > 0  # type: ignore[attr-defined]
                self.at[each.index] = (start[0], stop[1] - 1) if rising else (stop[0] + 1, start[1])
            if any(low > high for low, high in self.at.values()):
                return True
        lengths = self.arrays[access.operand].shape if access.lengths is None else access.lengths
        for subscript, length in zip(access.subscripts, lengths, strict=True):
            found = self.interval(subscript)
            if found is None or found[0] < 0 or found[1] >= length:
                return False
        return True

    def narrow(self, condition: Node, held: bool) -> None:
        """Take in what a test of an index says of it."""
        if not isinstance(condition, Apply):
            return
        name = condition.op.name
        if name == "logical_not":
            self.narrow(condition.args[0], not held)
        elif name == ("logical_and" if held else "logical_or"):
            for each in condition.args:
                self.narrow(each, held)
        elif name in _BELOW or name in _ABOVE:
            name = name if held else _DENIED.get(name, "")
            self.bound(name, *condition.args)
            self.bound(_MIRRORED.get(name, name), *reversed(condition.args))

    def bound(self, name: str, one: Node, other: Node) -> None:
        if one not in self.at:
            return
        limit = self.interval(other)
        if limit is not None:
            low, high = self.at[one]
            if name in _BELOW:
                high = min(high, limit[1] + _BELOW[name])
            if name in _ABOVE:
                low = max(low, limit[0] + _ABOVE[name])
            self.at[one] = low, high

    def interval(self, node: Node) -> _Interval | None:
        """The least and the greatest that an int64 scalar may be; None where that is not known."""
        match node:
            case Constant(value) if isinstance(value, int):
                return value, value
            case Index():
                return self.at[node]
            case Extent():
                length = self.arrays[node.operand.name].shape[node.axis]
                return length, length
            case Operand(name) | Load(Operand(name)):
                if name not in self.elements:
                    self.elements[name] = self.among(name)
                return self.elements[name]
            case Cast(arg) if node.type.element is INT64 and arg.type.element.kind in "iu":
                return self.interval(arg)
            case Apply(op, (x, y)):
                a, b = self.interval(x), self.interval(y)
                if a is None or b is None:
                    return None
                if op.name == "add":
                    return a[0] + b[0], a[1] + b[1]
                if op.name == "subtract":
                    return a[0] - b[1], a[1] - b[0]
                if op.name == "multiply":
                    products = [p * q for p in a for q in b]
                    return min(products), max(products)
                if op.name in ("minimum", "maximum"):
                    chosen = min if op.name == "minimum" else max
                    return chosen(a[0], b[0]), chosen(a[1], b[1])
        return None

    def among(self, name: str) -> _Interval | None:
        """The least and the greatest element of what is not stored to."""
        array = self.arrays.get(name)
        if array is None or name in self.stored or not array.size or array.dtype.kind not in "iu":
            return None
        return int(array.min()), int(array.max())
