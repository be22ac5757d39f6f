"""Threads: the pool, what is cut and when, settings, forks, processes, the end of the interpreter."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import LAYOUTS, lay_out, same

import arrayexpr
from arrayexpr._core.engine import pool
from arrayexpr._core.engine.sweep import pieces
from arrayexpr._core.errors import ArrayExprError


def muladd(rank: int, dtype: str = "float64", **options: Any) -> Any:
    a, b, c = (arrayexpr.array(name, dtype, rank) for name in "abc")
    return arrayexpr.compile(arrayexpr.program(a * b + c), **options)


def python(script: str, *, timeout: int = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def setting() -> Any:
    before = arrayexpr.get_num_threads()
    yield
    arrayexpr.set_num_threads(before)


# -- The pool -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_every_chunk_is_run_once_by_a_worker_in_range(threads: int) -> None:
    for chunks in (0, 1, 2, 3, 50, 1000):
        for took in (0, 2000):
            ran, serial = pool.trial(chunks, threads, took, True)
            assert len(ran) == chunks and serial
            assert all(0 <= worker < max(min(threads, chunks), 1) for worker in ran), ran


def test_a_slow_thread_leaves_chunks_to_the_others() -> None:
    """With chunks of 1 ms there is time to wake: more than one thread takes part, each of its own range first."""
    shares = [set(pool.trial(40, 2, 1_000_000)[0]) for _ in range(5)]
    if (os.cpu_count() or 1) > 1:
        assert {0, 1} in shares


def test_many_callers_at_once() -> None:
    """One has the pool, the others run alone: nobody waits, nothing is lost."""

    def work(seed: int) -> int:
        for k in range(400):
            ran, serial = pool.trial((seed * 7 + k) % 60, 3, 0, True)
            assert serial and all(0 <= worker < 3 for worker in ran)
        return seed

    with ThreadPoolExecutor(8) as executor:
        assert sorted(executor.map(work, range(16))) == list(range(16))
    assert pool.workers() <= 6


def test_no_more_threads_than_asked_for() -> None:
    script = (
        "import numpy as np, arrayexpr\n"
        "from arrayexpr._core.engine import pool\n"
        "assert pool.workers() == 0\n"
        "f = arrayexpr.kernel(lambda x: np.sqrt(x) * x + 1)\n"
        "x = np.ones(3_000_000)\n"
        "f(x); assert pool.workers() == 0\n"
        "arrayexpr.set_num_threads(3)\n"
        "f(x[:100]); assert pool.workers() == 0\n"
        "f(x); assert pool.workers() == 2, pool.workers()\n"
        "arrayexpr.set_num_threads(1); f(x); assert pool.workers() == 2\n"
    )
    done = python(script)
    assert done.returncode == 0, done.stderr


# -- What is cut --------------------------------------------------------------------------------


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=5),
    st.integers(1, 16),
    st.sampled_from([0, 16, 64]),
    st.sets(st.integers(0, 4)),
)
def test_cuts(shape: list[int], threads: int, tile: int, reduced: set[int]) -> None:
    """The pieces make up the axis; strips and tiles stay whole; a reduced axis is never cut."""
    whole = [k for k in reduced if k < len(shape)]
    axis, chunks, lengths = pieces(shape, threads, tile, whole)
    assert sum(lengths) == shape[axis] and all(n > 0 for n in lengths)
    grains = [tile if tile and k >= len(shape) - 2 else 1 for k in range(len(shape))]
    around = math.prod(-(-n // grains[k]) for k, n in enumerate(shape[:axis]) if k not in whole)
    assert chunks == 1 or chunks == around * len(lengths) > 1
    grain = grains[axis] if tile and axis >= len(shape) - 2 else 512 if axis == len(shape) - 1 else 1
    assert all(n % grain == 0 for n in lengths[:-1])
    if axis in whole:
        assert chunks == 1
    if not whole and not tile and shape[0] >= threads * 8 and len(shape) > 1:
        assert axis == 0 and chunks == threads * 8
    # Pieces are alike: no thread gets twice what another gets, but for grains.
    assert max(lengths) - min(lengths[:-1] or lengths) <= grain


def test_the_next_axis_is_cut_where_the_outer_one_is_short() -> None:
    assert pieces([3, 1_000_000], 2)[0] == 1
    assert pieces([1_000_000], 2)[1] == 16
    assert pieces([2, 2, 1_000_000], 2)[0] == 2
    assert pieces([100, 5000], 2, 0, [0])[0] == 1
    assert pieces([100, 100], 2, 64) == (1, 4, [64, 36])


@pytest.mark.parametrize("threads", [2, 5])
def test_more_threads_give_the_same_bits(threads: int) -> None:
    rng = np.random.default_rng(0)
    one, many = muladd(2), muladd(2, threads=threads)
    for shape in ((600, 1700), (1, 800_000), (800_000, 1), (7, 160_000), (3, 4)):
        a, b, c = rng.normal(size=(3, *shape))
        for view in (lambda x: x, lambda x: x.T, lambda x: x[::-1, ::2]):
            x, y, z = view(a), view(b), view(c)
            assert same(one(x, y, z), x * y + z)
            assert same(many(x, y, z), x * y + z)
            assert same(many(x, y.copy(order="F"), z), x * y + z)
            assert same(many(x[:, :1], y, z[:1]), x[:, :1] * y + z[:1])


@pytest.mark.parametrize("dtype", ["int8", "float32", "complex128"])
def test_layouts_of_many_axes_in_threads(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large enough that all are cut; also beyond the axes that a kernel walks itself."""
    rng = np.random.default_rng(0)
    for shape in ((300, 40, 60), (5, 6, 7, 8, 500), (2, 3, 130, 1000)):
        rank = len(shape)
        many = muladd(rank, dtype, threads=3)
        for _ in range(6):
            arrays = []
            for kind in rng.choice(LAYOUTS, 3):
                array = rng.integers(-9, 9, shape).astype(dtype)
                arrays.append(lay_out(array, kind, rng))
            a, b, c = arrays
            assert same(many(a, b, c), a * b + c)


