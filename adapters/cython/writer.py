"""Gives an assignment back to Cython: a statement that evaluates its operands, and calls the kernel with them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from Cython.Compiler import ExprNodes, Nodes, PyrexTypes
from Cython.Compiler.Code import UtilityCode

from arrayexpr._core.nodes import Node, Operand, substitute
from arrayexpr._core.types import BOOL

from . import directives, kernels
from .element_loops import PROTOTYPES, ElementLoops
from .elements import element_of, plain
from .kernels import Kernel
from .reader import Check, Reader, Unread
from .vector import VectorNode

#: What makes a kernel of a value, the target, arrays and numbers.
Make = Callable[[Node, Operand, list[Operand], list[Operand]], Kernel]

#: What finds the shape of a new memoryview, in host.h.
STRETCH = """\
static int arrayexpr_stretch(int rank, int count, const int *ranks, const ptrdiff_t *geometry, ptrdiff_t *shape);"""


#: Seconds of gcc 12 -O3 for a byte of kernels.
_SECONDS = 10e-6

_LIST = """\
#if defined(__GNUC__)
#define ARRAYEXPR_UNUSED __attribute__((unused))
#else
#define ARRAYEXPR_UNUSED
#endif
#ifdef __cplusplus
template <typename T, size_t N> struct arrayexpr_list {
    T items[N];
    T *all() { return items; }
};
template <typename T, typename... A> static inline arrayexpr_list<T, sizeof...(A)> arrayexpr_listed(A... a) {
    return {{(T)a...}};
}
#define ARRAYEXPR_LIST(T, ...) (arrayexpr_listed<T>(__VA_ARGS__).all())
#else
#define ARRAYEXPR_LIST(T, ...) ((T[]){__VA_ARGS__})
#endif"""


class Kernels:
    """The kernels of one module, each once, as one piece of utility code."""

    def __init__(self) -> None:
        self.made: dict[str, Kernel] = {}
        #: Those of which shapes are tested before the kernel runs.
        self.fitting: dict[str, None] = {}
        #: Whether functions have loops of their own, which call what kernels do.
        self.loops = False
        #: Whether functions find shapes of new memoryviews.
        self.stretches = False
        self._code: Any = None

    @staticmethod
    def of(env: Any) -> Kernels:
        """Those of the module that a scope is in."""
        # Inline functions of declarations have a module of their own, and the context of the one that takes them in.
        context = env.global_scope().context
        found: Kernels | None = getattr(context, "arrayexpr_kernels", None)
        if found is None or found._code is not None:
            found = context.arrayexpr_kernels = Kernels()
        return found

    def add(self, kernel: Kernel) -> Kernel:
        return self.made.setdefault(kernel.name, kernel)

    def description(self) -> str:
        """What a report says of them; nothing where there are none."""
        count, size = len(self.made), self.size_with(())
        if not count:
            return ""
        kernels_of = "a kernel" if count == 1 else f"{count} kernels"
        return f"{kernels_of}, {size / 1000:.0f} kB of C, which gcc -O3 takes some {size * _SECONDS:.1f} s for"

    def full(self, limit: Any) -> bool:
        """Whether kernels take more than `limit` bytes of C: those that are still to be made have few versions then."""
        return self.size_with(()) > int(limit or 0)

    def size_with(self, more: Iterable[Kernel]) -> int:
        """The bytes of C of all kernels, and of more."""
        every = {**self.made, **{kernel.name: kernel for kernel in more}}
        helpers = {text for kernel in every.values() for text in kernel.helpers}
        return sum(map(len, helpers)) + sum(len(kernel.functions) for kernel in every.values())

    def use(self, code: Any) -> None:
        """Put the kernels into the file that is written: all at once, as they share definitions."""
        if self._code is None:
            helpers = dict.fromkeys(text for kernel in self.made.values() for text in kernel.helpers)
            functions = [kernel.functions for kernel in self.made.values()]
            body = [kernels.opening(), kernels.host_code(), *helpers, *functions, kernels.closing()]
            prototypes = [f"static int {name}(char **data, const ptrdiff_t *geometry);" for name in self.made]
            prototypes += [f"static int {name}_fits(const ptrdiff_t *geometry);" for name in self.fitting]
            if self.loops:
                prototypes.append(PROTOTYPES)
            if self.stretches:
                prototypes.append(STRETCH)
            includes = ["#include <stddef.h>", "#include <stdint.h>", "#include <stdlib.h>", "#include <string.h>"]
            self._code = UtilityCode(
                proto="\n".join([*includes, _LIST, *prototypes]) + "\n", impl="\n".join(body), name="arrayexpr"
            )
        code.globalstate.use_utility_code(self._code)


