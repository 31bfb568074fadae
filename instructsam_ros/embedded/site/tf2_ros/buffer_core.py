# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The transform tree over time, and the ways through it. Thread-safe."""

import math
import threading
from typing import Any

from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.time import Time
from tf2_ros.exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from tf2_ros.histories import History, Link, StaticHistory, TimedHistory, seconds
from tf2_ros.rigid import IDENTITY, Rigid, normalised

DEFAULT_CACHE_TIME = Duration(seconds=10)
_MAX_DENORMALISATION = 1e-2


class BufferCore:
    """Transforms of every frame to its parent, kept for ``cache_time`` (10 s).

    Times are rclpy or message times; zero asks for the newest at which all parts are known.
    """

    def __init__(self, cache_time: Duration | None = None) -> None:
        self._span = nanoseconds_of(cache_time or DEFAULT_CACHE_TIME)
        # reentrant: looking up takes it, and so do its parts
        self._lock = threading.RLock()
        self._histories: dict[str, History] = {}
        # every frame ever named, in that order; roots have no history
        self._frames: dict[str, None] = {}
        self._authorities: dict[str, str] = {}

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """File a transform (child -> parent) at its stamp; unusable ones are logged and ignored."""
        self._set(transform, authority, static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """File a transform that always holds; unusable ones are logged and ignored."""
        self._set(transform, authority, static=True)

    def can_transform_core(
        self, target_frame: str, source_frame: str, time: Any
    ) -> tuple[bool, str]:
        """Return whether the lookup would succeed, and if not, why."""
        return self._try(self._path, target_frame, source_frame, nanoseconds_of(time))

    def can_transform_full_core(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
    ) -> tuple[bool, str]:
        """Return whether the lookup through time would succeed, and if not, why."""
        return self._try(
            self._path_through_time,
            target_frame,
            nanoseconds_of(target_time),
            source_frame,
            nanoseconds_of(source_time),
            fixed_frame,
        )

    def lookup_transform_core(
        self, target_frame: str, source_frame: str, time: Any
    ) -> TransformStamped:
        """Return the transform source -> target at a time. Raises a TransformException."""
        rigid, stamp = self._path(target_frame, source_frame, nanoseconds_of(time))
        return _stamped(rigid, stamp, target_frame, source_frame)

    def lookup_transform_full_core(
        self,
        target_frame: str,
        target_time: Any,
        source_frame: str,
        source_time: Any,
        fixed_frame: str,
    ) -> TransformStamped:
        """Return source at one time -> target at another, by way of a frame that stands still.

        Raises a TransformException.
        """
        rigid, stamp = self._path_through_time(
            target_frame,
            nanoseconds_of(target_time),
            source_frame,
            nanoseconds_of(source_time),
            fixed_frame,
        )
        return _stamped(rigid, stamp, target_frame, source_frame)

    def get_latest_common_time(self, target_frame: str, source_frame: str) -> Time:
        """Return the newest time at which the way between two frames is known, 0 if always.

        Raises a TransformException.
        """
        with self._lock:
            self._validate('get_latest_common_time', target_frame, source_frame)
            return Time(nanoseconds=self._latest_common(target_frame, source_frame))

    def clear(self) -> None:
        """Forget all transforms but the static ones; the frames stay known."""
        with self._lock:
            for history in self._histories.values():
                history.clear()

    def all_frames_as_yaml(self) -> str:
        """Return every frame with its parent, rate and times, as YAML."""
        with self._lock:
            entries = [
                text
                for frame, history in self._histories.items()
                if (text := self._frame_as_yaml(frame, history))
            ]
        return ''.join(entries) or '[]'

    def all_frames_as_string(self) -> str:
        """Return a line per frame with its parent."""
        with self._lock:
            lines = []
            for frame, history in self._histories.items():
                link = history.newest()
                parent = link.parent if link else 'NO_PARENT'
                lines.append(f'Frame {frame} exists with parent {parent}.\n')
        return ''.join(lines)

    def _frameExists(self, frame_id: str) -> bool:
        """Tell whether a frame was ever named."""
        with self._lock:
            return frame_id in self._frames

    def _getFrameStrings(self) -> list[str]:
        """Return every frame that was ever named."""
        with self._lock:
            return list(self._frames)

    def _set(self, message: TransformStamped, authority: str, *, static: bool) -> None:
        parent = message.header.frame_id.removeprefix('/')
        child = message.child_frame_id.removeprefix('/')
        link = Link(nanoseconds_of(message.header.stamp), _rigid(message.transform), parent)
        complaint = _complaint(link, child)
        if complaint:
            get_logger('tf2').error(f'transform from authority "{authority}" ignored: {complaint}')
            return
        rotation = normalised(link.rigid.rotation)
        link = link._replace(rigid=Rigid(link.rigid.translation, rotation))
        wanted = StaticHistory if static else TimedHistory
        with self._lock:
            self._frames.setdefault(child)
            history = self._histories.get(child)
            if not isinstance(history, wanted):
                # a frame becomes static, or stops to be: what was known of it no longer holds
                history = StaticHistory() if static else TimedHistory(self._span)
                self._histories[child] = history
            self._frames.setdefault(parent)
            kept = history.insert(link)
            if kept:
                self._authorities[child] = authority
        if not kept:
            get_logger('tf2').warning(
                f'transform of frame {child} at time {seconds(link.stamp)} from authority '
                f'"{authority}" ignored: it is older than the buffer reaches back'
            )

    @staticmethod
    def _try(path: Any, *arguments: Any) -> tuple[bool, str]:
        try:
            path(*arguments)
        except TransformException as error:
            return False, str(error)
        return True, ''

    def _path_through_time(
        self, target: str, target_time: int, source: str, source_time: int, fixed: str
    ) -> tuple[Rigid, int]:
        with self._lock:
            self._validate('lookup_transform_full', target, source, fixed)
            first, _ = self._path(fixed, source, source_time)
            second, stamp = self._path(target, fixed, target_time)
        return second.after(first), stamp

    def _path(self, target: str, source: str, time: int) -> tuple[Rigid, int]:
        """Return source -> target and the time it is from."""
        with self._lock:
            if target == source:
                # not validated: this holds for frames that nobody has heard of too
                history = self._histories.get(target)
                link = history.newest() if history is not None and time == 0 else None
                return IDENTITY, link.stamp if link else time
            self._validate('lookup_transform', target, source)
            if time == 0:
                time = self._latest_common(target, source)
            try:
                return self._walk(target, source, time), time
            except ExtrapolationException as error:
                raise ExtrapolationException(
                    f'{error}, when looking up transform from frame [{source}] to frame [{target}]'
                ) from None

    def _walk(self, target: str, source: str, time: int) -> Rigid:
        """Go up from the source and from the target to where they meet."""
        up = {source: IDENTITY}
        gap: ExtrapolationException | None = None
        frame, rigid = source, IDENTITY
        while frame != target and (history := self._histories.get(frame)) is not None:
            try:
                link = history.at(time)
            except ExtrapolationException as error:
                # the way may be complete without going this far up
                gap = error
                break
            frame, rigid = link.parent, link.rigid.after(rigid)
            self._mark(up, frame, rigid)
        frame, rigid = target, IDENTITY
        seen = {target: IDENTITY}
        while frame not in up:
            history = self._histories.get(frame)
            if history is None:
                raise gap or self._disconnected(target, source)
            link = history.at(time)
            frame, rigid = link.parent, link.rigid.after(rigid)
            self._mark(seen, frame, rigid)
        return rigid.inverse().after(up[frame])

    def _latest_common(self, target: str, source: str) -> int:
        """Return the oldest of the newest stamps along the way, 0 if all of it always holds."""
        if target == source:
            history = self._histories.get(source)
            link = history.newest() if history is not None else None
            return link.stamp if link else 0
        up = self._newest_upwards(source)
        stamps: list[int] = []
        seen: dict[str, None] = {target: None}
        frame = target
        while frame not in up:
            history = self._histories.get(frame)
            link = history.newest() if history is not None else None
            if link is None:
                raise self._disconnected(target, source)
            stamps.append(link.stamp)
            frame = link.parent
            self._mark(seen, frame, None)
        stamps += up[frame]
        return min((stamp for stamp in stamps if stamp), default=0)

    def _newest_upwards(self, frame: str) -> dict[str, list[int]]:
        """Return each ancestor with the newest stamps of the links on the way to it."""
        up: dict[str, list[int]] = {frame: []}
        while (history := self._histories.get(frame)) is not None:
            link = history.newest()
            if link is None:
                break
            self._mark(up, link.parent, [*up[frame], link.stamp])
            frame = link.parent
        return up

    def _mark(self, steps: dict[str, Any], frame: str, value: Any) -> None:
        """Note that the way upwards comes by a frame. Raises LookupException if it does again."""
        if frame in steps:
            raise LookupException(
                f'the tf tree contains a loop.\n{self.all_frames_as_string()}'
            )
        steps[frame] = value

    def _disconnected(self, target: str, source: str) -> ConnectivityException:
        return ConnectivityException(
            f"no connection between '{target}' and '{source}': they are not part of the same tree"
        )

    def _validate(self, caller: str, *frames: str) -> None:
        for frame in frames:
            if not frame:
                raise InvalidArgumentException(
                    f'invalid argument "" passed to {caller}: frame ids cannot be empty'
                )
            if frame.startswith('/'):
                raise InvalidArgumentException(
                    f'invalid argument "{frame}" passed to {caller}: frame ids cannot start with '
                    "a '/'"
                )
            if frame not in self._frames:
                raise LookupException(f'"{frame}" passed to {caller} does not exist')

    def _frame_as_yaml(self, frame: str, history: History) -> str:
        link = history.newest()
        if link is None:
            return ''
        oldest = history.oldest_stamp()
        # what tf2 divides by where there is one transform only
        span = max((link.stamp - oldest) / 1e9, 1e-4)
        authority = self._authorities.get(frame, 'no recorded authority')
        return (
            f'{frame}: \n'
            f"  parent: '{link.parent}'\n"
            f"  broadcaster: '{authority}'\n"
            f'  rate: {len(history) / span:.3f}\n'
            f'  most_recent_transform: {seconds(link.stamp)}\n'
            f'  oldest_transform: {seconds(oldest)}\n'
            f'  buffer_length: {(link.stamp - oldest) / 1e9:.3f}\n'
        )


def nanoseconds_of(time: Any) -> int:
    """Return a time or duration, of rclpy or a message, in nanoseconds. Raises TypeError."""
    if hasattr(time, 'sec') and hasattr(time, 'nanosec'):
        return int(time.sec) * 1_000_000_000 + int(time.nanosec)
    if hasattr(time, 'nanoseconds'):
        return int(time.nanoseconds)
    raise TypeError('time must have sec and nanosec, or nanoseconds.')


def _rigid(transform: Any) -> Rigid:
    t, r = transform.translation, transform.rotation
    return Rigid((t.x, t.y, t.z), (r.x, r.y, r.z, r.w))


def _complaint(link: Link, child: str) -> str:
    """Return what makes a transform unusable, or nothing."""
    if not child:
        return 'it has no child_frame_id'
    if not link.parent:
        return f'child_frame_id "{child}" has no frame_id'
    if child == link.parent:
        return f'frame_id and child_frame_id are the same, "{child}"'
    translation, rotation = link.rigid
    if any(math.isnan(value) for value in (*translation, *rotation)):
        return f'child_frame_id "{child}" has a NaN in it'
    length = sum(value * value for value in rotation)
    if not abs(length - 1) < _MAX_DENORMALISATION:
        return f'child_frame_id "{child}" has a quaternion that is not normalised, {rotation}'
    return ''


def _stamped(rigid: Rigid, stamp: int, target: str, source: str) -> TransformStamped:
    message = TransformStamped()
    sec, nanosec = divmod(stamp, 1_000_000_000)
    message.header.stamp = TimeMessage(sec=sec, nanosec=nanosec)
    message.header.frame_id = target
    message.child_frame_id = source
    to = message.transform
    to.translation.x, to.translation.y, to.translation.z = rigid.translation
    to.rotation.x, to.rotation.y, to.rotation.z, to.rotation.w = rigid.rotation
    return message
