# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""ROS 2: which client, its environment, our messages, and whether data really flows."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module, metadata
from importlib.util import find_spec

from instructsam_ros.doctor.finding import FAIL, OK, WARN, Finding

# where DDS announces participants (RTPS 2.2, 9.6.1.4.1)
_GROUP = '239.255.0.1'
_HIGHEST_DOMAIN = 232
_PATIENCE = 15.0
_CYCLONE = 'rmw_cyclonedds_cpp'


def client() -> Iterator[Finding]:
    """Tell whether an installed ROS 2 is used or the embedded client, and why."""
    if find_spec('rclpy') is not None and not _is_embedded():
        distribution = os.environ.get('ROS_DISTRO', 'unknown distribution')
        yield Finding('ROS 2', OK, f'{distribution}: its rclpy is used')
        for module, what in (('message_filters', 'message-filters'), ('tf2_ros', 'tf2-ros-py'),
                             ('vision_msgs', 'vision-msgs')):
            if find_spec(module) is None:
                yield Finding('ROS 2', FAIL, f'python module {module} is missing',
                              f'sudo apt install ros-{distribution}-{what}')
        return
    installed = sorted(os.listdir('/opt/ros')) if os.path.isdir('/opt/ros') else []
    if installed:
        yield Finding(
            'ROS 2', WARN, f'{", ".join(installed)} is installed but not sourced in this shell: '
            'the embedded client is used', f'source /opt/ros/{installed[-1]}/setup.bash to use it')
    else:
        yield Finding('ROS 2', OK, 'not installed: the embedded client is used')
    for module in ('cyclonedds', 'rosbags'):
        try:
            import_module(module)
            yield Finding(module, OK, metadata.version(module))
        except Exception as error:
            yield Finding(module, FAIL, f'does not import: {error}', f'pip install {module}')


def messages() -> Iterator[Finding]:
    """Make one of our own messages."""
    from instructsam_ros.ros import provide_ros

    provide_ros()
    try:
        from instructsam_ros.bridge.interfaces import InstanceArray, Segment

        InstanceArray()
        Segment.Request()
    except Exception as error:
        yield Finding('messages', FAIL, f'instructsam_ros messages are missing: {error}',
                      'with ROS 2 run colcon build and source install/setup.bash, without it '
                      'install the package again')
        return
    yield Finding('messages', OK, 'instructsam_ros/msg and srv are there')


def environment() -> Iterator[Finding]:
    """Look at the variables that decide which robots are met."""
    text = os.environ.get('ROS_DOMAIN_ID', '')
    if text and not (text.isdigit() and int(text) <= _HIGHEST_DOMAIN):
        yield Finding('ROS_DOMAIN_ID', FAIL, f'is {text!r}',
                      f'set a whole number from 0 to {_HIGHEST_DOMAIN}, the same on the robot')
    else:
        yield Finding('ROS_DOMAIN_ID', OK, f'{text or 0}{"" if text else " (not set)"}: must be '
                      'the same on the robot')
    middleware = os.environ.get('RMW_IMPLEMENTATION', '')
    if middleware not in ('', _CYCLONE):
        yield Finding(
            'RMW_IMPLEMENTATION', WARN, f'is {middleware}',
            f'without ROS 2, {_CYCLONE} is spoken whatever this says, and with ROS 2 both sides '
            f'must agree: set {_CYCLONE} here and on the robot')
    elif middleware or _is_embedded() or find_spec('rclpy') is None:
        yield Finding('RMW_IMPLEMENTATION', OK, f'{_CYCLONE}: set it on the robot too')
    local = [f'{name}={os.environ[name]}' for name in (
        'ROS_LOCALHOST_ONLY', 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'ROS_STATIC_PEERS',
        'CYCLONEDDS_URI') if os.environ.get(name)]
    off = os.environ.get('ROS_LOCALHOST_ONLY') == '1' or os.environ.get(
        'ROS_AUTOMATIC_DISCOVERY_RANGE', '').upper() in ('LOCALHOST', 'OFF')
    if local:
        # settings can be whole XML documents
        shown = ', '.join(one if len(one) < 80 else one[:77] + '...' for one in local)
        yield Finding('discovery', WARN if off else OK, shown,
                      'robots on other machines are not met: unset it' if off else '')


def multicast() -> Iterator[Finding]:
    """Send a datagram to the group by which nodes find each other, and wait for it."""
    token = secrets.token_bytes(16)
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        try:
            receiver.bind(('', 0))
            membership = socket.inet_aton(_GROUP) + socket.inet_aton('0.0.0.0')
            receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            receiver.settimeout(2.0)
            sender.sendto(token, (_GROUP, receiver.getsockname()[1]))
            if receiver.recv(64) == token:
                yield Finding('multicast', OK, f'a datagram to {_GROUP} comes back')
                return
            problem = 'another datagram came back'
        except OSError as error:
            problem = f'a datagram to {_GROUP} does not come back: {error}'
    yield Finding(
        'multicast', WARN, problem,
        'other machines are not found by themselves: allow UDP multicast in the firewall (docker: '
        '--network host), or name the peers in CYCLONEDDS_URI or ROS_STATIC_PEERS')


def sample() -> Iterator[Finding]:
    """Send a message from a process of its own to this one, through ROS 2."""
    from instructsam_ros.ros import provide_ros

    provide_ros()
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.signals import SignalHandlerOptions
    from std_msgs.msg import String

    token = secrets.token_hex(8)
    received: list[str] = []
    context = Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    process = None
    try:
        node = rclpy.create_node(f'doctor_{token}', context=context)
        node.create_subscription(
            String, f'doctor_{token}', lambda message: received.append(message.data), 10)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, '-m', 'instructsam_ros.doctor.sender', token, str(_PATIENCE)],
            env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not received and time.monotonic() - began < _PATIENCE and process.poll() is None:
            executor.spin_once(timeout_sec=0.1)
        seconds = time.monotonic() - began
        executor.shutdown()
        node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)
        if process is not None:
            process.terminate()
            _, errors = process.communicate()
    if received == [token] or set(received) == {token}:
        yield Finding('data', OK, f'a message from another process came after {seconds:.1f} s')
        return
    problem = errors.decode(errors='replace').strip().splitlines()
    yield Finding(
        'data', FAIL, f'no message from another process in {seconds:.0f} s'
        + (f' ({problem[-1]})' if problem else ''),
        'look at the lines about multicast and discovery; a CYCLONEDDS_URI that names a wrong '
        'network interface has this effect too')


def _environment() -> dict[str, str]:
    from instructsam_ros.launching.packages import python_path

    return {**os.environ, 'PYTHONPATH': python_path(os.environ)}


def _is_embedded() -> bool:
    """Whether the embedded client has been put on the import path already."""
    module = sys.modules.get('instructsam_ros.embedded')
    return module is not None and bool(module.is_installed())
