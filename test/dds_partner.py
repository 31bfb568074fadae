# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Another process in a DDS domain, and what tests do with it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from instructsam_ros.embedded.dds.endpoint import Event, Reader, Writer
from instructsam_ros.embedded.dds.participant import Participant
from instructsam_ros.embedded.dds.qos import Qos
from instructsam_ros.embedded.interfaces import (
    dds_type_name,
    deserialize,
    message_class,
    serialize,
    service_class,
    type_hash,
)

ROOT = Path(__file__).resolve().parent.parent
String = message_class('std_msgs/msg/String')
Image = message_class('sensor_msgs/msg/Image')
Types = service_class('rcl_interfaces/srv/GetParameterTypes')
# Discovery takes some 50 ms; a machine that is busy with other work may need seconds.
PATIENCE = 30.0

# What the other process does; it ends when its standard input does.
PARTNER = """
import sys, threading
from instructsam_ros.embedded.dds.participant import Participant
from instructsam_ros.embedded.dds.qos import Qos
from instructsam_ros.embedded.dds.services import ServiceServer
from instructsam_ros.embedded.interfaces import *

String = message_class('std_msgs/msg/String')
Image = message_class('sensor_msgs/msg/Image')
Types = service_class('rcl_interfaces/srv/GetParameterTypes')

def described(cls):
    return dds_type_name(cls), type_hash(cls)

def say(*words):
    print(*words, flush=True)

def listen(topic, cls, qos, hear, **more):
    def take():
        for sample in reader.take(1000):
            hear(deserialize(sample.data, cls))
    ready = threading.Event()
    reader = participant.create_reader(topic, *described(cls), qos,
                                       lambda: ready.wait() and take(), **more)
    ready.set()
    return reader

participant = Participant()
"""


class Partner:
    """Another process that takes part in the test's domain."""

    def __init__(self, code: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-c', PARTNER + textwrap.dedent(code) + '\nsys.stdin.read()\n'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, 'PYTHONPATH': str(ROOT)})
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def end(self) -> str:
        """Let the process end by itself; return what it wrote to standard error."""
        _, errors = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, errors
        return errors

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def wait_for(condition: Callable[[], object], what: str = '', seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f'waited {seconds} s for {what or condition}'
        time.sleep(0.005)


def writer_of(participant: Participant, topic: str, cls: type[Any], qos: Qos | None = None,
              on_event: Callable[[Event], None] | None = None) -> Writer:
    return participant.create_writer(topic, dds_type_name(cls), type_hash(cls), qos or Qos(),
                                     on_event)


def reader_of(participant: Participant, topic: str, cls: type[Any], qos: Qos | None = None,
              on_data: Callable[[], None] = lambda: None,
              on_event: Callable[[Event], None] | None = None) -> Reader:
    return participant.create_reader(topic, dds_type_name(cls), type_hash(cls), qos or Qos(),
                                     on_data, on_event)


def text(words: str) -> bytes:
    return serialize(String(data=words))


def texts(reader: Reader) -> list[str]:
    return [deserialize(sample.data, String).data for sample in reader.take(1000)]


def partners() -> Iterator[Callable[[str], Partner]]:
    """Yield a starter of partners; what it started is killed afterwards."""
    started: list[Partner] = []

    def start(code: str) -> Partner:
        started.append(Partner(code))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def participants() -> Iterator[Participant]:
    """Yield a participant and close it afterwards."""
    made = Participant()
    yield made
    made.close()
