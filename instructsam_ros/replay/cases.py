# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which pictures a report shows: best, worst, missed and absent, prediction beside truth."""

import heapq
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.drawing import draw_overlay
from instructsam_ros.replay.evaluating import Outcome

_EACH = 6
_WIDTH = 480
_QUALITY = 85
# neighbouring pictures of one instruction look alike: one of this many seconds is enough
_APART = 2.0


class CaseKeeper:
    """Keeps the pictures of a few cases of each status, whatever the number of outcomes."""

    def __init__(self) -> None:
        """Begin with none."""
        # status -> heap of (rank, order, case, jpeg); the least interesting is first
        self._kept: dict[str, list[tuple[float, int, dict[str, Any], bytes]]] = {}
        self._order = 0

    def offer(self, outcome: Outcome, entry: Mapping[str, Any], image: NDArray[np.uint8]) -> None:
        """Take in an outcome with its entry of ``per_frame`` and its picture, RGB [H, W, 3]."""
        status, rank = _judged(entry)
        self._order -= 1
        heap = self._kept.setdefault(status, [])
        near = next((one for one in heap if one[2]['instruction'] == entry['instruction']
                     and abs(one[2]['time'] - entry['time']) < _APART), None)
        if near is not None:
            if rank <= near[0]:
                return
            heap.remove(near)
            heapq.heapify(heap)
        elif len(heap) >= _EACH:
            if rank <= heap[0][0]:
                return
            heapq.heappop(heap)
        case = {
            'status': status, 'right': status == 'best' or (
                status == 'absent' and not entry['found']),
            **{key: entry[key] for key in (
                'index', 'time', 'instruction', 'kind', 'iou', 'found', 'meant')}}
        heapq.heappush(heap, (rank, self._order, case, _drawn(outcome, image)))

    def cases(self) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
        """Return the cases, most interesting first, and the JPEG files that they name."""
        cases, pictures = [], {}
        for status, heap in sorted(self._kept.items()):
            for number, (_, _, case, jpeg) in enumerate(sorted(heap, reverse=True), 1):
                name = f'{status}_{number}.jpg'
                pictures[name] = jpeg
                cases.append({**case, 'picture': name})
        return cases, pictures


def _judged(entry: Mapping[str, Any]) -> tuple[str, float]:
    """Return what an outcome is an example of, and how good an example."""
    if entry['meant'] is None:
        # without truth: what the model was surest of
        return 'examples', max((one['score'] for one in entry['targets']), default=0.0)
    if not entry['meant']:
        # those where something was found are of more interest
        return 'absent', float(len(entry['found']))
    if entry['iou'] == 0:
        return 'failed', float(len(entry['meant']))
    if entry['iou'] >= 0.7:
        return 'best', entry['iou']
    return 'worst', -entry['iou']


def _drawn(outcome: Outcome, image: NDArray[np.uint8]) -> bytes:
    """Return what was found, and to its right what is true, as JPEG."""
    found = outcome.result.segmentation.instances
    panels = [draw_overlay(image, found, outcome.result.targets, caption='found',
                           outlines=outcome.result.outlines)]
    if outcome.truth is not None:
        panels.append(draw_overlay(image, list(outcome.truth), caption='true',
                                   outlines=[one.outline for one in outcome.truth]))
    height = round(image.shape[0] * _WIDTH / image.shape[1])
    small = [cv2.resize(one, (_WIDTH, height), interpolation=cv2.INTER_AREA) for one in panels]
    done, jpeg = cv2.imencode(
        '.jpg', cv2.cvtColor(np.hstack(small), cv2.COLOR_RGB2BGR),
        [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    assert done
    return jpeg.tobytes()
