"""Versions of a kernel for a processor's widest vectors, chosen when it runs, in which C's functions come from glibc's
vector library or ours: within 4 ulp, which is for `arrayexpr_fast`.

A module is compiled for the processors that its flags name, mostly any. These versions and what they call are compiled
for others, by pragmas of gcc, and under names of their own: what is included for one processor is not for another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from arrayexpr._core.nodes import Node, postorder
from arrayexpr._core.program import Program
from arrayexpr._core.vector_math import is_vector_math
from arrayexpr.target import Target

from .. import c


@dataclass(frozen=True, slots=True)
class Level:
    """What gcc calls the instructions, and the machine that schedules are made for."""

    name: str
    instructions: str
    target: Target


#: The widest first. 512 x 512 of Black-Scholes took 3.3 ms by the scalar library, 0.74 with AVX2 and 0.34 with AVX-512;
#: by the two lanes of SSE2, 6.8.
LEVELS = (
    Level("512", "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma", Target(vector=64)),
    Level("256", "avx2,fma", Target(vector=32)),
)

_LEVEL = """\
#if defined(__GNUC__) && !defined(__clang__) && !defined(__cplusplus) && defined(__x86_64__) && defined(__GLIBC__)
#if __GLIBC_PREREQ(2, 35)
#define ARRAYEXPR_WIDE
/* The widest vectors that the processor has, of those that there are versions for. */
static int arrayexpr_level(void) {
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return 512;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 256 : 0;
}
#endif
#endif"""

_CALL = """\
#ifdef ARRAYEXPR_WIDE
static CYTHON_INLINE int NAME_wide(const arrayexpr_array *arrays, void *scratch) {
    switch (arrayexpr_level()) {
    case 512: NAME_wide512(arrays, scratch, 1); return 1;
    case 256: NAME_wide256(arrays, scratch, 1); return 1;
    default: return 0;
    }
}
static CYTHON_INLINE ptrdiff_t NAME_wide_scratch(const arrayexpr_array *arrays) {
    const ptrdiff_t one = NAME_wide512_scratch(arrays), other = NAME_wide256_scratch(arrays);
    return one > other ? one : other;
}
#else
#define NAME_wide(arrays, scratch) 0
#define NAME_wide_scratch(arrays) 0
#endif
"""

#: Names that have one meaning for all processors.
_SHARED = frozenset(re.findall(r"\w+", c.HEAD)) | {"ARRAYEXPR_UNUSED", "ARRAYEXPR_LIST"}


def gains(values: Iterable[Node]) -> bool:
    """Whether values have functions that a vector library computes."""
    return any(is_vector_math(node) for node in postorder(values))


def versions(schedule: Callable[[str, Target], Program]) -> list[Program]:
    """The schedules, by their names and targets, for each of the levels."""
    return [schedule(f"wide{level.name}", level.target) for level in LEVELS]


def text(programs: Sequence[Program], function_of: Callable[[list[str]], str]) -> tuple[list[str], str]:
    """Definitions that the functions need, and the functions, of which `NAME_wide` runs the one for the processor."""
    helpers, functions = [_LEVEL], []
    for level, program in zip(LEVELS, programs, strict=True):
        definitions, lines = c.parts(program.replace(name=f"NAME_{program.name}"), checked=False)
        helpers += [_for(level, definition) for definition in definitions]
        functions.append(_for(level, function_of(lines)))
    return helpers, "\n".join([*functions, _CALL])


def _for(level: Level, code: str) -> str:
    def own(found: re.Match[str]) -> str:
        return found[0] if found[0] in _SHARED else f"{found[1]}{level.name}_{found[2]}"

    named = re.sub(r"\b(arrayexpr|ARRAYEXPR)_(\w*)", own, code)
    return (
        f'#ifdef ARRAYEXPR_WIDE\n#pragma GCC push_options\n#pragma GCC target("{level.instructions}")\n'
        f"{named}\n#pragma GCC pop_options\n#endif"
    )


def used_by(sources: Iterable[str]) -> bool:
    """Whether a file of C has such versions: it is linked with `-lm`, where the vector library is."""
    return any(
        "#define ARRAYEXPR_WIDE" in Path(source).read_text(encoding="utf-8", errors="replace")
        for source in map(str, sources)
        if source.endswith((".c", ".cpp")) and Path(source).is_file()
    )
