# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The live node as a process: instructions over DDS, results that answer them, in time."""

import time

import numpy as np
import pytest
from live import (
    NodeProcess,
    Picture,
    Robot,
    compressed_pair,
    in_time,
    seconds_of,
    wait_until,
)

from instructsam_ros.bridge.images import array_to_image
from instructsam_ros.bridge.interfaces import InstructionStatus, Segment, SetInstruction, Target
from instructsam_ros.bridge.results import masks_of

from geometry_msgs.msg import TransformStamped  # isort: skip
from lifecycle_msgs.msg import Transition  # isort: skip
from rcl_interfaces.srv import (  # isort: skip
    DescribeParameters,
    ListParameters,
    SetParameters,
)
from rclpy.parameter import Parameter  # isort: skip
from sensor_msgs.msg import CompressedImage, Image, PointCloud2  # isort: skip
from std_msgs.msg import Header, String  # isort: skip
from std_srvs.srv import Trigger  # isort: skip
from tf2_ros import StaticTransformBroadcaster  # isort: skip
from vision_msgs.msg import Detection2DArray, Detection3DArray, LabelInfo  # isort: skip
from visualization_msgs.msg import Marker, MarkerArray  # isort: skip

Status = InstructionStatus


def test_an_instruction_is_answered_with_instances_and_targets(live):
    _, robot = live
    robot.film(rate=15)
    for topic, kind in (('detections', Detection2DArray), ('detections_3d', Detection3DArray),
                        ('label_image', Image), ('label_info', LabelInfo), ('points', PointCloud2),
                        ('markers', MarkerArray), ('overlay', Image),
                        ('overlay/compressed', CompressedImage)):  # fmt: skip
        robot.listen(kind, topic)
    asked = time.monotonic()
    robot.instruction.publish(String(data='the  red thing in 50 ms'))
    targets = robot.next('targets', since=0)
    assert time.monotonic() - asked < in_time(2.0)
    instances = robot.next('instances', since=0)
    assert instances.instruction == 'the red thing in 50 ms'
    number = instances.instruction_id
    assert (instances.height, instances.width) == (120, 160)
    assert instances.header.frame_id == 'camera'
    assert [one.phrase for one in instances.instances] == ['red thing']
    mask = masks_of(instances)[0]
    # 30 x 30 pixels around column 40, row 60
    assert mask.sum() == 900
    assert np.argwhere(mask).mean(axis=0) == pytest.approx([59.5, 39.5])

    assert targets.instruction_id == number
    target = targets.targets[0]
    assert (target.id, target.phrase) == (instances.instances[0].id, 'red thing')
    # square of 30 px at 0.8 m with f = 144 px, left of the centre; exact but for the rim
    assert target.centroid.z == pytest.approx(0.8, abs=0.01)
    assert target.centroid.x == pytest.approx((39.5 - 80) / 144 * 0.8, abs=0.01)
    # no frame is named, so gravity is unknown
    assert target.status & Target.STATUS_NO_TF

    stamp = seconds_of(instances.header)
    for topic in ('detections', 'detections_3d', 'label_image', 'points', 'overlay',
                  'overlay/compressed'):
        message = robot.next(topic, since=0)
        assert message.header.frame_id == 'camera'
        assert abs(seconds_of(message.header) - stamp) < 10
    label = robot.next('label_image', since=0)
    assert label.encoding == '16UC1'
    legend = robot.next('label_info', since=0)
    assert legend.class_map[1].class_name.startswith('red thing')
    assert robot.next('points', since=0).width > 500
    wait_until(lambda: (number, Status.STATE_FOUND) in robot.states())
    assert robot.states()[:3] == [
        (number, Status.STATE_ACCEPTED), (number, Status.STATE_ACTIVE),
        (number, Status.STATE_FOUND)]

    # nothing found is a result too, and what is taken back leaves no marker
    number = robot.ask('the green thing', source='planner')
    empty = robot.next('instances', lambda one: one.instruction_id == number)
    assert list(empty.instances) == []
    wait_until(lambda: (number, Status.STATE_NOT_FOUND) in robot.states())
    assert robot.call(robot.clear, Trigger.Request()).success
    robot.next('markers', lambda one: [marker.action for marker in one.markers]
               == [Marker.DELETEALL], since=0)
    count = len(robot.received['instances'])
    time.sleep(0.3)
    assert len(robot.received['instances']) <= count + 1
    assert robot.states()[-1] == (number, Status.STATE_CLEARED)


