# cython: language_level=3, boundscheck=False, wraparound=False
"""The block engine: a scheduled program as a tape that runs at once, with no compiler.

Innermost vector loops run in strips of some hundred elements, and each operator is one call of a loop over the strip:
NumPy's own inner loop, chosen by exact element types, or one of loops.h where NumPy has none or none with the bits of
emitted C. Loops over operands in memory take their byte strides as they are; what lies between two operators lies in
strips of an arena, taken over as soon as their last reader is done. Bounds and addresses are integer instructions,
each placed in the outermost loop that knows its parts. What has no loop raises UnsupportedError, and is compiled.
"""

cimport numpy as cnp
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport intptr_t, uintptr_t
from libc.string cimport memset

from ..nodes cimport (
    APPLY, CALL, CAST, CONSTANT, EXTENT, INDEX, LOAD, OPERAND, STRIDE,
    Apply, Call, Cast, Constant, Extent, For, Function, Guard, Index, Load, Loop, Node, Operand, Pack, Scratch, Store, Stride,
    postorder,
)

import numpy as np

from ..errors import UnsupportedError
from ..nodes import Barrier
from ..passes.nests import enclosed, memory_order
from ..passes.tiles import SIZES
from ..types import BOOL, INT64, element
from ..vector_math import EXACT, function_of

cnp.import_array()

cdef extern from "block.h":
    ctypedef void (*loop_function)(char **, const intptr_t *, const intptr_t *, void *)
    ctypedef struct Instruction:
        int32_t op, to, a, b, c, d, e, f, g, h, i, j
        void *function
        void *data
    ctypedef struct Fetch:
        int reg, array, kind, axis
    ctypedef struct TapeData:
        int instructions, registers, fetches, relocations
        Instruction *code
        intptr_t *start
        Fetch *fetch
        int *relocate
        intptr_t arena
    ctypedef struct Array "BlockArray":
        void *data
        const intptr_t *shape
        const intptr_t *strides
    int tape_run(const void *tape, const void *arrays, void *scratch) noexcept nogil
    ctypedef struct PackPlan:
        int rank, size, target, source
        int extents[32]
        int targets[32]
        int sources[32]
    ctypedef struct LoopRow "struct { const char *name; loop_function function; }":
        const char *name
        loop_function function
    const LoopRow loops[1]
    ctypedef struct FoldRow:
        const char *name
        size_t bytes
        void *start
        void *add
        void *end
    const FoldRow folds[1]
    const void *strip_function(const char *name, int bits)
    bint fuses()
    enum: LOOPS, FOLDS
    enum:
        OP_MOVE, OP_ADD, OP_SUB, OP_MUL, OP_MULADD, OP_MIN, OP_MAX, OP_DIV, OP_MOD
        OP_LT, OP_LE, OP_EQ, OP_NE, OP_AND, OP_OR, OP_SELECT, OP_LOAD, OP_STORE
        OP_JUMP, OP_UNLESS, OP_FOR, OP_NEXT, OP_ONE, OP_BEGIN, OP_ENTER, OP_CHECK, OP_STEP
        OP_LOOP1, OP_LOOP2, OP_LOOP3, OP_MATH1, OP_MATH2, OP_IOTA, OP_FOLD_START, OP_FOLD_ADD, OP_FOLD_END, OP_PACK, OP_SCRATCH, OP_LINES, OP_STREAM
        OP_CALL, OP_RETURN, OP_STOP

#: Elements of a strip by the size of the widest in it. Strips of 4 KiB of doubles keep those of a long expression in the
#: first cache; of smaller elements a call works on more of them, until it does not show: of int8, 1.4 times as fast as
#: in strips of 512.
STRIPS = {1: 4096, 2: 4096, 4: 2048}
#: Of wider ones, and what strips of Scratch are made for.
STRIP = 512

# Loops of loops.h by name.
cdef dict _own = {loops[k].name.decode(): <uintptr_t>loops[k].function for k in range(LOOPS)}
# Folds by operator and element type.
cdef dict _folds = {
    folds[k].name.decode(): (folds[k].bytes, <uintptr_t>folds[k].start, <uintptr_t>folds[k].add, <uintptr_t>folds[k].end)
    for k in range(FOLDS)
}
# The loop of an operator on an element type: (instruction, function, data).
cdef dict _found = {}

_INTEGER = {
    "add": OP_ADD, "subtract": OP_SUB, "multiply": OP_MUL, "minimum": OP_MIN, "maximum": OP_MAX,
    "floor_divide": OP_DIV, "remainder": OP_MOD, "less": OP_LT, "less_equal": OP_LE, "equal": OP_EQ,
    "not_equal": OP_NE, "logical_and": OP_AND, "logical_or": OP_OR,
}
# The types that OP_LOAD reads, in its numbering.
_LOADED = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")


# Fields of an instruction that are not used, between a and the function.
cdef tuple _NONE = (0,) * 9


class _NotAffine(Exception):
    """A subscript is no multiple of the loop's index plus what the loop leaves alone."""


class _NoInteger(Exception):
    """An expression is none that registers can hold."""


def find_loop(op, t, bint vector_math=False):
    """How an operator on operands of an element type is computed: (instruction, function, data).

    Raises UnsupportedError where it is not.
    """
    key = op, t, vector_math
    known = _found.get(key)
    if known is None:
        known = _found[key] = _find_loop(op, t, vector_math)
    if known[1] == 0:
        raise UnsupportedError(f"operator {op.name} on {t} has no loop in the block engine")
    return known


