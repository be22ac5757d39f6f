"""Composite functions: one node each to all passes, the same bits from both engines, and work in calls plus nodes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from layouts import same

import arrayexpr
from arrayexpr._core import nodes
from arrayexpr._core.driver import ARRAY_PASSES, run
from arrayexpr._core.engine.block import translate
from arrayexpr._core.infer import PURE, RAISES, Facts, bytes_moved, cost, effects, operations, shape, total_operations
from arrayexpr._core.interpret import interpret
from arrayexpr._core.layout import Layout
from arrayexpr._core.nodes import Apply, Assign, Call, Cast, Constant, Function, Node, Operand, Reduce
from arrayexpr._core.ops import operator
from arrayexpr._core.parser import parse
from arrayexpr._core.passes import inline as inline_module
from arrayexpr._core.program import Program
from arrayexpr._core.types import BOOL, FLOAT64, element

ADD, MULTIPLY, SUBTRACT, DIVIDE, SQRT = map(operator, ("add", "multiply", "subtract", "true_divide", "sqrt"))
WHERE, LESS, ABSOLUTE = map(operator, ("where", "less", "absolute"))


@pytest.fixture
def stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls stay wherever they may."""
    monkeypatch.setattr(inline_module, "GROWTH", 0)
    monkeypatch.setattr(inline_module, "SMALL", 0)


def body(size: int, x: Node, y: Node) -> Node:
    value = x
    for k in range(size):
        other = Constant(1.0 + k / size, FLOAT64) if k % 5 == 4 else (x, y)[k % 2]
        value = Apply((ADD, MULTIPLY, SUBTRACT)[k % 3], (value, other))
    return value


def chained(calls: int, size: int) -> Program:
    """A chain of calls of one function of that many nodes."""
    x, y = Operand("x", FLOAT64), Operand("y", FLOAT64)
    function = Function("f", (x, y), body(size, x, y))
    a, b, r = (Operand(name, FLOAT64.array(1)) for name in "abr")
    value: Node = a
    for k in range(calls):
        value = Apply(MULTIPLY, (Call(function, (value, Apply(ADD, (b, Constant(float(k), FLOAT64))))), a))
    return Program("kernel", (a, b), (Assign(r, value),), (r,))


def calls_of(program: Program) -> int:
    return sum(isinstance(node, Call) for node in program.nodes())


# -- Work ---------------------------------------------------------------------------------------


def visits(calls: int, size: int) -> int:
    """The nodes that all passes, emission and the block engine's translation visit."""
    program = chained(calls, size)
    before = nodes.visited()
    scheduled = run(program)
    arrayexpr.emit(scheduled)
    translate(scheduled)
    return nodes.visited() - before


def test_a_thousand_calls_of_a_thousand_nodes_are_optimised_in_their_sum() -> None:
    each = visits(1000, 1000)
    # Some 20 walks of each pass; expanded there would be a million nodes to visit in every one of them.
    assert each < 400 * (1000 + 1000)
    assert each < 1.2 * (visits(1000, 10) + visits(10, 1000))
    assert visits(2000, 2000) < 2.2 * each


def test_what_is_made_of_them_is_their_sum_too() -> None:
    scheduled = run(chained(1000, 1000))
    assert len(scheduled.nodes()) < 8 * (1000 + 1000)
    assert len(arrayexpr.emit(scheduled)) < 1000 * (1000 + 1000)
    assert calls_of(scheduled) == 1000


def with_library(calls: int, size: int) -> Program:
    """Calls, each on the one before, of a body with functions of the vector library between much else."""
    x, y = Operand("x", FLOAT64), Operand("y", FLOAT64)
    value = Apply(operator("tanh"), (body(size, x, y),))
    value = Apply(operator("exp"), (Apply(SUBTRACT, (value, x)),))
    function = Function("g", (x, y), Apply(operator("tanh"), (body(size, value, y),)))
    a, b, r = (Operand(name, FLOAT64.array(1)) for name in "abr")
    result: Node = a
    for _ in range(calls):
        result = Call(function, (result, b))
    return Program("kernel", (a, b), (Assign(r, result),), (r,))


