# make prove: from nothing to a verdict.  make test: the tests.  Both make the environment that they need.
SHELL := /bin/bash
UV_VERSION := 0.13.9
UV := $(shell command -v uv 2>/dev/null || echo $${XDG_CACHE_HOME:-$$HOME/.cache}/hms/uv/bin/uv)
# What the proved stack serves measures, so nothing runs beside it; the others wait more than they work.
# `make prove ARGS="--keep --trials 5"` passes options on.
ARGS ?=

.PHONY: prove test lint clean

prove: .venv/.complete
	@.venv/bin/hms prove $(ARGS)

test: lint
	.venv/bin/hms tools stack cluster images tests
	.venv/bin/python -m pytest -n 4 --dist loadgroup --no-loadscope-reorder -m "not alone" $(ARGS)
	.venv/bin/python -m pytest -m alone $(ARGS)

lint: .venv/.complete
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

.venv/.complete: pyproject.toml uv.lock
	@test -x "$(UV)" || { python3 -m venv "$$(dirname $$(dirname $(UV)))" && "$$(dirname $(UV))/pip" install --quiet uv==$(UV_VERSION); } \
	  || { echo "make: python3 with its venv module is needed (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 2; }
	$(UV) sync --frozen --quiet
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
