# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which way is up, and how high the surface lies that an object stands on."""

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.noise import DepthNoise

Array = NDArray[np.float64]
Points = NDArray[np.float32]

# a plane has to hold this share of the surroundings to count as the support
_MIN_PLANE_SHARE = 0.3
# a height has to hold this share of one object's surroundings to count as its support
_MIN_LEVEL_SHARE = 0.08
# and this share of the most common height, lest a thing beside the object passes for its support
_RIVAL_SHARE = 0.4
# a side that takes up fewer pixels than this may go unseen
_SIDE_PIXELS = 6
_RANSAC_POINTS = 1000
_RANSAC_ROUNDS = 96


def level_rotation(up: Array) -> Array:
    """Return the rotation [3, 3] optical frame -> a level frame whose z is ``up`` (a unit vector).

    The level frame's x is the picture's right, made horizontal (the picture's down when right
    itself is vertical).
    """
    right = np.array([1.0, 0.0, 0.0]) if abs(up[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    x = right - up * (right @ up)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(up, x), up])


def plane_normal(surroundings: list[Points], noise: DepthNoise) -> Array | None:
    """Estimate the support plane's unit normal, towards the camera, from points around objects.

    RANSAC (Fischler and Bolles 1981) over the rings of all objects, then least squares. None
    where no plane holds enough of the points.
    """
    points = np.concatenate(surroundings) if surroundings else np.empty((0, 3), np.float32)
    if len(points) < 50:
        return None
    # a fixed seed: the same frame must give the same answer
    rng = np.random.default_rng(0)
    sample = points[rng.integers(len(points), size=_RANSAC_POINTS)].astype(np.float64)
    a, b, c = sample[rng.integers(len(sample), size=(3, _RANSAC_ROUNDS))]
    normals = np.cross(b - a, c - a)
    length = np.linalg.norm(normals, axis=1)
    good = length > 1e-6
    if not good.any():
        return None
    normals = normals[good] / length[good, None]
    offsets = np.einsum('ij,ij->i', normals, a[good])
    tolerance = 3 * noise.sigma(float(np.median(sample[:, 2])))
    close = np.abs(sample @ normals.T - offsets) < tolerance
    votes = close.sum(axis=0)
    best = int(votes.argmax())
    if votes[best] < _MIN_PLANE_SHARE * len(sample):
        return None
    inliers = sample[close[:, best]]
    centre = inliers.mean(axis=0)
    normal = np.linalg.eigh(np.cov((inliers - centre).T))[1][:, 0]
    return -normal if normal @ centre > 0 else normal


def support_height(
    object_heights: NDArray[np.float32], ring_heights: NDArray[np.float32], sigma: float
) -> float | None:
    """Return the height of the surface under an object, or None where none is in sight.

    It is the highest level that a good part of the surroundings shares and that is not above the
    object's own lowest points; heights are along "up", in metres, the object's in ascending
    order; ``sigma`` is the depth noise.
    """
    if len(ring_heights) < 20:
        return None
    lowest = float(object_heights[int(0.02 * len(object_heights))])
    step = max(0.006, 2.5 * sigma)
    below = ring_heights[ring_heights < lowest + max(0.01, 3 * sigma)]
    if len(below) < _MIN_LEVEL_SHARE * len(ring_heights):
        return None
    bins = np.floor((below - below.min()) / step).astype(np.intp)
    counts = np.bincount(bins).astype(np.float64)
    # a level may straddle two bins
    pairs = counts.copy()
    pairs[:-1] += counts[1:]
    enough = max(_MIN_LEVEL_SHARE * len(ring_heights), _RIVAL_SHARE * pairs.max(), 10)
    levels = np.flatnonzero(pairs >= enough)
    if not len(levels):
        return None
    top = levels[-1]
    # climb down to the level's densest bin, for its highest bins are its noise
    while top > 0 and pairs[top - 1] > pairs[top]:
        top -= 1
    middle = below.min() + (top + 1) * step
    near = np.sort(below[np.abs(below - middle) <= 1.5 * step])
    return float(near[len(near) // 2])


def hangs_free(ordered: Points, support: float, spacing: float) -> bool:
    """Tell whether an object is seen to end above the support, as one in a gripper does.

    ``ordered`` [3, N]: each coordinate of its visible surface in ascending order, in a level frame
    (origin at the camera); ``support`` the height of the surface below, ``spacing`` the distance
    between points, all in metres. The side towards the camera shows down to the support, except
    where the object curves in under itself (a ball, by no more than what shows of it) or the view
    is so steep that the side takes up only a few pixels.
    """
    trimmed = ordered.shape[1] // 50
    low, high = ordered[:, trimmed].astype(float), ordered[:, -1 - trimmed].astype(float)
    extent = high - low
    # the camera sees a side only from outside the object's own outline
    off = np.hypot(*(low + high)[:2]) / 2 - extent[:2].max() / 2
    level = max(float(off), 0.0) / float(np.hypot(off, low[2]))
    in_few_pixels = _SIDE_PIXELS * spacing / max(level, 1e-6)
    hidden = max(float(extent[2]), 0.75 * float(extent[:2].max()), 0.02, in_few_pixels)
    return bool(low[2] - support > hidden)
