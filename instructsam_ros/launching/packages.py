# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where packages keep their files and executables, with ROS 2 and without."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = 'instructsam_ros'
_CODE = Path(__file__).absolute().parent.parent


class PackageMissingError(LookupError):
    """A package or an executable that is not on this machine; says what to do."""


def package_share(package: str, environment: Mapping[str, str] | None = None) -> Path:
    """Return a package's share folder: launch files, configurations, definitions.

    Our own is found without ROS 2 too. Raises PackageMissingError.
    """
    if package == PACKAGE:
        for folder in _own_shares():
            if (folder / 'package.xml').is_file():
                return folder
    return package_prefix(package, environment) / 'share' / package


def package_prefix(package: str, environment: Mapping[str, str] | None = None) -> Path:
    """Return the folder that a package of ROS 2 is installed to. Raises PackageMissingError."""
    prefixes = list(_prefixes(environment))
    for prefix in prefixes:
        if (prefix / 'share/ament_index/resource_index/packages' / package).exists():
            return prefix
    if package == PACKAGE:
        raise PackageMissingError(
            f'the files of {PACKAGE} are not on this machine: install the package again')
    if not prefixes:
        raise PackageMissingError(
            f"package '{package}' belongs to ROS 2, and no ROS 2 is sourced in this shell: "
            'source its setup.bash, or leave out what needs it')
    raise PackageMissingError(
        f"package '{package}' is not installed: try sudo apt install "
        f"ros-{os.environ.get('ROS_DISTRO', 'jazzy')}-{package.replace('_', '-')}")


def package_command(
    package: str, executable: str, environment: Mapping[str, str] | None = None
) -> list[str]:
    """Return the command that runs an executable of a package. Raises PackageMissingError."""
    if package == PACKAGE:
        return node_command(executable)
    path = package_prefix(package, environment) / 'lib' / package / executable
    if not os.access(path, os.X_OK):
        raise PackageMissingError(f"package '{package}' has no executable '{executable}' ({path})")
    return [str(path)]


def node_command(name: str) -> list[str]:
    """Return the command that runs one of our own nodes, with the Python that runs now."""
    if name not in node_names():
        raise PackageMissingError(
            f"{PACKAGE} has no node '{name}': there are {', '.join(node_names())}")
    return [sys.executable, '-m', f'{PACKAGE}.nodes.{name}']


def node_names() -> list[str]:
    """Return the names of our own nodes, which are modules with an executable of their own."""
    return sorted(path.stem for path in (_CODE / 'nodes').glob('*_node.py'))


def python_path(environment: Mapping[str, str]) -> str:
    """Return a PYTHONPATH with which a child process finds what this process has found.

    What is not installed is appended, so that an order that ROS 2 has set stays as it is.
    """
    found = [one for one in environment.get('PYTHONPATH', '').split(os.pathsep) if one]
    installed = {sysconfig.get_path('purelib'), sysconfig.get_path('platlib')}
    roots = [str(_CODE.parent)]
    if (_CODE.parent / 'model' / 'instructsam').is_dir():
        roots.append(str(_CODE.parent / 'model'))
    found += [root for root in roots if root not in installed and root not in found]
    return os.pathsep.join(found)


def _own_shares() -> Iterator[Path]:
    yield _CODE.parent
    share = f'share/{PACKAGE}'
    for prefix in _prefixes(None):
        yield prefix / share
    yield Path(sysconfig.get_path('data')) / share
    yield Path(sys.prefix) / share
    if base := site.getuserbase():
        yield Path(base) / share


def _prefixes(environment: Mapping[str, str] | None) -> Iterator[Path]:
    text = (os.environ if environment is None else environment).get('AMENT_PREFIX_PATH', '')
    yield from (Path(one) for one in text.split(os.pathsep) if one)
