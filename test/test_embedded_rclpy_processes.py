# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The embedded rclpy between processes: topics, services, parameters, signals, a clean end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from instructsam_ros.ros import provide_ros

provide_ros()

import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from rclpy.task import Future  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

PATIENCE = 30.0

HEAD = """
import sys
from instructsam_ros.ros import provide_ros
provide_ros()
import rclpy
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import String
from std_srvs.srv import Trigger
"""

SERVER = """
class Server(Node):
    def __init__(self):
        super().__init__('server')
        self.declare_parameter('word', 'none')
        self.publisher = self.create_publisher(String, 'out', 10)
        self.create_subscription(String, 'in', self.echo, 10)
        self.create_service(Trigger, '~/word', self.say)
        self.create_timer(0.05, self.tick)

    def echo(self, message):
        self.publisher.publish(String(data='echo ' + message.data))

    def tick(self):
        self.publisher.publish(String(data='tick'))

    def say(self, request, response):
        response.success = True
        response.message = self.get_parameter('word').value
        return response

rclpy.init()
node = Server()
print('ready', node.get_fully_qualified_name(), flush=True)
try:
    rclpy.spin(node)
except KeyboardInterrupt:
    print('interrupted', flush=True)
except ExternalShutdownException:
    print('shut down', flush=True)
finally:
    node.destroy_node()
    rclpy.try_shutdown()
print('end', flush=True)
"""


def start(script: str, *args: str) -> subprocess.Popen[str]:
    text = textwrap.dedent(HEAD) + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, '-X', 'faulthandler', '-c', text, *args], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f'the process did not end:\n{out}\n{err}')
    return process.returncode, out, err


@pytest.fixture
def node(ros_domain: int) -> Iterator[Node]:
    rclpy.init(args=[])
    made = rclpy.create_node('here')
    yield made
    made.destroy_node()
    rclpy.try_shutdown()


def test_two_processes_talk(node: Node, tmp_path: Path) -> None:
    params = tmp_path / 'params.yaml'
    params.write_text('/far/renamed:\n  ros__parameters:\n    word: from the file\n')
    process = start(SERVER, '--ros-args', '-r', '__node:=renamed', '-r', '__ns:=/far',
                    '-r', 'out:=/answers', '--params-file', str(params))
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == 'ready /far/renamed\n'
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        answers: list[str] = []
        node.create_subscription(String, '/answers', lambda m: answers.append(m.data), 100)
        publisher = node.create_publisher(String, '/far/in', 10)
        client = node.create_client(Trigger, '/far/renamed/word')
        assert client.wait_for_service(PATIENCE)

        def call() -> str:
            future = client.call_async(Trigger.Request())
            executor.spin_until_future_complete(future, PATIENCE)
            return str(future.result().message)

        assert call() == 'from the file'
        parameters = AsyncParameterClient(node, '/far/renamed')
        assert parameters.wait_for_services(PATIENCE)
        done: Future = parameters.set_parameters([Parameter('word', value='changed')])
        executor.spin_until_future_complete(done, PATIENCE)
        assert done.result().results[0].successful
        assert call() == 'changed'
        end = time.monotonic() + PATIENCE
        while not (publisher.get_subscription_count() and 'tick' in answers):
            assert time.monotonic() < end
            executor.spin_once(timeout_sec=0.1)
        publisher.publish(String(data='hello'))
        while 'echo hello' not in answers:
            assert time.monotonic() < end
            executor.spin_once(timeout_sec=0.1)
        assert node.wait_for_node('/far/renamed', PATIENCE)
        info = node.get_publishers_info_by_topic('/answers')
        assert [(one.node_namespace, one.node_name) for one in info] == [('/far', 'renamed')]
    finally:
        process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 0 and out.endswith('end\n'), err
    # who leaves in order is gone at once
    end = time.monotonic() + PATIENCE
    while '/far/renamed' in node.get_fully_qualified_node_names():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize(('number', 'said'), [
    (signal.SIGINT, ('interrupted', 'shut down')), (signal.SIGTERM, ('shut down',))])
def test_signals_end_spinning_in_order(ros_domain: int, number: signal.Signals,
                                       said: tuple[str, ...]) -> None:
    process = start(SERVER)
    assert process.stdout is not None
    assert process.stdout.readline().startswith('ready')
    time.sleep(0.2)
    begin = time.monotonic()
    process.send_signal(number)
    code, out, err = finish(process)
    # SIGINT raises in the main thread and ends the context: either may be first, as in rclpy; and
    # a signal between two turns of `spin` just ends it, there too
    assert out.splitlines()[0] in (*said, 'end') and out.endswith('end\n')
    assert code == 0 and 'Traceback' not in err
    # at once on a quiet machine; polling or a hang would show all the same
    assert time.monotonic() - begin < 20


def test_sigterm_ends_several_threads_in_mid_callback(ros_domain: int) -> None:
    process = start("""
        import time
        rclpy.init()
        node = rclpy.create_node('busy')
        publisher = node.create_publisher(String, 'x', 10)

        def work():
            print('working', flush=True)
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                try:
                    publisher.publish(String(data='x'))
                except RuntimeError:
                    pass
            print('worked', flush=True)

        node.create_timer(0.01, work)
        executor = MultiThreadedExecutor(3)
        executor.add_node(node)
        executor.spin()
        print('ok', rclpy.ok(), flush=True)
        node.destroy_node()
        rclpy.try_shutdown()
        print('end', flush=True)
        """)
    assert process.stdout is not None
    assert process.stdout.readline() == 'working\n'
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert code == 0, err
    # spinning ends at once, and the callback that ran is not cut off
    assert 'ok False' in out and 'end' in out and out.count('worked') == out.count('working') + 1


ENDS = (
    'pass', 'node.destroy_node()', 'rclpy.shutdown()', 'rclpy.shutdown(); node.destroy_node()',
    'del node', 'raise SystemExit(0)',
    'import os; os.kill(os.getpid(), 15); rclpy.spin_once(node)')


def test_a_program_may_end_in_any_state(ros_domain: int) -> None:
    """No hang, no crash, whatever was cleaned up before the end."""
    processes = [start(f"""
        rclpy.init()
        node = rclpy.create_node('sloppy')
        node.create_subscription(String, 'x', print, 1)
        publisher = node.create_publisher(String, 'x', 1)
        publisher.publish(String(data='x'))
        executor = MultiThreadedExecutor(2)
        executor.add_node(node)
        executor.spin_once(timeout_sec=0.1)
        try:
            {end}
        except ExternalShutdownException:
            pass
        """) for end in ENDS]
    for end, process in zip(ENDS, processes, strict=True):
        code, _, err = finish(process)
        assert code == 0, (end, err)
        assert 'Fatal' not in err and 'Traceback' not in err, (end, err)
