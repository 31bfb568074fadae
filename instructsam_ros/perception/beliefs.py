# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is believed of objects over time: places, sizes and yaws in the fixed frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception import box_memory, filtering
from instructsam_ros.perception.box_memory import BoxMemory
from instructsam_ros.perception.sightings import Sighting, View, transformed_all
from instructsam_ros.perception.targets import TargetGeometry

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(eq=False)
class Track:
    """One object over time.

    Attributes:
        id: never given to another.
        last: the latest sighting.
        whole: the latest that did not only show a part.
        sightings: how many there were.
        missing: seconds since then in which it should have been seen.
        extent: of its largest view, metres.
        place, box: what is believed of it in the fixed frame; None without one.
    """

    id: int
    last: Sighting
    whole: Sighting
    sightings: int = 0
    missing: float = 0.0
    extent: float = 0.0
    place: filtering.Place | None = None
    box: BoxMemory | None = None


def filtered(
    tracks: Sequence[Track],
    partial: Bools,
    elsewhere: Bools,
    view: View,
    settings: filtering.FilterSettings,
) -> list[TargetGeometry | None]:
    """Learn from the latest sightings of n tracks; return geometries in the optical frame.

    ``partial`` [n]: a part is hidden or outside of the picture; ``elsewhere`` [n]: its mask has
    nothing in common with where it should be. Without a fixed frame nothing is learnt, and the
    geometries are those of the sightings.
    """
    answers = [track.last.here for track in tracks]
    solid = [j for j, track in enumerate(tracks) if track.last.fixed is not None]
    if view.to_fixed is None or not solid:
        return answers
    chosen = [tracks[j] for j in solid]
    persistent, seen = _compared(chosen, partial[solid])
    gone = elsewhere[solid] & ~seen.inside
    places = filtering.update(
        [track.place for track in chosen],
        filtering.Measurements(
            view.stamp,
            seen.centres,
            seen.covariances[:, :3, :3] - persistent,
            # that a part is missing, only who remembers the whole can know
            persistent + seen.hidden,
            filtering.viewpoints_of(seen.centres, view.to_fixed[:3, 3]),
            np.where(gone, [track.extent for track in chosen], np.inf),
        ),
        settings,
    )
    begun = [
        track.place is not None and place is not track.place
        for track, place in zip(chosen, places, strict=True)
    ]
    boxes = box_memory.learn([track.box for track in chosen], seen, np.array(begun))
    turned = box_memory.rotation_covariances(boxes, seen)
    believed = []
    for k, (track, place, box) in enumerate(zip(chosen, places, boxes, strict=True)):
        track.place, track.box = place, box
        believed.append(_geometry(place, box, turned[k]))
    back = np.asarray(np.linalg.inv(view.to_fixed), np.float64)
    for j, geometry in zip(solid, transformed_all(believed, back), strict=True):
        answers[j] = _with_surface(geometry, answers[j])
    return answers


def _compared(
    tracks: Sequence[Track], partial: NDArray[np.bool_]
) -> tuple[Array, box_memory.SeenBoxes]:
    """Return the persistent parts [n, 3, 3] and the boxes of the latest sightings."""
    fixed = [track.last.fixed for track in tracks if track.last.fixed is not None]
    seen = box_memory.SeenBoxes.measured(
        np.array([one.position for one in fixed]),
        np.array([one.pose[:3, :3] for one in fixed]),
        np.array([one.size for one in fixed]),
        np.array([one.covariance for one in fixed]),
        partial,
    )
    places = [track.place for track in tracks]
    centres = [
        one.position if place is None else place.centre
        for one, place in zip(fixed, places, strict=True)
    ]
    accuracies = [np.zeros((3, 3)) if place is None else place.accuracy for place in places]
    persistent = np.array([one.persistent for one in fixed])
    return persistent, box_memory.compare(
        [track.box for track in tracks], seen, np.array(centres), np.array(accuracies)
    )


def _geometry(place: filtering.Place, box: BoxMemory, rotational: Array) -> TargetGeometry:
    """Return what is believed, in the fixed frame, without the visible surface."""
    pose, covariance, nothing = np.eye(4), np.zeros((6, 6)), np.zeros(3)
    pose[:3, :3], pose[:3, 3] = box.rotation, place.centre
    covariance[:3, :3], covariance[3:, 3:] = place.accuracy, rotational
    return TargetGeometry(
        pose, box.size.copy(), nothing, nothing, covariance, 0.0, place.persistent
    )


def _with_surface(box: TargetGeometry, seen: TargetGeometry | None) -> TargetGeometry:
    """Return a box with the visible surface of another geometry of the same frame."""
    assert seen is not None
    return TargetGeometry(
        box.pose, box.size, seen.centroid, seen.normal, box.covariance, seen.distance,
        box.persistent,
    )
