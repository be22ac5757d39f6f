"""Running a plan on a GPU: arrays of the device as NumPy arrays that nobody reads, launches, and what lies between.

A device array is handled as a NumPy array over the device's address: its shape, strides, views and overlaps are looked
at, its elements never are. So the steps of a plan mean what they mean on the host.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ...target import Gpu
from ..assumption import share_memory
from ..errors import ArrayExprError, ShapeMismatch, TypeMismatch, UnsupportedError
from ..nodes import Assign, Extent, Node, Operand, Reduce, postorder
from ..primitives import EXTREME_AT
from ..program import Program, assigned_operand
from ..record import record, replace
from ..types import ElementType, element, real_of
from .devicesteps import extreme_at, run_step
from .dispatch import walks_itself
from .launches import (
    WIDEST,
    Choice,
    Problem,
    Stream,
    astray,
    choose,
    kept_first,
    key_of,
    problem_of,
    program_of,
    raises,
)
from .plan import ArrayStep, Plan, RegionStep
from .replay import Recorder, Tape
from .runtime import (
    _as_array,
    _fitting,
    _kept_shape,
    _limits,
    _partly_overlaps,
    _target_array,
    _target_shape,
    _together,
)
from .work import Work


class Device(Protocol):
    """What a runtime of a GPU does for us. Addresses are whole numbers; `allocate` gives what keeps them alive."""

    name: str
    gpu: Gpu

    def source(self, program: Program, values: Sequence[str], wide: bool) -> Any: ...
    def load(self, source: Any) -> list[Any]: ...
    def allocate(self, size: int) -> tuple[int, Any]: ...
    def launch(self, function: Any, blocks: int, lanes: int, arguments: Sequence[Any]) -> None: ...
    def put(self, address: int, data: Any) -> None: ...
    def get(self, address: int, data: Any) -> None: ...
    def array(self, value: Any) -> Any | None: ...
    def follow(self, stream: int) -> None: ...
    def fresh(self, shape: tuple[int, ...], dtype: Any, order: Sequence[int], like: Any) -> tuple[Any, int]: ...
    def new(self, shape: tuple[int, ...], dtype: Any, order: Sequence[int], like: Any) -> tuple[Any, Any]: ...
    def handed(self, made: Any, like: Any) -> Any: ...
    def lacks(self, element: ElementType) -> str: ...


class _Interface:
    """Says where an array lies, to NumPy; and keeps alive what holds it."""

    def __init__(self, interface: dict[str, Any], owner: Any):
        self.__array_interface__ = interface
        self.owner = owner


def shadow(address: int, shape: Sequence[int], strides: Sequence[int], dtype: Any, owner: Any = None) -> Any:
    """A NumPy array over a device's address: to be looked at, never read."""
    kind = np.dtype(dtype)
    if 0 in shape:
        # NumPy takes no address for one of no elements.
        return np.ndarray(tuple(shape), kind, b"", 0, None)
    interface = {
        "shape": tuple(map(int, shape)),
        "strides": tuple(map(int, strides)),
        "typestr": kind.str,
        "data": (int(address), False),
        "version": 3,
    }
    return np.asarray(_Interface(interface, owner))


@record
class Launch:
    """One kernel of a region, ready to be given numbers."""

    function: Any
    kernel: Any


class Code:
    """A region's kernels for one signature."""

    def __init__(self, program: Program, choice: Choice, source: Any, functions: Sequence[Any], wide: bool):
        self.program = program
        self.choice = choice
        self.source = source
        self.wide = wide
        self.launches = [Launch(f, kernel) for f, kernel in zip(functions, source.kernels, strict=True)]


