#!/usr/bin/env bash
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
#
# Endurance and fault tests of the node. Without arguments the short form of all; else one of them,
# e.g. scripts/endurance.sh soak --minutes 30
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
# shellcheck source-path=SCRIPTDIR source=env.sh
source scripts/env.sh
(($#)) || set -- all
exec python test/endurance "$@"
