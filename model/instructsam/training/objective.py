# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""From a batch to one loss: the network's forward pass in training, and every term."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from instructsam.detector import DecoderOutput
from instructsam.modeling import InstructSAM
from instructsam.training import losses
from instructsam.training.dense import SAM_DETAIL, VLM_DETAIL, DenseHead
from instructsam.training.examples import TrainingBatch
from instructsam.training.matching import hungarian
from instructsam.training.settings import LossWeights


@dataclass
class Objective:
    """What a batch says: the loss to descend, and figures to show.

    ``figures`` maps names to scalar tensors; ``iou`` maps instruction kinds to the union IoUs of
    the batch's phrases (answers given, 1 where nothing was asked for and nothing found).
    """

    loss: Tensor
    figures: dict[str, Tensor]
    iou: dict[str, list[float]]


class TrainingObjective(nn.Module):
    """The network together with the heads and weights that only training needs.

    Args:
        model: the network, modified in place by training.
        weights: of the terms.
        assignment: ``anchors`` (slots given by the batch) or ``hungarian``.
        categories: number of object categories, for the dense heads.
        colors: number of colours.

    Attributes:
        vision_only: compute the dense terms alone.
    """

    def __init__(
        self, model: InstructSAM, weights: LossWeights, assignment: str,
        categories: int = 0, colors: int = 0,
    ) -> None:
        super().__init__()
        self.model, self.weights, self.assignment = model, weights, assignment
        self.vision_only = False
        self.dense_sam = self.dense_vlm = None
        if weights.dense_sam:
            self.dense_sam = DenseHead(model.config.out_dim, categories, colors, SAM_DETAIL)
        if weights.dense_vlm:
            self.dense_vlm = DenseHead(model.config.hidden_size, categories, colors, VLM_DETAIL)

    def forward(self, batch: TrainingBatch) -> Objective:
        """Compute every term that has a weight."""
        model, weights, detector = self.model, self.weights, self.model.detector
        figures: dict[str, Tensor] = {}

        vlm = model.encode_vlm_image(batch.vlm_patches, batch.grids)
        images = detector.encode_image(batch.sam_images)
        terms = self._dense_terms(batch, torch.cat(vlm.tokens), images.levels[1], figures)
        if self.vision_only:
            loss = torch.stack(terms).sum()
            return Objective(loss, figures | {'loss': loss.detach()}, {})

        hidden = model.language(batch.sequences, vlm)
        terms.append(weights.language * self._language_loss(batch, hidden, figures))

        sequences = batch.sequences
        text = model.phrase_text(sequences.phrase_ids, sequences.phrase_mask)
        mask = sequences.phrase_mask
        features = images.select(sequences.phrase_sequence)
        queries = model.project_slots(model.slots(hidden, sequences))
        states = detector.fuse(features, text, mask)
        decoded = detector.decode(queries, states, features, text, mask, detach_references=True)
        scores = detector.score_logits(decoded.hidden, text, mask)
        # masks of a picture's phrases have much in common: some of them teach as much as all
        drawn = batch.mask_phrases
        first = 0 if weights.deep_supervision else len(scores) - 1
        pixels = detector.pixel_embedding(
            states.index_select(0, drawn), features.select(drawn), text.index_select(0, drawn),
            mask.index_select(0, drawn))
        masks = detector.mask_logits(decoded.hidden[first:].index_select(1, drawn), pixels)

        slot = batch.target_slot if self.assignment == 'anchors' else self._match(
            batch, scores[-1], masks[-1])
        terms += self._box_terms(batch, slot, decoded, scores, figures)
        mask_terms, dice = self._mask_terms(batch, slot, masks, len(text), figures)
        terms += mask_terms
        terms.append(self._score_term(batch, slot, scores, dice, figures))
        if weights.slot_supervision:
            terms.append(weights.slot_supervision * self._slot_loss(
                batch, slot, queries, text, figures))
        loss = torch.stack([t.float() for t in terms]).sum()
        figures['loss'] = loss.detach()
        return Objective(loss, figures, phrase_iou(batch, scores[-1], masks[-1]))

    def _dense_terms(
        self, batch: TrainingBatch, tokens: Tensor, level: Tensor, figures: dict[str, Tensor],
    ) -> list[Tensor]:
        terms = []
        if self.dense_sam is not None and batch.dense_sam is not None:
            loss, right = self.dense_sam(level.permute(0, 2, 3, 1).flatten(0, 2), batch.dense_sam)
            figures |= {'dense/sam': loss.detach(), 'dense/sam_category': right}
            terms.append(self.weights.dense_sam * loss)
        if self.dense_vlm is not None and batch.dense_vlm is not None:
            loss, right = self.dense_vlm(tokens, batch.dense_vlm)
            figures |= {'dense/vlm': loss.detach(), 'dense/vlm_category': right}
            terms.append(self.weights.dense_vlm * loss)
        return terms

    def _language_loss(
        self, batch: TrainingBatch, hidden: Tensor, figures: dict[str, Tensor]
    ) -> Tensor:
        labels = batch.sequences.labels.flatten()
        rows = (labels >= 0).nonzero()[:, 0]
        logits = self.model.logits(hidden.flatten(0, 1).index_select(0, rows)).float()
        targets = labels.index_select(0, rows)
        loss = F.cross_entropy(logits, targets)
        figures['language'] = loss.detach()
        figures['language/token_accuracy'] = (logits.detach().argmax(-1) == targets).float().mean()
        return loss

    def _match(self, batch: TrainingBatch, scores: Tensor, masks: Tensor) -> Tensor:
        """Hungarian slots of the targets; every phrase with a target has its masks drawn."""
        drawn = batch.mask_phrases
        phrase = _places(drawn, len(scores)).index_select(0, batch.target_phrase)
        masks, truth = masks.detach().float(), batch.target_mask
        if self.weights.mask_points:
            # the same places for all masks of a phrase, so that they can be compared
            points = 2 * torch.rand(
                len(masks), self.weights.mask_points, 2, device=masks.device) - 1
            truth = losses.gather_points(truth, points.index_select(0, phrase))
            queries = masks.shape[1]
            masks = losses.gather_points(
                masks.flatten(0, 1), points.repeat_interleave(queries, 0)).unflatten(
                    0, (-1, queries))
        else:
            truth, masks = truth.flatten(1), masks.flatten(2)
        return hungarian(scores.detach().index_select(0, drawn), masks, truth, phrase)

    def _layer_shares(self, scores: Tensor) -> Tensor:
        """Weight of each supervised decoder layer: the last counts fully."""
        layers = len(scores) if self.weights.deep_supervision else 1
        share = scores.new_full((layers,), self.weights.deep_supervision)
        share[-1] = 1.0
        return share

    def _box_terms(
        self, batch: TrainingBatch, slot: Tensor, decoded: DecoderOutput, scores: Tensor,
        figures: dict[str, Tensor],
    ) -> list[Tensor]:
        weights = self.weights
        kept = (slot >= 0).nonzero()[:, 0]
        if not len(kept) or not (weights.box_l1 or weights.box_giou):
            return []
        share = self._layer_shares(scores)
        flat = batch.target_phrase[kept] * scores.shape[-1] + slot[kept]
        boxes = decoded.references[-len(share):].flatten(1, 2).index_select(1, flat).float()
        goal = batch.target_box.index_select(0, kept)
        l1 = (boxes - goal).abs().sum(-1).mean(-1)
        giou = losses.box_giou(boxes, goal.expand_as(boxes)).mean(-1)
        figures |= {'box/l1': l1[-1].detach(), 'box/giou': giou[-1].detach()}
        return [weights.box_l1 * (l1 * share).sum(), weights.box_giou * (giou * share).sum()]

    def _mask_terms(
        self, batch: TrainingBatch, slot: Tensor, masks: Tensor, phrases: int,
        figures: dict[str, Tensor],
    ) -> tuple[list[Tensor], Tensor | None]:
        """Mask terms of all supervised layers, and the dice losses [layers, kept]."""
        weights = self.weights
        place = _places(batch.mask_phrases, phrases).index_select(0, batch.target_phrase)
        kept = ((slot >= 0) & (place >= 0)).nonzero()[:, 0]
        if not len(kept):
            return [], None
        share = self._layer_shares(masks)
        flat = place[kept] * masks.shape[2] + slot[kept]
        logits = masks.flatten(1, 2).index_select(1, flat).float()
        truth = batch.target_mask.index_select(0, kept)
        if weights.mask_points:
            points = losses.sample_points(logits[-1].detach(), weights.mask_points)
            logits = torch.stack([losses.gather_points(m, points) for m in logits])
            truth = losses.gather_points(truth, points)
        else:
            logits, truth = logits.flatten(2), truth.flatten(1)
        bce = losses.mask_bce(logits, truth).mean(-1)
        dice = losses.mask_dice(logits, truth)
        figures |= {'mask/bce': bce[-1].detach(), 'mask/dice': dice[-1].mean().detach()}
        return [weights.mask_bce * (bce * share).sum(),
                weights.mask_dice * (dice.mean(-1) * share).sum()], dice.detach()

    def _score_term(
        self, batch: TrainingBatch, slot: Tensor, scores: Tensor, dice: Tensor | None,
        figures: dict[str, Tensor],
    ) -> Tensor:
        """Scores of all slots: 1 for matched ones, or as the release max(1 − dice, 0.1)."""
        share = self._layer_shares(scores)
        queries = scores.shape[-1]
        logits = scores[-len(share):].flatten(1).float()
        kept = (slot >= 0).nonzero()[:, 0]
        flat = batch.target_phrase[kept] * queries + slot[kept]
        target = torch.zeros_like(logits)
        if self.weights.soft_score_target and dice is not None:
            target.index_copy_(1, flat, (1 - dice).clamp(min=0.1))
        else:
            target.index_fill_(1, flat, 1.0)
        score = F.binary_cross_entropy_with_logits(
            logits, target, reduction='none').mean(1) * queries
        figures['score'] = score[-1].detach()
        return self.weights.score * (score * share).sum()

    def _slot_loss(
        self, batch: TrainingBatch, slot: Tensor, queries: Tensor, text: Tensor,
        figures: dict[str, Tensor],
    ) -> Tensor:
        """Score and place the slots as they come from the language model.

        The detector's own heads read them before any decoder layer, so that the language model
        hears at once which object each slot is to stand for.
        """
        detector, mask = self.model.detector, batch.sequences.phrase_mask
        decoder = detector.detr_decoder
        hidden = decoder.output_layer_norm(queries)
        logits = detector.score_logits(hidden, text, mask).float()
        target = torch.zeros_like(logits).flatten()
        kept = (slot >= 0).nonzero()[:, 0]
        flat = batch.target_phrase.index_select(0, kept) * logits.shape[1] + slot[kept]
        target.index_fill_(0, flat, 1.0)
        loss = F.binary_cross_entropy_with_logits(logits.flatten(), target) * logits.shape[1]
        figures['slot/score'] = loss.detach()
        loss = self.weights.score * loss
        if len(kept) and self.weights.box_l1:
            start = decoder.reference_points.weight.index_select(0, slot.index_select(0, kept))
            boxes = (decoder.box_head(hidden.flatten(0, 1).index_select(0, flat))
                     + start).sigmoid().float()
            goal = batch.target_box.index_select(0, kept)
            l1 = (boxes - goal).abs().sum(-1).mean()
            figures['slot/box_l1'] = l1.detach()
            loss = loss + self.weights.box_l1 * l1
        return loss


