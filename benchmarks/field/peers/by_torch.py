"""torch.compile on the CPU: the work's function over torch's names, written into the results."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Any

import numpy as np

from ..work import Problem, using
from .run import Cannot, Run

NAME = "torch"
NOTE = "torch.compile of the function, copied into the results inside"


def version() -> str:
    if importlib.util.find_spec("torch") is None:
        raise ImportError("torch is not installed")
    try:
        import torch  # noqa: F401
    except OSError as error:
        # A library that it is linked against.
        raise ImportError(str(error)) from None
    return importlib.metadata.version("torch")


def _namespace() -> Any:
    """torch's functions under NumPy's names and arguments."""
    import torch

    class Names:
        exp, sin, cos, sqrt, log, log1p, abs = (
            torch.exp, torch.sin, torch.cos, torch.sqrt, torch.log, torch.log1p, torch.abs,
        )  # fmt: skip
        where = staticmethod(torch.where)

        @staticmethod
        def sum(x, axis=None, keepdims=False):
            return torch.sum(x) if axis is None else torch.sum(x, dim=axis, keepdim=keepdims)

        @staticmethod
        def mean(x, axis=None, keepdims=False):
            return torch.mean(x, dim=axis, keepdim=keepdims)

        @staticmethod
        def var(x, axis=None, keepdims=False):
            return torch.var(x, dim=axis, correction=0, keepdim=keepdims)

        @staticmethod
        def max(x, axis=None, keepdims=False):
            return torch.amax(x, dim=axis, keepdim=keepdims)

    return Names


def prepare(problem: Problem, threads: int) -> Run:
    import torch

    if problem.work.in_place:
        raise Cannot("it gives wrong results for overlapping memory (torch #197829)")
    torch.set_num_threads(threads)
    # Each work is a new function, and the limit on versions is one on all of them.
    torch._dynamo.reset()
    function = using(problem.work.function, np=_namespace())
    try:
        inputs, outputs = ([torch.from_numpy(a) for a in arrays] for arrays in (problem.inputs, problem.outputs))
    except ValueError as error:
        raise Cannot(str(error).split(". ")[0]) from None

    def whole(inputs, outputs):
        found = function(*inputs)
        for out, value in zip(outputs, found if isinstance(found, tuple) else (found,), strict=True):
            out.copy_(value)

    compiled = torch.compile(whole, dynamic=False)

    def call() -> None:
        with torch.no_grad():
            compiled(inputs, outputs)

    def results() -> list[np.ndarray]:
        return problem.outputs

    return Run(call, results)
