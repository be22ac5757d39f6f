"""The inference registry: the properties that there are, and how others are added."""

from __future__ import annotations

import gc

import pytest

from arrayexpr._core import infer
from arrayexpr._core.errors import ArrayExprError, ShapeMismatch
from arrayexpr._core.infer import (
    NO_FACTS,
    PURE,
    RAISES,
    SIDE_EFFECT,
    UNREORDERABLE,
    Facts,
    Property,
    bytes_moved,
    cost,
    depth,
    effects,
    lengths,
    operands,
    operations,
    reads,
    same_lengths,
    shape,
    total_operations,
)
from arrayexpr._core.layout import Layout
from arrayexpr._core.nodes import Apply, Constant, Operand, SideEffect, Unreorderable, living_nodes
from arrayexpr._core.ops import operator
from arrayexpr._core.parser import parse
from arrayexpr._core.types import FLOAT64, INT64

ADD, SQRT, POWER = map(operator, ("add", "sqrt", "power"))
A, B = (Operand(name, FLOAT64.array(2)) for name in "ab")
K, J = (Operand(name, INT64) for name in "ij")


def value(text: str, head: str = "a: float64[:, :], b: float64[:], s: float64", rank: int = 2):
    result = f"float64[{', '.join(':' * rank)}]" if rank else "float64"
    return parse(f"def f({head}, *, r: {result}):\n    r[...] = {text}\n").statements[0].value


def test_effects():
    assert effects(Apply(ADD, (A, B))) == PURE
    assert effects(Apply(ADD, (SideEffect(A), B))) == SIDE_EFFECT
    assert effects(Apply(SQRT, (Apply(ADD, (SideEffect(A), Unreorderable(B))),))) == SIDE_EFFECT | UNREORDERABLE
    assert effects(Apply(POWER, (K, J))) == RAISES
    assert effects(Apply(POWER, (K, Constant(2, INT64)))) == PURE
    assert effects(Apply(POWER, (K, Constant(-2, INT64)))) == RAISES
    assert effects(Apply(POWER, (A, B))) == PURE
    call = parse("def f(i: int64, *, r: int64):\n    def g(n: int64): return n ** n\n    r[...] = g(i)\n").statements[0]
    assert effects(call) == RAISES


def test_operations_count_each_node_once():
    root = Apply(SQRT, (A,))
    tree = root
    for _ in range(200):
        tree = Apply(ADD, (tree, tree))
    assert operations(tree) == 10 + 200
    assert cost(root) == 10
    assert total_operations((tree, root)) == 210


def test_depth():
    assert depth(A) == 0
    tree = A
    for _ in range(100_000):
        tree = Apply(SQRT, (tree,))
    assert depth(tree) == 100_000
    assert effects(tree) == PURE
    assert lengths(tree) is lengths(A)
    assert shape(tree, {"a": Layout((2, 3), (24, 8))}) == (2, 3)


def test_names():
    program = parse(
        "def f(a: float64[:], b: float64[:], *, r: float64[:]):\n    def g(x: float64): return x\n"
        "    r[1:] = g(a)\n    for i in range(0, b.shape[0], 1):\n        r[i] = a[i]\n"
    )
    assign, loop = program.statements
    assert reads(assign) == {"a"}
    assert operands(assign) == {"a", "r", "x"}
    assert reads(loop) == {"a"}


def test_lengths_tell_shapes_apart():
    assert same_lengths(value("a + b"), value("a * s - b"))
    assert not same_lengths(value("a"), value("a + b"))
    assert not same_lengths(value("b", rank=1), value("b[1:]", rank=1))
    assert same_lengths(value("b[1:] + s", rank=1), value("-b[1:]", rank=1))
    assert same_lengths(value("reduce(add, a, (1,), keepdims=True) + a"), value("a"))
    assert same_lengths(value("reduce(add, a + b, (0,))", rank=1), value("a[0, :] + b", rank=1))
    assert same_lengths(value("a.transpose(1, 0).transpose(1, 0)"), value("a"))
    assert not same_lengths(value("a.transpose(1, 0)"), value("a"))
    assert lengths(value("b[None, :] + s")) == (frozenset(), frozenset({("b", 0)}))
    assert not same_lengths(value("a @ a"), value("a"))
    assert same_lengths(value("sqrt(a @ a)"), value("a @ a + 1.0"))


