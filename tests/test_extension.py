"""A third party adds an operator, a rule and a property in a few lines each, without touching our files."""

from __future__ import annotations

import numpy as np
import pytest

from arrayexpr._core import ops
from arrayexpr._core.infer import Property, cost
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Apply, Constant, Operand
from arrayexpr._core.ops import Element, Law, Operator, operator, register
from arrayexpr._core.parser import parse
from arrayexpr._core.passes.simplify import RULES, simplify
from arrayexpr._core.rewrite import Log, Rule, rule
from arrayexpr._core.types import FLOAT64
from arrayexpr._core.verify import verify


@pytest.fixture
def relu():
    row = Operator("relu", "T>T", "f", lambda x: np.maximum(x, 0), c="({0} > 0 ? {0} : 0)", idempotent=Law("f"))
    yield register(row)
    del ops._table["relu"]


@pytest.fixture
def undone():
    names = {each.name for each in RULES}
    yield
    for name in [each.name for each in RULES if each.name not in names]:
        RULES.remove(name)


def test_an_operator(relu):
    # A row is all: it parses, prints, verifies and runs, and its laws simplify.
    program = parse("def f(x: float64[:], *, r: float64[:]):\n    r[...] = relu(relu(x)) + relu(2.0)\n")
    verify(program)
    after = simplify(program)
    assert str(after).endswith("r[...] = relu(x) + 2.0\n")
    np.testing.assert_array_equal(interpret(after, {"x": np.array([-1.0, 3.0])})["r"], [2.0, 5.0])


def test_an_operator_with_two_operands():
    row = Operator(
        "saturate", "TT>T", "u", lambda x, y: np.minimum(x.astype("u8") + y, 255).astype(x.dtype),
        commutes=Law("u"), associates=Law("u"), units=(Element(0, Law("u")),), zeros=(Element(255, Law("u")),),
    )  # fmt: skip
    register(row)
    try:
        text = "def f(x: uint8, *, r: uint8):\n    r[...] = saturate(uint8({}), saturate(x, uint8({})))\n"
        for a, b, expected in ((0, 0, "x"), (7, 3, "saturate(uint8(10), x)"), (200, 100, "uint8(255)")):
            assert str(simplify(parse(text.format(a, b)))).endswith(f"r[...] = {expected}\n")
    finally:
        del ops._table["saturate"]


def test_a_pattern_rule(relu, undone):
    RULES.add(Rule("relu_of_square", "relu(square(x))", "square(x)", kinds="f"))
    program = parse("def f(x: float64, *, r: float64):\n    r[...] = relu(x ** 2.0)\n")
    log = Log()
    assert str(simplify(program, log=log)).endswith("r[...] = square(x)\n")
    assert log.counts() == {"power_2": 1, "relu_of_square": 1}


def test_a_function_rule(undone):
    @rule("hypot", contract="fast", among=Constant, keeps=True, rules=RULES)
    def hypot_of_zero(node):
        x, c = node.args
        return Apply(operator("absolute"), (x,)) if isinstance(c, Constant) and c.value == 0 else None

    program = parse("def f(x: float64, *, r: float64):\n    r[...] = hypot(x, 0.0)\n")
    assert simplify(program) is program
    assert str(simplify(program, contract="fast")).endswith("r[...] = absolute(x)\n")


def test_rules_of_ones_own_in_place_of_ours():
    own = [Rule("factor", "x * y + x * z", "x * (y + z)", contract="fast", kinds="f")]
    program = parse("def f(x: float64, y: float64, *, r: float64):\n    r[...] = y * x + x * 2.0 + x * 0.0\n")
    assert str(simplify(program, contract="fast", rules=own)).endswith("r[...] = x * (y + 2.0 + 0.0)\n")
    assert simplify(program, rules=own) is program


def test_a_property(relu):
    # Intervals that values lie in: given those of the operands, infer that of the result.
    interval = Property("interval", default=lambda node, args, facts: (-np.inf, np.inf))
    interval.of(Constant)(lambda node, args, facts: (node.value, node.value))
    interval.of("add")(lambda node, args, facts: (args[0][0] + args[1][0], args[0][1] + args[1][1]))
    interval.of("relu")(lambda node, args, facts: (max(args[0][0], 0.0), max(args[0][1], 0.0)))
    interval.of("tanh")(lambda node, args, facts: (-1.0, 1.0))
    x = Operand("x", FLOAT64)
    tree = Apply(operator("add"), (Apply(relu, (Apply(operator("tanh"), (x,)),)), Constant(2.0, FLOAT64)))
    assert interval(tree) == (2.0, 3.0)


def test_a_new_rule_for_a_property_of_ours(relu):
    tree = Apply(relu, (Operand("x", FLOAT64),))
    assert cost(tree) == 1.0
    cost.of(relu)(lambda node, args, facts: 2.5)
    try:
        assert cost(tree) == 2.5
    finally:
        del cost._by_operator[relu]
        cost.forget()
