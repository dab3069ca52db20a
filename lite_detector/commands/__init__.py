# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""One file per command: ``add_arguments(parser)`` and ``run(args)``."""
