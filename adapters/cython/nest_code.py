"""The C function of a nest: tests whether its kernels may run, and runs them, a part of the outermost loop at a time.

    static int arrayexpr_NAME(char **data, const ptrdiff_t *geometry)

`data` holds the first element of each memoryview, then the address of each number. `geometry` is the nest's integers,
then the lengths and steps in bytes of each memoryview, and last the number of threads. Returns 1 where the kernels have
run, 0 where the loops have to run as they were written, and -1 with a Python exception set; it needs no GIL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from arrayexpr._core.affine import Linear, linear
from arrayexpr._core.nodes import Index, Load, Node, Operand, Store, postorder, substitute
from arrayexpr._core.types import BROADCAST, STRIDED

from . import nest_kernels
from .geometry import form_text, text_of
from .kernels import Kernel
from .loops import Range, Source
from .plan import Around, Box, Leaf, Plan

#: Bytes that the arrays of numbers of each iteration may take at a time: they stay in the second level of the cache.
_HELD = 128 * 1024
#: Elements of a kernel below which a loop around it is as fast without: a call takes 15 to 25 ns.
_ROW = 64


class NestFunction:
    """The text of a nest's function; `kernels` are those that it calls, to stand before it."""

    def __init__(self, source: Source, plan: Plan, raising: Plan | None, parallel: bool, fast: bool):
        self.source = source
        self.plan = plan
        self.parallel = parallel
        self.fast = fast
        self.kernels: dict[str, Kernel] = {}
        self.memories = list(source.memories)
        self.integers = list(source.integers)
        self.numbers = list(source.numbers)
        if raising is not None:
            # The number that it sets stands last.
            assert source.found is not None
            self.numbers.append(source.found)
        self.names: dict[Any, str] = {operand: f"n[{k}]" for k, operand in enumerate(self.integers)}
        self.local_of: dict[Operand, tuple[Range, ...]] = {}
        self.raising = raising
        strip = self._strip(plan, "NAME_strip")
        tests = self._fits(plan)
        extra = ""
        if raising is not None:
            extra = self._strip(raising, "NAME_raises")
            tests += self._fits(raising)
        head = (
            f"static ARRAYEXPR_UNUSED int NAME_fits(const arrayexpr_array *m, const ptrdiff_t *n) {{\n{_joined(tests)}"
        )
        text = "\n".join([head + "    return 1;\n}", strip, *([extra] if extra else []), self._entry()])
        name = "arrayexpr_" + hashlib.sha256(text.encode()).hexdigest()[:12]
        self.kernel = Kernel(name, (), text.replace("NAME", name))

    # -- bounds --

    def _ends(self, own: Range) -> tuple[str, str]:
        return text_of(own.start, self.names), text_of(own.stop, self.names)

    def _count(self, own: Range) -> str:
        start, stop = self._ends(own)
        return f"arrayexpr_count({start}, {stop}, {own.step})"

    def _fits(self, plan: Plan) -> list[str]:
        """What lets the loops run as they were written: subscripts outside of an axis, and memory that is shared."""
        lines: list[str] = []
        boxes: dict[Box, list[Load | Store]] = {}
        for box, access in plan.touched:
            boxes.setdefault(box, []).append(access)
        for box, accesses in boxes.items():
            lines.append("    {")
            inside = self._hull(box, lines)
            tests: dict[str, None] = {}
            for access in accesses:
                memory = self.memories.index(access.operand)
                for axis, subscript in enumerate(access.subscripts):
                    form = linear(subscript)
                    assert form is not None
                    tests[f"{self._end(form, box, low=True)} >= 0"] = None
                    tests[f"{self._end(form, box, low=False)} < m[{memory}].shape[{axis}]"] = None
            lines.append(f"        if ({' && '.join(inside) or 1} && !({_wrapped(list(tests), 12)})) return 0;")
            lines.append("    }")
        for operand in plan.written:
            k, size = self.memories.index(operand), operand.type.element.itemsize
            if operand.type.rank > 0:
                lines.append(
                    f"    if (!arrayexpr_single({operand.type.rank}, m[{k}].shape, m[{k}].strides, {size})) return 0;"
                )
        for one, other, same in plan.pairs:
            a, b = self.memories.index(one), self.memories.index(other)
            sizes = one.type.element.itemsize, other.type.element.itemsize
            ranks = one.type.rank, other.type.rank
            apart = f"arrayexpr_disjoint(&m[{a}], {ranks[0]}, {sizes[0]}, &m[{b}], {ranks[1]}, {sizes[1]})"
            if same and ranks[0] == ranks[1] and sizes[0] == sizes[1]:
                apart = f"arrayexpr_same(&m[{a}], &m[{b}], {ranks[0]}) || {apart}"
            lines.append(f"    if (!({apart})) return 0;")
        for leaf in _leaves(plan.steps):
            counts = [self._count(each) for each in leaf.box.loops if not _moves(each)]
            if leaf.outer and counts and len(counts) == len(leaf.box.loops):
                lines.append(f"    if ({' * '.join(counts)} < {_ROW}) return 0;")
        return lines

    def _hull(self, box: Box, lines: list[str]) -> list[str]:
        """Declare the least and the greatest value of each loop's variable; gives tests that there is any."""
        inside = []
        for each in box.loops:
            name = each.index.name
            start, stop = linear(each.start), linear(each.stop)
            assert start is not None and stop is not None
            low, high = f"low_{name}", f"high_{name}"
            if each.step > 0:
                first, last = self._end(start, box, low=True), f"{self._end(stop, box, low=False)} - 1"
            else:
                first, last = f"{self._end(stop, box, low=True)} + 1", self._end(start, box, low=False)
            lines.append(f"        ptrdiff_t {low} = {first}, {high} = {last};")
            if each.step > 1 and not _moves(each):
                lines.append(
                    f"        if ({high} > {low}) {high} = {low} + ({high} - {low}) / {each.step} * {each.step};"
                )
            elif each.step < -1 and not _moves(each):
                lines.append(
                    f"        if ({high} > {low}) {low} = {high} - ({high} - {low}) / {-each.step} * {-each.step};"
                )
            inside.append(f"{low} <= {high}")
        for form in box.forms:
            moving = [each for each in box.loops if form.get(each.index)]
            if not moving:
                inside.append(f"{form_text(form, self.names)} >= 0")
            elif len(moving) == 1 and abs(form[moving[0].index]) == 1:
                name = moving[0].index.name
                rest = {s: c for s, c in form.items() if s is not moving[0].index}
                if form[moving[0].index] > 0:
                    bound = form_text({None: 0, **{s: -c for s, c in rest.items()}}, self.names)
                    lines.append(f"        if (low_{name} < {bound}) low_{name} = {bound};")
                else:
                    bound = form_text(rest, self.names)
                    lines.append(f"        if (high_{name} > {bound}) high_{name} = {bound};")
        return inside

    def _end(self, form: Linear, box: Box, *, low: bool) -> str:
        """The least or greatest value of a form over a box."""
        names: dict[Any, str] = dict(self.names)
        for symbol, count in form.items():
            if isinstance(symbol, Index):
                names[symbol] = f"{'low' if (count > 0) == low else 'high'}_{symbol.name}"
        return form_text(form, names)

    # -- running --

    def _strip(self, plan: Plan, name: str) -> str:
        """The function that runs a part of the outermost loop."""
        counters = {operand: (own,) for operand, own in self.source.counters.items() if _uses(plan, operand)}
        self.local_of = {**plan.locals, **counters}
        held = {each.index: each for along in self.local_of.values() for each in along}
        lines = [
            f"static int {name}(const arrayexpr_array *m, const ptrdiff_t *n, char *const *s, ptrdiff_t from,",
            "                   ptrdiff_t count) {",
            "    int status = ARRAYEXPR_ERROR;",
        ]
        outermost = self.source.ranges[0]
        for each in held.values():
            k = each.index.name
            if each is outermost:
                lines.append(f"    const ptrdiff_t f_{k} = from, c_{k} = count;")
            else:
                lines.append(f"    const ptrdiff_t f_{k} = {self._ends(each)[0]}, c_{k} = {self._count(each)};")
        for operand, along in self.local_of.items():
            total = " * ".join(f"(c_{each.index.name} > 0 ? c_{each.index.name} : 1)" for each in along)
            size = operand.type.element.itemsize
            lines.append(f"    char *const {operand.name} = (char *)malloc((size_t)({total}) * {size});")
            lines += self._local_steps(operand, along, plan)
        if self.local_of:
            lines.append(f"    if ({' || '.join(f'{o.name} == NULL' for o in self.local_of)}) {{")
            lines += ["        arrayexpr_raise_memory();", "        goto end;", "    }"]
        for operand, (own,) in counters.items():
            k, ctype = own.index.name, _c_type(operand)
            lines.append(f"    for (ptrdiff_t k = 0; k < c_{k}; ++k)")
            lines.append(f"        (({ctype} *){operand.name})[k] = ({ctype})(f_{k} + k * {own.step});")
        self._steps(plan.steps, lines, "    ")
        lines += ["    status = 0;", "    goto end;", "end:"]
        lines += [f"    free({operand.name});" for operand in self.local_of]
        lines += ["    (void)m;", "    (void)n;", "    (void)s;", "    return status;", "}"]
        return "\n".join(lines)

    def _steps(self, steps: Sequence[Leaf | Around], lines: list[str], margin: str) -> None:
        for step in steps:
            if isinstance(step, Leaf):
                self._leaf(step, lines, margin)
                continue
            own, name = step.loop, step.loop.index.name
            first, count = self._first_and_count(own)
            lines.append(
                f"{margin}for (ptrdiff_t k_{name} = 0, e_{name} = {count}; k_{name} < e_{name}; ++k_{name}) {{"
            )
            lines.append(f"{margin}    const ptrdiff_t {name} = {first} + k_{name} * {own.step};")
            lines.append(f"{margin}    (void){name};")
            self.names[own.index] = name
            self._steps(step.steps, lines, margin + "    ")
            del self.names[own.index]
            lines.append(f"{margin}}}")

    def _first_and_count(self, own: Range) -> tuple[str, str]:
        if own is self.source.ranges[0]:
            return "from", "count"
        return self._ends(own)[0], self._count(own)

    def _leaf(self, leaf: Leaf, lines: list[str], margin: str) -> None:
        lines.append(f"{margin}{{")
        inner = margin + "    "
        dims = leaf.box.loops
        tests = []
        forms = leaf.box.forms
        for each in dims:
            name = each.index.name
            first, count = self._first_and_count(each)
            lines.append(f"{inner}ptrdiff_t first_{name} = {first}, count_{name} = {count};")
        for form in forms:
            moving = [each for each in dims if form.get(each.index)]
            if not moving:
                tests.append(f"{form_text(form, self.names)} >= 0")
                continue
            own = moving[0]
            rest = {symbol: count for symbol, count in form.items() if symbol is not own.index}
            above = form[own.index] > 0
            bound = form_text({None: 0, **{s: -c for s, c in rest.items()}} if above else rest, self.names)
            side = "above" if above else "below"
            lines.append(
                f"{inner}arrayexpr_{side}(&first_{own.index.name}, &count_{own.index.name}, {own.step}, {bound});"
            )
        tests += [f"count_{each.index.name} > 0" for each in dims]
        lines.append(f"{inner}if ({' && '.join(tests) or 1}) {{")
        self._call(leaf, lines, inner + "    ")
        lines += [f"{inner}}}", f"{margin}}}"]

    def _call(self, leaf: Leaf, lines: list[str], margin: str) -> None:
        dims = list(leaf.box.loops)
        if leaf.kind == "sum":
            target = leaf.stores[0]
            kept = [each for each in dims if any(_coefficient(s, each) for s in target.subscripts)]
            dims = kept + [each for each in dims if each not in kept]
        rank = max(len(dims), 1)
        places: dict[tuple[Operand, tuple[Node, ...]], Operand] = {}

        def place(access: Load | Store, layout: tuple[str, ...] | None = None) -> Operand:
            key = access.operand, access.subscripts
            if key not in places:
                element = access.operand.type.element
                places[key] = Operand(f"e{len(places)}", element.array(rank, layout))
            return places[key]

        def is_number(access: Load) -> bool:
            return not access.operand.type.rank

        def read(value: Node, broadcast: Range | None = None) -> Node:
            def leaf_of(node: Node) -> Node | None:
                if not isinstance(node, Load):
                    return None
                if is_number(node):
                    return node.operand
                still = broadcast is not None and not self._moves_with(node, broadcast)
                return place(node, (BROADCAST, *(STRIDED,) * (rank - 1)) if still else None)

            return substitute((value,), leaf_of)[0]

        if leaf.kind == "each":
            stores: list[tuple[Operand, Node]] = []
            for each in leaf.stores:
                own = place(each)
                stores.append((own, substitute((read(each.value),), dict(stores).get)[0]))
            targets = [target for target, _ in stores]
            values = [value for _, value in stores]
            copied = {place(load) for load in leaf.copied}
        else:
            store = leaf.stores[0]
            assert leaf.part is not None and leaf.op is not None
            kept = [each for each in dims if any(_coefficient(s, each) for s in store.subscripts)]
            part = read(leaf.part, kept[0] if len(kept) == 1 and leaf.kind == "sum" else None)
            total = Operand("total", store.operand.type.element.array(0 if leaf.kind == "whole" else rank))
            key = store.operand, store.subscripts
            assert key not in places
            places[key] = total
            targets, values, copied = [total], [part], set()
        used = {node for node in postorder(values) if isinstance(node, Operand)}
        arrays = [operand for operand in places.values() if operand in used and operand not in targets]
        numbers = [operand for operand in (*self.numbers, *self.integers) if operand in used]
        if leaf.kind == "each":
            kernel = nest_kernels.each(stores, arrays, numbers, [a for a in arrays if a in copied], fast=self.fast)
        elif leaf.kind == "sum":
            kernel = nest_kernels.summed(targets[0], leaf.op, part, arrays, numbers, len(kept))  # type: ignore[arg-type]
        else:
            kernel = nest_kernels.whole(targets[0], leaf.op, part, arrays, numbers)  # type: ignore[arg-type]
        self.kernels[kernel.name] = kernel
        data, geometry = [], [f"count_{each.index.name}" for each in dims] or ["1"]
        accesses = {operand: key for key, operand in places.items()}
        for operand in (*targets, *arrays):
            pointer, steps = self._window(*accesses[operand], dims)
            data.append(pointer)
            geometry += steps or ["0"]
        for operand in numbers:
            if operand in self.numbers:
                data.append(f"s[{self.numbers.index(operand)}]")
            else:
                data.append(f"(char *)&{self.names[operand]}")
        lines.append(f"{margin}char *data[] = {{")
        lines += [f"{margin}    {each}," for each in data]
        lines.append(f"{margin}}};")
        lines.append(f"{margin}const ptrdiff_t geometry[] = {{{_folded(geometry, margin)}}};")
        lines.append(f"{margin}if ({kernel.name}(data, geometry) < 0) goto end;")

    def _moves_with(self, access: Load, own: Range) -> bool:
        return any(_coefficient(subscript, own) for subscript in access.subscripts)

    def _window(self, operand: Operand, subscripts: tuple[Node, ...], dims: Sequence[Range]) -> tuple[str, list[str]]:
        """Where the first element of an access lies, and the steps to the next along each loop."""
        if operand in self.local_of:
            along = self.local_of[operand]
            strides = [f"step_{operand.name}_{k}" for k in range(len(along))]
            pointer, steps = operand.name, ["0"] * len(dims)
            for each, stride in zip(along, strides, strict=True):
                name = each.index.name
                at = f"first_{name}" if each in dims else name
                pointer += f" + (({at} - f_{name}) / {each.step}) * {stride}"
                if each in dims:
                    steps[dims.index(each)] = stride
            return pointer, steps
        if not operand.type.rank:
            return f"s[{self.numbers.index(operand)}]", ["0"] * len(dims)
        memory = self.memories.index(operand)
        steps = [self._step(operand, subscripts, each) for each in dims]
        names = {**self.names, **{each.index: f"first_{each.index.name}" for each in dims}}
        pointer = f"(char *)m[{memory}].data"
        for axis, subscript in enumerate(subscripts):
            form = linear(subscript)
            assert form is not None
            stride = f"m[{memory}].strides[{axis}]"
            at = form_text(form, names)
            if at != "0":
                pointer += f" + {at} * {stride}"
        return pointer, steps

    def _step(self, operand: Operand, subscripts: tuple[Node, ...], own: Range) -> str:
        """The bytes from one element of a memoryview to the next along a loop."""
        memory = self.memories.index(operand)
        terms = []
        for axis, subscript in enumerate(subscripts):
            count = _coefficient(subscript, own) * own.step
            if count:
                stride = f"m[{memory}].strides[{axis}]"
                terms.append(stride if count == 1 else f"{f'({count})' if count < 0 else count} * {stride}")
        return " + ".join(terms) or "0"

    def _local_steps(self, operand: Operand, along: tuple[Range, ...], plan: Plan) -> list[str]:
        """Declare the steps of an array of numbers: contiguous along its last loop, or its first where more of what is
        computed with it is."""
        size = operand.type.element.itemsize
        votes: dict[str, None] = {}
        for leaf in _leaves(plan.steps) if len(along) > 1 else ():
            nodes = postorder(leaf.stores)
            if not any(isinstance(node, Load | Store) and node.operand is operand for node in nodes):
                continue
            for node in nodes:
                if isinstance(node, Load | Store) and node.operand in self.memories:
                    own = node.operand.type.element.itemsize
                    for each, sign in ((along[0], "+"), (along[-1], "-")):
                        step = self._step(node.operand, node.subscripts, each)
                        if step != "0":
                            votes[f"{sign} ({step} == {own})"] = None
        steps = []
        for which in (range(len(along)), range(len(along) - 1, -1, -1)):
            found, step = {}, str(size)
            for k in which:
                found[k] = step
                step += f" * c_{along[k].index.name}"
            steps.append(found)
        name = operand.name
        lines = [f"    const int turned_{name} = 0 {' '.join(votes)} > 0;"] if votes else []
        for k in range(len(along)):
            text = f"turned_{name} ? {steps[0][k]} : {steps[1][k]}" if votes else steps[1][k]
            lines.append(f"    const ptrdiff_t step_{name}_{k} = {text};")
        return lines

    # -- the whole --

    def _entry(self) -> str:
        outermost = self.source.ranges[0]
        start, _ = self._ends(outermost)
        integers, memories, numbers = len(self.integers), self.memories, len(self.numbers)
        lines = ["static int NAME(char **data, const ptrdiff_t *geometry) {"]
        lines.append(f"    const ptrdiff_t *const n = geometry, *g = geometry + {integers};")
        lines.append(f"    arrayexpr_array m[{max(len(memories), 1)}];")
        for k, operand in enumerate(memories):
            rank = operand.type.rank
            lines.append(f"    m[{k}].data = data[{k}], m[{k}].shape = g, m[{k}].strides = g + {rank};")
            lines.append(f"    g += {2 * rank};")
        lines.append(f"    char *const *const s = data + {len(memories)};")
        lines.append(f"    const ptrdiff_t from = {start}, total = {self._count(outermost)};")
        lines += ["    (void)n;", "    (void)s;"]
        lines.append("    if (!NAME_fits(m, n)) return 0;")
        if self.raising is not None:
            found = f"data[{len(memories) + numbers - 1}]"
            lines.append(f"    *(uint8_t *){found} = 0;")
            lines.append("    if (NAME_raises(m, n, s, from, total) < 0) return ARRAYEXPR_ERROR;")
            lines.append(f"    if (*(uint8_t *){found}) return 0;")
        per = self._held()
        lines.append("    ptrdiff_t part = total;")
        if per:
            lines.append(f"    const ptrdiff_t per = {per};")
            lines.append(f"    if (per > 0 && part > {_HELD} / per) part = {_HELD} / per;")
            # Sums are taken 32 at a time, where that many do not take megabytes.
            lines.append(f"    if (part >= 32 || per <= {_HELD}) part = part < 32 ? 32 : part / 32 * 32;")
            lines.append("    if (part < 1) part = 1;")
        if self.parallel:
            lines += _PARALLEL.splitlines()
        else:
            lines += _SERIAL.splitlines()
        lines += ["    return status < 0 ? ARRAYEXPR_ERROR : 1;", "}"]
        step = str(outermost.step)
        return "\n".join(lines).replace("$STEP$", step if outermost.step > 0 else f"({step})")

    def _held(self) -> str:
        """The bytes of arrays of numbers for an iteration of the outermost loop."""
        outermost = self.source.ranges[0]
        terms = []
        counters = {o: (own,) for o, own in self.source.counters.items() if _uses(self.plan, o)}
        for operand, along in {**self.plan.locals, **counters}.items():
            if outermost in along:
                counts = [self._count(each) for each in along if each is not outermost]
                terms.append(" * ".join([str(operand.type.element.itemsize), *counts]))
        return " + ".join(terms)


