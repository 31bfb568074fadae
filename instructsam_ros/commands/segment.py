# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``instructsam-ros segment``: pictures from files, one instruction, results to a folder."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from instructsam_ros.commands.options import add_model_options, add_threshold_option

# what takes long to import is imported where it is used: --help must answer at once
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from instructsam_ros.perception.camera import CameraModel
    from instructsam_ros.perception.camera_file import CameraFile
    from instructsam_ros.perception.frame import Frame
    from instructsam_ros.perception.pipeline import PerceptionResult

    Array = NDArray[np.float64]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this command's parser."""
    parser = commands.add_parser(
        'segment',
        help='find something in pictures: overlays, result.json, a table',
        description='Finds what the instruction names in each picture; with depth and camera '
        'info also where it is in 3D.',
    )
    parser.add_argument('images', nargs='+', metavar='IMAGE', help='picture files')
    parser.add_argument(
        '--instruction', required=True, metavar='TEXT', help='what to find: "the red mug"'
    )
    parser.add_argument(
        '--depth',
        nargs='+',
        default=[],
        metavar='FILE',
        help='one per picture, in order: 16-bit PNG (mm) or 32-bit float TIFF/NPY (m)',
    )
    calibration = parser.add_mutually_exclusive_group()
    calibration.add_argument(
        '--camera-info', metavar='FILE', help='ROS camera_info YAML, or JSON with K'
    )
    calibration.add_argument(
        '--meta', metavar='FILE', help="JSON with K, width, height (a data set's meta.json)"
    )
    parser.add_argument(
        '--rectified', action='store_true', help='the pictures are rectified: use P, not K and D'
    )
    parser.add_argument(
        '--depth-camera-info',
        metavar='FILE',
        help='calibration of the depth camera, for depth that is not aligned to the pictures',
    )
    parser.add_argument(
        '--depth-extrinsics',
        nargs=7,
        type=float,
        metavar=('X', 'Y', 'Z', 'QX', 'QY', 'QZ', 'QW'),
        help="the depth camera's place and rotation in the pictures' optical frame, as "
        '`tf2_echo PICTURE_FRAME DEPTH_FRAME` says it (default: the same place)',
    )
    add_model_options(parser)
    add_threshold_option(parser)
    parser.add_argument(
        '--out',
        default='instructsam_out',
        metavar='DIR',
        help='folder for overlays and result.json (default: %(default)s)',
    )
    parser.set_defaults(run=run)


@dataclass(frozen=True)
class _Calibration:
    """Of the pictures, of the depth camera if it is another one, and the way between them."""

    picture: CameraFile
    depth: CameraFile | None = None
    extrinsics: Array | None = None


@dataclass(frozen=True)
class _Item:
    """One picture to do, and what its overlay will be called."""

    image: Path
    depth: Path | None
    overlay: str


def run(options: argparse.Namespace) -> int:
    """Do it. Raises ValueError or FileNotFoundError for what the user can mend."""
    from instructsam_ros.perception.instruction import clean_instruction

    instruction = clean_instruction(options.instruction)
    items = _plan(options.images, options.depth)
    calibration = _calibration(options)
    # a wrong first file should not cost loading the model
    first = _load(items[0], calibration)

    from rich.console import Console

    from instructsam_ros.commands.tables import target_table
    from instructsam_ros.perception.drawing import draw_overlay
    from instructsam_ros.perception.images import write_image
    from instructsam_ros.perception.pipeline import PerceptionPipeline
    from instructsam_ros.perception.results import result_document, result_record, staged_output
    from instructsam_ros.perception.segmenter import load_segmenter

    pipeline = PerceptionPipeline(load_segmenter(options.model, options.device))
    folder = Path(options.out)
    rows: list[tuple[str, PerceptionResult]] = []
    records = []
    with staged_output(folder) as staging:
        for number, item in enumerate(items):
            frame = first if number == 0 else _load(item, calibration)
            result = pipeline.run(frame, instruction, threshold=options.threshold)
            overlay = draw_overlay(
                frame.image, result.segmentation.instances, result.targets, caption=instruction
            )
            write_image(staging / item.overlay, overlay)
            shape = (frame.image.shape[0], frame.image.shape[1])
            records.append(result_record(result, str(item.image), shape, item.overlay))
            rows.append((item.image.name, result))
        (staging / 'result.json').write_text(result_document(records), encoding='utf-8')
    console = Console()
    console.print(target_table(rows, title=f'"{instruction}"'))
    console.print(f'Pictures and result.json are in {folder}', soft_wrap=True)
    return 0


