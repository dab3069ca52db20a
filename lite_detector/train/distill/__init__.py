# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Learning from a larger network beside the labels."""
