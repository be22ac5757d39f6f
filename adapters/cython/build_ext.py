"""The command `build_ext` of setuptools, with the adapter: `setup(cmdclass={"build_ext": build_ext})`."""

from __future__ import annotations

from typing import Any

from Cython.Distutils.build_ext import build_ext as _build_ext

from . import wide
from .pipeline import enabled


class build_ext(_build_ext):  # type: ignore[misc]
    """Cython's own `build_ext`, which compiles `.pyx` files with the adapter."""

    def build_extension(self, ext: Any) -> None:
        with enabled():
            super().build_extension(ext)

    def get_libraries(self, ext: Any) -> list[str]:
        libraries: list[str] = super().get_libraries(ext)
        return [*libraries, "m"] if wide.used_by(ext.sources) else libraries