def test_every_result_answers_the_instruction_whose_number_it_has(live):
    _, robot = live
    robot.film(rate=30)
    colors = ('red', 'blue')
    given = {}
    for turn in range(12):
        color = colors[turn % 2]
        given[robot.ask(f'the {color} thing in 80 ms')] = color
        # in the middle of an inference, at every phase of it
        time.sleep(0.05 + 0.017 * turn)
    last = max(given)
    robot.next('instances', lambda one: one.instruction_id == last, since=0)
    answered = set()
    for _, message in robot.received['instances']:
        color = given[message.instruction_id]
        assert message.instruction == f'the {color} thing in 80 ms'
        assert [one.phrase for one in message.instances] == [f'{color} thing']
        answered.add(message.instruction_id)
    assert len(answered) > 6
    # in order: an old instruction never comes back
    numbers = [message.instruction_id for _, message in robot.received['instances']]
    assert numbers == sorted(numbers)
    assert [one.instruction_id for _, one in robot.received['targets']] == numbers[
        :len(robot.received['targets'])]


def test_fifty_parallel_one_shot_requests_are_answered_in_turn(live):
    _, robot = live
    robot.film(rate=15)
    standing = robot.ask('the blue thing in 30 ms')
    robot.next('targets')
    before = len(robot.received['instances'])
    order = []
    futures = []
    for number in range(50):
        text = f'the red thing in 20 ms, number {number}'
        future = robot.segment.call_async(Segment.Request(text=text))
        future.add_done_callback(lambda done: order.append(done.result().instances.instruction))
        futures.append((text, future))
    for text, future in futures:
        response = robot.result(future)
        assert response.success, response.message
        assert response.instances.instruction == text
        assert response.instances.instruction_id == response.targets.instruction_id == 0
        assert [one.phrase for one in response.instances.instances] == ['red thing']
    assert order == [text for text, _ in futures]
    # the standing instruction had its turns meanwhile, and is untouched
    between = robot.received['instances'][before:]
    assert len(between) > 10
    assert {message.instruction_id for _, message in between} == {standing}
    assert robot.states()[-1] == (standing, Status.STATE_FOUND)


def test_one_shot_requests_with_a_picture_of_their_own_and_unusable_ones(live):
    _, robot = live
    picture = Picture(80, 64)
    own = array_to_image(picture.image, 'rgb8', Header(frame_id='file'))
    answer = robot.call(robot.segment, Segment.Request(text='the red thing', image=own))
    assert answer.success, answer.message
    assert answer.instances.header.frame_id == 'file'
    assert answer.instances.width == 80
    target = answer.targets.targets[0]
    assert target.status & 3 == 3  # no depth, no camera
    assert (target.centroid.x, target.pose.covariance[0]) == (0, -1)
    for request, cause in (
            (Segment.Request(text='', image=own), 'empty'),
            (Segment.Request(text='x' * 100_000, image=own), '100000 characters'),
            (Segment.Request(text='crash', image=own), 'the network crashed'),
            (Segment.Request(text='red', image=Image(
                width=4, height=4, encoding='rgb8', step=12, data=b'123')), 'bytes')):
        refused = robot.call(robot.segment, request)
        assert not refused.success
        assert cause in refused.message
    assert robot.call(robot.segment, Segment.Request(text='red', image=own)).success


def test_voice_topic_and_planner(live):
    process, robot = live
    robot.film(rate=15)
    robot.voice.publish(String(data='{"partial": "the red"}'))
    robot.voice.publish(String(data='{"text": "um okay find the the red thing"}'))
    answer = robot.next('instances', since=0)
    assert answer.instruction == 'find the red thing'
    first = answer.instruction_id
    # a planner outranks voice and topic for a while
    request = SetInstruction.Request(text='the blue thing', source='planner')
    request.hold.sec = 60
    assert robot.call(robot.set_instruction, request).instruction_id == first + 1
    robot.voice.publish(String(data='the red thing'))
    status = robot.next('instruction_status',
                        lambda one: one.state == Status.STATE_REJECTED, since=0)
    assert (status.instruction_id, status.source) == (first + 2, 'voice')
    assert '"planner" is held' in status.message
    # what is latched is the state of the standing instruction
    wait_until(lambda: robot.states()[-1][0] == first + 1)
    request = SetInstruction.Request(text='the red thing', source='other')
    refused = robot.call(robot.set_instruction, request)
    assert (refused.accepted, refused.instruction_id) == (False, 0)
    assert 'held' in refused.message
    robot.call(robot.clear, Trigger.Request())
    robot.voice.publish(String(data='the red thing'))
    wait_until(lambda: robot.states()[-1][1] == Status.STATE_FOUND)
    robot.voice.publish(String(data='never mind'))
    wait_until(lambda: robot.states()[-1][1] == Status.STATE_CLEARED)
    assert process.said(f'instruction {first} (voice): find the red thing')


