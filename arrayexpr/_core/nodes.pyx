# cython: language_level=3
"""The nodes of the tree: their construction, sharing and traversal. The grammar is nodes.pxd.

>>> from arrayexpr._core.ops import operator
>>> from arrayexpr._core.types import FLOAT64
>>> a = Operand("a", FLOAT64.array(2))
>>> Apply(operator("add"), (a, a)) is Apply(operator("add"), (a, a))
True
"""

cimport cython
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport Py_EQ, PyObject, PyObject_RichCompareBool, PyTypeObject, newfunc
from cpython.type cimport type as pytype
from libc.stdint cimport uint64_t, uintptr_t

from typing import NamedTuple

import numpy as np

from .errors import OutOfRange, TypeMismatch, VerifyError
from .ops import Operator
from .types import BOOL, INT64, ArrayType, ElementType

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *) nogil
    void PyObject_GC_UnTrack(void *)
    Py_ssize_t PyTuple_GET_SIZE(PyObject *)
    PyObject *PyTuple_GET_ITEM(PyObject *, Py_ssize_t)
    int PyList_Append(list, PyObject *) except -1


class Slice(NamedTuple):
    """One axis of a View's subscripts, with the meaning of Python's slice; start and stop may be int64 expressions."""

    start: Any = None
    stop: Any = None
    step: int | None = None


#: What a Loop promises of its iterations: `serial` nothing, `block` that it steps over tiles, `vector`
#: and `parallel` that they are independent (in lanes of one thread; in many threads), `reduce` that its stores
#: of accumulators may be regrouped, in the fixed order of folds, `grid`, `lane` and `unroll` are for GPUs.
ROLES = frozenset({"serial", "block", "vector", "reduce", "parallel", "grid", "lane", "unroll", "stream"})

# -- The table of all living nodes: open addressing over borrowed pointers. --------------------
# A node takes itself out when it dies. One that is dying but not yet freed (the trashcan defers the
# children of a deep tree) still stands there with no references, and must not be found again.

cdef PyObject **_slots = NULL
cdef size_t _size = 0          # a power of two
cdef size_t _live = 0
cdef size_t _used = 0          # living and deleted
cdef uint64_t _changes = 0
cdef char _deleted_mark
cdef PyObject *DELETED = <PyObject *>&_deleted_mark


cdef int _grow() except -1:
    global _slots, _size, _used, _changes
    cdef size_t size = 1024
    while size < 2 * (_live + 1):
        size *= 2
    cdef PyObject **slots = <PyObject **>PyMem_Calloc(size, sizeof(PyObject *))
    if slots == NULL:
        raise MemoryError()
    cdef size_t k, place
    for k in range(_size):
        if _slots[k] != NULL and _slots[k] != DELETED:
            place = <size_t>(<Node>_slots[k]).hash_ & (size - 1)
            while slots[place] != NULL:
                place = (place + 1) & (size - 1)
            slots[place] = _slots[k]
    PyMem_Free(_slots)
    _slots, _size, _used = slots, size, _live
    _changes += 1
    return 0


cdef void _forget(Node node) noexcept:
    global _live, _changes
    if _size == 0:
        return
    cdef size_t place = <size_t>node.hash_ & (_size - 1)
    while _slots[place] != NULL:
        if _slots[place] == <PyObject *>node:
            _slots[place] = DELETED
            _live -= 1
            _changes += 1
            return
        place = (place + 1) & (_size - 1)


# Per class: its tp_new as Cython made it, which allocates. The slot itself is replaced below, so that
# calling a class looks the node up first.
cdef enum:
    CLASSES = 32
cdef newfunc _allocate[CLASSES]
cdef PyTypeObject *_class[CLASSES]
cdef tuple _EMPTY = ()


