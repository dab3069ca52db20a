# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A training run, from its configuration to its best checkpoint."""
