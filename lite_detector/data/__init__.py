# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Readers, checks and writers of datasets on disk; independent of any network."""
