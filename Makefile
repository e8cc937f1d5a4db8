# SPDX-License-Identifier: Apache-2.0
# Everything a newcomer, a developer and CI does, by name. Each target installs what it needs, once:
# the stamp knows the lock and the project file it was made from, so only a change of those installs again.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

# Which Python everything runs on: PYTHON=python3.13 has an environment of its own, .venv-3.13. The default is .venv, of the
# newest suitable Python on PATH.
PYTHON :=
VENV := .venv$(if $(PYTHON),-$(subst python,,$(notdir $(PYTHON))))
BIN := $(VENV)/bin
GENVENV := build/generate-venv
READY := $(VENV)/.ready
GENREADY := $(GENVENV)/.ready
DOCSVENV := build/docs-venv
DOCSREADY := $(DOCSVENV)/.ready
DEPLOYVENV := build/deploy-venv
DEPLOYREADY := $(DEPLOYVENV)/.ready
PIP := env -u PIP_FIND_LINKS PIP_DISABLE_PIP_VERSION_CHECK=1

# The tests start more than a thousand Python processes. One that finds bytecode starts in half the time, so `setup` compiles
# what it has installed, on all cores (pip compiles on one), and a variable that many container images set is not obeyed.
unexport PYTHONDONTWRITEBYTECODE

PROTOS := $(shell find protos -name '*.proto' 2>/dev/null)
WORKERS ?= 4
ARGS ?=

# Tests of what computes: almost none of them starts a server or a process. CI runs them on every Python that it finds.
PURE := tests/api tests/config tests/declared tests/durable tests/model tests/rpc/test_decoding.py tests/testing
# The Pythons on which `make test-pythons` runs the whole suite.
PYTHONS ?= python3.13

# KEEP=1 stays up after the demo, KILL=node or KILL=agent kills one in its middle.
export KEEP KILL

# Which languages `make interop` runs, whether with Jaeger, and where it leaves its logs.
export INTEROP JAEGER LOGS

# Which environments `make frameworks` runs.
export FRAMEWORKS

# EXEC=1: the tests fork no process, but start an interpreter for each (tests/README.md).
export EXEC

# What `make chaos` does can be repeated (SEED) and lengthened; with SABOTAGE=1 it has to fail.
export SEED MINUTES WORKFLOWS SABOTAGE SETTINGS ROUNDS UNDER

.PHONY: help setup demo docs test test-pure test-pythons test-long failover rolling freezes impatient etcd-outage frameworks frameworks-long lint generate stubs misbehaving storm strict torn bench bench-guard bench-table bench-langgraph bench-peers bench-documents logistics pictures promtool kubernetes kubernetes-write kubernetes-run sbom audit dashboard-test dashboard-pictures bench-dashboard chaos chaos-long fuzz damage simulate model clean lock
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with everything that the other targets need
	@echo "Ready: $(BIN)/nervenet is nervenet $$($(BIN)/python -c 'from importlib.metadata import version; print(version("nervenet"))')."

demo: $(READY) ## audit the licence of every installed distribution on a mesh of real processes (KEEP=1, KILL=node|agent)
	@$(BIN)/python -m examples.licence_audit $(ARGS)

logistics: $(READY) ## 50,000 shipment updates on a mesh of real processes while nodes are killed; nothing may be lost (ARGS="--updates 2000 --minutes 1")
	@$(BIN)/python -m examples.logistics $(ARGS)

test: $(READY) ## run the tests (ARGS="tests/streams -k claim" narrows them, PYTHON=python3.13 chooses a Python)
	@$(BIN)/python -m pytest -m "not long" -n $(WORKERS) --dist loadscope --no-loadscope-reorder $(ARGS)

test-pure: $(READY) ## run the tests of what computes (no servers), in about a minute (PYTHON=python3.12 chooses a Python)
	@$(BIN)/python -m pytest -m "not long" -n $(WORKERS) $(PURE) $(ARGS)

test-pythons: ## run the whole suite on other Pythons, one after the other (PYTHONS="python3.12 python3.13")
	@for python in $(PYTHONS); do echo "The whole suite on $$python:"; $(MAKE) --no-print-directory test PYTHON=$$python; done

test-long: $(READY) ## run the long tests: short forms of storms, freezes, damage, fuzzing; whole meshes whose servers fail
	@$(BIN)/python -m pytest -m long -n $(if $(filter 0,$(WORKERS)),0,3) --dist loadscope --ignore=tests/kubernetes $(ARGS)

failover: $(READY) ## the long form of the failovers: Sentinel and Cluster, to the replica and back, under a running mesh
	@FAILOVER=1 $(BIN)/python -m pytest tests/recovery/test_failover.py tests/recovery/test_cluster.py tests/streams/test_sentinel.py tests/streams/test_cluster_link.py $(ARGS)

rolling: $(READY) ## replace every node and agent in turn under load: nothing may fail, repeat or stall (ARGS="--rounds 3")
	@$(BIN)/python -m tests.recovery.rolling $(ARGS)

