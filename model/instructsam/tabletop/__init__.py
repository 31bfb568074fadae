# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A synthetic tabletop world: scenes, frames with ground truth, and instructions about them."""
