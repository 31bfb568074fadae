# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Loggers and their levels."""

from __future__ import annotations

import os
from pathlib import Path

from rclpy import _log_output
from rclpy.impl.logging_severity import LoggingSeverity as LoggingSeverity
from rclpy.impl.rcutils_logger import RcutilsLogger

_root_logger = RcutilsLogger()


def get_logger(name: str) -> RcutilsLogger:
    """Return a logger.

    Raises:
        ValueError: An empty name.
    """
    if not name:
        raise ValueError('the name of a logger must not be empty')
    return _root_logger.get_child(name)


def initialize() -> None:
    """Do nothing: logging is always ready."""


def shutdown() -> None:
    """Forget all levels."""
    _log_output.reset()


def clear_config() -> None:
    """Forget all levels."""
    _log_output.reset()


def set_logger_level(name: str, level: int | LoggingSeverity,
                     detailed_error: bool = False) -> None:
    """Set a logger's level; ValueError if there is no such level."""
    _log_output.set_level(name, LoggingSeverity(level))


def get_logger_effective_level(name: str) -> LoggingSeverity:
    """Return the level that holds for a logger."""
    return _log_output.effective_level(name)


def get_logger_level(name: str) -> LoggingSeverity:
    """Return a logger's own level, UNSET if it has none."""
    return _log_output.own_level(name)


def get_logging_severity_from_string(log_severity: str) -> LoggingSeverity:
    """Return the level of a name, in upper or lower case.

    Raises:
        RuntimeError: There is no such level.
    """
    try:
        return LoggingSeverity[log_severity.upper()]
    except KeyError:
        raise RuntimeError(f'{log_severity!r} is no log level') from None


def get_logging_directory() -> Path:
    """Return ROS 2's folder for log files; nothing is written there."""
    chosen = os.environ.get('ROS_LOG_DIR')
    home = os.environ.get('ROS_HOME') or '~/.ros'
    return Path(chosen or os.path.join(home, 'log')).expanduser()
