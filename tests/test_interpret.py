"""interpret gives each node its meaning in NumPy: against NumPy written by hand, and evaluated at random."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS, clone, lay_out, same, ulps, values
from strategies import (
    Case,
    applicable,
    elementwise_programs,
    loop_programs,
    operand_arrays,
    overlapping_arrays,
    programs,
)

from arrayexpr._core.errors import ArrayExprError, ShapeMismatch, TypeMismatch, UnsupportedError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Call,
    Cast,
    Constant,
    Contract,
    Function,
    Node,
    Opaque,
    Operand,
    Reduce,
    SideEffect,
    Slice,
    View,
)
from arrayexpr._core.ops import Operator, operator, operators, register
from arrayexpr._core.parser import parse
from arrayexpr._core.program import Program
from arrayexpr._core.types import BOOL, FLOAT64, INT64, element, elements
from arrayexpr._core.verify import verify

HEAD = "def f(a: float64[:, :], b: float64[:], n: int64, *, r: float64[:, :]):\n"
A = np.arange(12.0).reshape(3, 4)
B = np.arange(4.0) - 1.5
ADD = operator("add")


def run(body: str, head: str = HEAD, hosts: Any = None, **arrays: Any) -> Any:
    """The result r of a body over a, b and n; or all results where there are others."""
    text = head + "".join(f"    {line}\n" for line in body.split("\n"))
    made = parse(text).replace(hosts=hosts or {})
    verify(made)
    given = {"a": A.copy(), "b": B.copy(), "n": 2} if head is HEAD else {}
    results = interpret(made, given | arrays)
    return results["r"] if set(results) == {"r"} else results


# -- A second meaning, by hand: recursion over the tree, and functions of np by name --------------

BY_HAND = {
    "where": np.where,
    "clip": lambda x, low, high: np.minimum(np.maximum(x, low), high),
    "real": lambda x: x.real,
    "imag": lambda x: x.imag,
    "trunc_divide": lambda x, y: _truncated(x, y),
    "fma": lambda x, y, z: operator("fma").numpy(x, y, z),
    "complex": lambda x, y: _pairs(*np.broadcast_arrays(x, y)),
}


def _pairs(x: Any, y: Any) -> Any:
    """Complex numbers as they lie in memory."""
    return np.stack([x, y], axis=-1).view(np.result_type(x.dtype, np.complex64))[..., 0]


def _truncated(x: Any, y: Any) -> Any:
    """As C divides: exactly, in Python's integers."""
    x, y = np.broadcast_arrays(x, y)
    bits = 8 * x.dtype.itemsize
    made = []
    for p, q in zip(x.ravel().tolist(), y.ravel().tolist(), strict=True):
        z = 0 if q == 0 else abs(p) // abs(q) * (1 if (p < 0) == (q < 0) else -1)
        made.append(z - (1 << bits) if x.dtype.kind == "i" and z >= 1 << (bits - 1) else z)
    return np.array(made, x.dtype).reshape(x.shape)


