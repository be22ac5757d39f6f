"""The pass `simplify`, and the rules it applies.

Most laws stand in the table of operators, and the rules read them there; so an operator that a third party
registers is simplified by its row. Third parties add rules of their own to `RULES`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np

from ..infer import kind_of
from ..nodes import Apply, Cast, Constant, Node, Reduce, Slice, View, constant_of
from ..ops import Operator, operator
from ..program import Program
from ..rewrite import Log, Rewriter, Rule, RuleSet, rule
from ..types import ElementType
from ..windows import composed, is_full

#: The rules of `simplify`, in the order they are tried.
RULES: Final = RuleSet()


def simplify(
    program: Program, *, contract: str = "exact", rules: Iterable[Rule] | None = None, log: Log | None = None
) -> Program:
    """Fold constants and apply the laws of the operators, strength reduction and stability rewrites.

        r[...] = (x + 1) + 2 - (-y)          ->   r[...] = x + 3 + y
        r[...] = log(1 + exp(z)) / 4.0       ->   r[...] = logaddexp(0.0, z) * 0.25     (fast)

    Keeps every value: bit for bit under `exact` (vector math within 4 ulp), up to rounding under `fast`;
    and all effects. `rules` are used in place of `RULES`; `log` takes the rewrites.

    Requires: nothing.
    """
    rewriter: Rewriter
    if rules is not None:
        rewriter = Rewriter(rules, contract=contract)
    elif contract == "fast" and any(0 in layout.shape for layout in program.layouts.values()):
        # A maximum of no elements is an error where their sum is not.
        rewriter = Rewriter([each for each in RULES if each.name != "log_sum_exp"], contract=contract)
    else:
        rewriter = RULES.rewriter(contract)
    result: Program = rewriter(program, log)
    return result


# -- Constants ----------------------------------------------------------------------------------


def _value(node: Node) -> Any:
    """A Constant's value as an array of one element."""
    return np.frombuffer(node.key, node.type.element.dtype)


def _folded(array: Any, element: ElementType) -> Node | None:
    array = np.asarray(array)
    if array.dtype != element.dtype or array.size != 1:
        return None
    return constant_of(array.tobytes(), element)


@rule(Apply, among="constants", keeps=True, rules=RULES)
def fold(node: Apply) -> Node | None:
    """2 + 3 -> 5, by the row's own NumPy meaning; nothing where that raises."""
    op = node.op
    values = [_value(arg) for arg in node.args]
    try:
        with np.errstate(all="ignore"):
            result = op.numpy(*values)
    except (ArithmeticError, ValueError, TypeError):
        return None
    two = len(values) == 2 and node.args[0] is not node.args[1]
    if two and op.idempotent.holds("f") and not any(value[0] for value in values):
        # Of zeros with different signs NumPy's loops choose now one and now the other.
        return None
    return _folded(result, node.type.element)


@rule(Cast, among="constants", keeps=True, rules=RULES)
def fold_cast(node: Cast) -> Node | None:
    """cast(2, float64) -> 2.0; not where C leaves the result open, or a part would be lost."""
    value, element = _value(node.arg), node.type.element
    kind = node.arg.type.element.kind
    if kind == "c" and element.kind not in "cb":
        return None
    if kind in "fc" and element.kind in "iu":
        whole = int(value[0]) if math.isfinite(value[0]) else None
        limits = np.iinfo(element.dtype)
        if whole is None or not limits.min <= whole <= limits.max:
            return None
    with np.errstate(all="ignore"):
        return _folded(value.astype(element.dtype), element)


def _constant(value: Any, element: ElementType) -> Node | None:
    """The Constant of a number that is one of the element type, or None."""
    try:
        exact = float(value) if element.kind == "f" else bool(value) if element.kind == "b" else value
        return Constant(exact, element)
    except (TypeError, ValueError):
        return None


# -- The laws in the table ----------------------------------------------------------------------


def _has(law: str, contract: str, op: Operator, kind: str) -> bool:
    """Whether a row has a law for a kind, under this contract and no better one."""
    return kind in getattr(getattr(op, law), contract)


