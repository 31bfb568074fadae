# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The memory that a replay of a large bag takes, from its beginning to its end.

    python benchmarks/replay_memory.py [--gigabytes 4] [--folder /tmp]

The bag holds a few drawn pictures of 1280x720 with depth, to and fro, not compressed; the segmenter
knows the masks. The bag is deleted at the end.
"""

import argparse
import os
import tempfile
from pathlib import Path

from replay_overhead import SHOTS, Knowing, write
from rich.console import Console
from rich.table import Table

from instructsam.tabletop.film import draw_shot
from instructsam.tabletop.motion import sample_motion
from instructsam_ros.bridge.truth import true_instances
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.runner import Replay, ReplayOptions
from instructsam_ros.replay.schedule import choose_schedule
from instructsam_ros.replay.topics import choose_topics
from instructsam_ros.replay.truth import TopicTruth

from std_msgs.msg import Header  # isort: skip

WIDTH, HEIGHT = 1280, 720
# bytes of a picture and its depth
FRAME = WIDTH * HEIGHT * 5
PARTS = 10


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--gigabytes', type=float, default=4.0)
    parser.add_argument('--folder', type=Path)
    options = parser.parse_args()
    frames = max(round(options.gigabytes * 1e9 / FRAME), PARTS)
    motion = sample_motion(0, width=WIDTH, height=HEIGHT)
    shots = [draw_shot(motion, number / 200, shot=number) for number in range(SHOTS)]
    wanted = frozenset(one.id for one in true_instances(shots[0], Header(), 0).instances[:3])
    most = [0.0] * PARTS
    at_rest = resident()

    def progress(seconds: float, done: int) -> None:
        part = min((done - 1) * PARTS // frames, PARTS - 1)
        most[part] = max(most[part], resident())

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / 'bag'
        write(path, shots, wanted, frames, compress=False)
        size = sum(one.stat().st_size for one in path.iterdir())
        with BagReader(path) as bag:
            topics = choose_topics(bag)
            Replay(
                bag, topics, choose_schedule(bag, topics, [], None), TopicTruth(topics),
                Knowing(shots, wanted), ReplayOptions()).run(
                    Path(folder) / 'out', '', {}, progress)
        end = resident()
    table = Table(title=f'{frames} pictures, {size / 1e9:.1f} GB')
    table.add_column('part of the bag')
    table.add_column('most memory, MB', justify='right')
    table.add_row('before', f'{at_rest:.0f}')
    for number, one in enumerate(most):
        table.add_row(f'{100 * number // PARTS} to {100 * (number + 1) // PARTS} %', f'{one:.0f}')
    table.add_row('after the report', f'{end:.0f}')
    Console().print(table)


def resident() -> float:
    """Return the process's resident memory in MB; pages of files that are mapped count too."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * os.sysconf('SC_PAGE_SIZE') / 1e6


if __name__ == '__main__':
    main()
