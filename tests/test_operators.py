"""Every operator on every element type, and every cast: compiled C against NumPy, and the block engine against it.

Bit for bit, but that vector math is within 4 ulp of NumPy. Values include zeros of both signs, NaN, infinities,
subnormals, extremes.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from layouts import same

import arrayexpr
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Apply, Assign, Cast, Constant, Node, Operand
from arrayexpr._core.ops import Operator, operator, operators
from arrayexpr._core.program import Program
from arrayexpr._core.types import BOOL, INT64, ElementType, Int, elements, real_of

_PLACES = {"B": BOOL, "N": Int(32), "I": INT64, "U": Int(8, signed=False)}


def sample(t: ElementType, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random values of an element type, small and large, with every pair of special ones somewhere."""
    if t.kind == "b":
        return rng.random(count) < 0.5
    if t.kind in "iu":
        info = np.iinfo(t.dtype)
        a = rng.integers(info.min, info.max, count, dtype=t.dtype, endpoint=True)
        a[::3] = rng.integers(0 if t.kind == "u" else -9, 10, len(a[::3]))
        special = np.array([0, 1, 2, 3, info.max, info.min, info.max - 1, info.min + 1], t.dtype)
        a[::5] = special[rng.integers(0, len(special), len(a[::5]))]
        return rng.permutation(a)
    if t.kind == "c":
        z = np.empty(count, t.dtype)
        z.real, z.imag = sample(real_of(t), count, rng), sample(real_of(t), count, rng)
        return z
    info_f = np.finfo(t.dtype)
    quarter = count // 4
    with np.errstate(all="ignore"):
        spread = np.exp(rng.uniform(-20, 20, quarter)) * rng.choice([-1, 1], quarter)
        rest = np.full(count - 3 * quarter, 0.5)
        a = np.concatenate(
            [rng.standard_normal(quarter) * 3, rng.integers(-9, 9, quarter).astype(float), spread, rest]
        ).astype(t.dtype)
    tiny = info_f.smallest_subnormal
    special = np.array(
        [0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2, 0.5, -0.5, 1.5, -1.5, 2.5, info_f.max, -info_f.max]
        + [info_f.tiny, tiny, -tiny],
        t.dtype,
    )
    a[::5] = special[rng.integers(0, len(special), len(a[::5]))]
    return rng.permutation(a)


def operand_types(op: Operator, t: ElementType) -> tuple[ElementType, ...]:
    return tuple(_PLACES.get(place, t) for place in op.signature.split(">")[0])


