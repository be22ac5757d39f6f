"""Reductions of expressions on memoryviews, for `.pyx` modules that the Cython adapter compiles.

    cimport arrayexpr
    arrayexpr.sum(a * b)                    # a C number
    arrayexpr.max(a - b, axis=0)            # a new memoryview
    arrayexpr.all(a > 0, axis=(0, 2))

There is no code behind these names but what the adapter writes for each call: docs/how-to/cython.md.
"""

cdef extern from *:
    double sum "arrayexpr_sum_wants_the_cython_adapter"(...) nogil
    double prod "arrayexpr_prod_wants_the_cython_adapter"(...) nogil
    double min "arrayexpr_min_wants_the_cython_adapter"(...) nogil
    double max "arrayexpr_max_wants_the_cython_adapter"(...) nogil
    double mean "arrayexpr_mean_wants_the_cython_adapter"(...) nogil
    bint any "arrayexpr_any_wants_the_cython_adapter"(...) nogil
    bint all "arrayexpr_all_wants_the_cython_adapter"(...) nogil
