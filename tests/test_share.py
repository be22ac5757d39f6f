"""The pass share: common sub-expressions up to the order of operands, and what no one reads."""

from __future__ import annotations

import pytest
from passes_support import check_meaning

from arrayexpr._core.infer import total_operations
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Barrier,
    Constant,
    For,
    Index,
    Load,
    Node,
    Operand,
    Scratch,
    SideEffect,
    Store,
    View,
)
from arrayexpr._core.ops import operator
from arrayexpr._core.parser import parse
from arrayexpr._core.passes.share import share
from arrayexpr._core.program import Program
from arrayexpr._core.types import FLOAT64, INT64

ADD, MULTIPLY, SQRT, POWER = map(operator, ("add", "multiply", "sqrt", "power"))
VECTOR = FLOAT64.array(1)
A, B, R, T, U = (Operand(name, VECTOR) for name in "abrtu")


def with_locals(*statements: Node, **fields) -> Program:
    return Program("p", (A, B), statements, (R,), locals=(T, U), **fields)


def test_the_first_order_of_operands_stays():
    program = parse("def f(a: float64, b: float64, *, r: float64):\n    r[...] = (b * a + a) / (a + a * b)\n")
    after = share(program)
    assert str(after).split("\n")[1:3] == ["    _0 = b * a + a", "    r[...] = _0 / _0"]
    assert total_operations(after.statements) == 10
    assert share(after) is after
    check_meaning(program, after, "exact")


def test_nothing_changes():
    program = parse("def f(a: float64, b: float64, *, r: float64):\n    r[...] = a * b + (a - b) / (b - a)\n")
    assert share(program) is program


@pytest.mark.parametrize(
    "expression",
    [
        "side_effect(a) * b + b * side_effect(a)",
        "unreorderable(a * b) + unreorderable(b * a)",
        "minimum(a, b) + minimum(b, a)",
    ],
)
def test_left_alone(expression):
    # Effects are never merged, and of zeros minimum takes now one and now the other.
    program = parse(f"def f(a: float64, b: float64, *, r: float64):\n    r[...] = {expression}\n")
    after = share(program)
    assert str(after).count("effect") == expression.count("effect")
    assert str(after).count("minimum(b, a)") == expression.count("minimum(b, a)")


def test_complex_products_do_not_commute():
    program = parse("def f(a: complex128, b: complex128, *, r: complex128):\n    r[...] = a * b - b * a\n")
    assert share(program) is program


def test_what_may_raise_is_not_merged():
    p = parse("def f(a: int64, b: int64, *, r: int64):\n    r[...] = a ** b * b - b * a ** b\n")
    assert share(p) is p


def test_unread_locals_are_dropped():
    program = with_locals(Assign(T, Apply(SQRT, (A,))), Assign(U, T), Assign(R, A))
    after = share(program)
    assert after.statements == (Assign(R, A),)
    assert after.locals == ()


def test_locals_that_are_read_stay():
    program = with_locals(Assign(T, Apply(SQRT, (A,))), Assign(U, T), Assign(R, U))
    assert share(program) is program


def test_a_local_assigned_again_before_it_is_read():
    first, second = Assign(T, Apply(SQRT, (A,))), Assign(T, Apply(ADD, (A, A)))
    after = share(with_locals(first, second, Assign(R, T)))
    assert after.statements == (second, Assign(R, T))
    assert after.locals == (T,)
    # Its first assignment gives a local its shape: B may be longer or shorter.
    program = with_locals(first, Assign(T, B), Assign(R, T))
    assert share(program).statements == program.statements
    program = with_locals(first, Assign(T, Constant(0.0, FLOAT64)), Assign(R, T))
    assert share(program).statements == program.statements
    # A part that is assigned does not replace the whole; one that is replaced goes.
    part = Assign(View(T, subscripts=(slice(1, None),)), Constant(0.0, FLOAT64))
    program = with_locals(first, part, Assign(R, T))
    assert share(program).statements == program.statements
    assert share(with_locals(first, part, second, Assign(R, T))).statements == (second, Assign(R, T))
    # A local that is read on the right side is live before.
    program = with_locals(first, Assign(T, Apply(ADD, (T, A))), Assign(R, T))
    assert share(program).statements == program.statements


def test_operands_and_results_are_never_dropped():
    program = Program("p", (A, B), (Assign(A, B), Assign(A, Apply(ADD, (B, B))), Assign(R, A)), (R,))
    assert share(program) is program


def test_effects_are_never_dropped():
    for value in (SideEffect(A), SideEffect(A, reads=(), writes=())):
        program = with_locals(Assign(T, value), Assign(R, A))
        assert share(program).statements == program.statements
    # What an effect may read is read.
    everything, one = SideEffect(Assign(R, A)), SideEffect(Assign(R, A), reads=("t",), writes=())
    for effect in (everything, one):
        program = with_locals(Assign(T, A), effect)
        assert share(program).statements == program.statements
    other = SideEffect(Assign(R, A), reads=("a",), writes=())
    assert share(with_locals(Assign(T, A), other)).statements == (other,)


def test_loops_and_scratch():
    i = Index("i")
    zero, one, five = (Constant(n, INT64) for n in (0, 1, 5))
    fill = For(i, zero, five, one, (Store(U, (i,), Load(A, (i,))),))
    scratch = Scratch(U, (five,))
    program = Program("p", (A, B), (scratch, fill, Assign(R, A)), (R,))
    assert share(program).statements == (Assign(R, A),)
    copy = For(i, zero, five, one, (Store(R, (i,), Load(U, (i,))),))
    program = Program("p", (A, B), (scratch, fill, Assign(R, A), copy), (R,))
    assert share(program).statements == program.statements
    guarded = For(i, zero, five, one, (Store(U, (i,), Load(A, (i,))), Barrier()))
    program = Program("p", (A, B), (scratch, guarded, Assign(R, A)), (R,))
    assert share(program).statements == program.statements


def test_deep():
    left, right = A, A
    for _ in range(100_000):
        left, right = Apply(ADD, (left, B)), Apply(ADD, (B, right))
    program = Program("p", (A, B), (Assign(R, Apply(MULTIPLY, (left, right))),), (R,))
    after = share(program)
    assert after.statements == (Assign(R, Apply(MULTIPLY, (left, left))),)