cdef tuple _find_loop(op, t, bint vector_math):
    cdef cnp.ufunc ufunc
    cdef int k, place, nargs, loop = OP_LOOP1 + op.arity - 1
    if vector_math:
        name = function_of(op, t)
        # Exact functions are NumPy's own here.
        if name is not None and name not in EXACT:
            return OP_MATH1 + op.arity - 1, <uintptr_t>strip_function(name.encode(), t.bits), 0
    own = _own.get(f"{op.name}_{t.name}")
    if fuses():
        own = _own.get(f"{op.name}_{t.name}_fused", own)
    if own is not None:
        return loop, own, 0
    if isinstance(op.numpy, np.ufunc) and t.kind not in op.may_raise and op.arity < 4:
        ufunc = op.numpy
        if ufunc.nin == op.arity and ufunc.nout == 1:
            places, _ = op.signature.split(">")
            wanted = [{"B": "bool", "N": "int32", "I": "int64", "U": "uint8"}.get(p, t.name) for p in places]
            numbers = [np.dtype(name).num for name in wanted]
            numbers.append(op.result(tuple([element(name) for name in wanted])).dtype.num)
            nargs = ufunc.nargs
            for k in range(ufunc.ntypes):
                for place in range(nargs):
                    if ufunc.types[k * nargs + place] != numbers[place]:
                        break
                else:
                    data = <uintptr_t>ufunc.data[k] if ufunc.data != NULL else 0
                    return loop, <uintptr_t>ufunc.functions[k], data
    return loop, 0, 0


cdef class _Scope:
    """The code of one block; `memo` holds the integers computed in it."""
    cdef list code
    cdef dict memo

    def __init__(self):
        self.code = []
        self.memo = {}


cdef class _Strip:
    """A vector loop that is being translated: its streams, and what is computed before the first strip."""
    cdef Node index
    cdef int first, by             # registers: the first coordinate, and the step
    cdef int length                # elements
    cdef bint single               # one strip is all there is
    cdef bint past                 # what it stores goes past the caches
    cdef list before               # instructions
    cdef list steps                # (address, stride) registers that move
    cdef dict streams
    cdef set stored
    cdef dict still                # values that do not change from strip to strip


cdef class _Subroutine:
    """A composite function over a strip: registers of its parameters and result, its code and where that is."""
    cdef list params               # (address, stride) registers, a parameter each
    cdef tuple result
    cdef int entry, after          # registers: the number of its first instruction, and where to go on
    cdef list code


