"""Random functions compiled by Numba with our pass and without, and compared bit for bit."""

from __future__ import annotations

import itertools
import sys
from importlib import invalidate_caches, util
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba_arrays import LAYOUTS, laid_out, small, values
from numba_nests import Nest
from numba_programs import DTYPES, Source

from arrayexpr.adapters.numba import explain, njit, pipeline

_NUMBER = itertools.count()


@numba.vectorize
def user(x: Any, y: Any) -> Any:
    return x * 2 - y if x > y else y


class Taken:
    """Counts, while it is entered, the statements that the pass takes."""

    def __enter__(self) -> Taken:
        self.statements = self.fused = self.reductions = 0
        self.plan = pipeline.plan

        def counting(program: Any) -> Any:
            made = self.plan(program)
            self.statements += len(program.statements)
            self.fused += len(program.statements) if made.regions else 0
            self.reductions += len(made.folds)
            return made

        pipeline.plan = counting
        return self

    def __exit__(self, *_: Any) -> None:
        pipeline.plan = self.plan


def compiled(text: str, folder: Path | None = None, **flags: Any) -> tuple[Any, Any]:
    """The function `f` of a text, by Numba's decorator and by ours. With a folder, where its text goes, both keep their
    code in Numba's cache."""
    if folder is None:
        space: dict[str, Any] = {"np": np, "numba": numba, "user": user}
        exec(text, space)
        return numba.njit(**flags)(space["f"]), njit(**flags)(space["f"])
    name = f"random_{next(_NUMBER)}"
    path = folder / f"{name}.py"
    path.write_text(f"import numba, numpy as np\nfrom numba_differential import user\n\n\n{text}")
    invalidate_caches()
    spec = util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return numba.njit(cache=True, **flags)(module.f), njit(cache=True, **flags)(module.f)


