# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Results as vision_msgs (Humble's and later fields)."""

import numpy as np
from numpy.typing import NDArray
from std_msgs.msg import Header
from vision_msgs.msg import (
    BoundingBox2D,
    BoundingBox3D,
    Detection2D,
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    ObjectHypothesisWithPose,
)

from instructsam_ros.bridge.results import (
    identities,
    moved,
    pose_with_covariance,
)
from instructsam_ros.perception.pipeline import PerceptionResult


def detections_2d(result: PerceptionResult, header: Header) -> Detection2DArray:
    """Return one detection per instance: the tight rectangle around its mask, in pixels.

    The centre is that of the rectangle's edges (x offset + width / 2); class_id is the phrase, id
    the instance's number; the hypothesis has no pose.
    """
    message = Detection2DArray()
    message.header = header
    for identity, one, outline in zip(
        identities(result), result.segmentation.instances, result.outlines, strict=True
    ):
        height, width = outline.mask.shape
        box = BoundingBox2D()
        box.center.position.x = outline.x + width / 2
        box.center.position.y = outline.y + height / 2
        box.size_x, box.size_y = float(width), float(height)
        detection = Detection2D()
        detection.header = header
        detection.id = str(identity)
        detection.bbox = box
        detection.results = [_hypothesis(one.phrase, one.score)]
        message.detections.append(detection)
    return message


def detections_3d(
    result: PerceptionResult, header: Header, *, transform: NDArray[np.float64] | None = None
) -> Detection3DArray:
    """Return one detection per target that has geometry: its oriented box, in metres.

    Targets without geometry are left out: a box of NaN breaks viewers. Header and ``transform``
    as for ``results.target_array``.
    """
    message = Detection3DArray()
    message.header = header
    for target in moved(result.targets, transform):
        if target.geometry is None:
            continue
        hypothesis = _hypothesis(target.phrase, target.score)
        hypothesis.pose = pose_with_covariance(target.geometry)
        box = BoundingBox3D()
        box.center = hypothesis.pose.pose
        box.size.x, box.size.y, box.size.z = (float(value) for value in target.geometry.size)
        detection = Detection3D()
        detection.header = header
        detection.id = str(target.id)
        detection.bbox = box
        detection.results = [hypothesis]
        message.detections.append(detection)
    return message


def _hypothesis(phrase: str, score: float) -> ObjectHypothesisWithPose:
    message = ObjectHypothesisWithPose()
    message.hypothesis.class_id = phrase
    message.hypothesis.score = float(score)
    return message
