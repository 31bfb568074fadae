# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How far targets are from the truth: drawn tabletop frames, noisy depth, true masks.

    python benchmarks/target_accuracy.py [--frames 100] [--near 0.5] [--far 1.5] [--no-gravity]

Centroid: of the visible surface, against the noise-free visible surface under the same mask.
Centre: of the target's box, against the centre of the whole object, hidden parts included.
Size: relative error of each sorted side length, all sides and objects pooled.
NEES: share of centres whose squared error, in units of their covariance, lies where 95 % of honest
ones do (chi-squared, 3 degrees of freedom: 0.216 to 9.348).
Goals at 0.5 to 1.5 m: median centroid error 5 mm, median size error 10 %.
"""

import argparse
from collections import defaultdict
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from rich.console import Console
from rich.table import Table

from instructsam.tabletop import splits
from instructsam.tabletop.depth_noise import add_depth_noise
from instructsam_ros.demo.comparison import visible_centroid
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.projection import Projector

BAND = (0.216, 9.348)


@dataclass(frozen=True)
class Error:
    """Errors of one target: metres, shares of the true side lengths, and deviations squared."""

    category: str
    centroid: float
    centre: float
    sides: tuple[float, ...]
    nees: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--frames', type=int, default=100, help='of the test split')
    parser.add_argument('--near', type=float, default=0.5, help='metres')
    parser.add_argument('--far', type=float, default=1.5, help='metres')
    parser.add_argument('--no-gravity', action='store_true', help='hide the camera pose')
    options = parser.parse_args()
    errors: list[Error] = []
    for index in range(options.frames):
        errors += _frame_errors(index, options.near, options.far, not options.no_gravity)
    by_category: dict[str, list[Error]] = defaultdict(list)
    for error in errors:
        by_category[error.category].append(error)
    table = Table(title=f'{len(errors)} objects at {options.near} to {options.far} m')
    for name in ('', 'n', 'centroid mm', '90 %', 'centre mm', '90 %', 'size %', '90 %', 'NEES %'):
        table.add_column(name, justify='right' if name else 'left')
    for category in sorted(by_category):
        table.add_row(*_row(category, by_category[category]))
    table.add_section()
    table.add_row(*_row('all', errors))
    Console().print(table)


def _frame_errors(index: int, near: float, far: float, gravity: bool) -> list[Error]:
    frame = splits.load('test', index).frame
    scene = frame.scene.camera
    camera = CameraModel.from_k(scene.K, scene.width, scene.height)
    rng = np.random.default_rng(index)
    depth = add_depth_noise(frame.depth, rng, image=frame.image, focal=float(scene.K[0, 0]))
    masks = [frame.mask(number) for number in range(len(frame.scene.objects))]
    targets = Projector().project(
        [SimpleNamespace(mask=mask, score=1.0, phrase='', box=(0, 0, 0, 0)) for mask in masks],
        depth,
        camera,
        scene.pose[:3, :3] if gravity else None,
    )
    errors = []
    for mask, thing, target in zip(masks, frame.scene.objects, targets, strict=True):
        true = visible_centroid(mask, frame.depth, camera)
        if not near <= np.linalg.norm(true) <= far:
            continue
        if target.geometry is None:
            # counts as arbitrarily wrong, lest lost objects improve the figures
            errors.append(Error(thing.category, np.inf, np.inf, 3 * (np.inf,), np.inf))
            continue
        world = target.geometry.transformed(scene.pose)
        ratio = np.sort(world.size) / np.sort(thing.size)
        off = world.position - thing.pose[:3, 3]
        errors.append(
            Error(
                thing.category,
                float(np.linalg.norm(target.geometry.centroid - true)),
                float(np.linalg.norm(off)),
                tuple(float(side) for side in np.abs(ratio - 1)),
                float(off @ np.linalg.solve(world.covariance[:3, :3], off)),
            )
        )
    return errors


def _row(name: str, errors: list[Error]) -> list[str]:
    cells = [name, str(len(errors))]
    for values, scale in (
        ([error.centroid for error in errors], 1000),
        ([error.centre for error in errors], 1000),
        ([side for error in errors for side in error.sides], 100),
    ):
        cells += [f'{scale * np.percentile(values, share):.1f}' for share in (50, 90)]
    inside = [BAND[0] <= error.nees <= BAND[1] for error in errors]
    return [*cells, f'{100 * np.mean(inside):.0f}']


if __name__ == '__main__':
    main()
