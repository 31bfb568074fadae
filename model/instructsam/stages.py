# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a picture goes through, and how long each stage takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

STAGES = ('preprocess', 'sam_encode', 'vlm_encode', 'prefill', 'decode', 'detect', 'postprocess')


class StageClock:
    """Seconds per stage; on CUDA by events, so that measuring does not wait for the device."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == 'cuda'
        self._seconds = dict.fromkeys(STAGES, 0.0)
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure what runs inside, on the current stream."""
        if self._cuda:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            yield
            end.record()
            self._events.append((name, begin, end))
            return
        begun = time.perf_counter()
        yield
        self._seconds[name] += time.perf_counter() - begun

    def seconds(self) -> dict[str, float]:
        """Return the seconds of every stage, 0 for those that did not run."""
        for name, begin, end in self._events:
            end.synchronize()
            self._seconds[name] += begin.elapsed_time(end) / 1000
        self._events.clear()
        return self._seconds