def by_hand(node: Node, env: dict[Node, Any], memo: dict[Node, Any]) -> Any:
    if node in memo:
        return memo[node]
    match node:
        case Constant():
            value = np.frombuffer(node.key, node.type.element.dtype)[0]
        case Operand():
            value = env[node]
        case View(arg, subscripts, order):
            inner = by_hand(arg, env, memo)
            if order is not None:
                value = np.transpose(inner, order)
            else:
                value = np.asarray(inner)[tuple(slice(*k) if isinstance(k, Slice) else k for k in subscripts)]
        case Apply(op, args):
            given = [by_hand(arg, env, memo) for arg in args]
            value = (BY_HAND.get(op.name) or getattr(np, op.name))(*given)
        case Cast(arg):
            value = np.asarray(by_hand(arg, env, memo)).astype(node.type.element.dtype)
        case Reduce(op, arg, axes, keepdims):
            inner = np.array(by_hand(arg, env, memo), order="C")
            if op.name in ("argmin", "argmax"):
                over: Any = axes[0] if len(axes) == 1 else None
                value = getattr(inner, op.name)(axis=over, keepdims=keepdims)
            elif not axes:
                value = inner.astype(node.type.element.dtype)
            else:
                more = {} if op.name.startswith("logical") else {"dtype": inner.dtype}
                value = getattr(np, op.name).reduce(inner, axis=axes, keepdims=keepdims, **more)
        case Contract(left, right):
            value = np.array(by_hand(left, env, memo), order="C") @ np.array(by_hand(right, env, memo), order="C")
        case Call(function, arguments):
            inside = dict(zip(function.params, (by_hand(arg, env, memo) for arg in arguments), strict=True))
            value = by_hand(function.body, inside, {})
            value = np.broadcast_to(value, np.broadcast_shapes(*(np.shape(x) for x in inside.values())))
        case _:
            raise AssertionError(type(node))
    assert element(np.asarray(value).dtype) is node.type.element, node
    memo[node] = value
    return value


def run_by_hand(case: Case, arrays: dict[str, Any]) -> dict[str, Any]:
    """The results, each of a copy in C order of what is given."""
    env: dict[Node, Any] = {}
    for x in case.program.operands:
        env[x] = np.array(arrays[x.name].astype(x.type.element.dtype), order="C")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for statement in case.program.statements:
            value = np.array(by_hand(statement.value, env, {}))  # type: ignore[attr-defined]
            target = statement.target  # type: ignore[attr-defined]
            if isinstance(target, Operand):
                env[target] = value
            else:
                by_hand(target, env, {})[...] = value
    return {x.name: env[x] for x in case.program.results}


def rounds_alike(program: Program) -> bool:
    """Whether NumPy computes all of a program to the last bit, however arrays lie in memory."""
    for node in program.nodes():
        if isinstance(node, Contract):
            return False
        if isinstance(node, (Apply, Reduce)):
            op = node.op
            kind = node.args[0].type.element.kind
            if op.vector_math or op.name in ("minimum", "maximum", "fmin", "fmax", "clip"):
                return False
            if kind == "c" or node.type.element.kind == "c":
                return False
    return True


def check(case: Case, arrays: dict[str, Any], given: dict[str, Any]) -> None:
    expected = run_by_hand(case, arrays)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = interpret(case.program, given)
    exact = rounds_alike(case.program)
    for result in case.program.results:
        x, y = expected[result.name], got[result.name]
        assert y.shape == case.shapes[result.name] and element(y.dtype) is result.type.element
        if exact:
            assert same(x, y), f"{case.program}\n{arrays}\nexpected {x}\ngot {y}"


@given(st.data(), programs(max_nodes=10))
def test_random_programs_are_what_numpy_says(data: st.DataObject, case: Case) -> None:
    arrays = data.draw(operand_arrays(case, results=data.draw(st.booleans())))
    before = clone(arrays)
    check(case, before, arrays)
    for x in case.program.operands:
        assert same(arrays[x.name], before[x.name])


@given(st.data(), elementwise_programs(kinds="biu", max_nodes=8, reductions=True))
def test_integers_are_exact(data: st.DataObject, case: Case) -> None:
    arrays = data.draw(operand_arrays(case))
    check(case, clone(arrays), arrays)


@given(st.data(), elementwise_programs(max_nodes=6, max_statements=1))
def test_overlap_is_as_if_the_right_side_came_first(data: st.DataObject, case: Case) -> None:
    arrays = data.draw(overlapping_arrays(case))
    if len(case.program.statements) > 1 or case.program.statements[0].args[1] in case.program.results:
        case = Case(case.program.replace(statements=case.program.statements[:1]), case.shapes)
    check(case, clone(arrays), arrays)


