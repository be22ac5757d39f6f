"""Random expressions, kinds and layouts through numexpr and through the drop-in: what differs is on the page."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest
from numexpr_expressions import Expressions

numexpr = pytest.importorskip("numexpr")

import arrayexpr  # noqa: E402
import arrayexpr.adapters.numexpr as ne  # noqa: E402
from arrayexpr._core.interpret import interpret  # noqa: E402
from arrayexpr.adapters.numexpr.translate import from_host, nodes_of  # noqa: E402

#: What `docs/reference/numexpr.md` says of errors that numexpr raises and we do not.
WE_COMPUTE = (
    # Python's number on the left of // & | ^.
    r"unsupported operand type\(s\) for (//|&|\||\^)",
    # min and max of int32.
    r"returned a result with an exception set",
    # Reductions of constants, and of bools.
    r"'(int|float|complex|bool)' object has no attribute 'astKind'",
    r"couldn't find matching opcode for '(sum|prod)_bbn'",
    # Constants that numexpr folds into something that is none.
    r"unhashable type: 'numpy.ndarray'",
    # Reductions within.
    r"reduction operations must occur last",
    # Aggressive optimisation of a power that is a complex constant.
    r"int\(\) argument must be a string, a bytes-like object or a real number, not 'complex'",
    r"bad operand type for unary ~: '(float|complex)'",
    # Division by a constant 0, which numexpr multiplies by the reciprocal of.
    r"division by zero",
    # Half powers of bools, here of kind double.
    r"couldn't find matching opcode for '(sqrt_bb|(min|max)_bbn)'",
)


def outcome(module: Any, text: str, operands: dict[str, Any], optimization: str) -> Any:
    try:
        return module.evaluate(text, local_dict=operands, global_dict={}, optimization=optimization)
    except Exception as error:
        return error


def close(x: Any, y: Any) -> bool:
    if x.dtype.kind not in "fc":
        return bool(np.array_equal(x, y))
    if x.dtype.kind == "c":
        # On the page: complex quotients and powers of zero are NumPy's.
        open_ = np.isnan(x) | np.isnan(y)
        x, y = np.where(open_, 0, x), np.where(open_, 0, y)
        # ... and so are the sides of branch cuts: which of two conjugates, or of two signs, a function gives there.
        return close(np.abs(x.real), np.abs(y.real)) and close(np.abs(x.imag), np.abs(y.imag))
    # Each function is within 4 ulp, of float32 where a part is one; numexpr's complex ones are its own formulas.
    tolerance = 2e-5
    return bool(np.allclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True))


def explained(text: str, operands: dict[str, Any], optimization: str, theirs: Any, ours: Any) -> bool:
    """Whether the difference is one on the page: of some ulp in functions, or of numexpr's from NumPy's values."""
    types = {name: ne.necompiler.getType(array) for name, array in operands.items()}
    tree = ne.necompiler.stringToExpression(text, types, {"optimization": optimization})
    program = from_host(tree, {name: (array.dtype, array.ndim) for name, array in operands.items()})
    arrays = [operands[operand.name] for operand in program.operands]
    # By C's own functions, which are numexpr's and NumPy's: in places where a bit of a function decides, they tell.
    scalar = np.asarray(arrayexpr.compile(program, vector_math=False, engine="block")(*arrays))
    if close(theirs, scalar):
        return True
    native = [array.astype(array.dtype.newbyteorder("=")) for array in arrays]
    names = [operand.name for operand in program.operands]
    (numpys,) = interpret(program, dict(zip(names, native, strict=True))).values()
    return bool(DIFFERENT.search(text) or "complex" in kinds_of(tree)) and close(np.asarray(numpys), scalar)


#: Where values are NumPy's and not numexpr's: floor division and remainder, powers of integers that overflow, float32
#: sums and products one by one. Complex functions are too.
DIFFERENT = re.compile(r"//|%|\*\*|^(sum|prod|min|max)")


def kinds_of(tree: Any) -> set[str]:
    return {node.astKind for node in nodes_of(tree)}


def difference(text: str, operands: dict[str, Any], optimization: str, theirs: Any, ours: Any) -> str | None:
    """How two outcomes differ beyond what the page lists; None where they do not."""
    if isinstance(theirs, Exception):
        if isinstance(ours, type(theirs)) or any(re.search(pattern, str(theirs)) for pattern in WE_COMPUTE):
            return None
        return f"{type(theirs).__name__} {theirs} there, {ours!r} here"
    if isinstance(ours, Exception):
        return f"{theirs!r} there, {type(ours).__name__} {ours} here"
    if theirs.dtype != ours.dtype or theirs.shape != ours.shape:
        return f"{theirs.dtype} {theirs.shape} there, {ours.dtype} {ours.shape} here"
    if re.search(r"copysign|signbit|arctan2.*(maximum|minimum)", text):
        # On the page: the sign of a NaN is open, and which zero `maximum` gives of both.
        return None
    if close(theirs, ours) or explained(text, operands, optimization, theirs, ours):
        return None
    return f"{theirs!r} there, {ours!r} here"


def compare(seeds: range) -> Counter[str]:
    """The outcomes met, for a test to see that enough were values."""
    met: Counter[str] = Counter()
    for seed in seeds:
        drawn = Expressions(seed)
        text, operands = drawn.expression(), drawn.operands()
        optimization = drawn.one_of(("none", "moderate", "aggressive"))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            theirs, ours = (outcome(module, text, operands, optimization) for module in (numexpr, ne))
            found = difference(text, operands, optimization, theirs, ours)
        shown = {name: (array.dtype.str, array.shape) for name, array in operands.items()}
        assert found is None, f"seed {seed}: {text} of {shown}, {optimization}: {found}"
        met["error" if isinstance(theirs, Exception) else "value"] += 1
    return met


def test_expressions_as_numexpr(monkeypatch: pytest.MonkeyPatch) -> None:
    # The block engine: the bits of compiled kernels, without compiling one for every expression.
    monkeypatch.setenv("ARRAYEXPR_ENGINE", "block")
    met = compare(range(600))
    assert met["value"] > 300, met


@pytest.mark.slow
def test_many_expressions_as_numexpr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARRAYEXPR_ENGINE", "block")
    met = compare(range(600, 20_000))
    assert met["value"] > 8000, met
