"""The rewriting engine: patterns, order, logs, refusals, and rules that do not come to an end."""

from __future__ import annotations

import gc
import re
import threading

import pytest

from arrayexpr._core.driver import run
from arrayexpr._core.errors import ArrayExprError, VerifyError
from arrayexpr._core.nodes import Apply, Assign, Cast, Constant, Node, Operand, SideEffect, View, living_nodes
from arrayexpr._core.ops import operator
from arrayexpr._core.parser import parse
from arrayexpr._core.passes.simplify import RULES, simplify
from arrayexpr._core.program import Program
from arrayexpr._core.rewrite import Log, NodeMap, RewriteError, Rewriter, Rule, RuleSet, rule
from arrayexpr._core.types import BOOL, FLOAT64, INT64, element

ADD, MULTIPLY, SUBTRACT, SQRT, LOG = map(operator, ("add", "multiply", "subtract", "sqrt", "log"))
X, Y, Z = (Operand(name, FLOAT64) for name in "xyz")
K, J = (Operand(name, INT64) for name in "ij")
A = Operand("a", FLOAT64.array(1))


def rewritten(node: Node, *rules: Rule, contract: str = "exact", log: Log | None = None) -> Node:
    return Rewriter(rules, contract=contract).run((node,), log)[node]


def test_pattern_with_variables_and_numbers():
    log1p = Rule("log1p", "log(1 + x)", "log1p(x)", contract="fast", kinds="f")
    one = Constant(1.0, FLOAT64)
    for tree in (Apply(LOG, (Apply(ADD, (one, X)),)), Apply(LOG, (Apply(ADD, (X, one)),))):
        assert rewritten(tree, log1p, contract="fast") is Apply(operator("log1p"), (X,))
        assert rewritten(tree, log1p) is tree
    assert log1p.cost == -1.0
    assert log1p.variables == ("x",)


def test_repeated_variables_are_one_node():
    twice = Rule("twice", "x + x", "x * 2")
    assert rewritten(Apply(ADD, (X, X)), twice) is Apply(MULTIPLY, (X, Constant(2.0, FLOAT64)))
    assert rewritten(Apply(ADD, (X, Y)), twice) is Apply(ADD, (X, Y))
    factor = Rule("factor", "x * y + x * z", "x * (y + z)", kinds="f")
    for one in ((X, Y), (Y, X)):
        for two in ((X, Z), (Z, X)):
            tree = Apply(ADD, (Apply(MULTIPLY, one), Apply(MULTIPLY, two)))
            assert rewritten(tree, factor) is Apply(MULTIPLY, (X, Apply(ADD, (Y, Z))))


def test_zeros_are_told_apart():
    plus_zero = Rule("plus_zero", "x + 0.0", "x")
    minus_zero = Rule("minus_zero", "x + -0.0", "x")
    tree = Apply(ADD, (X, Constant(-0.0, FLOAT64)))
    assert rewritten(tree, plus_zero) is tree
    assert rewritten(tree, minus_zero) is X


def test_capitals_are_constants():
    only = Rule("only", "x - C", "x + (-C)", kinds="f")
    assert rewritten(Apply(SUBTRACT, (X, Y)), only) is Apply(SUBTRACT, (X, Y))
    three = Constant(3.0, FLOAT64)
    assert rewritten(Apply(SUBTRACT, (X, three)), only) is Apply(ADD, (X, Apply(operator("negative"), (three,))))


def test_operators_match_as_written_where_they_do_not_commute():
    other = Rule("other", "(x + y) - z", "x - (z - y)")
    tree = Apply(SUBTRACT, (Z, Apply(ADD, (X, Y))))
    assert rewritten(tree, other) is tree
    # NumPy's product of complex numbers does not commute in the last bit.
    c = element("complex128")
    p, q = Operand("p", c), Operand("q", c)
    rules = [Rule("order", "conjugate(x) * y", "y - x", contract=contract, kinds="c") for contract in ("exact", "fast")]
    tree = Apply(MULTIPLY, (q, Apply(operator("conjugate"), (p,))))
    assert rewritten(tree, rules[0], contract="fast") is tree
    assert rewritten(tree, rules[1], contract="fast") is Apply(SUBTRACT, (q, p))


