# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags: reading and writing them, running the pipeline over them, judging the results."""

from instructsam_ros.ros import provide_ros

provide_ros()
