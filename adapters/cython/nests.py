"""Gives nests of loops back to Cython: kernels where they may run, and the loops as they were written where not."""

from __future__ import annotations

from typing import Any

from Cython.Compiler import Nodes

from arrayexpr._core.nodes import Index, postorder

from . import directives, loops
from .elements import plain
from .geometry import text_of
from .kernels import Kernel
from .loops import Left, Range, Source
from .nest_code import NestFunction
from .plan import Leaf, Plan, arounds, planned
from .writer import Kernels, listed

#: Fewer elements than this are left to the loops: a kernel's call took 16 to 22 ns where 64 elements took 18 in loops.
FEW = 128


class NestNode(Nodes.StatNode):  # type: ignore[misc]
    """A nest of loops, with the function that computes the same."""

    child_attrs = ["loop"]

    loop: Any
    source: Source
    plan: Plan
    kernels: Kernels
    kernel: Kernel
    #: Loops whose variables are read after the nest.
    read_on: list[Range]
    threads: str
    may_raise: bool

    def description(self) -> str:
        """What a report says of it."""
        leaves = list(_leaves(self.plan.steps))
        deepest = max(len(leaf.box.loops) for leaf in leaves)
        loops_of = f"{deepest} loops" if deepest > 1 else "a loop"
        arrays = len(self.source.memories)
        text = f"{loops_of} over {arrays} array{'s' if arrays > 1 else ''}"
        if len(leaves) > 1:
            text += f" by {len(leaves)} kernels"
        kept = {step.loop.name: None for step in arounds(self.plan.steps)}
        if kept:
            text += f" within loop{'s' if len(kept) > 1 else ''} {' and '.join(kept)}"
        if any(leaf.kind == "sum" for leaf in leaves):
            text += ", sums in order"
        tests = ["subscripts lie within their axes"]
        if self.plan.pairs:
            tests.append("no arrays share memory")
        if self.may_raise:
            tests.append("nothing raises")
        return f"{text}, where {' and '.join(tests)}"

    def analyse_expressions(self, env: Any) -> NestNode:
        return self

    def generate_function_definitions(self, env: Any, code: Any) -> None:
        self.loop.generate_function_definitions(env, code)

    def annotate(self, code: Any) -> None:
        self.loop.annotate(code)

    def generate_execution_code(self, code: Any) -> None:
        self.kernels.use(code)
        source = self.source
        code.begin_block()
        code.putln("int arrayexpr_done = 0;")
        names: dict[Any, str] = {}
        for operand, text in source.integers.items():
            # An outermost bound may be a temporary, which has a name by now.
            given = text if isinstance(text, str) else str(text.result())
            code.putln(f"const ptrdiff_t arrayexpr_{operand.name} = (ptrdiff_t){given};")
            names[operand] = f"arrayexpr_{operand.name}"
        steady = [each for each in source.ranges if not _changes(each)]
        deepest = max((leaf for leaf in _leaves(self.plan.steps)), key=lambda leaf: len(leaf.box.loops))
        counted = [each for each in (*deepest.outer, *deepest.box.loops) if each in steady]
        for each in dict.fromkeys([source.ranges[0], *counted, *self.read_on]):
            span = _span(each, names)
            name = f"arrayexpr_{each.index.name}"
            code.putln(f"const ptrdiff_t {name} = {span};")
        tests = [f"{memory.present}" for memory in source.memories.values()]
        tests += [f"arrayexpr_{each.index.name} > 0" for each in dict.fromkeys([source.ranges[0], *counted])]
        product = " * ".join(f"(double)arrayexpr_{each.index.name}" for each in counted)
        if product:
            tests.append(f"{product} >= {FEW}")
        code.putln(f"if ({' && '.join(f'({test})' for test in tests)}) {{")
        data = [f"(char *){memory.data}" for memory in source.memories.values()]
        for operand, node in source.numbers.items():
            declared = plain(node.type).declaration_code(f"arrayexpr_{operand.name}")
            code.putln(f"{declared} = {node.result()};")
            data.append(f"(char *)&arrayexpr_{operand.name}")
        if self.may_raise:
            code.putln("unsigned char arrayexpr_found = 0;")
            data.append("(char *)&arrayexpr_found")
        geometry = list(names.values())
        for memory in source.memories.values():
            geometry += [*memory.lengths, *memory.steps]
        geometry.append(self.threads)
        call = f"{self.kernel.name}({listed('char *', data)}, {listed('const ptrdiff_t', geometry)})"
        code.putln(f"arrayexpr_done = {call};")
        code.putln(code.error_goto_if("arrayexpr_done < 0", self.pos))
        code.putln("if (arrayexpr_done) {")
        for operand in source.carried:
            code.putln(f"{source.numbers[operand].result()} = arrayexpr_{operand.name};")
        for each in self.read_on:
            name = f"arrayexpr_{each.index.name}"
            start = text_of(each.start, names)
            code.putln(f"if ({name} > 0) {each.entry.cname} = {start} + ({name} - 1) * {each.step};")
        code.putln("}")
        code.putln("}")
        code.putln("if (!arrayexpr_done) {")
        self.loop.generate_execution_code(code)
        code.putln("}")
        code.end_block()


