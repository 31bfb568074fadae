# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where the drawn camera is, and what its topics are called: as a RealSense driver would have it.

TF: world (z up) -> camera_link -> camera_color_frame -> camera_color_optical_frame.
"""

from typing import Any

import numpy as np

from instructsam.tabletop.motion import Motion
from instructsam_ros.bridge.poses import stamped_transform

WORLD_FRAME, LINK_FRAME, COLOR_FRAME = 'world', 'camera_link', 'camera_color_frame'
OPTICAL_FRAME = 'camera_color_optical_frame'

# relative to the camera's namespace
IMAGE, IMAGE_COMPRESSED = 'color/image_raw', 'color/image_raw/compressed'
INFO = 'color/camera_info'
DEPTH = 'aligned_depth_to_color/image_raw'
DEPTH_COMPRESSED = 'aligned_depth_to_color/image_raw/compressedDepth'
DEPTH_INFO = 'aligned_depth_to_color/camera_info'
# relative to the camera's node
TRUE_INSTANCES, TRUE_TARGETS = 'ground_truth/instances', 'ground_truth/targets'

# optical axes (REP-103: z forward, x right, y down) in those of the body (x forward, z up)
_BODY_FROM_OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
# metres; where a D435 has its colour imager
_LINK_FROM_COLOR = np.array([[1, 0, 0, 0], [0, 1, 0, 0.015], [0, 0, 1, 0], [0, 0, 0, 1.0]])
_LINK_FROM_OPTICAL = _LINK_FROM_COLOR @ _BODY_FROM_OPTICAL
_OBJECT_SPEED = 0.03  # m/s, of the object that slides farthest under a camera that stands still


def fixed_transforms(stamp: Any) -> list[Any]:
    """Return the transforms within the camera, as messages for /tf_static."""
    return [
        stamped_transform(_LINK_FROM_COLOR, LINK_FRAME, COLOR_FRAME, stamp),
        stamped_transform(_BODY_FROM_OPTICAL, COLOR_FRAME, OPTICAL_FRAME, stamp),
    ]


def world_transform(pose: Any, stamp: Any, world: str = WORLD_FRAME) -> Any:
    """Return where the camera is; ``pose`` [4, 4] leads from the optical frame to the world."""
    return stamped_transform(pose @ np.linalg.inv(_LINK_FROM_OPTICAL), world, LINK_FRAME, stamp)


def laps_per_second(motion: Motion, speed: float) -> float:
    """Return how fast laps go with the camera at ``speed`` in m/s; 0 if nothing moves."""
    if not motion.is_camera_still:
        return speed / motion.camera_path
    return _OBJECT_SPEED / motion.object_path if motion.slides else 0.0
