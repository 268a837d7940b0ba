# make demo      the whole benchmark on recordings that it makes itself
# make test      the tests, but for those of the next two lines
# make test-slow the tests that take minutes each
# make test-slurm  the workflow through a real SLURM, which is installed if it is missing (Debian, as root)
# make lint      style, types, dependencies
# make bench     timings against a plain transcription
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: demo test test-slow test-slurm lint bench clean help

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
	python -m pytest -m "not slurm and not slow" --numprocesses 2 --dist loadfile
	@echo "Left out: make test-slow, make test-slurm"

test-slow: $(VENV)/ready
	python -m pytest -m slow --numprocesses 2

test-slurm: $(VENV)/ready
	(command -v slurmctld && command -v munged) > /dev/null || (apt-get update && apt-get install --yes slurm-wlm munge)
	python -m pytest -m slurm

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
