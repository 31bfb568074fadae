# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Hashes of types."""

from __future__ import annotations


class TypeHash:
    """A type's hash, 'RIHS01_' and 64 hexadecimal digits; version -1 if unknown."""

    TYPE_HASH_SIZE = 32

    def __init__(self, version: int = -1, value: bytes = bytes(TYPE_HASH_SIZE)) -> None:
        assert isinstance(version, int)
        assert isinstance(value, bytes)
        self.version = version
        self.value = value

    @classmethod
    def _from_text(cls, text: str) -> TypeHash:
        head, _, digits = text.partition('_')
        try:
            return cls(int(head.removeprefix('RIHS')), bytes.fromhex(digits))
        except ValueError:
            return cls()

    # as in rclpy, equality without a hash
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TypeHash):
            return False
        return (self.version, self.value) == (other.version, other.value)

    def __str__(self) -> str:
        if self.version <= 0 or len(self.value) != self.TYPE_HASH_SIZE:
            return 'INVALID'
        return f'RIHS{self.version:02}_{self.value.hex()}'
