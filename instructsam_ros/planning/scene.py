# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Targets to a planning scene: which boxes to add, move and remove from message to message."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from instructsam_ros.perception.targets import TargetStatus
from instructsam_ros.planning.boxes import BoxChange, CollisionBox, Operation, SceneDiff, Skipped
from instructsam_ros.planning.observation import UNMEASURED, Observation, observe, targets_of

#: Why an excluded target is skipped.
EXCLUDED = 'it is excluded'
# metres; collision checkers want boxes with a volume
_LEAST_SIDE = 0.001


@dataclass(frozen=True)
class SceneSettings:
    """What goes into the planning scene, and when it changes. ValueError for what makes no sense.

    Attributes:
        padding: metres added to every side of a box: it grows by twice that along each axis.
        keep_seconds: a box is removed when its target is missing from the messages and stays so
            for this long, by their stamps; 0 removes it at once. A target that is there but
            not measured is not missing.
        position_tolerance: metres that a box may be off before it is moved.
        angle_tolerance: radians that a box may be turned before it is moved.
        size_tolerance: metres that a side may be off before the box is added anew.
        min_score: targets with a lower score are not added.
        skip: targets with any of these bits are not added; those without geometry never are.
        frame: only targets in this frame are taken; '' takes the frame that they come in, and
            begins anew when it changes.
        keep_previous: keep the boxes of an earlier instruction, until ``clear``.
        prefix: a box is called prefix + id of its target; another one for each publisher.
    """

    padding: float = 0.0
    keep_seconds: float = 5.0
    position_tolerance: float = 0.005
    angle_tolerance: float = 0.05
    size_tolerance: float = 0.01
    min_score: float = 0.0
    skip: TargetStatus = TargetStatus.OK
    frame: str = ''
    keep_previous: bool = False
    prefix: str = 'instructsam_'

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ('padding', 'keep_seconds', 'position_tolerance', 'angle_tolerance',
                     'size_tolerance', 'min_score'):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f'{name} is {value}: it must be 0 or more')
        if '/' in self.prefix:
            raise ValueError(
                f'prefix is {self.prefix!r}: MoveIt parts object and subframe by "/", leave it out')


@dataclass
class _Record:
    """What the planning scene has of one target."""

    # as it was sent last; also kept while somebody else holds the object
    box: CollisionBox
    # whether the scene has it as it was sent
    is_known: bool = True
    # first stamp at which it was missing
    missing_since: int | None = None
    # of an earlier instruction, and to be kept
    is_retired: bool = False


