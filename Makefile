# UserSplit's commands. `make` alone lists them.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := entrypoints web api consumers commands projections audience notifications accounts domain events streams warehouse migrations sdk speedups examples
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2
# All tests wait for brokers, processes and pages more than they compute: one worker more than cores.
ALL_WORKERS ?= 3
# An image may tell Python to keep no bytecode. Tests are rewritten by pytest before they run; kept, that is done once.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set-up: pinned and hashed, from whatever index pip is set up to use -----------------------------------------------
# --no-deps: the locked files name everything. Left to resolve, an older pip takes `coverage[toml]` for another package
# than the pinned `coverage`, and refuses the set on the day a newer coverage comes out. `pip check` proves it whole.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("UserSplit needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: requirements/app.txt sdk/pyproject.toml | $(BIN)/python
	@echo "Setting up: what the application runs on …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/app.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e sdk
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.app
	@echo "Setting up: what checks and tests need …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip check --disable-pip-version-check >/dev/null || $(BIN)/python -m pip check
	@$(BIN)/python -m compileall -q -j $(WORKERS) $(CODE)  # once, not by each worker of the first tests
	@touch $@

# Nobody needs it but the tests of the checks in C, and benchmarks. Copied first: setuptools builds beside the source.
$(VENV)/.speedups: $(wildcard speedups/*.* speedups/*/*.*) $(VENV)/.dev
	@echo "Setting up: checks in C …"
	@rm -rf build/speedups && mkdir -p build && cp -r speedups build/speedups
	@if $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation ./build/speedups >build/speedups.log 2>&1; \
	then touch $@; \
	else echo "Without usersplit-speedups: a C compiler and Python's headers are missing (Debian: gcc libc6-dev python3-dev), or see build/speedups.log."; fi

.PHONY: setup
setup: $(VENV)/.dev $(VENV)/.speedups ## install everything (into .venv)

# --- run ---------------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.app ## the whole life of two tests on embedded parts (ONCE=1: run through, check the numbers, exit)
	@$(BIN)/python -m entrypoints demo $(if $(ONCE),--once)

.PHONY: migrate
migrate: $(VENV)/.app ## bring the database of USERSPLIT_DATABASE_URL to the newest schema
	@$(BIN)/python -m entrypoints migrate

.PHONY: up
up: .env ## Kafka, PostgreSQL and every process, in containers
	docker compose up --build --detach --wait

.PHONY: down
down: ## stop the containers; their volumes stay
	docker compose down

.env:
	@umask 077 && $(PYTHON) -c 'import secrets; print("POSTGRES_PASSWORD=" + secrets.token_hex(24))' > .env
	@echo "Wrote .env with a new password for PostgreSQL."

# --- test --------------------------------------------------------------------------------------------------------------

.PHONY: test-fast
test-fast: setup ## the unit tests, all of them: what broke, in half a minute
	@$(PYTEST) -q -n $(WORKERS) tests/unit

.PHONY: test
test: setup ## every test, the fast ones first; the summary says which Kafka and PostgreSQL they ran on
	@$(PYTEST) -q -n $(ALL_WORKERS) tests/unit tests/architecture tests/contract tests/integration tests/e2e

.PHONY: lint
lint: $(VENV)/.dev ## ruff, mypy, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy $(CODE) tests benchmarks
	@$(BIN)/lint-imports

.PHONY: check
check: lint ## lint, and the tests of the architecture: what CI holds every change against, before all other tests
	@$(PYTEST) -q -n $(WORKERS) tests/architecture

.PHONY: format
format: $(VENV)/.dev ## let ruff format and fix what it can
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

.PHONY: soak
soak: $(VENV)/.dev ## kill services, sinks and the broker at random for MINUTES=10, and hold BI against what was accepted
	@$(BIN)/python -m tests.soak $(or $(MINUTES),10)

.PHONY: screenshots
screenshots: $(VENV)/.dev ## take the pictures of docs/screenshots from the demo, in a real Chromium
	@$(BIN)/python -m tests.support.screenshots

.PHONY: coverage
coverage: setup ## every test, with branch coverage
	@$(PYTEST) -q -n $(WORKERS) --cov --cov-report=term tests

.PHONY: bench
bench: setup ## all benchmarks (ONLY=name: one); the last line of each is a JSON object with its figures
	@for name in $(if $(ONLY),$(ONLY),$(basename $(notdir $(wildcard benchmarks/*.py)))); do \
		$(BIN)/python -m "benchmarks.$$name"; \
	done

# --- dependencies ------------------------------------------------------------------------------------------------------

.PHONY: lock
lock: $(VENV)/.dev ## pin and hash requirements/*.in anew (UPGRADE=1: to the newest versions)
	@$(COMPILE) $(if $(UPGRADE),--upgrade) requirements/dev.in --output-file requirements/dev.txt
	@$(COMPILE) --constraint requirements/dev.txt requirements/app.in --output-file requirements/app.txt

.PHONY: clean
clean: ## remove what the commands above made (.venv stays)
	rm -rf build var dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
