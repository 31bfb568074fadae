# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfo messages and camera models (REP-104)."""

from dataclasses import replace

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from instructsam_ros.perception.camera import CameraModel


def camera_model(info: CameraInfo, *, rectified: bool = False) -> CameraModel:
    """Return the camera of the images that come with ``info``: region of interest, then binning.

    ``rectified`` takes P, for rectified images; else K and D, for raw ones. Raises ValueError
    naming cause and mend, also for a camera without calibration.
    """
    name = info.header.frame_id or 'the camera'
    letter, matrix = ('P', info.p) if rectified else ('K', info.k)
    if not any(matrix):
        mend = (
            'set `rectified` to false, or have the driver publish P'
            if rectified and any(info.k)
            else 'calibrate the camera, or have its driver load its calibration'
        )
        raise ValueError(f'camera_info of {name} has an all-zero {letter}: {mend}')
    if rectified:
        full = CameraModel.from_p(matrix, info.width, info.height)
    else:
        full = CameraModel.from_k(
            matrix,
            info.width,
            info.height,
            d=list(info.d),
            distortion_model=info.distortion_model or 'plumb_bob',
        )
    return _binned(_cropped(full, info, name), info, name)


def camera_for_image(
    info: CameraInfo, height: int, width: int, *, rectified: bool = False
) -> CameraModel:
    """Return the camera of an image of ``height`` x ``width`` pixels that comes with ``info``.

    An image of another size but the same aspect ratio counts as resized. Raises ValueError like
    ``camera_model``, and for another aspect ratio.
    """
    return camera_model(info, rectified=rectified).scaled(width, height)


def camera_info(camera: CameraModel, header: Header) -> CameraInfo:
    """Return the CameraInfo message of a camera: K, D and, as of a single camera, R and P."""
    message = CameraInfo()
    message.header = header
    message.width, message.height = camera.width, camera.height
    message.distortion_model = camera.distortion_model or 'plumb_bob'
    message.d = [float(value) for value in camera.distortion or (0.0,) * 5]
    fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
    message.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def _cropped(camera: CameraModel, info: CameraInfo, name: str) -> CameraModel:
    """Apply the region of interest, given in unbinned pixels; all zero means the whole image."""
    roi = info.roi
    if not (roi.width and roi.height):
        return camera
    if roi.x_offset + roi.width > camera.width or roi.y_offset + roi.height > camera.height:
        raise ValueError(
            f'camera_info of {name} has a region of interest of {roi.width}x{roi.height} at '
            f'({roi.x_offset}, {roi.y_offset}), beyond its {camera.width}x{camera.height} image: '
            'give width, height and roi in unbinned pixels'
        )
    return camera.cropped(int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height))


def _binned(camera: CameraModel, info: CameraInfo, name: str) -> CameraModel:
    """Apply binning; 0 means 1. Pixel centres are whole numbers, so centres move by half."""
    x, y = max(int(info.binning_x), 1), max(int(info.binning_y), 1)
    if x == y == 1:
        return camera
    if camera.width < x or camera.height < y:
        raise ValueError(
            f'camera_info of {name} has binning {x}x{y}, more than its '
            f'{camera.width}x{camera.height} pixels: give width and height without binning'
        )
    return replace(
        camera,
        width=camera.width // x,
        height=camera.height // y,
        fx=camera.fx / x,
        fy=camera.fy / y,
        cx=(camera.cx + 0.5) / x - 0.5,
        cy=(camera.cy + 0.5) / y - 0.5,
    )
