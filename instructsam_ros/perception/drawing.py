# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The overlay: masks, outlines and labels on the picture."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.outlines import Outline, outline_of
from instructsam_ros.perception.segmenter import Instance
from instructsam_ros.perception.targets import Target

Image = NDArray[np.uint8]
Rectangle = tuple[int, int, int, int]

# bright, far apart in hue, readable under dark text; neighbours in the list differ most
PALETTE: tuple[tuple[int, int, int], ...] = (
    (255, 112, 67),
    (38, 198, 218),
    (255, 213, 79),
    (171, 130, 255),
    (129, 212, 80),
    (255, 110, 180),
    (92, 160, 255),
    (255, 171, 64),
    (77, 230, 170),
    (214, 170, 140),
)
_TINT = 0.35
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK = (20, 20, 20)


def color_of(identity: int) -> tuple[int, int, int]:
    """Return the RGB colour that belongs to a target id (1-based)."""
    return PALETTE[(identity - 1) % len(PALETTE)]


def draw_overlay(
    image: Image,
    instances: Sequence[Instance],
    targets: Sequence[Target] = (),
    *,
    caption: str = '',
    outlines: Sequence[Outline] = (),
) -> Image:
    """Return a copy of the RGB image [H, W, 3] with masks, ids, phrases, scores and distances.

    ``targets`` give ids and distances, in the order of ``instances``; without them instances
    count from 1. ``caption`` is written in the lower left corner. ``outlines`` are those of the
    masks, if they are known.
    """
    canvas = np.ascontiguousarray(image).copy()
    scale = _text_scale(canvas)
    drawn = []
    for number, one in enumerate(instances):
        identity = targets[number].id if number < len(targets) else number + 1
        outline = outlines[number] if number < len(outlines) else outline_of(one.mask)
        if outline.area:
            drawn.append((number, identity, _tint(canvas, outline, color_of(identity))))
    taken: list[Rectangle] = []
    if caption:
        taken.append(_caption(canvas, caption, scale))
    for number, identity, bounds in drawn:
        target = targets[number] if number < len(targets) else None
        text = label_text(identity, instances[number], target)
        rectangle = _place(_text_size(text, scale), bounds, taken, canvas.shape)
        taken.append(rectangle)
        _write(canvas, text, rectangle, color_of(identity), scale)
    return canvas


def label_text(identity: int, one: Instance, target: Target | None) -> str:
    """Return what a label says: id, phrase, score and, when known, the distance."""
    text = f'{identity} {one.phrase} {one.score:.2f}'
    if target is not None and target.geometry is not None:
        text += f' {target.geometry.distance:.2f} m'
    return text


def _tint(canvas: Image, outline: Outline, color: tuple[int, int, int]) -> Rectangle:
    """Colour the mask's pixels and its outlines; return its bounds."""
    part, inside = canvas[outline.window], outline.mask
    # keep this much of each channel, add so much of the colour
    mixture = np.column_stack([(1 - _TINT) * np.eye(3), _TINT * np.array(color)])
    cv2.copyTo(cv2.transform(part, mixture), inside, part)
    thickness = max(1, round(min(canvas.shape[:2]) / 300))
    # smooth lines cost time per corner: a third of them is as good to the eye
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    # on the whole canvas: OpenCV would draw into its own copy of a slice
    corner = (outline.x, outline.y)
    cv2.drawContours(canvas, contours, -1, _INK, thickness + 1, offset=corner)
    # steps show where lines are thin; smoothing thick ones takes most of a picture's time
    smooth = cv2.LINE_AA if thickness < 3 else cv2.LINE_8
    cv2.drawContours(canvas, contours, -1, color, thickness, smooth, offset=corner)
    height, width = inside.shape
    return outline.x, outline.y, width, height


def _text_scale(canvas: Image) -> float:
    return float(np.clip(min(canvas.shape[:2]) / 900, 0.38, 1.6))


def _thickness(scale: float) -> int:
    return max(1, round(1.6 * scale))


def _text_size(text: str, scale: float) -> tuple[int, int]:
    (width, height), baseline = cv2.getTextSize(_plain(text), _FONT, scale, _thickness(scale))
    return width + 8, height + baseline + 4


def _plain(text: str) -> str:
    # the stroke font has ASCII only
    return text.encode('ascii', 'replace').decode('ascii')


def _overlap(a: Rectangle, b: Rectangle) -> int:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def _place(
    size: tuple[int, int],
    bounds: Rectangle,
    taken: Sequence[Rectangle],
    shape: tuple[int, ...],
) -> Rectangle:
    """Choose a place for a label near its object: above, below, beside, then further off."""
    width, height = size
    x, y, object_width, object_height = bounds
    middle = x + (object_width - width) // 2
    across = y + (object_height - height) // 2
    places = [
        (middle, y - height - 2),
        (middle, y + object_height + 2),
        (x, y - height - 2),
        (x + object_width + 2, across),
        (x - width - 2, across),
        (middle, across),
    ]
    places += [(middle, y - height - 2 - step * (height + 1)) for step in (1, 2, 3)]
    places += [(middle, y + object_height + 2 + step * (height + 1)) for step in (1, 2, 3)]
    limit_x, limit_y = max(shape[1] - width, 0), max(shape[0] - height, 0)
    inside = [
        (min(max(left, 0), limit_x), min(max(top, 0), limit_y), width, height)
        for left, top in places
    ]
    costs = [sum(_overlap(place, other) for other in taken) for place in inside]
    return inside[costs.index(min(costs))]


def _write(
    canvas: Image, text: str, rectangle: Rectangle, color: tuple[int, int, int], scale: float
) -> None:
    x, y, width, height = rectangle
    cv2.rectangle(canvas, (x, y), (x + width - 1, y + height - 1), color, cv2.FILLED)
    (_, ascent), _ = cv2.getTextSize(_plain(text), _FONT, scale, _thickness(scale))
    origin = (x + 4, y + ascent + 2)
    cv2.putText(canvas, _plain(text), origin, _FONT, scale, _INK, _thickness(scale), cv2.LINE_AA)


def _caption(canvas: Image, text: str, scale: float) -> Rectangle:
    text = _plain(text)
    while len(text) > 4 and _text_size(text, scale)[0] > canvas.shape[1]:
        text = text[:-4] + '...'
    width, height = _text_size(text, scale)
    rectangle = (0, canvas.shape[0] - height, width, height)
    _write(canvas, text, rectangle, (235, 235, 235), scale)
    return rectangle
