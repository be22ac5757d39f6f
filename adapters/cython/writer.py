"""Gives an assignment back to Cython: a statement that evaluates its operands, and calls the kernel with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from Cython.Compiler import ExprNodes, Nodes
from Cython.Compiler.Code import UtilityCode

from arrayexpr._core.nodes import Node, Operand, substitute

from . import kernels
from .elements import plain
from .kernels import Kernel
from .reader import Check


class Kernels:
    """The kernels of one module, each once, as one piece of utility code."""

    def __init__(self) -> None:
        self.made: dict[str, Kernel] = {}
        #: Those of which shapes are tested before the kernel runs.
        self.fitting: dict[str, None] = {}
        self._code: Any = None

    @staticmethod
    def of(env: Any) -> Kernels:
        """Those of the module that a scope is in."""
        scope = env.global_scope()
        if not hasattr(scope, "arrayexpr_kernels"):
            scope.arrayexpr_kernels = Kernels()
        found: Kernels = scope.arrayexpr_kernels
        return found

    def add(self, kernel: Kernel) -> Kernel:
        return self.made.setdefault(kernel.name, kernel)

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
            includes = ["#include <stddef.h>", "#include <stdint.h>", "#include <stdlib.h>", "#include <string.h>"]
            self._code = UtilityCode(
                proto="\n".join([*includes, *prototypes]) + "\n", impl="\n".join(body), name="arrayexpr"
            )
        code.globalstate.use_utility_code(self._code)


class AssignmentNode(Nodes.StatNode):  # type: ignore[misc]
    """`target[...] = value` by a kernel.

    `operands` are evaluated in order, then `target`; `tests` are kernels that find errors, each with the error.
    """

    child_attrs = ["operands", "target"]

    operands: list[Any]
    target: Any
    #: Our operand for each of `operands`, and for the target.
    places: list[Operand]
    stored: Operand
    arrays: list[Operand]
    numbers: list[Operand]
    kernels: Kernels
    kernel: Kernel
    tests: list[tuple[Check, Kernel, list[Operand], list[Operand]]]

    @classmethod
    def of(
        cls,
        pos: Any,
        target: Any,
        own: Sequence[Operand],
        leaves: Sequence[tuple[Any, Operand]],
        value: Node,
        checks: Sequence[Check],
        env: Any,
    ) -> AssignmentNode:
        """The statement for a value over leaves; `own` are operands that stand for the target itself."""
        node = cls(pos)
        node.target = target
        stored = Operand("r", value.type.element.array(target.type.ndim))
        new: dict[Node, Node] = {operand: stored for operand in own}
        node.operands, node.places = _once(leaves, new)
        value = substitute((value,), new.get)[0]
        node.kernels = Kernels.of(env)
        used = set(kernels.reads(value))
        node.arrays = [operand for operand in node.places if operand.type.rank and operand in used]
        node.numbers = [operand for operand in node.places if not operand.type.rank and operand in used]
        node.kernel = node.kernels.add(kernels.assignment(value, stored, node.arrays, node.numbers))
        node.tests = []
        for check in checks:
            condition = substitute((check.condition,), new.get)[0]
            read = kernels.reads(condition)
            arrays = [operand for operand in (stored, *node.places) if operand.type.rank and operand in read]
            numbers = [operand for operand in node.places if not operand.type.rank and operand in read]
            kernel = node.kernels.add(kernels.test(condition, arrays, numbers))
            node.tests.append((check, kernel, arrays, numbers))
        if node.tests:
            node.kernels.fitting[node.kernel.name] = None
        node.stored = stored
        return node

    @staticmethod
    def nothing(pos: Any) -> Any:
        """What stands for a statement that has an error."""
        return Nodes.StatListNode(pos, stats=[])

    def analyse_expressions(self, env: Any) -> AssignmentNode:
        return self

    def annotate(self, code: Any) -> None:
        for node in (*self.operands, self.target):
            node.annotate(code)

    def generate_execution_code(self, code: Any) -> None:
        code.mark_pos(self.pos)
        self.kernels.use(code)
        for node in (*self.operands, self.target):
            node.generate_evaluation_code(code)
        for node, operand in zip(self.operands, self.places, strict=True):
            if operand.type.rank:
                _check_none(node, code, "Cannot read None memoryview slice")
        _check_none(self.target, code, "Cannot assign to None memoryview slice")
        code.begin_block()
        results = {operand: node.result() for node, operand in zip(self.operands, self.places, strict=True)}
        results[self.stored] = self.target.result()
        for k, (node, operand) in enumerate(zip(self.operands, self.places, strict=True)):
            if not operand.type.rank:
                number = f"arrayexpr_s{k}"
                code.putln(f"const {plain(node.type).declaration_code(number)} = {results[operand]};")
                results[operand] = number
        if self.tests:
            # Shapes come before values.
            fits = f"{self.kernel.name}_fits({self._geometry([self.stored, *self.arrays], results)})"
            code.putln(code.error_goto_if_neg(fits, self.pos))
        for check, kernel, arrays, numbers in self.tests:
            self._test(code, check, kernel, arrays, numbers, results)
        call = self._call(self.kernel, [self.stored, *self.arrays], self.numbers, results, self.target.type.ndim)
        code.putln(code.error_goto_if_neg(call, self.pos))
        code.end_block()
        for node in (*self.operands, self.target):
            node.generate_disposal_code(code)
            node.free_temps(code)

    def _test(self, code: Any, check: Check, kernel: Kernel, arrays: Any, numbers: Any, results: Any) -> None:
        rank = max((operand.type.rank for operand in arrays), default=1)
        code.begin_block()
        if not arrays:
            # An element that is not computed raises nothing.
            lengths = [f"{results[self.stored]}.shape[{axis}]" for axis in range(self.target.type.ndim)]
            code.putln(f"const ptrdiff_t arrayexpr_first[] = {{{' && '.join(f'{n} > 0' for n in lengths)}, 0}};")
        found = self._call(
            kernel, [self.stored, *arrays], numbers, results, rank, "arrayexpr_first" if not arrays else ""
        )
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

    def _call(self, kernel: Kernel, arrays: Any, numbers: Any, results: Any, rank: int, shape: str = "") -> str:
        """A call of a kernel, the first array with its last `rank` axes."""
        data = [f"(char *){results[operand]}.data" for operand in arrays]
        data += [f"(char *)&{results[operand]}" for operand in numbers]
        given = shape or self._geometry(arrays, results, rank)
        return f"{kernel.name}((char *[]){{{', '.join(data)}}}, {given})"

    def _geometry(self, arrays: Any, results: Any, rank: int = 0) -> str:
        """The lengths and steps of arrays, as C; of the first one's last `rank` axes, where it is not 0."""
        parts = []
        for k, operand in enumerate(arrays):
            own = operand.type.rank
            axes = range(own - (rank or own) if k == 0 else 0, own)
            for what in ("shape", "strides"):
                parts += [f"{results[operand]}.{what}[{axis}]" for axis in axes]
        return f"(const ptrdiff_t[]){{{', '.join(parts)}}}"


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


def _check_none(node: Any, code: Any, message: str) -> None:
    ExprNodes.NoneCheckNode.generate_if_needed(node, code, message, in_nogil_context=node.in_nogil_context)