@given(st.data(), programs(max_nodes=6))
def test_the_layout_makes_no_difference(data: st.DataObject, case: Case) -> None:
    """Not even to functions that NumPy's own loops round differently for other strides."""
    arrays = data.draw(operand_arrays(case, results=False))
    first = interpret(case.program, clone(arrays))
    copies = {name: np.array(x, x.dtype.newbyteorder("="), order="C") for name, x in arrays.items()}
    second = interpret(case.program, copies)
    for name, value in first.items():
        assert same(value, second[name]), case.program


@given(st.data(), loop_programs())
def test_loops_run_on_every_layout(data: st.DataObject, case: Case) -> None:
    arrays = data.draw(operand_arrays(case))
    copies = {name: np.array(x, x.dtype.newbyteorder("="), order="C") for name, x in arrays.items()}
    strides = any(type(node).__name__ == "Stride" for node in case.program.nodes())
    got = interpret(case.program, arrays)
    assert np.shares_memory(got["r"], arrays["r"])
    assert same(got["r"], interpret(case.program, copies)["r"]) or strides


@pytest.mark.parametrize("t", elements(), ids=str)
def test_every_operator_and_reduction_on_every_element_type(t: Any) -> None:
    rng = np.random.default_rng(0)
    fixed = {"B": BOOL, "I": INT64, "N": element("int32"), "U": element("uint8")}
    for op in applicable(t):
        places = [fixed.get(p, t) for p in op.signature.split(">")[0]]
        given = [Operand(f"x{k}", place.array(1)) for k, place in enumerate(places)]
        node = Apply(op, tuple(given))
        arrays = {x.name: values(x.type.element, (40,), rng) for x in given}
        result = Operand("r", node.type)
        case = Case(Program("p", given, [Assign(result, node)], [result]), {"r": (40,)})
        check(case, arrays, arrays)
        near = run_by_hand(case, arrays)["r"]
        got = interpret(case.program, arrays)["r"]
        assert same(near, got) or op.name in ("minimum", "maximum", "fmin", "fmax", "clip") or ulps(near, got) <= 4, op
    for op in operators():
        if op.reduction is not None and t.kind in op.kinds:
            x = Operand("x", t.array(2))
            for axes, keepdims in (((0,), False), ((1,), True), ((0, 1), False)):
                reduced = Reduce(op, x, axes, keepdims)
                result = Operand("r", reduced.type)
                program = Program("p", [x], [Assign(result, reduced)], [result])
                array = values(t, (5, 7), rng)
                case = Case(program, {"r": interpret(program, {"x": array})["r"].shape})
                check(case, {"x": array}, {"x": array})


# -- Statements and shapes, by hand --


def test_assignments() -> None:
    assert same(run("r[...] = a + b"), A + B)
    assert run("r[...] = a[:, :1]").shape == (3, 1)
    given = np.zeros((3, 4))
    assert run("r[1:, ::2] = a[1:, ::2]", r=given) is given
    assert given.sum() == A[1:, ::2].sum()
    assert same(run("r.transpose(1, 0)[...] = a.transpose(1, 0)", r=np.empty((3, 4))), A)
    assert same(run("r[...] = a[:1, :]\nr[0, 1, ...] = 5.0"), np.array([[0, 5.0, 2, 3]]))
    # The right side first, then the store.
    assert same(run("r[...] = a\nr[1:, :] = r[:-1, :]"), A[[0, 0, 1]])
    assert same(run("r[...] = a\nr[...] = r[::-1, :]"), A[::-1])
    assert same(run("r[...] = a\nr[...] = b", r=np.empty((3, 4))), np.broadcast_to(B, (3, 4)))


def test_operands_are_assigned_in_place() -> None:
    a = A.copy()
    assert same(run("a[...] = a * 2.0\nr[...] = a", a=a), A * 2) and same(a, A * 2)


