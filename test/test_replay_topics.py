# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The topics of one camera are found by type and contents, and asked for where several fit."""

from __future__ import annotations

from pathlib import Path

import bags
import numpy as np
import pytest

from instructsam_ros.bridge.images import (
    array_to_compressed,
    array_to_image,
    depth_to_compressed,
)
from instructsam_ros.bridge.interfaces import InstanceArray, TargetArray
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.topics import BagTopics, choose_topics
from instructsam_ros.replay.writing import BagWriter

from std_msgs.msg import String  # isort: skip

GREY = np.zeros((bags.HEIGHT, bags.WIDTH), np.uint8)
COLOR = np.zeros((bags.HEIGHT, bags.WIDTH, 3), np.uint8)
RANGE = np.full((bags.HEIGHT, bags.WIDTH), 900, np.uint16)


def choose(path: Path, **names) -> BagTopics:
    with BagReader(path) as bag:
        return choose_topics(bag, **names)


def messages(*topics) -> list:
    """One message each: (topic, message)."""
    return [(topic, message, 0.1) for topic, message in topics]


def test_everything_of_a_camera_is_found(tmp_path):
    path = bags.write(tmp_path / 'bag', [
        *bags.camera(3),
        *messages(
            ('/tf', bags.transform('camera', 'world', 1, 0)),
            ('/tf_static', bags.transform('optical', 'camera', 0, 0)),
            ('/instruction', String(data='the mug')), ('/status', String(data='ok')),
            ('/camera/camera/ground_truth/instances', InstanceArray(header=bags.header(0.1))),
            ('/camera/camera/ground_truth/meant_instances', InstanceArray()),
            ('/camera/camera/ground_truth/schedule', String(data='{}')),
            ('/camera/camera/ground_truth/targets', TargetArray()),
            ('/instructsam/instances', InstanceArray()), ('/instructsam/targets', TargetArray()))])
    found = choose(path)
    assert found == BagTopics(
        bags.IMAGE, bags.DEPTH, bags.INFO, '/instruction',
        '/camera/camera/ground_truth/instances', '/camera/camera/ground_truth/targets',
        '/camera/camera/ground_truth/meant_instances', '/camera/camera/ground_truth/schedule',
        ('/tf',), ('/tf_static',))
    assert found.named()['tf'] == '/tf' and 'notes' not in found.named()


def test_recorded_results_are_neither_camera_nor_truth(tmp_path):
    """A result bag can be replayed: overlay and label image are pictures too."""
    path = bags.write(tmp_path / 'bag', [
        *bags.camera(2),
        *messages(('/instructsam/instances', InstanceArray()),
                  ('/instructsam/overlay', array_to_image(COLOR, 'rgb8', bags.header(0))),
                  ('/instructsam/overlay/compressed', array_to_compressed(COLOR, bags.header(0))),
                  ('/instructsam/label_image', array_to_image(RANGE, '16UC1', bags.header(0))))])
    found = choose(path)
    assert (found.image, found.depth, found.truth_instances) == (bags.IMAGE, bags.DEPTH, None)


@pytest.mark.parametrize('compressed_only', [True, False])
def test_compressed_topics_are_taken_where_there_are_no_raw_ones(tmp_path, compressed_only):
    packed = messages(
        ('/cam/color/image_raw/compressed', array_to_compressed(COLOR, bags.header(0))),
        ('/cam/depth/image_raw/compressedDepth', depth_to_compressed(RANGE, bags.header(0))),
        ('/cam/color/camera_info', bags.info(0)))
    raw = messages(
        ('/cam/color/image_raw', array_to_image(COLOR, 'rgb8', bags.header(0))),
        ('/cam/depth/image_raw', array_to_image(RANGE, '16UC1', bags.header(0))))
    path = bags.write(tmp_path / 'bag', packed if compressed_only else [*packed, *raw])
    found = choose(path)
    chosen = (found.image, found.depth, found.camera_info)
    ends = ('/compressed', '/compressedDepth') if compressed_only else ('', '')
    assert chosen == (f'/cam/color/image_raw{ends[0]}', f'/cam/depth/image_raw{ends[1]}',
                      '/cam/color/camera_info')


def test_infrared_is_not_taken_for_colour_and_depth_of_another_frame_not_for_registered(tmp_path):
    """What a RealSense driver records with everything switched on."""
    path = bags.write(tmp_path / 'bag', [
        *bags.camera(2),
        *messages(
            ('/camera/infra1/image_rect_raw', array_to_image(GREY, 'mono8', bags.header(0, 'ir'))),
            ('/camera/infra1/camera_info', bags.info(0, 'ir')),
            ('/camera/depth/image_rect_raw', array_to_image(
                RANGE, '16UC1', bags.header(0, 'depth_frame'))),
            ('/camera/thermal/image', array_to_image(RANGE, 'mono16', bags.header(0, 'heat'))))])
    found = choose(path)
    assert (found.image, found.depth, found.camera_info, found.notes) == (
        bags.IMAGE, bags.DEPTH, bags.INFO, ())


