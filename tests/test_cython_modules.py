"""The Cython adapter: modules of statements made from rows, each beside the same loops written by hand, and NumPy."""

from __future__ import annotations

import itertools
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from cython_build import build
from cython_rows import MODULES, TYPES, Row, module
from layouts import lay_out, values

from arrayexpr._core.types import element

#: Those that the default suite compiles: 40 take some minutes.
QUICK = {"calls"}
SHAPES: dict[int, list[tuple[int, ...]]] = {
    1: [(7,), (1,), (0,), (300,)],
    2: [(3, 5), (1, 4), (40, 33), (0, 3)],
    3: [(2, 3, 4), (5, 1, 9)],
    4: [(2, 3, 2, 5)],
    5: [(2, 1, 3, 2, 4)],
}
LAYOUTS = ("C", "F", "permuted", "reversed", "stepped")


def operand(c_type: str, shape: tuple[int, ...], row: Row, rng: np.random.Generator) -> Any:
    """Values that no operator of a row has no result for, in a random layout; a number for no axes."""
    dtype = np.dtype(TYPES[c_type])
    if row.special and dtype.kind == "f":
        made = values(element(dtype.name), shape, rng)
        made[np.abs(made) > 1e30] = 1
    else:
        made = rng.integers(1, 10, shape)
        if dtype.kind != "u":
            made = made * rng.choice([-1, 1], shape)
        if dtype.kind in "fc":
            made = made / 2
        if dtype.kind == "c":
            made = made + 0.5j * rng.integers(-9, 10, shape)
    if not shape:
        return made.item() if dtype.kind == "i" else dtype.type(made).item()
    return lay_out(np.asarray(made).astype(dtype), str(rng.choice(LAYOUTS)), rng)


def calls_of(row: Row, rng: np.random.Generator) -> Any:
    """Operands for some calls of a row, and the shape of what it stores to."""
    rank = row.out[1]
    for shape in SHAPES[rank]:
        if row.views and 0 in shape:
            continue
        full = (5,) * 5 if row.views else shape
        for _ in range(3):
            operands = []
            for c_type, own in row.operands.values():
                lengths = full[len(full) - own :] if own else ()
                if row.stretched and not row.views:
                    lengths = tuple(1 if rng.random() < 0.3 else n for n in lengths)
                operands.append(operand(c_type, lengths, row, rng))
            yield operands, ((5,) * rank if row.views else shape)


def check_row(made: ModuleType, row: Row, rng: np.random.Generator) -> None:
    """A row's statement, value and loops agree, for every layout; NumPy agrees with them where it has C's types."""
    dtype = np.dtype(TYPES[row.out[0]])
    for operands, shape in calls_of(row, rng):
        before = [np.copy(each) for each in operands]
        expected, out = np.zeros(shape, dtype), lay_out(np.zeros(shape, dtype), str(rng.choice(LAYOUTS)), rng)
        getattr(made, f"{row.name}_loop")(*operands, expected)
        getattr(made, row.name)(*operands, out)
        compare(row, out, expected)
        if row.value:
            value = np.asarray(getattr(made, f"{row.name}_value")(*operands))
            assert value.flags.c_contiguous and value.ndim <= expected.ndim
            compare(row, np.broadcast_to(value.astype(dtype), shape), expected)
        for each, held in zip(operands, before, strict=True):
            np.testing.assert_array_equal(each, held)
        if agrees_with_numpy(row):
            names = {
                name: each[1] and given for (name, each), given in zip(row.operands.items(), operands, strict=True)
            }
            with np.errstate(all="ignore"):
                said = eval(row.expression, {}, names)
            np.testing.assert_array_equal(out, np.broadcast_to(np.asarray(said).astype(dtype), shape))


def compare(row: Row, got: np.ndarray, expected: np.ndarray) -> None:
    if row.close and got.dtype.kind in "fc":
        # Compilers fold functions of constants, and multiply complex numbers, in ways that differ by a rounding.
        eps = 8 * np.finfo(got.dtype).eps
        np.testing.assert_allclose(got, expected, rtol=eps, atol=eps)
    else:
        np.testing.assert_array_equal(got, expected)


def agrees_with_numpy(row: Row) -> bool:
    """Whether NumPy computes a row in the types that C does: all of one type that is no narrower than int."""
    kinds = {TYPES[c_type] for c_type, rank in row.operands.values()}
    simple = not any(word in row.expression for word in ("(", "if", "<", "/", "%", "~"))
    every = all(rank for _, rank in row.operands.values())
    return simple and every and not row.views and len(kinds) == 1 and kinds <= set("dlqnfi") and row.out[0] != "float"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in MODULES]
)
def test_rows(name: str, tmp_path: Path) -> None:
    imports, rows = MODULES[name]
    path = tmp_path / f"{name}.pyx"
    path.write_text(module(rows, imports))
    (tmp_path / "built").mkdir()
    modules, entries = build(tmp_path / "built", [path], flags=["-O0"])
    done = {entry.line for entry in entries if entry.done}
    text = path.read_text().splitlines()
    assert {k + 1 for k, line in enumerate(text) if line.startswith("    out[...]")} <= done
    rng = np.random.default_rng(len(name))
    for row in rows:
        check_row(modules[name], row, rng)


def test_there_are_forty_modules_of_distinct_rows() -> None:
    texts = [module(rows, imports) for imports, rows in MODULES.values()]
    assert len(set(texts)) >= 40
    for _, rows in MODULES.values():
        assert len({row.name for row in rows}) == len(rows)


def test_every_type_of_c_has_a_module() -> None:
    assert {f"type_{name.replace(' ', '_')}" for name in TYPES if name != "bint"} <= set(MODULES)
    assert len(list(itertools.chain.from_iterable(rows for _, rows in MODULES.values()))) >= 400