@lru_cache(maxsize=1024)
def _elements(which: str, contract: str, op: Operator, element: ElementType) -> tuple[tuple[Node, bool], ...]:
    """A row's units or zeros as Constants, with whether they hold from the left as well."""
    found = []
    for each in getattr(op, which):
        if element.kind in getattr(each.law, contract):
            value = int(each.value) if element.kind in "iuc" else each.value
            known = _constant(value, element)
            if known is not None:
                found.append((known, each.left))
    return tuple(found)


def _has_element(which: str, contract: str, op: Operator, kind: str) -> bool:
    return op.arity == 2 and any(kind in getattr(each.law, contract) for each in getattr(op, which))


def _add_laws(contract: str) -> None:
    """The rules that read the table, for the laws that hold under a contract."""
    prefix = "" if contract == "exact" else "fast_"

    @rule(
        Apply, among=Constant, keeps=True, applies=partial(_has_element, "units", contract), contract=contract,
        name=prefix + "unit", rules=RULES,
    )  # fmt: skip
    def unit(node: Apply) -> Node | None:
        """x * 1 -> x"""
        a, b = node.args
        for each, left in _elements("units", contract, node.op, a.type.element):
            if b is each:
                return a
            if a is each and left:
                return b
        return None

    @rule(
        Apply, among=Constant, applies=partial(_has_element, "zeros", contract), contract=contract,
        name=prefix + "zero", rules=RULES,
    )  # fmt: skip
    def zero(node: Apply) -> Node | None:
        """x & 0 -> 0"""
        a, b = node.args
        for each, left in _elements("zeros", contract, node.op, a.type.element):
            if b is each or (a is each and left):
                return each
        return None

    @rule(
        Apply, among="repeated", applies=lambda op, kind: op.arity == 2 and _has("idempotent", contract, op, kind),
        contract=contract, name=prefix + "idempotent", rules=RULES,
    )  # fmt: skip
    def idempotent(node: Apply) -> Node | None:
        """minimum(x, x) -> x"""
        x = node.args[0]
        return x if x.type.element is node.type.element else None

    @rule(
        Apply, among="root", keeps=True,
        applies=lambda op, kind: op.arity == 1 and _has("idempotent", contract, op, kind), contract=contract,
        name=prefix + "idempotent_twice", rules=RULES,
    )  # fmt: skip
    def idempotent_twice(node: Apply) -> Node | None:
        """floor(floor(x)) -> floor(x)"""
        x = node.args[0]
        return x if isinstance(x, Apply) and x.op is node.op and x.type.element is node.type.element else None

    @rule(
        Apply, among="root", keeps=True,
        applies=lambda op, kind: op.arity == 1 and _has("involution", contract, op, kind), contract=contract,
        name=prefix + "involution", rules=RULES,
    )  # fmt: skip
    def involution(node: Apply) -> Node | None:
        """-(-x) -> x"""
        inner = node.args[0]
        if isinstance(inner, Apply) and inner.op is node.op:
            x = inner.args[0]
            # `not (not x)` is x only where x is a bool to begin with.
            return x if x.type.element is node.type.element else None
        return None

    @rule(
        Apply, among=(Constant, "root"), keeps=True,
        applies=lambda op, kind: op.arity == 2 and _has("associates", contract, op, kind),
        contract=contract, name=prefix + "associate", rules=RULES,
    )  # fmt: skip
    def associate(node: Apply) -> Node | None:
        """(x + 1) + 2 -> x + 3"""
        op = node.op
        a, b = node.args
        commutes = op.commutes.holds(kind_of(node), contract == "fast")
        if isinstance(b, Constant) and isinstance(a, Apply) and a.op is op:
            x, c = a.args
            if isinstance(c, Constant):
                # Three constants are for `fold`, which leaves some alone.
                return None if isinstance(x, Constant) else Apply(op, (x, Apply(op, (c, b))))
            if isinstance(x, Constant) and commutes:
                return Apply(op, (c, Apply(op, (x, b))))
        if isinstance(a, Constant) and isinstance(b, Apply) and b.op is op:
            c, x = b.args
            if isinstance(c, Constant):
                return None if isinstance(x, Constant) else Apply(op, (Apply(op, (a, c)), x))
            if isinstance(x, Constant) and commutes:
                return Apply(op, (Apply(op, (a, x)), c))
        return None

    @rule(
        Apply, among="root", keeps=True,
        applies=lambda op, kind: (
            op.arity == 2 and _has("associates", contract, op, kind) and op.commutes.holds(kind, contract == "fast")
        ),
        contract=contract, name=prefix + "gather_constants", rules=RULES,
    )  # fmt: skip
    def gather_constants(node: Apply) -> Node | None:
        """(x + 1) + (y + 2) -> (x + y) + 3"""
        op = node.op
        a, b = node.args
        if not (isinstance(a, Apply) and isinstance(b, Apply) and a.op is op and b.op is op):
            return None
        x, c = _split(a)
        y, d = _split(b)
        if c is None or d is None:
            return None
        return Apply(op, (Apply(op, (x, y)), Apply(op, (c, d))))


