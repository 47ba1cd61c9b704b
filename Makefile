# SPDX-License-Identifier: GPL-2.0-or-later

SHELL         := /bin/bash
.SHELLFLAGS   := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO     ?= go
GIT    := git -c safe.directory='*'
COMMIT  ?= $(shell $(GIT) rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
VERSION ?= $(shell $(GIT) describe --tags --always --dirty 2>/dev/null || echo unknown)

# A checkout that belongs to somebody else, as in a container, must build too.
export GOFLAGS := -buildvcs=false $(GOFLAGS)

# COMMAND:PACKAGE, or PACKAGE alone: what is missing is installed.
TEST_PACKAGES   := qemu-aarch64:qemu-user gcc g++ clang ld.lld:lld aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu libc6-dev-arm64-cross libc6-dev as:binutils make zstd minisign python3 musl-gcc:musl-tools
CORPUS_PACKAGES := $(TEST_PACKAGES) \
	ipxe-qemu libaio1 libcjson1 libdeflate0 libevent-2.1-7 libfdt1 libgcrypt20 libglib2.0-0 \
	libidn2-0 libjbig0 libjemalloc2 libjpeg62-turbo liblerc4 liblz4-1 liblzo2-2 \
	libncursesw6 libnetfilter-conntrack3 libnettle8 libpam0g libpcre2-8-0 libpixman-1-0 \
	libpng16-16 libsasl2-2 libseccomp2 libslirp0 libssl3 libsystemd0 libtiff6 \
	liburing2 libwebp7 libzstd1 qemu-system-data seabios

# What the image of QEMU in the corpus needs to run, and its guest.
QEMU_PACKAGES   := qemu-img:qemu-utils xz:xz-utils zstd \
	ipxe-qemu libaio1 libfdt1 libglib2.0-0 liblzo2-2 libncursesw6 libpam0g libpixman-1-0 \
	libpng16-16 libseccomp2 libslirp0 liburing2 qemu-system-data seabios

# What an emulated machine of another CPU needs: make test-vm CPU=riscv64.
CPU                 ?= arm64
VM_PACKAGES_amd64   := qemu-system-x86_64:qemu-system-x86
VM_PACKAGES_arm64   := qemu-system-aarch64:qemu-system-arm aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu libc6-dev-arm64-cross
VM_PACKAGES_riscv64 := qemu-system-riscv64:qemu-system-misc riscv64-linux-gnu-gcc:gcc-riscv64-linux-gnu libc6-dev-riscv64-cross
VM_PACKAGES_loong64 := # of a newer Debian, beside the kernel
VM_PACKAGES          = clang debian-archive-keyring ca-certificates $(VM_PACKAGES_$(CPU))

# What compiles testdata/diff.
FIXTURE_PACKAGES := gcc g++ clang ld.lld:lld as:binutils libc6-dev aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu \
	aarch64-linux-gnu-g++:g++-aarch64-linux-gnu libc6-dev-arm64-cross

# Packages with threads of their own; the others gain nothing from the detector.
RACE     := ./applier/... ./cmd/ulpatch-apply/...
# Real processes, many threads: alone, after the others.
LIVE     := ./cmd/internal/live
FUZZTIME ?= 10s
LINT     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help
help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

.PHONY: setup
setup: ## install what the tests need and this machine lacks (Debian packages)
	@.ci/setup $(TEST_PACKAGES)

.PHONY: build
build: ## both programs, static, in bin/
	@for program in ulpatch-build ulpatch-apply; do \
		CGO_ENABLED=0 $(GO) build -trimpath -o bin/$$program \
			-ldflags '-s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)' ./cmd/$$program; \
	done

# Both programs have to be built for each, from any machine.
CROSS := arm64 riscv64 loong64

.PHONY: cross
cross: ## both programs, static, and all tests compile for every CPU
	@for cpu in $(CROSS); do \
		echo "cross $$cpu"; \
		export CGO_ENABLED=0 GOOS=linux GOARCH=$$cpu; \
		$(GO) build -o /dev/null ./cmd/ulpatch-build; \
		$(GO) build -o /dev/null ./cmd/ulpatch-apply; \
		$(GO) vet ./...; \
	done

.PHONY: check
check: cross ## gofmt and go vet, for every CPU
	@unformatted=$$(gofmt -l .); [[ -z $$unformatted ]] || { echo "gofmt -w these: $$unformatted"; exit 1; }
	$(GO) vet ./...

.PHONY: test
test: setup build check ## all tests, the live ones on aarch64 too; those of the applier need root and ptrace
	@.ci/check-ptrace
	@status=0; \
	$(GO) test -count=1 -timeout 20m $$($(GO) list ./... | grep -vxF -f <($(GO) list $(RACE) $(LIVE))) || status=$$?; \
	$(GO) test -count=1 -timeout 20m -race $(RACE) || status=$$?; \
	$(GO) test -count=1 -timeout 25m -v $(LIVE) | grep -v '^=== RUN' || status=$$?; \
	$(GO) run ./cmd/torture -n 10 -kills 10 -threads 8 || status=$$?; \
	$(MAKE) --no-print-directory test-vm CPU=arm64 || status=$$?; \
	exit $$status

.PHONY: setup-vm
setup-vm: ## install what test-vm needs
	@.ci/setup $(VM_PACKAGES)

.PHONY: test-vm
test-vm: setup-vm ## the live tests under a real kernel of another CPU, emulated: CPU=arm64
	@GO=$(GO) .ci/test-vm $(CPU)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s)
	@for package in $$($(GO) list ./...); do \
		list=$$($(GO) test -list '^Fuzz' $$package); \
		for target in $$(grep '^Fuzz' <<<"$$list" || true); do \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 5x $$package; \
		done; \
	done

