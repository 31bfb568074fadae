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
    from instructsam_ros.perception.camera_file import CameraFile
    from instructsam_ros.perception.frame import Frame
    from instructsam_ros.perception.pipeline import PerceptionResult


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


def _calibration(options: argparse.Namespace) -> CameraFile | None:
    from instructsam_ros.perception.camera_file import read_camera_file

    path = options.camera_info or options.meta
    if path is None:
        if options.depth:
            raise ValueError(
                'depth without a camera matrix K gives no 3D: add --camera-info FILE or '
                '--meta FILE'
            )
        return None
    return read_camera_file(path, rectified=options.rectified)


def _load(item: _Item, calibration: CameraFile | None) -> Frame:
    from instructsam_ros.perception.frame import Frame
    from instructsam_ros.perception.images import read_depth, read_image

    image = read_image(item.image)
    height, width = image.shape[:2]
    depth = None
    if item.depth is not None:
        scale = calibration.depth_scale_to_metres if calibration else None
        depth = read_depth(item.depth, metres_per_unit=scale)
    try:
        camera = calibration.camera.scaled(width, height) if calibration else None
        return Frame(image, depth, camera)
    except ValueError as error:
        raise ValueError(f'{item.image}: {error}') from None
