# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of one RGB-D camera with the truth beside it, on the topics of the drawn camera.

Under ``/camera``: ``color/image_raw``, ``aligned_depth_to_color/image_raw`` (or their compressed
forms) and a ``camera_info`` beside each. Under ``/camera/camera/ground_truth``:

- ``instances``, ``targets``: all objects that can be seen; ``instruction_id`` numbers the scene,
  ids hold within a scene.
- ``meant_instances``: those of them that the standing instruction means, with its number and text;
  one message per picture, also where nothing is meant.
- ``schedule``: std_msgs/String, JSON, one per instruction: ``instruction_id``, ``text``, ``kind``,
  ``scene``, ``objects`` (ids in the scene).

The instruction itself is on ``/instruction``, just before the first picture that it is about.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String
from tf2_msgs.msg import TFMessage

from instructsam_ros.bridge import tabletop
from instructsam_ros.bridge.cameras import camera_info
from instructsam_ros.bridge.images import array_to_compressed, array_to_image, depth_to_compressed
from instructsam_ros.bridge.interfaces import InstanceArray, TargetArray
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.replay.writing import BagWriter

CAMERA, NODE = '/camera', '/camera/camera'
IMAGE, IMAGE_COMPRESSED = (f'{CAMERA}/{one}' for one in (
    tabletop.IMAGE, tabletop.IMAGE_COMPRESSED))
DEPTH, DEPTH_COMPRESSED = (f'{CAMERA}/{one}' for one in (
    tabletop.DEPTH, tabletop.DEPTH_COMPRESSED))
INFO, DEPTH_INFO = f'{CAMERA}/{tabletop.INFO}', f'{CAMERA}/{tabletop.DEPTH_INFO}'
TRUE_INSTANCES = f'{NODE}/{tabletop.TRUE_INSTANCES}'
TRUE_TARGETS = f'{NODE}/{tabletop.TRUE_TARGETS}'
MEANT_INSTANCES = f'{NODE}/ground_truth/meant_instances'
SCHEDULE = f'{NODE}/ground_truth/schedule'
INSTRUCTION, TF, TF_STATIC = '/instruction', '/tf', '/tf_static'

# bags begin at the same time always, so that the same arguments give the same bag
START_NS = 1_700_000_000_000_000_000
_BEFORE_NS = 1_000_000
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class TrueInstruction:
    """An instruction and what it means.

    Attributes:
        number: from 1.
        text, kind: the sentence, and its kind as the grammar names it, '' if unknown.
        objects: ids of the objects that are meant, in scene ``scene``.
    """

    number: int
    text: str
    kind: str = ''
    objects: frozenset[int] = frozenset()
    scene: int = 0


class CameraBag:
    """Writes pictures of one camera, in order; times are nanoseconds since the epoch."""

    def __init__(
        self, writer: BagWriter, *, depth: bool = True, compressed: bool = False, quality: int = 90
    ) -> None:
        """Announce the topics. ``compressed``: JPEG of ``quality`` and PNG instead of raw."""
        self._writer = writer
        self._compressed = compressed
        self._quality = quality
        kind, image = (CompressedImage, IMAGE_COMPRESSED) if compressed else (Image, IMAGE)
        self._image, self._depth = image, DEPTH_COMPRESSED if compressed else DEPTH
        writer.add_topic(self._image, kind)
        writer.add_topic(INFO, CameraInfo)
        if depth:
            writer.add_topic(self._depth, kind)
            writer.add_topic(DEPTH_INFO, CameraInfo)
        self._instruction: TrueInstruction | None = None

    def instruct(self, instruction: TrueInstruction, at_ns: int) -> None:
        """Write an instruction that stands from the picture at ``at_ns`` on."""
        if self._instruction is None:
            self._writer.add_topic(INSTRUCTION, String)
            self._writer.add_topic(SCHEDULE, String)
            self._writer.add_topic(MEANT_INSTANCES, InstanceArray)
        self._instruction = instruction
        record = {
            'instruction_id': instruction.number, 'text': instruction.text,
            'kind': instruction.kind, 'scene': instruction.scene,
            'objects': sorted(instruction.objects)}
        before = at_ns - _BEFORE_NS
        self._writer.write(SCHEDULE, String(data=json.dumps(record)), before)
        self._writer.write(INSTRUCTION, String(data=instruction.text), before)

    def fixed(self, transforms: list[Any], at_ns: int) -> None:
        """Write transforms that hold from now on."""
        self._writer.write(TF_STATIC, TFMessage(transforms=transforms), at_ns)

    def moving(self, transforms: list[Any], at_ns: int) -> None:
        """Write transforms of one moment."""
        self._writer.write(TF, TFMessage(transforms=transforms), at_ns)

    def truth(self, instances: InstanceArray, targets: TargetArray | None) -> None:
        """Write what is true of the next picture; its stamp is theirs."""
        at_ns = instances.header.stamp.sec * _SECOND_NS + instances.header.stamp.nanosec
        self._writer.write(TRUE_INSTANCES, instances, at_ns)
        if targets is not None:
            self._writer.write(TRUE_TARGETS, targets, at_ns)
        if self._instruction is not None:
            self._writer.write(MEANT_INSTANCES, _meant(instances, self._instruction), at_ns)

    def picture(
        self,
        image: NDArray[np.uint8] | None,
        depth: NDArray[Any] | None,
        camera: CameraModel,
        header: Header,
    ) -> None:
        """Write RGB uint8 [H, W, 3] and depth [H, W], uint16 mm or float32 m; None is left out."""
        at_ns = header.stamp.sec * _SECOND_NS + header.stamp.nanosec
        info = camera_info(camera, header)
        self._writer.write(INFO, info, at_ns)
        if depth is not None:
            encoding = '16UC1' if depth.dtype == np.uint16 else '32FC1'
            self._writer.write(DEPTH_INFO, info, at_ns)
            self._writer.write(
                self._depth, depth_to_compressed(depth, header) if self._compressed
                else array_to_image(depth, encoding, header), at_ns)
        if image is not None:
            self._writer.write(
                self._image, array_to_compressed(image, header, self._quality) if self._compressed
                else array_to_image(image, 'rgb8', header), at_ns)


def stamp_message(at_ns: int) -> Time:
    """Return nanoseconds since the epoch as a message."""
    return Time(sec=at_ns // _SECOND_NS, nanosec=at_ns % _SECOND_NS)


def _meant(instances: InstanceArray, instruction: TrueInstruction) -> InstanceArray:
    """Return the part of the truth that an instruction means."""
    chosen = [one for one in instances.instances
              if one.id in instruction.objects and instances.instruction_id == instruction.scene]
    return InstanceArray(
        header=instances.header,
        instruction_id=instruction.number,
        instruction=instruction.text,
        answer=', '.join(one.phrase for one in chosen),
        height=instances.height,
        width=instances.width,
        instances=chosen,
    )
