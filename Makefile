# Everything Touchstone needs from a shell: `make up` runs it, `make help` lists the rest.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install --constraint constraints.txt --editable
LOCKS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help up test lint parity bench calibration registry constraints clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

up: $(VENV)/up.installed ## Install what is missing and run Touchstone; options: make up ARGS="--port 9000"
	@exec $(BIN)/touchstone up $(ARGS)

test: $(VENV)/test.installed ## Run every test; a part: make test ARGS="tests/core -x"
	@sh .ci/system-packages
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(if $(filter true,$(CI)),-p tests.no_skips) $(ARGS)

lint: $(VENV)/lint.installed ## Check style, types, imports and templates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint --lint --quiet templates

parity: $(VENV)/test.installed ## Lay our scores beside mteb's on the public sets; every metric: make parity ARGS="--all"
	@HF_HUB_OFFLINE=1 TQDM_DISABLE=1 $(BIN)/python -m bench.parity $(ARGS)

bench: $(VENV)/test.installed ## Measure speed and memory and write docs/performance.md; one thing: make bench ARGS="retrieval"
	@$(BIN)/python -m bench $(ARGS)

calibration: $(VENV)/test.installed ## Check how often the tests err and write docs/statistics.md; fails outside the bounds
	@$(BIN)/python -m bench.calibration $(ARGS)

registry: $(VENV)/test.installed ## Write app/mteb/registry.json anew from the installed mteb
	@HF_HUB_OFFLINE=1 $(BIN)/python -m bench.registry

constraints: | $(BIN)/pip ## Write constraints.txt anew, with the newest versions that fit together
	$(PYTHON) -m venv --clear build/constraints
	build/constraints/bin/python -m pip install '.[worker,demo,test,lint,peers]'
	@build/constraints/bin/python -m pip freeze --all --exclude pip --exclude touchstone | sh .ci/pin-versions > build/constraints.txt
	@mv build/constraints.txt constraints.txt && echo "constraints.txt is written; run make test before you commit it."

clean: ## Remove the virtual environment and all caches; the data folder stays
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp for each kind of installation: pip runs again only after pyproject.toml or constraints.txt changed.
$(VENV)/up.installed: EXTRAS := [worker,demo]
$(VENV)/test.installed: EXTRAS := [worker,demo,test]
$(VENV)/lint.installed: EXTRAS := [worker,lint]
$(VENV)/%.installed: $(LOCKS) | $(BIN)/pip
	@echo "Installing pinned packages into $(VENV). The first time takes a few minutes."
	@$(INSTALL) '.$(EXTRAS)'
	@touch $@

# pip is the last thing that venv writes, so a half-made environment is made again.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  found=$$(command -v $(PYTHON) >/dev/null && $(PYTHON) --version 2>&1 || echo missing); \
	  echo "Touchstone needs Python 3.11 or newer, but $(PYTHON) is $$found." \
	    "Choose another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot create virtual environments. On Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