cdef Node _intern(int cid, object type, object key, tuple args):
    global _live, _used, _changes
    cdef uint64_t h = <uint64_t>cid * 0x9E3779B97F4A7C15u
    cdef Node child, known, node
    cdef size_t place
    cdef Py_ssize_t k, n = len(args)
    cdef uint64_t changes
    cdef bint same
    h = (h ^ (<uint64_t><uintptr_t><PyObject *>type >> 4)) * 0xBF58476D1CE4E5B9u
    if key is not None:
        h = (h ^ <uint64_t>hash(key)) * 0x94D049BB133111EBu
    for k in range(n):
        child = <Node?>args[k]
        h = (h ^ (h >> 29) ^ (<uint64_t><uintptr_t><PyObject *>child >> 4)) * 0x9E3779B97F4A7C15u
    h ^= h >> 31
    if 4 * (_used + 1) > 3 * _size:
        _grow()
    while True:
        changes = _changes
        place = <size_t>h & (_size - 1)
        while _slots[place] != NULL:
            if (_slots[place] != DELETED and (<Node>_slots[place]).hash_ == <Py_hash_t>h
                    and Py_REFCNT(_slots[place]) > 0):
                known = <Node>_slots[place]
                if known.cid == cid and known.type is type and len(known.args) == n:
                    same = True
                    for k in range(n):
                        if <PyObject *>known.args[k] != <PyObject *>args[k]:
                            same = False
                            break
                    if same:
                        if known.key is key:
                            return known
                        same = PyObject_RichCompareBool(known.key, key, Py_EQ)
                        # The comparison may have run Python code that made or freed nodes.
                        if _changes != changes:
                            break
                        if same:
                            return known
            place = (place + 1) & (_size - 1)
        else:
            break
    node = <Node>_allocate[cid](<pytype>_class[cid], <PyObject *>_EMPTY, NULL)
    node.cid = cid
    node.type = type
    node.key = key
    node.args = args
    node.hash_ = <Py_hash_t>h
    node.bind()
    # A node reaches nodes, names, types and operators only, so no cycle goes through it and the garbage
    # collector need not look: a transform of 100,000 nodes took 235 ms with it, and takes 70 ms without.
    PyObject_GC_UnTrack(<void *>node)
    PyObject_GC_UnTrack(<void *>args)
    # Allocation may have run the garbage collector, and with it changed the table.
    if 4 * (_used + 1) > 3 * _size:
        _grow()
    place = <size_t>h & (_size - 1)
    while _slots[place] != NULL and _slots[place] != DELETED:
        place = (place + 1) & (_size - 1)
    if _slots[place] == NULL:
        _used += 1
    _slots[place] = <PyObject *>node
    _live += 1
    _changes += 1
    return node


def living_nodes():
    """How many nodes there are in the process: for tests of leaks."""
    return _live


# -- The classes. Each `bind` sets the named fields from type, key and args. --------------------

@cython.trashcan(True)
cdef class Node:
    """Base of all nodes. Nodes are made by their classes, and never change."""

    def __dealloc__(self):
        _forget(self)

    cdef void bind(self):
        pass

    def __hash__(self):
        return self.hash_

    def __reduce__(self):
        raise TypeError("nodes are pickled as the text of their program: use str(program) and parse")

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self

    def __repr__(self):
        from .printer import show

        return show(self)


@cython.trashcan(True)
cdef class Constant(Node):
    """A scalar: `Constant(2.5, FLOAT64)`; the value must be one of the element type, bit for bit."""

    __match_args__ = ("value",)

    cdef void bind(self):
        t = self.type.element
        scalar = np.frombuffer(self.key, t.dtype)[0]
        self.value = scalar if t.bits in (80, 160) else scalar.item()


@cython.trashcan(True)
cdef class Operand(Node):
    """An array (or scalar, of rank 0) that the program is given: `Operand("a", FLOAT64.array(2))`."""

    __match_args__ = ("name",)

    cdef void bind(self):
        self.name = self.key


@cython.trashcan(True)
cdef class Index(Node):
    """The coordinate of the loop that binds this name."""

    __match_args__ = ("name",)

    cdef void bind(self):
        self.name = self.key


@cython.trashcan(True)
cdef class Extent(Node):
    """The length of one axis of an operand."""

    __match_args__ = ("operand", "axis")

    cdef void bind(self):
        self.operand = self.args[0]
        self.axis = self.key


@cython.trashcan(True)
cdef class Stride(Node):
    """The distance in bytes between neighbours along one axis of an operand."""

    __match_args__ = ("operand", "axis")

    cdef void bind(self):
        self.operand = self.args[0]
        self.axis = self.key


@cython.trashcan(True)
cdef class Disjoint(Node):
    """Whether two operands share no memory; or, if `same`, each element of one with none but its like of the other.

    False too where that takes long to tell: True is certain.
    """

    __match_args__ = ("one", "other", "same")

    cdef void bind(self):
        self.one, self.other = self.args
        self.same = self.key


@cython.trashcan(True)
cdef class View(Node):
    """`View(a, subscripts=(Slice(1), None, 0))` or `View(a, order=(1, 0))`.

    A subscript, or a bound of a slice, may be an int64 expression, which moves with the loops around:
    `View(a, subscripts=(Index("k"), Slice(1, -1)))`. Those are `args[1:]`.
    """

    __match_args__ = ("arg", "subscripts", "order")

    cdef void bind(self):
        self.arg = self.args[0]
        self.subscripts, self.order = self.key
        if len(self.args) > 1:
            self.subscripts = _filled(self.subscripts, self.args)


cdef tuple _filled(tuple template, tuple args):
    """A View's subscripts: each hole of the template, an ellipsis, becomes the next expression."""
    found = iter(args[1:])
    return tuple([
        next(found) if item is ...
        else Slice(*[next(found) if bound is ... else bound for bound in item]) if isinstance(item, Slice)
        else item
        for item in template
    ])


@cython.trashcan(True)
cdef class Apply(Node):
    """`Apply(op, args)`; the type follows from the operator's row and the operands' types."""

    __match_args__ = ("op", "args")

    cdef void bind(self):
        self.op = self.key


@cython.trashcan(True)
cdef class Cast(Node):
    """`Cast(arg, element)`."""

    __match_args__ = ("arg", "type")

    cdef void bind(self):
        self.arg = self.args[0]


