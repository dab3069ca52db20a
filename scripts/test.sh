#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Run the tests; arguments go to pytest, e.g. scripts/test.sh -k nms
# scripts/test.sh --quick runs linters and the tests of serving and data, none of which needs torch.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

quick=(test/house test/core test/backends test/commands test/data test/labelling test/ros_core
    test/scene -m 'not slow and not torch')
# The whole suite on all cores, file by file for what the tests of one share, and each network on
# one thread. A few tests are faster without.
all_cores=(--numprocesses auto --dist loadfile)

enter() { # what setup.sh installs beside the package
    scripts/setup.sh "$@"
    # shellcheck source-path=SCRIPTDIR source=env.sh
    source scripts/env.sh
}

# Whether pytest chooses a test that needs torch; where that is missing, test/conftest.py lists them.
needs_torch() { # arguments of pytest
    [[ -e .bench/venv/installed/train.txt || "$*" == *test/train* ]] ||
        grep -q '^test/train/' < <(python -m pytest --collect-only -q "$@")
}

if [[ ${1:-} == --quick ]]; then
    enter test
    set -- "${all_cores[@]}" "${quick[@]}" "${@:2}"
elif (($# == 0)); then
    enter test train # 5 GB, a minute: nothing else would notice that training broke
    set -- "${all_cores[@]}"
else
    enter test
    ! needs_torch "$@" || enter test train
fi
[[ $1 != --numprocesses ]] || export OMP_NUM_THREADS=1
exec python -m pytest "$@"
