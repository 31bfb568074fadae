# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How steady boxes are, how exact normals, and how right status bits: drawn tables, true masks.

    python benchmarks/target_geometry.py [--scenes 20] [--shots 6] [--sequences 0-9] [--cache DIR]

Scenes: a camera that sways, consecutive noisy shots a hundredth of a lap apart. A flip is a yaw
that differs by 45 degrees or more from that of the shot before, in the fixed frame: as published,
and counting boxes that look the same after half a turn as equal. Normals: angle to the true one.
Sequences: every fourth frame of those that trackers are judged by, where things pass in front.
Occluded is what shows less than 90 % of itself, not occluded what shows more than 97 %, both away
from the picture's border.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from instructsam.tabletop.film import draw_shot
from instructsam.tabletop.motion import sample_motion
from instructsam.tabletop.recording import recorded
from instructsam.tabletop.sequences import metres, sequence
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.projection import Projector
from instructsam_ros.perception.targets import Target, TargetStatus

_SEED = 7000
_FEWEST_PIXELS = 60
_EVERY = 4


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--scenes', type=int, default=20)
    parser.add_argument('--shots', type=int, default=6, help='consecutive ones of each scene')
    parser.add_argument('--sequences', default='0-9', help='numbers of sequences: 3 or 0-9')
    parser.add_argument('--cache', type=Path, help='folder of drawn sequences')
    options = parser.parse_args()
    cv2.setNumThreads(1)
    Console().print(_steadiness(options.scenes, options.shots))
    first, _, last = options.sequences.partition('-')
    Console().print(_status(range(int(first), int(last or first) + 1), options.cache))


def _steadiness(scenes: int, shots: int) -> Table:
    yaws: dict[tuple[str, int, int], list[float | None]] = defaultdict(
        lambda: [None for _ in range(shots)])
    angles: dict[str, list[float]] = defaultdict(list)
    for scene in range(scenes):
        motion = sample_motion(_SEED + scene, sliding=2)
        for number in range(shots):
            shot = draw_shot(motion, number / 100, shot=number)
            seen = [one for one in shot.objects if one.mask.sum() >= _FEWEST_PIXELS]
            masks = [_whole(one.mask, one.box, shot.depth.shape) for one in seen]
            targets = _project(masks, metres(shot.depth), shot.camera)
            for one, target in zip(seen, targets, strict=True):
                if target.geometry is None:
                    continue
                kind = one.name.split()[-1]
                world = target.transformed(shot.camera.pose).geometry
                assert world is not None
                x = world.pose[:2, 0]
                yaws[kind, scene, one.index][number] = float(np.degrees(np.arctan2(x[1], x[0])))
                cosine = float(np.clip(one.normal @ target.geometry.normal, -1, 1))
                angles[kind].append(float(np.degrees(np.arccos(cosine))))
    table = Table(title='Steadiness of boxes and accuracy of normals')
    for name in ('', 'pairs', 'flips/1000', 'of half turns apart', 'normal deg', '90 %'):
        table.add_column(name, justify='right' if name else 'left')
    for kind in (*sorted(angles), 'all'):
        pairs = [
            (before, after)
            for (name, _, _), row in yaws.items() if kind in (name, 'all')
            for before, after in zip(row, row[1:], strict=False)
            if before is not None and after is not None]
        values = [one for name, row in angles.items() if kind in (name, 'all') for one in row]
        table.add_row(
            kind, str(len(pairs)), f'{_flips(pairs, 360):.0f}', f'{_flips(pairs, 180):.0f}',
            *(f'{np.percentile(values, share):.1f}' for share in (50, 90)))
    return table


def _flips(pairs: list[tuple[float, float]], period: int) -> float:
    """Of a thousand pairs of yaws, how many are 45 degrees or more apart."""
    if not pairs:
        return 0.0
    before, after = np.transpose(pairs)
    apart = np.abs((after - before + period / 2) % period - period / 2)
    return 1000 * float((apart >= 45).mean())


def _status(numbers: range, cache: Path | None) -> Table:
    rows: list[tuple[Any, bool, Target]] = []
    for number in numbers:
        frames: Iterator[Any] = recorded(number, cache) if cache else sequence(number).frames()
        for frame in frames:
            if frame.number % _EVERY:
                continue
            seen = [one for one in frame.objects if one.mask.sum() >= _FEWEST_PIXELS]
            targets = _project([one.mask for one in seen], frame.depth, frame.camera)
            for one, target in zip(seen, targets, strict=True):
                rim = one.mask[[0, -1]].any() or one.mask[:, [0, -1]].any()
                rows.append((one, bool(rim), target))
    table = Table(title=f'Status bits of {len(rows)} targets')
    for name in ('', 'true', 'recall', 'precision'):
        table.add_column(name, justify='right' if name else 'left')

    def occluded(one: Any, rim: bool) -> bool | None:
        if rim or 0.9 <= one.visible <= 0.97:
            return None
        return bool(one.visible < 0.9)

    truths: dict[TargetStatus, Callable[[Any, bool], bool | None]] = {
        TargetStatus.OCCLUDED: occluded, TargetStatus.TOUCHES_BORDER: lambda one, rim: rim}
    for bit, truth in truths.items():
        judged = [(truth(one, rim), bit in target.status) for one, rim, target in rows]
        right = sum(1 for true, said in judged if true and said)
        true = sum(1 for true, _ in judged if true)
        said = sum(1 for true, said in judged if true is not None and said)
        table.add_row(
            str(bit.name), str(true), f'{right / max(true, 1):.3f}', f'{right / max(said, 1):.3f}')
    wrong = sum(TargetStatus.NO_SUPPORT in target.status for _, _, target in rows)
    table.add_row('NO_SUPPORT (never true)', '0', '–', f'{wrong} said')
    return table


def _project(
    masks: list[NDArray[np.bool_]], depth: NDArray[np.float32], camera: Any
) -> tuple[Target, ...]:
    model = CameraModel.from_k(camera.K, camera.width, camera.height)
    return Projector().project(
        [SimpleNamespace(mask=mask, score=1.0, phrase='', box=(0, 0, 0, 0)) for mask in masks],
        depth, model, camera.pose[:3, :3])


def _whole(
    mask: NDArray[np.bool_], box: tuple[int, int, int, int], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """A cropped mask as large as the picture."""
    x, y, width, height = box
    whole = np.zeros(shape, np.bool_)
    whole[y : y + height, x : x + width] = mask
    return whole


if __name__ == '__main__':
    main()
