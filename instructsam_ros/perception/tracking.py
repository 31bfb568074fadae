# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Targets over time: lasting ids, and poses that get surer from frame to frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception import filtering
from instructsam_ros.perception.association import Candidates, Overlaps, associate, overlaps
from instructsam_ros.perception.beliefs import Track, filtered
from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.outlines import Outline, outline_of
from instructsam_ros.perception.segmenter import Instance
from instructsam_ros.perception.sightings import (
    Forecast,
    Sighting,
    View,
    Whereabouts,
    forecasts,
    sightings_of,
    whereabouts,
)
from instructsam_ros.perception.targets import Target, TargetStatus

Array = NDArray[np.float64]
Depth = NDArray[np.float32]

# what is seen then may be a part only
_PARTIAL = TargetStatus.OCCLUDED | TargetStatus.TOUCHES_BORDER
# masks that share less than this of the smaller one are not of an object that rests
_APART = 0.1
# a mask that lies inside of the known one by this share, and has less of its area, is a part of it
_PART_INSIDE, _PART_AREA = 0.8, 0.7
# more are not remembered, lest they never end where time stands still
_MOST_TRACKS = 200


@dataclass(frozen=True)
class TrackingSettings:
    """How targets are followed.

    Attributes:
        time_to_live: seconds without being seen, where it should be seen, until it is forgotten.
        memory: the same while its place is out of the picture or hidden by something nearer.
        max_speed: m/s, the most that an object may have moved since it was seen.
        filter: how places may move.
    """

    time_to_live: float = 2.0
    memory: float = 30.0
    max_speed: float = 0.5
    filter: filtering.FilterSettings = field(default_factory=filtering.FilterSettings)


