#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Get public weights into the model cache: scripts/fetch.sh NAME...
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

fetch=(.bench/venv/bin/python -m lite_detector fetch_model "$@")
# Weights that lie beside the checkout need no download.
local_weights=../shared/data/weights
[[ ! -d $local_weights ]] || fetch+=(--from "$local_weights")
exec "${fetch[@]}"
