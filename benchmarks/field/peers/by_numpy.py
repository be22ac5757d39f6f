"""NumPy: the work's function as calls of ufuncs and reductions, each with `out=` into a buffer that is used again.

What a careful user writes by hand is taken from the function by running it once on recorders: every call is noted, with
the buffers of values that are dead by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from ..work import Problem, using
from .run import Run, plain

NAME = "numpy"
NOTE = "ufuncs and reductions with out= into buffers that are used again"


def version() -> str:
    return np.__version__


def _where(mask: Any, x: Any, y: Any, out: Any) -> None:
    np.copyto(out, y)
    np.copyto(out, x, where=mask)


class _Value(NDArrayOperatorsMixin):
    """A value of the run that is recorded: an operand, or what step `step` gives."""

    def __init__(self, tape: _Tape, array: np.ndarray, step: int = -1, source: _Value | None = None):
        self.tape, self.array, self.step, self.source = tape, array, step, source
        # Of a view: how it is taken, to take it of the buffer.
        self.taken: Callable[[np.ndarray], np.ndarray] | None = None

    def _view(self, taken: Callable[[np.ndarray], np.ndarray]) -> _Value:
        made = _Value(self.tape, taken(self.array), self.step, self)
        made.taken = taken
        return made

    def __getitem__(self, index: Any) -> _Value:
        return self._view(lambda x: x[index])

    @property
    def T(self) -> _Value:
        return self._view(lambda x: x.T)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
        assert method == "__call__" and not keywords
        # As the operator `**` does for arrays.
        if ufunc is np.power and inputs[1] == 2:
            ufunc, inputs = np.square, inputs[:1]
        return self.tape.record(ufunc, inputs, {})

    def __array_function__(self, function: Any, types: Any, args: Any, keywords: Any) -> Any:
        if function is np.where:
            return self.tape.record(_where, args, {}, np.where(*(_plain(a) for a in args)))
        return self.tape.record(function, args, keywords)


def _plain(x: Any) -> Any:
    return x.array if isinstance(x, _Value) else x


class _Tape:
    def __init__(self) -> None:
        self.steps: list[tuple[Any, tuple[Any, ...], dict[str, Any], np.ndarray]] = []

    def record(self, function: Any, args: Any, keywords: Any, value: Any = None) -> _Value:
        if value is None:
            value = function(*(_plain(a) for a in args), **keywords)
        self.steps.append((function, tuple(args), keywords, np.asarray(value)))
        return _Value(self, np.asarray(value), len(self.steps) - 1)


def prepare(problem: Problem, threads: int) -> Run:
    tape = _Tape()
    outputs = problem.outputs
    found = using(problem.work.function)(*(_Value(tape, a) for a in problem.inputs))
    found = found if isinstance(found, tuple) else (found,)
    last: dict[int, int] = {}
    for number, (_, args, _, _) in enumerate(tape.steps):
        last.update({a.step: number for a in args if isinstance(a, _Value)})
    kept = {value.step: out for value, out in zip(found, outputs, strict=True)}
    last.update(dict.fromkeys(kept, len(tape.steps)))
    buffers: dict[int, np.ndarray] = {}
    free: list[np.ndarray] = []
    calls = []

    def stored(x: Any) -> Any:
        if not isinstance(x, _Value):
            return x
        if x.source is not None:
            return x.taken(stored(x.source))
        return x.array if x.step < 0 else buffers[x.step]

    for number, (function, args, keywords, value) in enumerate(tape.steps):
        given = tuple(stored(a) for a in args)
        # An element-wise step may write where it reads; `where` writes before it has read.
        dead = [buffers[step] for step, end in last.items() if end == number and step >= 0 and step not in kept]
        if isinstance(function, np.ufunc):
            free.extend(dead)
        if number in kept:
            out = kept[number]
        else:
            fitting = [k for k, b in enumerate(free) if b.shape == value.shape and b.dtype == value.dtype]
            out = free.pop(fitting[0]) if fitting else np.empty_like(value)
        if not isinstance(function, np.ufunc):
            free.extend(dead)
        buffers[number] = out
        calls.append((function, given, {**keywords, "out": out}))
    if len(calls) == 1:
        ((only, given, keywords),) = calls
        return Run(plain(only, given, **keywords), lambda: outputs)

    def call() -> None:
        for function, given, keywords in calls:
            function(*given, **keywords)

    return Run(call, lambda: outputs)
