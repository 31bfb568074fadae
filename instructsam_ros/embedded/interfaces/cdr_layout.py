# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What both directions of CDR share: sizes, and what is known of the position while compiling."""

from __future__ import annotations

from dataclasses import dataclass

# struct's code and the size of each fixed-size type; aligned to its size
CODES = {
    'bool': ('?', 1), 'byte': ('c', 1), 'int8': ('b', 1), 'uint8': ('B', 1), 'int16': ('h', 2),
    'uint16': ('H', 2), 'int32': ('i', 4), 'uint32': ('I', 4), 'int64': ('q', 8),
    'uint64': ('Q', 8), 'float32': ('f', 4), 'float64': ('d', 8)}


@dataclass
class Position:
    """What is known of the position when the code is made: it is `rest` modulo `modulus`."""

    modulus: int = 1
    rest: int = 0

    def padding(self, alignment: int) -> int | None:
        """Return how many bytes of padding are needed, or None if only the data tell."""
        return -self.rest % alignment if self.modulus % alignment == 0 else None

    def advance(self, size: int) -> None:
        """Move on by a known number of bytes."""
        self.rest = (self.rest + size) % self.modulus

    def aligned(self, alignment: int) -> None:
        """Note that the position is a multiple of ``alignment``, and nothing more."""
        self.modulus, self.rest = alignment, 0
