"""numexpr: one `evaluate` a result, with `out=`; the calls timed are those of the compiled expression."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..work import Problem
from .run import Cannot, Run

NAME = "numexpr"
NOTE = "numexpr.evaluate once, then re_evaluate, with out="


def version() -> str:
    import numexpr

    return numexpr.__version__


def prepare(problem: Problem, threads: int) -> Run:
    import numexpr

    work = problem.work
    if not work.numexpr:
        raise Cannot("no expression of numexpr's gives this")
    numexpr.set_num_threads(threads)
    names: dict[str, Any] = {name: operand.array for name, operand in problem.operands.items()}
    names.update({name: eval(text, {}, names) for name, text in work.slices.items()})
    outputs = problem.outputs
    names.update(zip(problem.result_names, outputs, strict=True))
    if work.in_place:
        # numexpr sees only identical pointers as overlap: a user must make the temporary.
        temporary = np.empty_like(outputs[0])

        def call() -> None:
            numexpr.evaluate(work.numexpr[0], names, {}, out=temporary)
            np.copyto(outputs[0], temporary)

        return Run(call, lambda: outputs)
    if len(outputs) == 1:
        numexpr.evaluate(work.numexpr[0], names, {}, out=outputs[0])
        return Run(lambda: numexpr.re_evaluate(names), lambda: outputs)
    pairs = list(zip(work.numexpr, outputs, strict=True))

    def several() -> None:
        for text, out in pairs:
            numexpr.evaluate(text, names, {}, out=out)

    return Run(several, lambda: outputs)