def test_kinds_when_and_bools():
    halves = Rule("halves", "x + x", "x", kinds="f", when=lambda x: isinstance(x, Operand) and x.name == "x")
    assert rewritten(Apply(ADD, (X, X)), halves) is X
    assert rewritten(Apply(ADD, (Y, Y)), halves) is Apply(ADD, (Y, Y))
    assert rewritten(Apply(ADD, (K, K)), halves) is Apply(ADD, (K, K))
    p = Operand("p", BOOL)
    chosen = Rule("chosen", "where(c, True, False)", "c")
    where = operator("where")
    assert rewritten(Apply(where, (p, Constant(True, BOOL), Constant(False, BOOL))), chosen) is p
    one = Rule("one", "where(c, 1, 0)", "1", kinds="b")
    tree = Apply(where, (p, Constant(True, BOOL), Constant(False, BOOL)))
    assert rewritten(tree, one) is tree


@pytest.mark.parametrize(
    ("pattern", "result", "message"),
    [
        ("x +", "x", "the pattern 'x +' is no expression: it ends where an operand is expected"),
        ("frobnicate(x)", "x", "frobnicate in the pattern 'frobnicate(x)' is no operator of the table"),
        ("sqrt(x, y)", "x", "sqrt in the pattern 'sqrt(x, y)' takes 1 operands: got 2"),
        ("x", "x", "the pattern 'x' of rule wrong has no operator at its root"),
        ("x + y", "x + z", "the result 'x + z' names z, which its pattern does not"),
        ("x @ y", "x", "@ in the pattern 'x @ y' is no operator of the table"),
        ("x[0] + 1", "x", "[ in the pattern 'x[0] + 1' is no operator of the table"),
        ("x < y < z", "x", "< in the pattern 'x < y < z': expected operators, names and numbers"),
        ("x + 'a'", "x", "' in the pattern \"x + 'a'\": expected operators, names and numbers"),
        ("x 2", "x", "2 in the pattern 'x 2': expected operators, names and numbers"),
        ("sqrt(x", "x", "the pattern 'sqrt(x' is no expression: it ends where an operand is expected"),
    ],
)
def test_malformed_rules_are_refused(pattern, result, message):
    with pytest.raises(RewriteError, match="^" + re.escape(message)):
        Rule("wrong", pattern, result)


def test_other_refusals():
    with pytest.raises(RewriteError, match="contract 'loose' of rule x: expected one of exact, fast"):
        Rule("x", "x + y", "x", contract="loose")
    with pytest.raises(RewriteError, match="contract 'loose': expected one of exact, fast"):
        Rewriter([], contract="loose")
    with pytest.raises(RewriteError, match="is no class of nodes"):
        rule(int)(lambda node: None)
    with pytest.raises(ArrayExprError, match="no operator is named 'frobnicate'"):
        rule("frobnicate")(lambda node: None)
    rules = RuleSet([Rule("twice", "x + x", "2 * x")])
    with pytest.raises(RewriteError, match="a rule named twice is there already"):
        rules.add(Rule("twice", "x + x", "2 * x"))
    with pytest.raises(RewriteError, match="no rule is named 'thrice'"):
        rules.remove("thrice")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda node: 3, "rule bad gives int: expected a node or None"),
        (lambda node: K, "rule bad makes int64 of float64: expected the same type"),
        (lambda node: A, r"rule bad makes float64\[:\] of float64: expected the same type"),
        (lambda node: Assign(X, Y), "rule bad makes Assign of Apply: expected a statement of a statement"),
    ],
)
def test_rules_that_change_the_type_are_named(made, message):
    bad = rule("sqrt", name="bad", keeps=True)(made)
    with pytest.raises(RewriteError, match=message):
        rewritten(Apply(SQRT, (X,)), bad)


def test_two_rules_that_undo_one_another():
    one = Rule("to_product", "x + x", "x * 2")
    two = Rule("to_sum", "x * 2", "x + x")
    other = Rule("innocent", "sqrt(x)", "x", kinds="f")
    tree = Apply(LOG, (Apply(ADD, (Apply(SQRT, (X,)), X)),))
    with pytest.raises(RewriteError, match="no end: the rules to_product, to_sum undo one another on x"):
        rewritten(tree, one, other, two)
    swap = Rule("swap", "x - y", "x - y + 0", kinds="i")
    with pytest.raises(RewriteError, match="the rule swap undoes itself"):
        rewritten(Apply(SUBTRACT, (K, J)), swap)