@cython.trashcan(True)
cdef class Reduce(Node):
    """`Reduce(op, arg, axes, keepdims=False)`; the operator's row must name a reduction."""

    __match_args__ = ("op", "arg", "axes", "keepdims")

    cdef void bind(self):
        self.op, self.axes, self.keepdims = self.key
        self.arg = self.args[0]


@cython.trashcan(True)
cdef class Contract(Node):
    """`Contract(left, right)`, with the axes and broadcasting of NumPy's matmul."""

    __match_args__ = ("left", "right")

    cdef void bind(self):
        self.left, self.right = self.args


@cython.trashcan(True)
cdef class Function(Node):
    """`Function(name, params, body)`; params are Operands, and all that the body may read."""

    __match_args__ = ("name", "params", "body")

    cdef void bind(self):
        self.name = self.key
        self.params = self.args[:-1]
        self.body = self.args[-1]


@cython.trashcan(True)
cdef class Call(Node):
    """`Call(function, arguments)`, of the types of the function's parameters."""

    __match_args__ = ("function", "arguments")

    cdef void bind(self):
        self.function = self.args[0]
        self.arguments = self.args[1:]


@cython.trashcan(True)
cdef class Opaque(Node):
    """`Opaque(name, args, type)`: a host's pure function that we do not know; see `Program.hosts`."""

    __match_args__ = ("name", "args")

    cdef void bind(self):
        self.name = self.key


@cython.trashcan(True)
cdef class SideEffect(Node):
    """Runs exactly as often as written, in order with other effects and with what it touches.

    `reads` and `writes` are names of operands; None, what is not said, is everything.
    """

    __match_args__ = ("inner", "reads", "writes")

    cdef void bind(self):
        self.inner = self.args[0]
        self.reads, self.writes = self.key


@cython.trashcan(True)
cdef class Unreorderable(Node):
    """Keeps its place relative to everything; in an expression, elements in order, once each."""

    __match_args__ = ("inner",)

    cdef void bind(self):
        self.inner = self.args[0]


@cython.trashcan(True)
cdef class Assign(Node):
    """`Assign(target, value)`: the value broadcasts to the target, an operand or a view of one."""

    __match_args__ = ("target", "value")

    cdef void bind(self):
        self.target, self.value = self.args


@cython.trashcan(True)
cdef class For(Node):
    """`For(index, start, stop, step, body)`: in order, as Python's range."""

    __match_args__ = ("index", "start", "stop", "step", "body")

    cdef void bind(self):
        self.index, self.start, self.stop, self.step = self.args[:4]
        self.body = self.args[4:]


@cython.trashcan(True)
cdef class Loop(For):
    """`Loop(index, start, stop, step, role, body)`: a loop of a schedule, with one of the `ROLES`."""

    __match_args__ = ("index", "start", "stop", "step", "role", "body")

    cdef void bind(self):
        self.index, self.start, self.stop, self.step = self.args[:4]
        self.body = self.args[4:]
        self.role = self.key


@cython.trashcan(True)
cdef class Load(Node):
    """`Load(operand, subscripts)`: one element, inside loops."""

    __match_args__ = ("operand", "subscripts")

    cdef void bind(self):
        self.operand = self.args[0]
        self.subscripts = self.args[1:]


@cython.trashcan(True)
cdef class Store(Node):
    """`Store(operand, subscripts, value)`: sets one element, inside loops."""

    __match_args__ = ("operand", "subscripts", "value")

    cdef void bind(self):
        self.operand = self.args[0]
        self.subscripts = self.args[1:-1]
        self.value = self.args[-1]


@cython.trashcan(True)
cdef class Scratch(Node):
    """`Scratch(operand, extents)`: declares the operand as contiguous scratch, C order."""

    __match_args__ = ("operand", "extents")

    cdef void bind(self):
        self.operand = self.args[0]
        self.extents = self.args[1:]


@cython.trashcan(True)
cdef class Pack(Node):
    """`Pack(target, source, starts, extents)`: copies a window of source to the front of target."""

    __match_args__ = ("target", "source", "starts", "extents")

    cdef void bind(self):
        n = (len(self.args) - 2) // 2
        self.target, self.source = self.args[:2]
        self.starts = self.args[2:2 + n]
        self.extents = self.args[2 + n:]


@cython.trashcan(True)
cdef class Guard(Node):
    """`Guard(condition, then, otherwise=())`: a test at run time between statements."""

    __match_args__ = ("condition", "then", "otherwise")

    cdef void bind(self):
        n = 1 + <Py_ssize_t>self.key
        self.condition = self.args[0]
        self.then = self.args[1:n]
        self.otherwise = self.args[n:]


@cython.trashcan(True)
cdef class Barrier(Node):
    """`Barrier()`."""


_INT = INT64.array(0)
_BOOL = BOOL.array(0)
cdef object _SCALAR_INT = _INT

