# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an active stereo camera makes of true depth: noise, steps, shadows and holes.

A stereo camera measures the disparity ``d = f B / z`` (pixels; focal length ``f`` in pixels,
baseline ``B``). An error ``sigma_d`` of the disparity moves the depth by
``sigma_z = z^2 sigma_d / (f B)``, the first-order propagation through ``z = f B / d``.
The defaults are those of a camera with a 50 mm baseline, 87 degrees of view across and a
sub-pixel error of 0.08 px at 848 px width (f = 447 px): 0.9 mm at 0.5 m, 3.6 mm at 1 m, 8.1 mm at
1.5 m, 14 mm at 2 m. With an image of another width ``f`` and ``sigma_d`` scale alike, so that the
figures in metres stay.
"""

from __future__ import annotations

import cv2
import numpy as np

REFERENCE_WIDTH = 848
HORIZONTAL_VIEW = np.radians(87.0)
BASELINE = 0.05  # m
DISPARITY_NOISE = 0.08  # px at the reference width
DISPARITY_STEP = 1 / 32  # px at the reference width: sub-pixel steps of the matcher
RANGE = (0.17, 4.0)  # m

# Share of a jump in inverse depth, relative to the nearer surface, that counts as an edge.
_EDGE = 0.02
_CORRELATION = 0.8  # px: neighbouring pixels share most of their matching window
_DARK, _BRIGHT = 28, 250


def reference_focal() -> float:
    """Return the focal length in pixels at the reference width."""
    return float(REFERENCE_WIDTH / 2 / np.tan(HORIZONTAL_VIEW / 2))


def depth_sigma(depth: np.ndarray | float, *, baseline: float = BASELINE) -> np.ndarray:
    """Return the standard deviation in metres of the measured depth at ``depth`` metres."""
    result: np.ndarray = np.square(depth) * DISPARITY_NOISE / (reference_focal() * baseline)
    return result


def add_depth_noise(
    depth: np.ndarray,
    rng: np.random.Generator,
    *,
    image: np.ndarray | None = None,
    focal: float | None = None,
    baseline: float = BASELINE,
    strength: float = 1.0,
    edge_loss: float = 0.6,
    hole_rate: float = 0.004,
    dark_loss: float = 0.5,
) -> np.ndarray:
    """Return what a stereo camera would measure of ``depth``: float32 [H, W] metres, NaN for none.

    ``depth`` float [H, W] metres with NaN where there is nothing. ``focal`` is the focal length in
    pixels of this image (by default that of 87 degrees across); with ``baseline`` (m) it sets the
    width of the shadows to the left of near things, which the right imager does not see. Depth
    beyond `RANGE` is lost. ``strength`` scales the noise of the disparity, ``edge_loss`` is the
    share of pixels lost at depth edges, ``hole_rate`` the share lost in random holes. With
    ``image`` (uint8 RGB [H, W, 3]) a share ``dark_loss`` of nearly black surfaces, and the
    saturated cores of highlights, are lost too. Raises ValueError for wrong shapes.
    """
    if depth.ndim != 2:
        raise ValueError(f'depth has shape {depth.shape}; give a [height, width] array in metres')
    if image is not None and image.shape != (*depth.shape, 3):
        raise ValueError(f'image {image.shape} does not match the depth {depth.shape}; align them')
    height, width = depth.shape
    true = np.asarray(depth, np.float32)
    valid = np.isfinite(true) & (true > RANGE[0]) & (true < RANGE[1])
    inverse = np.where(valid, 1 / np.where(valid, true, 1), 0).astype(np.float32)

    scale = reference_focal() * baseline  # disparity in pixels at the reference width per 1/m
    disparity = inverse * np.float32(scale)
    if strength:
        disparity += _correlated(rng, (height, width)) * np.float32(DISPARITY_NOISE * strength)
    disparity = np.rint(disparity * np.float32(1 / DISPARITY_STEP)) * np.float32(DISPARITY_STEP)

    lost = ~valid
    pixels = width / 2 / np.tan(HORIZONTAL_VIEW / 2) if focal is None else focal
    lost |= occluded(inverse, pixels * baseline)
    lost |= _edges(inverse) & (_blobs(rng, (height, width), 3) < edge_loss)
    lost |= _blobs(rng, (height, width), 5) < hole_rate
    if image is not None:
        brightest, darkest = image.max(axis=2), image.min(axis=2)
        lost |= (brightest < _DARK) & (_blobs(rng, (height, width), 8) < dark_loss)
        lost |= darkest > _BRIGHT
    measured = np.where(disparity > 0, scale / np.maximum(disparity, 1e-6), np.nan)
    measured[lost] = np.nan
    return measured.astype(np.float32)


def occluded(inverse_depth: np.ndarray, focal_baseline: float) -> np.ndarray:
    """Return where the second imager sees nothing, bool [H, W].

    ``inverse_depth`` [H, W] in 1/m (0 for infinity), ``focal_baseline`` in pixel metres. A pixel u
    appears at u - f B / z in the imager to the right; it is hidden there if some pixel to its
    right appears at or left of that place, because that pixel must be nearer.
    """
    width = inverse_depth.shape[1]
    place = np.arange(width, dtype=np.float32) - inverse_depth * np.float32(focal_baseline)
    leftmost = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
    hidden = np.zeros(inverse_depth.shape, bool)
    hidden[:, :-1] = leftmost[:, 1:] <= place[:, :-1] - 0.5
    return hidden


def _correlated(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    noise = rng.standard_normal(shape, dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), _CORRELATION)
    result: np.ndarray = smooth / smooth.std()
    return result


def _blobs(rng: np.random.Generator, shape: tuple[int, int], cell: int) -> np.ndarray:
    """Return smooth noise whose values are uniform in 0..1, with grains of ``cell`` pixels."""
    small = rng.standard_normal((shape[0] // cell + 2, shape[1] // cell + 2), dtype=np.float32)
    smooth = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    field = smooth / smooth.std()
    # The logistic curve that is closest to the normal distribution.
    result: np.ndarray = 1 / (1 + np.exp(-1.702 * field))
    return result


def _edges(inverse: np.ndarray) -> np.ndarray:
    """Return the pixels at and next to jumps in depth, bool [H, W]."""
    kernel = np.ones((3, 3), np.uint8)
    high, low = cv2.dilate(inverse, kernel), cv2.erode(inverse, kernel)
    edges: np.ndarray = (high - low) > _EDGE * high
    return edges
