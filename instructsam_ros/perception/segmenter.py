# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the robot side knows of a model: a Segmenter. Model families live in ``model/``."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Instance(Protocol):
    """One object in the picture."""

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Boolean mask [H, W] at the image's size."""

    @property
    def score(self) -> float:
        """Confidence in 0..1."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 in pixels."""

    @property
    def phrase(self) -> str:
        """The words of the answer that this instance belongs to."""


class Segmentation(Protocol):
    """The answer to one instruction about one picture."""

    @property
    def answer(self) -> str:
        """The model's answer text."""

    @property
    def phrases(self) -> Sequence[str]:
        """The phrases of the answer, also those without an instance."""

    @property
    def instances(self) -> Sequence[Instance]:
        """All instances of all phrases; empty when nothing was found."""

    @property
    def timings(self) -> Mapping[str, float]:
        """Seconds per stage of the model."""


class Segmenter(Protocol):
    """Finds what an instruction names in a picture.

    A model may also have ``stream()`` (see ``stream_of``) and ``warm_up(height, width)``, which
    prepares it for pictures of a size.
    """

    def segment(
        self, image: NDArray[np.uint8], instruction: str, *, threshold: float | None = None
    ) -> Segmentation:
        """Segment a uint8 RGB image [H, W, 3]; threshold None means the model's own."""


def stream_of(segmenter: Segmenter) -> Segmenter:
    """Return a segmenter for the pictures of one camera and one instruction after the other.

    It gives the same results, faster where the model can draw on the picture before; models that
    cannot are returned as they are.
    """
    stream = getattr(segmenter, 'stream', None)
    return segmenter if stream is None else stream()


def stream_beside(stream: Segmenter, segmenter: Segmenter) -> Segmenter:
    """Return a stream of ``segmenter`` for another instruction about the pictures of ``stream``.

    It gives the same results, faster where the model can use what the other one has seen in the
    same picture (``stream.sibling()``); both are then for one thread.
    """
    sibling = getattr(stream, 'sibling', None)
    return stream_of(segmenter) if sibling is None else sibling()


def load_segmenter(model: str | None = None, device: str = 'auto') -> Segmenter:
    """Load a model as a Segmenter.

    ``model`` is a checkpoint folder or a hub id, None the default checkpoint; ``device`` is
    'auto', 'cpu' or 'cuda'. Raises FileNotFoundError or ValueError naming cause and mend.
    """
    # torch takes seconds to import: only who loads a model pays
    from instructsam.segmenter import InstructSAMSegmenter

    segmenter: Segmenter = InstructSAMSegmenter.from_pretrained(model, device=device)
    return segmenter