def _plan(images: list[str], depths: list[str]) -> list[_Item]:
    if depths and len(depths) != len(images):
        raise ValueError(
            f'{len(images)} pictures but {len(depths)} depth files: give one depth file per '
            'picture, in the same order'
        )
    for name in (*images, *depths):
        if not Path(name).exists():
            raise FileNotFoundError(f'{name}: no such file')
    items: list[_Item] = []
    used: set[str] = set()
    for number, name in enumerate(images):
        overlay = f'{Path(name).stem}_overlay.png'
        if overlay in used:
            # the same file name from two folders
            overlay = f'{Path(name).stem}_{number + 1}_overlay.png'
        used.add(overlay)
        items.append(_Item(Path(name), Path(depths[number]) if depths else None, overlay))
    return items


def _calibration(options: argparse.Namespace) -> _Calibration | None:
    from instructsam_ros.perception.camera_file import read_camera_file

    path = options.camera_info or options.meta
    if path is None:
        if options.depth:
            raise ValueError(
                'depth without a camera matrix K gives no 3D: add --camera-info FILE or '
                '--meta FILE'
            )
        return None
    picture = read_camera_file(path, rectified=options.rectified)
    if options.depth_camera_info is None:
        if options.depth_extrinsics is not None:
            raise ValueError('--depth-extrinsics needs --depth-camera-info FILE too')
        return _Calibration(picture)
    depth = read_camera_file(options.depth_camera_info, rectified=options.rectified)
    return _Calibration(picture, depth, _extrinsics(options.depth_extrinsics))


def _extrinsics(numbers: list[float] | None) -> Array:
    """Return [4, 4] of a place and a quaternion."""
    import numpy as np
    from scipy.spatial.transform import Rotation

    pose = np.eye(4)
    if numbers is not None:
        pose[:3, 3] = numbers[:3]
        try:
            pose[:3, :3] = Rotation.from_quat(numbers[3:]).as_matrix()
        except ValueError:
            raise ValueError(
                '--depth-extrinsics: the quaternion is zero, "0 0 0 1" is no rotation'
            ) from None
    return pose


def _load(item: _Item, calibration: _Calibration | None) -> Frame:
    from instructsam_ros.perception.frame import Frame
    from instructsam_ros.perception.images import read_depth, read_image

    image = read_image(item.image)
    height, width = image.shape[:2]
    depth = None
    if item.depth is not None:
        file = (calibration.depth or calibration.picture) if calibration else None
        scale = file.depth_scale_to_metres if file else None
        depth = read_depth(item.depth, metres_per_unit=scale)
    try:
        camera = calibration.picture.camera.scaled(width, height) if calibration else None
        if depth is not None and camera is not None and calibration is not None:
            depth = _registered(depth, camera, calibration)
        return Frame(image, depth, camera)
    except ValueError as error:
        raise ValueError(f'{item.image}: {error}') from None


def _registered(
    depth: NDArray[np.float32], camera: CameraModel, calibration: _Calibration
) -> NDArray[np.float32]:
    from instructsam_ros.perception.registration import DepthRegistration

    if calibration.depth is None or calibration.extrinsics is None:
        return depth
    depth_camera = calibration.depth.camera.scaled(depth.shape[1], depth.shape[0])
    return DepthRegistration(depth_camera, camera, calibration.extrinsics)(depth)
