# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Filters on message streams, as ROS 2 Jazzy's Python message_filters: cache and synchronisers."""

from message_filters.cache import Cache
from message_filters.filters import SimpleFilter, Subscriber
from message_filters.synchronizers import ApproximateTimeSynchronizer, TimeSynchronizer

__all__ = [
    'ApproximateTimeSynchronizer',
    'Cache',
    'SimpleFilter',
    'Subscriber',
    'TimeSynchronizer',
]
