# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmenters without a network, for tests of what surrounds one."""

from dataclasses import dataclass, field

import cv2
import numpy as np


@dataclass(frozen=True)
class Found:
    """One instance."""

    mask: np.ndarray
    score: float = 0.9
    phrase: str = 'thing'

    @property
    def box(self):
        """Tight box of the mask, x0, y0, x1, y1."""
        x, y, width, height = cv2.boundingRect(self.mask.astype(np.uint8))
        return float(x), float(y), float(x + width), float(y + height)


@dataclass(frozen=True)
class Answer:
    """One segmentation."""

    instances: tuple = ()
    answer: str = ''
    phrases: tuple = ()
    timings: dict = field(default_factory=dict)


class ColorSegmenter:
    """Finds each connected patch of a pure colour that the instruction names."""

    channels = {'red': 0, 'green': 1, 'blue': 2}

    def __init__(self):
        """Remember what was asked."""
        self.images = []

    def segment(self, image, instruction, *, threshold=None):
        """Segment by colour; scores fall with every further patch."""
        self.images.append(image)
        phrases = tuple(color for color in self.channels if color in instruction)
        found = []
        for phrase in phrases:
            own = image[..., self.channels[phrase]].astype(int)
            others = image.astype(int).sum(axis=2) - own
            count, labels = cv2.connectedComponents((own - others > 60).astype(np.uint8))
            found += [
                Found(labels == k, 0.95 - 0.1 * k, f'{phrase} thing') for k in range(1, count)
            ]
        found = [one for one in found if threshold is None or one.score >= threshold]
        return Answer(tuple(found), ', '.join(phrases), phrases)