def test_errors_of_values_come_through_threads() -> None:
    kernel = arrayexpr.kernel(lambda x, y: x**y, threads=2)
    x = np.full(2_000_000, 3)
    y = np.ones(2_000_000, int)
    assert same(kernel(x, y), x)
    y[-1] = -1
    with pytest.raises(ValueError, match="negative"):
        kernel(x, y)


# -- Settings -----------------------------------------------------------------------------------


def test_threads_by_environment() -> None:
    script = "import arrayexpr\nprint(arrayexpr.get_num_threads(), arrayexpr.target.detect().cores)\n"
    for value, expected in (("1", "1 1"), ("4", "4 4"), ("", "1 1")):
        done = python(script, ARRAYEXPR_NUM_THREADS=value)
        assert done.stdout.strip() == expected, done.stderr
    script = "import numpy, arrayexpr\narrayexpr.kernel(lambda x: x + 1)(numpy.ones(3))\n"
    for value in ("0", "-1", "many", "1.5", "99999999"):
        done = python(script, ARRAYEXPR_NUM_THREADS=value)
        assert done.returncode and f"ARRAYEXPR_NUM_THREADS is {value!r}" in done.stderr


def test_threads_by_argument() -> None:
    with pytest.raises(ArrayExprError, match="threads 0"):
        muladd(1, threads=0)


@pytest.mark.usefixtures("setting")
def test_threads_by_function() -> None:
    arrayexpr.set_num_threads(3)
    assert arrayexpr.get_num_threads() == 3 == arrayexpr.target.detect().cores
    for bad in (0, -1, 10_000, 1.5, "2", True, None):
        with pytest.raises(ArrayExprError, match="number of threads"):
            arrayexpr.set_num_threads(bad)  # type: ignore[arg-type]
    assert arrayexpr.get_num_threads() == 3
    source = arrayexpr.emit(arrayexpr.parse("def f(a: float64[:], *, r: float64[:]):\n    r[...] = a + a\n"))
    assert "#pragma omp" in source


def test_kernels_at_run_time_are_serial_code() -> None:
    """The same code for any number of threads: what is cut is up to the call."""
    kernel = muladd(1, threads=4)
    kernel(*(np.ones(2_000_000),) * 3)
    (step,) = kernel.compiled.plan.steps
    assert all("#pragma omp" not in code.source for code in step.region.codes.values())


# -- Forks, processes, ends ---------------------------------------------------------------------

