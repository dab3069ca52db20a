# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Random augmentation of training images and their labels."""