def test_bodies_are_divided_where_functions_of_the_vector_library_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    program = with_library(300, 300)
    before = nodes.visited()
    divided = run(program, ARRAY_PASSES)
    assert nodes.visited() - before < 100 * 300
    # Of each call the three functions, what lies between, and a difference.
    assert len(divided.nodes()) < 8 * 300 + 4 * 300
    assert calls_of(divided) == 2 * 300
    small = with_library(3, 12)
    a, b = np.random.default_rng(0).random((2, 1000))
    expected = [arrayexpr.compile(small, engine=engine)(a, b) for engine in ("block", "c")]
    monkeypatch.setattr(inline_module, "GROWTH", 0)
    assert calls_of(run(small, ARRAY_PASSES)) == 2 * 3
    for engine in ("block", "c"):
        expected.append(arrayexpr.compile(small, engine=engine)(a, b))
    for other in expected[1:]:
        np.testing.assert_array_equal(expected[0], other)


def test_functions_that_double_one_another_are_linear() -> None:
    x = Operand("x", FLOAT64)
    function = Function("g0", (x,), body(10, x, x))
    for k in range(1, 200):
        inner = Call(function, (Apply(ADD, (x, Constant(0.5, FLOAT64))),))
        function = Function(f"g{k}", (x,), Apply(MULTIPLY, (Call(function, (x,)), Apply(ADD, (inner, inner)))))
    a, r = Operand("a", FLOAT64.array(1)), Operand("r", FLOAT64.array(1))
    program = Program("kernel", (a,), (Assign(r, Call(function, (a,))),), (r,))
    before = nodes.visited()
    scheduled = run(program)
    arrayexpr.emit(scheduled)
    translate(scheduled)
    assert nodes.visited() - before < 1_000_000
    assert calls_of(scheduled) < 1000


def test_a_function_is_simplified_once() -> None:
    program = parse(
        "def f(a: float64[:], b: float64[:], *, r: float64[:]):\n"
        "    def g(x: float64, y: float64): return (x * 1.0 + y) * (x + -y) / (y * 1.0)\n"
        "    r[...] = g(a, b) + g(b, a) + g(a, a)\n"
    )
    from arrayexpr._core.driver import Step

    steps: list[Step] = []
    program = inline_module.inline(program, growth=0, small=0)
    run(program, ("simplify",), steps=steps)
    assert sum(step.rule.name == "unit" for step in steps[0].log) == 2


# -- When calls stay ----------------------------------------------------------------------------


def test_small_programs_are_expanded() -> None:
    assert calls_of(run(chained(20, 50), ARRAY_PASSES)) == 0


def test_what_is_called_once_is_expanded() -> None:
    assert calls_of(run(chained(1, 10_000), ARRAY_PASSES)) == 0


def test_small_bodies_are_expanded_however_often_they_are_called() -> None:
    assert calls_of(run(chained(1000, 6), ARRAY_PASSES)) == 0


# -- Properties through a call --------------------------------------------------------------------


def test_properties_of_a_call() -> None:
    x, y = Operand("x", FLOAT64), Operand("y", FLOAT64)
    inner = Function("inner", (x,), Apply(DIVIDE, (x, Apply(ADD, (x, x)))))
    function = Function("f", (x, y), Apply(MULTIPLY, (Call(inner, (x,)), Apply(MULTIPLY, (Call(inner, (y,)), y)))))
    a, b = Operand("a", FLOAT64.array(2)), Operand("b", FLOAT64.array(1))
    call = Call(function, (a, b))
    one = DIVIDE.cost + ADD.cost
    assert cost(call) == operations(call) == 2 * one + 2 * MULTIPLY.cost
    both = Apply(ADD, (call, Call(function, (b, a))))
    assert total_operations((both,)) == operations(both) == 2 * cost(call) + ADD.cost
    facts = {"a": Layout((3, 4), (32, 8)), "b": Layout((4,), (8,))}
    assert shape(call, facts) == (3, 4)
    assert bytes_moved(call, facts) == 8 * (12 + 4)
    assert effects(call) == PURE and call.type is FLOAT64.array(2)


def test_shape_and_effects_through_functions_of_arrays() -> None:
    m, n = Operand("m", FLOAT64.array(2)), Operand("n", element("int64"))
    columns = Function("columns", (m,), Reduce(ADD, m, (0,)))
    a, b = Operand("a", FLOAT64.array(2)), Operand("b", element("int64").array(1))
    facts = Facts.of({"a": Layout((3, 4), (32, 8)), "b": Layout((4,), (8,))})
    assert shape(Call(columns, (a,)), facts) == (4,)
    assert shape(Call(columns, (Apply(ADD, (a, a)),)), facts) == (4,)
    assert effects(Call(Function("p", (n,), Apply(operator("power"), (n, n))), (b,))) == RAISES


