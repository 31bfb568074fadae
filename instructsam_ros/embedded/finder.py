# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Makes message packages importable: `from sensor_msgs.msg import Image`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from instructsam_ros.embedded.interfaces import interface_class
from instructsam_ros.embedded.interfaces.catalogue import packages
from instructsam_ros.embedded.interfaces.message import module_names


class InterfaceFinder(MetaPathFinder, Loader):
    """Finds `package`, `package.msg` and `package.srv`; the classes are made when asked for."""

    def find_spec(self, fullname: str, path: Sequence[str] | None,
                  target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of a message package or of its `msg` or `srv`, else None."""
        package, _, kind = fullname.partition('.')
        kinds = packages().get(package)
        if kinds is None or (kind and kind not in kinds):
            return None
        return ModuleSpec(fullname, self, origin='instructsam_ros.embedded', is_package=True)

    def exec_module(self, module: ModuleType) -> None:
        """Give a `msg` or `srv` module its names."""
        package, _, kind = module.__name__.partition('.')
        module.__doc__ = f'Interfaces of {package}, as defined for ROS 2.'
        if not kind:
            return
        names = module_names(package, kind)

        def find(name: str) -> Any:
            if name not in names:
                raise AttributeError(f'module {module.__name__!r} has no attribute {name!r}')
            found = interface_class(f'{package}/{kind}/{name}')
            setattr(module, name, found)
            return found

        module.__dict__.update(__getattr__=find, __all__=names, __dir__=lambda: names)


def install_finder() -> None:
    """Append the finder to the import system, once; what is installed otherwise is found first."""
    if not any(isinstance(finder, InterfaceFinder) for finder in sys.meta_path):
        # read before the finder is asked for what this imports itself
        packages()
        sys.meta_path.append(InterfaceFinder())
