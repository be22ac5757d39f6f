"""arrayexpr and its peers on the same works, in one run: see `python -m benchmarks.field --help`."""
