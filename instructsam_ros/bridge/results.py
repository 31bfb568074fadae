# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Results and their messages: instances and targets, both ways.

Geometry is in the camera's optical frame inside the program. The functions that take
``transform`` [4, 4] bring it into the frame that their header names; None leaves it as it is.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from geometry_msgs.msg import Point, PoseWithCovariance, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from instructsam_ros.bridge import interfaces
from instructsam_ros.bridge.buffers import byte_array, bytes_of
from instructsam_ros.bridge.poses import matrix_to_pose, rotation_of
from instructsam_ros.perception.outlines import Outline, outline_of
from instructsam_ros.perception.pipeline import PerceptionResult
from instructsam_ros.perception.segmenter import Instance
from instructsam_ros.perception.targets import Target, TargetGeometry, TargetStatus

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_NO_GEOMETRY = TargetStatus.NO_DEPTH | TargetStatus.NO_CAMERA


@dataclass(frozen=True)
class ReceivedInstance:
    """An instance from a message; a ``perception.segmenter.Instance`` that has an id too.

    Attributes:
        id: as in the message.
        phrase, score: of the instance.
        box: x0, y0, x1, y1 in pixels, the rectangle around the mask.
        mask: bool [H, W], the whole picture.
    """

    id: int
    phrase: str
    score: float
    box: tuple[float, float, float, float]
    mask: Mask


def moved(targets: Sequence[Target], transform: Array | None) -> tuple[Target, ...]:
    """Return the targets with their geometry in another frame; None is the same frame."""
    if transform is None:
        return tuple(targets)
    return tuple(target.transformed(transform) for target in targets)


def identities(result: PerceptionResult) -> list[int]:
    """Return the id of each instance: its target's, or its place in the list from 1."""
    count = len(result.segmentation.instances)
    if len(result.targets) == count:
        return [target.id for target in result.targets]
    return list(range(1, count + 1))


def instance_array(
    result: PerceptionResult, header: Header, shape: tuple[int, int], instruction_id: int
) -> interfaces.InstanceArray:
    """Return the 2D result of a picture of ``shape`` (H, W); header: the picture's."""
    message = interfaces.InstanceArray()
    message.header = header
    message.instruction_id = instruction_id
    message.instruction = result.instruction
    message.answer = result.segmentation.answer
    message.height, message.width = int(shape[0]), int(shape[1])
    message.instances = [
        instance_message(identity, one, header, outline)
        for identity, one, outline in zip(
            identities(result), result.segmentation.instances, result.outlines, strict=True)
    ]
    return message


def instance_message(
    identity: int, one: Instance, header: Header, outline: Outline | None = None
) -> interfaces.Instance:
    """Return one instance, its mask cropped to the tight rectangle around it.

    ``outline`` is that of its mask, if it is known.
    """
    outline = outline or outline_of(one.mask)
    height, width = outline.mask.shape
    message = interfaces.Instance()
    message.id = identity
    message.phrase = one.phrase
    message.score = float(one.score)
    message.roi = RegionOfInterest(
        x_offset=outline.x, y_offset=outline.y, height=height, width=width)
    picture = Image()
    picture.header = header
    picture.height, picture.width, picture.step = height, width, width
    picture.encoding = 'mono8'
    if width:
        picture.data = byte_array(outline.mask * np.uint8(255))
    message.mask = picture
    return message


def target_array(
    result: PerceptionResult,
    header: Header,
    instruction_id: int,
    *,
    transform: Array | None = None,
    status: TargetStatus = TargetStatus.OK,
) -> interfaces.TargetArray:
    """Return the 3D result; header: the picture's stamp and the frame of the geometry.

    ``status`` is added to every target, such as NO_TF where the wanted frame is out of reach.
    """
    message = interfaces.TargetArray()
    message.header = header
    message.instruction_id = instruction_id
    message.targets = [
        target_message(target, status) for target in moved(result.targets, transform)
    ]
    return message


def target_message(
    target: Target, status: TargetStatus = TargetStatus.OK
) -> interfaces.Target:
    """Return one target; without geometry its numbers are zero and covariance[0] is -1."""
    message = interfaces.Target()
    message.id = target.id
    message.phrase = target.phrase
    message.score = float(target.score)
    message.status = int(target.status | status)
    message.visible_points = int(target.visible_points)
    message.valid_depth_ratio = float(target.valid_depth_ratio)
    geometry = target.geometry
    message.pose = pose_with_covariance(geometry)
    nowhere = np.zeros(3)
    message.size = _vector(nowhere if geometry is None else geometry.size)
    message.normal = _vector(nowhere if geometry is None else geometry.normal)
    message.centroid = _point(nowhere if geometry is None else geometry.centroid)
    return message


