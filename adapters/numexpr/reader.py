"""Text to the tree that numexpr makes of it: parsed by `ast`, every node of it known, none of it run."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from . import expressions, extensions
from .expressions import ConstantNode, ExpressionNode, VariableNode, folded, isConstant
from .kinds import KIND_OF_TYPE

_BINARY: Final[dict[type, str]] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "truediv", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.Pow: "pow", ast.LShift: "lshift", ast.RShift: "rshift", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
}  # fmt: skip
_COMPARED: Final[dict[type, str]] = {
    ast.Lt: "lt", ast.LtE: "le", ast.Eq: "eq", ast.NotEq: "ne", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip
#: Subscripts of one array: NumPy's bound of axes and new ones.
_MAX_INDICES: Final = 64
_COMMUTATIVE: Final = ("add", "mul", "eq", "ne")
_UNARY: Final[dict[type, Callable[[Any], Any]]] = {
    ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Invert: operator.invert, ast.Not: operator.not_,
}  # fmt: skip


def read(text: str, types: Mapping[str, Any], context: Mapping[str, Any], sanitize: bool = True) -> ExpressionNode:
    """The tree of an expression, or of statements `name = value` before one; variables are of their types in `types`.

    Raises SyntaxError for what is no expression, ValueError for what no expression here may hold (with `sanitize` off
    SyntaxError), TypeError for what does not fit, OverflowError for integer constants of thousands of bits.

    >>> read("2*a + b", {"a": float}, {}).children[0]
    OpNode(mul, float, (VariableNode(a, float, ()), ConstantNode(2, int, ())))
    >>> read("s = a*a; s + s", {}, {}).children[0] is read("1", {}, {})
    False
    >>> read("(1).__class__", {}, {})
    Traceback (most recent call last):
    ValueError: Expression (1).__class__ has forbidden control characters.
    """
    reader = _Reader(text, types, sanitize)
    token = expressions.optimization.set(context.get("optimization", "none"))
    try:
        value = reader.value(_parsed(text))
    finally:
        expressions.optimization.reset(token)
    if isConstant(value):
        return ConstantNode(value)
    if not isinstance(value, ExpressionNode):
        raise TypeError(f"unsupported expression type: {type(value)}")
    return value


def names_in(text: str) -> list[str]:
    """The variables that a text reads, sorted, whatever is made of them; a name that is called is none.

    >>> names_in("x = sin(a); x + where(b, x, 1)")
    ['a', 'b']
    """
    read_: set[str] = set()
    assigned: set[str] = set()
    for statement in _parsed(text):
        called = {id(node.func) for node in ast.walk(statement) if isinstance(node, ast.Call)}
        names = [node for node in ast.walk(statement) if isinstance(node, ast.Name) and id(node) not in called]
        read_.update(node.id for node in names if isinstance(node.ctx, ast.Load) and node.id not in assigned)
        assigned.update(node.id for node in names if isinstance(node.ctx, ast.Store))
    return sorted(read_)


def _parsed(text: str) -> list[ast.stmt]:
    """Statements, the last of which is an expression."""
    try:
        try:
            return [ast.Expr(ast.parse(text, "<expr>", "eval").body)]
        except SyntaxError as error:
            try:
                statements = ast.parse(text.strip(), "<expr>", "exec").body
            except SyntaxError:
                raise error from None
    except (RecursionError, MemoryError):
        raise SyntaxError("the expression is nested too deeply for Python's parser") from None
    if not statements or isinstance(statements[-1], ast.Assign):
        raise SyntaxError("invalid syntax: the expression has no value")
    return statements


class _Reader:
    def __init__(self, text: str, types: Mapping[str, Any], sanitize: bool):
        self.text = text
        self.types = types
        self.sanitize = sanitize
        self.names: dict[str, Any] = {}
        self.values: dict[ast.AST, Any] = {}

    def value(self, statements: list[ast.stmt]) -> Any:
        for statement in statements[:-1]:
            match statement:
                case ast.Assign([ast.Name(name)], expression):
                    self._known(name)
                    self.names[name] = self.of(expression)
                case _:
                    raise self.forbidden()
        match statements[-1]:
            case ast.Expr(expression):
                return self.of(expression)
        raise self.forbidden()

    def forbidden(self) -> Exception:
        # What numexpr says of text that it does not let Python see; without that check Python's compiler refuses it.
        kind = ValueError if self.sanitize else SyntaxError
        return kind(f"Expression {self.text} has forbidden control characters.")

    def of(self, root: ast.expr) -> Any:
        """The value of a syntax tree: without recursion, since sums may be thousands of terms deep."""
        stack: list[tuple[ast.AST, bool]] = [(root, False)]
        while stack:
            at, seen = stack.pop()
            if seen:
                self.values[at] = self.made(at)
            else:
                stack.append((at, True))
                stack.extend((child, False) for child in reversed(self.parts(at)))
        return self.values[root]

    def parts(self, at: ast.AST) -> list[ast.expr]:
        """What is to be read before `at`."""
        match at:
            case ast.Constant() | ast.Name():
                return []
            case ast.UnaryOp(_, operand):
                return [operand]
            case ast.BinOp(left, _, right):
                return [left, right]
            case ast.BoolOp(_, values):
                return list(values)
            case ast.Compare(left, _, comparators):
                return [left, *comparators]
            case ast.IfExp(test, body, orelse):
                return [test, body, orelse]
            case ast.Call(_, args, keywords):
                if any(isinstance(arg, ast.Starred) for arg in args) or any(k.arg is None for k in keywords):
                    raise self.forbidden()
                return [*args, *(k.value for k in keywords)]
            case ast.Subscript(ast.Call(ast.Name(name))) if not self.function(name):
                raise self.forbidden()
            case ast.Attribute(value, "real" | "imag") | ast.Subscript(value):
                return [value]
            case ast.Tuple(elements):
                return list(elements)
        raise self.forbidden()

    def made(self, at: ast.AST) -> Any:
        values = self.values
        match at:
            case ast.Constant(value):
                if value is Ellipsis:
                    raise self.forbidden()
                return value
            case ast.Name(name):
                return self.variable(name)
            case ast.UnaryOp(op, operand):
                return self.unary(op, values[operand])
            case ast.BinOp(left, op, right):
                if type(op) not in _BINARY:
                    raise TypeError("unsupported operand type(s) for @: expressions are element by element")
                return self.binary(_BINARY[type(op)], values[left], values[right])
            case ast.BoolOp(op, operands):
                return self.chosen(isinstance(op, ast.And), [values[operand] for operand in operands])
            case ast.Compare(left, ops, comparators):
                return self.compared([values[left], *(values[c] for c in comparators)], ops)
            case ast.IfExp(test, body, orelse):
                return values[body] if values[test] else values[orelse]
            case ast.Call(function, args, keywords):
                return self.called(function, [values[a] for a in args], {str(k.arg): values[k.value] for k in keywords})
            case ast.Attribute(value, name):
                return getattr(self._number(values[value]), name)
            case ast.Subscript(value, index):
                if not isinstance(values[value], ExpressionNode):
                    raise self.forbidden()
                return extensions.subscript(values[value], self.index(index))
            case ast.Tuple(elements):
                return tuple(values[element] for element in elements)
        raise self.forbidden()

    def _known(self, name: str) -> None:
        if name.startswith("__") and name.endswith("__"):
            raise self.forbidden()

    def variable(self, name: str) -> Any:
        self._known(name)
        if name not in self.names:
            type_ = self.types.get(name)
            self.names[name] = VariableNode(name, expressions.default_kind if type_ is None else KIND_OF_TYPE[type_])
        return self.names[name]

    @staticmethod
    def _number(value: Any) -> Any:
        if not isinstance(value, ExpressionNode) and not isConstant(value):
            raise TypeError(f"unsupported object type: {type(value)}")
        return value

    def unary(self, op: ast.unaryop, value: Any) -> Any:
        if isinstance(value, (str, bytes)):
            raise TypeError("strings can only be compared")
        return _UNARY[type(op)](self._number(value))

    def binary(self, name: str, left: Any, right: Any) -> Any:
        left, right = self._number(left), self._number(right)
        if name in _COMMUTATIVE and isinstance(right, ExpressionNode) and not isinstance(left, ExpressionNode):
            # Python asks the node, which has one method for either side.
            left, right = right, left
        if isinstance(left, ExpressionNode) or isinstance(right, ExpressionNode):
            return expressions.OPERATORS[name](left, right)
        return folded(name, left, right)

    def chosen(self, all_: bool, operands: list[Any]) -> Any:
        """Python's `and` and `or`, of constants alone: a node has no truth."""
        value = self._number(operands[0])
        for operand in operands[1:]:
            value = self._number(operand) if bool(value) is all_ else value
        return value

    def compared(self, values: list[Any], ops: list[ast.cmpop]) -> Any:
        result: Any = True
        for k, op in enumerate(ops):
            if type(op) not in _COMPARED:
                raise TypeError("unsupported comparison: expected one of <, <=, ==, !=, >=, >")
            if k and not result:
                return result
            result = self.binary(_COMPARED[type(op)], values[k], values[k + 1])
        return result

    @staticmethod
    def function(name: str) -> Callable[..., Any] | None:
        return expressions.functions.get(name) or extensions.function(name)

    def called(self, function: ast.expr, args: list[Any], keywords: dict[str, Any]) -> Any:
        if not isinstance(function, ast.Name):
            raise self.forbidden()
        self._known(function.id)
        known = self.function(function.id)
        if known is None:
            raise TypeError(f"'VariableNode' object is not callable: {function.id} is no function here")
        return known(*args, **keywords)

    def index(self, at: ast.expr) -> Any:
        """A subscript of constants: ints, slices of them, None, ..., and tuples of those."""
        match at:
            case ast.Tuple(elements):
                if len(elements) > _MAX_INDICES:
                    raise IndexError(f"too many indices: {len(elements)}")
                found = tuple(self.index(element) for element in elements)
                if found.count(Ellipsis) > 1:
                    raise IndexError("an index can only have a single ellipsis ('...')")
                return found
            case ast.Slice(lower, upper, step):
                made = slice(*(None if part is None else self.index(part) for part in (lower, upper, step)))
                if made.step == 0:
                    raise ValueError("slice step cannot be zero")
                return made
            case ast.Constant(value) if value is None or value is Ellipsis or type(value) is int:
                return value
            case ast.UnaryOp(ast.USub(), ast.Constant(value)) if type(value) is int:
                return -value
        raise self.forbidden()