def test_results_take_the_order_that_their_type_says() -> None:
    for type_, strides in (("['F', :, :]", (8, 24)), ("[::1, :]", (8, 24)), ("['C', :, :]", (32, 8))):
        made = run("r[...] = a", f"def f(a: float64[:, :], *, r: float64{type_}):\n", a=A)
        assert made.strides == strides and same(made, A)


def test_extents_of_one_broadcast() -> None:
    body = "for i in range(0, r.shape[0], 1):\n    for j in range(0, r.shape[1], 1):\n        r[i, j] = a[i, j]"
    assert same(run(body, a=A[:1], r=np.empty((3, 4))), np.broadcast_to(A[:1], (3, 4)))
    packed = "t = scratch(float64[:], 4)\npack(t, b, starts=(0,), extents=(4,))\nr[...] = a + t"
    assert same(run(packed, b=np.array([7.0])), A + 7)


def test_loops_guards_scratch_and_pack() -> None:
    body = (
        "t = scratch(float64[:, :], 4, 3)\n"
        "for i in block(0, a.shape[0], 2):\n"
        "    for k in serial(i, minimum(i + 2, a.shape[0]), 1):\n"
        "        for j in vector(a.shape[1] - 1, -1, -1):\n"
        "            if (j < n) and not (k == 1):\n"
        "                t[j, k] = a[k, j]\n"
        "            else:\n"
        "                t[j, k] = -a[k, j]\n"
        "u = scratch(float64[:, :], 2, 2)\n"
        "pack(u, t, starts=(1, 1), extents=(2, 2))\n"
        "r[...] = t.transpose(1, 0)\n"
        "r[:2, :2] = u"
    )
    signs = np.where((np.arange(4) < 2) & (np.arange(3)[:, None] != 1), 1, -1)
    expected = A * signs
    expected[:2, :2] = expected.T[1:3, 1:3].copy()
    assert same(run(body), expected)
    assert same(run("for i in range(3, 3, 1):\n    r[i, i] = 0.0\nr[...] = a"), A)


def test_extents_and_strides() -> None:
    head = "def f(a: float64[:, :], *, r: int64[:]):\n"
    body = "r[0, ...] = a.shape[0]\nr[1, ...] = a.shape[1]\nr[2, ...] = a.strides[0]\nr[3, ...] = a.strides[1]"
    a = np.zeros((6, 4))[::-2].T
    assert run(body, head, a=a, r=np.empty(4, np.int64)).tolist() == [4, 3, 8, -64]


def test_lanes_wait_at_a_barrier() -> None:
    body = (
        "for g in grid(0, 1, 1):\n"
        "    t = scratch(float64[:], 4)\n"
        "    for i in lane(0, 4, 1):\n"
        "        t[i] = b[i]\n"
        "        barrier()\n"
        "        for k in serial(0, 2, 1):\n"
        "            if i < 3:\n"
        "                r[k, i] = t[i + 1]\n"
        "            else:\n"
        "                r[k, i] = t[0]\n"
        "            barrier()\n"
        "            t[i] = r[k, i]\n"
        "            barrier()"
    )
    assert same(run(body, r=np.empty((2, 4))), np.stack([np.roll(B, -1), np.roll(B, -2)]))
    both = (
        "t = scratch(float64[:, :], 3, 4)\n"
        "for i in lane(0, 3, 1):\n    for j in lane(0, 4, 1):\n"
        "        t[i, j] = a[i, j]\n        barrier()\n        r[i, j] = t[2 - i, 3 - j]"
    )
    assert same(run(both, r=np.empty((3, 4))), A[::-1, ::-1])


def test_unwritten_scratch_is_no_zero() -> None:
    assert (run("t = scratch(float64[:], 4)\nr[...] = a + t") != A).all()


