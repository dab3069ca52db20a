#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Source ROS and the package, then run the command of the container.
set -e
# shellcheck disable=SC1090
source "/opt/ros/$ROS_DISTRO/setup.bash"
# shellcheck disable=SC1091
source /opt/lite_detector/install/setup.bash
exec "$@"
