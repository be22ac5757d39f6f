/* A memoryview of a new array of Cython's, with uninitialised elements. Takes the GIL. */
static int arrayexpr_new(SLICE *made, int rank, const ptrdiff_t *shape, size_t itemsize, const char *format,
                         int fortran, const void *typeinfo) {
    PyGILState_STATE state = PyGILState_Ensure();
    struct __pyx_array_obj *array = NULL;
    struct OBJECT *memview = NULL;
    SLICE fresh;
    int axis, status = -1, empty = 0;
    ptrdiff_t step = (ptrdiff_t)itemsize;
    PyObject *lengths = PyTuple_New(rank);
    memset(&fresh, 0, sizeof fresh);
    if (lengths == NULL) goto end;
    /* Arrays of Cython's have at least one element: a slice of it may have none. */
    for (axis = 0; axis < rank; ++axis) empty = empty || shape[axis] == 0;
    for (axis = 0; axis < rank; ++axis) {
        PyObject *length = PyLong_FromSsize_t(empty ? 1 : (Py_ssize_t)shape[axis]);
        if (length == NULL) goto end;
        if (PyTuple_SetItem(lengths, axis, length) < 0) goto end;
    }
    array = __pyx_array_new(lengths, (Py_ssize_t)itemsize, (char *)format, fortran ? "fortran" : "c", NULL);
    if (array == NULL) goto end;
    memview = (struct OBJECT *)__pyx_memoryview_new(
        (PyObject *)array, (fortran ? PyBUF_F_CONTIGUOUS : PyBUF_C_CONTIGUOUS) | PyBUF_FORMAT | PyBUF_WRITABLE, 0,
        (__Pyx_TypeInfo *)typeinfo);
    if (memview == NULL) goto end;
    if (__Pyx_init_memviewslice(memview, rank, &fresh, 1) < 0) {
        Py_DECREF((PyObject *)memview);
        goto end;
    }
    for (axis = 0; empty && axis < rank; ++axis) {
        const int place = fortran ? axis : rank - 1 - axis;
        fresh.shape[place] = (Py_ssize_t)shape[place];
        fresh.strides[place] = (Py_ssize_t)step;
        step *= shape[place] > 1 ? shape[place] : 1;
    }
    *made = fresh;
    status = 0;
end:
    Py_XDECREF(lengths);
    Py_XDECREF((PyObject *)array);
    PyGILState_Release(state);
    return status;
}