LEAVES = (Constant, Operand, Index, Extent, Stride, Disjoint)
EFFECTS = (SideEffect, Unreorderable)
STATEMENTS = (Assign, For, Loop, Store, Scratch, Pack, Guard, Barrier)


# -- Construction -------------------------------------------------------------------------------

cdef object _array_type(object t, str what):
    if isinstance(t, ArrayType):
        return t
    if isinstance(t, ElementType):
        return t.array(0)
    raise VerifyError(f"{what} has no type: expected an ArrayType, got {t!r}")


cdef int _need_name(str name, str what) except -1:
    if name is None or not name.isidentifier():
        raise VerifyError(f"{what} name {name!r} is not an identifier")
    return 0


cdef Node _need(object node, type cls, str what):
    if not isinstance(node, cls):
        raise VerifyError(f"{what} is {type(node).__name__}: expected {cls.__name__}")
    return <Node>node


cdef Node _need_value(object node, str what):
    if not isinstance(node, Node) or (<Node>node).type is None or isinstance(node, Function):
        raise VerifyError(f"{what} is {type(node).__name__}: expected an expression")
    return <Node>node


cdef tuple _need_ints(object nodes, str what):
    cdef tuple ints = tuple(nodes)
    for node in ints:
        if not isinstance(node, Node) or (<Node>node).type is not _SCALAR_INT:
            shown = (<Node>node).type if isinstance(node, Node) else type(node).__name__
            raise VerifyError(f"{what} is {shown}: expected a scalar int64 expression")
    return ints


cdef tuple _need_statements(object nodes, str what):
    cdef tuple statements = tuple(nodes)
    for node in statements:
        if not isinstance(node, STATEMENTS) and not isinstance(node, EFFECTS):
            raise VerifyError(f"{what} holds {type(node).__name__}: expected statements")
    return statements


cpdef Node constant(object value, object type):
    cdef object t = _array_type(type, "Constant").element
    if t.dtype is None:
        raise VerifyError(f"Constant of the foreign type {t}: expected a number")
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and t.kind in "iu":
        low, high = (-(1 << (t.bits - 1)), (1 << (t.bits - 1)) - 1) if t.kind == "i" else (0, (1 << t.bits) - 1)
        if not low <= value <= high:
            raise OutOfRange(f"constant {value} does not fit {t}: expected {low} to {high}")
    # Asked before the conversion, which would warn.
    if t.kind != "c" and isinstance(value, (complex, np.complexfloating)):
        raise TypeMismatch(f"constant {value!r} is no value of {t}")
    try:
        with np.errstate(over="ignore"):
            scalar = np.asarray(value).astype(t.dtype)
        if scalar.shape != () or (t.kind in "iub" and not bool(scalar == value)):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise TypeMismatch(f"constant {value!r} is no value of {t}") from None
    cdef bytes key = scalar.tobytes()
    if t.bits in (80, 160) and np.finfo(np.longdouble).nmant == 63:
        # The padding bytes of x87 long doubles are arbitrary: they must not make two constants of one.
        size = np.dtype(np.longdouble).itemsize
        key = b"".join([key[k:k + 10] + bytes(size - 10) for k in range(0, len(key), size)])
    return _intern(CONSTANT, t.array(0), key, ())


cpdef Node constant_of(bytes raw, object element):
    """The Constant whose value has these bytes, for code that computes constants: `constant` without the checks."""
    if element.dtype is None or len(raw) != element.itemsize or element.bits in (80, 160):
        return constant(np.frombuffer(raw, element.dtype)[0], element)
    return _intern(CONSTANT, element.array(0), raw, ())


cpdef Node operand(str name, object type):
    _need_name(name, "operand")
    return _intern(OPERAND, _array_type(type, f"operand {name}"), name, ())


cpdef Node index(str name):
    _need_name(name, "index")
    return _intern(INDEX, _SCALAR_INT, name, ())


cpdef Node extent(Node operand, int axis):
    _need(operand, Operand, "Extent's operand")
    if not 0 <= axis < operand.type.rank:
        raise VerifyError(f"axis {axis} of {operand.key}: expected 0 to {operand.type.rank - 1}")
    return _intern(EXTENT, _SCALAR_INT, axis, (operand,))


cpdef Node stride(Node operand, int axis):
    _need(operand, Operand, "Stride's operand")
    if not 0 <= axis < operand.type.rank:
        raise VerifyError(f"axis {axis} of {operand.key}: expected 0 to {operand.type.rank - 1}")
    return _intern(STRIDE, _SCALAR_INT, axis, (operand,))


cpdef Node disjoint(Node one, Node other, bint same=False):
    for node in (one, other):
        _need(node, Operand, "Disjoint's operand")
    if one is other:
        raise VerifyError(f"Disjoint of {one.key} and itself: expected two operands")
    return _intern(DISJOINT, _BOOL, same, (one, other))


cdef object _bound(object x, list moving):
    """A subscript or a bound of a View, as it stands in the key: an expression leaves a hole, and goes to `moving`."""
    if isinstance(x, Constant) and (<Constant>x).type is _SCALAR_INT:
        x = (<Constant>x).value
    if moving is not None and isinstance(x, Node):
        moving += _need_ints((x,), "View's subscript")
        return ...
    return None if x is None else x.__index__()


