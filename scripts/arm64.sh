#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Run the serving tests on an emulated Raspberry Pi 5, a part of them on a Pi 4, and compare what the
# models find there with this machine. Emulation proves correctness; its times say nothing.
# Usage: scripts/arm64.sh [tests] [check] [model folder...]
#   tests, check: only that part; model folders instead of those of models/ that have weights
#   IMAGES=6 labelled images per model, JOBS=2 processes, LITE_DETECTOR_TEST_DATA=../shared/data
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

root=$PWD
arm=$root/.bench/arm64
system=$arm/system
data=$(realpath -m "${LITE_DETECTOR_TEST_DATA:-../shared/data}")
images=${IMAGES:-6}
jobs=${JOBS:-$(nproc)}
# Python 3.11 is that of Debian 12, whose arm64 packages need no emulation to be unpacked.
release=bookworm
packages=python3,libpython3-stdlib,libgomp1,libstdc++6
options=(--only-binary :all: --implementation cp --python-version 311 --abi cp311 --abi abi3
    --abi none)
for platform in 2_34 2_28 2_27 2_17; do
    options+=(--platform "manylinux_${platform}_aarch64")
done
options+=(--platform manylinux2014_aarch64)
tests_a76=(backends core/{decode,decode_yolof,draw,geometry,image_header,media,model_card,nms}
    core/{preprocess,tiling,types} data/{bags,coco} evaluation/matching scene/tracking
    search/latency export/{calibration,import_ncnn} commands/{cli,detector,download,zoo}
    ros_core/{camera_stats,frames} bench/benchmark house/{parity,shipped_models})
tests_a72=(backends/{backends,precision} commands/cli house/shipped_models)

step() {
    echo "arm64: $*"
}

fail() {
    echo "error: $*" >&2
    exit 1
}

need() { # program package
    command -v "$1" >/dev/null || fail "$1 is missing; install it with: apt install $2"
}

# Of the machine's own apt where it is a Debian; else mmdebstrap takes its default.
debian_mirror() {
    apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' \
        2>/dev/null | sed -n "s/^Debian $release //p" | head -n 1
}

get_system() {
    local mirror output
    [[ $(cat "$system/made_with" 2>/dev/null) != "$release $packages" ]] || return 0
    step 'unpacking an arm64 root file system (76 MB, once)'
    rm -rf "$system" "$system.part"
    mirror=$(debian_mirror)
    output=$(mmdebstrap --architectures=arm64 --variant=extract --include="$packages" \
        "$release" "$system.part" ${mirror:+"$mirror"} 2>&1) ||
        fail "mmdebstrap cannot unpack Debian $release for arm64: $(tail -n 1 <<<"$output")"
    # qemu redirects this path too: with the host's x86 text `import onnxruntime` crashes.
    mkdir -p "$system.part/proc"
    for processor in 0 1 2 3; do
        printf '%s\t: %s\n' processor "$processor" BogoMIPS 108.00 Features 'fp asimd crc32' \
            'CPU implementer' 0x41 'CPU architecture' 8 'CPU variant' 0x4 'CPU part' 0xd0b \
            'CPU revision' 1
        echo
    done >"$system.part/proc/cpuinfo"
    echo "$release $packages" >"$system.part/made_with"
    mv "$system.part" "$system"
}

get_wheels() {
    local wanted=$arm/requirements.txt
    # The linters run on the host.
    grep -hvE '^#|ruff|flake8|pydocstyle|mypy|^types-' requirements/{serve,opencv,bags,test}.txt |
        sort >"$wanted"
    ! cmp -s "$wanted" "$arm/site/requirements.txt" || return 0
    step 'downloading aarch64 wheels (450 MB on disk, once)'
    rm -rf "$arm/site" "$arm/site.part"
    .bench/venv/bin/python -m pip -qqq --disable-pip-version-check install \
        --target "$arm/site.part" "${options[@]}" -r "$wanted" ||
        fail 'pip cannot download the aarch64 wheels'
    cp "$wanted" "$arm/site.part/requirements.txt"
    mv "$arm/site.part" "$arm/site"
}

