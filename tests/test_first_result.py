"""What a first result imports: each module is time that a user waits."""

import json
import subprocess
import sys

# What a program of one expression needs; numpy's own modules aside.
EXPECTED = """
import json, sys
import numpy as np
before = set(sys.modules)
import arrayexpr
a = np.ones(10)
kernel = arrayexpr.kernel(lambda a, b: np.sqrt(a * a + 2 * b) / (1.0 + a) - b, engine="block")
kernel(a, a)
print(json.dumps(sorted(set(sys.modules) - before)))
"""

OURS = """
__init__ _core _core.affine _core.assumption _core.driver _core.engine _core.engine.block
_core.engine.caching_allocator _core.engine.compiler _core.engine.dispatch _core.engine.handover _core.engine.memory
_core.engine.overlap _core.engine.plan _core.engine.pool _core.engine.reading _core.engine.recording
_core.engine.runtime _core.engine.specialise _core.engine.sweep _core.errors _core.infer _core.layout _core.nodes
_core.ops _core.ops_c _core.ops_numpy _core.passes _core.passes.elements _core.passes.fuse _core.passes.hoist
_core.passes.inline _core.passes.joint _core.passes.lower _core.passes.nests _core.passes.requirements
_core.passes.share _core.passes.simplify _core.passes.sink_views _core.passes.strip _core.passes.tiles
_core.passes.vectorize _core.primitives _core.printer _core.program _core.record _core.regions _core.rewrite
_core.types _core.vector_math _core.verify _core.windows build composite contraction functions kernel promotion
reductions symbolic target tracing
"""


def test_a_first_result_imports_what_it_needs():
    found = subprocess.run([sys.executable, "-c", EXPECTED], capture_output=True, text=True, check=True).stdout
    modules = set(json.loads(found))
    ours = {
        name.removeprefix("arrayexpr").lstrip(".") or "__init__" for name in modules if name.startswith("arrayexpr")
    }
    assert sorted(ours - set(OURS.split())) == [], "import it where a program needs it"
    # Neither does anything of the standard library that takes its time.
    slow = {"dataclasses", "inspect", "subprocess", "tempfile", "threading", "hashlib", "importlib.resources", "ctypes"}
    before = subprocess.run(
        [sys.executable, "-c", "import json, sys, numpy; print(json.dumps(sorted(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert sorted((modules & slow) - set(json.loads(before))) == []


def test_the_collector_is_left_as_it_was():
    for start in ("enable", "disable"):
        text = f"import gc; gc.{start}(); import arrayexpr; print(gc.isenabled())"
        found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True).stdout
        assert found.strip() == str(start == "enable")
