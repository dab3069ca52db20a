# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What every other room stands on: numpy, OpenCV and typed YAML; no runtime, no ROS, no torch."""
