# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is true of a drawn scene, as the messages that a perfect perception would send."""

import numpy as np
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from instructsam.tabletop.film import Shot, VisibleObject
from instructsam_ros.bridge import interfaces
from instructsam_ros.bridge.images import array_to_image
from instructsam_ros.bridge.results import target_message
from instructsam_ros.perception.targets import Target, TargetGeometry, TargetStatus

# an object that shows less of itself counts as occluded; less is lost to rounding
_WHOLE = 0.97


def true_instances(shot: Shot, header: Header, scene: int) -> interfaces.InstanceArray:
    """Return all objects that can be seen, by any part; header: the picture's.

    ``id`` is the object's place in the scene, plus 1, and stays; ``phrase`` such as 'red mug';
    ``instruction_id`` is the number of the scene.
    """
    message = interfaces.InstanceArray()
    message.header = header
    message.instruction_id = scene
    message.height, message.width = shot.depth.shape
    message.answer = ', '.join(one.name for one in shot.objects)
    message.instances = [_instance(one, header) for one in shot.objects]
    return message


def true_targets(shot: Shot, header: Header, scene: int) -> interfaces.TargetArray:
    """Return the true boxes of the same objects, in the optical frame that the header names.

    Covariances are zero. ``centroid`` and ``normal`` are of the visible surface without depth
    noise; ``valid_depth_ratio`` is of the depth with it.
    """
    message = interfaces.TargetArray()
    message.header = header
    message.instruction_id = scene
    shape = (shot.depth.shape[0], shot.depth.shape[1])
    message.targets = [target_message(_target(one, shape)) for one in shot.objects]
    return message


def _instance(one: VisibleObject, header: Header) -> interfaces.Instance:
    x, y, width, height = one.box
    message = interfaces.Instance()
    message.id = one.index + 1
    message.phrase = one.name
    message.score = 1.0
    message.roi = RegionOfInterest(x_offset=x, y_offset=y, height=height, width=width)
    message.mask = array_to_image(one.mask.view(np.uint8) * np.uint8(255), 'mono8', header)
    return message


def _target(one: VisibleObject, shape: tuple[int, int]) -> Target:
    x, y, width, height = one.box
    status = TargetStatus.OK
    if x == 0 or y == 0 or x + width == shape[1] or y + height == shape[0]:
        status |= TargetStatus.TOUCHES_BORDER
    elif one.visible < _WHOLE:
        status |= TargetStatus.OCCLUDED
    geometry = TargetGeometry(
        one.pose, one.size, one.centroid, one.normal, np.zeros((6, 6)),
        float(np.linalg.norm(one.centroid)))
    pixels = int(np.count_nonzero(one.mask))
    return Target(
        one.index + 1, one.name, 1.0, status, geometry, round(pixels * one.depth_ratio),
        one.depth_ratio)
