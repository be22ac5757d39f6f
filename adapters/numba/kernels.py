"""A region's kernel as an LLVM function: rows of elements, each computed by Numba's own scalar code.

They are called with one row and one element at least. A region has two: one for elements that lie next to one another,
which LLVM vectorises, and one for any steps. Both load what the region reads, then compute, then store: statements of a
region read what was there before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from llvmlite import ir

from arrayexpr._core.nodes import Apply, Assign, Constant, Node, Operand, postorder

from . import hints, walk
from .kinds import host_type, types
from .operators import HostOperator

WORD: Final = ir.IntType(64)
BYTES: Final = ir.IntType(8).as_pointer()
STATUS: Final = ir.IntType(32)
#: Nodes up to which a kernel has loops for arrays that stand still, in all of those loops: each is the whole body once
#: more, to compile. A stencil of five points would have five, which were half of its compile time.
_SMALL: Final = 60


def stills(region: Sequence[Assign], arrays: Sequence[str], among: Collection[str] | None = None) -> int:
    """For which of its arrays a region's kernel has a loop in which that one stands still along a row: a bit for each.
    `among` names those that may, where that is known."""
    size = len(postorder([statement.value for statement in region]))
    assigned = {each.target.name for each in region if isinstance(each.target, Operand)}
    taken = [
        k for k, name in enumerate(arrays[: walk.STILL]) if name not in assigned and (among is None or name in among)
    ]
    return 0 if size * len(taken) > _SMALL or len(arrays) < 2 else sum(1 << k for k in taken)


def kernel_type(context: Any) -> Any:
    """The LLVM type of a kernel: as `ae_kernel` in walk.h, with the exception's place as Numba calls have it."""
    places = context.call_conv.get_function_type(types.none, ()).args[:2]
    return ir.FunctionType(STATUS, [*places, WORD, WORD, *[ir.PointerType(BYTES)], *[ir.PointerType(WORD)] * 2])


def kernel(
    context: Any, module: Any, region: Sequence[Assign], arrays: Sequence[str], scalars: Mapping[str, Any], unit: bool,
    still: int = 0,
) -> Any:  # fmt: skip
    """The function that computes a region over rows. `arrays` are its arrays in order, `scalars` the Numba types of its
    scalars; `unit`: elements lie next to one another, but for one array that `still` has a bit for, which `walk.ALWAYS`
    says of each row."""
    made = ir.Function(module, kernel_type(context), module.get_unique_name("arrayexpr_kernel"))
    made.linkage = "internal"
    made.attributes.add("noinline")
    return _Kernel(context, module, made, region, arrays, scalars, unit, still).made


