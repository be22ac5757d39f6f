"""Numba's parallel loops (parfors) in the order of memory: those over arrays of any layout walk them in C order.

Numba cuts and compiles a parfor in the order of its axes. Each that is element-wise gets a lowering of ours: a walk as
for loops, of which threads take parts, and Numba's own code where that does not hold.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

from numba.core import cgutils, ir
from numba.core.imputils import force_error_model
from numba.parfors.parfor import Parfor
from numba.parfors.parfor_lowering import _lower_parfor_parallel_std

from arrayexpr._core.affine import integer
from arrayexpr._core.errors import ArrayExprError
from arrayexpr._core.nodes import For, Index, Node
from arrayexpr._core.types import INT64

from .explaining import Report
from .kernels import WORD
from .kinds import is_array, map_type, types
from .loops import Nest, Nests, Part, Value, _Reader
from .nests import SharedNest
from .raising import Raised, raised
from .reader import Refused, shown
from .temporaries import keep_for, makers, stored_whole


def lower_parfors(state: Any, report: Report) -> bool:
    """Give each parfor of a function that is element-wise a lowering of ours; whether there is one."""
    found = False
    for block in list(state.func_ir.blocks.values()):
        for inst in list(block.body):
            if not isinstance(inst, Parfor) or inst.lowerer is not None:
                continue
            store = stored_whole(state, block, inst)
            try:
                one = raised(_read(state, inst), store is None)
                if one.ordered:
                    raise Refused("a loop in it adds up")
            except (Refused, ArrayExprError) as why:
                report.found.append((inst.loc.line, f"parallel loop{_of(inst)} left to Numba: {why}"))
                continue
            if _of(inst):
                report.found.append((inst.loc.line, f"one parallel loop{_of(inst)}: Numba fused them"))
            report.nest(inst.loc.line, one)
            if store is None:
                inst.lowerer = partial(_lower, one)
            else:
                report.found.append((
                    store.loc.line,
                    f"assigns to {shown(store.target.name)} in the parallel loop, without a temporary; with one where "
                    f"shapes differ or {shown(store.target.name)} shares memory with another array",
                ))  # fmt: skip
                inst.lowerer = partial(_lower_into, one, store)
                keep_for(state, block, inst, store)
            found = True
    return found


def _of(parfor: Any) -> str:
    """The lines of a parallel loop's statements, where they are several."""
    body = [inst.loc for block in parfor.loop_body.values() for inst in block.body]
    # Reductions are written in Numba's own files.
    found = {loc.line for loc in body if loc.filename == parfor.loc.filename}
    return f" of lines {', '.join(map(str, sorted(found)))}" if len(found) > 1 else ""


def _read(state: Any, parfor: Any) -> Nest:
    if parfor.redvars or parfor.races:
        names = ", ".join(sorted({shown(name) for name in (*parfor.redvars, *parfor.races)}))
        raise Refused(f"it reduces to {names}, by parts that threads take")
    if any(not isinstance(inst, ir.Assign) for inst in parfor.init_block.body):
        raise Refused("it has more before it than assignments")
    blocks = {label: copy(block) for label, block in parfor.loop_body.items()}
    end = max(blocks) + 1
    for block in blocks.values():
        block.body = list(block.body)
        if not block.body or not isinstance(block.body[-1], ir.Terminator):
            block.body.append(ir.Jump(end, block.loc))
    blocks[end] = ir.Block(parfor.init_block.scope, parfor.loc)
    blocks[end].body = [ir.Return(parfor.loop_nests[0].index_variable, parfor.loc)]
    before = [*state.func_ir.blocks.values(), parfor.init_block]
    return _ParforReader(Nests(state, blocks, before), set(blocks) - {end}).parfor(parfor, end)


