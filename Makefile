# Every target works on a fresh clone with nothing but Python 3.11 or newer: setup makes .venv and is instant when it is current.

.PHONY: setup check test serve demo bench clean
.DEFAULT_GOAL := setup

# Any of these; the setup script itself uses the standard library only.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell command -v $(name) >/dev/null 2>&1 && $(name) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $(name))))

setup:
	@test -n "$(PYTHON)" || { echo "Greenroom needs Python 3.11 or newer, and found none on PATH." >&2; exit 1; }
	@$(PYTHON) scripts/setup.py

# Format, lint and types: seconds.
check: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy --strict

# Everything; ARGS picks, e.g. make test ARGS="tests/unit -k guild".
test: setup
	.venv/bin/python -m pytest $(ARGS)

# Runs in the foreground until Ctrl-C.
serve: setup
	@exec .venv/bin/greenroom serve $(ARGS)

demo: setup
	@exec .venv/bin/greenroom demo $(ARGS)

bench: setup
	@exec .venv/bin/greenroom bench $(ARGS)

# Removes what was installed and what tools left behind; the game's data in .greenroom stays.
clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
