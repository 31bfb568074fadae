# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of ``instructsam-ros``: one module each, with ``add_parser`` and ``run``."""
