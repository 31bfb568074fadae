# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are the camera's, the instructions and the truth.

Types decide, then the first message of each: encodings tell depth from colour, frames tell which
depth and camera_info belong to the image. Names given by the user outrank all that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from instructsam_ros.bridge.encodings import ENCODINGS
from instructsam_ros.perception.depth import METRES_32F, MILLIMETRES_16
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.reading import BagReader, TopicInfo

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO, TF = 'sensor_msgs/msg/CameraInfo', 'tf2_msgs/msg/TFMessage'
STRING = 'std_msgs/msg/String'
INSTANCES, TARGETS = 'instructsam_ros/msg/InstanceArray', 'instructsam_ros/msg/TargetArray'

_DEPTH_ENCODINGS = frozenset((*METRES_32F.names, *MILLIMETRES_16.names))
_GREY = ('mono8', 'mono16', '8UC1')
_IMAGES = (IMAGE, COMPRESSED)
_TRUTH = 'ground_truth'
# what the perception node publishes beside its instances: pictures, but of no camera
_OURS = ('overlay', 'overlay/compressed', 'label_image')


@dataclass(frozen=True)
class BagTopics:
    """Names of topics; None for what a bag lacks.

    Attributes:
        image, depth, camera_info: of one camera.
        instruction: std_msgs/String with what is asked for.
        truth_instances, truth_targets: all objects that can be seen, with lasting ids.
        meant_instances: those that the standing instruction means.
        schedule: std_msgs/String with JSON about each instruction: number, kind, objects meant.
        tf, tf_static: TFMessage topics; any number of them.
        notes: what was chosen without being sure.
        depth_camera_info: of the camera that took the depth, if it has one of its own.
    """

    image: str
    depth: str | None = None
    camera_info: str | None = None
    instruction: str | None = None
    truth_instances: str | None = None
    truth_targets: str | None = None
    meant_instances: str | None = None
    schedule: str | None = None
    tf: tuple[str, ...] = ()
    tf_static: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    depth_camera_info: str | None = None

    def named(self) -> dict[str, str]:
        """Return role -> topic for those that are there; TF topics joined by spaces."""
        found = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value and one.name != 'notes':
                found[one.name] = value if isinstance(value, str) else ' '.join(value)
        return found


@dataclass(frozen=True)
class _Picture:
    """An image topic and what its first message says."""

    info: TopicInfo
    encoding: str
    frame: str

    @property
    def is_depth(self) -> bool:
        # mono16 is infrared as often as it is depth
        return self.encoding in _DEPTH_ENCODINGS and (
            self.encoding != 'mono16' or 'depth' in self.info.name.lower())

    @property
    def is_grey(self) -> bool:
        return self.encoding in _GREY

    @property
    def base(self) -> str:
        """The topic without image_transport's ending."""
        for ending in ('/compressedDepth', '/compressed'):
            if self.info.type == COMPRESSED and self.info.name.endswith(ending):
                return self.info.name.removesuffix(ending)
        return self.info.name


def choose_topics(
    bag: BagReader,
    *,
    image: str | None = None,
    depth: str | None = None,
    camera_info: str | None = None,
    depth_camera_info: str | None = None,
    instruction: str | None = None,
    truth: str | None = None,
    use_depth: bool = True,
) -> BagTopics:
    """Choose the topics of one camera; names given are only checked.

    ``truth`` is an InstanceArray topic with all objects, or with what the instruction means.
    Raises BagError where an image is missing, or where several fit: it lists them and says which
    argument decides.
    """
    if not bag.count:
        raise BagError(f'{bag.path}: there are no messages in this bag')
    notes: list[str] = []
    pictures = _pictures(bag, {image, depth} - {None})
    color = _color(bag, pictures, image)
    range_ = _depth(bag, pictures, color, depth) if use_depth else None
    info = _camera_info(bag, color, camera_info, notes)
    range_info = None if range_ is None else _depth_camera_info(
        bag, range_, info, depth_camera_info)
    if use_depth:
        notes = [*_depth_notes(color, range_, range_info), *notes]
    transforms = [one.name for one in bag.topics.values() if one.type == TF]
    static = [name for name in transforms
              if name.rpartition('/')[2] == 'tf_static' or bag.topics[name].latched]
    truths = {one.name: one for one in bag.topics.values() if _TRUTH in one.name}
    if truth is not None:
        _checked(bag, truth, (INSTANCES,), '--truth')
        prefix = truth.rpartition('/')[0]
        truths = {name: one for name, one in bag.topics.items()
                  if name == truth or (_TRUTH in name and name.rpartition('/')[0] == prefix)}
    elif truths:
        truths = _of_camera(bag, truths, color)
    is_meant = truth is not None and not truth.rpartition('/')[2].startswith('instances')
    return BagTopics(
        color.info.name,
        None if range_ is None else range_.info.name,
        info,
        _instruction(bag, instruction),
        None if is_meant else truth or _ending(truths, INSTANCES, '/instances'),
        _ending(truths, TARGETS, '/targets'),
        truth if is_meant else _ending(truths, INSTANCES, '/meant_instances'),
        _ending(truths, STRING, '/schedule'),
        tuple(name for name in transforms if name not in static),
        tuple(static),
        tuple(notes),
        range_info,
    )


