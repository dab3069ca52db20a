# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Train a NanoDet-m from random weights of torch instead of those of its authors.

The arguments are those of ``train``. The same command of ``train`` gives the other side.
"""

from __future__ import annotations

import sys

from lite_detector import cli
from lite_detector.train.models import nanodet


def main() -> int:
    """Run ``train`` with the default initialization of torch in the backbone."""
    nanodet.init_as_in_nanodet = lambda backbone: None
    return cli.main(['train', *sys.argv[1:]])


if __name__ == '__main__':
    sys.exit(main())
