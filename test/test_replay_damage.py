# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Broken bags are read as far as they go, and clocks that go back are coped with."""

from __future__ import annotations

from pathlib import Path

import bags
import hypothesis
import hypothesis.strategies as st
import pytest
import yaml
from bags import COUNT, STORAGES, foreign, numbers, read, readable
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from instructsam_ros.replay.reading import BagError, BagReader

from rclpy.serialization import serialize_message  # isort: skip
from sensor_msgs.msg import Image  # isort: skip
from std_msgs.msg import String  # isort: skip

# ---- broken bags


class Sound(dict):
    def __repr__(self) -> str:
        return '<bags>'  # hypothesis shows it


@pytest.fixture(scope='module')
def sound(tmp_path_factory):
    """Bytes of one-file bags of 60 strings: mcap in many chunks, in one, and sqlite3."""
    folder = tmp_path_factory.mktemp('sound')
    return Sound({
        'chunks': foreign(folder / 'a.mcap', 60, chunk_size=1000).read_bytes(),
        'no chunks': _unchunked(folder / 'b.mcap', 60),
        'sqlite3': (bags.write(folder / 'c', bags.strings(60), 'sqlite3') / 'c.db3').read_bytes(),
    })


def _unchunked(path: Path, count: int) -> bytes:
    from mcap.writer import Writer as McapWriter

    with path.open('wb') as file:
        writer = McapWriter(file, use_chunking=False)
        writer.start(profile='ros2', library='test')
        schema = writer.register_schema('std_msgs/msg/String', 'ros2msg', b'string data')
        channel = writer.register_channel(COUNT, 'cdr', schema)
        for number in range(count):
            ns = bags.at(number / 10)
            writer.add_message(
                channel, ns, serialize_message(String(data=f'{number} ' + 'x' * 200)), ns)
        writer.finish()
    return path.read_bytes()


