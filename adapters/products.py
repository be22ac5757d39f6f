"""Matrix products in C: BLAS where a program is compiled with it, and loops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrayexpr._core.affine import integer, minus
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Constant,
    Contract,
    Extent,
    Index,
    Load,
    Loop,
    Node,
    Scratch,
    Store,
    substitute,
)
from arrayexpr._core.ops import operator
from arrayexpr._core.passes.elements import base_of, subscripts_of
from arrayexpr._core.passes.products import lengths_of

if TYPE_CHECKING:
    from .clike import Writer

#: What BLAS has a product of: the letter of its function, and the type of its scalars.
_BLAS = {"float32": ("s", "float"), "float64": ("d", "double")}

_GEMM = """\
#ifdef ARRAYEXPR_CBLAS
#include <cblas.h>
#include <limits.h>
/* How BLAS is told of a matrix: whether as its transpose, and the elements from a row to the next; 0 where not. */
static inline int arrayexpr_matrix_$N(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t row, ptrdiff_t column,
                                      int *turned) {
    const ptrdiff_t size = sizeof($T);
    *turned = !(column == size || columns == 1);
    if (*turned) {
        const ptrdiff_t n = rows, step = row;
        if (row != size && rows != 1) return 0;
        rows = columns, columns = n, row = column, column = step;
    }
    const ptrdiff_t lead = rows == 1 ? columns : row / size;
    if ((rows != 1 && row % size) || lead < columns || lead < 1 || lead > INT_MAX) return 0;
    return (int)lead;
}
/* r = a b; 0 where the strides are none that BLAS takes. */
static int arrayexpr_gemm_$N(ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, const $T *a, ptrdiff_t a0, ptrdiff_t a1,
                             const $T *b, ptrdiff_t b0, ptrdiff_t b1, $T *r, ptrdiff_t r0, ptrdiff_t r1) {
    int ta, tb, tr;
    if (m < 1 || n < 1 || k < 1 || m > INT_MAX || n > INT_MAX || k > INT_MAX) return 0;
    const int lr = arrayexpr_matrix_$N(m, n, r0, r1, &tr);
    if (tr) return lr ? arrayexpr_gemm_$N(n, m, k, b, b1, b0, a, a1, a0, r, r1, r0) : 0;
    const int la = arrayexpr_matrix_$N(m, k, a0, a1, &ta), lb = arrayexpr_matrix_$N(k, n, b0, b1, &tb);
    if (!la || !lb || !lr) return 0;
    cblas_$Lgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k,
                 1, a, la, b, lb, 0, r, lr);
    return 1;
}
#endif"""


def assign(writer: Writer, statement: Assign) -> None:
    """Write the statement `target = left @ right`, of operands or views of them."""
    product = statement.value
    assert isinstance(product, Contract)
    left, right, target = product.left, product.right, statement.target
    lengths = {
        Extent(s.operand, axis): length
        for s in writer.program.statements
        if isinstance(s, Scratch)
        for axis, length in enumerate(s.extents)
    }
    batch = max(left.type.rank, right.type.rank) - 2
    known = substitute([*lengths_of(product), lengths_of(left)[-1]], lengths.get)
    known = substitute(known, lengths.get)
    count = known.pop()
    before = [Index(writer.local("m")) for _ in range(max(0, batch))]
    i, j, k = (Index(writer.local("m")) for _ in range(3))
    row, column = [i] if left.type.rank > 1 else [], [j] if right.type.rank > 1 else []
    places = {
        left: [*before[len(before) - max(0, left.type.rank - 2) :], *row, k],
        right: [*before[len(before) - max(0, right.type.rank - 2) :], k, *column],
    }
    at = [*before, *row, *column]
    extents = dict(zip(at, known, strict=True))

    def element(node: Node, indices: list[Index]) -> tuple[Node, ...]:
        found = substitute(subscripts_of(node, tuple(indices)), lengths.get)
        return tuple(substitute(found, lengths.get))

    goal = base_of(target)
    subscripts = element(target, at)
    t = product.type.element
    a, b = (Load(base_of(node), element(node, places[node])) for node in (left, right))
    if left is right:
        a = Load(base_of(left), element(left, [*before, *row, k]))
    zero = Constant(False if t.kind == "b" else 0 if t.kind in "iuc" else 0.0, t)
    times, plus = ("logical_and", "logical_or") if t.kind == "b" else ("multiply", "add")
    term = Apply(operator(times), (a, b))
    step: Node = Store(goal, subscripts, Apply(operator(plus), (Load(goal, subscripts), term)))
    start: Node = Store(goal, subscripts, zero)

    def over(index: Index, stop: Node, role: str, *body: Node) -> Node:
        return Loop(index, integer(0), stop, integer(1), role, body)

    if column:
        start, step = over(j, extents[j], "vector", start), over(j, extents[j], "vector", step)
    body = [start, over(k, count, "serial", step)]
    loops: list[Node] = [over(i, extents[i], "serial", *body)] if row else body
    for index in before:
        writer.line(f"for ({writer.dialect.index} {writer.names.of('index', index.name)} = 0; "
                    f"{writer.names.of('index', index.name)} < {writer.integer(extents[index], 20)}; "
                    f"++{writer.names.of('index', index.name)}) {{")  # fmt: skip
        writer.depth += 1
    if t.name in _BLAS:
        _blas(writer, t.name, [(a, i, k), (b, k, j), (Load(goal, subscripts), i, j)], extents, count)
    writer.line("{")
    writer.scoped(loops)
    writer.line("}")
    for _ in before:
        writer.depth -= 1
        writer.line("}")


def _blas(
    writer: Writer, t: str, matrices: list[tuple[Load, Index, Index]], extents: dict[Index, Node], count: Node
) -> None:
    """The call of BLAS, and the condition that it was none for what follows."""
    letter, c_type = _BLAS[t]
    writer.helpers.setdefault(_GEMM.replace("$N", t).replace("$T", c_type).replace("$L", letter))
    texts = []
    for k, (access, *indices) in enumerate(matrices):
        zero = {index: integer(0) for index in indices}
        first = substitute(access.subscripts, zero.get)
        const = "" if k == 2 else "const "
        base = writer.names.of("operand", access.operand.name)
        texts.append(f"({const}{c_type} *)({base}{writer.offset(access.operand, list(enumerate(first)))})")
        for index in indices:
            one = substitute(access.subscripts, {**zero, index: integer(1)}.get)
            steps = [minus(y, x) for x, y in zip(first, one, strict=True)]
            texts.append(writer.offset(access.operand, list(enumerate(steps))).removeprefix(" + ") or "0")
    m, n = (writer.integer(extents[index]) if index in extents else "1" for index in (matrices[2][1], matrices[2][2]))
    writer.line("#ifdef ARRAYEXPR_CBLAS")
    writer.line(f"if (!arrayexpr_gemm_{t}({', '.join([m, n, writer.integer(count), *texts])}))")
    writer.line("#endif")
