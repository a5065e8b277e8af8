# One command per intent. `make help` lists them.
#
#   make demo [DATA=dir] [PEER=ray]     make test
#
# Everything stands in this folder: .venv, .venv-*, build/. `make clean` removes it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
STEP := tools/step.sh
VENV := .venv
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check --no-input install --quiet
export PYTHONDONTWRITEBYTECODE := 1
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)

# Python tests run in so many processes, each with an engine of its own; 0: in this one, for --pdb.
PROCESSES ?= 2

# The simulator's first case: the commit, so that every commit tries others, and tries them again.
SEED ?= $(shell printf '%d' 0x$$(git rev-parse --short=8 HEAD 2>/dev/null || echo 1))

# What an installed package is made of: a change here installs it again.
PACKAGE_SOURCES := $(shell find src python cmake CMakeLists.txt pyproject.toml -type f \
	! -name '*_test.cc' ! -name '*_bench.cc' ! -path '*/__pycache__/*' 2>/dev/null)
CMAKE_ARGS := -G Ninja -DCMAKE_MAKE_PROGRAM=$(abspath $(BIN))/ninja \
	-DPython_EXECUTABLE=$(abspath $(BIN))/python

.PHONY: help
help:
	@echo "make demo [DATA=dir] [PEER=ray]  classify the files of a directory with a neural network"
	@echo "make test                        everything below but bench"
	@echo "make lint                        tidy, clang-format, ruff, mypy"
	@echo "make cpp-test                    build and run the C++ tests"
	@echo "make sanitize                    the same under ASan+UBSan; what has threads under TSan"
	@echo "make sim [SEED=n] [CASES=n]      the scheduler against random plans, machines and faults"
	@echo "make python-test [ARGS=...]      pytest tests/compat tests/python, in two processes"
	@echo "make test-ray [ARGS=...]         the Python API on a Ray cluster of three nodes on this machine"
	@echo "make package-test                install the C++ library, build and run a stranger's program"
	@echo "make golden                      rewrite the golden transcripts; then read the diff"
	@echo "make format                      clang-format and ruff format, in place"
	@echo "make headers                     every header compiles alone"
	@echo "make clang-tidy                  static analysis of all sources (slow)"
	@echo "make bench [SCALE=x] [ARGS=...]  all workloads beside the peers; writes bench/RESULTS.md"
	@echo "make tpch [ARGS=...]             TPC-H beside the peers; writes bench/tpch/RESULTS.md"
	@echo "make bench-ray [ARGS=...]        beside ray.data on one Ray cluster; prints a table"
	@echo "make wheel                       build a wheel into dist/"

# ---- Environments ----------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "Headrace needs Python 3.10 or newer; set PYTHON=/path/to/python3" >&2; exit 1; }
	@$(STEP) "virtual environment" $(PYTHON) -m venv $(VENV)

$(VENV)/.demo: tools/requirements/demo.txt | $(BIN)/python
	@$(STEP) "packages of the demo" $(BIN)/python $(PIP) -r tools/requirements/demo.txt
	@touch $@

$(VENV)/.test: tools/requirements/test.txt tools/requirements/demo.txt | $(BIN)/python
	@$(STEP) "packages of the tests" $(BIN)/python $(PIP) -r tools/requirements/test.txt
	@touch $@ $(VENV)/.demo

# Built with pip's isolation, as a user would.
$(VENV)/.headrace: $(PACKAGE_SOURCES) | $(BIN)/python
	@$(STEP) "pip install ." $(BIN)/python $(PIP) .
	@touch $@

.venv-ray/.ready: tools/requirements/peer.txt tools/requirements/demo.txt
	@$(STEP) "virtual environment of ray.data" $(PYTHON) -m venv .venv-ray
	@$(STEP) "packages of ray.data" .venv-ray/bin/python $(PIP) -r tools/requirements/peer.txt
	@touch $@

.venv-ray/.test: .venv-ray/.ready tools/requirements/ray.txt $(PACKAGE_SOURCES)
	@$(STEP) "packages of the Ray tests" .venv-ray/bin/python $(PIP) -r tools/requirements/ray.txt
	@$(STEP) "pip install . beside Ray" .venv-ray/bin/python $(PIP) .
	@touch $@

