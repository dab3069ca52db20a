#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Run the ROS tests on the relocatable ROS 2 Humble; arguments go to pytest.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

export LITE_DETECTOR_ROS=humble OMP_NUM_THREADS=1
scripts/setup.sh test
# shellcheck source-path=SCRIPTDIR source=env.sh
source scripts/env.sh
exec python -m pytest --numprocesses auto --dist loadfile test/ros "$@"
