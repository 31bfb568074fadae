# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measuring a model on a tabletop split, end to end: its own answers, its own threshold.

All instructions of a frame share one encoding of the image.  Two ablations tell what carries the
load: `mean-slots` gives every phrase the split's mean slots instead of its own, `no-phrase` gives
every phrase the split's mean phrase feature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from instructsam.decoding import DecodedAnswer, DecodingSession, greedy
from instructsam.features import ImageFeatures
from instructsam.metrics import Metrics, SegmentationMetrics
from instructsam.modeling import Grounding, InstructSAM
from instructsam.preprocessing import sam_pixels, vlm_pixels
from instructsam.prompts import PromptBuilder, image_token_count
from instructsam.segmentation import Instance, select_instances
from instructsam.segmenter import InstructSAMSegmenter
from instructsam.tabletop.grammar import REFERRING_KINDS
from instructsam.tabletop.splits import TabletopSample

ABLATIONS = ('mean-slots', 'no-phrase')
NAMING_KINDS = ('category', 'attribute', 'several_phrases', 'several_instances')
GROUPS: Mapping[str, Sequence[str]] = {'naming': NAMING_KINDS, 'referring': REFERRING_KINDS}

Frames = Callable[[], Iterable[TabletopSample]]


@dataclass
class Evaluation:
    """What one run over a split measured.

    Attributes:
        threshold: least score of an instance.
        metrics: figures by threshold; more than one only for a sweep.
        right, asked: answers that name exactly the expected phrases, and all answers, by kind.
        frames: how many were seen.
    """

    threshold: float
    metrics: dict[float, SegmentationMetrics]
    right: dict[str, int] = field(default_factory=dict)
    asked: dict[str, int] = field(default_factory=dict)
    frames: int = 0

    @property
    def own(self) -> SegmentationMetrics:
        """The figures at the run's own threshold."""
        return self.metrics[self.threshold]

    def answer_rate(self, kinds: Iterable[str] | None = None) -> float | None:
        """Return the share of exact answers among some kinds (None: all)."""
        wanted = list(self.asked) if kinds is None else [k for k in kinds if k in self.asked]
        asked = sum(self.asked[kind] for kind in wanted)
        return sum(self.right.get(kind, 0) for kind in wanted) / asked if asked else None

    def rows(self) -> dict[str, tuple[Metrics, float | None]]:
        """Return figures and answer rate of every kind, then of both groups and of all."""
        own = self.own
        rows = {kind: (figures, self.answer_rate([kind]))
                for kind, figures in own.by_kind().items()}
        for group, kinds in GROUPS.items():
            if any(kind in self.asked for kind in kinds):
                rows[group] = (own.select(kinds), self.answer_rate(kinds))
        return rows | {'all': (own.overall(), self.answer_rate())}

    def to_dict(self) -> dict[str, Any]:
        """Return everything with plain keys, fit for JSON."""
        rows = {name: figures.to_dict() | {'answer_exact': rate}
                for name, (figures, rate) in self.rows().items()}
        summary = {name: rows.pop(name) for name in (*GROUPS, 'all') if name in rows}
        result: dict[str, Any] = {
            'threshold': self.threshold, 'frames': self.frames, 'overall': summary.pop('all'),
            'groups': summary, 'by_kind': rows,
            'by_count': {name: figures.to_dict()
                         for name, figures in self.own.by_count().items()}}
        if len(self.metrics) > 1:
            result['sweep'] = {f'{threshold:g}': metrics.overall().to_dict()
                               for threshold, metrics in self.metrics.items()}
        return result


class FrameRunner:
    """Answers and grounds the instructions of one frame after another.

    Args:
        segmenter: the model in use; its threshold and device are kept.
    """

    def __init__(self, segmenter: InstructSAMSegmenter) -> None:
        self.model: InstructSAM = segmenter.model
        self.phrase_batch = segmenter.phrase_batch
        self.prompts = PromptBuilder(segmenter.tokenizer, segmenter.model.config)

    @torch.inference_mode()
    def answers(self, sample: TabletopSample) -> list[DecodedAnswer]:
        """Let the model answer every instruction of a frame."""
        config = self.model.config
        patches, grid = vlm_pixels(self._pixels(sample), config.patch_size, config.merge_size,
                                   config.temporal_patch_size, config.min_pixels,
                                   config.max_pixels)
        vlm = self.model.encode_vlm_image(patches, grid)
        tokens = image_token_count(vlm.grids[0], config.merge_size)
        return [greedy(DecodingSession(self.model, self.prompts.prompt_ids(one.text, tokens), vlm))
                for one in sample.instructions]

    @torch.inference_mode()
    def features(self, sample: TabletopSample) -> ImageFeatures:
        """Encode a frame for the detector."""
        image = sam_pixels(self._pixels(sample), self.model.config.image_size)
        return self.model.detector.encode_image(image)

    def phrases(self, answer: DecodedAnswer) -> tuple[str, ...]:
        """Return the phrases of an answer as text."""
        return tuple(self.prompts.decode_words(words) for words in answer.phrase_words)

    @torch.inference_mode()
    def instances(self, sample: TabletopSample, features: ImageFeatures, answer: DecodedAnswer,
                  threshold: float, *, slots: Tensor | None = None,
                  text: Tensor | None = None) -> list[Instance]:
        """Ground an answer.

        Args:
            sample: the frame.
            features: its encoding.
            answer: what the model said.
            threshold: least score, 0..1.
            slots: [Q, H] in place of every phrase's own slots.
            text: [C] in place of every phrase's own features.
        """
        phrases = self.phrases(answer)
        height, width = sample.frame.image.shape[:2]
        found: list[Instance] = []
        for start in range(0, len(phrases), self.phrase_batch):
            part = slice(start, start + self.phrase_batch)
            own = answer.slots[part]
            used = own if slots is None else slots.to(own).expand_as(own)
            rows = torch.zeros(len(own), dtype=torch.long, device=own.device)
            if text is None:
                grounding = self.model.ground(features.select(rows), used, answer.phrase_ids[part],
                                              answer.phrase_mask[part])
            else:
                grounding = ground_text(self.model, features.select(rows), used,
                                        text.to(own).expand(len(own), 1, -1))
            found += select_instances(grounding.score_logits, grounding.mask_logits, phrases[part],
                                      threshold=threshold, height=height, width=width)
        return found

    def _pixels(self, sample: TabletopSample) -> Tensor:
        image = torch.from_numpy(sample.frame.image).permute(2, 0, 1)
        return image.to(self.model.device)


