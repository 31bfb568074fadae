# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The model that a node holds: loaded, warmed up, given back."""

import gc
import sys
from collections.abc import Callable

import numpy as np

from instructsam_ros.perception.segmenter import Segmenter

# '' or a checkpoint, and a device, to a segmenter
Loader = Callable[[str | None, str], Segmenter]

_WARM_UP = (480, 640)


class ModelUnavailable(RuntimeError):  # noqa: N818  (a state of things, told to whoever asks)
    """The model could not be loaded; the text is the cause and the mend."""


class ModelHolder:
    """Loads the segmenter and lets it go. Used by one thread at a time."""

    def __init__(self, load: Loader) -> None:
        """``load`` as ``perception.segmenter.load_segmenter``."""
        self._load = load
        self.segmenter: Segmenter | None = None
        self.failure = ''

    def ensure(self, model: str, device: str) -> Segmenter:
        """Return the segmenter, loading it if need be. Raises ModelUnavailable."""
        if self.segmenter is None:
            self.failure = ''
            try:
                self.segmenter = self._load(model or None, device)
            except (FileNotFoundError, ValueError) as error:
                self.failure = f'the model could not be loaded: {error}'
            except Exception as error:  # out of memory, a broken installation, ...
                self.failure = (
                    f'the model could not be loaded: {type(error).__name__}: {error}; '
                    '`instructsam-ros doctor` checks the installation')
            if self.segmenter is None:
                # outside of the handler: the error would keep half a model alive
                _free_memory()
                raise ModelUnavailable(self.failure)
        return self.segmenter

    def warm_up(self) -> None:
        """Let the model see blank pictures: the first one takes much longer than others."""
        assert self.segmenter is not None
        # a model that must prepare for a picture's size (CUDA graphs) knows best how
        own = getattr(self.segmenter, 'warm_up', None)
        if own is not None:
            own(*_WARM_UP)
        else:
            self.segmenter.segment(np.full((*_WARM_UP, 3), 127, np.uint8), 'anything')
        # what is there now stays: to look through it for garbage would stop every thread of the
        # process for a tenth of a second and more
        gc.collect()
        gc.freeze()

    def release(self) -> None:
        """Let the model go, with the GPU's memory."""
        self.segmenter = None
        _free_memory()

    @property
    def is_on_gpu(self) -> bool:
        """Whether the model occupies a GPU."""
        device = getattr(self.segmenter, 'device', None)
        return getattr(device, 'type', 'cpu') != 'cpu'


def _free_memory() -> None:
    gc.unfreeze()
    gc.collect()
    # a loader without torch has nothing to free
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
