"""The meaning of every node, in NumPy: the oracle of the tests, and what runs where nothing else can.

A value is computed by the operator table's own `numpy` functions, whole arrays at a time, or element
by element where the program says loops. What they see is brought into C order first where NumPy's own
loops round differently for other strides (measured: 35 of the real and complex functions do, by an ulp),
so that a result depends on the values alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .errors import ArrayExprError, ShapeMismatch, TypeMismatch, UnsupportedError
from .nodes import (
    EFFECTS,
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
    Slice,
    Store,
    Stride,
    Unreorderable,
    View,
    postorder,
)
from .printer import MAX_NESTING, show
from .program import assigned_operand
from .types import APART, BROADCAST, FALLING, STRIDED, ArrayType, element

if TYPE_CHECKING:
    from .program import Program

# np.shares_memory is exact, and exponential at worst: beyond this much work an overlap is assumed.
_OVERLAP_WORK: Final = 10_000

#: The bytes of integers in scratch before it is written: no value that a test would take for a right one.
_UNWRITTEN: Final = 0xA5

_ORDERED: Final = frozenset({"minimum", "maximum", "fmin", "fmax"})


def interpret(program: Program, arrays: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Run a program on NumPy arrays; returns its results by name.

    `arrays` holds a value for each of `program.operands`, of its element type and rank, in any layout
    that its type allows; those that the program assigns to are changed in place. It may hold storage for
    results; those it does not are allocated, of the shape of what is first assigned to them as a whole.
    An axis of extent 1 broadcasts, as in NumPy, and so does one that a Load or a Pack reads.

    Raises TypeMismatch or ShapeMismatch, naming the operand, for arrays that do not fit.

    >>> from arrayexpr._core.parser import parse
    >>> program = parse("def f(a: float64[:], b: float64, *, r: float64[:]):\\n    r[...] = a * b + 1.0\\n")
    >>> interpret(program, {"a": np.arange(3.0), "b": 2.0})
    {'r': array([1., 3., 5.])}
    """
    # Warnings of invalid values are NumPy's, not the program's.
    with np.errstate(all="ignore"):
        if program.assumption is not None and not program.assumption.holds(arrays):
            program = program.assumption.otherwise
        return _Run(program, arrays).run()


# -- What is given ------------------------------------------------------------------------------


def _number(value: Any, operand: Operand) -> Any:
    """A Python number as a scalar of the operand's type, where it is one of its values."""
    try:
        return np.asarray(Constant(value, operand.type.element).value, dtype=operand.type.element.dtype)
    except TypeMismatch:
        raise TypeMismatch(f"operand {operand.name} is {value!r}: expected {operand.type}") from None


def _check_layout(array: Any, operand: Operand) -> None:
    """Refuse an array that is not laid out as its operand's type says."""
    type_: ArrayType = operand.type
    if array.size == 0:
        return
    held = True
    if type_.order is not None:
        held = array.flags.c_contiguous if type_.order == "C" else array.flags.f_contiguous
    for length, stride, fact in zip(array.shape, array.strides, type_.layout, strict=True):
        told = APART[fact] * array.itemsize if fact in APART else stride
        if length > 1 and stride != told:
            held = False
    if not held:
        what = f"operand {operand.name} of shape {array.shape} has strides {array.strides}"
        raise ShapeMismatch(f"{what}: expected the layout of {type_}")


def _given(operand: Operand, value: Any, assigned: bool) -> Any:
    """The array that an operand stands for."""
    if type(value) in (bool, int, float, complex) and not assigned:
        value = _number(value, operand)
    if assigned and not isinstance(value, np.ndarray):
        raise TypeMismatch(f"operand {operand.name} is assigned to: expected an array, got {type(value).__name__}")
    array = np.asarray(value)
    if operand.type.element.dtype is None:
        raise UnsupportedError(f"operand {operand.name} is of the foreign type {operand.type}: expected numbers")
    try:
        found = element(array.dtype)
    except TypeMismatch as error:
        raise TypeMismatch(f"operand {operand.name}: {error}") from None
    if found is not operand.type.element:
        raise TypeMismatch(f"operand {operand.name} is {array.dtype}: expected {operand.type.element}")
    if array.ndim != operand.type.rank:
        rank = operand.type.rank
        raise ShapeMismatch(f"operand {operand.name} has shape {array.shape}: expected rank {rank}, as {operand.type}")
    if assigned and not array.flags.writeable:
        raise TypeMismatch(f"operand {operand.name} is read-only: expected an array that can be assigned to")
    _check_layout(array, operand)
    return array


