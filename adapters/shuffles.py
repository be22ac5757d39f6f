"""What the lanes of a warp join in local memory, by shuffles: values go from lane to lane with no memory between."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arrayexpr._core.affine import coefficients, integer, minus, plus, quotient, times
from arrayexpr._core.nodes import Apply, Barrier, Constant, Guard, Index, Load, Node, Operand, Store, postorder
from arrayexpr._core.types import BOOL

if TYPE_CHECKING:
    from .grids import GridWriter

#: Lanes that step together.
WARP = 32

_HELPER = """\
template <typename T> HELPER_ T arrayexpr_down(T x, int distance) {
    union words { T whole; int each[(sizeof(T) + 3) / 4]; __device__ words() {} } w;
    w.each[0] = 0;
    w.whole = x;
    for (int k = 0; k < (int)((sizeof(T) + 3) / 4); ++k) w.each[k] = __shfl_down_sync(0xffffffffu, w.each[k], distance);
    return w.whole;
}"""


@dataclass(frozen=True, slots=True)
class Step:
    """`if (condition) part[lane] = value`, where the value reads `part[lane]` and `part[lane + distance]`."""

    condition: Node
    stores: tuple[Store, ...]
    others: tuple[Load, ...]
    distance: int


def steps_at(writer: GridWriter, statements: Sequence[Node]) -> list[Step]:
    """The steps that statements begin with, each a guard and a barrier, that the lanes of a warp take alone."""
    found: list[Step] = []
    for guard, barrier in zip(statements[::2], statements[1::2], strict=False):
        step = _step(writer, guard) if isinstance(barrier, Barrier) else None
        if step is None or (found and [s.operand for s in step.stores] != [s.operand for s in found[0].stores]):
            break
        found.append(step)
    return found


def _step(writer: GridWriter, guard: Node) -> Step | None:
    number = writer.lane_number
    if not isinstance(guard, Guard) or guard.otherwise or not number or writer.lanes % WARP:
        return None
    # The lanes along the fastest axis lie side by side in warps.
    fastest = next((index for index, factor in number.items() if factor == 1), None)
    test = guard.condition
    if fastest is None or not isinstance(test, Apply) or test.op.name != "less":
        return None
    low, high = test.args
    if not isinstance(high, Constant) or any(isinstance(n, Index) and n is not fastest for n in postorder((low,))):
        return None
    within = min(WARP, writer.lane_sizes[fastest])
    if low is not fastest and low is not remainder(fastest, WARP):
        return None
    stores: list[Store] = []
    others: list[Load] = []
    for store in guard.then:
        if not isinstance(store, Store) or not isinstance(store.value, Apply) or not writer.is_shared(store.operand):
            return None
        if _place(writer, store.operand, store.subscripts) != (0, number):
            return None
        loads = [n for n in postorder((store.value,)) if isinstance(n, Load)]
        own = [load for load in loads if load.operand is store.operand and load.subscripts == store.subscripts]
        other = [load for load in loads if load not in own]
        if len(own) != 1 or len(other) != 1 or other[0].operand is not store.operand:
            return None
        at = _place(writer, store.operand, other[0].subscripts)
        if at is None or at[1] != number or at[0] != high.value or 2 * at[0] > within:
            return None
        stores.append(store)
        others.append(other[0])
    return Step(test, tuple(stores), tuple(others), high.value) if stores else None


def remainder(x: Node, y: int) -> Node:
    """x % y, as the schedule of a reduction says it."""
    return minus(x, times(quotient(x, y), integer(y)))


def _place(writer: GridWriter, operand: Operand, subscripts: Sequence[Node]) -> tuple[int, dict[Index, int]] | None:
    """The place in a shared array, as a number and the factor of each lane."""
    extents = writer.extents(operand)
    total: Node = integer(0)
    for axis, subscript in enumerate(subscripts):
        total = plus(times(subscript, integer(math.prod(extents[axis + 1 :]))), total)
    return coefficients(total, {})


def write(writer: GridWriter, steps: Sequence[Step]) -> None:
    """Write steps: what each lane has is in a register meanwhile, and at the end where it was."""
    writer.helpers.setdefault(_HELPER.replace("HELPER_", "static __device__ inline"))
    names = []
    writer.line("{")
    writer.depth += 1
    for store in steps[0].stores:
        names.append(writer.local("s"))
        own = Load(store.operand, store.subscripts)
        writer.line(f"{writer.type(store.operand.type.element)} {names[-1]} = {writer.place(own)};")
    for step in steps:
        writer.line("{")
        with writer.inner():
            loaded = writer.loaded()
            for name, store, other in zip(names, step.stores, step.others, strict=True):
                t = store.operand.type.element
                y = writer.local("d")
                writer.line(f"const {writer.type(t)} {y} = arrayexpr_down({name}, {step.distance});")
                for load, text in ((Load(store.operand, store.subscripts), name), (other, y)):
                    loaded[load] = f"({text} != 0)" if t is BOOL else text
            writer.line(f"if ({writer.condition(step.condition)}) {{")
            with writer.inner():
                values = writer.values([store.value for store in step.stores])
                for name, value in zip(names, values, strict=True):
                    writer.line(f"{name} = {value};")
            writer.line("}")
        writer.line("}")
    for name, store in zip(names, steps[0].stores, strict=True):
        writer.line(f"{writer.place(store)} = {name};")
    writer.depth -= 1
    writer.line("}")
    writer.line(writer.dialect.barrier)
