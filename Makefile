# SPDX-License-Identifier: Apache-2.0
# Everything a newcomer, a developer and CI does, by name. Each target installs what it needs, once:
# the stamp knows the lock and the project file it was made from, so only a change of those installs again.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
GENVENV := build/generate-venv
READY := $(VENV)/.ready
GENREADY := $(GENVENV)/.ready
# An inherited find-links or index must not decide what is installed: the hashes name the files, the registry serves them.
PIP := env -u PIP_FIND_LINKS PIP_DISABLE_PIP_VERSION_CHECK=1
INSTALL := install --quiet --no-compile --use-pep517 --require-hashes

PROTOS := $(shell find protos -name '*.proto' 2>/dev/null)
WORKERS ?= 4
ARGS ?=

# KEEP=1 stays up after the demo, KILL=node or KILL=agent kills one in its middle.
export KEEP KILL

# Which languages `make interop` runs, whether with Jaeger, and where it leaves its logs.
export INTEROP JAEGER LOGS

# What `make chaos` does can be repeated (SEED) and lengthened; with SABOTAGE=1 it has to fail.
export SEED MINUTES WORKFLOWS SABOTAGE SETTINGS ROUNDS UNDER

.PHONY: help setup demo test test-long failover rolling freezes impatient etcd-outage lint generate stubs misbehaving storm strict bench pictures chaos chaos-long fuzz damage simulate model clean lock
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with everything that the other targets need
	@echo "Ready: $(BIN)/nervenet is nervenet $$($(BIN)/python -c 'from importlib.metadata import version; print(version("nervenet"))')."

demo: $(READY) ## audit the licence of every installed distribution on a mesh of real processes (KEEP=1, KILL=node|agent)
	@$(BIN)/python -m examples.licence_audit $(ARGS)

test: $(READY) ## run the tests (ARGS="tests/streams -k claim" narrows them)
	@$(BIN)/python -m pytest -m "not long" -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

test-long: $(READY) ## run the short forms of the tortures: storms, freezes, impatient callers, damage, fuzzing, memory
	@$(BIN)/python -m pytest -m long -n 3 --dist loadscope $(ARGS)

failover: $(READY) ## the long form of the failovers: Sentinel and Cluster, there and back, under a running mesh
	@FAILOVER=1 $(BIN)/python -m pytest tests/recovery/test_failover.py tests/recovery/test_cluster.py tests/streams/test_sentinel.py tests/streams/test_cluster_link.py $(ARGS)

rolling: $(READY) ## replace every node and agent in turn under load: nothing may fail, repeat or stall (ARGS="--rounds 3")
	@$(BIN)/python -m tests.recovery.rolling $(ARGS)

freezes: $(READY) ## processes stand still for 3 to 20 s and go on: everything must end within 7 s (ARGS="--rounds 3 --parallel 10")
	@$(BIN)/python -m tests.recovery.freezes $(ARGS)

impatient: $(READY) ## 2,000 starts with deadlines of 1 to 20 ms: every workflow that exists must end (ARGS="--calls 500")
	@$(BIN)/python -m tests.recovery.impatient $(ARGS)

etcd-outage: $(READY) ## the long form of etcd's bad days: a minute away, its leader killed, frozen and moved, under a running mesh
	@ETCD_OUTAGE=1 $(BIN)/python -m pytest tests/recovery/test_etcd_outage.py $(ARGS)

lint: $(READY) $(GENREADY) ## style, types, architecture, the contract, freshness of generated code, locks without addresses
	@PATH="$(abspath $(BIN)):$$PATH" tools/lint $(GENVENV)

generate: $(READY) $(GENREADY) ## make generated/ from protos/, and docs/reference/ from docstrings, settings, help and protos
	@PATH="$(abspath $(BIN)):$$PATH" tools/generate $(GENVENV) .
	@$(BIN)/python tools/reference

stubs: $(READY) $(GENREADY) ## make generated/{go,ts,java} anew from protos/ (needs Go, Node.js and a JDK with Maven)
	@PATH="$(abspath $(BIN)):$$PATH" tools/stubs $(GENVENV)

