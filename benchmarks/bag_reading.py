# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time to read bags and to decode their frames, and the memory that it takes.

    python benchmarks/bag_reading.py [--width 640] [--height 480] [--frames 300] [--repeats 3]

Goal at 640x480: 100 RGB-D frames per second. The pictures are drawn tables with sensor noise, a
few of them in turn. Times are the best of the repeats; files come from the page cache.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from instructsam.tabletop.film import Shot, draw_shot
from instructsam.tabletop.motion import sample_motion
from instructsam_ros.bridge.cameras import camera_for_image
from instructsam_ros.bridge.images import (
    compressed_to_array,
    depth_to_metres,
    image_to_array,
)
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.replay.assembling import BagFrame, FrameAssembler
from instructsam_ros.replay.camera_bag import START_NS, CameraBag, stamp_message
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.topics import choose_topics
from instructsam_ros.replay.writing import BagWriter, Storage

from std_msgs.msg import Header  # isort: skip

SHOTS = 10
GOAL = 100.0
FORMS: dict[str, tuple[Storage, bool, bool]] = {
    'mcap, zstd': ('mcap', True, False),
    'mcap': ('mcap', False, False),
    'sqlite3': ('sqlite3', False, False),
    'mcap, JPEG and PNG topics': ('mcap', False, True),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--width', type=int, default=640)
    parser.add_argument('--height', type=int, default=480)
    parser.add_argument('--frames', type=int, default=300)
    parser.add_argument('--repeats', type=int, default=3)
    options = parser.parse_args()
    motion = sample_motion(0, width=options.width, height=options.height)
    shots = [draw_shot(motion, number / SHOTS, shot=number) for number in range(SHOTS)]
    table = Table(title=f'{options.frames} frames of {options.width}x{options.height} RGB-D')
    for name in ('bag', 'MB', 'write', 'read', 'and decode', 'ms', 'CPU ms'):
        table.add_column(name, justify='left' if name == 'bag' else 'right')
    table.caption = 'frames per second; then milliseconds per frame to read and decode'
    slowest = float('inf')
    with tempfile.TemporaryDirectory() as folder:
        for name, (storage, compress, packed) in FORMS.items():
            path = Path(folder) / f'{len(table.rows)}'
            begin = time.perf_counter()
            size = _write(path, shots, options.frames, storage, compress, packed)
            writing = options.frames / (time.perf_counter() - begin)
            read = [_time(path, lambda frame: None) for _ in range(options.repeats)]
            both = [_time(path, _decode) for _ in range(options.repeats)]
            reading, decoding = (options.frames / min(wall for wall, _ in one)
                                 for one in (read, both))
            processor = 1000 * min(used for _, used in both) / options.frames
            slowest = min(slowest, decoding)
            table.add_row(name, f'{size / 1e6:.0f}', f'{writing:.0f}', f'{reading:.0f}',
                          f'{decoding:.0f}', f'{1000 / decoding:.1f}', f'{processor:.1f}')
    console = Console()
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.print(f'slowest: {slowest:.0f} frames/s (goal {GOAL:.0f} at 640x480); peak memory of '
                  f'the process {peak:.0f} MB')


def _write(
    path: Path, shots: list[Shot], frames: int, storage: Storage, compress: bool, packed: bool
) -> int:
    """Write the bag; return its size in bytes."""
    height, width = shots[0].depth.shape
    camera = CameraModel.from_k(shots[0].camera.K, width, height)
    with BagWriter(path, storage, compress=compress) as writer:
        bag = CameraBag(writer, compressed=packed)
        for number in range(frames):
            shot = shots[number % len(shots)]
            stamp = stamp_message(START_NS + round(number * 1e9 / 30))
            bag.picture(shot.image, shot.depth, camera, Header(stamp=stamp, frame_id='optical'))
    return sum(one.stat().st_size for one in path.iterdir())


def _time(path: Path, work: Callable[[BagFrame], object]) -> tuple[float, float]:
    """Return seconds to go through a bag, and of the processor."""
    begin, used = time.perf_counter(), time.process_time()
    with BagReader(path) as bag:
        for frame in FrameAssembler(bag, choose_topics(bag)).frames():
            work(frame)
    return time.perf_counter() - begin, time.process_time() - used


def _decode(frame: BagFrame) -> object:
    """Make arrays of a frame, as the node does."""
    packed = hasattr(frame.image, 'format')
    image = compressed_to_array(frame.image) if packed else image_to_array(frame.image)
    return image, depth_to_metres(frame.depth), camera_for_image(frame.info, *image.shape[:2])


if __name__ == '__main__':
    main()
