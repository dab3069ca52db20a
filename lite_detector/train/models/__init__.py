# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The networks, one architecture per file."""