def test_functions() -> None:
    g = "def g(x: float64): return x * x\ndef h(x: float64, y: float64): return g(x) + y\n"
    assert same(run(g + "r[...] = h(a, b)"), A * A + B)
    assert same(run("def one(x: float64): return 1.0\nr[...] = one(a)"), np.ones((3, 4)))
    whole = "def s(x: float64[:, :]): return reduce(add, x, (0,))\nr[...] = a * s(a) + cast(s(a).shape[0], float64)"
    with pytest.raises(ArrayExprError):
        run(whole)
    assert same(run("def s(x: float64[:, :]): return reduce(add, x, (0,))\nr[...] = a * s(a)"), A * A.sum(0))
    sized = "def s(x: float64[:, :]): return x[1, 1] + cast(x.shape[1], float64)\nr[...] = a + s(a)"
    assert same(run(sized), A + (A[1, 1] + 4))


def test_functions_call_one_another_to_any_depth() -> None:
    x, a, r = Operand("x", FLOAT64), Operand("a", FLOAT64.array(1)), Operand("r", FLOAT64.array(1))
    function = Function("g", (x,), x)
    for k in range(20_000):
        function = Function(f"g{k}", (x,), Apply(ADD, (Call(function, (x,)), Constant(1.0, FLOAT64))))
    made = Program("p", (a,), (Assign(r, Call(function, (a,))),), (r,))
    assert interpret(made, {"a": np.zeros(2)})["r"].tolist() == [20_000.0] * 2


def test_100_000_nodes_deep() -> None:
    a, r = Operand("a", FLOAT64.array(1)), Operand("r", FLOAT64.array(1))
    node: Node = a
    for _ in range(100_000):
        node = Apply(ADD, (node, Constant(1.0, FLOAT64)))
    assert interpret(Program("p", (a,), (Assign(r, node),), (r,)), {"a": np.zeros(1)})["r"][0] == 100_000


def test_values_are_freed_as_soon_as_they_are_read() -> None:
    """A chain of 1,000 nodes on 8 MB each would be 8 GB."""
    import tracemalloc

    a, r = Operand("a", FLOAT64.array(1)), Operand("r", FLOAT64.array(1))
    node: Node = a
    for _ in range(1000):
        node = Apply(ADD, (node, a))
    array = np.zeros(100_000)
    tracemalloc.start()
    interpret(Program("p", (a,), (Assign(r, node),), (r,)), {"a": array})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * array.nbytes


def test_small_integers_keep_their_type_in_reductions() -> None:
    head = "def f(a: int8[:], *, r: int8):\n"
    assert run("r[...] = reduce(add, a, (0,))", head, a=np.full(3, 100, np.int8)) == np.int8(44)
    head = "def f(a: float64[:], *, r: bool):\n"
    assert run("r[...] = reduce(logical_or, a, (0,))", head, a=np.zeros(3)) == np.False_


def test_casts_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        head = "def f(a: complex128[:], *, r: float32[:], s: int64[:], t: bool[:]):\n"
        body = "r[...] = cast(a, float32)\ns[...] = cast(a, int64)\nt[...] = cast(a, bool)"
        made = run(body, head, a=np.array([1 + 2j, np.nan, 1e300, 1j]))
    assert made["t"].tolist() == [True, True, True, True] and made["r"][2] == np.inf


# -- Effects --


class Host:
    """A host's functions that write down when they are called, and on what."""

    def __init__(self) -> None:
        self.trace: list[Any] = []

    def functions(self, *names: str) -> dict[str, Any]:
        def make(name: str) -> Any:
            def function(x: np.ndarray) -> np.ndarray:
                self.trace.append((name, float(x.flat[0])))
                return x * 2

            return function

        return {name: make(name) for name in names}


def test_pure_host_functions_are_called_once_a_node() -> None:
    host = Host()
    body = 'r[...] = opaque("g", a, type=float64[:, :]) + opaque("g", a, type=float64[:, :])'
    assert same(run(body, hosts=host.functions("g")), A * 4)
    assert host.trace == [("g", 0.0)]


