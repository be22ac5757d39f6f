"""Reads element expressions that Cython has typed: its nodes as ours, in the types that C computes them in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from Cython.Compiler import ExprNodes

from arrayexpr._core.nodes import Apply, Cast, Constant, Node, Operand
from arrayexpr._core.ops import is_operator, operator
from arrayexpr._core.types import BOOL, ElementType, element

from .elements import common, element_of, plain, promoted

_INT, _LONG = element("int32"), element("int64")
_FLOAT32, _FLOAT64 = element("float32"), element("float64")

#: The attribute of a conditional expression that is its test: `test` before Cython 3.2.
CONDITION: str = ExprNodes.CondExprNode.subexprs[0]

#: Functions of C's math.h, without the suffix of their type, by the operators that they are.
FUNCTIONS = {
    **{name: name for name in ("exp exp2 expm1 log log2 log10 log1p sin cos tan sinh cosh tanh cbrt sqrt".split())},
    **{name: name for name in ("floor ceil trunc rint copysign hypot nextafter fmin fmax fmod fma".split())},
    **{f"a{name}": f"arc{name}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{"fabs": "absolute", "pow": "power", "atan2": "arctan2"},
}


class Unread(Exception):
    """An element expression has a part that the adapter leaves to Cython; the message says which."""


@dataclass(frozen=True, slots=True)
class Check:
    """An error that a statement raises where its condition holds for an element, before anything is stored."""

    condition: Node
    exception: str
    message: str
    pos: Any


class ElementNode(ExprNodes.AtomicExprNode):  # type: ignore[misc]
    """One element of a memoryview, or a number, in the element expression that Cython types; `operand` is our node."""

    is_temp = False

    def __init__(self, pos: Any, c_type: Any, operand: Operand):
        super().__init__(pos)
        self.type = plain(c_type)
        self.operand = operand

    def analyse_types(self, env: Any) -> ElementNode:
        return self

    def is_simple(self) -> bool:
        return True

    def may_be_none(self) -> bool:
        return False

    def generate_result_code(self, code: Any) -> None:
        pass

    def calculate_result_code(self) -> str:
        return f"arrayexpr_{self.operand.name}"


class Reader:
    """Reads one element expression; `checks` then holds the errors that it may raise, in the order of evaluation."""

    def __init__(self, directives: Any):
        self.directives = directives
        self.checks: list[Check] = []
        self._path: list[Node] = []

    def read(self, node: Any) -> Node:
        """Our node for a typed node of Cython's; raises Unread for what is left to Cython."""
        for kind, method in _METHODS:
            if isinstance(node, kind):
                made: Node = method(self, node)
                return made
        raise Unread(f"{type(node).__name__} in an expression on memoryviews")

    def stored(self, node: Any, to: ElementType) -> Node:
        """The value of an expression as C converts it where it is stored."""
        return _cast(self.read(node), to)

    # -- leaves --

    def _element(self, node: ElementNode) -> Node:
        return node.operand

    def _integer(self, node: Any) -> Node:
        value = int(node.constant_result)
        small = -(1 << 31) <= value < 1 << 31
        if node.unsigned:
            t = element("uint32" if value < 1 << 32 and not node.longness else "uint64")
        else:
            t = _INT if small and not node.longness else _LONG
        if not (t.dtype.type(0).dtype.kind == "u" or -(1 << 63) <= value < 1 << 63):
            raise Unread(f"integer {value}, which is none of C's")
        return Constant(value, t)

    def _real(self, node: Any) -> Node:
        return Constant(float(node.constant_result), _FLOAT64)

    def _truth(self, node: Any) -> Node:
        return Constant(int(bool(node.constant_result)), _INT)

    # -- conversions --

    def _same(self, node: Any) -> Node:
        return self.read(node.arg)

    def _converted(self, node: Any) -> Node:
        return _cast(self.read(node.arg), self._type(node))

    def _typecast(self, node: Any) -> Node:
        if node.typecheck or node.operand is None:
            raise Unread("a checked cast")
        return _cast(self.read(node.operand), self._type(node))

    def _to_boolean(self, node: Any) -> Node:
        return Cast(self._condition(node.arg), _INT)

    # -- operators --

    def _sum(self, node: Any) -> Node:
        if node.overflow_check:
            raise Unread("overflow checks")
        name = {"+": "add", "-": "subtract", "*": "multiply"}[node.operator]
        return self._usual(name, node)

    def _usual(self, name: str, node: Any) -> Node:
        """An operator in the common type of its operands, as C has it."""
        a, b = self.read(node.operand1), self.read(node.operand2)
        t = common(a.type.element, b.type.element)
        return Apply(operator(name), (_cast(a, t), _cast(b, t)))

    def _bits(self, node: Any) -> Node:
        if node.operator in "<>" or node.operator in ("<<", ">>"):
            if node.overflow_check:
                raise Unread("overflow checks")
            a = self.read(node.operand1)
            t = promoted(a.type.element)
            name = "left_shift" if node.operator == "<<" else "right_shift"
            return Apply(operator(name), (_cast(a, t), _cast(self.read(node.operand2), t)))
        return self._usual({"&": "bitwise_and", "|": "bitwise_or", "^": "bitwise_xor"}[node.operator], node)

    def _quotient(self, node: Any) -> Node:
        t = self._type(node)
        if t.kind == "c":
            raise Unread("a quotient of complex numbers")
        if self.directives["cdivision_warnings"]:
            raise Unread("warnings of C divisions")
        a, b = self.read(node.operand1), self.read(node.operand2)
        if node.zerodivision_check:
            self._check_divisor(node, a, b, t)
        if t.kind == "f" and node.operator == "//":
            wide = common(a.type.element, b.type.element)
            # C's floor is of doubles.
            divided = _cast(Apply(operator("true_divide"), (_cast(a, wide), _cast(b, wide))), _FLOAT64)
            return Apply(operator("floor"), (divided,))
        a, b = _cast(a, t), _cast(b, t)
        if t.kind == "f":
            return Apply(operator("true_divide"), (a, b))
        exact = node.truedivision or self._divides_as_c(node, t)
        return Apply(operator("trunc_divide" if exact else "floor_divide"), (a, b))

    def _remainder(self, node: Any) -> Node:
        t = self._type(node)
        as_c = bool(self.directives["cdivision"]) or t.kind == "u"
        if t.kind == "c" or (t.kind == "f" and not as_c) or self.directives["cdivision_warnings"]:
            raise Unread("a remainder of reals with Python's sign")
        a, b = self.read(node.operand1), self.read(node.operand2)
        if node.zerodivision_check:
            self._check_divisor(node, a, b, t, overflows=False)
        return Apply(operator("fmod" if as_c else "remainder"), (_cast(a, t), _cast(b, t)))

    def _divides_as_c(self, node: Any, t: ElementType) -> bool:
        return bool(node.cdivision or self.directives["cdivision"] or t.kind in "uf")

    def _check_divisor(self, node: Any, a: Node, b: Node, t: ElementType, overflows: bool = True) -> None:
        kind = b.type.element
        zero = Apply(operator("equal"), (b, Constant(0, kind)))
        self._check(zero, "PyExc_ZeroDivisionError", node.zero_division_message(), node.pos)
        if overflows and t.kind == "i" and t.bits == 64 and kind.kind == "i":
            lowest = Apply(operator("equal"), (_cast(a, t), Constant(-(1 << 63), t)))
            minus = Apply(operator("equal"), (b, Constant(-1, kind)))
            both = Apply(operator("logical_and"), (lowest, minus))
            self._check(both, "PyExc_OverflowError", "value too large to perform division", node.pos)

    def _check(self, condition: Node, exception: str, message: str, pos: Any) -> None:
        for reached in reversed(self._path):
            condition = Apply(operator("logical_and"), (reached, condition))
        self.checks.append(Check(condition, exception, message, pos))

    def _power(self, node: Any) -> Node:
        t = self._type(node)
        a, b = _cast(self.read(node.operand1), t), _cast(self.read(node.operand2), t)
        if t.kind == "f":
            return Apply(operator("power"), (a, b))
        if t.kind in "iu" and (t.kind == "u" or (isinstance(b, Constant) and b.value >= 0)):
            return Apply(operator("power"), (a, b))
        raise Unread("a power of integers or complex numbers")

    def _unary(self, node: Any) -> Node:
        a = self.read(node.operand)
        a = _cast(a, promoted(a.type.element))
        if node.operator == "+":
            return a
        return Apply(operator("negative" if node.operator == "-" else "invert"), (a,))

    def _not(self, node: Any) -> Node:
        return Apply(operator("logical_not"), (self._condition(node.operand),))

    def _logical(self, node: Any) -> Node:
        a = self._condition(node.operand1)
        also = node.operator == "and"
        # The second is not computed where the first decides.
        self._path.append(a if also else Apply(operator("logical_not"), (a,)))
        b = self._condition(node.operand2)
        self._path.pop()
        return Cast(Apply(operator("logical_and" if also else "logical_or"), (a, b)), _INT)

    def _comparison(self, node: Any) -> Node:
        names = {"==": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal", ">": "greater"}
        name = {**names, ">=": "greater_equal"}.get(node.operator)
        if name is None or node.cascade is not None:
            raise Unread(f"comparison by {node.operator!r}" if name is None else "a chain of comparisons")
        a, b = self.read(node.operand1), self.read(node.operand2)
        t = common(a.type.element, b.type.element)
        if t.kind == "c":
            raise Unread("a comparison of complex numbers")
        return Apply(operator(name), (_cast(a, t), _cast(b, t)))

    def _choice(self, node: Any) -> Node:
        t = self._type(node)
        condition = self._condition(getattr(node, CONDITION))
        self._path.append(condition)
        then = _cast(self.read(node.true_val), t)
        self._path[-1] = Apply(operator("logical_not"), (condition,))
        otherwise = _cast(self.read(node.false_val), t)
        self._path.pop()
        return Apply(operator("where"), (condition, then, otherwise))

    def _condition(self, node: Any) -> Node:
        value = self.read(node)
        return value if value.type.element is BOOL else _cast(value, BOOL)

    def _call(self, node: Any) -> Node:
        name = function_of(getattr(node.function, "entry", None))
        if name is None or node.type.is_pyobject:
            raise Unread("a call of a function that is not of C's math.h")
        op, t = name
        args = [_cast(self.read(arg), t) for arg in node.args]
        return Apply(operator(op), tuple(args))

    def _type(self, node: Any) -> ElementType:
        found = element_of(node.type)
        if found is None:
            raise Unread(f"type {node.type}")
        return found


def _cast(value: Node, to: ElementType) -> Node:
    if value.type.element is to:
        return value
    if isinstance(value, Constant) and value.type.element.kind in "iu":
        if _fits(value.value, to):
            return Constant(value.value, to)
        if to.kind == "f" and to.bits <= 64:
            return Constant(to.dtype.type(value.value).item(), to)
    return Cast(value, to)


def _fits(value: int, t: ElementType) -> bool:
    if t.kind not in "iu":
        return False
    low = -(1 << (t.bits - 1)) if t.kind == "i" else 0
    return low <= value < low + (1 << t.bits)


def function_of(entry: Any) -> tuple[str, ElementType] | None:
    """The operator that an entry is, of a function of C's math.h, and the type that it computes in."""
    if entry is None or not entry.is_cfunction or entry.scope is None:
        return None
    if entry.scope.qualified_name not in ("libc.math", "cython.libc.math"):
        return None
    returned = element_of(entry.type.return_type)
    name = str(entry.cname)
    suffix = {"float32": "f", "longdouble": "l"}.get(returned.name, "") if returned else ""
    if returned is None or returned.kind != "f" or (suffix and not name.endswith(suffix)):
        return None
    op = FUNCTIONS.get(name.removesuffix(suffix))
    known = op is not None and is_operator(op) and len(entry.type.args) == operator(op).arity
    if not known or any(element_of(arg.type) is not returned for arg in entry.type.args):
        return None
    if op == "fma" and returned not in (_FLOAT32, _FLOAT64):
        return None
    return op, returned  # type: ignore[return-value]


_Method = Callable[[Reader, Any], Node]
#: In order: a class stands before those that it is derived from.
_METHODS: tuple[tuple[type[Any], _Method], ...] = (
    (ElementNode, Reader._element),
    (ExprNodes.IntNode, Reader._integer),
    (ExprNodes.FloatNode, Reader._real),
    (ExprNodes.BoolNode, Reader._truth),
    (ExprNodes.CoerceToBooleanNode, Reader._to_boolean),
    (ExprNodes.CoerceToComplexNode, Reader._converted),
    (ExprNodes.CoerceToTempNode, Reader._same),
    (ExprNodes.TypecastNode, Reader._typecast),
    (ExprNodes.ModNode, Reader._remainder),
    (ExprNodes.DivNode, Reader._quotient),
    (ExprNodes.PowNode, Reader._power),
    (ExprNodes.IntBinopNode, Reader._bits),
    (ExprNodes.NumBinopNode, Reader._sum),
    (ExprNodes.NotNode, Reader._not),
    (ExprNodes.BoolBinopNode, Reader._logical),
    (ExprNodes.BoolBinopResultNode, Reader._same),
    (ExprNodes.UnaryMinusNode, Reader._unary),
    (ExprNodes.UnaryPlusNode, Reader._unary),
    (ExprNodes.TildeNode, Reader._unary),
    (ExprNodes.PrimaryCmpNode, Reader._comparison),
    (ExprNodes.CondExprNode, Reader._choice),
    (ExprNodes.SimpleCallNode, Reader._call),
)
