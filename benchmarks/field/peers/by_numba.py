"""Numba on the work's loops: serial, and with the independent ones in parallel."""

from __future__ import annotations

from dataclasses import dataclass

from ..work import Problem, using
from .run import Cannot, Run, plain


@dataclass(frozen=True)
class Numba:
    NAME: str
    parallel: bool

    @property
    def NOTE(self) -> str:
        return f"loops, njit(parallel={self.parallel}, error_model='numpy')"

    def version(self) -> str:
        import numba

        return numba.__version__

    def prepare(self, problem: Problem, threads: int) -> Run:
        import numba

        if problem.work.loops is None:
            raise Cannot("no loops are written for this work")
        # Division by zero is an exception otherwise, and the test for it keeps loops from being vectorised.
        options = {"parallel": self.parallel, "error_model": "numpy"}
        prange = numba.prange if self.parallel else range
        loops = numba.njit(**options)(using(problem.work.loops, prange=prange))
        given = list(problem.loop_arrays().values())
        results = given[len(given) - len(problem.results) :]
        if self.parallel:
            numba.set_num_threads(threads)
        return Run(plain(loops, given), lambda: results)


PEERS = (Numba("numba", False), Numba("numba-parallel", True))
