"""Steps on a device that are no region: matrix products, places of extremes, windows, loops and guards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import UnsupportedError
from ..nodes import Apply, Cast, Constant, Contract, Node, Operand, Reduce, View, postorder
from ..ops import operator
from ..primitives import EXTREME_AT
from ..record import replace
from ..types import BOOL, INT64, element
from .guardstep import GuardStep
from .loopstep import LoopStep
from .plan import ArrayStep
from .runtime import _product_shape
from .serial import SerialStep
from .windowstep import WindowStep
from .work import Work

_LAST = Constant((1 << 63) - 1, INT64)


def run_step(call: Any, step: Any, name: str = "") -> None:
    """Run a step of a call; what it makes is the array of the slot `name`, or of its own.

    Raises UnsupportedError, naming the node, for what has no form on a device.
    """
    match step:
        case ArrayStep(node=Contract()):
            _product(call, step, name or step.slot)
        case ArrayStep(node=Reduce() as node) if node.op.name in EXTREME_AT:
            _extreme_step(call, step, node, name or step.slot)
        case ArrayStep(node=Reduce() as node) if node.type.element.name == "float16":
            _wider(call, step, node, name or step.slot)
        case ArrayStep(node=Reduce() as node) if node.op.arity == 2 and node.arg.type.element is node.type.element:
            _reduced(call, step, node, name or step.slot)
        case WindowStep():
            _no_cells(call, (n for view in step.views for n in view.args[1:]))
            call.slots[step.slot] = step.array(_Numbers(call))
        case LoopStep():
            _loop(call, step)
        case SerialStep(otherwise=LoopStep() as loop):
            _loop(call, loop)
        case GuardStep():
            _no_cells(call, (step.node.condition,))
            branch = step.taken(_Numbers(call))
            call.steps(branch.steps)
            for each in branch.own:
                call.slots.pop(each, None)
        case _:
            what = getattr(step, "node", step)
            raise UnsupportedError(f"{what!r} has no form on {call.device.name}: expected work on whole arrays")


# -- loops, and what they ask of scalars --


def _loop(call: Any, step: LoopStep) -> None:
    """A loop of the host over launches: its body's steps for each value of the index."""
    _no_cells(call, (step.node.start, step.node.stop, step.node.step))
    slots = call.slots
    values = step.range(_Numbers(call))  # type: ignore[arg-type]
    for number, k in enumerate(values):
        slots[step.index] = np.asarray(k, np.int64)
        if number == 0:
            call.steps(step.before)
        call.steps(step.steps)
        for name in step.renewed:
            slots.pop(name, None)
    for name in (*step.own, step.index):
        slots.pop(name, None)


def _no_cells(call: Any, nodes: Iterator[Node] | Sequence[Node]) -> None:
    """Refuse what the host would have to read out of an array of the device, to know where to go on."""
    for node in postorder(tuple(nodes)):
        if isinstance(node, View):
            raise UnsupportedError(
                f"{node!r} decides what is done next, and lies on {call.device.name}: expected a scalar of the host"
            )


class _Numbers(Mapping[str, Any]):
    """The slots of a call, for the host to read scalars of: those of the device are brought."""

    def __init__(self, call: Any):
        self.call = call

    def __getitem__(self, name: str) -> Any:
        array = self.call.slots[name]
        return self.call.seen(array) if array.ndim == 0 else array

    def __iter__(self) -> Iterator[str]:
        return iter(self.call.slots)

    def __len__(self) -> int:
        return len(self.call.slots)


# -- matrix products --


def _product(call: Any, step: ArrayStep, name: str) -> None:
    """A product of matrices: by the library that the caller's arrays are of, or else as a sum of products."""
    left, right = (source.array(call.slots) for source in step.sources)
    shape = _product_shape(step, (left, right))
    t = step.node.type.element
    if name not in call.slots:
        call.new_slot(name, shape, t.dtype, (left, right))
    out = call.slots[name]
    library = getattr(call.device, "product", None)
    if library is not None and out.size and left.shape[-1] and not call.overlaps(out, (left, right)):
        if library(left, right, out):
            call.recorder.whole = False
            return
    # Sums of half precision are of single precision.
    wide = element("float32") if t.name == "float16" else t
    fits = out.shape == shape and wide is t and not call.overlaps(out, (left, right))
    target = out if fits else call.temporary(shape, wide.dtype)
    rows = left[..., :, None, :] if left.ndim > 1 else left[None, None, :]
    columns = right.swapaxes(-1, -2)[..., None, :, :] if right.ndim > 1 else right[None, None, :]
    full = (
        *np.broadcast_shapes(rows.shape[:-3], columns.shape[:-3]),
        rows.shape[-3],
        columns.shape[-2],
        left.shape[-1],
    )
    # Vectors have no axis of their own in the result.
    goal = target[..., None, :] if left.ndim == 1 else target
    goal = goal[..., None] if right.ndim == 1 else goal
    x, y = (Operand(mark, source.type.element) for mark, source in zip("xy", step.node.args, strict=True))
    factors = [operand if operand.type.element is wide else Cast(operand, wide) for operand in (x, y)]
    multiply, add = ("logical_and", "logical_or") if t is BOOL else ("multiply", "add")
    value: Node = Reduce(operator(add), Apply(operator(multiply), tuple(factors)), (), True)
    streams = [np.broadcast_to(a, (1,) * (len(full) - a.ndim) + a.shape) for a in (rows, columns)]
    r = Operand("r", wide)
    last = (len(full) - 1,)
    call.compute(Work((value,), (x, y), (r,), streams, [goal[..., None]], full, last, product=True))
    if target is not out:
        z = Operand("z", wide)
        value = z if wide is t else Cast(z, t)
        call.compute(Work((value,), (z,), (Operand("r", t),), [target], [out], out.shape))


