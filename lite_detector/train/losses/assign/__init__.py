# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Assigners, which choose the positive samples of each object; one pure function each."""
