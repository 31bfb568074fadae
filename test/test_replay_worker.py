# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that does what follows each picture."""

from __future__ import annotations

import threading

import pytest

from instructsam_ros.replay.worker import Worker


def fail():
    raise ValueError('no room')


def test_jobs_are_done_in_order_on_one_other_thread_and_all_of_them():
    done = []
    with Worker('in order', 2) as worker:
        for number in range(50):
            worker.do(lambda number=number: done.append((number, threading.get_ident())))
    assert [number for number, _ in done] == list(range(50))
    assert {thread for _, thread in done} == {done[0][1]} != {threading.get_ident()}


def test_who_brings_more_than_may_wait_waits():
    may_go_on, done = threading.Event(), []
    with Worker('slow', 1) as worker:
        worker.do(may_go_on.wait)
        worker.do(lambda: done.append(1))
        # one is done, one waits, so that a third must be let in from outside
        threading.Timer(0.2, may_go_on.set).start()
        worker.do(lambda: done.append(2))
        assert may_go_on.is_set()
    assert done == [1, 2]


def test_settled_means_done():
    done = []
    with Worker('settled', 5) as worker:
        for number in range(5):
            worker.do(lambda number=number: done.append(number))
        worker.settle()
        assert done == [0, 1, 2, 3, 4]


def test_what_a_job_raises_is_raised_where_the_next_comes_from_and_nothing_else_is_done():
    done = []
    with pytest.raises(ValueError, match='no room'), Worker('failing', 5) as worker:
        worker.do(fail)
        worker.do(lambda: done.append(1))
        with pytest.raises(ValueError, match='no room'):
            worker.settle()
        with pytest.raises(ValueError, match='no room'):
            worker.do(lambda: done.append(2))
    assert not done


def test_an_error_of_the_block_is_the_one_that_is_raised():
    with pytest.raises(KeyError), Worker('failing', 5) as worker:
        worker.do(fail)
        raise KeyError
