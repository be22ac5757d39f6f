"""Tracing: a function written for NumPy, run on symbolic arrays, as the program of what it did."""

from __future__ import annotations

import inspect
import itertools
import keyword
import operator as python_operator
import re
from collections.abc import Callable, Iterable, Sequence
from contextvars import Token
from typing import Any, Final, Self

import numpy as np

from ._core.errors import ArrayExprError, TypeMismatch, UnsupportedError
from ._core.nodes import (
    Assign,
    Extent,
    For,
    Function,
    Guard,
    Index,
    Node,
    Operand,
    View,
    postorder,
    rebuild,
    substitute,
    transform,
)
from ._core.program import Program
from ._core.types import APART, STRIDED, ArrayType, element
from .promotion import Weak
from .symbolic import (
    RECORDER,
    Recorder,
    SymbolicArray,
    as_symbolic,
    computed,
    in_memory,
    rebase,
    strong,
    tick,
)

_LOCAL: Final = "_arrayexpr_local_"
_local_numbers: Final = itertools.count()


class Trace:
    """Records assignments to symbolic arrays, in order, while it is entered.

    Values computed before an assignment keep what they had: one that is used after an operand it reads
    was assigned to, or one that may share memory with such an operand, is stored in a local of the program,
    just before that assignment.

    >>> from arrayexpr.build import array
    >>> a, b = array("a", "float64", 1), array("b", "float64", 1)
    >>> with Trace() as recording:
    ...     total = a + 1
    ...     a[...] = 0
    ...     b[...] = total
    >>> [s.target.name for s in recording.program().statements]
    ['t0', 'a', 'b']
    """

    def __init__(self) -> None:
        # In step: a statement, and the count of assignments at which it was recorded. A local that is
        # filled before a statement has that one's count too.
        self._statements: list[Node] = []
        self._stamps: list[int] = []
        # By operand; under None, of all that may share memory with one another.
        self._writes: dict[Operand | None, list[int]] = {}
        self._reads: dict[Node, frozenset[Operand]] = {}
        self._locals: list[Operand] = []
        # What a local was made to hold, and the same without locals: of so many of them.
        self._values: dict[Node, Node] = {}
        self._shapes: dict[Node, Node] = {}
        self._shaped = 0
        self.lengths: dict[Node, tuple[Node, int]] = {}
        #: Operands that are arrays of no axes; others without axes are numbers, which share no memory.
        self.cells: frozenset[Operand] = frozenset()
        self._kept: dict[Any, Operand] = {}
        self._token: Token[Recorder | None] | None = None
        # The loops and choices that are being traced, outermost first; the counts at which bodies began and ended.
        self._parts: list[_OpenPart] = []
        self._done: list[tuple[int, int]] = []
        self._indices: set[str] = set()

    def __enter__(self) -> Self:
        if self._token is not None:
            raise ArrayExprError("this trace is entered already")
        self._token = RECORDER.set(self)
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._token is not None
        RECORDER.reset(self._token)
        self._token = None

    @property
    def statements(self) -> tuple[Node, ...]:
        """The assignments so far, in order."""
        return tuple(self._statements)

    @property
    def locals(self) -> tuple[Operand, ...]:
        """The operands that the program needs to keep values in."""
        return tuple(self._locals)

    def record(self, target: Any, value: Node) -> None:
        """Append `target = value`; target is an operand or a view of one, value of its element type."""
        base = target
        while isinstance(base, View):
            base = base.arg
        statement = Assign(target, value)
        stamp = tick()
        self._statements.append(statement)
        self._stamps.append(stamp)
        self._write(base, stamp)

    def _memory(self, operand: Operand) -> Operand | None:
        """The key of `_writes` for what is assigned to an operand's memory: None where it is the caller's."""
        number = operand.type.rank == 0 and operand not in self.cells
        return operand if number or operand.name.startswith(_LOCAL) else None

    def _write(self, operand: Operand, stamp: int) -> None:
        self._writes.setdefault(operand, []).append(stamp)
        if self._memory(operand) is None:
            self._writes.setdefault(None, []).append(stamp)

    def overtakes(self, assigned: Iterable[Operand], node: Node) -> bool:
        """Whether assignments to operands may change what a node reads."""
        return not {self._memory(o) for o in assigned}.isdisjoint(map(self._memory, self._read(node)))

    def program(self, *results: Any, name: str = "kernel") -> Program:
        """The program of what was recorded, and then of the results."""
        token = RECORDER.set(self)
        try:
            # Settling a result may add a local before statements that are here already.
            values = [as_symbolic(result, "result").node for result in results]
        finally:
            RECORDER.reset(token)
        return assemble(name, self._statements, values, None, self._locals)

    def _local(self, t: ArrayType) -> Operand:
        # Programs call it otherwise; here it must be no operand of the same name and type.
        local = Operand(f"{_LOCAL}{next(_local_numbers)}", t.plain)
        self._locals.append(local)
        return local

    def shaped(self, node: Node) -> Node:
        """A node of the same shape, of the caller's arrays alone."""
        for local in self._locals[self._shaped :]:
            value = self._values.get(local, local)
            self._shapes[local] = substitute((value,), self._shapes.get)[0]
        self._shaped = len(self._locals)
        return substitute((node,), self._shapes.get)[0]

    def enter_loop(self, name: str, assigned: Iterable[Operand] | None) -> SymbolicArray:
        """Begin a loop over `name` that assigns to these operands; None is for a trial, which finds out. Its index."""
        part = self._enter(assigned)
        part.index = Index(_fresh(name, self._indices))
        return computed(part.index, Weak(int))

    def enter_choice(self, assigned: Iterable[Operand] | None) -> None:
        """Begin a choice between branches that assign to these operands; None is for a trial."""
        self._enter(assigned)

    def _enter(self, assigned: Iterable[Operand] | None) -> _OpenPart:
        part = _OpenPart(self, tick(), assigned is None)
        for operand in assigned or ():
            # What was computed before is kept before: one run may change what the next one, or what follows, reads.
            self._write(operand, part.began)
        self._statements, self._stamps = [], []
        self._parts.append(part)
        # Values of before are told by their count.
        tick()
        return part

    def leave_trial(self) -> frozenset[Operand]:
        """End a trial: all is as it was. Returns what it assigned to."""
        part = self._parts.pop()
        assigned = frozenset(o for o, stamps in self._writes.items() if o is not None and stamps[-1] > part.began)
        self._statements, self._stamps, self._writes, self._kept, self._done, self._indices = part.outside
        tick()
        return assigned

    def leave_loop(self, start: Node, stop: Node, step: Node) -> None:
        """End a loop: it becomes a statement."""
        body = self.leave_branch()
        index = self._parts[-1].index
        assert index is not None
        self._leave(For(index, start, stop, step, body))

    def leave_branch(self) -> tuple[Node, ...]:
        """End a branch of a choice: its statements. Values of it are no other's."""
        part, body = self._parts[-1], tuple(self._statements)
        self._statements, self._stamps = [], []
        self._done.append((part.since, tick()))
        part.since = tick()
        return body

    def leave_choice(self, condition: Node, then: Sequence[Node], otherwise: Sequence[Node]) -> None:
        """End a choice: it becomes a statement."""
        self._leave(Guard(condition, tuple(then), tuple(otherwise)))

    def _leave(self, statement: Node) -> None:
        part = self._parts.pop()
        self._statements, self._stamps, *_ = part.outside
        self._statements.append(statement)
        self._stamps.append(part.began)

    def _localise(self, x: SymbolicArray) -> Operand:
        """A local that holds a computed value, which is about to be written into."""
        local = self._local(x._node.type)
        self._values[local] = x._node
        for part in self._parts:
            if x._made <= part.began:
                # It is one value in all iterations, and what is written stays.
                statements, stamps = part.around(self)
                statements.append(Assign(local, x.node))
                stamps.append(part.began)
                return local
        self.record(local, x.node)
        return local

    def _settle(self, x: SymbolicArray) -> bool:
        for began, ended in self._done:
            if began < x._made < ended:
                raise UnsupportedError(
                    f"a {x.type} that is computed in a loop or a branch is used after it: "
                    "expected it to be assigned to an array, or its name to have a value before"
                )
        # A function without assignments does not need it.
        from bisect import bisect_right

        overtaken = 0
        for operand in self._read(x._node):
            stamps = self._writes.get(self._memory(operand))
            if stamps is not None:
                k = bisect_right(stamps, x._time)
                if k < len(stamps) and (not overtaken or stamps[k] < overtaken):
                    overtaken = stamps[k]
        if not overtaken:
            return True
        if any(part.trial and overtaken > part.began for part in self._parts):
            # All of it will be undone.
            return False
        key = (x._node, overtaken)
        local = self._kept.get(key)
        if local is None:
            local = self._kept[key] = self._local(x._node.type)
            self._values[local] = x._node
            statements, stamps = self._statements, self._stamps
            for part in self._parts:
                if overtaken <= part.began:
                    statements, stamps = part.around(self)
                    break
            place = bisect_right(stamps, overtaken)
            # Before the statement that overtakes it, which is not there yet where that is open.
            place -= not any(part.began == overtaken for part in self._parts)
            statements.insert(place, Assign(local, x._node))
            stamps.insert(place, overtaken)
        rebase(x, local)
        return True

    def _read(self, node: Node) -> frozenset[Operand]:
        """The operands whose elements a node reads."""
        known = self._reads.get(node)
        if known is not None:
            return known
        reads = self._reads
        stack = [node]
        while stack:
            top = stack[-1]
            if top in reads:
                stack.pop()
                continue
            if isinstance(top, Operand):
                reads[top] = frozenset((top,))
                continue
            if isinstance(top, Extent | Index):
                reads[top] = frozenset()
                continue
            missing = [child for child in top.args if child not in reads]
            if missing:
                stack.extend(missing)
                continue
            union: frozenset[Operand] = frozenset()
            for child in top.args:
                own = reads[child]
                if not own <= union:
                    union = own if union <= own else union | own
            reads[top] = union
        return reads[node]


