"""The compiler and its cache on disk: private, atomic, rebuilt where broken; and what happens without either."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import arrayexpr
from arrayexpr._core.engine import compiler
from arrayexpr._core.errors import CompilerWarning

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None and shutil.which("gcc") is None, reason="needs a compiler"
)

# Runs two kernels, and prints what was warned of and where, how many kernels were compiled by a compiler, and how
# many of them are in use.
_SCRIPT = """
import json, sys, warnings
import numpy as np
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    import arrayexpr
    from arrayexpr._core.engine import compiler
    ran = []
    run = compiler._compile
    compiler._compile = lambda *args: (ran.append(1), run(*args))[1]
    x = np.arange(12.0).reshape(3, 4)
    f = arrayexpr.kernel(lambda x, y: x * y + 1)
    g = arrayexpr.kernel(lambda x: np.sqrt(x) - x.T.T.sum(axis=0))
    for _ in range(2):
        assert (f(x, x) == x * x + 1).all()
        assert (g(x) == np.sqrt(x) - x.sum(axis=0)).all()
    out = np.zeros((4, 3)).T
    f(x, x[:1], out=out)
    assert (out == x * x[:1] + 1).all()
    overlapping = np.arange(10.0)
    f(overlapping[:9], 2.0, out=overlapping[1:])
    assert (overlapping == np.r_[0, np.arange(9.0) * 2 + 1]).all()
used = 0
for k in (f, g):
    for compiled in k.traced.compiled.values():
        for step in compiled.plan.steps:
            if hasattr(step, "region"):
                used += sum(code is not None and code.compiled for code in step.region.codes.values())