_SERIAL = """\
    int status = 0;
    for (ptrdiff_t at = 0; at < total && status == 0; at += part)
        status = NAME_strip(m, n, s, from + at * $STEP$, total - at < part ? total - at : part);
"""

_PARALLEL = """\
    int status = 0;
#ifdef _OPENMP
    const int threads = *g > 0 ? (int)*g : omp_get_max_threads();
    if (part > (total + threads - 1) / threads) part = (total + threads - 1) / threads;
    const ptrdiff_t parts = (total + part - 1) / part;
    #pragma omp parallel for schedule(static) num_threads(threads) reduction(min:status)
#else
    const ptrdiff_t parts = (total + part - 1) / part;
#endif
    for (ptrdiff_t k = 0; k < parts; ++k) {
        const ptrdiff_t at = k * part;
        const int one = NAME_strip(m, n, s, from + at * $STEP$, total - at < part ? total - at : part);
        if (one < status) status = one;
    }
"""


def _coefficient(subscript: Node, own: Range) -> int:
    form = linear(subscript)
    assert form is not None
    return form.get(own.index, 0)


def _moves(own: Range) -> bool:
    return any(isinstance(node, Index) for node in postorder((own.start, own.stop)))


def _leaves(steps: Sequence[Leaf | Around]) -> list[Leaf]:
    return [leaf for step in steps for leaf in ([step] if isinstance(step, Leaf) else _leaves(step.steps))]


def _uses(plan: Plan, operand: Operand) -> bool:
    return any(
        operand in postorder([*leaf.stores, *([leaf.part] if leaf.part is not None else [])])
        for leaf in _leaves(plan.steps)
    )


def _c_type(operand: Operand) -> str:
    return f"{operand.type.element.name}_t"


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _wrapped(tests: list[str], margin: int) -> str:
    return f"\n{' ' * margin}&& ".join(tests) or "1"


def _folded(items: list[str], margin: str) -> str:
    return f",\n{margin}    ".join(", ".join(items[k : k + 4]) for k in range(0, len(items), 4))
