"""Expressions as numexpr's trees have them: nodes that Python's operators build, and the functions.

>>> E.a * 2
OpNode(mul, double, (VariableNode(a, double, ()), ConstantNode(2, int, ())))
"""

from __future__ import annotations

import contextvars
import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np

from .kinds import INTEGERS, KIND_OF_TYPE, RANK, TYPES, common_kind, kind_of_constant

__all__ = ["E"]

default_kind: Final = "double"
type_to_kind = KIND_OF_TYPE
kind_to_type = TYPES
kind_rank = RANK
double = np.double
int_ = np.int32
long_ = np.int64
max_int32: Final = 2**31 - 1
min_int32: Final = -(2**31)
#: What numexpr writes for an axis where all are meant.
ALL_AXES: Final = 255
#: Bits that an integer constant may have on the way to its value.
_MAX_BITS: Final = 4096
#: Up to this power of a constant aggressive optimisation writes products.
_MAX_POWER: Final = 50

#: How far powers and divisions are rewritten as the tree is built: none, moderate or aggressive.
optimization: contextvars.ContextVar[str] = contextvars.ContextVar("optimization", default="none")


def get_optimization() -> str:
    """How far powers and divisions are rewritten where a tree is built now."""
    return optimization.get()


_BOOLEAN: Final = (
    "You can't use Python's standard boolean operators in NumExpr expressions. You should use their bitwise "
    "counterparts instead: '&' instead of 'and', '|' instead of 'or', and '~' instead of 'not'."
)


class Expression:
    """Attributes are variables of the kind double: `E.a`."""

    def __getattr__(self, name: str) -> VariableNode:
        if name.startswith("_"):
            raise AttributeError(name)
        return VariableNode(name, default_kind)


E: Final = Expression()


class RawNode:
    """A number, or an index, that is part of an operation: an axis."""

    astType = "raw"
    astKind = "none"

    def __init__(self, value: Any):
        self.value = value
        self.children: tuple[Any, ...] = ()

    def __repr__(self) -> str:
        return f"RawNode({self.value})"


class ExpressionNode:
    """A value: `astType` says of which class, `astKind` of which kind, `value` which operation, variable or constant.

    Python's operators on one, or on one and a number, make the node of the operation.
    """

    astType = "generic"

    def __init__(self, value: Any = None, kind: str | None = None, children: Any = None):
        self.value = value
        self.astKind = "none" if kind is None else kind
        self.children = () if children is None else tuple(children)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value}, {self.astKind}, {self.children})"

    def get_real(self) -> ExpressionNode:
        if self.astType == "constant":
            return ConstantNode(complex(self.value).real)
        return OpNode("real", (self,), "double")

    real = property(get_real)

    def get_imag(self) -> ExpressionNode:
        if self.astType == "constant":
            return ConstantNode(complex(self.value).imag)
        return OpNode("imag", (self,), "double")

    imag = property(get_imag)

    def __neg__(self) -> ExpressionNode:
        return OpNode("neg", (self,))

    def __invert__(self) -> ExpressionNode:
        return OpNode("invert", (self,))

    def __pos__(self) -> ExpressionNode:
        return self

    def __bool__(self) -> bool:
        raise TypeError(_BOOLEAN)

    # Equality makes a node; identity is what a dictionary of nodes goes by.
    __hash__ = object.__hash__


class LeafNode(ExpressionNode):
    leafNode = True


class VariableNode(LeafNode):
    """An array or scalar by name."""

    astType = "variable"

    def __init__(self, value: Any = None, kind: str | None = None, children: Any = None):
        super().__init__(value, kind)


class ConstantNode(LeafNode):
    """A number or string; its kind follows from its type and value."""

    astType = "constant"

    def __init__(self, value: Any = None, children: Any = None):
        super().__init__(value, kind_of_constant(value))

    def __neg__(self) -> ConstantNode:
        return ConstantNode(-self.value)

    def __invert__(self) -> ConstantNode:
        return ConstantNode(~self.value)


class OpNode(ExpressionNode):
    """An operation, on its children; of their common kind where no other is said."""

    astType = "op"

    def __init__(self, opcode: str | None = None, args: Any = None, kind: str | None = None):
        if kind is None and args is not None:
            kind = common_kind(node.astKind for node in args)
        if kind == "bool":
            opcode = {"mul": "and", "add": "or"}.get(opcode or "", opcode)
        super().__init__(opcode, kind, args)


