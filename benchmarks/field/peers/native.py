"""C and Fortran as a Python extension: what a programmer would call from Python, at the least that such a call costs.

The extension takes NumPy arrays by place and hands data, shapes and strides to `void work(...)`. What is built is kept
under the cache directory, by a digest of its sources and flags.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..work import Problem
from .run import Cannot

_WRAPPER = """
#define PY_SSIZE_T_CLEAN
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>
#include <numpy/arrayobject.h>
extern void work(%(parameters)s);
static PyObject *run(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    if (count != %(count)d) {
        PyErr_SetString(PyExc_TypeError, "expected %(count)d arrays");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    work(%(arguments)s);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}
static PyMethodDef methods[] = {{"run", (PyCFunction)(void (*)(void))run, METH_FASTCALL, NULL}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "%(name)s", NULL, -1, methods};
PyMODINIT_FUNC PyInit_%(name)s(void) {
    import_array();
    return PyModule_Create(&module);
}
"""


def directory() -> Path:
    """Where what was built is kept."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    made = Path(root) / "arrayexpr-benchmarks"
    made.mkdir(parents=True, exist_ok=True)
    return made


def compiler(name: str) -> str:
    """The path of a compiler. Raises ImportError where there is none, as an import would."""
    found = shutil.which(name)
    if found is None:
        raise ImportError(f"no {name} on the path")
    return found


def version(name: str) -> str:
    return subprocess.run([compiler(name), "-dumpfullversion"], capture_output=True, text=True).stdout.strip()


def worth(threads: int, problem: Problem) -> int:
    """The threads to use: waking another takes longer than a small work, as a programmer's `if` clause would say."""
    return threads if problem.size.n >= 100_000 else 1


def extension(language: str, source: str, arrays: int, flags: Sequence[str]) -> Callable[..., Any]:
    """`run(*arrays)` of a source that defines `work(data, shape, strides, data, shape, strides, ...)`."""
    digest = hashlib.sha256(repr((language, source, arrays, flags, _WRAPPER, np.__version__)).encode()).hexdigest()
    name = f"field_{digest[:16]}"
    kept = directory() / f"{name}.so"
    if not kept.exists():
        _build(name, language, source, arrays, flags, kept)
    loader = importlib.machinery.ExtensionFileLoader(name, str(kept))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module.run


def _build(name: str, language: str, source: str, arrays: int, flags: Sequence[str], kept: Path) -> None:
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        raise Cannot("Python's C headers are not installed")
    of = "PyArray_{}((PyArrayObject *)args[{}])"
    wrapper = _WRAPPER % {
        "name": name,
        "count": arrays,
        "parameters": ", ".join(["void *, npy_intp *, npy_intp *"] * arrays),
        "arguments": ", ".join(of.format(what, k) for k in range(arrays) for what in ("DATA", "DIMS", "STRIDES")),
    }
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{np.get_include()}"]
    with tempfile.TemporaryDirectory() as folder:
        text, glue = Path(folder, f"work.{language}"), Path(folder, "glue.c")
        text.write_text(source)
        glue.write_text(wrapper)
        built = Path(folder, "built.so")
        main = compiler("gcc" if language == "c" else "gfortran")
        _call([main, *flags, "-fPIC", "-c", str(text), "-o", f"{folder}/work.o"])
        _call([compiler("gcc"), "-O2", "-fPIC", *includes, "-c", str(glue), "-o", f"{folder}/glue.o"])
        _call([main, *flags, "-shared", f"{folder}/work.o", f"{folder}/glue.o", "-o", str(built), "-lmvec", "-lm"])
        shutil.copy(built, kept.with_suffix(f".{os.getpid()}"))
    os.replace(kept.with_suffix(f".{os.getpid()}"), kept)


def _call(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Cannot(f"{Path(command[0]).name}: {done.stderr.strip().splitlines()[-1] if done.stderr else 'failed'}")
