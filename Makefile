# make demo: train a small model, tag the example texts, draw the report.   make test: everything that CI checks.
PYTHON ?= python3.11
BIN := .venv/bin
SHELL := /bin/bash

.PHONY: demo test lint types unit notebooks cards clean

demo: .venv/.installed
	$(BIN)/python training/demo.py

test: .venv/.installed lint types unit notebooks

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed
	$(BIN)/mypy

unit: .venv/.installed
	$(BIN)/python -m pytest

notebooks: .venv/.installed
	$(BIN)/python -m pytest --nbmake --nbmake-timeout=600 notebooks

cards: .venv/.installed
	$(BIN)/python training/cards.py

clean:
	rm -rf .venv demo .mypy_cache .pytest_cache .ruff_cache

.venv/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; install Python 3.11 to 3.13, or name another with make PYTHON=python3"; exit 1; }
	$(PYTHON) -m venv .venv
	@# torch first and by itself: where a CPU wheel of the pinned version is at hand, pip takes it
	$(BIN)/python -m pip install --quiet "$$(grep ^torch== constraints.txt)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@
