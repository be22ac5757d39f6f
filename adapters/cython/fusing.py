"""Consecutive statements on memoryviews that one kernel computes, where at run time nothing forbids it.

    t = a * b                    one pass over memory, and no t, where nothing reads t later
    out[...] = t + c
    total[...] += out

The statements as they were written stay beside the kernel, and run where arrays share memory, lengths do not all fit,
or a memoryview is None: each error is then where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from Cython.Compiler import ExprNodes, Nodes, PyrexTypes

from arrayexpr._core.nodes import Node, Operand, postorder, substitute

from . import directives, fused_kernels, kernels
from .kernels import Kernel
from .loops import unwrapped
from .vector import VectorNode
from .writer import AssignmentNode, Computation, Kernels, geometry, listed

#: Statements that one kernel computes at most, and nodes of their expressions: what compilers take time for.
_STATEMENTS, _NODES = 8, 96


@dataclass(slots=True)
class _Store:
    """One statement that may be fused: what it computes, and where it goes."""

    statement: Any
    computation: Computation
    #: The node of the target; None for a new memoryview that a local variable, `entry`, holds.
    target: Any
    entry: Any
    key: Any


@dataclass(slots=True)
class _Group:
    """Statements that one kernel computes: its arrays and numbers, each once, by what they are."""

    stores: list[_Store] = field(default_factory=list)
    operands: dict[Any, tuple[Any, Operand]] = field(default_factory=dict)
    targets: dict[Any, Operand] = field(default_factory=dict)
    values: dict[Any, Node] = field(default_factory=dict)
    rank: int = 0

    def take(self, store: _Store) -> bool:
        """Whether a statement goes with those before it; it is among them then."""
        computation = store.computation
        if self.stores and computation.rank != self.rank:
            return False
        found: dict[Any, tuple[Any, Operand]] = {}
        before = dict(self.values)
        target = self.targets.get(store.key) or Operand(f"t{len(self.stores)}", computation.stored.type)
        new: dict[Node, Node] = {computation.stored: before.get(store.key, target)}
        for node, operand in zip(computation.nodes, computation.places, strict=True):
            key = key_of(node)
            if key not in before and any(name in before for name in _bases(key)):
                # A part of a new memoryview that is not there yet.
                return False
            if key in before:
                # What an earlier statement stored is the value that it was.
                new[operand] = before[key]
            elif key == store.key:
                new[operand] = target
            else:
                own = self.operands.get(key) or found.get(key)
                if own is None:
                    own = found[key] = node, Operand(f"o{len(self.operands) + len(found)}", operand.type)
                new[operand] = own[1]
        value = substitute((computation.value,), new.get)[0]
        if store.key in self.operands and store.entry is not None:
            return False
        if store.key in self.operands:
            # Memoryviews that are gone in the end may have been computed from what is overwritten.
            new = {self.operands[store.key][1]: target}
            value = substitute((value,), new.get)[0]
            before = {key: substitute((each,), new.get)[0] for key, each in before.items()}
        seen = {each.key for each in self.stores if each.entry is None}
        others = {key: value for key, value in {**before, store.key: value}.items() if key in seen | {store.key}}
        for key, each in others.items():
            read = set(kernels.reads(each))
            if any(own in read for name, own in {**self.targets, store.key: target}.items() if name != key):
                return False
        if sum(1 for _ in postorder([*before.values(), value])) > _NODES:
            return False
        self.values = before
        self.operands.pop(store.key, None)
        self.rank = computation.rank
        self.stores.append(store)
        self.operands |= found
        self.values[store.key] = value
        self.targets[store.key] = target
        return True


class FusedNode(Nodes.StatNode):  # type: ignore[misc]
    """Statements in a row, with the kernel that computes the same."""

    child_attrs = ["stats"]

    stats: list[Any]
    group: _Group
    stored: list[_Store]
    kernels: Kernels
    kernel: Kernel
    arrays: list[tuple[Any, Operand]]
    numbers: list[tuple[Any, Operand]]

    @classmethod
    def of(cls, group: _Group, dead: set[Any], env: Any) -> FusedNode:
        """`dead` are the variables of new memoryviews that nothing reads later."""
        node = cls(group.stores[0].statement.pos)
        node.stats = [store.statement for store in group.stores]
        node.group = group
        # The last statement that stores to a target has the value.
        last = {store.key: store for store in group.stores if store.entry is None or store.entry not in dead}
        node.stored = list(last.values())
        stores = [(group.targets[store.key], group.values[store.key]) for store in node.stored]
        used = {operand for _, value in stores for operand in kernels.reads(value)}
        every = [each for each in group.operands.values() if each[1] in used]
        node.arrays = [each for each in every if each[1].type.rank]
        node.numbers = [each for each in every if not each[1].type.rank]
        node.kernels = Kernels.of(env)
        arrays, numbers = ([operand for _, operand in each] for each in (node.arrays, node.numbers))
        made = fused_kernels.fused(stores, arrays, numbers, fast=bool(env.directives.get(directives.FAST)))
        node.kernel = node.kernels.add(made)
        return node

    def description(self) -> str:
        """What a report says of it."""
        gone = sum(store.entry is not None for store in self.group.stores)
        without = f", without {gone} of their memoryviews" if gone else ""
        return f"one kernel for {len(self.stats)} statements{without}, where no arrays share memory"

    def analyse_expressions(self, env: Any) -> FusedNode:
        return self

    def annotate(self, code: Any) -> None:
        for statement in self.stats:
            statement.annotate(code)

    def generate_function_definitions(self, env: Any, code: Any) -> None:
        for statement in self.stats:
            statement.generate_function_definitions(env, code)

    def generate_execution_code(self, code: Any) -> None:
        self.kernels.use(code)
        done = code.funcstate.allocate_temp(PyrexTypes.c_int_type, manage_ref=False)
        code.putln(f"{done} = 0;")
        arrays = [(store.target, self.group.targets[store.key]) for store in self.stored] + self.arrays
        nodes = [node for node, _ in (*arrays, *self.numbers)]
        names = dict.fromkeys(str(name.result()) for node in nodes for name in _memoryviews(node))
        tests = [f"{text}.memview && (PyObject *){text}.memview != Py_None" for text in names]
        code.putln(f"if ({' && '.join(tests)}) {{")
        for node in nodes:
            node.generate_evaluation_code(code)
        code.begin_block()
        results = {operand: str(node.result()) for node, operand in arrays}
        data = [f"(char *){results[operand]}.data" for _, operand in arrays]
        for node, operand in self.numbers:
            name = f"arrayexpr_{operand.name}"
            code.putln(f"const {node.type.declaration_code(name)} = {node.result()};")
            data.append(f"(char *)&{name}")
        order = geometry([operand for _, operand in arrays], results)
        code.putln(f"{done} = {self.kernel.name}({listed('char *', data)}, {order});")
        code.putln(code.error_goto_if(f"{done} < 0", self.pos))
        code.end_block()
        for node in nodes:
            node.generate_disposal_code(code)
            node.free_temps(code)
        code.putln("}")
        code.putln(f"if (!{done}) {{")
        for statement in self.stats:
            statement.generate_execution_code(code)
        code.putln("}")
        code.funcstate.release_temp(done)


def fused(statements: Sequence[Any], function: Any, env: Any) -> list[Any]:
    """Statements of one list, with those in a row that one kernel may compute as one; the same where there are none."""
    made: list[Any] = []
    group: list[_Store] = []
    for statement in [*statements, None]:
        store = _store(statement) if statement is not None else None
        if store is not None:
            group.append(store)
            continue
        made += _grouped(group, function, env)
        group = []
        if statement is not None:
            made.append(statement)
    return made


def _grouped(stores: list[_Store], function: Any, env: Any) -> Iterator[Any]:
    """The statements of stores in a row, as few as may be."""
    if Kernels.of(env).full(env.directives.get(directives.LIMIT)):
        # They have a kernel each already.
        yield from (store.statement for store in stores)
        return
    while stores:
        group = _Group()
        taken = 0
        while taken < min(len(stores), _STATEMENTS) and group.take(stores[taken]):
            taken += 1
        # A new memoryview that is read later is made by its own statement.
        kept = _closed(group, function)
        if kept is None:
            yield stores.pop(0).statement
            continue
        chosen, dead = kept
        del stores[: len(chosen.stores)]
        yield FusedNode.of(chosen, dead, env)


def _closed(group: _Group, function: Any) -> tuple[_Group, set[Any]] | None:
    """The longest part from the start whose new memoryviews nothing else reads; None where that is one statement."""
    everywhere = Counter(_names_in(function))
    for length in range(len(group.stores), 1, -1):
        part = _Group()
        if not all(part.take(store) for store in group.stores[:length]):
            continue
        inside = Counter(name for store in part.stores for name in _names_in(store.statement))
        dead = {store.entry for store in part.stores if store.entry is not None}
        if all(everywhere[entry] == inside[entry] for entry in dead) and len(dead) < length:
            return part, dead
    return None


def _store(statement: Any) -> _Store | None:
    """A statement that may be fused; None for any other."""
    if isinstance(statement, AssignmentNode):
        computation, target, entry = statement.computation, statement.target, None
        key = key_of(target)
        nodes = [*computation.nodes, target]
    elif isinstance(statement, Nodes.SingleAssignmentNode) and isinstance(statement.rhs, VectorNode):
        name = statement.lhs
        if statement.rhs.value is None or not name.is_name or not _local(name.entry):
            return None
        if len(name.entry.cf_assignments) != 1 or name.entry.is_arg:
            return None
        computation, target, entry, key = statement.rhs.value.computation, None, name.entry, key_of(name)
        nodes = computation.nodes
    else:
        return None
    if computation.loops or computation.tests or key is None or any(key_of(node) is None for node in nodes):
        return None
    return _Store(statement, computation, target, entry, key)


def key_of(node: Any) -> Any:
    """What tells equal operands: those that are read without effect, and cannot raise but for None; else None."""
    if node.is_name:
        return ("name", node.entry) if _local(node.entry) and not node.entry.type.is_pyobject else None
    if isinstance(node, ExprNodes.MemoryViewSliceNode):
        base = key_of(node.base)
        parts = [_part(index) for index in node.indices]
        if base is None or any(part is None for part in parts):
            return None
        return base if all(part == ("", "", "") for part in parts) else ("slice", base, tuple(parts))
    if getattr(node, "is_memslice_transpose", False):
        base = key_of(node.obj)
        return None if base is None else ("transpose", base)
    inner = unwrapped(node)
    if inner is not node:
        return key_of(inner)
    if isinstance(node, ExprNodes.IntNode | ExprNodes.FloatNode):
        return "number", str(node.type), node.constant_result
    return None


def _bases(key: Any) -> Iterator[Any]:
    """The keys of what an operand is a view of, where that is a variable that the statements assign."""
    while key is not None and key[0] in ("slice", "transpose"):
        key = key[1]
        yield key


def _part(index: Any) -> Any:
    if index.is_none:
        return "None"
    if not index.is_slice:
        return None
    parts = [_bound(each) for each in (index.start, index.stop, index.step)]
    return None if any(part is None for part in parts) or parts[2] not in ("", 1, -1, 2, -2) else tuple(parts)


def _bound(node: Any) -> Any:
    if node.is_none:
        return ""
    inner = unwrapped(node)
    if isinstance(inner, ExprNodes.IntNode | ExprNodes.UnaryMinusNode) and isinstance(inner.constant_result, int):
        return inner.constant_result
    known = inner.is_name and _local(inner.entry) and inner.type.is_int
    return ("name", inner.entry) if known else None


def _memoryviews(node: Any) -> list[Any]:
    """The variables of memoryviews that a node reads."""
    return [each for each in _nodes(node) if each.is_name and each.type.is_memoryviewslice]


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for name in node.child_attrs or ():
        child = getattr(node, name)
        for each in child if isinstance(child, list) else [child]:
            if isinstance(each, ExprNodes.ExprNode):
                yield from _nodes(each)


def _local(entry: Any) -> bool:
    """Whether a variable is one of the function's own C variables."""
    return bool((entry.is_local or entry.is_arg) and not entry.in_closure and not entry.from_closure)


def _names_in(node: Any) -> Iterator[Any]:
    """Every variable that a tree names, as often as it does."""
    if isinstance(node, ExprNodes.NameNode):
        yield node.entry
    for attribute in node.child_attrs or ():
        child = getattr(node, attribute, None)
        for each in child if isinstance(child, list) else [child]:
            if isinstance(each, Nodes.Node):
                yield from _names_in(each)
