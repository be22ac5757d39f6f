"""Nests of loops to LLVM, inside Numba's own lowering: tests of lengths and memory, and kernels walked over the arrays.

The value is whether the nest was run: where a test does not hold, the loops as they were written are run after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils

from arrayexpr._core.dependence import may_touch
from arrayexpr._core.nodes import (
    Apply,
    Assign,
    Constant,
    Extent,
    Guard,
    Index,
    Load,
    Node,
    Operand,
    Reduce,
    Slice,
    View,
    postorder,
)
from arrayexpr._core.ops import operator

from . import walk
from .along import innermost, stands_still
from .fusing import Folded
from .hints import NO_VECTORS, NOT_UNROLLED, as_they_are
from .kernels import BYTES, STATUS, WORD, kernel_type, stills
from .kinds import host_type, map_type, types
from .loops import Sum
from .lowering import _Array, _arrays, _Lowering
from .operators import row
from .raising import Raised
from .reductions import Fold

#: Iterations below which the loops as written are run: the tests cost about as much as some hundred elements.
SMALL: Final = 1024
#: The same where all arrays are typed to lie in one order, so that nothing is turned, and no loop stays in order.
SMALL_ALIKE: Final = 512
#: The same where a variable is added to: each sum waits for the one before it, and the caches are in time for that as
#: long as the arrays fit in. Of 128 x 128 elements plain Numba took 0.9 to 1.2 times as long, of 256 x 256 1.3 to 2.
SMALL_SUM: Final = 1 << 16

_FLAG: Final = ir.IntType(1)
_REAL: Final = ir.DoubleType()
_PLUS, _MINUS, _TIMES = operator("add"), operator("subtract"), operator("multiply")
_DIVIDE, _NEGATIVE = operator("floor_divide"), operator("negative")
_TESTS: Final = {
    operator("less"): "<", operator("less_equal"): "<=", operator("greater"): ">", operator("greater_equal"): ">=",
    operator("equal"): "==", operator("not_equal"): "!=",
}  # fmt: skip


def lower_nest(lowerer: Any, expr: Any) -> Any:
    """The LLVM value of a nest's expression: whether it was run, with what variables hold after it if someone asks."""
    made = _Nest(lowerer, expr).value()
    raised: Raised = expr.nest
    if not raised.along:
        # As they were written, loops run where there are few iterations, or in the wrong order: with vectors and eight
        # times unrolled those took as long, and twice the time to compile. Sums to elements of few iterations took a
        # tenth longer where they were not unrolled.
        as_they_are(lowerer, raised.nest.back, NO_VECTORS, *([] if raised.ordered else [NOT_UNROLLED]))
    return made


