"""The call path of numexpr's functions: the frame's variables, the kernel of their types, what was evaluated last.

A text that was evaluated before with arrays of the same element types and ranks is a look-up, a comparison of
pointers and a call; everything else goes through `necompiler`.
"""

import contextvars
import threading
import weakref

import numpy as np

cimport cython
from cpython.object cimport PyObject
from cpython.ref cimport Py_XDECREF, Py_XINCREF
from numpy cimport PyArray_Check, PyArray_CheckExact, PyArray_NDIM, import_array, ndarray

from arrayexpr._core.errors import ShapeMismatch

from . import necompiler, utils
from .utils import CacheDict

cdef extern from "Python.h":
    ctypedef struct PyFrameObject
    PyFrameObject *PyEval_GetFrame()
    object PyFrame_GetLocals(PyFrameObject *)
    PyFrameObject *PyFrame_GetBack(PyFrameObject *)
    object PyFrame_GetGlobals(PyFrameObject *)

cdef extern from "numpy/arrayobject.h":
    PyObject *PyArray_DESCR "(PyObject *)PyArray_DESCR" (ndarray)

import_array()

#: Texts remembered, and for each the combinations of element types and ranks.
_TEXTS = 256
_BOUND = 16

_texts = CacheDict(_TEXTS)
_lock = threading.Lock()
_last = contextvars.ContextVar("last", default=None)


@cython.final
cdef class Bound:
    """A kernel for operands of these element types and ranks."""

    cdef list descrs
    cdef list ranks
    cdef object kernel
    cdef object out          # dtype of `out`; None where the value is new
    cdef str casting
    cdef int threads

    cdef bint fits(self, list arrays, object out, str casting, int threads):
        cdef Py_ssize_t k
        cdef ndarray array
        if casting != self.casting or threads != self.threads or (out is None) != (self.out is None):
            return False
        if out is not None and out.dtype is not self.out:
            return False
        for k in range(len(arrays)):
            array = arrays[k]
            if PyArray_DESCR(array) != <PyObject *>self.descrs[k] or PyArray_NDIM(array) != <int>self.ranks[k]:
                return False
        return True


@cython.final
cdef class Text:
    """An expression as text with its options: the names of its variables, and what was compiled of it."""

    cdef object text
    cdef dict context
    cdef list names
    cdef dict compiled       # NumExpr by kinds
    cdef object promoted     # in the place of them where element types are NumPy's, else None
    cdef list bound          # the latest first

    cdef object value(self, list arrays, object out, str order, str casting):
        cdef Bound bound
        cdef int threads = utils.num_threads
        if order == "K":
            for bound in self.bound:
                if bound.fits(arrays, out, casting, threads):
                    try:
                        value = bound.kernel(*arrays) if out is None else bound.kernel(*arrays, out=out)
                    except ShapeMismatch:
                        # An `out` that the value is broadcast to.
                        break
                    return value if PyArray_CheckExact(value) else np.asarray(value)
        return self.slow(arrays, out, order, casting)

    cdef bint compiles(self, list arrays):
        """Whether an expression was compiled for the arrays' kinds."""
        if self.promoted is not None:
            return True
        try:
            return tuple([necompiler.getType(array) for array in arrays]) in self.compiled
        except ValueError:
            return False

    cdef object numexpr(self, list arrays):
        """The NumExpr for the arrays' kinds."""
        if self.promoted is not None:
            self.promoted.kernel(arrays, None)
            return self.promoted
        types = tuple([necompiler.getType(array) for array in arrays])
        made = self.compiled.get(types)
        if made is None:
            made = necompiler.NumExpr(self.text, list(zip(self.names, types)), **self.context)
            self.compiled[types] = made
        return made

    cdef object slow(self, list arrays, object out, str order, str casting):
        cdef Bound bound
        made = self.numexpr(arrays)
        value = made.on(arrays, out, order, casting)
        if order == "K" and made.simple and all([PyArray_CheckExact(array) for array in arrays]):
            bound = Bound()
            bound.descrs = [array.dtype for array in arrays]
            bound.ranks = [array.ndim for array in arrays]
            bound.out = None if out is None else out.dtype
            bound.casting = casting
            bound.threads = utils.num_threads
            bound.kernel = made.kernel(arrays, bound.out)
            # A new list: another thread may be walking the old one.
            self.bound = [bound, *self.bound[: _BOUND - 1]]
        return value


cdef Text _text(object ex, dict options, object sanitize, bint keep):
    cdef Text made
    if type(ex) is not str:
        if not isinstance(ex, str):
            raise ValueError("must specify expression as a string")
        ex = str(ex)
    key = ex if not options and sanitize is None else (ex, tuple(sorted(options.items(), key=str)), sanitize)
    if keep:
        known = _texts.get(key)
        if known is not None:
            return known
    made = Text()
    made.text = ex
    made.context = {**necompiler.getContext(options), "sanitize": sanitize}
    if "types" in made.context:
        from .promoted import Promoted

        made.promoted = Promoted(ex)
        made.names = made.promoted.input_names
    else:
        made.names = necompiler.getExprNames(ex, made.context, sanitize)[0]
    made.compiled = {}
    made.bound = []
    if keep:
        with _lock:
            _texts[key] = made
    return made


