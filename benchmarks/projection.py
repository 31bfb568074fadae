# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time per stage of turning masks into targets, tracking and drawing them, on one core.

    python benchmarks/projection.py [--masks 10] [--repeats 50]

A drawn tabletop frame of 640x480 with noisy depth; its objects' true masks are repeated until
there are as many as asked. Goals: ten masks in 15 ms, tracking included, of which it may take 3;
depth aligned from 640x480 to 640x480 in 10 ms and from 848x480 to 1280x720 in 25 ms; five overlaid
masks at 1280x720 in 10 ms.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial, wraps
from itertools import count
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from instructsam.tabletop.depth_noise import add_depth_noise
from instructsam.tabletop.render import TabletopFrame, sample_frame
from instructsam_ros.perception import level, projection
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.drawing import draw_overlay
from instructsam_ros.perception.projection import Projector
from instructsam_ros.perception.registration import DepthRegistration
from instructsam_ros.perception.targets import Target
from instructsam_ros.perception.tracking import Tracker

STAGES: dict[str, tuple[Any, str]] = {
    'extract_surfaces': (projection, 'visible surface: erosion, jumps, pieces, smoothing'),
    'plane_normal': (projection, 'up from the support plane'),
    'LevelView': (projection, 'points in the level frame'),
    'support_height': (level, 'height of the support'),
    'fit_box': (projection, 'box and its completion'),
    'pose_covariance': (projection, 'covariance'),
    '_surface_normal': (projection, 'surface normal'),
}
# depth and colour camera of one housing, 15 mm apart and turned by half a degree
BESIDE = np.eye(4)
BESIDE[:2, :2] = [[0.99996, -0.00873], [0.00873, 0.99996]]
BESIDE[0, 3] = 0.015
PAIRS = (
    ('640x480 to 640x480', CameraModel(640, 480, 605, 605, 320, 240),
     CameraModel(640, 480, 610, 610, 322, 244)),
    ('848x480 to 1280x720', CameraModel(848, 480, 425, 425, 424, 240),
     CameraModel(1280, 720, 640, 640, 642, 361)),
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--masks', type=int, default=10)
    parser.add_argument('--repeats', type=int, default=50)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    drawn = _crowded_frame()
    scene = drawn.scene.camera
    camera = CameraModel.from_k(scene.K, scene.width, scene.height)
    depth = add_depth_noise(drawn.depth, np.random.default_rng(0), focal=float(scene.K[0, 0]))
    masks = [drawn.mask(k % len(drawn.scene.objects)) for k in range(options.masks)]
    found = [_instance(mask) for mask in masks]
    rows: list[tuple[str, float, float]] = []

    begin = time.thread_time()
    camera.rays()
    rows.append(('rays of the camera, once', *_least_and_median([time.thread_time() - begin])))
    projector = Projector()
    spent: dict[str, list[float]] = {name: [] for name in STAGES}
    restore = [_timed(STAGES[name][0], name, spent[name]) for name in STAGES]
    sums: dict[str, list[float]] = {name: [] for name in STAGES}
    for _ in range(options.repeats):
        # without gravity every stage runs
        projector.project(found, depth, camera)
        for name, times in spent.items():
            sums[name].append(sum(times))
            times.clear()
    for undo in restore:
        undo()
    for name, (_, words) in STAGES.items():
        rows.append((words, *_least_and_median(sums[name])))
    for words, rotation in (('with gravity', scene.pose[:3, :3]), ('without gravity', None)):
        call: Callable[[], Any] = partial(projector.project, found, depth, camera, rotation)
        rows.append((f'all of projection, {words}', *_measure(call, options.repeats)))
    targets = projector.project(found, depth, camera, scene.pose[:3, :3])
    call = partial(_follow, Tracker(), targets, found, camera, scene.pose, depth, count(1))
    call()
    rows.append(('tracking', *_measure(call, options.repeats)))
    for words, source, beside in PAIRS:
        raw = np.asarray(cv2.resize(drawn.depth, (source.width, source.height)), np.float32)
        call = partial(DepthRegistration(source, beside, BESIDE), raw)
        rows.append((f'depth aligned, {words}', *_measure(call, options.repeats)))
    wide = [_instance(_resized(mask)) for mask in masks[:5]]
    image = np.asarray(cv2.resize(drawn.image, (1280, 720)), np.uint8)
    targets = projector.project(found, depth, camera)[:5]
    call = partial(draw_overlay, image, wide, targets)
    rows.append((f'overlay of {len(wide)} masks, 1280x720', *_measure(call, options.repeats)))

    table = Table(title=f'{options.masks} masks, 640x480, one thread')
    table.add_column('stage')
    table.add_column('least CPU ms', justify='right')
    table.add_column('median CPU ms', justify='right')
    for words, least, median in rows:
        table.add_row(words, f'{1000 * least:.2f}', f'{1000 * median:.2f}')
    Console().print(table)


def _crowded_frame() -> TabletopFrame:
    for seed in range(200):
        drawn = sample_frame(np.random.default_rng(seed), width=640, height=480)
        if len(drawn.scene.objects) >= 6:
            return drawn
    raise RuntimeError('no tabletop frame with six objects among 200')


def _instance(mask: Any) -> Any:
    return SimpleNamespace(mask=mask, score=0.9, phrase='red mug', box=(0, 0, 1, 1))


def _follow(
    tracker: Tracker,
    targets: tuple[Target, ...],
    found: list[Any],
    camera: CameraModel,
    pose: Any,
    depth: Any,
    steps: Iterator[int],
) -> None:
    """Track one more frame, under a camera that sways by a few pixels, at 10 Hz."""
    step = next(steps)
    moved = pose.copy()
    moved[:3, 3] += 0.005 * np.sin(step) * pose[:3, 0]
    tracker.update(targets, found, step / 10, camera, moved, depth)


def _resized(mask: Any) -> Any:
    return cv2.resize(mask.astype(np.uint8), (1280, 720), interpolation=cv2.INTER_NEAREST) > 0


def _timed(module: Any, name: str, seconds: list[float]) -> Callable[[], None]:
    """Make a function of a module note its times; return what undoes that."""
    function = getattr(module, name)

    @wraps(function)
    def timed(*arguments: Any, **keywords: Any) -> Any:
        begin = time.thread_time()
        try:
            return function(*arguments, **keywords)
        finally:
            seconds.append(time.thread_time() - begin)

    setattr(module, name, timed)
    return lambda: setattr(module, name, function)


def _measure(call: Callable[[], Any], repeats: int) -> tuple[float, float]:
    seconds = []
    for _ in range(repeats):
        begin = time.thread_time()
        call()
        seconds.append(time.thread_time() - begin)
    return _least_and_median(seconds)


def _least_and_median(seconds: list[float]) -> tuple[float, float]:
    return min(seconds), float(np.median(seconds))


if __name__ == '__main__':
    main()
