# Everything is installed into .venv from requirements.lock; nothing outside this folder is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install run servers run-servers tour tour-servers test test-servers faults check audit-dependencies simulate bench settings-docs openapi format lock clean

help:
	@echo "make run       install, start the shop, load the demo, print how to buy something"
	@echo "make servers   start real MySQL, MongoDB, Redis, Kafka and Elasticsearch without containers, until Ctrl-C"
	@echo "make run-servers  the shop on those"
	@echo "make tour      walk through a shop and show every hop of every request"
	@echo "make tour-servers  the same through a shop on real servers, each of which is asked itself"
	@echo "make test      install and run the whole test suite"
	@echo "make test-servers  start real servers and run the tests that need them"
	@echo "make faults    hurt real servers in every way under load, and write docs/faults.md; goes on where it was"
	@echo "make install   install only"
	@echo "make check     formatting, lint, types, import directions"
	@echo "make audit-dependencies  ask PyPI whether what requirements.lock has is known to be vulnerable"
	@echo "make simulate  SEEDS=300 FIRST=0: the whole cluster on virtual time"
	@echo "make settings-docs  write docs/settings.md and .env.example from the settings"
	@echo "make openapi   accept the interface and the events as they are: write docs/openapi.json and docs/events/asyncapi.json, which CI compares with"
	@echo "make bench     the shop and a stateless service side by side"

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@echo "Installing into $(VENV) from requirements.lock ..."
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else "Troupe needs Python 3.11 to 3.13: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --compile-bytecode --editable .
	@touch $(STAMP)

run: install
	@$(BIN)/troupe run

servers: install
	@$(BIN)/python -m deploy.servers up

run-servers: install
	@$(BIN)/python -m deploy.servers run --settings -- sh -c '$(BIN)/troupe setup && exec $(BIN)/troupe run'

tour: install
	@$(BIN)/troupe tour

tour-servers: install
	@$(BIN)/python -m deploy.servers run --settings -- sh -c '$(BIN)/troupe setup && exec $(BIN)/troupe tour --own'

test: install
	$(BIN)/python -m pytest

test-servers: install
	$(BIN)/python -m deploy.servers run -- $(BIN)/python -m pytest -m servers $(ONLY)

faults: install
	TROUPE_TEST_FAULTS=docs/faults.jsonl $(BIN)/python -m pytest -m faults tests/servers; status=$$?; \
		$(BIN)/python -m tests.servers.table && exit $$status

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit-dependencies: install
	$(BIN)/python -m deploy.audit_dependencies

SEEDS ?= 300
FIRST ?= 0
simulate: install
	@$(BIN)/troupe simulate --seeds $(SEEDS) --first $(FIRST)

bench: install
	@$(BIN)/python -m benchmarks.run

settings-docs: install
	@$(BIN)/troupe settings --write-docs .

openapi: install
	@$(BIN)/troupe asyncapi docs/events/asyncapi.json
	@$(BIN)/troupe openapi docs/openapi.json

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock:
	$(BIN)/uv pip compile --quiet --extra dev --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
