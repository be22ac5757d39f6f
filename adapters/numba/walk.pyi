ARRAYS: int
SCALARS: int
RANK: int
STILL: int
WRITTEN: int
READ: int
APART: int

def addresses() -> dict[str, int]: ...
