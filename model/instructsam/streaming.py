# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pictures of one camera under a standing instruction, each answered in a single pass.

The answer rarely changes from picture to picture, so the last one is the draft of the next: the
pass over the prompt checks it and has the slots of all its phrases at once (see `decoding`).
Where the picture asks for another answer, decoding goes on from the first token that differs.
Either way the result is that of decoding every picture on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from instructsam.decoding import DecodedAnswer
from instructsam.drafting import DraftedPrompt, quoted_phrases
from instructsam.picture_memory import PictureMemory
from instructsam.segmentation import Segmentation
from instructsam.vlm import Grid

if TYPE_CHECKING:
    from instructsam.segmenter import InstructSAMSegmenter


@dataclass
class StreamCounters:
    """How drafts fared.

    Attributes:
        pictures: all that were segmented.
        drafted: of these, those that had a draft.
        confirmed: of these, those whose draft was the whole answer: a single pass.
    """

    pictures: int = 0
    drafted: int = 0
    confirmed: int = 0


class SegmentationStream:
    """Segments picture after picture; same arguments and results as the segmenter's `segment`.

    For one camera and one thread; as many streams as wanted may share a segmenter. A new
    instruction or picture size starts anew, with the phrases that the instruction quotes as the
    first draft.

    Args:
        segmenter: does the work.
        memory: of pictures, shared with streams for other instructions about them.

    Attributes:
        counters: how drafts fared since the stream was made.
    """

    def __init__(self, segmenter: InstructSAMSegmenter, memory: PictureMemory | None = None
                 ) -> None:
        self._segmenter = segmenter
        self._memory = memory
        self.counters = StreamCounters()
        self._key: tuple[str, Grid, int, int] | None = None
        self._prompt: DraftedPrompt | None = None

    def sibling(self) -> SegmentationStream:
        """Return a stream for another instruction about the same pictures, on the same thread.

        Whichever of them gets a picture first encodes it for all.
        """
        if self._memory is None:
            self._memory = PictureMemory()
        return SegmentationStream(self._segmenter, self._memory)

    def reset(self) -> None:
        """Forget the last answer."""
        self._key = self._prompt = None

    def segment(self, image: npt.NDArray[np.uint8], instruction: str, *,
                threshold: float | None = None) -> Segmentation:
        """Find what an instruction names in the next picture.

        Args:
            image: uint8 RGB [H, W, 3].
            instruction: 1 to 2,000 characters.
            threshold: least score of an instance, 0..1; None: the checkpoint's own.

        Raises:
            ValueError: the image, the instruction or the threshold is not as above.
        """
        height, width = np.shape(image)[:2] if np.ndim(image) == 3 else (0, 0)

        def prompt(text: str, grid: Grid) -> DraftedPrompt:
            key = (text, grid, height, width)
            if self._prompt is None or key != self._key:
                quoted = quoted_phrases(text)
                draft = self._segmenter.draft(quoted) if quoted else ()
                self._prompt, self._key = self._segmenter.prompt(text, grid, draft), key
            return self._prompt

        found, answer = self._segmenter.answer(
            image, instruction, threshold, prompt, self._memory)
        self._learn(answer)
        return found

    def _learn(self, answer: DecodedAnswer) -> None:
        """Draft this answer for the next picture."""
        assert self._prompt is not None and self._key is not None
        draft = self._prompt.draft
        given = answer.answer_ids[:-1] if answer.ending == 'stop' else answer.answer_ids
        self.counters.pictures += 1
        self.counters.drafted += bool(draft)
        if given == draft:
            self.counters.confirmed += bool(draft)
            return
        text, grid, *_ = self._key
        self._prompt = self._segmenter.prompt(text, grid, given)
