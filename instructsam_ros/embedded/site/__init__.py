# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The client library's importable packages: this folder goes on the import path."""
