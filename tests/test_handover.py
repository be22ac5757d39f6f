"""From the block engine to compiled C: when it is compiled, its taking over with the same bits, what may go wrong."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from layouts import same

import arrayexpr
from arrayexpr._core.engine import handover
from arrayexpr._core.errors import ArrayExprError

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None and shutil.which("gcc") is None, reason="needs a compiler"
)


@pytest.fixture(autouse=True)
def auto(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The engines as users have them, with an empty cache."""
    monkeypatch.delenv("ARRAYEXPR_ENGINE", raising=False)
    monkeypatch.delenv("ARRAYEXPR_WAIT", raising=False)
    monkeypatch.setenv("ARRAYEXPR_CACHE_DIR", str(tmp_path / "cache"))


def f(a: Any, b: Any) -> Any:
    return np.exp(-a * a) * np.sin(b) + a / 3


def codes(kernel: Any) -> list[Any]:
    return [code for compiled in kernel.traced.compiled.values() for code in compiled.codes()]


def until(condition: Any, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def run(script: str, **env: str) -> tuple[str, str, float]:
    """What a script prints and says on stderr in a Python of its own, and how long it took."""
    given = {k: v for k, v in os.environ.items() if k not in ("CC", "ARRAYEXPR_WAIT", "ARRAYEXPR_ENGINE")} | env
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], env=given, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr, time.monotonic() - start