def _pictures(bag: BagReader, named: set[str | None]) -> list[_Picture]:
    """Look at the first message of every image topic, but of our own results."""
    results = {one.name.rpartition('/')[0] for one in bag.topics.values() if one.type == INSTANCES}
    ours = {f'{prefix}/{name}' for prefix in results for name in _OURS} - named
    found = []
    for one in bag.topics.values():
        if one.type in _IMAGES and one.count and one.name not in ours:
            first = _first(bag, one.name)
            stated = first.encoding if one.type == IMAGE else _stated_encoding(first.format)
            found.append(_Picture(one, stated, str(first.header.frame_id)))
    return found


def _stated_encoding(form: str) -> str:
    """Return the encoding of the picture in a compressed message, '' where nothing tells."""
    encoding = form.partition(';')[0].strip()
    return encoding if encoding in ENCODINGS or encoding in _DEPTH_ENCODINGS else ''


def _color(bag: BagReader, pictures: Sequence[_Picture], name: str | None) -> _Picture:
    if name is not None:
        _checked(bag, name, _IMAGES, '--image')
        chosen = next((one for one in pictures if one.info.name == name), None)
        if chosen is None:
            raise BagError(f'{name} has no messages in this bag; it has {bag.listing()}')
        if chosen.is_depth:
            raise BagError(f'{name} holds depth ({chosen.encoding}): name a colour topic')
        return chosen
    found = [one for one in pictures if not one.is_depth]
    # infrared images are grey, and stand beside a colour image mostly
    found = [one for one in found if not one.is_grey] or found
    return _only(bag, found, 'image', '--image', f'{IMAGE} or {COMPRESSED}')


def _depth(
    bag: BagReader, pictures: Sequence[_Picture], color: _Picture, name: str | None
) -> _Picture | None:
    if name is not None:
        _checked(bag, name, _IMAGES, '--depth')
        chosen = next((one for one in pictures if one.info.name == name), None)
        if chosen is None:
            raise BagError(f'{name} has no messages in this bag; it has {bag.listing()}')
        return chosen
    found = [one for one in pictures if one.is_depth]
    if not found:
        return None
    aligned = [one for one in found if one.frame == color.frame]
    return _only(bag, aligned or found, 'depth', '--depth', f'{IMAGE} or {COMPRESSED}')


def _depth_camera_info(
    bag: BagReader, depth: _Picture, color_info: str | None, name: str | None
) -> str | None:
    if name is not None:
        return _checked(bag, name, (CAMERA_INFO,), '--depth-camera-info')
    beside = f'{depth.base.rpartition("/")[0]}/camera_info'
    one = bag.topics.get(beside)
    is_own = one is not None and one.type == CAMERA_INFO and one.count and beside != color_info
    return beside if is_own else None


def _depth_notes(color: _Picture, depth: _Picture | None, info: str | None) -> list[str]:
    """Say where depth is missing or of another camera."""
    if depth is None:
        return ['no depth topic: results are 2D only']
    if not depth.frame or not color.frame or depth.frame == color.frame:
        return []
    other = f'{depth.info.name} has the frame {depth.frame!r}, the image {color.frame!r}'
    if info is None:
        return [f'{other}, and nothing tells how to bring it into the picture: targets have no 3D; '
                'name the calibration of the depth camera with --depth-camera-info']
    return [f'{other}: depth is brought into the picture by {info} and TF']


