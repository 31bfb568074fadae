# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a bag."""


class BagError(ValueError):
    """A bag that cannot be read (on), or is not what was asked for; the text says what to do."""


class BagWriteError(OSError):
    """A bag that cannot be written (on); the text says what is kept of it."""
