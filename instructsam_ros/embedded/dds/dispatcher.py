# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One thread per participant that waits for everything and calls back.

Cyclone DDS could call back itself, from its receiving threads; but those would then wait for
Python's lock, and with them the whole network side of the process.
"""

from __future__ import annotations

import ctypes as ct
import itertools
import logging
import threading
from collections.abc import Callable

from instructsam_ros.embedded.dds import native

_log = logging.getLogger(__name__)
_WAKE = 0  # what the waitset reports for the condition that wakes the thread
_AT_ONCE = 64


class Dispatcher:
    """Calls back when an entity's status changes; callbacks must return at once."""

    def __init__(self, participant: int) -> None:
        self._waitset = native.check(native.create_waitset(participant), 'making a waitset')
        self._guard = native.check(native.create_guard(participant), 'making a condition')
        self._numbers = itertools.count(_WAKE + 1)
        self._watched: dict[int, tuple[int, int, Callable[[int], None]]] = {}
        self._lock = threading.Lock()
        self._closed = False
        native.check(native.waitset_attach(self._waitset, self._guard, _WAKE), 'waiting')
        self._thread = threading.Thread(target=self._run, name='dds', daemon=True)
        self._thread.start()

    def watch(self, entity: int, mask: int, callback: Callable[[int], None]) -> int:
        """Call ``callback(bits)`` when bits of ``mask`` come up in an entity's status.

        Changes that come quickly may be reported by one call. Returns a number for `forget`.
        """
        native.check(native.set_status_mask(entity, mask), 'watching a status')
        with self._lock:
            number = next(self._numbers)
            self._watched[number] = entity, mask, callback
        native.check(native.waitset_attach(self._waitset, entity, number), 'waiting')
        return number

    def forget(self, number: int) -> None:
        """End a watch; a callback that is running at this moment is not waited for."""
        with self._lock:
            entity, _, _ = self._watched.pop(number, (0, 0, None))
        if entity:
            native.waitset_detach(self._waitset, entity)

    def close(self) -> None:
        """End the thread, unless called by it, and forget everything."""
        with self._lock:
            self._closed = True
            self._watched.clear()
        native.set_guard(self._guard, True)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        found = (ct.c_ssize_t * _AT_ONCE)()
        status = ct.c_uint32()
        while not self._closed:
            count = native.waitset_wait(self._waitset, ct.byref(found), _AT_ONCE, native.INFINITY)
            if count < 0:
                if not self._closed:
                    _log.error('DDS: waiting for data failed (%d); nothing more is received', count)
                return
            for number in found[:min(count, _AT_ONCE)]:
                with self._lock:
                    entity, mask, callback = self._watched.get(number, (0, 0, None))
                # taking the status first: what comes after it wakes us again
                if callback is None or native.take_status(entity, ct.byref(status), mask) < 0:
                    continue
                try:
                    callback(status.value)
                except Exception:
                    _log.exception('DDS: a callback failed')
