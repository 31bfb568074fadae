# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The results of a replay as a bag: the topics of the live node, with the stamps of the input."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from instructsam_ros.bridge import clouds, detections, pictures, results
from instructsam_ros.bridge.images import array_to_compressed
from instructsam_ros.bridge.markers import MarkerBoard
from instructsam_ros.perception.frame import Frame
from instructsam_ros.perception.pipeline import PerceptionResult
from instructsam_ros.replay.assembling import BagFrame
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.topics import BagTopics
from instructsam_ros.replay.worker import Worker
from instructsam_ros.replay.writing import BagWriter

NODE = '/instructsam'
# results that may wait: pictures are large
_WAITING = 3


class ResultRecorder:
    """Writes results while a replay runs; a context manager.

    A thread of its own draws, packs and writes, while the next picture is searched and measured.
    """

    def __init__(self, path: Path, bag: BagReader, topics: BagTopics) -> None:
        """Begin the bag at ``path``; TF and camera_info of ``bag`` come along.

        Raises BagError, BagWriteError.
        """
        self._writer = BagWriter(path)
        self._board = MarkerBoard()
        self._info_topic = topics.camera_info
        self._bag, self._topics = bag, topics
        self._worker = Worker('recorder', _WAITING)

    def __enter__(self) -> 'ResultRecorder':
        try:
            self._copy_transforms()
        except BaseException as error:
            self._writer.__exit__(type(error), error, None)
            raise
        self._worker.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        try:
            self._worker.__exit__(kind, error, trace)
        except BaseException as failure:
            self._writer.__exit__(type(failure), failure, None)
            raise
        self._writer.__exit__(kind, error, trace)

    def write(
        self, source: BagFrame, frame: Frame, result: PerceptionResult, number: int,
        to_target: Any, target_frame: str,
    ) -> None:
        """Have one result written, stamped and timed as its picture; its arrays must stay as is.

        ``to_target`` [4, 4] optical frame -> ``target_frame``, None when they are the same.
        Raises BagWriteError, perhaps because of a result before.
        """
        self._worker.do(
            partial(self._write, source, frame, result, number, to_target, target_frame))

    def _write(
        self, source: BagFrame, frame: Frame, result: PerceptionResult, number: int,
        to_target: Any, target_frame: str,
    ) -> None:
        header, at_ns = source.image.header, source.stamp_ns
        placed = Header(stamp=header.stamp, frame_id=target_frame)
        shape = (frame.image.shape[0], frame.image.shape[1])
        drawn, labels = pictures.overlay(result, frame.image), pictures.label_map(result, shape)
        messages: dict[str, Callable[[], Any]] = {
            'instances': lambda: results.instance_array(result, header, shape, number),
            'targets': lambda: results.target_array(result, placed, number, transform=to_target),
            'detections': lambda: detections.detections_2d(result, header),
            'detections_3d': lambda: detections.detections_3d(
                result, placed, transform=to_target),
            'label_image': lambda: pictures.label_image(result, header, shape, labels),
            'label_info': lambda: pictures.label_info(result, header),
            'markers': lambda: self._board.update(result, placed, transform=to_target),
            'points': lambda: clouds.point_cloud(
                result, placed, frame.image, frame.depth, frame.camera, transform=to_target,
                labels=labels),
            'overlay/compressed': lambda: array_to_compressed(drawn, header),
        }
        for name, make in messages.items():
            self._writer.write(f'{NODE}/{name}', make(), at_ns)
        if isinstance(source.info, CameraInfo) and self._info_topic is not None:
            self._writer.write(self._info_topic, source.info, at_ns)

    def _copy_transforms(self) -> None:
        wanted = [*self._topics.tf, *self._topics.tf_static]
        if not wanted:
            return
        for raw in self._bag.raw_messages(wanted, strict=False):
            channel = raw.channel
            if channel.definition:
                self._writer.add_raw_topic(
                    channel.topic, channel.type, channel.definition, is_idl=channel.is_idl,
                    latched=channel.latched or channel.topic in self._topics.tf_static)
                self._writer.write_raw(channel.topic, raw.data, raw.bag_ns)
