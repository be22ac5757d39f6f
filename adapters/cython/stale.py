"""Which C files the adapter has written: others are compiled anew, and Cython's caches keep the two apart."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import arrayexpr

#: The last line of a C file that was written with the adapter.
MARK = f"/* Compiled with the adapter of arrayexpr {arrayexpr.__version__} */\n".encode()


def marking(original: Callable[..., Any]) -> Callable[..., Any]:
    """Cython's `cythonize_one`, which then marks the file."""

    @functools.wraps(original)
    def cythonize_one(pyx_file: Any, c_file: Any, *args: Any, **options: Any) -> Any:
        result = original(pyx_file, c_file, *args, **options)
        if os.path.exists(c_file) and not is_marked(c_file):
            # The time of the file is what tells whether its source has changed since.
            stat = os.stat(c_file)
            with open(c_file, "ab") as file:
                file.write(MARK)
            os.utime(c_file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        return result

    return cythonize_one


def asking(original: Callable[[Any], Any]) -> Callable[[Any], bool]:
    """Cython's test whether a file was made by this version of it, which then asks for the mark too."""

    @functools.wraps(original)
    def file_generated_by_this_cython(path: Any) -> bool:
        return bool(original(path)) and is_marked(path)

    return file_generated_by_this_cython


def fingerprinting(original: Callable[[Any], str]) -> Callable[[Any], str]:
    """What Cython's cache knows options by, with the adapter among them."""

    @functools.wraps(original)
    def get_fingerprint(options: Any) -> str:
        return original(options) + MARK.decode()

    return get_fingerprint


def is_marked(path: Any) -> bool:
    """Whether a file ends with the mark."""
    try:
        with open(path, "rb") as file:
            file.seek(-len(MARK), os.SEEK_END)
            return file.read() == MARK
    except OSError:
        return False
