# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""From labelled images to batches of tensors."""
