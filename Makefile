# The front door. `make` lists what there is; each target sets up what it needs.
#
# Needs: make, Python 3.11 or later with pip and venv (on Debian: apt-get install make python3-venv).
# Another Python: make PYTHON=python3.12 setup

PYTHON ?= python3
UV_VERSION := 0.13.9
PYTEST_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# The environment is ours and its Python is the one that was asked for: uv must neither fetch another nor look elsewhere.
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(VENV)
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-all test-servers peer-servers lint types fmt bench bench-quick bench-peers reference docs build image clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with Skerry and its tools, exactly as uv.lock says.

demo: setup ## Start a service, a simulated APNs and phones, and watch a delivery arrive on them.
	$(BIN)/skerry demo

test: setup test-servers lint types ## What every change must pass: lint, types and the tests.
	$(BIN)/pytest -m "not slow" $(PYTEST_ARGS)

test-all: setup test-servers peer-servers lint types ## The same, and the tests that take minutes.
	$(BIN)/pytest $(PYTEST_ARGS)

test-servers: ## Install other people's HTTP/2 servers, which the tests talk to (Debian packages; may ask for sudo).
	scripts/install-test-servers

peer-servers: setup ## Build the servers around Go, Rust and Java libraries that the slow tests talk to, into .peers/.
	scripts/build-peer-servers

lint: setup ## Check style, format and the arrows between the rooms.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: setup ## Check the types, strictly.
	$(BIN)/mypy

fmt: setup ## Format the code and mend what can be mended by machine.
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: setup test-servers bench-peers ## Measure Skerry and others beside it on this machine (Linux): an hour or so.
	$(BIN)/python -m bench

bench-quick: setup test-servers bench-peers ## The same with fewer and shorter runs: under five minutes.
	$(BIN)/python -m bench --quick

bench-peers: setup ## Build the clients that are measured beside ours (Go, Java, Rust, Node, Python; what can be had).
	scripts/install-bench-peers
	$(BIN)/python -m bench.peers

reference: setup ## Write the reference pages that are made from the code (settings, command line, HTTP API, metrics).
	$(BIN)/python scripts/write-reference

docs: setup ## Build the documentation's site into site/.
	$(BIN)/uv run --frozen --isolated --only-group docs zensical build --clean --strict

build: setup ## Build the wheel and the source archive into dist/.
	$(BIN)/uv build

image: ## Build the container image skerry:latest.
	docker build --tag skerry:latest .

clean: ## Remove .venv and everything that was built.
	rm -rf $(VENV) .peers dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(READY): uv.lock pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Skerry needs Python 3.11 or later, and '$(PYTHON)' is not one. Name another: make PYTHON=python3.12 setup" >&2; \
	  exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
	  echo "Cannot make a virtual environment. On Debian: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }
	@$(BIN)/uv --version 2>/dev/null | grep -qF 'uv $(UV_VERSION) ' || $(BIN)/python -m pip install --quiet uv==$(UV_VERSION)
	$(BIN)/uv sync --frozen --quiet
	@touch $@
