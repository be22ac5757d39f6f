"""In the place of numexpr, for libraries that import it."""

from __future__ import annotations

import importlib
import sys
import threading
from types import ModuleType
from typing import Final

_MODULES: Final = ("", ".expressions", ".necompiler", ".utils", ".version")

_replaced: dict[str, ModuleType | None] | None = None
_lock = threading.Lock()


def install() -> None:
    """From now on `import numexpr` gives this package. What has imported numexpr already keeps what it has.

    pandas looks at its first use; before that, or after `uninstall()`, is the time.
    """
    global _replaced
    with _lock:
        if _replaced is not None:
            return
        _replaced = {}
        for part in _MODULES:
            name = f"numexpr{part}"
            _replaced[name] = sys.modules.get(name)
            sys.modules[name] = importlib.import_module(f"{__package__}{part}")


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
