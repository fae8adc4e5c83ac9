# What a person types; CONTRIBUTING.md tells more. Every target sets up what it needs by itself.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup demo serve test check faults bench

help:
	@echo "make setup   .venv with everything in it"
	@echo "make demo    a study of three losses, and its verdict, on a service of its own; KEEP=1 leaves it up"
	@echo "make serve   the service on http://127.0.0.1:8321"
	@echo "make test    the test suite, on SQLite and, where one answers, on PostgreSQL"
	@echo "make check   format, lint, types, import rules"
	@echo "make faults  faults of three workers, kills at every crash point, then 1,000 at random under load; KILLS=50 is shorter"
	@echo "make bench   speeds beside peers and limits, as ratios; BENCH='--only ingest --csv-mb 200' picks"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is %s; try make PYTHON=python3.12" % sys.version)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all]" --group dev
	@touch $(READY)

demo: $(READY)
	$(BIN)/counterweight demo $(if $(KEEP),--keep)

serve: $(READY)
	$(BIN)/counterweight serve

# A file's tests on one database stay on one process, so that it starts its server once: tests/conftest.py divides them.
test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py

faults: $(READY)
	COUNTERWEIGHT_TEST_FAULTS=1 $(BIN)/python -m pytest -q tests/faults
	$(BIN)/python -m tests.faults --kills $(or $(KILLS),1000) --seeds $(or $(SEEDS),3)

bench: $(READY)
	$(BIN)/python -m benchmarks $(BENCH)