def slow_compiler(folder: Path, seconds: float) -> str:
    """A compiler that takes its time, and writes its process's number to `started`."""
    program = folder / "slow cc"
    real = shutil.which("cc") or shutil.which("gcc")
    program.write_text(
        f'#!/bin/sh\ncase "$1" in --version) echo slow 1.0; exit 0;; esac\n'
        f'echo $$ >> "{folder}/started"\nsleep {seconds}\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    return shlex.quote(str(program))


# Calls a kernel until its compilation has begun.
_BEGIN = """
import os, time
import numpy as np, arrayexpr
f = arrayexpr.kernel(lambda a, b: np.exp(-a * a) * np.sin(b) + a / 3)
a, b = np.random.default_rng(0).normal(size=(2, 200_000))
want = f(a, b)
started = os.environ["STARTED"]
end = time.monotonic() + 30
while not os.path.exists(started) and time.monotonic() < end:
    f(a, b)
assert os.path.exists(started)
"""


def alive(folder: Path) -> list[int]:
    """The compilers that are running."""
    found = []
    for line in (folder / "started").read_text().split():
        try:
            os.kill(int(line), 0)
            found.append(int(line))
        except ProcessLookupError:
            pass
    return found


# -- When ---------------------------------------------------------------------------------------


@needs_compiler
def test_it_takes_over_with_the_same_bits() -> None:
    kernel = arrayexpr.kernel(f)
    a, b = np.random.default_rng(0).normal(size=(2, 300_000))
    first = kernel(a, b)
    (code,) = codes(kernel)
    assert not code.compiled and code.tape is not None
    until(lambda: same(kernel(a, b), first) and code.compiled)
    assert same(kernel(a, b), first) and code.request is None and code.library is not None


@needs_compiler
def test_what_is_called_once_or_on_little_is_not_compiled(tmp_path: Path) -> None:
    kernel = arrayexpr.kernel(f)
    a = np.ones(1_000_000)
    kernel(a, a)
    other = arrayexpr.kernel(f)
    for _ in range(100):
        other(a[:10], a[:10])
    assert not codes(kernel)[0].request.queued and not codes(other)[0].request.queued
    assert not (tmp_path / "cache").exists()


@needs_compiler
def test_wait() -> None:
    kernel = arrayexpr.kernel(f)
    a = np.ones(5)
    kernel(a, a)
    kernel(a.reshape(5, 1), a)
    assert not any(code.compiled for code in codes(kernel))
    assert kernel.wait() and all(code.compiled for code in codes(kernel))
    eager = arrayexpr.kernel(f, wait=True)
    assert same(eager(a, a), kernel(a, a)) and all(code.compiled for code in codes(eager))
    name = arrayexpr.array("a", float, 1)
    program = arrayexpr.compile(arrayexpr.program(name * name + 2), wait=True)
    program(a)
    assert [code.compiled for code in program.compiled.codes()] == [True] and program.wait()


@needs_compiler
def test_wait_for_what_is_being_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", slow_compiler(tmp_path, 1))
    kernel = arrayexpr.kernel(f)
    a = np.ones(300_000)
    first = kernel(a, a)
    until(lambda: same(kernel(a, a), first) and (tmp_path / "started").exists())
    assert "in the block engine, compiling" in arrayexpr.explain(kernel, a, a)
    assert not codes(kernel)[0].compiled
    assert kernel.wait() and codes(kernel)[0].compiled
    assert len((tmp_path / "started").read_text().split()) == 1


@needs_compiler
def test_a_warm_cache_is_used_at_once() -> None:
    a = np.ones(7)
    arrayexpr.kernel(f, wait=True)(a, a)
    kernel = arrayexpr.kernel(f)
    kernel(a, a)
    assert [code.compiled for code in codes(kernel)] == [True]
    script = (
        "import sys, numpy as np, arrayexpr\n"
        "def f(a, b): return np.exp(-a * a) * np.sin(b) + a / 3\n"
        "k = arrayexpr.kernel(f)\nk(np.ones(7), np.ones(7))\n"
        "print([c.compiled for x in k.traced.compiled.values() for c in x.codes()], 'subprocess' in sys.modules)\n"
    )
    assert run(script)[0] == "[True] False\n"


def test_engines() -> None:
    a = np.ones(300_000)
    kernel = arrayexpr.kernel(f, engine="block")
    for _ in range(20):
        kernel(a, a)
    (code,) = codes(kernel)
    assert not code.compiled and code.request is None and "runs in the block engine:" in arrayexpr.explain(kernel, a, a)
    assert not kernel.wait()
    with pytest.raises(ArrayExprError, match="engine is 'numba': expected one of auto, block, c"):
        arrayexpr.kernel(f, engine="numba")


@needs_compiler
def test_the_c_engine_alone() -> None:
    kernel = arrayexpr.kernel(f, engine="c")
    a = np.ones(3)
    kernel(a, a)
    (code,) = codes(kernel)
    assert code.compiled and code.tape is None and "runs compiled C" in arrayexpr.explain(kernel, a, a)


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert handover.mode() == ("auto", False)
    monkeypatch.setenv("ARRAYEXPR_ENGINE", "block")
    monkeypatch.setenv("ARRAYEXPR_WAIT", "1")
    assert handover.mode() == ("block", True) and handover.mode("c", False) == ("c", False)
    monkeypatch.setenv("ARRAYEXPR_WAIT", "yes")
    with pytest.raises(ArrayExprError, match="ARRAYEXPR_WAIT is 'yes': expected 0 or 1"):
        handover.mode()
    monkeypatch.setenv("ARRAYEXPR_ENGINE", "fast")
    with pytest.raises(ArrayExprError, match="ARRAYEXPR_ENGINE is 'fast': expected one of"):
        handover.mode()


# -- Under threads, and at the ends of a process ------------------------------------------------


@needs_compiler
def test_many_threads_see_the_same_bits_all_along() -> None:
    kernel = arrayexpr.kernel(f)
    inputs = [np.random.default_rng(k).normal(size=(2, 50_000 + k)) for k in range(6)]
    reference = arrayexpr.kernel(f, engine="block")
    expected = [reference(*pair) for pair in inputs]
    wrong: list[int] = []
    done = threading.Event()

    def work(k: int) -> None:
        while not done.is_set():
            if not same(kernel(*inputs[k]), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    until(lambda: codes(kernel) and codes(kernel)[0].compiled)
    time.sleep(0.1)
    done.set()
    for thread in threads:
        thread.join()
    assert wrong == []


@needs_compiler
def test_exit_while_compiling(tmp_path: Path) -> None:
    """At once, in silence, with no compiler and no file left behind."""
    cache = tmp_path / "cache"
    _, said, taken = run(
        _BEGIN, CC=slow_compiler(tmp_path, 60), ARRAYEXPR_CACHE_DIR=str(cache), STARTED=str(tmp_path / "started")
    )
    assert said == "" and taken < 30
    until(lambda: alive(tmp_path) == [], 10)
    assert list(cache.iterdir()) == []


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_while_compiling(tmp_path: Path) -> None:
    """The child computes, compiles for itself, and ends; the parent's compiler is left alone."""
    script = _BEGIN + (
        "import json, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "(code,) = next(iter(f.traced.compiled.values())).codes()\n"
        "child = os.fork()\n"
        "assert np.array_equal(f(a, b), want)\n"
        "assert f.wait() and code.compiled\n"
        "assert np.array_equal(f(a, b), want)\n"
        "if child:\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "    print(json.dumps(True))\n"
    )
    shown, said, _ = run(
        script,
        CC=slow_compiler(tmp_path, 1),
        ARRAYEXPR_CACHE_DIR=str(tmp_path / "cache"),
        STARTED=str(tmp_path / "started"),
    )
    assert json.loads(shown.splitlines()[-1]) and said == ""


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_of_multiprocessing_ends_while_compiling(tmp_path: Path) -> None:
    script = "import multiprocessing\nimport multiprocessing.util\ndef work():\n"
    script += "".join(f"    {line}\n" for line in _BEGIN.strip().splitlines())
    script += (
        "child = multiprocessing.get_context('fork').Process(target=work)\n"
        "child.start()\nchild.join()\nassert child.exitcode == 0\n"
    )
    cache = tmp_path / "cache"
    _, said, taken = run(
        script, CC=slow_compiler(tmp_path, 60), ARRAYEXPR_CACHE_DIR=str(cache), STARTED=str(tmp_path / "started")
    )
    assert said == "" and taken < 30
    until(lambda: alive(tmp_path) == [], 10)
    assert list(cache.iterdir()) == []


@needs_compiler
def test_a_kernel_that_is_gone_before_its_code_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", slow_compiler(tmp_path, 0.5))
    a = np.ones(300_000)
    for _ in range(3):
        kernel = arrayexpr.kernel(lambda x: np.exp(x) + 0.25)
        until(lambda kernel=kernel: kernel(a) is not None and (tmp_path / "started").exists())
        del kernel
    until(lambda: handover._worker is not None and handover._worker.current is None and not handover._worker.jobs)


# -- What may go wrong --------------------------------------------------------------------------

_FAILS = """
import json, time, warnings
import numpy as np
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import arrayexpr
    f = arrayexpr.kernel(lambda a, b: np.exp(-a * a) * np.sin(b) + a / 3)
    a, b = np.random.default_rng(0).normal(size=(2, 200_000))
    want = f(a, b)
    end = time.monotonic() + 20
    while not seen and time.monotonic() < end:
        assert np.array_equal(f(a, b), want)
    for _ in range(20):
        assert np.array_equal(f(a, b), want)
    (code,) = next(iter(f.traced.compiled.values())).codes()
    assert not f.wait()
print(json.dumps([code.compiled, code.request is None, [[str(w.message), w.filename] for w in seen]]))
"""


@pytest.mark.parametrize("body", ["echo broken compiler >&2; exit 3", "exit 0", "kill -9 $$"])
def test_a_compiler_that_fails(body: str, tmp_path: Path) -> None:
    """The block engine goes on, and one warning says so, at the line of a call."""
    program = tmp_path / "cc"
    program.write_text(f'#!/bin/sh\ncase "$1" in --version) echo mine 1.0; exit 0;; esac\n{body}\n')
    program.chmod(0o755)
    shown, _, _ = run(_FAILS, CC=str(program), ARRAYEXPR_CACHE_DIR=str(tmp_path / "cache"))
    compiled, forgotten, warned = json.loads(shown)
    assert not compiled and forgotten
    ((message, filename),) = warned
    assert "kernels run without compiled code: " in message and filename == "<string>"


def test_no_compiler(tmp_path: Path) -> None:
    shown, _, _ = run(_FAILS, CC="no-such-compiler", ARRAYEXPR_CACHE_DIR=str(tmp_path / "cache"))
    compiled, forgotten, warned = json.loads(shown)
    assert not compiled and forgotten and len(warned) == 1
    assert "CC is 'no-such-compiler', which is no program" in warned[0][0] and warned[0][1] == "<string>"


@needs_compiler
def test_a_changed_compiler_makes_its_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = np.ones(4)
    arrayexpr.kernel(f, wait=True)(a, a)
    real = shutil.which("cc") or shutil.which("gcc")
    program = tmp_path / "other cc"
    program.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("CC", shlex.quote(str(program)))
    kernel = arrayexpr.kernel(f)
    kernel(a, a)
    assert [code.compiled for code in codes(kernel)] == [False]
