# The one door to everything that is done in this checkout. What `make help` does not list is not
# supported. Needs python3 (3.11 or newer, with venv) and a package index that pip can reach;
# everything else is installed into .venv, which is refreshed whenever pyproject.toml changes.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
DEMO ?= demo
WORKERS ?= auto
E2E ?= tests/e2e
RUNS ?= 5
OUT ?= build/image
PACKER ?=
BIN := .venv/bin
READY := .venv/.ready
PYTEST := $(BIN)/python -m pytest
# every file that begins with a shell's shebang, wherever it lives; what stands for a script in golden trees is none
SHELL_SCRIPTS = $(shell find . \( -name .git -o -name .venv -o -name build -o -name demo -o -path ./tests/pipeline/golden/changes \) -prune -o -type f -exec awk 'FNR == 1 && /^\#!.*[\/ ](ba)?sh( |$$)/ { print FILENAME } { nextfile }' {} +)

.PHONY: help setup demo bundle mirror image test check lint fmt type docs golden catalog wheel kit interop bench e2e image-test faults hostile clean

help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with airseed and its development tools (PYTHON=python3)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("airseed needs Python 3.11 or newer, this is %d.%d: make PYTHON=..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { echo "making .venv with $$($(PYTHON) --version)"; $(PYTHON) -m venv --clear .venv; }
	@echo "installing airseed and its development tools into .venv (once, about half a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(READY) ## the whole way on an embedded upstream: cluster.yaml to verified bundle (DEMO=DIR)
	@$(BIN)/airseed demo $(DEMO)

bundle: $(READY) ## lock and bundle a cluster from the real upstreams (CLUSTER=path/to/cluster.yaml)
	@test -n "$(CLUSTER)" || { echo "usage: make bundle CLUSTER=path/to/cluster.yaml" >&2; exit 2; }
	@$(BIN)/airseed bundle "$(CLUSTER)"

mirror: $(READY) ## lock a cluster and fill a site from the real upstreams (CLUSTER=FILE REGISTRY=HOST/PREFIX YUM=DIR|URL)
	@test -n "$(CLUSTER)" -a -n "$(REGISTRY)$(YUM)" || { echo "usage: make mirror CLUSTER=path/to/cluster.yaml REGISTRY=HOST[:PORT][/PREFIX] YUM=DIR|URL (one of them, or both)" >&2; exit 2; }
	@$(BIN)/airseed mirror "$(CLUSTER)" $(if $(REGISTRY),--registry "$(REGISTRY)") $(if $(YUM),--yum "$(YUM)")

image: $(READY) ## bake a machine image from a locked cluster, by qemu (CLUSTER=path/to/cluster.yaml OUT=DIR)
	@test -n "$(CLUSTER)" || { echo "usage: make image CLUSTER=path/to/cluster.yaml [OUT=DIR] [PACKER='--profile 1.6 ...']" >&2; exit 2; }
	@folder=$$($(BIN)/airseed packer "$(CLUSTER)" --builder qemu $(PACKER) --json | $(BIN)/python -c 'import json, sys; made = json.load(sys.stdin); print(made["folder"], made["key"])') && \
		set -- $$folder && PKR_VAR_ssh_private_key_file="$$2" "$$1/build.sh" "$(OUT)"

test: $(READY) ## run every test that needs no network and no root
	@echo "every test that needs no network and no root, against servers on loopback (WORKERS=$(WORKERS)):"
	@$(PYTEST) -q -n $(WORKERS) --dist loadfile

check: lint type docs wheel test ## everything that has to pass before a change lands

lint: $(READY) ## ruff (rules and format), shellcheck, yamllint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/shellcheck $(SHELL_SCRIPTS)
	@$(BIN)/yamllint --strict .

fmt: $(READY) ## format the code and mend what ruff can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# what CI does not run rots unseen, so it is read at least
type: $(READY) ## mypy, strict
	@$(BIN)/mypy
	@MYPYPATH=tests:tests/tools $(BIN)/mypy --explicit-package-bases $(addprefix tests/,bench e2e faults hostile interop tools)

docs: $(READY) ## build the pages of docs/ into build/site; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

golden: $(READY) ## write the golden files and docs/cluster.md anew; read the diff before you commit it
	@$(PYTEST) -q --golden tests

catalog: $(READY) ## check every file and cross-reference of mirrors/
	@$(PYTEST) -q tests/catalog

wheel: $(READY) ## build sdist and wheel into dist/ and try the wheel in an empty virtual environment
	@rm -rf dist
	@$(BIN)/python -m hatchling build -d dist
	@$(PYTEST) -q -m wheel tests/test_wheel.py

kit: $(READY) ## write all that installs airseed where no package index is into one file (KIT=FILE)
	@$(BIN)/python kit/make.py $(KIT)

interop: $(READY) ## try bundles with real registries and tools (root and Debian; installs what it needs)
	@tests/interop/setup.sh
	@$(PYTEST) -q -m interop tests/interop

bench: $(READY) ## time airseed beside crane, skopeo, curl and dnf; writes build/bench.json (root and Debian; RUNS=5)
	@tests/interop/setup.sh
	@PYTHONPATH=tests:tests/tools $(BIN)/python -m bench --runs $(RUNS)

# Namespaces of its own for mounts and processes: whatever ends it, nothing is left behind.
e2e: $(READY) ## boot machines from seeds and see the cluster stand (root and Debian; E2E=FILE... for some, CUTS=10)
	@tests/e2e/setup.sh
	@unshare --mount --propagation private --pid --fork --kill-child --mount-proc $(PYTEST) -q -s -m e2e --durations=0 --durations-min=5 $(E2E)

image-test: $(READY) ## bake an image by real Packer, boot it with a seed; emulated, half an hour (root and Debian)
	@tests/e2e/setup.sh image
	@unshare --mount --propagation private --pid --fork --kill-child --mount-proc $(PYTEST) -q -s -m e2e tests/image

faults: $(READY) ## the long campaign of broken networks, kills and flipped bits
	@$(PYTEST) -q -m campaign tests/faults

hostile: $(READY) ## the long campaign of mutated documents
	@$(PYTEST) -q -m campaign tests/hostile

clean: ## remove everything that these targets made
	rm -rf .venv dist build demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
