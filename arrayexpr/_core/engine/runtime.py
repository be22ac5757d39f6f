"""Calls that the call path does not remember: binding arrays to operands, and running a plan's steps."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..assumption import share_memory
from ..errors import ArrayExprError, OutOfRange, ShapeMismatch, TypeMismatch
from ..nodes import (
    EFFECTS,
    Assign,
    Call,
    Cast,
    Constant,
    Contract,
    Function,
    Node,
    Operand,
    Pack,
    Reduce,
    Store,
    postorder,
)
from ..program import Program, assigned_operand
from .dispatch import Entry, Kernel, Operands, Recipe, allocate_like, walks_itself
from .memory import Slots
from .plan import ArrayStep, InterpretStep, Plan, RegionStep, is_contraction
from .reading import Source
from .recording import Recording, Tests

if TYPE_CHECKING:
    from .plan import Step

# Elements that a reduction takes in one after the other where it is turned: as many as NumPy's pairwise sum does, whose
# error is that of 16 and some more. And how many elements a region has for a copy not to matter.
_SHORT, _TURNED_FROM = 16, 1 << 14

_INT64 = (-(1 << 63), (1 << 63) - 1)
#: Bytes of temporaries from which on it matters how many of them there are at a time.
_LARGE = 1 << 20


class Runtime:
    """Runs one plan on arrays, and tells the kernel what to remember.

    Where arrays share memory, or have other shapes than the plan takes for granted, it runs one made for such.
    """

    def __init__(self, plan: Plan, dead: Sequence[str] = (), watched: frozenset[str] = frozenset()):
        self.plan = plan
        self.program = plan.program
        self.dead = tuple(dead)
        for name in self.dead:
            if name not in {operand.name for operand in self.program.operands}:
                names = ", ".join(operand.name for operand in self.program.operands) or "none"
                raise ArrayExprError(f"dead names {name!r}: expected operands of {self.program.name} ({names})")
        #: Bytes of locals and temporaries that the last call took.
        self.scratch = 0
        #: Whether nothing but its own steps sees the plan's temporaries: functions of the host may keep what they get.
        self.plain = all(isinstance(step, RegionStep | ArrayStep) for step in plan.steps)
        self.ends = _ends(plan) if self.plain else [()] * len(plan.steps)
        self.assigned = {assigned_operand(n.target).name for n in self.program.nodes() if isinstance(n, Assign)}
        self.assigned |= {n.args[0].key for n in self.program.nodes() if isinstance(n, Store | Pack)}
        #: What functions of the host may write.
        self.touched = _touched(plan)
        self.limits = _limits(self.program)
        #: Operands that are looked at for memory they share, here or where this runtime was chosen.
        self.watched = watched | self.assigned | self.touched
        if self.program.assumption is not None:
            self.watched |= frozenset(self.program.assumption.apart)
        self.tests: Tests | None = None
        self.otherwise: Callable[[], Runtime] | None = None
        if plan.otherwise is not None:
            unfused = plan.otherwise
            self.otherwise = functools.cache(lambda: Runtime(unfused(), self.dead, self.watched))
        self.careful: Callable[[], Runtime] | None = None
        if plan.careful is not None:
            unmoved = plan.careful
            self.careful = functools.cache(lambda: Runtime(unmoved(), self.dead, self.watched))
        self.recipe = self._recipe()
        self.operands = self._operands()
        self.early = plan.early()
        if not self.plain:
            self.early.update(operand.name for operand in self.program.declared)
        regions = [step for step in plan.steps if isinstance(step, RegionStep)]
        #: The names whose arrays may become the caller's.
        self.results = {operand.name for operand in self.program.results} | {step.moves for step in regions}
        #: The layouts of the last call whose temporaries take much.
        self.spacious: list[Any] = []

    def run(self, kernel: Kernel, args: Sequence[Any], out: Any = None) -> Any:
        """The results for arguments; one, a tuple, or None as the program has one, several or none."""
        program = self.program
        if len(args) != len(program.operands):
            names = ", ".join(operand.name for operand in program.operands) or "none"
            raise TypeError(f"{program.name} takes {len(program.operands)} operands ({names}): got {len(args)}")
        given = [
            _as_array(arg, operand, self.limits[operand.name])
            for arg, operand in zip(args, program.operands, strict=True)
        ]
        outs = self._outputs(out)
        if self.otherwise is not None and not self._holds(given):
            return self.otherwise().run(kernel, args, out)
        recording = self._recording()
        slots = Slots(recording, self.results, self.dead, pooled=self.plain)
        restore: list[tuple[Any, Any]] = []
        for operand, array in zip(program.operands, given, strict=True):
            slots[operand.name] = self._bound(operand, array, restore)
        for operand, array in zip(program.results, outs, strict=True):
            if array is not None:
                slots[operand.name] = self._bound_output(operand, array, given, outs, restore)
        if self.early & slots.keys():
            self._check_shapes(slots)
        if self.plan.moved and self.careful is not None and self._share_memory(slots):
            return self.careful().run(kernel, args, out)
        direct = not restore and all(
            slots[o.name] is a or isinstance(a, float | int) for o, a in zip(program.operands, args, strict=True)
        )
        for step, ends in zip(self.plan.steps, self.ends, strict=True):
            slots.ending = ends if isinstance(step, RegionStep) and len(step.targets) == 1 else ()
            run_step(step, slots)
            slots.release(ends)
        self.scratch = slots.took
        if recording.planned:
            self.tests = None
        if direct and recording.whole:
            if self.recipe is not None and len(recording.ran) == 1:
                self._remember(kernel, out, slots)
            # What takes over dead operands looks at each call's arrays first.
            elif not (self.dead or self.recipe is not None) and (len(outs) > 1 or not isinstance(out, tuple)):
                self._remember_steps(kernel, recording, out, slots)
        for target, value in restore:
            np.copyto(target, value, casting="same_kind")
        results = tuple(
            given_out if given_out is not None else slots[operand.name]
            for operand, given_out in zip(program.results, outs, strict=True)
        )
        if out is None:
            results = tuple(r[()] if r.ndim == 0 else r for r in results)
        return None if not results else results[0] if len(results) == 1 else results

    def _share_memory(self, slots: dict[str, Any]) -> bool:
        """Whether what is written through one name may be seen through another."""
        written = (self.assigned | self.touched) & slots.keys()
        return any(
            np.may_share_memory(slots[name], array) for name in written for key, array in slots.items() if key != name
        )

    def _asks(self) -> bool:
        """Whether every call has to be looked at: for what it was fused under, or for operands that are dead."""
        assumption = self.program.assumption
        if assumption is None:
            return bool(self.dead)
        given = {operand.name for operand in self.program.operands}
        return bool(self.dead or assumption.alike or assumption.lengths or given.intersection(assumption.apart))

    def _holds(self, given: Sequence[Any]) -> bool:
        """Whether arrays are as they were taken to be where the program was fused."""
        assert self.program.assumption is not None
        named = {o.name: array for o, array in zip(self.program.operands, given, strict=True)}
        return self.program.assumption.holds(named)

    def _outputs(self, out: Any) -> tuple[Any, ...]:
        n = len(self.program.results)
        if out is None:
            return (None,) * n
        outs = out if isinstance(out, tuple) else (out,)
        if len(outs) != n:
            raise TypeError(f"{self.program.name} has {n} results: out has {len(outs)}")
        for operand, array in zip(self.program.results, outs, strict=True):
            if array is not None and not isinstance(array, np.ndarray):
                raise TypeError(f"out for {operand.name} is {type(array).__name__}: expected a NumPy array")
            if array is not None:
                _refuse_masked(array, f"out for {operand.name}")
            if array is not None and not array.flags.writeable:
                raise ValueError(f"out for {operand.name} is read-only")
        return outs

    def _bound(self, operand: Operand, array: Any, restore: list[tuple[Any, Any]]) -> Any:
        """The array for an operand: a native, aligned copy of one that is not, copied back where it is assigned."""
        if operand.name in self.assigned:
            if not array.flags.writeable:
                raise ValueError(f"operand {operand.name} is assigned to and its array is read-only")
            if walks_itself(array):
                raise ValueError(f"operand {operand.name} is assigned to and its array overlaps itself")
        if array.dtype.isnative and array.flags.aligned:
            return array
        copy = array.astype(operand.type.element.dtype, order="K")
        if operand.name in self.assigned or (operand.name in self.touched and array.flags.writeable):
            restore.append((array, copy))
        return copy

    def _bound_output(
        self, operand: Operand, array: Any, given: Sequence[Any], outs: Sequence[Any], restore: list[tuple[Any, Any]]
    ) -> Any:
        """The array for a result: a new one, copied at the end, where the given one cannot be written as we go."""
        dtype = operand.type.element.dtype
        if array.ndim != operand.type.rank:
            raise ShapeMismatch(f"out for {operand.name} has {array.ndim} axes: expected {operand.type.rank}")
        if not np.can_cast(dtype, array.dtype, "same_kind"):
            raise TypeMismatch(f"out for {operand.name} has element type {array.dtype}: expected {dtype}")
        others = [a for o, a in zip(self.program.results, outs, strict=True) if a is not None and o is not operand]
        twice = any(np.may_share_memory(array, other) for other in others)
        early = operand.name in self.early and any(np.may_share_memory(array, other) for other in given)
        if array.dtype == dtype and array.flags.aligned and not (early or twice or walks_itself(array)):
            return array
        copy = np.empty_like(array, dtype=dtype)
        if _reads(self.program, operand):
            copy[...] = array
        restore.append((array, copy))
        return copy

    def _recipe(self) -> Recipe | None:
        """How the call path runs this program without us; None where it is more than one region, or is to be asked."""
        step = self.plan.single
        if step is None or self._asks():
            return None
        operands = (*self.program.operands, *self.program.results)
        names = [operand.name for operand in operands]
        sources = (*step.sources, *step.targets)
        if not all(source.slot in names for source in sources):
            return None
        if len(step.targets) > 1 and {target.slot for target in step.targets} != {o.name for o in self.program.results}:
            return None
        return Recipe(
            step.region,
            [operand.type.element.dtype for operand in operands],
            [operand.type.rank for operand in operands],
            [names.index(source.slot) if source.length is None else -1 for source in sources],
            [self.limits[name] for name in names],
            len(self.program.operands),
        )

    def _operands(self) -> Operands:
        """What the call path asks of arguments."""
        operands = (*self.program.operands, *self.program.results)
        return Operands(
            [operand.type.element.dtype for operand in operands],
            [operand.type.rank for operand in operands],
            [self.limits[operand.name] for operand in operands],
            len(self.program.operands),
        )

    def _check_shapes(self, slots: dict[str, Any]) -> None:
        """Raise what a step will have to say of shapes before the first one changes anything."""
        self._check_steps(self.plan.steps, dict(slots))

    def _check_steps(self, steps: Sequence[Step], known: dict[str, Any]) -> None:
        for step in steps:
            if isinstance(step, RegionStep | ArrayStep) and not all(s.slot in known for s in step.sources):
                # What comes of a function of the host, or of a loop, is not known.
                continue
            if isinstance(step, RegionStep) and not _one_shape(step, known):
                self._check_steps(step.alone(), known)
            elif isinstance(step, RegionStep):
                shape = _fitting(step, [source.array(known) for source in step.sources], known)
                for assign, target, kept in zip(step.assigns, step.targets, step.kept, strict=True):
                    known.setdefault(target.slot, _stand_in(_target_shape(step, assign, kept, shape)))
            elif isinstance(step, ArrayStep):
                arrays = [source.array(known) for source in step.sources]
                if is_contraction(step.node):
                    product = _product_shape(step, arrays)
                    axes = step.node.axes if isinstance(step.node, Reduce) else ()
                    known[step.slot] = _stand_in(tuple(n for k, n in enumerate(product) if k not in axes))
                elif isinstance(step.node, Reduce) and arrays[0].size:
                    axes, keepdims = step.node.axes, step.node.keepdims
                    lengths = (
                        (1 if k in axes else n, k not in axes or keepdims) for k, n in enumerate(arrays[0].shape)
                    )
                    known[step.slot] = _stand_in(tuple(n for n, kept in lengths if kept))
                else:
                    # Of no elements: some reductions refuse that, and none costs anything.
                    known[step.slot] = _run_array(step, known)

    def _remember(self, kernel: Kernel, out: Any, slots: dict[str, Any]) -> None:
        """Have the kernel answer the next call like this one by itself."""
        step = self.plan.single
        assert self.recipe is not None and step is not None
        declared = (*self.program.operands, *self.program.results)
        sources = (*step.sources, *step.targets)
        streams = [source.array(slots) for source in sources]
        # An output may be longer than what is broadcast to it.
        reduces = bool(step.region.reduced)
        shape = _fitting(step, streams[: len(step.sources)], slots) if reduces else streams[-1].shape
        allocates = bool(self.program.results) and out is None
        kernel.remember(Entry.of(self.recipe, [slots[o.name] for o in declared], streams, shape, allocates))
        if (
            not step.region.reduced
            and len(step.targets) == 1
            and not any(source.views or source.length is not None for source in sources)
        ):
            kernel.add(self.recipe)

    def _remember_steps(self, kernel: Kernel, recording: Recording, out: Any, slots: Slots) -> None:
        """Have the kernel run what was recorded by itself in the next call like this one.

        It is left to us where the temporaries take much: here they use memory again that others are done with.
        """
        spacious = self.plain and slots.took >= _LARGE
        names = [operand.name for operand in (*self.program.operands, *self.program.results)]
        layouts = [(slots[name].shape, slots[name].strides) for name in names]
        if recording.ran and not (spacious and layouts == self.spacious):
            caches = self.plan.target.l2, self.plan.target.l3
            given = len(self.program.operands)
            chain = recording.chain(self.operands, slots, names, given, self.watched, out is None, caches)
            if chain is not None and not (spacious and chain.scratch >= max(_LARGE, caches[1] // 4)):
                kernel.remember(chain)
            elif spacious:
                self.spacious = layouts

    def _recording(self) -> Recording:
        if self.tests is None:
            names = frozenset(operand.name for operand in self.program.operands)
            self.tests = Tests(self.plan, names, frozenset(self.assigned | self.touched))
        return Recording(self.tests)


def run_step(step: Step, slots: Slots) -> None:
    """Run one step on the slots."""
    match step:
        case RegionStep() if step.moves and step.targets[0].slot not in slots:
            slots[step.targets[0].slot] = slots[step.moves]
        case RegionStep():
            if not (len(step.targets) > 1 or step.full) or _together(step, slots):
                _run_region(step, slots)
            else:
                _run_alone(step, slots)
        case ArrayStep():
            slots.recording.stop()
            slots[step.slot] = _run_array(step, slots)
        case InterpretStep():
            slots.recording.stop()
            declared = {o.name: slots[o.name] for o in step.program.declared if o.name in slots}
            slots.update(_interpreted(step.program, declared))
        case _:
            # Windows, the host's functions and loops know how.
            if not getattr(step, "records", False):
                slots.recording.stop()
            step.run(slots, run_step, _plain_streams)


def _run_alone(step: RegionStep, slots: Slots) -> None:
    """Run the statements of a region one by one."""
    ending, slots.ending = slots.ending, ()
    before = slots.keys() | {target.slot for target in step.targets}
    steps = step.alone()
    if not all(isinstance(each, RegionStep) for each in steps):
        # Windows of these steps alone are not known to be such.
        slots.recording.stop()
    for each in steps:
        run_step(each, slots)
    # Another iteration may have temporaries of other shapes.
    for name in slots.keys() - before:
        slots.release((name,))
        slots.pop(name, None)
    slots.ending = ending


def _touched(plan: Plan) -> set[str]:
    """The operands that functions of the host may write."""
    names: set[str] = set()
    for step in plan.every_step():
        if hasattr(step, "written"):
            names |= step.written
        elif isinstance(step, InterpretStep) and any(isinstance(n, EFFECTS) for n in step.program.nodes()):
            names.update(operand.name for operand in step.program.operands)
    return names


def _ends(plan: Plan) -> list[tuple[str, ...]]:
    """For each step of a plan of regions and NumPy's functions, the slots that no later one reads or writes."""
    last: dict[str, int] = {operand.name: -1 for operand in plan.program.declared}
    for k, step in enumerate(plan.steps):
        if isinstance(step, RegionStep):
            last.update((source.slot, k) for source in (*step.sources, *step.targets))
        elif isinstance(step, ArrayStep):
            last.update((slot, k) for slot in (*(source.slot for source in step.sources), step.slot))
    ends: list[list[str]] = [[] for _ in plan.steps]
    for name, k in last.items():
        if k >= 0:
            ends[k].append(name)
    return [tuple(names) for names in ends]