class Computation:
    """Computes the elements of a target from operands: kernels, or, where those cannot, loops in the function itself.

    `nodes` are evaluated in order by the node that has it; `tests` are kernels that find errors, each with the error.
    """

    def __init__(
        self,
        pos: Any,
        value: VectorNode,
        c_type: Any,
        rank: int,
        own: Sequence[Operand],
        leaves: Sequence[tuple[Any, Operand]],
        env: Any,
        make: Make | None = None,
    ):
        """For a value over leaves, stored as `c_type` along `rank` axes; `own` are operands that are the target itself.

        Raises Unread where neither a kernel nor loops can compute it. `make` is what makes a kernel, where it is not
        an assignment's: loops cannot do it then.
        """
        t = element_of(c_type) if c_type is not PyrexTypes.c_bint_type or make is None else BOOL
        assert t is not None
        self.pos, self.rank = pos, rank
        self.stored = Operand("r", t.array(rank))
        new: dict[Node, Node] = {operand: self.stored for operand in own}
        self.nodes, self.places = _once(leaves, new)
        self.kernels = Kernels.of(env)
        self.kernel: Kernel | None = None
        self.loops: ElementLoops | None = None
        self.tests: list[tuple[Check, Kernel, list[Operand], list[Operand]]] = []
        self.arrays = [operand for operand in self.places if operand.type.rank]
        self.numbers = [operand for operand in self.places if not operand.type.rank]
        reader = Reader(env.directives)
        try:
            read = reader.stored(value.element, t)
        except Unread:
            if make is not None:
                raise
            self.loops = ElementLoops(
                value.element, c_type, {each: new.get(each, each) for _, each in value.leaves}, env
            )
            self.kernels.loops = True
            return
        read = substitute((read,), new.get)[0]
        self.value = read
        used = set(kernels.reads(read))
        self.arrays = [operand for operand in self.arrays if operand in used]
        self.numbers = [operand for operand in self.numbers if operand in used]
        if make is None:
            make = functools.partial(
                kernels.assignment,
                brief=self.kernels.full(env.directives.get(directives.LIMIT)),
                fast=bool(env.directives.get(directives.FAST)),
            )
        self.kernel = self.kernels.add(make(read, self.stored, self.arrays, self.numbers))
        for check in reader.checks:
            condition = substitute((check.condition,), new.get)[0]
            found = kernels.reads(condition)
            arrays = [operand for operand in (self.stored, *self.places) if operand.type.rank and operand in found]
            numbers = [operand for operand in self.places if not operand.type.rank and operand in found]
            kernel = self.kernels.add(kernels.test(condition, arrays, numbers))
            self.tests.append((check, kernel, arrays, numbers))
        if self.tests:
            self.kernels.fitting[self.kernel.name] = None

    @property
    def children(self) -> list[Any]:
        """The nodes that are evaluated in loops of the function, for transforms that visit all nodes."""
        return [self.loops.element] if self.loops else []

    def adopt(self, children: list[Any]) -> None:
        """Take what a transform made of `children`."""
        if self.loops:
            (self.loops.element,) = children

    def check_none(self, code: Any) -> None:
        """TypeErrors for operands that are None."""
        for node, operand in zip(self.nodes, self.places, strict=True):
            if operand.type.rank:
                check_none(node, code, "Cannot read None memoryview slice")

    def declare(self, code: Any) -> dict[Operand, str]:
        """Names for operands, in C, in a block that has begun: numbers have one of their own."""
        results = {operand: str(node.result()) for node, operand in zip(self.nodes, self.places, strict=True)}
        for k, (node, operand) in enumerate(zip(self.nodes, self.places, strict=True)):
            if not operand.type.rank:
                number = f"arrayexpr_s{k}"
                code.putln(f"const {plain(node.type).declaration_code(number)} = {results[operand]};")
                results[operand] = number
        return results

    def generate(self, code: Any, results: dict[Operand, str], fresh: bool = False) -> None:
        """The C that stores the elements; `results` has the target too, which is `fresh` where nothing else has it."""
        if self.loops:
            self.loops.generate(code, self.pos, self.stored, self.arrays, results, fresh)
            return
        assert self.kernel is not None
        if self.tests and not fresh:
            # Shapes come before values.
            fits = f"{self.kernel.name}_fits({geometry([self.stored, *self.arrays], results)})"
            code.putln(code.error_goto_if_neg(fits, self.pos))
        for check, kernel, arrays, numbers in self.tests:
            self._test(code, check, kernel, arrays, numbers, results)
        call = _call(self.kernel, [self.stored, *self.arrays], self.numbers, results, self.rank)
        code.putln(code.error_goto_if_neg(call, self.pos))

    def _test(self, code: Any, check: Check, kernel: Kernel, arrays: Any, numbers: Any, results: Any) -> None:
        rank = max((operand.type.rank for operand in arrays), default=1)
        code.begin_block()
        if not arrays:
            # An element that is not computed raises nothing.
            lengths = [f"{results[self.stored]}.shape[{axis}]" for axis in range(self.rank)]
            code.putln(f"const ptrdiff_t arrayexpr_first[] = {{{' && '.join(f'{n} > 0' for n in lengths)}, 0}};")
        found = _call(kernel, [self.stored, *arrays], numbers, results, rank, "arrayexpr_first" if not arrays else "")
        code.putln(f"const int arrayexpr_found = {found};")
        code.putln("if (unlikely(arrayexpr_found != 0)) {")
        code.putln("if (arrayexpr_found > 0) {")
        code.putln("PyGILState_STATE arrayexpr_state = PyGILState_Ensure();")
        code.putln(f'PyErr_SetString({check.exception}, "{check.message}");')
        code.putln("PyGILState_Release(arrayexpr_state);")
        code.putln("}")
        code.putln(code.error_goto(check.pos))
        code.putln("}")
        code.end_block()