class _Nest(_Lowering):
    small, small_sum = SMALL, SMALL_SUM

    def __init__(self, lowerer: Any, expr: Any):
        self.lowerer, self.expr = lowerer, expr
        self.context, self.builder = lowerer.context, lowerer.builder
        self.raised: Raised = expr.nest
        #: Whether iterations stand under a test of indices: else there is one at least.
        self.guarded = any(isinstance(node, Guard) for node in postorder(self.raised.nest.program.statements))
        #: Whether no sum so far was too large for an int64.
        self.fits: Any = _FLAG(1)
        self.known: dict[Node, Any] = {}
        self.wholes: dict[str, _Array] = {}
        self.scalars: dict[str, Any] = {}
        self.kernels: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        self.kinds: dict[str, Any] = {}
        for (name, (_, kind)), var in zip(self.raised.nest.variables.items(), expr.operands, strict=True):
            value = lowerer.loadvar(var.name)
            self.kinds[name] = kind
            if isinstance(kind, types.Array):
                self.wholes[name] = self.array(kind, value)
            else:
                self.scalars[name] = self.context.cast(self.builder, value, kind, types.unliteral(kind))
        for name, length in self.raised.nest.lengths.items():
            self.kinds[name], self.scalars[name] = types.int64, self.number(length)
        self.folds = {name: self.fold(each) for name, each in self.raised.sums.items()}

    def strides(self, kind: Any, value: Any, shape: Sequence[Any]) -> list[Any]:
        """The steps of an array, as its type tells them: those that it has are then no arguments that the function's
        wrappers bring, each of which takes time to compile."""
        if kind.layout == "A":
            return super().strides(kind, value, shape)
        element = map_type(kind.dtype)
        assert element is not None
        found: list[Any] = [WORD(element.dtype.itemsize)]
        inner = shape[:-1] if kind.layout == "F" else shape[:0:-1]
        for length in inner:
            found.append(self.builder.mul(found[-1], length))
        return found if kind.layout == "F" else found[::-1]

    def fold(self, each: Sum) -> Folded:
        """How a sum is added up: in the order of its loops, into a place in memory that has what it starts as."""
        rank = len(each.loops)
        place = self.slot(self.scalars[each.first.name], each.kind)
        kind = types.Array(each.kind, rank, "A")
        stops = [self.stop(index) for index in each.loops]
        self.wholes[each.operand.name] = _Array(kind, place, stops, [WORD(0)] * rank, place)
        self.kinds[each.operand.name] = kind
        reduce = Reduce(row(Fold, (each.operation, each.kind, "C")), each.operand, tuple(range(rank)))
        return Folded(each.first, reduce, None)

    def total(self, each: Sum) -> Any:
        """What a sum comes to."""
        model = self.context.data_model_manager[each.kind]
        place = self.builder.bitcast(self.wholes[each.operand.name].data, model.get_data_type().as_pointer())
        return model.load_from_data_pointer(self.builder, place)

    def stop(self, index: Index) -> Any:
        """A number that the values of an index are below."""
        loops = [loop.index for loop in self.raised.nest.loops]
        start, stop, step = self.raised.counts[loops.index(index)]
        return self.number(stop) if step > 0 else self.checked("sadd", self.number(start), WORD(1))

    def indexed(self) -> Any:
        """Whether there is a table of indices: of those that are values."""
        builder, nest = self.builder, self.raised.nest
        assert nest.indices is not None
        length = self.wholes[nest.indices.name].shape[0]
        place = self.call("arrayexpr_indices_1", BYTES, [length])
        self.wholes[nest.indices.name].data = place
        return builder.icmp_unsigned("!=", place, ir.Constant(BYTES, None))

    def count_indices(self) -> None:
        """The length that a table of indices has to have."""
        nest = self.raised.nest
        assert nest.indices is not None
        used = [n for n in postorder(nest.program.statements) if isinstance(n, Load) and n.operand is nest.indices]
        length: Any = WORD(0)
        for index in dict.fromkeys(each.subscripts[0] for each in used):
            assert isinstance(index, Index)
            stop = self.stop(index)
            length = self.builder.select(self.builder.icmp_signed(">", stop, length), stop, length)
        kind = types.Array(types.int64, 1, "C")
        self.wholes[nest.indices.name] = _Array(kind, ir.Constant(BYTES, None), [length], [WORD(8)], None)
        self.kinds[nest.indices.name] = kind

    def kind_of(self, name: str) -> Any:
        made = next(operand for operand in self.raised.made if operand.name == name)
        return types.Array(host_type(made.type.element), made.type.rank, "C")

    def scalar_kind(self, name: str) -> Any:
        return types.unliteral(self.kinds[name])

    def value(self) -> Any:
        builder = self.builder
        if self.raised.nest.indices is not None:
            self.count_indices()
        before = builder.block
        done = builder.append_basic_block("nest.done")
        leaving: list[Any] = []
        for test in self.tests():
            following = builder.append_basic_block("nest.go")
            leaving.append(builder.block)
            builder.cbranch(test(), following, done)
            builder.position_at_end(following)
        assert before is not builder.block
        last = [self.number(node) for node in self.raised.last.values()]
        added = self.raised.nest.added.values()
        if self.in_one_call():
            following = builder.append_basic_block("nest.ran")
            ran = self.compute_alone()
            leaving.append(builder.block)
            builder.cbranch(ran, following, done)
            builder.position_at_end(following)
        else:
            self.compute()
        last += [self.total(each) for each in added]
        end = builder.block
        builder.branch(done)
        builder.position_at_end(done)
        ran = builder.phi(_FLAG)
        ran.add_incoming(_FLAG(1), end)
        values = [builder.phi(value.type) for value in last]
        for block in leaving:
            ran.add_incoming(_FLAG(0), block)
            for phi in values:
                phi.add_incoming(ir.Constant(phi.type, None), block)
        for phi, value in zip(values, last, strict=True):
            phi.add_incoming(value, end)
        if not values:
            return ran
        kind = self.expr.ty
        return self.context.make_tuple(builder, kind, [ran, *values])

    # -- what must hold --

    def tests(self) -> Any:
        """Tests one after the other, each of which gives the LLVM value of whether it holds."""
        yield self.worth
        yield self.within
        if self.raised.nest.indices is not None:
            yield self.indexed
        if not self.in_one_call():
            yield self.apart

    def worth(self) -> Any:
        """Whether all loops go through enough, and at least one, element."""
        builder = self.builder
        total: Any = None
        holds: Any = _FLAG(1)
        for start, stop, step in self.raised.counts:
            distance = self.distance(start, stop, step)
            holds = builder.and_(holds, builder.icmp_signed(">", distance, WORD(0)))
            # Real numbers do not overflow.
            length = builder.sitofp(self.divided(distance, abs(step)), _REAL)
            total = length if total is None else builder.fmul(total, length)
        layouts = {kind.layout for kind in self.kinds.values() if isinstance(kind, types.Array)}
        alike = layouts in ({"C"}, {"F"}) and not self.raised.ordered
        least = min(self.small, SMALL_ALIKE) if alike else self.small
        if self.raised.sums:
            least = self.small_sum
        holds = builder.and_(holds, builder.fcmp_ordered(">=", total, _REAL(least)))
        return builder.and_(holds, self.fits)

    def distance(self, start: Node, stop: Node, step: int) -> Any:
        low, high = (start, stop) if step > 0 else (stop, start)
        return self.checked("ssub", self.number(high), self.number(low))

    def count(self, start: Node, stop: Node, step: int) -> Any:
        """How many iterations a loop has, of at least one."""
        return self.divided(self.distance(start, stop, step), abs(step))

    def divided(self, count: Any, step: int) -> Any:
        """How many steps a distance above 0 takes."""
        if step == 1:
            return count
        return self.builder.add(self.builder.sdiv(self.builder.sub(count, WORD(1)), WORD(step)), WORD(1))

    def within(self) -> Any:
        builder = self.builder
        holds: Any = _FLAG(1)
        for condition in self.raised.conditions:
            assert isinstance(condition, Apply), condition
            one, other = (self.number(arg) for arg in condition.args)
            holds = builder.and_(holds, builder.icmp_signed(_TESTS[condition.op], one, other))
        return builder.and_(holds, self.fits)

    def in_one_call(self) -> bool:
        """Whether one function tests memory and walks: there is one walk, over arrays that there are."""
        return len(self.raised.regions) == 1

    def apart(self) -> Any:
        """Whether what is assigned shares no memory with the rest, and none of it is twice the same."""
        self.place_arrays()
        names = list(self.arrays)
        assigned = {s.target.name for group in self.raised.regions for s in group if isinstance(s.target, Operand)}
        rank, shapes, strides, kinds = self.tables(names, assigned)
        at = self.pointers([self.arrays[name].data for name in names])
        code = self.call("arrayexpr_alone_1", STATUS, [
            rank, shapes, WORD(len(names)), at, strides, kinds, WORD(int(self.raised.alone)),
        ])  # fmt: skip
        return self.builder.icmp_signed("!=", code, STATUS(0))

    def place_arrays(self) -> None:
        self.arrays = self.placed()
        for group in self.raised.regions:
            self.share_lengths(group)

    def tables(self, names: Sequence[str], assigned: Collection[str]) -> tuple[Any, ...]:
        """What `ae_alone` takes: rank, and of each array a shape of its own, since bounds are of what is touched, its
        strides and kind."""
        top = max(len(array.shape) for array in self.arrays.values())
        padded = [self.padded(self.arrays[name], top) for name in names]
        # What is added up is in one place.
        shapes = [
            length
            for name, array in zip(names, padded, strict=True)
            for length in ([WORD(1)] * top if name in self.folds else array.shape)
        ]
        strides = [stride for array in padded for stride in array.strides]
        kinds = [WORD(self.kind(name, names, assigned)) for name in names]
        return WORD(top), self.words(shapes), self.words(strides), self.words(kinds)

    def kind(self, name: str, names: Sequence[str], assigned: Collection[str], read: Collection[str] = ()) -> int:
        """What `walk.h` calls the kind of an array."""
        bits = sum(1 << k for k, other in enumerate(names) if self.surely_apart(name, other)) << walk.APART
        how = walk.WRITTEN * (name in assigned) | walk.READ * (name in read)
        if name in self.folds and read:
            how |= self.fold_kind(self.folds[name])
        return self.itemsize(self.arrays[name]) | how | bits

    def surely_apart(self, one: str, other: str) -> bool:
        """Whether two parts of one operand have no element in common, as their subscripts tell."""
        views = self.raised.views[one], self.raised.views[other]
        bases = {n for view in views for n in postorder((view,)) if isinstance(n, Operand) and n.type.rank}
        if one == other or len(bases) > 1 or self.raised.ordered:
            return False
        return may_touch(*views).answer == "never"

    def share_lengths(self, group: Sequence[Assign]) -> None:
        """Arrays of a region are of the same loops, and so of the same lengths: the same values, for LLVM."""
        target = group[0].target
        assert isinstance(target, Operand)
        if target.name not in self.arrays:
            return
        shape = self.arrays[target.name].shape
        for node in postorder([statement.value for statement in group]):
            if isinstance(node, Operand) and node.name in self.arrays:
                array = self.arrays[node.name]
                pairs = zip(array.shape, shape[len(shape) - len(array.shape) :], strict=True)
                array.shape = [one if isinstance(one, ir.Constant) else other for one, other in pairs]

    def placed(self) -> dict[str, _Array]:
        """The views, in the first iteration of the loops around them; `steps` to the next ones, in bytes."""
        builder, raised = self.builder, self.raised
        known = dict(self.known)
        firsts: dict[Node, Any] = {index: self.number(first) for index, first, _, _ in raised.ordered}
        indices = [loop.index for loop in raised.nest.loops]
        self.lengths = [self.count(*raised.counts[indices.index(index)]) for index, _, _, _ in raised.ordered]
        self.known = {**known, **firsts}
        found = {name: self.view(view) for name, view in raised.views.items()}
        self.steps: dict[str, list[Any]] = {name: [] for name in found}
        for index, _, _, step in raised.ordered:
            self.known = {**known, **firsts, index: builder.add(firsts[index], WORD(step))}
            for name, view in raised.views.items():
                moved = self.view(view)
                one, other = (builder.ptrtoint(each.data, WORD) for each in (moved, found[name]))
                self.steps[name].append(builder.sub(one, other))
        self.known = known
        return found

    @staticmethod
    def padded(array: _Array, rank: int) -> _Array:
        more = rank - len(array.shape)
        return _Array(array.kind, array.data, [WORD(1)] * more + array.shape, [WORD(0)] * more + array.strides, None)

    # -- integers --

    def checked(self, what: str, one: Any, other: Any) -> Any:
        """A sum, difference or product; `fits` then tells whether it was one."""
        if isinstance(one, ir.Constant) and isinstance(other, ir.Constant):
            total = {"sadd": one.constant + other.constant, "ssub": one.constant - other.constant,
                     "smul": one.constant * other.constant}[what]  # fmt: skip
            if abs(total) < 1 << 62:
                return WORD(total)
        nothing = int(what == "smul")
        if isinstance(other, ir.Constant) and other.constant == nothing:
            return one
        if isinstance(one, ir.Constant) and one.constant == nothing and what != "ssub":
            return other
        builder = self.builder
        pair = getattr(builder, f"{what}_with_overflow")(one, other)
        self.fits = builder.and_(self.fits, builder.not_(builder.extract_value(pair, 1)))
        return builder.extract_value(pair, 0)

    def number(self, node: Node) -> Any:
        """The LLVM value of an integer expression of lengths and scalars, in the block that comes first."""
        for each in postorder((node,)):
            if each not in self.known:
                self.known[each] = self.computed(each)
        return self.known[node]

    def computed(self, node: Node) -> Any:
        match node:
            case Constant(value):
                return WORD(value)
            case Extent(operand, axis):
                return self.wholes[operand.name].shape[axis]
            case Operand(name) if not node.type.rank:
                return self.scalars[name]
            case Operand():
                return None
            case Apply(op, (x,)) if op is _NEGATIVE:
                return self.checked("ssub", WORD(0), self.known[x])
            case Apply(op, (x, y)) if op is _DIVIDE:
                # Of a number that is at least 0.
                return self.builder.sdiv(self.known[x], self.known[y])
            case Apply(op, (x, y)):
                name = {_PLUS: "sadd", _MINUS: "ssub", _TIMES: "smul"}[op]
                return self.checked(name, self.known[x], self.known[y])
        raise AssertionError(node)

    # -- views --

    def view(self, node: Node) -> _Array:
        """The part of an array that a view shows; what it takes for granted has been tested."""
        builder = self.builder
        if isinstance(node, Operand):
            whole = self.wholes[node.name]
            kind = whole.kind.copy(layout="A")
            return _Array(kind, whole.data, whole.shape, whole.strides, whole.owner)
        assert isinstance(node, View)
        base = self.view(node.arg)
        data, shape, strides = base.data, [], []
        if node.order is not None:
            shape, strides = [base.shape[k] for k in node.order], [base.strides[k] for k in node.order]
        else:
            axis = 0
            for item in node.subscripts:
                if item is None:
                    shape.append(WORD(1))
                    strides.append(WORD(0))
                    continue
                length, stride = base.shape[axis], base.strides[axis]
                axis += 1
                if isinstance(item, Slice):
                    start, count, step = self.slice(item, length)
                    shape.append(count)
                    strides.append(stride if step == 1 else builder.mul(stride, WORD(step)))
                else:
                    start = self.place(item, length)
                if not (isinstance(start, ir.Constant) and start.constant == 0):
                    data = builder.gep(data, [builder.mul(start, stride)])
            shape += base.shape[axis:]
            strides += base.strides[axis:]
        return _Array(base.kind.copy(ndim=len(shape)), data, shape, strides, base.owner)

    def place(self, item: Any, length: Any) -> Any:
        if isinstance(item, Node):
            return self.number(item)
        return self.checked("sadd", length, WORD(item)) if item < 0 else WORD(item)

    def slice(self, item: Slice, length: Any) -> tuple[Any, Any, int]:
        """Where a slice starts, how many elements it has and its step."""
        builder = self.builder
        step = item.step or 1
        if step < 0:
            assert step == -1 and item.start is None and item.stop is None
            return builder.sub(length, WORD(1)), length, step
        start = WORD(0) if item.start is None else self.place(item.start, length)
        stop = length if item.stop is None else self.place(item.stop, length)
        count = stop if _is(start, 0) else builder.sub(stop, start)
        if step != 1:
            count = builder.sdiv(builder.add(count, WORD(step - 1)), WORD(step))
        if self.guarded and not (item.start is None and item.stop is None):
            # Where a condition leaves none.
            count = builder.select(builder.icmp_signed("<", count, WORD(0)), WORD(0), count)
        return start, count, step

    # -- running --

    def propagate(self, code: Any) -> None:
        """What may raise is in no nest: without a status to pass on, LLVM knows that the function raises nothing."""

    def compute_alone(self) -> Any:
        """Compute the one region there is, if what is assigned is apart from the rest; whether that was done."""
        self.place_arrays()
        (region,) = self.raised.regions
        names, scalars, (unit, any_) = self.parts(region)
        assigned = {s.target.name for s in region if isinstance(s.target, Operand)}
        read = _arrays([s.value for s in region])
        top = max(len(self.arrays[name].shape) for name in names)
        padded = {name: self.padded(self.arrays[name], top) for name in names}
        moves = {name: [not _is(length, 1) for length in padded[name].shape] for name in names}
        whole = padded[names[0]].shape
        moves.update((name, [False] * top) for name in names if name in self.folds)
        head = [
            len(self.lengths), top, len(names), len(scalars), self.stills(region, names), int(self.raised.alone),
            *(self.kind(name, names, assigned, read) for name in names),
            *(sum(1 << k for k, moving in enumerate(moves[name]) if moving) for name in names),
        ]  # fmt: skip
        given = [*self.lengths, *whole]
        for name in names:
            steps = [step for step, moving in zip(padded[name].strides, moves[name], strict=True) if moving]
            given += [self.builder.ptrtoint(padded[name].data, WORD), *self.steps[name], *steps]
        given += [self.builder.ptrtoint(self.slot(self.scalars[n], kind), WORD) for n, kind in scalars.items()]
        code = self.call("arrayexpr_walk_nest_1", STATUS, [
            self.builder.bitcast(unit, BYTES), self.builder.bitcast(any_, BYTES), self.constants(head),
            self.words(given),
        ])  # fmt: skip
        return self.builder.icmp_signed("!=", code, STATUS(0))

    def constants(self, values: Sequence[int]) -> Any:
        """Where numbers are that are known when a function is compiled."""
        kind = ir.ArrayType(WORD, len(values))
        return cgutils.global_constant(self.builder, "arrayexpr_head", ir.Constant(kind, list(values)))

    def compute(self) -> None:
        arrays = dict(self.arrays)
        for region in self.raised.regions:
            target = region[0].target
            assert isinstance(target, Operand)
            if target.name not in arrays:
                read = [n.name for n in postorder((region[0].value,)) if isinstance(n, Operand) and n.type.rank]
                shape, _ = self.broadcast([arrays[name].shape for name in read], region[0])
                arrays[target.name] = self.empty(self.kind_of(target.name), shape)
            self.run(region, arrays[target.name].shape, arrays)
        for name, array in arrays.items():
            if name not in self.arrays:
                self.context.nrt.decref(self.builder, array.kind, array.owner)

    def stills(self, region: Sequence[Assign], names: Sequence[str]) -> int:
        views = {name: view for name, view in self.raised.views.items() if name in names and name not in self.folds}
        assigned = {each.target.name for each in region if isinstance(each.target, Operand)}
        axis = innermost(views, {name: getattr(kind, "layout", "A") for name, kind in self.kinds.items()}, assigned)
        if axis is None:
            return stills(region, names, {name for name, view in views.items() if self.broadcasts(view)})
        among = {name for name, view in views.items() if stands_still(view, axis)} - assigned
        found = stills(region, names, among)
        # Where another array does at run time, the loops as they were written are run.
        only = len(among) == found.bit_count() == 1 and self.in_one_call()
        return found | walk.ALWAYS * only

    def broadcasts(self, view: Node) -> bool:
        """Whether a view stands still along an axis, whatever the strides."""
        if self.raised.ordered:
            return True
        return any(isinstance(node, View) and None in (node.subscripts or ()) for node in postorder((view,)))

    def strided(self, region: Sequence[Assign], names: Sequence[str], scalars: Mapping[str, Any]) -> Any:
        if any(self.steps_on(name) for name in names if name in self.raised.views):
            return super().strided(region, names, scalars)
        # Tiles and strips are copied to where elements lie next to one another.
        return ir.Constant(ir.PointerType(kernel_type(self.context)), None)

    def steps_on(self, name: str) -> bool:
        """Whether an array may have neither axis next to one another: it costs less to step than to copy."""
        if name in self.folds:
            return False
        view = self.raised.views[name]
        base = next(node for node in postorder((view,)) if isinstance(node, Operand) and node.type.rank)
        if self.kinds[base.name].layout == "A":
            return True
        return any(
            isinstance(item, Slice) and item.step not in (None, 1)
            for node in postorder((view,))
            if isinstance(node, View)
            for item in node.subscripts or ()
        )