def _places(drawn: Tensor, phrases: int) -> Tensor:
    """Where each phrase [P] stands among the drawn ones, −1 where it is not."""
    place = torch.full((phrases,), -1, dtype=torch.long, device=drawn.device)
    place[drawn] = torch.arange(len(drawn), device=drawn.device)
    return place


@torch.no_grad()
def phrase_iou(
    batch: TrainingBatch, scores: Tensor, masks: Tensor, threshold: float = 0.4
) -> dict[str, list[float]]:
    """Union IoU at mask resolution of phrases with drawn masks and of absent ones, by kind."""
    place = _places(batch.mask_phrases, len(scores))
    truth = masks.new_zeros(len(masks), *batch.target_mask.shape[1:])
    where = place[batch.target_phrase]
    kept = (where >= 0).nonzero()[:, 0]
    truth.index_add_(0, where[kept], batch.target_mask[kept].to(truth.dtype))
    truth = (truth > 0.5).flatten(1)
    keep = scores.sigmoid() > threshold
    found = ((masks > 0) & keep[batch.mask_phrases][..., None, None]).any(1).flatten(1)
    union = (found | truth).sum(-1)
    iou = torch.where(union > 0, (found & truth).sum(-1) / union.clamp(min=1), 1.0).tolist()
    absent = torch.ones(len(scores), dtype=torch.bool, device=scores.device)
    absent[batch.target_phrase] = False
    silent = (~keep.any(1)).tolist()
    by_kind: dict[str, list[float]] = defaultdict(list)
    for kind, row, nothing, quiet in zip(
            batch.kinds, place.tolist(), absent.tolist(), silent, strict=True):
        if row >= 0:
            by_kind[kind].append(iou[row])
        elif nothing:
            by_kind[kind].append(float(quiet))
    return by_kind
