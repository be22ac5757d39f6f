ARRAYS: int
SCALARS: int
RANK: int
STILL: int
WRITTEN: int
READ: int

def addresses() -> dict[str, int]: ...