.venv-bench/.ready: tools/requirements/bench.txt
	@$(STEP) "virtual environment of the peers" $(PYTHON) -m venv .venv-bench
	@$(STEP) "packages of the peers" .venv-bench/bin/python $(PIP) -r tools/requirements/bench.txt
	@touch $@

.PHONY: system-packages
system-packages:
	@tools/system_packages.sh

# ---- The demo --------------------------------------------------------------------------------

.PHONY: demo
DEMO := examples/classify_files.py $(if $(DATA),--data "$(DATA)")
ifeq ($(PEER),)
demo: $(VENV)/.demo $(VENV)/.headrace
	@$(BIN)/python $(DEMO)
else ifeq ($(PEER),ray)
demo: $(VENV)/.demo $(VENV)/.headrace .venv-ray/.ready
	@times=$$(mktemp -d); trap 'rm -rf "$$times"' EXIT; \
	$(BIN)/python $(DEMO) --times "$$times/headrace"; \
	.venv-ray/bin/python $(DEMO) --engine ray --times "$$times/ray"; \
	echo; cat "$$times/headrace" "$$times/ray"
else
demo:
	@echo "PEER=$(PEER): the only peer of the demo is ray" >&2; exit 1
endif

# ---- The tests -------------------------------------------------------------------------------

.PHONY: test
test:
	@$(STEP) "make test" $(MAKE) test-steps

.PHONY: test-steps
test-steps:
	@$(MAKE) system-packages
	@$(MAKE) lint
	@$(MAKE) cpp-test
	@$(MAKE) sanitize
	@$(MAKE) package-test
	@$(MAKE) python-test

CPP_FILES = $(shell git ls-files -co --exclude-standard '*.h' '*.cc')
PYTHON_FOLDERS := python/headrace examples bench tools tests

.PHONY: lint
lint: $(VENV)/.test
	@$(STEP) "tidy" $(BIN)/python tools/tidy.py
	@$(STEP) "clang-format" $(BIN)/clang-format --dry-run --Werror $(CPP_FILES)
	@$(STEP) "ruff check" $(BIN)/ruff check --quiet $(PYTHON_FOLDERS)
	@$(STEP) "ruff format" $(BIN)/ruff format --check --quiet $(PYTHON_FOLDERS)
	@$(STEP) "mypy" $(BIN)/mypy

.PHONY: format
format: $(VENV)/.test
	@$(BIN)/clang-format -i $(CPP_FILES)
	@$(BIN)/ruff check --fix --quiet $(PYTHON_FOLDERS)
	@$(BIN)/ruff format --quiet $(PYTHON_FOLDERS)

.PHONY: headers
headers: $(VENV)/.test
	@$(STEP) "headers" $(BIN)/python tools/tidy.py --headers --jobs $(JOBS) \
		--pyarrow "$$($(BIN)/python -c 'import pyarrow; print(pyarrow.get_include())')"

.PHONY: cpp-build cpp-test
cpp-build: $(VENV)/.test system-packages
	@$(STEP) "configure" cmake -S . -B build/release $(CMAKE_ARGS) -DCMAKE_BUILD_TYPE=Release
	@$(STEP) "build" cmake --build build/release --parallel $(JOBS)

cpp-test: export HEADRACE_SIM_SEED = $(SEED)
cpp-test: cpp-build
	@$(STEP) "ctest" ctest --test-dir build/release --output-on-failure --parallel $(JOBS)

.PHONY: sanitize asan tsan
sanitize: asan tsan

# The wheel's Arrow is not instrumented: TSan must not follow it, a container's growth that crosses
# the border is no overflow, and what Arrow keeps until the end of the process is no leak. Tests
# fork workers out of a process with threads, which TSan forbids unless told that they mean it.
asan: export ASAN_OPTIONS := detect_container_overflow=0:detect_leaks=0
asan: export UBSAN_OPTIONS := halt_on_error=1:print_stacktrace=1
tsan: export TSAN_OPTIONS := ignore_noninstrumented_modules=1:halt_on_error=1:die_after_fork=0
asan: SANITIZERS := address,undefined
# The pool that Arrow brings hands memory from thread to thread unseen; TSan knows malloc's.
tsan: export ARROW_DEFAULT_MEMORY_POOL := system
tsan: SANITIZERS := thread
asan: export HEADRACE_SIM_CASES := 300
asan tsan: $(VENV)/.test system-packages
	@$(STEP) "configure $@" cmake -S . -B build/$@ $(CMAKE_ARGS) -DCMAKE_BUILD_TYPE=None \
		-DCMAKE_CXX_FLAGS="-O1" -DHEADRACE_SANITIZE=$(SANITIZERS) -DHEADRACE_EXAMPLES=OFF \
		-DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=10
	@$(STEP) "build $@" cmake --build build/$@ --parallel $(JOBS)
	@$(STEP) "ctest $@" ctest --test-dir build/$@ --output-on-failure --parallel $(JOBS)

