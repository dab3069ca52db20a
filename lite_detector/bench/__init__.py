# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Measure the speed of detectors on a board."""