class _Kernel:
    def __init__(
        self, context: Any, module: Any, made: Any, region: Sequence[Assign], arrays: Sequence[str],
        scalars: Mapping[str, Any], unit: bool, still: int,
    ):  # fmt: skip
        self.context, self.module, self.made, self.region = context, module, made, region
        self.builder = builder = ir.IRBuilder(made.append_basic_block("entry"))
        _, _, rows, n, at, rows_step, step = made.args
        self.models = {name: self.model(name) for name in arrays}
        self.base = {name: builder.load(builder.gep(at, [WORD(k)])) for k, name in enumerate(arrays)}
        self.row_step = {name: builder.load(builder.gep(rows_step, [WORD(k)])) for k, name in enumerate(arrays)}
        self.step = {} if unit else {
            name: builder.load(builder.gep(step, [WORD(k)])) for k, name in enumerate(arrays)
        }  # fmt: skip
        self.scalars = {}
        for k, (name, kind) in enumerate(scalars.items()):
            place = builder.load(builder.gep(at, [WORD(len(arrays) + k)]))
            place = builder.bitcast(place, context.get_data_type(kind).as_pointer())
            self.scalars[name] = context.data_model_manager[kind].load_from_data_pointer(builder, place)
        self.group = hints.distinct(module)
        for k, name in enumerate(arrays):
            if unit and still >> k & 1:
                if still & walk.ALWAYS:
                    self.nest(rows, n, arrays, unit, name)
                    builder.ret(STATUS(0))
                    return
                first = builder.load(builder.gep(step, [WORD(k)]))
                with builder.if_then(builder.icmp_signed("==", first, WORD(0)), likely=False):
                    self.nest(rows, n, arrays, unit, name)
                    builder.ret(STATUS(0))
        self.nest(rows, n, arrays, unit, None)
        builder.ret(STATUS(0))

    def nest(self, rows: Any, n: Any, arrays: Sequence[str], unit: bool, still: str | None) -> None:
        """The loops; `still` is an array that stands still along a row."""
        builder = self.builder
        row, row_done = self.open(rows)
        self.at = {name: builder.gep(self.base[name], [builder.mul(row, self.row_step[name])]) for name in arrays}
        self.still: dict[str, Any] = {}
        if still is not None:
            place = builder.bitcast(self.at[still], self.models[still].get_data_type().as_pointer())
            self.still[still] = self.models[still].load_from_data_pointer(builder, place)
        if unit:
            j, element_done = self.open(n)
            places = {name: self.element(name, j) for name in arrays}
        else:
            # Pointers that go on by a step: of products with the index LLVM makes such itself, for three times the
            # time to compile.
            j, element_done = self.open(n, self.at)
            places = {name: self.typed(name, self.moving[name]) for name in arrays}
        self.elements(places)
        element_done(self.vector_hints(unit))
        # LLVM would double all that is in it.
        row_done(hints.loop(self.module, hints.NOT_UNROLLED))

    def model(self, name: str) -> Any:
        for statement in self.region:
            for node in postorder((statement.value, statement.target)):
                if isinstance(node, Operand) and node.name == name:
                    return self.context.data_model_manager[host_type(node.type.element)]
        raise AssertionError(name)

    def typed(self, name: str, place: Any) -> Any:
        return self.builder.bitcast(place, self.models[name].get_data_type().as_pointer())

    def element(self, name: str, j: Any) -> Any:
        """Where an element is of an array whose elements lie next to one another."""
        return self.builder.gep(self.typed(name, self.at[name]), [j])

    def open(self, stop: Any, moving: Mapping[str, Any] | None = None) -> tuple[Any, Any]:
        """A loop from 0 to a number above it, entered; its index, and what closes it with metadata for its last branch.
        In it `self.moving` has places that go on by the step of their array."""
        builder = self.builder
        before = builder.block
        body = builder.append_basic_block("loop")
        after = builder.append_basic_block("done")
        builder.branch(body)
        builder.position_at_end(body)
        index = builder.phi(WORD)
        index.add_incoming(WORD(0), before)
        self.moving = {name: builder.phi(BYTES) for name in moving or ()}
        places = self.moving
        for name, place in places.items():
            place.add_incoming(moving[name], before)  # type: ignore[index]

        def close(metadata: Any) -> None:
            for name, place in places.items():
                place.add_incoming(builder.gep(place, [self.step[name]]), builder.block)
            following = builder.add(index, WORD(1), flags=("nsw",))
            branch = builder.cbranch(builder.icmp_signed("<", following, stop), body, after)
            if metadata is not None:
                branch.set_metadata("llvm.loop", metadata)
            index.add_incoming(following, builder.block)
            builder.position_at_end(after)

        return index, close

    def vector_hints(self, unit: bool) -> Any:
        """No element of an array that is assigned is one of another that is at another place: who calls has tested."""
        if not unit:
            return hints.loop(self.module, hints.NO_VECTORS, hints.NOT_UNROLLED)
        # Two vectors at a time: LLVM's own choice is one for a stencil of five points, which then takes a third
        # longer, and code for more costs time to compile.
        two = ("llvm.loop.interleave.count", ir.IntType(32)(2))
        return hints.loop(self.module, ("llvm.loop.parallel_accesses", self.group), two)

    def elements(self, places: Mapping[str, Any]) -> None:
        values = self.computed(places)
        for statement, value in zip(self.region, values, strict=True):
            assert isinstance(statement.target, Operand)
            name = statement.target.name
            start = len(self.builder.block.instructions)
            stored = self.models[name].as_data(self.builder, value)
            self.builder.store(stored, places[name])
            self.tag(start)

    def computed(self, places: Mapping[str, Any]) -> list[Any]:
        """The value of each statement of the region at an element."""
        values: dict[Node, Any] = {}
        for node in postorder([statement.value for statement in self.region]):
            if isinstance(node, Operand):
                if node.name in self.still:
                    values[node] = self.still[node.name]
                elif node.type.rank:
                    start = len(self.builder.block.instructions)
                    values[node] = self.models[node.name].load_from_data_pointer(self.builder, places[node.name])
                    self.tag(start)
                else:
                    values[node] = self.scalars[node.name]
            elif isinstance(node, Constant):
                kind = host_type(node.type.element)
                values[node] = self.context.get_constant_generic(self.builder, kind, node.value)
            else:
                assert isinstance(node, Apply) and isinstance(node.op, HostOperator), node
                values[node] = node.op.meaning.emit(self.context, self.builder, [values[arg] for arg in node.args])
        return [values[statement.value] for statement in self.region]

    def tag(self, start: int) -> None:
        for each in self.builder.block.instructions[start:]:
            if each.opname in ("load", "store"):
                each.set_metadata("llvm.access.group", self.group)
