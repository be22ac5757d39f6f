"""In the place of numexpr, for libraries that import it."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Final

_MODULES: Final = ("", ".cpuinfo", ".expressions", ".interpreter", ".necompiler", ".tests", ".utils", ".version")

_replaced: dict[str, ModuleType | None] | None = None
_lock = threading.Lock()


def install() -> None:
    """From now on `import numexpr` gives this package. What has imported numexpr already keeps what it has.

    pandas looks at its first use; before that, or after `uninstall()`, is the time.
    """
    global _replaced
    modules = {f"numexpr{part}": importlib.import_module(f"{__package__}{part}") for part in _MODULES}
    with _lock:
        if _replaced is None:
            _replaced = {name: sys.modules.get(name) for name in modules}
            sys.modules.update(modules)


def uninstall() -> None:
    """`import numexpr` gives again what it gave before `install`."""
    global _replaced
    with _lock:
        if _replaced is None:
            return
        for name, module in _replaced.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
        _replaced = None


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """`install()`, and `uninstall()` at the end where it was not installed before."""
    before = _replaced is not None
    install()
    try:
        yield
    finally:
        if not before:
            uninstall()
