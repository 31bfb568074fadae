# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth noise: the documented figures, shadows where a second imager cannot see, holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam.tabletop.depth_noise import (
    DISPARITY_STEP,
    RANGE,
    add_depth_noise,
    depth_sigma,
    occluded,
    reference_focal,
)

CALM = {'edge_loss': 0.0, 'hole_rate': 0.0}


@settings(max_examples=12, deadline=None)
@given(distance=st.floats(0.3, 3.0))
def test_the_spread_grows_with_the_square_of_the_distance(distance):
    depth = np.full((120, 160), distance, np.float32)
    noisy = add_depth_noise(depth, np.random.default_rng(0), **CALM)
    assert np.isfinite(noisy).all()
    # A sub-pixel step adds step^2 / 12 to the variance of the disparity.
    step = DISPARITY_STEP * distance**2 / (reference_focal() * 0.05)
    expected = np.hypot(depth_sigma(distance), step / np.sqrt(12))
    # 19200 pixels, about a quarter of them independent: 1 % of spread, plus the curvature of 1/d.
    assert noisy.std() == pytest.approx(expected, rel=0.06)
    assert noisy.mean() == pytest.approx(distance, abs=0.12 * expected + 2e-4 * distance**2)


def test_the_documented_figures():
    # The figures of the module's docstring, to their printed digits.
    for distance, millimetres in ((0.5, 0.9), (1.0, 3.6), (1.5, 8.1), (2.0, 14.3)):
        assert depth_sigma(distance) * 1000 == pytest.approx(millimetres, abs=0.06)


def test_without_noise_depth_comes_in_steps_of_the_disparity():
    depth = np.linspace(0.5, 2.0, 200, dtype=np.float32)[None].repeat(4, axis=0)
    noisy = add_depth_noise(depth, np.random.default_rng(0), strength=0.0, **CALM)
    steps = reference_focal() * 0.05 / noisy / DISPARITY_STEP
    # float32 depth carries 24 bits: a few 1e-4 of a step at some 1300 steps.
    np.testing.assert_allclose(steps, np.rint(steps), atol=2e-3)
    half = 0.5 * DISPARITY_STEP * depth**2 / (reference_focal() * 0.05)
    assert (np.abs(noisy - depth) <= half * 1.01 + 1e-6).all()


def test_the_shadow_lies_left_of_near_things_and_is_as_wide_as_the_disparities_differ():
    inverse = np.full((3, 200), 1 / 2.0)
    inverse[:, 100:140] = 1 / 0.5
    hidden = occluded(inverse, 20.0)
    columns = np.flatnonzero(hidden[1])
    # Width f B (1 / near - 1 / far) = 20 (2 - 0.5) = 30 pixels, one more or less at the rim.
    assert columns.max() == 99 and abs(columns.size - 30) <= 1
    assert not occluded(np.full((3, 50), 0.7), 20.0).any()


def test_edges_and_holes_are_lost_and_the_rest_is_not():
    depth = np.full((200, 300), 1.0, np.float32)
    depth[60:140, 100:200] = 0.6
    noisy = add_depth_noise(depth, np.random.default_rng(1), edge_loss=1.0, hole_rate=0.0)
    assert np.isnan(noisy[60:140, 99:101]).all() and np.isnan(noisy[59:61, 100:200]).all()
    assert np.isfinite(noisy[80:120, 120:180]).all() and np.isfinite(noisy[:, 240:]).all()
    noisy = add_depth_noise(depth, np.random.default_rng(1), edge_loss=0.0, hole_rate=0.02)
    holes = np.isnan(noisy)
    # Holes come as blobs, so their share varies.
    assert 0.004 < holes[:, 240:].mean() < 0.06


def test_what_is_missing_or_out_of_range_stays_missing():
    depth = np.array([[np.nan, 0.0, RANGE[0] / 2, 1.0, RANGE[1] * 2, np.inf]], np.float32)
    noisy = add_depth_noise(depth.repeat(8, axis=0), np.random.default_rng(0), **CALM)
    assert np.isnan(noisy[:, [0, 1, 2, 4, 5]]).all()
    assert noisy.dtype == np.float32


def test_dark_and_glaring_surfaces_lose_depth():
    depth = np.ones((120, 180), np.float32)
    image = np.full((120, 180, 3), 128, np.uint8)
    image[:, :60] = 5
    image[:, 60:120] = 255
    noisy = add_depth_noise(depth, np.random.default_rng(0), image=image, **CALM)
    assert 0.3 < np.isnan(noisy[:, :60]).mean() < 0.7
    assert np.isnan(noisy[:, 60:120]).all() and np.isfinite(noisy[:, 120:]).all()


def test_the_same_generator_gives_the_same_noise():
    depth = np.ones((40, 50), np.float32)
    a, b = (add_depth_noise(depth, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_mistaken_shapes_are_refused():
    with pytest.raises(ValueError, match=r'height, width'):
        add_depth_noise(np.ones((4, 4, 1)), np.random.default_rng(0))
    with pytest.raises(ValueError, match='does not match'):
        add_depth_noise(
            np.ones((4, 4)), np.random.default_rng(0), image=np.zeros((5, 4, 3), np.uint8)
        )