class _OpenPart:
    """A loop or a choice that is being traced, and what the trace was outside of it."""

    #: Of a loop.
    index: Index | None = None

    def __init__(self, trace: Trace, began: int, trial: bool):
        self.began = began
        #: When the body began that is being traced.
        self.since = began
        self.trial = trial
        writes = trace._writes
        kept: Any = trace._kept
        if trial:
            # Copies are what the trial changes.
            trace._writes = {operand: list(stamps) for operand, stamps in writes.items()}
            trace._kept = dict(kept)
        self.outside = trace._statements, trace._stamps, writes, kept, list(trace._done), set(trace._indices)

    def around(self, trace: Trace) -> tuple[list[Node], list[int]]:
        """The statements around it, and their counts."""
        return self.outside[0], self.outside[1]


def trace(function: Callable[..., Any], *specs: Any, name: str | None = None) -> Program:
    """Run a function written for NumPy on symbolic arrays, and give the program of what it did.

    Its parameters become operands of their names, what it returns (None, one value, or a tuple) the
    results `r`, or `r0`, `r1`, ...; assignments into parameters are recorded in order. A spec is

    - `(dtype, rank)`, an `ArrayType`, or its text `"float64[:, :]"`: an array;
    - a dtype, its name or an `ElementType`: a scalar, which promotes as NumPy's scalars do;
    - `Weak(float)` or `"weak float"`: a Python number;
    - a SymbolicArray: as that one.

    Parameters with defaults need no spec. A loop `for k in range(n)` over symbolic bounds becomes a loop of the
    program, one over numbers is unrolled. Raises UnsupportedError, TypeMismatch, ShapeMismatch or
    TypeError for what cannot be traced, naming it.

    >>> def step(u, rate):
    ...     u[1:-1] += rate * (u[2:] - 2 * u[1:-1] + u[:-2])
    >>> program = trace(step, ("float32", 1), Weak(float))
    >>> program.name, len(program.statements), program.results
    ('step', 1, ())
    """
    called = str(name or getattr(function, "__name__", "kernel"))
    if name is None and (not called.isidentifier() or keyword.iskeyword(called)):
        called = "kernel"
    try:
        return _traced(function, called, _parameters(function, called, specs))
    except ArrayExprError:
        raise
    except TypeError:
        # Python or NumPy asked for a number: few functions do, and no other's first result waits for this import.
        from .rewriting import rewritten

        run = rewritten(function)
        if run is function:
            raise
    return _traced(run, called, _parameters(function, called, specs))


