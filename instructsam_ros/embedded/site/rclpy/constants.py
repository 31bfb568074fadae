# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Numbers."""

S_TO_NS = 1000 * 1000 * 1000
