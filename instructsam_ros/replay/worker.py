# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that does jobs in the order in which they come, while the next ones are prepared."""

import threading
from collections.abc import Callable
from queue import Queue
from typing import Any

Job = Callable[[], None]


class Worker:
    """Does jobs one after the other; a context manager, which ends when all of them are done.

    After a job that raised, no more are done; ``do`` and ``settle`` raise what it raised, and so
    does the end of the ``with`` block, unless that has another error already.
    """

    def __init__(self, name: str, most: int) -> None:
        """Begin no thread yet; ``most`` jobs may wait, who brings another one waits as well."""
        self._jobs: Queue[Job | None] = Queue(most)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def __enter__(self) -> 'Worker':
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        self._jobs.put(None)
        self._thread.join()
        if error is None:
            self._raise()

    def do(self, job: Job) -> None:
        """Have a job done. Raises what a job before has raised."""
        self._raise()
        self._jobs.put(job)

    def settle(self) -> None:
        """Wait until all jobs are done. Raises what one of them has raised."""
        self._jobs.join()
        self._raise()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if self._failure is None:
                    job()
            # raised where the next job comes from
            except BaseException as error:
                self._failure = error
            finally:
                # what a job holds, such as a picture, must not wait for the next one
                del job
                self._jobs.task_done()
