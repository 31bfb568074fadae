# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Loggers."""

from __future__ import annotations

import sys
from typing import Any

from rclpy import _log_output
from rclpy.impl.logging_severity import LoggingSeverity

_FILTERS = {
    'throttle': ('throttle_duration_sec', 'throttle_time_source_type'),
    'skip_first': ('skip_first',),
    'once': ('once',),
}
_OPTIONS = tuple(option for options in _FILTERS.values() for option in options)


class _CallSite:
    """What is remembered of one place that logs."""

    __slots__ = ('last', 'name', 'options', 'passed', 'severity')

    def __init__(self, severity: LoggingSeverity, name: str, options: dict[str, Any]) -> None:
        self.severity = severity
        self.name = name
        self.options = options
        self.passed: set[str] = set()
        self.last: int | None = None

    def passes(self) -> bool:
        """Whether the filters let the next message through."""
        wait = self.options.get('throttle_duration_sec')
        if wait:
            now = self.options['throttle_time_source_type'].now().nanoseconds
            # time that goes backwards starts the throttle anew
            if self.last is not None and self.last <= now < self.last + wait * 1e9:
                return False
            self.last = now
        if self.options.get('skip_first') and 'skip_first' not in self.passed:
            self.passed.add('skip_first')
            return False
        if self.options.get('once'):
            if 'once' in self.passed:
                return False
            self.passed.add('once')
        return True


class RcutilsLogger:
    """A logger; loggers of one name are the same to the outside."""

    def __init__(self, name: str = '') -> None:
        self.name = name
        self._sites: dict[tuple[Any, int], _CallSite] = {}

    def get_child(self, name: str) -> RcutilsLogger:
        """Return a logger below this one.

        Raises:
            ValueError: An empty name.
        """
        if not name:
            raise ValueError('the name of a child logger must not be empty')
        child = RcutilsLogger(f'{self.name}.{name}' if self.name else name)
        if self.name:
            _log_output.add_child(self.name, child.name)
        return child

    def set_level(self, level: LoggingSeverity | int) -> None:
        """Set the lowest level that is logged."""
        _log_output.set_level(self.name, LoggingSeverity(level))

    def get_effective_level(self) -> LoggingSeverity:
        """Return the level that holds: this logger's, else a parent's, else the default."""
        return _log_output.effective_level(self.name)

    def is_enabled_for(self, severity: LoggingSeverity | int) -> bool:
        """Whether messages of a severity are logged."""
        return LoggingSeverity(severity) >= _log_output.effective_level(self.name)

    def log(self, message: str, severity: LoggingSeverity | int, **kwargs: Any) -> bool:
        """Log a message.

        Args:
            message: The text.
            severity: How serious it is.
            **kwargs: Filters, which must be the same in every call from one place:
                throttle_duration_sec (seconds between messages), throttle_time_source_type (a
                Clock), skip_first, once; and `name`, another logger's name.

        Returns:
            Whether it was logged.

        Raises:
            TypeError: An unknown option, or a filter without what it needs.
            ValueError: Severity, name or filters differ from the last call from that place.
        """
        if not self.is_enabled_for(severity):
            return False
        level = LoggingSeverity(severity)
        name = kwargs.pop('name', self.name)
        frame = sys._getframe(1)
        while frame.f_code.co_filename == __file__ and frame.f_back is not None:
            frame = frame.f_back
        if not self._passes(frame, level, name, kwargs):
            return False
        code = frame.f_code
        _log_output.emit(_log_output.Record(
            level, name, message if isinstance(message, str) else str(message), code.co_name,
            code.co_filename, frame.f_lineno))
        return True

    def _passes(self, frame: Any, level: LoggingSeverity, name: str,
                kwargs: dict[str, Any]) -> bool:
        key = (frame.f_code, frame.f_lasti)
        options = _checked(kwargs)
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = _CallSite(level, name, options)
        elif site.severity != level or site.name != name:
            raise ValueError('severity and logger name must be the same in every call from one '
                             'place')
        elif site.options != options:
            raise ValueError('the filters must be the same in every call from one place')
        return site.passes()

    def debug(self, message: str, **kwargs: Any) -> bool:
        """Log with severity DEBUG; see `log`."""
        return self.log(message, LoggingSeverity.DEBUG, **kwargs)

    def info(self, message: str, **kwargs: Any) -> bool:
        """Log with severity INFO; see `log`."""
        return self.log(message, LoggingSeverity.INFO, **kwargs)

    def warning(self, message: str, **kwargs: Any) -> bool:
        """Log with severity WARN; see `log`."""
        return self.log(message, LoggingSeverity.WARN, **kwargs)

    def warn(self, message: str, **kwargs: Any) -> bool:
        """Log with severity WARN; the older name of `warning`."""
        return self.log(message, LoggingSeverity.WARN, **kwargs)

    def error(self, message: str, **kwargs: Any) -> bool:
        """Log with severity ERROR; see `log`."""
        return self.log(message, LoggingSeverity.ERROR, **kwargs)

    def fatal(self, message: str, **kwargs: Any) -> bool:
        """Log with severity FATAL; see `log`."""
        return self.log(message, LoggingSeverity.FATAL, **kwargs)


def _checked(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the options of the filters that are switched on, with defaults."""
    from rclpy.clock import Clock

    for option in kwargs:
        if option not in _OPTIONS:
            raise TypeError(f'{option!r} is none of the logging options {_OPTIONS}')
    if kwargs.get('throttle_time_source_type') and not kwargs.get('throttle_duration_sec'):
        raise TypeError('throttle_time_source_type needs throttle_duration_sec')
    options = {option: value for option, value in kwargs.items() if value}
    if 'throttle_duration_sec' in options:
        clock = options.setdefault('throttle_time_source_type', _default_clock())
        if not isinstance(clock, Clock):
            raise ValueError(f'throttle_time_source_type must be a Clock, not {clock!r}')
    return options


def _default_clock() -> Any:
    global _clock
    if _clock is None:
        from rclpy.clock import Clock

        _clock = Clock()
    return _clock


_clock: Any = None
