# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Distillation: training on the outputs of a larger network, in addition to the labels."""
