#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Build the documentation into .bench/docs, with warnings as errors and checked internal links.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

scripts/setup.sh docs
# shellcheck source-path=SCRIPTDIR source=env.sh
source scripts/env.sh
python -m sphinx -q -W --keep-going -b html docs .bench/docs
echo "docs: .bench/docs/index.html"
