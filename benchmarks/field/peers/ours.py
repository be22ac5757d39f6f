"""arrayexpr: the work's function as a kernel, with `out=`."""

from __future__ import annotations

import inspect

import arrayexpr

from ..work import Problem
from .run import Run, plain

NAME = "ours"
NOTE = "arrayexpr.kernel(function)(*operands, out=results)"


def version() -> str:
    return arrayexpr.__version__


def prepare(problem: Problem, threads: int) -> Run:
    # Compiled code is what is measured here, not what runs until it is there: `first_result.py` times that.
    wait = {"wait": True} if "wait" in inspect.signature(arrayexpr.kernel).parameters else {}
    kernel = arrayexpr.kernel(problem.work.function, threads=threads, **wait)
    inputs, outputs = problem.inputs, problem.outputs
    out = outputs[0] if len(outputs) == 1 else tuple(outputs)
    return Run(plain(kernel, inputs, out=out), lambda: outputs)
