# Two commands: `make book` builds the site, `make test` runs the tests. Each makes .venv first where it is missing.
PYTHON ?= python3
BIN := .venv/bin
PAGE := book/_build/html/index.html
WORKERS := -n auto --maxprocesses 4 --dist worksteal

# A chapter must run on the kernel of .venv, not on a "python3" kernel that somebody else has installed:
# Jupyter looks along JUPYTER_PATH first, then where this variable says.
export JUPYTER_PREFER_ENV_PATH := 1
unexport JUPYTER_PATH

.PHONY: book test clean

# html/ and .doctrees go first: Sphinx is silent about a page that it does not rebuild, so -W over an old build
# would pass with warnings. -n: a reference to nothing is a warning too.
book: .venv/.book
	rm -rf book/_build/html book/_build/.doctrees
	$(BIN)/jupyter-book build book/ -W -n --keep-going
	@echo "The book: $(CURDIR)/$(PAGE)"

# Several processes, of one thread each (tests/conftest.py): a worker for each core, four at most.
test: .venv/.test
	$(BIN)/python -m pytest $(WORKERS)

clean:
	rm -rf book/_build .venv

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "twofold needs Python 3.11 or newer; this is %d.%d. Name another: make book PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv

# The stamps: nothing is installed twice unless what is to be installed has changed. The package itself is installed
# in place (-e), so a change of the source needs no new stamp. matplotlib makes its font cache here, because it says
# so on stderr the first time, and that would stand on a page.
.venv/.book: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[book]"
	$(BIN)/python -c "import matplotlib.font_manager"
	touch $@

# Dependency groups need a pip of 25.1 or newer, so the pinned one comes first.
.venv/.test: pyproject.toml constraints.txt | .venv/.book
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt pip
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e ".[book,study]" --group test
	touch $@
