# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages that rosbags' type stores lack, in the message language."""

from __future__ import annotations

from typing import Any

MESSAGES = {
    'vision_msgs/msg/Point2D': 'float64 x\nfloat64 y',
    'vision_msgs/msg/Pose2D': 'Point2D position\nfloat64 theta',
    'vision_msgs/msg/BoundingBox2D': 'Pose2D center\nfloat64 size_x\nfloat64 size_y',
    'vision_msgs/msg/BoundingBox2DArray': 'std_msgs/Header header\nBoundingBox2D[] boxes',
    'vision_msgs/msg/BoundingBox3D': 'geometry_msgs/Pose center\ngeometry_msgs/Vector3 size',
    'vision_msgs/msg/BoundingBox3DArray': 'std_msgs/Header header\nBoundingBox3D[] boxes',
    'vision_msgs/msg/ObjectHypothesis': 'string class_id\nfloat64 score',
    'vision_msgs/msg/ObjectHypothesisWithPose':
        'ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose',
    'vision_msgs/msg/Classification': 'std_msgs/Header header\nObjectHypothesis[] results',
    'vision_msgs/msg/Detection2D':
        'std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox2D bbox\nstring id',
    'vision_msgs/msg/Detection2DArray': 'std_msgs/Header header\nDetection2D[] detections',
    'vision_msgs/msg/Detection3D':
        'std_msgs/Header header\nObjectHypothesisWithPose[] results\nBoundingBox3D bbox\nstring id',
    'vision_msgs/msg/Detection3DArray': 'std_msgs/Header header\nDetection3D[] detections',
    'vision_msgs/msg/VisionClass': 'uint16 class_id\nstring class_name',
    'vision_msgs/msg/LabelInfo':
        'std_msgs/Header header\nVisionClass[] class_map\nfloat32 threshold',
    'vision_msgs/msg/VisionInfo':
        'std_msgs/Header header\nstring method\nstring database_location\nint32 database_version',
}

# What the message files say beyond rosbags' tables, which hold no default values.
DEFAULTS: dict[str, dict[str, Any]] = {
    'geometry_msgs/msg/Quaternion': {'w': 1.0},
    'sensor_msgs/msg/NavSatStatus': {'status': -2},
}
