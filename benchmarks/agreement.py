# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How well two results for one picture agree."""

from __future__ import annotations

import numpy as np

from instructsam.segmentation import Instance, Segmentation


def agree(one: Segmentation, other: Segmentation) -> dict[str, float]:
    """Compare instance by instance: how many have no partner, scores, and the worst mask."""
    pairs, alone = partners(one, other)
    return {
        'unmatched': len(alone),
        'least_iou': min((mask_iou(a.mask, b.mask) for a, b in pairs), default=1.0),
        'score_difference': max((abs(a.score - b.score) for a, b in pairs), default=0.0)}


def partners(one: Segmentation, other: Segmentation
             ) -> tuple[list[tuple[Instance, Instance]], list[Instance]]:
    """Pair the instances of two results of one picture; return pairs, and who has no partner."""
    # not by their order: one that only one way kept must not shift all others
    pairs, alone, left = [], [], list(other.instances)
    for a in one.instances:
        best = max((b for b in left if b.phrase == a.phrase), default=None,
                   key=lambda b: mask_iou(a.mask, b.mask) - abs(a.score - b.score))
        if best is None:
            alone.append(a)
        else:
            left.remove(best)
            pairs.append((a, best))
    return pairs, alone + left


def mask_iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return the overlap of two masks [H, W], 1 if both are empty."""
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0
