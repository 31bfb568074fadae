# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a segmentation returns, and how logits become instances."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Instance:
    """One found object.

    Attributes:
        mask: bool [H, W] in the image's own pixels.
        score: 0..1.
        box: (x0, y0, x1, y1) in pixels, the tightest around the mask; x1 and y1 are exclusive.
        phrase: the words of the answer that it belongs to.
    """

    mask: npt.NDArray[np.bool_]
    score: float
    box: Box
    phrase: str


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What one instruction found in one image.

    Attributes:
        answer: what the language model said, without markers.
        phrases: the answer's phrases, also those that nothing was found for.
        instances: phrase after phrase, slot after slot.
        height, width: of the image and of every mask, pixels.
        timings: seconds per stage: preprocess, sam_encode, vlm_encode, prefill, decode, detect,
            postprocess. Stages can overlap on a GPU.
        reused: stages of which an earlier instruction about the same picture left the results;
            ``timings`` tells what they took then.
    """

    answer: str
    phrases: tuple[str, ...]
    instances: tuple[Instance, ...]
    height: int
    width: int
    timings: Mapping[str, float] = field(default_factory=dict)
    reused: tuple[str, ...] = ()


def select_instances(score_logits: Tensor, mask_logits: Tensor, phrases: Sequence[str], *,
                     threshold: float, height: int, width: int) -> list[Instance]:
    """Keep the slots whose score is above the threshold and cut their masks at 0.

    Every phrase and slot is judged alone: no suppression, no limit. Masks go straight to the
    image's size (bilinear, align_corners False) before the cut; empty ones are dropped.

    Args:
        score_logits: [P, Q].
        mask_logits: [P, Q, h, w].
        phrases: P phrases.
        threshold: 0..1, compared with the sigmoid of the score logit.
        height, width: of the image, pixels.
    """
    scores = score_logits.float().sigmoid().cpu()
    kept = kept_slots(scores, threshold)
    logits = [mask_logits[p, q] for p, q in kept]
    bounds = positive_bounds(torch.stack(logits)).tolist() if kept else []
    return cut_instances(
        [(float(scores[p, q]), phrases[p]) for p, q in kept], logits, bounds, height, width)


def kept_slots(scores: Tensor, threshold: float) -> list[tuple[int, int]]:
    """Return the (phrase, slot) whose score is above the threshold; scores [P, Q] on the CPU."""
    return [(p, q) for p, q in (scores > threshold).nonzero().tolist()]


def positive_bounds(mask_logits: Tensor) -> Tensor:
    """Return the tightest (x0, y0, x1, y1) around what is positive in masks [..., h, w].

    int64 [..., 4], x1 and y1 exclusive; x1 and y1 are 0 where nothing is. Computed on the masks'
    device without waiting for it.
    """
    low, high = [], []
    # the largest of a row or column first: to compare every pixel takes ten times as long on a CPU
    for some in (mask_logits.amax(-2) > 0, mask_logits.amax(-1) > 0):
        size = some.shape[-1]
        place = torch.arange(size, device=some.device)
        low.append(torch.where(some, place, size).amin(-1))
        high.append(torch.where(some, place + 1, 0).amax(-1))
    return torch.stack(low + high, dim=-1)


def cut_instances(found: Sequence[tuple[float, str]], mask_logits: Sequence[Tensor],
                  bounds: Sequence[Sequence[int]], height: int, width: int) -> list[Instance]:
    """Resize the masks of K slots to the image, cut them at 0 and drop the empty ones.

    All is done on the masks' device, and only what lies around the objects is copied from it, in
    one piece.

    Args:
        found: score and phrase of each.
        mask_logits: [h, w] of each.
        bounds: of each what ``positive_bounds`` returned.
        height, width: of the image, pixels.
    """
    places, parts = [], []
    for number, (logits, (x0, y0, x1, y1)) in enumerate(zip(mask_logits, bounds, strict=True)):
        if x1 == 0:  # a blend of numbers that are not positive is not positive
            continue
        rows = _reach(y0, y1, logits.shape[0], height)
        columns = _reach(x0, x1, logits.shape[1], width)
        places.append((number, rows, columns))
        parts.append((_resized(logits, rows, columns, height, width) > 0).flatten())
    instances = []
    pixels = torch.cat(parts).cpu().numpy() if parts else np.zeros(0, bool)
    for (number, rows, columns), part in zip(places, parts, strict=True):
        shape = (rows.stop - rows.start, columns.stop - columns.start)
        crop, pixels = pixels[:part.numel()].reshape(shape), pixels[part.numel():]
        box = mask_box(crop)
        if box is not None:
            mask = np.zeros((height, width), bool)
            mask[rows, columns] = crop
            left, top = columns.start, rows.start
            score, phrase = found[number]
            instances.append(Instance(
                mask, score, (box[0] + left, box[1] + top, box[2] + left, box[3] + top), phrase))
    return instances


def _reach(low: int, high: int, size: int, resized: int) -> slice:
    """Return which of the resized pixels draw on the pixels low..high - 1, one more each side."""
    # new pixel i looks at (i + 0.5) * size / resized - 0.5 and blends the two nearest
    scale = resized / size
    return slice(max(math.floor((low - 0.5) * scale) - 1, 0),
                 min(math.ceil((high + 0.5) * scale) + 1, resized))


def _resized(logits: Tensor, rows: slice, columns: slice, height: int, width: int) -> Tensor:
    """Return a window of a mask [h, w] resized to the image (bilinear, align_corners False).

    Only the window is computed, as a product with two small matrices: most objects are small.
    """
    window = logits.float()
    (down, top), (right, left) = (
        _blend(place, size, resized, logits.device) for place, size, resized in (
            (rows, logits.shape[0], height), (columns, logits.shape[1], width)))
    part = window[top:top + down.shape[1], left:left + right.shape[1]]
    return down @ part @ right.T


def _blend(place: slice, size: int, resized: int, device: torch.device) -> tuple[Tensor, int]:
    """Return how new pixels blend old ones, [new, old], and the first of the old ones."""
    scale = size / resized
    first = max(math.floor((place.start + 0.5) * scale - 0.5), 0)
    last = min(math.floor((place.stop - 0.5) * scale - 0.5) + 1, size - 1)
    return _blends(size, resized, device)[place, first:last + 1], first


@lru_cache(maxsize=16)
def _blends(size: int, resized: int, device: torch.device) -> Tensor:
    """Return how all new pixels of an axis blend all old ones, [resized, size]."""
    # never inference tensors, even if first asked for by inference
    with torch.inference_mode(False), torch.no_grad():
        new, old = torch.arange(resized, dtype=torch.float32), torch.arange(size)
        middle = ((new + 0.5) * (size / resized) - 0.5).clamp(0, size - 1)
        return (1 - (middle[:, None] - old).abs()).clamp(min=0).to(device)


def mask_box(mask: npt.NDArray[np.bool_]) -> Box | None:
    """Return the tightest box (x0, y0, x1, y1) around a mask [H, W], or None if it is empty."""
    columns = np.flatnonzero(mask.any(axis=0))
    if columns.size == 0:
        return None
    rows = np.flatnonzero(mask.any(axis=1))
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