def test_many_operands_stay_linear():
    tree = Operand("x0", FLOAT64.array(1))
    for k in range(5000):
        tree = Apply(ADD, (tree, Operand(f"x{k}", FLOAT64.array(1))))
    assert len(lengths(tree)[0]) <= 64
    assert len(reads(tree)) == 5000


def test_shapes_need_layouts():
    tree = value("a * b + s")
    assert shape(tree) is None
    layouts = {"a": Layout((4, 3), (24, 8)), "b": Layout((3,), (8,))}
    assert shape(tree, layouts) == (4, 3)
    assert shape(value("a[1:, ::2].transpose(1, 0)"), layouts) == (2, 3)
    assert shape(value("a[::-1, 0] + reduce(add, a, (1,))", rank=1), layouts) == (4,)
    assert shape(value("a @ b", rank=1), layouts) == (4,)
    assert shape(value("(a @ a.transpose(1, 0))[None, 0, :]"), layouts) == (1, 4)
    with pytest.raises(ShapeMismatch, match=r"multiply: shapes \(4, 3\), \(2,\) do not broadcast together"):
        shape(tree, layouts | {"b": Layout((2,), (8,))})
    with pytest.raises(ShapeMismatch, match=r"matmul of shapes \(4, 3\) and \(2,\): 3 columns against 2 rows"):
        shape(value("a @ b", rank=1), layouts | {"b": Layout((2,), (8,))})


def test_functions_parameters_are_not_the_programs_operands():
    text = "def f(a: float64[:], *, r: float64[:]):\n    def g(a: float64): return a * 2.0\n    r[...] = g(a)\n"
    program = parse(text)
    assert shape(program.statements[0].value, {"a": Layout((5,), (8,))}) == (5,)


def test_bytes_moved():
    layouts = {"a": Layout((4, 3), (24, 8)), "b": Layout((3,), (8,)), "r": Layout((4, 3), (24, 8))}
    program = parse("def f(a: float64[:, :], b: float64[:], *, r: float64[:, :]):\n    r[...] = a * b + a\n")
    program = program.replace(layouts=layouts)
    assert bytes_moved(program.statements[0], program) == 8 * (12 + 3 + 12)
    assert bytes_moved(program.statements[0]) is None
    in_place = parse("def f(a: float64[:, :], *, r: float64):\n    a[...] = a + 1.0\n    r[...] = 0.0\n").statements[0]
    assert bytes_moved(in_place, layouts) == 8 * 24


def test_values_go_with_their_nodes():
    tree = Apply(SQRT, (Apply(SQRT, (Operand("lonely", FLOAT64),)),))
    depth(tree)
    effects(tree)
    gc.collect()
    known = len(depth._cache(NO_FACTS))
    living = living_nodes()
    del tree
    gc.collect()
    assert living_nodes() == living - 3
    assert len(depth._cache(NO_FACTS)) == known - 3


def test_inference_is_incremental():
    asked = []
    count = Property("count", default=lambda node, args, facts: asked.append(node) or 1 + sum(args))
    tree = Apply(SQRT, (A,))
    assert count(tree) == 2
    assert asked == [A, tree]
    more = Apply(ADD, (tree, A))
    assert count(more) == 4
    assert asked == [A, tree, more]
    assert count(more) == 4
    count.forget()
    assert count(more) == 4
    assert len(asked) == 6


def test_facts():
    one, two = Facts.of({"a": Layout((1,), (8,))}), Facts.of({"a": Layout((1,), (8,))})
    assert one == two
    assert hash(one) == hash(two)
    assert Facts.of(None) is NO_FACTS
    assert Facts.of(one) is one
    assert one.shape("a") == (1,)
    assert one.shape("b") is None
    a = Operand("a", FLOAT64.array(1))
    for n in range(200):
        assert shape(a, {"a": Layout((n,), (8,))}) == (n,)
    assert len(shape._known) <= 64


def test_refusals():
    nothing = Property("nothing")
    with pytest.raises(ArrayExprError, match="property nothing is not known of Operand: register a function for it"):
        nothing(A)
    nothing.of(Operand)(lambda node, args, facts: 0)
    with pytest.raises(ArrayExprError, match="property nothing is not known of operator sqrt"):
        nothing(Apply(SQRT, (A,)))
    with pytest.raises(ArrayExprError, match="property nothing of int: expected a class of nodes"):
        nothing.of(int)(lambda node, args, facts: 0)
    with pytest.raises(ArrayExprError, match="no operator is named 'frobnicate'"):
        nothing.of("frobnicate")(lambda node, args, facts: 0)
    assert repr(infer.depth) == "<Property depth>"
