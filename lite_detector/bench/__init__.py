# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""How fast a detector is on this board."""
