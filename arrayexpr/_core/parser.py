"""Reads the text form: Python's own syntax by Python's own `ast`, and nothing in it is ever evaluated."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NoReturn

import numpy as np

from .errors import ArrayExprError, ParseError
from .layout import Layout
from .nodes import (
    EFFECTS,
    ROLES,
    Apply,
    Assign,
    Barrier,
    Call,
    Cast,
    Constant,
    Contract,
    Disjoint,
    Extent,
    For,
    Function,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Opaque,
    Operand,
    Pack,
    Reduce,
    Scratch,
    SideEffect,
    Slice,
    Store,
    Stride,
    Unreorderable,
    View,
)
from .ops import Operator, is_operator, operator, operators
from .printer import FORMS, MAX_NESTING, SYMBOLS, is_word
from .program import Program
from .source import Source, shortened
from .types import APART, BOOL, FLOAT64, INT64, STRIDED, ArrayType, ElementType, Foreign, element, elements, real_of

_BINARY: Final[dict[type, str]] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.BitAnd: "&",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.And: "and",
    ast.Or: "or",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_UNARY: Final[dict[type, str]] = {ast.USub: "-", ast.Not: "not", ast.Invert: "~"}

#: What constructors raise at a text that asks for too much; all others are errors of ours.
_REFUSALS: Final = (ArrayExprError, OverflowError, RecursionError, MemoryError)

_Values = Sequence[Node]
_Build = Callable[[_Values], Node]
_Piece = tuple[Sequence[ast.expr], _Build]


class TextParser:
    """What turns pieces of a syntax tree into nodes, with the names that are declared so far.

    `lookup` may be replaced to give a meaning to names that are not declared.
    """

    def __init__(self, text: str):
        if not isinstance(text, str):
            raise ParseError(f"expected a text, got {type(text).__name__}")
        self.source = Source(text)
        self.names: dict[str, Node] = {}
        self.aliases: dict[str, Node] = {}
        self.functions: dict[str, Function] = {}

    # -- errors --

    def fail(self, message: str, at: ast.AST) -> NoReturn:
        """Raise a ParseError at a piece of the syntax tree."""
        raise self.source.error(message, at) from None

    def make(self, at: ast.AST, build: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Build a node; what its constructor refuses is an error at that place."""
        try:
            return build(*args, **kwargs)
        except ParseError:
            # It has its place already.
            raise
        except _REFUSALS as error:
            self.fail(shortened(error) if isinstance(error, OverflowError) else str(error), at)

    # -- names --

    def lookup(self, name: str, at: ast.AST) -> Node:
        node = self.names.get(name)
        if node is None:
            node = self.aliases.get(name)
        if node is None:
            known = [*self.names, *self.aliases]
            if is_operator(name) or is_word(name) or name in self.functions:
                self.fail(f"{shortened(name)} is a function: expected its arguments in parentheses", at)
            self.fail(f"unknown name {shortened(name)!r}{self.guess(name, known)}", at)
        return node

    def guess(self, name: str, known: Iterable[str]) -> str:
        names = list(known)
        if len(name) > 40 or len(names) > 1000:
            return ""
        import difflib

        close = difflib.get_close_matches(name, names, 1)
        return f": did you mean {close[0]!r}?" if close else ""

    def declare(self, name: str, node: Node, at: ast.AST) -> None:
        if name in self.names or name in self.aliases:
            self.fail(f"name {shortened(name)!r} is declared already", at)
        self.names[name] = node

    def operand(self, at: ast.expr, what: str) -> Operand:
        node = self.lookup(at.id, at) if isinstance(at, ast.Name) else None
        if not isinstance(node, Operand):
            self.fail(f"{what}: expected the name of an operand", at)
        return node

    # -- literals and types --

    def integer(self, at: ast.AST | None, what: str) -> int:
        value = _literal(at)
        if type(value) is not int:
            self.fail(f"{what}: expected a whole number", at or ast.AST())
        return value

    def integers(self, at: ast.expr, what: str) -> tuple[int, ...]:
        if not isinstance(at, ast.Tuple):
            self.fail(f"{what}: expected a tuple of whole numbers", at)
        return tuple(self.integer(item, what) for item in at.elts)

    def string(self, at: ast.expr, what: str) -> str:
        if not (isinstance(at, ast.Constant) and isinstance(at.value, str)):
            self.fail(f"{what}: expected a name in quotes", at)
        return at.value

    def strings(self, at: ast.expr, what: str) -> tuple[str, ...]:
        if not isinstance(at, ast.Tuple):
            self.fail(f"{what}: expected a tuple of names in quotes", at)
        return tuple(self.string(item, what) for item in at.elts)

    def element(self, at: ast.expr) -> ElementType:
        if isinstance(at, ast.Name):
            for t in elements():
                if t.name == at.id:
                    return t
            names = ", ".join(t.name for t in elements())
            self.fail(f"unknown element type {shortened(at.id)!r}: expected one of {names}", at)
        if isinstance(at, ast.Call) and isinstance(at.func, ast.Name) and at.func.id == "foreign":
            if len(at.args) != 1 or at.keywords:
                self.fail('expected foreign("name")', at)
            foreign: ElementType = self.make(at, Foreign, self.string(at.args[0], "foreign type"))
            return foreign
        self.fail("expected an element type such as float64", at)

    def array_type(self, at: ast.expr | None, where: ast.AST) -> ArrayType:
        """A type as in a signature: `float64`, `float64[:, ::1]`, `float64['C', :, :]`."""
        if at is None:
            self.fail("expected a type, as in a: float64[:, :]", where)
        if not isinstance(at, ast.Subscript):
            return self.element(at).array(0)
        t = self.element(at.value)
        axes = list(at.slice.elts) if isinstance(at.slice, ast.Tuple) else [at.slice]
        order = None
        first = axes[0] if axes else None
        if isinstance(first, ast.Constant):
            order = first.value
            del axes[0]
        layout = []
        for axis in axes:
            mark = "" if not isinstance(axis, ast.Slice) or axis.lower or axis.upper else ast.dump(axis)
            kind = _LAYOUTS.get(mark)
            if kind is None:
                known = "':', '::1' (contiguous), '::-1' (from its end), '::0' (broadcast) or '::2' to '::4' (apart)"
                self.fail(f"expected an axis: {known}", axis)
            layout.append(kind)
        if not layout:
            self.fail("expected an axis ':' or more", at)
        if order is not None and set(layout) != {"strided"}:
            self.fail(f"order {shortened(order)!r} says all: expected ':' for each axis", at)
        made: ArrayType = self.make(at, ArrayType, t, len(layout), tuple(layout) if order is None else None, order)
        return made

    def keywords(self, at: ast.Call, allowed: Sequence[str]) -> dict[str, ast.expr]:
        """The keywords of a call, each one that is allowed and given once."""
        found: dict[str, ast.expr] = {}
        name = at.func.id if isinstance(at.func, ast.Name) else "the call"
        for keyword in at.keywords:
            if keyword.arg is None or keyword.arg not in allowed or keyword.arg in found:
                expected = ", ".join(allowed) or "none"
                self.fail(f"{name} takes no keyword {shortened(keyword.arg)!r} here: expected {expected}", keyword)
            found[keyword.arg] = keyword.value
        return found

    # -- expressions: a stack instead of recursion, since a text may be as deep as Python reads --

    def expression(self, root: ast.expr) -> Node:
        values: list[Node] = []
        stack: list[Any] = [root]
        while stack:
            top = stack.pop()
            if isinstance(top, tuple):
                at, count, build = top
                args = values[len(values) - count :]
                del values[len(values) - count :]
                values.append(self.make(at, build, args))
                continue
            inner, build = self.piece(top)
            if not inner:
                values.append(self.make(top, build, ()))
                continue
            stack.append((top, len(inner), build))
            stack.extend(reversed(inner))
        return values[0]

    def piece(self, at: ast.expr) -> _Piece:
        """What stands inside an expression, and what makes its node from theirs."""
        if isinstance(at, ast.Name):
            node = self.lookup(at.id, at)
            return (), lambda _: node
        if isinstance(at, ast.BinOp):
            if isinstance(at.op, ast.MatMult):
                return (at.left, at.right), lambda v: Contract(*v)
            return (at.left, at.right), self.infix(at.op, 2, at)
        if isinstance(at, ast.Call):
            return self.call(at)
        if isinstance(at, ast.Constant):
            return (), lambda _: self.number(at.value, at)
        if isinstance(at, ast.UnaryOp):
            value = _literal(at)
            if value is not None:
                return (), lambda _: self.number(value, at)
            return (at.operand,), self.infix(at.op, 1, at)
        if isinstance(at, ast.Subscript):
            return self.subscript(at)
        if isinstance(at, ast.Compare):
            if len(at.ops) > 1:
                self.fail("a chain of comparisons: expected pairs, as in (a < b) and (b < c)", at)
            return (at.left, at.comparators[0]), self.infix(at.ops[0], 2, at)
        if isinstance(at, ast.BoolOp):
            return at.values, self.chain(self.infix(at.op, 2, at))
        if isinstance(at, ast.Attribute):
            if at.attr == "T":
                return (at.value,), lambda v: View(v[0], order=tuple(reversed(range(v[0].type.rank))))
            self.fail(f"unknown attribute {shortened(at.attr)!r}: expected transpose(...), T, shape[k], strides[k]", at)
        if isinstance(at, ast.IfExp):
            self.fail("a conditional is no expression of arrays: expected where(condition, x, y)", at)
        self.fail(f"{_describe(at)} is no expression of arrays", at)

    def infix(self, op: ast.AST, arity: int, at: ast.expr) -> _Build:
        symbol = (_BINARY if arity == 2 else _UNARY).get(type(op))
        row = None if symbol is None else SYMBOLS.get((symbol, arity))
        if row is None:
            shown = {ast.UAdd: "unary +", ast.In: "in", ast.Is: "is"}.get(type(op), type(op).__name__)
            self.fail(f"{shown} is no operator on arrays", at)
        return lambda values: Apply(row, tuple(values))

    @staticmethod
    def chain(build: _Build) -> _Build:
        def combine(values: _Values) -> Node:
            node = values[0]
            for value in values[1:]:
                node = build((node, value))
            return node

        return combine

    def number(self, value: Any, at: ast.AST) -> Node:
        if type(value) is bool:
            return Constant(value, BOOL)
        if type(value) is int:
            return Constant(value, INT64)
        if type(value) is float:
            return Constant(value, FLOAT64)
        if type(value) is complex:
            return Constant(value, element("complex128"))
        shown = "a text" if isinstance(value, (str, bytes)) else shortened(value)
        self.fail(f"{shown} is no expression of arrays", at)

    def call(self, at: ast.Call) -> _Piece:
        for argument in at.args:
            if isinstance(argument, ast.Starred):
                self.fail("a starred argument: expected each argument written out", argument)
        if isinstance(at.func, ast.Attribute) and at.func.attr == "transpose":
            self.keywords(at, ())
            order = tuple(self.integer(axis, "transpose") for axis in at.args)
            return (at.func.value,), lambda v: View(v[0], order=order or tuple(reversed(range(v[0].type.rank))))
        if not isinstance(at.func, ast.Name):
            self.fail("expected the name of a function before the parenthesis", at.func)
        name = at.func.id
        function = self.functions.get(name)
        if function is not None:
            self.keywords(at, ())
            return at.args, lambda v: Call(function, tuple(v))
        form: Callable[[TextParser, ast.Call], _Piece] | None = _FORMS.get(name)
        if form is not None:
            return form(self, at)
        if is_word(name):
            if name in FORMS:
                self.fail(f"{name}(...) is no expression", at)
            return self.scalar(at, element(name))
        if is_operator(name):
            return self.apply(at, operator(name), at.args)
        known = [*self.functions, *FORMS, *(op.name for op in operators())]
        self.fail(f"unknown function {shortened(name)!r}{self.guess(name, known)}", at.func)

    def apply(self, at: ast.Call, op: Operator, args: list[ast.expr]) -> _Piece:
        self.keywords(at, ())
        if op.arity == 1 and op.reduction is not None:
            self.fail(f"{op.name} only reduces: expected reduce({op.name}, x, axes)", at)
        if len(args) != op.arity:
            self.fail(f"{op.name} takes {op.arity} operands: got {len(args)}", at)
        return args, lambda v: Apply(op, tuple(v))

    def form_apply(self, at: ast.Call) -> _Piece:
        if not at.args:
            self.fail('expected apply("operator", x, ...)', at)
        name = self.string(at.args[0], "apply")
        return self.apply(at, self.make(at.args[0], operator, name), at.args[1:])

    def form_cast(self, at: ast.Call) -> _Piece:
        self.keywords(at, ())
        if len(at.args) != 2:
            self.fail("expected cast(x, element type)", at)
        to = self.element(at.args[1])
        return at.args[:1], lambda v: Cast(v[0], to)

    def form_reduce(self, at: ast.Call) -> _Piece:
        keywords = self.keywords(at, ("keepdims",))
        if len(at.args) != 3:
            self.fail("expected reduce(operator, x, axes)", at)
        named = at.args[0]
        name = named.id if isinstance(named, ast.Name) else self.string(named, "reduce")
        op = self.make(named, operator, name)
        axes = self.integers(at.args[2], "axes")
        keepdims = keywords.get("keepdims")
        if keepdims is not None and not (isinstance(keepdims, ast.Constant) and type(keepdims.value) is bool):
            self.fail("keepdims: expected True or False", keepdims)
        keep = isinstance(keepdims, ast.Constant) and bool(keepdims.value)
        return at.args[1:2], lambda v: Reduce(op, v[0], axes, keep)

    def form_disjoint(self, at: ast.Call) -> _Piece:
        keywords = self.keywords(at, ("same",))
        if len(at.args) != 2:
            self.fail("expected disjoint(a, b), of two operands", at)
        one, other = (self.operand(each, "disjoint") for each in at.args)
        same = keywords.get("same")
        if same is not None and not (isinstance(same, ast.Constant) and type(same.value) is bool):
            self.fail("same: expected True or False", same)
        return (), lambda _: Disjoint(one, other, isinstance(same, ast.Constant) and bool(same.value))

    def form_opaque(self, at: ast.Call) -> _Piece:
        keywords = self.keywords(at, ("type",))
        if not at.args:
            self.fail('expected opaque("name", x, ..., type=float64[:])', at)
        name = self.string(at.args[0], "opaque")
        type_ = self.array_type(keywords.get("type"), at)
        return at.args[1:], lambda v: Opaque(name, tuple(v), type_)

    def form_side_effect(self, at: ast.Call) -> _Piece:
        if len(at.args) != 1:
            self.fail("expected side_effect(x, reads=(...), writes=(...))", at)
        reads, writes = self.effect(at)
        return at.args, lambda v: SideEffect(v[0], reads, writes)

    def form_unreorderable(self, at: ast.Call) -> _Piece:
        self.keywords(at, ())
        if len(at.args) != 1:
            self.fail("expected unreorderable(x)", at)
        return at.args, lambda v: Unreorderable(v[0])

    def effect(self, at: ast.Call) -> list[tuple[str, ...] | None]:
        keywords = self.keywords(at, ("reads", "writes"))
        return [self.strings(keywords[k], k) if k in keywords else None for k in ("reads", "writes")]

    def scalar(self, at: ast.Call, t: ElementType) -> _Piece:
        """A constant that says its type: `int8(3)`, `float32(bits="7fc00001")`, `complex64(1.0, "nan")`."""
        if at.keywords:
            keywords = self.keywords(at, ("bits",))
            bits = self.string(keywords["bits"], "bits")
            if at.args or t.kind != "f":
                self.fail(f'expected {real_of(t)}(bits="..."), of the bits of one real', at)
            part = self.bits(bits, t, at)
            return (), lambda _: Constant(part, t)
        if t.kind == "c" and len(at.args) == 2:
            part_type = real_of(t)
            parts = [self.real(part, part_type) for part in at.args]
            value = np.frombuffer(b"".join(part.tobytes() for part in parts), t.dtype)[0]
            return (), lambda _: Constant(value, t)
        if len(at.args) != 1:
            self.fail(f"expected {t}(number); cast(x, {t}) is for what is no number", at)
        if t.kind == "f":
            value = self.real(at.args[0], t)
        else:
            value = _literal(at.args[0])
            if value is None:
                self.fail(f"{t}(...) takes a number: cast(x, {t}) is for what is none", at.args[0])
        return (), lambda _: Constant(value, t)

    def real(self, at: ast.expr, t: ElementType) -> Any:
        """A real in the parentheses of a constant: a number, a text such as "inf", or bits."""
        if isinstance(at, ast.Call) and isinstance(at.func, ast.Name) and at.func.id == t.name and at.keywords:
            return self.bits(self.string(self.keywords(at, ("bits",))["bits"], "bits"), t, at)
        value = _literal(at)
        if isinstance(at, ast.Constant) and isinstance(at.value, str):
            value = at.value
        try:
            if type(value) in (int, float, str):
                # NumPy reads a text in the type's own precision; it warns of what is too large or small.
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    return t.dtype.type(value)
        except (ValueError, OverflowError):
            pass
        self.fail(f'expected a number of {t}, or "inf", "-inf", "nan"', at)

    def bits(self, text: str, t: ElementType, at: ast.AST) -> Any:
        try:
            whole = int(text, 16)
            raw = whole.to_bytes(t.itemsize, _BYTEORDER)
        except (ValueError, OverflowError):
            self.fail(f"bits {shortened(text)!r} of {t}: expected {2 * t.itemsize} hexadecimal digits", at)
        return np.frombuffer(raw, t.dtype)[0]

    def subscript(self, at: ast.Subscript) -> _Piece:
        if isinstance(at.value, ast.Attribute) and at.value.attr in ("shape", "strides"):
            named = self.operand(at.value.value, at.value.attr)
            axis = self.integer(at.slice, at.value.attr)
            build = Extent if at.value.attr == "shape" else Stride
            return (), lambda _: build(named, axis)
        items = _items(at)
        if not any(_windows(item) for item in items):
            base = self.operand(at.value, "access to one element (a view would say x[0, ...])")
            return items, lambda v: Load(base, tuple(v))
        subscripts, moving = self.view_subscripts(items)

        def view(v: _Values) -> Node:
            return View(v[0], subscripts=_expand(_moved(subscripts, v[1:]), v[0].type.rank))

        return (at.value, *moving), view

    def view_subscripts(self, items: Sequence[ast.expr]) -> tuple[list[Any], list[ast.expr]]:
        """The subscripts, and those among them, or among bounds of slices, that are expressions: a `_MOVING` each."""
        moving: list[ast.expr] = []

        def number(at: ast.expr, what: str, fixed: bool = False) -> Any:
            if fixed or _literal(at) is not None or isinstance(at, ast.Constant):
                return self.integer(at, what)
            moving.append(at)
            return _MOVING

        found: list[Any] = []
        for item in items:
            if isinstance(item, ast.Slice):
                start, stop = (None if x is None else number(x, "bound of a view") for x in (item.lower, item.upper))
                step = None if item.step is None else number(item.step, "step of a view", fixed=True)
                found.append(Slice(start, stop, step))
            elif isinstance(item, ast.Constant) and (item.value is None or item.value is ...):
                if item.value is ... and ... in found:
                    self.fail("a view has one '...' at most", item)
                found.append(item.value)
            else:
                found.append(number(item, "subscript of a view"))
        return found, moving

    # -- statements --

    def block(self, body: Sequence[ast.stmt], depth: int) -> list[Node]:
        """The statements of a block; operands and indices declared in it end with it."""
        if depth > MAX_NESTING + 1:
            self.fail(f"statements stand more than {MAX_NESTING} deep", body[0])
        before = dict(self.names) if depth > 1 else None
        found: list[Node] = []
        for at in body:
            found.extend(self.statement(at, depth))
        if before is not None:
            self.names = before
        return found

    def statement(self, at: ast.stmt, depth: int) -> list[Node]:
        if isinstance(at, ast.Assign):
            return self.assignment(at)
        if isinstance(at, ast.For):
            return [self.loop(at, depth)]
        if isinstance(at, ast.If):
            condition = self.expression(at.test)
            then = tuple(self.block(at.body, depth + 1))
            otherwise = tuple(self.block(at.orelse, depth + 1)) if at.orelse else ()
            return [self.make(at.test, Guard, condition, then, otherwise)]
        if isinstance(at, ast.With):
            return [self.with_effect(at, depth)]
        if isinstance(at, ast.Expr):
            return [self.line(at.value)]
        if isinstance(at, ast.FunctionDef) and depth == 1:
            self.function(at)
            return []
        if isinstance(at, ast.Pass):
            return []
        self.fail(f"{_describe(at)} is no statement of a program", at)

    def assignment(self, at: ast.Assign) -> list[Node]:
        if len(at.targets) != 1:
            self.fail("expected one target of an assignment", at)
        target = at.targets[0]
        if isinstance(target, ast.Name):
            value = at.value
            if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "scratch":
                return [self.scratch(target, value)]
            self.alias(target, value)
            return []
        if not isinstance(target, ast.Subscript):
            self.fail("expected a target such as r[...] or r[i, j]", target)
        items = _items(target)
        if not any(_windows(item) for item in items):
            base = self.operand(target.value, "target of one element")
            places = tuple(self.expression(item) for item in items)
            return [self.make(at, Store, base, places, self.expression(at.value))]
        node = self.expression(target.value)
        if not (len(items) == 1 and isinstance(items[0], ast.Constant) and items[0].value is ...):
            subscripts, moving = self.view_subscripts(items)
            subscripts = _moved(subscripts, [self.expression(at) for at in moving])
            node = self.make(target, View, node, subscripts=_expand(subscripts, node.type.rank))
        return [self.make(at, Assign, node, self.expression(at.value))]

    def alias(self, target: ast.Name, value: ast.expr) -> None:
        name = target.id
        if not name.startswith("_"):
            message = f"{shortened(name)} = ...: expected {shortened(name)}[...] = ... to assign"
            self.fail(f"{message}, or a name such as _0 for an alias", target)
        node = self.expression(value)
        if name in self.names or name in self.aliases:
            self.fail(f"name {shortened(name)!r} is declared already", target)
        self.aliases[name] = node

    def scratch(self, target: ast.Name, value: ast.Call) -> Node:
        self.keywords(value, ())
        if not value.args:
            self.fail("expected scratch(float64[:, :], extent, extent)", value)
        made = self.make(target, Operand, target.id, self.array_type(value.args[0], value))
        extents = tuple(self.expression(item) for item in value.args[1:])
        node: Node = self.make(value, Scratch, made, extents)
        self.declare(target.id, made, target)
        return node

    def loop(self, at: ast.For, depth: int) -> Node:
        if at.orelse:
            self.fail("a loop has no else", at.orelse[0])
        ranged = at.iter
        kind = ranged.func.id if isinstance(ranged, ast.Call) and isinstance(ranged.func, ast.Name) else ""
        if not isinstance(ranged, ast.Call) or (kind != "range" and kind not in ROLES):
            roles = ", ".join(sorted(ROLES))
            self.fail(f"expected range(start, stop, step), or one of {roles} in place of range", ranged)
        self.keywords(ranged, ())
        if len(ranged.args) != 3:
            self.fail(f"{kind} takes start, stop and step: got {len(ranged.args)} bounds", ranged)
        if not isinstance(at.target, ast.Name):
            self.fail("expected one name for the index of a loop", at.target)
        bounds = [self.expression(bound) for bound in ranged.args]
        index = self.make(at.target, Index, at.target.id)
        outside = dict(self.names)
        self.declare(at.target.id, index, at.target)
        body = tuple(self.block(at.body, depth + 1))
        self.names = outside
        node: Node
        if kind == "range":
            node = self.make(ranged, For, index, *bounds, body)
        else:
            node = self.make(ranged, Loop, index, *bounds, kind, body)
        return node

    def with_effect(self, at: ast.With, depth: int) -> Node:
        call = at.items[0].context_expr
        name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
        if len(at.items) != 1 or at.items[0].optional_vars or name not in ("side_effect", "unreorderable"):
            self.fail("expected with side_effect(...): or with unreorderable():", at)
        assert isinstance(call, ast.Call)
        if call.args:
            self.fail(f"{name} around a statement takes no operand", call)
        reads, writes = self.effect(call)
        if name == "unreorderable" and call.keywords:
            self.keywords(call, ())
        inner = self.block(at.body, depth + 1)
        if len(inner) != 1:
            self.fail(f"{name} around {len(inner)} statements: expected exactly one", at)
        node: Node
        if name == "side_effect":
            node = self.make(at, SideEffect, inner[0], reads, writes)
        else:
            node = self.make(at, Unreorderable, inner[0])
        return node

    def line(self, at: ast.expr) -> Node:
        """An expression on a line of its own: barrier(), pack(...), or one with an effect."""
        if isinstance(at, ast.Call) and isinstance(at.func, ast.Name) and at.func.id not in self.functions:
            if at.func.id == "barrier":
                self.keywords(at, ())
                if at.args:
                    self.fail("barrier takes no operand", at)
                return Barrier()
            if at.func.id == "pack":
                return self.pack(at)
        node = self.expression(at)
        if not isinstance(node, EFFECTS):
            self.fail("an expression without an effect is no statement: expected side_effect(...) around it", at)
        return node

    def pack(self, at: ast.Call) -> Node:
        keywords = self.keywords(at, ("starts", "extents"))
        if len(at.args) != 2 or len(keywords) != 2:
            self.fail("expected pack(target, source, starts=(...), extents=(...))", at)
        target, source = (self.operand(item, "pack") for item in at.args)
        windows = []
        for what in ("starts", "extents"):
            window = keywords[what]
            if not isinstance(window, ast.Tuple):
                self.fail(f"{what}: expected a tuple", window)
            windows.append(tuple(self.expression(item) for item in window.elts))
        node: Node = self.make(at, Pack, target, source, *windows)
        return node

    def function(self, at: ast.FunctionDef) -> None:
        """A function of the program: parameters, aliases, and one value returned."""
        if at.name in self.functions:
            self.fail(f"function {shortened(at.name)!r} is defined already", at)
        if is_word(at.name):
            self.fail(f"function {at.name!r} has the name of a word of the text form", at)
        given, results = self.signature(at)
        if results or at.decorator_list:
            self.fail(f"function {shortened(at.name)!r} has no results after '*' and no decorator", at)
        outside = self.names, self.aliases
        self.names, self.aliases = {}, {}
        for operand, place in given:
            self.declare(operand.name, operand, place)
        *before, last = at.body
        for line in before:
            target = line.targets[0] if isinstance(line, ast.Assign) and len(line.targets) == 1 else None
            if not isinstance(target, ast.Name) or not isinstance(line, ast.Assign):
                self.fail("a function holds aliases and a return only", line)
            self.alias(target, line.value)
        if not isinstance(last, ast.Return) or last.value is None:
            self.fail(f"function {shortened(at.name)!r} ends without return: expected a value returned", last)
        body = self.expression(last.value)
        self.functions[at.name] = self.make(at, Function, at.name, tuple(operand for operand, _ in given), body)
        self.names, self.aliases = outside

    def signature(self, at: ast.FunctionDef) -> tuple[list[tuple[Operand, ast.arg]], list[tuple[Operand, ast.arg]]]:
        """The operands and the results of a def: those before and those after the '*'."""
        a = at.args
        if a.posonlyargs or a.vararg or a.kwarg or a.defaults or any(a.kw_defaults):
            self.fail("expected operands as in (a: float64[:], b: float64, *, r: float64[:])", at)
        if at.returns is not None:
            self.fail("expected no type after '->': results have theirs in the parentheses", at.returns)
        given, results = (
            [(self.make(x, Operand, x.arg, self.array_type(x.annotation, x)), x) for x in group]
            for group in (a.args, a.kwonlyargs)
        )
        return given, results

    def layouts(self, decorators: Sequence[ast.expr]) -> dict[str, Layout]:
        found: dict[str, Layout] = {}
        for at in decorators:
            named = isinstance(at, ast.Call) and isinstance(at.func, ast.Name) and at.func.id == "layouts"
            if not named or not isinstance(at, ast.Call) or at.args or found:
                self.fail("expected one @layouts(name=(shape, strides), ...) and no other decorator", at)
            for keyword in at.keywords:
                if keyword.arg is None or keyword.arg in found:
                    self.fail("expected each operand of layouts once, by name", keyword)
                pair = keyword.value
                if not isinstance(pair, ast.Tuple) or len(pair.elts) != 2:
                    self.fail(f"layout of {shortened(keyword.arg)}: expected (shape, strides)", keyword)
                shape, strides = (self.integers(part, f"layout of {shortened(keyword.arg)}") for part in pair.elts)
                found[keyword.arg] = self.make(keyword, Layout, shape, strides)
        return found

    def program(self) -> Program:
        module: ast.Module = self.source.tree(deep=": name its parts by aliases such as _0 = ...")
        if len(module.body) != 1 or not isinstance(module.body[0], ast.FunctionDef):
            others = [x for x in module.body if not isinstance(x, ast.FunctionDef)] or module.body[1:]
            at: ast.AST = others[0] if others else module
            self.fail("expected one program: def name(operands, *, results): and its statements", at)
        define = module.body[0]
        facts = self.layouts(define.decorator_list)
        given, results = self.signature(define)
        for operand, where in given + results:
            self.declare(operand.name, operand, where)
        for name in facts:
            if name not in self.names:
                self.fail(f"layout of {shortened(name)!r}, which is no operand", define.decorator_list[0])
        locals_, body = self.locals(define.body)
        statements = self.block(body, 1)
        operands = [operand for operand, _ in given]
        outcome = [operand for operand, _ in results]
        return Program(define.name, operands, statements, outcome, locals=locals_, layouts=facts)

    def locals(self, body: Sequence[ast.stmt]) -> tuple[list[Any], Sequence[ast.stmt]]:
        """The operands that a program makes for itself, `t = local(float64[:])`, and the statements after them."""
        found: list[Any] = []
        for place, at in enumerate(body):
            value = at.value if isinstance(at, ast.Assign) else None
            if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name) or value.func.id != "local":
                return found, body[place:]
            assert isinstance(at, ast.Assign)
            target = at.targets[0]
            if len(at.targets) != 1 or not isinstance(target, ast.Name) or len(value.args) != 1 or value.keywords:
                self.fail("expected a local as in t = local(float64[:, :])", at)
            operand = self.make(target, Operand, target.id, self.array_type(value.args[0], value))
            self.declare(target.id, operand, target)
            found.append(operand)
        return found, ()


