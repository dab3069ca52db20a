# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""How good a detector is, measured on labelled images."""