def test_remapped_compressed_topics_and_a_parameter_file(ros_domain, tmp_path):
    file = tmp_path / 'preset.yaml'
    file.write_text('/**:\n  ros__parameters:\n    image_transport: compressed\n'
                    '    depth_transport: compressedDepth\n    instruction: the red thing\n'
                    '    max_rate: 5\n')
    process = NodeProcess(ros=[
        '--params-file', str(file), '-r', 'image:=/cam/image_raw', '-r', 'depth:=/cam/depth',
        '-r', '__ns:=/arm', '-p', 'jpeg_quality:=50'])
    robot = Robot(namespace='arm')
    try:
        process.wait_for('ready: images from /cam/image_raw/compressed')
        assert 'no picture has come on /cam/image_raw/compressed' in robot.search().message
        image = robot.node.create_publisher(CompressedImage, '/cam/image_raw/compressed', 5)
        depth = robot.node.create_publisher(CompressedImage, '/cam/depth/compressedDepth', 5)
        wait_until(lambda: image.get_subscription_count() and depth.get_subscription_count())
        began = time.monotonic()
        while len(robot.received['targets']) < 4:
            assert time.monotonic() - began < 30, process.report()
            for publisher, message in zip(
                    (image, depth), compressed_pair(Picture(), time.time()), strict=True):
                publisher.publish(message)
            time.sleep(0.03)
        found = robot.received['instances'][0][1]
        assert [one.phrase for one in found.instances] == ['red thing']
        arrivals = [when for when, _ in robot.received['targets']][:4]
        # at most 5 per second: three gaps of 0.2 s, less what a busy machine delivers late
        assert arrivals[3] - arrivals[0] > 0.4
    finally:
        robot.close()
        assert process.end() == 0, process.report()


class Swaying:
    """Two squares seen by a camera that turns to and fro; depth has 2 mm of noise."""

    def __init__(self, pixels):
        self._still = Picture()
        self._pixels = pixels
        self._rng = np.random.default_rng(0)
        self.camera = self._still.camera

    @property
    def image(self):
        return np.roll(self._still.image, self._shift(), axis=1)

    @property
    def depth(self):
        noisy = self._still.depth + self._rng.normal(0, 2, self._still.depth.shape)
        return np.roll(noisy.round().astype(np.uint16), self._shift(), axis=1)

    def _shift(self):
        # to and fro once in 4 s
        return round(self._pixels * np.sin(time.monotonic() * np.pi / 2))


def ids_of(message):
    return [one.id for one in message]