class DeviceRuntime:
    """Runs one plan on a device, for arguments that live there, or on the host."""

    def __init__(self, plan: Plan, device: Device):
        self.plan = plan
        self.program = plan.program
        self.device = device
        self.limits = _limits(self.program)
        self.assigned = {assigned_operand(n.target).name for n in self.program.nodes() if isinstance(n, Assign)}
        self.otherwise: Callable[[], DeviceRuntime] | None = None
        if plan.otherwise is not None:
            unfused = plan.otherwise
            made: list[DeviceRuntime] = []

            def otherwise() -> DeviceRuntime:
                if not made:
                    made.append(DeviceRuntime(unfused(), device))
                return made[0]

            self.otherwise = otherwise
        self.known: dict[Any, Code] = {}
        #: Code by all that decides it and by the numbers of a call, but for addresses.
        self.prepared: dict[Any, tuple[Code, tuple[Problem, list[int]]]] = {}
        self.early = plan.early()
        #: Places along axes, which lie on the device for good.
        self.counted: dict[tuple[int, int], tuple[Any, int, int]] = {}
        #: Whether calls may be remembered: the host decides nothing by what it finds in memory.
        self.remembers = all(isinstance(step, RegionStep | ArrayStep) for step in plan.steps)

    def codes(self) -> list[Code]:
        """Every code made so far."""
        return list(self.known.values())

    def run(self, args: Sequence[Any], out: Any = None, remember: Callable[[Tape], None] | None = None) -> Any:
        """The results for arguments, in the library of the arguments; one, a tuple, or None.

        `remember` is told what a call did that others may do again.
        """
        program = self.program
        if len(args) != len(program.operands):
            names = ", ".join(operand.name for operand in program.operands) or "none"
            raise TypeError(f"{program.name} takes {len(program.operands)} operands ({names}): got {len(args)}")
        call = _Call(self, args, out)
        if self.otherwise is not None and program.assumption is not None:
            if not program.assumption.holds({o.name: call.slots[o.name] for o in program.operands}):
                return self.otherwise().run(args, out)
        call.set_apart()
        call.steps(self.plan.steps)
        results = call.finish()
        if remember is not None and self.remembers:
            tape = call.tape([*args, *(() if out is None else out if isinstance(out, tuple) else (out,))])
            if tape is not None:
                remember(tape)
        return results


