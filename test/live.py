# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What tests of the live node share: the node as a process, and a robot around it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from conftest import own_domain

from instructsam_ros.bridge.cameras import camera_info
from instructsam_ros.bridge.images import array_to_compressed, array_to_image, depth_to_compressed
from instructsam_ros.bridge.interfaces import (
    InstanceArray,
    InstructionStatus,
    Segment,
    SetInstruction,
    TargetArray,
)
from instructsam_ros.bridge.qos import status_qos
from instructsam_ros.perception.camera import CameraModel

# ROS comes from the installed one or the embedded client, once bridge is imported
import rclpy  # isort: skip
from diagnostic_msgs.msg import DiagnosticArray  # isort: skip
from lifecycle_msgs.msg import TransitionEvent  # isort: skip
from lifecycle_msgs.srv import ChangeState, GetState  # isort: skip
from rclpy.context import Context  # isort: skip
from rclpy.executors import SingleThreadedExecutor  # isort: skip
from rclpy.qos import qos_profile_sensor_data  # isort: skip
from rclpy.signals import SignalHandlerOptions  # isort: skip
from sensor_msgs.msg import CameraInfo, CompressedImage, Image  # isort: skip
from std_msgs.msg import Header, String  # isort: skip
from std_srvs.srv import Trigger  # isort: skip

HERE = Path(__file__).resolve().parent
# for what takes a moment on a quiet machine; the machine of a test may be busy with others
PATIENCE = 30.0


class NodeProcess:
    """A child process whose output is read line by line."""

    def __init__(self, *arguments, ros=(), module=''):
        program = ['-m', module] if module else [str(HERE / 'perception_process.py')]
        command = [sys.executable, '-u', *program, *map(str, arguments)]
        if ros:
            command += ['--ros-args', *ros]
        # a sourced ROS 2 stays in reach
        path = os.pathsep.join([str(HERE), str(HERE.parent), str(HERE.parent / 'model'),
                                *filter(None, [os.environ.get('PYTHONPATH')])])
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors='replace', env={**os.environ, 'PYTHONPATH': path})
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def said(self, text, since=0):
        """Lines with the text, from line number ``since`` on."""
        return [line for line in self.lines[since:] if text in line]

    def wait_for(self, text, since=0, timeout=PATIENCE):
        """Wait until a line has the text."""
        wait_until(lambda: self.said(text, since), timeout, lambda: self.report(text))

    def report(self, text=''):
        return f'{text!r} not in the output of the node:\n' + '\n'.join(self.lines[-40:])

    @property
    def is_alive(self):
        return self.process.poll() is None

    def resident_kb(self):
        """Resident memory in kB."""
        status = Path(f'/proc/{self.process.pid}/status').read_text()
        return int(status.split('VmRSS:')[1].split()[0])

    def end(self, how=signal.SIGINT, timeout=PATIENCE):
        """End it; return its exit code."""
        if self.is_alive:
            self.process.send_signal(how)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(self.report('the end')) from None
        self._reader.join(PATIENCE)
        return code


def in_time(seconds):
    """A limit for a machine of one's own, widened by how many programs share this one."""
    # a step that needs a processor waits for those before it in the queue
    return seconds * max(1.0, 1.5 * os.getloadavg()[0] / (os.cpu_count() or 1))


class Neighbours:
    """How busy other programs keep this machine while a test measures."""

    def __init__(self, *processes):
        """``processes``: the ids of those that belong to the test; this one always does."""
        self._own = (os.getpid(), *processes)
        self._last = self._read()

    def cores(self):
        """Processor cores that others, or the host of a virtual machine, took since the last call.

        Interrupts are left out: most of them are the test's own packets on the loopback interface.
        """
        before, self._last = self._last, self._read()
        busy, own, now = (after - one for after, one in zip(self._last, before, strict=True))
        return max(busy - own, 0) / os.sysconf('SC_CLK_TCK') / now

    def _read(self):
        user, nice, system, _, _, _, _, stolen = map(
            int, Path('/proc/stat').read_text().split(maxsplit=9)[1:9])
        own = 0
        for process in self._own:
            # fields 14 and 15, counted from behind the name, which may have spaces
            fields = Path(f'/proc/{process}/stat').read_text().rsplit(')', 1)[1].split()
            own += int(fields[11]) + int(fields[12])
        return user + nice + system + stolen, own, time.monotonic()