class AssignmentNode(Nodes.StatNode):  # type: ignore[misc]
    """`target[...] = value`: operands are evaluated, then the target, then a computation stores to it."""

    child_attrs = ["operands", "target", "elements"]

    computation: Computation
    target: Any

    @classmethod
    def of(
        cls,
        pos: Any,
        target: Any,
        own: Sequence[Operand],
        leaves: Sequence[tuple[Any, Operand]],
        value: VectorNode,
        env: Any,
    ) -> AssignmentNode:
        """The statement for a value over leaves; `own` are operands that stand for the target itself."""
        node = cls(pos)
        node.target = target
        node.computation = Computation(pos, value, target.type.dtype, target.type.ndim, own, leaves, env)
        return node

    @staticmethod
    def nothing(pos: Any) -> Any:
        """What stands for a statement that has an error."""
        return Nodes.StatListNode(pos, stats=[])

    @property
    def operands(self) -> list[Any]:
        return self.computation.nodes

    @operands.setter
    def operands(self, nodes: list[Any]) -> None:
        self.computation.nodes = nodes

    @property
    def elements(self) -> list[Any]:
        return self.computation.children

    @elements.setter
    def elements(self, nodes: list[Any]) -> None:
        self.computation.adopt(nodes)

    def analyse_expressions(self, env: Any) -> AssignmentNode:
        return self

    def annotate(self, code: Any) -> None:
        for node in (*self.operands, self.target):
            node.annotate(code)

    def generate_execution_code(self, code: Any) -> None:
        code.mark_pos(self.pos)
        self.computation.kernels.use(code)
        for node in (*self.operands, self.target):
            node.generate_evaluation_code(code)
        self.computation.check_none(code)
        check_none(self.target, code, "Cannot assign to None memoryview slice")
        code.begin_block()
        results = self.computation.declare(code)
        results[self.computation.stored] = self.target.result()
        self.computation.generate(code, results)
        code.end_block()
        for node in (*self.operands, self.target):
            node.generate_disposal_code(code)
            node.free_temps(code)


def _call(kernel: Kernel, arrays: Any, numbers: Any, results: Any, rank: int, shape: str = "") -> str:
    """A call of a kernel, the first array with its last `rank` axes."""
    data = [f"(char *){results[operand]}.data" for operand in arrays]
    data += [f"(char *)&{results[operand]}" for operand in numbers]
    given = shape or geometry(arrays, results, rank)
    return f"{kernel.name}({listed('char *', data)}, {given})"


def geometry(arrays: Any, results: Any, rank: int = 0) -> str:
    """The lengths and steps of arrays, as C; of the first one's last `rank` axes, where it is not 0."""
    parts = []
    for k, operand in enumerate(arrays):
        own = operand.type.rank
        axes = range(own - (rank or own) if k == 0 else 0, own)
        for what in ("shape", "strides"):
            parts += [f"{results[operand]}.{what}[{axis}]" for axis in axes]
    return listed("const ptrdiff_t", parts)


def listed(c_type: str, items: Sequence[str]) -> str:
    """An array of the items, as C or C++, that lives as long as the call that it is an argument of."""
    return f"ARRAYEXPR_LIST({c_type}, {', '.join(items)})"


def _once(leaves: Sequence[tuple[Any, Operand]], new: dict[Node, Node]) -> tuple[list[Any], list[Operand]]:
    """The leaves, a local variable once; `new` then says which operand stands for another one."""
    nodes: list[Any] = []
    operands: list[Operand] = []
    known: dict[Any, Operand] = {}
    for node, operand in leaves:
        entry = node.entry if isinstance(node, ExprNodes.NameNode) else None
        if entry is not None and (entry.is_local or entry.is_arg) and not entry.in_closure:
            if entry in known:
                new[operand] = known[entry]
                continue
            known[entry] = operand
        nodes.append(node)
        operands.append(operand)
    return nodes, operands


def check_none(node: Any, code: Any, message: str) -> None:
    ExprNodes.NoneCheckNode.generate_if_needed(node, code, message, in_nogil_context=node.in_nogil_context)
