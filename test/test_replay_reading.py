# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags of every form are read as they were recorded, and broken ones as far as they go."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import bags
import numpy as np
import pytest
from bags import COUNT, STORAGES, foreign, numbers, read
from mcap.writer import CompressionType
from mcap_ros2.writer import Writer as ForeignWriter
from rosbags.interfaces import Qos
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from instructsam_ros.bridge.images import depth_to_metres, image_to_array
from instructsam_ros.replay.reading import BagReader

from geometry_msgs.msg import PointStamped  # isort: skip
from rclpy.serialization import serialize_message  # isort: skip
from sensor_msgs.msg import CameraInfo, Image  # isort: skip
from std_msgs.msg import Empty, String  # isort: skip
from tf2_msgs.msg import TFMessage  # isort: skip


@pytest.mark.parametrize('storage', STORAGES)
def test_messages_come_back_as_they_were_written_in_order_of_time(tmp_path, storage):
    written = [*bags.camera(5), ('/tf_static', bags.transform('a', 'b', 1.0, 0), 0.25)]
    path = bags.write(tmp_path / 'bag', written, storage)
    with BagReader(path) as bag:
        assert (bag.storage, bag.files, bag.notes, bag.damage) == (storage, 1, [], '')
        assert bag.start_ns == bags.at(0) and bag.end_ns == bags.at(0.4) + 1
        assert bag.duration == pytest.approx(0.4, abs=1e-9)
        assert {name: (one.type, one.count) for name, one in bag.topics.items()} == {
            bags.DEPTH: ('sensor_msgs/msg/Image', 5), bags.IMAGE: ('sensor_msgs/msg/Image', 5),
            bags.INFO: ('sensor_msgs/msg/CameraInfo', 5),
            '/tf_static': ('tf2_msgs/msg/TFMessage', 1)}
        assert bag.topics['/tf_static'].latched and not bag.topics[bags.IMAGE].latched
        found = [tuple(one) for one in bag.messages()]
    expected = sorted(written, key=lambda one: one[2])
    assert found == [(topic, message, bags.at(seconds)) for topic, message, seconds in expected]
    assert type(found[0][1]) is CameraInfo


@pytest.mark.parametrize('storage', STORAGES)
def test_topics_and_times_can_be_chosen(tmp_path, storage):
    path = bags.write(tmp_path / 'bag', bags.camera(10), storage)
    found = read(path, [bags.IMAGE], bags.at(0.3), bags.at(0.6))
    assert [image_to_array(one.message)[0, 0, 0] for one in found] == [3, 4, 5]
    assert {one.topic for one in found} == {bags.IMAGE}
    assert read(path, []) == []


def test_a_topic_that_is_not_there_is_told_with_those_that_are(tmp_path):
    path = bags.write(tmp_path / 'bag', bags.strings(3))
    text = bags.refused(lambda: read(path, ['/image']))
    assert 'no topic /image' in text and '/count (std_msgs/msg/String, 3)' in text


@pytest.mark.parametrize('name', ['bag', 'bag/bag.mcap'])
def test_a_bag_is_named_by_its_folder_or_its_file(tmp_path, name):
    bags.write(tmp_path / 'bag', bags.strings(4))
    assert numbers(tmp_path / name) == [0, 1, 2, 3]


def test_two_iterators_do_not_disturb_each_other(tmp_path):
    path = bags.write(tmp_path / 'bag', bags.strings(30), compress=False)
    with BagReader(path) as bag:
        pairs = [(bags.number_of(a.message), bags.number_of(b.message))
                 for a, b in zip(bag.messages(), bag.messages(), strict=True)]
        left = bag.messages()
        next(left)
    assert pairs == [(number, number) for number in range(30)]
    with pytest.raises(ValueError, match='closed'):
        list(left)


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('mode', [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize('parts', [1, 3])
def test_split_and_compressed_bags(tmp_path, storage, mode, parts):
    pieces = []
    for number in range(parts):
        path = tmp_path / f'part{number}'
        writer = Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()])
        writer.set_compression(mode, CompressionFormat.ZSTD)
        store = get_typestore(Stores.ROS2_JAZZY)
        with writer:
            connection = writer.add_connection(COUNT, 'std_msgs/msg/String', typestore=store)
            for place in range(20):
                data = serialize_message(String(data=f'{20 * number + place} x'))
                writer.write(connection, bags.at(20 * number + place), data)
        pieces.append(path)
    bag = bags.split(tmp_path / 'whole', pieces)
    assert numbers(bag) == list(range(20 * parts))
    with BagReader(bag) as reader:
        assert reader.files == parts and reader.topics[COUNT].count == 20 * parts
        assert reader.duration == pytest.approx(20 * parts - 1)
        # from the middle of the last file
        late = [one.message.data for one in reader.messages(start=bags.at(20 * parts - 2))]
        assert late == [f'{20 * parts - 2} x', f'{20 * parts - 1} x']
    one = next(bag.glob('whole_0*'))
    assert numbers(one) == list(range(20)), 'a single file of it'


