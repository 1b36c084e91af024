# Every target does its own set-up; see scripts/setup.sh for what is installed where.
.PHONY: lab test check fuzz bench load quality page test-page desk-clients test-sinks

FUZZ_SECONDS ?= 60
# Where tests find geckodriver when it is not installed on the machine.
export PATH := $(CURDIR)/target/tools/bin:$(PATH)

# The gateway with a stand-in Genesys behind it; Ctrl-C ends it.
lab:
	scripts/setup.sh lab
	$(MAKE) page
	cargo build --release --locked
	./target/release/crosspoint lab

# Everything that a change must pass: unit, wire, fuzz-corpus and browser tests.
test:
	scripts/setup.sh test
	$(MAKE) page test-page desk-clients test-sinks check
	cargo test --workspace --all-targets --locked
	cargo test --workspace --doc --locked

# Format, lints, and what the dependencies may be.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check bans licenses sources; else echo "cargo-deny is not installed: skipped"; fi

# Every fuzz target for FUZZ_SECONDS each (needs a nightly compiler and cargo-fuzz, which are not installed from here).
# What a run finds goes to fuzz/target/corpus and is read by the next run; the committed corpus stays as it is.
fuzz:
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked"; exit 1; }
	@set -e; for target in $$(cargo +nightly fuzz list); do \
	    echo "fuzz: $$target for $(FUZZ_SECONDS) s"; \
	    mkdir -p "fuzz/target/corpus/$$target"; \
	    cargo +nightly fuzz run "$$target" "fuzz/target/corpus/$$target" "fuzz/corpus/$$target" -- \
	        -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048; \
	done

# Figures; compare them within one run. The CometD server in a short form, and beside the official one after `make test-sinks`.
bench:
	scripts/setup.sh build
	cargo bench --locked

# A self-test of the gateway under load, on loopback, below a minute; fails where a call or its sound does.
load:
	scripts/setup.sh build
	cargo build --release --locked
	./target/release/crosspoint load --self --calls 20 --hold 10

# PESQ of both directions at several losses (quality, not speed: any profile will do, and that of the tests is built already).
quality:
	scripts/setup.sh quality
	cargo bench --locked --profile dev --bench quality -- $(CURDIR)/target/quality/sounds
	target/quality/venv/bin/python benches/quality/score.py target/quality/sounds

# The phone page, which the gateway embeds.
page: web/dist/index.html

web/dist/index.html: $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*' 2>/dev/null)
	scripts/setup.sh lab
	cd web && npm ci --no-fund --no-audit && npm run build
	@touch $@

# The official CometD server that tests/sinks publishes to.
test-sinks: tests/sinks/node/node_modules/.package-lock.json

tests/sinks/node/node_modules/.package-lock.json: tests/sinks/node/package-lock.json
	cd tests/sinks/node && npm ci --no-fund --no-audit
	@touch $@

# The official CometD clients that tests/desk drives.
desk-clients: tests/desk/node/node_modules/.package-lock.json

tests/desk/node/node_modules/.package-lock.json: tests/desk/node/package-lock.json
	cd tests/desk/node && npm ci --no-fund --no-audit
	@touch $@

# The page of the browser tests.
test-page: tests/browser/page/dist/index.html

tests/browser/page/dist/index.html: $(shell find tests/browser/page -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
	cd tests/browser/page && npm ci --no-fund --no-audit && npm run build
	@touch $@
