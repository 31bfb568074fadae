# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The visible surface of one mask: clean points, without flying pixels and without leaks."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.noise import DepthNoise
from instructsam_ros.perception.smoothing import local_planes

# larger masks are read on a coarser grid of at most about twice this, which bounds time
_MAX_PIXELS = 2_000
_MAX_RING = 1_000
_MAX_OUTLINE = 200
# steps around a mask in which what adjoins it is looked for
_ADJOINING = 3
# shares of a mask's width over which known depth is carried on: where there is other depth, where
# there is none
_OTHERS, _HOLE = 0.1, 0.3
# pixels along which thin ends (handles, leaves, tips) are followed
_THIN_PIXELS = 8
# share of the outline at which something nearer makes an object count as occluded
_OCCLUDED = 0.1
# steepest surface, in pixels of depth change per pixel, that is not a jump (tan 75 degrees x 2)
_STEEP = 7.5
# a pixel between two surfaces, off the nearer by this share of a jump, belongs to neither
_FLYING = 0.3
# pieces of a mask smaller than this share of its largest piece are noise
_MIN_PIECE = 0.02


@dataclass(frozen=True)
class Surface:
    """What the camera sees of an object, in the optical frame.

    Attributes:
        points: float32 [N, 3] metres, one per grid pixel of the mask; pixels without usable depth
            near good ones take their neighbours' depth, so that points cover the silhouette.
        surroundings: float32 [M, 3], points of a ring of background around the mask.
        visible_points: full-resolution pixels with usable measured depth.
        valid_ratio: share of the mask's pixels with valid depth.
        spacing: metres between neighbouring points at the object's distance.
        outline: float32 [K, 3], points along the mask's outline.
        cut: bool [K], where the outline is not the object's own: something nearer adjoins, or the
            picture ends.
        occluded: something nearer adjoins a good part of the outline.
        ragged: nothing is left of the mask without its outline; what there is may be wrong.
    """

    points: NDArray[np.float32]
    surroundings: NDArray[np.float32]
    visible_points: int
    valid_ratio: float
    spacing: float
    outline: NDArray[np.float32]
    cut: NDArray[np.bool_]
    occluded: bool
    ragged: bool