def test_rules_that_grow_without_end():
    grow = Rule("grow", "sqrt(x)", "sqrt(x * x)", kinds="f")
    with pytest.raises(RewriteError, match=r"no end: 1\d\d\d rewrites of one node, the last by the rules grow"):
        rewritten(Apply(SQRT, (X,)), grow)


def test_log():
    program = parse("def f(x: int64, *, r: int64):\n    r[...] = (x + 1) + 2 + 0\n")
    log = Log()
    simplify(program, log=log)
    assert [step.rule.name for step in log] == ["associate", "fold", "unit"]
    assert {step.contract for step in log} == {"exact"}
    first = log[0]
    assert str(first.before) == "x + 1 + 2"
    assert str(first.after) == "x + (1 + 2)"
    assert first.cost == 0.0
    assert log[-1].cost == -1.0
    assert len(log) == 3
    assert log.counts() == {"associate": 1, "fold": 1, "unit": 1}
    assert repr(log) == "<Log of 3 rewrites: associate 1, fold 1, unit 1>"
    assert repr(log[1]) == "fold (exact): 1 + 2 -> 3"
    assert [step.rule.name for step in log[1:]] == ["fold", "unit"]
    with pytest.raises(IndexError):
        log[3]


def test_same_object_when_nothing_changes():
    program = parse("def f(x: float64[:], *, r: float64[:]):\n    r[...] = sqrt(x) + x\n")
    assert simplify(program) is program
    assert run(program, ("simplify", "share")) is program


def test_rules_are_tried_only_at_their_root():
    tried = []

    @rule("sqrt", Cast, keeps=True)
    def seen(node):
        tried.append(node)

    tree = Apply(ADD, (Apply(SQRT, (X,)), Apply(LOG, (Cast(K, FLOAT64),))))
    rewritten(tree, seen)
    assert tried == [Apply(SQRT, (X,)), Cast(K, FLOAT64)]
    tried.clear()
    shared = Apply(SQRT, (X,))
    rewritten(Apply(ADD, (shared, Apply(MULTIPLY, (shared, shared)))), seen)
    assert tried == [shared]


def test_among_narrows_where_a_function_rule_is_tried():
    tried = []

    @rule("add", among=(Constant, "multiply"), keeps=True)
    def seen(node):
        tried.append(node)

    yes = Apply(ADD, (Apply(MULTIPLY, (X, Y)), Constant(1.0, FLOAT64)))
    rewritten(Apply(ADD, (yes, Apply(ADD, (X, Constant(2.0, FLOAT64))))), seen)
    assert tried == [yes]


def test_rules_on_leaves():
    @rule(Operand, keeps=True)
    def renamed(node):
        return Y if node is X else None

    assert rewritten(Apply(ADD, (X, X)), renamed) is Apply(ADD, (Y, Y))


def test_what_a_rule_makes_is_rewritten():
    one = Rule("one", "sqrt(x)", "log(x) * 2", kinds="f")
    two = Rule("two", "log(x)", "exp(x)", kinds="f")
    tree = Apply(SQRT, (X,))
    log = Log()
    found = rewritten(tree, one, two, log=log)
    assert str(found) == "exp(x) * 2.0"
    assert [step.rule.name for step in log] == ["one", "two"]


def test_pattern_rules_keep_effects():
    drop = Rule("drop", "x - x", "0", kinds="i")
    square = Rule("double", "x * 2", "x + x", kinds="i")
    swap = Rule("swap", "-(x - y)", "y - x", kinds="i")
    effect, other = SideEffect(K), SideEffect(J)
    negative = operator("negative")
    two = Constant(2, INT64)
    for tree in (
        Apply(SUBTRACT, (effect, effect)),
        Apply(MULTIPLY, (effect, two)),
        Apply(negative, (Apply(SUBTRACT, (effect, other)),)),
        Apply(SUBTRACT, (Apply(operator("power"), (K, J)), Apply(operator("power"), (K, J)))),
    ):
        assert rewritten(tree, drop, square, swap) is tree
    tree = Apply(negative, (Apply(SUBTRACT, (effect, J)),))
    assert rewritten(tree, swap) is Apply(SUBTRACT, (J, effect))


