"""C source to a loaded function: the system's compiler, and a cache of what it made.

The cache is a directory private to the user, `ARRAYEXPR_CACHE_DIR` or the system's usual place. An entry
is one shared library, named by a digest over source, flags, compiler version and processor, with a digest
of that name and its own bytes appended: an entry that was cut short, changed, renamed, or put there by another
user is made anew.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from ..errors import CompilerWarning

#: -fwrapv: integers wrap, as in NumPy. -ffp-contract=off: no fused multiply-add, whose bits differ.
#: -fno-tree-slp-vectorize: gcc 12 makes x + (double)(float)x of two neighbours 2 * x, in the parts of a complex
#: number for one; no kernel measured was slower without.
#: -fno-strict-aliasing: operands of two element types may be views of the same memory.
#: -fno-math-errno and -fno-trapping-math change no value; with them gcc vectorises sqrt and selections.
FLAGS = (
    "-std=gnu99", "-O3", "-march=native", "-fPIC", "-shared", "-fwrapv", "-ffp-contract=off", "-fno-math-errno",
    "-fno-trapping-math", "-fno-tree-slp-vectorize", "-fno-strict-aliasing", "-w",
)  # fmt: skip
_DIGEST = 32
_TIMEOUT_S = 300


class CompileFailed(Exception):
    """There is no compiler, or it failed; the message says which and shows its output."""


def cache_dir() -> Path:
    """Where compiled kernels are kept: `ARRAYEXPR_CACHE_DIR`, else the system's place for caches."""
    given = os.environ.get("ARRAYEXPR_CACHE_DIR", "").strip()
    if given:
        return Path(given).expanduser()
    base = os.environ.get("XDG_CACHE_HOME", "").strip() or "~/.cache"
    return Path(base).expanduser() / "arrayexpr"


@functools.cache
def compiler() -> tuple[str, ...]:
    """The command of the C compiler: `CC`, else cc, gcc or clang. Empty where there is none."""
    given = shlex.split(os.environ.get("CC", ""))
    if given:
        return tuple(given) if shutil.which(given[0]) else ()
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return (name,)
    return ()


@functools.cache
def _identity(command: tuple[str, ...]) -> str:
    """What decides the bytes that a compiler makes, beside source and flags: its version and the processor."""
    try:
        version = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise CompileFailed(f"C compiler {shlex.join(command)} does not run: {error}") from error
    try:
        processor = "".join(
            sorted(
                {
                    line
                    for line in Path("/proc/cpuinfo").read_text().splitlines()
                    if line.startswith(("model name", "flags"))
                }
            )
        )
    except OSError:
        processor = platform.processor()
    return f"{version}\n{platform.machine()}\n{processor}"


def load(source: str, name: str) -> tuple[int, ctypes.CDLL]:
    """The address of a function of a C source, and the library that it lives in.

    Raises CompileFailed where there is no compiler or it fails. A cache that cannot be used costs a
    warning, once, and nothing else: the library is then made in a temporary directory.
    """
    command = compiler()
    if not command:
        given = os.environ.get("CC", "").strip()
        found = f"CC is {given!r}, which is no program" if given else "no C compiler found"
        raise CompileFailed(f"{found}: expected cc, gcc or clang on the path, or CC to name one")
    digest = hashlib.sha256("\0".join((source, *FLAGS, *command, _identity(command))).encode()).hexdigest()
    directory = _private_directory()
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="arrayexpr-") as temporary:
            path = Path(temporary) / f"{digest}.so"
            _compile(command, source, path)
            return _open(path, name)
    path = directory / f"{digest}.so"
    if _intact(path):
        # One that is whole and does not load was made for another system.
        with contextlib.suppress(CompileFailed):
            return _open(path, name)
    try:
        _build(command, source, directory, path)
    except OSError as error:
        _warn_once(
            f"the kernel cache {directory} cannot be written ({error.strerror or error}): "
            "kernels are compiled anew each time",
            f"write {directory}",
        )
        with tempfile.TemporaryDirectory(prefix="arrayexpr-") as temporary:
            path = Path(temporary) / f"{digest}.so"
            _compile(command, source, path)
            return _open(path, name)
    try:
        return _open(path, name)
    except CompileFailed:
        path.unlink(missing_ok=True)
        raise


def symbol(library: ctypes.CDLL, name: str) -> int:
    """The address of a function of a library."""
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    assert address is not None
    return address


def _open(path: Path, name: str) -> tuple[int, ctypes.CDLL]:
    try:
        library = ctypes.CDLL(str(path))
        return symbol(library, name), library
    except (OSError, AttributeError) as error:
        raise CompileFailed(f"compiled kernel {name} cannot be loaded: {error}") from error


def _private_directory() -> Path | None:
    """The cache directory, made where it is missing; None, with a warning, where it is not ours alone."""
    directory = cache_dir()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
        if hasattr(os, "getuid"):
            if status.st_uid != os.getuid():
                raise PermissionError("it belongs to another user")
            if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise PermissionError("other users may write to it")
        return directory
    except OSError as error:
        _warn_once(
            f"the kernel cache {directory} cannot be used ({error}): kernels are compiled anew each time",
            f"use {directory}",
        )
        return None


def _intact(path: Path) -> bool:
    """Whether an entry is ours and whole."""
    try:
        if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
            return False
        data = path.read_bytes()
    except OSError:
        return False
    return len(data) > _DIGEST and _seal(path, data[:-_DIGEST]) == data[-_DIGEST:]


def _seal(path: Path, library: bytes) -> bytes:
    """What is appended to an entry: it vouches for the bytes, and for the name that they stand under."""
    return hashlib.sha256(path.stem.encode() + library).digest()


def _build(command: tuple[str, ...], source: str, directory: Path, path: Path) -> None:
    """Compile to a name of our own, then rename: another process sees all of an entry or nothing."""
    handle, name = tempfile.mkstemp(suffix=".so", prefix=".new-", dir=directory)
    os.close(handle)
    try:
        _compile(command, source, Path(name))
        data = Path(name).read_bytes()
        with open(name, "ab") as file:
            file.write(_seal(path, data))
        os.chmod(name, 0o700)
        os.replace(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _compile(command: tuple[str, ...], source: str, path: Path) -> None:
    arguments = [*command, *FLAGS, "-x", "c", "-", "-o", str(path), "-lm"]
    try:
        done = subprocess.run(arguments, input=source, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise CompileFailed(f"C compiler {shlex.join(command)} does not run: {error}") from error
    if done.returncode != 0:
        raise CompileFailed(f"C compiler {shlex.join(command)} failed ({done.returncode}):\n{done.stderr[:2000]}")


_warned: set[str] = set()


def _warn_once(message: str, subject: str) -> None:
    """Warn, where nothing was said of this subject yet."""
    if subject not in _warned:
        _warned.add(subject)
        warnings.warn(message, CompilerWarning, stacklevel=_stacklevel())


def _stacklevel() -> int:
    """The depth of the first frame outside this package: the user's line is what a warning should show."""
    level, frame = 2, sys._getframe(2)
    while frame.f_back is not None and "arrayexpr" in frame.f_globals.get("__name__", ""):
        level, frame = level + 1, frame.f_back
    return level


def warn_interpreted(error: CompileFailed) -> None:
    """Say, once for each kind of failure, that kernels run through the interpreter, and why."""
    kind = re.sub(r"/\S+", "", str(error).partition("\n")[0])
    _warn_once(f"kernels run through the interpreter: {error}", kind)
