"""Ways in: decorators, and for every function that a process compiles."""

from __future__ import annotations

import threading
from typing import Any

import numba
from numba.core import caching, compiler
from numba.core.registry import CPUDispatcher

from . import versions
from .pipeline import FINGERPRINT, Compiler, extend, provide

_lock = threading.Lock()
_replaced: dict[str, Any] | None = None


class Cache(caching.FunctionCache):  # type: ignore[misc]
    """A cache on disk whose keys say that the pass ran: Numba's own do not know of pipelines."""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        key = super()._index_key(sig, codegen)
        return key if FINGERPRINT in key else (*key, FINGERPRINT)


class Dispatcher(CPUDispatcher):  # type: ignore[misc]
    """Numba's dispatcher, with our pipeline from its class, so that a pickled one keeps it."""

    def __init__(self, py_func: Any, locals: Any = None, targetoptions: Any = None, pipeline_class: Any = Compiler):
        super().__init__(py_func, locals or {}, targetoptions or {}, pipeline_class=pipeline_class)

    def enable_caching(self) -> None:
        self._cache = Cache(self.py_func)


def jit(signature_or_function: Any = None, cache: bool = False, **options: Any) -> Any:
    """`numba.jit` with our pass: takes the same arguments, but for `pipeline_class`, and gives a dispatcher.

    >>> import numpy as np
    >>> from arrayexpr.adapters.numba import jit
    >>> @jit
    ... def f(a, b):
    ...     return a * b + 1
    >>> f(np.arange(3.0), np.full(3, 2.0))
    array([1., 3., 5.])
    """
    versions.check()
    if numba.config.DISABLE_JIT or options.get("forceobj"):
        return numba.jit(signature_or_function, cache=cache, **options)
    if "pipeline_class" in options:
        raise TypeError("jit() of arrayexpr.adapters.numba takes no pipeline_class: it brings its own")
    function = (
        signature_or_function if callable(signature_or_function) and _is_function(signature_or_function) else None
    )
    signatures = None
    if function is None and signature_or_function is not None:
        signatures = signature_or_function
        if not isinstance(signatures, list):
            signatures = [signatures]

    def decorate(function: Any) -> Dispatcher:
        # Numba's decorator reads the options.
        plain = numba.jit(**options)(function)
        made = Dispatcher(function, plain.locals, plain.targetoptions)
        if cache:
            made.enable_caching()
        if signatures is not None:
            with numba.core.typeinfer.register_dispatcher(made):
                for each in signatures:
                    made.compile(each)
                made.disable_compile()
        return made

    return decorate if function is None else decorate(function)


def _is_function(what: Any) -> bool:
    return hasattr(what, "__code__") or numba.extending.is_jitted(what)


def njit(*args: Any, **options: Any) -> Any:
    """`numba.njit` with our pass; see `jit`."""
    options.pop("nopython", None)
    options.pop("forceobj", None)
    return jit(*args, **options)


def install() -> None:
    """From now on every function that this process compiles goes through our pass; what is compiled stays.

    Functions that are cached on disk are told apart by whether the pass ran. Raises UnsupportedError for a version
    of Numba that is not known.
    """
    global _replaced
    versions.check()
    with _lock:
        if _replaced is not None:
            return
        typed = compiler.DefaultPassBuilder.define_typed_pipeline
        index_key = caching.Cache._index_key
        _replaced = {"typed": compiler.DefaultPassBuilder.__dict__["define_typed_pipeline"], "index_key": index_key}

        def define_typed_pipeline(state: Any, name: str = "typed") -> Any:
            passes = typed(state, name)
            extend(passes)
            passes.finalize()
            return passes

        def keyed(self: Any, sig: Any, codegen: Any) -> Any:
            return (*index_key(self, sig, codegen), FINGERPRINT)

        compiler.DefaultPassBuilder.define_typed_pipeline = staticmethod(define_typed_pipeline)
        caching.Cache._index_key = keyed
        provide()


def uninstall() -> None:
    """What is compiled from now on goes without our pass again, but for what `jit` and `njit` of ours decorate."""
    global _replaced
    with _lock:
        if _replaced is None:
            return
        compiler.DefaultPassBuilder.define_typed_pipeline = _replaced["typed"]
        caching.Cache._index_key = _replaced["index_key"]
        _replaced = None