def _split(node: Node) -> tuple[Node, Node | None]:
    """The operands of an Apply of two, the Constant last; None where neither is one."""
    a, b = node.args
    if isinstance(b, Constant):
        return a, b
    return (b, a) if isinstance(a, Constant) else (a, None)


# -- Casts --------------------------------------------------------------------------------------

# Bits of the mantissa, by the kind and bits of a type's parts.
_MANTISSA: Final = {16: 11, 32: 24, 64: 53, 80: 64}


def _part_bits(t: ElementType) -> int:
    return t.bits // 2 if t.kind == "c" else t.bits


def holds_all(inner: ElementType, outer: ElementType) -> bool:
    """Whether every value of `inner` is one of `outer`, so that a cast there loses nothing.

    >>> from arrayexpr._core.types import element
    >>> holds_all(element("int32"), element("float64")), holds_all(element("int64"), element("float64"))
    (True, False)
    """
    if inner is outer or inner.kind == "b":
        return outer.kind != "V"
    match inner.kind + outer.kind:
        case "ii" | "uu":
            return outer.bits >= inner.bits
        case "ui":
            return outer.bits > inner.bits
        case "if" | "uf" | "ic" | "uc":
            # The magnitudes of signed integers need a bit less; the lowest is a power of two.
            mantissa = _MANTISSA.get(_part_bits(outer), 0)
            # float16 ends at 65504: a mantissa of 11 bits is the tighter limit but for uint16 and wider.
            return inner.bits - (inner.kind == "i") <= mantissa
        case "ff" | "fc" | "cc":
            return _part_bits(outer) >= _part_bits(inner)
    return False


@rule(Cast, keeps=True, rules=RULES)
def cast_to_own_type(node: Cast) -> Node | None:
    """cast(x, float64) -> x, for x of float64"""
    return node.arg if node.arg.type.element is node.type.element else None


@rule(Cast, among=Cast, keeps=True, rules=RULES)
def cast_twice(node: Cast) -> Node | None:
    """cast(cast(x, float64), float32) -> cast(x, float32), for x of int16"""
    inner: Any = node.arg
    first, between, last = inner.arg.type.element, inner.type.element, node.type.element
    if "V" in (first.kind, last.kind):
        return None
    if first.kind in "iu" and between.kind in "iu" and last.kind in "iu" and last.bits <= between.bits:
        # Both only cut off bits.
        return Cast(inner.arg, last)
    if not holds_all(first, between):
        return None
    # From reals to integers, what is out of range depends on the width of the real.
    if between.kind in "fc" and last.kind in "iu" and not holds_all(first, last):
        return None
    # A complex number's other part is dropped with a warning: that is left as it was written.
    if first.kind == "c" and last.kind not in "c":
        return None
    return Cast(inner.arg, last)


# -- Views --------------------------------------------------------------------------------------


@rule(View, keeps=True, rules=RULES)
def whole_view(node: View) -> Node | None:
    """x[:, :] -> x"""
    if node.order is not None:
        return node.arg if node.order == tuple(range(len(node.order))) else None
    whole = all(isinstance(item, Slice) and is_full(item) for item in node.subscripts)
    return node.arg if whole else None


@rule(View, among=View, keeps=True, rules=RULES)
def view_of_view(node: View) -> Node | None:
    """x.transpose(1, 0).transpose(1, 0) -> x.transpose(0, 1), and x[1:][2:] -> x[3:]"""
    inner: Any = node.arg
    if node.order is not None and inner.order is not None:
        return View(inner.arg, order=tuple(inner.order[k] for k in node.order))
    if node.subscripts is None or inner.subscripts is None or len(node.args) > 1 or len(inner.args) > 1:
        return None
    outer = iter(node.subscripts)
    items: list[Any] = []
    for item in inner.subscripts:
        if isinstance(item, int):
            items.append(item)
            continue
        # New axes of the outer view come before the axis that its next subscript takes.
        over = next(outer)
        while over is None:
            items.append(None)
            over = next(outer)
        if item is None:
            if isinstance(over, int) and over in (0, -1):
                continue
            if not (isinstance(over, Slice) and is_full(over)):
                return None
            items.append(None)
        else:
            both = composed(item, over)
            if both is None:
                return None
            items.append(both)
    items.extend(outer)
    return View(inner.arg, subscripts=tuple(items))