interop: $(READY) $(GENREADY) ## agents in Go, TypeScript, Java, Rust and straight on Redis through the conformance suite (INTEROP=go,…; JAEGER=1)
	@PATH="$(abspath $(BIN)):$$PATH" tools/interop $(GENVENV)

jaeger: ## build Jaeger once, and run it: OTLP on 127.0.0.1:4317, its API on 127.0.0.1:16686 (needs Go)
	@tools/jaeger run

chaos: $(READY) ## kill, stop, cut and restart meshes of real processes under load; checkers read what is left (SEED, MINUTES, WORKFLOWS, SABOTAGE=1)
	@$(BIN)/python -m tests.chaos

chaos-long: $(READY) ## the same for half an hour, in rounds, and one report of all (ROUNDS, UNDER="nice -n 10")
	@$(BIN)/python -m tests.chaos.rounds

misbehaving: $(READY) ## 500 good workflows on 3 nodes beside one that loops, one that blocks and one that exits
	@$(BIN)/python -m tests.recovery.misbehaving $(ARGS)

storm: $(READY) ## kill or stop one of four agents every second for two minutes under 500 workflows: no task may be blamed for it (SEED, ARGS="--poisons 1")
	@$(BIN)/python -m tests.recovery.storm $(if $(SEED),--seed $(SEED)) $(ARGS)

strict: $(READY) ## kill Redis and all nodes at once, 50 times each with durability strict and normal; count what was acknowledged and is gone
	@$(BIN)/python -m tests.recovery.strict --durability strict $(ARGS)
	@$(BIN)/python -m tests.recovery.strict --durability normal $(ARGS)
	@$(BIN)/python -m tests.recovery.strict --durability normal --power-cut $(ARGS)

fuzz: $(READY) ## 100,000 calls that no client should make, to a real node, without and with a token (ARGS="--calls 5000 --seed 7")
	@$(BIN)/python -m tests.fuzz $(ARGS)
	@$(BIN)/python -m tests.fuzz --token $(ARGS)

damage: $(READY) ## put other bytes into every key of the layout, one at a time, on a mesh of real processes (ARGS="a word of a case")
	@$(BIN)/python -m tests.damage $(ARGS)

simulate: $(READY) ## real nodes and agents in virtual time, a schedule of faults for each seed (SCHEDULES, SEED, SABOTAGE="a law"|all)
	@$(BIN)/python -m tests.simulation --schedules $(or $(SCHEDULES),1000) $(if $(SEED),--seed $(SEED)) $(if $(SABOTAGE),--sabotage "$(SABOTAGE)") $(ARGS)

model: $(READY) ## every order of events in the models of the protocols, and each safeguard taken away (tests/model/README.md)
	@$(BIN)/python -m tests.model $(ARGS)

bench: $(READY) ## compare the throughput of the product with a bare pump of the same Redis commands
	@$(BIN)/python benchmarks/throughput.py $(ARGS)

pictures: $(READY) ## what the commands print, as pictures in build/pictures: light and dark, 80 and 140 columns (needs tmux and rsvg-convert)
	@$(BIN)/python tools/pictures $(ARGS)

lock: $(READY) ## resolve requirements/ anew from pyproject.toml
	@tools/lock $(BIN)/uv

clean: ## remove everything that can be made again
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(READY): requirements/dev.txt pyproject.toml
	@tools/venv $(VENV) 3.11 3.14
	@echo "Installing what requirements/dev.txt names into $(VENV) (once)."
	@$(PIP) $(BIN)/python -m pip $(INSTALL) -r requirements/dev.txt
	@$(PIP) $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# grpcio-tools 1.66 has wheels up to Python 3.13.
$(GENREADY): requirements/generate.txt
	@tools/venv $(GENVENV) 3.11 3.13
	@echo "Installing the generator into $(GENVENV) (once)."
	@$(PIP) $(GENVENV)/bin/python -m pip $(INSTALL) -r requirements/generate.txt
	@touch $@
