"""Loops in the function itself, for element expressions that only Cython's own code computes.

Such are calls of functions written in Cython or declared from C, checks of overflow, quotients of complex numbers:
what may run any code, or raise at a place of its own. Elements are computed one by one, in the C order of the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from Cython.Compiler import ExprNodes, PyrexTypes

from arrayexpr._core.nodes import Operand

from .reader import ElementNode, Unread

#: What the loops call, which host.h defines.
PROTOTYPES = """\
static CYTHON_INLINE int arrayexpr_fit(int rank, int count, const int *ranks, const ptrdiff_t *geometry,
                                       ptrdiff_t *shape, ptrdiff_t *steps);
static CYTHON_INLINE int arrayexpr_apart(int rank, int target, int k, int same, const int *sizes, char *const *data,
                                         const ptrdiff_t *shape, const ptrdiff_t *steps);
static void *arrayexpr_buffer(int rank, const ptrdiff_t *shape, ptrdiff_t *steps, int size);
static void arrayexpr_store(int rank, const ptrdiff_t *shape, char *to, const ptrdiff_t *steps, const char *from,
                            int size);"""


class ElementLoops:
    """The loops of one statement; `element` is Cython's expression of one, `places` what its leaves stand for."""

    def __init__(self, element: Any, c_type: Any, places: Mapping[Operand, Any], env: Any):
        """For elements of `c_type`; raises Unread where they cannot be computed without Python objects."""
        check(element)
        own = element.type
        if own.is_complex and not c_type.is_complex and own is not PyrexTypes.soft_complex_type:
            raise Unread(f"type {own}, and is stored as {c_type}")
        if c_type.is_complex or own is PyrexTypes.soft_complex_type:
            element = element.coerce_to(c_type, env)
        self.element = element
        self.c_type = c_type
        self.places = dict(places)
        self.types = {node.operand: node.type for node in nodes_in(element) if isinstance(node, ElementNode)}
        self.calls = any(_runs_any_code(node) for node in nodes_in(element))

    def generate(
        self,
        code: Any,
        pos: Any,
        stored: Operand,
        arrays: Sequence[Operand],
        results: Mapping[Operand, str],
        fresh: bool,
    ) -> None:
        """The loops, in a block that has begun.

        Where an element may raise, or run code of the user's, values go to memory of their own first, and are stored
        once all are there.
        """
        rank, every = stored.type.rank, [stored, *arrays]
        pointers = {operand: f"arrayexpr_p{k}" for k, operand in enumerate(every)}
        declared = self.c_type.empty_declaration_code()
        ranks = ", ".join(str(operand.type.rank) for operand in every)
        sizes = ", ".join(f"{operand.type.element.itemsize}" for operand in every)
        geometry = [
            f"{results[each]}.{what}[{axis}]"
            for each in every
            for what in ("shape", "strides")
            for axis in range(each.type.rank)
        ]
        count = len(every)
        data = ", ".join(f"(char *){results[each]}.data" for each in every)
        code.putln(f"const int arrayexpr_ranks[] = {{{ranks}}}, arrayexpr_sizes[] = {{{sizes}}};")
        code.putln(f"const ptrdiff_t arrayexpr_geometry[] = {{{', '.join(geometry)}}};")
        code.putln(f"char *arrayexpr_data[] = {{{data}}}, *arrayexpr_own = NULL;")
        code.putln("(void)arrayexpr_sizes;")
        code.putln(f"ptrdiff_t arrayexpr_shape[{rank}], arrayexpr_steps[{count * rank}], arrayexpr_kept[{rank}];")
        code.putln(
            f"const int arrayexpr_work = arrayexpr_fit({rank}, {count}, arrayexpr_ranks, arrayexpr_geometry, "
            "arrayexpr_shape, arrayexpr_steps);"
        )
        code.putln(code.error_goto_if_neg("arrayexpr_work", pos))
        code.putln("if (arrayexpr_work) {")
        code.putln(f"memcpy(arrayexpr_kept, arrayexpr_steps, {rank} * sizeof(ptrdiff_t));")
        buffering = code.insertion_point()
        outer = code.new_error_label()
        self._loops(code, rank, every, pointers, results, declared)
        raises = code.label_used(code.error_label)
        inner, code.error_label = code.error_label, outer
        # What nothing else reads may hold values that are never seen.
        buffered = "0" if fresh else "1" if raises or self.calls else self._overlaps(rank, count)
        buffering.putln(f"if ({buffered}) {{")
        buffering.putln(
            f"arrayexpr_own = (char *)arrayexpr_buffer({rank}, arrayexpr_shape, arrayexpr_steps, "
            f"(int)sizeof({declared}));"
        )
        buffering.putln(code.error_goto_if_null("arrayexpr_own", pos))
        buffering.putln("}")
        code.putln("if (arrayexpr_own != NULL) {")
        code.putln(
            f"arrayexpr_store({rank}, arrayexpr_shape, arrayexpr_data[0], arrayexpr_kept, arrayexpr_own, "
            f"(int)sizeof({declared}));"
        )
        code.putln("free(arrayexpr_own);")
        code.putln("}")
        if raises:
            done = code.new_label("arrayexpr_done")
            code.put_goto(done)
            code.put_label(inner)
            code.putln("free(arrayexpr_own);")
            code.put_goto(outer)
            code.put_label(done)
        code.putln("}")

    def _overlaps(self, rank: int, count: int) -> str:
        tests = [
            f"!arrayexpr_apart({rank}, 0, {k}, 1, arrayexpr_sizes, arrayexpr_data, arrayexpr_shape, arrayexpr_steps)"
            for k in range(1, count)
        ]
        return " || ".join(tests) or "0"

    def _loops(
        self,
        code: Any,
        rank: int,
        every: Sequence[Operand],
        pointers: Mapping[Operand, str],
        results: Mapping[Operand, str],
        declared: str,
    ) -> None:
        code.begin_block()
        for k, operand in enumerate(every):
            first = f"arrayexpr_data[{k}]"
            if k == 0:
                code.putln(f"char *arrayexpr_to_0 = arrayexpr_own != NULL ? arrayexpr_own : {first};")
            code.putln(f"char *{pointers[operand]}_0 = {first};")
        for axis in range(rank):
            index = f"arrayexpr_i{axis}"
            advance = [f"{pointers[each]}_{axis} += arrayexpr_{'kept' if k == 0 else 'steps'}[{k * rank + axis}]"
                       for k, each in enumerate(every)]  # fmt: skip
            advance.append(f"arrayexpr_to_{axis} += arrayexpr_steps[{axis}]")
            code.putln(
                f"for (ptrdiff_t {index} = 0; {index} < arrayexpr_shape[{axis}]; ++{index}, {', '.join(advance)}) {{"
            )
            names = [*pointers.values(), "arrayexpr_to"]
            if axis < rank - 1:
                for name in names:
                    code.putln(f"char *{name}_{axis + 1} = {name}_{axis};")
        for leaf, c_type in self.types.items():
            name, place = f"arrayexpr_{leaf.name}", self.places[leaf]
            of_array = f"*({c_type.empty_declaration_code()} *){pointers.get(place, '')}_{rank - 1}"
            value = of_array if place in pointers else results[place]
            code.putln(f"const {c_type.declaration_code(name)} = {value};")
        self.element.generate_evaluation_code(code)
        code.putln(f"*({declared} *)arrayexpr_to_{rank - 1} = ({declared})({self.element.result()});"
                   if not self.c_type.is_complex else
                   f"*({declared} *)arrayexpr_to_{rank - 1} = {self.element.result()};")  # fmt: skip
        self.element.generate_disposal_code(code)
        self.element.free_temps(code)
        for _ in range(rank):
            code.putln("}")
        code.end_block()


def check(element: Any) -> None:
    """Raise Unread where an element expression has a part that is a Python object."""
    for node in nodes_in(element):
        if node.type is None or node.type.is_error:
            raise Unread(f"{type(node).__name__} in an expression on memoryviews")
        if node.type.is_pyobject:
            raise Unread("a Python object in an expression on memoryviews")


def nodes_in(node: Any) -> list[Any]:
    """An expression's nodes."""
    found = [node]
    for name in node.child_attrs:
        child = getattr(node, name)
        for each in child if isinstance(child, list) else [child]:
            if each is not None:
                found += nodes_in(each)
    return found


def _runs_any_code(node: Any) -> bool:
    return isinstance(node, ExprNodes.SimpleCallNode)
