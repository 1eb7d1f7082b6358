# make demo: set up, make a synthetic CT, let the bundled model read it, say where the page is.
# make test: set up and run all tests. Once installed, neither needs a network.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test lint wheel clean

$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else f"UVLM needs Python 3.11 to 3.13, found {v[0]}.{v[1]}; call make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -c constraints.txt torch
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) install -q -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.core
	$(BIN)/uvlm phantom 1 -o demo/scan --seed 7
	$(BIN)/uvlm report demo/scan/images/phantom_7.nii.gz -o demo/study
	@echo "The report is at $(CURDIR)/demo/study/report.html (open it in a browser)"

test: $(VENV)/.dev
	$(BIN)/python -m pytest

lint: $(VENV)/.dev
	$(BIN)/ruff check .

wheel: $(VENV)/.dev
	$(PIP) wheel -q --no-deps -w dist .

clean:
	rm -rf $(VENV) demo build dist *.egg-info
