# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Depth encodings (REP-118) and depth files."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from instructsam_ros.perception.depth import ENCODINGS, encoding_named, to_metres
from instructsam_ros.perception.images import read_depth


@pytest.mark.parametrize('encoding', ['16UC1', 'mono16'])
def test_integers_are_millimetres_and_zero_is_invalid(encoding):
    metres = to_metres(np.array([[0, 1, 1500, 65535]], np.uint16), encoding)
    assert metres.dtype == np.float32
    assert np.isnan(metres[0, 0])
    # float32 holds millimetres up to 65 m to 4e-6 m
    np.testing.assert_allclose(metres[0, 1:], [0.001, 1.5, 65.535], atol=4e-6)


def test_floats_are_metres_and_everything_else_is_invalid():
    raw = np.array([[0.5, np.nan, np.inf, -np.inf, 0.0, -1.0]], np.float32)
    metres = to_metres(raw, '32FC1')
    assert metres[0, 0] == np.float32(0.5)
    assert np.isnan(metres[0, 1:]).all()
    assert raw[0, 2] == np.inf, 'the input must not be changed'


@settings(deadline=None)
@given(arrays(np.uint16, (3, 4)))
def test_integer_depth_survives_the_round_trip(raw):
    metres = to_metres(raw, '16UC1')
    back = np.nan_to_num(np.rint(metres * 1000), nan=0.0).astype(np.uint16)
    np.testing.assert_array_equal(back, raw)


@settings(deadline=None)
@given(arrays(np.float32, (3, 4), elements=st.floats(width=32)))
def test_float_depth_is_positive_and_finite_or_nan(raw):
    metres = to_metres(raw, '32FC1')
    valid = np.isfinite(metres)
    assert (metres[valid] > 0).all()
    np.testing.assert_array_equal(valid, np.isfinite(raw) & (raw > 0))


def test_unknown_encoding_names_what_is_supported():
    with pytest.raises(ValueError, match="'rgb8' is not supported") as error:
        encoding_named('rgb8')
    for encoding in ENCODINGS:
        assert encoding.names[0] in str(error.value)


@pytest.mark.parametrize(
    ('raw', 'encoding', 'words'),
    [
        (np.zeros((2, 2), np.float32), '16UC1', 'millimetres'),
        (np.zeros((2, 2), np.uint16), '32FC1', 'metres'),
        (np.zeros((2, 2, 3), np.uint16), '16UC1', 'one channel'),
    ],
)
def test_arrays_that_do_not_fit_their_encoding_are_refused(raw, encoding, words):
    with pytest.raises(ValueError, match=words):
        to_metres(raw, encoding)


@pytest.mark.parametrize('scale', [0.0, -0.001, np.nan, np.inf])
def test_a_senseless_scale_is_refused(scale):
    with pytest.raises(ValueError, match='scale'):
        to_metres(np.ones((2, 2), np.uint16), '16UC1', metres_per_unit=scale)


def test_depth_files_of_each_kind_agree(tmp_path):
    metres = np.array([[np.nan, 0.5], [1.25, 2.0]], np.float32)
    millimetres = np.nan_to_num(metres * 1000).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'depth.png'), millimetres)
    cv2.imwrite(str(tmp_path / 'depth.tiff'), metres)
    np.save(tmp_path / 'depth.npy', metres)
    for name in ('depth.png', 'depth.tiff', 'depth.npy'):
        # float32 of a millimetre count
        np.testing.assert_allclose(read_depth(tmp_path / name), metres, atol=1e-6)
    cv2.imwrite(str(tmp_path / 'tenths.png'), millimetres * 10)
    np.testing.assert_allclose(
        read_depth(tmp_path / 'tenths.png', metres_per_unit=0.0001), metres, atol=1e-6
    )


def test_depth_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such file'):
        read_depth(tmp_path / 'none.png')
    cv2.imwrite(str(tmp_path / 'grey.png'), np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match='uint8, use 16-bit millimetres'):
        read_depth(tmp_path / 'grey.png')
    cv2.imwrite(str(tmp_path / 'colour.png'), np.zeros((4, 4, 3), np.uint16))
    with pytest.raises(ValueError, match='one channel'):
        read_depth(tmp_path / 'colour.png')
    (tmp_path / 'text.npy').write_text('depth')
    with pytest.raises(ValueError, match='not a NumPy array'):
        read_depth(tmp_path / 'text.npy')
