# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which pictures a live node answered, by the bag that was recorded of its results."""

from pathlib import Path

from instructsam_ros.bridge.synchronising import stamp_ns
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.topics import INSTANCES


def answered_frames(path: str | Path) -> frozenset[int]:
    """Return the stamps, in nanoseconds, of the pictures that a bag has instances of.

    Raises BagError for a bag without results, or with those of several nodes; OSError.
    """
    with BagReader(path) as bag:
        found = [name for name, one in bag.topics.items()
                 if one.type == INSTANCES and one.count and 'ground_truth' not in name]
        if not found:
            raise BagError(
                f'{path}: holds no results of a node: expected a topic of type {INSTANCES}; it '
                f'has {bag.listing()}')
        if len(found) > 1:
            raise BagError(f'{path}: holds results of several nodes: {", ".join(found)}; record '
                           'one')
        return frozenset(stamp_ns(one.message) for one in bag.messages(found))
