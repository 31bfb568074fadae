# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The language model's keys and values in tensors that neither grow nor move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from instructsam.modeling import InstructSAM


class RowCache:
    """Keys and values of a fixed number of rows; every pass says which rows it writes.

    In place of transformers' StaticCache, each layer of which counts on the device how many rows
    it holds: padding and dropped drafts would have to be taken back in every one.

    Attributes:
        rows: where the next pass writes, [R]; None: the first R rows, which look at nothing else.
        columns: how many rows of the cache the next pass looks at, if it is not the first.
    """

    def __init__(self, model: InstructSAM, rows: int) -> None:
        text = model.language_model.config
        shape = (1, text.num_key_value_heads, rows, text.head_dim)
        # zeros: what is masked must still be finite
        self._layers = [torch.zeros((2, *shape), device=model.device,
                                    dtype=model.language_dtype)
                        for _ in range(text.num_hidden_layers)]
        self.rows: Tensor | None = None
        self.columns = rows

    def __len__(self) -> int:
        return int(self._layers[0].shape[-2])

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Store what a layer computed [1, heads, R, D]; return what its rows may look at."""
        stored_keys, stored_values = self._layers[layer]
        if self.rows is None:
            stored_keys[:, :, :keys.shape[2]].copy_(keys)
            stored_values[:, :, :keys.shape[2]].copy_(values)
            return keys, values
        stored_keys.index_copy_(2, self.rows, keys)
        stored_values.index_copy_(2, self.rows, values)
        return stored_keys[:, :, :self.columns], stored_values[:, :, :self.columns]
