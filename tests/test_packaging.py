"""What is installed and what a wheel holds, as a user finds it."""

import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import arrayexpr
from arrayexpr._core.verify import verify
from arrayexpr.build import SymbolicArray

ROOT = Path(__file__).resolve().parent.parent
COMPILED = ("arrayexpr._core.nodes", "arrayexpr._core.rewrite", "arrayexpr._core.engine.dispatch")


@pytest.mark.parametrize("name", COMPILED)
def test_the_tested_package_is_compiled(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__file__ is not None
    assert module.__file__.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES))


def test_the_source_tree_does_not_shadow_the_installed_package() -> None:
    package = Path(arrayexpr.__file__).resolve().parent
    spec = importlib.util.find_spec("arrayexpr.adapters")
    assert spec is not None and spec.submodule_search_locations
    if _is_editable():
        assert package == ROOT / "arrayexpr"
    else:
        assert ROOT not in package.parents or "site-packages" in package.parts
        assert Path(next(iter(spec.submodule_search_locations))).resolve() == package / "adapters"


def test_bare_sources_in_the_current_directory_give_way(tmp_path: Path) -> None:
    """`python -m arrayexpr` in a checkout, which Python puts before what is installed."""
    shutil.copytree(ROOT / "arrayexpr", tmp_path / "arrayexpr", ignore=shutil.ignore_patterns("*.so", "*.c"))
    environment = {**os.environ, "PYTHONPATH": str(Path(arrayexpr.__file__).parent.parent)}
    environment.pop("PYTHONSAFEPATH", None)

    def run(*arguments: str) -> Any:
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    done = run("-m", "arrayexpr", "run", "a * 2", "a=21")
    assert (done.stdout, done.stderr, done.returncode) == ("42\n", "", 0)
    code = (
        "import arrayexpr, arrayexpr.adapters.c as c; print(arrayexpr.__file__, arrayexpr.kernel.__code__.co_filename)"
    )
    first, used = run("-c", code).stdout.split()
    assert Path(first).parent.parent == tmp_path and tmp_path not in Path(used).parents
    # Where none is installed.
    alone = "import os, sys, numpy; sys.path[1:] = [os.path.dirname(os.__file__)]; import arrayexpr"
    assert "is not compiled in" in run("-c", alone).stderr


def _is_editable() -> bool:
    origin = importlib.metadata.distribution("arrayexpr").read_text("direct_url.json")
    return origin is not None and bool(json.loads(origin).get("dir_info", {}).get("editable"))


def test_runtime_dependency_is_numpy_alone() -> None:
    requires = importlib.metadata.requires("arrayexpr") or []
    needed = [re.match(r"[\w.-]+", line)[0] for line in requires if "extra ==" not in line]  # type: ignore[index]
    assert needed == ["numpy"]