class Tracker:
    """Gives targets ids that last, and filters their places where a fixed frame is known.

    For one thread at a time. ``reset`` forgets the targets; an id is never given twice.
    """

    def __init__(self, settings: TrackingSettings | None = None) -> None:
        """Use the given settings, or the defaults."""
        self.settings = settings or TrackingSettings()
        self._tracks: list[Track] = []
        self._last_id = 0
        self._stamp: float | None = None

    def reset(self) -> None:
        """Forget all targets: what comes next is new."""
        self._tracks = []
        self._stamp = None

    def update(
        self,
        targets: Sequence[Target],
        instances: Sequence[Instance],
        stamp: float,
        camera: CameraModel | None,
        to_fixed: Array | None,
        depth: Depth | None = None,
        outlines: Sequence[Outline] | None = None,
    ) -> tuple[Target, ...]:
        """Return a picture's targets in the same order, with lasting ids and filtered poses.

        ``targets`` as the projector returns them, one per instance, geometry in the optical frame
        (of the answer too); ``stamp`` of the picture, seconds; ``camera`` and ``depth`` as the
        projector got them; ``to_fixed`` [4, 4] optical frame -> a frame in which objects rest,
        None when unknown: then there are ids only; ``outlines`` of the masks, if they are known.
        Centroid and normal are of this picture alone.
        A stamp that lies further back than ``time_to_live`` begins anew. Raises ValueError when
        targets and instances differ in number.
        """
        if len(targets) != len(instances):
            raise ValueError(
                f'{len(targets)} targets for {len(instances)} instances: give one per instance'
            )
        elapsed = 0.0 if self._stamp is None else stamp - self._stamp
        if elapsed < -self.settings.time_to_live:
            self.reset()
        self._stamp = stamp
        view = View(stamp, camera, to_fixed, _shape(instances, camera, depth))
        outlines = outlines or [outline_of(one.mask) for one in instances]
        seen = sightings_of(targets, outlines, view)
        expected = forecasts([track.whole for track in self._tracks], view)
        masks = self._overlaps(expected, seen, view)
        places = self._whereabouts(expected, masks, depth)
        pairs = self._pairs(seen, expected, masks, places, view)
        # masks that have nothing in common: the object is not where it was
        apart = {j for k, j in pairs if masks.lesser[k, j] < _APART}
        known = {j: self._tracks[k] for k, j in pairs}
        parts = {j for k, j in pairs if _is_part(seen[j].outline, expected[k].outline)}
        self._age({k for k, _ in pairs}, places, max(elapsed, 0.0), stamp)
        tracks = [known.get(j) or self._begin(one) for j, one in enumerate(seen)]
        for j, (track, one) in enumerate(zip(tracks, seen, strict=True)):
            track.last, track.missing = one, 0.0
            track.whole = track.whole if j in parts else one
            track.sightings += 1
            track.extent = max(track.extent, one.extent)
        partial = np.array([bool(target.status & _PARTIAL) for target in targets], np.bool_)
        elsewhere = np.array([j in apart for j in range(len(tracks))], np.bool_)
        geometries = filtered(tracks, partial, elsewhere, view, self.settings.filter)
        return tuple(
            replace(target, id=track.id, geometry=geometry)
            for target, track, geometry in zip(targets, tracks, geometries, strict=True)
        )

    def _begin(self, one: Sighting) -> Track:
        self._last_id += 1
        track = Track(self._last_id, one, one)
        self._tracks.append(track)
        return track

    def _overlaps(
        self, expected: Sequence[Forecast], seen: Sequence[Sighting], view: View
    ) -> Overlaps:
        """Compare the masks with what is known of the whole and, where that differs, of a part."""
        outlines = [one.outline for one in seen]
        masks = overlaps([one.outline for one in expected], outlines)
        rows = [k for k, track in enumerate(self._tracks) if track.last is not track.whole]
        parts = forecasts([self._tracks[k].last for k in rows], view)
        more = overlaps([one.outline for one in parts], outlines)
        masks.union[rows] = np.maximum(masks.union[rows], more.union)
        masks.lesser[rows] = np.maximum(masks.lesser[rows], more.lesser)
        return masks

    def _whereabouts(
        self, expected: Sequence[Forecast], masks: Overlaps, depth: Depth | None
    ) -> list[Whereabouts]:
        covered = masks.lesser.max(axis=1, initial=0.0) >= _APART
        return [
            # something that is seen stands there
            Whereabouts.OCCUPIED if covered[k] else whereabouts(expected[k], track.extent, depth)
            for k, track in enumerate(self._tracks)
        ]

    def _pairs(
        self,
        seen: Sequence[Sighting],
        expected: Sequence[Forecast],
        masks: Overlaps,
        places: Sequence[Whereabouts],
        view: View,
    ) -> list[tuple[int, int]]:
        if not self._tracks or not seen:
            return []
        unseen = np.array([view.stamp - track.last.view.stamp for track in self._tracks])
        # after longer nobody can tell how far it has gone
        reach = self.settings.max_speed * np.clip(unseen, 0.0, self.settings.time_to_live)
        stay = (Whereabouts.OCCUPIED, Whereabouts.OUTSIDE)
        return associate(
            self._known(expected, unseen, view),
            _candidates(seen, view),
            masks,
            reach,
            np.array([place not in stay for place in places]),
            np.array([track.sightings for track in self._tracks]),
        )

    def _known(self, expected: Sequence[Forecast], unseen: Array, view: View) -> Candidates:
        """The tracks as they should be seen now, in the fixed frame if there is one."""
        centres = np.full((len(self._tracks), 3), np.nan)
        covariances = np.zeros((len(self._tracks), 3, 3))
        for k, track in enumerate(self._tracks):
            here = track.last.here
            if view.to_fixed is not None and track.place is not None:
                centres[k], covariances[k] = track.place.centre, track.place.accuracy
            elif here is not None:
                # as if the camera had stood still
                moved = here if view.to_fixed is None else here.transformed(view.to_fixed)
                centres[k], covariances[k] = moved.position, moved.covariance[:3, :3]
        walk = self.settings.filter.rest**2 * np.maximum(unseen, 0.0)
        return Candidates(
            [one.outline for one in expected],
            [track.last.phrase for track in self._tracks],
            centres,
            covariances + walk[:, None, None] * np.eye(3),
            np.array([track.extent for track in self._tracks]),
        )

    def _age(
        self, seen: set[int], places: Sequence[Whereabouts], elapsed: float, stamp: float
    ) -> None:
        """Forget the tracks that were not seen for too long."""
        longest = max(self.settings.memory, self.settings.time_to_live)
        kept = []
        for k, track in enumerate(self._tracks):
            if k not in seen:
                if places[k] not in (Whereabouts.HIDDEN, Whereabouts.OUTSIDE):
                    track.missing += elapsed
                unseen = stamp - track.last.view.stamp
                if track.missing > self.settings.time_to_live or unseen > longest:
                    continue
            kept.append(track)
        kept.sort(key=lambda track: track.last.view.stamp)
        self._tracks = kept[-_MOST_TRACKS:]


def _is_part(outline: Outline, whole: Outline) -> bool:
    inside = outline.common(whole) >= _PART_INSIDE * outline.area
    return inside and outline.area < _PART_AREA * whole.area


def _candidates(seen: Sequence[Sighting], view: View) -> Candidates:
    """The sightings, in the fixed frame if there is one."""
    centres = np.full((len(seen), 3), np.nan)
    covariances = np.zeros((len(seen), 3, 3))
    for j, one in enumerate(seen):
        geometry = one.here if view.to_fixed is None else one.fixed
        if geometry is not None:
            centres[j], covariances[j] = geometry.position, geometry.covariance[:3, :3]
    return Candidates(
        [one.outline for one in seen],
        [one.phrase for one in seen],
        centres,
        covariances,
        np.array([one.extent for one in seen]),
    )


def _shape(
    instances: Sequence[Instance], camera: CameraModel | None, depth: Depth | None
) -> tuple[int, int]:
    """Height and width of the picture; zeros when nothing tells."""
    for one in instances:
        height, width = one.mask.shape
        return height, width
    if camera is not None:
        return camera.height, camera.width
    return (0, 0) if depth is None else (depth.shape[0], depth.shape[1])
