# NumPy's accessors on borrowed pointers, without a reference count for each.

from cpython.object cimport PyObject
from numpy cimport npy_intp

cdef extern from *:
    """
    #define ARRAYEXPR_NDIM(a) PyArray_NDIM((PyArrayObject *)(a))
    #define ARRAYEXPR_DIMS(a) PyArray_DIMS((PyArrayObject *)(a))
    #define ARRAYEXPR_STRIDES(a) PyArray_STRIDES((PyArrayObject *)(a))
    #define ARRAYEXPR_BYTES(a) PyArray_BYTES((PyArrayObject *)(a))
    #define ARRAYEXPR_FLAGS(a) PyArray_FLAGS((PyArrayObject *)(a))
    #define ARRAYEXPR_DESCR(a) ((PyObject *)PyArray_DESCR((PyArrayObject *)(a)))
    #define ARRAYEXPR_NEW(d, n, s, t) PyArray_NewFromDescr(&PyArray_Type, (PyArray_Descr *)(d), n, s, t, NULL, 0, NULL)
    #define ARRAYEXPR_RETURN(a) PyArray_Return((PyArrayObject *)(a))
    #define ARRAYEXPR_ITEMSIZE(a) PyArray_ITEMSIZE((PyArrayObject *)(a))
    #define ARRAYEXPR_ITEMSIZE_OF(d) PyDataType_ELSIZE((PyArray_Descr *)(d))
    #define ARRAYEXPR_TYPE_OF(d) (((PyArray_Descr *)(d))->type_num)
    """
    bint PyArray_CheckExact(PyObject *)
    int PyArray_NDIM "ARRAYEXPR_NDIM" (PyObject *) noexcept
    npy_intp *PyArray_DIMS "ARRAYEXPR_DIMS" (PyObject *) noexcept
    npy_intp *PyArray_STRIDES "ARRAYEXPR_STRIDES" (PyObject *) noexcept
    char *PyArray_BYTES "ARRAYEXPR_BYTES" (PyObject *) noexcept
    int PyArray_FLAGS "ARRAYEXPR_FLAGS" (PyObject *) noexcept
    PyObject *PyArray_DESCR "ARRAYEXPR_DESCR" (PyObject *) noexcept
    object PyArray_New "ARRAYEXPR_NEW" (PyObject *, int, const npy_intp *, const npy_intp *)
    object PyArray_Return "ARRAYEXPR_RETURN" (PyObject *)
    npy_intp PyArray_ITEMSIZE "ARRAYEXPR_ITEMSIZE" (PyObject *) noexcept
    npy_intp PyArray_ITEMSIZE_OF "ARRAYEXPR_ITEMSIZE_OF" (PyObject *) noexcept
    int PyArray_TYPE_OF "ARRAYEXPR_TYPE_OF" (PyObject *) noexcept

cdef extern from "Python.h":
    Py_ssize_t PyTuple_GET_SIZE(PyObject *)
    PyObject *PyTuple_GET_ITEM(PyObject *, Py_ssize_t)
    PyObject *PyList_GET_ITEM(object, Py_ssize_t)
