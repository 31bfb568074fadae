# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From topics to complete frames: an image, the depth that matches it, the camera's calibration."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from message_filters import ApproximateTimeSynchronizer, SimpleFilter
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from instructsam_ros.bridge.qos import input_qos, subscription_options
from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.settings import PerceptionSettings

AnyImage: TypeAlias = Image | CompressedImage

# an image stream that pauses for longer has stopped
_STALE = 2.0
# stamps that go back by more belong to a new run of the camera or the bag
_RESTART_NS = 1_000_000_000
_RECENT = 100


@dataclass(frozen=True)
class InputFrame:
    """Messages of one moment.

    Attributes:
        image: the picture.
        depth, info: what belongs to it, None where there is none.
        depth_info: the calibration of the camera that took the depth, if it has one of its own.
        is_live: it came from the camera, so that TF knows where it was taken.
    """

    image: AnyImage
    depth: AnyImage | None = None
    info: CameraInfo | None = None
    is_live: bool = True
    depth_info: CameraInfo | None = None

    @property
    def stamp_ns(self) -> int:
        """Stamp of the image in nanoseconds."""
        return _nanoseconds(self.image)


@dataclass(frozen=True)
class InputCounters:
    """How many messages came, and how many frames they made."""

    images: int = 0
    depths: int = 0
    infos: int = 0
    frames: int = 0
    flat_frames: int = 0


