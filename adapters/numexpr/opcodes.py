"""The numbers of numexpr's operations in its bytecode (2.14), which are part of its interface: see `bytecode`.

>>> opcodes[b"add_ddd"], funccodes[b"cos_dd"]
(86, 2)
"""

from __future__ import annotations

from typing import Final

#: Operations in the order of their codes; `-` is a code that has no name.
_OPERATIONS: Final = """
noop copy_bb invert_bb and_bbb or_bbb xor_bbb eq_bbb ne_bbb gt_bii ge_bii eq_bii ne_bii gt_bll ge_bll eq_bll
ne_bll gt_bff ge_bff eq_bff ne_bff gt_bdd ge_bdd eq_bdd ne_bdd gt_bss ge_bss eq_bss ne_bss cast_ib copy_ii
ones_like_ii neg_ii add_iii sub_iii mul_iii div_iii pow_iii mod_iii floordiv_iii lshift_iii rshift_iii
where_ibii invert_ii and_iii or_iii xor_iii cast_li copy_ll ones_like_ll neg_ll add_lll sub_lll mul_lll div_lll
pow_lll mod_lll floordiv_lll lshift_lll rshift_lll where_lbll invert_ll and_lll or_lll xor_lll cast_fi cast_fl
copy_ff ones_like_ff neg_ff add_fff sub_fff mul_fff div_fff pow_fff mod_fff floordiv_fff sqrt_ff where_fbff
func_ffn func_fffn cast_di cast_dl cast_df copy_dd ones_like_dd neg_dd add_ddd sub_ddd mul_ddd div_ddd pow_ddd
mod_ddd floordiv_ddd sqrt_dd where_dbdd func_ddn func_dddn eq_bcc ne_bcc cast_ci cast_cl cast_cf cast_cd
ones_like_cc copy_cc neg_cc add_ccc sub_ccc mul_ccc div_ccc where_cbcc func_ccn func_cccn real_dc imag_dc
complex_cdd copy_ss where_bbbb contains_bss func_bdn func_bfn func_bcn func_iin func_lln - sum_iin sum_lln
sum_ffn sum_ddn sum_ccn - prod_iin prod_lln prod_ffn prod_ddn prod_ccn - min_iin min_lln min_ffn min_ddn -
max_iin max_lln max_ffn max_ddn
"""

_REAL: Final = (
    "sqrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh log log1p log10 log2 exp expm1 "
    "absolute conjugate"
)
#: Functions in the order of their codes, for each signature: the last argument of an operation named `func`.
_FUNCTIONS: Final = {
    **dict.fromkeys(("ff", "dd"), f"{_REAL} ceil floor trunc sign round"),
    "cc": f"{_REAL} sign round",
    **dict.fromkeys(("fff", "ddd"), "fmod arctan2 hypot nextafter copysign maximum minimum"),
    "ccc": "pow",
    **dict.fromkeys(("bd", "bf"), "isnan isfinite isinf signbit"),
    "bc": "isnan isfinite isinf",
    **dict.fromkeys(("ii", "ll"), "sign round absolute"),
}

opcodes: Final = {name.encode(): code for code, name in enumerate(_OPERATIONS.split()) if name != "-"}
funccodes: Final = {
    f"{name}_{codes}".encode(): code for codes, names in _FUNCTIONS.items() for code, name in enumerate(names.split())
}
