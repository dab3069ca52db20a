# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Datasets on disk; nothing here knows of a network."""
