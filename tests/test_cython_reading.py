"""The Cython adapter: nests, read as our loops, mean to the interpreter what they do where Cython compiles them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cython_build import SOURCES, build
from test_cython_nests import arguments

from arrayexpr._core.interpret import interpret
from arrayexpr._core.program import Program
from arrayexpr.adapters.cython import cythonize, loops, pipeline
from arrayexpr.adapters.cython.places import loop_text

#: Those of one nest, whose results are all in arrays, and whose bounds are of arguments.
NAMES = [
    *("row_sums", "row_sums_in_place", "product", "masked", "skipped", "stepped", "falling", "coordinates"),
    *("imperfect", "recurrence", "triangle", "parallel", "parallel_sums", "quotients", "chosen", "clipped"),
]
SIZE = (23, 14, 6)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[loops.Source]]:
    """What each function's nests are read as."""
    found: dict[str, list[loops.Source]] = {}

    def raised(loop: Any, given: Any, env: Any) -> Any:
        if env.name in NAMES:
            found.setdefault(env.name, []).append(loops.NestReader(loop, given).run())
        raise loops.Left("it is read only")

    path = tmp_path_factory.mktemp("read") / "nests.pyx"
    path.write_text((SOURCES / "nests.pyx").read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "raised", raised)
        cythonize([str(path)], quiet=True, force=True)
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The module that Cython alone compiles."""
    folder = tmp_path_factory.mktemp("plain")
    return build(folder, [SOURCES / "nests.pyx"], compiler_directives={"arrayexpr": False})[0]["nests"]


def value_of(given: Any, named: dict[str, Any]) -> Any:
    """The value of what Cython has for an operand: C text, or a node."""
    if not isinstance(given, str):
        inner = getattr(given, "expression", given)
        given = getattr(inner, "name", None) or loop_text(inner) or str(inner.result())
    names = {**named, **{f"__pyx_v_{name}": value for name, value in named.items()}}
    return eval(re.sub(r"\([a-z_]+_t\)|\.strides|\bPy_ssize_t\b", "", given), {}, names)


@pytest.mark.parametrize("name", NAMES)
def test_nests_mean_what_they_say(read: Any, plain: Any, name: str) -> None:
    rng = np.random.default_rng(len(name))
    source = read[name][0]
    own = arguments(name, SIZE, rng)
    expected = [x.copy() if isinstance(x, np.ndarray) else x for x in own]
    getattr(plain, name)(*expected)
    text = Path(SOURCES / "nests.pyx").read_text()
    (listed,) = re.findall(rf"def {name}\((.*?)\):", text)
    parameters = re.sub(r"\[.*?\]", "", listed).split(",")
    named = {each.split()[-1]: value for each, value in zip(parameters, own, strict=True)}
    given: dict[str, Any] = {o.name: named[memory.name] for o, memory in source.memories.items()}
    given |= {o.name: value_of(text, named) for o, text in source.integers.items()}
    given |= {o.name: value_of(node, named) for o, node in source.numbers.items()}
    for operand, each in source.counters.items():
        given[operand.name] = np.arange(1000).astype(operand.type.element.dtype)
        assert each in source.ranges
    operands = [*source.memories, *source.integers, *source.numbers, *source.counters]
    interpret(Program(name, operands, [source.loop]), given)
    for x, y in zip(own, expected, strict=True):
        np.testing.assert_array_equal(x, y)
