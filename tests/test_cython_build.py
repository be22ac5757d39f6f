"""The Cython adapter in builds: files that are up to date, processes, the command line, setuptools, directives."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("Cython")
pytest.importorskip("setuptools")

from cython_build import load  # noqa: E402
from setuptools import Distribution, Extension  # noqa: E402

from arrayexpr.adapters.cython import __main__ as command_line  # noqa: E402
from arrayexpr.adapters.cython import cythonize, enabled, stale  # noqa: E402
from arrayexpr.adapters.cython.build_ext import build_ext  # noqa: E402

LOOP = """# cython: language_level=3
def twice(double[:] a, double[:] out):
    cdef int i
    for i in range(a.shape[0]):
        out[i] = a[i] * 2
"""
STATEMENT = "# cython: language_level=3\ndef twice(double[:] a, double[:] out):\n    out[...] = a * 2\n"


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    path = tmp_path / "looped.pyx"
    path.write_text(LOOP)
    # As old as a file that was written some time ago.
    os.utime(path, (1e9, 1e9))
    return path


def has_kernel(path: Path) -> bool:
    return "static int arrayexpr_" in path.with_suffix(".c").read_text()


def test_files_of_plain_cython_are_compiled_anew(loop: Path) -> None:
    from Cython.Build import cythonize as plain

    plain([str(loop)], quiet=True)
    made = loop.with_suffix(".c")
    assert not has_kernel(loop) and not stale.is_marked(made)
    cythonize([str(loop)], quiet=True)
    assert has_kernel(loop) and stale.is_marked(made)
    before = made.stat().st_mtime_ns
    cythonize([str(loop)], quiet=True)
    assert made.stat().st_mtime_ns == before


def test_caches_keep_them_apart() -> None:
    from Cython.Compiler.Options import CompilationOptions

    plain = CompilationOptions().get_fingerprint()
    with enabled():
        assert CompilationOptions().get_fingerprint() != plain
    assert CompilationOptions().get_fingerprint() == plain


def test_processes(loop: Path) -> None:
    other = loop.with_name("other.pyx")
    other.write_text(STATEMENT)
    cythonize([str(loop), str(other)], quiet=True, nthreads=2)
    assert has_kernel(loop) and has_kernel(other)


def test_command_line(loop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command_line.main(["--report", "-q", str(loop)])
    assert has_kernel(loop)
    said = capsys.readouterr().out
    raised = "a loop over 2 arrays, where subscripts lie within their axes and no arrays share memory"
    assert f"looped.pyx:4:4: loop raised: {raised}" in said


def test_directives(loop: Path, tmp_path: Path) -> None:
    loop.write_text("# cython: arrayexpr=False\n" + LOOP)
    cythonize([str(loop)], quiet=True, force=True)
    assert not has_kernel(loop)
    from Cython.Build import Dependencies

    with enabled(False):
        Dependencies.cythonize([str(loop)], quiet=True, force=True)
        assert not has_kernel(loop)
        loop.write_text("# cython: arrayexpr=True\n" + LOOP)
        Dependencies.cythonize([str(loop)], quiet=True, force=True)
        assert has_kernel(loop)


def test_modules_in_cplusplus(loop: Path) -> None:
    loop.write_text("# distutils: language = c++\n" + LOOP)
    cythonize([str(loop)], quiet=True, force=True)
    assert "static int arrayexpr_" in loop.with_suffix(".cpp").read_text()


def test_setuptools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("built.pyx").write_text(STATEMENT)
    distribution = Distribution(
        {"name": "built", "ext_modules": [Extension("built", ["built.pyx"])], "cmdclass": {"build_ext": build_ext}}
    )
    command = distribution.get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(tmp_path), str(tmp_path / "temp")
    command.ensure_finalized()
    command.run()
    a, out = np.arange(300.0), np.zeros(300)
    load(tmp_path, "built").twice(a, out)
    np.testing.assert_array_equal(out, 2 * a)