def test_function_rules_leave_effects_alone_unless_they_say_that_they_keep_them():
    def first(node):
        return node.args[0]

    tree = Apply(ADD, (K, SideEffect(J)))
    assert rewritten(tree, rule("add", name="first")(first)) is tree
    assert rewritten(Apply(ADD, (K, J)), rule("add", name="first")(first)) is K


def test_origins_are_carried():
    program = parse("def f(x: int64, *, r: int64):\n    r[...] = (x * 1 + 0) * (0 + x)\n")
    value = program.statements[0].value
    left, right = value.args
    program = program.replace(origins={left: ("left",), right: ("right",), value: ("value",)})
    after = simplify(program)
    x = program.operand("x")
    assert after.statements[0].value is Apply(MULTIPLY, (x, x))
    assert after.origin(after.statements[0].value) == ("value",)
    assert after.origin(x) == ("left", "right")


def test_deep_trees_and_no_leaks():
    gc.collect()
    simplify(parse("def f(x: float64, *, r: float64):\n    r[...] = x + -(x)\n"))
    before = living_nodes()
    tree = X
    for _ in range(100_000):
        tree = Apply(ADD, (Apply(operator("negative"), (Apply(operator("negative"), (tree,)),)), Y))
    program = Program("p", (X, Y), (Assign(Z, tree),), (Z,))
    after = run(program, check=False)
    assert after is not program
    del tree, program, after
    gc.collect()
    assert living_nodes() - before < 100


def test_threads():
    texts = [f"def f(x: int64, *, r: int64):\n    r[...] = ((x + {k}) + 1) * 1 - (-x)\n" for k in range(40)]
    expected = [str(simplify(parse(text))) for text in texts]
    rules = RuleSet(RULES)
    found = {}

    def work(which):
        found[which] = [str(simplify(parse(text), rules=rules)) for text in texts]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[k] == expected for k in range(4))


def test_node_map():
    new = NodeMap()
    assert len(new) == 0
    assert new.get(X) is None
    assert X not in new
    nodes = [Constant(k, INT64) for k in range(1000)]
    for a, b in zip(nodes, reversed(nodes), strict=True):
        new[a] = b
    new[nodes[3]] = X
    assert len(new) == 1000
    assert new[nodes[3]] is X
    assert all(new[a] is b for a, b in zip(nodes, reversed(nodes), strict=True) if a is not nodes[3])
    with pytest.raises(KeyError):
        new[Y]
    with pytest.raises(TypeError):
        new[X] = None


def test_driver_names_the_pass_and_refuses_what_it_does_not_know(monkeypatch):
    program = parse("def f(x: int64, *, r: int64):\n    r[...] = x * 1\n")
    with pytest.raises(
        ArrayExprError, match="no pass is named 'frobnicate': there are raise_loops, inline, contractions"
    ):
        run(program, ["frobnicate"])
    with pytest.raises(ArrayExprError, match="none of the passes share takes the option 'colour'"):
        run(program, ["share"], colour="red")
    broken = rule(Assign, name="broken")(lambda node: Assign(Operand("nowhere", INT64), node.value))
    with pytest.raises(VerifyError, match="after the pass simplify: "):
        run(program, ["simplify"], rules=[broken])


def test_driver_echoes(capsys):
    import sys

    program = parse("def f(x: int64, *, r: int64):\n    r[...] = x * 1\n")
    run(program, ["simplify", "share"], echo=sys.stdout)
    assert capsys.readouterr().out == (
        "simplify: cost 1 to 0\n    unit (exact): x * 1 -> x\n"
        "def f(x: int64, *, r: int64):\n    r[...] = x\n\nshare: nothing changed\n"
    )


def test_views_match_by_class():
    flipped = rule(View, keeps=True, name="flipped")(lambda node: node.arg if node.order == (1, 0) else None)
    m = Operand("m", FLOAT64.array(2))
    with pytest.raises(RewriteError):
        rewritten(Apply(SQRT, (View(X, subscripts=(None,)),)), rule(View, keeps=True, name="wide")(lambda node: m))
    assert rewritten(View(m, order=(1, 0)), flipped) is m