_FORMS: Final[dict[str, Callable[[TextParser, ast.Call], _Piece]]] = {
    "apply": TextParser.form_apply,
    "cast": TextParser.form_cast,
    "disjoint": TextParser.form_disjoint,
    "reduce": TextParser.form_reduce,
    "opaque": TextParser.form_opaque,
    "side_effect": TextParser.form_side_effect,
    "unreorderable": TextParser.form_unreorderable,
}


def _literal(at: ast.AST | None) -> Any:
    """The number that a literal or a negated one says; None of anything else."""
    if isinstance(at, ast.UnaryOp) and isinstance(at.op, ast.USub) and isinstance(at.operand, ast.Constant):
        value = at.operand.value
        return -value if isinstance(value, (int, float, complex)) and type(value) is not bool else None
    if isinstance(at, ast.Constant) and type(at.value) in (bool, int, float, complex):
        return at.value
    return None


def _items(at: ast.Subscript) -> list[ast.expr]:
    return list(at.slice.elts) if isinstance(at.slice, ast.Tuple) else [at.slice]


def _windows(item: ast.expr) -> bool:
    """Whether a subscript makes its subscription a View: a slice, a new axis or '...'."""
    return isinstance(item, ast.Slice) or (isinstance(item, ast.Constant) and (item.value is None or item.value is ...))