def test_a_chain_of_functions_is_no_recursion() -> None:
    x = Operand("x", FLOAT64)
    function = Function("g", (x,), Apply(ADD, (x, x)))
    for k in range(20_000):
        function = Function(f"g{k}", (x,), Apply(ADD, (Call(function, (x,)), x)))
    assert cost(Call(function, (Operand("a", FLOAT64.array(1)),))) == 20_001


# -- Bits ---------------------------------------------------------------------------------------

TYPES = tuple(map(element, ("float64", "float32", "int64", "int16", "uint8", "bool", "complex128", "float16")))
NAMES = ("add", "multiply", "subtract", "maximum", "minimum", "square", "negative", "less", "logical_or", "where")


def _typed(value: Node, t: Any) -> Node:
    return value if value.type.element is t else Cast(value, t)


def random_function(rng: Any, name: str, known: list[Function]) -> Function:
    """A function of a few parameters of any types, whose body calls some of those that are known."""
    params = tuple(Operand(f"{'xyz'[k]}", TYPES[rng.integers(len(TYPES))]) for k in range(rng.integers(1, 4)))
    pool: list[Node] = [*params, Constant(0.75, FLOAT64), Constant(3, element("int16"))]

    def pick(t: Any = None) -> Node:
        node = pool[rng.integers(len(pool))]
        if t is not None and node.type.element.kind == "c" and t.kind in "iuf":
            node = next(n for n in pool if n.type.element.kind != "c")
        return node if t is None else _bounded(node, t)

    def _bounded(node: Node, t: Any) -> Node:
        if node.type.element.kind == "f" and t.kind in "iu":
            # Out of range a cast is open.
            node = Cast(Apply(LESS, (node, Constant(0.5, FLOAT64) if node.type is FLOAT64 else node)), BOOL)
        return _typed(node, t)

    for _ in range(rng.integers(3, 9)):
        op = operator(NAMES[rng.integers(len(NAMES))])
        t = TYPES[rng.integers(len(TYPES))]
        if t.kind not in op.kinds or (t.kind == "c" and op.name in ("less", "maximum", "minimum", "where")):
            t = FLOAT64
        if known and rng.random() < 0.4:
            function = known[rng.integers(len(known))]
            pool.append(Call(function, tuple(pick(p.type.element) for p in function.params)))
        elif op is WHERE:
            pool.append(Apply(op, (pick(BOOL), pick(t), pick(t))))
        elif op.name == "logical_or":
            pool.append(Apply(op, (pick(BOOL), pick(BOOL))))
        else:
            pool.append(Apply(op, tuple(pick(t) for _ in range(op.arity))))
    last = next((n for n in reversed(pool) if isinstance(n, (Apply, Call))), pool[-1])
    return Function(name, params, last)


def random_program(seed: int) -> tuple[Program, dict[str, Any]]:
    rng = np.random.default_rng(seed)
    known: list[Function] = []
    for k in range(rng.integers(1, 5)):
        known.append(random_function(rng, f"f{k}", known))
    shapes = ((), (7,), (1,), (5, 7), (5, 1), (700,))
    operands: list[Operand] = []
    arrays: dict[str, Any] = {}
    long = rng.random() < 0.3
    statements, results = [], []
    for k in range(rng.integers(1, 3)):
        values: list[Node] = []
        # Twice, or it would be expanded.
        function = known[rng.integers(len(known))]
        for _ in range(2):
            arguments = []
            for p in function.params:
                taken = [s for s in shapes if (s in ((), (1,), (700,)) if long else s != (700,))]
                wanted = taken[rng.integers(len(taken))]
                name, t = f"a{len(operands)}", p.type.element
                operands.append(Operand(name, t.array(len(wanted))))
                x = rng.integers(0, 2 if t.kind == "b" else 9, wanted) if t.kind in "biu" else rng.normal(size=wanted)
                arrays[name] = np.asarray(x).astype(t.dtype)
                arguments.append(operands[-1])
            values.append(Call(function, tuple(arguments)))
        test = Operand("test", BOOL.array(1))
        arrays["test"] = rng.random(1) < 0.5
        whole = Apply(WHERE, (test, *values))
        r = Operand(f"r{k}", whole.type.plain)
        results.append(r)
        statements.append(Assign(r, whole))
    used = {n for s in statements for n in nodes.postorder((s,))}
    program = Program("kernel", [o for o in (*operands, test) if o in used], statements, results)
    return program, {name: a for name, a in arrays.items() if any(o.name == name for o in program.operands)}


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.usefixtures("stay")
def test_random_composites_have_the_bits_of_their_meaning(seed: int) -> None:
    program, arrays = random_program(seed)
    with np.errstate(all="ignore"):
        expected = interpret(program, arrays)
    block = arrayexpr.compile(program, engine="block")
    assert calls_of(block.compiled.program) >= 2
    for kernel in (block, arrayexpr.compile(program, engine="c") if seed % 3 == 0 else block):
        got = kernel(*[arrays[o.name] for o in program.operands])
        for r, value in zip(program.results, got if isinstance(got, tuple) else (got,), strict=True):
            assert same(np.asarray(value), np.asarray(expected[r.name])), program