def _reads(program: Program, operand: Operand) -> bool:
    """Whether what is in an operand before the program runs may matter after: it is read or assigned in part."""
    if not all(isinstance(s, Assign) for s in program.statements):
        return True
    return any(
        operand in postorder((s.value,)) or s.target is not operand
        for s in program.statements
        if isinstance(s, Assign) and (assigned_operand(s.target) is operand or operand in postorder((s.value,)))
    )


def _limits(program: Program) -> dict[str, tuple[int, int]]:
    """The Python ints that each operand takes: NumPy refuses one that the array's own type does not hold."""
    within: dict[Node, dict[Node, tuple[int, int]]] = {}
    for node in postorder(program.statements, True):
        if isinstance(node, Function):
            within[node] = _narrowed(postorder((node.body,)), within)
    found = _narrowed(postorder(program.statements), within)
    return {operand.name: found.get(operand, _INT64) for operand in program.declared}


def _narrowed(nodes: Sequence[Node], within: dict[Node, dict[Node, tuple[int, int]]]) -> dict[Node, tuple[int, int]]:
    """The integers that scalars may be which nodes cast, or pass to functions that do."""
    limits: dict[Node, tuple[int, int]] = {}

    def narrow(scalar: Node, low: int, high: int) -> None:
        before = limits.get(scalar, _INT64)
        limits[scalar] = max(before[0], low), min(before[1], high)

    for node in nodes:
        if isinstance(node, Cast) and isinstance(node.arg, Operand) and node.arg.type.rank == 0:
            t = node.type.element
            if t.kind in "iu" and node.arg.type.element.kind == "i":
                info = np.iinfo(t.dtype)
                narrow(node.arg, int(info.min), int(info.max))
        elif isinstance(node, Call):
            for param, argument in zip(node.function.params, node.arguments, strict=True):
                if isinstance(argument, Operand) and param in within[node.function]:
                    narrow(argument, *within[node.function][param])
    return limits