print(json.dumps({
    "warnings": [[w.category.__name__, str(w.message), w.filename] for w in seen],
    "compiled": len(ran), "used": used,
}))
"""


def run(script: str = _SCRIPT, **env: str) -> dict[str, Any]:
    """Run a script in a Python of its own, and read the last line that it prints."""
    import json

    given = {k: v for k, v in os.environ.items() if k not in ("CC", "ARRAYEXPR_NUM_THREADS", "XDG_CACHE_HOME")} | env
    done = subprocess.run([sys.executable, "-c", script], env=given, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def entries(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.so"))


# -- The cache ----------------------------------------------------------------------------------


@needs_compiler
def test_kernels_are_compiled_once_and_kept(tmp_path: Path) -> None:
    cache = tmp_path / "made" / "here"
    first = run(ARRAYEXPR_CACHE_DIR=str(cache))
    assert first["warnings"] == [] and first["compiled"] > 1 and first["used"] >= first["compiled"]
    assert len(entries(cache)) == first["compiled"]
    again = run(ARRAYEXPR_CACHE_DIR=str(cache))
    assert again == {**first, "compiled": 0}


@needs_compiler
def test_the_cache_is_private_to_the_user(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    before = os.umask(0)
    try:
        run(ARRAYEXPR_CACHE_DIR=str(cache))
    finally:
        os.umask(before)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert entries(cache) and all(stat.S_IMODE(path.stat().st_mode) == 0o700 for path in entries(cache))
    (other,) = [path for path in cache.iterdir() if path.suffix != ".so"]
    assert other.name == "programs" and stat.S_IMODE(other.stat().st_mode) == 0o700


@needs_compiler
def test_the_usual_place(tmp_path: Path) -> None:
    run(ARRAYEXPR_CACHE_DIR="", XDG_CACHE_HOME=str(tmp_path / "xdg"))
    assert entries(tmp_path / "xdg" / "arrayexpr")
    run(ARRAYEXPR_CACHE_DIR=" ", XDG_CACHE_HOME="", HOME=str(tmp_path / "home"))
    assert entries(tmp_path / "home" / ".cache" / "arrayexpr")
    run(ARRAYEXPR_CACHE_DIR="~/mine", HOME=str(tmp_path / "home"))
    assert entries(tmp_path / "home" / "mine")


@needs_compiler
@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777])
def test_a_directory_that_others_may_write_to_is_not_used(mode: int, tmp_path: Path) -> None:
    cache = tmp_path / "open"
    cache.mkdir()
    cache.chmod(mode)
    answer = run(ARRAYEXPR_CACHE_DIR=str(cache))
    assert entries(cache) == [] and answer["used"] > 0
    ((category, message, _),) = answer["warnings"]
    assert category == "CompilerWarning" and str(cache) in message and "other users may write to it" in message


@needs_compiler
@pytest.mark.parametrize("what", ["empty", "cut", "changed", "text", "other kernel", "no digest"])
def test_broken_entries_are_made_anew(what: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = run(ARRAYEXPR_CACHE_DIR=str(cache))
    sound = {path: path.read_bytes() for path in entries(cache)}
    for path, data in sound.items():
        other = next(d for p, d in sound.items() if p != path)
        path.write_bytes(
            {
                "empty": b"",
                "cut": data[: len(data) // 2],
                "changed": data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
                "text": b"no library\n" * 1000,
                "other kernel": other,
                "no digest": data[:-32],
            }[what]
        )
    again = run(ARRAYEXPR_CACHE_DIR=str(cache))
    assert again["warnings"] == [] and again["compiled"] == first["compiled"]
    assert all(compiler._intact(path) for path in entries(cache))


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root, to give files away")
def test_entries_of_another_user_are_made_anew(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = run(ARRAYEXPR_CACHE_DIR=str(cache))
    for path in entries(cache):
        os.chown(path, 12345, 12345)
    again = run(ARRAYEXPR_CACHE_DIR=str(cache))
    assert again["compiled"] == first["compiled"] and again["warnings"] == []
    assert all(path.stat().st_uid == os.getuid() for path in entries(cache))
    os.chown(cache, 12345, 12345)
    foreign = run(ARRAYEXPR_CACHE_DIR=str(cache))
    ((category, message, _),) = foreign["warnings"]
    assert category == "CompilerWarning" and "belongs to another user" in message and foreign["used"] == first["used"]


@needs_compiler
def test_a_symbolic_link_is_followed_to_a_directory_of_ours_only(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(real)
    assert run(ARRAYEXPR_CACHE_DIR=str(tmp_path / "link"))["warnings"] == []
    assert entries(real)


@needs_compiler
def test_an_entry_that_is_a_directory(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run(ARRAYEXPR_CACHE_DIR=str(cache))
    for path in entries(cache):
        path.unlink()
        path.mkdir()
    answer = run(ARRAYEXPR_CACHE_DIR=str(cache))
    assert answer["used"] > 0
    assert [w[0] for w in answer["warnings"]] == ["CompilerWarning"]


@needs_compiler
def test_many_processes_fill_one_cache_at_once(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    env = {**os.environ, "ARRAYEXPR_CACHE_DIR": str(cache)}
    children = [
        subprocess.Popen([sys.executable, "-c", _SCRIPT], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(6)
    ]
    for child in children:
        shown, error = child.communicate(timeout=120)
        assert child.returncode == 0, error
        assert b'"warnings": []' in shown
    assert all(compiler._intact(path) for path in entries(cache))
    assert [path.name for path in cache.iterdir() if path.suffix != ".so" or path.name[0] == "."] == ["programs"]
    assert run(ARRAYEXPR_CACHE_DIR=str(cache))["compiled"] == 0


@needs_compiler
def test_a_reader_sees_all_of_an_entry_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler that dies half-way leaves no entry, and nothing else."""
    monkeypatch.setenv("ARRAYEXPR_CACHE_DIR", str(tmp_path / "cache"))

    def dies(command: Any, source: str, path: Path, background: bool) -> None:
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(compiler, "_compile", dies)
    with pytest.raises(KeyboardInterrupt):
        arrayexpr.kernel(lambda x: x * 7 + 0.125)(np.ones(3))
    assert list((tmp_path / "cache").iterdir()) == []