def test_import_needs_nothing_but_numpy() -> None:
    # Whatever else is installed is hidden, a finder that an editable install put there excepted.
    code = """
import sys
known = set(sys.stdlib_module_names) | {"arrayexpr", "numpy"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in known and not name.startswith(("_", "cython")):
            raise ImportError(f"{name} is no dependency")
sys.meta_path.insert(0, Refuse())
import numpy as np, arrayexpr, arrayexpr.__main__
print(arrayexpr.evaluate("a + 1", {"a": np.arange(2)}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("[1 2]\n", 0), done.stderr


def test_cimport(tmp_path: Path) -> None:
    """A small extension is compiled against the installed package, away from the source tree."""
    for file in (ROOT / "tests" / "cython_user").iterdir():
        if file.suffix in (".py", ".pyx"):
            shutil.copy(file, tmp_path)
    environment = {**os.environ, "CFLAGS": "-O0"}
    environment.pop("PYTHONPATH", None)
    if _is_editable():
        # Cython looks for .pxd files on the path, where an editable install is not.
        environment["PYTHONPATH"] = str(Path(arrayexpr.__file__).parent.parent)
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(build, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    user = _extension(tmp_path)
    program = user.build()
    verify(program)
    text = "def distance(a: float64[:, :], b: float64[:, :], *, r: float64[:, :]):\n"
    text += "    r[...] = sqrt(square(a) + square(b.transpose(1, 0))) / 2.0\n"
    assert program == arrayexpr.parse(text)
    assert user.operators_of(program) == ["square", "square", "add", "sqrt", "true_divide"]
    assert {o.name for o in arrayexpr.program(SymbolicArray(user.renamed(program))).operands} == {"a"}


def _extension(directory: Path) -> Any:
    (path,) = [p for p in directory.iterdir() if p.name.endswith(importlib.machinery.EXTENSION_SUFFIXES[0])]
    spec = importlib.util.spec_from_file_location("user", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- The wheel ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of the source tree, its extensions compiled without optimisation."""
    pytest.importorskip("Cython")
    if not (ROOT / "setup.py").exists():
        pytest.skip("the source tree is not there")
    directory = tmp_path_factory.mktemp("wheel")
    copy = directory / "tree"
    copy.mkdir()
    ignore = shutil.ignore_patterns("__pycache__", "*.so", "*.c", "*.html")
    for name in ("arrayexpr", "adapters"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in", "arrayexpr_numba.py"):
        shutil.copy(ROOT / name, copy)
    code = f"from setuptools.build_meta import build_wheel; build_wheel({str(directory)!r})"
    environment = {**os.environ, "CFLAGS": "-O0"}
    done = subprocess.run([sys.executable, "-c", code], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = directory.glob("*.whl")
    return path


@pytest.mark.slow
def test_wheel_holds_what_compilers_and_type_checkers_read(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for source in sorted(p for p in (ROOT / "arrayexpr").rglob("*") if p.suffix in (".pxd", ".pyi", ".py", ".pyx")):
        name = "arrayexpr/" + source.relative_to(ROOT / "arrayexpr").as_posix()
        if source.suffix == ".pyx":
            stem = name.removesuffix(".pyx") + "."
            assert any(each.startswith(stem) and each.endswith(".so") for each in names), name
        else:
            assert name in names
    for source in (ROOT / "adapters").rglob("*.py"):
        assert "arrayexpr/adapters/" + source.relative_to(ROOT / "adapters").as_posix() in names
    assert "arrayexpr/py.typed" in names and "arrayexpr_numba.py" in names
    assert "arrayexpr/_core/nodes.pxd" in names and "arrayexpr/_core/nodes.pyi" in names


@pytest.mark.slow
def test_wheel_holds_nothing_else(wheel: Path) -> None:
    for name in zipfile.ZipFile(wheel).namelist():
        assert name.startswith(("arrayexpr/", "arrayexpr-")) or name == "arrayexpr_numba.py", name
        assert name.endswith((".py", ".h", ".so", ".pyd", ".pxd", ".pyi", "py.typed")) or ".dist-info/" in name, name


@pytest.mark.slow
def test_wheel_metadata(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
    lines = archive.read(name).decode().splitlines()
    assert f"Version: {arrayexpr.__version__}" in lines
    assert "License-Expression: BSD-3-Clause" in lines
    assert [line for line in lines if line.startswith("Requires-Dist:") and "extra ==" not in line] == [
        "Requires-Dist: numpy>=2.0"
    ]
    assert any(each.endswith("licenses/LICENSE") for each in archive.namelist())


@pytest.mark.slow
def test_wheel_runs_installed(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport arrayexpr, arrayexpr.__main__ as m\n"
    code += "assert arrayexpr.__file__.startswith(sys.path[0]); m.main(['run', 'a * 2', 'a=21'])\n"
    code += "import arrayexpr_numba; assert arrayexpr_numba.__file__.startswith(sys.path[0])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr


# -- What the repository says of itself ---------------------------------------------------------


def test_packages_are_all_named() -> None:
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {p.parent.relative_to(ROOT).as_posix().replace("/", ".") for p in (ROOT / "arrayexpr").rglob("__init__.py")}
    found |= {"arrayexpr." + p.parent.relative_to(ROOT).as_posix().replace("/", ".")
              for p in (ROOT / "adapters").rglob("__init__.py")}  # fmt: skip
    assert set(said) == found


def test_the_entry_point_for_numba_imports_nothing_where_it_is_off() -> None:
    """Numba runs it in every process that compiles, also for who does not use the pass."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["numba_extensions"]["init"]
    name, function = entry.split(":")
    code = f"""
import os, sys
sys.path.insert(0, {str(ROOT)!r})
os.environ.pop("ARRAYEXPR_NUMBA", None)
before = {{*sys.modules, {name!r}}}
import {name}
{entry.replace(":", ".")}()
print(callable({name}.{function}), sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.returncode) == ("True []\n", 0), done.stderr


def test_make_lists_its_targets() -> None:
    if shutil.which("make") is None:
        pytest.skip("no make")
    done = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True)
    for target in ("dev", "test", "slow", "lint", "types", "docs", "bench", "clean", "wheel"):
        assert re.search(rf"^ +make {target} +\w", done.stdout, re.MULTILINE), done.stdout


def test_ci_runs_the_command_of_the_readme() -> None:
    pattern = re.compile(r"^python3 -m venv \.venv && .*/pytest -n auto$", re.MULTILINE)
    assert len(pattern.findall((ROOT / "README.md").read_text())) == 1
    script = (ROOT / ".ci" / "run").read_text()
    assert "README.md" in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
