# make demo   train briefly on real photos, export, verify and enhance; leaves pictures to look at
# make test   run the tests
# make test-all   run those that take long, too
# make test-lowest   run the runtime and export tests with the lowest declared dependency versions
# make check  lint, types, import directions, and whether the model cards match the model files
# make bench  ten minutes of benchmarks, with other programs: see bench/index.html
# make bench-gpu  on a machine with an NVIDIA GPU: build, verify and time everything, see gpu/
# make bench-check   check speed ratios that must hold, in a few minutes
# make native   build and test the C library and the GStreamer element: see bindings/
# make web   build and test the npm package, which needs Node and Chromium
# make wheel   build the wheel with the web page of `hyperguide demo`: see dist/
# make fuzz   fuzz each reader of untrusted bytes for a minute: see docs/fuzzing.md
# make fuzz-native   the same for the C library, which needs clang
# `demo` and `test` first set everything up in .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# The editable install links files one by one, so that type checkers can follow it. Reinstall only
# when a file is added or removed, not when one changes.
FILES := $(shell find runtime training export -name '*.py' -o -name '*.yaml' -o -name '*.onnx' | sort)
INSTALLED := $(VENV)/.installed

.PHONY: setup demo test test-all test-lowest check bench bench-gpu bench-check native web wheel \
	fuzz fuzz-native clean FORCE

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt $(VENV)/.files
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]' \
		--config-settings editable_mode=strict
	touch $@

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.files: $(BIN)/python FORCE
	@echo '$(FILES)' | cmp -s - $@ || echo '$(FILES)' > $@

FORCE:

demo: setup
	$(BIN)/python benchmarks/demo.py --out demo

# Two processes; each test file runs in one. If one crashes or hangs, its test is named.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 0

# First what needs a process without OpenVINO: training forks its workers only there.
test: setup
	$(BIN)/python -m pytest -m alone
	$(PYTEST) -m "not alone and not long"

test-all: test
	$(PYTEST) -m long

# A separate environment. Training tests are left out, because torch is the same version there.
test-lowest:
	test -x .venv-lowest/bin/python || $(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet -c constraints-lowest.txt \
		-e '.[cpu,openvino,export,video]' pytest pytest-benchmark scikit-image scipy pillow \
		--config-settings editable_mode=strict
	# Only these files: the others import packages that are not installed here.
	.venv-lowest/bin/python -m pytest $$(grep -l 'mark\.lowest' tests/test_*.py)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy benchmarks
	$(BIN)/python benchmarks/model_cards.py --check

bench: setup
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,peers]' \
		--config-settings editable_mode=strict
	mkdir -p bench
	HYPERGUIDE_BENCH_SITTINGS=2 HYPERGUIDE_BENCH_SECONDS=2.5 \
		$(BIN)/python -m pytest benchmarks --benchmark-enable -m "not long" \
		--benchmark-json bench/suites.json --benchmark-disable-gc --benchmark-sort=name \
		--benchmark-columns=min,median,max,rounds -q; \
	status=$$?; $(BIN)/python benchmarks/report.py bench/suites.json --html bench/index.html --force \
		&& echo "Look at bench/index.html." && exit $$status

# A separate environment, because ONNX Runtime's CPU and GPU wheels overwrite each other.
bench-gpu:
	test -x .venv-gpu/bin/python || $(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python -m pip install --quiet -c constraints.txt -e '.[gpu,tensorrt,export]' \
		--config-settings editable_mode=strict
	.venv-gpu/bin/python benchmarks/gpu.py --out gpu

bench-check: setup
	$(BIN)/python benchmarks/check.py

# make fuzz TARGET=pictures SECONDS=600 JOBS=2
SECONDS := 60
JOBS := 1

fuzz: setup
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,fuzz]' \
		--config-settings editable_mode=strict
	PYTHONPATH=tests $(BIN)/python -m fuzz run $(TARGET) --seconds $(SECONDS) --jobs $(JOBS)

# Debian: apt install cmake g++ libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev \
#     gstreamer1.0-tools gstreamer1.0-plugins-base
native: setup
	$(BIN)/python -m pytest tests/test_native.py tests/test_gstreamer.py

# Debian: apt install nodejs npm chromium
web: setup
	$(BIN)/python -m pytest tests/test_web.py

# Debian: apt install nodejs npm
wheel: setup
	cd bindings/web && npm ci --ignore-scripts && npm run build
	$(BIN)/python bindings/web/pack_page.py
	# setuptools would add what is left of earlier pages.
	rm -rf build/lib build/bdist.*
	$(BIN)/python -m build --wheel

# make fuzz-native SECONDS=600
fuzz-native: setup
	CC=clang CXX=clang++ cmake -S bindings/c -B build/fuzz-native -DHYPERGUIDE_FUZZ=ON \
		-DBUILD_TESTING=OFF -DHYPERGUIDE_EXAMPLES=OFF
	cmake --build build/fuzz-native --target fuzz_model_file fuzz_pictures
	mkdir -p fuzz/native-model-files fuzz/native-pictures
	PYTHONPATH=tests $(BIN)/python -m fuzz seeds model-file fuzz/native-model-files
	build/fuzz-native/fuzz_model_file -max_total_time=$(SECONDS) -max_len=16384 \
		-artifact_prefix=fuzz/ fuzz/native-model-files
	build/fuzz-native/fuzz_pictures -max_total_time=$(SECONDS) -max_len=1024 \
		-artifact_prefix=fuzz/ fuzz/native-pictures

clean:
	rm -rf bench gpu build dist demo runtime/web_page *.egg-info $(INSTALLED)
