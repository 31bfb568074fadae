# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which target is meant: by id, else by label, else the nearest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from instructsam_ros.perception.targets import TargetStatus
from instructsam_ros.planning.observation import Observation, observe, targets_of

#: What one should look twice at before reaching for it: few depth pixels, or a low score.
DOUBTFUL = TargetStatus.SPARSE_DEPTH | TargetStatus.LOW_SCORE


def select_target(
    targets: Any,
    id: int | None = None,
    label: str | None = None,
    near: ArrayLike | None = None,
    *,
    skip: TargetStatus | int = DOUBTFUL,
    min_score: float = 0.0,
    frame: str | None = None,
) -> Any:
    """Return the target that is meant, as it stands in ``targets``.

    ``targets`` is a TargetArray or a sequence of targets. ``id`` decides if it is there, else
    ``label`` if it is given; with neither given, all targets are candidates. What was named is
    never replaced by the nearest target, nor an id that is there but unusable by its label.

    A label is compared word by word, whatever its case and spacing. Targets with exactly its
    words come first; else those whose phrase has all of its words ('mug' finds 'red mug'), if they
    all have the same phrase. Among several candidates the one whose centroid is nearest to
    ``near`` ([3], metres, in the frame of the targets) is taken; by default near is the frame's
    origin: the camera for an optical frame, the robot's foot for 'base_link'.

    Targets without geometry, with any bit of ``skip``, or with a score below ``min_score`` are
    unusable. ``frame`` says which frame the caller expects.

    Raises:
        LookupError: Nothing usable fits; says what is there and what is wrong with it.
        ValueError: ``near`` is no point, the label is empty, or the targets are in another frame.
    """
    if frame is not None:
        _check_frame(targets, frame)
    place = np.zeros(3) if near is None else np.asarray(near, np.float64)
    if place.shape != (3,) or not np.isfinite(place).all():
        raise ValueError(f'near is {near!r}: give three finite numbers, x, y, z in metres')
    given = list(targets_of(targets))
    seen = [observe(one) for one in given]
    wrong = [_problem(one, TargetStatus(int(skip)), min_score) for one in seen]
    places = _candidates(seen, wrong, id, label)
    best = min(places, key=lambda k: _distance(seen[k], place))
    return given[best]


def _check_frame(targets: Any, frame: str) -> None:
    header = getattr(targets, 'header', None)
    if header is None:
        raise ValueError('the frame can only be checked for a TargetArray, which has a header')
    if header.frame_id != frame:
        raise ValueError(
            f'the targets are in {header.frame_id!r}, {frame!r} is expected: set the perception '
            "node's target_frame, or see its log if TF does not know the way")


def _problem(one: Observation, skip: TargetStatus, min_score: float) -> str:
    """Say why a target cannot be used; '' if it can."""
    if one.geometry is None:
        return one.problem
    if one.status & skip:
        return f'it has {", ".join((one.status & skip).names)}'
    if one.score < min_score:
        return f'its score of {one.score:.2f} is below {min_score:g}'
    return ''


def _candidates(
    seen: Sequence[Observation], wrong: Sequence[str], identity: int | None, label: str | None
) -> list[int]:
    """Return the places of what may be meant, all usable, at least one."""
    wanted = []
    if identity is not None:
        wanted.append(f'with id {identity}')
        same = [k for k, one in enumerate(seen) if one.id == identity]
        if same and wrong[same[0]]:
            # another one of its label is another object
            raise LookupError(f'target {seen[same[0]]} cannot be used: {wrong[same[0]]}')
        if same:
            return same
    if label is not None:
        wanted.append(f'called {label!r}')
        fitting = _labelled(seen, wrong, label)
        if fitting:
            return fitting
    if not wanted:
        usable = [k for k, reason in enumerate(wrong) if not reason]
        if usable:
            return usable
    what = f'no usable target {" or ".join(wanted)}'.rstrip()
    raise LookupError(f'{what}: {_inventory(seen, wrong)}')


def _labelled(seen: Sequence[Observation], wrong: Sequence[str], label: str) -> list[int]:
    words = label.casefold().split()
    if not words:
        raise ValueError('the label is empty: name something, or leave it out for the nearest')
    phrases = [one.phrase.casefold().split() for one in seen]
    fitting = [k for k, phrase in enumerate(phrases) if phrase == words]
    if not fitting:
        fitting = [k for k, phrase in enumerate(phrases) if set(words) <= set(phrase)]
        # also what cannot be used counts: it may be the one that is meant
        if len({tuple(phrases[k]) for k in fitting}) > 1:
            raise LookupError(
                f'{label!r} is ambiguous: {_inventory([seen[k] for k in fitting])}; use the whole '
                'phrase, or an id')
    return [k for k in fitting if not wrong[k]]


def _inventory(seen: Sequence[Observation], wrong: Sequence[str] | None = None) -> str:
    if not seen:
        return 'there are no targets'
    reasons = wrong or [''] * len(seen)
    return 'there are ' + ', '.join(
        f'{one} ({reason})' if reason else str(one)
        for one, reason in zip(seen, reasons, strict=True))


def _distance(one: Observation, place: Any) -> float:
    assert one.geometry is not None
    return float(np.linalg.norm(one.geometry.centroid - place))
