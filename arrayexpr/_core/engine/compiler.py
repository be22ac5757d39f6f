"""C source to a loaded function: the system's compiler, and a cache of what it made.

The cache is a directory private to the user, `ARRAYEXPR_CACHE_DIR` or the system's usual place. An entry
is one shared library, named by a digest over source, flags, compiler version and processor, with a digest
of that name and its own bytes appended: an entry that was cut short, changed, renamed, or put there by another
user is made anew.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CompilerWarning

# What only compiling needs is imported where it is used: together it takes longer than tracing and running a kernel.
if TYPE_CHECKING:
    import ctypes
    import subprocess

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
_WRITABLE_BY_OTHERS = 0o022
#: The directory, in the cache, of what `find` looks up.
_SHORTCUTS = "programs"
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


def compiler() -> tuple[str, ...]:
    """The command of the C compiler: `CC`, else cc, gcc or clang. Empty where there is none."""
    return _compiler(os.environ.get("CC", ""), os.environ.get("PATH", os.defpath))


@functools.cache
def _compiler(given: str, path: str) -> tuple[str, ...]:
    words = [given.strip()] if given.strip().isalnum() else _words(given)
    if words:
        return tuple(words) if _which(words[0], path) else ()
    for name in ("cc", "gcc", "clang"):
        if _which(name, path):
            return (name,)
    return ()


def _words(text: str) -> list[str]:
    if not text.strip():
        return []
    import shlex

    return shlex.split(text)


def _which(name: str, path: str) -> str | None:
    """As shutil.which on Unix; importing that takes a millisecond."""
    if os.name == "nt":
        import shutil

        return shutil.which(name, path=path)
    places = [name] if os.path.dirname(name) else [os.path.join(entry, name) for entry in path.split(os.pathsep)]
    return next((p for p in places if os.path.isfile(p) and os.access(p, os.X_OK)), None)


def no_compiler() -> CompileFailed:
    """What to say where `compiler` finds none."""
    given = os.environ.get("CC", "").strip()
    found = f"CC is {given!r}, which is no program" if given else "no C compiler found"
    return CompileFailed(f"{found}: expected cc, gcc or clang on the path, or CC to name one")


@functools.cache
def _version(command: tuple[str, ...]) -> str:
    import shlex
    import subprocess

    try:
        return subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=60, check=True, stdin=subprocess.DEVNULL
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise CompileFailed(f"C compiler {shlex.join(command)} does not run: {error}") from error


@functools.cache
def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        import platform

        return f"{platform.machine()}\n{platform.processor()}"
    lines = {line for line in text.splitlines() if line.startswith(("model name", "flags"))}
    return f"{os.uname().machine}\n{''.join(sorted(lines))}"


def _identity(command: tuple[str, ...]) -> str:
    """What decides the bytes that a compiler makes, beside source and flags: its version and the processor."""
    return f"{_version(command)}\n{_processor()}"


@functools.cache
def _writers() -> str:
    """What decides the source of a program: this package, as its files stand."""
    from importlib.util import find_spec

    import arrayexpr

    package = Path(arrayexpr.__file__).parent
    files = [*package.glob("_core/*.py"), *package.glob("_core/primitives/*.h")]
    # Blocks in registers are made where C is printed: `specialise` runs passes for that, which the text does not show.
    files += [*package.glob("_core/passes/*.py"), package / "_core/engine/specialise.py"]
    # The emitters are looked at where they lie: they are imported when there is something to emit.
    adapters = find_spec("arrayexpr.adapters")
    for folder in (adapters.submodule_search_locations or ()) if adapters is not None else ():
        files.extend(Path(folder).glob("*.py"))
    stats = ((path.name, path.stat()) for path in files)
    return repr([arrayexpr.__version__, *sorted((name, s.st_size, s.st_mtime_ns) for name, s in stats)])


def _shortcut(text: str, name: str, command: tuple[str, ...]) -> str:
    """A digest that stands for a kernel before its source is written and its compiler asked: the program's text."""
    try:
        # Without the OpenSSL that hashlib loads.
        from _blake2 import blake2b
    except ImportError:
        from hashlib import blake2b
    path = os.environ.get("PATH", os.defpath)
    programs = []
    for word in command:
        found = _which(word, path)
        if found:
            status = os.stat(found)
            programs.append((os.path.realpath(found), status.st_size, status.st_mtime_ns))
    made_by = (text, name, *FLAGS, *command, repr(programs), _processor(), _writers())
    return str(blake2b("\0".join(made_by).encode(), digest_size=24).hexdigest())


def find(text: str, name: str) -> tuple[int, ctypes.CDLL] | None:
    """What `load` gave for a program of this text before, in this process or another; None where that is gone."""
    command = compiler()
    directory = cache_dir() / _SHORTCUTS
    if not command or not directory.is_dir():
        return None
    try:
        digest = (directory / _shortcut(text, name, command)).read_text()
    except OSError:
        return None
    private = _private_directory()
    if private is None or not digest.isalnum():
        return None
    path = private / f"{digest}.so"
    if not _intact(path):
        return None
    try:
        return _open(path, name)
    except CompileFailed:
        return None


