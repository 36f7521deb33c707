# What a person or CI asks of this repository. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
ENV := . .ci/env.sh &&

.PHONY: help deps build demo test fmt clippy arrows unit integration corpus chaos-short chaos-long doc bench crash sim fuzz

help: ## List the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Install what is missing on a Debian machine (needs root)
	@.ci/deps

build: deps ## Build the release binary
	@$(ENV) cargo build --release -p mainstay -p mainstay-chaos

demo: deps ## Three masters, two workers and a web app on real containerd; then the leader is killed
	@$(ENV) cli/demo/run.sh

test: deps ## Every check that a change must pass
	@.ci/test

fmt: ; @.ci/test fmt
clippy: ; @.ci/test clippy
arrows: ; @.ci/test arrows
unit: ; @.ci/test unit
integration: ; @.ci/test integration
corpus: ; @.ci/test corpus
chaos-short: ; @.ci/test chaos
doc: ; @.ci/test doc

chaos-long: deps ## An hour of faults: every scenario, and the rest of the time a storm (MINUTES=60)
	@.ci/chaos-long $${MINUTES:-60}

crash: deps ## Kill members of the store at random points, hundreds of times
	@$(ENV) MAINSTAY_CRASH_ROUNDS=$${ROUNDS:-200} cargo test -p mainstay --test cluster crash:: -- --nocapture

sim: deps ## The store under simulation, a seed after the other: SEEDS=1000, FIRST=1; SEED=7 repeats one
	@$(ENV) $(if $(SEED),MAINSTAY_SIM_SEED=$(SEED),MAINSTAY_SIM_FIRST=$${FIRST:-1} MAINSTAY_SIM_SEEDS=$${SEEDS:-1000}) \
		cargo test -p mainstay-store --lib simulation::tests::every_property -- --nocapture

fuzz: deps ## Fuzz the decoders, guided by coverage: SECONDS=60 for each, TARGET="yaml cel" for some
	@.ci/fuzz $(or $(SECONDS),60) $(TARGET)

bench: deps ## Store, watch and inner-loop benchmarks, with etcd beside them
	@$(ENV) cargo build --release -p mainstay && etcd=$$(.ci/etcd) \
		&& "$$CARGO_TARGET_DIR/release/mainstay" bench store --vs-etcd --etcd "$$etcd" \
		&& "$$CARGO_TARGET_DIR/release/mainstay" bench watch --vs-etcd --etcd "$$etcd" --clients 16 \
		&& cargo bench -p mainstay-store