cpdef Node view(Node arg, object subscripts=None, object order=None):
    _need_value(arg, "View's arg")
    cdef int rank = arg.type.rank
    cdef int taken = 0, kept = 0
    if (subscripts is None) == (order is None):
        raise VerifyError("View takes either subscripts or an order of axes")
    if order is not None:
        order = tuple(order)
        if sorted(order) != list(range(rank)):
            raise VerifyError(f"View's order {order} of a rank {rank} value: expected a permutation of its axes")
        return _intern(VIEW, arg.type.element.array(rank), (None, order), (arg,))
    items = []
    cdef list moving = [arg]
    for item in subscripts:
        if item is None:
            kept += 1
        elif isinstance(item, (slice, Slice)):
            item = Slice(_bound(item.start, moving), _bound(item.stop, moving), _bound(item.step, None))
            if item.step == 0:
                raise VerifyError("View's slice has step 0")
            kept += 1
            taken += 1
        elif isinstance(item, int) and not isinstance(item, bool):
            taken += 1
        elif isinstance(item, Node):
            item = _bound(item, moving)
            taken += 1
        else:
            raise VerifyError(f"View's subscript {item!r}: expected an int, a Slice or None")
        items.append(item)
    if taken > rank:
        raise VerifyError(f"View has {taken} subscripts for a value of rank {rank}")
    items.extend([Slice()] * (rank - taken))
    return _intern(VIEW, arg.type.element.array(kept + rank - taken), (tuple(items), None), tuple(moving))


cpdef Node apply(object op, tuple args):
    cdef tuple types
    cdef Py_ssize_t k, n = len(args)
    cdef object t
    cdef int rank = 0
    if n == 2:
        types = ((<Node?>args[0]).type, (<Node?>args[1]).type)
    else:
        types = tuple([(<Node?>x).type for x in args])
    cdef dict known = op._results
    t = known.get(types)
    if t is None:
        for k in range(n):
            _need_value(args[k], f"operand {k} of {op.name}")
            rank = max(rank, types[k].rank)
        if op.arity == 1 and op.reduction is not None:
            raise VerifyError(f"{op.name} only reduces: expected Reduce")
        t = op.result(tuple([x.element for x in types])).array(rank)
        known[types] = t
    cdef Node node = _intern(APPLY, t, op, args)
    # All the rules of an Apply have been looked at here.
    node.verified = True
    return node


cpdef Node cast(Node arg, object to):
    _need_value(arg, "Cast's arg")
    t = to.element if isinstance(to, ArrayType) else to
    if not isinstance(t, ElementType):
        raise VerifyError(f"Cast to {to!r}: expected an element type")
    if (t.kind == "V") != (arg.type.element.kind == "V"):
        raise VerifyError(f"Cast from {arg.type.element} to {t}: foreign types are the host's to convert")
    return _intern(CAST, t.array(arg.type.rank), None, (arg,))


cpdef Node reduce(object op, Node arg, tuple axes, bint keepdims=False):
    _need_value(arg, "Reduce's arg")
    if not isinstance(op, Operator) or op.reduction is None:
        raise VerifyError(f"{op} is no reduction")
    cdef int rank = arg.type.rank
    if len(set(axes)) != len(axes) or not all([isinstance(k, int) and 0 <= k < rank for k in axes]):
        raise VerifyError(f"axes {axes} of a rank {rank} value: expected distinct axes from 0 to {rank - 1}")
    if op.arity == 1 and len(axes) not in (1, rank):
        raise VerifyError(f"{op.name} over axes {axes}: expected one axis, or all")
    axes = tuple(sorted(axes))
    element = op.result((arg.type.element,) * op.arity)
    return _intern(REDUCE, element.array(rank if keepdims else rank - len(axes)), (op, axes, bool(keepdims)), (arg,))


cpdef Node contract(Node left, Node right):
    _need_value(left, "Contract's left")
    _need_value(right, "Contract's right")
    if left.type.element is not right.type.element or left.type.element.kind == "V":
        raise TypeMismatch(f"Contract of {left.type} and {right.type}: expected one element type")
    cdef int m = left.type.rank, n = right.type.rank
    if m == 0 or n == 0:
        raise VerifyError(f"Contract of {left.type} and {right.type}: expected at least one axis each")
    rank = max(m, n, 2) - (m == 1) - (n == 1)
    return _intern(CONTRACT, left.type.element.array(rank), None, (left, right))


cpdef Node function(str name, tuple params, Node body):
    _need_name(name, "function")
    for p in params:
        _need(p, Operand, f"parameter of {name}")
    if len({p.key for p in params}) != len(params):
        raise VerifyError(f"function {name} names a parameter twice")
    _need_value(body, f"body of {name}")
    return _intern(FUNCTION, body.type, name, params + (body,))


