"""Nests in Numba's IR: before the loops stands an expression that runs them if it can, and a branch around them."""

from __future__ import annotations

from typing import Any

from numba.core import ir
from numba.core.ir_utils import next_label
from numba.core.typing import signature

from arrayexpr._core.errors import ArrayExprError

from .explaining import Report
from .kinds import types
from .loops import Nests
from .raising import ONE_LOOP, Raised, raised
from .reader import Refused


def replace_nests(state: Any, report: Report) -> bool:
    """Give each nest of a function that may run in another order the choice to; whether there is one."""
    nests = Nests(state)
    found: list[Raised] = []
    waiting = nests.outermost()
    while waiting:
        loop = waiting.pop()
        line = nests.where(loop).line
        try:
            if not nests.within(loop):
                raise Refused(ONE_LOOP)
            one = raised(nests.nest(loop))
        except (Refused, ArrayExprError) as why:
            report.found.append((line, f"loop left to Numba: {why}"))
            waiting.extend(nests.within(loop))
            continue
        found.append(one)
        report.nest(line, one)
    for one in found:
        _branch(state, one)
    return bool(found)


def _branch(state: Any, one: Raised) -> None:
    blocks, nest = state.func_ir.blocks, one.nest
    block = blocks[nest.entry]
    loc, scope = nest.loc, block.scope
    operands = [var for var, _ in nest.variables.values()]
    ran = scope.redefine("$arrayexpr.ran", loc=loc)
    state.typemap[ran.name] = types.boolean
    kind: Any = types.boolean
    after_it = {**dict.fromkeys(one.last, types.int64), **{name: each.kind for name, each in nest.added.items()}}
    if after_it:
        kind = types.Tuple([types.boolean, *after_it.values()])
    expr = ir.Expr(op="arrayexpr", loc=loc, expr=("nest", operands), ty=kind, operands=operands, nest=one)
    body = block.body[:-1]
    after = nest.exit
    if after_it:
        whole = scope.redefine("$arrayexpr.nest", loc=loc)
        state.typemap[whole.name] = kind
        body.append(ir.Assign(expr, whole, loc))
        body.append(ir.Assign(_item(state, whole, kind, 0, loc), ran, loc))
        after = max(max(blocks) + 1, next_label())
        rest = ir.Block(scope, loc)
        for k, name in enumerate(after_it, 1):
            var = ir.Var(scope, name, loc)
            rest.body.append(ir.Assign(_item(state, whole, kind, k, loc), var, loc))
        rest.body.append(ir.Jump(nest.exit, loc))
        blocks[after] = rest
    else:
        body.append(ir.Assign(expr, ran, loc))
    body.append(ir.Branch(ran, after, nest.header, loc))
    block.body = body


def _item(state: Any, whole: ir.Var, kind: Any, place: int, loc: Any) -> ir.Expr:
    made = ir.Expr.static_getitem(whole, place, None, loc)
    state.calltypes[made] = signature(kind.types[place], kind, types.literal(place))
    return made
