# Two commands do everything: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CACHE ?= .cache

.PHONY: demo test lint lives metrics sbom chart kube clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/pip install --quiet --disable-pip-version-check --editable . --group dev
	touch $(STAMP)

# make demo               a pretend cloud with a mixed fleet, planned and brought up to date
# make demo FIRMWARE=real the same with the vendor's real Device OS binaries from npm
demo: $(STAMP)
ifeq ($(FIRMWARE),real)
	$(BIN)/python -m tests.real_firmware --into $(CACHE)/real-firmware
	$(BIN)/reconciler demo --firmware $(CACHE)/real-firmware
else
	$(BIN)/reconciler demo
endif

test: lint
	tests/components.sh
	$(BIN)/pytest --numprocesses 3 --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The drawings of docs/lives.md, from the code.
lives: $(STAMP)
	$(BIN)/python -m tests.tidy.lives

# What the package brings along, as CycloneDX: from its wheel in a venv of its own, as the container image has it.
sbom: $(STAMP)
	rm -rf $(CACHE)/dist $(CACHE)/package $(CACHE)/lister
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(CACHE)/dist .
	$(PYTHON) -m venv $(CACHE)/package
	$(CACHE)/package/bin/pip install --quiet --disable-pip-version-check "$$(ls $(CACHE)/dist/*.whl)[kubernetes,postgres]"
	$(PYTHON) -m venv --without-pip $(CACHE)/lister
	$(BIN)/pip --python $(CACHE)/lister/bin/python install --quiet --disable-pip-version-check --group sbom
	$(CACHE)/lister/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
	  --output-file $(CACHE)/sbom.cdx.json $(CACHE)/package/bin/python

# docs/metrics.md, from the code.
metrics: $(STAMP)
	$(BIN)/python -c "from reconciler.telemetry.metric_names import metrics_page; print(metrics_page(), end='')" > docs/metrics.md

# What of the Helm chart is made: its CRDs, its values.schema.json and the table of its README.
chart: $(STAMP)
	$(BIN)/python -m tests.kube.chart

# A kube-apiserver, helm and kubeconform for the tests, built by Go once; tests that need them do it themselves.
kube: $(STAMP)
	$(BIN)/python -m tests.kube.components

clean:
	rm -rf $(VENV) $(CACHE)
