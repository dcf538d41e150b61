# Every target works on a fresh clone with nothing but Python 3.11 or newer: setup makes .venv, and is instant when current.

.PHONY: setup check test chaos chaos-night serve demo bench lock clean
.DEFAULT_GOAL := setup

# The first of these that runs and is new enough. Setup takes a quicker build of the same version if there is one,
# unless PYTHON is given.
PYTHON ?= $(shell for name in python3.11 python3.12 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$name && break; done)

setup:
	@test -n "$(PYTHON)" || { echo "Greenroom needs Python 3.11 or newer, and found none on PATH." >&2; exit 1; }
	@$(PYTHON) scripts/setup.py $(if $(filter file,$(origin PYTHON)),--any)

# Format, lint and types: seconds.
check: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy --strict

# Everything; ARGS picks: make test ARGS="tests/unit -k guild".
test: setup
	.venv/bin/python -m pytest $(ARGS)

# The longer tiers of what kills, cuts and overloads: a quarter of an hour; a night.
chaos: setup
	GREENROOM_TIER=F .venv/bin/python -m pytest tests/chaos tests/simulation tests/security/test_api_document.py -o faulthandler_timeout=1800 $(ARGS)

chaos-night: setup
	GREENROOM_TIER=N .venv/bin/python -m pytest tests/chaos tests/simulation -o faulthandler_timeout=7200 $(ARGS)

# Runs in the foreground until Ctrl-C.
serve: setup
	@exec .venv/bin/greenroom serve $(ARGS)

# Bots play a living world.
demo: setup
	@exec .venv/bin/greenroom demo $(ARGS)

bench: setup
	@exec .venv/bin/greenroom bench $(ARGS)

# Pins anew what pyproject.toml asks for (needs uv); commit the result.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet -o requirements.lock

# Removes what was installed and what tools left behind; the game's data in .greenroom stays.
clean:
	rm -rf clients/typescript/node_modules tests/harness/chromium/node_modules
	rm -rf .venv .venv.lock build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
