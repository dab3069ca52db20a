# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Training: builds, loads and runs the networks in torch; never used on the robot."""
