.DEFAULT_GOAL := help
.PHONY: help setup setup-train demo test test-quick test-humble test-arm64 lint bench endurance docs check-docs clean

help:  ## Show these commands
	@sed -n 's/^\([a-z0-9-]*\):  ## /  make \1\t/p' $(MAKEFILE_LIST)

setup:  ## Install what is missing and build the package, all inside .bench/
	@scripts/setup.sh

setup-train:  ## The same with torch (5 GB), which training needs and a robot does not
	@scripts/setup.sh train

demo:  ## Detect objects in sample photographs; pictures go to demo_output/
	@scripts/demo.sh

test:  ## Run the tests (ARGS='-k nms' goes to pytest)
	@scripts/test.sh $(ARGS)

test-quick:  ## Run the linters and the tests of serving and data, without torch
	@scripts/test.sh --quick $(ARGS)

test-humble:  ## Run the ROS tests on a relocatable ROS 2 Humble
	@scripts/humble.sh $(ARGS)

test-arm64:  ## Run the serving tests on an emulated Raspberry Pi 4 and 5, and compare what models find
	@scripts/arm64.sh $(ARGS)

lint:  ## Run the linters only
	@scripts/test.sh test/house/test_lint.py

bench:  ## Measure the speed on this machine
	@scripts/bench.sh $(ARGS)

endurance:  ## Endurance and fault tests, short (ARGS='soak --minutes 30' runs one of them, long)
	@scripts/endurance.sh $(ARGS)

docs:  ## Build the documentation, with warnings as errors; it goes to .bench/docs/
	@scripts/docs.sh

check-docs:  ## Run the commands of README and guides as written
	@scripts/check_docs.sh $(ARGS)

clean:  ## Remove everything that the commands above made
	rm -rf .bench demo_output
