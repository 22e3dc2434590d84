# Everything a change needs, on a fresh machine too: each target installs what it lacks and says so.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# One test process per core up to two: each starts its own brokers (340 MB each). With three on two cores it is quicker
# by a quarter, but a broker then takes longer to answer than some commands wait. Set WORKERS=0 to debug.
WORKERS ?= 2
PYTEST := $(BIN)/pytest

.PHONY: install demo unit test matrix soak lint format bench docs servers constraints clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	PYTHON=$(PYTHON) scripts/install.sh $(VENV)
	touch $@

servers:
	$(PYTHON) scripts/install_servers.py

demo: install
	$(BIN)/superclient demo

unit: install
	$(PYTEST) tests/unit -m "not matrix_full and not soak and not servers"

test: install servers
	$(PYTEST) -n $(WORKERS) --dist loadfile -m "not matrix_full and not soak"

matrix: install
	$(PYTHON) scripts/install_servers.py --every-kafka
	$(PYTEST) -n $(WORKERS) --dist loadfile -m matrix_full

soak: install servers
	$(PYTEST) -m soak --timeout 0 -o faulthandler_timeout=0

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict superclient
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install servers
	$(BIN)/python -m benchmarks

docs: install
	$(BIN)/mkdocs build --strict

# The oldest supported Python decides: a version that it can install, all can.
constraints: install
	$(BIN)/uv pip compile pyproject.toml --extra dev --python-version 3.10 --upgrade --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links -q -o constraints.txt

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist build site
