# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Labels by a model: any detector looks at images, and a COCO file keeps what it believes."""