cdef class _Compiler:
    """Translates one program."""
    cdef object program
    cdef dict arrays               # operand → number
    cdef list start, level         # per register: what it holds at first, and the scope that sets it
    cdef dict known                # register → number
    cdef dict numbers              # number → register
    cdef dict fetched
    cdef list fetch, relocate, scopes, plans
    cdef dict indices              # Index → register
    cdef dict extents              # Scratch operand → registers of its extents
    cdef dict bases                # Scratch operand → register of its address
    cdef bytearray pool
    cdef list pooled               # (register, offset)
    cdef dict constants
    cdef intptr_t arena
    cdef dict spare                # size → free strips: registers
    cdef _Strip strip              # the vector loop that we are in
    cdef dict folds                # accumulator → (its fold's register, row of _folds), in the nest that we are in
    cdef bint vector_math
    cdef dict gathers
    cdef dict subroutines          # (Function, elements of a strip) → _Subroutine

    def __init__(self, program):
        self.program = program
        self.arrays = {operand: k for k, operand in enumerate(program.declared)}
        self.start, self.level, self.fetch, self.relocate, self.plans = [], [], [], [], []
        self.known, self.numbers, self.fetched = {}, {}, {}
        # Register 0 is none.
        self.register()
        self.scopes = [_Scope()]
        self.indices, self.extents, self.bases = {}, {}, {}
        self.pool = bytearray()
        self.pooled = []
        self.constants = {}
        self.spare = {}
        self.folds = None
        self.gathers = {}
        self.subroutines = {}
        self.vector_math = program.target is None or program.target.vector_math

    # -- registers and integers --

    cdef int register(self, intptr_t value=0, int level=0) except -1:
        self.start.append(value)
        self.level.append(level)
        return len(self.start) - 1

    cdef int number(self, intptr_t value) except -1:
        known = self.numbers.get(value)
        if known is None:
            known = self.numbers[value] = self.register(value)
            self.known[known] = value
        return known

    cdef int fetched_register(self, int array, int kind, int axis) except -1:
        key = array, kind, axis
        known = self.fetched.get(key)
        if known is None:
            known = self.fetched[key] = self.register()
            self.fetch.append((known, array, kind, axis))
        return known

    cdef int room(self, intptr_t size) except -1:
        """A register that holds the address of `size` bytes of the arena."""
        cdef int reg = self.register(self.arena)
        self.arena += (size + 63) // 64 * 64
        self.relocate.append(reg)
        return reg

    cdef list code(self):
        return (<_Scope>self.scopes[len(self.scopes) - 1]).code

    cdef int integer(self, int op, int x, int y, int z=0) except -1:
        """The register of `x op y`, computed in the outermost scope that knows both."""
        cdef int level, reg
        a, b = self.known.get(x), self.known.get(y)
        if op == OP_MULADD:
            c = self.known.get(z)
            if b == 0 or c == 0:
                return x
            if a == 0:
                return self.integer(OP_MUL, y, z)
            if c == 1:
                return self.integer(OP_ADD, x, y)
            if b == 1:
                return self.integer(OP_ADD, x, z)
            if b is not None and c is not None:
                return self.integer(OP_ADD, x, self.number(b * c))
        elif a is not None and b is not None and op <= OP_MOD and op != OP_DIV and op != OP_MOD:
            return self.number(
                a + b if op == OP_ADD else a - b if op == OP_SUB else a * b if op == OP_MUL
                else min(a, b) if op == OP_MIN else max(a, b)
            )
        elif (op == OP_ADD or op == OP_SUB) and b == 0:
            return x
        elif op == OP_ADD and a == 0:
            return y
        elif op == OP_MUL and (a == 0 or b == 1):
            return x
        elif op == OP_MUL and (b == 0 or a == 1):
            return y
        elif op == OP_DIV and b == 1:
            return x
        level = max(<int>self.level[x], <int>self.level[y])
        if op == OP_MULADD or op == OP_SELECT:
            level = max(level, <int>self.level[z])
        cdef _Scope scope = self.scopes[level]
        key = op, x, y, z
        known = scope.memo.get(key)
        if known is not None:
            return known
        reg = self.register(0, level)
        scope.code.append((op, 0, reg, x, y, z))
        scope.memo[key] = reg
        return reg

    cdef int int_of(self, Node node) except -1:
        """The register of an int64 or bool expression over coordinates, lengths and strides."""
        cdef Operand operand
        cdef int cid = node.cid, reg
        cdef list args
        if cid == CONSTANT:
            if node.type.element.kind not in "biu" or not -(1 << 63) <= int((<Constant>node).value) < 1 << 63:
                raise _NoInteger
            return self.number(int((<Constant>node).value))
        if cid == INDEX:
            reg = self.indices[node]
            if reg < 0:
                raise _NotAffine
            return reg
        if cid == EXTENT:
            operand = (<Extent>node).operand
            if operand in self.extents:
                return self.extents[operand][(<Extent>node).axis]
            return self.fetched_register(self.arrays[operand], 1, (<Extent>node).axis)
        if cid == STRIDE:
            return self.stride((<Stride>node).operand, (<Stride>node).axis)
        if cid == LOAD or cid == OPERAND:
            if node.type.rank or node.type.element.name not in _LOADED:
                raise _NoInteger
            subscripts = (<Load>node).subscripts if cid == LOAD else ()
            operand = (<Load>node).operand if cid == LOAD else <Operand>node
            if self.strip is not None and operand in self.strip.stored:
                raise _NotAffine
            return self.loaded(self.address(operand, subscripts), node.type.element.name)
        if cid == CAST:
            of = (<Cast>node).arg.type.element
            if node.type.element is INT64 and of.kind in "biu" and of.name != "uint64":
                return self.int_of((<Cast>node).arg)
            raise _NoInteger
        if cid == APPLY:
            name = (<Apply>node).op.name
            for arg in node.args:
                if (<Node>arg).type.element is not INT64 and (<Node>arg).type.element is not BOOL:
                    raise _NoInteger
            args = [self.int_of(<Node>arg) for arg in node.args]
            if name in _INTEGER:
                return self.integer(_INTEGER[name], args[0], args[1])
            if name == "greater":
                return self.integer(OP_LT, args[1], args[0])
            if name == "greater_equal":
                return self.integer(OP_LE, args[1], args[0])
            if name == "negative":
                return self.integer(OP_SUB, self.number(0), args[0])
            if name == "logical_not":
                return self.integer(OP_EQ, args[0], self.number(0))
            if name == "where":
                return self.integer(OP_SELECT, args[0], args[1], args[2])
        raise _NoInteger

    cdef int int_or_value(self, Node node) except -1:
        """The register of a bound, a subscript or a condition, whatever it is made of."""
        try:
            return self.int_of(node)
        except _NoInteger:
            if self.strip is not None:
                raise _NotAffine from None
            value = self.value_once(node)
            return self.loaded(value[0], node.type.element.name)

    cdef int loaded(self, int address, str name) except -1:
        # What memory holds changes: it is read where it stands, and not remembered.
        # A vector loop has it read before the first strip.
        cdef int level = len(self.scopes) - (1 if self.strip is None else 2)
        cdef int reg = self.register(0, level)
        (<_Scope>self.scopes[level]).code.append((OP_LOAD, 0, reg, address, _LOADED.index(name)))
        return reg

    # -- addresses --

    cdef int base(self, Operand operand) except -1:
        known = self.bases.get(operand)
        if known is not None:
            return known
        return self.fetched_register(self.arrays[operand], 0, 0)

    cdef int stride(self, Operand operand, int axis) except -1:
        cdef int reg, k
        size = operand.type.element.itemsize
        extents = self.extents.get(operand)
        if extents is not None:
            reg = self.number(size)
            order = memory_order(operand)
            for k in reversed(order[order.index(axis) + 1:]):
                reg = self.integer(OP_MUL, reg, extents[k])
            return reg
        fact = operand.type.layout[axis]
        if fact == "unit":
            return self.number(size)
        if fact == "broadcast":
            return self.number(0)
        return self.fetched_register(self.arrays[operand], 2, axis)

    cdef int address(self, Operand operand, tuple subscripts) except -1:
        cdef int reg = self.base(operand), axis
        for axis in range(len(subscripts)):
            reg = self.integer(OP_MULADD, reg, self.int_or_value(subscripts[axis]), self.stride(operand, axis))
        return reg

    cdef tuple affine(self, Node node, Node index):
        """The registers (coefficient, rest) of an expression that is coefficient * index + rest."""
        cdef tuple x, y
        if node is index:
            return self.number(1), self.number(0)
        if node.cid == APPLY and len(node.args) == 2:
            name = (<Apply>node).op.name
            if name in ("add", "subtract", "multiply") and node.type.element is INT64:
                x, y = self.affine(node.args[0], index), self.affine(node.args[1], index)
                if name != "multiply":
                    op = OP_ADD if name == "add" else OP_SUB
                    return self.integer(op, x[0], y[0]), self.integer(op, x[1], y[1])
                if self.known.get(x[0]) == 0:
                    return self.integer(OP_MUL, y[0], x[1]), self.integer(OP_MUL, y[1], x[1])
                if self.known.get(y[0]) == 0:
                    return self.integer(OP_MUL, x[0], y[1]), self.integer(OP_MUL, x[1], y[1])
                raise _NotAffine
        # The index has no register within its loop: an expression that holds it raises _NotAffine.
        return self.number(0), self.int_or_value(node)

    # -- statements --

    cdef int statements(self, tuple body) except -1:
        cdef Node statement
        cdef list group = []
        for statement in body:
            if isinstance(statement, Store):
                stored = {store.operand for store in group}
                # A group's values are computed before any is stored, and the stores may come in another order.
                if stored and ((<Store>statement).operand in stored or _reads((statement,), stored)):
                    self.stores(group, None)
                    group = []
                group.append(statement)
                continue
            if group:
                self.stores(group, None)
                group = []
            self.statement(statement)
        if group:
            self.stores(group, None)
        return 0

    cdef int statement(self, Node statement) except -1:
        if isinstance(statement, For):
            self.loop(<For>statement)
        elif isinstance(statement, Guard):
            self.guard(<Guard>statement)
        elif isinstance(statement, Scratch):
            self.scratch(<Scratch>statement)
        elif isinstance(statement, Pack):
            self.pack(<Pack>statement)
        elif not isinstance(statement, Barrier):
            raise UnsupportedError(f"{type(statement).__name__} has no form in the block engine: {statement!r}")
        return 0

    cdef int guard(self, Guard guard) except -1:
        cdef int condition = self.int_or_value(guard.condition)
        cdef list then, otherwise
        then = self.block(guard.then)
        otherwise = self.block(guard.otherwise)
        if otherwise:
            then.append((OP_JUMP, len(otherwise) + 1))
        self.code().append((OP_UNLESS, len(then) + 1, condition))
        self.code().extend(then)
        self.code().extend(otherwise)
        return 0

    cdef list block(self, tuple body):
        self.scopes.append(_Scope())
        self.statements(body)
        return (<_Scope>self.scopes.pop()).code

    cdef int loop(self, For loop) except -1:
        cdef str role = (<Loop>loop).role if isinstance(loop, Loop) else "serial"
        cdef list code
        cdef int start, stop, step, index
        if role == "reduce":
            folds = self.own_folds(loop)
            if folds or self.folds is None:
                self.fold(loop, folds)
                return 0
        start, stop, step = self.int_or_value(loop.start), self.int_or_value(loop.stop), self.int_or_value(loop.step)
        if role in ("vector", "reduce", "stream") and all([isinstance(s, Store) for s in loop.body]):
            try:
                code = self.strips(loop, start, stop, step, role)
            except _NotAffine:
                code = None
            self.indices.pop(loop.index, None)
            if code is not None:
                self.code().extend(code)
                return 0
        index = self.register(0, len(self.scopes))
        self.indices[loop.index] = index
        code = self.block(loop.body)
        del self.indices[loop.index]
        self.code().append((OP_FOR, len(code) + 2, index, start, stop, step))
        self.code().extend(code)
        self.code().append((OP_NEXT, -len(code), index, 0, stop, step))
        return 0

    cdef int scratch(self, Scratch statement) except -1:
        cdef Operand operand = statement.operand
        cdef int size = self.number(operand.type.element.itemsize), reg
        extents = [self.int_or_value(extent) for extent in statement.extents]
        for reg in extents:
            size = self.integer(OP_MUL, size, reg)
        self.extents[operand] = extents
        if size in self.known:
            self.bases[operand] = self.room(max(self.known[size], 1))
        else:
            reg = self.register(0, len(self.scopes) - 1)
            self.code().append((OP_SCRATCH, 0, reg, size))
            self.bases[operand] = reg
        return 0

    cdef int pack(self, Pack statement) except -1:
        cdef Operand target = statement.target, source = statement.source
        cdef int rank = len(statement.extents), axis
        cdef int address = self.address(source, statement.starts)
        if target.type.element.itemsize not in SIZES:
            raise UnsupportedError(f"Pack of elements of {target.type.element.itemsize} bytes has no form in the block engine")
        plan = (
            rank, target.type.element.itemsize, self.base(target), address,
            [self.int_or_value(extent) for extent in statement.extents],
            [self.stride(target, axis) for axis in range(rank)],
            [self.stride(source, axis) for axis in range(rank)],
        )
        self.plans.append(plan)
        self.code().append((OP_PACK, 0, len(self.plans) - 1))
        return 0

    # -- values --

    cdef list strips(self, For loop, int start, int stop, int step, str role):
        """The code of an innermost loop, in strips. Raises _NotAffine for subscripts that no stride walks."""
        cdef _Strip strip = _Strip.__new__(_Strip)
        cdef int left, widest = 1, total
        cdef bint reduces = role == "reduce"
        cdef list code, body
        cdef Node node
        if step not in self.known or self.known[step] <= 0:
            raise _NotAffine
        for node in postorder(loop.body):
            if node.type is not None:
                widest = max(widest, node.type.element.itemsize)
        if reduces and not all([_accumulates(<Store>node) in _folds for node in loop.body]):
            raise _NotAffine
        total = self.integer(OP_SUB, stop, start)
        if self.known[step] != 1:
            total = self.integer(
                OP_DIV, self.integer(OP_ADD, total, self.number(self.known[step] - 1)), step)
        strip.index = loop.index
        strip.first, strip.by = start, step
        strip.length = STRIPS.get(widest, STRIP)
        strip.single = _bounded(loop, strip.length)
        strip.past = role == "stream" and len(loop.body) == 1
        strip.before, strip.steps, strip.streams, strip.still = [], [], {}, {}
        strip.stored = {(<Store>store).operand for store in loop.body}
        # Seen by `int_of`: an index without a register.
        self.indices[loop.index] = -1
        self.scopes.append(_Scope())
        self.strip = strip
        try:
            if reduces:
                # The order of a fold is that of strips of 512.
                strip.length = STRIP
                whole = self.takes_whole(loop.body)
                if whole:
                    strip.single = True
                self.fold_strips(loop.body, strip, total if whole else 0)
            else:
                group = []
                for node in loop.body:
                    stored = {store.operand for store in group}
                    if stored and _reads((node,), stored):
                        self.stores(group, strip)
                        group = []
                    group.append(node)
                self.stores(group, strip)
        finally:
            body = (<_Scope>self.scopes.pop()).code
            self.strip = None
        left = self.register(0, len(self.scopes))
        code = [(OP_MOVE, 0, left, total)]
        if strip.single:
            # `left` is not written to.
            code = []
            left = total
        tail = [] if strip.single else [(OP_STEP, 0, address, by) for address, by in strip.steps]
        inner = len(body) + 1
        total = len(strip.before) + inner + (0 if strip.single else len(tail) + 2)
        code.append((OP_BEGIN, total + 1, left))
        code.extend(strip.before)
        if strip.past and not strip.single:
            store = loop.body[0]
            size = (<Store>store).operand.type.element.itemsize
            target = strip.streams[(<Store>store).operand, (<Store>store).subscripts]
            code.append((OP_LINES, 0, left, strip.length, target[0], size))
        else:
            code.append((OP_ENTER, 0, left, strip.length))
        code.extend(body)
        if not strip.single:
            code.append((OP_CHECK, len(tail) + 2, left))
            code.extend(tail)
            code.append((OP_JUMP, -(inner + 1 + len(tail))))
        return code

    cdef tuple stream(self, Operand operand, tuple subscripts, _Strip strip, bint still=False):
        """(address, stride) of an access, as registers."""
        cdef int axis, reg, by, moving
        cdef tuple parts
        size = self.number(operand.type.element.itemsize)
        if strip is None:
            return self.address(operand, subscripts), size
        key = operand, subscripts
        known = strip.streams.get(key)
        if known is not None:
            return known
        reg, by = self.base(operand), self.number(0)
        for axis in range(len(subscripts)):
            parts = self.affine(subscripts[axis], strip.index)
            stride = self.stride(operand, axis)
            reg = self.integer(OP_MULADD, reg, parts[1], stride)
            by = self.integer(OP_MULADD, by, parts[0], stride)
        if self.known.get(by) != 0:
            # From coordinate 0 to the first one.
            reg = self.integer(OP_MULADD, reg, by, strip.first)
            by = self.integer(OP_MUL, by, strip.by)
            if not strip.single:
                moving = self.register(0, len(self.scopes) - 1)
                strip.before.append((OP_MOVE, 0, moving, reg))
                strip.steps.append((moving, by))
                reg = moving
        known = strip.streams[key] = reg, by
        return known

    cdef int temporary(self, object element, _Strip strip) except -1:
        """The register of a strip to write to."""
        size = element.itemsize * (strip.length if strip is not None else 1)
        free = self.spare.get(size)
        return free.pop() if free else self.room(size)

    cdef int gathered(self, object t, _Strip strip, int k) except -1:
        """The register of the k-th strip that what is not contiguous goes through."""
        key = t.itemsize * (strip.length if strip is not None else 1), k
        known = self.gathers.get(key)
        if known is None:
            known = self.gathers[key] = self.room(key[0])
        return known

    cdef int release(self, int reg, object element, _Strip strip) except -1:
        self.spare.setdefault(element.itemsize * (strip.length if strip is not None else 1), []).append(reg)
        return 0

    cdef int release_all(self, dict temporaries, _Strip strip) except -1:
        for node, reg in temporaries.items():
            self.release(reg, (<Node>node).type.element, strip)
        return 0

    cdef tuple value_once(self, Node node):
        """(address, stride) of one element, computed where we are."""
        # Its room is not given back: it is small, and read in a moment.
        self.code().append((OP_ONE, 0))
        return self.values([node], None, {}, None)[0]

    cdef tuple constant(self, Node node):
        known = self.constants.get(node)
        if known is None:
            element = node.type.element
            raw = np.asarray((<Constant>node).value, dtype=element.dtype).tobytes()
            self.pool.extend(bytes(-len(self.pool) % 16))
            reg = self.register()
            self.pooled.append((reg, len(self.pool)))
            self.pool.extend(raw)
            known = self.constants[node] = reg, self.number(0)
        return known

    cdef int stores(self, list group, _Strip strip) except -1:
        """Compute the values of stores, then store them: none reads what another one stores."""
        cdef Store store
        cdef list values, roots = [s.value for s in group]
        cdef dict temporaries = {}
        if strip is None:
            self.code().append((OP_ONE, 0))
        values = self.values(roots, strip, temporaries, group)
        for store, value in zip(group, values):
            if value is None:
                continue
            target = self.stream(store.operand, store.subscripts, strip)
            size = store.operand.type.element.itemsize
            if strip is not None and strip.past and self.known.get(value[1]) == size == self.known.get(target[1]):
                self.code().append((OP_STREAM, 0, value[0], target[0], size))
            else:
                self.copy(value, store.operand.type.element, target)
        self.release_all(temporaries, strip)
        return 0

    cdef int copy(self, tuple value, object t, tuple target) except -1:
        function = _own.get(f"cast_{t.name}_{t.name}")
        if function is None:
            raise UnsupportedError(f"elements of {t} have no copy in the block engine")
        self.code().append((OP_LOOP1, 0, value[0], value[1], target[0], target[1], 0, 0, 0, 0, 0, 0, function, 0))
        return 0

    cdef dict own_folds(self, For loop):
        """What a nest of loops that reduce adds up from one iteration to the next: (row of _folds, store) by operand.

        Without what loops around it add up. An accumulator that is set, declared or read in the nest begins anew there:
        it is one of a loop within.
        """
        cdef Node node
        cdef dict found = {}
        cdef list read = []
        cdef set touched = set()
        inside = {(<For>node).index for node in enclosed((loop,)) if isinstance(node, For)}
        for node in enclosed((loop,)):
            if isinstance(node, Store):
                read.extend((<Store>node).subscripts)
                row = _folds.get(_accumulates(<Store>node))
                # A sum that is kept where one of its terms was is none that goes on from one iteration to the next.
                if row is None or not inside.isdisjoint(postorder((<Store>node).subscripts)):
                    touched.add((<Store>node).operand)
                    read.append((<Store>node).value)
                    continue
                read.append((<Store>node).value.args[1])
                if self.folds is None or (<Store>node).operand not in self.folds:
                    found.setdefault((<Store>node).operand, (row, node))
            elif isinstance(node, Guard):
                read.append((<Guard>node).condition)
            elif isinstance(node, For):
                read.extend(((<For>node).start, (<For>node).stop, (<For>node).step))
            elif isinstance(node, Scratch):
                touched.add((<Scratch>node).operand)
            elif isinstance(node, Pack):
                touched.update(((<Pack>node).target, (<Pack>node).source))
        for node in postorder(read):
            if node.cid == OPERAND:
                touched.add(node)
        return {operand: each for operand, each in found.items() if operand not in touched}

    cdef int fold(self, For loop, dict own) except -1:
        """A nest of loops that reduce: each accumulator has a fold, whose order of addition is fixed."""
        cdef Node node
        cdef int reg
        cdef dict outer = self.folds, folds = {}
        for operand, (row, node) in own.items():
            reg = self.room(row[0])
            folds[operand] = reg, row, node
            self.code().append((OP_FOLD_START, 0, reg, *_NONE, row[1], 0))
        self.folds = folds if outer is None else {**outer, **folds}
        self.loop(loop)
        self.folds = outer
        for reg, row, node in folds.values():
            address = self.address((<Store>node).operand, (<Store>node).subscripts)
            self.code().append((OP_FOLD_END, 0, reg, address, *_NONE[1:], row[3], 0))
        return 0

    cdef bint takes_whole(self, tuple body) except -1:
        """Whether the folds of a loop take in what lies in memory as it is: no strips are needed."""
        cdef Node store
        for store in body:
            if (<Node>(<Store>store).value.args[1]).cid != LOAD:
                return False
        return True

    cdef int fold_strips(self, tuple body, _Strip strip, int count) except -1:
        """Have the folds of stores of the form `acc[] = op(acc[], value)` take in a strip, or `count` elements."""
        cdef Store store
        cdef Node value
        cdef dict temporaries
        for store in body:
            if store.operand not in self.folds:
                raise _NotAffine
            reg, row, _ = self.folds[store.operand]
            value = store.value.args[1]
            temporaries = {}
            # A fold takes any byte but 0 as true, as it is.
            if value.cid == LOAD:
                got = self.stream((<Load>value).operand, (<Load>value).subscripts, strip)
            else:
                got = self.values([value], strip, temporaries, None)[0]
            self.code().append((OP_FOLD_ADD, 0, reg, got[0], got[1], count, *_NONE[3:], row[2], 0))
            self.release_all(temporaries, strip)
        return 0

    cdef list values(self, list roots, _Strip strip, dict temporaries, list group):
        """(address, stride) of each root. Of a `group` of stores, None for a value that is stored already."""
        cdef Node node, arg
        cdef list order = _order(roots)
        cdef dict uses = {}, places = {}, saved = {}
        cdef tuple target, value
        cdef int k, last = len(order) - 1
        cdef bint direct = group is not None and (strip is None or not strip.past)
        for node in order:
            if _is_computed(node):
                for arg in _parts(node):
                    uses[arg] = uses.get(arg, 0) + 1
        for node in roots:
            uses[node] = uses.get(node, 0) + 1
        for k in range(len(order)):
            node = order[k]
            target = None
            # The last value goes to its place as it is computed: nothing is left that could read what was there.
            if k == last and direct and uses[node] == 1 and _is_computed(node):
                store = group[roots.index(node)]
                target = self.stream((<Store>store).operand, (<Store>store).subscripts, strip)
            value = self.value(node, strip, places, temporaries, uses, target)
            if node.cid == LOAD and group is not None and len(group) > 1 and node in roots:
                # One of the stores may be to the very memory that this is in.
                target = self.temporary(node.type.element, strip), self.number(node.type.element.itemsize)
                self.copy(value, node.type.element, target)
                if node not in temporaries:
                    temporaries[node] = target[0]
                saved[node] = target
                if strip is None or not self.still(node, strip):
                    # What is the same in all of the loop is computed before it, of what is there then.
                    value = target
            places[node] = value
        return [saved.get(node, places[node]) for node in roots]

    cdef bint still(self, Node node, _Strip strip) except -1:
        """Whether a value is the same in all of a vector loop."""
        cdef Node n
        known = strip.still.get(node)
        if known is not None:
            return known
        cdef bint found = True
        if node.cid == LOAD:
            found = (<Load>node).operand not in strip.stored
            if found:
                for n in (<Load>node).subscripts:
                    if _holds(n, strip.index):
                        found = False
                        break
        elif node.cid == OPERAND:
            found = node not in strip.stored
        elif node.cid == INDEX:
            found = node is not strip.index
        elif _is_computed(node):
            # Children first: `order` has given them.
            for n in _parts(node):
                if not strip.still.get(n, False):
                    found = False
                    break
        strip.still[node] = found
        return found

    cdef tuple value(self, Node node, _Strip strip, dict places, dict temporaries, dict uses, tuple target):
        """Emit what computes a node whose parts are computed; (address, stride), None where it went to `target`."""
        cdef int cid = node.cid, reg, k
        cdef bint still = strip is not None and self.still(node, strip)
        cdef list code = strip.before if still else self.code()
        cdef Operand operand
        t = node.type.element
        size = self.number(t.itemsize)
        if cid == CONSTANT:
            return self.constant(node)
        if cid == LOAD or cid == OPERAND:
            if node.type.rank:
                raise UnsupportedError(f"{node!r} is an array where the block engine expects an element")
            operand = (<Load>node).operand if cid == LOAD else <Operand>node
            value = self.stream(operand, (<Load>node).subscripts if cid == LOAD else (), strip)
            if t is not BOOL or operand in self.extents:
                return value
            # Any byte but 0 is true.
            if still:
                reg = self.room(16)
                code.append((OP_LOOP1, 0, value[0], size, reg, size, 0, 0, 0, 0, 0, 0, _own["cast_bool_bool"], 0))
                return reg, self.number(0)
            reg = self.temporary(t, strip)
            temporaries[node] = reg
            code.append((OP_LOOP1, 0, value[0], value[1], reg, size, 0, 0, 0, 0, 0, 0, _own["cast_bool_bool"], 0))
            return reg, size
        if cid == INDEX and strip is not None and node is strip.index:
            reg = self.temporary(t, strip)
            temporaries[node] = reg
            moving = self.register(0, len(self.scopes) - 1)
            strip.before.append((OP_MOVE, 0, moving, strip.first))
            strip.steps.append((moving, strip.by))
            code.append((OP_IOTA, 0, reg, moving, strip.by))
            return reg, size
        if cid == INDEX or cid == EXTENT or cid == STRIDE:
            reg = self.room(16)
            code.append((OP_STORE, 0, reg, self.int_of(node)))
            return reg, self.number(0 if strip is not None else 8)
        if cid == CAST:
            of = (<Cast>node).arg.type.element
            function, data, instruction = _own.get(f"cast_{of.name}_{t.name}"), 0, OP_LOOP1
            if function is None:
                raise UnsupportedError(f"a cast of {of} to {t} has no loop in the block engine")
        elif cid == CALL:
            pass
        elif cid == APPLY:
            op = (<Apply>node).op
            of = node.args[1 if op.signature.startswith("BT") else 0].type.element
            instruction, function, data = find_loop(op, of, self.vector_math)
        else:
            raise UnsupportedError(f"{type(node).__name__} has no form in the block engine: {node!r}")
        inputs = []
        for arg in _parts(node):
            inputs.extend(places[arg])
        # A strip whose last reader this is may be what it is written over.
        for arg in _parts(node) if not still else ():
            uses[arg] -= 1
            if not uses[arg] and arg in temporaries:
                self.release(temporaries.pop(arg), (<Node>arg).type.element, strip)
        if still:
            reg = self.room(32)
            place = reg, size
        elif target is not None:
            place = target
        else:
            reg = self.temporary(t, strip)
            temporaries[node] = reg
            place = reg, size
        inputs.extend(place)
        if cid == CALL:
            routine = self.subroutine((<Call>node).function, 1 if strip is None else strip.length)
            wanted = [reg for pair in (<_Subroutine>routine).params for reg in pair]
            wanted.extend((<_Subroutine>routine).result)
            code.extend([(OP_MOVE, 0, to, given) for to, given in zip(wanted, inputs)])
            code.append((OP_CALL, 0, (<_Subroutine>routine).entry, (<_Subroutine>routine).after))
            if target is not None and not still:
                return None
            return place[0], self.number(0) if still else size
        if instruction == OP_MATH1:
            inputs.extend([self.gathered(t, strip, 0), self.gathered(t, strip, 1), 0, 0, t.itemsize, 0])
        elif instruction == OP_MATH2:
            inputs.extend([self.gathered(t, strip, 0), self.gathered(t, strip, 1), t.itemsize, self.gathered(t, strip, 2)])
        else:
            inputs.extend([0] * (10 - len(inputs)))
        code.append((instruction, 0, *inputs, function, data))
        if target is not None and not still:
            return None
        return place[0], self.number(0) if still else size

    cdef _Subroutine subroutine(self, Function function, int length):
        """The code of a composite function over strips of at most so many elements."""
        cdef _Subroutine made = self.subroutines.get((function, length))
        cdef _Strip strip
        cdef Node node
        cdef dict spare = self.spare, temporaries = {}, uses = {}, places = {}
        cdef list order
        if made is not None:
            return made
        # Those that it calls come first: how deep they call one another does not matter.
        for node in postorder((function,), True):
            if isinstance(node, Function) and node is not function:
                self.subroutine(<Function>node, length)
        made = self.subroutines[function, length] = _Subroutine.__new__(_Subroutine)
        made.params = [(self.register(), self.register()) for _ in function.params]
        made.result = self.register(), self.register()
        made.entry, made.after = self.register(), self.register()
        strip = _Strip.__new__(_Strip)
        strip.length, strip.single, strip.before, strip.steps = length, True, [], []
        strip.streams = {(param, ()): pair for param, pair in zip(function.params, made.params)}
        strip.stored = set()
        order = _order([function.body])
        # Nothing is computed ahead of a strip: a call may be for any.
        strip.still = dict.fromkeys(order, False)
        for node in order:
            if _is_computed(node):
                for arg in _parts(node):
                    uses[arg] = uses.get(arg, 0) + 1
        uses[function.body] = uses.get(function.body, 0) + 1
        # Its strips are its own: those of callers hold values.
        self.spare = {}
        self.scopes.append(_Scope())
        try:
            for node in order:
                target = made.result if node is function.body and _is_computed(node) else None
                places[node] = self.value(node, strip, places, temporaries, uses, target)
            if places[function.body] is not None:
                self.copy(places[function.body], function.body.type.element, made.result)
        finally:
            made.code = (<_Scope>self.scopes.pop()).code
            self.spare = spare
        made.code.append((OP_RETURN, 0, made.after))
        return made

    # -- the tape --

    cdef Tape tape(self):
        cdef Tape tape = Tape.__new__(Tape)
        cdef list code
        self.statements(self.program.statements)
        code = self.code()
        code.append((OP_STOP, 0))
        for routine in self.subroutines.values():
            self.start[(<_Subroutine>routine).entry] = len(code)
            code.extend((<_Subroutine>routine).code)
        tape.fill(self, code)
        return tape


