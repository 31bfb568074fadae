# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Our messages are found wherever the ROS in use keeps them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from instructsam_ros.bridge import interfaces

REPOSITORY = Path(__file__).resolve().parent.parent
SHOW = ('from instructsam_ros.bridge.interfaces import InstanceArray, Segment; '
        'print(InstanceArray.__module__, Segment.__module__)')


def run_from_source(*folders: Path) -> subprocess.CompletedProcess[str]:
    """Import with the source folder first on the path, as when Python starts in it."""
    path = os.pathsep.join(map(str, (REPOSITORY, *folders)))
    return subprocess.run([sys.executable, '-c', SHOW], env={**os.environ, 'PYTHONPATH': path},
                          cwd=REPOSITORY, capture_output=True, text=True, timeout=60)


def installed_ros(folder: Path, *, messages: bool) -> Path:
    """What a colcon build leaves behind, as far as imports go; its rclpy is empty."""
    files = {'rclpy/__init__.py': ''}
    if messages:
        kinds = {'msg': ('Instance', 'InstanceArray', 'InstructionStatus', 'Target', 'TargetArray'),
                 'srv': ('Segment', 'SetInstruction')}
        files['instructsam_ros/__init__.py'] = ''
        for kind, names in kinds.items():
            files[f'instructsam_ros/{kind}/__init__.py'] = ''.join(
                f'from instructsam_ros.{kind}._{name.lower()} import {name}\n' for name in names)
            for name in names:
                files[f'instructsam_ros/{kind}/_{name.lower()}.py'] = f'class {name}: pass\n'
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_generated_messages_are_found_behind_the_source_folder(tmp_path: Path) -> None:
    done = run_from_source(installed_ros(tmp_path, messages=True))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        'instructsam_ros.msg._instancearray', 'instructsam_ros.srv._segment']


def test_unbuilt_messages_are_named_with_the_mend(tmp_path: Path) -> None:
    done = run_from_source(installed_ros(tmp_path, messages=False))
    assert done.returncode != 0
    assert 'colcon build' in done.stderr.splitlines()[-1]


def test_without_ros_they_come_from_our_own_files() -> None:
    fields = interfaces.InstanceArray.get_fields_and_field_types()
    assert fields['instances'] == 'sequence<instructsam_ros/Instance>'
    assert interfaces.Target.STATUS_LOW_SCORE == 256
    assert interfaces.Segment.Request().image.height == 0
