#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Run the tests; arguments go to pytest, e.g. scripts/test.sh -k nms
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

scripts/setup.sh test
# shellcheck source-path=SCRIPTDIR source=env.sh
source scripts/env.sh
exec python -m pytest "$@"