def _allocate(operand: Operand, shape: tuple[int, ...]) -> Any:
    """Storage for a result, laid out as its type says."""
    type_: ArrayType = operand.type
    known = [axis for axis, fact in enumerate(type_.layout) if fact not in (STRIDED, BROADCAST)]
    if type_.order is None and known:
        axis = known[0]
        step = abs(APART[type_.layout[axis]])
        moved = (*shape[:axis], *shape[axis + 1 :], shape[axis] * step)
        made = np.moveaxis(np.empty(moved, type_.element.dtype)[..., ::step], -1, axis)
        return np.flip(made, axis) if type_.layout[axis] == FALLING else made
    return np.empty(shape, type_.element.dtype, order="F" if type_.order == "F" else "C")


def _assigned(nodes: Iterable[Node]) -> set[str]:
    names = set()
    for node in nodes:
        if isinstance(node, Assign):
            names.add(assigned_operand(node.target).name)
        elif isinstance(node, (Store, Pack)):
            names.add(node.args[0].key)
    return names


# -- Code: an expression as a list of steps -----------------------------------------------------

_Step = tuple[Callable[["_Run", "_Frame", Any, list[Any], Any], Any], Node, tuple[int, ...], Any, tuple[int, ...]]


# What an expression is: a value that is read, an effect on a line of its own, or a function's body.
_VALUE: Final = "value"
_STATEMENT: Final = "statement"
_BODY: Final = "body"


class _Code:
    """The steps that compute an expression, in order; each says which values it is the last to read."""

    __slots__ = ("steps", "effects")

    def __init__(self, root: Node, effectful: set[Node], kind: str):
        self.effects = root in effectful
        made: list[tuple[Any, Node, tuple[int, ...], Any]] = []
        # A value computed once serves every use of its node, until an effect may have changed what it
        # read. A node with an effect is computed once per place in the tree.
        known: dict[Node, int] = {}
        slots: list[int] = []
        stack: list[tuple[Node, Any, bool]] = [(root, (), False)]
        while stack:
            node, hint, ready = stack.pop()
            if not ready:
                slot = known.get(node)
                if slot is not None:
                    slots.append(slot)
                    continue
                inner = _inner(node, hint)
                stack.append((node, hint, True))
                below: Any = ()
                if isinstance(node, EFFECTS) and kind != _BODY:
                    # A host's function gets the arrays themselves to write to, where its effect says so.
                    writes = node.writes if isinstance(node, SideEffect) else None
                    discarded = kind == _STATEMENT and (node is root or (len(hint) == 2 and hint[1]))
                    below = (writes, discarded)
                stack.extend((child, below, False) for child in reversed(inner))
                continue
            count = len(_inner(node, hint))
            args = tuple(slots[len(slots) - count :])
            del slots[len(slots) - count :]
            made.append((_STEPS[type(node)], node, args, _scalar(node) if isinstance(node, Constant) else hint))
            slots.append(len(made) - 1)
            if node in effectful:
                known.clear()
            else:
                known[node] = len(made) - 1
        last: dict[int, int] = {}
        for k, step in enumerate(made):
            for slot in step[2]:
                last[slot] = k
        dead: list[list[int]] = [[] for _ in made]
        for slot, k in last.items():
            dead[k].append(slot)
        self.steps: list[_Step] = [(*step, tuple(gone)) for step, gone in zip(made, dead, strict=True)]


def _scalar(node: Constant) -> Any:
    return np.frombuffer(node.key, node.type.element.dtype)[0]


def _live(node: Node, hint: Any) -> bool:
    """Whether a host's function gets this operand itself, and not its value."""
    while isinstance(node, View):
        node = node.arg
    return len(hint) == 2 and isinstance(node, Operand) and (hint[0] is None or node.name in hint[0])