def _as_array(arg: Any, operand: Operand, limits: tuple[int, int]) -> Any:
    """An argument as an array of the operand's element type and rank, in the caller's memory where it is one."""
    t = operand.type
    if isinstance(arg, bool | int | float | complex) and not isinstance(arg, np.generic):
        if t.rank:
            raise ShapeMismatch(f"operand {operand.name} is a scalar: expected {t}")
        kind = "b" if isinstance(arg, bool) else "i" if isinstance(arg, int) else "f" if isinstance(arg, float) else "c"
        if "biufc".index(kind) > "biufc".index(t.element.kind) and not (kind == "i" and t.element.kind == "u"):
            raise TypeMismatch(f"operand {operand.name} is a Python {type(arg).__name__}: expected {t}")
        if isinstance(arg, int) and t.element.kind == "i" and not limits[0] <= arg <= limits[1]:
            raise OutOfRange(f"operand {operand.name} is {arg}: expected {limits[0]} to {limits[1]}")
        # The same range check as a constant gets.
        value = Constant(arg, t.element).value
        return np.asarray(value, dtype=t.element.dtype)
    array = None
    if isinstance(arg, np.ndarray | np.generic):
        _refuse_masked(arg, f"operand {operand.name}")
        array = np.asarray(arg)
    else:
        interface = getattr(arg, "__array__", None)
        if interface is None and not isinstance(arg, list | tuple):
            raise TypeMismatch(f"operand {operand.name} is {type(arg).__name__}: expected an array of {t}")
        array = np.asarray(arg)
    if array.dtype.newbyteorder("=") != t.element.dtype:
        raise TypeMismatch(f"operand {operand.name} has element type {array.dtype}: expected {t.element}")
    if array.ndim != t.rank:
        raise ShapeMismatch(f"operand {operand.name} has {array.ndim} axes (shape {array.shape}): expected {t.rank}")
    return array


