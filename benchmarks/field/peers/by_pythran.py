"""Pythran on the work's function: views are taken inside, so that it knows them, and results are assigned to."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import inspect
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ..work import Problem
from . import native
from .run import Cannot, Run, as_arrays, plain

NAME = "pythran"
NOTE = "the function, pythran -DUSE_XSIMD -O3 -march=native, its loops where it cannot"


def version() -> str:
    if importlib.util.find_spec("pythran") is None:
        raise ImportError("pythran is not installed")
    return importlib.metadata.version("pythran")


def prepare(problem: Problem, threads: int) -> Run:
    work = problem.work
    if work.in_place:
        raise Cannot("an assignment to memory that it reads is not defined")
    if any(result.view for result in problem.results):
        raise Cannot("results in other than C order are not taken")
    try:
        return _of_function(problem, threads)
    except Cannot:
        # Some of NumPy's arguments, as `keepdims`, it does not know in all places.
        if any(operand.view for operand in problem.operands.values()):
            raise
        return _of_loops(problem, threads)


def _of_function(problem: Problem, threads: int) -> Run:
    work = problem.work
    # A result that is an argument is written by one fused loop.
    into = len(problem.results) == 1 and problem.results[0].base.ndim > 0
    bases = {name: operand.base for name, operand in problem.operands.items()}
    parameters = dict(bases, r=problem.results[0].base) if into else bases
    call = f"{work.function.__name__}({', '.join(n + o.view for n, o in problem.operands.items())})"
    # It knows no annotations.
    definition = inspect.getsource(work.function).replace(": Any", "").replace(" -> Any", "")
    body = f"    r[:] = {call}" if into else f"    return {call}"
    run = _built("import numpy as np", definition, parameters, body, threads)
    given = list(parameters.values())
    if into:
        return Run(plain(run, given), lambda: [problem.results[0].base])
    made: list[object] = [None]

    def call_and_keep() -> None:
        made[0] = run(*given)

    return Run(call_and_keep, lambda: as_arrays(made[0]))


def _of_loops(problem: Problem, threads: int) -> Run:
    parameters = problem.loop_arrays()
    loops = inspect.getsource(problem.work.loops).replace("prange", "range")
    body = f"    {problem.work.loops.__name__}({', '.join(parameters)})"
    run = _built("from math import exp, log, log1p, sin, cos, sqrt", loops, parameters, body, threads)
    given = list(parameters.values())
    results = given[len(given) - len(problem.results) :]
    return Run(plain(run, given), lambda: results)


def _built(head: str, definition: str, parameters: dict[str, np.ndarray], body: str, threads: int):
    """`run(*parameters)` of a module with that definition."""
    types = [f"{array.dtype.name}[{','.join([':'] * array.ndim)}]" for array in parameters.values()]
    export = f"#pythran export run({', '.join(types)})"
    source = "\n".join((head, export, definition, f"def run({', '.join(parameters)}):", body, ""))
    flags = ["-DUSE_XSIMD", "-O3", "-march=native", *(["-fopenmp"] if threads > 1 else [])]
    name = "pythran_" + hashlib.sha256(repr((source, flags, version())).encode()).hexdigest()[:16]
    kept = native.directory() / f"{name}.so"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            # The module is named after the file that it is built into.
            text, built = Path(folder, f"{name}.py"), Path(folder, f"{name}.so")
            text.write_text(source)
            command = [sys.executable, "-m", "pythran.run", *flags, str(text), "-o", str(built)]
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
            if done.returncode or not built.exists():
                message = (done.stderr or done.stdout).strip().splitlines()
                raise Cannot(f"it does not compile: {message[-1] if message else 'no message'}"[:200])
            shutil.copy(built, kept)
    spec = importlib.util.spec_from_file_location(name, kept)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run
