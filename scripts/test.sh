#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Run the tests; arguments go to pytest, e.g. scripts/test.sh -k nms
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

# With torch (5 GB, a minute): nothing else would notice that training broke. Linters need none.
parts=(test train)
[[ $* != test/test_lint.py ]] || parts=(test)
scripts/setup.sh "${parts[@]}"
# shellcheck source-path=SCRIPTDIR source=env.sh
source scripts/env.sh
exec python -m pytest "$@"