@rule(View, keeps=False, rules=RULES)
def new_axes_of_scalar(node: View) -> Node | None:
    """y + s[None, None] -> y + s, for y of rank 2: a scalar broadcasts by itself"""
    return node.arg if node.arg.type.rank == 0 else None


@rule(View, among=Apply, unshared=True, rules=RULES)
def transposed_apply(node: View) -> Node | None:
    """(x + y).transpose(1, 0) -> x.transpose(1, 0) + y.transpose(1, 0)

    Only operands remain transposed, and that costs nothing. Operands of rank 0 stay as they are.
    """
    if node.order is None:
        return None
    inner: Any = node.arg
    rank = node.type.rank
    if any(arg.type.rank not in (0, rank) for arg in inner.args):
        return None
    return Apply(inner.op, tuple(View(arg, order=node.order) if arg.type.rank else arg for arg in inner.args))


@rule(View, among=Cast, unshared=True, rules=RULES)
def transposed_cast(node: View) -> Node | None:
    """cast(x, float32).transpose(1, 0) -> cast(x.transpose(1, 0), float32)"""
    inner: Any = node.arg
    return None if node.order is None else Cast(View(inner.arg, order=node.order), node.type.element)


# -- Reductions ---------------------------------------------------------------------------------


@rule(Reduce, keeps=True, rules=RULES)
def reduce_over_nothing(node: Reduce) -> Node | None:
    """reduce(add, x, ()) -> x"""
    same = node.op.arity == 2 and node.type.element is node.arg.type.element
    return node.arg if not node.axes and same else None


@rule(Reduce, among=Reduce, rules=RULES)
def reduce_twice(node: Reduce) -> Node | None:
    """reduce(add, reduce(add, x, (0,)), (0,)) -> reduce(add, x, (0, 1)), of integers, which wrap"""
    inner: Any = node.arg
    op = node.op
    if inner.op is not op or op.arity != 2 or node.keepdims or inner.keepdims:
        return None
    if node.type.element is not inner.arg.type.element:
        return None
    kind = inner.arg.type.element.kind
    if not (op.associates.holds(kind) and op.commutes.holds(kind)):
        return None
    left = [k for k in range(inner.arg.type.rank) if k not in inner.axes]
    return Reduce(op, inner.arg, tuple(sorted(inner.axes + tuple(left[k] for k in node.axes))))


# -- Strength reduction -------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _reciprocal_of(divisor: Node, exact: bool) -> Node | None:
    """1 / c as a Constant, where it is a normal number, and (for `exact`) c a power of two."""
    element = divisor.type.element
    value = _value(divisor)
    if not np.isfinite(value[0]) or value[0] == 0 or (exact and abs(np.frexp(value)[0][0]) != 0.5):
        return None
    with np.errstate(all="ignore"):
        result = (1 / value).astype(element.dtype)
    # What is below the normal numbers may be flushed to zero, and has lost bits.
    if not np.isfinite(result[0]) or abs(result[0]) < np.finfo(element.dtype).tiny:
        return None
    return constant_of(result.tobytes(), element)


def _add_division(contract: str, name: str) -> None:
    times = operator("multiply")

    @rule("true_divide", kinds="f", among=Constant, keeps=True, contract=contract, cost=-7.0, name=name, rules=RULES)
    def divide_by_constant(node: Apply) -> Node | None:
        """x / 4.0 -> x * 0.25; under fast x / 3.0 -> x * 0.3333333333333333 as well"""
        x, c = node.args
        if not isinstance(c, Constant):
            return None
        reciprocal = _reciprocal_of(c, contract == "exact")
        return None if reciprocal is None else Apply(times, (x, reciprocal))


