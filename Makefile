# qconform.  `make help` lists what can be made.

CFLAGS   ?= -O2 -g
CC       ?= cc
PREFIX   ?= /usr/local
SECONDS  ?= 60
# Where everything is built; a second way of building (make asan) has a folder of its own below it.
BUILD    ?= build
EXTRA    ?=
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Werror
# IEEE arithmetic is part of the contract: no -ffast-math, and no fused operations that the source does not write.
FLAGS    := -std=c17 -D_GNU_SOURCE -I. -ffp-contract=off -fno-fast-math $(WARNINGS)

# Where the libraries are, asked once the packages are there; make starts over when this file is new.
ifneq ($(filter-out help layers lint format test test-fast asan fuzz record uninstall clean,$(or $(MAKECMDGOALS),all)),)
include build/libraries.mk
endif

# `make V=1` shows the commands.
quiet = $(if $(V),,@)
say   = @$(if $(V),:,echo " ")

SOURCES := $(shell find reference reports harness -name '*.c' -not -path '*/tests/*' -not -path '*/fuzz/*' | LC_ALL=C sort)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY := $(filter-out $(BUILD)/harness/cli/%,$(OBJECTS))
TESTS   := $(shell find reference reports harness -path '*/tests/*.c' | LC_ALL=C sort)
UNITS   := $(TESTS:%.c=$(BUILD)/%.o)
FUZZERS := $(patsubst %.c,%,$(shell find reference reports harness -path '*/fuzz/*.c' | LC_ALL=C sort))

.PHONY: all help packages demo test test-fast asan fuzz faults lint format bench selftest install uninstall layers record table noise slurm clean
all: $(BUILD)/qconform

help:                 ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  \1\t/' | expand -t 14

$(BUILD)/qconform: $(OBJECTS)
	$(say) LINK $@
	$(quiet)$(CC) $(CFLAGS) $(OBJECTS) $(EXTRA) $(LIBRARIES) -lm -o $@

