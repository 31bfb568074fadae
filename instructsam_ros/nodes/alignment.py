# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth that another camera took, brought into the picture before anybody looks at it."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo

from instructsam_ros.bridge.cameras import camera_for_image
from instructsam_ros.bridge.transforms import TransformUnavailable
from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.registration import DepthRegistration

DepthImage = NDArray[np.float32]
Pose = NDArray[np.float64]

# target frame, source frame -> [4, 4]; raises TransformUnavailable
Extrinsics = Callable[[str, str], Pose]

# seconds after the first question in which static TF has not arrived yet as a rule
_GRACE = 2.0


@dataclass(frozen=True)
class DepthSource:
    """Where a depth image comes from: frames of depth and picture, and the depth's calibration."""

    frame: str
    picture_frame: str
    info: CameraInfo | None


class DepthAligner:
    """Registers depth to the picture where it is not; one per node, for it keeps what it made."""

    KIND = 'depth registration'

    def __init__(
        self,
        settings: Callable[[], PerceptionSettings],
        notices: Notices,
        extrinsics: Extrinsics | None,
        info_topic: str,
    ) -> None:
        """``settings`` gives the present parameters; without ``extrinsics`` there is no TF."""
        self._settings = settings
        self._notices = notices
        self._extrinsics = extrinsics
        self._info_topic = info_topic
        self._known: dict[tuple[str, str], Pose] = {}
        self._asked: float | None = None
        self._registration: DepthRegistration | None = None

    def align(
        self, depth: DepthImage, shape: tuple[int, int], camera: CameraModel | None,
        source: DepthSource,
    ) -> DepthImage | None:
        """Return depth for each pixel of a picture of ``shape`` (H, W); None if that cannot be.

        ``depth`` float32 metres; ``camera`` of the picture. What is missing is reported once.
        Raises ValueError for sizes and calibrations that do not fit each other.
        """
        if not self._is_needed(depth, shape, source):
            self._notices.forget(self.KIND)
            return _resized(depth, shape)
        # without it there is no 3D either way, and that is reported already
        if camera is None:
            return None
        missing = ''
        if source.info is None:
            missing = f'no calibration of the depth camera comes on {self._info_topic}'
        else:
            try:
                pose = self._pose(source)
                registered = self._registered(depth, camera, source.info, pose)
                self._notices.fine(self.KIND, 'depth can be registered again')
                return registered
            except TransformUnavailable as error:
                missing = str(error)
        now = time.monotonic()
        self._asked = now if self._asked is None else self._asked
        if now - self._asked > _GRACE:
            self._notices.report(self.KIND, (
                f'depth ({source.frame or "no frame"}, {depth.shape[1]}x{depth.shape[0]}) is not '
                f'aligned to the picture ({source.picture_frame or "no frame"}, '
                f'{shape[1]}x{shape[0]}), and cannot be: {missing}; remap `depth` to depth that '
                'the driver aligns, or `depth_camera_info` to the calibration of this one and '
                'have the driver publish TF between both cameras; if it is aligned all the same, '
                'set depth_registration to never; targets have no 3D'))
        return None

    def _is_needed(
        self, depth: DepthImage, shape: tuple[int, int], source: DepthSource
    ) -> bool:
        wanted = self._settings().depth_registration
        if wanted != 'auto':
            return wanted == 'always'
        other_frame = source.frame != source.picture_frame and source.frame and source.picture_frame
        return bool(other_frame) or not _has_aspect(depth, shape)

    def _pose(self, source: DepthSource) -> Pose:
        frames = source.picture_frame, source.frame
        if frames[0] == frames[1] or not all(frames):
            return np.eye(4)
        # cameras of one housing: asked once
        if frames not in self._known:
            if self._extrinsics is None:
                raise TransformUnavailable('no_data', 'there is no TF')
            self._known[frames] = self._extrinsics(*frames)
        return self._known[frames]

    def _registered(
        self, depth: DepthImage, camera: CameraModel, info: CameraInfo, pose: Pose
    ) -> DepthImage:
        height, width = depth.shape
        depth_camera = camera_for_image(
            info, height, width, rectified=self._settings().rectified)
        made = self._registration
        if made is None or (made.depth_camera, made.camera) != (depth_camera, camera) or (
                not np.array_equal(made.transform, pose)):
            made = self._registration = DepthRegistration(depth_camera, camera, pose)
        return made(depth)


def _has_aspect(depth: DepthImage, shape: tuple[int, int]) -> bool:
    """Whether depth has the picture's aspect ratio, to a pixel."""
    (height, width), (rows, columns) = depth.shape, shape
    return abs(width * rows - height * columns) <= max(rows, columns)


def _resized(depth: DepthImage, shape: tuple[int, int]) -> DepthImage:
    """Aligned depth as large as the picture; nearest, since a mean of two depths is neither."""
    if depth.shape == shape:
        return depth
    if not _has_aspect(depth, shape):
        raise ValueError(
            f'depth is {depth.shape[1]}x{depth.shape[0]}, the image {shape[1]}x{shape[0]}, '
            'another aspect ratio: use depth registered to the colour image, or set '
            'depth_registration to auto')
    return np.asarray(
        cv2.resize(depth, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST), np.float32)
