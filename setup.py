# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which files `pip install` installs; the metadata is in pyproject.toml.

A colcon build does not use this file: CMakeLists.txt installs the same things.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
SHARE = 'share/instructsam_ros'


def version() -> str:
    """Return the version in package.xml, the only place where it is written."""
    text = ElementTree.parse(ROOT / 'package.xml').getroot().findtext('version')
    if text is None:
        raise ValueError('package.xml has no <version>')
    return text.strip()


def files(pattern: str) -> list[str]:
    """Return the matching files, relative to the source folder as setuptools wants them."""
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob(pattern))


setup(
    version=version(),
    packages=[
        *find_packages('model', include=['instructsam', 'instructsam.*']),
        *find_packages('.', include=['instructsam_ros', 'instructsam_ros.*']),
        # Not Python, but inside the package is where the weights are looked for once installed.
        'instructsam.checkpoints',
    ],
    package_dir={
        'instructsam': 'model/instructsam',
        'instructsam.checkpoints': 'model/checkpoints',
        'instructsam_ros': 'instructsam_ros',
    },
    package_data={
        'instructsam': ['py.typed', '**/*.yaml', '**/*.json', '**/*.txt'],
        'instructsam.checkpoints': ['*/*'],
        'instructsam_ros': ['py.typed', '**/*.yaml', '**/*.json', '**/*.txt', '**/*.jinja'],
    },
    include_package_data=False,
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/instructsam_ros']),
        (SHARE, ['package.xml']),
        (f'{SHARE}/msg', files('msg/*.msg')),
        (f'{SHARE}/srv', files('srv/*.srv')),
        (f'{SHARE}/launch', files('launch/*.yaml')),
        (f'{SHARE}/config', files('config/*')),
    ],
)
