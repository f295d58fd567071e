# Every target makes .venv first when it is missing or out of date.
#
# Linux wheels of torch bring several gigabytes of CUDA libraries. To have the small CPU build
# instead, set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU wheels before the first `make`.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
STAMP  := .venv/.installed
BIN    := .venv/bin
THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# One test process a core, four at most (each takes up to 2 GB), a thread each; a process that
# has finished its own tests takes over some of another's.
PYTEST := $(THREAD) $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal
# for example: make test ARGS="-k relax -x -n0", make lab ARGS=--no-browser
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help demo test test-full lab lint binder-check clean

help:
	@echo "make demo          run the quickstart on one thread: build/quickstart.html, pictures, table"
	@echo "make test          all tests; notebooks with small parameters"
	@echo "make test-full     all tests; notebooks with their default parameters"
	@echo "make lab           open the notebooks in JupyterLab"
	@echo "make lint          ruff"
	@echo "make binder-check  build Binder's environment afresh, run the quickstart on one CPU in 2 GB"
	@echo "make clean         remove build/ and caches (.venv stays)"

# torch comes first and alone: whatever build of the pinned version is at hand then satisfies
# every other package that asks for torch.
$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No python3 found: install Python 3.11 or newer." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is" \
	  "`"$(PYTHON)" --version 2>&1`; bpttviz needs Python 3.11 or newer. Name one with: make PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv .venv || { echo "No virtual environment could be made" \
	  "(on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; }
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[test,mace,sevennet]'
	@touch $@

demo: $(STAMP)
	@mkdir -p build
	$(THREAD) $(BIN)/python -m papermill notebooks/00_quickstart.ipynb build/quickstart.ipynb \
	  --kernel python3 --log-output -p out build
	$(BIN)/python -m nbconvert --to html --output quickstart.html build/quickstart.ipynb
	@echo "Done: open build/quickstart.html"

test: $(STAMP)
	$(PYTEST) $(ARGS)

test-full: $(STAMP)
	BPTTVIZ_NOTEBOOKS=full $(PYTEST) $(ARGS)

lab: $(STAMP)
	cd notebooks && ../$(BIN)/python -m jupyterlab $(ARGS)

lint: $(STAMP)
	$(BIN)/python -m ruff check .

binder-check: $(STAMP)
	$(BIN)/python binder/check.py $(ARGS)

clean:
	rm -rf build dist .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
