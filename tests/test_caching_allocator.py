"""Large results lie in memory that is kept, and own it as NumPy's arrays do."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

import arrayexpr
from arrayexpr._core.engine.caching_allocator import empty, kept

LARGE = 1 << 21  # doubles: 16 MB

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="large blocks are kept on Linux alone")


@pytest.fixture(scope="module")
def double() -> Any:
    return arrayexpr.kernel(lambda a: a * 2.0)


def test_memory_of_a_freed_result_serves_the_next_one(double: Any) -> None:
    a = np.arange(float(LARGE))
    first = double(a)
    place = first.ctypes.data
    before = kept()
    del first
    assert kept() >= before + a.nbytes
    second = double(a + 1)
    assert second.ctypes.data == place
    np.testing.assert_array_equal(second, (a + 1) * 2)


def test_what_is_still_read_is_not_used_again(double: Any) -> None:
    a = np.arange(float(LARGE))
    results = [double(a + k) for k in range(4)]
    views = [result[::2] for result in results]
    del results
    for k in range(4):
        double(np.full(LARGE, float(k)))
    for k, view in enumerate(views):
        np.testing.assert_array_equal(view, ((a + k) * 2)[::2])


def test_results_own_their_memory_and_may_be_resized(double: Any) -> None:
    a = np.arange(float(LARGE))
    for length in (2 * LARGE, LARGE // 2, 10, 0):
        result = double(a)
        assert result.flags.owndata
        result.resize(length, refcheck=False)
        want = np.zeros(length)
        want[: min(length, LARGE)] = (a * 2)[:length]
        np.testing.assert_array_equal(result, want)


def test_no_more_is_kept_than_the_limit() -> None:
    blocks = [empty(60 << 20) for _ in range(8)]
    del blocks
    assert 0 < kept() <= 1 << 28
    blocks = [empty((16 << 20) + 4096 * k) for k in range(40)]
    del blocks
    assert 0 < kept() <= 1 << 28
    huge = empty(300 << 20)
    before = kept()
    del huge
    assert kept() == before


def test_what_the_system_does_not_have_is_an_error() -> None:
    with pytest.raises(MemoryError):
        empty(1 << 60)
    assert empty(5 << 20).nbytes == 5 << 20


def test_memory_is_traced(double: Any) -> None:
    a = np.zeros(LARGE)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = double(a)
        assert tracemalloc.get_traced_memory()[0] - before >= result.nbytes
        del result
        assert tracemalloc.get_traced_memory()[0] - before < a.nbytes
    finally:
        tracemalloc.stop()


def _run(limit: str) -> subprocess.CompletedProcess[str]:
    program = (
        "import numpy as np, arrayexpr\n"
        "from arrayexpr._core.engine.caching_allocator import kept\n"
        "arrayexpr.kernel(lambda a: a + 1)(np.zeros(1 << 21))\n"
        "print(kept())\n"
    )
    environment = {**os.environ, "ARRAYEXPR_KEPT_BYTES": limit}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)


def test_the_limit_is_a_setting() -> None:
    assert _run("0").stdout.split() == ["0"]
    assert int(_run("").stdout) > 16 << 20
    wrong = _run("many")
    assert wrong.returncode == 1
    assert "ARRAYEXPR_KEPT_BYTES is 'many': expected a number of bytes from 0 on" in wrong.stderr
