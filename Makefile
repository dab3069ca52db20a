.DEFAULT_GOAL := help
.PHONY: help setup setup-train demo test test-quick test-humble test-arm64 lint bench endurance docs check-docs clean

help:  ## Show these commands
	@sed -n 's/^\([a-z0-9-]*\):  ## /  make \1\t/p' $(MAKEFILE_LIST)

setup:  ## Install what is missing and build the package, all inside .bench/
	@scripts/setup.sh

setup-train:  ## Like setup, with torch for training (5 GB); a robot does not need it
	@scripts/setup.sh train

demo:  ## Detect objects in sample photographs and write pictures to demo_output/
	@scripts/demo.sh

test:  ## Run the tests (ARGS='-k nms' passes options to pytest)
	@scripts/test.sh $(ARGS)

test-quick:  ## Run the linters and the tests of serving and data, without torch
	@scripts/test.sh --quick $(ARGS)

test-humble:  ## Run the ROS tests on a relocatable ROS 2 Humble
	@scripts/humble.sh $(ARGS)

test-arm64:  ## Run the serving tests on an emulated Raspberry Pi 4 and 5, and compare detections
	@scripts/arm64.sh $(ARGS)

lint:  ## Run the linters only
	@scripts/test.sh test/house/test_lint.py

bench:  ## Measure the speed of the models on this machine
	@scripts/bench.sh $(ARGS)

endurance:  ## Run the short endurance and fault tests (ARGS='soak --minutes 30' runs a long one)
	@scripts/endurance.sh $(ARGS)

docs:  ## Build the documentation in .bench/docs/, with warnings as errors
	@scripts/docs.sh

check-docs:  ## Run the commands of the README and the guides
	@scripts/check_docs.sh $(ARGS)

clean:  ## Remove everything that these commands created
	rm -rf .bench demo_output