cdef bint _holds(Node node, Node index) except -1:
    """Whether an integer expression holds an index."""
    cdef Node arg
    if node is index:
        return True
    for arg in node.args:
        if _holds(arg, index):
            return True
    return False


cdef str _accumulates(Store store):
    """The name of the fold of a store `acc[] = op(acc[], value)`; empty for another one."""
    cdef Node value = store.value, arg
    if value.cid == APPLY and len(value.args) == 2:
        arg = value.args[0]
        if arg.cid == LOAD and (<Load>arg).operand is store.operand and (<Load>arg).subscripts == store.subscripts:
            if not _reads((value.args[1],), {store.operand}):
                return f"{(<Apply>value).op.name}_{store.operand.type.element.name}"
    return ""


cdef bint _is_computed(Node node) noexcept:
    """Whether a value is made of others: it has a place of its own."""
    return node.cid == APPLY or node.cid == CAST or node.cid == CALL


cdef tuple _parts(Node node):
    """The values that a value is made of."""
    return (<Call>node).arguments if node.cid == CALL else node.args


cdef list _order(list roots):
    """The nodes of values, children first, without what stands in subscripts."""
    cdef list order = postorder(roots)
    cdef Node node
    cdef set inside = set(roots)
    for node in reversed(order):
        if node in inside and _is_computed(node):
            inside.update(_parts(node))
    return [node for node in order if node in inside]