@pytest.mark.parametrize('form', ['chunks', 'no chunks', 'sqlite3'])
@hypothesis.given(share=st.floats(0, 1))
@hypothesis.settings(
    max_examples=25, deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_of_a_bag_cut_short_the_beginning_is_read_and_the_rest_told(
    sound, tmp_path_factory, form, share
):
    data = sound[form]
    path = tmp_path_factory.mktemp('cut') / ('cut.db3' if form == 'sqlite3' else 'cut.mcap')
    kept = int(share * len(data))
    path.write_bytes(data[:kept])
    found, error = readable(path)
    assert found == list(range(len(found)))
    if kept == len(data):
        assert (len(found), error) == (60, '')
    elif len(found) < 60:
        assert str(path) in error, 'what is missing is told'
    if form != 'sqlite3':
        # at most a chunk is lost, and what stands before the first message
        assert len(found) >= 60 * (kept / len(data) - 0.25)


@pytest.mark.parametrize('form', ['chunks', 'no chunks', 'sqlite3'])
@hypothesis.given(data=st.data())
@hypothesis.settings(
    max_examples=25, deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_no_damage_makes_reading_fail_in_another_way(sound, tmp_path_factory, form, data):
    """Overwritten bytes: messages, or a BagError, but no other error and no endless reading."""
    content = bytearray(sound[form])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place: place + 4] = data.draw(st.binary(min_size=4, max_size=4))
    path = tmp_path_factory.mktemp('odd') / ('odd.db3' if form == 'sqlite3' else 'odd.mcap')
    path.write_bytes(content)
    try:
        with BagReader(path) as bag:
            assert sum(1 for _ in bag.messages()) <= 60
    except BagError as error:
        assert str(error)


def test_a_recording_that_was_killed_is_read_without_its_metadata(tmp_path):
    path = bags.write(tmp_path / 'bag', [*bags.strings(100)], compress=False)
    (path / 'metadata.yaml').unlink()
    file = path / 'bag.mcap'
    file.write_bytes(file.read_bytes()[:-2000])
    with BagReader(path) as bag:
        assert any('not finished' in note for note in bag.notes)
        assert 'cut short' in bag.damage
        count = sum(1 for _ in bag.messages(strict=False))
        assert count == bag.count > 0
    found, error = readable(path)
    assert len(found) == count and 'everything else was read' in error


def test_a_damaged_file_of_a_split_bag_does_not_hide_the_others(tmp_path):
    parts = [bags.write(tmp_path / f'{n}', [
        (COUNT, String(data=f'{10 * n + k} x'), 10.0 * n + k) for k in range(10)])
        for n in range(3)]
    bag = bags.split(tmp_path / 'bag', parts)
    middle = bag / 'bag_1.mcap'
    middle.write_bytes(middle.read_bytes()[:80])
    found, error = readable(bag)
    assert found == [*range(10), *range(20, 30)]
    assert 'bag_1.mcap' in error
    middle.unlink()
    with BagReader(bag) as reader:
        assert any('bag_1.mcap' in note for note in reader.notes)
        assert len(list(reader.messages())) == 20


def test_behind_a_broken_chunk_reading_goes_on(tmp_path):
    """The index is whole, so that only looking into the chunk shows it."""
    path = foreign(tmp_path / 'bag.mcap', 60, chunk_size=1000)
    content = bytearray(path.read_bytes())
    middle = content.index(b'zstd', len(content) // 3) + 40
    content[middle: middle + 8] = b'\xff' * 8
    path.write_bytes(content)
    found, error = readable(path)
    missing = sorted(set(range(60)).difference(found))
    assert found == sorted(found) and 0 < len(missing) < 10
    assert missing == list(range(missing[0], missing[-1] + 1)), 'one chunk'
    assert 'damaged after' in error and 'everything else was read' in error


@pytest.mark.parametrize('name, content, told', [
    ('bag.mcap', b'', 'is empty (0 bytes)'),
    ('bag.db3', b'', 'is empty (0 bytes)'),
    ('bag.mcap', b'no magic at all' * 10, 'is no MCAP file'),
    ('bag.db3', b'no database' * 100, 'cannot be read as a bag'),
    ('bag.bag', b'#ROSBAG V2.0\n', 'cannot be read as a ROS 1 bag'),
    ('bag.zip', b'PK', 'is no bag'),
], ids=str)
def test_what_is_no_bag_is_told(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content)
    text = bags.refused(lambda: read(path))
    assert told in text and str(path) in text


def test_what_is_no_folder_of_a_bag_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such bag'):
        BagReader(tmp_path / 'missing')
    assert 'neither metadata.yaml nor' in bags.refused(lambda: read(tmp_path))
    path = bags.write(tmp_path / 'bag', bags.strings(3))
    place = path / 'metadata.yaml'
    good = yaml.safe_load(place.read_text())
    for change, told in (
        ({'storage_identifier': 'rosbag_v2'}, "stored as 'rosbag_v2'"),
        ({'compression_mode': 'file', 'compression_format': 'lz4'}, "compressed as 'lz4'"),
        ({'relative_file_paths': ['gone.mcap']}, 'none of its files is there'),
        ({'relative_file_paths': []}, 'names no file'),
        ({'duration': 'long'}, 'is no metadata of a bag'),
    ):
        bad = {'rosbag2_bagfile_information': {**good['rosbag2_bagfile_information'], **change}}
        place.write_text(yaml.safe_dump(bad))
        assert told in bags.refused(lambda: read(path))
    for text in ('', '[1, 2]', ': {', '\x00'):
        place.write_text(text)
        assert 'is no metadata of a bag' in bags.refused(lambda: read(path))


@pytest.mark.parametrize('storage', STORAGES)
def test_a_bag_without_messages_can_be_looked_at(tmp_path, storage):
    from instructsam_ros.replay.writing import BagWriter

    with BagWriter(tmp_path / 'bag', storage) as bag:
        bag.add_topic('/image', Image)
    with BagReader(tmp_path / 'bag') as found:
        assert (found.count, found.duration, found.start_ns) == (0, 0.0, 0)
        assert list(found.messages()) == []
        assert list(found.topics) == ['/image']


def test_a_message_of_another_type_is_told_with_topic_and_time(tmp_path):
    with Writer(tmp_path / 'bag', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        store = get_typestore(Stores.ROS2_JAZZY)
        connection = writer.add_connection('/info', 'sensor_msgs/msg/CameraInfo', typestore=store)
        writer.write(connection, bags.at(2), serialize_message(String(data='no calibration')))
    text = bags.refused(lambda: read(tmp_path / 'bag'))
    assert '/info' in text and '1700000002.000 s' in text and 'CameraInfo' in text


# ---- clocks


def _backwards(path: Path, storage: str) -> Path:
    """A clock that is put back by a minute in the middle."""
    return bags.write(path, [
        (COUNT, String(data=f'{number} ' + 'x' * 20000), number / 10 - (60 if number >= 50 else 0))
        for number in range(200)], storage, compress=False)


@pytest.mark.parametrize('storage', STORAGES)
def test_where_the_clock_goes_back_the_order_is_that_of_recording(tmp_path, storage):
    path = _backwards(tmp_path / 'bag', storage)
    assert numbers(path) == list(range(200))
    with BagReader(path) as bag:
        assert any('clock went back by' in note for note in bag.notes)
        assert bag.start_ns == bags.at(-55.0) and bag.damage == ''


def test_where_the_clock_goes_back_between_files_the_order_is_theirs(tmp_path):
    parts = [bags.write(tmp_path / f'{n}', [
        (COUNT, String(data=f'{10 * n + k} x'), k - 100.0 * n) for k in range(10)])
        for n in range(2)]
    bag = bags.split(tmp_path / 'bag', parts)
    assert numbers(bag) == list(range(20))
    with BagReader(bag) as reader:
        assert any('clock went back by 109.0 s' in note for note in reader.notes)


@pytest.mark.parametrize('storage', STORAGES)
def test_a_writer_that_puts_one_topic_after_the_other_is_no_clock_that_goes_back(
    tmp_path, storage
):
    written = [(topic, String(data=f'{number} ' + 'x' * 20000), number / 10)
               for topic in ('/a', '/b') for number in range(100)]
    path = bags.write(tmp_path / 'bag', written, storage, compress=False)
    assert numbers(path) == [number for number in range(100) for _ in range(2)]
    with BagReader(path) as bag:
        assert bag.notes == []


def test_unindexed_files_are_read_in_the_order_of_recording(tmp_path):
    """What fast recording without chunks leaves; a jitter of its times is no clock that jumps."""
    path = tmp_path / 'fast.mcap'
    path.write_bytes(_unchunked(path, 30))
    assert numbers(path) == list(range(30))
    with BagReader(path) as bag:
        assert bag.topics[COUNT].count == 30 and bag.damage == '' and bag.notes == []
        chosen = [bags.number_of(one.message)
                  for one in bag.messages([COUNT], bags.at(1.0), bags.at(1.5))]
    assert chosen == [10, 11, 12, 13, 14]
