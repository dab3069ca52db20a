# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The sections of a training configuration, one module per topic; none imports torch."""
