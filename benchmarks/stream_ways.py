# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ways of `stream_latency` to answer a picture, with answers that the model is made to give."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from agreement import agree
from plain_path import PlainPath

from instructsam.decoding import DecodingSession
from instructsam.segmentation import Segmentation
from instructsam.segmenter import InstructSAMSegmenter

KEPT_PER_PHRASE = 2
WAYS = {'a': 'as the release', 'b': 'step by step', 'c': 'stream, draft right',
        'd': 'stream, first phrase new', 'e': 'stream, all phrases new'}
WORDS = ('yellow carrots', 'purple carrots', 'orange carrots', 'mug', 'bowl', 'red ball',
         'blue cube', 'bottle', 'plate', 'banana')
Script = tuple[int, ...]


class Bench:
    """The ways to answer one picture, with forced answers.

    Args:
        segmenter: whose network to use.
        image: uint8 RGB [H, W, 3].
        phrases: how many the answers name.
        ways: which of 'abcde' to measure.
        calibrate: set the threshold so that about two instances a phrase are kept.
    """

    def __init__(self, segmenter: InstructSAMSegmenter, image: np.ndarray, phrases: int, ways: str,
                 *, calibrate: bool = False) -> None:
        self.segmenter = segmenter
        self.image = image
        self.phrases = phrases
        words = (WORDS * -(-phrases // len(WORDS)))[:phrases]
        self.instruction = 'Please segment ' + ', '.join(f"'{word}'" for word in words) + '.'
        self.script: Script = tuple(segmenter.draft(words))
        self.others: dict[str, Script] = {
            'd': tuple(segmenter.draft((f'green {words[0]}', *words[1:]))),
            'e': tuple(segmenter.draft([f'green {word}' for word in words]))}
        self.threshold = segmenter.model.config.score_threshold
        self._plain = PlainPath(segmenter)
        self._steady = segmenter.stream()
        self._changing = {name: segmenter.stream() for name in self.others}
        self._turns = dict.fromkeys(self.others, 0)
        every: dict[str, Callable[[], Segmentation]] = {
            'a': self.plain, 'b': self.stepwise, 'c': self.confirmed,
            'd': lambda: self.rejected('d'), 'e': lambda: self.rejected('e')}
        self.ways = {name: every[name] for name in ways}
        height, width = image.shape[:2]
        if segmenter.device.type == 'cuda':
            with forced(self.script):  # random weights would babble to the longest answer
                segmenter.warm_up(height, width)
        if calibrate:
            self.threshold = 0.0
            scores = sorted((one.score for one in self.stepwise().instances), reverse=True)
            kept = min(KEPT_PER_PHRASE * phrases, len(scores) - 1)
            self.threshold = scores[kept] if scores else 0.5

    @property
    def prompt(self) -> Any:
        """Return a maker of the prompt with the draft that is right."""
        return lambda grid: self.segmenter.prompt(self.instruction, grid, self.script[:-1])

    def plain(self) -> Segmentation:
        """(a)."""
        self._plain.script = self.script
        return self._plain.segment(self.image, self.instruction, self.threshold)

    def stepwise(self) -> Segmentation:
        """(b)."""
        with forced(self.script):
            return self.segmenter.segment(self.image, self.instruction, threshold=self.threshold)

    def confirmed(self) -> Segmentation:
        """(c)."""
        with forced(self.script):
            return self._steady.segment(self.image, self.instruction, threshold=self.threshold)

    def rejected(self, way: str) -> Segmentation:
        """(d) and (e): the answer is never that of the picture before."""
        self._turns[way] += 1
        script = self.others[way] if self._turns[way] % 2 else self.script
        with forced(script):
            return self._changing[way].segment(
                self.image, self.instruction, threshold=self.threshold)

    def measure(self, repeats: int, warm_up: int) -> dict[str, Any]:
        """Run the ways in turn; return percentiles in milliseconds and what they found.

        Raises:
            AssertionError: in fp32, two ways find different things.
        """
        seconds: dict[str, dict[str, list[float]]] = {
            name: defaultdict(list) for name in self.ways}
        results: dict[str, Segmentation] = {}
        for repeat in range(warm_up + repeats):
            for name, way in self.ways.items():
                self._synchronise()
                begin, busy = time.perf_counter(), time.process_time()
                results[name] = way()
                self._synchronise()
                whole, worked = time.perf_counter() - begin, time.process_time() - busy
                if repeat >= warm_up:
                    seconds[name]['whole'].append(whole)
                    # of all threads; other processes disturb it less
                    seconds[name]['processor'].append(worked)
                    for stage, value in results[name].timings.items():
                        seconds[name][stage].append(value)
        if 'c' in self.ways:
            counters = self._steady.counters
            assert counters.confirmed == counters.pictures, counters
        for name, stream in self._changing.items():
            assert stream.counters.confirmed == 0, (name, stream.counters)
        agreement = None
        if 'a' in results and 'c' in results:
            agreement = agree(results['a'], results['c'])
            if self.segmenter.model.dtype == torch.float32:
                assert not agreement['unmatched'], agreement
                assert agreement['score_difference'] <= 1e-4, agreement
                # a pixel whose logit is all but 0 may fall on either side
                assert agreement['least_iou'] >= 0.999, agreement
        height, width = self.image.shape[:2]
        found = next(iter(results.values()))
        return {
            'width': width, 'height': height, 'phrases': self.phrases,
            'answer_tokens': len(self.script), 'instances': len(found.instances),
            'agreement_of_a_and_c': agreement,
            'milliseconds': {name: _percentiles(stages) for name, stages in seconds.items()}}

    def _synchronise(self) -> None:
        if self.segmenter.device.type == 'cuda':
            torch.cuda.synchronize(self.segmenter.device)


@contextmanager
def forced(script: Script) -> Iterator[None]:
    """Make decoding take these tokens, each after the model's own was computed and read."""
    own = DecodingSession.likeliest

    def likeliest(session: DecodingSession) -> int:
        own(session)
        return script[len(session.answer_ids)]

    with patch.object(DecodingSession, 'likeliest', likeliest):
        yield


def _percentiles(stages: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    return {stage: {'p50': round(1000 * float(np.percentile(values, 50)), 3),
                    'p95': round(1000 * float(np.percentile(values, 95)), 3)}
            for stage, values in stages.items()}
