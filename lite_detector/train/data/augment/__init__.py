# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What is done to a training image at random, and the labels that follow it."""