class FrameInputs:
    """Subscribes while started, and gives every complete frame to ``on_frame``.

    With ``use_depth`` a frame is complete with its depth image. If depth is missing, or matches
    no image for ``sync_patience``, frames go on without it, until depth matches again. All
    callbacks are in one exclusive group; ``on_frame`` must return at once.
    """

    def __init__(
        self,
        node: Node,
        settings: Callable[[], PerceptionSettings],
        notices: Notices,
        on_frame: Callable[[InputFrame], None],
    ) -> None:
        """Resolve the topics; nothing is subscribed yet."""
        self._node = node
        self._settings = settings
        self._notices = notices
        self._on_frame = on_frame
        self._group = MutuallyExclusiveCallbackGroup()
        values = settings()
        image, depth = node.resolve_topic_name('image'), node.resolve_topic_name('depth')
        # image_transport appends the transport to the base topic after remapping it
        if values.image_transport == 'compressed':
            image = node.resolve_topic_name(image + '/compressed')
        if values.depth_transport == 'compressedDepth':
            depth = node.resolve_topic_name(depth + '/compressedDepth')
        self.image_topic, self.depth_topic = image, depth
        self.info_topic = node.resolve_topic_name('camera_info')
        self.depth_info_topic = node.resolve_topic_name('depth_camera_info')
        self._subscriptions: list[Subscription] = []
        self._timer: Timer | None = None
        self.counters = InputCounters()
        self.newest: InputFrame | None = None
        self._info: CameraInfo | None = None
        self._depth_info: CameraInfo | None = None
        self._reset()

    def start(self) -> None:
        """Subscribe."""
        values = self._settings()
        self._reset()
        self._started = time.monotonic()
        self._subscribe(CameraInfo, self.info_topic, self._on_info)
        compressed = values.image_transport == 'compressed'
        self._subscribe(CompressedImage if compressed else Image, self.image_topic, self._on_image)
        if values.use_depth:
            compressed = values.depth_transport == 'compressedDepth'
            self._subscribe(
                CompressedImage if compressed else Image, self.depth_topic, self._on_depth)
            self._subscribe(CameraInfo, self.depth_info_topic, self._on_depth_info)
        # steady: it must also tell of missing images while simulated time stands still
        self._timer = self._node.create_timer(
            1.0, self._check, callback_group=self._group,
            clock=Clock(clock_type=ClockType.STEADY_TIME))

    def stop(self) -> None:
        """Unsubscribe and forget the frames."""
        gone, self._subscriptions = self._subscriptions, []
        for subscription in gone:
            self._node.destroy_subscription(subscription)
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None
        self.newest = self._info = self._depth_info = None
        self._reset()
        self._notices.forget('image stream', 'depth stream', 'camera_info stream')

    def restart_sync(self) -> None:
        """Forget what waits for a match, after time went back."""
        self._restart = True

    def _check(self) -> None:
        """Report streams that are missing."""
        if not self._subscriptions:
            return
        now = time.monotonic()
        self._depth_publishers = self._count_publishers(self.depth_topic)
        self._check_images(now)
        if self.counters.images and self._info is None and now - self._started > _STALE:
            self._notices.report(
                'camera_info stream',
                f'no camera_info on {self.info_topic} ({self._publishers(self.info_topic)}): '
                "targets have no 3D; remap `camera_info` to the topic of the image's calibration")
        elif self._info is not None:
            self._notices.fine('camera_info stream', f'camera_info comes on {self.info_topic}')
        if self._settings().use_depth:
            self._check_depth(now)

    def _reset(self) -> None:
        self._color, self._range = SimpleFilter(), SimpleFilter()
        values = self._settings()
        synchronizer = ApproximateTimeSynchronizer(
            [self._color, self._range], values.sync_queue_size, values.sync_slop)
        synchronizer.registerCallback(self._on_pair)
        self._restart = False
        self._unmatched_since: float | None = None
        self._depth_publishers = 0
        self._last_image = self._last_depth = self._started = time.monotonic()
        self._image_stamps: deque[int] = deque(maxlen=_RECENT)
        self._depth_stamps: deque[int] = deque(maxlen=_RECENT)
        self._last_pair = -math.inf
        self._pairs = 0
        self._ahead_ns: int | None = None
        self._delivered_ns = 0
        self._flat = False

    def _subscribe(self, kind: type, topic: str, callback: Callable[..., None]) -> None:
        self._subscriptions.append(self._node.create_subscription(
            kind, topic, callback, callback_group=self._group,
            **subscription_options(self._node, topic, input_qos())))

    def _on_info(self, message: CameraInfo) -> None:
        self._count(infos=1)
        self._info = message

    def _on_depth_info(self, message: CameraInfo) -> None:
        self._depth_info = message

    def _on_image(self, message: AnyImage) -> None:
        self._count(images=1)
        now, stamp = time.monotonic(), _nanoseconds(message)
        if self._restart or (self._image_stamps and stamp < self._image_stamps[-1] - _RESTART_NS):
            # the synchroniser would keep the frames of the future and drop those of now
            self._reset()
            self._depth_publishers = self._count_publishers(self.depth_topic)
        self._last_image = now
        self._image_stamps.append(stamp)
        if not self._settings().use_depth:
            self._deliver(message, None)
            return
        if self._unmatched_since is None:
            self._unmatched_since = now
        pairs = self._pairs
        self._color.signalMessage(message)
        if self._pairs != pairs:
            return
        if now - self._unmatched_since > self._settings().sync_patience:
            self._flat = True
        if self._flat or not self._is_depth_published():
            self._deliver(message, None)

    def _on_depth(self, message: AnyImage) -> None:
        self._count(depths=1)
        self._last_depth = time.monotonic()
        self._depth_stamps.append(_nanoseconds(message))
        self._range.signalMessage(message)

    def _on_pair(self, image: AnyImage, depth: AnyImage) -> None:
        self._unmatched_since = None
        self._flat = False
        self._pairs += 1
        # those that match nothing are left: what to tell of in a warning
        self._depth_stamps.clear()
        self._last_pair = time.monotonic()
        stamp = _nanoseconds(image)
        # in 2D the image went ahead of its depth; and late depth may match an old image
        if stamp != self._ahead_ns and stamp >= self._delivered_ns:
            self._deliver(image, depth)

    def _deliver(self, image: AnyImage, depth: AnyImage | None) -> None:
        if not self._subscriptions:
            return
        self._delivered_ns = _nanoseconds(image)
        self._ahead_ns = self._delivered_ns if depth is None else None
        self._count(frames=1, flat_frames=depth is None)
        self.newest = frame = InputFrame(image, depth, self._info, depth_info=self._depth_info)
        self._on_frame(frame)

    def _is_depth_published(self) -> bool:
        # asked for every image until somebody does; `_check` keeps it up to date
        if not self._depth_publishers:
            self._depth_publishers = self._count_publishers(self.depth_topic)
        return self._depth_publishers > 0

    def _check_images(self, now: float) -> None:
        silent = now - self._last_image
        if silent > _STALE:
            self._notices.report(
                'image stream',
                f'no image on {self.image_topic} for {silent:.0f} s ({self._missing_images()})')
        else:
            self._notices.fine('image stream', f'images come on {self.image_topic}')

    def _check_depth(self, now: float) -> None:
        """Report why images have no depth."""
        patience = self._settings().sync_patience
        if now - self._last_pair < patience:
            self._notices.fine('depth stream', f'depth comes on {self.depth_topic}: 3D again')
            return
        waiting = self._unmatched_since
        if waiting is not None and now - waiting > patience and now - self._last_image < _STALE:
            self._notices.report('depth stream', f'{self._missing_depth(now)}; results are 2D only')

    def _missing_images(self) -> str:
        publishers = self._publishers(self.image_topic)
        if not self._count_publishers(self.image_topic):
            return f'{publishers}: start the camera, or remap `image`'
        return (f'{publishers}: the camera stands still, or large pictures get lost on the way; '
                'then use image_transport compressed, or the parameter '
                f'qos_overrides.{self.image_topic}.subscription.reliability: reliable')

    def _missing_depth(self, now: float) -> str:
        if not self._depth_publishers:
            return (f'nobody publishes depth on {self.depth_topic}: remap `depth` to depth aligned '
                    'to the image, or set use_depth to false')
        if now - self._last_depth > self._settings().sync_patience or not self._depth_stamps:
            return (f'no depth on {self.depth_topic} for {now - self._last_depth:.1f} s '
                    f'({self._publishers(self.depth_topic)}): check the camera driver')
        gap_ms, slop_ms = self._median_gap_ns() * 1e-6, self._settings().sync_slop * 1e3
        if abs(gap_ms) >= slop_ms:
            side = 'after' if gap_ms > 0 else 'before'
            return (f'stamps of depth and image miss each other: the nearest depth is '
                    f'{abs(gap_ms):.1f} ms {side} its image, sync_slop is {slop_ms:.1f} ms; raise '
                    'sync_slop, or let the driver synchronise both')
        return (f'depth on {self.depth_topic} comes too late for its image, after more than '
                f'{self._settings().sync_queue_size} newer ones: raise sync_queue_size')

    def _median_gap_ns(self) -> int:
        """How far depth is from the nearest image, as a rule; positive when it is later."""
        gaps = sorted(
            (min((depth - image for image in self._image_stamps), key=abs)
             for depth in self._depth_stamps), key=abs)
        return gaps[len(gaps) // 2]

    def _count_publishers(self, topic: str) -> int:
        return int(self._node.count_publishers(topic))

    def _publishers(self, topic: str) -> str:
        count = self._count_publishers(topic)
        return f'{count or "no"} publisher{"" if count == 1 else "s"}'

    def _count(self, **more: int) -> None:
        # only ever called in the one callback group
        counters = self.counters
        self.counters = replace(
            counters, **{name: getattr(counters, name) + count for name, count in more.items()})


def _nanoseconds(message: AnyImage) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
