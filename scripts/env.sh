# shellcheck shell=bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# For bash: `source scripts/env.sh` puts ROS 2, the Python environment and the built package into
# this shell, so that `ros2 run lite_detector ...` and `ros2 launch lite_detector ...` work.

lite_detector_enter() {
    local root
    root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." >/dev/null && pwd -P)
    if [[ ! -e $root/.bench/built ]]; then
        echo "error: $root is not set up yet; run 'make setup' there first" >&2
        return 1
    fi
    # shellcheck source-path=SCRIPTDIR source=ros.sh
    source "$root/scripts/ros.sh"
    lite_detector_use_ros "$root/.bench"
    lite_detector_prepend PATH "$root/.bench/venv/bin"
    lite_detector_source "$root/.bench/install/local_setup.bash"
}

lite_detector_enter
