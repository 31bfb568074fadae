# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demo's two processes, started from the launch file that users start too."""

import re
import tempfile
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from instructsam_ros.launching.arguments import find_launch_file
from instructsam_ros.launching.plan import make_plan
from instructsam_ros.launching.runner import Runner

_LAST_LINES = 12
_STAMP = re.compile(r'^\[\d+\.\d+\] ')
# SIGINT, then SIGTERM, then SIGKILL: the runner's own patience is shorter
_END_TIMEOUT = 20.0


class DemoNodes:
    """Runs ``demo.launch.yaml`` in the background; what it prints goes to a log file.

    Args:
        arguments: of the launch file.
        log: file to write.
    """

    def __init__(self, arguments: Mapping[str, str], log: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix='instructsam-demo-')
        plan = make_plan(
            find_launch_file('demo.launch.yaml'), dict(arguments), Path(self._folder.name))
        self._log = log.open('w', encoding='utf-8')
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._error = ''
        # the demo is over when either of them is
        self._runner = Runner(
            [replace(process, ends_all=True) for process in plan.processes], self._show)
        self._thread = threading.Thread(target=self._runner.run, name='nodes', daemon=True)

    def failure(self) -> str:
        """Return why the demo cannot go on, in the processes' own words; '' while it can."""
        if self._error:
            return self._error
        if self._thread.is_alive():
            return ''
        return 'a process of the demo has ended: ' + ' | '.join(self._last)

    def __enter__(self) -> 'DemoNodes':
        """Start both."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End both."""
        self._runner.stop()
        self._thread.join(_END_TIMEOUT)
        self._log.close()
        self._folder.cleanup()

    def _show(self, line: str) -> None:
        self._last.append(line)
        # nothing goes wrong in a demo that it could survive
        _, mark, error = line.partition('[ERROR] ')
        if mark and not self._error:
            self._error = _STAMP.sub('', error)
        if not self._log.closed:
            self._log.write(line + '\n')
            self._log.flush()
