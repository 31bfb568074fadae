# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Work that is launched again and again on the same tensors, on CUDA as one graph.

Launching a network's thousands of small kernels one by one takes longer than running them; a CUDA
graph launches them at once. It always reads and writes the very tensors it was recorded with.
Elsewhere the work is simply called, but its results are put into the same tensors as the last
time: who keeps a result too long then sees it change on a CPU as on a GPU.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch
from torch import Tensor

Work = Callable[[], tuple[Tensor, ...]]
Key = TypeVar('Key', bound=Hashable)
Item = TypeVar('Item')

_log = logging.getLogger(__name__)

# libraries choose kernels and make their workspaces in the first calls, which no graph may record
_WARM_UPS = 2


class Lane:
    """Graphs that run one after the other, and share the memory of what they compute on the way.

    Work that may run beside it belongs in another lane. A lane records on a stream of its own:
    cuBLAS has one workspace per recording stream, and two graphs that run at once must not have
    the same.

    Args:
        device: where the work runs.
        graphs: whether to record graphs; None: on CUDA.

    Attributes:
        stream: of this lane; None where there are no graphs.
    """

    def __init__(self, device: torch.device, graphs: bool | None = None) -> None:
        self.device = device
        if graphs is None:
            graphs = device.type == 'cuda'
        self.stream = torch.cuda.Stream(device) if graphs else None
        self._pool = torch.cuda.graph_pool_handle() if graphs else None

    def record(self, work: Work) -> Recording:
        """Record work that reads and writes tensors that stay where they are.

        It may not wait for the device, and what it returns is valid until it is run again. It is
        run while it is recorded, with whatever is in its tensors by then.
        """
        return Recording(self, work)

    def capture(self, work: Work) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...]]:
        """Run work until it is warm, then record it without running it."""
        assert self.stream is not None
        with torch.cuda.device(self.device):
            current = torch.cuda.current_stream()
            self.stream.wait_stream(current)
            with torch.cuda.stream(self.stream):
                for _ in range(_WARM_UPS):
                    work()
            current.wait_stream(self.stream)
            graph = torch.cuda.CUDAGraph()
            try:
                # other threads of a node may go on using CUDA meanwhile
                with torch.cuda.graph(graph, pool=self._pool, stream=self.stream,
                                      capture_error_mode='thread_local'):
                    results = work()
            finally:
                torch.cuda.set_stream(current)  # an error would leave the other one
        return graph, results


class Recording:
    """Work of a lane; call it to run it on the current stream."""

    def __init__(self, lane: Lane, work: Work) -> None:
        self._work = work
        self._graph: torch.cuda.CUDAGraph | None = None
        # kept: as long as these tensors are there, no other graph gets their memory
        self._results: tuple[Tensor, ...]
        if lane.stream is not None:
            try:
                self._graph, self._results = lane.capture(work)
                return
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                _log.warning('this part cannot be recorded as a CUDA graph and will be slower: %s',
                             str(error).partition('\n')[0])
        # recording runs the work; so does this: what that would overwrite is overwritten here too
        self._results = work()

    def __call__(self) -> tuple[Tensor, ...]:
        """Run the work and return its results, in the same tensors at every call."""
        if self._graph is not None:
            self._graph.replay()
            return self._results
        for kept, result in zip(self._results, self._work(), strict=True):
            kept.copy_(result)
        return self._results


class Shelf(Generic[Key, Item]):
    """The last few things that were made for a key; what was not asked for longest goes.

    Args:
        room: how many are kept.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._items: OrderedDict[Key, Item] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: Key, make: Callable[[], Item]) -> Item:
        """Return what was made for a key, made now if it is not there."""
        if key not in self._items:
            while len(self._items) >= self._room:
                self._items.popitem(last=False)
            self._items[key] = make()
        self._items.move_to_end(key)
        return self._items[key]


def fill(place: Tensor, values: Tensor) -> None:
    """Copy values from the CPU into a tensor that stays where it is, without waiting for it.

    The values may be changed at once: ordinary memory is read before the call returns. Pinned
    memory is not.
    """
    place.copy_(values, non_blocking=True)


def bucket(size: int, step: int) -> int:
    """Round a size up to a multiple of a step, so that a few graphs serve all sizes."""
    return max(-(-size // step), 1) * step
