"""The runner of golden files: a text check of a pass, always paired with a check of its meaning.

A golden file is `tests/golden/<pass or pipeline>/<name>.txt`:

    # Why this is worth a test.
    # passes: simplify, block(size=32)      (else the pass that the folder is named after)
    # shapes: a=(3, 4), b=(4,)              (else random ones, until some fit)
    # ulp: 4                                (else results must be equal bit for bit)
    # remarks: shown                        (those that the passes made, as comments after the program)
    <the program before>
    // -----
    <the program after, or "error: " and the message of a refusal>

The runner parses, verifies, applies the passes and verifies, prints, and compares with the text after
the line. Then it interprets both programs on the same random arrays in random layouts and compares
results, what was assigned in place, and the order in which host functions with effects were called.
`pytest --update-golden` rewrites what stands after the line.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from layouts import LAYOUTS, WRITABLE, clone, lay_out_as, placed, same, ulps, values

from arrayexpr._core.errors import ArrayExprError, ShapeMismatch, UnsupportedError
from arrayexpr._core.interpret import interpret
from arrayexpr._core.nodes import EFFECTS, Assign, Opaque, Pack, Store, View
from arrayexpr._core.parser import parse
from arrayexpr._core.program import Program
from arrayexpr._core.verify import verify

ROOT = Path(__file__).parent / "golden"
LINE = "// -----"

Pass = Callable[..., Program]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Golden:
    """A golden file, taken apart."""

    comments: str
    options: Mapping[str, str]
    before: str
    after: str


def files() -> list[Path]:
    """Every golden file there is."""
    return sorted(ROOT.glob("**/*.txt"))


def read(path: Path) -> Golden:
    text = path.read_text(encoding="utf-8")
    head = re.match(r"(#[^\n]*\n)*", text)
    assert head is not None
    comments = head.group()
    options = dict(re.findall(r"^# *(passes|shapes|ulp|remarks) *: *(.*?) *$", comments, re.MULTILINE))
    before, found, after = text[len(comments) :].partition(f"{LINE}\n")
    if not found and not text.endswith(LINE):
        before, after = text[len(comments) :], ""
    return Golden(comments, options, before, after)


def steps(text: str, known: Mapping[str, Pass] | None = None) -> list[tuple[Pass, dict[str, Any]]]:
    """The passes that `simplify, block(size=32)` names, with their options, which are Python literals."""
    call = ast.parse(f"_({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    found = []
    for item in call.args:
        options = {}
        if isinstance(item, ast.Call):
            options = {keyword.arg or "**": ast.literal_eval(keyword.value) for keyword in item.keywords}
            item = item.func
        if not isinstance(item, ast.Name):
            raise ValueError(f"passes: {text}: expected names of passes, with keywords in parentheses")
        if known is not None and item.id in known:
            found.append((known[item.id], options))
        else:
            module = importlib.import_module(f"arrayexpr._core.passes.{item.id}")
            found.append((getattr(module, item.id), options))
    return found


def shapes_of(text: str) -> dict[str, Shape]:
    """The shapes that `a=(3, 4), b=(4,)` says."""
    call = ast.parse(f"_({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {keyword.arg or "**": tuple(ast.literal_eval(keyword.value)) for keyword in call.keywords}


def run(path: Path, known: Mapping[str, Pass] | None = None, update: bool = False) -> None:
    """Check a golden file; raises AssertionError where text or meaning differ.

    `known` gives passes by name that are in no module of theirs. `update` rewrites the file instead of
    comparing texts; the meaning is checked all the same.
    """
    golden = read(path)
    before = after = None
    try:
        before = parse(golden.before)
        verify(before)
        after = before
        for step, options in steps(golden.options.get("passes", path.parent.name), known):
            after = step(after, **options)
            verify(after)
        text = str(after)
        assert parse(text) == after, f"{path.name}: the output does not parse back to an equal program:\n{text}"
        if golden.options.get("remarks") == "shown":
            text += "".join(f"# {remark}\n" for remark in after.remarks)
    except ArrayExprError as error:
        after = None
        text = "".join(f"{line.rstrip()}\n" for line in f"error: {error}".split("\n"))
    if update:
        path.write_text(f"{golden.comments}{golden.before}{LINE}\n{text}", encoding="utf-8")
    else:
        assert text == golden.after, f"{path.name}: expected\n{golden.after}\ngot\n{text}"
    if before is not None and after is not None:
        check_meaning(before, after, shapes_of(golden.options.get("shapes", "")), int(golden.options.get("ulp", 0)))


# -- Meaning ------------------------------------------------------------------------------------


def check_meaning(
    before: Program,
    after: Program,
    shapes: Mapping[str, Shape] | None = None,
    ulp: int = 0,
    trials: int = 6,
    seed: int = 0,
) -> None:
    """Interpret both programs on the same random arrays; raises AssertionError where they differ.

    Shapes that are not given are chosen at random, until they fit. Results must be equal bit for bit, or
    where `ulp` is above 0 within that many units of the last place.
    """
    rng = np.random.default_rng(seed)
    done = 0
    refusal: object = "no attempt was made"
    for attempt in range(60 * trials):
        if done == trials:
            return
        arrays = _arrays(before, _shapes(before, dict(shapes or {}), rng, attempt), rng, attempt)
        again = clone(arrays)
        traces: tuple[list[Any], list[Any]] = [], []
        try:
            expected = interpret(_with_hosts(before, before, traces[0]), arrays)
        except UnsupportedError:
            return
        except (ShapeMismatch, ValueError) as error:
            refusal = error
            continue
        # What is not written must show: it is garbage here, and was not there.
        for result in before.results:
            if result.name not in again:
                shape = expected[result.name].shape
                filled = values(result.type.element, shape, rng)
                layout = before.layouts.get(result.name)
                again[result.name] = (
                    lay_out_as(filled, result.type, WRITABLE[attempt % len(WRITABLE)], rng)
                    if layout is None
                    else placed(filled, layout.shape, layout.strides)
                )
        got = interpret(_with_hosts(after, before, traces[1]), again)
        for name, value in [*expected.items(), *arrays.items()]:
            other = got.get(name, again[name])
            near = ulps(value, other) <= ulp if ulp else same(value, other)
            assert near, f"{name} of {_shown(arrays)} differs: expected\n{value}\ngot\n{other}\nof program\n{after}"
        assert traces[0] == traces[1], f"host functions were called otherwise: {traces[0]} became {traces[1]}"
        done += 1
    assert done, f"no random shapes fit: give some by '# shapes:' ({refusal})"


def _shown(arrays: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {array.shape} {array.dtype}" for name, array in arrays.items())


def _shapes(program: Program, given: dict[str, Shape], rng: np.random.Generator, attempt: int) -> dict[str, Shape]:
    """Shapes for what is declared: axes right-aligned have one extent, or 1; every third time all are equal."""
    extents = rng.integers(1, 7, 40)
    if attempt % 3 == 0:
        extents[:] = extents[0]
    if attempt % 7 == 6:
        extents[rng.integers(0, 3)] = 0
    found = {}
    written = _written(program)
    for operand in program.declared:
        shape = [int(n) for n in extents[: operand.type.rank][::-1]]
        if attempt % 3 == 1 and operand.name not in written:
            shape = [1 if rng.random() < 0.3 else n for n in shape]
        layout = program.layouts.get(operand.name)
        found[operand.name] = given.get(operand.name, tuple(shape) if layout is None else layout.shape)
    return found


def _written(program: Program) -> set[str]:
    found = {result.name for result in program.results}
    for node in program.nodes():
        if isinstance(node, Assign):
            target = node.target
            while isinstance(target, View):
                target = target.arg
            found.add(target.key)
        elif isinstance(node, (Store, Pack)):
            found.add(node.args[0].key)
        elif isinstance(node, EFFECTS):
            names = getattr(node, "writes", None)
            found |= {operand.name for operand in program.declared} if names is None else names
    return found


def _arrays(
    program: Program, shapes: Mapping[str, Shape], rng: np.random.Generator, attempt: int
) -> dict[str, np.ndarray]:
    """An array for each operand, in a random layout that its type allows; on odd attempts for results too."""
    written = _written(program)
    found = {}
    for operand in program.operands + program.results if attempt % 2 else program.operands:
        if operand.type.element.dtype is None:
            continue
        filled = values(operand.type.element, shapes[operand.name], rng)
        layout = program.layouts.get(operand.name)
        if layout is not None:
            found[operand.name] = placed(filled, layout.shape, layout.strides)
        else:
            kinds = WRITABLE if operand.name in written else LAYOUTS
            found[operand.name] = lay_out_as(filled, operand.type, kinds[rng.integers(0, len(kinds))], rng)
    return found


def _with_hosts(program: Program, original: Program, trace: list[Any]) -> Program:
    """The program with a function for every Opaque it may call, unless it brings its own."""
    hosts = dict(program.hosts)
    effects = set()
    for node in original.nodes():
        if isinstance(node, EFFECTS) and isinstance(node.args[0], Opaque):
            effects.add(node.args[0].name)
    for node in original.nodes():
        if isinstance(node, Opaque):
            hosts.setdefault(node.name, _host(node, trace if node.name in effects else None))
    return program.replace(hosts=hosts)


def _host(node: Opaque, trace: list[Any] | None) -> Callable[..., Any]:
    """A function of the type of an Opaque, that differs from name to name and counts its calls."""
    dtype = node.type.element.dtype
    rank = node.type.rank

    def function(*args: np.ndarray) -> np.ndarray:
        if trace is not None:
            trace.append((node.name, [arg.tolist() if arg.size < 10 else arg.shape for arg in args].__repr__()))
        full = np.broadcast_shapes(*(arg.shape for arg in args))
        total = np.full(full, len(node.name) % 7, dtype)
        for k, arg in enumerate(args):
            with np.errstate(all="ignore"):
                part = arg.real if arg.dtype.kind == "c" and dtype.kind != "c" else arg
                total = np.where(np.isfinite(part), part, k).astype(dtype) ^ total if dtype.kind == "b" else (
                    total + np.where(np.isfinite(part), part, k).astype(dtype)
                )  # fmt: skip
            if arg.flags.writeable:
                arg[...] = ~arg if arg.dtype.kind == "b" else arg + arg.dtype.type(k + 1)
        while total.ndim > rank:
            total = total[0] if total.shape[0] else np.zeros(total.shape[1:], dtype)
        return total.reshape((1,) * (rank - total.ndim) + total.shape)

    return function


def identity(program: Program) -> Program:
    """The pass that changes nothing: what a golden file of the text form names."""
    return program
