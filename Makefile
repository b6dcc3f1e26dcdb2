# make demo    the whole path on real photographs, in a minute       PHOTOS=dir for your own
# make test    all tests
# make serve   the service, for daily use                             ARGS="--port 9000 ..."
# make wheel   the wheel, into dist/
# make check   lint, types, import rules
# make lock    makes constraints.txt again: the versions that CI installs  PIP_ARGS="--constraint constraints.txt" takes them
# make bench   the benchmarks, one JSON line each

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PHOTOS ?= examples/photos
# What an older checkout has installed here under the name that is another product's on PyPI.
REMOVE_OLD_NAME = $(BIN)/python -m pip uninstall --quiet --quiet --yes pictograph

.PHONY: demo test serve wheel check lock bench clean

demo: .venv/server.stamp
	@$(BIN)/python scripts/demo.py "$(PHOTOS)"

serve: .venv/server.stamp
	@$(BIN)/pictograph serve $(ARGS)

test: .venv/dev.stamp
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile $(ARGS)

check: .venv/dev.stamp
	@BIN=$(BIN) scripts/check

wheel: | .venv/bin/python
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@echo "built $$(ls -t dist/*.whl | head -n 1); into an environment of yours: pip install \"$$(ls -t dist/*.whl | head -n 1)[server]\""

lock:
	@PYTHON="$(PYTHON)" scripts/lock

bench: .venv/dev.stamp
	@$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Pictograph needs Python 3.11 or newer; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/server.stamp: pyproject.toml | .venv/bin/python
	@$(REMOVE_OLD_NAME)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) --editable ".[server]"
	@touch $@

.venv/dev.stamp: pyproject.toml | .venv/bin/python
	@$(REMOVE_OLD_NAME)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) --editable ".[dev]"
	@touch $@ .venv/server.stamp
