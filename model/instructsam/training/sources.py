# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where examples come from: the tabletop world, or a JSON-lines file of one's own pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask
from torch.utils.data import Dataset

from instructsam.tabletop.grammar import Instruction
from instructsam.tabletop.render import TabletopFrame, sample_frame
from instructsam.tabletop.scene import CATEGORIES, COLORS
from instructsam.tabletop.splits import train_frame, train_instructions
from instructsam.training.examples import (
    Collator,
    Example,
    ExampleInstruction,
    ExamplePhrase,
    TrainingBatch,
    boxes_of,
)
from instructsam.training.settings import DataSettings


def tabletop_example(frame: TabletopFrame, instructions: tuple[Instruction, ...]) -> Example:
    """Turn a rendered frame and instructions about it into an example."""
    objects = frame.scene.objects
    masks = frame.instance_map[None] == np.arange(1, len(objects) + 1)[:, None, None]
    return Example(
        frame.image, masks,
        tuple(ExampleInstruction(
            i.text, tuple(ExamplePhrase(p.text, p.objects) for p in i.phrases), i.kind)
            for i in instructions),
        np.array([CATEGORIES.index(o.category) for o in objects], dtype=np.int64),
        np.array([COLORS.index(o.color) for o in objects], dtype=np.int64))


class TabletopBatches(Dataset[TrainingBatch]):
    """Endless rendered batches; batch i is the same whoever renders it.

    Half of a batch's frames were new some batches ago and come back with other instructions:
    drawing a frame costs a worker as much as several instructions cost the trainer.
    """

    # a multiple of small process counts, so that a worker meets the frames that it drew
    AGAIN_AFTER = 48

    def __init__(self, settings: DataSettings, collate: Collator) -> None:
        self.settings, self.collate = settings, collate
        self._drawn: dict[int, TabletopFrame] = {}

    def __getitem__(self, index: int) -> TrainingBatch:
        """Render batch ``index``."""
        count = self.settings.images_per_batch
        new = max(1, count // 2)
        examples = []
        for k in range(count):
            batch = index if k < new else index - self.AGAIN_AFTER
            # before the first return there are frames of their own
            number = batch * new + k % new if batch >= 0 else (1 << 32) + index * count + k
            frame = self._frame(number, index)
            instructions = train_instructions(
                frame, (self.settings.seed, number, k), self.settings.instructions_per_image)
            examples.append(tabletop_example(frame, instructions))
        return self.collate(examples)

    def _frame(self, number: int, index: int) -> TabletopFrame:
        frame = self._drawn.pop(number, None)
        if frame is None:
            sizes = self.settings.sizes
            width, height = sizes[index % self.AGAIN_AFTER % len(sizes)]
            frame = train_frame((self.settings.seed << 40) + number, width, height)
            self._drawn[number] = frame
            if len(self._drawn) > 2 * self.AGAIN_AFTER * self.settings.images_per_batch:
                del self._drawn[next(iter(self._drawn))]
        return frame


class RecordedBatches(Dataset[TrainingBatch]):
    """Batches from a JSON-lines file, shuffled anew in every pass.

    A line holds ``image`` (a path, relative to the file), and ``instructions``: a list of
    ``text`` and ``phrases``, each with ``text`` and ``masks``, a list of COCO RLE objects
    (an empty list: the thing is not in the picture).
    """

    def __init__(self, settings: DataSettings, collate: Collator) -> None:
        self.settings, self.collate = settings, collate
        self.path = Path(settings.source)
        self.lines = read_recorded(self.path)

    def __getitem__(self, index: int) -> TrainingBatch:
        """Load batch ``index``."""
        count, per_batch = len(self.lines), self.settings.images_per_batch
        examples = []
        for k in range(index * per_batch, (index + 1) * per_batch):
            order = np.random.default_rng((self.settings.seed, k // count)).permutation(count)
            examples.append(recorded_example(self.lines[order[k % count]], self.path.parent))
        return self.collate(examples)


def read_recorded(path: Path) -> list[dict[str, Any]]:
    """Read and check a JSON-lines file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line does not follow the format; the message names the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no training data '{path}': give a JSON-lines file, or 'tabletop'")
    lines = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            masks = [m for i in line['instructions'] for p in i['phrases'] for m in p['masks']]
            complete = bool(line['image']) and all(
                i['text'] and i['phrases'] and all(p['text'] for p in i['phrases'])
                for i in line['instructions']) and all('counts' in m for m in masks)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f'{path}, line {number}: {error!r}; needs image, instructions[].text, '
                             'phrases[].text and masks (COCO RLE)') from error
        if not complete or not line['instructions']:
            raise ValueError(f'{path}, line {number}: an image, text or RLE is empty')
        lines.append(line)
    if not lines:
        raise ValueError(f'{path} holds no examples')
    return lines


def recorded_example(line: dict[str, Any], folder: Path) -> Example:
    """Load the picture and decode the masks of one line.

    Raises:
        FileNotFoundError: the picture cannot be read.
        ValueError: a mask's size is not the picture's.
    """
    path = folder / line['image']
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"cannot read picture '{path}'")
    masks: list[np.ndarray] = []
    instructions = []
    for instruction in line['instructions']:
        phrases = []
        for phrase in instruction['phrases']:
            first = len(masks)
            masks += [_decode(rle, picture.shape[:2], path) for rle in phrase['masks']]
            phrases.append(ExamplePhrase(phrase['text'], tuple(range(first, len(masks)))))
        instructions.append(ExampleInstruction(instruction['text'], tuple(phrases)))
    stacked = np.stack(masks) if masks else np.zeros((0, *picture.shape[:2]), bool)
    return Example(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), stacked, tuple(instructions))


def _decode(rle: dict[str, Any], size: Sequence[int], path: Path) -> np.ndarray:
    if list(rle['size']) != list(size):
        raise ValueError(f"a mask of '{path}' is {rle['size']} but the picture {list(size)}")
    if isinstance(rle['counts'], list):
        rle = coco_mask.frPyObjects(rle, *rle['size'])
    return coco_mask.decode(rle).astype(bool)


def make_batches(settings: DataSettings, collate: Collator) -> Dataset[TrainingBatch]:
    """Open the source that the settings name."""
    if settings.source == 'tabletop':
        return TabletopBatches(settings, collate)
    return RecordedBatches(settings, collate)


def tabletop_centres(settings: DataSettings) -> np.ndarray:
    """Centres of the objects in the first training frames, [N, 2] in 0..1 of the image."""
    centres = []
    for index in range(settings.anchor_frames):
        width, height = settings.sizes[index % len(settings.sizes)]
        rng = np.random.default_rng((settings.seed, 1 << 30, index))
        frame = sample_frame(rng, width=width, height=height)
        count = len(frame.scene.objects)
        masks = frame.instance_map[None] == np.arange(1, count + 1)[:, None, None]
        centres.append(boxes_of(masks)[:, :2].numpy())
    return np.concatenate(centres)
