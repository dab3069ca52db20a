# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``python -m lite_detector <command>``."""

import sys

from lite_detector.cli import main

sys.exit(main())
