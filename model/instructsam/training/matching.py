# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which slot answers for which object."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.cluster.vq import kmeans2
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def fit_anchors(centres: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Place slot anchors where objects are (k-means), so that every slot gets its share.

    Args:
        centres: [N, 2] object centres, (x, y) in 0..1 of the image.
        count: number of anchors.
        seed: of the k-means initialisation.

    Returns:
        [count, 2] anchors, ordered by x, then y.
    """
    anchors, _ = kmeans2(centres.astype(np.float64), count, minit='++', seed=seed)
    return anchors[np.lexsort((anchors[:, 1], anchors[:, 0]))].astype(np.float32)


def assign_to_anchors(centres: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Give each object the slot of a near anchor (optimal for the sum of distances).

    From scratch, matching on predicted masks lets one slot take everything; fixed places
    break that symmetry.

    Args:
        centres: [N, 2] in 0..1; beyond ``len(anchors)`` objects the farthest are left out.
        anchors: [Q, 2] in 0..1.

    Returns:
        [N] slot of each object, -1 where none was left.
    """
    slots = np.full(len(centres), -1, dtype=np.int64)
    if len(centres):
        cost = np.linalg.norm(centres[:, None] - anchors[None], axis=-1)
        rows, columns = linear_sum_assignment(cost)
        slots[rows] = columns
    return slots


@torch.no_grad()
def hungarian(
    score_logits: Tensor, mask_logits: Tensor, masks: Tensor, phrase: Tensor
) -> Tensor:
    """Match as the release does: 2·BCE + 0.5·dice + softplus(−score logit), per phrase.

    Args:
        score_logits: [P, Q].
        mask_logits: [P, Q, K] at K pixels or sampled points.
        masks: [M, K] ground truth in 0..1 at the same places.
        phrase: [M] the phrase of each ground-truth mask.

    Returns:
        [M] slot of each ground-truth mask (-1 where a phrase has more objects than slots).
    """
    slots = torch.full((len(masks),), -1, dtype=torch.long)
    for p in phrase.unique().tolist():
        rows = (phrase == p).nonzero()[:, 0]
        logits = mask_logits[p].float()
        truth = masks[rows].float()
        points = logits.shape[-1]
        bce = (F.softplus(logits).sum(-1)[None] - truth @ logits.T) / points
        probability = logits.sigmoid()
        overlap = truth @ probability.T
        dice = 1 - (2 * overlap + 1) / (truth.sum(-1)[:, None] + probability.sum(-1)[None] + 1)
        cost = 2 * bce + 0.5 * dice + F.softplus(-score_logits[p].float())[None]
        r, c = linear_sum_assignment(cost.cpu().numpy())
        slots[rows.cpu()[torch.as_tensor(r)]] = torch.as_tensor(c)
    return slots.to(masks.device)
