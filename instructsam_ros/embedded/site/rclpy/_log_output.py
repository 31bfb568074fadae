# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where log messages go: levels by logger, the console, and the topic /rosout."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rclpy.impl.logging_severity import LoggingSeverity

if TYPE_CHECKING:
    from rclpy._arguments import RosArguments

_DEFAULT_FORMAT = '[{severity}] [{time}] [{name}]: {message}'
_COLOURS = {LoggingSeverity.DEBUG: '\033[32m', LoggingSeverity.WARN: '\033[33m',
            LoggingSeverity.ERROR: '\033[31m', LoggingSeverity.FATAL: '\033[31m'}
_FIELD = re.compile(r'\{(\w+)\}')

Publish = Callable[['Record'], None]

_lock = threading.RLock()
_levels: dict[str, LoggingSeverity] = {}
_default_level = LoggingSeverity.INFO
_console = True
_rosout = True
# loggers whose messages go to a node's /rosout publisher, with the node's own logger's name
_publishers: dict[str, Publish] = {}
_children: dict[str, str] = {}
_busy = threading.local()


class Record:
    """One log message and where it was logged."""

    __slots__ = ('file', 'function', 'level', 'line', 'message', 'name', 'nanoseconds')

    def __init__(self, level: LoggingSeverity, name: str, message: str, function: str, file: str,
                 line: int) -> None:
        self.level = level
        self.name = name
        self.message = message
        self.function = function
        self.file = file
        self.line = line
        self.nanoseconds = time.time_ns()

    def field(self, name: str) -> str:
        """Return a field of the console format, or the field's name in braces if unknown."""
        seconds, rest = divmod(self.nanoseconds, 10 ** 9)
        if name == 'severity':
            return self.level.name
        if name == 'message':
            return self.message
        if name == 'name':
            return self.name
        if name == 'time':
            return f'{seconds}.{rest:09d}'
        if name == 'time_as_nanoseconds':
            return str(self.nanoseconds)
        if name == 'date_time_with_ms':
            return datetime.fromtimestamp(seconds).strftime('%Y-%m-%d %H:%M:%S.') + \
                f'{rest // 10 ** 6:03d}'
        known = {'function_name': self.function, 'file_name': self.file,
                 'line_number': str(self.line)}
        return known.get(name, f'{{{name}}}')


def configure(arguments: RosArguments) -> None:
    """Take over levels and switches from the command line."""
    global _console, _rosout
    with _lock:
        _console = arguments.stdout_logs
        _rosout = arguments.rosout_logs
        for name, level in arguments.log_levels.items():
            set_level(name, level)


def reset() -> None:
    """Forget all levels and switches."""
    global _console, _rosout, _default_level
    with _lock:
        _levels.clear()
        _default_level = LoggingSeverity.INFO
        _console = _rosout = True


def set_level(name: str, level: LoggingSeverity) -> None:
    """Set a logger's level; '' is the default of all loggers."""
    global _default_level
    with _lock:
        if not name:
            _default_level = level or LoggingSeverity.INFO
        elif level is LoggingSeverity.UNSET:
            _levels.pop(name, None)
        else:
            _levels[name] = level


def own_level(name: str) -> LoggingSeverity:
    """Return a logger's own level, UNSET if it has none."""
    if not name:
        return _default_level
    return _levels.get(name, LoggingSeverity.UNSET)


def effective_level(name: str) -> LoggingSeverity:
    """Return the level that holds for a logger: its own, else its parents', else the default."""
    while name and _levels:
        level = _levels.get(name)
        if level is not None:
            return level
        name = name.rpartition('.')[0]
    return _default_level


def add_publisher(name: str, publish: Publish) -> None:
    """Send a node's log messages to its /rosout publisher too."""
    with _lock:
        _publishers[name] = publish


def remove_publisher(name: str, publish: Publish) -> None:
    """End `add_publisher`, unless another node of that name has taken its place."""
    with _lock:
        if _publishers.get(name) == publish:
            del _publishers[name]


def add_child(parent: str, child: str) -> None:
    """Have a child logger's messages go where those of its parent go."""
    with _lock:
        owner = _children.get(parent, parent)
        _children[child] = owner


def emit(record: Record) -> None:
    """Write a message out; called for enabled messages only."""
    if _console:
        _write(record)
    if not _rosout:
        return
    publish = _publishers.get(_children.get(record.name, record.name))
    # what publishing itself logs must not be published again
    if publish is None or getattr(_busy, 'now', False):
        return
    _busy.now = True
    try:
        # a message must be logged on the console at least, whatever the network does
        with contextlib.suppress(Exception):
            publish(record)
    finally:
        _busy.now = False


def _write(record: Record) -> None:
    stream: Any = (sys.stdout if os.environ.get('RCUTILS_LOGGING_USE_STDOUT') == '1'
                   else sys.stderr)
    if stream is None:
        return
    template = os.environ.get('RCUTILS_CONSOLE_OUTPUT_FORMAT') or _DEFAULT_FORMAT
    text = _FIELD.sub(lambda found: record.field(found[1]), template)
    colour = _COLOURS.get(record.level)
    wanted = os.environ.get('RCUTILS_COLORIZED_OUTPUT')
    if colour and (wanted == '1' or (wanted != '0' and _is_terminal(stream))):
        text = f'{colour}{text}\033[0m'
    # a closed terminal is no reason to stop
    with contextlib.suppress(OSError, ValueError), _lock:
        stream.write(text + '\n')
        stream.flush()


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False
