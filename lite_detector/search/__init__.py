# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Search for the network that fits a board; numpy only, so that it runs on the board too."""
