# What a newcomer types, on a machine with Python 3.11 or newer and make:
#
#   make quickstart    an environment in .venv, and a small real federation on this machine
#   make test          the same environment with the developers' tools, and all tests
#   make test-fast     the tests that take under two seconds and start no process: what to run after every change
#
# PIP_ARGS goes to pip, for instance to take torch from another index; PYTHON names an interpreter.

PYTHON ?= $(or $(firstword $(foreach candidate,python3 python3.14 python3.13 python3.12 python3.11,\
  $(shell command -v $(candidate) >/dev/null 2>&1 && $(candidate) -c $(NEW_ENOUGH) 2>/dev/null && echo $(candidate)))),python3)
NEW_ENOUGH := 'import sys; sys.exit(sys.version_info < (3, 11))'
PIP_ARGS ?=
PYTEST_ARGS ?=
# Two at a time, also on large machines: some tests are federations of five processes. WORKERS=0 runs them one by one.
WORKERS ?= 2
VENV := .venv
RUN := $(VENV)/bin/python
PYTEST = $(RUN) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
SOURCES := securefl clients server tests benchmarks

# What make fuzz and make soak play: the tests play 20,000 cases and 200 seeds.
CASES ?= 1000000
SEEDS ?= 10000
SUPPORT = PYTHONPATH=tests OMP_NUM_THREADS=1 $(RUN)

.PHONY: help quickstart test test-fast fuzz soak lint format protos peers bench clean

help:
	@sed -n '3,5s/^# *//p' Makefile
	@echo "make fuzz | soak | lint | format | protos | peers | bench | clean"

quickstart: $(VENV)/.demo
	$(RUN) -m securefl.cli run

test: $(VENV)/.dev
	$(PYTEST) $(PYTEST_ARGS)

test-fast: $(VENV)/.dev
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

fuzz: $(VENV)/.dev
	$(SUPPORT) -m support.fuzz $(CASES)

# Hours: simulated worlds with faults by seed, then kill -9 of real processes after every step that they persist.
soak: $(VENV)/.dev
	$(SUPPORT) -m support.soak $(SEEDS)
	$(SUPPORT) -m support.crash_matrix

lint: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

format: $(VENV)/.dev
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

# The generated stubs are committed, so that nobody needs a compiler to install; a test says when they are stale.
protos: $(VENV)/.dev
	$(RUN) -m grpc_tools.protoc --proto_path=protos --python_out=. --pyi_out=. protos/securefl/v*/*.proto

# The rivals' real code, each in its own environment below .venvs; then the measurements of costs, in one go.
peers:
	PYTHON="$(PYTHON)" PIP_ARGS="$(PIP_ARGS)" benchmarks/peers/build.sh

bench: $(VENV)/.dev peers
	SECUREFL=$(VENV)/bin/securefl benchmarks/aggregation.sh
	SECUREFL=$(VENV)/bin/securefl benchmarks/overhead.sh

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: pip runs again only when the requirements have changed. The install is editable, so that a changed
# source needs no new install.
$(VENV)/.demo: pyproject.toml constraints.txt | $(RUN)
	$(RUN) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[demo]"
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(RUN)
	$(RUN) -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[dev]"
	@touch $@ $(VENV)/.demo

$(RUN):
	@command -v $(PYTHON) >/dev/null || { echo "There is no '$(PYTHON)' here: install Python 3.11 or newer."; exit 1; }
	@$(PYTHON) -c $(NEW_ENOUGH) || { echo "securefl needs Python 3.11 or newer, and '$(PYTHON)' is older:" \
	  "make PYTHON=/path/to/python3.11 names another."; exit 1; }
	@echo "Making an environment in $(VENV); the first install downloads torch and takes some minutes" \
	  "(the README names a smaller build for machines without a GPU)."
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is incomplete:" \
	  "on Debian and Ubuntu, apt install python3-venv."; exit 1; }
