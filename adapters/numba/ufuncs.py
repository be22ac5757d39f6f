"""`vectorize` and `guvectorize` with our pass: their bodies are compiled by dispatchers of their own."""

from __future__ import annotations

import inspect
from typing import Any

import numba
from numba.core import compiler, sigutils, targetconfig
from numba.core.caching import NullCache
from numba.core.compiler_lock import global_compiler_lock
from numba.np.ufunc import dufunc, gufunc, ufuncbuilder
from numba.np.ufunc.parallel import ParallelGUFuncBuilder, ParallelUFuncBuilder

from . import versions
from .installing import Cache
from .pipeline import Compiler


class UFuncDispatcher(ufuncbuilder.UFuncDispatcher):  # type: ignore[misc]
    """Numba's dispatcher for the body of a ufunc, with our pipeline."""

    def enable_caching(self) -> None:
        self.cache = Cache(self.py_func)

    def _compile_core(self, sig: Any, flags: Any, locals: Any) -> Any:
        typing, target = self.targetdescr.typing_context, self.targetdescr.target_context
        with global_compiler_lock, targetconfig.ConfigStack().enter(flags.copy()):
            found = self.cache.load_overload(sig, target)
            if found is None:
                args, result = sigutils.normalize_signature(sig)
                found = compiler.compile_extra(
                    typing, target, self.py_func, args=args, return_type=result, flags=flags, locals=locals,
                    pipeline_class=Compiler,
                )  # fmt: skip
                self.cache.save_overload(sig, found)
            if self.overloads.get(found.signature) is None:
                self.overloads[found.signature] = found
            return found


def _with_pass(dispatcher: Any) -> UFuncDispatcher:
    """A dispatcher of ours like one of Numba's that has compiled nothing, or that one if it is ours."""
    if isinstance(dispatcher, UFuncDispatcher):
        return dispatcher
    made = UFuncDispatcher(dispatcher.py_func, dispatcher.locals, dispatcher.targetoptions)
    if not isinstance(dispatcher.cache, NullCache):
        made.enable_caching()
    return made


class DUFunc(dufunc.DUFunc):
    """Numba's ufunc that compiles for the types that it is called with."""

    def _initialize(self, dispatcher: Any, identity: Any) -> None:
        super()._initialize(_with_pass(dispatcher), identity)


class GUFunc(gufunc.GUFunc):
    """Numba's generalised ufunc."""

    def _initialize(self, dispatcher: Any) -> None:
        self._cached = bool(self.gufunc_builder.cache)
        self._dispatcher = _in_builder(self.gufunc_builder)
        super()._initialize(self._dispatcher)

    def _reduce_states(self) -> dict[str, Any]:
        return {**super()._reduce_states(), "cache": self._cached}


def _in_builder(builder: Any) -> UFuncDispatcher:
    """Give a builder of generalised ufuncs a dispatcher of ours, which keeps what it compiles as it is asked to."""
    builder.nb_func = made = _with_pass(builder.nb_func)
    # The loop around the body would be another unit in the cache, which has the body in it, under a key that is the
    # same without the pass: it is made anew.
    builder.cache = False
    return made


def vectorize(ftylist_or_function: Any = (), **options: Any) -> Any:
    """`numba.vectorize` with our pass: takes the same arguments, for the targets `cpu` and `parallel`.

    >>> from arrayexpr.adapters.numba import vectorize
    >>> @vectorize
    ... def add(x, y):
    ...     return x + y
    >>> int(add(1, 2))
    3
    """
    versions.check()
    if options.get("target", "cpu") not in ("cpu", "parallel"):
        return numba.vectorize(ftylist_or_function, **options)
    if inspect.isfunction(ftylist_or_function):
        return DUFunc(ftylist_or_function, **options)
    signatures = [ftylist_or_function] if isinstance(ftylist_or_function, str) else list(ftylist_or_function or ())

    def decorate(function: Any) -> Any:
        given = dict(options)
        named = {"identity": given.pop("identity", None), "cache": given.pop("cache", False)}
        if given.pop("target", "cpu") == "parallel":
            made = ParallelUFuncBuilder(function, targetoptions=given, **named)
            made.nb_func = _with_pass(made.nb_func)
        else:
            made = DUFunc(function, targetoptions=given, **named)
        return _built(made, signatures)

    return decorate


def guvectorize(*args: Any, **options: Any) -> Any:
    """`numba.guvectorize` with our pass: takes the same arguments, for the targets `cpu` and `parallel`.

    >>> import numpy as np
    >>> from arrayexpr.adapters.numba import guvectorize
    >>> @guvectorize(["void(f8[:], f8[:], f8[:])"], "(n),(n)->(n)")
    ... def both(x, y, r):
    ...     r[:] = x * y + 1
    >>> both(np.arange(3.0), np.full((2, 3), 2.0))
    array([[1., 3., 5.],
           [1., 3., 5.]])
    """
    versions.check()
    if options.get("target", "cpu") not in ("cpu", "parallel") or not 1 <= len(args) <= 2:
        return numba.guvectorize(*args, **options)
    *types, layout = args
    signatures = types[0] if types else []
    signatures = [signatures] if isinstance(signatures, str) else list(signatures)

    def decorate(function: Any) -> Any:
        given = dict(options)
        named = {
            "identity": given.pop("identity", None), "cache": given.pop("cache", False),
            "writable_args": given.pop("writable_args", ()),
        }  # fmt: skip
        dynamic = given.pop("is_dynamic", not types)
        if given.pop("target", "cpu") == "parallel":
            made = ParallelGUFuncBuilder(function, layout, targetoptions=given, **named)
            _in_builder(made)
        else:
            made = GUFunc(function, layout, is_dynamic=dynamic, targetoptions=given, **named)
        return _built(made, signatures)

    return decorate


def _built(made: Any, signatures: list[Any]) -> Any:
    for each in signatures:
        made.add(each)
    if signatures:
        made.disable_compile()
    return made.build_ufunc()
