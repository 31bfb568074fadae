# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is written is read by rosbags and the MCAP tools, and outlives troubles as far as it can."""

from __future__ import annotations

import errno
import os
import resource
import stat
import warnings
from pathlib import Path

import bags
import numpy as np
import pytest
import yaml
from mcap.reader import NonSeekingReader, SeekingReader, make_reader
from mcap.records import Chunk, Statistics
from mcap.stream_reader import StreamReader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability, QosReliability

from instructsam_ros.bridge.images import array_to_image
from instructsam_ros.bridge.interfaces import Instance, InstanceArray, Target, TargetArray
from instructsam_ros.replay.errors import BagError, BagWriteError
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.writing import BagWriter

from sensor_msgs.msg import Image  # isort: skip
from std_msgs.msg import String  # isort: skip
from vision_msgs.msg import Detection2DArray  # isort: skip
from visualization_msgs.msg import Marker, MarkerArray  # isort: skip

MASK = array_to_image(np.full((2, 3), 255, np.uint8), 'mono8', bags.header(0))
RESULTS = [
    ('/instructsam/instances', InstanceArray(
        header=bags.header(1), instruction_id=7, instruction='the mug', height=48, width=64,
        instances=[Instance(id=3, phrase='mug', score=0.5, mask=MASK)]), 1.0),
    ('/instructsam/targets', TargetArray(
        header=bags.header(1), instruction_id=7,
        targets=[Target(id=3, phrase='mug', status=Target.STATUS_OCCLUDED)]), 1.0),
    ('/instructsam/detections', Detection2DArray(header=bags.header(1)), 1.0),
    ('/instructsam/markers', MarkerArray(markers=[Marker(ns='mug', action=Marker.DELETE)]), 1.0),
    ('/tf_static', bags.transform('a', 'b', 1.0, 0), 0.0),
    *bags.camera(5)]


@pytest.fixture(params=['mcap', 'mcap uncompressed', 'sqlite3'])
def written(request, tmp_path):
    storage, _, plain = request.param.partition(' ')
    return bags.write(tmp_path / 'bag', RESULTS, storage, compress=not plain)


def test_rosbags_reads_it_without_a_warning(written):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with AnyReader([written]) as reader:
            # compares the type hashes too
            found = [(one.topic, reader.deserialize(data, one.msgtype))
                     for one, _, data in reader.messages()]
            qos = {one.topic: one.ext.offered_qos_profiles[0] for one in reader.connections}
    assert len(found) == len(RESULTS)
    target = dict(found)['/instructsam/targets'].targets[0]
    assert (target.id, target.phrase, target.status) == (3, 'mug', target.STATUS_OCCLUDED)
    instance = dict(found)['/instructsam/instances'].instances[0]
    assert instance.mask.data.tolist() == [255] * 6
    assert qos['/tf_static'].durability == QosDurability.TRANSIENT_LOCAL
    assert qos[bags.IMAGE].durability == QosDurability.VOLATILE
    assert {one.reliability for one in qos.values()} == {QosReliability.RELIABLE}


