# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The inference thread: newest frame, fair turns, errors, a clean end."""

import gc
import threading
import time
import weakref

import pytest

from instructsam_ros.perception.anticipation import Anticipation
from instructsam_ros.perception.worker import InferenceWorker, WorkerStoppedError

# for waiting on another thread of a busy machine; nothing takes this long when all is well
PATIENCE = 10.0


class Bench:
    """A worker whose processing waits at a gate."""

    def __init__(self, gated=False, anticipation=None):
        self.done = []
        self.errors = []
        self.began = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.gated = gated
        self.worker = InferenceWorker(self._process, self.errors.append, anticipation)
        self.worker.start()

    def _process(self, frame):
        self.began.release()
        if self.gated:
            assert self.gate.acquire(timeout=PATIENCE)
        if isinstance(frame, Exception):
            raise frame
        self.done.append(frame)

    def task(self, name):
        def run():
            self.done.append(name)
            return name
        return run

    def settle(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, (self.done, self.worker.counters)
            time.sleep(0.002)


@pytest.fixture
def make():
    benches = []

    def build(**options):
        benches.append(Bench(**options))
        return benches[-1]

    yield build
    for bench in benches:
        for _ in range(100):
            bench.gate.release()
        assert bench.worker.stop(PATIENCE)


def test_only_the_newest_frame_is_processed_and_drops_are_counted(make):
    bench = make(gated=True)
    bench.worker.offer(1)
    assert bench.began.acquire(timeout=PATIENCE)
    for frame in (2, 3, 4):
        bench.worker.offer(frame)
    bench.gate.release()
    bench.gate.release()
    bench.settle(lambda: bench.worker.counters.processed == 2)
    assert bench.done == [1, 4]
    counters = bench.worker.counters
    assert (counters.offered, counters.dropped) == (4, 2)


def test_requests_come_in_order_and_frames_in_turn_with_them(make):
    bench = make(gated=True)
    bench.worker.offer('frame 0')
    assert bench.began.acquire(timeout=PATIENCE)
    futures = [bench.worker.submit(bench.task(f'request {k}')) for k in range(3)]
    bench.worker.offer('frame 1')
    bench.gated = False
    bench.gate.release()
    assert [future.result(PATIENCE) for future in futures] == [f'request {k}' for k in range(3)]
    assert bench.done == ['frame 0', 'request 0', 'frame 1', 'request 1', 'request 2']
    assert bench.worker.counters.requests == 3


def test_under_a_flood_of_frames_requests_are_answered_and_the_reverse(make):
    bench = make()
    flooding = threading.Event()

    def flood():
        while not flooding.is_set():
            bench.worker.offer('frame')
            time.sleep(0.0005)

    flooder = threading.Thread(target=flood)
    flooder.start()
    try:
        futures = [bench.worker.submit(lambda: time.sleep(0.002)) for _ in range(50)]
        for future in futures:
            future.result(PATIENCE)
        # while 50 requests were waiting, frames had at least nearly every second turn
        assert bench.worker.counters.processed >= 25
    finally:
        flooding.set()
        flooder.join()


def test_an_error_reaches_who_caused_it_and_work_goes_on(make):
    bench = make()
    bench.worker.offer(ValueError('bad frame'))
    bench.settle(lambda: bench.errors)
    assert str(bench.errors[0]) == 'bad frame'

    def fail():
        raise KeyError('bad request')

    with pytest.raises(KeyError, match='bad request'):
        bench.worker.submit(fail).result(PATIENCE)
    bench.worker.offer('fine')
    bench.settle(lambda: bench.done == ['fine'])
    counters = bench.worker.counters
    assert (counters.processed, counters.failed) == (1, 1)
    assert len(bench.errors) == 1


def test_stop_in_mid_inference_waits_fails_requests_at_once_and_drops_the_frame(make):
    bench = make(gated=True)
    bench.worker.offer('running')
    assert bench.began.acquire(timeout=PATIENCE)
    waiting = bench.worker.submit(bench.task('never'))
    bench.worker.offer('waiting')
    assert not bench.worker.stop(0.05)
    with pytest.raises(WorkerStoppedError):
        waiting.result(0)
    with pytest.raises(WorkerStoppedError):
        bench.worker.submit(bench.task('too late'))
    with pytest.raises(RuntimeError, match='stop it first'):
        bench.worker.start()
    bench.worker.offer('too late')
    bench.gate.release()
    assert bench.worker.stop(PATIENCE)
    assert bench.done == ['running']
    assert bench.worker.counters.dropped == 2
    bench.gated = False
    bench.worker.start()
    bench.worker.offer('again')
    bench.settle(lambda: bench.done == ['running', 'again'])


def test_a_least_interval_spaces_frames_but_not_requests(make):
    bench = make()
    bench.worker.min_interval = 0.2
    starts = []
    bench.worker.offer(1)
    bench.settle(lambda: bench.done == [1])
    starts.append(time.monotonic())
    bench.worker.offer(2)
    bench.worker.submit(bench.task('request')).result(PATIENCE)
    assert bench.done == [1, 'request']
    bench.worker.offer(3)
    bench.settle(lambda: bench.done == [1, 'request', 3])
    # the poll may have seen the first frame a few milliseconds late
    assert time.monotonic() - starts[0] > 0.15
    bench.worker.offer(4)
    bench.worker.min_interval = 0.0
    bench.settle(lambda: bench.done[-1] == 4)


class Hopeful(Anticipation):
    """Always expects a newer frame within ``seconds``; counts the waits and what they took."""

    def __init__(self, seconds):
        super().__init__(seconds)
        self.waits, self.seconds = 0, 0.0

    def wait(self, now):
        self.waits += 1
        return self.longest

    def waited(self, seconds):
        self.seconds += seconds


def test_a_frame_that_waited_gives_way_to_one_that_is_about_to_come(make):
    hopeful = Hopeful(PATIENCE)
    bench = make(gated=True, anticipation=hopeful)
    bench.worker.offer(1)
    assert bench.began.acquire(timeout=PATIENCE)
    assert hopeful.waits == 0
    bench.worker.offer(2)
    bench.gate.release()
    bench.settle(lambda: hopeful.waits == 1)
    assert not bench.began.acquire(timeout=0.05)
    bench.worker.offer(3)
    bench.gate.release()
    bench.settle(lambda: bench.done == [1, 3])
    assert bench.worker.counters.dropped == 1
    assert 0.05 <= hopeful.seconds < PATIENCE
    # the worker is free: what comes now is the newest
    bench.worker.offer(4)
    bench.gate.release()
    bench.settle(lambda: bench.done == [1, 3, 4])
    assert hopeful.waits == 1


def test_a_frame_is_not_held_longer_than_told_nor_against_a_request(make):
    hopeful = Hopeful(0.05)
    bench = make(gated=True, anticipation=hopeful)
    bench.worker.offer(1)
    assert bench.began.acquire(timeout=PATIENCE)
    bench.worker.offer(2)
    bench.gate.release()
    bench.gate.release()
    # nothing newer comes: the old one after all
    bench.settle(lambda: bench.done == [1, 2])
    assert bench.began.acquire(timeout=PATIENCE)
    assert hopeful.waits == 1
    assert hopeful.seconds >= 0.05
    bench.worker.offer(3)
    assert bench.began.acquire(timeout=PATIENCE)
    hopeful.longest = PATIENCE
    bench.worker.offer(4)
    bench.gate.release()
    bench.settle(lambda: hopeful.waits == 2)
    assert bench.worker.submit(bench.task('request')).result(PATIENCE) == 'request'
    assert bench.done == [1, 2, 3, 'request']
    assert bench.worker.stop(PATIENCE)


def test_work_and_least_interval_are_seen_by_the_anticipation(make):
    hopeful = Hopeful(PATIENCE)
    worked = []
    hopeful.worked = worked.append
    bench = make(anticipation=hopeful)
    bench.worker.min_interval = 0.1
    bench.worker.offer(1)
    bench.settle(lambda: len(worked) == 1)
    # it comes while no frame may be taken yet, and is old when one may
    bench.worker.offer(2)
    bench.settle(lambda: hopeful.waits == 1)
    bench.worker.offer(ValueError('3'))
    bench.settle(lambda: len(worked) == 2)
    assert bench.done == [1]
    assert all(0 <= seconds < PATIENCE for seconds in worked)


def test_nothing_holds_a_processed_frame(make):
    class Frame:
        pass

    bench = make()
    bench.worker = worker = InferenceWorker(lambda frame: None, bench.errors.append)
    worker.start()
    frame = Frame()
    gone = weakref.ref(frame)
    worker.offer(frame)
    del frame
    bench.settle(lambda: worker.counters.processed == 1)
    bench.settle(lambda: gc.collect() is not None and gone() is None)


def test_a_cancelled_request_is_not_done(make):
    bench = make(gated=True)
    bench.worker.offer('frame')
    assert bench.began.acquire(timeout=PATIENCE)
    cancelled = bench.worker.submit(bench.task('cancelled'))
    assert cancelled.cancel()
    last = bench.worker.submit(bench.task('last'))
    bench.gate.release()
    last.result(PATIENCE)
    assert bench.done == ['frame', 'last']