def _inner(node: Node, hint: Any) -> Sequence[Node]:
    if isinstance(node, Opaque):
        return [arg for arg in node.args if not _live(arg, hint)]
    if isinstance(node, (Load, Call)):
        return node.args[1:]
    if isinstance(node, (Extent, Stride, Disjoint)):
        return ()
    return node.args


class _Frame:
    """Code being run: the program's own expression, or the body of a function that it calls."""

    __slots__ = ("code", "place", "values", "params", "scope", "elementwise", "shape")

    def __init__(self, code: _Code, scope: _Scope, params: dict[Node, Any] | None = None):
        self.code = code
        self.place = 0
        self.values: list[Any] = []
        self.params = params
        self.scope = scope
        self.elementwise = False
        self.shape: tuple[int, ...] = ()


class _Scope:
    """Where the loops stand, and the scratch that is declared."""

    __slots__ = ("indices", "scratch")

    def __init__(self, indices: dict[Node, Any], scratch: dict[str, Any]):
        self.indices = indices
        self.scratch = scratch

    def copy(self) -> _Scope:
        return _Scope(dict(self.indices), dict(self.scratch))


class _Run:
    def __init__(self, program: Program, arrays: Mapping[str, Any]):
        self.program = program
        self.memory: dict[str, Any] = {}
        self.codes: dict[tuple[Node, str], _Code] = {}
        self.effectful: set[Node] = set()
        self.barriers: set[Node] = set()
        nodes = postorder(program.statements, True)
        for node in nodes:
            if isinstance(node, EFFECTS) or any(child in self.effectful for child in node.args):
                self.effectful.add(node)
            elif isinstance(node, Barrier):
                self.barriers.add(node)
            if node.type is None and any(child in self.barriers for child in node.args):
                self.barriers.add(node)
        assigned = _assigned(nodes)
        names = {operand.name for operand in program.declared}
        for name in arrays:
            if name not in names:
                known = ", ".join(sorted(names)) or "none"
                raise TypeMismatch(f"program {program.name} has no operand {name!r}: it has {known}")
        for operand in program.operands:
            if operand.name not in arrays:
                raise TypeMismatch(f"operand {operand.name} of program {program.name} is not given: expected an array")
            self.memory[operand.name] = _given(operand, arrays[operand.name], operand.name in assigned)
        for result in program.results:
            if arrays.get(result.name) is not None:
                self.memory[result.name] = _given(result, arrays[result.name], True)

    def run(self) -> dict[str, np.ndarray[Any, Any]]:
        for _ in self.block(self.program.statements, _Scope({}, {}), False, 0):
            pass
        for result in self.program.results:
            if result.name not in self.memory:
                raise ShapeMismatch(f"result {result.name} was never assigned: give its storage")
        return {result.name: self.memory[result.name] for result in self.program.results}

    # -- memory --

    def array(self, operand: Operand, frame: _Frame | _Scope) -> Any:
        """The array that a name stands for: a function's argument, scratch, or the program's own."""
        if isinstance(frame, _Frame):
            if frame.params is not None:
                return np.asarray(frame.params[operand])
            frame = frame.scope
        found = frame.scratch.get(operand.name)
        if found is None:
            found = self.memory.get(operand.name)
        if found is None:
            raise ShapeMismatch(f"result {operand.name} is read or viewed before its shape is known: give its storage")
        return found

    def window(self, node: Node, scope: _Scope) -> Any:
        """The memory that an operand or views of one stand for: never a copy."""
        views = []
        while isinstance(node, View):
            views.append(node)
            node = node.arg
        assert isinstance(node, Operand)
        array = self.array(node, scope)
        for view in reversed(views):
            array = _viewed(view, array, [self.value(n, scope) for n in view.args[1:]])
        return array

    # -- expressions --

    def value(self, root: Node, scope: _Scope, kind: str = _VALUE) -> Any:
        frame = _Frame(self.code(root, kind), scope)
        frames = [frame]
        while True:
            steps = frame.code.steps
            values = frame.values
            while frame.place < len(steps):
                meaning, node, args, hint, dead = steps[frame.place]
                given = [values[slot] for slot in args]
                for slot in dead:
                    values[slot] = None
                frame.place += 1
                if isinstance(node, Call):
                    # A call is no recursion of ours: functions may call one another to any depth.
                    frames.append(self.enter(node, given, frame))
                    break
                values.append(meaning(self, frame, node, given, hint))
            else:
                value = values[-1]
                frames.pop()
                if frame.shape:
                    value = np.broadcast_to(value, frame.shape)
                if not frames:
                    return value
                frames[-1].values.append(value)
            frame = frames[-1]

    def code(self, root: Node, kind: str) -> _Code:
        code = self.codes.get((root, kind))
        if code is None:
            code = self.codes[root, kind] = _Code(root, self.effectful, kind)
        return code

    def enter(self, call: Call, args: list[Any], caller: _Frame) -> _Frame:
        function: Function = call.function
        params: dict[Node, Any] = dict(zip(function.params, args, strict=True))
        frame = _Frame(self.code(function.body, _BODY), caller.scope, params)
        frame.elementwise = caller.elementwise or (
            not any(p.type.rank for p in function.params) and any(np.ndim(a) for a in args)
        )
        if frame.elementwise:
            frame.shape = _broadcast_shape(call, call.arguments, args)
        return frame

    # -- statements --

    def block(self, statements: Iterable[Node], scope: _Scope, lanes: bool, depth: int) -> Generator[None, None, None]:
        """Run statements, yielding at every barrier; `lanes`: there is someone to wait for."""
        if depth > MAX_NESTING:
            raise UnsupportedError(f"statements stand more than {MAX_NESTING} deep: expected fewer")
        for node in statements:
            while isinstance(node, EFFECTS) and node.type is None:
                node = node.inner
            if isinstance(node, Assign):
                self.assign(node, scope)
            elif isinstance(node, Store):
                place = self.place(node, node.subscripts, self.array(node.operand, scope), scope)
                self.array(node.operand, scope)[place] = self.value(node.value, scope)
            elif isinstance(node, For):
                yield from self.loop(node, scope, lanes, depth)
            elif isinstance(node, Guard):
                taken = node.then if self.value(node.condition, scope) else node.otherwise
                yield from self.block(taken, scope, lanes, depth + 1)
            elif isinstance(node, Scratch):
                self.scratch(node, scope)
            elif isinstance(node, Pack):
                self.pack(node, scope)
            elif isinstance(node, Barrier):
                if lanes:
                    yield
            else:
                self.value(node, scope, _STATEMENT)

    def loop(self, node: For, scope: _Scope, lanes: bool, depth: int) -> Generator[None, None, None]:
        start, stop, step = (int(self.value(bound, scope)) for bound in (node.start, node.stop, node.step))
        if step == 0:
            raise ShapeMismatch(f"{show(node)}: the step is 0, expected another")
        if isinstance(node, Loop) and node.role == "lane" and node in self.barriers:
            yield from self.lanes(node, range(start, stop, step), scope, lanes, depth)
            return
        # Locals that are first assigned in the body are each iteration's own.
        own = [local.name for local in self.program.locals if local.name not in self.memory]
        for k in range(start, stop, step):
            scope.indices[node.index] = np.int64(k)
            yield from self.block(node.body, scope, lanes, depth + 1)
            for name in own:
                self.memory.pop(name, None)

    def lanes(self, node: For, places: range, scope: _Scope, outer: bool, depth: int) -> Generator[None, None, None]:
        """Every lane runs up to its next barrier, then every one goes on."""
        running = []
        for k in places:
            own = scope.copy()
            own.indices[node.index] = np.int64(k)
            running.append(self.block(node.body, own, True, depth + 1))
        while running:
            waiting = []
            for lane in running:
                try:
                    next(lane)
                    waiting.append(lane)
                except StopIteration:
                    pass
            running = waiting
            if running and outer:
                yield

    def assign(self, node: Assign, scope: _Scope) -> None:
        value = self.value(node.value, scope)
        base = assigned_operand(node.target)
        if base.name not in self.memory and base.name not in scope.scratch:
            if node.target is not base or np.ndim(value) != base.type.rank:
                how = "through a view" if node.target is not base else f"a value of rank {np.ndim(value)}"
                raise ShapeMismatch(f"result {base.name} is first assigned {how}: its shape is not known, give storage")
            self.memory[base.name] = _allocate(base, np.shape(value))
        target = self.window(node.target, scope)
        shape = np.shape(value)
        fits = len(shape) <= target.ndim and all(
            n in (1, m) for n, m in zip(reversed(shape), reversed(target.shape), strict=False)
        )
        if not fits:
            message = f"shape {shape} is assigned to {show(node.target)} of shape {target.shape}"
            raise ShapeMismatch(f"operand {base.name}: {message}, to which it does not broadcast")
        # NumPy copies first where the two overlap, but not of one axis: there it only chooses a direction, and strides
        # may differ.
        target[...] = value.copy() if target.ndim == 1 and np.may_share_memory(target, value) else value

    def place(self, node: Node, subscripts: Iterable[Node], array: Any, scope: _Scope) -> tuple[int, ...]:
        place = tuple(int(self.value(subscript, scope)) for subscript in subscripts)
        return _walked(node, place, array)

    def scratch(self, node: Scratch, scope: _Scope) -> None:
        extents = tuple(int(self.value(extent, scope)) for extent in node.extents)
        if any(n < 0 for n in extents):
            raise ShapeMismatch(f"{show(node)}: extents {extents}, expected none below 0")
        dtype = node.operand.type.element.dtype
        if dtype is None:
            raise UnsupportedError(f"{show(node)} is of a foreign type: expected numbers")
        fresh: Any = np.nan if dtype.kind in "fc" else True
        if dtype.kind in "iu":
            fresh = np.frombuffer(bytes([_UNWRITTEN] * dtype.itemsize), dtype)[0]
        scope.scratch[node.operand.name] = np.full(extents, fresh, dtype)

    def pack(self, node: Pack, scope: _Scope) -> None:
        source, target = self.array(node.source, scope), self.array(node.target, scope)
        starts = [int(self.value(start, scope)) for start in node.starts]
        extents = [int(self.value(extent, scope)) for extent in node.extents]
        windows = []
        for start, extent, n, m in zip(starts, extents, source.shape, target.shape, strict=True):
            if n == 1 and 0 <= start and 0 <= extent <= m:
                windows.append(slice(0, 1))
            elif 0 <= start and 0 <= extent <= m and start + extent <= n:
                windows.append(slice(start, start + extent))
            else:
                message = f"starts {tuple(starts)} and extents {tuple(extents)}"
                message += (
                    f" are outside of {node.source.name} of {source.shape} or {node.target.name} of {target.shape}"
                )
                raise ShapeMismatch(f"{show(node)}: {message}")
        target[tuple(slice(0, extent) for extent in extents)] = source[tuple(windows)]