def _power_of_two(node: Any) -> int | None:
    """The exponent where a Constant is a power of two."""
    if not isinstance(node, Constant) or node.value < 1 or node.value & (node.value - 1):
        return None
    return int(node.value).bit_length() - 1


def _add_shifts(roots: tuple[str, str], kinds: str, name: str) -> None:
    shift, mask = operator("right_shift"), operator("bitwise_and")

    @rule(roots[0], kinds=kinds, among=Constant, keeps=True, cost=-19.0, name=name + "_to_shift", rules=RULES)
    def divide_to_shift(node: Apply) -> Node | None:
        """n // 8 -> n >> 3: shifting right rounds down, as floor division does"""
        n, c = node.args
        k = _power_of_two(c)
        return None if k is None else Apply(shift, (n, Constant(k, c.type)))

    @rule(roots[1], kinds=kinds, among=Constant, keeps=True, cost=-19.0, name=name + "_to_mask", rules=RULES)
    def remainder_to_mask(node: Apply) -> Node | None:
        """n % 8 -> n & 7: the remainder takes the divisor's sign"""
        n, c = node.args
        k = _power_of_two(c)
        return None if k is None else Apply(mask, (n, Constant((1 << k) - 1, c.type)))


# -- Stability ----------------------------------------------------------------------------------


def _add_log_sum_exp() -> None:
    log, exp, subtract, add = map(operator, ("log", "exp", "subtract", "add"))
    maximum, where, isfinite = map(operator, ("maximum", "where", "isfinite"))

    def is_shifted(x: Node, axes: tuple[int, ...]) -> bool:
        """Whether x is already less its maximum."""
        if not (isinstance(x, Apply) and x.op is subtract):
            return False
        by = x.args[1]
        if isinstance(by, Apply) and by.op is where:
            by = by.args[1]
        return isinstance(by, Reduce) and by.op is maximum and by.axes == axes

    @rule("log", kinds="f", among=Reduce, contract="fast", cost=5.0, rules=RULES)
    def log_sum_exp(node: Apply) -> Node | None:
        """log(sum(exp(x))) -> log(sum(exp(x - m))) + m, with m = max(x), or 0 where that is not finite

        No exponential overflows, and not all underflow.
        """
        total: Any = node.args[0]
        if total.op is not add or not isinstance(total.arg, Apply) or total.arg.op is not exp or not total.axes:
            return None
        x, axes = total.arg.args[0], total.axes
        if is_shifted(x, axes):
            return None
        most = Reduce(maximum, x, axes, True)
        shift: Node = Apply(where, (Apply(isfinite, (most,)), most, Constant(0.0, x.type.element)))
        sums = Reduce(add, Apply(exp, (Apply(subtract, (x, shift)),)), axes, total.keepdims)
        if not total.keepdims:
            shift = View(shift, subscripts=tuple(0 if k in axes else Slice() for k in range(x.type.rank)))
        return Apply(add, (Apply(log, (sums,)), shift))


# -- The table of patterns ----------------------------------------------------------------------


def _kind_in(kinds: str) -> Callable[..., bool]:
    return lambda x, **_: x.type.element.kind in kinds


def _same_type(x: Node, y: Node, **_: Node) -> bool:
    return x.type.element is y.type.element


def _is_bool(c: Node, **_: Node) -> bool:
    return bool(c.type.element.kind == "b")


_E: Final = "exp(-absolute(x))"

# A rule takes some 9 us to read, and few of all are tried on one program: reading all took 1 of the 11 ms that a
# first result takes beyond NumPy's.
_later: Final = partial(Rule, late=True)