.PHONY: torture
torture: setup ## patch under hammering threads and kill the tool: N=300 KILLS=100 THREADS=16
	$(GO) run ./cmd/torture -n $(or $(N),300) -kills $(or $(KILLS),100) -threads $(or $(THREADS),16)

.PHONY: bench
bench: setup ## the pause against the bare cost of a stop; building against sha256sum and readelf
	$(GO) run ./cmd/bench

.PHONY: demo
demo: setup build ## a story in a minute: a bug, its fix, the server never restarted
	@testdata/server/demo.sh

.PHONY: corpus
corpus: build ## patch real daemons: CORPUS=DIR [CASES='-only nginx'] [JSON=FILE]
	@.ci/setup $(CORPUS_PACKAGES)
	@: $${CORPUS:?say CORPUS=DIR}
	$(GO) run ./cmd/corpus -bin bin $(if $(JSON),-json $(JSON)) $(CASES) "$$CORPUS"

.PHONY: corpus-vm
corpus-vm: setup-vm build ## patch real daemons of another CPU, emulated: CPU=arm64 [CASES='-only redis']
	@.ci/setup gcc make patch xz:xz-utils
	@GO=$(GO) cmd/corpus/cross/run $(CPU) $(CASES)

.PHONY: fixtures
fixtures: ## compile testdata/diff anew; the reports: go test ./builder -run Fixtures -update
	@.ci/setup $(FIXTURE_PACKAGES)
	@testdata/diff/make.sh

.PHONY: qemu
qemu: build ## patch QEMU under a guest's load: CORPUS=DIR [LONG=1] [REPORT=FILE] [STEPS=alone,act]
	@.ci/setup $(QEMU_PACKAGES)
	@: $${CORPUS:?say CORPUS=DIR}
	$(GO) run ./cmd/qemu -bin bin $(if $(LONG),-long) $(if $(REPORT),-report $(REPORT)) \
		$(if $(STEPS),-only $(STEPS)) "$$CORPUS"

.PHONY: lint
lint: ## golangci-lint, built on the first run
	$(GO) run $(LINT) run ./...

.PHONY: clean
clean: ## remove bin/
	rm -rf bin
