#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Measure the speed on this machine; arguments go to bench.py.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

scripts/setup.sh demo
scripts/fetch.sh nanodet_m_320 nanodet_plus_m_320 yolov5_lite_e_320
# shellcheck source-path=SCRIPTDIR source=env.sh
source scripts/env.sh
exec python scripts/bench.py "$@"
