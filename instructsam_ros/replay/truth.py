# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is true of a picture and a query: from the bag's topics or a COCO file."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from instructsam_ros.bridge.results import message_outline, targets_of
from instructsam_ros.perception.outlines import Outline, outline_of
from instructsam_ros.perception.targets import TargetGeometry
from instructsam_ros.replay.assembling import BagFrame
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.schedule import Query
from instructsam_ros.replay.topics import BagTopics

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class TrueObject:
    """One object that a query means.

    Attributes:
        id: lasting, within a scene.
        scene: number of the scene.
        phrase: its name.
        outline: its mask.
        shape: height and width of the picture.
        geometry: in the optical frame; None where nothing is known.
    """

    id: int
    phrase: str
    outline: Outline
    shape: tuple[int, int]
    geometry: TargetGeometry | None = None
    scene: int = 0
    score: float = field(default=1.0, init=False)

    @property
    def mask(self) -> Mask:
        """The mask, bool [H, W]; drawn anew each time."""
        return self.outline.within(self.shape)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The rectangle around the mask: x0, y0, x1, y1."""
        x0, y0, x1, y1 = self.outline.corners
        return float(x0), float(y0), float(x1), float(y1)


class Truth(Protocol):
    """Knows what a query means in a picture; ``companions`` are topics that it needs."""

    @property
    def companions(self) -> tuple[str, ...]:
        """Topics whose messages must come with the frames."""

    def objects(self, frame: BagFrame, query: Query) -> Sequence[TrueObject] | None:
        """Return what is meant and can be seen; None where nobody knows.

        Raises ValueError for truth that contradicts itself.
        """


class TopicTruth:
    """Truth from the bag: what is meant by its own instruction, or all objects with their names."""

    def __init__(self, topics: BagTopics) -> None:
        """``topics`` as chosen; ``companions`` then names those that frames must bring."""
        self._topics = topics
        self.companions = tuple(name for name in (
            topics.truth_instances, topics.truth_targets, topics.meant_instances) if name)

    def objects(self, frame: BagFrame, query: Query) -> Sequence[TrueObject] | None:
        """Return what is meant and can be seen; None where nobody knows."""
        meant = frame.companions.get(self._topics.meant_instances or '')
        if query.objects is None and meant is not None and meant.instruction == query.text:
            return self._objects(frame, meant, {int(one.id) for one in meant.instances})
        everything = frame.companions.get(self._topics.truth_instances or '')
        if everything is None:
            return None
        ids = query.objects
        if ids is None:
            ids = named_by(
                query.text, {int(one.id): str(one.phrase) for one in everything.instances})
        return None if ids is None else self._objects(frame, everything, ids)

    def _objects(self, frame: BagFrame, message: Any, ids: Collection[int]) -> list[TrueObject]:
        targets = frame.companions.get(self._topics.truth_targets or '')
        places = {} if targets is None else {
            one.id: one.geometry for one in targets_of(targets, ids=ids)}
        shape = int(message.height), int(message.width)
        # of what is meant the number is the instruction's, ids then begin anew anyway
        return [TrueObject(int(one.id), str(one.phrase), message_outline(one, shape), shape,
                           places.get(int(one.id)), int(message.instruction_id))
                for one in message.instances if one.id in ids]


class CocoTruth:
    """Truth from a COCO file: ``images`` and ``annotations`` with ``segmentation``.

    An image belongs to the picture whose stamp (nanoseconds) its ``stamp_ns``, or the digits of
    its ``file_name``, give; if none does, to the picture of its place in the list. Annotations may
    have lasting ids as ``track_id``; their category's name is the phrase, and ``instruction``
    limits an annotation to one instruction.
    """

    companions: tuple[str, ...] = ()

    def __init__(self, path: str | Path) -> None:
        """Read it. Raises BagError for a file that is not COCO, OSError."""
        try:
            document = json.loads(Path(path).read_text(encoding='utf-8'))
            images, annotations = document['images'], document['annotations']
            self._names = {one['id']: one['name'] for one in document.get('categories', [])}
            self._sizes = {one['id']: (int(one['height']), int(one['width'])) for one in images}
            self._by_image: dict[Any, list[Mapping[str, Any]]] = {}
            for one in annotations:
                self._by_image.setdefault(one['image_id'], []).append(one)
            stamps = {_stamp(one): one['id'] for one in images}
        except (ValueError, KeyError, TypeError) as error:
            raise BagError(f'{path}: no COCO file ({type(error).__name__}: {error}): expected '
                           'images, annotations and categories') from None
        stamps.pop(None, None)
        self._by_stamp = stamps
        self._by_place = [one['id'] for one in images]
        self._path = path

    def objects(self, frame: BagFrame, query: Query) -> Sequence[TrueObject] | None:
        """Return what is meant and can be seen; None where nobody knows."""
        if self._by_stamp:
            image = self._by_stamp.get(frame.stamp_ns)
        else:
            image = self._by_place[frame.index] if frame.index < len(self._by_place) else None
        if image is None:
            return None
        annotations = self._by_image.get(image, [])
        asked = [one for one in annotations if 'instruction' in one]
        if asked:
            chosen = [one for one in asked if one['instruction'] == query.text]
            return [self._object(one) for one in chosen]
        names = {self._id(one): str(self._names.get(one.get('category_id'), ''))
                 for one in annotations}
        ids = query.objects if query.objects is not None else named_by(query.text, names)
        if ids is None:
            return None
        return [self._object(one) for one in annotations if self._id(one) in ids]

    @staticmethod
    def _id(one: Mapping[str, Any]) -> int:
        return int(one.get('track_id', one['id']))

    def _object(self, one: Mapping[str, Any]) -> TrueObject:
        height, width = self._sizes[one['image_id']]
        try:
            shape = one['segmentation']
            if isinstance(shape, list):
                encoded = coco_mask.merge(coco_mask.frPyObjects(shape, height, width))
            elif isinstance(shape['counts'], list):
                encoded = coco_mask.frPyObjects(shape, height, width)
            else:
                encoded = shape
            mask = coco_mask.decode(encoded).astype(bool)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise BagError(
                f'{self._path}: annotation {one.get("id")}: its segmentation is neither polygons '
                f'nor RLE ({type(error).__name__}: {error})') from None
        return TrueObject(
            self._id(one), str(self._names.get(one.get('category_id'), '')), outline_of(mask),
            mask.shape)


def named_by(text: str, names: Mapping[int, str]) -> frozenset[int] | None:
    """Return the objects whose name an instruction contains, with or without plural's s.

    None where it contains none: "the leftmost thing" may mean any of them.
    """
    words = f' {_words(text)} '
    found = frozenset(
        one for one, name in names.items()
        if _words(name) and (f' {_words(name)} ' in words or f' {_words(name)}s ' in words))
    return found or None


def _words(text: str) -> str:
    return ' '.join(''.join(c if c.isalnum() else ' ' for c in text.lower()).split())


def _stamp(image: Mapping[str, Any]) -> int | None:
    if 'stamp_ns' in image:
        return int(image['stamp_ns'])
    digits = ''.join(c for c in Path(str(image.get('file_name', ''))).stem if c.isdigit())
    # fewer digits are a number of the picture, not nanoseconds since 1970
    return int(digits) if len(digits) >= 18 else None
