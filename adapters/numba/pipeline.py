"""Our pass in Numba's pipeline: after its rewrites, on the whole typed function."""

from __future__ import annotations

from typing import Any

from llvmlite import binding
from numba.core import compiler, ir
from numba.core.compiler_machinery import FunctionPass, register_pass
from numba.core.cpu import CPUContext
from numba.core.ir_utils import build_definitions
from numba.core.runtime import _nrt_python
from numba.core.typed_passes import NopythonRewrites, ParforPreLoweringPass
from numba.core.typing import signature
from numba.np.ufunc.array_exprs import _lower_array_expr

from arrayexpr import __version__

from . import reader, walk
from .branching import replace_nests
from .explaining import Report
from .fusing import plan
from .kinds import types
from .lowering import lower
from .nests import lower_nest
from .parfors import lower_parfors
from .temporaries import make_fortran

#: What compiled code depends on beside Numba: cached code of another version is compiled anew.
FINGERPRINT = f"arrayexpr.numba {__version__} {','.join(walk.addresses())}"


def provide() -> None:
    """Give compiled code, also cached code in a new process, what it calls by name."""
    walk.use_runtime(_nrt_python.c_helpers["get_api"])
    for name, address in walk.addresses().items():
        binding.add_symbol(name, address)


@register_pass(mutates_CFG=False, analysis_only=False)
class ArrayExpr(FunctionPass):  # type: ignore[misc]
    """Array statements of each block, fused and run in the order of memory."""

    _name = "arrayexpr"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        if not isinstance(state.targetctx, CPUContext):
            return False
        flags = state.flags
        if flags.no_rewrites or flags.auto_parallel.enabled or state.func_ir.is_generator:
            return False
        report = Report(bool(flags.fastmath))
        changed = False
        for label, block in reader.from_host(state).items():
            report.read(block)
            if block.groups:
                host = state.func_ir.blocks[label]
                host.body = to_host(host, block, state, report)
                changed = True
        if changed:
            _lowered_by_us(state)
        state.metadata["arrayexpr"] = report.lines()
        return changed


@register_pass(mutates_CFG=True, analysis_only=False)
class ArrayLoops(FunctionPass):  # type: ignore[misc]
    """Nests of loops over elements, Numba's parallel ones too, run in the order of memory."""

    _name = "arrayexpr_loops"

    def __init__(self) -> None:
        FunctionPass.__init__(self)

    def run_pass(self, state: Any) -> bool:
        if not isinstance(state.targetctx, CPUContext):
            return False
        if state.flags.no_rewrites or state.func_ir.is_generator:
            return False
        report = Report(bool(state.flags.fastmath))
        changed = replace_nests(state, report)
        if state.flags.auto_parallel.enabled:
            changed |= make_fortran(state)
            changed |= lower_parfors(state, report)
        if changed:
            state.func_ir._definitions = build_definitions(state.func_ir.blocks)
            _lowered_by_us(state)
        state.metadata["arrayexpr"] = report.after(state.metadata.get("arrayexpr", ()))
        return changed


def _lowered_by_us(state: Any) -> None:
    provide()
    state.targetctx.special_ops["arrayexpr"] = _lower
    state.reload_init.append(provide)


def to_host(host: Any, block: reader.Block, state: Any, report: Report) -> list[Any]:
    """The body of a block in which each group is one expression of Numba's IR, which `lowering` lowers."""
    groups = {group.place: group for group in block.groups}
    body: list[Any] = []
    for place, inst in enumerate(host.body):
        body.extend(block.before.get(place, ()))
        if place in groups:
            body.extend(_statements(groups[place], state, report, inst))
        elif place not in block.gone:
            body.append(inst)
    return body


def _statements(group: reader.Group, state: Any, report: Report, inst: Any) -> list[Any]:
    assert group.program is not None
    chosen = plan(group.program)
    report.group(group, chosen)
    operands = [var for var, _ in group.variables.values()]
    made = list(group.results.values())
    first = group.statements[0].host
    # Numba's passes look into `expr` of such an expression for variables.
    whole = len(group.statements) == 1 and isinstance(first, ir.Assign) and first.value.op == "arrayexpr"
    tree = first.value.expr if whole else ("group", operands)
    kind = types.none if not made else made[0][1] if len(made) == 1 else types.Tuple([kind for _, kind in made])
    expr = ir.Expr(op="arrayexpr", loc=inst.loc, expr=tree, ty=kind, operands=operands, group=group, plan=chosen)
    if len(made) == 1:
        body = [ir.Assign(expr, made[0][0], inst.loc)]
    else:
        scope = operands[0].scope if operands else made[0][0].scope
        whole = scope.redefine("$arrayexpr.group", loc=inst.loc)
        state.typemap[whole.name] = kind
        body = [ir.Assign(expr, whole, inst.loc)]
        for k, (var, each) in enumerate(made):
            part = ir.Expr.static_getitem(whole, k, None, inst.loc)
            state.calltypes[part] = signature(each, kind, types.literal(k))
            body.append(ir.Assign(part, var, inst.loc))
    body.extend(ir.Assign(of, var, inst.loc) for var, of, _ in group.copies)
    return body


def _lower(lowerer: Any, expr: Any) -> Any:
    if "kept" in expr._kws:
        return lowerer.context.get_dummy_value()
    if "nest" in expr._kws:
        return lower_nest(lowerer, expr)
    return lower(lowerer, expr) if "plan" in expr._kws else _lower_array_expr(lowerer, expr)


def extend(passes: Any) -> None:
    """Put our pass into a list of passes that has Numba's rewrites."""
    if any(each is NopythonRewrites for each, _ in passes.passes):
        passes.add_pass_after(ArrayExpr, NopythonRewrites)
        # A parfor is whole when all that Numba fuses and hoists is done.
        parallel = any(each is ParforPreLoweringPass for each, _ in passes.passes)
        passes.add_pass_after(ArrayLoops, ParforPreLoweringPass if parallel else ArrayExpr)


class Compiler(compiler.CompilerBase):  # type: ignore[misc]
    """Numba's pipeline with our pass: `njit(pipeline_class=Compiler)`."""

    def define_pipelines(self) -> list[Any]:
        builder = compiler.DefaultPassBuilder
        if self.state.flags.force_pyobject:
            return [builder.define_objectmode_pipeline(self.state)]
        made = builder.define_nopython_pipeline(self.state)
        if not any(each is ArrayExpr for each, _ in made.passes):
            extend(made)
        made.finalize()
        return [made]
