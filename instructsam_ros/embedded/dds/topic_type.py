# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Types for Cyclone DDS that let serialized messages through as they are."""

from __future__ import annotations

import functools
import re
from typing import Any

from cyclonedds.idl import IdlStruct, make_idl_struct
from cyclonedds.idl import types as idl
from cyclonedds.idl.annotations import final


@functools.cache
def topic_type(type_name: str) -> type[Any]:
    """Return Cyclone's type for a type name of the wire, such as 'std_msgs::msg::dds_::String_'.

    Cyclone reads only as much of a sample as the type has members, and this one has the least
    possible. Among our own processes Cyclone compares types by their members instead of their
    names, so the member bears the name.
    """
    member = 'is_' + re.sub(r'\W+', '_', type_name)
    made: type[IdlStruct] = make_idl_struct(
        member, type_name.replace('::', '.'), {member: idl.uint8})
    # as ROS 2's types are; others do not match
    return final(made)