def _traced(function: Callable[..., Any], called: str, parameters: Sequence[tuple[str, SymbolicArray, str]]) -> Program:
    with Trace() as recording:
        cells = [x._node for _, x, _ in parameters if x._alias and not x._node.type.rank]
        recording.cells = frozenset(node for node in cells if isinstance(node, Operand))
        returned = function(*[x for _, x, kind in parameters if kind != "keyword"],
                            **{n: x for n, x, kind in parameters if kind == "keyword"})  # fmt: skip
        if returned is None:
            results: list[Any] = []
        elif isinstance(returned, (tuple, list)):
            results = list(returned)
        else:
            results = [returned]
        values = []
        for k, result in enumerate(results):
            try:
                values.append(as_symbolic(result, "result").node)
            except TypeMismatch:
                from .carried import Unusable

                if isinstance(result, Unusable):
                    result.fail()
                place = f" as result {k}" if isinstance(returned, (tuple, list)) else ""
                got = type(result).__name__
                raise TypeMismatch(f"{called} returns {got}{place}: expected arrays, numbers or None") from None
    operands: list[Any] = [x._node for _, x, _ in parameters]
    return assemble(called, recording._statements, values, operands, recording._locals)


def _parameters(function: Any, called: str, specs: Sequence[Any]) -> list[tuple[str, SymbolicArray, str]]:
    try:
        declared = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        declared = []
    if isinstance(function, np.ufunc) or not declared:
        return [(f"x{k}", symbol(f"x{k}", spec), "positional") for k, spec in enumerate(specs)]
    made: list[tuple[str, SymbolicArray, str]] = []
    given = list(specs)
    for parameter in declared:
        if parameter.kind is parameter.VAR_POSITIONAL:
            made += [
                (f"{parameter.name}{k}", symbol(f"{parameter.name}{k}", spec), "positional")
                for k, spec in enumerate(given)
            ]
            given = []
        elif parameter.kind is parameter.VAR_KEYWORD:
            continue
        elif given:
            kind = "keyword" if parameter.kind is parameter.KEYWORD_ONLY else "positional"
            made.append((parameter.name, symbol(parameter.name, given.pop(0)), kind))
        elif parameter.default is parameter.empty:
            raise TypeMismatch(f"{called} has no spec for its parameter {parameter.name!r}: got {len(specs)}")
    if given:
        raise TypeMismatch(f"{called} takes {len(made)} parameters: got {len(specs)} specs")
    return made


