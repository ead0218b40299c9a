# Every target makes its own environment in .venv first, so each works on a fresh clone.

PYTHON ?= python3
# pip's arguments for torch. On Linux the plain index serves a CUDA build of several GB;
# `make csim TORCH_ARGS="--index-url <index of CPU wheels>"` takes the small one.
TORCH_ARGS ?=
FLOW ?= jets
WORKERS ?= 2
NETWORKS ?= 20000

BIN := .venv/bin
# One thread a process: results repeat, and parallel tests do not fight over the cores.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help csim report rtl synth place pareto pareto-hgq2 test check fuzz bench \
	notebooks wheel doctor clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

csim: .venv/.base ## jets to firmware, and proof that the integers are equal
	$(BIN)/hawq run $(FLOW) --workers $(WORKERS)

report: csim ## the same, and where its page is
	@echo build/$(FLOW)/11-report/report.html

rtl: .venv/.synthesis ## the network in Verilog and VHDL, simulated and equal
	$(BIN)/hawq rtl $(FLOW) --workers $(WORKERS)

synth: .venv/.synthesis ## gates for FPGA and ASIC, proved equal: area, timing, power
	$(BIN)/hawq run $(FLOW) --with synthesis --workers $(WORKERS)

place: .venv/.synthesis csim ## the jet tagger placed and routed on a Lattice ECP5
	$(BIN)/python benchmarks/place.py models/jets_elements/8372-luts.onnx \
	--build build/$(FLOW) --seeds 1 2 3 --workers $(WORKERS)

pareto: .venv/.synthesis csim ## accuracy against LUTs, bits for every weight: hours
	$(BIN)/python benchmarks/pareto/layer_bits.py
	$(BIN)/python benchmarks/pareto/data.py
	$(BIN)/python benchmarks/pareto/elements_train.py
	$(BIN)/python benchmarks/pareto/elements.py
	$(BIN)/python benchmarks/pareto/synthesise.py
	$(BIN)/python benchmarks/pareto/table.py --ours elements

pareto-hgq2: .venv/.synthesis .venv-hgq2/.done ## the same by HGQ2, in its own environment
	$(BIN)/python benchmarks/pareto/data.py
	for seed in 1 2 3; do KERAS_BACKEND=jax JAX_PLATFORMS=cpu \
	.venv-hgq2/bin/python benchmarks/pareto/hgq2_train.py --seed $$seed || exit 1; done
	KERAS_BACKEND=jax JAX_PLATFORMS=cpu \
	.venv-hgq2/bin/python benchmarks/pareto/hgq2_logic.py
	$(BIN)/python benchmarks/pareto/synthesise.py --methods hgq2

test: .venv/.test ## run the tests
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -q

check: .venv/.test ## lint and type-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

fuzz: .venv/.test ## random networks for longer, with a random seed
	@seed=$${SEED:-$$(date +%s)}; \
	echo "make fuzz SEED=$$seed NETWORKS=$(NETWORKS)  # failures: build/fuzz/*.onnx"; \
	HAWQ_FUZZ_SEED=$$seed HAWQ_FUZZ_NETWORKS=$(NETWORKS) \
	$(BIN)/pytest -n $(WORKERS) -q tests/fuzz

notebooks: .venv/.test ## execute the notebooks on the small flow
	$(BIN)/pytest -q --nbmake --nbmake-timeout=600 notebooks

bench: .venv/.bench csim ## run beside the peers and print the ratios
	$(BIN)/python benchmarks/golden_model.py
	$(BIN)/python benchmarks/hessian_trace.py
	$(BIN)/python benchmarks/hessian_scaling.py
	$(BIN)/python benchmarks/cli_start.py

wheel: .venv/.test ## build the wheel into dist/
	$(BIN)/pip wheel -q --no-deps -w dist .

doctor: .venv/.base ## say what is installed and what is missing
	$(BIN)/hawq doctor

clean: ## remove results and caches, not the environment
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/.base: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.version_info >= (3, 11) or \
	sys.exit(f"hawq needs Python 3.11 or newer, {sys.executable} is {v}: set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q $(TORCH_ARGS) torch==2.13.0
	$(BIN)/pip install -q -e .
	@touch $@

.venv/.test: .venv/.base
	$(BIN)/pip install -q -e '.[jets,readers,cluster,synthesis,test,lint]'
	-$(BIN)/python -m hawq.synthesis.fetch
	@touch $@

.venv/.synthesis: .venv/.base
	$(BIN)/pip install -q -e '.[synthesis]'
	-$(BIN)/python -m hawq.synthesis.fetch
	@touch $@

.venv-hgq2/.done: benchmarks/pareto/requirements-hgq2.txt
	$(PYTHON) -m venv .venv-hgq2
	.venv-hgq2/bin/pip install -q -r $<
	@touch $@

.venv/.bench: .venv/.test
	$(BIN)/pip install -q -e '.[benchmarks]'
	@touch $@
