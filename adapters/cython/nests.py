"""Gives nests of loops back to Cython: a kernel where it may run, and the loops as they were written where not."""

from __future__ import annotations

from typing import Any

from Cython.Compiler import Nodes, PyrexTypes

from arrayexpr._core.nodes import Operand

from . import kernels, loops
from .elements import plain
from .kernels import Kernel
from .loops import Nest
from .writer import Kernels, listed

#: Fewer elements than this are left to the loops: a kernel's call took 16 to 22 ns where 64 elements took 18 in loops.
FEW = 128


class NestNode(Nodes.StatNode):  # type: ignore[misc]
    """A nest of loops, with the kernel that computes the same."""

    child_attrs = ["loop"]

    loop: Any
    nest: Nest
    guarded: bool
    arrays: list[Operand]
    numbers: list[tuple[Any, Operand]]
    kernels: Kernels
    kernel: Kernel

    @classmethod
    def of(cls, loop: Any, nest: Nest, guarded: bool, env: Any) -> NestNode:
        """`guarded` asks for a test that all subscripts lie within their axes: where not, the loops run."""
        node = cls(loop.pos)
        node.loop, node.nest, node.guarded = loop, nest, guarded
        used = {read for _, value in nest.stores for read in kernels.reads(value)}
        targets = [target for target, _ in nest.stores]
        node.arrays = [operand for operand in nest.accesses.values() if operand in used and operand not in targets]
        node.numbers = [(number, operand) for number, operand in nest.numbers.values() if operand in used]
        node.kernels = Kernels.of(env)
        made: Kernel = kernels.nest(nest.stores, node.arrays, [operand for _, operand in node.numbers])
        node.kernel = node.kernels.add(made)
        return node

    def description(self) -> str:
        """What a report says of it."""
        tests = "where no arrays share memory" + (" and subscripts lie within their axes" if self.guarded else "")
        loops_of = f"{len(self.nest.loops)} loops" if len(self.nest.loops) > 1 else "a loop"
        arrays = len(self.arrays) + len(self.nest.stores)
        return f"{loops_of} over {arrays} array{'s' if arrays > 1 else ''}, {tests}"

    def analyse_expressions(self, env: Any) -> NestNode:
        return self

    def generate_function_definitions(self, env: Any, code: Any) -> None:
        self.loop.generate_function_definitions(env, code)

    def annotate(self, code: Any) -> None:
        self.loop.annotate(code)

    def generate_execution_code(self, code: Any) -> None:
        self.kernels.use(code)
        nest: Nest = self.nest
        done = code.funcstate.allocate_temp(PyrexTypes.c_int_type, manage_ref=False)
        code.putln(f"{done} = 0;")
        code.begin_block()
        # The outermost bound may be a temporary, which has a name by now.
        stops = [each.stop or f"(ptrdiff_t){loops.unwrapped(self.loop.bound2).result()}" for each in nest.loops]
        for k, (each, stop) in enumerate(zip(nest.loops, stops, strict=True)):
            code.putln(f"const ptrdiff_t arrayexpr_l{k} = {each.start}, arrayexpr_n{k} = {stop} - arrayexpr_l{k};")
        lengths = [f"arrayexpr_n{k}" for k in range(len(nest.loops))]
        tests = [f"{length} > 0" for length in lengths]
        tests.append(f"{' * '.join(f'(double){length}' for length in lengths)} >= {FEW}")
        tests += [f"{text}.memview && (PyObject *){text}.memview != Py_None" for text in nest.bases]
        code.putln(f"if ({' && '.join(tests)}) {{")
        if self.guarded:
            code.putln(f"if ({' && '.join(dict.fromkeys(self._bounds()))}) {{")
        targets = [target for target, _ in nest.stores]
        places = {operand: access for access, operand in nest.accesses.items()}
        geometry, data = list(lengths), []
        for operand in (*targets, *self.arrays):
            access = places[operand]
            first = [f"(char *){access.base}.data"]
            steps: list[list[str]] = [[] for _ in lengths]
            for axis, (loop, start) in enumerate(access.axes):
                stride = f"{access.base}.strides[{axis}]"
                at = (
                    start
                    if loop is None
                    else f"(arrayexpr_l{loop} + {start})"
                    if start != "0"
                    else f"arrayexpr_l{loop}"
                )
                first.append(f"{at} * {stride}")
                if loop is not None:
                    steps[loop].append(stride)
            data.append(" + ".join(first))
            geometry += [" + ".join(step) or "0" for step in steps]
        for number, operand in self.numbers:
            name = f"arrayexpr_{operand.name}"
            declared = plain(number.type).declaration_code(name)
            code.putln(f"const {declared} = {number.result()};")
            data.append(f"(char *)&{name}")
        call = f"{self.kernel.name}({listed('char *', data)}, {listed('const ptrdiff_t', geometry)})"
        code.putln(f"{done} = {call};")
        code.putln(code.error_goto_if(f"{done} < 0", self.pos))
        code.putln(f"if ({done}) {{")
        for k, each in enumerate(nest.loops):
            code.putln(f"{each.target} = arrayexpr_l{k} + arrayexpr_n{k} - 1;")
        code.putln("}")
        if self.guarded:
            code.putln("}")
        code.putln("}")
        code.end_block()
        code.putln(f"if (!{done}) {{")
        self.loop.generate_execution_code(code)
        code.putln("}")
        code.funcstate.release_temp(done)

    def _bounds(self) -> list[str]:
        """That every subscript lies within its axis, in every iteration."""
        tests = []
        for access in self.nest.accesses:
            for axis, (loop, start) in enumerate(access.axes):
                length = f"{access.base}.shape[{axis}]"
                if loop is None:
                    tests += [f"{start} >= 0", f"{start} < {length}"]
                else:
                    first = f"arrayexpr_l{loop} + {start}"
                    tests += [f"{first} >= 0", f"{first} + arrayexpr_n{loop} <= {length}"]
        return tests


def raised(loop: Any, directives: Any, function: Any, env: Any) -> NestNode:
    """The nest of a loop with its kernel; raises Left where the loop stays as it is."""
    nest = loops.read(loop, directives)
    inside = list(loops.names_in(loop))
    everywhere = list(loops.names_in(function))
    for entry in nest.temporaries:
        if everywhere.count(entry) > inside.count(entry):
            raise loops.Left(f"{entry.name}, which it sets, is used outside of it")
    guarded = bool(directives["boundscheck"] or directives["wraparound"])
    return NestNode.of(loop, nest, guarded, env)
