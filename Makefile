# make demo   set up, make a synthetic CT, let the bundled model read it, say where the page is
# make test   set up and run all tests; those of the Slicer modules in a process of their own, because they test that
#             nothing there imports torch
# make lint   the checks of the code's form; make wheel: the installable file; make clean: remove what make made
#
# Needs Python 3.11 to 3.13 and make; no GPU. Once installed, demo and test need no network.
# Another Python: make demo PYTHON=python3.12. Where pip gets packages from is pip's own setting (PIP_INDEX_URL, ...).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RIGHT_PYTHON := import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	"UVLM needs Python 3.11 to 3.13; %s is %d.%d. Name another one: make PYTHON=python3.12" % (sys.executable, *v))

.PHONY: demo test lint wheel clean

demo: $(VENV)/.core
	rm -rf demo/scan  # one of an earlier version would be refused
	$(BIN)/uvlm phantom 1 -o demo/scan --seed 900056
	$(BIN)/uvlm report demo/scan/images/phantom_900056.nii.gz -o demo/study
	@echo "The report is at $(CURDIR)/demo/study/report.html (open it in a browser)"

test: $(VENV)/.dev
	$(BIN)/python -m pytest Testing/core
	$(BIN)/python -m pytest Testing/slicer

lint: $(VENV)/.dev
	$(BIN)/ruff check .

wheel: $(VENV)/.dev
	$(PIP) wheel --no-deps -w dist .

clean:
	rm -rf $(VENV) demo build dist *.egg-info

$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c '$(RIGHT_PYTHON)'
	@echo "Installing into $(VENV); once, some minutes ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@
