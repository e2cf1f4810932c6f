# Two commands: `make run` (the whole stack on this machine) and `make test` (every test).
# `make` alone lists all targets.
.DEFAULT_GOAL := help
.PHONY: help setup run cluster test check lint types contracts deadcode generate proofs-full unit e2e seed-100k bench bench-rules bench-rolling load-100k detection drills healthy kills scorecard shots-web token clean requirements

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PREVIEW := monitoring/preview/web
PREVIEW_BUILT := monitoring/preview/static/.built
CLIENT := app/web
CLIENT_BUILT := app/web/dist/.built
# Four processes, each with whole files of tests, since most of them wait for servers; not those that
# start the stack, which would rightly page while others take its processor. In the order of tests/conftest.py,
# longest file first: of itself xdist begins with those of the most tests, and everybody waits for the long ones.
SIDE_BY_SIDE := -n 4 --dist loadfile --no-loadscope-reorder

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

$(STAMP): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3,11) <= sys.version_info[:2] <= (3,13) else "Python 3.11 to 3.13 is needed; PYTHON=… make names another one")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -qq --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# The system's packages beside Python's; the pages, which need node, after both.
setup: ## build .venv and the pages, and install the system packages that are missing
	@deploy/setup-system & system=$$!; \
	$(MAKE) --no-print-directory $(STAMP); venv=$$?; \
	wait $$system && [ $$venv = 0 ] && $(MAKE) --no-print-directory -j2 $(PREVIEW_BUILT) $(CLIENT_BUILT)
	@$(BIN)/python -m compileall -q app monitoring deploy  # the tests start hundreds of processes

$(PREVIEW_BUILT): deploy/setup-page $(shell find $(PREVIEW) -name node_modules -prune -o -type f -print)
	@deploy/setup-page $(PREVIEW) $(dir $@) 'preview of dashboards'

$(CLIENT_BUILT): deploy/setup-page $(shell find $(CLIENT) \( -name node_modules -o -name dist \) -prune -o -type f -print)
	@deploy/setup-page $(CLIENT) $(dir $@) 'web client'

run: setup ## start everything on this machine; Ctrl-C stops it
	@exec $(BIN)/python -m deploy.stack

cluster: setup ## a whole deployment on this machine: three nodes behind nginx with TLS, and what watches them
	@exec $(BIN)/python -m deploy.cluster

token: ## print a fresh single-use WebSocket token of a demo person (DEMO_USER=alice)
	@$(BIN)/python -m deploy.token $(or $(DEMO_USER),alice)

test: setup ## every check and every test
	@$(MAKE) --no-print-directory -j2 -O check
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory e2e

check: $(STAMP) lint types contracts deadcode ## lint, types, import contracts, dead code, generated files
	$(BIN)/python -m monitoring check

lint: $(STAMP)
	$(BIN)/ruff check app monitoring deploy tests
	$(BIN)/ruff format --check app monitoring deploy tests

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports --config setup.cfg

deadcode: $(STAMP)
	$(BIN)/vulture

generate: $(STAMP) ## write alerts/ and dashboards/ from the SLO specs
	$(BIN)/python -m monitoring generate

proofs-full: setup ## prove the alerts of the messenger with production's windows, 5 to 10 minutes
	$(BIN)/python -m monitoring proofs --full

unit: $(STAMP) ## the tests that start no stack
	$(BIN)/pytest -q $(SIDE_BY_SIDE) -m 'not e2e and not every_order'

e2e: $(STAMP) ## the tests that start the stack as a user does, two at a time: most of them wait
	$(BIN)/pytest -q -m e2e -n 2 --dist loadfile

scorecard: $(STAMP) ## what the board linter finds, misses and wrongly flags; PUBLISHED=FOLDER for boards of others
	$(BIN)/python -m tests.scorecard $(PUBLISHED)

seed-100k: setup ## time the minting of 100,000 people, devices and tokens
	$(BIN)/python -m deploy.bench seed

bench: setup ## measure the messenger beside its references, 5 to 10 minutes; BENCH="delivery yield" for some
	$(BIN)/python -m deploy.bench $(BENCH)

bench-rules: setup ## what SLOs cost us and Prometheus, beside sloth's and pyrra's rules, 8 minutes; RULES="--only ours --slos 1000"
	$(BIN)/python -m deploy.bench.slos
	$(BIN)/python -m deploy.bench.rules $(RULES)

bench-rolling: setup ## replace all nodes of a cluster under load by way of nginx, 2 minutes; ROLLING="--connections 3000"
	$(BIN)/python -m deploy.bench.rolling $(ROLLING)

load-100k: setup ## 100,000 connections over six nodes with traffic, 10 to 20 minutes; says first what it needs
	$(BIN)/python -m deploy.bench.load100k

shots-web: setup ## take the pictures of the web client in docs/img/web anew
	$(BIN)/python -m deploy.shots docs/img/web

drills: setup ## break the real stack as production breaks, and see when somebody is told, about 10 minutes
	$(BIN)/python -m deploy.bench.drills $(DRILLS)

healthy: setup ## an hour of healthy traffic with production's windows, in which nobody may be called; HEALTHY="--minutes 10"
	$(BIN)/python -m deploy.bench.healthy $(HEALTHY)

kills: setup ## kill prober, on-call, Alertmanager and messenger around an incident in every order, about 10 minutes
	$(BIN)/pytest -q -m every_order

detection: setup ## predicted against observed detection of every SLO on the real stack, about 10 minutes
	$(BIN)/python -m deploy.bench.detection $(DETECTION)

requirements: $(STAMP) ## compile the pinned requirements anew
	$(BIN)/pip-compile -q --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe -o requirements.txt setup.cfg
	$(BIN)/pip-compile -q --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --strip-extras --allow-unsafe --extra dev -c requirements.txt -o requirements-dev.txt setup.cfg

clean: ## remove .venv, the built pages and the data of make run
	rm -rf $(VENV) .run $(dir $(PREVIEW_BUILT)) $(PREVIEW)/node_modules $(dir $(CLIENT_BUILT)) $(CLIENT)/node_modules
