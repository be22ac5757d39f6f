"""Typed Numba IR to programs: which statements of a block are taken together, and the program that they are.

The reader goes through a block once. What it knows as element-wise work on arrays joins the group that is open; what
it knows to touch no memory and to raise nothing stays where it is, before the group; anything else is a fence, and
closes the group. Numba's own rewrite has run: an array expression is one node there, with temporaries that Numba fuses
inside, so that what Numba rounds between statements shows in the IR.
"""

from __future__ import annotations

import operator as python
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numba
import numpy as np
from numba.core import ir
from numba.np.ufunc.dufunc import DUFunc

from arrayexpr._core.nodes import Apply, Assign, Constant, Node, Operand, postorder
from arrayexpr._core.program import Program

from . import calls, operators, reductions, scalars, walk
from .kinds import host_type, is_array, map_type, types
from .refusal import Refused

__all__ = ["Group", "Refused", "Taken", "from_host", "origin_of"]

#: Statements taken together at the most: beyond, the code for each by itself, which is there too, would be long.
MOST: Final = 24
#: New arrays that lie as their argument does: all that these may raise is that there is no memory.
_LIKE: Final = (np.empty_like, np.zeros_like, np.ones_like)
_METHODS: Final = {**calls.METHODS, **reductions.METHODS}
_FUNCTIONS: Final = {**calls.FUNCTIONS, **reductions.FUNCTIONS}
_METADATA: Final = frozenset(("T", "shape", "ndim", "size", "strides", "itemsize", "nbytes", "dtype", "transpose"))


@dataclass
class Taken:
    """A statement that is taken: `assign` is it in our tree, `host` and `loc` where it stood.

    `new` is Numba's type of what it makes, or None where it assigns to an array that there is. `order` are the
    names of its operands in the order in which Numba numbers them in messages. `exact`: what is assigned has the shape
    of what it is assigned to, and is not broadcast. `message` is what shapes that do not fit are told, if not as usual.
    """

    assign: Assign
    host: Any
    loc: Any
    new: Any
    order: tuple[str, ...]
    label: str
    exact: bool = False
    message: str | None = None


@dataclass(repr=False)
class Group:
    """Statements that follow one another, and the program that they are.

    `variables` has for each operand of the program its variable and Numba type, in order. `results` are the new arrays
    that someone reads later, with their variables; `copies` are variables that are names of operands from here on.
    """

    statements: list[Taken] = field(default_factory=list)
    variables: dict[str, tuple[ir.Var, Any]] = field(default_factory=dict)
    results: dict[str, tuple[ir.Var, Any]] = field(default_factory=dict)
    copies: list[tuple[ir.Var, ir.Var, Any]] = field(default_factory=list)
    program: Program | None = None
    place: int = -1
    rank: int = 0

    def lines(self) -> list[int]:
        """The lines of the text that they stand in."""
        return sorted({taken.loc.line for taken in self.statements})

    def __repr__(self) -> str:
        return f"<{len(self.statements)} statements>"


@dataclass
class Block:
    """A block as it was read: groups, the places in its body that they take, what is put before a place, remarks.

    `ended` is what ended the last group, as (lines of the group, location, why), if nothing on arrays stands after it.
    """

    groups: list[Group] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)
    before: dict[int, list[Any]] = field(default_factory=dict)
    remarks: list[tuple[Any, str]] = field(default_factory=list)
    ended: tuple[list[int], Any, str] | None = None


def origin_of(node: Node, program: Program) -> tuple[Any, ...]:
    """The statements of Numba's IR, with `loc`, that a node came from."""
    return tuple(program.origins.get(node, ()))


def from_host(state: Any) -> dict[int, Block]:
    """By label, what is taken of each block of a function in Numba's pipeline, after type inference and rewrites."""
    uses: Counter[str] = Counter()
    defined: Counter[str] = Counter()
    for block in state.func_ir.blocks.values():
        for inst in block.body:
            target = inst.target.name if isinstance(inst, ir.Assign) else None
            if target is not None:
                defined[target] += 1
            for name in _read(inst):
                uses[name] += 1
    for block in state.func_ir.blocks.values():
        block.body = calls.methods_next_to_calls(block.body, state.typemap, uses, _METHODS)
    found = {label: _Reader(state, uses, defined).block(block) for label, block in state.func_ir.blocks.items()}
    for label, block in found.items():
        last = state.func_ir.blocks[label].terminator
        if block.ended is not None and any(other.groups for other in found.values() if other is not block):
            why = _end(last, label, state.func_ir.blocks)
            if why is not None:
                block.remarks.append(_ended(block.ended[0], last.loc, why))
    return found


