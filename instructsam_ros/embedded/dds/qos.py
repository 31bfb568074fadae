# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Quality of service: the policies of ROS 2, and their form in Cyclone DDS."""

from __future__ import annotations

import ctypes as ct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from instructsam_ros.embedded.dds import native

_RELIABILITIES = ('best_effort', 'reliable')
_DURABILITIES = ('volatile', 'transient_local', 'transient', 'persistent')
_LIVELINESSES = ('automatic', 'manual_by_participant', 'manual_by_topic')
_UNLIMITED = -1
# For how long one attempt to write waits for slow readers; `Writer.write` then tries again.
_BLOCKING = native.NANOSECONDS // 10
# DDS numbers its policies; these are the ones that ROS 2 knows
_POLICY_NAMES = {2: 'durability', 4: 'deadline', 8: 'liveliness', 11: 'reliability',
                 13: 'history', 21: 'lifespan'}


@dataclass(frozen=True)
class Qos:
    """What a writer offers or a reader requests.

    ``depth`` counts for 'keep_last'. Times are in nanoseconds, None means infinite.
    """

    reliability: str = 'reliable'
    durability: str = 'volatile'
    history: str = 'keep_last'
    depth: int = 10
    deadline_ns: int | None = None
    lifespan_ns: int | None = None
    liveliness: str = 'automatic'
    lease_ns: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in (('reliability', _RELIABILITIES), ('durability', _DURABILITIES),
                              ('history', ('keep_last', 'keep_all')),
                              ('liveliness', _LIVELINESSES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f'{name} is one of {", ".join(allowed)}, not '
                                 f'{getattr(self, name)!r}')
        if self.history == 'keep_last' and self.depth < 1:
            raise ValueError(f'keeping the last samples needs a depth of at least 1, '
                             f'not {self.depth}')


def incompatible(offered: Qos, requested: Qos) -> list[str]:
    """Return the names of the policies that keep a writer and a reader from matching."""
    def time(value: int | None) -> int:
        return native.INFINITY if value is None else value

    found = []
    if _RELIABILITIES.index(offered.reliability) < _RELIABILITIES.index(requested.reliability):
        found.append('reliability')
    if _DURABILITIES.index(offered.durability) < _DURABILITIES.index(requested.durability):
        found.append('durability')
    if time(offered.deadline_ns) > time(requested.deadline_ns):
        found.append('deadline')
    rank = _LIVELINESSES.index
    if rank(offered.liveliness) < rank(requested.liveliness) or (
            time(offered.lease_ns) > time(requested.lease_ns)):
        found.append('liveliness')
    return found


def policy_name(number: int) -> str:
    """Return ROS's name of a DDS policy, 'invalid' for one that ROS does not set."""
    return _POLICY_NAMES.get(number, 'invalid')


@contextmanager
def native_qos(qos: Qos, user_data: bytes, ignore_own: bool = False) -> Iterator[int]:
    """Make Cyclone's form of a QoS for the length of the context.

    Args:
        qos: The policies.
        user_data: Announced with the endpoint.
        ignore_own: A reader shall not get what its own participant writes.
    """
    made = native.create_qos()
    try:
        history = int(qos.history == 'keep_all')
        depth = _UNLIMITED if history else qos.depth
        native.set_history(made, history, depth)
        native.set_reliability(made, _RELIABILITIES.index(qos.reliability), _BLOCKING)
        native.set_durability(made, _DURABILITIES.index(qos.durability))
        if qos.durability != 'volatile':
            # what late joiners get is counted apart from what is kept for retransmission
            native.set_durability_service(made, 0, history, depth, *3 * (_UNLIMITED,))
        native.set_lifespan(made, _time(qos.lifespan_ns))
        native.set_deadline(made, _time(qos.deadline_ns))
        native.set_liveliness(made, _LIVELINESSES.index(qos.liveliness), _time(qos.lease_ns))
        # a sample outlives its writer, as everywhere in ROS 2
        native.set_autodispose(made, False)
        # ROS 2 speaks version 1 of CDR; a reader that offers version 2 does not match
        native.set_representation(made, 1, ct.byref((ct.c_int16 * 1)(0)))
        native.set_user_data(made, user_data, len(user_data))
        if ignore_own:
            native.set_ignore_local(made, 1)
        yield made
    finally:
        native.delete_qos(made)


def read_qos(made: int) -> Qos:
    """Read what discovery says of an endpoint's QoS."""
    reliability, durability, history, liveliness = (ct.c_int() for _ in range(4))
    depth, time = ct.c_int32(), ct.c_int64()
    native.get_reliability(made, ct.byref(reliability), ct.byref(time))
    native.get_durability(made, ct.byref(durability))
    native.get_history(made, ct.byref(history), ct.byref(depth))
    lease = ct.c_int64(native.INFINITY)
    native.get_liveliness(made, ct.byref(liveliness), ct.byref(lease))
    return Qos(
        _RELIABILITIES[reliability.value], _DURABILITIES[durability.value],
        'keep_all' if history.value else 'keep_last', max(depth.value, 1),
        _duration(native.get_deadline, made), _duration(native.get_lifespan, made),
        _LIVELINESSES[liveliness.value],
        None if lease.value == native.INFINITY else lease.value)


def read_user_data(made: int) -> dict[str, str]:
    """Read the 'key=value;' pairs that an endpoint announces."""
    data, size = ct.c_void_p(), ct.c_size_t()
    if not native.get_user_data(made, ct.byref(data), ct.byref(size)) or not data.value:
        return {}
    text = ct.string_at(data.value, size.value).decode('utf-8', 'replace')
    native.free(data)
    pairs = (item.partition('=') for item in text.split(';'))
    return {key: value for key, equals, value in pairs if equals}


def _time(value: int | None) -> int:
    return native.INFINITY if value is None else value


def _duration(read: Any, made: int) -> int | None:
    value = ct.c_int64(native.INFINITY)
    read(made, ct.byref(value))
    return None if value.value == native.INFINITY else value.value
