# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Import and export of networks: from torch to the runtimes, and back."""
