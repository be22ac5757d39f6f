"""What is not taken."""


class Refused(Exception):
    """What is not taken, and why; left to Numba as it stands."""