_PATTERNS: Final = (
    # Signs. Of reals too: a sum's or product's magnitude does not see them.
    _later("subtract_negative", "x - (-y)", "x + y"),
    _later("add_negative", "x + (-y)", "x - y"),
    _later("negative_difference", "-(x - y)", "y - x", kinds="iu"),
    _later("negative_times_negative", "(-x) * (-y)", "x * y", kinds="iuf"),
    _later("negative_over_negative", "(-x) / (-y)", "x / y", kinds="f"),
    _later("times_minus_one", "x * -1", "-x", kinds="if"),
    _later("over_minus_one", "x / -1", "-x", kinds="f"),
    _later("negative_times_constant", "(-x) * C", "x * (-C)", kinds="if"),
    _later("negative_over_constant", "(-x) / C", "x / (-C)", kinds="f"),
    _later("constant_over_negative", "C / (-x)", "(-C) / x", kinds="f"),
    _later("square_of_negative", "square(-x)", "square(x)"),
    _later("absolute_of_negative", "absolute(-x)", "absolute(x)", kinds="ifc"),
    _later("absolute_of_square", "absolute(square(x))", "square(x)", kinds="f"),
    _later("absolute_of_unsigned", "absolute(x)", "x", kinds="u"),
    _later("cos_of_negative", "cos(-x)", "cos(x)", kinds="f"),
    _later("cosh_of_negative", "cosh(-x)", "cosh(x)", kinds="f"),
    _later("real_of_conjugate", "real(conjugate(x))", "real(x)", kinds="c"),
    _later("imag_of_conjugate", "imag(conjugate(x))", "-imag(x)", kinds="c"),
    _later("absolute_of_conjugate", "absolute(conjugate(x))", "absolute(x)", kinds="c"),
    # Integers, which wrap.
    _later("subtract_self", "x - x", "0", kinds="iu"),
    _later("xor_self", "x ^ x", "0", kinds="iu"),
    _later("xor_self_bool", "x ^ x", "False", kinds="b"),
    _later("and_inverse", "x & ~x", "0", kinds="iu"),
    _later("or_inverse", "x | ~x", "-1", kinds="i"),
    _later("and_all", "x & -1", "x", kinds="i"),
    _later("and_true", "x & True", "x", kinds="b"),
    # Powers: the function itself is within 4 ulp, and so are these.
    _later("power_0", "x ** 0", "1", kinds="iuf"),
    _later("power_2", "x ** 2", "square(x)", kinds="iuf"),
    _later("power_3", "x ** 3", "square(x) * x", kinds="iuf"),
    _later("power_4", "x ** 4", "square(square(x))", kinds="iuf"),
    _later("power_minus_1", "x ** -1", "reciprocal(x)", kinds="f"),
    _later("power_2_complex", "x ** 2", "square(x)", kinds="c", contract="fast"),
    _later("power_half", "x ** 0.5", "sqrt(x)", kinds="f", contract="fast"),
    _later("power_minus_half", "x ** -0.5", "reciprocal(sqrt(x))", kinds="f", contract="fast"),
    # Comparisons: of reals only where NaN does not tell them apart.
    _later("equal_self", "x == x", "True", kinds="biu"),
    _later("less_equal_self", "x <= x", "True", kinds="biu"),
    _later("greater_equal_self", "x >= x", "True", kinds="biu"),
    _later("not_equal_self", "x != x", "False", kinds="biu"),
    _later("less_self", "x < x", "False"),
    _later("greater_self", "x > x", "False"),
    _later("equal_true", "x == True", "x", kinds="b"),
    _later("equal_false", "x == False", "not x", kinds="b"),
    _later("not_equal_false", "x != False", "x", kinds="b"),
    _later("not_equal_true", "x != True", "not x", kinds="b"),
    _later("not_equal", "not (x == y)", "x != y"),
    _later("not_not_equal", "not (x != y)", "x == y"),
    _later("not_less", "not (x < y)", "x >= y", when=_kind_in("biu")),
    _later("not_less_equal", "not (x <= y)", "x > y", when=_kind_in("biu")),
    _later("not_greater", "not (x > y)", "x <= y", when=_kind_in("biu")),
    _later("not_greater_equal", "not (x >= y)", "x < y", when=_kind_in("biu")),
    # Bools.
    _later("and_not_self", "x and not x", "False", kinds="b"),
    _later("or_not_self", "x or not x", "True", kinds="b"),
    _later("xor_self_logical", "logical_xor(x, x)", "False"),
    _later("xor_true", "logical_xor(x, True)", "not x", kinds="b"),
    _later("not_and_not", "(not x) and (not y)", "not (x or y)", when=_same_type),
    _later("not_or_not", "(not x) or (not y)", "not (x and y)", when=_same_type),
    # Choices.
    _later("where_true", "where(True, x, y)", "x"),
    _later("where_false", "where(False, x, y)", "y"),
    _later("where_same", "where(c, x, x)", "x"),
    _later("where_not", "where(not c, x, y)", "where(c, y, x)", when=_is_bool),
    _later("where_true_false", "where(c, True, False)", "c", kinds="b"),
    _later("where_false_true", "where(c, False, True)", "not c", kinds="b"),
    # Stability: each is exact in the reals and loses fewer bits, or overflows later, in floating point.
    _later("softplus", "log(1 + exp(x))", "logaddexp(0, x)", kinds="f", contract="fast"),
    _later("softplus_log1p", "log1p(exp(x))", "logaddexp(0, x)", kinds="f", contract="fast"),
    _later("log_of_exps", "log(exp(x) + exp(y))", "logaddexp(x, y)", kinds="f", contract="fast"),
    _later("log1p", "log(1 + x)", "log1p(x)", kinds="f", contract="fast"),
    _later("log1p_negative", "log(1 - x)", "log1p(-x)", kinds="f", contract="fast"),
    _later("log_exp", "log(exp(x))", "x", kinds="f", contract="fast"),
    _later("expm1", "exp(x) - 1", "expm1(x)", kinds="f", contract="fast"),
    _later("expm1_negative", "1 - exp(x)", "-expm1(x)", kinds="f", contract="fast"),
    _later("sigmoid", "1 / (1 + exp(-x))", f"where(x >= 0, 1, {_E}) / (1 + {_E})", kinds="f", contract="fast"),
    _later(
        "sigmoid_of_negative", "1 / (1 + exp(x))", f"where(x <= 0, 1, {_E}) / (1 + {_E})", kinds="f", contract="fast",
    ),
    _later(
        "sigmoid_reciprocal", "reciprocal(1 + exp(-x))", f"where(x >= 0, 1, {_E}) / (1 + {_E})",
        kinds="f", contract="fast",
    ),
    _later(
        "sigmoid_of_negative_reciprocal", "reciprocal(1 + exp(x))", f"where(x <= 0, 1, {_E}) / (1 + {_E})",
        kinds="f", contract="fast",
    ),
    _later(
        "sigmoid_of_exp", "exp(x) / (1 + exp(x))", f"where(x >= 0, 1, {_E}) / (1 + {_E})", kinds="f", contract="fast",
    ),
    _later("hypot", "sqrt(x * x + y * y)", "hypot(x, y)", kinds="f", contract="fast"),
    _later("hypot_of_squares", "sqrt(square(x) + square(y))", "hypot(x, y)", kinds="f", contract="fast"),
    # One division in place of two.
    _later("divide_twice", "(x / y) / z", "x / (y * z)", kinds="f", contract="fast"),
    _later("divide_by_quotient", "x / (y / z)", "(x * z) / y", kinds="f", contract="fast"),
    _later("times_quotients", "(x / y) * (z / w)", "(x * z) / (y * w)", kinds="f", contract="fast"),
)  # fmt: skip

