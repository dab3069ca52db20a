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

# Print the folder of a relocatable distribution, jazzy or humble.
lite_detector_ros_folder() { # bench distribution
    if [[ $2 == jazzy ]]; then echo "$1/ros"; else echo "$1/ros_$2"; fi
}

# LITE_DETECTOR_ROS=humble selects the relocatable Humble.
lite_detector_use_ros() { # bench
    local ros
    if lite_detector_wants_relocatable_ros; then
        export LITE_DETECTOR_BENCH=$1
        export ROS_DISTRO=${LITE_DETECTOR_ROS:-jazzy} ROS_VERSION=2 ROS_PYTHON_VERSION=3
        # One machine is the whole bench: nothing of it should reach the network.
        if [[ $ROS_DISTRO == humble ]]; then
            export ROS_LOCALHOST_ONLY=${ROS_LOCALHOST_ONLY:-1}
        else
            export ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}
        fi
        export RMW_IMPLEMENTATION=${RMW_IMPLEMENTATION:-rmw_fastrtps_cpp}
        ros=$(lite_detector_ros_folder "$1" "$ROS_DISTRO")
        lite_detector_prepend AMENT_PREFIX_PATH "$ros"
        lite_detector_prepend LD_LIBRARY_PATH "$ros/lib"
        lite_detector_prepend PYTHONPATH "$ros/rclpy"
    elif [[ -z ${ROS_DISTRO:-} ]]; then
        # Of several distributions the newest; whoever wants another one sources it first.
        lite_detector_source "$(compgen -G '/opt/ros/*/setup.bash' | sort | tail -n 1)"
    fi
}
