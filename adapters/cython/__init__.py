"""Cython with arithmetic on typed memoryviews.

    from arrayexpr.adapters.cython import cythonize
    setup(ext_modules=cythonize("*.pyx"))

In modules that are compiled so, `out[...] = a * b + c` and its like work on typed memoryviews and C numbers, in loops
that arrayexpr has scheduled. See docs/how-to/cython.md.
"""

from .versions import UnsupportedCython, check_installed

check_installed()

from .pipeline import cythonize, enabled  # noqa: E402

__all__ = ["UnsupportedCython", "cythonize", "enabled"]
