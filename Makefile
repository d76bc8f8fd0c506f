# The two commands a newcomer needs: `make demo` and `make test`. Everything else is for people who work here.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMPS := $(VENV)/.stamps
DBT_PROJECT := --project-dir dbt_project --profiles-dir dbt_project

export DBT_SEND_ANONYMOUS_USAGE_STATS = false
export DAGSTER_DISABLE_TELEMETRY = 1
# The tests start processes by the dozen: what one has compiled is there for the next, whatever the shell says.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test pytest lint dev bench soak docs freshness clean lock help

help:            ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(STAMPS)/runtime   ## install, then landing -> release on the synthetic sample city
	$(BIN)/eduplan demo

# Beside each other: what the first tests wait for leaves room for the linters.
test: $(STAMPS)/dev       ## install, lint, and run every test
	@$(MAKE) --no-print-directory --jobs 2 lint pytest

# Four workers on two cores: services, killed runs and shared homes are waited for, and somebody works meanwhile.
pytest: $(STAMPS)/dev     ## every test, without the linters
	$(BIN)/python -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder

# `warehouse` first: with its word on Python's collector sqlfluff takes a third less. One process: each compiles the project.
SQLFLUFF := "import warehouse; from sqlfluff.cli.commands import cli; cli()"

lint: $(STAMPS)/dev       ## ruff, mypy, import rules, dbt parse, sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/dbt --no-version-check --warn-error parse --quiet $(DBT_PROJECT)
	cd dbt_project && ../$(BIN)/python -c $(SQLFLUFF) lint --disable-progress-bar models macros tests

dev: $(STAMPS)/runtime    ## the Dagster UI and daemon on 127.0.0.1
	$(BIN)/eduplan dev

bench: $(STAMPS)/dev      ## ratios against a bare engine, one table (never part of `make test`)
	$(BIN)/python benchmarks/run.py

soak: $(STAMPS)/dev       ## long trials: kills by the dozen, a year of the whole city counted twice
	EDUPLAN_SOAK=1 $(BIN)/python -m pytest -q tests/pipeline/test_kill.py tests/pipeline/test_crash_matrix.py tests/pipeline/test_isolation.py tests/pipeline/test_backlog.py tests/pipeline/test_dirty_city.py \
	  tests/pipeline/test_second_computation.py tests/pipeline/test_explain.py tests/pipeline/test_run_small.py \
	  tests/service/test_daemon.py tests/service/test_daemon_soak.py

docs: $(STAMPS)/dev       ## build/docs/static_index.html: every model, column, formula and test, one page without a server
	$(BIN)/dbt --no-version-check docs generate $(DBT_PROJECT) --static --empty-catalog --quiet --target-path $(CURDIR)/build/docs --log-path $(CURDIR)/build/docs
	@echo build/docs/static_index.html

freshness: $(STAMPS)/dev  ## how old each feed of the newest candidate is; fails when one is older than its calendar allows
	EDUPLAN_CANDIDATE_DB="$$(ls -t "$${EDUPLAN_HOME:-var}"/candidates/c*/candidate.duckdb | head -n 1)" \
	  $(BIN)/dbt --no-version-check source freshness $(DBT_PROJECT) --target sealed --target-path $(CURDIR)/build/freshness --log-path $(CURDIR)/build/freshness

clean:           ## remove what can be made again (never var/: that is state)
	rm -rf $(VENV) var-sample build dist *.egg-info dbt_project/target dbt_project/logs logs .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMPS)/venv: requirements-bootstrap.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else "eduplan needs Python 3.11, 3.12 or 3.13; try: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	@mkdir -p $(STAMPS) && touch $@

# uv installs the hashed lock in seconds; where it cannot reach an index that pip is configured for, pip does the same work.
define install
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r $(1) \
	  || { echo "uv could not install; pip does the same work in minutes"; \
	       $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
endef

$(STAMPS)/runtime: $(STAMPS)/venv requirements.lock pyproject.toml
	$(call install,requirements.lock)
	@touch $@

# The lock for work holds that for running whole, so one installation does for both.
$(STAMPS)/dev: $(STAMPS)/venv requirements.lock requirements-dev.lock pyproject.toml
	$(call install,requirements-dev.lock)
	@touch $(STAMPS)/runtime $@

# Constraints in a file of their own: what stands in pyproject.toml for uv also holds when it installs, and has no hashes.
lock:            ## resolve the locks anew (hashes, no index lines)
	for pair in "requirements-bootstrap.in requirements-bootstrap.lock" "pyproject.toml requirements.lock" "pyproject.toml requirements-dev.lock --extra dev -c requirements.lock"; do \
	  set -- $$pair; in=$$1; out=$$2; shift 2; \
	  UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-strip-extras -c constraints.in $$in "$$@" -o $$out || exit 1; \
	done
