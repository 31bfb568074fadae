# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The functions of Cyclone DDS's C interface that we call directly.

Calls made here release Python's lock. The Python package holds it while it writes, so that a
writer waiting for its readers would stop every other thread of the process.
"""

from __future__ import annotations

import ctypes as ct
from typing import Any

from cyclonedds.internal import DDS, dds_c_t

INFINITY = 2 ** 63 - 1
NANOSECONDS = 1_000_000_000

PARTICIPANT_TOPIC = 0x7fff0001
WRITER_TOPIC = 0x7fff0003
READER_TOPIC = 0x7fff0004

# The bits of an entity's status
OFFERED_DEADLINE_MISSED = 1 << 1
REQUESTED_DEADLINE_MISSED = 1 << 2
OFFERED_INCOMPATIBLE_QOS = 1 << 3
REQUESTED_INCOMPATIBLE_QOS = 1 << 4
DATA_AVAILABLE = 1 << 8
LIVELINESS_LOST = 1 << 9
LIVELINESS_CHANGED = 1 << 10
PUBLICATION_MATCHED = 1 << 11
SUBSCRIPTION_MATCHED = 1 << 12

TIMEOUT = -10
ALREADY_DELETED = -9
_BAD_PARAMETER = -3
_MESSAGES = {
    -1: 'error', -2: 'unsupported', -3: 'bad parameter, or already closed',
    -4: 'precondition not met', -5: 'out of resources', -6: 'not enabled',
    -7: 'immutable policy', -8: 'inconsistent policies', -9: 'already closed', -10: 'timed out',
    -11: 'no data', -12: 'illegal operation', -13: 'not allowed by security'}


class DdsError(RuntimeError):
    """Cyclone DDS refused; the message says what was tried and why it failed."""

    def __init__(self, code: int, what: str) -> None:
        super().__init__(f'{what}: {_MESSAGES.get(code, f"error {code}")}')
        self.code = code

    @property
    def closed(self) -> bool:
        """Whether the reason is that the entity exists no more."""
        return self.code in (ALREADY_DELETED, _BAD_PARAMETER)


class Container(ct.Structure):
    """How the Python package hands a serialized sample to Cyclone DDS and takes it back."""

    _fields_ = [('data', ct.c_void_p), ('size', ct.c_size_t)]


class Endpoint(ct.Structure):
    """A reader or writer as discovery describes it."""

    _fields_ = [('key', ct.c_uint8 * 16), ('participant_key', ct.c_uint8 * 16),
                ('participant_handle', ct.c_uint64), ('topic', ct.c_char_p),
                ('type_name', ct.c_char_p), ('qos', ct.c_void_p)]


class ParticipantData(ct.Structure):
    """A participant as discovery describes it."""

    _fields_ = [('key', ct.c_uint8 * 16), ('qos', ct.c_void_p)]


SampleInfo = dds_c_t.sample_info

# an own handle to the library: argument types set here are not seen by the Python package
_library = ct.CDLL(DDS._dll_handle._name)
_entity, _status, _qos, _time = ct.c_int32, ct.c_int32, ct.c_void_p, ct.c_int64
_pointer = ct.c_void_p


def _bind(name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(_library, name)
    function.restype, function.argtypes = result, arguments
    return function


create_domain = _bind('dds_create_domain', _entity, ct.c_uint32, ct.c_char_p)
delete = _bind('dds_delete', _status, _entity)
get_guid = _bind('dds_get_guid', _status, _entity, _pointer)
get_instance_handle = _bind('dds_get_instance_handle', _status, _entity, _pointer)
create_reader = _bind('dds_create_reader', _entity, _entity, _entity, _qos, _pointer)
create_writer = _bind('dds_create_writer', _entity, _entity, _entity, _qos, _pointer)
write = _bind('dds_write', _status, _entity, _pointer)
take = _bind('dds_take', _status, _entity, _pointer, _pointer, ct.c_size_t, ct.c_uint32)
return_loan = _bind('dds_return_loan', _status, _entity, _pointer, ct.c_int32)
free = _bind('dds_free', None, _pointer)
wait_for_acks = _bind('dds_wait_for_acks', _status, _entity, _time)
assert_liveliness = _bind('dds_assert_liveliness', _status, _entity)
set_status_mask = _bind('dds_set_status_mask', _status, _entity, ct.c_uint32)
take_status = _bind('dds_take_status', _status, _entity, _pointer, ct.c_uint32)
create_waitset = _bind('dds_create_waitset', _entity, _entity)
create_guard = _bind('dds_create_guardcondition', _entity, _entity)
set_guard = _bind('dds_set_guardcondition', _status, _entity, ct.c_bool)
waitset_attach = _bind('dds_waitset_attach', _status, _entity, _entity, ct.c_ssize_t)
waitset_detach = _bind('dds_waitset_detach', _status, _entity, _entity)
waitset_wait = _bind('dds_waitset_wait', _status, _entity, _pointer, ct.c_size_t, _time)
matched_readers = _bind('dds_get_matched_subscriptions', _status, _entity, _pointer, ct.c_size_t)
matched_writers = _bind('dds_get_matched_publications', _status, _entity, _pointer, ct.c_size_t)
matched_reader_data = _bind('dds_get_matched_subscription_data', ct.POINTER(Endpoint), _entity,
                            ct.c_uint64)
matched_writer_data = _bind('dds_get_matched_publication_data', ct.POINTER(Endpoint), _entity,
                            ct.c_uint64)
free_endpoint = _bind('dds_builtintopic_free_endpoint', None, ct.POINTER(Endpoint))

create_qos = _bind('dds_create_qos', _qos)
delete_qos = _bind('dds_delete_qos', None, _qos)
set_user_data = _bind('dds_qset_userdata', None, _qos, ct.c_char_p, ct.c_size_t)
set_history = _bind('dds_qset_history', None, _qos, ct.c_int, ct.c_int32)
set_reliability = _bind('dds_qset_reliability', None, _qos, ct.c_int, _time)
set_durability = _bind('dds_qset_durability', None, _qos, ct.c_int)
set_durability_service = _bind('dds_qset_durability_service', None, _qos, _time, ct.c_int,
                               ct.c_int32, ct.c_int32, ct.c_int32, ct.c_int32)
set_lifespan = _bind('dds_qset_lifespan', None, _qos, _time)
set_deadline = _bind('dds_qset_deadline', None, _qos, _time)
set_liveliness = _bind('dds_qset_liveliness', None, _qos, ct.c_int, _time)
set_ignore_local = _bind('dds_qset_ignorelocal', None, _qos, ct.c_int)
set_autodispose = _bind('dds_qset_writer_data_lifecycle', None, _qos, ct.c_bool)
set_representation = _bind('dds_qset_data_representation', None, _qos, ct.c_uint32, _pointer)
get_user_data = _bind('dds_qget_userdata', ct.c_bool, _qos, _pointer, _pointer)
get_history = _bind('dds_qget_history', ct.c_bool, _qos, _pointer, _pointer)
get_reliability = _bind('dds_qget_reliability', ct.c_bool, _qos, _pointer, _pointer)
get_durability = _bind('dds_qget_durability', ct.c_bool, _qos, _pointer)
get_lifespan = _bind('dds_qget_lifespan', ct.c_bool, _qos, _pointer)
get_deadline = _bind('dds_qget_deadline', ct.c_bool, _qos, _pointer)
get_liveliness = _bind('dds_qget_liveliness', ct.c_bool, _qos, _pointer, _pointer)

# Which status structure each bit has, and the function that reads it
STATUSES: dict[int, tuple[str, Any, Any]] = {
    bit: (kind, structure, _bind(f'dds_get_{name}_status', _status, _entity, _pointer))
    for bit, kind, name, structure in (
        (OFFERED_DEADLINE_MISSED, 'deadline_missed', 'offered_deadline_missed',
         dds_c_t.offered_deadline_missed_status),
        (REQUESTED_DEADLINE_MISSED, 'deadline_missed', 'requested_deadline_missed',
         dds_c_t.requested_deadline_missed_status),
        (OFFERED_INCOMPATIBLE_QOS, 'incompatible_qos', 'offered_incompatible_qos',
         dds_c_t.offered_incompatible_qos_status),
        (REQUESTED_INCOMPATIBLE_QOS, 'incompatible_qos', 'requested_incompatible_qos',
         dds_c_t.requested_incompatible_qos_status),
        (LIVELINESS_LOST, 'liveliness', 'liveliness_lost', dds_c_t.liveliness_lost_status),
        (LIVELINESS_CHANGED, 'liveliness', 'liveliness_changed',
         dds_c_t.liveliness_changed_status),
        (PUBLICATION_MATCHED, 'matched', 'publication_matched',
         dds_c_t.publication_matched_status),
        (SUBSCRIPTION_MATCHED, 'matched', 'subscription_matched',
         dds_c_t.subscription_matched_status))}


def check(code: int, what: str) -> int:
    """Return a handle or a count as it is, and raise DdsError for a negative code."""
    if code < 0:
        raise DdsError(code, what)
    return code


def guid(entity: int) -> bytes:
    """Return the 16 bytes that name an entity in the whole network."""
    value = (ct.c_uint8 * 16)()
    check(get_guid(entity, ct.byref(value)), 'reading an identity')
    return bytes(value)


def instance_handle(entity: int) -> int:
    """Return the number by which this process knows an entity."""
    value = ct.c_uint64()
    check(get_instance_handle(entity, ct.byref(value)), 'reading a handle')
    return value.value
