# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The classic light backbones, one architecture per file."""
