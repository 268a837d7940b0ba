# make demo      the whole benchmark on recordings that it makes itself
# make test      the tests
# make lint      style, types, dependencies
# make bench     timings against a plain transcription
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: demo test lint bench clean help

help:
	@sed -n 's/^# make/make/p' Makefile

$(VENV)/ready: requirements.txt pyproject.toml
	@echo "Setting up $(VENV) (2 GB, about two minutes)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off --requirement requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/ready
	snakemake --cores $(CORES) --quiet rules host
	@python -m ikem show results/tables

test: $(VENV)/ready
	python -m pytest -m "not slurm" --numprocesses 2 --dist loadfile

lint: $(VENV)/ready
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile rules
	pip-audit --requirement requirements.txt --no-deps --disable-pip

bench: $(VENV)/ready
	python -m benchmarks

clean:
	rm -rf $(VENV) .snakemake