def _remember(directory: Path, text: str, name: str, command: tuple[str, ...], digest: str) -> None:
    import tempfile

    with contextlib.suppress(OSError):
        (directory / _SHORTCUTS).mkdir(mode=0o700, exist_ok=True)
        path = directory / _SHORTCUTS / _shortcut(text, name, command)
        if path.exists() and path.read_text() == digest:
            return
        handle, fresh = tempfile.mkstemp(dir=directory / _SHORTCUTS)
        with os.fdopen(handle, "w") as file:
            file.write(digest)
        os.replace(fresh, path)


def load(source: str, name: str, *, text: str = "", background: bool = False) -> tuple[int, ctypes.CDLL]:
    """The address of a function of a C source, and the library that it lives in.

    `text` is that of the program, for `find`; in the `background` the compiler runs at low priority, and ends when
    the process does.

    Raises CompileFailed where there is no compiler or it fails. A cache that cannot be used costs a
    warning, once, and nothing else: the library is then made in a temporary directory.
    """
    import hashlib
    import tempfile

    command = compiler()
    if not command:
        raise no_compiler()
    digest = hashlib.sha256("\0".join((source, *FLAGS, *command, _identity(command))).encode()).hexdigest()
    directory = _private_directory()
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="arrayexpr-") as temporary:
            path = Path(temporary) / f"{digest}.so"
            _compile(command, source, path, background)
            return _open(path, name)
    path = directory / f"{digest}.so"
    if _intact(path):
        # One that is whole and does not load was made for another system.
        with contextlib.suppress(CompileFailed):
            found = _open(path, name)
            if text:
                _remember(directory, text, name, command, digest)
            return found
    try:
        _build(command, source, directory, path, background)
    except OSError as error:
        _warn_once(
            f"the kernel cache {directory} cannot be written ({error.strerror or error}): "
            "kernels are compiled anew each time",
            f"write {directory}",
        )
        with tempfile.TemporaryDirectory(prefix="arrayexpr-") as temporary:
            path = Path(temporary) / f"{digest}.so"
            _compile(command, source, path, background)
            return _open(path, name)
    try:
        found = _open(path, name)
    except CompileFailed:
        path.unlink(missing_ok=True)
        raise
    if text:
        _remember(directory, text, name, command, digest)
    return found


def symbol(library: ctypes.CDLL, name: str) -> int:
    """The address of a function of a library."""
    import ctypes

    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    assert address is not None
    return address


def _open(path: Path, name: str) -> tuple[int, ctypes.CDLL]:
    import ctypes

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
            if status.st_mode & _WRITABLE_BY_OTHERS:
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
    import hashlib

    return hashlib.sha256(path.stem.encode() + library).digest()


def _build(command: tuple[str, ...], source: str, directory: Path, path: Path, background: bool = False) -> None:
    """Compile to a name of our own, then rename: another process sees all of an entry or nothing."""
    import tempfile

    handle, name = tempfile.mkstemp(suffix=".so", prefix=".new-", dir=directory)
    os.close(handle)
    try:
        _compile(command, source, Path(name), background)
        data = Path(name).read_bytes()
        with open(name, "ab") as file:
            file.write(_seal(path, data))
        os.chmod(name, 0o700)
        os.replace(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _compile(command: tuple[str, ...], source: str, path: Path, background: bool = False) -> None:
    import shlex
    import subprocess

    arguments = [*command, *FLAGS, "-x", "c", "-", "-o", str(path), "-lm"]
    more: dict[str, Any] = {}
    if background:
        if _which("nice", os.environ.get("PATH", os.defpath)):
            arguments[:0] = ["nice", "-n", "10"]
        # A group of its own: at exit the compiler goes with all that it has started.
        more = {"process_group": 0} if os.name != "nt" else {}
    try:
        with subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more
        ) as process:
            if background:
                _running.add(process)
                if closing:
                    _end(process)
            try:
                _, errors = process.communicate(source, timeout=_TIMEOUT_S)
            except BaseException:
                process.kill()
                raise
            finally:
                _running.discard(process)
    except (OSError, subprocess.SubprocessError) as error:
        raise CompileFailed(f"C compiler {shlex.join(command)} does not run: {error}") from error
    if process.returncode != 0:
        raise CompileFailed(f"C compiler {shlex.join(command)} failed ({process.returncode}):\n{errors[:2000]}")


# The compilers that run in the background, and whether the process is about to end.
_running: set[subprocess.Popen[str]] = set()
closing = False


def close() -> None:
    """End the compilers in the background, for good: the process is about to end."""
    global closing
    closing = True
    for process in list(_running):
        _end(process)


def forget_processes() -> None:
    """In a forked child: the compilers that run are the parent's."""
    _running.clear()


def _end(process: subprocess.Popen[str]) -> None:
    import signal

    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGTERM)
        else:
            process.terminate()


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


def warn_not_compiled(error: CompileFailed) -> None:
    """Say, once for each kind of failure, that kernels run without compiled code, and why."""
    import re

    kind = re.sub(r"/\S+", "", str(error).partition("\n")[0])
    _warn_once(f"kernels run without compiled code: {error}", kind)