# -- Parameters and their specs -------------------------------------------------------------------

# `re` keeps it compiled from its first use on.
_TEXT_TYPE: Final = r"(\w+)\s*(?:\[\s*(?:'([CF])'\s*,\s*)?(:[0-4]?:?[0-4]?(?:\s*,\s*::?[0-4]?)*)\s*\])?"


def symbol(name: str, spec: Any) -> SymbolicArray:
    """The symbolic array of a name and a spec: see `trace`."""
    if isinstance(spec, SymbolicArray):
        made = computed(Operand(name, spec.type), spec._kind)
        made._alias = spec._alias or spec.ndim > 0
        return made
    if isinstance(spec, str) and spec.startswith("weak "):
        spec = Weak(spec)
    if isinstance(spec, Weak):
        return computed(Operand(name, spec.element), spec)
    if isinstance(spec, str) and "[" in spec:
        spec = _parsed_type(spec)
    if isinstance(spec, tuple) and len(spec) == 2:
        spec = element(spec[0]).array(python_operator.index(spec[1]))
    if isinstance(spec, ArrayType):
        return in_memory(Operand(name, spec))
    return strong(Operand(name, element(spec)))


def _parsed_type(text: str) -> ArrayType:
    match = re.fullmatch(_TEXT_TYPE, text.strip())
    if match is None or match[3] is None:
        raise TypeMismatch(f"type {text!r}: expected e.g. 'float64[:, ::1]'")
    marks = {":": STRIDED, "::": STRIDED, **{f"::{step}": fact for fact, step in APART.items()}}
    axes = [axis.strip() for axis in match[3].split(",")]
    if any(axis not in marks for axis in axes):
        raise TypeMismatch(f"type {text!r}: expected ':', '::1', '::-1', '::0', or '::2' to '::4' for each axis")
    order = match[2]
    return element(match[1]).array(len(axes), None if order else tuple(marks[axis] for axis in axes), order)


