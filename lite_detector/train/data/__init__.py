# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Training data: from labelled images to batches of tensors."""
