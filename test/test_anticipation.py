# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Waiting for a frame that is about to come: what it gains, what it costs, when it never waits."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam_ros.perception.anticipation import SHARE, Anticipation


class Run:
    """Frames that come and a worker that always takes the newest, in simulated seconds.

    Attributes:
        ages: of the frames as they were taken.
        waits: seconds, one per frame.
        worked: seconds in all.
    """

    def __init__(self, arrivals, work, longest):
        anticipation = Anticipation(longest)
        coming = iter([*arrivals, np.inf])
        following = next(coming)
        now = newest = taken = -np.inf
        self.ages, self.waits, self.worked = [], [], 0.0
        while True:
            while following <= now:
                newest, following = following, next(coming)
                anticipation.arrived(newest)
            if newest == taken:
                if following == np.inf:
                    return
                now = following
                continue
            wait = 0.0
            # one that came while the worker was free is taken as it comes
            if newest < now:
                wait = min(anticipation.wait(now), following - now)
            if wait:
                anticipation.waited(wait)
                now += wait
                if following <= now:
                    newest, following = following, next(coming)
                    anticipation.arrived(newest)
            taken = newest
            self.ages.append(now - newest)
            self.waits.append(wait)
            anticipation.worked(work)
            self.worked += work
            now += work

    @property
    def duration(self):
        return self.worked + sum(self.waits)


def arrivals(period, count, jitter=0.0, lost=0.0, seed=0):
    random = np.random.default_rng(seed)
    times = period * np.arange(count) + random.exponential(jitter or 1e-9, count)
    return np.maximum.accumulate(times)[random.random(count) >= lost]


@pytest.mark.parametrize('work', [0.06, 0.093, 0.12])
def test_the_oldest_frames_get_younger_at_little_cost(work):
    frames = arrivals(1 / 30, 3000, jitter=0.001)
    without, waiting = Run(frames, work, 0.0), Run(frames, work, 0.015)
    assert not any(without.waits)
    # without, any age up to one period is equally likely
    assert np.percentile(without.ages, 95) == pytest.approx(0.95 / 30, abs=0.002)
    assert np.mean(waiting.ages) < 0.75 * np.mean(without.ages)
    # the last 5 ms of the period, less 1 ms that frames may be late
    assert np.percentile(waiting.ages, 95) < np.percentile(without.ages, 95) - 0.004
    assert len(waiting.ages) > (1 - SHARE) * len(without.ages) - 1


@settings(deadline=None, max_examples=30)
@given(
    period=st.floats(0.004, 0.5), work=st.floats(0.005, 1.0), longest=st.floats(0.0, 0.1),
    jitter=st.floats(0.0, 0.5), lost=st.floats(0.0, 0.7), seed=st.integers(0, 99))
def test_waiting_never_costs_more_than_its_share(period, work, longest, jitter, lost, seed):
    run = Run(arrivals(period, 300, jitter * period, lost, seed), work, longest)
    assert max(run.waits) <= longest
    for waited, taken in zip(itertools.accumulate(run.waits), range(1, 400), strict=False):
        assert waited <= SHARE * taken * work + 1e-9


def test_a_camera_slower_than_the_worker_is_not_waited_for():
    run = Run(arrivals(0.1, 300, jitter=0.002), 0.06, 0.1)
    assert not any(run.waits)
    assert max(run.ages) == 0.0


def test_a_camera_that_stops_costs_one_short_wait_at_most():
    frames = arrivals(0.03, 200)
    for stop in np.linspace(0, 0.1, 60):
        run = Run(frames[frames < 5 + stop], 0.1, 0.015)
        in_vain = [wait for wait, age in zip(run.waits, run.ages, strict=True) if wait and age]
        assert len(in_vain) <= 1
        assert sum(in_vain) <= 0.015


def learned(period=0.03, longest=0.015, work=10.0):
    """One that has seen frames every ``period`` s, the last at 0, and has all that it may spend."""
    anticipation = Anticipation(longest)
    for k in range(-9, 1):
        anticipation.arrived(k * period)
    anticipation.worked(work)
    return anticipation


def test_it_waits_only_for_what_is_near_and_not_overdue():
    anticipation = learned()
    assert anticipation.wait(0.001) == 0.0
    assert anticipation.wait(0.015) == 0.0
    # 5 ms to go, and some more for one that is late
    assert 0.005 < anticipation.wait(0.025) < 0.015
    assert 0.0 < anticipation.wait(0.032) < 0.01
    assert anticipation.wait(0.04) == 0.0
    assert anticipation.wait(3.0) == 0.0


def test_it_does_not_wait_before_it_knows_the_camera_nor_when_told_not_to():
    assert Anticipation(0.015).wait(0.0) == 0.0
    fresh = Anticipation(0.015)
    fresh.worked(10.0)
    fresh.arrived(0.0)
    fresh.arrived(0.03)
    assert fresh.wait(0.055) == 0.0
    anticipation = learned()
    assert anticipation.wait(0.025)
    anticipation.longest = 0.0
    assert anticipation.wait(0.025) == 0.0


def test_what_was_spent_must_be_earned_again():
    anticipation = learned()
    anticipation.waited(0.015)
    assert anticipation.wait(0.025) == 0.0
    anticipation.worked(0.2)
    # 3 % of it are 6 ms: not enough for 5 ms and a late frame
    assert anticipation.wait(0.025) == 0.0
    assert 0.0 < anticipation.wait(0.029) <= 0.006
    anticipation.worked(0.2)
    assert anticipation.wait(0.025)


def test_a_new_rate_is_learned_within_a_few_frames():
    anticipation = learned()
    for k in range(1, 7):
        anticipation.arrived(0.1 * k)
    assert anticipation.wait(0.6 + 0.025) == 0.0
    assert anticipation.wait(0.6 + 0.099)
