#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Detect objects in sample photographs, through the node and its topics; pictures go to demo_output/.
# Arguments go to the launch file, e.g. scripts/demo.sh source:=video.mp4
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

scripts/setup.sh demo
# shellcheck source-path=SCRIPTDIR source=env.sh
source scripts/env.sh
exec ros2 launch lite_detector demo.launch.py "output_dir:=$PWD/demo_output" "$@"
