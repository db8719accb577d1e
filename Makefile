# Everything starts here: `make repro` needs Python 3.11 and make, nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check
# `python` and `dvc` in dvc.yaml, in tests and below are those of the environment.
export PATH := $(abspath $(VENV)/bin):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help repro test test-slow fuzz lint format check-lock readme-table benchmark lock

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

repro: $(VENV)/installed  ## Install what is needed and run the pipeline (dvc repro)
	dvc repro

test: $(VENV)/installed-dev lint  ## Run linters and the tests
	OMP_NUM_THREADS=1 pytest -n auto --dist loadgroup -m "not slow" # the pipeline beside all else

test-slow: $(VENV)/installed-dev  ## Run the tests that take minutes
	pytest -m slow

fuzz: $(VENV)/installed-dev  ## Read 10,000 broken files of every kind
	UNMASK_FUZZ=300 pytest -q tests/test_fuzz.py

lint: $(VENV)/installed-dev  ## Check style and types
	ruff check .
	ruff format --check .
	mypy

format: $(VENV)/installed-dev  ## Format the code
	ruff check --fix .
	ruff format .

# A clone without data has no figures, so the report, which depends on the whole folder metrics, would always run.
check-lock: $(VENV)/installed  ## Check that dvc.lock agrees with the code (dvc repro would run nothing)
	@dvc repro --dry --allow-missing > $(VENV)/plan
	@! grep "Running stage" $(VENV)/plan | grep -v "'report'" || { echo "dvc.lock is not of this code: run make repro and commit"; exit 1; }
	@echo "dvc.lock agrees with the code"

readme-table: $(VENV)/installed  ## Put the results into README
	python -m stages.report --results metrics --page report/index.html --summary report/summary.md --readme README.md

benchmark: $(VENV)/installed-dev  ## Measure rendering, two workers against one, scoring, and sharing 100,000 faces
	python -m benchmarks.render_masks
	python -m benchmarks.find_landmarks
	python -m benchmarks.scoring
	python -m benchmarks.sharing

lock:  ## Resolve requirements.lock anew from pyproject.toml
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet --upgrade pip # old ones try versions for an hour
	$(VENV)-lock/bin/pip install '.[dev,ssh]'
	$(VENV)-lock/bin/pip freeze --all --exclude unmask --exclude pip --exclude wheel > requirements.lock
	rm -rf $(VENV)-lock

$(VENV)/installed: pyproject.toml requirements.lock
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint requirements.lock .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install --quiet --constraint requirements.lock '.[dev]'
	touch $@
