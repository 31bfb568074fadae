# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The life of the node: transitions, failing models, signals, quality of service, clocks."""

import os
import signal
import time
from pathlib import Path

import pytest
from live import NodeProcess, Picture, Robot, in_time, wait_until

from instructsam_ros.bridge.interfaces import InstructionStatus, Segment

from lifecycle_msgs.msg import State, Transition  # isort: skip
from rclpy.qos import QoSProfile, ReliabilityPolicy  # isort: skip
from rosgraph_msgs.msg import Clock  # isort: skip
from sensor_msgs.msg import Image  # isort: skip


@pytest.fixture
def robot(ros_domain):
    """Return a robot, ended after the test."""
    one = Robot()
    yield one
    one.close()


@pytest.fixture
def run(ros_domain):
    """Return a starter of node processes; those still there in the end are ended."""
    running = []

    def start(*arguments, ros=()):
        running.append(NodeProcess(*arguments, ros=ros))
        return running[-1]

    yield start
    for process in running:
        code = process.end()
        assert code == 0, process.report()
        assert not process.said('Traceback'), process.report()


@pytest.mark.parametrize('how', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_mid_inference_ends_it_cleanly(robot, run, how):
    process = run('--delay', 1.0)
    process.wait_for('ready:')
    robot.wait_for_node()
    robot.film()
    robot.ask('the red thing')
    robot.next('targets')
    waiting = robot.segment.call_async(Segment.Request(text='the red thing'))
    time.sleep(0.3)
    began = time.monotonic()
    assert process.end(how) == 0, process.report()
    # at most one inference, and the tear-down of the process
    assert time.monotonic() - began < 8.0
    assert not process.said('Traceback'), process.report()
    waiting.cancel()


def test_services_answer_and_signals_end_it_while_the_model_loads(robot, run):
    process = run('--load', 60)
    robot.wait_for_node()
    wait_until(lambda: robot.lifecycle_state() == 'configuring')
    assert '(loading the model): ask again' in robot.search().message
    # instructions are taken and wait
    robot.ask('the red thing')
    began = time.monotonic()
    assert process.end(signal.SIGTERM) == 0, process.report()
    # the grace that threads have to end, not the rest of the minute
    assert time.monotonic() - began < in_time(15.0)


def test_deactivating_in_mid_inference_and_activating_again(robot, run):
    process = run('--delay', 0.7)
    process.wait_for('ready:')
    robot.wait_for_node()
    robot.film()
    number = robot.ask('the red thing')
    robot.next('targets')
    waiting = robot.segment.call_async(Segment.Request(text='the blue thing'))
    time.sleep(0.2)
    began = time.monotonic()
    assert robot.transit(Transition.TRANSITION_DEACTIVATE)
    # at most one inference and a request that had its turn before
    assert time.monotonic() - began < 5.0
    response = robot.result(waiting)
    assert response.success or 'not active' in response.message
    assert robot.lifecycle_state() == 'inactive'
    robot.received['targets'].clear()
    refused = robot.search()
    assert not refused.success
    assert 'the node is not active (inactive)' in refused.message
    # instructions are taken in every state
    second = robot.ask('the blue thing')
    assert second == number + 1
    time.sleep(1.0)
    assert not robot.received['targets']
    assert robot.transit(Transition.TRANSITION_ACTIVATE)
    assert robot.next('targets').instruction_id == second
    for transition, state in ((Transition.TRANSITION_DEACTIVATE, 'inactive'),
                              (Transition.TRANSITION_CLEANUP, 'unconfigured'),
                              (Transition.TRANSITION_CONFIGURE, 'inactive'),
                              (Transition.TRANSITION_ACTIVATE, 'active')):
        assert robot.transit(transition)
        assert robot.lifecycle_state() == state
    robot.next('targets')
    assert robot.transit(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert robot.lifecycle_state() == 'finalized'
    assert 'finalized' in robot.search().message


def test_a_model_that_fails_to_load_and_is_mended(robot, run, tmp_path):
    broken = tmp_path / 'broken'
    broken.touch()
    process = run('--fail-while', broken, ros=['-p', 'model:=/no/such'])
    robot.wait_for_node()
    process.wait_for('no checkpoint at /no/such')
    wait_until(lambda: robot.lifecycle_state() == 'unconfigured')
    passed = [message.goal_state.id for _, message in robot.received['transition_event']]
    if passed:  # unless this process was discovered later
        assert State.TRANSITION_STATE_ERRORPROCESSING in passed
    refused = robot.search()
    assert not refused.success
    assert 'no checkpoint at /no/such: name a folder' in refused.message
    status = robot.diagnosis('state', lambda one: one.level == b'\x02')
    assert 'no checkpoint at /no/such' in status.message
    robot.received['transition_event'].clear()
    assert not robot.transit(Transition.TRANSITION_CONFIGURE)
    wait_until(lambda: State.TRANSITION_STATE_ERRORPROCESSING in [
        one.goal_state.id for _, one in robot.received['transition_event']])
    # once per attempt
    assert len(process.said('the model could not be loaded')) == 2
    broken.unlink()
    assert robot.transit(Transition.TRANSITION_CONFIGURE)
    assert robot.transit(Transition.TRANSITION_ACTIVATE)
    robot.film()
    robot.ask('the red thing')
    robot.next('targets')
    robot.diagnosis('state', lambda one: one.level == b'\x00' and one.message == 'active')


def test_a_transition_that_is_not_possible_does_not_end_the_node(robot, run):
    process = run()
    process.wait_for('ready:')
    robot.wait_for_node()
    # rclpy raises in the service and does not answer
    request = robot.change_state.srv_type.Request()
    request.transition.id = Transition.TRANSITION_CLEANUP
    assert robot.change_state.wait_for_service(10.0)
    future = robot.change_state.call_async(request)
    time.sleep(0.5)
    assert robot.lifecycle_state() == 'active'
    robot.film()
    robot.ask('the red thing')
    robot.next('targets')
    future.cancel()


def test_best_effort_meets_reliable(run, ros_domain):
    process = run(ros=['-p', 'qos_overrides./image.subscription.reliability:=reliable',
                       '-p', 'qos_overrides./depth.subscription.reliability:=reliable'])
    process.wait_for('ready:')
    robot = Robot()
    try:
        robot.wait_for_node()
        robot.ask('the red thing')
        since = len(process.lines)
        robot.film()
        process.wait_for('reliability differs')
        assert process.said('/image'), process.report()
        assert process.said('qos_overrides./image.subscription.reliability: best_effort')
        time.sleep(1.0)
        assert len(process.said('reliability differs', since)) <= 1
        assert not robot.received['targets']
        # a reliable camera connects; camera_info is still best effort, which connects to both
        reliable = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
        robot.stop_camera()
        robot.image = robot.node.create_publisher(Image, 'image', reliable)
        robot.depth = robot.node.create_publisher(Image, 'depth', reliable)
        wait_until(lambda: robot.image.get_subscription_count()
                   and robot.depth.get_subscription_count())
        # in 4K, of which best effort loses parts
        robot.film(Picture(3840, 2160), rate=2)
        # 40 MB a frame: a busy machine takes seconds for each
        found = robot.next('targets', lambda one: one.targets and
                           one.targets[0].pose.covariance[0] >= 0, timeout=120)
        assert found.targets[0].centroid.z == pytest.approx(0.8, abs=0.02)
        robot.next('instances', lambda one: one.width == 3840, since=0)
    finally:
        robot.close()


def test_simulated_time_stands_still_runs_and_jumps_back(robot, run):
    process = run(ros=['-p', 'use_sim_time:=true', '-p', 'instruction:=the red thing'])
    process.wait_for('ready:')
    clock = robot.node.create_publisher(Clock, '/clock', 10)
    wait_until(lambda: clock.get_subscription_count() and robot.image.get_subscription_count())
    picture = Picture()

    def play(begin, count):
        for number in range(count):
            stamp = begin + 0.1 * number
            message = Clock()
            message.clock.sec = int(stamp)
            message.clock.nanosec = int(round((stamp - int(stamp)) * 1e9))
            clock.publish(message)
            time.sleep(0.02)
            robot.shoot(picture, stamp=stamp)
            time.sleep(0.05)
        return begin, begin + 0.1 * count

    for begin in (1000.0, 500.0):
        robot.received['targets'].clear()
        low, high = play(begin, 20)
        stamps = wait_until(lambda: [
            one.header.stamp.sec for _, one in robot.received['targets'] if one.targets
            and one.targets[0].pose.covariance[0] >= 0])
        assert all(low - 1 <= stamp <= high for stamp in stamps)
    assert process.said('time went back')
    # stamps by the node's clock, not by the wall's
    status = [one for _, one in robot.received['instruction_status']
              if one.state == InstructionStatus.STATE_FOUND]
    assert status[0].stamp.sec < 2000
    # measured on simulated time there is no other clock to complain about
    assert not process.said('clock: set use_sim_time')


@pytest.mark.parametrize(('ros', 'told'), [
    (['-p', 'jpeg_quality:=500'], 'jpeg_quality'), (['-p', 'min_depth:=20.0'], 'max_depth'),
    (['-p', 'image_transport:=theora'], "one of 'raw', 'compressed'"),
    (['-r', 'no arrow'], 'no arrow'), (['--params-file', '/no/such.yaml'], '/no/such.yaml'),
])  # fmt: skip
def test_arguments_that_are_refused_end_it_with_the_reason(run, ros, told):
    process = run(ros=ros)
    assert process.process.wait(30) == 2, process.report()
    process._reader.join(5)
    assert process.said(told), process.report()
    assert not process.said('Traceback'), process.report()
    process.process.returncode = 0


def test_it_is_idle_without_an_instruction(robot, run):
    process = run()
    process.wait_for('ready:')
    robot.wait_for_node()

    def cpu_seconds():
        text = Path(f'/proc/{process.process.pid}/stat').read_text()
        fields = text.rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    time.sleep(0.5)
    before = cpu_seconds()
    time.sleep(3.0)
    # diagnostics once a second and discovery; a busy loop would take 3 s
    assert cpu_seconds() - before < 0.3