def test_ids_last_while_the_camera_sways_and_a_new_instruction_has_new_ones(live):
    _, robot = live
    for topic, kind in (('detections', Detection2DArray), ('detections_3d', Detection3DArray),
                        ('label_info', LabelInfo), ('markers', MarkerArray)):
        robot.listen(kind, topic)
    # more than half a square to each side
    robot.film(Swaying(18), rate=15)
    number = robot.ask('the red and the blue thing')
    wait_until(lambda: len(robot.received['targets']) >= 30)
    rois = [one.instances[0].roi.x_offset for _, one in robot.received['instances']]
    assert max(rois) - min(rois) > 15
    first = ids_of(robot.received['instances'][0][1].instances)
    assert len(set(first)) == 2
    for topic in ('instances', 'targets'):
        for _, message in robot.received[topic]:
            assert message.instruction_id == number
            assert ids_of(getattr(message, topic)) == first
    # the same in every output
    texts = [str(identity) for identity in first]
    assert ids_of(robot.next('detections', since=0).detections) == texts
    assert ids_of(robot.next('detections_3d', since=0).detections) == texts
    names = [one.class_name for one in robot.next('label_info', since=0).class_map]
    assert names == ['background', f'red thing #{first[0]}', f'blue thing #{first[1]}']
    shown = {one.id for one in robot.next('markers', since=0).markers if one.ns == 'box'}
    assert shown == set(first)
    # a search in between stands apart: places in its own list
    answer = robot.search('the blue thing')
    assert ids_of(answer.instances.instances) == ids_of(answer.targets.targets) == [1]
    assert ids_of(robot.next('targets').targets) == first
    # the same words again are a new instruction
    again = robot.ask('the red and the blue thing')
    second = ids_of(robot.next('targets', lambda one: one.instruction_id == again).targets)
    assert min(second) > max(first)

    setter = robot.node.create_client(SetParameters, '/instructsam/set_parameters')

    def change(**values):
        request = SetParameters.Request(parameters=[
            Parameter(name.replace('__', '.'), value=value).to_parameter_msg()
            for name, value in values.items()])
        assert all(one.successful for one in robot.call(setter, request).results)

    try:
        # pictures by themselves
        change(tracking__enabled=False)
        robot.next('targets', lambda one: ids_of(one.targets) == [1, 2])
        change(tracking__enabled=True)
        third = ids_of(robot.next('targets', lambda one: ids_of(one.targets) != [1, 2]).targets)
        assert min(third) > max(second)
        # places are filtered once a frame is named in which objects rest
        robot.film(Swaying(0), rate=15)

        def heights():
            """Of the first target's centre in twenty pictures, and its id."""
            box = robot.received['targets']
            begin = len(box)
            wait_until(lambda: len(box) >= begin + 25)
            found = [message.targets[0] for _, message in box[begin + 5 : begin + 25]]
            return np.std([one.pose.pose.position.z for one in found]), {one.id for one in found}

        raw, _ = heights()
        broadcaster = StaticTransformBroadcaster(robot.node)
        transform = TransformStamped()
        transform.header.frame_id, transform.child_frame_id = 'odom', 'camera'
        transform.transform.rotation.w = 1.0
        broadcaster.sendTransform(transform)
        change(tracking_frame='odom')
        # another frame is another beginning
        robot.next('targets', lambda one: one.targets[0].id > max(third))
        filtered, ids = heights()
        # a running mean of five pictures alone would more than halve it
        assert filtered < 0.7 * raw
        assert len(ids) == 1 and min(ids) > max(third)
    finally:
        change(tracking_frame='', tracking__enabled=True)


def test_ids_go_on_after_the_node_was_inactive(live):
    process, robot = live
    robot.film(rate=15)
    robot.ask('the red thing')
    first = robot.next('targets').targets[0].id
    assert robot.transit(Transition.TRANSITION_DEACTIVATE)
    since = len(process.lines)
    assert robot.transit(Transition.TRANSITION_ACTIVATE)
    process.wait_for('ready:', since)
    assert robot.next('targets').targets[0].id == first + 1


def test_parameters_have_descriptions_and_ranges_and_are_validated(live):
    _, robot = live
    node = robot.node
    client = node.create_client(ListParameters, '/instructsam/list_parameters')
    names = robot.call(client, ListParameters.Request()).result.names
    for name in ('autostart', 'model', 'device', 'instruction', 'image_transport', 'use_depth',
                 'target_frame', 'gravity_frame', 'tracking_frame', 'tracking.enabled',
                 'tracking.time_to_live', 'tf_timeout', 'sync_slop', 'score_threshold',
                 'max_rate', 'wake_word', 'jpeg_quality', 'use_sim_time'):
        assert name in names
    assert any('qos_overrides./image.subscription.reliability' in name for name in names)
    client = node.create_client(DescribeParameters, '/instructsam/describe_parameters')
    own = [name for name in names if not name.startswith('qos_overrides.') and name not in (
        'use_sim_time', 'start_type_description_service')]
    for one in robot.call(client, DescribeParameters.Request(names=own)).descriptors:
        assert one.description, one.name
    setter = node.create_client(SetParameters, '/instructsam/set_parameters')

    def change(name, value):
        request = SetParameters.Request(parameters=[Parameter(name, value=value)
                                                    .to_parameter_msg()])
        return robot.call(setter, request).results[0]

    assert change('score_threshold', 0.9).successful
    for name, value in (('score_threshold', 1.5), ('jpeg_quality', 0), ('model', 'x'),
                        ('max_depth', 0.02), ('target_frame', '/odom'),
                        ('tracking_frame', '/odom'), ('tracking.max_speed', -1.0),
                        ('wake_word', 'yes')):
        result = change(name, value)
        assert result.successful == (name == 'wake_word'), result
        assert result.successful or result.reason
    # the changed threshold is in force: the stand-in gives the first patch 0.85
    robot.film()
    robot.ask('the red thing')
    assert list(robot.next('instances').instances) == []
    assert change('score_threshold', 0.0).successful
    robot.next('instances', lambda one: len(one.instances) == 1)
