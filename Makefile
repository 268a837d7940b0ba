# make demo      the whole benchmark on recordings that it makes itself
# make test      the tests, but for those of the next two lines
# make test-slow the tests that take minutes each
# make test-slurm  the workflow through a real SLURM, which is installed if it is missing (Debian, as root)
# make coverage  lines of Python that run in a tiny benchmark and in some quick tests (two minutes)
# make lint      style and types
# make audit     known vulnerabilities of the pinned packages (asks a public database)
# make lock      the pinned versions again, with hashes (LOCK=--upgrade: the newest ones)
# make schema    config/schema.json, by which editors check a config
# make readme    the tables and the figure of README.md, from docs/results
# make nwucla    the tables of docs/nwucla-results.md and the figure of README.md, from all_sqe.zip in data/ (hours)
# make nwucla-search    the trainings of docs/results/nwucla/search.md that have a config (hours)
# make site      the documentation as a web site, in site/
# make bench     timings against a plain transcription
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
CORES ?= all
# However a test ends, hangs or crashes, `make test` is over by then; pyproject.toml has the limit of each test.
TEST_LIMIT ?= 40m
# In the order of tests/conftest.py: xdist would put files of few tests last, and these are the long ones.
PYTEST := python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off --no-deps
export PATH := $(abspath $(BIN)):$(PATH)

.PHONY: demo test test-slow test-slurm coverage lint audit lock schema readme nwucla nwucla-search site bench clean help

help:
	@sed -n 's/^# make/make/p' Makefile

$(VENV)/ready: $(wildcard requirements*.txt) pyproject.toml
	@echo "Setting up $(VENV) (2 GB, with CUDA 6 GB; about two minutes)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(INSTALL) --require-hashes --requirement requirements-dev.txt
	@# The CPU build of PyTorch where pip has an index with it; else PyPI's, which for Linux is a CUDA build.
	@$(INSTALL) --require-hashes --requirement requirements-torch-cpu.txt 2> /dev/null || \
		(echo "No CPU build of PyTorch in pip's indexes: taking PyPI's" && $(INSTALL) --require-hashes --requirement requirements-torch.txt)
	@$(INSTALL) --no-build-isolation --editable .
	@$(BIN)/python -m pip check
	@touch $@

demo: $(VENV)/ready
	snakemake --cores $(CORES) --quiet rules host
	@python -m ikem show results/tables

test: $(VENV)/ready
	timeout --foreground --kill-after 30 $(TEST_LIMIT) $(PYTEST) $(OPTIONS) -m "not slurm and not slow"
	@echo "Left out: make test-slow, make test-slurm"

test-slow: $(VENV)/ready
	$(PYTEST) -m slow --override-ini faulthandler_timeout=7200

test-slurm: $(VENV)/ready
	(command -v slurmctld && command -v munged) > /dev/null || (apt-get update && apt-get install --yes slurm-wlm munge)
	python -m pytest -m slurm --override-ini faulthandler_timeout=7200

# Measuring all of `make test` would take half as long again: Python 3.11 has no sys.monitoring.
QUICK := $(addprefix tests/,settings data/formats test_modalities.py augmentations report/test_results.py)
COVERAGE := build/coverage
coverage: $(VENV)/ready
	rm -rf $(COVERAGE) && mkdir -p $(COVERAGE) && echo "results: $(COVERAGE)" > $(COVERAGE)/config.yaml
	coverage run -m ikem run tests/configs/tiny.yaml $(COVERAGE)/config.yaml > $(COVERAGE)/log 2>&1 || (cat $(COVERAGE)/log && false)
	$(PYTEST) --quiet --cov --cov-append --cov-report= $(QUICK)
	@echo "Coverage: $$(coverage report --format total) % of the lines, without compiled functions"

lint: $(VENV)/ready
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile rules
	codespell

audit: $(VENV)/ready
	pip-audit --disable-pip --require-hashes --requirement requirements.txt --requirement requirements-dev.txt --requirement requirements-torch.txt

lock: $(VENV)/ready
	python .ci/lock.py $(LOCK)

schema: $(VENV)/ready
	python -m ikem schema > config/schema.json

readme: $(VENV)/ready
	python .ci/readme.py

# NW-UCLA: hours; both resume. all_sqe.zip elsewhere: OPTIONS="--config data=FOLDER".
NWUCLA := results/nwucla/nwucla
RECORD := docs/results/nwucla
STREAMS := python $(RECORD)/streams.py linear
WORKFLOW = snakemake --cores $(CORES) --keep-going
# A command that fails leaves the file as it was.
keep = $(2) > $(RECORD)/new && mv $(RECORD)/new $(RECORD)/$(1)
nwucla: $(VENV)/ready
	$(WORKFLOW) --configfile config/nwucla.yaml $(OPTIONS)
	cp results/nwucla/tables/results.csv results/nwucla/tables/comparisons.csv $(RECORD)
	$(call keep,streams.md,$(STREAMS) skeletonclr crossclr ikem-3 aimclr student skeletonclr-6 ikem-6 --splits $(NWUCLA)/xview)
	$(call keep,embeddings.md,python $(RECORD)/embeddings.py $(NWUCLA)/prepared/samples.csv $(NWUCLA)/xview/seed*/embed/*/embeddings.safetensors)
	python -m ikem submit results/nwucla/plan.json random random-3 skeletonclr skeletonclr-6 aimclr crossclr ikem-3 ikem-6 student supervised \
		--evaluation linear --evaluation knn-1 --title "NW-UCLA, two CPU cores" --authors IKEM-Bench --comment "config/nwucla.yaml" --output leaderboard/nwucla.zip
	python -m ikem leaderboard
	python .ci/readme.py

WIDTH_ROWS := skeletonclr crossclr ikem-3 skeletonclr-6 ikem-6
WIDTHS := results/nwucla-search-width/nwucla/held-out-*
nwucla-search: $(VENV)/ready
	$(WORKFLOW) --configfile config/nwucla-search.yaml $(OPTIONS)
	$(WORKFLOW) --configfile config/nwucla-search-pretraining.yaml $(OPTIONS)
	$(WORKFLOW) --configfile config/nwucla-search-width.yaml $(OPTIONS)
	$(call keep,width-half.md,$(STREAMS) $(addsuffix -half,$(WIDTH_ROWS)) --splits $(WIDTHS))
	$(call keep,width-published.md,$(STREAMS) $(addsuffix -published,$(WIDTH_ROWS)) --splits $(WIDTHS))
	python .ci/readme.py

site: $(VENV)/ready
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict

bench: $(VENV)/ready
	python -m benchmarks

clean:
	rm -rf $(VENV) .snakemake
