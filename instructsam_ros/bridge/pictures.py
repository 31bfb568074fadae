# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Results as pictures: the label image with its legend, and the overlay."""

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import LabelInfo, VisionClass

from instructsam_ros.bridge.images import array_to_image
from instructsam_ros.bridge.results import identities
from instructsam_ros.perception.drawing import draw_overlay
from instructsam_ros.perception.pipeline import PerceptionResult

Picture = NDArray[np.uint8]


def label_map(result: PerceptionResult, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Return uint16 [H, W]: 0 is background, k the k-th instance.

    Where masks overlap, the higher score wins. Raises ValueError for masks of another shape.
    """
    labels = np.zeros(shape, np.uint16)
    instances = result.segmentation.instances
    for place in sorted(range(len(instances)), key=lambda k: instances[k].score):
        size = instances[place].mask.shape
        if size != labels.shape:
            raise ValueError(f'mask has shape {size}, the picture {labels.shape}')
        outline = result.outlines[place]
        if outline.area:
            number = np.full(outline.mask.shape, place + 1, np.uint16)
            cv2.copyTo(number, outline.mask, labels[outline.window])
    return labels


def label_image(
    result: PerceptionResult, header: Header, shape: tuple[int, int],
    labels: NDArray[np.uint16] | None = None,
) -> Image:
    """Return the label image (16UC1); what its numbers mean is in ``label_info``.

    ``labels`` is the ``label_map``, if it is known.
    """
    labels = label_map(result, shape) if labels is None else labels
    return array_to_image(labels, '16UC1', header)


def label_info(result: PerceptionResult, header: Header, threshold: float = 0.0) -> LabelInfo:
    """Return the legend of the label image: 'background', then phrase and id of each instance.

    ``threshold`` is the score below which nothing was taken.
    """
    message = LabelInfo()
    message.header = header
    message.threshold = float(threshold)
    names = ['background']
    names += [
        f'{one.phrase} #{identity}'
        for identity, one in zip(identities(result), result.segmentation.instances, strict=True)
    ]
    message.class_map = [
        VisionClass(class_id=number, class_name=name) for number, name in enumerate(names)
    ]
    return message


def overlay(result: PerceptionResult, image: Picture) -> Picture:
    """Return the RGB picture [H, W, 3] with masks, ids, phrases, distances, and the instruction.

    Raw and compressed topics share it: draw once, then ``array_to_image`` and
    ``array_to_compressed``.
    """
    return draw_overlay(
        image, result.segmentation.instances, result.targets, caption=result.instruction,
        outlines=result.outlines,
    )