@pytest.mark.parametrize('compress', [True, False])
def test_the_mcap_tools_read_it_without_a_warning(tmp_path, compress):
    path = bags.write(tmp_path / 'bag', RESULTS, compress=compress) / 'bag.mcap'
    with warnings.catch_warnings(), path.open('rb') as file:
        warnings.simplefilter('error')
        chunks = [one for one in StreamReader(file, validate_crcs=True).records
                  if isinstance(one, Chunk)]
        assert chunks == []
        file.seek(0)
        reader = make_reader(file, validate_crcs=True)
        assert isinstance(reader, SeekingReader)
        assert reader.get_header().profile == 'ros2'
        summary = reader.get_summary()
        assert summary is not None and isinstance(summary.statistics, Statistics)
        assert summary.statistics.message_count == len(RESULTS)
        assert {one.encoding for one in summary.schemas.values()} == {'ros2msg'}
        assert 'STATUS_OCCLUDED' in next(
            one.data.decode() for one in summary.schemas.values()
            if one.name == 'instructsam_ros/msg/TargetArray'), 'constants, for people and tools'
        by_index = [(channel.topic, message.log_time)
                    for _, channel, message in reader.iter_messages()]
        file.seek(0)
        by_stream = [(channel.topic, message.log_time)
                     for _, channel, message in NonSeekingReader(file).iter_messages()]
        file.seek(0)
        decoding = make_reader(file, decoder_factories=[DecoderFactory()])
        decoded = {channel.topic: message
                   for _, channel, _, message in decoding.iter_decoded_messages()}
    assert sorted(by_index) == sorted(by_stream) and len(by_index) == len(RESULTS)
    assert [time for _, time in by_index] == sorted(time for _, time in by_index)
    assert decoded['/instructsam/targets'].targets[0].phrase == 'mug'
    assert bytes(decoded['/instructsam/instances'].instances[0].mask.data) == b'\xff' * 6
    assert decoded[bags.INFO].k[0] == 50.0


def test_our_own_reader_reads_it(written):
    with BagReader(written) as bag:
        assert bag.notes == [] and bag.damage == ''
        found = [(one.topic, one.message, one.bag_ns) for one in bag.messages()]
    expected = sorted(RESULTS, key=lambda one: one[2])
    assert found == [(topic, message, bags.at(t)) for topic, message, t in expected]


def test_metadata_is_of_a_version_that_humble_reads(written):
    document = yaml.safe_load((written / 'metadata.yaml').read_text())
    information = document['rosbag2_bagfile_information']
    # Humble takes the profiles as text; newer versions have a list
    profiles = information['topics_with_message_count'][0]['topic_metadata']
    assert information['version'] <= 8 and isinstance(profiles['offered_qos_profiles'], str)
    assert information['custom_data'] is None
    assert information['message_count'] == len(RESULTS)


