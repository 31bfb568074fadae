# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Small bags for the tests of replay: a camera that counts its frames, and odd forms of bags."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from mcap_ros2.writer import Writer as ForeignWriter

from instructsam_ros.bridge.images import array_to_image
from instructsam_ros.replay.reading import BagError, BagReader
from instructsam_ros.replay.writing import BagWriter

from builtin_interfaces.msg import Time  # isort: skip
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3  # isort: skip
from sensor_msgs.msg import CameraInfo  # isort: skip
from std_msgs.msg import Header, String  # isort: skip
from tf2_msgs.msg import TFMessage  # isort: skip

BEGIN = 1_700_000_000_000_000_000
FRAME = 'camera_color_optical_frame'
IMAGE, DEPTH, INFO = '/camera/color/image_raw', '/camera/depth/image_raw', (
    '/camera/color/camera_info')
WIDTH, HEIGHT = 64, 48
STORAGES = ('mcap', 'sqlite3')
COUNT = '/count'


def at(seconds: float) -> int:
    """A time of the bag in nanoseconds."""
    return BEGIN + round(seconds * 1e9)


def header(seconds: float, frame: str = FRAME) -> Header:
    ns = at(seconds)
    return Header(stamp=Time(sec=ns // 10**9, nanosec=ns % 10**9), frame_id=frame)


def image(number: int, seconds: float, frame: str = FRAME) -> Any:
    """A picture whose first pixel is its number."""
    pixels = np.full((HEIGHT, WIDTH, 3), number % 256, np.uint8)
    return array_to_image(pixels, 'rgb8', header(seconds, frame))


def depth(number: int, seconds: float, frame: str = FRAME) -> Any:
    """Depth of one metre and ``number`` millimetres everywhere."""
    pixels = np.full((HEIGHT, WIDTH), 1000 + number, np.uint16)
    return array_to_image(pixels, '16UC1', header(seconds, frame))


def info(seconds: float, frame: str = FRAME) -> CameraInfo:
    return CameraInfo(
        header=header(seconds, frame), width=WIDTH, height=HEIGHT,
        k=[50.0, 0.0, 31.5, 0.0, 50.0, 23.5, 0.0, 0.0, 1.0])


def transform(child: str, parent: str, x: float, seconds: float) -> TFMessage:
    """A frame that is ``x`` metres ahead of its parent."""
    return TFMessage(transforms=[TransformStamped(
        header=header(seconds, parent), child_frame_id=child,
        transform=Transform(translation=Vector3(x=float(x)), rotation=Quaternion(w=1.0)))])


def write(path: Path, messages: Sequence[tuple[str, Any, float]], storage: str = 'mcap',
          **options: Any) -> Path:
    """Write (topic, message, seconds) to a bag."""
    with BagWriter(path, storage, **options) as bag:
        for topic, message, seconds in messages:
            bag.write(topic, message, at(seconds))
    return path


def camera(frames: int, *, rate: float = 10.0, first: int = 0) -> list[tuple[str, Any, float]]:
    """What a camera sends: info, depth and image of each moment."""
    found: list[tuple[str, Any, float]] = []
    for number in range(first, first + frames):
        moment = number / rate
        found += [(INFO, info(moment), moment), (DEPTH, depth(number, moment), moment),
                  (IMAGE, image(number, moment), moment)]
    return found


def strings(count: int, topic: str = '/count', rate: float = 10.0) -> list[tuple[str, Any, float]]:
    return [(topic, String(data=f'{number} ' + 'x' * 200), number / rate)
            for number in range(count)]


def number_of(message: Any) -> int:
    """The number of a message of ``strings``."""
    return int(message.data.split()[0])


def split(path: Path, parts: Sequence[Path]) -> Path:
    """Join bags into one of several files, as a recorder that splits leaves it."""
    path.mkdir()
    whole: dict[str, Any] = {}
    for number, part in enumerate(parts):
        one = yaml.safe_load((part / 'metadata.yaml').read_text())['rosbag2_bagfile_information']
        source = part / one['relative_file_paths'][0]
        name = f'{path.name}_{number}{"".join(source.suffixes[-2:])}'
        shutil.copy(source, path / name)
        if not whole:
            whole = {**one, 'relative_file_paths': [], 'files': []}
        else:
            end = one['starting_time']['nanoseconds_since_epoch'] + one['duration']['nanoseconds']
            begin = whole['starting_time']['nanoseconds_since_epoch']
            whole['duration']['nanoseconds'] = end - begin
            whole['message_count'] += one['message_count']
            counts = {t['topic_metadata']['name']: t for t in whole['topics_with_message_count']}
            for topic in one['topics_with_message_count']:
                name_ = topic['topic_metadata']['name']
                if name_ in counts:
                    counts[name_]['message_count'] += topic['message_count']
                else:
                    whole['topics_with_message_count'].append(topic)
        whole['relative_file_paths'].append(name)
    (path / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': whole}))
    return path


def humble(path: Path, messages: Sequence[tuple[str, str, bytes, int]]) -> Path:
    """A bag as Humble's sqlite3 storage writes it: no definitions, QoS as text with numbers."""
    path.mkdir()
    profile = (
        '- history: 1\n  depth: 1\n  reliability: 1\n  durability: 1\n  deadline:\n    sec: '
        '9223372036\n    nsec: 854775807\n  lifespan:\n    sec: 9223372036\n    nsec: 854775807\n'
        '  liveliness: 1\n  liveliness_lease_duration:\n    sec: 9223372036\n    nsec: 854775807\n'
        '  avoid_ros_namespace_conventions: false')
    topics = list(dict.fromkeys((topic, kind) for topic, kind, _, _ in messages))
    database = sqlite3.connect(path / f'{path.name}_0.db3')
    database.executescript(
        'CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, '
        'serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);'
        'CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, '
        'timestamp INTEGER NOT NULL, data BLOB NOT NULL);'
        'CREATE INDEX timestamp_idx ON messages (timestamp ASC);')
    for number, (topic, kind) in enumerate(topics, 1):
        database.execute('INSERT INTO topics VALUES(?, ?, ?, ?, ?)',
                         (number, topic, kind, 'cdr', profile))
    for topic, kind, data, ns in messages:
        database.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)',
                         (topics.index((topic, kind)) + 1, ns, data))
    database.commit()
    database.close()
    times = [ns for _, _, _, ns in messages]
    (path / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': {
        'version': 5, 'storage_identifier': 'sqlite3', 'compression_format': '',
        'compression_mode': '', 'relative_file_paths': [f'{path.name}_0.db3'],
        'duration': {'nanoseconds': max(times) - min(times)},
        'starting_time': {'nanoseconds_since_epoch': min(times)}, 'message_count': len(messages),
        'topics_with_message_count': [
            {'topic_metadata': {'name': topic, 'type': kind, 'serialization_format': 'cdr',
                                'offered_qos_profiles': profile},
             'message_count': sum(one[0] == topic for one in messages)}
            for topic, kind in topics]}}))
    return path


