# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Every answer of the model, written down as it comes, so that a stopped replay can go on.

``answers.jsonl``: first a line with what the answers depend on, then one line per answer. Tracking
and projection are cheap and are done anew, so that a resumed replay equals an unbroken one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.pipeline import Answered
from instructsam_ros.perception.results import decode_rle, encode_outline
from instructsam_ros.perception.segmenter import Segmentation, Segmenter
from instructsam_ros.replay.errors import BagError, BagWriteError

_SCHEMA = 'instructsam_ros/answers/1'


@dataclass(frozen=True, eq=False)
class RememberedInstance:
    """An instance as it was written down; a ``perception.segmenter.Instance``."""

    mask: NDArray[np.bool_]
    score: float
    box: tuple[float, float, float, float]
    phrase: str


@dataclass(frozen=True)
class RememberedAnswer:
    """An answer as it was written down; a ``perception.segmenter.Segmentation``."""

    answer: str
    phrases: tuple[str, ...]
    instances: tuple[RememberedInstance, ...]
    timings: Mapping[str, float]


class AnswerBook:
    """The file; a context manager.

    Attributes:
        known: how many answers were there when it was opened.
    """

    def __init__(self, path: Path, about: Mapping[str, Any], *, resume: bool) -> None:
        """Begin the file, or go on with it if ``resume`` and it is there.

        ``about`` is what answers depend on. Raises BagError where a file to go on with is about
        something else, OSError.
        """
        self._path = path
        self._places: dict[tuple[int, str], int] = {}
        self._about = {'schema': _SCHEMA, **about}
        goes_on = resume and path.is_file()
        if goes_on:
            self._read()
        self.known = len(self._places)
        self._file: BinaryIO = path.open('r+b' if goes_on else 'w+b')
        if goes_on:
            self._file.seek(self._end)
            # a line that was cut short
            self._file.truncate()
        else:
            self._write(self._about)

    def __enter__(self) -> 'AnswerBook':
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def find(self, stamp_ns: int, instruction: str) -> RememberedAnswer | None:
        """Return the answer about a picture, None if there is none yet."""
        place = self._places.get((stamp_ns, instruction))
        if place is None:
            return None
        with self._path.open('rb') as file:
            file.seek(place)
            return _answer(json.loads(file.readline()))

    def add(self, stamp_ns: int, answered: Answered) -> None:
        """Write an answer down. Raises BagWriteError."""
        found = answered.segmentation
        self._write({
            'stamp_ns': stamp_ns, 'instruction': answered.instruction, 'answer': found.answer,
            'phrases': list(found.phrases),
            'instances': [{
                'phrase': one.phrase, 'score': one.score, 'box': list(one.box),
                'segmentation': encode_outline(outline, (one.mask.shape[0], one.mask.shape[1]))}
                for one, outline in zip(found.instances, answered.outlines, strict=True)],
            'timings': {name: round(value, 6) for name, value in found.timings.items()}})

    def _write(self, record: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(record).encode() + b'\n')
            self._file.flush()
        except OSError as error:
            raise BagWriteError(f'{self._path}: cannot be written: {error.strerror}') from None

    def _read(self) -> None:
        with self._path.open('rb') as file:
            about = self._line(file.readline())
            if about != json.loads(json.dumps(self._about)):
                different = [name for name in self._about
                             if about is None or about.get(name) != self._about[name]]
                raise BagError(
                    f'{self._path}: cannot go on: {", ".join(different)} differ from the replay '
                    'that was stopped; use the same options, or another --out')
            self._end = file.tell()
            for line in file:
                record = self._line(line)
                if record is None:
                    break
                self._places[record['stamp_ns'], record['instruction']] = self._end
                self._end += len(line)

    @staticmethod
    def _line(line: bytes) -> dict[str, Any] | None:
        """Return a record, None for a line that was cut short."""
        try:
            record = json.loads(line)
        except ValueError:
            return None
        return record if isinstance(record, dict) and line.endswith(b'\n') else None


class RememberingSegmenter:
    """A Segmenter that looks into the book first, for pictures of one instruction.

    Attributes:
        stamp_ns: of the picture that comes next.
        remembered: whether the last answer was in the book.
    """

    def __init__(self, segmenter: Segmenter, book: AnswerBook) -> None:
        self._segmenter = segmenter
        self._book = book
        self.stamp_ns = 0
        self.remembered = False

    def segment(
        self, image: NDArray[np.uint8], instruction: str, *, threshold: float | None = None
    ) -> Segmentation:
        """Return the answer about the picture of ``stamp_ns``."""
        known = self._book.find(self.stamp_ns, instruction)
        self.remembered = known is not None
        if known is not None:
            return known
        return self._segmenter.segment(image, instruction, threshold=threshold)


def _answer(record: Mapping[str, Any]) -> RememberedAnswer:
    instances = tuple(
        RememberedInstance(decode_rle(one['segmentation']), one['score'], tuple(one['box']),
                           one['phrase'])
        for one in record['instances'])
    return RememberedAnswer(
        record['answer'], tuple(record['phrases']), instances, record['timings'])

