# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One thread that does all inference: the newest frame, and one-shot requests in between."""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from instructsam_ros.perception.anticipation import Anticipation

FrameT = TypeVar('FrameT')
ResultT = TypeVar('ResultT')


class WorkerStoppedError(RuntimeError):
    """A request came after, or was waiting at, the end of the worker."""


@dataclass(frozen=True)
class WorkerCounters:
    """What happened to frames and requests since the worker was made.

    Attributes:
        offered: frames that came in.
        dropped: of these, replaced by a newer one before their turn, or left at the end.
        processed: frames that went through.
        failed: frames whose processing raised an error.
        requests: one-shot requests that were answered, with a result or an error.
    """

    offered: int = 0
    dropped: int = 0
    processed: int = 0
    failed: int = 0
    requests: int = 0


class InferenceWorker(Generic[FrameT]):
    """Processes the newest frame, never an older one, and requests in the order of arrival.

    Between two requests a waiting frame gets its turn, and between two frames a waiting request:
    neither starves the other. A frame that is there already when the worker becomes free may be
    held for a moment, until a newer one takes its place: see ``Anticipation``. Thread-safe; after
    ``stop`` it may be started again.
    """

    def __init__(
        self,
        process: Callable[[FrameT], None],
        on_error: Callable[[Exception], None],
        anticipation: Anticipation | None = None,
    ) -> None:
        """``process`` runs on the worker's thread; what it raises goes to ``on_error``.

        ``anticipation`` says when to wait for a newer frame; by default never.
        """
        self._process = process
        self._on_error = on_error
        self._wake = threading.Condition()
        # a list of at most one: the frame itself may be anything
        self._slot: list[FrameT] = []
        self._requests: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._counters = WorkerCounters()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._min_interval = 0.0
        self._next_frame_at = 0.0
        self._request_had_turn = False
        self._anticipation = anticipation or Anticipation()
        self._free_at = 0.0
        # since when, and until when, the waiting frame is held; None before that is decided
        self._hold: tuple[float, float] | None = None

    @property
    def counters(self) -> WorkerCounters:
        """The present counts."""
        with self._wake:
            return self._counters

    @property
    def min_interval(self) -> float:
        """Least seconds between the starts of two frames; requests do not wait for it."""
        return self._min_interval

    @min_interval.setter
    def min_interval(self, seconds: float) -> None:
        with self._wake:
            self._next_frame_at += seconds - self._min_interval
            self._min_interval = seconds
            self._wake.notify_all()

    def start(self) -> None:
        """Start the thread. Raises RuntimeError if it still runs."""
        with self._wake:
            if self._thread is not None and self._thread.is_alive():
                raise RuntimeError('the inference worker is running: stop it first')
            self._stopping = False
            self._free_at = time.monotonic()
            # a daemon: an inference that never ends must not keep the process alive
            self._thread = threading.Thread(target=self._run, name='inference', daemon=True)
            self._thread.start()

    def stop(self, timeout: float | None = None) -> bool:
        """End the thread after what it is doing; return whether it ended within ``timeout`` s.

        Waiting requests fail with WorkerStoppedError at once, a waiting frame is dropped.
        """
        with self._wake:
            self._stopping = True
            waiting = list(self._requests)
            self._requests.clear()
            self._count(dropped=len(self._slot))
            self._slot.clear()
            self._wake.notify_all()
            thread = self._thread
        for _, future in waiting:
            future.set_exception(WorkerStoppedError('inference was stopped meanwhile'))
        if thread is None:
            return True
        if thread is not threading.current_thread():
            thread.join(timeout)
        return not thread.is_alive()

    def offer(self, frame: FrameT) -> None:
        """Give a frame; it replaces one that still waits. Dropped when the worker is stopped."""
        with self._wake:
            self._count(offered=1)
            if self._stopping or self._thread is None:
                self._count(dropped=1)
                return
            self._count(dropped=len(self._slot))
            self._slot[:] = [frame]
            now = time.monotonic()
            self._anticipation.arrived(now)
            if self._hold is not None:
                # this is what was waited for
                self._hold = self._hold[0], now
            self._wake.notify_all()

    def submit(self, task: Callable[[], ResultT]) -> 'Future[ResultT]':
        """Queue a one-shot request; the future gets its result or its error.

        Raises WorkerStoppedError when the worker does not run.
        """
        future: Future[ResultT] = Future()
        with self._wake:
            if self._stopping or self._thread is None:
                raise WorkerStoppedError('no inference is running')
            self._requests.append((task, future))
            self._wake.notify_all()
        return future

    def _run(self) -> None:
        while True:
            turn = self._next_turn()
            if turn is None:
                return
            turn()
            self._free_at = time.monotonic()
            # a frame or result held until the next turn would be memory for nothing
            del turn

    def _next_turn(self) -> Callable[[], None] | None:
        """Wait for work and return it; None at the end."""
        with self._wake:
            self._hold = None
            while not self._stopping:
                now = time.monotonic()
                wait = self._until_frame(now) if self._slot else None
                frame_is_due = wait is not None and wait <= 0
                if self._requests and not (frame_is_due and self._request_had_turn):
                    self._request_had_turn = True
                    self._end_hold(now)
                    task, future = self._requests.popleft()
                    return lambda: self._answer(task, future)
                if frame_is_due:
                    self._request_had_turn = False
                    self._end_hold(now)
                    self._next_frame_at = now + self._min_interval
                    frame = self._slot.pop()
                    return lambda: self._search(frame)
                self._wake.wait(wait)
            return None

    def _until_frame(self, now: float) -> float:
        """Seconds until the waiting frame may be taken; the lock is held."""
        wait = self._next_frame_at - now
        if wait > 0 or self._requests:
            return wait
        if self._hold is None:
            # one that came while nothing else was to do is the newest there can be
            is_new = self._anticipation.last >= max(self._free_at, self._next_frame_at)
            self._hold = now, now if is_new else now + self._anticipation.wait(now)
        return self._hold[1] - now

    def _end_hold(self, now: float) -> None:
        """Pay for the time that a frame was held; the lock is held."""
        if self._hold is not None:
            self._anticipation.waited(now - self._hold[0])
            self._hold = None

    def _search(self, frame: FrameT) -> None:
        began = time.monotonic()
        try:
            self._process(frame)
        except Exception as error:  # whatever a model or driver does, the next frame gets its turn
            self._note(failed=1)
            self._on_error(error)
        else:
            self._note(processed=1)
        with self._wake:
            self._anticipation.worked(time.monotonic() - began)

    def _answer(self, task: Callable[[], Any], future: 'Future[Any]') -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = task()
        except Exception as error:  # it belongs to whoever asked
            self._note(requests=1)
            future.set_exception(error)
        else:
            self._note(requests=1)
            future.set_result(result)

    def _note(self, **more: int) -> None:
        with self._wake:
            self._count(**more)

    def _count(self, **more: int) -> None:
        """Add to counters; the lock is held."""
        self._counters = replace(
            self._counters,
            **{name: getattr(self._counters, name) + count for name, count in more.items()},
        )