def _refuse_masked(array: Any, what: str) -> None:
    # Other subclasses are the arrays that they hold; of this one the mask would be lost without a word.
    if isinstance(array, np.ndarray) and type(array) is not np.ndarray and isinstance(array, np.ma.MaskedArray):
        raise TypeMismatch(f"{what} is a masked array: expected a plain one, such as its `filled()`")


def broadcast(named: Sequence[tuple[str, tuple[int, ...]]]) -> tuple[int, ...]:
    """The shape that shapes broadcast to.

    >>> broadcast([("a", (3, 1)), ("b", (4,))])
    (3, 4)
    >>> broadcast([("a", (3,)), ("b", (4,))])
    Traceback (most recent call last):
    arrayexpr._core.errors.ShapeMismatch: operand b has shape (4,), which does not broadcast with (3,) of a
    """
    rank = max((len(shape) for _, shape in named), default=0)
    result = [1] * rank
    setter = [""] * rank
    for name, shape in named:
        for axis, length in enumerate(shape, rank - len(shape)):
            if length != 1 and result[axis] not in (1, length):
                other = next(s for n, s in named if n == setter[axis])
                raise ShapeMismatch(
                    f"operand {name} has shape {shape}, which does not broadcast with {other} of {setter[axis]}"
                )
            if length != 1:
                result[axis], setter[axis] = length, name
    return tuple(result)


