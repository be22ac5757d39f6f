"""Pythran on the work's function: views are taken inside, so that it knows them, and results are assigned to."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import inspect
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from ..work import Problem
from . import native
from .run import Cannot, Run, as_arrays

NAME = "pythran"
NOTE = "the function, pythran -DUSE_XSIMD -O3 -march=native, results made by the call where they are scalars or several"


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
    # A result that is an argument is written by one fused loop.
    into = len(problem.results) == 1 and problem.results[0].base.ndim > 0
    bases = {name: operand.base for name, operand in problem.operands.items()}
    parameters = dict(bases, r=problem.results[0].base) if into else bases
    types = [f"{b.dtype.name}[{','.join([':'] * b.ndim)}]" for b in parameters.values()]
    call = f"{work.function.__name__}({', '.join(n + o.view for n, o in problem.operands.items())})"
    source = "\n".join(
        (
            "import numpy as np",
            f"#pythran export run({', '.join(types)})",
            # Pythran knows no annotations.
            inspect.getsource(work.function).replace(": Any", "").replace(" -> Any", ""),
            f"def run({', '.join(parameters)}):",
            f"    r[:] = {call}" if into else f"    return {call}",
            "",
        )
    )
    run = _built(source, threads)
    given = list(parameters.values())
    if into:
        return Run(lambda: run(*given), lambda: [problem.results[0].base])
    made: list[object] = [None]

    def several() -> None:
        made[0] = run(*given)

    return Run(several, lambda: as_arrays(made[0]))


def _built(source: str, threads: int):
    flags = ["-DUSE_XSIMD", "-O3", "-march=native", *(["-fopenmp"] if threads > 1 else [])]
    name = "pythran_" + hashlib.sha256(repr((source, flags, version())).encode()).hexdigest()[:16]
    kept = native.directory() / f"{name}.so"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            text = Path(folder, f"{name}.py")
            text.write_text(source)
            command = [sys.executable, "-m", "pythran.run", *flags, str(text), "-o", str(Path(folder, "built.so"))]
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
            if done.returncode or not Path(folder, "built.so").exists():
                message = (done.stderr or done.stdout).strip().splitlines()
                raise Cannot(f"it does not compile: {message[-1] if message else 'no message'}"[:200])
            os.replace(Path(folder, "built.so"), kept)
    spec = importlib.util.spec_from_file_location(name, kept)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.run