@pytest.mark.parametrize("engine", ["block", "c"])
@pytest.mark.usefixtures("stay")
@pytest.mark.parametrize(
    "text",
    [
        # Down and along reductions, twice.
        "reduce(add, g(a, b), (1,)) * g(reduce(maximum, a, (1,)), 2.0)",
        "reduce(add, g(a, b), (0,)) - g(b, 1.0)",
        "g(a, reduce(add, g(a, b), (1,), keepdims=True))",
        # Costly bodies along an axis each, beside vector math, and in a branch.
        "h(b) * a + exp(g(a, b))",
        "where(a > 0.5, h(g(a, h(a))), exp(h(a)))",
        "g(exp(a), h(exp(b)))",
    ],
)  # fmt: skip
def test_calls_among_what_else_there_is(engine: str, text: str) -> None:
    rank = 1 if text.startswith("reduce(") else 2
    program = parse(
        f"def f(a: float64[:, :], b: float64[:], *, r: float64[{', '.join(':' * rank)}]):\n"
        "    def g(x: float64, y: float64): return (x + y) * (x - y) / (x * x + 1.5)\n"
        "    def h(x: float64): return (x + 1.0) / (g(x, 0.25) - 9.0) / (x + 3.0)\n"
        f"    r[...] = {text}\n"
    )
    rng = np.random.default_rng(0)
    a, b = rng.random((40, 50)), rng.random(50)
    kernel = arrayexpr.compile(program, engine=engine)
    assert calls_of(kernel.compiled.program)
    for given in (a, np.asfortranarray(a), a[::2, ::-1]):
        column = b[: given.shape[1]]
        expected = interpret(program, {"a": given, "b": column})["r"]
        np.testing.assert_allclose(kernel(given, column), expected, rtol=1e-13, atol=1e-14)


def test_both_engines_have_the_same_bits_in_place_and_in_threads(stay: None) -> None:
    program = chained(3, 12)
    block, c = (arrayexpr.compile(program, engine=engine, threads=2) for engine in ("block", "c"))
    rng = np.random.default_rng(0)
    a, b = rng.random(300_001), rng.random(300_001)
    expected = block(a, b)
    assert np.array_equal(expected, c(a, b))
    for kernel in (block, c):
        again = a.copy()
        assert np.array_equal(kernel(again, b, out=again), expected)


def test_emitted_c_has_a_static_function() -> None:
    text = arrayexpr.emit(chained(300, 40))
    assert text.count("static inline double f_(double x, double y) {") == 1
    # The definition, and the calls where arrays are contiguous and where they are not.
    assert text.count("f_(") == 1 + 2 * 300


# -- In kernels ---------------------------------------------------------------------------------


@arrayexpr.function
def smooth(t: Any) -> Any:
    """Hermite's."""
    return t * t * (3 - 2 * t)


def traced(function: Any, *specs: Any) -> Program:
    return arrayexpr.build.trace(function, *specs)


def test_a_composite_is_one_node_of_a_kernel() -> None:
    program = traced(lambda a, b: smooth(a) + smooth(b) * smooth(smooth(a)), ("float64", 2), ("float64", 1))
    functions = [n for n in program.nodes() if isinstance(n, Function)]
    assert [f.name for f in functions] == ["smooth"] and calls_of(program) == 3


def test_a_composite_called_with_arrays_is_itself() -> None:
    assert smooth(0.5) == 0.5 and smooth.__doc__ == "Hermite's." and smooth.__name__ == "smooth"
    assert repr(smooth) == "<composite smooth(t: 'Any') -> 'Any'>"
    assert np.array_equal(smooth(np.arange(3.0)), [0, 1, -4])


