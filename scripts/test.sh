#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Run the tests; arguments go to pytest, e.g. scripts/test.sh -k nms
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# With torch (5 GB, a minute): nothing else would notice that training broke. Linters need none.
parts=(test train)
[[ $* != test/house/test_lint.py ]] || parts=(test)
scripts/setup.sh "${parts[@]}"
# shellcheck source-path=SCRIPTDIR source=env.sh
source scripts/env.sh
# The whole suite on all cores, file by file for what the tests of one share, and each network on
# one thread. A few tests are faster without.
if (($# == 0)); then
    export OMP_NUM_THREADS=1
    set -- --numprocesses auto --dist loadfile
fi
exec python -m pytest "$@"
