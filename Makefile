# Everything mmidd needs goes into .venv in this checkout, once; a second `make` of anything installs nothing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
SAMPLE ?= sample
MEDIA  ?= ../shared/media/videos
BENCH  ?= build/benchmark.json

export PYTHONUNBUFFERED := 1

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## install mmidd with all it needs into .venv

# constraints.txt pins every version; uv links the packages from its cache, so further checkouts take a second.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "make: mmidd needs Python 3.11 or newer; give one with: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "make: this Python lacks venv; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	@touch $@

sample: $(READY) ## build a small corpus from data made on the spot, and say where to look
	@$(BIN)/mmidd sample $(SAMPLE)/data
	@$(BIN)/mmidd build sample --data $(SAMPLE)/data --out $(SAMPLE)/corpus
	@$(BIN)/mmidd verify $(SAMPLE)/corpus
	@echo "look at: $(SAMPLE)/corpus/README.md (the dataset card), $(SAMPLE)/corpus/data (Parquet), $(SAMPLE)/corpus/media.parquet"

# Tests start hundreds of processes: bytecode is kept, whatever the environment says of it, and out of the source tree.
test crash cluster: export PYTHONDONTWRITEBYTECODE :=
test crash cluster: export PYTHONPYCACHEPREFIX := $(CURDIR)/build/bytecode

# In the order of tests/conftest.py, what waits first; a group of tests stays in one process.
JOBS ?= 2
test: $(READY) lint ## run the checks and the tests, in JOBS processes (2)
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --no-loadscope-reorder

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "make: run 'make format'"; exit 1; }
	@$(BIN)/mypy

format: $(READY) ## let ruff format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

crash: $(READY) ## kill builds at every point of every stage, on every engine, and publishing (an hour on two cores)
	@MMIDD_CRASH=1 $(BIN)/python -m pytest tests/crash tests/e2e/test_kill.py

cluster: $(READY) ## the whole conformance suite of all engines, Ray and Slurm (submitit, here) included
	@MMIDD_CLUSTER=1 $(BIN)/python -m pytest tests/engine/conformance tests/raw/test_clusters.py tests/e2e/test_device.py

same: $(READY) ## does BASE=COMMIT give the same corpora and the same keys as this checkout?
	@$(BIN)/python -m tests.same $(BASE)

# The weights of yunet and scrfd are looked for beside the checkout where MMIDD_MODELS names no other folder.
bench: export MMIDD_MODELS := $(or $(MMIDD_MODELS),$(wildcard ../shared/models))
bench: $(READY) ## measure stages, floor and peers: make bench MEDIA=FOLDER
	@mkdir -p $(dir $(BENCH))
	@$(BIN)/python -m benchmarks $(MEDIA) --json $(BENCH)
	@$(BIN)/python -m benchmarks --markdown $(BENCH)

# On a GPU, or with DEVICE=cpu at toy size to try the command. For a machine without network: python -m benchmarks.gpu --pack
DEVICE  ?= cuda
GPU_OUT ?= build/gpu.json
gpu: $(READY) ## measure and check everything on a GPU: make gpu (DEVICE=cpu: try the command, in minutes)
	@mkdir -p $(dir $(GPU_OUT))
	@$(BIN)/python -m benchmarks.gpu --device $(DEVICE) --json $(GPU_OUT)

FUZZ_INPUTS  ?= 100000
FUZZ_SECONDS ?= 0
fuzz: $(READY) ## fuzz what reads foreign bytes: make fuzz FUZZ_INPUTS=100000 FUZZ_SECONDS=0 (no limit) TARGETS="recipe stills"
	@$(BIN)/python -c 'import atheris' 2>/dev/null \
	  || $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt atheris
	@$(BIN)/python -m tests.fuzz $(TARGETS) --inputs $(FUZZ_INPUTS) --seconds $(FUZZ_SECONDS)

pin: ## choose new versions for constraints.txt (needs the package index)
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv; }
	$(BIN)/uv pip compile --quiet --universal --all-extras --python-version 3.11 --no-header --no-annotate \
	  pyproject.toml --output-file constraints.txt

clean: ## remove what make made
	rm -rf $(VENV) $(SAMPLE) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help setup sample test crash lint format same bench gpu fuzz pin clean cluster
