# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Loss terms on masks, boxes and scores; all take logits and return one number."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mask_bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy per mask, mean over pixels: [..., M, K] -> [..., M]."""
    # softplus(x) - x·t equals BCE with logits and lets `target` broadcast over layers
    return (F.softplus(logits) - logits * target).mean(-1)


def mask_dice(logits: Tensor, target: Tensor) -> Tensor:
    """Soft dice loss per mask with eps 1 (V-Net, arXiv 1606.04797): [..., M, K] -> [..., M]."""
    probability = logits.sigmoid()
    overlap = (probability * target).sum(-1)
    return 1 - (2 * overlap + 1) / (probability.sum(-1) + target.sum(-1) + 1)


def to_corners(boxes: Tensor) -> Tensor:
    """Turn (cx, cy, w, h) into (x0, y0, x1, y1)."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def box_giou(boxes: Tensor, target: Tensor) -> Tensor:
    """1 − generalised IoU (arXiv 1902.09630) of (cx, cy, w, h) boxes: [..., 4] -> [...]."""
    a, b = to_corners(boxes), to_corners(target)
    inner = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2]))
    outer = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2]))
    intersection = inner.clamp(min=0).prod(-1)
    union = boxes[..., 2:].prod(-1) + target[..., 2:].prod(-1) - intersection
    hull = outer.prod(-1)
    return 1 - intersection / union.clamp(min=1e-6) + (hull - union) / hull.clamp(min=1e-6)


def sample_points(logits: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Choose where to compare masks: half where the prediction is unsure (PointRend).

    Args:
        logits: [M, h, w].
        count: points per mask.
        generator: for repeatable choices.

    Returns:
        [M, count, 2] (x, y) in −1..1, as ``grid_sample`` takes them with align_corners False.
    """
    masks = len(logits)
    candidates = torch.rand(masks, 3 * count, 2, generator=generator).to(logits.device) * 2 - 1
    unsure = -gather_points(logits.float(), candidates).abs()
    picked = unsure.topk(count // 2, dim=1).indices
    hard = torch.gather(candidates, 1, picked[..., None].expand(-1, -1, 2))
    rest = torch.rand(masks, count - count // 2, 2, generator=generator).to(logits.device) * 2 - 1
    return torch.cat([hard, rest], 1)


def gather_points(maps: Tensor, points: Tensor) -> Tensor:
    """Read [M, h, w] maps at [M, K, 2] points: [M, K], bilinear."""
    return F.grid_sample(maps[:, None], points[:, None], align_corners=False)[:, 0, 0]
