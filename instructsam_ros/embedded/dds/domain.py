# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which network Cyclone DDS uses: ROS 2's environment variables and Cyclone's own.

A domain lives as long as somebody uses it, and reads the environment when it begins.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from xml.sax.saxutils import quoteattr

from instructsam_ros.embedded.dds import native

# Domains above would need port numbers that do not exist.
_LARGEST = 232
# Pictures travel in many UDP packets. Large packets, as much room for them at the receiver as the
# machine grants, and retransmission of whole pictures: with Cyclone's own values a 4K picture of
# 25 MB hardly ever arrives. A writer that closes waits only briefly for readers that died: each of
# a node's writers waits in turn.
_DEFAULTS = (
    '<General><MaxMessageSize>65500B</MaxMessageSize><FragmentSize>65000B</FragmentSize></General>'
    '<Internal><SocketReceiveBufferSize max="16MB"/>'
    '<MaxQueuedRexmitBytes>64MB</MaxQueuedRexmitBytes>'
    '<MaxQueuedRexmitMessages>2000</MaxQueuedRexmitMessages>'
    '<NackDelay>10ms</NackDelay><WriterLingerDuration>250ms</WriterLingerDuration></Internal>')
_RANGES = ('OFF', 'LOCALHOST', 'SUBNET', 'SYSTEM_DEFAULT')
_PRECONDITION_NOT_MET = -4

_lock = threading.Lock()
# domain id -> [Cyclone's handle or None if somebody else made it, number of users]
_domains: dict[int, list[int | None]] = {}


def domain_from_environment() -> int:
    """Return ROS_DOMAIN_ID, or 0 where it is not set.

    Raises:
        ValueError: It is not a domain.
    """
    text = os.environ.get('ROS_DOMAIN_ID', '').strip() or '0'
    return check_domain(int(text) if text.isdecimal() else text, 'ROS_DOMAIN_ID')


def check_domain(value: object, what: str = 'the domain') -> int:
    """Return a domain's number.

    Raises:
        ValueError: Not a whole number from 0 to 232.
    """
    if not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise ValueError(f'{what} is {value!r}; it must be a whole number from 0 to {_LARGEST}')
    return value


def configuration(environment: Mapping[str, str]) -> str:
    """Return Cyclone's configuration: ours, what ROS's variables ask for, then the user's own.

    Later parts win, so that CYCLONEDDS_URI can change everything.

    Raises:
        ValueError: ROS_AUTOMATIC_DISCOVERY_RANGE or ROS_LOCALHOST_ONLY has no known value.
    """
    parts = [f'<CycloneDDS><Domain>{_DEFAULTS}{_discovery(environment)}</Domain></CycloneDDS>']
    if own := environment.get('CYCLONEDDS_URI', '').strip():
        parts.append(own)
    return ','.join(parts)


def _discovery(environment: Mapping[str, str]) -> str:
    extent = environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '').strip().upper() or 'SUBNET'
    if extent not in _RANGES:
        raise ValueError(f'ROS_AUTOMATIC_DISCOVERY_RANGE is {extent!r}; it must be one of '
                         f'{", ".join(_RANGES)}')
    only = environment.get('ROS_LOCALHOST_ONLY', '').strip() or '0'
    if only not in ('0', '1'):
        raise ValueError(f'ROS_LOCALHOST_ONLY is {only!r}; it must be 0 or 1')
    if only == '1':
        extent = 'LOCALHOST'
    peers = [peer.strip() for peer in environment.get('ROS_STATIC_PEERS', '').split(';')]
    peers = [peer for peer in peers if peer]
    if extent == 'SYSTEM_DEFAULT':
        return ''
    if extent == 'OFF':
        # no other process has this tag
        return ('<General><AllowMulticast>false</AllowMulticast></General><Discovery>'
                '<ParticipantIndex>none</ParticipantIndex>'
                f'<Tag>ros_discovery_off_{os.getpid()}</Tag></Discovery>')
    parts = []
    if extent == 'LOCALHOST':
        parts.append('<General><AllowMulticast>false</AllowMulticast></General>')
        peers.insert(0, 'localhost')
    if peers:
        # without multicast, peers are tried on as many ports as there may be processes
        listed = ''.join(f'<Peer address={quoteattr(peer)}/>' for peer in peers)
        parts.append('<Discovery><ParticipantIndex>auto</ParticipantIndex>'
                     '<MaxAutoParticipantIndex>32</MaxAutoParticipantIndex>'
                     f'<Peers>{listed}</Peers></Discovery>')
    return ''.join(parts)


def acquire_domain(domain_id: int) -> None:
    """Begin to use a domain; pairs with `release_domain`.

    Raises:
        DdsError: Cyclone DDS does not accept the configuration; it prints why.
    """
    with _lock:
        if domain_id not in _domains:
            text = configuration(os.environ)
            handle: int | None = native.create_domain(domain_id, text.encode())
            if handle == _PRECONDITION_NOT_MET:
                handle = None
            elif handle is None or handle < 0:
                raise native.DdsError(
                    handle or -1, f'starting DDS domain {domain_id} (is CYCLONEDDS_URI right? '
                                  f'{os.environ.get("CYCLONEDDS_URI") or "it is not set"})')
            _domains[domain_id] = [handle, 0]
        _domains[domain_id][1] = (_domains[domain_id][1] or 0) + 1


def release_domain(domain_id: int) -> None:
    """End the use of a domain; the last user closes it."""
    with _lock:
        handle, users = _domains[domain_id]
        _domains[domain_id][1] = (users or 0) - 1
        if not _domains[domain_id][1]:
            del _domains[domain_id]
            if handle is not None:
                native.delete(handle)