def _end(last: Any, label: int, blocks: Mapping[int, Any]) -> str | None:
    """Why a block ends; None where the function does."""
    if isinstance(last, ir.Branch):
        return "a test says what is next"
    if not isinstance(last, ir.Jump):
        return None
    if last.target <= label:
        return "an iteration of a loop ends"
    return "a loop begins" if any(blocks[last.target].find_exprs(op="iternext")) else "ways meet that a test parted"


def _ended(lines: list[int], loc: Any, why: str) -> tuple[Any, str]:
    """A remark on what ended a group."""
    named = f"line{'s' * (len(lines) > 1)} {', '.join(map(str, lines))}"
    return loc, f"ends what is taken together in {named}: {why}"


def _read(inst: Any) -> list[str]:
    """The names of variables that an instruction reads, each as often as it does."""
    if isinstance(inst, ir.Assign):
        value = inst.value
        return [value.name] if isinstance(value, ir.Var) else [v.name for v in getattr(value, "list_vars", list)()]
    return [var.name for var in inst.list_vars()]


class _Reader:
    """Reads one block."""

    def __init__(self, state: Any, uses: Counter[str], defined: Mapping[str, int]):
        self.state = state
        self.typemap, self.calltypes, self.typing = state.typemap, state.calltypes, state.typingctx
        self.uses, self.defined = uses, defined
        self.result = Block()
        self.open()

    def open(self) -> None:
        self.group = Group()
        #: By variable, the operand of the group that it names.
        self.names: dict[str, str] = {}
        self.made: dict[str, Operand] = {}
        #: How often the group reads a variable that it assigns.
        self.inside: Counter[str] = Counter()
        self.taken: list[int] = []
        #: The variables that are results of reductions: they are there after the group.
        self.folded: set[str] = set()

    def block(self, block: Any) -> Block:
        for place, inst in enumerate(block.body):
            #: The method of an array that was looked up just before.
            bound = block.body[place - 1] if place else None
            self.bound = bound if calls.is_method(bound, self.typemap, _METHODS) else None
            following = block.body[place + 1] if place + 1 < len(block.body) else None
            if calls.is_method(inst, self.typemap, _METHODS) and _is_call_of(following, inst.target.name):
                # It goes where its call goes.
                continue
            try:
                totals = [name for name in _read(inst) if name in self.folded]
                if totals:
                    self.close(inst.loc, f"it reads {shown(totals[0])}, the result of a reduction")
                if self.array_statement(inst, place):
                    self.group.place = place
                    if self.bound is not None and _is_call_of(inst, self.bound.target.name):
                        self.taken.append(place - 1)
                    self.taken.append(place)
                    if len(self.group.statements) >= MOST:
                        self.close(inst.loc, f"{MOST} statements are the most")
                    elif len(self.group.variables) >= walk.ARRAYS - 4:
                        self.close(inst.loc, f"{len(self.group.variables)} operands are the most")
                    continue
                left = self.left(inst)
            except Refused as why:
                left = str(why)
            if left is not None:
                self.remark(inst.loc, f"left to Numba: {left}")
            if self.group.statements and not inst.is_terminator and (stops := self.stops(inst)) is not None:
                self.close(inst.loc, stops)
        self.close(block.terminator.loc, "")
        return self.result

    def remark(self, loc: Any, text: str) -> None:
        """Say something of a statement on arrays, and what ended the group before it."""
        self.said()
        self.result.remarks.append((loc, text))

    def said(self) -> None:
        if self.result.ended is not None:
            self.result.remarks.append(_ended(*self.result.ended))
            self.result.ended = None

    # -- what stays where it is --

    def left(self, inst: Any) -> str | None:
        """What there is to say of a statement on arrays that is none of those that are taken."""
        if isinstance(inst, (ir.SetItem, ir.StaticSetItem)):
            return f"assignment to elements of {inst.target.name!r}"
        value = inst.value if isinstance(inst, ir.Assign) else None
        if not isinstance(value, ir.Expr):
            return None
        made = isinstance(self.typemap.get(inst.target.name), types.Array)
        if value.op in ("getitem", "static_getitem") and made and self.reads_memory(value) is not None:
            return f"a copy of elements of {shown(value.value.name)}"
        if value.op in ("binop", "inplace_binop", "unary") and made:
            return f"{value.fn.__name__} of {' and '.join(str(self.typemap[v.name]) for v in value.list_vars())}"
        if value.op != "call":
            return None
        called = self.typemap.get(value.func.name)
        if getattr(called, "typing_key", None) in (len, np.transpose, *_LIKE):
            return None
        if isinstance(called, types.BoundFunction) and isinstance(called.this, types.Array):
            return f"the method {_method(called)} of an array"
        if any(isinstance(self.typemap.get(var.name), types.Array) for var in value.args):
            name = getattr(getattr(called, "typing_key", None), "__name__", None)
            return f"a call of {name or called}"
        return None

    def stops(self, inst: Any) -> str | None:
        """Why a statement may not run before all of the group that stands before it in the text; None where it may."""
        if not isinstance(inst, ir.Assign):
            return effect(inst)
        made = {var.name for var, _ in self.group.results.values()} | {var.name for var, _, _ in self.group.copies}
        if inst.target.name in self.names:
            return f"it assigns {shown(inst.target.name)} anew"
        read = [name for name in _read(inst) if name in made]
        if read:
            how = "returns" if isinstance(inst.value, ir.Expr) and inst.value.op == "cast" else "reads"
            return f"it {how} {shown(read[0])}, which is made there"
        value = inst.value
        if isinstance(value, (ir.Const, ir.Global, ir.FreeVar, ir.Var)):
            return None
        return self.reads_memory(value) if isinstance(value, ir.Expr) else f"it has {value}"

    def reads_memory(self, value: Any) -> str | None:
        """Why an expression is not known to read no array and to raise nothing; None where it is."""
        typemap = self.typemap
        match value.op:
            case "getattr":
                of = typemap[value.value.name]
                known = isinstance(of, types.Module) or (type(of) is types.Array and value.attr in _METADATA)
                return None if known else f"it reads .{value.attr} of {shown(value.value.name)}"
            case "build_tuple":
                return None
            case "binop" | "unary":
                kinds = [typemap[var.name] for var in value.list_vars()]
                model = self.state.flags.error_model
                if _numbers(kinds) and scalars.harmless(value.fn, kinds, model, ir.UNDEFINED):
                    return None
                return f"{value.fn.__name__} of {', '.join(map(str, kinds))} may raise or read memory"
            case "call":
                return None if self.harmless(value) else self.effect_of_call(value)
            case "static_getitem" | "getitem":
                of = typemap[value.value.name]
                if isinstance(of, types.BaseTuple) and value.op == "static_getitem":
                    return None
                index = value.index_var if value.op == "static_getitem" else value.index
                if index is not None and type(of) is types.Array and _slices(typemap[index.name]):
                    return None
                return f"it reads elements of {shown(value.value.name)}"
        return f"{value.op}, which may read memory or raise"

    def effect_of_call(self, value: Any) -> str:
        """What is to be said of a call that may have an effect."""
        called = self.typemap[value.func.name]
        if any(getattr(called, "typing_key", None) is each for each in (range, numba.prange)):
            return "a loop begins"
        if isinstance(called, types.BoundFunction):
            return f"a call of the method {_method(called)} of {called.this}, which may read memory or raise"
        if isinstance(called, types.Dispatcher):
            return f"a call of {called.dispatcher.__name__}, which may have any effect"
        name = getattr(getattr(called, "typing_key", None), "__name__", None)
        return f"a call of {name or called}, which may read memory or raise"

    def harmless(self, value: Any) -> bool:
        """Whether a call reads no array and raises nothing, or nothing that the group could be told from."""
        if value.vararg is not None:
            return False
        called = self.typemap[value.func.name]
        kinds = [self.typemap[var.name] for var in value.args]
        if isinstance(called, types.BoundFunction):
            return type(called.this) is types.Array and not kinds and not value.kws and _method(called) == "transpose"
        if isinstance(called, types.NumberClass):
            return _numbers(kinds) and not value.kws
        if not isinstance(called, types.Function):
            return False
        function = called.typing_key
        if function is slice:
            return True
        if value.kws:
            return False
        if len(kinds) == 1 and type(kinds[0]) is types.Array:
            # Without memory, what the group made is gone; what it assigned would not be.
            news = all(taken.new is not None for taken in self.group.statements)
            return function in (len, np.transpose) or (news and function in _LIKE)
        return _numbers(kinds) and scalars.callable_(function)

    # -- what is taken --

    def array_statement(self, inst: Any, place: int) -> bool:
        """Put a statement into the group if it is element-wise work on arrays."""
        if isinstance(inst, (ir.SetItem, ir.StaticSetItem)):
            return self.setitem(inst, place)
        if not isinstance(inst, ir.Assign) or not isinstance(inst.value, ir.Expr):
            return False
        value = inst.value
        if value.op == "arrayexpr":
            return self.expression(inst)
        if value.op == "inplace_binop":
            return self.in_place(inst)
        if value.op == "call":
            return self.call(inst)
        return False

    def call(self, inst: Any) -> bool:
        value = inst.value
        called = self.typemap.get(value.func.name)
        args = list(value.args)
        if self.bound is not None and self.bound.target.name == value.func.name:
            known: calls.Known | None = _METHODS[self.bound.value.attr]
            args.insert(0, self.bound.value.value)
        elif isinstance(called, types.Function):
            function = called.typing_key
            if isinstance(function, (np.ufunc, DUFunc)):
                return len(args) + len(value.kws) > function.nin and self.call_with_out(inst, function)
            try:
                known = _FUNCTIONS.get(function)
            except TypeError:
                return False
        else:
            return False
        if known is None:
            return False
        if value.vararg is not None:
            raise Refused(f"a call of {known.name} with *")
        given = calls.given(known, args, value.kws)
        if known.name in reductions.METHODS:
            return self.reduction(inst, known, given)
        return self.elementwise(inst, known, given)

    def elementwise(self, inst: Any, known: calls.Known, given: Mapping[str, ir.Var]) -> bool:
        kind = self.typemap[inst.target.name]
        if not is_array(kind):
            return False
        out = given.get("out")
        if out is not None and not isinstance(self.typemap[out.name], types.Array):
            out = None
        self.begin(inst, kind.ndim)
        with _Attempt(self):
            node = calls.Maker(self.leaf, self.typemap, self.typing).make(known.name, given, kind.dtype)
            if node.type.rank != kind.ndim:
                raise Refused(f"{known.name} of fewer axes than its result")
            order = [self.names[var.name] for var in given.values() if var.name in self.names]
            if out is None:
                self.add(self.new(inst.target, kind), node, inst, kind, order, inst.target.name)
                self.group.statements[-1].message = calls.UNEQUAL
            elif self.typemap[out.name] != kind and self.uses[inst.target.name]:
                raise Refused(f"{known.name} whose out is of another type than its result")
            else:
                self.add(self.leaf(out), node, inst, None, order, out.name, exact=True)
                if self.uses[inst.target.name]:
                    self.called(inst.target, out, kind)
        return True

    def reduction(self, inst: Any, known: calls.Known, args: Mapping[str, ir.Var]) -> bool:
        given, kind = self.typemap[args["a"].name], self.typemap[inst.target.name]
        if not isinstance(given, types.Array):
            return False
        if not is_array(given):
            raise Refused(f"{known.name} of {shown(args['a'].name)}, which is {given}")
        if known.name in ("var", "std"):
            return self.variance(inst, known, args["a"], given, kind)
        over = reductions.axes(args, self.typemap, given.ndim)
        self.begin(inst, given.ndim)
        with _Attempt(self):
            element = kind.dtype if isinstance(kind, types.Array) else kind
            node = reductions.reduction(known, self.leaf(args["a"]), given, over, element)
            if node.type.rank != getattr(kind, "ndim", 0):
                raise Refused(f"{known.name} to {kind}")
            target = self.new(inst.target, kind)
            self.add(target, node, inst, kind, [self.names[args["a"].name]], inst.target.name)
            self.folded.add(inst.target.name)
        return True

    def variance(self, inst: Any, known: calls.Known, var: ir.Var, given: Any, kind: Any) -> bool:
        """A variance of what the group makes: its mean is found there, and the rest is a group that begins here."""
        if not any(var.name == made.name for made, _ in self.group.results.values()):
            raise Refused(f"{known.name} of {shown(var.name)}, an array that is there")
        mean = inst.target.scope.redefine("$arrayexpr.mean", loc=inst.loc)
        self.typemap[mean.name] = of = reductions.mean_type(given, self.typing)
        with _Attempt(self):
            every = tuple(range(given.ndim))
            node = reductions.reduction(_METHODS["mean"], self.leaf(var), given, every, of)
            target = self.new(mean, of)
            # Tried before anything is done.
            reductions.variance(known, self.leaf(var), self.leaf(mean), given, kind, self.typing)
            self.add(target, node, inst, of, [self.names[var.name]], mean.name)
        # Read here once, and once more after it.
        self.uses[var.name] += 1
        self.uses[mean.name] += 1
        self.inside[var.name] -= 1
        self.inside[mean.name] -= 1
        self.close(inst.loc, f"{known.name} reads the mean, the result of a reduction")
        self.begin(inst, given.ndim)
        with _Attempt(self):
            node = reductions.variance(known, self.leaf(var), self.leaf(mean), given, kind, self.typing)
            self.add(self.new(inst.target, kind), node, inst, kind, [self.names[var.name]], inst.target.name)
            self.folded.add(inst.target.name)
        return True

    def expression(self, inst: Any) -> bool:
        kind = inst.value.ty
        if not is_array(kind):
            raise Refused(f"its result is {kind}")
        self.begin(inst, kind.ndim)
        with _Attempt(self):
            node = operators.converted(self.tree(inst.value.expr), kind.dtype)
            if node.type.rank != kind.ndim:
                raise Refused("an expression of no arrays")
            order = [self.names[name] for name in sorted({var.name for var in inst.value.list_vars()})]
            target = self.new(inst.target, kind)
            self.add(target, node, inst, kind, order, inst.target.name)
        return True

    def in_place(self, inst: Any) -> bool:
        value, sig = inst.value, self.calltypes.get(inst.value)
        kind = self.typemap[value.lhs.name]
        if not isinstance(kind, types.Array) or value.fn not in operators.INPLACE:
            return False
        if sig is None or sig.return_type != kind or self.typemap[inst.target.name] != kind:
            result = self.typemap[inst.target.name] if sig is None else sig.return_type
            raise Refused(f"an in-place operator of {shown(value.lhs.name)}, which is {kind}, that gives {result}")
        return self.loop(inst, operators.INPLACE[value.fn], [value.lhs, value.rhs], value.lhs)

    def call_with_out(self, inst: Any, function: Any) -> bool:
        value = inst.value
        if value.kws or value.vararg is not None or len(value.args) != function.nin + 1 or function.nout != 1:
            raise Refused(f"{function.__name__} called otherwise than with its operands and one out")
        out = value.args[-1]
        if self.typemap[inst.target.name] != self.typemap[out.name]:
            kinds = self.typemap[out.name], self.typemap[inst.target.name]
            raise Refused(f"{function.__name__} into {shown(out.name)}, which is {kinds[0]}, that gives {kinds[1]}")
        return self.loop(inst, function, value.args[:-1], out)

    def loop(self, inst: Any, ufunc: Any, inputs: Sequence[ir.Var], out: ir.Var) -> bool:
        kind = self.typemap[out.name]
        if not is_array(kind):
            raise Refused(f"assignment to {shown(out.name)}, which is {kind}")
        self.begin(inst, kind.ndim)
        with _Attempt(self):
            given = []
            for var in inputs:
                each = self.typemap[var.name]
                each = each.dtype if isinstance(each, types.Array) else types.unliteral(each)
                if map_type(each) is None:
                    raise Refused(f"{shown(var.name)} is {self.typemap[var.name]}")
                given.append(each)
            if max(getattr(self.typemap[var.name], "ndim", 0) for var in inputs) > kind.ndim:
                raise Refused("operands of more axes than out")
            node = self.into_type(ufunc, tuple(given), kind.dtype, tuple(self.leaf(var) for var in inputs))
            target = self.leaf(out)
            if inst.value.op == "inplace_binop":
                # The IR names it once.
                self.inside[out.name] -= 1
            self.add(target, node, inst, None, [self.names[v.name] for v in inputs], out.name)
            self.called(inst.target, out, kind)
        return True

    def into_type(self, ufunc: Any, given: tuple[Any, ...], wanted: Any, args: tuple[Node, ...]) -> Node:
        """What a ufunc computes of operands of Numba types, to be stored as another one."""
        if isinstance(ufunc, DUFunc):
            sig = self.typing.resolve_function_type(ufunc, given, {})
            if sig is None or map_type(sig.return_type) is None:
                raise Refused(f"{ufunc.__name__} of {', '.join(map(str, given))}")
            row = operators.scalar(ufunc, given, (None,) * len(given), sig)
            return operators.converted(Apply(row, args), wanted)
        row = operators.loop(ufunc, given, wanted)
        if not row.meaning.lowers(self.state.targetctx):
            raise Refused(f"{ufunc.__name__} of {', '.join(map(str, given))} into {wanted}")
        return Apply(row, args)

    def setitem(self, inst: Any, place: int) -> bool:
        kind, value = self.typemap[inst.target.name], self.typemap[inst.value.name]
        if type(kind) is not types.Array:
            return False
        index = inst.index_var if isinstance(inst, ir.StaticSetItem) else inst.index
        if index is None:
            return False
        whole = isinstance(inst, ir.StaticSetItem) and shows_all(inst.index)
        seen: Any = kind
        if not whole:
            if not isinstance(self.typemap[index.name], (types.SliceType, types.BaseTuple, types.Integer)):
                return False
            sig = self.typing.resolve_function_type(python.getitem, (kind, self.typemap[index.name]), {})
            seen = None if sig is None else sig.return_type
        if not isinstance(seen, types.Array):
            return False
        if not is_array(seen):
            raise Refused(f"assignment to {shown(inst.target.name)}, of which the part is {seen}")
        if isinstance(value, types.Array):
            if not is_array(value) or value.ndim > seen.ndim:
                raise Refused(f"assignment of {shown(inst.value.name)}, which is {value}")
        elif map_type(value) is None:
            raise Refused(f"assignment of {shown(inst.value.name)}, which is {value}")
        if not whole and not _slices(self.typemap[index.name]) and self.state.flags.boundscheck:
            raise Refused("an index that is checked")
        if not whole and any(inst.target.name == var.name for var, _ in self.group.results.values()):
            # A view of what the group makes is there after it.
            self.close(inst.loc, f"it assigns to a part of {shown(inst.target.name)}, which is made there")
        self.begin(inst, seen.ndim)
        with _Attempt(self):
            node = operators.converted(self.leaf(inst.value), seen.dtype)
            target = self.leaf(inst.target) if whole else self.view(inst, index, sig, place)
            self.add(target, node, inst, None, [self.names[inst.value.name]], inst.target.name)
        return True

    def view(self, inst: Any, index: ir.Var, sig: Any, place: int) -> Operand:
        """The part of an array that is assigned to, as a variable of its own."""
        var = inst.target.scope.redefine("$arrayexpr.view", loc=inst.loc)
        self.typemap[var.name] = sig.return_type
        made = ir.Expr.getitem(inst.target, index, inst.loc)
        self.calltypes[made] = sig
        self.result.before.setdefault(place, []).append(ir.Assign(made, var, inst.loc))
        return self.leaf(var)

    # -- the group --

    def begin(self, inst: Any, rank: int) -> None:
        """See to it that the open group is of one rank."""
        if self.group.statements and self.group.rank != rank:
            axes = "1 axis" if rank == 1 else f"{rank} axes"
            self.close(inst.loc, f"it is over {axes}, and what is there over {self.group.rank}")
        self.group.rank = rank

    def add(
        self, target: Operand, value: Node, inst: Any, new: Any, order: Sequence[str], label: str, exact: bool = False
    ) -> None:
        read = {each.name: each.type.rank for each in postorder((value,)) if isinstance(each, Operand)}
        arrays = sum(rank > 0 for rank in read.values())
        if arrays >= walk.ARRAYS or len(read) - arrays > walk.SCALARS or self.group.rank > walk.RANK:
            raise Refused(f"{len(read)} operands of {self.group.rank} axes")
        assign = Assign(target, value)
        self.said()
        self.group.statements.append(Taken(assign, inst, inst.loc, new, tuple(order), label, exact))

    def called(self, var: ir.Var, of: ir.Var, kind: Any) -> None:
        """From here on a variable is another name of an array that the group assigns to."""
        name = self.names[of.name]
        self.names[var.name] = name
        self.group.copies.append((var, of, kind))

    def new(self, var: ir.Var, kind: Any) -> Operand:
        name = f"n{len(self.made)}"
        self.names[var.name] = name
        self.group.results[name] = var, kind
        made = (_element(kind.dtype).array(kind.ndim)) if isinstance(kind, types.Array) else _element(kind).array(0)
        return self.made.setdefault(name, Operand(name, made))

    def leaf(self, var: ir.Var) -> Operand:
        """The operand that a variable is."""
        self.inside[var.name] += 1
        if var.name not in self.names:
            kind = self.typemap[var.name]
            if isinstance(kind, types.Array):
                if not is_array(kind):
                    raise Refused(f"{shown(var.name)} is {kind}")
                made = _element(kind.dtype).array(kind.ndim)
            else:
                if map_type(kind) is None:
                    raise Refused(f"{shown(var.name)} is {kind}")
                made = _element(kind).array(0)
            name = f"o{len(self.made)}"
            self.names[var.name] = name
            self.made[name] = Operand(name, made)
            self.group.variables[name] = var, kind
        return self.made[self.names[var.name]]

    def tree(self, tree: Any) -> Node:
        """One of Numba's array expressions: (function, arguments), a variable or a constant."""
        if isinstance(tree, ir.Var):
            return self.leaf(tree)
        if isinstance(tree, ir.Const) or not isinstance(tree, tuple):
            raise Refused("an expression of constants")
        function, given = tree
        if not isinstance(function, (np.ufunc, DUFunc)) and function not in _OPERATORS:
            raise Refused(f"the function {function}")
        nodes: list[Node] = []
        kinds: list[Any] = []
        constants: list[Any] = []
        for arg in given:
            if isinstance(arg, ir.Const):
                kind = types.maybe_literal(arg.value) or self.typing.resolve_value_type(arg.value)
                if kind is None or map_type(kind) is None:
                    raise Refused(f"the constant {arg.value!r}")
                constants.append((arg.value,))
            else:
                node = self.tree(arg)
                kind = host_type(node.type.element)
                nodes.append(node)
                constants.append(None)
            kinds.append(kind)
        sig = self.typing.resolve_function_type(function, tuple(kinds), {})
        if sig is None or map_type(sig.return_type) is None or len(sig.args) != len(kinds):
            raise Refused(f"{function.__name__} of {', '.join(map(str, kinds))}")
        if any(map_type(each) is None for each in sig.args) or not nodes:
            raise Refused(f"{function.__name__} of {', '.join(map(str, sig.args))}")
        return Apply(operators.scalar(function, tuple(kinds), tuple(constants), sig), tuple(nodes))

    def close(self, loc: Any, why: str) -> None:
        """End the open group, before what stands at `loc`: what it makes that nobody else reads is a local."""
        group = self.group
        if _gains_nothing(group):
            self.result.remarks.append(
                (group.statements[0].loc, "left to Numba: a reduction of an array that is there")
            )
        elif group.statements:
            inner = Counter(self.inside)
            outside = {name for name in self.names if self.uses[name] > inner[name]}
            copies = []
            for var, of, kind in reversed(group.copies):
                if var.name in outside:
                    copies.append((var, of, kind))
                    outside.add(of.name)
            group.copies = copies[::-1]
            results, local = {}, []
            for name, (var, kind) in group.results.items():
                if var.name in outside or self.defined[var.name] > 1:
                    results[name] = var, kind
                else:
                    local.append(self.made[name])
            group.results = results
            group.program = Program(
                self.state.func_id.func_name,
                [self.made[name] for name in group.variables],
                [taken.assign for taken in group.statements],
                [self.made[name] for name in results],
                locals=local,
                origins=_origins(group.statements),
            )
            self.result.groups.append(group)
            self.result.gone.update(self.taken)
            self.result.ended = group.lines(), loc, why
        self.open()