# -- The meaning of each node -------------------------------------------------------------------


def _typed(node: Node, value: Any, frame: _Frame) -> Any:
    """The value, once it is sure to be of the node's type."""
    dtype = node.type.element.dtype
    value = np.asarray(value)
    if value.dtype != dtype:
        if element(value.dtype) is not node.type.element:
            raise ArrayExprError(f"internal error: {show(node)} gave {value.dtype}, expected {node.type}")
        value = value.astype(dtype)
    if value.ndim != node.type.rank and not frame.elementwise:
        raise ArrayExprError(f"internal error: {show(node)} gave shape {value.shape}, expected {node.type}")
    return value


def _broadcast_shape(node: Node, operands: Iterable[Node], values: Iterable[Any]) -> tuple[int, ...]:
    shapes = [np.shape(value) for value in values]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        shown = ", ".join(f"{show(x)} {s}" for x, s in zip(operands, shapes, strict=True) if s)
        raise ShapeMismatch(f"{show(node)}: the shapes do not broadcast together: {shown}") from None


def _constant(run: _Run, frame: _Frame, node: Constant, args: list[Any], hint: Any) -> Any:
    return hint


def _operand(run: _Run, frame: _Frame, node: Operand, args: list[Any], hint: Any) -> Any:
    array = run.array(node, frame)
    if frame.params is None and (frame.code.effects or not array.dtype.isnative):
        # An effect further right must not change what was read here.
        return array.astype(node.type.element.dtype)
    return array


