# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a segmentation returns, and how logits become instances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
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
    """

    answer: str
    phrases: tuple[str, ...]
    instances: tuple[Instance, ...]
    height: int
    width: int
    timings: Mapping[str, float] = field(default_factory=dict)


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
    scores = score_logits.float().sigmoid()
    kept = (scores > threshold).nonzero().tolist()
    values = scores.cpu()
    instances = []
    for p, q in kept:
        # One by one: all at once a large image would need gigabytes.
        resized = F.interpolate(mask_logits[p, q][None, None].float(), size=(height, width),
                                mode='bilinear', align_corners=False)
        mask = (resized[0, 0] > 0).cpu().numpy()
        box = mask_box(mask)
        if box is not None:
            instances.append(Instance(mask, float(values[p, q]), box, phrases[p]))
    return instances


def mask_box(mask: npt.NDArray[np.bool_]) -> Box | None:
    """Return the tightest box (x0, y0, x1, y1) around a mask [H, W], or None if it is empty."""
    columns = np.flatnonzero(mask.any(axis=0))
    if columns.size == 0:
        return None
    rows = np.flatnonzero(mask.any(axis=1))
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