class _ParforReader(_Reader):
    """Reads the body of a parfor."""

    def parfor(self, parfor: Any, end: int) -> Nest:
        # Each thread has its own.
        self.adding = {}
        # What Numba compiles bodies of parfors with.
        self.error_model = "numpy"
        bounds = []
        for k, loop in enumerate(parfor.loop_nests):
            index = Index(f"i{k}")
            self.env[loop.index_variable.name] = Value(index, index)
            self.assigned.add(loop.index_variable.name)
            bounds.append((index, [self.bound(each) for each in (loop.start, loop.stop, loop.step)]))
        inner = self.region(min(self.body), end)
        for index, (start, stop, step) in reversed(bounds):
            made = For(index, start, stop, step, tuple(inner))
            self.found.insert(0, made)
            inner = [made]
        return self.made(inner[0], -1, -1, end, parfor.loc, {})

    def outside(self, var: ir.Var) -> Any:
        # What the body does not name itself may be gone when it runs.
        kind = self.typemap[var.name]
        if isinstance(kind, types.Array):
            if not is_array(kind):
                raise Refused(f"{var.name} is {kind}")
            return Part(self.operand(var, kind), ())
        if map_type(kind) is None or isinstance(self.nests.single(var.name), (ir.Const, ir.Global, ir.FreeVar)):
            return super().outside(var)
        node = self.operand(var, types.unliteral(kind))
        return Value(node, node if node.type.element is INT64 else None)

    def bound(self, what: Any) -> Node:
        if isinstance(what, int):
            return integer(what)
        kind = types.unliteral(self.typemap[what.name])
        value = self.scalar(what).index
        if value is None or kind != types.int64:
            raise Refused(f"a bound of it is {kind}")
        return value


class _Operands:
    """What stands for the expression of a nest."""

    def __init__(self, one: Raised):
        self.nest = one
        self.operands = [var for var, _ in one.nest.variables.values()]


def _lower(one: Raised, lowerer: Any, parfor: Any) -> None:
    # Numba's own code below does it again, and lets go of what this made.
    for inst in parfor.init_block.body:
        lowerer.lower_inst(inst)
    own = copy(parfor)
    own.lowerer = None
    with force_error_model(lowerer.context, "numpy"):
        ran = SharedNest(lowerer, _Operands(one)).value()
    with lowerer.builder.if_then(lowerer.builder.not_(ran), likely=False):
        _lower_parfor_parallel_std(lowerer, own)


def _lower_into(one: Raised, store: Any, lowerer: Any, parfor: Any) -> None:
    """Lower a parfor of which the elements of a new array go to another one, which `store` assigns it to."""
    builder, made = lowerer.builder, store.value.name
    kind = lowerer.fndesc.typemap[store.target.name]
    variables = {
        name: (store.target, kind) if var.name == made else (var, given)
        for name, (var, given) in one.nest.variables.items()
    }
    into = replace(one, nest=replace(one.nest, variables=variables))
    # The new array is made where it is needed.
    without = makers(parfor.init_block, made)
    for inst in parfor.init_block.body:
        if not any(inst is each for each in without):
            lowerer.lower_inst(inst)
    target = lowerer.context.make_array(kind)(lowerer.context, builder, lowerer.loadvar(store.target.name))
    lengths = cgutils.unpack_tuple(builder, target.shape, kind.ndim)
    ran = cgutils.alloca_once_value(builder, cgutils.false_bit)
    builder.store(cgutils.false_bit, ran)
    fits = cgutils.true_bit
    for length, loop in zip(lengths, parfor.loop_nests, strict=True):
        stop = WORD(loop.stop) if isinstance(loop.stop, int) else lowerer.loadvar(loop.stop.name)
        fits = builder.and_(fits, builder.icmp_signed("==", length, stop))
    with builder.if_then(fits, likely=True), force_error_model(lowerer.context, "numpy"):
        builder.store(SharedNest(lowerer, _Operands(into)).value(), ran)
    own = copy(parfor)
    own.lowerer = None
    with builder.if_then(builder.not_(builder.load(ran)), likely=False):
        _lower_parfor_parallel_std(lowerer, own)
        lowerer.lower_inst(store)