def pose_with_covariance(geometry: TargetGeometry | None) -> PoseWithCovariance:
    """Return the box's pose with its covariance.

    Without geometry it is the identity, and covariance[0] is -1, as in sensor_msgs.
    """
    message = PoseWithCovariance()
    if geometry is None:
        message.pose = matrix_to_pose(np.eye(4))
        covariance = np.zeros(36)
        covariance[0] = -1
        message.covariance = covariance
    else:
        message.pose = matrix_to_pose(geometry.pose)
        message.covariance = geometry.covariance.astype(np.float64).ravel()
    return message


def instances_of(message: interfaces.InstanceArray) -> tuple[ReceivedInstance, ...]:
    """Return the instances of a message, each mask as large as the picture.

    Raises ValueError for a mask that contradicts its rectangle or lies outside of the picture.
    """
    height, width = int(message.height), int(message.width)
    return tuple(_instance(one, height, width) for one in message.instances)


def message_outline(one: interfaces.Instance, shape: tuple[int, int]) -> Outline:
    """Return the outline of one instance of a message about a picture of ``shape`` (H, W).

    Raises ValueError like ``instances_of``.
    """
    x, y, mask = _cropped(one, *shape)
    # not everybody crops masks as tightly
    tight = outline_of(mask)
    return replace(tight, x=x + tight.x, y=y + tight.y)


def masks_of(message: interfaces.InstanceArray) -> list[Mask]:
    """Return the masks, bool [H, W] each. Raises ValueError like ``instances_of``."""
    return [one.mask for one in instances_of(message)]


def targets_of(
    message: interfaces.TargetArray, camera_position: Sequence[float] = (0.0, 0.0, 0.0),
    ids: Collection[int] | None = None,
) -> tuple[Target, ...]:
    """Return the targets of a message, geometry in the frame of its header.

    ``camera_position`` [3] in that frame gives the distances; the default is right for the
    optical frame. ``ids`` are those wanted, None: all. Raises ValueError for a pose that is none.
    """
    camera = np.asarray(camera_position, np.float64)
    return tuple(
        _target(one, camera) for one in message.targets if ids is None or one.id in ids)


def _instance(one: interfaces.Instance, height: int, width: int) -> ReceivedInstance:
    x, y, crop = _cropped(one, height, width)
    h, w = crop.shape
    mask = np.zeros((height, width), np.bool_)
    mask[y : y + h, x : x + w] = crop
    box = (float(x), float(y), float(x + w), float(y + h))
    return ReceivedInstance(int(one.id), str(one.phrase), float(one.score), box, mask)


def _cropped(one: interfaces.Instance, height: int, width: int) -> tuple[int, int, Mask]:
    """Return x, y and what is in the rectangle of an instance in a picture of that size."""
    roi, picture = one.roi, one.mask
    x, y, w, h = (int(v) for v in (roi.x_offset, roi.y_offset, roi.width, roi.height))
    if x + w > width or y + h > height:
        raise ValueError(
            f'instance {one.id}: its rectangle of {w}x{h} at ({x}, {y}) reaches beyond the '
            f'{width}x{height} picture: the publisher must give both in the same pixels'
        )
    mask = np.zeros((h, w), np.bool_)
    if w and h:
        data, step = bytes_of(picture.data), int(picture.step)
        if (int(picture.width), int(picture.height)) != (w, h) or step < w or (
            data.size < step * (h - 1) + w
        ):
            raise ValueError(
                f'instance {one.id}: its mask is {picture.width}x{picture.height} with '
                f'{data.size} bytes, its rectangle {w}x{h}: the mask must be cropped to it'
            )
        rows = np.lib.stride_tricks.as_strided(data, (h, w), (step, 1), writeable=False)
        np.not_equal(rows, 0, out=mask)
    return x, y, mask


def _target(one: interfaces.Target, camera: Array) -> Target:
    status = TargetStatus(int(one.status))
    geometry = None
    if not status & _NO_GEOMETRY:
        pose = np.eye(4)
        try:
            pose[:3, :3] = rotation_of(one.pose.pose.orientation)
        except ValueError as error:
            raise ValueError(f'target {one.id}: {error}') from None
        pose[:3, 3] = _numbers(one.pose.pose.position)
        centroid = _numbers(one.centroid)
        geometry = TargetGeometry(
            pose=pose,
            size=_numbers(one.size),
            centroid=centroid,
            normal=_numbers(one.normal),
            covariance=np.array(one.pose.covariance, np.float64).reshape(6, 6),
            distance=float(np.linalg.norm(centroid - camera)),
        )
    return Target(
        int(one.id),
        str(one.phrase),
        float(one.score),
        status,
        geometry,
        int(one.visible_points),
        float(one.valid_depth_ratio),
    )


def _vector(values: Array) -> Vector3:
    x, y, z = (float(value) for value in values)
    return Vector3(x=x, y=y, z=z)


def _point(values: Array) -> Point:
    x, y, z = (float(value) for value in values)
    return Point(x=x, y=y, z=z)


def _numbers(message: Point | Vector3) -> Array:
    return np.array([message.x, message.y, message.z], np.float64)
