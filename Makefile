# SPDX-License-Identifier: Apache-2.0
# Every target sets up what it needs. `make` alone builds the backend's environment in .venv and says what is next.

PYTHON ?= python3
# Blender 4.2 to 5.0 are Python 3.11, later ones 3.13; their bpy wheels need exactly that.
PYTHON311 ?= $(shell command -v python3.11 || echo $(PYTHON))
PYTHON313 ?= $(shell for p in python3.13 $(HOME)/.pyenv/versions/3.13*/bin/python3.13; do $$p -c "" && echo $$p && break; \
	done 2>/dev/null)
# One torch for everybody: tested with this one, any from 2.11 works.
TORCH ?= torch==2.13.0
BPY ?= 4.5.15
BPY_ALL := 4.2.23 4.5.15 5.0.1 5.2.3

BIN := .venv/bin
SOURCES := $(shell find protocol cuda_ext backend functional -type f -not -name '*.so' -not -path '*/__pycache__/*') CMakeLists.txt pyproject.toml
ADDON_SOURCES := $(shell find protocol blender_addon -type f -not -path '*/__pycache__/*') build_addon.py pyproject.toml

define REQUIREMENTS
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
print(*project["dependencies"], *project["optional-dependencies"]["test"], sep="\n")
endef
export REQUIREMENTS

.PHONY: all demo demo-animate ablation addon test test-all test-window lint bench bench-gpu clean
all: .venv/installed
	@echo "Ready: $(BIN)/milo --help    Next: make demo, make addon, make test"

# -- environments ------------------------------------------------------------------------------------------------------

.venv/dependencies: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet scikit-build-core nanobind cmake ninja
	$(BIN)/python -c "$$REQUIREMENTS" > .venv/requirements.txt
	$(BIN)/pip install --quiet -r .venv/requirements.txt
	touch $@

.venv/installed: .venv/dependencies $(SOURCES)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pip install --quiet --no-build-isolation --no-deps .
	touch $@

PYTHON_OF_BPY = $(if $(filter 4.% 5.0.%,$*),$(PYTHON311),$(PYTHON313))

.venv-bpy-%/ready:
	@test -n "$(PYTHON_OF_BPY)" || { echo "bpy $* needs a Python 3.13: name one in PYTHON313."; exit 1; }
	$(PYTHON_OF_BPY) -m venv .venv-bpy-$*
	.venv-bpy-$*/bin/pip install --quiet --upgrade pip
	.venv-bpy-$*/bin/pip install --quiet bpy==$* pytest
	touch $@

# -- what people run ---------------------------------------------------------------------------------------------------

dist/milo-current.zip: $(ADDON_SOURCES) | .venv/dependencies
	$(BIN)/python build_addon.py --platform current
	cp "$$(ls -t dist/milo-*-*.zip | head -1)" $@

addon: .venv/dependencies
	$(BIN)/python build_addon.py

demo: .venv/installed .venv-bpy-$(BPY)/ready dist/milo-current.zip
	$(BIN)/python examples/demo.py --bpy .venv-bpy-$(BPY)/bin/python --zip dist/milo-current.zip

build/demo/scene.blend:
	$(MAKE) demo

demo-animate: .venv/installed .venv-bpy-$(BPY)/ready dist/milo-current.zip | build/demo/scene.blend
	$(BIN)/python examples/demo_animate.py --bpy .venv-bpy-$(BPY)/bin/python --zip dist/milo-current.zip

ablation: .venv/installed
	$(BIN)/python examples/ablation.py

test: .venv/installed .venv-bpy-$(BPY)/ready dist/milo-current.zip
	MILO_BPY_PYTHON=.venv-bpy-$(BPY)/bin/python $(BIN)/python -m pytest tests

test-all: .venv/installed $(foreach v,$(BPY_ALL),.venv-bpy-$(v)/ready) dist/milo-current.zip
	MILO_BPY_PYTHON="$(foreach v,$(BPY_ALL),.venv-bpy-$(v)/bin/python)" $(BIN)/python -m pytest tests -m "not gpu and not window"

test-window: .venv/installed .venv-bpy-$(BPY)/ready dist/milo-current.zip
	MILO_BPY_PYTHON=.venv-bpy-$(BPY)/bin/python $(BIN)/python -m pytest tests -m window

lint: .venv/dependencies
	$(BIN)/ruff check .

bench: .venv/installed
	$(BIN)/python -m bench

bench-gpu: .venv/installed
	$(BIN)/python -m bench.gpu $(BENCH)

clean:
	rm -rf build dist
