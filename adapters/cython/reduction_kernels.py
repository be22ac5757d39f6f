"""C for a reduction of an expression on arrays: a function that the call of it runs.

    static int arrayexpr_NAME(char **data, const ptrdiff_t *geometry)

`data` holds where the result goes, in C order, then the first element of each array, then the address of each number;
`geometry` the lengths and steps of the shape that arrays are stretched to, then those of each array. Returns 0, or -1
with a Python exception set; it needs no GIL.
"""

from __future__ import annotations

from collections.abc import Sequence

from arrayexpr._core.driver import run
from arrayexpr._core.nodes import Apply, Assign, Cast, Node, Operand, Reduce, substitute
from arrayexpr._core.ops import operator
from arrayexpr._core.program import Program
from arrayexpr._core.types import ElementType

from .kernels import TARGET, Kernel, finished

#: The operator of each reduction by name. A mean is a sum that is divided.
OPERATORS = {
    "sum": "add",
    "prod": "multiply",
    "min": "minimum",
    "max": "maximum",
    "mean": "add",
    "any": "logical_or",
    "all": "logical_and",
}


def reduction(
    name: str,
    value: Node,
    axes: tuple[int, ...],
    to: ElementType,
    rank: int,
    arrays: Sequence[Operand],
    numbers: Sequence[Operand],
) -> Kernel:
    """The kernel of the reduction `name` over axes of a value along `rank` axes, stored as elements of type `to`."""
    target = Operand("r0", to.array(rank - len(axes)))
    count = Operand("n0", to.array(0))
    new: dict[Node, Operand] = {each: Operand(f"a{k}", each.type.element.array(rank)) for k, each in enumerate(arrays)}
    new |= {each: Operand(f"s{k}", each.type) for k, each in enumerate(numbers)}
    renamed = substitute((value,), new.get)[0]
    reduced: Node = Reduce(operator(OPERATORS[name]), renamed, axes)
    if name == "mean":
        reduced = Apply(operator("true_divide"), (reduced, count))
    if reduced.type.element is not to:
        reduced = Cast(reduced, to)
    operands = [target, *new.values(), *([count] if name == "mean" else [])]
    program = run(Program("whole", operands, [Assign(target, reduced)], target=TARGET))
    call = _CALL
    for word, text in (
        ("LEFT", str(rank - len(axes))),
        ("REDUCED", ", ".join(str(int(axis in axes)) for axis in range(rank))),
        ("EMPTY", f'"{OPERATORS[name]}"' if name in ("min", "max") else "NULL"),
        ("MEAN", _MEAN.replace("PART", _PARTS[to.name]) if name == "mean" else "    (void)number;"),
    ):
        call = call.replace(f"${word}$", text)
    return finished(
        [program],
        call,
        rank=rank,
        inner=rank,
        ranks=[rank, *(each.type.rank for each in arrays)],
        sizes=[to.itemsize, *(each.type.element.itemsize for each in arrays)],
        numbers=len(numbers),
    )


_PARTS = {
    **{"float32": "float", "float64": "double", "longdouble": "long double"},
    **{"complex64": "float", "complex128": "double", "clongdouble": "long double"},
}

#: How many elements a mean divides by, in the type of the result.
_MEAN = """\
    PART divisor[2] = {(PART)number, 0};
    arrays[COUNT + NUMBERS].data = divisor;
    arrays[COUNT + NUMBERS].shape = NULL;
    arrays[COUNT + NUMBERS].strides = NULL;"""

_CALL = """\
static int NAME(char **data, const ptrdiff_t *geometry) {
    enum { RANK = $RANK$, COUNT = $COUNT$, NUMBERS = $NUMBERS$, LEFT = $LEFT$ };
    static const int ranks[COUNT] = {$RANKS$}, sizes[COUNT] = {$SIZES$}, reduced[RANK] = {$REDUCED$};
    const char *const none = $EMPTY$;
    ptrdiff_t shape[RANK], steps[COUNT * RANK], kept[RANK], kept_steps[RANK], number = 1, next = sizes[0];
    arrayexpr_array arrays[COUNT + NUMBERS + 1];
    void *scratch, *aligned;
    int results = 1;
    if (arrayexpr_fit(RANK, COUNT, ranks, geometry, shape, steps) < 0) return ARRAYEXPR_ERROR;
    for (int axis = 0, left = 0; axis < RANK; ++axis) {
        if (reduced[axis]) {
            number *= shape[axis];
        } else {
            kept[left++] = shape[axis];
            results = results && shape[axis] > 0;
        }
    }
    if (!results) return 0;
    if (none != NULL && number == 0) {
        arrayexpr_raise_empty(none);
        return ARRAYEXPR_ERROR;
    }
    for (int left = LEFT - 1; left >= 0; --left) {
        kept_steps[left] = next;
        next *= kept[left];
    }
    for (int k = 0; k < COUNT + NUMBERS; ++k) {
        arrays[k].data = data[k];
        arrays[k].shape = k == 0 ? kept : shape;
        arrays[k].strides = k == 0 ? kept_steps : k < COUNT ? steps + k * RANK : NULL;
    }
$MEAN$
    if (arrayexpr_scratch(NAME_whole_scratch(arrays), &scratch, &aligned) < 0) return ARRAYEXPR_ERROR;
    NAME_whole(arrays, aligned, 1);
    free(scratch);
    return 0;
}
"""
