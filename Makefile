# Everything starts here: `make repro` needs Python 3.11 and make, nothing else.

# What a user gives is taken as it is and goes to programs in the environment: make would expand each $ in a file's name,
# and a shell each ` and ". It stands before all else that make may expand.
define as_given
override $(1) := $$(value $(1))
export $(1)
endef
$(foreach name,PHOTO MODELS KNOWN FACES RECOGNIZER PAIRS OUT BASE BY HOST PORT PRESET,$(if $(value $(name)),$(eval $(call as_given,$(name)))))

VENV ?= .venv
PIP := $(VENV)/bin/python -m pip --disable-pip-version-check
# The first Python that will do, or else any, which is then told what is wrong. That of the environment makes no other.
PYTHON ?= $(shell PATH="$(subst $(abspath $(VENV)/bin):,,$(PATH))"; \
  for name in python3.11 python3.12 python3.13 python3; do \
    $$name checks/python_version.py > /dev/null 2>&1 && command -v $$name && exit; \
  done; command -v python3)
# An environment of another Python, or one whose installation was broken off, is made anew.
BROKEN := $(shell test ! -d $(VENV) || \
  { test ! -e $(VENV)/installing && $(VENV)/bin/python checks/python_version.py; } > /dev/null 2>&1 || echo yes)
# `python` and `dvc` in dvc.yaml, in tests and below are those of the environment.
export PATH := $(abspath $(VENV)/bin):$(PATH)

# What a processor with AVX2 only has of oneDNN, torch and OpenBLAS, and the tests of what is computed.
OLDER := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 OPENBLAS_CORETYPE=Haswell
NUMERIC := $(patsubst %,tests/test_%.py,align_faces costs detection distill_recognizer export_onnx faces find_landmarks \
             gender inpainting occlusion older openmmlab parsing parts recognition remedies remove_masks render_masks \
             review similarity training try_photo verification)

.DEFAULT_GOAL := help
.PHONY: FORCE help repro plan report compare try evaluate app release onnx test test-older test-slow test-gpu fuzz lint format deps hooks \
        secrets licenses audit check-lock readme-table benchmark lock

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

repro: $(VENV)/installed  ## Install what is needed and run the pipeline (dvc repro)
	@python -m stages.tools.forecast
	dvc repro

plan: $(VENV)/installed  ## Say what a preset takes, before anything runs: make plan PRESET=lfw
	@test -n "$$PRESET" || { echo "say which: make plan PRESET=lfw"; exit 1; }
	@python -m stages.tools.plan --preset="$$PRESET"

REPORT := python -m stages.reports.report --metrics metrics --pipeline dvc.yaml --catalogue data/catalogue.yaml \
            --page report/index.html --summary report/summary.md --card report/model-card.md \
            --datasheet report/datasheet.md --figure report/what-a-mask-costs.png

