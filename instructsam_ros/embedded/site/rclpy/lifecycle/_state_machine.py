# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The states of a managed node and the transitions between them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from lifecycle_msgs.msg import State, Transition
from rclpy._rclpy_pybind11 import RCLError


class LifecycleState(NamedTuple):
    """A state's name and number."""

    label: str
    state_id: int


@dataclass(frozen=True)
class Edge:
    """A transition: its number, its label, and the states that it leads from and to."""

    id: int
    label: str
    start: LifecycleState
    goal: LifecycleState


_PRIMARY = ('unknown', 'unconfigured', 'inactive', 'active', 'finalized')
_TRANSITIONAL = ('configuring', 'cleaningup', 'shuttingdown', 'activating', 'deactivating',
                 'errorprocessing')
STATES = {
    label: LifecycleState(label, getattr(State, f'{kind}_{label.upper()}'))
    for kind, labels in (('PRIMARY_STATE', _PRIMARY), ('TRANSITION_STATE', _TRANSITIONAL))
    for label in labels}

# what is asked for: label, name of the number, from, by way of
_REQUESTS = (
    ('configure', 'CONFIGURE', 'unconfigured', 'configuring'),
    ('cleanup', 'CLEANUP', 'inactive', 'cleaningup'),
    ('activate', 'ACTIVATE', 'inactive', 'activating'),
    ('deactivate', 'DEACTIVATE', 'active', 'deactivating'),
    ('shutdown', 'UNCONFIGURED_SHUTDOWN', 'unconfigured', 'shuttingdown'),
    ('shutdown', 'INACTIVE_SHUTDOWN', 'inactive', 'shuttingdown'),
    ('shutdown', 'ACTIVE_SHUTDOWN', 'active', 'shuttingdown'),
)
# where the callback's answer leads: way, name of the numbers, success, failure, error
_ANSWERS = (
    ('configuring', 'CONFIGURE', 'inactive', 'unconfigured', 'errorprocessing'),
    ('cleaningup', 'CLEANUP', 'unconfigured', 'inactive', 'errorprocessing'),
    ('activating', 'ACTIVATE', 'active', 'inactive', 'errorprocessing'),
    ('deactivating', 'DEACTIVATE', 'inactive', 'active', 'errorprocessing'),
    ('shuttingdown', 'SHUTDOWN', 'finalized', 'finalized', 'errorprocessing'),
    ('errorprocessing', 'ERROR', 'unconfigured', 'finalized', 'finalized'),
)


def _edges() -> tuple[Edge, ...]:
    made = [Edge(getattr(Transition, f'TRANSITION_{name}'), label, STATES[start], STATES[goal])
            for label, name, start, goal in _REQUESTS]
    for start, name, *goals in _ANSWERS:
        for answer, goal in zip(('SUCCESS', 'FAILURE', 'ERROR'), goals, strict=True):
            made.append(Edge(getattr(Transition, f'TRANSITION_ON_{name}_{answer}'),
                             f'transition_{answer.lower()}', STATES[start], STATES[goal]))
    return tuple(made)


EDGES = _edges()


class StateMachine:
    """Where a node is; every step is told to a listener, with the lock released."""

    def __init__(self, on_step: Callable[[Edge], None]) -> None:
        self._state = STATES['unconfigured']
        self._lock = threading.Lock()
        self._on_step = on_step

    @property
    def current_state(self) -> LifecycleState:
        """The present state, which may be one of transition."""
        return self._state

    def available(self) -> list[Edge]:
        """Return the transitions that start here."""
        return [edge for edge in EDGES if edge.start == self._state]

    def find(self, label: str) -> Edge:
        """Return the transition of a label that starts here.

        Raises:
            RCLError: There is none.
        """
        for edge in self.available():
            if edge.label == label:
                return edge
        raise RCLError(f'no transition {label!r} starts in state {self._state.label!r}')

    def step(self, matches: Callable[[Edge], bool], asked: str) -> Edge:
        """Take a transition.

        Args:
            matches: Which one.
            asked: Its name for the error.

        Raises:
            RCLError: None such starts here.
        """
        with self._lock:
            edge = next((edge for edge in self.available() if matches(edge)), None)
            if edge is None:
                raise RCLError(f'transition {asked} is not possible in state '
                               f'{self._state.label!r}')
            self._state = edge.goal
        self._on_step(edge)
        return edge
