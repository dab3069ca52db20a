# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Weights of a network: checkpoints, imports, and starts from other networks."""