# Of integers exact, of reals fast.
_WRAPPING: Final = (
    ("subtract_twice", "(x - C) - D", "x - (C + D)"),
    ("subtract_add", "(x - C) + D", "x + (D - C)"),
    ("add_subtract", "(x + C) - D", "x + (C - D)"),
    ("from_constant_add", "(C - x) + D", "(C + D) - x"),
    ("from_constant_subtract", "(C - x) - D", "(C - D) - x"),
    ("constant_minus_sum", "C - (x + D)", "(C - D) - x"),
    ("constant_minus_difference", "C - (x - D)", "(C + D) - x"),
    ("constant_minus_from_constant", "C - (D - x)", "x + (C - D)"),
    ("common_factor", "x * C + x * D", "x * (C + D)"),
    ("common_factor_one", "x * C + x", "x * (C + 1)"),
    ("common_factor_subtract", "x * C - x * D", "x * (C - D)"),
    ("common_factor_subtract_one", "x * C - x", "x * (C - 1)"),
)


def _add_all() -> None:
    _add_laws("exact")
    _add_division("exact", "divide_by_power_of_two")
    _add_shifts(("floor_divide", "remainder"), "iu", "floor")
    _add_shifts(("trunc_divide", "fmod"), "u", "trunc")
    for each in _PATTERNS:
        RULES.add(each)
    for name, pattern, result in _WRAPPING:
        RULES.add(_later(name, pattern, result, kinds="iu"))
        RULES.add(_later("fast_" + name, pattern, result, kinds="f", contract="fast"))
    _add_log_sum_exp()
    _add_laws("fast")
    _add_division("fast", "divide_by_constant")


_add_all()
