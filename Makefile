# Two commands: `make score` scores the example articles, `make test` builds what the tests need and runs them.
PYTHON ?= python3.11
VENV := .venv
TEST_VENV := .venv-test
OUT ?= out/examples

.PHONY: score test clean

score: $(VENV)/.ready
	$(VENV)/bin/penchant score examples/articles --output $(OUT) --overwrite
	@echo "Open $(OUT)/report.html in a browser. Your own articles: $(VENV)/bin/penchant score --help"

test: $(TEST_VENV)/.ready
	$(TEST_VENV)/bin/ruff check .
	$(TEST_VENV)/bin/ruff format --check .
	$(TEST_VENV)/bin/mypy
	$(TEST_VENV)/bin/python -m pytest

$(VENV)/.ready: pyproject.toml
	@echo "Installing what scoring needs into $(VENV), once; it takes a minute or two ..."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable .
	touch $@

# torch first and pinned: unpinned, another package would pull several gigabytes of CUDA.
$(TEST_VENV)/.ready: pyproject.toml
	@echo "Installing what the tests need into $(TEST_VENV), once; it takes some minutes ..."
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/python -m pip install --quiet torch==2.13.0
	$(TEST_VENV)/bin/python -m pip install --quiet --editable '.[train,html,dev]'
	touch $@

clean:
	rm -rf $(VENV) $(TEST_VENV) out build *.egg-info .mypy_cache .ruff_cache .pytest_cache
