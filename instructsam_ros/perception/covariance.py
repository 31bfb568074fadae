# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How sure a target's pose is.

The position's error is a sum of independent ones, each along its own direction and as large as
what causes it: depth noise, the pixel, what is hidden, what the shape leaves open, what is cut
off. How much of its cause each error is (``_SHARES``) was fitted to drawn tabletop scenes, with
exact masks and with masks that are off by a pixel or two, so that errors in units of their
covariance are distributed as they should be.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from instructsam_ros.perception.box import LevelBox
from instructsam_ros.perception.level import LevelView
from instructsam_ros.perception.surface import Surface

Array = NDArray[np.float64]


class LevelAccuracy(Enum):
    """Standard deviation of the "up" direction, radians, by where it comes from."""

    GRAVITY = 0.01
    PLANE = 0.05
    NONE = 0.8


# directions of errors: the line of sight, its horizontal part, across, up, the box's x and y, all
_SIGHT, _AWAY, _ACROSS, _UP, _X, _Y, _ALL = range(7)


@dataclass(frozen=True)
class _Share:
    """A standard deviation as a share of the size of what causes it.

    Attributes:
        along: its direction.
        whole: of a single frame.
        white: the part of it that is drawn afresh in every frame.
    """

    along: int
    whole: float
    white: float = 0.0


_SHARES = {
    # of the depth noise: neighbouring pixels share much of it
    'depth': _Share(_SIGHT, 0.095, 0.04),
    # of the depth noise, where it moves the far end over the support: at a slant, much farther
    'far': _Share(_AWAY, 0.333, 0.13),
    # of the pixel: the mask's edge
    'pixel': _Share(_ACROSS, 0.055, 0.03),
    # of the length that was added behind what is seen
    'hidden': _Share(_AWAY, 0.53, 0.04),
    # of the height that was added below: whose foot is hidden hides more of its back, too
    'foot': _Share(_AWAY, 0.073),
    # of the length, as far as the outline leaves its rectangle empty: what tapers or is bent goes
    # on elsewhere than its visible part tells
    'taper': _Share(_AWAY, 0.146),
    'taper across': _Share(_ACROSS, 0.07),
    # of the shorter side, unless it is round: the box may be turned
    'turn': _Share(_ACROSS, 0.017),
    # of the height of cups, bowls and plates: the near rim hides the inside of the far one
    'hollow': _Share(_AWAY, 0.024),
    # of the width of what is hollow and tall: a handle may be hidden, which shifts the middle
    'handle': _Share(_AWAY, 0.116),
    'handle across': _Share(_ACROSS, 0.086),
    # of the heights over which the highest points spread: a rounded top
    'top': _Share(_UP, 0.685, 0.02),
    # the same of a rim
    'rim': _Share(_UP, 0.2, 0.02),
    # of the height, where the top is cut off and what is seen below it is a wall
    'top cut': _Share(_UP, 0.21),
    # of the height, as far as depth is missing: dark and shiny things
    'holes': _Share(_AWAY, 0.06, 0.03),
    'holes across': _Share(_ACROSS, 0.083, 0.02),
    # of 5 cm, where an end is cut off: table-top things are 3 to 25 cm long
    'cut x': _Share(_X, 0.86),
    'cut y': _Share(_Y, 0.86),
    # the same in all horizontal directions: a cut may have turned the axes
    'cut away': _Share(_AWAY, 0.25),
    'cut across': _Share(_ACROSS, 0.25),
    # the same for what is round, since the rest of a circle tells it
    'cut round away': _Share(_AWAY, 0.032),
    'cut round across': _Share(_ACROSS, 0.032),
    # of the largest side, or 5 cm, where no support is in sight: it may go on below
    'hanging': _Share(_UP, 0.5),
    'hanging away': _Share(_AWAY, 0.05),
    # of the height added below that no table-top thing has: that is the floor beyond the table
    'floor': _Share(_UP, 1.0),
    # of 5 cm, where there is little depth
    'sparse': _Share(_ALL, 0.43),
    # of the largest side, where nothing tells which way is up
    'tilt': _Share(_ALL, 0.06),
}
_NAMES = tuple(_SHARES)
# [7, n]: 1 where a share is along a direction
_ALONG = np.eye(_ALL + 1)[:, [share.along for share in _SHARES.values()]]
_WHOLE = np.array([share.whole**2 for share in _SHARES.values()])
_WHITE = np.array([share.white**2 for share in _SHARES.values()])

# m^2: nothing is known better than to 0.1 mm
_LEAST = 1e-8
# metres that may be missing of anything on a table, and that nothing there is higher than
_USUAL = 0.05
_TALLEST = 0.25
# cotangent of the lowest elevation at which sight of a far end means anything
_MOST_SLANT = 5.0
# hollow things are cups when they are higher than this share of their width
_CUP = 0.6
# shares of the points that are lower than the highest ones; a wall's are apart by so much
_HIGHEST, _HIGH = 0.985, 0.95
_WALL = _HIGHEST - _HIGH
_HALF_TURN_DEVIATION = np.pi / np.sqrt(12)


