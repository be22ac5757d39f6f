"""Choices in functions that are traced: `if` on values that are not known."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from passes_support import assert_same

import arrayexpr
from arrayexpr._core.errors import TypeMismatch, UnsupportedError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import Guard, postorder
from arrayexpr._core.parser import parse
from arrayexpr._core.verify import verify
from arrayexpr.build import spec_of, trace

SUMS = True


def threshold(a: Any) -> None:
    for i in range(a.shape[0]):
        if a[i] > 0.5:
            a[i] = 0.0


def both(a: Any) -> Any:
    above, below = 0.0, 0
    for x in range(len(a)):
        if a[x] >= 0.5:
            above += a[x]
            a[x] = above
        elif a[x] < 0.25:
            below += 1
        else:
            above = 0
    return above - below


def skips(a: Any) -> Any:
    total = 0.0
    for i in range(len(a)):
        if i == 0 or a[i - 1] > a[i] or not a[i] < 0.9:
            continue
        if 0.2 < a[i] <= 0.7 and (i < 3 or a[i - 3] > 0.1):
            total = max(total, a[i], 0.3) + min(a[i], 0.5)
            continue
        total = total * 0.5
    return total


def whole(a: Any) -> Any:
    x = a * 2
    if a.shape[0] > 3 and x[0] > 0.5:
        x = x[::-1]
        a[...] = 1.0
    else:
        x[1:] = 7
    return x + a


def returns(a: Any) -> Any:
    if len(a) < 2:
        return a * 3
    if a[0] > a[1]:
        b = a + 1
        return b * b
    elif a[0] == a[1]:
        return a
    return -a if len(a) < 9 else a[::-1]


def kept_before(a: Any) -> Any:
    before = a + 1
    first = a[0]
    if first > 0.5:
        a[...] = 0
        first = first + before[1]
    return before + first + float(a[0])


def of_python(a: Any) -> Any:
    kind = "sum" if SUMS else "mean"
    if kind == "sum":
        y = a.sum()
    else:
        z = a.mean()
        y = z
    if a[0] > 0.5:
        y = 1
    z = a * 2 if y > 1 else a[::-1]
    return z + y


def nested(a: Any) -> Any:
    count = 0
    best = a[0]
    for i in range(1, len(a)):
        for j in range(i):
            if a[j] < a[i]:
                if a[j] > 0.1:
                    count += 1
                    t = a[j] * 2
                else:
                    t = i
                if t > best:
                    best = a[j]
    return best * 100 + count


FUNCTIONS: list[Callable[..., Any]] = [threshold, both, skips, whole, returns, kept_before, of_python, nested]


def check(function: Callable[..., Any], a: Any) -> None:
    theirs, ours, read = a.copy(), a.copy(), a.copy()
    expected = function(theirs)
    found = arrayexpr.kernel(function)(ours)
    program = trace(function, spec_of(read))
    verify(program)
    assert any(isinstance(node, Guard) for node in postorder(program.statements))
    assert parse(str(program)) == program
    interpreted = interpret(program, {"a": read})
    assert_same(ours, theirs)
    assert_same(read, theirs)
    if expected is not None:
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(interpreted["r"], expected)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("seed", range(4))
def test_a_choice_gives_what_python_gives(function: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for a in (rng.random(9), rng.random(18)[::-2], np.round(rng.random(5)), rng.random(2)):
        check(function, a)


def test_no_more_is_evaluated_than_in_python() -> None:
    def guarded(a: Any) -> Any:
        if a.shape[0] > 5 and a[5] > 0:
            return a[5]
        return a[0]

    kernel = arrayexpr.kernel(guarded)
    for n in (1, 5, 6):
        assert kernel(np.arange(n) + 1.0) == guarded(np.arange(n) + 1.0)


class Scaled:
    scale = 2.0

    def above(self, a: Any) -> Any:
        for k in range(len(a)):
            if a[k] > 0.5:
                a[k] = self.scale
        return a * self.scale


def test_methods_are_functions() -> None:
    a = np.random.default_rng(0).random(5)
    assert_same(arrayexpr.kernel(Scaled().above)(a.copy()), Scaled().above(a.copy()))


def test_what_a_choice_cannot_keep_is_refused() -> None:
    def one_sided(a: Any) -> Any:
        if a[0] > 0:
            x = a * 2
        return x

    def of_two_ranks(a: Any) -> Any:
        x = a
        if a[0] > 0:
            x = a.sum()
        return x

    def of_two_types(a: Any) -> Any:
        if a[0] > 0:
            x = a * 2
        else:
            x = a > 1
        return x

    def loops(a: Any) -> Any:
        while a[0] > 0:
            a[0] -= 1

    def breaks(a: Any) -> None:
        for k in range(len(a)):
            if a[k] > 0:
                break

    def raises(a: Any) -> Any:
        if a.shape[0] < 3:
            raise ValueError("short")
        return a

    def calls_itself(a: Any) -> Any:
        if a[0] > 100:
            return a
        return calls_itself(a * 2)

    def of_arrays(a: Any) -> Any:
        if a > 0:
            a[0] = 1

    def bound_and_written(a: Any) -> Any:
        if a[0] > 0:
            a[0] = 1
            a = a * 2
        return a

    for function, error, message in [
        (one_sided, UnsupportedError, "x is bound in the choice in line .* and used after it"),
        (of_two_ranks, TypeMismatch, "x, in the choice in line .*, has 1 axes before it and 0 in it"),
        (of_two_types, TypeMismatch, "x, in the choice in line .*, is float64 before it and bool in it"),
        (loops, TypeError, "the truth of a symbolic array bool is unknown"),
        (breaks, TypeError, "is unknown|no value"),
        (raises, TypeError, "the truth of a symbolic array bool is unknown"),
        (calls_itself, TypeError, "the truth of a symbolic array bool is unknown"),
        (of_arrays, TypeError, r"the truth of a symbolic array bool\[:\] is unknown"),
        (bound_and_written, TypeMismatch, "a, in the choice in line .*, is assigned in place and bound anew"),
    ]:
        with pytest.raises(error, match=message):
            arrayexpr.kernel(function)(np.ones(3))


def test_choices_by_numbers_beside_loops_over_lengths() -> None:
    def scaled_by(scale: Any) -> Callable[[Any], Any]:
        def total(a: Any) -> Any:
            s = 0.0
            if scale is not None:
                start = 1
            for k in range(len(a)):
                x = a[k] if scale is None else a[k] * scale
                s = s + x
            return s if scale is None else s + start

        return total

    a = np.arange(4.0)
    for scale in (None, 2):
        assert arrayexpr.kernel(scaled_by(scale))(a) == scaled_by(scale)(a)

    def reads_too_early(a: Any) -> Any:
        count = len(a)
        if a.ndim > 1:
            rows = a
        return rows * count

    with pytest.raises(UnsupportedError, match="rows is used before it has a value"):
        arrayexpr.kernel(reads_too_early)(a)


def same_words_of_another_time(a: Any, b: Any) -> Any:
    w = b[::-1] - 2.0
    for _ in range(len(a)):
        w = b[::-1] - 2.0
        b[:] = w * 0.5
    return w


def same_words_in_a_branch(a: Any, b: Any) -> Any:
    w = a - 0.5
    if a[0] < b[-1] or a[0] > -2:
        b[1:] = w[:-1] * 2.0
        w = a - 0.5
    return w


def never(a: Any, b: Any) -> Any:
    for k in range(len(a)):
        for j in range(len(a)):
            if k > k:
                continue
            a[k] = j - b[-1]
    return a


def an_element_beside_its_array(a: Any, b: Any) -> Any:
    w = (a + b)[::-1] - 0.5
    w = w[::-1] - b[1]
    b[::2] = a[::2] * w[-1]
    return w * -0.5


@pytest.mark.parametrize(
    "function", [same_words_of_another_time, same_words_in_a_branch, never, an_element_beside_its_array]
)
def test_functions_that_were_wrong(function: Callable[..., Any]) -> None:
    for seed in range(3):
        _agrees(function, seed)


# -- Random functions -------------------------------------------------------------------------------


def _body(draw: random.Random, depth: int, indices: list[str]) -> list[str]:
    """Lines of a body: choices, loops, assignments to elements and to numbers."""
    lines: list[str] = []

    def number() -> str:
        at = draw.choice([*indices, "0", "1", "-1"])
        return draw.choice([f"a[{at}]", f"b[{at}]", f"w[{at}]", "s", "t", "2.0", "0.5", *indices])

    def test() -> str:
        x, y, z = number(), number(), number()
        return draw.choice([
            f"{x} > {y}", f"{x} < {y} <= {z}", f"not {x} > {y}", f"{x} > {y} or {y} > {z}", f"{x} < 1 and {y} > {z}"
        ])  # fmt: skip

    for _ in range(draw.randint(1, 3)):
        kind = draw.randrange(7 if depth else 4)
        if kind == 0:
            name = draw.choice("st")
            lines.append(f"{name} = {number()} * 0.5 + {number()}")
        elif kind == 1:
            lines.append(f"a[{draw.choice([*indices, '1', '-2'])}] = {number()} - {number()}")
        elif kind == 2:
            part, other = draw.choice([("1:", ":-1"), (":", "::-1"), ("::2", "::2")])
            lines.append(f"b[{part}] = {draw.choice('aw')}[{other}] * {number()}")
        elif kind == 3:
            lines.append(f"w = {draw.choice(['a', 'b[::-1]', 'w[::-1]'])} - {number()}")
        elif kind in (4, 5):
            lines.append(f"if {test()}:")
            lines += [f"    {line}" for line in _body(draw, depth - 1, indices)]
            if draw.random() < 0.5:
                lines.append("else:")
                lines += [f"    {line}" for line in _body(draw, depth - 1, indices)]
        else:
            index = f"k{len(indices)}"
            lines.append(f"for {index} in range(len(a){draw.choice(['', ' - 1'])}):")
            inner = _body(draw, depth - 1, [*indices, index])
            if draw.random() < 0.3:
                inner[:0] = [f"if {test()}:", "    continue"]
            lines += [f"    {line}" for line in inner]
    return lines


def _random_functions(seed: int, tmp_path: Path, count: int) -> list[Callable[..., Any]]:
    draw = random.Random(seed)
    text = ""
    for k in range(count):
        body = "\n".join(f"    {line}" for line in _body(draw, 3, []))
        text += f"def f{k}(a, b):\n    s, t = 0.5, 1.0\n    w = a + b\n{body}\n    return w * (s - t)\n\n\n"
    path = tmp_path / f"functions_{seed}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return [getattr(module, f"f{k}") for k in range(count)]


def _arguments(rng: np.random.Generator, n: int) -> list[tuple[Any, Any]]:
    """Pairs of arrays: apart, one and the same, one from the other's end, one a place further."""
    memory = rng.integers(-3, 4, 2 * n + 1).astype(float)
    return [
        (memory[:n], memory[n : 2 * n]),
        (memory[:n], memory[:n]),
        (memory[:n], memory[n - 1 :: -1]),
        (memory[:n], memory[1 : n + 1]),
    ]


def _agrees(function: Callable[..., Any], seed: int) -> None:
    kernel = arrayexpr.kernel(function)
    for n in (2, 5):
        for which in range(4):
            # Each a memory of its own with the same numbers.
            theirs, ours = (_arguments(np.random.default_rng(seed), n)[which] for _ in range(2))
            with np.errstate(all="ignore"):
                expected = function(*theirs)
                found = kernel(*ours)
            np.testing.assert_array_equal(found, expected)
            for one, two in zip(ours, theirs, strict=True):
                np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("seed", range(3))
def test_random_functions(seed: int, tmp_path: Path) -> None:
    for function in _random_functions(seed, tmp_path, 12):
        _agrees(function, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_random_functions(seed: int, tmp_path: Path) -> None:
    for function in _random_functions(seed, tmp_path, 40):
        _agrees(function, seed)
