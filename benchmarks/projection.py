# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Time per stage of turning masks into targets, and of drawing the overlay, on one core.

    python benchmarks/projection.py [--masks 10] [--repeats 50]

A drawn tabletop frame of 640x480 with noisy depth; its objects' true masks are repeated until
there are as many as asked. Goals: ten masks in 15 ms, five overlaid masks at 1280x720 in 10 ms.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial, wraps
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from instructsam.tabletop.depth_noise import add_depth_noise
from instructsam.tabletop.render import TabletopFrame, sample_frame
from instructsam_ros.perception import projection
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.drawing import draw_overlay
from instructsam_ros.perception.projection import Projector

STAGES = {
    'extract_surface': 'visible surface: erosion, jumps, pieces, smoothing',
    'plane_normal': 'up from the support plane',
    'support_height': 'height of the support',
    'fit_box': 'box and its completion',
    'pose_covariance': 'covariance',
    '_surface_normal': 'surface normal',
}


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
    restore = [_timed(projection, name, spent[name]) for name in STAGES]
    sums: dict[str, list[float]] = {name: [] for name in STAGES}
    for _ in range(options.repeats):
        # without gravity every stage runs
        projector.project(found, depth, camera)
        for name, times in spent.items():
            sums[name].append(sum(times))
            times.clear()
    for undo in restore:
        undo()
    for name, words in STAGES.items():
        rows.append((words, *_least_and_median(sums[name])))
    for words, rotation in (('with gravity', scene.pose[:3, :3]), ('without gravity', None)):
        call: Callable[[], Any] = partial(projector.project, found, depth, camera, rotation)
        rows.append((f'all, {words}', *_measure(call, options.repeats)))
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