def refused(action: Callable[[], Any]) -> str:
    """Return the text of the BagError that an action ends with."""
    from instructsam_ros.replay.errors import BagError

    try:
        action()
    except BagError as error:
        return str(error)
    raise AssertionError('nothing was refused')


def read(path: Path, *arguments, **options):
    with BagReader(path) as bag:
        return list(bag.messages(*arguments, **options))


def numbers(path: Path) -> list[int]:
    """The numbers of all strings, in the order in which they come."""
    return [number_of(one.message) for one in read(path)]


def readable(path: Path) -> tuple[list[int], str]:
    """The numbers that can be read, and the error at the end ('' without)."""
    found: list[int] = []
    try:
        with BagReader(path) as bag:
            for one in bag.messages():
                found.append(number_of(one.message))
    except BagError as error:
        return found, str(error)
    return found, ''


def foreign(path: Path, count: int = 40, **options) -> Path:
    """A bag that another library wrote."""
    with path.open('wb') as file:
        writer = ForeignWriter(file, **options)
        text = writer.register_msgdef('std_msgs/msg/String', 'string data')
        for number in range(count):
            writer.write_message(
                topic=COUNT, schema=text, message={'data': f'{number} ' + 'x' * 200},
                log_time=at(number / 10), publish_time=at(number / 10), sequence=number)
        writer.finish()
    return path