cpdef Node call(Node function, tuple arguments):
    _need(function, Function, "Call's function")
    cdef Function f = <Function>function
    if len(arguments) != len(f.params):
        raise VerifyError(f"{f.name} takes {len(f.params)} arguments: got {len(arguments)}")
    rank = 0
    for p, a in zip(f.params, arguments):
        _need_value(a, f"argument {p.name} of {f.name}")
        if a.type.element is not p.type.element or (p.type.rank and a.type.rank != p.type.rank):
            raise TypeMismatch(f"argument {p.name} of {f.name} is {a.type}: expected {p.type}")
        rank = max(rank, a.type.rank)
    # Scalar parameters take arrays element by element, as a ufunc does.
    if any([p.type.rank for p in f.params]):
        if any([a.type.rank and not p.type.rank for p, a in zip(f.params, arguments)]):
            raise TypeMismatch(f"{f.name} mixes array and scalar parameters: expected scalars for the scalar ones")
        rank = f.body.type.rank
    return _intern(CALL, f.body.type.element.array(max(rank, f.body.type.rank)), None, (function,) + arguments)


cpdef Node opaque(str name, tuple args, object type):
    _need_name(name, "opaque")
    for a in args:
        _need_value(a, f"argument of {name}")
    return _intern(OPAQUE, _array_type(type, f"Opaque {name}").plain, name, args)


cpdef Node side_effect(Node inner, object reads=None, object writes=None):
    if inner is None:
        raise VerifyError("SideEffect holds nothing: expected an expression or a statement")
    sets = []
    for what, names in (("reads", reads), ("writes", writes)):
        if names is not None:
            names = frozenset([names] if isinstance(names, str) else names)
            if not all([isinstance(x, str) for x in names]):
                raise VerifyError(f"SideEffect's {what} {sorted(map(str, names))}: expected names of operands")
        sets.append(names)
    return _intern(SIDE_EFFECT, inner.type, tuple(sets), (inner,))


cpdef Node unreorderable(Node inner):
    if inner is None:
        raise VerifyError("Unreorderable holds nothing: expected an expression or a statement")
    return _intern(UNREORDERABLE, inner.type, None, (inner,))


cpdef Node assign(Node target, Node value):
    _need_value(value, "Assign's value")
    cdef Node base = target
    while isinstance(base, View):
        base = (<View>base).arg
    if not isinstance(base, Operand):
        raise VerifyError(f"Assign's target is {type(base).__name__}: expected an Operand or views of one")
    if target.type.element is not value.type.element:
        raise TypeMismatch(f"Assign of {value.type} to {base.key}, which is {target.type}: expected a Cast")
    if value.type.rank > target.type.rank:
        raise VerifyError(f"Assign of rank {value.type.rank} to {base.key} of rank {target.type.rank}")
    return _intern(ASSIGN, None, None, (target, value))


cpdef Node for_(Node index, Node start, Node stop, Node step, tuple body):
    _need(index, Index, "For's index")
    _need_ints((start, stop, step), f"bound of the loop over {index.key}")
    return _intern(FOR, None, None, (index, start, stop, step) + _need_statements(body, "For"))


cpdef Node loop(Node index, Node start, Node stop, Node step, str role, tuple body):
    _need(index, Index, "Loop's index")
    _need_ints((start, stop, step), f"bound of the loop over {index.key}")
    if role not in ROLES:
        raise VerifyError(f"role {role!r} of the loop over {index.key}: expected one of {', '.join(sorted(ROLES))}")
    return _intern(LOOP, None, role, (index, start, stop, step) + _need_statements(body, "Loop"))


cdef tuple _subscripts(Node operand, object subscripts, str what):
    _need(operand, Operand, what + "'s operand")
    cdef tuple ints = _need_ints(subscripts, f"subscript of {operand.key}")
    if len(ints) != operand.type.rank:
        raise VerifyError(f"{what} of {operand.key} has {len(ints)} subscripts: expected {operand.type.rank}")
    return ints


cpdef Node load(Node operand, tuple subscripts):
    cdef tuple ints = _subscripts(operand, subscripts, "Load")
    return _intern(LOAD, operand.type.element.array(0), None, (operand,) + ints)


cpdef Node store(Node operand, tuple subscripts, Node value):
    cdef tuple ints = _subscripts(operand, subscripts, "Store")
    _need_value(value, f"value stored to {operand.key}")
    if value.type.rank != 0 or value.type.element is not operand.type.element:
        raise TypeMismatch(f"Store of {value.type} to {operand.key}: expected a scalar {operand.type.element}")
    return _intern(STORE, None, None, (operand,) + ints + (value,))


cpdef Node scratch(Node operand, tuple extents):
    return _intern(SCRATCH, None, None, (operand,) + _subscripts(operand, extents, "Scratch"))


cpdef Node pack(Node target, Node source, tuple starts, tuple extents):
    cdef tuple a = _subscripts(source, starts, "Pack"), b = _subscripts(target, extents, "Pack")
    if target.type.element is not source.type.element:
        raise TypeMismatch(f"Pack of {source.key} to {target.key}: expected one element type")
    if len(a) != len(b):
        raise VerifyError(f"Pack of {source.key} to {target.key}: expected operands of one rank")
    return _intern(PACK, None, None, (target, source) + a + b)


