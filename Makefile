# From a fresh checkout: `make demo` stylizes a photograph, `make test` runs every test. Needs a POSIX shell and Python 3.10+.
PYTHON ?= python3
VENV ?= .venv
OUT ?= demo-out
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test lint format docs wheel clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: $(VENV)/demo.stamp  ## stylize a photograph: PHOTO=a.jpg STYLE=painting.jpg (or a preset's name) OUT=folder
	@$(VENV)/bin/python examples/demo.py --out "$(OUT)" $(if $(PHOTO),--photo "$(PHOTO)") $(if $(STYLE),--style "$(STYLE)")

test: $(VENV)/test.stamp  ## run the whole test suite: ARGS='-k tiles -x' is handed to pytest
	@$(VENV)/bin/python -m pytest $(ARGS)

lint: $(VENV)/dev.stamp  ## check style (ruff) and types (mypy)
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy

format: $(VENV)/dev.stamp  ## mend what ruff can mend
	@$(VENV)/bin/ruff check --fix
	@$(VENV)/bin/ruff format

docs: $(VENV)/docs.stamp  ## build the handbook, in English and Chinese: build/handbook/index.html
	@$(VENV)/bin/python docs/make_site.py

wheel: $(VENV)/test.stamp  ## build dist/adainkit-*.whl
	@rm -f dist/adainkit-*.whl
	@$(VENV)/bin/python -m hatchling build --target wheel

clean:  ## remove the environment and everything that is built or cached
	rm -rf "$(VENV)" build dist demo-out tests/failed .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find adainkit benchmarks comfyui_nodes examples tests training -name __pycache__ -prune -exec rm -rf {} +

# A stamp says that what its extra names is installed; only pyproject.toml can change that.
$(VENV)/%.stamp: pyproject.toml | $(VENV)/made.stamp
	@echo "Installing adainkit[$*] into $(VENV) (torch is large: the first time takes minutes)"
	@$(PIP) --editable ".[$*]"
	@touch $@

$(VENV)/made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "adainkit needs Python 3.10 or newer: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv "$(VENV)" || \
	    { rm -rf "$(VENV)"; echo "No environment could be made. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@