class _Attempt:
    """A statement that is tried: what it put into the group goes again if it is refused."""

    def __init__(self, reader: _Reader):
        self.reader = reader

    def __enter__(self) -> _Attempt:
        reader = self.reader
        self.kept = (
            dict(reader.names), dict(reader.made), Counter(reader.inside),
            dict(reader.group.variables), dict(reader.group.results),
        )  # fmt: skip
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None:
            reader = self.reader
            reader.names, reader.made, reader.inside, reader.group.variables, reader.group.results = self.kept


_OPERATORS: Final = frozenset((
    python.pos, python.neg, python.invert, python.add, python.sub, python.mul, python.truediv, python.floordiv,
    python.mod, python.pow, python.lshift, python.rshift, python.and_, python.or_, python.xor,
    python.eq, python.ne, python.lt, python.le, python.gt, python.ge,
))  # fmt: skip


def _gains_nothing(group: Group) -> bool:
    """Whether a group is one reduction of all of an array that is there: Numba needs no memory for that either."""
    if len(group.statements) != 1:
        return False
    found = reductions.taken_apart(group.statements[0].assign.value)
    if found is None or found[0].type.rank:
        return False
    return all(not isinstance(node, Apply) or not node.op.cost for node in postorder((found[0].arg,)))


def _is_call_of(inst: Any, name: str) -> bool:
    """Whether an instruction calls what a variable is."""
    return (
        isinstance(inst, ir.Assign)
        and isinstance(inst.value, ir.Expr)
        and inst.value.op == "call"
        and inst.value.func.name == name
    )


