# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What inference makes of weights once: joined kernels, tables that no picture changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

Made = TypeVar('Made')
_State = tuple[tuple[int, int], ...]

# things made for one owner
_MOST = 64

_made: WeakKeyDictionary[nn.Module, dict[Hashable, tuple[_State, Any]]] = WeakKeyDictionary()


def can_fold(tensor: Tensor) -> bool:
    """Tell whether work on this tensor may use what was made of weights: on a CPU, not to learn.

    On CUDA a recorded graph would go on with what was replaced.
    """
    return tensor.device.type == 'cpu' and not torch.is_grad_enabled()


def folded(owner: nn.Module, key: Hashable, weights: Sequence[Tensor],
           make: Callable[[], Made]) -> Made:
    """Return what `make` makes of weights; it is called again when they have changed.

    Args:
        owner: what is made is forgotten with it.
        key: tells apart what is made for one owner.
        weights: all that it is made of.
        make: is called without gradients.
    """
    # inference tensors have no version, and cannot learn
    state = tuple((weight.data_ptr(), 0 if weight.is_inference() else weight._version)
                  for weight in weights)
    known = _made.setdefault(owner, {})
    found = known.get(key)
    if found is None or found[0] != state:
        while len(known) >= _MOST:
            known.pop(next(iter(known)), None)
        with torch.no_grad():
            found = known[key] = (state, make())
    made: Made = found[1]
    return made