cdef bint _reads(tuple roots, set operands) except -1:
    """Whether values, or the values and subscripts of stores, read one of some operands."""
    cdef Node node
    cdef list read = []
    for node in roots:
        if isinstance(node, Store):
            read.extend((<Store>node).subscripts)
            read.append((<Store>node).value)
        else:
            read.append(node)
    for node in postorder(read):
        if node.cid == OPERAND and node in operands:
            return True
    return False


cdef bint _bounded(For loop, int length) except -1:
    """Whether a loop from x to minimum(x + c, ...) has no more than so many elements."""
    cdef Node stop = loop.stop, part
    if loop.start.cid == CONSTANT and stop.cid == CONSTANT:
        return (<Constant>stop).value - (<Constant>loop.start).value <= length
    if stop.cid != APPLY or (<Apply>stop).op.name != "minimum":
        return False
    for part in stop.args:
        if part.cid == APPLY and (<Apply>part).op.name == "add" and loop.start in part.args:
            for arg in part.args:
                if (<Node>arg).cid == CONSTANT and 0 <= (<Constant>arg).value <= length:
                    return True
    return False


cdef class Tape:
    """A program in the form that the machine of block.h runs."""

    def __cinit__(self):
        self.tape = PyMem_Malloc(sizeof(TapeData))
        if self.tape == NULL:
            raise MemoryError()
        memset(self.tape, 0, sizeof(TapeData))
        self.run = tape_run

    def __init__(self, program):
        raise TypeError("a Tape is made by `translate`")

    def __dealloc__(self):
        cdef TapeData *data = <TapeData *>self.tape
        if data != NULL:
            PyMem_Free(data.code)
            PyMem_Free(data.start)
            PyMem_Free(data.fetch)
            PyMem_Free(data.relocate)
            PyMem_Free(data)

    def __repr__(self):
        return f"<Tape of {(<TapeData *>self.tape).instructions} instructions, {(<TapeData *>self.tape).registers} registers>"

    def __call__(self, *arrays):
        """Run on arrays of the program's operands and results, in order; returns the status of a kernel.

        Nothing is checked: they are of the declared types and ranks, and broadcast axes have stride 0.
        """
        cdef Array *given = <Array *>PyMem_Malloc(max(1, len(arrays)) * sizeof(Array))
        cdef cnp.ndarray array
        cdef int k
        if given == NULL:
            raise MemoryError()
        for k in range(len(arrays)):
            array = arrays[k]
            given[k].data = cnp.PyArray_BYTES(array)
            given[k].shape = <const intptr_t *>cnp.PyArray_DIMS(array)
            given[k].strides = <const intptr_t *>cnp.PyArray_STRIDES(array)
        try:
            return self.run(self.tape, given, NULL)
        finally:
            PyMem_Free(given)

    @property
    def arena(self):
        """The bytes of strips that a call works in."""
        return (<TapeData *>self.tape).arena

    cdef int fill(self, object given, list code) except -1:
        cdef _Compiler made = given
        cdef int k, axis, rank
        cdef Instruction *at
        cdef PackPlan *plan
        cdef tuple row
        cdef TapeData *data = <TapeData *>self.tape
        data.code = <Instruction *>PyMem_Malloc(len(code) * sizeof(Instruction))
        data.start = <intptr_t *>PyMem_Malloc(max(1, len(made.start)) * sizeof(intptr_t))
        data.fetch = <Fetch *>PyMem_Malloc(max(1, len(made.fetch)) * sizeof(Fetch))
        data.relocate = <int *>PyMem_Malloc(max(1, len(made.relocate)) * sizeof(int))
        if data.code == NULL or data.start == NULL or data.fetch == NULL or data.relocate == NULL:
            raise MemoryError()
        memset(data.code, 0, len(code) * sizeof(Instruction))
        pool = np.empty(len(made.pool) + 64, np.uint8)
        shift = -pool.ctypes.data % 64
        pool[shift:shift + len(made.pool)] = np.frombuffer(made.pool, np.uint8)
        self.pool = pool
        self.plans = []
        for k in range(len(made.start)):
            data.start[k] = made.start[k]
        for reg, offset in made.pooled:
            data.start[<int>reg] = <intptr_t>(pool.ctypes.data + shift + offset)
        for k in range(len(made.fetch)):
            row = made.fetch[k]
            data.fetch[k].reg, data.fetch[k].array, data.fetch[k].kind, data.fetch[k].axis = row
        for k in range(len(made.relocate)):
            data.relocate[k] = made.relocate[k]
        for k in range(len(code)):
            row = code[k]
            at = &data.code[k]
            at.op = row[0]
            at.to = row[1] if len(row) > 1 else 0
            if len(row) > 2:
                at.a = row[2]
            if len(row) > 3:
                at.b = row[3]
            if len(row) > 4:
                at.c = row[4]
            if len(row) > 5:
                at.d = row[5]
            if len(row) > 6:
                at.e, at.f, at.g, at.h, at.i, at.j = row[6:12]
                at.function = <void *><uintptr_t>row[12]
                at.data = <void *><uintptr_t>row[13]
            if at.op == OP_PACK:
                raw = bytearray(sizeof(PackPlan))
                plan = <PackPlan *><char *>raw
                rank, plan.size, plan.target, plan.source = made.plans[at.a][:4]
                plan.rank = rank
                for axis in range(rank):
                    plan.extents[axis] = made.plans[at.a][4][axis]
                    plan.targets[axis] = made.plans[at.a][5][axis]
                    plan.sources[axis] = made.plans[at.a][6][axis]
                self.plans.append(raw)
                at.data = plan
        data.instructions = len(code)
        data.registers = len(made.start)
        data.fetches = len(made.fetch)
        data.relocations = len(made.relocate)
        data.arena = made.arena
        return 0


def translate(program):
    """The tape of a scheduled program, whose operands are all declared. Raises UnsupportedError for what has none."""
    cdef _Compiler compiler = _Compiler(program)
    return compiler.tape()
