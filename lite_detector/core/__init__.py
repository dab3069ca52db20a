# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Foundation of the package: NumPy, OpenCV and typed YAML; without runtimes, ROS and torch."""
