# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Weights of a network: checkpoints, imports, and transfer from other networks."""
