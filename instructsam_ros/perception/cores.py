# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How many processor cores a network may take."""

import os


def spare_a_core() -> None:
    """Leave one core for pictures, services and recording; call it before a model is loaded.

    Threads of a network that wait for each other on a core that is taken lose more than one of
    them gains. An OMP_NUM_THREADS that is set stays.
    """
    cores = len(os.sched_getaffinity(0))
    os.environ.setdefault('OMP_NUM_THREADS', str(max(cores - 1, 1)))