def ground_text(model: InstructSAM, features: ImageFeatures, slots: Tensor,
                text: Tensor) -> Grounding:
    """Do what `InstructSAM.ground` does for phrase features [P, T, C] given from outside."""
    detector = model.detector
    mask = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device)
    states = detector.fuse(features, text, mask)
    decoded = detector.decode(model.project_slots(slots), states, features, text, mask)
    hidden = decoded.hidden[-1]
    pixels = detector.pixel_embedding(states, features, text, mask)
    return Grounding(score_logits=detector.score_logits(hidden, text, mask),
                     boxes=decoded.references[-1], mask_logits=detector.mask_logits(hidden, pixels))


def evaluate(segmenter: InstructSAMSegmenter, frames: Frames, *, threshold: float | None = None,
             ablate: str | None = None, sweep: Sequence[float] = (),
             on_frame: Callable[[], None] = lambda: None) -> Evaluation:
    """Measure a model on frames with instructions.

    Args:
        segmenter: the model in use.
        frames: gives the samples; called twice for an ablation (the first time for the means).
        threshold: least score; None: the checkpoint's own.
        ablate: None or one of `ABLATIONS`.
        sweep: further thresholds to report.
        on_frame: called after every frame of every pass.

    Raises:
        ValueError: an unknown ablation or a threshold outside 0..1.
    """
    if ablate is not None and ablate not in ABLATIONS:
        raise ValueError(f"unknown ablation '{ablate}': use {' or '.join(ABLATIONS)}")
    own = segmenter.model.config.score_threshold if threshold is None else threshold
    thresholds = sorted({own, *sweep})
    if not all(0.0 <= value <= 1.0 for value in thresholds):
        raise ValueError(f'thresholds {thresholds}: give them in 0..1')
    runner = FrameRunner(segmenter)
    result = Evaluation(own, {value: SegmentationMetrics() for value in thresholds})
    slots, text, known = _means(runner, frames, ablate, on_frame)
    for index, sample in enumerate(frames()):
        features = runner.features(sample)
        for one, answer in zip(sample.instructions, known[index] if known else
                               runner.answers(sample), strict=True):
            found = runner.instances(sample, features, answer, thresholds[0], slots=slots,
                                     text=text)
            expected = tuple(phrase.text for phrase in one.phrases)
            result.asked[one.kind] = result.asked.get(one.kind, 0) + 1
            result.right[one.kind] = (result.right.get(one.kind, 0)
                                      + (runner.phrases(answer) == expected))
            truth = [sample.frame.instance_map == k + 1 for k in one.objects]
            for value, metrics in result.metrics.items():
                kept = [instance for instance in found if instance.score > value]
                metrics.add([instance.mask for instance in kept],
                            [instance.score for instance in kept], truth, kind=one.kind)
        result.frames += 1
        on_frame()
    return result


def _means(runner: FrameRunner, frames: Frames, ablate: str | None, on_frame: Callable[[], None]
           ) -> tuple[Tensor | None, Tensor | None, list[list[DecodedAnswer]]]:
    """Return mean slots [Q, H] or mean phrase feature [C], and the answers of the first pass."""
    if ablate is None:
        return None, None, []
    known: list[list[DecodedAnswer]] = []
    total: Tensor | None = None
    count = 0
    for sample in frames():
        known.append(runner.answers(sample))
        for answer in known[-1]:
            if not len(answer.slots):
                continue
            values, weight = _summed(runner.model, answer, ablate)
            total = values if total is None else total + values
            count += weight
        on_frame()
    if total is None:
        raise ValueError('the model names nothing on this split: there is nothing to ablate')
    mean = (total / count).float()
    return (mean, None, known) if ablate == 'mean-slots' else (None, mean, known)


@torch.inference_mode()
def _summed(model: InstructSAM, answer: DecodedAnswer, ablate: str) -> tuple[Tensor, int]:
    if ablate == 'mean-slots':
        return answer.slots.double().sum(0), len(answer.slots)
    text = model.phrase_text(answer.phrase_ids, answer.phrase_mask)
    return text.double().sum((0, 1)), int(answer.phrase_mask.sum())