class _Grid:
    """A rectangle of the picture, of which every ``stride``-th pixel is looked at."""

    def __init__(
        self, rows: range, columns: range, shape: tuple[int, ...], rays: NDArray[np.float32]
    ) -> None:
        """``shape`` [H, W] of the picture, ``rays`` [H, W, 2]."""
        self._rows, self._columns = rows, columns
        self._shape = shape
        self._rays = rays
        self._window = (
            slice(rows.start, rows.stop, rows.step),
            slice(columns.start, columns.stop, columns.step),
        )

    def take(self, picture: NDArray) -> NDArray:
        """Return the grid's pixels of a picture, a copy."""
        return np.ascontiguousarray(picture[self._window])

    def points(self, z: NDArray[np.float32], places: NDArray[np.intp]) -> NDArray[np.float32]:
        """Points float32 [N, 3] of the pixels at ``places`` in the grid, counted row by row.

        ``z`` is the depth of the whole grid, metres.
        """
        # one row per coordinate: numpy works along rows ten times as fast
        points = np.empty((3, len(places)), np.float32)
        rays = self._rays[self._window]
        (rays[..., 0] * z).take(places, out=points[0])
        (rays[..., 1] * z).take(places, out=points[1])
        z.take(places, out=points[2])
        return points.T

    def at_border(self, places: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Tell which places in the grid are at the border of the picture."""
        rows, columns = self._rows, self._columns
        if (
            rows[0] and columns[0]
            and rows[-1] < self._shape[0] - rows.step
            and columns[-1] < self._shape[1] - columns.step
        ):
            return np.zeros(len(places), np.bool_)
        border = np.zeros((len(rows), len(columns)), np.bool_)
        border[0], border[-1] = rows[0] == 0, rows[-1] >= self._shape[0] - rows.step
        border[:, 0] |= columns[0] == 0
        border[:, -1] |= columns[-1] >= self._shape[1] - columns.step
        return border.ravel()[places]


@dataclass(frozen=True)
class _Piece:
    """The main piece of a mask, on a grid around it and on a wider one."""

    grid: _Grid
    inside: NDArray[np.uint8]
    z: NDArray[np.float32]
    valid: NDArray[np.uint8]
    kept: NDArray[np.uint8]
    ring: NDArray[np.float32]
    stride: int
    focal: float
    jump: float
    seen: int
    ragged: bool

    @property
    def around(self) -> tuple[slice, slice]:
        """The part of the grid that the mask takes up."""
        x, y, width, height = cv2.boundingRect(self.inside)
        return slice(y, y + height), slice(x, x + width)


def extract_surfaces(
    masks: Sequence[NDArray[np.uint8]],
    bounds: Sequence[tuple[int, int, int, int]],
    depth: NDArray[np.float32],
    rays: NDArray[np.float32],
    focal: float,
    noise: DepthNoise,
    limits: tuple[float, float],
) -> list[Surface | None]:
    """Return the visible surface of each mask, None where it is empty or has no usable depth.

    ``masks`` uint8 [H, W] (0 or 1) with bounding rectangles ``bounds`` (x, y, width, height);
    ``depth`` [H, W] metres, NaN where invalid, usable between the two ``limits``; ``rays``
    [H, W, 2] (CameraModel.rays), NaN where there is none; ``focal`` in pixels.

    Eroded by a pixel and cut at depth jumps, split into connected pieces, pieces that lie
    together in 3D joined, the largest kept; then grown back to the silhouette.
    """
    pieces = [
        _separated(mask, bound, depth, rays, focal, noise, limits)
        for mask, bound in zip(masks, bounds, strict=True)
    ]
    places = [None if piece is None else piece.around for piece in pieces]
    planes = iter(local_planes([
        (piece.kept[place], piece.z[place])
        for piece, place in zip(pieces, places, strict=True)
        if piece is not None and place is not None
    ]))
    return [
        None if piece is None or place is None else _surface(piece, place, *next(planes))
        for piece, place in zip(pieces, places, strict=True)
    ]


def _separated(
    mask: NDArray[np.uint8],
    bounds: tuple[int, int, int, int],
    depth: NDArray[np.float32],
    rays: NDArray[np.float32],
    focal: float,
    noise: DepthNoise,
    limits: tuple[float, float],
) -> _Piece | None:
    """Find the pixels that belong to the object."""
    x, y, width, height = bounds
    if not width:
        return None
    stride = max(1, int(np.ceil(np.sqrt(width * height / (2 * _MAX_PIXELS)))))
    margin = 6 + int(0.15 * max(width, height) / stride)
    rows, above = _steps(y, height, mask.shape[0], stride, margin)
    columns, left = _steps(x, width, mask.shape[1], stride, margin)
    wide = _Grid(rows, columns, mask.shape, rays)
    wide_inside, wide_z = wide.take(mask), wide.take(depth)
    # false for NaN
    wide_valid = ((wide_z >= limits[0]) & (wide_z <= limits[1])).view(np.uint8)
    # most of what follows needs only the mask and what adjoins it
    grid = _Grid(rows[above], columns[left], mask.shape, rays)
    inside, z, valid = (
        np.ascontiguousarray(one[above, left]) for one in (wide_inside, wide_z, wide_valid)
    )
    inside_valid = inside & valid
    seen = cv2.countNonZero(inside_valid)
    if not seen:
        return None
    typical = _median(z[inside_valid.view(bool)])
    focal = focal / stride
    jump = noise.jump(typical) + _STEEP * typical / focal
    smooth = valid & ~_jumps(z, valid, jump)
    kept = _main_piece(_eroded(inside, _SQUARE) & smooth, z, grid, jump)
    ragged = kept is None
    if kept is None:
        # too small or too ragged to be choosy
        kept = _main_piece(inside_valid, z, grid, jump)
        if kept is None:
            return None
    # the outline's own depth counts too where no jump is near, as at the contact with a table, and
    # what is too thin for the erosion where it goes on from there
    good = inside & smooth
    count = 0
    for _ in range(_THIN_PIXELS):
        kept = kept | (_dilated(kept, _SQUARE) & good)
        before, count = count, cv2.countNonZero(kept)
        if count == before:
            break
    ring = np.flatnonzero(wide_valid > _dilated(wide_inside, _NEIGHBOURHOOD))
    surroundings = wide.points(wide_z, ring[:: 1 + len(ring) // _MAX_RING])
    return _Piece(
        grid, inside, z, valid, kept, surroundings, stride, focal, jump, seen, ragged
    )


def _surface(
    piece: _Piece,
    place: tuple[slice, slice],
    smoothed: NDArray[np.float32],
    known: NDArray[np.bool_],
) -> Surface:
    """Make points of a piece, whose depth is ``smoothed`` at a place where it is ``known``."""
    grid = piece.grid
    surface_z, covered = _grow(piece, place, smoothed, known)
    points = grid.points(surface_z, np.flatnonzero(covered.view(bool)))
    edge, nearer = _outline(piece, surface_z)
    return Surface(
        points=points,
        surroundings=piece.ring,
        visible_points=cv2.countNonZero(piece.kept) * piece.stride**2,
        valid_ratio=piece.seen / cv2.countNonZero(piece.inside),
        spacing=_median(points[:, 2]) / piece.focal,
        outline=grid.points(surface_z, edge),
        cut=nearer | grid.at_border(edge),
        occluded=bool(np.count_nonzero(nearer) > _OCCLUDED * len(edge)),
        ragged=piece.ragged,
    )


def _steps(
    start: int, length: int, size: int, stride: int, margin: int
) -> tuple[range, slice]:
    """Places of every stride-th pixel, from ``margin`` steps before ``start`` to as many after.

    Also returns which of them belong to the ``length`` pixels from ``start`` or adjoin them.
    """
    places = range(max(start - margin * stride, 0), min(start + length + margin * stride, size),
                   stride)
    first = (start - places.start) // stride - _ADJOINING
    last = (start + length - 1 - places.start) // stride + 1 + _ADJOINING
    return places, slice(max(first, 0), min(last, len(places)))


_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_SQUARE = np.ones((3, 3), np.uint8)
_NEIGHBOURHOOD = np.ones((5, 5), np.uint8)


def _eroded(mask: NDArray[np.uint8], kernel: NDArray) -> NDArray[np.uint8]:
    return np.asarray(cv2.erode(mask, kernel), np.uint8)


def _dilated(mask: NDArray[np.uint8], kernel: NDArray) -> NDArray[np.uint8]:
    return np.asarray(cv2.dilate(mask, kernel), np.uint8)


def _median(values: NDArray[np.float32]) -> float:
    """Median of up to 500 of the values; numpy's own spends longer on its arguments than on it."""
    few = np.sort(values[:: 1 + len(values) // 500])
    return float(few[len(few) // 2])


def _jumps(z: NDArray[np.float32], valid: NDArray[np.uint8], jump: float) -> NDArray[np.uint8]:
    """Mark flying pixels and the far side of depth jumps, by their 3x3 neighbourhood.

    The near side stays: it is the true outline, and thin things like handles have no inside.
    """
    known = valid.view(bool)
    # invalid pixels must neither raise the maximum nor lower the minimum
    behind = cv2.dilate(np.where(known, z, np.float32(-1e3)), _SQUARE) - z
    ahead = z - cv2.erode(np.where(known, z, np.float32(1e3)), _SQUARE)
    between = (behind > jump) & (ahead > _FLYING * jump)
    return ((ahead > jump) | between).view(np.uint8)


def _main_piece(
    candidate: NDArray[np.uint8], z: NDArray[np.float32], grid: _Grid, jump: float
) -> NDArray[np.uint8] | None:
    """Return the largest 3D cluster of the candidate pixels; None when hardly any are there."""
    count, labels = cv2.connectedComponents(candidate, connectivity=8)
    if count < 2:
        return None
    # four times as fast as asking OpenCV for statistics
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    largest = int(areas.argmax())
    if areas[largest] < 4:
        return None
    pieces = [
        int(piece)
        for piece in np.argsort(-areas)[:8]
        if areas[piece] > max(3, _MIN_PIECE * areas[largest])
    ]
    if len(pieces) == 1:
        return np.equal(labels, largest).view(np.uint8)
    clouds = [_thin(grid.points(z, np.flatnonzero(labels == piece))) for piece in pieces]
    group = _linked_groups(clouds, jump)
    weight = np.bincount(group, weights=areas[pieces])
    chosen = [piece for piece, g in zip(pieces, group, strict=True) if g == weight.argmax()]
    return np.isin(labels, chosen).view(np.uint8)


def _thin(points: NDArray[np.float32], most: int = 100) -> NDArray[np.float32]:
    return points[:: max(1, len(points) // most)]


def _linked_groups(clouds: list[NDArray[np.float32]], jump: float) -> NDArray[np.intp]:
    """Group pieces whose gap is small against their own extent (an occluder cuts objects)."""
    extents = [float(np.linalg.norm(np.ptp(cloud, axis=0))) for cloud in clouds]
    group = np.arange(len(clouds))
    for i, first in enumerate(clouds):
        for j in range(i):
            difference = first[:, None] - clouds[j][None]
            gap = float(np.sqrt((difference**2).sum(axis=2).min()))
            reach = min(max(0.5 * max(extents[i], extents[j]), jump), 0.12)
            if gap < reach:
                group[group == group[i]] = group[j]
    return group


def _grow(
    piece: _Piece,
    place: tuple[slice, slice],
    fitted: NDArray[np.float32],
    fits: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Carry the smooth depth out to the mask's outline and over its holes.

    Returns depth float32 and the covered pixels; pixels of the mask whose own depth disagrees
    with their kept neighbours (another surface under a leaking mask) stay uncovered.
    """
    kept, inside, z, valid = piece.kept, piece.inside, piece.z, piece.valid
    smoothed = np.zeros_like(z)
    known = np.zeros(z.shape, np.bool_)
    smoothed[place], known[place] = fitted, fits
    if not known.any():
        # too few pixels for any window
        at = kept.view(bool)
        return np.where(at, z, _median(z[at])), kept
    missing = inside & ~known
    if missing.any():
        # larger holes take the nearest known depth; dark and shiny things have large ones
        distance, nearest = cv2.distanceTransformWithLabels(
            (~known).view(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
        )
        table = np.zeros(int(nearest.max()) + 1, np.float32)
        table[nearest[known]] = smoothed[known]
        smoothed = np.where(known, smoothed, table[nearest])
        extent = float(np.sqrt(cv2.countNonZero(inside)))
        known = distance < 2 + extent * np.where(valid.view(bool), _OTHERS, _HOLE)
    disagrees = (valid.view(bool) & (np.abs(z - smoothed) > 0.5 * piece.jump)) & ~kept.view(bool)
    return smoothed, inside & (known & ~disagrees).view(np.uint8)


def _outline(
    piece: _Piece, surface_z: NDArray[np.float32]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Places of the mask's outline in the grid, and at which of them something nearer adjoins."""
    inside, radius = piece.inside, 3 if piece.stride == 1 else 2
    outside = piece.valid > inside
    # edges of near things often have no depth, so they are looked for some pixels off
    window = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    nearest = cv2.erode(np.where(outside, piece.z, np.float32(1e3)), window)
    # the border of the picture ends the mask as well
    core = cv2.erode(inside, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    edge = np.flatnonzero(inside > core)
    # odd, since a row mostly has two: an even step would take the same side of all
    edge = edge[:: 1 + len(edge) // _MAX_OUTLINE | 1]
    return edge, nearest.ravel()[edge] < surface_z.ravel()[edge] - piece.jump
