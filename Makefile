# qconform.  `make help` lists what can be made.

CFLAGS   ?= -O2 -g
CC       ?= cc
PACKAGES := hdf5-serial openblas libcjson nettle zlib
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Werror
# IEEE arithmetic is part of the contract: no -ffast-math, and no fused operations that the source does not write.
FLAGS     = -std=c17 -D_GNU_SOURCE -I. -ffp-contract=off -fno-fast-math $(WARNINGS) $(shell pkg-config --cflags $(PACKAGES))
LIBS      = $(shell pkg-config --libs $(PACKAGES)) -lm

SOURCES := $(shell find reference reports harness -name '*.c' -not -path '*/tests/*' | LC_ALL=C sort)
OBJECTS := $(SOURCES:%.c=build/%.o)
LIBRARY := $(filter-out build/harness/cli/main.o,$(OBJECTS))
TESTS   := $(shell find reference reports harness -path '*/tests/*.c' | LC_ALL=C sort)
UNITS   := $(TESTS:%.c=build/%.o)

RECORDINGS := $(sort $(wildcard fixtures/recordings/*.h5))

.PHONY: all help packages demo test test-c test-e2e test-live layers record clean
all: build/qconform

help:                 ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  \1\t/' | expand -t 14

build/qconform: build/.packages $(OBJECTS)
	$(CC) $(CFLAGS) $(OBJECTS) $(LIBS) -o $@

build/%.o: %.c | build/.packages
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(FLAGS) -MMD -MP -c $< -o $@

build/.packages: fixtures/packages.sh
	@mkdir -p build
	sh fixtures/packages.sh build
	@touch $@

packages: build/.packages  ## install what is missing (Debian)

demo: build/qconform  ## build, judge all shipped recordings, write build/demo/report.html
	@sh fixtures/demo.sh $(RECORDINGS)

test:                 ## every test; ends in "N passed, N failed"
	@sh fixtures/test.sh

build/unit-tests: build/.packages build/.test-packages $(LIBRARY) $(UNITS)
	$(CC) $(CFLAGS) $(LIBRARY) $(UNITS) $(LIBS) -lcriterion -o $@

build/reference/%/tests/%.o build/reports/tests/%.o: | build/.test-packages

build/.test-packages: fixtures/packages.sh
	@mkdir -p build
	sh fixtures/packages.sh test
	@touch $@

layers:               ## check the floors from the include lines
	@sh fixtures/layers.sh

record: build/.test-packages  ## record the shipped recordings again from the real libraries
	python3 fixtures/record.py

clean:                ## remove what was built (not the Python environments)
	rm -rf build/harness build/reference build/reports build/demo build/qconform build/unit-tests build/.packages build/.test-packages

-include $(OBJECTS:.o=.d) $(UNITS:.o=.d)