freezes: $(READY) ## pause processes for 3 to 20 s: everything must end within 7 s (ARGS="--rounds 3 --parallel 10")
	@$(BIN)/python -m tests.recovery.freezes $(ARGS)

impatient: $(READY) ## 2,000 starts with deadlines of 1 to 20 ms: every workflow that exists must end (ARGS="--calls 500")
	@$(BIN)/python -m tests.recovery.impatient $(ARGS)

etcd-outage: $(READY) ## the long form of failures of etcd: a minute away, its leader killed, frozen and moved, under a running mesh
	@ETCD_OUTAGE=1 $(BIN)/python -m pytest tests/recovery/test_etcd_outage.py $(ARGS)

lint: $(READY) $(GENREADY) ## style, types, architecture, the contract, prose, freshness of generated code, locks without addresses
	@PATH="$(abspath $(BIN)):$$PATH" tools/lint $(GENVENV)

generate: $(READY) $(GENREADY) ## write generated/ from protos/, docs/reference/ from docstrings, help texts and protos
	@PATH="$(abspath $(BIN)):$$PATH" tools/generate $(GENVENV) .
	@$(BIN)/python tools/reference

docs: $(DOCSREADY) ## the pages of docs/ as a site with an index and a search, in build/site; every warning is an error
	@$(DOCSVENV)/bin/python tools/site

stubs: $(READY) $(GENREADY) ## write generated/{go,ts,java} from protos/ (needs Go, Node.js and a JDK with Maven)
	@PATH="$(abspath $(BIN)):$$PATH" tools/stubs $(GENVENV)

interop: $(READY) $(GENREADY) ## agents in Go, TypeScript, Java, Rust and straight on Redis through the conformance suite (INTEROP=go,…; JAEGER=1)
	@PATH="$(abspath $(BIN)):$$PATH" tools/interop $(GENVENV)

jaeger: ## build Jaeger once, and run it: OTLP on 127.0.0.1:4317, its API on 127.0.0.1:16686 (needs Go)
	@tools/jaeger run

frameworks: ## run the integrations on LangGraph, CrewAI and Pydantic AI, in environments of their own (FRAMEWORKS="newest crewai", ARGS)
	@tools/frameworks $(ARGS)

frameworks-long: ## the same with its long tests: twenty hash seeds, 1,000 tasks in a step, the licence audit with killed processes
	@LONG=1 tools/frameworks $(ARGS)

chaos: $(READY) ## kill, stop, cut and restart meshes of real processes under load, then check what is left (SEED, MINUTES, WORKFLOWS, SABOTAGE=1)
	@$(BIN)/python -m tests.chaos

chaos-long: $(READY) ## the same for half an hour, in rounds, with one report (ROUNDS, UNDER="nice -n 10")
	@$(BIN)/python -m tests.chaos.rounds

misbehaving: $(READY) ## 500 good workflows on 3 nodes beside one that loops, one that blocks and one that exits
	@$(BIN)/python -m tests.recovery.misbehaving $(ARGS)

storm: $(READY) ## kill or stop one of four agents every second for two minutes under 500 workflows: no task may be blamed (SEED, ARGS="--poisons 1")
	@$(BIN)/python -m tests.recovery.storm $(if $(SEED),--seed $(SEED)) $(ARGS)

torn: $(READY) ## kill Redis 200 times under a mesh and cut the end off its file: every workflow ends right (TURNS, SEED)
	@TURNS=$(or $(TURNS),200) $(BIN)/python -m pytest tests/recovery/test_redis_restarts.py -k torn --timeout 3600 $(ARGS)

strict: $(READY) ## kill Redis and all nodes at once, 50 times each with durability strict and normal; count acknowledged facts that are lost
	@$(BIN)/python -m tests.recovery.strict --durability strict $(ARGS)
	@$(BIN)/python -m tests.recovery.strict --durability normal $(ARGS)
	@$(BIN)/python -m tests.recovery.strict --durability normal --power-cut $(ARGS)

