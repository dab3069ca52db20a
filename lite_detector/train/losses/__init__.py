# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""How objects are assigned to priors, and the losses that follow."""
