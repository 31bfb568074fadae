# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bars of `stream_latency`: one for each way, cut into stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from instructsam.stages import STAGES

_BAR, _GAP, _LEFT, _RIGHT, _TOP = 16, 6, 190, 90, 56
_LENGTH = 760
_COLORS = ((160, 160, 160), (180, 119, 31), (14, 127, 255), (44, 160, 44), (40, 39, 214),
           (189, 103, 148), (75, 86, 140))  # BGR
_OTHER = (225, 225, 225)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_bars(report: dict[str, Any], file: Path) -> None:
    """Draw medians; a tick marks the 95th percentile, the number is the median of the whole."""
    rows = [(case, name, stages) for case in report['cases']
            for name, stages in case['milliseconds'].items()]
    longest = max(stages['whole']['p95'] for *_, stages in rows)
    heads = len(report['cases'])
    height = _TOP + heads * 26 + len(rows) * (_BAR + _GAP) + 20
    picture = np.full((height, _LEFT + _LENGTH + _RIGHT, 3), 255, np.uint8)
    machine = report['machine']
    _write(picture, f'{machine["name"]}, {machine["dtype"]}, {machine["threads"]} threads', 10, 20)
    x = 10
    for stage, color in zip(STAGES, _COLORS, strict=True):
        cv2.rectangle(picture, (x, 30), (x + 12, 42), color, -1)
        _write(picture, stage, x + 16, 41)
        x += 125
    y, last = _TOP, None
    for case, name, stages in rows:
        if case is not last:
            y += 26
            last = case
            _write(picture, f'{case["width"]}x{case["height"]}, {case["phrases"]} phrases', 10,
                   y - 6)
        _write(picture, f'({name})', _LEFT - 40, y + 12)
        scale = _LENGTH / longest
        whole = stages['whole']
        cv2.rectangle(picture, (_LEFT, y), (_LEFT + round(whole['p50'] * scale), y + _BAR),
                      _OTHER, -1)
        left = 0.0
        for stage, color in zip(STAGES, _COLORS, strict=True):
            right = min(left + stages[stage]['p50'], whole['p50'])
            cv2.rectangle(picture, (_LEFT + round(left * scale), y),
                          (_LEFT + round(right * scale), y + _BAR), color, -1)
            left = right
        tick = _LEFT + round(whole['p95'] * scale)
        cv2.line(picture, (tick, y), (tick, y + _BAR), (0, 0, 0), 1)
        _write(picture, f'{whole["p50"]:.1f} ms', tick + 6, y + 12)
        y += _BAR + _GAP
    if not cv2.imwrite(str(file), picture):
        raise OSError(f'{file} cannot be written')


def _write(picture: np.ndarray, text: str, x: int, y: int) -> None:
    cv2.putText(picture, text, (x, y), _FONT, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
