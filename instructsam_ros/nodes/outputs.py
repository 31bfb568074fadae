# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The results as topics, each made only when somebody listens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo
from visualization_msgs.msg import MarkerArray

from instructsam_ros.bridge import clouds, detections, pictures, results
from instructsam_ros.bridge.images import array_to_compressed, array_to_image
from instructsam_ros.bridge.interfaces import InstanceArray, TargetArray
from instructsam_ros.bridge.markers import MarkerBoard
from instructsam_ros.bridge.qos import publisher_options, result_qos, status_qos
from instructsam_ros.nodes.location import Location
from instructsam_ros.nodes.settings import PerceptionSettings
from instructsam_ros.perception.frame import Frame
from instructsam_ros.perception.pipeline import PerceptionResult


@dataclass(frozen=True)
class Answer:
    """The answer to one instruction about one frame, with what is needed to publish it.

    Attributes:
        header: of the source image.
        frame, result, location: of the same moment; targets in the camera's optical frame.
    """

    header: Header
    frame: Frame
    result: PerceptionResult
    location: Location

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""
        height, width = self.frame.image.shape[:2]
        return height, width

    @property
    def target_header(self) -> Header:
        """The image's stamp with the frame of the 3D results."""
        return Header(stamp=self.header.stamp, frame_id=self.location.frame)

    def instances(self, instruction_id: int) -> InstanceArray:
        """Return the 2D message."""
        return results.instance_array(self.result, self.header, self.shape, instruction_id)

    def targets(self, instruction_id: int) -> TargetArray:
        """Return the 3D message."""
        return results.target_array(
            self.result, self.target_header, instruction_id,
            transform=self.location.to_frame, status=self.location.status)


class Outputs:
    """Publishes answers; used by one thread at a time."""

    def __init__(
        self, node: LifecycleNode, settings: Callable[[], PerceptionSettings]
    ) -> None:
        """Create the publishers of the node; they send only while it is active."""
        self._node = node
        self._settings = settings
        self._targets = self._publisher(TargetArray, '~/targets')
        self._instances = self._publisher(InstanceArray, '~/instances')
        self._detections = self._publisher(Detection2DArray, '~/detections')
        self._detections_3d = self._publisher(Detection3DArray, '~/detections_3d')
        self._label_image = self._publisher(Image, '~/label_image')
        self._label_info = self._publisher(LabelInfo, '~/label_info', status_qos())
        self._points = self._publisher(PointCloud2, '~/points')
        self._markers = self._publisher(MarkerArray, '~/markers')
        self._overlay = self._publisher(Image, '~/overlay')
        self._overlay_jpeg = self._publisher(CompressedImage, '~/overlay/compressed')
        self._board = MarkerBoard()
        self._last_header: Header | None = None

    def publish(self, answer: Answer, instruction_id: int) -> Time:
        """Publish one answer, what robots act on first; return when the targets were sent."""
        header, result = answer.target_header, answer.result
        transform = answer.location.to_frame
        self._last_header = header
        self._send(self._targets, lambda: answer.targets(instruction_id))
        sent: Time = self._node.get_clock().now()
        self._send(self._instances, lambda: answer.instances(instruction_id))
        self._send(self._detections_3d,
                   lambda: detections.detections_3d(result, header, transform=transform))
        self._send(self._detections, lambda: detections.detections_2d(result, answer.header))
        self._send(self._label_image,
                   lambda: pictures.label_image(result, answer.header, answer.shape))
        # latched: it must be there for who comes later
        self._label_info.publish(
            pictures.label_info(result, answer.header, self._settings().score_threshold))
        self._send(self._markers,
                   lambda: self._board.update(result, header, transform=transform))
        self._send(self._points, lambda: self._cloud(answer))
        self._publish_overlay(answer)
        return sent

    def clear_markers(self) -> None:
        """Delete every marker: nothing is searched for any more."""
        if self._last_header is not None:
            self._markers.publish(self._board.clear(self._last_header))
            self._last_header = None

    def _publish_overlay(self, answer: Answer) -> None:
        raw, jpeg = _is_heard(self._overlay), _is_heard(self._overlay_jpeg)
        if not (raw or jpeg):
            return
        drawn = pictures.overlay(answer.result, answer.frame.image)
        if raw:
            self._overlay.publish(array_to_image(drawn, 'rgb8', answer.header))
        if jpeg:
            quality = self._settings().jpeg_quality
            self._overlay_jpeg.publish(array_to_compressed(drawn, answer.header, quality))

    def _cloud(self, answer: Answer) -> PointCloud2:
        frame = answer.frame
        return clouds.point_cloud(
            answer.result, answer.target_header, frame.image, frame.depth, frame.camera,
            transform=answer.location.to_frame)

    def _publisher(self, kind: type, topic: str, qos: QoSProfile | None = None) -> Any:
        return self._node.create_lifecycle_publisher(
            kind, topic, **publisher_options(self._node, topic, qos or result_qos()))

    @staticmethod
    def _send(publisher: Any, make: Callable[[], Any]) -> None:
        if _is_heard(publisher):
            publisher.publish(make())


def _is_heard(publisher: Any) -> bool:
    return bool(publisher.get_subscription_count())
