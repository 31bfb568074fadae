# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A picture from upload to logits in tensors that stay where they are; on CUDA, in a few graphs.

The picture goes to the device once, as bytes. SAM3's encoder runs beside the vision tower and the
language model. The detector takes the phrases of the draft at once, before anyone knows whether
the draft is right; tokens, scores and bounds then come back in one copy, the only point where a
picture with a right draft waits for the device before its masks are cut. A wrong draft costs the
steps from its first wrong token on, and another run of the detector.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from instructsam.decoding import DecodedAnswer, greedy
from instructsam.drafting import DraftedPrompt
from instructsam.features import ImageFeatures
from instructsam.graphs import Lane, fill
from instructsam.preprocessing import sam_pixels, smart_resize, vlm_pixels
from instructsam.sequence import pad_phrases
from instructsam.static_detector import StaticDetector
from instructsam.static_language import StaticLanguage, StaticSession
from instructsam.vlm import Grid, VlmImageFeatures

if TYPE_CHECKING:
    from instructsam.modeling import InstructSAM

Stage = Callable[[str], AbstractContextManager[None]]

# an instruction this much longer than the first needs no new cache
_INSTRUCTION_ROOM = 256


@dataclass(frozen=True)
class Sight:
    """What one picture gave.

    Attributes:
        answer: its tokens and slots.
        scores: [P, Q], 0..1, on the CPU.
        bounds: [P, Q, 4], what is positive in each mask (see ``positive_bounds``), on the CPU.
        mask_logits: of each phrase [Q, h, w], on the device, valid until the next picture.
    """

    answer: DecodedAnswer
    scores: Tensor
    bounds: Tensor
    mask_logits: list[Tensor]


