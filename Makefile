# Every target that needs Python makes .venv first; nothing but Python 3.11+, make and git has to be there.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python that fits; the embedded Redis has wheels for 3.11 to 3.13. Another one: make PYTHON=/path/to/python ...
ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)
ifeq ($(PYTHON),)
PYTHON := python3
endif
endif

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test up check ci bench stalls chaos fuzz client arq-suite constraints vendor format clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(STAMP) ## run every shipped job on real input, over HTTP, and check each result
	@$(BIN)/offload demo $(ARGS)

# Exit code 5 says that no test was selected, which is as it should be in one of the two steps.
test: $(STAMP) ## run all tests: several at once, then one by one those that measure time
	@$(BIN)/python -m pytest -n auto -m "not serial" $(ARGS); most=$$?; \
	$(BIN)/python -m pytest -m serial $(ARGS); rest=$$?; \
	case "$$most $$rest" in "0 0"|"0 5"|"5 0") ;; *) \
	echo "make test: pytest ended with $$most (several at once) and $$rest (one by one)" >&2; exit 1;; esac

up: $(STAMP) ## start Redis, API and worker and stay up: http://127.0.0.1:8000
	@$(BIN)/offload up $(ARGS)

check: $(STAMP) ## lint, format, types, import rules, fast tests
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "not formatted: run 'make format'" >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q -n auto tests/unit tests/contract

ci: check test demo ## check, test and demo, and the long forms of what the tests do in short
	@$(MAKE) --no-print-directory chaos
	@$(MAKE) --no-print-directory fuzz ARGS=--keys
	@$(MAKE) --no-print-directory arq-suite
	@$(MAKE) --no-print-directory client
	@$(MAKE) --no-print-directory stalls
	@$(MAKE) --no-print-directory bench ARGS=--quick

bench: $(STAMP) ## run the benchmarks, side by side with stock arq
	@test -d benchmarks || { echo "this version has no benchmarks/ yet" >&2; exit 2; }
	@$(BIN)/python -m benchmarks $(ARGS)

stalls: $(STAMP) ## hold event loops in every way, and see whether the watch names job and line
	@$(BIN)/python -m benchmarks.stalls $(ARGS)

chaos: $(STAMP) ## kill and stop workers and Redis under 20,000 jobs; nothing may be lost
	@$(BIN)/python tests/e2e/chaos.py $(ARGS)

fuzz: $(STAMP) ## fuzz the whole HTTP API with schemathesis, 10,000 requests and more
	@$(BIN)/python tests/e2e/fuzz.py $(ARGS)

client: $(STAMP) ## generate a client from the OpenAPI document, and use it
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT INT TERM; \
	$(PYTHON) -m venv "$$dir"; \
	"$$dir/bin/python" -m pip --disable-pip-version-check --quiet install 'openapi-python-client>=0.29,<1'; \
	PATH="$$dir/bin:$$PATH" $(BIN)/python -m pytest -q tests/e2e/test_generated_client.py

arq-suite: $(STAMP) ## run arq's own tests with Offload's worker in place of arq's
	@$(BIN)/python tests/contract/arq_suite.py

constraints: ## renew constraints.txt: resolve the ranges of pyproject.toml in a fresh environment
	@$(call need_python)
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT INT TERM; \
	$(PYTHON) -m venv "$$dir"; \
	"$$dir/bin/python" -m pip --disable-pip-version-check --quiet install '.[embedded,dev]'; \
	{ echo "# Exact versions, resolved from the ranges of pyproject.toml by 'make constraints'."; \
	"$$dir/bin/python" -m pip --disable-pip-version-check freeze --exclude offload \
		| LC_ALL=C sed -n 's/^\([A-Za-z0-9._-]*==[^ ;@]*\).*/\1/p'; } > "$$dir/constraints.txt"; \
	cp "$$dir/constraints.txt" constraints.txt; \
	echo "constraints.txt: $$(grep -c == constraints.txt) versions"

vendor: ## renew the vendored files of Swagger UI from npm: make vendor VERSION=5.35.0 (default: the latest)
	@command -v npm >/dev/null || { echo "make vendor needs npm" >&2; exit 2; }
	@$(call need_python)
	@$(PYTHON) .ci/vendor_swagger_ui.py $(VERSION)

format: $(STAMP) ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

clean: ## remove the environment, caches and builds (.offload/, the data, stays)
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

define need_python
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "Offload needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo 'not there')." >&2; \
	echo "Install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
endef

$(BIN)/python:
	@$(call need_python)
	@echo "making $(VENV) ..." >&2
	@$(PYTHON) -m venv $(VENV) >&2 || { rm -rf $(VENV); exit 1; }

# The stamp is written after everything is installed, so a broken install is made again.
$(STAMP): $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into $(VENV) (once) ..." >&2
	@$(PIP) install --constraint constraints.txt --editable '.[embedded,dev]' >&2
	@touch $@