def test_temporary_files_of_a_compressed_bag_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'room'))
    (tmp_path / 'room').mkdir()
    with Writer(tmp_path / 'bag', version=9) as writer:
        writer.compression_mode, writer.compression_format = CompressionMode.FILE, 'zstd'
        connection = writer.add_connection(
            COUNT, 'std_msgs/msg/String', typestore=get_typestore(Stores.ROS2_JAZZY))
        writer.write(connection, bags.BEGIN, serialize_message(String(data='0 x')))
    assert numbers(tmp_path / 'bag') == [0]
    assert list((tmp_path / 'room').iterdir()) == []


def test_bags_of_humble_have_no_definitions(tmp_path):
    path = bags.humble(tmp_path / 'old', [
        ('/tf_static', 'tf2_msgs/msg/TFMessage', serialize_message(TFMessage()), bags.at(0)),
        (COUNT, 'std_msgs/msg/String', serialize_message(String(data='1 x')), bags.at(1)),
        ('/odd', 'acme_msgs/msg/Odd', b'\0\1\0\0\1\0\0\0', bags.at(2))])
    with BagReader(path) as bag:
        assert bag.topics['/tf_static'].latched and bag.topics[COUNT].definition == ''
        assert not bag.topics['/odd'].is_known
        assert [one.message.data for one in bag.messages([COUNT])] == ['1 x']
        text = bags.refused(lambda: list(bag.messages(['/odd'])))
    assert 'unknown type acme_msgs/msg/Odd' in text


