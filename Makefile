# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0

# Every target that needs Python sets up .venv first, once; see scripts/setup_venv.py.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin
SETUP_INPUTS := pyproject.toml setup.py constraints.txt scripts/setup_venv.py

# The default pictures are small: more threads than this only wait for each other, and one core
# is left to whoever feeds the model.
export OMP_NUM_THREADS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); \
  echo $$((n > 4 ? 4 : n > 1 ? n - 1 : 1)))
export TORCH TORCH_INDEX
# Tests mostly wait: for processes that start, pictures that come, seconds in which nothing may
# happen. 0 runs them in one process, which a debugger needs.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n > 4 ? 4 : n > 1 ? n : 2)))

.DEFAULT_GOAL := help
.PHONY: help demo test lint setup clean distclean force

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make demo ARGS='...'                 more arguments for the command"
	@echo "  make test ARGS='-k bag' WORKERS=0    some tests, and in one process"
	@echo "  make PYTHON=python3.12 ...           another Python"
	@echo "  make TORCH='torch==2.12.*' ...       another torch (a requirement, wheel or address)"
	@echo "  make TORCH_INDEX=<address>|none ...  another package index for torch"

demo: $(READY)  ## A drawn camera and the live node: ask for things, compare with the ground truth
	$(BIN)/instructsam-ros demo $(ARGS)

# One thread for each worker. What measures time goes first, with nothing beside it. Container
# images often keep Python from caching what it compiles; every process that a test starts would
# compile the project again.
test: export OMP_NUM_THREADS := 1
PYTEST = env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -q --timeout=300 --durations=5
NONE_CHOSEN := 5
test: $(READY)  ## Run the tests
	@status=$(NONE_CHOSEN); run() { echo "$$@"; "$$@"; code=$$?; \
	  [ $$code -eq $(NONE_CHOSEN) ] || [ $$status -eq 1 ] || status=$$((code != 0)); }; \
	run $(PYTEST) -m timed $(ARGS); \
	run $(PYTEST) -m 'not timed' -n $(WORKERS) --dist loadfile --max-worker-restart=0 $(ARGS); \
	exit $$status

lint: $(READY)  ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/mypy

setup: $(READY)  ## Only set up .venv

# Asking for a torch by name sets up again, otherwise only a change of what is installed does.
$(READY): $(SETUP_INPUTS) $(if $(TORCH)$(TORCH_INDEX),force)
	@command -v $(PYTHON) >/dev/null || { \
	  echo "No $(PYTHON) here: sudo apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) scripts/setup_venv.py $(VENV) --extras dev
	@touch $@

force:

clean:  ## Remove what builds and tools left behind
	rm -rf build dist *.egg-info instructsam_demo instructsam_out
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## The same, and the environment
	rm -rf $(VENV)
