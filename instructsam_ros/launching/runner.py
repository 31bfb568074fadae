# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs processes side by side until they end or are told to."""

from __future__ import annotations

import contextlib
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from instructsam_ros.launching.plan import Process

_STEPS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
# after the end of a process, how long to wait for the rest of its output
_LAST_WORDS = 1.0


class _Child:
    """A process while it runs, and how far its end has come."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.step = -1
        self.next_step_at = math.inf
        self.starts = 0
        self.restart_at = math.inf
        self.popen: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self.popen is not None

    def escalate(self) -> signal.Signals | None:
        """Send the next stronger signal to the process and its children."""
        if self.popen is None or self.step >= len(_STEPS) - 1:
            return None
        self.step += 1
        sent = _STEPS[self.step]
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, sent)
        patience = (self.process.sigterm_after, self.process.sigkill_after, math.inf)[self.step]
        self.next_step_at = time.monotonic() + patience
        return sent


class Runner:
    """Starts processes, shows their lines with their names, and ends all of them together.

    Ctrl-C or SIGTERM sends SIGINT to all, then SIGTERM, then SIGKILL to those that stay; another
    Ctrl-C does not wait for the next step. ``show`` takes one line of output.
    """

    def __init__(
        self, processes: Sequence[Process], show: Callable[[str], None] | None = None
    ) -> None:
        self._children = [_Child(process) for process in processes]
        self._show_line = show or _print_line
        # one thread shows lines and decides; whatever happens is told to it here
        self._events: queue.SimpleQueue[tuple[str, _Child | None, object]] = queue.SimpleQueue()
        self._failed = False
        self._is_ending = False

    def run(self) -> int:
        """Run until all have ended; return 1 if one failed by itself or had to be killed, else 0.

        Signals are only handled in the main thread.
        """
        with self._signals():
            try:
                for child in self._children:
                    self._start(child)
                self._loop()
            finally:
                self._kill_all()
        return int(self._failed)

    def stop(self) -> None:
        """Tell all to end, as Ctrl-C does; from any thread."""
        self._events.put(('stop', None, signal.SIGINT))

    def _loop(self) -> None:
        while any(child.is_running or child.restart_at < math.inf for child in self._children):
            due = min(min(child.next_step_at, child.restart_at) for child in self._children)
            wait = None if due == math.inf else max(due - time.monotonic(), 0.0)
            try:
                what, child, detail = self._events.get(timeout=wait)
            except queue.Empty:
                self._on_time()
                continue
            if what == 'line':
                assert child is not None
                self._show(f'[{child.process.name}] {detail}')
            elif what == 'end':
                assert child is not None and isinstance(detail, int)
                self._on_end(child, detail)
            else:
                self._end_all(str(getattr(detail, 'name', detail)))

    def _start(self, child: _Child) -> None:
        process = child.process
        child.restart_at = math.inf
        try:
            # a group of its own: Ctrl-C in the terminal reaches it through us only
            child.popen = subprocess.Popen(
                process.command, env=dict(process.environment), cwd=process.folder,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True)
        except OSError as error:
            self._show(f'[{process.name}] cannot be started: {error}')
            self._failed = True
            if process.ends_all:
                self._end_all(f'{process.name} cannot be started')
            return
        child.starts += 1
        self._show(f'[{process.name}] started, process {child.popen.pid}')
        threading.Thread(
            target=self._watch, args=(child, child.popen), name=process.name, daemon=True).start()

    def _watch(self, child: _Child, popen: subprocess.Popen[bytes]) -> None:
        reader = threading.Thread(target=self._read, args=(child, popen), daemon=True)
        reader.start()
        code = popen.wait()
        # its own children may hold the pipe open for ever
        reader.join(_LAST_WORDS)
        self._events.put(('end', child, code))

    def _read(self, child: _Child, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdout is not None
        for line in popen.stdout:
            self._events.put(('line', child, line.decode(errors='replace').rstrip('\r\n')))

    def _on_end(self, child: _Child, code: int) -> None:
        process = child.process
        child.popen = None
        child.next_step_at = math.inf
        told = child.step >= 0
        signal_name = f' ({signal.Signals(-code).name})' if -code in set(signal.Signals) else ''
        self._show(f'[{process.name}] ended with exit code {code}{signal_name}')
        # who is told to end may do so by the signal itself
        expected = code == 0 or (told and code in (-signal.SIGINT, -signal.SIGTERM, 130, 143))
        if self._is_ending:
            self._failed |= not expected
            return
        again = process.respawns is None or child.starts <= process.respawns
        if process.respawn and again:
            child.restart_at = time.monotonic() + process.respawn_delay
            return
        self._failed |= not expected
        if process.ends_all:
            self._end_all(f'{process.name} has ended')

    def _on_time(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.restart_at <= now:
                self._start(child)
            if child.next_step_at <= now:
                sent = child.escalate()
                if sent is not None:
                    self._show(f'[{child.process.name}] does not end: {sent.name}')

    def _end_all(self, reason: str) -> None:
        if not self._is_ending:
            self._is_ending = True
            self._show(f'[launch] ending all: {reason}')
        for child in self._children:
            child.restart_at = math.inf
            child.escalate()

    def _kill_all(self) -> None:
        for child in self._children:
            if child.popen is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.popen.pid, signal.SIGKILL)

    def _show(self, line: str) -> None:
        try:
            self._show_line(line)
        except OSError:
            # nobody reads any more, as after `| head`
            self._show_line = lambda line: None
            self._end_all('nobody reads the output')

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(number: int, frame: FrameType | None) -> None:
            self._events.put(('stop', None, signal.Signals(number)))

        before = {one: signal.signal(one, on_signal) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def _print_line(line: str) -> None:
    print(line, flush=True)
    sys.stdout.flush()
