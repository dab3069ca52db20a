#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Run the commands of README and guides as written; arguments go to scripts/check_docs.py.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

scripts/setup.sh train test demo
# shellcheck source-path=SCRIPTDIR source=env.sh
source scripts/env.sh
exec python scripts/check_docs.py "$@"