class CollisionScene:
    """Keeps the boxes in a planning scene up to date with the targets. Not thread-safe.

    Only boxes that this object added are ever moved or removed. It believes that every diff is
    applied; for a planner that was not there at that time see ``full``.
    """

    def __init__(self, settings: SceneSettings | None = None) -> None:
        """Begin with an empty scene; ``settings`` may be replaced at any time."""
        self.settings = settings or SceneSettings()
        self._records: dict[str, _Record] = {}
        self._excluded: frozenset[str] = frozenset()
        self._frame = ''
        self._instruction: int | None = None
        self._stamp = 0

    def name(self, target_id: int) -> str:
        """Return what the box of a target is called in the planning scene."""
        return f'{self.settings.prefix}{target_id}'

    @property
    def names(self) -> list[str]:
        """What the planning scene has from here, excluded boxes apart."""
        return [name for name in self._records if name not in self._excluded]

    def update(
        self,
        targets: Any,
        *,
        exclude: Iterable[int | str] = (),
        frame: str | None = None,
        stamp_ns: int = 0,
        instruction_id: int | None = None,
    ) -> SceneDiff:
        """Return what the newest targets change.

        ``targets`` is a TargetArray, or a sequence of targets together with ``frame``,
        ``stamp_ns`` and ``instruction_id``. ``exclude`` names targets by id, or boxes by name,
        that are in somebody else's hands now, such as an object that is attached to the gripper:
        nothing is done about them, and once they are given back they are added anew when they
        are seen, or removed when they are not. Raises ValueError for a sequence without frame.
        """
        header = getattr(targets, 'header', None)
        if header is not None:
            frame = str(header.frame_id)
            stamp_ns = int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)
            instruction_id = int(targets.instruction_id)
        elif frame is None:
            raise ValueError('targets without a header need their frame: update(…, frame=…)')
        observations = [observe(one) for one in targets_of(targets)]
        self._stamp = stamp_ns
        self._exclude(exclude)
        changes = self._begin_instruction(instruction_id)
        usable, skipped = self._sort(observations, frame)
        if usable and frame != self._frame:
            # poses in two frames cannot be told apart
            changes += self._drop()
            self._frame = frame
        changes += [
            change for one in usable if (change := self._place(one)) is not None]
        present = {self.name(one.id) for one in observations}
        changes += self._forget_missing(present, stamp_ns)
        return SceneDiff(self._frame or frame, stamp_ns, tuple(changes), tuple(skipped))

    def full(self) -> SceneDiff:
        """Return everything as ADD, for a planner that begins to listen now."""
        changes = tuple(
            BoxChange(Operation.ADD, one.box) for name, one in self._records.items()
            if one.is_known and name not in self._excluded)
        return SceneDiff(self._frame, self._stamp, changes)

    def clear(self) -> SceneDiff:
        """Return the removal of all boxes, excluded ones apart, and begin anew."""
        diff = SceneDiff(self._frame, self._stamp, tuple(self._drop()))
        self._frame, self._instruction = '', None
        return diff

    def _exclude(self, excluded: Iterable[int | str]) -> None:
        if isinstance(excluded, str):
            raise TypeError(f'exclude is {excluded!r}: give a list of ids or names')
        names = frozenset(one if isinstance(one, str) else self.name(int(one)) for one in excluded)
        for name in names | self._excluded:
            if name in self._records:
                # whoever holds it may have put it down anywhere
                self._records[name].is_known = False
                self._records[name].missing_since = None
        self._excluded = names

    def _begin_instruction(self, instruction_id: int | None) -> list[BoxChange]:
        before, self._instruction = self._instruction, instruction_id
        if before is None or before == instruction_id:
            return []
        if not self.settings.keep_previous:
            return self._drop()
        for name, one in self._records.items():
            one.is_retired = name not in self._excluded
        return []

    def _sort(
        self, observations: Sequence[Observation], frame: str
    ) -> tuple[list[Observation], list[Skipped]]:
        usable: list[Observation] = []
        skipped: list[Skipped] = []
        for one in observations:
            reason = self._reason_to_skip(one, frame)
            if reason:
                skipped.append(Skipped(one.id, one.phrase, reason))
            else:
                usable.append(one)
        return usable, skipped

    def _reason_to_skip(self, one: Observation, frame: str) -> str:
        settings = self.settings
        if self.name(one.id) in self._excluded:
            return EXCLUDED
        if one.geometry is None:
            return one.problem
        if one.status & settings.skip & ~UNMEASURED:
            return f'it has {", ".join((one.status & settings.skip).names)}'
        if one.score < settings.min_score:
            return f'its score of {one.score:.2f} is below {settings.min_score:g}'
        if not frame:
            return 'its message names no frame'
        if settings.frame:
            return '' if frame == settings.frame else f'it is in {frame!r}, not {settings.frame!r}'
        if self._frame not in ('', frame) and one.status & TargetStatus.NO_TF:
            # one late transform must not put all boxes into the camera's frame and back
            return f'it is in {frame!r}, TF was not there to bring it into {self._frame!r}'
        return ''

    def _place(self, one: Observation) -> BoxChange | None:
        """Return what brings the box of a target to where it is now; None if it is there."""
        assert one.geometry is not None
        name = self.name(one.id)
        size = np.maximum(one.geometry.size + 2 * self.settings.padding, _LEAST_SIDE)
        box = CollisionBox(
            name, one.id, one.phrase, one.geometry.position, one.geometry.quaternion, size)
        record = self._records.get(name)
        if record is None or not record.is_known or self._is_resized(record.box, box):
            self._records[name] = _Record(box)
            return BoxChange(Operation.ADD, box)
        record.is_retired = False
        if not self._is_moved(record.box, box):
            return None
        # compared with what the planner has, so that small steps add up
        box = CollisionBox(
            name, one.id, one.phrase, box.position, box.quaternion, record.box.size)
        record.box = box
        return BoxChange(Operation.MOVE, box)

    def _is_resized(self, old: CollisionBox, new: CollisionBox) -> bool:
        return bool(np.abs(new.size - old.size).max() > self.settings.size_tolerance)

    def _is_moved(self, old: CollisionBox, new: CollisionBox) -> bool:
        if np.linalg.norm(new.position - old.position) > self.settings.position_tolerance:
            return True
        # q and -q are the same rotation
        cosine = min(1.0, abs(float(new.quaternion @ old.quaternion)))
        return 2 * math.acos(cosine) > self.settings.angle_tolerance

    def _forget_missing(self, present: set[str], stamp: int) -> list[BoxChange]:
        changes = []
        for name, one in list(self._records.items()):
            if name in present:
                one.missing_since = None
                continue
            if name in self._excluded or one.is_retired:
                continue
            # counted from the first message without it, and from now when time went back
            since = stamp if one.missing_since is None else min(one.missing_since, stamp)
            one.missing_since = since
            if stamp - since >= self.settings.keep_seconds * 1e9:
                del self._records[name]
                changes.append(BoxChange(Operation.REMOVE, one.box))
        return changes

    def _drop(self) -> list[BoxChange]:
        """Take everything out; what is excluded is not ours to touch now."""
        gone = [name for name in self._records if name not in self._excluded]
        return [BoxChange(Operation.REMOVE, self._records.pop(name).box) for name in gone]
