# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the camera is, by the TF of a bag."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.time import Time

from instructsam_ros.bridge.transforms import TransformSource, TransformUnavailable

Pose = NDArray[np.float64]


class Placer:
    """Finds the camera's poses; what is missing is told once and left out."""

    def __init__(
        self, transforms: TransformSource, parents: Mapping[str, str], target_frame: str,
        gravity_frame: str, warn: Callable[[str], None],
    ) -> None:
        """``parents`` are those of TF's frames, kept up to date by whoever fills ``transforms``.

        Frames are named as in ``ReplayOptions``, '' for those to be found.
        """
        self._transforms, self._parents = transforms, parents
        self._target_frame, self._gravity_frame = target_frame, gravity_frame
        self._warn = warn

    def locate(self, header: Any) -> tuple[Pose | None, Pose | None]:
        """Return the camera's pose [4, 4] in a frame with z up, and in the target frame.

        ``header`` is the picture's. None where TF does not tell, or no target frame is wanted.
        """
        up = self._gravity_frame or self._target_frame or root(self._parents, header.frame_id)
        gravity = self._pose(up, header) if up else None
        if not self._target_frame:
            return gravity, None
        if self._target_frame == up:
            return gravity, gravity
        return gravity, self._pose(self._target_frame, header)

    def extrinsics(self, target: str, source: str) -> Pose:
        """Return [4, 4] from frame ``source`` to ``target``, two that are fixed to each other.

        Raises TransformUnavailable.
        """
        try:
            return self._transforms.pose(target, source, Time())
        except ValueError as error:  # a quaternion of zeros
            text = f'TF to {target!r} is unusable: {error}'
            raise TransformUnavailable('invalid', text) from None

    def _pose(self, frame: str, header: Any) -> Pose | None:
        try:
            return self._transforms.pose(frame, header.frame_id, header.stamp)
        except (TransformUnavailable, ValueError) as error:
            self._warn(f'TF: {error}')
            return None


def root(parents: Mapping[str, str], frame: str) -> str:
    """Return the root of the tree that a frame is in, '' for a frame without a parent."""
    seen = {frame}
    while (parent := parents.get(frame)) is not None and parent not in seen:
        frame = parent
        seen.add(frame)
    return frame if len(seen) > 1 else ''
