# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The picture that was seen last, encoded: another instruction about it needs no encoder again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from instructsam.features import ImageFeatures
from instructsam.vlm import VlmImageFeatures

# what is the same for all instructions about a picture
SHARED_STAGES = ('preprocess', 'sam_encode', 'vlm_encode')

# pixels of a row and of a column, which tell most pictures apart
_SAMPLE = 64


@dataclass
class EncodedPicture:
    """What both image encoders make of a picture.

    Attributes:
        sam_image: the detector's input.
        vlm: for the language model.
        features: for the detector; None until they are needed.
        seconds: that each of `SHARED_STAGES` took so far.
    """

    sam_image: Tensor
    vlm: VlmImageFeatures
    features: ImageFeatures | None = None
    seconds: dict[str, float] = field(default_factory=dict)


class PictureMemory:
    """The last picture and what the encoders made of it; for one thread."""

    def __init__(self) -> None:
        self._image: npt.NDArray[np.uint8] | None = None
        self._encoded: EncodedPicture | None = None

    def find(self, image: npt.NDArray[np.uint8]) -> EncodedPicture | None:
        """Return what is known of a picture: of equal pixels, in whatever array they come."""
        known = self._image
        if known is None or known.shape != image.shape:
            return None
        some = (slice(None, None, _SAMPLE), slice(None, None, _SAMPLE))
        if not np.array_equal(known[some], image[some]) or not np.array_equal(known, image):
            return None
        return self._encoded

    def keep(self, image: npt.NDArray[np.uint8], encoded: EncodedPicture) -> None:
        """Remember a picture in place of the one before."""
        # a copy: cameras write the next picture where this one is
        self._image, self._encoded = image.copy(), encoded


def shared_seconds(spent: Mapping[str, float], encoded: EncodedPicture
                   ) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return seconds by stage as if nothing had been shared, and the stages that were."""
    seconds, reused = dict(spent), []
    for name in SHARED_STAGES:
        if spent[name]:
            encoded.seconds[name] = spent[name]
        elif name in encoded.seconds:
            seconds[name] = encoded.seconds[name]
            reused.append(name)
    return seconds, tuple(reused)
