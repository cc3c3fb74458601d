# dcm.platform: everything a developer needs. On a fresh machine only Python 3.11+, git and make must be there.
PYTHON ?= python3
UV_VERSION := 0.13.8
VENV := .venv
READY := $(VENV)/.ready
RUN := PATH="$(CURDIR)/$(VENV)/bin:$$PATH"
PY := $(RUN) $(VENV)/bin/python

# The lab listens on loopback only; a proxy for the outside must not be asked for it.
comma := ,
export NO_PROXY := $(if $(NO_PROXY),$(NO_PROXY)$(comma))127.0.0.1,localhost

# Every test starts processes by the hundred; without its cache of compiled files each of them would compile its libraries.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help environment demo test lint types sanity unit integration molecule lab-up lab-down lab-status \
	bench docs addon-table build bootstrap lock clean
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1@\2/p' $(MAKEFILE_LIST) | column -t -s @ 2>/dev/null || grep '##' $(MAKEFILE_LIST)

environment: $(READY)  ## the locked development environment in .venv

# A link to the checkout under a name Ansible and Python can import stands in .venv/collections; the .pth file adds it.
$(READY): dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	@echo "Installing the locked environment into $(VENV) (once)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --require-hashes -r dev.lock
	mkdir -p $(VENV)/collections/ansible_collections/dcm
	ln -sfn ../../../.. $(VENV)/collections/ansible_collections/dcm/platform
	$(VENV)/bin/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "dcm_platform.pth").write_text(str(pathlib.Path("$(VENV)/collections").absolute()) + "\n")'
	touch $@

demo: $(READY)  ## start the lab, run site.yml on it twice, show what then exists
	$(PY) -m tests.demo

test: $(READY)  ## everything CI runs: lint, types, sanity, unit, integration, molecule
	$(PY) -m tests.all

lint: $(READY)  ## ruff, ansible-lint
	$(PY) -m tests.all lint

types: $(READY)  ## mypy
	$(PY) -m tests.all types

sanity: $(READY)  ## ansible-test sanity on a staged copy
	$(PY) -m tests.all sanity

unit: $(READY)  ## tests without a lab
	$(PY) -m tests.all unit

integration: $(READY)  ## tests against a lab of their own
	$(PY) -m tests.all integration

molecule: $(READY)  ## every molecule scenario, each on a lab of its own
	$(PY) -m tests.all molecule

lab-up: $(READY)  ## start the lab in .lab (SERVICES="postgres vault" for some of it), or repair it
	$(PY) -m tests.sandbox up $(SERVICES)

lab-down: $(READY)  ## stop the lab and remove all it wrote
	$(PY) -m tests.sandbox down

lab-status: $(READY)  ## the lab's processes and their memory
	$(PY) -m tests.sandbox status

bench: $(READY)  ## ratios against the bare system and against the usual way, side by side
	$(PY) -m tests.benchmarks $(ONLY)

docs: $(READY)  ## regenerate docs/coverage.md from the tests' marks
	$(PY) -m tests.coverage --write

addon-table: $(READY)  ## regenerate docs/addons.md from the catalogue of add-ons
	$(PY) -m tests.addon_table --write

build: $(READY)  ## the tarball for ansible-galaxy collection install, in dist/
	$(RUN) ansible-galaxy collection build --force --output-path dist

bootstrap: $(READY)  ## converge an environment: make bootstrap ENV=production_talos [ARGS=--check]
	@test -n "$(ENV)" && test -f "inventories/$(ENV)/hosts.yml" || \
		{ echo "ENV must name one of: $$(ls inventories | tr '\n' ' ')(given: '$(ENV)')"; exit 2; }
	$(RUN) ansible-playbook -i inventories/$(ENV) playbooks/site.yml $(ARGS)

lock: $(READY)  ## resolve pyproject.toml anew into dev.lock
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --group pyproject.toml:dev \
		--generate-hashes --no-emit-index-url --upgrade --output-file dev.lock

clean: lab-down  ## remove the lab, the environment and all caches in the checkout
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .ansible dist tests/output
