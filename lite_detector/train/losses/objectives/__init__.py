# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Training objectives, one per family: from images and labels to losses."""
