# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training-only heads that teach both vision towers what is where, cell by cell.

From nothing, one mask per phrase is too thin a signal to grow a vision tower. Each cell of a
feature map names the category, the colour and the box of the object it shows. The heads are
dropped when the checkpoint is written.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# parts per side of a cell: about two or three pixels each
SAM_DETAIL, VLM_DETAIL = 4, 8


@dataclass
class DenseTarget:
    """Labels of feature-map cells.

    ``category`` and ``color`` [N] (−100: nothing to learn here; the last category is "no
    object"), ``box`` [N, 4] (cx, cy, w, h) in 0..1 of the image, ``cover`` [N, D²] share of each
    of D×D parts of the cell that objects cover.
    """

    category: Tensor
    color: Tensor
    box: Tensor
    cover: Tensor


class DenseHead(nn.Module):
    """Linear read-out of category, colour, box and outline from cell features [N, C]."""

    def __init__(self, channels: int, categories: int, colors: int, detail: int) -> None:
        super().__init__()
        self.sizes = (categories + 1, colors, 4, detail ** 2)
        # no norm before it: features whose scale is free grow until the detector drowns in them
        self.read = nn.Linear(channels, sum(self.sizes))

    def forward(self, cells: Tensor, target: DenseTarget) -> tuple[Tensor, Tensor]:
        """Return the loss, and the share of object cells whose category is right."""
        category, color, box, cover = self.read(cells).float().split(self.sizes, -1)
        background = self.sizes[0] - 1
        shown = (target.category >= 0) & (target.category != background)
        # objects cover a tenth of a frame: background cells count a quarter
        weight = torch.ones(self.sizes[0], device=cells.device)
        weight[background] = 0.25
        loss = F.cross_entropy(category, target.category, weight=weight, ignore_index=-100)
        # outlines come before shapes: without this term categories stay at chance for long
        loss = loss + 3 * F.binary_cross_entropy_with_logits(cover, target.cover)
        if shown.any():
            rows = shown.nonzero()[:, 0]
            loss = loss + F.cross_entropy(color.index_select(0, rows),
                                          target.color.index_select(0, rows))
            guess = box.index_select(0, rows).sigmoid()
            loss = loss + 4 * F.l1_loss(guess, target.box.index_select(0, rows))
            right = category.detach().index_select(0, rows).argmax(-1) == target.category[rows]
            accuracy = right.float().mean()
        else:
            accuracy = loss.detach().new_zeros(())
        return loss, accuracy


def label_cells(
    masks: Tensor, categories: Tensor, colors: Tensor, boxes: Tensor,
    background: int, rows: int, columns: int, detail: int,
) -> DenseTarget:
    """Label each of rows×columns cells by the object that covers most of it.

    Args:
        masks: [n, H, W] in 0..1, not overlapping.
        categories: [n] category index of each object; ``colors`` likewise.
        colors: [n].
        boxes: [n, 4] (cx, cy, w, h) in 0..1.
        background: label of cells that show no object.
        rows: cells down.
        columns: cells across.
        detail: parts of a cell per side, for the outline.

    Returns:
        Labels in row-major order. Cells covered between 15 % and 40 % are left out.
    """
    cells = rows * columns
    target = DenseTarget(torch.full((cells,), background), torch.zeros(cells, dtype=torch.long),
                         torch.zeros(cells, 4), torch.zeros(cells, detail ** 2))
    if len(masks):
        share, best = F.adaptive_avg_pool2d(masks[None], (rows, columns))[0].flatten(1).max(0)
        shown = share >= 0.4
        target.category[shown] = categories[best[shown]]
        target.color[shown] = colors[best[shown]]
        target.box[shown] = boxes[best[shown]]
        target.category[(share > 0.15) & ~shown] = -100
        fine = F.adaptive_avg_pool2d(masks.sum(0)[None, None], (rows * detail, columns * detail))
        target.cover = F.unfold(fine, detail, stride=detail)[0].T.contiguous()
    return target
