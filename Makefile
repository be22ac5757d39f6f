# `make` lists what there is.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help dev test slow lint types docs bench clean wheel

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-6s %s\n", $$1, $$2}'

$(BIN)/python:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --upgrade pip

dev: $(BIN)/python  ## make .venv with an editable install and all tools; run again after editing compiled modules
	$(BIN)/pip install -q "setuptools>=77" "Cython>=3.0.12" "numpy>=2.0"
	$(BIN)/pip install -q --no-build-isolation -e ".[dev]"
	@# An extension in place hides the module that it was made of: all are made anew.
	$(BIN)/python setup.py -q build_ext --inplace
	@if [ -d .git ]; then $(BIN)/pre-commit install; fi

test:  ## run the tests
	$(BIN)/pytest -n auto

slow:  ## run the slow tests too
	$(BIN)/pytest -n auto -m ""

lint:  ## check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:  ## check types
	$(BIN)/mypy

docs:  ## write the generated pages of docs/ anew
	$(BIN)/python docs/generate.py

bench:  ## run the benchmarks: ours against peers, in one run
	@for file in benchmarks/[a-z]*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done
	@echo "== benchmarks.field"; $(BIN)/python -m benchmarks.field

wheel: $(BIN)/python  ## build a wheel into dist/
	$(BIN)/pip wheel -q --no-deps -w dist .

clean:  ## remove what was built, .venv excepted
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find arrayexpr adapters tests docs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
	find arrayexpr \( -name '*.so' -o -name '*.c' -o -name '*.html' \) -delete
