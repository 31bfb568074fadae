# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a picture shows of objects, and how it should look after the camera has moved."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.camera import CameraModel
from instructsam_ros.perception.outlines import Outline
from instructsam_ros.perception.targets import Target, TargetGeometry

Array = NDArray[np.float64]
Depth = NDArray[np.float32]

# metres from the camera: nearer than this nothing is seen
_NEAREST = 0.02
# the points by which a mask's motion is told are so far apart, as a share of their distance
_PROBE = 0.1
# less of a mask than this still in the picture: it has gone out
_INSIDE = 0.3
# metres, and share of an object's extent, by which depth must differ from the object's
_CLEAR, _CLEAR_SHARE = 0.01, 0.4
# so many pixels of depth tell what stands before an object
_DEPTH_PIXELS = 400


_NOWHERE = Outline(np.zeros((0, 0), np.uint8), 0, 0, 0)


@dataclass(frozen=True, eq=False)
class View:
    """The camera at the time of a picture.

    Attributes:
        stamp: seconds.
        camera: intrinsics, None when unknown.
        to_fixed: [4, 4] optical frame -> a frame in which objects rest, None when unknown.
        shape: height and width of the picture.
    """

    stamp: float
    camera: CameraModel | None
    to_fixed: Array | None
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Sighting:
    """One object in one picture.

    Attributes:
        view: of that picture.
        outline: its mask.
        phrase: normalised.
        here, fixed: its geometry in the optical and in the fixed frame, None when unknown.
        probe: [3, 3] points of the optical frame at its depth, the first in its middle.
        pixels: [3, 2] where they are seen; they tell how the mask moves when the camera does.
    """

    view: View
    outline: Outline
    phrase: str
    here: TargetGeometry | None = None
    fixed: TargetGeometry | None = None
    probe: Array | None = None
    pixels: Array | None = None

    @property
    def extent(self) -> float:
        """Metres from the centre to the ends; 0 when unknown."""
        return 0.0 if self.here is None else float(self.here.size.max() / 2)


@dataclass(frozen=True, eq=False)
class Forecast:
    """Where a sighting should be in a later picture.

    Attributes:
        outline: its mask there; empty when it is behind the camera.
        inside: share of the mask that is in the picture.
        depth: metres to its surface along the optical axis, None when unknown.
    """

    outline: Outline
    inside: float
    depth: float | None


class Whereabouts(Enum):
    """What a picture says of the place where an object should be."""

    UNKNOWN = 'no depth there'
    OCCUPIED = 'as deep as the object'
    EMPTY = 'deeper'
    HIDDEN = 'nearer'
    OUTSIDE = 'not in the picture'


def transformed_all(
    geometries: Sequence[TargetGeometry], transform: Array
) -> list[TargetGeometry]:
    """Return the geometries in another frame, like ``TargetGeometry.transformed``, all at once."""
    if not geometries:
        return []
    rotation = transform[:3, :3]
    twice = np.zeros((6, 6))
    twice[:3, :3] = twice[3:, 3:] = rotation
    poses = transform @ np.array([one.pose for one in geometries])
    centroids = np.array([one.centroid for one in geometries]) @ rotation.T + transform[:3, 3]
    normals = np.array([one.normal for one in geometries]) @ rotation.T
    covariances = twice @ np.array([one.covariance for one in geometries]) @ twice.T
    persistent = rotation @ np.array([one.persistent for one in geometries]) @ rotation.T
    return [
        TargetGeometry(
            poses[k], one.size, centroids[k], normals[k], covariances[k], one.distance,
            persistent[k],
        )
        for k, one in enumerate(geometries)
    ]


def sightings_of(
    targets: Sequence[Target], outlines: Sequence[Outline], view: View
) -> list[Sighting]:
    """Return what a picture shows, one per target and the outline of its mask."""
    known = [target.geometry for target in targets if target.geometry is not None]
    fixed = iter([] if view.to_fixed is None else transformed_all(known, view.to_fixed))
    centroids = np.array([one.centroid for one in known]).reshape(-1, 3)
    steps = _PROBE * centroids[:, 2, None, None] * np.eye(3)[[2, 0, 1]]
    steps[:, 0] = 0.0
    probes = centroids[:, None] + steps
    shown = iter(_projected(probes, view.camera))
    places = iter(probes)
    found = []
    for target, outline in zip(targets, outlines, strict=True):
        phrase = ' '.join(target.phrase.casefold().split())
        here = target.geometry
        if here is None:
            found.append(Sighting(view, outline, phrase))
            continue
        found.append(
            Sighting(view, outline, phrase, here, next(fixed, None), next(places), next(shown))
        )
    return found