@needs_compiler
def test_the_key_covers_source_flags_and_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("ARRAYEXPR_CACHE_DIR", str(cache))
    source = "int kernel(void) { return 3; }\n"
    address, library = compiler.load(source, "kernel")
    assert address and library.kernel() == 3 and len(entries(cache)) == 1
    compiler.load(source, "kernel")
    assert len(entries(cache)) == 1
    compiler.load(source + "\n", "kernel")
    assert len(entries(cache)) == 2
    monkeypatch.setattr(compiler, "FLAGS", (*compiler.FLAGS, "-DNOTHING"))
    compiler.load(source, "kernel")
    assert len(entries(cache)) == 3
    monkeypatch.setattr(compiler, "_identity", lambda command: "another processor")
    compiler.load(source, "kernel")
    assert len(entries(cache)) == 4
    with pytest.raises(compiler.CompileFailed, match="other cannot be loaded"):
        compiler.load(source, "other")


# -- A cache that cannot be used ----------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize("where", ["file", "beneath a file", "nowhere"])
def test_a_cache_that_cannot_be_made(where: str, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    place = {"file": blocked, "beneath a file": blocked / "deep" / "er", "nowhere": Path("/proc/nowhere")}[where]
    answer = run(ARRAYEXPR_CACHE_DIR=str(place))
    ((category, message, filename),) = answer["warnings"]
    assert category == "CompilerWarning" and str(place) in message and "compiled anew each time" in message
    assert answer["used"] > 0 and filename == "<string>"


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root writes where it likes")
def test_a_read_only_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o500)
    answer = run(ARRAYEXPR_CACHE_DIR=str(cache))
    ((category, message, _),) = answer["warnings"]
    assert category == "CompilerWarning" and "cannot be written" in message and answer["used"] > 0


@needs_compiler
def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full or read-only disk, whoever we are."""

    def full(*args: Any, **options: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("ARRAYEXPR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compiler, "_warned", set())
    monkeypatch.setattr(tempfile, "mkstemp", full)
    kernel = arrayexpr.kernel(lambda x: x * 3 - 0.375)
    x = np.arange(5.0)
    with pytest.warns(CompilerWarning, match="cannot be written .*No space left.*compiled anew each time") as seen:
        assert (kernel(x) == x * 3 - 0.375).all()
        assert (kernel(x[::2]) == x[::2] * 3 - 0.375).all()
    assert len(seen) == 1 and seen[0].filename == __file__
    (step,) = next(iter(kernel.traced.compiled.values())).plan.steps
    assert all(code is not None for code in step.region.codes.values())


# -- No compiler --------------------------------------------------------------------------------


def test_no_compiler(tmp_path: Path) -> None:
    for env in ({"CC": "no-such-compiler"}, {"CC": "/no/such/compiler -O1"}, {"PATH": str(tmp_path)}):
        answer = run(ARRAYEXPR_CACHE_DIR=str(tmp_path / "cache"), **env)
        ((category, message, filename),) = answer["warnings"]
        assert category == "CompilerWarning" and filename == "<string>"
        assert "kernels run without compiled code: " in message
        assert repr(env["CC"]) in message if "CC" in env else "no C compiler found" in message
        assert answer["used"] == 0


@needs_compiler
def test_an_entry_that_does_not_load_is_made_anew(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = run(ARRAYEXPR_CACHE_DIR=str(cache))
    for path in entries(cache):
        other = b"a library of another system"
        path.write_bytes(other + compiler._seal(path, other))
        assert compiler._intact(path)
    assert run(ARRAYEXPR_CACHE_DIR=str(cache)) == first
    assert run(ARRAYEXPR_CACHE_DIR=str(cache))["compiled"] == 0


@pytest.mark.parametrize("script", ["exit 1", "echo broken compiler >&2; exit 3", "exit 0", "kill -9 $$"])
def test_a_failing_compiler(script: str, tmp_path: Path) -> None:
    program = tmp_path / "mycc"
    version = 'case "$1" in --version) echo mycc 1.0; exit 0;; esac\n'
    program.write_text(f"#!/bin/sh\n{version}{script}\n")
    program.chmod(0o755)
    answer = run(ARRAYEXPR_CACHE_DIR=str(tmp_path / "cache"), CC=shlex.quote(str(program)))
    assert answer["used"] == 0
    assert all(category == "CompilerWarning" for category, _, _ in answer["warnings"])
    assert len(answer["warnings"]) == 1
    message = answer["warnings"][0][1]
    assert "kernels run without compiled code" in message
    if "broken" in script:
        assert "broken compiler" in message and "(3)" in message and str(program) in message
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_compiler_that_does_not_start(tmp_path: Path) -> None:
    program = tmp_path / "mycc"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    answer = run(ARRAYEXPR_CACHE_DIR=str(tmp_path / "cache"), CC=str(program))
    ((category, message, _),) = answer["warnings"]
    assert category == "CompilerWarning" and "does not run" in message and answer["used"] == 0


@needs_compiler
def test_a_compiler_with_arguments_and_spaces_in_its_name(tmp_path: Path) -> None:
    real = shutil.which("cc") or shutil.which("gcc")
    program = tmp_path / "my compiler"
    program.write_text(f'#!/bin/sh\nexec {real} "$@"\n')
    program.chmod(0o755)
    answer = run(ARRAYEXPR_CACHE_DIR=str(tmp_path / "cache"), CC=f"{shlex.quote(str(program))} -DMINE=1")
    assert answer["warnings"] == [] and answer["used"] > 0


def test_everything_runs_without_a_compiler(tmp_path: Path) -> None:
    """Views, results, in-place operands, scalars, reductions and errors: nothing is lost."""
    script = """
