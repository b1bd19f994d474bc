# What you can run here. `make` alone lists it.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
RIVALS := .venv-bench
BESIDE := $(RIVALS)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test quick check format bench docs lock clean

help:  ## list what you can run
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

demo: $(READY)  ## play the stories live, in this terminal and in the browser
	@$(BIN)/detente demo

test: $(READY)  ## every test, on real parts
	@$(BIN)/pytest

quick: $(READY)  ## the tests that take no time: run them on every save
	@$(BIN)/pytest -m "not slow and not browser"

check: $(READY)  ## format, lint, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(READY)  ## put the code in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(READY) $(BESIDE)  ## measure ourselves beside the rivals, as ratios
	@$(BIN)/python -m bench

docs: $(READY)  ## pictures of every page, and the reference, made anew
	@$(BIN)/python docs/make.py

lock: $(READY)  ## take newer versions of the libraries
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
	    --python-version 3.11 --extra demo --group dev pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header \
	    --python-version 3.11 bench/rivals.txt -o bench/rivals.lock

clean:  ## forget the virtual environments and what the tools left
	rm -rf $(VENV) $(RIVALS) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(READY): requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (once, and whenever requirements.lock changes)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Détente needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m detente.demo.signon
	@touch $@

$(BESIDE): bench/rivals.lock | $(READY)
	@echo "Setting up $(RIVALS), where the rivals live (once, and whenever bench/rivals.lock changes)"
	@test -x $(RIVALS)/bin/python || $(BIN)/python -m venv --without-pip $(RIVALS)
	@VIRTUAL_ENV=$(CURDIR)/$(RIVALS) $(BIN)/uv pip install --quiet --require-hashes -r bench/rivals.lock
	@touch $@
