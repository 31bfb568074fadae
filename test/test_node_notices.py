# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Lasting troubles are told once; delays and rates are measured right."""

import math

import pytest

from instructsam_ros.nodes.notices import Notices
from instructsam_ros.nodes.statistics import Rates, RecentDelays


class Log:
    def __init__(self):
        self.now = 100.0
        self.warned = []
        self.informed = []
        self.notices = Notices(self.warned.append, self.informed.append, lambda: self.now)


def test_a_trouble_is_told_once_although_its_numbers_vary():
    log = Log()
    for millisecond in range(1000):
        log.now += 0.033
        log.notices.report('depth', f'stamps miss each other by {millisecond}.5 ms')
    assert log.warned == ['stamps miss each other by 0.5 ms']
    # the newest figures are for diagnostics
    assert log.notices.current('depth') == {'depth': 'stamps miss each other by 999.5 ms'}


def test_another_cause_of_the_same_kind_is_told_but_not_without_end():
    log = Log()
    log.notices.report('depth', 'wrong size')
    log.notices.report('depth', 'wrong encoding')
    assert log.warned == ['wrong size', 'wrong encoding']
    for letter in 'abcdefgh':
        log.notices.report('depth', f'cause {letter}')
        log.notices.report('depth', 'wrong size')
    assert len(log.warned) == 5


def test_the_end_is_told_once_and_the_next_beginning_again():
    log = Log()
    log.notices.report('TF', 'no TF')
    log.now += 10.0
    log.notices.report('TF', 'no TF')
    log.now += 2.0
    log.notices.fine('TF', 'TF is back')
    log.notices.fine('TF', 'TF is back')
    assert log.informed == ['TF is back (after 12 s)']
    assert log.notices.current('TF') == {}
    log.notices.report('TF', 'no TF')
    assert log.warned == ['no TF', 'no TF']


def test_a_trouble_that_comes_and_goes_with_every_frame_is_one_trouble():
    log = Log()
    for frame in range(300):
        log.now += 0.033
        if frame % 2:
            log.notices.report('image', 'broken image')
        else:
            log.notices.fine('image', 'fine again')
    assert (len(log.warned), len(log.informed)) == (1, 0)


def test_forgotten_troubles_end_without_a_word_and_kinds_are_separate():
    log = Log()
    log.notices.report('TF', 'no TF')
    log.notices.report('image', 'no image')
    log.notices.forget('TF', 'unknown')
    assert log.notices.current('TF', 'image') == {'image': 'no image'}
    log.now += 5
    log.notices.fine('TF', 'TF is back')
    assert log.informed == []


def test_delays_are_those_of_the_last_hundred():
    delays = RecentDelays()
    assert math.isnan(delays.summary().median)
    for number in range(150):
        delays.add(number / 100)
    # 0.50 to 1.49 are left
    assert delays.summary().median == pytest.approx(1.0)
    assert delays.summary().greatest == pytest.approx(1.49)
    delays.clear()
    assert math.isnan(delays.summary().greatest)


def test_rates_are_per_second_between_looks():
    now = [10.0]
    rates = Rates(['images', 'drops'], lambda: now[0])
    now[0] = 12.0
    assert rates.update(images=60, drops=0) == {'images': 30.0, 'drops': 0.0}
    now[0] = 13.0
    assert rates.update(images=75, drops=5) == {'images': 15.0, 'drops': 5.0}
