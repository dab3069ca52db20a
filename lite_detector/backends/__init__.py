# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Inference runtimes; each library is imported in its own file, when a model needs it."""