def _camera_info(
    bag: BagReader, color: _Picture, name: str | None, notes: list[str]
) -> str | None:
    if name is not None:
        return _checked(bag, name, (CAMERA_INFO,), '--camera-info')
    beside = f'{color.base.rpartition("/")[0]}/camera_info'
    infos = [one.name for one in bag.topics.values() if one.type == CAMERA_INFO and one.count]
    if beside in infos:
        return beside
    fitting = [one for one in infos if _first(bag, one).header.frame_id == color.frame] or infos
    if not fitting:
        notes.append('no camera_info topic: results are 2D only')
        return None
    if len(fitting) > 1:
        raise BagError(
            f'{bag.path}: several camera_info topics may belong to {color.info.name}: '
            f'{", ".join(fitting)}; choose one with --camera-info')
    notes.append(f'{fitting[0]} is taken for the calibration of {color.info.name}')
    return fitting[0]


def _instruction(bag: BagReader, name: str | None) -> str | None:
    if name is not None:
        return _checked(bag, name, (STRING,), '--instruction-topic')
    found = [one.name for one in bag.topics.values()
             if one.type == STRING and one.name.rpartition('/')[2] == 'instruction']
    if len(found) > 1:
        raise BagError(
            f'{bag.path}: several instruction topics: {", ".join(found)}; choose one with '
            '--instruction-topic')
    return found[0] if found else None


def _of_camera(
    bag: BagReader, truths: dict[str, TopicInfo], color: _Picture
) -> dict[str, TopicInfo]:
    """Return the truth that belongs to the image, where each of several cameras has one."""
    prefixes = sorted({name.partition(_TRUTH)[0] for name in truths})
    if len(prefixes) > 1:
        prefixes = [one for one in prefixes if color.info.name.startswith(f'/{one.split("/")[1]}/')]
    if len(prefixes) != 1:
        names = ', '.join(name for name, one in truths.items() if one.type == INSTANCES)
        raise BagError(
            f'{bag.path}: several truths: {names}; choose one with --truth')
    return {name: one for name, one in truths.items() if name.startswith(prefixes[0])}


def _ending(topics: dict[str, TopicInfo], kind: str, ending: str) -> str | None:
    return next((name for name, one in sorted(topics.items())
                 if one.type == kind and name.endswith(ending)), None)


def _only(
    bag: BagReader, found: Sequence[_Picture], role: str, argument: str, expected: str
) -> _Picture:
    """Return the one picture topic that is left; raw ones go before compressed ones."""
    by_base: dict[str, _Picture] = {}
    for one in found:
        if one.base not in by_base or one.info.type == IMAGE:
            by_base[one.base] = one
    if not by_base:
        raise BagError(
            f'{bag.path}: no {role} topic: expected one of type {expected}; the bag has '
            f'{bag.listing()}; name it with {argument}')
    if len(by_base) > 1:
        names = ', '.join(
            f'{one.info.name} ({one.encoding or "compressed"}, {one.info.count} messages)'
            for one in by_base.values())
        raise BagError(f'{bag.path}: several {role} topics: {names}; choose one with {argument}')
    return next(iter(by_base.values()))


def _checked(bag: BagReader, name: str, kinds: Sequence[str], argument: str) -> str:
    """Return a topic that the user named. Raises BagError where it is missing or another kind."""
    info = bag.topics.get(name)
    if info is None:
        raise BagError(
            f'{bag.path}: no topic {name} ({argument}): expected one of type '
            f'{" or ".join(kinds)}; the bag has {bag.listing()}')
    if info.type not in kinds:
        raise BagError(f'{name} ({argument}) is {info.type}, expected {" or ".join(kinds)}')
    return name


def _first(bag: BagReader, topic: str) -> Any:
    """Return the first message of a topic that has some."""
    for found in bag.messages([topic], strict=False):
        return found.message
    raise BagError(f'{bag.path}: the messages of {topic} cannot be read')