_WARM = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import numpy as np, arrayexpr
from arrayexpr._core.engine import pool
a, b = arrayexpr.array("a", "float64", 2), arrayexpr.array("b", "float64", 2)
warm = arrayexpr.compile(arrayexpr.program(a * b + 1.0), threads={threads})
x = np.ones((1700, 800))
assert (warm(x, x) == 2).all()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_kernels_go_on_in_a_child_after_a_fork(threads: int) -> None:
    """One that ran before the fork, and one that compiles after it; the child makes threads of its own."""
    script = _WARM + (
        """
assert pool.workers() == {threads} - 1
for generation in range(3):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            assert pool.workers() == 0
            new = arrayexpr.compile(arrayexpr.program(a - b * 3.0), threads={threads})
            assert (warm(x, x) == 2).all() and (warm(x, x.T.copy().T) == 2).all()
            assert (new(x, x) == -2).all()
            assert pool.workers() == {threads} - 1
            status = 0
        finally:
            os._exit(status)
    assert (warm(x, x) == 2).all()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    )
    done = python(script.format(threads=threads))
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_other_threads_are_inside() -> None:
    """The pool is taken, and workers hold chunks, when the child is made."""
    script = _WARM.format(threads=3) + (
        """
stop = False
def work():
    while not stop:
        assert (warm(x, x) == 2).all()
others = [threading.Thread(target=work) for _ in range(3)]
for t in others: t.start()
for k in range(12):
    child = os.fork()
    if child == 0:
        ok = False
        try:
            ok = bool((warm(x, x) == 2).all())
        finally:
            os._exit(0 if ok else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
stop = True
for t in others: t.join()
"""
    )
    done = python(script)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method: str, tmp_path: Any) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"""
import multiprocessing, warnings
warnings.simplefilter("ignore", DeprecationWarning)
import numpy as np, arrayexpr

@arrayexpr.kernel(threads=2)
def f(x):
    return x * 2 + 1

def work(n):
    return float(f(np.full(2_000_000, n, float)).sum())

if __name__ == "__main__":
    want = [(2 * n + 1) * 2e6 for n in range(6)]
    assert [work(n) for n in range(6)] == want
    with multiprocessing.get_context({method!r}).Pool(2) as processes:
        assert processes.map(work, range(6)) == want
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_end_of_the_interpreter_while_a_thread_is_inside() -> None:
    """A daemon thread is in a kernel, its workers with it, when the main thread ends."""
    script = _WARM.format(threads=3) + (
        """
def work():
    while True:
        warm(x, x)
for _ in range(2): threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
"""
    )
    for _ in range(3):
        done = python(script, timeout=60)
        assert done.returncode == 0, done.stderr


def test_kernels_run_alone_where_the_system_makes_no_threads() -> None:
    pytest.importorskip("resource")
    script = _WARM.format(threads=1) + (
        """
import resource
many = arrayexpr.compile(arrayexpr.program(a * b + 1.0), threads=4)
out = np.empty_like(x)
many(x[:1], x[:1], out=out[:1])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (3 << 20), resource.RLIM_INFINITY))
for _ in range(3):
    out[...] = 0
    many(x, x, out=out)
    assert (out == 2).all()
assert pool.workers() == 0, pool.workers()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
many(x, x, out=out)
assert pool.workers() == 0
arrayexpr.set_num_threads(2)
many(x, x, out=out)
assert pool.workers() == 3 and (out == 2).all()
"""
    )
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("needs /proc")
    done = python(script)
    assert done.returncode == 0, done.stderr


def test_kernels_in_threads_called_from_many_threads() -> None:
    many = muladd(2, threads=3)
    rng = np.random.default_rng(0)
    problems = []
    for shape in ((400, 900), (900, 400), (3, 4), (1, 400_000)):
        a, b, c = rng.normal(size=(3, *shape))
        problems.append((a, b, c, a * b + c))

    def work(seed: int) -> int:
        own = np.random.default_rng(seed)
        for _ in range(12):
            a, b, c, expected = problems[own.integers(len(problems))]
            assert same(many(a, b, c), expected)
        return seed

    with ThreadPoolExecutor(6) as executor:
        assert sorted(executor.map(work, range(12))) == list(range(12))


def test_threads_that_end_leave_no_scratch() -> None:
    """The scratch of a thread goes with it; what is large goes with the call."""
    x = np.zeros((1500, 1500))
    kernel = arrayexpr.kernel(lambda x, y: x + y)
    sizes = []

    def work() -> None:
        y = x.copy()
        kernel(y.T, y, out=y)
        kernel(y[:-1, 1:].T[1:], y[:-1, :-2].T, out=y[1:, 1:-1].T)
        sizes.append(pool.kept())

    for _ in range(3):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(sizes) == 3 and max(sizes) <= 16 << 20