def test_effects_run_once_a_place_from_left_to_right() -> None:
    host = Host()
    functions = host.functions("g", "h")
    g = 'side_effect(opaque("g", {}, type=float64[:, :]))'
    h = g.replace('"g"', '"h"')
    run(f"_0 = {g.format('a')}\nr[...] = _0 + {h.format('a + 1.0')} * _0", hosts=functions)
    assert host.trace == [("g", 0.0), ("h", 1.0), ("g", 0.0)]
    host.trace.clear()
    run(f"r[...] = {h.format(g.format('a'))}\n{g.format('r')}\nunreorderable({h.format('a')})", hosts=functions)
    assert [name for name, _ in host.trace] == ["g", "h", "g", "h"]
    host.trace.clear()
    body = f"for i in range(0, 3, 1):\n    with side_effect():\n        r[...] = {g.format('a')} + cast(i, float64)"
    run(body, hosts=functions)
    assert host.trace == [("g", 0.0)] * 3
    host.trace.clear()
    # One call of a function is one run of the effects in its body.
    f = f"def f(x: float64[:, :]): return {g.format('x')}\nr[...] = f(a) + f(a) + f(a)"
    run(f, hosts=functions)
    assert host.trace == [("g", 0.0)] * 3


def test_a_host_function_writes_where_its_effect_says_so() -> None:
    def bump(x: np.ndarray) -> Any:
        x += 1
        return None

    a = A.copy()
    body = 'side_effect(opaque("bump", a, type=float64), writes=("a",))\nr[...] = a'
    assert same(run(body, a=a, hosts={"bump": bump}), A + 1) and same(a, A + 1)
    body = 'side_effect(opaque("bump", a[1:, :], type=float64))\nr[...] = a'
    assert same(run(body, hosts={"bump": bump})[0], A[0])
    for quiet in (
        'side_effect(opaque("bump", a, type=float64), writes=())',
        'r[...] = opaque("bump", a, type=float64)',
    ):
        with pytest.raises(ValueError, match="read-only"):
            run(f"{quiet}\nr[...] = a", hosts={"bump": bump})


def test_what_an_effect_writes_is_read_again_after_it_and_not_before() -> None:
    def bump(x: np.ndarray) -> Any:
        x += 1
        return x.sum() * 0

    effect = 'side_effect(opaque("bump", a, type=float64), writes=("a",))'
    assert same(run(f"r[...] = a * 2.0 + ({effect} + a * 2.0)", hosts={"bump": bump}), A * 2 + (A + 1) * 2)
    assert same(run(f"r[...] = a + {effect}", hosts={"bump": bump}), A)
    loop = f"for i in range(0, 2, 1):\n    r[i, 0] = a[0, 0] * 10.0 + ({effect} + a[0, 0])"
    made = run(loop, r=np.zeros((2, 1)), hosts={"bump": bump})
    assert made.tolist() == [[1.0], [12.0]]


def test_host_functions_of_another_type_are_refused() -> None:
    body = 'r[...] = opaque("g", a, type=float64[:, :])'
    for function, error, message in [
        (None, UnsupportedError, "the program's hosts hold no function 'g'"),
        (lambda x: x.astype(np.float32), TypeMismatch, "the host's function gave float32, expected float64"),
        (lambda x: x[0], ShapeMismatch, r"the host's function gave shape \(4,\), expected float64\[:, :\]"),
        (lambda x: None, TypeMismatch, "the host's function gave object, expected float64"),
    ]:
        with pytest.raises(error, match=message):
            run(body, hosts={} if function is None else {"g": function})
    assert same(run('r[...] = a + opaque("g", type=float64)', hosts={"g": lambda: 1}), A + 1)