def test_topics_without_messages_are_in_the_bag(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.add_topic('/status', String, latched=True)
        bag.add_topic('/status', String)
        bag.write('/image', bags.image(0, 0), bags.at(0))
        assert bag.count == 1
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.topics['/status'].latched and bag.topics['/status'].count == 0


def test_topics_are_copied_as_they_are(tmp_path):
    """Also of types that nobody knows here."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg('int8 a\nfloat64 b', 'acme_msgs/msg/Odd'))
    message = store.types['acme_msgs/msg/Odd'](1, 2.5)
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection('/odd', 'acme_msgs/msg/Odd', typestore=store)
        writer.write(connection, bags.BEGIN, store.serialize_cdr(message, 'acme_msgs/msg/Odd'))
    with BagReader(tmp_path / 'bag') as bag, BagWriter(tmp_path / 'copy') as copy:
        for one in bag.topics.values():
            copy.add_raw_topic(one.name, one.type, one.definition, is_idl=one.is_idl)
        for raw in bag.raw_messages():
            copy.write_raw(raw.channel.topic, raw.data, raw.bag_ns)
    with AnyReader([tmp_path / 'copy']) as reader:
        ((connection, _, data),) = reader.messages()
        assert reader.deserialize(data, connection.msgtype).b == 2.5


def test_a_topic_has_one_type(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.write('/a', String(data='x'), bags.BEGIN)
        with pytest.raises(BagError, match='/a has messages of type std_msgs/msg/String'):
            bag.write('/a', bags.image(0, 0), bags.BEGIN)
        with pytest.raises(TypeError, match='not a message class'):
            bag.write('/b', 'text', bags.BEGIN)
        bag.write('/a', String(data='y'), bags.BEGIN)
    with BagReader(tmp_path / 'bag') as bag:
        assert [one.message.data for one in bag.messages()] == ['x', 'y']


# ---- troubles


def test_what_exists_is_not_overwritten(tmp_path):
    path = bags.write(tmp_path / 'bag', RESULTS)
    with pytest.raises(BagError, match='exists already: choose another name'):
        BagWriter(path)
    with BagReader(path) as bag:
        assert bag.count == len(RESULTS)


def test_where_nothing_can_be_written_it_is_told(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(BagWriteError, match='cannot be written: Not a directory'):
        BagWriter(tmp_path / 'file' / 'bag')
    with pytest.raises(BagError, match="storage 'rosbag' is unknown"):
        BagWriter(tmp_path / 'bag', 'rosbag')  # type: ignore[arg-type]
    if os.getuid():
        place = tmp_path / 'closed'
        place.mkdir()
        place.chmod(stat.S_IRUSR | stat.S_IXUSR)
    else:
        # not even root may write here
        place = Path('/proc')
    with pytest.raises(BagWriteError, match=f'{place}/bag: cannot be written: '):
        BagWriter(place / 'bag')


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_after_an_error_elsewhere_the_bag_is_whole_and_says_that_it_is_unfinished(
    tmp_path, storage
):
    with pytest.raises(KeyboardInterrupt), BagWriter(tmp_path / 'bag', storage) as bag:
        for topic, message, seconds in bags.strings(10):
            bag.write(topic, message, bags.at(seconds))
        raise KeyboardInterrupt
    with BagReader(tmp_path / 'bag') as found:
        assert found.count == 10 and found.damage == '' and found.notes == []
    text = (tmp_path / 'bag' / 'metadata.yaml').read_text()
    custom = yaml.safe_load(text)['rosbag2_bagfile_information']['custom_data']
    assert custom == {'unfinished': 'KeyboardInterrupt: '}


def _file_limit(size: int):
    """No file of this process may grow beyond ``size`` bytes: writing fails as on a full disk."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


def test_when_the_disk_is_full_what_was_written_is_kept_and_readable(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    message = array_to_image(pixels, 'rgb8', bags.header(0))
    try:
        with (pytest.raises(BagWriteError, match='writing failed after .* is kept there') as caught,
              BagWriter(tmp_path / 'bag', compress=False) as bag):
            _file_limit(5_000_000)
            for number in range(20):
                bag.write(bags.IMAGE, message, bags.at(number / 10))
    finally:
        _file_limit(resource.RLIM_INFINITY)
    with pytest.raises(BagWriteError, match='nothing more can be written'):
        bag.write(bags.IMAGE, message, bags.at(3))
    assert 'File too large' in str(caught.value) and str(tmp_path / 'bag') in str(caught.value)
    assert not (tmp_path / 'bag' / 'metadata.yaml').exists(), 'not to be taken for complete'
    with BagReader(tmp_path / 'bag') as found:
        assert 'cut short' in found.damage
        kept = [one.message for one in found.messages(strict=False)]
    # two of 0.92 MB fill a chunk, and what did not fill one is lost
    assert len(kept) == 4 and all(one == message for one in kept)


def test_when_the_disk_is_full_at_the_end_it_is_told_too(tmp_path):
    try:
        with (pytest.raises(BagWriteError, match='writing failed after 1 messages'),
              BagWriter(tmp_path / 'bag') as bag):
            bag.write('/a', String(data='x' * 1000), bags.BEGIN)
            _file_limit(100)
    finally:
        _file_limit(resource.RLIM_INFINITY)


def test_a_full_disk_is_called_so(tmp_path, monkeypatch):
    bag = BagWriter(tmp_path / 'bag')
    bag.add_topic('/image', Image)

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(bag._writer, 'write', full)
    with pytest.raises(BagWriteError, match='after 0 messages: the disk is full'), bag:
        bag.write('/image', bags.image(0, 0), bags.BEGIN)


def test_the_same_messages_give_the_same_bytes(tmp_path):
    one, other = (bags.write(tmp_path / name / 'bag', RESULTS) for name in ('a', 'b'))
    assert (one / 'bag.mcap').read_bytes() == (other / 'bag.mcap').read_bytes()
    assert Path(one / 'metadata.yaml').read_text() == Path(other / 'metadata.yaml').read_text()
