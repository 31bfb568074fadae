# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""When the node's tracker begins anew."""

import threading
from collections.abc import Callable

from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.perception.tracking import Tracker


class Follower:
    """Keeps the node's one tracker, so that no id is given twice while the node lives."""

    def __init__(self, settings: Callable[[], PerceptionSettings]) -> None:
        """``settings`` gives the present parameters."""
        self._settings = settings
        self._tracker = Tracker()
        self._subject: tuple[int, str, str] | None = None
        self._restart = threading.Event()

    def restart(self) -> None:
        """Take what comes next for new; from any thread."""
        self._restart.set()

    def tracker(self, instruction_id: int, camera_frame: str) -> Tracker | None:
        """Return the tracker for the next picture, None when tracking is switched off.

        It begins anew when the instruction, the camera or the fixed frame is another one.
        """
        values = self._settings()
        if not values.tracking:
            self._subject = None
            return None
        subject = (instruction_id, camera_frame, values.fixed_frame)
        if subject != self._subject or self._restart.is_set():
            self._restart.clear()
            self._tracker.reset()
            self._subject = subject
        self._tracker.settings = values.tracker
        return self._tracker