def forecasts(sightings: Sequence[Sighting], view: View) -> list[Forecast]:
    """Return where earlier sightings should be in the picture of ``view``, if objects rest.

    The motion of a mask is that of a plane at the object's depth that faces the camera. Without
    the camera's poses it is taken to stand still; without depth the mask stays where it is.
    """
    if not sightings:
        return []
    back = None if view.to_fixed is None else np.linalg.inv(view.to_fixed)
    unknown = np.full((3, 3), np.nan)
    before = np.array([unknown[:, :2] if one.pixels is None else one.pixels for one in sightings])
    probes = np.array([unknown if one.probe is None else one.probe for one in sightings])
    motions = np.array([
        np.eye(4) if back is None or one.view.to_fixed is None else back @ one.view.to_fixed
        for one in sightings
    ])
    probes = probes @ motions[:, :3, :3].transpose(0, 2, 1) + motions[:, None, :3, 3]
    after = _projected(probes, view.camera)
    movable = ~np.isnan(before).any(axis=(1, 2))
    seen = movable & ~np.isnan(after).any(axis=(1, 2))
    affine = _affine(before, after, seen)
    growth = np.abs(affine[:, 0, 0] * affine[:, 1, 1] - affine[:, 0, 1] * affine[:, 1, 0])
    found = []
    for k, one in enumerate(sightings):
        if not movable[k] or view.camera is None:
            scaled = one.outline.moved(_scaling(one.view, view), view.shape)
            found.append(Forecast(scaled, 1.0, None))
        elif not seen[k]:
            found.append(Forecast(_NOWHERE, 0.0, None))
        else:
            outline = one.outline.moved(affine[k], view.shape)
            whole = max(one.outline.area * float(growth[k]), 1.0)
            found.append(Forecast(outline, outline.area / whole, float(probes[k, 0, 2])))
    return found


def _projected(points: Array, camera: CameraModel | None) -> Array:
    """Pixels [n, 3, 2] of points [n, 3, 3]; NaN for what is not in front of the camera."""
    pixels = np.full((len(points), 3, 2), np.nan)
    with np.errstate(invalid='ignore'):
        in_front = points[..., 2].min(axis=1, initial=np.inf) > _NEAREST
    if camera is not None and in_front.any():
        pixels[in_front] = camera.project(points[in_front])
    return pixels


def _affine(before: Array, after: Array, rows: NDArray[np.bool_]) -> Array:
    """Motions [n, 2, 3] of pixels that take three to three; the identity where not asked for."""
    motion = np.tile(np.eye(2, 3), (len(before), 1, 1))
    old, new = before[rows], after[rows]
    sides = (old[:, 1:] - old[:, :1]).transpose(0, 2, 1)
    linear = (new[:, 1:] - new[:, :1]).transpose(0, 2, 1) @ np.linalg.inv(sides)
    motion[rows, :, :2] = linear
    motion[rows, :, 2] = new[:, 0] - (linear @ old[:, 0, :, None])[..., 0]
    return motion


def _scaling(old: View, new: View) -> Array:
    """Motion [2, 3] of pixels between pictures of different sizes."""
    scale = np.zeros((2, 3))
    scale[0, 0] = new.shape[1] / max(old.shape[1], 1)
    scale[1, 1] = new.shape[0] / max(old.shape[0], 1)
    return scale


def whereabouts(forecast: Forecast, extent: float, depth: Depth | None) -> Whereabouts:
    """Tell from the depth [H, W] of a picture where an object is that the picture does not show.

    ``extent`` is half its size, metres.
    """
    if forecast.inside < _INSIDE:
        return Whereabouts.OUTSIDE
    outline = forecast.outline
    if depth is None or forecast.depth is None or not outline.area:
        return Whereabouts.UNKNOWN
    left, top, right, bottom = outline.corners
    step = 1 + int(np.sqrt(outline.mask.size / _DEPTH_PIXELS))
    part = depth[top:bottom:step, left:right:step]
    values = part[(outline.mask[::step, ::step] > 0) & np.isfinite(part)]
    if not len(values):
        return Whereabouts.UNKNOWN
    further = float(np.median(values)) - forecast.depth
    if abs(further) < max(_CLEAR, _CLEAR_SHARE * extent):
        return Whereabouts.OCCUPIED
    return Whereabouts.EMPTY if further > 0 else Whereabouts.HIDDEN
