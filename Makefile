# Everything starts here: `make repro` needs Python 3.11 and make, nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check
# `python` and `dvc` in dvc.yaml, in tests and below are those of the environment.
export PATH := $(abspath $(VENV)/bin):$(PATH)

BASE ?= main

.DEFAULT_GOAL := help
.PHONY: help repro compare try app onnx test test-slow test-gpu fuzz lint format hooks secrets licenses audit check-lock \
        readme-table benchmark lock

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

repro: $(VENV)/installed  ## Install what is needed and run the pipeline (dvc repro)
	dvc repro

compare: $(VENV)/installed  ## Say what differs from BASE (main, HEAD~1, a tag, an experiment), with plots of both
	@python -m stages.compare_experiments --base "$(BASE)"

try: $(VENV)/installed  ## Try all on your own: make try PHOTO=file-or-folder [OUT=build/try], after make repro
	@test -n "$(PHOTO)" || { echo "say which: make try PHOTO=my/photo.jpg, or a folder of photos"; exit 1; }
	python -m stages.try_photo --photos "$(PHOTO)" --out "$(or $(OUT),build/try)"

app: $(VENV)/installed-app  ## The same in a browser, on this machine alone: make app [HOST=127.0.0.1] [PORT=7860]
	python -m stages.run_app --host "$(or $(HOST),127.0.0.1)" --port "$(or $(PORT),7860)"

test: $(VENV)/installed-dev lint  ## Run linters and the tests
	OMP_NUM_THREADS=1 pytest -n auto --dist loadgroup -m "not slow and not gpu" # the pipeline beside all else

test-slow: $(VENV)/installed-dev  ## Run the tests that take minutes
	pytest -m "slow and not gpu"

test-gpu: $(VENV)/installed-dev  ## Compare networks and the small pipeline on this machine's GPU with the CPU
	pytest -m gpu -rs

fuzz: $(VENV)/installed-dev  ## Read 10,000 broken files of every kind
	UNMASK_FUZZ=300 pytest -q tests/test_fuzz.py

lint: $(VENV)/installed-dev  ## Check style and types
	ruff check .
	ruff format --check .
	mypy

format: $(VENV)/installed-dev  ## Format the code
	ruff check --fix .
	ruff format .

hooks: $(VENV)/installed-dev  ## Look at what is cheap to look at before each commit
	pre-commit install

secrets: $(VENV)/installed-dev  ## Look for secrets in what Git tracks; new ones are an error
	git ls-files -z | xargs -0 detect-secrets-hook --baseline .secrets.baseline

licenses: $(VENV)/installed-dev  ## List the licenses of what is installed; an unknown one is an error
	python -m checks.licenses

audit: $(VENV)/installed-dev  ## Ask an advisory service for known holes in requirements.lock (needs a network)
	python -m checks.audit

# A clone without data has no figures, so the report, which depends on the whole folder metrics, would always run.
check-lock: $(VENV)/installed  ## Check that dvc.lock agrees with the code (dvc repro would run nothing)
	@dvc repro --dry --allow-missing > $(VENV)/plan
	@! grep "Running stage" $(VENV)/plan | grep -v "'report'" || { echo "dvc.lock is not of this code: run make repro and commit"; exit 1; }
	@echo "dvc.lock agrees with the code"

readme-table: $(VENV)/installed  ## Put the results into README
	python -m stages.report --results metrics --pipeline dvc.yaml --catalogue data/catalogue.yaml \
	  --page report/index.html --summary report/summary.md --card report/model-card.md --datasheet report/datasheet.md \
	  --readme README.md

onnx: $(VENV)/installed-dev  ## Export all trained models into onnx/, and compare them with the pipeline
	python -m stages.export_onnx --weights models --out onnx --faces data/masked/orl

benchmark: $(VENV)/installed-dev  ## Measure rendering, two workers against one, scoring, and sharing 100,000 faces
	python -m benchmarks.render_masks
	python -m benchmarks.find_landmarks
	python -m benchmarks.find_landmarks --dask
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

$(VENV)/installed-app: $(VENV)/installed
	$(PIP) install --quiet --constraint requirements.lock '.[app]'
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install --quiet --constraint requirements.lock '.[dev]'
	touch $@