import json, warnings
import numpy as np, arrayexpr
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
x, y = rng.normal(size=(2, 6, 7))
def f(x, y):
    return x * y - y[0], (x + y).sum(axis=1), np.where(x > y, x, y)[::-1], x @ y.T
for view in (lambda a: a, lambda a: a.T, lambda a: a[::-1, ::2], lambda a: a.astype(">f8")):
    for one, other in zip(arrayexpr.kernel(f)(view(x), view(y)), f(view(x), view(y)), strict=True):
        assert np.allclose(one, other, rtol=1e-15)
program = arrayexpr.parse("def f(a: float64[:], b: int32[:]):\\n    a[1:] = a[:-1] * 2.0\\n    b[...] = b ** b\\n")
a, b = np.arange(5.0), np.arange(5, dtype="i4")
arrayexpr.compile(program)(a, b)
assert (a == [0, 0, 2, 4, 6]).all() and (b == [1, 1, 4, 27, 256]).all()
power = arrayexpr.kernel(lambda x, y: x ** y)
try:
    power(np.arange(3), -np.arange(3))
    raise SystemExit("no error")
except ValueError as error:
    assert "negative integer powers" in str(error)
s = arrayexpr.kernel(lambda x, y: x - y)
assert type(s(np.array(3.0), 1.0)) is np.float64
base = np.arange(10.0)
s(base[:9], base[1:], out=base[1:])
assert (base == [0] + [-1] * 9).all()
print(json.dumps({}))
"""
    assert run(script, CC="no-such-compiler", ARRAYEXPR_CACHE_DIR=str(tmp_path)) == {}


def test_a_warning_made_an_error_leaves_a_kernel_that_runs(tmp_path: Path) -> None:
    script = """
import json, warnings
import numpy as np, arrayexpr
from arrayexpr._core.errors import CompilerWarning
f = arrayexpr.kernel(lambda x: x * 2)
with warnings.catch_warnings():
    warnings.simplefilter("error")
    try:
        f(np.ones(3))
        raise SystemExit("no warning")
    except CompilerWarning:
        pass
assert (f(np.ones(3)) == 2).all()
print(json.dumps({}))
"""
    assert run(script, CC="no-such-compiler", ARRAYEXPR_CACHE_DIR=str(tmp_path)) == {}


@needs_compiler
def test_flags_keep_the_bits() -> None:
    assert "-ffp-contract=off" in compiler.FLAGS and "-fwrapv" in compiler.FLAGS
    assert not re.search(r"-ffast-math|-Ofast|-funsafe|-ffinite|-fassociative", " ".join(compiler.FLAGS))
