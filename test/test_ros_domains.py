# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS domains of tests that run side by side."""

from __future__ import annotations

import itertools

import conftest
import pytest


@pytest.mark.parametrize('workers', [1, 2, 3, 4])
def test_workers_have_domains_of_their_own(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setenv('PYTEST_XDIST_WORKER_COUNT', str(workers))
    found = []
    for worker in range(workers):
        monkeypatch.setenv('PYTEST_XDIST_WORKER', f'gw{worker}')
        own = set(itertools.islice(conftest._own_domains(), 200))
        # and the domain after each is free for a test's second one
        found += [*own, *(one + 1 for one in own)]
    assert len(set(found)) == len(found) and set(found) == set(range(1, 101))