def _stand_in(shape: tuple[int, ...]) -> Any:
    """An array of a shape that takes no memory."""
    return np.broadcast_to(np.int8(0), shape)


def _one_shape(step: RegionStep, slots: dict[str, Any]) -> bool:
    """Whether the statements of a region are all over one shape, each by itself, and so is what they reduce."""
    streams = [source.array(slots) for source in step.sources]
    if len(step.targets) == 1 and all(len(places) == len(step.sources) for places in step.full):
        if not step.full or all(array.shape == streams[0].shape for array in streams):
            return True
        try:
            _shape_of(step, [array.shape for array in streams])
        except ValueError:
            return False
        return True
    found = set()
    try:
        whole = _shape_of(step, [array.shape for array in streams])
        for target, reads, kept in zip(step.targets, step.reads, step.kept, strict=True):
            shape = np.broadcast_shapes(*(streams[k].shape for k in reads))
            if target.slot in slots and not step.region.reduced:
                own = target.array(slots).shape
                if len(shape) > len(own) or any(n not in (1, m) for n, m in zip(shape[::-1], own[::-1], strict=False)):
                    return False
                shape = own
            found.add(shape)
            if target.slot in slots and step.region.reduced and not kept:
                if _target_array(step, target, slots).shape != shape:
                    return False
        for places in step.full:
            shape = _shape_of(step, [streams[k].shape for k in places])
            if any(shape[axis] != whole[axis] for axis in step.region.reduced):
                return False
    except ValueError:
        return False
    return len(step.targets) == 1 or len(found) == 1


