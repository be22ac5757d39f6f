"""The adapter in Cython's pipeline: for as long as `enabled` is entered, modules are compiled with it."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import Cython
from Cython import Utils
from Cython.Build import Dependencies
from Cython.Compiler import Nodes, Pipeline
from Cython.Compiler.Optimize import IterationTransform
from Cython.Compiler.Options import CompilationOptions
from Cython.Compiler.ParseTreeTransforms import AnalyseExpressionsTransform
from Cython.Compiler.Visitor import EnvTransform, VisitorTransform

import arrayexpr

from . import directives, reductions, report, stale, values, versions, wide
from .fusing import FusedNode, fused
from .loops import Left
from .nests import raised
from .statements import InPlaceAssignment, SingleAssignment
from .vector import CLASSES
from .writer import Kernels

_STATEMENTS: dict[type[Any], type[Any]] = {
    Nodes.SingleAssignmentNode: SingleAssignment,
    Nodes.InPlaceAssignmentNode: InPlaceAssignment,
}
_SWAPPED = {**CLASSES, **reductions.CLASSES, **_STATEMENTS}
_RESTORED = {ours: own for own, ours in _SWAPPED.items()}


#: Where `cimport arrayexpr` finds its declarations.
_DECLARATIONS = os.path.dirname(os.path.dirname(os.path.abspath(arrayexpr.__file__)))


class Prepare(VisitorTransform):  # type: ignore[misc]
    """Gives operators and assignments the classes that take memoryviews."""

    def visit_Node(self, node: Any) -> Any:
        self.visitchildren(node)
        own = _SWAPPED.get(type(node))
        if own is not None:
            node.__class__ = own
        return node

    def visit_CythonUtilityCodeNode(self, node: Any) -> Any:
        return node


class Settle(EnvTransform):  # type: ignore[misc]
    """Gives expressions that no statement has taken what computes them, once all types are known; all else that is not
    on memoryviews gets Cython's own class back, by which transforms and tests of trees know it."""

    def visit_Node(self, node: Any) -> Any:
        self.visitchildren(node)
        own = _RESTORED.get(type(node))
        if own is not None:
            node.__class__ = own
        return node

    def visit_VectorNode(self, node: Any) -> Any:
        values.settle(node, self.current_env())
        self.visitchildren(node)
        return node


class Fuse(EnvTransform):  # type: ignore[misc]
    """Gives statements in a row one kernel, where one may compute them."""

    def visit_StatListNode(self, node: Any) -> Any:
        self.visitchildren(node)
        function = self.env_stack[-1][0]
        if type(node) is Nodes.StatListNode and isinstance(function, Nodes.FuncDefNode):
            node.stats = fused(_flat(node), function, self.current_env())
            for each in node.stats:
                if isinstance(each, FusedNode):
                    report.raised(each.pos, "statements", each.description())
        return node


def _flat(node: Any) -> list[Any]:
    """The statements of a list, those of lists in it among them."""
    flat = type(node) is Nodes.StatListNode
    return [each for stat in node.stats for each in _flat(stat)] if flat else [node]


class Raise(EnvTransform):  # type: ignore[misc]
    """Gives loops over memoryviews the kernels that compute the same; all kernels of the module are known then."""

    def __call__(self, root: Any) -> Any:
        root = super().__call__(root)
        taken = Kernels.of(root.scope).description()
        if taken:
            report.module(root.pos, taken)
        return root

    def visit_ForFromStatNode(self, node: Any) -> Any:
        if self.current_directives.get(directives.NAME):
            try:
                made = raised(node, self.current_directives, self.current_env())
                report.raised(node.pos, "loop", made.description())
                return made
            except Left as left:
                report.left(node.pos, "loop", str(left))
        self.visitchildren(node)
        return node

    visit_ParallelRangeNode = visit_ForFromStatNode

    def visit_NestNode(self, node: Any) -> Any:
        return node


_entered = 0


@contextmanager
def enabled(default: bool = True) -> Iterator[None]:
    """Cython compiles with the adapter while this is entered.

    `default` is what the directive `arrayexpr` is where a module does not say. Raises UnsupportedCython for a version
    of Cython whose internals are not known, before anything is changed.
    """
    versions.check(Cython.__version__)
    global _entered
    with ExitStack() as stack:
        stack.enter_context(directives.declared(default))
        if not _entered:
            helper = functools.partial(cythonize_one, default=default)
            for module, name, function in (
                (Pipeline, "create_pipeline", _create_pipeline(Pipeline.create_pipeline)),
                (Dependencies, "cythonize_one", stale.marking(Dependencies.cythonize_one)),
                (Dependencies, "cythonize_one_helper", helper),
                (Utils, "file_generated_by_this_cython", stale.asking(Utils.file_generated_by_this_cython)),
                (CompilationOptions, "get_fingerprint", stale.fingerprinting(CompilationOptions.get_fingerprint)),
            ):
                stack.enter_context(_replaced(module, name, function))
        _entered += 1
        try:
            yield
        finally:
            _entered -= 1


def cythonize_one(task: Any, default: bool) -> Any:
    """Compiles one file in a process of its own, which has not entered `enabled`."""
    with enabled(default):
        return Dependencies.cythonize_one(*task)


@contextmanager
def _replaced(module: Any, name: str, function: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, before)


def _create_pipeline(original: Any) -> Any:
    @functools.wraps(original)
    def create_pipeline(context: Any, mode: Any, exclude_classes: Any = ()) -> Any:
        stages = original(context, mode, exclude_classes)
        if _DECLARATIONS not in context.include_directories:
            # An editable install is none that Cython finds declarations in.
            context.include_directories.append(_DECLARATIONS)
        # Utility code that is written in Cython is Cython's own.
        if type(context).__name__ == "CythonUtilityCodeContext":
            return stages
        stages = Pipeline.insert_into_pipeline(stages, Prepare(), before=AnalyseExpressionsTransform)
        stages = Pipeline.insert_into_pipeline(stages, Settle(context), after=AnalyseExpressionsTransform)
        stages = Pipeline.insert_into_pipeline(stages, Fuse(context), after=Settle)
        return Pipeline.insert_into_pipeline(stages, Raise(context), after=IterationTransform)

    return create_pipeline


def cythonize(module_list: Any, *args: Any, **options: Any) -> Any:
    """As Cython's `cythonize`, with the adapter: the same parameters, and the same list of extensions.

    The directive `arrayexpr` is on, but where a module, a function or `compiler_directives` says `arrayexpr=False`.
    Raises CompileError as Cython does, and UnsupportedCython for a version of Cython that is not known.
    """
    with enabled():
        extensions = Dependencies.cythonize(module_list, *args, **options)
    for extension in extensions:
        if "m" not in extension.libraries and wide.used_by(extension.sources):
            extension.libraries.append("m")
    return extensions
