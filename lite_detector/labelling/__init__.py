# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Labelling by a model: any detector labels images, and the result is a COCO file with scores."""
