# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the camera is: TF at the image's stamp, for gravity and for the frame of the results."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from rclpy.node import Node
from std_msgs.msg import Header
from tf2_ros import Buffer, TransformListener

from instructsam_ros.bridge.transforms import TransformSource, TransformUnavailable
from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.perception.targets import TargetStatus

Pose = NDArray[np.float64]

# waiting helps only where TF is there but late
_LATE = ('too_new', 'no_data')


@dataclass(frozen=True)
class Location:
    """Poses at one stamp.

    Attributes:
        frame: in which results are given: the target frame, or else the camera's.
        to_frame: [4, 4], optical frame -> ``frame``; None when they are the same.
        gravity: [4, 4], optical frame -> a frame whose z points up; None when unknown.
        fixed: [4, 4], optical frame -> a frame in which objects rest; None when unknown.
        status: NO_TF when the target frame was asked for and cannot be reached.
    """

    frame: str
    to_frame: Pose | None = None
    gravity: Pose | None = None
    fixed: Pose | None = None
    status: TargetStatus = TargetStatus.OK


class Locator:
    """Looks the camera up in TF; listens to TF only when a frame is asked for."""

    def __init__(
        self, node: Node, settings: Callable[[], PerceptionSettings], notices: Notices
    ) -> None:
        """``settings`` gives the present parameters."""
        self._node = node
        self._settings = settings
        self._notices = notices
        self._buffer: Buffer | None = None
        self._listener: TransformListener | None = None
        self._source: TransformSource | None = None
        # how the last lookup of each frame failed
        self._failures: dict[str, str] = {}

    def listen(self) -> None:
        """Begin to listen if the parameters name a frame; called when they change too."""
        values = self._settings()
        if values.names_a_frame:
            self._begin()
        else:
            self._notices.forget('TF')

    def extrinsics(self, target: str, source: str) -> Pose:
        """Return [4, 4] from frame ``source`` to ``target``, two that are fixed to each other.

        Begins to listen to TF if need be. Raises TransformUnavailable.
        """
        self._begin()
        assert self._source is not None
        try:
            return self._source.pose(target, source, Time())
        except ValueError as error:  # a quaternion of zeros
            text = f'TF to {target!r} is unusable: {error}'
            raise TransformUnavailable('invalid', text) from None

    def _begin(self) -> None:
        if self._listener is None:
            self._buffer = Buffer()
            self._source = TransformSource(self._buffer)
            self._listener = TransformListener(self._buffer, self._node)

    def forget(self) -> None:
        """Drop what TF said, after time went back."""
        if self._buffer is not None:
            self._buffer.clear()

    def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.unregister()
        self._listener = self._buffer = self._source = None

    def locate(self, header: Header) -> Location:
        """Return where the camera of an image with this header was; waits at most tf_timeout."""
        values = self._settings()
        camera = header.frame_id
        troubles: list[str] = []
        poses: dict[str, Pose | None] = {'': None}
        for frame in (values.target_frame, values.up_frame, values.fixed_frame):
            if frame not in poses:
                poses[frame] = self._pose(frame, header, values.tf_timeout, troubles)
        if troubles:
            self._notices.report('TF', '; '.join(dict.fromkeys(troubles)))
        elif values.names_a_frame:
            self._notices.fine('TF', 'TF is there again')
        target, gravity, fixed = (
            poses[frame] for frame in (values.target_frame, values.up_frame, values.fixed_frame))
        if target is not None:
            return Location(values.target_frame, target, gravity, fixed)
        lost = TargetStatus.NO_TF if values.target_frame else TargetStatus.OK
        return Location(camera, None, gravity, fixed, lost)

    def _pose(
        self, frame: str, header: Header, timeout: float, troubles: list[str]
    ) -> Pose | None:
        if self._source is None:
            self.listen()
        assert self._source is not None
        # where TF lacks a frame, waiting would only slow every picture down
        if self._failures.get(frame, _LATE[0]) not in _LATE:
            timeout = 0.0
        try:
            pose = self._source.pose(frame, header.frame_id, header.stamp, timeout)
        except TransformUnavailable as error:
            self._failures[frame] = error.kind
            troubles.append(str(error))
            return None
        except ValueError as error:  # a quaternion of zeros
            troubles.append(f'TF to {frame!r} is unusable: {error}')
            return None
        self._failures.pop(frame, None)
        return pose
