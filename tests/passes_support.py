"""What the tests of passes share: values where laws break, and comparing the meaning of programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Node, Operand, postorder, transform
from arrayexpr._core.program import Program
from arrayexpr._core.types import ElementType

SPECIAL = {
    "f": [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -3.75, 1e3, "max", "tiny", "subnormal"],
    "c": [0, -0.0, 1, 1j, -1j, 2 - 3j, complex(np.nan, 1), complex(np.inf, 0), complex(-0.0, -0.0), 0.5 + 0.25j],
}


def special(element: ElementType) -> np.ndarray:
    """Values of an element type where laws break."""
    dtype = element.dtype
    match element.kind:
        case "b":
            return np.array([False, True])
        case "i" | "u":
            info = np.iinfo(dtype)
            values = {info.min, info.min + 1, -7, -1, 0, 1, 2, 3, 8, 100, info.max - 1, info.max}
            return np.array([v for v in sorted(values) if info.min <= v <= info.max], dtype)
        case "f":
            info = np.finfo(dtype)
            named = {"max": info.max, "tiny": info.tiny, "subnormal": info.smallest_subnormal}
            return np.array([named[v] if isinstance(v, str) else dtype.type(v) for v in SPECIAL["f"]], dtype)
    return np.array(SPECIAL["c"], dtype)


def assert_same(a: Any, b: Any, ulp: int = 0) -> None:
    """Bit for bit but for the sign and payload of NaN, or within `ulp` of reals."""
    a, b = np.asarray(a), np.asarray(b)
    assert a.dtype == b.dtype
    assert a.shape == b.shape
    if a.dtype.kind == "c":
        assert_same(a.real, b.real, ulp)
        assert_same(a.imag, b.imag, ulp)
    elif a.dtype.kind == "f":
        nan = np.isnan(a)
        np.testing.assert_array_equal(nan, np.isnan(b))
        with np.errstate(all="ignore"):
            near = (a == b) & (np.signbit(a) == np.signbit(b))
            if ulp:
                near |= np.abs(a - b) <= ulp * np.spacing(np.maximum(np.abs(a), np.abs(b)))
        assert (nan | near).all(), (a[~(nan | near)], b[~(nan | near)])
    else:
        np.testing.assert_array_equal(a, b)


def random_arrays(program: Program, seed: int = 0, length: int = 5, low: float = -3.0) -> dict[str, np.ndarray]:
    """Values for a program's operands: strided, of `length` in each axis but where the type says otherwise."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for operand in program.operands:
        element, rank = operand.type.element, operand.type.rank
        shape = program.layouts[operand.name].shape if operand.name in program.layouts else (length,) * rank
        values = rng.uniform(low, 3.0, (*shape, 2))
        if element.kind == "c":
            values = values + 1j * rng.uniform(-3.0, 3.0, (*shape, 2))
        if element.kind in "iu":
            values = rng.integers(-100 if element.kind == "i" else 0, 100, (*shape, 2))
        array = (values > 0 if element.kind == "b" else values).astype(element.dtype)
        if "unit" in operand.type.layout or operand.type.order:
            arrays[operand.name] = np.asarray(array[..., 0], order=operand.type.order or "C").copy()
        else:
            arrays[operand.name] = array[..., 0]
    return arrays


def copies(arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in arrays.items()}


def check_meaning(program: Program, found: Program, contract: str) -> None:
    """Two programs give the same results, and leave the same in what they assign to."""
    for seed in range(3):
        arrays = random_arrays(program, seed, low=0.1 if contract == "fast" else -3.0)
        one, two = copies(arrays), copies(arrays)
        expected, got = interpret(program, one), interpret(found, two)
        assert expected.keys() == got.keys()
        for name in expected:
            if contract == "exact":
                assert_same(expected[name], got[name], ulp=8)
            else:
                np.testing.assert_allclose(got[name], expected[name], rtol=1e-12)
        for name in one:
            assert_same(one[name], two[name], ulp=8)


def over_arrays(node: Node, rank: int = 1) -> Node:
    """A tree over scalars as the same tree over arrays."""
    new: dict[Node, Node] = {}
    for leaf in postorder((node,)):
        if isinstance(leaf, Operand):
            new[leaf] = Operand(leaf.name, leaf.type.element.array(rank))
    return transform((node,), new.get)[node]
