# Every target makes .venv first when it is missing or out of date.
#
# Linux wheels of torch bring several gigabytes of CUDA libraries. To have the small CPU build
# instead, set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU wheels before the first `make`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
STAMP  := .venv/.installed
BIN    := .venv/bin
# mace-torch and sevenn ask for different versions of e3nn, so that SevenNet has its own environment.
SEVENNET := .venv-sevennet
THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# One test process a core, four at most (each takes up to 2 GB), a thread each; a process that
# has finished its own tests takes over some of another's.
PYTEST := $(THREAD) $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal
comma := ,
# for example: make test ARGS="-k relax -x -n0", make lab ARGS=--no-browser
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-full test-sevennet lab site assignments lint lint-js binder-check clean

help:
	@echo "make demo          run the quickstart on one thread: build/quickstart.html, pictures, table"
	@echo "make test          all tests; notebooks with small parameters"
	@echo "make test-full     all tests; notebooks with their default parameters"
	@echo "make test-sevennet the tests of SevenNet, in .venv-sevennet (which it makes, without MACE)"
	@echo "make lab           open the notebooks in JupyterLab"
	@echo "make site          the course as pages that need no kernel: build/site/index.html"
	@echo "make assignments   students' copies, solutions and autograders: build/assignments/"
	@echo "make lint          style, order of imports, types (of JavaScript too where there is Node)"
	@echo "make binder-check  build Binder's environment afresh, run the quickstart on one CPU in 2 GB"
	@echo "make clean         remove build/ and caches (.venv stays)"

# $(1): folder, $(2): constraints, $(3): extras. torch comes first and alone: whatever build of the
# pinned version is at hand then satisfies every other package that asks for torch.
define environment
	@test -n "$(PYTHON)" || { echo "No python3 found: install Python 3.11 or newer." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is" \
	  "`"$(PYTHON)" --version 2>&1`; bpttviz needs Python 3.11 or newer. Name one with: make PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv $(1) || { echo "No virtual environment could be made" \
	  "(on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	$(1)/bin/python -m pip install --disable-pip-version-check -c $(2) torch
	$(1)/bin/python -m pip install --disable-pip-version-check -c $(2) -e '.[$(3)]'
	@touch $(1)/.installed
endef

$(STAMP): pyproject.toml constraints.txt bpttviz/__init__.py Makefile
	$(call environment,.venv,constraints.txt,test$(comma)mace$(comma)diep$(comma)matgl$(comma)site)

$(SEVENNET)/.installed: pyproject.toml constraints.txt constraints-sevennet.txt bpttviz/__init__.py
	$(call environment,$(SEVENNET),constraints-sevennet.txt,test$(comma)sevennet)

demo: $(STAMP)
	@mkdir -p build/pictures && cp notebooks/pictures/00_quickstart.png build/pictures/
	$(THREAD) $(BIN)/python -m papermill notebooks/00_quickstart.ipynb build/quickstart.ipynb \
	  --kernel python3 --log-output -p out build
	$(BIN)/python notebooks/site/page_of.py build/quickstart.ipynb build/quickstart.html
	@echo "Done: open build/quickstart.html"

test: $(STAMP)
	$(PYTEST) $(ARGS)

test-full: $(STAMP)
	BPTTVIZ_NOTEBOOKS=full $(PYTEST) $(ARGS)

test-sevennet: $(SEVENNET)/.installed
	$(THREAD) $(SEVENNET)/bin/python -m pytest tests/potentials -k "sevennet or nequix" $(ARGS)

lab: $(STAMP)
	cd notebooks && ../$(BIN)/python -m jupyterlab --LabApp.news_url=None index.ipynb $(ARGS)

# Notebooks are executed once, with the tests' small parameters (ARGS=--full: with their own).
site: $(STAMP)
	$(THREAD) $(BIN)/python notebooks/site/build.py $(ARGS)

# For instructors; notebooks/assignments/INSTRUCTORS.md says what to do with it.
assignments: $(STAMP)
	$(THREAD) $(BIN)/python -m bpttviz assign notebooks/assignments/A*.ipynb --out build/assignments $(ARGS)

lint: $(STAMP) lint-js
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m mypy

# TypeScript's compiler reads the types in the widgets' comments, and writes nothing.
TSC := npx --yes --package typescript@7.0.2 tsc
lint-js:
	@if $(TSC) --version >/dev/null 2>&1; \
	then $(TSC) --project bpttviz/widgets/frontend/jsconfig.json; \
	else echo "No Node.js here, or no registry for it: THE WIDGETS' JAVASCRIPT IS NOT CHECKED." >&2; fi

binder-check: $(STAMP)
	$(BIN)/python binder/check.py $(ARGS)

clean:
	rm -rf build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