def spec_of(value: Any) -> Any:
    """The spec of an argument, for `trace`: what NumPy's promotion sees of it.

    >>> spec_of(2.5), spec_of(np.float32(1)), spec_of(np.zeros((2, 3), "int16"))
    (Weak(float), float32, int16[:, :])
    """
    t = type(value)
    if t is bool or isinstance(value, np.generic):
        return element(np.dtype(bool) if t is bool else value.dtype)
    if isinstance(value, np.ndarray):
        return element(value.dtype).array(value.ndim)
    for python in (int, float, complex):
        if isinstance(value, python):
            return Weak(python)
    if isinstance(value, SymbolicArray):
        return value
    raise TypeMismatch(f"argument of type {t.__name__}: expected an array or a number")


# -- Programs -------------------------------------------------------------------------------------


def assemble(
    name: str,
    items: Iterable[Any],
    values: Sequence[Node],
    operands: Sequence[Operand] | None,
    locals: Sequence[Operand],
) -> Program:
    """A program of statements and results; a result among the items is a tuple of its node."""
    order: list[Any] = [*items, *((value,) for value in values)]
    roots = [node for item in order for node in (item if isinstance(item, tuple) else _read_first(item))]
    met: dict[str, Operand] = {}
    own = set(locals)
    for node in postorder(roots):
        if isinstance(node, Operand) and node not in own:
            if node.name.startswith(_LOCAL):
                raise TypeMismatch(
                    f"{name} reads a value that was computed in another trace: expected it to be passed on"
                )
            before = met.setdefault(node.name, node)
            if before is not node:
                raise TypeMismatch(f"{name} has two operands named {node.name!r}, {before.type} and {node.type}")
    if operands is None:
        operands = list(met.values())
    else:
        declared = {operand.name: operand for operand in operands}
        for operand in met.values():
            if declared.get(operand.name) is not operand:
                raise TypeMismatch(
                    f"{name} reads {operand.name} of type {operand.type}, which is none of its parameters: "
                    "expected it to be passed as an argument"
                )
    taken = {operand.name for operand in operands}
    mentioned = set(postorder(roots))
    locals = [local for local in locals if local in mentioned]
    clashing: dict[Node, Node] = {n: Index(_fresh(n.name, taken)) for n in mentioned if isinstance(n, Index)}
    kept = [Operand(_fresh(f"t{k}", taken), local.type) for k, local in enumerate(locals)]
    if kept or clashing:
        names: dict[Node, Node] = {**dict(zip(locals, kept, strict=True)), **clashing}
        new = transform(roots, lambda node: names.get(node))
        for k, item in enumerate(order):
            order[k] = (new[item[0]],) if isinstance(item, tuple) else rebuild(item, tuple(new[x] for x in item.args))
    functions = _named_apart(roots)
    if functions:
        new = transform([n for item in order for n in (item if isinstance(item, tuple) else (item,))], functions.get)
        order = [(new[item[0]],) if isinstance(item, tuple) else new[item] for item in order]
    count = sum(isinstance(item, tuple) for item in order)
    results: list[Operand] = []
    statements: list[Node] = []
    for item in order:
        if not isinstance(item, tuple):
            statements.append(item)
            continue
        value = item[0]
        result = Operand(_fresh("r" if count == 1 else f"r{len(results)}", taken), value.type.plain)
        results.append(result)
        statements.append(Assign(result, value))
    return Program(name, operands, statements, results, locals=kept)


def _named_apart(roots: Iterable[Node]) -> dict[Node, Node]:
    """Functions that have the name of another one, and those that call them, under names of their own."""
    new: dict[Node, Node] = {}
    taken: set[str] = set()
    for node in postorder(roots, True):
        if isinstance(node, Function):
            (body,) = substitute((node.body,), new.get)
            name, k = node.name, 2
            while name in taken:
                name, k = f"{node.name}_{k}", k + 1
            taken.add(name)
            if name != node.name or body is not node.body:
                new[node] = Function(name, node.params, body)
    return new


def _read_first(statement: Node) -> tuple[Node, ...]:
    """The children of a statement, what is read before what is assigned: operands are declared in that order."""
    return (statement.value, statement.target) if isinstance(statement, Assign) else statement.args


def _fresh(name: str, taken: set[str]) -> str:
    fresh, k = name, 0
    while fresh in taken:
        fresh, k = f"{name}_{k}", k + 1
    taken.add(fresh)
    return fresh