cpdef Node guard(Node condition, tuple then, tuple otherwise=()):
    _need_value(condition, "Guard's condition")
    if condition.type is not _BOOL:
        raise TypeMismatch(f"Guard's condition is {condition.type}: expected a scalar bool")
    then = _need_statements(then, "Guard")
    return _intern(GUARD, None, len(then), (condition,) + then + _need_statements(otherwise, "Guard"))


cpdef Node barrier():
    return _intern(BARRIER, None, None, ())


cpdef Node rebuild(Node node, tuple args):
    """The same node over other children; its type is inferred anew. The node itself where they are its own."""
    cdef Py_ssize_t k
    if len(args) == len(node.args):
        for k in range(len(args)):
            if <PyObject *>args[k] != <PyObject *>node.args[k]:
                break
        else:
            return node
    cdef int cid = node.cid
    if cid == APPLY:
        return apply(node.key, args)
    if cid == CAST:
        return cast(args[0], node.type)
    if cid == VIEW:
        return view(args[0], _filled(node.key[0], args) if len(args) > 1 else node.key[0], node.key[1])
    if cid == LOAD:
        return load(args[0], args[1:])
    if cid == STORE:
        return store(args[0], args[1:-1], args[-1])
    if cid == REDUCE:
        return reduce(node.key[0], args[0], node.key[1], node.key[2])
    if cid == CONTRACT:
        return contract(args[0], args[1])
    if cid == FUNCTION:
        return function(node.key, args[:-1], args[-1])
    if cid == CALL:
        return call(args[0], args[1:])
    if cid == ASSIGN:
        return assign(args[0], args[1])
    if cid == SIDE_EFFECT:
        return side_effect(args[0], *node.key)
    if cid == UNREORDERABLE:
        return unreorderable(args[0])
    # What is left keeps its type; `verify` looks at the rest.
    return _intern(cid, node.type, node.key, args)


# -- Traversal: iterative, so that depth has no limit --------------------------------------------

cdef struct Frame:
    PyObject *node
    Py_ssize_t next

cdef unsigned long long _walks = 0
cdef unsigned long long _visited = 0


cdef class Walk:
    """One traversal over several calls: `fresh` gives what no call of this walk gave before.

    What was seen is marked in the node, with the number of the walk: a set of 100,000 nodes costs a cache
    miss a look-up. Another walk in between makes this one give nodes again, and never leave one out.
    """

    def __init__(self):
        global _walks
        _walks += 1
        self.number = _walks

    cpdef list fresh(self, object roots, bint functions=True):
        """The nodes under `roots` not seen yet, children before parents; `functions` enters function bodies."""
        global _visited
        cdef list order = []
        cdef tuple starts = tuple([<Node?>root for root in roots])
        cdef unsigned long long number = self.number
        cdef Py_ssize_t top = -1, size = 256
        cdef Frame *stack = <Frame *>PyMem_Malloc(size * sizeof(Frame))
        cdef Frame *more
        cdef PyObject *child
        cdef PyObject *args
        if stack == NULL:
            raise MemoryError()
        try:
            for root in starts:
                child = <PyObject *>root
                while True:
                    if child != NULL and (<Node>child).mark != number:
                        (<Node>child).mark = number
                        top += 1
                        if top == size:
                            more = <Frame *>PyMem_Realloc(stack, 2 * size * sizeof(Frame))
                            if more == NULL:
                                raise MemoryError()
                            stack, size = more, 2 * size
                        stack[top].node = child
                        stack[top].next = 0
                    if top < 0:
                        break
                    args = <PyObject *>(<Node>stack[top].node).args
                    if stack[top].next < PyTuple_GET_SIZE(args) and (
                        functions or (<Node>stack[top].node).cid != FUNCTION
                    ):
                        child = PyTuple_GET_ITEM(args, stack[top].next)
                        stack[top].next += 1
                    else:
                        PyList_Append(order, stack[top].node)
                        child = NULL
                        top -= 1
        finally:
            PyMem_Free(stack)
        _visited += len(order)
        return order

    def forget(self, list nodes not None):
        """Take nodes as not seen."""
        for node in nodes:
            (<Node?>node).mark = 0


cpdef list postorder(object roots, bint functions=False):
    """Every node under `roots` once, children before parents; `functions` enters the bodies of functions.

    A body reads its function's parameters and nothing else: what is asked of a program's operands is not asked of it.
    """
    return Walk().fresh(roots, functions)


cpdef int count_visits(Py_ssize_t count) except -1:
    """Add to what `visited` counts."""
    global _visited
    _visited += count
    return 0


def visited():
    """The nodes that traversals and rewrites of this process have visited so far: a measure of work, for tests."""
    return _visited


