# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Between torch and the runtimes of the robot: weights in, model folders out."""
