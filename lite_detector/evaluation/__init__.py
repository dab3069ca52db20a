# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Accuracy of a detector on labelled images."""