class _Call:
    """One call: the arrays by name, and what has to be done at its end."""

    def __init__(self, runtime: DeviceRuntime, args: Sequence[Any], out: Any):
        self.runtime = runtime
        self.device = runtime.device
        self.program = runtime.program
        #: What keeps device memory alive.
        self.alive: list[Any] = []
        self.recorder = Recorder()
        #: Of results that were made: where they lie, and what they are.
        self.made: dict[str, tuple[int, int, tuple[Any, ...]]] = {}
        self.slots: dict[str, Any] = {}
        #: Scalars that launches were given, by the address of the host's arrays that they are of.
        self.passed: dict[int, list[Any]] = {}
        #: Results in the caller's library, by name; and those of them that were made, not given.
        self.given: dict[str, Any] = {}
        self.ours: set[str] = set()
        #: Host arrays that the call writes, and where they lie on the device.
        self.back: list[tuple[Any, Any]] = []
        self.spans: list[tuple[int, int, int]] = []
        #: Results, and what holds them until the end.
        self.later: list[tuple[Any, Any]] = []
        results = self.program.results
        outs = (None,) * len(results) if out is None else out if isinstance(out, tuple) else (out,)
        if len(outs) != len(results):
            raise TypeError(f"{self.program.name} has {len(results)} results: out has {len(outs)}")
        pairs = [*zip(self.program.operands, args, strict=True), *zip(results, outs, strict=True)]
        placed = [self.device.array(value) for _, value in pairs]
        #: Where arguments lie, and what was given for results.
        self.placed = [p for (_, value), p in zip(pairs, placed, strict=True) if value is not None]
        self.on_device = any(p is not None for p in placed)
        self.like = next((value for (_, value), p in zip(pairs, placed, strict=True) if p is not None), None)
        host: list[tuple[Operand, Any]] = []
        for (operand, value), there in zip(pairs, placed, strict=True):
            result = operand in results
            if result and value is None:
                continue
            t = operand.type.element
            lacking = self.device.lacks(t)
            if lacking:
                raise UnsupportedError(f"operand {operand.name} is {t}: {self.device.name} lacks {lacking}")
            if there is not None:
                if (result or operand.name in runtime.assigned) and not there.flags.writeable:
                    raise ValueError(f"operand {operand.name} is assigned to and its array is read-only")
                self.slots[operand.name] = self._checked(operand, there)
                if result:
                    self.given[operand.name] = value
                continue
            if result:
                array = self._checked(operand, _host_out(operand, value))
                self.given[operand.name] = value
            else:
                array = _as_array(value, operand, runtime.limits[operand.name])
            if operand.type.rank == 0 and not result:
                self.slots[operand.name] = array
                continue
            if self.on_device:
                raise TypeMismatch(
                    f"operand {operand.name} lies in the host's memory and others on {self.device.name}: "
                    "expected all of them on one device"
                )
            host.append((operand, array))
        self._move(host)

    def _checked(self, operand: Operand, array: Any) -> Any:
        t = operand.type
        if array.dtype.newbyteorder("=") != t.element.dtype:
            raise TypeMismatch(f"operand {operand.name} has element type {array.dtype}: expected {t.element}")
        if array.ndim != t.rank:
            raise ShapeMismatch(
                f"operand {operand.name} has {array.ndim} axes (shape {array.shape}): expected {t.rank}"
            )
        return array

    def _move(self, host: Sequence[tuple[Operand, Any]]) -> None:
        """Bring host arrays to the device, those that share memory as one."""
        moved: list[tuple[Operand, Any, Any]] = []
        for operand, array in host:
            aligned = all(s % array.itemsize == 0 for s in array.strides)
            if not (array.dtype.isnative and array.flags.aligned and aligned):
                moved.append((operand, array, np.array(array, operand.type.element.dtype, order="C")))
            else:
                moved.append((operand, array, array))
        bounds = sorted(np.lib.array_utils.byte_bounds(each) for _, _, each in moved if each.size)
        merged: list[list[int]] = []
        for low, high in bounds:
            if merged and low < merged[-1][1]:
                merged[-1][1] = max(high, merged[-1][1])
            else:
                merged.append([low, high])
        for low, high in merged:
            # At the same place within a line of memory, so that what is aligned stays so.
            before = low % 256
            address, owner = self.device.allocate(before + high - low)
            self.alive.append(owner)
            self.spans.append((low, high, address + before))
        for low, high, address in self.spans:
            self.device.put(address, _bytes_at(low, high - low))
        written = {o.name for o in self.program.results} | self.runtime.assigned
        for operand, array, each in moved:
            place = self._address(each)
            self.slots[operand.name] = shadow(place, each.shape, each.strides, each.dtype)
            self.alive.append(each)
            if operand.name in written:
                if not array.flags.writeable:
                    raise ValueError(f"operand {operand.name} is assigned to and its array is read-only")
                self.back.append((array, each))

    def _address(self, array: Any) -> int:
        if not array.size:
            return 0
        at = array.__array_interface__["data"][0]
        low, high, address = next(span for span in self.spans if span[0] <= at < span[1])
        return int(address + at - low)

    def set_apart(self) -> None:
        """Give results that would overwrite what is still read, or one another, memory of their own meanwhile."""
        results = {operand.name for operand in self.program.results} & self.slots.keys()
        for name in results:
            out = self.slots[name]
            others = [a for other, a in self.slots.items() if other != name and a.ndim + a.size > 1]
            twice = any(share_memory(out, self.slots[other]) for other in results if other != name)
            early = name in self.runtime.early and any(share_memory(out, array) for array in others)
            if (early or twice or walks_itself(out)) and out.size:
                made = self.temporary(out.shape, out.dtype)
                self.assign(made, out)
                self.slots[name] = made
                self.later.append((out, made))

    # -- steps --

    def steps(self, steps: Sequence[Any]) -> None:
        goals = {step.moves: step.targets[0].slot for step in steps if isinstance(step, RegionStep) and step.moves}
        for step in steps:
            if not isinstance(step, RegionStep):
                goal = goals.get(getattr(step, "slot", ""), "")
                run_step(self, step, goal if goal and goal not in self.slots else "")
                if goal in self.slots:
                    self.slots.setdefault(step.slot, self.slots[goal])
            elif step.moves and step.targets[0].slot not in self.slots:
                self.slots[step.targets[0].slot] = self.slots[step.moves]
            elif step.moves and self.slots[step.targets[0].slot] is self.slots[step.moves]:
                continue
            elif (len(step.targets) > 1 or step.full) and not _together(step, self.slots):
                self.steps(step.alone())
            else:
                self.region(step)

    def region(self, step: RegionStep) -> None:
        slots = self.slots
        streams = [source.array(slots) for source in step.sources]
        shape = _fitting(step, streams, slots)
        outs, spread = [], []
        for assign, target, kept in zip(step.assigns, step.targets, step.kept, strict=True):
            if target.slot not in slots:
                made = _target_shape(step, assign, kept, shape)
                slots[target.slot] = self.new(target.slot, made, assign.target.type.element.dtype, streams)
            out = _target_array(step, target, slots)
            wanted = _kept_shape(step, shape) if kept else shape if step.region.reduced or len(step.targets) > 1 else ()
            if wanted and out.shape != wanted:
                first = self.temporary(wanted, out.dtype)
                spread.append((out, first))
                out = first
            elif walks_itself(out):
                first = self.temporary(out.shape, out.dtype)
                spread.append((out, first))
                out = first
            outs.append(out)
        if not step.region.reduced:
            shape = outs[0].shape
        for k, array in enumerate(streams):
            if any(_partly_overlaps(array, out) for out in outs):
                streams[k] = self.copy(array)
        values, inputs, outputs = (tuple(part) for part in step.region.build.schedule.args[:3])
        work = Work(values, inputs, outputs, streams, outs, shape, tuple(step.region.reduced))
        places = [n for n in postorder(values) if isinstance(n, Reduce) and n.op.name in EXTREME_AT]
        if places and values[0] is places[0] and len(values) == 1 and work.reduced:
            extreme_at(self, work)
            for out, value in spread:
                self.assign(out, value)
            return
        if places or not self._at_once(step, work):
            self.steps(step.alone())
            return
        self.compute(work)
        for out, value in spread:
            self.assign(out, value)

    def _at_once(self, step: RegionStep, work: Work) -> bool:
        """Whether one launch computes a region, or chunks of the one reduction that it is."""
        first = work.values[0]
        if not work.reduced or isinstance(first, Reduce) and len(work.values) == 1 and step.kept[0]:
            return not isinstance(first, Reduce) or not any(isinstance(n, Reduce) for n in postorder(first.args))
        problem = problem_of(work.arrays, work.shape, work.reduced, len(work.outs))
        if not problem.reduced:
            return True
        if kept_first(work.streams, work.shape, work.reduced) is not None:
            return False
        return not dict(choose(problem, work.values, self.device.gpu).options).get("chunk")

    def new(self, name: str, shape: tuple[int, ...], dtype: Any, streams: Sequence[Any]) -> Any:
        """A new array; a result's is one of the caller's library."""
        order = _order_of(streams, shape)
        if self.on_device and any(o.name == name for o in self.program.results):
            made, array = self.device.new(shape, dtype, order, self.like)
            self.given[name] = made
            self.ours.add(name)
            if array.size:
                self.made[name] = (
                    _address(array),
                    _address(array) + array.nbytes,
                    (shape, np.dtype(dtype), tuple(order)),
                )
            return array
        return self.temporary(shape, dtype, order)

    def new_slot(self, name: str, shape: tuple[int, ...], dtype: Any, streams: Sequence[Any]) -> None:
        """Give a slot a new array."""
        self.slots[name] = self.new(name, shape, dtype, streams)

    def overlaps(self, out: Any, others: Sequence[Any]) -> bool:
        """Whether an array shares memory with others."""
        return any(share_memory(out, other) for other in others)

    def seen(self, array: Any) -> Any:
        """A scalar that the host may read."""
        if _on_host(array):
            return array
        self.recorder.whole = False
        there = np.empty((), array.dtype)
        self.device.get(_address(array), _bytes_at(there.ctypes.data, there.nbytes))
        return there

    def counted(self, length: int, step: int) -> Any:
        """0, step, 2 * step, ... on the device."""
        known = self.runtime.counted.get((length, step))
        if known is None:
            self.recorder.whole = False
            values = np.arange(length, dtype=np.int64) * step
            address, owner = self.device.allocate(values.nbytes)
            self.device.put(address, values.view(np.uint8))
            known = owner, address, values.nbytes
            self.runtime.counted[length, step] = known
        return shadow(known[1], (length,), (8,), np.int64, known[0])

    def tape(self, values: Sequence[Any]) -> Tape | None:
        """What the call did on arguments, and on those given for results, where another one may do it again."""
        if not (self.on_device and self.recorder.whole and not self.spans):
            return None
        arguments: list[tuple[int, int, int]] = []
        for place in self.placed:
            if place is None:
                arguments.append((0, 0, 0))
                continue
            if not place.size:
                return None
            low, high = np.lib.array_utils.byte_bounds(place)
            arguments.append((low, high, _address(place)))
        number = len(self.program.operands)
        given = []
        for operand in self.program.results:
            given.append(-1 if operand.name in self.made else number)
            number += given[-1] >= 0
        if number != len(values):
            return None
        results = [self.made[o.name] for o in self.program.results if o.name in self.made]
        if any(first % WIDEST for first, _, _ in results):
            return None
        like = next(k for k, value in enumerate(values) if value is self.like)
        kept = [(address, address + size) for _, address, size in self.runtime.counted.values()]
        return self.recorder.tape(self.device, like, arguments, given, results, kept, self.scalars())

    def scalars(self) -> dict[int, tuple[int, Callable[[Any], Any]]]:
        """The arguments of launches that are scalars of the caller's: which, and how they are made of what is given."""
        found: dict[int, tuple[int, Callable[[Any], Any]]] = {}
        for number, operand in enumerate(self.program.operands):
            for each in self.passed.get(_address(self.slots[operand.name]), ()):
                limits = self.runtime.limits[operand.name]
                found[id(each)] = number, functools.partial(_scalar_of, operand, limits)
        return found

    def temporary(self, shape: tuple[int, ...], dtype: Any, order: Sequence[int] = ()) -> Any:
        kind = np.dtype(dtype)
        size = max(1, math.prod(shape)) * kind.itemsize
        address, owner = self.device.allocate(size)
        self.alive.append(owner)
        self.recorder.memories.append((address, address + size))
        return shadow(address, shape, strides_in(shape, kind.itemsize, order or range(len(shape))), kind)

    def copy(self, array: Any, order: Sequence[int] = ()) -> Any:
        """The same elements in memory of their own, its axes in an order, or as they are."""
        if len(order) != array.ndim:
            order = sorted(range(array.ndim), key=lambda k: -abs(array.strides[k]))
        made = self.temporary(array.shape, array.dtype, order)
        self.assign(made, array)
        return made

    def assign(self, target: Any, value: Any) -> None:
        stream, out = (Operand(name, element(target.dtype)) for name in ("x", "r"))
        self.compute(Work((stream,), (stream,), (out,), [value], [target], target.shape))

    def compute(self, work: Work) -> None:
        """Compute values over streams into arrays."""
        values, shape, reduced = work.values, work.shape, work.reduced
        if any(shape[k] == 0 for k in reduced):
            _refuse_empty(values, shape, reduced)
            # Nothing is read of what has no elements, but it lies somewhere.
            somewhere = [a if a.size else self.temporary((1,) * a.ndim, a.dtype) for a in work.streams]
            work = replace(work, streams=somewhere)
        if len(values) == 1 and isinstance(values[0], Reduce):
            first = kept_first(work.streams, shape, reduced)
            if first is not None:
                self._in_two(work, first)
                return
        arrays = work.arrays
        known = self.runtime.prepared
        layouts = tuple([(a.shape, a.strides, _address(a) % 16, _on_host(a)) for a in arrays])
        key = values, work.outputs, shape, reduced, layouts, work.product
        found = known.get(key)
        if found is not None:
            code, (problem, shifts) = found
            streams_now = [
                replace(s, address=_address(a) + d) for s, a, d in zip(problem.streams, arrays, shifts, strict=True)
            ]
            self.launch(code, replace(problem, streams=tuple(streams_now)), arrays, raises(values))
            return
        for node in postorder(values):
            if node.type is not None:
                for t in {node.type.element, real_of(node.type.element)}:
                    lacking = self.device.lacks(t)
                    if lacking:
                        raise UnsupportedError(f"{node!r} is {t}: {self.device.name} lacks {lacking}")
        if not all(out.size for out in work.outs):
            return
        problem = problem_of(arrays, shape, reduced, len(work.outs))
        choice = choose(problem, values, self.device.gpu, work.product)
        across = astray(problem, choice)
        if across:
            straight = [a for k, a in enumerate(work.streams) if k not in across]
            order = _order_of(straight, shape)
            moved = [self.copy(a, order) if k in across else a for k, a in enumerate(work.streams)]
            self.compute(replace(work, streams=moved))
            return
        chunk = dict(choice.options).get("chunk")
        if chunk:
            self._in_chunks(work, problem, choice, chunk)
            return
        code = self.code(work, problem, choice)
        self.launch(code, problem, arrays, raises(values))
        known[key] = code, _shifts(problem, arrays)

    def _in_two(self, work: Work, first: int) -> None:
        """Reduce over all axes but one, and then over that one."""
        others = tuple(k for k in work.reduced if k != first)
        shape = tuple(1 if k in others else n for k, n in enumerate(work.shape))
        made = self.temporary(shape, work.outs[0].dtype)
        self.compute(replace(work, outs=[made], reduced=others))
        self.compute(_once_more(work, made, work.outs[0], (first,)))

    def _in_chunks(self, work: Work, problem: Problem, choice: Choice, chunk: int) -> None:
        """Reduce chunks of rows, each by a block of its own, and then what they gave."""
        (out,) = work.outs
        count = -(-problem.lengths[problem.reduced[-1]] // chunk)
        kept = [problem.lengths[k] for k in problem.kept]
        made = self.temporary((count, *kept), out.dtype)
        stored = problem.streams[-1]
        # The chunk's number is the place along the reduced axis.
        strides = [0] * len(problem.lengths)
        for k, step in zip((problem.reduced[-1], *problem.kept), made.strides, strict=True):
            strides[k] = step
        parts = Stream(_address(made), tuple(strides), stored.itemsize)
        first = replace(problem, streams=(*problem.streams[:-1], parts))
        code = self.code(work, first, choice)
        self.launch(code, first, [*work.streams, made], raises(work.values))
        rest = shadow(stored.address, (1, *kept), (0, *(stored.strides[k] for k in problem.kept)), out.dtype, owner=out)
        self.compute(_once_more(work, made, rest, (0,)))

    def code(self, work: Work, problem: Problem, choice: Choice) -> Code:
        # What lies on the host is a number, given by value.
        given = frozenset(o.name for o, a in zip(work.inputs, work.streams, strict=True) if a.size == 1 and _on_host(a))
        key = work.values, work.inputs, work.outputs, key_of(problem, choice, given)
        known = self.runtime.known.get(key)
        if known is None:
            wide = problem.wide()
            program = program_of(work.values, work.inputs, work.outputs, problem, choice, given, self.device.gpu)
            source = self.device.source(program, sorted(given), wide)
            for kernel in source.kernels:
                _check_kernel(kernel, self.device)
            known = Code(program, choice, source, self.device.load(source), wide)
            self.runtime.known[key] = known
        return known

    def launch(self, code: Code, problem: Problem, arrays: Sequence[Any], says: str) -> None:
        lengths = problem.lengths or (1,)
        extents: dict[Node, int] = {
            Extent(operand, axis): n
            for operand in code.program.declared
            if operand.type.rank
            for axis, n in enumerate(lengths)
        }
        index: Any = np.int64 if code.wide else np.int32
        flag = None
        for launch in code.launches:
            arguments: list[Any] = []
            for parameter in launch.kernel.parameters:
                stream = problem.streams[parameter.place]
                match parameter.kind:
                    case "pointer":
                        arguments.append(stream.address)
                    case "value":
                        value = arrays[parameter.place].reshape(())[()]
                        self.passed.setdefault(_address(arrays[parameter.place]), []).append(value)
                        arguments.append(value)
                        if value.dtype == bool:
                            # There are but two of them: which argument one was of cannot be told.
                            self.recorder.whole = False
                    case "length":
                        arguments.append(index(lengths[parameter.axis]))
                    case "stride":
                        arguments.append(index(stream.strides[parameter.axis] if problem.lengths else 0))
                    case _:
                        if flag is None:
                            self.recorder.whole = False
                            flag, owner = self.device.allocate(4)
                            self.alive.append(owner)
                            self.device.put(flag, np.zeros(4, np.uint8))
                        arguments.append(flag)
            blocks = math.prod(-(-_number(n, extents) // step) for n, step in launch.kernel.blocks)
            if blocks >= 1 << 31:
                raise UnsupportedError(f"{blocks} blocks of {self.program.name}: expected fewer than {1 << 31}")
            if blocks:
                self.recorder.launch(launch.function, blocks, launch.kernel.lanes, arguments)
                self.device.launch(launch.function, blocks, launch.kernel.lanes, arguments)
        if flag is not None:
            told = np.zeros(4, np.uint8)
            self.device.get(flag, told)
            if told.any():
                raise ValueError(says)

    def finish(self) -> Any:
        """The results, once what the call wrote is back where it belongs."""
        for out, value in self.later:
            self.assign(out, value)
        for low, high, address in self.spans:
            inside = [
                (array, each)
                for array, each in self.back
                if each.size and low <= each.__array_interface__["data"][0] < high
            ]
            if inside:
                self.device.get(address, _bytes_at(low, high - low))
        for array, each in self.back:
            if array is not each:
                array[...] = each
        results = []
        for operand in self.program.results:
            if operand.name in self.given:
                known = self.given[operand.name]
                results.append(self.device.handed(known, self.like) if operand.name in self.ours else known)
                continue
            array = self.slots[operand.name]
            made: Any = np.empty(array.shape, array.dtype)
            if array.size:
                order = sorted(range(array.ndim), key=lambda k: -abs(array.strides[k]))
                made = np.empty([array.shape[k] for k in order], array.dtype).transpose(np.argsort(order))
                strides = strides_in(array.shape, array.itemsize, order)
                if tuple(strides[k] for k in range(array.ndim) if array.shape[k] > 1) != tuple(
                    array.strides[k] for k in range(array.ndim) if array.shape[k] > 1
                ):
                    array = self.copy(array)
                self.device.get(
                    array.__array_interface__["data"][0],
                    _bytes_at(made.__array_interface__["data"][0], array.size * array.itemsize),
                )
            results.append(made[()] if made.ndim == 0 else made)
        return None if not results else results[0] if len(results) == 1 else tuple(results)


def strides_in(shape: Sequence[int], size: int, order: Sequence[int]) -> tuple[int, ...]:
    """Byte strides of contiguous memory with the axes in an order, outermost first.

    >>> strides_in((2, 3), 8, (1, 0))
    (8, 16)
    """
    strides = [0] * len(shape)
    for axis in reversed(list(order)):
        strides[axis] = size
        size *= max(1, shape[axis])
    return tuple(strides)


def _order_of(streams: Sequence[Any], shape: tuple[int, ...]) -> list[int]:
    """The axes of a new array in memory: as the arrays that it is computed from have them, most bytes outermost."""
    weights = [0] * len(shape)
    for array in streams:
        if array.ndim == len(shape) == len([n for n, m in zip(array.shape, shape, strict=True) if n == m]):
            for k in range(array.ndim):
                weights[k] += abs(array.strides[k])
    return sorted(range(len(shape)), key=lambda k: -weights[k])


def _once_more(work: Work, made: Any, out: Any, reduced: tuple[int, ...]) -> Work:
    """The work that reduces what a reduction gave of parts."""
    (value,) = work.values
    assert isinstance(value, Reduce)
    stream = Operand("x", value.type.element)
    again = Reduce(value.op, stream, (), True)
    return Work((again,), (stream,), work.outputs, [made], [out], made.shape, reduced)


def _number(node: Node, extents: Mapping[Node, int]) -> int:
    found = extents.get(node)
    if found is None:
        value = getattr(node, "value", None)
        if value is None:
            raise ArrayExprError(f"internal error: {node!r} bounds a grid")
        return int(value)
    return found


def _scalar_of(operand: Operand, limits: tuple[int, int], given: Any) -> Any:
    """A scalar as launches take it."""
    return _as_array(given, operand, limits)[()]


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _shifts(problem: Problem, arrays: Sequence[Any]) -> tuple[Problem, list[int]]:
    """A problem, and how far from each array's first element its stream begins."""
    return problem, [s.address - _address(a) for s, a in zip(problem.streams, arrays, strict=True)]


def _on_host(array: Any) -> bool:
    """Whether a scalar is one of the host's, and not an element of a device array."""
    base = array
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    return not isinstance(base, _Interface)


def _bytes_at(address: int, size: int) -> Any:
    """Bytes of the host's memory as an array."""
    import ctypes

    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address)) if size else np.empty(0, np.uint8)


def _host_out(operand: Operand, array: Any) -> Any:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"out for {operand.name} is {type(array).__name__}: expected an array of the host or device")
    if not array.flags.writeable:
        raise ValueError(f"out for {operand.name} is read-only")
    return array


def _refuse_empty(values: Sequence[Node], shape: Sequence[int], reduced: Sequence[int]) -> None:
    """Refuse extremes of no elements, as NumPy does."""
    if any(shape[k] == 0 for k in reduced):
        for node in postorder(values):
            if isinstance(node, Reduce) and node.op.name in ("minimum", "maximum", "fmin", "fmax"):
                raise ShapeMismatch(f"{node.op.name} over shape {tuple(shape)}: it has no value for no elements")


def _check_kernel(kernel: Any, device: Device) -> None:
    gpu = device.gpu
    if kernel.local > gpu.local:
        raise UnsupportedError(
            f"a schedule of {kernel.name} needs {kernel.local} bytes of local memory: {device.name} has {gpu.local}"
        )
    if kernel.lanes > gpu.block:
        raise UnsupportedError(f"a block of {kernel.name} has {kernel.lanes} lanes: {device.name} takes {gpu.block}")
