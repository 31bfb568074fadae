# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Finds out what on this machine works and what is missing, with the mend for each."""