.PHONY: sim
sim: cpp-build
	@$(STEP) "sim" env HEADRACE_SIM_SEED=$(SEED) HEADRACE_SIM_CASES=$(or $(CASES),10000) \
		build/release/tests/sim_test

.PHONY: golden
golden: export HEADRACE_REWRITE_GOLDEN := 1
golden: cpp-build
	@$(STEP) "golden" ctest --test-dir build/release --output-on-failure
	@git --no-pager diff --stat -- tests/golden

.PHONY: python-test
python-test: $(VENV)/.test $(VENV)/.headrace
	@$(STEP) "pytest tests/compat tests/python" $(BIN)/python -m pytest -q -n $(PROCESSES) \
		--dist worksteal tests/compat tests/python $(ARGS)

# Ray's own tests, then those of the local backend that are not of its processes; without the inline
# mode, and without a test that takes a stream's order, which workers far away do not keep, as given.
RAY_SUITE := $(wildcard tests/python/test_api_*.py tests/python/test_exchange_*.py) \
	tests/python/test_join_sides.py tests/python/test_mix.py tests/python/test_worker_functions.py \
	--deselect tests/python/test_api_dataset.py::test_inline_mode_calls_the_function_in_this_thread \
	--deselect tests/python/test_api_formats.py::test_jax_batches_are_cast_and_padded

.PHONY: test-ray
test-ray: .venv-ray/.test
	@$(STEP) "pytest tests/ray" .venv-ray/bin/python -m pytest -q tests/ray $(ARGS)
	@$(STEP) "tests/python on Ray" env PYTHONPATH=tests/ray .venv-ray/bin/python -m pytest -q \
		-p ray_cluster $(RAY_SUITE) $(ARGS)

.PHONY: package-test
package-test: cpp-build $(VENV)/.headrace
	@$(STEP) "pytest tests/package" $(BIN)/python -m pytest -q tests/package $(ARGS)

.PHONY: clang-tidy
clang-tidy: cpp-build
	@$(STEP) "clang-tidy" clang-tidy -p build/release --quiet \
		$$(git ls-files -co --exclude-standard 'src/*.cc')

# ---- Benchmarks and wheels -------------------------------------------------------------------

SCALE ?= 1
.PHONY: bench bench-cpp
bench: $(VENV)/.test $(VENV)/.headrace .venv-bench/.ready bench-cpp
	@$(STEP) "bench" $(BIN)/python bench/run.py --scale $(SCALE) --peers .venv-bench/bin/python \
		--cpp build/bench/bench/headrace_bench $(ARGS)

.PHONY: tpch
tpch: $(VENV)/.test $(VENV)/.headrace .venv-bench/.ready
	@$(STEP) "tpch" $(BIN)/python bench/tpch/run.py --peers .venv-bench/bin/python $(ARGS)

.PHONY: bench-ray
bench-ray: .venv-ray/.test
	@.venv-ray/bin/python bench/ray_cluster.py $(ARGS)

bench-cpp: $(VENV)/.test
	@tools/system_packages.sh bench
	@$(STEP) "configure bench" cmake -S . -B build/bench $(CMAKE_ARGS) -DCMAKE_BUILD_TYPE=Release \
		-DHEADRACE_BENCHMARKS=ON -DHEADRACE_TESTS=OFF -DHEADRACE_EXAMPLES=OFF
	@$(STEP) "build bench" cmake --build build/bench --parallel $(JOBS)

.PHONY: wheel
wheel: | $(BIN)/python
	@$(STEP) "wheel" $(BIN)/python -m pip --disable-pip-version-check wheel --no-deps -w dist .
	@ls -lh dist/*.whl

.PHONY: clean
clean:
	rm -rf .venv .venv-ray .venv-bench build dist bench/data .mypy_cache .ruff_cache .pytest_cache
