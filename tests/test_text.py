"""The text form: what is printed parses to an equal tree, and what is no program is refused with its place."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import values
from strategies import elementwise_programs, loop_programs, programs

from arrayexpr._core.errors import ParseError, UnsupportedError, VerifyError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.layout import Layout
from arrayexpr._core.nodes import (
    ROLES,
    Apply,
    Assign,
    Barrier,
    Call,
    Cast,
    Constant,
    Contract,
    Extent,
    For,
    Function,
    Guard,
    Index,
    Load,
    Loop,
    Node,
    Opaque,
    Operand,
    Pack,
    Reduce,
    Scratch,
    SideEffect,
    Slice,
    Store,
    Stride,
    Unreorderable,
    View,
)
from arrayexpr._core.ops import Operator, operator, operators, register
from arrayexpr._core.parser import parse
from arrayexpr._core.printer import MAX_NESTING, SYMBOLS, is_name, print_program, show
from arrayexpr._core.program import Program
from arrayexpr._core.types import FLOAT64, INT64, ElementType, Foreign, element, elements
from arrayexpr._core.verify import verify

A = Operand("a", FLOAT64.array(2))
B = Operand("b", FLOAT64.array(1))
S = Operand("s", FLOAT64)
N = Operand("n", INT64)
R = Operand("r", FLOAT64.array(2))
ADD, MULTIPLY, POWER, NEGATIVE = map(operator, ("add", "multiply", "power", "negative"))
HEAD = "def f(a: float64[:, :], b: float64[:], s: float64, n: int64, *, r: float64[:, :]):\n"


def program(*statements: Node, **more: object) -> Program:
    return Program("f", (A, B, S, N), statements, (R,), **more)  # type: ignore[arg-type]


def text_of(node: Node) -> str:
    """The text of an expression, which must read back as the same node."""
    made = program(Assign(Operand("r", node.type), node))
    made = Program("f", (A, B, S, N), made.statements, (Operand("r", node.type.plain),))
    text = str(made)
    assert parse(text) == made, text
    return text.splitlines()[-1].partition(" = ")[2]


def round_trip(made: Program) -> str:
    text = str(made)
    again = parse(text)
    assert again == made, text
    assert all(x is y for x, y in zip(again.statements, made.statements, strict=True))
    assert str(again) == text
    return text


def statement(node: Node) -> list[str]:
    return [line[4:] for line in round_trip(program(node)).splitlines()[1:]]


def call(name: str, *args: Node) -> Node:
    return Apply(operator(name), args)


# -- Expressions --


def test_precedence() -> None:
    minus, two = operator("subtract"), Constant(2.0, FLOAT64)
    for node, expected in [
        (Apply(ADD, (Apply(MULTIPLY, (A, B)), S)), "a * b + s"),
        (Apply(MULTIPLY, (Apply(ADD, (A, B)), S)), "(a + b) * s"),
        (Apply(minus, (A, Apply(minus, (B, S)))), "a - (b - s)"),
        (Apply(minus, (Apply(minus, (A, B)), S)), "a - b - s"),
        (Apply(POWER, (A, Apply(POWER, (B, S)))), "a ** b ** s"),
        (Apply(POWER, (Apply(POWER, (A, B)), S)), "(a ** b) ** s"),
        (Apply(POWER, (Apply(NEGATIVE, (A,)), S)), "(-a) ** s"),
        (Apply(NEGATIVE, (Apply(POWER, (A, S)),)), "-a ** s"),
        (Apply(POWER, (A, Apply(NEGATIVE, (S,)))), "a ** -s"),
        (Apply(NEGATIVE, (Apply(NEGATIVE, (A,)),)), "--a"),
        (Apply(POWER, (Constant(-2.0, FLOAT64), S)), "(-2.0) ** s"),
        (Apply(POWER, (two, S)), "2.0 ** s"),
        (Apply(NEGATIVE, (two,)), "negative(2.0)"),
        (Apply(NEGATIVE, (Constant(-2.0, FLOAT64),)), "negative(-2.0)"),
        (call("logical_not", call("less", A, B)), "not a < b"),
        (call("logical_and", call("less", A, B), call("logical_not", call("equal", A, B))), "a < b and not a == b"),
        (call("less", call("less", A, B), call("less", A, B)), "_0 < _0"),
        (Contract(A, Apply(MULTIPLY, (A, B))), "a @ (a * b)"),
        (Apply(MULTIPLY, (Contract(A, A), A)), "a @ a * a"),
        (View(Apply(ADD, (A, B)), order=(1, 0)), "(a + b).transpose(1, 0)"),
        (View(two, subscripts=(None,)), "(2.0)[None]"),
    ]:
        assert text_of(node) == expected


def test_comparisons_in_comparisons_and_logic_on_the_right_take_parentheses() -> None:
    less = call("less", A, B)
    assert text_of(call("equal", less, call("greater", A, B))) == "(a < b) == (a > b)"
    x, y, z = (call("less", A, Constant(k, FLOAT64)) for k in range(3))
    both = operator("logical_and")
    assert text_of(Apply(both, (Apply(both, (x, y)), z))) == "a < 0.0 and a < 1.0 and a < 2.0"
    assert text_of(Apply(both, (x, Apply(both, (y, z))))) == "a < 0.0 and (a < 1.0 and a < 2.0)"
    either = operator("logical_or")
    assert text_of(Apply(either, (Apply(both, (x, y)), z))) == "a < 0.0 and a < 1.0 or a < 2.0"
    assert text_of(Apply(both, (Apply(either, (x, y)), z))) == "(a < 0.0 or a < 1.0) and a < 2.0"


@pytest.mark.parametrize("op", operators(), ids=str)
def test_every_operator(op: Operator) -> None:
    if op.arity == 1 and op.reduction is not None:
        return
    fixed = {"B": element("bool"), "I": INT64, "N": element("int32"), "U": element("uint8")}
    main = next(t for t in elements() if t.kind == op.kinds[-1] and t.name in (op.only or t.name))
    given = [Operand(f"x{k}", fixed.get(p, main).array(1)) for k, p in enumerate(op.signature.split(">")[0])]
    node = Apply(op, tuple(given))
    made = Program("f", given, [Assign(Operand("r", node.type), node)], [Operand("r", node.type)])
    text = round_trip(made)
    if op.symbol is not None:
        assert f"{op.name}(" not in text and op.symbol.strip() in text
        assert SYMBOLS[op.symbol.strip(), op.arity] is op
    else:
        assert f"= {op.name}(x0" in text


def test_views() -> None:
    for node, expected in [
        (View(A, subscripts=(Slice(1), None, 0)), "a[1:, None, 0]"),
        (View(A, subscripts=(Slice(None, -1, 2), Slice(None, None, -1))), "a[:-1:2, ::-1]"),
        (View(A, subscripts=(0, -1)), "a[0, -1, ...]"),
        (View(S, subscripts=()), "s[...]"),
        (View(S, subscripts=(None, None)), "s[None, None]"),
        (View(S, order=()), "s.transpose()"),
        (View(A, order=(1, 0)), "a.transpose(1, 0)"),
        (View(View(A, order=(1, 0)), subscripts=(0, Slice())), "a.transpose(1, 0)[0, :]"),
    ]:
        assert text_of(node) == expected
    assert parse(HEAD + "    r[...] = a.T + a[...]\n")
    short = parse(HEAD + "    r[...] = b[None, ...]\n").statements[0]
    assert short is Assign(R, View(B, subscripts=(None, Slice())))


def test_other_expressions() -> None:
    i8 = element("int8")
    for node, expected in [
        (Cast(A, element("float32")), "cast(a, float32)"),
        (Reduce(ADD, A, (0, 1)), "reduce(add, a, (0, 1))"),
        (Reduce(ADD, A, (0,), True), "reduce(add, a, (0,), keepdims=True)"),
        (Reduce(ADD, S, ()), "reduce(add, s, ())"),
        (Load(A, (N, Apply(ADD, (N, Constant(1, INT64))))), "a[n, n + 1]"),
        (Load(S, ()), "s[()]"),
        (Extent(A, 1), "a.shape[1]"),
        (Stride(A, 0), "a.strides[0]"),
        (Opaque("host", (A, B), FLOAT64.array(2)), 'opaque("host", a, b, type=float64[:, :])'),
        (Opaque("host", (), i8), 'opaque("host", type=int8)'),
        (SideEffect(A, ("b", "a"), ()), 'side_effect(a, reads=("a", "b"), writes=())'),
        (SideEffect(A, "a"), 'side_effect(a, reads=("a",))'),
        (SideEffect(A), "side_effect(a)"),
        (Unreorderable(A), "unreorderable(a)"),
    ]:
        assert text_of(node) == expected


# -- Constants --


@pytest.mark.parametrize("t", elements(), ids=str)
def test_constants_are_kept_bit_for_bit(t: ElementType) -> None:
    rng = np.random.default_rng(1)
    scalars = [*values(t, (300,), rng)]
    if t.kind in "fc" and t.bits not in (80, 160):
        raw = rng.integers(0, 256, (300, t.itemsize), dtype=np.uint8)
        # Every kind of NaN: the exponent's bits are all ones.
        half = t.itemsize // (2 if t.kind == "c" else 1)
        raw[:200, half - 2 : half] |= np.array([0xF0 if half == 8 else 0x80, 0x7F], np.uint8)
        scalars += list(raw.reshape(-1).view(t.dtype))
    for scalar in scalars:
        text_of(Constant(scalar, t))


def test_constants() -> None:
    f32, c128 = element("float32"), element("complex128")
    nan = np.uint64(0x7FF80000000000FF).view(np.float64)
    for node, expected in [
        (Constant(3, INT64), "3"),
        (Constant(-3, INT64), "-3"),
        (Constant(-(2**63), INT64), "-9223372036854775808"),
        (Constant(2.5, FLOAT64), "2.5"),
        (Constant(-0.0, FLOAT64), "-0.0"),
        (Constant(1e300, FLOAT64), "1e+300"),
        (Constant(True, element("bool")), "True"),
        (Constant(-3, element("int8")), "int8(-3)"),
        (Constant(0.1, f32), "float32(0.1)"),
        (Constant(np.inf, FLOAT64), 'float64("inf")'),
        (Constant(-np.inf, f32), 'float32("-inf")'),
        (Constant(np.nan, FLOAT64), 'float64("nan")'),
        (Constant(nan, FLOAT64), 'float64(bits="7ff80000000000ff")'),
        (Constant(complex(1, -0.0), c128), "complex128(1.0, -0.0)"),
        (Constant(complex(np.inf, np.nan), c128), 'complex128("inf", "nan")'),
    ]:
        assert text_of(node) == expected
    if any(t.name == "longdouble" for t in elements()):
        # The padding of such a number is arbitrary, and is no part of it.
        for _ in range(5):
            assert Constant(1.25 + 2j, element("clongdouble")) is Constant(1.25 + 2j, element("clongdouble"))
        assert text_of(Constant(np.longdouble("1.25"), element("longdouble"))) == 'longdouble("1.25")'


# -- Statements --


def test_statements() -> None:
    i, j = Index("i"), Index("j")
    zero, one = Constant(0, INT64), Constant(1, INT64)
    tile = Operand("t", FLOAT64.array(2, order="C"))
    store = Store(R, (i, i), Load(A, (i, i)))
    turned = View(R, order=(1, 0))
    for node, expected in [
        (Assign(R, A), ["r[...] = a"]),
        (Assign(View(R, subscripts=(Slice(1), Slice(None, None, 2))), S), ["r[1:, ::2] = s"]),
        (Assign(View(R, subscripts=(0, 1)), S), ["r[0, 1, ...] = s"]),
        (Assign(turned, A), ["r.transpose(1, 0)[...] = a"]),
        (Assign(View(turned, subscripts=(0,)), B), ["r.transpose(1, 0)[0, :] = b"]),
        (Assign(View(S, subscripts=()), S), ["s[...][...] = s"]),
        (Store(A, (N, N), S), ["a[n, n] = s"]),
        (Store(S, (), S), ["s[()] = s"]),
        (Scratch(tile, (N, one)), ["t = scratch(float64['C', :, :], n, 1)"]),
        (Pack(A, R, (zero, N), (one, one)), ["pack(a, r, starts=(0, n), extents=(1, 1))"]),
        (Barrier(), ["barrier()"]),
        (For(i, zero, N, one, ()), ["for i in range(0, n, 1):", "    pass"]),
        (For(i, zero, N, one, (store,)), ["for i in range(0, n, 1):", "    r[i, i] = a[i, i]"]),
        (Guard(call("less", N, one), (Assign(R, A),)), ["if n < 1:", "    r[...] = a"]),
        (
            Guard(call("less", N, one), (), (Assign(R, A), Barrier())),
            ["if n < 1:", "    pass", "else:", "    r[...] = a", "    barrier()"],
        ),
        (SideEffect(Assign(R, A), (), "r"), ['with side_effect(reads=(), writes=("r",)):', "    r[...] = a"]),
        (
            Unreorderable(SideEffect(Assign(R, A))),
            ["with unreorderable():", "    with side_effect():", "        r[...] = a"],
        ),
        (SideEffect(Opaque("g", (A,), FLOAT64)), ['side_effect(opaque("g", a, type=float64))']),
        (Unreorderable(A), ["unreorderable(a)"]),
        (
            For(i, zero, N, one, (For(j, i, N, one, (Store(A, (i, j), S),)),)),
            ["for i in range(0, n, 1):", "    for j in range(i, n, 1):", "        a[i, j] = s"],
        ),
    ]:
        assert statement(node) == expected
    for role in sorted(ROLES):
        assert statement(Loop(i, zero, N, one, role, ()))[0] == f"for i in {role}(0, n, 1):"


def test_scratch_and_indices_end_with_their_block() -> None:
    text = HEAD + (
        "    for i in range(0, n, 1):\n        t = scratch(float64[:], 4)\n        t[i] = s\n"
        "    for i in range(0, n, 1):\n        t = scratch(int64[:], 4)\n        t[i] = n\n"
    )
    assert round_trip(parse(text)) == text
    with pytest.raises(ParseError, match="unknown name 't'"):
        parse(text + "    t[0] = n\n")
    with pytest.raises(ParseError, match="unknown name 'i'"):
        parse(text + "    r[i, 0] = s\n")


def test_layouts_types_and_an_empty_program() -> None:
    typed = [
        Operand("a", FLOAT64.array(2, layout=("strided", "unit"))),
        Operand("b", element("int8").array(2, order="F")),
        Operand("c", element("bool").array(1, layout=("broadcast",))),
        Operand("d", Foreign("point").array(2)),
        Operand("e", Foreign("point")),
    ]
    made = Program("p", typed, (), layouts={"a": Layout((2, 3), (-48, 16)), "c": Layout((5,), (0,))})
    assert round_trip(made) == (
        "@layouts(a=((2, 3), (-48, 16)), c=((5,), (0,)))\n"
        "def p(a: float64[:, ::1], b: int8['F', :, :], c: bool[::0], "
        'd: foreign("point")[:, :], e: foreign("point")):\n    pass\n'
    )


def test_functions_are_printed_once_in_the_order_of_their_calls() -> None:
    x, y = Operand("x", FLOAT64), Operand("a", FLOAT64)
    inner = Function("g", (x,), Apply(MULTIPLY, (x, x)))
    square = Call(inner, (y,))
    outer = Function("f", (y,), Apply(ADD, (square, square)))
    both = Apply(ADD, (Call(outer, (A,)), Call(inner, (A,))))
    assert round_trip(program(Assign(R, both))).splitlines()[1:] == [
        "    def g(x: float64):",
        "        return x * x",
        "    def f(a: float64):",
        "        _0 = g(a)",
        "        return _0 + _0",
        "    r[...] = f(a) + g(a)",
    ]


def test_a_function_may_be_named_as_an_operator() -> None:
    x = Operand("x", FLOAT64)
    root = Function("sqrt", (x,), call("sqrt", x))
    text = round_trip(program(Assign(R, Apply(ADD, (Call(root, (A,)), call("sqrt", A))))))
    assert 'return apply("sqrt", x)' in text and 'sqrt(a) + apply("sqrt", a)' in text
    with pytest.raises(ParseError, match="has the name of a word"):
        parse(HEAD + "    def cast(x: float64):\n        return x\n    r[...] = a\n")


def test_an_operator_may_have_any_name() -> None:
    for name in ("cast", "int8", "lambda"):
        op = register(Operator(name, "TT>T", "f", np.add, reduction="add"))
        assert text_of(Apply(op, (A, B))) == f'apply("{name}", a, b)'
        assert parse(HEAD + f'    r[...] = apply("{name}", a, b)\n')
    assert text_of(Reduce(operator("lambda"), A, (0, 1))) == 'reduce("lambda", a, (0, 1))'


# -- Aliases --


def test_aliases_are_for_what_is_used_again() -> None:
    product = Apply(MULTIPLY, (A, B))
    assert statement(Assign(R, Apply(ADD, (product, product)))) == ["_0 = a * b", "r[...] = _0 + _0"]
    # What is assigned to is written out, though it is read as well.
    tail = View(R, subscripts=(Slice(1), Slice()))
    assert statement(Assign(tail, Apply(ADD, (tail, S)))) == ["r[1:, :] = r[1:, :] + s"]
    # An effect runs at every place where it is written.
    effect = Apply(ADD, (SideEffect(A), B))
    assert statement(Assign(R, Apply(ADD, (effect, effect)))) == ["r[...] = side_effect(a) + b + (side_effect(a) + b)"]


def test_aliases_do_not_take_the_names_of_operands() -> None:
    zero, index, first = Operand("_0", FLOAT64), Index("_1"), Operand("_2", FLOAT64.array(1))
    twice = Apply(MULTIPLY, (zero, zero))
    body = Store(first, (index,), Apply(ADD, (twice, twice)))
    loop = For(index, Constant(0, INT64), Extent(first, 0), Constant(1, INT64), (body,))
    text = round_trip(Program("_3", (zero, first), (loop,)))
    assert "_3 = _0 * _0\n" in text


def test_effects_shared_a_hundred_times_stay_short() -> None:
    node: Node = SideEffect(A)
    for _ in range(100):
        node = Apply(ADD, (node, node))
    assert len(round_trip(program(Assign(R, node)))) < 100_000


@pytest.mark.parametrize("shape", ["chain", "right", "unary", "views", "casts", "functions", "tree"])
def test_100_000_nodes_print_and_parse_in_seconds(shape: str) -> None:
    node: Node = A
    before = time.process_time()
    if shape == "tree":
        level: list[Node] = [Apply(ADD, (A, Constant(float(k), FLOAT64))) for k in range(2**15)]
        while len(level) > 1:
            level = [Apply(ADD, pair) for pair in zip(level[::2], level[1::2], strict=True)]
        node = level[0]
    else:
        x = Operand("x", FLOAT64)
        function = Function("g", (x,), x)
        for k in range(20_000 if shape == "functions" else 100_000):
            if shape == "chain":
                node = Apply(ADD, (node, B))
            elif shape == "right":
                node = Apply(POWER, (B, node))
            elif shape == "unary":
                node = Apply(NEGATIVE, (node,))
            elif shape == "views":
                node = View(node, order=(1, 0))
            elif shape == "casts":
                node = Cast(node, element("float32") if k % 2 else FLOAT64)
            else:
                function = Function(f"g{k}", (x,), Apply(ADD, (Call(function, (x,)), x)))
        if shape == "functions":
            node = Call(function, (A,))
    node = Cast(node, FLOAT64)
    round_trip(program(Assign(R, node)))
    if shape == "views":
        round_trip(program(Assign(node.args[0], A)))
    assert time.process_time() - before < 20


def test_statements_nest_as_deep_as_python_reads() -> None:
    zero, one = Constant(0, INT64), Constant(1, INT64)
    node: Node = Assign(R, A)
    for k in range(MAX_NESTING):
        node = For(Index(f"i{k}"), zero, one, one, (node,))
    round_trip(program(node))
    with pytest.raises(UnsupportedError, match="more than 90 deep"):
        str(program(For(Index("j"), zero, one, one, (node,))))


# -- Properties --


@given(programs(max_nodes=10))
def test_random_programs_round_trip(case) -> None:  # type: ignore[no-untyped-def]
    round_trip(case.program)


@given(loop_programs())
def test_random_loops_round_trip(case) -> None:  # type: ignore[no-untyped-def]
    round_trip(case.program)


@given(elementwise_programs(max_nodes=4, views=False), st.text(max_size=6), st.integers(0, 400))
def test_a_broken_text_is_refused_or_read(case, noise: str, place: int) -> None:  # type: ignore[no-untyped-def]
    text = str(case.program)
    place %= len(text)
    for broken in (text[:place] + noise + text[place:], text[:place], text[place:], text[:place] + text[place + 1 :]):
        try:
            parse(broken)
        except ParseError as error:
            assert error.lineno and error.offset and error.offset >= 1


# -- Errors --


@pytest.mark.parametrize(
    "line, message, column",
    [
        ("r[...] = a + c", "unknown name 'c'", 18),
        ("r[...] = a + bb", "unknown name 'bb': did you mean 'b'?", 18),
        ("r[...] = sqrt", "sqrt is a function: expected its arguments", 14),
        ("r[...] = sqr(a)", "unknown function 'sqr': did you mean 'sqrt'?", 14),
        ("r[...] = __import__('os')", "unknown function '__import__'", 14),
        ("__import__('os').system('x')", "expected the name of a function", 5),
        ("r[...] = a + n", "add takes operands of one type: got float64, int64", 14),
        ("r[...] = b * (a & s)", "bitwise_and is not defined on float64", 19),
        ("r[...] = a < b", "Assign of bool[:, :] to r, which is float64[:, :]: expected a Cast", 5),
        ("b[...] = a", "Assign of rank 2 to b of rank 1", 5),
        ("r[...] = sqrt(a, b)", "sqrt takes 1 operands: got 2", 14),
        ("r[...] = a if s else b", "expected where(condition, x, y)", 14),
        ("r[...] = (a < b < s)", "a chain of comparisons", 15),
        ("r[...] = +a", "unary + is no operator", 14),
        ("r[...] = a in b", "in is no operator", 14),
        ("r[...] = lambda: a", "a lambda is no expression", 14),
        ("r[...] = [a]", "a list is no expression", 14),
        ("r[...] = 'a'", "a text is no expression", 14),
        ("r[...] = None", "None is no expression", 14),
        ("r[...] = a.real", "unknown attribute 'real'", 14),
        ("r[...] = a[0, 0, 0]", "Load of a has 3 subscripts: expected 2", 14),
        ("r[...] = a[s, 0]", "subscript of a is float64: expected a scalar int64", 14),
        ("r[...] = a[::n, 0]", "step of a view: expected a whole number", 18),
        ("r[...] = a[1:, 0, 0]", "View has 3 subscripts for a value of rank 2", 14),
        ("r[...] = a[..., ...]", "one '...' at most", 21),
        ("r[...] = a[::0, :]", "View's slice has step 0", 14),
        ("r[...] = a.transpose(0, 0)", "expected a permutation", 14),
        ("r[...] = (a + b)[0, 0]", "expected the name of an operand", 15),
        ("r[...] = cast(a, float63)", "unknown element type 'float63'", 22),
        ("r[...] = cast(a)", "expected cast(x, element type)", 14),
        ("r[...] = reduce(add, a, (2,))", "expected distinct axes from 0 to 1", 14),
        ("r[...] = reduce(add, a, 0)", "axes: expected a tuple", 29),
        ("r[...] = reduce(sqrt, a, (0,))", "sqrt is no reduction", 14),
        ("r[...] = reduce(foo, a, (0,))", "no operator is named 'foo'", 21),
        ("r[...] = argmin(a)", "argmin only reduces: expected reduce(argmin, x, axes)", 14),
        ("r[...] = float32(a)", "float32", 22),
        ("r[...] = int8(300)", "constant 300 does not fit int8: expected -128 to 127", 14),
        ("r[...] = 9223372036854775808", "does not fit int64", 14),
        ("r[...] = float64(bits='xyz')", "expected 16 hexadecimal digits", 14),
        ("r[...] = opaque(a, type=float64)", "opaque: expected a name in quotes", 21),
        ("r[...] = opaque('g', a)", "expected a type", 14),
        ("r[...] = opaque('g', a, typ=float64)", "takes no keyword 'typ' here: expected type", 29),
        ("r[...] = a.shape", "unknown attribute 'shape'", 14),
        ("r[...] = a.shape[2]", "axis 2 of a: expected 0 to 1", 14),
        ("r[...] = a.shape[99999999999999999999]", "too large", 14),
        ("r[...] = sqrt(*a)", "a starred argument", 19),
        ("r[...] = sqrt(x=a)", "takes no keyword 'x' here", 19),
        ("r = a", "expected r[...] = ... to assign", 5),
        ("r[...] += a", "an augmented assignment is no statement", 5),
        ("q[...] = a", "unknown name 'q'", 5),
        ("(a + b)[...] = a", "expected an Operand or views of one", 5),
        ("r[...] = b[...] = a", "expected one target", 5),
        ("_0 = a; _0 = b", "name '_0' is declared already", 13),
        ("a = scratch(float64[:], 3)", "name 'a' is declared already", 5),
        ("t = scratch(float64[:])", "Scratch of t has 0 subscripts: expected 1", 9),
        ("a + b", "an expression without an effect is no statement", 5),
        ("import os", "import is no statement", 5),
        ("while s: pass", "while is no statement", 5),
        ("for i in a: pass", "expected range(start, stop, step)", 14),
        ("for i in range(3): pass", "range takes start, stop and step: got 1 bounds", 14),
        ("for i in gpu(0, n, 1): pass", "expected range(start, stop, step), or one of block", 14),
        ("for i in range(0, s, 1): pass", "bound of the loop over i is float64", 14),
        ("for n in range(0, 1, 1): pass", "name 'n' is declared already", 9),
        ("if a: pass", "Guard's condition is float64[:, :]: expected a scalar bool", 8),
        ("with open('x'): pass", "expected with side_effect", 5),
        ("with side_effect(): pass", "around 0 statements: expected exactly one", 5),
        ("with side_effect(reads='a'): barrier()", "reads: expected a tuple of names", 28),
        ("pack(a, r)", "expected pack(target, source, starts", 5),
        ("return a", "return is no statement", 5),
        ("def g(x: float64): pass", "ends without return", 24),
        ("def g(x): return x", "expected a type", 11),
        ("def g(x: float64): return a", "unknown name 'a'", 31),
        ("def g(x: float64, x: float64): return x", "name 'x' is declared already", 23),
        ("r[...] = a +", "invalid syntax", 17),
    ],
)
def test_errors_name_the_culprit_and_its_place(line: str, message: str, column: int) -> None:
    with pytest.raises(ParseError) as caught:
        parse(f"{HEAD}    {line}\n")
    assert message in str(caught.value)
    assert (caught.value.lineno, caught.value.offset) == (2, column), str(caught.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "expected one program"),
        ("a + b", "expected one program"),
        ("def f(): pass\ndef g(): pass", "expected one program"),
        ("def f(a): pass", "expected a type, as in a: float64[:, :]"),
        ("def f(a: float64[1]): pass", "expected an axis"),
        ("def f(a: float64[:, ::5]): pass", "expected an axis"),
        ("def f(a: float64['D', :]): pass", "order 'D' is unknown"),
        ("def f(a: float64['C', ::1]): pass", "order 'C' says all"),
        ("def f(a: float64['C']): pass", "expected an axis ':' or more"),
        (f"def f(a: float64[{', '.join(':' * 33)}]): pass", "rank 33 is not supported"),
        ("def f(a: float64 = 1): pass", "expected operands as in"),
        ("def f(*a: float64): pass", "expected operands as in"),
        ("def f(a: float64, *, a: float64): pass", "name 'a' is declared already"),
        ("def f() -> float64: pass", "expected no type after '->'"),
        ("def f(a: foreign('float64')): pass", "is the name of an element type"),
        ("@layouts(a=((1,), (8,)))\ndef f(): pass", "layout of 'a', which is no operand"),
        ("@layouts(a=((1,), (8, 8)))\ndef f(a: float64[:]): pass", "expected one stride an axis"),
        ("@cache\ndef f(): pass", "expected one @layouts"),
        ("def f(a: float64):\n        pass\n    pass", "unindent does not match"),
        ("def f():\n    \0pass", "null character (line 2, column 5)"),
        ("def f(): \ud800", "is no source text"),
        ("9" * 5000, "integer string conversion"),
    ],
)
def test_errors_of_the_head(text: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_an_error_says_its_place_once() -> None:
    with pytest.raises(ParseError) as caught:
        parse("def f(*, r: float64):\n    r[...] = 'a'\n")
    assert str(caught.value).count("line 2, column 14") == 1


def test_columns_count_characters() -> None:
    with pytest.raises(ParseError, match=r"line 2, column 22"):
        parse("def f(größe: float64, *, r: float64):\n    r[...] = größe * x\n")


@pytest.mark.parametrize(
    "expression",
    [
        "-" * 100_000 + "a",
        "not " * 100_000 + "a",
        "(" * 100_000 + "a" + ")" * 100_000,
        "sqrt(" * 100_000 + "a" + ")" * 100_000,
        "sqrt(" * 100_000,
        "a" + " + a" * 100_000,
        "a ** " * 100_000 + "a",
        "a" + "[0]" * 100_000,
        "a" + ".T" * 100_000,
        "a" + "(a)" * 100_000,
        "a if b else " * 100_000 + "a",
        "lambda: " * 100_000 + "a",
        "[" * 100_000,
        "x" * 1_000_000,
        "a, " * 300_000,
        '"' + "x" * 1_000_000 + '"',
        "1" * 1_000_000,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_texts_are_refused(expression: str) -> None:
    before = time.process_time()
    with pytest.raises(ParseError) as caught:
        parse(f"{HEAD}    r[...] = {expression}\n")
    assert len(str(caught.value)) < 600
    assert time.process_time() - before < 20


@pytest.mark.parametrize(
    "body",
    ["    if s: pass\n" + "    elif s: pass\n" * 20_000, "".join(" " * k + "if s < s:\n" for k in range(4, 300))],
    ids=["elif", "if"],
)
def test_hostile_blocks_are_refused(body: str) -> None:
    with pytest.raises(ParseError):
        parse(HEAD + body)


def test_a_chain_of_elif_within_what_python_reads_is_refused_too() -> None:
    with pytest.raises(ParseError, match="more than 90 deep"):
        parse(HEAD + "    if s < s:\n        pass\n" + "    elif s < s:\n        pass\n" * 300)


def test_a_long_flat_text_is_read() -> None:
    node = A
    for _ in range(500):
        node = Apply(ADD, (node, A))
    assert parse(f"{HEAD}    r[...] = {' + '.join(['a'] * 501)}\n").statements[0] is Assign(R, node)
    lines = "".join(f"    r[...] = a * {k}.0\n" for k in range(30_000))
    assert len(parse(HEAD + lines).statements) == 30_000


# -- One line for a node --


def test_show_is_one_short_line_for_any_node() -> None:
    node: Node = A
    for _ in range(100_000):
        node = Apply(ADD, (node, node))
    assert len(show(node)) < 200 and "\n" not in show(node) and show(node) == repr(node)
    wide = Opaque("g", (A,) * 100_000, FLOAT64)
    assert len(show(wide)) < 200
    loop = For(Index("i"), N, N, N, (Assign(R, node),))
    assert show(loop) == "for i in range(n, n, n): ..."
    assert show(SideEffect(loop)) == "with side_effect(): for i in range(n, n, n): ..."
    assert show(Guard(call("less", N, N), ())) == "if n < n: ..."
    assert show(Scratch(S, ())) == "s = scratch(float64)"
    assert show(Scratch(A, (N, N))) == "a = scratch(float64[:, :], n, n)"
    assert show(Pack(A, R, (N, N), (N, N))) == "pack(a, r, starts=(n, n), extents=(n, n))"
    assert show(Store(A, (N, N), S)) == "a[n, n] = s"
    assert show(Store(S, (), S)) == "s[()] = s"
    assert show(Barrier()) == "barrier()"
    assert show(Function("g", (S,), S)) == "def g(s: float64): return s"


def test_print_program_is_str() -> None:
    made = program(Assign(R, A))
    assert print_program(made) == str(made) == HEAD + "    r[...] = a\n"
    assert is_name("größe") and not is_name("None") and not is_name("") and not is_name(3)


@pytest.mark.parametrize(
    "name", ["printer", "parser", "verify", "interpret", "program", "types", "ops", "layout", "errors"]
)
def test_examples_in_docstrings(name: str) -> None:
    import doctest
    import importlib

    module = importlib.import_module(f"arrayexpr._core.{name}")
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(module, optionflags=flags).failed == 0


def test_locals_are_declared_at_the_head_of_the_body() -> None:
    text = (
        "def f(a: float64[:], *, r: float64[:]):\n"
        "    t = local(float64[:])\n"
        "    t[...] = a * 2.0\n    a[...] = a + 1.0\n    r[...] = t\n"
    )
    program = parse(text)
    verify(program)
    assert str(program) == text and parse(str(program)) == program
    assert [operand.name for operand in program.locals] == ["t"]
    array = np.arange(3.0)
    assert interpret(program, {"a": array})["r"].tolist() == [0.0, 2.0, 4.0] and array.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "line, message",
    [
        ("a = local(float64[:])", "name 'a' is declared already"),
        ("t = local(float64[:], 3)", "expected a local as in"),
        ("t[0] = local(float64[:])", "expected a local as in"),
        ("t = local(nothing)", "nothing"),
    ],
)
def test_locals_refused(line: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse(f"def f(a: float64[:], *, r: float64[:]):\n    {line}\n    r[...] = a\n")


@pytest.mark.parametrize("first", ["r[...] = t", "t[1:] = a", "t[...] = t + a"])
def test_a_local_is_first_assigned_as_a_whole(first: str) -> None:
    body = f"    t = local(float64[:])\n    {first}\n    t[...] = a\n    r[...] = a\n"
    with pytest.raises(VerifyError, match="local t is first touched by"):
        verify(parse(f"def f(a: float64[:], *, r: float64[:]):\n{body}"))
