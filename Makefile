# From a fresh checkout: `make demo` stylizes a photograph, `make test` runs every test. Needs a POSIX shell and Python 3.10+.
PYTHON ?= python3
VENV ?= .venv
OUT ?= demo-out
# An index of torch's builds for CPUs, tried where there is no NVIDIA GPU: without the 4 GB of CUDA. Empty: take torch as
# pip finds it.
TORCH_INDEX ?=
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test lint format docs wheel clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

demo: $(VENV)/demo.stamp  ## stylize a photograph: PHOTO=a.jpg STYLE=painting.jpg (or a preset's name) OUT=folder
	@$(VENV)/bin/python examples/demo.py --out "$(OUT)" $(if $(PHOTO),--photo "$(PHOTO)") $(if $(STYLE),--style "$(STYLE)")

test: $(VENV)/test.stamp  ## run the test suite, minutes: ARGS='-k tiles -x' is handed to pytest, ARGS='-m slow' runs the slow ones
	@echo "Running the tests: some minutes of CPU time; the slow ones are run by make test ARGS='-m slow'"
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
$(VENV)/%.stamp: pyproject.toml | $(VENV)/torch.stamp
	@echo "Installing adainkit[$*] into $(VENV) (torch is large: the first time takes minutes)"
	@$(PIP) --editable ".[$*]"
	@touch $@

# Only Linux on x86-64 gets CUDA with pip's torch; where the index cannot be had, pip's torch will do.
$(VENV)/torch.stamp: | $(VENV)/made.stamp
	@if [ -n "$(TORCH_INDEX)" ] && [ "$$(uname -sm)" = "Linux x86_64" ] && ! [ -e /dev/nvidiactl ]; then \
	    echo "No NVIDIA GPU: trying torch's builds for CPUs, at $(TORCH_INDEX)"; \
	    told=$$(PIP_INDEX_URL="$(TORCH_INDEX)" $(PIP) --retries 0 --timeout 10 torch torchvision 2>&1) || \
	        echo "They cannot be had here ($$(echo "$$told" | tail -n 1)): torch comes as pip finds it"; \
	fi
	@touch $@

$(VENV)/made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	    { echo "adainkit needs Python 3.10 or newer: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv "$(VENV)" || \
	    { rm -rf "$(VENV)"; echo "No environment could be made. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@touch $@
