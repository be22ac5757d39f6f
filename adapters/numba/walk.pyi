ARRAYS: int
SCALARS: int
RANK: int
WRITTEN: int
READ: int

def addresses() -> dict[str, int]: ...
