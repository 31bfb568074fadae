# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Transforms: messages and matrices (see ``poses``), and lookups that say what is wrong."""

import time
from typing import Any

import numpy as np
import tf2_ros
import yaml
from builtin_interfaces.msg import Time
from numpy.typing import NDArray

from instructsam_ros.bridge.poses import (
    matrix_to_pose,
    matrix_to_transform,
    pose_to_matrix,
    stamped_transform,
    transform_to_matrix,
)

__all__ = [
    'TransformSource',
    'TransformUnavailable',
    'matrix_to_pose',
    'matrix_to_transform',
    'pose_to_matrix',
    'stamped_transform',
    'transform_to_matrix',
]

Array = NDArray[np.float64]

# seconds between looks while waiting; a lookup that fails costs some ten microseconds
_PATIENCE = 0.002
# farther apart than any buffer or delay: two different clocks
_OTHER_CLOCK = 60.0


class TransformUnavailable(Exception):  # noqa: N818  (what it says is no error of the program)
    """TF does not know the way, or not at that time; the text says what to do about it.

    Attributes:
        kind: 'unknown_frame', 'disconnected', 'too_new', 'too_old', 'no_data' or 'invalid', to
            report each kind once.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class TransformSource:
    """Poses from a TF buffer, with errors that name the frame, the time and the mend."""

    def __init__(self, buffer: tf2_ros.Buffer) -> None:
        self._buffer = buffer

    def pose(self, target: str, source: str, stamp: Time, timeout_s: float = 0.0) -> Array:
        """Return [4, 4] that maps points of frame ``source`` to frame ``target`` at ``stamp``.

        ``stamp`` is a message or rclpy time; zero means the newest. Waits up to ``timeout_s``
        seconds of real time for data: not to be called on the thread that feeds the buffer.
        Raises TransformUnavailable.
        """
        if target == source:
            return np.eye(4)
        deadline = time.monotonic() + timeout_s
        while not self._buffer.can_transform(target, source, stamp):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(_PATIENCE, left))
        try:
            found = self._buffer.lookup_transform(target, source, stamp)
        except tf2_ros.TransformException as error:
            raise self._explained(error, target, source, stamp) from None
        return transform_to_matrix(found.transform)

    def _explained(
        self, error: Exception, target: str, source: str, stamp: Time
    ) -> TransformUnavailable:
        way = f"no transform from '{source}' to '{target}'"
        if isinstance(error, tf2_ros.InvalidArgumentException):
            return TransformUnavailable(
                'invalid', f"{way}: frame names are not empty and do not start with '/'"
            )
        if isinstance(error, tf2_ros.ExtrapolationException):
            return self._outside(way, target, source, stamp)
        frames = _frames(self._buffer)
        missing = [name for name in (source, target) if name not in frames]
        if isinstance(error, tf2_ros.LookupException) and missing:
            names = ' and '.join(f"'{name}'" for name in missing)
            known = ', '.join(sorted(frames)) or 'none at all'
            return TransformUnavailable(
                'unknown_frame',
                f'{way}: {names} is not in TF (known frames: {known}); start what publishes it, '
                'or correct the name',
            )
        if not isinstance(error, tf2_ros.ConnectivityException):
            return TransformUnavailable('invalid', f'{way}: {error}')
        return TransformUnavailable(
            'disconnected',
            f'{way}: both are in TF, but nothing connects them; start what publishes the '
            'transform between their trees',
        )

    def _outside(self, way: str, target: str, source: str, stamp: Time) -> TransformUnavailable:
        """Say how far the stamp lies outside of what TF has."""
        asked = _seconds(stamp)
        try:
            newest = _seconds(self._buffer.get_latest_common_time(target, source))
        except tf2_ros.TransformException:
            newest = 0.0
        way = f'{way} at {asked:.3f} s'
        if newest == 0.0:
            return TransformUnavailable(
                'no_data', f'{way}: too little data so far; wait for what publishes it'
            )
        apart = asked - newest
        if abs(apart) > _OTHER_CLOCK:
            return TransformUnavailable(
                'too_new' if apart > 0 else 'too_old',
                f'{way}: the newest there is at {newest:.3f} s, {abs(apart):.0f} s apart; stamps '
                'and TF use different clocks: set `use_sim_time` alike, or synchronise the '
                "machines' clocks",
            )
        if apart > 0:
            return TransformUnavailable(
                'too_new',
                f'{way}: the newest there is {1000 * apart:.0f} ms older; raise `tf_timeout` '
                'above that, or publish TF sooner',
            )
        return TransformUnavailable(
            'too_old',
            f'{way}: TF goes on to {newest:.3f} s, but does not reach back to that; the image is '
            f'{-1000 * apart:.0f} ms older than the newest transform: it comes late, or what '
            'publishes TF started after it',
        )


def _seconds(stamp: Any) -> float:
    if hasattr(stamp, 'nanoseconds'):
        return float(stamp.nanoseconds * 1e-9)
    return float(stamp.sec + stamp.nanosec * 1e-9)


def _frames(buffer: tf2_ros.Buffer) -> set[str]:
    """All frames of a buffer, the roots of its trees too."""
    listed = yaml.safe_load(buffer.all_frames_as_yaml()) or {}
    if not isinstance(listed, dict):
        return set()
    children = {str(name) for name in listed}
    return children | {str(entry['parent']) for entry in listed.values()}
