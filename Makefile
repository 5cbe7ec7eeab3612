# The developer's whole interface. Every target installs what it needs, on a Debian machine with python3.11.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: setup run demo test check lint types lock fuzz fuzz-http bench-kill bench-faults bench-deid bench-pixels bench-dimse bench-dicomweb ohif clean

setup: $(STAMP)

$(STAMP): requirements-dev.lock setup.cfg pyproject.toml tools/setup
	PYTHON=$(PYTHON) tools/setup $(VENV)
	touch $@

run: setup
	$(BIN)/lethe serve --config config.toml

demo: setup
	$(BIN)/lethe demo

# Coverage counts the node's own processes too; its table stands above pytest's summary line, which comes last. Two
# processes share the files of tests between them: tests spend half their time waiting for peers.
test: setup
	$(BIN)/pytest -n 2 --dist loadfile --cov --cov-report=term:skip-covered $(PYTEST)

check: lint types test

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	mkdir -p .types/lethe
	for package in storage dicomweb fhir node; do ln -sfn ../../$$package .types/lethe/$$package; done
	$(BIN)/mypy -p lethe.storage -p lethe.dicomweb -p lethe.fhir -p lethe.node

lock:
	$(BIN)/python -m pip install -qq uv
	for name in requirements requirements-dev; do \
	  $(BIN)/uv pip compile $$name.in -q -o $$name.lock --python-version 3.11 --no-annotate --generate-hashes \
	    --custom-compile-command "make lock (opencv-python is left out on purpose)" \
	    --no-emit-index-url --no-emit-find-links --no-emit-package opencv-python; done

# Spoilt files, the same on every run: `make test` takes the first 1,500.
fuzz: setup
	LETHE_FUZZ_CASES=$(or $(CASES),10000) $(BIN)/pytest -q -s tests/test_deid_fuzz.py

# Requests that schemathesis makes up from our OpenAPI document: `make test` makes a few of each kind.
fuzz-http: setup
	LETHE_HTTP_CASES=$(or $(CASES),200) $(BIN)/pytest -q -s tests/test_dicomweb_fuzz.py

bench-kill: setup
	$(BIN)/python benchmarks/kill.py

# Over a network that loses packets; it needs root, iproute2 and /dev/net/tun.
bench-faults: setup
	$(BIN)/python benchmarks/faults.py

# De-identification side by side with other programs; they are installed below .bench/.
bench-deid: setup
	$(BIN)/python benchmarks/deidentify.py

# Burned-in text, Presidio beside us on the same files; WRITE=--write puts tables and pictures into docs/.
bench-pixels: setup
	$(BIN)/python benchmarks/pixels.py $(WRITE)

# Receiving, sending and the whole way, beside Orthanc and storescp; WRITE=--write puts the tables into docs/.
bench-dimse: setup
	$(BIN)/python benchmarks/dimse.py $(WRITE)

# Searching and retrieving over DICOMweb beside Orthanc, and an index of a million; WRITE=--write as above.
bench-dicomweb: setup
	$(BIN)/python benchmarks/dicomweb.py $(WRITE)

# The viewer OHIF, in headless Chromium, over a running node; it is installed below .bench/.
ohif: setup
	$(BIN)/python benchmarks/ohif.py

clean:
	rm -rf $(VENV) .bench .types build
