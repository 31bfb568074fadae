# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Our own messages and services, wherever the ROS 2 in use keeps them.

A colcon build puts the generated modules into the installed ``instructsam_ros`` package. Python
may have found this package in the source folder instead (its first path entry), where they are
not; then the installed package is added to the places in which submodules are looked for.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import instructsam_ros


def _join_generated_package() -> None:
    """Let submodules be found in every installed ``instructsam_ros`` that has messages."""
    for entry in sys.path:
        folder = Path(entry or '.') / 'instructsam_ros'
        if (folder / 'msg' / '__init__.py').is_file():
            place = str(folder.resolve())
            if place not in instructsam_ros.__path__:
                instructsam_ros.__path__.append(place)


if find_spec('instructsam_ros.msg') is None:
    _join_generated_package()
    if find_spec('instructsam_ros.msg') is None:
        raise ImportError(
            'the messages of instructsam_ros are not built for this ROS 2: run "colcon build" and '
            'source install/setup.bash, or use a shell in which no ROS 2 is sourced'
        )

from instructsam_ros.msg import (  # noqa: E402
    Instance,
    InstanceArray,
    InstructionStatus,
    Target,
    TargetArray,
)
from instructsam_ros.srv import Segment, SetInstruction  # noqa: E402

__all__ = [
    'Instance',
    'InstanceArray',
    'InstructionStatus',
    'Segment',
    'SetInstruction',
    'Target',
    'TargetArray',
]
