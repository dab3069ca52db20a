# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Search for networks that fit a board; uses NumPy only, so it also runs on the board."""