class StaticFrame:
    """The network for pictures of one size.

    For one picture at a time: what it gave is in tensors that the next one overwrites.

    Args:
        model: the network.
        height, width: of the pictures, pixels.
        phrase_batch: phrases that go through the detector at once.
        graphs: whether to record CUDA graphs; None: on CUDA.

    Attributes:
        grid: (t, h, w) of a picture in patches.
    """

    @torch.inference_mode()
    def __init__(self, model: InstructSAM, height: int, width: int, *, phrase_batch: int = 5,
                 graphs: bool | None = None) -> None:
        config, device = model.config, model.device
        self.model = model
        rows, columns = smart_resize(height, width, config.patch_size * config.merge_size,
                                     config.min_pixels, config.max_pixels)
        self.grid: Grid = (1, rows // config.patch_size, columns // config.patch_size)
        self._picture = torch.zeros((height, width, 3), dtype=torch.uint8, device=device)
        # a copy from pinned memory lets the host go on
        self._staged = (torch.zeros((height, width, 3), dtype=torch.uint8, pin_memory=True)
                        if device.type == 'cuda' else None)
        self._lane = Lane(device, graphs)
        self._side_lane = Lane(device, graphs)
        # once without recording: position tables are made on the way
        self._features = _encode_sam(model, self._picture)
        picture = self._picture
        self._see_sam = self._side_lane.record(lambda: _encode_sam(model, picture).image_levels)
        self._features.image_levels = self._see_sam()
        self._see_vlm = self._lane.record(lambda: _encode_vlm(model, picture))
        tokens, *deepstack = self._see_vlm()
        self._vlm = VlmImageFeatures((self.grid,), (tokens,),
                                     tuple((level,) for level in deepstack))
        self._detector = StaticDetector(model, self._features, self._lane, phrase_batch)
        self._language: StaticLanguage | None = None

    @torch.inference_mode()
    def warm_up(self, prompt: DraftedPrompt) -> None:
        """Look at a blank picture with a prompt, and record the steps of decoding too."""
        self._language_for(prompt).warm_up(prompt)
        self.look(torch.full(self._picture.shape, 127, dtype=torch.uint8), prompt)

    @torch.inference_mode()
    def look(self, pixels: Tensor, prompt: DraftedPrompt, stage: Stage | None = None) -> Sight:
        """Answer a prompt about a picture.

        Args:
            pixels: uint8 RGB [H, W, 3], on the CPU.
            prompt: for a picture of this grid.
            stage: gives the context in which a stage is measured.
        """
        stage = _unmeasured if stage is None else stage
        language = self._language_for(prompt)
        with stage('preprocess'):
            self._upload(pixels)
        with self._beside(), stage('sam_encode'):
            self._see_sam()
        with stage('vlm_encode'):
            self._see_vlm()
        with stage('prefill'):
            first = language.prefill(prompt)
        self._join()
        drafted = prompt.writer.phrase_ids[:self.model.config.max_phrases]
        with stage('detect'):
            self._detector.slots.copy_(first.slots)
            found = self._detector.run(*pad_phrases(drafted))
        with stage('decode'):
            likeliest, scores, bounds = _read(
                first.likeliest[:len(prompt.answer_rows)], found.scores, found.bounds)
            session = StaticSession(language, prompt, first.hidden, likeliest.long().tolist())
            answer = greedy(session)
        phrases = len(answer.phrase_words)
        if phrases > min(prompt.phrases_in(answer.foreseen), len(drafted)):
            with stage('detect'):
                self._detector.slots[:phrases].copy_(answer.slots)
                found = self._detector.run(answer.phrase_ids, answer.phrase_mask)
                scores, bounds = _read(found.scores, found.bounds)
        return Sight(answer, scores[:phrases], bounds[:phrases].long(),
                     found.mask_logits[:phrases])

    def _upload(self, pixels: Tensor) -> None:
        if self._staged is None:
            self._picture.copy_(pixels)
        else:
            # the picture before has been read long ago: its results were waited for
            self._staged.copy_(pixels)
            fill(self._picture, self._staged)

    def _beside(self) -> AbstractContextManager[object]:
        """On CUDA the stream that runs beside the language model, from the upload on."""
        stream = self._side_lane.stream
        if stream is not None:
            stream.wait_stream(torch.cuda.current_stream(self._picture.device))
        # a context without a stream changes nothing
        return torch.cuda.stream(stream)

    def _join(self) -> None:
        if self._side_lane.stream is not None:
            torch.cuda.current_stream(self._picture.device).wait_stream(self._side_lane.stream)

    def _language_for(self, prompt: DraftedPrompt) -> StaticLanguage:
        """Return the language model's passes, with a cache long enough for any answer."""
        config = self.model.config
        longest = config.max_new_tokens + config.max_phrases * (config.block_size - 1)
        rows = max(len(prompt), prompt.writer.prompt_length + longest)
        if self._language is None or rows > self._language.room:
            self._language = None  # let the old cache go before the new one comes
            self._language = StaticLanguage(self.model, self._vlm, rows + _INSTRUCTION_ROOM,
                                            self._lane)
        return self._language


def _encode_sam(model: InstructSAM, picture: Tensor) -> ImageFeatures:
    pixels = sam_pixels(picture, model.config.image_size)
    return model.detector.encode_image(pixels)


def _encode_vlm(model: InstructSAM, picture: Tensor) -> tuple[Tensor, ...]:
    """Return the tokens of one picture and, for each early layer, what is added to it."""
    config = model.config
    patches, grid = vlm_pixels(picture, config.patch_size, config.merge_size,
                               config.temporal_patch_size, config.min_pixels, config.max_pixels)
    vlm = model.encode_vlm_image(patches, grid)
    return (*vlm.tokens, *(level for (level,) in vlm.deepstack))


def _unmeasured(name: str) -> AbstractContextManager[None]:
    return nullcontext()


def _read(*tensors: Tensor) -> list[Tensor]:
    """Copy tensors to the CPU in one piece, as fp32: whole numbers below 2**24 stay exact."""
    flat = torch.cat([tensor.float().flatten() for tensor in tensors]).cpu()
    parts = flat.split([tensor.numel() for tensor in tensors])
    return [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