def test_types_that_only_the_bag_knows_are_read_by_its_own_definition(tmp_path):
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg('float32[] grams\nstring name', 'acme_msgs/msg/Scale'))
    kind = store.types['acme_msgs/msg/Scale']
    with Writer(tmp_path / 'bag', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection('/scale', 'acme_msgs/msg/Scale', typestore=store)
        message = kind(grams=np.array([1.5, 2.5], np.float32), name='left')
        writer.write(connection, bags.BEGIN, store.serialize_cdr(message, 'acme_msgs/msg/Scale'))
    (found,) = read(tmp_path / 'bag')
    assert found.message.name == 'left' and found.message.grams.tolist() == [1.5, 2.5]


def test_another_version_of_a_known_message_gives_what_both_have(tmp_path):
    """As recorded before fields were added to our own messages, or by a fork of them."""
    old = ('std_msgs/Header header\nuint32 instruction_id\nstring answer\nfloat64 extra\n'
           'instructsam_ros/Instance[] instances\n' + '=' * 80 +
           '\nMSG: instructsam_ros/Instance\nuint32 id\nstring phrase\nsensor_msgs/Image mask\n' +
           '=' * 80 + '\nMSG: sensor_msgs/Image\nstd_msgs/Header header\nuint32 height\n'
           'uint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data\n')
    name = 'instructsam_ros/msg/InstanceArray'
    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(old, name))
    types = store.types
    head = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](5, 6), 'optical')
    mask = types['sensor_msgs/msg/Image'](
        head, 2, 2, 'mono8', 0, 2, np.array([0, 255, 255, 0], np.uint8))
    instance = types['instructsam_ros/msg/Instance'](7, 'mug', mask)
    message = types[name](head, 3, 'mug', 1.5, [instance])
    with Writer(tmp_path / 'bag', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection('/instances', name, typestore=store)
        writer.write(connection, bags.BEGIN, store.serialize_cdr(message, name))
    (found,) = (one.message for one in read(tmp_path / 'bag'))
    assert type(found).__name__ == 'InstanceArray' and found.instruction_id == 3
    assert (found.header.stamp.sec, found.header.frame_id, found.height) == (5, 'optical', 0)
    assert [(one.id, one.phrase, one.score) for one in found.instances] == [(7, 'mug', 0.0)]
    assert bytes(found.instances[0].mask.data) == b'\0\xff\xff\0'


@pytest.mark.parametrize('options', [
    {'compression': CompressionType.ZSTD}, {'compression': CompressionType.LZ4},
    {'compression': CompressionType.NONE}, {'chunk_size': 500}], ids=str)
def test_bags_of_a_foreign_writer(tmp_path, options):
    path = foreign(tmp_path / 'foreign.mcap', **options)
    assert numbers(path) == list(range(40))


def test_a_foreign_camera_becomes_arrays(tmp_path):
    """Definitions as other tools write them, for messages that the pipeline takes."""
    path = tmp_path / 'foreign.mcap'
    store = get_typestore(Stores.ROS2_HUMBLE)
    with path.open('wb') as file:
        writer = ForeignWriter(file)
        name = 'sensor_msgs/msg/Image'
        kind = writer.register_msgdef(name, store.generate_msgdef(name, ros_version=2)[0])
        for topic, encoding, data in ((bags.IMAGE, 'rgb8', bytes([9, 8, 7] * 4)),
                                      (bags.DEPTH, '16UC1', b'\xe8\x03' * 4)):
            writer.write_message(topic=topic, schema=kind, message={
                'header': {'stamp': {'sec': 1, 'nanosec': 2}, 'frame_id': 'f'}, 'height': 2,
                'width': 2, 'encoding': encoding, 'is_bigendian': 0, 'step': len(data) // 2,
                'data': data}, log_time=bags.BEGIN)
        writer.finish()
    color, depth = (one.message for one in read(path))
    assert type(color) is Image and image_to_array(color).tolist() == [[[9, 8, 7]] * 2] * 2
    assert depth_to_metres(depth).tolist() == [[1.0, 1.0]] * 2


def test_ros_1_bags_become_messages_of_ros_2(tmp_path):
    store = get_typestore(Stores.ROS1_NOETIC)
    types = store.types
    path = tmp_path / 'old.bag'
    head = types['std_msgs/msg/Header'](77, types['builtin_interfaces/msg/Time'](3, 4), 'optical')
    with Ros1Writer(path) as writer:
        for topic, name, message in (
            (bags.IMAGE, 'sensor_msgs/msg/Image', types['sensor_msgs/msg/Image'](
                head, 1, 2, 'mono8', 0, 2, np.array([5, 6], np.uint8))),
            (COUNT, 'std_msgs/msg/String', types['std_msgs/msg/String']('4 x')),
        ):
            connection = writer.add_connection(topic, name, typestore=store)
            writer.write(connection, bags.BEGIN, store.serialize_ros1(message, name))
    with BagReader(path) as bag:
        assert bag.storage == 'ros1'
        found = {one.topic: one.message for one in bag.messages()}
    assert found[COUNT] == String(data='4 x')
    picture = found[bags.IMAGE]
    assert type(picture) is Image and bytes(picture.data) == b'\5\6'
    assert (picture.header.stamp.sec, picture.header.frame_id) == (3, 'optical')
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert 'rosbag reindex' in bags.refused(lambda: read(path))


# ---- definitions, quality of service, memory


def test_empty_messages_and_latched_topics_of_new_recorders(tmp_path):
    """Quality of service by name, as recorders write it since Jazzy."""
    store = get_typestore(Stores.ROS2_JAZZY)
    from instructsam_ros.replay.writing import _profile

    profile: Qos = _profile(True)
    for storage in STORAGES:
        path = tmp_path / storage
        with Writer(path, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
            connection = writer.add_connection(
                '/go', 'std_msgs/msg/Empty', typestore=store, offered_qos_profiles=[profile])
            writer.write(connection, bags.BEGIN, serialize_message(Empty()))
        with BagReader(path) as bag:
            assert bag.topics['/go'].latched
            assert [one.message for one in bag.messages()] == [Empty()]
        file = next(one for one in path.iterdir() if one.suffix != '.yaml')
        moved = Path(shutil.copy(file, tmp_path / f'{storage}{file.suffix}'))
        moved.write_bytes(moved.read_bytes()[:-1])
        with BagReader(moved) as bag:
            assert bag.topics['/go'].latched, 'also where the file is scanned'


_PROBE = """
import resource, sys
from instructsam_ros.replay.reading import BagReader
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
with BagReader(sys.argv[1]) as bag:
    for number, one in enumerate(bag.messages()):
        if number == 40:
            early = peak()
    print(number + 1, round(peak() - early))
"""


@pytest.mark.parametrize('storage', STORAGES)
def test_memory_does_not_grow_with_the_length_of_the_bag(tmp_path, storage):
    """180 MB are read in no more memory than the first 60 MB."""
    pixels = np.random.default_rng(0).integers(0, 255, (720, 700, 3), np.uint8)
    from instructsam_ros.bridge.images import array_to_image

    message = array_to_image(pixels, 'rgb8', bags.header(0))
    from instructsam_ros.replay.writing import BagWriter

    with BagWriter(tmp_path / 'bag', storage, compress=False) as bag:
        for number in range(120):
            bag.write(bags.IMAGE, message, bags.at(number / 10))
    done = subprocess.run(
        [sys.executable, '-c', _PROBE, str(tmp_path / 'bag')], capture_output=True, text=True,
        check=True, timeout=120)
    count, grown = map(int, done.stdout.split())
    assert count == 120
    # a message or two of 1.5 MB may be in flight; all of the rest would be 120 MB
    assert grown < 30


def test_points_with_text_keep_their_bytes(tmp_path):
    """A type with every alignment: what is copied raw is what was recorded."""
    message = PointStamped(header=bags.header(1, 'ä'))
    path = bags.write(tmp_path / 'bag', [('/point', message, 1.0)])
    with BagReader(path) as bag:
        (raw,) = bag.raw_messages()
    assert raw.data == serialize_message(message) and raw.channel.type.endswith('PointStamped')
