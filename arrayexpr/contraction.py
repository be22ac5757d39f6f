"""Sums of products that are stated as such: einsum, tensordot, dot and their like become matrix products."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from ._core.errors import ShapeMismatch, TypeMismatch, UnsupportedError
from ._core.nodes import Reduce, Slice, View
from ._core.ops import operator
from .promotion import ON_BOOL, rule_of
from .reductions import reduced
from .symbolic import SymbolicArray, as_symbolic, call_rule, dot, into, strong

_MATMUL: Final = rule_of(np.matmul)
_MULTIPLY: Final = rule_of(np.multiply)

#: An array with a label for each of its axes: equal labels are one axis of the sum.
_Labelled = tuple[SymbolicArray, tuple[Hashable, ...]]


def product(x: _Labelled, y: _Labelled, wanted: Sequence[Hashable]) -> _Labelled:
    """The product of two arrays, summed over the labels that are not wanted, as far as possible a matrix product.

    >>> from arrayexpr.build import array
    >>> a, b = array("a", "float64", 2), array("b", "float64", 3)
    >>> product((a, ("i", "k")), (b, ("j", "k", "i")), ("i", "j"))[1]
    ('i', 'j')
    """
    x = _summed(x, {*wanted, *y[1]})
    y = _summed(y, {*wanted, *x[1]})
    shared = [label for label in x[1] if label in y[1]]
    both = [label for label in shared if label in wanted]
    over = [label for label in shared if label not in wanted]
    left = [label for label in x[1] if label not in shared]
    right = [label for label in y[1] if label not in shared]
    if not over:
        labels = (*both, *left, *right)
        return call_rule(_MULTIPLY, (_placed(x, labels), _placed(y, labels))), labels
    # One axis is the product's own; others that are summed over lie before it, and are summed after.
    *before, last = over
    row, column = left[-1:], right[-1:]
    batch = (*before, *both, *left[:-1], *right[:-1])
    if not batch:
        return call_rule(_MATMUL, (_placed(x, (*row, last)), _placed(y, (last, *column)))), (*row, *column)
    # Among several products a vector is a matrix of one row, or of one column.
    made = call_rule(
        _MATMUL, (_placed(x, (*batch, *(row or [_NEW]), last)), _placed(y, (*batch, last, *(column or [_NEW]))))
    )
    node = made.node
    if before:
        op = operator("add")
        node = Reduce(ON_BOOL["add"] if made.type.element.kind == "b" else op, node, tuple(range(len(before))), False)
    kept = (*batch[len(before) :], *row, *column)
    if not (row and column):
        items = [Slice() for _ in batch[len(before) :]]
        node = View(node, (*items, Slice() if row else 0, Slice() if column else 0))
    return strong(node), kept


#: A label of an axis of length 1.
_NEW: Final = object()


def _placed(x: _Labelled, labels: Sequence[Hashable]) -> SymbolicArray:
    """The array with its axes in the order of labels, and one of length 1 where it has none."""
    array, own = x
    order = [own.index(label) for label in labels if label in own]
    array = array.transpose(order)
    if len(order) == len(labels):
        return array
    return array[tuple(slice(None) if label in own else None for label in labels)]


def _summed(x: _Labelled, kept: set[Hashable]) -> _Labelled:
    """The array summed over the labels that are not to be kept, in its own element type."""
    array, labels = x
    axes = tuple(k for k, label in enumerate(labels) if label not in kept)
    if not axes:
        return x
    made = reduced("add", array, axes, array.type.element.dtype, False)
    return made, tuple(label for label in labels if label in kept)


def _contracted(x: SymbolicArray, y: SymbolicArray, over: Sequence[tuple[int, int]]) -> SymbolicArray:
    """The sum of products over pairs of axes; the other axes are x's and then y's."""
    left: list[Hashable] = [("x", k) for k in range(x.ndim)]
    right: list[Hashable] = [("y", k) for k in range(y.ndim)]
    for a, b in over:
        right[b] = left[a]
    summed = {left[a] for a, _ in over}
    wanted = [label for label in (*left, *right) if label not in summed]
    made = product((x, tuple(left)), (y, tuple(right)), wanted)
    return _placed(made, wanted)


# -- NumPy's functions ----------------------------------------------------------------------------


def _einsum(
    subscripts: Any, *operands: Any, out: Any = None, dtype: Any = None, optimize: Any = False
) -> SymbolicArray:
    if not isinstance(subscripts, str):
        raise UnsupportedError("einsum with lists of axes cannot be traced: expected subscripts as a text first")
    arrays = [as_symbolic(x, "einsum") for x in operands]
    inputs, output = _parsed(subscripts, [x.ndim for x in arrays])
    to = np.dtype(dtype) if dtype is not None else np.result_type(*(x.dtype for x in arrays))
    terms: list[_Labelled] = [(x.astype(to), labels) for x, labels in zip(arrays, inputs, strict=True)]
    while len(terms) > 1:
        first, second = terms.pop(0), terms.pop(0)
        wanted = dict.fromkeys([*output, *(label for _, labels in terms for label in labels)])
        terms.insert(0, product(first, second, list(wanted)))
    return into(out, strong(_placed(_summed(terms[0], set(output)), output).node))


def _parsed(text: str, ranks: Sequence[int]) -> tuple[list[tuple[Hashable, ...]], tuple[Hashable, ...]]:
    """The labels of each operand's axes, and of the result's: `ij,jk->ik`, with `...` for axes that broadcast."""

    def fail(message: str) -> TypeMismatch:
        return TypeMismatch(f"einsum {text[:80]!r}: {message}")

    given, arrow, result = text.replace(" ", "").partition("->")
    parts = given.split(",")
    if len(parts) != len(ranks):
        raise fail(f"subscripts of {len(parts)} operands: got {len(ranks)}")
    inputs = []
    for k, (part, rank) in enumerate(zip(parts, ranks, strict=True)):
        labels = _labels(part, rank, f"operand {k}", fail)
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            message = f"einsum {text[:80]!r}: label {twice!r} stands twice in operand {k}, its diagonal"
            raise UnsupportedError(f"{message}: expected other labels")
        inputs.append(labels)
    known = [label for labels in inputs for label in labels]
    if not arrow:
        spread = sorted({label for label in known if isinstance(label, int)}, reverse=True)
        return inputs, (
            *spread,
            *sorted(label for label in known if isinstance(label, str) and known.count(label) == 1),
        )
    most = max((label + 1 for label in known if isinstance(label, int)), default=0)
    if most and "..." not in result:
        raise fail("the axes of '...' are not in the result: expected '...' there too")
    output = _labels(result, most + len(result.replace("...", "")), "the result", fail)
    for label in output:
        if label not in known:
            raise fail(f"label {label!r} of the result is in no operand")
        if output.count(label) > 1:
            raise fail(f"label {label!r} stands twice in the result")
    return inputs, output


def _labels(part: str, rank: int, what: str, fail: Callable[[str], TypeMismatch]) -> tuple[Hashable, ...]:
    before, dots, after = part.partition("...")
    for letter in before + after:
        if not (letter.isascii() and letter.isalpha()):
            raise fail(f"{letter!r} in the subscripts of {what}: expected letters, ',', '->' and '...'")
    named = len(before) + len(after)
    if named > rank or (named < rank and not dots):
        raise fail(f"{part!r} names {named} axes of {what}, which has {rank}")
    # Axes without a name are aligned at the last.
    return (*before, *range(rank - named - 1, -1, -1), *after)


def _tensordot(a: Any, b: Any, axes: Any = 2) -> SymbolicArray:
    x, y = as_symbolic(a, "tensordot"), as_symbolic(b, "tensordot")
    if isinstance(axes, int):
        if not 0 <= axes <= min(x.ndim, y.ndim):
            raise ShapeMismatch(f"tensordot over {axes} axes of {x.type} and {y.type}: expected as many as both have")
        pairs = ((tuple(range(x.ndim - axes, x.ndim))), tuple(range(axes)))
    else:
        left, right = axes
        pairs = normalize_axis_tuple(left, x.ndim, "axes of a"), normalize_axis_tuple(right, y.ndim, "axes of b")
    if len(pairs[0]) != len(pairs[1]):
        raise ShapeMismatch(f"tensordot over {len(pairs[0])} axes of a and {len(pairs[1])} of b: expected as many")
    return _contracted(x, y, tuple(zip(*pairs, strict=True)))


def _dot(a: Any, b: Any, out: Any = None) -> SymbolicArray:
    x, y = as_symbolic(a, "dot"), as_symbolic(b, "dot")
    if x.ndim < 1 or y.ndim < 1 or y.ndim <= 2 >= x.ndim:
        return dot(a, b, out)
    return into(out, _contracted(x, y, ((x.ndim - 1, max(0, y.ndim - 2)),)))


def _inner(a: Any, b: Any, /) -> SymbolicArray:
    x, y = as_symbolic(a, "inner"), as_symbolic(b, "inner")
    if x.ndim == 0 or y.ndim == 0:
        return dot(x, y)
    return _contracted(x, y, ((x.ndim - 1, y.ndim - 1),))


def _vdot(a: Any, b: Any, /) -> SymbolicArray:
    x, y = as_symbolic(a, "vdot"), as_symbolic(b, "vdot")
    if x.ndim != y.ndim:
        raise UnsupportedError(f"np.vdot of {x.type} and {y.type} cannot be traced: expected arrays of one rank")
    if x.type.element.kind == "c":
        x = x.conj()
    return dot(x, y) if x.ndim == 0 else _contracted(x, y, tuple((k, k) for k in range(x.ndim)))


def _outer(a: Any, b: Any, out: Any = None) -> SymbolicArray:
    x, y = as_symbolic(a, "outer"), as_symbolic(b, "outer")
    if x.ndim > 1 or y.ndim > 1:
        raise UnsupportedError(f"np.outer of {x.type} and {y.type} cannot be traced: expected vectors")
    rows, columns = (x[None] if x.ndim == 0 else x), (y[None] if y.ndim == 0 else y)
    return into(out, call_rule(_MULTIPLY, (rows[:, None], columns[None])))


def _linalg_vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> SymbolicArray:
    x, y = as_symbolic(x1, "vecdot"), as_symbolic(x2, "vecdot")
    if x.type.element.kind == "c":
        x = x.conj()
    terms = []
    for array in (x, y):
        place = normalize_axis_tuple(axis, array.ndim)[0]
        rest = iter(range(array.ndim - 2, -1, -1))
        terms.append((array, tuple("sum" if k == place else next(rest) for k in range(array.ndim))))
    wanted = tuple(range(max(x.ndim, y.ndim) - 2, -1, -1))
    return _placed(product(terms[0], terms[1], wanted), wanted)


#: What each of NumPy's functions is on symbolic arrays.
FUNCTIONS: Final[dict[Any, Callable[..., Any]]] = {
    np.einsum: _einsum,
    np.tensordot: _tensordot,
    np.dot: _dot,
    np.inner: _inner,
    np.vdot: _vdot,
    np.outer: _outer,
    np.linalg.vecdot: _linalg_vecdot,
    np.linalg.outer: _outer,
    np.linalg.matmul: lambda x1, x2: call_rule(_MATMUL, (x1, x2)),
    np.linalg.tensordot: lambda x1, x2, axes=2: _tensordot(x1, x2, axes),
}