def operands(op: Operator, types: tuple[ElementType, ...], count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Values for which the operator is defined."""
    arrays = [sample(t, count, rng) for t in types]
    if op.name == "power" and types[0].kind == "i":
        arrays[1] = np.abs(arrays[1] % 9).astype(types[1].dtype)
    if op.name == "ldexp":
        arrays[1] = (arrays[1] % 40 - 20).astype(types[1].dtype)
    if op.name == "spacing" and types[0].bits == 80:
        # NumPy 2.4 gives NaN for a long double whose significand is all ones, as that of the largest is.
        arrays[0] = np.where(np.isfinite(arrays[0]) & np.isnan(np.spacing(arrays[0])), 1, arrays[0])
    return arrays


BUILTIN = [op for op in operators() if not (op.arity == 1 and op.reduction) and not op.name.endswith("_doc")]


#: What the block engine is given of arrays: all, every third, reversed, and one element.
WINDOWS = (slice(None), slice(None, None, 3), slice(None, None, -1), slice(7, 8))


@pytest.mark.parametrize("op", BUILTIN, ids=lambda op: op.name)
def test_operator(op: Operator) -> None:
    """One program with a result per element type, so that a signature compiles once."""
    rng = np.random.default_rng(sum(map(ord, op.name)))
    failures = []
    for t in elements():
        if t.kind not in op.kinds or (op.only and t.name not in op.only):
            continue
        types = operand_types(op, t)
        xs = [Operand(f"x{k}", u.array(1)) for k, u in enumerate(types)]
        r = Operand("r", op.result(types).array(1))
        program = Program("kernel", xs, [Assign(r, Apply(op, tuple(xs)))], [r])
        kernel = arrayexpr.compile(program, engine="c")
        # 1003: a vector loop and its end; 3: its end alone.
        for count in (3, 1003):
            arrays = operands(op, types, count, rng)
            got = kernel(*arrays)
            want = interpret(program, {x.name: a for x, a in zip(xs, arrays, strict=True)})["r"]
            if not _agree(op, t, got, want):
                at = next(k for k in range(count) if not _agree(op, t, got[k], want[k]))
                failures.append(f"{t}: {[a[at] for a in arrays]} gives {got[at]!r}: expected {want[at]!r}")
                break
        assert all(code.compiled for code in kernel.compiled.codes())
        failures += [f"{t}, {found}" for found in _in_blocks(program, arrays, got)]
    assert not failures, "\n".join(failures)


def _in_blocks(program: Program, arrays: Sequence[np.ndarray], compiled: np.ndarray) -> list[str]:
    """Where the block engine gives other bits than compiled C, whose elements depend on their operands alone."""
    block = arrayexpr.compile(program, engine="block")
    failures = []
    for window in WINDOWS:
        got, want = block(*[a[window] for a in arrays]), compiled[window]
        if not same(got, want):
            at = next(k for k in range(len(want)) if not same(got[k], want[k]))
            failures.append(f"{window}: block engine differs at {at}: {got[at]!r}, compiled {want[at]!r}")
    assert not any(code.compiled for code in block.compiled.codes())
    return failures


def _agree(op: Operator, t: ElementType, got: Any, want: Any) -> bool:
    if t.kind not in op.vector_math:
        # The sign of a zero that minimum and maximum choose is open: see the table of operators.
        if op.name in ("minimum", "maximum", "fmin", "fmax", "clip") and t.kind in "fc":
            got, want = got + t.dtype.type(0), want + t.dtype.type(0)
        return same(got, want)
    got, want = np.asarray(got), np.asarray(want)
    # An error of a complex number is measured against its size: a part may be all cancelled.
    parts = [x for z in (got, want) for x in ((z.real, z.imag) if z.dtype.kind == "c" else (z,))]
    with np.errstate(all="ignore"):
        size = functools.reduce(np.maximum, map(np.abs, parts))
        unit = np.nextafter(size, np.inf) - size
        half = len(parts) // 2
        near = [(x == y) | (np.abs(x - y) <= 4 * unit) for x, y in zip(parts[:half], parts[half:], strict=True)]
    if got.dtype.kind != "c":
        return bool(np.all(near[0] | (np.isnan(got) & np.isnan(want))))
    # Which part of an overflow is infinite and which NaN is the library's own.
    finite = np.isfinite(got) & np.isfinite(want)
    return bool(np.all(np.where(finite, near[0] & near[1], ~np.isfinite(got) & ~np.isfinite(want))))


@pytest.mark.parametrize("t", elements(), ids=str)
def test_all_operators_of_a_type_in_one_kernel(t: ElementType) -> None:
    """Rows that share a helper, or a name, go together."""
    rng = np.random.default_rng(0)
    x, y, n = Operand("x", t.array(1)), Operand("y", t.array(1)), Operand("n", Int(32).array(1))
    b = Operand("b", BOOL.array(1))
    places = {"T": [x, y, x], "B": [b], "N": [n]}
    value: Node = b
    for op in BUILTIN:
        if t.kind not in op.kinds or (op.only and t.name not in op.only):
            continue
        args = tuple(places[place][k % len(places[place])] for k, place in enumerate(op.signature.split(">")[0]))
        value = Apply(operator("logical_xor"), (value, Cast(Apply(op, args), BOOL)))
    r = Operand("r", BOOL.array(1))
    program = Program("kernel", [x, y, n, b], [Assign(r, value)], [r])
    arrays = {
        "x": rng.integers(1, 5, 50).astype(t.dtype),
        "y": rng.integers(1, 5, 50).astype(t.dtype),
        "n": rng.integers(1, 5, 50).astype("i4"),
        "b": np.ones(50, bool),
    }
    assert same(arrayexpr.compile(program)(*arrays.values()), interpret(program, arrays)["r"])


@pytest.mark.parametrize("to", elements(), ids=str)
def test_casts(to: ElementType) -> None:
    rng = np.random.default_rng(0)
    failures = []
    for of in elements():
        x, r = Operand("x", of.array(1)), Operand("r", to.array(1))
        program = Program("kernel", [x], [Assign(r, Cast(x, to) if of is not to else x)], [r])
        kernel = arrayexpr.compile(program, engine="c")
        for count in (3, 1003):
            a = sample(of, count, rng)
            got, want = kernel(a), interpret(program, {"x": a})["r"]
            if not same(got, want):
                at = next(k for k in range(count) if not same(got[k], want[k]))
                failures.append(f"{of}: {a[at]!r} gives {got[at]!r}: expected {want[at]!r}")
                break
        failures += [f"{of}, {found}" for found in _in_blocks(program, [a], got)]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("t", [t for t in elements() if t.kind in "iu"], ids=str)
def test_integer_powers(t: ElementType) -> None:
    """Every small base and exponent, with wrapping."""
    pairs = list(itertools.product(range(-12 if t.kind == "i" else 0, 13), range(40)))
    x, y = (np.array(column, t.dtype) for column in zip(*pairs, strict=True))
    assert same(arrayexpr.kernel(lambda x, y: x**y)(x, y), x**y)


@pytest.mark.parametrize("t", [t for t in elements() if t.kind in "iu"], ids=str)
def test_integer_division_of_every_pair_of_extremes(t: ElementType) -> None:
    info = np.iinfo(t.dtype)
    edge = [info.min, info.min + 1, info.max, info.max - 1, 0, 1, 2, 3, 5, 7]
    edge += [-1, -2, -3, -7] if t.kind == "i" else []
    x, y = (a.ravel() for a in np.meshgrid(np.array(edge, t.dtype), np.array(edge, t.dtype)))
    kernel = arrayexpr.kernel(lambda x, y: (x // y, x % y, np.fmod(x, y), np.gcd(x, y)))
    with np.errstate(all="ignore"):
        expected = (x // y, x % y, np.fmod(x, y), np.gcd(x, y))
    for one, other in zip(kernel(x, y), expected, strict=True):
        assert same(one, other)


@pytest.mark.parametrize("t", [t for t in elements() if t.kind == "f"], ids=str)
def test_real_division_of_every_pair_of_special_values(t: ElementType) -> None:
    info = np.finfo(t.dtype)
    edge = [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 3, -3, 0.1, -0.1, 7.5, info.max, info.min, info.tiny]
    x, y = (a.ravel() for a in np.meshgrid(np.array(edge, t.dtype), np.array(edge, t.dtype)))

    def f(x: Any, y: Any) -> Any:
        return x // y, x % y, np.fmod(x, y), x / y, np.copysign(x, np.where(np.isnan(y), 1, y)), np.heaviside(x, y)

    with np.errstate(all="ignore"):
        expected = f(x, y)
    for one, other in zip(arrayexpr.kernel(f)(x, y), expected, strict=True):
        assert same(one, other)


@pytest.mark.parametrize("t", elements(), ids=str)
def test_constants_reach_c_bit_for_bit(t: ElementType) -> None:
    chosen = [*sample(t, 40, np.random.default_rng(0))]
    n = Operand("n", INT64.array(1))
    results = [Operand(f"r{k}", t.array(1)) for k in range(4)]
    # A choice among ten of them by place: the time that compilers take grows with its square.
    statements = []
    for k, result in enumerate(results):
        some = chosen[10 * k : 10 * k + 10]
        value: Node = Constant(some[0], t)
        for place, constant in enumerate(some[1:], 1):
            here = Apply(operator("equal"), (n, Constant(place, INT64)))
            value = Apply(operator("where"), (here, Constant(constant, t), value))
        statements.append(Assign(result, value))
    got = arrayexpr.compile(Program("kernel", [n], statements, results))(np.arange(10))
    assert same(np.concatenate(got), np.array(chosen, t.dtype))


def test_chains_are_not_contracted_into_fused_multiply_adds() -> None:
    rng = np.random.default_rng(0)
    a, b, c, d = rng.normal(size=(4, 1000))
    kernel = arrayexpr.kernel(lambda a, b, c, d: a * b + c * d - a * c)
    assert same(kernel(a, b, c, d), a * b + c * d - a * c)
    # gcc 12 has fused alternating sums of products even where contraction is off.
    x, y = rng.normal(size=(2, 500)) + 1j * rng.normal(size=(2, 500))
    assert same(arrayexpr.kernel(lambda x, y: (x * y, x / y))(x, y)[0], x * y)
    kernel = arrayexpr.kernel(lambda a, b, c, d: np.where(a > 0, a * b - c * d, a * b + c * d))
    assert same(kernel(a, b, c, d), np.where(a > 0, a * b - c * d, a * b + c * d))
    many = arrayexpr.kernel(lambda a, b, c, d: (a * b - c * d, a * d + b * c))
    for one, other in zip(many(a, b, c, d), (a * b - c * d, a * d + b * c), strict=True):
        assert same(one, other)


def test_conversions_there_and_back_round() -> None:
    """gcc 12 vectorises neighbours such as the two parts of a complex number, and forgets to round them."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=100) + 1j * rng.normal(size=100)
    kernel = arrayexpr.kernel(lambda z: z + z.astype("c8").astype("c16"))
    for x in (z, z[:1], z[0], z[::2], z.reshape(10, 10).T):
        assert same(kernel(x), x + x.astype("c8").astype("c16"))
    x = rng.normal(size=1000)
    kernel = arrayexpr.kernel(lambda x: x + x.astype("f4").astype("f8") - x.astype("i1"))
    assert same(kernel(x), x + x.astype("f4").astype("f8") - x.astype("i1"))
    assert same(kernel(x[:2]), x[:2] + x[:2].astype("f4").astype("f8") - x[:2].astype("i1"))


def test_narrow_integers_wrap_at_every_step() -> None:
    for dtype in ("int8", "uint8", "int16", "uint16"):
        x, y = (a.ravel().astype(dtype) for a in np.meshgrid(np.arange(256), np.arange(256)))
        for f in (
            lambda x, y: (x + y) // 2,
            lambda x, y: (x * y) > (x - y),
            lambda x, y: (x + y + y) & -x,
            lambda x, y: ~(x << 1) >> 1,
            lambda x, y: abs(x + y).astype("i4") + (-x).astype("i4"),
            lambda x, y: np.square(x).astype("i8") + np.sign(-y),
        ):
            with np.errstate(all="ignore"):
                expected = f(x, y)
            assert same(arrayexpr.kernel(f)(x, y), expected)


def test_bools_of_any_byte_but_0_are_true() -> None:
    raw = np.arange(256, dtype="u1").view(bool)
    kernel = arrayexpr.kernel(lambda b, x: (b & b, ~b, np.where(b, x, -x), b == b[::-1], b.astype("i4"), b | (x > 3)))
    x = np.arange(256.0)
    clean = np.arange(256) != 0
    expected = (clean, ~clean, np.where(clean, x, -x), clean == clean[::-1], clean.astype("i4"), clean | (x > 3))
    for one, other in zip(kernel(raw, x), expected, strict=True):
        assert same(one, other) and one.dtype == other.dtype
