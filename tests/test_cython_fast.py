"""The Cython adapter: with `arrayexpr_fast`, functions of C's library come from vectors, within 4 ulp."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cython_build import SOURCES, build, load
from layouts import lay_out
from setuptools import Distribution, Extension

from arrayexpr.adapters.cython import cythonize
from arrayexpr.adapters.cython.build_ext import build_ext

LAYOUTS = ("C", "F", "permuted", "reversed", "stepped")


@pytest.fixture(scope="module")
def m(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(tmp_path_factory.mktemp("fast"), [SOURCES / "fast.pyx"])[0]["fast"]


@pytest.mark.parametrize("name", ["statement", "loop", "in_a_row"])
@pytest.mark.parametrize("shape", [(3, 5), (40, 33), (130, 259), (0, 4), (1, 1000)])
def test_functions_are_near_to_numpys(m: Any, name: str, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(shape[1])
    a, b = rng.standard_normal((2, *shape)) * 3
    expected = np.exp(-a * a) * np.sin(b) + np.log(a * a + 1.5)
    for _ in range(6):
        given = [lay_out(x, str(rng.choice(LAYOUTS)), rng) for x in (a, b, np.zeros(shape))]
        getattr(m, name)(*given[:2], 1.5, given[2])
        # Three functions of 4 ulp each, of which the sum may cancel.
        size = np.abs(np.exp(-a * a)) + np.abs(np.log(a * a + 1.5))
        assert (np.abs(given[2] - expected) <= 12 * np.finfo(float).eps * size).all()


def test_special_values_are_cs(m: Any) -> None:
    a = np.array([[0.0, -0.0, np.inf, -np.inf, np.nan, 800.0, -800.0, 1e-320] * 20])
    out = np.zeros_like(a)
    m.as_written(a, out)
    expected = [[0.0 if x == -800.0 else math.inf if x == 800.0 else math.exp(x) for x in a[0]]]
    np.testing.assert_array_equal(out, expected)
    b = np.zeros_like(a)
    m.statement(a, b, 0.0, out)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(np.isnan(out), np.isnan(np.exp(-a * a) * 0.0 + np.log(a * a)))
        np.testing.assert_allclose(out, np.exp(-a * a) * 0.0 + np.log(a * a), rtol=1e-15)


def test_floats_have_bits_that_no_length_changes(m: Any) -> None:
    rng = np.random.default_rng(5)
    a = rng.standard_normal(1000).astype(np.float32)
    whole, part = np.zeros_like(a), np.zeros_like(a)
    m.of_floats(a, whole)
    np.testing.assert_allclose(whole, np.exp(a) + 1, rtol=5e-7)
    m.of_floats(a[3:130], part[3:130])
    np.testing.assert_array_equal(part[3:130], whole[3:130])


def test_the_library_is_linked_where_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "from libc.math cimport exp\ndef f(double[:] a, double[:] out):\n    out[...] = exp(a)\n"
    Path("fast.pyx").write_text("# cython: language_level=3, arrayexpr_fast=True\n" + text)
    Path("plain.pyx").write_text("# cython: language_level=3\n" + text)
    fast, plain = cythonize(["fast.pyx", "plain.pyx"], quiet=True)
    assert (fast.libraries, plain.libraries) == (["m"], [])
    extension = Extension("fast", ["fast.pyx"])
    command = Distribution(
        {"name": "fast", "ext_modules": [extension], "cmdclass": {"build_ext": build_ext}}
    ).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(tmp_path), str(tmp_path / "temp")
    command.ensure_finalized()
    command.run()
    a, out = np.linspace(0, 1, 100), np.zeros(100)
    load(tmp_path, "fast").f(a, out)
    np.testing.assert_allclose(out, np.exp(a), rtol=1e-15)
