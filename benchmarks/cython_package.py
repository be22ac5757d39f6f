"""A package from the registry that is written in Cython, built with the adapter and without: its tests, and its loops.

    pip download --no-deps --no-binary gstools-cython gstools-cython==1.2.0 && tar xf gstools_cython-1.2.0.tar.gz
    python benchmarks/cython_package.py gstools_cython-1.2.0

GSTools-Cython sums up random fields, solves for kriged ones and estimates variograms, by `prange` over memoryviews.
Prints what became of each of its loops, how its own tests end in both builds, and the time of its functions built
without the adapter to that with it, on one core and for points in C and in Fortran order. Every result is compared bit
by bit.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from setuptools import Distribution, Extension
from timing import interleaved, shown

from arrayexpr.adapters.cython import cythonize, report

NAMES = ("field", "krige", "variogram")


def built(sources: Path, folder: Path, adapter: bool) -> list[report.Entry]:
    """The package, compiled in a folder."""
    package = folder / "gstools_cython"
    shutil.copytree(sources / "src" / "gstools_cython", package)
    made = [
        Extension(
            f"gstools_cython.{name}",
            [str(package / f"{name}.pyx")],
            include_dirs=[np.get_include()],
            define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
            extra_compile_args=["-O3", "-g0"],
        )
        for name in NAMES
    ]
    options = {} if adapter else {"compiler_directives": {"arrayexpr": False}}
    with report.collected() as entries:
        extensions = cythonize(made, quiet=True, compile_time_env={"OPENMP": False}, **options)
    command = Distribution({"name": "gstools_cython", "ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder), str(folder / "temp")
    command.ensure_finalized()
    command.run()
    return entries


def tested(sources: Path, folder: Path) -> str:
    """How the package's own tests end."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str((sources / "tests").resolve())]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip().splitlines()[-1]


def loaded(folder: Path, name: str) -> ModuleType:
    (path,) = (folder / "gstools_cython").glob(f"{name}.*.so")
    spec = importlib.util.spec_from_file_location(f"gstools_cython.{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cases(order: Any, rng: np.random.Generator) -> dict[str, tuple[str, str, tuple[Any, ...]]]:
    points, modes, known = 2000, 100, 300

    def reals(*shape: int) -> np.ndarray:
        return np.asarray(rng.standard_normal(shape), order=order)

    waves = reals(3, modes), reals(modes), reals(modes), reals(3, points)
    kriging = reals(known, known), reals(known, points), reals(known)
    bins = np.linspace(0, 4, 301)
    measured = reals(2, known), bins, reals(3, known)
    directions, tolerance = reals(2, 3), 0.7
    return {
        "krige with variance": ("krige", "calc_field_krige_and_variance", kriging),
        "krige": ("krige", "calc_field_krige", kriging),
        "summate": ("field", "summate", waves),
        "summate_fourier": ("field", "summate_fourier", (reals(modes), *waves)),
        "summate_incompr": ("field", "summate_incompr", waves),
        "variogram": ("variogram", "unstructured", measured),
        "variogram, Cressie": ("variogram", "unstructured", (*measured, "c")),
        "directional": ("variogram", "directional", (*measured, directions, tolerance)),
        "structured": ("variogram", "structured", (reals(known, 100),)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", type=Path, help="the folder of the package's source distribution")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--into", type=Path, help="a folder that keeps both builds: what is there is timed at once")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        into = given.into or Path(place)
        folders = {adapter: into / ("with" if adapter else "without") for adapter in (True, False)}
        for adapter, folder in folders.items():
            if folder.exists():
                continue
            entries = built(given.sources, folder, adapter)
            if adapter:
                print(*(re.sub(r"^\S*/", "", str(entry)) for entry in entries), sep="\n")
                loops = [entry.done for entry in entries if entry.kind == "loop"]
                print(f"{sum(loops)} of {len(loops)} loops raised")
            print(f"{'with' if adapter else 'without'} the adapter: {tested(given.sources, folder)}", flush=True)
        modules = {a: {name: loaded(folder, name) for name in NAMES} for a, folder in folders.items()}
        print("Time without the adapter over that with it; with it in seconds.")
        for order in "CF":
            for title, (module, name, arguments) in cases(order, np.random.default_rng(0)).items():
                functions = {adapter: getattr(modules[adapter][module], name) for adapter in folders}
                results = [function(*arguments) for function in functions.values()]
                np.testing.assert_equal(*results)
                runs = {str(a): lambda f=f, x=arguments: f(*x) for a, f in functions.items()}
                times = interleaved(runs, rounds=given.rounds, at_least=1e-3)
                own = times["True"].median
                print(f"{title:20} {order} {shown(own):>9} {times['False'].median / own:6.2f}", flush=True)


if __name__ == "__main__":
    main()
