# Every target installs what it needs into the checkout first (`.venv`, `node_modules`); a second start does no set-up.
#
#   make demo [FILE=path] [OPERATORS=6]   a file's whole life on a local chain, then build/demo.json
#   make test                             everything that must pass: lint, compile, unit, contracts, properties, integration
#   make help                             all targets

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# A Node of the system is preferred; where there is none, set-up puts one into .venv.
export PATH := $(PATH):$(CURDIR)/.venv/bin
export PYTHONDONTWRITEBYTECODE ?=

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
# Tests wait half of their time, for a chain or a process: one more at once than there are processors. Each worker has its own chain.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PARALLEL = -n $(WORKERS) --dist worksteal
FORGE = $$(ls node_modules/@foundry-rs/forge-*/bin/forge)

OPERATORS ?= 6
FILE ?=
N ?=
# Extra words for pytest: make unit ARGS='-k coding -x'
ARGS ?=

# $(call need,PATH,WHAT): a target whose code isn't there says so and fails.
need = if ! compgen -G '$(1)' >/dev/null; then echo "$@: not built yet ($(1) doesn't exist)" >&2; exit 1; fi

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | sort | awk -F'\t' '{ printf "  make %-14s %s\n", $$1, $$2 }'

.PHONY: setup
setup: ## install locked Python and npm packages into the checkout
	@toolchain/setup.sh

.PHONY: lock resolve
lock: setup ## write the Python lock files anew from pyproject.toml
	@toolchain/lock.sh write
resolve: setup ## check that the other supported Pythons resolve, without installing
	@toolchain/lock.sh check

.PHONY: compile abi
compile: setup ## compile the contracts
	@toolchain/compile.sh
abi: compile ## write the contracts' ABIs into the Python package
	@$(BIN)/python toolchain/export_abi.py

.PHONY: demo devnet
demo: compile ## the main job: FILE=path (default: a dataset), OPERATORS=6 (at least 4)
	@$(call need,scripts/demo.py)
	@$(BIN)/ape run demo --operators '$(OPERATORS)' $(if $(FILE),--file '$(FILE)')
devnet: compile ## leave chain, contracts and nodes running; Ctrl-C stops, the next start resumes
	@$(call need,scripts/devnet.py)
	@$(BIN)/ape run devnet --operators '$(OPERATORS)'

.PHONY: lint
lint: setup ## ruff, mypy strict, forge fmt, pip check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(FORGE) fmt --check
	@$(BIN)/python -m pip check --disable-pip-version-check

.PHONY: fmt
fmt: setup ## format Python and Solidity
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .
	@$(FORGE) fmt

.PHONY: test unit contracts properties integration
test: ## everything that must pass
	@$(MAKE) lint
	@$(MAKE) compile
	@$(BIN)/python toolchain/export_abi.py --check
	@$(MAKE) unit
	@QANAT_CRASH_STRIDE=5 $(MAKE) chaos CHAOS=tests/chaos/test_intake.py
	@$(PYTEST) $(PARALLEL) -q tests/properties tests/contracts # together, the long ones first
	@$(MAKE) integration
unit: setup ## pure Python, no Ape plugin, in seconds
	@$(PYTEST) $(PARALLEL) -q -p no:ape_test tests/unit $(ARGS)
contracts: compile ## one module per contract, on Anvil
	@$(call need,tests/contracts/test_*.py)
	@$(PYTEST) $(PARALLEL) -q tests/contracts $(ARGS)
properties: compile ## state machines against a ghost model, on Anvil
	@$(call need,tests/properties/test_*.py)
	@$(PYTEST) $(PARALLEL) -q tests/properties $(ARGS)
integration: compile ## people's journeys with real processes, with faults
	@$(call need,tests/integration/test_*.py)
	@$(PYTEST) -n $(WORKERS) --dist loadscope -q tests/integration $(ARGS)

# Calls of an invariant run are RUNS × DEPTH: a minute, for audits three; DEEP=1 for ten million, a night.
DEEP ?=
SEED ?= $(shell date +%s)
RUNS = $(if $(DEEP),20000,64)
DEPTH = $(if $(DEEP),500,200)
FUZZ = FOUNDRY_DYNAMIC_TEST_LINKING=true FOUNDRY_INVARIANT_RUNS=$(RUNS) FOUNDRY_INVARIANT_DEPTH=$(DEPTH)