cdef class _Substitution:
    """Nodes met, children first, and what each becomes; a node's mark and place say where it stands."""

    # `places` takes the place of the marks once another walk has been over them.

    def __init__(self):
        global _walks
        _walks += 1
        self.number = _walks
        self.nodes = []
        self.values = []
        self.places = None

    cdef int put(self, Node node, object value) except -1:
        if self.places is None and _walks != self.number:
            self.places = {known: k for k, known in enumerate(self.nodes)}
        if self.places is not None:
            self.places[node] = len(self.nodes)
        node.mark = self.number
        node.place = len(self.nodes)
        self.nodes.append(node)
        self.values.append(value)
        return 0

    cdef object get(self, Node node):
        if self.places is None:
            if _walks == self.number:
                return self.values[node.place] if node.mark == self.number else None
            self.places = {known: k for k, known in enumerate(self.nodes)}
        k = self.places.get(node)
        return None if k is None else self.values[k]

    cdef int run(self, object roots, object leaf) except -1:
        global _visited
        cdef list stack = list(roots), args
        cdef Node node, child
        cdef object top, mapped
        cdef bint changed
        cdef Py_ssize_t k
        while stack:
            top = stack.pop()
            if top is None:
                # The node below has been opened, and its children are done.
                node = <Node>stack.pop()
                changed = False
                args = []
                for child in node.args:
                    mapped = self.get(child)
                    changed |= mapped is not child
                    args.append(mapped)
                self.put(node, rebuild(node, tuple(args)) if changed else node)
                continue
            node = <Node?>top
            if self.get(node) is not None:
                continue
            mapped = leaf(node)
            if mapped is not None or not node.args or node.cid == FUNCTION:
                self.put(node, node if mapped is None else mapped)
                continue
            stack.append(node)
            stack.append(None)
            for k in range(len(node.args) - 1, -1, -1):
                child = <Node>node.args[k]
                if self.get(child) is None:
                    stack.append(child)
        _visited += len(self.nodes)
        return 0


cpdef dict transform(object roots, object leaf):
    """Map every node under `roots`: `leaf(node)` gives its replacement, or None to rebuild it over its
    children's replacements. Bodies of functions stay as they are. Returns the map from old to new."""
    cdef _Substitution new = _Substitution()
    new.run(roots, leaf)
    return dict(zip(new.nodes, new.values))


cpdef list substitute(object roots, object leaf):
    """What `transform` makes of the roots alone: a third faster, for a caller that has no use for the map."""
    cdef _Substitution new = _Substitution()
    new.run(roots, leaf)
    return [new.get(root) for root in roots]


def is_verified(Node node):
    """Whether `verify` has seen the node valid: it never changes, so once is enough."""
    return bool(node.verified)


def set_verified(Node node):
    node.verified = True


# -- Calling a class builds through the functions above -----------------------------------------
# type.__call__ would allocate first; these two slots look for an equal node before that.

cdef extern from *:
    """
    static PyObject *arrayexpr_builders;  /* class -> function; borrowed from this module */

    static PyObject *arrayexpr_builder(PyObject *cls) {
        PyObject *build = PyDict_GetItemWithError(arrayexpr_builders, cls);
        if (build == NULL && !PyErr_Occurred())
            PyErr_Format(PyExc_TypeError, "%s cannot be made: expected one of its subclasses",
                         ((PyTypeObject *)cls)->tp_name);
        return build;
    }
    static PyObject *arrayexpr_new(PyTypeObject *cls, PyObject *args, PyObject *kwargs) {
        PyObject *build = arrayexpr_builder((PyObject *)cls);
        return build ? PyObject_Call(build, args, kwargs) : NULL;
    }
    static PyObject *arrayexpr_vectorcall(PyObject *cls, PyObject *const *args, size_t n, PyObject *names) {
        PyObject *build = arrayexpr_builder(cls);
        return build ? PyObject_Vectorcall(build, args, n, names) : NULL;
    }
    static void arrayexpr_take_over(PyTypeObject *cls) {
        cls->tp_new = arrayexpr_new;
        cls->tp_vectorcall = arrayexpr_vectorcall;
        PyType_Modified(cls);
    }
    """
    PyObject *arrayexpr_builders
    void arrayexpr_take_over(PyTypeObject *)

cdef dict _builders = {
    Constant: constant, Operand: operand, Index: index, Extent: extent, Stride: stride, View: view, Apply: apply,
    Cast: cast, Reduce: reduce, Contract: contract, Function: function, Call: call, Opaque: opaque,
    SideEffect: side_effect, Unreorderable: unreorderable, Assign: assign, For: for_, Loop: loop, Load: load,
    Store: store, Scratch: scratch, Pack: pack, Guard: guard, Barrier: barrier, Disjoint: disjoint,
}
arrayexpr_builders = <PyObject *>_builders
arrayexpr_take_over(<PyTypeObject *>Node)
for _cid, _cls in enumerate(_builders):
    _class[<int>_cid] = <PyTypeObject *>_cls
    _allocate[<int>_cid] = (<PyTypeObject *>_cls).tp_new
    arrayexpr_take_over(<PyTypeObject *>_cls)