write_wrapper() {
    cat >"$arm/python" <<SH
#!/bin/sh
exec qemu-aarch64-static -L '$system' '$system/usr/bin/python3.11' "\$@"
SH
    chmod +x "$arm/python"
    # Children of the tests start by this name.
    echo "import sys; sys.executable = '$arm/python'" >"$arm/site/sitecustomize.py"
}

emulate() { # processor argument...
    env -u LD_LIBRARY_PATH QEMU_CPU="$1" PYTHONPATH="$root:$arm/site" OMP_NUM_THREADS=1 \
        "$arm/python" "${@:2}"
}

run_tests() { # processor test...
    local name files=()
    for name in "${@:2}"; do
        [[ -d test/$name ]] && files+=("test/$name") || files+=("test/${name%/*}/test_${name##*/}.py")
    done
    step "$1: tests"
    LITE_DETECTOR_TEST_DATA=$data emulate "$1" -m pytest -q --timeout 1200 -p no:cacheprovider \
        --numprocesses "$((jobs > 1 ? jobs : 0))" --dist loadfile "${files[@]}"
}

detect() { # processor folder precision reference
    local name=${2##*/} run=(python)
    [[ $1 == x86 ]] || run=(emulate "$1")
    "${run[@]}" scripts/agreement.py detect --processor "$1" --model "$2" --precision "$3" \
        --annotations "$data/coco_mini/instances_val.json" --images "$data/coco_mini/val" \
        --count "$images" --reference "$arm/check/$name.$4.npz" \
        --output "$arm/check/$name.$1.$3.json" || return 255  # xargs starts no more
    step "$1: $name $3"
}

check() { # folder...
    if [[ ! -d $data/coco_mini ]]; then
        step "no check, since there is no $data/coco_mini; set LITE_DETECTOR_TEST_DATA"
        return
    fi
    step "check: $# models on $images images each"
    rm -rf "$arm/check"
    python scripts/agreement.py plan "$@" >"$arm/plan.txt" || return
    # What the others are compared with comes first.
    grep '^x86' "$arm/plan.txt" | xargs -L 1 -P 1 bash -c 'detect "$@"' _ || return
    grep -v '^x86' "$arm/plan.txt" | xargs -L 1 -P "$jobs" bash -c 'detect "$@"' _ || return
    python scripts/agreement.py compare --annotations "$data/coco_mini/instances_val.json" \
        "$arm"/check/*.json
}

main() {
    local parts=() models=() failed=() word
    for word; do
        case $word in
            tests | check) parts+=("$word") ;;
            *) models+=("$word") ;;
        esac
    done
    [[ ${#parts[@]} -gt 0 ]] || parts=(tests check)
    [[ ${#models[@]} -gt 0 ]] || mapfile -t models < <(dirname models/*/*.bin | sort -u)
    need qemu-aarch64-static qemu-user-static
    need mmdebstrap mmdebstrap
    scripts/setup.sh test
    # shellcheck source-path=SCRIPTDIR source=env.sh
    source scripts/env.sh
    mkdir -p "$arm"
    get_system
    get_wheels
    write_wrapper
    export root arm system data images
    export -f emulate detect step
    if [[ " ${parts[*]} " == *' tests '* ]]; then
        run_tests cortex-a76 "${tests_a76[@]}" || failed+=(tests-a76)
        run_tests cortex-a72 "${tests_a72[@]}" || failed+=(tests-a72)
    fi
    if [[ " ${parts[*]} " == *' check '* ]]; then
        check "${models[@]}" || failed+=(check)
    fi
    [[ ${#failed[@]} -eq 0 ]] || fail "failed on emulated aarch64: ${failed[*]}"
    step "passed in $((SECONDS / 60)) minutes"
}

main "$@"