def _span(own: Range, names: dict[Any, str]) -> str:
    """C for how often a loop runs."""
    start, stop = text_of(own.start, names), text_of(own.stop, names)
    if own.step == 1:
        return stop if start == "0" else f"{stop} - {start}"
    if own.step == -1:
        return f"{start} - {stop}"
    if own.step > 0:
        return f"{stop} > {start} ? ({stop} - {start} + {own.step - 1}) / {own.step} : 0"
    return f"{stop} < {start} ? ({start} - {stop} + {-own.step - 1}) / {-own.step} : 0"


def _changes(own: Range) -> bool:
    return any(isinstance(node, Index) for node in postorder((own.start, own.stop)))


def _leaves(steps: Any) -> Any:
    for step in steps:
        if isinstance(step, Leaf):
            yield step
        else:
            yield from _leaves(step.steps)


def raised(loop: Any, given: Any, env: Any) -> NestNode:
    """The nest of a loop with its function; raises Left where the loop stays as it is."""
    parallel = isinstance(loop, Nodes.ParallelRangeNode)
    threads = _threads(loop) if parallel else "0"
    reader = loops.NestReader(loop, given)
    source = reader.run()
    if parallel and source.carried:
        name = source.numbers[min(source.carried, key=lambda operand: operand.name)].name
        raise Left(f"its iterations add to {name}")
    fast = bool(given.get(directives.FAST))
    plan = planned(source, source.loop, fast=fast)
    raising = planned(source, source.raising, fast=False) if source.raising is not None else None
    read_on = [each for each in source.ranges if reader.flow.handed_on(each.entry)]
    for each in read_on:
        if _changes(each) or each.index in reader.conditional:
            raise Left(f"{each.name} is read after it, and not always set")
    function_of = NestFunction(source, plan, raising, parallel, fast)
    known = Kernels.of(env)
    size, limit = known.size_with(function_of.kernels.values()), int(given.get(directives.LIMIT) or 0)
    if size > limit:
        raise Left(
            f"the module's kernels would be {size // 1000} kB of C: expected {limit // 1000} kB, arrayexpr_limit"
        )
    node = NestNode(loop.pos)
    node.loop, node.source, node.plan, node.read_on = loop, source, plan, read_on
    node.threads, node.may_raise = threads, raising is not None
    node.kernels = known
    for kernel in function_of.kernels.values():
        node.kernels.add(kernel)
    node.kernel = node.kernels.add(function_of.kernel)
    return node


def _threads(loop: Any) -> str:
    """C for how many threads share a loop, 0 where OpenMP says it."""
    if loop.parent is not None and not loop.parent.is_prange:
        raise Left("it shares the threads of a parallel block")
    if getattr(loop, "threading_condition", None) is not None:
        raise Left("it has use_threads_if")
    if loop.num_threads is None:
        return "0"
    number = loops.unwrapped(loop.num_threads)
    if isinstance(number.constant_result, int):
        return str(number.constant_result)
    if number.is_name and loops.local(number.entry):
        return f"(ptrdiff_t){number.result()}"
    raise Left("its number of threads is no plain integer")
