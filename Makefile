# make setup   installs the system libraries (or prints the one command to run)
# make build   builds everything, optimised
# make test    builds and runs all tests
# make test-kernels  checks the C kernels at every level of this processor
# make test-neon     checks the C kernels for Arm under emulation (installs a cross compiler's libraries and QEMU)
# make demo    data set -> plan -> train -> predict -> evaluate -> pictures, in a few minutes
# make bench   times the workloads (WORKLOAD=name for one)
# make fuzz    feeds invented files to a reader (READER=name SECONDS=n, see CONTRIBUTING.md)
# make lint    checks the format of every Swift file
# make install puts the commands into PREFIX/bin

SHELL := /bin/bash
PREFIX ?= /usr/local
DEMO ?= demo-run
PACKAGES := libopenblas-dev libnifti-dev libhdf5-dev zlib1g-dev libpng-dev libtiff-dev libcairo2-dev fonts-dejavu-core pkg-config
EMULATION_PACKAGES := qemu-user libc6-dev-arm64-cross gcc-aarch64-linux-gnu
PROGRAM := .build/release/nnunet
COMMANDS = $(shell $(PROGRAM) --list-commands)

.PHONY: setup build test test-kernels test-neon demo bench fuzz lint install clean

setup:
	@Scripts/setup.sh $(PACKAGES)

build: setup
	swift build -c release

# Optimised, because unoptimised kernels are too slow to test on real networks.
test: setup
	Scripts/test.sh

test-kernels:
	Scripts/test-kernels.sh native

test-neon:
	@Scripts/setup.sh $(EMULATION_PACKAGES)
	Scripts/test-kernels.sh neon

demo: build
	Scripts/demo.sh $(DEMO)

bench: setup
	swift run -c release nnunet-bench $(if $(WORKLOAD),--workload $(WORKLOAD))

fuzz: setup
	Scripts/fuzz.sh $(or $(READER),nifti) $(or $(SECONDS),600)

lint:
	swift format lint --strict --recursive Package.swift Sources Tests Benchmarks Fuzz/Package.swift Fuzz/Sources

install: build
	install -d $(PREFIX)/bin
	install -m 755 $(PROGRAM) $(PREFIX)/bin/nnunet
	for name in $(COMMANDS); do ln -sf nnunet $(PREFIX)/bin/$$name; done

clean:
	swift package clean
	rm -rf $(DEMO)