.PHONY: bench bench-node bench-audits bench-records bench-keys gas fuzz explore mutants halmos slither erc coverage chaos
bench: setup ## speed against other implementations, into build/bench.json
	@$(call need,benchmarks/run.py)
	@$(BIN)/python benchmarks/run.py
bench-node: setup ## a node's speed over HTTP, into build/bench.json beside the others
	@$(BIN)/python benchmarks/serving.py $(ARGS)
bench-audits: compile ## what audits cost nodes and an auditor, into build/bench-auditing.json
	@$(BIN)/python benchmarks/auditing.py $(ARGS)
bench-keys: compile ## how long a key from ten holders takes, into build/bench.json beside the others
	@$(BIN)/python benchmarks/releases.py $(ARGS)
bench-records: compile ## signed records a second, up to their certificates, into build/bench-records.json
	@$(BIN)/python benchmarks/records.py
gas: compile ## gas of every named transaction against tests/gas.json; UPDATE=1 writes it anew
	@$(PYTEST) -q --show-capture=no tests/gas $(ARGS)
fuzz: setup ## random calls against the contracts' invariants, random bytes into the node's decoders, an adversary against threshold keys; DEEP=1: ten million, one million; SEED=n repeats a run
	@echo "seed $(SEED)"
	@FUZZ_SEED=$(SEED) FUZZ_CASES=$(if $(DEEP),1000000,100000) $(PYTEST) -q -p no:ape_test tests/unit/test_decoders_fuzzed.py
	@HYPOTHESIS_PROFILE=fuzz $(PYTEST) -q -p no:ape_test --hypothesis-seed $(SEED) tests/properties/test_key_machine.py
	@$(FUZZ) $(FORGE) test --match-path 'tests/forge/*.t.sol' --fuzz-seed $(SEED) --fuzz-runs $(if $(DEEP),100000,2000) $(ARGS) \
		| $(BIN)/python toolchain/analysers/fuzz_calls.py
explore: compile ## Hypothesis: longer, new examples of every property
	@HYPOTHESIS_PROFILE=fuzz $(PYTEST) -q -p no:ape_test tests/unit/test_node_schema.py
	@HYPOTHESIS_PROFILE=fuzz $(PYTEST) -q tests/properties $(ARGS)
mutants: setup ## break the contracts in one line at a time; every fault must be caught
	@$(BIN)/python toolchain/mutants.py $(ARGS)
halmos: setup ## prove the arithmetic of shares
	@toolchain/analysers/halmos.sh $(ARGS)
slither: setup ## static analysis of the contracts; fails for findings of medium impact and above that nobody explained
	@toolchain/analysers/slither.sh
erc: setup ## Slither's checks of ERC-165 and 721 on assets and licenses, of ERC-20 and 2612 on the test token
	@toolchain/analysers/erc.sh
coverage: setup ## lines and branches of contracts/restaking that the Forge tests reach; fails below all of them
	@toolchain/analysers/coverage.sh
CHAOS ?= tests/chaos
chaos: compile ## an intake killed at every step, full and damaged disks, far and cold stores, twelve nodes in a storm; QANAT_STORM_SEED=n repeats one
	@$(call need,tests/chaos/test_*.py)
	@$(PYTEST) -q -rP -p no:ape_test $(CHAOS) $(ARGS)

.PHONY: shows
shows: setup ## run an issue's acceptance: N=01
	@[ -n '$(N)' ] || { echo "shows: which one? make shows N=01" >&2; exit 2; }
	@$(call need,toolchain/shows/$(N).sh)
	@bash toolchain/shows/$(N).sh

.PHONY: clean distclean
clean: ## remove what was built; keep what was installed
	@rm -rf build .build out cache contracts/.cache .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find offchain tests scripts toolchain -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
distclean: clean ## remove what was installed, too
	@rm -rf .venv node_modules offchain/*.egg-info .setup.lock