def _is(value: Any, number: int) -> bool:
    return isinstance(value, ir.Constant) and value.constant == number


class SharedNest(_Nest):
    """A nest that threads run together, as Numba's threading layer has them."""

    small = 1

    def in_one_call(self) -> bool:
        return False

    def alike(self, names: Sequence[str], arrays: Mapping[str, _Array]) -> bool:
        # One row of all elements would be one thread's.
        return False

    def walk(
        self, region: Sequence[Assign], unit: Any, any_: Any, shape: Sequence[Any], names: Sequence[str],
        arrays: Mapping[str, _Array], assigned: set[str], read: Iterable[str], values: Sequence[Any],
    ) -> None:  # fmt: skip
        builder, module = self.builder, self.builder.module
        given = self.walk_arguments(region, unit, any_, shape, names, arrays, assigned, read, values)
        threads = builder.call(cgutils.get_or_insert_function(module, ir.FunctionType(WORD, []), "get_num_threads"), [])
        place = ir.FunctionType(ir.VoidType(), [BYTES] * 5 + [WORD] * 3)
        parallel = builder.bitcast(cgutils.get_or_insert_function(module, place, "numba_parallel_for"), BYTES)
        python = self.context.get_python_api(builder)
        held = python.gil_ensure()
        thread = python.save_thread()
        code = self.call("arrayexpr_walk_shared_1", STATUS, [*given, parallel, threads])
        python.restore_thread(thread)
        python.gil_release(held)
        self.propagate(code)
