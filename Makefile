# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
ARGS ?=
MINUTES ?= 10
SINK ?= cassandra
BIN = .venv/bin
# Tests without a server; the rest is marked `server`.
FAST = tests/test_tidy.py tests/unit tests/property tests/simulation tests/mutants tests/seam tests/deploy tests/faults tests/soak tests/bench tests/page

# Of `make simulate` and `make soak`.
SEEDS ?= 20000
SEED ?=
SIMULATE = cd tests && PYTHONPATH=.:.. ../$(BIN)/python -m

.PHONY: help demo test deploy-test check simulate crash-points mutants soak bench sizing format lock setup clean
.DEFAULT_GOAL := help

help:  ## what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

setup:  ## the Python environment, from locked hashes; nothing when it is up to date
	@$(PYTHON) daemon/bootstrap.py

demo: setup  ## the whole move on this machine, with real parts: two to four minutes
	@$(BIN)/moveout demo $(ARGS)

test: setup  ## every test, real servers included
	$(BIN)/pytest -q -n 2 --dist loadfile --seeds 5000 --crash-points=most --mutants $(ARGS)

deploy-test: setup  ## what is deployed, built and run by the real tools; what takes no minutes is a part of `make test`
	$(BIN)/pytest -q tests/deploy --deploy $(ARGS)

soak: setup  ## two replicas under seeded chaos: make soak MINUTES=10 SINK=cassandra|dynamodb SEED=1
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --sink $(SINK) --seed $(or $(SEED),1) $(ARGS)

bench: setup  ## what reading an export costs, in ratios: make bench ARGS="--json bench.json"
	@$(BIN)/python -m tests.bench $(ARGS)

sizing: setup  ## what a service with 1, 8 and 64 shards takes, and how soon it is there (some minutes, alone)
	@$(BIN)/python -m tests.bench.sizing --shards 1 8 64 $(ARGS)
	@$(BIN)/python -m tests.bench.jvm

check: setup  ## format, lint, types and the tests that need no server
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not server" $(FAST)

simulate: setup  ## SEEDS=100000: so many histories on all cores; SEED=4711: that one again
	@$(SIMULATE) simulation.run $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(ARGS)

crash-points: setup  ## a crash at every executed line of apply, checkpoint, control and cutover code
	@$(SIMULATE) simulation.crash_points

mutants: setup  ## our own code with one bug planted at a time: every one must be seen
	@$(SIMULATE) mutants.run $(ARGS)

format: setup  ## format and fix what can be fixed
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lock:  ## renew the Python locks (needs uv); hashes only, no host is written
	uv pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header --no-annotate --extra demo --extra dev pyproject.toml -o requirements.lock
	uv pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header --no-annotate pyproject.toml -o requirements-run.lock

clean:  ## what the tools left in the tree; the cache of jars stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
