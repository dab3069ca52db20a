# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The runtimes; each library is imported in its own file, and only when a model asks for it."""
