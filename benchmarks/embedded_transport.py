# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the embedded ROS 2 client turns pictures into bytes and sends them to another process.

    python benchmarks/embedded_transport.py [--sizes 720p 4K] [--count 60] [--rate 10]

Prints CPU time for both directions of CDR, then for each picture size how many of the pictures
arrived, the time of a write, and the time from the write to the message in the other process.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial

from instructsam_ros.embedded.dds.participant import Participant
from instructsam_ros.embedded.dds.qos import Qos
from instructsam_ros.embedded.interfaces import (
    dds_type_name,
    deserialize,
    message_class,
    serialize,
    type_hash,
)

SIZES = {'480p': (480, 640), '720p': (720, 1280), '1080p': (1080, 1920), '4K': (2160, 3840)}
Image = message_class('sensor_msgs/msg/Image')
TOPIC = 'rt/benchmark/image', dds_type_name(Image), type_hash(Image)


def cpu_ms(work: Callable[[], object], count: int = 10) -> float:
    """Return the least CPU time of a call, in milliseconds."""
    times = []
    for _ in range(count):
        begin = time.thread_time()
        work()
        times.append(time.thread_time() - begin)
    return 1e3 * min(times)


def picture(size: str) -> object:
    """Return a black bgr8 picture."""
    height, width = SIZES[size]
    return Image(height=height, width=width, encoding='bgr8', step=3 * width,
                 data=bytes(3 * height * width))


def receive(qos: Qos) -> None:
    """Print the transit time of each picture, in milliseconds, until standard input ends."""
    def take() -> None:
        ready.wait()
        for sample in reader.take(100):
            deserialize(sample.data, Image)
            print((time.time_ns() - sample.source_timestamp_ns) / 1e6, flush=True)

    ready = threading.Event()
    reader = Participant().create_reader(*TOPIC, qos, take)
    ready.set()
    sys.stdin.read()


def send(size: str, qos: Qos, count: int, rate: float) -> str:
    """Send pictures to a process of our own and return one line of results."""
    participant = Participant()
    writer = participant.create_writer(*TOPIC, qos)
    partner = subprocess.Popen([sys.executable, __file__, '--receive', qos.reliability],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not writer.matched():
        time.sleep(0.01)
    data = serialize(picture(size))
    writes = []
    begin = time.perf_counter()
    for index in range(count):
        start = time.perf_counter()
        writer.write(data)
        writes.append(1e3 * (time.perf_counter() - start))
        time.sleep(max(0.0, begin + (index + 1) / rate - time.perf_counter()))
    time.sleep(1)
    transits = [float(line) for line in partner.communicate()[0].split()]
    participant.close()
    middle = f'{statistics.median(transits):8.1f} ms' if transits else '       -'
    return (f'{size:6} {qos.reliability:12} {len(transits):4}/{count:<4} write '
            f'{statistics.median(writes):6.2f} ms  transit {middle}')


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--sizes', nargs='+', choices=SIZES, default=list(SIZES))
    parser.add_argument('--count', type=int, default=60, help='pictures per size')
    parser.add_argument('--rate', type=float, default=10, help='pictures per second')
    parser.add_argument('--receive', metavar='RELIABILITY', help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.receive:
        receive(Qos(chosen.receive, depth=5))
        return
    for size in chosen.sizes:
        message = picture(size)
        data = serialize(message)
        print(f'{size:6} to bytes {cpu_ms(partial(serialize, message)):6.2f} ms  '
              f'from bytes {cpu_ms(partial(deserialize, data, Image)):6.2f} ms')
    for size in chosen.sizes:
        for reliability in ('reliable', 'best_effort'):
            print(send(size, Qos(reliability, depth=5), chosen.count, chosen.rate), flush=True)


if __name__ == '__main__':
    main()
