ARRAYS: int
SCALARS: int
RANK: int
STILL: int
WRITTEN: int
READ: int
<<<<<<< HEAD
FOLDED: int
ORDERED: int
FORTRAN: int
FOLD_AT: int
FOLDS: tuple[str, ...]
=======
APART: int
>>>>>>> loops

def addresses() -> dict[str, int]: ...
