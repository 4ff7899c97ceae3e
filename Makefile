# Targets for people and CI alike; `make help` lists them.
PYTHON ?= python3.11
LOCK ?= cpu
VENV := .venv
RUN := $(VENV)/bin/python
PACKAGES := service trainer asd_rewriter adapters_store eval deploy
STAMP := $(VENV)/.installed-$(LOCK)
DEV_STAMP := $(VENV)/.installed-dev
TRITON := $(VENV)/triton
TRITON_STAMP := $(VENV)/.installed-triton
# An extra index for torch's CPU wheels, where the default index has none: TORCH_INDEX=<url>
TORCH_FLAGS := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: help install install-dev demo clean-demo test test-unit test-conformance test-e2e \
	test-deep test-gpu-kernel lint format lock minicoin-acceptance example-report clean

help:  ## list the targets
	@grep -E '^[a-z0-9%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 24

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): deploy/locks/$(LOCK).txt pyproject.toml | $(VENV)/bin/python
	@rm -f $(VENV)/.installed-*
ifeq ($(LOCK),cpu)
	$(RUN) -m pip install $(TORCH_FLAGS) torch==2.13.0
endif
	$(RUN) -m pip install --no-deps -r deploy/locks/$(LOCK).txt
	$(RUN) -m pip install --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_STAMP): deploy/locks/dev.txt $(STAMP)
	$(RUN) -m pip install --no-deps -r deploy/locks/dev.txt
	@touch $@

# By itself, where only its own tests see it: beside a CPU torch other libraries would try to use it.
$(TRITON_STAMP): deploy/locks/gpu.txt $(DEV_STAMP)
	@grep -A1 '^triton==' deploy/locks/gpu.txt > $(VENV)/triton.txt
	$(RUN) -m pip install --no-deps --upgrade --target $(TRITON) -r $(VENV)/triton.txt
	@touch $@

install: $(STAMP)  ## make .venv with everything pinned (LOCK=gpu on a GPU machine)

install-dev: $(DEV_STAMP)  ## the same, with the tools for tests and lint

demo: install  ## three tasks through the whole loop on the tiny base, then a rollback
	$(RUN) -m deploy.demo $(DEMO_ARGS)

clean-demo:  ## remove the demo's state folder
	$(if $(wildcard .retain-demo),$(RUN) -m deploy.demo --clean)

test: install-dev $(TRITON_STAMP)  ## all tests of the default run: unit, conformance, end to end
	$(RUN) -m pytest
	$(MAKE) test-gpu-kernel

test-gpu-kernel: install-dev $(TRITON_STAMP)  ## the GPU kernel, interpreted on the CPU
	TRITON_INTERPRET=1 PYTHONPATH=$(TRITON) $(RUN) -m pytest tests/trainer/test_protected_triton.py

test-unit: install-dev  ## fast tests only
	$(RUN) -m pytest -m "not conformance and not e2e and not deep"

test-conformance: install-dev  ## every method through a real torchrun
	$(RUN) -m pytest -m "conformance and not deep"

test-e2e: install-dev  ## the whole loop with real service, trainer and vLLM
	$(RUN) -m pytest -m "e2e and not deep"

test-deep: install-dev  ## what takes longer than the default run allows
	$(RUN) -m pytest -m deep

lint: install-dev  ## ruff, mypy, import layers
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	@! grep -rnE --include='*.py' '\.extractall\(|trust_remote_code=True' $(PACKAGES)
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: install-dev  ## let ruff write the code's layout
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench-%: install-dev  ## run a benchmark, e.g. bench-loop (BENCH_ARGS=--help); last line is JSON
	@$(RUN) -m tests.bench.$(subst -,_,$*) $(BENCH_ARGS)

example-report: install-dev  ## write the example report of the docs (needs chromium)
	$(RUN) -m tests.eval.example_report

minicoin-acceptance: install-dev  ## measure what minicoin must show on retain-tiny
	$(RUN) -m deploy.demo.tiny.acceptance

lock: $(VENV)/bin/python  ## resolve pyproject.toml anew into deploy/locks (UPGRADE=1 for newer releases)
	$(RUN) -m pip install uv==0.13.8
	$(RUN) -m deploy.lock $(if $(UPGRADE),--upgrade)

clean:  ## remove the environment and all caches
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
