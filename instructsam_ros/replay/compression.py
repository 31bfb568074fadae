# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Zstandard, from Python's own library where that has it."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ['zstd']