#: Stands for a subscript that is an expression.
_MOVING: Final = object()


def _moved(subscripts: list[Any], values: Sequence[Node]) -> list[Any]:
    """The subscripts with the expressions in their places."""
    left = iter(values)
    return [
        next(left)
        if item is _MOVING
        else Slice(*[next(left) if bound is _MOVING else bound for bound in item])  # type: ignore[arg-type]
        if isinstance(item, Slice)
        else item
        for item in subscripts
    ]


def _expand(subscripts: list[Any], rank: int) -> tuple[Any, ...]:
    """The subscripts with '...' replaced by the axes it stands for."""
    if ... not in subscripts:
        return tuple(subscripts)
    place = subscripts.index(...)
    taken = sum(1 for item in subscripts if item is not None and item is not ...)
    return (*subscripts[:place], *[Slice()] * (rank - taken), *subscripts[place + 1 :])


def _describe(at: ast.AST) -> str:
    words = {
        ast.Lambda: "a lambda",
        ast.ListComp: "a comprehension",
        ast.JoinedStr: "a formatted text",
        ast.Starred: "a starred expression",
        ast.NamedExpr: "an assignment expression",
        ast.Tuple: "a tuple",
        ast.List: "a list",
        ast.Slice: "a slice",
        ast.AugAssign: "an augmented assignment",
        ast.AnnAssign: "an annotated assignment",
        ast.FunctionDef: "a function inside a block",
    }
    return words.get(type(at), type(at).__name__.lower())


_LAYOUTS: Final = {
    ast.dump(ast.Slice()): STRIDED,
    **{
        ast.dump(
            ast.Slice(step=ast.Constant(step) if step >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-step)))
        ): fact
        for fact, step in APART.items()
    },
}
_BYTEORDER: Final[Any] = "little" if np.little_endian else "big"


def parse(text: str) -> Program:
    """The program that a text in the text form means; `str(parse(text))` is its canonical text.

    Raises ParseError, with `lineno` and `offset`, for a text that is no program.

    >>> program = parse("def f(a: float64[:], *, r: float64[:]):\\n    r[...] = a + b\\n")
    Traceback (most recent call last):
    arrayexpr._core.errors.ParseError: unknown name 'b' (line 2, column 18)
            r[...] = a + b
                         ^
    """
    return TextParser(text).program()
