# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Do ids last, and how much do places jitter, in real frames without a camera pose?

The folder holds ``color_NNN``, ``depth_NNN.png`` (mm), ``labels_NNN.png`` (0 nothing, k the k-th
thing) and ``meta.json`` with K and the rate:

    python benchmarks/real_tracking.py FOLDER [--names carrot ball]

Label masks are the instances. The tracker runs twice: without a fixed frame, as in a live system
without TF (ids only, no filter), and as if the camera stood still, which makes every movement of
the camera one of the things. Up is the normal of the support in sight.

Jitter: second differences of the box's centre divided by sqrt(6), RMS, along the axes of the
optical frame (x right, y down, z forward). Even motion cancels in them, and of independent errors
the standard deviation is what remains; uneven motion counts as jitter. Lag: how far the filtered
place is from the unfiltered one in the median.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.images import read_depth, read_image
from instructsam_ros.perception.projection import Projector
from instructsam_ros.perception.tracking import Tracker

Array = NDArray[np.float64]
Places = dict[str, list[Array]]

_WAYS = ('no fixed frame', 'camera taken as still')


def main() -> None:
    """Print ids and jitter."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('folder', type=Path)
    parser.add_argument('--names', nargs='+', default=[], help='of the labels 1, 2, …')
    options = parser.parse_args()
    meta = json.loads((options.folder / 'meta.json').read_text())
    camera = CameraModel.from_k(meta['K'], meta['width'], meta['height'])
    projector, trackers = Projector(), {way: Tracker() for way in _WAYS}
    ids: dict[str, dict[str, list[int]]] = {way: defaultdict(list) for way in _WAYS}
    places: dict[str, Places] = {way: defaultdict(list) for way in ('unfiltered', 'filtered')}
    fixed: Array | None = None
    files = sorted(options.folder.glob('labels_*.png'))
    for number, file in enumerate(files):
        depth = read_depth(file.with_name(f'depth_{file.stem[-3:]}.png'))
        # a grey label image comes back with its number in every channel
        labels = read_image(file)[..., 0]
        things = [_thing(labels, k, options.names) for k in range(1, labels.max() + 1)
                  if (labels == k).any()]
        targets = projector.project(things, depth, camera)
        if fixed is None:
            fixed = _upright(next(
                one.geometry.pose[:3, 2] for one in targets if one.geometry is not None))
        for way in _WAYS:
            to_fixed = fixed if way == _WAYS[1] else None
            followed = trackers[way].update(
                targets, things, number / meta['rate_hz'], camera, to_fixed, depth)
            for one in followed:
                ids[way][one.phrase].append(one.id)
                if one.geometry is not None:
                    kind = 'unfiltered' if to_fixed is None else 'filtered'
                    places[kind][one.phrase].append(one.geometry.position)

    console = Console(width=110)
    for way in _WAYS:
        console.print(f'ids over {len(files)} frames, {way}: ' + ', '.join(
            f'{phrase} {found}' for phrase, found in ids[way].items()), soft_wrap=True)
    table = Table(title='centre of the box, mm', box=None)
    for name in ('', '', 'jitter x', 'y', 'z', 'all', 'lag', 'path length'):
        table.add_column(name, justify='right' if name else 'left')
    for phrase, seen in places['unfiltered'].items():
        for way, positions in (('unfiltered', seen), ('filtered', places['filtered'][phrase])):
            steps = np.diff(positions, n=2, axis=0) * 1000 / np.sqrt(6)
            axes = np.sqrt((steps**2).mean(axis=0))
            lag = np.median(np.linalg.norm(np.subtract(positions, seen), axis=1)) * 1000
            path = np.linalg.norm(np.diff(positions, axis=0), axis=1).sum() * 1000
            table.add_row(phrase, way, *(f'{value:.2f}' for value in axes),
                          f'{np.linalg.norm(axes):.2f}', f'{lag:.2f}', f'{path:.0f}')
    console.print(table)


def _thing(labels: NDArray[np.uint8], label: int, names: list[str]) -> Any:
    phrase = names[label - 1] if label <= len(names) else f'thing {label}'
    return SimpleNamespace(
        mask=labels == label, phrase=phrase, score=1.0, box=(0.0, 0.0, 0.0, 0.0))


def _upright(up: Array) -> Array:
    """Return a transform [4, 4] that turns ``up`` into z."""
    x = np.cross([0.0, 0.0, 1.0], up)
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([x, np.cross(up, x), up])
    return pose


if __name__ == '__main__':
    main()
