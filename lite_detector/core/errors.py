# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Errors that a user can cause; each message has location, found and expected value.

::

    LiteDetectorError
    +-- ConfigError     an invalid YAML file, option or parameter
    +-- ModelError      weights that are missing, damaged or do not match their card
    +-- ImageError      an image or an image message that cannot be read
    +-- DataError       a dataset that cannot be used
    +-- LocateError     a calibration, depth or transform without a valid position
    +-- DownloadError   public weights that cannot be downloaded
"""


class LiteDetectorError(Exception):
    """Base of all errors that a user can cause; the message is one line without traceback."""


class ConfigError(LiteDetectorError):
    """An invalid YAML file, option or parameter."""


class ModelError(LiteDetectorError):
    """Weights that are missing, damaged or do not match their card."""


class ImageError(LiteDetectorError):
    """An image or an image message that cannot be read."""


class DataError(LiteDetectorError):
    """A dataset that cannot be used."""


class LocateError(LiteDetectorError):
    """A calibration, depth or transform without a valid position."""


class DownloadError(LiteDetectorError):
    """Public weights that cannot be downloaded."""
