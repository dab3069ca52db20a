# shellcheck shell=bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Which ROS 2 the other scripts use, and how it enters a shell. Sourced by setup.sh and env.sh.

# True where no ROS is installed. After env.sh ROS_DISTRO is set here too: LITE_DETECTOR_BENCH tells.
lite_detector_wants_relocatable_ros() {
    [[ -n ${LITE_DETECTOR_BENCH:-} ]] ||
        { [[ -z ${ROS_DISTRO:-} ]] && ! compgen -G '/opt/ros/*/setup.bash' >/dev/null; }
}

# Put a folder in front of a path list, once.
lite_detector_prepend() { # variable folder
    [[ ":${!1:-}:" == *":$2:"* ]] || export "$1=$2${!1:+:${!1}}"
}

# The setup files of ROS and colcon read unset variables.
lite_detector_source() { # file
    local nounset=+u
    [[ $- != *u* ]] || nounset=-u
    set +u
    # shellcheck disable=SC1090
    source "$1"
    set "$nounset"
}

lite_detector_use_ros() { # bench
    if lite_detector_wants_relocatable_ros; then
        export LITE_DETECTOR_BENCH=$1
        export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
        # One machine is the whole bench: nothing of it should reach the network.
        export ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}
        export RMW_IMPLEMENTATION=${RMW_IMPLEMENTATION:-rmw_fastrtps_cpp}
        lite_detector_prepend AMENT_PREFIX_PATH "$1/ros"
        lite_detector_prepend LD_LIBRARY_PATH "$1/ros/lib"
        lite_detector_prepend PYTHONPATH "$1/ros/rclpy"
    elif [[ -z ${ROS_DISTRO:-} ]]; then
        # Of several distributions the newest; whoever wants another one sources it first.
        lite_detector_source "$(compgen -G '/opt/ros/*/setup.bash' | sort | tail -n 1)"
    fi
}
