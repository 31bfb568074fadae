# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From messages to a Frame: what cannot be used is left out and said, not fatal."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from instructsam_ros.bridge.cameras import camera_for_image
from instructsam_ros.bridge.images import compressed_to_array, depth_to_metres, image_to_array
from instructsam_ros.nodes.alignment import DepthAligner, DepthSource, Extrinsics
from instructsam_ros.nodes.inputs import AnyImage, InputFrame
from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.frame import Frame


class FrameDecoder:
    """Decodes on the thread that calls it, which is not one of the executor's."""

    KINDS = ('camera_info', 'depth image', DepthAligner.KIND)

    def __init__(
        self,
        settings: Callable[[], PerceptionSettings],
        notices: Notices,
        extrinsics: Extrinsics | None = None,
        depth_info_topic: str = 'depth_camera_info',
    ) -> None:
        """``settings`` gives the present parameters, ``extrinsics`` where cameras are in TF."""
        self._settings = settings
        self._notices = notices
        self._aligner = DepthAligner(settings, notices, extrinsics, depth_info_topic)

    def decode(self, source: InputFrame) -> Frame:
        """Return the frame, without depth or camera where they are missing or unusable.

        Raises ValueError when the image itself is unusable.
        """
        image = picture(source.image)
        shape = image.shape[0], image.shape[1]
        camera = self._camera(source, shape)
        depth = self._depth(source, shape, camera)
        return Frame(image, depth, camera, stamp=source.stamp_ns * 1e-9)

    def _camera(self, source: InputFrame, shape: tuple[int, int]) -> CameraModel | None:
        if source.info is None:
            return None
        try:
            camera = camera_for_image(
                source.info, shape[0], shape[1], rectified=self._settings().rectified)
        except ValueError as error:
            self._notices.report('camera_info', f'{error}; targets have no 3D')
            return None
        self._notices.fine('camera_info', 'camera_info is usable again')
        return camera

    def _depth(
        self, source: InputFrame, shape: tuple[int, int], camera: CameraModel | None
    ) -> NDArray[np.float32] | None:
        if source.depth is None:
            return None
        try:
            depth = depth_to_metres(source.depth)
            if not np.isfinite(depth).any():
                raise ValueError('the depth image has no valid pixel: check lens and range')
            frames = source.depth.header.frame_id, source.image.header.frame_id
            aligned = self._aligner.align(
                depth, shape, camera, DepthSource(*frames, source.depth_info))
        except ValueError as error:
            self._notices.report('depth image', f'{error}; targets have no 3D')
            return None
        self._notices.fine('depth image', 'depth images are usable again')
        return aligned


def picture(message: AnyImage) -> NDArray[np.uint8]:
    """Return an image message, raw or compressed, as RGB [H, W, 3]. Raises ValueError."""
    if isinstance(message, CompressedImage):
        return compressed_to_array(message)
    return image_to_array(message)
