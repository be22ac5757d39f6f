"""Groups to LLVM, inside Numba's own lowering: shapes tested, arrays made, kernels walked over them.

What holds is found out at run time: shapes, whether what is assigned is apart from all else, and how arrays lie, by
which `walk.h` orders, joins and tiles the axes.
"""

from __future__ import annotations

import operator as python
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils
from numba.core import ir as host
from numba.np import arrayobj

from arrayexpr._core.nodes import Assign, Operand, postorder

from . import allocating, walk
from .calls import UNEQUAL, UNEQUAL_OUT
from .fusing import Folded, Plan
from .kernels import BYTES, STATUS, WORD, kernel, kernel_type, stills
from .kinds import host_type, map_type, types
from .operators import meaning_of
from .reader import Group, Taken
from .reductions import fold_of

_FLAG: Final = ir.IntType(1)


def lower(lowerer: Any, expr: Any) -> Any:
    """The LLVM value of a group's expression: None, the one new array, or a tuple of them."""
    return _Lowering(lowerer, expr).value()


class _Array:
    """An array as LLVM values: where its first element is, lengths and steps in bytes."""

    def __init__(self, kind: Any, data: Any, shape: Sequence[Any], strides: Sequence[Any], owner: Any):
        self.kind, self.data, self.shape, self.strides, self.owner = kind, data, list(shape), list(strides), owner


