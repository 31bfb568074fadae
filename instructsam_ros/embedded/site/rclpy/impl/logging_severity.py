# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How serious a log message is."""

from enum import IntEnum


class LoggingSeverity(IntEnum):
    """Levels; UNSET means the level of the parent logger."""

    UNSET = 0
    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50
