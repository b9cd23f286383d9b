# Everything runs in .venv, which is made on first use; `test-oldest` in .venv-oldest.
PYTHON ?= python3
BIN := .venv/bin
OLDEST := .venv-oldest/bin

.PHONY: install demo test test-oldest quick check audit docs bench clean

install: .venv/installed

.venv/installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev,docs]"
	touch $@

demo: install  ## The whole job on handwritten digits; ends in demo/run/report.html
	$(BIN)/kt-tuning demo --out demo

test: check  ## Lint, types and tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-oldest: .venv-oldest/installed  ## The tests with the oldest packages, of tests/oldest.txt
	$(OLDEST)/python -m pytest -n 2 --dist worksteal

.venv-oldest/installed: setup.cfg pyproject.toml tests/oldest.txt
	test -x $(OLDEST)/python || $(PYTHON) -m venv .venv-oldest
	$(OLDEST)/python -m pip install --quiet --upgrade pip
	$(OLDEST)/python -m pip install --quiet --editable ".[dev]" --constraint tests/oldest.txt
	touch $@

quick: install  ## The tests that are neither slow nor integration, in a minute or two
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not integration"

check: install  ## Lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

audit: install  ## Known vulnerabilities of the installed packages; needs the network
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit
	.venv-audit/bin/pip-audit --path $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")

docs: install  ## The site, in docs/_build/html; strict, without a network
	$(BIN)/codespell README.md CONTRIBUTING.md CHANGELOG.md docs kt_tuning hypermodels benchmarks
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html

bench: install  ## Every benchmark, quickly
	for file in benchmarks/[a-z]*.py; do $(BIN)/python $$file --quick || exit 1; done

clean:
	rm -rf .venv .venv-oldest .venv-audit demo build docs/_build docs/reference/generated docs/notebooks/*.ipynb \
		*.egg-info .pytest_cache .mypy_cache .ruff_cache