class _Lowering:
    #: Whether what is computed one by one is computed so only where it is not computed together.
    falls_back = False

    def __init__(self, lowerer: Any, expr: Any):
        self.lowerer, self.expr = lowerer, expr
        self.context, self.builder = lowerer.context, lowerer.builder
        self.group: Group = expr.group
        self.plan: Plan = expr.plan
        self.falls_back = bool(self.plan.regions)
        #: What reduces, by the name of its accumulators.
        self.folds: Mapping[str, Folded] = expr.plan.folds
        self.arrays: dict[str, _Array] = {}
        self.scalars: dict[str, Any] = {}
        self.kernels: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        for (name, (_, kind)), var in zip(self.group.variables.items(), expr.operands, strict=True):
            value = lowerer.loadvar(var.name)
            if isinstance(kind, types.Array):
                self.arrays[name] = self.array(kind, value)
            else:
                self.scalars[name] = value

    def array(self, kind: Any, value: Any) -> _Array:
        builder, model = self.builder, self.context.data_model_manager[kind]
        shape = cgutils.unpack_tuple(builder, model.get(builder, value, "shape"), kind.ndim)
        data = builder.bitcast(model.get(builder, value, "data"), BYTES)
        return _Array(kind, data, shape, self.strides(kind, value, shape), value)

    def strides(self, kind: Any, value: Any, shape: Sequence[Any]) -> list[Any]:
        model = self.context.data_model_manager[kind]
        found: list[Any] = cgutils.unpack_tuple(self.builder, model.get(self.builder, value, "strides"), kind.ndim)
        return found

    def empty(self, kind: Any, shape: Sequence[Any]) -> _Array:
        return self.array(kind, allocating.empty(self.context, self.builder, kind, tuple(shape)))

    def kind_of(self, name: str) -> Any:
        """The Numba type of an array that the group makes."""
        if name in self.group.results:
            return self.group.results[name][1]
        for taken in self.group.statements:
            if taken.new is not None and _target(taken.assign) == name:
                return taken.new
        local = next(operand for operand in self.plan.hoisted if operand.name == name)
        return types.Array(host_type(local.type.element), local.type.rank, "C")

    def scalar_kind(self, name: str) -> Any:
        """The Numba type of a scalar."""
        return types.unliteral(self.group.variables[name][1])

    def value(self) -> Any:
        results = list(self.group.results)
        if self.plan.regions:
            slots = {
                name: cgutils.alloca_once(self.builder, self.context.get_value_type(self.kind_of(name)))
                for name in results
            }
            shape, holds = self.together()
            with self.builder.if_else(holds) as (then, otherwise):
                with then:
                    self.fused(shape, slots)
                with otherwise:
                    self.one_by_one(slots)
            values = [self.builder.load(slots[name]) for name in results]
        else:
            made = self.one_by_one(None)
            values = [made[name] for name in results]
        if not results:
            return self.context.get_dummy_value()
        if len(results) == 1:
            return values[0]
        return self.context.make_tuple(self.builder, self.expr.ty, values)

    # -- together --

    def together(self) -> tuple[list[Any], Any]:
        """The shape of all statements, and whether there is one and what is assigned is apart from all else."""
        builder = self.builder
        holds: Any = _FLAG(1)
        shapes: dict[str, list[Any]] = {name: array.shape for name, array in self.arrays.items()}
        common: list[Any] | None = None
        for statement in self.plan.single:
            name = _target(statement)
            shape, fits = self.broadcast([shapes[each] for each in _arrays([statement.value])], statement)
            holds = builder.and_(holds, fits)
            others = [shapes[name]] if name in shapes else []
            if common is not None:
                others.append(common)
            for other in others:
                for one, two in zip(shape, other, strict=True):
                    holds = builder.and_(holds, builder.icmp_signed("==", one, two))
            shapes.setdefault(name, shape)
            common = shape if common is None else common
        assert common is not None
        assigned = {_target(statement) for statement in self.plan.single} & self.arrays.keys()
        if assigned:
            names = list(self.arrays)
            table = self.table(common, names, self.arrays, assigned, names)
            apart = self.call("arrayexpr_apart_1", STATUS, [*table, WORD(0)])
            holds = builder.and_(holds, builder.icmp_signed("!=", apart, STATUS(0)))
        return common, holds

    def broadcast(self, shapes: Sequence[Sequence[Any]], statement: Assign) -> tuple[list[Any], Any]:
        """The shape that shapes broadcast to, and whether they do."""
        builder = self.builder
        rank = statement.target.type.rank
        result: list[Any] = [WORD(1)] * rank
        holds: Any = _FLAG(1)
        for shape in shapes:
            for k, length in enumerate(shape, rank - len(shape)):
                result[k], fits = self.joined(result[k], length)
                holds = builder.and_(holds, fits)
        return result, holds

    def joined(self, one: Any, two: Any) -> tuple[Any, Any]:
        """What two lengths broadcast to, and whether they do."""
        builder = self.builder
        if one is two:
            return one, _FLAG(1)
        if isinstance(one, ir.Constant):
            return two, _FLAG(1)
        first = builder.icmp_signed("==", one, WORD(1))
        fits = builder.or_(first, builder.icmp_signed("==", two, WORD(1)))
        fits = builder.or_(fits, builder.icmp_signed("==", one, two))
        return builder.select(first, two, one), fits

    def fused(self, shape: Sequence[Any], slots: Mapping[str, Any]) -> None:
        arrays = dict(self.arrays)
        for name in self.plan.stored:
            if name in self.folds:
                arrays[name] = self.accumulators(self.folds[name], shape)
            elif name not in arrays:
                arrays[name] = self.empty(self.kind_of(name), shape)
        for region in self.plan.regions:
            self.run(region, shape, arrays)
        made = {name: arrays[name].owner for name in slots if name in arrays}
        for statement in self.plan.single:
            name = _target(statement)
            if name in self.folds:
                fold = self.folds[name]
                made[fold.target.name] = self.finished(fold, arrays[name], shape, self.host_of(statement))
        for name, slot in slots.items():
            self.builder.store(made[name], slot)
        self.dropped(arrays, made, slots)

    def dropped(self, arrays: Mapping[str, _Array], made: Mapping[str, Any], kept: Iterable[str]) -> None:
        """Free the arrays that were made and are no results."""
        owned = {name: (array.kind, array.owner) for name, array in arrays.items() if name not in self.folds}
        for fold in self.folds.values():
            if fold.target.type.rank and fold.target.name in made:
                owned[fold.target.name] = self.kind_of(fold.target.name), made[fold.target.name]
        for name, (kind, owner) in owned.items():
            if name not in self.arrays and name not in kept:
                self.context.nrt.decref(self.builder, kind, owner)

    # -- one by one --

    def one_by_one(self, slots: Mapping[str, Any] | None) -> dict[str, Any]:
        """Compute one statement after the other; the values of what was made, by name."""
        arrays = dict(self.arrays)
        made: dict[str, Any] = {}
        for statement in self.plan.single:
            name = _target(statement)
            read = _arrays([statement.value])
            taken = self.host_of(statement)
            if name in arrays:
                self.into(statement, taken, read, arrays)
                continue
            shape = self.shape_of(statement, taken, read, arrays)
            if name in self.folds:
                fold = self.folds[name]
                arrays[name] = self.accumulators(fold, shape)
                self.run([statement], shape, arrays)
                made[fold.target.name] = self.finished(fold, arrays[name], shape, taken)
            else:
                arrays[name] = self.empty(self.kind_of(name), shape)
                self.run([statement], shape, arrays)
                made[name] = arrays[name].owner
        kept = self.group.results if slots is None else slots
        self.dropped(arrays, made, kept)
        if slots is not None:
            for name, slot in slots.items():
                self.builder.store(made[name], slot)
        return made

    # -- reductions --

    def accumulators(self, fold: Folded, shape: Sequence[Any]) -> _Array:
        """What elements over a shape are reduced into, seen as if it had that shape."""
        axes = fold.reduce.axes
        meaning = fold_of(fold.reduce)
        if len(axes) == len(shape):
            if meaning.counts:
                # The extreme so far, its place, and how many elements there were.
                place = self.builder.bitcast(self.words([WORD(0)] * 3), BYTES)
            else:
                start = self.context.get_constant_generic(self.builder, meaning.element, meaning.start.item())
                place = self.slot(start, meaning.element)
            kind = types.Array(meaning.element, len(shape), "A")
            return _Array(kind, place, shape, [WORD(0)] * len(shape), place)
        kind = self.kind_of(fold.target.name)
        made = self.empty(kind, [length for k, length in enumerate(shape) if k not in axes])
        count: Any = WORD(self.itemsize(made))
        for length in made.shape:
            count = self.builder.mul(count, length)
        # Sums alone are over some of the axes: they start as zeros of any type.
        cgutils.memset(self.builder, made.data, count, 0)
        strides = iter(made.strides)
        return _Array(kind, made.data, shape, [WORD(0) if k in axes else next(strides) for k in range(len(shape))],
                      made.owner)  # fmt: skip

    def finished(self, fold: Folded, array: _Array, shape: Sequence[Any], taken: Taken) -> Any:
        """The result of a reduction as Numba has it."""
        if fold.target.type.rank:
            return array.owner
        context, builder = self.context, self.builder
        meaning = fold_of(fold.reduce)
        kind = meaning.element
        size: Any = WORD(1)
        for length in shape:
            size = builder.mul(size, length)
        some = builder.icmp_signed("!=", size, WORD(0))
        if meaning.refused is not None:
            self.require(some, meaning.refused, taken)
        if meaning.counts:
            places = builder.bitcast(array.data, ir.PointerType(WORD))
            return builder.load(builder.gep(places, [WORD(1)]))
        model = context.data_model_manager[kind]
        place = builder.bitcast(array.data, model.get_data_type().as_pointer())
        value = model.load_from_data_pointer(builder, place)
        if meaning.operation == "mean":
            value = self.mean(value, kind, size, some)
        if meaning.operation in ("var", "std"):
            # Of no elements Numba divides by 0, which raises or gives NaN, by the error model.
            value = self.operator(python.truediv, (kind, types.intp), (value, size))
        if meaning.operation == "std":
            half = context.get_constant_generic(builder, kind, 0.5)
            value = self.operator(python.pow, (kind, kind), (value, half))
        if fold.finish is not None:
            value = meaning_of(fold.finish).emit(context, builder, [value])
        return value

    def mean(self, total: Any, kind: Any, size: Any, some: Any) -> Any:
        """A sum by how many there are, or NaN for none."""
        context, builder = self.context, self.builder
        # Of no elements the quotient is not used, and its divisor is not 0, which might raise.
        divisor = builder.select(some, size, WORD(1))
        made = self.operator(python.truediv, (kind, types.intp), (total, divisor))
        none = complex("nan+nanj") if isinstance(kind, types.Complex) else float("nan")
        return builder.select(some, made, context.get_constant_generic(builder, kind, none))

    def operator(self, function: Any, kinds: Sequence[Any], values: Sequence[Any]) -> Any:
        """What Numba's operator gives of two scalars, as the type of the first."""
        context, builder = self.context, self.builder
        of = context.typing_context.resolve_value_type(function)
        sig = of.get_call_type(context.typing_context, tuple(kinds), {})
        given = [
            context.cast(builder, value, kind, to) for value, kind, to in zip(values, kinds, sig.args, strict=True)
        ]
        made = context.get_function(of, sig)(builder, given)
        return context.cast(builder, made, sig.return_type, kinds[0])

    def fold_kind(self, fold: Folded) -> int:
        """How walk.h is told of a reduction: the number of its fold, and in which order."""
        meaning = fold_of(fold.reduce)
        if meaning.loose and self.lowerer.flags.fastmath:
            return walk.FOLDED | walk.FOLDS.index(f"loose_{meaning.code}") << walk.FOLD_AT
        order = meaning.ordered * (walk.ORDERED | walk.FORTRAN * (meaning.order == "F"))
        return walk.FOLDED | order | walk.FOLDS.index(meaning.code) << walk.FOLD_AT

    def host_of(self, statement: Assign) -> Taken:
        """The host's statement that one of ours is, or is a part of: parts come before what they are parts of."""
        hoisted = {operand.name for operand in self.plan.hoisted}
        before = self.plan.single[: self.plan.single.index(statement)]
        return self.group.statements[sum(_target(each) not in hoisted for each in before)]

    def shape_of(self, statement: Assign, taken: Taken, read: Sequence[str], arrays: Mapping[str, _Array]) -> list[Any]:
        """The shape of a new array; code that raises ValueError where there is none."""
        rank = statement.target.type.rank
        result: list[Any] = [WORD(1)] * rank
        # Numba numbers arguments by their names; a part that was hoisted has its number.
        numbered = sorted(read, key=lambda name: taken.order.index(name) if name in taken.order else len(taken.order))
        for name in numbered:
            holds: Any = _FLAG(1)
            shape = arrays[name].shape
            for k, length in enumerate(shape, rank - len(shape)):
                result[k], fits = self.joined(result[k], length)
                holds = self.builder.and_(holds, fits)
            number = taken.order.index(name) if name in taken.order else len(taken.order)
            self.require(holds, taken.message or f"unable to broadcast argument {number} to output array", taken)
        return result

    def into(self, statement: Assign, taken: Taken, read: Sequence[str], arrays: Mapping[str, _Array]) -> None:
        """An assignment to an array that there is: through a copy where it shares memory with what is read."""
        builder = self.builder
        name = _target(statement)
        target = arrays[name]
        holds: Any = _FLAG(1)
        if taken.exact:
            _, holds = self.broadcast([arrays[each].shape for each in read], statement)
            self.require(holds, UNEQUAL, taken)
        for each in read:
            shape = arrays[each].shape
            for k, length in enumerate(shape, len(target.shape) - len(shape)):
                if length is target.shape[k]:
                    continue
                fits = builder.icmp_signed("==", length, target.shape[k])
                if not taken.exact:
                    fits = builder.or_(fits, builder.icmp_signed("==", length, WORD(1)))
                holds = builder.and_(holds, fits)
        slices = isinstance(taken.host, (host.SetItem, host.StaticSetItem)) and len(read) == 1
        if slices and not getattr(builder, "_in_try_block", False):
            self.require_slice(holds, arrays[read[0]].shape, target.shape)
        else:
            message = f"cannot assign to {taken.label!r}: the shapes of what is assigned and of it differ"
            self.require(holds, UNEQUAL_OUT if taken.exact else message, taken)
        others = [each for each in read if each != name]
        if not any(each in self.arrays for each in others) or name not in self.arrays:
            self.run([statement], target.shape, arrays)
            return
        names = [name, *others]
        table = self.table(target.shape, names, arrays, {name}, names)
        apart = builder.icmp_signed("!=", self.call("arrayexpr_apart_1", STATUS, [*table, WORD(1)]), STATUS(0))
        with builder.if_else(apart) as (then, otherwise):
            with then:
                self.run([statement], target.shape, arrays)
            with otherwise:
                copy = self.empty(target.kind.copy(layout="C", readonly=False), target.shape)
                if name in read:
                    self.move(target.shape, copy, target)
                self.run([statement], target.shape, {**arrays, name: copy}, plain=False)
                self.move(target.shape, target, copy)
                self.context.nrt.decref(builder, copy.kind, copy.owner)

    def move(self, shape: Sequence[Any], to: _Array, source: _Array) -> None:
        lengths = self.words(shape)
        self.call("arrayexpr_move_1", STATUS, [
            WORD(len(shape)), lengths, to.data, self.words(to.strides), source.data, self.words(source.strides),
            WORD(self.itemsize(to)),
        ])  # fmt: skip

    def require(self, holds: Any, message: str, taken: Taken) -> None:
        if isinstance(holds, ir.Constant):
            return
        with cgutils.if_unlikely(self.builder, self.builder.not_(holds)):
            where = f'\nFile "{taken.loc.filename}", line {taken.loc.line}, '
            self.context.call_conv.return_user_exc(self.builder, ValueError, (message + where,))

    def require_slice(self, holds: Any, given: Sequence[Any], wanted: Sequence[Any]) -> None:
        """Raise as Numba does where what is assigned to a slice does not fit: its message has both shapes."""
        if isinstance(holds, ir.Constant):
            return
        context, builder = self.context, self.builder
        with cgutils.if_unlikely(builder, builder.not_(holds)):
            function = context.typing_context.resolve_value_type(arrayobj.raise_with_shape_context)
            kinds = tuple(types.UniTuple(types.int64, len(shape)) for shape in (given, wanted))
            sig = function.get_call_type(context.typing_context, kinds, {})
            made = [
                context.make_tuple(builder, kind, shape) for kind, shape in zip(sig.args, (given, wanted), strict=True)
            ]
            context.get_function(function, sig)(builder, made)
            builder.unreachable()

    # -- running --

    def run(
        self, region: Sequence[Assign], shape: Sequence[Any], arrays: Mapping[str, _Array], plain: bool = True
    ) -> None:
        """Compute a region over a shape: in one go where all arrays lie alike, else as the walk finds best."""
        builder = self.builder
        # What is reduced goes to no place of its own.
        alone = self.falls_back and len(region) == 1 and _target(region[0]) not in self.folds
        copied = region[0].value if alone else None
        if isinstance(copied, Operand) and copied.type.rank:
            # What is copied one by one is what was fused otherwise: no kernel is worth its compile time.
            self.move(shape, arrays[_target(region[0])], self.over(arrays[copied.name], shape))
            return
        assigned = list(dict.fromkeys(_target(statement) for statement in region))
        read = _arrays([statement.value for statement in region])
        names, scalars, (unit, any_) = self.parts(region)
        values = [self.slot(self.scalars[name], kind) for name, kind in scalars.items()]
        alike = plain and self.alike(names, arrays)
        if not alike or any(len(arrays[name].shape) != len(shape) for name in names):
            self.walk(region, unit, any_, shape, names, arrays, set(assigned), read, values)
            return
        same: Any = _FLAG(1)
        for name in names:
            for one, two in zip(arrays[name].shape, shape, strict=True):
                if one is not two:
                    same = builder.and_(same, builder.icmp_signed("==", one, two))
        if isinstance(same, ir.Constant):
            self.straight(region, unit, any_, shape, names, arrays, values)
            return
        with builder.if_else(same, likely=True) as (then, otherwise):
            with then:
                self.straight(region, unit, any_, shape, names, arrays, values)
            with otherwise:
                self.walk(region, unit, any_, shape, names, arrays, set(assigned), read, values)

    def alike(self, names: Sequence[str], arrays: Mapping[str, _Array]) -> bool:
        """Whether all arrays are typed to lie in one order, in which reductions go through them too."""
        orders = {arrays[name].kind.layout for name in names if name not in self.folds}
        folds = [self.folds[name].reduce for name in names if name in self.folds]
        if len(orders) != 1 or not orders <= {"C", "F"}:
            return False
        every = all(len(reduce.axes) == reduce.arg.type.rank for reduce in folds)
        return every and all(fold_of(reduce).order in orders or reduce.arg.type.rank == 1 for reduce in folds)

    def parts(self, region: Sequence[Assign]) -> tuple[list[str], dict[str, Any], tuple[Any, Any]]:
        """A region's arrays, those that are assigned first, its scalars with their Numba types, and its kernels."""
        assigned = dict.fromkeys(_target(statement) for statement in region)
        values = [statement.value for statement in region]
        names = list(dict.fromkeys([*assigned, *_arrays(values)]))
        scalars = {name: self.scalar_kind(name) for name in _scalars(values)}
        return names, scalars, self.kernel(region, names, scalars)

    def kernel(self, region: Sequence[Assign], names: Sequence[str], scalars: Mapping[str, Any]) -> tuple[Any, Any]:
        # A kernel is of what is computed, wherever that goes: to a new array, or to one that there is.
        values = [statement.value for statement in region]
        read = (*map(_target, region), *_arrays(values))
        key = (*values, *(names.index(name) for name in read))
        if key not in self.kernels:
            module = self.builder.module
            unit = kernel(self.context, module, region, names, scalars, True, self.stills(region, names))
            self.kernels[key] = unit, self.strided(region, names, scalars)
        return self.kernels[key]

    def stills(self, region: Sequence[Assign], names: Sequence[str]) -> int:
        return stills(region, names)

    def strided(self, region: Sequence[Assign], names: Sequence[str], scalars: Mapping[str, Any]) -> Any:
        """The kernel that takes any steps."""
        return kernel(self.context, self.builder.module, region, names, scalars, False)

    def straight(
        self, region: Sequence[Assign], unit: Any, any_: Any, shape: Sequence[Any], names: Sequence[str],
        arrays: Mapping[str, _Array], values: Sequence[Any],
    ) -> None:  # fmt: skip
        """One row of all elements."""
        builder = self.builder
        count: Any = WORD(1)
        for length in shape:
            count = builder.mul(count, length)
        if any(name in self.folds for name in names):
            flat = {}
            for name in names:
                array = arrays[name]
                step = 0 if name in self.folds else self.itemsize(array)
                flat[name] = _Array(array.kind, array.data, [count], [WORD(step)], array.owner)
            assigned = {_target(statement) for statement in region}
            self.walk(region, unit, any_, [count], names, flat, assigned, set(names) - assigned, values)
            return
        at = self.pointers([*(arrays[name].data for name in names), *values])
        steps = self.words([WORD(1)] * len(names))
        kind = kernel_type(self.context)
        with builder.if_then(builder.icmp_signed(">", count, WORD(0)), likely=True):
            code = builder.call(
                unit, [ir.Constant(kind.args[0], None), builder.function.args[1], WORD(1), count, at, steps, steps]
            )
            self.propagate(code)

    def walk(
        self, region: Sequence[Assign], unit: Any, any_: Any, shape: Sequence[Any], names: Sequence[str],
        arrays: Mapping[str, _Array], assigned: set[str], read: Iterable[str], values: Sequence[Any],
    ) -> None:  # fmt: skip
        given = self.walk_arguments(region, unit, any_, shape, names, arrays, assigned, read, values)
        self.propagate(self.call("arrayexpr_walk_2", STATUS, given))

    def walk_arguments(
        self, region: Sequence[Assign], unit: Any, any_: Any, shape: Sequence[Any], names: Sequence[str],
        arrays: Mapping[str, _Array], assigned: set[str], read: Iterable[str], values: Sequence[Any],
    ) -> list[Any]:  # fmt: skip
        """What `ae_walk` takes."""
        builder = self.builder
        rank, lengths, count, at, strides, kinds = self.table(shape, names, arrays, assigned, read, values)
        places = [builder.bitcast(unit, BYTES), builder.bitcast(any_, BYTES)]
        exception = builder.bitcast(builder.function.args[1], BYTES)
        return [
            *places, exception, rank, lengths, count, at, strides, kinds, WORD(len(values)),
            WORD(self.stills(region, names)),
        ]  # fmt: skip

    def propagate(self, code: Any) -> None:
        """Raise what a kernel raised."""
        builder, convention = self.builder, self.context.call_conv
        status = convention._get_return_status(builder, code, builder.load(builder.function.args[1]))
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)

    def table(
        self, shape: Sequence[Any], names: Sequence[str], arrays: Mapping[str, _Array], assigned: Iterable[str],
        read: Iterable[str], values: Sequence[Any] = (),
    ) -> tuple[Any, ...]:  # fmt: skip
        """What walk.h takes of arrays over a shape: rank, lengths, count, places, strides and kinds."""
        strides: list[Any] = []
        kinds = []
        for name in names:
            array = arrays[name]
            strides += self.over(array, shape).strides
            how = walk.WRITTEN * (name in assigned) | walk.READ * (name in set(read))
            if name in self.folds:
                how |= self.fold_kind(self.folds[name])
            kinds.append(WORD(self.itemsize(array) | how))
        at = self.pointers([*(arrays[name].data for name in names), *values])
        return WORD(len(shape)), self.words(shape), WORD(len(names)), at, self.words(strides), self.words(kinds)

    def over(self, array: _Array, shape: Sequence[Any]) -> _Array:
        """An array as it broadcasts over a shape."""
        builder = self.builder
        more = len(shape) - len(array.shape)
        strides: list[Any] = [WORD(0)] * more
        for wanted, length, stride in zip(shape[more:], array.shape, array.strides, strict=True):
            if length is not wanted:
                stride = builder.select(builder.icmp_signed("==", length, WORD(1)), WORD(0), stride)
            strides.append(stride)
        return _Array(array.kind, array.data, shape, strides, array.owner)

    def itemsize(self, array: _Array) -> int:
        element = map_type(array.kind.dtype)
        assert element is not None
        return int(element.dtype.itemsize)

    def slot(self, value: Any, kind: Any) -> Any:
        """A scalar in memory."""
        data = self.context.data_model_manager[kind].as_data(self.builder, value)
        place = self.room(data.type, 1)
        self.builder.store(data, place)
        return self.builder.bitcast(place, BYTES)

    def words(self, values: Sequence[Any]) -> Any:
        return self.filled(WORD, values)

    def pointers(self, values: Sequence[Any]) -> Any:
        return self.filled(BYTES, values)

    def filled(self, kind: Any, values: Sequence[Any]) -> Any:
        place = self.room(kind, max(1, len(values)))
        for k, value in enumerate(values):
            self.builder.store(value, self.builder.gep(place, [WORD(k)]))
        return place

    def room(self, kind: Any, count: int) -> Any:
        """Memory of this call, not cleared: `alloca_once` would store zeros at each entry."""
        with self.builder.goto_entry_block():
            return self.builder.alloca(kind, size=count)

    def call(self, name: str, result: Any, args: Sequence[Any]) -> Any:
        """Call a function of walk.h, by name, so that compiled code is good in another process."""
        wanted = [BYTES if isinstance(arg.type, ir.PointerType) else arg.type for arg in args]
        function = cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, wanted), name)
        given = [self.builder.bitcast(arg, BYTES) if isinstance(arg.type, ir.PointerType) else arg for arg in args]
        return self.builder.call(function, given)


def _target(statement: Assign) -> str:
    assert isinstance(statement.target, Operand)
    return statement.target.name


def _arrays(values: Iterable[Any]) -> list[str]:
    return [node.name for node in postorder(list(values)) if isinstance(node, Operand) and node.type.rank]


def _scalars(values: Iterable[Any]) -> list[str]:
    return [node.name for node in postorder(list(values)) if isinstance(node, Operand) and not node.type.rank]
