# make run · make test · make bench: everything else is `.venv/bin/genloop --help`
PYTHON ?= python3
BIN := .venv/bin
export GIT_PYTHON_REFRESH = quiet

.PHONY: help run env test test-all test-external lint lock bench clean
help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

run: env  ## the main job: from images to a registered model
	@$(BIN)/genloop run

env: .venv/complete  ## the environment, from the hashed lock

# The programs in .venv have its path in them: one that came with a copied or moved project is made anew.
MADE_FOR := $(shell sed -n '1,2s|^[^/]*\(/.*\)/python.*|\1|p' $(BIN)/genloop 2>/dev/null)
MOVED := $(shell test -z "$(MADE_FOR)" || test "$(MADE_FOR)" -ef $(BIN) || echo moved)
.PHONY: moved
moved:
	@echo ".venv was made for another folder; making one for this"
	@rm -rf .venv

# Complete or not there: the mark is set last. Bytecode is made as modules are first used, which halves the time to install.
.venv/complete: requirements.lock pyproject.toml $(MOVED)
	@echo "making the environment in .venv from requirements.lock (once, about two minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/pip install -qq --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements.lock
	@$(BIN)/pip install -qq --disable-pip-version-check --no-compile --no-deps --no-build-isolation -e .
	@touch $@

# Two processes; the file that takes longest comes first.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder tests/test_loop.py tests

test: env  ## the tests that CI runs
	@$(PYTEST) -m "not slow and not external"

test-all: env  ## all tests, also those that take long
	@$(PYTEST)

# What examples/external/*/requirements.txt ask for, apart from .venv: PyTorch and TensorFlow would come with libraries of their own.
EXTERNAL := .venv-external
test-external: env $(EXTERNAL)/complete  ## tests of the external models that need PyTorch
	@GENLOOP_EXTERNAL_PYTHON=$(CURDIR)/$(EXTERNAL)/bin/python $(BIN)/python -m pytest tests/external -m external

$(EXTERNAL)/complete: $(wildcard examples/external/*/requirements.txt)
	@echo "making the environment of the external examples in $(EXTERNAL) (once, some minutes; PyTorch is large)"
	@test -x $(EXTERNAL)/bin/python || $(PYTHON) -m venv $(EXTERNAL)
	@$(EXTERNAL)/bin/pip install -qq --disable-pip-version-check $(foreach file,$^,-r $(file))
	@touch $@

lint: env  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

lock:  ## resolve pyproject.toml anew into requirements.lock (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url --no-annotate --generate-hashes \
	  --extra dev pyproject.toml -o requirements.lock

bench: env  ## the figures of docs/performance.md
	@$(BIN)/python -m benchmarks

clean:  ## remove what runs left, but no data and no registry
	rm -rf .pytest_cache .mypy_cache .ruff_cache checkpoints logs