class FuncNode(OpNode):
    """A function of its children."""

    def __init__(self, opcode: str | None = None, args: Any = None, kind: str | None = None):
        super().__init__(opcode, args, "bool" if opcode in ("isnan", "isfinite", "isinf", "signbit") else kind)


#: Types of constants; numexpr leaves out NumPy's other numbers.
scalar_constant_types: Final = (bool, int, float, complex, bytes, str, np.bool_, np.number)


def isConstant(ex: Any) -> bool:
    return isinstance(ex, scalar_constant_types)


def getKind(x: Any) -> str:
    """The kind of a constant, where a Python float is a `float`, that makes a constant of the kind double.

    >>> getKind(1), getKind(1.5), getKind(np.float64(1.5))
    ('int', 'float', 'double')
    """
    return "float" if type(x) is float else kind_of_constant(x)


def bestConstantType(x: Any) -> Any:
    """The type that stands for a constant's kind."""
    return TYPES[getKind(x)]


def node_of(value: Any) -> ExpressionNode:
    """The node of a value. TypeError for what is neither a node nor a constant."""
    if isinstance(value, ExpressionNode):
        return value
    if isConstant(value):
        return ConstantNode(value)
    raise TypeError(f"unsupported object type: {type(value)}")


def ophelper(f: Callable[..., Any]) -> Callable[..., Any]:
    """`f`, a function of nodes, as one that takes constants too."""

    def of_nodes(*args: Any) -> Any:
        return f(*map(node_of, args))

    of_nodes.__name__, of_nodes.__doc__ = f.__name__, f.__doc__
    return of_nodes


def allConstantNodes(args: Iterable[Any]) -> bool:
    return all(isinstance(node, ConstantNode) for node in args)


def commonKind(nodes: Iterable[Any]) -> str:
    """The kind that nodes of several kinds are brought to."""
    return common_kind(node.astKind for node in nodes)


def folded(name: str, x: Any, y: Any) -> Any:
    """What Python gives for an operation on two constants.

    OverflowError where an integer would have more than 4,096 bits, before it is computed; TypeError for arithmetic
    of strings.
    """
    if isinstance(x, (bytes, str)) or isinstance(y, (bytes, str)):
        if name not in ("eq", "ne", "lt", "le", "gt", "ge"):
            raise TypeError("strings can only be compared")
        if type(x) is not type(y):
            x, y = (v.encode("ascii") if isinstance(v, str) else v for v in (x, y))
    if isinstance(x, int) and isinstance(y, int) and _bits(name, x, y) > _MAX_BITS:
        raise OverflowError("Python int too large to convert to C long")
    return getattr(operator, f"__{name}__")(x, y)


def _bits(name: str, x: int, y: int) -> int:
    """How many bits the value will have, at the most."""
    match name:
        case "pow":
            return x.bit_length() * abs(y) if abs(x) > 1 else 1
        case "lshift":
            return x.bit_length() + max(y, 0)
        case "mul":
            return x.bit_length() + y.bit_length()
    return max(x.bit_length(), y.bit_length()) + 1


def binop(opname: str, reversed: bool = False, kind: str | None = None) -> Callable[..., Any]:
    """A binary operation on nodes, with its operands exchanged where `reversed`."""

    @ophelper
    def operation(x: Any, y: Any) -> ExpressionNode:
        if reversed:
            x, y = y, x
        if allConstantNodes((x, y)):
            return ConstantNode(folded(opname, x.value, y.value))
        return OpNode(opname, (x, y), kind)

    return operation


def _optimizes() -> bool:
    return optimization.get() in ("moderate", "aggressive")


@ophelper
def div_op(x: Any, y: Any) -> ExpressionNode:
    """Division that leaves integers what they are, as in C. No operator builds it."""
    return OpNode("div", (x, y))


@ophelper
def truediv_op(x: Any, y: Any) -> ExpressionNode:
    if allConstantNodes((x, y)):
        return ConstantNode(folded("truediv", x.value, y.value))
    # numexpr multiplies by the reciprocal of a constant, which rounds otherwise; `simplify` does where it does not.
    kind = common_kind((x.astKind, y.astKind))
    return OpNode("div", (x, y), "double" if kind in ("bool", *INTEGERS) else kind)