# -- reductions that the host leaves to NumPy --


def _result(call: Any, step: ArrayStep, node: Reduce, name: str) -> tuple[Any, Any, tuple[int, ...]]:
    """The array that a step reduces, its result with axes of one element kept, and the axes."""
    array = step.sources[0].array(call.slots)
    axes = {axis % array.ndim for axis in node.axes} if node.axes else set(range(array.ndim))
    full = tuple(1 if k in axes else n for k, n in enumerate(array.shape))
    shape = full if node.keepdims else tuple(n for k, n in enumerate(array.shape) if k not in axes)
    if name not in call.slots:
        call.new_slot(name, shape, node.type.element.dtype, (array,))
    return array, call.slots[name].reshape(full), tuple(sorted(axes))


def _reduced(call: Any, step: ArrayStep, node: Reduce, name: str) -> None:
    """A reduction of elements as they are."""
    array, out, axes = _result(call, step, node, name)
    x, r = (Operand(mark, node.type.element) for mark in "xr")
    target = call.temporary(out.shape, out.dtype) if call.overlaps(out, (array,)) else out
    call.compute(Work((Reduce(node.op, x, (), True),), (x,), (r,), [array], [target], array.shape, axes))
    if target is not out:
        call.assign(out, target)


def _wider(call: Any, step: ArrayStep, node: Reduce, name: str) -> None:
    """A reduction of half precision: of single precision, rounded once."""
    array, out, axes = _result(call, step, node, name)
    x = Operand("x", node.arg.type.element)
    single = element("float32")
    made = call.temporary(out.shape, np.float32)
    value = Reduce(node.op, Cast(x, single), (), True)
    call.compute(Work((value,), (x,), (Operand("r", single),), [array], [made], array.shape, axes))
    y = Operand("y", single)
    call.compute(
        Work((Cast(y, node.type.element),), (y,), (Operand("r", node.type.element),), [made], [out], out.shape)
    )


# -- places of extremes --


def _extreme_step(call: Any, step: ArrayStep, node: Reduce, name: str) -> None:
    """The place of an extreme over all axes."""
    array = step.sources[0].array(call.slots)
    kept = (1,) * array.ndim if node.keepdims else ()
    if name not in call.slots:
        call.new_slot(name, kept, node.type.element.dtype, (array,))
    x = Operand("x", node.arg.type.element)
    out = call.slots[name].reshape((1,) * array.ndim)
    value = Reduce(node.op, x, (), True)
    axes = tuple(range(array.ndim))
    extreme_at(call, Work((value,), (x,), (Operand("r", node.type.element),), [array], [out], array.shape, axes))


def extreme_at(call: Any, work: Work) -> None:
    """The first place of an extreme: the extreme in one reduction, the least place that has it in another.

    A NaN is the extreme where there is one, as for NumPy.
    """
    (value,) = work.values
    shape, reduced = work.shape, work.reduced
    assert isinstance(value, Reduce)
    t = value.arg.type.element
    best = call.temporary(tuple(1 if k in reduced else n for k, n in enumerate(shape)), t.dtype)
    found = Reduce(operator(EXTREME_AT[value.op.name]), value.arg, (), True)
    call.compute(replace(work, values=(found,), outputs=(Operand("r", t),), outs=[best]))
    taken = {operand.name for operand in work.inputs}
    most = Operand(_fresh("best", taken), t)
    test: Node = Apply(operator("equal"), (value.arg, most))
    if t.kind == "f":
        test = Apply(operator("logical_or"), (test, Apply(operator("not_equal"), (value.arg, value.arg))))
    place: Node | None = None
    steps: list[tuple[Operand, Any]] = []
    step = 1
    for k in sorted(reduced, reverse=True):
        if shape[k] > 1:
            each = Operand(_fresh(f"place{k}", taken), INT64)
            steps.append((each, call.counted(shape[k], step).reshape((-1,) + (1,) * (len(shape) - 1 - k))))
            place = each if place is None else Apply(operator("add"), (place, each))
        step *= shape[k]
    first = Apply(operator("where"), (test, Constant(0, INT64) if place is None else place, _LAST))
    inputs = (*work.inputs, most, *(operand for operand, _ in steps))
    streams = [*work.streams, best, *(array for _, array in steps)]
    least = Reduce(operator("minimum"), first, (), True)
    call.compute(replace(work, values=(least,), inputs=inputs, streams=streams))


def _fresh(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