def wait_until(condition, timeout=PATIENCE, explain=lambda: 'it did not happen'):
    """Wait until a condition holds, and return its value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, explain()
        time.sleep(0.01)


class Picture:
    """A red and a blue square, 20 cm before a grey wall at 1 m."""

    def __init__(self, width=160, height=120):
        self.image = np.full((height, width, 3), 90, np.uint8)
        self.depth = np.full((height, width), 1000, np.uint16)
        side = max(min(height, width) // 4, 1)
        for column, color in ((width // 4, (255, 0, 0)), (3 * width // 4, (0, 0, 255))):
            rows = slice(height // 2 - side // 2, height // 2 - side // 2 + side)
            columns = slice(column - side // 2, column - side // 2 + side)
            self.image[rows, columns] = color
            self.depth[rows, columns] = 800
        self.camera = CameraModel(width, height, 0.9 * width, 0.9 * width, width / 2, height / 2)


class Companion:
    """A node in the test's own process, which hears and calls in a thread of its own."""

    def __init__(self, name, namespace=''):
        self.context = Context()
        rclpy.init(context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(name, context=self.context, namespace=namespace)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._spinner = threading.Thread(target=self._spin, daemon=True)

    def start(self):
        """Begin to hear."""
        self._spinner.start()

    def _spin(self):
        with contextlib.suppress(Exception):
            self._executor.spin()

    def close(self):
        """End it."""
        self._executor.shutdown(timeout_sec=5.0)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)
        self._spinner.join(5.0)


