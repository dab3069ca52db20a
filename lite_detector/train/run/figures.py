# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Names of the figures of an epoch; a row is a dict from name to number."""

LOSS = 'loss/'
"""Prefix of the terms of the loss, means over the epoch."""
AP = 'ap/'
"""Prefix of the measurements in percent, which some epochs do not have."""
MAIN = AP + 'AP'
"""Figure that decides which weights are best: the mean over IoU 0.50 .. 0.95."""
