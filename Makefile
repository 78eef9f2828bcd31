# Needs Python 3.11 or newer, make and a package index; everything else is installed into .venv.
PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
RUN := $(BIN)/python
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.PHONY: setup demo test commands e2e faults soak fuzz audit chromium pictures nautilus lint bench growth footprint up down lock clean

setup: .venv/.ready

# uv, since the pip that comes with Python 3.11 cannot install a hashed lock that has extras; byte code, since importing
# ccxt without it takes 5 s.
.venv/.ready: requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11") if sys.version_info < (3, 11) else 0'
	test -x $(RUN) || $(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(RUN) --allow-empty-requirements requirements-dev.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(RUN) --editable .
	touch $@

demo: setup
	$(RUN) -m deploy.local.demo

# Three workers on two cores, since tests wait too.
test: setup
	$(RUN) -m pytest -n 3 --dist worksteal

commands: setup
	$(RUN) -m pytest -m 'commands and not alone' -n 3 --dist worksteal

e2e: setup chromium
	$(RUN) -m pytest -m alone

# Every fault of the bench, and the page that says what came of each: docs/RELIABILITY.md.
faults: setup
	$(RUN) -m tests.faults --page docs/RELIABILITY.md

# HOURS (2) at SPEED (60) times the market's speed, and beside it as long in real time.
soak: setup
	$(RUN) -m tests.faults.soak $(or $(HOURS),2) $(or $(SPEED),60)

# Bytes into every reader, guided by what they reach; atheris is 100 MB that nothing else needs.
fuzz: setup
	test -x .venv-fuzz/bin/python || $(PYTHON) -m venv .venv-fuzz
	$(BIN)/uv pip sync --quiet --require-hashes --python .venv-fuzz/bin/python requirements.lock
	$(BIN)/uv pip install --quiet --python .venv-fuzz/bin/python atheris==3.0.0
	.venv-fuzz/bin/python -m tests.faults.fuzz -max_total_time=$(or $(SECONDS),60) -rss_limit_mb=1024

# Known advisories against what is locked; says so where no index of advisories can be reached.
audit: setup
	.ci/audit

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/lint-imports --config tests/importlinter.toml

# The report and Prefect's pages are tried in a real browser, the system's; without one their tests say so.
chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null || \
		{ apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || \
		echo "no chromium, and apt-get cannot install it"

pictures: setup chromium
	$(RUN) -m tests.pictures

# nautilus_trader needs other versions than ours, and 600 MB: an environment of its own.
nautilus: setup
	test -x .venv-nautilus/bin/python || $(PYTHON) -m venv .venv-nautilus
	$(BIN)/uv pip sync --quiet --require-hashes --python .venv-nautilus/bin/python requirements-nautilus.lock
	$(RUN) -m pytest -n 0 tests/export/test_nautilus.py

bench: setup
	$(RUN) -m benchmarks

footprint: setup
	$(RUN) -m deploy.local.footprint

growth: setup
	$(RUN) -m deploy.local.growth

lock: setup
	$(BIN)/uv pip compile $(LOCK) --group build --output-file requirements.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --group build --group dev --constraints requirements.lock --output-file requirements-dev.lock pyproject.toml
	$(BIN)/uv pip compile $(LOCK) --group nautilus --output-file requirements-nautilus.lock
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header

up: setup
	$(RUN) -m deploy.local.stack up

down: setup
	$(RUN) -m deploy.local.stack down

clean:
	rm -rf .venv .venv-nautilus .venv-audit .venv-fuzz .fuzz data .hypothesis .mypy_cache .ruff_cache
