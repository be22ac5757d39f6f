"""New arrays of Numba's parallel code that need not be made, or not as Numba makes them.

Numba makes a new array that is typed Fortran from one that lies the other way round, which it copies element by
element, and it assigns what a parallel loop made to a slice in one thread.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import ir
from numba.parfors.parfor import Parfor

from .kinds import is_array, types
from .reader import shows_all


def make_fortran(state: Any) -> bool:
    """Make new arrays that are typed Fortran as such; whether there is one.

        e = empty((n, m))                      e = empty((m, n))
        x = asfortranarray(e)         ->       x = e.T

    Keeps: how the array lies, and that its elements are anything.
    """
    read = _read(state)
    found = False
    for block in _blocks(state):
        made = {inst.target.name: inst for inst in block.body if isinstance(inst, ir.Assign)}
        body: list[Any] = []
        for inst in block.body:
            empty = _empty_beneath(inst, made, state)
            if empty is None or read.get(empty.target.name, 0) != 1:
                body.append(inst)
                continue
            found = True
            if not read.get(inst.target.name, 0):
                # No one reads a temporary that Numba fused away.
                del body[_place(empty, body)]
                continue
            shape = made[empty.value.args[0].name]
            turned = shape.target.scope.redefine("$arrayexpr.shape", loc=inst.loc)
            state.typemap[turned.name] = state.typemap[shape.target.name]
            call = ir.Expr.call(empty.value.func, [turned, *empty.value.args[1:]], (), inst.loc)
            state.calltypes[call] = state.calltypes[empty.value]
            items = ir.Expr.build_tuple(list(reversed(shape.value.items)), inst.loc)
            body[_place(empty, body)] = ir.Assign(items, turned, inst.loc)
            body.append(ir.Assign(call, empty.target, inst.loc))
            body.append(ir.Assign(ir.Expr.getattr(empty.target, "T", inst.loc), inst.target, inst.loc))
        block.body = body
    return found


def _empty_beneath(inst: Any, made: dict[str, Any], state: Any) -> Any:
    """The call of `np.empty` whose result an instruction gives as an array that lies like Fortran's, or None."""
    if not _calls(inst, np.asfortranarray, state) or len(inst.value.args) != 1:
        return None
    empty = made.get(inst.value.args[0].name)
    if empty is None or not _calls(empty, np.empty, state) or state.typemap[inst.target.name].layout != "F":
        return None
    shape = made.get(empty.value.args[0].name)
    if shape is None or not isinstance(shape.value, ir.Expr) or shape.value.op != "build_tuple":
        return None
    kinds = state.typemap[shape.target.name], state.typemap[empty.target.name]
    return empty if isinstance(kinds[0], types.UniTuple) and kinds[1].layout == "C" else None


def _calls(inst: Any, function: Any, state: Any) -> bool:
    if not isinstance(inst, ir.Assign) or not isinstance(inst.value, ir.Expr) or inst.value.op != "call":
        return False
    return getattr(state.typemap.get(inst.value.func.name), "typing_key", None) is function and not inst.value.kws


def stored_whole(state: Any, block: Any, parfor: Any) -> Any:
    """The statement after a parfor that assigns a new array of it to all of another one, and is all that reads it: with
    nothing between them but constants; or None."""
    following = block.body[_place(parfor, block.body) + 1 :]
    store = next((inst for inst in following if not _is_constant(inst, state)), None)
    if not isinstance(store, ir.StaticSetItem) or not shows_all(store.index):
        return None
    name, typemap = store.value.name, state.typemap
    made, target = typemap[name], typemap[store.target.name]
    if not is_array(made) or not is_array(target) or not target.mutable or made.dtype != target.dtype:
        return None
    made_by = makers(parfor.init_block, name)
    if not made.ndim == target.ndim == len(parfor.loop_nests):
        return None
    if not made_by or not _calls(made_by[-1], np.empty, state):
        return None
    if any(loop.start != 0 or loop.step != 1 for loop in parfor.loop_nests):
        return None
    defined = [inst.target.name for inst in parfor.init_block.body if isinstance(inst, ir.Assign)]
    if store.target.name in defined or _read(state).get(name, 0) != 1:
        return None
    return store


def makers(block: Any, name: str) -> list[Any]:
    """What in a block makes a new array: the call that gives it, and one that gives what that takes."""
    found: list[Any] = []
    for inst in reversed(block.body):
        if isinstance(inst, ir.Assign) and inst.target.name == name and isinstance(inst.value, ir.Expr):
            found.append(inst)
            given = inst.value.value if inst.value.op == "getattr" else None
            if given is not None:
                name = given.name
    return found


def keep_for(state: Any, block: Any, parfor: Any, store: Any) -> None:
    """Put a parfor in the place of a statement after it, with what that one names still there."""
    body = [inst for inst in block.body if inst is not parfor]
    place = _place(store, body)
    operands = [store.target, store.index_var, store.value]
    kept = ir.Expr(op="arrayexpr", loc=store.loc, expr=("kept", operands), ty=types.none, operands=operands, kept=True)
    var = store.target.scope.redefine("$arrayexpr.kept", loc=store.loc)
    state.typemap[var.name] = types.none
    block.body = [*body[:place], parfor, ir.Assign(kept, var, store.loc), *body[place + 1 :]]


def _place(one: Any, body: list[Any]) -> int:
    """Where an instruction is: those of Numba are equal where all that they have is."""
    return next(k for k, inst in enumerate(body) if inst is one)


def _is_constant(inst: Any, state: Any) -> bool:
    """Whether an instruction is a constant, or a slice of such."""
    if not isinstance(inst, ir.Assign):
        return False
    return isinstance(inst.value, ir.Const | ir.Global | ir.FreeVar) or _calls(inst, slice, state)


def _blocks(state: Any) -> list[Any]:
    """The blocks of a function, and of its parfors what they run first."""
    blocks = list(state.func_ir.blocks.values())
    return [*blocks, *(inst.init_block for block in blocks for inst in block.body if isinstance(inst, Parfor))]


def _read(state: Any) -> dict[str, int]:
    """By variable, how often a function reads it, or stores to it elsewhere than where a parfor assigns elements."""
    found: dict[str, int] = {}
    waiting = [(block, False) for block in state.func_ir.blocks.values()]
    while waiting:
        block, inside = waiting.pop()
        for inst in block.body:
            if isinstance(inst, Parfor):
                waiting.append((inst.init_block, False))
                waiting.extend((each, True) for each in inst.loop_body.values())
                for loop in inst.loop_nests:
                    for bound in (loop.start, loop.stop, loop.step):
                        if isinstance(bound, ir.Var):
                            found[bound.name] = found.get(bound.name, 0) + 1
                continue
            for var in inst.list_vars():
                if isinstance(inst, ir.Assign) and var is inst.target:
                    continue
                if inside and isinstance(inst, ir.SetItem) and var is inst.target:
                    continue
                found[var.name] = found.get(var.name, 0) + 1
    return found
