"""Builds the compiled core. The metadata is in pyproject.toml."""

import multiprocessing
import os

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup

# Compiled for speed: the tree, what walks it, and the call path. The `.py` ones run uncompiled too.
MODULES = [
    "_core/nodes.pyx",
    "_core/infer.py",
    "_core/rewrite.pyx",
    "_core/affine.py",
    "_core/integers.py",
    "_core/dependence.py",
    "_core/verify.py",
    "_core/passes/nests.py",
    "_core/passes/simplify.py",
    "_core/passes/straight.py",
    "_core/passes/whole.py",
    "_core/passes/raise_loops.py",
    "_core/regions.py",
    "_core/passes/fuse.py",
    "_core/passes/scratch.py",
    "_core/passes/share.py",
    "_core/passes/inline.py",
    "_core/passes/contractions.py",
    "_core/passes/sink_views.py",
    "_core/passes/elements.py",
    "_core/passes/joint.py",
    "_core/passes/guards.py",
    "_core/passes/lower.py",
    "_core/passes/sweep.py",
    "_core/passes/requirements.py",
    "_core/passes/versions.py",
    "_core/passes/order_axes.py",
    "_core/passes/collapse.py",
    "_core/passes/hoist.py",
    "_core/passes/tiles.py",
    "_core/passes/block.py",
    "_core/passes/pack.py",
    "_core/passes/jam.py",
    "_core/passes/strip.py",
    "_core/passes/vectorize.py",
    "_core/passes/stream.py",
    "_core/passes/parallelize.py",
    "_core/engine/block.pyx",
    "_core/engine/pool.pyx",
    "_core/engine/overlap.pyx",
    "_core/engine/sweep.pyx",
    "_core/engine/caching_allocator.pyx",
    "_core/engine/dispatch.pyx",
    "_core/engine/iterate.pyx",
    "_core/engine/wavefront.pyx",
    "_core/engine/chain.pyx",
    "_core/engine/vector_math.pyx",
    "adapters/numexpr/calls.pyx",
    "adapters/numba/walk.pyx",
]

# What a module includes.
INCLUDED = {
    "adapters/numba/walk.pyx": ["adapters/numba/walk.h", "adapters/numba/in_order.h", "_core/primitives/pack.h"],
    "_core/engine/pool.pyx": ["_core/engine/pool.h"],
    "_core/engine/caching_allocator.pyx": ["_core/engine/caching_allocator.h"],
    "_core/engine/dispatch.pyx": ["_core/engine/overlap.pxi", "_core/engine/parts.pxi"],
    "_core/engine/block.pyx": [
        *(f"_core/engine/{name}.h" for name in ("block", "loops")),
        *(f"_core/primitives/{name}.h" for name in ("fold", "fold_list", "pack", "stream")),
        *(f"_core/primitives/{name}.h" for name in ("vector_math", "vector_math_table")),
    ],
}


#: The loops of the block engine are worth the vectoriser; no product and sum is rounded as one, as in emitted kernels.
FLAGS = {
    "_core/engine/block.pyx": ["-O3", "-fwrapv", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"],
    # Its copies go between any two types of one size.
    "adapters/numba/walk.pyx": ["-O3", "-fno-strict-aliasing", "-ffp-contract=off"],
}

#: Five minutes of one core. Where processes do not fork, Cython translates in this one.
JOBS = os.cpu_count() or 1
FORKS = multiprocessing.get_start_method() == "fork"

LIBRARIES = {} if os.name == "nt" else {"_core/engine/block.pyx": ["m"]}


def extension(path: str) -> Extension:
    module = "arrayexpr." + os.path.splitext(path)[0].replace("/", ".")
    return Extension(
        module,
        # Adapters lie beside the package in the tree, and in it when installed.
        [path if path.startswith("adapters/") else f"arrayexpr/{path}"],
        depends=[name if name.startswith("adapters/") else f"arrayexpr/{name}" for name in INCLUDED.get(path, ())],
        include_dirs=[numpy.get_include(), "arrayexpr/_core/primitives"],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        libraries=LIBRARIES.get(path, []),
        extra_compile_args=[] if os.name == "nt" else [*FLAGS.get(path, ["-O2"]), "-g0"],
    )


setup(
    ext_modules=cythonize(
        [extension(path) for path in MODULES],
        compiler_directives={"language_level": 3, "boundscheck": False, "wraparound": True},
        nthreads=JOBS if FORKS else 0,
    ),
    options={"build_ext": {"parallel": JOBS}},
)
