# Two commands for a newcomer: `make process VIDEOS=videos/ OUT=results/` and `make test`.

VENV ?= .venv
PYTHON ?= python3
VIDEOS ?=
OUT ?= results/
ARGS ?=
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: process test test-lowest torture bench digests docs clean

process: $(VENV)/.installed
ifeq ($(strip $(VIDEOS)),)
	@$(BIN)/vidfer sample sample/ --quiet
	$(BIN)/vidfer process sample/ --out "$(OUT)" $(ARGS)
else
	$(BIN)/vidfer process "$(VIDEOS)" --out "$(OUT)" $(ARGS)
endif

test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

# Once per change of a bound in pyproject.toml: everything at the oldest versions that it allows.
test-lowest: .venv-lowest/.installed
	.venv-lowest/bin/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

.venv-lowest/.installed: pyproject.toml .ci/lowest_versions.py
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) .ci/lowest_versions.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint .venv-lowest/constraints.txt --editable ".[test]"
	@touch $@

torture: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m torture -s tests $(ARGS)

bench: $(VENV)/.installed-test
	$(BIN)/python benchmarks/decode.py
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/cost.py

# Before and after a change that is to change no result: make digests OUT=before.txt VIDEOS=DIR, then
# OUT=after.txt ARGS="--against before.txt".
digests: $(VENV)/.installed-test
	$(BIN)/python benchmarks/digests.py "$(OUT)" --videos "$(VIDEOS)" $(ARGS)

# site/index.html opens from disk
docs: $(VENV)/.installed-test
	$(BIN)/mkdocs build --strict --quiet

# Results stay: they may be hours of work.
clean:
	rm -rf $(VENV) .venv-lowest build dist site sample

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first and alone: its pin is what lets pip take a CPU build where one is offered.
$(VENV)/.torch: constraints.txt | $(VENV)/bin/python
	$(INSTALL) torch
	@touch $@

$(VENV)/.installed: pyproject.toml $(VENV)/.torch
	$(INSTALL) --editable ".[face-alignment]"
	@touch $@

$(VENV)/.installed-test: pyproject.toml $(VENV)/.torch
	$(INSTALL) --editable ".[test]"
	@touch $@ $(VENV)/.installed
