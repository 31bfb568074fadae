# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Targets as RViz markers: box, centroid and text, deleted when the target vanishes."""

import numpy as np
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from instructsam_ros.bridge.poses import matrix_to_pose
from instructsam_ros.bridge.results import moved
from instructsam_ros.perception.drawing import color_of
from instructsam_ros.perception.pipeline import PerceptionResult
from instructsam_ros.perception.targets import Target, TargetGeometry

_NAMESPACES = ('box', 'centroid', 'text')
# metres
_DOT = 0.015
_TEXT_HEIGHT = 0.03
_GAP = 0.02


class MarkerBoard:
    """Remembers which markers viewers show, so that those of vanished targets are deleted."""

    def __init__(self) -> None:
        self._shown: set[int] = set()
        self._fresh = True

    def update(
        self,
        result: PerceptionResult,
        header: Header,
        *,
        transform: NDArray[np.float64] | None = None,
    ) -> MarkerArray:
        """Return what to publish: markers of the targets with geometry, deletions of the rest.

        The first message also clears what an earlier run left. Header and ``transform`` as for
        ``results.target_array``.
        """
        message = MarkerArray()
        if self._fresh:
            message.markers.append(_action(header, Marker.DELETEALL, '', 0))
        present = set()
        for target in moved(result.targets, transform):
            if target.geometry is not None:
                message.markers += _markers(target, target.geometry, header)
                present.add(_number(target))
        for identity in sorted(self._shown - present):
            message.markers += [
                _action(header, Marker.DELETE, name, identity) for name in _NAMESPACES
            ]
        self._shown, self._fresh = present, False
        return message

    def clear(self, header: Header) -> MarkerArray:
        """Return a message that deletes every marker."""
        self._shown, self._fresh = set(), False
        return MarkerArray(markers=[_action(header, Marker.DELETEALL, '', 0)])


def _action(header: Header, action: int, namespace: str, identity: int) -> Marker:
    marker = Marker()
    marker.header = header
    marker.action = action
    marker.ns = namespace
    marker.id = identity
    return marker


def _markers(target: Target, geometry: TargetGeometry, header: Header) -> list[Marker]:
    red, green, blue = (value / 255 for value in color_of(target.id))
    box, dot, text = (
        _action(header, Marker.ADD, name, _number(target)) for name in _NAMESPACES
    )

    box.type = Marker.CUBE
    box.pose = matrix_to_pose(geometry.pose)
    box.scale.x, box.scale.y, box.scale.z = (float(value) for value in geometry.size)
    box.color = ColorRGBA(r=red, g=green, b=blue, a=0.4)

    dot.type = Marker.SPHERE
    dot.pose.position = _point(geometry.centroid)
    dot.scale.x = dot.scale.y = dot.scale.z = _DOT
    dot.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)

    text.type = Marker.TEXT_VIEW_FACING
    # the box's z points up, whatever the frame
    above = geometry.position + geometry.pose[:3, 2] * (geometry.size[2] / 2 + _GAP)
    text.pose.position = _point(above)
    text.scale.z = _TEXT_HEIGHT
    text.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    text.text = f'{target.id} {target.phrase} {target.score:.2f} {geometry.distance:.2f} m'
    return [box, dot, text]


def _number(target: Target) -> int:
    # ids are uint32 in targets, int32 in markers
    return target.id & 0x7FFFFFFF


def _point(values: NDArray[np.float64]) -> Point:
    x, y, z = (float(value) for value in values)
    return Point(x=x, y=y, z=z)