def _shape_of(step: RegionStep, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return np.broadcast_shapes((1,) * step.rank, *shapes)


def _together(step: RegionStep, slots: dict[str, Any]) -> bool:
    """Whether a region may compute its statements at once: over one shape, and none changes what another one reads."""
    if not _one_shape(step, slots):
        return False
    targets = [(target, target.array(slots)) for target in step.targets if target.slot in slots]
    sources = [(source, source.array(slots)) for source in step.sources if source.length is None]
    for k, (target, out) in enumerate(targets):
        for other, array in (*targets[k + 1 :], *sources):
            # The same view of the same slot is read before.
            if (target.slot != other.slot or target.views != other.views) and share_memory(out, array):
                return False
    return True


def _fitting(step: RegionStep, streams: Sequence[Any], slots: dict[str, Any]) -> tuple[int, ...]:
    """The shape that a region's sources broadcast to, once it is sure to fit the targets'."""
    shape = broadcast([(source.slot, array.shape) for source, array in zip(step.sources, streams, strict=True)])
    # An axis that no source has is one that the value made, of length 1, or one that only the target has.
    made = max(step.rank if step.region.reduced else assign.value.type.rank for assign in step.assigns)
    shape = (1,) * (made - len(shape)) + shape
    for target, assign, kept in zip(step.targets, step.assigns, step.kept, strict=True):
        wanted = _kept_shape(step, shape) if kept else shape
        if target.slot in slots:
            out = _target_array(step, target, slots).shape
            lengths = zip(reversed(wanted), reversed(out), strict=False)
            if len(wanted) > len(out) or any(n not in (1, m) for n, m in lengths):
                raise ShapeMismatch(
                    f"{target.slot} has shape {slots[target.slot].shape}: "
                    f"expected {_target_shape(step, assign, kept, shape)}"
                )
        elif len(shape) != step.rank or (target.views and not step.region.reduced):
            raise ShapeMismatch(f"the shape of {target.slot} is not known: expected it to be given as out")
    return shape


def _target_array(step: RegionStep, target: Source, slots: dict[str, Any]) -> Any:
    """The array that a target is, with the first axes of the shape that its region reduces, of length 1."""
    array = target.array(slots)
    return array[(None,) * (step.rank - array.ndim)] if step.region.reduced else array


def _kept_shape(step: RegionStep, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if axis in step.region.reduced else n for axis, n in enumerate(shape))


def _target_shape(step: RegionStep, assign: Assign, kept: bool, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what a statement assigns, of the shape that its region walks."""
    if assign.target.type.rank < len(shape):
        return tuple(n for axis, n in enumerate(shape) if axis not in step.region.reduced)
    return _kept_shape(step, shape) if kept else shape


def _run_region(step: RegionStep, slots: Slots) -> None:
    """Run one region; recorded where it ran as it stands: by its code, and with no array copied."""
    streams = [source.array(slots) for source in step.sources]
    shape = _fitting(step, streams, slots)
    outs: list[Any] = []
    spread: list[tuple[Any, Any]] = []
    for assign, target, kept in zip(step.assigns, step.targets, step.kept, strict=True):
        if target.slot not in slots:
            over = slots.get(step.reuses)
            if over is not None and over.shape == shape and over.dtype == assign.target.type.element.dtype:
                slots[target.slot] = over
            else:
                slots[target.slot] = slots.new(target.slot, _allocated(step, streams, assign, kept, shape))
        out = _target_array(step, target, slots)
        if kept and out.shape != _kept_shape(step, shape):
            # What the reductions give is assigned along more axes than they keep.
            first = np.empty(_kept_shape(step, shape), out.dtype)
            spread.append((out, first))
            out = first
        elif (step.region.reduced or len(step.targets) > 1) and not kept and out.shape != shape:
            whole = np.empty(shape, out.dtype)
            spread.append((out, whole))
            out = whole
        outs.append(out)
    if not step.region.reduced:
        shape = outs[0].shape
    copied = bool(spread)
    for k, array in enumerate(streams if step.region.reduced or len(outs) > 1 else ()):
        if any(_partly_overlaps(array, out) for out in outs):
            streams[k] = array.copy(order="K")
            copied = True
    for k, array in _turned(step, streams, outs, shape):
        streams[k] = array
        copied = True
    ran = step.region.execute([*streams, *outs], _partly_overlaps, shape)
    if ran != 1 or copied:
        slots.recording.stop()
    if not ran:
        _interpret(step, slots)
        return
    for out, value in spread:
        np.copyto(out, value)
    slots.recording.region(step, [*streams, *outs], shape, slots)


def _plain_streams(step: RegionStep, slots: dict[str, Any]) -> tuple[list[Any], tuple[int, ...]] | None:
    """The arrays that a region runs on as they are, and the shape it goes over; None where one is to be made first."""
    if not all(target.slot in slots for target in step.targets):
        return None
    if (len(step.targets) > 1 or step.full) and not _together(step, slots):
        return None
    streams = [source.array(slots) for source in step.sources]
    shape = _fitting(step, streams, slots)
    outs = [_target_array(step, target, slots) for target in step.targets]
    for out, kept in zip(outs, step.kept, strict=True):
        if kept and out.shape != _kept_shape(step, shape):
            return None
        if (step.region.reduced or len(outs) > 1) and not kept and out.shape != shape:
            return None
    return [*streams, *outs], shape if step.region.reduced else outs[0].shape


def _turned(
    step: RegionStep, streams: Sequence[Any], outs: Sequence[Any], shape: tuple[int, ...]
) -> list[tuple[int, Any]]:
    """Small streams, copied so that they lie along the axis that the output does and not along a short reduced one.

    Of squared distances of 100,000 points from 32 centroids in 16 dimensions each fold took in 16 elements: 96 ms.
    With the centroids turned the 32 sums lie side by side: 8.
    """
    if len(step.region.reduced) != 1 or math.prod(shape) < _TURNED_FROM:
        return []
    (reduced,) = step.region.reduced
    size = outs[0].itemsize
    kept = next((k for k in range(step.rank) if k != reduced and outs[0].strides[k] == size and shape[k] >= 8), None)
    if kept is None or not 1 < shape[reduced] <= _SHORT:
        return []
    found = []
    for number, array in enumerate(streams):
        near, far = reduced - step.rank, kept - step.rank
        if array.ndim < -far or array.shape[far] == 1 or array.strides[far] == array.itemsize:
            continue
        if array.size * 16 > math.prod(shape) or array.ndim < -near:
            return []
        found.append((number, np.moveaxis(np.ascontiguousarray(np.moveaxis(array, far, -1)), -1, far)))
    return found


def _interpret(step: RegionStep, slots: dict[str, Any]) -> None:
    operands = list(dict.fromkeys(n for n in postorder(step.assigns) if isinstance(n, Operand)))
    made = [o for o in operands if o.name not in slots]
    region = Program("region", [o for o in operands if o.name in slots], step.assigns, made)
    slots.update(_interpreted(region, {o.name: slots[o.name] for o in operands if o.name in slots}))


def _allocated(step: RegionStep, streams: Sequence[Any], assign: Assign, kept: bool, shape: tuple[int, ...]) -> Any:
    """A new array for a target, its axes in memory as the sources' are."""
    dtype = assign.target.type.element.dtype
    if not kept:
        return allocate_like(list(streams), shape, dtype)
    reduced = step.region.reduced
    items = [slice(0, 1) if axis in reduced else slice(None) for axis in range(step.rank)]
    first = [array[tuple(items[step.rank - array.ndim :])] for array in streams if array.ndim]
    array = allocate_like(first, _kept_shape(step, shape), dtype)
    return array if assign.target.type.rank == len(shape) else array.squeeze(axis=reduced)


def _interpreted(program: Program, arrays: dict[str, Any]) -> dict[str, Any]:
    # Few programs need it, and no other's first result waits for its import.
    from ..interpret import interpret

    return interpret(program, arrays)


def _partly_overlaps(array: Any, out: Any) -> bool:
    if not np.may_share_memory(array, out):
        return False
    if (
        (array.size == out.size == 1 or (array.shape == out.shape and array.strides == out.strides))
        and array.itemsize == out.itemsize
        and array.__array_interface__["data"] == out.__array_interface__["data"]
    ):
        return False
    return share_memory(array, out)


def _product_shape(step: ArrayStep, arrays: Sequence[Any]) -> tuple[int, ...]:
    """The shape of a matrix product; a vector is a row on the left and a column on the right."""
    left, right = (a.shape for a in arrays)
    rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
    if left[-1] != right[-2 if len(right) > 1 else -1]:
        raise _no_product(step, arrays)
    batch = broadcast([(s.slot, a.shape[:-2]) for s, a in zip(step.sources, arrays, strict=True)])
    return (*batch, *rows, *columns)


def _product(node: Node, left: Any, right: Any) -> Any:
    """The product of matrices, or the sum of products over some of the axes before theirs, which is one as well."""
    if isinstance(node, Contract):
        if left.ndim > 2 == right.ndim and left.flags.c_contiguous and left.shape[-1] == right.shape[0]:
            # As one product: each of a few rows takes a call of BLAS.
            rows = math.prod(left.shape[:-1])
            return np.matmul(left.reshape(rows, left.shape[-1]), right).reshape(*left.shape[:-1], right.shape[-1])
        return np.matmul(left, right)
    assert isinstance(node, Reduce)
    batch = left.ndim - 2
    if left.ndim != right.ndim or any(left.shape[k] != right.shape[k] for k in node.axes):
        return np.add.reduce(np.matmul(left, right), axis=node.axes, dtype=node.type.element.dtype)
    if left.shape[-1] != right.shape[-2]:
        raise ValueError("the matrices do not contract")
    kept = [k for k in range(batch) if k not in node.axes]
    left = left.transpose(*kept, batch, *node.axes, batch + 1)
    right = right.transpose(*kept, *node.axes, batch, batch + 1)
    rows, columns = left.shape[: len(kept) + 1], right.shape[-1]
    summed = math.prod(left.shape[len(kept) + 1 :])
    return np.matmul(left.reshape(*rows, summed), right.reshape(*right.shape[: len(kept)], summed, columns))


def _no_product(step: ArrayStep, arrays: Sequence[Any]) -> ShapeMismatch:
    left, right = (f"{s.slot} {a.shape}" for s, a in zip(step.sources, arrays, strict=True))
    return ShapeMismatch(f"{left} and {right} do not contract")


def _run_array(step: ArrayStep, slots: dict[str, Any]) -> Any:
    arrays = [source.array(slots) for source in step.sources]
    node = step.node
    if is_contraction(node):
        try:
            return np.asarray(_product(node, *arrays))
        except ValueError:
            raise _no_product(step, arrays) from None
    assert isinstance(node, Reduce)
    axis = node.axes if node.op.arity == 2 else node.axes[0] if len(node.axes) == 1 else None
    function = getattr(np, node.op.reduction or "")
    try:
        if node.op.arity == 1:
            return np.asarray(function(arrays[0], axis=axis, keepdims=node.keepdims))
        # NumPy would sum small integers as int64: the program has said what it wants by casts.
        dtype = node.type.element.dtype
        return np.asarray(function.reduce(arrays[0], axis=axis, dtype=dtype, keepdims=node.keepdims))
    except ValueError as error:
        raise ShapeMismatch(f"{node.op.name} over shape {arrays[0].shape} of {step.sources[0].slot}: {error}") from None
