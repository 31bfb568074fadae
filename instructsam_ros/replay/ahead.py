# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading ahead on a thread: unpacking a bag and searching its pictures go on side by side."""

import threading
from collections.abc import Generator, Iterator
from queue import Full, Queue
from typing import TypeVar

Item = TypeVar('Item')

# seconds between two looks whether anybody still wants to read
_PATIENCE = 0.1


def read_ahead(items: Iterator[Item], most: int) -> Generator[Item, None, None]:
    """Yield what an iterator yields, and raise what it raises; it runs on a thread of its own.

    The thread is at most ``most`` items ahead, and ends when this generator is closed.
    """
    ready: Queue[tuple[Item] | BaseException] = Queue(most)
    unwanted = threading.Event()

    def offer(one: tuple[Item] | BaseException) -> bool:
        while not unwanted.is_set():
            try:
                ready.put(one, timeout=_PATIENCE)
                return True
            except Full:
                continue
        return False

    def read() -> None:
        try:
            for item in items:
                if not offer((item,)):
                    return
        # raised where it is waited for
        except BaseException as error:
            offer(error)
        else:
            offer(StopIteration())

    reader = threading.Thread(target=read, name='read ahead', daemon=True)
    reader.start()
    try:
        while True:
            one = ready.get()
            if isinstance(one, StopIteration):
                return
            if isinstance(one, BaseException):
                raise one
            yield one[0]
    finally:
        unwanted.set()
        reader.join()