def test_two_cameras_are_listed_and_the_argument_named(tmp_path):
    left, right = '/left/image_raw', '/right/image_raw'
    path = bags.write(tmp_path / 'bag', [
        *messages((left, bags.image(0, 0, 'l')), (right, bags.image(1, 0, 'r')),
                  ('/left/depth/image_raw', bags.depth(0, 0, 'l')),
                  ('/right/depth/image_raw', bags.depth(0, 0, 'r')),
                  ('/left/camera_info', bags.info(0, 'l')),
                  ('/right/camera_info', bags.info(0, 'r')))])
    text = bags.refused(lambda: choose(path))
    assert left in text and right in text and '--image' in text
    found = choose(path, image=right)
    assert (found.depth, found.camera_info) == ('/right/depth/image_raw', '/right/camera_info')
    crossed = choose(path, image=right, depth='/left/depth/image_raw',
                     camera_info='/left/camera_info')
    assert (crossed.depth, crossed.camera_info) == ('/left/depth/image_raw', '/left/camera_info')


def test_several_depth_topics_and_calibrations_are_asked_about(tmp_path):
    path = bags.write(tmp_path / 'bag', [
        *messages(('/color', bags.image(0, 0)), ('/depth_a', bags.depth(0, 0)),
                  ('/depth_b', bags.depth(0, 0)))])
    assert '--depth' in bags.refused(lambda: choose(path))
    assert choose(path, depth='/depth_b').depth == '/depth_b'
    assert choose(path, use_depth=False).depth is None
    path = bags.write(tmp_path / 'more', [
        *messages(('/color', bags.image(0, 0)), ('/a/info', bags.info(0)),
                  ('/b/info', bags.info(0)))])
    text = bags.refused(lambda: choose(path))
    assert '/a/info, /b/info' in text and '--camera-info' in text


def test_what_is_missing_is_told_with_what_is_there(tmp_path):
    path = bags.write(tmp_path / 'bag', [*bags.strings(2), *messages(('/info', bags.info(0)))])
    text = bags.refused(lambda: choose(path))
    for part in ('no image topic', 'sensor_msgs/msg/Image', '/count (std_msgs/msg/String, 2)',
                 '/info', '--image'):
        assert part in text
    text = bags.refused(lambda: choose(path, image='/camera'))
    assert 'no topic /camera (--image)' in text and '/count' in text
    assert 'is std_msgs/msg/String, expected' in bags.refused(lambda: choose(path, image='/count'))


def test_a_camera_without_depth_or_calibration_is_2d_and_said(tmp_path):
    path = bags.write(tmp_path / 'bag', messages(('/color', bags.image(0, 0))))
    found = choose(path)
    assert (found.depth, found.camera_info) == (None, None)
    assert [note.partition(':')[0] for note in found.notes] == [
        'no depth topic', 'no camera_info topic']


def test_a_depth_that_may_not_be_registered_and_a_lone_calibration_are_said(tmp_path):
    path = bags.write(tmp_path / 'bag', messages(
        ('/color', bags.image(0, 0)), ('/depth', bags.depth(0, 0, 'elsewhere')),
        ('/calibration/info', bags.info(0, 'elsewhere'))))
    found = choose(path)
    assert (found.depth, found.camera_info) == ('/depth', '/calibration/info')
    assert any("'elsewhere'" in note and '--depth-camera-info' in note for note in found.notes)
    assert any('/calibration/info is taken' in note for note in found.notes)


def test_depth_of_another_camera_comes_with_its_calibration(tmp_path):
    path = bags.write(tmp_path / 'bag', messages(
        ('/cam/color/image', bags.image(0, 0)), ('/cam/color/camera_info', bags.info(0)),
        ('/cam/depth/image', bags.depth(0, 0, 'elsewhere')),
        ('/cam/depth/camera_info', bags.info(0, 'elsewhere')), ('/more', bags.info(0, 'else'))))
    found = choose(path)
    assert found.depth_camera_info == '/cam/depth/camera_info'
    note, = found.notes
    assert 'brought into the picture by /cam/depth/camera_info and TF' in note
    assert choose(path, depth_camera_info='/more').depth_camera_info == '/more'
    assert '--depth-camera-info' in bags.refused(
        lambda: choose(path, depth_camera_info='/cam/depth/image'))


def test_depth_is_no_picture(tmp_path):
    path = bags.write(tmp_path / 'bag', bags.camera(1))
    assert 'holds depth' in bags.refused(lambda: choose(path, image=bags.DEPTH))


def test_a_bag_without_messages_is_told(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.add_topic('/instruction', String)
    assert 'no messages' in bags.refused(lambda: choose(tmp_path / 'bag'))


def test_the_truth_can_be_named(tmp_path):
    path = bags.write(tmp_path / 'bag', [
        *bags.camera(1),
        *messages(('/labels/instances', InstanceArray()), ('/wanted', InstanceArray()))])
    assert choose(path).truth_instances is None
    assert choose(path, truth='/labels/instances').truth_instances == '/labels/instances'
    found = choose(path, truth='/wanted')
    assert (found.truth_instances, found.meant_instances) == (None, '/wanted')
    assert '--truth' in bags.refused(lambda: choose(path, truth='/nothing'))


def test_of_several_instruction_topics_one_must_be_named(tmp_path):
    path = bags.write(tmp_path / 'bag', [
        *bags.camera(1),
        *messages(('/a/instruction', String()), ('/b/instruction', String()))])
    assert '--instruction-topic' in bags.refused(lambda: choose(path))
    assert choose(path, instruction='/b/instruction').instruction == '/b/instruction'
