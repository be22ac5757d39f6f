"""One expression as text, for `evaluate`: parsed with `ast`, checked against a list of what is allowed, never run.

>>> from arrayexpr.build import Weak
>>> made = expression("sqrt(a * b.T) + c", {"a": ("float32", 2), "b": ("float32", 2), "c": Weak(float)})
>>> [operand.name for operand in made.operands], made.results[0].type
(['a', 'b', 'c'], float32[:, :])
>>> expression("__import__('os').system('ls')", {})
Traceback (most recent call last):
arrayexpr._core.errors.ParseError: unknown method 'system': expected ... (line 1, column 1)
    __import__('os').system('ls')
    ^
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ._core.errors import ArrayExprError, ParseError, TypeMismatch
from ._core.program import Program
from ._core.source import Source
from ._core.types import elements
from .functions import function, function_names
from .symbolic import SymbolicArray, as_symbolic
from .tracing import assemble, symbol

__all__ = ["expression"]

#: Longer texts are refused before they are parsed.
MAX_LENGTH: Final = 500_000
#: Whole constants of more bits than this are refused, before they are computed.
MAX_BITS: Final = 2_048

_BINARY: Final[dict[type[ast.AST], tuple[str, Callable[[Any, Any], Any]]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
    ast.MatMult: ("@", operator.matmul),
    ast.BitAnd: ("&", operator.and_),
    ast.BitOr: ("|", operator.or_),
    ast.BitXor: ("^", operator.xor),
    ast.LShift: ("<<", operator.lshift),
    ast.RShift: (">>", operator.rshift),
}
_COMPARE: Final[dict[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_UNARY: Final[dict[type[ast.AST], Callable[[Any], Any]]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
}
_ATTRIBUTES: Final = ("T", "mT", "real", "imag")
_METHODS: Final = frozenset(
    ("sum", "prod", "min", "max", "any", "all", "mean", "var", "std", "argmin", "argmax", "clip", "conj", "conjugate")
    + ("transpose", "swapaxes", "squeeze", "round", "astype", "dot", "copy")
)
_KEYWORDS: Final = frozenset(
    ("axis", "axes", "keepdims", "dtype", "ddof", "decimals", "min", "max", "a_min", "a_max")
    + ("axis1", "axis2", "source", "destination", "fill_value")
)
# It has two results.
_NOT_FUNCTIONS: Final = frozenset(("divmod",))
_REFUSED: Final[dict[type[ast.AST], str]] = {
    ast.IfExp: "a conditional expression cannot choose element by element: use where(condition, x, y)",
    ast.Lambda: "a lambda is not allowed",
    ast.NamedExpr: "an assignment is not allowed",
    ast.ListComp: "a comprehension is not allowed",
    ast.SetComp: "a comprehension is not allowed",
    ast.DictComp: "a comprehension is not allowed",
    ast.GeneratorExp: "a comprehension is not allowed",
    ast.List: "a list is not allowed",
    ast.Set: "a set is not allowed",
    ast.Dict: "a dictionary is not allowed",
    ast.JoinedStr: "a string is not allowed",
    ast.Starred: "a starred argument is not allowed",
    ast.Await: "await is not allowed",
    ast.Yield: "yield is not allowed",
    ast.YieldFrom: "yield is not allowed",
}


def expression(text: str, names: Mapping[str, Any], *, name: str = "kernel") -> Program:
    """The program of one Python expression over named operands, whose value is its result `r`.

    `names` gives each operand a spec as in `arrayexpr.build.trace`: `(dtype, rank)`, a dtype for a
    scalar, or `Weak(float)` for a Python number. The operands of the program are those that the
    text uses, in the order of `names`. NumPy's promotion rules apply.

    Allowed are names, numbers, operators and comparisons (`a < b < c` as `(a < b) & (b < c)`),
    functions and methods of NumPy on elements and over axes, the attributes `.T`, `.real`, `.imag`,
    and subscripts of ints, slices, `None` and `...`. Raises ParseError, with line and column, for
    anything else, and TypeMismatch or another ArrayExprError where types or ranks do not fit.

    >>> made = expression("(a[1:] - a[:-1]) / 2", {"a": ("int16", 1)})
    >>> made.results[0].type
    float64[:]
    >>> expression("a + x", {"a": ("int16", 1)})
    Traceback (most recent call last):
    arrayexpr._core.errors.ParseError: unknown name 'x': expected one of a (line 1, column 5)
        a + x
            ^
    """
    if not isinstance(text, str):
        raise TypeMismatch(f"expression of type {type(text).__name__}: expected text")
    reader = _Reader(text, names)
    value = as_symbolic(reader.read(), "expression")
    used: list[Any] = [reader.symbols[key]._node for key in names if key in reader.symbols]
    return assemble(name, (), (value.node,), used, ())


class _Reader:
    """Reads one text, with two stacks in place of recursion: what is to be done, and the values so far."""

    def __init__(self, text: str, names: Mapping[str, Any]) -> None:
        self.source = Source(text.strip(), "expression")
        self.names = names
        self.symbols: dict[str, SymbolicArray] = {}

    def read(self) -> Any:
        root = self.parse()
        # A task is a node to visit, or a node whose children have been: (node, how many values are theirs).
        tasks: list[Any] = [root]
        values: list[Any] = []
        while tasks:
            task = tasks.pop()
            if isinstance(task, tuple):
                node, count = task
                start = len(values) - count
                taken = values[start:]
                del values[start:]
                values.append(self.combine(node, taken))
                continue
            children = self.children(task)
            if children is None:
                values.append(self.leaf(task))
                continue
            tasks.append((task, len(children)))
            tasks.extend(reversed(children))
        return self.operand(values[0], root)

    def parse(self) -> ast.expr:
        text = self.source.text
        if len(text) > MAX_LENGTH:
            # Only the start is shown.
            shown = text[:100]
            raise ParseError(f"the expression has {len(text)} characters: expected at most {MAX_LENGTH}", shown)
        if not text:
            raise ParseError("the expression is empty")
        root: ast.expr = self.source.tree("eval", " for Python's parser").body
        return root

    def error(self, message: str, node: Any) -> ParseError:
        return self.source.error(message, node)

    def operand(self, value: Any, node: ast.AST) -> Any:
        """A value that an operator may take."""
        if isinstance(value, (SymbolicArray, int, float, complex)):
            return value
        shown = {type(None): "None", type(Ellipsis): "'...'", tuple: "a tuple", slice: "a slice", str: "a string"}
        raise self.error(f"{shown.get(type(value), type(value).__name__)} is no operand of an expression", node)

    # What a node is made of, in the order in which it is evaluated; None for a leaf.

    def children(self, node: ast.AST) -> list[ast.AST] | None:
        match node:
            case ast.Constant() | ast.Name() | ast.Pass() | _Element():
                return None
            case ast.BinOp():
                return [node.left, node.right]
            case ast.UnaryOp(op=ast.Not()):
                raise self.error("`not` is not for arrays: use ~", node)
            case ast.UnaryOp():
                return [node.operand]
            case ast.Compare():
                for comparison in node.ops:
                    if type(comparison) not in _COMPARE:
                        raise self.error("`is` and `in` are not allowed", node)
                return [node.left, *node.comparators]
            case ast.BoolOp():
                word, symbol = ("and", "&") if isinstance(node.op, ast.And) else ("or", "|")
                raise self.error(f"`{word}` is not for arrays: use {symbol}, with parentheses around comparisons", node)
            case ast.Call():
                return self.call_children(node)
            case ast.Attribute():
                if node.attr not in _ATTRIBUTES:
                    method = f": it is a method, call it as .{node.attr}()" if node.attr in _METHODS else ""
                    raise self.error(f"attribute {node.attr!r} is not allowed{method or _one_of(_ATTRIBUTES)}", node)
                return [node.value]
            case ast.Subscript():
                return [node.value, node.slice]
            case ast.Slice():
                return [_Missing if part is None else part for part in (node.lower, node.upper, node.step)]
            case ast.Tuple():
                return list(node.elts)
        raise self.error(_REFUSED.get(type(node), f"{type(node).__name__} is not allowed"), node)

    def call_children(self, node: ast.Call) -> list[ast.AST]:
        made: list[ast.AST] = []
        match node.func:
            case ast.Name():
                if node.func.id in _NOT_FUNCTIONS or function(node.func.id) is None:
                    raise self.error(
                        f"unknown function {node.func.id!r}{_nearest(node.func.id, function_names())}", node
                    )
            case ast.Attribute():
                if node.func.attr not in _METHODS:
                    raise self.error(f"unknown method {node.func.attr!r}{_nearest(node.func.attr, _METHODS)}", node)
                made.append(node.func.value)
            case _:
                raise self.error("a call of what is no name: expected the name of a function", node)
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.error("a starred argument is not allowed", keyword)
            if keyword.arg not in _KEYWORDS:
                raise self.error(f"argument {keyword.arg!r} is not allowed{_one_of(sorted(_KEYWORDS))}", keyword)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            made.append(_Element(argument) if self.is_element(argument) else argument)
        return made

    def is_element(self, node: ast.AST) -> bool:
        """Whether this is the name of an element type, where no operand is called so."""
        name = node.id if isinstance(node, ast.Name) else node.value if isinstance(node, ast.Constant) else None
        return isinstance(name, str) and name not in self.names and name in _ELEMENTS

    def leaf(self, node: Any) -> Any:
        if node is _Missing:
            return None
        if isinstance(node, _Element):
            return node.name
        if isinstance(node, ast.Constant):
            value = node.value
            if isinstance(value, (str, bytes)):
                raise self.error("a string is not allowed", node)
            if type(value) is int and value.bit_length() > MAX_BITS:
                raise self.error(f"a constant of {value.bit_length()} bits: expected at most {MAX_BITS}", node)
            return value
        known = self.symbols.get(node.id)
        if known is not None:
            return known
        if node.id not in self.names:
            if function(node.id) is not None:
                raise self.error(f"function {node.id!r} is not called", node)
            raise self.error(f"unknown name {node.id!r}{_nearest(node.id, self.names)}", node)
        made = self.symbols[node.id] = symbol(node.id, self.names[node.id])
        return made

    # What a node is, of what its children are.

    def combine(self, node: Any, values: list[Any]) -> Any:
        match node:
            case ast.Tuple():
                return tuple(values)
            case ast.Slice():
                return slice(*(self.whole(value, node) for value in values))
        try:
            return self.apply(node, values)
        except ParseError:
            raise
        except (ArrayExprError, ArithmeticError, ValueError, IndexError) as error:
            if isinstance(error, ZeroDivisionError):
                raise self.error("a division of constants by zero", node) from None
            where = self.error("", node)
            error.add_note(f"in the expression at line {where.lineno}, column {where.offset}")
            raise

    def apply(self, node: Any, values: list[Any]) -> Any:
        match node:
            case ast.BinOp():
                return self.binary(node, *(self.operand(value, node) for value in values))
            case ast.UnaryOp():
                value = self.operand(values[0], node)
                if not isinstance(value, SymbolicArray) and isinstance(node.op, ast.Invert) and type(value) is not int:
                    raise self.error(f"~ of the constant {value!r}: expected a whole number", node)
                return _UNARY[type(node.op)](value)
            case ast.Compare():
                return self.compare(node, [self.operand(value, node) for value in values])
            case ast.Attribute():
                return getattr(as_symbolic(self.operand(values[0], node), "attribute"), node.attr)
            case ast.Subscript():
                value = self.operand(values[0], node)
                if not isinstance(value, SymbolicArray):
                    raise self.error("a constant has no subscripts", node)
                items = values[1] if isinstance(values[1], tuple) else (values[1],)
                return value[tuple(item if item is Ellipsis else self.index(item, node) for item in items)]
            case ast.Call():
                return self.call(node, values)
        raise AssertionError(type(node))

    def index(self, value: Any, node: ast.AST) -> Any:
        return value if isinstance(value, (slice, SymbolicArray)) else self.whole(value, node)

    def whole(self, value: Any, node: ast.AST) -> int | None:
        if value is None or type(value) is int:
            # Beyond this no axis is long, and nodes hold 64 bits.
            return value if value is None else max(-(1 << 62), min(value, 1 << 62))
        shown = value.type if isinstance(value, SymbolicArray) else repr(value)
        raise self.error(f"a subscript of {shown}: expected whole constants, slices, None and ...", node)

    def binary(self, node: ast.BinOp, left: Any, right: Any) -> Any:
        symbol, compute = _BINARY[type(node.op)]
        if isinstance(left, SymbolicArray) or isinstance(right, SymbolicArray):
            return compute(left, right)
        # Both are Python numbers: what would take long, or make a number that no type holds, is refused.
        if isinstance(left, int) and isinstance(right, int):
            bits = max(left.bit_length(), right.bit_length())
            if symbol == "**" and right > 0 and left not in (-1, 0, 1):
                bits = left.bit_length() * right
            elif symbol == "<<" and right > 0:
                bits = left.bit_length() + right if left else 0
            elif symbol == "*":
                bits = left.bit_length() + right.bit_length()
            if bits > MAX_BITS:
                raise self.error(
                    f"a constant of about {bits:.3g} bits from {symbol}: expected at most {MAX_BITS}", node
                )
        try:
            return compute(left, right)
        except OverflowError:
            raise self.error(f"{symbol} of constants overflows", node) from None
        except ValueError as error:
            raise self.error(f"{symbol} of constants: {error}", node) from None
        except TypeError:
            shown = f"{type(left).__name__} and {type(right).__name__}"
            raise self.error(f"{symbol} of constants of types {shown} is not defined", node) from None

    def compare(self, node: ast.Compare, values: list[Any]) -> Any:
        result: Any = None
        for op, left, right in zip(node.ops, values[:-1], values[1:], strict=True):
            try:
                one = _COMPARE[type(op)](left, right)
            except TypeError as error:
                if isinstance(error, ArrayExprError):
                    raise
                raise self.error("complex constants have no order", node) from None
            if result is None:
                result = one
            elif isinstance(result, bool) and isinstance(one, bool):
                result = result and one
            else:
                result = _logical_and(result, one)
        return result

    def call(self, node: ast.Call, values: list[Any]) -> Any:
        count = len(node.args)
        if isinstance(node.func, ast.Attribute):
            name = node.func.attr
            owner = as_symbolic(self.operand(values[0], node), "method")
            called: Any = getattr(owner, name)
            values = values[1:]
        else:
            assert isinstance(node.func, ast.Name)
            name = node.func.id
            called = function(name)
        for value in values:
            if value is Ellipsis or isinstance(value, slice):
                raise self.error(f"{name} of a subscript: expected operands", node)
        keywords = {str(keyword.arg): value for keyword, value in zip(node.keywords, values[count:], strict=True)}
        if name == "astype" and count:
            keywords["dtype"], count = values[0], 0
        for key in ("dtype", "axis", "axes", "keepdims", "axis1", "axis2", "source", "destination", "decimals"):
            if isinstance(keywords.get(key), SymbolicArray):
                raise self.error(f"argument {key!r} of {name} is an operand: expected a constant", node)
        try:
            result = called(*values[:count], **keywords)
        except TypeError as error:
            if isinstance(error, ArrayExprError):
                raise
            raise self.error(f"{name} does not take these arguments", node) from error
        return result


class _Element(ast.AST):
    """The name of an element type among the arguments of a call."""

    def __init__(self, node: Any) -> None:
        self.name = node.id if isinstance(node, ast.Name) else node.value


_ELEMENTS: Final = frozenset(t.name for t in elements())
# A part of a slice that is not there.
_Missing: Final = ast.Pass()
_logical_and: Final[Any] = function("logical_and")


def _one_of(names: Iterable[str]) -> str:
    return f": expected one of {', '.join(names)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    """What was probably meant, of a long list, or the whole of a short one."""
    names = list(known)
    if not names:
        return ": there are none"
    if len(names) <= 12:
        return _one_of(names)
    import difflib

    near = difflib.get_close_matches(name[:50], names, 3)
    return f": expected one of {', '.join(near)}, ..." if near else ": expected one of NumPy's, as sqrt, where, sum"
