"""Compiles `.pyx` modules with the Cython adapter, for tests."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("Cython")
pytest.importorskip("setuptools")

from setuptools import Distribution, Extension  # noqa: E402

from arrayexpr.adapters.cython import cythonize, report  # noqa: E402

SOURCES = Path(__file__).parent / "cython_modules"


def build(
    folder: Path, sources: Sequence[Path], flags: Sequence[str] = (), **options: Any
) -> tuple[dict[str, ModuleType], list[report.Entry]]:
    """The modules of files, by name, and what the adapter reported; `flags` are for the C compiler and the linker."""
    copies = [shutil.copy(source, folder) for source in sources]
    # Kernels say themselves how they are optimised.
    made = [
        Extension(Path(path).stem, [str(path)], extra_compile_args=["-O1", "-g0", *flags], extra_link_args=[*flags])
        for path in copies
    ]
    with report.collected() as entries:
        extensions = cythonize(made, quiet=True, force=True, **options)
    command = Distribution({"name": "modules", "ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder), str(folder / "temp")
    command.ensure_finalized()
    command.run()
    return {extension.name: load(folder, extension.name) for extension in extensions}, entries


def load(folder: Path, name: str) -> ModuleType:
    (path,) = folder.glob(f"{name}.*{'.pyd' if os.name == 'nt' else '.so'}")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def errors_of(folder: Path, text: str) -> str:
    """What Cython says of a module that it refuses."""
    from Cython.Compiler.Errors import CompileError

    path = folder / "refused.pyx"
    path.write_text("# cython: language_level=3\n" + text)
    said = io.StringIO()
    with pytest.raises(CompileError), contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        cythonize([Extension("refused", [str(path)])], quiet=True, force=True)
    return said.getvalue()
