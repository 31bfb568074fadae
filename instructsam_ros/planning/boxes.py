# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes of a planning scene and what changes about them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Operation(IntEnum):
    """What to do with a box; numbers as in moveit_msgs/CollisionObject."""

    #: Put it into the scene; it replaces one of the same name.
    ADD = 0
    #: Take it out of the scene.
    REMOVE = 1
    #: Give it another pose; its shape stays.
    MOVE = 3


@dataclass(frozen=True, eq=False)
class CollisionBox:
    """A target as an obstacle.

    Attributes:
        name: the collision object's id: unique in the scene, the same for as long as the target
            keeps its id, never empty.
        target_id, phrase: of the target.
        position: [3] centre, metres, in the frame of the diff.
        quaternion: [4] x, y, z, w, unit length, box -> frame.
        size: [3] full side lengths along the box's own axes with padding, metres, all positive.
    """

    name: str
    target_id: int
    phrase: str
    position: Array
    quaternion: Array
    size: Array


@dataclass(frozen=True)
class BoxChange:
    """One operation on one box; of a box that is removed, how it was last."""

    operation: Operation
    box: CollisionBox


@dataclass(frozen=True)
class Skipped:
    """A target that is left as it is, and why."""

    target_id: int
    phrase: str
    reason: str

    def __str__(self) -> str:
        return f'target {self.target_id} {self.phrase!r}: {self.reason}'


@dataclass(frozen=True)
class SceneDiff:
    """What brings a planning scene up to date; the order of the changes matters.

    Attributes:
        frame: of all boxes.
        stamp_ns: of the targets, nanoseconds.
        changes: what to do, in this order; empty when all is as it was.
        skipped: the targets that say nothing about the scene this time.
    """

    frame: str
    stamp_ns: int
    changes: tuple[BoxChange, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.changes

    def names(self, operation: Operation) -> list[str]:
        """Return the names of the boxes with this operation, in order."""
        return [one.box.name for one in self.changes if one.operation is operation]
