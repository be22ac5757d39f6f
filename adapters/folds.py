"""Loops that reduce, in C: calls of the folds in `primitives/fold.h`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arrayexpr._core.affine import coefficients
from arrayexpr._core.errors import UnsupportedError
from arrayexpr._core.nodes import Apply, Load, Loop, Node, Operand, Scratch, Store, postorder, substitute
from arrayexpr._core.ops import Operator
from arrayexpr._core.passes.nests import enclosed
from arrayexpr._core.primitives import fold, text

if TYPE_CHECKING:
    from .clike import Writer


@dataclass(frozen=True, slots=True)
class Fold:
    """The variable that holds what a fold has taken in, the loop that it goes through, the name of its functions.

    Without functions the variable is of the element type: integers come out the same in any order.
    """

    variable: str
    loop: Loop
    function: str | None = None


class Folds:
    """The folds of the reducing loops around the place that a writer has come to."""

    def __init__(self, writer: Writer):
        self._writer = writer
        self._open: dict[Operand, Fold] = {}

    def outermost(self, loop: Loop) -> bool:
        """Whether a loop is the first of its nest to reduce, or adds up what begins anew in the loops around it."""
        return loop.role == "reduce" and (not self._open or bool(self._own(loop)))

    def _own(self, loop: Loop) -> list[Store]:
        """The stores of accumulators that go on through a nest and through none around it."""
        anew = {statement.operand for statement in enclosed(loop.body) if isinstance(statement, Scratch)}
        return [s for s in _stores(loop) if s.operand not in anew and s.operand not in self._open]

    def start(self, loop: Loop) -> Sequence[Store]:
        """Declare a fold for each accumulator that the nest stores; these are for `end`."""
        writer = self._writer
        own = self._own(loop)
        for store in own:
            op = step(store)[0]
            t = store.operand.type.element
            if t.kind in "biu":
                variable = writer.local("f")
                writer.line(f"{writer.type(t)} {variable} = {writer.place(store)};")
                self._open[store.operand] = Fold(variable, loop)
                continue
            macro = fold(op, t)
            if macro is None:
                raise UnsupportedError(f"a reduction by {op.name} over {t} has no {writer.dialect.name} form")
            writer.helpers.setdefault(text("fold.h"))
            writer.helpers.setdefault(macro)
            function = f"arrayexpr_fold_{op.name}_{t.name}"
            variable = writer.local("f")
            self._open[store.operand] = Fold(variable, loop, function)
            writer.line(f"{function} {variable};")
            writer.line(f"{function}_start(&{variable});")
        return own

    def end(self, stores: Sequence[Store]) -> None:
        """Join what the folds took in to the accumulators."""
        for store in stores:
            self._writer.line(self.joined(store))
            del self._open[store.operand]

    def joined(self, store: Store) -> str:
        """The statement that joins what a fold took in to its accumulator."""
        made = self._open[store.operand]
        place = self._writer.place(store)
        value = made.variable if made.function is None else f"{made.function}_end(&{made.variable}, {place})"
        return f"{place} = {value};"

    def of(self, store: Store) -> Fold:
        """The fold of an accumulator."""
        return self._open[store.operand]

    def strip(self, loop: Loop, start: str, stop: str) -> None:
        """Have each fold take in the elements along an innermost loop."""
        exact = []
        for store in _stores(loop):
            made = self._open[store.operand]
            if made.function is None:
                exact.append(store)
                continue
            value = step(store)[1]
            if not isinstance(value, Load):
                raise UnsupportedError(f"a reduction of {value!r}: expected an element, which `strip` sees to")
            self._add(made, value, loop, stop if start == "0" else f"{stop} - {start}")
        if exact:
            variables = {store: self._open[store.operand].variable for store in exact}
            self._writer.accumulate(loop, start, stop, variables)

    def _add(self, made: Fold, value: Load, loop: Loop, count: str) -> None:
        writer = self._writer
        first = writer.place(Load(value.operand, tuple(substitute(value.subscripts, {loop.index: loop.start}.get))))
        strides = []
        for axis, subscript in enumerate(value.subscripts):
            form = coefficients(subscript, {})
            factor = form[1].get(loop.index, 0) if form is not None else 0
            if form is None and loop.index in postorder((subscript,)):
                raise UnsupportedError(f"a reduction along the subscript {subscript!r}: expected an affine one")
            if factor:
                stride = writer.stride(value.operand, axis)
                strides.append(stride if factor == 1 else f"{factor} * {stride}")
        step = " + ".join(strides) or "0"
        writer.line(f"{made.function}_add(&{made.variable}, (const char *)&{first}, {step}, {count});")


def _stores(loop: Loop) -> Sequence[Store]:
    """The stores of accumulators in a nest: those of its innermost loops that reduce."""
    return [
        s
        for inner in (loop, *enclosed(loop.body))
        if isinstance(inner, Loop) and inner.role == "reduce" and not any(isinstance(s, Loop) for s in inner.body)
        for s in inner.body
        if isinstance(s, Store)
    ]


def step(store: Store) -> tuple[Operator, Node]:
    """The operator of a store `acc = op(acc, value)`, and the value."""
    match store.value:
        case Apply(op, (Load(operand, subscripts), value)) if (
            operand is store.operand and subscripts == store.subscripts
        ):
            return op, value
    raise UnsupportedError(f"{store!r} in a loop that reduces: expected an accumulator and what it takes in")
