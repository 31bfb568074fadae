# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms as a translation and a unit quaternion (x, y, z, w), in plain numbers.

NumPy would take longer on its arguments than on the four numbers.
"""

import math
from typing import NamedTuple

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


class Rigid(NamedTuple):
    """Maps a point p to rotation * p + translation."""

    translation: Vector
    rotation: Quaternion

    def after(self, first: 'Rigid') -> 'Rigid':
        """Return the transform that does ``first``, then this one."""
        x, y, z = rotate(self.rotation, first.translation)
        tx, ty, tz = self.translation
        return Rigid((x + tx, y + ty, z + tz), multiply(self.rotation, first.rotation))

    def inverse(self) -> 'Rigid':
        """Return the transform that undoes this one."""
        x, y, z, w = self.rotation
        back = (-x, -y, -z, w)
        tx, ty, tz = self.translation
        return Rigid(rotate(back, (-tx, -ty, -tz)), back)


IDENTITY = Rigid((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Return the rotation ``b``, then ``a``."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def rotate(q: Quaternion, v: Vector) -> Vector:
    """Return the vector ``v`` turned by the unit quaternion ``q``."""
    x, y, z, w = q
    vx, vy, vz = v
    # v + 2 w (u x v) + 2 u x (u x v), u the vector part
    cx, cy, cz = 2 * (y * vz - z * vy), 2 * (z * vx - x * vz), 2 * (x * vy - y * vx)
    return (
        vx + w * cx + y * cz - z * cy,
        vy + w * cy + z * cx - x * cz,
        vz + w * cz + x * cy - y * cx,
    )


def normalised(q: Quaternion) -> Quaternion:
    """Return the quaternion with length one."""
    length = math.sqrt(sum(value * value for value in q))
    x, y, z, w = q
    return (x / length, y / length, z / length, w / length)


def interpolated(one: Rigid, two: Rigid, ratio: float) -> Rigid:
    """Return what lies between: straight for the translation, slerp the short way for the rest."""
    ax, ay, az = one.translation
    bx, by, bz = two.translation
    translation = (
        ax + ratio * (bx - ax),
        ay + ratio * (by - ay),
        az + ratio * (bz - az),
    )
    return Rigid(translation, _slerp(one.rotation, two.rotation, ratio))


def _slerp(one: Quaternion, two: Quaternion, ratio: float) -> Quaternion:
    dot = sum(a * b for a, b in zip(one, two, strict=True))
    # q and -q are the same rotation
    sign = -1.0 if dot < 0 else 1.0
    angle = math.acos(min(abs(dot), 1.0))
    if angle < 1e-6:
        first, second = 1 - ratio, ratio
    else:
        first = math.sin((1 - ratio) * angle) / math.sin(angle)
        second = math.sin(ratio * angle) / math.sin(angle)
    ax, ay, az, aw = one
    bx, by, bz, bw = two
    second *= sign
    return normalised((
        first * ax + second * bx,
        first * ay + second * by,
        first * az + second * bz,
        first * aw + second * bw,
    ))