class Robot(Companion):
    """A camera, a planner and a listener in the test's own process, on topics of its own."""

    def __init__(self, node_name='instructsam', namespace=''):
        super().__init__('robot', namespace)
        self.name = node_name
        self.received = defaultdict(list)
        qos = qos_profile_sensor_data
        create = self.node.create_publisher
        self.image = create(Image, 'image', qos)
        self.depth = create(Image, 'depth', qos)
        self.info = create(CameraInfo, 'camera_info', qos)
        self.instruction = create(String, 'instruction', 10)
        self.voice = create(String, 'voice', 10)
        self.listen(InstanceArray, 'instances')
        self.listen(TargetArray, 'targets')
        self.listen(InstructionStatus, 'instruction_status', status_qos(50))
        self.listen(TransitionEvent, 'transition_event')
        self.node.create_subscription(
            DiagnosticArray, '/diagnostics', self._keep('diagnostics'), 10)
        self.segment = self._client(Segment, 'segment')
        self.set_instruction = self._client(SetInstruction, 'set_instruction')
        self.clear = self._client(Trigger, 'clear')
        self.change_state = self._client(ChangeState, 'change_state')
        self.get_state = self._client(GetState, 'get_state')
        self.start()
        self._filming = None
        self._film_stop = threading.Event()

    def listen(self, kind, topic, qos=10):
        """Keep what comes on one of the node's topics in ``received[topic]``, with the time."""
        return self.node.create_subscription(
            kind, f'{self.name}/{topic}', self._keep(topic), qos)

    def _keep(self, topic):
        return lambda message: self.received[topic].append((time.time(), message))

    def _client(self, kind, name):
        return self.node.create_client(kind, f'{self.name}/{name}')

    def close(self):
        """End it."""
        self.stop_camera()
        super().close()

    # ---- the camera

    def shoot(self, picture, *, depth=True, info=True, depth_lag=0.0, stamp=None, age=0.0,
              frame='camera'):
        """Publish one picture with depth and calibration; return the stamp in seconds."""
        now = time.time() - age if stamp is None else stamp
        header = header_of(now, frame)
        if info:
            self.info.publish(camera_info(picture.camera, header))
        self.image.publish(array_to_image(picture.image, 'rgb8', header))
        if depth:
            encoding = '32FC1' if picture.depth.dtype == np.float32 else '16UC1'
            self.depth.publish(
                array_to_image(picture.depth, encoding, header_of(now + depth_lag, frame)))
        return now

    def film(self, picture=None, rate=15.0, **options):
        """Publish pictures until ``stop_camera``; replaces a camera that is running."""
        self.stop_camera()
        picture = picture or Picture()
        self._film_stop = stop = threading.Event()

        def run():
            due = time.monotonic()
            while not stop.is_set():
                self.shoot(picture, **options)
                due = max(due + 1 / rate, time.monotonic() - 0.1)
                stop.wait(max(due - time.monotonic(), 0))

        self._filming = threading.Thread(target=run, daemon=True)
        self._filming.start()

    def stop_camera(self):
        """Publish no more pictures."""
        self._film_stop.set()
        if self._filming is not None:
            self._filming.join()
            self._filming = None

    # ---- the planner

    def begin_again(self):
        """No camera, no instruction, nothing in work and nothing received."""
        self.stop_camera()
        self.call(self.clear, Trigger.Request())
        # what was in work is over
        assert self.search('nothing').message is not None
        self.received.clear()

    def call(self, client, request, timeout=PATIENCE):
        """Call a service and return its response."""
        assert client.wait_for_service(timeout), f'no service {client.srv_name}'
        return self.result(client.call_async(request), timeout)

    def result(self, future, timeout=PATIENCE):
        """Wait for a response."""
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert done.wait(timeout), 'no response'
        return future.result()

    def ask(self, text, **fields):
        """Set an instruction by service; return its number."""
        response = self.call(self.set_instruction, SetInstruction.Request(text=text, **fields))
        assert response.accepted, response.message
        return response.instruction_id

    def search(self, text='the red thing'):
        """One-shot search of the newest picture."""
        return self.call(self.segment, Segment.Request(text=text))

    def transit(self, transition):
        """Trigger a lifecycle transition by its number; return whether it succeeded."""
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(self.change_state, request).success

    def lifecycle_state(self):
        return self.call(self.get_state, GetState.Request()).current_state.label

    # ---- the listener

    def next(self, topic, condition=lambda message: True, timeout=PATIENCE, since=None):
        """Wait for a message that comes from now on (or from index ``since``) and fits."""
        box = self.received[topic]
        begin = len(box) if since is None else since
        return wait_until(
            lambda: next((one for _, one in box[begin:] if condition(one)), None), timeout,
            lambda: f'no such message on {topic} among {len(box)}, the last: '
                    f'{str(box[-1:])[:500]}')

    def states(self):
        """Numbers and states of all instructions so far."""
        return [(one.instruction_id, one.state) for _, one in self.received['instruction_status']]

    def diagnosis(self, subject, condition=lambda status: True):
        """Wait for a diagnostic status of the node that fits; return it."""
        def find(message):
            return next((one for one in message.status
                         if one.name == f'{self.name}: {subject}' and condition(one)), None)
        return find(self.next('diagnostics', find))

    def wait_for_node(self):
        """Wait until the node is there and hears the camera and the planner."""
        for publisher in (self.instruction, self.voice):
            wait_until(lambda publisher=publisher: publisher.get_subscription_count())
        assert self.segment.wait_for_service(PATIENCE)


def values_of(status):
    """Key-value pairs of a diagnostic status."""
    return {pair.key: pair.value for pair in status.values}


def header_of(seconds, frame):
    header = Header(frame_id=frame)
    header.stamp.sec = int(seconds // 1)
    header.stamp.nanosec = int(round(seconds % 1 * 1e9)) % 1_000_000_000
    return header


def seconds_of(header):
    """Stamp of a header in seconds."""
    return header.stamp.sec + header.stamp.nanosec * 1e-9


def compressed_pair(picture, seconds, frame='camera'):
    """The picture and its depth as compressed messages."""
    header = header_of(seconds, frame)
    return (array_to_compressed(picture.image, header, 90),
            depth_to_compressed(picture.depth, header))


@contextlib.contextmanager
def live_pair(*ros):
    """A node process and a robot around it in a domain of their own; both end in order."""
    with pytest.MonkeyPatch.context() as patch, own_domain(patch):
        process, robot = NodeProcess(ros=ros), Robot()
        try:
            process.wait_for('ready:')
            robot.wait_for_node()
            yield process, robot
        finally:
            robot.close()
            code = process.end()
        assert code == 0, process.report()
        assert not process.said('Traceback'), process.report()


__all__ = ['Companion', 'CompressedImage', 'Neighbours', 'NodeProcess', 'Picture', 'Robot',
           'compressed_pair', 'header_of', 'in_time', 'live_pair', 'seconds_of', 'values_of',
           'wait_until']
