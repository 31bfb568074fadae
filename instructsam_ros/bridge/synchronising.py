# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which image, depth and camera_info belong together: the rules of the node, without its clock.

Time is given with every message, so that a bag is put together as the live node would have done.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from message_filters import ApproximateTimeSynchronizer, SimpleFilter

# stamps that go back by more belong to a new run of the camera or the bag
RESTART_NS = 1_000_000_000

# why an image made no frame
NO_DEPTH = 'no depth near it'
BEYOND_SLOP = 'depth farther away than sync_slop'
DEPTH_TAKEN = 'its depth belongs to another image'
DEPTH_LATE = 'its depth came too late'
SAME_STAMP = 'another image has the same stamp'
TOO_OLD = 'matched only after a newer frame'
# why a frame has no 3D
NO_DEPTH_TOPIC = 'no depth topic'
DEPTH_LOST = 'no depth for sync_patience'
NO_INFO = 'no camera_info yet'


@dataclass(frozen=True)
class SyncSettings:
    """As the node's parameters of these names.

    Attributes:
        sync_slop: stamps of image and depth differ by less than this, seconds.
        sync_queue_size: how many images and depth images are kept to wait for each other.
        sync_patience: after so many seconds without matching depth images go on without it.
    """

    sync_slop: float = 0.02
    sync_queue_size: int = 10
    sync_patience: float = 2.0


class FrameSynchronizer:
    """Puts messages together; gives every frame to ``on_frame(image, depth, info)`` at once.

    With depth a frame is complete with its depth image. If depth matches no image for
    ``sync_patience``, frames go on without it, until depth matches again. The camera_info of a
    frame is the newest that came before. Stamps that go back by more than a second begin anew.

    Attributes:
        images, depths, infos, frames: how many came, and how many frames they made.
        unmatched: reason -> images that made no frame; complete after ``finish``.
        flat: reason -> frames that have no depth or no camera_info.
        restarts: how often stamps went back.
    """

    def __init__(
        self,
        settings: SyncSettings,
        on_frame: Callable[[Any, Any, Any], None],
        *,
        has_depth: bool = True,
    ) -> None:
        """``has_depth``: somebody publishes depth; may be set anew at any time."""
        self._settings = settings
        self._on_frame = on_frame
        self.has_depth = has_depth
        self._patience_ns = round(settings.sync_patience * 1e9)
        self.images = self.depths = self.infos = self.frames = self.restarts = 0
        self.unmatched: Counter[str] = Counter()
        self.flat: Counter[str] = Counter()
        self._reset()

    def _reset(self) -> None:
        self._color, self._range = SimpleFilter(), SimpleFilter()
        synchronizer = ApproximateTimeSynchronizer(
            [self._color, self._range], self._settings.sync_queue_size, self._settings.sync_slop)
        synchronizer.registerCallback(self._on_pair)
        self._info: Any = None
        self._newest_ns: int | None = None
        self._unmatched_since: int | None = None
        self._is_flat = False
        self._pairs = 0
        self._ahead_ns: int | None = None
        self._delivered_ns = 0
        # stamps of images without a match so far, of all depth images, and of those matched
        self._waiting: dict[int, None] = {}
        self._depth_stamps: deque[int] = deque(maxlen=1000)
        self._taken: deque[int] = deque(maxlen=1000)

    def info(self, message: Any) -> None:
        """Take in a camera_info."""
        self.infos += 1
        self._info = message

    def depth(self, message: Any) -> None:
        """Take in a depth image."""
        self.depths += 1
        self._depth_stamps.append(stamp_ns(message))
        self._range.signalMessage(message)

    def image(self, message: Any, now_ns: int) -> None:
        """Take in an image that came at ``now_ns``; only differences of that time count."""
        self.images += 1
        stamp = stamp_ns(message)
        if self.goes_back(message):
            self.restart()
        self._newest_ns = stamp
        if not self.has_depth:
            self._deliver(message, None, NO_DEPTH_TOPIC)
            return
        if self._unmatched_since is None:
            self._unmatched_since = now_ns
        self._settle(stamp - 2 * self._patience_ns)
        if stamp in self._waiting:
            self.unmatched[SAME_STAMP] += 1
        self._waiting[stamp] = None
        pairs = self._pairs
        self._color.signalMessage(message)
        if self._pairs != pairs:
            return
        if now_ns - self._unmatched_since > self._patience_ns:
            self._is_flat = True
        if self._is_flat:
            self._waiting.pop(stamp, None)
            self._deliver(message, None, DEPTH_LOST)

    def goes_back(self, message: Any) -> bool:
        """Return whether an image's stamp is of a new run."""
        return self._newest_ns is not None and stamp_ns(message) < self._newest_ns - RESTART_NS

    def restart(self) -> None:
        """Forget what waits: time went back. The camera_info stays."""
        self.restarts += 1
        self._settle(None)
        info = self._info
        self._reset()
        self._info = info

    def finish(self) -> None:
        """Count the images that still wait as unmatched."""
        self._settle(None)

    def _on_pair(self, image: Any, depth: Any) -> None:
        self._unmatched_since = None
        self._is_flat = False
        self._pairs += 1
        stamp = stamp_ns(image)
        self._taken.append(stamp_ns(depth))
        waited = stamp in self._waiting
        self._waiting.pop(stamp, None)
        # in 2D the image went ahead of its depth; and late depth may match an old image
        if stamp != self._ahead_ns and stamp >= self._delivered_ns:
            self._deliver(image, depth, '')
        elif waited:
            self.unmatched[TOO_OLD] += 1

    def _deliver(self, image: Any, depth: Any, reason: str) -> None:
        self._delivered_ns = stamp_ns(image)
        self._ahead_ns = self._delivered_ns if depth is None else None
        self.frames += 1
        if depth is None:
            self.flat[reason] += 1
        elif self._info is None:
            self.flat[NO_INFO] += 1
        self._on_frame(image, depth, self._info)

    def _settle(self, before_ns: int | None) -> None:
        """Give up the images stamped before a time (None: all) and count why."""
        for stamp in [one for one in self._waiting if before_ns is None or one < before_ns]:
            del self._waiting[stamp]
            self.unmatched[self._reason(stamp)] += 1

    def _reason(self, stamp: int) -> str:
        slop_ns = round(self._settings.sync_slop * 1e9)
        nearest = min((abs(one - stamp) for one in self._depth_stamps), default=None)
        if nearest is None or nearest > self._patience_ns:
            return NO_DEPTH
        if nearest >= slop_ns:
            return BEYOND_SLOP
        free = set(self._depth_stamps).difference(self._taken)
        return DEPTH_LATE if any(abs(one - stamp) < slop_ns for one in free) else DEPTH_TAKEN


def stamp_ns(message: Any) -> int:
    """Return the stamp of a message's header in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