def test_a_third_party_operator_needs_no_change_here() -> None:
    cube = register(Operator("cube_interpreted", "T>T", "f", lambda x: x * x * x))
    assert same(run("r[...] = cube_interpreted(a)"), A**3)
    wrong = register(Operator("wrong_interpreted", "T>T", "f", lambda x: x > 0))
    with pytest.raises(ArrayExprError, match="internal error: wrong_interpreted.a. gave bool, expected float64"):
        run("r[...] = wrong_interpreted(a)")
    assert cube is not wrong


# -- Refusals --


@pytest.mark.parametrize(
    "body, arrays, error, message",
    [
        ("r[...] = a", {"a": None}, TypeMismatch, "operand a: element type object is not supported"),
        ("r[...] = a", {"a": A[0]}, ShapeMismatch, "operand a has shape (4,): expected rank 2, as float64[:, :]"),
        ("r[...] = a", {"a": A.astype("f4")}, TypeMismatch, "operand a is float32: expected float64"),
        ("r[...] = a", {"q": A}, TypeMismatch, "program f has no operand 'q': it has a, b, n, r"),
        ("r[...] = a", {"n": 2.5}, TypeMismatch, "operand n is 2.5: expected int64"),
        ("r[...] = a", {"n": 2**70}, TypeMismatch, "operand n is 1180591620717411303424: expected int64"),
        ("r[...] = a", {"r": A.astype(int)}, TypeMismatch, "operand r is int64: expected float64"),
        ("r[...] = a", {"r": np.zeros((2, 4))}, ShapeMismatch, "shape (3, 4) is assigned to r of shape (2, 4)"),
        ("r[...] = a", {"r": [[1.0]]}, TypeMismatch, "operand r is assigned to: expected an array, got list"),
        ("r[...] = a", {"r": np.broadcast_to(0.0, (3, 4))}, TypeMismatch, "operand r is read-only"),
        ("b[...] = a[0, :]\nr[...] = a", {"b": [0.0] * 4}, TypeMismatch, "operand b is assigned to: expected an array"),
        ("r[...] = a + b", {"b": np.zeros(3)}, ShapeMismatch, "do not broadcast together: a (3, 4), b (3,)"),
        ("r[...] = a @ b", {"b": np.zeros(3)}, ShapeMismatch, "the shapes do not contract: a (3, 4), b (3,)"),
        ("r[...] = a[1, :]", {}, ShapeMismatch, "first assigned a value of rank 1"),
        ("r[...] = a + a[5, :]", {}, ShapeMismatch, "a[5, :]: index 5 is out of bounds"),
        ("r[1:, :] = a", {}, ShapeMismatch, "result r is first assigned through a view: its shape is not known"),
        ("r[...] = 1.0", {}, ShapeMismatch, "result r is first assigned a value of rank 0: its shape is not known"),
        ("r[0, 0] = 1.0", {}, ShapeMismatch, "result r is read or viewed before its shape is known: give its storage"),
        ("r[...] = r", {}, ShapeMismatch, "result r is read or viewed before its shape is known: give its storage"),
        ("if n < 0:\n    r[...] = a", {}, ShapeMismatch, "result r was never assigned: give its storage"),
        ("r[...] = a + b[4]", {}, ShapeMismatch, "b[4]: place (4,) is outside of b of (4,)"),
        ("r[...] = a + b[-1]", {}, ShapeMismatch, "b[-1]: place (-1,) is outside of b of (4,)"),
        ("r[...] = a\nr[n, 4] = 0.0", {}, ShapeMismatch, "place (2, 4) is outside of r of (3, 4)"),
        ("t = scratch(float64[:], -n)\nr[...] = a", {}, ShapeMismatch, "extents (-2,), expected none below 0"),
        ("t = scratch(float64[:], 2)\npack(t, b, starts=(3,), extents=(2,))\nr[...] = a", {}, ShapeMismatch, "of b"),
        ("for i in range(0, 1, n - 2): pass\nr[...] = a", {}, ShapeMismatch, "the step is 0, expected another"),
        ("r[...] = a + reduce(minimum, b, (0,))", {"b": np.zeros(0)}, ShapeMismatch, "b, (0,)) over shape (0,)"),
    ],
)  # fmt: skip
def test_refusals_name_the_culprit(body: str, arrays: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        run(body, **arrays)
    assert message in str(caught.value)


def test_missing_foreign_and_wrongly_laid_out_operands() -> None:
    with pytest.raises(TypeMismatch, match="operand a of program f is not given: expected an array"):
        interpret(parse("def f(a: float64): pass\n"), {})
    with pytest.raises(UnsupportedError, match="operand a is of the foreign type p"):
        interpret(parse('def f(a: foreign("p")[:]): pass\n'), {"a": np.zeros(1)})
    repeated = np.broadcast_to(B, (3, 4))
    for type_, fits in [("[:, ::1]", A), ("['C', :, :]", A), ("['F', :, :]", A.T), ("[::0, :]", repeated)]:
        program = parse(f"def f(a: float64{type_}): pass\n")
        interpret(program, {"a": fits})
        interpret(program, {"a": fits[:0]})
        with pytest.raises(ShapeMismatch, match="expected the layout of float64"):
            interpret(program, {"a": np.zeros((3, 4, 2))[..., 0]})


def test_integers_to_negative_powers_raise_as_in_numpy() -> None:
    with pytest.raises(ValueError, match="negative integer powers"):
        run("r[...] = a ** a", "def f(a: int64[:], *, r: int64[:]):\n", a=np.array([-1, 2]))


# -- The makers of arrays, which every other test relies on --


@given(st.data(), st.sampled_from(elements()), st.sampled_from(LAYOUTS))
def test_layouts_keep_values(data: st.DataObject, t: Any, layout: str) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=4)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    filled = values(t, shape, rng)
    laid = lay_out(filled, layout, rng)
    assert laid.shape == shape and element(laid.dtype) is t
    assert layout == "broadcast" or same(laid, filled)
    again = clone({"x": laid})["x"]
    assert same(again, laid) and again.strides == laid.strides and again.dtype == laid.dtype
    assert not np.shares_memory(again, laid) or laid.size == 0
    assert again.flags.writeable == laid.flags.writeable and again.flags.aligned == laid.flags.aligned