def _index(run: _Run, frame: _Frame, node: Index, args: list[Any], hint: Any) -> Any:
    return frame.scope.indices[node]


def _extent(run: _Run, frame: _Frame, node: Extent, args: list[Any], hint: Any) -> Any:
    return np.int64(run.array(node.operand, frame).shape[node.axis])


def _stride(run: _Run, frame: _Frame, node: Stride, args: list[Any], hint: Any) -> Any:
    array = run.array(node.operand, frame)
    # An axis of extent 1 broadcasts: nothing moves along it.
    return np.int64(0 if array.shape[node.axis] == 1 else array.strides[node.axis])


def _disjoint(run: _Run, frame: _Frame, node: Disjoint, args: list[Any], hint: Any) -> Any:
    return np.bool_(are_disjoint(run.array(node.one, frame), run.array(node.other, frame), node.same))


def are_disjoint(one: Any, other: Any, same: bool) -> bool:
    """Whether two arrays certainly share no memory; or, if `same`, are the very same elements."""
    if same and _address(one) == _address(other) and one.dtype == other.dtype:
        return True
    try:
        return not np.shares_memory(one, other, max_work=_OVERLAP_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return False


def _address(array: Any) -> tuple[Any, ...]:
    moving = [stride for n, stride in zip(array.shape, array.strides, strict=True) if n > 1]
    return array.__array_interface__["data"][0], array.shape, tuple(moving)


def _viewed(node: View, value: Any, moving: Sequence[Any]) -> Any:
    value = np.asarray(value)
    if node.order is not None:
        return value.transpose(node.order)
    subscripts = subscripts_at(node, iter(moving))
    try:
        # The ellipsis keeps a view of one element a view.
        return value[(*subscripts, ...)]
    except IndexError as error:
        raise ShapeMismatch(f"{show(node)}: {error}, of shape {value.shape}") from None


def subscripts_at(node: View, moving: Iterator[Any]) -> list[Any]:
    """The subscripts of a view as NumPy takes them; `moving` has the values of those that are expressions."""

    def at(bound: Any) -> Any:
        return int(next(moving)) if isinstance(bound, Node) else bound

    return [slice(*map(at, item)) if isinstance(item, Slice) else at(item) for item in node.subscripts]


def _view(run: _Run, frame: _Frame, node: View, args: list[Any], hint: Any) -> Any:
    return _viewed(node, args[0], args[1:])


def _apply(run: _Run, frame: _Frame, node: Apply, args: list[Any], hint: Any) -> Any:
    op = node.op
    shape = _broadcast_shape(node, node.args, args)
    if op.vector_math or op.name in _ORDERED or node.type.element.kind == "c" or op.name == "absolute":
        args = [np.ascontiguousarray(np.broadcast_to(arg, shape)).reshape(shape) for arg in args]
    return _typed(node, op.numpy(*args), frame)


def _cast(run: _Run, frame: _Frame, node: Cast, args: list[Any], hint: Any) -> Any:
    value = np.asarray(args[0])
    to = node.type.element
    if value.dtype.kind == "c" and to.kind not in "cb":
        # As astype does, but it warns.
        value = value.real
    if to.dtype is None:
        raise UnsupportedError(f"{show(node)} is of a foreign type: expected numbers")
    # What a real too large for an integer becomes is the processor's choice: make it the same choice.
    return _typed(node, value.astype(to.dtype, order="C"), frame)


def _reduce(run: _Run, frame: _Frame, node: Reduce, args: list[Any], hint: Any) -> Any:
    # In C order, so that the order of a sum follows from the shape alone.
    value = np.asarray(args[0])
    value = np.ascontiguousarray(value).reshape(value.shape)
    op, axes = node.op, node.axes
    name = op.reduction
    assert name is not None
    try:
        if op.arity == 1:
            axis = axes[0] if len(axes) == 1 else None
            return _typed(node, getattr(np, name)(value, axis=axis, keepdims=node.keepdims), frame)
        ufunc: Any = getattr(np, name, op.numpy)
        if not axes:
            return _typed(node, value.astype(node.type.element.dtype), frame)
        # NumPy would sum small integers as int64.
        dtype = node.type.element.dtype if node.type.element.kind != "b" else None
        return _typed(node, ufunc.reduce(value, axis=axes, dtype=dtype, keepdims=node.keepdims), frame)
    except ValueError as error:
        raise ShapeMismatch(f"{show(node)} over shape {value.shape}: {error}") from None


def _contract(run: _Run, frame: _Frame, node: Contract, args: list[Any], hint: Any) -> Any:
    left, right = (np.ascontiguousarray(arg) for arg in args)
    try:
        return _typed(node, np.matmul(left, right), frame)
    except ValueError:
        message = f"the shapes do not contract: {show(node.left)} {left.shape}, {show(node.right)} {right.shape}"
        raise ShapeMismatch(f"{show(node)}: {message}") from None


def _call(run: _Run, frame: _Frame, node: Call, args: list[Any], hint: Any) -> Any:
    raise AssertionError("a call is entered, not computed")


def _opaque(run: _Run, frame: _Frame, node: Opaque, args: list[Any], hint: Any) -> Any:
    function = run.program.hosts.get(node.name)
    if function is None:
        raise UnsupportedError(f"{show(node)}: the program's hosts hold no function {node.name!r}")
    given = iter(args)
    passed = []
    for arg in node.args:
        if _live(arg, hint):
            passed.append(run.window(arg, frame.scope))
        else:
            value = np.asarray(next(given)).view()
            value.flags.writeable = False
            passed.append(value)
    return host_value(node, function, passed, len(hint) == 2 and hint[1], frame.elementwise)


def host_value(
    node: Opaque,
    function: Callable[..., Any],
    passed: Sequence[Any],
    discarded: bool = False,
    elementwise: bool = False,
) -> Any:
    """What a host's function gives of arrays, once it is sure to be of the node's type; its memory is its own.

    `discarded` takes None for a value; `elementwise` takes any shape.
    """
    value = function(*passed)
    if value is None and discarded:
        return None
    found = np.asarray(value)
    if node.type.element.dtype is not None:
        if type(value) in (bool, int, float, complex):
            found = np.asarray(Constant(value, node.type.element).value, dtype=node.type.element.dtype)
        if found.dtype != node.type.element.dtype:
            raise TypeMismatch(f"{show(node)}: the host's function gave {found.dtype}, expected {node.type}")
    if found.ndim != node.type.rank and not elementwise:
        raise ShapeMismatch(f"{show(node)}: the host's function gave shape {found.shape}, expected {node.type}")
    # What an effect writes later must not change a value that was there before.
    return found.copy() if any(np.may_share_memory(found, each) for each in passed) else found


def _effect(run: _Run, frame: _Frame, node: Node, args: list[Any], hint: Any) -> Any:
    return args[0]


def _load(run: _Run, frame: _Frame, node: Load, args: list[Any], hint: Any) -> Any:
    array = run.array(node.operand, frame)
    # An axis of extent 1 broadcasts.
    place = tuple(0 if n == 1 and k > 0 else int(k) for k, n in zip(args, array.shape, strict=True))
    return array[_walked(node, place, array)]


def _walked(node: Node, place: tuple[int, ...], array: Any) -> tuple[int, ...]:
    """The place within every axis: a subscript beyond its own walks on by the stride, as far as there are elements."""
    if all(0 <= k < n for k, n in zip(place, array.shape, strict=True)):
        return place
    rest = 0
    for k, n, stride in zip(place, array.shape, array.strides, strict=True):
        # Bytes from the lowest element: an axis that falls is counted from its end.
        rest += (k if stride >= 0 else n - 1 - k) * abs(stride)
    found = [0] * array.ndim
    # Heaviest axis first: what is left for the others is less than one step of it.
    for axis in sorted(range(array.ndim), key=lambda k: -abs(array.strides[k])):
        n, stride = array.shape[axis], abs(array.strides[axis])
        steps = max(0, min(n - 1, rest // stride)) if stride else 0
        rest -= steps * stride
        found[axis] = steps if array.strides[axis] >= 0 else n - 1 - steps
    if rest or not array.size:
        raise ShapeMismatch(f"{show(node)}: place {place} is outside of {node.args[0].key} of {array.shape}")
    return tuple(found)


_STEPS: Final[dict[type, Callable[..., Any]]] = {
    Constant: _constant,
    Operand: _operand,
    Index: _index,
    Extent: _extent,
    Stride: _stride,
    Disjoint: _disjoint,
    View: _view,
    Apply: _apply,
    Cast: _cast,
    Reduce: _reduce,
    Contract: _contract,
    Call: _call,
    Opaque: _opaque,
    SideEffect: _effect,
    Unreorderable: _effect,
    Load: _load,
}
