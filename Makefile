# make bench               set up everything, measure matrices/smoke.yaml for real, judge against baselines/
# make test                set up everything, check formatting, lint and types, run the tests
# make test-vllm           the tests that need a real vLLM, in an environment of its own (.venv-vllm, CPU build)
# make bench CUDA_ARCH=110 the same on a Jetson Thor, with llama.cpp built for its GPU

PYTHON ?= python3
CUDA_ARCH ?=
MATRIX ?= matrices/smoke.yaml
ARGS ?=
BIN := .venv/bin

.PHONY: bench test test-vllm setup lint schemas clean

bench: setup
	$(BIN)/python -m pytest --thor-matrix $(MATRIX) --thor-update-baseline=missing $(ARGS)

test: lint
	PYTHONPATH=.venv/oldest-pytest $(BIN)/python -m pytest tests/plugin -m "not engine" -p no:cacheprovider --timeout 300 -q
	$(BIN)/python -m pytest --timeout 900 $(ARGS)

test-vllm: setup
	@$(PYTHON) .ci/setup_vllm.py
	THOR_VLLM=$(CURDIR)/.venv-vllm/bin/python $(BIN)/python -m pytest -m vllm --timeout 900 $(ARGS)

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

setup:
	@$(PYTHON) .ci/setup.py --cuda-arch "$(CUDA_ARCH)"

# The JSON Schemas that ship with the package, from the definitions in the code (a test checks that they are current).
schemas: setup
	$(BIN)/python -m pytest_thor.schemas

clean:
	rm -rf .venv .venv-vllm thor-report .mypy_cache .ruff_cache .pytest_cache .hypothesis
