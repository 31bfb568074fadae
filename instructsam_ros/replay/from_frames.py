# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A bag of a folder of pictures; labels become the truth beside it. Folders: see frame_folder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from geometry_msgs.msg import Point
from numpy.typing import NDArray
from std_msgs.msg import Header

from instructsam_ros.bridge.interfaces import InstanceArray, Target, TargetArray
from instructsam_ros.bridge.results import instance_message, target_message
from instructsam_ros.bridge.tabletop import OPTICAL_FRAME, fixed_transforms, world_transform
from instructsam_ros.perception import targets
from instructsam_ros.perception.bounds import mask_bounds
from instructsam_ros.perception.targets import TargetStatus
from instructsam_ros.replay.camera_bag import START_NS, CameraBag, TrueInstruction, stamp_message
from instructsam_ros.replay.errors import BagError
from instructsam_ros.replay.frame_folder import (
    AskedFor,
    FolderFrame,
    FrameFolder,
    read_frame_folder,
)
from instructsam_ros.replay.writing import BagWriter, Storage

DEFAULT_RATE = 10.0
# labels are good to a pixel or two, and depth mixes near and far at edges
_ERODED = 2
_FEWEST = 20  # pixels with depth that make a centroid
_OUTLIER = 5.0  # times the median deviation of depth


@dataclass(frozen=True)
class FramesOptions:
    """What the folder does not say, or says differently.

    Attributes:
        rate: pictures per second; None: as the folder says, or else 10.
        names: label -> name, added to the folder's.
        instructions: in place of the folder's.
        compressed: JPEG and PNG instead of raw pictures.
    """

    rate: float | None = None
    names: tuple[tuple[int, str], ...] = ()
    instructions: tuple[AskedFor, ...] = ()
    compressed: bool = False


@dataclass(frozen=True)
class _Labelled:
    """An object of a label image, as results have it."""

    phrase: str
    mask: NDArray[np.bool_]
    score: float = 1.0
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def bag_from_frames(
    folder: str | Path,
    path: str | Path,
    options: FramesOptions = FramesOptions(),
    storage: Storage = 'mcap',
    progress: Callable[[int, int], None] = lambda done, all_: None,
) -> int:
    """Write the bag; return how many pictures it has.

    All frames come once for each instruction, one pass after the other. The truth of a labelled
    object is its mask, and from depth the centroid of its visible surface: the mean under the
    eroded mask without outliers. Its box is unknown (``pose.covariance[0]`` is -1). Raises
    BagError, BagWriteError, OSError.
    """
    source = read_frame_folder(folder)
    names = {**source.names, **dict(options.names)}
    asked_for = options.instructions or source.asked_for
    rate = options.rate or source.rate or DEFAULT_RATE
    _check(source, asked_for)
    passes: Sequence[AskedFor | None] = asked_for or (None,)
    total = len(source.files) * len(passes)
    # the first frame shows most mistakes, before anything is written
    source.frame(0)
    done = 0
    with BagWriter(path, storage) as writer:
        bag = CameraBag(writer, depth=source.has_depth, compressed=options.compressed, quality=95)
        bag.fixed(fixed_transforms(stamp_message(START_NS)), START_NS)
        for number, asked in enumerate(passes):
            for index in range(len(source.files)):
                at_ns = START_NS + round(done * 1e9 / rate)
                if index == 0 and asked is not None:
                    bag.instruct(
                        TrueInstruction(number + 1, asked.text, asked.kind, asked.labels), at_ns)
                _write(bag, source.frame(index), at_ns, names)
                done += 1
                progress(done, total)
    return done


def _write(bag: CameraBag, frame: FolderFrame, at_ns: int, names: dict[int, str]) -> None:
    header = Header(stamp=stamp_message(at_ns), frame_id=OPTICAL_FRAME)
    if frame.pose is not None:
        bag.moving([world_transform(frame.pose, header.stamp)], at_ns)
    if frame.labels is not None:
        bag.truth(*_truth(frame, header, names))
    bag.picture(frame.image, frame.depth, frame.camera, header)


def _truth(
    frame: FolderFrame, header: Header, names: dict[int, str]
) -> tuple[InstanceArray, TargetArray | None]:
    """Return what the labels say, and what depth adds to it."""
    assert frame.labels is not None
    height, width = frame.labels.shape
    instances = InstanceArray(header=header, height=height, width=width)
    true = TargetArray(header=header)
    metres = _metres(frame.depth)
    for label in np.unique(frame.labels[frame.labels > 0]).tolist():
        mask = frame.labels == label
        one = _Labelled(names.get(label, f'object {label}'), mask)
        instances.instances.append(instance_message(label, one, header))
        if metres is not None:
            true.targets.append(_target(label, one, metres, frame))
    instances.answer = ', '.join(one.phrase for one in instances.instances)
    return instances, None if metres is None else true


def _target(label: int, one: _Labelled, metres: NDArray[np.float32], frame: FolderFrame) -> Target:
    x, y, width, height = mask_bounds(one.mask)
    at_border = (
        x == 0 or y == 0 or x + width == one.mask.shape[1] or y + height == one.mask.shape[0])
    status = TargetStatus.TOUCHES_BORDER if at_border else TargetStatus.OK
    measured = one.mask & np.isfinite(metres)
    count = int(np.count_nonzero(measured))
    ratio = count / int(np.count_nonzero(one.mask))
    centroid = _centroid(one.mask, metres, frame)
    if centroid is None:
        status |= TargetStatus.NO_DEPTH
    message = target_message(
        targets.Target(label, one.phrase, 1.0, status, None, count, ratio))
    if centroid is not None:
        message.centroid = Point(**dict(zip('xyz', centroid.tolist(), strict=True)))
    return message


def _centroid(
    mask: NDArray[np.bool_], metres: NDArray[np.float32], frame: FolderFrame
) -> NDArray[np.float64] | None:
    """Return the centroid [3] of the visible surface; None with too little depth."""
    side = 2 * _ERODED + 1
    inner = cv2.erode(mask.view(np.uint8), np.ones((side, side), np.uint8)).view(np.bool_)
    usable = inner & np.isfinite(metres) & np.isfinite(frame.camera.rays()[..., 0])
    z = metres[usable].astype(np.float64)
    if len(z) < _FEWEST:
        return None
    away = np.abs(z - np.median(z))
    # depth of a real object spreads by some millimetres at least
    kept = away <= _OUTLIER * max(float(np.median(away)), 0.002)
    z, rays = z[kept], frame.camera.rays()[usable][kept]
    return np.append((rays * z[:, None]).mean(axis=0), z.mean())


def _metres(depth: NDArray[Any] | None) -> NDArray[np.float32] | None:
    if depth is None:
        return None
    if depth.dtype != np.uint16:
        return depth
    metres = depth.astype(np.float32) * np.float32(0.001)
    metres[depth == 0] = np.nan
    return metres


def _check(source: FrameFolder, asked_for: Sequence[AskedFor]) -> None:
    """Refuse instructions about labels where there are none."""
    if any(one.labels for one in asked_for) and not source.has_labels:
        raise BagError(
            f'{source.path}: has no label images, so that nothing is known of what instructions '
            'mean: leave out their labels')
