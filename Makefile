# Thin: the work is done by scripts/ and CMake. `make` builds build/release, PRESET=dev build/dev.
#   JOBS=N           compile jobs and tests at once (default: all processors)
#   MNEME_GGML_ARCH  what ggml is built for: native (default), x86-64-v3, x86-64-v4, avx512bf16, amx
#   MNEME_LLAMA_ROOT prefix with libllama of the pinned version, instead of the bootstrapped one
#   OFFLINE=1        never fetch
PRESET ?= release
JOBS ?= $(shell nproc)
PREFIX ?= /usr/local
export MNEME_GGML_ARCH ?= native
export JOBS
bootstrap = scripts/bootstrap $(if $(OFFLINE),--offline)

.PHONY: all build deps check ci bench demo install format tidy clean
all: build

deps:
	@$(if $(MNEME_LLAMA_ROOT),true,$(bootstrap) >/dev/null)

build: deps
	@cmake --preset $(PRESET) --log-level=WARNING -DMNEME_GGML_ARCH=$(MNEME_GGML_ARCH) \
	  -DMNEME_LLAMA_ROOT=$(MNEME_LLAMA_ROOT) $(CMAKE_ARGS)
	@cmake --build --preset $(PRESET) -j $(JOBS)

# Quick set; the last line is "N passed, M failed, K skipped".
check: build
	@scripts/check --checks $(PRESET)

# Everything: warnings as errors, every --cpu level, sanitizers, fuzz corpus, installation.
ci:
	@scripts/ci

demo: build
	@scripts/demo

bench: build
	@build/$(PRESET)/mneme bench --peer llama --json $(BENCH_ARGS)

# Installs what is built, so that `make && sudo make install` builds nothing as another user.
install: $(if $(wildcard build/$(PRESET)/libmneme.so),,build)
	@DESTDIR=$(DESTDIR) cmake --install build/$(PRESET) --prefix $(PREFIX)

format:
	@git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

tidy: build
	@git ls-files -co --exclude-standard 'src/*.c' 'tools/*.c' | grep -v '/x86/' \
	  | xargs clang-tidy --quiet -p build/$(PRESET)

clean:
	@rm -rf build