def test_layouts_are_what_they_are_called() -> None:
    rng = np.random.default_rng(3)
    filled = values(FLOAT64, (4, 5, 6), rng)
    record = lay_out(filled, "record", rng)
    assert record.strides[-1] == 13 and not record.flags.aligned
    assert any(s < 0 for s in lay_out(filled, "reversed", rng).strides)
    assert not lay_out(filled, "swapped", rng).dtype.isnative
    assert 0 in lay_out(filled, "broadcast", rng).strides
    assert lay_out(filled, "F", rng).flags.f_contiguous


def test_clone_keeps_overlap() -> None:
    base = np.arange(10.0)
    made = clone({"x": base[1:], "y": base[::-1]})
    made["x"][0] = 99
    assert made["y"][8] == 99 and base[1] == 1


def test_same_and_ulps() -> None:
    nan, other = np.float64(np.nan), np.uint64(0xFFF8000000000001).view(np.float64)
    assert same(nan, other) and not same(0.0, -0.0) and not same(np.zeros(2), np.zeros(3))
    assert (
        ulps(np.array([1.0]), np.array([np.nextafter(1.0, 2)])) == 1 and ulps(np.array([np.inf]), np.array([1.0])) > 4
    )


def test_side_effect_of_a_constant_is_a_value() -> None:
    r = Operand("r", FLOAT64)
    made = Program("p", (), (Assign(r, SideEffect(Constant(2.0, FLOAT64), (), ())),), (r,))
    assert interpret(made, {})["r"] == 2.0
    opaque = Opaque("g", (), FLOAT64)
    assert interpret(Program("p", (), (Assign(r, opaque),), (r,), hosts={"g": lambda: 3}), {})["r"] == 3.0