@ophelper
def rtruediv_op(x: Any, y: Any) -> ExpressionNode:
    quotient: ExpressionNode = truediv_op(y, x)
    return quotient


@ophelper
def pow_op(x: Any, y: Any) -> Any:
    if allConstantNodes((x, y)):
        return ConstantNode(folded("pow", x.value, y.value))
    if not isinstance(y, ConstantNode) or y.astKind == "bytes":
        return OpNode("pow", (x, y))
    power = y.value
    if x.astKind in INTEGERS and y.astKind in INTEGERS and power < 0:
        raise ValueError("Integers to negative integer powers are not allowed.")
    aggressive = optimization.get() == "aggressive"
    if not _optimizes() or power != power or isinstance(power, complex) and aggressive:
        return OpNode("pow", (x, y))
    if aggressive and abs(power) <= _MAX_POWER and 2 * power == int(2 * power):
        return _as_products(x, power)
    match power:
        case -1:
            return OpNode("div", (ConstantNode(1), x))
        case 0:
            return OpNode("ones_like", (x,))
        case 0.5:
            return FuncNode("sqrt", (x,), "double" if x.astKind in INTEGERS else x.astKind)
        case 1:
            return x
        case 2:
            return OpNode("mul", (x, x))
    return OpNode("pow", (x, y))


def _as_products(x: ExpressionNode, power: float) -> ExpressionNode:
    """A whole or half power of at most 50, by squaring: x**5 as x * (x**2)**2."""
    product: ExpressionNode | None = None
    square = x
    whole = int(abs(power))
    while whole:
        if whole & 1:
            product = square if product is None else OpNode("mul", (product, square))
        whole >>= 1
        if whole:
            square = OpNode("mul", (square, square))
    if abs(power) != int(abs(power)):
        root = OpNode("sqrt", (x,), "double" if x.astKind in ("bool", *INTEGERS) else x.astKind)
        product = root if product is None else OpNode("mul", (product, root))
    if product is None:
        product = OpNode("ones_like", (x,))
    if power < 0:
        kind = "double" if product.astKind in ("bool", *INTEGERS) else product.astKind
        product = OpNode("div", (ConstantNode(1), product), kind)
    return product


OPERATORS: Final[dict[str, Callable[..., Any]]] = {
    "add": binop("add"),
    "radd": binop("add"),
    "sub": binop("sub"),
    "rsub": binop("sub", reversed=True),
    "mul": binop("mul"),
    "rmul": binop("mul"),
    "truediv": truediv_op,
    "rtruediv": rtruediv_op,
    "floordiv": binop("floordiv"),
    "rfloordiv": binop("floordiv", reversed=True),
    "mod": binop("mod"),
    "rmod": binop("mod", reversed=True),
    "pow": pow_op,
    "rpow": lambda x, y: pow_op(y, x),
    **{name: binop(name) for name in ("lshift", "rshift", "and", "or", "xor")},
    **{f"r{name}": binop(name, reversed=True) for name in ("lshift", "rshift", "and", "or", "xor")},
    **{name: binop(name, kind="bool") for name in ("gt", "ge", "eq", "ne")},
    "lt": binop("gt", reversed=True, kind="bool"),
    "le": binop("ge", reversed=True, kind="bool"),
}
for _name, _operator in OPERATORS.items():
    setattr(ExpressionNode, f"__{_name}__", _operator)


