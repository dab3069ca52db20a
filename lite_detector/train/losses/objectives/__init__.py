# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What a network learns by: one objective per family, from images and labels to losses."""