def same(one: Any, two: Any) -> bool:
    """Whether results are equal bit for bit, NaNs among themselves, and lie alike in memory."""
    if one is None or two is None:
        return one is two
    if isinstance(one, tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if not isinstance(one, np.ndarray):
        return type(one) is type(two) and same(np.asarray(one), np.asarray(two))
    return (
        one.dtype == two.dtype
        and one.shape == two.shape
        and one.strides == two.strides
        and np.array_equal(one, two, equal_nan=one.dtype.kind in "fc")
        and (one.dtype.kind != "f" or np.array_equal(np.signbit(one[one == 0]), np.signbit(two[two == 0])))
    )


def nearly(one: Any, two: Any) -> bool:
    """Whether results are equal but for rounding."""
    if isinstance(one, tuple):
        return len(one) == len(two) and all(map(nearly, one, two))
    if one is None or two is None:
        return one is two
    one, two = np.asarray(one), np.asarray(two)
    if not np.isfinite(two).all():
        # Fast math takes for granted that there is no such result.
        return one.dtype == two.dtype
    scale = float(np.abs(two).max(initial=1.0))
    return one.dtype == two.dtype and bool(np.allclose(one, two, rtol=1e-3, atol=1e-3 * scale))


def arguments(
    rng: np.random.Generator, names: dict[str, str], layouts: list[str], full: tuple[int, ...], broadcast: bool,
    aliased: bool, finite: bool = False,
) -> list[Any]:  # fmt: skip
    """Arrays for a function; `broadcast`: some of length 1 along axes; `aliased`: `b` and `out` share memory; `finite`:
    without NaN, infinities and negative zeros."""
    args = []
    for (name, dtype), layout in zip(names.items(), layouts, strict=True):
        shape = tuple(1 if broadcast and name not in ("out", "a") and rng.random() < 0.3 else n for n in full)
        made = values(rng, shape, dtype)
        if finite and made.dtype.kind in "fc":
            made = np.where(np.isfinite(made) & (made != 0), made, made.dtype.type(0.5))
        args.append(laid_out(rng, made, layout))
    if aliased and names["b"] == names["out"] and layouts[1] == layouts[3]:
        args[1] = args[3]
        if layouts[1] == "A" and rng.random() < 0.7:
            args = [args[0][:-1], args[3][:-1], args[2][: max(1, full[0] - 1)], args[3][1:]]
    return args


def run(function: Any, args: Any) -> Any:
    try:
        return function(*args), None
    except (ValueError, ZeroDivisionError, AssertionError) as error:
        # Shapes that differ are an assertion of parallel code.
        return None, type(error)


def differential(seed: int, calls: bool = False, folder: Path | None = None, **flags: Any) -> None:
    """Compare a random function of array statements with plain Numba's; `calls`: of functions that are no ufuncs and of
    reductions, too; `folder`: what was in the cache as well, which is put there. With fastmath results may be rounded
    otherwise, and there are no NaNs and infinities, of which it takes for granted that there are none."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    kinds = [rng.choice(DTYPES)] * 4 if rng.random() < 0.6 else list(rng.choice(DTYPES[:6], 4))
    if "?" in kinds or rng.random() < 0.5:
        kinds = ["f8"] * 4 if "?" in kinds else kinds
    names = dict(zip(("a", "b", "c", "out"), map(str, kinds), strict=True))
    fast = bool(flags.get("fastmath"))
    if fast:
        names = {name: "f4" if kind == "f4" else "f8" for name, kind in names.items()}
    # Plain Numba gives no care to what overlaps in these.
    in_place = bool(rng.random() < 0.5)
    source = Source(rng, names, in_place, rank, calls, smooth=fast)
    text = source.text(int(rng.integers(1, 11 if rng.random() < 0.2 else 5)))
    plain, mine = compiled(text, folder, **flags)
    layouts = [str(rng.choice(["C", "F", "A", "A"])) for _ in names]
    alike = nearly if fast else same
    for attempt in range(4):
        full = tuple(int(rng.choice([1, 2, 3, 5, 70 if rank < 3 else 9])) for _ in range(rank))
        seeds = rng.integers(1 << 30)
        aliased = not in_place and attempt == 3
        sets = [
            arguments(np.random.default_rng(seeds), names, layouts, full, attempt > 0, aliased, fast) for _ in range(3)
        ]
        scalars = int(rng.integers(1, 5)), float(rng.random() + 0.5)
        try:
            expected, error = run(plain, [*sets[0], *scalars])
        except (numba.core.errors.NumbaError, AttributeError) as why:
            # What Numba cannot type (its rules of in-place operators stumble over some types) stays so.
            with pytest.raises(type(why)):
                mine(*sets[1], *scalars)
            break
        found, raised = run(mine, [*sets[1], *scalars])
        where = f"seed {seed} {flags}\n{text}\n{[(s.shape, s.strides, s.dtype) for s in sets[0]]}"
        # What reads out of bounds in plain Numba raises with us: shapes of these are tested.
        if in_place and error is None and raised is ValueError:
            break
        assert raised == error, where
        if error is None:
            assert alike(found, expected), where
            assert all(map(alike, sets[1], sets[0])), where
        if folder is not None:
            kept = njit(cache=True, **flags)(mine.py_func)
            found, raised = run(kept, [*sets[2], *scalars])
            assert sum(kept.stats.cache_hits.values()) == 1, where
            assert raised == error and (error or alike(found, expected) and all(map(alike, sets[2], sets[0]))), where


# -- Nests ------------------------------------------------------------------------------------------


def called(function: Any, args: tuple[Any, ...]) -> tuple[Any, str]:
    try:
        return function(*args), ""
    except (IndexError, ZeroDivisionError, ValueError) as error:
        return None, type(error).__name__


def copied(args: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    """Arguments in memory of their own that lie as the given ones, those that share memory sharing it alike."""
    bases: dict[int, tuple[Any, Any]] = {}
    found = []
    for arg in args:
        if not isinstance(arg, np.ndarray):
            found.append(arg)
            continue
        base = arg
        while base.base is not None:
            base = base.base
        bases.setdefault(id(base), (base, base.copy(order="K")))
        old, new = bases[id(base)]
        start = arg.__array_interface__["data"][0] - old.__array_interface__["data"][0]
        found.append(np.ndarray(arg.shape, arg.dtype, new, start, arg.strides))
    return tuple(found)


def same_bits(args: tuple[Any, ...], others: tuple[Any, ...]) -> bool:
    return all(
        np.array_equal(x, y, equal_nan=x.dtype.kind in "fc") and x.tobytes() == y.tobytes()
        for x, y in zip(args, others, strict=True)
        if isinstance(x, np.ndarray)
    )


def check(plain: Any, mine: Any, args: tuple[Any, ...], rng: np.random.Generator, close: bool = False) -> None:
    """Compare what both do with arguments; `close`: but for rounding."""
    one, other = copied(args, rng), copied(args, rng)
    expected, found = called(plain, one), called(mine, other)
    if close:
        assert found[1] == expected[1] and nearly(found[0], expected[0])
        assert all(nearly(x, y) for x, y in zip(other, one, strict=True)), explain(mine)
        return
    assert found[1] == expected[1] and same(found[0], expected[0]), (found, expected, explain(mine))
    assert same_bits(one, other), explain(mine)


def nest_differential(seed: int, folder: Path | None = None, **flags: Any) -> bool:
    """Compare a random function of loops over elements with plain Numba's; whether a nest of it is taken."""
    rng = np.random.default_rng(seed)
    fast = bool(flags.get("fastmath"))
    text = Nest(rng).text()
    kinds = [str(rng.choice(["f8", "f8", "f8", "f4", "i8", "i4", "u1"])) for _ in range(5)]
    # What a uint8 cannot hold of a float is undefined, and another number in vectors: none is assigned.
    kinds[2:4] = ["i4" if kind == "u1" else kind for kind in kinds[2:4]]
    # A subscript that lies outside is an error, or reads whatever there is.
    plain, mine = compiled(text, folder, **{"boundscheck": True, **flags})
    for shape in ((9, 9), (5, 8), (70, 40)):
        arrays = [laid_out(rng, small(rng, shape, kind), str(rng.choice(LAYOUTS))) for kind in kinds[:4]]
        if rng.random() < 0.2:
            arrays[2] = arrays[0]
        line = small(rng, (max(shape),), kinds[4])
        args = (*arrays, line, int(rng.integers(-3, 4)), float(rng.random()))
        functions = [mine]
        if folder is not None:
            functions.append(njit(cache=True, **{"boundscheck": True, **flags})(mine.py_func))
        for function in functions:
            try:
                check(plain, function, args, rng, fast)
            except AssertionError as why:
                strides = [each.strides for each in arrays]
                raise AssertionError(f"seed {seed} {flags}\n{text}\n{kinds} {shape} {strides}\n{why}") from why
    return "loops over" in explain(mine)
