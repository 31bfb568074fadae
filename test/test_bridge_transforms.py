# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Poses from TF: messages and matrices, waiting, and errors that say what to do."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from instructsam_ros.bridge.poses import (
    matrix_to_pose,
    matrix_to_transform,
    pose_to_matrix,
    rotation_of,
    stamped_transform,
    transform_to_matrix,
)
from instructsam_ros.bridge.transforms import TransformSource, TransformUnavailable

from builtin_interfaces.msg import Time as TimeMessage  # isort: skip
from geometry_msgs.msg import Quaternion  # isort: skip
from rclpy.duration import Duration  # isort: skip
from rclpy.time import Time  # isort: skip
from tf2_ros import Buffer  # isort: skip

quaternions = st.tuples(*[st.floats(-1, 1)] * 4).filter(
    lambda q: math.sqrt(sum(v * v for v in q)) > 0.1)


@given(quaternions)
def test_quaternions_and_matrices(q: tuple[float, ...]) -> None:
    message = Quaternion(**dict(zip('xyzw', q, strict=True)))
    # float64; of any length
    np.testing.assert_allclose(rotation_of(message), Rotation.from_quat(q).as_matrix(), atol=1e-12)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation_of(message), (1, 2, 3)
    np.testing.assert_allclose(transform_to_matrix(matrix_to_transform(matrix)), matrix, atol=1e-12)
    pose = matrix_to_pose(matrix)
    np.testing.assert_allclose(pose_to_matrix(pose), matrix, atol=1e-12)
    assert pose.orientation.w >= 0


@pytest.mark.parametrize('w', [0.0, math.nan, math.inf])
def test_no_rotation(w: float) -> None:
    with pytest.raises(ValueError, match='is no rotation'):
        rotation_of(Quaternion(x=0.0, y=0.0, z=0.0, w=w))


def at(seconds: float) -> TimeMessage:
    return Time(nanoseconds=round(seconds * 1e9)).to_msg()


def shifted(x: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[0, 3] = x
    return matrix


def source_of(*links: tuple[str, str, float, float], cache: float = 10.0) -> TransformSource:
    buffer = Buffer(cache_time=Duration(seconds=cache))
    for parent, child, seconds, x in links:
        buffer.set_transform(stamped_transform(shifted(x), parent, child, at(seconds)), 'test')
    return TransformSource(buffer)


def reason(source: TransformSource, target: str, frame: str, seconds: float) -> tuple[str, str]:
    with pytest.raises(TransformUnavailable) as caught:
        source.pose(target, frame, at(seconds))
    return caught.value.kind, str(caught.value)


def test_the_pose_is_that_at_the_stamp() -> None:
    source = source_of(('map', 'eye', 1.0, 0.0), ('map', 'eye', 2.0, 4.0))
    np.testing.assert_allclose(source.pose('map', 'eye', at(1.25)), shifted(1.0))
    np.testing.assert_allclose(source.pose('eye', 'map', at(1.25)), shifted(-1.0))
    np.testing.assert_allclose(source.pose('map', 'eye', Time(seconds=2)), shifted(4.0))
    np.testing.assert_allclose(source.pose('map', 'eye', at(0.0)), shifted(4.0))
    np.testing.assert_array_equal(source.pose('moon', 'moon', at(1.0)), np.eye(4))


def test_unknown_frames_are_named_beside_the_known() -> None:
    source = source_of(('map', 'eye', 1.0, 0.0))
    kind, text = reason(source, 'odom', 'eye', 1.0)
    assert kind == 'unknown_frame'
    assert "from 'eye' to 'odom'" in text and "'odom' is not in TF" in text
    assert 'known frames: eye, map' in text
    kind, text = reason(source, 'odom', 'nose', 1.0)
    assert "'nose' and 'odom'" in text
    assert 'none at all' in reason(source_of(), 'map', 'eye', 1.0)[1]


def test_separate_trees() -> None:
    source = source_of(('map', 'eye', 1.0, 0.0), ('sky', 'moon', 1.0, 0.0))
    kind, text = reason(source, 'sky', 'eye', 1.0)
    assert kind == 'disconnected' and 'nothing connects' in text


def test_a_loop_is_not_taken_for_a_missing_frame() -> None:
    source = source_of(('a', 'b', 1.0, 0.0), ('b', 'a', 1.0, 0.0), ('map', 'eye', 1.0, 0.0))
    kind, text = reason(source, 'map', 'a', 1.0)
    assert kind == 'invalid' and 'loop' in text


def test_how_far_a_stamp_is_outside() -> None:
    source = source_of(('map', 'eye', 100.0, 0.0), ('map', 'eye', 104.0, 0.0))
    kind, text = reason(source, 'map', 'eye', 104.25)
    assert kind == 'too_new' and '250 ms older' in text and 'tf_timeout' in text
    kind, text = reason(source, 'map', 'eye', 99.5)
    assert kind == 'too_old' and '4500 ms older than the newest' in text
    for seconds, expected in ((1000.0, 'too_new'), (3.0, 'too_old')):
        kind, text = reason(source, 'map', 'eye', seconds)
        assert kind == expected and 'use_sim_time' in text


def test_no_data_and_no_names() -> None:
    source = source_of(('map', 'eye', 1.0, 0.0))
    source._buffer.clear()
    kind, text = reason(source, 'map', 'eye', 1.0)
    assert kind == 'no_data' and 'wait' in text
    for name in ('', '/eye'):
        kind, text = reason(source, 'map', name, 1.0)
        assert kind == 'invalid' and "start with '/'" in text


def test_it_waits_for_the_transform_and_no_longer() -> None:
    source = source_of(('map', 'eye', 1.0, 0.0))
    late = stamped_transform(shifted(2.0), 'map', 'eye', at(2.0))
    threading.Timer(0.1, source._buffer.set_transform, (late, 'test')).start()
    begin = time.monotonic()
    np.testing.assert_allclose(source.pose('map', 'eye', at(1.5), 20.0), shifted(1.0))
    # it comes after 0.1 s; the rest is for a busy machine
    assert 0.09 < time.monotonic() - begin < 10
    begin = time.monotonic()
    with pytest.raises(TransformUnavailable):
        source.pose('map', 'eye', at(3.0), 0.1)
    assert 0.09 < time.monotonic() - begin < 10