def func(
    func: Callable[..., Any], minkind: str | None = None, maxkind: str | None = None, *, arity: int | None = None
) -> Callable[..., Any]:
    """NumPy's function, of `arity` arguments where that is said, as one on nodes.

    Its value is of its arguments' kind, held between two kinds; of integers double, but for a few functions.
    """
    name = func.__name__
    wanted = f"{name}() takes {arity} positional argument{'s'[: arity != 1]}"

    def function(*args: Any) -> ExpressionNode:
        if not args:
            raise TypeError(f"{wanted} but 0 were given")
        nodes = [node_of(arg) for arg in args]
        kind = commonKind(nodes)
        if kind == "bytes":
            raise TypeError(f"{name}() takes numbers: got strings")
        # Of another number of variables there is no opcode, which is found when the tree is compiled.
        if allConstantNodes(nodes):
            if arity is not None and len(nodes) != arity:
                raise TypeError(f"{wanted} but {len(nodes)} were given")
            with np.errstate(all="ignore"):
                return ConstantNode(func(*[node.value for node in nodes]))
        if kind in INTEGERS:
            kind = kind if name in ("copy", "ones_like", "round", "sign") else "double"
        elif minkind is not None and RANK.index(kind) < RANK.index(minkind):
            kind = minkind
        elif maxkind is not None and RANK.index(kind) > RANK.index(maxkind):
            kind = maxkind
        return FuncNode(name, nodes, kind)

    function.__name__ = function.__qualname__ = name
    return function


def where_func(*args: Any) -> ExpressionNode:
    if len(args) != 3:
        raise TypeError(f"where() takes 3 positional arguments but {len(args)} were given")
    condition, x, y = map(node_of, args)
    if isinstance(condition, ConstantNode):
        return x if condition.value else y
    return FuncNode("where", (condition, x, y))


@ophelper
def contains_func(x: Any, y: Any) -> ExpressionNode:
    if allConstantNodes((x, y)):
        text, part = (v.encode("ascii") if isinstance(v, str) else v for v in (x.value, y.value))
        return ConstantNode(part in text)
    return FuncNode("contains", (x, y), "bool")


def encode_axis(axis: Any) -> RawNode:
    """The node of an axis, or of several in a tuple, which numexpr has not. ValueError for a negative one."""
    if isinstance(axis, ConstantNode):
        axis = axis.value
    if axis is None:
        return RawNode(ALL_AXES)
    if isinstance(axis, tuple) and len(set(axis)) < len(axis):
        raise ValueError(f"duplicate value in 'axis': {axis[:8]}")
    for each in axis if isinstance(axis, tuple) else (axis,):
        if not isinstance(each, (int, np.integer)) or isinstance(each, bool):
            raise TypeError(f"axis {each!r} is {type(each).__name__}: expected an int")
        if each < 0:
            raise ValueError("negative axis are not supported")
        if each > ALL_AXES - 1:
            raise ValueError("cannot encode axis")
    return RawNode(tuple(axis) if isinstance(axis, tuple) else int(axis))


def gen_reduce_axis_func(name: str) -> Callable[..., Any]:
    def function(a: Any, axis: Any = None, keepdims: Any = False) -> ExpressionNode:
        raw = encode_axis(axis)
        node = node_of(a)
        kind = "long" if node.astKind == "bool" and name in ("sum", "prod") else node.astKind
        keep = keepdims.value if isinstance(keepdims, ConstantNode) else keepdims
        if not isinstance(keep, bool):
            raise TypeError(f"keepdims {keep!r} is {type(keep).__name__}: expected a bool")
        return FuncNode(name, (node, raw, RawNode(True)) if keep else (node, raw), kind)

    function.__name__ = function.__qualname__ = name
    return function


def _functions(names: str, minkind: str, maxkind: str | None = None, arity: int = 1) -> dict[str, Callable[..., Any]]:
    return {name: func(getattr(np, name), minkind, maxkind, arity=arity) for name in names.split()}


functions: Final[dict[str, Callable[..., Any]]] = {
    "copy": func(np.copy, arity=1),
    "ones_like": func(np.ones_like, arity=1),
    **_functions("sqrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh", "float"),
    **_functions("log log1p log10 log2 exp expm1", "float"),
    **_functions("fmod arctan2", "float", arity=2),
    **_functions("hypot nextafter copysign maximum minimum", "double", arity=2),
    "abs": func(np.absolute, "float", arity=1),
    **_functions("ceil floor", "float", "double"),
    **_functions("round trunc sign isnan isfinite isinf signbit", "double"),
    **_functions("real imag", "double", "double"),
    "complex": func(complex, "complex", arity=2),
    "conj": func(np.conjugate, "complex", arity=1),
    "where": where_func,
    "contains": contains_func,
    **{name: gen_reduce_axis_func(name) for name in ("sum", "prod", "min", "max")},
}
