"""JAX on the CPU: the work's function under `jit`, views taken inside, waited for."""

from __future__ import annotations

import importlib.metadata
import importlib.util

import numpy as np

from ..work import Problem, using
from .run import Cannot, Run, as_arrays

NAME = "jax"
NOTE = "jit of the function over jax.numpy, float64 enabled; results made by the call, block_until_ready"


def version() -> str:
    if importlib.util.find_spec("jax") is None:
        raise ImportError("jax is not installed")
    return importlib.metadata.version("jax")


def prepare(problem: Problem, threads: int) -> Run:
    if problem.work.in_place:
        raise Cannot("arrays cannot be written")
    import jax

    jax.config.update("jax_enable_x64", True)
    function = using(problem.work.function, np=jax.numpy)
    views = [operand.view for operand in problem.operands.values()]
    back = [result.view for result in problem.results]

    def whole(*bases):
        arrays = (eval(f"x{view}", {"x": base}) for base, view in zip(bases, views, strict=True))
        found = function(*arrays)
        if not any(back):
            return found
        # A result in another order of memory: as the array in C order of which it is a view.
        return eval(f"x{_inverse(back[0])}", {"x": found})

    compiled = jax.jit(whole)
    given = [jax.device_put(operand.base) for operand in problem.operands.values()]
    jax.block_until_ready(given)
    made = [None]

    def call() -> None:
        made[0] = jax.block_until_ready(compiled(*given))

    def results() -> list[np.ndarray]:
        found = as_arrays(made[0])
        return [eval(f"x{view}", {"x": f}) for f, view in zip(found, back, strict=True)]

    return Run(call, results)


def _inverse(view: str) -> str:
    return {".T": ".T", ".transpose(1, 2, 0)": ".transpose(2, 0, 1)"}.get(view, view)