cdef list _arguments(list names, object local_dict, object global_dict, int depth):
    """The arrays of these names: of the dictionaries, else of the caller's variables, `depth` frames up."""
    cdef PyFrameObject *frame = NULL
    cdef PyFrameObject *back
    cdef list found = []
    cdef object snapshot = None      # of a function's variables, which its frame keeps
    cdef int k
    if local_dict is None or global_dict is None:
        frame = PyEval_GetFrame()
        if frame == NULL:
            raise RuntimeError("no Python frame to take variables from: give local_dict and global_dict")
        Py_XINCREF(<PyObject *>frame)
        for k in range(depth):
            back = PyFrame_GetBack(frame)
            Py_XDECREF(<PyObject *>frame)
            frame = back
            if frame == NULL:
                raise ValueError(f"_frame_depth asks for {depth} frames above the caller: there are fewer")
        try:
            if local_dict is None:
                local_dict = PyFrame_GetLocals(frame)
                if local_dict is not PyFrame_GetGlobals(frame):
                    snapshot = local_dict
            if global_dict is None:
                global_dict = PyFrame_GetGlobals(frame)
        finally:
            Py_XDECREF(<PyObject *>frame)
    try:
        for name in names:
            try:
                value = local_dict[name]
            except KeyError:
                value = global_dict[name]
            found.append(value if PyArray_CheckExact(value) else np.asarray(value))
    finally:
        # It would keep the arrays alive.
        if type(snapshot) is dict:
            (<dict>snapshot).clear()
    return found


def evaluate(ex, local_dict=None, global_dict=None, out=None, order="K", casting="same_kind", sanitize=None,
             _frame_depth=3, disable_cache=False, **kwargs):
    """The value of an expression, given as text, over variables of the caller or of `local_dict` and `global_dict`.

    `out` is an array for it. `types` is 'numexpr', for its kinds, or 'numpy', for the arrays' own element types under
    NumPy's promotion. `order` is the memory order of a new one, 'K' that of the operands. `casting` is what casts
    are allowed, of operands to their kinds and of the value to `out`. `optimization` is 'none', 'moderate' or 'aggressive'.
    `sanitize` is taken and not needed: text is parsed, never run. `_frame_depth` is 3 for the caller's own variables.

    >>> import numpy as np
    >>> a, b = np.arange(3.0), np.ones(3)
    >>> evaluate("2*a + 3*b", {"a": a, "b": b})
    array([3., 5., 7.])
    """
    cdef Text text = _text(ex, kwargs, sanitize, not disable_cache)
    cdef list arrays = _arguments(text.names, local_dict, global_dict, <int>_frame_depth - 3)
    if out is not None and not PyArray_Check(out):
        raise TypeError(f"out is {type(out).__name__}: expected a NumPy array")
    if disable_cache:
        return text.value(arrays, out, order, casting)
    try:
        value = text.value(arrays, out, order, casting)
    except Exception:
        # As numexpr has it: what compiles is what was evaluated last, though these arrays did not fit.
        if text.compiles(arrays):
            _last.set((text, None if out is None else weakref.ref(out), order, casting))
        raise
    _last.set((text, None if out is None else weakref.ref(out), order, casting))
    return value


def validate(ex, local_dict=None, global_dict=None, out=None, order="K", casting="safe", _frame_depth=2, sanitize=None,
             **kwargs):
    """None where `evaluate` can compute the expression for these variables, for `re_evaluate` to do so; else the exception."""
    cdef Text text
    try:
        text = _text(ex, kwargs, sanitize, True)
        text.numexpr(_arguments(text.names, local_dict, global_dict, <int>_frame_depth - 2))
        _last.set((text, None if out is None else weakref.ref(out), order, casting))
    except Exception as error:
        return error
    return None


def getArguments(names, local_dict=None, global_dict=None, _frame_depth=2):
    """The arrays of these names: of the dictionaries, else of the variables of the caller's caller, as its depth is 2."""
    return _arguments(list(names), local_dict, global_dict, <int>_frame_depth - 1)


def re_evaluate(local_dict=None, global_dict=None, _frame_depth=2):
    """The value of the expression evaluated or validated last in this thread, for the variables as they are now."""
    cdef Text text
    last = _last.get()
    if last is None:
        raise RuntimeError("A previous evaluate() execution was not found, please call `validate` or `evaluate` once before `re_evaluate`")
    text, out, order, casting = last
    arrays = _arguments(text.names, local_dict, global_dict, <int>_frame_depth - 2)
    return text.value(arrays, None if out is None else out(), order, casting)
