# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training: one trainer, two recipes (from scratch on the tabletop, fine-tuning as published)."""