# Not through DVC, which would write what it finds into dvc.lock, even where figures are missing.
report: $(VENV)/installed  ## Write the page with all results, report/index.html, after a dvc pull or a checkout
	@$(REPORT) > /dev/null
	@ls metrics/figures/*.png > /dev/null 2>&1 || echo "metrics/figures has no pictures: dvc pull brings them"
	@echo "The page is report/index.html"

compare: $(VENV)/installed  ## Say what differs from BASE (main, HEAD~1, a tag, an experiment); BY=test: of test people
	@python -m stages.reports.compare_experiments --base="$${BASE:-main}" --by="$${BY:-val}"

try: $(VENV)/installed  ## Try all on your own, at once: make try PHOTO=file-or-folder [KNOWN=people] [MODELS=models] [OUT=build/try]
	@test -n "$$PHOTO" || { echo "say which: make try PHOTO=my/photo.jpg, or a folder of photos"; exit 1; }
	python -m stages.tools.try_photo --photos="$$PHOTO" --out="$${OUT:-build/try}" \
	  $${MODELS:+--models="$$MODELS"} $${KNOWN:+--known="$$KNOWN"}

evaluate: $(VENV)/installed $(if $(filter %.onnx,$(RECOGNIZER)),$(VENV)/installed-onnx)  ## Evaluate on your people/<name>/<photo>: make evaluate FACES=people [RECOGNIZER=file.onnx] [PAIRS=list]
	@test -n "$$FACES" || { echo "say which: make evaluate FACES=people, a folder with a folder for each person"; exit 1; }
	python -m stages.tools.evaluate_folder --faces="$$FACES" --out="$${OUT:-build/evaluate}" \
	  $${RECOGNIZER:+--recognizer="$$RECOGNIZER"} $${PAIRS:+--pairs="$$PAIRS"}

app: $(VENV)/installed-app  ## The same in a browser, on this machine alone: make app [KNOWN=people] [MODELS=models] [HOST=127.0.0.1] [PORT=7860]
	python -m stages.tools.run_app --host="$${HOST:-127.0.0.1}" --port="$${PORT:-7860}" \
	  $${MODELS:+--models="$$MODELS"} $${KNOWN:+--known="$$KNOWN"}

release: $(VENV)/installed  ## Write models/released from the models of the run here: make release PRESET=lfw FACES=data/masked/oracle/lfw
	@test -n "$$PRESET" -a -n "$$FACES" || { echo "say which: make release PRESET=lfw FACES=data/masked/oracle/lfw"; exit 1; }
	python -m stages.tools.release --preset="$$PRESET" --faces="$$FACES"

test: $(VENV)/installed-dev lint  ## Run linters and the tests
	OMP_NUM_THREADS=1 pytest -n auto --dist loadgroup -m "not slow and not gpu" # the pipeline beside all else

test-older: $(VENV)/installed-dev  ## Run the numeric tests as on a processor with AVX2 only (no AVX-512, no bfloat16)
	OMP_NUM_THREADS=1 $(OLDER) pytest -q -n auto -m "not slow" $(NUMERIC)

test-slow: $(VENV)/installed-dev  ## Run the tests that take minutes
	pytest -m "slow and not gpu"

test-gpu: $(VENV)/installed-dev  ## Compare networks and the small pipeline on this machine's GPU with the CPU
	pytest -m gpu -rs

fuzz: $(VENV)/installed-dev  ## Read 20,000 broken files and lists of every kind
	UNMASK_FUZZ=400 pytest -q tests/test_fuzz.py tests/test_import_recognizer.py::test_a_broken_file_is_a_model_or_an_error

lint: $(VENV)/installed-dev  ## Check style and types
	ruff check .
	ruff format --check .
	mypy

format: $(VENV)/installed-dev  ## Format the code
	ruff check --fix .
	ruff format .

deps: $(VENV)/installed-dev  ## Write into dvc.yaml which code each stage imports
	python -m checks.deps

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
	$(REPORT) --readme README.md

onnx: $(VENV)/installed-dev  ## Export all trained models into onnx/, and compare them with the pipeline
	python -m stages.tools.export_onnx --weights models --out onnx --faces data/masked/oracle/orl

benchmark: $(VENV)/installed-dev  ## Measure rendering, two workers against one, scoring, and sharing 100,000 faces
	python -m benchmarks.render_masks
	python -m benchmarks.find_landmarks
	python -m benchmarks.find_landmarks --dask
	python -m benchmarks.scoring
	python -m benchmarks.sharing

lock:  ## Resolve requirements.lock anew from pyproject.toml
	@$(PYTHON) checks/python_version.py
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet --upgrade pip # old ones try versions for an hour
	$(VENV)-lock/bin/pip install '.[dev,ssh]'
	$(VENV)-lock/bin/pip freeze --all --exclude unmask --exclude pip --exclude wheel > requirements.lock
	rm -rf $(VENV)-lock

# The file `installing` says that an installation is under way, or was broken off. Where pip gives up by itself, for want
# of a network for one, it has changed nothing.
define install
@touch $(VENV)/installing
@trap 'exit 130' INT TERM; $(PIP) install --quiet --constraint requirements.lock '$(1)' || { rm $(VENV)/installing; exit 1; }
@rm $(VENV)/installing
@touch $@
endef

$(VENV)/bin/python: $(if $(BROKEN),FORCE)
	@test -n "$(PYTHON)" || { echo "there is no python3: install Python 3.11"; exit 1; }
	@$(PYTHON) checks/python_version.py
	$(if $(BROKEN),rm -rf $(VENV))
	@mkdir -p $(VENV)
	@touch $(VENV)/installing
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml requirements.lock $(if $(BROKEN),FORCE) | $(VENV)/bin/python
	@# Without `source $(VENV)/bin/activate`, too, the environment's dvc finds the environment's python.
	@cp checks/startup_line.txt "$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/unmask.pth"
	$(call install,.)
	@# yapf, which mmengine imports, writes a cache at first; of two programs at once one would read half of it.
	@$(VENV)/bin/python -W ignore -c "import mmengine"

$(VENV)/installed-app: $(VENV)/installed
	$(call install,.[app])

$(VENV)/installed-onnx: $(VENV)/installed
	$(call install,.[onnx])

$(VENV)/installed-dev: $(VENV)/installed
	$(call install,.[dev])