fuzz: $(READY) ## send calls that no client should make to a real node, and records that nobody should have written to the decoders (CALLS=100000, RECORDS=1000000, SEED)
	@$(BIN)/python -m tests.fuzz $(if $(CALLS),--calls $(CALLS)) $(if $(RECORDS),--records $(RECORDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

damage: $(READY) ## put wrong bytes into every key of the layout, one at a time, on a mesh of real processes (ARGS="a word of a case")
	@$(BIN)/python -m tests.damage $(ARGS)

simulate: $(READY) ## run real nodes and agents in virtual time, with a schedule of faults for each seed (SCHEDULES, SEED, SABOTAGE="a law"|all)
	@$(BIN)/python -m tests.simulation --schedules $(or $(SCHEDULES),1000) $(if $(SEED),--seed $(SEED)) $(if $(SABOTAGE),--sabotage "$(SABOTAGE)") $(ARGS)

model: $(READY) ## explore every order of events in the models of the protocols, and take each safeguard away in turn (tests/model/README.md)
	@$(BIN)/python -m tests.model $(ARGS)

bench: $(READY) ## compare the throughput of the product with a bare pump of the same Redis commands
	@$(BIN)/python benchmarks/throughput.py $(ARGS)

bench-guard: $(READY) ## fail if a workflow costs a quarter more CPU beside the bare pump than benchmarks/guard.json says; half a minute
	@$(BIN)/python benchmarks/guard.py $(ARGS)

bench-table: $(READY) ## nervenet beside a central orchestrator, fair and naive: latency, throughput, memory, recovery; about 13 minutes (ARGS="--quick")
	@$(BIN)/python benchmarks/table.py $(ARGS)

bench-documents: $(READY) ## a document pipeline at 50 to 50,000 documents an hour beside its ideal time; about 7 minutes (ARGS="--rates 5000")
	@$(BIN)/python benchmarks/documents.py $(ARGS)

bench-langgraph: $(READY) ## a graph of four nodes on LangGraph with PostgreSQL, with NervenetSaver, and as a workflow; about 10 minutes (ARGS="--quick")
	@$(BIN)/python benchmarks/langgraph_four.py $(ARGS)

bench-peers: $(READY) ## nervenet beside AutoGen, LangGraph, Celery, taskiq, DBOS, Restate and Temporal; about 20 minutes (ARGS="--only celery --quick")
	@$(BIN)/python benchmarks/peer_table.py $(ARGS)

pictures: $(READY) ## draw what the commands print, in build/pictures: light and dark, 80, 100 and 140 columns (needs tmux and rsvg-convert)
	@$(BIN)/python tools/pictures $(ARGS)

promtool: $(READY) ## build promtool once, some minutes (needs Go), then let it read the alerts, the dashboards' queries, and pages of a node and an agent
	@tools/promtool
	@$(BIN)/python -m pytest tests/metrics/test_deploy.py -n 2 $(ARGS)

kubernetes: $(READY) $(DEPLOYREADY) ## render the Helm chart with helm, judge every object, and call the scaler with KEDA's own client (needs Go; some minutes once)
	@tools/kubernetes.sh
	@$(BIN)/python -m pytest tests/kubernetes -n 2 --dist loadscope $(ARGS)

kubernetes-write: $(DEPLOYREADY) ## write deploy/kubernetes and the names of settings in the chart's schema
	@tools/kubernetes.sh --write

kubernetes-run: $(READY) $(DEPLOYREADY) ## the chart's containers as processes in network namespaces: probes, and a rolling update of all under 200 workflows
	@tools/kubernetes.sh
	@$(BIN)/python -m tests.kubernetes.run $(ARGS)

sbom: $(DEPLOYREADY) ## the bill of materials of what the image installs, as CycloneDX, in build/sbom.cdx.json
	@tools/supply sbom

audit: $(DEPLOYREADY) ## known weaknesses of what the image installs; fails where the database of advisories cannot be asked
	@tools/supply audit

dashboard-test: $(READY) ## walk the dashboard in Chromium against a real mesh (ARGS="-k escalation"; LONG=1 watches its memory for ten minutes)
	@tools/dashboard_test -m pytest tests/dashboard $(ARGS)

dashboard-pictures: $(READY) ## write the screenshots of docs/dashboard.md again, in docs/pictures (needs Chromium)
	@tools/dashboard_test -m tests.dashboard.pictures $(ARGS)

bench-dashboard: $(READY) ## the dashboard with 10,000 workflows, 500 agents, 5,000 steps and 50 idle pages; about 4 minutes (needs Chromium)
	@tools/dashboard_test -m benchmarks.dashboard $(ARGS)

lock: $(READY) ## resolve pyproject.toml into requirements/
	@tools/lock $(BIN)/uv

clean: ## remove everything that the other targets create
	rm -rf .venv .venv-3.* build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(READY): requirements/dev.txt pyproject.toml
	@tools/venv $(VENV) 3.11 3.14 $(PYTHON)
	@echo "Installing what requirements/dev.txt names into $(VENV) (once; a minute or two):"
	@tools/install $(BIN)/python requirements/dev.txt
	@echo "  nervenet itself"
	@$(PIP) $(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@echo "  compiling to bytecode"
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib/python3.*/site-packages || true # one may ship files of another Python
	@touch $@

# grpcio-tools 1.66 has wheels up to Python 3.13.
$(GENREADY): requirements/generate.txt
	@tools/venv $(GENVENV) 3.11 3.13
	@echo "Installing the generator into $(GENVENV) (once):"
	@tools/install $(GENVENV)/bin/python requirements/generate.txt
	@touch $@

$(DEPLOYREADY): requirements/deploy.txt
	@tools/venv $(DEPLOYVENV) 3.11 3.14
	@echo "Installing the tools for what is deployed into $(DEPLOYVENV) (once):"
	@tools/install $(DEPLOYVENV)/bin/python requirements/deploy.txt
	@touch $@

$(DOCSREADY): requirements/docs.txt
	@tools/venv $(DOCSVENV) 3.11 3.14
	@echo "Installing the generator of the site into $(DOCSVENV) (once):"
	@tools/install $(DOCSVENV)/bin/python requirements/docs.txt
	@touch $@
