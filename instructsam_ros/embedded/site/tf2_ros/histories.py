# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of one frame: its transforms to its parent over time, or one that always holds.

Times are nanoseconds; 0 asks for the newest.
"""

from bisect import bisect_right
from typing import NamedTuple, Protocol

from tf2_ros.exceptions import ExtrapolationException
from tf2_ros.rigid import Rigid, interpolated


class Link(NamedTuple):
    """A frame's transform to its parent (child -> parent) at a time."""

    stamp: int
    rigid: Rigid
    parent: str


class History(Protocol):
    """The links of one frame."""

    def insert(self, link: Link) -> bool:
        """Take in a link; false if it is too old to keep."""

    def at(self, time: int) -> Link:
        """Return the link at a time. Raises ExtrapolationException."""

    def newest(self) -> Link | None:
        """Return the newest link, its stamp 0 if it always holds; None without any."""

    def oldest_stamp(self) -> int:
        """Return the first time known, 0 without any or if it always holds."""

    def clear(self) -> None:
        """Forget what is bound to a time."""

    def __len__(self) -> int: ...


class StaticHistory:
    """One link that always holds."""

    def __init__(self) -> None:
        self._link: Link | None = None

    def insert(self, link: Link) -> bool:
        """Take the place of the link before."""
        self._link = link._replace(stamp=0)
        return True

    def at(self, time: int) -> Link:
        """Return the link."""
        if self._link is None:
            raise ExtrapolationException('no transform was received yet')
        return self._link._replace(stamp=time)

    def newest(self) -> Link | None:
        """Return the link."""
        return self._link

    def oldest_stamp(self) -> int:
        """Return 0."""
        return 0

    def clear(self) -> None:
        """Keep the link: it is not bound to a time."""

    def __len__(self) -> int:
        return 1


class TimedHistory:
    """Links of the last ``span`` nanoseconds, oldest first."""

    def __init__(self, span: int) -> None:
        self._span = span
        self._stamps: list[int] = []
        self._links: list[Link] = []

    def insert(self, link: Link) -> bool:
        """File the link by its stamp and drop what is too old; a repeated one is kept once."""
        latest = self._stamps[-1] if self._stamps else 0
        outdated = bisect_right(self._stamps, latest - self._span - 1)
        del self._stamps[:outdated], self._links[:outdated]
        if self._stamps and link.stamp < latest - self._span:
            return False
        place = bisect_right(self._stamps, link.stamp)
        before = place - 1
        while before >= 0 and self._stamps[before] == link.stamp:
            if self._links[before] == link:
                return True
            before -= 1
        self._stamps.insert(place, link.stamp)
        self._links.insert(place, link)
        return True

    def at(self, time: int) -> Link:
        """Return the link at a time, between two of them if need be."""
        stamps = self._stamps
        if not stamps:
            raise ExtrapolationException(
                f'extrapolation: time {seconds(time)} was asked for, but no data was received yet'
            )
        if time == 0 or time == stamps[-1]:
            return self._links[-1]
        if len(stamps) == 1:
            raise ExtrapolationException(
                f'extrapolation: time {seconds(time)} was asked for, but the only data is at time '
                f'{seconds(stamps[0])}'
            )
        if time > stamps[-1]:
            raise ExtrapolationException(
                f'extrapolation into the future: time {seconds(time)} was asked for, but the '
                f'latest data is at time {seconds(stamps[-1])}'
            )
        if time < stamps[0]:
            raise ExtrapolationException(
                f'extrapolation into the past: time {seconds(time)} was asked for, but the '
                f'earliest data is at time {seconds(stamps[0])}'
            )
        place = bisect_right(stamps, time)
        one, two = self._links[place - 1], self._links[place]
        if one.parent != two.parent or one.stamp == time:
            return one
        ratio = (time - one.stamp) / (two.stamp - one.stamp)
        return Link(time, interpolated(one.rigid, two.rigid, ratio), one.parent)

    def newest(self) -> Link | None:
        """Return the newest link."""
        return self._links[-1] if self._links else None

    def oldest_stamp(self) -> int:
        """Return the first time known."""
        return self._stamps[0] if self._stamps else 0

    def clear(self) -> None:
        """Forget everything."""
        self._stamps.clear()
        self._links.clear()

    def __len__(self) -> int:
        return len(self._links)


def seconds(time: int) -> str:
    """Return a time as tf2 prints it."""
    return f'{time / 1e9:.6f}'
