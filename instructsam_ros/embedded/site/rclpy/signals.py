# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM end all contexts, and then do what they did before."""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
from types import FrameType
from typing import Any

from rclpy._rclpy_pybind11 import SignalHandlerOptions as SignalHandlerOptions

_lock = threading.Lock()
_installed: dict[int, Any] = {}
# the handler interrupts the main thread anywhere, so another thread does the work
_received: queue.SimpleQueue[int] = queue.SimpleQueue()
_worker: threading.Thread | None = None
_BITS = ((signal.SIGINT, SignalHandlerOptions.SIGINT),
         (signal.SIGTERM, SignalHandlerOptions.SIGTERM))


def install_signal_handlers(
        options: SignalHandlerOptions = SignalHandlerOptions.ALL) -> None:
    """Install handlers; outside the main thread, where Python cannot, nothing happens."""
    global _worker
    if threading.current_thread() is not threading.main_thread():
        return
    with _lock:
        for number, bit in _BITS:
            if not options & bit or number in _installed:
                continue
            _installed[number] = signal.getsignal(number)
            signal.signal(number, _handle)
        if _installed and _worker is None:
            _worker = threading.Thread(target=_end_contexts, name='signals', daemon=True)
            _worker.start()


def get_current_signal_handlers_options() -> SignalHandlerOptions:
    """Return which handlers are installed."""
    return SignalHandlerOptions(sum(bit for number, bit in _BITS if number in _installed))


def uninstall_signal_handlers() -> None:
    """Put back what was there before; outside the main thread nothing happens."""
    if threading.current_thread() is not threading.main_thread():
        return
    with _lock:
        for number, previous in list(_installed.items()):
            # somebody may have put a handler of their own before ours
            if signal.getsignal(number) is _handle:
                signal.signal(number, signal.SIG_DFL if previous is None else previous)
            del _installed[number]


def _handle(number: int, frame: FrameType | None) -> None:
    _received.put(number)
    previous = _installed.get(number)
    if callable(previous):
        previous(number, frame)


def _end_contexts() -> None:
    from rclpy.context import _living

    while True:
        _received.get()
        with contextlib.suppress(Exception):
            for context in list(_living):
                context._invalidate()
