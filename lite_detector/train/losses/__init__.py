# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Assignment of objects to priors, and the losses."""
