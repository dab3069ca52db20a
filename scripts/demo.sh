#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Detect objects in sample photographs, through the node and its topics; pictures go to demo_output/.
# Arguments go to the launch file, e.g. scripts/demo.sh score_threshold:=0.5
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

model=nanodet_plus_m_320
# Weights that lie beside the checkout need no download.
local_weights=../shared/data/weights

fetch=(.bench/venv/bin/python -m lite_detector fetch_model "$model")
[[ ! -d $local_weights ]] || fetch+=(--from "$local_weights")

scripts/setup.sh demo
"${fetch[@]}"
# shellcheck source-path=SCRIPTDIR source=env.sh
source scripts/env.sh
exec ros2 launch lite_detector demo.launch.py "output_dir:=$PWD/demo_output" "$@"
