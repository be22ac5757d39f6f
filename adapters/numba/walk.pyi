ARRAYS: int
SCALARS: int
RANK: int
STILL: int
WRITTEN: int
READ: int
FOLDED: int
ORDERED: int
FORTRAN: int
FOLD_AT: int
FOLDS: tuple[str, ...]
APART: int
LARGE: int

def use_runtime(table: int) -> None: ...
def addresses() -> dict[str, int]: ...
