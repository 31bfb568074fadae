# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which callbacks may run at the same time."""

from __future__ import annotations

import weakref
from threading import Lock
from typing import Any


class CallbackGroup:
    """Base of callback groups; use one of the classes below or your own."""

    def __init__(self) -> None:
        self.entities: set[weakref.ref[Any]] = set()

    def add_entity(self, entity: Any) -> None:
        """Add a subscription, timer, client, service, guard condition or waitable."""
        self.entities.add(weakref.ref(entity))

    def has_entity(self, entity: Any) -> bool:
        """Whether an entity is in this group."""
        return weakref.ref(entity) in self.entities

    def can_execute(self, entity: Any) -> bool:
        """Whether the entity's callback could start now."""
        raise NotImplementedError('CallbackGroup.can_execute: use a class derived from it')

    def beginning_execution(self, entity: Any) -> bool:
        """Ask to start a callback; where allowed, `ending_execution` must follow."""
        raise NotImplementedError('CallbackGroup.beginning_execution: use a derived class')

    def ending_execution(self, entity: Any) -> None:
        """Tell that a callback has ended."""
        raise NotImplementedError('CallbackGroup.ending_execution: use a derived class')


class ReentrantCallbackGroup(CallbackGroup):
    """Callbacks run in parallel, one callback with itself included."""

    def can_execute(self, entity: Any) -> bool:
        """Return True."""
        return True

    def beginning_execution(self, entity: Any) -> bool:
        """Return True."""
        return True

    def ending_execution(self, entity: Any) -> None:
        """Do nothing."""


class MutuallyExclusiveCallbackGroup(CallbackGroup):
    """One callback at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._active_entity: Any = None
        self._lock = Lock()

    def can_execute(self, entity: Any) -> bool:
        """Whether no callback of the group runs."""
        assert weakref.ref(entity) in self.entities
        return self._active_entity is None

    def beginning_execution(self, entity: Any) -> bool:
        """Occupy the group if it is free."""
        with self._lock:
            assert weakref.ref(entity) in self.entities
            if self._active_entity is None:
                self._active_entity = entity
                return True
            return False

    def ending_execution(self, entity: Any) -> None:
        """Free the group."""
        with self._lock:
            assert self._active_entity is entity
            self._active_entity = None
