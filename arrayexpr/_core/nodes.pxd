# The grammar of the tree, on one page.
#
#   program    ::= operands, statements, results                    (program.py)
#   statement  ::= Assign | For | effect | schedule
#   expression ::= leaf | View | Apply | Cast | Reduce | Contract | Call | Opaque | effect | Load
#   leaf       ::= Constant | Operand | Index | Extent | Stride | Disjoint
#   effect     ::= SideEffect | Unreorderable
#   schedule   ::= Loop | Load | Store | Scratch | Pack | Guard | Barrier
#
# A node is its class, its type, its key (what else it is made of) and its children, `args`. Nodes are
# immutable and shared: building one that exists gives the same object, so equality is identity.
# A class called from Python and the function of its name in lower case, for `cimport`, are the same.

# `cid` of a node, for code that dispatches on the class.
cdef enum NodeClass:
    CONSTANT, OPERAND, INDEX, EXTENT, STRIDE, VIEW, APPLY, CAST, REDUCE, CONTRACT, FUNCTION, CALL, OPAQUE
    SIDE_EFFECT, UNREORDERABLE, ASSIGN, FOR, LOOP, LOAD, STORE, SCRATCH, PACK, GUARD, BARRIER, DISJOINT

cdef class Node:
    cdef readonly tuple args          # children, in order
    cdef readonly object type         # ArrayType of an expression; None of a statement
    cdef readonly object key          # hashable: what makes the node beside class, type and args
    cdef Py_hash_t hash_
    cdef unsigned long long mark      # the walk that saw it last
    cdef unsigned int place           # and where, among what it saw
    cdef unsigned char cid
    cdef unsigned char verified
    cdef object __weakref__
    cdef void bind(self)

# -- leaves --
cdef class Constant(Node):            # a scalar of the element type
    cdef readonly object value
cdef class Operand(Node):             # an array or scalar given to the program, by name
    cdef readonly str name
cdef class Index(Node):               # the coordinate of a loop: int64
    cdef readonly str name
cdef class Extent(Node):              # operand.shape[axis]: int64
    cdef readonly Operand operand
    cdef readonly int axis
cdef class Stride(Node):              # operand.strides[axis], in bytes: int64
    cdef readonly Operand operand
    cdef readonly int axis
cdef class Disjoint(Node):            # no byte of one operand is one of the other: bool
    cdef readonly Operand one, other
    cdef readonly bint same           # or both are the very same elements

# -- expressions: arrays as a whole; operands broadcast right-aligned, as in NumPy --
cdef class View(Node):                # an affine window: either subscripts or an order of axes
    cdef readonly Node arg
    cdef readonly tuple subscripts    # per axis int, int64 expression or Slice of such; None for a new axis; or None
    cdef readonly tuple order         # axis k of the result is axis order[k] of arg; or None
cdef class Apply(Node):               # op(args...), element by element
    cdef readonly object op
cdef class Cast(Node):                # to the element type of `type`, as NumPy's astype
    cdef readonly Node arg
cdef class Reduce(Node):              # op over axes (each from 0); of no axes: arg itself
    cdef readonly object op
    cdef readonly Node arg
    cdef readonly tuple axes
    cdef readonly bint keepdims
cdef class Contract(Node):            # matmul
    cdef readonly Node left, right
cdef class Function(Node):            # parameters and a body; a value of Call only
    cdef readonly str name
    cdef readonly tuple params
    cdef readonly Node body
cdef class Call(Node):                # function(args...)
    cdef readonly Function function
    cdef readonly tuple arguments
cdef class Opaque(Node):              # the host's own function of args, by name
    cdef readonly str name

# -- effects: around an expression or a statement --
cdef class SideEffect(Node):          # reads, writes: names of operands; None means everything
    cdef readonly Node inner
    cdef readonly object reads, writes
cdef class Unreorderable(Node):
    cdef readonly Node inner

# -- statements --
cdef class Assign(Node):              # the whole value is computed, then stored
    cdef readonly Node target, value  # target: Operand or Views of one
cdef class For(Node):                 # for index in range(start, stop, step), in order
    cdef readonly Index index
    cdef readonly Node start, stop, step
    cdef readonly tuple body

# -- schedule --
cdef class Loop(For):                 # a For whose role is a promise: see ROLES in nodes.pyx
    cdef readonly str role
cdef class Load(Node):                # one element; a subscript is an int64 expression per axis
    cdef readonly Operand operand
    cdef readonly tuple subscripts
cdef class Store(Node):
    cdef readonly Operand operand
    cdef readonly tuple subscripts
    cdef readonly Node value
cdef class Scratch(Node):             # from here on, operand is contiguous scratch of these extents
    cdef readonly Operand operand
    cdef readonly tuple extents
cdef class Pack(Node):                # target[i...] = source[starts + i...] over the extents
    cdef readonly Operand target, source
    cdef readonly tuple starts, extents
cdef class Guard(Node):               # if condition: then, else: otherwise
    cdef readonly Node condition
    cdef readonly tuple then, otherwise
cdef class Barrier(Node):             # all lanes of a block arrive before any goes on
    pass

cpdef Node constant(object value, object type)
cpdef Node constant_of(bytes raw, object element)
cpdef Node operand(str name, object type)
cpdef Node index(str name)
cpdef Node extent(Node operand, int axis)
cpdef Node stride(Node operand, int axis)
cpdef Node disjoint(Node one, Node other, bint same=*)
cpdef Node view(Node arg, object subscripts=*, object order=*)
cpdef Node apply(object op, tuple args)
cpdef Node cast(Node arg, object to)
cpdef Node reduce(object op, Node arg, tuple axes, bint keepdims=*)
cpdef Node contract(Node left, Node right)
cpdef Node function(str name, tuple params, Node body)
cpdef Node call(Node function, tuple arguments)
cpdef Node opaque(str name, tuple args, object type)
cpdef Node side_effect(Node inner, object reads=*, object writes=*)
cpdef Node unreorderable(Node inner)
cpdef Node assign(Node target, Node value)
cpdef Node for_(Node index, Node start, Node stop, Node step, tuple body)
cpdef Node loop(Node index, Node start, Node stop, Node step, str role, tuple body)
cpdef Node load(Node operand, tuple subscripts)
cpdef Node store(Node operand, tuple subscripts, Node value)
cpdef Node scratch(Node operand, tuple extents)
cpdef Node pack(Node target, Node source, tuple starts, tuple extents)
cpdef Node guard(Node condition, tuple then, tuple otherwise=*)
cpdef Node barrier()

cpdef Node rebuild(Node node, tuple args)
cpdef list postorder(object roots, bint functions=*)
cpdef int count_visits(Py_ssize_t count) except -1
cpdef dict transform(object roots, object leaf)
cpdef list substitute(object roots, object leaf)

cdef class Walk:
    cdef unsigned long long number
    cpdef list fresh(self, object roots, bint functions=*)

cdef class _Substitution:
    cdef list nodes, values
    cdef unsigned long long number
    cdef dict places
    cdef int put(self, Node node, object value) except -1
    cdef object get(self, Node node)
    cdef int run(self, object roots, object leaf) except -1