def pose_covariance(
    box: LevelBox,
    view: LevelView,
    surface: Surface,
    rotation: Array,
    accuracy: LevelAccuracy,
    sigma: float,
    supported: bool,
    sparse: bool,
) -> tuple[Array, Array]:
    """Return the covariance of a box's pose in the optical frame, and its persistent part.

    The covariance [6, 6] is that of x, y, z and the rotation about the three axes (m, rad); the
    persistent part [3, 3] (m^2), no larger than the position's, is what the next frames of the
    same viewpoint share, so that their mean is no surer. ``rotation`` [3, 3] maps the optical to
    the level frame of ``box`` and ``view``; ``accuracy`` is its own; ``sigma`` is the
    depth noise in metres. ``supported``: what the object stands on was found; ``sparse``: there is
    too little depth for much.

    Rotation: the "up" direction's accuracy, and a yaw that is worth what depth noise and pixel
    leave of the longer side; unknown where both sides are equal.
    """
    axes = _directions(box, view)
    causes = _causes(box, view, surface, axes, sigma, accuracy, supported, sparse)
    sizes = np.array([causes.get(name, 0.0) for name in _NAMES])
    squares = sizes * sizes
    whole, lasting = _ALONG @ (_WHOLE * squares), _ALONG @ ((_WHOLE - _WHITE) * squares)
    turned = rotation.T @ axes
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = _summed(turned, whole) + _LEAST * np.eye(3)
    longer, shorter = max(box.size[0], 1e-4), box.size[1]
    distinct = max(1 - shorter / longer, 0.0)
    edge = np.hypot(sigma, surface.spacing) / longer
    yaw = min(edge / max(distinct, 1e-3), _HALF_TURN_DEVIATION)
    level = np.array([accuracy.value**2, accuracy.value**2, yaw**2])
    covariance[3:, 3:] = (rotation.T * level) @ rotation
    return covariance, _summed(turned, lasting)


def _causes(
    box: LevelBox,
    view: LevelView,
    surface: Surface,
    axes: Array,
    sigma: float,
    accuracy: LevelAccuracy,
    supported: bool,
    sparse: bool,
) -> dict[str, float]:
    """Return the sizes in metres of what causes errors, by the names of ``_SHARES``."""
    side, longer, height = float(box.size[:2].min()), float(box.size[:2].max()), float(box.size[2])
    largest = max(longer, height)
    cosine, sine = float(np.hypot(axes[0, _SIGHT], axes[1, _SIGHT])), -float(axes[2, _SIGHT])
    added = float(np.abs(axes[:2, _AWAY] @ axes[:2, [_X, _Y]]) @ box.guessed[:2])
    last = view.ordered.shape[1] - 1
    highest, high = view.ordered[2, [int(_HIGHEST * last), int(_HIGH * last)]]
    spread = float(highest - high)
    holes = (1 - surface.valid_ratio) * height
    causes = {
        'depth': sigma,
        'far': sigma * min(cosine / max(sine, 1e-3), _MOST_SLANT),
        'pixel': surface.spacing,
        'foot': float(box.guessed[2]),
        'rim' if box.hollow else 'top': spread,
        'holes': holes,
        'holes across': holes,
        'tilt': largest if accuracy is LevelAccuracy.NONE else 0.0,
    }
    # what seems round, has a handle and is no cup is a part of something else
    is_round = box.is_round and (box.hollow or not box.directed)
    if is_round:
        if box.hollow:
            causes['hollow'] = height
            # a handle that is seen gives a round box its direction
            if height > _CUP * side and not box.directed:
                causes['handle'] = causes['handle across'] = side
    else:
        taper = (1 - box.fill) * longer
        causes |= {'hidden': added, 'turn': side, 'taper': taper, 'taper across': taper}
    if box.cut.any():
        x, y, _ = _USUAL * np.hypot(box.cut[:, 0], box.cut[:, 1])
        missing = float(np.hypot(x, y))
        if is_round:
            causes['cut round away'] = causes['cut round across'] = missing
        else:
            causes |= {'cut x': x, 'cut y': y, 'cut away': missing, 'cut across': missing}
        wall = min(spread / (_WALL * height), 1.0)
        causes['top cut'] = height * float(box.cut[2, 1] * wall) ** 2
    if not supported:
        causes['hanging'] = causes['hanging away'] = max(largest, _USUAL)
    if box.guessed[2] > _TALLEST:
        causes['floor'] = float(box.guessed[2]) - _TALLEST
    if sparse:
        causes['sparse'] = _USUAL
    return causes


def _directions(box: LevelBox, view: LevelView) -> Array:
    """Unit vectors [3, 6] of the directions of errors in the level frame, one per column."""
    # the camera is the origin of the level frame
    x, y, z = view.middle
    flat = float(np.hypot(x, y))
    length = max(float(np.hypot(flat, z)), 1e-9)
    # seen from straight above, any direction is away
    away = (x / flat, y / flat) if flat > 1e-6 * length else (1.0, 0.0)
    along = box.axis
    return np.array([
        [x / length, away[0], -away[1], 0.0, along[0], -along[1]],
        [y / length, away[1], away[0], 0.0, along[1], along[0]],
        [z / length, 0.0, 0.0, 1.0, 0.0, 0.0],
    ])


def _summed(axes: Array, variances: Array) -> Array:
    """Covariance [3, 3] of independent errors along axes [3, 6], and in all directions."""
    total: Array = (axes * variances[:_ALL]) @ axes.T + variances[_ALL] * np.eye(3)
    return total
