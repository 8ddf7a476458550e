# Each target first makes .venv with all dependencies when it is missing or out of date (tools/setup.sh).
# On a fresh Debian machine with Python 3.11 or 3.12, git and make, `make demo` and `make test` are all it takes.

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
export WANDB_MODE ?= offline

BIN := .venv/bin
OUT ?= runs/demo
WORKERS ?= 2
BENCHMARKS := engine $(filter-out __init__ common readme returns rlpf rlpf_table fewsteps fewsteps_table codecs codecs_table slips budget estimator identify track,$(basename $(notdir $(wildcard benchmarks/*.py))))

.PHONY: help install demo test test-slow check bench results verifierbench study-rlpf study-fewsteps readme clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: ## set up .venv (PYTHON=... chooses the interpreter)
	@tools/setup.sh

demo: install ## record, train, imagine and evaluate; writes runs/demo/report.html (OUT=... to choose)
	@$(BIN)/wmenv demo --out "$(OUT)"

test: install ## run the tests (ARGS=... are pytest's)
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-slow: install ## run the tests that take minutes
	@$(BIN)/python -m pytest -m slow $(ARGS)

check: install ## ruff, pyright on the public faces, and the layering test
	@$(BIN)/ruff check .
	@[ -x $(BIN)/pyright ] || $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[check]"
	@$(BIN)/pyright
	@$(BIN)/python -m pytest -q tests/test_layering.py
	@$(BIN)/python -m benchmarks.readme --check

bench: install ## measure speeds and ratios (or some: make bench BENCHMARKS=camera), then refresh README's tables
	@for name in $(BENCHMARKS); do echo "bench: $$name"; \
	  if [ $$name = engine ]; then $(BIN)/wmenv bench --out benchmarks || exit 1; \
	  else $(BIN)/python -m benchmarks.$$name || exit 1; fi; done
	@$(BIN)/python -m benchmarks.readme

results: install ## the study behind README's results table: hours, goes on where it was stopped (ARGS=... are its own)
	@$(BIN)/python -m benchmarks.returns $(ARGS)
	@$(BIN)/python -m benchmarks.readme

study-rlpf: install ## RLPF against other ways to tune a dream: hours, goes on where it was stopped
	@$(BIN)/python -m benchmarks.rlpf
	@$(BIN)/python -m benchmarks.readme

study-fewsteps: install ## dreams of one, two and more denoising steps: hours, goes on where it was stopped
	@$(BIN)/python -m benchmarks.fewsteps
	@$(BIN)/python -m benchmarks.budget
	@$(BIN)/python -m benchmarks.codecs
	@$(BIN)/python -m benchmarks.readme

verifierbench: install ## how well the physics verifier finds known corruptions: an hour, goes on where it was stopped
	@$(BIN)/wmenv verifierbench --out results/verifierbench
	@$(BIN)/python -m benchmarks.readme

readme: install ## refresh README's tables from results/ and benchmarks/
	@$(BIN)/python -m benchmarks.readme

clean: ## remove .venv, caches and builds; runs/ stays
	@rm -rf .venv build dist .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './runs/*' -prune -exec rm -rf {} +
