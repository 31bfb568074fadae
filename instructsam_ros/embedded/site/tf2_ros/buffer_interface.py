# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every buffer can do beside looking up: transform objects whose types were registered."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, ClassVar

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time
from std_msgs.msg import Header


class TypeException(Exception):  # noqa: N818  (names of the ROS API, here and below)
    """A type that nobody registered."""

    def __init__(self, errstr: str) -> None:
        super().__init__(errstr)
        self.errstr = errstr


class NotImplementedException(Exception):  # noqa: N818
    """A buffer without lookups of its own was asked for one."""

    def __init__(self) -> None:
        self.errstr = 'CanTransform or LookupTransform not implemented'
        super().__init__(self.errstr)


class BufferInterface:
    """Base of the buffers: ``transform`` in terms of the lookups."""

    def __init__(self) -> None:
        self.registration = TransformRegistration()

    def transform(
        self,
        object_stamped: Any,
        target_frame: str,
        timeout: Duration = Duration(),  # noqa: B008  (as in the ROS API; never changed)
        new_type: Any = None,
    ) -> Any:
        """Return the object in another frame at its own stamp, converted to ``new_type`` if given.

        Raises TypeException for types that were not registered, and what the lookup raises.
        """
        do_transform = self.registration.get(type(object_stamped))
        header = object_stamped.header
        found = self.lookup_transform(target_frame, header.frame_id, header.stamp, timeout)
        moved = do_transform(object_stamped, found)
        return moved if new_type is None else convert(moved, new_type)

    def transform_full(
        self,
        object_stamped: Any,
        target_frame: str,
        target_time: Time,
        fixed_frame: str,
        timeout: Duration = Duration(),  # noqa: B008
        new_type: Any = None,
    ) -> Any:
        """Return the object in another frame at another time, by way of a frame that stands still.

        Raises like ``transform``.
        """
        do_transform = self.registration.get(type(object_stamped))
        header = object_stamped.header
        found = self.lookup_transform_full(
            target_frame, target_time, header.frame_id, header.stamp, fixed_frame, timeout
        )
        moved = do_transform(object_stamped, found)
        return moved if new_type is None else convert(moved, new_type)

    def lookup_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),  # noqa: B008
    ) -> TransformStamped:
        """Return the transform source -> target; for subclasses."""
        raise NotImplementedException()

    def lookup_transform_full(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
        timeout: Duration = Duration(),  # noqa: B008
    ) -> TransformStamped:
        """Return the transform source -> target through time; for subclasses."""
        raise NotImplementedException()

    def can_transform(
        self,
        target_frame: str,
        source_frame: str,
        time: Time,
        timeout: Duration = Duration(),  # noqa: B008
    ) -> Any:
        """Tell whether the lookup would succeed; for subclasses."""
        raise NotImplementedException()

    def can_transform_full(
        self,
        target_frame: str,
        target_time: Time,
        source_frame: str,
        source_time: Time,
        fixed_frame: str,
        timeout: Duration = Duration(),  # noqa: B008
    ) -> Any:
        """Tell whether the lookup through time would succeed; for subclasses."""
        raise NotImplementedException()


class TransformRegistration:
    """How objects of each type are transformed; one table for the process."""

    _transforms: ClassVar[dict[Any, Callable[..., Any]]] = {}

    def print_me(self) -> None:
        """Print the table."""
        print(self._transforms)

    def add(self, key: Any, callback: Callable[[Any, TransformStamped], Any]) -> None:
        """Register what transforms objects of type ``key``."""
        self._transforms[key] = callback

    def get(self, key: Any) -> Callable[[Any, TransformStamped], Any]:
        """Return what transforms objects of type ``key``. Raises TypeException."""
        return _registered(self._transforms, key)


class ConvertRegistration:
    """How objects are converted to messages, from them, and into each other."""

    _to_msg: ClassVar[dict[Any, Callable[..., Any]]] = {}
    _from_msg: ClassVar[dict[Any, Callable[..., Any]]] = {}
    _convert: ClassVar[dict[Any, Callable[..., Any]]] = {}

    def add_from_msg(self, key: Any, callback: Callable[[Any], Any]) -> None:
        """Register what makes a ``key`` from a message."""
        self._from_msg[key] = callback

    def add_to_msg(self, key: Any, callback: Callable[[Any], Any]) -> None:
        """Register what makes a message from a ``key``."""
        self._to_msg[key] = callback

    def add_convert(self, key: tuple[Any, Any], callback: Callable[[Any], Any]) -> None:
        """Register what makes a ``key[1]`` from a ``key[0]`` at once."""
        self._convert[key] = callback

    def get_from_msg(self, key: Any) -> Callable[[Any], Any]:
        """Return what makes a ``key`` from a message. Raises TypeException."""
        return _registered(self._from_msg, key)

    def get_to_msg(self, key: Any) -> Callable[[Any], Any]:
        """Return what makes a message from a ``key``. Raises TypeException."""
        return _registered(self._to_msg, key)

    def get_convert(self, key: tuple[Any, Any]) -> Callable[[Any], Any]:
        """Return what makes a ``key[1]`` from a ``key[0]``. Raises TypeException."""
        return _registered(self._convert, key)


def convert(a: Any, b_type: Any) -> Any:
    """Return ``a`` as a ``b_type``, at once if that was registered, else by way of a message.

    The same type gives a copy. Raises TypeException.
    """
    registry = ConvertRegistration()
    try:
        direct = registry.get_convert((type(a), b_type))
    except TypeException:
        if type(a) is b_type:
            return deepcopy(a)
        return registry.get_from_msg(b_type)(registry.get_to_msg(type(a))(a))
    return direct(a)


def Stamped(obj: Any, stamp: Any, frame_id: str) -> Any:
    """Give the object a header and return it."""
    obj.header = Header(frame_id=frame_id, stamp=stamp)
    return obj


def _registered(table: dict[Any, Callable[..., Any]], key: Any) -> Callable[..., Any]:
    if key not in table:
        raise TypeException(f'Type {key} is not loaded or supported')
    return table[key]
