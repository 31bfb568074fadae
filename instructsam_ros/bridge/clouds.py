# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The targets' points as a PointCloud2: x y z rgb label."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from instructsam_ros.bridge.buffers import byte_array, bytes_of
from instructsam_ros.bridge.pictures import label_map
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.outlines import common_window
from instructsam_ros.perception.pipeline import PerceptionResult

# rgb as PCL and RViz read it: 0x00RRGGBB in the bits of a float
_POINT = np.dtype(
    [('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('rgb', '<u4'), ('label', '<u4')]
)
_FIELDS = (
    ('x', 0, PointField.FLOAT32),
    ('y', 4, PointField.FLOAT32),
    ('z', 8, PointField.FLOAT32),
    ('rgb', 12, PointField.FLOAT32),
    ('label', 16, PointField.UINT32),
)


def point_cloud(
    result: PerceptionResult,
    header: Header,
    image: NDArray[np.uint8],
    depth: NDArray[np.float32] | None,
    camera: CameraModel | None,
    *,
    transform: NDArray[np.float64] | None = None,
    labels: NDArray[np.uint16] | None = None,
) -> PointCloud2:
    """Return the points under the masks, in metres, with the picture's colours.

    ``label`` is the number in the label image. Pixels without valid depth are left out; without
    depth or camera the cloud is empty. ``image`` uint8 RGB [H, W, 3], ``depth`` float32 [H, W]
    metres with NaN; ``transform`` [4, 4] optical frame -> the header's frame; ``labels`` the
    ``label_map``, if it is known. Raises ValueError when sizes differ.
    """
    if depth is None or camera is None:
        return _message(np.empty(0, _POINT), header)
    if depth.shape != image.shape[:2] or (camera.height, camera.width) != depth.shape:
        raise ValueError(
            f'image {image.shape[:2]}, depth {depth.shape} and camera '
            f'{(camera.height, camera.width)} differ in size: use depth registered to the image'
        )
    labels = label_map(result, depth.shape) if labels is None else labels
    # most of the picture is background
    window = common_window(result.outlines)
    usable = labels[window] > 0
    usable &= np.isfinite(depth[window])
    if camera.distortion_model:
        usable &= np.isfinite(camera.rays()[window][..., 0])
    chosen = np.flatnonzero(usable)
    # from places in the window to places in the picture
    chosen += chosen // max(usable.shape[1], 1) * (depth.shape[1] - usable.shape[1])
    chosen += window[0].start * depth.shape[1] + window[1].start
    z, rays = depth.ravel().take(chosen), camera.rays().reshape(-1, 2).take(chosen, axis=0)
    # coordinate by coordinate: numpy takes several times as long over rows of three
    xyz = np.empty((len(z), 3), np.float32)
    np.multiply(rays[:, 0], z, out=xyz[:, 0])
    np.multiply(rays[:, 1], z, out=xyz[:, 1])
    xyz[:, 2] = z
    points = np.empty(len(z), _POINT)
    if transform is not None:
        xyz = xyz @ transform[:3, :3].T.astype(np.float32)
    points['x'], points['y'], points['z'] = xyz.T
    if transform is not None:
        for name, offset in zip('xyz', transform[:3, 3].astype(np.float32), strict=True):
            points[name] += offset
    red, green, blue = image.reshape(-1, 3).take(chosen, axis=0).T.astype(np.uint32)
    points['rgb'] = red << 16 | green << 8 | blue
    points['label'] = labels.ravel().take(chosen)
    return _message(points, header)


def read_cloud(message: PointCloud2) -> NDArray[Any]:
    """Return the points of such a cloud as a structured array; ``rgb`` as 0x00RRGGBB.

    Raises ValueError for a cloud with other fields.
    """
    fields = tuple((f.name, int(f.offset), int(f.datatype)) for f in message.fields)
    if fields != _FIELDS or message.point_step != _POINT.itemsize or message.is_bigendian:
        names = ' '.join(name for name, _, _ in fields)
        raise ValueError(f'the cloud has fields "{names}", expected x y z rgb label')
    return bytes_of(message.data).view(_POINT)


def _message(points: NDArray[Any], header: Header) -> PointCloud2:
    message = PointCloud2()
    message.header = header
    message.height, message.width = 1, len(points)
    message.fields = [
        PointField(name=name, offset=offset, datatype=datatype, count=1)
        for name, offset, datatype in _FIELDS
    ]
    message.is_bigendian = False
    message.point_step = _POINT.itemsize
    message.row_step = _POINT.itemsize * len(points)
    message.is_dense = True
    message.data = byte_array(points)
    return message
