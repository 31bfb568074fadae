# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""An image and an instruction in, instances out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from instructsam import checkpoint
from instructsam.decoding import DecodedAnswer, DecodingSession, greedy
from instructsam.drafting import DraftedPrompt
from instructsam.features import ImageFeatures
from instructsam.graphs import Shelf
from instructsam.modeling import InstructSAM
from instructsam.picture_memory import EncodedPicture, PictureMemory, shared_seconds
from instructsam.preprocessing import sam_pixels, vlm_pixels
from instructsam.prompts import (
    PromptBuilder,
    answer_text,
    check_instruction,
    image_token_count,
)
from instructsam.segmentation import (
    Instance,
    Segmentation,
    cut_instances,
    kept_slots,
    select_instances,
)
from instructsam.stages import StageClock
from instructsam.static_frame import StaticFrame
from instructsam.streaming import SegmentationStream
from instructsam.vlm import Grid

PromptMaker = Callable[[str, Grid], DraftedPrompt]

# picture sizes whose graphs are kept
_FRAME_SIZES = 2


class InstructSAMSegmenter:
    """Segments images by instructions in words.

    Args:
        model: the network.
        tokenizer: the checkpoint's tokenizer.
        device: where to run; the model is moved there.
        phrase_batch: phrases that go through the detector at once; fewer need less memory.
        static: whether to work in passes of fixed shapes, recorded as CUDA graphs (see
            `static_frame`); None: on CUDA, unless the environment says INSTRUCTSAM_STATIC=0.
            Elsewhere nothing is gained by it.

    Raises:
        ValueError: the device is not there, or the tokenizer's chat template is of no use.
    """

    def __init__(self, model: InstructSAM, tokenizer: Any,
                 device: str | torch.device | None = None, *, phrase_batch: int = 5,
                 static: bool | None = None) -> None:
        if phrase_batch < 1:
            raise ValueError(f'phrase_batch is {phrase_batch}: it must be at least 1')
        if device is not None:
            model = model.to(checkpoint.resolve_device(device)[0])
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.phrase_batch = phrase_batch
        self._prompts = PromptBuilder(tokenizer, model.config)
        on_cuda = model.device.type == 'cuda'
        if static is None:
            static = on_cuda and os.environ.get('INSTRUCTSAM_STATIC') != '0'
        self.static = static
        self._frames: Shelf[tuple[int, int], StaticFrame] = Shelf(_FRAME_SIZES)
        self._frames_lock = threading.Lock()
        self._side_stream = (torch.cuda.Stream(model.device) if on_cuda else None)

    @classmethod
    def from_pretrained(cls, path_or_hub_id: str | os.PathLike[str] | None = None,
                        device: str | torch.device = 'auto',
                        dtype: torch.dtype | None = None, *,
                        static: bool | None = None) -> InstructSAMSegmenter:
        """Load a checkpoint directory, a hub id, or (None) the default checkpoint.

        For `static` see the class.

        Raises:
            FileNotFoundError: there is no such checkpoint, or it lacks a file.
            ValueError: the device is not there, or the checkpoint does not fit this network.
        """
        device, dtype = checkpoint.resolve_device(device, dtype)
        directory = (checkpoint.default_checkpoint() if path_or_hub_id is None
                     else checkpoint.resolve(path_or_hub_id))
        model = InstructSAM.from_pretrained(directory, device=device, dtype=dtype)
        return cls(model, checkpoint.load_tokenizer(directory, model.config), static=static)

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self.model.device

    def segment(self, image: npt.NDArray[np.uint8], instruction: str, *,
                threshold: float | None = None) -> Segmentation:
        """Find what an instruction names in an image.

        Args:
            image: uint8 RGB [H, W, 3].
            instruction: 1 to 2,000 characters.
            threshold: least score of an instance, 0..1; None: the checkpoint's own.

        Raises:
            ValueError: the image, the instruction or the threshold is not as above.
        """
        return self.answer(image, instruction, threshold, self.prompt)[0]

    def stream(self) -> SegmentationStream:
        """Return a segmenter for the pictures of one camera, faster for the same result.

        It keeps state from picture to picture; see `streaming`.
        """
        return SegmentationStream(self)

    def prompt(self, instruction: str, grid: Grid, draft: Sequence[int] = ()) -> DraftedPrompt:
        """Lay out the prompt for an image of (t, h, w) patches, and an expected answer."""
        tokens = image_token_count(grid, self.model.config.merge_size)
        return DraftedPrompt(self.model.config, self._prompts.prompt_ids(instruction, tokens),
                             [grid], draft, device=self.device)

    def draft(self, phrases: Sequence[str]) -> list[int]:
        """Return the tokens of the answer that names these phrases."""
        return self._prompts.answer_ids(answer_text(phrases))

    @torch.inference_mode()
    def answer(self, image: npt.NDArray[np.uint8], instruction: str, threshold: float | None,
               prompt: PromptMaker, memory: PictureMemory | None = None
               ) -> tuple[Segmentation, DecodedAnswer]:
        """Segment as `segment` does, with a prompt of the caller's; return the tokens too.

        ``prompt`` gets the checked instruction and the image's (t, h, w) in patches. With a
        ``memory``, instructions about the same picture share its encoders; passes of fixed shapes
        (`static`) do not.
        """
        instruction = check_instruction(instruction)
        if threshold is None:
            threshold = self.model.config.score_threshold
        if not 0.0 <= threshold <= 1.0:
            raise ValueError(f'threshold is {threshold}: give one in 0..1')
        pixels = _as_tensor(image)
        clock = StageClock(self.device)
        height, width = image.shape[:2]
        reused: tuple[str, ...] = ()
        if self.static:
            instances, answer = self._look_static(pixels, instruction, threshold, prompt, clock)
            seconds = clock.seconds()
        else:
            encoded = None if memory is None else memory.find(image)
            if encoded is None:
                encoded = self._encode(pixels, clock)
                if memory is not None:
                    memory.keep(image, encoded)
            instances, answer = self._look(
                encoded, height, width, instruction, threshold, prompt, clock)
            seconds, reused = shared_seconds(clock.seconds(), encoded)
        found = Segmentation(
            answer=self._prompts.decode_answer(answer.answer_ids), phrases=self._phrases(answer),
            instances=tuple(instances), height=height, width=width, timings=seconds,
            reused=reused)
        return found, answer

    def warm_up(self, height: int, width: int) -> None:
        """Look at a blank picture of a size, so that the first real one does not take longer.

        On CUDA this records the graphs of answers of up to `phrase_batch` phrases.
        """
        if self.static:
            with self._frames_lock:
                frame = self._frame(height, width)
                for count in range(min(self.phrase_batch, self.model.config.max_phrases) + 1):
                    draft = self.draft(['anything'] * count) if count else ()
                    frame.warm_up(self.prompt('anything', frame.grid, draft))
        self.segment(np.full((height, width, 3), 127, np.uint8), 'anything')

    def _frame(self, height: int, width: int) -> StaticFrame:
        return self._frames.get((height, width), lambda: StaticFrame(
            self.model, height, width, phrase_batch=self.phrase_batch))

    def _phrases(self, answer: DecodedAnswer) -> tuple[str, ...]:
        return tuple(self._prompts.decode_words(words) for words in answer.phrase_words)

    def _look_static(self, pixels: Tensor, instruction: str, threshold: float, prompt: PromptMaker,
                     clock: StageClock) -> tuple[list[Instance], DecodedAnswer]:
        height, width = pixels.shape[:2]
        with self._frames_lock:
            frame = self._frame(height, width)
            sight = frame.look(pixels, prompt(instruction, frame.grid), clock.stage)
            with clock.stage('postprocess'):
                kept = kept_slots(sight.scores, threshold)
                phrases = self._phrases(sight.answer)
                instances = cut_instances(
                    [(float(sight.scores[p, q]), phrases[p]) for p, q in kept],
                    [sight.mask_logits[p][q] for p, q in kept],
                    [sight.bounds[p, q].tolist() for p, q in kept], height, width)
        return instances, sight.answer

    def _encode(self, pixels: Tensor, clock: StageClock) -> EncodedPicture:
        with clock.stage('preprocess'):
            sam_image, patches, grid = self._preprocess(pixels)
        features = self._encode_alongside(sam_image, clock)
        with clock.stage('vlm_encode'):
            return EncodedPicture(sam_image, self.model.encode_vlm_image(patches, grid), features)

    def _look(self, encoded: EncodedPicture, height: int, width: int, instruction: str,
              threshold: float, prompt: PromptMaker, clock: StageClock
              ) -> tuple[list[Instance], DecodedAnswer]:
        vlm = encoded.vlm
        with clock.stage('prefill'):
            session = DecodingSession(self.model, prompt(instruction, vlm.grids[0]), vlm)
        with clock.stage('decode'):
            answer = greedy(session)
        phrases = self._phrases(answer)
        if not phrases:
            return [], answer
        if encoded.features is None:
            with clock.stage('sam_encode'):
                encoded.features = self.model.detector.encode_image(encoded.sam_image)
        with clock.stage('detect'):
            scores, masks = self._detect(encoded.features, answer, threshold)
        with clock.stage('postprocess'):
            instances = select_instances(scores, masks, phrases, threshold=threshold,
                                         height=height, width=width)
        return instances, answer

    def _preprocess(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        config, model = self.model.config, self.model
        pixels = pixels.to(model.device)
        sam_image = sam_pixels(pixels, config.image_size)
        # One frame of a still picture is enough where adding up the frames' weights rounds nothing.
        frames = 1 if model.dtype == torch.float32 else config.temporal_patch_size
        patches, grid = vlm_pixels(pixels, config.patch_size, config.merge_size, frames,
                                   config.min_pixels, config.max_pixels)
        return sam_image, patches, grid

    def _encode_alongside(self, sam_image: Tensor, clock: StageClock) -> ImageFeatures | None:
        """On CUDA start SAM3's encoder beside the language model; elsewhere do nothing yet.

        It does not depend on the answer. On a CPU nothing would be gained, and it can be spared
        when the answer names nothing.
        """
        if self._side_stream is None:
            return None
        self._side_stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._side_stream), clock.stage('sam_encode'):
            return self.model.detector.encode_image(sam_image)

    def _detect(self, features: ImageFeatures, answer: DecodedAnswer,
                threshold: float | None = None) -> tuple[Tensor, Tensor]:
        """Return score logits [P, Q] and mask logits [P, Q, h, w] of all phrases.

        With a threshold, masks are 0 for phrases without a score above it.
        """
        if self._side_stream is not None:
            torch.cuda.current_stream(self.device).wait_stream(self._side_stream)
        scores, masks = [], []
        for start in range(0, len(answer.slots), self.phrase_batch):
            part = slice(start, start + self.phrase_batch)
            slots = answer.slots[part]
            rows = torch.zeros(len(slots), dtype=torch.long, device=self.device)
            found = self.model.ground(features.select(rows), slots, answer.phrase_ids[part],
                                      answer.phrase_mask[part], threshold=threshold)
            scores.append(found.score_logits)
            masks.append(found.mask_logits)
        return torch.cat(scores), torch.cat(masks)


def _as_tensor(image: npt.NDArray[np.uint8]) -> Tensor:
    """Return an RGB image [H, W, 3] as a tensor that shares its memory if it can."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 \
            or image.shape[2] != 3 or 0 in image.shape:
        kind = (f'{image.dtype} {list(image.shape)}' if isinstance(image, np.ndarray)
                else type(image).__name__)
        raise ValueError(f'the image is {kind}: give a uint8 RGB array [H, W, 3], for example by '
                         'instructsam.preprocessing.to_rgb_uint8')
    return torch.from_numpy(np.require(image, requirements=['C', 'W']))
