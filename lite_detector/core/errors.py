# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The errors that a user can cause; each message says what, got, wanted and where.

::

    LiteDetectorError
    +-- ConfigError     a YAML file, an option or a parameter says something impossible
    +-- ModelError      weights that are missing, damaged or do not fit their card
    +-- ImageError      an image or an image message that cannot be read
    +-- DataError       a dataset that cannot be used
    +-- LocateError     a calibration, depth or transform that gives no position
    +-- DownloadError   public weights that could not be fetched
"""


class LiteDetectorError(Exception):
    """Anything that a user can cause; the message is one line and needs no traceback."""


class ConfigError(LiteDetectorError):
    """A YAML file, an option or a parameter says something impossible."""


class ModelError(LiteDetectorError):
    """Weights that are missing, damaged or do not fit their card."""


class ImageError(LiteDetectorError):
    """An image or an image message that cannot be read."""


class DataError(LiteDetectorError):
    """A dataset that cannot be used."""


class LocateError(LiteDetectorError):
    """A calibration, depth or transform that gives no position."""


class DownloadError(LiteDetectorError):
    """Public weights that could not be fetched."""