def shown(name: str) -> str:
    """What the text calls a variable."""
    return "a temporary" if name.startswith("$") or "__locals__" in name else repr(name.split(".")[0])


def effect(inst: Any) -> str:
    """What is to be said of a statement that is no assignment of a variable."""
    match inst:
        case ir.SetItem() | ir.StaticSetItem():
            return f"it assigns to elements of {shown(inst.target.name)}"
        case ir.Print():
            return "print, which is a side effect"
        case ir.SetAttr():
            return f"it sets .{inst.attr} of {shown(inst.target.name)}"
    return f"{type(inst).__name__}, which may have any effect"


def _method(called: Any) -> str:
    """The name of a bound method: Numba has "array.sum", or (types.Array, "argmax")."""
    key = called.typing_key
    return str(key[-1]) if isinstance(key, tuple) else str(key).rpartition(".")[2]


def _numbers(kinds: Sequence[Any]) -> bool:
    return all(isinstance(kind, (types.Integer, types.Float)) for kind in kinds)


def _element(kind: Any) -> Any:
    found = map_type(kind)
    assert found is not None
    return found


def shows_all(index: Any) -> bool:
    """Whether a constant index shows all of an array as it is."""
    parts = index if isinstance(index, tuple) else (index,)
    return all(part is Ellipsis or (isinstance(part, slice) and part == slice(None)) for part in parts)


def _slices(index: Any) -> bool:
    """Whether an index of this type is of slices and new axes: it raises nothing."""
    parts: Iterator[Any] | tuple[Any, ...] = index.types if isinstance(index, types.BaseTuple) else (index,)
    return all(isinstance(part, (types.SliceType, types.EllipsisType, types.NoneType)) for part in parts)


def _origins(statements: Sequence[Taken]) -> dict[Node, tuple[Any, ...]]:
    found: dict[Node, tuple[Any, ...]] = {}
    for taken in statements:
        for node in postorder((taken.assign,)):
            if not isinstance(node, Constant):
                found[node] = (*found.get(node, ()), taken.host)
    return found
