# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is asked of which picture: from the command line, a YAML file or the bag itself."""

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import yaml

from instructsam_ros.perception.instruction import clean_instruction
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.reading import BagReader
from instructsam_ros.replay.topics import BagTopics


@dataclass(frozen=True)
class Query:
    """An instruction to ask of a picture.

    Attributes:
        text: the instruction.
        kind: as the grammar names it, '' if unknown.
        number: a new number is a new instruction, so that ids begin anew.
        objects: ids of the true objects that are meant; None: unknown.
    """

    text: str
    kind: str = ''
    number: int = 0
    objects: frozenset[int] | None = None


class Schedule(Protocol):
    """Knows what is asked when."""

    def queries(self, time: float, bag_ns: int) -> Sequence[Query]:
        """Return what is asked of a picture, ``time`` seconds after the start of the bag."""


class FixedSchedule:
    """Every instruction of every picture."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Raises ValueError for an instruction that is empty or too long."""
        # asked twice it would be counted twice
        unique = dict.fromkeys(clean_instruction(text) for text in texts)
        self._queries = tuple(Query(text, number=n) for n, text in enumerate(unique, 1))

    def queries(self, time: float, bag_ns: int) -> Sequence[Query]:
        """Return all of them."""
        return self._queries


@dataclass(frozen=True)
class _Entry:
    """An entry of a YAML schedule; times in seconds since the start of the bag."""

    instruction: str
    start: float = 0.0
    stop: float = float('inf')
    kind: str = ''
    objects: tuple[int, ...] | None = None


class FileSchedule:
    """A YAML file with a list of entries, each asked while it is valid.

    ::

        - instruction: the red mug
          start: 0        # seconds since the start of the bag; default 0
          stop: 12.5      # default: the end
          kind: attribute # for the report's groups; optional
          objects: [3]    # ids of the true objects that are meant, [] for none; optional
    """

    def __init__(self, path: str | Path) -> None:
        """Read it. Raises ValueError naming the entry and what is wrong, OSError."""
        try:
            document = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f'{path}: no YAML ({" ".join(str(error).split())})') from None
        if not isinstance(document, list) or not document:
            raise ValueError(f'{path}: expected a list of entries with `instruction`')
        self._entries = [_entry(one, f'{path}: entry {number}')
                         for number, one in enumerate(document, 1)]

    def queries(self, time: float, bag_ns: int) -> Sequence[Query]:
        """Return the entries that are valid then."""
        return tuple(
            Query(one.instruction, one.kind, number,
                  None if one.objects is None else frozenset(one.objects))
            for number, one in enumerate(self._entries, 1) if one.start <= time < one.stop)


class BagSchedule:
    """The bag's own instructions: each stands until the next one comes."""

    def __init__(self, bag: BagReader, topics: BagTopics) -> None:
        """Read them. Raises BagError where the topics hold none."""
        assert topics.instruction is not None
        known: dict[str, Mapping[str, Any]] = {}
        self._times: list[int] = []
        self._standing: list[Query] = []
        wanted = [name for name in (topics.schedule, topics.instruction) if name]
        for topic, message, bag_ns in bag.messages(wanted, strict=False):
            if topic == topics.schedule:
                record = _record(message.data)
                known[str(record.get('text', ''))] = record
                continue
            text = ' '.join(message.data.split())
            record = known.get(message.data, {})
            number = int(record.get('instruction_id', len(self._times) + 1))
            self._times.append(bag_ns)
            self._standing.append(Query(text, str(record.get('kind', '')), number))
        if not any(one.text for one in self._standing):
            raise BagError(f'{topics.instruction} holds no instruction: give one by --instruction')

    def queries(self, time: float, bag_ns: int) -> Sequence[Query]:
        """Return the one that stands then; an empty one clears."""
        place = bisect_right(self._times, bag_ns) - 1
        if place < 0 or not self._standing[place].text:
            return ()
        return (self._standing[place],)


def choose_schedule(
    bag: BagReader, topics: BagTopics, texts: Sequence[str], path: str | None
) -> Schedule:
    """Return instructions of the command line, else of a file, else of the bag.

    Raises BagError where there are none, ValueError for unusable ones.
    """
    if texts:
        return FixedSchedule(texts)
    if path is not None:
        return FileSchedule(path)
    if topics.instruction is None:
        raise BagError(
            f'{bag.path}: nothing says what to look for, and the bag has no instruction topic '
            '(std_msgs/msg/String): give --instruction TEXT or --schedule FILE')
    return BagSchedule(bag, topics)


def _entry(values: Any, where: str) -> _Entry:
    if not isinstance(values, dict) or not isinstance(values.get('instruction'), str):
        raise ValueError(f'{where}: needs `instruction: TEXT`')
    known = {one.name for one in fields(_Entry)}
    for name in values:
        if name not in known:
            raise ValueError(f'{where}: unknown field {name!r}; known are '
                             f'{", ".join(sorted(known))}')
    numbers = {}
    for name in ('start', 'stop'):
        value = values.get(name, getattr(_Entry, name))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f'{where}: {name} is {value!r}, expected seconds')
        numbers[name] = float(value)
    if not numbers['start'] < numbers['stop']:
        raise ValueError(f'{where}: stop ({numbers["stop"]:g}) must come after start '
                         f'({numbers["start"]:g})')
    objects = values.get('objects')
    if objects is not None and not (
        isinstance(objects, list) and all(type(one) is int for one in objects)
    ):
        raise ValueError(f'{where}: objects is {objects!r}, expected a list of ids such as [1, 3]')
    try:
        text = clean_instruction(values['instruction'])
    except ValueError as error:
        raise ValueError(f'{where}: {error}') from None
    return _Entry(text, numbers['start'], numbers['stop'], str(values.get('kind', '')),
                  None if objects is None else tuple(objects))


def _record(text: str) -> Mapping[str, Any]:
    """Return a schedule message's record; others use that topic name for other things."""
    try:
        record = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}
