# learn: start the course    test: every test    quick: lint, unit and page tests    page N=104: build one page    pages: all
PYTHON ?= python3
PIP_ARGS ?=
BIN := .venv/bin
PY := $(BIN)/python

# Threads that wait asleep: tests share the cores with kernels and child processes (README, "Speed").
QUIET := HF_HUB_OFFLINE=1 OMP_WAIT_POLICY=passive GOMP_SPINCOUNT=0 MPLBACKEND=agg

.PHONY: learn test quick page pages recovery bench wheel lock setup assets chromium iproute2
.DEFAULT_GOAL := learn

setup: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Setting up .venv: installing pinned packages, one to five minutes ..."
	@$(PYTHON) -m venv .venv
	@$(PY) -m pip install -q --disable-pip-version-check $(PIP_ARGS) -r requirements.lock
	@$(PY) -m pip install -q --disable-pip-version-check $(PIP_ARGS) --no-deps -e .
	@touch $@

assets: setup
	@$(BIN)/course fetch

learn: assets
	@echo "Starting JupyterLab on lesson 100; stop it with Ctrl-C."
	@$(BIN)/course learn

quick: setup
	@$(BIN)/ruff check -q . && $(BIN)/ruff format -q --check . && $(BIN)/lint-imports --no-cache >/dev/null || { $(BIN)/ruff check . ; $(BIN)/ruff format --check . ; $(BIN)/lint-imports ; exit 1; }
	@$(QUIET) OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 --dist loadfile -m "not alone and not slow" tests/unit tests/pages

test: assets chromium iproute2 quick
	@echo "Testing the slower promises: every model built, 20,000 plans checked, exported scripts run, two processes as one ..."
	@$(QUIET) OMP_NUM_THREADS=1 $(PY) -m pytest -q -rs -n 2 --dist loadfile tests/slow
	@echo "Testing what of the package and the page builder takes longer ..."
	@$(QUIET) OMP_NUM_THREADS=1 $(PY) -m pytest -q -n 2 --dist loadfile -m slow tests/unit tests/pages
	@$(QUIET) OMP_NUM_THREADS=1 $(PY) -m pytest -q -m alone tests/unit/test_rows.py tests/unit/test_progress.py
	@echo "Testing the run: kills, damage, a full disk; then with the real model ..."
	@$(QUIET) OMP_NUM_THREADS=1 $(PY) -m pytest -q tests/recovery
	@echo "Running every lesson and every solution with nbval ..."
	@rm -rf build/work && COURSE_WORK=$(CURDIR)/build/work $(QUIET) $(PY) -m pytest -q --nbval-lax --nbval-current-env --nbval-cell-timeout=200 --durations=10 --override-ini testpaths= notebooks solutions
	@COURSE_WORK=$(CURDIR)/build/work $(QUIET) $(PY) -m pytest -q -rs tests/lessons
	@echo "Driving the widgets in JupyterLab and Notebook 7 with Chromium, by keyboard, and looking for barriers ..."
	@$(QUIET) OMP_NUM_THREADS=1 $(PY) -m pytest -q -rs tests/browser

chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing Chromium for the browser tests ..." && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; } || echo "Install Chromium (on Debian: sudo apt-get install chromium), or the browser tests do not run."

iproute2:
	@command -v ip >/dev/null || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && echo "Installing iproute2 for the test of two machines ..." && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq iproute2 >/dev/null; } || echo "Install iproute2 (on Debian: sudo apt-get install iproute2), or the test of two machines does not run."

recovery: setup
	@$(QUIET) OMP_NUM_THREADS=1 COURSE_KILLS=50 COURSE_SOAK=60 $(PY) -m pytest -q tests/recovery

bench: assets
	@$(PY) -m tests.bench.speed
	@$(PY) -m tests.bench.methods

wheel: setup
	@$(PY) -m pip wheel -q --disable-pip-version-check $(PIP_ARGS) --no-deps --no-build-isolation -w . . && echo "Upload course_lib-*.whl beside a notebook, for instance on Colab: its first cell installs it."

page: assets
	@$(PY) -m course_lib.authoring.build $(N)

pages: assets
	@$(PY) -m course_lib.authoring.build --all

lock:
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --extra dev --no-annotate --no-header pyproject.toml | grep -v -E '^(nvidia-|cuda-|triton)' > requirements.lock
