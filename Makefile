# `make demo` and `make test` set everything up by themselves: Python 3.11+ and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

REPORTED := fraud distress four-holders fraud-bandwidth fraud-datasize

.PHONY: demo test lint types contracts unit reports bench clean

demo: $(READY)
	$(BIN)/p2n2sim run scenarios/fraud.toml --out runs/demo --force

test: lint types contracts unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports

unit: $(READY)
	$(BIN)/pytest -n auto

# Runs the shipped experiments (what is finished already is not run again) and renders their report.
reports: $(READY)
	for name in fraud distress four-holders; do \
	  test -f runs/reports/$$name/summary.json || \
	  $(BIN)/p2n2sim run scenarios/$$name.toml --out runs/reports/$$name || exit; \
	done
	for name in fraud-bandwidth fraud-datasize; do \
	  $(BIN)/p2n2sim sweep scenarios/$$name.toml --out runs/reports/$$name || exit; \
	done
	$(BIN)/p2n2sim report $(REPORTED:%=runs/reports/%) --out reports/p2n2
	cp runs/reports/fraud/picture.png docs/demo.png

bench: $(READY)
	$(BIN)/python benchmarks/messages.py
	$(BIN)/python benchmarks/ring.py
	$(BIN)/python benchmarks/batch.py
	$(BIN)/python benchmarks/fuzz_wire.py

clean:
	rm -rf $(VENV) build *.egg-info

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "p2n2sim needs Python 3.11 or later; name one with: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[test]'
	@touch $(READY)
