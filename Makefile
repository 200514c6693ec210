# Tasks for developers and newcomers. Two of them need only Python >= 3.11: demo and test.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
SCENARIO ?= rush

.PHONY: up down lock demo war test watch-test openapi-test pooler-test dashboards check format races faults model mutants coverage lua bench schema docs pictures modules matrix matrix-newest matrix-lowest matrix-servers clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    a ticket war on a concert hall; starts and stops everything for you"
	@echo "make war     a ticket war of SCENARIO=spike, hoarder, waves ...; OPTIONS='--seconds 10'"
	@echo "make test    run the tests on real embedded servers"
	@echo "make watch-test  rules and dashboards in a real Prometheus (Debian: prometheus);   make dashboards  write their JSON"
	@echo "make openapi-test  two linters and a TypeScript client of the OpenAPI document (needs npm)"
	@echo "make pooler-test  Postgres through a real PgBouncer (Debian: pgbouncer)"
	@echo "make check   format, lint, types, layers, Lua"
	@echo "make format  format the code with ruff"
	@echo "make races   only the race tests;   make faults   the trials in their long form, into docs/reliability.md"
	@echo "make model   the scripts against their model, in the long form;   make mutants  planted bugs in the scripts, into docs/"
	@echo "make coverage  coverage of the Python by lines and branches, of the scripts by branches"
	@echo "make bench   all benchmarks, into docs/performance.md; PARTS='holds fights' for some"
	@echo "make up      everything in containers (needs Docker);   make down   stop it, data kept"
	@echo "make lock    update the pins of the image's dependencies (deploy/requirements*.txt)"
	@echo "make docs    build the documents as a site in build/site/, in strict mode: no dead link"
	@echo "make modules   the table of modules in ARCHITECTURE.md, from the docstrings"
	@echo "make pictures  the SVG of docs/architecture/*.dot (Debian: graphviz) and of docs/explanation/"
	@echo "make matrix  tests on every Python here with the newest versions, on the lowest versions, and on"
	@echo "             this machine's Redis and Postgres (Debian: redis-server, postgresql)"
	@echo "make lua     luacheck on the assembled scripts (Debian: lua-check)"

# The versions that were tested together: deploy/requirements-dev.txt, by `make lock`.
INSTALL = $(PYTHON) -m venv $(VENV) && $(BIN)/pip install --quiet --disable-pip-version-check uv \
	&& $(BIN)/uv pip install --quiet --python $(BIN)/python --constraints deploy/requirements-dev.txt -e '.[$(EXTRAS)]'

$(VENV)/.war: EXTRAS = embedded,war
$(VENV)/.war: pyproject.toml deploy/requirements-dev.txt
	$(INSTALL)
	@touch $@

$(VENV)/.bench: EXTRAS = bench
$(VENV)/.bench: pyproject.toml deploy/requirements-dev.txt
	$(INSTALL)
	@touch $@ $(VENV)/.war

$(VENV)/.dev: EXTRAS = dev
$(VENV)/.dev: pyproject.toml deploy/requirements-dev.txt
	$(INSTALL)
	@touch $@ $(VENV)/.war

demo: $(VENV)/.war
	@PATH="$(CURDIR)/$(BIN):$$PATH" PORT=$(PORT) sh bench/demo.sh

war: $(VENV)/.war
	$(BIN)/python -m bench.war.scenarios $(SCENARIO) $(OPTIONS)

test: $(VENV)/.dev
	$(BIN)/pytest -n 2 --dist loadfile -m "not prometheus and not faketime and not npm and not pgbouncer"

# What the README promises beside the versions of the lock. A virtual environment for each, in .matrix/.
MATRIX_TESTS ?= tests/unit tests/lua tests/api tests/persistence tests/races
MATRIX_PYTHONS := $(foreach minor,11 12 13 14,$(shell command -v python3.$(minor) 2>/dev/null))
matrix_venv = .matrix/$(notdir $(PYTHON))-$(1)
matrix_run = $(PYTHON) -m venv $(matrix_venv) && $(matrix_venv)/bin/pip install --quiet uv \
	&& $(matrix_venv)/bin/uv pip install --quiet --python $(matrix_venv)/bin/python --upgrade $(2) -e '.[dev]' \
	&& $(matrix_venv)/bin/pytest -n 2 --dist loadfile -m "not prometheus and not faketime" $(MATRIX_TESTS)

matrix-newest:
	$(call matrix_run,newest)

matrix-lowest:
	$(call matrix_run,lowest,--resolution lowest-direct)

matrix-servers: $(VENV)/.dev
	$(if $(TEST_REDIS_URL),,$(BIN)/python -m tests.support.debian_servers) \
	  $(BIN)/pytest tests/lua tests/persistence tests/races

matrix: matrix-lowest matrix-servers
	set -e; for python in $(MATRIX_PYTHONS); do $(MAKE) matrix-newest PYTHON=$$python; done

watch-test: $(VENV)/.dev
	$(BIN)/pytest -m prometheus tests/deploy

openapi-test: $(VENV)/.dev
	$(BIN)/pytest -m npm tests/openapi

pooler-test: $(VENV)/.dev
	$(BIN)/pytest -m pgbouncer tests/pooler

dashboards: $(VENV)/.dev
	$(BIN)/python -m deploy.grafana

races: $(VENV)/.dev
	$(BIN)/pytest tests/races

faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults.run $(FAULTS)

model: $(VENV)/.dev
	$(BIN)/pytest tests/model -s -o timeout=0 --hypothesis-profile=long

mutants: $(VENV)/.dev
	$(BIN)/python -m tests.mutants mutants $(MUTANTS)

coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -n 2 --dist loadfile -m "not prometheus and not faketime and not npm and not pgbouncer" -o timeout=600
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --format=total --precision=1
	$(BIN)/coverage report --skip-covered --sort=cover
	$(BIN)/python -m tests.mutants coverage

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
	  $(BIN)/engine lua show $$name | luacheck --quiet --no-color --std lua51 --globals redis cjson struct \
	    --read-globals KEYS ARGV --filename $$name - || exit 1; done

bench: $(VENV)/.bench
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m bench $(PARTS)

up:
	@sh deploy/compose.sh up

down:
	@sh deploy/compose.sh down

lock: $(VENV)/.dev
	sh deploy/lock.sh

schema: $(VENV)/.war
	$(BIN)/python -c "from engine.plans import event_schema; print(event_schema(), end='')" > docs/event.schema.json

docs: $(VENV)/.dev
	$(BIN)/python -m manual.site
	@echo "build/site/index.html"

modules: $(VENV)/.dev
	$(BIN)/python -m manual.modules

pictures: $(VENV)/.dev
	$(BIN)/python -m manual.pictures
	$(BIN)/python -m manual.best_seats

clean:
	rm -rf $(VENV) .matrix build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