$(BUILD)/%.o: %.c | build/libraries.mk
	@mkdir -p $(@D)
	$(say) CC $<
	$(quiet)$(CC) $(CFLAGS) $(FLAGS) $(LIBRARY_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/reports/schema.o: reports/result.schema.json suites/suite.schema.json suites/baseline.schema.json # which it takes in whole

build/.packages: fixtures/packages.sh
	@mkdir -p build
	sh fixtures/packages.sh build
	@touch $@

NEEDED := hdf5-serial openblas libcjson nettle zlib libseccomp

build/libraries.mk: build/.packages
	@pkg-config --print-errors --exists $(NEEDED)
	@echo "LIBRARY_FLAGS := $$(pkg-config --cflags $(NEEDED))" >$@
	@echo "LIBRARIES := $$(pkg-config --libs $(NEEDED))" >>$@

packages: build/.packages  ## install what is missing (Debian)

demo: build/qconform  ## build, run all shipped suites, write build/demo/report/index.html
	@build/qconform run suites --out build/demo --html-dir build/demo/report

test:                 ## every test; ends in "N passed, N failed"
	@sh fixtures/test.sh

test-fast:            ## the tests that need no other libraries than the program's own
	@sh fixtures/test.sh layers unit corpus e2e

$(BUILD)/unit-tests: $(LIBRARY) $(UNITS)
	$(say) LINK $@
	$(quiet)$(CC) $(CFLAGS) $(LIBRARY) $(UNITS) $(EXTRA) $(LIBRARIES) -lm -lcriterion -o $@

$(UNITS): | build/.test-packages

build/.test-packages: fixtures/packages.sh
	@mkdir -p build
	sh fixtures/packages.sh test
	@touch $@

# The tests of test-fast once more, in a build that ends (status 99) at the first memory error, leak or undefined behaviour.
# Which ones are left out, and why: harness/cli/tests/conftest.py.
asan: export BUILD  := build/asan
asan: export CFLAGS := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
asan: export EXTRA  := fixtures/sanitize.c
asan:                 ## the fast tests under AddressSanitizer, LeakSanitizer and UBSan
	@sh fixtures/test.sh unit corpus e2e

# The fuzz targets: a main() of ours replays their corpora, that of libFuzzer goes on from there.
FUZZ_MAIN ?= $(BUILD)/fixtures/replay.o
FUZZED    := $(filter-out %/cli/main.o,$(OBJECTS)) $(BUILD)/fuzzed-main.o

$(BUILD)/fuzzed-main.o: harness/cli/main.c | build/libraries.mk
	@mkdir -p $(@D)
	$(quiet)$(CC) $(CFLAGS) $(FLAGS) $(LIBRARY_FLAGS) -Dmain=main_of_qconform -Wno-missing-prototypes -c $< -o $@

$(BUILD)/%.fuzz: $(BUILD)/%.o $(FUZZED) $(filter %.o,$(FUZZ_MAIN))
	$(say) LINK $@
	$(quiet)$(CC) $(CFLAGS) $< $(FUZZED) $(FUZZ_MAIN) $(EXTRA) $(LIBRARIES) -lm -o $@

.SECONDARY: # objects of the fuzz targets stay
.PHONY: fuzzers
fuzzers: $(FUZZERS:%=$(BUILD)/%.fuzz)

fuzz: export BUILD     := build/fuzz
fuzz: export CC        := clang
fuzz: export CFLAGS    := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
fuzz: export EXTRA     := fixtures/sanitize.c
fuzz: export FUZZ_MAIN := -fsanitize=fuzzer
fuzz:                 ## our own parsers and reports against mutated input, SECONDS=60 for all together
	@sh fixtures/packages.sh fuzz
	@$(MAKE) fuzzers
	@sh fixtures/fuzz.sh $(SECONDS) $(FUZZERS)

faults: $(BUILD)/qconform build/.test-packages  ## every single call to the system fails once (the fast tests take some of them)
	FAULTS=all sh fixtures/test.sh faults

lint:                 ## both compilers' warnings, clang-tidy, shellcheck, pyflakes, floors, lengths
	@sh fixtures/lint.sh

format:               ## put C sources into the style of .clang-format
	@sh fixtures/packages.sh lint
	git ls-files '*.c' '*.h' | xargs clang-format -i

build/bench: $(LIBRARY) build/fixtures/bench.o
	$(say) LINK $@
	$(quiet)$(CC) $(CFLAGS) $^ $(LIBRARIES) -lm -o $@

bench: build/qconform build/bench  ## what the program costs beside the best known way; build/bench.json
	@python3 fixtures/bench.py

selftest: build/qconform ## plant every cause, and see it named; ALL=1: in all healthy recordings
	@build/qconform selftest -q $(if $(ALL),$$(python3 fixtures/healthy.py))

slurm: build/qconform ## run suites/slurm/ on a cluster of two nodes, made for it on this machine
	@sh fixtures/slurm.sh

install: $(BUILD)/qconform  ## program, manual, schemas, completions below DESTDIR and PREFIX (/usr/local)
	@sh fixtures/install.sh "$(DESTDIR)" "$(PREFIX)"

uninstall:            ## remove what install put there
	@sh fixtures/install.sh -u "$(DESTDIR)" "$(PREFIX)"

layers:               ## check the floors from the include lines
	@sh fixtures/layers.sh

record: build/.test-packages  ## record the shipped recordings again from the real libraries
	python3 fixtures/record.py
	$(MAKE) table

table: build/qconform  ## write the suites' baselines, judge the recordings, write what is found into fixtures/README.md
	python3 fixtures/table.py

noise: build/qconform build/.test-packages  ## how large healthy rounding error is, over a wide set of live runs
	python3 fixtures/noise.py

clean:                ## remove what was built (not the Python environments)
	rm -rf build/harness build/reference build/reports build/demo build/asan build/lint build/fuzz build/logs build/qconform build/unit-tests build/libraries.mk build/.packages build/.test-packages

-include $(OBJECTS:.o=.d) $(UNITS:.o=.d)
