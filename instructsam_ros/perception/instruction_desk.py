# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The instruction desk: who asked for what, under which number, and what became of it."""

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from instructsam_ros.perception.instruction import clean_instruction

# of an instruction that was refused, enough to recognise it by
_MAX_ECHO = 120
_MAX_SOURCE = 64


class InstructionState(IntEnum):
    """What became of an instruction; the numbers are those of msg/InstructionStatus.msg."""

    ACCEPTED = 0
    ACTIVE = 1
    FOUND = 2
    NOT_FOUND = 3
    REJECTED = 4
    SUPERSEDED = 5
    CLEARED = 6


@dataclass(frozen=True)
class InstructionEvent:
    """One change of one instruction's state.

    Attributes:
        instruction_id: from 1 in the order of arrival; refused ones have a number too.
        text: as the model gets it; shortened when it was refused.
        source: "topic", "voice", "service", or the name that a caller gave.
        state: the new state.
        message: the reason of a refusal, else empty.
    """

    instruction_id: int
    text: str
    source: str
    state: InstructionState
    message: str = ''


@dataclass(frozen=True)
class Receipt:
    """What the caller is told: instruction_id is 0 when nothing was accepted."""

    accepted: bool
    instruction_id: int
    message: str = ''


@dataclass(frozen=True)
class _Hold:
    source: str
    since: float
    until: float


class InstructionDesk:
    """Keeps the one standing instruction. Thread-safe.

    ``on_event`` gets every change, in order, under the desk's lock: it must not wait for another
    thread that uses the desk. ``clock`` gives seconds; a hold ends early if it jumps back.
    """

    def __init__(
        self, on_event: Callable[[InstructionEvent], None], clock: Callable[[], float]
    ) -> None:
        """Start without an instruction."""
        self._on_event = on_event
        self._clock = clock
        # reentrant: on_event may read the desk
        self._lock = threading.RLock()
        self._last_id = 0
        self._standing: InstructionEvent | None = None
        self._hold: _Hold | None = None

    @property
    def standing(self) -> InstructionEvent | None:
        """The standing instruction with its present state; None when there is none."""
        with self._lock:
            return self._standing

    def submit(self, text: str, source: str, *, hold: float | None = None) -> Receipt:
        """Make an instruction the standing one, or refuse it with a reason.

        ``hold`` (seconds) protects it: until it ends, only ``source`` itself may replace or take
        it back. None is for sources that cannot hold, such as voice and topic.
        """
        source = _source(source)
        with self._lock:
            self._last_id += 1
            number = self._last_id
            try:
                cleaned = clean_instruction(text)
                if hold is not None and not (math.isfinite(hold) and hold >= 0):
                    raise ValueError(f'the hold is {hold} s: give 0 or more seconds')
                self._check_hold(source)
            except ValueError as error:
                return self._refuse(number, text, source, str(error))
            if self._standing is not None:
                self._change(self._standing, InstructionState.SUPERSEDED)
            now = self._clock()
            self._hold = _Hold(source, now, now + hold) if hold else None
            self._standing = InstructionEvent(number, cleaned, source, InstructionState.ACCEPTED)
            self._on_event(self._standing)
            return Receipt(True, number)

    def refuse(self, text: str, source: str, reason: str) -> Receipt:
        """Record something that is no instruction at all, such as a broken voice message."""
        with self._lock:
            self._last_id += 1
            return self._refuse(self._last_id, text, _source(source), reason)

    def clear(self, source: str = '', *, text: str = '') -> Receipt:
        """Take the standing instruction back; without one, say so.

        A running hold binds a ``source`` other than the holder's; the empty source, an operator's
        explicit call, always may. ``text`` is what was said, for the record of a refusal.
        """
        with self._lock:
            standing = self._standing
            if standing is None:
                return Receipt(False, 0, 'there is no standing instruction')
            if source:
                source = _source(source)
                try:
                    self._check_hold(source)
                except ValueError as error:
                    self._last_id += 1
                    return self._refuse(self._last_id, text, source, str(error))
            self._standing = self._hold = None
            self._change(standing, InstructionState.CLEARED)
            return Receipt(True, standing.instruction_id)

    def begin(self, instruction_id: int) -> None:
        """Record that a picture is being searched for an instruction."""
        with self._lock:
            if self._is_standing(instruction_id, InstructionState.ACCEPTED):
                self._advance(InstructionState.ACTIVE)

    def finish(self, instruction_id: int, count: int) -> None:
        """Record how many instances the latest picture had for an instruction."""
        state = InstructionState.FOUND if count else InstructionState.NOT_FOUND
        with self._lock:
            if self._is_standing(instruction_id) and not self._is_standing(instruction_id, state):
                self._advance(state)

    def _is_standing(self, instruction_id: int, state: InstructionState | None = None) -> bool:
        standing = self._standing
        return (
            standing is not None
            and standing.instruction_id == instruction_id
            and (state is None or standing.state == state)
        )

    def _advance(self, state: InstructionState) -> None:
        assert self._standing is not None
        self._standing = self._change(self._standing, state)

    def _change(self, event: InstructionEvent, state: InstructionState) -> InstructionEvent:
        changed = InstructionEvent(event.instruction_id, event.text, event.source, state)
        self._on_event(changed)
        return changed

    def _check_hold(self, source: str) -> None:
        hold, standing = self._hold, self._standing
        if hold is None or standing is None or source == hold.source:
            return
        now = self._clock()
        # a clock that was set back would prolong the hold
        if hold.since <= now < hold.until:
            raise ValueError(
                f'instruction {standing.instruction_id} of "{hold.source}" is held for another '
                f'{hold.until - now:.1f} s: ask again then, or take it back with ~/clear'
            )

    def _refuse(self, number: int, text: str, source: str, reason: str) -> Receipt:
        self._on_event(
            InstructionEvent(number, _echo(text), source, InstructionState.REJECTED, reason)
        )
        return Receipt(False, 0, reason)


def _source(name: str) -> str:
    return _printable(' '.join(name[: 4 * _MAX_SOURCE].split()))[:_MAX_SOURCE] or 'service'


def _echo(text: str) -> str:
    # of 100 kB only the beginning is looked at
    short = ' '.join(text[: 4 * _MAX_ECHO].split())
    whole = len(text) <= 4 * _MAX_ECHO and len(short) <= _MAX_ECHO
    return _printable(short if whole else short[: _MAX_ECHO - 1] + '…')


def _printable(text: str) -> str:
    # what no UTF-8 message can carry
    return text.encode('utf-8', 'replace').decode('utf-8').replace('\0', '')
