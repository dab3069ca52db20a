# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Which prior learns which object: one pure function per way of deciding it."""
