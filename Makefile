# `make demo` and `make test` set everything up by themselves: Python 3.11+ and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Runs and sweeps of the two reports, in the order in which they appear.
P2N2_RUNS := fraud distress four-holders
P2N2_SWEEPS := fraud-bandwidth fraud-datasize
FAMILY_RUNS := secureml
FAMILY_SWEEPS := secret-layers holders triples

.PHONY: demo test lint types contracts unit reports paper dp bench fidelity clean

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
	$(BIN)/pytest -n auto --dist worksteal

# Runs the shipped experiments (what is finished already is not run again) and renders their reports.
reports: $(READY)
	for name in $(P2N2_RUNS) $(FAMILY_RUNS); do \
	  test -f runs/reports/$$name/summary.json || \
	  $(BIN)/p2n2sim run scenarios/$$name.toml --out runs/reports/$$name || exit; \
	done
	for name in $(P2N2_SWEEPS) $(FAMILY_SWEEPS); do \
	  $(BIN)/p2n2sim sweep scenarios/$$name.toml --out runs/reports/$$name || exit; \
	done
	$(BIN)/p2n2sim compare scenarios/compare.toml --out runs/reports/compare
	$(BIN)/p2n2sim report $(addprefix runs/reports/,$(P2N2_RUNS) $(P2N2_SWEEPS)) --out reports/p2n2
	$(BIN)/p2n2sim report $(addprefix runs/reports/,compare $(FAMILY_RUNS) $(FAMILY_SWEEPS)) --out reports/family
	cp runs/reports/fraud/picture.png docs/demo.png

# Differential privacy in four financial applications; what this program has run in runs/dp is not run again.
dp: $(READY)
	$(BIN)/p2n2sim dp --out reports/dp

# Every table and figure of the paper; what this program has run in runs/paper is not run again.
paper: $(READY)
	$(BIN)/p2n2sim paper --out reports/paper

bench: $(READY)
	$(BIN)/python benchmarks/messages.py
	$(BIN)/python benchmarks/ring.py
	$(BIN)/python benchmarks/batch.py
	$(BIN)/python benchmarks/perturbation.py
	$(BIN)/python benchmarks/fuzz_wire.py
	$(BIN)/python benchmarks/secret_layers.py

# make fidelity DATA=DIR, where DIR holds tcp_linux.csv and real_links.csv
fidelity: $(READY)
	$(BIN)/python benchmarks/fidelity.py --data "$(DATA)"

clean:
	rm -rf $(VENV) build *.egg-info

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "p2n2sim needs Python 3.11 or later; name one with: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[test]'
	@touch $(READY)
