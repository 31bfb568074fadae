# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""InstructSAM: a frame and an instruction in words become instance masks (arXiv 2605.26102)."""
