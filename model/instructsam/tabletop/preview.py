# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A picture sheet of the synthetic world: frames, what instructions refer to, and depth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .grammar import Instruction
from .render import TabletopFrame
from .splits import load

_TINTS = np.array(
    [[255, 64, 64], [64, 200, 255], [120, 255, 80], [255, 200, 40], [220, 110, 255], [255, 140, 60]]
)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def write_sheet(
    path: Path, *, split: str = 'test', count: int = 12, start: int = 0, width: int = 320,
    instructions: int = 3,
) -> None:
    """Write a sheet of ``count`` frames of a split, one row each, as the image file ``path``.

    A row shows the frame, its measured-looking depth, and the masks of the first
    ``instructions`` instructions with their texts and answers; ``width`` is that of one picture
    in pixels. Raises ValueError for an unknown split or file type.
    """
    from .depth_noise import add_depth_noise

    rows = []
    for index in range(start, start + count):
        sample = load(split, index)
        frame = sample.frame
        noisy = add_depth_noise(
            frame.depth, np.random.default_rng(index), image=frame.image,
            focal=float(frame.scene.camera.K[0, 0]),
        )
        tiles = [
            _tile(frame.image, [f'{split} {index}', _summary(frame)], width),
            _tile(draw_depth(noisy), ['depth'], width),
        ]
        for instruction in sample.instructions[:instructions]:
            picture = overlay(frame, instruction)
            answer = instruction.answer
            for name in ('start', 'end'):
                answer = answer.replace(f'<|object_ref_{name}|>', '|')
            tiles.append(_tile(picture, [f'{instruction.kind}: {instruction.text}', answer], width))
        while len(tiles) < instructions + 2:
            tiles.append(np.zeros_like(tiles[0]))
        rows.append(np.hstack(tiles))
    sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    try:
        written = cv2.imwrite(str(path), sheet)
    except cv2.error:
        written = False
    if not written:
        raise ValueError(f'cannot write {path}; name a .png or .jpg file in an existing folder')


def overlay(frame: TabletopFrame, instruction: Instruction) -> np.ndarray:
    """Return the frame, greyed, with the objects of each phrase in a tint of their own."""
    grey = frame.image.mean(axis=2, keepdims=True).repeat(3, axis=2) * 0.6
    picture = grey + 0.2 * frame.image
    for k, phrase in enumerate(instruction.phrases):
        for index in phrase.objects:
            mask = frame.mask(index)
            picture[mask] = 0.45 * frame.image[mask] + 0.55 * _TINTS[k % len(_TINTS)]
    return picture.clip(0, 255).astype(np.uint8)


def draw_depth(depth: np.ndarray) -> np.ndarray:
    """Return depth as a colour picture, uint8 [H, W, 3]; black where there is none."""
    valid = np.isfinite(depth)
    if not valid.any():
        return np.zeros((*depth.shape, 3), np.uint8)
    low, high = np.percentile(depth[valid], [1, 97])
    level = np.clip((depth - low) / max(high - low, 1e-3), 0, 1)
    colored = cv2.applyColorMap(
        (255 - 255 * np.where(valid, level, 0)).astype(np.uint8), cv2.COLORMAP_TURBO
    )
    colored[~valid] = 0
    return np.ascontiguousarray(colored[..., ::-1])


def _summary(frame: TabletopFrame) -> str:
    return ', '.join(o.name for o in frame.scene.objects)


def _wrapped(text: str, characters: int) -> list[str]:
    lines: list[str] = ['']
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= characters:
            lines.append('')
        lines[-1] = f'{lines[-1]} {word}'.strip()
    return lines


def _tile(picture: np.ndarray, texts: list[str], width: int) -> np.ndarray:
    height = round(picture.shape[0] * width / picture.shape[1])
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    caption = np.full((58, width, 3), 24, np.uint8)
    lines = [line for text in texts for line in _wrapped(text, width // 6)][:4]
    for k, line in enumerate(lines):
        cv2.putText(
            caption, line, (3, 12 + 14 * k), _FONT, 0.36, (235, 235, 235), 1, cv2.LINE_AA
        )
    return np.vstack([small, caption])