def test_types_and_promotion_are_numpys() -> None:
    @arrayexpr.function
    def blend(x: Any, y: Any, /, *, weight: Any = 0.25) -> Any:
        return np.where(x > y, x * weight, y + 1)

    def kernel(a: Any, b: Any, s: Any) -> Any:
        return blend(a, b) + blend(b, s, weight=s), blend(a, 2)

    made = arrayexpr.kernel(kernel)
    for dtypes in itertools.product(("float32", "int8", "int64"), repeat=2):
        a, b = (np.arange(6).astype(t) for t in dtypes)
        for s in (3, np.float32(1.5), 2.5):
            for got, want in zip(made(a, b, s), kernel(a, b, s), strict=True):
                assert got.dtype == want.dtype and np.array_equal(got, want)


def test_composites_of_one_name_are_told_apart() -> None:
    def made(k: int) -> Any:
        @arrayexpr.function
        def same_name(x: Any) -> Any:
            return x * k + k

        return same_name

    one, two = made(1), made(2)
    program = traced(lambda a: one(a) + two(one(a)) + smooth(two(a)), ("float64", 1))
    names = [n.name for n in program.nodes() if isinstance(n, Function)]
    assert sorted(names) == ["same_name", "same_name_2", "smooth"]
    assert parse(str(program)) == program
    a = np.arange(3.0)
    two_a = a * 2 + 2
    expected = (a + 1) + ((a + 1) * 2 + 2) + two_a * two_a * (3 - 2 * two_a)
    assert np.array_equal(arrayexpr.compile(program)(a), expected)


def test_names_that_mean_something_else() -> None:
    @arrayexpr.function
    def sqrt(x: Any) -> Any:
        return x * x

    program = traced(lambda a: np.sqrt(sqrt(a)) + sqrt(a + 1), ("float64", 1))
    assert parse(str(program)) == program
    assert np.array_equal(arrayexpr.compile(program)(np.array([-3.0])), [7.0])


@pytest.mark.parametrize("name", ["reduces", "indexes", "assigns", "returns_two", "captures", "branches", "constant"])
def test_what_is_no_function_of_elements_is_traced_in_its_place(name: str) -> None:
    def reduces(x: Any, y: Any) -> Any:
        return x / x.sum() + y

    def indexes(x: Any, y: Any) -> Any:
        return x[::-1] * y

    def assigns(x: Any, y: Any) -> Any:
        x[0] = 7
        return x + y

    def returns_two(x: Any, y: Any) -> Any:
        return x + y, x - y

    def captures(x: Any, y: Any) -> Any:
        return x * np.float64(2) + (y if y.ndim else 0)

    def branches(x: Any, y: Any) -> Any:
        return x.mean() if x.ndim == 1 else y

    def constant(x: Any, y: Any) -> Any:
        return x

    function = locals()[name]
    composite = arrayexpr.function(function)

    def kernel(call: Any) -> Any:
        def run(a: Any, b: Any) -> Any:
            found = call(a, b)
            return found[0] * found[1] if isinstance(found, tuple) else found * 2

        return run

    a, b = np.arange(1.0, 5.0), np.arange(4.0)
    other = a.copy()
    got, want = arrayexpr.kernel(kernel(composite))(a, b), kernel(function)(other, b)
    np.testing.assert_allclose(got, want, rtol=1e-15)
    assert np.array_equal(a, other)


def test_the_shape_is_that_of_what_is_read() -> None:
    first = arrayexpr.function(lambda x, y: x * 2)
    program = traced(lambda a, b: first(a, b), ("float64", 1), ("float64", 2))
    assert program.results[0].type.rank == 1


def test_values_keep_what_they_had_when_a_composite_took_them() -> None:
    def kernel(a: Any, b: Any) -> Any:
        before = smooth(a)
        a[...] = b
        return before + smooth(a)

    a, b = np.arange(4.0), np.ones(4)
    want = smooth(a) + smooth(b)
    assert np.array_equal(arrayexpr.kernel(kernel)(a, b), want)


def test_errors_are_those_of_the_function_itself() -> None:
    @arrayexpr.function
    def wrong(x: Any) -> Any:
        return np.linalg.norm(x)

    with pytest.raises(arrayexpr.UnsupportedError, match="norm cannot be traced"):
        arrayexpr.kernel(lambda a: wrong(a))(np.ones(3))
    with pytest.raises(TypeError, match="too many positional arguments"):
        arrayexpr.kernel(lambda a: smooth(a, a))(np.ones(3))
